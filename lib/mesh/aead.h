/*
 * Ciphers of a session: one table, sealing and opening in place, 12-byte nonces, 16-byte tags, no associated data.
 * Both sides say what their processors are good at, and the handshake picks; see session.h.
 */
#ifndef MESHANICS_MESH_AEAD_H
#define MESHANICS_MESH_AEAD_H

#include <stdalign.h>
#include <stdbool.h>

#include "base/compiler.h"

#define AEAD_KEY_LEN 32
#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN 16
#define AEAD_STATE_LEN 832

struct aead_backend;

/* A key ready for use. Constant after aead_init: several threads may use one. */
struct aead {
	alignas(64) uint8_t state[AEAD_STATE_LEN];
	const struct aead_backend *backend;
};

struct aead_backend {
	const char *name;	/* "aes-256-gcm", "chacha20-poly1305" */
	uint8_t cipher;		/* CIPHER_* of record.h */
	bool (*available)(void);
	void (*init)(void *state, const uint8_t key[static AEAD_KEY_LEN]);
	/* buf: len bytes, then room for the tag. */
	void (*seal)(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len);
	/* buf: len bytes and the tag, which is used up. -1 when it does not hold; buf is then undefined. */
	int (*open)(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len);
};

/* The CIPHER_* bits that are fast here; CIPHER_CHACHA20_POLY1305 is always among them. After crypto_start. */
uint8_t aead_ciphers(void);
/* The best cipher that both have said: AES-256-GCM, else ChaCha20-Poly1305. */
uint8_t aead_choose(uint8_t ours, uint8_t theirs);
/* NULL for a cipher that is unknown, or not available here. */
const struct aead_backend *aead_by_cipher(uint8_t cipher);
/* cipher: one bit, available (asserted). */
void aead_init(struct aead *a, uint8_t cipher, const uint8_t key[static AEAD_KEY_LEN]);
void aead_wipe(struct aead *a);

static inline void aead_seal(const struct aead *a, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	a->backend->seal(a->state, nonce, buf, len);
}

WARN_UNUSED static inline int aead_open(const struct aead *a, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf,
					size_t len)
{
	return a->backend->open(a->state, nonce, buf, len);
}

#endif
