/* Lines of a manifest, between manifest.c (the whole) and manifest_members.c (its members). */
#ifndef MESHANICS_BUNDLE_MANIFEST_INTERNAL_H
#define MESHANICS_BUNDLE_MANIFEST_INTERNAL_H

#include "bundle/manifest.h"

#define MANIFEST_MEMBERS_END "]}"

/*
 * Cut the next line off rest, without its newline. One longer than max is ERR_LIMIT, a last one without a newline
 * ERR_MALFORMED.
 */
WARN_UNUSED int manifest_take_line(struct slice *rest, size_t max, struct slice *line, struct error *err);
/* One member; line is without the comma behind it. */
WARN_UNUSED int manifest_parse_line(struct slice line, struct member *out, struct error *err);
/* All lines after the first two, against the first one, which m has. */
WARN_UNUSED int manifest_check_members(const struct manifest *m, struct slice rest, struct error *err);

#endif
