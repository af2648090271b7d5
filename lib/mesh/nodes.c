/* The table of nodes: who is known, by id and by number, and who gives way where it is full. */
#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define NAMELESS_MS 600000
#define EVICTED_HELD (ENGINE_PEERS_MAX / 4)	/* a member that made up thousands leaves room when they are evicted */

static struct node **bucket_of(const struct mesh_engine *e, const uint8_t *id)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t h;

	crypto_shorthash(hash, id, NODE_ID_LEN, e->hash_key);
	memcpy(&h, hash, sizeof(h));
	return (struct node **)&e->buckets[h % NODE_BUCKETS];
}

struct node *node_find(const struct mesh_engine *e, const uint8_t *id)
{
	struct node *n = *bucket_of(e, id);

	while (n != NULL && memcmp(n->id, id, NODE_ID_LEN) != 0)
		n = n->next;
	return n;
}

struct node *node_of(const struct mesh_engine *e, uint32_t peer)
{
	return peer < e->nodes_top ? e->nodes[peer] : NULL;
}

bool node_live(const struct node *n)
{
	return n->current.index != 0 && n->path.family != ENDPOINT_NONE;
}

static unsigned worth(const struct node *n)
{
	return n->record_len == 0 ? 0 : !n->counts ? 1 : n->ever ? 3 : 2;
}

/* Who gives way: without a record; with one that counts no more; never in a session with us; of these, silent longest. */
static struct node *weakest(const struct mesh_engine *e)
{
	struct node *worst = NULL;
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[i];

		if (n == NULL || (n->evicted && e->evicted_count <= EVICTED_HELD) || n->current.index != 0 || n->call != NULL)
			continue;
		if (worst == NULL || worth(n) < worth(worst) ||
		    (worth(n) == worth(worst) && n->renewed_ms < worst->renewed_ms))
			worst = n;
	}
	return worst;
}

int64_t node_end_ms(const struct node *n)
{
	if (n->record_len == 0 || n->counts)
		return n->renewed_ms + RECORD_COUNTS_MS;
	return n->renewed_ms + (n->ever || n->good.family != ENDPOINT_NONE ? RECORD_REACHED_MS : RECORD_KEPT_MS);
}

static uint32_t free_peer(const struct mesh_engine *e)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] == NULL)
			return i;
	return e->nodes_top;
}

struct node *node_get(struct mesh_engine *e, const uint8_t *id, int64_t now_ms)
{
	struct node *n = node_find(e, id), **at;
	struct mesh_act a = {.kind = MESH_ACT_PEER};

	if (n != NULL)
		return n;
	/* One place is this node's own. */
	if (e->nodes_count >= ENGINE_PEERS_MAX - 1) {
		n = weakest(e);
		if (n == NULL)
			return NULL;
		node_remove(e, n, now_ms);
	}
	n = xcalloc(1, sizeof(*n));
	memcpy(n->id, id, NODE_ID_LEN);
	n->peer = free_peer(e);
	if (n->peer == e->nodes_top)
		e->nodes_top++;
	e->nodes[n->peer] = n;
	e->nodes_count++;
	at = bucket_of(e, id);
	n->next = *at;
	*at = n;
	n->rtt_us = -1;
	n->probed_ms = INT64_MIN;
	n->probed_back_ms = LONG_AGO;
	/* Whoever brings no record is soon forgotten again. */
	n->due_ms = now_ms + NAMELESS_MS;
	n->renewed_ms = n->due_ms - RECORD_COUNTS_MS;
	n->digest_in_ms = n->introduce_ms = n->called_us_ms = n->introduced_ms = n->explored_ms = LONG_AGO;
	n->call_after_ms = n->no_service_ms = n->relayed_ms = n->direct_ms = LONG_AGO;
	n->regossip_ms = ENGINE_NEVER;
	a.peer = n->peer;
	memcpy(a.node, id, NODE_ID_LEN);
	act(e, &a);
	engine_due(e, n->due_ms);
	return n;
}

void node_remove(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_PEER_GONE, .peer = n->peer};
	struct node **at = bucket_of(e, n->id);

	call_end(e, n);
	calls_drop(e, n);
	handovers_end(e, n->id);
	gossip_forget(e, n, now_ms);
	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	e->nodes[n->peer] = NULL;
	e->nodes_count--;
	e->evicted_count -= n->evicted;
	free(n->record);
	free(n);
}

struct node *node_random_live(struct mesh_engine *e, const struct node *not_this)
{
	uint32_t i, from = e->nodes_top == 0 ? 0 : engine_random(e, e->nodes_top);

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[(from + i) % e->nodes_top];

		if (n != NULL && n != not_this && node_live(n))
			return n;
	}
	return NULL;
}

struct node *node_random(struct mesh_engine *e)
{
	uint64_t draw = e->nodes_top == 0 ? 0 : engine_random64(e);
	uint32_t i, from = e->nodes_top == 0 ? 0 : (uint32_t)(draw % e->nodes_top);
	/* Those that may be gone for good, however many, are half of the draws at most. */
	bool counts = draw >> 63 == 0;
	struct node *other = NULL;

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[(from + i) % e->nodes_top];

		if (n == NULL || n->record_len == 0 || n->evicted)
			continue;
		if (n->counts == counts)
			return n;
		if (other == NULL)
			other = n;
	}
	return other;
}

size_t engine_live(const struct mesh_engine *e)
{
	size_t live = 0;
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		live += e->nodes[i] != NULL && node_live(e->nodes[i]);
	return live;
}
