/* Answers: what one signer's machine makes, and what the table accepts of it. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "crypto/fingerprint.h"
#include "crypto/sshsig.h"
#include "tuf/ceremony_internal.h"

/* ---- before signing ---- */

int ceremony_check_prefix(const struct ceremony *c, const char *prefix, struct error *err)
{
	if (fingerprint_check(c->fingerprint, prefix, FINGERPRINT_DIGITS_MIN, "the fingerprint", err) == 0)
		return 0;
	if (err->kind == ERR_REFUSED)
		return error_hint(
			err, "this is not the request that the others sign, or the digits were misheard");
	return error_hint(err,
			  "its first %d digits stand on the screen of the one who made the request: "
			  "ask him for them, by another way than the file",
			  FINGERPRINT_DIGITS_MIN);
}

/* Is the key among the demands of document i? */
static bool is_asked(const struct ceremony *c, unsigned i, const struct pubkey *key)
{
	const struct ceremony_document *d = &c->documents[i];
	unsigned k, n;

	for (k = 0; k < d->demand_count; k++) {
		for (n = 0; n < d->demands[k].role->keys.count; n++) {
			if (pubkey_equal(&d->demands[k].role->keys.list[n].pub, key))
				return true;
		}
	}
	return false;
}

static bool is_asked_at_all(const struct ceremony *c, const struct pubkey *key)
{
	unsigned i;

	for (i = 0; i < c->document_count; i++) {
		if (is_asked(c, i, key))
			return true;
	}
	return false;
}

int ceremony_check_key(const struct ceremony *c, const struct keyfile *key, struct error *err)
{
	bool throwaway = strncmp(key->comment, CEREMONY_REHEARSAL_COMMENT,
				 strlen(CEREMONY_REHEARSAL_COMMENT)) == 0;

	if (c->rehearsal && !throwaway)
		return error_set(err, ERR_REFUSED,
				 "this is a rehearsal: it takes throwaway keys, and '%s' is a real "
				 "one",
				 key->name);
	if (!c->rehearsal && throwaway)
		return error_set(err, ERR_REFUSED, "'%s' is a throwaway key of a rehearsal",
				 key->name);
	if (!is_asked_at_all(c, &key->pub)) {
		error_set(err, ERR_REFUSED, "key '%s' (%.16s...) is not named in this request",
			  key->name, key->keyid);
		return error_hint(err, "meshanics ceremony status shows which keys are");
	}
	return 0;
}

int ceremony_check_time(const struct ceremony *c, int64_t now_s, struct error *err)
{
	char expires[TIME_TEXT_LEN], now[TIME_TEXT_LEN];
	unsigned i;

	for (i = 0; i < c->document_count; i++) {
		if (c->documents[i].expires_s > now_s)
			continue;
		error_set(err, ERR_REFUSED,
			  "%s of this request expired at %s, and the clock says %s",
			  c->documents[i].role, time_text(expires, c->documents[i].expires_s),
			  time_text(now, now_s));
		return error_hint(err, "set the clock if it is wrong; else begin a new ceremony");
	}
	return 0;
}

/* ---- signing ---- */

static int canonical_json(struct buf *out, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = json_parse(&doc, text, JSON_STRICT, err);

	*out = BUF_INIT(CEREMONY_REQUEST_MAX);
	if (r == 0)
		r = json_canonical(out, json_root(&doc), err);
	json_release(&doc);
	return r;
}

static int sign_document(const struct ceremony_document *d, const struct seckey *key,
			 struct buf *sig, struct error *err)
{
	struct buf payload;
	int r = -1;

	*sig = BUF_INIT(SIGNATURE_LEN_MAX);
	if (canonical_json(&payload, d->signed_json, err) == 0)
		r = seckey_sign(key, buf_slice(&payload), sig, err);
	buf_release(&payload);
	return r;
}

/* The answer's text, with its proof or (proof.len 0) as it is proved. */
static void put_answer(struct buf *out, const struct ceremony *c, const struct pubkey *key,
		       const struct buf sigs[2], int64_t now_s, const char *transcript_head,
		       struct slice proof)
{
	struct json_writer w = JSON_WRITER(out);
	char text[TIME_TEXT_LEN];
	unsigned i;

	w.indent = 2;
	json_open_object(&w, NULL);
	json_put_string(&w, "format", CEREMONY_ANSWER_FORMAT);
	json_put_string(&w, "site", c->site);
	json_put_string(&w, "request", c->fingerprint);
	tuf_key_put(&w, "signer", key);
	json_put_string(&w, "signed_at", time_text(text, now_s));
	json_open_object(&w, "signatures");
	for (i = 0; i < c->document_count; i++) {
		if (sigs[i].len > 0)
			json_put_hex(&w, c->documents[i].role, sigs[i].ptr, sigs[i].len);
	}
	json_close(&w);
	if (transcript_head != NULL)
		json_put_string(&w, "transcript", transcript_head);
	if (proof.len > 0)
		json_put_slice(&w, "proof", proof);
	json_close(&w);
	buf_put_u8(out, '\n');
}

