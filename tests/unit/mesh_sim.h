/*
 * A network of engines on a virtual clock: nodes, links with delay and loss, NATs, partitions. Each node has a plane of
 * a few lines, which seals, opens and stages as the real one does.
 */
#ifndef MESHANICS_TESTS_MESH_SIM_H
#define MESHANICS_TESTS_MESH_SIM_H

#include "mesh/engine.h"
#include "mesh_fixture.h"
#include "base/buf.h"

#define SIM_NODES 32
#define SIM_NATS 8
#define SIM_MAPPINGS 256
#define SIM_STAGED 128
#define SIM_START 1000000

enum sim_nat_kind { SIM_NO_NAT, SIM_FULL_CONE, SIM_SYMMETRIC };

struct sim_session {
	uint32_t index, peer;
	struct session *s;	/* NULL: taken, not published */
	enum mesh_use use;
	bool confirmed;
};

struct sim_peer {
	uint8_t id[NODE_ID_LEN];
	struct endpoint at;
	uint32_t relay;
	uint32_t sending;	/* index; 0: none */
	struct engine_traffic t;
	unsigned staged;
	bool wanted;
	uint16_t mtu;
};

struct sim;

struct sim_node {
	struct sim *sim;
	unsigned number;
	struct mesh_engine *e;
	struct engine_ops ops;
	struct nodekey key;
	uint32_t epoch;
	uint64_t sequence;
	struct mesh_record own;
	struct endpoint at;	/* its socket */
	struct endpoint also;	/* another address of it */
	unsigned nat, lan, side;	/* nat: 0 none; lan: 0 none; side: of a partition */
	bool up;
	struct sim_session *sessions;
	size_t sessions_count, sessions_room;
	struct sim_peer *peers;
	uint64_t sent, sent_bytes, received_data, refused, moved, ups, given_up, left_out;
	int64_t first_data_ms;
	/* what its disk has of others */
	struct sim_kept {
		uint8_t id[NODE_ID_LEN], record[RECORD_LEN_MAX];
		size_t len;
		int64_t renewed_ms, stopped_ms;	/* the latter: when the node was killed */
		struct endpoint at;
	} kept[SIM_NODES];
	size_t kept_count;
	/* and of generations */
	struct netkey gen, former[ENGINE_FORMER_MAX];
	size_t former_count;
	int64_t grace_until_ms;
	struct buf stay;
	uint8_t out[SIM_NODES][NODE_ID_LEN];	/* evicted */
	size_t out_count, out_new;	/* the latter: of the generation that comes next */
	struct subkeys masks[2];
	size_t masks_count;
	struct mesh_act asked, answer;	/* the last ones; kind 0: none */
	char answer_text[ANSWER_TEXT_MAX + 1];
};

struct sim_mapping {
	unsigned node;
	struct endpoint to;	/* of a symmetric NAT */
	uint16_t port;
};

struct sim_nat {
	enum sim_nat_kind kind;
	struct endpoint at;
	struct sim_mapping map[SIM_MAPPINGS];
	size_t count;
};

struct sim_event {
	int64_t at_ms;
	uint64_t order;
	unsigned node;
	struct endpoint from;
	bool multicast;
	size_t len;
	uint8_t *bytes;
};

struct sim {
	struct mesh_net net;
	int64_t now_ms;
	uint64_t seed, order;
	struct sim_node node[SIM_NODES + 1];	/* from 1 */
	unsigned count;
	struct sim_nat nat[SIM_NATS + 1];
	struct sim_event *events;	/* a heap */
	size_t events_count, events_room;
	unsigned loss_percent;
	int64_t delay_ms;
	size_t mtu;			/* larger datagrams are lost; 0: none is */
	bool parted, multicast;	/* the latter: what goes out now */
	bool cut[SIM_NODES + 1][SIM_NODES + 1];	/* [from][to]: nothing gets there */
	struct endpoint slow;		/* datagrams to it take longer */
	int64_t slow_ms;
	bool disk;			/* records and endpoints outlive a kill */
	struct endpoint victim;		/* datagrams to it are counted */
	uint64_t at_victim;
};

