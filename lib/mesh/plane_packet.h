/*
 * Inner packets as the data plane sees them: reading their headers, cutting a large buffer into packets and joining
 * packets into a large buffer, open and computed checksums. No I/O, no memory of its own. All lengths are of whole IP packets unless they say otherwise.
 */
#ifndef MESHANICS_MESH_PLANE_PACKET_H
#define MESHANICS_MESH_PLANE_PACKET_H

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "mesh/plane.h"

#define PLANE_HEADERS_MAX 120		/* IPv4 with options and TCP with options, the longest that is cut or joined */
#define PLANE_JOIN_MAX 64		/* packets in one buffer */

/*
 * Read the headers of one IP packet, or of one buffer of many, as inner.h reads them. The length in the header may be
 * less than `len` (then the rest is not of the packet and out->len says so), never more. out->segment is 0. false: it
 * is no packet between two hosts that a filter could judge.
 */
bool plane_packet_parse(const uint8_t *ip, size_t len, struct plane_packet *out);

/* ---- checksums ---- */

/* The one's complement sum of bytes added to `sum`; fold by plane_sum_fold. An odd length may only come last. */
uint64_t plane_sum(const uint8_t *p, size_t n, uint64_t sum);
uint16_t plane_sum_fold(uint64_t sum);	/* in the order of the bytes in memory, not complemented */
/* The sum of the pseudo header of p, with l4_len bytes of transport. */
uint64_t plane_sum_pseudo(const struct plane_packet *p, size_t l4_len);
/* Where in the transport header the checksum is: 16 (TCP), 6 (UDP), or 0: the plane knows none there. */
size_t plane_checksum_at(const struct plane_packet *p);
/* Compute the TCP or UDP checksum of a whole packet into it; nothing for others. */
void plane_checksum_fill(const struct plane_packet *p, uint8_t *ip);
/* Is the TCP or UDP checksum right? false for others, for fragments, and for UDP without one. */
bool plane_checksum_good(const struct plane_packet *p);

/* ---- from the interface ---- */

/* What a buffer from the interface is, header and packet held against each other. */
struct plane_buffer {
	struct plane_packet packet;	/* segment is set for one that is to be cut */
	bool open;			/* its TCP or UDP checksum is not computed (and need not be, under the flag) */
	size_t headers;			/* bytes of headers, for one that is to be cut */
};

/*
 * Judge a buffer that was read: virtio_net_hdr and packet. A checksum that is open in a way that the flag cannot say is
 * computed here. false: they contradict each other.
 */
bool plane_buffer_parse(uint8_t *buffer, size_t len, struct plane_buffer *out);

/* A buffer being cut. */
struct plane_cut {
	const struct plane_buffer *from;
	size_t size;		/* payload of each, but the last */
	size_t at;		/* next byte of payload */
	size_t payload;		/* of all */
	uint32_t sum;		/* IPv4: of the header without length and id */
	uint32_t seq;		/* TCP, of the first */
	uint16_t id;		/* IPv4 */
	uint8_t flags;		/* TCP */
};

/*
 * Begin to cut b into packets with at most `size` bytes of payload (b->packet.segment, or less where the path is
 * narrow; TCP only).
 */
void plane_cut_start(struct plane_cut *c, const struct plane_buffer *b, size_t size);
/* How long the next packet is; 0: there is none. */
size_t plane_cut_next_len(const struct plane_cut *c);
/* Write it, with its open checksum (zero), to out. */
void plane_cut_next(struct plane_cut *c, uint8_t *out);

/* Lower the MSS that a TCP SYN offers to what fits into packets of `mtu` bytes. open: its checksum is not computed. */
void plane_clamp_mss(const struct plane_packet *p, uint8_t *ip, size_t mtu, bool open);

/* ---- to the interface ---- */

/*
 * Packets being joined: the first, whole, and the payloads of those behind it. They stay where they are until it
 * is written.
 */
struct plane_join {
	struct iovec iov[2 + PLANE_JOIN_MAX];	/* virtio_net_hdr, first packet, payloads */
	struct virtio_net_hdr head;
	struct plane_packet first;
	uint8_t *ip;		/* of the first */
	unsigned count;		/* packets; 0: none */
	size_t headers;
	size_t size;		/* payload of the first */
	size_t payload;		/* of all */
	uint8_t flags;		/* TCP, of all */
	bool joinable;		/* more may follow */
	bool open;		/* the first one's checksum is open */
};

/*
 * Start with this packet (its bytes may be changed at plane_join_finish). open: as its flag says; then it must be
 * TCP or UDP and no fragment: false where it is not. udp: may UDP be joined (the kernel takes it)?
 */
bool plane_join_start(struct plane_join *j, const struct plane_packet *p, uint8_t *ip, bool open, bool udp);
/* Put it behind the others if it is the same flow's next one, and looks as if one buffer had been cut. */
bool plane_join_add(struct plane_join *j, const struct plane_packet *p, bool open);
/* Set up header and lengths: iov[0..n-1] is what to write. Returns n; the join is empty then. */
int plane_join_finish(struct plane_join *j);

#endif
