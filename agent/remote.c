/* The worker's requests to the control plane. */
#include "agent/remote.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/blobs.h"
#include "base/encode.h"
#include "control/api.h"
#include "net/client.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/engine.h"

#define METADATA_TIMEOUT_MS 600000
#define PAYLOAD_MIN_RATE 64	/* bytes per second; slower is given up, and resumed later */

struct remote {
	struct client *client;
	struct tls_config *tls;
	struct url url;
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

int remote_post(struct remote *r, const char *path, struct slice body, int64_t now_s, struct buf *answer,
		unsigned *status, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	int rc = -1;

	*status = 0;
	q.method = "POST";
	q.target = path;
	q.now_s = now_s;
	q.timeout_ms = REMOTE_TIMEOUT_MS;
	q.body = body;
	q.body_max = REMOTE_ANSWER_MAX;
	q.idempotent = true;	/* device requests are: see man/meshanics-api.5 */
	if (client_do(r->client, &q, &a, err) < 0)
		goto out;
	*status = (unsigned)a.status;
	if (a.status >= 300) {
		api_read_error(*status, buf_slice(&a.body), err);
		goto out;
	}
	buf_put_slice(answer, buf_slice(&a.body));
	rc = 0;
out:
	client_response_release(&a);
	return rc;
}

/* ---- metadata ---- */

/* GET one metadata file. 1: it is there; 0: there is none; -1. */
static int get_metadata(struct remote *r, const struct tuf_want *w, int64_t now_s, struct buf *out, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	char target[TUF_URL_PATH_MAX + 16];
	int rc = -1;

	snprintf(target, sizeof(target), "/metadata/%s", w->path);
	q.method = "GET";
	q.target = target;
	q.now_s = now_s;
	q.timeout_ms = METADATA_TIMEOUT_MS;
	q.body_max = w->max_len;
	if (client_do(r->client, &q, &a, err) < 0)
		goto out;
	if (a.status == 200) {
		buf_put_slice(out, buf_slice(&a.body));
		rc = 1;
	} else if (a.status == 404) {	/* 403 is a refusal here: of our certificate */
		rc = 0;
	} else {
		api_read_error((unsigned)a.status, buf_slice(&a.body), err);
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
};

static int serve_stored(struct update_walk *u, const struct tuf_want *w, struct error *err)
{
	struct buf name = BUF_INIT(256), bytes = BUF_INIT(SIZE_MAX / 2);
	struct slice found;
	int r;

	trusted_filename(&name, w->role);
	found = blobs_find(u->stored, u->stored_count, buf_slice(&name));
	if (found.ptr == NULL) {
		r = tuf_client_absent(u->client, err);
	} else {
		buf_put_slice(&bytes, found);
		r = tuf_client_feed(u->client, &bytes, err);
	}
	buf_release(&name);
	buf_release(&bytes);
	return r;
}

static int serve_remote(struct update_walk *u, const struct tuf_want *w, struct error *err)
{
	struct buf bytes = BUF_INIT((size_t)w->max_len);
	struct error why = ERROR_INIT;
	int r = get_metadata(u->remote, w, u->now_s, &bytes, &why);

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
		if ((w->stored ? serve_stored(u, w, err) : serve_remote(u, w, err)) < 0)
			return -1;
	return 0;
}

int remote_update(struct remote *r, struct slice anchor, struct slice stored, struct slice target, int64_t now_s,
		  int64_t floor_s, struct buf *fetched, struct error *err)
{
	struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = now_s, .floor_s = floor_s,
				      .build_s = MESHANICS_BUILD_TIME};
	struct tuf_blob *list = xcalloc(BLOBS_MAX, sizeof(*list));
	struct update_walk u = {.remote = r, .stored = list, .now_s = now_s, .fetched = fetched};
	struct tuf_result result;
	int rc = -1;

	if (blobs_read(list, &u.stored_count, stored, err) == 0 &&
	    (u.client = tuf_client_new(anchor, &options, err)) != NULL && walk(&u, err) == 0 &&
	    tuf_client_lookup(u.client, target, err) == 0 && walk(&u, err) == 0 &&
	    tuf_client_result(u.client, &result, err) == 0)
		rc = 0;
	tuf_client_free(u.client);
	free(list);
	return rc;
}

/* ---- payloads ---- */

struct download {
	const struct remote_payload *payload;
	int fd;
	uint64_t at;		/* where the next bytes go */
	uint64_t asked;		/* offset that was asked for */
	int64_t said_ms;
	bool started;
};

/* The first part tells where the body begins: 206 continues, 200 starts over. */
static int place_body(struct download *d, const struct http_head *head, struct error *err)
{
	struct http_range range;
	struct slice value;
	uint64_t size;

	d->started = true;
	if (head->status == 200) {
		d->at = 0;
		return 0;
	}
	if (head->status != 206 || !http_find(head, "Content-Range", &value))
		return error_set(err, ERR_MALFORMED, "status %d without a range", head->status);
	if (http_content_range_parse(value, &range, &size, err) < 0)
		return -1;
	if (range.first != d->asked || size != d->payload->length)
		return error_set(err, ERR_MALFORMED, "the server answered another range than was asked for");
	return 0;
}

static int payload_part(void *arg, const struct http_head *head, struct slice part, struct error *err)
{
	struct download *d = arg;
	int64_t now_ms = clock_mono_ms();

	if (!d->started && place_body(d, head, err) < 0)
		return -1;
	if (part.len > d->payload->length - d->at)
		return error_set(err, ERR_REFUSED, "the server sends more than the signed %llu bytes",
				 (unsigned long long)d->payload->length);
	if (file_pwrite_all(d->fd, part, d->at, "download", err) < 0)
		return -1;
	d->at += part.len;
	if (d->payload->progress != NULL && now_ms - d->said_ms >= 1000) {
		d->said_ms = now_ms;
		d->payload->progress(d->payload->arg, d->at);
	}
	return 0;
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
	snprintf(value, sizeof(value), "bytes=%llu-", (unsigned long long)d->asked);
	range = (struct http_header){SLICE_LIT("Range"), slice_str(value)};
	if (d->asked > 0) {
		q.headers = &range;
		q.header_count = 1;
	}
	q.method = "GET";
	q.target = buf_cstr(&target);
	q.now_s = d->payload->now_s;
	q.body_max = d->payload->length;
	q.sink = payload_part;
	q.sink_arg = d;
	if (client_do(r->client, &q, &a, err) < 0)
		goto out;
	if (a.status >= 300) {
		api_read_error((unsigned)a.status, buf_slice(&a.body), err);
		goto out;
	}
	if (d->at != d->payload->length)
		error_set(err, ERR_RETRY, "the download stopped at %llu of %llu bytes", (unsigned long long)d->at,
			  (unsigned long long)d->payload->length);
	else
		rc = 0;
out:
	client_response_release(&a);
	buf_release(&target);
	return rc;
}

static int remove_other_parts(int dirfd, const char *keep, struct error *err)
{
	int fd = file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (slice_ends(slice_str(e->d_name), SLICE_LIT(".part")) && strcmp(e->d_name, keep) != 0)
			r = file_unlink(dirfd, e->d_name, err);
	closedir(d);
	return r;
}

static int check_payload(int fd, const struct remote_payload *p, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	uint64_t len;

	if (sha256_file(fd, hash, &len, NULL, NULL, err) < 0)
		return -1;
	if (len != p->length || memcmp(hash, p->sha256, sizeof(hash)) != 0)
		return error_set(err, ERR_REFUSED, "the payload's bytes do not match the signed SHA-256");
	return 0;
}

int remote_fetch(struct remote *r, int dirfd, const struct remote_payload *p, struct error *err)
{
	struct download d = {.payload = p, .fd = -1};
	char name[SHA256_HEX_LEN + 8], hex[SHA256_HEX_LEN];
	struct stat st;

	hex_encode(hex, p->sha256, SHA256_LEN);
	snprintf(name, sizeof(name), "%s.part", hex);
	if (remove_other_parts(dirfd, name, err) < 0)
		return -1;
	d.fd = file_open(dirfd, name, O_RDWR | O_CREAT, 0600, err);
	if (d.fd < 0)
		return -1;
	if (fstat(d.fd, &st) < 0 || (uint64_t)st.st_size > p->length)
		st.st_size = 0;
	d.at = d.asked = (uint64_t)st.st_size;
	if (d.at < p->length && get_payload(r, &d, err) < 0)
		goto fail;
	if (file_truncate(d.fd, p->length, name, err) < 0 || check_payload(d.fd, p, err) < 0) {
		struct error ignored = ERROR_INIT;

		/* Wrong bytes are wrong from the start: nothing of them is worth resuming. */
		(void)!file_unlink(dirfd, name, &ignored);
		goto fail;
	}
	return d.fd;
fail:
	close(d.fd);
	return -1;
}