/* ---- the wire ---- */

static UNUSED bool sim_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static UNUSED void sim_push(struct sim *s, struct sim_event ev)
{
	size_t i = s->events_count++;

	if (s->events_count > s->events_room) {
		s->events_room = s->events_room * 2 + 64;
		s->events = xreallocarray(s->events, s->events_room, sizeof(*s->events));
	}
	ev.order = s->order++;
	for (; i > 0 && sim_before(&ev, &s->events[(i - 1) / 2]); i = (i - 1) / 2)
		s->events[i] = s->events[(i - 1) / 2];
	s->events[i] = ev;
}

static UNUSED struct sim_event sim_pop(struct sim *s)
{
	struct sim_event top = s->events[0], last = s->events[--s->events_count];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < s->events_count) {
		if (k + 1 < s->events_count && sim_before(&s->events[k + 1], &s->events[k]))
			k++;
		if (!sim_before(&s->events[k], &last))
			break;
		s->events[i] = s->events[k];
		i = k;
	}
	if (s->events_count > 0)
		s->events[i] = last;
	return top;
}

/* Where a datagram seems to come from: the NAT opens a port on the way out. */
static UNUSED struct endpoint sim_source(struct sim *s, const struct sim_node *from, const struct endpoint *to)
{
	struct sim_nat *n = &s->nat[from->nat];
	struct endpoint out = n->at;
	size_t i;

	if (from->nat == 0)
		return from->at;
	for (i = 0; i < n->count; i++)
		if (n->map[i].node == from->number && (n->kind == SIM_FULL_CONE || endpoint_equal(&n->map[i].to, to)))
			break;
	if (i == n->count && n->count < SIM_MAPPINGS)
		n->map[n->count++] = (struct sim_mapping){from->number, *to, (uint16_t)(20000 + n->count * 7)};
	out.port = i < n->count ? n->map[i].port : 1;
	return out;
}

/* The node that a datagram to `to` reaches, or 0. */
static UNUSED unsigned sim_target(struct sim *s, const struct sim_node *from, const struct endpoint *to,
				  const struct endpoint *source)
{
	unsigned i;
	size_t k;

	for (i = 1; i <= s->count; i++)
		if (endpoint_equal(&s->node[i].at, to) || endpoint_equal(&s->node[i].also, to))
			return s->node[i].nat == 0 || s->node[i].nat == from->nat ? i : 0;
	for (i = 1; i <= SIM_NATS; i++) {
		struct sim_nat *n = &s->nat[i];

		for (k = 0; n->kind != SIM_NO_NAT && k < n->count; k++)
			if (memcmp(n->at.addr, to->addr, 16) == 0 && n->map[k].port == to->port)
				return n->kind == SIM_FULL_CONE || endpoint_equal(&n->map[k].to, source) ? n->map[k].node : 0;
	}
	return 0;
}

static UNUSED void sim_wire(struct sim_node *from, const struct endpoint *to, const uint8_t *bytes, size_t len)
{
	struct sim *s = from->sim;
	struct sim_event ev = {.at_ms = s->now_ms + s->delay_ms, .multicast = s->multicast, .len = len};

	from->sent++;
	from->sent_bytes += len;
	if (endpoint_equal(to, &s->victim))
		s->at_victim++;
	ev.from = sim_source(s, from, to);
	ev.node = sim_target(s, from, to, &ev.from);
	/* Behind the same NAT they see each other as they are. */
	if (ev.node != 0 && endpoint_equal(&s->node[ev.node].at, to))
		ev.from = s->node[ev.node].nat == from->nat ? from->at : ev.from;
	if (endpoint_equal(to, &s->slow))
		ev.at_ms += s->slow_ms;
	if (ev.node == 0 || !s->node[ev.node].up || s->cut[from->number][ev.node] || (s->parted && s->node[ev.node].side != from->side) ||
	    mesh_random(&s->seed) % 100 < s->loss_percent || (s->mtu > 0 && len > s->mtu))
		return;
	ev.bytes = xmalloc(len);
	memcpy(ev.bytes, bytes, len);
	sim_push(s, ev);
}

