/* The HTTP engine: heads in every shape of tests/fuzz/corpus, bodies, ranges, writing. */
#include "tap.h"

#include "corpus.h"
#include "net/http.h"

/* ---- request heads: the file's name begins with the status it deserves; 000: not all there ---- */

static void request_case(const char *name, struct slice content)
{
	int want = (name[0] - '0') * 100 + (name[1] - '0') * 10 + (name[2] - '0'), status = 0;
	struct error err = ERROR_INIT;
	static struct http_head h;
	size_t scanned = 0, n = http_head_length(content, &scanned);

	if (n == 0) {
		status = content.len >= HTTP_HEAD_MAX ? 431 : 0;
	} else if (http_request_parse(&h, slice_of(content.ptr, n), &status, &err) == 0) {
		status = 200;
	}
	if (status != want) {
		printf("# %s: %d %s\n", name, status, err.text);
		tap_failures++;
	}
	if (status != 200 && n != 0)
		CHECK(err.kind == ERR_MALFORMED && err.text[0] != '\0');
}

TEST(request_heads)
{
	CHECK(corpus_each("tests/fuzz/corpus/http_head", request_case) > 70);
}

TEST(request_head_is_found_byte_by_byte)
{
	static const char text[] = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nGET";
	size_t i, scanned = 0;

	for (i = 0; i < sizeof(text) - 4; i++)
		CHECK_INT(http_head_length(slice_of(text, i), &scanned), 0);
	CHECK_INT(http_head_length(slice_of(text, sizeof(text) - 1), &scanned), sizeof(text) - 4);
}

TEST(request_parts)
{
	static const char text[] = "PUT /blobs/ab%20?x=1&y=%41b&z&y2=3 HTTP/1.1\r\nhost: Example.org:9443\r\n"
				   "Content-Length: 12\r\nX-A:  b c \r\nX-D: 1\r\nx-d: 2\r\n\r\n";
	struct buf out = BUF_INIT(10);
	struct error err = ERROR_INIT;
	struct http_head h;
	struct slice v;
	int status;

	REQUIRE(http_request_parse(&h, slice_str(text), &status, &err) == 0);
	CHECK(slice_equal_str(h.method, "PUT"));
	CHECK(slice_equal_str(h.path, "/blobs/ab%20"));
	CHECK(slice_equal_str(h.query, "x=1&y=%41b&z&y2=3"));
	CHECK(slice_equal_str(h.host, "Example.org:9443"));
	CHECK_INT(h.content_length, 12);
	CHECK(h.keep_alive && !h.expect_continue);
	CHECK(http_find(&h, "x-a", &v) && slice_equal_str(v, "b c"));
	CHECK(!http_find(&h, "X-D", &v));
	CHECK(!http_find(&h, "X-E", &v));
	CHECK(http_query(&h, "y", &out));
	CHECK_STR(buf_cstr(&out), "Ab");
	buf_clear(&out);
	CHECK(http_query(&h, "z", &out) && out.len == 0);
	CHECK(!http_query(&h, "w", &out));
	CHECK_INT(h.header_count, 5);
	buf_release(&out);
}

TEST(query_refuses_repeats_and_controls)
{
	static const char text[] = "GET /?a=1&a=2&b=%00&c=%0a&d=%zz HTTP/1.1\r\nHost: x\r\n\r\n";
	struct buf out = BUF_INIT(10);
	struct error err = ERROR_INIT;
	struct http_head h;
	int status;

	/* %zz does not pass the parser at all */
	CHECK(http_request_parse(&h, slice_str(text), &status, &err) < 0);
	CHECK(http_request_parse(&h, SLICE_LIT("GET /?a=1&a=2&b=%00&c=%0a HTTP/1.1\r\nHost: x\r\n\r\n"), &status, &err) == 0);
	CHECK(!http_query(&h, "a", &out));
	CHECK(!http_query(&h, "b", &out));
	CHECK(!http_query(&h, "c", &out));
	buf_release(&out);
}

/* ---- responses: "ok-", "bad-" or "cut-" ---- */

