/*
 * The engine of one network: who is there, how to reach each, and which sessions there are. No I/O, no clock, no
 * threads: the daemon tells it what arrived and what time it is, and takes actions out of it.
 *
 *	datagrams of no session, opened control messages, plane events --> engine --> mesh_engine_next: actions
 *	                              own endpoints, name, forwards     -->        --> mesh_engine_due: when to call again
 *
 * After each call: carry out mesh_engine_next until it says false, then arrange for mesh_engine_timer at mesh_engine_due.
 * now_ms is one monotonic clock that never goes back. Peers are small numbers that the engine gives out (MESH_ACT_PEER);
 * the daemon maps them to slots of the plane. Sessions belong to the plane from MESH_ACT_PUBLISH on; the engine reads
 * what does not change of them until its MESH_ACT_RETIRE. All limits of meshanics-mesh-protocol(7) are kept in here.
 */
#ifndef MESHANICS_MESH_ENGINE_H
#define MESHANICS_MESH_ENGINE_H

#include "mesh/claims.h"
#include "mesh/handshake.h"
#include "mesh/message.h"
#include "mesh/stay.h"

#define ENGINE_PEERS_MAX CLAIMS_NODES_MAX
#define ENGINE_CONFIGURED_MAX 32	/* endpoints that an operator wrote */
#define ENGINE_ENDPOINTS_MAX 12		/* own endpoints; the rest of a record's are observed ones */
#define ENGINE_FORMER_MAX 4		/* generations before the one in force that are remembered */
#define ENGINE_CALLS_MAX 256		/* series of initiations at once */
#define ENGINE_ACTIONS_MAX 8192		/* datagrams that wait in the queue; further ones are lost as on a wire */
#define ENGINE_GRACE_MS (INT64_C(24) * 3600000)
#define ENGINE_NOBODY UINT32_MAX	/* in place of a peer or an index */
#define ENGINE_SELF (UINT32_MAX - 1)	/* as the owner of a block */
#define ENGINE_NEVER INT64_MAX		/* mesh_engine_due: nothing is waited for */

struct mesh_engine;

/* When packets of a peer's sessions were last carried, by the same clock as now_ms; INT64_MIN: never. */
struct engine_traffic {
	int64_t rx_ms, tx_ms;		/* any type */
	int64_t rx_data_ms, tx_data_ms;	/* IP packets alone */
};

/* What the engine asks of its daemon in the middle of a call; none of them may call the engine. */
struct engine_ops {
	void *arg;
	void (*random)(void *arg, void *out, size_t n);
	/* A free receiver index (plane_index_take), neither 0 nor UINT32_MAX; -1: there is none. */
	int (*index_take)(void *arg, uint32_t *index);
	void (*index_give)(void *arg, uint32_t index);	/* one that was never published */
	void (*traffic)(void *arg, uint32_t peer, struct engine_traffic *out);
	/* Microseconds of a monotonic clock, for round trips alone; NULL: they are as fine as now_ms. */
	int64_t (*now_us)(void *arg);
};

/* A generation before the one in force. */
struct engine_former {
	struct netkey key;
	int64_t grace_ms;	/* what is left of its grace; 0 or less: it is over */
};

/* May a node call this of another one's? */
struct mesh_ask {
	uint64_t token;		/* the asker's, comes back */
	uint8_t protocol;	/* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP: echo */
	uint16_t port;		/* of echo 0 */
	uint8_t ordinal, slot;	/* of the one who is asked: SLOT_NODE of ordinal 0, or a forward */
};

