/*
 * The repository as a static tree elsewhere, for any web server or object store:
 *
 *	DIR/metadata/	DIR/targets/	as HOME/repo has them (repo.h), what the newest timestamp names and all roots
 *	DIR/.meshanics-export	whose export this is; locked while one is at work
 *
 * One timestamp of HOME/repo is the state that is exported; it is verified from the first root to every publisher
 * before DIR is touched. Nothing in HOME/repo is locked or changed: whatever it names stays there for REPO_KEEP_OLD
 * more changes, and if it has been swept all the same, the export begins again with the newer state.
 *
 * The order, each file written beside, synced and renamed before the next:
 *
 *	1. artifacts	2. delegated files, those first that others delegate to	3. targets	4. snapshot
 *	5. new roots, the newest first	6. timestamp.json	7. with REPO_EXPORT_PRUNE: what is no longer needed is removed
 *
 * Why a client that looks in between sees the old state or the new one:
 *
 *	1 to 4 have names of their own (a hash, a version) which the timestamp in DIR does not lead to, so that nobody
 *	asks for them. A damaged copy of one that it does lead to becomes whole, which can only help.
 *	5: a client at root N asks for N+1 first. Newest first means that N+1 is the last to appear, and with it the
 *	whole chain: clients are at N or at the newest root, never at one between whose keys or expiry nobody planned
 *	to be the last word. Under the newest root the old timestamp, snapshot and targets must still verify. That is
 *	so unless the chain changes the keys of one of these three roles, and it is tried before anything is placed.
 *	Where they do not, no order of single files is right, since either root or timestamp is first. Then 5 and 6
 *	are one step: a second metadata directory is filled with links to what is there, the new roots and the new
 *	timestamp, and changes places with the first (RENAME_EXCHANGE). On a file system that cannot, it is
 *	5, then 6, and what a client tries between the two calls fails once and is tried again; `two_steps` says so.
 *	6 is one rename, after all that it leads to is on the disk.
 *	7 leaves what the last REPO_KEEP_OLD snapshots in DIR name, for clients that are under way with one of them.
 *
 * So an export that ends anywhere leaves the old state or the new one, and the next one goes on from there.
 */
#ifndef MESHANICS_TUF_REPO_EXPORT_H
#define MESHANICS_TUF_REPO_EXPORT_H

#include "crypto/hash.h"
#include "tuf/repo.h"

#define REPO_EXPORT_TRIES 5	/* times that an export begins again because the repository has moved on */

enum repo_export_flags {
	REPO_EXPORT_PRUNE = 1 << 0,
	REPO_EXPORT_CHECK = 1 << 1,	/* artifacts in DIR: compare SHA-256, not only length */
};

/* A file of the tree, in its place. */
struct repo_export_file {
	const char *path;	/* below DIR */
	uint64_t length;
	uint8_t sha256[SHA256_LEN];
	bool immutable;		/* another content never has this name: caches may keep it for ever */
	bool written;		/* was not there, or not like this */
};

struct repo_export {
	int64_t now_s;
	unsigned flags;
	/* Optional: every file of the tree once it is in its place, in the order above; -1 ends the export. */
	int (*file)(void *arg, const struct repo_export_file *f, struct error *err);
	void (*progress)(void *arg, uint64_t done, uint64_t total);	/* optional; bytes of artifacts */
	/*
	 * Optional: a delegated role that clients will not believe (expired, or signed by other keys). That is the
	 * matter of its publisher, so the rest is exported.
	 */
	void (*fault)(void *arg, const char *role, const struct error *why);
	void *arg;
	/* filled in */
	int64_t root_version, timestamp_version;
	int64_t good_until_s;	/* the first of root, targets, snapshot, timestamp to expire */
	unsigned files, written, removed, faults;
	uint64_t bytes, bytes_written;
	bool two_steps;		/* root and timestamp could not change in one step, see above */
};

/*
 * Export the repository of home into dir, which is made if absent. ERR_REFUSED: the repository would be refused by
 * clients, or dir is inside it, holds something else, another repository's tree or a newer state of this one.
 * ERR_RETRY: another export into dir is at work, or a change of the repository is half way. ERR_NOT_FOUND: nothing
 * has been adopted.
 */
WARN_UNUSED int repo_export(const char *home, const char *dir, struct repo_export *e, struct error *err);

#endif