/* 1: whole body there, 0: more is needed, -1: refused. *len gets the payload seen. */
static int body_all(const struct http_head *h, struct slice in, size_t step, uint64_t *len)
{
	struct error err = ERROR_INIT;
	struct http_body b;
	size_t at = 0;

	if (http_body_start(&b, h, &err) < 0)
		return -1;
	while (at < in.len && b.state != HTTP_BODY_DONE) {
		size_t n = in.len - at < step ? in.len - at : step;
		struct slice piece = slice_of(in.ptr + at, n), part;

		do {
			if (http_body_next(&b, &piece, &part, &err) < 0)
				return -1;
		} while (part.len > 0);
		at += n;
	}
	*len = b.seen;
	return b.state == HTTP_BODY_DONE;
}

static void response_case(const char *name, struct slice content)
{
	size_t scanned = 0, n = http_head_length(content, &scanned), step;
	struct error err = ERROR_INIT;
	static struct http_head h;
	uint64_t len = 0;
	int r = n == 0 ? 0 : http_response_parse(&h, slice_of(content.ptr, n), "GET", &err);

	if (r == 0 && n > 0)
		for (step = 1; step < 100; step = step * 3 + 1)
			r = body_all(&h, slice_of(content.ptr + n, content.len - n), step, &len);
	if (r != (name[0] == 'o' ? 1 : name[0] == 'c' ? 0 : -1)) {
		printf("# %s: %d %s\n", name, r, err.text);
		tap_failures++;
	}
}

TEST(responses)
{
	CHECK(corpus_each("tests/fuzz/corpus/http_response", response_case) > 20);
}

static void chunked_case(const char *name, struct slice content)
{
	struct http_head h = {.status = 200, .chunked = true, .content_length = HTTP_LENGTH_NONE};
	uint64_t len = 0;
	size_t step;

	for (step = 1; step < 100; step = step * 3 + 1) {
		int r = body_all(&h, content, step, &len);

		if (r != (name[0] == 'o' ? 1 : name[0] == 'c' ? 0 : -1)) {
			printf("# %s in steps of %zu: %d\n", name, step, r);
			tap_failures++;
		}
	}
}

TEST(chunked_bodies)
{
	CHECK(corpus_each("tests/fuzz/corpus/http_chunked", chunked_case) > 20);
}

TEST(bodies_stop_where_they_end)
{
	struct http_head h = {.status = 200, .content_length = 5};
	struct slice in = SLICE_LIT("helloHTTP/1.1"), part;
	struct error err = ERROR_INIT;
	struct http_body b;

	REQUIRE(http_body_start(&b, &h, &err) == 0);
	CHECK(http_body_next(&b, &in, &part, &err) == 0 && slice_equal_str(part, "hello"));
	CHECK_INT(b.state, HTTP_BODY_DONE);
	CHECK(http_body_next(&b, &in, &part, &err) == 0 && part.len == 0);
	CHECK(slice_equal_str(in, "HTTP/1.1"));
}

TEST(responses_to_head_and_connect_have_no_body)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
	static const char chunked[] = "HTTP/1.1 200 Connected\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n";
	struct error err = ERROR_INIT;
	struct http_head h;
	struct http_body b;

	REQUIRE(http_response_parse(&h, slice_str(text), "HEAD", &err) == 0);
	CHECK(http_body_start(&b, &h, &err) == 0 && b.state == HTTP_BODY_DONE);
	CHECK_INT(h.content_length, 5);
	REQUIRE(http_response_parse(&h, slice_str(chunked), "CONNECT", &err) == 0);
	CHECK(http_body_start(&b, &h, &err) == 0 && b.state == HTTP_BODY_DONE);
	CHECK(http_response_parse(&h, slice_str(chunked), "GET", &err) < 0);
}

