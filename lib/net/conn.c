/*
 * A connection's life: the states of server_internal.h, each a step that returns GO (look again), WAIT (for
 * the stream or a reply) or DEAD.
 */
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net/server_internal.h"

enum step { GO, WAIT, DEAD };

#define READ_CHUNK 16384
#define LINGER_MS 2000
/* Steps of one turn: a client that pipelines or downloads fast must not keep the others waiting. */
#define STEPS_PER_TURN 16
#define STEP_BYTES 65536 /* of a file reply */

static int64_t now_ms(const struct conn *c)
{
	return loop_now_ms(c->server->loop);
}

/* The only writer of c->state. Sets the state's deadline and the connection's place. */
static void conn_enter(struct conn *c, enum conn_state next)
{
	const struct server_limits *l = &c->server->limits;

	c->state = next;
	room_settle(c);
	c->io_start_ms = now_ms(c);
	c->io_bytes = 0;
	switch (next) {
	case CONN_HANDSHAKE:
		c->deadline_ms = now_ms(c) + l->handshake_ms;
		break;
	case CONN_IDLE:
		c->deadline_ms = now_ms(c) + l->idle_ms;
		break;
	case CONN_HEAD:
		c->deadline_ms = now_ms(c) + l->head_ms;
		break;
	case CONN_BODY:
	case CONN_REPLY:
		c->deadline_ms = now_ms(c) + l->stall_ms;
		break;
	case CONN_WORK:
		c->deadline_ms = LOOP_NEVER;
		break;
	case CONN_LINGER:
		c->deadline_ms = now_ms(c) + LINGER_MS;
		break;
	}
}

/* Bytes have moved: the deadline is the sooner of "no progress" and "too slow on the whole". */
static void progress(struct conn *c, size_t n)
{
	const struct server_limits *l = &c->server->limits;
	int64_t stall = now_ms(c) + l->stall_ms, slow;

	c->io_bytes += n;
	slow = c->io_start_ms + l->stall_ms + (int64_t)(c->io_bytes / l->min_rate) * 1000;
	c->deadline_ms = stall < slow ? stall : slow;
}

/* ---- refusals of our own ---- */

/* Answer without a handler (or instead of one that has not answered) and close. */
static enum step answer(struct conn *c, int status, const char *code, const char *message)
{
	struct reply r = REPLY_INIT(status);
	struct buf none = BUF_INIT(0);

	if (c->work == NULL)
		c->work = work_new(c, &none);
	reply_error(&r, status, code, message);
	c->close = true;
	exchange_reply(&c->work->x, &r);
	conn_enter(c, CONN_REPLY);
	return GO;
}

static enum step bad_request(struct conn *c, int status, const struct error *err)
{
	c->server->stats.bad_requests++;
	return answer(c, status, error_kind_name(err->kind), err->text);
}

/* A refused certificate is news to the operator, noise of scanners is not. At most ten lines a second. */
static void handshake_failed(struct conn *c, const struct error *err)
{
	struct server *s = c->server;

	s->stats.handshakes_failed++;
	if (now_ms(c) < s->log_after_ms)
		return;
	s->log_after_ms = now_ms(c) + 100;
	log_event(err->kind == ERR_REFUSED ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "tls.failed",
		  "peer=%s error=%s", c->peer.address, err->text);
}

/* ---- steps ---- */

static enum step step_handshake(struct conn *c)
{
	struct error err = ERROR_INIT;
	const struct listener *l = c->listener;
	int r;

