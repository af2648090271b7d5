/*
 * `tuf-client`: a plain TUF client, in the calling convention that test rigs of TUF clients drive.
 * It trusts what `init` was given, follows the specification to the letter, and keeps no time
 * floor.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "base/encode.h"
#include "commands/command.h"
#include "base/timefmt.h"
#include "net/mirror.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/facts.h"
#include "tuf/offline.h"

#define TARGETS_JSON_MAX (64u << 20) /* more targets than a command line can name */

/* One invocation past its options. */
struct session {
	struct trusted store;
	struct facts *facts;	/* NULL: none can be kept */
	struct buf anchor;
	struct mirror mirror;
	struct tuf_client *client;
	struct buf targets;	/* what was downloaded, as the elements of a JSON array */
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

	if (file_read(AT_FDCWD, path, &s->anchor, err) < 0 ||
	    newfile_sweep(s->store.dirfd, ".", err) < 0)
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

	return tuf_drive(s->client, &s->store, &source, err);
}

/* The end of an update or a search. r: how it went, which is returned. */
static int settle(struct session *s, int r, struct error *err)
{
	r = store_progress(s, r, err);
	if (r == 0 && s->facts != NULL)
		facts_keep(s->facts, s->client);
	return r;
}

/* What is verified is on the disk before any more is asked of a server: it may stall until somebody kills us (5.3.8). */
static int refresh_run(struct session *s, struct cmd *cmd, const char *targets_url,
		       struct error *err)
{
	struct tuf_options options = {
		.mode = TUF_MODE_CLIENT, .clock_s = clock_now_s(), .no_floor = true};
	struct error ignored = ERROR_INIT;
	struct tuf_facts facts;
	const char *url;
	int r;

	if (need(cmd, "metadata-url", &url, err) < 0)
		return -1;
	if (file_read(s->store.dirfd, "anchor", &s->anchor, err) < 0)
		return error_hint(err, "run 'tuf-client --metadata-dir DIR init ROOT' first");
	s->facts = facts_open(&s->store, cmd_string(cmd, "metadata-dir", "."), &ignored);
	if (s->facts != NULL && facts_read(s->facts, &facts))
		options.facts = &facts;
	if (mirror_open(&s->mirror, url, targets_url, NULL, options.clock_s, err) < 0 ||
	    (s->client = tuf_client_new(buf_slice(&s->anchor), &options, err)) == NULL)
		return -1;
	r = settle(s, drive(s, err), err);
	return r < 0 ? -1 : trusted_refreshed(&s->store, options.clock_s, err);
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

static int find(struct session *s, const char *path, struct error *err)
{
	struct tuf_found known;
	int r;

	if (s->facts != NULL && facts_recall(s->facts, slice_str(path), &known) && tuf_client_recall(s->client, &known))
		return 0;
	r = tuf_client_lookup(s->client, slice_str(path), err) < 0 ? -1 : drive(s, err);
	r = settle(s, r, err);
	if (r == 0 && s->facts != NULL)
		facts_keep_found(s->facts, s->client);
	return r;
}

static void note_target(struct session *s, const char *path, const char *file, bool fetched)
{
	struct json_writer w = JSON_WRITER(&s->targets);

	if (s->targets.len > 0)
		buf_put_u8(&s->targets, ',');
	json_open_object(&w, NULL);
	json_put_string(&w, "target", path);
	json_put_string(&w, "file", file);
	json_put_bool(&w, "fetched", fetched);
	json_close(&w);
}

static int download_one(struct session *s, struct cmd *cmd, const char *path, int dirfd,
			struct error *err)
{
	struct buf name = BUF_INIT(4 * (size_t)TUF_PATH_MAX);
	struct tuf_result result;
	bool fetched;
	int r = -1;

	if (find(s, path, err) < 0 || tuf_client_result(s->client, &result, err) < 0)
		goto out;
	target_filename(&name, path);
	if (mirror_target(&s->mirror, &result, dirfd, buf_cstr(&name), &fetched, err) < 0)
		goto out;
	if (cmd_json(cmd))
		note_target(s, path, buf_cstr(&name), fetched);
	else
		cmd_printf(cmd, "%s\t%s\t%s\n", path, buf_cstr(&name),
			   fetched ? "fetched" : "held already");
	r = 0;
out:
	buf_release(&name);
	return r;
}

/*
 * The directory of the targets, locked as one of its writers. Who is alone in it first removes what a crash has left
 * there; a file system without locks is never swept.
 */
static int target_dir_open(const char *path, struct error *err)
{
	int fd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && newfile_sweep(fd, ".", err) < 0) {
		file_close(&fd);
		return -1;
	}
	(void)flock(fd, LOCK_SH);
	return fd;
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
	if ((dirfd = target_dir_open(dir, err)) < 0)
		return -1;
	for (i = 0; r == 0 && i < cmd_list_count(cmd, "target-name"); i++)
		r = download_one(s, cmd, cmd_list(cmd, "target-name", i), dirfd, err);
	file_close(&dirfd);
	return r;
}

/* ---- status ---- */

