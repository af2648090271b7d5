/* Hardware profiles from devices: what is kept of one is kept of itself unchanged. */
#include <assert.h>

#include "fleet/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf kept = BUF_INIT(DEVICE_PROFILE_MAX);
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT, again = JSON_INIT;

	if (json_parse(&doc, slice_of(data, size), JSON_FRACTIONS, &err) == 0 &&
	    device_profile_normalize(json_root(&doc), &kept, &err) == 0) {
		assert(json_parse(&again, buf_slice(&kept), JSON_STRICT, &err) == 0);
		assert(json_type(json_root(&again)) == JSON_OBJECT);
	}
	json_release(&doc);
	json_release(&again);
	buf_release(&kept);
	return 0;
}
