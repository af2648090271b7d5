/* Stay lists and rotations: made by the owner, believed by members. */
#include "mesh/stay.h"

#include <sodium.h>
#include <stdlib.h>

#include "mesh/bytes.h"

#define STAY_VERSION 1
#define SIGNATURE_LEN 64

static const char context[] = "meshanics-mesh-1 stay";	/* signed with its NUL */

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, NODE_ID_LEN);
}

/* What is signed: the context and the list so far. */
static void put_signed(struct buf *out, struct slice list)
{
	buf_put(out, context, sizeof(context));
	buf_put_slice(out, list);
}

int staylist_put(struct buf *out, const struct netkey *next, const struct ownerkey *owner,
		 const uint8_t (*ids)[NODE_ID_LEN], size_t count, int64_t made_at_s, struct error *err)
{
	struct buf list = BUF_INIT(STAY_LEN_MAX), whole = BUF_INIT(STAY_LEN_MAX + sizeof(context));
	uint8_t commitment[32], sig[SIGNATURE_LEN], public[32], secret[crypto_sign_SECRETKEYBYTES];
	uint8_t (*sorted)[NODE_ID_LEN];
	size_t i, kept = 0;

	if (count > STAY_IDS_MAX)
		return error_set(err, ERR_LIMIT, "%zu nodes are more than a stay list may have (%d)", count, STAY_IDS_MAX);
	if (memcmp(owner->public, next->owner, 32) != 0 || memcmp(owner->network_id, next->id, NETWORK_ID_LEN) != 0)
		return error_set(err, ERR_REFUSED, "this is not the owner's key of network '%s'", next->name);
	sorted = xcalloc(count + 1, sizeof(*sorted));
	if (count > 0)
		memcpy(sorted, ids, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_ids);
	for (i = 0; i < count; i++) {
		if (i == 0 || memcmp(sorted[i], sorted[kept - 1], NODE_ID_LEN) != 0)
			memmove(sorted[kept++], sorted[i], NODE_ID_LEN);
	}
	netkey_commitment(commitment, next);
	buf_put_u8(&list, STAY_VERSION);
	buf_put(&list, next->id, NETWORK_ID_LEN);
	buf_put_u32be(&list, next->generation);
	buf_put_u64be(&list, (uint64_t)made_at_s);
	buf_put(&list, commitment, sizeof(commitment));
	buf_put_u32be(&list, (uint32_t)kept);
	buf_put(&list, sorted, kept * sizeof(*sorted));
	put_signed(&whole, buf_slice(&list));
	crypto_sign_seed_keypair(public, secret, owner->seed);
	crypto_sign_detached(sig, NULL, whole.ptr, whole.len, secret);
	sodium_memzero(secret, sizeof(secret));
	buf_put(&list, sig, sizeof(sig));
	buf_put_slice(out, buf_slice(&list));
	free(sorted);
	buf_release(&list);
	buf_release(&whole);
	return 0;
}

static bool ids_ascend(const uint8_t *ids, size_t count)
{
	size_t i;

	for (i = 1; i < count; i++) {
		if (memcmp(ids + (i - 1) * NODE_ID_LEN, ids + i * NODE_ID_LEN, NODE_ID_LEN) >= 0)
			return false;
	}
	return true;
}

static int read_list(struct staylist *s, struct slice bytes, struct error *err)
{
	struct reader r = reader_of(bytes);
	uint8_t version = read_u8(&r);
	uint64_t made;

	memset(s, 0, sizeof(*s));
	read_into(&r, s->network_id, NETWORK_ID_LEN);
	s->generation = read_be32(&r);
	made = read_be64(&r);
	read_into(&r, s->commitment, sizeof(s->commitment));
	s->count = read_be32(&r);
	if (r.failed || version != STAY_VERSION)
		return error_set(err, ERR_MALFORMED, "the stay list is too short, or of another version");
	if (s->count > STAY_IDS_MAX || r.left != s->count * NODE_ID_LEN + SIGNATURE_LEN)
		return error_set(err, ERR_MALFORMED, "the stay list has %zu bytes, which does not fit its form",
				 bytes.len);
	s->ids = read_bytes(&r, s->count * NODE_ID_LEN);
	if (made > MESH_TIME_MAX || s->generation < 2 || !ids_ascend(s->ids, s->count))
		return error_set(err, ERR_MALFORMED,
				 "the stay list has an impossible date or generation, or is not in order");
	s->made_at_s = (int64_t)made;
	return 0;
}

int staylist_parse(struct staylist *s, struct slice bytes, const struct netkey *have, struct error *err)
{
	struct buf whole = BUF_INIT(STAY_LEN_MAX + sizeof(context));
	int bad;

	if (read_list(s, bytes, err) < 0)
		return -1;
	if (memcmp(s->network_id, have->id, NETWORK_ID_LEN) != 0)
		return error_set(err, ERR_REFUSED, "the stay list is of another network");
	put_signed(&whole, slice_of(bytes.ptr, bytes.len - SIGNATURE_LEN));
	bad = crypto_sign_verify_detached(bytes.ptr + bytes.len - SIGNATURE_LEN, whole.ptr, whole.len, have->owner);
	buf_release(&whole);
	if (bad != 0)
		return error_set(err, ERR_REFUSED, "the stay list is not signed by the owner of network '%s'", have->name);
	return 0;
}

bool staylist_has(const struct staylist *s, const uint8_t node[static NODE_ID_LEN])
{
	return s->count > 0 && bsearch(node, s->ids, s->count, NODE_ID_LEN, compare_ids) != NULL;
}

void rotation_put(struct buf *secret_out, const struct netkey *next, struct slice staylist)
{
	struct buf key = BUF_SECRET(NETKEY_BYTES_MAX);

	netkey_encode(&key, next);
	buf_put_u16be(secret_out, (uint16_t)key.len);
	buf_put_slice(secret_out, buf_slice(&key));
	buf_put_slice(secret_out, staylist);
	buf_release(&key);
}

/* That `next` and its list are what the owner made for this node. */
static int believe(const struct netkey *next, const struct staylist *list, const struct netkey *have,
		   const uint8_t *self, struct error *err)
{
	uint8_t commitment[32];

	if (!netkey_same_network(next, have))
		return error_set(err, ERR_REFUSED, "the rotation is of another network than '%s'", have->name);
	if (next->generation <= have->generation)
		return error_set(err, ERR_REFUSED, "the rotation is to generation %u, and '%s' is at %u", next->generation,
				 have->name, have->generation);
	netkey_commitment(commitment, next);
	if (list->generation != next->generation || sodium_memcmp(commitment, list->commitment, sizeof(commitment)) != 0)
		return error_set(err, ERR_REFUSED, "the rotation has a key that the owner's list does not name");
	if (!staylist_has(list, self))
		return error_set(err, ERR_REFUSED, "this node is not on the owner's list for generation %u",
				 next->generation);
	return 0;
}

int rotation_parse(struct netkey *next, struct staylist *list, struct slice bytes, const struct netkey *have,
		   const uint8_t self[static NODE_ID_LEN], struct error *err)
{
	struct reader r = reader_of(bytes);
	size_t key_len = read_be16(&r);
	const uint8_t *key = read_bytes(&r, key_len);

	memset(next, 0, sizeof(*next));
	if (key == NULL)
		return error_set(err, ERR_MALFORMED, "the rotation is too short");
	if (netkey_decode(next, slice_of(key, key_len), err) < 0 ||
	    staylist_parse(list, slice_of(r.at, r.left), have, err) < 0 || believe(next, list, have, self, err) < 0) {
		netkey_wipe(next);
		return -1;
	}
	return 0;
}
