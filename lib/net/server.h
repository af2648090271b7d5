/*
 * The serving side: listeners and connections on one loop, over TLS, plain TCP or a unix socket.
 * A struct server belongs to its loop's thread; several threads serve one port by opening the listening
 * descriptor once (listen_open) and adding it to each thread's server.
 *
 * One request at a time per connection:
 *
 *	accept -> HANDSHAKE -> IDLE -> HEAD -> BODY -> WORK -> REPLY -> IDLE ...
 *	                                |begin          |ready   ^
 *	                                |               |        | exchange_reply, or reply_post
 *	                                +---------------+--------+ from any thread
 *
 * begin is called when the head is complete: it may answer at once, or say how the body is taken
 * (exchange_take_body, exchange_sink_body). ready is called when the body is in; it answers now, or keeps
 * exchange_token() and somebody answers later with reply_post. end is called exactly once for each begin, after
 * the reply went out or when the client vanished; release what hangs on `user` there.
 * A token outlives its client: a reply for a vanished one is dropped.
 *
 * Limits per server: connections, connections per source (IPv4 address or IPv6 /64), handshake time, head
 * time from its first byte, idle time, progress and mean rate of bodies and replies. Heads are limited as in http.h;
 * what breaks the protocol gets its status as JSON ({"error":{"code":..., "message":...}}) and is closed.
 *
 * Room. A connection is known once its client has shown a certificate that holds, or the handler has vouched for it
 * (exchange_vouch); until then it is a stranger. At the cap, whoever comes next takes the place of
 *
 *	1. the oldest stranger of the address that has most of them, if it got nowhere for grace_ms: its state did
 *	   not change, and we had nothing to send it in its handshake. Not one that waits for us.
 *	2. while strangers have less than a quarter of the cap: a known connection that is idle, of the certificate
 *	   with the most of them if those are more than four, else the one idle for longest.
 *
 * Otherwise it waits in the kernel until one of the two holds. So strangers, however many, take a quarter of the
 * cap from the known and no more; what they take changes hands every grace_ms, the greediest address first; and a
 * certificate that opens hundreds of connections displaces its own. Known connections that are busy are never closed
 * for room: their deadlines bound them. Handshakes go on a few in each turn of the loop, one of each address
 * after the other, behind everything known connections have to do. Connections over a unix socket, whose mode guards
 * it, are known and outside the cap: at most 64, and no crowd can shut them out.
 */
#ifndef MESHANICS_NET_SERVER_H
#define MESHANICS_NET_SERVER_H

#include <sys/types.h>

#include "net/http.h"
#include "net/loop.h"
#include "net/tls.h"

#define SERVER_FDS_MAX 16	/* descriptors passed with one request over a unix socket */
#define SERVER_LOCALS_MAX 64	/* connections over unix sockets, beside those that `connections` limits */

struct server;
struct exchange;

/* ---- who asks ---- */

struct peer {
	bool is_unix;
	uid_t uid;			/* unix only (SO_PEERCRED) */
	gid_t gid;
	pid_t pid;
	struct tls_peer tls;		/* tls.present: fingerprint and expiry of the client's certificate */
	char address[56];		/* "192.0.2.7:4711", "[2001:db8::1]:4711", "unix" */
};

/* ---- one request ---- */

struct exchange {			/* read by handlers; fields are the server's */
	struct http_head head;		/* valid until end */
	const struct peer *peer;
	struct slice body;		/* whole body, in ready, after exchange_take_body */
	int fds[SERVER_FDS_MAX];	/* passed descriptors, -1 when none; take one by setting it to -1 */
	void *arg;			/* of the listener */
	void *user;			/* the handler's own */
	void **kept;			/* the handler's own as well, of the connection: NULL at first, see handler.forget */
};

struct handler {
	void (*begin)(struct exchange *x);
	void (*ready)(struct exchange *x);
	void (*end)(struct exchange *x);	/* may be NULL */
	void (*forget)(void *kept);		/* the connection is over, and *x->kept was not NULL; may be NULL */
};

/* ---- answers ---- */

struct reply {
	int status;
	const char *content_type;	/* static text; NULL: none */
	struct buf body;		/* taken by the reply's sender */
	int fd;				/* a file to send instead of body, taken; -1: none */
	uint64_t fd_offset, fd_len;
	struct buf headers;		/* extra lines, by reply_header */
	bool close;			/* close the connection afterwards */
};
#define REPLY_INIT(status_)                                                                           \
	((struct reply){.status = (status_), .fd = -1, .body = BUF_INIT(64u << 20), .headers = BUF_INIT(8192)})

