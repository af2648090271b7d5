/* What an engine wants done, done: to the plane, to the names, to the disk. */
#include "meshlan/internal.h"

#include <string.h>

#include "base/encode.h"
#include "base/log.h"

union udp_addr udp_addr_of(const struct endpoint *e)
{
	struct sockaddr_storage ss;
	union udp_addr a;

	memset(&a, 0, sizeof(a));
	if (e->family == ENDPOINT_NONE)
		return a;
	memset(&ss, 0, sizeof(ss));
	(void)endpoint_to_sockaddr(e, &ss);
	memcpy(&a, &ss, sizeof(a));
	return a;
}

static uint32_t slot_of(const struct lan *l, uint32_t peer)
{
	return peer < ENGINE_PEERS_MAX ? l->slot_of[peer] : PLANE_NOBODY;
}

/* ---- peers ---- */

static void peer_new(struct lan *l, const struct mesh_act *a)
{
	struct error err = ERROR_INIT;
	uint32_t slot;

	if (l->plane == NULL || a->peer >= ENGINE_PEERS_MAX || plane_peer_add(l->plane, &slot, &err) < 0)
		return;
	filter_set_peer(l->filter, slot, a->node);
	l->slot_of[a->peer] = slot;
	l->peer_of[slot] = a->peer;
}

static void peer_gone(struct lan *l, uint32_t peer)
{
	uint32_t slot = slot_of(l, peer);

	if (slot == PLANE_NOBODY)
		return;
	plane_peer_remove(l->plane, slot);
	filter_set_peer(l->filter, slot, NULL);
	l->slot_of[peer] = PLANE_NOBODY;
	l->peer_of[slot] = ENGINE_NOBODY;
}

static void set_endpoint(struct lan *l, const struct mesh_act *a)
{
	struct plane_endpoint e = {.way = PLANE_WAY_NONE, .mtu = a->mtu};

	if (a->at.family != ENDPOINT_NONE) {
		e.way = a->relay != ENGINE_NOBODY ? PLANE_WAY_CONTROL : PLANE_WAY_UDP;
		e.path.remote = udp_addr_of(&a->at);
	}
	plane_endpoint_set(l->plane, slot_of(l, a->peer), &e);
	keep_soon(l);
}

static void publish(struct lan *l, const struct mesh_act *a)
{
	static const enum plane_use use[] = {[MESH_USE_NOW] = PLANE_USE_NOW, [MESH_USE_CONFIRMED] = PLANE_USE_CONFIRMED};

	if (slot_of(l, a->peer) == PLANE_NOBODY) {
		/* A peer too many: it stays without sessions. */
		session_free(a->session);
		plane_index_give(l->plane, a->index);
		return;
	}
	plane_session_publish(l->plane, a->index, slot_of(l, a->peer), a->session, use[a->use]);
}

static void retire(struct lan *l, uint32_t index)
{
	int64_t soon_ms = loop_now_ms(l->m->loop) + 100;

	plane_session_retire(l->plane, index);
	if (l->sweep.slot == 0 || l->sweep.at_ms > soon_ms)
		loop_timer_set(l->m->loop, &l->sweep, soon_ms);
}

static void set_block(struct lan *l, const struct mesh_act *a)
{
	uint32_t slot = a->peer == ENGINE_SELF ? PLANE_SELF : slot_of(l, a->peer);

	plane_block_set(l->plane, a->index, slot);
}

/* ---- sending ---- */

static void send_raw(struct lan *l, const struct mesh_act *a)
{
	struct udp_path to = {.remote = udp_addr_of(&a->at)};

	(void)plane_send_raw(l->plane, &to, a->bytes.ptr, a->bytes.len);
}

static void send_control(struct lan *l, const struct mesh_act *a)
{
	struct udp_path to = {.remote = udp_addr_of(&a->at)};
	uint32_t slot = slot_of(l, a->peer);

	if (slot != PLANE_NOBODY)
		(void)plane_send(l->plane, slot, a->index == ENGINE_NOBODY ? PLANE_NOBODY : a->index,
				 a->at.family == ENDPOINT_NONE ? NULL : &to, PACKET_CONTROL, a->bytes.ptr, a->bytes.len);
}

/* It came through another member: to the plane as if it had come from there. */
static void feed(struct lan *l, const struct mesh_act *a)
{
	struct udp_path from = {.remote = udp_addr_of(&a->at)};

	(void)plane_feed(l->plane, &from, a->bytes.ptr, a->bytes.len);
}

/* ---- generations ---- */

static void evicted(struct lan *l, const uint8_t *node, const char *name)
{
	char id[NODE_ID_HEX_LEN];

	hex_encode(id, node, NODE_ID_LEN);
	lan_changed(l, "'%s', node %s, is not on the owner's list of who stays, and is out", name, id);
	if (l->evicted.count == EVICTED_MAX)
		return;
	l->evicted.ids = xreallocarray(l->evicted.ids, l->evicted.count + 1, sizeof(*l->evicted.ids));
	memcpy(l->evicted.ids[l->evicted.count++], node, NODE_ID_LEN);
}

/* ---- records ---- */

