/* Connections through the proxy: the far end is dialled first, then the caller's is accepted, and bytes are carried. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "meshlan/proxy_internal.h"

#define READS_MAX 8		/* of one direction, before others have their turn */
#define ACCEPTS_MAX 64
#define LATER_MS 100
#define LEAVE_MS 20

/*
 *	DIALLING --far end connected, SYN let in--> WAITING --accepted--> OPEN --both directions ended--> gone
 *	    |                                          |                   |
 *	    +-- refused, late: RST or ICMP             +-- late            +-- idle: RST to both
 *	                                                                   +-- one end broken: its last words, RST
 */
enum tcp_state {
	DIALLING,	/* the far end has not taken the connection; the caller's SYN is kept */
	WAITING,	/* it has; the caller's handshake with this host is under way */
	OPEN,
};

/* One direction. */
struct way {
	uint8_t *kept;		/* read, not written; NULL: nothing */
	size_t at, len;
	bool ended;		/* no more will be read */
	bool shut;		/* and the other end has been told */
};

struct tcp_flow {
	struct proxy *p;
	struct redirect_flow flow;
	enum tcp_state state;
	struct watch near, far;		/* the caller's end, the service's; fd -1: none */
	bool near_broken, far_broken;	/* OPEN: nothing can be said to it any more */
	struct way up, down;		/* near to far, far to near */
	struct policyroute_flow rule;	/* of the far end's answers */
	struct timer idle;		/* in its last moments: until either end has all of it */
	int64_t last_ms;
	size_t syn_len;
	uint8_t syn[];			/* of DIALLING; the size is the whole packet's */
};

