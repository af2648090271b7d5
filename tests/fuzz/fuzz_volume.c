/* volume.json: a text that is taken is written again from what was read of it, byte for byte. */
#include <assert.h>

#include "bundle/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT(VOLUME_MAX);
	struct error err = ERROR_INIT;
	struct volume v;

	if (volume_parse(&v, slice_of(data, size), &err) < 0) {
		assert(err.kind != ERR_NONE && err.text[0] != '\0');
		return 0;
	}
	assert(v.volume >= 1 && v.volume <= v.volumes && v.volumes <= BUNDLE_VOLUMES_MAX);
	volume_put(&again, &v);
	assert(slice_equal(buf_slice(&again), slice_of(data, size)));
	buf_release(&again);
	return 0;
}
