/* Making signed files: the envelope around `signed`, and signatures that arrive one by one. */
#include "tuf/metadata_sign.h"

#include <stdlib.h>

#include "base/encode.h"

void tuf_signer_init(struct tuf_signer *s, const struct seckey *key)
{
	s->key = key;
	key_id(s->keyid, seckey_public(key));
}

/* The two members of an existing file; a shape check only, nothing is verified. */
static int file_open_envelope(struct json *doc, struct slice file, struct json_value *body,
			      struct json_value *signatures, struct error *err)
{
	if (json_parse(doc, file, JSON_STRICT, err) < 0)
		return -1;
	if (json_type(json_root(doc)) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "metadata is %s, not an object",
				 json_type_name(json_type(json_root(doc))));
	if (json_need_object(json_root(doc), "signed", body, err) < 0)
		return -1;
	if (json_need_array(json_root(doc), "signatures", signatures, err) < 0)
		return -1;
	if (json_count(*signatures) > TUF_SIGNATURES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d signatures", TUF_SIGNATURES_MAX);
	return 0;
}

static int canonical_of(struct buf *out, struct json_value body, struct error *err)
{
	out->max = json_raw(body).len; /* the canonical form is never longer */
	return json_canonical(out, body, err);
}

/* A signature in the making: id and raw bytes. */
struct sig {
	char keyid[TUF_KEYID_LEN];
	struct buf raw;
};

static void sigs_free(struct sig *sigs, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		buf_release(&sigs[i].raw);
	free(sigs);
}

static int sigs_make_over(struct sig *sigs, const struct tuf_signer *signers, unsigned count,
			  struct slice canonical, struct error *err)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		memcpy(sigs[i].keyid, signers[i].keyid, TUF_KEYID_LEN);
		sigs[i].raw = BUF_INIT(SIGNATURE_LEN_MAX);
		if (seckey_sign(signers[i].key, canonical, &sigs[i].raw, err) < 0)
			return -1;
	}
	return 0;
}

static int sigs_make(struct sig *sigs, const struct tuf_signer *signers, unsigned count,
		     struct json_value body, struct error *err)
{
	struct buf canonical = BUF_INIT(0);
	int r = -1;

	if (canonical_of(&canonical, body, err) == 0)
		r = sigs_make_over(sigs, signers, count, buf_slice(&canonical), err);
	buf_release(&canonical);
	return r;
}

static bool sigs_have(const struct sig *sigs, unsigned count, struct slice keyid)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (slice_equal_str(keyid, sigs[i].keyid))
			return true;
	return false;
}

/* The file: old signatures but those replaced, then the new ones, then `signed` as it is. */
static int envelope_put(struct buf *out, struct json_value old, const struct sig *sigs,
			unsigned count, struct slice body, struct error *err)
{
	struct json_writer w = JSON_WRITER(out);
	struct json_iter it = json_iter(old);
	unsigned i;

	json_open_object(&w, NULL);
	json_open_array(&w, "signatures");
	while (json_next(&it)) {
		struct json_value id = json_get(it.value, "keyid");

		if (json_type(id) != JSON_STRING || !sigs_have(sigs, count, json_string(id)))
			json_put_value(&w, NULL, it.value);
	}
	for (i = 0; i < count; i++) {
		json_open_object(&w, NULL);
		json_put_string(&w, "keyid", sigs[i].keyid);
		json_put_hex(&w, "sig", sigs[i].raw.ptr, sigs[i].raw.len);
		json_close(&w);
	}
	json_close(&w);
	json_put_raw(&w, "signed", body);
	json_close(&w);
	buf_put_u8(out, '\n');
	if (out->failed)
		return error_set(err, ERR_LIMIT, "signed file is larger than %zu bytes", out->max);
	return 0;
}

/* Canonical JSON leaves control characters as they are, which JSON does not allow. */
static bool has_controls(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20)
			return true;
	return false;
}

static int sign_text(struct buf *out, struct slice signed_json, const struct tuf_signer *signers,
		     unsigned count, bool keep_form, struct error *err)
{
	struct sig *sigs = xcalloc(count, sizeof(*sigs));
	struct json_value none = {NULL, 0};
	struct buf canonical = BUF_INIT(0);
	struct json doc = JSON_INIT;
	struct slice body;
	int r = -1;

	if (json_parse(&doc, signed_json, JSON_STRICT, err) < 0)
		goto out;
	if (json_type(json_root(&doc)) != JSON_OBJECT) {
		error_set(err, ERR_MALFORMED, "what is to be signed is %s, not an object",
			  json_type_name(json_type(json_root(&doc))));
		goto out;
	}
	body = json_raw(json_root(&doc));
	if (canonical_of(&canonical, json_root(&doc), err) < 0 ||
	    sigs_make_over(sigs, signers, count, buf_slice(&canonical), err) < 0)
		goto out;
	if (!keep_form && !slice_equal(body, buf_slice(&canonical)) &&
	    !has_controls(buf_slice(&canonical)))
		body = buf_slice(&canonical);
	r = envelope_put(out, none, sigs, count, body, err);
out:
	sigs_free(sigs, count);
	json_release(&doc);
	buf_release(&canonical);
	return r;
}

int tuf_sign_envelope(struct buf *out, struct slice signed_json, const struct tuf_signer *signers,
		      unsigned count, struct error *err)
{
	return sign_text(out, signed_json, signers, count, true, err);
}

