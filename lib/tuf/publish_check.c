/* What a publisher's next file, or that of a hash bin of his, must be. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/name.h"
#include "tuf/delegation.h"
#include "tuf/publish_internal.h"
#include "tuf/verify.h"

static bool in_slice(const struct publish_file *c, struct slice path)
{
	struct tuf_delegation_iter it = tuf_delegation_iter(c->top, path);
	struct tuf_delegation d;

	return tuf_delegation_next(&it, &d) && strcmp(d.name, c->publisher->name) == 0;
}

/* Clients look for the path in this publisher's slice, and there in this very bin. */
static int check_slice(const struct publish_file *c, struct slice path, struct error *err)
{
	char shown[96];

	printable(shown, sizeof(shown), path);
	if (!in_slice(c, path)) {
		error_set(err, ERR_REFUSED, "'%s' is outside the slice of publisher '%s'", shown,
			  c->publisher->name);
		return error_hint(err, "meshanics artifact list --publishers shows the slices");
	}
	if (c->is_bin && repo_bin_of(c->publisher, path) != c->bin)
		return error_set(err, ERR_REFUSED, "'%s' does not belong to hash bin '%s'", shown,
				 c->role->name);
	return 0;
}

/* A path that was published keeps its bytes and its descriptor for good. */
static int check_same(const struct tuf_target *old, const struct tuf_target *next,
		      struct error *err)
{
	struct json_value was = json_get(old->custom, "meshanics"),
			  is = json_get(next->custom, "meshanics");
	struct buf a = BUF_INIT(DESCRIPTOR_SIZE_MAX), b = BUF_INIT(DESCRIPTOR_SIZE_MAX);
	int r = -1;

	/* Mostly it is so to the letter. */
	if (!slice_equal(json_raw(was), json_raw(is)) &&
	    (json_canonical(&a, was, err) < 0 || json_canonical(&b, is, err) < 0))
		goto out;
	if (old->length == next->length &&
	    memcmp(old->hashes.sha256, next->hashes.sha256, SHA256_LEN) == 0 &&
	    slice_equal(buf_slice(&a), buf_slice(&b)))
		r = 0;
	else
		error_set(err, ERR_CONFLICT,
			  "'%.*s' is published already, with other content or another descriptor",
			  SLICE_ARG(next->path));
out:
	buf_release(&a);
	buf_release(&b);
	return r;
}

static int check_blob(const struct publish_file *c, const struct tuf_target *t, struct error *err)
{
	char staged[BLOB_NAME_MAX], placed[BLOB_NAME_MAX];

	blob_staged_name(staged, t->hashes.sha256);
	blob_placed_name(placed, t->path, t->hashes.sha256);
	if (blob_has_size(c->r->dirfd, staged, t->length) ||
	    blob_has_size(c->r->dirfd, placed, t->length))
		return 0;
	error_set(err, ERR_NOT_FOUND,
		  "'%.*s': no staged blob of %" PRIu64 " bytes with this SHA-256",
		  SLICE_ARG(t->path), t->length);
	return error_hint(err, "upload the blob before the metadata that names it");
}

static int check_new(const struct publish_file *c, const struct tuf_target *t, struct error *err)
{
	struct descriptor d;

	if (!t->hashes.has_sha256)
		return error_set(err, ERR_REFUSED, "'%.*s' has no sha256", SLICE_ARG(t->path));
	if (json_get(t->custom, "meshanics").doc == NULL)
		return error_set(err, ERR_REFUSED, "'%.*s' has no descriptor", SLICE_ARG(t->path));
	if (descriptor_parse(&d, json_get(t->custom, "meshanics"), err) < 0)
		return error_wrap(err, "'%.*s'", SLICE_ARG(t->path));
	descriptor_release(&d);
	return c->each != NULL ? 0 : check_blob(c, t, err);
}

