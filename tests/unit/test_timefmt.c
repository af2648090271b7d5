/* Times, durations and sizes as text: exact, and refused when they are not. */
#include "tap.h"

#include <time.h>

#include "base/timefmt.h"

static struct error err;

static const char *shown(int64_t t)
{
	static char text[TIME_TEXT_LEN];

	return time_text(text, t);
}

TEST(times_are_written)
{
	CHECK_STR(shown(0), "1970-01-01T00:00:00Z");
	CHECK_STR(shown(951827696), "2000-02-29T12:34:56Z");
	CHECK_STR(shown(4102444799), "2099-12-31T23:59:59Z");
	CHECK_STR(shown(TIME_MAX_S), "9999-12-31T23:59:59Z");
	CHECK_STR(shown(-5), "1970-01-01T00:00:00Z");
	CHECK_STR(shown(INT64_MAX), "9999-12-31T23:59:59Z");
}

TEST(times_come_back)
{
	int64_t t, back;

	for (t = 0; t < TIME_MAX_S; t += 86400 * 13 + 3607) {
		REQUIRE(time_parse(&back, slice_str(shown(t)), &err) == 0);
		REQUIRE(back == t);
	}
}

TEST(times_agree_with_the_library)
{
	char want[TIME_TEXT_LEN];
	struct tm tm;
	time_t t;

	for (t = 0; t < 5000000000; t += 86400 * 3 + 12347) {
		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (strcmp(shown(t), want) != 0)
			CHECK_STR(shown(t), want);
	}
}

TEST(times_are_refused)
{
	static const char *const bad[] = {
		"",
		"2026-11-20",
		"2026-11-20T19:30:00",
		"2026-11-20 19:30:00Z",
		"2026-11-20t19:30:00z",
		"2026-11-20T19:30:00.5Z",
		"2026-11-20T19:30:00+00:00",
		"2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2016-12-31T23:59:60Z",
		"1969-12-31T23:59:59Z",
		"+026-01-01T00:00:00Z",
		"2026-1 -01T00:00:00Z",
	};
	int64_t t = 7;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(time_parse(&t, slice_str(bad[i]), &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	CHECK_INT(t, 7);
	CHECK(time_parse(&t, SLICE_LIT("2024-02-29T00:00:00Z"), &err) == 0);
}

TEST(civil_dates_go_both_ways)
{
	unsigned month, day;
	int64_t d;
	int year;

	CHECK_INT(days_from_civil(1970, 1, 1), 0);
	CHECK_INT(days_from_civil(0, 1, 1), -719528);
	for (d = -800000; d < 3000000; d += 17) {
		civil_from_days(d, &year, &month, &day);
		REQUIRE(days_from_civil(year, month, day) == d);
	}
}

static const char *lasting(int64_t s)
{
	static char text[32];

	return duration_text(text, s);
}

TEST(durations_are_written)
{
	CHECK_STR(lasting(0), "0s");
	CHECK_STR(lasting(45), "45s");
	CHECK_STR(lasting(720), "12m");
	CHECK_STR(lasting(725), "12m 5s");
	CHECK_STR(lasting(3 * 86400 + 4 * 3600 + 59), "3d 4h");
	CHECK_STR(lasting(90 * 86400 + 4 * 3600), "90d");
	CHECK_STR(lasting(-3600), "1h ago");
	CHECK_STR(lasting(INT64_MIN), "106751991167300d ago");
}

TEST(durations_are_read)
{
	static const char *const bad[] = {"", "d", "-1d", "1.5h", "1d2h", "1D", " 1d", "1d ", "99999999999999999999",
					  "9223372036854775807y"};
	int64_t s;
	size_t i;

	CHECK(duration_parse(&s, "90", &err) == 0 && s == 90);
	CHECK(duration_parse(&s, "15m", &err) == 0 && s == 900);
	CHECK(duration_parse(&s, "12h", &err) == 0 && s == 43200);
	CHECK(duration_parse(&s, "2w", &err) == 0 && s == 1209600);
	CHECK(duration_parse(&s, "1y", &err) == 0 && s == 31536000);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(duration_parse(&s, bad[i], &err) < 0);
		CHECK_INT(err.kind, ERR_USAGE);
	}
}

TEST(sizes_go_both_ways)
{
	static const char *const bad[] = {"", "K", "-1", "1k", "1KB", "1.5G", "8388608T"};
	char text[32];
	int64_t n;
	size_t i;

	CHECK(size_parse(&n, "4096", &err) == 0 && n == 4096);
	CHECK(size_parse(&n, "3900M", &err) == 0 && n == INT64_C(3900) << 20);
	CHECK(size_parse(&n, "2G", &err) == 0 && n == INT64_C(2) << 30);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(size_parse(&n, bad[i], &err) < 0);
	CHECK_STR(size_text(text, 512), "512 B");
	CHECK_STR(size_text(text, 1536), "1.5 KiB");
	CHECK_STR(size_text(text, (UINT64_C(1) << 20) - 1), "1023.9 KiB");
	CHECK_STR(size_text(text, UINT64_C(3) << 30), "3.0 GiB");
	CHECK_STR(size_text(text, UINT64_MAX), "15.9 EiB");
}

/* Past every width that a time was ever squeezed into: 32 bits signed and unsigned, two digits of a year, a leap century. */
TEST(dates_beyond_2038_go_there_and_back)
{
	static const struct { int64_t t_s; const char *text; } cases[] = {
		{INT32_MAX, "2038-01-19T03:14:07Z"}, {INT64_C(2147483648), "2038-01-19T03:14:08Z"},
		{INT64_C(2208988800), "2040-01-01T00:00:00Z"}, {INT64_C(2524608000), "2050-01-01T00:00:00Z"},
		{INT64_C(4102444800), "2100-01-01T00:00:00Z"}, {INT64_C(4107542399), "2100-02-28T23:59:59Z"},
		{INT64_C(4294967296), "2106-02-07T06:28:16Z"}, {TIME_MAX_S, "9999-12-31T23:59:59Z"},
	};
	int64_t t_s;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_STR(shown(cases[i].t_s), cases[i].text);
		CHECK_INT(time_parse(&t_s, slice_str(cases[i].text), &err), 0);
		CHECK_INT(t_s, cases[i].t_s);
	}
}
