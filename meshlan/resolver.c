/* The resolver: its listeners, queries by UDP, and who is answered what. */
#include "meshlan/resolver_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "mesh/bytes.h"
#include "net/addr.h"

#define DATAGRAMS_A_TURN 32	/* of one listener; then others have their turn */
#define BACKLOG 64
#define FREE_PORT_TRIES 16	/* one that is free for UDP and for TCP */

/* ---- addresses ---- */

static const struct sockaddr_in *as_v4(const struct sockaddr_storage *a)
{
	return (const struct sockaddr_in *)(const void *)a;
}

static const struct sockaddr_in6 *as_v6(const struct sockaddr_storage *a)
{
	return (const struct sockaddr_in6 *)(const void *)a;
}

socklen_t address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static uint16_t address_port(const struct sockaddr_storage *a)
{
	return ntohs(a->ss_family == AF_INET ? as_v4(a)->sin_port : as_v6(a)->sin6_port);
}

static void address_set_port(struct sockaddr_storage *a, uint16_t port)
{
	if (a->ss_family == AF_INET)
		((struct sockaddr_in *)(void *)a)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)a)->sin6_port = htons(port);
}

bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b, bool with_port)
{
	if (a->ss_family != b->ss_family || (with_port && address_port(a) != address_port(b)))
		return false;
	if (a->ss_family == AF_INET)
		return as_v4(a)->sin_addr.s_addr == as_v4(b)->sin_addr.s_addr;
	return memcmp(&as_v6(a)->sin6_addr, &as_v6(b)->sin6_addr, 16) == 0 &&
	       as_v6(a)->sin6_scope_id == as_v6(b)->sin6_scope_id;
}

/* Neither all addresses, nor a group of them, nor IPv4 in the clothes of IPv6. */
static int address_check(const struct sockaddr_storage *a, struct error *err)
{
	char text[ADDR_TEXT_LEN];

	if (a->ss_family == AF_INET) {
		uint32_t v4 = ntohl(as_v4(a)->sin_addr.s_addr);

		if (v4 >> 24 != 0 && v4 >> 28 < 14)
			return 0;
	} else if (a->ss_family == AF_INET6) {
		const struct in6_addr *v6 = &as_v6(a)->sin6_addr;

		if (!IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_MULTICAST(v6) && !IN6_IS_ADDR_V4MAPPED(v6))
			return 0;
	} else {
		return error_set(err, ERR_USAGE, "neither an IPv4 nor an IPv6 address");
	}
	addr_text(text, a);
	return error_set(err, ERR_USAGE, "%s is not the address of one host", text);
}

bool resolver_is_here(const struct resolver *r, const struct sockaddr_storage *a, bool with_port)
{
	const struct listener *l;

	for (l = r->listeners; l != NULL; l = l->next) {
		if (address_equal(&l->bound, a, with_port))
			return true;
	}
	return false;
}

/* ---- queries ---- */

void resolver_reply(struct resolver *r, const struct asker *a)
{
	if (a->connection != NULL)
		connection_reply(a->connection);
	else
		(void)!sendto(a->via->udp.fd, r->reply.ptr, r->reply.len, MSG_DONTWAIT | MSG_NOSIGNAL,
			      (const struct sockaddr *)&a->from, address_len(&a->from));
}

bool resolver_query(struct resolver *r, const struct asker *a, struct slice query)
{
	bool stranger = !resolver_is_here(r, &a->from, false);
	const struct dns_zone *z = stranger ? &r->elsewhere : &r->here;
	enum dns_verdict verdict = DNS_DROP;
	enum lookup_begun begun;

	if (!stranger ||
	    bucket_take(&r->stranger_bucket, RESOLVER_STRANGER_RATE, RESOLVER_STRANGER_BURST, loop_now_ms(r->loop)))
		verdict = dns_answer(z, query, a->connection != NULL, &r->reply);
	if (verdict == DNS_DROP) {
		r->counts.dropped++;
		return false;
	}
	if (verdict == DNS_ANSWERED) {
		r->counts.answered++;
	} else if (!z->recursion) {
		r->counts.refused++;
		dns_refuse(z, query, &r->reply);
	} else {
		begun = lookup_start(r, a, query);
		if (begun != LOOKUP_LIMIT)
			return begun == LOOKUP_BEGUN;
		r->counts.dropped++;
		dns_fail(z, query, &r->reply);
	}
	resolver_reply(r, a);
	return false;
}