struct engine_options {
	struct netkey key;	/* copied, as everything here */
	struct nodekey node;
	uint32_t boot_epoch;	/* persisted above all before, before mesh_engine_new */
	uint64_t sequence;	/* of the last own record; 0: there was none */
	uint16_t mtu;		/* of the interface; 0: 1420 */
	uint16_t port_v4, port_v6;	/* of the sockets; 0: none */
	/*
	 * What the node says of itself: name, named_s, flags, forwards, and the claims it has had (none: it chooses).
	 * Everything else in it is ignored.
	 */
	struct mesh_record own;
	bool no_beacons;	/* no LAN discovery by multicast */
	/* Newest first; only the first one may still have grace: no more than two generations hold at once. */
	struct engine_former former[ENGINE_FORMER_MAX];
	size_t former_count;
	/* The owner's signed list of who stays in the generation of `key`; empty: there is none. ERR_* of stay.h. */
	struct slice staylist;
	int64_t grace_ms;	/* of a generation that is replaced over the wire; 0: ENGINE_GRACE_MS */
};

/* Keeps ops, borrowed. wall_s: seconds since 1970 as the node's clock has it. NULL: ERR_LIMIT, ERR_MALFORMED for `own`. */
WARN_UNUSED struct mesh_engine *mesh_engine_new(const struct engine_options *o, const struct engine_ops *ops, int64_t now_ms,
						int64_t wall_s, struct error *err);
/* Sessions that were published are not freed: the plane does that. Actions not taken are dropped. NULL is fine. */
void mesh_engine_free(struct mesh_engine *e);

/* ---- before the first datagram ---- */

/*
 * A record from disk, verified by whoever read it (network_records). -1: not in form. age_s: as mesh_engine_each had it, -1:
 * it is not known; one that had come to counting no more still does not count.
 */
WARN_UNUSED int mesh_engine_load(struct mesh_engine *e, struct slice record, int64_t age_s, int64_t now_ms,
				 struct error *err);
/* Where a node was reached last (MESH_ACT_ENDPOINT, kept by the daemon): tried first. */
void mesh_engine_load_endpoint(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], const struct endpoint *at);
/* A node that is out, by an earlier rotation or by the operator: silence to it from now on, and its record is forgotten. */
void mesh_engine_evict(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], int64_t now_ms);

/* ---- what happened ---- */

/*
 * A datagram of no session of ours (PLANE_EVENT_STRANGER), as it came. dgram is not changed. Costs a SipHash for noise.
 * A beacon is dropped here.
 */
void mesh_engine_datagram(struct mesh_engine *e, const struct endpoint *from, const uint8_t *dgram, size_t len,
			  int64_t now_ms);
/*
 * The same of what came to the multicast groups of the local networks from an address in one of them: a beacon, all else is
 * dropped. Its sender is asked, with many times the bytes of a beacon, and nothing else shows that it is there.
 */
void mesh_engine_beacon(struct mesh_engine *e, const struct endpoint *from, const uint8_t *dgram, size_t len, int64_t now_ms);
/* The content of an opened packet of type PACKET_CONTROL of a published session (PLANE_EVENT_MESSAGE). */
void mesh_engine_message(struct mesh_engine *e, uint32_t peer, uint32_t index, const struct endpoint *from,
			 struct slice content, int64_t now_ms);
/*
 * A sealed datagram for a peer that is reached through another (PLANE_EVENT_OUT, after MESH_ACT_ENDPOINT with a relay).
 * It comes out again as a MESH_ACT_CONTROL to that one.
 */
void mesh_engine_out(struct mesh_engine *e, uint32_t peer, struct slice datagram, int64_t now_ms);
/* There is traffic for this peer and no session or way (PLANE_EVENT_WANTED). */
void mesh_engine_wanted(struct mesh_engine *e, uint32_t peer, int64_t now_ms);
/* The first packet of a session published with `confirmed` was opened (PLANE_EVENT_CONFIRMED); before its message. */
void mesh_engine_confirmed(struct mesh_engine *e, uint32_t peer, uint32_t index, const struct endpoint *from,
			   int64_t now_ms);
