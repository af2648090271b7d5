/* Keys of the mesh: their bytes, their text forms, and what is derived from them. */
#include "mesh/key.h"

#include <sodium.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"
#include "mesh/bytes.h"
#include "sys/rng.h"

#define CHECKSUM_LEN 4
#define PREFIX_LEN 4
/* Offsets in a network key. */
enum { GENERATION = 16, CREATED = 20, EXPIRES = 28, RANGE = 36, SECRET = 41, OWNER = 73, NAME_LENGTH = 105 };

_Static_assert(NAME_LENGTH + 1 == NETKEY_FIXED_LEN, "the name follows its length");

/* ---- text: a prefix, base64url, a checksum ---- */

static void checksum(uint8_t out[static CHECKSUM_LEN], const char *prefix, struct slice bytes)
{
	uint8_t hash[SHA256_LEN];
	struct sha256 h;

	sha256_init(&h);
	sha256_update(&h, prefix, PREFIX_LEN);
	sha256_update(&h, bytes.ptr, bytes.len);
	sha256_final(&h, hash);
	memcpy(out, hash, CHECKSUM_LEN);
}

static void text_put(struct buf *out, const char *prefix, struct slice bytes)
{
	struct buf all = BUF_SECRET(NETKEY_BYTES_MAX + CHECKSUM_LEN);
	uint8_t sum[CHECKSUM_LEN];

	checksum(sum, prefix, bytes);
	buf_put_slice(&all, bytes);
	buf_put(&all, sum, sizeof(sum));
	buf_put_str(out, prefix);
	base64url_put(out, buf_slice(&all));
	buf_release(&all);
}

