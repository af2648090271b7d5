/* One connection of one device. */
#include <errno.h>
#include <linux/tcp.h>	/* of the two, the one whose tcp_info counts bytes */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/key.h"
#include "sys/clock.h"
#include "tests/bench/load.h"

#define ANSWER_MAX (1u << 20)

/* ---- the books: least recently used first ---- */

static void book(struct link *l)
{
	struct load *load = l->load;

	l->prev = load->newest;
	l->next = NULL;
	if (load->newest != NULL)
		load->newest->next = l;
	else
		load->oldest = l;
	load->newest = l;
}

static void unbook(struct link *l)
{
	struct load *load = l->load;

	if (l->prev != NULL)
		l->prev->next = l->next;
	else
		load->oldest = l->next;
	if (l->next != NULL)
		l->next->prev = l->prev;
	else
		load->newest = l->prev;
}

/* ---- bytes, as the socket counts them ---- */

static void socket_bytes(const struct link *l, uint64_t *sent, uint64_t *received)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	*sent = *received = 0;
	if (getsockopt(l->stream.fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
		*sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
		*received = info.tcpi_bytes_received;
	}
}

static void count_bytes(struct link *l)
{
	uint64_t sent, received;

	socket_bytes(l, &sent, &received);
	l->load->sent += sent - l->sent0;
	l->load->received += received - l->received0;
	l->sent0 = sent;
	l->received0 = received;
}

/* ---- opening ---- */

