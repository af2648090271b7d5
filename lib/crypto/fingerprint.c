/* What is read and typed of a fingerprint. */
#include "crypto/fingerprint.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

void fingerprint_groups(char out[static FINGERPRINT_GROUPS_LEN], const char *hex, size_t n)
{
	size_t i, at = 0;

	assert(n < SHA256_HEX_LEN);
	for (i = 0; i < n; i++) {
		if (i > 0 && i % 4 == 0)
			out[at++] = ' ';
		out[at++] = hex[i];
	}
	out[at] = '\0';
}

void fingerprint_hide(char out[static SHA256_HEX_LEN], const char *hex, size_t n)
{
	assert(n < SHA256_HEX_LEN);
	snprintf(out, SHA256_HEX_LEN, "%s", hex);
	memset(out, '?', n);
}

/* The digits of what was typed, in lower case, and how many. */
static int read_digits(char out[static SHA256_HEX_LEN], size_t *count, const char *typed, const char *what,
		       struct error *err)
{
	size_t n = 0;

	for (; *typed != '\0'; typed++) {
		if (*typed == ' ' || *typed == '\n')
			continue;
		if (!isxdigit((unsigned char)*typed))
			return error_set(err, ERR_USAGE, "'%c' is no digit of %s: they are 0 to 9 and a to f", *typed,
					 what);
		if (n == SHA256_HEX_LEN - 1)
			return error_set(err, ERR_USAGE, "%s has %d digits, no more", what, SHA256_HEX_LEN - 1);
		out[n++] = (char)tolower((unsigned char)*typed);
	}
	out[n] = '\0';
	*count = n;
	return 0;
}

int fingerprint_check(const char *hex, const char *typed, size_t need, const char *what, struct error *err)
{
	char digits[SHA256_HEX_LEN];
	size_t n = 0;

	assert(need >= FINGERPRINT_DIGITS_MIN && strlen(hex) == SHA256_HEX_LEN - 1);
	if (read_digits(digits, &n, typed, what, err) < 0)
		return -1;
	if (n < need)
		return error_set(err, ERR_USAGE, "given %zu digits of %s, at least the first %zu are needed", n, what,
				 need);
	if (memcmp(digits, hex, n) != 0)
		return error_set(err, ERR_REFUSED, "%s does not begin with '%s'", what, digits);
	return 0;
}
