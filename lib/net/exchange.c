/* One request and its reply: what handlers see and what they may say. */
#include <assert.h>
#include <unistd.h>

#include "base/json.h"
#include "net/server_internal.h"

/* ---- replies ---- */

void reply_header(struct reply *r, const char *name, struct slice value)
{
	http_put_header(&r->headers, name, value);
}

void reply_text(struct reply *r, const char *content_type, const char *text)
{
	r->content_type = content_type;
	buf_put_str(&r->body, text);
}

void reply_error(struct reply *r, int status, const char *code, const char *message)
{
	struct json_writer w = JSON_WRITER(&r->body);

	r->status = status;
	r->content_type = "application/json";
	buf_clear(&r->body);
	json_open_object(&w, NULL);
	json_open_object(&w, "error");
	json_put_string(&w, "code", code);
	json_put_string(&w, "message", message);
	json_close(&w);
	json_close(&w);
}

void reply_release(struct reply *r)
{
	buf_release(&r->body);
	buf_release(&r->headers);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Leaves *r as if released: what it held is the result's. */
static struct reply reply_take(struct reply *r)
{
	struct reply taken = *r;

	*r = REPLY_INIT(r->status);
	return taken;
}

/* ---- requests in progress ---- */

struct work *work_new(struct conn *c, struct buf *bytes)
{
	struct work *w = xmalloc(sizeof(*w));
	size_t i;

	/* The headers of x.head are filled by the parser; 2 KB that need no zeros. */
	memset(w, 0, offsetof(struct work, x.head.headers));
	memset((char *)w + offsetof(struct work, x.peer), 0,
	       sizeof(*w) - offsetof(struct work, x.peer));
	w->id = ++c->server->next_id;
	w->head_bytes = *bytes;
	*bytes = BUF_INIT(0);
	w->reply = REPLY_INIT(0);
	w->out = BUF_INIT(HTTP_HEAD_MAX);
	w->x.peer = &c->peer;
	w->x.arg = c->listener->arg;
	w->x.kept = &c->kept;
	for (i = 0; i < SERVER_FDS_MAX; i++) {
		w->x.fds[i] = c->stream.fds[i];
		c->stream.fds[i] = -1;
	}
	return w;
}

void work_free(struct work *w)
{
	size_t i;
	struct conn *c;

	if (w == NULL)
		return;
	c = container_of(w->x.peer, struct conn, peer);
	if (w->begun && c->listener->handler->end != NULL)
		c->listener->handler->end(&w->x);
	for (i = 0; i < SERVER_FDS_MAX; i++)
		if (w->x.fds[i] >= 0)
			close(w->x.fds[i]);
	buf_release(&w->head_bytes);
	buf_release(&w->body_bytes);
	buf_release(&w->out);
	reply_release(&w->reply);
	free(w);
}

static struct conn *conn_of(const struct exchange *x)
{
	return container_of(x->peer, struct conn, peer);
}

void exchange_take_body(struct exchange *x, size_t cap)
{
	struct work *w = work_of(x);

	w->mode = BODY_BUFFER;
	w->body_cap = cap;
	w->body_bytes = BUF_INIT(cap);
}

void exchange_sink_body(struct exchange *x, uint64_t cap,
			int (*sink)(struct exchange *x, struct slice part))
{
	struct work *w = work_of(x);

	w->mode = BODY_SINK;
	w->body_cap = cap;
	w->sink = sink;
}

/* A reply that cannot be written as it stands becomes a 500: a bug of ours, seen by whoever asked. */
static void check_reply(struct reply *r)
{
	if (!r->body.failed && !r->headers.failed)
		return;
	reply_release(r);
	*r = REPLY_INIT(500);
	reply_error(r, 500, "failed", "the answer passed its own limits");
}

void exchange_reply(struct exchange *x, struct reply *r)
{
	struct work *w = work_of(x);
	struct conn *c = conn_of(x);

	assert(!w->replied && r->status >= 200);
	w->reply = reply_take(r);
	check_reply(&w->reply);
	w->replied = true;
	/* Outside conn_run the connection goes on in this turn of the loop, not in the caller's stack. */
	if (!c->running)
		loop_watch_deadline(&c->watch, loop_now_ms(c->server->loop));
}

void exchange_vouch(struct exchange *x)
{
	room_know(conn_of(x));
}

struct exchange_token exchange_token(const struct exchange *x)
{
	struct conn *c = conn_of(x);

	return (struct exchange_token){c->server, c->slot, c->work->id};
}

struct exchange *exchange_find(struct exchange_token token)
{
	struct server *s = token.server;
	struct conn *c = token.slot < s->slot_count ? s->slots[token.slot] : NULL;

	if (c == NULL || c->work == NULL || c->work->id != token.id || c->work->replied)
		return NULL;
	return &c->work->x;
}

struct posted {
	struct post post;
	struct exchange_token token;
	struct reply reply;
};

static void posted_run(struct post *p)
{
	struct posted *d = container_of(p, struct posted, post);
	struct exchange *x = exchange_find(d->token);

	if (x != NULL)
		exchange_reply(x, &d->reply);
	reply_release(&d->reply);
	free(d);
}

void reply_post(struct exchange_token token, struct reply *r)
{
	struct posted *d = xcalloc(1, sizeof(*d));

	d->post.run = posted_run;
	d->token = token;
	d->reply = reply_take(r);
	loop_post(token.server->loop, &d->post);
}

/* ---- the reply's head ---- */

void work_reply_head(struct conn *c, struct work *w)
{
	const struct reply *r = &w->reply;
	uint64_t length = r->fd >= 0 ? r->fd_len : r->body.len;
	bool bare = r->status == 204 || r->status == 304;

	buf_clear(&w->out);
	w->out_at = 0;
	w->head_made = true;
	w->no_body = bare || slice_equal_str(w->x.head.method, "HEAD");
	http_put_status(&w->out, r->status);
	if (r->content_type != NULL)
		http_put_header(&w->out, "Content-Type", slice_str(r->content_type));
	if (!bare)
		http_put_header_u64(&w->out, "Content-Length", length);
	if (c->close)
		http_put_header(&w->out, "Connection", SLICE_LIT("close"));
	buf_put_slice(&w->out, buf_slice(&r->headers));
	http_put_end(&w->out);
	assert(!w->out.failed); /* reply headers have a ceiling of half of it */
}
