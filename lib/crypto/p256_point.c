/*
 * Points of P-256. Additions are those of Renes, Costello and Batina, "Complete addition formulas for prime order elliptic
 * curves" (eprint 2015/1060), which hold for every pair of points, equal, opposite or at infinity: no case is told apart.
 * Runs of doublings go through Jacobian coordinates, where they cost less and have no special case either.
 */
#include "crypto/p256_point.h"

static const struct fe b = {{0xd89cdf6229c4bddf, 0xacf005cd78843090, 0xe5a220abf7212ed6, 0xdc30061d04874834}};

static inline void fe_times3(struct fe *r, const struct fe *a)
{
	struct fe twice;

	fe_add(&twice, a, a);
	fe_add(r, &twice, a);
}

/* r = a * b + c * d */
static inline void fe_mul_add_mul(struct fe *r, const struct fe *a, const struct fe *bb, const struct fe *c,
				  const struct fe *d)
{
	struct fe t, u;

	fe_mul(&t, a, bb);
	fe_mul(&u, c, d);
	fe_add(r, &t, &u);
}

/* What both additions have in common: they differ in how they come by these products of coordinates. */
struct products {
	struct fe xx, yy, zz;		/* x1 x2, y1 y2, z1 z2 */
	struct fe xy, yz, xz;		/* x1 y2 + x2 y1, and so on */
};

/* Algorithm 4 of the paper from its step 19 on, in the order of its equations for a = -3. */
static inline void add_finish(struct point *r, const struct products *p)
{
	struct fe t, m, s, d, e, f, u;

	/* m = 3 (xz - b zz), e = 3 (b xz - 3 zz - xx), f = 3 (xx - zz), s = yy + m, d = yy - m */
	fe_mul(&t, &b, &p->zz);
	fe_sub(&t, &p->xz, &t);
	fe_times3(&m, &t);
	fe_mul(&t, &b, &p->xz);
	fe_times3(&u, &p->zz);
	fe_sub(&t, &t, &u);
	fe_sub(&t, &t, &p->xx);
	fe_times3(&e, &t);
	fe_sub(&t, &p->xx, &p->zz);
	fe_times3(&f, &t);
	fe_add(&s, &p->yy, &m);
	fe_sub(&d, &p->yy, &m);

	/* x = xy s - yz e, y = s d + f e, z = yz d + xy f */
	fe_mul(&t, &p->xy, &s);
	fe_mul(&u, &p->yz, &e);
	fe_sub(&r->x, &t, &u);
	fe_mul_add_mul(&r->y, &s, &d, &f, &e);
	fe_mul_add_mul(&r->z, &p->yz, &d, &p->xy, &f);
}

/* r = (a + c)(b + d) - e - f: the sum of two mixed products for one multiplication, e and f being a b and c d. */
static inline void cross(struct fe *r, const struct fe *a, const struct fe *c, const struct fe *bb, const struct fe *d,
			 const struct fe *e, const struct fe *f)
{
	struct fe t, u;

	fe_add(&t, a, c);
	fe_add(&u, bb, d);
	fe_mul(&t, &t, &u);
	fe_sub(&t, &t, e);
	fe_sub(r, &t, f);
}

void point_add(struct point *r, const struct point *a, const struct point *c)
{
	struct products p;

	fe_mul(&p.xx, &a->x, &c->x);
	fe_mul(&p.yy, &a->y, &c->y);
	fe_mul(&p.zz, &a->z, &c->z);
	cross(&p.xy, &a->x, &a->y, &c->x, &c->y, &p.xx, &p.yy);
	cross(&p.yz, &a->y, &a->z, &c->y, &c->z, &p.yy, &p.zz);
	cross(&p.xz, &a->x, &a->z, &c->x, &c->z, &p.xx, &p.zz);
	add_finish(r, &p);
}

/* The same for a second point whose z is one: it cannot be at infinity. */
static void add_affine(struct point *r, const struct point *a, const struct affine *c)
{
	struct products p;
	struct fe t;

	fe_mul(&p.xx, &a->x, &c->x);
	fe_mul(&p.yy, &a->y, &c->y);
	p.zz = a->z;
	cross(&p.xy, &a->x, &a->y, &c->x, &c->y, &p.xx, &p.yy);
	fe_mul(&t, &c->y, &a->z);
	fe_add(&p.yz, &t, &a->y);
	fe_mul(&t, &c->x, &a->z);
	fe_add(&p.xz, &t, &a->x);
	add_finish(r, &p);
}

/*
 * One doubling in Jacobian coordinates, x/z^2 and y/z^3, with a = -3:
 *	m = 3 (x - z^2)(x + z^2), s = 4 x y^2, x' = m^2 - 2 s, y' = m (s - x') - 8 y^4, z' = 2 y z.
 * No point of the curve has y = 0, for its order is odd; and z = 0 stays 0.
 */
