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

/* The snapshot's entries by name; borrowed from it. */
struct repo_index_entry {
	struct slice file;	/* "ROLE.json" */
	struct json_value entry;
};
struct repo_index {
	struct repo_index_entry *list;
	size_t count;
};
void repo_index_make(struct repo_index *x, struct json_value meta);
void repo_index_release(struct repo_index *x);
bool repo_index_find(const struct repo_index *x, const char *role, struct tuf_metafile *out);

/* What is published: every file in force but hash bins, its text and what was read from it. */
struct repo_state {
	struct buf root_text, targets_text, snapshot_text, timestamp_text;
	struct tuf_root *root;	/* NULL before adoption, then the rest is empty too */
	struct tuf_targets *targets;
	struct tuf_snapshot *snapshot;
	struct tuf_timestamp *timestamp;
	struct repo_index index;	/* of snapshot */
	struct repo_lives lives;
	struct repo_role *roles;
	unsigned role_count;
	bool root_carried, targets_carried;	/* borrowed from the state that this one is to replace: unchanged */
};

struct repo {
	int dirfd;	/* HOME/repo */
	int metadata_fd, keys_fd;
	bool readonly;
	bool unfinished;	/* a commit holds on disk but its renames failed: finish before anything else */
	struct online_keys online;
	struct repo_state state;
	struct repo_expiry *expiries;	/* answer of repo_expiries */
	struct repo_role *bin;		/* the hash bin that was read last; changes under const, as a cache does */
};

/* One new file of a change. */
struct repo_newfile {
	char name[META_NAME_MAX];	/* in pending/ */
	char role[NAME_LEN_MAX + 1];
	char site[NAME_LEN_MAX + 1];	/* whose root this is, for sites/; "": of this repository, for metadata/ */
	int64_t version;
	struct buf text;	/* owned; empty when written */
	bool written;		/* in pending/ already: hash bins, of which there may be more than memory */
	uint64_t len;		/* of the text */
	uint8_t sha256[SHA256_LEN];
};
struct repo_change {
	struct repo_newfile *files;
	unsigned count, room;
	const struct repo *r;	/* whose pending/ it writes to; NULL: nothing written yet */
	int pending_fd;
	bool holds;		/* `commit` names it: pending/ is no longer ours to empty */
};
/* Takes text, which is empty afterwards. role "timestamp" has no version in its name. */
void repo_change_add(struct repo_change *c, const char *role, int64_t version, struct buf *text);
/* A root of another site; takes text. */
void repo_change_add_site(struct repo_change *c, const char *site, int64_t version, struct buf *text);
/* The same for a file that nobody reads back before the commit: it goes to pending/ at once, not yet synced. */
WARN_UNUSED int repo_change_write(struct repo_change *c, const struct repo *r, const char *role, int64_t version,
				  struct slice text, struct error *err);
/* Open pending/ for the change, empty. One change at a time. */
WARN_UNUSED int repo_change_begin(struct repo_change *c, const struct repo *r, struct error *err);
WARN_UNUSED int repo_change_put(struct repo_change *c, const char *name, struct slice text, struct error *err);
/* Remove all files of pending/, if it is there. */
WARN_UNUSED int repo_pending_clear(int repo_dirfd, struct error *err);
/* The file of this name in the memory of the change, or NULL. */
const struct repo_newfile *repo_change_find(const struct repo_change *c, const char *name);
void repo_change_release(struct repo_change *c);	/* of one that was not committed, nothing stays */

/* "VERSION.ROLE.json" into out; "timestamp.json" for the timestamp. */
void metadata_name(char out[static META_NAME_MAX], const char *role, int64_t version);
/* The reverse for a name in metadata/; false for anything else. timestamp.json has version 0. */
bool metadata_name_parse(const char *name, char role[static NAME_LEN_MAX + 1], int64_t *version);

/*
 * "SITE=VERSION.root.json", the name that a root of another site has in pending/ and in `commit`, and the reverse; false
 * for anything else.
 */
