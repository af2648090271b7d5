/* Gossip: records from anywhere, checked within limits; digests, and what differs. */
#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define DIGEST_GAP_MS 1000	/* between two answers to digests of one peer */
#define REGOSSIP_MS 1000	/* until the next digest, while there is more than the limits let through */
#define STRANGER_CHANCE 4	/* one tick in so many goes to a known node without a session, so that partitions meet again */

void gossip_count(struct mesh_engine *e, const uint8_t *id, uint64_t sequence)
{
	e->digest[id[0] >> 4] ^= record_digest(id, sequence);
}

static bool newer(uint32_t epoch_a, uint64_t seq_a, uint32_t epoch_b, uint64_t seq_b)
{
	return epoch_a != epoch_b ? epoch_a > epoch_b : seq_a > seq_b;
}

uint64_t sequence_above(uint64_t sequence, uint32_t boot_epoch)
{
	uint64_t least = (uint64_t)boot_epoch << 32;

	return sequence > least ? sequence : least;
}

/* ---- the table ---- */

/* Whether its record is in digests and lists, and given to whoever wants it. */
static bool spread(const struct node *n)
{
	return n->counts && !n->quiet;
}

static void take_blocks(struct mesh_engine *e, struct node *n, const struct mesh_record *r, int64_t now_ms)
{
	uint32_t all[2 * CLAIMS_MAX];
	struct error err = ERROR_INIT;
	size_t had = n->blocks_count, i;

	memcpy(all, n->blocks, had * sizeof(all[0]));
	n->blocks_count = 0;
	for (i = 0; r != NULL && i < r->claims_count; i++)
		if (claim_valid(&e->addressing, &r->claims[i]))
			n->blocks[n->blocks_count++] =
				block_index(&e->addressing, n->id, r->claims[i].ordinal, r->claims[i].attempt);
	memcpy(all + had, n->blocks, n->blocks_count * sizeof(all[0]));
	if (r == NULL)
		claims_remove(e->claims, n->id);
	else if (claims_set(e->claims, n->id, r->claims, r->claims_count, &err) < 0)
		n->blocks_count = 0;
	if (had + n->blocks_count > 0)
		own_blocks(e, all, had + n->blocks_count, now_ms);
}

void gossip_expire(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_FORGET, .peer = n->peer};

	if (spread(n))
		gossip_count(e, n->id, n->sequence);
	n->counts = false;
	take_blocks(e, n, NULL, now_ms);
	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
}

void gossip_forget(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	if (n->record_len == 0)
		return;
	gossip_expire(e, n, now_ms);
	free(n->record);
	n->record = NULL;
	n->record_len = 0;
	n->at_count = 0;
}

static void tell_name(struct mesh_engine *e, struct node *n, const char *name)
{
	bool clash = strcmp(name, e->own.name) == 0;
	uint32_t i;

	if (strcmp(n->name, name) == 0)
		return;
	for (i = 0; i < e->nodes_top && !clash; i++)
		clash = e->nodes[i] != NULL && e->nodes[i] != n && e->nodes[i]->counts &&
			strcmp(e->nodes[i]->name, name) == 0;
	if (n->name[0] != '\0')
		act_event(e, MESH_EVENT_RENAMED, n);
	snprintf(n->name, sizeof(n->name), "%s", name);
	if (clash)
		act_event(e, MESH_EVENT_NAME_CLASH, n);
}

/* The record counts from now on. */
static void begin(struct mesh_engine *e, struct node *n, const struct mesh_record *r, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_STORE, .peer = n->peer, .bytes = slice_of(n->record, n->record_len)};

	n->counts = true;
	if (spread(n))
		gossip_count(e, n->id, n->sequence);
	tell_name(e, n, r->name);
	take_blocks(e, n, r, now_ms);
	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
}

/*
 * Whoever is new knows of a node what another one tells it, and takes a dead one for living: without a look at the date,
 * newcomers would hand its record on to each other for ever. A date that is not credible says nothing: the clock of the
 * node or of this one may be wrong. If it lives it makes another record in time.
 */
