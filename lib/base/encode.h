/* Hex and base64 (RFC 4648): the text forms in which bytes travel through JSON, PEM and command lines. */
#ifndef MESHANICS_BASE_ENCODE_H
#define MESHANICS_BASE_ENCODE_H

#include "base/buf.h"
#include "base/error.h"

/* Lower-case hex of n bytes into out, which has room for 2n + 1; terminated. */
void hex_encode(char *out, const uint8_t *p, size_t n);
/* Exactly n bytes from s, lower or upper case; -1 with ERR_MALFORMED ("not 64 hex digits") otherwise. */
WARN_UNUSED int hex_decode(uint8_t *out, size_t n, struct slice s, struct error *err);

/* Standard alphabet with padding, no line breaks. */
void base64_put(struct buf *out, struct slice s);
/* URL-safe alphabet (RFC 4648 section 5), no padding. */
void base64url_put(struct buf *out, struct slice s);
/*
 * Strict: right alphabet, right padding (none for base64url), zero trailing bits, no white space.
 * Appends to out, whose ceiling bounds the result. -1 with ERR_MALFORMED or ERR_LIMIT.
 */
WARN_UNUSED int base64_decode(struct buf *out, struct slice s, struct error *err);
WARN_UNUSED int base64url_decode(struct buf *out, struct slice s, struct error *err);

#endif
