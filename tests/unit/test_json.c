/* JSON: what is accepted, what is refused and how it is said, canonical form, writing. */
#include "tap.h"

#include "base/json.h"
#include "base/utf8.h"

static struct error err;

static bool parses(const char *text, unsigned flags)
{
	struct json doc;
	int r = json_parse(&doc, slice_str(text), flags, &err);

	json_release(&doc);
	return r == 0;
}

/* The canonical form of text, or the error's text. Valid until the next call. */
static const char *canonical(const char *text)
{
	static char result[1024];
	struct buf out = BUF_INIT(sizeof(result) - 1);
	struct json doc;

	if (json_parse(&doc, slice_str(text), JSON_FRACTIONS, &err) < 0 ||
	    json_canonical(&out, json_root(&doc), &err) < 0)
		snprintf(result, sizeof(result), "%s", err.text);
	else
		snprintf(result, sizeof(result), "%s", buf_cstr(&out));
	json_release(&doc);
	buf_release(&out);
	return result;
}

TEST(json_accepts_the_grammar)
{
	static const char *const good[] = {
		"0", "-1", "9223372036854775807", "-9223372036854775808", "true", "false", "null", "\"\"",
		"[]", "{}", " [ 1 , 2 ] ", "\t{\r\n\"a\" : {} }\n", "\"\\u0000\\ud83d\\ude00\\/\"",
		"\"\xf4\x8f\xbf\xbf\xee\x80\x80\x7f\"", "{\"\":0,\"b\":[{},[],null]}", "{\"b\":1,\"a\":2}",
	};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!parses(good[i], 0))
			printf("# %s: %s\n", good[i], err.text);
		CHECK(parses(good[i], 0));
	}
}

TEST(json_refuses_and_says_where)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "line 1, column 1: the text ends too early"},
		{" \n ", "line 2, column 2: the text ends too early"},
		{"[1,\n 2,]", "line 2, column 4: not a JSON value"},
		{"[1", "line 1, column 3: the text ends too early"},
		{"[1 2]", "line 1, column 4: expected ',' or ']'"},
		{"{\"a\":1", "line 1, column 7: the text ends too early"},
		{"{\"a\":1,}", "line 1, column 8: expected a key in quotes"},
		{"{a:1}", "line 1, column 2: expected a key in quotes"},
		{"{\"a\" 1}", "line 1, column 6: expected ':'"},
		{"{\"a\":1]", "line 1, column 7: expected ',' or '}'"},
		{"1 2", "line 1, column 3: more text after the value"},
		{"\"a", "line 1, column 3: the text ends too early"},
		{"\"\\", "line 1, column 3: the text ends too early"},
		{"\"\\u12", "line 1, column 6: the text ends too early"},
		{"\"\\x41\"", "line 1, column 3: unknown escape"},
		{"\"\\u12g4\"", "line 1, column 6: \\u wants four hex digits"},
		{"\"a\tb\"", "line 1, column 3: control character in a string"},
		{"\"\\ud800\"", "line 1, column 2: half of a surrogate pair"},
		{"\"\\ud800\\u0041\"", "line 1, column 2: half of a surrogate pair"},
		{"\"\\udc00\\ud800\"", "line 1, column 2: half of a surrogate pair"},
		{"tru", "line 1, column 1: not a JSON value"},
		{"nan", "line 1, column 1: not a JSON value"},
		{"'a'", "line 1, column 1: not a JSON value"},
		{"+1", "line 1, column 1: not a JSON value"},
		{".5", "line 1, column 1: not a JSON value"},
		{"-", "line 1, column 2: the text ends too early"},
		{"[-]", "line 1, column 3: a digit must follow the minus"},
		{"01", "line 1, column 1: number with a leading zero"},
		{"-00", "line 1, column 2: number with a leading zero"},
		{"-0", "line 1, column 1: minus zero"},
		{"1.0", "line 1, column 2: only whole numbers are allowed here"},
		{"1e3", "line 1, column 2: only whole numbers are allowed here"},
		{"[1.]", "line 1, column 4: a digit must follow the point"},
		{"[1e+]", "line 1, column 5: the exponent has no digits"},
		{"9223372036854775808", "line 1, column 1: integer does not fit 64 bits"},
		{"-9223372036854775809", "line 1, column 1: integer does not fit 64 bits"},
		{"18446744073709551616", "line 1, column 1: integer does not fit 64 bits"},
		{"/**/1", "line 1, column 1: not a JSON value"},
		{"\xef\xbb\xbf" "1", "line 1, column 1: not a JSON value"},
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(!parses(bad[i].text, 0));
		CHECK_STR(err.text, bad[i].why);
	}
}

