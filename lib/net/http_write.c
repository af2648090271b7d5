/* Heads that we write. A value that would split a head fails the buffer instead. */
#include "net/http.h"

#include <assert.h>

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{100, "Continue"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* Not printf, which shows in what a heartbeat costs. */
static void put_u64(struct buf *out, uint64_t value)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_put(out, digits + n, sizeof(digits) - n);
}

void http_put_status(struct buf *out, int status)
{
	assert(status >= 100 && status <= 599);
	buf_put_str(out, "HTTP/1.1 ");
	put_u64(out, (uint64_t)status);
	buf_put_u8(out, ' ');
	buf_put_str(out, http_reason(status));
	buf_put_str(out, "\r\n");
}

void http_put_request(struct buf *out, const char *method, const char *target,
		      const char *authority)
{
	const char *p;

	if (target[0] != '/')
		out->failed = true;
	for (p = target; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			out->failed = true;
	buf_printf(out, "%s %s HTTP/1.1\r\n", method, target);
	http_put_header(out, "Host", slice_str(authority));
}

void http_put_header(struct buf *out, const char *name, struct slice value)
{
	if (!http_value_ok(value)) {
		out->failed = true;
		return;
	}
	buf_put_str(out, name);
	buf_put_str(out, ": ");
	buf_put_slice(out, value);
	buf_put_str(out, "\r\n");
}

void http_put_header_u64(struct buf *out, const char *name, uint64_t value)
{
	buf_put_str(out, name);
	buf_put_str(out, ": ");
	put_u64(out, value);
	buf_put_str(out, "\r\n");
}

void http_put_end(struct buf *out)
{
	buf_put_str(out, "\r\n");
}
