/* A server's books: listeners and connections. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/server_internal.h"

/* Connections taken per wake-up of a listener, so that a flood of them does not starve the others. */
#define ACCEPTS_PER_TURN 32
/* Out of descriptors: look again after this. */
#define ACCEPT_RETRY_MS 1000
/* Record buffers that wait for the next busy connections: half a megabyte. */
#define BUFFERS_KEPT 32

/* ---- accepting ---- */

static void listeners_pause(struct server *s, bool local)
{
	struct listener *l;

	s->accepting[local] = false;
	for (l = s->listeners; l != NULL; l = l->next)
		if (l->is_unix == local)
			loop_unwatch(&l->watch);
}

void server_room_made(struct server *s, bool local)
{
	struct error err = ERROR_INIT;
	struct listener *l;

	if (s->accepting[local] || s->draining)
		return;
	s->accepting[local] = true;
	for (l = s->listeners; l != NULL; l = l->next)
		if (l->is_unix == local && loop_watch(s->loop, &l->watch, &err) < 0)
			log_failure(LOG_LEVEL_ERROR, "listener.lost", &err);
}

static void retry_fire(struct timer *t)
{
	struct server *s = container_of(t, struct server, retry);

	server_room_made(s, false);
	server_room_made(s, true);
}

/* Accept again at that time, unless that is planned for an earlier one. */
static void retry_at(struct server *s, int64_t at_ms)
{
	if (s->retry.slot == 0 || at_ms < s->retry.at_ms)
		loop_timer_set(s->loop, &s->retry, at_ms);
}

static void server_book(struct server *s, struct conn *c)
{
	size_t slot;

	if (s->free_count > 0) {
		slot = s->free_slots[--s->free_count];
	} else {
		if (s->slot_count == s->slot_cap) {
			s->slot_cap = s->slot_cap == 0 ? 64 : 2 * s->slot_cap;
			s->slots = xreallocarray(s->slots, s->slot_cap, sizeof(struct conn *));
			s->free_slots = xreallocarray(s->free_slots, s->slot_cap, sizeof(size_t));
		}
		slot = s->slot_count++;
	}
	s->slots[slot] = c;
	c->slot = slot;
	s->stats.connections++;
}

void server_unbook(struct conn *c)
{
	struct server *s = c->server;

	room_leave(c);
	s->slots[c->slot] = NULL;
	s->free_slots[s->free_count++] = c->slot;
	s->stats.connections--;
	server_room_made(s, c->listener->is_unix);
}

static void peer_fill(struct peer *p, int fd, const struct sockaddr_storage *from, bool is_unix)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	addr_text(p->address, from);
	p->is_unix = is_unix;
	p->uid = (uid_t)-1;
	p->gid = (gid_t)-1;
	if (is_unix && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
		p->uid = cred.uid;
		p->gid = cred.gid;
		p->pid = cred.pid;
	}
}

static void conn_new(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	struct server *s = l->server;
	struct error err = ERROR_INIT;
	struct conn *c = xcalloc(1, sizeof(*c));
	int on = 1;

	c->server = s;
	c->listener = l;
	if (!room_enter(c, from)) {
		s->stats.refused_source++;
		close(fd);
		free(c);
		return;
	}
	if (!l->is_unix)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	stream_open(&c->stream, fd, NULL);
	c->stream.take_fds = l->is_unix;
	peer_fill(&c->peer, fd, from, l->is_unix);
	server_book(s, c);
	s->stats.accepted++;
	c->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = conn_ready};
	if (loop_watch(s->loop, &c->watch, &err) < 0) {
		log_failure(LOG_LEVEL_ERROR, "connection.lost", &err);
		conn_free(c);
		return;
	}
	conn_start(c);
}

static void accept_failed(struct server *s, int e)
{
	struct error err = ERROR_INIT;

	if (e != EMFILE && e != ENFILE && e != ENOBUFS && e != ENOMEM)
		return; /* that connection is gone already; the next one is not */
	error_errno(&err, e, "cannot accept connections");
	log_failure(LOG_LEVEL_WARN, "accept.failed", &err);
	listeners_pause(s, false);
	listeners_pause(s, true);
	retry_at(s, loop_now_ms(s->loop) + ACCEPT_RETRY_MS);
}

static void listener_ready(struct watch *w, uint32_t revents)
{
	struct listener *l = container_of(w, struct listener, watch);
	struct server *s = l->server;
	struct conn *victim;
	int64_t again_ms;
	int i;

	(void)revents;
	for (i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
		socklen_t len = sizeof(from);
		int fd;

		if (!room_find(s, l->is_unix, &victim, &again_ms)) {
			listeners_pause(s, l->is_unix);
			retry_at(s, again_ms);
			return;
		}
		fd = accept4(w->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR)
				accept_failed(s, errno);
			return;
		}
		if (victim != NULL) {
			s->stats.displaced++;
			conn_free(victim);
		}
		conn_new(l, fd, &from);
	}
}

