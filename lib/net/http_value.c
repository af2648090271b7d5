/* Single header values: numbers, ranges, waiting times. */
#include "net/http.h"

#include "net/http_chars.h"

bool slice_equal_nocase(struct slice a, const char *s)
{
	size_t i;

	for (i = 0; i < a.len && s[i] != '\0'; i++) {
		uint8_t x = a.ptr[i], y = (uint8_t)s[i];

		if (x >= 'A' && x <= 'Z')
			x = (uint8_t)(x + 32);
		if (y >= 'A' && y <= 'Z')
			y = (uint8_t)(y + 32);
		if (x != y)
			return false;
	}
	return i == a.len && s[i] == '\0';
}

bool http_value_ok(struct slice value)
{
	size_t i;

	for (i = 0; i < value.len; i++)
		if ((value.ptr[i] < ' ' && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
			return false;
	return true;
}

bool http_digits(struct slice s, int64_t *out)
{
	int64_t v = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9' || i == 19)
			return false;
		if (v > (HTTP_LENGTH_MAX - (s.ptr[i] - '0')) / 10)
			return false;
		v = v * 10 + (s.ptr[i] - '0');
	}
	*out = v;
	return s.len > 0;
}

/* "a-b" where either may be absent (-1 then); false when it is neither. */
static bool dash_parse(struct slice s, int64_t *a, int64_t *b)
{
	const uint8_t *dash = s.len == 0 ? NULL : memchr(s.ptr, '-', s.len);
	struct slice left, right;

	if (dash == NULL)
		return false;
	left = slice_of(s.ptr, (size_t)(dash - s.ptr));
	right = slice_of(dash + 1, s.len - left.len - 1);
	*a = *b = -1;
	return (left.len == 0 || http_digits(left, a)) &&
	       (right.len == 0 || http_digits(right, b)) && left.len + right.len > 0;
}

enum http_range_verdict http_range_parse(struct slice value, uint64_t size, struct http_range *out)
{
	int64_t a, b;

	if (value.len < 6 || !slice_equal_nocase(slice_of(value.ptr, 6), "bytes="))
		return HTTP_RANGE_WHOLE;
	/* RFC 9110 14.2: a Range that is not understood may be ignored. */
	if (!dash_parse(slice_of(value.ptr + 6, value.len - 6), &a, &b) ||
	    (a >= 0 && b >= 0 && b < a))
		return HTTP_RANGE_WHOLE;
	if (a < 0) { /* the last b bytes */
		if (b == 0 || size == 0)
			return HTTP_RANGE_BAD;
		*out = (struct http_range){(uint64_t)b >= size ? 0 : size - (uint64_t)b, size - 1};
		return HTTP_RANGE_PART;
	}
	if ((uint64_t)a >= size)
		return HTTP_RANGE_BAD;
	*out = (struct http_range){(uint64_t)a,
				   b < 0 || (uint64_t)b >= size ? size - 1 : (uint64_t)b};
	return HTTP_RANGE_PART;
}

int http_content_range_parse(struct slice value, struct http_range *out, uint64_t *size,
			     struct error *err)
{
	const uint8_t *slash = value.len == 0 ? NULL : memchr(value.ptr, '/', value.len);
	int64_t a, b, n;

	if (slash == NULL || value.len < 6 ||
	    !slice_equal_nocase(slice_of(value.ptr, 6), "bytes ") ||
	    !dash_parse(slice_of(value.ptr + 6, (size_t)(slash - value.ptr) - 6), &a, &b) ||
	    a < 0 || b < a ||
	    !http_digits(slice_of(slash + 1, value.len - (size_t)(slash - value.ptr) - 1), &n) ||
	    b >= n)
		return error_set(err, ERR_MALFORMED, "Content-Range '%.*s'", SLICE_ARG(value));
	*out = (struct http_range){(uint64_t)a, (uint64_t)b};
	*size = (uint64_t)n;
	return 0;
}

int64_t http_retry_after(const struct http_head *h)
{
	struct slice v;
	int64_t s;

	if (!http_find(h, "retry-after", &v) || !http_digits(v, &s))
		return -1;
	return s > 86400 ? 86400 : s;
}
