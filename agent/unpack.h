/*
 * What the worker makes of a bundle that somebody has brought to the device (man/meshanics-bundle.5): the metadata in it,
 * judged by the engine as remote_update does, and the payloads. The files come as descriptors, once; each of them can be
 * read again from its beginning. Nobody believes the answers: the supervisor verifies all of it anew.
 *
 *	unpack_volume* -> unpack_open -> unpack_check -> unpack_payload*
 *
 * Limits: UNPACK_VOLUMES_MAX files; UNPACK_PLAN_MAX artifacts at once, of at most UNPACK_CANDIDATES_MAX that are looked
 * at when none is named.
 */
#ifndef MESHANICS_AGENT_UNPACK_H
#define MESHANICS_AGENT_UNPACK_H

#include "agent/home.h"
#include "tuf/descriptor.h"

#define UNPACK_VOLUMES_MAX 16
#define UNPACK_PLAN_MAX 128
#define UNPACK_CANDIDATES_MAX 65536
#define UNPACK_NAME_MAX 256	/* bytes of a file's name with NUL, cut to fit: for errors */

/* Of what goes to and fro packed (agent/blobs.h): lists of artifacts, a line each. No metadata file has such a name. */
#define UNPACK_TARGETS "targets"	/* to the worker: those that were named; none: all that fit this device */
#define UNPACK_CANDIDATES "candidates"	/* from the worker: what is to be applied */

struct unpack;

struct unpack *unpack_new(void);
void unpack_free(struct unpack *u);	/* NULL is fine */

/* A file of the bundle; takes fd (-1: none comes). first: those of before go. ERR_LIMIT. */
WARN_UNUSED int unpack_volume(struct unpack *u, struct slice name, bool first, int fd, struct error *err);

struct unpack_request {
	const struct identity *identity;
	const struct device_profile *profile;	/* for choosing among what was not named */
	struct slice stored;		/* packed: trusted files by their names, UNPACK_TARGETS */
	int64_t now_s, floor_s;
};
/*
 * Read manifest and metadata and walk the TUF workflow for each artifact. Appended to out, packed: BUNDLE_MANIFEST,
 * BUNDLE_SIGNATURE, the metadata that was needed by its path below /metadata/, UNPACK_CANDIDATES. Of artifacts that
 * were not named: of each name the highest release that fits the profile.
 */
WARN_UNUSED int unpack_open(struct unpack *u, const struct unpack_request *q, struct buf *out, struct error *err);

struct unpack_watcher {
	void (*progress)(void *arg, uint64_t bytes);	/* of what is being read; at most once a second */
	void *arg;
};
/* Read payloads (raw SHA-256s, in the order of the bundle) to their ends: they are whole and right. */
WARN_UNUSED int unpack_check(struct unpack *u, struct slice hashes, const struct unpack_watcher *w, struct error *err);

/*
 * Copy a payload to dirfd/SHA256.part, unless it is there already. The open file, or -1: ERR_NOT_FOUND when there is no
 * bundle.
 */
WARN_UNUSED int unpack_payload(struct unpack *u, int dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t length,
			       const struct unpack_watcher *w, struct error *err);

#endif