static void jacobian_double(struct point *r)
{
	struct fe zz, yy, s, m, t, u;

	fe_sqr(&zz, &r->z);
	fe_sqr(&yy, &r->y);
	fe_sub(&t, &r->x, &zz);
	fe_add(&u, &r->x, &zz);
	fe_mul(&t, &t, &u);
	fe_times3(&m, &t);
	fe_add(&t, &r->y, &r->y);
	fe_mul(&r->z, &t, &r->z);

	fe_add(&yy, &yy, &yy);		/* 2 y^2 */
	fe_add(&t, &r->x, &r->x);
	fe_mul(&s, &t, &yy);
	fe_sqr(&r->x, &m);
	fe_add(&t, &s, &s);
	fe_sub(&r->x, &r->x, &t);
	fe_sqr(&t, &yy);
	fe_add(&t, &t, &t);		/* 8 y^4 */
	fe_sub(&s, &s, &r->x);
	fe_mul(&s, &s, &m);
	fe_sub(&r->y, &s, &t);
}

void point_double(struct point *r, const struct point *a, unsigned n)
{
	struct point t;
	struct fe zz;

	/* (x, y, z) is (x z, y z^2, z) in Jacobian coordinates, and back it is (x z, y, z^3). */
	fe_sqr(&zz, &a->z);
	fe_mul(&t.x, &a->x, &a->z);
	fe_mul(&t.y, &a->y, &zz);
	t.z = a->z;
	while (n-- > 0)
		jacobian_double(&t);
	fe_sqr(&zz, &t.z);
	fe_mul(&r->x, &t.x, &t.z);
	fe_mul(&r->z, &zz, &t.z);
	r->y = t.y;
	/* Infinity has become (0, 0, 0) on the way. */
	fe_cmov(&r->y, &fe_one, limbs_mask(fe_is_zero(&r->z)));
}

#define DIGITS 64

/*
 * k as digits from -8 to 8, sum(digit[i] * 16^i). *negative tells, by a mask, that they make -k: k or n - k is less than
 * 2^255, so that no digit is needed beyond the 64th.
 */
static void recode(int8_t digit[static DIGITS], uint64_t *negative, const struct sn *k)
{
	unsigned i, v, carry = 0;
	struct sn t;

	*negative = sn_abs(&t, k);
	for (i = 0; i < DIGITS - 1; i++) {
		v = (unsigned)(t.w[i / 16] >> (4 * (i % 16)) & 15) + carry;
		carry = (v + 8) >> 4;
		digit[i] = (int8_t)((int)v - (int)(carry << 4));
	}
	digit[i] = (int8_t)((unsigned)(t.w[3] >> 60) + carry);
}

/* The magnitude of a digit, and a mask for its sign. */
static inline uint64_t magnitude(int8_t digit, uint64_t *negative)
{
	*negative = limbs_mask((uint64_t)(uint8_t)digit >> 7);
	return ((uint64_t)(int64_t)digit ^ *negative) - *negative;
}

static inline void negate_y(struct fe *y, uint64_t mask)
{
	static const struct fe zero = {{0, 0, 0, 0}};
	struct fe minus;

	fe_sub(&minus, &zero, y);
	fe_cmov(y, &minus, mask);
}

static inline uint64_t is_digit(uint64_t size, unsigned i)
{
	return limbs_mask(limbs_word_is_zero(size ^ i));
}

/* r += digit * a, where table[i] is (i + 1) * a; every entry is read. */
static void add_multiple(struct point *r, const struct point table[static 8], int8_t digit)
{
	struct point t = {.y = fe_one};
	uint64_t negative, size = magnitude(digit, &negative), mask;
	unsigned i;

	for (i = 0; i < 8; i++) {
		mask = is_digit(size, i + 1);
		fe_cmov(&t.x, &table[i].x, mask);
		fe_cmov(&t.y, &table[i].y, mask);
		fe_cmov(&t.z, &table[i].z, mask);
	}
	negate_y(&t.y, negative);
	point_add(r, r, &t);
}

static void add_multiple_affine(struct point *r, const struct affine table[static 8], int8_t digit)
{
	struct affine t = {.y = fe_one};
	uint64_t negative, size = magnitude(digit, &negative), mask;
	struct point sum;
	unsigned i;

	for (i = 0; i < 8; i++) {
		mask = is_digit(size, i + 1);
		fe_cmov(&t.x, &table[i].x, mask);
		fe_cmov(&t.y, &table[i].y, mask);
	}
	negate_y(&t.y, negative);
	add_affine(&sum, r, &t);
	/* For 0 there was nothing to add. */
	mask = ~is_digit(size, 0);
	fe_cmov(&r->x, &sum.x, mask);
	fe_cmov(&r->y, &sum.y, mask);
	fe_cmov(&r->z, &sum.z, mask);
}

