/* What the plane of a network has heard, handed to its engine. */
#include "base/log.h"
#include "meshlan/internal.h"
#include "meshlan/proxy.h"

#define EVENTS_A_TURN 512	/* then others have their turn */

static void interface_gone(struct lan *l, int why)
{
	struct error err = ERROR_INIT;

	error_errno(&err, why, "the interface is gone");
	lan_warn(l, WARN_INTERFACE, "%s; it is made again", err.text);
	loop_timer_set(l->m->loop, &l->again, loop_now_ms(l->m->loop) + 1000);
}

static void take(struct lan *l, const struct plane_event *e)
{
	uint32_t peer = e->peer < PLANE_PEERS_MAX ? l->peer_of[e->peer] : ENGINE_NOBODY;
	int64_t now_ms = loop_now_ms(l->m->loop);
	struct endpoint from = {.family = ENDPOINT_NONE};

	if (e->path.remote.sa.sa_family != AF_UNSPEC)
		(void)!endpoint_from_sockaddr(&from, &e->path.remote.sa);
	if (e->kind == PLANE_EVENT_GONE) {
		interface_gone(l, e->error);
		return;
	}
	if (e->kind == PLANE_EVENT_STRANGER) {
		mesh_engine_datagram(l->engine, &from, e->data.ptr, e->data.len, now_ms);
		return;
	}
	if (e->kind == PLANE_EVENT_TAKEN && l->proxy != NULL)
		proxy_taken(l->proxy, e->peer, e->data);
	if (peer == ENGINE_NOBODY)
		return;
	switch (e->kind) {
	case PLANE_EVENT_MESSAGE:
		mesh_engine_message(l->engine, peer, e->index, &from, e->data, now_ms);
		break;
	case PLANE_EVENT_WANTED:
		mesh_engine_wanted(l->engine, peer, now_ms);
		break;
	case PLANE_EVENT_CONFIRMED:
		mesh_engine_confirmed(l->engine, peer, e->index, &from, now_ms);
		break;
	case PLANE_EVENT_ROAMED:
		mesh_engine_roamed(l->engine, peer, &from, now_ms);
		break;
	case PLANE_EVENT_WORN:
		mesh_engine_worn(l->engine, peer, e->index, now_ms);
		break;
	case PLANE_EVENT_TOO_BIG:
		mesh_engine_too_big(l->engine, peer, e->count, now_ms);
		break;
	case PLANE_EVENT_OUT:
		mesh_engine_out(l->engine, peer, e->data, now_ms);
		break;
	case PLANE_EVENT_UNSENT:
		log_debug("mesh.unsent", "network=%s peer=%u errno=%d", l->net.hex, peer, e->error);
		break;
	default:
		break;
	}
}

void lan_events_ready(struct watch *w, uint32_t revents)
{
	struct lan *l = container_of(w, struct lan, events);
	struct plane_event e;
	unsigned n;

	(void)revents;
	for (n = 0; n < EVENTS_A_TURN && l->plane != NULL && plane_next(l->plane, &e); n++) {
		take(l, &e);
		lan_pump(l);
	}
}
