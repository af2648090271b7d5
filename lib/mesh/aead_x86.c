/*
 * AES-256-GCM (NIST SP 800-38D) with VAES and VPCLMULQDQ: two blocks in each instruction, sixteen in flight, and one
 * reduction for the sixteen. No table is looked up and no branch taken by what is secret.
 *
 * GHASH numbers its bits the other way round than the instruction does. Blocks are therefore reversed byte by byte and the
 * key H is multiplied by x beforehand; the product of the reflected operands is then the reflected product.
 */
#include "mesh/aead_x86.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "mesh/record.h"

#define VAES __attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))
#define INLINE VAES static inline __attribute__((always_inline))

/* Loops over registers: written out, or what should be registers is memory. */
#define EIGHT_TIMES _Pragma("GCC unroll 8")

#define ROUNDS 14
#define CHUNK 16		/* blocks between two reductions */
#define POWERS (CHUNK + 1)	/* a tail is up to 16 blocks and that of the lengths */

/* Powers descend: power[i] is H^(POWERS - i), so that n blocks begin at power + POWERS - n. */
struct gcm {
	__m128i round[ROUNDS + 1];
	__m128i power[POWERS];
};

_Static_assert(sizeof(struct gcm) <= AEAD_STATE_LEN, "the state has room");

/* A product of many terms before it is reduced: low, both crosswise, high. */
struct sum {
	__m256i low, middle, high;
};

/* OSXSAVE and AVX: the kernel keeps the wide registers. */
static bool works(void)
{
	const unsigned first = bit_AES | bit_PCLMUL | bit_SSSE3 | bit_OSXSAVE | bit_AVX, last = bit_VAES | bit_VPCLMULQDQ;
	unsigned a, b, c, d, low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & first) != first)
		return false;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bit_AVX2) == 0 || (c & last) != last)
		return false;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & 6) == 6;
}

INLINE __m128i load(const void *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

INLINE __m256i load2(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

INLINE __m128i reversed(__m128i x)
{
	return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

INLINE __m256i reversed2(__m256i x)
{
	return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
										14, 15)));
}

/* ---- GHASH ---- */

INLINE void add_product(struct sum *s, __m256i x, __m256i h)
{
	__m256i cross = _mm256_xor_si256(_mm256_clmulepi64_epi128(x, h, 0x01), _mm256_clmulepi64_epi128(x, h, 0x10));

	s->low = _mm256_xor_si256(s->low, _mm256_clmulepi64_epi128(x, h, 0x00));
	s->middle = _mm256_xor_si256(s->middle, cross);
	s->high = _mm256_xor_si256(s->high, _mm256_clmulepi64_epi128(x, h, 0x11));
}

/* Modulo x^128 + x^127 + x^126 + x^121 + 1, which is the polynomial of GCM reflected: 64 bits at a time, twice; then both lanes. */
INLINE __m128i reduce(const struct sum *s)
{
	const __m256i poly = _mm256_set1_epi64x((long long)0xc200000000000000);
	__m256i middle = _mm256_xor_si256(s->middle, _mm256_shuffle_epi32(s->low, 0x4e)), high;

	middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128(poly, s->low, 0x00));
	high = _mm256_xor_si256(s->high, _mm256_shuffle_epi32(middle, 0x4e));
	high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128(poly, middle, 0x00));
	return _mm_xor_si128(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}

