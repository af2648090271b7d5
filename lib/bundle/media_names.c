/* Names on a stick: what every file system can keep, which kind each is of, and numbers in them. */
#include "bundle/media_internal.h"

#include <stdio.h>

static const struct {
	const char *dir;
	const char *endings[4];
} kinds[MEDIA_KINDS] = {
	[MEDIA_BUNDLES] = {"bundles", {".bundle"}},
	[MEDIA_RECEIPTS] = {"receipts", {".receipt"}},
	[MEDIA_ENROLL] = {"enroll", {".request", ".answer", ".identity"}},
};

const char *media_dir(enum media_kind kind)
{
	return kinds[kind].dir;
}

static bool is_dos_device(struct slice name)
{
	static const char *const words[] = {"con", "prn", "aux", "nul"};
	struct slice stem = slice_sub(name, 0, slice_find(name, '.', 0));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (slice_equal_str(stem, words[i]))
			return true;
	return stem.len == 4 && (slice_starts(stem, SLICE_LIT("com")) || slice_starts(stem, SLICE_LIT("lpt"))) &&
	       stem.ptr[3] >= '1' && stem.ptr[3] <= '9';
}

int media_name_check(struct slice name, struct error *err)
{
	char quoted[64];
	size_t i;

	printable(quoted, sizeof(quoted), name);
	if (name.len == 0 || name.len > MEDIA_NAME_MAX)
		return error_set(err, ERR_MALFORMED, "file name '%s' has %zu bytes, not 1 to %d", quoted, name.len,
				 MEDIA_NAME_MAX);
	for (i = 0; i < name.len; i++) {
		uint8_t c = name.ptr[i];
		bool begins = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!begins && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return error_set(err, ERR_MALFORMED,
					 "file name '%s' has a byte (0x%02x) that is not allowed at position %zu", quoted,
					 c, i + 1);
	}
	if (name.ptr[name.len - 1] == '.')
		return error_set(err, ERR_MALFORMED, "file name '%s' ends with a dot", quoted);
	if (is_dos_device(name))
		return error_set(err, ERR_MALFORMED, "file name '%s' is that of a device on other systems", quoted);
	return 0;
}

/* The name without ".001" and so on, if it is followed by such. */
static struct slice without_volume(struct slice name)
{
	size_t n = name.len;

	if (n > 4 && name.ptr[n - 4] == '.' && name.ptr[n - 3] >= '0' && name.ptr[n - 3] <= '9' &&
	    name.ptr[n - 2] >= '0' && name.ptr[n - 2] <= '9' && name.ptr[n - 1] >= '0' && name.ptr[n - 1] <= '9')
		return slice_sub(name, 0, n - 4);
	return name;
}

bool media_name_is(enum media_kind kind, struct slice name)
{
	size_t i;

	if (kind == MEDIA_BUNDLES)
		name = without_volume(name);
	for (i = 0; i < ARRAY_SIZE(kinds[kind].endings) && kinds[kind].endings[i] != NULL; i++)
		if (slice_ends(name, slice_str(kinds[kind].endings[i])))
			return true;
	return false;
}

int media_check_name(enum media_kind kind, const char *name, struct error *err)
{
	if (media_name_check(slice_str(name), err) < 0)
		return -1;
	if (!media_name_is(kind, slice_str(name)))
		return error_set(err, ERR_MALFORMED, "'%s' is no name for '%s'", name, kinds[kind].dir);
	return 0;
}

const char *media_path(char out[static MEDIA_PATH_TEXT], enum media_kind kind, const char *name)
{
	snprintf(out, MEDIA_PATH_TEXT, "%s/%.*s", media_dir(kind), MEDIA_NAME_MAX, name);
	return out;
}

/* ---- bundles and receipts ---- */

int media_bundle_name(char out[static MEDIA_NAME_MAX + 1], const char *site, int64_t sequence, unsigned volume,
		      struct error *err)
{
	if (volume == 0)
		snprintf(out, MEDIA_NAME_MAX + 1, "%s-%06lld.bundle", site, (long long)sequence);
	else
		snprintf(out, MEDIA_NAME_MAX + 1, "%s-%06lld.bundle.%03u", site, (long long)sequence, volume);
	return media_name_check(slice_str(out), err);
}

int media_receipt_name(char out[static MEDIA_NAME_MAX + 1], const char *site, int64_t sequence, struct error *err)
{
	snprintf(out, MEDIA_NAME_MAX + 1, "%s-%06lld.receipt", site, (long long)sequence);
	return media_name_check(slice_str(out), err);
}

/* The number in SITE-NNNNNN and ending, written as we write it; -1 when the name is another one. */
static int64_t sequence_of(const char *name, const char *site, const char *ending)
{
	size_t site_len = strlen(site), digits;
	int64_t n = 0;
	size_t i;

	if (strncmp(name, site, site_len) != 0 || name[site_len] != '-')
		return -1;
	name += site_len + 1;
	digits = strspn(name, "0123456789");
	if (digits < 6 || digits > 15 || (digits > 6 && name[0] == '0') || strcmp(name + digits, ending) != 0)
		return -1;
	for (i = 0; i < digits; i++)
		n = n * 10 + (name[i] - '0');
	return n;
}

/* The highest number of names with this ending, or -1. */
static int64_t highest(const struct media_list *l, const char *site, const char *ending)
{
	int64_t best = -1, n;
	unsigned i;

	for (i = 0; i < l->count; i++)
		if ((n = sequence_of(l->files[i].name, site, ending)) > best)
			best = n;
	return best;
}

int media_newest_bundle(const struct media *m, const char *site, int64_t *sequence, unsigned *volumes, struct error *err)
{
	char name[MEDIA_NAME_MAX + 1];
	struct media_list l;
	int64_t whole, split;

	if (media_list(m, MEDIA_BUNDLES, &l, err) < 0)
		return -1;
	whole = highest(&l, site, ".bundle");
	split = highest(&l, site, ".bundle.001");
	*sequence = whole >= split ? whole : split;
	*volumes = 0;
	while (split > whole && *volumes < 999) {
		if (media_bundle_name(name, site, split, *volumes + 1, err) < 0 || !media_holds(&l, name))
			break;
		++*volumes;
	}
	media_list_release(&l);
	return *sequence >= 0;
}

int media_newest_receipt(const struct media *m, const char *site, int64_t *sequence, struct error *err)
{
	struct media_list l;

	if (media_list(m, MEDIA_RECEIPTS, &l, err) < 0)
		return -1;
	*sequence = highest(&l, site, ".receipt");
	media_list_release(&l);
	return *sequence >= 0;
}
