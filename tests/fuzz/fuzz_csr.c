/* PKCS#10 requests: one that is accepted carries a key that has signed it. */
#include <stdlib.h>

#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct csr r;
	size_t i;

	if (csr_read(&r, slice_of(data, size), &err) < 0) {
		if (err.kind != ERR_MALFORMED && err.kind != ERR_REFUSED && err.kind != ERR_LIMIT)
			abort();
		return 0;
	}
	if (r.key.scheme != KEY_ECDSA_P256 || pubkey_check(&r.key, &err) < 0 || r.san_count > X509_SANS_MAX)
		abort();
	for (i = 0; i < r.san_count; i++)
		if (r.san[i].value.ptr < data || r.san[i].value.ptr + r.san[i].value.len > data + size)
			abort();
	return 0;
}
