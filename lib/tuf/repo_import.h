/*
 * What another repository of the same targets keys has published comes into force here: root chain, targets, publishers'
 * files and hash bins, as a bundle carries them, under this site's own snapshot and timestamp.
 *
 *	repo_import_check   reads only: everything that can be wrong without the artifacts
 *	...                 the caller brings artifacts into staging/ (publish.h)
 *	repo_import         the same checks, then blobs get their places, and one change publishes all of it
 *
 * Versions decide what is old, not clocks: a version may be any time ahead of our own clock, since the one who exports has
 * held it against his, and a site whose clock is slow must not be cut off from updates by that.
 *
 * An import of what is in force already signs nothing. Where a file or blob here was lost or damaged, it is put right.
 *
 * Limits: those of tuf/engine.h.
 */
#ifndef MESHANICS_TUF_REPO_IMPORT_H
#define MESHANICS_TUF_REPO_IMPORT_H

#include "tuf/engine_drive.h"
#include "tuf/repo.h"

#define REPO_SELECTED "selected"	/* HOME/repo/selected: SHA-256 of artifacts that are listed but not meant to be here */

/* An artifact that the new state lists. Borrowed until the callback returns. */
struct repo_import_artifact {
	struct slice path;
	uint64_t length;
	const uint8_t *sha256;
	bool held;		/* in its place or staged, with this length; bytes are not looked at */
};

struct repo_import {
	/* Metadata by file name: "N.root.json" (from any to the newest), "N.targets.json", "N.ROLE.json". Borrowed. */
	const struct tuf_blob *files;
	unsigned file_count;
	bool complete;		/* an artifact that is not here at the end is refused; else it is noted as not selected */
	int64_t now_s;
	unsigned flags;		/* REPO_ACCEPT_CLOCK */
	/* Or NULL: asked when all metadata holds, before anything is changed. -1 refuses the import. */
	int (*root)(void *arg, const struct tuf_root *newest, struct error *err);
	/* Or NULL: called for each artifact that the new state lists, some perhaps twice. -1 ends the import. */
	int (*artifact)(void *arg, const struct repo_import_artifact *a, struct error *err);
	void *arg;

	/* filled in, as far as it came */
	int64_t root_version, targets_version;	/* of the new state */
	unsigned roots, roles, bins;	/* files that are new: roots, targets and publishers, hash bins */
	unsigned healed;		/* metadata files and blobs that were damaged or gone */
	unsigned artifacts, placed;	/* listed now; of these, those that came into their places */
	unsigned lacking;		/* listed, but not here */
	bool older;			/* refused since what is in force is newer */
};

/*
 * Does not change the repository, which may be open for reading only. Artifacts that are not here are no fault yet.
 * ERR_REFUSED: what is brought is older than what is in force (older is set), not signed as it must be, expired, of
 * another site, changes what was published, or is a file that nothing delegates to. ERR_RETRY: the clock.
 */
WARN_UNUSED int repo_import_check(struct repo *r, struct repo_import *m, struct error *err);
/* ERR_REFUSED also when an artifact is not here (complete). Nothing is changed then. */
WARN_UNUSED int repo_import(struct repo *r, struct repo_import *m, struct error *err);

/*
 * The artifacts that HOME/repo/selected names: listed, and not meant to be here. Sorted; count 0 without the file.
 * Free the list.
 */
WARN_UNUSED int repo_selected_read(int repo_dirfd, uint8_t (**list)[SHA256_LEN], size_t *count, struct error *err);
bool repo_selected_find(uint8_t (*list)[SHA256_LEN], size_t count, const uint8_t sha256[static SHA256_LEN]);

#endif
