/* Ranges, blocks and claims: arithmetic, and hashes that say where a node may live. */
#include "mesh/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "mesh/bytes.h"

static uint32_t mask_of(unsigned prefix)
{
	return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

static bool inside(const struct range *r, uint32_t v4, unsigned prefix)
{
	return r->prefix >= prefix && (r->v4 & mask_of(prefix)) == v4;
}

int range_check(const struct range *r, struct error *err)
{
	char text[RANGE_TEXT_LEN];

	if (r->prefix < RANGE_PREFIX_MIN || r->prefix > RANGE_PREFIX_MAX) {
		error_set(err, ERR_REFUSED, "range '%s' has a prefix that is not %d to %d", range_text(text, r),
			  RANGE_PREFIX_MIN, RANGE_PREFIX_MAX);
		return error_hint(err, "a /19 has room for 1,024 nodes, a /15 for 16,384");
	}
	if ((r->v4 & ~mask_of(r->prefix)) != 0)
		return error_set(err, ERR_REFUSED, "range '%s' has bits behind its prefix", range_text(text, r));
	if (inside(r, 0x0a000000, 8) || inside(r, 0x64400000, 10) || inside(r, 0xac100000, 12) ||
	    inside(r, 0xc0a80000, 16) || inside(r, 0xc6120000, 15))
		return 0;
	error_set(err, ERR_REFUSED, "range '%s' is not in a private range", range_text(text, r));
	return error_hint(err, "take one from 198.18.0.0/15, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10");
}

int range_parse(struct range *r, struct slice text, struct error *err)
{
	char copy[RANGE_TEXT_LEN], again[RANGE_TEXT_LEN], shown[64], *slash;
	struct in_addr addr;
	unsigned prefix = 0;
	int end = 0;

	if (text.len >= sizeof(copy))
		goto bad;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	slash = strchr(copy, '/');
	if (slash == NULL || sscanf(slash + 1, "%2u%n", &prefix, &end) != 1 || slash[1 + end] != '\0' || prefix > 32)
		goto bad;
	*slash = '\0';
	if (inet_pton(AF_INET, copy, &addr) != 1)
		goto bad;
	*r = (struct range){.v4 = ntohl(addr.s_addr), .prefix = (uint8_t)prefix};
	/* One text for one range: no leading zeros, no signs. */
	if (!slice_equal_str(text, range_text(again, r)))
		goto bad;
	return range_check(r, err);
bad:
	error_set(err, ERR_USAGE, "'%s' is not an IPv4 range", printable(shown, sizeof(shown), text));
	return error_hint(err, "as in 198.18.32.0/19");
}

const char *range_text(char out[static RANGE_TEXT_LEN], const struct range *r)
{
	snprintf(out, RANGE_TEXT_LEN, "%u.%u.%u.%u/%u", r->v4 >> 24, r->v4 >> 16 & 255, r->v4 >> 8 & 255, r->v4 & 255,
		 r->prefix % 100u);
	return out;
}

struct range range_default(unsigned n)
{
	return (struct range){.v4 = 0xc6120000 + (n % RANGE_DEFAULTS << 13), .prefix = 19};
}

bool range_overlaps(const struct range *a, const struct range *b)
{
	uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);

	return (a->v4 & mask) == (b->v4 & mask);
}

uint32_t range_blocks(const struct range *r)
{
	return UINT32_C(1) << (29 - r->prefix);
}

void addressing_init(struct addressing *a, const uint8_t network_id[static NETWORK_ID_LEN], const struct range *r,
		     int64_t created_s)
{
	struct slice id = slice_of(network_id, NETWORK_ID_LEN);
	uint8_t hash[MESH_HASH_LEN];

	memcpy(a->network_id, network_id, NETWORK_ID_LEN);
	a->range = *r;
	a->created_s = created_s;
	mesh_hash(hash, "ipv6", &id, 1);
	a->v6_prefix[0] = 0xfd;
	a->v6_prefix[1] = 0x12;
	memcpy(a->v6_prefix + 2, hash, 4);
}

uint32_t block_index(const struct addressing *a, const uint8_t node[static NODE_ID_LEN], uint16_t ordinal,
		     uint32_t attempt)
{
	uint8_t numbers[6], hash[MESH_HASH_LEN];
	struct slice parts[] = {slice_of(a->network_id, NETWORK_ID_LEN), slice_of(node, NODE_ID_LEN),
				slice_of(numbers, sizeof(numbers))};

	put_be16(numbers, ordinal);
	put_be32(numbers + 2, attempt);
	mesh_hash(hash, "block", parts, ARRAY_SIZE(parts));
	return (uint32_t)(get_be64(hash) % range_blocks(&a->range));
}

bool claim_valid(const struct addressing *a, const struct claim *c)
{
	return c->ordinal < CLAIMS_MAX && c->attempt < CLAIM_ATTEMPTS_PER_BLOCK * range_blocks(&a->range) &&
	       c->claimed_at_s >= a->created_s;
}

int claim_compare(const struct claim *a, const uint8_t a_node[static NODE_ID_LEN], const struct claim *b,
		  const uint8_t b_node[static NODE_ID_LEN])
{
	if (a->claimed_at_s != b->claimed_at_s)
		return a->claimed_at_s < b->claimed_at_s ? -1 : 1;
	return memcmp(a_node, b_node, NODE_ID_LEN);
}

uint32_t block_v4(const struct addressing *a, uint32_t block, unsigned slot)
{
	return a->range.v4 + block * BLOCK_SIZE + slot;
}

void block_v6(const struct addressing *a, uint32_t block, unsigned slot, uint8_t out[static 16])
{
	memset(out, 0, 16);
	memcpy(out, a->v6_prefix, sizeof(a->v6_prefix));
	put_be16(out + 6, (uint16_t)block);
	out[15] = (uint8_t)slot;
}

bool addressing_has_v4(const struct addressing *a, uint32_t v4)
{
	return (v4 & mask_of(a->range.prefix)) == a->range.v4;
}

bool addressing_has_v6(const struct addressing *a, const uint8_t v6[static 16])
{
	return memcmp(v6, a->v6_prefix, sizeof(a->v6_prefix)) == 0;
}

static bool slot_used(unsigned slot)
{
	return slot >= SLOT_NODE && slot <= SLOT_FORWARD_MAX;
}

bool block_of_v4(const struct addressing *a, uint32_t v4, uint32_t *block, unsigned *slot)
{
	if (!addressing_has_v4(a, v4))
		return false;
	*block = (v4 - a->range.v4) / BLOCK_SIZE;
	*slot = v4 % BLOCK_SIZE;
	return slot_used(*slot);
}

bool block_of_v6(const struct addressing *a, const uint8_t v6[static 16], uint32_t *block, unsigned *slot)
{
	static const uint8_t zero[7];

	if (!addressing_has_v6(a, v6) || memcmp(v6 + 8, zero, sizeof(zero)) != 0)
		return false;
	*block = get_be16(v6 + 6);
	*slot = v6[15];
	return *block < range_blocks(&a->range) && slot_used(*slot);
}
