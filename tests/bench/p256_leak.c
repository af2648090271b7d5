/*
 * Whether the time of P-256 tells its secrets: Welch's t between the times with one fixed scalar and with random ones, in
 * random order (after Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", eprint 2016/1123).
 *
 *	make build/tests/bench/p256_leak && build/tests/bench/p256_leak [MEASUREMENTS]
 *
 * For each operation and each fixed scalar the t of all measurements and the largest |t| among those of the fastest 99, 95,
 * 90, 75 and 50 of 100, which the rest of the machine disturbs less. Below 4.5 nothing was seen; above 10 there is something. Last
 * comes an operation on public numbers, which may differ and does: the measurement is worth something if it sees that.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/p256.h"
#include "sys/rng.h"

struct measurement {
	int64_t ns;
	uint8_t fixed;
	uint8_t scalar[P256_LEN];
};

static uint8_t peer[P256_POINT_LEN];

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int op_public(const uint8_t k[static P256_LEN])
{
	uint8_t out[P256_POINT_LEN];

	return p256_public(out, k);
}

static int op_shared(const uint8_t k[static P256_LEN])
{
	uint8_t out[P256_POINT_LEN];

	return p256_shared(out, k, peer);
}

static int op_sign(const uint8_t k[static P256_LEN])
{
	static const uint8_t hash[32] = {1, 2, 3};
	uint8_t sig[P256_SIG_LEN];

	return p256_sign(sig, k, hash, sizeof(hash));
}

static int op_muladd(const uint8_t k[static P256_LEN])
{
	static const uint8_t one[P256_LEN] = {[31] = 1};
	uint8_t out[P256_POINT_LEN];

	return p256_muladd(out, k, peer, one, NULL);
}

/* Welch's t of the measurements that took at most `limit`. */
static double welch(const struct measurement *m, size_t n, int64_t limit)
{
	double count[2] = {0, 0}, mean[2] = {0, 0}, squares[2] = {0, 0};
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned c = m[i].fixed;
		double d;

		if (m[i].ns > limit)
			continue;
		count[c]++;
		d = (double)m[i].ns - mean[c];
		mean[c] += d / count[c];
		squares[c] += d * ((double)m[i].ns - mean[c]);
	}
	return (mean[0] - mean[1]) / sqrt(squares[0] / (count[0] - 1) / count[0] + squares[1] / (count[1] - 1) / count[1]);
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *op, const char *name, const struct measurement *m, size_t n)
{
	static const size_t percents[] = {99, 95, 90, 75, 50};
	int64_t *sorted = malloc(n * sizeof(*sorted));
	double most = 0;
	size_t i;

	if (sorted == NULL)
		exit(1);
	for (i = 0; i < n; i++)
		sorted[i] = m[i].ns;
	qsort(sorted, n, sizeof(*sorted), by_size);
	for (i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		double t = welch(m, n, sorted[n * percents[i] / 100]);

		if (fabs(t) > fabs(most))
			most = t;
	}
	printf("%-8s %-12s median %6.1f us  t %7.2f  cropped %7.2f\n", op, name, (double)sorted[n / 2] / 1e3,
	       welch(m, n, INT64_MAX), most);
	fflush(stdout);
	free(sorted);
}

/* The inputs are made before the clock runs, and lie in memory alike. */
static void measure(const char *op, int (*run)(const uint8_t k[static P256_LEN]), const char *name,
		    const uint8_t fixed[static P256_LEN], struct measurement *m, size_t n)
{
	uint8_t k[P256_LEN];
	size_t i;

	for (i = 0; i < n; i++) {
		m[i].fixed = (uint8_t)(rng_below(2) == 0);
		rng_bytes(m[i].scalar, P256_LEN);
		m[i].scalar[0] &= 0x7f;
		if (m[i].fixed)
			memcpy(m[i].scalar, fixed, P256_LEN);
	}
	for (i = 0; i < n; i++) {
		int64_t start;

		memcpy(k, m[i].scalar, sizeof(k));
		start = now_ns();
		if (run(k) < 0)
			exit(1);
		m[i].ns = now_ns() - start;
	}
	report(op, name, m, n);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const uint8_t k[static P256_LEN]);
	} ops[] = {{"public", op_public}, {"shared", op_shared}, {"sign", op_sign}};
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000, i;
	struct measurement *m = malloc((n + 1) * sizeof(*m));
	uint8_t one[P256_LEN] = {[31] = 1}, last[P256_LEN], random[P256_LEN];

	rng_bytes(random, sizeof(random));
	random[0] &= 0x7f;
	/* n - 1 */
	memcpy(last, "\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
		     "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x50", sizeof(last));
	if (m == NULL || n < 100 || p256_public(peer, random) < 0)
		return 1;
	printf("%s, %zu measurements each\n", p256_implementation(), n);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		measure(ops[i].name, ops[i].run, "1", one, m, n);
		measure(ops[i].name, ops[i].run, "n - 1", last, m, n);
		measure(ops[i].name, ops[i].run, "one random", random, m, n);
	}
	measure("muladd", op_muladd, "1 (public)", one, m, n);
	free(m);
	return 0;
}
