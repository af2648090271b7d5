/* X.509 certificates: whatever is read stays inside its bytes and its limits. */
#include <stdlib.h>

#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const uint8_t *data, size_t size, struct slice part)
{
	if (part.len > 0 && (part.ptr < data || part.ptr + part.len > data + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct x509 c;
	size_t i;

	if (x509_read(&c, slice_of(data, size), &err) < 0)
		return 0;
	inside(data, size, c.tbs);
	inside(data, size, c.serial);
	inside(data, size, c.signature);
	inside(data, size, c.ski);
	inside(data, size, c.aki);
	for (i = 0; i < c.san_count; i++)
		inside(data, size, c.san[i].value);
	if (c.serial.len > 20 || c.not_before_s > c.not_after_s || c.key.scheme != KEY_ECDSA_P256)
		abort();
	/* Its issuer is itself or nobody we know: both roads through the checks. */
	(void)!x509_chain_check(&c, &c, X509_EKU_CLIENT, c.not_before_s, 0, &err);
	(void)!x509_host_check(&c, "host.example", &err);
	(void)!x509_host_check(&c, "::1", &err);
	return 0;
}
