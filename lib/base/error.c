/* Building of error values, and the escaping of foreign bytes for people's eyes. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

/* The length of the printable UTF-8 sequence at the start of s, or 0. */
static size_t printable_len(struct slice s)
{
	uint32_t cp;
	size_t n = utf8_decode(s, &cp);

	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return 0;
	/* Marks that reorder or hide text: bidirectional controls, zero-width, line separators. */
	if ((cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	    (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff)
		return 0;
	return n;
}

char *printable(char *out, size_t size, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0, i = 0;

	while (i < s.len) {
		size_t n = printable_len(slice_sub(s, i, 4));

		if (o + (n == 0 ? 4 : n) + 1 > size)
			break;
		if (n == 0) {
			out[o++] = '\\';
			out[o++] = 'x';
			out[o++] = hex[s.ptr[i] >> 4];
			out[o++] = hex[s.ptr[i] & 15];
			i++;
			continue;
		}
		memcpy(out + o, s.ptr + i, n);
		o += n;
		i += n;
	}
	out[o] = '\0';
	return out;
}

/* Format into out by way of a scratch area, escaping what the arguments brought along. */
static void put_printable(char *out, size_t size, const char *fmt, va_list ap)
{
	char raw[1024];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);

	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(raw))
		n = (int)sizeof(raw) - 1;
	printable(out, size, slice_of(raw, (size_t)n));
}

int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	va_list ap;

	err->kind = kind;
	err->sys_errno = 0;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	put_printable(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

int error_errno(struct error *err, int errno_value, const char *fmt, ...)
{
	char what[384];
	va_list ap;

	va_start(ap, fmt);
	put_printable(what, sizeof(what), fmt, ap);
	va_end(ap);
	error_set(err, errno_value == EAGAIN || errno_value == ENOLCK ? ERR_RETRY : ERR_FAILED,
		  "%s: %s", what, strerror(errno_value));
	err->sys_errno = errno_value;
	return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char what[sizeof(err->text)], both[2 * sizeof(err->text) + 2];
	va_list ap;

	va_start(ap, fmt);
	put_printable(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(both, sizeof(both), "%s: %s", what, err->text);
	printable(err->text, sizeof(err->text), slice_str(both));
	return -1;
}

int error_hint(struct error *err, const char *fmt, ...)
{
	va_list ap;

	if (err->hint[0] != '\0')
		return -1;
	va_start(ap, fmt);
	put_printable(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return -1;
}

int error_exit_status(enum error_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return 0;
	case ERR_USAGE:
		return 2;
	case ERR_REFUSED:
	case ERR_MALFORMED:
	case ERR_LIMIT:
	case ERR_DENIED:
		return 3;
	case ERR_RETRY:
		return 4;
	case ERR_FAILED:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
		break;
	}
	return 1;
}

const char *error_kind_name(enum error_kind kind)
{
	static const char *const names[] = {
		[ERR_NONE] = "none",		 [ERR_FAILED] = "failed",
		[ERR_USAGE] = "usage",		 [ERR_REFUSED] = "refused",
		[ERR_MALFORMED] = "malformed",	 [ERR_LIMIT] = "limit",
		[ERR_DENIED] = "denied",	 [ERR_NOT_FOUND] = "not_found",
		[ERR_CONFLICT] = "conflict",	 [ERR_RETRY] = "retry",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "failed";
}
