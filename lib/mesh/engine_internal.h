/* What the parts of the engine share: its state, and what one asks of another. Not for others. */
#ifndef MESHANICS_MESH_ENGINE_INTERNAL_H
#define MESHANICS_MESH_ENGINE_INTERNAL_H

#include "mesh/bytes.h"
#include "mesh/cookie.h"
#include "mesh/engine.h"
#include "mesh/guard.h"
#include "mesh/stay.h"

#define NODE_BUCKETS 4096
#define CALL_TRIES_HELD 4	/* initiations of one series that an answer is still taken for */
#define CALL_ENDPOINTS 8
#define FOLLOWING 3		/* answers of which the initiator may take any */
#define CALL_ENDPOINTS_AT_ONCE 3
#define WHOS_MAX 64
#define OBSERVED_MAX 8
#define PROBES_MAX 6		/* of one peer at once */
#define ANCHORS 2		/* sessions that a node behind a NAT keeps up */
#define GOSSIP_MS 60000
#define GOSSIP_VERIFY_PER_S 256
#define GOSSIP_VERIFY_PEER_PER_S 64
#define RECORD_GAP_MS 5000
#define RECORD_RENEW_MS (INT64_C(7) * 86400000)
#define RECORD_COUNTS_MS (INT64_C(1000) * RECORD_COUNTS_S)
/* Its node, if it lives, has made another before one of this age counts no more. */
#define RECORD_DOUBT_MS (RECORD_COUNTS_MS - RECORD_RENEW_MS - INT64_C(86400000))
#define RECORD_AHEAD_S 86400	/* what a clock may be ahead of another one and still be right */
#define RECORD_KEPT_MS (2 * RECORD_COUNTS_MS)		/* so that it is known for an old one */
#define RECORD_REACHED_MS (INT64_C(365) * 86400000)	/* where this node reached it once */
#define LONG_AGO (INT64_MIN / 4)
#define RELAY_OVERHEAD (SESSION_OVERHEAD + 1 + NODE_ID_LEN)	/* of what goes through a member */
#define RELAY_NOES 8		/* members that could not pass on to one peer, remembered */
#define GENERATIONS (1 + ENGINE_FORMER_MAX)
#define HANDOVERS_MAX 8		/* sessions that are for rotation only */
#define GATHERINGS_MAX 8	/* rotations of which not all parts are there yet */

/* One generation of the network's key. */
struct generation {
	struct netkey key;
	struct subkeys subkeys;
	int64_t grace_until_ms;		/* of one before the one in force */
};

/* A session of kind SESSION_ROTATION: it is the engine's own, which seals and opens by it. */
struct handover {
	uint32_t index;			/* 0: free */
	struct session *s;
	uint8_t node[NODE_ID_LEN];
	struct endpoint at;
	bool opened;			/* the initiator has sent something: it may be sent on */
	size_t part;			/* the next that goes out */
	int64_t end_ms, next_ms;
};

/* Parts of a rotation that one peer sends. */
struct gathering {
	uint32_t peer, generation, parts, missing;
	uint8_t *bytes;			/* parts * ROTATE_CHUNK; NULL: free */
	size_t len;			/* known when the last part is there */
	uint64_t have[3];		/* a bit for each part */
	int64_t started_ms;
};

/* A session as the engine knows it: index 0 is none. */
struct live {
	uint32_t index;
	struct session *s;	/* the plane's */
};

/* A series of initiations. */
struct call {
	int64_t started_ms, next_ms, last_ms;
	unsigned tries, tries_max;	/* 0: until HANDSHAKE_GIVE_UP_MS */
	struct handshake tried[CALL_TRIES_HELD];
	int64_t tried_ms[CALL_TRIES_HELD];	/* LONG_AGO: free */
	uint32_t tried_in[CALL_TRIES_HELD];	/* the generation */
	struct endpoint at[CALL_ENDPOINTS];
	size_t at_count;
	uint8_t cookie[COOKIE_LEN];
	int64_t cookie_ms;
	int64_t introduced_ms;
	bool given_up;			/* those who wait have heard so */
};

