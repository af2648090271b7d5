/* What the tests of P-256 share: numbers with a liking for the edges, and the files of tests/data/p256. */
#ifndef MESHANICS_TESTS_P256_KIT_H
#define MESHANICS_TESTS_P256_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "sys/rng.h"

static const uint8_t p256_order[32] = {
	0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* Rounds of a random test: the variable P256_ROUNDS makes it as many as one has time for. */
static inline unsigned kit_rounds(unsigned usual)
{
	const char *wanted = getenv("P256_ROUNDS");

	if (wanted == NULL)
		return usual;
	alarm(0);
	return (unsigned)strtoul(wanted, NULL, 10);
}

/*
 * SplitMix64: random enough for tests, and without a system call for each word. The seed is printed; the variable P256_SEED
 * brings it back.
 */
static inline uint64_t kit_random(void)
{
	static uint64_t state;
	static bool seeded;
	uint64_t z;

	if (!seeded) {
		const char *wanted = getenv("P256_SEED");

		if (wanted != NULL)
			state = strtoull(wanted, NULL, 10);
		else
			rng_bytes(&state, sizeof(state));
		printf("# P256_SEED=%llu\n", (unsigned long long)state);
		seeded = true;
	}
	state += 0x9e3779b97f4a7c15;
	z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline unsigned kit_below(unsigned n)
{
	return (unsigned)(kit_random() % n);
}

/* A word of 64 bits: half of them zero, all ones, one bit, or next to a word of p or n, where carries are born. */
static inline uint64_t kit_word(void)
{
	static const uint64_t edges[] = {
		0, 0, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, UINT64_MAX - 1, 0x8000000000000000, 0x7fffffffffffffff,
		0x00000000ffffffff, 0xffffffff00000000, 0xffffffff00000001, 0x0000000100000000,
		0xf3b9cac2fc632551, 0xf3b9cac2fc632550, 0xf3b9cac2fc632552, 0xbce6faada7179e84, 0xbce6faada7179e83,
	};
	uint64_t w = kit_random();

	if (kit_below(2) == 0)
		return edges[kit_below(sizeof(edges) / sizeof(edges[0]))];
	return kit_below(8) == 0 ? w >> kit_below(64) : w;
}

static inline void kit_bytes(uint8_t out[static 32])
{
	unsigned i, j;

	for (i = 0; i < 4; i++) {
		uint64_t w = kit_word();

		for (j = 0; j < 8; j++)
			out[8 * i + j] = (uint8_t)(w >> (56 - 8 * j));
	}
}

/* 0 < k < n. */
static inline void kit_scalar(uint8_t out[static 32])
{
	static const uint8_t zero[32];

	do {
		kit_bytes(out);
	} while (memcmp(out, p256_order, 32) >= 0 || memcmp(out, zero, 32) == 0);
}

/* One word of hexadecimal digits into out, which has room for max bytes; "-" is none. Returns how many. */
static inline size_t kit_hex(uint8_t *out, size_t max, const char *hex)
{
	struct error err = ERROR_INIT;
	size_t len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;

	REQUIRE(len <= max && (len == 0 || hex_decode(out, len, slice_str(hex), &err) == 0));
	return len;
}

#endif
