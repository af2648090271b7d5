/*
 * The inside of a repository, shared by the repo_*.c and publish*.c files only.
 *
 * A change is a set of new metadata files. It is sealed (snapshot and timestamp are made for it), read back as
 * the state that a client would see with the files in place, committed to disk, and only then becomes the state
 * of the struct repo.
 */
#ifndef MESHANICS_TUF_REPO_INTERNAL_H
#define MESHANICS_TUF_REPO_INTERNAL_H

#include "tuf/metadata_sign.h"
#include "tuf/repo.h"

#define SPEC_VERSION "1.0.34"
#define META_NAME_MAX 128	/* bytes of "VERSION.ROLE.json" with NUL */

/* What is published: every file in force, its text and what was read from it. */
struct repo_state {
	struct buf root_text, targets_text, snapshot_text, timestamp_text;
	struct tuf_root *root;	/* NULL before adoption, then the rest is empty too */
	struct tuf_targets *targets;
	struct tuf_snapshot *snapshot;
	struct tuf_timestamp *timestamp;
	struct repo_lives lives;
	struct repo_role *roles;
	unsigned role_count;
};

struct repo {
	int dirfd;	/* HOME/repo */
	int metadata_fd, keys_fd;
	bool readonly;
	bool unfinished;	/* a commit holds on disk but its renames failed: finish before anything else */
	struct online_keys online;
	struct repo_state state;
	struct repo_expiry *expiries;	/* answer of repo_expiries */
};

/* One new file of a change. */
struct repo_newfile {
	char name[META_NAME_MAX];
	char role[NAME_LEN_MAX + 1];
	int64_t version;
	struct buf text;	/* owned */
};
struct repo_change {
	struct repo_newfile *files;
	unsigned count;
};
/* Takes text, which is empty afterwards. role "timestamp" has no version in its name. */
void repo_change_add(struct repo_change *c, const char *role, int64_t version, struct buf *text);
/* The file of this name in the change, or NULL. */
const struct repo_newfile *repo_change_find(const struct repo_change *c, const char *name);
void repo_change_release(struct repo_change *c);

/* "VERSION.ROLE.json" into out; "timestamp.json" for the timestamp. */
void metadata_name(char out[static META_NAME_MAX], const char *role, int64_t version);
/* The reverse for a name in metadata/; false for anything else. timestamp.json has version 0. */
bool metadata_name_parse(const char *name, char role[static NAME_LEN_MAX + 1], int64_t *version);

/* ---- repo.c ---- */
/* May be changed: not opened for reading only, and whatever was interrupted is finished first. */
WARN_UNUSED int repo_writable(struct repo *r, struct error *err);

/* ---- repo_state.c ---- */
/*
 * Read the state as it will be with the change in place (NULL: as it is on disk), checked as a client checks it.
 * now_s -1: expiry is not looked at. before: the snapshot in force, which the new one must not fall behind, or NULL.
 */
WARN_UNUSED int repo_state_load(struct repo_state *s, const struct repo *r, const struct repo_change *change,
				const struct tuf_snapshot *before, int64_t now_s, struct error *err);
void repo_state_release(struct repo_state *s);
/* Highest version of a role in metadata/ (0: none), and lowest if not NULL. */
WARN_UNUSED int repo_newest(int metadata_fd, const char *role, int64_t *newest, int64_t *oldest, struct error *err);
struct repo_role *repo_state_role(const struct repo_state *s, struct slice name);
/* keys/ holds the publisher's key, and it is enough by itself. */
bool repo_role_is_held(const struct repo *r, const struct repo_role *role);
/* A delegation that this repository can carry: a name for a file name, patterns, terminating. ERR_REFUSED. */
WARN_UNUSED int repo_delegations_check(const struct tuf_targets *targets, struct error *err);

/* ---- repo_init.c ---- */
WARN_UNUSED int repo_init_check(const struct repo_init_options *o, struct error *err);
/* Fresh online keys into keys_fd; k, which is overwritten, says which. */
WARN_UNUSED int repo_make_keys(int keys_fd, const struct repo_init_options *o, struct online_keys *k,
			       struct error *err);

/* ---- repo_rotate.c ---- */
/* The keys that staged ones stand in for. */
struct repo_keyring {
	bool used;
	int keys_fd;
	struct online_keys online;
};
/* Sign with the staged keys where this root names them; in any case repo_staged_leave goes back to those before. */
WARN_UNUSED int repo_staged_enter(struct repo *r, const struct tuf_root *root, struct repo_keyring *former,
				  struct error *err);
void repo_staged_leave(struct repo *r, struct repo_keyring *former);
/* Put staged keys in their place once the root in force names them; else nothing. */
WARN_UNUSED int repo_keys_settle(struct repo *r, struct error *err);

/* ---- repo_commit.c ---- */
/* Write the change so that it holds as a whole or not at all; then sweep superseded files. */
WARN_UNUSED int repo_commit(struct repo *r, const struct repo_change *change, struct error *err);
/* Finish what a crash or an I/O error interrupted; a no-op otherwise. Reloads the state when something was done. */
WARN_UNUSED int repo_recover(struct repo *r, struct error *err);
/* Load the state of the change, commit it and make it the state of r. */
WARN_UNUSED int repo_apply(struct repo *r, const struct repo_change *change, int64_t now_s, struct error *err);

/* ---- repo_sign.c ---- */
struct seal_options {
	int64_t now_s;
	bool snapshot;			/* a new snapshot even if the change names no targets files */
	int64_t timestamp_life_s;	/* shorter than lives->timestamp_s, or 0 */
	const struct repo_lives *lives;
};
/* Add snapshot and timestamp for the targets files in the change and those in force. */
WARN_UNUSED int repo_seal(struct repo *r, struct repo_change *change, const struct seal_options *o,
			  struct error *err);
/* max(last + 1, now_s), at most a day ahead of now_s; ERR_RETRY when that does not exceed last. */
WARN_UNUSED int repo_next_version(int64_t last, int64_t now_s, int64_t *next, struct error *err);
/* A fresh file of a publisher that is held: content of `from` (NULL: empty), into the change. */
WARN_UNUSED int repo_sign_role(struct repo *r, const struct repo_role *role, const struct tuf_targets *from,
			       int64_t life_s, int64_t now_s, struct repo_change *change, struct error *err);

/* ---- publish_read.c ---- */
/* Order of struct tuf_target by path, for qsort and bsearch. */
int targets_order(const void *a, const void *b);
/* The targets of a file (NULL: none) in that order; free the list, also on failure. */
WARN_UNUSED int targets_sorted(const struct tuf_targets *file, struct tuf_target **list, size_t *count,
			       struct error *err);
/* The role that a client which searches the path is sent to, or NULL: delegations here all end the search. */
const struct repo_role *artifact_role(const struct repo *r, struct slice path);

/* ---- publish_stage.c ---- */
/* Remove copies that a crash left half way (temps), and whatever has lain there since before cutoff_s. */
void publish_stage_sweep(int repo_dirfd, bool temps, int64_t cutoff_s);

#endif
