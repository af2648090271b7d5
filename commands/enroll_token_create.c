/* meshanics enroll token create: a token by which devices join. */
#include "commands/identity.h"
#include "fleet/enroll.h"

static const struct option options[] = {
	{ .name = "root", .type = OPT_STRING, .value = "FILE", .required = true,
	  .help = "newest root metadata of the site, which devices will keep as their anchor" },
	{ .name = "device", .type = OPT_STRING, .value = "NAME",
	  .help = "the one name it gives; revokes the former certificates of that name" },
	{ .name = "name-prefix", .type = OPT_STRING, .value = "NAME", .help = "names become NAME-0001 and so on" },
	{ .name = "tag", .type = OPT_LIST, .value = "TAG", .help = "give this tag to devices that join" },
	{ .name = "uses", .type = OPT_INT, .value = "N", .min = 1, .max = ENROLL_TOKEN_USES_MAX,
	  .help = "how many devices may join with it (default 1)" },
	{ .name = "expires", .type = OPT_DURATION, .value = "TIME", .min = ENROLL_TOKEN_LIFE_MIN_S,
	  .max = ENROLL_TOKEN_LIFE_MAX_S, .help = "how long it is good for (default 24h)" },
	{ .name = "note", .type = OPT_STRING, .value = "TEXT", .help = "what it is for" },
	{ .name = "url", .type = OPT_LIST, .value = "URL",
	  .help = "where devices enrol: https://HOST:9446 (default: serve's public names)" },
	{ .name = "out", .type = OPT_STRING, .value = "FILE", .help = "write the token to new FILE, mode 0600" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int put_body(struct cmd *cmd, struct buf *body, struct error *err)
{
	static const char *const texts[][2] = {
		{"device", "device"}, {"name-prefix", "name_prefix"}, {"note", "note"}};
	struct json_writer w = JSON_WRITER(body);
	size_t i;

	json_open_object(&w, NULL);
	if (identity_put_root(cmd, &w, err) < 0)
		return -1;
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		if (cmd_has(cmd, texts[i][0]))
			json_put_string(&w, texts[i][1], cmd_string(cmd, texts[i][0], NULL));
	if (cmd_has(cmd, "uses"))
		json_put_int(&w, "uses", cmd_int(cmd, "uses", 1));
	if (cmd_has(cmd, "expires"))
		json_put_int(&w, "life_s", cmd_int(cmd, "expires", 0));
	identity_put_list(cmd, &w, "tag", "tags");
	identity_put_list(cmd, &w, "url", "urls");
	json_close(&w);
	return body->failed ? error_set(err, ERR_USAGE, "the options are too long") : 0;
}

static void print_note(struct cmd *cmd, struct json_value answer)
{
	char id[32], until[32];
	int64_t uses = 1;

	if (json_type(json_get(answer, "uses")) == JSON_INT)
		uses = json_int(json_get(answer, "uses"));
	identity_text(answer, "id", id, sizeof(id));
	if (cmd_has(cmd, "out") && !cmd_json(cmd))
		cmd_printf(cmd, "%s\n", id);
	cmd_note(cmd, "token %s serves %lld device%s until %s; it is not shown again", id, (long long)uses,
		 uses == 1 ? "" : "s", identity_text(answer, "expires", until, sizeof(until)));
}

static int enroll_token_create_command(struct cmd *cmd, struct error *err)
{
	struct buf body = BUF_INIT(65536);
	struct answer a = ANSWER_INIT;
	int r = -1;

	a.text.secret = true;
	if (identity_check_out(cmd, err) < 0 || put_body(cmd, &body, err) < 0 ||
	    request(cmd, "POST", "/api/v1/tokens", buf_slice(&body), &a, NULL, err) < 0 ||
	    identity_put_token(cmd, answer_root(&a), err) < 0)
		goto out;
	print_note(cmd, answer_root(&a));
	r = 0;
out:
	answer_release(&a);
	buf_release(&body);
	return r;
}

const struct command cmd_enroll_token_create = {
	.name = "enroll token create",
	.usage = "",
	.summary = "make a token by which devices join the fleet",
	.options = options,
	.needs = NEEDS_HOME,
	.run = enroll_token_create_command,
};
