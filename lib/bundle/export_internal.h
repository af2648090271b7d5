/* What the files behind bundle/export.h share: where members of a plan are found, and what is said when they are bad. */
#ifndef MESHANICS_BUNDLE_EXPORT_INTERNAL_H
#define MESHANICS_BUNDLE_EXPORT_INTERNAL_H

#include "bundle/export.h"

/* Append a metadata member as it lies in the repository now. */
WARN_UNUSED int bundle_plan_read(const struct bundle_plan *p, const struct member *m, struct buf *out,
				 struct error *err);
/* The artifact's file "is missing", "...": ERR_REFUSED with what to do. */
int bundle_blob_bad(const struct bundle_plan *p, const struct plan_artifact *a, const char *what, struct error *err);
/* The record key that signs bundles of a kind, below HOME/repo. */
const char *bundle_key_file(enum bundle_kind kind);
/* A selector, at most TARGET_PATH_MAX bytes, as a pattern of three parts. */
void bundle_selector_pattern(const char *selector, char out[static TARGET_PATH_MAX + 3]);

#endif
