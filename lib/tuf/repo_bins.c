/* Hash bins of publishers: what they may look like, their names, and reading them one at a time. */
#include <stdlib.h>

#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

#define BITS_MAX 14 /* REPO_BINS_MAX */
_Static_assert(1 << BITS_MAX == REPO_BINS_MAX, "bits and number of bins");

/* One note a bin, right for as long as snapshot names the version that it is of. */
struct repo_bins {
	unsigned count;
	struct repo_bin_note notes[];
};

/* ---- the delegation ---- */

static bool has_key(const struct tuf_role *role, const struct tuf_key *key)
{
	unsigned i;

	for (i = 0; i < role->keys.count; i++) {
		if (pubkey_equal(&role->keys.list[i].pub, &key->pub))
			return true;
	}
	return false;
}

/* No key that the publisher does not have, and no fewer of them: he cannot give away more than is
 * his. */
static int check_keys(const struct repo_role *publisher, const struct tuf_role *bins,
		      struct error *err)
{
	unsigned i;

	if (bins->threshold < publisher->role.threshold)
		return error_set(
			err, ERR_REFUSED,
			"publisher '%s' lets %u of his keys sign his hash bins, where he needs %u",
			publisher->name, bins->threshold, publisher->role.threshold);
	for (i = 0; i < bins->keys.count; i++) {
		if (bins->keys.list[i].pub.scheme == KEY_NONE ||
		    !has_key(&publisher->role, &bins->keys.list[i]))
			return error_set(
				err, ERR_REFUSED,
				"publisher '%s' delegates to key %.16s..., which is not his",
				publisher->name, bins->keys.list[i].id);
	}
	return 0;
}

int repo_bins_role(const struct tuf_targets *file, struct tuf_role *out, struct error *err)
{
	struct tuf_delegation_iter it = tuf_delegation_iter(file, SLICE_EMPTY);
	struct tuf_delegation d;

	if (!tuf_delegation_next(&it, &d))
		return error_set(err, ERR_REFUSED, "no hash bins");
	return tuf_delegation_role(file, &d, out, err);
}

int repo_bins_check(const struct repo_role *publisher, const struct tuf_targets *file,
		    unsigned *bits, struct error *err)
{
	struct json_value succinct = json_get(file->delegations, "succinct_roles");
	struct slice prefix = json_string(json_get(succinct, "name_prefix"));
	int64_t n = json_int(json_get(succinct, "bit_length"));
	char expected[NAME_LEN_MAX + 8];
	struct tuf_role role;
	int r;

	*bits = 0;
	if (file->delegations.doc == NULL)
		return 0;
	snprintf(expected, sizeof(expected), "%s-bin", publisher->name);
	if (succinct.doc == NULL)
		return error_set(err, ERR_REFUSED,
				 "publisher '%s' may not delegate but to hash bins of his own",
				 publisher->name);
	if (n > BITS_MAX || !slice_equal_str(prefix, expected) ||
	    repo_bins_check_count(INT64_C(1) << n, publisher->name, err) < 0)
		return error_set(
			err, ERR_REFUSED,
			"publisher '%s' delegates to hash bins other than 2 to %d called '%s-HEX'",
			publisher->name, REPO_BINS_MAX, expected);
	if (json_count(file->targets) > 0)
		return error_set(err, ERR_REFUSED,
				 "publisher '%s' lists targets beside his hash bins",
				 publisher->name);
	if (repo_bins_role(file, &role, err) < 0)
		return -1;
	r = check_keys(publisher, &role, err);
	tuf_role_release(&role);
	if (r == 0)
		*bits = (unsigned)n;
	return r;
}

bool repo_bins_same_keys(const struct repo_role *publisher, const struct tuf_targets *file)
{
	struct error ignored = ERROR_INIT;
	struct tuf_role role;
	bool same;

	if (repo_bins_role(file, &role, &ignored) < 0)
		return false;
	same = role.threshold == publisher->role.threshold &&
	       tuf_keys_same(&role.keys, &publisher->role.keys);
	tuf_role_release(&role);
	return same;
}

