/*
 * Look-ups: one query asked of the upstreams, in turn, until one of them replies.
 *
 *	             sent by UDP            cut (TC), or not repeated letter by letter, or forged ones come
 *	   TRY_IDLE ------------> TRY_UDP -----------------------------------------------------------------> TRY_TCP
 *	                             |  refused                              broken, or no reply to our question |
 *	                             +-------------------> TRY_OVER <--------------------------------------------+
 *
 * Every RESOLVER_TRY_MS the next upstream is asked that is not over; one that is at TRY_UDP is sent the same again, so
 * that a late reply is a reply. The first that knows something ends the look-up, and with it all tries.
 *
 * Who wants to forge a reply must hit our address and port (a socket of its own for every try, connected, so that the
 * kernel lets through the upstream's address and port alone), 16 bits of id, and upper and lower case of every letter
 * of the name. After FORGED_MAX misses the try goes on by TCP, where none of this can be guessed blindly.
 */
#include "meshlan/resolver_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "mesh/bytes.h"
#include "net/addr.h"
#include "sys/rng.h"

#define FORGED_MAX 8
#define DATAGRAMS_A_TURN 8
#define STRIPPED_SAID_MS 60000	/* between two lines about it */

enum try_state { TRY_IDLE, TRY_UDP, TRY_TCP, TRY_OVER };

/* A question put to one upstream. */
struct try {
	struct lookup *l;
	struct upstream *upstream;
	enum try_state state;
	struct watch watch;	/* fd -1: none */
	int64_t asked_ms;	/* when first */
	bool replied;		/* something that only the upstream can have sent */
	unsigned forged;
	uint8_t ask[2 + ASK_MAX];	/* with its length in front, as TCP wants it */
	size_t ask_len, sent;	/* without the length; with it, by TCP */
	struct buf in;		/* by TCP */
};

struct lookup {
	struct resolver *r;
	struct lookup *next, **back;
	struct asker asker;
	uint8_t *query;
	size_t query_len;
	struct dns_query q;
	struct try tries[RESOLVER_UPSTREAMS_MAX];
	size_t turn;		/* of which upstream it is */
	size_t began;		/* with which */
	int64_t ends_ms;
	struct timer timer;
	struct buf spare;	/* a reply that it does not work, for when nobody has a better one */
};

static struct slice ask_slice(const struct try *t)
{
	return slice_of(t->ask + 2, t->ask_len);
}

static void try_close(struct try *t, enum try_state state)
{
	loop_unwatch(&t->watch);
	if (t->watch.fd >= 0)
		close(t->watch.fd);
	t->watch.fd = -1;
	buf_release(&t->in);
	t->state = state;
}

/* ---- the end ---- */

static void lookup_free(struct lookup *l)
{
	struct resolver *r = l->r;
	size_t i;

	for (i = 0; i < r->upstream_count; i++)
		try_close(&l->tries[i], TRY_OVER);
	loop_timer_cancel(r->loop, &l->timer);
	*l->back = l->next;
	if (l->next != NULL)
		l->next->back = l->back;
	r->lookup_count--;
	buf_release(&l->spare);
	free(l->query);
	free(l);
}

void lookups_drop(struct resolver *r, const struct listener *via, const struct connection *c)
{
	struct lookup *l, *next;

	for (l = r->lookups; l != NULL; l = next) {
		next = l->next;
		if ((via == NULL || l->asker.via == via) && (c == NULL || l->asker.connection == c))
			lookup_free(l);
	}
}

/* Who was asked long enough ago and said nothing; told when it changes. */
static void note_silence(struct lookup *l)
{
	int64_t now_ms = loop_now_ms(l->r->loop);
	char text[ADDR_TEXT_LEN];
	size_t i;

	for (i = 0; i < l->r->upstream_count; i++) {
		struct try *t = &l->tries[i];
		bool silent = !t->replied;

		if (t->state == TRY_IDLE || silent == t->upstream->silent ||
		    (silent && t->state != TRY_OVER && now_ms - t->asked_ms < RESOLVER_TRY_MS))
			continue;
		t->upstream->silent = silent;
		addr_text(text, &t->upstream->address);
		if (silent)
			log_warn("dns.upstream", "address=%s state=silent: it does not reply to queries", text);
		else
			log_info("dns.upstream", "address=%s state=replies", text);
	}
}

