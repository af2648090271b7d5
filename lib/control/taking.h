/*
 * Importing a bundle, through the door of the box that has the repository; the bytes do not go through it:
 *
 *	(become the owner)		of HOME/control; what a crash has left is finished
 *	(read)				bundle/import.h: metadata into import/, artifacts into staging/
 *	POST /bundles/SHA256/import	all of it is in force; or
 *	POST /bundles/SHA256/refused	it was refused, and the trail says so
 *	POST /receipts			with a receipt
 */
#ifndef MESHANICS_CONTROL_TAKING_H
#define MESHANICS_CONTROL_TAKING_H

#include "bundle/import.h"
#include "control/door.h"

struct taking {
	struct bundle_import read;	/* home, now_s, flags, dry_run, progress are set by the caller */
	bool receipt;			/* make one afterwards, in HOME/repo/receipt */

	/* what came of it */
	struct buf answer;		/* of the import: JSON; empty after a dry run */
	struct buf receipt_answer;
};
#define TAKING_INIT ((struct taking){.answer = BUF_INIT(64u << 10), .receipt_answer = BUF_INIT(64u << 10)})
void taking_release(struct taking *t);	/* safe on TAKING_INIT and released */

/* The errors of bundle_import_read and of the request. r has just been opened, by whoever we were. */
WARN_UNUSED int taking_run(struct taking *t, struct bundle_reader *r, struct error *err);

/* A receipt of what this site holds into HOME/repo/receipt; the answer is appended. */
WARN_UNUSED int taking_receipt(struct door *door, struct buf *answer, struct error *err);

#endif
