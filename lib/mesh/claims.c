/* Who holds which block: nodes by id, and behind every block the chain of those that claim it. */
#include "mesh/claims.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "sys/rng.h"

#define ID_BUCKETS 4096

struct node;

/* One claim of a node, in the chain of its block. */
struct held {
	struct claim claim;
	uint32_t block;
	const struct node *node;
	struct held *next;
};

struct node {
	struct node *next;	/* in its bucket */
	uint8_t id[NODE_ID_LEN];
	size_t count;
	struct held held[];
};

struct claims {
	struct addressing addressing;
	uint8_t hash_key[crypto_shorthash_KEYBYTES];	/* ids can be chosen to collide; this cannot */
	size_t nodes, blocks, blocks_taken;
	struct node *by_id[ID_BUCKETS];
	struct held *by_block[];
};

struct claims *claims_new(const struct addressing *a)
{
	size_t blocks = range_blocks(&a->range);
	struct claims *c = xcalloc(1, sizeof(*c) + blocks * sizeof(c->by_block[0]));

	c->addressing = *a;
	c->blocks = blocks;
	rng_bytes(c->hash_key, sizeof(c->hash_key));
	return c;
}

void claims_free(struct claims *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < ID_BUCKETS; i++) {
		while (c->by_id[i] != NULL) {
			struct node *n = c->by_id[i];

			c->by_id[i] = n->next;
			free(n);
		}
	}
	free(c);
}

/* The place of the pointer to that node: where it is, or where it would be appended. */
static struct node **find(const struct claims *c, const uint8_t *id)
{
	uint8_t hash[crypto_shorthash_BYTES];
	struct node **at;
	uint32_t bucket;

	crypto_shorthash(hash, id, NODE_ID_LEN, c->hash_key);
	memcpy(&bucket, hash, sizeof(bucket));
	at = (struct node **)&c->by_id[bucket % ID_BUCKETS];
	while (*at != NULL && memcmp((*at)->id, id, NODE_ID_LEN) != 0)
		at = &(*at)->next;
	return at;
}

static void link_claim(struct claims *c, struct held *h)
{
	struct held **chain = &c->by_block[h->block];

	if (*chain == NULL)
		c->blocks_taken++;
	h->next = *chain;
	*chain = h;
}

static void unlink_claim(struct claims *c, struct held *h)
{
	struct held **at = &c->by_block[h->block];

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	if (c->by_block[h->block] == NULL)
		c->blocks_taken--;
}

void claims_remove(struct claims *c, const uint8_t node[static NODE_ID_LEN])
{
	struct node **at = find(c, node), *n = *at;
	size_t i;

	if (n == NULL)
		return;
	for (i = 0; i < n->count; i++)
		unlink_claim(c, &n->held[i]);
	*at = n->next;
	free(n);
	c->nodes--;
}

static bool has_ordinal(const struct node *n, uint16_t ordinal)
{
	size_t i;

	for (i = 0; i < n->count; i++) {
		if (n->held[i].claim.ordinal == ordinal)
			return true;
	}
	return false;
}

int claims_set(struct claims *c, const uint8_t node[static NODE_ID_LEN], const struct claim *claims, size_t count,
	       struct error *err)
{
	struct node *n;
	size_t i;

	claims_remove(c, node);
	if (c->nodes >= CLAIMS_NODES_MAX)
		return error_set(err, ERR_LIMIT, "the network has more than %d nodes", CLAIMS_NODES_MAX);
	if (count > CLAIMS_MAX)
		count = CLAIMS_MAX;
	n = xcalloc(1, sizeof(*n) + count * sizeof(n->held[0]));
	memcpy(n->id, node, NODE_ID_LEN);
	for (i = 0; i < count; i++) {
		struct held *h = &n->held[n->count];

		if (!claim_valid(&c->addressing, &claims[i]) || has_ordinal(n, claims[i].ordinal))
			continue;
		h->claim = claims[i];
		h->block = block_index(&c->addressing, node, claims[i].ordinal, claims[i].attempt);
		h->node = n;
		link_claim(c, h);
		n->count++;
	}
	*find(c, node) = n;
	c->nodes++;
	return (int)n->count;
}

/* The best claim of a block, or NULL. */
static const struct held *best(const struct claims *c, uint32_t block)
{
	const struct held *h = c->by_block[block], *winner = h;

	for (; h != NULL; h = h->next) {
		if (claim_compare(&h->claim, h->node->id, &winner->claim, winner->node->id) < 0)
			winner = h;
	}
	return winner;
}

bool claims_holder(const struct claims *c, uint32_t block, struct claims_holder *out)
{
	const struct held *h = block < c->blocks ? best(c, block) : NULL;

	if (h == NULL)
		return false;
	memcpy(out->node, h->node->id, NODE_ID_LEN);
	out->claim = h->claim;
	return true;
}

bool claims_holds(const struct claims *c, const uint8_t node[static NODE_ID_LEN], uint16_t ordinal, uint32_t *block)
{
	const struct node *n = *find(c, node);
	size_t i;

	for (i = 0; n != NULL && i < n->count; i++) {
		if (n->held[i].claim.ordinal == ordinal) {
			*block = n->held[i].block;
			/* Two claims of one node on one block: it holds it either way. */
			return best(c, *block)->node == n;
		}
	}
	return false;
}

size_t claims_nodes(const struct claims *c)
{
	return c->nodes;
}

size_t claims_blocks_taken(const struct claims *c)
{
	return c->blocks_taken;
}

int claims_choose(const struct claims *c, const uint8_t node[static NODE_ID_LEN], uint16_t ordinal, int64_t now_s,
		  struct claim *out, struct error *err)
{
	uint32_t attempt, end = CLAIM_ATTEMPTS_PER_BLOCK * (uint32_t)c->blocks;
	char range[RANGE_TEXT_LEN];

	/* Nearly full is not full, and 64 tries a block find the last free one; full is full without trying. */
	for (attempt = 0; attempt < end && c->blocks_taken < c->blocks; attempt++) {
		if (c->by_block[block_index(&c->addressing, node, ordinal, attempt)] != NULL)
			continue;
		out->ordinal = ordinal;
		out->attempt = attempt;
		out->claimed_at_s = now_s < c->addressing.created_s ? CLAIM_TIME_UNKNOWN : now_s;
		return 0;
	}
	error_set(err, ERR_LIMIT, "all %zu blocks of '%s' are taken", c->blocks, range_text(range, &c->addressing.range));
	return error_hint(err, "nodes that are gone free theirs after 30 days; a new network can have a larger range");
}

int claims_settle(struct claims *c, const uint8_t node[static NODE_ID_LEN], struct claim *own, size_t count,
		  int64_t now_s, unsigned *moved, unsigned *dated, struct error *err)
{
	uint32_t block;
	size_t i;

	*moved = 0;
	*dated = 0;
	if (claims_set(c, node, own, count, err) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (!claims_holds(c, node, own[i].ordinal, &block)) {
			if (claims_choose(c, node, own[i].ordinal, now_s, &own[i], err) < 0)
				return -1;
			++*moved;
		} else if (own[i].claimed_at_s == CLAIM_TIME_UNKNOWN && now_s >= c->addressing.created_s) {
			own[i].claimed_at_s = now_s;
			++*dated;
		} else {
			continue;
		}
		if (claims_set(c, node, own, count, err) < 0)
			return -1;
	}
	return 0;
}