static int check_target(struct publish_file *c, const struct tuf_target *old, size_t old_count,
			const struct tuf_target *t, struct error *err)
{
	const struct tuf_target *same =
		old_count == 0 ? NULL : bsearch(t, old, old_count, sizeof(*old), targets_order);

	if (target_path_check(t->path, err) < 0)
		return -1;
	if (c->each != NULL && !in_slice(c, t->path))
		return 0;
	if (check_slice(c, t->path, err) < 0)
		return -1;
	if (same == NULL)
		c->added[c->added_count++] = *t;
	if ((same != NULL ? check_same(same, t, err) : check_new(c, t, err)) < 0)
		return -1;
	return c->each == NULL ? 0 : c->each(c->each_arg, t, err);
}

int publish_check_targets(struct publish_file *c, struct error *err)
{
	struct tuf_target *old = NULL, *next = NULL;
	size_t old_count, next_count = 0, i;
	int r = -1;

	if (targets_sorted(c->role->file, &old, &old_count, err) < 0 ||
	    targets_sorted(c->next, &next, &next_count, err) < 0)
		goto out;
	c->added = xcalloc(next_count, sizeof(*c->added));
	for (i = 0; i < next_count; i++) {
		if (check_target(c, old, old_count, &next[i], err) < 0)
			goto out;
	}
	c->removed_count = old_count + c->added_count - next_count;
	r = 0;
out:
	free(old);
	free(next);
	return r;
}

static int check_version(const struct publish_file *c, int64_t expected, struct error *err)
{
	int64_t version = c->next->head.version;

	if (c->role->fault == ROLE_DAMAGED) {
		*err = c->role->why;
		error_wrap(err, "the published file of '%s' is damaged", c->role->name);
		return error_hint(
			err,
			"restore it from a backup first: meshanics repo verify says what is wrong");
	}
	if (expected != c->role->version) {
		error_set(err, ERR_CONFLICT,
			  "version %" PRId64 " of '%s' is published, not %" PRId64
			  " which this one was built upon",
			  c->role->version, c->role->name, expected);
		return error_hint(err, "fetch the published file and sign again");
	}
	if (version <= c->role->version)
		return error_set(err, ERR_REFUSED,
				 "version %" PRId64 " of '%s' is not above %" PRId64
				 ", which is published",
				 version, c->role->name, c->role->version);
	if (version > c->now_s + REPO_VERSION_AHEAD_S)
		return error_set(err, ERR_REFUSED,
				 "version %" PRId64
				 " of '%s' is more than a day ahead of the clock",
				 version, c->role->name);
	return 0;
}

/*
 * A publisher's file lists targets or delegates to his bins, as it has done so far; a bin delegates
 * nothing. A file of his that lists targets where clients look for bins would take back everything
 * that he has published.
 */
static int check_delegations(const struct publish_file *c, struct error *err)
{
	unsigned bits = 0;

	if (c->is_bin && c->next->delegations.doc != NULL)
		return error_set(err, ERR_REFUSED, "hash bin '%s' may not delegate", c->role->name);
	if (c->is_bin)
		return 0;
	if (repo_bins_check(c->publisher, c->next, &bits, err) < 0)
		return -1;
	if (bits == c->publisher->bin_bits)
		return 0;
	if (c->publisher->bin_bits == 0)
		return error_set(err, ERR_REFUSED, "publisher '%s' may not delegate",
				 c->publisher->name);
	return error_set(err, ERR_REFUSED,
			 "publisher '%s' publishes in %u hash bins, and these stay",
			 c->publisher->name, 1u << c->publisher->bin_bits);
}

int publish_check(struct publish_file *c, int64_t expected, struct error *err)
{
	struct tuf_metafile meta = {.version = c->next->head.version, .length = -1};

	if (check_version(c, expected, err) < 0 ||
	    tuf_targets_check(&c->role->role, c->role->name, &meta, c->next, c->now_s, err) < 0 ||
	    check_delegations(c, err) < 0)
		return -1;
	return publish_check_targets(c, err);
}
