/* The strict DER reader: each function takes one element from the front of a cursor. */
#include "crypto/der.h"

#include "base/timefmt.h"
#include "base/utf8.h"

#define DER_LEN_MAX 0x7fffffffu

static int cut_short(const char *what, struct error *err)
{
	return error_set(err, ERR_MALFORMED, "%s is cut short", what);
}

/* Read tag and length at the front: *head bytes of them, then *len of content, which is all there. */
static int read_head(struct slice s, size_t *head, size_t *len, const char *what, struct error *err)
{
	size_t n, i;

	if (s.len < 2)
		return cut_short(what, err);
	if ((s.ptr[0] & 0x1f) == 0x1f)
		return error_set(err, ERR_MALFORMED, "%s has a tag of several bytes", what);
	*head = 2;
	*len = s.ptr[1];
	if (s.ptr[1] >= 0x80) {
		n = s.ptr[1] & 0x7fu;
		if (n == 0 || n > 4)
			return error_set(err, ERR_MALFORMED, "%s has no definite length of at most 4 bytes", what);
		if (s.len < 2 + n)
			return cut_short(what, err);
		for (i = 0, *len = 0; i < n; i++)
			*len = *len << 8 | s.ptr[2 + i];
		if (*len < 0x80 || *len >> (8 * (n - 1)) == 0)
			return error_set(err, ERR_MALFORMED, "%s has a length not in its shortest form", what);
		if (*len > DER_LEN_MAX)
			return error_set(err, ERR_MALFORMED, "%s is longer than %u bytes", what, DER_LEN_MAX);
		*head += n;
	}
	return s.len - *head < *len ? cut_short(what, err) : 0;
}

int der_end(const struct der *d, const char *what, struct error *err)
{
	if (d->rest.len != 0)
		return error_set(err, ERR_MALFORMED, "%zu stray bytes after %s", d->rest.len, what);
	return 0;
}

int der_any(struct der *d, uint8_t *tag, struct slice *content, struct slice *whole, const char *what,
	    struct error *err)
{
	size_t head, len;

	if (der_done(d))
		return error_set(err, ERR_MALFORMED, "%s is missing", what);
	if (read_head(d->rest, &head, &len, what, err) < 0)
		return -1;
	if (tag != NULL)
		*tag = d->rest.ptr[0];
	if (content != NULL)
		*content = slice_sub(d->rest, head, len);
	if (whole != NULL)
		*whole = slice_sub(d->rest, 0, head + len);
	d->rest = slice_sub(d->rest, head + len, SIZE_MAX);
	return 0;
}

/* The next element with this tag, content and whole of it; the one way through which all others read. */
static int take(struct der *d, uint8_t tag, struct slice *content, struct slice *whole, const char *what,
		struct error *err)
{
	if (!der_done(d) && d->rest.ptr[0] != tag)
		return error_set(err, ERR_MALFORMED, "%s has DER tag 0x%02x instead of 0x%02x", what,
				 d->rest.ptr[0], tag);
	return der_any(d, NULL, content, whole, what, err);
}

int der_get(struct der *d, uint8_t tag, struct slice *content, const char *what, struct error *err)
{
	return take(d, tag, content, NULL, what, err);
}

int der_get_whole(struct der *d, uint8_t tag, struct slice *whole, const char *what, struct error *err)
{
	return take(d, tag, NULL, whole, what, err);
}

int der_enter(struct der *d, uint8_t tag, struct der *inner, const char *what, struct error *err)
{
	return take(d, tag, &inner->rest, NULL, what, err);
}

/* X.690 8.3.2: the first nine bits are neither all ones nor all zeros. */
int der_integer(struct der *d, struct slice *content, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;

	if (take(&at, DER_INTEGER, &c, NULL, what, err) < 0)
		return -1;
	if (c.len == 0)
		return error_set(err, ERR_MALFORMED, "%s is an empty integer", what);
	if (c.len > 1 && ((c.ptr[0] == 0x00 && c.ptr[1] < 0x80) || (c.ptr[0] == 0xff && c.ptr[1] >= 0x80)))
		return error_set(err, ERR_MALFORMED, "%s is an integer not in its shortest form", what);
	*d = at;
	*content = c;
	return 0;
}

