/* What a person types of a fingerprint: how much is enough, what may stand between, and what is no answer. */
#include "tap.h"

#include "crypto/fingerprint.h"

#define HEX "0123456789abcdef00112233445566778899aabbccddeeff0a1b2c3d4e5f6071"

static int check(const char *typed, struct error *err)
{
	*err = ERROR_INIT;
	return fingerprint_check(HEX, typed, FINGERPRINT_DIGITS_MIN, "the fingerprint", err);
}

static bool refused(const char *typed, enum error_kind kind, const char *says)
{
	struct error err;

	if (check(typed, &err) == -1 && err.kind == kind && strstr(err.text, says) != NULL)
		return true;
	printf("# '%s': %d, %s\n", typed, (int)err.kind, err.text);
	return false;
}

TEST(sixteen_digits_are_enough_and_more_are_welcome)
{
	struct error err;

	CHECK_INT(FINGERPRINT_DIGITS_MIN, 16);
	CHECK_INT(check("0123456789abcdef", &err), 0);
	CHECK_INT(check("0123456789abcdef0", &err), 0);
	CHECK_INT(check(HEX, &err), 0);
}

TEST(groups_and_capitals_are_the_same_digits)
{
	struct error err;

	CHECK_INT(check("0123 4567 89ab cdef", &err), 0);
	CHECK_INT(check("  01 2345 6789ABCD  ef\n", &err), 0);
	CHECK_INT(check("0123456789ABCDEF", &err), 0);
}

TEST(fewer_are_counted_and_told)
{
	struct error err;

	CHECK(refused("0123456789abcde", ERR_USAGE, "given 15 digits of the fingerprint, at least the first 16 are needed"));
	CHECK(refused("0123 4567 89ab cde ", ERR_USAGE, "given 15 digits"));
	CHECK(refused("01234567", ERR_USAGE, "given 8 digits"));
	CHECK(refused("", ERR_USAGE, "given 0 digits"));
	CHECK(refused("                ", ERR_USAGE, "given 0 digits"));
	err = ERROR_INIT;
	CHECK_INT(fingerprint_check(HEX, "0123456789abcdef001", 20, "the SHA-256", &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(strstr(err.text, "given 19 digits of the SHA-256, at least the first 20") != NULL);
	CHECK_INT(fingerprint_check(HEX, "0123456789abcdef0011", 20, "the SHA-256", &err), 0);
}

/* Each digit that was typed counts, the last that is asked for and those beyond. */
TEST(one_wrong_digit_is_another_fingerprint)
{
	char typed[SHA256_HEX_LEN];
	size_t i;

	CHECK(refused("0123456789abcdee", ERR_REFUSED, "the fingerprint does not begin with '0123456789abcdee'"));
	CHECK(refused("1123456789ABCDEF", ERR_REFUSED, "does not begin with '1123456789abcdef'"));
	CHECK(refused("123456789abcdef0", ERR_REFUSED, "does not begin"));
	for (i = 0; i < SHA256_HEX_LEN - 1; i++) {
		memcpy(typed, HEX, sizeof(typed));
		typed[i] = typed[i] == '0' ? '1' : '0';
		CHECK(refused(typed, ERR_REFUSED, "does not begin"));
	}
}

TEST(what_is_no_digit_is_named)
{
	CHECK(refused("0123456789abcdeg", ERR_USAGE, "'g' is no digit of the fingerprint"));
	CHECK(refused("0123:4567:89ab:cdef", ERR_USAGE, "':' is no digit"));
	CHECK(refused("0x0123456789abcdef", ERR_USAGE, "'x' is no digit"));
	CHECK(refused("????????????????", ERR_USAGE, "'?' is no digit"));
	CHECK(refused("0123456789abcde\xef\xbc\x91", ERR_USAGE, "is no digit"));
	CHECK(refused(HEX "0", ERR_USAGE, "the fingerprint has 64 digits, no more"));
}

TEST(it_is_read_in_groups_of_four)
{
	char groups[FINGERPRINT_GROUPS_LEN], hidden[SHA256_HEX_LEN];

	fingerprint_groups(groups, HEX, FINGERPRINT_DIGITS_MIN);
	CHECK_STR(groups, "0123 4567 89ab cdef");
	fingerprint_groups(groups, HEX, 0);
	CHECK_STR(groups, "");
	fingerprint_groups(groups, HEX, 6);
	CHECK_STR(groups, "0123 45");
	fingerprint_groups(groups, HEX, 64);
	CHECK_INT(strlen(groups), FINGERPRINT_GROUPS_LEN - 1);
	CHECK_STR(groups + 75, "6071");
	fingerprint_hide(hidden, HEX, FINGERPRINT_DIGITS_MIN);
	CHECK_STR(hidden, "????????????????00112233445566778899aabbccddeeff0a1b2c3d4e5f6071");
}
