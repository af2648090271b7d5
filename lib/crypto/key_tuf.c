/* Public keys as TUF key objects (specification 4.2), and the key id made of one. */
#include <assert.h>

#include "base/encode.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/keyfile.h"

static const char *keytype_of(enum key_scheme scheme)
{
	switch (scheme) {
	case KEY_ED25519:
		return "ed25519";
	case KEY_ECDSA_P256:
	case KEY_ECDSA_P384:
		return "ecdsa";
	case KEY_RSA_PSS_SHA256:
		return "rsa";
	case KEY_NONE:
		break;
	}
	return "none";
}

void pubkey_put_tuf(struct json_writer *w, const char *name, const struct pubkey *k)
{
	struct buf pem = BUF_INIT(PUBKEY_PEM_MAX);

	assert(k->scheme != KEY_NONE);
	json_open_object(w, name);
	json_put_string(w, "keytype", keytype_of(k->scheme));
	json_open_object(w, "keyval");
	if (k->scheme == KEY_ED25519) {
		json_put_hex(w, "public", k->data, k->len);
	} else {
		pubkey_put_pem(&pem, k);
		json_put_slice(w, "public", buf_slice(&pem));
	}
	json_close(w);
	json_put_string(w, "scheme", key_scheme_name(k->scheme));
	json_close(w);
	buf_release(&pem);
}

int pubkey_from_tuf(struct pubkey *k, struct json_value object, struct error *err)
{
	static const char *const members[] = {"keytype", "keyval", "scheme", NULL};
	static const char *const val_members[] = {"public", NULL};
	struct slice keytype, scheme_name, text;
	struct json_value val;
	enum key_scheme scheme;

	if (json_only(object, members, err) < 0 ||
	    json_need_string(object, "keytype", &keytype, err) < 0 ||
	    json_need_string(object, "scheme", &scheme_name, err) < 0 ||
	    json_need_object(object, "keyval", &val, err) < 0 || json_only(val, val_members, err) < 0 ||
	    json_need_string(val, "public", &text, err) < 0)
		return -1;
	scheme = key_scheme_by_name(scheme_name);
	if (scheme == KEY_NONE || !slice_equal_str(keytype, keytype_of(scheme)))
		return error_set(err, ERR_MALFORMED, "no key of type '%.*s' and scheme '%.*s' is known here",
				 SLICE_ARG(slice_sub(keytype, 0, 64)), SLICE_ARG(slice_sub(scheme_name, 0, 64)));
	if (scheme == KEY_ED25519) {
		*k = (struct pubkey){.scheme = scheme, .len = 32};
		return hex_decode(k->data, k->len, text, err) < 0 ? -1 : pubkey_check(k, err);
	}
	if (pubkey_from_pem(k, text, err) < 0)
		return -1;
	if (k->scheme != scheme)
		return error_set(err, ERR_MALFORMED, "the key's scheme says %s, its PEM says %s",
				 key_scheme_name(scheme), key_scheme_name(k->scheme));
	return 0;
}

/*
 * Canonical form is what the compact writer gives, but for the newlines of a PEM, which canonical JSON leaves as
 * they are. So the object is written, parsed and brought to its canonical form like any other.
 */
void key_id(char out[static KEY_FINGERPRINT_LEN], const struct pubkey *k)
{
	struct buf text = BUF_INIT(4096), canonical = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&text);
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	uint8_t hash[SHA256_LEN];
	int r;

	pubkey_put_tuf(&w, NULL, k);
	r = json_parse(&doc, buf_slice(&text), JSON_STRICT, &err);
	if (r == 0)
		r = json_canonical(&canonical, json_root(&doc), &err);
	assert(r == 0);	/* it is our own text */
	(void)r;
	sha256_of(buf_slice(&canonical), hash);
	hex_encode(out, hash, sizeof(hash));
	json_release(&doc);
	buf_release(&canonical);
	buf_release(&text);
}
