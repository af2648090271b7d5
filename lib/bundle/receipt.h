/*
 * Receipts (man/meshanics-bundle.5): what a site holds, signed by its record key. No device data: the members of
 * receipt.json are pinned by a test.
 *
 * Limits: RECEIPT_MAX bytes of receipt.json, BUNDLE_MEMBERS_MAX artifacts.
 */
#ifndef MESHANICS_BUNDLE_RECEIPT_H
#define MESHANICS_BUNDLE_RECEIPT_H

#include "bundle/manifest.h"

#define RECEIPT_FORMAT "meshanics-receipt-1"
#define RECEIPT_NAMESPACE "meshanics-receipt"
#define RECEIPT_MAX (4u << 20)

/* A set of artifacts by SHA-256, ascending, none twice. */
struct held {
	uint8_t (*list)[SHA256_LEN];	/* owned */
	uint32_t count;
};
void held_release(struct held *h);
bool held_find(const struct held *h, const uint8_t sha256[static SHA256_LEN]);

struct receipt_version {
	char role[NAME_LEN_MAX + 1];
	int64_t version;
};
struct receipt {
	char site[NAME_LEN_MAX + 1];
	int64_t created_s;
	bool has_bundle;
	uint8_t bundle[SHA256_LEN];	/* the one imported last */
	int64_t sequence;
	struct bundle_witness audit;
	struct receipt_version *versions;	/* owned; root first, targets second, the others ascending */
	uint32_t version_count;
	uint32_t held_count;
	uint8_t held_sha256[SHA256_LEN];

	uint8_t id[SHA256_LEN];		/* SHA-256 of the text of receipt.json */
};
void receipt_release(struct receipt *r);	/* safe on zeroed and released */
int64_t receipt_version(const struct receipt *r, const char *role);	/* 0: not there */

/* receipt.json, one line. Versions: root, targets if there are any, the others ascending by name. */
void receipt_put(struct buf *out, const struct receipt *r);
WARN_UNUSED int receipt_parse(struct receipt *r, struct slice text, struct error *err);

/* The archive: text is receipt.json, signature armored. */
WARN_UNUSED int receipt_write(int fd, struct slice text, struct slice signature, const struct held *held,
			      int64_t created_s, struct error *err);
/*
 * Read an archive from open fd: text and signature are appended (their ceilings count), r and held filled and then
 * owned. `held` has been checked against receipt.json; nobody's signature has been. ERR_MALFORMED, ERR_LIMIT.
 */
WARN_UNUSED int receipt_read(int fd, struct buf *text, struct buf *signature, struct receipt *r, struct held *held,
			     struct error *err);

#endif
