/*
 * The data plane of one network: packets between its TUN interface and its UDP sockets, sealed. One thread does
 * both directions, and another one takes tx from it while there is much to do; they allocate nothing and take no lock for
 * a packet. The thread of control tells them, by the functions below, where packets go, and hears from them through
 * one ring.
 *
 *	            tx:  TUN --> [scope out] --> peer of the block --> session --> cut, seal --> UDP
 *	kernel                                                                                     network
 *	            rx:  TUN <-- merge <-- [scope in] <-- source is the peer's? <-- open <-- UDP
 *
 *	control:  plane_peer_*, plane_endpoint_set, plane_session_*  --> both, at once
 *	          plane_send, plane_inject, plane_feed               --> UDP, TUN, rx
 *	          plane_send_packet                                  --> tx
 *	          plane_next  <-- [ rings of tx and of rx, eventfd ] <-- both
 *
 * Unless it says otherwise, a function here is for the one thread of control. What it hands over stays where the
 * threads see it until both have passed a point at which they hold nothing (a quiescent point: the top of their
 * loops); only then is it freed, by plane_reap. Caps: PLANE_PEERS_MAX, PLANE_SESSIONS_MAX, PLANE_STAGED_*.
 */
#ifndef MESHANICS_MESH_PLANE_H
#define MESHANICS_MESH_PLANE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "sys/tun.h"
#include "sys/udp.h"

#define PLANE_PEERS_MAX 8192
#define PLANE_SESSIONS_MAX 16384	/* a power of two: a receiver index is slot | random << 14 */
#define PLANE_STAGED_PER_PEER 128	/* packets that wait for a session; the oldest gives way */
#define PLANE_STAGED_MAX 4096
#define PLANE_CONTENT_MAX 9000		/* of one datagram, header and tag excluded */
#define PLANE_HEADER_LEN 16
#define PLANE_TAG_LEN 16
#define PLANE_OVERHEAD (PLANE_HEADER_LEN + PLANE_TAG_LEN)
#define PLANE_MTU 1420			/* of the interface, when nothing else is asked for */
#define PLANE_NOBODY UINT32_MAX		/* in place of a peer or a session index */

struct plane;
struct session;	/* the crypto's own; the plane only carries the pointer */

/* The header of a datagram, unmasked. */
struct plane_head {
	uint32_t index;		/* of the receiver's session */
	uint64_t counter;
	uint8_t type;
	uint8_t flags;
	uint8_t clear[PLANE_HEADER_LEN];	/* all of it, for the cipher */
};

/* Bit of plane_head.flags in data packets: the TCP or UDP checksum of the packet is not computed. */
#define PLANE_FLAG_NO_CHECKSUM 1

/*
 * How datagrams are sealed and opened; called by several threads at once. plane_session_crypto below is the one of
 * sessions; others are for measuring. A datagram is PLANE_HEADER_LEN bytes of header, content, PLANE_TAG_LEN bytes
 * of tag.
 */
struct plane_crypto {
	uint8_t type_data;	/* plane_head.type of packets from TUN; all other types are control's */
	/*
	 * Seal in place with the session's next counter: dgram has n bytes of content behind room for the header,
	 * and room for the tag behind them. Also masks the header. false: the session may send no more.
	 */
	bool (*seal)(struct session *s, uint8_t *dgram, size_t n, uint8_t type, uint8_t flags);
	/*
	 * Read the header of a datagram of len >= PLANE_OVERHEAD bytes, which stays masked. `masks`: as given to
	 * plane_masks_set. `known` says whether an index is one of ours; false: the datagram is of no session of ours.
	 */
	bool (*peek)(const void *masks, const uint8_t *dgram, size_t len, bool (*known)(void *arg, uint32_t index), void *arg,
		     struct plane_head *head);
	/*
	 * Check the counter, open in place, remember the counter; content is behind the header. rx's thread alone.
	 * false: it is not authentic, or replayed, or of a type that the session may not carry.
	 */
	bool (*open)(struct session *s, const struct plane_head *head, uint8_t *dgram, size_t len);
	void (*session_free)(struct session *s);	/* control's thread, by plane_reap */
	void (*masks_free)(void *masks);		/* likewise */
};

/* Of session.h. Its masks are made by plane_masks_new; it accepts no data under a session of kind SESSION_ROTATION. */
extern const struct plane_crypto plane_session_crypto;
struct subkeys;
/* Copies of the subkeys of n (1 or 2) generations, the current one first; for plane_masks_set. */
void *plane_masks_new(const struct subkeys *const *generations, size_t n);

