/*
 * The parts of our own P-256: field, scalars, points and the table, against arithmetic so slow and plain that it is easily
 * believed, on numbers made to carry. For longer runs: P256_ROUNDS=10000000 build/tests/unit/test_p256_field
 */
#include "tap.h"

#include <bearssl.h>

#include "crypto/p256_point.h"
#include "p256_kit.h"

/* ---- the judge: words of 32 bits, products by the schoolbook, remainders bit by bit ---- */

static void slow_mul(uint32_t r[static 16], const uint64_t a[static 4], const uint64_t b[static 4])
{
	unsigned i, j;

	memset(r, 0, 16 * sizeof(r[0]));
	for (i = 0; i < 8; i++) {
		uint64_t carry = 0, x = (uint32_t)(a[i / 2] >> 32 * (i % 2));

		for (j = 0; j < 8; j++) {
			carry += x * (uint32_t)(b[j / 2] >> 32 * (j % 2)) + r[i + j];
			r[i + j] = (uint32_t)carry;
			carry >>= 32;
		}
		r[i + 8] = (uint32_t)carry;
	}
}

/* r -= m when it is not less; r has a ninth word. */
static void slow_reduce(uint32_t r[static 9], const uint64_t m[static 4])
{
	uint32_t t[9];
	int64_t borrow = 0;
	unsigned i;

	for (i = 0; i < 9; i++) {
		borrow += (int64_t)r[i] - (i < 8 ? (uint32_t)(m[i / 2] >> 32 * (i % 2)) : 0);
		t[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	if (borrow == 0)
		memcpy(r, t, sizeof(t));
}

static void slow_mod(uint64_t r[static 4], const uint32_t t[static 16], const uint64_t m[static 4])
{
	uint32_t v[9] = {0};
	unsigned i, j;

	for (i = 512; i-- > 0;) {
		for (j = 8; j > 0; j--)
			v[j] = v[j] << 1 | v[j - 1] >> 31;
		v[0] = v[0] << 1 | (t[i / 32] >> i % 32 & 1);
		slow_reduce(v, m);
	}
	for (i = 0; i < 4; i++)
		r[i] = (uint64_t)v[2 * i + 1] << 32 | v[2 * i];
}

static void slow_mul_mod(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4],
			 const uint64_t m[static 4])
{
	uint32_t t[16];

	slow_mul(t, a, b);
	slow_mod(r, t, m);
}

/* r = a * 2^256 modulo m. */
static void slow_shift(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t m[static 4])
{
	uint32_t t[16] = {0};
	unsigned i;

	for (i = 0; i < 8; i++)
		t[8 + i] = (uint32_t)(a[i / 2] >> 32 * (i % 2));
	slow_mod(r, t, m);
}

static bool same(const uint64_t a[static 4], const uint64_t b[static 4])
{
	return memcmp(a, b, 4 * sizeof(a[0])) == 0;
}

static bool less(const uint64_t a[static 4], const uint64_t b[static 4])
{
	unsigned i;

	for (i = 4; i-- > 0;)
		if (a[i] != b[i])
			return a[i] < b[i];
	return false;
}

static void random_below(uint64_t a[static 4], const uint64_t m[static 4])
{
	unsigned i;

	do {
		for (i = 0; i < 4; i++)
			a[i] = kit_word();
	} while (!less(a, m));
}

/* One round for a modulus: sum, difference, product and square by the code under test. */
struct hand {
	const uint64_t *m;
	void (*mul)(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4]);
	void (*sqr)(uint64_t r[static 4], const uint64_t a[static 4]);
};

static void field_mul(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4])
{
	struct fe x, y;

	memcpy(x.w, a, sizeof(x.w));
	memcpy(y.w, b, sizeof(y.w));
	fe_mul(&x, &x, &y);
	memcpy(r, x.w, sizeof(x.w));
}

