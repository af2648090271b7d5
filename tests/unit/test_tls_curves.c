/* Curves, signatures and secrets of a handshake: RFC 7748's vectors, and BearSSL's own arithmetic as the judge of all the rest. */
#include "tap.h"

#include "base/encode.h"
#include "crypto/ecdsa.h"
#include "crypto/key.h"
#include "crypto/x25519.h"
#include "net/tls_internal.h"
#include "sys/rng.h"

static void from_hex(uint8_t out[static 32], const char *hex)
{
	struct error err = ERROR_INIT;

	REQUIRE(hex_decode(out, 32, slice_str(hex), &err) == 0);
}

/* RFC 7748, section 5.2 and 6.1. */
TEST(x25519_gives_the_values_of_the_rfc)
{
	static const struct {
		const char *scalar, *point, *shared;
	} vectors[] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
		{"77076d0a7318a57d3c16c17251b26645df4c2ddf5c0b9d1d0e4c3a6b0d4b6b5d", NULL, NULL},
	};
	uint8_t scalar[32], point[32], shared[32], want[32], nine[32] = {9};
	unsigned i;

	for (i = 0; vectors[i].point != NULL; i++) {
		from_hex(scalar, vectors[i].scalar);
		from_hex(point, vectors[i].point);
		from_hex(want, vectors[i].shared);
		CHECK(x25519_shared(shared, scalar, point) == 0);
		CHECK(memcmp(shared, want, 32) == 0);
	}
	/* Any scalar: its public value is what it makes of the base point. */
	from_hex(scalar, vectors[i].scalar);
	x25519_public(point, scalar);
	CHECK(x25519_shared(shared, scalar, nine) == 0);
	CHECK(memcmp(shared, point, 32) == 0);
}

TEST(points_of_small_order_agree_on_nothing)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t scalar[32], point[32], shared[32];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		rng_bytes(scalar, sizeof(scalar));
		from_hex(point, points[i]);
		CHECK(x25519_shared(shared, scalar, point) < 0);
		CHECK(tls_curves.mul(point, 32, scalar, 32, BR_EC_curve25519) == 0);
	}
}

/* Scalars of every length that BearSSL may hand over, any point (the high bit of one counts for nothing). */
TEST(curve25519_is_what_bearssl_computes)
{
	const br_ec_impl *judge = br_ec_get_default();
	uint8_t x[32], ours[32], theirs[32];
	unsigned i;

	for (i = 0; i < 400; i++) {
		size_t len = i < 300 ? 32 : rng_below(33);

		rng_bytes(x, sizeof(x));
		CHECK_INT(tls_curves.mulgen(ours, x, len, BR_EC_curve25519), 32);
		CHECK_INT(judge->mulgen(theirs, x, len, BR_EC_curve25519), 32);
		CHECK(memcmp(ours, theirs, 32) == 0);
		rng_bytes(ours, sizeof(ours));
		memcpy(theirs, ours, sizeof(ours));
		CHECK_INT(tls_curves.mul(ours, 32, x, len, BR_EC_curve25519), 1);
		CHECK_INT(judge->mul(theirs, 32, x, len, BR_EC_curve25519), 1);
		CHECK(memcmp(ours, theirs, 32) == 0);
	}
	CHECK(tls_curves.mul(ours, 31, x, 32, BR_EC_curve25519) == 0);
	CHECK(tls_curves.mul(ours, 32, x, 33, BR_EC_curve25519) == 0);
	CHECK_INT(tls_curves.mulgen(ours, x, 33, BR_EC_curve25519), 0);
}

