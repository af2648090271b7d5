/* What the engine's own node says of itself: its record, its endpoints as it and others see them, its blocks. */
#include <string.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define OBSERVED_OLD_MS (INT64_C(30) * 60000)
#define OBSERVED_SHOWN 2	/* of them go into the record */

bool own_has_endpoint(const struct mesh_engine *e, const struct endpoint *at)
{
	size_t i;

	for (i = 0; i < e->ends_count; i++)
		if (endpoint_equal(&e->ends[i].at, at))
			return true;
	return false;
}

bool own_lan(const struct mesh_engine *e, const struct endpoint *at)
{
	size_t i;

	for (i = 0; i < e->ends_count; i++)
		if (e->ends[i].kind == ENDPOINT_OWN && e->ends[i].at.family == at->family &&
		    memcmp(e->ends[i].at.addr, at->addr, at->family == ENDPOINT_V4 ? 3 : 8) == 0)
			return true;
	return false;
}

/* How many peers see us there. */
static unsigned seen_by(const struct mesh_engine *e, const struct endpoint *at)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < OBSERVED_MAX; i++)
		n += e->observed[i].at.family != ENDPOINT_NONE && endpoint_equal(&e->observed[i].at, at);
	return n;
}

static void add_endpoint(struct mesh_record *r, uint8_t kind, const struct endpoint *at)
{
	size_t i;

	for (i = 0; i < r->endpoints_count; i++)
		if (endpoint_equal(&r->endpoints[i].at, at))
			return;
	r->endpoints[r->endpoints_count++] = (struct record_endpoint){kind, *at};
}

static void put_endpoints(struct mesh_engine *e)
{
	const struct observed *best;
	size_t i, n;

	e->own.endpoints_count = 0;
	for (i = 0; i < e->ends_count; i++)
		add_endpoint(&e->own, e->ends[i].kind, &e->ends[i].at);
	/* What most agree on; a single liar is outvoted as soon as there are others. */
	for (n = 0; n < OBSERVED_SHOWN; n++) {
		best = NULL;
		for (i = 0; i < OBSERVED_MAX; i++) {
			const struct observed *o = &e->observed[i];
			size_t k = 0;

			if (o->at.family == ENDPOINT_NONE)
				continue;
			while (k < e->own.endpoints_count && !endpoint_equal(&e->own.endpoints[k].at, &o->at))
				k++;
			if (k == e->own.endpoints_count &&
			    (best == NULL || seen_by(e, &o->at) > seen_by(e, &best->at) ||
			     (seen_by(e, &o->at) == seen_by(e, &best->at) && o->ms > best->ms)))
				best = o;
		}
		if (best != NULL)
			add_endpoint(&e->own, ENDPOINT_OBSERVED, &best->at);
	}
}

/*
 * Leave out endpoints that would make the record too long, and say how many. After the first own one the first that peers
 * see is served, by which others come in through a NAT; then the rest in their order, each that still fits.
 */
static size_t fit_endpoints(struct mesh_record *r)
{
	struct record_endpoint all[RECORD_ENDPOINTS_MAX];
	size_t n = r->endpoints_count, own = 0, len, size, i, at;
	bool kept[RECORD_ENDPOINTS_MAX] = {false};

	memcpy(all, r->endpoints, sizeof(all));
	while (own < n && all[own].kind != ENDPOINT_OBSERVED)
		own++;
	r->endpoints_count = 0;
	len = record_length(r);
	for (i = 0; i < n; i++) {
		at = own == 0 || own == n || i == 0 || i > own ? i : i == 1 ? own : i - 1;
		size = record_endpoint_length(&all[at]);
		kept[at] = len + size <= RECORD_LEN_MAX;
		len += kept[at] ? size : 0;
	}
	for (i = 0; i < n; i++)
		if (kept[i])
			r->endpoints[r->endpoints_count++] = all[i];
	return n - r->endpoints_count;
}

