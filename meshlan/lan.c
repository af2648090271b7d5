/* One network: its plane, filter and engine, and what follows of the files that describe it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "mesh/scope_build.h"
#include "mesh/stay.h"
#include "meshlan/internal.h"
#include "sys/clock.h"
#include "sys/rng.h"

#define AGAIN_MS 30000		/* for an interface or sockets that could not be had */
#define SWEEP_MS 10000
#define PORT_FIRST 20000	/* of further networks: below the ports that clients get */
#define PORTS 12000
#define PORT_TRIES 16
#define EXPIRES_SOON_S (7 * 86400)

/* ---- what people are told ---- */

void lan_warn(struct lan *l, enum warning_kind k, const char *fmt, ...)
{
	struct warning *w = &l->warnings[k];
	char text[WARNING_TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->since_s != 0 && strcmp(w->text, text) == 0)
		return;
	if (w->since_s == 0)
		w->since_s = clock_now_s();
	memcpy(w->text, text, sizeof(text));
	log_warn("mesh.warning", "network=\"%s\" %s", l->net.key.name, text);
}

void lan_warn_clear(struct lan *l, enum warning_kind k)
{
	if (l->warnings[k].since_s != 0)
		log_info("mesh.warning-over", "network=\"%s\" %s", l->net.key.name, l->warnings[k].text);
	l->warnings[k].since_s = 0;
}

void lan_changed(struct lan *l, const char *fmt, ...)
{
	struct change *c = &l->changes[l->changes_next++ % CHANGES_KEPT];
	va_list ap;

	c->at_s = clock_now_s();
	va_start(ap, fmt);
	(void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
	log_warn("mesh.changed", "network=\"%s\" %s", l->net.key.name, c->text);
}

const char *lan_label(const struct lan *l)
{
	const char *label = l->names != NULL ? names_network_label(l->names) : "";

	return label[0] != '\0' ? label : l->net.key.name;
}

bool lan_is_called(const struct lan *l, struct slice word)
{
	char label[MESH_NAME_MAX + 1];

	names_label(label, slice_str(l->net.key.name));
	return slice_equal(word, slice_str(l->net.hex)) || slice_equal(word, slice_str(l->net.key.name)) ||
	       slice_equal(word, slice_str(label));
}

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

static void free_generations(struct lan *l)
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

static void start_plane(struct lan *l)
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
		lan_warn(l, l->plane != NULL ? WARN_INTERFACE : WARN_SOCKET, "%s", l->plane != NULL ? err.text : second.text);
		loop_timer_set(l->m->loop, &l->again, loop_now_ms(l->m->loop) + AGAIN_MS);
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

static int run_plane(struct lan *l, struct error *err)
{
	if (l->plane == NULL)
		return 0;
	reach_start(l);
	if (plane_start(l->plane, err) < 0)
		return -1;
	l->events = (struct watch){.fd = plane_event_fd(l->plane), .events = EPOLLIN, .ready = lan_events_ready};
	return loop_watch(l->m->loop, &l->events, err);
}

/* ---- addresses and scope ---- */

/* Whether the IPv6 address is there as well. */
static bool address(struct lan *l, struct netlink *n, uint32_t block, bool add)
{
	struct netlink_prefix p4 = {.family = AF_INET, .len = l->addressing.range.prefix}, p6 = {.family = AF_INET6, .len = 48};
	uint32_t ifindex = plane_tun(l->plane)->ifindex, v4 = htonl(block_v4(&l->addressing, block, SLOT_NODE));
	struct error err = ERROR_INIT;

	memcpy(p4.addr, &v4, sizeof(v4));
	block_v6(&l->addressing, block, SLOT_NODE, p6.addr);
	if (!add) {
		(void)!netlink_address_remove(n, ifindex, &p4, &err);
		(void)!netlink_address_remove(n, ifindex, &p6, &err);
		return false;
	}
	if (netlink_address_add(n, ifindex, &p4, &err) < 0)
		lan_warn(l, WARN_ADDRESS, "the interface does not take this node's address: %s", err.text);
	else
		lan_warn_clear(l, WARN_ADDRESS);
	/* A machine without IPv6 has that one address. */
	err = ERROR_INIT;
	if (netlink_address_add(n, ifindex, &p6, &err) == 0)
		return true;
	log_debug("mesh.address", "network=%s %s", l->net.hex, err.text);
	return false;
}

void lan_addresses(struct lan *l)
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	struct netlink n = {.fd = -1};
	struct error err = ERROR_INIT;
	uint32_t block;

	if (l->plane == NULL || l->no_interface || own->claims_count == 0 || own->claims[0].ordinal != 0)
		return;
	block = block_index(&l->addressing, own->id, 0, own->claims[0].attempt);
	if (l->address.set && l->address.block == block)
		return;
	if (netlink_open(&n, &err) < 0) {
		lan_warn(l, WARN_ADDRESS, "%s", err.text);
		return;
	}
	if (l->address.set)
		(void)address(l, &n, l->address.block, false);
	l->address = (struct lan_address){.set = true, .v6 = address(l, &n, block, true), .block = block};
	netlink_close(&n);
	loop_timer_set(l->m->loop, &l->m->follow, loop_now_ms(l->m->loop));
}