/* ---- a node's plane ---- */

static UNUSED struct sim_session *sim_session(struct sim_node *n, uint32_t index)
{
	size_t i;

	for (i = 0; index != 0 && i < n->sessions_count; i++)
		if (n->sessions[i].index == index)
			return &n->sessions[i];
	return NULL;
}

static UNUSED void sim_random(void *arg, void *out, size_t n)
{
	struct sim_node *node = arg;
	uint8_t *p = out;

	while (n-- > 0)
		*p++ = (uint8_t)(mesh_random(&node->sim->seed) >> 32);
}

static UNUSED int sim_index_take(void *arg, uint32_t *index)
{
	struct sim_node *n = arg;

	do
		*index = (uint32_t)mesh_random(&n->sim->seed);
	while (*index == 0 || *index == UINT32_MAX || sim_session(n, *index) != NULL);
	if (n->sessions_count == n->sessions_room) {
		n->sessions_room = n->sessions_room * 2 + 16;
		n->sessions = xreallocarray(n->sessions, n->sessions_room, sizeof(*n->sessions));
	}
	n->sessions[n->sessions_count++] = (struct sim_session){.index = *index};
	return 0;
}

static UNUSED void sim_index_give(void *arg, uint32_t index)
{
	struct sim_node *n = arg;
	struct sim_session *x = sim_session(n, index);

	REQUIRE(x != NULL && x->s == NULL);
	*x = n->sessions[--n->sessions_count];
}

static UNUSED void sim_traffic(void *arg, uint32_t peer, struct engine_traffic *out)
{
	struct sim_node *n = arg;

	*out = n->peers[peer].t;
}

static UNUSED bool sim_seal(struct sim_node *n, struct sim_peer *p, uint32_t index, const struct endpoint *to, uint8_t type,
			    struct slice content)
{
	uint8_t d[MESSAGE_LEN_MAX + SESSION_OVERHEAD];
	struct sim_session *x = sim_session(n, index);
	size_t len;

	if (to == NULL || to->family == ENDPOINT_NONE)
		to = &p->at;
	if (x == NULL || x->s == NULL || to->family == ENDPOINT_NONE)
		return false;
	if (content.len > 0)
		memcpy(d + PACKET_HEADER_LEN, content.ptr, content.len);
	len = session_seal(&x->s->tx, type, 0, d, content.len);
	REQUIRE(type == PACKET_DATA || x->s->kind == SESSION_FULL);
	p->t.tx_ms = n->sim->now_ms;
	if (type == PACKET_DATA)
		p->t.tx_data_ms = n->sim->now_ms;
	if (to == &p->at && p->relay != ENGINE_NOBODY) {
		/* The engine seals what is its own for a relayed peer. */
		REQUIRE(type == PACKET_DATA);
		mesh_engine_out(n->e, (uint32_t)(p - n->peers), slice_of(d, len), n->sim->now_ms);
	} else {
		sim_wire(n, to, d, len);
	}
	return true;
}

static UNUSED void sim_flush(struct sim_node *n, struct sim_peer *p)
{
	p->wanted = false;
	while (p->staged > 0 && p->at.family != ENDPOINT_NONE && p->sending != 0) {
		p->staged--;
		sim_seal(n, p, p->sending, NULL, PACKET_DATA, SLICE_LIT("an IP packet of the tests"));
	}
}

static UNUSED void sim_retire(struct sim_node *n, uint32_t index)
{
	struct sim_session *x = sim_session(n, index);

	REQUIRE(x != NULL && x->s != NULL);
	session_free(x->s);
	if (n->peers[x->peer].sending == index)
		n->peers[x->peer].sending = 0;
	*x = n->sessions[--n->sessions_count];
}

static UNUSED void sim_masks(struct sim_node *n)
{
	const struct netkey *before = mesh_engine_key_before(n->e);

	netkey_subkeys(&n->masks[0], mesh_engine_key(n->e));
	n->masks_count = 1;
	if (before != NULL)
		netkey_subkeys(&n->masks[n->masks_count++], before);
}

