/*
 * What a process that runs for long hears from its system, and says to it: signals, and what systemd wants to know.
 *
 *	SIGTERM, SIGINT --> signalled, loop_stop
 *	SIGHUP ---------> signalled
 *	watchdog -------> WATCHDOG=1 from the loop: when that hangs, systemd hears nothing
 *
 * All of it belongs to the thread of the loop.
 */
#ifndef MESHANICS_NET_DAEMON_H
#define MESHANICS_NET_DAEMON_H

#include "net/loop.h"
#include "sys/notify.h"

struct daemon {
	struct loop *loop;
	void (*signalled)(struct daemon *d, unsigned signo);	/* set by the caller */
	struct notify notify;
	struct watch signals;
	struct timer watchdog;
	int64_t watchdog_ms;
};
#define DAEMON_INIT(by) ((struct daemon){.signalled = (by), .notify = NOTIFY_INIT, .signals = {.fd = -1}})

/*
 * SIGTERM, SIGINT and SIGHUP by a descriptor, the caller's, for who has no loop: blocked in this thread, and in threads and
 * children that begin later; SIGPIPE is ignored. flags: SFD_NONBLOCK or 0.
 */
WARN_UNUSED int daemon_signals(int flags, struct error *err);

/*
 * From now on signals come by the loop, as daemon_signals has it. notify_socket: NOTIFY_SOCKET, or NULL. watchdog_ms: how
 * often to say that the loop turns; 0: never.
 */
WARN_UNUSED int daemon_start(struct daemon *d, struct loop *loop, const char *notify_socket, int64_t watchdog_ms,
			     struct error *err);
/* "READY=1" and the like, see notify_send. */
void daemon_say(const struct daemon *d, const char *state);
/* Before the loop is freed. Signals stay blocked. Safe on DAEMON_INIT. */
void daemon_stop(struct daemon *d);

#endif
