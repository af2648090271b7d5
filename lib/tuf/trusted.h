/*
 * The trusted state of a TUF client on disk: one directory with the files as received (root.json, timestamp.json,
 * snapshot.json, targets.json and ROLE.json, percent-encoded) and the time floor (`floor`). A commit is all or
 * nothing across power cuts:
 *
 *	1. each new file is written to `next/` and synced
 *	2. `commit`, a list of what is to be renamed and removed, is put in place by one rename: from here it holds
 *	3. the renames and removals are made, the directory is synced
 *	4. `commit` is removed
 *
 * Opening repeats 3 and 4 when `commit` is there, and then empties `next/`. The directory is locked while it is open
 * (`lock`): two processes never work on one state. Nothing directly in it but metadata ends in ".json".
 * What is read back is not believed: the engine verifies it again, and a damaged file counts as absent.
 */
#ifndef MESHANICS_TUF_TRUSTED_H
#define MESHANICS_TUF_TRUSTED_H

#include "base/buf.h"
#include "base/error.h"

struct tuf_client;
struct tuf_change;

struct trusted {
	int dirfd;	/* owned */
	int lockfd;	/* owned */
};
#define TRUSTED_INIT ((struct trusted){.dirfd = -1, .lockfd = -1})

/* Open (and make, 0700) the directory, finish an interrupted commit. ERR_RETRY when another process has it open. */
WARN_UNUSED int trusted_open(struct trusted *t, int dirfd, const char *path, struct error *err);
void trusted_close(struct trusted *t);	/* safe on TRUSTED_INIT and closed */

/* Append the stored file of a role. ERR_NOT_FOUND when there is none; ERR_LIMIT beyond out's ceiling. */
WARN_UNUSED int trusted_read(const struct trusted *t, const char *role, struct buf *out, struct error *err);
/* The stored time floor, seconds; 0 when there is none or it is damaged. */
WARN_UNUSED int trusted_floor(const struct trusted *t, int64_t *floor_s, struct error *err);
/* Store, replace or remove (bytes.ptr NULL) these files and set the floor (-1: leave it), all or nothing. */
WARN_UNUSED int trusted_commit(struct trusted *t, const struct tuf_change *changes, unsigned count, int64_t floor_s,
			       struct error *err);
/* Store what the client has changed, and its floor; then tells the client so. */
WARN_UNUSED int trusted_commit_client(struct trusted *t, struct tuf_client *c, struct error *err);
/*
 * When an update last ended well: kept as the time of the file `refreshed`, whose loss does no harm, so nothing is
 * synced. trusted_refreshed_s: 0 when never.
 */
WARN_UNUSED int trusted_refreshed(struct trusted *t, int64_t now_s, struct error *err);
int64_t trusted_refreshed_s(const struct trusted *t);
/* Append the file name of a role: percent-encoded, or %sha256-HEX where that would be longer than a file name may be. */
void trusted_filename(struct buf *out, const char *role);

#endif