/* What network_renew does on a disk. */
static UNUSED void sim_keep(struct sim_node *n, const struct netkey *next, struct slice list, int64_t grace_ms)
{
	if (n->former_count < ENGINE_FORMER_MAX)
		n->former_count++;
	memmove(n->former + 1, n->former, (n->former_count - 1) * sizeof(n->former[0]));
	n->former[0] = n->gen;
	n->gen = *next;
	n->grace_until_ms = n->sim->now_ms + grace_ms;
	buf_release(&n->stay);
	n->stay = BUF_INIT(STAY_LEN_MAX);
	buf_put_slice(&n->stay, list);
	n->out_count += n->out_new;
	n->out_new = 0;
}

static UNUSED void sim_generation(struct sim_node *n, struct slice rotation)
{
	struct error err = ERROR_INIT;
	struct staylist list;
	struct netkey next;
	size_t key_len;

	REQUIRE(rotation_parse(&next, &list, rotation, &n->gen, n->key.id, &err) == 0);
	key_len = 2 + ((size_t)rotation.ptr[0] << 8 | rotation.ptr[1]);
	sim_keep(n, &next, slice_sub(rotation, key_len, rotation.len - key_len), ENGINE_GRACE_MS);
}

static UNUSED void sim_receive(struct sim_node *n, const struct endpoint *from, uint8_t *bytes, size_t len);

static UNUSED void sim_feed(struct sim_node *n, const struct mesh_act *a)
{
	uint8_t bytes[MESSAGE_LEN_MAX];
	struct endpoint from = a->at;
	size_t len = a->bytes.len;

	REQUIRE(len <= sizeof(bytes));
	memcpy(bytes, a->bytes.ptr, len);
	sim_receive(n, &from, bytes, len);
}

/* What the daemon keeps of a node, made when it is new; NULL: there is no room. */
static UNUSED struct sim_kept *sim_kept(struct sim_node *n, const uint8_t *id)
{
	size_t i;

	for (i = 0; i < n->kept_count; i++)
		if (memcmp(n->kept[i].id, id, NODE_ID_LEN) == 0)
			return &n->kept[i];
	if (!n->sim->disk || n->kept_count == SIM_NODES)
		return NULL;
	memcpy(n->kept[n->kept_count].id, id, NODE_ID_LEN);
	return &n->kept[n->kept_count++];
}

static UNUSED void sim_keep_of(struct sim_node *n, const struct mesh_act *a)
{
	struct sim_kept *k = sim_kept(n, a->node);
	struct mesh_peer_info i;

	if (k == NULL)
		return;
	if (a->kind == MESH_ACT_STORE) {
		memcpy(k->record, a->bytes.ptr, a->bytes.len);
		k->len = a->bytes.len;
	} else if (a->kind == MESH_ACT_FORGET) {
		k->len = mesh_engine_find(n->e, a->node, &i) ? i.record.len : 0;
	} else if (a->at.family != ENDPOINT_NONE && a->relay == ENGINE_NOBODY) {
		k->at = a->at;
	}
}

static UNUSED void sim_load(struct sim_node *n)
{
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < n->kept_count; i++) {
		struct sim_kept *k = &n->kept[i];

		if (k->len == 0)
			continue;
		REQUIRE(mesh_engine_load(n->e, slice_of(k->record, k->len), (k->stopped_ms - k->renewed_ms) / 1000,
				n->sim->now_ms, &err) == 0);
		mesh_engine_load_endpoint(n->e, k->id, &k->at);
	}
}

