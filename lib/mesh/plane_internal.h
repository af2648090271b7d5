/*
 * What the parts of the data plane share: plane.c and plane_control.c (control's side), plane_tx.c and plane_rx.c
 * (the two directions), plane_loop.c (the threads). "tx" and "rx" are the directions: each is one thread's at any time.
 */
#ifndef MESHANICS_MESH_PLANE_INTERNAL_H
#define MESHANICS_MESH_PLANE_INTERNAL_H

#include <pthread.h>
#include <string.h>

#include "mesh/plane.h"
#include "mesh/plane_packet.h"
#include "mesh/plane_ring.h"

#define SLOT_MASK (PLANE_SESSIONS_MAX - 1u)
#define RX_ROOM 65536			/* for one arrival */
#define RX_ARRIVALS 8
/* Of datagrams before they leave. */
#define TX_ARENA (2u * 65536 + 16384)

/* A counter that one thread writes and any reads. */
typedef _Atomic uint64_t counter;

static inline void bump(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t counted(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* What control wants from tx about a peer's staged packets. */
enum { STAGED_DROP = 1, STAGED_ANSWER = 2 };

struct peer {
	_Atomic(struct plane_endpoint *) endpoint;	/* NULL: none; replaced whole */
	_Atomic uint32_t send;		/* slot + 1 of the session to send with; 0: none. Under the plane's lock */
	atomic_bool taken;
	atomic_bool dying;		/* removed: what is staged for it is dropped */
	atomic_bool wanted;		/* PLANE_EVENT_WANTED was said, nothing has come of it yet */
	_Atomic unsigned staged_wish;	/* STAGED_* */
	_Atomic uint32_t staged;	/* how many wait; tx writes */
	atomic_bool staged_listed;	/* tx has it in its list, and holds it thereby; tx writes */
	/* tx's own. */
	uint32_t staged_first, staged_last;
	uint32_t staged_next_peer;	/* in the list of peers that have some */
	int64_t answered_ms, unsent_ms, too_big_ms;
	/* rx's own. */
	struct udp_path roamed;		/* said last */
	int64_t roamed_ms;
	unsigned told_turn;		/* the turn of rx's ring that `told` is of */
	size_t told;			/* bytes of events */
	/* Figures. */
	counter rx_bytes, rx_packets, tx_bytes, tx_packets;
	_Atomic int64_t rx_ms, tx_ms, rx_data_ms, tx_data_ms;
};

/* Of a session that is sent with when its first packet has come: that packet is awaited; control has not heard of it yet. */
enum { CONFIRM_AWAITED, CONFIRM_UNTOLD, CONFIRM_DONE };

struct slot {
	_Atomic(struct session *) session;
	_Atomic uint32_t index;
	_Atomic uint32_t peer;
	_Atomic unsigned confirmed;	/* CONFIRM_*; DONE also where there is nothing to await */
	bool taken;			/* control's */
};

/*
 * Where a thread is: odd while it may hold pointers, even while it waits. What control took out of sight is free of
 * it once the number is even, or another one.
 */
struct pass {
	_Alignas(64) atomic_uint number;
};

static inline void pass_begin(struct pass *p)
{
	atomic_fetch_add_explicit(&p->number, 1, memory_order_seq_cst);
}

static inline void pass_end(struct pass *p)
{
	atomic_fetch_add_explicit(&p->number, 1, memory_order_seq_cst);
}

/* A packet that waits for a session, in a pool. */
struct staged {
	uint32_t next;			/* of the same peer */
	uint32_t older, newer;		/* of all */
	uint32_t peer;
	uint16_t len;
	uint8_t flags;
};

#define NONE UINT32_MAX

struct tx {
	struct pass pass;
	struct plane_ring events;
	int wake;
	struct plane_ring given;	/* by plane_send_packet */
	int call;			/* for the helper: tx is its own from now on */
	atomic_bool by_helper;		/* whose it is: who has it may touch what is not atomic here */
	bool gone;			/* there is no interface any more */
	atomic_bool attention;		/* look at what is staged, and given */
	uint8_t *in;			/* one buffer of the interface */
	uint8_t *arena;
	size_t used;			/* of the arena */
	struct udp_burst bursts[UDP_BURSTS];
	struct plane_endpoint *to[UDP_BURSTS];
	uint32_t to_peer[UDP_BURSTS];
	size_t n;
	int64_t now_ms;
	/* The pool of staged packets. */
	struct staged *staged;
	uint8_t *staged_room;
	size_t staged_stride;
	uint32_t staged_free, oldest, newest;
	uint32_t staged_peers;		/* list of peers that have some */
	counter tun_reads, tun_packets, udp_sends, udp_sent, dropped, rejected, malformed, unowned, too_big, unsent,
		events_lost, staged_now, staged_lost;
};

enum { READY_V4 = 1, READY_V6 = 2 };

struct rx {
	struct pass pass;
	struct plane_ring events;
	struct plane_ring fed;		/* by control */
	int wake;
	uint8_t *rooms;
	struct udp_arrival arrivals[RX_ARRIVALS];
	struct plane_join join;
	uint32_t join_peer;
	int64_t now_ms;
	unsigned rounds;
	bool udp_may_join;
	unsigned turn;			/* of the ring of events: over when all has been taken that was there at its beginning */
	size_t turn_ends;		/* a place in it */
	counter receives, received, writes, written, refused, strangers, unauthentic, malformed, foreign, dropped,
		events_lost;
};

enum retired_kind { RETIRED_SESSION, RETIRED_ENDPOINT, RETIRED_MASKS, RETIRED_PEER };

/* Something taken out of sight, and where the threads were then. */
struct retired {
	struct retired *next;
	enum retired_kind kind;
	void *what;
	uint32_t number;		/* slot, or peer */
	unsigned tx, rx;
};

struct plane {
	const struct plane_crypto *crypto;
	const struct plane_scope *scope;
	struct plane_options o;
	struct tun tun;
	struct udp udp4, udp6;
	_Atomic(void *) masks;
	_Atomic uint32_t *blocks;	/* who owns which */
	uint32_t blocks_n;
	struct peer *peers;
	struct slot *slots;
	pthread_mutex_t lock;		/* over peer.send: control, and rx when a session is confirmed */
	pthread_mutex_t give_lock;	/* over putting into tx.given */
	struct tx tx;
	struct rx rx;
	pthread_t thread, helper;
	atomic_bool stop;
	bool started;
	atomic_bool signalled;		/* the event descriptor is readable, or about to be */
	int event_fd;
	/* Control's own. */
	struct retired *retired, **retired_last;
	uint32_t next_slot, next_peer;
	uint8_t *out;			/* for plane_send */
	bool rx_turn;			/* the last event was asked of rx's ring first */
};

/*
 * Where an address of ours belongs: PLANE_NOBODY, PLANE_SELF or a peer; false: not in our ranges. What is no slot of a block
 * is nobody's: of such sources a member would have as many as it likes.
 */
bool plane_owner(const struct plane *p, const struct plane_packet *packet, bool source, uint32_t *owner);

/* The session to send with, or NULL. For tx and for control. */
struct session *plane_sending(const struct plane *p, const struct peer *peer, uint32_t *slot);

/* Put an event with its data into a thread's ring. false: full. */
bool plane_tell(struct plane *p, struct plane_ring *r, const struct plane_event *e, const void *data, size_t len);

struct udp *plane_udp(struct plane *p, int family);	/* NULL: none open */

void plane_wake(int fd);
void plane_wake_clear(int fd);

void *plane_run(void *plane);
void *plane_help_run(void *plane);
/* One round from the interface to the network. true: there may be more at once. */
bool plane_tx_round(struct plane *p);
/* One round from the sockets (of READY_*) that are ready, to the interface. Returns those that may have more. */
unsigned plane_rx_round(struct plane *p, unsigned ready);
void plane_tx_init(struct plane *p);
void plane_rx_init(struct plane *p);
void plane_tx_release(struct plane *p);
void plane_rx_release(struct plane *p);

#endif
