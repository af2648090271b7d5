/*
 * Is this bundle to be believed? The first half of an import, of `bundle verify` and of `agent apply`: everything
 * before the first artifact, in one pass, in the order in which it can be trusted:
 *
 *	manifest -> kind and site -> each root, by the one before it -> signature of the manifest under the newest root
 *		 -> created, valid_until -> the other metadata, by length and SHA-256 of the manifest
 *
 * So nothing but roots that verify is kept before the signature holds. What the metadata says is then for the engine
 * (tuf/engine.h), which takes it from here as its source:
 *
 *	bundle_check -> tuf_client_new(anchor) + tuf_drive(client, store, {bundle_check_get, &check}) -> bundle_check_used
 *		     -> bundle_wants_* -> artifacts: c.next first, then bundle_next, each through bundle_wants_take
 *
 * Limits: BUNDLE_METADATA_MAX bytes of metadata in memory; roots and other files as in tuf/metadata.h.
 */
#ifndef MESHANICS_BUNDLE_CHECK_H
#define MESHANICS_BUNDLE_CHECK_H

#include "bundle/reader.h"
#include "crypto/keyfile.h"
#include "crypto/sshsig.h"
#include "tuf/engine_drive.h"

#define BUNDLE_METADATA_MAX (UINT64_C(1) << 30)
#define BUNDLE_CLOCK_AHEAD_S (24 * 3600)	/* a bundle made later than this from now: one of two clocks is wrong */

struct bundle_check_options {
	/*
	 * The newest root that is trusted here (of the site's repository, of the device), or an earlier one. Borrowed
	 * during the call.
	 */
	struct slice anchor;
	/*
	 * In place of an anchor: append the root for the site of the manifest, of which nobody has checked anything yet.
	 * What stays empty is no anchor. Or NULL.
	 */
	int (*find)(void *arg, const struct manifest *m, struct buf *root, struct error *err);
	void *arg;
	/*
	 * For showing what is inside: created and valid_until are not judged, and without an anchor nobody's signature
	 * is checked.
	 */
	bool look;
	/* What is taken here; another kind is ERR_REFUSED with the verb for it as hint. */
	bool any_kind;
	enum bundle_kind kind;
	int64_t now_s;
};

/* A metadata file of the bundle. */
struct bundle_file {
	struct member member;
	struct buf bytes;	/* owned */
	bool used;		/* the engine has asked for it */
};

struct bundle_check {
	struct manifest manifest;
	struct buf signature;		/* armored */
	bool verified;			/* by keyid; false only with `look` */
	char keyid[KEY_FINGERPRINT_LEN];	/* of the record key that has signed the manifest */

	/* The newest root: of the bundle, or the anchor where that is as new. NULL only with `look` and without a root. */
	struct tuf_root *root;
	struct buf root_text;		/* its text, owned */

	/* All metadata in the order of the bundle; of the roots only those above the anchor. */
	struct bundle_file *files;	/* owned */
	unsigned file_count;
	struct tuf_blob *blobs;		/* the same by file name ("7.targets.json"); borrow from files */
	unsigned hint;			/* (private) where the last search ended: the engine asks in the same order */

	/* The first artifact, whose bytes the reader gives next; false: there is none. */
	bool has_next;
	struct member next;
};
#define BUNDLE_CHECK_INIT ((struct bundle_check){.manifest = MANIFEST_INIT, .signature = BUF_INIT(SSHSIG_SIZE_MAX)})
void bundle_check_release(struct bundle_check *c);	/* safe on BUNDLE_CHECK_INIT and released */

/*
 * r has just been opened at volume 1. c is BUNDLE_CHECK_INIT and to be released also after a failure; then its manifest
 * is what was read (manifest.members is 0: nothing was), for an audit row.
 * ERR_REFUSED: for another site or kind, made under a root that is not here, a root or the manifest not
 * signed as it must be, no longer valid; naming the member and the clause. ERR_RETRY: made more than a day ahead of the
 * clock, or a volume is missing. Else as bundle/reader.h says.
 */
WARN_UNUSED int bundle_check(struct bundle_check *c, struct bundle_reader *r, const struct bundle_check_options *o,
			     struct error *err);

/*
 * The manifest is signed by a record key of its kind that the root names; keyid is that key's. ERR_REFUSED, ERR_MALFORMED.
 */
WARN_UNUSED int bundle_check_signed(const struct manifest *m, struct slice signature, const struct tuf_root *root,
				    char keyid[static KEY_FINGERPRINT_LEN], struct error *err);

/*
 * get of a struct tuf_source, arg is the struct bundle_check: the file by its exact name, or, where the engine names no
 * version (an import), the role's.
 */
int bundle_check_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err);
/* After the drive: ERR_REFUSED naming the first metadata member that nothing leads to. Roots aside. */
WARN_UNUSED int bundle_check_used(const struct bundle_check *c, struct error *err);

/* ---- artifacts ---- */

/* What metadata lists, by content: ascending, none twice. */
struct bundle_want {
	uint8_t sha256[SHA256_LEN];
	uint64_t length;
	bool have;	/* for the caller: on the disk, in the bundle */
};
struct bundle_wants {
	struct bundle_want *list;	/* owned */
	uint32_t count, room;
};
void bundle_wants_release(struct bundle_wants *w);
/*
 * Add what a targets file (of the bundle, or one that stays) lists. ERR_REFUSED: a target without SHA-256, or above the
 * limits.
 */
WARN_UNUSED int bundle_wants_add(struct bundle_wants *w, struct slice targets_file, struct error *err);
/* All targets files of the bundle. */
WARN_UNUSED int bundle_wants_add_all(struct bundle_wants *w, const struct bundle_check *c, struct error *err);
/* After the last add, before find and take: sorts. ERR_REFUSED: one SHA-256 with two lengths. */
WARN_UNUSED int bundle_wants_ready(struct bundle_wants *w, struct error *err);
struct bundle_want *bundle_wants_find(const struct bundle_wants *w, const uint8_t sha256[static SHA256_LEN]);
/*
 * The artifact of the bundle that is about to be read: it is listed, with this length. Sets have. ERR_REFUSED naming it
 * otherwise.
 */
WARN_UNUSED int bundle_wants_take(const struct bundle_wants *w, const struct member *artifact, struct error *err);
/* The first that nobody has, or NULL: with manifest.complete and without manifest.has_since there must be none. */
const struct bundle_want *bundle_wants_lacking(const struct bundle_wants *w);

#endif
