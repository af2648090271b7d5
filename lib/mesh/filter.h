/*
 * What may pass between this node and a member: the rules (scope.h) and the flows (flow.h), asked about one
 * packet. Default deny for what comes in; what goes out is free, and the far side judges it. Called by the threads
 * of the data plane at once; its rules are changed by control under their hands, and hold from the next packet on,
 * for flows that are alive too. No I/O; the time is given. gate.h puts it into the data plane.
 *
 *	in   TCP, UDP, echo	a flow that is alive, or a rule; echo at FILTER_ECHO_PER_S a member at most
 *	     ICMP errors	about a flow that is alive, from the member it is with
 *	     fragments		the first by its header, later ones (10 s) when the first one passed before them
 *	     anything else	denied, but for a place in our blocks that nobody has: its sender is told
 *	out  TCP, UDP, echo	free, and a flow begins; not where the rules ended it, nor TCP that belongs to nothing
 *	     anything else	free, and no answer to it will come in
 */
#ifndef MESHANICS_MESH_FILTER_H
#define MESHANICS_MESH_FILTER_H

#include "mesh/flow.h"
#include "mesh/inner.h"
#include "mesh/scope.h"

#define FILTER_ECHO_PER_S 1000
/* Connections from here that were alive before a restart are taken up again for this long (filter_new). */
#define FILTER_RESUME_MS 60000
#define FILTER_RESUME_PORT_MIN 32768	/* of our side: those that clients get by default */
#define FILTER_RESUME_PORT_MAX 60999

struct filter;

enum filter_verdict {
	FILTER_PASS,
	FILTER_DROP,
	/* Out only, for the local sender to be told: reject.h says how. */
	FILTER_REJECT,
	/* In only: an echo request, in one piece, for a forward that control probes itself, or what is for nobody. */
	FILTER_TAKE,
};

enum filter_reason {
	FILTER_BY_FLOW,		/* answers, or carries on, what began allowed; or goes out */
	FILTER_BY_RULE,		/* rule */
	FILTER_UNJUDGED,	/* out: of a kind that has no flows */
	FILTER_NO_RULE,
	FILTER_NO_FLOW,		/* an error, a later fragment, or a reply, of nothing that is known */
	FILTER_ENDED,		/* the rules ended this flow */
	FILTER_STRAY,		/* out: TCP that belongs to nothing */
	FILTER_FULL,		/* no room for one more flow */
	FILTER_RATE,		/* too much echo */
	FILTER_PROTOCOL,	/* in: a protocol, or ICMP message, that no rule can allow */
	FILTER_MALFORMED,	/* fault */
};
#define FILTER_REASONS (FILTER_MALFORMED + 1)

struct filter_decision {
	enum filter_verdict verdict;
	enum filter_reason reason;
	enum inner_fault fault;
	int rule;		/* that let the flow in, where it is one; else one of scope.h's others */
};

/*
 * An empty scope, so that nothing comes in. start_ms: now; for FILTER_RESUME_MS a TCP packet from a client's port here
 * to a lower port there may take up a connection without its SYN. INT64_MIN: not.
 */
struct filter *filter_new(int64_t start_ms);
void filter_free(struct filter *f);

/* ---- control ---- */

/* These rules from the next packet on. Takes s, frees the former one. */
void filter_set_scope(struct filter *f, struct scope *s);
/*
 * Who the peer of this number (below FLOW_PEERS_MAX) is; NULL: nobody. Either way all flows of the number end:
 * call it with NULL after plane_peer_remove, and with the id before the peer has a block.
 */
void filter_set_peer(struct filter *f, uint32_t peer, const uint8_t *node_id);
/* Now and then: gives back room. */
void filter_sweep(struct filter *f, int64_t now_ms);

/* ---- the data plane ---- */

/* A packet, or a buffer of many of one flow, whose addresses the caller has found to be the peer's and ours. */
void filter_in(struct filter *f, uint32_t peer, const uint8_t *ip, size_t len, int64_t now_ms, struct filter_decision *out);
void filter_out(struct filter *f, uint32_t peer, const uint8_t *ip, size_t len, int64_t now_ms, struct filter_decision *out);

/* ---- what people ask ---- */

struct filter_figures {
	uint64_t in[FILTER_REASONS], out[FILTER_REASONS];	/* decisions ever, by reason */
	struct flow_counts flows;
	uint32_t generation;	/* of the rules */
};
void filter_figures(struct filter *f, struct filter_figures *out);
const char *filter_reason_text(enum filter_reason r);	/* "no rule allows it", for a log */

/*
 * Calls f's show for each flow alive with this peer (FLOW_PEERS_MAX: with any), in no order. It may not call back.
 */
void filter_flows(struct filter *f, uint32_t peer, int64_t now_ms, void (*show)(void *arg, const struct flow_info *i), void *arg);

struct filter_explanation {
	struct scope_reason reason;	/* of a call that begins now */
	unsigned live;			/* flows of this caller, target, protocol and port that are alive */
	unsigned ended;			/* those that the rules have ended */
	char flows[SCOPE_WHY_LEN];	/* a sentence about them, or empty */
};
/*
 * Why may `caller` reach `target` (SCOPE_NO_TARGET..-1: none) of ours, or not? peer: its number, or FLOW_PEERS_MAX
 * where it has none, which then has no flows. Flows of before a change of rules are told as what they become with
 * their next packet.
 */
void filter_explain(struct filter *f, const uint8_t *caller, const char *caller_name, uint32_t peer, int target,
		    enum scope_proto proto, uint16_t port, int64_t now_ms, struct filter_explanation *out);
/*
 * The other end of it: a call from here to an address (4 or 16 bytes) of that peer, its own or of a device behind it. It is
 * free; `ended` stays 0. The flows that there are may be of calls that the peer has not answered.
 */
void filter_explain_out(struct filter *f, const char *peer_name, uint32_t peer, const uint8_t *address, size_t len,
			enum scope_proto proto, uint16_t port, int64_t now_ms, struct filter_explanation *out);
/* For filter_explain: the target of this name, "" for the node; below 0 when there is none. */
int filter_target_named(struct filter *f, const char *name);

#endif
