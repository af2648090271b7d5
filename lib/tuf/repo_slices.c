/* Publishers and their slices of the namespace: what a pattern may be, and whether two of them
 * meet. */
#include "tuf/repo_keys.h"

#include <stdlib.h>

#include "base/name.h"
#include "tuf/delegation.h"

int publisher_name_check(struct slice name, struct error *err)
{
	if (name_check(name, "publisher name", err) < 0)
		return -1;
	if (tuf_bin_prefix(name).len > 0) {
		error_set(err, ERR_MALFORMED, "publisher name '%.*s' is that of a hash bin",
			  SLICE_ARG(name));
		return error_hint(err, "choose one that does not end in -bin- and hex digits");
	}
	return tuf_role_name_check(name, err);
}

int repo_bins_check_count(int64_t bins, const char *publisher, struct error *err)
{
	size_t digits = 1;
	int64_t last;

	if (bins < REPO_BINS_MIN || bins > REPO_BINS_MAX || (bins & (bins - 1)) != 0) {
		error_set(err, ERR_USAGE, "%lld hash bins: not a power of two from %d to %d",
			  (long long)bins, REPO_BINS_MIN, REPO_BINS_MAX);
		return error_hint(err, "1024 suit some hundred thousand artifacts");
	}
	for (last = (bins - 1) >> 4; last > 0; last >>= 4)
		digits++;
	if (publisher != NULL && strlen(publisher) + strlen("-bin-") + digits > NAME_LEN_MAX)
		return error_set(err, ERR_USAGE,
				 "publisher '%s': with hash bins a name has at most %zu bytes",
				 publisher, NAME_LEN_MAX - strlen("-bin-") - digits);
	return 0;
}

int slice_pattern_check(struct slice pattern, struct error *err)
{
	char plain[TARGET_PATH_MAX + 1];
	char shown[96];
	size_t i;

	printable(shown, sizeof(shown), pattern);
	if (pattern.len == 0 || pattern.len > TARGET_PATH_MAX)
		return error_set(err, ERR_MALFORMED, "slice '%s' is not 1 to %d bytes long", shown,
				 TARGET_PATH_MAX);
	/* With every wildcard as a letter it must be a target path. */
	for (i = 0; i < pattern.len; i++)
		plain[i] = (char)(pattern.ptr[i] == '*' || pattern.ptr[i] == '?' ? 'a'
										 : pattern.ptr[i]);
	if (target_path_check(slice_of(plain, pattern.len), err) < 0) {
		error_wrap(err, "slice '%s'", shown);
		return error_hint(err, "a slice is namespace/name/version, as in 'plant/*/*'");
	}
	return 0;
}

/*
 * Do two patterns of one part (up to '/' or the end) share a string? Both are at most 63 bytes, and
 * the work is bounded by the table of pairs seen: once a pair has failed it is not tried again.
 */
static bool parts_overlap(const char *a, const char *b, uint8_t seen[64][64], size_t i, size_t j)
{
	bool end_a = a[i] == '\0' || a[i] == '/', end_b = b[j] == '\0' || b[j] == '/';

	if (end_a && end_b)
		return true;
	if (seen[i][j])
		return false;
	seen[i][j] = 1;
	if (a[i] == '*' && parts_overlap(a, b, seen, i + 1, j))
		return true;
	if (b[j] == '*' && parts_overlap(a, b, seen, i, j + 1))
		return true;
	if (end_a || end_b)
		return false;
	if (a[i] == '*')
		return parts_overlap(a, b, seen, i, j + 1);
	if (b[j] == '*')
		return parts_overlap(a, b, seen, i + 1, j);
	return (a[i] == b[j] || a[i] == '?' || b[j] == '?') &&
	       parts_overlap(a, b, seen, i + 1, j + 1);
}

bool slice_patterns_overlap(const char *a, const char *b)
{
	uint8_t seen[64][64];
	unsigned part;

	for (part = 0; part < 3; part++) {
		memset(seen, 0, sizeof(seen));
		if (!parts_overlap(a, b, seen, 0, 0))
			return false;
		a += strcspn(a, "/");
		b += strcspn(b, "/");
		a += *a == '/';
		b += *b == '/';
	}
	return true;
}

int publisher_add_slice(struct repo_publisher *p, struct slice pattern, struct error *err)
{
	char *copy;

	if (slice_pattern_check(pattern, err) < 0)
		return -1;
	if (p->slices.count == ONLINE_SLICES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d slices", ONLINE_SLICES_MAX);
	copy = xstrndup_slice(pattern);
	text_list_add(&p->slices, copy);
	free(copy);
	return 0;
}

int publisher_parse_word(struct repo_publisher *p, const char *word, struct error *err)
{
	size_t n = strcspn(word, ":");
	const char *at = word + n;

	*p = (struct repo_publisher){.keys = NULL};
	if (publisher_name_check(slice_of(word, n), err) < 0)
		goto bad;
	memcpy(p->name, word, n);
	while (*at != '\0') { /* at ':' or ',' */
		n = strcspn(++at, ",");
		if (publisher_add_slice(p, slice_of(at, n), err) < 0)
			goto bad;
		at += n;
	}
	return 0;
bad:
	repo_publisher_release(p);
	err->kind = ERR_USAGE;
	error_wrap(err, "publisher '%s'", word);
	return error_hint(err, "write NAME or NAME:SLICE,SLICE, as in 'releases:plant/*/*'");
}

static int check_pair(const struct repo_publisher *a, const struct repo_publisher *b,
		      struct error *err)
{
	unsigned i, j;

	if (strcmp(a->name, b->name) == 0)
		return error_set(err, ERR_REFUSED, "publisher '%s' is there twice", a->name);
	for (i = 0; i < a->slices.count; i++) {
		for (j = 0; j < b->slices.count; j++) {
			if (!slice_patterns_overlap(a->slices.items[i], b->slices.items[j]))
				continue;
			error_set(err, ERR_REFUSED,
				  "slice '%s' of publisher '%s' overlaps '%s' of '%s'",
				  a->slices.items[i], a->name, b->slices.items[j], b->name);
			return error_hint(
				err,
				"delegations end the search, so the second would never be asked");
		}
	}
	return 0;
}

int publishers_check_disjoint(const struct repo_publisher *list, unsigned count, struct error *err)
{
	unsigned i, j;

	for (i = 0; i < count; i++) {
		for (j = i + 1; j < count; j++) {
			if (check_pair(&list[i], &list[j], err) < 0)
				return -1;
		}
	}
	return 0;
}