/* An authentic packet, newer than all before, came from elsewhere (PLANE_EVENT_ROAMED): it is probed, then taken. */
void mesh_engine_roamed(struct mesh_engine *e, uint32_t peer, const struct endpoint *from, int64_t now_ms);
/* A session may send no more (PLANE_EVENT_WORN). */
void mesh_engine_worn(struct mesh_engine *e, uint32_t peer, uint32_t index, int64_t now_ms);
/* A datagram of that many bytes did not fit the way to the peer (PLANE_EVENT_TOO_BIG, EMSGSIZE). */
void mesh_engine_too_big(struct mesh_engine *e, uint32_t peer, size_t size, int64_t now_ms);
/* The time that mesh_engine_due said has come; calling it earlier does no harm. */
void mesh_engine_timer(struct mesh_engine *e, int64_t now_ms);
int64_t mesh_engine_due(const struct mesh_engine *e);	/* it may be past already: at once */

/* ---- local changes ---- */

/*
 * The endpoints of this node's own interfaces and of its configuration, the best first, at most ENGINE_ENDPOINTS_MAX;
 * those that no record may have are left out, and the last ones where the record has no room for them
 * (mesh_engine_left_out). A change renews the record, and tells every peer at once.
 */
void mesh_engine_endpoints(struct mesh_engine *e, const struct record_endpoint *at, size_t count, int64_t now_ms);
/*
 * Another name, flags or forwards, as in engine_options.own; claims are the engine's. A forward's ordinal says which
 * block it lives in; blocks are claimed as they are needed. -1: ERR_MALFORMED, ERR_LIMIT (of endpoints that the record
 * has, one would have to go as well), and nothing has changed.
 */
WARN_UNUSED int mesh_engine_own(struct mesh_engine *e, const struct mesh_record *own, int64_t now_ms, struct error *err);
/* Endpoints an operator wrote: each is asked who is there until a session stands, and again when all are lost. */
void mesh_engine_configured(struct mesh_engine *e, const struct endpoint *at, size_t count, int64_t now_ms);
/* The wall clock, at start and whenever it may have been set. It decides nothing but dates of claims and records. */
void mesh_engine_wall(struct mesh_engine *e, int64_t now_ms, int64_t wall_s);
/* Begin a session with this node now, whether or not there is traffic. -1: not known, or known without a record. */
WARN_UNUSED int mesh_engine_call(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], int64_t now_ms);
/* Ask a live peer at once how far it is; the answer is in rtt_us and probed_ms. -1: no session stands with it. */
WARN_UNUSED int mesh_engine_probe(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], int64_t now_ms);
/*
 * A newer generation was put in force on this machine: new sessions begin in it, the former one holds for grace_ms more,
 * and with a stay list it is passed on. It is on disk already: no MESH_ACT_GENERATION follows. Whoever is known and not on the
 * list is out: a MESH_ACT_EVICTED for each. ERR_REFUSED: another network, not newer, or what staylist_parse says; nothing
 * has changed then.
 */
WARN_UNUSED int mesh_engine_rotate(struct mesh_engine *e, const struct netkey *next, struct slice staylist,
				   int64_t grace_ms, int64_t now_ms, struct error *err);
/*
 * Ask a live peer whether it lets a call of this node in, MESH_ACT_ANSWER with the same token follows if it answers. -1: no
 * session stands with it. And the answer to a MESH_ACT_ASKED; text is cut at ANSWER_TEXT_MAX.
 */
WARN_UNUSED int mesh_engine_ask(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], const struct mesh_ask *ask);
void mesh_engine_answer(struct mesh_engine *e, uint32_t peer, uint64_t token, enum answer verdict, struct slice text);
/* No more than this is left of the grace of the generation before: the clock that it was taken from was wrong. */
void mesh_engine_grace(struct mesh_engine *e, int64_t grace_ms, int64_t now_ms);
/* The key in force, which a rotation over the wire changes; and the one before, when it still holds, or NULL. */
const struct netkey *mesh_engine_key(const struct mesh_engine *e);
const struct netkey *mesh_engine_key_before(const struct mesh_engine *e);
/* All that are remembered, from 0, the one in force; NULL: no more. Members that were away may still call under them. */
const struct netkey *mesh_engine_key_at(const struct mesh_engine *e, size_t i);
/* Say goodbye to every peer; the sessions are retired. */
void mesh_engine_stop(struct mesh_engine *e, enum goodbye why, int64_t now_ms);