void lan_scope(struct lan *l)
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	struct scope_parts p = {.allow = &l->net.allow, .forwards = &l->net.forwards, .addressing = &l->addressing,
				.node = own->id, .node_name = own->name, .claims = own->claims, .claims_count = own->claims_count};
	size_t waiting = 0;

	filter_set_scope(l->filter, scope_build(&p, &waiting));
	if (waiting > 0)
		lan_warn(l, WARN_RULES, "%zu rules are about forwards that are not there", waiting);
	else
		lan_warn_clear(l, WARN_RULES);
	reach_follow(l);
}

/* ---- forwards ---- */

static void forward_told(void *arg, const char *name, const char *what)
{
	lan_warn(arg, WARN_FORWARD, "forward '%s' of the configuration: %s", name, what);
}

/* Those of the configuration that are meant for this network. */
static size_t configured_forwards(struct lan *l, struct forward *out)
{
	const struct meshlan_options *o = l->m->options;
	struct error err = ERROR_INIT;
	size_t n = 0, i;

	for (i = 0; i < o->forwards_count && n < FORWARDS_MAX; i++) {
		const struct meshlan_forward *f = &o->forwards[i];

		if (f->network != NULL && !lan_is_called(l, slice_str(f->network)))
			continue;
		memset(&out[n], 0, sizeof(out[n]));
		if (forward_name_parse(out[n].name, slice_str(f->name), &err) < 0 ||
		    forward_target_parse(&out[n].target, slice_str(f->target), &err) < 0)
			forward_told(l, f->name, err.text);
		else
			n++;
	}
	return n;
}

/* The list on disk follows the configuration. */
static void merge_forwards(struct lan *l)
{
	struct forward *config = xcalloc(FORWARDS_MAX, sizeof(*config));
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	size_t n;

	lan_warn_clear(l, WARN_FORWARD);
	n = configured_forwards(l, config);
	if (forwards_merge(&l->net.forwards, config, n, &l->addressing,
			   forwards_named_s(l->addressing.created_s, clock_now_s()), forward_told, l) &&
	    (netstore_open_locked(&s, l->m->home, &err) < 0 ||
	     network_set_forwards(&s, l->net.hex, &l->net.forwards, &err) < 0))
		lan_warn(l, WARN_DISK, "the addresses of forwards cannot be kept: %s", err.text);
	netstore_close(&s);
	free(config);
}

static void forwards_to(struct lan *l, struct mesh_record *own)
{
	const struct forward *clash;

	own->forwards_count = forwards_to_record(&l->net.forwards, own->name, own->forwards, &clash);
	if (clash != NULL)
		lan_warn(l, WARN_FORWARD, "forward '%s' has the name of this node, and is left out", clash->name);
}

/* ---- own ---- */

static int64_t since_creation(const struct lan *l)
{
	int64_t s = clock_now_s() - l->addressing.created_s;

	return s < 0 || s >= RECORD_NAMED_UNKNOWN ? RECORD_NAMED_UNKNOWN : s;
}