/* ---- names ---- */

void repo_bin_name(const char *publisher, unsigned bits, unsigned bin,
		   char out[static NAME_LEN_MAX + 1])
{
	char hex[12];

	snprintf(hex, sizeof(hex), "%04x", bin & (REPO_BINS_MAX - 1));
	snprintf(out, NAME_LEN_MAX + 1, "%.*s-bin-%s", NAME_LEN_MAX - 9, publisher,
		 hex + 4 - (bits + 3) / 4);
}

static void name_of(const struct repo_role *publisher, unsigned bin,
		    char out[static NAME_LEN_MAX + 1])
{
	repo_bin_name(publisher->name, publisher->bin_bits, bin, out);
}

unsigned repo_bin_of(const struct repo_role *publisher, struct slice path)
{
	return (unsigned)tuf_delegation_iter(publisher->file, path).bin;
}

struct repo_role *repo_bin_parse(const struct repo *r, struct slice name, unsigned *bin)
{
	struct slice prefix = tuf_bin_prefix(name);
	char again[NAME_LEN_MAX + 1], hex[8];
	struct repo_role *publisher;

	if (prefix.len == 0 || name.len - prefix.len - 1 >= sizeof(hex))
		return NULL;
	publisher = repo_state_role(&r->state, slice_sub(prefix, 0, prefix.len - strlen("-bin")));
	if (publisher == NULL || publisher->bin_bits == 0)
		return NULL;
	snprintf(hex, sizeof(hex), "%.*s", SLICE_ARG(slice_sub(name, prefix.len + 1, SIZE_MAX)));
	*bin = (unsigned)strtoul(hex, NULL, 16);
	if (*bin >> publisher->bin_bits != 0)
		return NULL;
	name_of(publisher, *bin, again);
	return slice_equal_str(name, again) ? publisher : NULL;
}

/* ---- reading ---- */

/* As snapshot names it; who signed it is not looked at. */
static int read_named(const struct repo *r, const struct tuf_metafile *meta, struct repo_role *bin,
		      struct error *err)
{
	char name[META_NAME_MAX];

	bin->fault = ROLE_DAMAGED;
	bin->text = BUF_INIT(TUF_SIGNED_MAX);
	metadata_name(name, bin->name, meta->version);
	if (file_read(r->metadata_fd, name, &bin->text, err) < 0)
		return error_wrap(err, "metadata/%s", name);
	if (tuf_hashes_check(&meta->hashes, buf_slice(&bin->text), bin->name, err) < 0)
		return -1;
	if ((bin->file = tuf_targets_parse(buf_slice(&bin->text), err)) == NULL)
		return error_wrap(err, "%s", bin->name);
	bin->fault = ROLE_FINE;
	return 0;
}

static int check_signed(const struct tuf_metafile *meta, struct repo_role *bin, struct error *err)
{
	bin->fault = ROLE_OTHER_KEYS;
	if (tuf_targets_check(&bin->role, bin->name, meta, bin->file, -1, err) < 0)
		return -1;
	if (bin->file->delegations.doc != NULL)
		return error_set(err, ERR_REFUSED, "hash bin '%s' delegates further", bin->name);
	bin->fault = ROLE_FINE;
	return 0;
}

void repo_bin_read(const struct repo *r, const struct repo_role *publisher, unsigned bin,
		   struct repo_role *out)
{
	struct tuf_metafile meta;

	*out = (struct repo_role){.held = publisher->held, .fault = ROLE_DAMAGED};
	name_of(publisher, bin, out->name);
	if (!repo_index_find(&r->state.index, out->name, &meta)) {
		error_set(&out->why, ERR_NOT_FOUND, "snapshot does not list '%s'", out->name);
		return;
	}
	out->version = meta.version;
	if (repo_bins_role(publisher->file, &out->role, &out->why) == 0 &&
	    read_named(r, &meta, out, &out->why) == 0 && check_signed(&meta, out, &out->why) == 0)
		return;
	/* Noted, or it would be due for ever. */
	publisher->bins->notes[bin] =
		(struct repo_bin_note){.version = meta.version, .fault = out->fault};
	tuf_targets_free(out->file);
	out->file = NULL;
	buf_release(&out->text);
}