static void udp_ready(struct watch *w, uint32_t revents)
{
	struct listener *l = container_of(w, struct listener, udp);
	struct resolver *r = l->r;
	unsigned i;

	(void)revents;	/* an error is fetched by receiving, and of no consequence */
	for (i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct asker a = {.via = l};
		socklen_t len = sizeof(a.from);
		ssize_t n = recvfrom(w->fd, r->datagram, sizeof(r->datagram), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&a.from, &len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			continue;
		if (n > RESOLVER_QUERY_MAX)
			r->counts.dropped++;
		else
			resolver_query(r, &a, slice_of(r->datagram, (size_t)n));
	}
}

/* ---- listeners ---- */

static void listener_close(struct listener *l)
{
	struct resolver *r = l->r;
	struct connection *c, *next;

	for (c = r->connections; c != NULL; c = next) {
		next = c->next;
		if (c->via == l)
			connection_close(c);
	}
	lookups_drop(r, l, NULL);
	loop_unwatch(&l->udp);
	loop_unwatch(&l->tcp);
	if (l->udp.fd >= 0)
		close(l->udp.fd);
	if (l->tcp.fd >= 0)
		close(l->tcp.fd);
	free(l);
}

/* A socket of that kind on l->bound; -1 with errno. */
static int open_socket(const struct listener *l, int type)
{
	int fd = socket(l->bound.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -1;
	/* For TCP alone: of UDP sockets with it, several could have one port, and the last one takes all. */
	if ((type != SOCK_STREAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
	    (l->bound.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)&l->bound, address_len(&l->bound)) == 0 &&
	    (type != SOCK_STREAM || listen(fd, BACKLOG) == 0))
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

/* Both sockets on one port; errno when not. */
static bool open_both(struct listener *l)
{
	socklen_t len = sizeof(l->bound);
	unsigned i;
	int e = 0;

	for (i = 0; i < (address_port(&l->wanted) == 0 ? FREE_PORT_TRIES : 1); i++) {
		l->bound = l->wanted;
		l->udp.fd = open_socket(l, SOCK_DGRAM);
		if (l->udp.fd < 0)
			return false;
		if (getsockname(l->udp.fd, (struct sockaddr *)&l->bound, &len) == 0) {
			l->tcp.fd = open_socket(l, SOCK_STREAM);
			if (l->tcp.fd >= 0)
				return true;
		}
		e = errno;
		close(l->udp.fd);
		l->udp.fd = -1;
	}
	errno = e;
	return false;
}

static int listen_fail(const struct listener *l, int e, struct error *err)
{
	char text[ADDR_TEXT_LEN];

	addr_text(text, &l->wanted);
	error_errno(err, e, "cannot answer queries on %s", text);
	if (e == EADDRINUSE) {
		err->kind = ERR_CONFLICT;
		error_hint(err, "another name server listens there; 'ss -lntup' names it; give it addresses of its own");
	} else if (e == EACCES) {
		error_hint(err, "ports below 1024 need CAP_NET_BIND_SERVICE");
	} else if (e == EADDRNOTAVAIL) {
		error_hint(err, "no interface of this machine has that address");
	}
	return -1;
}

static int listener_open(struct resolver *r, const struct sockaddr_storage *address, struct error *err)
{
	struct listener *l = xcalloc(1, sizeof(*l)), **last;
	char text[ADDR_TEXT_LEN];

	l->r = r;
	l->wanted = *address;
	l->udp = (struct watch){.fd = -1, .events = EPOLLIN, .ready = udp_ready};
	l->tcp = (struct watch){.fd = -1, .events = EPOLLIN, .ready = connection_accept};
	if (!open_both(l))
		listen_fail(l, errno, err);
	else if (loop_watch(r->loop, &l->udp, err) == 0 && loop_watch(r->loop, &l->tcp, err) == 0) {
		for (last = &r->listeners; *last != NULL; last = &(*last)->next)
			;
		*last = l;
		addr_text(text, &l->bound);
		log_info("dns.listen", "address=%s suffix=%s", text, r->suffix);
		return 0;
	}
	listener_close(l);
	return -1;
}

static struct listener *find_wanted(const struct resolver *r, const struct sockaddr_storage *address)
{
	struct listener *l;

	for (l = r->listeners; l != NULL; l = l->next) {
		if (address_equal(&l->wanted, address, true))
			return l;
	}
	return NULL;
}

/* Closes what the addresses do not name. */
static void close_others(struct resolver *r, const struct sockaddr_storage *addresses, size_t count)
{
	struct listener *l, **at;
	size_t i;

	for (l = r->listeners; l != NULL; l = l->next)
		l->kept = false;
	for (i = 0; i < count; i++) {
		l = find_wanted(r, &addresses[i]);
		if (l != NULL)
			l->kept = true;
	}
	for (at = &r->listeners; *at != NULL;) {
		l = *at;
		if (l->kept) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		listener_close(l);
	}
}

int resolver_listen(struct resolver *r, const struct sockaddr_storage *addresses, size_t count, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = 0;
	size_t i;

	if (count > RESOLVER_ADDRESSES_MAX)
		return error_set(err, ERR_LIMIT, "%zu addresses to answer queries on, not at most %d", count,
				 RESOLVER_ADDRESSES_MAX);
	for (i = 0; i < count; i++) {
		if (address_check(&addresses[i], err) < 0)
			return error_wrap(err, "cannot answer queries");
	}
	close_others(r, addresses, count);
	for (i = 0; i < count; i++) {
		if (find_wanted(r, &addresses[i]) != NULL || listener_open(r, &addresses[i], &why) == 0)
			continue;
		if (result == 0)
			*err = why;
		result = -1;
	}
	return result;
}

size_t resolver_listening(const struct resolver *r, struct sockaddr_storage *out, size_t max)
{
	const struct listener *l;
	size_t n = 0;

	for (l = r->listeners; l != NULL; l = l->next, n++) {
		if (n < max)
			out[n] = l->bound;
	}
	return n;
}

/* ---- the whole ---- */

struct resolver *resolver_new(const struct resolver_options *o, struct error *err)
{
	struct resolver *r;
	size_t i;

	if (o->upstream_count > RESOLVER_UPSTREAMS_MAX) {
		error_set(err, ERR_LIMIT, "%zu upstream name servers, not at most %d", o->upstream_count,
			  RESOLVER_UPSTREAMS_MAX);
		return NULL;
	}
	for (i = 0; i < o->upstream_count; i++) {
		if (address_check(&o->upstreams[i], err) < 0) {
			error_wrap(err, "upstream name server");
			return NULL;
		}
	}
	r = xcalloc(1, sizeof(*r));
	r->loop = o->loop;
	snprintf(r->suffix, sizeof(r->suffix), "%s", o->suffix);
	r->here = r->elsewhere = (struct dns_zone){.names = o->names, .suffix = r->suffix};
	r->here.recursion = o->upstream_count > 0;
	r->upstream_count = o->upstream_count;
	for (i = 0; i < o->upstream_count; i++) {
		r->upstreams[i].address = o->upstreams[i];
		if (address_port(&o->upstreams[i]) == 0)
			address_set_port(&r->upstreams[i].address, RESOLVER_PORT);
	}
	r->stripped_said_ms = INT64_MIN / 2;
	r->reply = BUF_INIT(DNS_TCP_MAX);
	return r;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	close_others(r, NULL, 0);
	buf_release(&r->reply);
	free(r);
}

const struct resolver_counts *resolver_counts(const struct resolver *r)
{
	return &r->counts;
}

const struct sockaddr_storage *resolver_silent(const struct resolver *r)
{
	size_t i;

	for (i = 0; i < r->upstream_count; i++) {
		if (r->upstreams[i].silent)
			return &r->upstreams[i].address;
	}
	return NULL;
}
