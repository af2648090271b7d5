/*
 * A load generator that speaks to `serve` (or any HTTPS server) as devices do: TLS 1.2 with client certificates over
 * lib/net, one thread, one epoll loop, as many identities as the file it is given holds.
 *
 *	load_ids.c	identities, made in bulk into a control plane's database, and read back
 *	load_link.c	one connection of one device: connect, handshake (full or resumed), requests in turn
 *	load_meter.c	latencies, and what the kernel knows of the server: processor time, memory
 *	load_modes.c	kept-alive, handshakes, idle connections
 *	load_fleet.c	a fleet: heartbeats in rotation, reconnecting at once, a rollout
 *	load.c		options
 */
#ifndef MESHANICS_BENCH_LOAD_H
#define MESHANICS_BENCH_LOAD_H

#include <netinet/in.h>

#include "net/http.h"
#include "net/loop.h"
#include "net/stream.h"

/* Ends the process with what and why: a bench has no other way out. */
_Noreturn void load_die(const char *what, const struct error *why);

/* ---- identities ---- */

struct dev {
	const uint8_t *scalar;		/* 32 bytes of its P-256 key */
	struct slice cert;		/* DER */
	struct tls_session session;	/* of its last connection */
	bool has_session;
	struct link *link;		/* NULL: not connected */
	struct dev *next;		/* in the queue of those who wait for a connection */
	bool queued, registered, said;	/* said: its first heartbeat was answered */
	int64_t start_ns;		/* when what it has to say next became due */
	int64_t assignment, done;	/* what it reports on; the newest it has finished */
	unsigned step;			/* of the reports */
	char path[96];			/* of the assignment */
};

struct ids {
	struct dev *list;
	size_t count;
	void *mapped;
	size_t mapped_len;
};
/*
 * Make `count` devices in the control plane at home (serve must not run) and append their identities to file. web: also
 * WEB.pem and WEB.key for another server at 127.0.0.1, signed by the same CA as serve's own; or NULL.
 */
void ids_make(const char *home, const char *file, size_t count, const char *prefix, const char *web);
void ids_open(struct ids *ids, const char *file, size_t count);	/* count 0: all there are */
void ids_close(struct ids *ids);

/* ---- meters ---- */

/* Nanoseconds in buckets of 1/32 of their size, up to 68 s. */
struct histogram {
	uint64_t count, max_ns;
	uint32_t bucket[32 * 32];
};
void histogram_add(struct histogram *h, int64_t ns);
double histogram_us(const struct histogram *h, double share);	/* the quantile, in microseconds */

int64_t now_ns(void);
int64_t cpu_ns(int pid);	/* processor time of all its threads, ended ones too; 0 when pid is 0 */
/* Proportional set size in KiB; 0 without pid or permission. */
long pss_kib(int pid);

/* ---- the load ---- */

struct load;
struct link {
	struct watch watch;
	struct stream stream;
	struct load *load;
	struct dev *device;
	struct tls_config *tls;		/* of this connection */
	enum { LINK_CONNECT, LINK_HANDSHAKE, LINK_IDLE, LINK_WAIT } state;
	bool resumed;
	struct buf in;
	size_t scanned;
	int64_t start_ns;		/* of the request under way */
	uint64_t sent0, received0;	/* bytes on the socket when counting began */
	struct link *prev, *next;	/* all, the one that was used longest ago first */
};

/* What a mode does when something happens to a link; each may close it. */
struct mode {
	void (*up)(struct link *l);
	void (*answered)(struct link *l, int status, struct slice body);
	void (*down)(struct link *l, const struct error *why);	/* lost; it is closed afterwards */
};

struct options {
	const char *server, *ca, *name, *devices, *get, *body, *rollout, *home, *web;
	int64_t pid, connections, seconds, rate, count, interval, parallel, storm, timeout, register_;
};

struct load {
	const struct options *o;
	struct loop *loop;
	const struct mode *mode;
	struct sockaddr_in address;
	struct buf ca;			/* DER */
	struct tls_config *anonymous;	/* resumes for all: no certificate is asked for */
	struct ids ids;
	struct buf request;		/* the heartbeat, whole */
	struct link *oldest, *newest;
	size_t links;
	void *user;			/* the mode's */
	/* since counting began */
	int64_t begin_ns, begin_cpu_ns, begin_own_ns;
	uint64_t requests, failures, full, resumed, sent, received;
	struct histogram latency;
};

/* Connect a device, by its session if it has one and resume is set. Then mode->up, or mode->down. */
struct link *link_open(struct load *load, struct dev *d, bool resume);
/* Send a whole request; mode->answered when its answer is complete. start_ns: when it was due. */
void link_ask(struct link *l, struct slice request, int64_t start_ns);
void link_close(struct link *l);

/* The same head that the agent's client sends. */
void load_request(struct buf *out, const struct load *load, const char *method, const char *target, struct slice body);

void load_count_from_now(struct load *load);
/* One line of JSON about what was counted; extra: more members, each with a comma before it. */
void load_tell(struct load *load, const char *mode, const char *extra);
/* Turn the loop until at_ns, or until *stop. */
void load_run_until(struct load *load, int64_t at_ns, const bool *stop);
void load_close_all(struct load *load);

/* ---- modes ---- */
void mode_keepalive(struct load *load);
void mode_handshakes(struct load *load, bool resume);
void mode_idle(struct load *load);
void mode_fleet(struct load *load);

#endif
