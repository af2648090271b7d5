/*
 * Device policy, man/meshanics-allow.5: what this device lets happen to it without somebody who types a command. Read from
 * a file that only root writes; what it does not allow is denied, and so is everything when it is not there.
 */
#ifndef MESHANICS_AGENT_ALLOW_H
#define MESHANICS_AGENT_ALLOW_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define ALLOW_LABELS_MAX 32
#define ALLOW_LABEL_MAX 64	/* bytes of a file system's label with NUL */

struct allow {
	bool media_apply;	/* bundles on media are applied without being asked */
	char labels[ALLOW_LABELS_MAX][ALLOW_LABEL_MAX];	/* of media that count */
	unsigned label_count;
};

/*
 * Read the file. ERR_USAGE names file, line and what is wrong in it; ERR_REFUSED: others than root and we can write it.
 * No file: nothing is allowed, 0.
 */
WARN_UNUSED int allow_read(struct allow *a, const char *path, struct error *err);
/* May bundles on a medium with this label be applied? 0, or ERR_REFUSED with what the policy lacks. path: for the words. */
WARN_UNUSED int allow_media(const struct allow *a, const char *label, const char *path, struct error *err);

/*
 * The label of the file system that holds the open directory, as udev has found it: dbdir is its database ("/run/udev/data").
 * ERR_NOT_FOUND: udev does not know, or it has none.
 */
WARN_UNUSED int media_label(int dirfd, const char *dbdir, char out[static ALLOW_LABEL_MAX], struct error *err);

#endif
