/* Character classes of RFC 9110 5.6.2 and RFC 3986, shared by the files of the HTTP engine. */
#ifndef MESHANICS_NET_HTTP_CHARS_H
#define MESHANICS_NET_HTTP_CHARS_H

#include <stdbool.h>

#include "base/slice.h"

static inline bool http_is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool http_is_token_char(uint8_t c)
{
	return http_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static inline bool http_is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static inline int http_hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3986 3.3 and 3.4, for the byte of s at i; a '%' must lead two hex digits. */
static inline bool http_is_target_char(struct slice s, size_t i)
{
	uint8_t c = s.ptr[i];

	if (c == '%')
		return i + 2 < s.len && http_hex(s.ptr[i + 1]) >= 0 && http_hex(s.ptr[i + 2]) >= 0;
	return http_is_alnum(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@/?", c) != NULL);
}

#endif
