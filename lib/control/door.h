/*
 * A door to the API for the verbs of the command line:
 *
 *	--server URL (or MESHANICS_SERVER) with an operator token     -> HTTPS
 *	control/control.sock answers                                  -> the running serve, as local:UID
 *	control/lock is free                                          -> in-process, on the same files
 *	otherwise                                                     -> ERR_RETRY: somebody holds the lock
 */
#ifndef MESHANICS_CONTROL_DOOR_H
#define MESHANICS_CONTROL_DOOR_H

#include "base/buf.h"
#include "base/error.h"

struct door;

struct door_options {
	const char *home;
	const char *server;	/* "https://host:9443" or NULL */
	const char *token;	/* operator token text, for server; it pins the server's CA */
	const char *proxy;	/* HTTP CONNECT proxy URL or NULL */
	int64_t now_s;
	int timeout_ms;		/* of one request; 0: 30 s */
};

/* Opens the first door that fits. The in-process door takes control/lock until door_close. */
WARN_UNUSED struct door *door_open(const struct door_options *options, struct error *err);
void door_close(struct door *d);	/* NULL is fine */
/* "server", "socket" or "local": for notes to people. */
const char *door_kind(const struct door *d);

/*
 * One request. path begins with /api/v1/. body: JSON text or empty. The reply's body is appended to reply.
 * 0 for 2xx; otherwise -1 with the server's own error (kind, text, hint) in err.
 */
WARN_UNUSED int door_call(struct door *d, const char *method, const char *path, struct slice body,
			  struct buf *reply, struct error *err);
/*
 * PUT the bytes of an open file to path, a route with blob_open; progress may be NULL. Over the network it resumes:
 * GET of the same path answers {"bytes": N, "complete": bool}, what is staged already, and the PUT carries
 * ?offset=N. Over the socket the descriptor is passed, in-process the file is read where it is.
 */
WARN_UNUSED int door_put_file(struct door *d, const char *path, int fd, uint64_t len,
			      void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
			      struct buf *reply, struct error *err);

#endif
