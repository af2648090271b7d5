/* `repo export`: the repository as a static tree for any web server or object store. */
#include <inttypes.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/clock.h"
#include "commands/command.h"
#include "sys/clock.h"
#include "tuf/repo_export.h"

static const struct option repo_export_options[] = {
	{ .name = "check", .type = OPT_FLAG, .help = "hash the artifacts that are in DIR already, and heal them" },
	{ .name = "prune", .type = OPT_FLAG, .help = "then remove from DIR what clients no longer ask for" },
	{ .name = "list", .type = OPT_FLAG, .help = "print every file of the tree, in the order to upload them" },
	{ .name = NULL },
};

/* One line a file. With --json the line is an object. */
static int on_file(void *arg, const struct repo_export_file *f, struct error *err)
{
	struct buf line = BUF_INIT(8192);
	struct json_writer w = JSON_WRITER(&line);
	struct cmd *cmd = arg;
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, f->sha256, SHA256_LEN);
	if (cmd_json(cmd)) {
		json_open_object(&w, NULL);
		json_put_string(&w, "path", f->path);
		json_put_int(&w, "bytes", (int64_t)f->length);
		json_put_string(&w, "sha256", hex);
		json_put_bool(&w, "immutable", f->immutable);
		json_put_bool(&w, "written", f->written);
		json_close(&w);
		cmd_write_json(cmd, &line);
	} else {
		cmd_printf(cmd, "%s\t%" PRIu64 "\t%s\t%s\n", f->immutable ? "immutable" : "no-cache", f->length, hex,
			   f->path);
	}
	buf_release(&line);
	return cmd_flush(cmd, err);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	cmd_progress(arg, "exporting", done, total);
}

static void on_fault(void *arg, const char *role, const struct error *why)
{
	cmd_warn(arg, "devices will not believe '%s': %s", role, why->text);
}

static void report_json(struct cmd *cmd, const char *dir, const struct repo_export *e)
{
	struct buf out = BUF_INIT(8192);
	struct json_writer w = JSON_WRITER(&out);
	char text[TIME_TEXT_LEN];

	json_open_object(&w, NULL);
	json_put_string(&w, "directory", dir);
	json_put_int(&w, "root_version", e->root_version);
	json_put_int(&w, "timestamp_version", e->timestamp_version);
	json_put_string(&w, "good_until", time_text(text, e->good_until_s));
	json_put_int(&w, "files", e->files);
	json_put_int(&w, "bytes", (int64_t)e->bytes);
	json_put_int(&w, "written", e->written);
	json_put_int(&w, "bytes_written", (int64_t)e->bytes_written);
	json_put_int(&w, "removed", e->removed);
	json_put_int(&w, "faults", e->faults);
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static void report(struct cmd *cmd, const char *dir, const struct repo_export *e)
{
	char until[TIME_TEXT_LEN], all[32], new[32];

	if (e->two_steps)
		cmd_warn(cmd, "'%s' cannot change root and timestamp in one step; a device that asked in between tries again",
			 dir);
	if (cmd_flag(cmd, "list"))
		return;
	if (cmd_json(cmd)) {
		report_json(cmd, dir, e);
		return;
	}
	size_text(all, e->bytes);
	size_text(new, e->bytes_written);
	cmd_printf(cmd, "%u files, %s; %u written, %s; %u removed\n", e->files, all, e->written, new, e->removed);
	cmd_printf(cmd, "root %" PRId64 ", timestamp %" PRId64 ", good until %s\n", e->root_version, e->timestamp_version,
		   time_text(until, e->good_until_s));
}

static int repo_export_run(struct cmd *cmd, struct error *err)
{
	const char *dir = cmd_operand(cmd, 0);
	struct repo_export e = {.now_s = clock_now_s(), .progress = on_progress, .fault = on_fault, .arg = cmd};
	int r;

	if (clock_can_judge(e.now_s, err) < 0)
		return -1;
	e.flags = (cmd_flag(cmd, "prune") ? REPO_EXPORT_PRUNE : 0u) | (cmd_flag(cmd, "check") ? REPO_EXPORT_CHECK : 0u);
	if (cmd_flag(cmd, "list"))
		e.file = on_file;
	r = repo_export(cmd_home(cmd), dir, &e, err);
	cmd_progress_end(cmd);
	if (r == 0)
		report(cmd, dir, &e);
	return r;
}

const struct command cmd_repo_export = {
	.name = "repo export",
	.usage = "DIR",
	.summary = "write the repository as a static tree for a web server or object store",
	.options = repo_export_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = repo_export_run,
};