/* The one that was read last, if it is still the one that is published. */
static const struct repo_role *read_cached(const struct repo *r, const struct repo_role *publisher,
					   unsigned bin)
{
	struct tuf_metafile meta = {.version = 0};
	char name[NAME_LEN_MAX + 1];

	name_of(publisher, bin, name);
	if (strcmp(r->bin->name, name) == 0 && r->bin->fault == ROLE_FINE &&
	    repo_index_find(&r->state.index, name, &meta) && meta.version == r->bin->version)
		return r->bin;
	repo_role_release(r->bin);
	repo_bin_read(r, publisher, bin, r->bin);
	return r->bin;
}

const struct repo_role *repo_file_find(const struct repo *r, struct slice name)
{
	const struct repo_role *role = repo_state_role(&r->state, name);
	unsigned bin;

	if (role != NULL)
		return role;
	role = repo_bin_parse(r, name, &bin);
	return role == NULL ? NULL : read_cached(r, role, bin);
}

const struct repo_role *repo_file_of_path(const struct repo *r, const struct repo_role *publisher,
					  struct slice path)
{
	return publisher->bin_bits == 0 ? publisher
					: read_cached(r, publisher, repo_bin_of(publisher, path));
}

/* ---- what is known of all of them ---- */

struct repo_bins *repo_bins_new(unsigned bits)
{
	size_t count = (size_t)1 << bits;
	struct repo_bins *b = xcalloc(1, sizeof(*b) + count * sizeof(b->notes[0]));

	b->count = (unsigned)count;
	return b;
}

void repo_bins_free(struct repo_bins *b)
{
	free(b);
}

const struct repo_bin_note *repo_bin_note(const struct repo *r, const struct repo_role *publisher,
					  unsigned bin)
{
	struct repo_bin_note *note = &publisher->bins->notes[bin];
	struct repo_role read = {.file = NULL};
	struct tuf_metafile meta = {.version = 0};

	name_of(publisher, bin, read.name);
	if (repo_index_find(&r->state.index, read.name, &meta) && meta.version == note->version)
		return note;
	*note = (struct repo_bin_note){.version = meta.version, .fault = ROLE_DAMAGED};
	if (meta.version != 0 && read_named(r, &meta, &read, &read.why) == 0) {
		note->fault = ROLE_FINE;
		note->expires_s = read.file->head.expires_s;
		note->artifacts = (unsigned)json_count(read.file->targets);
	}
	repo_role_release(&read);
	return note;
}

int64_t repo_bin_version(const struct repo *r, const struct repo_role *publisher, unsigned bin,
			 char name[static NAME_LEN_MAX + 1])
{
	struct tuf_metafile meta;

	name_of(publisher, bin, name);
	return repo_index_find(&r->state.index, name, &meta) ? meta.version : 0;
}

int64_t repo_bins_newest(const struct repo *r, const struct repo_role *publisher)
{
	char name[NAME_LEN_MAX + 1];
	struct tuf_metafile meta;
	int64_t newest = 0;
	unsigned i;

	for (i = 0; i < publisher->bins->count; i++) {
		name_of(publisher, i, name);
		if (repo_index_find(&r->state.index, name, &meta) && meta.version > newest)
			newest = meta.version;
	}
	return newest;
}

void repo_bins_sum(const struct repo *r, const struct repo_role *publisher,
		   struct repo_bins_sum *out)
{
	unsigned i, first = 0;

	*out = (struct repo_bins_sum){.count = publisher->bins->count, .expires_s = INT64_MAX};
	for (i = 0; i < out->count; i++) {
		const struct repo_bin_note *note = repo_bin_note(r, publisher, i);

		out->artifacts += note->artifacts;
		if (note->fault != ROLE_FINE) {
			out->damaged++;
		} else if (note->expires_s < out->expires_s) {
			out->expires_s = note->expires_s;
			out->version = note->version;
			first = i;
		}
	}
	name_of(publisher, first, out->first);
}
