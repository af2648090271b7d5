/*
 * Generations of the network's key: which ones hold, and what a newer one does to sessions and members. How one comes
 * over the wire is in handover.c.
 */
#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define SERIES 4	/* two in each of the generations that hold */

/* ---- which ones hold ---- */

bool generation_holds(const struct mesh_engine *e, const struct generation *g, int64_t now_ms)
{
	return g == &e->gen[0] || (g == &e->gen[1] && e->gens > 1 && now_ms < g->grace_until_ms);
}

const struct generation *generation_before(const struct mesh_engine *e, int64_t now_ms)
{
	return generation_holds(e, &e->gen[1], now_ms) ? &e->gen[1] : NULL;
}

static bool stays(const struct mesh_engine *e, const uint8_t *id)
{
	return e->rotation == NULL || staylist_has(&e->stay, id);
}

struct handshake_self generation_self(const struct mesh_engine *e, const struct generation *g)
{
	struct handshake_self self = e->self;

	self.subkeys = &g->subkeys;
	self.generation = g->key.generation;
	return self;
}

const struct generation *generation_for(const struct mesh_engine *e, const struct node *n, unsigned tries, int64_t now_ms)
{
	const struct generation *before = generation_before(e, now_ms);

	return before != NULL && tries % 2 == 1 && n->generation < e->gen[0].key.generation && stays(e, n->id) ? before
													       : &e->gen[0];
}

int generation_admits(const struct mesh_engine *e, const struct generation *g, const uint8_t *id, int64_t now_ms,
		      enum session_kind *kind)
{
	*kind = SESSION_FULL;
	if (g == &e->gen[0])
		return 0;
	if (!stays(e, id))
		return -1;
	if (generation_holds(e, g, now_ms))
		return 0;
	*kind = SESSION_ROTATION;
	return e->rotation == NULL ? -1 : 0;
}

const struct netkey *mesh_engine_key(const struct mesh_engine *e)
{
	return &e->gen[0].key;
}

const struct netkey *mesh_engine_key_before(const struct mesh_engine *e)
{
	/* The timer ends a grace: so long it is as said last. */
	return e->gens > 1 && e->gen[1].grace_until_ms != LONG_AGO ? &e->gen[1].key : NULL;
}

const struct netkey *mesh_engine_key_at(const struct mesh_engine *e, size_t i)
{
	return i < e->gens ? &e->gen[i].key : NULL;
}

void mesh_engine_grace(struct mesh_engine *e, int64_t grace_ms, int64_t now_ms)
{
	if (e->gens < 2 || e->gen[1].grace_until_ms <= now_ms + grace_ms)
		return;
	e->gen[1].grace_until_ms = now_ms + grace_ms;
	engine_due(e, e->gen[1].grace_until_ms);
}

/* ---- at the start and at the end ---- */

static void generation_put(struct generation *g, const struct netkey *key, int64_t grace_until_ms)
{
	g->key = *key;
	netkey_subkeys(&g->subkeys, key);
	g->grace_until_ms = grace_until_ms;
}

static void put_in_force(struct mesh_engine *e)
{
	e->self.subkeys = &e->gen[0].subkeys;
	e->self.generation = e->gen[0].key.generation;
}

/* The rotation that put `key` in force, made of its list; empty: there is none. */
static int keep_rotation(struct mesh_engine *e, const struct netkey *key, struct slice list, struct error *err)
{
	struct buf bytes = BUF_SECRET(ROTATION_LEN_MAX);
	uint8_t commitment[32];
	struct staylist stay;

	if (list.len > 0) {
		if (staylist_parse(&stay, list, key, err) < 0)
			return -1;
		netkey_commitment(commitment, key);
		if (stay.generation != key->generation ||
		    sodium_memcmp(commitment, stay.commitment, sizeof(commitment)) != 0)
			return error_set(err, ERR_REFUSED, "the stay list is of another generation than %u of network '%s'",
					 key->generation, key->name);
	}
	if (e->rotation != NULL)
		sodium_memzero(e->rotation, e->rotation_len);
	free(e->rotation);
	e->rotation = NULL;
	e->rotation_len = 0;
	if (list.len == 0)
		return 0;
	rotation_put(&bytes, key, list);
	e->rotation = xmalloc(bytes.len);
	e->rotation_len = bytes.len;
	memcpy(e->rotation, bytes.ptr, bytes.len);
	/* It held above; this time it borrows from what is kept. */
	list = slice_of(e->rotation + bytes.len - list.len, list.len);
	buf_release(&bytes);
	return staylist_parse(&e->stay, list, key, err);
}

int generations_init(struct mesh_engine *e, const struct engine_options *o, int64_t now_ms, struct error *err)
{
	size_t i;

	e->grace_ms = o->grace_ms > 0 ? o->grace_ms : ENGINE_GRACE_MS;
	generation_put(&e->gen[0], &o->key, LONG_AGO);
	e->gens = 1;
	for (i = 0; i < o->former_count && e->gens < GENERATIONS; i++) {
		const struct engine_former *f = &o->former[i];

		if (!netkey_same_network(&f->key, &o->key) ||
		    f->key.generation >= e->gen[e->gens - 1].key.generation)
			return error_set(err, ERR_REFUSED, "generation %u is none before %u of network '%s'", f->key.generation,
					 e->gen[e->gens - 1].key.generation, o->key.name);
		generation_put(&e->gen[e->gens++], &f->key,
			       i == 0 && f->grace_ms > 0 ? now_ms + f->grace_ms : LONG_AGO);
	}
	put_in_force(e);
	if (e->gens > 1 && e->gen[1].grace_until_ms != LONG_AGO)
		engine_due(e, e->gen[1].grace_until_ms);
	return keep_rotation(e, &o->key, o->staylist, err);
}

