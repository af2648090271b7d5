/* The rules by which an audit trail is believed, and the text of its signed heads. */
#include "fleet/audit.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/timefmt.h"
#include "crypto/sshsig.h"

#define HEAD_FORMAT "meshanics-audit-head-1"

/* ---- the chain ---- */

/* The first record of what is given: record 1, or the one right after a witnessed head. */
static int check_first(struct audit_chain *c, const struct audit_record *r, struct error *err)
{
	static const uint8_t zeros[SHA256_LEN];

	if (r->seq == 1 && memcmp(r->prev, zeros, SHA256_LEN) != 0)
		return error_set(err, ERR_REFUSED, "audit record 1 was not the first when it was written");
	if (c->witness.seq > 0 && r->seq == c->witness.seq + 1) {
		if (memcmp(r->prev, c->witness.hash, SHA256_LEN) != 0)
			return error_set(err, ERR_REFUSED, "audit record %lld does not continue the witnessed head",
					 (long long)r->seq);
		c->witnessed = true;
	}
	c->first = r->seq;
	return 0;
}

static int check_place(struct audit_chain *c, const struct audit_record *r, struct error *err)
{
	int64_t want = c->last.seq + 1;

	if (c->first == 0)
		return check_first(c, r, err);
	if (r->seq < want)
		return error_set(err, ERR_REFUSED, "audit record %lld stands after record %lld", (long long)r->seq,
				 (long long)c->last.seq);
	if (r->seq == want + 1)
		return error_set(err, ERR_REFUSED, "audit record %lld is missing", (long long)want);
	if (r->seq > want)
		return error_set(err, ERR_REFUSED, "audit records %lld to %lld are missing", (long long)want,
				 (long long)r->seq - 1);
	if (memcmp(r->prev, c->last.hash, SHA256_LEN) != 0)
		return error_set(err, ERR_REFUSED,
				 "audit record %lld does not continue record %lld: one of them was replaced",
				 (long long)r->seq, (long long)c->last.seq);
	return 0;
}

int audit_chain_add(struct audit_chain *c, const struct audit_record *r, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	if (audit_record_hash(r, hash, err) < 0) {
		err->kind = ERR_REFUSED;
		return error_wrap(err, "audit record %lld was changed", (long long)r->seq);
	}
	if (check_place(c, r, err) < 0)
		return -1;
	if (memcmp(hash, r->hash, SHA256_LEN) != 0)
		return error_set(err, ERR_REFUSED, "audit record %lld was changed: its hash does not fit its content",
				 (long long)r->seq);
	if (r->seq == c->witness.seq) {
		if (memcmp(hash, c->witness.hash, SHA256_LEN) != 0)
			return error_set(err, ERR_REFUSED,
					 "audit record %lld is not the one that was witnessed: the trail was rewritten"
					 " at or before it", (long long)r->seq);
		c->witnessed = true;
	}
	c->last.seq = r->seq;
	memcpy(c->last.hash, hash, SHA256_LEN);
	return 0;
}

static int check_witness(const struct audit_chain *c, struct error *err)
{
	if (c->witnessed)
		return 0;
	if (c->first > 1) {
		error_set(err, ERR_REFUSED, "the trail given begins at record %lld", (long long)c->first);
		return error_hint(err, "give a head witnessed at record %lld or later with --head",
				  (long long)c->first - 1);
	}
	if (c->witness.seq > 0)
		return error_set(err, ERR_REFUSED,
				 "the trail ends at record %lld, but record %lld was witnessed: the end is missing",
				 (long long)c->last.seq, (long long)c->witness.seq);
	return 0;
}

int audit_chain_end(const struct audit_chain *c, const struct audit_head *head, struct error *err)
{
	if (check_witness(c, err) < 0)
		return -1;
	if (head == NULL)
		return 0;
	if (head->seq > c->last.seq)
		return error_set(err, ERR_REFUSED,
				 "the trail ends at record %lld, its head names record %lld: the end is missing",
				 (long long)c->last.seq, (long long)head->seq);
	if (head->seq < c->last.seq || memcmp(head->hash, c->last.hash, SHA256_LEN) != 0)
		return error_set(err, ERR_REFUSED, "the head does not name the last record, %lld",
				 (long long)c->last.seq);
	return 0;
}

int audit_verify_db(struct db *db, struct audit_chain *c, struct error *err)
{
	struct audit_walk w;
	int r;

	audit_walk_open(&w, db, &(struct audit_filter){.from_seq = c->last.seq + 1});
	while ((r = audit_walk_next(&w, err)) > 0) {
		if (c->first == 0 && w.record.seq > 1)
			r = error_set(err, ERR_REFUSED, "audit records 1 to %lld are missing",
				      (long long)w.record.seq - 1);
		else
			r = audit_chain_add(c, &w.record, err);
		if (r < 0)
			break;
	}
	audit_walk_close(&w);
	return r < 0 ? -1 : audit_chain_end(c, NULL, err);
}

/* ---- heads ---- */

