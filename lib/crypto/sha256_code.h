/*
 * The compression function of SHA-256 in several hands, behind hash.h: one file per processor family, each
 * defining one constant. A file that was compiled for another family leaves `blocks` NULL. Only hash.c and
 * the tests that compare the implementations with each other include this.
 */
#ifndef MESHANICS_CRYPTO_SHA256_CODE_H
#define MESHANICS_CRYPTO_SHA256_CODE_H

#include "base/error.h"

struct sha256_code {
	const char *name;	/* as sha256_implementation() says it */
	bool (*works)(void);	/* whether the processor we run on has the instructions */
	/* Mix `count` blocks of 64 bytes at p into the state. p need not be aligned. */
	void (*blocks)(uint32_t state[static 8], const uint8_t *p, size_t count);
};

extern const struct sha256_code sha256_x86, sha256_arm, sha256_portable;

/* The round constants (FIPS 180-4 4.2.2), aligned for vector loads. */
extern const uint32_t sha256_k[64];

/* For tests: use this implementation from now on in the whole process; ERR_NOT_FOUND when it cannot run here. */
WARN_UNUSED int sha256_force(const char *name, struct error *err);

#endif