static int make_proof(struct buf *proof, struct slice unproved, const struct seckey *key,
		      struct error *err)
{
	struct buf canonical;
	uint8_t hash[SHA256_LEN];
	int r = -1;

	if (canonical_json(&canonical, unproved, err) == 0) {
		sha256_of(buf_slice(&canonical), hash);
		r = sshsig_sign_sha256(key, CEREMONY_PROOF_NAMESPACE, hash, proof, err);
	}
	buf_release(&canonical);
	return r;
}

int ceremony_sign(struct buf *out, const struct ceremony *c, const struct seckey *key,
		  int64_t now_s, const char *transcript_head, struct error *err)
{
	const struct pubkey *pub = seckey_public(key);
	struct buf sigs[2] = {BUF_INIT(0), BUF_INIT(0)};
	struct buf unproved = BUF_INIT(CEREMONY_ANSWER_MAX), proof = BUF_INIT(SSHSIG_SIZE_MAX);
	unsigned i;
	int r = -1;

	if (!is_asked_at_all(c, pub))
		return error_set(err, ERR_REFUSED, "this key is not named in the request");
	for (i = 0; i < c->document_count; i++) {
		if (is_asked(c, i, pub) && sign_document(&c->documents[i], key, &sigs[i], err) < 0)
			goto out;
	}
	put_answer(&unproved, c, pub, sigs, now_s, transcript_head, SLICE_EMPTY);
	if (make_proof(&proof, buf_slice(&unproved), key, err) < 0)
		goto out;
	put_answer(out, c, pub, sigs, now_s, transcript_head, buf_slice(&proof));
	r = out->failed ? error_set(err, ERR_LIMIT, "the answer is larger than %zu bytes", out->max)
			: 0;
out:
	buf_release(&sigs[0]);
	buf_release(&sigs[1]);
	buf_release(&unproved);
	buf_release(&proof);
	return r;
}

/* ---- taking an answer ---- */

/* What an answer says, before it is believed. */
struct reading {
	struct slice request, site, transcript, proof;
	struct tuf_key signer;
	struct json_value signatures;
	int64_t signed_s;
};

static int read_answer(struct reading *a, struct json_value top, struct error *err)
{
	static const char *const names[] = {"format",	  "site",      "request",
					    "signer",	  "signed_at", "signatures",
					    "transcript", "proof",     NULL};
	static const char *const roles[] = {"root", "targets", NULL};
	struct slice format = SLICE_EMPTY, when = SLICE_EMPTY;
	uint8_t head[SHA256_LEN];
	struct json_value signer;

	a->transcript = SLICE_EMPTY;
	if (json_need_string(top, "format", &format, err) < 0)
		return -1;
	if (!slice_equal_str(format, CEREMONY_ANSWER_FORMAT))
		return error_set(err, ERR_MALFORMED, "'format' is not '%s'",
				 CEREMONY_ANSWER_FORMAT);
	if (json_only(top, names, err) < 0 || json_need_string(top, "site", &a->site, err) < 0 ||
	    json_need_string(top, "request", &a->request, err) < 0 ||
	    json_need_object(top, "signer", &signer, err) < 0 ||
	    tuf_key_parse(&a->signer, signer, err) < 0 ||
	    json_need_string(top, "signed_at", &when, err) < 0 ||
	    time_parse(&a->signed_s, when, err) < 0 ||
	    json_need_object(top, "signatures", &a->signatures, err) < 0 ||
	    json_only(a->signatures, roles, err) < 0 ||
	    json_opt_string(top, "transcript", &a->transcript, err) < 0)
		return -1;
	if (a->transcript.len > 0 && hex_decode(head, sizeof(head), a->transcript, err) < 0)
		return error_wrap(err, "'transcript'");
	return json_need_string(top, "proof", &a->proof, err);
}

/* The proof covers everything in the answer but itself. */
static int check_proof(const struct reading *a, struct json_value top, struct error *err)
{
	struct buf rest = BUF_INIT(CEREMONY_ANSWER_MAX), canonical;
	struct json_writer w = JSON_WRITER(&rest);
	uint8_t hash[SHA256_LEN];
	struct json_iter it;
	int r = -1;

	json_open_object(&w, NULL);
	for (it = json_iter(top); json_next(&it);) {
		if (!slice_equal_str(it.key, "proof"))
			json_put_value_key(&w, it.key, it.value);
	}
	json_close(&w);
	if (canonical_json(&canonical, buf_slice(&rest), err) == 0) {
		sha256_of(buf_slice(&canonical), hash);
		r = sshsig_verify_sha256(&a->signer.pub, CEREMONY_PROOF_NAMESPACE, hash, a->proof,
					 err);
	}
	buf_release(&rest);
	buf_release(&canonical);
	return r < 0 ? error_wrap(err, "proof") : 0;
}

