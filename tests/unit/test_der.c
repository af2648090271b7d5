/* The DER reader: what it takes, and each way in which it refuses. */
#include "tap.h"

#include "crypto/der.h"

#define DER(s) der_of(SLICE_LIT(s))

TEST(der_descends_and_ends)
{
	struct der d = DER("\x30\x06\x02\x01\x05\x04\x01\xaa"), in;
	struct error err = ERROR_INIT;
	struct slice bytes;
	int64_t v = 0;

	REQUIRE(der_enter(&d, DER_SEQUENCE, &in, "thing", &err) == 0);
	CHECK(der_done(&d));
	CHECK(der_end(&d, "thing", &err) == 0);
	CHECK_INT(der_peek(&in), DER_INTEGER);
	CHECK(der_int(&in, 0, 9, &v, "number", &err) == 0);
	CHECK_INT(v, 5);
	CHECK(der_end(&in, "number", &err) < 0);
	CHECK_STR(err.text, "3 stray bytes after number");
	CHECK(der_get(&in, DER_OCTET_STRING, &bytes, "bytes", &err) == 0);
	CHECK_INT(bytes.len, 1);
	CHECK_INT(der_peek(&in), -1);
	CHECK(der_get(&in, DER_OCTET_STRING, &bytes, "more", &err) < 0);
	CHECK_STR(err.text, "more is missing");
}

TEST(der_whole_has_tag_and_length)
{
	struct der d = DER("\x30\x03\x02\x01\x05\x05\x00");
	struct error err = ERROR_INIT;
	struct slice whole;

	CHECK(der_get_whole(&d, DER_SEQUENCE, &whole, "thing", &err) == 0);
	CHECK_INT(whole.len, 5);
	CHECK(der_null(&d, "nothing", &err) == 0);
	CHECK(der_done(&d));
}

TEST(der_long_lengths)
{
	uint8_t bytes[4 + 300] = {0x04, 0x82, 0x01, 0x2c};
	struct der d = der_of(slice_of(bytes, sizeof(bytes)));
	struct error err = ERROR_INIT;
	struct slice content;

	CHECK(der_get(&d, DER_OCTET_STRING, &content, "long", &err) == 0);
	CHECK_INT(content.len, 300);
}

/* Refusals of heads; the cursor must not have moved. */
TEST(der_refuses_bad_heads)
{
	static const struct {
		struct slice bytes;
		const char *why;
	} bad[] = {
		{{(const uint8_t *)"\x04", 1}, "x is cut short"},
		{{(const uint8_t *)"\x04\x02\x00", 3}, "x is cut short"},
		{{(const uint8_t *)"\x04\x82\x01", 3}, "x is cut short"},
		{{(const uint8_t *)"\x04\x80\x00\x00", 4}, "x has no definite length of at most 4 bytes"},
		{{(const uint8_t *)"\x04\x85\x00\x00\x00\x00\x01\x00", 8}, "x has no definite length of at most 4 bytes"},
		{{(const uint8_t *)"\x04\x81\x01\x00", 4}, "x has a length not in its shortest form"},
		{{(const uint8_t *)"\x04\x82\x00\x80", 4}, "x has a length not in its shortest form"},
		{{(const uint8_t *)"\x04\x84\x80\x00\x00\x00", 6}, "x is longer than 2147483647 bytes"},
		{{(const uint8_t *)"\x04\x84\x7f\xff\xff\xff", 6}, "x is cut short"},
		{{(const uint8_t *)"\x1f\x20\x00", 3}, "x has a tag of several bytes"},
	};
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct der d = der_of(bad[i].bytes);

		CHECK(der_any(&d, NULL, NULL, NULL, "x", &err) < 0);
		CHECK_STR(err.text, bad[i].why);
		CHECK_INT(err.kind, ERR_MALFORMED);
		CHECK_INT(d.rest.len, bad[i].bytes.len);
	}
}

TEST(der_refuses_another_tag)
{
	struct der d = DER("\x31\x00"), in;
	struct error err = ERROR_INIT;

	CHECK(der_enter(&d, DER_SEQUENCE, &in, "name", &err) < 0);
	CHECK_STR(err.text, "name has DER tag 0x31 instead of 0x30");
	CHECK_INT(d.rest.len, 2);
}