	/* Only now, so that a client that never says a byte costs no engine. */
	if (l->tls != NULL && c->stream.tls == NULL)
		c->stream.tls = tls_accept(l->tls, c->server->now_s(), c->server->buffers);
	c->stream.sent = false;
	r = stream_handshake(&c->stream, &err);
	if (r == STREAM_BLOCKED) {
		/* What we answer is a step forwards; single bytes that trickle in are none. */
		if (c->stream.sent)
			room_settle(c);
		return WAIT;
	}
	if (r < 0) {
		handshake_failed(c, &err);
		stream_shutdown(&c->stream);
		conn_enter(c, CONN_LINGER); /* so that an alert arrives */
		return GO;
	}
	if (c->stream.tls != NULL) {
		c->peer.tls = *tls_peer(c->stream.tls);
		if (c->peer.tls.resumed)
			c->server->stats.resumed++;
		if (c->peer.tls.present)
			room_know(c);
	}
	conn_enter(c, CONN_IDLE);
	return GO;
}

/* Read up to READ_CHUNK more into c->in. GO when some came. */
static enum step read_more(struct conn *c)
{
	struct error err = ERROR_INIT;
	ssize_t n;

	c->in.max = c->in.len + READ_CHUNK;
	n = stream_read(&c->stream, &c->in, READ_CHUNK, &err);
	if (n == STREAM_BLOCKED)
		return WAIT;
	return n > 0 ? GO : DEAD;
}

/* Between two requests, with nothing of the next one here: what is held for reading goes back. */
static enum step rest(struct conn *c)
{
	buf_release(&c->in);
	stream_rest(&c->stream);
	return WAIT;
}

static enum step step_idle(struct conn *c)
{
	enum step s;

	if (c->in.len == 0) {
		if (c->close || c->server->draining)
			return DEAD;
		s = read_more(c);
		if (s != GO)
			return s == WAIT && c->in.len == 0 ? rest(c) : s;
	}
	c->scanned = 0;
	conn_enter(c, CONN_HEAD);
	return GO;
}

/* The first n bytes of c->in become the request in progress; the rest is its body, or the next one. */
static void split_head(struct conn *c, size_t n)
{
	struct buf head = BUF_INIT(HTTP_HEAD_MAX);

	buf_put(&head, c->in.ptr, n);
	buf_consume(&c->in, n);
	c->work = work_new(c, &head);
}

/* The handler has seen the head. Decide whether its body may come. */
static enum step start_body(struct conn *c)
{
	struct work *w = c->work;
	struct error err = ERROR_INIT;
	int r = http_body_start(&w->body, &w->x.head, &err);

	assert(r == 0); /* every request's body has an end */
	(void)r;
	if (w->body.left > w->body_cap)
		return answer(c, 413, "limit", "the body is larger than this request may have");
	if (w->x.head.expect_continue && w->body.left > 0 && c->in.len == 0) {
		http_put_status(&w->out, 100);
		http_put_end(&w->out);
	}
	conn_enter(c, CONN_BODY);
	return GO;
}

static enum step step_head(struct conn *c)
{
	struct error err = ERROR_INIT;
	size_t n = http_head_length(buf_slice(&c->in), &c->scanned);
	struct work *w;
	int status;

	if (n == 0 && c->in.len >= HTTP_HEAD_MAX) {
		error_set(&err, ERR_LIMIT, "head is longer than %d bytes", HTTP_HEAD_MAX);
		return bad_request(c, 431, &err);
	}
	if (n == 0)
		return read_more(c);
	split_head(c, n);
	w = c->work;
	if (http_request_parse(&w->x.head, buf_slice(&w->head_bytes), &status, &err) < 0)
		return bad_request(c, status, &err);
	c->server->stats.requests++;
	if (!w->x.head.keep_alive || c->server->draining)
		c->close = true;
	w->begun = true;
	c->listener->handler->begin(&w->x);
	if (!w->replied)
		return start_body(c);
	/* Its body is not read, so what follows it cannot be found. */
	if (w->x.head.content_length > 0)
		c->close = true;
	conn_enter(c, CONN_REPLY);
	return GO;
}

/* Send what is in w->out. GO when all of it is on its way. */
static enum step send_out(struct conn *c)
{
	struct work *w = c->work;
	struct error err = ERROR_INIT;
	ssize_t n;

