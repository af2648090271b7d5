/*
 * Publishing an artifact takes three steps, which may happen on three machines:
 *
 *	1. stage    the blob goes into staging/, hashed as it arrives	(publish_stage_*; resumable)
 *	2. sign     the next file of the publisher's role is made	(publish_build; where the key lives)
 *	3. commit   the file is verified as a client would, the blobs it names move to their places, and new
 *	            snapshot and timestamp name it			(publish_commit; where the repository lives)
 *
 * Steps 1 and 2 need no struct repo and may run on any thread; step 3 belongs to the repository's.
 * Limits: PUBLISH_FILE_MAX bytes of a publisher's file, PUBLISH_BLOB_MAX of a blob.
 */
#ifndef MESHANICS_TUF_PUBLISH_H
#define MESHANICS_TUF_PUBLISH_H

#include "crypto/hash.h"
#include "tuf/descriptor.h"
#include "tuf/metadata_sign.h"
#include "tuf/repo.h"

#define PUBLISH_FILE_MAX TUF_UNSIGNED_MAX
#define PUBLISH_BLOB_MAX (INT64_C(1) << 53)
/*
 * So much of the disk stays free beside blobs, for what the control plane must go on writing: its database, the next
 * timestamps and snapshots, publishers' files. These come as small blobs, which may use a part of it: what is withdrawn
 * to make room needs one.
 */
#define PUBLISH_KEEP (UINT64_C(64) << 20)
#define PUBLISH_KEEP_SMALL (UINT64_C(16) << 20)
#define PUBLISH_SMALL_MAX (UINT64_C(4) << 20)
#define STAGE_TEMP_PREFIX "new-"	/* of copies on their way into staging/ */
#define PUBLISH_NAMESPACE "meshanics-artifact"	/* of SSHSIG signatures */

/* ---- 1. blobs; repo_dirfd is HOME/repo ---- */

struct publish_blob {
	uint8_t sha256[SHA256_LEN];
	uint64_t len;
	const char *how;	/* how bytes were copied: "reflink", "copy_file_range", "read and write" */
	int64_t copy_ms, hash_ms, sync_ms;	/* filled by publish_stage_file from mono_ms */
};
/*
 * Copy an open regular file into staging and hash the copy (so a file that changes meanwhile does no harm).
 * progress may be NULL. mono_ms gives the monotonic clock for the three times, or is NULL. The room is taken before
 * the first byte: ERR_RETRY when there is none.
 */
WARN_UNUSED int publish_stage_file(int repo_dirfd, int fd, struct publish_blob *out,
				   void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
				   int64_t (*mono_ms)(void), struct error *err);
/*
 * Open staging/SHA256.part for appending (and reading back), made if absent; *have is what it holds. The descriptor or -1. A blob that
 * is staged already gives ERR_CONFLICT, which an uploader takes for success.
 */
WARN_UNUSED int publish_stage_open(int repo_dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t *have,
				   struct error *err);
/*
 * `more` bytes are to be appended to the .part that is open as fd and holds `have`: take the room for them. ERR_RETRY when
 * there is none; then a .part that holds nothing is removed.
 */
WARN_UNUSED int publish_stage_room(int repo_dirfd, const uint8_t sha256[static SHA256_LEN], int fd, uint64_t have,
				   uint64_t more, struct error *err);
/* The .part is complete: check its hash, sync it, call it staged. ERR_REFUSED (and it is removed) when it differs. */
WARN_UNUSED int publish_stage_finish(int repo_dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t *len,
				     struct error *err);
bool publish_staged(int repo_dirfd, const uint8_t sha256[static SHA256_LEN]);

/* ---- 2. the publisher's next file ---- */

struct publish_change {
	const char *path;	/* NAMESPACE/NAME/VERSION, target_path_check'ed by the caller */
	bool withdraw;		/* take the target out; the rest is unused */
	uint64_t length;
	uint8_t sha256[SHA256_LEN];
	const struct descriptor *descriptor;
};
struct publish_terms {
	int64_t now_s;
	int64_t life_s;		/* the file expires now_s + life_s */
	int64_t last_version;	/* published so far, 0: none; `current` may be older or absent */
	const struct tuf_signer *signers;	/* of the role; none: an unsigned file for others to sign */
	unsigned signer_count;
};
/*
 * Append the role's next file: `current` (empty: first file) with the changes. Version max(last_version + 1,
 * now_s).
 * ERR_CONFLICT: the path is published with other content; *unchanged (may be NULL) and nothing appended: all
 * changes are in `current` already. ERR_NOT_FOUND: a target to withdraw is not there.
 */