static int check_signature(const struct ceremony *c, unsigned i, const struct reading *a,
			   struct buf *sig, struct error *err)
{
	const struct ceremony_document *d = &c->documents[i];
	struct slice hex = SLICE_EMPTY;
	uint8_t raw[SIGNATURE_LEN_MAX];
	struct buf payload;
	int r = -1;

	*sig = BUF_INIT(SIGNATURE_LEN_MAX);
	if (!is_asked(c, i, &a->signer.pub))
		return 0;
	if (json_need_string(a->signatures, d->role, &hex, err) < 0)
		return -1;
	if (hex.len == 0 || hex.len / 2 > sizeof(raw) || hex_decode(raw, hex.len / 2, hex, err) < 0)
		return error_set(err, ERR_MALFORMED, "signature of %s is not hex", d->role);
	if (canonical_json(&payload, d->signed_json, err) == 0)
		r = pubkey_verify(&a->signer.pub, buf_slice(&payload), slice_of(raw, hex.len / 2),
				  err);
	buf_release(&payload);
	if (r < 0)
		return error_wrap(err, "signature of %s", d->role);
	buf_put(sig, raw, hex.len / 2);
	return 0;
}

static int check_fits(const struct ceremony *c, const struct reading *a, struct error *err)
{
	char shown[96];

	if (!slice_equal_str(a->site, c->site))
		return error_set(err, ERR_REFUSED, "it is for site '%s', the request for '%s'",
				 printable(shown, sizeof(shown), a->site), c->site);
	if (!slice_equal_str(a->request, c->fingerprint))
		return error_set(err, ERR_REFUSED, "it answers another request (%.16s...)",
				 printable(shown, sizeof(shown), a->request));
	if (a->signer.pub.scheme == KEY_NONE || !is_asked_at_all(c, &a->signer.pub))
		return error_set(err, ERR_REFUSED, "its key (%.16s...) is not named in the request",
				 a->signer.id);
	return 0;
}

static int check_first(const struct ceremony *c, const struct reading *a, struct error *err)
{
	unsigned i;

	for (i = 0; i < c->answer_count; i++) {
		if (pubkey_equal(&c->answers[i].key, &a->signer.pub))
			return error_set(err, ERR_CONFLICT, "key %.16s... has answered already",
					 a->signer.id);
	}
	if (c->answer_count == CEREMONY_ANSWERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d answers", CEREMONY_ANSWERS_MAX);
	return 0;
}

static void tell_answer(const struct reading *a, const struct ceremony_answer *answer,
			struct slice text, struct ceremony_answer_info *out)
{
	*out = (struct ceremony_answer_info){
		.signed_s = a->signed_s,
		.documents = {answer->sigs[0].len > 0, answer->sigs[1].len > 0}};
	snprintf(out->keyid, sizeof(out->keyid), "%s", a->signer.id);
	snprintf(out->transcript, sizeof(out->transcript), "%.*s", SLICE_ARG(a->transcript));
	sha256_of(text, out->sha256);
}

static int take_answer(struct ceremony *c, struct slice text, struct json_value top,
		       struct ceremony_answer_info *out, struct error *err)
{
	struct ceremony_answer answer = {.keyid = ""};
	struct reading a;
	unsigned i;

	if (read_answer(&a, top, err) < 0 || check_fits(c, &a, err) < 0 ||
	    check_proof(&a, top, err) < 0)
		return -1;
	for (i = 0; i < c->document_count; i++) {
		if (check_signature(c, i, &a, &answer.sigs[i], err) < 0)
			goto fail;
	}
	if (out != NULL)
		tell_answer(&a, &answer, text, out);
	if (check_first(c, &a, err) < 0)
		goto fail;
	answer.key = a.signer.pub;
	snprintf(answer.keyid, sizeof(answer.keyid), "%s", a.signer.id);
	c->answers = xreallocarray(c->answers, c->answer_count + 1, sizeof(c->answers[0]));
	c->answers[c->answer_count++] = answer;
	return 0;
fail:
	buf_release(&answer.sigs[0]);
	buf_release(&answer.sigs[1]);
	return -1;
}

int ceremony_add_answer(struct ceremony *c, struct slice text, struct ceremony_answer_info *out,
			struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (text.len > CEREMONY_ANSWER_MAX)
		return error_set(err, ERR_LIMIT, "answer: larger than %u bytes",
				 CEREMONY_ANSWER_MAX);
	if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		r = take_answer(c, text, json_root(&doc), out, err);
	json_release(&doc);
	return r < 0 ? error_wrap(err, "answer") : 0;
}

bool ceremony_is_answered_by(const struct ceremony *c, struct slice text)
{
	struct error ignored = ERROR_INIT;
	struct json doc = JSON_INIT;
	bool yes =
		json_parse(&doc, text, JSON_STRICT, &ignored) == 0 &&
		slice_equal_str(json_string(json_get(json_root(&doc), "request")), c->fingerprint);

	json_release(&doc);
	return yes;
}