void audit_head_put(struct buf *out, const struct audit_head *head, const char *site, int64_t time_s,
		    const char *verdict)
{
	char hex[SHA256_HEX_LEN], when[TIME_TEXT_LEN], clean[256];
	struct json_writer w = JSON_WRITER(out);

	/* In canonical order; the strings hold nothing that canonical JSON writes differently. */
	hex_encode(hex, head->hash, SHA256_LEN);
	printable(clean, sizeof(clean), slice_str(verdict == NULL ? "intact" : verdict));
	json_open_object(&w, NULL);
	json_put_string(&w, "format", HEAD_FORMAT);
	json_put_string(&w, "hash", hex);
	json_put_int(&w, "seq", head->seq);
	json_put_string(&w, "site", site);
	json_put_string(&w, "time", time_text(when, time_s));
	json_put_string(&w, "verdict", clean);
	json_close(&w);
}

static int read_head(struct json_value v, struct audit_signed_head *out, struct error *err)
{
	static const char *const members[] = {"format", "hash", "seq", "site", "time", "verdict", NULL};
	struct slice format, hash, site, when, verdict;

	if (json_type(v) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "it is not an object");
	if (json_only(v, members, err) < 0 || json_need_string(v, "format", &format, err) < 0 ||
	    json_need_string(v, "hash", &hash, err) < 0 ||
	    json_need_int(v, "seq", 0, INT64_MAX, &out->head.seq, err) < 0 ||
	    json_need_string(v, "site", &site, err) < 0 || json_need_string(v, "time", &when, err) < 0 ||
	    json_need_string(v, "verdict", &verdict, err) < 0)
		return -1;
	if (!slice_equal_str(format, HEAD_FORMAT))
		return error_set(err, ERR_MALFORMED, "its format is not '" HEAD_FORMAT "'");
	printable(out->site, sizeof(out->site), site);
	printable(out->verdict, sizeof(out->verdict), verdict);
	if (hex_decode(out->head.hash, SHA256_LEN, hash, err) < 0)
		return -1;
	return time_parse(&out->time_s, when, err);
}

int audit_head_parse(struct slice text, struct audit_signed_head *out, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	*out = (struct audit_signed_head){.head.seq = 0};
	if (text.len > AUDIT_HEAD_TEXT_MAX)
		error_set(err, ERR_LIMIT, "it is larger than %d bytes", AUDIT_HEAD_TEXT_MAX);
	else if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		r = read_head(json_root(&doc), out, err);
	json_release(&doc);
	return r < 0 ? error_wrap(err, "head of an audit trail") : 0;
}

void audit_trailer_put(struct buf *out, struct slice head_text, struct slice signature)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	json_put_slice(&w, "head", head_text);
	if (signature.len == 0)
		json_put_null(&w, "signature");
	else
		json_put_slice(&w, "signature", signature);
	json_close(&w);
}

int audit_head_sign(const struct seckey *record_key, struct slice head_text, struct buf *armored, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(head_text, hash);
	return sshsig_sign_sha256(record_key, AUDIT_NAMESPACE, hash, armored, err);
}

/* "SEQ:HASH" */
static int parse_pair(struct slice text, struct audit_head *out, struct error *err)
{
	size_t colon = slice_find(text, ':', 0), i;
	int64_t seq = 0;

	if (colon == SIZE_MAX || colon == 0 || colon > 18)
		return error_set(err, ERR_MALFORMED, "a witnessed head is a file or SEQ:HASH");
	for (i = 0; i < colon; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return error_set(err, ERR_MALFORMED, "a witnessed head is a file or SEQ:HASH");
		seq = seq * 10 + (text.ptr[i] - '0');
	}
	out->seq = seq;
	if (hex_decode(out->hash, SHA256_LEN, slice_sub(text, colon + 1, text.len), err) < 0)
		return error_wrap(err, "witnessed head");
	return 0;
}

/* The last line, without line ends. */
static struct slice last_line(struct slice text)
{
	size_t at = 0, nl;

	while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
		text.len--;
	while ((nl = slice_find(text, '\n', at)) != SIZE_MAX)
		at = nl + 1;
	return slice_sub(text, at, text.len);
}

int audit_witness_parse(struct slice text, struct audit_head *out, struct error *err)
{
	struct slice line = last_line(text), head = line;
	struct audit_signed_head parsed;
	struct json doc = JSON_INIT;
	int r = -1;

	if (line.len == 0 || line.ptr[0] != '{')
		return parse_pair(line, out, err);
	if (line.len > AUDIT_RECORD_MAX)
		return error_set(err, ERR_LIMIT, "the last line is larger than %d bytes", AUDIT_RECORD_MAX);
	if (json_parse(&doc, line, JSON_STRICT, err) == 0) {
		if (json_type(json_get(json_root(&doc), "head")) == JSON_STRING)
			head = json_string(json_get(json_root(&doc), "head"));
		r = audit_head_parse(head, &parsed, err);
	}
	json_release(&doc);
	if (r == 0)
		*out = parsed.head;
	return r;
}
