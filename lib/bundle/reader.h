/*
 * Reading a bundle, from one file, from volumes or from a pipe, in one pass and constant memory beside the manifest:
 *
 *	bundle_reader_open / _open_fd -> bundle_read_manifest -> { bundle_next -> bundle_read until 0 }* -> bundle_end
 *
 * Members come in the order of the manifest, each with the length that it lists, hashed on the way: bundle_read answers
 * the 0 that ends a member only when its SHA-256 was right. What the tar says is held against the manifest at every
 * header. The manifest's signature is the caller's to check, as soon as the roots are known.
 *
 * Errors name the file, the member and the clause: ERR_MALFORMED (no bundle, out of order, doubled, missing, another
 * length, `..`, links and other kinds), ERR_REFUSED (a wrong hash, another bundle's volume), ERR_RETRY (the archive is
 * cut short, a volume is not there).
 */
#ifndef MESHANICS_BUNDLE_READER_H
#define MESHANICS_BUNDLE_READER_H

#include <sys/types.h>

#include "bundle/manifest.h"

struct bundle_reader;

/*
 * paths: one bundle, or volumes in any order; where volume N of a bundle was given and N+1 was not, "NAME.00(N+1)"
 * beside it is opened by itself. "-" is standard input. NULL with err.
 */
WARN_UNUSED struct bundle_reader *bundle_reader_open(const char *const *paths, unsigned count, struct error *err);
/* The same for open descriptors, borrowed: a whole bundle (file or pipe), or volumes. names: for errors. */
WARN_UNUSED struct bundle_reader *bundle_reader_open_fds(const int *fds, const char *const *names, unsigned count,
							 struct error *err);
/* Before the manifest is read: one of more bytes than that is not, ERR_LIMIT. For those who have less than MANIFEST_MAX. */
void bundle_reader_limit(struct bundle_reader *r, size_t manifest_max);
void bundle_reader_free(struct bundle_reader *r);	/* NULL is fine */

/* Of the first volume at hand: 1 (also of a bundle that is not split), or a later one. */
unsigned bundle_reader_volume(const struct bundle_reader *r);
/* The bundle that this later volume says it belongs to. */
const uint8_t *bundle_reader_belongs(const struct bundle_reader *r);

/*
 * Read and parse manifest and signature: into m and signature (armored, ceiling SSHSIG_SIZE_MAX). Volume 1 only: ERR_RETRY.
 * m's text is borrowed until the reader is freed.
 */
WARN_UNUSED int bundle_read_manifest(struct bundle_reader *r, struct manifest *m, struct buf *signature,
				     struct error *err);
/*
 * In place of it, to go on at a later volume with the manifest that volume 1 had: m is borrowed. The first member that
 * bundle_next gives is the one that volume begins with, perhaps in the middle (bundle_offset).
 */
WARN_UNUSED int bundle_resume(struct bundle_reader *r, const struct manifest *m, struct error *err);
/*
 * The next member: 1, or 0 after the last one, also after the last that the volumes at hand hold wholly or in part
 * (bundle_missing tells). What is left of the former member is read and checked first.
 */
WARN_UNUSED int bundle_next(struct bundle_reader *r, struct member *out, struct error *err);
/* Bytes of the member that were in earlier volumes; 0 but after bundle_resume. Its hash is then not checked here. */
uint64_t bundle_offset(const struct bundle_reader *r);
/*
 * Up to n bytes of the member, at most 256 KiB at a time; 0 at its end, its hash being right; or -1. p is best from
 * xmalloc_io.
 */
WARN_UNUSED ssize_t bundle_read(struct bundle_reader *r, void *p, size_t n, struct error *err);
/* The same without a copy: the next piece where it lies, good until the next call; empty at the member's end. */
WARN_UNUSED int bundle_piece(struct bundle_reader *r, struct slice *out, struct error *err);
/*
 * Pass over what is left of the member, which is then not checked, and not read either where the file can be sought: for
 * those who want a few members of a large bundle.
 */
WARN_UNUSED int bundle_skip(struct bundle_reader *r, struct error *err);
/* The member at hand ended because its next piece is in a volume that is not here; bundle_read gave 0 without a check. */
bool bundle_cut(const struct bundle_reader *r);
/* The whole member into out, cleared first; its ceiling counts: ERR_LIMIT. */
WARN_UNUSED int bundle_read_all(struct bundle_reader *r, struct buf *out, struct error *err);
/* After the last: nothing but zeros follows, and no volume is missing (ERR_RETRY). */
WARN_UNUSED int bundle_end(struct bundle_reader *r, struct error *err);
/* The volume that is needed next, 0: none is missing; and, unless NULL, how many there are (1: not split). */
unsigned bundle_missing(const struct bundle_reader *r, unsigned *volumes);
/* Bytes read so far, of all files; and what they hold together (0: unknown, a pipe). For progress. */
uint64_t bundle_reader_at(const struct bundle_reader *r);
uint64_t bundle_reader_total(const struct bundle_reader *r);

#endif
