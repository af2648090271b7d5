/* The table of session ciphers, by libsodium where nothing here is faster. */
#include "mesh/aead.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "mesh/aead_x86.h"
#include "mesh/record.h"

_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= AEAD_STATE_LEN, "the key schedule has room");

static bool gcm_available(void)
{
	return crypto_aead_aes256gcm_is_available() == 1;
}

static void gcm_init(void *state, const uint8_t key[static AEAD_KEY_LEN])
{
	crypto_aead_aes256gcm_beforenm(state, key);
}

static void gcm_seal(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	crypto_aead_aes256gcm_encrypt_detached_afternm(buf, buf + len, NULL, buf, len, NULL, 0, NULL, nonce, state);
}

static int gcm_open(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	return crypto_aead_aes256gcm_decrypt_detached_afternm(buf, NULL, buf, len, buf + len, NULL, 0, nonce, state);
}

static bool always(void)
{
	return true;
}

static void chacha_init(void *state, const uint8_t key[static AEAD_KEY_LEN])
{
	memcpy(state, key, AEAD_KEY_LEN);
}

static void chacha_seal(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(buf, buf + len, NULL, buf, len, NULL, 0, NULL, nonce, state);
}

static int chacha_open(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	return crypto_aead_chacha20poly1305_ietf_decrypt_detached(buf, NULL, buf, len, buf + len, NULL, 0, nonce, state);
}

static const struct aead_backend gcm_sodium = {"aes-256-gcm", CIPHER_AES256_GCM, gcm_available, gcm_init, gcm_seal,
					       gcm_open};
static const struct aead_backend chacha_sodium = {"chacha20-poly1305", CIPHER_CHACHA20_POLY1305, always, chacha_init,
						  chacha_seal, chacha_open};

/* Of one cipher, the fastest first. */
static const struct aead_backend *const backends[] = {&aead_x86, &gcm_sodium, &chacha_sodium};

uint8_t aead_ciphers(void)
{
	uint8_t all = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		if (backends[i]->available())
			all |= backends[i]->cipher;
	}
	return all;
}

uint8_t aead_choose(uint8_t ours, uint8_t theirs)
{
	return (ours & theirs & CIPHER_AES256_GCM) != 0 ? CIPHER_AES256_GCM : CIPHER_CHACHA20_POLY1305;
}

const struct aead_backend *aead_by_cipher(uint8_t cipher)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		if (backends[i]->cipher == cipher && backends[i]->available())
			return backends[i];
	}
	return NULL;
}

void aead_init(struct aead *a, uint8_t cipher, const uint8_t key[static AEAD_KEY_LEN])
{
	a->backend = aead_by_cipher(cipher);
	assert(a->backend != NULL);
	a->backend->init(a->state, key);
}

void aead_wipe(struct aead *a)
{
	sodium_memzero(a->state, sizeof(a->state));
	a->backend = NULL;
}
