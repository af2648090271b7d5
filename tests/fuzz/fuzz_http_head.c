/*
 * Request heads. What is accepted is written again in its plainest form and must mean the same; the length
 * of a head does not depend on how its bytes arrive.
 */
#include <stdlib.h>

#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static size_t length_in_steps(const uint8_t *data, size_t size)
{
	size_t scanned = 0, end, n;

	for (end = 1; end <= size; end++)
		if ((n = http_head_length(slice_of(data, end), &scanned)) != 0)
			return n;
	return 0;
}

static void write_again(struct buf *out, const struct http_head *h)
{
	size_t i;

	buf_put_slice(out, h->method);
	buf_put_str(out, " ");
	buf_put_slice(out, h->target);
	buf_put_str(out, " HTTP/1.1\r\n");
	for (i = 0; i < h->header_count; i++) {
		buf_put_slice(out, h->headers[i].name);
		buf_put_str(out, ":");
		buf_put_slice(out, h->headers[i].value);
		buf_put_str(out, "\r\n");
	}
	buf_put_str(out, "\r\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(2 * HTTP_HEAD_MAX);
	struct http_head h, again;
	struct error err;
	size_t scanned = 0, n = http_head_length(slice_of(data, size), &scanned);
	int status = -1;

	if (size < 4096)
		must(length_in_steps(data, size) == n);
	if (n != 0 && http_request_parse(&h, slice_of(data, n), &status, &err) == 0) {
		must(status == 0 && h.header_count <= HTTP_HEADERS_MAX && h.path.len + h.query.len <= h.target.len);
		write_again(&out, &h);
		must(http_request_parse(&again, buf_slice(&out), &status, &err) == 0);
		must(again.content_length == h.content_length && again.keep_alive == h.keep_alive &&
		     again.header_count == h.header_count && slice_equal(again.host, h.host));
	} else if (n != 0) {
		must(status >= 400 && status <= 505 && err.kind == ERR_MALFORMED);
	}
	buf_release(&out);
	return 0;
}