TEST(json_refuses_bad_utf8)
{
	static const char *const bad[] = {
		"\"\x80\"", "\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xe0\x80\xaf\"", "\"\xed\xa0\x80\"",
		"\"\xed\xbf\xbf\"", "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"",
		"\"\xff\"", "\"\xe2\x82\"", "\"\xc3\"", "{\"\xc3\":1}",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(!parses(bad[i], 0));
		CHECK_INT(err.kind, ERR_MALFORMED);
		CHECK(strstr(err.text, "not UTF-8") != NULL);
	}
}

TEST(json_refuses_duplicate_keys_in_any_order)
{
	struct buf b = BUF_INIT(1 << 20);
	struct json doc;
	int i;

	CHECK(!parses("{\"a\":1,\"a\":1}", 0));
	CHECK_STR(err.text, "line 1, column 8: duplicate key 'a'");
	CHECK(!parses("{\"b\":1,\"a\":1,\"\\u0062\":1}", 0));
	CHECK_STR(err.text, "line 1, column 14: duplicate key 'b'");
	CHECK(!parses("[{\"x\":{\"b\":1,\"a\":1,\"c\":2,\"b\":0}}]", 0));
	CHECK(parses("{\"b\":{\"b\":1},\"a\":{\"b\":1}}", 0));
	CHECK(!parses("{\"\":1,\"\\u0000\":1,\"\":1}", 0));

	buf_put_str(&b, "{\"first\":0");
	for (i = 1000; i > 0; i--)
		buf_printf(&b, ",\"k%d\":[%d,{}]", i, i);
	CHECK(parses(buf_cstr(&b), 0) == false);	/* not closed yet */
	buf_put_str(&b, "}");
	CHECK(json_parse(&doc, buf_slice(&b), 0, &err) == 0);
	CHECK_INT(json_count(json_root(&doc)), 1001);
	json_release(&doc);
	b.len--;
	buf_put_str(&b, ",\"k500\":1}");
	CHECK(!parses(buf_cstr(&b), 0));
	CHECK(strstr(err.text, "duplicate key 'k500'") != NULL);
	buf_release(&b);
}

/* 200,000 keys in descending order would take minutes if pairs were compared. */
TEST(json_checks_many_keys_quickly)
{
	struct buf b = BUF_INIT(16 << 20);
	struct json doc;
	int i;

	alarm(20);
	buf_put_str(&b, "{");
	for (i = 200000; i > 0; i--)
		buf_printf(&b, "\"%06d\":%d,", i, i);
	buf_put_str(&b, "\"000000\":0}");
	CHECK(json_parse(&doc, buf_slice(&b), 0, &err) == 0);
	CHECK_INT(json_int(json_get(json_root(&doc), "000777")), 777);
	json_release(&doc);
	buf_release(&b);
}

static void nest(struct buf *b, unsigned depth)
{
	unsigned i;

	buf_clear(b);
	for (i = 0; i < depth; i++)
		buf_put_str(b, i % 2 == 0 ? "[" : "{\"a\":");
	buf_put_str(b, "1");
	while (i-- > 0)
		buf_put_str(b, i % 2 == 0 ? "]" : "}");
}

TEST(json_stops_at_its_depth)
{
	struct buf b = BUF_INIT(1 << 24);
	unsigned i;

	nest(&b, JSON_DEPTH_MAX);
	CHECK(parses(buf_cstr(&b), 0));
	nest(&b, JSON_DEPTH_MAX + 1);
	CHECK(!parses(buf_cstr(&b), 0));
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK(strstr(err.text, "nested too deeply") != NULL);
	buf_clear(&b);
	for (i = 0; i < 1000000; i++)
		buf_put_str(&b, "[");
	CHECK(!parses(buf_cstr(&b), 0));
	buf_release(&b);
}

