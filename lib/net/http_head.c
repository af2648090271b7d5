/*
 * Heads of requests and responses. Every shape that two parsers might read in two ways is refused here:
 * bare CR or LF, folded lines, space before a colon, repeated or decorated lengths, lengths beside
 * Transfer-Encoding (RFC 9112 section 11).
 */
#include "net/http.h"

#include "net/http_chars.h"
#include "net/url.h"

/* Set err and *status, return -1: the answer to a request that breaks the rules. */
#define BAD(status_value, ...)                                                                     \
	(*status = (status_value), error_set(err, ERR_MALFORMED, __VA_ARGS__))

size_t http_head_length(struct slice in, size_t *scanned)
{
	size_t end = in.len < HTTP_HEAD_MAX ? in.len : HTTP_HEAD_MAX;

	while (*scanned < end) {
		const uint8_t *lf = memchr(in.ptr + *scanned, '\n', end - *scanned);
		size_t at;

		if (lf == NULL) {
			*scanned = end;
			return 0;
		}
		at = (size_t)(lf - in.ptr);
		*scanned = at + 1;
		/* A bare LF, or no first line: no head; let the parser say so now, not when time is up. */
		if (at == 0 || in.ptr[at - 1] != '\r' || at == 1)
			return at + 1;
		if (at >= 3 && in.ptr[at - 2] == '\n' && in.ptr[at - 3] == '\r')
			return at + 1;
	}
	return 0;
}

/* Cut the next line off *rest, without its CRLF; false when there is none. */
static bool next_line(struct slice *rest, struct slice *line)
{
	const uint8_t *lf = rest->len == 0 ? NULL : memchr(rest->ptr, '\n', rest->len);
	size_t n;

	if (lf == NULL || lf == rest->ptr || lf[-1] != '\r')
		return false;
	n = (size_t)(lf - rest->ptr) + 1;
	*line = slice_of(rest->ptr, n - 2);
	*rest = slice_of(rest->ptr + n, rest->len - n);
	return true;
}

/* Cut up to the next space off *rest; the space is dropped. All of *rest when there is none. */
static struct slice next_word(struct slice *rest)
{
	const uint8_t *space = rest->len == 0 ? NULL : memchr(rest->ptr, ' ', rest->len);
	size_t n = space == NULL ? rest->len : (size_t)(space - rest->ptr);
	struct slice word = slice_of(rest->ptr, n);
	size_t used = space == NULL ? n : n + 1;

	*rest = slice_of(rest->ptr + used, rest->len - used);
	return word;
}

static bool is_token(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!http_is_token_char(s.ptr[i]))
			return false;
	return s.len > 0;
}

/* "name: value" (RFC 9112 5.1); the white space around the value is dropped. */
static int header_parse(struct http_header *h, struct slice line, struct error *err)
{
	const uint8_t *colon = memchr(line.ptr, ':', line.len);
	struct slice v;

	if (http_is_space(line.ptr[0]))
		return error_set(err, ERR_MALFORMED, "folded header line (RFC 9112 5.2)");
	if (colon == NULL)
		return error_set(err, ERR_MALFORMED, "header line without a colon");
	h->name = slice_of(line.ptr, (size_t)(colon - line.ptr));
	if (!is_token(h->name))
		return error_set(err, ERR_MALFORMED, "header name is not a token (RFC 9112 5.1)");
	v = slice_of(colon + 1, line.len - h->name.len - 1);
	while (v.len > 0 && http_is_space(v.ptr[0]))
		v = slice_of(v.ptr + 1, v.len - 1);
	while (v.len > 0 && http_is_space(v.ptr[v.len - 1]))
		v.len--;
	if (!http_value_ok(v))
		return error_set(err, ERR_MALFORMED, "header '%.*s' holds a control byte",
				 SLICE_ARG(h->name));
	h->value = v;
	return 0;
}

/* All header lines up to the blank one, which ends `rest`. *status: 400 or 431. */
static int headers_parse(struct http_head *h, struct slice rest, int *status, struct error *err)
{
	struct slice line;

	for (;;) {
		if (!next_line(&rest, &line))
			return BAD(400, "a line does not end with CRLF");
		if (line.len == 0)
			return rest.len == 0 ? 0 : BAD(400, "bytes after the end of the head");
		if (h->header_count == HTTP_HEADERS_MAX)
			return BAD(431, "more than %d headers", HTTP_HEADERS_MAX);
		*status = 400;
		if (header_parse(&h->headers[h->header_count], line, err) < 0)
			return -1;
		h->header_count++;
	}
}

