/*
 * One request on an open connection. Each wait ends with the nearest of three deadlines: no progress, too slow
 * on the whole, the request's own.
 */
#include <poll.h>
#include <stdio.h>

#include "net/client_internal.h"
#include "net/dial.h"
#include "sys/clock.h"

/* Of a body that explains a status: enough for any error message. */
#define PLAIN_BODY_MAX 65536
#define INTERIM_MAX 8	    /* 1xx answers before the real one */
#define LATE_ANSWER_MS 1000 /* for an answer after the connection broke while sending */

/* ---- waiting ---- */

static void io_begin(struct attempt *a)
{
	a->wire_seen = a->c->stream.received;
	a->io_last_ms = a->stretch_ms = clock_mono_ms();
	a->stretch_bytes = 0;
}

static void io_progress(struct attempt *a, uint64_t n)
{
	a->io_last_ms = clock_mono_ms();
	a->stretch_bytes += n;
}

/*
 * What came on the wire is progress, though it be no plain byte yet: at 100 bytes a second a record of 16 KiB takes
 * three minutes, and a connection that is given up in the middle of it has to begin it again.
 */
static void io_received(struct attempt *a)
{
	uint64_t n = a->c->stream.received - a->wire_seen;

	if (n == 0)
		return;
	a->wire_seen += n;
	io_progress(a, n);
}

/*
 * When the far end will have been too slow. Stretch by stretch, so that an hour at full speed does not buy weeks of one
 * byte a minute.
 */
static int64_t slow_at_ms(struct attempt *a)
{
	const struct client *c = a->c;
	uint64_t need = c->min_rate * (uint64_t)c->stall_ms / 1000;

	if (a->stretch_bytes >= need) {
		if (clock_mono_ms() - a->stretch_ms < c->stall_ms)
			return INT64_MAX;
		a->stretch_ms = clock_mono_ms();
		a->stretch_bytes = 0;
	}
	return a->stretch_ms + c->stall_ms;
}

/* Wait for the stream, as long as progress, rate and the request's deadline allow. */
static int io_wait(struct attempt *a, short events, struct error *err)
{
	const struct client *c = a->c;
	int64_t stall = a->io_last_ms + c->stall_ms;
	int64_t slow = slow_at_ms(a);
	struct dial d = {.deadline_ms = stall < slow ? stall : slow, .cancel_fd = c->cancel_fd};
	bool whole = a->deadline_ms <= d.deadline_ms;

	if (whole)
		d.deadline_ms = a->deadline_ms;
	if (dial_wait(&d, c->stream.fd, events, err) == 0)
		return 0;
	a->gave_up = true;
	if (clock_mono_ms() < d.deadline_ms)
		return -1;
	if (whole)
		return error_set(err, ERR_RETRY, "the request took longer than it may");
	if (stall <= slow)
		return error_set(err, ERR_RETRY, "nothing moved for %lld s",
				 (long long)(c->stall_ms / 1000));
	return error_set(err, ERR_RETRY, "slower than %llu bytes per second",
			 (unsigned long long)c->min_rate);
}

/* ---- sending ---- */

static void put_head(const struct attempt *a, struct buf *out)
{
	const struct client_request *q = a->q;
	uint64_t len = q->body_fd >= 0 ? q->body_fd_len : q->body.len;
	size_t i;

	http_put_request(out, q->method, q->target, a->c->authority);
	if (a->c->user_agent[0] != '\0')
		http_put_header(out, "User-Agent", slice_str(a->c->user_agent));
	for (i = 0; i < q->header_count; i++) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(q->headers[i].name));
		http_put_header(out, name, q->headers[i].value);
	}
	if (q->content_type != NULL)
		http_put_header(out, "Content-Type", slice_str(q->content_type));
	if (len > 0 || (strcmp(q->method, "GET") != 0 && strcmp(q->method, "HEAD") != 0))
		http_put_header_u64(out, "Content-Length", len);
	http_put_end(out);
}

static int read_some(struct attempt *a, struct error *err);

/*
 * The server speaks before it has heard all: an interim answer is dropped, a final one ends the sending.
 * 1 final head is there, 0 go on sending, -1.
 */
static int early_answer(struct attempt *a, struct error *err)
{
	struct client *c = a->c;
	struct http_head h;
	size_t scanned = 0, n;
	ssize_t got = stream_read(&c->stream, &c->in, CLIENT_READ_CHUNK, err);

	if (got == STREAM_BLOCKED)
		return 0;
	if (got <= 0)
		return got < 0 ? -1 : error_set(err, ERR_RETRY, "the server closed the connection");
	a->answered = true;
	while ((n = http_head_length(buf_slice(&c->in), &scanned)) == 0) {
		if (c->in.len >= HTTP_HEAD_MAX)
			return 1; /* the reader of answers will refuse it */
		if (read_some(a, err) < 0)
			return -1;
	}
	if (http_response_parse(&h, slice_of(c->in.ptr, n), a->q->method, err) < 0)
		return -1;
	if (h.status >= 200)
		return 1;
	buf_consume(&c->in, n);
	return 0;
}

