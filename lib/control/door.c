/* The three doors, and which of them opens. */
#include "control/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/api.h"
#include "control/control.h"
#include "control/door_internal.h"
#include "fleet/tokens.h"
#include "net/client.h"
#include "sys/file.h"

#define DOOR_TIMEOUT_MS 30000
#define DOOR_BLOB_MS 3600000	/* serve hashes a passed file before it answers */
#define TOKEN_HEADER_MAX (TOKEN_TEXT_MAX + 16)

struct door {
	struct control *control;	/* in-process, else NULL */
	struct client *client;		/* socket and server, else NULL */
	bool is_socket;
	struct tls_config *tls;
	struct buf authorization;	/* secret; "Bearer mop1..." */
	int64_t now_s;
	int timeout_ms;
};

/* ---- opening ---- */

/* TLS that trusts the one CA whose hash the token carries, and nobody else. */
static int open_server(struct door *d, const struct door_options *o, struct error *err)
{
	struct client_params params = CLIENT_PARAMS_INIT;
	struct tls_client_params trust = {0};
	struct operator_token token;
	struct url url, proxy;
	int r = -1;

	if (o->token == NULL) {
		error_set(err, ERR_USAGE, "an operator token is needed for '%s'", o->server);
		return error_hint(err, "give --token-file FILE or set MESHANICS_TOKEN_FILE");
	}
	if (operator_token_parse(&token, slice_str(o->token), err) < 0)
		return error_wrap(err, "operator token");
	trust.ca_pin = token.server_ca;
	params.url = &url;
	if (url_parse(&url, slice_str(o->server), URL_HTTPS | URL_BASE, err) < 0 ||
	    (d->tls = tls_config_client(&trust, err)) == NULL)
		goto out;
	if (o->proxy != NULL) {
		if (url_parse(&proxy, slice_str(o->proxy), URL_HTTP | URL_USER | URL_BASE, err) < 0)
			goto out;
		params.proxy = &proxy;
	}
	params.tls = d->tls;
	if ((d->client = client_new(&params, err)) == NULL)
		goto out;
	buf_put_str(&d->authorization, "Bearer ");
	operator_token_put(&d->authorization, &token);
	r = 0;
out:
	operator_token_wipe(&token);
	return r;
}

static int open_socket(struct door *d, const char *path, struct error *err)
{
	struct client_params params = CLIENT_PARAMS_INIT;

	params.unix_path = path;
	params.stall_ms = DOOR_BLOB_MS;
	d->is_socket = true;
	d->client = client_new(&params, err);
	return d->client == NULL ? -1 : 0;
}

/*
 * In-process when the lock is free; else somebody has it, and a socket says whether that is a `serve`. On a file system
 * that is read-only, as an error leaves it, nobody can take the lock, and a serve that runs still answers.
 */
static int open_here(struct door *d, const struct door_options *o, struct error *err)
{
	struct control_settings settings;
	char path[4096];

	path_join(path, o->home, "control");
	if (!file_exists(AT_FDCWD, path)) {
		error_set(err, ERR_NOT_FOUND, "there is no control plane in '%s'", o->home);
		return error_hint(err, "name one with --home or --server, or make one: meshanics repo init, meshanics ca init");
	}
	path_join(path, o->home, "control/control.sock");
	control_settings_default(&settings);
	d->control = control_open(o->home, &settings, err);
	if (d->control != NULL)
		return 0;
	if ((err->kind != ERR_RETRY && err->sys_errno != EROFS) || !file_exists(AT_FDCWD, path))
		return -1;
	*err = ERROR_INIT;
	return open_socket(d, path, err);
}

struct door *door_open(const struct door_options *o, struct error *err)
{
	struct door *d = xcalloc(1, sizeof(*d));

	d->authorization = BUF_SECRET(TOKEN_HEADER_MAX);
	d->now_s = o->now_s;
	d->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : DOOR_TIMEOUT_MS;
	if ((o->server != NULL ? open_server(d, o, err) : open_here(d, o, err)) == 0)
		return d;
	door_close(d);
	return NULL;
}