struct sign gossip_sign(const struct mesh_engine *e, const struct mesh_record *r, int64_t now_ms)
{
	int64_t wall_s = engine_wall(e, now_ms), age_s = wall_s - r->made_at_s;

	if (wall_s < e->addressing.created_s || r->made_at_s < e->addressing.created_s || age_s < -RECORD_AHEAD_S ||
	    age_s >= RECORD_DOUBT_MS / 1000)
		return (struct sign){now_ms - RECORD_DOUBT_MS, true};
	return (struct sign){now_ms - (age_s < 0 ? 0 : age_s * 1000), false};
}

/* Of one that came over the wire, and is newer than what is known of n. */
static struct sign sign_of(const struct mesh_engine *e, const struct mesh_record *r, const struct node *n,
			   const struct node *from, int64_t now_ms)
{
	struct sign sign = gossip_sign(e, r, now_ms);

	if (n == NULL)
		return sign;
	if (n == from)
		return (struct sign){now_ms, false};
	/* That there is another one says more than a date that is not credible. */
	if (n->counts && sign.quiet)
		return (struct sign){now_ms, false};
	if (n->counts && n->renewed_ms > sign.renewed_ms)
		sign.renewed_ms = n->renewed_ms;
	return sign;
}

struct node *gossip_take(struct mesh_engine *e, const struct mesh_record *r, struct slice bytes, struct sign sign,
			 int64_t now_ms)
{
	struct node *n = node_get(e, r->id, now_ms);

	if (n == NULL || n->evicted ||
	    (n->record_len > 0 && !newer(r->boot_epoch, r->sequence, n->boot_epoch, n->sequence)))
		return n;
	if (spread(n))
		gossip_count(e, n->id, n->sequence);
	free(n->record);
	n->record = xmalloc(bytes.len);
	memcpy(n->record, bytes.ptr, bytes.len);
	n->record_len = bytes.len;
	n->sequence = r->sequence;
	n->boot_epoch = r->boot_epoch;
	memcpy(n->static_public, r->static_public, 32);
	memcpy(n->at, r->endpoints, sizeof(n->at));
	n->at_count = r->endpoints_count;
	n->relays = (r->flags & RECORD_RELAYS) != 0;
	n->renewed_ms = sign.renewed_ms;
	n->quiet = sign.quiet;
	e->stats.records_taken++;
	if (now_ms - n->renewed_ms < RECORD_COUNTS_MS) {
		begin(e, n, r, now_ms);
	} else {
		n->counts = false;
		take_blocks(e, n, NULL, now_ms);
		snprintf(n->name, sizeof(n->name), "%s", r->name);
	}
	node_due(e, n, node_end_ms(n));
	return n;
}

/* Its node is there: the record counts, whatever was thought of it before. */
static void alive(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct error err = ERROR_INIT;
	struct mesh_record r;

	if (n->record_len == 0 || n->evicted)
		return;
	n->renewed_ms = now_ms;
	if (n->counts && n->quiet)
		gossip_count(e, n->id, n->sequence);
	n->quiet = false;
	if (!n->counts && record_read(&r, slice_of(n->record, n->record_len), &e->addressing, &err) == 0)
		begin(e, n, &r, now_ms);
}

/* Somebody has a record of ours that we did not make: we go above it. */
static void own_again(struct mesh_engine *e, const struct mesh_record *r, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_EPOCH};

	if (!newer(r->boot_epoch, r->sequence, e->own.boot_epoch, e->own.sequence) || r->boot_epoch == UINT32_MAX)
		return;
	e->self.boot_epoch = r->boot_epoch + 1;
	gossip_count(e, e->nodekey.id, e->own.sequence);
	e->own.sequence = sequence_above(e->own.sequence, e->self.boot_epoch);
	gossip_count(e, e->nodekey.id, e->own.sequence);
	a.index = e->self.boot_epoch;
	act(e, &a);
	act_event(e, MESH_EVENT_OWN_RECORD, NULL);
	own_changed(e, now_ms);
}

