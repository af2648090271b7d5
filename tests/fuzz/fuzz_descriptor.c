/* A descriptor that is accepted is written and read back as the same one. */
#include <stdlib.h>

#include "tuf/descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first = BUF_INIT(4 * DESCRIPTOR_SIZE_MAX), second = BUF_INIT(4 * DESCRIPTOR_SIZE_MAX);
	struct json_writer w1 = JSON_WRITER(&first), w2 = JSON_WRITER(&second);
	struct error err = ERROR_INIT;
	struct descriptor d;

	if (descriptor_parse_text(&d, slice_of(data, size), &err) == 0) {
		descriptor_put(&w1, NULL, &d);
		descriptor_release(&d);
		/* Only the ceiling may stop it: defaults that were left out are written. */
		if (descriptor_parse_text(&d, buf_slice(&first), &err) < 0 && err.kind != ERR_LIMIT)
			abort();
		if (d.kind != 0) {
			descriptor_put(&w2, NULL, &d);
			if (!slice_equal(buf_slice(&first), buf_slice(&second)))
				abort();
		}
		descriptor_release(&d);
	}
	buf_release(&first);
	buf_release(&second);
	return 0;
}