	while (w->out_at < w->out.len) {
		n = stream_write(&c->stream,
				 slice_of(w->out.ptr + w->out_at, w->out.len - w->out_at), &err);
		if (n < 0)
			return n == STREAM_BLOCKED ? WAIT : DEAD;
		w->out_at += (size_t)n;
		progress(c, (size_t)n);
	}
	return GO;
}

static enum step flush(struct conn *c)
{
	struct error err = ERROR_INIT;
	int r = stream_flush(&c->stream, &err);

	return r == 1 ? GO : r == STREAM_BLOCKED ? WAIT : DEAD;
}

/* Hand one run of body bytes to where the handler wants them. */
static void take_part(struct conn *c, struct slice part)
{
	struct work *w = c->work;

	progress(c, part.len);
	if (w->mode == BODY_BUFFER)
		buf_put_slice(&w->body_bytes, part);
	else if (w->sink(&w->x, part) < 0)
		assert(w->replied);
}

/* Use up what is in c->in for the body. */
static void take_body(struct conn *c)
{
	struct work *w = c->work;
	struct slice in = buf_slice(&c->in), part;
	struct error err = ERROR_INIT;
	int r;

	while (in.len > 0 && w->body.state != HTTP_BODY_DONE && !w->replied) {
		r = http_body_next(&w->body, &in, &part, &err);
		assert(r == 0); /* requests are framed by length alone */
		(void)r;
		if (part.len > 0)
			take_part(c, part);
	}
	buf_consume(&c->in, c->in.len - in.len);
}

static enum step step_body(struct conn *c)
{
	struct work *w = c->work;
	enum step s = send_out(c); /* "100 Continue" */

	if (s == GO)
		s = flush(c);
	if (s != GO)
		return s;
	take_body(c);
	if (w->replied) {
		if (w->body.state != HTTP_BODY_DONE)
			c->close = true;
		conn_enter(c, CONN_REPLY);
		return GO;
	}
	if (w->body.state != HTTP_BODY_DONE)
		return read_more(c);
	w->x.body = buf_slice(&w->body_bytes);
	conn_enter(c, CONN_WORK);
	c->listener->handler->ready(&w->x);
	return GO;
}

/* Nothing moves until the reply is there; then it goes out. */
static enum step step_work(struct conn *c)
{
	if (!c->work->replied)
		return WAIT;
	conn_enter(c, CONN_REPLY);
	return GO;
}

static enum step send_body(struct conn *c)
{
	struct work *w = c->work;
	const struct reply *r = &w->reply;
	struct error err = ERROR_INIT;
	ssize_t n;

	if (w->no_body)
		return GO;
	while (r->fd < 0 && w->body_at < r->body.len) {
		n = stream_write(&c->stream,
				 slice_of(r->body.ptr + w->body_at, r->body.len - w->body_at),
				 &err);
		if (n < 0)
			return n == STREAM_BLOCKED ? WAIT : DEAD;
		w->body_at += (size_t)n;
		progress(c, (size_t)n);
	}
	while (r->fd >= 0 && w->file_at < r->fd_len) {
		n = stream_write_file(&c->stream, r->fd, r->fd_offset + w->file_at,
				      r->fd_len - w->file_at, &err);
		if (n <= 0) /* 0: the file shrank below what was promised */
			return n == STREAM_BLOCKED ? WAIT : DEAD;
		w->file_at += (uint64_t)n;
		progress(c, (size_t)n);
		if (w->file_at % STEP_BYTES < (uint64_t)n)
			return GO;
	}
	return GO;
}

static bool reply_sent(const struct work *w)
{
	return w->no_body ||
	       (w->reply.fd >= 0 ? w->file_at == w->reply.fd_len : w->body_at == w->reply.body.len);
}

static enum step step_reply(struct conn *c)
{
	struct work *w = c->work;
	enum step s;