/* What the node says of itself; a name keeps its date as long as it is the same. */
static void own_first(struct lan *l, const struct mesh_record *before, struct mesh_record *own)
{
	memset(own, 0, sizeof(*own));
	if (l->m->name[0] != '\0')
		snprintf(own->name, sizeof(own->name), "%s", l->m->name);
	else
		snprintf(own->name, sizeof(own->name), "node-%02x%02x%02x%02x", l->net.node.id[0], l->net.node.id[1],
			 l->net.node.id[2], l->net.node.id[3]);
	own->named_s = (uint32_t)since_creation(l);
	if (before->sequence > 0 && strcmp(before->name, own->name) == 0 && before->named_s != RECORD_NAMED_UNKNOWN)
		own->named_s = before->named_s;
	own->flags = RECORD_RELAYS;
	memcpy(own->claims, l->net.claims, sizeof(own->claims));
	own->claims_count = l->net.claims_count;
	forwards_to(l, own);
}

/* Rules and forwards on disk are others now. */
static void renew_own(struct lan *l)
{
	struct mesh_record *own = xmalloc(sizeof(*own));
	struct error err = ERROR_INIT;

	*own = *mesh_engine_record(l->engine);
	forwards_to(l, own);
	if (mesh_engine_own(l->engine, own, loop_now_ms(l->m->loop), &err) < 0)
		lan_warn(l, WARN_FORWARD, "%s", err.text);
	free(own);
	lan_pump(l);
}

static void check_clock(struct lan *l)
{
	if (clock_now_s() < l->addressing.created_s)
		lan_warn(l, WARN_CLOCK, "the clock is before the creation of the network; the mesh works, dates in it do not");
	else
		lan_warn_clear(l, WARN_CLOCK);
}

static void former_keys(const struct lan *l, struct engine_options *o)
{
	size_t i;

	for (i = 0; i < l->net.former_count && i < ENGINE_FORMER_MAX; i++) {
		o->former[i].key = l->net.former[i].key;
		o->former[i].grace_ms = i > 0 ? 0 : (l->net.former[i].grace_until_s - clock_now_s()) * 1000;
	}
	o->former_count = i;
}

static void read_staylist(struct lan *l, struct buf *out)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;

	if (netstore_open(&s, l->m->home, &err) < 0 || network_staylist(&s, &l->net, out, &err) < 0)
		lan_warn(l, WARN_RULES, "%s", err.text);
	netstore_close(&s);
}

static int start_engine(struct lan *l, const struct kept *kept, struct error *err)
{
	struct buf staylist = BUF_INIT(STAY_LEN_MAX);
	struct engine_options o = {.mtu = l->m->options->mtu, .port_v4 = l->port4, .port_v6 = l->port6,
				   .no_beacons = l->m->options->no_discovery, .sequence = kept->own.sequence};
	int64_t now_ms = loop_now_ms(l->m->loop);
	size_t i;

	o.key = l->net.key;
	o.node = l->net.node;
	own_first(l, &kept->own, &o.own);
	former_keys(l, &o);
	read_staylist(l, &staylist);
	o.staylist = buf_slice(&staylist);
	if (keep_epoch(l, kept->own.sequence > 0 ? kept->own.boot_epoch : 0, &o.boot_epoch, err) == 0)
		l->engine = mesh_engine_new(&o, &l->ops, now_ms, clock_now_s(), err);
	netkey_wipe(&o.key);
	nodekey_wipe(&o.node);
	for (i = 0; i < o.former_count; i++)
		netkey_wipe(&o.former[i].key);
	buf_release(&staylist);
	return l->engine == NULL ? -1 : 0;
}

/* ---- life ---- */

static bool expired(const struct lan *l)
{
	return l->net.key.expires_s != 0 && clock_now_s() >= l->net.key.expires_s;
}

static void stop(struct lan *l, enum goodbye why)
{
	if (l->engine != NULL) {
		keep_now(l);
		mesh_engine_stop(l->engine, why, loop_now_ms(l->m->loop));
		lan_pump(l);
	}
	loop_timer_cancel(l->m->loop, &l->due);
	loop_timer_cancel(l->m->loop, &l->again);
	loop_timer_cancel(l->m->loop, &l->keep);
	loop_timer_cancel(l->m->loop, &l->sweep);
	loop_unwatch(&l->events);
	reach_stop(l);
	plane_free(l->plane);
	l->plane = NULL;
	redirect_free(l->redirect);
	l->redirect = NULL;
	names_network_remove(l->m->names, l->names);
	l->names = NULL;
	mesh_engine_free(l->engine);
	l->engine = NULL;
	filter_free(l->filter);
	l->filter = NULL;
	free_generations(l);
	l->address.set = false;
	l->port4 = l->port6 = 0;
}

