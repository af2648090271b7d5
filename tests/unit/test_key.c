/* Keys and signatures: the standards' examples, openssl's (tests/data/crypto), and what must be refused. */
#include "tap.h"

#include <fcntl.h>

#include "base/encode.h"
#include "crypto/ecdsa.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/pem.h"
#include "sys/file.h"

#define DATA "tests/data/crypto/"

static struct buf file_of(const char *name)
{
	struct buf b = BUF_INIT(65536);
	struct error err = ERROR_INIT;
	char path[128];

	snprintf(path, sizeof(path), DATA "%s", name);
	if (file_read(AT_FDCWD, path, &b, &err) < 0)
		printf("# %s\n", err.text);
	REQUIRE(b.len > 0);
	return b;
}

static int load_pem(struct pubkey *k, const char *name, struct error *err)
{
	struct buf pem = file_of(name);
	int r = pubkey_from_pem(k, buf_slice(&pem), err);

	buf_release(&pem);
	return r;
}

static struct seckey *from_hex(enum key_scheme scheme, const char *hex)
{
	struct error err = ERROR_INIT;
	struct seckey *k;
	uint8_t raw[32];

	REQUIRE(crypto_start(&err) == 0);
	REQUIRE(hex_decode(raw, sizeof(raw), slice_str(hex), &err) == 0);
	k = seckey_from_raw(scheme, slice_of(raw, sizeof(raw)), &err);
	REQUIRE(k != NULL);
	return k;
}

static void check_hex(struct slice s, const char *want)
{
	char hex[1025];

	REQUIRE(s.len <= 512);
	hex_encode(hex, s.ptr, s.len);
	CHECK_STR(hex, want);
}

