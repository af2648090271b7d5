/* What the files behind routes_fleet's table share. */
#ifndef MESHANICS_CONTROL_ROUTES_FLEET_H
#define MESHANICS_CONTROL_ROUTES_FLEET_H

#include "control/api.h"

/* A query parameter as text into out; *given says whether it was there. ERR_MALFORMED, ERR_LIMIT. */
WARN_UNUSED int fleet_query_text(const struct api_call *call, const char *name, struct buf *out, bool *given,
				 struct error *err);
/* A query parameter as a whole number between min and max; left alone when it is not there. ERR_USAGE. */
WARN_UNUSED int fleet_query_int(const struct api_call *call, const char *name, int64_t min, int64_t max, int64_t *out,
				struct error *err);

/* routes_rollouts.c */
int fleet_get_rollouts(struct api_call *call, struct error *err);
int fleet_post_rollout(struct api_call *call, struct error *err);
int fleet_get_rollout(struct api_call *call, struct error *err);
int fleet_pause_rollout(struct api_call *call, struct error *err);
int fleet_resume_rollout(struct api_call *call, struct error *err);
int fleet_abort_rollout(struct api_call *call, struct error *err);
int fleet_approve_rollout(struct api_call *call, struct error *err);

/* routes_audit.c; the two prepare_* walk the whole trail beside the writer */
int fleet_get_audit(struct api_call *call, struct error *err);
int fleet_export_audit(struct api_call *call, struct error *err);
int fleet_prepare_head(struct api_call *call, struct error *err);
int fleet_get_head(struct api_call *call, struct error *err);
int fleet_prepare_verify(struct api_call *call, struct error *err);
int fleet_get_verify(struct api_call *call, struct error *err);

#endif