static bool may_verify(struct mesh_engine *e, struct node *from, int64_t now_ms)
{
	if (from != NULL && !bucket_take(&from->verifies, GOSSIP_VERIFY_PEER_PER_S, GOSSIP_VERIFY_PEER_PER_S, now_ms)) {
		from->regossip_ms = now_ms + REGOSSIP_MS;
		node_due(e, from, from->regossip_ms);
		return false;
	}
	return bucket_take(&e->verifies, GOSSIP_VERIFY_PER_S, GOSSIP_VERIFY_PER_S, now_ms);
}

enum taken gossip_record(struct mesh_engine *e, struct slice bytes, struct node *from, int64_t now_ms)
{
	struct error err = ERROR_INIT;
	uint8_t id[NODE_ID_LEN];
	struct mesh_record r;
	uint64_t sequence;
	struct node *n;
	uint32_t epoch;

	if (record_peek(bytes, id, &sequence, &epoch) < 0)
		return TAKEN_NOT;
	n = node_find(e, id);
	if (n != NULL && (n->evicted || (n->record_len > 0 && !newer(epoch, sequence, n->boot_epoch, n->sequence))))
		return TAKEN_KNOWN;
	if (memcmp(id, e->nodekey.id, NODE_ID_LEN) == 0 && !newer(epoch, sequence, e->own.boot_epoch, e->own.sequence))
		return TAKEN_KNOWN;
	if (!may_verify(e, from, now_ms)) {
		e->stats.records_dropped++;
		return TAKEN_NOT;
	}
	e->stats.records_verified++;
	if (record_parse(&r, bytes, &e->addressing, &err) < 0)
		return TAKEN_NOT;
	if (memcmp(r.id, e->nodekey.id, NODE_ID_LEN) == 0) {
		own_again(e, &r, now_ms);
		return TAKEN_KNOWN;
	}
	n = gossip_take(e, &r, bytes, sign_of(e, &r, n, from, now_ms), now_ms);
	if (n == NULL)
		return TAKEN_NOT;
	/* Whoever hears it from the node itself is the one that all others may know. */
	gossip_push(e, bytes, from, from != NULL && from == n ? PUSH_FIRST : PUSH_PEERS);
	return TAKEN_NEW;
}

/* ---- telling ---- */

/* By this node's own session; it may be told again by others, which costs a message. */
static void push_to(struct mesh_engine *e, struct node *n, struct slice record, struct slice content)
{
	node_say_bytes(e, n, content, NULL, false);
	if (record.ptr == e->own_bytes)
		n->told = e->own.sequence;
}

void gossip_push(struct mesh_engine *e, struct slice record, const struct node *not_this, size_t most)
{
	uint32_t i, from = e->nodes_top == 0 ? 0 : engine_random(e, e->nodes_top);
	uint8_t content[MESSAGE_GOSSIP_MAX];
	size_t len = 0, told = 0;

	if (!message_add_record(content, &len, record))
		return;
	for (i = 0; i < e->nodes_top && told < most; i++) {
		struct node *n = e->nodes[(from + i) % e->nodes_top];

		if (n == NULL || n == not_this || !node_live(n))
			continue;
		push_to(e, n, record, slice_of(content, len));
		told++;
	}
}

static void say_digest(struct mesh_engine *e, struct node *n)
{
	struct message m = {.type = MESSAGE_DIGEST};

	m.u.digest.records = (uint32_t)e->nodes_count + 1;
	memcpy(m.u.digest.bucket, e->digest, sizeof(e->digest));
	node_say(e, n, &m, NULL);
}

void gossip_begin(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	alive(e, n, now_ms);
	say_digest(e, n);
	/* The first one of a newcomer matters too much to be lost on the way. */
	if (!n->greeted) {
		n->greeted = true;
		n->regossip_ms = now_ms + REGOSSIP_MS;
		node_due(e, n, n->regossip_ms);
	}
}

/*
 * What stands for its record in lists; 0: none of it is wanted, nor to be offered. false: it is not listed. Those that went
 * out of use lately are: for others they may still be in use.
 */
