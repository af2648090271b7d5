/*
 * What the supervisor must not forget: HOME/agent/state.db. Every state of an update is written here, with the
 * report that tells the control plane, in one transaction, before the agent acts on it.
 *
 *	         offered           payload here         bytes proved         swapped           probes pass
 *	(none) ----------> DOWNLOADING -------> VERIFYING -------> APPLYING -------> PROBING --------> HEALTHY
 *	                    |  ^   |  ^             |  |               |                |
 *	                    |  '---'  '-------------'  |               |                | a probe fails for good,
 *	                    |  again   copy was cut    |               |                | or takes too long
 *	                    v                          v               v                v
 *	                  FAILED <---------------------+---------------'           ROLLED_BACK
 *
 * A state may be reported again, with another reason: an update that waits for room on the disk tells so, and stays.
 *
 * An order to revert leads from any state to ROLLED_BACK, from HEALTHY too: the kept version runs again.
 *
 * One update at a time. A restart finds at most one that is under way and goes on from its state: DOWNLOADING
 * resumes, VERIFYING copies again, APPLYING applies again (it is idempotent), PROBING probes again, also when going
 * back had begun. What runs (struct installed) changes in the same transaction as the state, so that FAILED never
 * leaves a version on record that did not run. Every state has a limit of time (update_state_limit_s) after which it
 * counts as failed; what counts towards it is the time that the agent ran, never the wall clock (agent/stay.c).
 */
#ifndef MESHANICS_AGENT_STATE_H
#define MESHANICS_AGENT_STATE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"
#include "crypto/hash.h"
#include "db/db.h"

#define UPDATE_DESCRIPTOR_MAX (256u << 10)
#define UPDATE_REASON_MAX 480

enum update_state {
	UPDATE_NONE = 0,
	UPDATE_DOWNLOADING,	/* metadata is verified, the payload fetched; resumed until a day has brought nothing more */
	UPDATE_VERIFYING,	/* the payload is copied into root's storage and hashed on the way */
	UPDATE_APPLYING,	/* it goes to its place; the version that runs is kept */
	UPDATE_PROBING,		/* the new version is in place, its health is asked for */
	UPDATE_HEALTHY,		/* done: it is the one that runs */
	UPDATE_ROLLED_BACK,	/* done: the former version runs again */
	UPDATE_FAILED,		/* done: nothing was changed */
	UPDATE_STATES,
};
const char *update_state_name(enum update_state s);	/* "downloading", "rolled_back", ... */
bool update_state_final(enum update_state s);
/*
 * The longest an update may stay in a state, seconds; 0 for final ones. While it is downloading every 64 KiB that come
 * begin it anew, and it does not run while the byte budget is used up.
 */
int64_t update_state_limit_s(enum update_state s);

/* The one update under way. Zero-initialise with update_init; release in every case. */
struct update {
	int64_t assignment;	/* the control plane's number; below 0: ours, of an update from a bundle; 0: none */
	char path[TARGET_PATH_MAX + 1];	/* NAMESPACE/NAME/VERSION, checked */
	char artifact[TARGET_PATH_MAX + 1];	/* NAMESPACE/NAME */
	char version[NAME_LEN_MAX + 1];
	enum update_state state;
	int64_t since_s;	/* when state was entered */
	bool signed_known;	/* length, sha256, url and descriptor are set: metadata has been verified */
	uint64_t length;
	uint8_t sha256[SHA256_LEN];
	char url[1024];		/* below /targets/ */
	struct buf descriptor;	/* JSON */
	char reason[UPDATE_REASON_MAX];
};
/* Nobody assigned it: it was brought to the device in a bundle, and is fetched from there. */
static inline bool update_is_local(const struct update *u)
{
	return u->assignment < 0;
}
void update_init(struct update *u);
void update_release(struct update *u);
/* Split path into artifact and version. ERR_MALFORMED. */
WARN_UNUSED int update_set_path(struct update *u, struct slice path, struct error *err);

/* What runs of one artifact, and what is kept to go back to. Empty strings: nothing. */
struct installed {
	char artifact[TARGET_PATH_MAX + 1];
	char version[NAME_LEN_MAX + 1], previous[NAME_LEN_MAX + 1];
	char older[NAME_LEN_MAX + 1];	/* previous of previous, while version is being tried */
	int64_t release, previous_release, older_release;
	int64_t mark;		/* highest release that has ever run (lowered only by a signed downgrade_from) */
	int64_t since_s;
};

