/* Whitelists of names. What is not named here is refused; nothing is cleaned up or folded. */
#include "base/name.h"

static bool is_lower_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name_byte(uint8_t c)
{
	return is_lower_or_digit(c) || c == '.' || c == '_' || c == '-';
}

static bool is_version_byte(uint8_t c)
{
	return is_name_byte(c) || (c >= 'A' && c <= 'Z') || c == '+' || c == '~';
}

static int bad_byte(struct slice s, size_t at, const char *what, struct error *err)
{
	char quoted[96];

	return error_set(err, ERR_MALFORMED, "%s '%s' has a byte (0x%02x) that is not allowed at position %zu", what,
			 printable(quoted, sizeof(quoted), s), s.ptr[at], at + 1);
}

/* What names and versions share; `upper`: a version. */
static int check(struct slice s, const char *what, bool (*allowed)(uint8_t), bool upper, struct error *err)
{
	char quoted[96];
	size_t i;

	if (s.len == 0)
		return error_set(err, ERR_MALFORMED, "%s is empty", what);
	if (s.len > NAME_LEN_MAX)
		return error_set(err, ERR_MALFORMED, "%s '%s...' is %zu bytes long, more than %d", what,
				 printable(quoted, 40, s), s.len, NAME_LEN_MAX);
	for (i = 0; i < s.len; i++) {
		if (!allowed(s.ptr[i]))
			return bad_byte(s, i, what, err);
		if (i > 0 && s.ptr[i] == '.' && s.ptr[i - 1] == '.')
			return error_set(err, ERR_MALFORMED, "%s '%s' has '..' in it", what,
					 printable(quoted, sizeof(quoted), s));
	}
	if (!is_lower_or_digit(s.ptr[0]) && !(upper && s.ptr[0] >= 'A' && s.ptr[0] <= 'Z'))
		return error_set(err, ERR_MALFORMED, "%s '%s' does not begin with a letter or digit", what,
				 printable(quoted, sizeof(quoted), s));
	return 0;
}

int name_check(struct slice name, const char *what, struct error *err)
{
	if (check(name, what, is_name_byte, false, err) < 0)
		return error_hint(err, "allowed: a-z 0-9 . _ - (lower case), up to %d", NAME_LEN_MAX);
	return 0;
}

int version_check(struct slice version, struct error *err)
{
	if (check(version, "version", is_version_byte, true, err) < 0)
		return error_hint(err, "allowed: a-z A-Z 0-9 . _ - + ~, up to %d", NAME_LEN_MAX);
	return 0;
}

int target_path_check(struct slice path, struct error *err)
{
	char quoted[96];
	size_t first = slice_find(path, '/', 0);
	size_t second = first == SIZE_MAX ? SIZE_MAX : slice_find(path, '/', first + 1);

	if (second == SIZE_MAX || slice_find(path, '/', second + 1) != SIZE_MAX)
		return error_set(err, ERR_MALFORMED, "target path '%s' is not namespace/name/version",
				 printable(quoted, sizeof(quoted), path));
	if (name_check(slice_sub(path, 0, first), "namespace", err) < 0 ||
	    name_check(slice_sub(path, first + 1, second - first - 1), "artifact name", err) < 0)
		return -1;
	return version_check(slice_sub(path, second + 1, path.len), err);
}

int filename_check(struct slice name, struct error *err)
{
	size_t i;

	if (name.len == 0 || name.len > 255)
		return error_set(err, ERR_MALFORMED, "file name is %zu bytes long, not 1 to 255", name.len);
	for (i = 0; i < name.len; i++) {
		if (name.ptr[i] < 0x20 || name.ptr[i] > 0x7e || name.ptr[i] == '/')
			return bad_byte(name, i, "file name", err);
	}
	if (name.ptr[0] == '-')
		return error_set(err, ERR_MALFORMED, "file name begins with '-'");
	if (slice_equal_str(name, ".") || slice_equal_str(name, ".."))
		return error_set(err, ERR_MALFORMED, "file name is a directory's");
	return 0;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Damerau's distance by the usual table, three rows of it: a swap of two neighbours counts one. */
unsigned name_distance(const char *a, const char *b)
{
	unsigned rows[3][256], *before = rows[0], *above = rows[1], *row = rows[2], *spare;
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > 254 || lb > 254)
		return 255;
	for (j = 0; j <= lb; j++)
		before[j] = above[j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		row[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			unsigned change = a[i - 1] != b[j - 1];

			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		spare = before, before = above, above = row, row = spare;
	}
	return above[lb];
}
