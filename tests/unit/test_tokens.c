/* Token strings: one text for one token, and a word for each way to be wrong. */
#include "tap.h"

#include "base/encode.h"
#include "corpus.h"
#include "fleet/tokens.h"

static struct enroll_token sample(void)
{
	struct enroll_token t = {.id = "0123456789abcdef", .site = "depot-7", .root_version = 3, .url_count = 2};

	memset(t.secret, 0x5a, sizeof(t.secret));
	memset(t.server_ca, 0xc1, sizeof(t.server_ca));
	memset(t.root_sha256, 0x77, sizeof(t.root_sha256));
	snprintf(t.urls[0], sizeof(t.urls[0]), "https://fleet.example:9446");
	snprintf(t.urls[1], sizeof(t.urls[1]), "https://[fd12::1]");
	return t;
}

TEST(enrolment_token_reads_back)
{
	struct enroll_token t = sample(), got;
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX), padded = BUF_SECRET(TOKEN_TEXT_MAX);
	struct error err = ERROR_INIT;

	enroll_token_put(&text, &t);
	CHECK(slice_starts(buf_slice(&text), SLICE_LIT("mtk1")));
	CHECK(enroll_token_parse(&got, buf_slice(&text), &err) == 0);
	CHECK(memcmp(&got, &t, sizeof(t)) == 0);
	buf_printf(&padded, " \n%s\r\n", buf_cstr(&text));
	CHECK(enroll_token_parse(&got, buf_slice(&padded), &err) == 0);
	enroll_token_wipe(&got);
	CHECK_STR(got.id, "");
	buf_release(&text);
	buf_release(&padded);
}

TEST(enrolment_token_of_the_largest_size_fits)
{
	struct enroll_token t = sample(), got;
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);
	struct error err = ERROR_INIT;
	unsigned i, n;

	memset(t.site, 's', NAME_LEN_MAX);
	t.root_version = INT32_MAX;
	t.url_count = TOKEN_URLS_MAX;
	for (i = 0; i < TOKEN_URLS_MAX; i++) {
		strcpy(t.urls[i], "https://");
		for (n = 8; n < 240; n++)
			t.urls[i][n] = n % 20 == 0 ? '.' : 'h';
		strcpy(t.urls[i] + n, ":65535");
	}
	enroll_token_put(&text, &t);
	CHECK(!text.failed);
	CHECK(enroll_token_parse(&got, buf_slice(&text), &err) == 0);
	CHECK(memcmp(&got, &t, sizeof(t)) == 0);
	buf_release(&text);
}

TEST(any_changed_character_is_seen)
{
	struct enroll_token t = sample(), got;
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);
	struct error err = ERROR_INIT;
	size_t i;

	enroll_token_put(&text, &t);
	for (i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];

		text.ptr[i] = c == 'A' ? 'B' : 'A';
		CHECK(enroll_token_parse(&got, buf_slice(&text), &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
		text.ptr[i] = c;
	}
	for (i = 0; i < text.len; i++)
		CHECK(enroll_token_parse(&got, slice_sub(buf_slice(&text), 0, i), &err) < 0);
	buf_release(&text);
}

/* A record under the right checksum, so that only its content is judged. */
static const char *sealed(const char *prefix, struct slice record)
{
	static char out[8192];
	struct buf all = BUF_INIT(4096), text = BUF_INIT(8000);
	uint8_t hash[SHA256_LEN];

	buf_put_str(&all, prefix);
	buf_put_slice(&all, record);
	sha256_of(buf_slice(&all), hash);
	buf_put(&all, hash, 4);
	base64url_put(&text, slice_sub(buf_slice(&all), 4, SIZE_MAX));
	snprintf(out, sizeof(out), "%s%s", prefix, buf_cstr(&text));
	buf_release(&all);
	buf_release(&text);
	return out;
}

