/* An import under way, shared by the import*.c files only. */
#ifndef MESHANICS_BUNDLE_IMPORT_INTERNAL_H
#define MESHANICS_BUNDLE_IMPORT_INTERNAL_H

#include "bundle/import.h"

#define IMPORT_DIR_MAX 96	/* of import/SHA256 below HOME/repo */
#define IMPORT_BLOB_MAX 512	/* of a blob below HOME/repo */

void import_dir(char out[static IMPORT_DIR_MAX], const uint8_t id[static SHA256_LEN]);
WARN_UNUSED int import_keep(int repo_dirfd, const struct bundle_check *c, struct error *err);
/* ERR_NOT_FOUND: none is kept under this name. */
WARN_UNUSED int import_load_manifest(int repo_dirfd, const uint8_t id[static SHA256_LEN], struct manifest *m,
				     struct error *err);

/* An artifact that the new state lists. */
struct import_want {
	uint8_t sha256[SHA256_LEN];
	uint64_t length;
	size_t path;		/* of one of its paths, in import_wants.paths */
	bool held;		/* here, with this length */
	bool brought;		/* in the bundle */
};
struct import_wants {
	struct import_want *list;	/* owned; by SHA-256, once ready */
	size_t count, room;
	struct buf paths;		/* NUL-terminated names */
};
#define IMPORT_WANTS_INIT ((struct import_wants){.paths = BUF_INIT(SIZE_MAX / 2)})
void import_wants_release(struct import_wants *w);
void import_wants_add(struct import_wants *w, const struct repo_import_artifact *a);
void import_wants_ready(struct import_wants *w);
struct import_want *import_wants_find(const struct import_wants *w, const uint8_t sha256[static SHA256_LEN]);
const char *import_wants_path(const struct import_wants *w, const struct import_want *want);

/* ---- import_store.c: artifacts into staging/ ---- */

#define IMPORT_UNSYNCED_MAX 1024	/* artifacts, and bytes, that wait to be synced together */
#define IMPORT_UNSYNCED_BYTES (UINT64_C(64) << 20)

struct import_store {
	int repo_dirfd;		/* borrowed */
	uint8_t *room;		/* owned; for what is compared */
	uint8_t (*unsynced)[SHA256_LEN];	/* whole in staging/SHA256.part; owned */
	unsigned unsynced_count;
	uint64_t unsynced_bytes;
};
enum import_stored { STORED_KEPT, STORED_FRESH, STORED_HEALED, STORED_CUT };
void import_store_open(struct import_store *s, int repo_dirfd);
void import_store_release(struct import_store *s);
/*
 * Read the artifact at hand into staging/, unless it is held just so. STORED_CUT: its next piece is in a volume that is not
 * here; what came is in its .part. -1.
 */
WARN_UNUSED int import_store(struct import_store *s, struct bundle_reader *r, const struct member *m,
			     const struct import_want *want, const char *path, void (*progress)(void *arg), void *arg,
			     struct error *err);
/* Sync what waits, and call it staged. */
WARN_UNUSED int import_store_flush(struct import_store *s, struct error *err);
/* Bytes of the artifact that are in its .part. */
uint64_t import_store_part(int repo_dirfd, const uint8_t sha256[static SHA256_LEN]);

#endif