int tuf_sign_canonical(struct buf *out, struct slice signed_json, const struct tuf_signer *signers,
		       unsigned count, struct error *err)
{
	return sign_text(out, signed_json, signers, count, false, err);
}

int tuf_sign_add(struct buf *out, struct slice file, const struct tuf_signer *signers,
		 unsigned count, struct error *err)
{
	struct sig *sigs = xcalloc(count, sizeof(*sigs));
	struct json_value body, old;
	struct json doc = JSON_INIT;
	int r = -1;

	if (file_open_envelope(&doc, file, &body, &old, err) < 0 ||
	    sigs_make(sigs, signers, count, body, err) < 0 ||
	    envelope_put(out, old, sigs, count, json_raw(body), err) < 0)
		goto out;
	r = 0;
out:
	sigs_free(sigs, count);
	json_release(&doc);
	return r;
}

int tuf_sign_attach(struct buf *out, struct slice file, const char *keyid, struct slice sig,
		    struct error *err)
{
	struct sig *one = xcalloc(1, sizeof(*one));
	struct json_value body, old;
	struct json doc = JSON_INIT;
	int r = -1;

	if (strlen(keyid) >= sizeof(one->keyid)) {
		error_set(err, ERR_MALFORMED, "key id '%s' is longer than %d digits", keyid,
			  TUF_KEYID_LEN - 1);
		goto out;
	}
	memcpy(one->keyid, keyid, strlen(keyid) + 1);
	one->raw = BUF_INIT(SIGNATURE_LEN_MAX);
	buf_put_slice(&one->raw, sig);
	if (one->raw.failed) {
		error_set(err, ERR_LIMIT, "signature of %zu bytes is longer than %d", sig.len,
			  SIGNATURE_LEN_MAX);
		goto out;
	}
	if (file_open_envelope(&doc, file, &body, &old, err) < 0 ||
	    envelope_put(out, old, one, 1, json_raw(body), err) < 0)
		goto out;
	r = 0;
out:
	sigs_free(one, 1);
	json_release(&doc);
	return r;
}

/*
 * The signature under this id, or an empty slice: absent and the empty string are the same thing.
 */
static struct slice signature_of(struct json_value signatures, struct slice keyid)
{
	struct json_iter it = json_iter(signatures);

	while (json_next(&it)) {
		struct json_value id = json_get(it.value, "keyid"), sig = json_get(it.value, "sig");

		if (json_type(id) == JSON_STRING && json_type(sig) == JSON_STRING &&
		    slice_equal(json_string(id), keyid))
			return json_string(sig);
	}
	return SLICE_EMPTY;
}

/* Signatures of `from` that are not empty and, with `unless` given, that `unless` does not have. */
static void merge_put(struct json_writer *w, struct json_value from, struct json_value unless)
{
	struct json_iter it = json_iter(from);

	while (json_next(&it)) {
		struct json_value id = json_get(it.value, "keyid");

		if (json_type(id) == JSON_STRING && signature_of(from, json_string(id)).len > 0 &&
		    signature_of(unless, json_string(id)).len == 0)
			json_put_value(w, NULL, it.value);
	}
}

static int same_body(struct json_value a, struct json_value b, struct error *err)
{
	struct buf ca = BUF_INIT(0), cb = BUF_INIT(0);
	int r = -1;

	if (canonical_of(&ca, a, err) < 0 || canonical_of(&cb, b, err) < 0)
		goto out;
	if (!slice_equal(buf_slice(&ca), buf_slice(&cb))) {
		error_set(err, ERR_REFUSED,
			  "the two files do not say the same: their signed parts differ");
		goto out;
	}
	r = 0;
out:
	buf_release(&ca);
	buf_release(&cb);
	return r;
}

int tuf_sign_merge(struct buf *out, struct slice base, struct slice other, struct error *err)
{
	struct json_value base_body, base_sigs, other_body, other_sigs, none = {NULL, 0};
	struct json a = JSON_INIT, b = JSON_INIT;
	struct json_writer w = JSON_WRITER(out);
	int r = -1;

	if (file_open_envelope(&a, base, &base_body, &base_sigs, err) < 0 ||
	    file_open_envelope(&b, other, &other_body, &other_sigs, err) < 0 ||
	    same_body(base_body, other_body, err) < 0)
		goto out;
	json_open_object(&w, NULL);
	json_open_array(&w, "signatures");
	merge_put(&w, base_sigs, none);
	merge_put(&w, other_sigs, base_sigs);
	json_close(&w);
	json_put_raw(&w, "signed", json_raw(base_body));
	json_close(&w);
	buf_put_u8(out, '\n');
	if (out->failed) {
		error_set(err, ERR_LIMIT, "signed file is larger than %zu bytes", out->max);
		goto out;
	}
	r = 0;
out:
	json_release(&a);
	json_release(&b);
	return r;
}

int tuf_sign_payload(struct buf *out, struct slice file, struct error *err)
{
	struct json_value body, signatures;
	struct json doc = JSON_INIT;
	int r = -1;

	if (file_open_envelope(&doc, file, &body, &signatures, err) < 0)
		goto out;
	r = json_canonical(out, body, err);
out:
	json_release(&doc);
	return r;
}
