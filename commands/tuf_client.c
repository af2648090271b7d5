/*
 * `tuf-client`: a plain TUF client, in the calling convention that test rigs of TUF clients drive.
 * It trusts what `init` was given, follows the specification to the letter, and keeps no time
 * floor.
 */
#include <fcntl.h>

#include "base/encode.h"
#include "commands/command.h"
#include "net/mirror.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/trusted.h"

/* One invocation past its options. */
struct session {
	struct trusted store;
	struct buf anchor;
	struct mirror mirror;
	struct tuf_client *client;
};

static int need(struct cmd *cmd, const char *option, const char **out, struct error *err)
{
	*out = cmd_string(cmd, option, NULL);
	if (*out == NULL)
		return error_set(err, ERR_USAGE, "--%s is needed", option);
	return 0;
}

/* ---- init ---- */

/*
 * Both are kept: root.json moves on with the updates, `anchor` is what a damaged store heals from.
 */
static int init_run(struct session *s, const char *path, struct error *err)
{
	struct tuf_change root = {.role = "root"};

	if (file_read(AT_FDCWD, path, &s->anchor, err) < 0)
		return -1;
	root.bytes = buf_slice(&s->anchor);
	if (file_replace(s->store.dirfd, "anchor", 0600, root.bytes, err) < 0)
		return -1;
	return trusted_commit(&s->store, &root, 1, -1, err);
}

/* ---- refresh ---- */

/* What was verified is stored, also when a later file failed. */
static int store_progress(struct session *s, int r, struct error *err)
{
	struct error store_err = ERROR_INIT;

	if (trusted_commit_client(&s->store, s->client, &store_err) < 0 && r == 0) {
		*err = store_err;
		return -1;
	}
	return r;
}

static int drive(struct session *s, struct error *err)
{
	const struct tuf_source source = {mirror_get, &s->mirror};

	return store_progress(s, tuf_drive(s->client, &s->store, &source, err), err);
}

static int refresh_run(struct session *s, struct cmd *cmd, const char *targets_url,
		       struct error *err)
{
	struct tuf_options options = {
		.mode = TUF_MODE_CLIENT, .clock_s = clock_now_s(), .no_floor = true};
	const char *url;

	if (need(cmd, "metadata-url", &url, err) < 0)
		return -1;
	if (file_read(s->store.dirfd, "anchor", &s->anchor, err) < 0)
		return error_hint(err, "run 'tuf-client --metadata-dir DIR init ROOT' first");
	if (mirror_open(&s->mirror, url, targets_url, NULL, options.clock_s, err) < 0 ||
	    (s->client = tuf_client_new(buf_slice(&s->anchor), &options, err)) == NULL)
		return -1;
	return drive(s, err);
}

/* ---- download ---- */

/* A file name for any target path: percent-encoded, never hidden; its hash where that is long. */
static void target_filename(struct buf *out, const char *path)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	if (path[0] == '.') {
		buf_put_str(out, "%2E");
		path++;
	}
	tuf_percent_put(out, slice_str(path), false);
	if (out->len <= 200)
		return;
	sha256_of(slice_str(path), hash);
	hex_encode(hex, hash, sizeof(hash));
	buf_clear(out);
	buf_printf(out, "%%sha256-%s", hex);
}

static int download_one(struct session *s, struct cmd *cmd, const char *path, int dirfd,
			struct error *err)
{
	struct buf name = BUF_INIT(4 * (size_t)TUF_PATH_MAX);
	struct tuf_result result;
	bool fetched;
	int r = -1;

	if (tuf_client_lookup(s->client, slice_str(path), err) < 0 || drive(s, err) < 0 ||
	    tuf_client_result(s->client, &result, err) < 0)
		goto out;
	target_filename(&name, path);
	if (mirror_target(&s->mirror, &result, dirfd, buf_cstr(&name), &fetched, err) < 0)
		goto out;
	if (!cmd_json(cmd))
		cmd_printf(cmd, "%s\t%s\t%s\n", path, buf_cstr(&name),
			   fetched ? "fetched" : "held already");
	r = 0;
out:
	buf_release(&name);
	return r;
}

