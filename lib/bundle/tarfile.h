/*
 * A strict tar archive read from front to back: plain files, zeros where padding is, two blocks of zeros at the end and
 * nothing but zeros behind them. Whose members may stand where is the caller's to know.
 *
 * Errors: ERR_MALFORMED, ERR_RETRY (cut short), or that of reading.
 */
#ifndef MESHANICS_BUNDLE_TARFILE_H
#define MESHANICS_BUNDLE_TARFILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/tar.h"

struct tarfile {
	int fd;			/* borrowed */
	bool seekable;		/* read with pread, so that the descriptor's own position stays */
	uint64_t offset;	/* in the file, of the next read */
	uint64_t bytes_read;
	uint64_t size;		/* that will have been read at the end of the file; 0: unknown */
	uint8_t *room;		/* owned */
	size_t at, end;		/* what is in room and was not used yet */
	uint64_t left;		/* content of the member at hand */
	unsigned padding;	/* behind it */
};
#define TARFILE_INIT ((struct tarfile){.fd = -1})

/* Begin where the position of fd is. Reads nothing yet. */
void tarfile_open(struct tarfile *a, int fd);
void tarfile_release(struct tarfile *a);	/* safe on zeroed and released */
/* The next member, whose content may follow: 1, or 0 at the first block of zeros. The former has been read wholly. */
WARN_UNUSED int tarfile_header(struct tarfile *a, struct tar_entry *e, struct error *err);
/* The next piece of content where it lies, good until the next call; empty at the end of the member. */
WARN_UNUSED int tarfile_piece(struct tarfile *a, struct slice *out, struct error *err);
/* Up to n bytes of content into p, large ones without a detour; 0 at the end of the member. */
WARN_UNUSED ssize_t tarfile_read(struct tarfile *a, void *p, size_t n, struct error *err);
/* Pass over what is left of the member: sought where the file can be, read where not. */
WARN_UNUSED int tarfile_skip(struct tarfile *a, struct error *err);
/* All that is left of the member, appended to out: ERR_LIMIT past its ceiling, before anything is read. */
WARN_UNUSED int tarfile_read_all(struct tarfile *a, struct buf *out, struct error *err);
/* After tarfile_header gave 0: one more block of zeros, and zeros to the end of the file. */
WARN_UNUSED int tarfile_tail(struct tarfile *a, struct error *err);

#endif
