/*
 * One API, three doors. Every operator action is one request to one router: over HTTPS with an operator
 * token, over control/control.sock with peer credentials, or in-process when `serve` does not run. The
 * device and enrolment listeners use the same router with their own class of routes.
 *
 *	door (HTTPS, socket, in-process) -> api_route_find -> permission -> handler(db) -> audit -> reply
 *
 * A mutating handler runs inside a savepoint on the store's one writer (store/writer.h), its audit row goes
 * into the same commit, and its reply leaves only after that commit. A reading handler runs on a read-only
 * connection. Handlers therefore never wait, lock, or know which door they serve. What belongs to one thread
 * alone (control->repo, control->ca) is touched by handlers of mutating and exclusive routes only.
 *
 * Long work without the database (hashing or copying a blob) is a route's `prepare`, which runs before the
 * handler on a thread that may block. Bytes of a blob do not pass through memory: `blob_open` names the file
 * they are appended to, so that an upload that was cut resumes at ?offset=N.
 *
 * Limits: path 1024 bytes, 4 path parameters, JSON body 1 MiB, reply API_REPLY_MAX.
 */
#ifndef MESHANICS_CONTROL_API_H
#define MESHANICS_CONTROL_API_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "fleet/operators.h"

struct api_call;
struct control;	/* control/control.h: site, CAs, repository, settings */
struct db;

#define API_PARAMS_MAX 4
#define API_PATH_MAX 1024
#define API_BODY_MAX (1u << 20)
#define API_REPLY_MAX (64u << 20)

enum api_class {
	API_OPERATOR,	/* 9443, control.sock, in-process */
	API_DEVICE,	/* 9445: a device certificate, checked against the store before the handler */
	API_ENROLL,	/* 9446: no client certificate; the token in the body speaks */
};

enum api_actor_kind { ACTOR_NOBODY, ACTOR_LOCAL, ACTOR_OPERATOR, ACTOR_DEVICE };

/* Who asks. Filled by the door from what it has verified. */
struct api_actor {
	enum api_actor_kind kind;
	char name[96];	/* for the audit trail: "local:0", "operator:alice", "device:press-4" */
	enum role role;	/* of operators; local users are ROLE_ADMIN, the rest ROLE_NONE */
	int64_t device_id;	/* of devices */
	char device[NAME_LEN_MAX + 1];
	uint8_t cert_sha256[32];	/* devices: SHA-256 of the certificate, else zero */
	int64_t cert_until_s;	/* devices: the certificate is good until then, if nothing but time passes; 0: it is not */
};

struct api_route {
	enum api_class class;
	const char *method;	/* "GET", "POST", "PUT", "DELETE" */
	const char *pattern;	/* "/api/v1/devices/{device}/tags"; a parameter is one path segment */
	const char *action;	/* for the audit trail and OpenAPI: "device.tag" */
	const char *permission;	/* operators: checked against the role ("device.write"); NULL for other classes */
	bool mutates;		/* runs on the writer, is audited */
	bool own_audit;		/* the handler writes its audit rows itself (or, like a heartbeat, none) */
	bool repeats;		/* the answer to the same bytes stays, until the store says otherwise: control/beat.h */
	bool exclusive;		/* changes nothing, but runs on the writer because it needs control->repo */
	const char *summary;	/* one line for OpenAPI and the manual */
	int (*handle)(struct api_call *call, struct error *err);
	/* Optional: without db, may block for long; leaves what it made in call->prepared. */
	int (*prepare)(struct api_call *call, struct error *err);
	/*
	 * Set: the body is raw bytes, not JSON. Opens the file to append them to into call->blob_fd (closed by
	 * the router), says in call->blob_len how many it holds, and takes room for blob_more. A door that has the bytes in a local file
	 * leaves that descriptor in call->source_fd instead and calls only prepare and handle.
	 */
	int (*blob_open)(struct api_call *call, struct error *err);
};

