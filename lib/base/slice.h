/*
 * A slice: bytes that somebody else owns. Passed by value, never freed, valid for as long as
 * its owner says. May hold any byte, NUL included; is not terminated.
 */
#ifndef MESHANICS_BASE_SLICE_H
#define MESHANICS_BASE_SLICE_H

#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"

struct slice {
	const uint8_t *ptr;
	size_t len;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* A slice over a string literal, without its NUL. */
#define SLICE_LIT(s) ((struct slice){(const uint8_t *)("" s), sizeof(s) - 1})

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){ptr, len};
}

/* Over a C string, without its NUL; NULL gives the empty slice. */
static inline struct slice slice_str(const char *s)
{
	return (struct slice){(const uint8_t *)s, s == NULL ? 0 : strlen(s)};
}

/* Not in constant time: never for secrets (use secret_equal in crypto/secret.h). */
static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_equal_str(struct slice a, const char *s)
{
	return slice_equal(a, slice_str(s));
}

static inline bool slice_starts(struct slice a, struct slice prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice a, struct slice suffix)
{
	return a.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(a.ptr + (a.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

/* The part from `from`, at most `len` bytes; clamped to what is there. */
static inline struct slice slice_sub(struct slice a, size_t from, size_t len)
{
	if (from > a.len)
		from = a.len;
	if (len > a.len - from)
		len = a.len - from;
	return (struct slice){a.ptr == NULL ? NULL : a.ptr + from, len};
}

/* Order of unsigned bytes, then of length: also the order of UTF-8 text by code point. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);

	if (r != 0)
		return r;
	return (a.len > b.len) - (a.len < b.len);
}

/* The index of the first `c` at or after `from`, or SIZE_MAX. */
static inline size_t slice_find(struct slice a, uint8_t c, size_t from)
{
	const uint8_t *p = from < a.len ? memchr(a.ptr + from, c, a.len - from) : NULL;

	return p == NULL ? SIZE_MAX : (size_t)(p - a.ptr);
}

/* Print a slice with printf: printf("%.*s", SLICE_ARG(s)). Only for text known to be printable. */
#define SLICE_ARG(s) (int)(s).len, (const char *)(s).ptr

#endif
