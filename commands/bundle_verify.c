/* `bundle verify`: a bundle checked as whoever takes it checks it, to the last byte; nothing is changed. */
#include <inttypes.h>

#include "base/timefmt.h"
#include "bundle/verify.h"
#include "commands/bundles.h"
#include "commands/clock.h"
#include "sys/clock.h"

static const struct option bundle_verify_options[] = {
	BUNDLE_ROOT_OPTION,
	{ .name = NULL },
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	cmd_progress(arg, "checking", done, total);
}

static void report_json(struct cmd *cmd, const struct bundle_check *c, const struct bundle_verify *v)
{
	struct buf out = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&out);

	json_open_object(&w, NULL);
	json_put_bool(&w, "ok", true);
	bundle_put_manifest(&w, &c->manifest);
	json_put_string(&w, "keyid", c->keyid);
	json_put_int(&w, "artifacts", v->artifacts);
	json_put_int(&w, "artifact_bytes", (int64_t)v->artifact_bytes);
	json_put_int(&w, "lacking", v->lacking);
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static void report(struct cmd *cmd, const struct bundle_check *c, const struct bundle_verify *v)
{
	char who[96], size[32];

	if (cmd_json(cmd)) {
		report_json(cmd, c, v);
		return;
	}
	cmd_printf(cmd, "all right: number %" PRId64 " from site '%s' for %s\n", c->manifest.sequence, c->manifest.origin,
		   bundle_for(who, &c->manifest));
	cmd_printf(cmd, "signed by record key %.16s... of root version %" PRId64 "; %" PRIu32 " artifacts, %s\n", c->keyid,
		   c->root->head.version, v->artifacts, size_text(size, v->artifact_bytes));
	if (v->lacking > 0)
		cmd_printf(cmd, "%" PRIu32 " artifacts are listed and not inside: %s\n", v->lacking,
			   c->manifest.has_since ? "the site has them, or they were not selected" : "they were not selected");
}

/* That no root is at hand is for the line to mend. */
static int find_root(void *arg, const struct manifest *m, struct buf *out, struct error *err)
{
	if (bundle_find_root(arg, m, out, err) < 0)
		return -1;
	if (out->len > 0)
		return 0;
	error_set(err, ERR_NOT_FOUND, "there is no root of site '%s' here to check the bundle against", m->site);
	return error_hint(err, "name one that you trust with --root FILE, or the site's own home with --home");
}

static int bundle_verify_run(struct cmd *cmd, struct error *err)
{
	struct bundle_verify v = {
		.check = {.find = find_root, .arg = cmd, .any_kind = true, .now_s = clock_now_s()},
		.progress = show_progress, .arg = cmd};
	struct bundle_check c = BUNDLE_CHECK_INIT;
	struct bundle_reader *r = bundle_of_operands(cmd, err);
	int ret = r == NULL ? -1 : bundle_verify(&c, r, &v, err);

	cmd_progress_end(cmd);
	if (ret == 0)
		ret = clock_can_judge(v.check.now_s, err);
	if (ret == 0)
		report(cmd, &c, &v);
	bundle_reader_free(r);
	bundle_check_release(&c);
	return ret;
}

const struct command cmd_bundle_verify = {
	.name = "bundle verify",
	.usage = "FILE...",
	.summary = "check a bundle as its site or device would, byte by byte",
	.options = bundle_verify_options,
	.operands_min = 1,
	.operands_max = BUNDLE_VOLUMES_MAX,
	.run = bundle_verify_run,
};
