/* A network's data plane: its ports, its sockets, its interface, and what the engine asks of it. */
#include <string.h>
#include <sys/epoll.h>

#include "meshlan/internal.h"
#include "sys/clock.h"
#include "sys/rng.h"

#define PORT_FIRST 20000	/* of further networks: below the ports that clients get */
#define PORTS 12000
#define PORT_TRIES 16

/* ---- generations ---- */

/* The engine says which hold for packets, and which are remembered for those who were away. */
void lan_generations(struct lan *l)
{
	struct generations *g = xcalloc(1, sizeof(*g));
	const struct subkeys *k[2] = {&g->k[0], &g->k[1]};
	const struct netkey *key;

	while (g->n < ARRAY_SIZE(g->k) && (key = mesh_engine_key_at(l->engine, g->n)) != NULL)
		netkey_subkeys(&g->k[g->n++], key);
	g->before = atomic_load(&l->generations);
	atomic_store(&l->generations, g);
	if (l->plane != NULL)
		plane_masks_set(l->plane, plane_masks_new(k, mesh_engine_key_before(l->engine) != NULL ? 2 : 1));
}

void lan_free_generations(struct lan *l)
{
	struct generations *g = atomic_exchange(&l->generations, NULL), *before;

	for (; g != NULL; g = before) {
		before = g->before;
		for (size_t i = 0; i < g->n; i++)
			subkeys_wipe(&g->k[i]);
		free(g);
	}
}

/* rx: of random bytes three in 2^32 pass. The engine looks at the seal. */
static bool stranger(void *arg, const struct udp_path *from, const uint8_t *dgram, size_t len)
{
	struct gate *gate = arg;
	struct lan *l = container_of(gate, struct lan, gate);
	const struct generations *g = atomic_load(&l->generations);
	struct packet_header h;
	size_t i;

	(void)from;
	for (i = 0; i < g->n; i++)
		if (packet_header_get(&g->k[i], dgram, len, &h, NULL) == 0)
			return true;
	return false;
}

/* ---- engine's questions ---- */

static void op_random(void *arg, void *out, size_t n)
{
	(void)arg;
	rng_bytes(out, n);
}

static int op_index_take(void *arg, uint32_t *index)
{
	struct lan *l = arg;
	struct error err = ERROR_INIT;

	return l->plane == NULL ? -1 : plane_index_take(l->plane, index, &err);
}

static void op_index_give(void *arg, uint32_t index)
{
	struct lan *l = arg;

	if (l->plane != NULL)
		plane_index_give(l->plane, index);
}

static int64_t ever(int64_t ms)
{
	return ms == 0 ? INT64_MIN : ms;
}

static void op_traffic(void *arg, uint32_t peer, struct engine_traffic *out)
{
	struct lan *l = arg;
	uint32_t slot = peer < ENGINE_PEERS_MAX ? l->slot_of[peer] : PLANE_NOBODY;
	struct plane_peer_stats s = {.rx_ms = 0};

	if (l->plane != NULL && slot != PLANE_NOBODY)
		plane_peer_stats(l->plane, slot, &s);
	*out = (struct engine_traffic){ever(s.rx_ms), ever(s.tx_ms), ever(s.rx_data_ms), ever(s.tx_data_ms)};
}

static int64_t op_now_us(void *arg)
{
	(void)arg;
	return clock_mono_us();
}

void lan_ops(struct lan *l)
{
	l->ops = (struct engine_ops){l, op_random, op_index_take, op_index_give, op_traffic, op_now_us};
}

/* ---- plane ---- */

static union udp_addr any(int family, uint16_t port)
{
	union udp_addr a;

	memset(&a, 0, sizeof(a));
	a.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		a.in.sin_port = htons(port);
	else
		a.in6.sin6_port = htons(port);
	return a;
}

/* The port of a network that has none of its own in the configuration: from its node id, so that it stays. */
static uint16_t derived_port(const struct lan *l, unsigned try)
{
	uint32_t h = (uint32_t)l->net.node.id[0] << 16 | (uint32_t)l->net.node.id[1] << 8 | l->net.node.id[2];

	return (uint16_t)(PORT_FIRST + (h + try * 101) % PORTS);
}