TEST(retry_after)
{
	struct error err = ERROR_INIT;
	struct http_head h;

	REQUIRE(http_response_parse(&h, SLICE_LIT("HTTP/1.1 503 x\r\nRetry-After: 30\r\n\r\n"), "GET", &err) == 0);
	CHECK_INT(http_retry_after(&h), 30);
	REQUIRE(http_response_parse(&h, SLICE_LIT("HTTP/1.1 503 x\r\nRetry-After: 999999999\r\n\r\n"), "GET", &err) == 0);
	CHECK_INT(http_retry_after(&h), 86400);
	REQUIRE(http_response_parse(&h, SLICE_LIT("HTTP/1.1 503 x\r\nRetry-After: Fri, 31 Dec\r\n\r\n"), "GET", &err) == 0);
	CHECK_INT(http_retry_after(&h), -1);
}

/* ---- writing ---- */

TEST(writes_what_it_reads)
{
	struct buf out = BUF_INIT(1000);
	struct error err = ERROR_INIT;
	struct http_head h;
	int status;

	http_put_request(&out, "PUT", "/x?y=1", "[::1]:9443");
	http_put_header_u64(&out, "Content-Length", UINT64_C(5000000000));
	http_put_header(&out, "X", SLICE_LIT("a b"));
	http_put_end(&out);
	REQUIRE(http_request_parse(&h, buf_slice(&out), &status, &err) == 0);
	CHECK_INT(h.content_length, INT64_C(5000000000));
	buf_clear(&out);
	http_put_status(&out, 410);
	http_put_end(&out);
	CHECK_STR(buf_cstr(&out), "HTTP/1.1 410 Gone\r\n\r\n");
	buf_release(&out);
}

TEST(headers_cannot_be_split)
{
	static const char *const bad[] = {"a\r\nSet-Cookie: x", "a\nb", "a\rb", "\x01", "\x7f"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf out = BUF_INIT(1000);

		http_put_header(&out, "X", slice_str(bad[i]));
		CHECK(out.failed && out.len == 0);
		buf_release(&out);
	}
}

/* ---- values ---- */

TEST(ranges)
{
	static const struct {
		const char *value;
		uint64_t size;
		enum http_range_verdict verdict;
		uint64_t first, last;
	} cases[] = {
		{"bytes=0-", 10, HTTP_RANGE_PART, 0, 9},
		{"bytes=3-5", 10, HTTP_RANGE_PART, 3, 5},
		{"Bytes=3-3", 10, HTTP_RANGE_PART, 3, 3},
		{"bytes=3-500", 10, HTTP_RANGE_PART, 3, 9},
		{"bytes=-4", 10, HTTP_RANGE_PART, 6, 9},
		{"bytes=-400", 10, HTTP_RANGE_PART, 0, 9},
		{"bytes=4294967296-", UINT64_C(4294967298), HTTP_RANGE_PART, UINT64_C(4294967296), UINT64_C(4294967297)},
		{"bytes=10-", 10, HTTP_RANGE_BAD, 0, 0},
		{"bytes=0-", 0, HTTP_RANGE_BAD, 0, 0},
		{"bytes=-0", 10, HTTP_RANGE_BAD, 0, 0},
		{"bytes=5-3", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=-", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0-1,3-4", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes= 0-1", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=a-b", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=99999999999999999999-", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"lines=0-1", 10, HTTP_RANGE_WHOLE, 0, 0},
		{"", 10, HTTP_RANGE_WHOLE, 0, 0},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_range r = {0, 0};

		if (http_range_parse(slice_str(cases[i].value), cases[i].size, &r) != cases[i].verdict ||
		    r.first != cases[i].first || r.last != cases[i].last) {
			printf("# %s\n", cases[i].value);
			tap_failures++;
		}
	}
}

TEST(content_ranges)
{
	static const char *const bad[] = {"", "bytes", "bytes 0-1", "bytes 0-1/*", "bytes */10", "bytes 2-1/10", "bytes 0-10/10",
					  "bytes -1/10", "bytes 0-/10", "lines 0-1/10", "bytes 0-1/10/11", "a/bytes 0-1"};
	struct error err = ERROR_INIT;
	struct http_range r;
	uint64_t size;
	size_t i;

	CHECK(http_content_range_parse(SLICE_LIT("bytes 5-9/10"), &r, &size, &err) == 0);
	CHECK(r.first == 5 && r.last == 9 && size == 10);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(http_content_range_parse(slice_str(bad[i]), &r, &size, &err) < 0);
}
