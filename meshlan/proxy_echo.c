/* Echo requests to forwards: each is answered when the device has answered one of ours. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "mesh/bytes.h"
#include "mesh/plane_packet.h"
#include "meshlan/proxy_internal.h"

#define BYTES_MAX (1u << 20)	/* of requests that wait */
#define SWEEP_MS 1000
#define TTL 64

/* A member's request, and ours that asks the device in its place. */
struct asked {
	uint32_t peer;
	uint16_t sequence;
	union udp_addr target;
	int64_t until_ms;
	size_t len;
	uint8_t ip[];		/* the member's packet */
};

static void forget(struct proxy *p, struct asked **at)
{
	if (*at == NULL)
		return;
	p->asked_bytes -= (*at)->len;
	free(*at);
	*at = NULL;
	atomic_fetch_sub(&p->asked_n, 1);
}

/* The packet that answers the request: as the device has given the payload back. Returns its length. */
static size_t make_reply(uint8_t *out, const struct plane_packet *q, struct slice payload)
{
	bool v4 = q->version == 4;
	size_t at = v4 ? 20 : 40, n = v4 ? 4 : 16, len = at + 8 + payload.len;
	struct plane_packet p = {.ip = out, .len = len, .version = q->version, .protocol = q->protocol, .l4 = (uint16_t)at};
	uint16_t sum;

	memset(out, 0, at + 8);
	out[0] = v4 ? 0x45 : 0x60;
	out[v4 ? 8 : 7] = TTL;
	out[v4 ? 9 : 6] = q->protocol;
	put_be16(out + (v4 ? 2 : 4), (uint16_t)(v4 ? len : len - 40));
	memcpy(out + (v4 ? 12 : 8), q->ip + (v4 ? 16 : 24), n);
	memcpy(out + (v4 ? 16 : 24), q->ip + (v4 ? 12 : 8), n);
	if (v4) {
		sum = (uint16_t)~plane_sum_fold(plane_sum(out, at, 0));
		memcpy(out + 10, &sum, 2);
	}
	out[at] = v4 ? 0 : 129;
	memcpy(out + at + 4, q->ip + q->l4 + 4, 4);
	if (payload.len > 0)
		memcpy(out + at + 8, payload.ptr, payload.len);
	sum = (uint16_t)~plane_sum_fold(plane_sum(out + at, len - at, v4 ? 0 : plane_sum_pseudo(&p, len - at)));
	memcpy(out + at + 2, &sum, 2);
	return len;
}

