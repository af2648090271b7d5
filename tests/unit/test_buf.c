/* Buffers, errors, hex and base64. */
#include "tap.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/error.h"

TEST(buf_stops_at_its_ceiling)
{
	struct buf b = BUF_INIT(10);

	buf_put_str(&b, "0123456789");
	CHECK(!b.failed);
	CHECK_STR(buf_cstr(&b), "0123456789");
	buf_put_u8(&b, 'x');
	CHECK(b.failed);
	CHECK_INT(b.len, 10);
	buf_put_str(&b, "");
	CHECK(b.failed);
	buf_release(&b);
	buf_release(&b);
	CHECK_INT(b.max, 10);
}

TEST(buf_grows_and_consumes)
{
	struct buf b = BUF_SECRET(1 << 20);
	unsigned i;

	for (i = 0; i < 1000; i++)
		buf_printf(&b, "%04u", i);
	CHECK(!b.failed);
	CHECK_INT(b.len, 4000);
	buf_consume(&b, 3996);
	CHECK_STR(buf_cstr(&b), "0999");
	buf_release(&b);
}

TEST(errors_are_wrapped_and_printable)
{
	struct error err = ERROR_INIT;

	CHECK_INT(error_set(&err, ERR_REFUSED, "name '%s'", "a\x1b[2J\xff\xc2\x9b\xe2\x80\xae"), -1);
	error_wrap(&err, "cannot open '%s'", "x");
	error_hint(&err, "first");
	error_hint(&err, "second");
	CHECK_STR(err.text, "cannot open 'x': name 'a\\x1b[2J\\xff\\xc2\\x9b\\xe2\\x80\\xae'");
	CHECK_STR(err.hint, "first");
	CHECK_INT(error_exit_status(err.kind), 3);
}

TEST(errors_keep_good_utf8)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERR_FAILED, "%s", "gr\xc3\xbc\xc3\x9f");
	CHECK_STR(err.text, "gr\xc3\xbc\xc3\x9f");
}

TEST(hex_is_strict)
{
	struct error err = ERROR_INIT;
	uint8_t out[3];
	char text[7];

	CHECK(hex_decode(out, 3, slice_str("00fFa9"), &err) == 0);
	hex_encode(text, out, 3);
	CHECK_STR(text, "00ffa9");
	CHECK(hex_decode(out, 3, slice_str("00ffa"), &err) < 0);
	CHECK(hex_decode(out, 3, slice_str("00ffag"), &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
}

TEST(base64_round_trips_and_refuses)
{
	static const char *const bad[] = {"Zg=", "Zg", "Zh==", "Z===", "====", "Zm9v\n", "Zm9-", "Zm=v"};
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(100), c = BUF_INIT(100), small = BUF_INIT(2);
	size_t i;

	base64_put(&b, SLICE_LIT("foobar!"));
	CHECK_STR(buf_cstr(&b), "Zm9vYmFyIQ==");
	CHECK(base64_decode(&c, buf_slice(&b), &err) == 0);
	CHECK_STR(buf_cstr(&c), "foobar!");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_clear(&c);
		CHECK(base64_decode(&c, slice_str(bad[i]), &err) < 0);
	}
	CHECK(base64_decode(&small, SLICE_LIT("Zm9v"), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_clear(&b);
	base64url_put(&b, SLICE_LIT("\xfb\xff"));
	CHECK_STR(buf_cstr(&b), "-_8");
	buf_clear(&c);
	CHECK(base64url_decode(&c, SLICE_LIT("-_8"), &err) == 0);
	CHECK(base64url_decode(&c, SLICE_LIT("-_8="), &err) < 0);
	buf_release(&b);
	buf_release(&c);
	buf_release(&small);
}

TEST(numbers_are_written_big_end_first)
{
	static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
	struct buf b = BUF_INIT(14);

	buf_put_u16be(&b, 0x0102);
	buf_put_u32be(&b, 0x03040506);
	buf_put_u64be(&b, UINT64_C(0x0708090a0b0c0d0e));
	CHECK(!b.failed && b.len == sizeof(want) && memcmp(b.ptr, want, sizeof(want)) == 0);
	buf_put_u16be(&b, 1);
	CHECK(b.failed);
	buf_clear(&b);
	CHECK(!b.failed && b.len == 0);
	buf_release(&b);
}

TEST(slices_are_clamped)
{
	struct slice s = SLICE_LIT("abc");

	CHECK(slice_equal_str(slice_sub(s, 1, 100), "bc"));
	CHECK(slice_equal_str(slice_sub(s, 9, 1), ""));
	CHECK(slice_sub(SLICE_EMPTY, 1, 1).ptr == NULL);
	CHECK(slice_starts(s, SLICE_LIT("ab")) && !slice_starts(s, SLICE_LIT("abcd")));
	CHECK(slice_ends(s, SLICE_LIT("bc")) && !slice_ends(SLICE_EMPTY, SLICE_LIT("c")));
	CHECK(slice_compare(SLICE_LIT("ab"), s) < 0 && slice_compare(SLICE_LIT("b"), s) > 0);
	CHECK(slice_compare(s, s) == 0 && slice_compare(SLICE_EMPTY, SLICE_EMPTY) == 0);
	CHECK(slice_find(s, 'c', 0) == 2 && slice_find(s, 'a', 1) == SIZE_MAX && slice_find(s, 'a', 9) == SIZE_MAX);
}

TEST(errors_are_cut_to_fit)
{
	static char huge[5000];
	struct error err = ERROR_INIT;
	unsigned i;

	memset(huge, 'x', sizeof(huge) - 1);
	error_set(&err, ERR_LIMIT, "%s", huge);
	CHECK_INT(strlen(err.text), sizeof(err.text) - 1);
	for (i = 0; i < 100; i++)
		error_wrap(&err, "reading '%s'", huge);
	CHECK(strlen(err.text) < sizeof(err.text));
	CHECK_INT(err.kind, ERR_LIMIT);
	error_hint(&err, "%s", huge);
	CHECK(strlen(err.hint) < sizeof(err.hint));
}
