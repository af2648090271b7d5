/*
 * Points of P-256: y^2 = x^3 - 3x + b (SP 800-186 3.2.1.3), and their multiples. In constant time, but for what says
 * "public" in its name.
 */
#ifndef MESHANICS_CRYPTO_P256_POINT_H
#define MESHANICS_CRYPTO_P256_POINT_H

#include "crypto/p256_field.h"
#include "crypto/p256_scalar.h"

/* x/z, y/z; the point at infinity is 0, any y but 0, 0. */
struct point {
	struct fe x, y, z;
};

struct affine {
	struct fe x, y;
};

/*
 * Multiples of the base point G: p256_table[i][j] is (j + 1) * 2^(8i) * G. Written by tests/unit/p256_table.c, proved by
 * tests/unit/test_p256_field.c.
 */
extern const struct affine p256_table[32][8];

/* Results may be arguments. */
void point_add(struct point *r, const struct point *a, const struct point *b);
/* r = 2^n * a, n > 0. */
void point_double(struct point *r, const struct point *a, unsigned n);
/* r = k * a, k * G. */
void point_mul(struct point *r, const struct sn *k, const struct point *a);
void point_mul_base(struct point *r, const struct sn *k);
/* r = k * a where nobody minds that the time tells k and a. */
void point_mul_public(struct point *r, const struct sn *k, const struct point *a);

/* From 04 || X || Y (SEC 1 2.3.4); 1 when the numbers are less than p and the point is on the curve, else 0. */
uint64_t point_decode(struct point *r, const uint8_t p[static 65]);
/* 1 unless it is the point at infinity, which has no such form: then 0 and zeros for X and Y. */
uint64_t point_encode(uint8_t p[static 65], const struct point *a);

#endif
