/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b, after the framework's sections 5.1 to 5.3 and 9; names are its own. */
#include "mesh/noise.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "crypto/x25519.h"
#include "sys/rng.h"

#define BLAKE2B_BLOCK 128

static const char protocol_name[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b";

static void mix_hash(struct noise *n, const uint8_t *data, size_t len)
{
	crypto_generichash_blake2b_state state;

	crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_LEN);
	crypto_generichash_blake2b_update(&state, n->h, NOISE_HASH_LEN);
	if (len > 0)
		crypto_generichash_blake2b_update(&state, data, len);
	crypto_generichash_blake2b_final(&state, n->h, NOISE_HASH_LEN);
}

/* HMAC (RFC 2104) of two parts, with keys no longer than a block. */
static void hmac(uint8_t out[static NOISE_HASH_LEN], const uint8_t key[static NOISE_HASH_LEN], const uint8_t *a,
		 size_t a_len, const uint8_t *b, size_t b_len)
{
	uint8_t pad[BLAKE2B_BLOCK], inner[NOISE_HASH_LEN];
	crypto_generichash_blake2b_state state;
	size_t i;

	memset(pad, 0x36, sizeof(pad));
	for (i = 0; i < NOISE_HASH_LEN; i++)
		pad[i] ^= key[i];
	crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_LEN);
	crypto_generichash_blake2b_update(&state, pad, sizeof(pad));
	if (a_len > 0)
		crypto_generichash_blake2b_update(&state, a, a_len);
	if (b_len > 0)
		crypto_generichash_blake2b_update(&state, b, b_len);
	crypto_generichash_blake2b_final(&state, inner, sizeof(inner));
	for (i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_LEN);
	crypto_generichash_blake2b_update(&state, pad, sizeof(pad));
	crypto_generichash_blake2b_update(&state, inner, sizeof(inner));
	crypto_generichash_blake2b_final(&state, out, NOISE_HASH_LEN);
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
	sodium_memzero(&state, sizeof(state));
}

/* HKDF (section 4.3): the first `count` (2 or 3) outputs, one after the other. */
static void hkdf(uint8_t (*out)[NOISE_HASH_LEN], int count, const uint8_t ck[static NOISE_HASH_LEN],
		 const uint8_t *ikm, size_t ikm_len)
{
	uint8_t temp[NOISE_HASH_LEN];
	uint8_t i;

	hmac(temp, ck, ikm, ikm_len, NULL, 0);
	for (i = 1; i <= count; i++)
		hmac(out[i - 1], temp, i == 1 ? NULL : out[i - 2], i == 1 ? 0 : NOISE_HASH_LEN, &i, 1);
	sodium_memzero(temp, sizeof(temp));
}

static void set_key(struct noise *n, const uint8_t *k)
{
	memcpy(n->k, k, sizeof(n->k));
	n->has_key = true;
	n->n = 0;
}

static void mix_key(struct noise *n, const uint8_t ikm[static 32])
{
	uint8_t out[2][NOISE_HASH_LEN];

	hkdf(out, 2, n->ck, ikm, 32);
	memcpy(n->ck, out[0], NOISE_HASH_LEN);
	set_key(n, out[1]);
	sodium_memzero(out, sizeof(out));
}

static void mix_psk(struct noise *n)
{
	uint8_t out[3][NOISE_HASH_LEN];

	hkdf(out, 3, n->ck, n->psk, sizeof(n->psk));
	memcpy(n->ck, out[0], NOISE_HASH_LEN);
	mix_hash(n, out[1], NOISE_HASH_LEN);
	set_key(n, out[2]);
	sodium_memzero(out, sizeof(out));
}

static int mix_dh(struct noise *n, const uint8_t secret[static 32], const uint8_t public[static 32])
{
	uint8_t shared[32];
	int r = x25519_shared(shared, secret, public);

	if (r == 0)
		mix_key(n, shared);
	sodium_memzero(shared, sizeof(shared));
	return r;
}

/* Four zero bytes and the counter, little-endian (section 12.3). */
static void take_nonce(struct noise *n, uint8_t nonce[static 12])
{
	uint64_t v = n->n++;
	int i;

	memset(nonce, 0, 4);
	for (i = 4; i < 12; i++, v >>= 8)
		nonce[i] = (uint8_t)v;
}

