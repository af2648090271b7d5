/* What the files behind routes_repository's table share. */
#ifndef MESHANICS_CONTROL_ROUTES_REPOSITORY_H
#define MESHANICS_CONTROL_ROUTES_REPOSITORY_H

#include "control/api.h"

struct repo;	/* tuf/repo.h */

/* The repository of this control plane; ERR_NOT_FOUND with a hint before `repo init`. */
WARN_UNUSED int repository_need(const struct api_call *call, struct repo **r, struct error *err);

/* routes_publish.c: blobs by their SHA-256, and local files that have none yet */
int repository_blob_open(struct api_call *call, struct error *err);
int repository_blob_prepare(struct api_call *call, struct error *err);
int repository_put_blob(struct api_call *call, struct error *err);
int repository_get_blob(struct api_call *call, struct error *err);
int repository_unnamed_open(struct api_call *call, struct error *err);
int repository_unnamed_prepare(struct api_call *call, struct error *err);
int repository_put_unnamed(struct api_call *call, struct error *err);
/* publishers' files */
int repository_get_role(struct api_call *call, struct error *err);
int repository_put_role(struct api_call *call, struct error *err);
/* artifacts */
int repository_list_artifacts(struct api_call *call, struct error *err);
int repository_show_artifact(struct api_call *call, struct error *err);
int repository_remove_blob(struct api_call *call, struct error *err);
int repository_restore_blob(struct api_call *call, struct error *err);

#endif