/* The stream cannot take more: wait until it can, or the server answers. 1: it has answered. */
static int wait_writable(struct attempt *a, struct error *err)
{
	struct pollfd p = {.fd = a->c->stream.fd, .events = POLLIN};

	if (io_wait(a, POLLIN | POLLOUT, err) < 0)
		return -1;
	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN) ? early_answer(a, err) : 0;
}

/* 0 all taken, 1 answered early, -1. */
static int send_slice(struct attempt *a, struct slice s, struct error *err)
{
	while (s.len > 0) {
		ssize_t n = stream_write(&a->c->stream, s, err);
		int r = 0;

		if (n == STREAM_BLOCKED)
			r = wait_writable(a, err);
		else if (n < 0)
			return -1;
		if (r != 0)
			return r;
		if (n > 0) {
			io_progress(a, (size_t)n);
			s = slice_of(s.ptr + n, s.len - (size_t)n);
		}
	}
	return 0;
}

static int send_file(struct attempt *a, struct error *err)
{
	const struct client_request *q = a->q;
	uint64_t at = 0;

	while (at < q->body_fd_len) {
		ssize_t n = stream_write_file(&a->c->stream, q->body_fd, q->body_fd_offset + at,
					      q->body_fd_len - at, err);
		int r = 0;

		if (n == STREAM_BLOCKED)
			r = wait_writable(a, err);
		else if (n < 0)
			return -1;
		else if (n == 0)
			return error_set(err, ERR_FAILED,
					 "the file became shorter while it was sent");
		if (r != 0)
			return r;
		if (n > 0) {
			io_progress(a, (size_t)n);
			at += (uint64_t)n;
		}
	}
	return 0;
}

static int flush(struct attempt *a, struct error *err)
{
	int r;

	while ((r = stream_flush(&a->c->stream, err)) == STREAM_BLOCKED) {
		r = wait_writable(a, err);
		if (r != 0)
			return r;
	}
	return r < 0 ? -1 : 0;
}

static int send_request(struct attempt *a, struct error *err)
{
	const struct client_request *q = a->q;
	struct buf head = BUF_SECRET(HTTP_HEAD_MAX); /* tokens travel in it */
	struct slice rest;
	ssize_t n = 0;
	int r;

	put_head(a, &head);
	if (head.failed) {
		buf_release(&head);
		return error_set(
			err, ERR_USAGE,
			"the request's head is longer than %d bytes or has bytes that do not belong there",
			HTTP_HEAD_MAX);
	}
	rest = buf_slice(&head);
	if (q->pass_fd_count > 0 &&
	    (n = stream_send_fds(&a->c->stream, rest, q->pass_fds, q->pass_fd_count, err)) > 0)
		rest = slice_of(rest.ptr + n, rest.len - (size_t)n);
	r = n < 0 ? -1 : send_slice(a, rest, err);
	buf_release(&head);
	if (r == 0)
		r = q->body_fd >= 0 ? send_file(a, err) : send_slice(a, q->body, err);
	if (r == 0)
		r = flush(a, err);
	a->sent = r == 0;
	return r < 0 ? -1 : 0;
}

/* ---- receiving ---- */

/* At least one more byte into c->in. The end of the stream is an error here. */
static int read_some(struct attempt *a, struct error *err)
{
	struct client *c = a->c;
	ssize_t n;

	while ((n = stream_read(&c->stream, &c->in, CLIENT_READ_CHUNK, err)) == STREAM_BLOCKED) {
		io_received(a);
		if (io_wait(a, (short)c->stream.wait, err) < 0)
			return -1;
	}
	io_received(a);
	if (n == 0)
		return error_set(err, ERR_RETRY,
				 a->answered
					 ? "the server cut its answer short"
					 : "the server closed the connection without an answer");
	if (n < 0)
		return -1;
	a->answered = true;
	return 0;
}