static bool is_white(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice trimmed(struct slice s)
{
	while (s.len > 0 && is_white(s.ptr[0]))
		s = slice_sub(s, 1, SIZE_MAX);
	while (s.len > 0 && is_white(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* The bytes behind a prefix, whose checksum holds, without it. `what`: "a network key". The text is never shown. */
static int text_get(struct buf *bytes, const char *prefix, struct slice text, const char *what, struct error *err)
{
	uint8_t sum[CHECKSUM_LEN];
	struct slice content;

	text = trimmed(text);
	if (!slice_starts(text, slice_str(prefix))) {
		error_set(err, ERR_MALFORMED, "this is not %s", what);
		return error_hint(err, "it begins with '%s'", prefix);
	}
	if (base64url_decode(bytes, slice_sub(text, PREFIX_LEN, SIZE_MAX), err) < 0 || bytes->len <= CHECKSUM_LEN) {
		error_set(err, ERR_MALFORMED, "%s has a character too many, or one that is not allowed", what);
		return error_hint(err, "copy it again, whole, in one line");
	}
	content = slice_of(bytes->ptr, bytes->len - CHECKSUM_LEN);
	checksum(sum, prefix, content);
	if (memcmp(sum, bytes->ptr + content.len, CHECKSUM_LEN) != 0) {
		error_set(err, ERR_MALFORMED, "%s has a typing error: its checksum does not fit", what);
		return error_hint(err, "copy it again, whole, in one line");
	}
	bytes->len = content.len;
	return 0;
}

/* ---- network key ---- */

static bool name_printable(struct slice name)
{
	while (name.len > 0) {
		uint32_t cp;
		size_t n = utf8_decode(name, &cp);

		if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return false;
		name = slice_sub(name, n, SIZE_MAX);
	}
	return true;
}

static int set_name(struct netkey *k, struct slice name, enum error_kind kind, struct error *err)
{
	if (name.len == 0 || name.len > NETKEY_NAME_MAX)
		return error_set(err, kind, "the name of a network has %zu bytes, not 1 to %d", name.len,
				 NETKEY_NAME_MAX);
	if (!name_printable(name))
		return error_set(err, kind, "the name of the network has a byte that cannot be printed");
	memset(k->name, 0, sizeof(k->name));
	memcpy(k->name, name.ptr, name.len);
	return 0;
}

int netkey_generate(struct netkey *k, struct ownerkey *owner, struct slice name, const struct range *range,
		    int64_t created_s, int64_t expires_s, struct error *err)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	memset(k, 0, sizeof(*k));
	if (set_name(k, name, ERR_USAGE, err) < 0 || range_check(range, err) < 0)
		return -1;
	if (created_s < 0 || created_s > MESH_TIME_MAX || expires_s > MESH_TIME_MAX ||
	    (expires_s != 0 && expires_s <= created_s))
		return error_set(err, ERR_USAGE, "a network cannot expire before it is made");
	rng_bytes(k->id, sizeof(k->id));
	rng_bytes(k->secret, sizeof(k->secret));
	k->generation = 1;
	k->created_s = created_s;
	k->expires_s = expires_s;
	k->range = *range;
	memcpy(owner->network_id, k->id, sizeof(k->id));
	rng_bytes(owner->seed, sizeof(owner->seed));
	crypto_sign_seed_keypair(owner->public, secret, owner->seed);
	sodium_memzero(secret, sizeof(secret));
	memcpy(k->owner, owner->public, sizeof(k->owner));
	return 0;
}

int netkey_next(struct netkey *next, const struct netkey *now, int64_t expires_s, struct error *err)
{
	if (now->generation == UINT32_MAX)
		return error_set(err, ERR_LIMIT, "network '%s' has had all its generations", now->name);
	if (expires_s < 0 || expires_s > MESH_TIME_MAX || (expires_s != 0 && expires_s <= now->created_s))
		return error_set(err, ERR_USAGE, "a key cannot expire before its network was made");
	*next = *now;
	next->generation++;
	next->expires_s = expires_s;
	rng_bytes(next->secret, sizeof(next->secret));
	return 0;
}

void netkey_encode(struct buf *secret_out, const struct netkey *k)
{
	size_t name_len = strlen(k->name);

	buf_put(secret_out, k->id, sizeof(k->id));
	buf_put_u32be(secret_out, k->generation);
	buf_put_u64be(secret_out, (uint64_t)k->created_s);
	buf_put_u64be(secret_out, (uint64_t)k->expires_s);
	buf_put_u32be(secret_out, k->range.v4);
	buf_put_u8(secret_out, k->range.prefix);
	buf_put(secret_out, k->secret, sizeof(k->secret));
	buf_put(secret_out, k->owner, sizeof(k->owner));
	buf_put_u8(secret_out, (uint8_t)name_len);
	buf_put(secret_out, k->name, name_len);
}

int netkey_decode(struct netkey *k, struct slice bytes, struct error *err)
{
	const uint8_t *p = bytes.ptr;
	uint64_t created, expires;

	memset(k, 0, sizeof(*k));
	if (bytes.len < NETKEY_FIXED_LEN || bytes.len != (size_t)NETKEY_FIXED_LEN + p[NAME_LENGTH])
		return error_set(err, ERR_MALFORMED, "the network key has %zu bytes, which does not fit its form",
				 bytes.len);
	created = get_be64(p + CREATED);
	expires = get_be64(p + EXPIRES);
	if (created > MESH_TIME_MAX || expires > MESH_TIME_MAX || (expires != 0 && expires <= created))
		return error_set(err, ERR_MALFORMED, "the network key has impossible dates");
	memcpy(k->id, p, sizeof(k->id));
	k->generation = get_be32(p + GENERATION);
	if (k->generation == 0)
		return error_set(err, ERR_MALFORMED, "the network key is of generation 0");
	k->created_s = (int64_t)created;
	k->expires_s = (int64_t)expires;
	k->range = (struct range){.v4 = get_be32(p + RANGE), .prefix = p[RANGE + 4]};
	memcpy(k->owner, p + OWNER, sizeof(k->owner));
	if (range_check(&k->range, err) < 0 ||
	    set_name(k, slice_of(p + NETKEY_FIXED_LEN, p[NAME_LENGTH]), ERR_MALFORMED, err) < 0) {
		err->kind = ERR_MALFORMED;
		return error_wrap(err, "the network key");
	}
	memcpy(k->secret, p + SECRET, sizeof(k->secret));
	return 0;
}

/* Whether the text is the beginning of a key: as far as it goes it can be read, and its name says that more follows. */
static bool cut_short(struct slice text)
{
	struct buf bytes = BUF_SECRET(NETKEY_BYTES_MAX + CHECKSUM_LEN);
	struct error ignored = ERROR_INIT;
	size_t want = NETKEY_FIXED_LEN + 1 + CHECKSUM_LEN;	/* no name is shorter than 1 */
	bool readable;

	text = slice_sub(trimmed(text), PREFIX_LEN, SIZE_MAX);
	readable = base64url_decode(&bytes, slice_sub(text, 0, text.len - text.len % 4), &ignored) == 0;
	if (readable && bytes.len >= NETKEY_FIXED_LEN)
		want += bytes.ptr[NAME_LENGTH] - 1u;
	readable = readable && text.len < (want * 4 + 2) / 3;
	buf_release(&bytes);
	return readable;
}

/* Tell apart what text_get cannot: a key of which the end is missing, and one of another version. */
static void explain(struct slice text, struct error *err)
{
	text = trimmed(text);
	if (slice_starts(text, SLICE_LIT("mrk1"))) {
		if (!cut_short(text))
			return;
		error_set(err, ERR_MALFORMED, "the network key is cut short");
		error_hint(err, "copy it again, whole, in one line");
	} else if (slice_starts(text, SLICE_LIT("mrk")) && text.len > 3 && text.ptr[3] >= '0' && text.ptr[3] <= '9') {
		error_set(err, ERR_MALFORMED, "this network key is of version %c, and 1 is known here", text.ptr[3]);
		error_hint(err, "bring the program here to the version of whoever made the key");
	}
}

int netkey_parse(struct netkey *k, struct slice text, struct error *err)
{
	struct buf bytes = BUF_SECRET(NETKEY_BYTES_MAX + CHECKSUM_LEN);
	int r = text_get(&bytes, "mrk1", text, "a network key", err);

	if (r == 0)
		r = netkey_decode(k, buf_slice(&bytes), err);
	else
		explain(text, err);
	buf_release(&bytes);
	return r;
}

void netkey_put(struct buf *secret_out, const struct netkey *k)
{
	struct buf bytes = BUF_SECRET(NETKEY_BYTES_MAX);

	netkey_encode(&bytes, k);
	text_put(secret_out, "mrk1", buf_slice(&bytes));
	buf_release(&bytes);
}

bool netkey_same_network(const struct netkey *a, const struct netkey *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0 && a->created_s == b->created_s &&
	       a->range.v4 == b->range.v4 && a->range.prefix == b->range.prefix &&
	       memcmp(a->owner, b->owner, sizeof(a->owner)) == 0;
}

void netkey_subkeys(struct subkeys *out, const struct netkey *k)
{
	struct buf bytes = BUF_SECRET(NETKEY_BYTES_MAX);
	uint8_t mask[MESH_HASH_LEN];
	struct slice parts[2];

	netkey_encode(&bytes, k);
	parts[0] = slice_of(bytes.ptr, SECRET);
	parts[1] = slice_of(bytes.ptr + OWNER, NAME_LENGTH - OWNER);
	mesh_keyed_hash(out->psk, k->secret, "psk", parts, 2);
	mesh_keyed_hash(out->outer, k->secret, "outer", parts, 2);
	mesh_keyed_hash(mask, k->secret, "mask", parts, 2);
	memcpy(out->mask, mask, sizeof(out->mask));
	mesh_keyed_hash(out->rv, k->secret, "rv", parts, 2);
	sodium_memzero(mask, sizeof(mask));
	buf_release(&bytes);
}

void netkey_commitment(uint8_t out[static 32], const struct netkey *k)
{
	struct buf bytes = BUF_SECRET(NETKEY_BYTES_MAX);
	struct slice part;

	netkey_encode(&bytes, k);
	part = slice_of(bytes.ptr, NAME_LENGTH);
	mesh_hash(out, "generation", &part, 1);
	buf_release(&bytes);
}

/* ---- owner ---- */

int ownerkey_parse(struct ownerkey *k, struct slice text, struct error *err)
{
	struct buf bytes = BUF_SECRET(NETWORK_ID_LEN + 32 + CHECKSUM_LEN);
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	int r = text_get(&bytes, "mro1", text, "an owner's key", err);

	memset(k, 0, sizeof(*k));
	if (r == 0 && bytes.len != NETWORK_ID_LEN + 32)
		r = error_set(err, ERR_MALFORMED, "the owner's key has %zu bytes", bytes.len);
	if (r == 0) {
		memcpy(k->network_id, bytes.ptr, NETWORK_ID_LEN);
		memcpy(k->seed, bytes.ptr + NETWORK_ID_LEN, sizeof(k->seed));
		crypto_sign_seed_keypair(k->public, secret, k->seed);
		sodium_memzero(secret, sizeof(secret));
	}
	buf_release(&bytes);
	return r;
}

void ownerkey_put(struct buf *secret_out, const struct ownerkey *k)
{
	struct buf bytes = BUF_SECRET(NETWORK_ID_LEN + 32);

	buf_put(&bytes, k->network_id, sizeof(k->network_id));
	buf_put(&bytes, k->seed, sizeof(k->seed));
	text_put(secret_out, "mro1", buf_slice(&bytes));
	buf_release(&bytes);
}

/* ---- node ---- */

void node_id_of(uint8_t id[static NODE_ID_LEN], const uint8_t sign_public[static 32],
		const uint8_t static_public[static 32])
{
	struct slice parts[] = {slice_of(sign_public, 32), slice_of(static_public, 32)};
	uint8_t hash[MESH_HASH_LEN];

	mesh_hash(hash, "node", parts, ARRAY_SIZE(parts));
	memcpy(id, hash, NODE_ID_LEN);
}

/* The public halves and the id, from the secret ones. */
static void nodekey_complete(struct nodekey *k)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	crypto_sign_seed_keypair(k->sign_public, secret, k->sign_seed);
	sodium_memzero(secret, sizeof(secret));
	x25519_public(k->static_public, k->static_secret);
	node_id_of(k->id, k->sign_public, k->static_public);
}

void nodekey_generate(struct nodekey *k)
{
	rng_bytes(k->sign_seed, sizeof(k->sign_seed));
	rng_bytes(k->static_secret, sizeof(k->static_secret));
	nodekey_complete(k);
}

int nodekey_parse(struct nodekey *k, struct slice text, struct error *err)
{
	struct buf bytes = BUF_SECRET(64 + CHECKSUM_LEN);
	int r = text_get(&bytes, "mrn1", text, "a node's key", err);

	memset(k, 0, sizeof(*k));
	if (r == 0 && bytes.len != 64)
		r = error_set(err, ERR_MALFORMED, "the node's key has %zu bytes", bytes.len);
	if (r == 0) {
		memcpy(k->sign_seed, bytes.ptr, 32);
		memcpy(k->static_secret, bytes.ptr + 32, 32);
		nodekey_complete(k);
	}
	buf_release(&bytes);
	return r;
}

void nodekey_put(struct buf *secret_out, const struct nodekey *k)
{
	struct buf bytes = BUF_SECRET(64);

	buf_put(&bytes, k->sign_seed, sizeof(k->sign_seed));
	buf_put(&bytes, k->static_secret, sizeof(k->static_secret));
	text_put(secret_out, "mrn1", buf_slice(&bytes));
	buf_release(&bytes);
}

void netkey_wipe(struct netkey *k)
{
	sodium_memzero(k, sizeof(*k));
}

void subkeys_wipe(struct subkeys *k)
{
	sodium_memzero(k, sizeof(*k));
}

void ownerkey_wipe(struct ownerkey *k)
{
	sodium_memzero(k, sizeof(*k));
}

void nodekey_wipe(struct nodekey *k)
{
	sodium_memzero(k, sizeof(*k));
}
