/* Names from outside pass one of these whitelists before they join a path, a URL, a certificate or a row. */
#ifndef MESHANICS_BASE_NAME_H
#define MESHANICS_BASE_NAME_H

#include "base/error.h"

#define NAME_LEN_MAX 63		/* bytes of one name */
#define TARGET_PATH_MAX 255	/* bytes of <namespace>/<name>/<version> */

/*
 * A name: 1 to 63 of a-z 0-9 . _ - (lower case), beginning with a letter or digit, without "..".
 * Used for namespaces, artifact names, devices, sites, operators, keys, groups, roles of ours.
 * what: the word for the error ("device name"). -1 with ERR_MALFORMED naming the first bad byte or the length.
 */
WARN_UNUSED int name_check(struct slice name, const char *what, struct error *err);
/* A version: as a name, with upper case letters and + ~ allowed as well. */
WARN_UNUSED int version_check(struct slice version, struct error *err);
/* Exactly three parts, name/name/version. */
WARN_UNUSED int target_path_check(struct slice path, struct error *err);
/* One file name: printable ASCII without '/', not "." or "..", 1 to 255 bytes, not beginning with '-'. */
WARN_UNUSED int filename_check(struct slice name, struct error *err);
/* The edit distance of two names, for "did you mean"; capped at 255. */
unsigned name_distance(const char *a, const char *b);

#endif