/* What is to become of a packet. */
enum plane_verdict {
	PLANE_PASS,
	PLANE_DROP,
	PLANE_REJECT,	/* dropped, and who sent it here is told so: prohibited by ICMP, of TCP by a reset */
	PLANE_TAKE,	/* goes to control as PLANE_EVENT_TAKEN, in place of its way */
};

/*
 * An inner packet as it stands in memory, headers checked as inner.h does. It may be many segments of one flow: then
 * segment is the size of the TCP or UDP payload of each, and ip[] has the header of all.
 */
struct plane_packet {
	const uint8_t *ip;	/* all of it contiguous */
	size_t len;
	uint16_t segment;	/* 0: one packet */
	uint8_t version;	/* 4 or 6 */
	uint8_t protocol;	/* IPPROTO_*; of IPv6 the first next header that is no extension */
	bool fragment;		/* a part of a larger one, first or later */
	uint16_t l4;		/* offset of the transport header; len when there is none (a later fragment) */
	int64_t now_ms;		/* clock_mono_ms, as of the beginning of this round of the thread */
	/* For the rewriting of plane_scope alone; NULL and false in all other places. */
	uint8_t *bytes;		/* ip[0..len), to be written */
	bool partial;		/* the transport's checksum is not computed, and set to what it must be afterwards */
};

/*
 * The rules, filled from the filter's code; called by tx (out, unowned) and rx (in, stranger), maybe at once. NULL:
 * PLANE_PASS. Of TCP segments that are joined on their way in, the first is asked about, and one with FIN by
 * itself: all others of them have the same addresses, ports, acknowledgement and flags (but PSH), and follow each
 * other at once.
 */
struct plane_scope {
	void *arg;
	enum plane_verdict (*out)(void *arg, uint32_t peer, const struct plane_packet *p);
	enum plane_verdict (*in)(void *arg, uint32_t peer, const struct plane_packet *p);
	/*
	 * A packet from the kernel to an address in our range that no peer has (own: it is in a block of our own).
	 * NULL, or PLANE_REJECT: "host unreachable" is answered. PLANE_PASS is the same as PLANE_DROP here.
	 */
	enum plane_verdict (*unowned)(void *arg, bool own, const struct plane_packet *p);
	/*
	 * May a datagram that is of no session of ours bother control? Cheap checks alone: length, outer MAC, rate
	 * by source. The bytes are as they came. NULL: yes.
	 */
	bool (*stranger)(void *arg, const struct udp_path *from, const uint8_t *dgram, size_t len);
	/*
	 * Change addresses and ports in p->bytes: of a packet that is about to be written to the interface (rx; and tx,
	 * of its answers about packets to this peer), and of one just read from it, before its peer is looked up and
	 * `out` is asked. IPv4's header checksum is the hook's to keep right, the transport's where p->partial is false;
	 * lengths, version and protocol stay. Of segments that were joined, p is the first (p->len too), p->segment
	 * says that more follow, and all get its addresses and ports. NULL: nothing is changed.
	 */
	void (*rewrite_in)(void *arg, uint32_t peer, struct plane_packet *p);
	void (*rewrite_out)(void *arg, struct plane_packet *p);
};

struct plane_options {
	const char *interface;		/* "mesh%d": the kernel chooses */
	bool no_interface;		/* none is made: there are only sockets, and control's own packets */
	uint16_t mtu;			/* 0: PLANE_MTU; 1280..PLANE_CONTENT_MAX */
	uint32_t queue;			/* packets that wait before tx reads them; 0: as the plane thinks best */
	unsigned tun_offloads;		/* of enum tun_offload: what to ask for; ~0u: all */
	bool udp_no_offload;		/* datagrams one by one */
	bool no_merge;			/* what arrives goes to the interface packet by packet */
	union udp_addr listen4, listen6;	/* AF_UNSPEC: not that family */
	bool listen6_may_fail;		/* a machine without IPv6 is no error */
	int socket_buffer;		/* bytes, for each direction; 0: 4 MiB to receive, 1 MiB to send */
	uint32_t range4;		/* the network's IPv4 range, host order, and its prefix length (13..26) */
	uint8_t range4_len;
	uint8_t range6[6];		/* the first 48 bits of its IPv6 addresses: fd12:NNNN:NNNN */
};

/*
 * Make the interface (addressless; the caller adds addresses by sys/netlink.h) and the sockets; start nothing.
 * Borrows crypto and scope for the plane's life. -1: ERR_NOT_FOUND or ERR_DENIED for the interface (the caller goes
 * on without a plane), ERR_CONFLICT for a taken port or name.
 */
