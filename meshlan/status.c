/* What runs and who is there (GET /status), and every name (GET /names). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "mesh/hosts.h"
#include "meshlan/door.h"
#include "sys/clock.h"

static const char *const warning_names[WARN_KINDS] = {
	[WARN_INTERFACE] = "interface", [WARN_SOCKET] = "socket", [WARN_KEY] = "key",
	[WARN_CLOCK] = "clock", [WARN_ADDRESS] = "address", [WARN_RULES] = "rules", [WARN_WAITING] = "waiting",
	[WARN_OWN_RECORD] = "own-record", [WARN_DISK] = "disk", [WARN_DNS] = "dns",
	[WARN_FORWARD] = "forward", [WARN_REACH] = "reach", [WARN_GUARD] = "guard",
	[WARN_RECORD] = "record",
};
#define BEHIND_TOLD 3	/* names of members without the new key */
#define CLASHES_TOLD 16	/* warnings of names that are lost; who calls itself what can be made up by any member */

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, name, t_s == 0 ? NULL : time_text(text, t_s));
}

/* Milliseconds since then, or null: at_ms is 0 where it never was. */
static void put_age(struct json_writer *w, const char *name, int64_t now_ms, int64_t at_ms)
{
	if (at_ms <= 0)
		json_put_null(w, name);
	else
		json_put_int(w, name, now_ms > at_ms ? now_ms - at_ms : 0);
}

static void put_addresses(struct json_writer *w, const struct names_entry *e)
{
	char text[DOOR_ADDRESS_LEN];

	json_put_string(w, "ipv4", e->has_address ? door_v4_text(text, e->v4) : NULL);
	json_put_string(w, "ipv6", e->has_address ? door_v6_text(text, e->v6) : NULL);
}

/* ---- names of one network, by node ---- */

struct roll {
	const struct names_network *network;
	struct names_entry *entries;	/* owned; by node, then place */
	size_t count, room;
};

static void roll_add(void *arg, const struct names_entry *e)
{
	struct roll *r = arg;

	if (e->network != r->network)
		return;
	if (r->count == r->room) {
		r->room = r->room == 0 ? 64 : 2 * r->room;
		r->entries = xreallocarray(r->entries, r->room, sizeof(*r->entries));
	}
	r->entries[r->count++] = *e;
}

static int by_node(const void *a, const void *b)
{
	const struct names_entry *x = a, *y = b;
	int d = memcmp(x->node, y->node, NODE_ID_LEN);

	if (d != 0)
		return d;
	if (x->ordinal != y->ordinal)
		return x->ordinal < y->ordinal ? -1 : 1;
	return (x->slot > y->slot) - (x->slot < y->slot);
}

static void roll_call(struct roll *r, struct lan *l)
{
	*r = (struct roll){.network = l->names};
	names_each(l->m->names, roll_add, r);
	if (r->count > 0)
		qsort(r->entries, r->count, sizeof(*r->entries), by_node);
}