INLINE struct sum nothing(void)
{
	return (struct sum){_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
}

/* The sum of two halves of a register each stands for one block; a single one has an empty upper half. */
INLINE __m256i single(__m128i x)
{
	return _mm256_inserti128_si256(_mm256_setzero_si256(), x, 0);
}

VAES static __m128i multiply(__m128i x, __m128i h)
{
	struct sum s = nothing();

	add_product(&s, single(x), single(h));
	return reduce(&s);
}

/* The hash goes on over n pairs of blocks (all of one chunk), whose first power is at h. */
INLINE void hash_pairs(struct sum *s, __m128i *hash, const uint8_t *p, const __m128i *h, size_t n)
{
	EIGHT_TIMES
	for (size_t i = 0; i < n; i++) {
		__m256i x = reversed2(load2(p + i * 32));

		if (i == 0)
			x = _mm256_xor_si256(x, single(*hash));
		add_product(s, x, load2(h + i * 2));
	}
}

/* ---- AES ---- */

/* The next 16 bytes of the key schedule: of the even kind (rotated, with a constant) or the odd. */
INLINE __m128i expand(__m128i before, __m128i assist)
{
	before = _mm_xor_si128(before, _mm_slli_si128(before, 4));
	before = _mm_xor_si128(before, _mm_slli_si128(before, 8));
	return _mm_xor_si128(before, assist);
}

#define EXPAND(i, constant) \
	do { \
		k[i] = expand(k[(i) - 2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128(k[(i) - 1], constant), 0xff)); \
		if ((i) < ROUNDS) \
			k[(i) + 1] = expand(k[(i) - 1], _mm_shuffle_epi32(_mm_aeskeygenassist_si128(k[i], 0), 0xaa)); \
	} while (0)

VAES static void expand_key(__m128i *k, const uint8_t *key)
{
	k[0] = load(key);
	k[1] = load(key + 16);
	EXPAND(2, 0x01);
	EXPAND(4, 0x02);
	EXPAND(6, 0x04);
	EXPAND(8, 0x08);
	EXPAND(10, 0x10);
	EXPAND(12, 0x20);
	EXPAND(14, 0x40);
}

VAES static __m128i encrypt_block(const struct gcm *g, __m128i x)
{
	x = _mm_xor_si128(x, g->round[0]);
	for (int i = 1; i < ROUNDS; i++)
		x = _mm_aesenc_si128(x, g->round[i]);
	return _mm_aesenclast_si128(x, g->round[ROUNDS]);
}

/* n (<= 8) pairs of key stream from the counter on, which moves; the counter is reversed, so that adding is simple. */
INLINE void key_stream(const struct gcm *g, __m256i *counter, __m256i *out, size_t n)
{
	const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
	__m256i k = _mm256_broadcastsi128_si256(g->round[0]);

	EIGHT_TIMES
	for (size_t i = 0; i < n; i++) {
		out[i] = _mm256_xor_si256(reversed2(*counter), k);
		*counter = _mm256_add_epi32(*counter, two);
	}
	for (int r = 1; r < ROUNDS; r++) {
		k = _mm256_broadcastsi128_si256(g->round[r]);
		EIGHT_TIMES
		for (size_t i = 0; i < n; i++)
			out[i] = _mm256_aesenc_epi128(out[i], k);
	}
	k = _mm256_broadcastsi128_si256(g->round[ROUNDS]);
	EIGHT_TIMES
	for (size_t i = 0; i < n; i++)
		out[i] = _mm256_aesenclast_epi128(out[i], k);
}

INLINE void mix(const __m256i *stream, uint8_t *p, size_t n)
{
	EIGHT_TIMES
	for (size_t i = 0; i < n; i++)
		_mm256_storeu_si256((__m256i *)(void *)(p + i * 32), _mm256_xor_si256(stream[i], load2(p + i * 32)));
}

/* ---- GCM ---- */

VAES static void gcm_init(void *state, const uint8_t key[static AEAD_KEY_LEN])
{
	const __m128i carries = _mm_set_epi64x((long long)0xc200000000000001, 1);
	struct gcm *g = state;
	__m128i h, over;

	expand_key(g->round, key);
	h = reversed(encrypt_block(g, _mm_setzero_si128()));
	/* Times x: shifted by one, the bit that falls out folded in again. */
	over = _mm_and_si128(_mm_srai_epi32(_mm_shuffle_epi32(h, 0xd3), 31), carries);
	h = _mm_xor_si128(_mm_add_epi64(h, h), over);
	g->power[POWERS - 1] = h;
	for (int i = POWERS - 2; i >= 0; i--)
		g->power[i] = multiply(g->power[i + 1], h);
}

/* What is left after the chunks: at most 16 blocks, the last of which may be short, in a room of 16. */
INLINE void tail_stream(const struct gcm *g, __m256i *counter, uint8_t *room, size_t blocks)
{
	__m256i stream[8];

	if (blocks > 8) {
		key_stream(g, counter, stream, 8);
		mix(stream, room, 8);
	} else if (blocks > 4) {
		key_stream(g, counter, stream, 4);
		mix(stream, room, 4);
	} else {
		key_stream(g, counter, stream, 2);
		mix(stream, room, 2);
	}
}

/* The hash over the last `blocks` blocks in room, zero-padded there, and over the lengths. */
INLINE __m128i tail_hash(const struct gcm *g, __m128i hash, const uint8_t *room, size_t blocks, size_t len)
{
	const __m128i *h = g->power + POWERS - (blocks + 1);
	__m128i lengths = _mm_set_epi64x(0, (long long)(len * 8));
	struct sum s = nothing();
	size_t i = 0;

	for (; i + 2 <= blocks; i += 2) {
		__m256i x = reversed2(load2(room + i * 16));

		if (i == 0)
			x = _mm256_xor_si256(x, single(hash));
		add_product(&s, x, load2(h + i));
	}
	if (i < blocks) {
		__m128i x = reversed(load(room + i * 16));

		if (i == 0)
			x = _mm_xor_si128(x, hash);
		add_product(&s, _mm256_inserti128_si256(single(x), lengths, 1), load2(h + i));
	} else {
		if (i == 0)
			lengths = _mm_xor_si128(lengths, hash);
		add_product(&s, single(lengths), single(h[i]));
	}
	return reduce(&s);
}

/* The counter of the first two blocks of text, reversed: 2 and 3. */
INLINE __m256i first_counter(const uint8_t *nonce, __m128i *one)
{
	uint8_t block[16];

	memcpy(block, nonce, AEAD_NONCE_LEN);
	memset(block + AEAD_NONCE_LEN, 0, 4);
	*one = _mm_add_epi32(reversed(load(block)), _mm_set_epi32(0, 0, 0, 1));
	return _mm256_add_epi32(_mm256_broadcastsi128_si256(*one), _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 1));
}