/* r->reply is for the asker: with its id, and its question as it was written. */
static void lookup_end(struct lookup *l)
{
	struct slice query = slice_of(l->query, l->query_len);
	struct resolver *r = l->r;
	struct asker a = l->asker;

	note_silence(l);
	dns_set_id(r->reply.ptr, l->q.id);
	memcpy(r->reply.ptr + DNS_HEADER_LEN, query.ptr + DNS_HEADER_LEN, l->q.question_len);
	dns_truncate(&r->reply, dns_reply_max(query, a.connection != NULL));
	lookup_free(l);
	resolver_reply(r, &a);
	if (a.connection != NULL) {
		a.connection->lookups--;
		connection_proceed(a.connection);
	}
}

static void lookup_fail(struct lookup *l)
{
	struct resolver *r = l->r;

	if (l->spare.len > 0) {
		buf_clear(&r->reply);
		buf_put_slice(&r->reply, buf_slice(&l->spare));
	} else {
		r->counts.failed++;
		dns_fail(&r->here, slice_of(l->query, l->query_len), &r->reply);
	}
	lookup_end(l);
}

/* ---- asking ---- */

/* The asker's question with an id and cases of our own, and nothing else of what it sent. */
static void ask_write(struct try *t)
{
	const struct dns_query *q = &t->l->q;
	uint8_t *p = t->ask + 2, *name = p + DNS_HEADER_LEN, dice[DNS_NAME_MAX];
	size_t name_len = q->question_len - 4, i;
	uint16_t id;

	rng_bytes(&id, sizeof(id));
	memset(p, 0, DNS_HEADER_LEN);
	put_be16(p, id);
	put_be16(p + 2, q->flags & (DNS_RD | DNS_AD | DNS_CD));
	put_be16(p + 4, 1);
	put_be16(p + 10, q->edns ? 1 : 0);
	memcpy(name, t->l->query + DNS_HEADER_LEN, q->question_len);
	rng_bytes(dice, name_len);
	for (i = 0; i < name_len; i++) {	/* lengths of labels are below all letters */
		uint8_t lower = name[i] | 0x20;

		if (lower >= 'a' && lower <= 'z')
			name[i] = (uint8_t)(lower ^ ((dice[i] & 1) << 5));
	}
	t->ask_len = DNS_HEADER_LEN + q->question_len;
	if (q->edns) {
		uint8_t *opt = p + t->ask_len;

		memset(opt, 0, 11);
		put_be16(opt + 1, DNS_OPT);
		put_be16(opt + 3, DNS_UDP_OURS);
		put_be16(opt + 7, q->do_bit ? 0x8000 : 0);
		t->ask_len += 11;
	}
	put_be16(t->ask, (uint16_t)t->ask_len);
}