struct probe {
	uint64_t token;
	struct endpoint at;
	int64_t first_ms, sent_us, next_ms;
	uint16_t size;
	uint8_t tries;		/* 0: free */
	bool of_mtu, roam;
};

/* A member that said it cannot pass on to a peer. */
struct relay_no_of {
	uint32_t via;
	int64_t until_ms;
};

struct node {
	uint8_t id[NODE_ID_LEN];
	uint32_t peer;
	struct node *next;		/* in its bucket */
	/* its record */
	uint8_t *record;
	size_t record_len;		/* 0: none */
	uint8_t static_public[32];
	uint64_t sequence;
	uint32_t boot_epoch;
	char name[MESH_NAME_MAX + 1];
	uint32_t blocks[CLAIMS_MAX];
	size_t blocks_count;
	struct record_endpoint at[RECORD_ENDPOINTS_MAX];
	size_t at_count;
	int64_t renewed_ms;		/* when its node was last heard of, as far as is known */
	bool counts;			/* the record does: its node holds its names and blocks */
	bool quiet;			/* it may be a leftover of long ago: others do not hear of it here */
	bool ever, evicted, up, wanted, greeted, relays;
	/* handshakes */
	struct call *call;
	uint32_t counter;		/* of our last initiation to it */
	struct handshake_order order;	/* its last to us */
	uint64_t told;			/* own sequence that it is known to have */
	struct live current, previous, following[FOLLOWING];
	int64_t call_after_ms;		/* not before */
	/* path */
	struct endpoint path, good, introduced[CALL_ENDPOINTS];
	struct endpoint rival;		/* of the class of path, and faster since rival_ms; asked again at rival_next_ms */
	int64_t rival_ms, rival_next_ms, direct_ms;	/* direct_ms: when a relayed peer was last tried without */
	unsigned direct;
	size_t introduced_count;
	int64_t introduced_ms;
	uint16_t mtu, mtu_known;	/* mtu_known: found by probes, 0: not yet */
	int64_t rtt_us, probed_ms, probed_back_ms, path_ms, explored_ms, sized_ms, raised_ms, quiet_ms, keepalive_ms, closing_ms;
	uint8_t explored;
	bool anchor;
	struct probe probes[PROBES_MAX];
	/* relaying */
	struct relay_no_of no[RELAY_NOES];
	unsigned noes;
	unsigned relays_tried;		/* since it was heard of last */
	int64_t no_service_ms;		/* until then it is not asked to relay for anybody */
	int64_t relayed_ms;		/* when a session last came up through another */
	size_t relay_queued;		/* bytes of others that wait in the queue for it */
	struct bucket relay_rate, relay_noes;
	/* gossip */
	struct bucket messages, verifies, serves, wants;
	int64_t digest_in_ms, regossip_ms, introduce_ms, called_us_ms;
	uint8_t called_us;
	int64_t due_ms;
	/* rotation */
	uint32_t generation;		/* it is known to have this one */
	uint32_t rotate_index;		/* the session that it is sent over */
	size_t rotate_part;
	uint32_t gathers;		/* rotations of which it has sent parts */
	int64_t rotate_next_ms, rotate_wait_ms;
	int64_t rotate_deaf_ms, rotate_deaf_for_ms;	/* none of it is looked at until then: the latest was refused */
};

struct who {
	uint64_t nonce;
	int64_t sent_ms;
	struct endpoint at;
	uint8_t tag[PACKET_TAG_LEN];
	bool call;
};

struct configured {
	struct endpoint at;
	int64_t next_ms, wait_ms;
	unsigned asked;
	uint8_t cookie[COOKIE_LEN];
	int64_t cookie_ms;
};

struct observed {
	struct endpoint at;
	uint8_t by[NODE_ID_LEN];
	int64_t ms;
};

struct queued;

