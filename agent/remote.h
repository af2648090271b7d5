/* What the worker asks of the control plane: API requests, metadata, payloads. One struct remote belongs to one thread. */
#ifndef MESHANICS_AGENT_REMOTE_H
#define MESHANICS_AGENT_REMOTE_H

#include "agent/home.h"
#include "agent/link.h"

#define REMOTE_ANSWER_MAX (1u << 20)
#define REMOTE_TIMEOUT_MS 60000

struct remote;

/* base_url: of the device API or of the repository. proxy may be NULL. Connects when first used. */
WARN_UNUSED struct remote *remote_new(const struct identity *id, const char *base_url, const char *proxy,
				      struct error *err);
void remote_free(struct remote *r);	/* NULL is fine */

/*
 * What came along with the last request. Whatever is wrong below HTTP (names, connections, proxies, TLS, framing) is
 * ERR_RETRY in all of these requests: on its way to the server a device meets walls that say nothing of the fleet. A
 * status of the server's is told; what its bytes are worth, the caller judges.
 */
struct link_reply remote_reply(const struct remote *r);

/* POST JSON; the answer's JSON is appended. -1 with the server's error. */
WARN_UNUSED int remote_post(struct remote *r, const char *path, struct slice body, int64_t now_s, struct buf *answer,
			    struct error *err);

/* Who wants to hear that a request is alive, at most once a second: bytes received on the wire for it. */
struct remote_watcher {
	void (*alive)(void *arg, uint64_t received);
	void *arg;
};

/*
 * Walk the TUF workflow for one target, or for none when that is empty: stored files from `stored` (packed, see agent/blobs.h), the others from the
 * server. What was fetched is appended to `fetched` (packed), which the supervisor verifies again.
 */
WARN_UNUSED int remote_update(struct remote *r, struct slice anchor, struct slice stored, struct slice target,
			      int64_t now_s, int64_t floor_s, struct buf *fetched, const struct remote_watcher *watcher,
			      struct error *err);

struct remote_payload {
	struct slice path;	/* below /targets/ */
	uint64_t length;
	uint8_t sha256[SHA256_LEN];
	int64_t now_s;
	uint64_t content_max;	/* bytes that may be asked for this time; UINT64_MAX: all */
	uint64_t rate;		/* bytes per second at most; 0: as fast as it goes */
	/* bytes: of the payload that are here; received: on the wire for it. At most once a second, and at the end. */
	void (*progress)(void *arg, uint64_t bytes, uint64_t received);
	void *arg;
};
/*
 * Download a payload into dirfd/SHA256.part, going on where an earlier attempt stopped; other *.part files there are
 * removed first. A file that turns out wrong is removed: ERR_REFUSED. Where content_max ends before the payload does,
 * what came stays: ERR_RETRY. Returns the open file, or -1.
 */
WARN_UNUSED int remote_fetch(struct remote *r, int dirfd, const struct remote_payload *p, struct error *err);

#endif