static int download_run(struct session *s, struct cmd *cmd, struct error *err)
{
	const char *dir, *base;
	unsigned i;
	int dirfd, r = 0;

	if (cmd_list_count(cmd, "target-name") == 0)
		return error_set(err, ERR_USAGE, "--target-name is needed");
	if (need(cmd, "target-dir", &dir, err) < 0 ||
	    need(cmd, "target-base-url", &base, err) < 0 || refresh_run(s, cmd, base, err) < 0)
		return -1;
	if ((dirfd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	for (i = 0; r == 0 && i < cmd_list_count(cmd, "target-name"); i++)
		r = download_one(s, cmd, cmd_list(cmd, "target-name", i), dirfd, err);
	file_close(&dirfd);
	return r;
}

/* ---- the verb ---- */

static int subverb_run(struct session *s, struct cmd *cmd, struct error *err)
{
	const char *what = cmd_operand(cmd, 0);
	unsigned operands = cmd_operand_count(cmd);

	if (strcmp(what, "init") == 0 && operands == 2)
		return init_run(s, cmd_operand(cmd, 1), err);
	if (strcmp(what, "refresh") == 0 && operands == 1)
		return refresh_run(s, cmd, NULL, err);
	if (strcmp(what, "download") == 0 && operands == 1)
		return download_run(s, cmd, err);
	return error_set(err, ERR_USAGE, "not 'init ROOT', 'refresh' or 'download': '%s'", what);
}

/* The state as it is now, for --json: the versions that are trusted. */
static void print_json(struct cmd *cmd, const struct session *s)
{
	struct buf out = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&out);

	json_open_object(&w, NULL);
	if (s->client != NULL) {
		json_put_int(&w, "root", tuf_client_root(s->client)->head.version);
		json_put_int(&w, "timestamp", tuf_client_timestamp(s->client)->head.version);
		json_put_int(&w, "snapshot", tuf_client_snapshot(s->client)->head.version);
		json_put_int(&w, "targets", tuf_client_targets(s->client)->head.version);
	}
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static int tuf_client_run(struct cmd *cmd, struct error *err)
{
	struct session s = {.store = TRUSTED_INIT, .anchor = BUF_INIT(TUF_ROOT_MAX)};
	const char *dir;
	int r = -1;

	if (need(cmd, "metadata-dir", &dir, err) == 0 &&
	    trusted_open(&s.store, AT_FDCWD, dir, err) == 0)
		r = subverb_run(&s, cmd, err);
	if (r == 0 && cmd_json(cmd))
		print_json(cmd, &s);
	tuf_client_free(s.client);
	mirror_close(&s.mirror);
	trusted_close(&s.store);
	buf_release(&s.anchor);
	/* The convention knows two answers: 0 and 1. */
	if (r < 0)
		err->kind = ERR_FAILED;
	return r;
}

static const struct option tuf_client_options[] = {
	{ .name = "metadata-dir", .type = OPT_STRING, .value = "DIR",
	  .help = "keep trusted metadata in DIR" },
	{ .name = "metadata-url", .type = OPT_STRING, .value = "URL",
	  .help = "fetch metadata below URL (plain http)" },
	{ .name = "target-name", .type = OPT_LIST, .value = "PATH", .help = "download the target PATH" },
	{ .name = "target-dir", .type = OPT_STRING, .value = "DIR", .help = "put targets into DIR" },
	{ .name = "target-base-url", .type = OPT_STRING, .value = "URL",
	  .help = "fetch targets below URL (plain http)" },
	{ .name = NULL },
};

const struct command cmd_tuf_client = {
	.name = "tuf-client",
	.usage = "init <root> | refresh | download",
	.summary = "update from any TUF repository, as test rigs drive clients",
	.options = tuf_client_options,
	.operands_min = 1,
	.operands_max = 2,
	.run = tuf_client_run,
};
