/*
 * POSIX tar (ustar, with a pax header for a long name), block by block, without I/O. What is written here any tar can
 * read; what is read here is only what is written here: plain files and directories under safe relative names.
 *
 * Limits: names of TAR_NAME_MAX bytes; sizes up to 2^62 (beyond 8 GiB in GNU's binary form).
 */
#ifndef MESHANICS_BASE_TAR_H
#define MESHANICS_BASE_TAR_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define TAR_BLOCK 512
#define TAR_NAME_MAX 255
#define TAR_SIZE_MAX (UINT64_C(1) << 62)

struct tar_entry {
	char name[TAR_NAME_MAX + 1];	/* relative, parts between single slashes, none of them "." or ".." */
	bool is_dir;
	unsigned mode;			/* permission bits */
	uint64_t size;			/* 0 for directories */
	int64_t mtime_s;
};

/* Append the header of e to out: one block, or three for a long name. ERR_MALFORMED for an unsafe name. */
WARN_UNUSED int tar_put(struct buf *out, const struct tar_entry *e, struct error *err);

/* What the reader knows between the blocks of one header. Zeroed before the first, and it zeroes itself. */
struct tar_reader {
	bool in_pax, has_name;
	uint64_t pax_len;
	char name[TAR_NAME_MAX + 1];
};
enum tar_block_kind {
	TAR_MEMBER,	/* e is filled; its content follows */
	TAR_MORE,	/* the header goes on in the next block */
	TAR_END,	/* the zero block that ends an archive */
};
/*
 * Read one block of a header. The kind, or -1 with ERR_MALFORMED: a wrong checksum, another format, an entry that is
 * neither file nor directory, an unsafe name.
 */
WARN_UNUSED int tar_get(struct tar_reader *t, const uint8_t block[static TAR_BLOCK], struct tar_entry *e,
			struct error *err);
/* Zero bytes that follow `size` bytes of content. */
unsigned tar_padding(uint64_t size);
/* 0 when name is safe to join to a directory: see struct tar_entry. ERR_MALFORMED. */
WARN_UNUSED int tar_name_check(struct slice name, struct error *err);

#endif
