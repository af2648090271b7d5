/* Socket addresses: the text forms of listeners and peers, and what counts as one source. */
#ifndef MESHANICS_NET_ADDR_H
#define MESHANICS_NET_ADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

#define ADDR_TEXT_LEN 56	/* "[<39 bytes>]:65535" and NUL, or "unix" */

/* "192.0.2.7:4711", "[2001:db8::1]:4711", "unix"; an IPv4 address mapped into IPv6 prints as IPv4. */
void addr_text(char out[static ADDR_TEXT_LEN], const struct sockaddr_storage *a);
/*
 * "IPV4:PORT", "[IPV6]:PORT" or ":PORT" (any address, both families). Names are not resolved. Port 0 asks for
 * a free one. -1 with ERR_USAGE.
 */
WARN_UNUSED int addr_parse(struct sockaddr_storage *out, socklen_t *len, struct slice text, struct error *err);
/* 127.0.0.0/8, ::1 and unix. */
bool addr_is_local(const struct sockaddr_storage *a);
/* One number for one source: the IPv4 address, or the /64 of an IPv6 address. */
uint64_t addr_source(const struct sockaddr_storage *a);

#endif
