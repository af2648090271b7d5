/*
 * Rollouts: one artifact, for the devices of a selector, in waves. All functions run inside a transaction on the
 * store's writer unless they are said to read. Steps that a rollout takes by itself write their audit records here;
 * that of a request is written by who carries it (lib/control), in the same transaction.
 *
 *	create            last wave complete
 *	------> RUNNING -----------------------> COMPLETED
 *	         |  ^ \
 *	   pause |  |  \ too many failures
 *	         v  |   v
 *	     PAUSED |  HALTED
 *	         |  |   |
 *	         '--+---'  resume: what was seen so far is acknowledged, counting begins anew
 *
 *	from any of these but COMPLETED, and from COMPLETED with `revert`: abort -> ABORTED
 *
 * The cohort is fixed when the rollout is made: the devices that match, ordered by SHA-256 of
 * "<rollout id>/<device name>". Wave i is the part of that order up to its percentage. A device that comes
 * later (or begins to match later) joins the last open wave. A device follows the newest rollout of an
 * artifact name; an earlier one that was under way on it is superseded, one that was healthy is what it
 * falls back to. PAUSED and HALTED hold back devices that have not finished downloading; those further on
 * are let finish. COMPLETED still takes in late devices.
 */
#ifndef MESHANICS_FLEET_ROLLOUT_H
#define MESHANICS_FLEET_ROLLOUT_H

#include "fleet/selector.h"
#include "fleet/strategy.h"
#include "store/assignments.h"
#include "store/devices.h"
#include "store/rollouts.h"

#define ROLLOUT_NOTE_MAX 200	/* bytes of an operator's reason */

/* What a rollout is to be; borrowed. The artifact is published (the caller has looked). */
struct rollout_spec {
	struct slice artifact;	/* <namespace>/<name>/<version> */
	struct slice kind;	/* of its descriptor: "file" */
	struct slice selector;	/* JSON text */
	struct slice strategy;	/* JSON text */
	bool allow_empty;	/* also when no device matches now */
};

/* Who acts, when, and in whose words. */
struct rollout_actor {
	const char *name;	/* "operator:alice" */
	int64_t now_s;
	struct slice note;	/* why, or empty; at most ROLLOUT_NOTE_MAX bytes */
	struct buf *detail;	/* gets what the audit record of the request shall say, a JSON object; or NULL */
};

/*
 * Make it and open its first wave, unless that waits for approval. -1: ERR_USAGE or ERR_MALFORMED (selector,
 * strategy, path), ERR_CONFLICT (no device matches; another rollout has waves of the same artifact name to
 * open on one of these devices).
 */
WARN_UNUSED int rollout_create(struct db *db, const struct rollout_spec *spec, const struct rollout_actor *who,
			       int64_t *id, struct error *err);
/* ERR_NOT_FOUND, ERR_CONFLICT (not in a state for it). */
WARN_UNUSED int rollout_pause(struct db *db, int64_t id, const struct rollout_actor *who, struct error *err);
WARN_UNUSED int rollout_resume(struct db *db, int64_t id, const struct rollout_actor *who, struct error *err);
enum abort_mode {
	ABORT_KEEP,	/* devices that have it, or are past downloading, keep it */
	ABORT_REVERT,	/* devices go back to the version they kept */
};
WARN_UNUSED int rollout_abort(struct db *db, int64_t id, enum abort_mode mode, const struct rollout_actor *who,
			      struct error *err);
/* Let the next wave open: when the open one is complete, or (early) now. */
WARN_UNUSED int rollout_approve(struct db *db, int64_t id, bool early, const struct rollout_actor *who,
				struct error *err);

/* Judge a rollout after something changed, and act: halt, complete, open waves. */
WARN_UNUSED int rollout_evaluate(struct db *db, int64_t id, int64_t now_s, struct error *err);
/* A device registered or was tagged: let it join what it matches. */
WARN_UNUSED int rollouts_adopt(struct db *db, int64_t device_id, int64_t now_s, struct error *err);
/* A device left (revoked, decommissioned): nothing waits for it any more. */
WARN_UNUSED int rollouts_drop_device(struct db *db, int64_t device_id, const char *reason, int64_t now_s,
				     struct error *err);
/*
 * A device reported a state of its assignment. The caller has recorded the transition. Late and surprising
 * reports are taken as facts.
 */
WARN_UNUSED int rollout_reported(struct db *db, const struct device *d, int64_t assignment_id,
				 enum assignment_state state, struct slice reason, int64_t now_s, struct error *err);

/* ---- reading ---- */
/* One rollout with its waves and counts, as an object; with_devices: also every assignment. */
WARN_UNUSED int rollout_put(struct db *db, int64_t id, bool with_devices, struct json_writer *w, struct error *err);
/* All, newest first, as an array of the same objects without waves, member `name` of w. state: NULL for any. */
WARN_UNUSED int rollouts_put(struct db *db, const char *state, const char *name, struct json_writer *w,
			     struct error *err);
/* The desired state of a device as an array, member `name` of w. */
WARN_UNUSED int desired_put(struct db *db, int64_t device_id, const char *name, struct json_writer *w,
			    struct error *err);

#endif
