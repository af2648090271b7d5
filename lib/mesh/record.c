/* Records: written by their node, read by everybody. */
#include "mesh/record.h"

#include <sodium.h>

#include "mesh/bytes.h"

#define RECORD_VERSION 1
#define SIGNATURE_LEN 64
#define FIXED_LEN 87		/* before named_s */
#define SEQUENCE 65
#define BOOT_EPOCH 73

static const char context[] = "meshanics-mesh-1 record";	/* signed with its NUL */

int mesh_name_check(struct slice name, const char *what, struct error *err)
{
	char shown[96];
	size_t i;

	if (name.len == 0 || name.len > MESH_NAME_MAX)
		return error_set(err, ERR_MALFORMED, "%s has %zu bytes, not 1 to %d", what, name.len, MESH_NAME_MAX);
	for (i = 0; i < name.len; i++) {
		uint8_t c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0 && i + 1 < name.len))) {
			error_set(err, ERR_MALFORMED, "%s '%s' is no name of the mesh", what,
				  printable(shown, sizeof(shown), name));
			return error_hint(err, "allowed: a-z 0-9 and, inside, hyphens");
		}
	}
	return 0;
}

/* Context, network id, body: what is signed. Returns its length. */
static size_t signed_bytes(uint8_t *out, const struct addressing *a, const uint8_t *body, size_t body_len)
{
	memcpy(out, context, sizeof(context));
	memcpy(out + sizeof(context), a->network_id, NETWORK_ID_LEN);
	memcpy(out + sizeof(context) + NETWORK_ID_LEN, body, body_len);
	return sizeof(context) + NETWORK_ID_LEN + body_len;
}
#define SIGNED_MAX (sizeof(context) + NETWORK_ID_LEN + RECORD_LEN_MAX)

/* ---- writing ---- */

static void put_name(struct buf *b, const char *name)
{
	size_t len = strnlen(name, MESH_NAME_MAX + 1);

	buf_put_u8(b, (uint8_t)len);
	buf_put(b, name, len);
}

static void put_claims(struct buf *b, const struct mesh_record *r)
{
	size_t i;

	buf_put_u8(b, (uint8_t)r->claims_count);
	for (i = 0; i < r->claims_count; i++) {
		buf_put_u16be(b, r->claims[i].ordinal);
		buf_put_u32be(b, r->claims[i].attempt);
		buf_put_u64be(b, (uint64_t)r->claims[i].claimed_at_s);
	}
}

static void put_endpoints(struct buf *b, const struct mesh_record *r)
{
	size_t i;

	buf_put_u8(b, (uint8_t)r->endpoints_count);
	for (i = 0; i < r->endpoints_count; i++) {
		const struct endpoint *e = &r->endpoints[i].at;

		buf_put_u8(b, r->endpoints[i].kind);
		buf_put_u8(b, e->family);
		buf_put(b, e->addr, e->family == ENDPOINT_V4 ? 4 : 16);
		buf_put_u16be(b, e->port);
	}
}

static void put_forwards(struct buf *b, const struct mesh_record *r)
{
	size_t i;

	buf_put_u8(b, (uint8_t)r->forwards_count);
	for (i = 0; i < r->forwards_count; i++) {
		const struct record_forward *f = &r->forwards[i];

		buf_put_u8(b, (uint8_t)(f->ordinal * BLOCK_SIZE + f->slot));
		buf_put_u32be(b, f->named_s);
		put_name(b, f->name);
	}
}

static void put_body(struct buf *b, const struct mesh_record *r, const struct nodekey *key)
{
	buf_put_u8(b, RECORD_VERSION);
	buf_put(b, key->sign_public, 32);
	buf_put(b, key->static_public, 32);
	buf_put_u64be(b, r->sequence);
	buf_put_u32be(b, r->boot_epoch);
	buf_put_u64be(b, (uint64_t)r->made_at_s);
	buf_put_u8(b, r->ciphers);
	buf_put_u8(b, r->flags);
	buf_put_u32be(b, r->named_s);
	put_name(b, r->name);
	put_claims(b, r);
	put_endpoints(b, r);
	put_forwards(b, r);
}

size_t record_endpoint_length(const struct record_endpoint *e)
{
	return e->at.family == ENDPOINT_V4 ? 8 : 20;
}

size_t record_length(const struct mesh_record *r)
{
	/* named_s and three counts. */
	size_t len = FIXED_LEN + 4 + 1 + strnlen(r->name, MESH_NAME_MAX + 1) + 3 + 14 * r->claims_count + SIGNATURE_LEN, i;

	for (i = 0; i < r->endpoints_count; i++)
		len += record_endpoint_length(&r->endpoints[i]);
	for (i = 0; i < r->forwards_count; i++)
		len += 6 + strnlen(r->forwards[i].name, MESH_NAME_MAX + 1);
	return len;
}

