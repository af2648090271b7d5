/*
 * The front: where HTTP requests of the listeners become calls of the router, and their results replies.
 * One front belongs to one loop thread; what it shares with the others is the writer's queue and the
 * counters.
 *
 *	loop thread          blocking pool           writer thread            loop thread
 *	begin -> ready --+--> prepare (if any) --+--> handler, audit, COMMIT --> reply_post
 *	                 '--> handler (reads) ---'--------------------------> exchange_reply
 *
 * A heartbeat that repeats the last one of its connection is answered in ready, without any of this: control/beat.h.
 */
#ifndef MESHANICS_CONTROL_FRONT_H
#define MESHANICS_CONTROL_FRONT_H

#include <stdatomic.h>

#include "control/api.h"
#include "fleet/certs.h"
#include "net/server.h"
#include "store/writer.h"

/* Counted by all fronts, read by /metrics. */
struct front_counters {
	_Atomic uint64_t requests[3];	/* by enum api_class */
	_Atomic uint64_t refused[3];	/* answered 4xx */
	_Atomic uint64_t failed[3];	/* answered 5xx */
	_Atomic uint64_t files, file_bytes;	/* of the repository listener */
};

struct pool;	/* control/pool.h: threads that may block */

struct front {
	struct control *control;
	struct writer *writer;
	struct pool *pool;
	struct db *db;			/* read-only, this thread's own */
	struct front_counters *counters;
	int repo_fd;			/* directory HOME/repo, or -1 */
};

/* What a listener is added with: server_add(s, fd, tls, &front_handler, &listener_arg). */
struct front_door {
	struct front *front;
	enum api_class class;
	uid_t owner;			/* unix: who may come in besides root */
};
extern const struct handler front_handler;

/* The repository listener: GET of /metadata/... and /targets/... below HOME/repo, with ranges. arg: a front_door. */
extern const struct handler files_handler;

/*
 * The device behind a connection, for both device listeners: 0 with the actor filled, or -1 with ERR_DENIED for a
 * certificate that may not be used so (fleet/certs.h).
 */
WARN_UNUSED int front_device(struct front *f, const struct peer *peer, int64_t now_s, enum cert_use use,
			     struct api_actor *actor, struct error *err);
/* Send err as JSON with its status; 401 for an unauthenticated one. */
void front_reply_error(struct exchange *x, const struct error *err, bool unauthenticated);

#endif
