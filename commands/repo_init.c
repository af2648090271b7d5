/* `repo init`: a repository with fresh online keys, and their public part for the ceremony. */
#include "commands/request.h"
#include "sys/latefile.h"
#include "tuf/repo.h"

static const struct option repo_init_options[] = {
	{ .name = "site", .type = OPT_STRING, .value = "SITE", .help = "name of the site; main when not given" },
	{ .name = "publisher", .type = OPT_LIST, .value = "NAME:SLICE,...",
	  .help = "make a key for a publisher who asks for these slices; repeat" },
	{ .name = "bins", .type = OPT_INT, .value = "N", .min = REPO_BINS_MIN, .max = REPO_BINS_MAX,
	  .help = "keep these publishers' artifacts in N hash bins, a power of two" },
	{ .name = "timestamp-life", .type = OPT_DURATION, .value = "TIME", .min = REPO_LIFE_MIN_S,
	  .max = REPO_LIFE_MAX_S, .help = "how long a timestamp is good; 1d when not given" },
	{ .name = "snapshot-life", .type = OPT_DURATION, .value = "TIME", .min = REPO_LIFE_MIN_S,
	  .max = REPO_LIFE_MAX_S, .help = "how long a snapshot is good; 7d when not given" },
	{ .name = "publisher-life", .type = OPT_DURATION, .value = "TIME", .min = REPO_LIFE_MIN_S,
	  .max = REPO_LIFE_MAX_S, .help = "how long a publisher's file is good; 90d when not given" },
	{ .name = "scheme", .type = OPT_STRING, .value = "SCHEME",
	  .help = "of the keys: ed25519 (the default) or ecdsa-sha2-nistp256" },
	{ .name = "pkcs11", .type = OPT_STRING, .value = "URI",
	  .help = "make the keys in a token; the URI ends with &pin-source=file:/path" },
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write online-keys.json to FILE as well" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void put_body(struct cmd *cmd, struct buf *out)
{
	struct repo_lives lives = REPO_LIVES_DEFAULT;
	struct json_writer w = JSON_WRITER(out);
	unsigned i;

	lives.timestamp_s = cmd_int(cmd, "timestamp-life", lives.timestamp_s);
	lives.snapshot_s = cmd_int(cmd, "snapshot-life", lives.snapshot_s);
	lives.publisher_s = cmd_int(cmd, "publisher-life", lives.publisher_s);
	json_open_object(&w, NULL);
	json_put_string(&w, "site", cmd_string(cmd, "site", "main"));
	json_open_array(&w, "publishers");
	for (i = 0; i < cmd_list_count(cmd, "publisher"); i++)
		json_put_string(&w, NULL, cmd_list(cmd, "publisher", i));
	json_close(&w);
	repo_lives_put(&w, "lives", &lives);
	if (cmd_has(cmd, "bins"))
		json_put_int(&w, "bins", cmd_int(cmd, "bins", 0));
	if (cmd_has(cmd, "scheme"))
		json_put_string(&w, "scheme", cmd_string(cmd, "scheme", NULL));
	if (cmd_has(cmd, "pkcs11"))
		json_put_string(&w, "pkcs11", cmd_string(cmd, "pkcs11", NULL));
	json_close(&w);
}

static void report(struct cmd *cmd, const struct answer *a)
{
	const char *output = cmd_string(cmd, "output", NULL);
	struct json_iter it;

	if (cmd_json(cmd)) {
		cmd_write(cmd, buf_slice(&a->text));
		return;
	}
	cmd_printf(cmd, "site       %.*s\n", SLICE_ARG(json_string(json_get(answer_root(a), "site"))));
	for (it = json_iter(json_get(answer_root(a), "publishers")); json_next(&it);)
		cmd_printf(cmd, "publisher  %.*s\n", SLICE_ARG(json_string(json_get(it.value, "name"))));
	if (cmd_has(cmd, "bins"))
		cmd_printf(cmd, "hash bins  %lld of each publisher\n", (long long)cmd_int(cmd, "bins", 0));
	if (output == NULL)
		cmd_printf(cmd, "public     %s/repo/online-keys.json\n", cmd_home(cmd));
	else
		cmd_printf(cmd, "public     %s\n", output);
	cmd_note(cmd, "take the public part to the ceremony: meshanics ceremony new --online-keys");
}

static int init_through(struct cmd *cmd, struct latefile *copy, struct error *err)
{
	struct answer a = ANSWER_INIT;
	struct buf body = BUF_INIT(1u << 16);
	int r = -1;

	put_body(cmd, &body);
	if (request(cmd, "POST", "/api/v1/repository", buf_slice(&body), &a, NULL, err) < 0 ||
	    latefile_commit(copy, buf_slice(&a.text), err) < 0)
		goto out;
	report(cmd, &a);
	r = 0;
out:
	answer_release(&a);
	buf_release(&body);
	return r;
}

static int repo_init_run(struct cmd *cmd, struct error *err)
{
	struct latefile copy = LATEFILE_INIT;
	int r = -1;

	if ((cmd_has(cmd, "server") || repo_make_room(cmd_home(cmd), err) == 0) &&
	    latefile_open(&copy, cmd_string(cmd, "output", NULL), 0644, err) == 0)
		r = init_through(cmd, &copy, err);
	latefile_abort(&copy);
	return r;
}

const struct command cmd_repo_init = {
	.name = "repo init",
	.usage = "",
	.summary = "make a repository with fresh online keys",
	.options = repo_init_options,
	.needs = NEEDS_HOME,
	.run = repo_init_run,
};
