/* One network: its life, from the store to the engine and back. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "mesh/stay.h"
#include "meshlan/internal.h"
#include "sys/clock.h"

#define SWEEP_MS 10000
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

/* ---- engine ---- */

static void check_clock(struct lan *l)
{
	if (clock_now_s() < l->addressing.created_s)
		lan_warn(l, WARN_CLOCK, "the clock is before the creation of the network; the mesh works, dates in it do not");
	else
		lan_warn_clear(l, WARN_CLOCK);
}

/*
 * What is left of the grace of the generation before; none is longer than the longest one there is, however the clock
 * stands.
 */
static int64_t grace_left_ms(const struct lan *l)
{
	int64_t left_s = l->net.former[0].grace_until_s - clock_now_s();

	return (left_s < 0 ? 0 : left_s > GRACE_MAX_S ? GRACE_MAX_S : left_s) * 1000;
}

static void former_keys(const struct lan *l, struct engine_options *o)
{
	size_t i;

	for (i = 0; i < l->net.former_count && i < ENGINE_FORMER_MAX; i++) {
		o->former[i].key = l->net.former[i].key;
		o->former[i].grace_ms = i > 0 ? 0 : grace_left_ms(l);
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
	lan_own(l, &kept->own, &o.own);
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
	/* One that did not come up has nothing to say, and nothing to keep. */
	if (l->names != NULL) {
		/* Of what was read: ages have changed, if nothing else. */
		l->unkept = l->unkept || l->sweep.slot != 0;
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
	lan_unguard(l);
	redirect_free(l->redirect);
	l->redirect = NULL;
	if (l->names != NULL)
		names_network_remove(l->m->names, l->names);
	l->names = NULL;
	mesh_engine_free(l->engine);
	l->engine = NULL;
	filter_free(l->filter);
	l->filter = NULL;
	lan_free_generations(l);
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
	lan_merge_forwards(l);
	l->filter = filter_new(loop_now_ms(l->m->loop));
	keep_read(l, &kept);
	lan_open_plane(l);
	if (start_engine(l, &kept, err) < 0 || add_names(l, err) < 0) {
		buf_release(&kept.records);
		return -1;
	}
	lan_generations(l);
	if (lan_run_plane(l, err) < 0) {
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
		 l->net.key.generation, l->plane != NULL && !l->no_interface ? plane_tun(l->plane)->name : "none",
		 l->port4 != 0 ? l->port4 : l->port6);
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
	loop_timer_set(l->m->loop, &l->again, loop_now_ms(l->m->loop) + LAN_AGAIN_MS);
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
	if (l->engine == NULL)
		return;
	mesh_engine_wall(l->engine, loop_now_ms(l->m->loop), clock_now_s());
	/* It was taken from the clock of the start, which may have been set since. */
	if (l->net.former_count > 0 && l->net.key.generation == mesh_engine_key(l->engine)->generation &&
	    clock_now_s() >= l->addressing.created_s)
		mesh_engine_grace(l->engine, grace_left_ms(l), loop_now_ms(l->m->loop));
	lan_pump(l);
}

/* What goes on without an interface is not disturbed before there can be one. */
static void again_fire(struct timer *t)
{
	struct lan *l = container_of(t, struct lan, again);
	struct tun tun = {.fd = -1};
	struct error err = ERROR_INIT;

	if (l->no_interface && l->plane != NULL && tun_open(&tun, "mesh%d", 0, &err) < 0) {
		loop_timer_set(l->m->loop, t, loop_now_ms(l->m->loop) + LAN_AGAIN_MS);
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
	reach_watch(l);
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
	lan_ops(l);
	l->due.fire = due_fire;
	l->again.fire = again_fire;
	l->keep.fire = keep_fire;
	l->sweep.fire = sweep_fire;
	l->guard.netlink.fd = -1;
	l->guard_again.fire = lan_guard_fire;
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
	keep_rotation_drop(l);
	node_ids_release(&l->evicted);
	buf_release(&l->own_bytes);
	free(l->slot_of);
	free(l->peer_of);
	free(l);
}

/* A newer key, put in force here by the operator: what passes goes on passing. */
static void rotate(struct lan *l)
{
	struct buf staylist = BUF_INIT(STAY_LEN_MAX);
	int64_t grace_ms = l->net.former_count > 0 ? grace_left_ms(l) : 0;
	struct error err = ERROR_INIT;

	read_staylist(l, &staylist);
	if (mesh_engine_rotate(l->engine, &l->net.key, buf_slice(&staylist), grace_ms,
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
	/* What a rotation over the wire has put in force is on the disk as well, or will be, and nothing new here. */
	bool renewed = l->engine != NULL && net->key.generation > mesh_engine_key(l->engine)->generation;

	l->net = *net;
	if (l->engine == NULL)
		return;
	lan_merge_forwards(l);
	if (renewed)
		rotate(l);
	lan_renew_own(l);
	lan_scope(l);
}