struct mesh_engine {
	const struct engine_ops *ops;
	struct generation gen[GENERATIONS];	/* the one in force first */
	size_t gens;
	int64_t grace_ms;
	uint8_t *rotation;		/* that put gen[0] in force, secret; NULL: there was no list */
	size_t rotation_len;
	struct staylist stay;		/* in it */
	struct bucket rotate_rate, rotate_checks;
	struct handover handovers[HANDOVERS_MAX];
	struct gathering gatherings[GATHERINGS_MAX];
	struct nodekey nodekey;
	struct addressing addressing;
	struct handshake_self self;	/* in gen[0] */
	struct claims *claims;
	int64_t wall_s, wall_ms;

	struct mesh_record own;
	uint8_t own_bytes[RECORD_LEN_MAX];
	size_t own_len;
	uint32_t own_blocks[CLAIMS_MAX];
	size_t own_blocks_count;
	size_t ends_left_out;		/* of the record, for want of room */
	bool ends_untold;		/* own endpoints have changed, and the record does not have them yet */
	int64_t own_made_ms, own_moved_ms, own_gap_ms;	/* the latter: counts for RECORD_GAP_MS */
	bool own_dirty;
	struct record_endpoint ends[ENGINE_ENDPOINTS_MAX];
	size_t ends_count;
	struct observed observed[OBSERVED_MAX];
	bool natted, natted_in[2];	/* something translates on the way from here; the latter: over IPv4, IPv6 */

	uint8_t relay_tag[8];
	struct bucket relay_strangers;
	bool greeted;			/* those known from before the start have been called */

	uint8_t hash_key[16];
	struct node *buckets[NODE_BUCKETS];
	struct node **nodes;		/* by peer; ENGINE_PEERS_MAX */
	uint32_t nodes_top;		/* above the highest peer in use */
	size_t nodes_count, evicted_count, calls_count;
	uint64_t digest[DIGEST_BUCKETS];

	struct guard guard;
	struct cookie_jar jar;
	struct bucket hints, verifies;
	int64_t called_all_ms;		/* introductions followed since then */
	unsigned called_all;
	struct who whos[WHOS_MAX];
	struct configured configured[ENGINE_CONFIGURED_MAX];
	size_t configured_count;
	struct bucket who_rate;
	bool beacons;
	unsigned beacons_first;		/* still to be sent at the start */
	int64_t beacon_ms, beacon_sent_ms, beacon_answer_ms;
	uint16_t port_v4, port_v6;
	int64_t gossip_ms;

	int64_t due_ms;			/* least of everything, or earlier */
	struct queued *first, **last, *taken;
	size_t queued;
	struct mesh_engine_stats stats;
};

/* ---- engine.c ---- */
uint64_t engine_random64(struct mesh_engine *e);
/* 0 to n - 1. */
uint32_t engine_random(struct mesh_engine *e, uint32_t n);
int64_t engine_wall(const struct mesh_engine *e, int64_t now_ms);
void engine_due(struct mesh_engine *e, int64_t at_ms);
void node_due(struct mesh_engine *e, struct node *n, int64_t at_ms);
void act(struct mesh_engine *e, const struct mesh_act *a);
void act_send(struct mesh_engine *e, const struct endpoint *to, const uint8_t *bytes, size_t len);
void act_event(struct mesh_engine *e, enum mesh_event event, const struct node *n);
/* Seal a message for the peer; to NULL: its endpoint. */
void node_say(struct mesh_engine *e, struct node *n, const struct message *m, const struct endpoint *to);
/* The same of content that is written already. */
void node_say_bytes(struct mesh_engine *e, struct node *n, struct slice content, const struct endpoint *to, bool for_other);
int64_t engine_now_us(const struct mesh_engine *e, int64_t now_ms);
void traffic_of(const struct mesh_engine *e, const struct node *n, struct engine_traffic *t);

