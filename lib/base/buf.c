/* Growing buffers with a ceiling, and allocation that does not return NULL. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static NORETURN void out_of_memory(void)
{
	static const char msg[] = "meshanics: out of memory\n";
	ssize_t n = write(STDERR_FILENO, msg, sizeof(msg) - 1);

	(void)n;
	abort();
}

void *xmalloc(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xmalloc_io(size_t n)
{
	void *p;

	if (posix_memalign(&p, 4096, n == 0 ? 1 : n) != 0)
		out_of_memory();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n == 0 ? 1 : n);
	if (p == NULL)
		out_of_memory();
	return p;
}

void *xreallocarray(void *p, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		out_of_memory();
	return xrealloc(p, n);
}

void *xmalloc_aligned(size_t align, size_t n)
{
	void *p;

	if (posix_memalign(&p, align, n == 0 ? 1 : n) != 0)
		out_of_memory();
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup_slice(slice_str(s));
}

char *xstrndup_slice(struct slice s)
{
	char *p = xmalloc(s.len + 1);

	if (s.len > 0)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

void buf_release(struct buf *b)
{
	if (b->secret && b->ptr != NULL)
		explicit_bzero(b->ptr, b->cap);
	free(b->ptr);
	*b = (struct buf){.max = b->max, .secret = b->secret};
}

void buf_clear(struct buf *b)
{
	if (b->secret && b->ptr != NULL)
		explicit_bzero(b->ptr, b->cap);
	b->len = 0;
	b->failed = false;
}

/* Give the content `cap` bytes of room. A secret one is copied and wiped: realloc would leave a trace. */
static void buf_resize(struct buf *b, size_t cap)
{
	uint8_t *p;

	if (!b->secret) {
		b->ptr = xrealloc(b->ptr, cap);
	} else {
		p = xmalloc(cap);
		if (b->ptr != NULL) {
			memcpy(p, b->ptr, b->len);
			explicit_bzero(b->ptr, b->cap);
			free(b->ptr);
		}
		b->ptr = p;
	}
	b->cap = cap;
}

bool buf_reserve(struct buf *b, size_t n)
{
	size_t need, cap;

	if (b->failed)
		return false;
	if (n > b->max || b->len > b->max - n) {
		b->failed = true;
		return false;
	}
	need = b->len + n;
	if (need < b->cap)	/* strictly: buf_cstr's NUL always has its place */
		return true;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap <= need)
		cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
	if (cap > b->max && need < b->max)
		cap = b->max + 1;
	buf_resize(b, cap);
	return true;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_reserve(b, n))
		return;
	memcpy(b->ptr + b->len, p, n);
	b->len += n;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

/* The low `n` bytes of v, most significant first. */
static void buf_put_be(struct buf *b, uint64_t v, unsigned n)
{
	uint8_t out[8];
	unsigned i;

	for (i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	buf_put(b, out, n);
}

void buf_put_u16be(struct buf *b, uint16_t v)
{
	buf_put_be(b, v, 2);
}

void buf_put_u32be(struct buf *b, uint32_t v)
{
	buf_put_be(b, v, 4);
}

void buf_put_u64be(struct buf *b, uint64_t v)
{
	buf_put_be(b, v, 8);
}

void buf_put_slice(struct buf *b, struct slice s)
{
	buf_put(b, s.ptr, s.len);
}

void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !buf_reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	if (b->len > 0)
		memmove(b->ptr, b->ptr + n, b->len);
}

const char *buf_cstr(struct buf *b)
{
	if (b->failed || b->ptr == NULL)
		return "";
	b->ptr[b->len] = '\0';
	return (const char *)b->ptr;
}
