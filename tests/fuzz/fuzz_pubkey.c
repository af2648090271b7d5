/* A public key that is accepted, as DER or as PEM, has exactly one encoding: the one that came in. */
#include <stdlib.h>

#include "crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	struct pubkey k, again;

	if (pubkey_from_spki(&k, slice_of(data, size), &err) == 0) {
		pubkey_put_spki(&out, &k);
		if (!slice_equal(buf_slice(&out), slice_of(data, size)))
			abort();
	}
	buf_clear(&out);
	if (pubkey_from_pem(&k, slice_of(data, size), &err) == 0) {
		pubkey_put_pem(&out, &k);
		if (out.failed || pubkey_from_pem(&again, buf_slice(&out), &err) < 0 || !pubkey_equal(&k, &again))
			abort();
		buf_clear(&out);
		pubkey_put_ssh(&out, &k, NULL);
		if (out.failed)
			abort();
	}
	buf_release(&out);
	return 0;
}
