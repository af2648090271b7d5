/* The DER writer: each function puts one element in front of those already there. */
#include "crypto/der_write.h"

#include <stdio.h>

#include "base/timefmt.h"
#include "crypto/der.h"

void der_writer_init(struct der_writer *w)
{
	w->at = DER_WRITE_MAX;
	w->failed = false;
}

struct slice der_written(const struct der_writer *w)
{
	return w->failed ? SLICE_EMPTY : slice_of(w->bytes + w->at, DER_WRITE_MAX - w->at);
}

size_t der_mark(const struct der_writer *w)
{
	return w->at;
}

void der_put_raw(struct der_writer *w, struct slice bytes)
{
	if (w->failed || bytes.len > w->at) {
		w->failed = true;
		return;
	}
	w->at -= bytes.len;
	if (bytes.len > 0)
		memcpy(w->bytes + w->at, bytes.ptr, bytes.len);
}

static void put_byte(struct der_writer *w, uint8_t v)
{
	der_put_raw(w, slice_of(&v, 1));
}

void der_wrap(struct der_writer *w, uint8_t tag, size_t mark)
{
	size_t len = mark - w->at;

	if (len < 0x80) {
		put_byte(w, (uint8_t)len);
	} else if (len < 0x100) {
		put_byte(w, (uint8_t)len);
		put_byte(w, 0x81);
	} else {	/* DER_WRITE_MAX needs no more than two bytes */
		put_byte(w, (uint8_t)len);
		put_byte(w, (uint8_t)(len >> 8));
		put_byte(w, 0x82);
	}
	put_byte(w, tag);
}

void der_put(struct der_writer *w, uint8_t tag, struct slice content)
{
	size_t end = der_mark(w);

	der_put_raw(w, content);
	der_wrap(w, tag, end);
}

void der_put_uint(struct der_writer *w, struct slice big_endian)
{
	size_t end = der_mark(w);

	while (big_endian.len > 0 && big_endian.ptr[0] == 0)
		big_endian = slice_sub(big_endian, 1, SIZE_MAX);
	der_put_raw(w, big_endian);
	if (big_endian.len == 0 || big_endian.ptr[0] >= 0x80)
		put_byte(w, 0);
	der_wrap(w, DER_INTEGER, end);
}

void der_put_u32(struct der_writer *w, uint32_t v)
{
	const uint8_t be[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	der_put_uint(w, slice_of(be, sizeof(be)));
}

void der_put_true(struct der_writer *w)
{
	der_put(w, DER_BOOLEAN, SLICE_LIT("\xff"));
}

void der_put_bits(struct der_writer *w, struct slice bytes, unsigned unused)
{
	size_t end = der_mark(w);

	der_put_raw(w, bytes);
	put_byte(w, (uint8_t)unused);
	der_wrap(w, DER_BIT_STRING, end);
}

void der_put_time(struct der_writer *w, int64_t t_s)
{
	int64_t clamped = t_s < 0 ? 0 : t_s > TIME_MAX_S ? TIME_MAX_S : t_s;
	unsigned month, day, second = (unsigned)(clamped % 86400);
	char text[48];
	int year, n;

	civil_from_days(clamped / 86400, &year, &month, &day);
	n = snprintf(text, sizeof(text), "%04d%02u%02u%02u%02u%02uZ", year, month, day, second / 3600,
		     second / 60 % 60, second % 60);
	if (year < 2050)
		der_put(w, DER_UTC_TIME, slice_of(text + 2, (size_t)n - 2));
	else
		der_put(w, DER_GENERALIZED_TIME, slice_of(text, (size_t)n));
}
