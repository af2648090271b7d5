/* Reading and writing of descriptors, through TLS or not. */
#include "net/stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A record's worth, and the most that is read ahead of a peer that does not wait for answers. */
#define CHUNK 16384
#define AHEAD_MAX (4 * CHUNK)
/* Reads from the wire that bring no plain byte, before the caller may look at its clock. */
#define BARREN_MAX 64

void stream_open(struct stream *s, int fd, struct tls *tls)
{
	*s = STREAM_INIT;
	s->fd = fd;
	s->tls = tls;
	s->ahead = BUF_INIT(AHEAD_MAX);
	s->wire = BUF_INIT(CHUNK);
	s->flight = BUF_INIT(AHEAD_MAX);
}

void stream_close(struct stream *s)
{
	size_t i;

	tls_free(s->tls);
	s->tls = NULL;
	buf_release(&s->ahead);
	buf_release(&s->wire);
	buf_release(&s->flight);
	for (i = 0; i < STREAM_FDS_MAX; i++) {
		if (s->fds[i] >= 0)
			close(s->fds[i]);
		s->fds[i] = -1;
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int blocked(struct stream *s, uint32_t event)
{
	s->wait = event;
	return STREAM_BLOCKED;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* A peer that went away is no fault of ours: the same call may work later. */
static int io_error(struct error *err, const char *what)
{
	int e = errno;

	error_errno(err, e, "%s", what);
	if (e == ECONNRESET || e == EPIPE || e == ETIMEDOUT || e == ENETUNREACH ||
	    e == EHOSTUNREACH || e == ENETDOWN)
		err->kind = ERR_RETRY;
	return -1;
}

/* ---- the wire below TLS ---- */

/* 1 sent something, STREAM_BLOCKED, -1. */
static int wire_send(struct stream *s, struct slice out, size_t *sent, struct error *err)
{
	ssize_t n = send(s->fd, out.ptr, out.len, MSG_NOSIGNAL);

	if (n < 0)
		return would_block() ? blocked(s, EPOLLOUT) : io_error(err, "cannot send");
	*sent = (size_t)n;
	s->sent = true;
	return 1;
}

/* What is left of a flight: 1 nothing, STREAM_BLOCKED, -1. */
static int flight_out(struct stream *s, struct error *err)
{
	size_t n = 0;
	int r;

	while (s->flight.len > 0) {
		if ((r = wire_send(s, buf_slice(&s->flight), &n, err)) != 1)
			return r;
		buf_consume(&s->flight, n);
	}
	buf_release(&s->flight);
	return 1;
}

/*
 * Send what the engine has ready: 1 all, STREAM_BLOCKED, -1. It makes a record of each message of a handshake and gives
 * the next one only when that is gone: they are gathered, so that a flight is one system call and one packet.
 */
static int wire_out(struct stream *s, struct error *err)
{
	size_t n = 0;
	int r;

	while (tls_wants(s->tls) & TLS_WRITE) {
		struct slice out = tls_output(s->tls);

		if (!tls_established(s->tls) && s->flight.len + out.len <= s->flight.max) {
			buf_put_slice(&s->flight, out);
			tls_sent(s->tls, out.len);
			continue;
		}
		if ((r = flight_out(s, err)) != 1 || (r = wire_send(s, out, &n, err)) != 1)
			return r;
		tls_sent(s->tls, n);
	}
	return flight_out(s, err);
}

/* Feed the engine as long as it takes more: how many bytes it took. */
static size_t wire_feed(struct stream *s, const uint8_t *p, size_t n)
{
	size_t taken = 0, room;
	uint8_t *to;

	while (taken < n && (to = tls_input(s->tls, &room)) != NULL) {
		if (room > n - taken)
			room = n - taken;
		memcpy(to, p + taken, room);
		tls_received(s->tls, room);
		taken += room;
	}
	return taken;
}

/*
 * Give the engine what has arrived: 1 some, STREAM_BLOCKED, -1. The wire's end is told to the engine. It asks for the
 * five bytes of a record's header, then for the record: received by way of memory of our own, both are one system call.
 */
static int wire_in(struct stream *s, struct error *err)
{
	static _Thread_local uint8_t arrived[CHUNK];
	size_t taken;
	ssize_t n;

	if (s->wire.len > 0) {
		buf_consume(&s->wire, wire_feed(s, s->wire.ptr, s->wire.len));
		if (s->wire.len == 0)
			buf_release(&s->wire);
		return 1;
	}
	n = recv(s->fd, arrived, sizeof(arrived), 0);
	if (n < 0)
		return would_block() ? blocked(s, EPOLLIN) : io_error(err, "cannot receive");
	s->received += (size_t)n;
	if (n == 0) {
		tls_eof(s->tls);
		return 1;
	}
	taken = wire_feed(s, arrived, (size_t)n);
	buf_put(&s->wire, arrived + taken, (size_t)n - taken);
	return 1;
}

/*
 * One step of whatever the engine waits for: 1 stepped, STREAM_BLOCKED, -1. steps counts them, from 0: a peer that
 * sends empty records as fast as we can read must not keep us here.
 */
static int wire_step(struct stream *s, unsigned *steps, struct error *err)
{
	unsigned wants = tls_wants(s->tls);

	if (++*steps > BARREN_MAX)
		return blocked(s, wants & TLS_WRITE ? EPOLLOUT : EPOLLIN);
	if ((wants & TLS_WRITE) || s->flight.len > 0)
		return wire_out(s, err);
	if (wants & TLS_READ)
		return wire_in(s, err);
	return error_set(err, ERR_FAILED, "TLS engine is stuck"); /* a bug of ours */
}

/* ---- reading ---- */

/* The handshake is over without success; why is known to the engine. */
static int handshake_failed(struct stream *s, struct error *err)
{
	if (tls_failure(s->tls, err) == 0)
		error_set(err, ERR_RETRY,
			  "the peer closed the connection during the TLS handshake");
	return -1;
}

/* The wire broke under our hands; an alert that says why may still lie in the kernel. */
static int handshake_broken(struct stream *s, struct error *err)
{
	if (err->sys_errno != EPIPE && err->sys_errno != ECONNRESET)
		return -1;
	while ((tls_wants(s->tls) & TLS_READ) && wire_in(s, err) == 1)
		;
	tls_eof(s->tls);
	return handshake_failed(s, err);
}

int stream_handshake(struct stream *s, struct error *err)
{
	unsigned steps = 0;
	int r;

	if (s->tls == NULL)
		return 1;
	while (!tls_established(s->tls) || s->flight.len > 0) {
		if (tls_wants(s->tls) & TLS_CLOSED)
			return handshake_failed(s, err);
		r = wire_step(s, &steps, err);
		if (r != 1)
			return r == -1 ? handshake_broken(s, err) : r;
	}
	return 1;
}

/* Move at most `most` of the engine's plain bytes to `in`. */
static size_t take_data(struct stream *s, struct buf *in, size_t most)
{
	struct slice data = tls_data(s->tls);

	if (data.len > most)
		data.len = most;
	buf_put_slice(in, data);
	tls_consumed(s->tls, data.len);
	return data.len;
}

bool stream_pending(const struct stream *s)
{
	return s->tls != NULL && (s->ahead.len > 0 || s->wire.len > 0 || (tls_wants(s->tls) & (TLS_DATA | TLS_CLOSED)));
}

static ssize_t tls_stream_read(struct stream *s, struct buf *in, size_t most, struct error *err)
{
	unsigned steps = 0;
	int r;

	if (s->ahead.len > 0) {
		size_t n = s->ahead.len < most ? s->ahead.len : most;

		buf_put(in, s->ahead.ptr, n);
		buf_consume(&s->ahead, n);
		return (ssize_t)n;
	}
	for (;;) {
		unsigned wants = tls_wants(s->tls);

		if (wants & TLS_DATA)
			return (ssize_t)take_data(s, in, most);
		if (wants & TLS_CLOSED)
			return tls_failure(s->tls, err);
		r = wire_step(s, &steps, err);
		if (r != 1)
			return r;
	}
}

/* Keep passed descriptors that fit, close the others. */
static void take_fds(struct stream *s, struct msghdr *m)
{
	struct cmsghdr *c;
	size_t i, j, n;
	int fd;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			for (j = 0; j < STREAM_FDS_MAX && s->fds[j] >= 0; j++)
				;
			if (j < STREAM_FDS_MAX)
				s->fds[j] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t plain_recv(struct stream *s, void *p, size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(STREAM_FDS_MAX * sizeof(int))];
	struct iovec iov = {p, n};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t r;

	if (!s->take_fds)
		return recv(s->fd, p, n, 0);
	r = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
	if (r >= 0)
		take_fds(s, &m);
	return r;
}

ssize_t stream_read(struct stream *s, struct buf *in, size_t most, struct error *err)
{
	ssize_t n;

	if (s->tls != NULL)
		return tls_stream_read(s, in, most, err);
	if (!buf_reserve(in, most))
		return error_set(err, ERR_LIMIT, "no room for %zu more bytes", most);
	n = plain_recv(s, in->ptr + in->len, most);
	if (n < 0)
		return would_block() ? blocked(s, EPOLLIN) : io_error(err, "cannot receive");
	in->len += (size_t)n;
	s->received += (size_t)n;
	return n;
}

/* ---- writing ---- */

/*
 * Where plain bytes may be written, or NULL with *result: STREAM_BLOCKED or -1. With one buffer for both
 * directions a record that is half here has to be finished and set aside first.
 */
static uint8_t *writable(struct stream *s, size_t *room, int *result, struct error *err)
{
	unsigned steps = 0;
	uint8_t *p;
	int r;

	while ((p = tls_room(s->tls, room)) == NULL) {
		unsigned wants = tls_wants(s->tls);

		if (wants & TLS_CLOSED) {
			if (tls_failure(s->tls, err) == 0)
				error_set(err, ERR_RETRY, "the peer closed the connection");
			*result = -1;
			return NULL;
		}
		if (wants & TLS_DATA) {
			take_data(s, &s->ahead, CHUNK);
			if (!s->ahead.failed)
				continue;
			*result = error_set(err, ERR_LIMIT,
					    "the peer sends without waiting for answers");
			return NULL;
		}
		r = wire_step(s, &steps, err);
		if (r != 1) {
			*result = r;
			return NULL;
		}
	}
	return p;
}

ssize_t stream_write(struct stream *s, struct slice bytes, struct error *err)
{
	ssize_t n;
	size_t room;
	uint8_t *p;
	int r;

	if (bytes.len == 0)
		return 0;
	if (s->tls == NULL) {
		n = send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
		if (n < 0)
			return would_block() ? blocked(s, EPOLLOUT) : io_error(err, "cannot send");
		return n;
	}
	p = writable(s, &room, &r, err);
	if (p == NULL)
		return r;
	if (room > bytes.len)
		room = bytes.len;
	memcpy(p, bytes.ptr, room);
	tls_written(s->tls, room);
	return (ssize_t)room;
}

int stream_flush(struct stream *s, struct error *err)
{
	if (s->tls == NULL)
		return 1;
	tls_flush(s->tls);
	return wire_out(s, err);
}

/* Not sendfile(2): it raises SIGPIPE, and plain sockets carry little. */
static ssize_t plain_write_file(struct stream *s, int file_fd, uint64_t offset, uint64_t most,
				struct error *err)
{
	uint8_t chunk[CHUNK];
	ssize_t n = pread(file_fd, chunk, most < sizeof(chunk) ? (size_t)most : sizeof(chunk),
			  (off_t)offset);

	if (n < 0)
		return error_errno(err, errno, "cannot read the file to send");
	return stream_write(s, slice_of(chunk, (size_t)n), err);
}

ssize_t stream_write_file(struct stream *s, int file_fd, uint64_t offset, uint64_t most,
			  struct error *err)
{
	ssize_t n;
	size_t room;
	uint8_t *p;
	int r;

	if (s->tls == NULL)
		return plain_write_file(s, file_fd, offset, most, err);
	p = writable(s, &room, &r, err);
	if (p == NULL)
		return r;
	n = pread(file_fd, p, room < most ? room : (size_t)most, (off_t)offset);
	if (n < 0)
		return error_errno(err, errno, "cannot read the file to send");
	tls_written(s->tls, (size_t)n);
	return n;
}

ssize_t stream_send_fds(struct stream *s, struct slice bytes, const int *fds, size_t count,
			struct error *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(STREAM_FDS_MAX * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	struct cmsghdr *c;
	ssize_t n;

	if (s->tls != NULL || count > STREAM_FDS_MAX)
		return error_set(err, ERR_USAGE,
				 "at most %d descriptors can be passed, over a unix socket alone",
				 STREAM_FDS_MAX);
	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
	if (n < 0)
		return io_error(
			err,
			"cannot pass descriptors"); /* the first bytes on a socket: nothing blocks */
	return n;
}

void stream_rest(struct stream *s)
{
	if (s->tls != NULL)
		tls_rest(s->tls);
	if (s->ahead.len == 0)
		buf_release(&s->ahead);
}

void stream_shutdown(struct stream *s)
{
	struct error ignored = ERROR_INIT;
	int r;

	if (s->fd < 0)
		return;
	if (s->tls != NULL) {
		tls_close(s->tls);
		r = wire_out(s, &ignored);
		(void)r;
	}
	shutdown(s->fd, SHUT_WR);
}
