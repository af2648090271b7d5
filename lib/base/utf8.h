/* UTF-8 (RFC 3629), strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef MESHANICS_BASE_UTF8_H
#define MESHANICS_BASE_UTF8_H

#include "base/slice.h"

/* The length (1 to 4) of the well-formed sequence at the start of s, its code point in *cp; 0 when there is none. */
size_t utf8_decode(struct slice s, uint32_t *cp);
/* The sequence of cp (a scalar value, asserted) into out; its length. */
size_t utf8_encode(uint8_t out[static 4], uint32_t cp);

#endif