TEST(json_refuses_text_above_its_cap)
{
	struct json doc;

	/* The length alone is looked at. */
	CHECK(json_parse(&doc, slice_of("1", (size_t)JSON_TEXT_MAX + 1), 0, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	json_release(&doc);
}

TEST(json_fractions_only_where_asked)
{
	struct json doc;
	struct json_value v;

	CHECK(json_parse(&doc, SLICE_LIT("[0.05,1e3,-0.0,7,-2.5E-1]"), JSON_FRACTIONS, &err) == 0);
	v = json_root(&doc);
	struct json_iter it = json_iter(v);
	CHECK(json_next(&it) && json_real(it.value) == 0.05 && json_type(it.value) == JSON_REAL);
	CHECK(json_next(&it) && json_real(it.value) == 1000);
	CHECK(json_next(&it) && json_real(it.value) == 0);
	CHECK(json_next(&it) && json_type(it.value) == JSON_INT && json_real(it.value) == 7);
	CHECK(json_next(&it) && json_real(it.value) == -0.25);
	CHECK(!json_next(&it));
	json_release(&doc);
	CHECK(!parses("1e999", JSON_FRACTIONS));
	CHECK(strstr(err.text, "out of range") != NULL);
	CHECK(!parses("-0", JSON_FRACTIONS));
	CHECK(!parses("9223372036854775808", JSON_FRACTIONS));
	CHECK(!parses("0.00000000000000000000000000000000000000000000000000000000000000001", JSON_FRACTIONS));
	CHECK(!parses("1.5.5", JSON_FRACTIONS));
}

TEST(json_values_are_reached)
{
	static const char text[] = " {\"name\": \"a\\u0000b\", \"n\": -5, \"yes\": true, \"no\": null,\n"
				   "\"list\": [1, [2], {\"x\": 3}], \"\\u00fc\": \"plain\"} ";
	struct json doc;
	struct json_value v, list;
	struct json_iter it;
	int64_t sum = 0;

	REQUIRE(json_parse(&doc, slice_str(text), 0, &err) == 0);
	v = json_root(&doc);
	CHECK_INT(json_type(v), JSON_OBJECT);
	CHECK_INT(json_count(v), 6);
	CHECK(slice_equal(json_string(json_get(v, "name")), SLICE_LIT("a\0b")));
	CHECK_INT(json_count(json_get(v, "name")), 3);
	CHECK_INT(json_int(json_get(v, "n")), -5);
	CHECK(json_bool(json_get(v, "yes")));
	CHECK_INT(json_type(json_get(v, "no")), JSON_NULL);
	CHECK(slice_equal_str(json_string(json_get(v, "\xc3\xbc")), "plain"));
	list = json_get(v, "list");
	CHECK(slice_equal_str(json_raw(list), "[1, [2], {\"x\": 3}]"));
	for (it = json_iter(list); json_next(&it);)
		sum += json_type(it.value) == JSON_INT ? json_int(it.value) : 10 * (int64_t)json_count(it.value);
	CHECK_INT(sum, 21);
	CHECK_INT(json_type(json_get(v, "absent")), JSON_NONE);
	CHECK_INT(json_type(json_get(list, "absent")), JSON_NONE);
	CHECK_INT(json_type(json_get(json_get(v, "absent"), "deeper")), JSON_NONE);
	it = json_iter(json_get(v, "absent"));
	CHECK(!json_next(&it));
	json_release(&doc);
	json_release(&doc);
	CHECK_INT(json_type(json_root(&doc)), JSON_NONE);
}

TEST(json_members_are_checked)
{
	static const char *const names[] = {"s", "i", "b", "o", "a", NULL}, *const few[] = {"s", NULL};
	struct json doc;
	struct json_value v, o = {NULL, 0};
	struct slice s = SLICE_EMPTY;
	int64_t i = 7;
	bool b = false;

	REQUIRE(json_parse(&doc, SLICE_LIT("{\"s\":\"x\",\"i\":42,\"b\":true,\"o\":{},\"a\":[]}"), 0, &err) == 0);
	v = json_root(&doc);
	CHECK(json_need_string(v, "s", &s, &err) == 0 && slice_equal_str(s, "x"));
	CHECK(json_need_int(v, "i", 0, 42, &i, &err) == 0 && i == 42);
	CHECK(json_need_bool(v, "b", &b, &err) == 0 && b);
	CHECK(json_need_object(v, "o", &o, &err) == 0 && json_type(o) == JSON_OBJECT);
	CHECK(json_need_array(v, "a", &o, &err) == 0 && json_type(o) == JSON_ARRAY);
	CHECK(json_opt_int(v, "z", 0, 1, &i, &err) == 0 && i == 42);
	CHECK(json_opt_string(v, "z", &s, &err) == 0 && slice_equal_str(s, "x"));
	CHECK(json_only(v, names, &err) == 0);
	CHECK(json_only(v, few, &err) < 0);
	CHECK_STR(err.text, "unknown member 'i'");
	CHECK(json_need_string(v, "i", &s, &err) < 0);
	CHECK_STR(err.text, "'i' is an integer, not a string");
	CHECK(json_opt_bool(v, "a", &b, &err) < 0);
	CHECK_STR(err.text, "'a' is an array, not a boolean");
	CHECK(json_need_int(v, "z", 0, 1, &i, &err) < 0);
	CHECK_STR(err.text, "'z' is missing");
	CHECK(json_need_int(v, "i", 0, 41, &i, &err) < 0);
	CHECK_STR(err.text, "'i' is 42, not 0 to 41");
	CHECK(json_need_int(o, "i", 0, 41, &i, &err) < 0);
	CHECK_STR(err.text, "an array instead of an object with 'i'");
	CHECK(json_need_object(json_get(v, "none"), "i", &o, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	json_release(&doc);
}

TEST(json_canonical_form)
{
	CHECK_STR(canonical(" { \"b\" : [ 1, true , null ] , \"a\" : { \"y\":\"\\u00e9\\\"\\\\\\/\", \"x\" : -3 } } "),
		  "{\"a\":{\"x\":-3,\"y\":\"\xc3\xa9\\\"\\\\/\"},\"b\":[1,true,null]}");
	CHECK_STR(canonical("\"\\n\\u0001\""), "\"\n\001\"");
	/* By code point: U+FFFF before U+10000, though UTF-16 has it the other way round. */
	CHECK_STR(canonical("{\"\\ud800\\udc00\":1,\"\\uffff\":2,\"\":3,\"a\":4,\"aa\":5,\"B\":6}"),
		  "{\"\":3,\"B\":6,\"a\":4,\"aa\":5,\"\xef\xbf\xbf\":2,\"\xf0\x90\x80\x80\":1}");
	CHECK_STR(canonical("[0.5]"), "a fraction has no canonical form");
	CHECK_STR(canonical("[]"), "[]");
	CHECK_STR(canonical("{}"), "{}");
}

/* Is the text taken as it stands? */
static bool stands(const char *text)
{
	struct buf made = BUF_INIT(4096);
	struct slice out;
	struct json doc;
	bool as_it_is;

	REQUIRE(json_parse(&doc, slice_str(text), JSON_STRICT, &err) == 0);
	REQUIRE(json_canonical_slice(&out, &made, json_root(&doc), &err) == 0);
	as_it_is = made.len == 0;
	json_release(&doc);
	buf_release(&made);
	return as_it_is;
}

TEST(json_canonical_text_is_not_copied)
{
	CHECK(stands("{\"a\":[1,{},true,\"x\\\"\\\\\xc3\xa9\"],\"b\":-3}"));
	CHECK(stands("  [\"white space around it is not of it\"] "));
	CHECK(!stands("[1, 2]"));
	CHECK(!stands("{\"b\":1,\"a\":2}"));
	CHECK(!stands("[{\"b\":1,\"a\":2}]"));
	CHECK(!stands("[\"\\n\"]"));
	CHECK(!stands("[\"\\/\"]"));
	CHECK(!stands("[\"\\u0041\"]"));
	CHECK(!stands("{\"\\u0041\":1}"));
}

static int fold_check(struct slice key, struct json_value value, struct error *e)
{
	if (slice_equal_str(key, "bad"))
		return error_set(e, ERR_REFUSED, "no");
	return json_type(json_get(value, "n")) == JSON_INT ? 0 : error_set(e, ERR_MALFORMED, "no n");
}

static const char *const fold_path[] = {"x", "y", NULL};
static const struct json_fold fold = {fold_path, fold_check};

TEST(json_folds_the_members_of_one_object)
{
	const char *text = "{\"a\":{\"y\":{\"z\":1}},\"x\":{\"w\":[{\"y\":{}}],\"y\":"
			   "{\"k\\u0041\":{\"n\":1,\"s\":\"\\u0042\"},\"b\":{\"n\":2}}},\"z\":\"\\u0043\"}";
	struct json doc, inner;
	struct json_value members, v;
	struct buf out = BUF_INIT(4096), whole = BUF_INIT(4096);

	REQUIRE(json_parse_folded(&doc, slice_str(text), &fold, &err) == 0);
	members = json_get(json_get(json_root(&doc), "x"), "y");
	CHECK_INT(json_count(members), 2);
	v = json_get(members, "kA");
	CHECK(json_is_folded(v) && !json_is_folded(members));
	CHECK_INT(json_count(v), 2);
	REQUIRE(json_unfold(&inner, v, &err) == 0);
	CHECK(slice_equal_str(json_string(json_get(json_root(&inner), "s")), "B"));
	json_release(&inner);
	CHECK(slice_equal_str(json_string(json_get(json_root(&doc), "z")), "C"));
	CHECK_INT(json_int(json_get(json_get(json_get(json_root(&doc), "a"), "y"), "z")), 1);
	/* The canonical form is that of the whole. */
	REQUIRE(json_canonical(&out, json_root(&doc), &err) == 0);
	json_release(&doc);
	REQUIRE(json_parse(&doc, slice_str(text), JSON_STRICT, &err) == 0);
	REQUIRE(json_canonical(&whole, json_root(&doc), &err) == 0);
	CHECK(slice_equal(buf_slice(&out), buf_slice(&whole)));
	json_release(&doc);
	buf_release(&out);
	buf_release(&whole);
}

TEST(json_fold_refuses_what_its_check_refuses)
{
	struct json doc;

	CHECK(json_parse_folded(&doc, SLICE_LIT("{\"x\":{\"y\":{\"bad\":{\"n\":1}}}}"), &fold, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(json_parse_folded(&doc, SLICE_LIT("{\"x\":{\"y\":{\"a\":7}}}"), &fold, &err) < 0);
	CHECK_STR(err.text, "no n");
	CHECK(json_parse_folded(&doc, SLICE_LIT("{\"x\":{\"y\":{\"a\":{\"n\":1},\"a\":{\"n\":1}}}}"), &fold, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	/* What is no object is not folded, and not checked. */
	REQUIRE(json_parse_folded(&doc, SLICE_LIT("{\"x\":[{\"y\":{\"a\":1}}],\"y\":{\"a\":1}}"), &fold, &err) == 0);
	json_release(&doc);
}

TEST(json_canonical_stops_at_the_ceiling)
{
	struct buf out = BUF_INIT(4);
	struct json doc;

	REQUIRE(json_parse(&doc, SLICE_LIT("[1, 2]"), 0, &err) == 0);
	CHECK(json_canonical(&out, json_root(&doc), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK(json_canonical(&out, json_get(json_root(&doc), "x"), &err) < 0);
	json_release(&doc);
	buf_release(&out);
}

static void write_sample(struct json_writer *w)
{
	json_open_object(w, NULL);
	json_put_string(w, "s", "a\"\\\n\t\x01/\xff\xc3\xbc");
	json_put_string(w, "nothing", NULL);
	json_open_array(w, "list");
	json_put_int(w, NULL, INT64_MIN);
	json_put_real(w, NULL, 0.05);
	json_put_bool(w, NULL, false);
	json_open_object(w, NULL);
	json_close(w);
	json_close(w);
	json_put_hex(w, "hex", (const uint8_t *)"\x00\xab", 2);
	json_put_slice_key(w, SLICE_LIT("k\0"), SLICE_LIT("v"));
	json_put_raw(w, "raw", SLICE_LIT("[1]"));
	json_close(w);
}

TEST(json_writer_escapes_and_separates)
{
	struct buf b = BUF_INIT(1000);
	struct json_writer w = JSON_WRITER(&b);

	write_sample(&w);
	CHECK_STR(buf_cstr(&b),
		  "{\"s\":\"a\\\"\\\\\\n\\t\\u0001/\xef\xbf\xbd\xc3\xbc\",\"nothing\":null,"
		  "\"list\":[-9223372036854775808,0.05,false,{}],\"hex\":\"00ab\",\"k\\u0000\":\"v\",\"raw\":[1]}");
	CHECK(parses(buf_cstr(&b), JSON_FRACTIONS));
	buf_release(&b);
}

TEST(json_writer_indents)
{
	struct buf b = BUF_INIT(1000);
	struct json_writer w = {.out = &b, .indent = 2};

	json_open_object(&w, NULL);
	json_put_int(&w, "a", 1);
	json_open_array(&w, "b");
	json_put_null(&w, NULL);
	json_close(&w);
	json_open_object_key(&w, SLICE_LIT("c"));
	json_close(&w);
	json_close(&w);
	CHECK_STR(buf_cstr(&b), "{\n  \"a\": 1,\n  \"b\": [\n    null\n  ],\n  \"c\": {}\n}");
	buf_release(&b);
}

TEST(json_writer_copies_values_and_reals)
{
	static const double reals[] = {0, -0.0, 1, 0.1, 1e300, 5e-324, 1.0 / 3, 123456789012345680.0};
	struct buf b = BUF_INIT(1000), small = BUF_INIT(3);
	struct json_writer w = JSON_WRITER(&b), cut = JSON_WRITER(&small);
	struct json doc;
	struct json_iter it;
	size_t i = 0;

	REQUIRE(json_parse(&doc, SLICE_LIT("{\"x\" : [ 1 ] }"), 0, &err) == 0);
	json_open_object(&w, NULL);
	json_put_value(&w, "v", json_get(json_root(&doc), "x"));
	json_put_value(&w, "w", json_get(json_root(&doc), "y"));
	json_open_array_key(&w, SLICE_LIT("r"));
	for (i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		json_put_real(&w, NULL, reals[i]);
	json_close(&w);
	json_put_value_key(&w, SLICE_LIT("q"), json_root(&doc));
	json_close(&w);
	json_release(&doc);
	REQUIRE(json_parse(&doc, buf_slice(&b), JSON_FRACTIONS, &err) == 0);
	CHECK(slice_equal_str(json_raw(json_get(json_root(&doc), "v")), "[ 1 ]"));
	CHECK(slice_equal_str(json_raw(json_get(json_root(&doc), "w")), "null"));
	for (it = json_iter(json_get(json_root(&doc), "r")), i = 0; json_next(&it); i++)
		CHECK(json_real(it.value) == reals[i]);
	CHECK_INT(i, 8);
	json_put_string(&cut, NULL, "long");
	CHECK(small.failed);
	json_release(&doc);
	buf_release(&b);
	buf_release(&small);
}

TEST(utf8_goes_both_ways)
{
	static const uint32_t points[] = {0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
	uint8_t bytes[4];
	uint32_t cp;
	size_t i, n;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		n = utf8_encode(bytes, points[i]);
		CHECK_INT(utf8_decode(slice_of(bytes, n), &cp), n);
		CHECK_INT(cp, points[i]);
		CHECK_INT(utf8_decode(slice_of(bytes, n - 1), &cp), 0);
	}
}
