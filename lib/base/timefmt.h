/* UTC seconds since the epoch, as text and back. Years 1970 to 9999; no clock is read here. */
#ifndef MESHANICS_BASE_TIMEFMT_H
#define MESHANICS_BASE_TIMEFMT_H

#include "base/error.h"

#define TIME_TEXT_LEN 21	/* "2026-11-20T19:30:00Z" and NUL */
#define TIME_MAX_S INT64_C(253402300799)	/* 9999-12-31T23:59:59Z */

/* RFC 3339 in UTC with whole seconds; t_s is clamped to 0..TIME_MAX_S. Returns out. */
char *time_text(char out[static TIME_TEXT_LEN], int64_t t_s);
/* Exactly YYYY-MM-DDTHH:MM:SSZ with a date that exists (no leap second). -1 with ERR_MALFORMED. */
WARN_UNUSED int time_parse(int64_t *t_s, struct slice text, struct error *err);
/* For people: "3d 4h", "12m", "45s"; negative gives "3d 4h ago". Returns out (32 bytes). */
char *duration_text(char out[static 32], int64_t seconds);
/* "90", "90s", "15m", "12h", "30d", "2w", "1y" (365 days) into seconds, >= 0. -1 with ERR_USAGE. */
WARN_UNUSED int duration_parse(int64_t *seconds, const char *text, struct error *err);
/* "4096", "512K", "3900M", "2G" (binary) into bytes. -1 with ERR_USAGE. */
WARN_UNUSED int size_parse(int64_t *bytes, const char *text, struct error *err);
/* For people: "1.5 GiB", "512 B". Returns out (32 bytes). */
char *size_text(char out[static 32], uint64_t bytes);
/* Civil date (proleptic Gregorian) to days since 1970-01-01; the date must exist. For X.509 and RFC 3339. */
int64_t days_from_civil(int year, unsigned month, unsigned day);
void civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day);

#endif
