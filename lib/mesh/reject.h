/*
 * Packets that tell the local kernel what has become of one of its own: unreachable, prohibited, too big, and for
 * TCP a reset. They come from the address that was asked for. Never about errors of ICMP, resets, later fragments,
 * or addresses that are not one host's (RFC 1122 3.2.2, RFC 4443 2.4). No I/O; the time is given.
 */
#ifndef MESHANICS_MESH_REJECT_H
#define MESHANICS_MESH_REJECT_H

#include <stdbool.h>

#include "base/compiler.h"

#define REJECT_MAX 1280			/* bytes of an answer */
#define REJECT_PER_S 1000		/* answers in all, that many at once */
#define REJECT_TARGET_PER_S 20		/* about one address, likewise */
#define REJECT_TARGETS 256		/* buckets that addresses share */

enum reject_kind {
	REJECT_UNREACHABLE,		/* nobody has this address, or its owner does not answer */
	REJECT_PORT,			/* nothing is behind this port: a reset for TCP */
	REJECT_PROHIBITED,		/* a rule ended it, or there is no room: a reset for TCP */
	REJECT_TOO_BIG,			/* value: the MTU that would do */
};

/*
 * Write the answer to the packet ip (or a buffer of many; its transport checksum need not be computed), checksums
 * computed. Returns its length, or 0 where none is due. MTUs are raised to 68 (IPv4) or 1280 (IPv6), below which
 * none is.
 */
size_t reject_make(uint8_t out[static REJECT_MAX], const uint8_t *ip, size_t len, enum reject_kind kind, uint32_t value);

/* How many answers were due lately; for one thread. Zeroed, it lets all through that it ever will. */
struct reject_bucket {
	int64_t last_ms;
	uint32_t spent;
};
struct reject_limit {
	struct reject_bucket all;
	struct reject_bucket targets[REJECT_TARGETS];
	uint64_t withheld;
};
/* May the packet ip of len bytes, that reject_make has an answer to, be answered now? */
bool reject_allowed(struct reject_limit *l, const uint8_t *ip, size_t len, int64_t now_ms);

#endif
