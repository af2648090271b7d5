/* Whole responses, as a client reads them: the verdict and the payload do not depend on how the bytes arrive. */
#include <stdlib.h>

#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Payload into out, the body fed in steps; the state reached, or -1. */
static int body(struct buf *out, const struct http_head *h, struct slice in, size_t step)
{
	struct http_body b;
	struct error err;
	struct slice piece, part;

	if (http_body_start(&b, h, &err) < 0)
		return -1;
	while (in.len > 0 && b.state != HTTP_BODY_DONE) {
		piece = slice_of(in.ptr, in.len < step ? in.len : step);
		in = slice_of(in.ptr + piece.len, in.len - piece.len);
		do {
			if (http_body_next(&b, &piece, &part, &err) < 0)
				return -1;
			buf_put_slice(out, part);
		} while (part.len > 0);
	}
	return (int)b.state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"GET", "HEAD", "CONNECT"};
	struct buf whole = BUF_INIT(size), bytes = BUF_INIT(size);
	struct http_head h;
	struct error err;
	size_t scanned = 0, n = http_head_length(slice_of(data, size), &scanned), i;
	struct http_range range;
	struct slice v;
	uint64_t total;

	for (i = 0; n != 0 && i < ARRAY_SIZE(methods); i++) {
		struct slice rest = slice_of(data + n, size - n);

		if (http_response_parse(&h, slice_of(data, n), methods[i], &err) < 0)
			continue;
		buf_clear(&whole);
		buf_clear(&bytes);
		if (body(&whole, &h, rest, rest.len + 1) != body(&bytes, &h, rest, 1) ||
		    !slice_equal(buf_slice(&whole), buf_slice(&bytes)))
			abort();
		if (http_retry_after(&h) > 86400)
			abort();
		if (http_find(&h, "content-range", &v) && http_content_range_parse(v, &range, &total, &err) == 0 &&
		    (range.first > range.last || range.last >= total))
			abort();
	}
	buf_release(&whole);
	buf_release(&bytes);
	return 0;
}