TEST(der_integers)
{
	struct der d = DER("\x02\x01\x00" "\x02\x01\x80" "\x02\x02\x00\x80" "\x02\x02\xff\x7f"
			   "\x02\x08\x80\x00\x00\x00\x00\x00\x00\x00");
	static const int64_t want[] = {0, -128, 128, -129, INT64_MIN};
	struct error err = ERROR_INIT;
	int64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		CHECK(der_int(&d, INT64_MIN, INT64_MAX, &v, "n", &err) == 0);
		CHECK_INT(v, want[i]);
	}
	CHECK(der_done(&d));
}

TEST(der_refuses_bad_integers)
{
	static const struct slice bad[] = {
		{(const uint8_t *)"\x02\x00", 2},
		{(const uint8_t *)"\x02\x02\x00\x7f", 4},
		{(const uint8_t *)"\x02\x02\xff\x80", 4},
		{(const uint8_t *)"\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", 11},
		{(const uint8_t *)"\x02\x01\x0b", 3},	/* above the range */
	};
	struct error err = ERROR_INIT;
	int64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct der d = der_of(bad[i]);

		CHECK(der_int(&d, 0, 10, &v, "n", &err) < 0);
		CHECK_INT(d.rest.len, bad[i].len);
	}
}

TEST(der_unsigned)
{
	struct der zero = DER("\x02\x01\x00"), big = DER("\x02\x02\x00\xff"), minus = DER("\x02\x01\xff");
	struct error err = ERROR_INIT;
	struct slice m;

	CHECK(der_uint(&zero, &m, "n", &err) == 0);
	CHECK_INT(m.len, 0);
	CHECK(der_uint(&big, &m, "n", &err) == 0);
	CHECK_INT(m.len, 1);
	CHECK(der_uint(&minus, &m, "n", &err) < 0);
	CHECK_STR(err.text, "n is negative");
}

TEST(der_booleans)
{
	struct der d = DER("\x01\x01\xff\x01\x01\x00\x01\x01\x01");
	struct error err = ERROR_INIT;
	bool v = false;

	CHECK(der_bool(&d, &v, "b", &err) == 0 && v);
	CHECK(der_bool(&d, &v, "b", &err) == 0 && !v);
	CHECK(der_bool(&d, &v, "b", &err) < 0);
}

TEST(der_oids)
{
	struct der good = DER("\x06\x03\x55\x04\x03"), padded = DER("\x06\x03\x55\x80\x03");
	struct der open_end = DER("\x06\x02\x55\x84"), empty = DER("\x06\x00");
	struct error err = ERROR_INIT;
	struct slice oid;

	CHECK(der_oid(&good, &oid, "oid", &err) == 0);
	CHECK(slice_equal(oid, SLICE_LIT("\x55\x04\x03")));
	CHECK(der_oid(&padded, &oid, "oid", &err) < 0);
	CHECK(der_oid(&open_end, &oid, "oid", &err) < 0);
	CHECK(der_oid(&empty, &oid, "oid", &err) < 0);
}

TEST(der_bit_strings)
{
	struct der good = DER("\x03\x03\x00\xab\xcd"), odd = DER("\x03\x02\x01\xaa"), empty = DER("\x03\x00");
	struct error err = ERROR_INIT;
	struct slice bits;

	CHECK(der_bits(&good, &bits, "bits", &err) == 0);
	CHECK_INT(bits.len, 2);
	CHECK(der_bits(&odd, &bits, "bits", &err) < 0);
	CHECK(der_bits(&empty, &bits, "bits", &err) < 0);
}

