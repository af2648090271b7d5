/* AES-256-GCM by VAES says what libsodium's says, at every length, and opens nothing that was touched. */
#include "mesh/aead_x86.h"

#include <sodium.h>

#include "tap.h"

static uint8_t state[AEAD_STATE_LEN] __attribute__((aligned(64)));
static crypto_aead_aes256gcm_state theirs;
static uint8_t key[32], nonce[12], plain[5000], ours_out[5016], theirs_out[5016];

static void start(void)
{
	if (sodium_init() < 0 || !aead_x86.available() || !crypto_aead_aes256gcm_is_available())
		SKIP("no VAES");
}

static void fresh(size_t len)
{
	randombytes_buf(key, sizeof(key));
	randombytes_buf(nonce, sizeof(nonce));
	randombytes_buf(plain, len);
	aead_x86.init(state, key);
	crypto_aead_aes256gcm_beforenm(&theirs, key);
}

TEST(every_length_seals_as_libsodium_does)
{
	start();
	for (size_t len = 0; len <= 2100; len++) {
		fresh(len);
		memcpy(ours_out, plain, len);
		aead_x86.seal(state, nonce, ours_out, len);
		crypto_aead_aes256gcm_encrypt_detached_afternm(theirs_out, theirs_out + len, NULL, plain, len, NULL, 0, NULL, nonce,
							       &theirs);
		CHECK(memcmp(ours_out, theirs_out, len + 16) == 0);
		CHECK(aead_x86.open(state, nonce, theirs_out, len) == 0);
		CHECK(memcmp(theirs_out, plain, len) == 0);
		if (tap_failures > 0) {
			printf("# at length %zu\n", len);
			return;
		}
	}
}

TEST(unaligned_and_long_ones_too)
{
	start();
	for (size_t i = 0; i < 500; i++) {
		size_t len = 3000 + i * 3, off = i % 16;

		fresh(len);
		memcpy(ours_out + off, plain, len);
		aead_x86.seal(state, nonce, ours_out + off, len);
		crypto_aead_aes256gcm_encrypt_detached_afternm(theirs_out, theirs_out + len, NULL, plain, len, NULL, 0, NULL, nonce,
							       &theirs);
		CHECK(memcmp(ours_out + off, theirs_out, len + 16) == 0);
	}
}

TEST(what_was_touched_does_not_open)
{
	start();
	for (size_t len = 0; len < 600; len++) {
		size_t bit;

		fresh(len);
		memcpy(ours_out, plain, len);
		aead_x86.seal(state, nonce, ours_out, len);
		bit = randombytes_uniform((uint32_t)(len + 16) * 8);
		ours_out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(aead_x86.open(state, nonce, ours_out, len) != 0);
	}
	/* A block more of zeros is another message. */
	fresh(32);
	memset(ours_out, 0, 48);
	aead_x86.seal(state, nonce, ours_out, 16);
	memmove(ours_out + 32, ours_out + 16, 16);
	memset(ours_out + 16, 0, 16);
	CHECK(aead_x86.open(state, nonce, ours_out, 32) != 0);
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14. */
TEST(published_vectors_hold)
{
	static const uint8_t empty[16] = {0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9, 0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b};
	static const uint8_t one[32] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
					0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
	uint8_t buf[32] = {0};

	start();
	memset(key, 0, sizeof(key));
	memset(nonce, 0, sizeof(nonce));
	aead_x86.init(state, key);
	aead_x86.seal(state, nonce, buf, 0);
	CHECK(memcmp(buf, empty, 16) == 0);
	memset(buf, 0, 16);
	aead_x86.seal(state, nonce, buf, 16);
	CHECK(memcmp(buf, one, 32) == 0);
}
