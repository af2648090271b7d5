/* From an HTTP exchange to a call of the router and back. */
#include "control/front.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/beat.h"
#include "control/control.h"
#include "control/pool.h"
#include "fleet/ca.h"
#include "store/versions.h"
#include "sys/clock.h"
#include "sys/fault.h"
#include "sys/file.h"

/*
 * One request on its way. It belongs to the exchange until it is handed to the pool or the writer, and to
 * them from then on: the client may vanish, the request does not.
 */
struct request {
	struct front *front;
	enum api_class class;
	struct exchange_token token;
	struct api_actor actor;
	struct api_call call;
	struct buf path, query, body;	/* copies; params and the JSON borrow from them */
	struct json doc;
	struct error err;
	uint64_t epoch;			/* of the store, before anything was read of it */
};

static struct request *request_new(struct front_door *door, struct exchange *x)
{
	struct request *q = xcalloc(1, sizeof(*q));

	q->front = door->front;
	q->class = door->class;
	q->token = exchange_token(x);
	q->path = BUF_INIT(API_PATH_MAX * 2);
	q->query = BUF_INIT(HTTP_TARGET_MAX);
	q->body = BUF_INIT(API_BODY_MAX);
	api_call_init(&q->call);
	q->call.control = door->front->control;
	q->call.actor = &q->actor;
	q->call.now_s = clock_now_s();
	if (q->front->control->versions != NULL)
		q->epoch = versions_epoch(q->front->control->versions);
	return q;
}

static void request_free(struct request *q)
{
	if (q == NULL)
		return;
	api_call_release(&q->call);
	json_release(&q->doc);
	buf_release(&q->path);
	buf_release(&q->query);
	buf_release(&q->body);
	free(q);
}

/* ---- replies ---- */

static void count_status(struct front *f, enum api_class class, unsigned status)
{
	f->counters->requests[class]++;
	if (status >= 500)
		f->counters->failed[class]++;
	else if (status >= 400)
		f->counters->refused[class]++;
}

/* What is busy, stopping, or without a disk to write on is asked again soon, not at once. */
static void put_retry_after(struct reply *r)
{
	if (r->status == 503)
		reply_header(r, "Retry-After", SLICE_LIT("5"));
}

/* Moves what the call wrote into a reply. */
static void fill_reply(struct request *q, struct reply *r)
{
	r->status = (int)q->call.status;
	buf_release(&r->body);
	r->body = q->call.reply;
	q->call.reply = BUF_INIT(API_REPLY_MAX);
	/* A device knows that it gets JSON, and nobody keeps answers to POST (RFC 9110 9.3.3): bytes of each heartbeat. */
	if (q->class != API_DEVICE) {
		r->content_type = q->call.content_type != NULL ? q->call.content_type : "application/json";
		reply_header(r, "Cache-Control", SLICE_LIT("no-store"));
	}
	put_retry_after(r);
	count_status(q->front, q->class, q->call.status);
}

void front_reply_error(struct exchange *x, const struct error *err, bool unauthenticated)
{
	struct reply r = REPLY_INIT((int)api_status_of(api_kind_of(err)));

	if (unauthenticated) {
		r.status = 401;
		reply_header(&r, "WWW-Authenticate", SLICE_LIT("Bearer"));
	}
	put_retry_after(&r);
	r.content_type = "application/json";
	api_put_error(&r.body, err);
	exchange_reply(x, &r);
}

static void refuse(struct exchange *x, struct request *q, const struct error *err, bool unauthenticated)
{
	count_status(q->front, q->class, unauthenticated ? 401 : api_status_of(api_kind_of(err)));
	front_reply_error(x, err, unauthenticated);
}

/* ---- who asks ---- */

static int authenticate_operator(struct request *q, struct exchange *x, struct error *err)
{
	const struct ca *ca = q->front->control->ca;
	struct operator who;
	struct slice value;

	if (!http_find(&x->head, "Authorization", &value))
		return error_set(err, ERR_DENIED, "an operator token is needed");
	if (!slice_starts(value, SLICE_LIT("Bearer ")))
		return error_set(err, ERR_DENIED, "only 'Authorization: Bearer TOKEN' is understood");
	if (operator_authenticate(q->front->db, slice_sub(value, 7, SIZE_MAX), ca[CA_SERVER].fingerprint,
				  q->call.now_s, &who, err) < 0)
		return -1;
	q->actor.kind = ACTOR_OPERATOR;
	snprintf(q->actor.name, sizeof(q->actor.name), "operator:%s", who.name);
	q->actor.role = who.role;
	exchange_vouch(x);
	return 0;
}

static int authenticate_local(struct request *q, const struct peer *peer, uid_t owner, struct error *err)
{
	if (peer->uid != 0 && peer->uid != owner)
		return error_set(err, ERR_DENIED, "user %u may not use this socket", (unsigned)peer->uid);
	q->actor.kind = ACTOR_LOCAL;
	snprintf(q->actor.name, sizeof(q->actor.name), "local:%u", (unsigned)peer->uid);
	q->actor.role = ROLE_ADMIN;
	return 0;
}

