/*
 * One ping (POST /ping): a session with the node, if there is none yet, then one echo through the mesh, and what is
 * known of the way. Answered once, with what came of it.
 *
 *	CALLING --session stands--> ASKING --answer, error or deadline--> answered
 *	   | deadline
 *	   +--> answered
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/encode.h"
#include "meshlan/door.h"
#include "sys/clock.h"
#include "sys/echo.h"

#define PINGS_MAX 64
#define LOOK_MS 5		/* how often a session is looked for */
#define TIMEOUT_MAX_MS 60000
#define PAYLOAD_LEN 56		/* as ping(8) has it */
#define WHY_LEN 384
#define ENDPOINTS_TOLD 3

struct ping {
	struct meshlan *m;
	struct ping *next;
	struct exchange_token token;
	char network[NETWORK_ID_HEX_LEN];
	struct names_entry entry;
	bool self;
	union udp_addr to;
	uint16_t sequence;
	int64_t began_ms, deadline_ms;
	int64_t session_ms;		/* how long it took to have a session; -1: there is none */
	bool called;
	struct timer step;
	struct echo echo;
	struct watch watch;		/* of echo */
	int64_t sent_us, rtt_us;	/* rtt_us -1: no answer */
	char why[WHY_LEN];		/* there is no answer */
};

/* ---- the answer ---- */

static void put_way(struct json_writer *w, const struct ping *p, const struct lan *l)
{
	struct mesh_peer_info i, via;
	char at[ENDPOINT_TEXT_LEN];
	bool known = !p->self && l != NULL && mesh_engine_find(l->engine, p->entry.node, &i);
	bool live = known && i.live;

	json_put_string(w, "path", p->self ? "self" : known ? door_path(&i) : "none");
	if (live && i.path == MESH_PATH_PEER && door_peer(l, i.relay, &via))
		json_put_string(w, "via", via.name);
	else
		json_put_null(w, "via");
	json_put_string(w, "endpoint", live && i.at.family != ENDPOINT_NONE ? endpoint_text(at, &i.at) : NULL);
	if (live && i.rtt_us >= 0)
		json_put_int(w, "path_rtt_us", i.rtt_us);
	else
		json_put_null(w, "path_rtt_us");
	if (live)
		json_put_int(w, "mtu", i.mtu);
	else
		json_put_null(w, "mtu");
}

static void put_ping(struct json_writer *w, const struct ping *p, const struct lan *l)
{
	char text[DOOR_ADDRESS_LEN];

	json_open_object(w, NULL);
	json_put_string(w, "target", p->entry.name);
	json_put_string(w, "address", p->to.sa.sa_family == AF_INET ? door_v4_text(text, p->entry.v4)
								    : door_v6_text(text, p->entry.v6));
	json_put_hex(w, "node", p->entry.node, NODE_ID_LEN);
	json_put_string(w, "network", l == NULL ? NULL : l->net.key.name);
	json_put_int(w, "sequence", p->sequence);
	json_put_bool(w, "answered", p->rtt_us >= 0);
	if (p->rtt_us >= 0)
		json_put_int(w, "rtt_us", p->rtt_us);
	else
		json_put_null(w, "rtt_us");
	if (p->session_ms >= 0)
		json_put_int(w, "session_ms", p->session_ms);
	else
		json_put_null(w, "session_ms");
	put_way(w, p, l);
	json_put_string(w, "why", p->rtt_us >= 0 ? NULL : p->why);
	json_close(w);
}

static struct lan *lan_of(const struct ping *p)
{
	struct lan *l = meshlan_find(p->m, slice_str(p->network));

	return l == NULL || l->engine == NULL ? NULL : l;
}

static void ping_free(struct ping *p)
{
	struct ping **at = &p->m->door->pings;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	loop_unwatch(&p->watch);
	loop_timer_cancel(p->m->loop, &p->step);
	echo_close(&p->echo);
	free(p);
}

static void finish(struct ping *p)
{
	struct exchange *x = exchange_find(p->token);
	struct buf body = BUF_INIT(16u << 10);
	struct json_writer w = JSON_WRITER(&body);

	if (x != NULL) {
		put_ping(&w, p, lan_of(p));
		door_answer(x, &body, NULL);
	}
	buf_release(&body);
	ping_free(p);
}