WARN_UNUSED int publish_build(struct buf *out, struct slice current, const struct publish_change *changes,
			      unsigned count, const struct publish_terms *terms, bool *unchanged, struct error *err);
/*
 * The release for the next version of NAMESPACE/NAME: one above the highest that current lists or has listed, and above
 * `above`, which is publish_release_floor where current is a hash bin: other bins list other versions of the name. A path
 * that current lists keeps its release.
 */
WARN_UNUSED int publish_next_release(struct slice current, const char *path, int64_t above, int64_t *release,
				     struct error *err);
/*
 * A number that every release given out so far in hash bins is not above: the version of the snapshot. It rises with
 * every change, so the next release is above all earlier ones, without looking at the other bins.
 */
int64_t publish_release_floor(const struct repo *r);

/* ---- 3. commit ---- */

struct publish_result {
	int64_t version;	/* of the role's file */
	unsigned added, removed;
};
/*
 * `file` is to be the next published file of `role` (a publisher, or a hash bin of his), and expected_version the version that its maker built upon
 * (0: none): ERR_CONFLICT when that is no longer the published one. Refused (ERR_REFUSED, ERR_MALFORMED) unless
 * a client would take it and every target lies in the role's slice (and bin), has a descriptor, a SHA-256 and a staged or
 * published blob of its length, and no published path changes its content. New snapshot and timestamp follow.
 * Blobs of withdrawn targets stay in the tree (publish_remove_blob).
 */
WARN_UNUSED int publish_commit(struct repo *r, struct slice role, int64_t expected_version, struct slice file,
			       int64_t now_s, struct publish_result *out, struct error *err);
/*
 * The same for many files in one change with one snapshot and one timestamp: bins, or publishers without. Each is checked
 * and its blobs are placed as it is added; bins are not kept in memory. A batch that is freed before its commit, or
 * whose commit fails, has changed nothing that is published. One batch of a repository at a time, and no other change
 * of it meanwhile. result.version is that of the file added last. A role twice is refused, at the latest by the commit.
 */
struct publish_batch;
WARN_UNUSED struct publish_batch *publish_batch_new(struct repo *r, int64_t now_s, struct error *err);
WARN_UNUSED int publish_batch_add(struct publish_batch *b, struct slice role, int64_t expected_version,
				  struct slice file, struct error *err);
/* Once; then only publish_batch_free. */
WARN_UNUSED int publish_batch_commit(struct publish_batch *b, struct publish_result *out, struct error *err);
void publish_batch_free(struct publish_batch *b);
/* A published path whose blob is staged again gets these bytes: heals a damaged file. No-op when nothing is staged. */
WARN_UNUSED int publish_restore_blob(struct repo *r, const char *path, struct error *err);
/* Remove the stored blob of a path that no role lists any more. ERR_CONFLICT while one does. */
WARN_UNUSED int publish_remove_blob(struct repo *r, const char *path, const uint8_t sha256[static SHA256_LEN],
				    struct error *err);

/* ---- reading ---- */

/*
 * An artifact as published: whose it is, and its signed target; borrowed from the repository until another one is
 * looked for.
 */
struct artifact {
	const struct repo_role *role;	/* the publisher */
	struct tuf_target target;
};
/* Its bytes are in their place, as far as their length tells. An import of selected artifacts leaves out the others. */
bool artifact_held(const struct repo *r, const struct artifact *a);
/* ERR_NOT_FOUND when no role that may speak for the path lists it. */
WARN_UNUSED int artifact_find(const struct repo *r, struct slice path, struct artifact *out, struct error *err);
/*
 * Calls each for every published artifact, file by file (publishers, or their bins) in order of path; stops at -1 and
 * returns it. The artifact is borrowed until each returns.
 */
WARN_UNUSED int artifact_each(const struct repo *r, int (*each)(void *arg, const struct artifact *a, struct error *err),
			      void *arg, struct error *err);
/*
 * The publisher, and the one of his keys, that made a detached signature over the bytes with this SHA-256.
 * ERR_REFUSED: no publisher of this repository did; ERR_MALFORMED: it is no signature.
 */
WARN_UNUSED int artifact_signer(const struct repo *r, const uint8_t sha256[static SHA256_LEN], struct slice armored,
				const struct repo_role **role, const struct tuf_key **key, struct error *err);
/* "targets/NAMESPACE/NAME/SHA256.VERSION", below HOME/repo, where the blob lies. */
void artifact_put_file(struct buf *out, struct slice path, const uint8_t sha256[static SHA256_LEN]);

#endif
