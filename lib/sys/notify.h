/*
 * What systemd wants to hear (sd_notify(3)), as datagrams on the socket that it names in NOTIFY_SOCKET. The
 * caller at the edge reads the environment and hands the path in; NULL or "" makes every call do nothing.
 */
#ifndef MESHANICS_SYS_NOTIFY_H
#define MESHANICS_SYS_NOTIFY_H

#include "base/error.h"

struct notify {
	int fd;		/* connected; -1: nobody listens */
};
#define NOTIFY_INIT ((struct notify){.fd = -1})

/* path: an absolute path or "@name" in the abstract namespace, as NOTIFY_SOCKET has it. Connect before a sandbox. */
WARN_UNUSED int notify_open(struct notify *n, const char *path, struct error *err);
void notify_release(struct notify *n);	/* safe on NOTIFY_INIT */
/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...", several with newlines between. Never blocks; a loss is not an error. */
void notify_send(const struct notify *n, const char *state);
/* Half of WATCHDOG_USEC (the interval to send at), in ms; 0 when text is NULL, no number, or meant for another pid. */
int64_t notify_watchdog_ms(const char *watchdog_usec, const char *watchdog_pid);

#endif