static void PRINTF_LIKE(2, 3) fail(struct ping *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	finish(p);
}

/* ---- the echo ---- */

static bool is_forward(const struct ping *p)
{
	return p->entry.slot != SLOT_NODE || p->entry.ordinal != 0;
}

static void told_error(struct ping *p, int error)
{
	switch (error) {
	case EHOSTUNREACH:
		fail(p, is_forward(p) ? "the node in front of it is reached, the device behind is not" : "host unreachable");
		return;
	case EACCES:
		fail(p, "prohibited on the way");
		return;
	default:
		fail(p, "%s", strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
	}
}

/* The deadline has passed, and the session stands: what is left. */
static void told_silence(struct ping *p)
{
	if (is_forward(p))
		fail(p, "the node in front of it is connected, but the device does not answer, or a rule there denies it");
	else
		fail(p, "the node is connected, but answers no ping: its rules or its firewall may deny it");
}

static void echo_ready(struct watch *w, uint32_t revents)
{
	struct ping *p = container_of(w, struct ping, watch);
	uint8_t room[PAYLOAD_LEN + 64];
	struct echo_event e;

	(void)revents;
	while (echo_receive(&p->echo, &e, room, sizeof(room))) {
		if (e.sequence != p->sequence || !udp_addr_equal(&e.target, &p->to))
			continue;
		if (e.error != 0) {
			told_error(p, e.error);
			return;
		}
		p->rtt_us = e.at_us > p->sent_us ? e.at_us - p->sent_us : 0;
		finish(p);
		return;
	}
}

static void ask(struct ping *p, struct lan *l)
{
	struct error err = ERROR_INIT;
	uint8_t payload[PAYLOAD_LEN];
	int r;

	p->session_ms = loop_now_ms(p->m->loop) - p->began_ms;
	if (l->no_interface || l->plane == NULL) {
		fail(p, "this node has no interface of the mesh; 'meshanics meshlan status' says why");
		return;
	}
	if (!p->self && mesh_engine_probe(l->engine, p->entry.node, loop_now_ms(p->m->loop)) == 0)
		lan_pump(l);
	memset(payload, 0, sizeof(payload));
	if (echo_open(&p->echo, p->to.sa.sa_family, &err) < 0) {
		fail(p, "%s", err.text);
		return;
	}
	p->watch = (struct watch){.fd = p->echo.fd, .events = EPOLLIN, .ready = echo_ready};
	if (loop_watch(p->m->loop, &p->watch, &err) < 0) {
		fail(p, "%s", err.text);
		return;
	}
	p->sent_us = clock_mono_us();
	if ((r = echo_send(&p->echo, &p->to, p->sequence, payload, sizeof(payload))) != 0)
		told_error(p, r);
	else
		loop_timer_set(p->m->loop, &p->step, p->deadline_ms);
}

/* ---- the session ---- */

/* Where it was called, for people; false when nobody knows where it is. */
static bool put_tried(struct buf *out, const struct lan *l, const struct mesh_peer_info *i)
{
	struct mesh_record *r = xmalloc(sizeof(*r));
	struct error err = ERROR_INIT;
	char at[ENDPOINT_TEXT_LEN];
	size_t n = 0, k;

	if (i->record.len > 0 && record_parse(r, i->record, &l->addressing, &err) == 0)
		n = r->endpoints_count;
	for (k = 0; k < n && k < ENDPOINTS_TOLD; k++)
		buf_printf(out, "%s%s", k == 0 ? "" : ", ", endpoint_text(at, &r->endpoints[k].at));
	if (n > ENDPOINTS_TOLD)
		buf_put_str(out, ", ...");
	free(r);
	return n > 0;
}

static void told_unreached(struct ping *p, const struct lan *l, const struct mesh_peer_info *i)
{
	struct buf at = BUF_INIT(1024);

	if (put_tried(&at, l, i))
		fail(p, "no answer from the node at %s%s", buf_cstr(&at),
		     i->known_generation > 0 && i->known_generation < mesh_engine_key(l->engine)->generation ?
		     ", and it has an older key of the network" : "");
	else
		fail(p, "nobody here knows where the node is");
	buf_release(&at);
}

static void step(struct ping *p)
{
	int64_t now_ms = loop_now_ms(p->m->loop);
	struct lan *l = lan_of(p);
	struct mesh_peer_info i;

	if (exchange_find(p->token) == NULL) {
		ping_free(p);
	} else if (p->sent_us != 0) {
		told_silence(p);
	} else if (l == NULL) {
		fail(p, "the network has stopped");
	} else if (p->self) {
		ask(p, l);
	} else if (!mesh_engine_find(l->engine, p->entry.node, &i)) {
		fail(p, "nothing is known of the node but its id");
	} else if (i.evicted) {
		fail(p, "the node was evicted");
	} else if (i.live) {
		ask(p, l);
	} else if (now_ms >= p->deadline_ms) {
		told_unreached(p, l, &i);
	} else {
		if (!p->called && mesh_engine_call(l->engine, p->entry.node, now_ms) == 0)
			lan_pump(l);
		p->called = true;
		loop_timer_set(p->m->loop, &p->step, now_ms + LOOK_MS < p->deadline_ms ? now_ms + LOOK_MS : p->deadline_ms);
	}
}

static void step_fire(struct timer *t)
{
	step(container_of(t, struct ping, step));
}

/* ---- beginning ---- */

static void set_address(struct ping *p, int64_t family)
{
	if (family == 4) {
		p->to.in.sin_family = AF_INET;
		p->to.in.sin_addr.s_addr = htonl(p->entry.v4);
	} else {
		p->to.in6.sin6_family = AF_INET6;
		memcpy(&p->to.in6.sin6_addr, p->entry.v6, sizeof(p->entry.v6));
	}
}

static int check_family(int64_t family, struct error *err)
{
	return family == 4 || family == 6 ? 0 : error_set(err, ERR_USAGE, "there is IPv4 and IPv6");
}

static int check_room(struct meshlan *m, struct error *err)
{
	const struct ping *p;
	unsigned n = 0;

	for (p = m->door->pings; p != NULL; p = p->next)
		n++;
	if (n < PINGS_MAX)
		return 0;
	return error_set(err, ERR_RETRY, "%u pings are under way already", n);
}

int ping_begin(struct meshlan *m, struct exchange *x, struct json_value q, struct error *err)
{
	int64_t family = 4, sequence, timeout_ms;
	struct slice target;
	struct found f;
	struct ping *p;

	if (json_need_string(q, "target", &target, err) < 0 || json_opt_int(q, "family", 4, 6, &family, err) < 0 ||
	    check_family(family, err) < 0 || json_need_int(q, "sequence", 0, UINT16_MAX, &sequence, err) < 0 ||
	    json_need_int(q, "timeout_ms", 1, TIMEOUT_MAX_MS, &timeout_ms, err) < 0 || check_room(m, err) < 0 ||
	    door_find(m, target, &f, err) < 0)
		return -1;
	if (!f.entry.has_address) {
		error_set(err, ERR_NOT_FOUND, "'%.*s' holds no address", SLICE_ARG(target));
		return error_hint(err, "another node claims the same one; it takes the next, see 'meshanics meshlan status'");
	}
	p = xcalloc(1, sizeof(*p));
	p->m = m;
	p->next = m->door->pings;
	m->door->pings = p;
	p->token = exchange_token(x);
	p->entry = f.entry;
	p->entry.network = NULL;
	p->self = f.self;
	memcpy(p->network, f.lan->net.hex, sizeof(p->network));
	set_address(p, family);
	p->sequence = (uint16_t)sequence;
	p->began_ms = loop_now_ms(m->loop);
	p->deadline_ms = p->began_ms + timeout_ms;
	p->session_ms = p->rtt_us = -1;
	p->echo.fd = -1;
	p->step.fire = step_fire;
	step(p);
	return 0;
}

void ping_stop_all(struct meshlan *m)
{
	while (m->door->pings != NULL)
		ping_free(m->door->pings);
}
