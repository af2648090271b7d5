/* One file of a publisher on its way into a change, shared by the publish*.c files only. */
#ifndef MESHANICS_TUF_PUBLISH_INTERNAL_H
#define MESHANICS_TUF_PUBLISH_INTERNAL_H

#include "tuf/publish.h"
#include "tuf/repo_internal.h"

#define BLOB_NAME_MAX 512	/* of a blob below HOME/repo */

struct publish_file {
	struct repo *r;
	const struct repo_role *publisher;	/* whose slice it is */
	const struct repo_role *role;		/* what is published in its place: the publisher, or a bin of his */
	bool is_bin;
	unsigned bin;
	const struct tuf_targets *top;		/* whose delegations say in whose slice a path lies */
	struct tuf_targets *next;
	int64_t now_s;
	/*
	 * Set by an import: called for every target that the publisher may speak for, instead of a look at its blob; what
	 * lies outside his slice is passed over, since slices may have been narrowed after he signed.
	 */
	int (*each)(void *arg, const struct tuf_target *t, struct error *err);
	void *each_arg;
	/* filled in by the checks */
	struct tuf_target *added;	/* targets that were not there; owned */
	size_t added_count, removed_count;
};

/* Where a blob lies once it is published, and until then. path has passed target_path_check. */
void blob_placed_name(char out[static BLOB_NAME_MAX], struct slice path, const uint8_t sha256[static SHA256_LEN]);
void blob_staged_name(char out[static BLOB_NAME_MAX], const uint8_t sha256[static SHA256_LEN]);
bool blob_has_size(int repo_dirfd, const char *name, uint64_t len);

/*
 * A blob, staged or in another place, gets its name `placed` where clients ask for it; by a link, since two paths may have
 * the same bytes. Nobody names it yet, so this may stop anywhere. In place of one of that length which is there already
 * only with BLOB_ANEW. Folders are made durable, and the one that holds it is synced, unless BLOB_UNSYNCED says that the
 * file system will be. 1: it was put there, 0: it was there, -1.
 */
enum blob_place_flags { BLOB_ANEW = 1 << 0, BLOB_UNSYNCED = 1 << 1 };
WARN_UNUSED int blob_place(int repo_dirfd, const char *from, const char *placed, uint64_t length, unsigned flags,
			   struct error *err);

/* The targets of f->next: each in the slice, as it was if it was published, else complete. Fills f->added. */
WARN_UNUSED int publish_check_targets(struct publish_file *f, struct error *err);
/* As a client checks it (5.6), and the rules of this repository on top. expected: the version it was built upon. */
WARN_UNUSED int publish_check(struct publish_file *f, int64_t expected, struct error *err);

#endif
