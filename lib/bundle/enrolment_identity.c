/* A whole identity that the control plane has prepared: key, request and answer in one line, sealed or not. */
#include "base/encode.h"
#include "bundle/enrolment.h"

#define IDENTITY_FORMAT "meshanics-identity-1"
#define KEY_LEN 32
/* A device may have little memory: a quarter of what a desktop computer takes for a backup. */
#define COST ((struct sealed_cost){.passes = 4, .memory_kib = 65536})

void enrolment_identity_release(struct enrolment_identity *i)
{
	seckey_free(i->key);
	i->key = NULL;
	buf_release(&i->request);
	buf_release(&i->answer);
}

static void put_base64(struct json_writer *w, const char *name, struct slice bytes)
{
	struct buf text = BUF_SECRET(bytes.len / 3 * 4 + 8);

	base64_put(&text, bytes);
	json_put_slice(w, name, buf_slice(&text));
	buf_release(&text);
}

int enrolment_identity_put(struct buf *secret_out, const struct seckey *key, struct slice request, struct slice answer,
			   struct error *err)
{
	struct json_writer w = JSON_WRITER(secret_out);
	struct buf raw = BUF_SECRET(64);
	int r = -1;

	if (seckey_put_raw(key, &raw, err) == 0) {
		json_open_object(&w, NULL);
		json_put_string(&w, "format", IDENTITY_FORMAT);
		put_base64(&w, "key", buf_slice(&raw));
		put_base64(&w, "request", request);
		put_base64(&w, "answer", answer);
		json_close(&w);
		buf_put_u8(secret_out, '\n');
		r = !secret_out->failed ? 0
					: error_set(err, ERR_LIMIT, "the identity would be larger than %zu bytes",
						    secret_out->max);
	}
	buf_release(&raw);
	return r;
}

static int get_base64(struct json_value obj, const char *name, struct buf *out, struct error *err)
{
	struct slice text;

	buf_clear(out);
	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return base64_decode(out, text, err) < 0 ? error_wrap(err, "%s", name) : 0;
}

static int read_identity(struct enrolment_identity *i, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"format", "key", "request", "answer", NULL};
	struct buf raw = BUF_SECRET(64);
	struct slice format;
	int r = -1;

	if (json_type(obj) != JSON_OBJECT) {
		error_set(err, ERR_MALFORMED, "the line is no object");
	} else if (json_only(obj, names, err) == 0 && json_need_string(obj, "format", &format, err) == 0 &&
		   get_base64(obj, "key", &raw, err) == 0 && get_base64(obj, "request", &i->request, err) == 0 &&
		   get_base64(obj, "answer", &i->answer, err) == 0) {
		if (!slice_equal_str(format, IDENTITY_FORMAT))
			error_set(err, ERR_MALFORMED, "the format is not " IDENTITY_FORMAT);
		else if (raw.len != KEY_LEN)
			error_set(err, ERR_MALFORMED, "the key has %zu bytes, not %d", raw.len, KEY_LEN);
		else if ((i->key = seckey_from_raw(KEY_ECDSA_P256, buf_slice(&raw), err)) != NULL)
			r = 0;
	}
	buf_release(&raw);
	return r;
}

int enrolment_identity_parse(struct enrolment_identity *i, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (text.len > ENROLMENT_IDENTITY_MAX)
		error_set(err, ERR_LIMIT, "it is larger than %u bytes", ENROLMENT_IDENTITY_MAX);
	else if (text.len == 0 || slice_find(text, '\n', 0) != text.len - 1)
		error_set(err, ERR_MALFORMED, "it is not one line");
	else if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		r = read_identity(i, json_root(&doc), err);
	json_release(&doc);
	return r < 0 ? error_wrap(err, "identity") : 0;
}

bool enrolment_is_sealed(struct slice text)
{
	return slice_starts(text, SLICE_LIT("MSEALED"));
}

int enrolment_seal(struct buf *out, struct slice line, struct slice passphrase, struct error *err)
{
	struct sealer *s = sealer_new(passphrase, COST, out, err);

	if (s == NULL)
		return -1;
	sealer_put(s, line, out);
	sealer_end(s, out);
	sealer_free(s);
	return out->failed ? error_set(err, ERR_LIMIT, "the identity would be larger than %zu bytes", out->max) : 0;
}

int enrolment_unseal(struct buf *secret_out, struct slice sealed, struct slice passphrase, struct error *err)
{
	struct unsealer *u = NULL;
	int r = -1;

	if (sealed.len < SEALED_HEADER_LEN)
		error_set(err, ERR_MALFORMED, "it is cut short");
	else if ((u = unsealer_new(slice_sub(sealed, 0, SEALED_HEADER_LEN), passphrase, err)) != NULL &&
		 unsealer_put(u, slice_sub(sealed, SEALED_HEADER_LEN, SIZE_MAX), secret_out, err) == 0)
		r = unsealer_end(u, secret_out, err);
	unsealer_free(u);
	if (r == 0 && secret_out->failed)
		r = error_set(err, ERR_LIMIT, "it holds more than %zu bytes", secret_out->max);
	return r < 0 ? error_wrap(err, "identity") : 0;
}