/* Always under a key here: IK seals nothing before its first DH. */
static void encrypt_and_hash(struct noise *n, uint8_t *out, const uint8_t *in, size_t len)
{
	uint8_t nonce[12];

	assert(n->has_key);
	take_nonce(n, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(out, out + len, NULL, in, len, n->h, NOISE_HASH_LEN, NULL,
							   nonce, n->k);
	mix_hash(n, out, len + NOISE_TAG_LEN);
}

/* in: len bytes and the tag. */
static int decrypt_and_hash(struct noise *n, uint8_t *out, const uint8_t *in, size_t len)
{
	uint8_t nonce[12];

	assert(n->has_key);
	take_nonce(n, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(out, NULL, in, len, in + len, n->h, NOISE_HASH_LEN,
							       nonce, n->k) != 0)
		return -1;
	mix_hash(n, in, len + NOISE_TAG_LEN);
	return 0;
}

void noise_init(struct noise *n, bool initiator, struct slice prologue, const uint8_t static_secret[static 32],
		const uint8_t static_public[static 32], const uint8_t *remote_static, const uint8_t psk[static 32])
{
	assert(initiator == (remote_static != NULL));
	memset(n, 0, sizeof(*n));
	n->initiator = initiator;
	memcpy(n->s_secret, static_secret, 32);
	memcpy(n->s_public, static_public, 32);
	memcpy(n->psk, psk, 32);
	if (remote_static != NULL)
		memcpy(n->rs, remote_static, 32);
	_Static_assert(sizeof(protocol_name) - 1 <= NOISE_HASH_LEN, "the name is padded, not hashed");
	memcpy(n->h, protocol_name, sizeof(protocol_name) - 1);
	memcpy(n->ck, n->h, NOISE_HASH_LEN);
	mix_hash(n, prologue.ptr, prologue.len);
	mix_hash(n, initiator ? n->rs : n->s_public, 32);
}

void noise_set_ephemeral(struct noise *n, const uint8_t secret[static 32])
{
	memcpy(n->e_secret, secret, 32);
	n->has_ephemeral = true;
}

/* Token e of the writer; with a psk in the pattern the public half is mixed into the key as well (section 9.2). */
static void write_ephemeral(struct noise *n, uint8_t *out)
{
	if (!n->has_ephemeral)
		rng_bytes(n->e_secret, sizeof(n->e_secret));
	n->has_ephemeral = false;
	x25519_public(n->e_public, n->e_secret);
	memcpy(out, n->e_public, 32);
	mix_hash(n, n->e_public, 32);
	mix_key(n, n->e_public);
}

static void read_ephemeral(struct noise *n, const uint8_t *in)
{
	memcpy(n->re, in, 32);
	mix_hash(n, n->re, 32);
	mix_key(n, n->re);
}

/* -> e, es, s, ss */
static int write_1(struct noise *n, struct slice payload, uint8_t *out)
{
	write_ephemeral(n, out);
	if (mix_dh(n, n->e_secret, n->rs) < 0)
		return -1;
	encrypt_and_hash(n, out + 32, n->s_public, 32);
	if (mix_dh(n, n->s_secret, n->rs) < 0)
		return -1;
	encrypt_and_hash(n, out + 80, payload.ptr, payload.len);
	return 0;
}

static int read_1(struct noise *n, struct slice m, uint8_t *out)
{
	read_ephemeral(n, m.ptr);
	if (mix_dh(n, n->s_secret, n->re) < 0 || decrypt_and_hash(n, n->rs, m.ptr + 32, 32) < 0 ||
	    mix_dh(n, n->s_secret, n->rs) < 0)
		return -1;
	return decrypt_and_hash(n, out, m.ptr + 80, m.len - NOISE_MESSAGE_1_LEN);
}

/* <- e, ee, se, psk */
static int write_2(struct noise *n, struct slice payload, uint8_t *out)
{
	write_ephemeral(n, out);
	if (mix_dh(n, n->e_secret, n->re) < 0 || mix_dh(n, n->e_secret, n->rs) < 0)
		return -1;
	mix_psk(n);
	encrypt_and_hash(n, out + 32, payload.ptr, payload.len);
	return 0;
}

static int read_2(struct noise *n, struct slice m, uint8_t *out)
{
	read_ephemeral(n, m.ptr);
	if (mix_dh(n, n->e_secret, n->re) < 0 || mix_dh(n, n->s_secret, n->re) < 0)
		return -1;
	mix_psk(n);
	return decrypt_and_hash(n, out, m.ptr + 32, m.len - NOISE_MESSAGE_2_LEN);
}

static int fail(struct noise *n)
{
	noise_wipe(n);
	n->stage = NOISE_FAILED;
	return -1;
}

int noise_write(struct noise *n, struct slice payload, uint8_t *out, size_t room, size_t *len)
{
	bool first = n->initiator && n->stage == NOISE_START;
	size_t around = first ? NOISE_MESSAGE_1_LEN : NOISE_MESSAGE_2_LEN;

	if (!first && (n->initiator || n->stage != NOISE_RECEIVED))
		return fail(n);
	if (payload.len > NOISE_MESSAGE_MAX - around || room < payload.len + around)
		return fail(n);
	if ((first ? write_1 : write_2)(n, payload, out) < 0)
		return fail(n);
	*len = payload.len + around;
	n->stage = first ? NOISE_SENT : NOISE_DONE;
	return 0;
}

int noise_read(struct noise *n, struct slice message, uint8_t *out, size_t room, size_t *len)
{
	bool first = !n->initiator && n->stage == NOISE_START;
	size_t around = first ? NOISE_MESSAGE_1_LEN : NOISE_MESSAGE_2_LEN;

	if (!first && (!n->initiator || n->stage != NOISE_SENT))
		return fail(n);
	if (message.len < around || message.len > NOISE_MESSAGE_MAX || room < message.len - around)
		return fail(n);
	if ((first ? read_1 : read_2)(n, message, out) < 0) {
		sodium_memzero(out, message.len - around);
		return fail(n);
	}
	*len = message.len - around;
	n->stage = first ? NOISE_RECEIVED : NOISE_DONE;
	return 0;
}

void noise_split(struct noise *n, uint8_t send[static 32], uint8_t receive[static 32])
{
	uint8_t out[2][NOISE_HASH_LEN];

	assert(n->stage == NOISE_DONE);
	hkdf(out, 2, n->ck, NULL, 0);
	memcpy(send, out[n->initiator ? 0 : 1], 32);
	memcpy(receive, out[n->initiator ? 1 : 0], 32);
	sodium_memzero(out, sizeof(out));
	noise_wipe(n);
	n->stage = NOISE_SPENT;
}

void noise_wipe(struct noise *n)
{
	sodium_memzero(n, sizeof(*n));
	n->stage = NOISE_FAILED;
}
