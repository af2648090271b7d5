/*
 * Making a bundle (man/meshanics-bundle.5) from HOME/repo, in three steps:
 *
 *	bundle_plan_make	what goes in, from the repository as it is now, and until when it will be good
 *	bundle_plan_manifest	the manifest, and _sign its signature by the record key of the kind
 *	bundle_write		the archive, to one file, to volumes or to a pipe
 *
 * The repository is opened for reading only and not locked. Metadata is planned by length and SHA-256, and read again
 * when it is written; an artifact is hashed on its way. What has changed or is damaged by then ends the export.
 *
 * Memory: about 100 bytes an artifact, the manifest's text, and one buffer; never the bytes.
 */
#ifndef MESHANICS_BUNDLE_EXPORT_H
#define MESHANICS_BUNDLE_EXPORT_H

#include "bundle/receipt.h"
#include "tuf/repo.h"

#define BUNDLE_VALID_DEFAULT_S (INT64_C(30) * 86400)
#define BUNDLE_SPLIT_MIN (INT64_C(1) << 20)

struct bundle_export {
	const char *home;
	const char *site;		/* NULL or the repository's own: kind device; else kind site */
	int64_t now_s;
	int64_t valid_for_s;		/* 0: BUNDLE_VALID_DEFAULT_S; for devices, until the first thing inside expires */
	const char *const *selectors;	/* NAMESPACE/NAME[/VERSION] with * and ?; none: all artifacts */
	unsigned selector_count;
	const struct receipt *since;	/* with held, of the site; NULL: none */
	const struct held *held;
	void (*warn)(void *arg, const char *role, const struct error *why);	/* a publisher that is left out; or NULL */
	void *arg;
};

/* An artifact that goes in. */
struct plan_artifact {
	uint8_t sha256[SHA256_LEN];
	uint64_t length;
	size_t path;	/* of its name, in bundle_plan.paths */
	bool selected;
	/* (private) Whose file lists this name: publisher and, where he has any, hash bin. */
	unsigned publisher, bin;
};

struct bundle_plan {
	struct repo *repo;		/* owned */
	enum bundle_kind kind;
	char site[NAME_LEN_MAX + 1], origin[NAME_LEN_MAX + 1];
	int64_t now_s, valid_until_s;
	char first[NAME_LEN_MAX + 1];	/* the role inside that expires first */
	int64_t first_expires_s;
	bool shortened;			/* valid_until_s is that, since no time was asked for */
	struct {
		int64_t root, targets, snapshot, timestamp;
	} versions;
	bool complete;
	bool has_since;
	uint8_t since[SHA256_LEN];	/* of the receipt */

	struct member *files;		/* metadata, in the order of the bundle; owned */
	uint32_t file_count, file_room;
	struct buf timestamp;		/* its text, which changes most often */
	struct plan_artifact *artifacts;	/* ascending by SHA-256, none twice; owned */
	uint32_t artifact_count, artifact_room;
	struct buf paths;		/* names, NUL-terminated */

	uint32_t members;
	uint64_t bytes;
	uint32_t saved;			/* artifacts that the receipt has, and their bytes */
	uint64_t saved_bytes;
};
#define BUNDLE_PLAN_INIT \
	((struct bundle_plan){.timestamp = BUF_INIT(TUF_TIMESTAMP_MAX), .paths = BUF_INIT(SIZE_MAX / 2)})
void bundle_plan_release(struct bundle_plan *p);	/* safe on BUNDLE_PLAN_INIT and released */

/*
 * Plan. p is BUNDLE_PLAN_INIT, and to be released also after a failure.
 * ERR_REFUSED: something inside expires before the bundle would, no root of the site is kept here, its newest root does
 * not name the key that signs here or does not take the targets of here, an artifact's bytes are missing. ERR_USAGE: a
 * selector, a receipt of another site. ERR_NOT_FOUND: nothing adopted; a selector matches nothing.
 */
WARN_UNUSED int bundle_plan_make(struct bundle_plan *p, const struct bundle_export *e, struct error *err);
/* The name of an artifact of the plan, NAMESPACE/NAME/VERSION: one of those by which it is published. */
const char *bundle_plan_name(const struct bundle_plan *p, const struct plan_artifact *a);

/* The whole manifest into m, which is MANIFEST_INIT. audit: the newest record of the trail here. */
WARN_UNUSED int bundle_plan_manifest(const struct bundle_plan *p, int64_t sequence, const struct bundle_witness *audit,
				     struct manifest *m, struct error *err);
/* Append the armored signature by HOME/repo/keys/record-export.key, or record-site.key for devices. */
WARN_UNUSED int bundle_plan_sign(const struct bundle_plan *p, const struct manifest *m, struct buf *armored,
				 struct error *err);

/* ---- writing ---- */

/* What the archives will be. */
struct bundle_size {
	unsigned volumes;	/* 1 also without a split */
	uint64_t bytes;		/* of all files */
};
/* split: bytes of a volume at most; 0: one file. ERR_USAGE: volumes too small for the manifest, or too many of them. */
WARN_UNUSED int bundle_measure(const struct manifest *m, size_t signature_len, uint64_t split, struct bundle_size *out,
			       struct error *err);

struct bundle_output {
	uint64_t split;		/* as for bundle_measure */
	/* The descriptor for volume `volume` (from 1), or -1. */
	int (*open)(void *arg, unsigned volume, struct error *err);
	/* All of it has been written. 0, or -1. */
	int (*done)(void *arg, unsigned volume, int fd, struct error *err);
	void (*progress)(void *arg, uint64_t done, uint64_t total);	/* or NULL */
	void *arg;
};
/*
 * Write it. ERR_REFUSED: an artifact's bytes are not what was signed; ERR_RETRY: the repository has moved on, and what
 * was planned is no longer there. What has been written then is of no use.
 */
WARN_UNUSED int bundle_write(const struct bundle_plan *p, const struct manifest *m, struct slice signature,
			     const struct bundle_output *o, struct error *err);

#endif
