/* Dates by arithmetic (days of the civil calendar), so that no locale, time zone or C library table takes part. */
#include "base/timefmt.h"

#include <inttypes.h>
#include <stdio.h>

#define DAY_S 86400

/* Counted in eras of 400 years that begin on 1 March, so that the leap day comes last in its year. */
int64_t days_from_civil(int year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? (int64_t)year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

char *time_text(char out[static TIME_TEXT_LEN], int64_t t_s)
{
	unsigned month, day, s;
	int year;

	t_s = t_s < 0 ? 0 : t_s > TIME_MAX_S ? TIME_MAX_S : t_s;
	civil_from_days(t_s / DAY_S, &year, &month, &day);
	s = (unsigned)(t_s % DAY_S);
	snprintf(out, TIME_TEXT_LEN, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000, month % 100,
		 day % 100, s / 3600 % 24, s / 60 % 60, s % 60);
	return out;
}

/* The decimal number of the `n` digits at `at`, or -1. */
static int digits_at(struct slice s, size_t at, size_t n)
{
	int v = 0;

	for (; n > 0; n--, at++) {
		if (s.ptr[at] < '0' || s.ptr[at] > '9')
			return -1;
		v = v * 10 + (s.ptr[at] - '0');
	}
	return v;
}

int time_parse(int64_t *t_s, struct slice text, struct error *err)
{
	static const char form[] = "0000-00-00T00:00:00Z";
	int year, month, day, h, m, s, y2;
	unsigned m2, d2;
	int64_t days;
	char quoted[64];
	size_t i;

	if (text.len != TIME_TEXT_LEN - 1)
		goto bad;
	for (i = 0; i < text.len; i++) {
		if (form[i] != '0' && text.ptr[i] != (uint8_t)form[i])
			goto bad;
	}
	year = digits_at(text, 0, 4), month = digits_at(text, 5, 2), day = digits_at(text, 8, 2);
	h = digits_at(text, 11, 2), m = digits_at(text, 14, 2), s = digits_at(text, 17, 2);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 ||
	    s > 59)
		goto bad;
	/* A day that does not exist comes back as another one. */
	days = days_from_civil(year, (unsigned)month, (unsigned)day);
	civil_from_days(days, &y2, &m2, &d2);
	if (y2 != year || m2 != (unsigned)month || d2 != (unsigned)day)
		goto bad;
	*t_s = days * DAY_S + h * 3600 + m * 60 + s;
	return 0;
bad:
	return error_set(err, ERR_MALFORMED, "'%s' is not a time like 2026-11-20T19:30:00Z",
			 printable(quoted, sizeof(quoted), text));
}

struct unit {
	char letter;
	int64_t size;
};

char *duration_text(char out[static 32], int64_t seconds)
{
	static const struct unit units[] = {{'d', DAY_S}, {'h', 3600}, {'m', 60}, {'s', 1}};
	uint64_t left = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
	const char *ago = seconds < 0 ? " ago" : "";
	size_t i = 0;
	uint64_t big, small;

	while (i < 3 && left < (uint64_t)units[i].size)
		i++;
	big = left / (uint64_t)units[i].size;
	small = i == 3 ? 0 : left % (uint64_t)units[i].size / (uint64_t)units[i + 1].size;
	/* From ten days on nobody asks for the hours. */
	if (small == 0 || (i == 0 && big >= 10))
		snprintf(out, 32, "%" PRIu64 "%c%s", big, units[i].letter, ago);
	else
		snprintf(out, 32, "%" PRIu64 "%c %" PRIu64 "%c%s", big, units[i].letter, small,
			 units[i + 1].letter, ago);
	return out;
}

/*
 * Digits and at most one letter, which must be among `units`; no letter counts ones.
 * -1 when it is anything else, or does not fit.
 */
static int parse_scaled(int64_t *out, const char *text, const struct unit *units, size_t count)
{
	int64_t v = 0;
	const char *p;
	size_t i;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
			return -1;
	}
	if (p == text)
		return -1;
	if (*p != '\0') {
		for (i = 0; i < count && units[i].letter != *p; i++)
			;
		if (i == count || p[1] != '\0' || __builtin_mul_overflow(v, units[i].size, &v))
			return -1;
	}
	*out = v;
	return 0;
}

int duration_parse(int64_t *seconds, const char *text, struct error *err)
{
	static const struct unit units[] = {
		{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY_S}, {'w', 7 * DAY_S}, {'y', 365 * DAY_S},
	};

	if (parse_scaled(seconds, text, units, ARRAY_SIZE(units)) < 0)
		return error_set(err, ERR_USAGE, "'%.64s' is not a duration like 90s, 15m, 12h, 30d, 2w or 1y",
				 text);
	return 0;
}

int size_parse(int64_t *bytes, const char *text, struct error *err)
{
	static const struct unit units[] = {
		{'K', INT64_C(1) << 10}, {'M', INT64_C(1) << 20}, {'G', INT64_C(1) << 30}, {'T', INT64_C(1) << 40},
	};

	if (parse_scaled(bytes, text, units, ARRAY_SIZE(units)) < 0)
		return error_set(err, ERR_USAGE, "'%.64s' is not a size like 4096, 512K, 3900M or 2G", text);
	return 0;
}

char *size_text(char out[static 32], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t rest = 0;
	size_t i = 0;

	while (bytes >= 1024) {
		rest = bytes % 1024;
		bytes /= 1024;
		i++;
	}
	/* Tenths are cut, not rounded: a file of 1023.99 KiB is not yet a MiB. */
	if (i == 0)
		snprintf(out, 32, "%" PRIu64 " B", bytes);
	else
		snprintf(out, 32, "%" PRIu64 ".%" PRIu64 " %s", bytes, rest * 10 / 1024, units[i]);
	return out;
}