static void field_sqr(uint64_t r[static 4], const uint64_t a[static 4])
{
	struct fe x;

	memcpy(x.w, a, sizeof(x.w));
	fe_sqr(&x, &x);
	memcpy(r, x.w, sizeof(x.w));
}

static void scalar_mul(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4])
{
	struct sn x, y;

	memcpy(x.w, a, sizeof(x.w));
	memcpy(y.w, b, sizeof(y.w));
	sn_mul(&x, &x, &y);
	memcpy(r, x.w, sizeof(x.w));
}

static const struct hand field = {fe_p, field_mul, field_sqr}, scalars = {sn_n, scalar_mul, NULL};

/* With a equal to b in every second round, where the square is another way to the product. */
static bool round_holds(const struct hand *h, bool square)
{
	uint64_t a[4], b[4], r[4], want[4], back[4];
	uint32_t t[16];
	uint64_t wide[8];
	unsigned i;
	bool ok = true;

	random_below(a, h->m);
	random_below(b, h->m);
	if (square)
		memcpy(b, a, sizeof(b));
	/* The product, which is right when it is less than m and 2^256 times it is a b. */
	slow_mul_mod(want, a, b, h->m);
	h->mul(r, a, b);
	slow_shift(back, r, h->m);
	ok = ok && less(r, h->m) && same(back, want);
	if (square && h->sqr != NULL) {
		h->sqr(want, a);
		ok = ok && same(r, want);
	}
	/* a - b + b is a, a + b - b as well: and each is less than m. */
	limbs_sub_mod(r, a, b, h->m);
	ok = ok && less(r, h->m);
	limbs_add_mod(r, r, b, h->m);
	ok = ok && same(r, a);
	limbs_add_mod(r, a, b, h->m);
	ok = ok && less(r, h->m);
	limbs_sub_mod(r, r, b, h->m);
	ok = ok && same(r, a);
	/* All eight words of products and squares of any words. */
	for (i = 0; i < 4; i++) {
		a[i] = kit_word();
		b[i] = kit_word();
	}
	slow_mul(t, a, b);
	limbs_mul(wide, a, b);
	for (i = 0; i < 16; i++)
		ok = ok && t[i] == (uint32_t)(wide[i / 2] >> 32 * (i % 2));
	slow_mul(t, a, a);
	limbs_sqr(wide, a);
	for (i = 0; i < 16; i++)
		ok = ok && t[i] == (uint32_t)(wide[i / 2] >> 32 * (i % 2));
	if (!ok)
		printf("# a %016llx%016llx%016llx%016llx\n# b %016llx%016llx%016llx%016llx\n", (unsigned long long)a[3],
		       (unsigned long long)a[2], (unsigned long long)a[1], (unsigned long long)a[0],
		       (unsigned long long)b[3], (unsigned long long)b[2], (unsigned long long)b[1],
		       (unsigned long long)b[0]);
	return ok;
}

TEST(the_field_computes_as_the_judge_does)
{
	unsigned i, rounds = kit_rounds(50000);

	for (i = 0; i < rounds; i++)
		REQUIRE(round_holds(&field, i % 2 == 1));
}

TEST(the_scalars_compute_as_the_judge_does)
{
	unsigned i, rounds = kit_rounds(50000);

	for (i = 0; i < rounds; i++)
		REQUIRE(round_holds(&scalars, i % 2 == 1));
}

