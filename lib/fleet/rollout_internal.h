/* What the files of the rollout rules share. */
#ifndef MESHANICS_FLEET_ROLLOUT_INTERNAL_H
#define MESHANICS_FLEET_ROLLOUT_INTERNAL_H

#include "fleet/rollout.h"

#define ROLLOUT_SELF "serve"	/* the actor of steps that nobody asked for */

/* The strategy as it is stored. */
WARN_UNUSED int rollout_load_strategy(struct db *db, int64_t id, struct strategy *s, struct error *err);
/* What is known of the open waves of r. */
WARN_UNUSED int rollout_load_tally(struct db *db, const struct rollout *r, const struct strategy *s, int64_t now_s,
				   struct tally *t, struct error *err);
/*
 * Open the wave after the last open one, or leave it WAITING when it needs an approval that it does not have.
 * *opened says which.
 */
WARN_UNUSED int rollout_open_next(struct db *db, struct rollout *r, int64_t now_s, bool *opened, struct error *err);
/* Judge the rollouts that lost devices (device_id 0: any) to this one. */
WARN_UNUSED int rollout_judge_superseded(struct db *db, int64_t id, int64_t device_id, int64_t now_s, struct error *err);

#endif