/* The final head into r->head_bytes, parsed. */
static int read_head(struct attempt *a, struct error *err)
{
	struct client *c = a->c;
	struct client_response *r = a->r;
	size_t n, scanned;
	int interim;

	for (interim = 0; interim < INTERIM_MAX; interim++) {
		scanned = 0;
		while ((n = http_head_length(buf_slice(&c->in), &scanned)) == 0) {
			if (c->in.len >= HTTP_HEAD_MAX)
				return error_set(err, ERR_LIMIT,
						 "head of the answer is longer than %d bytes",
						 HTTP_HEAD_MAX);
			if (read_some(a, err) < 0)
				return -1;
		}
		buf_clear(&r->head_bytes);
		buf_put(&r->head_bytes, c->in.ptr, n);
		buf_consume(&c->in, n);
		if (http_response_parse(&r->head, buf_slice(&r->head_bytes), a->q->method, err) < 0)
			return -1;
		if (r->head.status >= 200)
			return 0;
		if (r->head.status == 101)
			break;
	}
	return error_set(err, ERR_MALFORMED, "the answer is not a final one");
}

static int too_large(uint64_t max, struct error *err)
{
	return error_set(err, ERR_LIMIT, "body of the answer is larger than %llu bytes",
			 (unsigned long long)max);
}

/* 0 taken, 1 enough of it, -1. */
static int take_part(struct attempt *a, struct slice part, struct error *err)
{
	const struct client_request *q = a->q;
	struct client_response *r = a->r;
	int64_t start_ms;

	r->body_len += part.len;
	if (r->status / 100 != 2) { /* an explanation, for which a part will do */
		if (part.len > r->body.max - r->body.len)
			part.len = r->body.max - r->body.len;
		buf_put_slice(&r->body, part);
		return r->body.len == r->body.max;
	}
	if (r->body_len > q->body_max)
		return too_large(q->body_max, err);
	if (q->sink == NULL) {
		buf_put_slice(&r->body, part);
		return 0;
	}
	start_ms = clock_mono_ms();
	if (q->sink(q->sink_arg, &r->head, part, err) < 0) {
		a->own_error = true;
		return -1;
	}
	/* What the sink took is not the far end's time. */
	a->stretch_ms += clock_mono_ms() - start_ms;
	a->io_last_ms = clock_mono_ms();
	return 0;
}

/* 0 complete, 1 given up on the rest (an error page of no interest), -1. */
static int read_body(struct attempt *a, struct error *err)
{
	struct client *c = a->c;
	struct client_response *r = a->r;
	bool good = r->status / 100 == 2;
	struct http_body b;
	struct slice in, part;
	int taken;

	if (http_body_start(&b, &r->head, err) < 0)
		return -1;
	if (good && b.left > a->q->body_max)
		return too_large(a->q->body_max, err);
	r->body = BUF_INIT(good && a->q->sink == NULL ? a->q->body_max : PLAIN_BODY_MAX);
	while (b.state != HTTP_BODY_DONE) {
		if (c->in.len == 0 && read_some(a, err) < 0)
			return -1;
		in = buf_slice(&c->in);
		do {
			if (http_body_next(&b, &in, &part, err) < 0)
				return -1;
			if (part.len > 0 && (taken = take_part(a, part, err)) != 0)
				return taken;
		} while (part.len > 0);
		buf_consume(&c->in, c->in.len - in.len);
	}
	return 0;
}

static int receive(struct attempt *a, struct error *err)
{
	struct client_response *r = a->r;
	int rest;

	if (read_head(a, err) < 0)
		return -1;
	r->status = r->head.status;
	r->retry_after_s = http_retry_after(&r->head);
	if (a->q->head_only) {
		client_disconnect(a->c);
		return 0;
	}
	rest = read_body(a, err);
	if (rest < 0)
		return -1;
	if (rest > 0 || !a->sent || !r->head.keep_alive || a->c->in.len > 0)
		client_disconnect(a->c);
	return 0;
}

/* ---- the whole ---- */

int attempt_run(struct attempt *a, struct error *err)
{
	struct client *c = a->c;
	struct error sending = ERROR_INIT;
	int64_t deadline_ms = a->deadline_ms;
	int r;

	client_response_clear(a->r);
	c->phase = CLIENT_SEND;
	io_begin(a);
	r = send_request(a, &sending);
	c->phase = r == 0 ? CLIENT_RESPONSE : CLIENT_SEND;
	io_begin(a);
	/* A server that refuses a body may close while it is sent, its answer already on the way. */
	if (r == 0 || sending.kind == ERR_RETRY) {
		if (r < 0 && deadline_ms - LATE_ANSWER_MS > clock_mono_ms())
			a->deadline_ms = clock_mono_ms() + LATE_ANSWER_MS;
		if (receive(a, err) == 0)
			return 0;
		a->deadline_ms = deadline_ms;
	}
	if (r < 0)
		*err = sending;
	client_disconnect(c);
	return -1;
}
