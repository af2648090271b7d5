/* `repo keys rotate`: new online keys, which wait for the root that names them. */
#include "commands/request.h"
#include "sys/latefile.h"
#include "tuf/repo.h"

static const struct option repo_keys_rotate_options[] = {
	{ .name = "publisher", .type = OPT_LIST, .value = "NAME:SLICE,...",
	  .help = "also a key for a new publisher, instead of who asks for these slices now; repeat" },
	{ .name = "replace", .type = OPT_FLAG, .help = "throw away new keys that wait for their root already" },
	{ .name = "scheme", .type = OPT_STRING, .value = "SCHEME",
	  .help = "of the keys: ed25519 (the default) or ecdsa-sha2-nistp256" },
	{ .name = "pkcs11", .type = OPT_STRING, .value = "URI",
	  .help = "make the keys in a token; the URI ends with &pin-source=file:/path" },
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write their public part to FILE as well" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void put_body(struct cmd *cmd, struct buf *out)
{
	struct json_writer w = JSON_WRITER(out);
	unsigned i;

	json_open_object(&w, NULL);
	json_open_array(&w, "publishers");
	for (i = 0; i < cmd_list_count(cmd, "publisher"); i++)
		json_put_string(&w, NULL, cmd_list(cmd, "publisher", i));
	json_close(&w);
	json_put_bool(&w, "replace", cmd_flag(cmd, "replace"));
	if (cmd_has(cmd, "scheme"))
		json_put_string(&w, "scheme", cmd_string(cmd, "scheme", NULL));
	if (cmd_has(cmd, "pkcs11"))
		json_put_string(&w, "pkcs11", cmd_string(cmd, "pkcs11", NULL));
	json_close(&w);
}

static void report(struct cmd *cmd, const struct answer *a)
{
	const char *output = cmd_string(cmd, "output", NULL);

	if (cmd_json(cmd)) {
		cmd_write(cmd, buf_slice(&a->text));
		return;
	}
	cmd_printf(cmd, "site       %.*s\n", SLICE_ARG(json_string(json_get(answer_root(a), "site"))));
	if (output == NULL)
		cmd_printf(cmd, "public     %s/repo/online-keys-next.json\n", cmd_home(cmd));
	else
		cmd_printf(cmd, "public     %s\n", output);
	cmd_note(cmd, "the keys in use stay until 'repo adopt' takes a root that names the new ones: "
		      "meshanics ceremony rotate --online-keys");
}

static int rotate_through(struct cmd *cmd, struct latefile *copy, struct error *err)
{
	struct answer a = ANSWER_INIT;
	struct buf body = BUF_INIT(1u << 16);
	int r = -1;

	put_body(cmd, &body);
	if (request(cmd, "POST", "/api/v1/repository/keys", buf_slice(&body), &a, NULL, err) < 0 ||
	    latefile_commit(copy, buf_slice(&a.text), err) < 0)
		goto out;
	report(cmd, &a);
	r = 0;
out:
	answer_release(&a);
	buf_release(&body);
	return r;
}

static int repo_keys_rotate_run(struct cmd *cmd, struct error *err)
{
	struct latefile copy = LATEFILE_INIT;
	int r = -1;

	if (latefile_open(&copy, cmd_string(cmd, "output", NULL), 0644, err) == 0)
		r = rotate_through(cmd, &copy, err);
	latefile_abort(&copy);
	return r;
}

const struct command cmd_repo_keys_rotate = {
	.name = "repo keys rotate",
	.usage = "",
	.summary = "make new online keys, which wait for a root that names them",
	.options = repo_keys_rotate_options,
	.needs = NEEDS_HOME,
	.run = repo_keys_rotate_run,
};
