/*
 * The control plane as a process: four listeners, the local socket, the writer, and what happens on schedule.
 *
 *	main thread      signals, watchdog, every second: last-seen flush; when due: metadata, certificate
 *	loop threads     one epoll loop each, all on the same listening descriptors, a read-only connection each
 *	writer thread    everything that changes (store/writer.h)
 *	pool threads     hashing of uploads (control/pool.h)
 */
#ifndef MESHANICS_CONTROL_SERVE_H
#define MESHANICS_CONTROL_SERVE_H

#include "control/control.h"

#define SERVE_LOOPS_MAX 16

struct serve_options {
	const char *home;
	struct control_settings settings;	/* ports are set from the listeners */
	/* "ADDRESS:PORT" each; port 0 asks for a free one. */
	const char *api_listen, *repository_listen, *device_listen, *enroll_listen;
	unsigned loops;			/* threads that serve connections; 0: one per processor, at most 4 */
	unsigned connections_max;	/* of each loop; 0: 4096. Fewer when there are too few descriptors for them */
	const char *notify_socket;	/* NOTIFY_SOCKET of systemd, or NULL */
	int64_t watchdog_ms;		/* how often to say that we live; 0: never */
	const char *ready_file;		/* written with the addresses once serving, or NULL: for scripts */
};

/*
 * Serve until SIGTERM or SIGINT, then stop cleanly: no new connections, requests in progress answered, the queue
 * committed. Needs `ca init` and an adopted repository. Blocks. 0 after a clean stop.
 */
WARN_UNUSED int serve_run(const struct serve_options *options, struct error *err);

#endif