static bool listed_as(const struct node *n, uint64_t *sequence, int64_t now_ms)
{
	*sequence = spread(n) ? n->sequence : 0;
	return spread(n) || (n->record_len > 0 && now_ms - n->renewed_ms < RECORD_KEPT_MS);
}

/* All parts of one bucket. */
static void say_have(struct mesh_engine *e, struct node *to, uint8_t bucket, int64_t now_ms)
{
	struct message_have *all = xcalloc(e->nodes_count + 1, sizeof(*all));
	size_t count = 0, part;
	uint32_t i;

	if (e->nodekey.id[0] >> 4 == bucket) {
		memcpy(all[count].id, e->nodekey.id, NODE_ID_LEN);
		all[count++].sequence = e->own.sequence;
	}
	for (i = 0; i < e->nodes_top; i++) {
		const struct node *n = e->nodes[i];

		if (n == NULL || n->id[0] >> 4 != bucket || !listed_as(n, &all[count].sequence, now_ms))
			continue;
		memcpy(all[count++].id, n->id, NODE_ID_LEN);
	}
	for (part = 0; part == 0 || part * HAVE_MAX < count; part++) {
		struct message m = {.type = MESSAGE_HAVE};
		size_t left = count - part * HAVE_MAX;

		m.u.have.bucket = bucket;
		m.u.have.part = (uint16_t)part;
		m.u.have.parts = (uint16_t)(count == 0 ? 1 : (count + HAVE_MAX - 1) / HAVE_MAX);
		m.u.have.count = left < HAVE_MAX ? left : HAVE_MAX;
		if (m.u.have.count > 0)
			memcpy(m.u.have.pair, all + part * HAVE_MAX, m.u.have.count * sizeof(all[0]));
		node_say(e, to, &m, NULL);
	}
	free(all);
}

void gossip_digest(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	uint8_t b;

	if (now_ms - n->digest_in_ms < DIGEST_GAP_MS)
		return;
	n->digest_in_ms = now_ms;
	for (b = 0; b < DIGEST_BUCKETS; b++)
		if (m->u.digest.bucket[b] != e->digest[b])
			say_have(e, n, b, now_ms);
}

/* Records gathered into as few messages as they fit into. */
struct parcel {
	uint8_t content[MESSAGE_GOSSIP_MAX];
	size_t len;
};

static void parcel_send(struct mesh_engine *e, struct node *to, struct parcel *p)
{
	if (p->len > 0)
		node_say_bytes(e, to, slice_of(p->content, p->len), NULL, false);
	p->len = 0;
}

/* The record of n, or of this node for NULL, as far as the limit for this peer goes. */
static void parcel_add(struct mesh_engine *e, struct node *to, struct parcel *p, const struct node *n, int64_t now_ms)
{
	struct slice record = n == NULL ? slice_of(e->own_bytes, e->own_len) : slice_of(n->record, n->record_len);

	if (record.len == 0 || (n != NULL && !spread(n)))
		return;
	if (!bucket_take(&to->serves, GOSSIP_VERIFY_PEER_PER_S, GOSSIP_VERIFY_PEER_PER_S, now_ms)) {
		to->regossip_ms = now_ms + REGOSSIP_MS;
		node_due(e, to, to->regossip_ms);
		return;
	}
	if (n == NULL)
		to->told = e->own.sequence;
	if (message_add_record(p->content, &p->len, record))
		return;
	parcel_send(e, to, p);
	(void)message_add_record(p->content, &p->len, record);
}

static bool listed(const struct message *m, const uint8_t *id)
{
	size_t i;

	for (i = 0; i < m->u.have.count; i++)
		if (memcmp(m->u.have.pair[i].id, id, NODE_ID_LEN) == 0)
			return true;
	return false;
}

/*
 * What the other lacks: only where its list is in one part, for what a part does not name another may. In larger
 * networks it asks for the rest by its own digest.
 */
