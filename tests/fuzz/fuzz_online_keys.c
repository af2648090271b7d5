/* Online keys that are accepted come back as the same text. */
#include <stdlib.h>

#include "tuf/repo_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first = BUF_INIT(1u << 22), second = BUF_INIT(1u << 22);
	struct error err = ERROR_INIT;
	struct online_keys k;

	if (crypto_start(&err) < 0)
		abort();
	if (online_keys_parse(&k, slice_of(data, size), &err) == 0) {
		online_keys_put(&first, &k);
		online_keys_release(&k);
		/* Written with indentation it may be larger than what may be read. */
		if (online_keys_parse(&k, buf_slice(&first), &err) < 0 && err.kind != ERR_LIMIT)
			abort();
		if (k.site[0] != '\0') {
			online_keys_put(&second, &k);
			if (!slice_equal(buf_slice(&first), buf_slice(&second)))
				abort();
		}
		online_keys_release(&k);
	}
	buf_release(&first);
	buf_release(&second);
	return 0;
}