static bool same_host(const union udp_addr *a, const union udp_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return a->sa.sa_family == AF_INET6 ? memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0 :
					     a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

static void failed(struct proxy *p, struct asked **at, int error)
{
	struct asked *a = *at;

	atomic_fetch_add(&p->echoes_failed, 1);
	proxy_refuse(p, a->peer, a->ip, a->len, proxy_reason(error) == REJECT_PROHIBITED ? REJECT_PROHIBITED : REJECT_UNREACHABLE);
	forget(p, at);
}

static void came(struct proxy *p, const struct echo_event *e)
{
	struct asked **at = &p->asked[e->sequence % PROXY_ECHOES_MAX], *a = *at;
	uint8_t out[48 + ECHO_PAYLOAD_MAX];
	struct plane_packet q;

	if (a == NULL || a->sequence != e->sequence || !same_host(&a->target, &e->target) || !plane_packet_parse(a->ip, a->len, &q))
		return;
	if (e->error != 0) {
		failed(p, at, e->error);
		return;
	}
	atomic_fetch_add(&p->echoes_answered, 1);
	proxy_answer(p, a->peer, out, make_reply(out, &q, e->payload));
	forget(p, at);
}

static void drain(struct proxy *p, struct echo *e)
{
	struct echo_event event;

	for (int i = 0; i < PROXY_ECHOES_MAX && echo_receive(e, &event, p->room, ECHO_PAYLOAD_MAX); i++)
		came(p, &event);
}

static void ready4(struct watch *w, uint32_t revents)
{
	struct proxy *p = container_of(w, struct proxy, echo4_watch);

	(void)revents;
	drain(p, &p->echo4);
}

static void ready6(struct watch *w, uint32_t revents)
{
	struct proxy *p = container_of(w, struct proxy, echo6_watch);

	(void)revents;
	drain(p, &p->echo6);
}

/* A device that says nothing gets no answer made up for it. */
static void sweep(struct timer *t)
{
	struct proxy *p = container_of(t, struct proxy, asked_due);
	int64_t now_ms = loop_now_ms(p->loop);

	for (size_t i = 0; i < PROXY_ECHOES_MAX; i++)
		if (p->asked[i] != NULL && p->asked[i]->until_ms <= now_ms) {
			atomic_fetch_add(&p->echoes_failed, 1);
			forget(p, &p->asked[i]);
		}
	if (atomic_load(&p->asked_n) > 0)
		loop_timer_set(p->loop, t, now_ms + SWEEP_MS);
}

static const struct proxy_forward *forward_of(const struct proxy *p, const struct plane_packet *q)
{
	for (size_t i = 0; i < p->forwards_n; i++) {
		const struct proxy_forward *f = &p->forwards[i];

		if (q->version == 4 ? f->v4 == get_be32(q->ip + 16) : memcmp(f->v6, q->ip + 24, 16) == 0)
			return f;
	}
	return NULL;
}

static struct asked **remember(struct proxy *p, uint32_t peer, const struct plane_packet *q, const struct proxy_forward *f)
{
	uint16_t sequence = p->next_sequence++;
	struct asked **at = &p->asked[sequence % PROXY_ECHOES_MAX], *a;

	forget(p, at);
	if (p->asked_bytes + q->len > BYTES_MAX)
		return NULL;
	*at = a = xmalloc(sizeof(*a) + q->len);
	*a = (struct asked){.peer = peer, .sequence = sequence, .target = f->target, .len = q->len,
			    .until_ms = loop_now_ms(p->loop) + PROXY_ECHO_MS};
	memcpy(a->ip, q->ip, q->len);
	p->asked_bytes += q->len;
	atomic_fetch_add(&p->asked_n, 1);
	if (p->asked_due.slot == 0)
		loop_timer_set(p->loop, &p->asked_due, loop_now_ms(p->loop) + SWEEP_MS);
	return at;
}

void proxy_echo_taken(struct proxy *p, uint32_t peer, const struct plane_packet *request)
{
	const struct proxy_forward *f = forward_of(p, request);
	size_t at = request->l4 + 8u;
	struct asked **a;
	struct echo *e;
	int error;

	if (f == NULL || request->fragment || request->len < at || request->len - at > ECHO_PAYLOAD_MAX ||
	    request->ip[request->l4] != (request->version == 4 ? 8 : 128))
		return;
	e = f->target.sa.sa_family == AF_INET6 ? &p->echo6 : &p->echo4;
	if (e->fd < 0 || (a = remember(p, peer, request, f)) == NULL)
		return;
	error = echo_send(e, &f->target, (*a)->sequence, request->ip + at, request->len - at);
	/* No room to send is the network's way of losing packets. */
	if (error != 0 && error != EAGAIN && error != ENOBUFS)
		failed(p, a, error);
}

static bool open_one(struct proxy *p, struct echo *e, int family, struct watch *w, void (*ready)(struct watch *w, uint32_t revents))
{
	struct error err = ERROR_INIT;

	if (echo_open(e, family, &err) < 0)
		return false;
	*w = (struct watch){.fd = e->fd, .events = EPOLLIN, .ready = ready};
	return loop_watch(p->loop, w, &err) == 0;
}

void proxy_echo_open(struct proxy *p)
{
	p->asked_due = (struct timer){.fire = sweep};
	/* A machine without IPv6 is fine. */
	(void)open_one(p, &p->echo6, AF_INET6, &p->echo6_watch, ready6);
	if (!open_one(p, &p->echo4, AF_INET, &p->echo4_watch, ready4))
		proxy_trouble(p, PROXY_NO_ECHO, true);
}

void proxy_echo_close(struct proxy *p)
{
	loop_timer_cancel(p->loop, &p->asked_due);
	loop_unwatch(&p->echo4_watch);
	loop_unwatch(&p->echo6_watch);
	echo_close(&p->echo4);
	echo_close(&p->echo6);
	for (size_t i = 0; i < PROXY_ECHOES_MAX; i++)
		forget(p, &p->asked[i]);
}
