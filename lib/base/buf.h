/*
 * A buf: bytes we own, with a ceiling, growing as they are written. It remembers its first failure
 * (a write that would pass the ceiling), so ten writes need one check: `if (b.failed)`. After a
 * failure nothing more is written. Running out of memory ends the process (xmalloc).
 */
#ifndef MESHANICS_BASE_BUF_H
#define MESHANICS_BASE_BUF_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/slice.h"

struct buf {
	uint8_t *ptr;
	size_t len, cap;
	size_t max;    /* ceiling of len, in bytes */
	bool failed;
	bool secret;   /* wiped whenever memory is given back; set by BUF_SECRET */
};

#define BUF_INIT(ceiling) ((struct buf){.max = (ceiling)})
#define BUF_SECRET(ceiling) ((struct buf){.max = (ceiling), .secret = true})

/* Frees the memory and leaves an empty buf with the same ceiling. Safe on a zeroed or released buf. */
void buf_release(struct buf *b);
/* Forget the content and the failure, keep the memory. */
void buf_clear(struct buf *b);
/* Make room for `n` more bytes; false (and failed) when that passes the ceiling. */
bool buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16be(struct buf *b, uint16_t v);
void buf_put_u32be(struct buf *b, uint32_t v);
void buf_put_u64be(struct buf *b, uint64_t v);
void buf_put_slice(struct buf *b, struct slice s);
void buf_put_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Drop the first n bytes (n <= len) and move the rest down. */
void buf_consume(struct buf *b, size_t n);
/* Terminates with a NUL that is not counted in len, and returns the text; "" when failed or empty. */
const char *buf_cstr(struct buf *b);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->ptr, b->len);
}

/* Memory, or the end of the process with a line on standard error. Never NULL. */
void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);	/* zeroed; the product is checked */
void *xrealloc(void *p, size_t n);
void *xreallocarray(void *p, size_t count, size_t size);
/*
 * For bytes on their way from or to files: begins at a page. The kernel copies to a place that is no multiple of 32 at a
 * fifth of the speed on some processors (measured: 1 GiB in 0.5 s of CPU instead of 0.1), and large memory from malloc
 * never is one. Released with free.
 */
void *xmalloc_io(size_t n);
/* n bytes at a multiple of `align`, a power of two and no less than a pointer; freed by free(). */
void *xmalloc_aligned(size_t align, size_t n);
char *xstrdup(const char *s);
/* A terminated copy of a slice; the slice's NULs are kept, so check first if that matters. */
char *xstrndup_slice(struct slice s);

#endif
