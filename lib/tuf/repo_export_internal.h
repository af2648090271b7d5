/*
 * The inside of an export, shared by the repo_export*.c files only: where it comes from (source), where it goes
 * (dest), and what both need.
 */
#ifndef MESHANICS_TUF_REPO_EXPORT_INTERNAL_H
#define MESHANICS_TUF_REPO_EXPORT_INTERNAL_H

#include "tuf/engine.h"
#include "tuf/repo_export.h"
#include "tuf/repo_internal.h"

/* A metadata file that belongs to the tree. */
struct export_entry {
	char name[META_NAME_MAX];
	uint64_t len;
	uint8_t sha256[SHA256_LEN];
	bool artifacts;	/* a targets file that clients believe: what it lists belongs to the tree, too */
};
struct export_list {
	struct export_entry *list;	/* owned */
	size_t count;
};

/* ---- repo_export_source.c: HOME/repo, read and verified ---- */

struct export_source {
	int dirfd, metadata_fd;		/* HOME/repo, and metadata/ in it */
	struct buf timestamp;		/* timestamp.json: the state */
	int64_t oldest_root, newest_root;
	struct tuf_client *client;	/* has root, timestamp, snapshot and targets of that state */
	struct export_list roots;	/* oldest first */
	struct export_list files;	/* the rest but for the timestamp, in the order of export */
	unsigned artifacts;
	uint64_t artifact_bytes;
};
#define EXPORT_SOURCE_INIT ((struct export_source){.dirfd = -1, .metadata_fd = -1, .timestamp = BUF_INIT(TUF_TIMESTAMP_MAX)})

/* Open HOME/repo; ERR_NOT_FOUND before `repo init` and before the first adoption. */
WARN_UNUSED int export_source_open(struct export_source *s, const char *home, struct error *err);
/* Take the state and verify it all but for the artifacts' bytes. e: for now_s and fault. */
WARN_UNUSED int export_source_load(struct export_source *s, struct repo_export *e, struct error *err);
/* Has the repository another state now, so that files of ours may have been swept? */
bool export_source_moved(const struct export_source *s);
/* Append the file of an entry to out; -1 unless it is as it was when it was verified. */
WARN_UNUSED int export_source_read(const struct export_source *s, const struct export_entry *entry, struct buf *out,
				   struct error *err);
/* Call each with every artifact that the file (not a folded one) lists: its path below HOME/repo. Stops at -1. */
typedef int export_artifact_fn(void *arg, const char *path, const struct tuf_target *t, struct error *err);
WARN_UNUSED int export_each_artifact(const struct tuf_targets *file, export_artifact_fn *each, void *arg,
				     struct error *err);
void export_source_release(struct export_source *s);	/* safe on EXPORT_SOURCE_INIT and on a released one */

/* ---- DIR ---- */

#define EXPORT_MARK ".meshanics-export"

struct export_dest {
	const char *dir;		/* as the operator calls it */
	int dirfd, lock_fd, metadata_fd;
	int leaf_fd;			/* of the directory below DIR that was used last; -1: none */
	char leaf[4096];
	int64_t root_version;		/* newest root in DIR that is ours; 0: none */
	bool together;			/* new roots and the new timestamp must appear in one step */
};
#define EXPORT_DEST_INIT ((struct export_dest){.dirfd = -1, .lock_fd = -1, .metadata_fd = -1, .leaf_fd = -1})

/* ---- repo_export_claim.c: may we have it? each ERR_REFUSED where not ---- */

/* dir, which need not exist, does not lie in HOME/repo. */
WARN_UNUSED int export_claim_place(const char *dir, const struct export_source *s, struct error *err);
/* It is empty, or has our mark or roots of ours, and nobody else's; sets d->root_version. */
WARN_UNUSED int export_claim_owner(struct export_dest *d, const struct export_source *s, struct error *err);
/* Write our mark, through the lock that is held on it. */
WARN_UNUSED int export_claim_mark(const struct export_dest *d, const struct export_source *s, struct error *err);
/* It shows no newer state than the source's; sets d->together. */
WARN_UNUSED int export_claim_state(struct export_dest *d, const struct export_source *s, struct error *err);

/* ---- repo_export_dest.c ---- */

/* Make or open dir, take its lock, make sure that it is ours and not newer than the source, clear away leftovers. */
WARN_UNUSED int export_dest_open(struct export_dest *d, const char *dir, const struct export_source *s,
				 struct error *err);
/*
 * A directory below DIR ("targets/plant/plc"), made if absent; no symbolic link is followed. The descriptor is
 * borrowed until the next call. -1 with err.
 */
WARN_UNUSED int export_dest_leaf(struct export_dest *d, const char *path, struct error *err);
/* Put a metadata file in its place unless it is there. */
WARN_UNUSED int export_dest_put(int metadata_fd, const char *name, struct slice text, bool *written, struct error *err);
/*
 * A second metadata directory with all that is in the first but the timestamp. The descriptor, or -1; err->sys_errno
 * is EPERM, EMLINK or EOPNOTSUPP when this file system has no hard links.
 */
WARN_UNUSED int export_dest_second(struct export_dest *d, struct error *err);
/* The second becomes the first, and what was the first goes. EINVAL or ENOSYS: no exchange on this file system. */
WARN_UNUSED int export_dest_exchange(struct export_dest *d, struct error *err);
/* Remove the second directory, if there is one. */
WARN_UNUSED int export_dest_drop_second(const struct export_dest *d, struct error *err);
void export_dest_release(struct export_dest *d);	/* safe on EXPORT_DEST_INIT and on a released one */

/* ---- repo_export_prune.c ---- */

/* Remove the half-written files of an export that was cut short. */
WARN_UNUSED int export_sweep(const struct export_dest *d, struct error *err);
/* Remove what neither the state in s nor the last REPO_KEEP_OLD snapshots in DIR need; *removed counts. */
WARN_UNUSED int export_prune(struct export_dest *d, const struct export_source *s, unsigned *removed, struct error *err);

#endif
