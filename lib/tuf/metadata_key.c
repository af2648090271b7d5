/* TUF key objects and the roles that list them. */
#include "tuf/metadata.h"

#include <stdlib.h>

#include "base/encode.h"
#include "tuf/metadata_parts.h"

#define KEY_OBJECT_MAX (64u << 10) /* bytes of one canonical key object */

void tuf_keys_release(struct tuf_keys *k)
{
	free(k->list);
	*k = (struct tuf_keys){NULL, 0};
}

void tuf_role_release(struct tuf_role *r)
{
	tuf_keys_release(&r->keys);
	r->threshold = 0;
}

const struct tuf_key *tuf_keys_find(const struct tuf_keys *k, struct slice id)
{
	unsigned i;

	for (i = 0; i < k->count; i++)
		if (slice_equal_str(id, k->list[i].id))
			return &k->list[i];
	return NULL;
}

/* The same key material; keys that are unusable here are told apart by their ids. */
static bool key_same(const struct tuf_key *a, const struct tuf_key *b)
{
	if (a->pub.scheme == KEY_NONE || b->pub.scheme == KEY_NONE)
		return a->pub.scheme == b->pub.scheme && strcmp(a->id, b->id) == 0;
	return pubkey_equal(&a->pub, &b->pub);
}

static bool keys_contain(const struct tuf_keys *k, const struct tuf_key *key)
{
	unsigned i;

	for (i = 0; i < k->count; i++)
		if (key_same(&k->list[i], key))
			return true;
	return false;
}

bool tuf_keys_same(const struct tuf_keys *a, const struct tuf_keys *b)
{
	unsigned i;

	for (i = 0; i < a->count; i++)
		if (!keys_contain(b, &a->list[i]))
			return false;
	for (i = 0; i < b->count; i++)
		if (!keys_contain(a, &b->list[i]))
			return false;
	return true;
}

bool tuf_role_same(const struct tuf_role *a, const struct tuf_role *b)
{
	return a->threshold == b->threshold && tuf_keys_same(&a->keys, &b->keys);
}

