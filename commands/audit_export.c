/* meshanics audit export: the trail as NDJSON, with its signed head. */
#include <fcntl.h>

#include "commands/request.h"
#include "fleet/audit.h"
#include "sys/file.h"

static const struct option options[] = {
	{ .name = "out", .type = OPT_STRING, .value = "FILE", .letter = 'o', .help = "write to FILE, whole or not at all" },
	{ .name = "from", .type = OPT_INT, .value = "SEQ", .min = 1, .max = INT64_MAX / 16,
	  .help = "begin at this record, after one that was exported before" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* Where the lines go. */
struct sink {
	struct cmd *cmd;
	struct newfile file;
	bool to_file;
};

static int sink_put(struct sink *s, struct slice part, struct error *err)
{
	if (s->to_file)
		return newfile_write(&s->file, part, err);
	cmd_write(s->cmd, part);
	return cmd_flush(s->cmd, err);
}

/* The number of the last record in a page. */
static int last_seq(struct slice page, int64_t *seq, struct error *err)
{
	struct json doc = JSON_INIT;
	size_t at = 0, nl;
	int r = -1;

	while ((nl = slice_find(page, '\n', at)) != SIZE_MAX && nl + 1 < page.len)
		at = nl + 1;
	if (json_parse(&doc, slice_sub(page, at, page.len), JSON_STRICT, err) == 0)
		r = json_need_int(json_root(&doc), "seq", 1, INT64_MAX, seq, err);
	json_release(&doc);
	return r < 0 ? error_wrap(err, "the answer") : 0;
}

/* Records from `from` to `to`, page by page. */
static int put_records(struct sink *s, struct door *d, int64_t from, int64_t to, struct error *err)
{
	struct buf page = BUF_INIT(64u << 20), path = BUF_INIT(256);
	int64_t seq = from - 1;
	int r = 0;

	while (r == 0 && seq < to) {
		buf_clear(&page);
		buf_clear(&path);
		buf_printf(&path, "/api/v1/audit/export?from=%lld&to=%lld", (long long)seq + 1, (long long)to);
		r = door_call(d, "GET", buf_cstr(&path), SLICE_EMPTY, &page, err);
		if (r == 0 && page.len == 0)
			break;	/* records are missing: the head will tell */
		if (r == 0)
			r = sink_put(s, buf_slice(&page), err);
		if (r == 0)
			r = last_seq(buf_slice(&page), &seq, err);
	}
	buf_release(&page);
	buf_release(&path);
	return r;
}

/* The head first: what is appended meanwhile belongs to the next export. */
static int export(struct sink *s, struct door *d, int64_t from, struct error *err)
{
	struct answer head = ANSWER_INIT;
	struct audit_signed_head h;
	struct slice text;
	int r = -1;

	if (request_through(d, "GET", "/api/v1/audit/head", SLICE_EMPTY, &head, err) < 0 ||
	    json_need_string(answer_root(&head), "head", &text, err) < 0 || audit_head_parse(text, &h, err) < 0)
		goto out;
	if (from > h.head.seq + 1) {
		error_set(err, ERR_USAGE, "the trail ends at record %lld, before record %lld", (long long)h.head.seq,
			  (long long)from);
		goto out;
	}
	if (put_records(s, d, from, h.head.seq, err) < 0 || sink_put(s, buf_slice(&head.text), err) < 0 ||
	    sink_put(s, SLICE_LIT("\n"), err) < 0)
		goto out;
	if (strcmp(h.verdict, "intact") != 0)
		cmd_warn(s->cmd, "the trail is not intact: %s", h.verdict);
	if (json_type(json_get(answer_root(&head), "signature")) != JSON_STRING)
		cmd_warn(s->cmd, "the head is not signed: 'meshanics repo init' makes the site's record key");
	cmd_note(s->cmd, "head %lld of site '%s'", (long long)h.head.seq, h.site);
	r = 0;
out:
	answer_release(&head);
	return r;
}

static int audit_export_run(struct cmd *cmd, struct error *err)
{
	const char *path = cmd_string(cmd, "out", NULL);
	struct sink s = {.cmd = cmd, .file = NEWFILE_INIT, .to_file = path != NULL};
	struct door *d = request_door(cmd, err);
	int r = -1;

	if (d == NULL || (s.to_file && newfile_open(&s.file, AT_FDCWD, path, 0644, err) < 0))
		goto out;
	r = export(&s, d, cmd_int(cmd, "from", 1), err);
	if (r == 0 && s.to_file)
		r = newfile_commit(&s.file, err);
out:
	newfile_abort(&s.file);
	door_close(d);
	return r;
}

const struct command cmd_audit_export = {
	.name = "audit export",
	.usage = "",
	.summary = "write the audit trail and its signed head as JSON lines",
	.options = options,
	.needs = NEEDS_HOME,
	.run = audit_export_run,
};