static int add_names(struct lan *l, struct error *err)
{
	char label[MESH_NAME_MAX + 1];

	names_label(label, slice_str(l->net.key.name));
	if (names_network_add(l->m->names, &l->addressing, mesh_engine_claims(l->engine), slice_str(label), &l->names, err) == 0)
		return 0;
	if (err->kind != ERR_CONFLICT)
		return -1;
	/* Two networks of one name: the second one's names have no label. */
	*err = ERROR_INIT;
	return names_network_add(l->m->names, &l->addressing, mesh_engine_claims(l->engine), SLICE_LIT(""), &l->names, err);
}

static int up(struct lan *l, struct error *err)
{
	struct kept kept;
	size_t i;

	for (i = 0; i < ENGINE_PEERS_MAX; i++)
		l->slot_of[i] = PLANE_NOBODY;
	for (i = 0; i < PLANE_PEERS_MAX; i++)
		l->peer_of[i] = ENGINE_NOBODY;
	check_clock(l);
	merge_forwards(l);
	l->filter = filter_new(loop_now_ms(l->m->loop));
	keep_read(l, &kept);
	start_plane(l);
	if (start_engine(l, &kept, err) < 0 || add_names(l, err) < 0) {
		buf_release(&kept.records);
		return -1;
	}
	lan_generations(l);
	if (run_plane(l, err) < 0) {
		buf_release(&kept.records);
		return -1;
	}
	keep_load(l, &kept);
	buf_release(&kept.records);
	lan_scope(l);
	underlay_tell(l->m, l);
	lan_pump(l);
	loop_timer_set(l->m->loop, &l->sweep, loop_now_ms(l->m->loop) + SWEEP_MS);
	log_info("mesh.network", "network=\"%s\" id=%s generation=%u interface=%s port=%u", l->net.key.name, l->net.hex,
		 l->net.key.generation, l->plane != NULL && !l->no_interface ? plane_tun(l->plane)->name : "none", l->port4);
	return 0;
}

/* It is started as far as it goes: what is missing is a warning, and tried again. */
static void start(struct lan *l)
{
	struct error err = ERROR_INIT;
	char when[TIME_TEXT_LEN];

	if (expired(l)) {
		lan_warn(l, WARN_KEY, "the key of this network expired %s; its owner hands out the next one",
			 time_text(when, l->net.key.expires_s));
		return;
	}
	lan_warn_clear(l, WARN_KEY);
	if (up(l, &err) == 0)
		return;
	lan_warn(l, WARN_SOCKET, "%s", err.text);
	stop(l, GOODBYE_STOPPING);
	loop_timer_set(l->m->loop, &l->again, loop_now_ms(l->m->loop) + AGAIN_MS);
}

void lan_restart(struct lan *l, enum goodbye why)
{
	stop(l, why);
	start(l);
}

void lan_expiry(struct lan *l)
{
	int64_t expires_s = l->net.key.expires_s;
	char when[TIME_TEXT_LEN];

	if (expired(l) && l->engine != NULL)
		lan_restart(l, GOODBYE_STOPPING);
	else if (!expired(l) && l->engine == NULL && l->again.slot == 0)
		start(l);
	else if (!expired(l) && expires_s != 0 && clock_now_s() >= expires_s - EXPIRES_SOON_S)
		lan_warn(l, WARN_KEY, "the key of this network expires %s", time_text(when, expires_s));
	check_clock(l);
	if (l->engine != NULL)
		mesh_engine_wall(l->engine, loop_now_ms(l->m->loop), clock_now_s());
}

/* What goes on without an interface is not disturbed before there can be one. */
static void again_fire(struct timer *t)
{
	struct lan *l = container_of(t, struct lan, again);
	struct tun tun = {.fd = -1};
	struct error err = ERROR_INIT;

	if (l->no_interface && l->plane != NULL && tun_open(&tun, "mesh%d", 0, &err) < 0) {
		loop_timer_set(l->m->loop, t, loop_now_ms(l->m->loop) + AGAIN_MS);
		return;
	}
	tun_close(&tun);
	lan_restart(l, GOODBYE_STOPPING);
}

static void due_fire(struct timer *t)
{
	struct lan *l = container_of(t, struct lan, due);

	mesh_engine_timer(l->engine, loop_now_ms(l->m->loop));
	lan_pump(l);
}