/* One claim for each ordinal that forwards need, and the node's own. */
static int put_claims(struct mesh_engine *e, int64_t now_ms, struct error *err)
{
	size_t want = 1, i;

	for (i = 0; i < e->own.forwards_count; i++)
		if (e->own.forwards[i].ordinal + 1u > want)
			want = e->own.forwards[i].ordinal + 1u;
	if (want > CLAIMS_MAX)
		return error_set(err, ERR_LIMIT, "forwards want more than %d blocks", CLAIMS_MAX);
	for (i = e->own.claims_count; i < want; i++) {
		if (claims_choose(e->claims, e->nodekey.id, (uint16_t)i, engine_wall(e, now_ms), &e->own.claims[i], err) < 0)
			return -1;
		e->own.claims_count = i + 1;
		if (claims_set(e->claims, e->nodekey.id, e->own.claims, i + 1, err) < 0)
			return -1;
	}
	return 0;
}

static void own_block_acts(struct mesh_engine *e, int64_t now_ms)
{
	uint32_t all[2 * CLAIMS_MAX];
	size_t n = e->own_blocks_count, i;

	memcpy(all, e->own_blocks, n * sizeof(all[0]));
	e->own_blocks_count = 0;
	for (i = 0; i < e->own.claims_count; i++)
		e->own_blocks[e->own_blocks_count++] =
			block_index(&e->addressing, e->nodekey.id, e->own.claims[i].ordinal, e->own.claims[i].attempt);
	memcpy(all + n, e->own_blocks, e->own_blocks_count * sizeof(all[0]));
	own_blocks(e, all, n + e->own_blocks_count, now_ms);
}

/* most: so many endpoints may be left out. */
static int make(struct mesh_engine *e, size_t most, int64_t now_ms, struct error *err)
{
	struct buf bytes = BUF_INIT(RECORD_LEN_MAX);
	struct mesh_record before = e->own;
	struct mesh_act a = {.kind = MESH_ACT_OWN};
	size_t left;

	if (put_claims(e, now_ms, err) < 0)
		return -1;
	put_endpoints(e);
	left = fit_endpoints(&e->own);
	if (left > most) {
		e->own = before;
		error_set(err, ERR_LIMIT, "the record of this node is longer than %d bytes", RECORD_LEN_MAX);
		return error_hint(err, "have fewer forwards, or shorter names for them");
	}
	e->own.sequence++;
	e->own.boot_epoch = e->self.boot_epoch;
	e->own.made_at_s = engine_wall(e, now_ms);
	if (e->own.made_at_s < 0 || e->own.made_at_s > MESH_TIME_MAX)
		e->own.made_at_s = 0;
	e->own.ciphers = e->self.ciphers;
	if (claims_set(e->claims, e->nodekey.id, e->own.claims, e->own.claims_count, err) < 0 ||
	    record_put(&bytes, &e->own, &e->nodekey, &e->addressing, err) < 0) {
		e->own = before;
		buf_release(&bytes);
		return -1;
	}
	if (e->own_len > 0)
		gossip_count(e, e->nodekey.id, before.sequence);
	gossip_count(e, e->nodekey.id, e->own.sequence);
	memcpy(e->own_bytes, bytes.ptr, bytes.len);
	e->own_len = bytes.len;
	buf_release(&bytes);
	e->self.record = slice_of(e->own_bytes, e->own_len);
	e->self.sequence = e->own.sequence;
	memcpy(e->own.id, e->nodekey.id, NODE_ID_LEN);
	e->own_made_ms = e->own_gap_ms = now_ms;
	e->own_dirty = false;
	e->ends_left_out = left;
	a.bytes = e->self.record;
	memcpy(a.node, e->nodekey.id, NODE_ID_LEN);
	act(e, &a);
	own_block_acts(e, now_ms);
	gossip_push(e, e->self.record, NULL, PUSH_PEERS);
	/* Whoever lost us with our addresses finds us again by a beacon, and asks only for a record newer than it has. */
	if (e->ends_untold)
		discover_announce(e, now_ms);
	e->ends_untold = false;
	engine_due(e, now_ms + RECORD_RENEW_MS);
	return 0;
}

