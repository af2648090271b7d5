/* What the files behind server.h share: a connection, the request in progress on it, and the server's books. */
#ifndef MESHANICS_NET_SERVER_INTERNAL_H
#define MESHANICS_NET_SERVER_INTERNAL_H

#include "net/addr.h"
#include "net/server.h"
#include "net/stream.h"

/*
 *	HANDSHAKE --> IDLE --> HEAD --> BODY --> WORK --> REPLY --> IDLE (or HEAD, when pipelined)
 *	                        |         |                ^  |
 *	                        +---------+-- answered ----+  +--> LINGER --> closed
 *
 * HANDSHAKE: TLS is not up. Plain connections skip it.
 * IDLE: between requests, nothing of the next one is here.
 * HEAD: part of a head is here; its deadline runs.
 * BODY: begin has been called; the body is being taken. A reply may come at any time from here on.
 * WORK: ready has been called; nothing is read or written until the reply comes.
 * REPLY: head and body of the reply go out.
 * LINGER: the reply said close, or the handshake failed; what the client still sends is thrown away, so that
 * it can read what we said last.
 */
enum conn_state { CONN_HANDSHAKE, CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_WORK, CONN_REPLY, CONN_LINGER };

enum body_mode { BODY_NONE, BODY_BUFFER, BODY_SINK };

/* A request in progress: from the end of its head to the end of its reply. */
struct work {
	struct exchange x;
	uint64_t id;			/* of the token */
	bool begun;			/* begin was called, so end is owed */
	bool replied;
	struct buf head_bytes;		/* x.head points into it */
	enum body_mode mode;
	uint64_t body_cap;
	struct http_body body;
	struct buf body_bytes;
	int (*sink)(struct exchange *x, struct slice part);
	struct reply reply;
	struct buf out;			/* head of the reply, or "100 Continue" */
	size_t out_at, body_at;		/* how much of out and of the reply's body has gone */
	uint64_t file_at;
	bool head_made;			/* out holds the head of the reply */
	bool no_body;			/* the reply's body is not sent: HEAD, 204, 304 */
};

struct conn_list {
	struct conn *first, *last;	/* the oldest first */
	unsigned count;
};

/* Who shares: an address with strangers, or a certificate. */
struct source {
	uint64_t key;
	bool known;			/* a certificate */
	unsigned count;			/* its connections */
	struct source *next;		/* in its bucket */
	struct conn_list waiting;	/* those that may have to go: strangers, or known and idle */
	struct source *level_prev, *level_next;	/* ring of those with as many */
	struct conn_list queued;	/* those whose handshake has something to do */
	struct source *turn_next;
};

/* Sources by the number of their connections that may have to go. */
struct crowd {
	struct source **levels;		/* limits.connections + 1 rings; of a ring the first has been there for longest */
	unsigned most;			/* the highest level that is not empty; 0: none */
};

/* On which list of its source a connection is. */
enum conn_place { PLACE_NONE, PLACE_WAITING, PLACE_TURN };

struct conn {
	struct watch watch;
	struct stream stream;
	struct server *server;
	struct listener *listener;
	enum conn_state state;
	struct peer peer;
	struct source *source;		/* NULL: known by other means than a certificate */
	enum conn_place place;
	struct conn *prev, *next;	/* on that list */
	struct conn *idle_prev, *idle_next;	/* known ones in CONN_IDLE, the oldest first */
	int64_t since_ms;		/* when it last got somewhere; its grace runs from here */
	size_t slot;
	struct buf in;			/* bytes of the next head and what followed the last one */
	size_t scanned;
	struct work *work;		/* in BODY, WORK, REPLY */
	void *kept;			/* the handler's, from one request to the next */
	int64_t deadline_ms;		/* of the state */
	int64_t io_start_ms;		/* BODY, REPLY: when it began, */
	uint64_t io_bytes;		/* and what has moved since */
	bool known;			/* no stranger: see server.h */
	bool close;			/* no further request on this connection */
	bool running;			/* inside conn_run: callbacks must not recurse */
};

struct listener {
	struct watch watch;
	struct server *server;
	struct tls_config *tls;
	const struct handler *handler;
	void *arg;
	bool is_unix;
	struct listener *next;
};

/* As struct server_stats; other threads may read them. */
struct counters {
	_Atomic uint64_t accepted, refused_source, displaced, handshakes_failed, resumed, requests, bad_requests, timeouts;
	_Atomic unsigned connections;
};

struct server {
	struct loop *loop;
	struct server_limits limits;
	int64_t (*now_s)(void);
	struct listener *listeners;
	bool accepting[2];		/* from afar, locally; false: at the cap, out of descriptors, or draining */
	bool draining;
	struct conn *idle_first, *idle_last;
	struct conn **slots;
	size_t slot_count, slot_cap, *free_slots, free_count;
	uint64_t next_id;
	struct source **sources;	/* buckets; server_room.c */
	uint64_t source_seed;
	unsigned source_shift;
	struct crowd strangers, known;
	unsigned stranger_count, locals;
	struct source *turns_first, *turns_last;	/* whose handshakes have something to do */
	struct timer turn;		/* set while they do */
	struct tls_buffers *buffers;
	struct counters stats;
	int64_t log_after_ms;		/* refusals before this are not logged */
	struct timer retry;		/* accept again: out of descriptors, or nobody could go yet */
};

/* ---- server.c ---- */

/* Take c out of the books of connections; accepting may begin again. */
void server_unbook(struct conn *c);
/* Somebody could go now to make room: accepting may begin again. */
void server_room_made(struct server *s, bool local);

/* ---- server_room.c ---- */

void room_init(struct server *s);	/* its limits are set */
void room_release(struct server *s);
/* c comes in as a stranger (a local one is none). False: its address has its share; nothing has changed then. */
WARN_UNUSED bool room_enter(struct conn *c, const struct sockaddr_storage *from);
/* Put c where its state says, as the youngest; after every change of state. Its grace begins again. */
void room_settle(struct conn *c);
/* c's client has shown who it is. */
void room_know(struct conn *c);
void room_leave(struct conn *c);
/*
 * Is there room for one more? With *victim set: once that one is closed, which must not be done within conn_run.
 * If not: look again at *again_ms.
 */
WARN_UNUSED bool room_find(const struct server *s, bool local, struct conn **victim, int64_t *again_ms);
/* c's handshake goes on when its turn comes; nothing is waited for meanwhile. */
void room_queue(struct conn *c);
void room_turn_fire(struct timer *t);

/* ---- conn.c ---- */

/* Begin with the handshake; c is booked and watched. May free c, as may the two below. */
void conn_start(struct conn *c);
/* The watch's callback. */
void conn_ready(struct watch *watch, uint32_t revents);
/* Let the connection do what it can, then wait. */
void conn_run(struct conn *c);
/* Close and forget, telling the handler of a request in progress. */
void conn_free(struct conn *c);

/* ---- exchange.c ---- */

/* A request whose head is in bytes (moved); x is filled as far as it goes. */
struct work *work_new(struct conn *c, struct buf *bytes);
/* Calls end when owed, then frees. */
void work_free(struct work *w);
static inline struct work *work_of(struct exchange *x)
{
	return container_of(x, struct work, x);
}
/* Write the head of the reply into w->out. */
void work_reply_head(struct conn *c, struct work *w);

#endif
