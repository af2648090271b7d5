/*
 * AES-256-GCM (NIST SP 800-38D) with VAES and VPCLMULQDQ: two blocks in each instruction, sixteen in flight, and one
 * reduction for the sixteen. No table is looked up and no branch taken by what is secret.
 *
 * GHASH numbers its bits the other way round than the instruction does. Blocks are therefore reversed byte by byte
 * and the key H is multiplied by x beforehand; the product of the reflected operands is then the reflected product.
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

/* Else gcc gathers the terms first, in memory, and adds them up in the end. */
#define IN_REGISTERS(s) __asm__("" : "+x"((s)->low), "+x"((s)->folded), "+x"((s)->high))

#define ROUNDS 14
#define CHUNK 16		/* blocks between two reductions */
#define CHUNK_LEN ((size_t)CHUNK * 16)
#define POWERS (CHUNK + 1)	/* a tail is up to 16 blocks and that of the lengths */

/*
 * Powers descend: power[i] is H^(POWERS - i), so that n blocks begin at power + POWERS - n. folded[i] has the sum of
 * the halves of power[i] in its lower half.
 */
struct gcm {
	__m128i round[ROUNDS + 1];
	__m128i power[POWERS + 1];	/* one more, so that two can be read from the last */
	__m128i folded[POWERS + 1];
};

_Static_assert(sizeof(struct gcm) <= AEAD_STATE_LEN, "the state has room");

/*
 * A product of many terms before it is reduced, by Karatsuba: low and high halves, and the product of their sums, out of
 * which the crosswise ones come: three multiplications in place of four.
 */
