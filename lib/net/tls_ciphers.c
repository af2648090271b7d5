/*
 * The ciphers of a connection, and the function that TLS derives its secrets by. BearSSL finds the fastest ciphers by asking
 * the processor, several times for each engine; under a hypervisor each question is a trap. So it is asked once.
 */
#include <pthread.h>

#include "crypto/hash_class.h"
#include "net/tls_internal.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static br_ssl_engine_context found;	/* of no connection: only its choice of ciphers is read */

static void find(void)
{
	br_ssl_engine_set_default_aes_gcm(&found);
	br_ssl_engine_set_default_chapol(&found);
}

struct prf {
	br_hmac_key_context key;
	const char *label;
	size_t seed_num;
	const br_tls_prf_seed_chunk *seed;
};

/* out = HMAC(a, then label and seed where they belong); a may be out, and NULL for nothing. */
static void prf_step(const struct prf *p, uint8_t out[static br_sha256_SIZE], const uint8_t *a, bool seeded)
{
	br_hmac_context h;
	size_t i;

	br_hmac_init(&h, &p->key, 0);
	if (a != NULL)
		br_hmac_update(&h, a, br_sha256_SIZE);
	if (seeded) {
		br_hmac_update(&h, p->label, strlen(p->label));
		for (i = 0; i < p->seed_num; i++)
			br_hmac_update(&h, p->seed[i].data, p->seed[i].len);
	}
	br_hmac_out(&h, out);
	explicit_bzero(&h, sizeof(h));
}

/* The PRF of TLS 1.2 (RFC 5246 section 5) as br_tls12_sha256_prf is, on our SHA-256. */
void tls_prf_sha256(void *dst, size_t len, const void *secret, size_t secret_len, const char *label, size_t seed_num,
		    const br_tls_prf_seed_chunk *seed)
{
	struct prf p = {.label = label, .seed_num = seed_num, .seed = seed};
	uint8_t a[br_sha256_SIZE], part[br_sha256_SIZE], *out = dst;

	br_hmac_key_init(&p.key, &sha256_class, secret, secret_len);
	prf_step(&p, a, NULL, true);
	while (len > 0) {
		size_t take = len < sizeof(part) ? len : sizeof(part);

		prf_step(&p, part, a, true);
		memcpy(out, part, take);
		out += take;
		len -= take;
		prf_step(&p, a, a, false);
	}
	explicit_bzero(&p, sizeof(p));
	explicit_bzero(a, sizeof(a));
	explicit_bzero(part, sizeof(part));
}

void tls_ciphers_set(br_ssl_engine_context *eng)
{
	pthread_once(&once, find);
	br_ssl_engine_set_gcm(eng, found.igcm_in, found.igcm_out);
	br_ssl_engine_set_aes_ctr(eng, found.iaes_ctr);
	br_ssl_engine_set_ghash(eng, found.ighash);
	br_ssl_engine_set_chapol(eng, found.ichapol_in, found.ichapol_out);
	br_ssl_engine_set_chacha20(eng, found.ichacha);
	br_ssl_engine_set_poly1305(eng, found.ipoly);
	br_ssl_engine_set_prf_sha256(eng, tls_prf_sha256);
	br_ssl_engine_set_prf_sha384(eng, br_tls12_sha384_prf);
}