void reply_header(struct reply *r, const char *name, struct slice value);
void reply_text(struct reply *r, const char *content_type, const char *text);	/* copies text into the body */
/* {"error":{"code":"...","message":"..."}}; both made safe for JSON. */
void reply_error(struct reply *r, int status, const char *code, const char *message);
void reply_release(struct reply *r);	/* nothing on one that was sent */

/* Take the body into memory, at most cap bytes (else 413 and close). In begin. Without either call: cap 0. */
void exchange_take_body(struct exchange *x, size_t cap);
/*
 * Stream the body: part by part into sink, at most cap bytes. A sink that fails has answered with
 * exchange_reply (the connection closes after it) and returns -1.
 */
void exchange_sink_body(struct exchange *x, uint64_t cap, int (*sink)(struct exchange *x, struct slice part));
/* Answer now, in the loop's thread; in begin, sink, ready or later. Takes what r holds. Once per exchange. */
void exchange_reply(struct exchange *x, struct reply *r);

/* The client has shown who it is by other means than a certificate: no stranger from now on. In begin, sink or ready. */
void exchange_vouch(struct exchange *x);

struct exchange_token {
	struct server *server;
	size_t slot;
	uint64_t id;
};
struct exchange_token exchange_token(const struct exchange *x);
/* Answer from any thread. Takes what r holds. A vanished client is no error. */
void reply_post(struct exchange_token token, struct reply *r);
/* The exchange of a token, in the loop's thread, or NULL when the client is gone. */
struct exchange *exchange_find(struct exchange_token token);

/* ---- the server ---- */

struct server_limits {		/* 0 in any field: the default in brackets */
	unsigned connections;		/* [4096] */
	unsigned per_source;		/* [half of connections] strangers of one address; not of this machine's own */
	int64_t grace_ms;		/* [1000] */
	int64_t handshake_ms;		/* [10000] */
	int64_t head_ms;		/* [10000] from a head's first byte to its end */
	int64_t idle_ms;		/* [75000] between requests */
	int64_t stall_ms;		/* [30000] without progress in a body or reply */
	uint64_t min_rate;		/* [1024] bytes per second of a body or reply, after stall_ms of grace */
};

/* Counted by the server's thread; any thread may read them with server_stats while the server lives. */
struct server_stats {
	uint64_t accepted, refused_source;
	uint64_t displaced;		/* closed to make room */
	uint64_t handshakes_failed, resumed, requests, bad_requests, timeouts;
	unsigned connections;
};

/* now_s: gives UTC seconds for TLS; limits may be NULL. The loop must outlive the server. */
WARN_UNUSED struct server *server_new(struct loop *l, const struct server_limits *limits,
				      int64_t (*now_s)(void), struct error *err);
/* Closes every connection and listener, running end for open exchanges. Threads that hold tokens are done. */
void server_free(struct server *s);

/*
 * A listening descriptor: "127.0.0.1:9443", "[::]:9443" (both families), ":9443" (the same), or "unix:/path"
 * (mode 0600; a stale socket is replaced, a live one is ERR_CONFLICT). Names are not resolved: ERR_USAGE.
 */
WARN_UNUSED int listen_open(const char *address, struct error *err);
/* The port a TCP listener has got ("...:0" asks for a free one). */
uint16_t listen_port(int fd);

struct listener;
/*
 * Serve fd (borrowed, nonblocking, may be shared with other servers). tls is referenced; NULL: plain. The
 * handler and arg live as long as the server. NULL with err when the loop refuses.
 */
WARN_UNUSED struct listener *server_add(struct server *s, int fd, struct tls_config *tls,
					const struct handler *handler, void *arg, struct error *err);
/* New connections get the new configuration (a renewed certificate); old ones keep theirs. */
void listener_set_tls(struct listener *l, struct tls_config *tls);

/* Stop accepting, close idle connections, answer what is in progress with Connection: close. */
void server_drain(struct server *s);
bool server_drained(const struct server *s);
/* Close idle connections of this client certificate now, busy ones after their reply. */
void server_evict(struct server *s, const uint8_t fingerprint[static 32]);
void server_stats(const struct server *s, struct server_stats *out);

#endif
