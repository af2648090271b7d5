/* meshanics ca show: the certificate authorities, their hashes and their ends. */
#include "commands/identity.h"
#include "crypto/hash.h"

static const struct option options[] = {
	{ .name = "certificate", .type = OPT_STRING, .value = "KIND",
	  .help = "print this certificate as PEM: device, server, operator" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* The PEM of one kind. With --json as well: what was asked for is the certificate. */
static int print_certificate(struct cmd *cmd, struct json_value cas, const char *kind, struct error *err)
{
	struct json_iter it;
	struct slice pem;

	for (it = json_iter(cas); json_next(&it);) {
		struct json_value v = json_get(it.value, "kind");

		if (json_type(v) != JSON_STRING || !slice_equal_str(json_string(v), kind))
			continue;
		if (json_need_string(it.value, "certificate", &pem, err) < 0)
			return -1;
		cmd_write(cmd, pem);
		return 0;
	}
	return error_set(err, ERR_USAGE, "'%s' is no kind of CA: device, server, operator", kind);
}

static void print_table(struct cmd *cmd, struct json_value cas)
{
	static const char *const columns[] = {"KIND", "SUBJECT", "SHA256", "UNTIL"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_iter it;

	for (it = json_iter(cas); json_next(&it);) {
		char kind[32], subject[80], hash[SHA256_HEX_LEN], until[32];

		table_row(t, (const char *const[]){
				     identity_text(it.value, "kind", kind, sizeof(kind)),
				     identity_text(it.value, "subject", subject, sizeof(subject)),
				     identity_text(it.value, "sha256", hash, sizeof(hash)),
				     identity_text(it.value, "not_after", until, sizeof(until)),
			     });
	}
	table_print(cmd, t);
	table_free(t);
}

static int ca_show_command(struct cmd *cmd, struct error *err)
{
	const char *kind = cmd_string(cmd, "certificate", NULL);
	struct answer a = ANSWER_INIT;
	bool done = false;
	int r = request(cmd, "GET", "/api/v1/ca", SLICE_EMPTY, &a, kind == NULL ? &done : NULL, err);

	if (r == 0 && kind != NULL)
		r = print_certificate(cmd, json_get(answer_root(&a), "cas"), kind, err);
	else if (r == 0 && !done)
		print_table(cmd, json_get(answer_root(&a), "cas"));
	answer_release(&a);
	return r;
}

const struct command cmd_ca_show = {
	.name = "ca show",
	.usage = "",
	.summary = "show the certificate authorities and their hashes",
	.options = options,
	.needs = NEEDS_HOME,
	.run = ca_show_command,
};
