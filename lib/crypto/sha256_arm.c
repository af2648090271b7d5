/* SHA-256's compression function on the ARMv8 cryptography extension, found by the kernel's HWCAP at run time. */
#include "crypto/sha256_code.h"

/* clang before 16 declares these intrinsics only when the whole file is compiled for the extension. */
#if defined(__AARCH64EL__) && (defined(__ARM_FEATURE_SHA2) || !defined(__clang__) || __clang_major__ >= 16)

#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#if defined(__clang__)
#define SHA2 __attribute__((target("sha2")))
#else
#define SHA2 __attribute__((target("+crypto")))
#endif

static bool arm_works(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
}

struct state {
	uint32x4_t abcd, efgh;
};

/* Four rounds with the words w and the constants at k. */
SHA2 static inline void rounds4(struct state *s, uint32x4_t w, const uint32_t *k)
{
	uint32x4_t wk = vaddq_u32(w, vld1q_u32(k)), abcd = s->abcd;

	s->abcd = vsha256hq_u32(abcd, s->efgh, wk);
	s->efgh = vsha256h2q_u32(s->efgh, abcd, wk);
}

/* The four words that follow the sixteen in w0..w3 (oldest first). */
SHA2 static inline uint32x4_t next4(uint32x4_t w0, uint32x4_t w1, uint32x4_t w2, uint32x4_t w3)
{
	return vsha256su1q_u32(vsha256su0q_u32(w0, w1), w2, w3);
}

SHA2 static inline uint32x4_t load_be(const uint8_t *p)
{
	return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p)));
}

SHA2 static inline void block1(struct state *s, const uint8_t *p)
{
	uint32x4_t w0 = load_be(p), w1 = load_be(p + 16), w2 = load_be(p + 32), w3 = load_be(p + 48);
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
	s->abcd = vaddq_u32(s->abcd, before.abcd);
	s->efgh = vaddq_u32(s->efgh, before.efgh);
}

SHA2 static void arm_blocks(uint32_t state[static 8], const uint8_t *p, size_t count)
{
	struct state s = {vld1q_u32(state), vld1q_u32(state + 4)};

	for (; count > 0; count--, p += 64)
		block1(&s, p);
	vst1q_u32(state, s.abcd);
	vst1q_u32(state + 4, s.efgh);
}

const struct sha256_code sha256_arm = {"armv8", arm_works, arm_blocks};

#else

const struct sha256_code sha256_arm = {"armv8", NULL, NULL};

#endif
