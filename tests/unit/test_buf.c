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
