/* Endpoints: where a datagram goes to or came from. The 19-byte form of handshakes and control messages. */
#ifndef MESHANICS_MESH_ENDPOINT_H
#define MESHANICS_MESH_ENDPOINT_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/slice.h"

struct sockaddr;
struct sockaddr_storage;

#define ENDPOINT_WIRE_LEN 19	/* family, address padded with zeros to 16 bytes, port */

enum endpoint_family { ENDPOINT_NONE = 0, ENDPOINT_V4 = 4, ENDPOINT_V6 = 6 };

/* IPv4 in the first four bytes of addr, the rest zero: comparable by memcmp of family, addr and port. */
struct endpoint {
	uint8_t family;		/* enum endpoint_family */
	uint8_t addr[16];
	uint16_t port;		/* host order */
};

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/*
 * Whether a node may be asked to send there: port not 0; address not unspecified, loopback, multicast, broadcast, IPv6
 * link-local, nor IPv4 inside IPv6 (::ffff:0:0/96, ::/96).
 */
bool endpoint_usable(const struct endpoint *e);
/* Whether the first `bits` of both addresses, of one family, are the same; ports are not looked at. */
bool endpoint_within(const struct endpoint *e, const struct endpoint *net, unsigned bits);
void endpoint_put(uint8_t out[static ENDPOINT_WIRE_LEN], const struct endpoint *e);
/* 0, or -1 for a family that is neither 4, 6 nor (all zeros) none, and for IPv4 whose padding is not zero. */
WARN_UNUSED int endpoint_get(struct endpoint *e, const uint8_t in[static ENDPOINT_WIRE_LEN]);
/* IPv4-mapped IPv6 becomes IPv4. -1 for another family. The scope of a link-local address is not kept. */
WARN_UNUSED int endpoint_from_sockaddr(struct endpoint *e, const struct sockaddr *sa);
/* The length of the socket address; e has a family. */
unsigned endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa);
/* "192.0.2.7:7783" or "[2001:db8::7]:7783"; "-" for none. */
#define ENDPOINT_TEXT_LEN 56
const char *endpoint_text(char out[static ENDPOINT_TEXT_LEN], const struct endpoint *e);

#endif
