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

/* What an address gets at least, when others wait behind it. */
#define ADDRESS_MS_MIN 2000

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

/* The result of a connect that was under way. */
static int connect_result(int fd)
{
	int e = 0;
	socklen_t len = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? errno : e;
}

static int connect_one(const struct dial *d, const struct sockaddr_storage *a, struct error *err)
{
	socklen_t len =
		a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, e;
	char text[ADDR_TEXT_LEN];

	addr_text(text, a);
	if (fd < 0) {
		error_errno(err, errno, "cannot connect to %s", text);
		err->kind = ERR_RETRY;
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	e = connect(fd, (const struct sockaddr *)a, len) == 0 ? 0 : errno;
	if (e == EINPROGRESS) {
		if (dial_wait(d, fd, POLLOUT, err) < 0) {
			close(fd);
			return error_wrap(err, "cannot connect to %s", text);
		}
		e = connect_result(fd);
	}
	if (e == 0)
		return fd;
	close(fd);
	error_errno(err, e, "cannot connect to %s", text);
	err->kind = ERR_RETRY;
	return -1;
}

int dial_tcp(const struct dial *d, const struct sockaddr_storage *addresses, size_t count,
	     struct error *err)
{
	size_t i;
	int fd = -1;

	for (i = 0; i < count && fd < 0; i++) {
		struct dial one = *d;
		int64_t now = clock_mono_ms();

		if (d->deadline_ms != INT64_MAX && i + 1 < count) {
			int64_t share = (d->deadline_ms - now) / (int64_t)(count - i);

			share = share < ADDRESS_MS_MIN ? ADDRESS_MS_MIN : share;
			if (now + share < d->deadline_ms)
				one.deadline_ms = now + share;
		}
		fd = connect_one(&one, &addresses[i], err);
	}
	return fd;
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

static int tunnel_verdict(const struct http_head *h, struct error *err)
{
	if (h->status / 100 == 2)
		return 0;
	if (h->status == 407) {
		error_set(err, ERR_DENIED, "it wants other credentials (407)");
		return error_hint(err,
				  "give them in the proxy's URL: http://user:password@host:port");
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
		r = tunnel_verdict(&h, err);
	buf_release(&out);
	buf_release(&in);
	buf_release(&authority);
	return r;
}