/* ---- what is to be done ---- */

enum mesh_act_kind {
	MESH_ACT_SEND,		/* bytes to `at`, as they are (plane_send_raw) */
	MESH_ACT_BEACON,	/* bytes to the multicast groups of every interface */
	MESH_ACT_CONTROL,	/* seal bytes (none: a keepalive) for `peer` with session `index` (ENGINE_NOBODY: the one it sends
				 * with) and send them to `at` (family none: the peer's endpoint): plane_send. Never for a
				 * peer that is reached through another: the engine has sealed what is for that one */
	MESH_ACT_FEED,		/* bytes: a session packet that came through `peer` from `node`; treat it as come from `at`
				 * (plane_feed), which stands for that way and is no address of the Internet. Events with `at`
				 * as source are given to the engine as any others */
	MESH_ACT_PEER,		/* a new peer: `peer`, `node` */
	MESH_ACT_PEER_GONE,	/* `peer` is no more; its sessions have been retired, its blocks are with others */
	MESH_ACT_PUBLISH,	/* session, now the plane's: `peer`, `index`, `use` */
	MESH_ACT_RETIRE,	/* `index` */
	/*
	 * `peer` is reached at `at` (family none: not at all), content up to `mtu`; worth keeping on disk. With a `relay`: it
	 * is reached through that peer, and `at` is what stands for that (of MESH_ACT_FEED too): PLANE_WAY_CONTROL, and
	 * mesh_engine_out for what comes of it; not worth keeping.
	 */
	MESH_ACT_ENDPOINT,
	MESH_ACT_UNREACHABLE,	/* `peer` does not answer since 3 s, said again at each repetition: what waits for it is given up
				 * (plane_staged_drop); the call goes on */
	MESH_ACT_BLOCK,		/* block `index` belongs to `peer`, ENGINE_SELF or ENGINE_NOBODY */
	MESH_ACT_STORE,		/* bytes: the record of `node`, which counts from now on, to be kept; `peer` */
	MESH_ACT_FORGET,	/* the record of `node` counts no more; what mesh_engine_each still has of it is kept */
	MESH_ACT_OWN,		/* bytes: the own record, with its claims, to be kept: the engine uses it from now on */
	MESH_ACT_EPOCH,		/* own boot epoch is `index` from now on: keep it */
	MESH_ACT_EVICTED,	/* `node`, `peer` is out with the generation now in force; those of one that came over the wire
				 * come just before its MESH_ACT_GENERATION */
	MESH_ACT_GENERATION,	/* bytes, secret: a rotation (rotation_parse) that came over the wire: keep it (network_renew with
				 * those evicted). The engine uses it from now on */
	MESH_ACT_MASKS,		/* other generations hold now: mesh_engine_key and mesh_engine_key_before (plane_masks_set) */
	MESH_ACT_ASKED,		/* `peer`, `node` asks `ask`: mesh_engine_answer */
	MESH_ACT_ANSWER,	/* `peer`, `node` answers ask.token: `verdict`, bytes: its text, not to be believed */
	MESH_ACT_EVENT,		/* for people: `event`, `node`, `peer`, `name` */
};

enum mesh_use { MESH_USE_NOW, MESH_USE_CONFIRMED };	/* as plane_use */