void door_close(struct door *d)
{
	if (d == NULL)
		return;
	control_free(d->control);
	client_free(d->client);
	tls_config_free(d->tls);
	buf_release(&d->authorization);
	free(d);
}

const char *door_kind(const struct door *d)
{
	if (d->control != NULL)
		return "local";
	return d->is_socket ? "socket" : "server";
}

/* ---- requests ---- */

static int remote_call(struct door *d, struct client_request *q, struct buf *reply, struct error *err)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct http_header auth = {SLICE_LIT("Authorization"), buf_slice(&d->authorization)};
	int rc = -1;

	if (d->authorization.len > 0) {
		q->headers = &auth;
		q->header_count = 1;
	}
	q->now_s = d->now_s;
	q->body_max = reply->max;
	if (client_do(d->client, q, &r, err) < 0)
		goto out;
	if (r.status >= 300) {
		api_read_error((unsigned)r.status, buf_slice(&r.body), err);
		goto out;
	}
	buf_put_slice(reply, buf_slice(&r.body));
	rc = 0;
out:
	client_response_release(&r);
	return rc;
}

int door_call(struct door *d, const char *method, const char *path, struct slice body, struct buf *reply,
	      struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;

	if (d->control != NULL)
		return door_local_call(d->control, method, path, body, -1, d->now_s, reply, err);
	q.method = method;
	q.target = path;
	q.timeout_ms = d->timeout_ms;
	q.content_type = body.len > 0 ? "application/json" : NULL;
	q.body = body;
	return remote_call(d, &q, reply, err);
}

/* How many bytes the other side has staged already; complete: nothing is left to send. */
static int staged_bytes(struct door *d, const char *path, uint64_t len, int64_t *have, bool *complete,
			struct error *err)
{
	struct buf reply = BUF_INIT(4096);
	struct json doc = JSON_INIT;
	int r = -1;

	*have = 0;
	if (door_call(d, "GET", path, SLICE_EMPTY, &reply, err) < 0) {
		r = err->kind == ERR_NOT_FOUND ? 0 : -1;
		goto out;
	}
	if (json_parse(&doc, buf_slice(&reply), JSON_STRICT, err) < 0 ||
	    json_need_int(json_root(&doc), "bytes", 0, INT64_MAX, have, err) < 0 ||
	    json_opt_bool(json_root(&doc), "complete", complete, err) < 0)
		goto out;
	if ((uint64_t)*have > len)
		*have = 0;
	r = 0;
out:
	json_release(&doc);
	buf_release(&reply);
	return r;
}

int door_put_file(struct door *d, const char *path, int fd, uint64_t len,
		  void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg, struct buf *reply,
		  struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	char target[API_PATH_MAX + 64];
	bool complete = false;
	int64_t have = 0;
	int r;

	if (d->control != NULL) {
		r = door_local_call(d->control, "PUT", path, SLICE_EMPTY, fd, d->now_s, reply, err);
	} else if (d->is_socket) {
		q.method = "PUT";
		q.target = path;
		q.pass_fds = &fd;
		q.pass_fd_count = 1;
		r = remote_call(d, &q, reply, err);
	} else {
		if (staged_bytes(d, path, len, &have, &complete, err) < 0)
			return -1;
		if (complete) {
			buf_put_str(reply, "{\"complete\":true}");
			return 0;
		}
		snprintf(target, sizeof(target), "%s?offset=%lld", path, (long long)have);
		q.method = "PUT";
		q.target = target;
		q.content_type = "application/octet-stream";
		q.body_fd = fd;
		q.body_fd_offset = (uint64_t)have;
		q.body_fd_len = len - (uint64_t)have;
		r = remote_call(d, &q, reply, err);
	}
	if (r == 0 && progress != NULL)
		progress(arg, len, len);
	return r;
}