/* The first entry of a node; *n is how many it has. */
static const struct names_entry *roll_of(const struct roll *r, const uint8_t node[static NODE_ID_LEN], size_t *n)
{
	size_t lo = 0, hi = r->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (memcmp(r->entries[mid].node, node, NODE_ID_LEN) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (*n = 0; lo + *n < r->count && memcmp(r->entries[lo + *n].node, node, NODE_ID_LEN) == 0; ++*n)
		;
	return r->entries + lo;
}

static bool is_node(const struct names_entry *e)
{
	return e->ordinal == 0 && e->slot == SLOT_NODE;
}

/* Name and addresses of a node; who has its name where it lost it. former: its name where it has none any more, or "". */
static void put_node(struct json_writer *w, const struct roll *r, const uint8_t node[static NODE_ID_LEN],
		     const char *former)
{
	const char *name;
	static const struct names_entry nothing;
	const struct names_entry *e, *self = &nothing;
	size_t n, i;

	e = roll_of(r, node, &n);
	for (i = 0; i < n; i++) {
		if (is_node(&e[i]))
			self = &e[i];
	}
	name = self->name[0] != '\0' ? self->name : former;
	json_put_string(w, "name", name[0] == '\0' ? NULL : name);
	json_put_hex(w, "node", node, NODE_ID_LEN);
	put_addresses(w, self);
	if (self->name[0] == '\0' || self->holds)
		json_put_null(w, "name_held_by");
	else
		json_put_hex(w, "name_held_by", self->holder, NODE_ID_LEN);
}

/* Own ones, with their devices. The address follows from the block, whoever has the name. */
static void put_forwards(struct json_writer *w, const struct lan *l)
{
	static const struct names_entry nowhere;
	char target[FORWARD_TARGET_TEXT_LEN];
	size_t i;

	json_open_array(w, "forwards");
	for (i = 0; i < l->net.forwards.count; i++) {
		const struct forward *f = &l->net.forwards.all[i];
		struct names_entry e = nowhere;
		uint32_t block;

		e.has_address = l->engine != NULL && claims_holds(mesh_engine_claims(l->engine), l->net.node.id, f->ordinal, &block);
		if (e.has_address) {
			e.v4 = block_v4(&l->addressing, block, f->slot);
			block_v6(&l->addressing, block, f->slot, e.v6);
		}
		json_open_object(w, NULL);
		json_put_string(w, "name", f->name);
		put_addresses(w, &e);
		json_put_string(w, "target", forward_target_text(target, &f->target));
		json_put_string(w, "badge", f->config ? "config" : NULL);
		json_close(w);
	}
	json_close(w);
}

/* What a peer forwards to; which devices these are is its own affair. */
static void put_peer_forwards(struct json_writer *w, const struct roll *r, const uint8_t node[static NODE_ID_LEN])
{
	const struct names_entry *e;
	size_t n, i;

	e = roll_of(r, node, &n);
	json_open_array(w, "forwards");
	for (i = 0; i < n; i++) {
		if (is_node(&e[i]))
			continue;
		json_open_object(w, NULL);
		json_put_string(w, "name", e[i].name);
		put_addresses(w, &e[i]);
		json_put_bool(w, "holds_name", e[i].holds);
		json_close(w);
	}
	json_close(w);
}

/* ---- peers ---- */

static void put_traffic(struct json_writer *w, const struct lan *l, uint32_t peer, int64_t now_ms)
{
	struct plane_peer_stats s = {0};
	uint32_t slot = door_slot(l, peer);

	if (slot != PLANE_NOBODY)
		plane_peer_stats(l->plane, slot, &s);
	json_put_int(w, "received_bytes", (int64_t)s.rx_bytes);
	json_put_int(w, "received_packets", (int64_t)s.rx_packets);
	json_put_int(w, "sent_bytes", (int64_t)s.tx_bytes);
	json_put_int(w, "sent_packets", (int64_t)s.tx_packets);
	put_age(w, "heard_ms_ago", now_ms, s.rx_ms);
}

/* Through whom it is reached: its name, or its id. */
static void put_via(struct json_writer *w, const struct lan *l, const struct roll *r, const struct mesh_peer_info *i)
{
	struct mesh_peer_info via;
	const struct names_entry *e;
	size_t n;

	if (!i->live || i->path != MESH_PATH_PEER || !door_peer(l, i->relay, &via)) {
		json_put_null(w, "via");
		return;
	}
	e = roll_of(r, via.node, &n);
	if (n > 0 && is_node(e))
		json_put_string(w, "via", e->name);
	else
		json_put_hex(w, "via", via.node, NODE_ID_LEN);
}

static void put_peer(struct json_writer *w, const struct lan *l, const struct roll *r, const struct mesh_peer_info *i,
		     int64_t now_ms)
{
	char at[ENDPOINT_TEXT_LEN];

	json_open_object(w, NULL);
	put_node(w, r, i->node, i->evicted ? i->name : "");
	json_put_string(w, "state", i->evicted ? "evicted" : i->live ? "connected" : i->calling ? "calling" : "idle");
	if (i->known_generation > 0)
		json_put_int(w, "generation", i->known_generation);
	else
		json_put_null(w, "generation");
	json_put_string(w, "path", door_path(i));
	put_via(w, l, r, i);
	json_put_string(w, "endpoint", i->at.family == ENDPOINT_NONE ? NULL : endpoint_text(at, &i->at));
	if (i->live)
		json_put_int(w, "mtu", i->mtu);
	else
		json_put_null(w, "mtu");
	put_age(w, "handshake_ms_ago", now_ms, i->handshake_ms);
	if (i->rtt_us >= 0)
		json_put_int(w, "rtt_us", i->rtt_us);
	else
		json_put_null(w, "rtt_us");
	put_traffic(w, l, i->peer, now_ms);
	put_peer_forwards(w, r, i->node);
	json_close(w);
}

struct listed {
	struct mesh_peer_info info;
	const char *name;	/* of the roll; "" where there is none */
};

/* Those that are out come last. */
static int by_name(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	int d = strcmp(x->info.evicted ? x->info.name : x->name, y->info.evicted ? y->info.name : y->name);

	if (x->info.evicted != y->info.evicted)
		return x->info.evicted ? 1 : -1;
	return d != 0 ? d : memcmp(x->info.node, y->info.node, NODE_ID_LEN);
}

static void put_peers(struct json_writer *w, const struct lan *l, const struct roll *r, int64_t now_ms)
{
	struct listed *list = xcalloc(mesh_engine_peers(l->engine) + 1, sizeof(*list));
	const struct names_entry *e;
	size_t n = 0, entries, i;
	uint32_t at = 0;

	while (n < mesh_engine_peers(l->engine) && mesh_engine_each(l->engine, &at, &list[n].info)) {
		if (list[n].info.away)
			continue;
		e = roll_of(r, list[n].info.node, &entries);
		list[n++].name = entries > 0 && is_node(e) ? e->name : "";
	}
	qsort(list, n, sizeof(*list), by_name);
	json_open_array(w, "peers");
	for (i = 0; i < n; i++)
		put_peer(w, l, r, &list[i].info, now_ms);
	json_close(w);
	free(list);
}

/* ---- one network ---- */

static void put_warning(struct json_writer *w, const char *kind, int64_t since_s, const char *text)
{
	json_open_object(w, NULL);
	json_put_string(w, "kind", kind);
	put_time(w, "since", since_s);
	json_put_string(w, "text", text);
	json_close(w);
}

/* Names that several nodes give themselves. */
static void put_clashes(struct json_writer *w, const struct lan *l, const struct roll *r)
{
	char holder[NODE_ID_HEX_LEN], loser[NODE_ID_HEX_LEN], text[WARNING_TEXT_LEN];
	unsigned told = 0;
	size_t i;

	for (i = 0; i < r->count && told < CLASHES_TOLD; i++) {
		const struct names_entry *e = &r->entries[i];

		if (e->holds)
			continue;
		told++;
		hex_encode(holder, e->holder, NODE_ID_LEN);
		hex_encode(loser, e->node, NODE_ID_LEN);
		if (memcmp(e->node, l->net.node.id, NODE_ID_LEN) == 0)
			snprintf(text, sizeof(text), "'%s' is not reached by that name: node %s took it earlier", e->name, holder);
		else
			snprintf(text, sizeof(text), "two call themselves '%s': it means node %s, not node %s, which took it later",
				 e->name, holder, loser);
		put_warning(w, "name", 0, text);
	}
}

/* "nas, tab and 3 more": who has not shown to have the key in force. known: of those alone that have shown another one. */
static size_t list_behind(struct buf *names, const struct lan *l, const struct roll *r, bool known)
{
	uint32_t in_force = mesh_engine_key(l->engine)->generation, at = 0;
	struct mesh_peer_info p;
	size_t n = 0, entries;

	while (mesh_engine_each(l->engine, &at, &p)) {
		const struct names_entry *e = roll_of(r, p.node, &entries);
		char id[NODE_ID_HEX_LEN];

		if (p.evicted || p.away || p.known_generation >= in_force || (known && p.known_generation == 0))
			continue;
		if (n++ >= BEHIND_TOLD)
			continue;
		hex_encode(id, p.node, NODE_ID_LEN);
		buf_put_str(names, n > 1 ? ", " : "");
		if (entries > 0 && is_node(e))
			buf_printf(names, "%s", e->name);
		else
			buf_printf(names, "%.12s", id);
	}
	if (n > BEHIND_TOLD)
		buf_printf(names, " and %zu more", n - BEHIND_TOLD);
	return n;
}

/*
 * Members that are, or will be, lost for want of the key in force. After the grace only those that are known to have an older
 * one: after a restart nothing is known of the others, and all may be well.
 */
static void put_behind(struct json_writer *w, const struct lan *l, const struct roll *r)
{
	const struct netkey *key = mesh_engine_key(l->engine), *before = mesh_engine_key_before(l->engine);
	struct buf names = BUF_INIT(1024);
	char text[WARNING_TEXT_LEN], until[TIME_TEXT_LEN];
	size_t n = list_behind(&names, l, r, before == NULL);

	if (n > 0 && before == NULL)
		snprintf(text, sizeof(text), "%zu of the members %s not have the key in force, generation %u, and %s not "
			 "reached: %s; 'meshanics mgmt-keys show' here prints it for 'meshanics mgmt-keys add' there", n,
			 n == 1 ? "does" : "do", key->generation, n == 1 ? "is" : "are", buf_cstr(&names));
	else if (n > 0)
		snprintf(text, sizeof(text), "%zu of the members %s not known to have the new key, generation %u: %s; the "
			 "former one holds until %s; 'meshanics mgmt-keys show' here prints the new one for "
			 "'meshanics mgmt-keys add' there", n, n == 1 ? "is" : "are", key->generation, buf_cstr(&names),
			 l->net.former_count > 0 && l->net.former[0].key.generation == before->generation ?
			 time_text(until, l->net.former[0].grace_until_s) : "its grace is over");
	if (n > 0)
		put_warning(w, "generation", 0, text);
	buf_release(&names);
}

/* What is wrong with the configuration, for no network alone. */
static void put_configuration(struct json_writer *w, const struct lan *l)
{
	const struct meshlan_forward *f;
	char text[WARNING_TEXT_LEN];
	size_t at = 0;

	if (l->m->peers_unknown[0] != '\0')
		put_warning(w, "peer", 0, l->m->peers_unknown);
	while (l == l->m->lans[0] && (f = forwards_homeless(l->m, &at)) != NULL) {
		snprintf(text, sizeof(text), "forward '%s' of the configuration is for network '%s', which is not here; "
			 "'meshanics mgmt-keys list' shows those that are", f->name, f->network);
		put_warning(w, "forward", 0, text);
	}
}

static void put_warnings(struct json_writer *w, const struct lan *l, const struct roll *r)
{
	size_t i;

	json_open_array(w, "warnings");
	for (i = 0; i < WARN_KINDS; i++) {
		if (l->warnings[i].since_s != 0)
			put_warning(w, warning_names[i], l->warnings[i].since_s, l->warnings[i].text);
	}
	put_clashes(w, l, r);
	if (l->engine != NULL)
		put_behind(w, l, r);
	put_configuration(w, l);
	json_close(w);
	json_open_array(w, "changes");
	for (i = 0; i < CHANGES_KEPT; i++) {
		const struct change *c = &l->changes[(l->changes_next + i) % CHANGES_KEPT];

		if (c->at_s == 0)
			continue;
		json_open_object(w, NULL);
		put_time(w, "at", c->at_s);
		json_put_string(w, "text", c->text);
		json_close(w);
	}
	json_close(w);
}

static void put_rules(struct json_writer *w, const struct lan *l)
{
	char text[ALLOW_TEXT_LEN];
	size_t i;

	json_open_array(w, "rules");
	for (i = 0; i < l->net.allow.count; i++)
		json_put_string(w, NULL, allow_text(text, &l->net.allow.rules[i]));
	json_close(w);
	json_put_bool(w, "echo", !l->net.allow.no_echo);
}

static void put_endpoints(struct json_writer *w, const struct lan *l)
{
	static const char *const kinds[] = {
		[ENDPOINT_OWN] = "own", [ENDPOINT_OBSERVED] = "observed", [ENDPOINT_MAPPED] = "mapped",
		[ENDPOINT_CONFIGURED] = "configured", [ENDPOINT_RELAY] = "relay",
	};
	const struct mesh_record *own = mesh_engine_record(l->engine);
	char at[ENDPOINT_TEXT_LEN];
	size_t i;

	json_open_array(w, "endpoints");
	for (i = 0; i < own->endpoints_count; i++) {
		const struct record_endpoint *e = &own->endpoints[i];

		json_open_object(w, NULL);
		json_put_string(w, "kind", e->kind < ARRAY_SIZE(kinds) ? kinds[e->kind] : NULL);
		json_put_string(w, "at", endpoint_text(at, &e->at));
		json_close(w);
	}
	json_close(w);
}

static void put_interface(struct json_writer *w, const struct lan *l)
{
	const struct meshlan_options *o = l->m->options;

	json_put_string(w, "interface", l->plane == NULL || l->no_interface ? NULL : plane_tun(l->plane)->name);
	json_put_int(w, "mtu", o->mtu == 0 ? PLANE_MTU : o->mtu);
	json_put_int(w, "port_ipv4", l->port4);
	json_put_int(w, "port_ipv6", l->port6);
}

static void put_reasons(struct json_writer *w, const char *name, const uint64_t counts[static FILTER_REASONS])
{
	static const char *const names[FILTER_REASONS] = {
		[FILTER_BY_FLOW] = "flow", [FILTER_BY_RULE] = "rule", [FILTER_UNJUDGED] = "unjudged",
		[FILTER_NO_RULE] = "no_rule", [FILTER_NO_FLOW] = "no_flow", [FILTER_ENDED] = "ended",
		[FILTER_STRAY] = "stray", [FILTER_FULL] = "full", [FILTER_RATE] = "rate",
		[FILTER_PROTOCOL] = "protocol", [FILTER_MALFORMED] = "malformed",
	};
	int i;

	json_open_object(w, name);
	for (i = 0; i < FILTER_REASONS; i++)
		json_put_int(w, names[i], (int64_t)counts[i]);
	json_close(w);
}

/* Figures that only ever grow, for who looks for what goes wrong. */
static void put_figures(struct json_writer *w, const struct lan *l)
{
	struct filter_figures f;
	struct plane_stats p = {0};

	filter_figures(l->filter, &f);
	if (l->plane != NULL)
		plane_stats(l->plane, &p);
	json_open_object(w, "figures");
	put_reasons(w, "in", f.in);
	put_reasons(w, "out", f.out);
	json_put_int(w, "flows", f.flows.used);
	json_put_int(w, "flows_let_in", f.flows.let_in);
	json_put_int(w, "datagrams_sent", (int64_t)p.udp_sent);
	json_put_int(w, "datagrams_received", (int64_t)p.udp_received);
	json_put_int(w, "strangers", (int64_t)p.in_strangers);
	json_put_int(w, "not_authentic", (int64_t)p.in_unauthentic);
	json_put_int(w, "of_a_foreign_address", (int64_t)p.in_foreign);
	json_put_int(w, "events_lost", (int64_t)(p.in_events_lost + p.out_events_lost));
	json_close(w);
}

/* What there is only while the network runs. */
static void put_live(struct json_writer *w, struct lan *l, const struct roll *r, int64_t now_ms)
{
	json_open_object(w, "self");
	put_node(w, r, l->net.node.id, "");
	json_close(w);
	put_endpoints(w, l);
	put_peers(w, l, r, now_ms);
	put_figures(w, l);
}

static void put_lan(struct json_writer *w, struct lan *l, int64_t now_ms)
{
	char range[RANGE_TEXT_LEN], six[DOOR_ADDRESS_LEN];
	uint8_t prefix[16] = {0};
	struct roll r = {.count = 0};
	memcpy(prefix, l->addressing.v6_prefix, sizeof(l->addressing.v6_prefix));
	json_open_object(w, NULL);
	json_put_string(w, "network", l->net.key.name);
	json_put_string(w, "id", l->net.hex);
	json_put_string(w, "label", l->names == NULL ? NULL : names_network_label(l->names));
	json_put_bool(w, "running", l->engine != NULL);
	json_put_int(w, "generation", l->net.key.generation);
	put_time(w, "expires", l->net.key.expires_s);
	json_put_string(w, "ipv4_range", range_text(range, &l->net.key.range));
	json_put_string(w, "ipv6_prefix", door_v6_text(six, prefix));
	put_interface(w, l);
	put_rules(w, l);
	put_forwards(w, l);
	if (l->engine != NULL) {
		roll_call(&r, l);
		put_live(w, l, &r, now_ms);
	}
	put_warnings(w, l, &r);
	json_close(w);
	free(r.entries);
}

void status_put(struct meshlan *m, struct json_writer *w)
{
	size_t i;

	json_open_object(w, NULL);
	json_put_bool(w, "running", true);
	json_put_string(w, "version", MESHANICS_VERSION);
	json_put_int(w, "pid", getpid());
	put_time(w, "started", m->started_s);
	json_put_string(w, "name", m->name);
	json_put_string(w, "suffix", m->suffix);
	json_open_array(w, "networks");
	for (i = 0; i < m->lans_count; i++)
		put_lan(w, m->lans[i], clock_mono_ms());
	json_close(w);
	json_close(w);
}

/* ---- names ---- */

struct name_list {
	struct json_writer *w;
	struct meshlan *m;
};

static void put_name(void *arg, const struct names_entry *e)
{
	struct name_list *n = arg;
	struct lan *l = door_lan(n->m, e->network);

	if (l == NULL)
		return;
	json_open_object(n->w, NULL);
	json_put_string(n->w, "name", e->name);
	json_put_string(n->w, "network", l->net.key.name);
	json_put_string(n->w, "label", names_network_label(e->network));
	json_put_hex(n->w, "node", e->node, NODE_ID_LEN);
	json_put_bool(n->w, "forward", !is_node(e));
	put_addresses(n->w, e);
	if (e->holds)
		json_put_null(n->w, "held_by");
	else
		json_put_hex(n->w, "held_by", e->holder, NODE_ID_LEN);
	json_close(n->w);
}

void names_put(struct meshlan *m, struct json_writer *w)
{
	struct name_list n = {.w = w, .m = m};
	struct buf hosts = BUF_INIT(MESHLAN_ANSWER_MAX);

	hosts_put(&hosts, m->names, m->suffix);
	json_open_object(w, NULL);
	json_put_string(w, "suffix", m->suffix);
	json_open_array(w, "names");
	names_each(m->names, put_name, &n);
	json_close(w);
	json_put_slice(w, "hosts", buf_slice(&hosts));
	json_close(w);
	buf_release(&hosts);
}
