/* The canonical form is a fixed point: read again (when it has no control characters), it comes out the same. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int canonical(struct buf *out, struct slice text)
{
	struct json doc;
	struct error err;

	if (json_parse(&doc, text, JSON_STRICT, &err) < 0)
		return -1;
	if (json_canonical(out, json_root(&doc), &err) < 0)
		abort();
	json_release(&doc);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = BUF_INIT(size), twice = BUF_INIT(size);
	size_t i;

	if (canonical(&once, slice_of(data, size)) < 0)
		goto out;
	for (i = 0; i < once.len; i++) {
		if (once.ptr[i] < 0x20)
			goto out;
	}
	if (canonical(&twice, buf_slice(&once)) < 0 || !slice_equal(buf_slice(&once), buf_slice(&twice)))
		abort();
out:
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