static UNUSED void sim_act(struct sim_node *n, const struct mesh_act *a)
{
	struct sim_peer *p = a->peer < ENGINE_PEERS_MAX ? &n->peers[a->peer] : NULL;
	struct sim_session *x;
	unsigned i;

	switch (a->kind) {
	case MESH_ACT_SEND:
		sim_wire(n, &a->at, a->bytes.ptr, a->bytes.len);
		break;
	case MESH_ACT_BEACON:
		n->sim->multicast = true;
		for (i = 1; i <= n->sim->count; i++)
			if (n->lan != 0 && i != n->number && n->sim->node[i].lan == n->lan)
				sim_wire(n, &n->sim->node[i].at, a->bytes.ptr, a->bytes.len);
		n->sim->multicast = false;
		break;
	case MESH_ACT_CONTROL:
		sim_seal(n, p, a->index == ENGINE_NOBODY ? p->sending : a->index, &a->at, PACKET_CONTROL, a->bytes);
		break;
	case MESH_ACT_PEER:
		*p = (struct sim_peer){.relay = ENGINE_NOBODY, .t = {INT64_MIN / 4, INT64_MIN / 4, INT64_MIN / 4, INT64_MIN / 4}};
		memcpy(p->id, a->node, NODE_ID_LEN);
		break;
	case MESH_ACT_PUBLISH:
		x = sim_session(n, a->index);
		REQUIRE(x != NULL && x->s == NULL);
		*x = (struct sim_session){a->index, a->peer, a->session, a->use, false};
		if (a->use == MESH_USE_NOW) {
			p->sending = a->index;
			sim_flush(n, p);
		}
		break;
	case MESH_ACT_RETIRE:
		sim_retire(n, a->index);
		break;
	case MESH_ACT_ENDPOINT:
		p->at = a->at;
		p->relay = a->relay;
		p->mtu = a->mtu;
		sim_keep_of(n, a);
		sim_flush(n, p);
		break;
	case MESH_ACT_STORE:
	case MESH_ACT_FORGET:
		sim_keep_of(n, a);
		break;
	case MESH_ACT_UNREACHABLE:
		n->given_up++;
		p->staged = 0;
		p->wanted = false;
		break;
	case MESH_ACT_OWN:
		n->sequence = mesh_engine_record(n->e)->sequence;
		break;
	case MESH_ACT_EPOCH:
		n->epoch = a->index;
		break;
	case MESH_ACT_FEED:
		sim_feed(n, a);
		break;
	case MESH_ACT_EVICTED:
		memcpy(n->out[n->out_count + n->out_new++], a->node, NODE_ID_LEN);
		break;
	case MESH_ACT_GENERATION:
		sim_generation(n, a->bytes);
		break;
	case MESH_ACT_MASKS:
		sim_masks(n);
		break;
	case MESH_ACT_EVENT:
		n->moved += a->event == MESH_EVENT_MOVED;
		n->left_out += a->event == MESH_EVENT_LEFT_OUT;
		n->ups += a->event == MESH_EVENT_UP;
		break;
	case MESH_ACT_ASKED:
		n->asked = *a;
		break;
	case MESH_ACT_ANSWER:
		n->answer = *a;
		memcpy(n->answer_text, a->bytes.ptr, a->bytes.len);
		n->answer_text[a->bytes.len] = '\0';
		break;
	default:
		break;
	}
}

static UNUSED void sim_pump(struct sim_node *n)
{
	struct mesh_act a;

	while (mesh_engine_next(n->e, &a))
		sim_act(n, &a);
}

static UNUSED void sim_opened(struct sim_node *n, struct sim_session *x, const struct packet_header *h,
			      const struct endpoint *from, struct slice content)
{
	struct sim_peer *p = &n->peers[x->peer];
	uint32_t index = x->index, peer = x->peer;
	bool newest = x->s->rx.replay.next == h->counter + 1;

	p->t.rx_ms = n->sim->now_ms;
	if (x->use == MESH_USE_CONFIRMED && !x->confirmed) {
		x->confirmed = true;
		p->sending = index;
		mesh_engine_confirmed(n->e, peer, index, from, n->sim->now_ms);
		sim_pump(n);
		sim_flush(n, p);
	} else if (newest && !endpoint_equal(from, &p->at)) {
		mesh_engine_roamed(n->e, peer, from, n->sim->now_ms);
	}
	if (h->type == PACKET_DATA) {
		p->t.rx_data_ms = n->sim->now_ms;
		if (n->received_data++ == 0)
			n->first_data_ms = n->sim->now_ms;
	} else {
		mesh_engine_message(n->e, peer, index, from, content, n->sim->now_ms);
	}
	sim_pump(n);
}