/* A socket connected to the upstream, and watched. TCP: on the way. */
static bool try_connect(struct try *t, int type, void (*ready)(struct watch *w, uint32_t revents), uint32_t events)
{
	const struct sockaddr_storage *a = &t->upstream->address;
	struct error err = ERROR_INIT;

	t->watch = (struct watch){.events = events, .ready = ready};
	t->watch.fd = socket(a->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return t->watch.fd >= 0 &&
	       (connect(t->watch.fd, (const struct sockaddr *)a, address_len(a)) == 0 || errno == EINPROGRESS) &&
	       loop_watch(t->l->r->loop, &t->watch, &err) == 0;
}

/* ---- replies ---- */

enum judged {
	REPLY_FORGED,	/* not to our question, or no message */
	REPLY_TCP,	/* ask by TCP */
	REPLY_NO,	/* the upstream cannot or will not */
	REPLY_GOOD,
};

static void note_stripped(struct try *t, unsigned records)
{
	struct resolver *r = t->l->r;
	int64_t now_ms = loop_now_ms(r->loop);
	char text[ADDR_TEXT_LEN];

	r->counts.stripped += records;
	if (records == 0 || now_ms - r->stripped_said_ms < STRIPPED_SAID_MS)
		return;
	r->stripped_said_ms = now_ms;
	addr_text(text, &t->upstream->address);
	log_warn("dns.stripped", "address=%s records=%u: it gave addresses or names that only this machine or the mesh may",
		 text, records);
}

/* What may pass is r->reply, for REPLY_NO and REPLY_GOOD. */
static enum judged judge(struct try *t, struct slice reply, bool tcp)
{
	struct slice ask = ask_slice(t);
	struct resolver *r = t->l->r;
	unsigned stripped, flags;
	bool letters;

	if (reply.len < DNS_HEADER_LEN || dns_id(reply) != dns_id(ask) || (get_be16(reply.ptr + 2) & DNS_QR) == 0)
		return REPLY_FORGED;
	flags = get_be16(reply.ptr + 2);
	letters = slice_equal(slice_sub(reply, DNS_HEADER_LEN, t->l->q.question_len),
			      slice_sub(ask, DNS_HEADER_LEN, t->l->q.question_len));
	if (!tcp && letters && (flags & DNS_TC) != 0)
		return REPLY_TCP;	/* before it is read: some cut within a record */
	if (dns_filter_upstream(&r->here, ask, reply, &r->reply, &stripped) == DNS_BAD)
		return REPLY_FORGED;
	if (!tcp && !letters)
		return REPLY_TCP;
	note_stripped(t, stripped);
	switch (flags & DNS_RCODE) {
	case DNS_SERVFAIL:
	case DNS_NOTIMP:
	case DNS_REFUSED:
		return REPLY_NO;
	default:
		return REPLY_GOOD;
	}
}

static void lookup_next(struct lookup *l);

/* Over with this one; others are asked at once. */
static void try_lost(struct try *t)
{
	try_close(t, TRY_OVER);
	lookup_next(t->l);
}

static void tcp_ready(struct watch *w, uint32_t revents);

static void try_tcp(struct try *t)
{
	try_close(t, TRY_TCP);
	t->in = BUF_INIT(2 + DNS_TCP_MAX);
	t->sent = 0;
	ask_write(t);
	if (!try_connect(t, SOCK_STREAM, tcp_ready, EPOLLOUT))
		try_lost(t);
}

/* True: the try, and perhaps the look-up, has ended or become another. */
static bool reply_arrived(struct try *t, struct slice reply, bool tcp)
{
	struct lookup *l = t->l;
	struct resolver *r = l->r;

	switch (judge(t, reply, tcp)) {
	case REPLY_GOOD:
		t->replied = true;
		if (r->first == l->began)
			r->first = (size_t)(t - l->tries);
		lookup_end(l);
		return true;
	case REPLY_NO:
		t->replied = true;
		if (l->spare.len == 0)
			buf_put_slice(&l->spare, buf_slice(&r->reply));
		try_lost(t);
		return true;
	case REPLY_TCP:
		t->replied = true;
		try_tcp(t);
		return true;
	case REPLY_FORGED:
		break;
	}
	r->counts.bad++;
	if (tcp)
		try_lost(t);
	else if (++t->forged > FORGED_MAX)
		try_tcp(t);
	else
		return false;
	return true;
}

static void udp_ready(struct watch *w, uint32_t revents)
{
	struct try *t = container_of(w, struct try, watch);
	uint8_t datagram[DNS_UDP_MAX + 1];
	unsigned i;

	(void)revents;
	for (i = 0; i < DATAGRAMS_A_TURN; i++) {
		ssize_t n = recv(w->fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {	/* ICMP: nobody is there */
			try_lost(t);
			return;
		}
		/* What is longer than we ever take is none of ours. */
		if (reply_arrived(t, slice_of(datagram, n > DNS_UDP_MAX ? 0 : (size_t)n), false))
			return;
	}
}

static bool tcp_send(struct try *t)
{
	ssize_t n = send(t->watch.fd, t->ask + t->sent, 2 + t->ask_len - t->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	t->sent += (size_t)n;
	if (t->sent == 2 + t->ask_len)
		loop_watch_change(&t->watch, EPOLLIN);
	return true;
}

/* One message is all that is wanted. */
static void tcp_receive(struct try *t)
{
	uint8_t chunk[16384];
	size_t room = t->in.max - t->in.len, used;
	ssize_t n = recv(t->watch.fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), MSG_DONTWAIT);
	struct slice message;
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	buf_put(&t->in, chunk, n > 0 ? (size_t)n : 0);
	r = dns_tcp_next(buf_slice(&t->in), &message, &used);
	if (r > 0)
		(void)reply_arrived(t, message, true);
	else if (r < 0 || n <= 0)
		try_lost(t);
}

static void tcp_ready(struct watch *w, uint32_t revents)
{
	struct try *t = container_of(w, struct try, watch);

	/* Errors are found by the calls. */
	(void)revents;
	if (t->sent == 2 + t->ask_len)
		tcp_receive(t);
	else if (!tcp_send(t))
		try_lost(t);
}

/* ---- in turn ---- */

/* Ask, or ask again. False: nothing more is to be had from this one. */
static bool try_ask(struct try *t)
{
	struct resolver *r = t->l->r;

	if (t->state == TRY_IDLE) {
		t->asked_ms = loop_now_ms(r->loop);
		t->state = TRY_UDP;
		ask_write(t);
		/* An upstream that is ourselves would ask itself without end. */
		if (resolver_is_here(r, &t->upstream->address, true) ||
		    !try_connect(t, SOCK_DGRAM, udp_ready, EPOLLIN)) {
			try_close(t, TRY_OVER);
			return false;
		}
	}
	/* What is not sent now is sent again; what is refused is told by the next call. */
	if (t->state == TRY_UDP)
		(void)!send(t->watch.fd, t->ask + 2, t->ask_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return t->state != TRY_OVER;
}

static void lookup_next(struct lookup *l)
{
	size_t n = l->r->upstream_count, i;

	for (i = 0; i < n; i++) {
		struct try *t = &l->tries[l->turn];
		int64_t again_ms = loop_now_ms(l->r->loop) + RESOLVER_TRY_MS;

		l->turn = (l->turn + 1) % n;
		if (try_ask(t)) {
			loop_timer_set(l->r->loop, &l->timer, again_ms < l->ends_ms ? again_ms : l->ends_ms);
			return;
		}
	}
	lookup_fail(l);
}

static void lookup_fire(struct timer *t)
{
	struct lookup *l = container_of(t, struct lookup, timer);

	if (loop_now_ms(l->r->loop) >= l->ends_ms)
		lookup_fail(l);
	else
		lookup_next(l);
}

static bool under_way(const struct resolver *r, const struct asker *a, struct slice query)
{
	const struct lookup *l;

	for (l = r->lookups; l != NULL; l = l->next) {
		if (l->asker.via == a->via && l->asker.connection == NULL &&
		    address_equal(&l->asker.from, &a->from, true) && slice_equal(slice_of(l->query, l->query_len), query))
			return true;
	}
	return false;
}

enum lookup_begun lookup_start(struct resolver *r, const struct asker *a, struct slice query)
{
	int64_t now_ms = loop_now_ms(r->loop);
	struct lookup *l;
	size_t i;

	if (a->connection == NULL && under_way(r, a, query))
		return LOOKUP_SAME;
	if (r->lookup_count >= RESOLVER_LOOKUPS_MAX ||
	    !bucket_take(&r->lookup_bucket, RESOLVER_LOOKUP_RATE, RESOLVER_LOOKUP_BURST, now_ms))
		return LOOKUP_LIMIT;
	l = xcalloc(1, sizeof(*l));
	l->r = r;
	l->asker = *a;
	l->query = xmalloc(query.len);
	memcpy(l->query, query.ptr, query.len);
	l->query_len = query.len;
	(void)!dns_query_read(&l->q, query);	/* dns_answer has read it before */
	l->spare = BUF_INIT(DNS_TCP_MAX);
	for (i = 0; i < r->upstream_count; i++)
		l->tries[i] = (struct try){.l = l, .upstream = &r->upstreams[i], .watch.fd = -1};
	l->began = l->turn = r->first;
	l->ends_ms = now_ms + RESOLVER_LOOKUP_MS;
	l->next = r->lookups;
	l->back = &r->lookups;
	if (l->next != NULL)
		l->next->back = &l->next;
	r->lookups = l;
	r->lookup_count++;
	r->counts.lookups++;
	/* Not within the call of whoever asks: all could fail at once. */
	l->timer.fire = lookup_fire;
	loop_timer_set(r->loop, &l->timer, now_ms);
	return LOOKUP_BEGUN;
}