static void offer(struct mesh_engine *e, struct node *to, const struct message *m, int64_t now_ms)
{
	struct parcel p = {.len = 0};
	uint32_t i;

	if (m->u.have.parts == 1) {
		if (e->nodekey.id[0] >> 4 == m->u.have.bucket && !listed(m, e->nodekey.id))
			parcel_add(e, to, &p, NULL, now_ms);
		for (i = 0; i < e->nodes_top; i++)
			if (e->nodes[i] != NULL && e->nodes[i]->id[0] >> 4 == m->u.have.bucket &&
			    !listed(m, e->nodes[i]->id))
				parcel_add(e, to, &p, e->nodes[i], now_ms);
	}
	for (i = 0; i < m->u.have.count; i++) {
		const struct node *n = node_find(e, m->u.have.pair[i].id);

		if (m->u.have.pair[i].sequence == 0)
			continue;
		if (memcmp(m->u.have.pair[i].id, e->nodekey.id, NODE_ID_LEN) == 0) {
			if (m->u.have.pair[i].sequence < e->own.sequence)
				parcel_add(e, to, &p, NULL, now_ms);
		} else if (n != NULL && n->sequence > m->u.have.pair[i].sequence) {
			parcel_add(e, to, &p, n, now_ms);
		}
	}
	parcel_send(e, to, &p);
}

void gossip_have(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct message want = {.type = MESSAGE_WANT};
	size_t i;

	for (i = 0; i < m->u.have.count; i++) {
		const struct message_have *h = &m->u.have.pair[i];
		const struct node *k = node_find(e, h->id);
		bool own = memcmp(h->id, e->nodekey.id, NODE_ID_LEN) == 0;

		if (h->sequence == 0)
			continue;
		if (own ? h->sequence <= e->own.sequence
			: k != NULL && (k->evicted || (k->record_len > 0 && h->sequence <= k->sequence)))
			continue;
		/* No more than are verified. */
		if (want.u.want.count == WANT_MAX ||
		    !bucket_take(&n->wants, GOSSIP_VERIFY_PEER_PER_S, GOSSIP_VERIFY_PEER_PER_S, now_ms)) {
			n->regossip_ms = now_ms + REGOSSIP_MS;
			node_due(e, n, n->regossip_ms);
			break;
		}
		memcpy(want.u.want.id[want.u.want.count++], h->id, NODE_ID_LEN);
	}
	if (want.u.want.count > 0)
		node_say(e, n, &want, NULL);
	offer(e, n, m, now_ms);
}

void gossip_want(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct parcel p = {.len = 0};
	size_t i;

	for (i = 0; i < m->u.want.count; i++) {
		const struct node *k = node_find(e, m->u.want.id[i]);

		if (memcmp(m->u.want.id[i], e->nodekey.id, NODE_ID_LEN) == 0)
			parcel_add(e, n, &p, NULL, now_ms);
		else if (k != NULL)
			parcel_add(e, n, &p, k, now_ms);
	}
	parcel_send(e, n, &p);
}

void gossip_records(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct slice record;
	size_t at = 0;

	while (message_next_record(m->u.records, &at, &record))
		gossip_record(e, record, n, now_ms);
}

/* ---- time ---- */

void gossip_node_timer(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	if (n->regossip_ms == ENGINE_NEVER)
		return;
	if (now_ms < n->regossip_ms) {
		node_due(e, n, n->regossip_ms);
		return;
	}
	n->regossip_ms = ENGINE_NEVER;
	say_digest(e, n);
}

void gossip_timer(struct mesh_engine *e, int64_t now_ms)
{
	struct node *n;

	if (now_ms >= e->gossip_ms) {
		e->gossip_ms = now_ms + GOSSIP_MS * 4 / 5 + engine_random(e, GOSSIP_MS * 2 / 5);
		/* Behind a NAT, who passes on makes this node reachable to all. */
		if (e->natted && relay_for(e, NULL, now_ms) == NULL)
			relay_seek(e, NULL, now_ms);
		n = engine_random(e, STRANGER_CHANCE) == 0 ? NULL : node_random_live(e, NULL);
		if (n == NULL)
			n = node_random(e);
		if (n != NULL && node_live(n))
			say_digest(e, n);
		else if (n != NULL)
			call_start(e, n, 2, now_ms);
	}
	engine_due(e, e->gossip_ms);
}
