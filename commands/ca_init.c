/* meshanics ca init: make the certificate authorities of a control plane. */
#include "commands/identity.h"
#include "tuf/repo.h"
#include "fleet/ca.h"

static const struct option options[] = {
	{ .name = "site", .type = OPT_STRING, .value = "NAME",
	  .help = "site that the certificates name (default: the repository's, else main)" },
	{ .name = "life", .type = OPT_DURATION, .value = "TIME", .min = CA_LIFE_MIN_S, .max = CA_LIFE_MAX_S,
	  .help = "how long the authorities are valid (default 10y)" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int ca_init_command(struct cmd *cmd, struct error *err)
{
	struct buf body = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&body);
	struct answer a = ANSWER_INIT;
	struct json_iter it;
	bool done;
	int r;

	if (!cmd_has(cmd, "server") && repo_make_room(cmd_home(cmd), err) < 0)
		return -1;
	json_open_object(&w, NULL);
	if (cmd_has(cmd, "site"))
		json_put_string(&w, "site", cmd_string(cmd, "site", NULL));
	if (cmd_has(cmd, "life"))
		json_put_int(&w, "life_s", cmd_int(cmd, "life", 0));
	json_close(&w);
	r = request(cmd, "POST", "/api/v1/ca", buf_slice(&body), &a, &done, err);
	if (r == 0 && !done) {
		for (it = json_iter(json_get(answer_root(&a), "cas")); json_next(&it);) {
			char kind[32], hash[SHA256_HEX_LEN], until[32];

			cmd_printf(cmd, "%-8s CA  sha256 %s  until %s\n",
				   identity_text(it.value, "kind", kind, sizeof(kind)),
				   identity_text(it.value, "sha256", hash, sizeof(hash)),
				   identity_text(it.value, "not_after", until, sizeof(until)));
		}
		cmd_note(cmd, "the private keys are in control/ca/; back them up ('meshanics backup create')");
	}
	answer_release(&a);
	buf_release(&body);
	return r;
}

const struct command cmd_ca_init = {
	.name = "ca init",
	.usage = "",
	.summary = "make the certificate authorities of a control plane",
	.options = options,
	.needs = NEEDS_HOME,
	.run = ca_init_command,
};