void point_mul(struct point *r, const struct sn *k, const struct point *a)
{
	struct point table[8], t = {.y = fe_one};
	int8_t digit[DIGITS];
	uint64_t negative;
	unsigned i;

	table[0] = *a;
	for (i = 1; i < 8; i++)
		point_add(&table[i], &table[i - 1], a);
	recode(digit, &negative, k);
	for (i = DIGITS; i-- > 0;) {
		add_multiple(&t, table, digit[i]);
		if (i > 0)
			point_double(&t, &t, 4);
	}
	negate_y(&t.y, negative);
	*r = t;
}

/* The odd digits and the even ones have a table together, with four doublings between them. */
void point_mul_base(struct point *r, const struct sn *k)
{
	struct point t = {.y = fe_one};
	int8_t digit[DIGITS];
	uint64_t negative;
	unsigned i;

	recode(digit, &negative, k);
	for (i = 1; i < DIGITS; i += 2)
		add_multiple_affine(&t, p256_table[i / 2], digit[i]);
	point_double(&t, &t, 4);
	for (i = 0; i < DIGITS; i += 2)
		add_multiple_affine(&t, p256_table[i / 2], digit[i]);
	negate_y(&t.y, negative);
	*r = t;
}

#define NAF_LEN 257

/*
 * k as digits that are 0 or odd, from -15 to 15, with at least four zeros after each that is not: sum(naf[i] * 2^i).
 * Returns one more than the place of the highest that is not 0.
 */
static unsigned recode_public(int8_t naf[static NAF_LEN], const struct sn *k)
{
	unsigned i, len = 0, carry = 0;

	for (i = 0; i < NAF_LEN; i++)
		naf[i] = 0;
	for (i = 0; i < NAF_LEN;) {
		unsigned word = i / 64, shift = i % 64;
		uint64_t bits = word < 4 ? k->w[word] >> shift : 0;
		unsigned v;

		if (shift > 59 && word < 3)
			bits |= k->w[word + 1] << (64 - shift);
		v = (unsigned)(bits & 31) + carry;
		if ((v & 1) == 0) {
			i++;	/* v is 0 or 2 in its lowest bits: the carry stays what it was */
			continue;
		}
		carry = v > 16;
		naf[i] = (int8_t)((int)v - (int)(carry << 5));
		len = i + 1;
		i += 5;
	}
	return len;
}

void point_mul_public(struct point *r, const struct sn *k, const struct point *a)
{
	struct point odd[8], t = {.y = fe_one}, twice, minus;
	unsigned i, run = 0;
	int8_t naf[NAF_LEN];

	odd[0] = *a;
	point_double(&twice, a, 1);
	for (i = 1; i < 8; i++)
		point_add(&odd[i], &odd[i - 1], &twice);
	for (i = recode_public(naf, k); i-- > 0;) {
		run++;
		if (naf[i] == 0)
			continue;
		point_double(&t, &t, run);
		run = 0;
		if (naf[i] > 0) {
			point_add(&t, &t, &odd[naf[i] / 2]);
		} else {
			minus = odd[-naf[i] / 2];
			negate_y(&minus.y, ~(uint64_t)0);
			point_add(&t, &t, &minus);
		}
	}
	if (run > 0)
		point_double(&t, &t, run);
	*r = t;
}

uint64_t point_decode(struct point *r, const uint8_t p[static 65])
{
	uint64_t ok = limbs_word_is_zero(p[0] ^ 0x04u);
	struct fe left, right, three_x;

	ok &= fe_decode(&r->x, p + 1);
	ok &= fe_decode(&r->y, p + 33);
	r->z = fe_one;
	fe_sqr(&left, &r->y);
	fe_sqr(&right, &r->x);
	fe_mul(&right, &right, &r->x);
	fe_times3(&three_x, &r->x);
	fe_sub(&right, &right, &three_x);
	fe_add(&right, &right, &b);
	return ok & fe_equal(&left, &right);
}

uint64_t point_encode(uint8_t p[static 65], const struct point *a)
{
	struct fe inverse, t;

	fe_inv(&inverse, &a->z);
	p[0] = 0x04;
	fe_mul(&t, &a->x, &inverse);
	fe_encode(p + 1, &t);
	fe_mul(&t, &a->y, &inverse);
	fe_encode(p + 33, &t);
	return 1 - fe_is_zero(&a->z);
}