/* Encrypt or decrypt buf and return the tag of its ciphertext. */
INLINE __m128i gcm(const struct gcm *g, const uint8_t *nonce, uint8_t *buf, size_t len, bool decrypt)
{
	__m128i hash = _mm_setzero_si128(), one;
	__m256i counter = first_counter(nonce, &one), stream[8];
	size_t left = len, blocks;
	uint8_t room[CHUNK * 16];

	for (; left >= CHUNK * 16; left -= CHUNK * 16, buf += CHUNK * 16) {
		struct sum s = nothing();

		key_stream(g, &counter, stream, 8);
		if (decrypt)
			hash_pairs(&s, &hash, buf, g->power + POWERS - CHUNK, 8);
		mix(stream, buf, 8);
		if (!decrypt)
			hash_pairs(&s, &hash, buf, g->power + POWERS - CHUNK, 8);
		hash = reduce(&s);
	}
	blocks = (left + 15) / 16;
	if (left > 0) {
		memset(room, 0, sizeof(room));
		memcpy(room, buf, left);
		if (decrypt)
			hash = tail_hash(g, hash, room, blocks, len);
		tail_stream(g, &counter, room, blocks);
		memcpy(buf, room, left);
		if (!decrypt) {
			memset(room + left, 0, blocks * 16 - left);
			hash = tail_hash(g, hash, room, blocks, len);
		}
	} else {
		hash = tail_hash(g, hash, room, 0, len);
	}
	return _mm_xor_si128(reversed(hash), encrypt_block(g, reversed(one)));
}

VAES static void gcm_seal(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	__m128i tag = gcm(state, nonce, buf, len, false);

	_mm_storeu_si128((__m128i *)(void *)(buf + len), tag);
}

VAES static int gcm_open(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	__m128i wrong = _mm_xor_si128(gcm(state, nonce, buf, len, true), load(buf + len));

	return _mm_testz_si128(wrong, wrong) ? 0 : -1;
}

const struct aead_backend aead_x86 = {"aes-256-gcm by VAES", CIPHER_AES256_GCM, works, gcm_init, gcm_seal, gcm_open};

#else

static bool works(void)
{
	return false;
}

const struct aead_backend aead_x86 = {.name = "aes-256-gcm by VAES", .available = works};

#endif
