/*
 * The checks of the TUF client workflow (specification 1.0.34, section 5), one function a file. Each answers 0, the
 * only yes, or -1 with ERR_REFUSED and the clause that was broken. No clock is read: now_s is the time of the update,
 * seconds since the epoch, UTC, already raised to the floor. All arguments are borrowed, none kept.
 */
#ifndef MESHANICS_TUF_VERIFY_H
#define MESHANICS_TUF_VERIFY_H

#include "tuf/metadata.h"

enum tuf_sig_state {
	TUF_SIG_MISSING = 0,	/* no signature under this id, or an empty one */
	TUF_SIG_GOOD,
	TUF_SIG_REPEATED,	/* good, but this public key has counted already under another id */
	TUF_SIG_BAD,		/* does not verify */
	TUF_SIG_UNUSABLE,	/* the key is not listed, of an unknown scheme, or broken */
};
const char *tuf_sig_state_name(enum tuf_sig_state s);	/* "missing", "good", ... */

/* Who has signed: state[i] belongs to role->keys.list[i]. */
struct tuf_tally {
	unsigned good;		/* distinct public keys with a good signature */
	unsigned threshold;
	enum tuf_sig_state state[TUF_ROLE_KEYS_MAX];
};

/*
 * At least `threshold` distinct public keys of the role have signed the file. tally may be NULL; it is filled in
 * completely whatever the answer. clause is cited in the refusal ("5.4.2"); what names the file.
 */
WARN_UNUSED int tuf_verify_role(const struct tuf_role *role, const struct tuf_head *file, struct tuf_tally *tally,
				const char *what, const char *clause, struct error *err);

/* expires_s > now_s, or ERR_REFUSED citing clause. */
WARN_UNUSED int tuf_verify_expiry(const struct tuf_head *file, int64_t now_s, const char *what, const char *clause,
				  struct error *err);

/* A root signed by a threshold of its own keys: the least that a pinned or stored root must be. */
WARN_UNUSED int tuf_root_check_self(const struct tuf_root *root, struct error *err);
/*
 * `next` may follow `trusted` (5.3.4, 5.3.5): signed by a threshold of both roots' keys, version exactly one more,
 * same site (absent equals only absent). Its expiry is not looked at: only the last of the chain must be fresh.
 */
WARN_UNUSED int tuf_root_check(const struct tuf_root *trusted, const struct tuf_root *next, struct error *err);
/* next changes the timestamp or the snapshot keys: cached timestamp and snapshot are to be dropped (5.3.11). */
bool tuf_root_rotates_online(const struct tuf_root *trusted, const struct tuf_root *next);
/* next changes the timestamp keys: the time floor is to be dropped. */
bool tuf_root_rotates_timestamp(const struct tuf_root *trusted, const struct tuf_root *next);

/*
 * `next` may be the timestamp (5.4.2 to 5.4.4): signatures, version and snapshot version not below those of trusted
 * (NULL on first use), not expired. A next of the same version as trusted passes on its signatures alone: the caller
 * discards it and keeps the trusted one. now_s -1: expiry is not looked at (a stored file, checked when it is used).
 */
WARN_UNUSED int tuf_timestamp_check(const struct tuf_root *root, const struct tuf_timestamp *trusted,
				    const struct tuf_timestamp *next, int64_t now_s, struct error *err);
/*
 * `next` is the snapshot that timestamp names (5.5.2 to 5.5.6): length and hashes where said, signatures, version
 * equal and not below that of trusted (NULL on first use), every role of trusted still there and not at a lower version,
 * not expired.
 */
WARN_UNUSED int tuf_snapshot_check(const struct tuf_root *root, const struct tuf_timestamp *timestamp,
				   const struct tuf_snapshot *trusted, const struct tuf_snapshot *next, int64_t now_s,
				   struct error *err);
/*
 * `next` is the targets file of `role_name` that the snapshot's entry `meta` names (5.6.2 to 5.6.5), signed for
 * `role` as its delegator lists it. One path for targets and every delegated role. Also with now_s == -1.
 */
WARN_UNUSED int tuf_targets_check(const struct tuf_role *role, const char *role_name, const struct tuf_metafile *meta,
				  const struct tuf_targets *next, int64_t now_s, struct error *err);

#endif
