/* lib/sys: clocks and random bytes. */
#include "tap.h"

#include "sys/clock.h"
#include "sys/rng.h"

TEST(clocks_agree_and_move)
{
	int64_t s = clock_now_s(), ms = clock_now_ms(), a = clock_mono_ms(), b;

	CHECK(ms / 1000 - s <= 1 && ms / 1000 - s >= -1);
	usleep(3000);
	b = clock_mono_ms();
	CHECK(b > a && b - a < 60000);
}

TEST(random_bytes_differ_and_stay_below)
{
	unsigned char a[64] = {0}, b[64] = {0};
	unsigned seen = 0, i;

	rng_bytes(a, sizeof(a));
	rng_bytes(b, sizeof(b));
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	for (i = 0; i < 1000; i++) {
		uint32_t v = rng_below(7);

		CHECK(v < 7);
		seen |= 1u << v;
	}
	CHECK_INT(seen, 0x7f);
	CHECK_INT(rng_below(1), 0);
}
