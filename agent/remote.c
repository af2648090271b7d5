/* The worker's requests to the control plane. */
#include "agent/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/blobs.h"
#include "agent/staged.h"
#include "control/api.h"
#include "net/client.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/engine.h"

#define PAYLOAD_MIN_RATE 64	/* bytes per second; slower is given up, and resumed later */

struct remote {
	struct client *client;
	struct tls_config *tls;
	struct url url;
	struct link_reply reply;	/* of the request under way */
	uint64_t before;		/* bytes received by earlier ones */
};

struct remote *remote_new(const struct identity *id, const char *base_url, const char *proxy, struct error *err)
{
	struct remote *r = xcalloc(1, sizeof(*r));
	struct client_params params = CLIENT_PARAMS_INIT;
	struct slice chain = buf_slice(&id->certificate), ca = buf_slice(&id->server_ca);
	struct tls_client_params tls = {
		.identity = {.chain = &chain, .chain_count = 1, .key = id->key},
		.cas = &ca,
		.ca_count = 1,
	};
	struct url proxy_url;

	r->reply = LINK_REPLY_INIT;
	params.url = &r->url;
	params.min_rate = PAYLOAD_MIN_RATE;
	params.user_agent = "";	/* every heartbeat would carry it, beside the version in its body */
	if (url_parse(&r->url, slice_str(base_url), URL_HTTPS | URL_BASE, err) < 0)
		goto fail;
	if (proxy != NULL) {
		if (url_parse(&proxy_url, slice_str(proxy), URL_HTTP | URL_USER | URL_BASE, err) < 0)
			goto fail;
		params.proxy = &proxy_url;
	}
	if ((r->tls = tls_config_client(&tls, err)) == NULL)
		goto fail;
	params.tls = r->tls;
	if ((r->client = client_new(&params, err)) == NULL)
		goto fail;
	return r;
fail:
	remote_free(r);
	return NULL;
}

void remote_free(struct remote *r)
{
	if (r == NULL)
		return;
	client_free(r->client);
	tls_config_free(r->tls);
	free(r);
}

/* ---- what comes along ---- */

static void request_begin(struct remote *r)
{
	r->reply = LINK_REPLY_INIT;
	r->before = client_received(r->client);
}

struct link_reply remote_reply(const struct remote *r)
{
	struct link_reply reply = r->reply;

	reply.received = client_received(r->client) - r->before;
	return reply;
}

/* The exchange came to nothing. Only a body longer than it may be, and from the server itself, is more than a bad way. */
static void from_network(const struct client_response *a, struct error *err)
{
	if (err->kind != ERR_LIMIT || a->status / 100 != 2)
		err->kind = ERR_RETRY;
}

/* The server answered with another status than was hoped for. -1. */
static int from_status(struct remote *r, const struct client_response *a, struct error *err)
{
	r->reply.status = (unsigned)a->status;
	r->reply.retry_after_s = a->retry_after_s;
	return api_read_error((unsigned)a->status, buf_slice(&a->body), err);
}

int remote_post(struct remote *r, const char *path, struct slice body, int64_t now_s, struct buf *answer,
		struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	int rc = -1;

	request_begin(r);
	q.method = "POST";
	q.target = path;
	q.now_s = now_s;
	q.timeout_ms = REMOTE_TIMEOUT_MS;
	q.body = body;
	q.body_max = REMOTE_ANSWER_MAX;
	q.idempotent = true;	/* device requests are: see man/meshanics-api.5 */
	if (client_do(r->client, &q, &a, err) < 0) {
		from_network(&a, err);
		goto out;
	}
	if (a.status >= 300) {
		from_status(r, &a, err);
		goto out;
	}
	buf_put_slice(answer, buf_slice(&a.body));
	rc = 0;
out:
	client_response_release(&a);
	return rc;
}

/* ---- metadata ---- */

struct metadata_sink {
	struct remote *remote;
	const struct remote_watcher *watcher;
	struct buf *out;
	int64_t said_ms;
};

static int metadata_part(void *arg, const struct http_head *head, struct slice part, struct error *err)
{
	struct metadata_sink *s = arg;

	(void)head;
	buf_put_slice(s->out, part);
	if (s->out->failed)
		return error_set(err, ERR_LIMIT, "it is larger than %zu bytes", s->out->max);
	if (clock_mono_ms() - s->said_ms >= 1000) {
		s->said_ms = clock_mono_ms();
		s->watcher->alive(s->watcher->arg, remote_reply(s->remote).received);
	}
	return 0;
}

/* GET one metadata file: as slow as the way is. 1: it is there; 0: there is none; -1. */
static int get_metadata(struct remote *r, const struct tuf_want *w, int64_t now_s, const struct remote_watcher *watcher,
			struct buf *out, struct error *err)
{
	struct metadata_sink sink = {.remote = r, .watcher = watcher, .out = out};
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	char target[TUF_URL_PATH_MAX + 16];
	int rc = -1;

