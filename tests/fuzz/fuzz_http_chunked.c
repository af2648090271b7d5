/* Chunked bodies: what is accepted, written as one chunk, is accepted again with the same payload. */
#include <stdlib.h>

#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(struct buf *out, struct slice in)
{
	struct http_head h = {.status = 200, .chunked = true, .content_length = HTTP_LENGTH_NONE};
	struct http_body b;
	struct slice part;
	struct error err;

	if (http_body_start(&b, &h, &err) < 0)
		abort();
	do {
		if (http_body_next(&b, &in, &part, &err) < 0)
			return -1;
		buf_put_slice(out, part);
	} while (part.len > 0);
	if (b.seen != out->len)
		abort();
	return b.state == HTTP_BODY_DONE ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf payload = BUF_INIT(size), text = BUF_INIT(2 * size + 64), again = BUF_INIT(size);

	if (decode(&payload, slice_of(data, size)) == 0) {
		if (payload.len > 0) {
			buf_printf(&text, "%zX\r\n", payload.len);
			buf_put_slice(&text, buf_slice(&payload));
			buf_put_str(&text, "\r\n");
		}
		buf_put_str(&text, "0\r\n\r\n");
		if (decode(&again, buf_slice(&text)) < 0 || !slice_equal(buf_slice(&payload), buf_slice(&again)))
			abort();
	}
	buf_release(&payload);
	buf_release(&text);
	buf_release(&again);
	return 0;
}
