/*
 * P-256 by ours and by BearSSL: one operation, the first byte says which, on the numbers that follow. Missing bytes are 0. Where
 * BearSSL departs from the standard (a factor or a hash of 0) it is not asked.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <bearssl.h>

#include "crypto/p256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static void take(struct input *in, uint8_t *out, size_t n)
{
	size_t have = in->left < n ? in->left : n;

	memset(out, 0, n);
	if (have > 0)
		memcpy(out, in->at, have);
	in->at += have;
	in->left -= have;
}

static void same(bool yes)
{
	if (!yes)
		abort();
}

static const br_ec_impl *judge(void)
{
	return br_ec_get_default();
}

static bool below_order(const uint8_t k[static 32])
{
	size_t len;

	return memcmp(k, judge()->order(BR_EC_secp256r1, &len), 32) < 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static bool in_range(const uint8_t k[static 32])
{
	return below_order(k) && !is_zero(k, 32);
}

/* A point as it stands, or that of a scalar in its place. */
static void take_point(struct input *in, uint8_t point[static 65])
{
	uint8_t kind, k[32];

	take(in, &kind, 1);
	if (kind % 2 == 0) {
		take(in, point, 65);
		return;
	}
	take(in, k, 32);
	memset(point, 0, 65);
	(void)!p256_public(point, k);
}

static void try_public(struct input *in)
{
	uint8_t k[32], ours[65], theirs[65];
	int r;

	take(in, k, 32);
	r = p256_public(ours, k);
	same((r == 0) == in_range(k));
	if (r == 0)
		same(judge()->mulgen(theirs, k, 32, BR_EC_secp256r1) == 65 && memcmp(ours, theirs, 65) == 0);
}

static void try_shared(struct input *in)
{
	uint8_t k[32], ours[65], theirs[65];
	int r;

	take(in, k, 32);
	take_point(in, theirs);
	same((p256_check(theirs) == 0) == (judge()->mul(memcpy(ours, theirs, 65), 65, (const uint8_t *)"\1", 1, BR_EC_secp256r1) == 1));
	r = p256_shared(ours, k, theirs);
	same(r == 0 || is_zero(ours, 65));
	same((r == 0) == (in_range(k) && judge()->mul(theirs, 65, k, 32, BR_EC_secp256r1) == 1));
	same(r < 0 || memcmp(ours, theirs, 65) == 0);
}

static void try_muladd(struct input *in)
{
	uint8_t x[32], y[32], a[65], b[65], ours[65];
	bool by_base;
	uint8_t kind;
	int r;

	take(in, &kind, 1);
	by_base = kind % 2 == 0;
	take(in, x, 32);
	take(in, y, 32);
	take_point(in, a);
	take_point(in, b);
	r = p256_muladd(ours, x, a, y, by_base ? NULL : b);
	same(r == 0 || is_zero(ours, 65));
	if (!in_range(x) || !in_range(y)) {
		same(r < 0 || (below_order(x) && below_order(y)));
		return;
	}
	same((r == 0) == (judge()->muladd(a, by_base ? NULL : b, 65, x, 32, y, 32, BR_EC_secp256r1) == 1));
	same(r < 0 || memcmp(ours, a, 65) == 0);
}

static void try_sign(struct input *in)
{
	static const br_hash_class *const classes[] = {&br_sha1_vtable, &br_sha224_vtable, &br_sha256_vtable, &br_sha384_vtable,
						       &br_sha512_vtable};
	uint8_t kind, k[32], hash[64], ours[64], theirs[64], point[65];
	br_ec_private_key sk = {BR_EC_secp256r1, k, 32};
	const br_hash_class *class;
	size_t len, bit;
	int r;

	take(in, &kind, 1);
	class = classes[kind % 5];
	len = class->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;
	take(in, k, 32);
	take(in, hash, 64);
	r = p256_sign(ours, k, hash, len);
	same((r == 0) == in_range(k));
	if (r < 0)
		return;
	same(br_ecdsa_i31_sign_raw(judge(), class, hash, &sk, theirs) == 64 && memcmp(ours, theirs, 64) == 0);
	same(p256_public(point, k) == 0);
	if (!is_zero(hash, 32))
		same(p256_verify(point, hash, len, ours) == 0);
	take(in, &kind, 1);
	bit = (size_t)kind * 2 % 512;
	ours[bit / 8] ^= (uint8_t)(1u << bit % 8);
	same(p256_verify(point, hash, len, ours) < 0);
}

static void try_verify(struct input *in)
{
	uint8_t point[65], sig[64], hash[64], z[32] = {0};
	br_ec_public_key pk = {BR_EC_secp256r1, point, 65};
	size_t len;
	int r;

	take_point(in, point);
	take(in, sig, 64);
	len = in->left < 64 ? in->left : 64;
	take(in, hash, len);
	memcpy(len < 32 ? z + 32 - len : z, hash, len < 32 ? len : 32);
	r = p256_verify(point, hash, len, sig);
	if (!in_range(sig) || !in_range(sig + 32))
		same(r < 0);
	else if (in_range(z))
		same((r == 0) == (br_ecdsa_i31_vrfy_raw(judge(), hash, len, &pk, sig, 64) == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(struct input *in) = {try_public, try_shared, try_muladd, try_sign, try_verify};
	struct input in = {data, size};
	uint8_t which;

	take(&in, &which, 1);
	tries[which % 5](&in);
	return 0;
}
