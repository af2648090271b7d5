/* `bundle import`: what was carried here comes into force. */
#include <inttypes.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/bundles.h"
#include "commands/clock.h"
#include "control/taking.h"
#include "sys/clock.h"

static const struct option bundle_import_options[] = {
	{ .name = "dry-run", .type = OPT_FLAG, .help = "read and check all of it, and change nothing" },
	{ .name = "accept-clock", .type = OPT_FLAG,
	  .help = "the clock is right although it has jumped since the last signature" },
	{ .name = "receipt", .type = OPT_STRING, .value = "FILE",
	  .help = "write a receipt of what is held then to FILE" },
	{ .name = NULL },
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	cmd_progress(arg, "reading", done, total);
}

/* ---- telling ---- */

static void put_read(struct json_writer *w, const struct bundle_import *b)
{
	json_put_bool(w, "dry_run", b->dry_run);
	json_put_int(w, "read_artifacts", b->artifacts);
	json_put_int(w, "fresh_artifacts", b->fresh);
	json_put_int(w, "fresh_bytes", (int64_t)b->fresh_bytes);
	json_put_int(w, "healed_artifacts", b->healed);
	json_put_int(w, "not_held", b->left_out);
}

static void report_json(struct cmd *cmd, const struct taking *t, struct json_value done, struct json_value receipt)
{
	struct buf out = BUF_INIT(1u << 20);
	struct json_writer w = JSON_WRITER(&out);

	json_open_object(&w, NULL);
	bundle_put_manifest(&w, bundle_import_manifest(&t->read));
	put_read(&w, &t->read);
	if (done.doc != NULL)
		json_put_value(&w, "done", done);
	if (receipt.doc != NULL)
		json_put_value(&w, "receipt", receipt);
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static void print_counts(struct cmd *cmd, int64_t roots, int64_t roles, int64_t bins)
{
	if (roots > 0)
		cmd_printf(cmd, "roots        %" PRId64 " new\n", roots);
	cmd_printf(cmd, "metadata     %" PRId64 " new", roles);
	if (bins > 0)
		cmd_printf(cmd, ", and %" PRId64 " hash bins", bins);
	cmd_printf(cmd, "\n");
}

static void report_people(struct cmd *cmd, const struct taking *t, struct json_value done)
{
	const struct bundle_import *b = &t->read;
	const struct manifest *m = bundle_import_manifest(b);
	int64_t healed = json_int(json_get(done, "healed"));
	char size[32];

	bundle_print_manifest(cmd, m);
	if (b->dry_run)
		print_counts(cmd, b->state.roots, b->state.roles, b->state.bins);
	else
		print_counts(cmd, json_int(json_get(done, "roots")), json_int(json_get(done, "roles")),
			     json_int(json_get(done, "bins")));
	cmd_printf(cmd, "artifacts    %" PRIu32 " read, %" PRIu32 " new (%s)\n", b->artifacts, b->fresh,
		   size_text(size, b->fresh_bytes));
	if (healed > 0)
		cmd_printf(cmd, "healed       %" PRId64 " that were damaged or gone\n", healed);
	if (b->left_out > 0)
		cmd_printf(cmd, "not held     %" PRIu32 " that are listed and were not selected\n", b->left_out);
	if (b->dry_run)
		cmd_printf(cmd, "it would be imported; nothing has changed\n");
	else if (json_bool(json_get(done, "unchanged")))
		cmd_printf(cmd, "already here: nothing has changed\n");
	else
		cmd_printf(cmd, "in force     root %" PRId64 ", targets %" PRId64 "\n",
			   json_int(json_get(done, "root_version")), json_int(json_get(done, "targets_version")));
	if (json_type(json_get(done, "good_until")) == JSON_STRING)
		cmd_printf(cmd, "good until   %.*s, when %.*s expires; the next bundle is wanted before\n",
			   SLICE_ARG(json_string(json_get(done, "good_until"))),
			   SLICE_ARG(json_string(json_get(done, "expires_first"))));
}

static int report(struct cmd *cmd, const struct taking *t, struct error *err)
{
	struct json done = JSON_INIT, receipt = JSON_INIT;
	struct json_value none = {NULL, 0};
	int r = -1;

	if ((t->answer.len > 0 && json_parse(&done, buf_slice(&t->answer), JSON_STRICT, err) < 0) ||
	    (t->receipt_answer.len > 0 && json_parse(&receipt, buf_slice(&t->receipt_answer), JSON_STRICT, err) < 0))
		goto out;
	if (cmd_json(cmd))
		report_json(cmd, t, t->answer.len > 0 ? json_root(&done) : none,
			    t->receipt_answer.len > 0 ? json_root(&receipt) : none);
	else
		report_people(cmd, t, t->answer.len > 0 ? json_root(&done) : none);
	r = 0;
out:
	json_release(&done);
	json_release(&receipt);
	return r;
}

/* ---- the work ---- */

static int bundle_import_run(struct cmd *cmd, struct error *err)
{
	struct taking t = TAKING_INIT;
	struct receipt_out out = RECEIPT_OUT_INIT;
	struct bundle_reader *r = NULL;
	int ret = -1;

	t.read.home = cmd_home(cmd);
	t.read.now_s = clock_now_s();
	t.read.flags = cmd_flag(cmd, "accept-clock") ? REPO_ACCEPT_CLOCK : 0u;
	t.read.dry_run = cmd_flag(cmd, "dry-run");
	t.read.progress = show_progress;
	t.read.arg = cmd;
	t.receipt = cmd_has(cmd, "receipt");
	if (t.receipt && t.read.dry_run) {
		error_set(err, ERR_USAGE, "--dry-run and --receipt exclude each other");
		goto out;
	}
	/* Both as who we are now, in our own directory; the door makes us the owner of the repository. */
	if (clock_can_judge(t.read.now_s, err) == 0 && receipt_out_open(&out, cmd_string(cmd, "receipt", NULL), err) == 0 &&
	    (r = bundle_of_operands(cmd, err)) != NULL)
		ret = taking_run(&t, r, err);
	cmd_progress_end(cmd);
	if (ret == 0)
		ret = receipt_out_write(&out, cmd, err);
	if (ret == 0)
		ret = report(cmd, &t, err);
out:
	receipt_out_close(&out);
	bundle_reader_free(r);
	taking_release(&t);
	return ret;
}

const struct command cmd_bundle_import = {
	.name = "bundle import",
	.usage = "FILE...",
	.summary = "verify a bundle and put what it brings in force",
	.options = bundle_import_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = BUNDLE_VOLUMES_MAX,
	.run = bundle_import_run,
};