/* Every pair of the numbers next to 0, to p or n, and to the powers of 2^64, where a carry would be lost. */
TEST(edges_of_the_range_are_multiplied_and_added)
{
	const struct hand *const hands[] = {&field, &scalars};
	uint64_t edge[64][4], r[4], want[4], back[4];
	unsigned h, i, j, n;

	for (h = 0; h < ARRAY_SIZE(hands); h++) {
		const uint64_t *m = hands[h]->m;

		memset(edge, 0, sizeof(edge));
		for (n = 0; n < 16; n++)
			memset(edge[n], n & 1 ? 0xff : 0, 8), memset(&edge[n][1], n & 2 ? 0xff : 0, 8),
				memset(&edge[n][2], n & 4 ? 0xff : 0, 8), edge[n][3] = n & 8 ? m[3] - 1 : 0;
		for (; n < 24; n++) {	/* m - 1 to m - 8 */
			const uint64_t small[4] = {n - 15};

			(void)limbs_sub(edge[n], m, small);
		}
		for (i = 0; i < 4; i++)
			for (j = 0; j < 4; j++, n++) {
				edge[n][i] = j == 0 ? 1 : j == 1 ? 2 : j == 2 ? 0x8000000000000000 : 0xffffffff;
				if (!less(edge[n], m))
					edge[n][i] >>= 1;
			}
		for (i = 0; i < n; i++) {
			REQUIRE(less(edge[i], m));
			for (j = 0; j < n; j++) {
				slow_mul_mod(want, edge[i], edge[j], m);
				hands[h]->mul(r, edge[i], edge[j]);
				slow_shift(back, r, m);
				CHECK(less(r, m) && same(back, want));
				limbs_add_mod(r, edge[i], edge[j], m);
				CHECK(less(r, m));
				limbs_sub_mod(r, r, edge[j], m);
				CHECK(same(r, edge[i]));
			}
		}
	}
}

TEST(inverses_are_inverses)
{
	static const uint64_t one[4] = {1};
	unsigned i, rounds = kit_rounds(400);
	struct fe a, b;
	struct sn s, t;

	for (i = 0; i < rounds; i++) {
		random_below(a.w, fe_p);
		fe_inv(&b, &a);
		fe_mul(&b, &b, &a);
		CHECK(fe_equal(&b, &fe_one) == 1 || fe_is_zero(&a));
		random_below(s.w, sn_n);
		sn_inv(&t, &s);
		sn_mul(&t, &t, &s);
		CHECK(same(t.w, one) || sn_is_zero(&s));
	}
	memset(&a, 0, sizeof(a));
	fe_inv(&b, &a);
	CHECK(fe_is_zero(&b));
	memset(&s, 0, sizeof(s));
	sn_inv(&t, &s);
	CHECK(sn_is_zero(&t));
}

/* Bytes to numbers and back; p, n and what is above them are told from what is below. */
TEST(numbers_are_read_and_written)
{
	uint8_t in[32], out[32], p[32];
	unsigned i;
	struct fe a;
	struct sn s;

	limbs_encode(p, fe_p);
	for (i = 0; i < 5000; i++) {
		uint64_t below_p, below_n;

		kit_bytes(in);
		if (i % 16 == 0) {
			memcpy(in, i % 32 == 0 ? p : p256_order, 32);
			in[31] = (uint8_t)(in[31] - i / 32 % 3);
		}
		below_p = memcmp(in, p, 32) < 0;
		below_n = memcmp(in, p256_order, 32) < 0;
		CHECK(fe_decode(&a, in) == below_p);
		fe_encode(out, &a);
		CHECK(!below_p || memcmp(in, out, 32) == 0);
		CHECK(sn_decode(&s, in) == below_n && less(s.w, sn_n));
		sn_encode(out, &s);
		CHECK(!below_n == (memcmp(in, out, 32) != 0));
		CHECK(sn_abs(&s, &s) == 0 || !below_n || s.w[3] >> 63 == 0);
		CHECK(s.w[3] >> 63 == 0);
	}
}

/* The same point by other coordinates: multiplied by anything but 0. */
static void disguise(struct point *a)
{
	struct fe f;

	do {
		random_below(f.w, fe_p);
	} while (fe_is_zero(&f));
	fe_mul(&a->x, &a->x, &f);
	fe_mul(&a->y, &a->y, &f);
	fe_mul(&a->z, &a->z, &f);
}

static struct point infinity(void)
{
	struct point a = {.y = fe_one};