/* ---- nodes.c ---- */
struct node *node_find(const struct mesh_engine *e, const uint8_t *id);
/* Made when it is not there; NULL when there is no room. */
struct node *node_get(struct mesh_engine *e, const uint8_t *id, int64_t now_ms);
void node_remove(struct mesh_engine *e, struct node *n, int64_t now_ms);
struct node *node_of(const struct mesh_engine *e, uint32_t peer);
/* When what is known of it counts no more, or, where it does not count, is let go of. */
int64_t node_end_ms(const struct node *n);
/* The n-th of the live peers from a random one on, NULL when there are fewer. */
struct node *node_random_live(struct mesh_engine *e, const struct node *not_this);
struct node *node_random(struct mesh_engine *e);
bool node_live(const struct node *n);
size_t engine_live(const struct mesh_engine *e);

/* ---- own.c ---- */
int own_make(struct mesh_engine *e, int64_t now_ms, struct error *err);
void own_changed(struct mesh_engine *e, int64_t now_ms);
/* A peer sees us there. */
void own_observed(struct mesh_engine *e, const uint8_t *by, const struct endpoint *at, int64_t now_ms);
void own_timer(struct mesh_engine *e, int64_t now_ms);
/* Put blocks right after a record has changed; blocks: those that may have another holder now. */
void own_blocks(struct mesh_engine *e, const uint32_t *blocks, size_t count, int64_t now_ms);
bool own_has_endpoint(const struct mesh_engine *e, const struct endpoint *at);
bool own_lan(const struct mesh_engine *e, const struct endpoint *at);

/* ---- calls.c ---- */
/* What waits for it is given up, and what comes from now on calls again. */
void calls_unreachable(struct mesh_engine *e, const struct node *n);
/* Call those again that were reached before this start. */
void calls_greet(struct mesh_engine *e, int64_t now_ms);
/* A series that goes on begins again with short times. */
void call_again(struct mesh_engine *e, struct node *n, int64_t now_ms);
/* Begin a series; tries 0: until it is given up by time. */
void call_start(struct mesh_engine *e, struct node *n, unsigned tries, int64_t now_ms);
void call_end(struct mesh_engine *e, struct node *n);
/* g: the generation that the datagram was sealed in. */
void calls_initiation(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, struct slice body,
		      int64_t now_ms);
void calls_response(struct mesh_engine *e, const struct generation *g, const struct endpoint *from,
		    const struct packet_header *h, struct slice body, int64_t now_ms);
void calls_cookie(struct mesh_engine *e, const struct packet_header *h, struct slice body, int64_t now_ms);
void calls_hint(struct mesh_engine *e, struct slice body, int64_t now_ms);
void calls_timer(struct mesh_engine *e, struct node *n, int64_t now_ms);
void calls_confirmed(struct mesh_engine *e, struct node *n, uint32_t index, const struct endpoint *from, int64_t now_ms);
/* Retire all sessions of the peer. */
void calls_drop(struct mesh_engine *e, struct node *n);
/* Those of generations before this one. */
void calls_drop_older(struct mesh_engine *e, struct node *n, uint32_t generation);

/* ---- gossip.c ---- */
/*
 * What the own sequence counts on from in an epoch. Gossip and beacons compare sequences alone: one that is lost with the
 * last seconds before a power cut must not make the records of the new epoch look old.
 */
uint64_t sequence_above(uint64_t sequence, uint32_t boot_epoch);
enum taken { TAKEN_NEW, TAKEN_KNOWN, TAKEN_NOT };
/* A record from anywhere: from is who sent it, or NULL. */
enum taken gossip_record(struct mesh_engine *e, struct slice bytes, struct node *from, int64_t now_ms);
/* When the node of a record lived, as far as it can be said, and whether others may hear of it. */
struct sign {
	int64_t renewed_ms;
	bool quiet;
};
/* By its date alone. */
struct sign gossip_sign(const struct mesh_engine *e, const struct mesh_record *r, int64_t now_ms);
/* Without limits, of a record that is verified already, and is told to nobody. */
struct node *gossip_take(struct mesh_engine *e, const struct mesh_record *r, struct slice bytes, struct sign sign,
			 int64_t now_ms);
