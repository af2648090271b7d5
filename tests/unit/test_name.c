/* Names from outside: what passes, what does not, and how the refusal reads. */
#include "tap.h"

#include "base/name.h"

static struct error err;

TEST(names_that_pass)
{
	static const char *const good[] = {"a", "7", "main", "depot-7", "a.b_c-d", "x86", "0.0"};
	char longest[NAME_LEN_MAX + 1];
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(name_check(slice_str(good[i]), "name", &err) == 0);
	memset(longest, 'a', NAME_LEN_MAX);
	longest[NAME_LEN_MAX] = '\0';
	CHECK(name_check(slice_str(longest), "name", &err) == 0);
}

TEST(names_that_do_not)
{
	static const char *const bad[] = {"",	 ".",	 "..",	"-a",	".a",	  "_a",	    "a..b",	  "A",
					  "a/b", "a b",	 "a\n", "\xc3\xa4", "a:b", "a\\b", "../../etc", "a\x7f"};
	static char huge[10001];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(name_check(slice_str(bad[i]), "name", &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	CHECK(name_check(SLICE_LIT("a\0b"), "device name", &err) < 0);
	CHECK_STR(err.text, "device name 'a\\x00b' has a byte (0x00) that is not allowed at position 2");
	CHECK_STR(err.hint, "allowed: a-z 0-9 . _ - (lower case), up to 63");
	memset(huge, 'x', 10000);
	CHECK(name_check(slice_str(huge), "site", &err) < 0);
	CHECK_STR(err.text, "site 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is 10000 bytes long, more than 63");
	CHECK(name_check(slice_str("a..b"), "site", &err) < 0);
	CHECK_STR(err.text, "site 'a..b' has '..' in it");
}

TEST(versions)
{
	CHECK(version_check(SLICE_LIT("1.0.0-RC1+b~2"), &err) == 0);
	CHECK(version_check(SLICE_LIT("V2"), &err) == 0);
	CHECK(version_check(SLICE_LIT("+1"), &err) < 0);
	CHECK(version_check(SLICE_LIT("1:2"), &err) < 0);
	CHECK(version_check(SLICE_EMPTY, &err) < 0);
}

TEST(target_paths)
{
	CHECK(target_path_check(SLICE_LIT("apps/hello/1.0+X"), &err) == 0);
	CHECK(target_path_check(SLICE_LIT("apps/hello"), &err) < 0);
	CHECK(target_path_check(SLICE_LIT("apps/hello/1/2"), &err) < 0);
	CHECK(target_path_check(SLICE_LIT("apps//1"), &err) < 0);
	CHECK(target_path_check(SLICE_LIT("/hello/1"), &err) < 0);
	CHECK(target_path_check(SLICE_LIT("apps/hello/"), &err) < 0);
	CHECK(target_path_check(SLICE_LIT("apps/../1"), &err) < 0);
	CHECK(target_path_check(SLICE_LIT("Apps/hello/1"), &err) < 0);
	CHECK(target_path_check(SLICE_EMPTY, &err) < 0);
}

TEST(file_names)
{
	static char longest[257];

	CHECK(filename_check(SLICE_LIT("1.root.json"), &err) == 0);
	CHECK(filename_check(SLICE_LIT("My file (2).bin"), &err) == 0);
	CHECK(filename_check(SLICE_LIT(".hidden"), &err) == 0);
	CHECK(filename_check(SLICE_LIT("."), &err) < 0);
	CHECK(filename_check(SLICE_LIT(".."), &err) < 0);
	CHECK(filename_check(SLICE_LIT("-rf"), &err) < 0);
	CHECK(filename_check(SLICE_LIT("a/b"), &err) < 0);
	CHECK(filename_check(SLICE_LIT("a\0"), &err) < 0);
	CHECK(filename_check(SLICE_LIT("\xc3\xa4"), &err) < 0);
	CHECK(filename_check(SLICE_EMPTY, &err) < 0);
	memset(longest, 'x', 255);
	CHECK(filename_check(slice_str(longest), &err) == 0);
	longest[255] = 'x';
	CHECK(filename_check(slice_str(longest), &err) < 0);
}

TEST(distances)
{
	static char longest[300];

	memset(longest, 'x', 299);
	CHECK_INT(name_distance("", ""), 0);
	CHECK_INT(name_distance("abc", ""), 3);
	CHECK_INT(name_distance("", "abc"), 3);
	CHECK_INT(name_distance("status", "status"), 0);
	CHECK_INT(name_distance("stauts", "status"), 1);
	CHECK_INT(name_distance("listn", "listen"), 1);
	CHECK_INT(name_distance("kitten", "sitting"), 3);
	CHECK_INT(name_distance(longest, "x"), 255);
}
