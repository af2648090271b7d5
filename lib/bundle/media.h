/*
 * A stick: the directory `meshanics` that people carry between machines (man/meshanics-media.5). Nothing below it is
 * reached over a symbolic link or outside its file system, and names that are not ours are ignored. SHA256SUMS finds
 * accidents; trust is in the signatures that the files carry.
 *
 * Works on any file system, also one without modes and owners. Limits: MEDIA_NAME_MAX bytes of a name, MEDIA_FILES_MAX
 * files of a kind, MEDIA_SUMS_MAX bytes of SHA256SUMS.
 *
 * Errors name the file as seen from `meshanics`: ERR_REFUSED (links, devices, FIFOs, names that differ only in case, a wrong
 * sum), ERR_MALFORMED (a name, SHA256SUMS), ERR_LIMIT, ERR_NOT_FOUND, ERR_RETRY (another process writes to the stick).
 */
#ifndef MESHANICS_BUNDLE_MEDIA_H
#define MESHANICS_BUNDLE_MEDIA_H

#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"
#include "crypto/hash.h"
#include "sys/file.h"

#define MEDIA_DIR "meshanics"
#define MEDIA_SUMS "SHA256SUMS"
#define MEDIA_NAME_MAX 96	/* bytes of a file's name */
#define MEDIA_FILES_MAX 8192
#define MEDIA_SUMS_MAX (1u << 20)

enum media_kind { MEDIA_BUNDLES, MEDIA_RECEIPTS, MEDIA_ENROLL, MEDIA_KINDS };

/* A name that every file system can keep, whatever it ends in. ERR_MALFORMED. */
WARN_UNUSED int media_name_check(struct slice name, struct error *err);
/* Does a file of this name belong into the directory of this kind, by how it ends? Says nothing of the rest of it. */
bool media_name_is(enum media_kind kind, struct slice name);

struct media;
/*
 * dir: the root of the stick. For reading, `meshanics` must be there (ERR_NOT_FOUND with a hint). For writing it is
 * made, what an interrupted writer left is removed, and other writers are kept away until media_close. NULL with err.
 */
WARN_UNUSED struct media *media_open(const char *dir, bool write, struct error *err);
void media_close(struct media *m);	/* NULL is fine */

struct media_file {
	char name[MEDIA_NAME_MAX + 1];
	uint64_t size;
};
struct media_list {
	struct media_file *files;	/* owned; by name */
	unsigned count;
};
void media_list_release(struct media_list *l);	/* safe on zeroed and released */
/* The files of a kind. A directory that is not there is an empty one. list is overwritten and then owned. */
WARN_UNUSED int media_list(const struct media *m, enum media_kind kind, struct media_list *list, struct error *err);

/* ---- reading ---- */

/* Open one file for reading, without a look at its sum: for what hashes the bytes itself, media_sum_check then. */
WARN_UNUSED int media_open_file(const struct media *m, enum media_kind kind, const char *name, struct error *err);
/* 0 when SHA256SUMS says this of the file, or nothing. ERR_REFUSED: it says another one. */
WARN_UNUSED int media_sum_check(const struct media *m, enum media_kind kind, const char *name,
				const uint8_t sha256[static SHA256_LEN], struct error *err);
/* Append the whole file, its sum checked; out's ceiling counts. */
WARN_UNUSED int media_read(const struct media *m, enum media_kind kind, const char *name, struct buf *out,
			   struct error *err);
/*
 * Read all of the stick's files and compare them with SHA256SUMS. each (may be NULL) is told of every file; listed: there
 * was a line for it. A listed file of ours that is not there is ERR_REFUSED as well.
 */
WARN_UNUSED int media_check(const struct media *m, void (*each)(void *arg, enum media_kind kind, const char *name, bool listed),
			    void *arg, struct error *err);

/* ---- writing: opened for it ---- */

/* A small file in one call. The same content again costs nothing. */
WARN_UNUSED int media_write(struct media *m, enum media_kind kind, const char *name, struct slice content,
			    struct error *err);
/*
 * A large one: write to f by newfile_write, hashing on the way, then commit with that hash (or newfile_abort). The name
 * is checked at the beginning.
 */
WARN_UNUSED int media_begin(struct media *m, enum media_kind kind, const char *name, struct newfile *f, struct error *err);
WARN_UNUSED int media_commit(struct media *m, enum media_kind kind, const char *name, struct newfile *f,
			     const uint8_t sha256[static SHA256_LEN], struct error *err);
/* Its line in SHA256SUMS first. Absence is fine. */
WARN_UNUSED int media_remove(struct media *m, enum media_kind kind, const char *name, struct error *err);

/* ---- bundles and receipts by site and number ---- */

/* "SITE-NNNNNN.bundle", with ".001" and so on when volume is above 0. ERR_MALFORMED: FAT could not keep it. */
WARN_UNUSED int media_bundle_name(char out[static MEDIA_NAME_MAX + 1], const char *site, int64_t sequence, unsigned volume,
				  struct error *err);
WARN_UNUSED int media_receipt_name(char out[static MEDIA_NAME_MAX + 1], const char *site, int64_t sequence,
				   struct error *err);
/*
 * The bundle of the highest number for this site: 1, 0 when there is none, -1. volumes: how many files of it are here, from
 * the first on without a gap; 0: it is one file, not split.
 */
WARN_UNUSED int media_newest_bundle(const struct media *m, const char *site, int64_t *sequence, unsigned *volumes,
				    struct error *err);
WARN_UNUSED int media_newest_receipt(const struct media *m, const char *site, int64_t *sequence, struct error *err);

/* ---- SHA256SUMS by itself ---- */

struct media_sum {
	char *path;	/* owned */
	uint8_t sha256[SHA256_LEN];
};
struct media_sums {
	struct media_sum *list;	/* owned; by path */
	unsigned count;
};
void media_sums_release(struct media_sums *s);
/* sums is overwritten and then owned, empty on failure. ERR_MALFORMED with the line, ERR_LIMIT. */
WARN_UNUSED int media_sums_parse(struct media_sums *sums, struct slice text, struct error *err);
void media_sums_put(struct buf *out, const struct media_sums *sums);
const struct media_sum *media_sums_find(const struct media_sums *sums, const char *path);	/* NULL: not listed */
/* sha256 NULL: take the line out. ERR_LIMIT. */
WARN_UNUSED int media_sums_set(struct media_sums *sums, const char *path, const uint8_t *sha256, struct error *err);

#endif