WARN_UNUSED struct plane *plane_new(const struct plane_options *o, const struct plane_crypto *crypto,
				    const struct plane_scope *scope, struct error *err);
WARN_UNUSED int plane_start(struct plane *p, struct error *err);	/* both threads */
/* Stops and joins the threads, frees all sessions; the interface goes. NULL is fine. */
void plane_free(struct plane *p);

const struct tun *plane_tun(const struct plane *p);	/* with no_interface: closed, nameless, index 0 */
/* The sockets' own addresses; AF_UNSPEC where there is none. */
void plane_listening(const struct plane *p, union udp_addr *v4, union udp_addr *v6);
/* For options that control must set (multicast groups); NULL: no socket of this family. */
const struct udp *plane_socket(const struct plane *p, int family);

/* ---- masks ---- */

/* What peek is given from now on. Takes it; the former ones are freed by crypto->masks_free when nobody reads them. */
void plane_masks_set(struct plane *p, void *masks);

/* ---- peers and who owns which block ---- */

/* A new peer without blocks. *peer is its slot until plane_peer_remove. -1: ERR_LIMIT. */
WARN_UNUSED int plane_peer_add(struct plane *p, uint32_t *peer, struct error *err);
/* Its blocks, sessions and staged packets go with it. */
void plane_peer_remove(struct plane *p, uint32_t peer);
/*
 * Block `index` belongs to `peer` (PLANE_NOBODY: to nobody): packets to it are sealed for this peer, and packets
 * from it are accepted from this peer alone. Replaces whoever had it. PLANE_SELF: our own.
 */
#define PLANE_SELF (UINT32_MAX - 1)
void plane_block_set(struct plane *p, uint32_t index, uint32_t peer);

/* How to reach a peer now. */
enum plane_way {
	PLANE_WAY_NONE,		/* not at all: its packets are staged */
	PLANE_WAY_UDP,
	PLANE_WAY_CONTROL,	/* sealed datagrams go to control as PLANE_EVENT_OUT (relays by TCP, and the like) */
};
struct plane_endpoint {
	enum plane_way way;
	struct udp_path path;	/* of PLANE_WAY_UDP */
	/*
	 * The largest content of a datagram that gets there: path MTU less IP, UDP and PLANE_OVERHEAD; 576 at
	 * least. Larger packets are answered to the local kernel with "too big"; TCP is cut smaller.
	 */
	uint16_t mtu;
	/* Goes before each datagram, at most 64 bytes: for relays by UDP. */
	uint8_t prefix[64];
	uint8_t prefix_len;
};
void plane_endpoint_set(struct plane *p, uint32_t peer, const struct plane_endpoint *e);	/* copied */

/*
 * What waits for a session (staged) is given up; unreachable: the local senders are told "host unreachable". Takes
 * effect soon.
 */
void plane_staged_drop(struct plane *p, uint32_t peer, bool unreachable);

/* ---- sessions ---- */

/* Take a free receiver index for a handshake. -1: ERR_LIMIT. */
WARN_UNUSED int plane_index_take(struct plane *p, uint32_t *index, struct error *err);
void plane_index_give(struct plane *p, uint32_t index);	/* one that was never published */
enum plane_use {
	PLANE_USE_NOW,		/* send with it from now on; staged packets leave */
	PLANE_USE_CONFIRMED,	/* the same, as soon as the first packet was opened with it (PLANE_EVENT_CONFIRMED) */
};
/* The session of `peer` under this index: packets received are opened with it at once. Takes s. */
void plane_session_publish(struct plane *p, uint32_t index, uint32_t peer, struct session *s, enum plane_use use);
/* No packet is sent or opened with it from the next moment on. It is freed, and the index free again, by plane_reap. */
void plane_session_retire(struct plane *p, uint32_t index);
/* The index that is sent with to this peer, or PLANE_NOBODY. */
uint32_t plane_session_sending(const struct plane *p, uint32_t peer);
/* Free what was retired and is held by nobody; call it now and then. Returns how much still waits. */
size_t plane_reap(struct plane *p);

/* ---- control's own packets ---- */

/*
 * Send one datagram to an address, as it is (handshakes, beacons). Returns 0 or an errno (EMSGSIZE, ENETUNREACH, ...).
 * Any thread.
 */
int plane_send_raw(struct plane *p, const struct udp_path *to, const void *dgram, size_t len);
/*
 * Seal content for a peer with a session (index, or PLANE_NOBODY: the one it sends with), and send it: by its
 * endpoint, or (to != NULL) to another address (probes). Content of PLANE_CONTENT_MAX bytes at most. Returns 0 or
 * an errno; ENOTCONN: no such session; EDESTADDRREQ: no way; EKEYEXPIRED: the session may send no more.
 */