struct sum {
	__m256i low, folded, high;
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

INLINE __m256i fold(__m256i x)
{
	return _mm256_xor_si256(x, _mm256_shuffle_epi32(x, 0x4e));
}

/* Two blocks by the two powers from h on. */
INLINE void add_product(struct sum *s, __m256i x, const __m128i *power, const __m128i *folded)
{
	__m256i h = load2(power);

	s->low = _mm256_xor_si256(s->low, _mm256_clmulepi64_epi128(x, h, 0x00));
	s->high = _mm256_xor_si256(s->high, _mm256_clmulepi64_epi128(x, h, 0x11));
	s->folded = _mm256_xor_si256(s->folded, _mm256_clmulepi64_epi128(fold(x), load2(folded), 0x00));
	IN_REGISTERS(s);
}

/*
 * Modulo x^128 + x^127 + x^126 + x^121 + 1, which is the polynomial of GCM reflected: 64 bits at a time, twice;
 * then both lanes.
 */
INLINE __m128i reduce(const struct sum *s)
{
	const __m256i poly = _mm256_set1_epi64x((long long)0xc200000000000000);
	__m256i middle = _mm256_xor_si256(s->folded, _mm256_xor_si256(s->low, s->high)), high;

	middle = _mm256_xor_si256(middle, _mm256_shuffle_epi32(s->low, 0x4e));
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

VAES static __m128i times(__m128i x, __m128i h)
{
	const __m128i powers[2] = {h}, folded[2] = {_mm_xor_si128(h, _mm_shuffle_epi32(h, 0x4e))};
	struct sum s = nothing();

	add_product(&s, single(x), powers, folded);
	return reduce(&s);
}

/* One pair of a chunk's blocks; the hash so far goes into the first. */
INLINE void hash_pair(struct sum *s, __m128i hash, const uint8_t *p, const struct gcm *g, size_t i)
{
	__m256i x = reversed2(load2(p + i * 32));

	if (i == 0)
		x = _mm256_xor_si256(x, single(hash));
	add_product(s, x, g->power + POWERS - CHUNK + i * 2, g->folded + POWERS - CHUNK + i * 2);
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

/* The counter is reversed, so that adding is simple. */
INLINE void start_stream(const struct gcm *g, __m256i *counter, __m256i *out, size_t n)
{
	const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
	__m256i k = _mm256_broadcastsi128_si256(g->round[0]);

	EIGHT_TIMES
	for (size_t i = 0; i < n; i++) {
		out[i] = _mm256_xor_si256(reversed2(*counter), k);
		*counter = _mm256_add_epi32(*counter, two);
	}
}

INLINE void one_round(const struct gcm *g, __m256i *out, size_t n, int r)
{
	__m256i k = _mm256_broadcastsi128_si256(g->round[r]);

	EIGHT_TIMES
	for (size_t i = 0; i < n; i++)
		out[i] = _mm256_aesenc_epi128(out[i], k);
}

INLINE void end_stream(const struct gcm *g, __m256i *out, size_t n)
{
	__m256i k = _mm256_broadcastsi128_si256(g->round[ROUNDS]);

	EIGHT_TIMES
	for (size_t i = 0; i < n; i++)
		out[i] = _mm256_aesenclast_epi128(out[i], k);
}

/* n (<= 8) pairs of key stream from the counter on, which moves. */
INLINE void key_stream(const struct gcm *g, __m256i *counter, __m256i *out, size_t n)
{
	start_stream(g, counter, out, n);
	for (int r = 1; r < ROUNDS; r++)
		one_round(g, out, n, r);
	end_stream(g, out, n);
}

/* Key stream for a chunk, and the hash over the one at p in the shadow of it: both wait for themselves alone. */
INLINE __m128i stream_and_hash(const struct gcm *g, __m256i *counter, __m256i *out, __m128i hash, const uint8_t *p)
{
	struct sum s = nothing();

	start_stream(g, counter, out, 8);
	EIGHT_TIMES
	for (int r = 1; r <= 8; r++) {
		one_round(g, out, 8, r);
		hash_pair(&s, hash, p, g, (size_t)r - 1);
	}
	EIGHT_TIMES
	for (int r = 9; r < ROUNDS; r++)
		one_round(g, out, 8, r);
	end_stream(g, out, 8);
	return reduce(&s);
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
	for (int i = POWERS - 1; i >= 0; i--) {
		g->power[i] = i == POWERS - 1 ? h : times(g->power[i + 1], h);
		g->folded[i] = _mm_xor_si128(g->power[i], _mm_shuffle_epi32(g->power[i], 0x4e));
	}
}

/* A mask for the first n (1..32) bytes. */
INLINE __m256i first(size_t n)
{
	static const uint8_t ones[64] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	};

	return load2(ones + 32 - n);
}

/*
 * The last n (1..31) bytes. Of them and the room for the tag behind them whole blocks are read and written: what is
 * not of the text is masked out of the hash, and nobody needs the tag there any more, or yet.
 */
INLINE __m256i last_bytes(uint8_t *p, __m256i stream, size_t n, bool decrypt)
{
	__m256i x = n > 16 ? load2(p) : single(load(p)), y = _mm256_xor_si256(x, stream);

	if (n > 16)
		_mm256_storeu_si256((__m256i *)(void *)p, y);
	else
		_mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(y));
	return _mm256_and_si256(decrypt ? x : y, first(n));
}

/* What is left after the chunks, less than one, and the lengths. */
INLINE __m128i tail(const struct gcm *g, __m256i *counter, __m128i hash, uint8_t *p, size_t left, size_t len, bool decrypt)
{
	size_t pairs = left / 32, rest = left % 32, blocks = (left + 15) / 16, h = POWERS - (blocks + 1);
	__m256i stream[8], x, before = single(hash), ends = single(_mm_set_epi64x(0, (long long)(len * 8)));
	struct sum s = nothing();

	if (left > 128)
		key_stream(g, counter, stream, 8);
	else if (left > 0)
		key_stream(g, counter, stream, 4);
	for (size_t i = 0; i < pairs; i++, h += 2) {
		__m256i text = load2(p + i * 32), mixed = _mm256_xor_si256(text, stream[i]);

		_mm256_storeu_si256((__m256i *)(void *)(p + i * 32), mixed);
		x = _mm256_xor_si256(reversed2(decrypt ? text : mixed), before);
		before = _mm256_setzero_si256();
		add_product(&s, x, g->power + h, g->folded + h);
	}
	if (rest > 0) {
		x = _mm256_xor_si256(reversed2(last_bytes(p + pairs * 32, stream[pairs], rest, decrypt)), before);
		before = _mm256_setzero_si256();
		/* A single block leaves room for that of the lengths. */
		if (rest <= 16)
			ends = _mm256_permute2x128_si256(x, ends, 0x20);
		else
			add_product(&s, x, g->power + h, g->folded + h);
		h += rest <= 16 ? 0 : 2;
	}
	ends = _mm256_xor_si256(ends, before);
	add_product(&s, ends, g->power + h, g->folded + h);
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

INLINE __m128i hash_chunk(const struct gcm *g, __m128i hash, const uint8_t *p)
{
	struct sum s = nothing();

	EIGHT_TIMES
	for (size_t i = 0; i < 8; i++)
		hash_pair(&s, hash, p, g, i);
	return reduce(&s);
}

/* Encrypt or decrypt buf and return the tag of its ciphertext. */
INLINE __m128i gcm(const struct gcm *g, const uint8_t *nonce, uint8_t *buf, size_t len, bool decrypt)
{
	__m128i hash = _mm_setzero_si128(), one, mask;
	__m256i counter = first_counter(nonce, &one), stream[8];
	size_t left = len;

	mask = encrypt_block(g, reversed(one));
	if (!decrypt && left >= CHUNK_LEN) {
		/* What is hashed is there only afterwards: each chunk while the next one is encrypted. */
		key_stream(g, &counter, stream, 8);
		mix(stream, buf, 8);
		for (left -= CHUNK_LEN, buf += CHUNK_LEN; left >= CHUNK_LEN; left -= CHUNK_LEN, buf += CHUNK_LEN) {
			hash = stream_and_hash(g, &counter, stream, hash, buf - CHUNK_LEN);
			mix(stream, buf, 8);
		}
		hash = hash_chunk(g, hash, buf - CHUNK_LEN);
	}
	for (; decrypt && left >= CHUNK_LEN; left -= CHUNK_LEN, buf += CHUNK_LEN) {
		hash = stream_and_hash(g, &counter, stream, hash, buf);
		mix(stream, buf, 8);
	}
	hash = tail(g, &counter, hash, buf, left, len, decrypt);
	return _mm_xor_si128(reversed(hash), mask);
}

VAES static void gcm_seal(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	__m128i tag = gcm(state, nonce, buf, len, false);

	_mm_storeu_si128((__m128i *)(void *)(buf + len), tag);
}

VAES static int gcm_open(const void *state, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *buf, size_t len)
{
	__m128i tag = load(buf + len), wrong = _mm_xor_si128(gcm(state, nonce, buf, len, true), tag);

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