/* Each device has a source address of its own neighbourhood, so that ports do not run out while old ones linger. */
static int connect_from(const struct load *load, size_t index, struct error *err)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f000000u | (uint32_t)(2 + index % 250))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    (connect(fd, (const struct sockaddr *)&load->address, sizeof(load->address)) < 0 && errno != EINPROGRESS)) {
		error_errno(err, errno, "cannot connect");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* For a full handshake: the device's own certificate. Guarded memory is dear, so it lives as long as the link. */
static struct tls_config *own_config(const struct load *load, const struct dev *d)
{
	struct error err = ERROR_INIT;
	struct seckey *key = seckey_from_raw(KEY_ECDSA_P256, slice_of(d->scalar, 32), &err);
	struct slice ca = buf_slice(&load->ca);
	struct tls_client_params params = {
		.identity = {.chain = &d->cert, .chain_count = 1, .key = key},
		.cas = &ca,
		.ca_count = 1,
	};
	struct tls_config *c = key == NULL ? NULL : tls_config_client(&params, &err);

	if (c == NULL)
		load_die("bad identity", &err);
	seckey_free(key);
	return c;
}

static void lose(struct link *l, const struct error *why)
{
	l->load->failures += l->state != LINK_IDLE;	/* an idle one may be closed at any time */
	l->load->mode->down(l, why);
	link_close(l);
}

static void link_ready(struct watch *w, uint32_t revents);

struct link *link_open(struct load *load, struct dev *d, bool resume)
{
	struct link *l = xcalloc(1, sizeof(*l));
	struct error err = ERROR_INIT;
	bool with = resume && d->has_session;
	struct tls *tls;
	int fd = connect_from(load, (size_t)(d - load->ids.list), &err);

	if (fd < 0)
		load_die("cannot go on", &err);
	l->load = load;
	l->device = d;
	l->tls = with ? tls_config_ref(load->anonymous) : own_config(load, d);
	tls = tls_connect(l->tls, load->o->name, clock_now_s(), with ? &d->session : NULL, &err);
	if (tls == NULL)
		load_die("cannot begin TLS", &err);
	stream_open(&l->stream, fd, tls);
	l->state = LINK_CONNECT;
	l->in = BUF_INIT(ANSWER_MAX);
	l->watch = (struct watch){.fd = fd, .events = EPOLLOUT, .ready = link_ready};
	if (loop_watch(load->loop, &l->watch, &err) < 0)
		load_die("cannot go on", &err);
	d->link = l;
	load->links++;
	book(l);
	return l;
}

void link_close(struct link *l)
{
	count_bytes(l);
	unbook(l);
	loop_unwatch(&l->watch);
	stream_shutdown(&l->stream);
	stream_close(&l->stream);
	tls_config_free(l->tls);
	buf_release(&l->in);
	l->device->link = NULL;
	l->load->links--;
	free(l);
}

/* ---- life ---- */

static void connected(struct link *l)
{
	struct error err = ERROR_INIT;
	int code = 0;
	socklen_t len = sizeof(code);

	getsockopt(l->stream.fd, SOL_SOCKET, SO_ERROR, &code, &len);
	if (code != 0) {
		error_errno(&err, code, "cannot connect");
		lose(l, &err);
		return;
	}
	l->state = LINK_HANDSHAKE;
}

static void handshake(struct link *l)
{
	struct error err = ERROR_INIT;
	int r = stream_handshake(&l->stream, &err);

	if (r == STREAM_BLOCKED) {
		loop_watch_change(&l->watch, l->stream.wait);
		return;
	}
	if (r < 0) {
		l->device->has_session = false;
		lose(l, &err);
		return;
	}
	l->resumed = tls_peer(l->stream.tls)->resumed;
	if (l->resumed)
		l->load->resumed++;
	else
		l->load->full++;
	tls_session_get(l->stream.tls, &l->device->session);
	l->device->has_session = true;
	l->state = LINK_IDLE;
	loop_watch_change(&l->watch, EPOLLIN);
	l->load->mode->up(l);
}

/* 1: an answer is complete, its body in *body; 0: not yet; -1. */
static int take_answer(struct link *l, struct http_head *h, struct slice *body, struct error *err)
{
	size_t n = http_head_length(buf_slice(&l->in), &l->scanned);

	if (n == 0)
		return 0;
	if (http_response_parse(h, slice_of(l->in.ptr, n), "POST", err) < 0)
		return -1;
	if (h->content_length < 0)
		return error_set(err, ERR_MALFORMED, "an answer without a length");
	if (l->in.len < n + (size_t)h->content_length)
		return 0;
	*body = slice_of(l->in.ptr + n, (size_t)h->content_length);
	return 1;
}

static void reading(struct link *l)
{
	struct error err = ERROR_INIT;
	struct http_head h;
	struct slice body;
	ssize_t n = stream_read(&l->stream, &l->in, 16384, &err);
	int r;

	if (n == STREAM_BLOCKED)
		return;
	if (n == 0)
		error_set(&err, ERR_RETRY, "the server closed the connection");
	if (n <= 0 || (r = take_answer(l, &h, &body, &err)) < 0) {
		lose(l, &err);
		return;
	}
	if (r == 0)
		return;
	l->state = LINK_IDLE;
	l->load->requests++;
	histogram_add(&l->load->latency, now_ns() - l->start_ns);
	if (h.status != 200) {
		l->load->failures++;
		if (l->load->failures < 5)
			fprintf(stderr, "status %d: %.*s\n", h.status, SLICE_ARG(body));
	}
	l->load->mode->answered(l, h.status, body);
}

static void link_ready(struct watch *w, uint32_t revents)
{
	struct link *l = container_of(w, struct link, watch);

	(void)revents;
	if (l->state == LINK_CONNECT)
		connected(l);
	else if (l->state == LINK_HANDSHAKE)
		handshake(l);
	else
		reading(l);
}

void link_ask(struct link *l, struct slice request, int64_t start_ns)
{
	struct error err = ERROR_INIT;

	l->start_ns = start_ns;
	l->state = LINK_WAIT;
	buf_clear(&l->in);
	l->scanned = 0;
	unbook(l);
	book(l);
	/* A request is smaller than any socket buffer, so nothing blocks. */
	if (stream_write(&l->stream, request, &err) != (ssize_t)request.len || stream_flush(&l->stream, &err) != 1)
		load_die("a request did not go out", &err);
}

/* ---- the whole ---- */

static void recount(struct load *load)
{
	struct link *l;

	for (l = load->oldest; l != NULL; l = l->next)
		count_bytes(l);
}

void load_count_from_now(struct load *load)
{
	recount(load);
	load->requests = load->failures = load->full = load->resumed = load->sent = load->received = 0;
	load->latency = (struct histogram){.count = 0};
	load->begin_ns = now_ns();
	load->begin_own_ns = cpu_ns(getpid());
	load->begin_cpu_ns = cpu_ns((int)load->o->pid);
}

void load_tell(struct load *load, const char *mode, const char *extra)
{
	double cpu = (double)(cpu_ns((int)load->o->pid) - load->begin_cpu_ns) / 1e3;
	double wall = (double)(now_ns() - load->begin_ns) / 1e3, own = (double)(cpu_ns(getpid()) - load->begin_own_ns) / 1e3;
	double n = load->requests == 0 ? 1 : (double)load->requests;

	recount(load);
	printf("{\"mode\":\"%s\",\"requests\":%llu,\"failures\":%llu,\"seconds\":%.3f,\"rate\":%.0f,"
	       "\"server_cpu_us\":%.2f,\"server_cpu_share\":%.4f,\"own_cpu_us\":%.2f,\"p50_us\":%.0f,\"p99_us\":%.0f,"
	       "\"max_us\":%.0f,\"full\":%llu,\"resumed\":%llu,\"bytes_out\":%.1f,\"bytes_in\":%.1f,\"links\":%zu,"
	       "\"pss_kib\":%ld%s}\n",
	       mode, (unsigned long long)load->requests, (unsigned long long)load->failures, wall / 1e6, n / wall * 1e6,
	       cpu / n, cpu / wall, own / n, histogram_us(&load->latency, 0.5), histogram_us(&load->latency, 0.99),
	       (double)load->latency.max_ns / 1e3, (unsigned long long)load->full, (unsigned long long)load->resumed,
	       (double)load->sent / n, (double)load->received / n, load->links, pss_kib((int)load->o->pid), extra);
	fflush(stdout);
}

void load_run_until(struct load *load, int64_t at_ns, const bool *stop)
{
	struct error err = ERROR_INIT;
	int64_t left;

	while ((stop == NULL || !*stop) && (left = at_ns - now_ns()) > 0)
		if (loop_turn(load->loop, left / 1000000 + 1, &err) < 0)
			load_die("the loop broke", &err);
}

void load_close_all(struct load *load)
{
	while (load->oldest != NULL)
		link_close(load->oldest);
}
