/*
 * Proves that no branch and no address in P-256 depends on a secret, in the machine code that the compiler made: run by
 * valgrind, which is told that the secrets are not initialised, and complains about every jump and every load that they
 * decide. `make ct` does it. With the argument "leak" it commits such a branch, to see whether it would be found.
 */
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include "crypto/p256.h"
#include "crypto/p256_reveal.h"

/* Stands in for that of lib.a: what goes through here may be known, so that valgrind need not follow it. */
bool p256_reveal(uint64_t yes)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(&yes, sizeof(yes));
	return yes != 0;
}

static void hide(void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_UNDEFINED(p, n);
}

static void show(void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

/* A scalar of many zeros, of many ones, of mixed digits: each would go another way if there were ways. */
static void scalar_make(uint8_t k[static P256_LEN], unsigned kind)
{
	unsigned i;

	for (i = 0; i < P256_LEN; i++)
		k[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)(i * 73 + 11);
	k[0] &= 0x7f;
	k[31] |= 1;
}

static int all(unsigned kind, const uint8_t peer[static P256_POINT_LEN])
{
	uint8_t k[P256_LEN], point[P256_POINT_LEN], hash[64] = {1, 2, 3}, sig[P256_SIG_LEN];
	static const size_t lens[] = {20, 32, 48, 64};
	int r = 0;
	size_t i;

	scalar_make(k, kind);
	hide(k, sizeof(k));
	r |= p256_public(point, k);
	show(point, sizeof(point));
	r |= p256_check(point);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		r |= p256_sign(sig, k, hash, lens[i]);
		show(sig, sizeof(sig));
		r |= p256_verify(point, hash, lens[i], sig);
	}
	r |= p256_shared(point, k, peer);
	show(point, sizeof(point));
	r |= p256_check(point);
	return r;
}

static int leak(void)
{
	volatile uint8_t k[P256_LEN] = {1};

	hide((void *)(uintptr_t)k, sizeof(k));
	if (k[3] == 7)
		printf("seven\n");
	return 0;
}

int main(int argc, char **argv)
{
	static const uint8_t one[P256_LEN] = {[31] = 1};
	uint8_t g[P256_POINT_LEN];
	unsigned kind;
	int r = 0;

	if (RUNNING_ON_VALGRIND == 0) {
		fprintf(stderr, "%s: to be run by valgrind; `make ct` does\n", argv[0]);
		return 2;
	}
	if (argc > 1 && strcmp(argv[1], "leak") == 0)
		return leak();
	if (p256_public(g, one) < 0)
		return 1;
	for (kind = 0; kind < 3; kind++)
		r |= all(kind, g);
	printf("%s: %s\n", p256_implementation(), r == 0 ? "done" : "wrong results");
	return r == 0 ? 0 : 1;
}
