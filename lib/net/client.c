/*
 * The blocking client: what it is made of, how it connects, and when it tries once more. One attempt is: open
 * (resolve, connect, tunnel, TLS), send, receive.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "net/client_internal.h"
#include "net/dial.h"
#include "sys/clock.h"

#define CONNECT_MS 30000
#define STALL_MS 60000
#define MIN_RATE 64

/* ---- making ---- */

struct client *client_new(const struct client_params *p, struct error *err)
{
	struct buf text = BUF_INIT(512);
	struct client *c;

	if ((p->url == NULL) == (p->unix_path == NULL) ||
	    (p->url != NULL && p->url->tls && p->tls == NULL) ||
	    (p->proxy != NULL && (p->url == NULL || !p->url->tls))) {
		error_set(
			err, ERR_USAGE,
			"a client needs a URL or a socket path, trust for https, and a proxy for https only");
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->stream = STREAM_INIT;
	c->connect_ms = p->connect_ms > 0 ? p->connect_ms : CONNECT_MS;
	c->stall_ms = p->stall_ms > 0 ? p->stall_ms : STALL_MS;
	c->min_rate = p->min_rate > 0 ? p->min_rate : MIN_RATE;
	c->cancel_fd = p->cancel_fd;
	c->user_agent = p->user_agent != NULL ? p->user_agent : "meshanics/" MESHANICS_VERSION;
	c->peer_ca = BUF_INIT(TLS_CERT_LEN_MAX);
	if (p->proxy != NULL) {
		c->has_proxy = true;
		c->proxy = *p->proxy;
	}
	if (p->url != NULL) {
		c->url = *p->url;
		if (c->url.tls)
			c->tls = tls_config_ref(p->tls);
		url_put_authority(&text, &c->url, false);
		snprintf(c->authority, sizeof(c->authority), "%s", buf_cstr(&text));
		snprintf(c->origin, sizeof(c->origin), "%s://%s", c->url.tls ? "https" : "http",
			 c->authority);
	} else {
		c->unix_path = xstrdup(p->unix_path);
		snprintf(c->authority, sizeof(c->authority), "localhost");
		snprintf(c->origin, sizeof(c->origin), "unix:%.200s", p->unix_path);
	}
	buf_release(&text);
	return c;
}

void client_disconnect(struct client *c)
{
	c->received += c->stream.received;
	c->stream.received = 0;
	stream_close(&c->stream);
	buf_release(&c->in);
}

uint64_t client_received(const struct client *c)
{
	return c->received + c->stream.received;
}

void client_reset(struct client *c)
{
	client_disconnect(c);
	tls_session_wipe(&c->session);
}

void client_free(struct client *c)
{
	if (c == NULL)
		return;
	client_reset(c);
	tls_config_free(c->tls);
	buf_release(&c->peer_ca);
	free(c->unix_path);
	explicit_bzero(&c->proxy, sizeof(c->proxy));
	free(c);
}

enum client_phase client_phase(const struct client *c)
{
	return c->phase;
}

struct slice client_peer_ca(const struct client *c)
{
	return buf_slice(&c->peer_ca);
}

/* ---- opening ---- */

static int open_tcp(struct client *c, const struct dial *d, struct error *err)
{
	const struct url *first = c->has_proxy ? &c->proxy : &c->url;
	struct sockaddr_storage addresses[DIAL_ADDRESSES_MAX];
	size_t count;
	int fd;

	c->phase = CLIENT_RESOLVE;
	if (dial_resolve(d, first->host, first->host_kind, first->port, addresses, &count, err) < 0)
		return -1;
	c->phase = CLIENT_CONNECT;
	if ((fd = dial_tcp(d, addresses, count, err)) < 0 || !c->has_proxy)
		return fd;
	c->phase = CLIENT_PROXY;
	if (dial_tunnel(d, fd, &c->proxy, &c->url, err) < 0) {
		close(fd);
		return error_wrap(err, "proxy %s:%u", c->proxy.host, c->proxy.port);
	}
	return fd;
}

static int handshake(struct client *c, const struct dial *d, struct error *err)
{
	int r;

	while ((r = stream_handshake(&c->stream, err)) == STREAM_BLOCKED)
		if (dial_wait(d, c->stream.fd, (short)c->stream.wait, err) < 0)
			return -1;
	if (r < 0)
		return -1;
	tls_session_get(c->stream.tls, &c->session);
	if (tls_peer_ca(c->stream.tls).len > 0) {
		buf_clear(&c->peer_ca);
		buf_put_slice(&c->peer_ca, tls_peer_ca(c->stream.tls));
	}
	return 0;
}

static int client_open(struct client *c, int64_t now_s, int64_t request_deadline_ms,
		       struct error *err)
{
	struct dial d = {.deadline_ms = clock_mono_ms() + c->connect_ms, .cancel_fd = c->cancel_fd};
	struct tls *tls = NULL;
	int fd;

