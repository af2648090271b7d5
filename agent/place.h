/*
 * Putting a file payload in its place: artifacts/NAMESPACE/NAME/VERSION/FILE, and the name `current` beside it, a
 * symbolic link that is swapped by rename. Whoever opens current/FILE sees the old version or the new one, whole.
 * The previous version stays until the next one is healthy. Names have passed name_check and version_check.
 */
#ifndef MESHANICS_AGENT_PLACE_H
#define MESHANICS_AGENT_PLACE_H

#include <sys/types.h>

#include "agent/state.h"

/*
 * Move `incoming` (a file in dirfd, whole, verified and synced) to its version directory, without making it current.
 * Repeating it is fine, also after a power cut anywhere inside. filename has passed filename_check.
 */
WARN_UNUSED int place_file(int dirfd, const char *incoming, const struct update *u, const char *filename, mode_t mode,
			   struct error *err);
/* Make version the current one. version "": remove `current`. */
WARN_UNUSED int place_switch(int dirfd, const char *artifact, const char *version, struct error *err);
/* Which version is current; "" when none. out has NAME_LEN_MAX + 1 bytes. */
WARN_UNUSED int place_current(int dirfd, const char *artifact, char *out, struct error *err);
/* Remove every version directory of the artifact but these two (either may be ""), and what a cut switch left. Durable. */
WARN_UNUSED int place_prune(int dirfd, const char *artifact, const char *keep, const char *keep_too, struct error *err);

#endif