int plane_send(struct plane *p, uint32_t peer, uint32_t index, const struct udp_path *to, uint8_t type, const void *content,
	       size_t len);
/*
 * Seal an IP packet of our own making for a peer, as one from the interface; its destination must be in a block of the
 * peer's. It waits for a session as others do; neither `rewrite_out` nor `out` see it, and nobody is told if it is
 * larger than the path. Checksums computed; PLANE_CONTENT_MAX bytes at most. false: too large, or too many wait.
 * Any thread.
 */
bool plane_send_packet(struct plane *p, uint32_t peer, const void *ip, size_t len);
/* Write a whole IP packet, checksums computed, to the local kernel. Any thread. */
bool plane_inject(struct plane *p, const void *ip, size_t len);
/*
 * A datagram that came another way (a relay by TCP) is treated by rx as if it had come from `from`. false: too
 * many wait.
 */
bool plane_feed(struct plane *p, const struct udp_path *from, const void *dgram, size_t len);

/* ---- what control hears ---- */

/*
 * While control is away the rings fill, and what does not fit is lost. What comes once (WANTED, CONFIRMED, ROAMED, GONE)
 * is then said at the next occasion; what comes with each packet (OUT, TAKEN outward, WORN) leaves a quarter to it.
 * Of the last quarter of rx's ring each peer has a small share. The two rings are taken from by turns.
 */
enum plane_event_kind {
	PLANE_EVENT_STRANGER,	/* a datagram of no session of ours, as it came: path, data */
	PLANE_EVENT_MESSAGE,	/* of another type than data, opened: peer, index, head, path, data = its content */
	PLANE_EVENT_WANTED,	/* packets wait for a session or a way; said once until one is there: peer, count */
	PLANE_EVENT_CONFIRMED,	/* the first packet of an unconfirmed session was opened: peer, index, path */
	PLANE_EVENT_ROAMED,	/* an authentic packet came by a path that is not the peer's: peer, index, head, path */
	PLANE_EVENT_WORN,	/* a session may send no more: peer, index */
	PLANE_EVENT_TOO_BIG,	/* larger than the kernel's idea of the path: peer, path, count = its bytes */
	PLANE_EVENT_UNSENT,	/* the kernel refused datagrams: peer, path, error; one a second and peer at most */
	PLANE_EVENT_TAKEN,	/* PLANE_TAKE: peer (or NOBODY, SELF), outward, data = the whole IP packet, summed */
	PLANE_EVENT_OUT,	/* PLANE_WAY_CONTROL: peer, data = the sealed datagram */
	PLANE_EVENT_GONE,	/* the interface is gone, or a thread ended: error */
};

struct plane_event {
	enum plane_event_kind kind;
	uint32_t peer;
	uint32_t index;
	struct plane_head head;
	struct udp_path path;
	uint32_t count;
	int error;
	bool outward;
	struct slice data;	/* borrowed until the next call of plane_next or plane_free */
};

/* Readable when plane_next has something. */
int plane_event_fd(const struct plane *p);
/* The next event, or false: none is left, and the descriptor is quiet again. */
bool plane_next(struct plane *p, struct plane_event *out);

/* ---- figures, at any time, any thread ---- */

struct plane_peer_stats {
	uint64_t rx_bytes, rx_packets;	/* of inner packets */
	uint64_t tx_bytes, tx_packets;
	int64_t rx_ms, tx_ms;		/* last datagram of any type, clock_mono_ms; 0: never */
	int64_t rx_data_ms, tx_data_ms;	/* last packet from TUN, to TUN */
};
void plane_peer_stats(const struct plane *p, uint32_t peer, struct plane_peer_stats *out);

struct plane_stats {
	/* tx */
	uint64_t tun_reads, tun_packets;	/* buffers, and the packets in them */
	uint64_t udp_sends, udp_sent;		/* calls, and datagrams */
	uint64_t out_dropped, out_rejected, out_malformed, out_unowned, out_too_big, out_unsent, out_events_lost;
	uint64_t staged, staged_lost;		/* now; ever */
	/* rx */
	uint64_t udp_receives, udp_received;
	uint64_t tun_writes, tun_written, tun_refused;
	uint64_t in_strangers, in_unauthentic, in_malformed, in_foreign, in_dropped, in_events_lost;
	bool gso, gro;				/* in use on the sockets */
};
void plane_stats(const struct plane *p, struct plane_stats *out);

#endif