TEST(der_named_bits)
{
	static const struct slice bad[] = {
		{(const uint8_t *)"\x03\x00", 2},
		{(const uint8_t *)"\x03\x01\x01", 3},
		{(const uint8_t *)"\x03\x02\x08\x80", 4},
		{(const uint8_t *)"\x03\x02\x00\x80", 4},	/* trailing zero bits */
		{(const uint8_t *)"\x03\x02\x07\x81", 4},	/* a set bit among the unused */
		{(const uint8_t *)"\x03\x06\x00\x01\x01\x01\x01\x01", 8},
	};
	struct der usage = DER("\x03\x02\x01\x06"), many = DER("\x03\x03\x07\x00\x80"), none = DER("\x03\x01\x00");
	struct error err = ERROR_INIT;
	uint32_t flags;
	size_t i;

	CHECK(der_flags(&usage, &flags, "key usage", &err) == 0);
	CHECK_INT(flags, 1 << 5 | 1 << 6);	/* keyCertSign, cRLSign */
	CHECK(der_flags(&many, &flags, "key usage", &err) == 0);
	CHECK_INT(flags, 1 << 8);		/* decipherOnly */
	CHECK(der_flags(&none, &flags, "key usage", &err) == 0);
	CHECK_INT(flags, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct der d = der_of(bad[i]);

		CHECK(der_flags(&d, &flags, "key usage", &err) < 0);
	}
}

TEST(der_times)
{
	static const struct {
		const char *der;
		size_t len;
		int64_t t_s;
	} good[] = {
		{"\x17\x0d" "700101000000Z", 15, 0},
		{"\x17\x0d" "500101000000Z", 15, -631152000},
		{"\x17\x0d" "491231235959Z", 15, 2524607999},
		{"\x17\x0d" "240229120000Z", 15, 1709208000},
		{"\x18\x0f" "20500101000000Z", 17, 2524608000},
		{"\x18\x0f" "99991231235959Z", 17, 253402300799},
	};
	struct error err = ERROR_INIT;
	int64_t t_s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct der d = der_of(slice_of(good[i].der, good[i].len));

		CHECK(der_time(&d, &t_s, "time", &err) == 0);
		CHECK_INT(t_s, good[i].t_s);
	}
}

TEST(der_refuses_bad_times)
{
	static const char *const bad[] = {
		"\x17\x0b" "7001010000Z",	"\x17\x0d" "230229000000Z",	"\x17\x0d" "231301000000Z",
		"\x17\x0d" "230100000000Z",	"\x17\x0d" "230101240000Z",	"\x17\x0d" "230101000060Z",
		"\x17\x0d" "2301010000000",	"\x17\x0d" "23010100000+Z",	"\x18\x0f" "20491231235959Z",
		"\x18\x0f" "21000229000000Z",	"\x18\x11" "20500101000000.5Z", "\x13\x0d" "230101000000Z",
	};
	struct error err = ERROR_INIT;
	int64_t t_s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct der d = der_of(slice_str(bad[i]));

		CHECK(der_time(&d, &t_s, "notAfter", &err) < 0);
		CHECK_INT(d.rest.len, strlen(bad[i]));
	}
}

TEST(der_texts)
{
	struct der good = DER("\x13\x03" "A-1" "\x0c\x02\xc3\xbc" "\x16\x02" "a@" "\x0c\x00");
	struct error err = ERROR_INIT;
	struct slice s;

	CHECK(der_text(&good, &s, "name", &err) == 0);
	CHECK(slice_equal_str(s, "A-1"));
	CHECK(der_text(&good, &s, "name", &err) == 0);
	CHECK(der_text(&good, &s, "name", &err) == 0);
	CHECK(der_text(&good, &s, "name", &err) == 0);
	CHECK_INT(s.len, 0);
}

TEST(der_refuses_bad_texts)
{
	static const struct slice bad[] = {
		{(const uint8_t *)"\x13\x02" "a@", 4},		{(const uint8_t *)"\x13\x02" "a\0", 4},
		{(const uint8_t *)"\x0c\x02" "a\0", 4},		{(const uint8_t *)"\x0c\x02\xc0\x80", 4},
		{(const uint8_t *)"\x0c\x01\xc3", 3},		{(const uint8_t *)"\x16\x01\x80", 3},
		{(const uint8_t *)"\x14\x01" "a", 3},
	};
	struct error err = ERROR_INIT;
	struct slice s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct der d = der_of(bad[i]);

		CHECK(der_text(&d, &s, "name", &err) < 0);
		CHECK_INT(d.rest.len, bad[i].len);
	}
}
