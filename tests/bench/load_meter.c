/* Latencies, and what the kernel tells of another process. */
#include <stdio.h>
#include <time.h>

#include "tests/bench/load.h"

#define SUB_BITS 5	/* 32 buckets for each power of two */

static size_t bucket_of(uint64_t ns)
{
	unsigned top;

	if (ns < 1u << SUB_BITS)
		return (size_t)ns;
	top = 63u - (unsigned)__builtin_clzll(ns);
	return ((size_t)(top - SUB_BITS + 1) << SUB_BITS) + ((ns >> (top - SUB_BITS)) & ((1u << SUB_BITS) - 1));
}

/* The middle of a bucket. */
static double value_of(size_t bucket)
{
	size_t top = bucket >> SUB_BITS, low = bucket & ((1u << SUB_BITS) - 1);

	if (top == 0)
		return (double)low;
	return ((double)low + 0.5 + (1u << SUB_BITS)) * (double)(UINT64_C(1) << (top - 1));
}

void histogram_add(struct histogram *h, int64_t ns)
{
	uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
	size_t b = bucket_of(v);

	h->count++;
	if (v > h->max_ns)
		h->max_ns = v;
	h->bucket[b < ARRAY_SIZE(h->bucket) ? b : ARRAY_SIZE(h->bucket) - 1]++;
}

double histogram_us(const struct histogram *h, double share)
{
	uint64_t want = (uint64_t)((double)h->count * share), seen = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(h->bucket); i++) {
		seen += h->bucket[i];
		if (seen > want)
			return value_of(i) / 1e3;
	}
	return (double)h->max_ns / 1e3;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	return clock_gettime(clock, &t) < 0 ? 0 : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t cpu_ns(int pid)
{
	clockid_t clock;

	return pid == 0 || clock_getcpuclockid(pid, &clock) != 0 ? 0 : clock_ns(clock);
}

long pss_kib(int pid)
{
	char name[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/smaps_rollup", pid);
	f = pid == 0 ? NULL : fopen(name, "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pss: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}
