/* SSH signatures, armored as they come and with the armor put around them; and ECDSA and Ed25519 bare. */
#include <stdlib.h>

#include "crypto/pem.h"
#include "crypto/sshsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pems[] = {
	"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAdBpAufdIhdGAXxDLU5YkS1JEnfIrk6fM4ESJdaYDeOs=\n"
	"-----END PUBLIC KEY-----\n",
	"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEd2B/PyPCv8UJb8QRI7ZTgc9gX58V\n"
	"M0C9WUkJc4LyG8OnL/NOxN/gwk7LKegCXhSP2s2DDjgOgvrwr6ReKLysmg==\n-----END PUBLIC KEY-----\n",
};

/* No signature in the corpus is over a hash of zeros, so that every yes is a mistake. */
static void refuse(const struct pubkey *k, struct slice armored)
{
	static const uint8_t hash[SHA512_LEN];
	struct error err = ERROR_INIT;
	int bits;

	(void)!sshsig_hash_bits(armored, &bits, &err);
	if (sshsig_verify_sha256(k, "meshanics-artifact", hash, armored, &err) == 0 ||
	    sshsig_verify_sha512(k, "meshanics-artifact", hash, armored, &err) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf armored = BUF_INIT(SSHSIG_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct pubkey k;
	size_t i;

	pem_put(&armored, "SSH SIGNATURE", slice_of(data, size));
	for (i = 0; i < ARRAY_SIZE(pems); i++) {
		if (crypto_start(&err) < 0 || pubkey_from_pem(&k, slice_str(pems[i]), &err) < 0)
			abort();
		refuse(&k, slice_of(data, size));
		refuse(&k, buf_slice(&armored));
		if (pubkey_verify(&k, SLICE_LIT("never signed"), slice_of(data, size), &err) == 0)
			abort();
	}
	buf_release(&armored);
	return 0;
}
