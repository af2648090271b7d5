/* Objects in a token: what they say of themselves, with every length checked, and the public key in all its forms. */
#include <stdio.h>

#include "crypto/der.h"
#include "crypto/pkcs11_internal.h"

#define PARAMS_MAX 64
#define POINT_MAX 160

int pkcs11_attribute(const struct pkcs11_key *k, unsigned long object, unsigned long type, void *out, size_t *len,
		     struct error *err)
{
	struct ck_attribute a = {type, out, *len};
	unsigned long r = k->module->f->C_GetAttributeValue(k->session, object, &a, 1);

	if (r == CKR_ATTRIBUTE_TYPE_INVALID || r == CKR_ATTRIBUTE_SENSITIVE || (r == CKR_OK && a.len == CK_UNAVAILABLE))
		return error_set(err, ERR_NOT_FOUND, "%s: attribute 0x%lx is not there", k->name, type);
	if (r == CKR_BUFFER_TOO_SMALL || (r == CKR_OK && a.len > *len))
		return error_set(err, ERR_LIMIT, "%s: attribute 0x%lx is longer than %zu bytes", k->name, type, *len);
	if (r != CKR_OK)
		return pkcs11_failed(err, r, "cannot read from the token");
	*len = a.len;
	return 0;
}

int pkcs11_find(const struct pkcs11_key *k, struct ck_attribute *list, unsigned long count, unsigned long *object,
		struct error *err)
{
	const struct ck_functions *f = k->module->f;
	unsigned long found[2] = {0, 0}, n = 0, r;

	if ((r = f->C_FindObjectsInit(k->session, list, count)) != CKR_OK)
		return pkcs11_failed(err, r, "cannot search the token");
	r = f->C_FindObjects(k->session, found, 2, &n);
	(void)f->C_FindObjectsFinal(k->session);
	if (r != CKR_OK)
		return pkcs11_failed(err, r, "cannot search the token");
	if (n > 2)
		return error_set(err, ERR_MALFORMED, "the token found %lu objects where 2 were asked for", n);
	*object = found[0];
	return (int)n;
}

/* ---- the public key ---- */

static enum key_scheme scheme_of(struct slice params)
{
	static const struct {
		struct slice der;
		enum key_scheme scheme;
	} curves[] = {
		{{(const uint8_t *)"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10}, KEY_ECDSA_P256},
		{{(const uint8_t *)"\x06\x03\x2b\x65\x70", 5}, KEY_ED25519},
		/* Older names of the same curve: a word, and GNU's number. */
		{{(const uint8_t *)"\x13\x0c" "edwards25519", 14}, KEY_ED25519},
		{{(const uint8_t *)"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01", 11}, KEY_ED25519},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(curves); i++)
		if (slice_equal(params, curves[i].der))
			return curves[i].scheme;
	return KEY_NONE;
}

int pkcs11_point_parse(struct pubkey *out, struct slice params, struct slice point, struct error *err)
{
	enum key_scheme scheme = scheme_of(params);
	size_t want = scheme == KEY_ED25519 ? 32 : 65;
	struct der d = der_of(point);

	if (scheme == KEY_NONE)
		return error_set(err, ERR_REFUSED, "the key is on a curve that is not used here");
	if (point.len != want &&
	    (der_get(&d, DER_OCTET_STRING, &point, "point of the key", err) < 0 || der_end(&d, "the point", err) < 0))
		return -1;
	if (point.len != want)
		return error_set(err, ERR_MALFORMED, "the point of the key has %zu bytes, not %zu", point.len, want);
	*out = (struct pubkey){.scheme = scheme, .len = want};
	memcpy(out->data, point.ptr, want);
	return pubkey_check(out, err);
}

static int read_point(const struct pkcs11_key *k, unsigned long object, struct pubkey *out, struct error *err)
{
	uint8_t params[PARAMS_MAX], point[POINT_MAX];
	size_t params_len = sizeof(params), point_len = sizeof(point);

	if (pkcs11_attribute(k, object, CKA_EC_POINT, point, &point_len, err) < 0 ||
	    pkcs11_attribute(k, object, CKA_EC_PARAMS, params, &params_len, err) < 0)
		return -1;
	return pkcs11_point_parse(out, slice_of(params, params_len), slice_of(point, point_len), err);
}

static int read_info(const struct pkcs11_key *k, struct pubkey *out, struct error *err)
{
	uint8_t info[PUBKEY_LEN_MAX];
	size_t len = sizeof(info);

	if (pkcs11_attribute(k, k->object, CKA_PUBLIC_KEY_INFO, info, &len, err) < 0)
		return -1;
	if (len == 0)
		return error_set(err, ERR_NOT_FOUND, "%s: no public key", k->name);
	return pubkey_from_spki(out, slice_of(info, len), err);
}

/* The public object that goes with the private one: by id, else by label. 0, or -1 with err. */
static int find_public(const struct pkcs11_key *k, struct pkcs11_uri *u, unsigned long *object, struct error *err)
{
	unsigned long class = CKO_PUBLIC_KEY;
	struct ck_attribute list[] = {
		{CKA_CLASS, &class, sizeof(class)},
		{u->id_len > 0 ? CKA_ID : CKA_LABEL, u->id_len > 0 ? (void *)u->id : (void *)u->object,
		 u->id_len > 0 ? u->id_len : strlen(u->object)},
	};
	int n = pkcs11_find(k, list, ARRAY_SIZE(list), object, err);

	if (n < 0)
		return -1;
	return n > 0 ? 0 : error_set(err, ERR_NOT_FOUND, "%s: no public key", k->name);
}

/* The id and the label of the private key as they are; a label that is no text is passed over. */
static int read_names(const struct pkcs11_key *k, struct pkcs11_uri *u, struct error *err)
{
	char label[PKCS11_LABEL_MAX], shown[4 * PKCS11_LABEL_MAX + 1];
	size_t len = sizeof(label);

	u->id_len = sizeof(u->id);
	if (pkcs11_attribute(k, k->object, CKA_ID, u->id, &u->id_len, err) < 0)
		u->id_len = 0;
	u->object[0] = '\0';
	if (pkcs11_attribute(k, k->object, CKA_LABEL, label, &len, err) == 0 && len > 0 &&
	    slice_equal_str(slice_of(label, len), printable(shown, sizeof(shown), slice_of(label, len))))
		snprintf(u->object, sizeof(u->object), "%.*s", (int)len, label);
	if (u->id_len > 0 || u->object[0] != '\0')
		return 0;
	return error_set(err, ERR_FAILED, "%s has neither an id nor a label by which to find it again", k->name);
}

int pkcs11_key_public(struct pkcs11_key *k, struct pubkey *out, struct pkcs11_uri *u, struct error *err)
{
	unsigned long object;

	if (read_names(k, u, err) < 0)
		return -1;
	if (find_public(k, u, &object, err) == 0)
		return read_point(k, object, out, err);
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	/* Some tokens keep no public objects, but let the private one tell. */
	if (read_info(k, out, err) == 0)
		return 0;
	if (err->kind == ERR_NOT_FOUND && read_point(k, k->object, out, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	error_set(err, ERR_NOT_FOUND, "the token holds no public key beside %s", k->name);
	return error_hint(err, "put it there with the token's own tool, under the same id");
}

bool pkcs11_key_confined(struct pkcs11_key *k)
{
	struct error ignored = ERROR_INIT;
	uint8_t never = 0;
	size_t len = sizeof(never);

	return pkcs11_attribute(k, k->object, CKA_NEVER_EXTRACTABLE, &never, &len, &ignored) == 0 && len == 1 && never == 1;
}