int own_make(struct mesh_engine *e, int64_t now_ms, struct error *err)
{
	return make(e, SIZE_MAX, now_ms, err);
}

void own_changed(struct mesh_engine *e, int64_t now_ms)
{
	struct error err = ERROR_INIT;

	e->own_dirty = true;
	if (now_ms - e->own_gap_ms >= RECORD_GAP_MS && own_make(e, now_ms, &err) < 0)
		e->own_gap_ms = now_ms;
	if (e->own_dirty)
		engine_due(e, e->own_gap_ms + RECORD_GAP_MS);
}

void own_timer(struct mesh_engine *e, int64_t now_ms)
{
	if (e->own_dirty || now_ms - e->own_made_ms >= RECORD_RENEW_MS)
		own_changed(e, now_ms);
	/* Else it is tried again after the gap, and the time of the next one may be past. */
	if (!e->own_dirty)
		engine_due(e, e->own_made_ms + RECORD_RENEW_MS);
}

/* Whether an own block went to another one: then it is chosen anew, at once, whatever the gap. */
static void settle(struct mesh_engine *e, int64_t now_ms)
{
	struct claims_holder h = {.node = {0}};
	struct error err = ERROR_INIT;
	unsigned moved = 0, dated = 0;
	struct node *winner = NULL;
	uint32_t block;
	size_t i;

	for (i = 0; i < e->own.claims_count; i++) {
		block = block_index(&e->addressing, e->nodekey.id, e->own.claims[i].ordinal, e->own.claims[i].attempt);
		if (claims_holder(e->claims, block, &h) && memcmp(h.node, e->nodekey.id, NODE_ID_LEN) != 0)
			winner = node_find(e, h.node);
	}
	if (winner == NULL)
		return;
	if (claims_settle(e->claims, e->nodekey.id, e->own.claims, e->own.claims_count, engine_wall(e, now_ms), &moved, &dated,
			  &err) < 0)
		return;
	if (moved > 0) {
		act_event(e, MESH_EVENT_MOVED, winner);
		own_block_acts(e, now_ms);
		/* Nothing of this node is heard before others know; once in a gap, so that nobody can keep it busy. */
		if (now_ms - e->own_moved_ms < RECORD_GAP_MS || own_make(e, now_ms, &err) < 0)
			own_changed(e, now_ms);
		else
			e->own_moved_ms = now_ms;
	}
}

void own_blocks(struct mesh_engine *e, const uint32_t *blocks, size_t count, int64_t now_ms)
{
	struct claims_holder h;
	bool lost = false;
	size_t i, k;

	for (i = 0; i < count; i++) {
		struct mesh_act a = {.kind = MESH_ACT_BLOCK, .index = blocks[i], .peer = ENGINE_NOBODY};

		if (claims_holder(e->claims, blocks[i], &h)) {
			struct node *n = node_find(e, h.node);

			if (memcmp(h.node, e->nodekey.id, NODE_ID_LEN) == 0)
				a.peer = ENGINE_SELF;
			else if (n != NULL)
				a.peer = n->peer;
		}
		for (k = 0; k < e->own_blocks_count; k++)
			lost = lost || (e->own_blocks[k] == blocks[i] && a.peer != ENGINE_SELF);
		act(e, &a);
	}
	if (lost)
		settle(e, now_ms);
}

/* Whoever is in a network of ours sees us before the NAT. */
static bool near(const struct mesh_engine *e, const uint8_t *by)
{
	const struct node *n = node_find(e, by);

	return n != NULL && own_lan(e, &n->path);
}

/*
 * Ports that no interface of ours has: something translates on the way. One from outside who sees us there is enough, since
 * another one may come in where nothing does. Nobody from outside any more: as it was.
 */
