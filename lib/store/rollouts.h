/* Rows of rollouts and their waves. No rules: see lib/fleet/rollout.h. */
#ifndef MESHANICS_STORE_ROLLOUTS_H
#define MESHANICS_STORE_ROLLOUTS_H

#include "base/name.h"
#include "db/db.h"

#define ROLLOUT_REASON_MAX 320

/* Drawn in fleet/rollout.h. */
enum rollout_state { ROLLOUT_RUNNING, ROLLOUT_PAUSED, ROLLOUT_HALTED, ROLLOUT_COMPLETED, ROLLOUT_ABORTED };
const char *rollout_state_name(enum rollout_state state);

struct rollout {
	int64_t id;
	char artifact[TARGET_PATH_MAX + 1];
	char artifact_name[TARGET_PATH_MAX + 1];	/* <namespace>/<name> */
	char kind[32];
	enum rollout_state state;
	int wave;		/* the last open one, from 0; -1: none yet */
	char reason[ROLLOUT_REASON_MAX];
	char created_by[96];
	int64_t created_s, updated_s;
};

/* WAITING: its turn has come and it waits for approval. */
enum wave_state { WAVE_PLANNED, WAVE_WAITING, WAVE_OPEN, WAVE_COMPLETE };
const char *wave_state_name(enum wave_state state);

struct wave {
	int wave;
	unsigned percent;
	bool manual;
	enum wave_state state;
	char approved_by[96];	/* "" when nobody has */
	int64_t opened_s, completed_s;	/* 0: not yet */
};

/* id, state and wave of r are ignored: it begins running, with no wave open. */
WARN_UNUSED int rollout_add(struct db *db, const struct rollout *r, struct slice selector, struct slice strategy,
			    int64_t *id, struct error *err);
/* ERR_NOT_FOUND naming it. */
WARN_UNUSED int rollout_find(struct db *db, int64_t id, struct rollout *out, struct error *err);
/* Appended. */
WARN_UNUSED int rollout_selector(struct db *db, int64_t id, struct buf *out, struct error *err);
WARN_UNUSED int rollout_strategy(struct db *db, int64_t id, struct buf *out, struct error *err);
WARN_UNUSED int rollout_set_state(struct db *db, int64_t id, enum rollout_state state, const char *reason, int64_t now_s,
				  struct error *err);
WARN_UNUSED int rollout_set_wave(struct db *db, int64_t id, int wave, int64_t now_s, struct error *err);

WARN_UNUSED int wave_add(struct db *db, int64_t rollout_id, const struct wave *w, struct error *err);
WARN_UNUSED int wave_find(struct db *db, int64_t rollout_id, int wave, struct wave *out, struct error *err);
/* Sets opened_s or completed_s with the state, the first time. */
WARN_UNUSED int wave_set_state(struct db *db, int64_t rollout_id, int wave, enum wave_state state, int64_t now_s,
			       struct error *err);
WARN_UNUSED int wave_approve(struct db *db, int64_t rollout_id, int wave, const char *actor, struct error *err);

/* Newest first. state: NULL for any. */
struct rollout_walk {
	struct query q;
	struct rollout rollout;
	struct slice selector;	/* borrowed until the next step */
};
void rollout_walk_open(struct rollout_walk *w, struct db *db, const char *state);
/* Those not aborted that are newer than anything the device has (or is planned to have) of their artifact name. */
void rollout_walk_joinable(struct rollout_walk *w, struct db *db, int64_t device_id);
WARN_UNUSED int rollout_walk_next(struct rollout_walk *w, struct error *err);
void rollout_walk_close(struct rollout_walk *w);

#endif