void site_root_name(char out[static META_NAME_MAX], const char *site, int64_t version);
bool site_root_name_parse(const char *name, char site[static NAME_LEN_MAX + 1], int64_t *version);

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
/* next, which is empty afterwards, becomes the state of r. */
void repo_state_replace(struct repo *r, struct repo_state *next);
/* Highest version of a role in metadata/ (0: none), and lowest if not NULL. */
WARN_UNUSED int repo_newest(int metadata_fd, const char *role, int64_t *newest, int64_t *oldest, struct error *err);
struct repo_role *repo_state_role(const struct repo_state *s, struct slice name);
/* keys/ holds the publisher's key, and it is enough by itself. */
bool repo_role_is_held(const struct repo *r, const struct repo_role *role);
/* A delegation that this repository can carry: a name for a file name, patterns, terminating. ERR_REFUSED. */
WARN_UNUSED int repo_delegations_check(const struct tuf_targets *targets, struct error *err);

/* ---- repo_adopt.c: what any root and targets must be that come into force here ---- */
WARN_UNUSED int repo_refuse_rehearsal(const struct tuf_head *head, const char *what, struct error *err);
/* The newest root names our own snapshot and timestamp keys (after repo_staged_enter) and has not expired. */
WARN_UNUSED int repo_root_check_ours(const struct repo *r, const struct tuf_root *root, int64_t now_s,
				     struct error *err);
/* The first or next files of publishers that are held here and of which the change has none: repo_start_role, _follow_keys. */
WARN_UNUSED int repo_start_roles(struct repo *r, const struct tuf_targets *targets, const struct repo_lives *lives,
				 int64_t now_s, struct repo_change *change, struct error *err);
/* repo_check_clock where a refresh cannot help, so that its hint would lead in a circle; flags: REPO_ACCEPT_CLOCK. */
WARN_UNUSED int repo_check_clock_with(const struct repo *r, int64_t now_s, unsigned flags, const char *hint,
				      struct error *err);

/* ---- repo_adopt_sites.c ---- */
/* Roots of other sites, as given to one adoption: sorted by site and version. */
struct site_roots {
	const struct repo *r;
	const struct tuf_root *main;		/* the own root that will be in force */
	struct tuf_root **roots;
	unsigned count;
	int64_t now_s;
};
/* Check them against main and the chains that are kept, add what is new to the change, and tell it. ERR_REFUSED. */
WARN_UNUSED int repo_adopt_sites(const struct site_roots *s, struct repo_change *change, struct repo_adoption *out,
				 struct error *err);

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

/* ---- repo_bins.c ---- */
/*
 * The file delegates nothing, or hash bins as this repository keeps them, *bits of them: no targets beside them, the
 * names those of the publisher, and no key that is not his. ERR_REFUSED.
 */
WARN_UNUSED int repo_bins_check(const struct repo_role *publisher, const struct tuf_targets *file, unsigned *bits,
				struct error *err);
/* Keys and threshold of the hash bins to which the file delegates. Release with tuf_role_release. */
WARN_UNUSED int repo_bins_role(const struct tuf_targets *file, struct tuf_role *out, struct error *err);
struct repo_bins *repo_bins_new(unsigned bits);
void repo_bins_free(struct repo_bins *b);
/* Which bin a name is, NULL when it is none. */
struct repo_role *repo_bin_parse(const struct repo *r, struct slice name, unsigned *bin);
void repo_bin_name(const char *publisher, unsigned bits, unsigned bin, char out[static NAME_LEN_MAX + 1]);
/* When the bin expires, with its version and faults; reads the file where that is not known yet. */
struct repo_bin_note {
	int64_t version;	/* that snapshot names; 0: none, or not looked at */
	int64_t expires_s;	/* 0 with a fault */
	unsigned artifacts;
	enum role_fault fault;
};
const struct repo_bin_note *repo_bin_note(const struct repo *r, const struct repo_role *publisher, unsigned bin);
/* Whether the bins may be signed by exactly the publisher's keys, as many of them. */
bool repo_bins_same_keys(const struct repo_role *publisher, const struct tuf_targets *file);

