/* Checking an exported trail: lines of a file, streamed, then the signed head in the last one. */
#include "fleet/audit.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/timefmt.h"
#include "crypto/sshsig.h"
#include "sys/file.h"

#define READ_SIZE (64u << 10)

/* What a walk over the lines holds. */
struct export {
	const struct pubkey *keys;
	unsigned key_count;
	struct audit_export_report *report;
	struct buf detail;	/* canonical, of the record at hand */
	uint64_t line;
	bool ended;		/* the head was seen */
};

static int read_record(struct export *x, struct json_value v, struct audit_record *r, struct error *err)
{
	static const char *const members[] = {"action", "actor", "detail", "hash", "object",
					      "prev", "seq", "time", "verdict", NULL};
	struct json_value detail;
	struct slice hash, prev, when;

	if (json_only(v, members, err) < 0 || json_need_string(v, "action", &r->action, err) < 0 ||
	    json_need_string(v, "actor", &r->actor, err) < 0 || json_need_object(v, "detail", &detail, err) < 0 ||
	    json_need_string(v, "hash", &hash, err) < 0 || json_need_string(v, "object", &r->object, err) < 0 ||
	    json_need_string(v, "prev", &prev, err) < 0 ||
	    json_need_int(v, "seq", 1, INT64_MAX, &r->seq, err) < 0 ||
	    json_need_string(v, "time", &when, err) < 0 || json_need_string(v, "verdict", &r->verdict, err) < 0)
		return -1;
	buf_clear(&x->detail);
	if (json_canonical(&x->detail, detail, err) < 0 || time_parse(&r->time_s, when, err) < 0 ||
	    hex_decode(r->hash, SHA256_LEN, hash, err) < 0 || hex_decode(r->prev, SHA256_LEN, prev, err) < 0)
		return -1;
	r->detail = buf_slice(&x->detail);
	return 0;
}

/* By one of the record keys; which one does not matter. */
static int check_signature(const struct export *x, struct slice text, struct slice signature, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	unsigned i;

	sha256_of(text, hash);
	for (i = 0; i < x->key_count; i++)
		if (sshsig_verify_sha256(&x->keys[i], AUDIT_NAMESPACE, hash, signature, err) == 0)
			return 0;
	return error_wrap(err, "the head of the trail is not signed by the site's record key");
}

static int take_head(struct export *x, struct json_value v, struct error *err)
{
	static const char *const members[] = {"head", "signature", NULL};
	struct json_value signature = json_get(v, "signature");
	struct slice text;

	if (json_only(v, members, err) < 0 || json_need_string(v, "head", &text, err) < 0 ||
	    audit_head_parse(text, &x->report->head, err) < 0)
		return -1;
	x->ended = true;
	x->report->has_signature = json_type(signature) == JSON_STRING;
	if (!x->report->has_signature && json_type(signature) != JSON_NULL)
		return error_set(err, ERR_MALFORMED, "'signature' is neither a string nor null");
	if (x->key_count == 0)
		return 0;
	if (!x->report->has_signature)
		return error_set(err, ERR_REFUSED, "the head of the trail is not signed");
	return check_signature(x, text, json_string(signature), err);
}

static int take_line(struct export *x, struct slice line, struct error *err)
{
	struct json doc = JSON_INIT;
	struct audit_record r = {.seq = 0};
	int result = -1;

	x->line++;
	if (x->ended) {
		error_set(err, ERR_MALFORMED, "something follows the head");
		goto out;
	}
	if (json_parse(&doc, line, JSON_STRICT, err) < 0)
		goto out;
	if (json_type(json_get(json_root(&doc), "head")) != JSON_NONE) {
		result = take_head(x, json_root(&doc), err);
		goto out;
	}
	if (read_record(x, json_root(&doc), &r, err) < 0)
		goto out;
	result = audit_chain_add(&x->report->chain, &r, err);
	if (result == 0 && x->report->each != NULL)
		result = x->report->each(x->report->arg, &r, err);
out:
	json_release(&doc);
	return result < 0 ? error_wrap(err, "line %llu", (unsigned long long)x->line) : 0;
}

/* Lines of at most AUDIT_RECORD_MAX bytes, each handed to take_line. */
static int walk_lines(struct export *x, int fd, struct error *err)
{
	struct buf window = BUF_INIT(READ_SIZE + AUDIT_RECORD_MAX);
	uint8_t *chunk = xmalloc(READ_SIZE);
	uint64_t at = 0;
	ssize_t n;
	int r = -1;

	while ((n = file_pread(fd, chunk, READ_SIZE, at, "the export", err)) > 0) {
		size_t from = 0, nl;

		at += (uint64_t)n;
		buf_put(&window, chunk, (size_t)n);
		while ((nl = slice_find(buf_slice(&window), '\n', from)) != SIZE_MAX) {
			if (take_line(x, slice_sub(buf_slice(&window), from, nl - from), err) < 0)
				goto out;
			from = nl + 1;
		}
		buf_consume(&window, from);
		if (window.len > AUDIT_RECORD_MAX) {
			error_set(err, ERR_LIMIT, "line %llu is longer than %d bytes",
				  (unsigned long long)x->line + 1, AUDIT_RECORD_MAX);
			goto out;
		}
	}
	if (n < 0 || (window.len > 0 && take_line(x, buf_slice(&window), err) < 0))
		goto out;
	r = 0;
out:
	free(chunk);
	buf_release(&window);
	return r;
}

int audit_verify_export(int fd, const struct pubkey *keys, unsigned count, struct audit_export_report *report,
			struct error *err)
{
	struct export x = {
		.keys = keys,
		.key_count = count,
		.report = report,
		.detail = BUF_INIT(AUDIT_DETAIL_MAX),
	};
	int r = walk_lines(&x, fd, err);

	if (r == 0 && !x.ended)
		r = error_set(err, ERR_REFUSED, "the export ends without a head: it was cut short");
	if (r == 0)
		r = audit_chain_end(&report->chain, &report->head.head, err);
	if (r == 0 && strcmp(report->head.verdict, "intact") != 0)
		r = error_set(err, ERR_REFUSED, "the control plane itself found when it signed: %s",
			      report->head.verdict);
	buf_release(&x.detail);
	return r;
}