/* One request in the hands of a handler. */
struct api_call {
	const struct api_route *route;
	const struct api_actor *actor;
	struct control *control;
	struct db *db;		/* in a transaction; read-only unless the route mutates */
	int64_t now_s;
	struct slice params[API_PARAMS_MAX];	/* in the pattern's order; decoded; a version_check'ed name or 64 hex digits */
	struct slice query;	/* raw text after '?'; read with api_query */
	struct json_value body;	/* JSON_NONE when the request had none */
	int blob_fd;		/* of a route with blob_open: the staged bytes, -1 otherwise */
	uint64_t blob_len;
	uint64_t blob_more;	/* bytes that are to come, set before blob_open */
	int source_fd;		/* a local file that holds the blob; closed with the call; -1 when it came as a body */
	void *prepared;		/* made by prepare; released by api_call_release through prepared_free */
	void (*prepared_free)(void *prepared);

	/* The reply: status 200 unless the handler sets another. out writes into reply. */
	unsigned status;
	struct buf reply;
	struct json_writer out;
	const char *content_type;	/* "application/json" unless set (NDJSON export, metrics) */
	uint64_t report_digest;	/* of a heartbeat: names the report in it (store/lastseen.h) */
	/* What the audit row says of this request; the first parameter and {} unless the handler sets more. */
	char audit_object[256];
	struct buf audit_detail;	/* a JSON object, at most 4 KiB */
};

/* Decoded value of a query parameter into out (cleared first); ERR_NOT_FOUND when absent. */
WARN_UNUSED int api_query(const struct api_call *call, const char *name, struct buf *out, struct error *err);

/*
 * HTTP status for an error kind: 400 usage and malformed, 403 denied, 404, 409 conflict, 413 limit, 422 refused,
 * 503 retry, 500 failed. And the error as a JSON body: {"error":{"kind":"refused","text":"...","hint":"..."}}.
 */
unsigned api_status_of(enum error_kind kind);
/* As it is told to whoever asked: a disk that is full, read-only or failing is our trouble, and may end (ERR_RETRY). */
enum error_kind api_kind_of(const struct error *err);
void api_put_error(struct buf *out, const struct error *err);
/* The reverse, for clients: fills err from such a body (or from the bare status) and returns -1. */
int api_read_error(unsigned status, struct slice body, struct error *err);

/*
 * The route tables; each ends with method == NULL and lives in its own routes_*.c:
 * fleet (devices, rollouts, audit, register, heartbeat, status), identity (enrolment, tokens, operators, CAs,
 * renewal, revocation), repository (blobs, metadata, artifacts), export (bundles to other sites, their receipts), bundle (bundles from another site),
 * control (health, backup, OpenAPI).
 */
extern const struct api_route routes_fleet[], routes_identity[], routes_repository[], routes_export[], routes_control[], routes_bundle[];

/*
 * The route for a request, or NULL with err: ERR_NOT_FOUND (no such path), ERR_USAGE (the path exists, the
 * method does not), ERR_MALFORMED (a parameter breaks version_check). params borrow from `decoded`.
 */
const struct api_route *api_route_find(enum api_class class, struct slice method, struct slice path,
				       struct buf *decoded, struct slice params[static API_PARAMS_MAX],
				       struct error *err);
/* The n-th route of all tables, NULL after the last: for OpenAPI and for the manual's test. */
const struct api_route *api_route_at(unsigned n);

/*
 * The only yes is 0: the actor may use the route; ERR_DENIED names the permission. api_run asks this itself; a door
 * asks before the work of `prepare`, and where it is denied goes straight to api_run, which refuses and is audited.
 */
WARN_UNUSED int api_check_permission(const struct api_call *call, struct error *err);
/*
 * Run one request on call->db, which must be in a transaction when the route mutates: permission, handler,
 * audit row. Always leaves a reply in call (errors as JSON). Returns 0 when the transaction is to be kept, -1
 * with err when it is to be rolled back; the caller then audits the refusal of a mutating route through
 * api_audit_refusal in a transaction of its own.
 */
WARN_UNUSED int api_run(struct api_call *call, struct error *err);
WARN_UNUSED int api_audit_refusal(struct db *db, const struct api_call *call, const struct error *why,
				  struct error *err);
/* Make err the reply of call, in place of whatever was written. */
void api_fail(struct api_call *call, const struct error *err);
void api_call_init(struct api_call *call);
void api_call_release(struct api_call *call);

#endif
