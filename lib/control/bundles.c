/* An export as requests: what the trail must say before the first byte leaves. */
#include "control/bundles.h"

#include <stdio.h>

#include "base/encode.h"
#include "control/api.h"

void bundle_job_release(struct bundle_job *j)
{
	bundle_plan_release(&j->plan);
	manifest_release(&j->manifest);
	receipt_release(&j->receipt);
	held_release(&j->held);
	buf_release(&j->signature);
	*j = BUNDLE_JOB_INIT;
}

static int post_to(struct door *d, const char *path, const struct buf *body, struct buf *text, struct error *err)
{
	if (body->failed)
		return error_set(err, ERR_LIMIT, "the request to %s is larger than %zu bytes", path, body->max);
	return door_call(d, "POST", path, buf_slice(body), text, err);
}

static int post(struct bundle_job *j, const char *path, struct buf *body, struct json *answer, struct buf *text,
		struct error *err)
{
	if (post_to(j->door, path, body, text, err) < 0)
		return -1;
	return json_parse(answer, buf_slice(text), JSON_STRICT, err) < 0 ? error_wrap(err, "answer to %s", path) : 0;
}

/* ---- the receipt ---- */

int bundle_receipt_accept(struct door *door, struct slice text, struct slice signature, struct buf *reply,
			  struct error *err)
{
	struct buf body = BUF_INIT(API_BODY_MAX);
	struct json_writer w = JSON_WRITER(&body);
	int r;

	json_open_object(&w, NULL);
	json_put_slice(&w, "receipt", text);
	json_put_slice(&w, "signature", signature);
	json_close(&w);
	r = post_to(door, "/api/v1/receipts/accepted", &body, reply, err);
	buf_release(&body);
	return r;
}

static int accept_text(struct bundle_job *j, struct slice text, struct slice signature, struct error *err)
{
	struct buf reply = BUF_INIT(64u << 10);
	int r = bundle_receipt_accept(j->door, text, signature, &reply, err);

	buf_release(&reply);
	return r;
}

static int take_receipt(struct bundle_job *j, struct error *err)
{
	struct buf text = BUF_INIT(RECEIPT_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	int r = -1;

	if (j->receipt_fd < 0)
		return 0;
	if (receipt_read(j->receipt_fd, &text, &signature, &j->receipt, &j->held, err) == 0 &&
	    accept_text(j, buf_slice(&text), buf_slice(&signature), err) == 0) {
		j->what.since = &j->receipt;
		j->what.held = &j->held;
		r = 0;
	}
	buf_release(&text);
	buf_release(&signature);
	return r < 0 ? error_wrap(err, "receipt '%s'", j->receipt_name) : 0;
}

/* ---- its number, and the row ---- */

static void put_destination(struct json_writer *w, const struct bundle_plan *p)
{
	json_put_string(w, "site", p->site);
	json_put_string(w, "kind", p->kind == BUNDLE_SITE ? "site" : "device");
}

static int read_begun(struct json_value v, int64_t *sequence, struct bundle_witness *audit, struct error *err)
{
	struct json_value head;
	struct slice hex;

	return json_need_int(v, "sequence", 1, INT64_MAX, sequence, err) < 0 ||
			       json_need_object(v, "audit", &head, err) < 0 ||
			       json_need_int(head, "seq", 0, INT64_MAX, &audit->seq, err) < 0 ||
			       json_need_string(head, "hash", &hex, err) < 0 ||
			       hex_decode(audit->hash, SHA256_LEN, hex, err) < 0
		       ? -1
		       : 0;
}

static int begin(struct bundle_job *j, int64_t *sequence, struct bundle_witness *audit, struct error *err)
{
	struct buf body = BUF_INIT(4096), reply = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&body);
	struct json answer = JSON_INIT;
	int r;

	json_open_object(&w, NULL);
	put_destination(&w, &j->plan);
	json_close(&w);
	r = post(j, "/api/v1/bundles", &body, &answer, &reply, err);
	if (r == 0)
		r = read_begun(json_root(&answer), sequence, audit, err);
	json_release(&answer);
	buf_release(&reply);
	buf_release(&body);
	return r;
}

static int tell(struct bundle_job *j, struct error *err)
{
	const struct manifest *m = &j->manifest;
	struct buf body = BUF_INIT(4096), reply = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&body);
	struct json answer = JSON_INIT;
	char path[128], hex[SHA256_HEX_LEN];
	int r;

	hex_encode(hex, m->id, SHA256_LEN);
	snprintf(path, sizeof(path), "/api/v1/bundles/%s/exported", hex);
	json_open_object(&w, NULL);
	put_destination(&w, &j->plan);
	json_put_int(&w, "sequence", m->sequence);
	json_put_int(&w, "members", m->members);
	json_put_int(&w, "bytes", (int64_t)m->bytes);
	if (m->has_since)
		json_put_hex(&w, "since", m->since, SHA256_LEN);
	else
		json_put_null(&w, "since");
	json_open_object(&w, "audit");
	json_put_int(&w, "seq", m->audit.seq);
	json_put_hex(&w, "hash", m->audit.hash, SHA256_LEN);
	json_close(&w);
	json_close(&w);
	r = post(j, path, &body, &answer, &reply, err);
	json_release(&answer);
	buf_release(&reply);
	buf_release(&body);
	return r;
}

int bundle_job_make(struct bundle_job *j, struct error *err)
{
	struct bundle_witness audit;
	int64_t sequence;

	if (take_receipt(j, err) < 0 || bundle_plan_make(&j->plan, &j->what, err) < 0 ||
	    begin(j, &sequence, &audit, err) < 0 ||
	    bundle_plan_manifest(&j->plan, sequence, &audit, &j->manifest, err) < 0 ||
	    bundle_plan_sign(&j->plan, &j->manifest, &j->signature, err) < 0 ||
	    bundle_measure(&j->manifest, j->signature.len, j->split, &j->size, err) < 0 ||
	    (j->ready != NULL && j->ready(j->arg, j, err) < 0))
		return -1;
	return tell(j, err);
}