static void close_end(struct watch *w, bool reset)
{
	struct linger now = {.l_onoff = 1};

	loop_unwatch(w);
	if (w->fd >= 0 && reset)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* gone: the kernel here never knew of it, so that its last packets need no way. */
static void finish(struct tcp_flow *t, bool reset, bool gone)
{
	struct proxy *p = t->p;

	close_end(&t->near, reset);
	close_end(&t->far, reset);
	proxy_hung_up(p, &t->rule);
	loop_timer_cancel(p->loop, &t->idle);
	free(t->up.kept);
	free(t->down.kept);
	redirect_end(p->o.redirect, t->flow.id, gone);
	p->tcp[proxy_slot(&t->flow)] = NULL;
	atomic_fetch_sub(&p->tcp_n, 1);
	free(t);
}

/* ---- bytes ---- */

static void keep(struct way *way, const uint8_t *bytes, size_t len)
{
	way->kept = xmalloc(len);
	memcpy(way->kept, bytes, len);
	way->at = 0;
	way->len = len;
}

/* -1: the connection is broken. */
static ssize_t write_some(int fd, const uint8_t *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static int write_kept(struct way *way, int to)
{
	ssize_t n;

	if (way->kept == NULL)
		return 0;
	n = write_some(to, way->kept + way->at, way->len - way->at);
	if (n < 0)
		return -1;
	way->at += (size_t)n;
	if (way->at == way->len) {
		free(way->kept);
		way->kept = NULL;
	}
	return 0;
}

enum carried { CARRIED, FROM_BROKEN, TO_BROKEN };	/* FROM_BROKEN: what it had said was read before */

static enum carried carry(struct tcp_flow *t, struct way *way, int from, int to)
{
	uint8_t *room = t->p->room;

	if (write_kept(way, to) < 0)
		return TO_BROKEN;
	for (int i = 0; i < READS_MAX && way->kept == NULL && !way->ended; i++) {
		ssize_t got = recv(from, room, PROXY_BUFFER, MSG_DONTWAIT), put;

		if (got < 0)
			return errno == EAGAIN || errno == EINTR ? CARRIED : FROM_BROKEN;
		if (got == 0) {
			way->ended = true;
			break;
		}
		put = write_some(to, room, (size_t)got);
		if (put < 0)
			return TO_BROKEN;
		if (put < got)
			keep(way, room + put, (size_t)(got - put));
	}
	/* Of an end that was reset the other learns that it was reset, not that it had said all. */
	if (way->ended && way->kept == NULL && !way->shut && !t->near_broken && !t->far_broken) {
		way->shut = true;
		(void)shutdown(to, SHUT_WR);
	}
	return CARRIED;
}

/*
 * What the ends wait for now. An end that nothing is wanted of would say without end that it has hung up: it is watched again
 * when there is. One that has said all it will is watched further, since its reset ends the other one too; see `ready`.
 */
static int wait_for(struct tcp_flow *t, struct watch *w, const struct way *out, const struct way *in)
{
	uint32_t events = (out->kept == NULL && !out->ended ? (uint32_t)EPOLLIN : 0) | (in->kept != NULL ? (uint32_t)EPOLLOUT : 0);

	if (out->ended ? in->shut : events == 0) {
		loop_unwatch(w);
		return 0;
	}
	if (w->loop != NULL) {
		loop_watch_change(w, events);
		return 0;
	}
	w->events = events;
	return loop_watch(t->p->loop, w, &(struct error){0});
}

/* Soon, and then less and less often: a caller can leave many that wait for it. */
static void look_again(struct tcp_flow *t, int64_t now_ms)
{
	loop_unwatch(&t->near);
	loop_unwatch(&t->far);
	loop_timer_set(t->p->loop, &t->idle, now_ms + LEAVE_MS + (now_ms - t->last_ms) / 4);
}

/* Both ends have been told. With the rule goes the way of what the far end says to it: it says its last before. */
static void leave(struct tcp_flow *t)
{
	int64_t now_ms = loop_now_ms(t->p->loop);
	int unsaid = 0;

	if (t->rule.protocol == 0 || ioctl(t->far.fd, SIOCOUTQ, &unsaid) < 0 || unsaid == 0 || now_ms - t->last_ms >= PROXY_DIAL_MS) {
		finish(t, unsaid > 0, false);
		return;
	}
	look_again(t, now_ms);
}

/* What a broken end had said: is there any that the other one has not got? */
static bool unsaid(struct tcp_flow *t, struct way *way, int from, int to, bool *to_broken)
{
	enum carried c = *to_broken ? TO_BROKEN : carry(t, way, from, to);
	int left = 0;

	*to_broken = c == TO_BROKEN;
	if (*to_broken)
		return false;
	return way->kept != NULL || (c == CARRIED && !way->ended) || (ioctl(to, SIOCOUTQ, &left) == 0 && left > 0);
}

/*
 * A service that has read enough of an upload answers, and closes: its answer comes before its reset, and ours would
 * throw away what the caller has not got yet.
 */
static void last_words(struct tcp_flow *t)
{
	int64_t now_ms = loop_now_ms(t->p->loop);
	bool more = unsaid(t, &t->down, t->far.fd, t->near.fd, &t->near_broken);

	more |= unsaid(t, &t->up, t->near.fd, t->far.fd, &t->far_broken);
	if (!more || (t->near_broken && t->far_broken) || now_ms - t->last_ms >= PROXY_DIAL_MS) {
		finish(t, true, false);
		return;
	}
	look_again(t, now_ms);
}

static void work(struct tcp_flow *t)
{
	enum carried down = carry(t, &t->down, t->far.fd, t->near.fd), up = carry(t, &t->up, t->near.fd, t->far.fd);

	t->last_ms = loop_now_ms(t->p->loop);
	t->near_broken = up == FROM_BROKEN || down == TO_BROKEN;
	t->far_broken = down == FROM_BROKEN || up == TO_BROKEN;
	if (t->near_broken || t->far_broken)
		last_words(t);
	else if (t->up.shut && t->down.shut)
		leave(t);
	else if (wait_for(t, &t->near, &t->up, &t->down) < 0 || wait_for(t, &t->far, &t->down, &t->up) < 0)
		finish(t, true, false);
}

/* out: what comes from this end. After its last byte nothing is read that would tell of an error. */
static void ready(struct tcp_flow *t, const struct way *out, bool *broken, uint32_t revents)
{
	if (!out->ended || (revents & (EPOLLERR | EPOLLHUP)) == 0) {
		work(t);
		return;
	}
	t->last_ms = loop_now_ms(t->p->loop);
	*broken = true;
	last_words(t);
}

static void near_ready(struct watch *w, uint32_t revents)
{
	struct tcp_flow *t = container_of(w, struct tcp_flow, near);

	ready(t, &t->up, &t->near_broken, revents);
}

static void idle_fire(struct timer *timer)
{
	struct tcp_flow *t = container_of(timer, struct tcp_flow, idle);
	int64_t at_ms = t->last_ms + PROXY_TCP_IDLE_MS;

	if (t->near_broken || t->far_broken)
		last_words(t);
	else if (t->up.shut && t->down.shut)
		leave(t);
	else if (loop_now_ms(t->p->loop) < at_ms)
		loop_timer_set(t->p->loop, timer, at_ms);
	else
		finish(t, true, false);
}

/* ---- the far end ---- */

static void refuse(struct tcp_flow *t, int error)
{
	atomic_fetch_add(&t->p->tcp_refused, 1);
	proxy_refuse(t->p, t->flow.peer, t->syn, t->syn_len, proxy_reason(error));
	finish(t, true, true);
}

/* It has taken the connection: now the caller's SYN goes on to our listening socket. */
static void let_in(struct tcp_flow *t)
{
	t->state = WAITING;
	loop_watch_change(&t->far, 0);
	loop_watch_deadline(&t->far, loop_now_ms(t->p->loop) + PROXY_DIAL_MS);
	if (!redirect_ready(t->p->o.redirect, t->flow.id, t->syn, t->syn_len))
		finish(t, true, true);
	else
		(void)plane_inject(t->p->o.plane, t->syn, t->syn_len);
}

static void dialled(struct tcp_flow *t, uint32_t revents)
{
	socklen_t len = sizeof(int);
	int error = ETIMEDOUT;

	if (revents != 0 && getsockopt(t->far.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0)
		refuse(t, error);
	else
		let_in(t);
}

static void far_ready(struct watch *w, uint32_t revents)
{
	struct tcp_flow *t = container_of(w, struct tcp_flow, far);

	if (t->state == DIALLING)
		dialled(t, revents);
	else if (t->state == OPEN && revents != 0)
		ready(t, &t->down, &t->far_broken, revents);
	else if (t->state == WAITING)
		/* It has gone, or the caller does not come: a late one finds nobody, and is reset. */
		finish(t, true, false);
}

/* ---- the caller's end ---- */

void proxy_tcp_taken(struct proxy *p, const struct redirect_flow *f, const uint8_t *ip, size_t len)
{
	struct tcp_flow **at = &p->tcp[proxy_slot(f)], *t;
	int error;

	proxy_reap(p);
	t = *at;
	/* Asked again, while the far end is being dialled. */
	if (t != NULL && t->flow.id == f->id)
		return;
	/* Its place was taken from it. */
	if (t != NULL)
		finish(t, true, true);
	if (!proxy_has(p, f)) {
		redirect_end(p->o.redirect, f->id, true);
		return;
	}
	t = xcalloc(1, sizeof(*t) + len);
	t->p = p;
	t->flow = *f;
	t->idle.fire = idle_fire;
	t->near = (struct watch){.fd = -1, .ready = near_ready, .events = EPOLLIN};
	t->far = (struct watch){.fd = -1, .ready = far_ready, .events = EPOLLOUT};
	t->syn_len = len;
	memcpy(t->syn, ip, len);
	*at = t;
	atomic_fetch_add(&p->tcp_n, 1);
	t->far.fd = proxy_dial(p, f, SOCK_STREAM, &t->rule, &error);
	if (t->far.fd < 0) {
		refuse(t, error);
		return;
	}
	if (loop_watch(p->loop, &t->far, &(struct error){0}) < 0)
		finish(t, true, true);
	else
		loop_watch_deadline(&t->far, loop_now_ms(p->loop) + PROXY_DIAL_MS);
}

static void set_nodelay(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static struct tcp_flow *waiting(struct proxy *p, const union udp_addr *from)
{
	struct redirect_flow f;
	struct tcp_flow *t;

	if (!proxy_whose(p, IPPROTO_TCP, from, &f))
		return NULL;
	t = p->tcp[proxy_slot(&f)];
	return t != NULL && t->flow.id == f.id && t->state == WAITING ? t : NULL;
}

static void accepted(struct proxy *p, int fd, const union udp_addr *from)
{
	struct tcp_flow *t = waiting(p, from);
	struct watch nobody = {.fd = fd};

	if (t == NULL || fd >= p->fd_max) {
		proxy_trouble(p, PROXY_NO_ROOM, t != NULL);
		close_end(&nobody, true);
		return;
	}
	t->near.fd = fd;
	set_nodelay(fd);
	set_nodelay(t->far.fd);
	t->state = OPEN;
	atomic_fetch_add(&p->tcp_opened, 1);
	proxy_trouble(p, PROXY_NO_ROOM, false);
	loop_watch_deadline(&t->far, LOOP_NEVER);
	if (loop_watch(p->loop, &t->near, &(struct error){0}) < 0) {
		finish(t, true, false);
		return;
	}
	loop_timer_set(p->loop, &t->idle, loop_now_ms(p->loop) + PROXY_TCP_IDLE_MS);
	work(t);
}

void proxy_tcp_accept(struct watch *w, uint32_t revents)
{
	struct side *s = container_of(w, struct side, tcp);

	(void)revents;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		union udp_addr from;
		socklen_t len = sizeof(from);
		int fd = accept4(w->fd, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accepted(s->p, fd, &from);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		/* The socket would say without end that it is ready. */
		if (errno != EAGAIN) {
			proxy_trouble(s->p, PROXY_NO_ROOM, true);
			loop_watch_change(w, 0);
			loop_timer_set(s->p->loop, &s->later, loop_now_ms(s->p->loop) + LATER_MS);
		}
		return;
	}
}

void proxy_tcp_again(struct timer *timer)
{
	struct side *s = container_of(timer, struct side, later);

	loop_watch_change(&s->tcp, EPOLLIN);
}

void proxy_tcp_end(struct proxy *p, bool all)
{
	for (size_t i = 0; i < REDIRECT_FLOWS_MAX; i++)
		if (p->tcp[i] != NULL && (all || !proxy_has(p, &p->tcp[i]->flow)))
			finish(p->tcp[i], true, p->tcp[i]->state == DIALLING);
}

void proxy_tcp_reap(struct proxy *p)
{
	for (size_t i = 0; i < REDIRECT_FLOWS_MAX; i++) {
		struct tcp_flow *t = p->tcp[i];

		/* The caller has said and heard all: then the service gets the rest of it, however long it takes. */
		if (t != NULL && !(t->up.ended && t->down.shut) && !redirect_lives(p->o.redirect, t->flow.id))
			finish(t, true, true);
	}
}

void proxy_tcp_give_way(struct proxy *p, size_t slot)
{
	finish(p->tcp[slot], true, p->tcp[slot]->state == DIALLING);
}