	disguise(&a);
	return a;
}

static struct point random_point(void)
{
	struct point a;
	struct sn k;

	do {
		random_below(k.w, sn_n);
	} while (sn_is_zero(&k));
	point_mul_base(&a, &k);
	disguise(&a);
	return a;
}

static bool point_same(const struct point *a, const struct point *b)
{
	uint8_t p[65], q[65];
	uint64_t finite = point_encode(p, a);

	return point_encode(q, b) == finite && memcmp(p, q, 65) == 0;
}

static struct point negative(const struct point *a)
{
	struct point r = *a;
	static const struct fe zero;

	fe_sub(&r.y, &zero, &a->y);
	disguise(&r);
	return r;
}

TEST(addition_has_no_special_case)
{
	unsigned i;

	for (i = 0; i < 200; i++) {
		struct point a = random_point(), b = random_point(), c = random_point(), minus = negative(&a), o = infinity();
		struct point r, s, again = a;

		disguise(&again);
		point_add(&r, &a, &o);
		CHECK(point_same(&r, &a));
		point_add(&r, &o, &a);
		CHECK(point_same(&r, &a));
		point_add(&r, &o, &o);
		CHECK(point_same(&r, &o));
		CHECK(!fe_is_zero(&r.y));
		point_add(&r, &a, &minus);
		CHECK(point_same(&r, &o));
		CHECK(!fe_is_zero(&r.y));
		point_add(&r, &a, &again);
		point_double(&s, &a, 1);
		CHECK(point_same(&r, &s));
		CHECK(!point_same(&r, &a));
		/* (a + b) + c = a + (c + b) */
		point_add(&r, &a, &b);
		point_add(&r, &r, &c);
		point_add(&s, &c, &b);
		point_add(&s, &a, &s);
		CHECK(point_same(&r, &s));
	}
}

TEST(doublings_are_additions)
{
	unsigned i, n;

	for (i = 0; i < 40; i++) {
		struct point a = i == 0 ? infinity() : random_point(), sum = a, r;

		for (n = 1; n < 8; n++) {
			point_add(&sum, &sum, &sum);
			point_double(&r, &a, n);
			CHECK(point_same(&r, &sum));
			CHECK(!fe_is_zero(&r.y));
		}
	}
}

/* Three ways to a multiple, with 0 and infinity among what is multiplied. */
TEST(multiplications_agree)
{
	unsigned i, rounds = kit_rounds(300);
	struct point g = {p256_table[0][0].x, p256_table[0][0].y, fe_one};

	for (i = 0; i < rounds; i++) {
		struct point a = i % 50 == 0 ? infinity() : random_point(), r, s;
		struct sn k;

		random_below(k.w, sn_n);
		if (i % 40 == 0)
			memset(&k, 0, sizeof(k));
		point_mul(&r, &k, &a);
		point_mul_public(&s, &k, &a);
		CHECK(point_same(&r, &s));
		point_mul(&r, &k, &g);
		point_mul_base(&s, &k);
		CHECK(point_same(&r, &s));
	}
}

/* Each entry by BearSSL, and in the only form that a number has. */
TEST(the_table_holds_multiples_of_the_base_point)
{
	uint8_t scalar[32], want[65], got[65];
	unsigned i, j;

	for (i = 0; i < 32; i++) {
		for (j = 0; j < 8; j++) {
			struct point a = {p256_table[i][j].x, p256_table[i][j].y, fe_one};

			memset(scalar, 0, sizeof(scalar));
			scalar[31 - i] = (uint8_t)(j + 1);
			REQUIRE(br_ec_get_default()->mulgen(want, scalar, 32, BR_EC_secp256r1) == 65);
			CHECK(point_encode(got, &a) == 1);
			CHECK(memcmp(got, want, 65) == 0);
			CHECK(less(a.x.w, fe_p) && less(a.y.w, fe_p));
		}
	}
}