/* ---- repo_commit.c ---- */
/* Write the change so that it holds as a whole or not at all. */
WARN_UNUSED int repo_commit(struct repo *r, struct repo_change *change, struct error *err);
/* Finish what a crash or an I/O error interrupted; a no-op otherwise. Reloads the state when something was done. */
WARN_UNUSED int repo_recover(struct repo *r, struct error *err);
/* Load the state of the change, commit it, make it the state of r and sweep what it supersedes. */
WARN_UNUSED int repo_apply(struct repo *r, struct repo_change *change, int64_t now_s, struct error *err);

/* ---- repo_sweep.c ---- */
/* Remove superseded files of the roles of a change; NULL: of all roles. */
void repo_sweep(const struct repo *r, const struct repo_change *change);

/* ---- repo_sign.c ---- */
struct seal_options {
	int64_t now_s;
	bool snapshot;			/* a new snapshot even if the change names no targets files */
	bool anew;			/* the root changes the online keys: clients forget the former versions (5.3.11) */
	int64_t timestamp_life_s;	/* shorter than lives->timestamp_s, or 0 */
	const struct repo_lives *lives;
};
/* Add snapshot and timestamp for the targets files in the change and those in force. ERR_USAGE: a role twice. */
WARN_UNUSED int repo_seal(struct repo *r, struct repo_change *change, const struct seal_options *o,
			  struct error *err);
/* max(last + 1, now_s), at most a day ahead of now_s; ERR_RETRY when that does not exceed last. */
WARN_UNUSED int repo_next_version(int64_t last, int64_t now_s, int64_t *next, struct error *err);
/* A key of keys/ by file name without ".key", or NULL. */
struct seckey *repo_online_key(const struct repo *r, const char *name, struct error *err);

/* ---- repo_sign_role.c ---- */
/* The key of a publisher that is held, at work on a change. */
struct repo_signer {
	struct repo *r;
	struct seckey *key;	/* owned */
	struct repo_change *change;
	int64_t now_s, life_s;
};
WARN_UNUSED int repo_signer_open(struct repo_signer *s, struct repo *r, const char *publisher, int64_t life_s,
				 int64_t now_s, struct repo_change *change, struct error *err);
void repo_signer_close(struct repo_signer *s);
/* The next file of a publisher, or of a bin of his: content of `from` (NULL: empty), into the change. */
WARN_UNUSED int repo_sign_role(struct repo_signer *s, const struct repo_role *role, const struct tuf_targets *from,
			       struct error *err);
WARN_UNUSED int repo_sign_bin(struct repo_signer *s, const struct repo_role *bin, const struct tuf_targets *from,
			      struct error *err);
/* A publisher's first file, or his first under new keys, and with role->bin_bits all his bins: empty. */
WARN_UNUSED int repo_start_role(struct repo *r, const struct repo_role *role, int64_t life_s, int64_t now_s,
				struct repo_change *change, struct error *err);
/*
 * `role` is how targets delegates to the publisher now, `old` how it did. When the bins are not yet delegated to just
 * these keys, the publisher's file is signed anew to that end, and bins that the new keys did not sign start empty.
 */
WARN_UNUSED int repo_follow_keys(struct repo *r, const struct repo_role *role, const struct repo_role *old,
				 int64_t life_s, int64_t now_s, struct repo_change *change, struct error *err);

/* ---- publish_read.c ---- */
/* Order of struct tuf_target by path, for qsort and bsearch. */
int targets_order(const void *a, const void *b);
/* The targets of a file (NULL: none) in that order; free the list, also on failure. */
WARN_UNUSED int targets_sorted(const struct tuf_targets *file, struct tuf_target **list, size_t *count,
			       struct error *err);
/* The publisher that a client which searches the path is sent to, or NULL: delegations here all end the search. */
const struct repo_role *artifact_role(const struct repo *r, struct slice path);

/* ---- publish_stage.c ---- */
/* Remove copies that a crash left half way (temps), and whatever has lain there since before cutoff_s. */
void publish_stage_sweep(int repo_dirfd, bool temps, int64_t cutoff_s);

#endif