/* RFC 8032 7.1, TEST 2. */
TEST(ed25519_example_of_the_standard)
{
	struct seckey *k = from_hex(KEY_ED25519, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
	const struct pubkey *pub = seckey_public(k);
	struct error err = ERROR_INIT;
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);

	check_hex(slice_of(pub->data, pub->len), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
	CHECK(seckey_sign(k, SLICE_LIT("\x72"), &sig, &err) == 0);
	check_hex(buf_slice(&sig), "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
				   "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
	CHECK(pubkey_verify(pub, SLICE_LIT("\x72"), buf_slice(&sig), &err) == 0);
	CHECK(pubkey_verify(pub, SLICE_LIT("\x73"), buf_slice(&sig), &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(seckey_p256_scalar(k) == NULL);
	seckey_free(k);
	buf_release(&sig);
}

/* RFC 6979 A.2.5, SHA-256, message "sample": the nonce, and so the signature, is determined. */
TEST(p256_example_of_the_standard)
{
	struct seckey *k = from_hex(KEY_ECDSA_P256, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
	const struct pubkey *pub = seckey_public(k);
	struct error err = ERROR_INIT;
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	uint8_t hash[SHA256_LEN];

	check_hex(slice_of(pub->data, pub->len), "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
						 "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
	CHECK(seckey_sign(k, SLICE_LIT("sample"), &sig, &err) == 0);
	check_hex(buf_slice(&sig), "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
				   "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
	CHECK(pubkey_verify(pub, SLICE_LIT("sample"), buf_slice(&sig), &err) == 0);
	CHECK(pubkey_verify(pub, SLICE_LIT("simple"), buf_slice(&sig), &err) < 0);
	sha256_of(SLICE_LIT("sample"), hash);
	CHECK(pubkey_verify_sha256(pub, hash, buf_slice(&sig), &err) == 0);
	buf_clear(&sig);
	CHECK(seckey_sign_sha256(k, hash, &sig, &err) == 0);
	CHECK(pubkey_verify_sha256(pub, hash, buf_slice(&sig), &err) == 0);
	CHECK(seckey_p256_scalar(k) != NULL);
	seckey_free(k);
	buf_release(&sig);
}

TEST(generated_keys_sign_and_differ)
{
	static const enum key_scheme schemes[] = {KEY_ED25519, KEY_ECDSA_P256};
	struct error err = ERROR_INIT;
	size_t i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct seckey *a = seckey_generate(schemes[i], &err), *b = seckey_generate(schemes[i], &err), *c;
		struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX), raw = BUF_SECRET(64);

		REQUIRE(a != NULL && b != NULL);
		CHECK(pubkey_check(seckey_public(a), &err) == 0);
		CHECK(!pubkey_equal(seckey_public(a), seckey_public(b)));
		CHECK(seckey_sign(a, SLICE_EMPTY, &sig, &err) == 0);
		CHECK(pubkey_verify(seckey_public(a), SLICE_EMPTY, buf_slice(&sig), &err) == 0);
		CHECK(pubkey_verify(seckey_public(b), SLICE_EMPTY, buf_slice(&sig), &err) < 0);
		REQUIRE(seckey_put_raw(a, &raw, &err) == 0);
		c = seckey_from_raw(schemes[i], buf_slice(&raw), &err);
		REQUIRE(c != NULL);
		CHECK(pubkey_equal(seckey_public(a), seckey_public(c)));
		seckey_free(a);
		seckey_free(b);
		seckey_free(c);
		buf_release(&sig);
		buf_release(&raw);
	}
}

TEST(secret_keys_out_of_range_are_refused)
{
	static const char *const bad[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",	/* the order itself */
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	struct error err = ERROR_INIT;
	uint8_t raw[32];
	size_t i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		REQUIRE(hex_decode(raw, 32, slice_str(bad[i]), &err) == 0);
		CHECK(seckey_from_raw(KEY_ECDSA_P256, slice_of(raw, 32), &err) == NULL);
		CHECK_INT(err.kind, ERR_REFUSED);
	}
	CHECK(seckey_from_raw(KEY_ED25519, slice_of(raw, 31), &err) == NULL);
	CHECK(seckey_from_raw(KEY_RSA_PSS_SHA256, slice_of(raw, 32), &err) == NULL);
	CHECK(seckey_generate(KEY_ECDSA_P384, &err) == NULL);
}

TEST(openssl_signatures_hold)
{
	static const struct {
		const char *pem, *sig;
		enum key_scheme scheme;
	} good[] = {
		{"ed25519.pem", "ed25519.sig", KEY_ED25519},
		{"p256.pem", "p256.sig", KEY_ECDSA_P256},
		{"p384.pem", "p384.sig", KEY_ECDSA_P384},
		{"rsa2048.pem", "rsa2048-salt32.sig", KEY_RSA_PSS_SHA256},
		{"rsa2049.pem", "rsa2049-salt32.sig", KEY_RSA_PSS_SHA256},
		{"rsa3072.pem", "rsa3072-salt0.sig", KEY_RSA_PSS_SHA256},
		{"rsa4096.pem", "rsa4096-saltmax.sig", KEY_RSA_PSS_SHA256},
	};
	struct buf msg = file_of("message");
	struct error err = ERROR_INIT;
	struct pubkey k;
	size_t i, at;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct buf sig = file_of(good[i].sig);

		if (load_pem(&k, good[i].pem, &err) < 0)
			printf("# %s: %s\n", good[i].pem, err.text);
		CHECK_INT(k.scheme, good[i].scheme);
		if (pubkey_verify(&k, buf_slice(&msg), buf_slice(&sig), &err) != 0) {
			printf("# %s: %s\n", good[i].sig, err.text);
			CHECK(false);
		}
		CHECK(pubkey_verify(&k, SLICE_LIT("another"), buf_slice(&sig), &err) < 0);
		CHECK(pubkey_verify(&k, buf_slice(&msg), SLICE_EMPTY, &err) < 0);
		CHECK(pubkey_verify(&k, buf_slice(&msg), slice_sub(buf_slice(&sig), 0, sig.len - 1), &err) < 0);
		for (at = 0; at < sig.len; at += 7) {
			sig.ptr[at] ^= 0x04;
			CHECK(pubkey_verify(&k, buf_slice(&msg), buf_slice(&sig), &err) < 0);
			sig.ptr[at] ^= 0x04;
		}
		buf_put_u8(&sig, 0);
		CHECK(pubkey_verify(&k, buf_slice(&msg), buf_slice(&sig), &err) < 0);
		buf_release(&sig);
	}
	buf_release(&msg);
}

TEST(other_kinds_of_rsa_signature_are_refused)
{
	static const char *const sigs[] = {"rsa2048-mgf1-sha1.sig", "rsa2048-pkcs1.sig", "rsa2048-sha512.sig"};
	struct buf msg = file_of("message");
	struct error err = ERROR_INIT;
	struct pubkey k;
	size_t i;

	REQUIRE(load_pem(&k, "rsa2048.pem", &err) == 0);
	for (i = 0; i < ARRAY_SIZE(sigs); i++) {
		struct buf sig = file_of(sigs[i]);

		CHECK(pubkey_verify(&k, buf_slice(&msg), buf_slice(&sig), &err) < 0);
		CHECK_STR(err.text, "the RSA-PSS signature does not hold");
		buf_release(&sig);
	}
	buf_release(&msg);
}

TEST(other_kinds_of_key_are_refused)
{
	static const struct {
		const char *pem, *why;
	} bad[] = {
		{"p521.pem", "the public key is of an algorithm that is not known here"},
		{"x25519.pem", "the public key is of an algorithm that is not known here"},
		{"rsa-pss-oid.pem", "the public key is of an algorithm that is not known here"},
		{"p256-explicit.pem", "the public key is of an algorithm that is not known here"},
		{"p256-compressed.pem", "a public key of 33 bytes does not fit its algorithm"},
		{"rsa1024.pem", "the RSA key has 1024 bits, not 2048 to 4096"},
		{"rsa4104.pem", "the RSA key has 4104 bits, not 2048 to 4096"},
		{"message", "no '-----BEGIN PUBLIC KEY-----' where it is expected"},
	};
	struct error err = ERROR_INIT;
	struct pubkey k;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(load_pem(&k, bad[i].pem, &err) < 0);
		CHECK_STR(err.text, bad[i].why);
	}
}

TEST(points_off_the_curve_are_refused)
{
	static const char *const pems[] = {"p256.pem", "p384.pem"};
	struct error err = ERROR_INIT;
	struct pubkey k;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pems); i++) {
		REQUIRE(load_pem(&k, pems[i], &err) == 0);
		k.data[k.len - 1] ^= 1;
		CHECK(pubkey_check(&k, &err) < 0);
		CHECK_INT(err.kind, ERR_REFUSED);
		memset(k.data + 1, 0, k.len - 1);
		CHECK(pubkey_check(&k, &err) < 0);
		memset(k.data + 1, 0xff, k.len - 1);	/* coordinates not below the field's prime */
		CHECK(pubkey_check(&k, &err) < 0);
	}
}

/* The eight points of small order, in their canonical encodings, and some that are not canonical. */
TEST(small_order_ed25519_keys_are_refused)
{
	static const char *const bad[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0200000000000000000000000000000000000000000000000000000000000000",	/* not on the curve */
	};
	struct pubkey k = {.scheme = KEY_ED25519, .len = 32};
	struct error err = ERROR_INIT;
	uint8_t sig[64] = {1};
	size_t i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		REQUIRE(hex_decode(k.data, 32, slice_str(bad[i]), &err) == 0);
		CHECK(pubkey_check(&k, &err) < 0);
		CHECK_INT(err.kind, ERR_REFUSED);
		/* R = identity, S = 0 would verify for any message under a key of small order. */
		CHECK(pubkey_verify(&k, SLICE_LIT("x"), slice_of(sig, 64), &err) < 0);
	}
}