void generations_wipe(struct mesh_engine *e)
{
	if (e->rotation != NULL)
		sodium_memzero(e->rotation, e->rotation_len);
	free(e->rotation);
	e->rotation = NULL;
	sodium_memzero(e->gen, sizeof(e->gen));
}

/* ---- a newer one ---- */

static void leave_out(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_EVICTED, .peer = n->peer, .relay = ENGINE_NOBODY};

	if (n->record_len > 0 && !n->evicted) {
		memcpy(a.node, n->id, NODE_ID_LEN);
		memcpy(a.name, n->name, sizeof(a.name));
		act(e, &a);
		mesh_engine_evict(e, n->id, now_ms);
		return;
	}
	/* Of whom nothing is known, only what it has by the older generation ends: it may get the new one by hand. */
	call_end(e, n);
	calls_drop(e, n);
}

static void say_masks(struct mesh_engine *e)
{
	struct mesh_act a = {.kind = MESH_ACT_MASKS, .peer = ENGINE_NOBODY, .relay = ENGINE_NOBODY};

	act(e, &a);
}

/* Sessions of generations before this one are over. */
static void end_older(struct mesh_engine *e, uint32_t generation)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] != NULL)
			calls_drop_older(e, e->nodes[i], generation);
}

/*
 * Who stays and loses its session by a rotation may have the generation between: it is called, to hear of the new one now.
 * By hand all are: whoever had the new one earlier may hold the former no more, and the session with it be over for it.
 */
static void call_older(struct mesh_engine *e, uint32_t generation, int64_t now_ms)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[i];
		bool over = n != NULL && n->current.index != 0 && n->current.s->generation < generation;

		if (n == NULL || n->current.index == 0 || !stays(e, n->id) || (!over && e->rotation != NULL))
			continue;
		if (over)
			calls_drop_older(e, n, generation);
		call_start(e, n, SERIES, now_ms);
	}
}

static void shift(struct mesh_engine *e, const struct netkey *next, int64_t grace_until_ms)
{
	size_t i;

	if (e->gens < GENERATIONS)
		e->gens++;
	memmove(e->gen + 1, e->gen, (e->gens - 1) * sizeof(e->gen[0]));
	generation_put(&e->gen[0], next, LONG_AGO);
	e->gen[1].grace_until_ms = grace_until_ms;
	for (i = 2; i < e->gens; i++)
		e->gen[i].grace_until_ms = LONG_AGO;
	/* The name is for the people here, and stays. */
	memcpy(e->gen[0].key.name, e->gen[1].key.name, sizeof(e->gen[0].key.name));
	put_in_force(e);
}

/* rotation: that came over the wire, or empty. */
static int take(struct mesh_engine *e, const struct netkey *next, struct slice list, struct slice rotation, int64_t grace_ms,
		int64_t now_ms, struct error *err)
{
	struct mesh_act a = {.kind = MESH_ACT_GENERATION, .peer = ENGINE_NOBODY, .relay = ENGINE_NOBODY, .bytes = rotation};
	struct netkey key = *next;
	uint32_t i;

	if (keep_rotation(e, next, list, err) < 0)
		return -1;
	shift(e, &key, grace_ms > 0 ? now_ms + grace_ms : now_ms);
	netkey_wipe(&key);
	handovers_over(e, now_ms);
	for (i = 0; e->rotation != NULL && i < e->nodes_top; i++)
		if (e->nodes[i] != NULL && !stays(e, e->nodes[i]->id))
			leave_out(e, e->nodes[i], now_ms);
	if (rotation.len > 0)
		act(e, &a);
	say_masks(e);
	call_older(e, e->gen[1].key.generation, now_ms);
	end_older(e, e->gen[1].key.generation);
	/* To one that was not on the list, or has no other's record, nobody has said anything so far. */
	if (engine_live(e) == 0)
		discover_again(e, now_ms);
	engine_due(e, e->gen[1].grace_until_ms);
	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] != NULL)
			node_due(e, e->nodes[i], now_ms);
	return 0;
}

int generation_take(struct mesh_engine *e, struct slice rotation, int64_t now_ms)
{
	struct error err = ERROR_INIT;
	struct staylist list;
	struct netkey next;
	size_t key_len;
	int r;

	if (rotation_parse(&next, &list, rotation, &e->gen[0].key, e->nodekey.id, &err) < 0)
		return -1;
	key_len = 2 + (size_t)get_be16(rotation.ptr);
	r = take(e, &next, slice_sub(rotation, key_len, rotation.len - key_len), rotation, e->grace_ms, now_ms, &err);
	netkey_wipe(&next);
	return r;
}

int mesh_engine_rotate(struct mesh_engine *e, const struct netkey *next, struct slice staylist, int64_t grace_ms,
		       int64_t now_ms, struct error *err)
{
	const struct netkey *have = &e->gen[0].key;

	if (!netkey_same_network(next, have))
		return error_set(err, ERR_REFUSED, "the key is of another network than '%s'", have->name);
	if (next->generation <= have->generation)
		return error_set(err, ERR_REFUSED, "generation %u of network '%s' is not newer than %u", next->generation,
				 have->name, have->generation);
	return take(e, next, staylist, SLICE_EMPTY, grace_ms, now_ms, err);
}

void generations_timer(struct mesh_engine *e, int64_t now_ms)
{
	if (e->gens < 2 || e->gen[1].grace_until_ms == LONG_AGO)
		return;
	if (now_ms < e->gen[1].grace_until_ms) {
		engine_due(e, e->gen[1].grace_until_ms);
		return;
	}
	e->gen[1].grace_until_ms = LONG_AGO;
	end_older(e, e->gen[0].key.generation);
	say_masks(e);
}