static struct plane *try_plane(struct lan *l, struct plane_options *o, const struct sockaddr_storage *listen, uint16_t port,
			       struct error *err)
{
	o->listen4 = any(AF_INET, port);
	o->listen6 = any(AF_INET6, port);
	o->listen6_may_fail = true;
	if (listen != NULL) {
		union udp_addr a;

		memcpy(&a, listen, sizeof(a));
		o->listen4 = a.sa.sa_family == AF_INET ? a : (union udp_addr){.sa = {.sa_family = AF_UNSPEC}};
		o->listen6 = a.sa.sa_family == AF_INET6 ? a : (union udp_addr){.sa = {.sa_family = AF_UNSPEC}};
		o->listen6_may_fail = false;
	}
	return plane_new(o, &plane_session_crypto, &l->gate.scope, err);
}

/* The port that is configured, or the first one that is free of those that this network always tries. */
static struct plane *open_plane(struct lan *l, struct plane_options *o, struct error *err)
{
	const struct meshlan *m = l->m;
	struct plane *p;
	unsigned i;

	if (l->first && m->listen_set)
		return try_plane(l, o, m->listen_any ? NULL : &m->listen, m->listen_port, err);
	if (l->first && ((p = try_plane(l, o, NULL, MESHLAN_PORT, err)) != NULL || err->kind != ERR_CONFLICT))
		return p;
	for (i = 0; i < PORT_TRIES; i++) {
		*err = ERROR_INIT;
		if ((p = try_plane(l, o, NULL, derived_port(l, i), err)) != NULL || err->kind != ERR_CONFLICT)
			return p;
	}
	return NULL;
}

static uint16_t port_of(const union udp_addr *a)
{
	return a->sa.sa_family == AF_INET ? ntohs(a->in.sin_port) : a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

void lan_open_plane(struct lan *l)
{
	struct plane_options o = {.interface = "mesh%d", .tun_offloads = ~0u, .mtu = l->m->options->mtu,
				  .range4 = l->addressing.range.v4, .range4_len = l->addressing.range.prefix};
	struct error err = ERROR_INIT, second = ERROR_INIT;
	union udp_addr v4, v6;

	memcpy(o.range6, l->addressing.v6_prefix, sizeof(o.range6));
	gate_init(&l->gate, l->filter, clock_mono_ms);
	l->redirect = redirect_new();
	l->gate.scope.stranger = stranger;
	l->no_interface = false;
	l->plane = open_plane(l, &o, &err);
	if (l->plane == NULL) {
		/* It still carries what members say to each other, if there are sockets. */
		o.no_interface = true;
		l->no_interface = true;
		l->plane = open_plane(l, &o, &second);
		if (l->plane != NULL)
			lan_warn(l, WARN_INTERFACE, "no interface, so nothing here reaches the mesh or is reached in it: %s%s%s",
				 err.text, err.hint[0] != '\0' ? "; " : "", err.hint);
		else
			lan_warn(l, WARN_SOCKET, "%s", second.text);
		loop_timer_set(l->m->loop, &l->again, loop_now_ms(l->m->loop) + LAN_AGAIN_MS);
	} else {
		lan_warn_clear(l, WARN_INTERFACE);
		lan_warn_clear(l, WARN_SOCKET);
	}
	if (l->plane == NULL)
		return;
	l->gate.plane = l->plane;
	plane_listening(l->plane, &v4, &v6);
	l->port4 = port_of(&v4);
	l->port6 = port_of(&v6);
}

int lan_run_plane(struct lan *l, struct error *err)
{
	if (l->plane == NULL)
		return 0;
	reach_start(l);
	if (plane_start(l->plane, err) < 0)
		return -1;
	l->events = (struct watch){.fd = plane_event_fd(l->plane), .events = EPOLLIN, .ready = lan_events_ready};
	return loop_watch(l->m->loop, &l->events, err);
}