static void put_status(struct cmd *cmd, const struct offline_state *o)
{
	struct buf out = BUF_INIT(8192);
	struct json_writer w = JSON_WRITER(&out);

	offline_put(&w, NULL, o);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static void print_when(struct cmd *cmd, const char *what, int64_t when_s, int64_t now_s)
{
	char text[TIME_TEXT_LEN], age[32];

	if (when_s <= 0)
		cmd_printf(cmd, "%s never\n", what);
	else
		cmd_printf(cmd, "%s %s, %s%s\n", what, time_text(text, when_s),
			   duration_text(age, when_s > now_s ? when_s - now_s : now_s - when_s),
			   when_s > now_s ? " AHEAD of the clock" : " ago");
}

static void print_status(struct cmd *cmd, const struct offline_state *o, int64_t now_s)
{
	static const char *const columns[] = {"ROLE", "VERSION", "EXPIRES", "STATE"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char version[24], expires[TIME_TEXT_LEN];
	unsigned i;

	for (i = 0; i < TUF_TYPES; i++) {
		const struct offline_role *r = &o->roles[i];
		const char *cells[] = {tuf_type_name((enum tuf_type)i), version, expires, offline_state_name(r->state)};

		snprintf(version, sizeof(version), r->version > 0 ? "%lld" : "-", (long long)r->version);
		snprintf(expires, sizeof(expires), "-");
		if (r->version > 0)
			time_text(expires, r->expires_s);
		table_row(t, cells);
	}
	table_print(cmd, t);
	table_free(t);
	print_when(cmd, "refreshed", o->refreshed_s, now_s);
	if (o->signed_at_s > 0)
		print_when(cmd, "signed   ", o->signed_at_s, now_s);
}

/* What is trusted, as the files say it without any server. */
static int status_run(struct session *s, struct cmd *cmd, struct error *err)
{
	struct offline_state o;
	int64_t now_s = clock_now_s();

	if (file_read(s->store.dirfd, "anchor", &s->anchor, err) < 0)
		return error_hint(err, "run 'tuf-client --metadata-dir DIR init ROOT' first");
	if (offline_read(&o, buf_slice(&s->anchor), &s->store, now_s, err) < 0)
		return -1;
	if (cmd_json(cmd))
		put_status(cmd, &o);
	else
		print_status(cmd, &o, now_s);
	return o.usable ? 0 : error_set(err, ERR_FAILED, "no target can be trusted as things are: refresh first");
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
	if (strcmp(what, "status") == 0 && operands == 1)
		return status_run(s, cmd, err);
	return error_set(err, ERR_USAGE, "not 'init ROOT', 'refresh', 'download' or 'status': '%s'", what);
}

/* The state as it is now, for --json: the versions that are trusted. */
static void print_json(struct cmd *cmd, const struct session *s)
{
	struct buf out = BUF_INIT(TARGETS_JSON_MAX + 4096), list = BUF_INIT(TARGETS_JSON_MAX + 2);
	struct json_writer w = JSON_WRITER(&out);
	unsigned i;

	json_open_object(&w, NULL);
	for (i = 0; s->client != NULL && i < TUF_TYPES; i++)
		json_put_int(&w, tuf_type_name((enum tuf_type)i), tuf_client_version(s->client, (enum tuf_type)i));
	if (s->targets.len > 0) {
		buf_put_u8(&list, '[');
		buf_put_slice(&list, buf_slice(&s->targets));
		buf_put_u8(&list, ']');
		json_put_raw(&w, "targets_fetched", buf_slice(&list));
	}
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
	buf_release(&list);
}

/* What has never been trusted is no state to ask about or to go on from; only `init` makes a directory. */
static int state_need(struct cmd *cmd, const char *dir, struct error *err)
{
	char anchor[4096];

	if (strcmp(cmd_operand(cmd, 0), "init") == 0)
		return 0;
	if ((size_t)snprintf(anchor, sizeof(anchor), "%s/anchor", dir) >= sizeof(anchor))
		return error_set(err, ERR_USAGE, "the name of the metadata directory is too long");
	if (file_exists(AT_FDCWD, anchor))
		return 0;
	error_set(err, ERR_NOT_FOUND, "'%s' holds no trusted root", dir);
	return error_hint(err, "run 'tuf-client --metadata-dir DIR init ROOT' first");
}

static int tuf_client_run(struct cmd *cmd, struct error *err)
{
	struct session s = {.store = TRUSTED_INIT, .anchor = BUF_INIT(TUF_ROOT_MAX), .targets = BUF_INIT(TARGETS_JSON_MAX)};
	const char *dir;
	int r = -1;

	if (need(cmd, "metadata-dir", &dir, err) == 0 && state_need(cmd, dir, err) == 0 &&
	    trusted_open(&s.store, AT_FDCWD, dir, err) == 0)
		r = subverb_run(&s, cmd, err);
	if (r == 0 && cmd_json(cmd) && strcmp(cmd_operand(cmd, 0), "status") != 0)
		print_json(cmd, &s);
	tuf_client_free(s.client);
	facts_close(s.facts);
	mirror_close(&s.mirror);
	trusted_close(&s.store);
	buf_release(&s.anchor);
	buf_release(&s.targets);
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
	.usage = "init <root> | refresh | download | status",
	.summary = "update from any TUF repository, as test rigs drive clients",
	.options = tuf_client_options,
	.operands_min = 1,
	.operands_max = 2,
	.fails_with_1 = true,
	.run = tuf_client_run,
};
