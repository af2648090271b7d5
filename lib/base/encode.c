/* Hex and base64, strict in what they accept: one text for one value. */
#include "base/encode.h"

static const char alphabet_std[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(char *out, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

/* The value of a digit and one, 0 for all else: hashes are random, so a branch for each digit costs dearly. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,	['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int hex_decode(uint8_t *out, size_t n, struct slice s, struct error *err)
{
	size_t i;

	if (s.len != 2 * n)
		return error_set(err, ERR_MALFORMED, "not %zu hex digits (%zu bytes)", 2 * n, s.len);
	for (i = 0; i < n; i++) {
		uint8_t hi = hex_values[s.ptr[2 * i]], lo = hex_values[s.ptr[2 * i + 1]];

		if (hi == 0 || lo == 0)
			return error_set(err, ERR_MALFORMED, "not %zu hex digits", 2 * n);
		out[i] = (uint8_t)((hi - 1) << 4 | (lo - 1));
	}
	return 0;
}

static void put64(struct buf *out, struct slice s, const char *alphabet, bool pad)
{
	size_t i;

	for (i = 0; i < s.len; i += 3) {
		size_t n = s.len - i < 3 ? s.len - i : 3;
		uint32_t v = (uint32_t)s.ptr[i] << 16;
		char q[4];

		if (n > 1)
			v |= (uint32_t)s.ptr[i + 1] << 8;
		if (n > 2)
			v |= s.ptr[i + 2];
		q[0] = alphabet[v >> 18 & 63];
		q[1] = alphabet[v >> 12 & 63];
		q[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
		q[3] = n > 2 ? alphabet[v & 63] : '=';
		buf_put(out, q, pad ? 4 : n + 1);
	}
}

void base64_put(struct buf *out, struct slice s)
{
	put64(out, s, alphabet_std, true);
}

void base64url_put(struct buf *out, struct slice s)
{
	put64(out, s, alphabet_url, false);
}

static int value64(uint8_t c, const char *alphabet)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (uint8_t)alphabet[62])
		return 62;
	return c == (uint8_t)alphabet[63] ? 63 : -1;
}

/* s without its padding: `n` characters in groups of four, the last group of 2, 3 or 4. */
static int decode64(struct buf *out, struct slice s, const char *alphabet, struct error *err)
{
	uint32_t v = 0;
	unsigned bits = 0;
	size_t i;

	if (s.len % 4 == 1)
		return error_set(err, ERR_MALFORMED, "base64 text is cut short");
	for (i = 0; i < s.len; i++) {
		int d = value64(s.ptr[i], alphabet);

		if (d < 0)
			return error_set(err, ERR_MALFORMED, "byte %zu is not base64", i);
		v = (v << 6 | (uint32_t)d) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_put_u8(out, (uint8_t)(v >> bits));
		}
	}
	if ((v & ((1u << bits) - 1)) != 0)
		return error_set(err, ERR_MALFORMED, "base64 text has stray bits at its end");
	if (out->failed)
		return error_set(err, ERR_LIMIT, "base64 text holds more than %zu bytes", out->max);
	return 0;
}

int base64_decode(struct buf *out, struct slice s, struct error *err)
{
	size_t pad = 0;

	if (s.len % 4 != 0)
		return error_set(err, ERR_MALFORMED, "base64 text is not padded to a multiple of four");
	while (pad < 2 && s.len > pad && s.ptr[s.len - 1 - pad] == '=')
		pad++;
	return decode64(out, slice_sub(s, 0, s.len - pad), alphabet_std, err);
}

int base64url_decode(struct buf *out, struct slice s, struct error *err)
{
	return decode64(out, s, alphabet_url, err);
}
