/*
 * What a packet inside the mesh is, as far as access to it depends on that: addresses, protocol, ports, flags of
 * TCP, echo ids, fragments, and for errors of ICMP the packet that they quote. Only headers are read, so that a
 * buffer of many segments (GSO) is judged like one packet. No I/O, no memory of its own. What is not known is not
 * guessed: it is INNER_OTHER, or a fault.
 * Caps: INNER_EXTENSIONS_MAX extension headers of IPv6, INNER_EXTENSIONS_LEN_MAX bytes of them.
 */
#ifndef MESHANICS_MESH_INNER_H
#define MESHANICS_MESH_INNER_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/slice.h"

#define INNER_EXTENSIONS_MAX 8
#define INNER_EXTENSIONS_LEN_MAX 512
/* No fragment may begin before this byte of what is fragmented: it could replace a header that was judged already (RFC 3128). */
#define INNER_FRAGMENT_MIN 24

/* Why a packet is no such thing. */
enum inner_fault {
	INNER_OK = 0,
	INNER_SHORT,		/* a header does not fit */
	INNER_VERSION,		/* neither 4 nor 6 */
	INNER_LENGTH,		/* lengths contradict each other */
	INNER_OPTION,		/* an option that is malformed, or a source route */
	INNER_EXTENSION,	/* too many extension headers, or one where it may not be, or a routing header */
	INNER_FRAGMENT,		/* a fragment that cuts headers, or begins inside them, or is too large in sum */
	INNER_FLAGS,		/* flags that no TCP sends: none, or SYN with FIN or RST */
	INNER_ADDRESS,		/* a source that is multicast, loopback or unspecified; or a destination that is not one host */
	INNER_QUOTE,		/* an error that quotes nothing that it may be about */
};

enum inner_kind {
	INNER_OTHER,		/* a protocol without ports, or an ICMP message that is neither echo nor error */
	INNER_TCP,
	INNER_UDP,
	INNER_ECHO_REQUEST,
	INNER_ECHO_REPLY,
	INNER_ERROR,		/* of ICMP: unreachable, too big, time exceeded, parameter problem */
	INNER_LATER_FRAGMENT,	/* without a transport header */
};

/* TCP's flags as they stand in the header. */
#define INNER_FIN 0x01
#define INNER_SYN 0x02
#define INNER_RST 0x04
#define INNER_ACK 0x10

struct inner {
	enum inner_kind kind;
	uint8_t version;		/* 4 or 6 */
	uint8_t protocol;		/* IPPROTO_*; of IPv6 the next header that is no extension */
	uint8_t address_len;		/* 4 or 16 */
	uint8_t tcp_flags;
	uint8_t icmp_type, icmp_code;
	bool fragmented;		/* a part of a larger packet; the first one has its kind and ports */
	uint16_t source_port, target_port;	/* TCP, UDP */
	uint16_t echo_id;
	uint32_t fragment_id;		/* of fragmented */
	uint16_t fragment_offset;	/* in bytes */
	size_t transport;		/* offset of the transport header; length where there is none */
	size_t length;			/* of the whole packet, by its header */
	const uint8_t *source, *target;	/* in the packet, address_len bytes */
};

/*
 * Read the headers of a packet in len bytes (more may follow it, that is not looked at). Anything but INNER_OK
 * leaves *out unfit for use.
 */
WARN_UNUSED enum inner_fault inner_parse(struct inner *out, const uint8_t *ip, size_t len);
/*
 * The packet that an error quotes: a packet of the other direction, cut off anywhere behind its ports. It may not
 * be an error itself, nor a later fragment, and must have been sent by whom the error goes to: INNER_QUOTE, or
 * another fault of it.
 */
WARN_UNUSED enum inner_fault inner_parse_quoted(struct inner *out, const struct inner *error, const uint8_t *ip);

/* "a source that ...", for a log. */
const char *inner_fault_text(enum inner_fault f);

#endif
