/* What PKCS#11 brings: URIs (what parses is written and parses to the same), and public keys as tokens give them. */
#include <stdlib.h>

#include "crypto/pkcs11_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_uri(struct slice text)
{
	struct buf out = BUF_INIT(PKCS11_URI_MAX), again_out = BUF_INIT(PKCS11_URI_MAX);
	struct pkcs11_uri u, again;
	struct error err;

	if (pkcs11_uri_parse(&u, text, &err) == 0) {
		pkcs11_uri_put(&out, &u);
		/* Percent-coding may make it longer than is read; then nobody writes it. */
		if (!out.failed) {
			if (pkcs11_uri_parse(&again, buf_slice(&out), &err) < 0)
				abort();
			pkcs11_uri_put(&again_out, &again);
			if (!slice_equal(buf_slice(&out), buf_slice(&again_out)) ||
			    strcmp(u.token, again.token) != 0 || strcmp(u.object, again.object) != 0 ||
			    strcmp(u.pin_file, again.pin_file) != 0)
				abort();
		}
	}
	buf_release(&out);
	buf_release(&again_out);
}

/* The first byte is the length of the parameters, what follows them is the point. */
static void try_point(struct slice s)
{
	struct pubkey k;
	struct error err;
	size_t n;

	if (s.len == 0 || s.ptr[0] > 64 || crypto_start(&err) < 0)
		return;
	n = s.ptr[0];
	if (pkcs11_point_parse(&k, slice_sub(s, 1, n), slice_sub(s, 1 + n, s.len), &err) == 0 && pubkey_check(&k, &err) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_uri(slice_of(data, size));
	try_point(slice_of(data, size));
	return 0;
}