	snprintf(target, sizeof(target), "/metadata/%s", w->path);
	q.method = "GET";
	q.target = target;
	q.now_s = now_s;
	q.body_max = w->max_len;
	q.sink = metadata_part;
	q.sink_arg = &sink;
	if (client_do(r->client, &q, &a, err) < 0) {
		from_network(&a, err);
		goto out;
	}
	if (a.status == 200) {
		rc = 1;
	} else if (a.status == 404) {	/* 403 is a refusal here: of our certificate */
		rc = 0;
	} else {
		from_status(r, &a, err);
	}
out:
	client_response_release(&a);
	return rc < 0 ? error_wrap(err, "metadata '%s'", w->path) : rc;
}

struct update_walk {
	struct remote *remote;
	struct tuf_client *client;
	const struct tuf_blob *stored;
	unsigned stored_count;
	int64_t now_s;
	struct buf *fetched;
	const struct remote_watcher *watcher;
};

static int serve_remote(struct update_walk *u, const struct tuf_want *w, struct error *err)
{
	struct buf bytes = BUF_INIT((size_t)w->max_len);
	struct error why = ERROR_INIT;
	int r = get_metadata(u->remote, w, u->now_s, u->watcher, &bytes, &why);

	if (r > 0) {
		blobs_put(u->fetched, slice_str(w->path), buf_slice(&bytes));
		r = u->fetched->failed ? error_set(err, ERR_LIMIT, "the repository's metadata is too large")
				       : tuf_client_feed(u->client, &bytes, err);
	} else if (r == 0) {
		r = tuf_client_absent(u->client, err);
	} else {
		r = tuf_client_fail(u->client, &why, err);
	}
	buf_release(&bytes);
	return r;
}

static int walk(struct update_walk *u, struct error *err)
{
	const struct tuf_want *w;

	while ((w = tuf_client_want(u->client)) != NULL)
		if ((w->stored ? blobs_feed_stored(u->client, u->stored, u->stored_count, err)
			       : serve_remote(u, w, err)) < 0)
			return -1;
	return 0;
}

int remote_update(struct remote *r, struct slice anchor, struct slice stored, struct slice target, int64_t now_s,
		  int64_t floor_s, struct buf *fetched, const struct remote_watcher *watcher, struct error *err)
{
	struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = now_s, .floor_s = floor_s,
				      .build_s = MESHANICS_BUILD_TIME};
	struct tuf_blob *list = xcalloc(BLOBS_MAX, sizeof(*list));
	struct update_walk u = {.remote = r, .stored = list, .now_s = now_s, .fetched = fetched,
				.watcher = watcher};
	struct tuf_result result;
	int rc = -1;

	request_begin(r);
	if (blobs_read(list, &u.stored_count, stored, err) == 0 &&
	    (u.client = tuf_client_new(anchor, &options, err)) != NULL && walk(&u, err) == 0 &&
	    (target.len == 0 || (tuf_client_lookup(u.client, target, err) == 0 && walk(&u, err) == 0 &&
				 tuf_client_result(u.client, &result, err) == 0)))
		rc = 0;
	tuf_client_free(u.client);
	free(list);
	return rc;
}

/* ---- payloads ---- */

struct download {
	const struct remote_payload *payload;
	struct remote *remote;
	int fd;
	uint64_t at;		/* where the next bytes go */
	uint64_t asked;		/* offset that was asked for */
	int64_t said_ms, began_ms;
	uint64_t taken;		/* bytes of this attempt */
	bool started;
	bool own_error;		/* it is not the network that failed */
	bool astray;		/* the server has no such range: what is here will not be continued */
};

static void say(struct download *d)
{
	const struct remote_payload *p = d->payload;

	d->said_ms = clock_mono_ms();
	if (p->progress != NULL)
		p->progress(p->arg, d->at, remote_reply(d->remote).received);
}

/* What a budget cuts could never be continued. */
static int starts_over(const struct download *d, struct error *err)
{
	if (d->payload->content_max < d->payload->length)
		return error_set(err, ERR_RETRY,
				 "the server cannot send a part, and the whole does not fit into the byte budget");
	return 0;
}

/* The first part tells where the body begins: 206 continues, 200 starts over. */
static int place_body(struct download *d, const struct http_head *head, struct error *err)
{
	struct http_range range;
	struct slice value;
	uint64_t size;

	d->started = true;
	if (head->status == 200) {
		d->at = 0;
		return starts_over(d, err);
	}
	d->astray = true;
	if (head->status != 206 || !http_find(head, "Content-Range", &value))
		return error_set(err, ERR_RETRY, "the server answered %d without a range", head->status);
	if (http_content_range_parse(value, &range, &size, err) < 0) {
		err->kind = ERR_RETRY;
		return -1;
	}
	if (range.first != d->asked || size != d->payload->length || range.last - range.first >= d->payload->content_max)
		return error_set(err, ERR_RETRY, "the server answered another range than was asked for");
	d->astray = false;
	return 0;
}