enum mesh_event {
	MESH_EVENT_UP,		/* a session stands, where none was */
	MESH_EVENT_DOWN,	/* the last one is gone */
	MESH_EVENT_MOVED,	/* an own block was lost to `node`; the own addresses are others now */
	MESH_EVENT_NAME_CLASH,	/* `node` calls itself `name`, as another one does */
	MESH_EVENT_RENAMED,	/* a known node has another name now */
	MESH_EVENT_OWN_RECORD,	/* somebody has a newer record of this node than it made: a restored backup, or a second one */
	MESH_EVENT_LEFT_OUT,	/* `node` has the owner's list of a newer generation, and this node is not on it */
};

struct mesh_act {
	enum mesh_act_kind kind;
	uint32_t peer, index;
	uint32_t relay;		/* of MESH_ACT_ENDPOINT; ENGINE_NOBODY: none */
	uint8_t node[NODE_ID_LEN];
	struct endpoint at;
	uint16_t mtu;
	enum mesh_use use;
	enum mesh_event event;
	struct mesh_ask ask;
	enum answer verdict;
	struct session *session;
	char name[MESH_NAME_MAX + 1];
	struct slice bytes;	/* borrowed until the next call of anything here */
};

/* The next action, in order, or false. */
bool mesh_engine_next(struct mesh_engine *e, struct mesh_act *out);

/* ---- what is known ---- */

enum mesh_path {
	MESH_PATH_NONE,
	MESH_PATH_DIRECT,
	MESH_PATH_LAN,		/* direct, in a network of one of our interfaces */
	MESH_PATH_PEER,		/* through `relay` */
};

struct mesh_peer_info {
	uint32_t peer;
	uint8_t node[NODE_ID_LEN];
	char name[MESH_NAME_MAX + 1];
	struct slice record;		/* empty: not seen yet; borrowed until the next call that changes something */
	int64_t renewed_ms;		/* when its node was last heard of, by now_ms: what has passed since is its age */
	bool live;			/* a session that is sent with */
	bool calling;
	bool evicted;
	bool away;			/* not heard of for so long that its record counts no more; it is still looked for */
	enum mesh_path path;
	struct endpoint at;		/* of MESH_PATH_PEER: none */
	struct endpoint last;		/* where it was reached last, not through another: worth keeping on disk */
	uint32_t relay;			/* of MESH_PATH_PEER; else ENGINE_NOBODY */
	bool relays;			/* it offers to pass datagrams on */
	uint32_t generation;		/* of the current session; 0: none */
	uint32_t known_generation;	/* the newest that it has shown to have since the start; 0: none yet */
	uint16_t mtu;			/* of content */
	int64_t handshake_ms;		/* of the current session, by now_ms; 0: none */
	int64_t rtt_us;			/* of that path; -1: not measured */
	int64_t probed_ms;		/* when it was measured, by now_ms; INT64_MIN: never */
};

size_t mesh_engine_peers(const struct mesh_engine *e);
/* *at from 0; false: no more. */
bool mesh_engine_each(const struct mesh_engine *e, uint32_t *at, struct mesh_peer_info *out);
bool mesh_engine_find(const struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], struct mesh_peer_info *out);
/* The own record as it stands: claims, endpoints, sequence. */
const struct mesh_record *mesh_engine_record(const struct mesh_engine *e);
/* Endpoints of this node for which its record has no room beside the forwards; it changes with MESH_ACT_OWN. */
size_t mesh_engine_left_out(const struct mesh_engine *e);
const struct claims *mesh_engine_claims(const struct mesh_engine *e);

struct mesh_engine_stats {
	uint64_t initiations_sent, initiations_taken, responses_taken;
	uint64_t hints_sent, hints_taken, cookies_sent, strangers_limited, initiations_refused;
	uint64_t records_verified, records_taken, records_dropped;
	uint64_t introductions_passed, introductions_refused, messages_limited, actions_lost;
	uint64_t relayed, relay_refused;	/* passed on for others, and not */
	uint64_t rotations_sent, rotations_taken, rotations_refused;
};
void mesh_engine_stats(const struct mesh_engine *e, struct mesh_engine_stats *out);

#endif
