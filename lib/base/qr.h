/*
 * QR codes (ISO/IEC 18004) of short texts: byte mode, error correction level M, versions 1 to 13. What a phone reads from
 * a terminal.
 */
#ifndef MESHANICS_BASE_QR_H
#define MESHANICS_BASE_QR_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define QR_BYTES_MAX 331	/* of text, in version 13 */
#define QR_SIZE_MAX 69		/* modules a side */
#define QR_QUIET 4		/* light modules around it, which readers need */

struct qr {
	unsigned size;		/* modules a side */
	unsigned version, mask;
	uint8_t dark[QR_SIZE_MAX][QR_SIZE_MAX];	/* by row, then column: 1 dark, 0 light */
};

/* The smallest version that holds the text, the mask with the least penalty. ERR_LIMIT for more than QR_BYTES_MAX bytes. */
WARN_UNUSED int qr_encode(struct qr *q, struct slice text, struct error *err);
/*
 * Append the code with its quiet zone to out, two rows of modules a line, as half blocks in UTF-8. coloured: black on
 * white by escape sequences, whatever the terminal's colours are; otherwise light modules are drawn, for dark terminals.
 */
void qr_draw(struct buf *out, const struct qr *q, bool coloured);
/* Wipe: a code is as secret as its text. */
void qr_wipe(struct qr *q);

#endif