/* How often the header occurs; *value gets the last one. */
static unsigned header_count(const struct http_head *h, const char *name, struct slice *value)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < h->header_count; i++) {
		if (!slice_equal_nocase(h->headers[i].name, name))
			continue;
		*value = h->headers[i].value;
		n++;
	}
	return n;
}

bool http_find(const struct http_head *h, const char *name, struct slice *value)
{
	return header_count(h, name, value) == 1;
}

/* Connection may come as several headers and as a list (RFC 9110 7.6.1). */
static bool connection_has(const struct http_head *h, const char *option)
{
	size_t i, at, end;

	for (i = 0; i < h->header_count; i++) {
		struct slice v = h->headers[i].value;

		if (!slice_equal_nocase(h->headers[i].name, "connection"))
			continue;
		for (at = 0; at <= v.len; at = end + 1) {
			struct slice word;

			for (end = at; end < v.len && v.ptr[end] != ','; end++)
				;
			word = slice_of(v.ptr + at, end - at);
			while (word.len > 0 && http_is_space(word.ptr[0]))
				word = slice_of(word.ptr + 1, word.len - 1);
			while (word.len > 0 && http_is_space(word.ptr[word.len - 1]))
				word.len--;
			if (slice_equal_nocase(word, option))
				return true;
		}
	}
	return false;
}

/* RFC 9112 6.2 and 6.3: one length or none; even two equal ones are refused. */
static int length_parse(struct http_head *h, struct error *err)
{
	struct slice v;
	unsigned n = header_count(h, "content-length", &v);

	h->content_length = HTTP_LENGTH_NONE;
	if (n == 0)
		return 0;
	if (n > 1)
		return error_set(err, ERR_MALFORMED, "Content-Length %u times", n);
	if (!http_digits(v, &h->content_length))
		return error_set(err, ERR_MALFORMED,
				 "Content-Length '%.*s' is not a number in range", SLICE_ARG(v));
	return 0;
}

/* "GET /path HTTP/1.1" (RFC 9112 3). */
static int request_line_parse(struct http_head *h, struct slice line, int *status,
			      struct error *err)
{
	struct slice version;
	const uint8_t *question;
	size_t i;

	h->method = next_word(&line);
	h->target = next_word(&line);
	version = line;
	if (!is_token(h->method))
		return BAD(400, "request line does not begin with a method");
	if (h->target.len > HTTP_TARGET_MAX)
		return BAD(414, "target is longer than %d bytes", HTTP_TARGET_MAX);
	if (h->target.len == 0 || h->target.ptr[0] != '/')
		return BAD(400, "target does not begin with '/'");
	for (i = 0; i < h->target.len; i++)
		if (!http_is_target_char(h->target, i))
			return BAD(400, "byte 0x%02x in the target", h->target.ptr[i]);
	if (version.len != 8 || !slice_starts(version, SLICE_LIT("HTTP/")) || version.ptr[6] != '.')
		return BAD(400, "request line does not end with a version");
	if (!slice_equal_str(version, "HTTP/1.1"))
		return BAD(505, "only HTTP/1.1 is spoken here");
	h->minor = 1;
	question = memchr(h->target.ptr, '?', h->target.len);
	h->path = h->target;
	if (question != NULL) {
		h->path.len = (size_t)(question - h->target.ptr);
		h->query = slice_of(question + 1, h->target.len - h->path.len - 1);
	}
	return 0;
}

/* RFC 9112 6.1 and 6.3, and the choice of http.h: no Transfer-Encoding in requests. */
static int request_framing_check(struct http_head *h, int *status, struct error *err)
{
	struct slice te;
	unsigned n = header_count(h, "transfer-encoding", &te);

	*status = 400;
	if (length_parse(h, err) < 0)
		return -1;
	if (n == 0)
		return 0;
	if (h->content_length != HTTP_LENGTH_NONE)
		return BAD(400, "Content-Length and Transfer-Encoding together");
	if (n == 1 && slice_equal_nocase(te, "chunked"))
		return BAD(411, "Content-Length is needed; chunked requests are not taken");
	return BAD(501, "unknown Transfer-Encoding");
}

/* RFC 9112 3.2: Host, once, "name", "name:port", "[v6]" or "[v6]:port". */
static int request_host_check(struct http_head *h, int *status, struct error *err)
{
	unsigned n = header_count(h, "host", &h->host);
	struct buf text = BUF_INIT(HOST_LEN_MAX + 32);
	struct url u;
	int r;

	if (n != 1)
		return BAD(400, n == 0 ? "no Host header" : "more than one Host header");
	buf_put_str(&text, "http://");
	buf_put_slice(&text, h->host);
	r = text.failed ? -1 : url_parse(&u, buf_slice(&text), URL_HTTP | URL_BASE, err);
	buf_release(&text);
	if (r < 0 || u.target[0] != '\0')
		return BAD(400, "Host is not a name or address with an optional port");
	return 0;
}

