/* Connections outwards: waiting with a deadline, trying addresses, asking proxies for a tunnel. */
#include "net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/encode.h"
#include "net/addr.h"
#include "net/http.h"
#include "sys/clock.h"

int dial_wait(const struct dial *d, int fd, short events, struct error *err)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = d->cancel_fd, .events = POLLIN}};

	for (;;) {
		int64_t left = d->deadline_ms == INT64_MAX ? -1 : d->deadline_ms - clock_mono_ms();
		int n;

		if (left < 0 && d->deadline_ms != INT64_MAX)
			return error_set(err, ERR_RETRY, "out of time");
		n = poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left);
		if (n < 0 && errno != EINTR)
			return error_errno(err, errno, "cannot wait for the network");
		if (n > 0 && p[1].revents != 0)
			return error_set(err, ERR_RETRY, "cancelled");
		if (n > 0)
			return 0;
	}
}

/* ---- racing ---- */

/*
 * RFC 8305 in small: the families take turns, each address has a head start, and whoever connects first wins. So a
 * network that swallows one family costs a quarter of a second, not the patience for the whole.
 */
#define HEAD_START_MS 250

struct race {
	const struct sockaddr_storage *order[DIAL_ADDRESSES_MAX];
	int fds[DIAL_ADDRESSES_MAX]; /* under way; -1: over */
	size_t count, started, open;
	int winner; /* a connected descriptor, or -1 */
};

static void families_in_turn(struct race *r, const struct sockaddr_storage *addresses, size_t count)
{
	size_t mine = 0, other = 0;

	while (r->count < count && r->count < DIAL_ADDRESSES_MAX) {
		bool first = r->count % 2 == 0;

		while (mine < count && addresses[mine].ss_family != addresses[0].ss_family)
			mine++;
		while (other < count && addresses[other].ss_family == addresses[0].ss_family)
			other++;
		r->order[r->count++] =
			(first && mine < count) || other == count ? &addresses[mine++] : &addresses[other++];
	}
}

static void connect_failed(struct error *err, const struct sockaddr_storage *a, int e)
{
	char text[ADDR_TEXT_LEN];

	addr_text(text, a);
	error_errno(err, e, "cannot connect to %s", text);
	err->kind = ERR_RETRY;
}

/* The next address. A failure is told in err and does not end the race. */
static void race_start(struct race *r, struct error *err)
{
	const struct sockaddr_storage *a = r->order[r->started];
	socklen_t len =
		a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, e = 0;

	r->fds[r->started++] = -1;
	if (fd < 0) {
		connect_failed(err, a, errno);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)a, len) < 0)
		e = errno;
	if (e == 0) {
		r->winner = fd;
	} else if (e == EINPROGRESS) {
		r->fds[r->started - 1] = fd;
		r->open++;
	} else {
		close(fd);
		connect_failed(err, a, e);
	}
}