/* Scalars of every length that BearSSL may hand over, 0 and n alone refused. */
TEST(p256_is_what_bearssl_computes)
{
	const br_ec_impl *judge = br_ec_get_default();
	uint8_t x[33], y[32], ours[65], theirs[65], none[65] = {4};
	size_t n;
	unsigned i;

	for (i = 0; i < 60; i++) {
		size_t len = i < 20 ? 32 : 1 + rng_below(32), y_len = 1 + rng_below(32);

		rng_bytes(x, sizeof(x));
		rng_bytes(y, sizeof(y));
		x[0] &= 0x7f;
		y[0] &= 0x7f;
		x[len - 1] |= 1;
		y[y_len - 1] |= 1;
		CHECK_INT(tls_curves.mulgen(ours, x, len, BR_EC_secp256r1), 65);
		CHECK_INT(judge->mulgen(theirs, x, len, BR_EC_secp256r1), 65);
		CHECK(memcmp(ours, theirs, 65) == 0);
		CHECK_INT(tls_curves.mul(ours, 65, y, y_len, BR_EC_secp256r1), 1);
		CHECK_INT(judge->mul(theirs, 65, y, y_len, BR_EC_secp256r1), 1);
		CHECK(memcmp(ours, theirs, 65) == 0);
		CHECK_INT(tls_curves.muladd(ours, NULL, 65, x, len, y, y_len, BR_EC_secp256r1), 1);
		CHECK_INT(judge->muladd(theirs, NULL, 65, x, len, y, y_len, BR_EC_secp256r1), 1);
		CHECK(memcmp(ours, theirs, 65) == 0);
	}
	CHECK_INT(tls_curves.mul(ours, 64, x, 32, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.mul(ours, 33, x, 32, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.mul(ours, 65, x, 33, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.mulgen(ours, x, 33, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.muladd(ours, NULL, 64, x, 32, x, 32, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.muladd(ours, NULL, 65, x, 33, x, 32, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.muladd(ours, NULL, 65, x, 32, x, 33, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.mul(none, 65, x, 32, BR_EC_secp256r1), 0);
	memset(x, 0, sizeof(x));
	CHECK_INT(tls_curves.mulgen(ours, x, 32, BR_EC_secp256r1), 0);
	CHECK_INT(tls_curves.mulgen(ours, x, 0, BR_EC_secp256r1), 0);
	memcpy(x, tls_curves.order(BR_EC_secp256r1, &n), 32);
	CHECK_INT(n, 32);
	CHECK_INT(tls_curves.mulgen(ours, x, 32, BR_EC_secp256r1), 0);
}

/* Ours by BearSSL's judgement, BearSSL's by ours, with every hash of the engine. */
TEST(signatures_of_a_handshake_are_bearssls)
{
	static const br_hash_class *const hashes[] = {&br_sha256_vtable, &br_sha384_vtable, &br_sha512_vtable};
	static const size_t lens[] = {32, 48, 64};
	uint8_t scalar[32], point[65], hash[64], ours[80], theirs[80];
	br_ec_private_key sk = {BR_EC_secp256r1, scalar, 32};
	br_ec_public_key pk = {BR_EC_secp256r1, point, 65};
	unsigned i;

	for (i = 0; i < 30; i++) {
		size_t n, len = lens[i % 3];

		rng_bytes(scalar, sizeof(scalar));
		rng_bytes(hash, sizeof(hash));
		scalar[0] &= 0x7f;
		REQUIRE(tls_curves.mulgen(point, scalar, 32, BR_EC_secp256r1) == 65);
		n = tls_ecdsa_sign(&tls_curves, hashes[i % 3], hash, &sk, ours);
		CHECK_INT(br_ecdsa_i31_sign_asn1(br_ec_get_default(), hashes[i % 3], hash, &sk, theirs), n);
		CHECK(n > 0 && memcmp(ours, theirs, n) == 0);
		CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, len, &pk, theirs, n), 1);
		ours[n - 1 - rng_below(20)] ^= 1;
		CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, len, &pk, ours, n), 0);
		hash[rng_below(32)] ^= 1;
		CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, len, &pk, theirs, n), 0);
	}
	sk.xlen = 31;
	CHECK_INT(tls_ecdsa_sign(&tls_curves, hashes[0], hash, &sk, ours), 0);
	sk = (br_ec_private_key){BR_EC_secp384r1, scalar, 32};
	CHECK_INT(tls_ecdsa_sign(&tls_curves, hashes[0], hash, &sk, ours), 0);
	sk = (br_ec_private_key){BR_EC_secp256r1, scalar, 32};
	CHECK_INT(tls_ecdsa_sign(&tls_curves, &br_md5_vtable, hash, &sk, ours), 0);
}

/* r and s as DER has them, and in no other way; keys of one length. */
TEST(signatures_of_a_handshake_are_strict_der)
{
	uint8_t scalar[32] = {[31] = 9}, point[66], hash[32] = {1}, raw[64];
	br_ec_private_key sk = {BR_EC_secp256r1, scalar, 32};
	br_ec_public_key pk = {BR_EC_secp256r1, point, 65};
	uint8_t sig[80], odd[80];
	size_t n, i;

	REQUIRE(tls_curves.mulgen(point, scalar, 32, BR_EC_secp256r1) == 65);
	n = tls_ecdsa_sign(&tls_curves, &br_sha256_vtable, hash, &sk, sig);
	REQUIRE(n > 8);
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, sig, n), 1);
	for (i = 0; i < n; i++)
		CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, sig, i), 0);
	memcpy(odd, sig, n);
	odd[n] = 0;
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, odd, n + 1), 0);
	/* One more zero before r. */
	memcpy(odd, sig, 4);
	odd[1]++;
	odd[3]++;
	odd[4] = 0;
	memcpy(odd + 5, sig + 4, n - 4);
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, odd, n + 1), 0);
	/* The plain numbers without DER. */
	REQUIRE(p256_sign(raw, scalar, hash, 32) == 0);
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, raw, 64), 0);
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, NULL, 0), 0);
	pk.qlen = 64;
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, sig, n), 0);
	pk.qlen = 66;
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, sig, n), 0);
	pk.qlen = 33;	/* compressed */
	point[0] = 2;
	CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 32, &pk, sig, n), 0);
}

