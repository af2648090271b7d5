/*
 * Exporting a bundle, through the door of the box that has the repository; the bytes do not go through it:
 *
 *	POST /receipts/accepted		with a receipt: is it the site's, and the newest
 *	(plan)				what goes in
 *	POST /bundles			its number, and the head of the audit trail
 *	(sign, measure, ready)		the manifest; is there room, are the names free
 *	POST /bundles/SHA256/exported	it is in the audit trail
 *	(write)				the first byte leaves
 */
#ifndef MESHANICS_CONTROL_BUNDLES_H
#define MESHANICS_CONTROL_BUNDLES_H

#include "bundle/export.h"
#include "control/door.h"
#include "crypto/sshsig.h"

struct bundle_job {
	struct door *door;		/* borrowed; free it before bundle_write, which may take long */
	struct bundle_export what;	/* since and held are set here */
	int receipt_fd;			/* an open receipt, borrowed; -1: none */
	const char *receipt_name;	/* for errors */
	uint64_t split;			/* bytes of a volume; 0: one file */
	/* The last chance to say no; job->size, plan and manifest are known. Or NULL. */
	int (*ready)(void *arg, const struct bundle_job *job, struct error *err);
	void *arg;

	/* what came of it */
	struct receipt receipt;
	struct held held;
	struct bundle_plan plan;
	struct manifest manifest;
	struct buf signature;
	struct bundle_size size;
};
#define BUNDLE_JOB_INIT \
	((struct bundle_job){.receipt_fd = -1, .plan = BUNDLE_PLAN_INIT, .manifest = MANIFEST_INIT, \
			     .signature = BUF_INIT(SSHSIG_SIZE_MAX)})
void bundle_job_release(struct bundle_job *j);	/* safe on BUNDLE_JOB_INIT and released */

/* Everything up to the audit row; then bundle_write(&j->plan, &j->manifest, j->signature, ...). */
WARN_UNUSED int bundle_job_make(struct bundle_job *j, struct error *err);

/* A receipt that came back is the site's own and the newest, and is remembered. The answer is appended to reply. */
WARN_UNUSED int bundle_receipt_accept(struct door *door, struct slice text, struct slice signature, struct buf *reply,
				      struct error *err);

#endif
