/*
 * The four kinds of TUF metadata (specification 1.0.34, section 4), read strictly from a JSON tape: root, timestamp,
 * snapshot and targets (top-level and delegated alike). A parsed file is well-formed, no more: nobody has checked
 * who signed it (verify.h). Unknown fields are allowed everywhere and are covered by the signatures, which are made
 * over the whole `signed` value.
 *
 * Every parsed file borrows its text, which must outlive it; targets stay on the tape and are looked up there, so
 * memory is about text plus tape. Limits below; a file beyond them is ERR_LIMIT.
 */
#ifndef MESHANICS_TUF_METADATA_H
#define MESHANICS_TUF_METADATA_H

#include "base/json.h"
#include "base/name.h"
#include "crypto/hash.h"
#include "crypto/key.h"

#define TUF_ROOT_MAX (UINT64_C(512) << 10)	/* bytes of a root file */
#define TUF_TIMESTAMP_MAX (UINT64_C(16) << 10)	/* bytes of a timestamp file */
#define TUF_UNSIGNED_MAX (UINT64_C(64) << 20)	/* bytes of snapshot or targets when no signed length is known */
#define TUF_SIGNED_MAX (UINT64_C(256) << 20)	/* bytes of snapshot or targets, whatever length is signed */
#define TUF_VERSION_MAX ((INT64_C(1) << 53) - 1)
#define TUF_KEYS_MAX 4096			/* keys listed in one file */
#define TUF_ROLE_KEYS_MAX 256			/* key ids of one role */
#define TUF_SIGNATURES_MAX 1024			/* signatures on one file */
#define TUF_DELEGATIONS_MAX 65536		/* delegated roles listed in one file */
#define TUF_ROLE_NAME_MAX 255			/* bytes of a delegated role's name */
#define TUF_PATH_MAX 1024			/* bytes of a target path */
#define TUF_KEYID_LEN 65			/* hex SHA-256 with NUL */

enum tuf_type { TUF_ROOT, TUF_TIMESTAMP, TUF_SNAPSHOT, TUF_TARGETS, TUF_TYPES };
const char *tuf_type_name(enum tuf_type type);	/* "root", ...: `_type` and the name of the top-level role */

/* ---- keys and roles ---- */

struct tuf_key {
	char id[TUF_KEYID_LEN];	/* SHA-256 of the canonical key object with its unknown fields: checked */
	struct pubkey pub;	/* scheme KEY_NONE: not listed, not supported here or unusable; never counts */
};

/* A set of keys; roles and record keys are such sets. */
struct tuf_keys {
	struct tuf_key *list;	/* owned */
	unsigned count;
};

/* Who may sign for a role, and how many distinct public keys must. */
struct tuf_role {
	struct tuf_keys keys;	/* ids are distinct; public keys need not be, so verify.h counts these */
	unsigned threshold;	/* >= 1; may be more than there are keys, and then nothing verifies */
};
void tuf_keys_release(struct tuf_keys *k);	/* safe on zeroed and released */
void tuf_role_release(struct tuf_role *r);
/* The key with this id, or NULL. */
const struct tuf_key *tuf_keys_find(const struct tuf_keys *k, struct slice id);
/* The same set of public keys (of ids, where a key is unusable), in whatever order. */
bool tuf_keys_same(const struct tuf_keys *a, const struct tuf_keys *b);
/* The same keys, and as many of them must sign. */
bool tuf_role_same(const struct tuf_role *a, const struct tuf_role *b);

/* One TUF key object ({keytype, keyval: {public}, scheme}); computes its id. ERR_MALFORMED when it is no such object. */
WARN_UNUSED int tuf_key_parse(struct tuf_key *out, struct json_value object, struct error *err);
/* Write the TUF key object of a public key; its id is key_id() of crypto/keyfile.h. name as in json.h. */
void tuf_key_put(struct json_writer *w, const char *name, const struct pubkey *pub);

/* ---- lengths and hashes ---- */

/* What a file must be. Unknown hash names are ignored as long as a known one stands beside them. */
struct tuf_hashes {
	bool has_sha256, has_sha512;
	bool only_unknown;	/* hashes are listed, none of them of a kind known here: no file fits */
	uint8_t sha256[SHA256_LEN], sha512[SHA512_LEN];
};
/* 0 when every hash that is set fits; ERR_REFUSED naming `what` otherwise. No hashes set: 0. */
WARN_UNUSED int tuf_hashes_check(const struct tuf_hashes *h, struct slice bytes, const char *what, struct error *err);

/* An entry of `meta` in timestamp or snapshot. */
struct tuf_metafile {
	int64_t version;
	int64_t length;			/* bytes, or -1: not said */
	struct tuf_hashes hashes;	/* perhaps none */
};

/* ---- the files ---- */