int http_request_parse(struct http_head *h, struct slice head, int *status, struct error *err)
{
	struct slice line, expect;

	memset(h, 0, offsetof(struct http_head, headers));
	if (head.len > HTTP_HEAD_MAX)
		return BAD(431, "head is longer than %d bytes", HTTP_HEAD_MAX);
	if (!next_line(&head, &line))
		return BAD(400, "request line does not end with CRLF");
	if (request_line_parse(h, line, status, err) < 0 ||
	    headers_parse(h, head, status, err) < 0 || request_framing_check(h, status, err) < 0 ||
	    request_host_check(h, status, err) < 0)
		return -1;
	h->keep_alive = !connection_has(h, "close");
	switch (header_count(h, "expect", &expect)) {
	case 0:
		break;
	case 1:
		if (slice_equal_nocase(expect, "100-continue")) {
			h->expect_continue = true;
			break;
		}
		/* fall through */
	default:
		return BAD(417, "unknown expectation");
	}
	*status = 0;
	return 0;
}

/* "HTTP/1.1 200 OK" (RFC 9112 4); 1.0 as proxies say it. */
static int status_line_parse(struct http_head *h, struct slice line, struct error *err)
{
	struct slice version = next_word(&line), code = next_word(&line);
	int64_t status;

	if (slice_equal_str(version, "HTTP/1.1"))
		h->minor = 1;
	else if (!slice_equal_str(version, "HTTP/1.0"))
		return error_set(err, ERR_MALFORMED, "answer is not HTTP/1.1");
	if (code.len != 3 || !http_digits(code, &status) || status < 100 || status > 599)
		return error_set(err, ERR_MALFORMED, "answer has no status of three digits");
	if (!http_value_ok(line))
		return error_set(err, ERR_MALFORMED, "reason phrase holds a control byte");
	h->status = (int)status;
	return 0;
}

int http_response_parse(struct http_head *h, struct slice head, const char *to_method,
			struct error *err)
{
	struct slice line, te;
	int status;
	unsigned n;

	memset(h, 0, offsetof(struct http_head, headers));
	if (head.len > HTTP_HEAD_MAX)
		return error_set(err, ERR_LIMIT, "head is longer than %d bytes", HTTP_HEAD_MAX);
	if (!next_line(&head, &line))
		return error_set(err, ERR_MALFORMED, "status line does not end with CRLF");
	if (status_line_parse(h, line, err) < 0 || headers_parse(h, head, &status, err) < 0)
		return -1;
	h->keep_alive = h->minor == 1 && !connection_has(h, "close");
	/* RFC 9112 6.3, first cases: no body, whatever the headers say. */
	h->no_body = h->status < 200 || h->status == 204 || h->status == 304 ||
		     strcmp(to_method, "HEAD") == 0 ||
		     (strcmp(to_method, "CONNECT") == 0 && h->status / 100 == 2);
	n = header_count(h, "transfer-encoding", &te);
	if (h->no_body && n > 0 && strcmp(to_method, "CONNECT") == 0)
		return 0;
	if (length_parse(h, err) < 0)
		return -1;
	if (n == 0)
		return 0;
	if (h->content_length != HTTP_LENGTH_NONE)
		return error_set(err, ERR_MALFORMED,
				 "Content-Length and Transfer-Encoding together");
	if (n > 1 || h->minor == 0 || !slice_equal_nocase(te, "chunked"))
		return error_set(err, ERR_MALFORMED, "Transfer-Encoding is not exactly 'chunked'");
	h->chunked = true;
	return 0;
}

bool http_query(const struct http_head *h, const char *name, struct buf *out)
{
	struct slice q = h->query, found = SLICE_EMPTY;
	struct error err = ERROR_INIT;
	size_t at, end, name_len = strlen(name);
	unsigned n = 0;

	for (at = 0; at < q.len; at = end + 1) {
		for (end = at; end < q.len && q.ptr[end] != '&'; end++)
			;
		if (end - at < name_len || memcmp(q.ptr + at, name, name_len) != 0)
			continue;
		if (end - at == name_len)
			found = SLICE_EMPTY;
		else if (q.ptr[at + name_len] == '=')
			found = slice_of(q.ptr + at + name_len + 1, end - at - name_len - 1);
		else
			continue;
		n++;
	}
	return n == 1 && percent_decode(out, found, &err) == 0;
}
