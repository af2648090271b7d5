/* SHA-256's compression function on the SHA extensions of x86 (SHA-NI), found by CPUID at run time. */
#include "crypto/sha256_code.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))

/* SSSE3 and SSE4.1 in leaf 1 ECX, SHA in leaf 7 EBX. The XMM registers they use need no word from the kernel. */
static bool x86_works(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0)
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) != 0;
}

/* The instructions keep the state as two registers: a b e f and c d g h. */
struct state {
	__m128i abef, cdgh;
};

/* Four rounds with the words w and the constants at k. */
SHA_NI static inline void rounds4(struct state *s, __m128i w, const uint32_t *k)
{
	__m128i wk = _mm_add_epi32(w, _mm_load_si128((const __m128i *)(const void *)k));

	s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, wk);
	s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

/* The four words that follow the sixteen in w0..w3 (oldest first). */
SHA_NI static inline __m128i next4(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
	__m128i t = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));

	return _mm_sha256msg2_epu32(t, w3);
}

SHA_NI static inline __m128i load_be(const uint8_t *p)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), swap);
}

SHA_NI static inline void block1(struct state *s, const uint8_t *p)
{
	__m128i w0 = load_be(p), w1 = load_be(p + 16), w2 = load_be(p + 32), w3 = load_be(p + 48);
	const struct state before = *s;
	const uint32_t *k = sha256_k;

	for (;;) {
		rounds4(s, w0, k);
		rounds4(s, w1, k + 4);
		rounds4(s, w2, k + 8);
		rounds4(s, w3, k + 12);
		k += 16;
		if (k == sha256_k + 64)
			break;
		w0 = next4(w0, w1, w2, w3);
		w1 = next4(w1, w2, w3, w0);
		w2 = next4(w2, w3, w0, w1);
		w3 = next4(w3, w0, w1, w2);
	}
	s->abef = _mm_add_epi32(s->abef, before.abef);
	s->cdgh = _mm_add_epi32(s->cdgh, before.cdgh);
}

SHA_NI static void x86_blocks(uint32_t state[static 8], const uint8_t *p, size_t count)
{
	__m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)state);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	struct state s = {_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
	__m128i feba, dchg;

	for (; count > 0; count--, p += 64)
		block1(&s, p);
	feba = _mm_shuffle_epi32(s.abef, 0x1b);
	dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

const struct sha256_code sha256_x86 = {"sha-ni", x86_works, x86_blocks};

#else

const struct sha256_code sha256_x86 = {"sha-ni", NULL, NULL};

#endif