int front_device(struct front *f, const struct peer *peer, int64_t now_s, enum cert_use use,
		 struct api_actor *actor, struct error *err)
{
	struct cert_identity id;

	if (!peer->tls.present)
		return error_set(err, ERR_DENIED, "a device certificate is needed");
	if (cert_lookup(f->db, peer->tls.fingerprint, now_s, &id, err) < 0 ||
	    cert_check(&id, use, f->control->settings.renew_grace_s, now_s, err) < 0)
		return -1;
	actor->kind = ACTOR_DEVICE;
	actor->device_id = id.device_id;
	actor->cert_until_s = id.status == CERT_ACTIVE ? id.until_s : 0;
	memcpy(actor->cert_sha256, peer->tls.fingerprint, sizeof(actor->cert_sha256));
	snprintf(actor->device, sizeof(actor->device), "%s", id.device);
	snprintf(actor->name, sizeof(actor->name), "device:%s", id.device);
	return 0;
}

static int authenticate(struct front_door *door, struct request *q, struct exchange *x, struct error *err)
{
	const struct api_route *route = q->call.route;

	switch (door->class) {
	case API_DEVICE:
		return front_device(q->front, x->peer, q->call.now_s,
				    strcmp(route->action, "device.renew") == 0 ? CERT_USE_RENEW : CERT_USE_ANY,
				    &q->actor, err);
	case API_ENROLL:
		snprintf(q->actor.name, sizeof(q->actor.name), "newcomer:%s", x->peer->address);
		return 0;
	case API_OPERATOR:
		break;
	}
	if (x->peer->is_unix)
		return authenticate_local(q, x->peer, door->owner, err);
	if (route->permission == NULL) {	/* /healthz */
		snprintf(q->actor.name, sizeof(q->actor.name), "nobody");
		return 0;
	}
	return authenticate_operator(q, x, err);
}

/* ---- running ---- */

/* On the writer: the handler in a savepoint of its own, so that its refusal can be audited in the same commit. */
static int request_write(struct db *db, void *arg, struct error *err)
{
	struct request *q = arg;

	if (db_savepoint(db, err) < 0)
		return -1;
	q->call.db = db;
	if (api_run(&q->call, &q->err) == 0)
		return db_savepoint_keep(db, err);
	db_savepoint_undo(db);
	if (q->call.route->mutates && !q->call.route->own_audit)
		return api_audit_refusal(db, &q->call, &q->err, err);
	return 0;
}

static void request_written(void *arg, int result, const struct error *err)
{
	struct request *q = arg;
	struct reply r = REPLY_INIT(200);

	if (result < 0)
		api_fail(&q->call, err);
	fill_reply(q, &r);
	reply_post(q->token, &r);
	request_free(q);
}

/* Hand the request to the writer; it answers. Takes q. */
static void request_to_writer(struct request *q)
{
	struct error err = ERROR_INIT;

	if (writer_post(q->front->writer, request_write, request_written, q, &err) < 0)
		request_written(q, -1, &err);
}

static void request_prepare(void *arg)
{
	struct request *q = arg;
	struct error err = ERROR_INIT;

	if (q->call.route->prepare(&q->call, &err) < 0)
		request_written(q, -1, &err);
	else
		request_to_writer(q);
}

/* For the next request of this connection; what was kept before is out of date. */
static void keep_answer(struct exchange *x, struct request *q)
{
	beat_free(*x->kept);
	*x->kept = NULL;
	if (q->call.status == 200 && q->front->control->versions != NULL)
		*x->kept = beat_new(q->front->control->versions, q->epoch, &q->call, buf_slice(&q->body));
}

/* A reading request, at once, on this thread's own connection. Takes q. */
static void request_read(struct exchange *x, struct request *q)
{
	struct error err = ERROR_INIT;
	struct reply r = REPLY_INIT(200);

	q->call.db = q->front->db;
	if (db_begin_read(q->call.db, &err) < 0)
		api_fail(&q->call, &err);
	else
		(void)!api_run(&q->call, &err);
	db_rollback(q->call.db);
	if (q->call.route->repeats)
		keep_answer(x, q);
	fill_reply(q, &r);
	exchange_reply(x, &r);
	request_free(q);
}

static void request_start(struct exchange *x, struct request *q)
{
	const struct api_route *route = q->call.route;
	struct error err = ERROR_INIT;

	x->user = NULL;
	if (route->prepare != NULL && api_check_permission(&q->call, &err) == 0) {
		if (pool_post(q->front->pool, request_prepare, q, &err) < 0)
			request_written(q, -1, &err);
	} else if (route->mutates || route->exclusive || route->prepare != NULL) {
		request_to_writer(q);
	} else {
		request_read(x, q);
	}
}

/* ---- the exchange ---- */

