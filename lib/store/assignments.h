/*
 * Rows of assignments (one device's part in one rollout) and of the transitions that devices report. No rules:
 * see lib/fleet/rollout.h.
 */
#ifndef MESHANICS_STORE_ASSIGNMENTS_H
#define MESHANICS_STORE_ASSIGNMENTS_H

#include "base/name.h"
#include "db/db.h"

#define ASSIGNMENT_REASON_MAX 512

/*
 *	wave opens    device reports ...
 *	PLANNED -> ASSIGNED -> DOWNLOADING -> VERIFYING -> APPLYING -> PROBING -> HEALTHY
 *	   |          |            |  each of these: -> FAILED; the last two: -> ROLLED_BACK
 *	   '----------'------------'--> CANCELLED (abort, or the device left), SUPERSEDED (a newer rollout)
 *
 * SETTLED are HEALTHY, ROLLED_BACK and FAILED: the device has had its last word.
 */
enum assignment_state {
	ASSIGNMENT_PLANNED, ASSIGNMENT_ASSIGNED, ASSIGNMENT_DOWNLOADING, ASSIGNMENT_VERIFYING, ASSIGNMENT_APPLYING,
	ASSIGNMENT_PROBING, ASSIGNMENT_HEALTHY, ASSIGNMENT_ROLLED_BACK, ASSIGNMENT_FAILED, ASSIGNMENT_CANCELLED,
	ASSIGNMENT_SUPERSEDED, ASSIGNMENT_STATES,
};
const char *assignment_state_name(enum assignment_state state);
/* ASSIGNMENT_STATES when there is no such word. */
enum assignment_state assignment_state_by_name(struct slice word);
bool assignment_is_settled(enum assignment_state state);
/* A state that a device may report: downloading to failed. */
bool assignment_is_reportable(enum assignment_state state);

struct assignment {
	int64_t id, rollout_id, device_id;
	char artifact[TARGET_PATH_MAX + 1];
	char artifact_name[TARGET_PATH_MAX + 1];
	char kind[32];
	int wave;
	bool revert;		/* the device shall go back from it */
	enum assignment_state state;
	bool current;		/* part of the device's desired state */
	int64_t previous_id;	/* what it falls back to; 0: nothing */
	char reason[ASSIGNMENT_REASON_MAX];
	int64_t updated_s;
};

/* One more device for a rollout, PLANNED; nothing when it is there already. position orders the cohort. */
WARN_UNUSED int assignment_add(struct db *db, int64_t rollout_id, int64_t device_id, int64_t position, int wave,
			       int64_t now_s, struct error *err);
/* Make a CANCELLED one PLANNED again, in this wave: a device that came back. *changed: there was one. */
WARN_UNUSED int assignment_renew(struct db *db, int64_t rollout_id, int64_t device_id, int wave, int64_t now_s,
				 bool *changed, struct error *err);
WARN_UNUSED int assignment_find(struct db *db, int64_t id, struct assignment *out, struct error *err);
/* The one of this rollout and device: 1, 0, -1. */
WARN_UNUSED int assignment_of(struct db *db, int64_t rollout_id, int64_t device_id, struct assignment *out,
			      struct error *err);
WARN_UNUSED int assignment_set_state(struct db *db, int64_t id, enum assignment_state state, struct slice reason,
				     int64_t now_s, struct error *err);
/* Make it current in place of whatever is current for its device and artifact name. */
WARN_UNUSED int assignment_make_current(struct db *db, int64_t id, struct error *err);
/* No longer current; what it fell back to is current again, when that is healthy and nothing else is. */
WARN_UNUSED int assignment_fall_back(struct db *db, int64_t id, struct error *err);
/* The id of what is current on this device for this name, 0 when nothing is. */
WARN_UNUSED int assignment_current(struct db *db, int64_t device_id, const char *artifact_name, int64_t *id,
				   struct error *err);