static void refused(const char *text, const char *word)
{
	struct error err = ERROR_INIT;
	struct enroll_token t;

	CHECK_INT(enroll_token_parse(&t, slice_str(text), &err), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	if (strstr(err.text, word) == NULL)
		CHECK_STR(err.text, word);
	CHECK_INT(t.secret[0], 0);
}

/* id, secret, pin, root version, root hash, then what is given. */
static const char *with(uint32_t version, const char *rest, size_t n)
{
	struct buf record = BUF_INIT(4096);
	const char *text;
	unsigned i;

	for (i = 0; i < 72; i++)
		buf_put_u8(&record, 0x11);
	buf_put_u32be(&record, version);
	for (i = 0; i < 32; i++)
		buf_put_u8(&record, 0x22);
	buf_put(&record, rest, n);
	text = sealed("mtk1", buf_slice(&record));
	buf_release(&record);
	return text;
}
#define WITH(version, rest) with(version, rest, sizeof(rest) - 1)

TEST(wrong_tokens_are_told_apart)
{
	static char long_text[TOKEN_TEXT_MAX + 2];

	memset(long_text, 'm', sizeof(long_text) - 1);
	refused("", "does not begin with 'mtk1'");
	refused("mop1AAAA", "does not begin with 'mtk1'");
	refused("mtk2AAAA", "version that this program does not know");
	refused("mtk1", "cut short");
	refused("mtk1AA", "cut short");
	refused("mtk1AAAAAAAAAAAA", "wrong checksum");
	refused("mtk1AAA AAAA", "not base64");
	refused("mtk1AAA=", "not base64");
	refused(long_text, "more than 2048");
	refused(sealed("mtk1", SLICE_LIT("short")), "cut short");
	refused(WITH(0, "\4main\1\x12https://fleet.main"), "root version");
	refused(WITH(0x80000000, "\4main\1\x12https://fleet.main"), "root version");
	refused(WITH(1, "\4Main\1\x12https://fleet.main"), "site");
	refused(WITH(1, "\0\1\x12https://fleet.main"), "site is empty");
	refused(WITH(1, "\4ma\0n\1\x12https://fleet.main"), "site");
	refused(WITH(1, "\4main\0"), "0 addresses");
	refused(WITH(1, "\4main\5"), "5 addresses");
	refused(WITH(1, "\4main\2\x12https://fleet.main"), "cut short");
	refused(WITH(1, "\4main\1\x13https://fleet.main"), "cut short");
	refused(WITH(1, "\4main\1\x11http://fleet.main"), "https://HOST");
	refused(WITH(1, "\4main\1\x12https://fleet.mainx"), "1 bytes too many");
	refused(WITH(1, "\4main"), "cut short");
}

TEST(addresses_are_host_and_port_alone)
{
	static const char *const good[] = {"https://a", "https://a.example:1", "https://10.0.0.1:9446",
					   "https://[::1]", "https://[fd00::1]:65535"};
	static const char *const bad[] = {
		"", "https://", "http://a", "HTTPS://a", "https://a/", "https://a:0", "https://a:65536",
		"https://a:", "https://a:09", "https://a:1x", "https://u@a", "https://a?x", "https://::1",
		"https://[::1", "https://[::1]x", "https://[10.0.0.1]", "https://[a]", "https:// a", "https://a b",
		"https://a..b", "https://-a", "https://a\n", "https://1.2.3"};
	struct error err = ERROR_INIT;
	char longest[300] = "https://";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (token_url_check(slice_str(good[i]), &err) < 0)
			CHECK_STR(good[i], err.text);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (token_url_check(slice_str(bad[i]), &err) == 0)
			CHECK_STR(bad[i], "refused");
	CHECK(token_url_check(SLICE_LIT("https://a\0b"), &err) < 0);
	memset(longest + 8, 'a', 280);
	CHECK(token_url_check(slice_str(longest), &err) < 0);
}

TEST(operator_token_reads_back_and_refuses)
{
	struct operator_token t = {.id = "fedcba9876543210"}, got;
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);
	struct error err = ERROR_INIT;

	memset(t.secret, 1, sizeof(t.secret));
	memset(t.server_ca, 2, sizeof(t.server_ca));
	operator_token_put(&text, &t);
	CHECK(operator_token_parse(&got, buf_slice(&text), &err) == 0);
	CHECK(memcmp(&got, &t, sizeof(t)) == 0);
	CHECK(operator_token_parse(&got, SLICE_LIT("mtk1AAAA"), &err) < 0);
	CHECK(operator_token_parse(&got, slice_str(sealed("mop1", SLICE_LIT("short"))), &err) < 0);
	CHECK_STR(err.text, "operator token has a wrong length");
	text.ptr[20] = text.ptr[20] == 'A' ? 'B' : 'A';
	CHECK(operator_token_parse(&got, buf_slice(&text), &err) < 0);
	CHECK_STR(err.hint, "copy it again, whole and unchanged");
	buf_release(&text);
}

static void visit(const char *name, struct slice content)
{
	struct error err = ERROR_INIT;
	struct enroll_token t;
	struct operator_token o;
	bool good = enroll_token_parse(&t, content, &err) == 0 || operator_token_parse(&o, content, &err) == 0;

	if (good != (strncmp(name, "good-", 5) == 0))
		CHECK_STR(name, good ? "accepted" : err.text);
}

TEST(tokens_named_good_are_read_and_others_refused)
{
	CHECK(corpus_each("tests/fuzz/corpus/token", visit) > 5);
}