/* Whoever has an answer: 1 when someone failed, so that the next one need not wait. */
static int race_judge(struct race *r, size_t i, struct error *err)
{
	int e = 0;
	socklen_t len = sizeof(e);

	if (getsockopt(r->fds[i], SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	r->open--;
	if (e == 0) {
		r->winner = r->fds[i];
	} else {
		close(r->fds[i]);
		connect_failed(err, r->order[i], e);
	}
	r->fds[i] = -1;
	return e != 0;
}

static int out_of_time(const struct race *r, struct error *err)
{
	char text[ADDR_TEXT_LEN];

	addr_text(text, r->order[0]);
	if (r->count > 1)
		return error_set(err, ERR_RETRY, "cannot connect to %s, nor to %zu more: out of time", text,
				 r->count - 1);
	return error_set(err, ERR_RETRY, "cannot connect to %s: out of time", text);
}

/* Wait until until_ms for an answer. 1 when someone failed, 0, -1 when it is all over. */
static int race_wait(const struct dial *d, struct race *r, int64_t until_ms, struct error *err)
{
	struct pollfd p[DIAL_ADDRESSES_MAX + 1];
	int64_t left = until_ms == INT64_MAX ? -1 : until_ms - clock_mono_ms();
	size_t i;
	int failed = 0, n;

	for (i = 0; i < r->started; i++)
		p[i] = (struct pollfd){.fd = r->fds[i], .events = POLLOUT};
	p[i] = (struct pollfd){.fd = d->cancel_fd, .events = POLLIN};
	if (left < 0 && until_ms != INT64_MAX)
		left = 0;
	n = poll(p, (nfds_t)i + 1, left > INT32_MAX ? INT32_MAX : (int)left);
	if (n < 0)
		return errno == EINTR ? 0 : error_errno(err, errno, "cannot wait for the network");
	if (p[i].revents != 0)
		return error_set(err, ERR_RETRY, "cancelled");
	for (i = 0; i < r->started && r->winner < 0; i++)
		if (r->fds[i] >= 0 && p[i].revents != 0)
			failed |= race_judge(r, i, err);
	return failed;
}

static int race_run(const struct dial *d, struct race *r, struct error *err)
{
	int64_t next_ms = 0;

	while (r->winner < 0) {
		int64_t now_ms = clock_mono_ms(), until_ms = d->deadline_ms;
		int failed;

		if (now_ms >= d->deadline_ms)
			return out_of_time(r, err);
		if (r->started < r->count && (r->open == 0 || now_ms >= next_ms)) {
			race_start(r, err);
			next_ms = now_ms + HEAD_START_MS;
			continue;
		}
		if (r->open == 0)
			return -1; /* why is what the last one said */
		if (r->started < r->count && next_ms < until_ms)
			until_ms = next_ms;
		failed = race_wait(d, r, until_ms, err);
		if (failed < 0)
			return -1;
		if (failed > 0)
			next_ms = 0;
	}
	return 0;
}

int dial_tcp(const struct dial *d, const struct sockaddr_storage *addresses, size_t count,
	     struct error *err)
{
	struct race r = {.winner = -1};
	struct error why = ERROR_INIT;
	size_t i;

	families_in_turn(&r, addresses, count);
	if (race_run(d, &r, &why) < 0)
		*err = why;
	for (i = 0; i < r.started; i++)
		if (r.fds[i] >= 0)
			close(r.fds[i]);
	return r.winner;
}

int dial_unix(const char *path, struct error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(a.sun_path))
		return error_set(err, ERR_USAGE, "socket path '%s' has %zu bytes, not 1 to %zu",
				 path, len, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, len + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	error_errno(err, errno, "cannot connect to '%s'", path);
	if (err->sys_errno == ENOENT || err->sys_errno == ECONNREFUSED || err->sys_errno == EAGAIN)
		err->kind = ERR_RETRY;
	if (err->sys_errno == EACCES || err->sys_errno == EPERM)
		err->kind = ERR_DENIED;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- proxies ---- */

static int send_all(const struct dial *d, int fd, struct slice s, struct error *err)
{
	while (s.len > 0) {
		ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (n >= 0) {
			s = slice_of(s.ptr + n, s.len - (size_t)n);
		} else if (errno != EAGAIN && errno != EINTR) {
			error_errno(err, errno, "cannot send");
			err->kind = ERR_RETRY;
			return -1;
		} else if (dial_wait(d, fd, POLLOUT, err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Read one head, byte by byte at its end: what follows belongs to the tunnel. */
static int read_head(const struct dial *d, int fd, struct buf *in, struct error *err)
{
	size_t scanned = 0;
	uint8_t c;

	while (http_head_length(buf_slice(in), &scanned) == 0) {
		ssize_t n = recv(fd, &c, 1, 0);

		if (n == 1) {
			buf_put_u8(in, c);
			if (in->failed)
				return error_set(err, ERR_LIMIT, "its head is longer than %d bytes",
						 HTTP_HEAD_MAX);
		} else if (n == 0) {
			return error_set(err, ERR_RETRY, "it closed the connection");
		} else if (errno != EAGAIN && errno != EINTR) {
			error_errno(err, errno, "cannot receive");
			err->kind = ERR_RETRY;
			return -1;
		} else if (dial_wait(d, fd, POLLIN, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static int tunnel_verdict(const struct http_head *h, const struct url *proxy, struct error *err)
{
	if (h->status / 100 == 2)
		return 0;
	if (h->status == 407 && proxy->user[0] == '\0') {
		error_set(err, ERR_DENIED, "it wants a user and a password (407)");
		return error_hint(err,
				  "give them in the proxy's URL: http://user:password@host:port");
	}
	if (h->status == 407) {
		error_set(err, ERR_DENIED, "it does not take user '%s' with this password (407)", proxy->user);
		return error_hint(err,
				  "correct user and password in the proxy's URL; it is asked for Basic credentials only");
	}
	return error_set(err, h->status >= 500 ? ERR_RETRY : ERR_REFUSED,
			 "it refuses the tunnel: %d %s", h->status, http_reason(h->status));
}

static void put_credentials(struct buf *out, const struct url *proxy)
{
	struct buf plain = BUF_SECRET(1024), text = BUF_SECRET(2048);

	buf_printf(&plain, "%s:%s", proxy->user, proxy->password);
	buf_put_str(&text, "Basic ");
	base64_put(&text, buf_slice(&plain));
	http_put_header(out, "Proxy-Authorization", buf_slice(&text));
	buf_release(&plain);
	buf_release(&text);
}

int dial_tunnel(const struct dial *d, int fd, const struct url *proxy, const struct url *url,
		struct error *err)
{
	struct buf out = BUF_SECRET(HTTP_HEAD_MAX), in = BUF_INIT(HTTP_HEAD_MAX),
		   authority = BUF_INIT(512);
	struct http_head h;
	int r = -1;

	url_put_authority(&authority, url, true);
	buf_printf(&out, "CONNECT %s HTTP/1.1\r\n", buf_cstr(&authority));
	http_put_header(&out, "Host", buf_slice(&authority));
	if (proxy->user[0] != '\0')
		put_credentials(&out, proxy);
	http_put_end(&out);
	if (send_all(d, fd, buf_slice(&out), err) == 0 && read_head(d, fd, &in, err) == 0 &&
	    http_response_parse(&h, buf_slice(&in), "CONNECT", err) == 0)
		r = tunnel_verdict(&h, proxy, err);
	buf_release(&out);
	buf_release(&in);
	buf_release(&authority);
	return r;
}