/* What all of them share. */
struct tuf_head {
	enum tuf_type type;
	int64_t version;	/* 1..TUF_VERSION_MAX */
	int64_t expires_s;	/* from this second on it is expired */
	struct slice text;	/* the file as received, borrowed */
	struct json doc;
	struct json_value body;		/* `signed` */
	struct json_value signatures;	/* objects with keyid and sig, key ids distinct */
};

struct tuf_root {
	struct tuf_head head;
	bool consistent_snapshot;	/* false when absent */
	struct tuf_role roles[TUF_TYPES];
	/* x-meshanics: {site, record_keys: {export: [key object...], site: [key object...]}} */
	char site[NAME_LEN_MAX + 1];	/* "" when there is no x-meshanics */
	struct tuf_keys export_keys;	/* sign bundle manifests */
	struct tuf_keys site_keys;	/* sign receipts and audit heads */
};

struct tuf_timestamp {
	struct tuf_head head;
	struct tuf_metafile snapshot;
	int64_t signed_at_s;	/* x-meshanics-signed-at, never later than expires_s; -1 when absent */
};

struct tuf_snapshot {
	struct tuf_head head;
	struct json_value meta;	/* every entry is well-formed; "targets.json" is there */
};

struct tuf_targets {
	struct tuf_head head;
	struct json_value targets;	/* every entry is well-formed */
	struct json_value delegations;	/* JSON_NONE when absent; read by delegation.h */
	struct json *found;		/* of a folded file: the entry that was found last; owned */
};

/*
 * Parse one file. text is borrowed for the life of the result. NULL: ERR_MALFORMED or ERR_LIMIT, saying which member
 * and what is wrong with it. The text's size is the caller's cap. Free with the matching _free (NULL is fine).
 */
WARN_UNUSED struct tuf_root *tuf_root_parse(struct slice text, struct error *err);
/* The same for a root that comes after another one, and has most of its keys: these are not checked again. */
WARN_UNUSED struct tuf_root *tuf_root_parse_after(struct slice text, const struct tuf_root *before, struct error *err);
WARN_UNUSED struct tuf_timestamp *tuf_timestamp_parse(struct slice text, struct error *err);
WARN_UNUSED struct tuf_snapshot *tuf_snapshot_parse(struct slice text, struct error *err);
WARN_UNUSED struct tuf_targets *tuf_targets_parse(struct slice text, struct error *err);
/*
 * The same checks, but the entries do not stay on the tape (json_parse_folded): a sixth of the memory, for clients,
 * which look up one path. Only tuf_targets_find reads such a file's entries.
 */
WARN_UNUSED struct tuf_targets *tuf_targets_parse_folded(struct slice text, struct error *err);
void tuf_root_free(struct tuf_root *r);
void tuf_timestamp_free(struct tuf_timestamp *t);
void tuf_snapshot_free(struct tuf_snapshot *s);
void tuf_targets_free(struct tuf_targets *t);

/* The snapshot's entry of a role ("targets", "publisher"). ERR_NOT_FOUND when it has none. */
WARN_UNUSED int tuf_snapshot_find(const struct tuf_snapshot *s, struct slice role, struct tuf_metafile *out,
				  struct error *err);
/* An entry of `meta` by itself, for those who walk it (json_iter over s->meta). */
WARN_UNUSED int tuf_metafile_parse(struct tuf_metafile *out, struct json_value entry, struct error *err);

/* One target: everything borrows from the targets file. */
struct tuf_target {
	struct slice path;
	uint64_t length;
	struct tuf_hashes hashes;
	struct json_value custom;	/* an object, or JSON_NONE */
};
/*
 * ERR_NOT_FOUND when the file does not list path. One pass over the tape. From a folded file, out->custom is good until
 * the next call for this file.
 */
WARN_UNUSED int tuf_targets_find(const struct tuf_targets *t, struct slice path, struct tuf_target *out,
				 struct error *err);
/* The entry at key `path` of t->targets, for those who walk them all. */
WARN_UNUSED int tuf_target_parse(struct tuf_target *out, struct slice path, struct json_value entry, struct error *err);

/* ---- names ---- */

/* A delegated role's name: 1..TUF_ROLE_NAME_MAX bytes without control characters, not one of the top-level four. */
WARN_UNUSED int tuf_role_name_check(struct slice name, struct error *err);
/*
 * A target path one may ask for: 1..TUF_PATH_MAX bytes without control characters, relative, no empty, "." or ".."
 * part. (Publishing has narrower rules: target_path_check in base/name.h.)
 */
WARN_UNUSED int tuf_path_check(struct slice path, struct error *err);
/* Percent-encoding with nothing safe but A-Z a-z 0-9 . _ - ~ (and '/' if keep_slash); capital hex. */
void tuf_percent_put(struct buf *out, struct slice s, bool keep_slash);

#endif