static void told(void *arg, const struct names_change *c)
{
	char before[NODE_ID_HEX_LEN], now[NODE_ID_HEX_LEN];

	hex_encode(before, c->before, NODE_ID_LEN);
	hex_encode(now, c->now, NODE_ID_LEN);
	if (c->kind == NAMES_NAME)
		lan_changed(arg, "the name '%s' went from node %s to node %s", c->name, before, now);
	else
		lan_changed(arg, "block %u of addresses went from node %s to node %s", c->block, before, now);
}

static void sweep_fire(struct timer *t)
{
	struct lan *l = container_of(t, struct lan, sweep);
	int64_t now_ms = loop_now_ms(l->m->loop), next_ms = SWEEP_MS;

	if (l->review && names_review(l->names, told, l) > 0)
		keep_soon(l);
	l->review = false;
	filter_sweep(l->filter, now_ms);
	if (l->plane != NULL && plane_reap(l->plane) > 0)
		next_ms = 100;
	loop_timer_set(l->m->loop, &l->sweep, now_ms + next_ms);
}

void lan_pump(struct lan *l)
{
	struct mesh_act a;
	int64_t due_ms;

	while (mesh_engine_next(l->engine, &a))
		lan_act(l, &a);
	due_ms = mesh_engine_due(l->engine);
	if (due_ms == ENGINE_NEVER)
		loop_timer_cancel(l->m->loop, &l->due);
	else if (l->due.slot == 0 || l->due.at_ms != due_ms)
		loop_timer_set(l->m->loop, &l->due, due_ms);
}

struct lan *lan_start(struct meshlan *m, const struct network *net, bool first, struct error *err)
{
	struct lan *l = xcalloc(1, sizeof(*l));

	(void)err;
	l->m = m;
	l->net = *net;
	l->first = first;
	l->own_bytes = BUF_INIT(RECORD_LEN_MAX);
	l->slot_of = xcalloc(ENGINE_PEERS_MAX, sizeof(*l->slot_of));
	l->peer_of = xcalloc(PLANE_PEERS_MAX, sizeof(*l->peer_of));
	l->ops = (struct engine_ops){l, op_random, op_index_take, op_index_give, op_traffic, op_now_us};
	l->due.fire = due_fire;
	l->again.fire = again_fire;
	l->keep.fire = keep_fire;
	l->sweep.fire = sweep_fire;
	l->events.fd = -1;
	l->started_ms = loop_now_ms(m->loop);
	addressing_init(&l->addressing, net->key.id, &net->key.range, net->key.created_s);
	start(l);
	return l;
}

void lan_stop(struct lan *l, enum goodbye why)
{
	stop(l, why);
	log_info("mesh.network-stopped", "network=\"%s\" id=%s", l->net.key.name, l->net.hex);
	network_wipe(&l->net);
	buf_release(&l->own_bytes);
	free(l->slot_of);
	free(l->peer_of);
	free(l);
}

/* A newer key, put in force here by the operator: what passes goes on passing. */
static void rotate(struct lan *l)
{
	struct buf staylist = BUF_INIT(STAY_LEN_MAX);
	int64_t grace_s = l->net.former_count > 0 ? l->net.former[0].grace_until_s - clock_now_s() : 0;
	struct error err = ERROR_INIT;

	read_staylist(l, &staylist);
	if (mesh_engine_rotate(l->engine, &l->net.key, buf_slice(&staylist), grace_s > 0 ? grace_s * 1000 : 0,
			       loop_now_ms(l->m->loop), &err) < 0) {
		log_failure(LOG_LEVEL_WARN, "mesh.rotate", &err);
		lan_restart(l, GOODBYE_ROTATED);
	} else {
		log_info("mesh.rotated", "network=\"%s\" generation=%u", l->net.key.name, l->net.key.generation);
		lan_pump(l);
	}
	buf_release(&staylist);
}

void lan_update(struct lan *l, const struct network *net)
{
	/* What a rotation over the wire has put in force is on the disk as well, and nothing new here. */
	bool renewed = l->engine != NULL && net->key.generation != mesh_engine_key(l->engine)->generation;

	l->net = *net;
	if (l->engine == NULL)
		return;
	merge_forwards(l);
	if (renewed)
		rotate(l);
	renew_own(l);
	lan_scope(l);
}
