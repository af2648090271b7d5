/*
 * Making outbound connections with a deadline: names, addresses, proxies, unix sockets. Descriptors come
 * back nonblocking and close-on-exec. Errors are ERR_RETRY (network, time, cancelled) unless said otherwise.
 */
#ifndef MESHANICS_NET_DIAL_H
#define MESHANICS_NET_DIAL_H

#include <sys/socket.h>

#include "net/url.h"

#define DIAL_ADDRESSES_MAX 16
#define DIAL_LOOKUPS_MAX 8	/* look-ups at a time in one process, forgotten ones included */

struct dial {
	int64_t deadline_ms;	/* on clock_mono_ms; INT64_MAX: none */
	int cancel_fd;		/* readable: give up; -1: none */
};

/* Wait until fd has one of events (POLLIN, POLLOUT), an error or a hang-up. 0, or -1. */
WARN_UNUSED int dial_wait(const struct dial *d, int fd, short events, struct error *err);

/*
 * The addresses of a name (or the address itself, for a literal) in order of preference (RFC 6724), at most
 * DIAL_ADDRESSES_MAX. getaddrinfo(3) runs in a thread of its own, which a deadline leaves behind to end by itself;
 * while DIAL_LOOKUPS_MAX such threads have not ended, no other is started.
 */
WARN_UNUSED int dial_resolve(const struct dial *d, const char *host, enum host_kind kind, uint16_t port,
			     struct sockaddr_storage *out, size_t *count, struct error *err);
/*
 * Connect to one of the addresses (RFC 8305): families in turn, the next one tried beside the others after 250 ms, or
 * at once when one fails; the first to answer wins. The descriptor or -1.
 */
WARN_UNUSED int dial_tcp(const struct dial *d, const struct sockaddr_storage *addresses, size_t count,
			 struct error *err);
WARN_UNUSED int dial_unix(const char *path, struct error *err);
/*
 * Ask the HTTP proxy at the other end of fd for a tunnel to url's host and port (CONNECT, RFC 9110 9.3.6; Basic
 * credentials when the proxy's URL has a user). ERR_DENIED: it wants other credentials; ERR_REFUSED: it
 * refuses the destination.
 */
WARN_UNUSED int dial_tunnel(const struct dial *d, int fd, const struct url *proxy, const struct url *url,
			    struct error *err);

#endif