TEST(secrets_are_derived_as_bearssl_does)
{
	uint8_t secret[100], seed[2][80], ours[200], theirs[200];
	unsigned i;

	for (i = 0; i < 300; i++) {
		br_tls_prf_seed_chunk chunks[2] = {{seed[0], rng_below(81)}, {seed[1], rng_below(81)}};
		size_t len = i == 0 ? 0 : rng_below(201), secret_len = rng_below(101), count = rng_below(3);

		rng_bytes(secret, sizeof(secret));
		rng_bytes(seed, sizeof(seed));
		memset(ours, 0, sizeof(ours));
		memset(theirs, 0, sizeof(theirs));
		tls_prf_sha256(ours, len, secret, secret_len, i % 2 ? "master secret" : "", count, chunks);
		br_tls12_sha256_prf(theirs, len, secret, secret_len, i % 2 ? "master secret" : "", count, chunks);
		CHECK(memcmp(ours, theirs, sizeof(ours)) == 0);
	}
}

/* An intermediate CA may have such a key. */
TEST(signatures_on_other_curves_are_verified_by_bearssl)
{
	static const struct {
		int curve;
		size_t scalar_len, point_len;
	} others[] = {{BR_EC_secp384r1, 48, 97}, {BR_EC_secp521r1, 66, 133}};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(others); i++) {
		uint8_t scalar[66] = {0}, point[133], hash[48] = {7}, sig[160];
		br_ec_private_key sk = {others[i].curve, scalar, others[i].scalar_len};
		br_ec_public_key pk = {others[i].curve, point, others[i].point_len};
		const br_ec_impl *all = br_ec_get_default();
		size_t n;

		scalar[others[i].scalar_len - 1] = 5;
		REQUIRE(all->mulgen(point, scalar, others[i].scalar_len, others[i].curve) == others[i].point_len);
		n = br_ecdsa_i31_sign_asn1(all, &br_sha384_vtable, hash, &sk, sig);
		REQUIRE(n > 0);
		CHECK_INT(tls_ecdsa_verify(all, hash, 48, &pk, sig, n), 1);
		/* In a handshake only on its curves. */
		CHECK_INT(tls_ecdsa_verify(&tls_curves, hash, 48, &pk, sig, n), others[i].curve == BR_EC_secp384r1);
		hash[0] ^= 1;
		CHECK_INT(tls_ecdsa_verify(all, hash, 48, &pk, sig, n), 0);
	}
}

TEST(the_other_curves_are_bearssls)
{
	const br_ec_impl *judge = br_ec_get_default();
	static const int curves[] = {BR_EC_secp256r1, BR_EC_secp384r1};
	uint8_t x[32], a[97], b[97];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(curves); i++) {
		size_t len, same, n;

		CHECK(tls_curves.generator(curves[i], &len) == judge->generator(curves[i], &same) && len == same);
		CHECK(tls_curves.order(curves[i], &len) == judge->order(curves[i], &same) && len == same);
		CHECK_INT(tls_curves.xoff(curves[i], &len), judge->xoff(curves[i], &same));
		CHECK_INT(len, same);
		rng_bytes(x, sizeof(x));
		n = tls_curves.mulgen(a, x, sizeof(x), curves[i]);
		CHECK_INT(judge->mulgen(b, x, sizeof(x), curves[i]), n);
		CHECK(memcmp(a, b, n) == 0);
		CHECK_INT(tls_curves.mul(a, n, x, sizeof(x), curves[i]), 1);
		CHECK_INT(judge->mul(b, n, x, sizeof(x), curves[i]), 1);
		CHECK(memcmp(a, b, n) == 0);
	}
}
