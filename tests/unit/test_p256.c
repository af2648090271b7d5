/*
 * P-256 against the standards' examples, against textbook arithmetic (tests/data/p256), and against BearSSL's: whatever
 * code stands behind p256.h here. For longer runs of what is random: P256_ROUNDS=100000 build/tests/unit/test_p256
 */
#include "tap.h"

#include <bearssl.h>

#include "crypto/hash.h"
#include "crypto/hash_class.h"
#include "crypto/key.h"
#include "crypto/p256.h"
#include "p256_kit.h"

static const br_ec_impl *judge(void)
{
	return br_ec_get_default();
}

static void from_hex(uint8_t *out, size_t len, const char *hex)
{
	REQUIRE(kit_hex(out, len, hex) == len);
}

/* An open file of tests/data/p256. */
static FILE *data_file(const char *path)
{
	FILE *f = fopen(path, "r");

	REQUIRE(f != NULL);
	return f;
}

static const struct {
	const char *name;
	const br_hash_class *class;
} hashes[] = {
	{"SHA-1", &br_sha1_vtable},	{"SHA-224", &br_sha224_vtable}, {"SHA-256", &br_sha256_vtable},
	{"SHA-384", &br_sha384_vtable}, {"SHA-512", &br_sha512_vtable},
};

static size_t hash_of(unsigned i, uint8_t out[static 64], const char *message)
{
	br_hash_compat_context h;

	hashes[i].class->init(&h.vtable);
	hashes[i].class->update(&h.vtable, message, strlen(message));
	hashes[i].class->out(&h.vtable, out);
	return hashes[i].class->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;
}

