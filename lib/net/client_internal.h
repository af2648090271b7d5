/* What client.c and client_io.c share: a client, and one request on its way. */
#ifndef MESHANICS_NET_CLIENT_INTERNAL_H
#define MESHANICS_NET_CLIENT_INTERNAL_H

#include "net/client.h"
#include "net/stream.h"

#define CLIENT_READ_CHUNK 65536

struct client {
	struct url url;
	char *unix_path;
	struct url proxy;
	bool has_proxy;
	struct tls_config *tls;
	int64_t connect_ms, stall_ms;
	uint64_t min_rate;
	int cancel_fd;
	const char *user_agent;
	char origin[HOST_LEN_MAX + 32];		/* for messages */
	char authority[HOST_LEN_MAX + 16];	/* for Host */

	struct stream stream;			/* fd < 0: not connected */
	struct buf in;				/* received, not yet understood */
	struct tls_session session;
	struct buf peer_ca;
	uint64_t received;			/* on connections that are closed */
	enum client_phase phase;
};

/* One exchange in progress. */
struct attempt {
	struct client *c;
	const struct client_request *q;
	struct client_response *r;
	int64_t deadline_ms;		/* of the whole request */
	int64_t io_last_ms;		/* of this direction: the last byte */
	int64_t stretch_ms;		/* when the stretch began over which the rate is measured */
	uint64_t stretch_bytes;
	uint64_t wire_seen;		/* of the stream's received bytes, those that counted as progress */
	bool sent;			/* all of the request */
	bool answered;			/* a byte of the answer has come */
	bool gave_up;			/* a deadline passed or the caller cancelled */
	bool own_error;			/* the sink failed: not the network's fault */
};

/* client.c: close the connection; the session stays. */
void client_disconnect(struct client *c);
/* client.c: as CLIENT_RESPONSE_INIT. */
void client_response_clear(struct client_response *r);

/* client_io.c: send the request on the open connection, receive its answer. A failure closes the connection. */
WARN_UNUSED int attempt_run(struct attempt *a, struct error *err);

#endif
