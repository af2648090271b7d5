/* SHA-256's compression function in plain C: the reference for the other two, and the code of last resort. */
#include "crypto/sha256_code.h"

_Alignas(64) const uint32_t sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static inline uint32_t load_be(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The next sixteen words of the message schedule, in place (FIPS 180-4 6.2.2 step 1). */
static void schedule(uint32_t w[static 16])
{
	unsigned i;

#pragma GCC unroll 16
	for (i = 0; i < 16; i++) {
		uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];

		w[i] += (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[(i + 9) & 15] +
			(rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
	}
}

/*
 * One round (6.2.2 step 3). Instead of moving eight variables along, the caller renames them: v is rotated by
 * `i` places, so that a is at v[-i], b at v[1 - i] and so on, modulo 8.
 */
static inline void round1(uint32_t v[static 8], unsigned i, uint32_t wk)
{
	uint32_t a = v[(0 - i) & 7], b = v[(1 - i) & 7], c = v[(2 - i) & 7], *d = &v[(3 - i) & 7];
	uint32_t e = v[(4 - i) & 7], f = v[(5 - i) & 7], g = v[(6 - i) & 7], *h = &v[(7 - i) & 7];
	uint32_t t = *h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + wk;

	*d += t;
	*h = t + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));
}

static void block1(uint32_t state[static 8], const uint8_t *p)
{
	uint32_t v[8], w[16];
	unsigned i, j;

	for (i = 0; i < 16; i++)
		w[i] = load_be(p + 4 * i);
	memcpy(v, state, sizeof(v));
	for (j = 0; j < 64; j += 16) {
		if (j > 0)
			schedule(w);
		/* Unrolled, the indices into v are constants and v lives in registers: half as fast again. */
#pragma GCC unroll 16
		for (i = 0; i < 16; i++)
			round1(v, i, w[i] + sha256_k[j + i]);
	}
	for (i = 0; i < 8; i++)
		state[i] += v[i];
}

static void portable_blocks(uint32_t state[static 8], const uint8_t *p, size_t count)
{
	for (; count > 0; count--, p += 64)
		block1(state, p);
}

static bool portable_works(void)
{
	return true;
}

const struct sha256_code sha256_portable = {"portable", portable_works, portable_blocks};