int record_put(struct buf *out, const struct mesh_record *r, const struct nodekey *key, const struct addressing *a,
	       struct error *err)
{
	struct buf b = BUF_INIT(RECORD_LEN_MAX);
	uint8_t whole[SIGNED_MAX], sig[SIGNATURE_LEN], public[32], secret[crypto_sign_SECRETKEYBYTES];
	struct mesh_record again;
	int result = -1;

	if (r->claims_count > CLAIMS_MAX || r->endpoints_count > RECORD_ENDPOINTS_MAX ||
	    r->forwards_count > RECORD_FORWARDS_MAX)
		return error_set(err, ERR_LIMIT, "a record has room for %d claims, %d endpoints and %d forwards",
				 CLAIMS_MAX, RECORD_ENDPOINTS_MAX, RECORD_FORWARDS_MAX);
	put_body(&b, r, key);
	if (b.failed || b.len + SIGNATURE_LEN > RECORD_LEN_MAX) {
		error_set(err, ERR_LIMIT, "the record of this node is longer than %d bytes", RECORD_LEN_MAX);
		error_hint(err, "have fewer forwards, or shorter names for them");
		goto out;
	}
	crypto_sign_seed_keypair(public, secret, key->sign_seed);
	crypto_sign_detached(sig, NULL, whole, signed_bytes(whole, a, b.ptr, b.len), secret);
	sodium_memzero(secret, sizeof(secret));
	buf_put(&b, sig, sizeof(sig));
	if (record_parse(&again, buf_slice(&b), a, err) < 0)
		goto out;
	buf_put_slice(out, buf_slice(&b));
	result = 0;
out:
	buf_release(&b);
	return result;
}

/* ---- reading ---- */

static int get_name(struct reader *r, char out[static MESH_NAME_MAX + 1], const char *what, struct error *err)
{
	size_t len = read_u8(r);
	const uint8_t *p = read_bytes(r, len);

	if (p == NULL)
		return error_set(err, ERR_MALFORMED, "the record is cut short");
	if (mesh_name_check(slice_of(p, len), what, err) < 0)
		return -1;
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}

static int get_claims(struct reader *r, struct mesh_record *rec, struct error *err)
{
	size_t i;

	rec->claims_count = read_u8(r);
	if (rec->claims_count > CLAIMS_MAX)
		return error_set(err, ERR_LIMIT, "the record has more than %d claims", CLAIMS_MAX);
	for (i = 0; i < rec->claims_count; i++) {
		struct claim *c = &rec->claims[i];
		uint64_t when;

		c->ordinal = read_be16(r);
		c->attempt = read_be32(r);
		when = read_be64(r);
		if (c->ordinal >= CLAIMS_MAX || (i > 0 && c->ordinal <= c[-1].ordinal))
			return error_set(err, ERR_MALFORMED, "the claims of the record are not in order");
		if (when > MESH_TIME_MAX && when != CLAIM_TIME_UNKNOWN)
			return error_set(err, ERR_MALFORMED, "the record has a claim with an impossible date");
		c->claimed_at_s = (int64_t)when;
	}
	return 0;
}

/* Nobody sends mesh datagrams through the mesh that they make up. */
static bool inside_network(const struct endpoint *e, const struct addressing *a)
{
	return e->family == ENDPOINT_V4 ? addressing_has_v4(a, get_be32(e->addr)) : addressing_has_v6(a, e->addr);
}

static int get_endpoints(struct reader *r, struct mesh_record *rec, const struct addressing *a, struct error *err)
{
	size_t i;

	rec->endpoints_count = read_u8(r);
	if (rec->endpoints_count > RECORD_ENDPOINTS_MAX)
		return error_set(err, ERR_LIMIT, "the record has more than %d endpoints", RECORD_ENDPOINTS_MAX);
	for (i = 0; i < rec->endpoints_count; i++) {
		struct endpoint *e = &rec->endpoints[i].at;

		memset(e, 0, sizeof(*e));
		rec->endpoints[i].kind = read_u8(r);
		e->family = read_u8(r);
		if (e->family != ENDPOINT_V4 && e->family != ENDPOINT_V6)
			return error_set(err, ERR_MALFORMED, "the record has an endpoint of an unknown family");
		read_into(r, e->addr, e->family == ENDPOINT_V4 ? 4 : 16);
		e->port = read_be16(r);
		if (!endpoint_usable(e) || inside_network(e, a))
			return error_set(err, ERR_MALFORMED, "the record has an endpoint to which nobody may send");
	}
	return 0;
}

static bool has_claim(const struct mesh_record *rec, unsigned ordinal)
{
	size_t i;

	for (i = 0; i < rec->claims_count; i++) {
		if (rec->claims[i].ordinal == ordinal)
			return true;
	}
	return false;
}

/* Whether the i-th forward may stand beside those before it and the node itself. */
static bool forward_fits(const struct mesh_record *rec, size_t i)
{
	const struct record_forward *f = &rec->forwards[i], *g;

	if (f->slot < SLOT_FORWARD_MIN || f->slot > SLOT_FORWARD_MAX || !has_claim(rec, f->ordinal) ||
	    strcmp(f->name, rec->name) == 0)
		return false;
	for (g = rec->forwards; g < f; g++) {
		if ((g->ordinal == f->ordinal && g->slot == f->slot) || strcmp(g->name, f->name) == 0)
			return false;
	}
	return true;
}