/* Which of our schemes the words of a key object name; KEY_NONE for all that we do not have. */
static enum key_scheme scheme_of(struct slice keytype, struct slice scheme)
{
	static const struct {
		const char *keytype, *scheme;
		enum key_scheme is;
	} known[] = {
		{"ed25519", "ed25519", KEY_ED25519},
		{"ecdsa", "ecdsa-sha2-nistp256", KEY_ECDSA_P256},
		{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", KEY_ECDSA_P256},
		{"ecdsa", "ecdsa-sha2-nistp384", KEY_ECDSA_P384},
		{"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", KEY_ECDSA_P384},
		{"rsa", "rsassa-pss-sha256", KEY_RSA_PSS_SHA256},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (slice_equal_str(keytype, known[i].keytype) &&
		    slice_equal_str(scheme, known[i].scheme))
			return known[i].is;
	return KEY_NONE;
}

/* Raw key bytes in hex: Ed25519 as TUF writes it, and the bare curve points of old go-tuf. */
static int material_from_hex(struct pubkey *pub, size_t len, struct slice text, struct error *err)
{
	if (hex_decode(pub->data, len, text, err) < 0)
		return -1;
	pub->len = len;
	return pubkey_check(pub, err);
}

/*
 * Fill pub from the public value, or leave it KEY_NONE: an unusable key does not count and does no
 * harm.
 */
static void material_read(struct pubkey *pub, enum key_scheme scheme, struct slice text)
{
	struct error ignored = ERROR_INIT;
	int r;

	*pub = (struct pubkey){.scheme = scheme};
	if (scheme == KEY_ED25519)
		r = material_from_hex(pub, 32, text, &ignored);
	else if (scheme == KEY_ECDSA_P256 && text.len == 130)
		r = material_from_hex(pub, 65, text, &ignored);
	else if (scheme == KEY_ECDSA_P384 && text.len == 194)
		r = material_from_hex(pub, 97, text, &ignored);
	else if (scheme != KEY_NONE)
		r = pubkey_from_pem(pub, text, &ignored);
	else
		r = -1;
	if (r < 0 || pub->scheme != scheme)
		*pub = (struct pubkey){.scheme = KEY_NONE};
}

/* The words of a key object; all are required, whatever they say. */
static int key_words(struct json_value object, struct slice *keytype, struct slice *scheme,
		     struct slice *value, struct error *err)
{
	struct json_value keyval;

	if (json_type(object) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "key is %s, not an object",
				 json_type_name(json_type(object)));
	if (json_need_string(object, "keytype", keytype, err) < 0 ||
	    json_need_string(object, "scheme", scheme, err) < 0 ||
	    json_need_object(object, "keyval", &keyval, err) < 0)
		return -1;
	return json_need_string(keyval, "public", value, err);
}

/* Specification 4.2: the id is the SHA-256 of the canonical key object, unknown fields included. */
static int key_compute_id(char id[static TUF_KEYID_LEN], struct json_value object,
			  struct error *err)
{
	struct buf made = BUF_INIT(KEY_OBJECT_MAX);
	uint8_t hash[SHA256_LEN];
	struct slice canonical;
	int r = -1;

	if (json_canonical_slice(&canonical, &made, object, err) < 0)
		goto out;
	sha256_of(canonical, hash);
	hex_encode(id, hash, sizeof(hash));
	r = 0;
out:
	buf_release(&made);
	return r;
}

int tuf_key_parse(struct tuf_key *out, struct json_value object, struct error *err)
{
	struct slice keytype, scheme, value;

	if (key_words(object, &keytype, &scheme, &value, err) < 0 ||
	    key_compute_id(out->id, object, err) < 0)
		return -1;
	material_read(&out->pub, scheme_of(keytype, scheme), value);
	return 0;
}

void tuf_key_put(struct json_writer *w, const char *name, const struct pubkey *pub)
{
	pubkey_put_tuf(w, name, pub);
}

int tuf_key_table_check(struct json_value keys, struct error *err)
{
	struct json_iter it = json_iter(keys);
	struct slice keytype, scheme, value;
	char id[TUF_KEYID_LEN];

	if (json_count(keys) > TUF_KEYS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d keys", TUF_KEYS_MAX);
	while (json_next(&it)) {
		if (key_words(it.value, &keytype, &scheme, &value, err) < 0 ||
		    key_compute_id(id, it.value, err) < 0)
			return error_wrap(err, "key '%.*s'", SLICE_ARG(slice_sub(it.key, 0, 80)));
		if (!slice_equal_str(it.key, id))
			return error_set(err, ERR_MALFORMED,
					 "key '%.*s' has another id than its content, %s (4.2)",
					 SLICE_ARG(slice_sub(it.key, 0, 80)), id);
	}
	return 0;
}

/* One key id of a role: 64 hex digits, not listed before. */
static int role_keyid_check(const struct tuf_role *role, struct json_value v, struct error *err)
{
	struct error ignored = ERROR_INIT;
	uint8_t raw[SHA256_LEN];
	struct slice id;

	if (json_type(v) != JSON_STRING)
		return error_set(err, ERR_MALFORMED, "key id is %s, not a string",
				 json_type_name(json_type(v)));
	id = json_string(v);
	if (hex_decode(raw, sizeof(raw), id, &ignored) < 0)
		return error_set(err, ERR_MALFORMED, "key id '%.*s' is not 64 hex digits",
				 SLICE_ARG(slice_sub(id, 0, 80)));
	if (tuf_keys_find(&role->keys, id) != NULL)
		return error_set(err, ERR_MALFORMED, "key id '%.*s' is listed twice",
				 SLICE_ARG(id));
	return 0;
}

/* A usable key of this id; one that is unusable there may only be missing in that table. */
static const struct tuf_key *known_find(const struct tuf_known_keys *known, struct slice id)
{
	const struct tuf_key *key;
	unsigned i;

	for (i = 0; known != NULL && i < known->count; i++) {
		key = tuf_keys_find(&known->list[i]->keys, id);
		if (key != NULL && key->pub.scheme != KEY_NONE)
			return key;
	}
	return NULL;
}

/* Add the key with this id, or an unusable one when the table does not have it. */
static int role_add_key(struct tuf_role *role, struct json_value keys, struct slice id,
			const struct tuf_known_keys *known, struct error *err)
{
	struct tuf_key *key = &role->keys.list[role->keys.count];
	struct json_value object = json_get_slice(keys, id);
	const struct tuf_key *same = json_type(object) == JSON_NONE ? NULL : known_find(known, id);

	*key = (struct tuf_key){.pub = {.scheme = KEY_NONE}};
	if (same != NULL)
		*key = *same;
	else if (json_type(object) != JSON_NONE && tuf_key_parse(key, object, err) < 0)
		return -1;
	memcpy(key->id, id.ptr, id.len);
	key->id[id.len] = '\0';
	role->keys.count++;
	return 0;
}

int tuf_role_check(struct json_value entry, struct error *err)
{
	struct json_value keyids;
	int64_t threshold;

	if (json_type(entry) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "role is %s, not an object",
				 json_type_name(json_type(entry)));
	if (json_need_array(entry, "keyids", &keyids, err) < 0 ||
	    json_need_int(entry, "threshold", 1, TUF_VERSION_MAX, &threshold, err) < 0)
		return -1;
	if (json_count(keyids) > TUF_ROLE_KEYS_MAX)
		return error_set(err, ERR_LIMIT, "role has more than %d key ids",
				 TUF_ROLE_KEYS_MAX);
	return 0;
}

int tuf_role_parse(struct tuf_role *out, struct json_value entry, struct json_value keys,
		   const struct tuf_known_keys *known, struct error *err)
{
	struct tuf_role role = {.threshold = 0};
	struct json_value keyids;
	struct json_iter it;
	int64_t threshold;

	if (tuf_role_check(entry, err) < 0 || json_need_array(entry, "keyids", &keyids, err) < 0 ||
	    json_need_int(entry, "threshold", 1, TUF_VERSION_MAX, &threshold, err) < 0)
		return -1;
	/* More than fit in a role can never sign: the exact figure does not matter beyond that. */
	role.threshold = threshold > UINT32_MAX ? UINT32_MAX : (unsigned)threshold;
	role.keys.list = xcalloc(json_count(keyids), sizeof(*role.keys.list));
	for (it = json_iter(keyids); json_next(&it);)
		if (role_keyid_check(&role, it.value, err) < 0 ||
		    role_add_key(&role, keys, json_string(it.value), known, err) < 0) {
			tuf_role_release(&role);
			return -1;
		}
	*out = role;
	return 0;
}
