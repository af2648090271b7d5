/* `repo verify`: walk the tree as a client does and hash every byte of every target. */
#include <inttypes.h>

#include "commands/clock.h"
#include "commands/command.h"
#include "sys/clock.h"
#include "tuf/repo.h"

struct report {
	struct cmd *cmd;
	struct json_writer *w;	/* NULL: for people */
};

static void on_finding(void *arg, const struct repo_finding *f)
{
	struct report *r = arg;

	if (r->w == NULL) {
		cmd_printf(r->cmd, "%s: %s\n", f->file, f->why.text);
		return;
	}
	json_open_object(r->w, NULL);
	json_put_string(r->w, "file", f->file);
	json_put_string(r->w, "kind", error_kind_name(f->why.kind));
	json_put_string(r->w, "why", f->why.text);
	json_close(r->w);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct report *r = arg;

	cmd_progress(r->cmd, "hashing", done, total);
}

static void put_counts(struct json_writer *w, const struct repo_check *c)
{
	json_close(w);
	json_put_bool(w, "ok", c->findings == 0);
	json_put_int(w, "roots", c->roots);
	json_put_int(w, "sites", c->sites);
	json_put_int(w, "publishers", c->roles);
	json_put_int(w, "bins", c->bins);
	json_put_int(w, "targets", c->targets);
	json_put_int(w, "not_held", c->absent);
	json_put_int(w, "bytes", (int64_t)c->bytes);
	json_close(w);
}

static void print_counts(struct cmd *cmd, const struct repo_check *c)
{
	cmd_printf(cmd, "all right: %u root%s, %u publisher%s, ", c->roots, c->roots == 1 ? "" : "s", c->roles,
		   c->roles == 1 ? "" : "s");
	if (c->sites > 0)
		cmd_printf(cmd, "%u root%s of %u other site%s, ", c->site_roots, c->site_roots == 1 ? "" : "s", c->sites,
			   c->sites == 1 ? "" : "s");
	if (c->bins > 0)
		cmd_printf(cmd, "%u hash bins, ", c->bins);
	cmd_printf(cmd, "%u target%s, ", c->targets, c->targets == 1 ? "" : "s");
	if (c->absent > 0)
		cmd_printf(cmd, "%u of them not selected for this site, ", c->absent);
	cmd_printf(cmd, "%" PRIu64 " bytes\n", c->bytes);
}

static int repo_verify_run(struct cmd *cmd, struct error *err)
{
	struct buf out = BUF_INIT(16u << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct report report = {.cmd = cmd, .w = cmd_json(cmd) ? &w : NULL};
	struct repo_check check = {
		.now_s = clock_now_s(), .finding = on_finding, .progress = on_progress, .arg = &report};
	int r;

	json_open_object(&w, NULL);
	json_open_array(&w, "findings");
	r = repo_verify(cmd_home(cmd), &check, err);
	cmd_progress_end(cmd);
	put_counts(&w, &check);
	/* What could not be looked at is neither right nor wrong. */
	if (cmd_json(cmd) && !out.failed && (r == 0 || check.findings > 0))
		cmd_write_json(cmd, &out);
	else if (r == 0)
		print_counts(cmd, &check);
	if (r < 0 && check.findings > 1)
		error_wrap(err, "%u findings, the first", check.findings);
	buf_release(&out);
	return r == 0 ? clock_can_judge(check.now_s, err) : -1;
}

const struct command cmd_repo_verify = {
	.name = "repo verify",
	.usage = "",
	.summary = "check the whole repository as a client does, byte by byte",
	.needs = NEEDS_HOME,
	.run = repo_verify_run,
};