static int blob_part(struct exchange *x, struct slice part)
{
	struct request *q = x->user;
	struct error err = ERROR_INIT;

	if (file_pwrite_all(q->call.blob_fd, part, q->call.blob_len, "upload", &err) == 0) {
		q->call.blob_len += part.len;
		return 0;
	}
	refuse(x, q, &err, false);
	return -1;
}

/* Requests without a length are not taken (net/server.h). */
static uint64_t body_length(const struct exchange *x)
{
	struct slice text;
	int64_t n;

	return http_find(&x->head, "Content-Length", &text) && http_digits(text, &n) ? (uint64_t)n : 0;
}

/* The bytes of a blob come from a descriptor that was passed along, or as a body from ?offset on. */
static int begin_blob(struct exchange *x, struct request *q, struct error *err)
{
	struct buf text = BUF_INIT(32);
	int64_t offset = 0;
	int r = -1;

	if (x->peer->is_unix && x->fds[0] >= 0) {
		q->call.source_fd = x->fds[0];
		x->fds[0] = -1;
		return 0;
	}
	q->call.blob_more = body_length(x);
	if (q->call.route->blob_open(&q->call, err) < 0)
		goto out;
	if (api_query(&q->call, "offset", &text, err) == 0 && !http_digits(buf_slice(&text), &offset)) {
		error_set(err, ERR_USAGE, "offset must be a number of bytes");
		goto out;
	}
	if ((uint64_t)offset != q->call.blob_len) {
		error_set(err, ERR_CONFLICT, "the upload stands at %llu bytes, not at %lld",
			  (unsigned long long)q->call.blob_len, (long long)offset);
		goto out;
	}
	exchange_sink_body(x, UINT64_MAX, blob_part);
	r = 0;
out:
	buf_release(&text);
	return r;
}

static int begin_checked(struct front_door *door, struct exchange *x, struct request *q, bool *unauthenticated,
			 struct error *err)
{
	buf_put_slice(&q->query, x->head.query);
	q->call.query = buf_slice(&q->query);
	q->call.route = api_route_find(door->class, x->head.method, x->head.path, &q->path, q->call.params, err);
	if (q->call.route == NULL)
		return -1;
	if (authenticate(door, q, x, err) < 0) {
		*unauthenticated = door->class == API_OPERATOR && !x->peer->is_unix;
		return -1;
	}
	return q->call.route->blob_open != NULL ? begin_blob(x, q, err) : 0;
}

/* Who asks, what for, and whether he may. False: he was told that he may not. */
static bool begin_request(struct exchange *x)
{
	struct front_door *door = x->arg;
	struct request *q = request_new(door, x);
	struct error err = ERROR_INIT;
	bool unauthenticated = false;

	x->user = q;
	if (begin_checked(door, x, q, &unauthenticated, &err) == 0)
		return true;
	refuse(x, q, &err, unauthenticated);
	return false;
}

static void front_begin(struct exchange *x)
{
	/* Whether what was kept still holds is asked when all of the request is here: nothing is decided until then. */
	if (*x->kept != NULL && beat_is_of(*x->kept, x->head.method, x->head.path, x->head.query))
		exchange_take_body(x, API_BODY_MAX);
	else if (begin_request(x) && ((struct request *)x->user)->call.route->blob_open == NULL)
		exchange_take_body(x, API_BODY_MAX);
}

/* The heartbeat that this connection has sent before: true when it was answered. */
static bool answer_again(struct exchange *x)
{
	const struct front_door *door = x->arg;
	const struct control *c = door->front->control;
	struct reply r = REPLY_INIT(200);

	if (!beat_answer(*x->kept, c->versions, c->lastseen, x->body, c->settings.heartbeat_interval_s, clock_now_s(),
			 &r.body))
		return false;
	count_status(door->front, door->class, 200);
	exchange_reply(x, &r);
	return true;
}

static void front_ready(struct exchange *x)
{
	struct request *q;
	struct error err = ERROR_INIT;

	if (x->user == NULL && (answer_again(x) || !begin_request(x)))
		return;
	q = x->user;
	if (q->call.route->blob_open == NULL && x->body.len > 0) {
		buf_put_slice(&q->body, x->body);
		if (json_parse(&q->doc, buf_slice(&q->body), JSON_FRACTIONS, &err) < 0) {
			error_wrap(&err, "request body");
			refuse(x, q, &err, false);
			return;
		}
		q->call.body = json_root(&q->doc);
	}
	request_start(x, q);
}

/* An upload that ends too early keeps what has come, and no room beyond. */
static void front_end(struct exchange *x)
{
	struct request *q = x->user;
	struct stat st;

	if (q != NULL && q->call.blob_fd >= 0 && fstat(q->call.blob_fd, &st) == 0)
		(void)!sys_ftruncate(q->call.blob_fd, st.st_size);
	request_free(x->user);
	x->user = NULL;
}

const struct handler front_handler = {
	.begin = front_begin,
	.ready = front_ready,
	.end = front_end,
	.forget = beat_free,
};