int der_uint(struct der *d, struct slice *magnitude, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;

	if (der_integer(&at, &c, what, err) < 0)
		return -1;
	if (c.ptr[0] >= 0x80)
		return error_set(err, ERR_MALFORMED, "%s is negative", what);
	*d = at;
	*magnitude = slice_sub(c, c.ptr[0] == 0 ? 1 : 0, SIZE_MAX);
	return 0;
}

int der_int(struct der *d, int64_t min, int64_t max, int64_t *value, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;
	uint64_t v;
	size_t i;

	if (der_integer(&at, &c, what, err) < 0)
		return -1;
	if (c.len > 8)
		return error_set(err, ERR_MALFORMED, "%s is out of range", what);
	v = c.ptr[0] >= 0x80 ? UINT64_MAX : 0;
	for (i = 0; i < c.len; i++)
		v = v << 8 | c.ptr[i];
	if ((int64_t)v < min || (int64_t)v > max)
		return error_set(err, ERR_MALFORMED, "%s is %lld, out of range", what, (long long)(int64_t)v);
	*d = at;
	*value = (int64_t)v;
	return 0;
}

int der_bool(struct der *d, bool *value, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;

	if (take(&at, DER_BOOLEAN, &c, NULL, what, err) < 0)
		return -1;
	if (c.len != 1 || (c.ptr[0] != 0x00 && c.ptr[0] != 0xff))
		return error_set(err, ERR_MALFORMED, "%s is neither true nor false", what);
	*d = at;
	*value = c.ptr[0] != 0;
	return 0;
}

int der_null(struct der *d, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;

	if (take(&at, DER_NULL, &c, NULL, what, err) < 0)
		return -1;
	if (c.len != 0)
		return error_set(err, ERR_MALFORMED, "%s is a null with content", what);
	*d = at;
	return 0;
}

/* X.690 8.19.2: each arc is base 128 without leading 0x80, and the last byte ends the last arc. */
int der_oid(struct der *d, struct slice *content, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;
	bool first = true;
	size_t i;

	if (take(&at, DER_OID, &c, NULL, what, err) < 0)
		return -1;
	if (c.len == 0 || c.len > DER_OID_LEN_MAX || c.ptr[c.len - 1] >= 0x80)
		return error_set(err, ERR_MALFORMED, "%s is not an object identifier of 1 to %d bytes", what,
				 DER_OID_LEN_MAX);
	for (i = 0; i < c.len; i++) {
		if (first && c.ptr[i] == 0x80)
			return error_set(err, ERR_MALFORMED, "%s has an arc not in its shortest form", what);
		first = c.ptr[i] < 0x80;
	}
	*d = at;
	*content = c;
	return 0;
}

int der_bits(struct der *d, struct slice *bytes, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;

	if (take(&at, DER_BIT_STRING, &c, NULL, what, err) < 0)
		return -1;
	if (c.len == 0 || c.ptr[0] != 0)
		return error_set(err, ERR_MALFORMED, "%s is not a bit string of whole bytes", what);
	*d = at;
	*bytes = slice_sub(c, 1, SIZE_MAX);
	return 0;
}