static void judge_nat(struct mesh_engine *e, uint8_t family)
{
	bool own = false, other = false;
	size_t i;

	for (i = 0; i < OBSERVED_MAX; i++) {
		const struct observed *o = &e->observed[i];

		if (o->at.family != family || near(e, o->by))
			continue;
		if (own_has_endpoint(e, &o->at))
			own = true;
		else
			other = true;
	}
	if (e->ends_count > 0 && (own || other))
		e->natted_in[family == ENDPOINT_V6] = other;
	e->natted = e->natted_in[0] || e->natted_in[1];
}

void own_observed(struct mesh_engine *e, const uint8_t *by, const struct endpoint *at, int64_t now_ms)
{
	struct observed *o = NULL;
	bool same;
	size_t i;

	if (!endpoint_usable(at) || (near(e, by) && own_has_endpoint(e, at)))
		return;
	/* One of each peer; else a free one; else the oldest. */
	for (i = 0; i < OBSERVED_MAX; i++) {
		struct observed *x = &e->observed[i];

		if (x->at.family != ENDPOINT_NONE && now_ms - x->ms > OBSERVED_OLD_MS)
			x->at.family = ENDPOINT_NONE;
		if (x->at.family != ENDPOINT_NONE && memcmp(x->by, by, NODE_ID_LEN) == 0) {
			o = x;
			break;
		}
		if (o == NULL || x->at.family == ENDPOINT_NONE || (o->at.family != ENDPOINT_NONE && x->ms < o->ms))
			o = x;
	}
	o->ms = now_ms;
	memcpy(o->by, by, NODE_ID_LEN);
	same = endpoint_equal(&o->at, at);
	o->at = *at;
	judge_nat(e, at->family);
	if (same)
		return;
	for (i = 0; i < e->own.endpoints_count; i++)
		if (endpoint_equal(&e->own.endpoints[i].at, at))
			return;
	if (!own_has_endpoint(e, at))
		own_changed(e, now_ms);
}

void mesh_engine_endpoints(struct mesh_engine *e, const struct record_endpoint *at, size_t count, int64_t now_ms)
{
	struct record_endpoint ends[ENGINE_ENDPOINTS_MAX];
	size_t i, n = 0;
	uint32_t p;

	memset(ends, 0, sizeof(ends));
	for (i = 0; i < count && n < ENGINE_ENDPOINTS_MAX; i++)
		if (endpoint_usable(&at[i].at) &&
		    !(at[i].at.family == ENDPOINT_V4 && addressing_has_v4(&e->addressing, get_be32(at[i].at.addr))) &&
		    !(at[i].at.family == ENDPOINT_V6 && addressing_has_v6(&e->addressing, at[i].at.addr)))
			ends[n++] = at[i];
	if (n == e->ends_count && memcmp(ends, e->ends, sizeof(ends)) == 0)
		return;
	memcpy(e->ends, ends, sizeof(ends));
	e->ends_count = n;
	/* What others saw was of the addresses before. */
	memset(e->observed, 0, sizeof(e->observed));
	e->natted = e->natted_in[0] = e->natted_in[1] = false;
	/* Peers follow the packet, and need not wait for the record. */
	for (p = 0; p < e->nodes_top; p++)
		if (e->nodes[p] != NULL)
			paths_moved(e, e->nodes[p], now_ms);
	e->ends_untold = true;
	own_changed(e, now_ms);
	discover_announce(e, now_ms);
}

int mesh_engine_own(struct mesh_engine *e, const struct mesh_record *own, int64_t now_ms, struct error *err)
{
	struct mesh_record before = e->own;
	size_t left;

	/* What the node is told to say beyond the present is not to push out where it is. */
	put_endpoints(e);
	left = fit_endpoints(&e->own);
	e->own.flags = own->flags;
	e->own.named_s = own->named_s;
	memcpy(e->own.name, own->name, sizeof(e->own.name));
	memcpy(e->own.forwards, own->forwards, sizeof(e->own.forwards));
	e->own.forwards_count = own->forwards_count;
	if (make(e, left, now_ms, err) == 0)
		return 0;
	e->own = before;
	return -1;
}

size_t mesh_engine_left_out(const struct mesh_engine *e)
{
	return e->ends_left_out;
}