/*
 * Open waves up to `wave`: PLANNED ones become ASSIGNED and current. What was current before becomes their
 * previous if healthy, else hands its own previous on; unsettled, it is SUPERSEDED. *count: how many.
 */
WARN_UNUSED int assignments_open(struct db *db, int64_t rollout_id, int wave, const char *reason, int64_t now_s,
				 int64_t *count, struct error *err);
/* The same for the one device that came late, whatever the size of the rollout. */
WARN_UNUSED int assignments_open_device(struct db *db, int64_t rollout_id, int wave, int64_t device_id, const char *reason,
					int64_t now_s, struct error *err);
/*
 * Rollouts, other than this one, that lost a device to it (state SUPERSEDED), or this device, unless device_id is 0: ids,
 * at most max; the count.
 */
WARN_UNUSED int assignments_superseded_rollouts(struct db *db, int64_t rollout_id, int64_t device_id, int64_t *ids,
						unsigned max, struct error *err);
/* Settled ones are acknowledged. */
WARN_UNUSED int assignments_acknowledge(struct db *db, int64_t rollout_id, struct error *err);
/* PLANNED, ASSIGNED and DOWNLOADING ones become CANCELLED and fall back. */
WARN_UNUSED int assignments_cancel(struct db *db, int64_t rollout_id, const char *reason, int64_t now_s,
				   int64_t *count, struct error *err);
/* PLANNED ones become CANCELLED; current ones get the action revert. */
WARN_UNUSED int assignments_revert(struct db *db, int64_t rollout_id, const char *reason, int64_t now_s,
				   int64_t *count, struct error *err);
/* All unsettled ones of a device become CANCELLED, and nothing is current on it. Ids of their rollouts, at most max. */
WARN_UNUSED int assignments_drop_device(struct db *db, int64_t device_id, const char *reason, int64_t now_s,
					int64_t *rollouts, unsigned max, struct error *err);

/* How many are in each state, in waves 0 to `wave`; and how they are judged. */
struct assignment_counts {
	int64_t in[ASSIGNMENT_STATES];
	int64_t acknowledged_bad;
	int64_t sample, sample_bad;	/* settled, not acknowledged, and since since_s if that is not 0 */
};
WARN_UNUSED int assignments_count(struct db *db, int64_t rollout_id, int wave, int64_t since_s,
				  struct assignment_counts *out, struct error *err);
/*
 * A rollout other than `rollout_id`, of the same artifact name and not over, that has PLANNED ones on a device
 * of this one: its id, or 0.
 */
WARN_UNUSED int assignments_clash(struct db *db, int64_t rollout_id, int64_t *other, struct error *err);
WARN_UNUSED int assignments_last_position(struct db *db, int64_t rollout_id, int64_t *out, struct error *err);

/* ---- walks ---- */
struct assignment_walk {
	struct query q;
	struct assignment assignment;
	struct slice device;	/* name, borrowed until the next step */
};
/* Of a rollout in cohort order, or of a device (all it ever had), newest first. */
void assignment_walk_rollout(struct assignment_walk *w, struct db *db, int64_t rollout_id);
void assignment_walk_device(struct assignment_walk *w, struct db *db, int64_t device_id);
/*
 * What the device shall have: its current ones; in place of one that its paused or halted rollout holds back, that
 * one's previous.
 */
void assignment_walk_desired(struct assignment_walk *w, struct db *db, int64_t device_id);
WARN_UNUSED int assignment_walk_next(struct assignment_walk *w, struct error *err);
void assignment_walk_close(struct assignment_walk *w);

/* ---- transitions ---- */
struct transition {
	int64_t device_id;
	struct slice instance;		/* of the agent's state */
	int64_t assignment_id;		/* 0: of none */
	int64_t seq;			/* within instance and assignment */
	struct slice artifact, state, reason;
	int64_t device_s, received_s;
};
/* *fresh is false when it was recorded before. */
WARN_UNUSED int transition_add(struct db *db, const struct transition *t, bool *fresh, struct error *err);

#endif