/* Its record counts no more. */
void gossip_expire(struct mesh_engine *e, struct node *n, int64_t now_ms);
void gossip_forget(struct mesh_engine *e, struct node *n, int64_t now_ms);
void gossip_begin(struct mesh_engine *e, struct node *n, int64_t now_ms);
/* Pass a record on to live peers, a random few or most of them. */
#define PUSH_PEERS 3
#define PUSH_FIRST 64	/* by whoever has it from the node itself */
void gossip_push(struct mesh_engine *e, struct slice record, const struct node *not_this, size_t most);
void gossip_digest(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void gossip_have(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void gossip_want(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void gossip_records(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void gossip_node_timer(struct mesh_engine *e, struct node *n, int64_t now_ms);
void gossip_timer(struct mesh_engine *e, int64_t now_ms);
/* Xor the digest of a node's record in or out. */
void gossip_count(struct mesh_engine *e, const uint8_t *id, uint64_t sequence);

/* ---- paths.c ---- */
/* Endpoints to try, the best first, at most CALL_ENDPOINTS. */
size_t paths_candidates(const struct mesh_engine *e, const struct node *n, int64_t now_ms, struct endpoint *out);
/* The peer is reached there from now on. */
void paths_set(struct mesh_engine *e, struct node *n, const struct endpoint *at, int64_t now_ms);
void paths_probe(struct mesh_engine *e, struct node *n, const struct endpoint *at, uint16_t size, bool roam, int64_t now_ms);
void paths_on_probe(struct mesh_engine *e, struct node *n, const struct message *m, const struct endpoint *from,
		    int64_t now_ms);
void paths_on_pong(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void paths_timer(struct mesh_engine *e, struct node *n, int64_t now_ms);
/* The peer does not answer by its path: through another, or not at all. */
void paths_lost(struct mesh_engine *e, struct node *n, int64_t now_ms);
/* Own endpoints are others now: every live peer is to see it. */
void paths_moved(struct mesh_engine *e, struct node *n, int64_t now_ms);
uint16_t paths_mtu_full(const struct mesh_engine *e, const struct node *n);

/* ---- ask.c ---- */
void ask_asked(struct mesh_engine *e, struct node *n, const struct message *m);
void ask_answered(struct mesh_engine *e, struct node *n, const struct message *m);

/* ---- discover.c ---- */
void discover_who(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, struct slice body,
		  int64_t now_ms);
void discover_here(struct mesh_engine *e, const struct endpoint *from, struct slice body, int64_t now_ms);
void discover_beacon(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, struct slice body,
		     int64_t now_ms);
void discover_cookie(struct mesh_engine *e, const struct packet_cookie *c, int64_t now_ms);
bool discover_awaited(const struct mesh_engine *e, struct slice body, int64_t now_ms);
/* wanted NULL: whoever is there. call: begin a session with who answers. */
void discover_ask(struct mesh_engine *e, const struct generation *g, const struct endpoint *at, const uint8_t *wanted,
		  const uint8_t *cookie, bool call, int64_t now_ms);
void discover_timer(struct mesh_engine *e, int64_t now_ms);
void discover_announce(struct mesh_engine *e, int64_t now_ms);
/* Ask and be heard as after the start: who was silent may answer now. */
void discover_again(struct mesh_engine *e, int64_t now_ms);
void introduce_ask(struct mesh_engine *e, struct node *n, int64_t now_ms);
void introduce_pass(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void introduce_called(struct mesh_engine *e, const struct message *m, int64_t now_ms);

/* ---- relay.c ---- */
bool relay_is(const struct mesh_engine *e, const struct endpoint *at);
struct endpoint relay_endpoint(const struct mesh_engine *e, const struct node *via, const struct node *n);
/* Through whom, and to whom; NULL when `at` is a plain address, or that one is no more. */
struct node *relay_via(const struct mesh_engine *e, const struct endpoint *at);
struct node *relay_end(const struct mesh_engine *e, const struct endpoint *at);
/* Whether what goes by `at` has somebody to go through. */
bool relay_works(const struct mesh_engine *e, const struct endpoint *at);
/* What content gets through by `at`. */
uint16_t relay_mtu(const struct mesh_engine *e, const struct endpoint *at);
/* Whether a handshake message with the own record fits; true for a plain address. */
bool relay_has_room(const struct mesh_engine *e, const struct endpoint *at);
/* The live member that may reach n and is the nearest, or NULL. */
struct node *relay_for(const struct mesh_engine *e, const struct node *n, int64_t now_ms);
void relay_note_no(struct node *n, const struct node *via, int64_t now_ms);
/* Call a member that offers to relay; false: none is known that is not called already. */
bool relay_seek(struct mesh_engine *e, const struct node *not_this, int64_t now_ms);
/* Send an initiation through others as well. */
void relay_call(struct mesh_engine *e, struct node *n, unsigned tries, const uint8_t *out, size_t len, int64_t now_ms);
/* Whether a peer is reached through this one. */
bool relay_needed(const struct mesh_engine *e, const struct node *via);
/* It passes nothing on any more: those behind it are looked at soon. */
void relay_gone(struct mesh_engine *e, const struct node *via);
void relay_send(struct mesh_engine *e, const struct endpoint *at, const uint8_t *bytes, size_t len);
/* Seal content for n, which has a session, and send it by `at`. */
void relay_say(struct mesh_engine *e, struct node *n, struct slice content, const struct endpoint *at);
/* Whether the message was one of these; they have limits of their own. */
bool relay_message(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
void relay_no(struct mesh_engine *e, struct node *via, const struct message *m, int64_t now_ms);

/* ---- rotate.c: which generations hold ---- */
WARN_UNUSED int generations_init(struct mesh_engine *e, const struct engine_options *o, int64_t now_ms, struct error *err);
void generations_wipe(struct mesh_engine *e);
/* Whether sessions may be in it: the one in force, and the one before while its grace lasts. */
bool generation_holds(const struct mesh_engine *e, const struct generation *g, int64_t now_ms);
/* The one before the one in force while it holds, or NULL. */
const struct generation *generation_before(const struct mesh_engine *e, int64_t now_ms);
/* The node's side of handshakes in g. */
struct handshake_self generation_self(const struct mesh_engine *e, const struct generation *g);
/* The generation to call n in, at the try of that number. */
const struct generation *generation_for(const struct mesh_engine *e, const struct node *n, unsigned tries, int64_t now_ms);
/* Whether to answer who calls in g, and with which session. -1: not at all. */
WARN_UNUSED int generation_admits(const struct mesh_engine *e, const struct generation *g, const uint8_t *id, int64_t now_ms,
				  enum session_kind *kind);

/* Put a rotation in force that came over the wire; -1: it is none for this node. */
WARN_UNUSED int generation_take(struct mesh_engine *e, struct slice rotation, int64_t now_ms);
void generations_timer(struct mesh_engine *e, int64_t now_ms);

/* ---- handover.c: rotations over the wire ---- */
void handovers_end(struct mesh_engine *e, const uint8_t *node);	/* NULL: all */
/* A newer generation is in force: all end, and whom this node called for them is called again. */
void handovers_over(struct mesh_engine *e, int64_t now_ms);
void handovers_free(struct mesh_engine *e);
/* A session for rotation only, of which p says all; its index is the engine's. */
void handover_begin(struct mesh_engine *e, struct session_params *p, const struct endpoint *at, int64_t now_ms);
/* Whether this node waits for a rotation of that one. */
bool handover_open_with(const struct mesh_engine *e, const uint8_t *node);
/* Whether the session packet was of such a session. */
bool handover_datagram(struct mesh_engine *e, const struct packet_header *head, const uint8_t *clear,
		       const struct endpoint *from, const uint8_t *dgram, size_t len, int64_t now_ms);
void rotate_part(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms);
/* Pass the rotation in force on to this peer, if it lacks it. */
void rotate_node_timer(struct mesh_engine *e, struct node *n, int64_t now_ms);
void handovers_timer(struct mesh_engine *e, int64_t now_ms);

#endif