static int get_forwards(struct reader *r, struct mesh_record *rec, struct error *err)
{
	size_t i;

	rec->forwards_count = read_u8(r);
	if (rec->forwards_count > RECORD_FORWARDS_MAX)
		return error_set(err, ERR_LIMIT, "the record has more than %d forwards", RECORD_FORWARDS_MAX);
	for (i = 0; i < rec->forwards_count; i++) {
		struct record_forward *f = &rec->forwards[i];
		uint8_t place = read_u8(r);

		f->ordinal = place / BLOCK_SIZE;
		f->slot = place % BLOCK_SIZE;
		f->named_s = read_be32(r);
		if (get_name(r, f->name, "a forward", err) < 0)
			return -1;
		if (!forward_fits(rec, i))
			return error_set(err, ERR_MALFORMED,
					 "the record has a forward '%s' whose place or name is taken, or not the node's",
					 f->name);
	}
	return 0;
}

/* Everything but version, length and signature. Bytes that are left belong to later versions. */
static int get_body(struct mesh_record *rec, struct reader *r, const struct addressing *a, struct error *err)
{
	uint64_t made;

	read_into(r, rec->sign_public, 32);
	read_into(r, rec->static_public, 32);
	rec->sequence = read_be64(r);
	rec->boot_epoch = read_be32(r);
	made = read_be64(r);
	rec->ciphers = read_u8(r);
	rec->flags = read_u8(r);
	rec->named_s = read_be32(r);
	if (rec->sequence == 0 || made > MESH_TIME_MAX || (rec->ciphers & CIPHER_CHACHA20_POLY1305) == 0)
		return error_set(err, ERR_MALFORMED, "the record has no sequence, an impossible date, or no cipher");
	rec->made_at_s = (int64_t)made;
	if (get_name(r, rec->name, "a node", err) < 0 || get_claims(r, rec, err) < 0 ||
	    get_endpoints(r, rec, a, err) < 0 || get_forwards(r, rec, err) < 0)
		return -1;
	if (r->failed)
		return error_set(err, ERR_MALFORMED, "the record is cut short");
	return 0;
}

int record_read(struct mesh_record *rec, struct slice bytes, const struct addressing *a, struct error *err)
{
	struct reader r;

	memset(rec, 0, sizeof(*rec));
	if (bytes.len > RECORD_LEN_MAX)
		return error_set(err, ERR_LIMIT, "the record has %zu bytes, more than %d", bytes.len, RECORD_LEN_MAX);
	if (bytes.len < RECORD_LEN_MIN || bytes.ptr[0] != RECORD_VERSION)
		return error_set(err, ERR_MALFORMED, "the record is cut short, or of another version");
	r = reader_of(slice_of(bytes.ptr + 1, bytes.len - SIGNATURE_LEN - 1));
	if (get_body(rec, &r, a, err) < 0)
		return -1;
	node_id_of(rec->id, rec->sign_public, rec->static_public);
	return 0;
}

int record_parse(struct mesh_record *rec, struct slice bytes, const struct addressing *a, struct error *err)
{
	uint8_t whole[SIGNED_MAX];
	size_t body_len;

	if (record_read(rec, bytes, a, err) < 0)
		return -1;
	body_len = bytes.len - SIGNATURE_LEN;
	if (crypto_sign_verify_detached(bytes.ptr + body_len, whole, signed_bytes(whole, a, bytes.ptr, body_len),
					rec->sign_public) != 0)
		return error_set(err, ERR_REFUSED, "the record of '%s' is not signed by its node for this network",
				 rec->name);
	return 0;
}

int record_peek(struct slice bytes, uint8_t id[static NODE_ID_LEN], uint64_t *sequence, uint32_t *boot_epoch)
{
	_Static_assert(FIXED_LEN < RECORD_LEN_MIN, "what is looked at is there");
	if (bytes.len < RECORD_LEN_MIN || bytes.len > RECORD_LEN_MAX || bytes.ptr[0] != RECORD_VERSION)
		return -1;
	node_id_of(id, bytes.ptr + 1, bytes.ptr + 33);
	*sequence = get_be64(bytes.ptr + SEQUENCE);
	*boot_epoch = get_be32(bytes.ptr + BOOT_EPOCH);
	return 0;
}

uint64_t record_digest(const uint8_t id[static NODE_ID_LEN], uint64_t sequence)
{
	uint8_t number[8], hash[MESH_HASH_LEN];
	struct slice parts[] = {slice_of(id, NODE_ID_LEN), slice_of(number, sizeof(number))};

	put_be64(number, sequence);
	mesh_hash(hash, "digest", parts, ARRAY_SIZE(parts));
	return get_be64(hash);
}
