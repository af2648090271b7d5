/* Queries by TCP (RFC 7766): several at a time on one connection, answered as they come to an end. */
#include "meshlan/resolver_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 16
#define ACCEPT_PAUSE_MS 200	/* when there are too many, or no descriptors */
#define OUT_FULL 65536		/* not read while more than that waits to be sent */
#define OUT_MAX (4 * 65536)	/* closed */

void connection_close(struct connection *c)
{
	struct resolver *r = c->r;

	lookups_drop(r, NULL, c);
	loop_unwatch(&c->watch);
	close(c->watch.fd);
	*c->back = c->next;
	if (c->next != NULL)
		c->next->back = c->back;
	r->connection_count--;
	r->stranger_count -= c->stranger;
	buf_release(&c->in);
	buf_release(&c->out);
	free(c);
}

static void patience(struct connection *c)
{
	loop_watch_deadline(&c->watch, loop_now_ms(c->r->loop) + RESOLVER_CONNECTION_MS);
}

/* Send what waits. False: the connection is broken. */
static bool flush(struct connection *c)
{
	while (c->out.len > 0) {
		ssize_t n = send(c->watch.fd, c->out.ptr, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		buf_consume(&c->out, (size_t)n);
	}
	return !c->out.failed;
}

static bool busy(const struct connection *c)
{
	return c->lookups >= RESOLVER_PIPELINE_MAX || c->out.len > OUT_FULL;
}

/* The queries that are there whole. False: what comes is no DNS. */
static bool take_queries(struct connection *c)
{
	struct asker a = {.via = c->via, .connection = c, .from = c->from};
	struct slice query;
	size_t used;
	int r = 0;

	while (!busy(c) && (r = dns_tcp_next(buf_slice(&c->in), &query, &used)) > 0) {
		patience(c);
		c->lookups += resolver_query(c->r, &a, query);
		buf_consume(&c->in, used);
	}
	return r >= 0;
}

/* Read once: who sends without an end has to wait for the others. False: the connection is broken. */
static bool fill(struct connection *c)
{
	uint8_t chunk[RESOLVER_QUERY_MAX];
	size_t room = c->in.max - c->in.len;
	ssize_t n;

	if (room == 0)
		return false;	/* a query longer than any that we take */
	n = recv(c->watch.fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->ended = n == 0;
	buf_put(&c->in, chunk, (size_t)n);
	return true;
}

void connection_proceed(struct connection *c)
{
	if (!take_queries(c) || !flush(c) || (c->ended && c->lookups == 0 && c->out.len == 0)) {
		connection_close(c);
		return;
	}
	loop_watch_change(&c->watch, (c->ended || busy(c) ? 0u : (uint32_t)EPOLLIN) |
					     (c->out.len > 0 ? (uint32_t)EPOLLOUT : 0u));
}

void connection_reply(struct connection *c)
{
	dns_tcp_put(&c->out, buf_slice(&c->r->reply));
}

static void connection_ready(struct watch *w, uint32_t revents)
{
	struct connection *c = container_of(w, struct connection, watch);

	if (revents == 0 || (revents & (EPOLLERR | EPOLLHUP)) != 0 ||
	    ((revents & EPOLLIN) != 0 && !c->ended && !busy(c) && !fill(c)))
		connection_close(c);
	else
		connection_proceed(c);
}

/* ---- accepting ---- */

/* Strangers may neither fill all places, nor one of them those of strangers. */
static bool welcome(const struct resolver *r, const struct sockaddr_storage *from)
{
	const struct connection *c;
	unsigned same = 0;

	if (resolver_is_here(r, from, false))
		return true;
	for (c = r->connections; c != NULL; c = c->next)
		same += address_equal(&c->from, from, false);
	return r->stranger_count < RESOLVER_STRANGERS_MAX && same < RESOLVER_STRANGER_MAX;
}

static void connection_open(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	struct error err = ERROR_INIT;
	struct resolver *r = l->r;
	struct connection *c;

	c = xcalloc(1, sizeof(*c));
	c->r = r;
	c->via = l;
	c->from = *from;
	c->stranger = !resolver_is_here(r, from, false);
	c->in = BUF_INIT(2 + RESOLVER_QUERY_MAX);
	c->out = BUF_INIT(OUT_MAX);
	c->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = connection_ready};
	c->next = r->connections;
	c->back = &r->connections;
	if (c->next != NULL)
		c->next->back = &c->next;
	r->connections = c;
	r->connection_count++;
	r->stranger_count += c->stranger;
	if (loop_watch(r->loop, &c->watch, &err) < 0)
		connection_close(c);
	else
		patience(c);
}

static void pause_accepting(struct listener *l)
{
	loop_watch_change(&l->tcp, 0);
	loop_watch_deadline(&l->tcp, loop_now_ms(l->r->loop) + ACCEPT_PAUSE_MS);
}

void connection_accept(struct watch *w, uint32_t revents)
{
	struct listener *l = container_of(w, struct listener, tcp);
	unsigned i;

	if (revents == 0)
		loop_watch_change(w, EPOLLIN);
	for (i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		int fd;

		if (l->r->connection_count >= RESOLVER_CONNECTIONS_MAX) {
			pause_accepting(l);
			return;
		}
		fd = accept4(w->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			pause_accepting(l);
			return;
		}
		if (fd < 0)
			continue;	/* gone before it was accepted */
		if (welcome(l->r, &from))
			connection_open(l, fd, &from);
		else
			close(fd);
	}
}