int der_flags(struct der *d, uint32_t *flags, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;
	uint32_t v = 0;
	unsigned bits, i;

	if (take(&at, DER_BIT_STRING, &c, NULL, what, err) < 0)
		return -1;
	if (c.len == 0 || c.len > 5 || c.ptr[0] > 7 || (c.len == 1 && c.ptr[0] != 0))
		return error_set(err, ERR_MALFORMED, "%s is not a bit string of at most 32 bits", what);
	bits = (unsigned)(c.len - 1) * 8;
	for (i = 0; i < bits; i++)
		v |= (uint32_t)(c.ptr[1 + i / 8] >> (7 - i % 8) & 1) << i;
	bits -= c.ptr[0];
	/* X.690 11.2: unused bits are zero, and named bits end with a one. */
	if (bits > 0 && v >> (bits - 1) != 1)
		return error_set(err, ERR_MALFORMED, "%s does not end with its last set bit", what);
	*d = at;
	*flags = v;
	return 0;
}

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool date_exists(unsigned year, unsigned month, unsigned day)
{
	static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month < 1 || month > 12 || day < 1)
		return false;
	return day <= days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* Seconds since the epoch for digits YYYYMMDDHHMMSSZ; false when it is no such time. */
static bool time_from_digits(const char text[static 15], int64_t *t_s)
{
	unsigned v[7], i;	/* century, year, month, day, hour, minute, second */
	unsigned year;

	for (i = 0; i < 14; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	if (text[14] != 'Z')
		return false;
	for (i = 0; i < 7; i++)
		v[i] = (unsigned)(text[2 * i] - '0') * 10 + (unsigned)(text[2 * i + 1] - '0');
	year = v[0] * 100 + v[1];
	if (!date_exists(year, v[2], v[3]) || v[4] > 23 || v[5] > 59 || v[6] > 59)
		return false;
	*t_s = days_from_civil((int)year, v[2], v[3]) * 86400 + (int64_t)v[4] * 3600 + v[5] * 60 + v[6];
	return true;
}

int der_time(struct der *d, int64_t *t_s, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;
	uint8_t tag;
	char text[15];

	if (der_any(&at, &tag, &c, NULL, what, err) < 0)
		return -1;
	if (tag == DER_UTC_TIME && c.len == 13) {
		memcpy(text, c.ptr[0] >= '5' ? "19" : "20", 2);
		memcpy(text + 2, c.ptr, 13);
	} else if (tag == DER_GENERALIZED_TIME && c.len == 15) {
		memcpy(text, c.ptr, 15);
		if (memcmp(text, "2050", 4) < 0)
			return error_set(err, ERR_MALFORMED, "%s before 2050 is not a UTCTime (RFC 5280 4.1.2.5)",
					 what);
	} else {
		return error_set(err, ERR_MALFORMED, "%s is not a time with seconds and Z", what);
	}
	if (!time_from_digits(text, t_s))
		return error_set(err, ERR_MALFORMED, "%s is not a time that exists", what);
	*d = at;
	return 0;
}

static bool is_printable_string(uint8_t c)
{
	if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
		return true;
	return c != '\0' && strchr(" '()+,-./:=?", c) != NULL;
}

/* Whether s is well-formed UTF-8 without NUL. */
static bool is_utf8(struct slice s)
{
	uint32_t cp;
	size_t n;

	for (; s.len > 0; s = slice_sub(s, n, SIZE_MAX)) {
		n = utf8_decode(s, &cp);
		if (n == 0 || cp == 0)
			return false;
	}
	return true;
}

int der_text(struct der *d, struct slice *text, const char *what, struct error *err)
{
	struct der at = *d;
	struct slice c;
	bool good = true;
	uint8_t tag;
	size_t i;

	if (der_any(&at, &tag, &c, NULL, what, err) < 0)
		return -1;
	if (tag == DER_UTF8_STRING)
		good = is_utf8(c);
	else if (tag != DER_PRINTABLE_STRING && tag != DER_IA5_STRING)
		return error_set(err, ERR_MALFORMED, "%s has DER tag 0x%02x, which is no text", what, tag);
	for (i = 0; good && tag != DER_UTF8_STRING && i < c.len; i++)
		good = tag == DER_PRINTABLE_STRING ? is_printable_string(c.ptr[i])
						   : c.ptr[i] != 0 && c.ptr[i] < 0x80;
	if (!good)
		return error_set(err, ERR_MALFORMED, "%s has bytes that its type of text does not allow", what);
	*d = at;
	*text = c;
	return 0;
}
