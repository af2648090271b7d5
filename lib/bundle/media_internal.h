/* Shared by the files behind bundle/media.h. */
#ifndef MESHANICS_BUNDLE_MEDIA_INTERNAL_H
#define MESHANICS_BUNDLE_MEDIA_INTERNAL_H

#include "bundle/media.h"

#define MEDIA_PATH_TEXT (MEDIA_NAME_MAX + 16)

struct media {
	int dirfd;	/* of `meshanics` */
	bool write;
};

/* The directory of a kind, as a name, and open: -1 with ERR_NOT_FOUND. */
const char *media_dir(enum media_kind kind);
WARN_UNUSED int media_open_dir(const struct media *m, enum media_kind kind, struct error *err);
/* A good name, and one of this kind. ERR_MALFORMED. */
WARN_UNUSED int media_check_name(enum media_kind kind, const char *name, struct error *err);
/* "enroll/NAME" into out. Returns out. */
const char *media_path(char out[static MEDIA_PATH_TEXT], enum media_kind kind, const char *name);
bool media_holds(const struct media_list *l, const char *name);

#endif
