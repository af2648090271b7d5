/*
 * Taking a bundle into HOME/repo (man/meshanics-bundle.5), in one pass over it:
 *
 *	bundle_import_read	check it, keep its metadata in import/SHA256/, bring its artifacts into staging/
 *	bundle_import_load	whoever owns the repository reads what was kept,
 *	repo_import		and puts it in force (tuf/repo_import.h)
 *
 *	HOME/repo/import/lock		one import at a time
 *	HOME/repo/import/SHA256/	bundle.json  bundle.json.sig  metadata/		until it is in force
 *	HOME/repo/staging/SHA256[.part]	artifacts that are whole, or on their way
 *	HOME/repo/last-import		what was taken last, for people and receipts
 *
 * An artifact is hashed while it is read and compared, while it is read, with what is held of it already: the same bytes
 * are not written again, and others are replaced. So after an interruption the same import goes on where it was, and an
 * import of what is there heals. Nothing kept in import/ is believed: bundle_import_load holds it against the manifest's
 * hashes, and the manifest against its signature.
 *
 * Memory: metadata, about 100 bytes an artifact, two buffers.
 */
#ifndef MESHANICS_BUNDLE_IMPORT_H
#define MESHANICS_BUNDLE_IMPORT_H

#include "bundle/check.h"
#include "tuf/repo_import.h"

#define BUNDLE_IMPORT_DIR "import"

struct bundle_import {
	const char *home;
	int64_t now_s;
	unsigned flags;		/* REPO_ACCEPT_CLOCK */
	bool dry_run;		/* read and check all of it, write nothing */
	void (*progress)(void *arg, uint64_t done, uint64_t total);	/* bytes; total 0: unknown. Or NULL */
	void *arg;

	/* filled in, as far as it came */
	struct bundle_check check;	/* check.manifest.members > 0: it was recognised as a bundle */
	bool locked;		/* lock_fd is held until bundle_import_release, so that the caller puts it in force first */
	int lock_fd;
	struct manifest saved;		/* of a bundle that goes on at a later volume */
	struct repo_import state;	/* what repo_import_check said */
	uint32_t artifacts;		/* read whole */
	uint32_t fresh, kept, healed;	/* of these: written, held already, held with other bytes */
	uint64_t fresh_bytes;
	uint32_t left_out;		/* listed, and neither held nor in the bundle */
	unsigned next_volume, volumes;	/* more is needed, with ERR_RETRY; 0: no */
};
void bundle_import_release(struct bundle_import *b);	/* safe on zeroed and released */
/* The manifest, of whichever volume; NULL: it was not recognised as a bundle. */
const struct manifest *bundle_import_manifest(const struct bundle_import *b);

/*
 * Read it; r has just been opened. The process is the owner of HOME/repo.
 * ERR_REFUSED, ERR_MALFORMED: as bundle_check, bundle_read and repo_import_check say, and an artifact that the bundle
 * calls held and that is not. ERR_RETRY: another import is under way, a volume is not here (next_volume; what was read
 * is kept), the bundle is cut short, no room on the disk.
 */
WARN_UNUSED int bundle_import_read(struct bundle_import *b, struct bundle_reader *r, struct error *err);

/* What bundle_import_read has kept, each file as the manifest lists it. */
struct bundle_kept {
	struct manifest manifest;
	struct buf signature;
	struct tuf_blob *files;		/* by file name; owned, with texts */
	struct buf *texts;
	char (*names)[TAR_NAME_MAX + 1];
	unsigned count;
};
void bundle_kept_release(struct bundle_kept *k);	/* safe on zeroed and released */
WARN_UNUSED int bundle_import_load(int repo_dirfd, const uint8_t id[static SHA256_LEN], struct bundle_kept *k,
				   struct error *err);
/* Remove what is kept of all bundles; since_s > 0: of those only that were left alone since then. What cannot be stays. */
void bundle_import_sweep(int repo_dirfd, int64_t since_s);

/* ---- HOME/repo/last-import ---- */

struct bundle_last {
	uint8_t bundle[SHA256_LEN];
	char origin[NAME_LEN_MAX + 1];
	int64_t sequence, created_s, valid_until_s, imported_s;
};
WARN_UNUSED int bundle_last_write(int repo_dirfd, const struct bundle_last *last, struct error *err);
/* 1, or 0: nothing was imported yet. */
WARN_UNUSED int bundle_last_read(int repo_dirfd, struct bundle_last *last, struct error *err);

#endif