/* ---- the server ---- */

static void defaults(struct server_limits *l)
{
	if (l->connections == 0)
		l->connections = 4096;
	if (l->per_source == 0)
		l->per_source = (l->connections + 1) / 2;
	if (l->handshake_ms == 0)
		l->handshake_ms = 10000;
	if (l->head_ms == 0)
		l->head_ms = 10000;
	if (l->grace_ms == 0)
		l->grace_ms = 1000;
	if (l->idle_ms == 0)
		l->idle_ms = 75000;
	if (l->stall_ms == 0)
		l->stall_ms = 30000;
	if (l->min_rate == 0)
		l->min_rate = 1024;
}

struct server *server_new(struct loop *l, const struct server_limits *limits,
			  int64_t (*now_s)(void), struct error *err)
{
	struct server *s;

	if (now_s == NULL) {
		error_set(err, ERR_USAGE, "a server needs a clock");
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->loop = l;
	if (limits != NULL)
		s->limits = *limits;
	defaults(&s->limits);
	s->now_s = now_s;
	s->accepting[false] = s->accepting[true] = true;
	s->retry.fire = retry_fire;
	s->turn.fire = room_turn_fire;
	s->buffers = tls_buffers_new(BUFFERS_KEPT);
	room_init(s);
	return s;
}

struct listener *server_add(struct server *s, int fd, struct tls_config *tls,
			    const struct handler *handler, void *arg, struct error *err)
{
	struct listener *l = xcalloc(1, sizeof(*l));
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	l->server = s;
	l->tls = tls == NULL ? NULL : tls_config_ref(tls);
	l->handler = handler;
	l->arg = arg;
	l->is_unix = domain == AF_UNIX;
	/* Of several loops that share the descriptor, one wakes up. */
	l->watch = (struct watch){
		.fd = fd, .events = EPOLLIN | EPOLLEXCLUSIVE, .ready = listener_ready};
	if (s->accepting[l->is_unix] && loop_watch(s->loop, &l->watch, err) < 0) {
		tls_config_free(l->tls);
		free(l);
		return NULL;
	}
	l->next = s->listeners;
	s->listeners = l;
	return l;
}

void listener_set_tls(struct listener *l, struct tls_config *tls)
{
	struct tls_config *old = l->tls;

	assert((old == NULL) == (tls == NULL));
	l->tls = tls == NULL ? NULL : tls_config_ref(tls);
	tls_config_free(old);
}

void server_drain(struct server *s)
{
	size_t i;

	if (s->draining)
		return;
	s->draining = true;
	listeners_pause(s, false);
	listeners_pause(s, true);
	for (i = 0; i < s->slot_count; i++) {
		struct conn *c = s->slots[i];

		if (c != NULL && (c->state == CONN_IDLE || c->state == CONN_HANDSHAKE))
			conn_free(c);
	}
}

bool server_drained(const struct server *s)
{
	return s->draining && s->stats.connections == 0;
}

void server_evict(struct server *s, const uint8_t fingerprint[static 32])
{
	size_t i;

	for (i = 0; i < s->slot_count; i++) {
		struct conn *c = s->slots[i];

		if (c == NULL || !c->peer.tls.present || memcmp(c->peer.tls.fingerprint, fingerprint, 32) != 0)
			continue;
		if (c->state == CONN_IDLE)
			conn_free(c);
		else
			c->close = true;
	}
}

void server_stats(const struct server *s, struct server_stats *out)
{
	const struct counters *c = &s->stats;

	*out = (struct server_stats){
		.accepted = c->accepted,
		.refused_source = c->refused_source,
		.displaced = c->displaced,
		.handshakes_failed = c->handshakes_failed,
		.resumed = c->resumed,
		.requests = c->requests,
		.bad_requests = c->bad_requests,
		.timeouts = c->timeouts,
		.connections = c->connections,
	};
}

void server_free(struct server *s)
{
	struct listener *l, *next;
	size_t i;

	if (s == NULL)
		return;
	s->draining = true;
	listeners_pause(s, false);
	listeners_pause(s, true);
	for (i = 0; i < s->slot_count; i++)
		if (s->slots[i] != NULL)
			conn_free(s->slots[i]);
	loop_timer_cancel(s->loop, &s->retry);
	room_release(s);
	tls_buffers_free(s->buffers);
	for (l = s->listeners; l != NULL; l = next) {
		next = l->next;
		tls_config_free(l->tls);
		free(l);
	}
	free(s->slots);
	free(s->free_slots);
	free(s);
}