/* RFC 6979 A.2.5: r and s for both messages and each hash. */
TEST(signatures_are_those_of_rfc_6979)
{
	static const struct {
		const char *message, *sig[5];
	} examples[] = {
		{"sample",
		 {"61340c88c3aaebeb4f6d667f672ca9759a6ccaa9fa8811313039ee4a35471d32"
		  "6d7f147dac089441bb2e2fe8f7a3fa264b9c475098fdcf6e00d7c996e1b8b7eb",
		  "53b2fff5d1752b2c689df257c04c40a587fababb3f6fc2702f1343af7ca9aa3f"
		  "b9afb64fdc03dc1a131c7d2386d11e349f070aa432a4acc918bea988bf75c74c",
		  "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
		  "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
		  "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719"
		  "4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954",
		  "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00"
		  "2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe"}},
		{"test",
		 {"0cbcc86fd6abd1d99e703e1ec50069ee5c0b4ba4b9ac60e409e8ec5910d81a89"
		  "01b9d7b73dfaa60d5651ec4591a0136f87653e0fd780c3b1bc872ffdeae479b1",
		  "c37edb6f0ae79d47c3c27e962fa269bb4f441770357e114ee511f662ec34a692"
		  "c820053a05791e521fcaad6042d40aea1d6b1a540138558f47d0719800e18f2d",
		  "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
		  "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
		  "83910e8b48bb0c74244ebdf7f07a1c5413d61472bd941ef3920e623fbccebeb6"
		  "8ddbec54cf8cd5874883841d712142a56a8d0f218f5003cb0296b6b509619f2c",
		  "461d93f31b6540894788fd206c07cfa0cc35f46fa3c91816fff1040ad1581a04"
		  "39af9f15de0db8d97e72719c74820d304ce5226e32dedae67519e840d1194e55"}},
	};
	uint8_t scalar[32], point[65], want[65], hash[64], sig[64], good[64];
	unsigned i, j;

	from_hex(scalar, 32, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
	from_hex(want, 65, "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
			   "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
	CHECK(p256_public(point, scalar) == 0);
	CHECK(memcmp(point, want, 65) == 0);
	for (i = 0; i < ARRAY_SIZE(examples); i++) {
		for (j = 0; j < ARRAY_SIZE(hashes); j++) {
			size_t len = hash_of(j, hash, examples[i].message);

			from_hex(good, 64, examples[i].sig[j]);
			CHECK(p256_sign(sig, scalar, hash, len) == 0);
			if (memcmp(sig, good, 64) != 0)
				printf("# %s, %s\n", hashes[j].name, examples[i].message);
			CHECK(memcmp(sig, good, 64) == 0);
			CHECK(p256_verify(point, hash, len, sig) == 0);
			hash[0] ^= 1;
			CHECK(p256_verify(point, hash, len, sig) < 0);
		}
	}
}

/* From the published list of multiples of G: independent of our own making. */
TEST(multiples_are_those_that_were_published)
{
	static const char *const known[][2] = {
		{"0000000000000000000000000000000000000000000000000000000000000001",
		 "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
		 "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"},
		{"0000000000000000000000000000000000000000000000000000000000000002",
		 "047cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"
		 "07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1"},
		{"0000000000000000000000000000000000000000000000000000000000000003",
		 "045ecbe4d1a6330a44c8f7ef951d4bf165e6c6b721efada985fb41661bc6e7fd6c"
		 "8734640c4998ff7e374b06ce1a64a2ecd82ab036384fb83d9a79b127a27d5032"},
		{"0000000000000000000000000000000000000000000000000000000000000014",
		 "0483a01a9378395bab9bcd6a0ad03cc56d56e6b19250465a94a234dc4c6b28da9a"
		 "76e49b6de2f73234ae6a5eb9d612b75c9f2202bb6923f54ff8240aaa86f640b8"},
		{"000000000000000000000000000000000000000000000000018ebbb95eed0e13",
		 "04339150844ec15234807fe862a86be77977dbfb3ae3d96f4c22795513aeaab82f"
		 "b1c14ddfdc8ec1b2583f51e85a5eb3a155840f2034730e9b5ada38b674336a21"},
	};
	uint8_t scalar[32], point[65], want[65];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		from_hex(scalar, 32, known[i][0]);
		from_hex(want, 65, known[i][1]);
		CHECK(p256_public(point, scalar) == 0);
		CHECK(memcmp(point, want, 65) == 0);
	}
}

TEST(multiples_are_those_of_textbook_arithmetic)
{
	FILE *f = data_file("tests/data/p256/multiples");
	uint8_t scalar[32], want[65] = {4}, got[65], zero[32] = {0};
	char k[65], x[65], y[65], g_hex[131];
	unsigned n = 0;

	for (; fscanf(f, "%64s %64s %64s", k, x, y) == 3; n++) {
		uint8_t g[65];

		from_hex(scalar, 32, k);
		from_hex(want + 1, 32, x);
		from_hex(want + 33, 32, y);
		if (n == 0)
			snprintf(g_hex, sizeof(g_hex), "04%s%s", x, y);
		from_hex(g, 65, g_hex);
		CHECK(p256_public(got, scalar) == 0 && memcmp(got, want, 65) == 0);
		CHECK(p256_shared(got, scalar, g) == 0 && memcmp(got, want, 65) == 0);
		CHECK(p256_muladd(got, scalar, g, zero, NULL) == 0 && memcmp(got, want, 65) == 0);
		CHECK(p256_muladd(got, zero, want, scalar, NULL) == 0 && memcmp(got, want, 65) == 0);
		CHECK(p256_muladd(got, zero, want, scalar, g) == 0 && memcmp(got, want, 65) == 0);
	}
	CHECK_INT(n, 80);
	fclose(f);
}

/* What BearSSL refuses though it is right: the sum behind a signature has no other part than the key's. */
static bool beyond_bearssl(const uint8_t *hash, size_t len)
{
	uint8_t z[32] = {0}, zero[32] = {0};

	memcpy(len < 32 ? z + 32 - len : z, hash, len < 32 ? len : 32);
	return strcmp(p256_implementation(), "bearssl") == 0 &&
	       (memcmp(z, zero, 32) == 0 || memcmp(z, p256_order, 32) == 0);
}

TEST(signatures_are_judged_as_the_standard_says)
{
	FILE *f = data_file("tests/data/p256/signatures");
	char verdict[4], name[64], point_hex[131], hash_hex[201], sig_hex[129];
	unsigned yes = 0, no = 0;

	while (fscanf(f, "%3s %63s %130s %200s %128s", verdict, name, point_hex, hash_hex, sig_hex) == 5) {
		uint8_t point[65], hash[100], sig[64];
		size_t hash_len = kit_hex(hash, sizeof(hash), hash_hex);
		int want = strcmp(verdict, "yes") == 0 ? 0 : -1;

		from_hex(point, 65, point_hex);
		from_hex(sig, 64, sig_hex);
		if (p256_verify(point, hash, hash_len, sig) != want && !beyond_bearssl(hash, hash_len)) {
			printf("# %s: should be %s\n", name, verdict);
			tap_failures++;
		}
		yes += want == 0;
		no += want < 0;
	}
	CHECK_INT(yes, 40);
	CHECK_INT(no, 89);
	fclose(f);
}

TEST(scalars_out_of_range_are_refused)
{
	uint8_t scalar[32], other[32], point[65], out[65], sig[64], zeros[65] = {0};
	static const uint8_t hash[32] = {1};
	unsigned i;

	kit_scalar(other);
	REQUIRE(p256_public(point, other) == 0);
	for (i = 0; i < 4; i++) {
		memset(scalar, i == 3 ? 0xff : 0, sizeof(scalar));	/* 0; n; n + 1; all ones */
		if (i == 1 || i == 2)
			memcpy(scalar, p256_order, sizeof(scalar));
		if (i == 2)
			scalar[31]++;
		CHECK(p256_public(out, scalar) < 0);
		memset(out, 0xaa, sizeof(out));
		CHECK(p256_shared(out, scalar, point) < 0 && memcmp(out, zeros, 65) == 0);
		CHECK(p256_sign(sig, scalar, hash, sizeof(hash)) < 0);
		if (i > 0) {
			memset(out, 0xaa, sizeof(out));
			CHECK(p256_muladd(out, scalar, point, other, NULL) < 0 && memcmp(out, zeros, 65) == 0);
			CHECK(p256_muladd(out, other, point, scalar, NULL) < 0);
		}
	}
	memcpy(scalar, p256_order, sizeof(scalar));
	scalar[31]--;
	CHECK(p256_public(out, scalar) == 0);
	CHECK(p256_sign(sig, scalar, hash, sizeof(hash)) == 0);
	CHECK(p256_verify(out, hash, sizeof(hash), sig) == 0);
}

TEST(hashes_of_unknown_length_are_not_signed)
{
	uint8_t scalar[32] = {[31] = 7}, hash[100] = {1}, sig[64];
	size_t len;

	for (len = 0; len <= sizeof(hash); len++) {
		bool known = len == 20 || len == 28 || len == 32 || len == 48 || len == 64;

		CHECK_INT(p256_sign(sig, scalar, hash, len), known ? 0 : -1);
	}
}

/* Also those with a coordinate of p and more, and those of another form; out is wiped. */
TEST(points_not_on_the_curve_are_refused)
{
	uint8_t scalar[32], good[65], bad[65], out[65], zeros[65] = {0};
	unsigned i, bit;

	kit_scalar(scalar);
	REQUIRE(p256_public(good, scalar) == 0);
	CHECK(p256_check(good) == 0);
	for (i = 0; i < 260; i++) {
		memcpy(bad, good, 65);
		bit = i < 8 ? i : 8 + kit_below(512);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(p256_check(bad) < 0);
		if (i % 4 != 0)
			continue;
		memset(out, 0xaa, sizeof(out));
		CHECK(p256_shared(out, scalar, bad) < 0 && memcmp(out, zeros, 65) == 0);
		CHECK(p256_muladd(out, scalar, bad, scalar, good) < 0);
		CHECK(p256_muladd(out, scalar, good, scalar, bad) < 0);
	}
	memset(bad, 0, sizeof(bad));
	CHECK(p256_check(bad) < 0);
	bad[0] = 4;
	CHECK(p256_check(bad) < 0);
	memset(bad + 1, 0xff, 64);
	CHECK(p256_check(bad) < 0);
}

static void negate(uint8_t k[static 32])
{
	unsigned i, borrow = 0;

	for (i = 32; i-- > 0;) {
		unsigned d = (unsigned)p256_order[i] - k[i] - borrow;

		k[i] = (uint8_t)d;
		borrow = d >> 8 & 1;
	}
}

TEST(sums_that_meet_double_or_vanish)
{
	uint8_t x[32], minus[32], zero[32] = {0}, one[32] = {[31] = 1}, two[32] = {[31] = 2};
	uint8_t a[65], twice[65], out[65], zeros[65] = {0};
	unsigned i;

	for (i = 0; i < 20; i++) {
		kit_scalar(x);
		memcpy(minus, x, 32);
		negate(minus);
		REQUIRE(p256_public(a, x) == 0);
		REQUIRE(p256_shared(twice, two, a) == 0);
		CHECK(p256_muladd(out, one, a, x, NULL) == 0 && memcmp(out, twice, 65) == 0);
		CHECK(p256_muladd(out, one, a, one, a) == 0 && memcmp(out, twice, 65) == 0);
		memset(out, 0xaa, sizeof(out));
		CHECK(p256_muladd(out, one, a, minus, NULL) < 0 && memcmp(out, zeros, 65) == 0);
		CHECK(p256_muladd(out, x, a, minus, a) < 0);
		CHECK(p256_muladd(out, zero, a, zero, NULL) < 0);
		CHECK(p256_muladd(out, zero, a, zero, a) < 0);
		CHECK(p256_muladd(out, one, a, zero, NULL) == 0 && memcmp(out, a, 65) == 0);
		CHECK(p256_muladd(out, zero, a, x, NULL) == 0 && memcmp(out, a, 65) == 0);
	}
}

TEST(both_sides_of_diffie_hellman_agree)
{
	uint8_t x[32], y[32], a[65], b[65];
	unsigned i;

	for (i = 0; i < 50; i++) {
		kit_scalar(x);
		kit_scalar(y);
		REQUIRE(p256_public(a, x) == 0 && p256_public(b, y) == 0);
		CHECK(p256_shared(a, y, a) == 0);	/* in place */
		CHECK(p256_shared(b, x, b) == 0);
		CHECK(memcmp(a, b, 65) == 0);
	}
}

TEST(multiples_are_bearssls)
{
	uint8_t x[32], y[32], a[65], b[65], c[65], ours[65], theirs[65];
	unsigned i, rounds = kit_rounds(200);

	for (i = 0; i < rounds; i++) {
		kit_scalar(x);
		kit_scalar(y);
		CHECK(p256_public(a, x) == 0);
		CHECK_INT(judge()->mulgen(theirs, x, 32, BR_EC_secp256r1), 65);
		CHECK(memcmp(a, theirs, 65) == 0);
		CHECK(p256_shared(b, y, a) == 0);
		CHECK_INT(judge()->mul(theirs, 65, y, 32, BR_EC_secp256r1), 1);
		CHECK(memcmp(b, theirs, 65) == 0);
		if (i % 4 != 0)
			continue;
		memcpy(c, a, 65);
		CHECK(p256_muladd(ours, x, c, y, i % 8 == 0 ? NULL : b) == 0);
		CHECK_INT(judge()->muladd(c, i % 8 == 0 ? NULL : b, 65, x, 32, y, 32, BR_EC_secp256r1), 1);
		CHECK(memcmp(ours, c, 65) == 0);
	}
}

/* Signatures of each by the other's judgement, right and with one bit turned. */
TEST(signatures_are_bearssls)
{
	uint8_t scalar[32], hash[64], point[65], ours[64], theirs[64];
	br_ec_private_key sk = {BR_EC_secp256r1, scalar, 32};
	br_ec_public_key pk = {BR_EC_secp256r1, point, 65};
	unsigned i, rounds = kit_rounds(100);

	for (i = 0; i < rounds; i++) {
		unsigned which = kit_below(ARRAY_SIZE(hashes)), bit = kit_below(512);
		size_t len = hashes[which].class->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;

		kit_scalar(scalar);
		kit_bytes(hash);
		kit_bytes(hash + 32);
		REQUIRE(p256_public(point, scalar) == 0);
		CHECK(p256_sign(ours, scalar, hash, len) == 0);
		CHECK_INT(br_ecdsa_i31_sign_raw(judge(), hashes[which].class, hash, &sk, theirs), 64);
		CHECK(memcmp(ours, theirs, 64) == 0);
		CHECK(p256_verify(point, hash, len, ours) == 0);
		ours[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK_INT(p256_verify(point, hash, len, ours) == 0,
			  br_ecdsa_i31_vrfy_raw(judge(), hash, len, &pk, ours, 64));
	}
}

/* RFC 2104's HMAC in both, over parts of every length: the class keeps BearSSL's promises. */
TEST(the_hash_class_is_sha256)
{
	uint8_t text[300], a[32], b[32], state[32];
	br_hmac_key_context ka, kb;
	br_hmac_context ha, hb;
	br_sha256_context c, d;
	unsigned i;

	for (i = 0; i < 300; i++) {
		unsigned n = kit_below(sizeof(text) + 1), cut = kit_below(n + 1), blocks = cut / 64 * 64;

		for (unsigned j = 0; j < sizeof(text); j++)
			text[j] = (uint8_t)kit_random();
		br_hmac_key_init(&ka, &sha256_class, text, i);
		br_hmac_key_init(&kb, &br_sha256_vtable, text, i);
		br_hmac_init(&ha, &ka, 0);
		br_hmac_init(&hb, &kb, 0);
		br_hmac_update(&ha, text, cut);
		br_hmac_update(&hb, text, cut);
		CHECK_INT(br_hmac_out(&ha, a), 32);
		CHECK_INT(br_hmac_out(&hb, b), 32);
		CHECK(memcmp(a, b, 32) == 0);
		br_hmac_update(&ha, text + cut, n - cut);	/* and on after the answer */
		br_hmac_update(&hb, text + cut, n - cut);
		br_hmac_out(&ha, a);
		br_hmac_out(&hb, b);
		CHECK(memcmp(a, b, 32) == 0);
		/* The state moves from one hand into the other. */
		sha256_class.init(&c.vtable);
		sha256_class.update(&c.vtable, text, blocks);
		br_sha256_init(&d);
		br_sha256_set_state(&d, state, sha256_class.state(&c.vtable, state));
		br_sha256_update(&d, text + blocks, n - blocks);
		sha256_class.update(&c.vtable, text + blocks, n - blocks);
		sha256_class.out(&c.vtable, a);
		br_sha256_out(&d, b);
		CHECK(memcmp(a, b, 32) == 0);
		br_sha256_init(&d);
		br_sha256_update(&d, text, blocks);
		sha256_class.init(&c.vtable);
		sha256_class.set_state(&c.vtable, state, br_sha256_state(&d, state));
		sha256_class.update(&c.vtable, text + blocks, n - blocks);
		sha256_class.out(&c.vtable, b);
		CHECK(memcmp(a, b, 32) == 0);
	}
}