static UNUSED void sim_receive(struct sim_node *n, const struct endpoint *from, uint8_t *bytes, size_t len)
{
	uint8_t clear[PACKET_HEADER_LEN];
	struct packet_header h;
	struct sim_session *x;
	size_t content, i;

	for (i = 0; i < n->masks_count; i++) {
		if (packet_header_get(&n->masks[i], bytes, len, &h, clear) < 0 || !packet_is_session(&h) ||
		    (x = sim_session(n, h.receiver)) == NULL || x->s == NULL)
			continue;
		if (session_open(&x->s->rx, &h, clear, bytes, len, &content) == SESSION_OK)
			sim_opened(n, x, &h, from, slice_of(bytes + PACKET_HEADER_LEN, content));
		else
			n->refused++;
		return;
	}
	mesh_engine_datagram(n->e, from, bytes, len, n->sim->now_ms);
	sim_pump(n);
}

static UNUSED void sim_beacon(struct sim_node *n, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	mesh_engine_beacon(n->e, from, bytes, len, n->sim->now_ms);
	sim_pump(n);
}

/* ---- the life of nodes ---- */

static UNUSED struct sim *sim_new(uint64_t seed)
{
	struct sim *s = xcalloc(1, sizeof(*s));

	REQUIRE(net_init(&s->net) == 0);
	s->now_ms = SIM_START;
	s->seed = seed;
	s->delay_ms = 2;
	return s;
}

static UNUSED void sim_start(struct sim_node *n, int64_t wall_s)
{
	struct engine_options o = {.key = n->gen, .node = n->key, .boot_epoch = ++n->epoch, .sequence = n->sequence,
				   .port_v4 = n->at.port, .own = n->own, .staylist = buf_slice(&n->stay)};
	struct record_endpoint own = {ENDPOINT_OWN, n->at};
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < n->former_count; i++)
		o.former[o.former_count++] = (struct engine_former){n->former[i],
								    i == 0 ? n->grace_until_ms - n->sim->now_ms : 0};

	n->peers = xcalloc(ENGINE_PEERS_MAX, sizeof(*n->peers));
	n->e = mesh_engine_new(&o, &n->ops, n->sim->now_ms, wall_s, &err);
	if (n->e == NULL)
		printf("# %s\n", err.text);
	REQUIRE(n->e != NULL);
	sim_load(n);
	for (i = 0; i < n->out_count; i++)
		mesh_engine_evict(n->e, n->out[i], n->sim->now_ms);
	mesh_engine_endpoints(n->e, &own, 1, n->sim->now_ms);
	n->up = true;
	sim_masks(n);
	sim_pump(n);
}

/* Its address is 192.0.2.number:7783, or behind NAT number `nat` 10.nat.0.number. */
static UNUSED struct sim_node *sim_add(struct sim *s, unsigned nat, int64_t wall_s)
{
	struct sim_node *n = &s->node[++s->count];

	n->sim = s;
	n->number = s->count;
	n->gen = s->net.key;
	n->ops = (struct engine_ops){.arg = n, .random = sim_random, .index_take = sim_index_take,
				     .index_give = sim_index_give, .traffic = sim_traffic};
	nodekey_generate(&n->key);
	snprintf(n->own.name, sizeof(n->own.name), "n%u", n->number);
	n->own.named_s = 1;
	n->nat = nat;
	n->at = (struct endpoint){ENDPOINT_V4, {192, 0, 2, (uint8_t)n->number}, 7783};
	if (nat != 0) {
		const uint8_t inside[4] = {10, (uint8_t)nat, 0, (uint8_t)n->number};

		memcpy(n->at.addr, inside, 4);
	}
	sim_start(n, wall_s);
	return n;
}

static UNUSED void sim_nat(struct sim *s, unsigned number, enum sim_nat_kind kind)
{
	s->nat[number].kind = kind;
	s->nat[number].at = (struct endpoint){ENDPOINT_V4, {198, 51, 100, (uint8_t)number}, 0};
}