static void take_record(struct lan *l, struct slice bytes)
{
	struct mesh_record *r = xmalloc(sizeof(*r));
	struct error err = ERROR_INIT;
	int64_t soon_ms = loop_now_ms(l->m->loop) + 200;

	if (record_read(r, bytes, &l->addressing, &err) < 0 || names_set(l->names, r, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "mesh.record", &err);
	free(r);
	l->review = true;
	if (l->sweep.slot == 0 || l->sweep.at_ms > soon_ms)
		loop_timer_set(l->m->loop, &l->sweep, soon_ms);
	keep_records_soon(l);
}

static void own_record(struct lan *l, struct slice bytes)
{
	size_t left = mesh_engine_left_out(l->engine);

	buf_clear(&l->own_bytes);
	buf_put_slice(&l->own_bytes, bytes);
	keep_claims(l);
	take_record(l, bytes);
	lan_addresses(l);
	lan_scope(l);
	if (left > 0)
		lan_warn(l, WARN_RECORD, "others are not told %zu of this node's endpoints, for which its record has no room: "
			 "have fewer forwards, or shorter names for them", left);
	else
		lan_warn_clear(l, WARN_RECORD);
}

/* ---- for people ---- */

static void tell(struct lan *l, const struct mesh_act *a)
{
	char id[NODE_ID_HEX_LEN];

	hex_encode(id, a->node, NODE_ID_LEN);
	switch (a->event) {
	case MESH_EVENT_UP:
		log_info("mesh.up", "network=\"%s\" node=%s name=%s", l->net.key.name, id, a->name);
		break;
	case MESH_EVENT_DOWN:
		log_info("mesh.down", "network=\"%s\" node=%s name=%s", l->net.key.name, id, a->name);
		break;
	case MESH_EVENT_MOVED:
		lan_changed(l, "this node has another address now: '%s' (%s) claimed the former one earlier", a->name, id);
		break;
	case MESH_EVENT_RENAMED:
		/* A name that goes from one to another is told by names.h; this one could be said without end. */
		log_debug("mesh.renamed", "network=\"%s\" node=%s name=%s", l->net.key.name, id, a->name);
		break;
	case MESH_EVENT_NAME_CLASH:
		break;		/* names.h tells who has it */
	case MESH_EVENT_LEFT_OUT:
		lan_warn(l, WARN_KEY, "node %s holds a newer key of this network, and this node is not on its list of who "
			 "stays: it needs the new key by hand", id);
		break;
	case MESH_EVENT_OWN_RECORD:
		lan_warn(l, WARN_OWN_RECORD, "somebody has a newer record of this node than it made: "
			 "after a restored backup that is over now, else two machines run with one key");
		break;
	}
}

void lan_act(struct lan *l, const struct mesh_act *a)
{
	struct error err = ERROR_INIT;
	uint32_t epoch;

	switch (a->kind) {
	case MESH_ACT_STORE:
		take_record(l, a->bytes);
		return;
	case MESH_ACT_FORGET:
		names_remove(l->names, a->node);
		keep_records_soon(l);
		return;
	case MESH_ACT_OWN:
		own_record(l, a->bytes);
		return;
	case MESH_ACT_EPOCH:
		if (keep_epoch(l, a->index - 1, &epoch, &err) < 0)
			lan_warn(l, WARN_DISK, "%s", err.text);
		return;
	case MESH_ACT_EVENT:
		tell(l, a);
		return;
	case MESH_ACT_ASKED:
		asked(l, a);
		return;
	case MESH_ACT_ANSWER:
		explain_answered(l, a);
		return;
	case MESH_ACT_EVICTED:
		evicted(l, a->node, a->name);
		return;
	case MESH_ACT_GENERATION:
		keep_rotation(l, a->bytes);
		return;
	case MESH_ACT_MASKS:
		/* Those of the operator's own rotation are on the disk already. */
		node_ids_release(&l->evicted);
		lan_generations(l);
		return;
	default:
		break;
	}
	if (l->plane == NULL) {
		if (a->kind == MESH_ACT_PUBLISH)
			session_free(a->session);
		return;
	}
	switch (a->kind) {
	case MESH_ACT_SEND:
		send_raw(l, a);
		break;
	case MESH_ACT_BEACON:
		beacons_send(l, a->bytes);
		break;
	case MESH_ACT_CONTROL:
		send_control(l, a);
		break;
	case MESH_ACT_FEED:
		feed(l, a);
		break;
	case MESH_ACT_PEER:
		peer_new(l, a);
		break;
	case MESH_ACT_PEER_GONE:
		peer_gone(l, a->peer);
		break;
	case MESH_ACT_PUBLISH:
		publish(l, a);
		break;
	case MESH_ACT_RETIRE:
		retire(l, a->index);
		break;
	case MESH_ACT_ENDPOINT:
		if (slot_of(l, a->peer) != PLANE_NOBODY)
			set_endpoint(l, a);
		break;
	case MESH_ACT_UNREACHABLE:
		if (slot_of(l, a->peer) != PLANE_NOBODY)
			plane_staged_drop(l->plane, slot_of(l, a->peer), true);
		break;
	case MESH_ACT_BLOCK:
		set_block(l, a);
		break;
	default:
		break;
	}
}
