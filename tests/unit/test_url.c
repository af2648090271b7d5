/* URLs, hosts and socket addresses. */
#include "tap.h"

#include "corpus.h"
#include "net/addr.h"
#include "net/url.h"

static void url_case(const char *name, struct slice content)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(URL_LEN_MAX);
	struct url u, again;
	int r = url_parse(&u, content, URL_HTTPS, &err);

	if ((r == 0) != (name[0] == 'o')) {
		printf("# %s: %d %s\n", name, r, err.text);
		tap_failures++;
	}
	if (r < 0) {
		CHECK_INT(err.kind, ERR_USAGE);
		return;
	}
	url_put(&out, &u);
	CHECK(url_parse(&again, buf_slice(&out), URL_HTTPS, &err) == 0);
	CHECK_STR(again.target, u.target);
	CHECK_STR(again.host, u.host);
	buf_release(&out);
}

TEST(urls)
{
	CHECK(corpus_each("tests/fuzz/corpus/url", url_case) > 35);
}

TEST(url_parts)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(200);
	struct url u;

	REQUIRE(url_parse(&u, SLICE_LIT("https://[2001:DB8:0::1]:9444/a?b"), URL_HTTPS, &err) == 0);
	CHECK_STR(u.host, "2001:db8::1");
	CHECK_INT(u.port, 9444);
	CHECK_INT(u.host_kind, HOST_IPV6);
	CHECK_STR(u.target, "/a?b");
	url_put(&out, &u);
	CHECK_STR(buf_cstr(&out), "https://[2001:db8::1]:9444/a?b");
	REQUIRE(url_parse(&u, SLICE_LIT("https://Depot.Example:443/base/"), URL_HTTPS | URL_BASE, &err) == 0);
	CHECK_STR(u.target, "/base");
	buf_clear(&out);
	url_put(&out, &u);
	CHECK_STR(buf_cstr(&out), "https://depot.example/base");
	buf_clear(&out);
	url_put_authority(&out, &u, true);
	CHECK_STR(buf_cstr(&out), "depot.example:443");
	CHECK(url_parse(&u, SLICE_LIT("https://a/?b"), URL_HTTPS | URL_BASE, &err) < 0);
	buf_release(&out);
}

TEST(proxy_urls_keep_their_secret)
{
	struct error err = ERROR_INIT;
	struct url u;

	REQUIRE(url_parse(&u, SLICE_LIT("http://us%65r:p%40ss%3a@proxy:3128"), URL_HTTP | URL_USER, &err) == 0);
	CHECK_STR(u.user, "user");
	CHECK_STR(u.password, "p@ss:");
	CHECK_INT(u.port, 3128);
	CHECK(url_parse(&u, SLICE_LIT("http://user:sesame@pro_xy:3128"), URL_HTTP | URL_USER, &err) < 0);
	CHECK(strstr(err.text, "sesame") == NULL);
	CHECK(url_parse(&u, SLICE_LIT("http://us%3aer:x@proxy"), URL_HTTP | URL_USER, &err) < 0);
	CHECK(url_parse(&u, SLICE_LIT("http://@proxy"), URL_HTTP | URL_USER, &err) < 0);
	CHECK(url_parse(&u, SLICE_LIT("https://proxy"), URL_HTTP | URL_USER, &err) < 0);
}

TEST(percent_coding)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(64);

	percent_encode(&out, SLICE_LIT("a b/\xff~"));
	CHECK_STR(buf_cstr(&out), "a%20b%2F%FF~");
	buf_clear(&out);
	CHECK(percent_decode(&out, SLICE_LIT("%41%2f+%C3%A9"), &err) == 0);
	CHECK_STR(buf_cstr(&out), "A/+\xc3\xa9");
	CHECK(percent_decode(&out, SLICE_LIT("%4"), &err) < 0);
	CHECK(percent_decode(&out, SLICE_LIT("%00"), &err) < 0);
	CHECK(percent_decode(&out, SLICE_LIT("%1b"), &err) < 0);
	buf_release(&out);
}

TEST(addresses)
{
	static const char *const bad[] = {"", "9443", "localhost:9443", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9443",
					  "[::1]9443", "[::1", "127.0.0.1:9443x", "1.2.3:80"};
	static const char *const good[] = {"127.0.0.1:9443", "[2001:db8::1]:80", "0.0.0.0:0"};
	struct error err = ERROR_INIT;
	struct sockaddr_storage a;
	char text[ADDR_TEXT_LEN];
	socklen_t len;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (addr_parse(&a, &len, slice_str(bad[i]), &err) == 0) {
			printf("# %s\n", bad[i]);
			tap_failures++;
		}
	}
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK(addr_parse(&a, &len, slice_str(good[i]), &err) == 0);
		addr_text(text, &a);
		CHECK_STR(text, good[i]);
	}
	CHECK(addr_parse(&a, &len, SLICE_LIT(":8080"), &err) == 0);
	addr_text(text, &a);
	CHECK_STR(text, "[::]:8080");
}

TEST(sources)
{
	struct error err = ERROR_INIT;
	struct sockaddr_storage a, b;
	char text[ADDR_TEXT_LEN];
	socklen_t len;

	REQUIRE(addr_parse(&a, &len, SLICE_LIT("192.0.2.7:1"), &err) == 0);
	REQUIRE(addr_parse(&b, &len, SLICE_LIT("[::ffff:192.0.2.7]:2"), &err) == 0);
	CHECK(addr_source(&a) == addr_source(&b));
	addr_text(text, &b);
	CHECK_STR(text, "192.0.2.7:2");
	REQUIRE(addr_parse(&a, &len, SLICE_LIT("[2001:db8:0:1::7]:1"), &err) == 0);
	REQUIRE(addr_parse(&b, &len, SLICE_LIT("[2001:db8:0:1:ffff::1]:1"), &err) == 0);
	CHECK(addr_source(&a) == addr_source(&b));
	CHECK(!addr_is_local(&a));
	REQUIRE(addr_parse(&a, &len, SLICE_LIT("127.9.9.9:1"), &err) == 0);
	CHECK(addr_is_local(&a));
}
