/*
 * bundle.json: what a bundle is and what is in it (man/meshanics-bundle.5). A manifest is kept as its text; members
 * are read line by line, so that memory is the text and no more.
 *
 * Limits: MANIFEST_MAX bytes (MANIFEST_DEVICE_MAX of kind device), BUNDLE_MEMBERS_MAX members, MANIFEST_LINE_MAX bytes of a line, MANIFEST_HEAD_MAX of the
 * first.
 */
#ifndef MESHANICS_BUNDLE_MANIFEST_H
#define MESHANICS_BUNDLE_MANIFEST_H

#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"
#include "base/tar.h"
#include "crypto/hash.h"

#define BUNDLE_FORMAT "meshanics-bundle-1"
#define BUNDLE_NAMESPACE "meshanics-bundle"	/* of SSHSIG signatures */
#define BUNDLE_MANIFEST "bundle.json"
#define BUNDLE_SIGNATURE "bundle.json.sig"
#define BUNDLE_VOLUME "volume.json"
#define BUNDLE_VOLUMES_MAX 999
#define VOLUME_MAX 1024				/* bytes of volume.json */
#define MANIFEST_MAX (256u << 20)
#define MANIFEST_DEVICE_MAX (16u << 20)		/* of kind device, which machines with little memory read */
#define MANIFEST_HEAD_MAX 4096
#define MANIFEST_LINE_MAX 1024
#define BUNDLE_MEMBERS_MAX 1000000
#define BUNDLE_ARTIFACT_MAX (INT64_C(1) << 53)

enum bundle_kind { BUNDLE_SITE, BUNDLE_DEVICE };

/* The newest record of an audit trail; seq 0 and zeros: none. */
struct bundle_witness {
	int64_t seq;
	uint8_t hash[SHA256_LEN];
};

struct manifest {
	enum bundle_kind kind;
	char site[NAME_LEN_MAX + 1], origin[NAME_LEN_MAX + 1];
	int64_t sequence, created_s, valid_until_s;
	bool complete;
	bool has_since;
	uint8_t since[SHA256_LEN];
	struct bundle_witness audit;
	struct {
		int64_t root, targets, snapshot, timestamp;	/* the last two: 0 in kind site */
	} versions;
	uint32_t members;
	uint64_t bytes;

	struct buf text;		/* owned */
	uint8_t id[SHA256_LEN];		/* SHA-256 of text: the bundle's name */
};
#define MANIFEST_INIT ((struct manifest){.text = BUF_INIT(MANIFEST_MAX)})
void manifest_release(struct manifest *m);	/* safe on zeroed and released */

/* What a member is, told by its name. */
enum member_kind { MEMBER_ROOT, MEMBER_TIMESTAMP, MEMBER_SNAPSHOT, MEMBER_TARGETS, MEMBER_ROLE, MEMBER_ARTIFACT };
struct member {
	char name[TAR_NAME_MAX + 1];
	uint64_t length;
	uint8_t sha256[SHA256_LEN];
	enum member_kind kind;
	char role[NAME_LEN_MAX + 1];	/* of metadata: "root", "publisher"... */
	int64_t version;		/* of metadata; 0 for the timestamp */
};

/*
 * Writing: the head (members and bytes as the caller has counted them), each member, the end, all into m->text;
 * manifest_end fills m->id and checks all that manifest_parse would: what is written can be read. ERR_LIMIT,
 * ERR_MALFORMED.
 */
WARN_UNUSED int manifest_begin(struct manifest *m, struct error *err);
void manifest_add(struct manifest *m, const struct member *member);	/* name, length, sha256 are used */
WARN_UNUSED int manifest_end(struct manifest *m, struct error *err);

/*
 * Read a whole manifest. Takes text, which is empty afterwards (also on failure); m is overwritten and then owned. All
 * of it is checked: fields, order and kinds of members, names, counts, sums. Nobody's signature is.
 * ERR_MALFORMED with the line, ERR_LIMIT.
 */
WARN_UNUSED int manifest_parse(struct manifest *m, struct buf *text, struct error *err);

/* Walks the members of a manifest that has been parsed, or ended: for (it = ...; manifest_next(&it, &member); ) */
struct manifest_iter {
	struct slice rest;
	uint32_t index;		/* of the member that comes next */
};
struct manifest_iter manifest_iter(const struct manifest *m);
bool manifest_next(struct manifest_iter *it, struct member *out);

/* The kind of a member, its role and version from member->name. ERR_MALFORMED: no name of a member. */
WARN_UNUSED int member_classify(struct member *member, struct error *err);
/* volume.json, one line. */
struct volume {
	uint8_t bundle[SHA256_LEN];
	uint32_t member;
	uint64_t offset;
	unsigned volume, volumes;	/* from 1 */
	bool last;
};
void volume_put(struct buf *out, const struct volume *v);
WARN_UNUSED int volume_parse(struct volume *v, struct slice text, struct error *err);

#endif