/* As kill -9: what the plane had is gone. */
static UNUSED void sim_kill(struct sim_node *n)
{
	size_t i;

	if (!n->up)
		return;
	n->up = false;
	for (i = 0; i < n->kept_count; i++) {
		struct mesh_peer_info info;

		if (mesh_engine_find(n->e, n->kept[i].id, &info))
			n->kept[i].renewed_ms = info.renewed_ms;
		n->kept[i].stopped_ms = n->sim->now_ms;
	}
	n->own.claims_count = mesh_engine_record(n->e)->claims_count;
	memcpy(n->own.claims, mesh_engine_record(n->e)->claims, sizeof(n->own.claims));
	mesh_engine_free(n->e);
	n->e = NULL;
	for (i = 0; i < n->sessions_count; i++)
		session_free(n->sessions[i].s);
	free(n->sessions);
	free(n->peers);
	n->sessions = NULL;
	n->peers = NULL;
	n->out_new = 0;
	n->sessions_count = n->sessions_room = 0;
}

static UNUSED void sim_free(struct sim *s)
{
	unsigned i;

	for (i = 1; i <= s->count; i++)
		sim_kill(&s->node[i]);
	for (i = 1; i <= s->count; i++)
		buf_release(&s->node[i].stay);
	while (s->events_count > 0)
		free(s->events[--s->events_count].bytes);
	free(s->events);
	free(s);
}

/* Everything that happens until then. */
static UNUSED void sim_run(struct sim *s, int64_t until_ms)
{
	for (;;) {
		int64_t at = s->events_count > 0 ? s->events[0].at_ms : ENGINE_NEVER;
		struct sim_node *due = NULL;
		unsigned i;

		for (i = 1; i <= s->count; i++) {
			if (s->node[i].up && mesh_engine_due(s->node[i].e) < at) {
				at = mesh_engine_due(s->node[i].e);
				due = &s->node[i];
			}
		}
		if (at > until_ms)
			break;
		if (at > s->now_ms)
			s->now_ms = at;
		if (due != NULL) {
			mesh_engine_timer(due->e, s->now_ms);
			sim_pump(due);
		} else {
			struct sim_event ev = sim_pop(s);

			if (s->node[ev.node].up && ev.multicast)
				sim_beacon(&s->node[ev.node], &ev.from, ev.bytes, ev.len);
			else if (s->node[ev.node].up)
				sim_receive(&s->node[ev.node], &ev.from, ev.bytes, ev.len);
			free(ev.bytes);
		}
	}
	s->now_ms = until_ms;
}

static UNUSED void sim_wait(struct sim *s, int64_t ms)
{
	sim_run(s, s->now_ms + ms);
}

/* The peer of `n` that is `other`, or NULL. */
static UNUSED struct sim_peer *sim_peer(struct sim_node *n, const struct sim_node *other, uint32_t *peer)
{
	struct mesh_peer_info i;

	if (!mesh_engine_find(n->e, other->key.id, &i))
		return NULL;
	*peer = i.peer;
	return &n->peers[i.peer];
}

/* One packet from the interface to another node; false when that one is not known. */
static UNUSED bool sim_data(struct sim_node *from, const struct sim_node *to)
{
	uint32_t peer;
	struct sim_peer *p = sim_peer(from, to, &peer);

	if (p == NULL)
		return false;
	if (p->sending != 0 && p->at.family != ENDPOINT_NONE) {
		sim_seal(from, p, p->sending, NULL, PACKET_DATA, SLICE_LIT("an IP packet of the tests"));
		sim_pump(from);
		return true;
	}
	p->staged += p->staged < SIM_STAGED;
	if (!p->wanted) {
		p->wanted = true;
		mesh_engine_wanted(from->e, peer, from->sim->now_ms);
		sim_pump(from);
	}
	return true;
}

static UNUSED bool sim_live(struct sim_node *a, const struct sim_node *b)
{
	struct mesh_peer_info i;

	return mesh_engine_find(a->e, b->key.id, &i) && i.live;
}

/* Each but the first has the first one's endpoint configured. */
static UNUSED void sim_configure(struct sim_node *n, const struct sim_node *to)
{
	mesh_engine_configured(n->e, &to->at, 1, n->sim->now_ms);
	sim_pump(n);
}

#endif
