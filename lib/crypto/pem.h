/*
 * PEM (RFC 7468): DER between "-----BEGIN label-----" and "-----END label-----". Written with lines of 64
 * characters. Read strictly as to content (one label, base64 with right padding, no headers inside), tolerantly
 * as to layout (LF or CRLF, any line length), since other programs break lines as they like.
 */
#ifndef MESHANICS_CRYPTO_PEM_H
#define MESHANICS_CRYPTO_PEM_H

#include "base/buf.h"
#include "base/error.h"

void pem_put(struct buf *out, const char *label, struct slice der);
/*
 * Take the next block off the front of *text, white space before it skipped, and append its bytes to der. The
 * block must have this label. White space after it is taken as well, so that an empty *text means the end.
 * -1: ERR_MALFORMED, or ERR_LIMIT when der's ceiling is too low.
 */
WARN_UNUSED int pem_next(struct slice *text, const char *label, struct buf *der, struct error *err);
/* Exactly one block and nothing else. */
WARN_UNUSED int pem_get(struct slice text, const char *label, struct buf *der, struct error *err);

#endif
