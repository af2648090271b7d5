/*
 * A whole bundle, checked as whoever takes it checks it, but against no state of his: the roots from an anchor on, who
 * signed the manifest, the TUF workflow over its metadata, and every byte. Changes nothing.
 */
#ifndef MESHANICS_BUNDLE_VERIFY_H
#define MESHANICS_BUNDLE_VERIFY_H

#include "bundle/check.h"

struct bundle_verify {
	struct bundle_check_options check;	/* its anchor or find must give a root; look is off, any_kind on */
	void (*progress)(void *arg, uint64_t done, uint64_t total);	/* or NULL */
	void *arg;
	/* filled in */
	uint32_t artifacts;
	uint64_t artifact_bytes;
	uint32_t lacking;	/* listed and not inside: on the site's receipt, or not selected */
};

/*
 * c is BUNDLE_CHECK_INIT, and to be released also after a failure, after r. Errors as of bundle_check; those of the
 * workflow cite their clause, those of bytes name the member.
 */
WARN_UNUSED int bundle_verify(struct bundle_check *c, struct bundle_reader *r, struct bundle_verify *v, struct error *err);

#endif