/* A download that is to be slow sleeps; the server waits by itself, since nobody takes its bytes. */
static void keep_rate(const struct download *d)
{
	int64_t due_ms, ahead_ms;

	if (d->payload->rate == 0)
		return;
	due_ms = (int64_t)(d->taken / d->payload->rate * 1000 + d->taken % d->payload->rate * 1000 / d->payload->rate);
	ahead_ms = due_ms - (clock_mono_ms() - d->began_ms);
	if (ahead_ms > 0)
		usleep(ahead_ms < 60000 ? (useconds_t)ahead_ms * 1000 : 60000000);
}

static int payload_part(void *arg, const struct http_head *head, struct slice part, struct error *err)
{
	struct download *d = arg;

	d->own_error = true;	/* until the end */
	if (!d->started && place_body(d, head, err) < 0)
		return -1;
	if (part.len > d->payload->length - d->at)
		return error_set(err, ERR_REFUSED, "the server sends more than the signed %llu bytes",
				 (unsigned long long)d->payload->length);
	if (part.len > d->payload->content_max - d->taken)
		return error_set(err, ERR_RETRY, "the server sends more than it was asked for");
	if (file_pwrite_all(d->fd, part, d->at, "download", err) < 0)
		return -1;
	d->own_error = false;
	d->at += part.len;
	d->taken += part.len;
	if (clock_mono_ms() - d->said_ms >= 1000)
		say(d);
	keep_rate(d);
	return 0;
}

/* "bytes=A-", or with an end where the budget has one. Whole files are asked for without. */
static void put_range(const struct download *d, char out[static 64])
{
	uint64_t left = d->payload->length - d->asked;

	if (d->payload->content_max < left)
		snprintf(out, 64, "bytes=%llu-%llu", (unsigned long long)d->asked,
			 (unsigned long long)(d->asked + d->payload->content_max - 1));
	else
		snprintf(out, 64, "bytes=%llu-", (unsigned long long)d->asked);
}

/* All of an answer is here: is it all of the payload? */
static int judge_end(const struct download *d, int status, struct error *err)
{
	const struct remote_payload *p = d->payload;

	if (d->at == p->length)
		return 0;
	if (status == 200)
		return error_set(err, ERR_REFUSED, "the server has %llu bytes where %llu are signed",
				 (unsigned long long)d->at, (unsigned long long)p->length);
	return error_set(err, ERR_RETRY, "the download stopped at %llu of %llu bytes", (unsigned long long)d->at,
			 (unsigned long long)p->length);
}

static int get_payload(struct remote *r, struct download *d, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	struct buf target = BUF_INIT(TUF_URL_PATH_MAX);
	struct http_header range;
	char value[64];
	int rc = -1;

	buf_put_str(&target, "/targets/");
	buf_put_slice(&target, d->payload->path);
	put_range(d, value);
	range = (struct http_header){SLICE_LIT("Range"), slice_str(value)};
	if (d->asked > 0 || d->payload->content_max < d->payload->length) {
		q.headers = &range;
		q.header_count = 1;
	}
	q.method = "GET";
	q.target = buf_cstr(&target);
	q.now_s = d->payload->now_s;
	q.body_max = d->payload->length;
	q.sink = payload_part;
	q.sink_arg = d;
	if (client_do(r->client, &q, &a, err) < 0) {
		if (!d->own_error)
			from_network(&a, err);
	} else if (a.status >= 300) {
		d->astray = a.status == 416;
		from_status(r, &a, err);
		if (d->astray) {
			err->kind = ERR_RETRY;
			r->reply.status = 0;
		}
	} else {
		rc = judge_end(d, a.status, err);
	}
	client_response_release(&a);
	buf_release(&target);
	return rc;
}

int remote_fetch(struct remote *r, int dirfd, const struct remote_payload *p, struct error *err)
{
	struct download d = {.payload = p, .remote = r, .fd = -1, .began_ms = clock_mono_ms()};
	struct error ignored = ERROR_INIT;
	char name[STAGED_NAME_LEN];

	request_begin(r);
	if ((d.fd = staged_open(dirfd, p->sha256, p->length, name, &d.at, err)) < 0)
		return -1;
	d.asked = d.at;
	if (d.at < p->length && get_payload(r, &d, err) < 0) {
		if (d.astray)	/* from the start, the next time */
			(void)!file_truncate(d.fd, 0, name, &ignored);
		else
			say(&d);
		if (err->kind == ERR_REFUSED)
			(void)!file_unlink(dirfd, name, &ignored);
		goto fail;
	}
	if (file_truncate(d.fd, p->length, name, err) < 0 || staged_check(d.fd, p->sha256, p->length, err) < 0) {
		/* Wrong bytes are wrong from the start: nothing of them is worth resuming. */
		(void)!file_unlink(dirfd, name, &ignored);
		goto fail;
	}
	return d.fd;
fail:
	close(d.fd);
	return -1;
}
