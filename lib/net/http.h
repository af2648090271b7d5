/*
 * HTTP/1.1 (RFC 9112) without I/O, for both sides, strict: what two parsers could read in two ways is
 * refused. Lines end with CRLF and nothing else; header names are tokens directly followed by a colon;
 * no folded lines; one Content-Length of digits at most; never together with Transfer-Encoding.
 *
 * Requests: HTTP/1.1 only, target in origin form ("/..."), exactly one Host. Transfer-Encoding is
 * refused altogether: 411 for "chunked" (all our clients know their lengths), 501 for anything else.
 * Responses: HTTP/1.1 or 1.0, body by Content-Length or by exactly "chunked"; a body that ends with the
 * connection is refused, because a cut could not be told from the end.
 *
 * Limits: head 16 KiB, 64 headers, target 2048 bytes, chunk-size line 16 hex digits without extensions,
 * trailers 4 KiB.
 */
#ifndef MESHANICS_NET_HTTP_H
#define MESHANICS_NET_HTTP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define HTTP_HEAD_MAX (16 * 1024)
#define HTTP_HEADERS_MAX 64
#define HTTP_TARGET_MAX 2048
#define HTTP_LENGTH_NONE (-1)
#define HTTP_LENGTH_MAX INT64_C(1000000000000000000)	/* of a body; larger is refused while parsing */

struct http_header {
	struct slice name;	/* as sent; compare with http_find or slice_equal_nocase */
	struct slice value;	/* white space around it removed */
};

/* A parsed head; all slices point into the bytes it was parsed from. */
struct http_head {
	struct slice method;		/* requests: a token, case as sent */
	struct slice target;		/* requests: "/path?query" */
	struct slice path, query;	/* its parts, still percent-encoded; query without '?' */
	struct slice host;		/* requests: the Host header */
	int status;			/* responses: 100..599 */
	int minor;			/* HTTP/1.<minor> */
	int64_t content_length;		/* HTTP_LENGTH_NONE when absent */
	bool chunked;			/* responses only */
	bool no_body;			/* responses: none follows, whatever the headers say (HEAD, 204, 304, ...) */
	bool keep_alive;		/* the connection may be used again */
	bool expect_continue;		/* requests: a 100 is waited for before the body */
	size_t header_count;
	struct http_header headers[HTTP_HEADERS_MAX];
};

/*
 * Where the head in `in` ends: the length up to and including its blank line, or 0 when it is not all
 * there. *scanned (0 at first) remembers how far was looked, so that slow heads cost linear time.
 * A head that passes HTTP_HEAD_MAX shows as in.len > HTTP_HEAD_MAX with 0 returned.
 */
size_t http_head_length(struct slice in, size_t *scanned);

/* head: exactly one, with its blank line. -1 with *status (400, 411, 414, 417, 431, 501, 505) to answer with. */
WARN_UNUSED int http_request_parse(struct http_head *h, struct slice head, int *status, struct error *err);
/* to_method: of the request it answers ("HEAD" and "CONNECT" change what a body is). ERR_MALFORMED. */
WARN_UNUSED int http_response_parse(struct http_head *h, struct slice head, const char *to_method,
				    struct error *err);
/* The value of the only header of that name (case ignored); false when absent or there more than once. */
bool http_find(const struct http_head *h, const char *name, struct slice *value);
/* A query parameter, percent-decoded ('+' stays '+') into out; false when absent, there twice or malformed. */
bool http_query(const struct http_head *h, const char *name, struct buf *out);
bool slice_equal_nocase(struct slice a, const char *s);	/* ASCII */

/* ---- bodies ---- */

enum http_body_state {
	HTTP_BODY_LENGTH,	/* `left` bytes to come */
	HTTP_BODY_CHUNK_SIZE,	/* reading a chunk-size line */
	HTTP_BODY_CHUNK,	/* `left` bytes of this chunk to come */
	HTTP_BODY_CHUNK_END,	/* the CRLF after a chunk */
	HTTP_BODY_TRAILERS,	/* header lines after the last chunk; checked and dropped */
	HTTP_BODY_DONE,
};

struct http_body {
	enum http_body_state state;
	uint64_t left;
	uint64_t seen;		/* payload bytes handed out so far */
	size_t line_len;	/* bytes of the line being read, its CR included */
	size_t trailer_len;	/* bytes of trailers so far */
	bool cr;		/* the last byte of the line was CR */
};

/* -1 with ERR_MALFORMED for a response whose end nothing tells. */
WARN_UNUSED int http_body_start(struct http_body *b, const struct http_head *h, struct error *err);
/*
 * Take payload from *in (which is advanced): *part gets a run of it, empty when more input is needed or
 * the body is done (state says which). Call again until part is empty. -1 with ERR_MALFORMED.
 */
WARN_UNUSED int http_body_next(struct http_body *b, struct slice *in, struct slice *part, struct error *err);

/* ---- writing ---- */

/* "HTTP/1.1 200 OK". Then headers, then http_put_end. */
void http_put_status(struct buf *out, int status);
/* "GET /x HTTP/1.1" and Host. A target without its '/' or with a space or control byte fails the buf. */
void http_put_request(struct buf *out, const char *method, const char *target, const char *authority);
/* A value with control bytes fails the buf instead of splitting the head. The name is ours. */
void http_put_header(struct buf *out, const char *name, struct slice value);
void http_put_header_u64(struct buf *out, const char *name, uint64_t value);
void http_put_end(struct buf *out);
const char *http_reason(int status);	/* "Not Found"; "Unknown" for others */
bool http_value_ok(struct slice value);	/* visible ASCII, space, tab, bytes above 127 */

/* ---- single values ---- */

struct http_range {
	uint64_t first, last;	/* both inclusive */
};
enum http_range_verdict {
	HTTP_RANGE_WHOLE,	/* no Range, or one we do not serve (several ranges, other units): send all, 200 */
	HTTP_RANGE_PART,	/* 206 with Content-Range */
	HTTP_RANGE_BAD,		/* 416 with "bytes * /size" */
};
/* value: of the Range header ("bytes=a-", "bytes=a-b", "bytes=-n") against a body of size bytes. */
enum http_range_verdict http_range_parse(struct slice value, uint64_t size, struct http_range *out);
/* "bytes a-b/size" as clients see it; *size. -1 with ERR_MALFORMED (also for an unknown size "*"). */
WARN_UNUSED int http_content_range_parse(struct slice value, struct http_range *out, uint64_t *size,
					 struct error *err);
/* Seconds of a Retry-After header, 0..86400 (larger is cut); -1 when absent or a date. */
int64_t http_retry_after(const struct http_head *h);
/* Digits only, at most HTTP_LENGTH_MAX; false otherwise. */
bool http_digits(struct slice s, int64_t *out);

#endif
