/*
 * Microseconds of processor time that an operation on P-256 takes: ours, BearSSL's, OpenSSL's.
 *
 *	make build/tests/bench/p256 && build/tests/bench/p256 [SECONDS]
 *
 * Ours and BearSSL's take turns of a tenth of a second, so that both meet the same machine, and the best turn of each counts,
 * as well as the median. OpenSSL's come from `openssl speed -seconds SECONDS ecdsap256 ecdhp256`, which the program runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bearssl.h>

#include "crypto/hash.h"
#include "crypto/hash_class.h"
#include "crypto/p256.h"
#include "crypto/x25519.h"
#include "sys/rng.h"

#define TURNS_MAX 200

static uint8_t scalar[P256_LEN], point[P256_POINT_LEN], hash[32], sig[P256_SIG_LEN], out[P256_POINT_LEN];
static br_ec_private_key sk = {BR_EC_secp256r1, scalar, sizeof(scalar)};
static br_ec_public_key pk = {BR_EC_secp256r1, point, sizeof(point)};

static int ours_sign(void) { return p256_sign(sig, scalar, hash, sizeof(hash)); }
static int ours_verify(void) { return p256_verify(point, hash, sizeof(hash), sig); }
static int ours_public(void) { return p256_public(out, scalar); }
static int ours_shared(void) { return p256_shared(out, scalar, point); }
static int ours_check(void) { return p256_check(point); }
static int ours_x25519(void) { return x25519_shared(out, scalar, point + 1); }

static int their_sign(void)
{
	return br_ecdsa_i31_sign_raw(br_ec_get_default(), &br_sha256_vtable, hash, &sk, sig) == 64 ? 0 : -1;
}

static int their_verify(void)
{
	return br_ecdsa_i31_vrfy_raw(br_ec_get_default(), hash, sizeof(hash), &pk, sig, sizeof(sig)) == 1 ? 0 : -1;
}

static int their_public(void)
{
	return br_ec_get_default()->mulgen(out, scalar, sizeof(scalar), BR_EC_secp256r1) == 65 ? 0 : -1;
}

static int their_shared(void)
{
	memcpy(out, point, sizeof(out));
	return br_ec_get_default()->mul(out, sizeof(out), scalar, sizeof(scalar), BR_EC_secp256r1) == 1 ? 0 : -1;
}

static int their_check(void)
{
	static const unsigned char one[1] = {1};

	memcpy(out, point, sizeof(out));
	return br_ec_get_default()->mul(out, sizeof(out), one, 1, BR_EC_secp256r1) == 1 ? 0 : -1;
}

static int their_x25519(void)
{
	memcpy(out, point + 1, 32);
	return br_ec_get_default()->mul(out, 32, scalar, sizeof(scalar), BR_EC_curve25519) == 1 ? 0 : -1;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Microseconds of one call, from as many as a tenth of a second holds. */
static double turn(int (*run)(void))
{
	double start = seconds(), end;
	unsigned n = 0, i;

	do {
		for (i = 0; i < 16; i++)
			if (run() < 0)
				exit(1);
		n += 16;
		end = seconds();
	} while (end - start < 0.1);
	return (end - start) / n * 1e6;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void compare(const char *name, int (*ours)(void), int (*theirs)(void), unsigned turns)
{
	double a[TURNS_MAX], b[TURNS_MAX];
	unsigned i;

	for (i = 0; i < turns; i++) {
		a[i] = turn(ours);
		b[i] = turn(theirs);
	}
	qsort(a, turns, sizeof(a[0]), by_size);
	qsort(b, turns, sizeof(b[0]), by_size);
	printf("%-28s %7.1f %7.1f   %7.1f %7.1f   %5.1f\n", name, a[0], a[turns / 2], b[0], b[turns / 2],
	       b[turns / 2] / a[turns / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
	unsigned turns = wanted < 1 || wanted > TURNS_MAX / 10 ? 20 : (unsigned)wanted * 10;
	char command[128];

	rng_bytes(scalar, sizeof(scalar));
	rng_bytes(hash, sizeof(hash));
	scalar[0] &= 0x7f;
	if (ours_public() < 0)
		return 1;
	memcpy(point, out, sizeof(point));
	printf("%s, SHA-256 %s\nmicroseconds                 ours: best, median   BearSSL: best, median   ratio\n",
	       p256_implementation(), sha256_implementation());
	compare("ECDSA sign", ours_sign, their_sign, turns);
	compare("ECDSA verify", ours_verify, their_verify, turns);
	compare("public key", ours_public, their_public, turns);
	compare("ECDH", ours_shared, their_shared, turns);
	compare("point on the curve?", ours_check, their_check, turns);
	compare("X25519 (libsodium)", ours_x25519, their_x25519, turns);
	snprintf(command, sizeof(command), "openssl speed -seconds %u ecdsap256 ecdhp256 2>/dev/null | tail -n 4", turns / 10);
	return system(command) == 0 ? 0 : 1;
}