	if (request_deadline_ms < d.deadline_ms)
		d.deadline_ms = request_deadline_ms;
	c->phase = CLIENT_CONNECT;
	fd = c->unix_path != NULL ? dial_unix(c->unix_path, err) : open_tcp(c, &d, err);
	if (fd < 0)
		return -1;
	if (c->tls != NULL) {
		c->phase = CLIENT_TLS;
		tls = tls_connect(c->tls, c->url.host, now_s, &c->session, err);
		if (tls == NULL) {
			close(fd);
			return -1;
		}
	}
	stream_open(&c->stream, fd, tls);
	c->in = BUF_INIT(HTTP_HEAD_MAX + CLIENT_READ_CHUNK);
	if (tls != NULL && handshake(c, &d, err) < 0) {
		client_disconnect(c);
		tls_session_wipe(&c->session);
		return -1;
	}
	return 0;
}

/* A kept connection on which the server has said anything (goodbye, most of all) is of no use. */
static bool is_stale(const struct client *c)
{
	struct pollfd p = {.fd = c->stream.fd, .events = POLLIN | POLLRDHUP};

	return poll(&p, 1, 0) != 0;
}

/* ---- the whole ---- */

void client_response_release(struct client_response *r)
{
	buf_release(&r->head_bytes);
	buf_release(&r->body);
	r->status = 0;
	r->body_len = 0;
}

void client_response_clear(struct client_response *r)
{
	client_response_release(r);
	r->head_bytes = BUF_INIT(HTTP_HEAD_MAX);
	r->retry_after_s = -1;
}

static const char *phase_word(enum client_phase phase)
{
	switch (phase) {
	case CLIENT_RESOLVE:
		return "name";
	case CLIENT_CONNECT:
	case CLIENT_PROXY:
		return "connection";
	case CLIENT_TLS:
		return "TLS";
	case CLIENT_SEND:
		return "request";
	case CLIENT_RESPONSE:
	case CLIENT_IDLE:
		break;
	}
	return "answer";
}

static bool is_idempotent(const struct client_request *q)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(q->method, methods[i]) == 0)
			return true;
	return q->idempotent;
}

int client_do(struct client *c, const struct client_request *q, struct client_response *r,
	      struct error *err)
{
	struct attempt a = {.c = c, .q = q, .r = r};
	bool kept;
	int result;

	client_response_clear(r);
	a.deadline_ms = q->timeout_ms > 0 ? clock_mono_ms() + q->timeout_ms : INT64_MAX;
	do {
		if (c->stream.fd >= 0 && is_stale(c))
			client_disconnect(c);
		kept = c->stream.fd >= 0;
		result = kept ? 0 : client_open(c, q->now_s, a.deadline_ms, err);
		if (result == 0)
			result = attempt_run(&a, err);
		/* The kept connection was closed under our hands: once more, on a new one. */
	} while (result < 0 && kept && !a.answered && !a.gave_up && err->kind == ERR_RETRY &&
		 is_idempotent(q));
	if (result == 0) {
		c->phase = CLIENT_IDLE;
		return 0;
	}
	return a.own_error ? -1 : error_wrap(err, "%s: %s", c->origin, phase_word(c->phase));
}