/* home: HOME/agent. */
WARN_UNUSED struct db *state_open(const char *home, struct error *err);

/* The update under way into u (assignment 0 when there is none). */
WARN_UNUSED int state_load_update(struct db *db, struct update *u, struct error *err);
/* The state of an assignment here, UPDATE_NONE when it is new; -1 (as an int) with err. */
WARN_UNUSED int state_of(struct db *db, int64_t assignment, struct error *err);
/* A number for an update from a bundle: below 0, and below all that were given. */
WARN_UNUSED int state_local_number(struct db *db, int64_t *assignment, struct error *err);
/* Is this payload that of updates that are over, and of none under way? 1, 0 (also when it is unknown), -1. */
WARN_UNUSED int state_payload_over(struct db *db, const uint8_t sha256[static SHA256_LEN], struct error *err);
/*
 * The only writer of u->state: checks the step against the picture (asserted), and makes the row, its report and, if
 * not NULL, what is installed from now on durable, all or nothing. On failure u is as before.
 */
WARN_UNUSED int state_enter(struct db *db, struct update *u, enum update_state next, const struct installed *installed,
			    const char *reason, int64_t now_s, struct error *err);
#define REPORTS_WAITING_MAX 64	/* with so many that wait, a state is not told again */
/*
 * Tell why u stays in its state, which is not final: another report of the same state with another reason, as durable
 * as a step. The time in the state goes on.
 */
WARN_UNUSED int state_say(struct db *db, struct update *u, const char *reason, int64_t now_s, struct error *err);
/* Keep what verified metadata said (signed_known). */
WARN_UNUSED int state_keep_signed(struct db *db, const struct update *u, struct error *err);

/* ERR_NOT_FOUND never: an artifact that is not there comes back empty, with mark 0. */
WARN_UNUSED int state_installed(struct db *db, const char *artifact, struct installed *out, struct error *err);
/* A version takes its turn: what ran becomes previous, previous becomes older. */
void installed_try(struct installed *i, const char *version, int64_t release, int64_t now_s);
void installed_confirm(struct installed *i);			/* it stays: older is let go */
void installed_back(struct installed *i, int64_t now_s);	/* it goes: the undoing of installed_try */
/* Calls each for every artifact. */
WARN_UNUSED int state_each_installed(struct db *db, int (*each)(void *arg, const struct installed *i, struct error *err),
				     void *arg, struct error *err);

/* A transition that the control plane has not heard of yet. seq rises over the life of this database. */
struct report {
	int64_t seq, at_s;
	int64_t assignment;	/* the control plane hears 0 for those below 0: nobody there has asked for it */
	char path[TARGET_PATH_MAX + 1];
	enum update_state state;
	char reason[UPDATE_REASON_MAX];
};
/* The oldest: 1, 0 when there is none, -1. */
WARN_UNUSED int state_next_report(struct db *db, struct report *out, struct error *err);
/* The control plane has this one, or will never take it. */
WARN_UNUSED int state_report_done(struct db *db, int64_t seq, struct error *err);
/* Small texts by name ("metadata", "budget", ...) that outlive the process. */
WARN_UNUSED int state_set_fact(struct db *db, const char *key, struct slice value, struct error *err);
/* Appended to value: 1, 0 when there is none, -1. */
WARN_UNUSED int state_get_fact(struct db *db, const char *key, struct buf *value, struct error *err);
/* The same for a number; 0 when there is none, or it is not one. */
WARN_UNUSED int state_get_number(struct db *db, const char *key, int64_t *value, struct error *err);
WARN_UNUSED int state_set_number(struct db *db, const char *key, int64_t value, struct error *err);
/* The versions of the metadata that is trusted, as a JSON object by role: kept for heartbeats. */
WARN_UNUSED int state_set_metadata(struct db *db, struct slice json, struct error *err);
WARN_UNUSED int state_get_metadata(struct db *db, struct buf *json, struct error *err);	/* {} at first */
/* How long the update has been in its state so far, seconds (agent/stay.c); 0 when nothing was noted. */
WARN_UNUSED int state_note_stay(struct db *db, const struct update *u, int64_t stay_s, struct error *err);
WARN_UNUSED int state_stay(struct db *db, const struct update *u, int64_t *stay_s, struct error *err);
#define INSTANCE_LEN 17	/* 16 hex digits with NUL */
/* Names this database; random, made when first asked for. */
WARN_UNUSED int state_instance(struct db *db, char out[static INSTANCE_LEN], struct error *err);

#endif