/* S + L is the same number modulo L, and a second signature for the same message if it were taken. */
TEST(malleable_ed25519_signatures_are_refused)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
					  0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
	struct seckey *k = from_hex(KEY_ED25519, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	struct error err = ERROR_INIT;
	unsigned carry = 0, i;

	REQUIRE(seckey_sign(k, SLICE_LIT("x"), &sig, &err) == 0);
	for (i = 0; i < 32; i++) {
		carry += (unsigned)sig.ptr[32 + i] + order[i];
		sig.ptr[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	CHECK(pubkey_verify(seckey_public(k), SLICE_LIT("x"), buf_slice(&sig), &err) < 0);
	seckey_free(k);
	buf_release(&sig);
}

TEST(ecdsa_signatures_are_strict_der)
{
	static const struct slice bad[] = {
		{(const uint8_t *)"\x30\x06\x02\x01\x00\x02\x01\x01", 8},	/* r = 0 */
		{(const uint8_t *)"\x30\x06\x02\x01\x01\x02\x01\x00", 8},	/* s = 0 */
		{(const uint8_t *)"\x30\x07\x02\x02\x00\x01\x02\x01\x01", 9},	/* padded r */
		{(const uint8_t *)"\x30\x06\x02\x01\x81\x02\x01\x01", 8},	/* negative r */
		{(const uint8_t *)"\x30\x81\x06\x02\x01\x01\x02\x01\x01", 9},	/* long length */
		{(const uint8_t *)"\x30\x06\x02\x01\x01\x02\x01\x01\x00", 9},	/* stray byte outside */
		{(const uint8_t *)"\x30\x07\x02\x01\x01\x02\x01\x01\x00", 9},	/* stray byte inside */
		{(const uint8_t *)"\x30\x03\x02\x01\x01", 5},			/* no s */
		{(const uint8_t *)"\x31\x06\x02\x01\x01\x02\x01\x01", 8},	/* a set */
	};
	struct error err = ERROR_INIT;
	struct pubkey k;
	size_t i;

	REQUIRE(load_pem(&k, "p256.pem", &err) == 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(pubkey_verify(&k, SLICE_LIT("x"), bad[i], &err) < 0);
		CHECK(err.kind == ERR_MALFORMED || err.kind == ERR_REFUSED);
	}
}

/* r is congruent to r + n; where r + n still fits the field it must not verify as well. */
TEST(ecdsa_numbers_not_below_the_order_are_refused)
{
	static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	uint8_t raw[2 * P256_LEN] = {[63] = 1};
	struct buf der = BUF_INIT(SIGNATURE_LEN_MAX);
	struct error err = ERROR_INIT;
	struct pubkey k;

	REQUIRE(load_pem(&k, "p256.pem", &err) == 0);
	REQUIRE(hex_decode(raw, P256_LEN, slice_str(order), &err) == 0);
	ecdsa_put_der(&der, raw, P256_LEN);
	CHECK(pubkey_verify(&k, SLICE_LIT("x"), buf_slice(&der), &err) < 0);
	CHECK_STR(err.text, "r or s of the ECDSA signature is out of range");
	buf_release(&der);
}

TEST(public_keys_round_trip)
{
	static const char *const pems[] = {"ed25519.pem", "p256.pem", "p384.pem", "rsa2048.pem", "rsa4096.pem"};
	struct error err = ERROR_INIT;
	struct pubkey a, b;
	size_t i, cut;

	for (i = 0; i < ARRAY_SIZE(pems); i++) {
		struct buf pem = file_of(pems[i]), again = BUF_INIT(PUBKEY_PEM_MAX), der = BUF_INIT(1024);

		REQUIRE(load_pem(&a, pems[i], &err) == 0);
		pubkey_put_pem(&again, &a);
		CHECK(!again.failed);
		CHECK(slice_equal(buf_slice(&pem), buf_slice(&again)));
		pubkey_put_spki(&der, &a);
		CHECK(pubkey_from_spki(&b, buf_slice(&der), &err) == 0);
		CHECK(pubkey_equal(&a, &b));
		for (cut = 0; cut < der.len; cut++)
			CHECK(pubkey_from_spki(&b, slice_sub(buf_slice(&der), 0, cut), &err) < 0);
		buf_put_u8(&der, 0);
		CHECK(pubkey_from_spki(&b, buf_slice(&der), &err) < 0);
		buf_release(&pem);
		buf_release(&again);
		buf_release(&der);
	}
}

TEST(ssh_lines_are_those_of_ssh_keygen)
{
	static const char *const names[] = {"p256", "p384", "rsa2048"};
	struct error err = ERROR_INIT;
	struct pubkey k;
	char file[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct buf ours = BUF_INIT(4096), theirs;

		snprintf(file, sizeof(file), "%s.ssh", names[i]);
		theirs = file_of(file);
		snprintf(file, sizeof(file), "%s.pem", names[i]);
		REQUIRE(load_pem(&k, file, &err) == 0);
		pubkey_put_ssh(&ours, &k, "");
		buf_put_u8(&ours, '\n');
		CHECK_STR(buf_cstr(&ours), buf_cstr(&theirs));
		buf_release(&ours);
		buf_release(&theirs);
	}
}

TEST(pem_is_tolerant_of_layout_only)
{
	static const char *const good[] = {
		"-----BEGIN X-----\nAQID\n-----END X-----\n",
		"-----BEGIN X-----\r\nAQID\r\n-----END X-----\r\n",
		"\n-----BEGIN X-----\nAQ\nID\n-----END X-----",
		"-----BEGIN X-----\n\nAQID\n-----END X-----\n \n\n",
	};
	static const char *const bad[] = {
		"",
		"AQID",
		"-----BEGIN Y-----\nAQID\n-----END Y-----\n",
		"-----BEGIN X-----\nAQID\n-----END Y-----\n",
		"-----BEGIN X-----\nAQID\n",
		"-----BEGIN X-----\nAQID",
		"-----BEGIN X-----\nAQI\n-----END X-----\n",
		"-----BEGIN X-----\nA QID\n-----END X-----\n",
		"-----BEGIN X-----\nProc-Type: 4\n\nAQID\n-----END X-----\n",
		"-----BEGIN X-----\nAQID\n-----BEGIN X-----\nAQID\n-----END X-----\n",
		"-----BEGIN X-----\nAQID\n-----END X-----\n-----BEGIN X-----\nAQID\n-----END X-----\n",
		"-----BEGIN X-----\nAQID\n-----END X-----\nrest",
		"x-----BEGIN X-----\nAQID\n-----END X-----\n",
	};
	struct error err = ERROR_INIT;
	struct buf der = BUF_INIT(16);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		buf_clear(&der);
		CHECK(pem_get(slice_str(good[i]), "X", &der, &err) == 0);
		CHECK(slice_equal(buf_slice(&der), SLICE_LIT("\1\2\3")));
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		buf_clear(&der);
		CHECK(pem_get(slice_str(bad[i]), "X", &der, &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	buf_release(&der);
}

TEST(pem_chains)
{
	struct slice text = SLICE_LIT("-----BEGIN X-----\nAQID\n-----END X-----\n"
				      "-----BEGIN X-----\nBAUG\n-----END X-----\n");
	struct buf der = BUF_INIT(4);
	struct error err = ERROR_INIT;

	CHECK(pem_next(&text, "X", &der, &err) == 0);
	CHECK(text.len > 0);
	CHECK(pem_next(&text, "X", &der, &err) < 0);	/* the ceiling is four bytes */
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_clear(&der);
	CHECK(pem_next(&text, "X", &der, &err) == 0);
	CHECK(slice_equal(buf_slice(&der), SLICE_LIT("\4\5\6")));
	CHECK_INT(text.len, 0);
	buf_release(&der);
}

TEST(schemes_have_names)
{
	CHECK_INT(key_scheme_by_name(SLICE_LIT("ed25519")), KEY_ED25519);
	CHECK_INT(key_scheme_by_name(SLICE_LIT("rsassa-pss-sha256")), KEY_RSA_PSS_SHA256);
	CHECK_INT(key_scheme_by_name(SLICE_LIT("none")), KEY_NONE);
	CHECK_INT(key_scheme_by_name(SLICE_EMPTY), KEY_NONE);
	CHECK_STR(key_scheme_name(KEY_ECDSA_P384), "ecdsa-sha2-nistp384");
	CHECK_STR(key_scheme_name((enum key_scheme)99), "none");
}

TEST(secrets_compare)
{
	CHECK(secret_equal(SLICE_LIT("abc"), SLICE_LIT("abc")));
	CHECK(!secret_equal(SLICE_LIT("abc"), SLICE_LIT("abd")));
	CHECK(!secret_equal(SLICE_LIT("abc"), SLICE_LIT("ab")));
	CHECK(secret_equal(SLICE_EMPTY, SLICE_EMPTY));
}
