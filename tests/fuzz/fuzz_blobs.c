/* Packed files, as the supervisor reads them from a worker it does not believe. */
#include <stdlib.h>

#include "agent/blobs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tuf_blob *list = xcalloc(BLOBS_MAX, sizeof(*list));
	struct buf again = BUF_INIT(SIZE_MAX / 2);
	struct error err = ERROR_INIT;
	unsigned n, i;

	if (blobs_read(list, &n, slice_of(data, size), &err) == 0) {
		for (i = 0; i < n; i++)
			blobs_put(&again, list[i].path, list[i].bytes);
		if (!slice_equal(buf_slice(&again), slice_of(data, size)))
			abort();
	}
	buf_release(&again);
	free(list);
	return 0;
}
