/*
 * An HTTP client that blocks, with a deadline on everything: for verbs of the command line and for the agent's
 * worker. One struct client is one origin (scheme, host, port) reached one way; it keeps its connection open
 * between requests and its TLS session for the next connection. Not shared between threads.
 *
 * Nothing is followed, retried or guessed: no redirects, no cookies, no compression; a status is a
 * result, not an error. One exception: when a kept connection turns out to be closed before the first byte of
 * an answer, an idempotent request is sent once more on a new one.
 *
 * Errors name the phase (resolve, connect, proxy, tls, send, response) and the far end. Kinds: ERR_RETRY for what
 * time may heal (names, network, timeouts, cuts, the clock), ERR_REFUSED for what trust refused, ERR_DENIED when a
 * proxy wants other credentials, ERR_MALFORMED and ERR_LIMIT for a far end that breaks HTTP or a cap.
 *
 * Limits: head 16 KiB; body by the caller's cap; connect at most 16 addresses.
 */
#ifndef MESHANICS_NET_CLIENT_H
#define MESHANICS_NET_CLIENT_H

#include "net/http.h"
#include "net/tls.h"
#include "net/url.h"

struct client;

struct client_params {
	const struct url *url;		/* scheme, host and port count; copied. NULL with unix_path */
	struct tls_config *tls;		/* for https; referenced */
	const char *unix_path;		/* a local door instead of url; copied */
	const struct url *proxy;	/* HTTP CONNECT proxy, with user and password for Basic, or NULL; copied */
	int64_t connect_ms;		/* resolve + connect + proxy + TLS; 0: 30 s */
	int64_t stall_ms;		/* without a byte on the wire; 0: 60 s */
	uint64_t min_rate;		/* bytes per second over every stretch of stall_ms; 0: 64 */
	int cancel_fd;			/* readable: give up with ERR_RETRY; -1: none. Borrowed */
	const char *user_agent;		/* static text; NULL: "meshanics/VERSION"; "": none is sent */
};
#define CLIENT_PARAMS_INIT ((struct client_params){.cancel_fd = -1})

enum client_phase {
	CLIENT_IDLE = 0, CLIENT_RESOLVE, CLIENT_CONNECT, CLIENT_PROXY, CLIENT_TLS, CLIENT_SEND, CLIENT_RESPONSE,
};

/* Never fails but for ERR_USAGE (https without tls, no origin). Connects when first used. */
WARN_UNUSED struct client *client_new(const struct client_params *p, struct error *err);
void client_free(struct client *c);	/* NULL is fine */

struct client_request {
	const char *method;		/* "GET" */
	const char *target;		/* "/path?query" */
	int64_t now_s;			/* UTC seconds, for certificates */
	int64_t timeout_ms;		/* for the whole exchange; 0: no bound but stall and rate */
	const struct http_header *headers;	/* extra ones; not Host, Content-Length, Connection */
	size_t header_count;
	const char *content_type;	/* of the body; NULL: none */
	struct slice body;		/* or, when body_fd >= 0, that part of a file: */
	int body_fd;
	uint64_t body_fd_offset, body_fd_len;
	const int *pass_fds;		/* over a unix socket: descriptors passed along */
	size_t pass_fd_count;
	uint64_t body_max;		/* cap of the response body, when the status is 200..299 */
	/*
	 * Where such a body goes, part by part; NULL: into response->body. -1 with err ends the request. Bodies of
	 * other statuses go to response->body always, and only their first 64 KiB.
	 */
	int (*sink)(void *arg, const struct http_head *head, struct slice part, struct error *err);
	void *sink_arg;
	bool idempotent;		/* may be sent twice; GET, HEAD, PUT, DELETE always may */
	bool head_only;			/* do not read the response body; the connection is closed */
};
#define CLIENT_REQUEST_INIT ((struct client_request){.body_fd = -1})

struct client_response {
	int status;
	struct http_head head;		/* slices point into head_bytes */
	struct buf head_bytes;
	struct buf body;
	uint64_t body_len;		/* payload bytes received, wherever they went */
	int64_t retry_after_s;		/* -1: not said */
};
#define CLIENT_RESPONSE_INIT                                                                          \
	((struct client_response){.head_bytes = BUF_INIT(HTTP_HEAD_MAX), .body = BUF_INIT(0)})
void client_response_release(struct client_response *r);

/* One request. response is emptied first. 0: an answer came, whatever its status, and its body is complete. */
WARN_UNUSED int client_do(struct client *c, const struct client_request *q, struct client_response *r,
			  struct error *err);
/* Where the last client_do stopped; CLIENT_IDLE after success. */
enum client_phase client_phase(const struct client *c);
/* The CA certificate of a server met by pin (DER, borrowed until client_free), after a request succeeded. */
struct slice client_peer_ca(const struct client *c);
/* Bytes received on all its connections so far, TLS included: what a metered link has carried. */
uint64_t client_received(const struct client *c);
/* Close the connection and forget the session; the next request begins anew. */
void client_reset(struct client *c);

#endif