	if (!w->head_made) {
		if (w->reply.close || c->server->draining)
			c->close = true;
		work_reply_head(c, w);
	}
	if ((s = send_out(c)) != GO || (s = send_body(c)) != GO)
		return s;
	if (!reply_sent(w))
		return GO;
	if ((s = flush(c)) != GO)
		return s;
	c->work = NULL;
	work_free(w);
	if (c->close) {
		stream_shutdown(&c->stream);
		conn_enter(c, CONN_LINGER);
		return GO;
	}
	conn_enter(c, CONN_IDLE);
	if (c->in.len > 0 || stream_pending(&c->stream) || c->server->draining)
		return GO;
	/* The client has to read the answer first: to look for its next request now would be in vain. */
	c->stream.wait = EPOLLIN;
	return rest(c);
}

/* RFC 9112 9.6: a close with unread bytes resets the connection and takes what we said last with it. */
static enum step step_linger(struct conn *c)
{
	uint8_t waste[4096];
	ssize_t n = recv(c->stream.fd, waste, sizeof(waste), MSG_DONTWAIT);

	if (n > 0)
		return GO;
	c->stream.wait = EPOLLIN;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? WAIT : DEAD;
}

static enum step conn_step(struct conn *c)
{
	switch (c->state) {
	case CONN_HANDSHAKE:
		return step_handshake(c);
	case CONN_IDLE:
		return step_idle(c);
	case CONN_HEAD:
		return step_head(c);
	case CONN_BODY:
		return step_body(c);
	case CONN_WORK:
		return step_work(c);
	case CONN_REPLY:
		return step_reply(c);
	case CONN_LINGER:
		return step_linger(c);
	}
	return DEAD;
}

void conn_run(struct conn *c)
{
	enum step s = GO;
	int budget = STEPS_PER_TURN;

	c->running = true;
	while (s == GO && budget-- > 0)
		s = conn_step(c);
	c->running = false;
	if (s == DEAD) {
		conn_free(c);
		return;
	}
	loop_watch_change(&c->watch, c->state == CONN_WORK ? 0 : c->stream.wait);
	/* Out of budget: at once again, after the others had their turn. */
	loop_watch_deadline(&c->watch, s == GO ? now_ms(c) : c->deadline_ms);
}

/* The state's deadline passed. Who is slow with a request is told so; who takes no answer is not. */
static void conn_timeout(struct conn *c)
{
	if (c->state != CONN_IDLE && c->state != CONN_LINGER)
		c->server->stats.timeouts++;
	if (c->state == CONN_HEAD ||
	    (c->state == CONN_BODY && c->work->out_at == c->work->out.len)) {
		c->running = true;
		answer(c, 408, "retry", "the request did not arrive in time");
		conn_run(c);
	} else {
		conn_free(c);
	}
}

void conn_ready(struct watch *watch, uint32_t revents)
{
	struct conn *c = container_of(watch, struct conn, watch);

	if (revents == 0 && now_ms(c) >= c->deadline_ms)
		conn_timeout(c);
	else if (c->state == CONN_WORK && (revents & (EPOLLHUP | EPOLLERR)))
		conn_free(c); /* nobody is left to answer */
	else if (c->state == CONN_HANDSHAKE && revents != 0)
		room_queue(c);
	else
		conn_run(c);
}

void conn_start(struct conn *c)
{
	conn_enter(c, CONN_HANDSHAKE);
	if (c->listener->tls == NULL)
		conn_run(c);
	else
		loop_watch_deadline(&c->watch, c->deadline_ms);
}

void conn_free(struct conn *c)
{
	struct work *w = c->work;

	c->running = true; /* a handler's end may still call exchange_reply */
	c->work = NULL;
	if (w != NULL) {
		w->replied = true;
		work_free(w);
	}
	if (c->kept != NULL && c->listener->handler->forget != NULL)
		c->listener->handler->forget(c->kept);
	server_unbook(c);
	loop_unwatch(&c->watch);
	stream_close(&c->stream);
	buf_release(&c->in);
	free(c);
}
