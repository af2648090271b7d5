/* Reading what is published: one artifact by its path, or all of them. */
#include <limits.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/name.h"
#include "crypto/sshsig.h"
#include "tuf/delegation.h"
#include "tuf/publish_internal.h"

void artifact_put_file(struct buf *out, struct slice path, const uint8_t sha256[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];
	size_t cut = path.len;

	while (cut > 0 && path.ptr[cut - 1] != '/')
		cut--;
	hex_encode(hex, sha256, SHA256_LEN);
	buf_put_str(out, "targets/");
	buf_put_slice(out, slice_sub(path, 0, cut));
	buf_printf(out, "%s.", hex);
	buf_put_slice(out, slice_sub(path, cut, SIZE_MAX));
}

bool artifact_held(const struct repo *r, const struct artifact *a)
{
	char name[BLOB_NAME_MAX];

	blob_placed_name(name, a->target.path, a->target.hashes.sha256);
	return blob_has_size(r->dirfd, name, a->target.length);
}

int targets_order(const void *a, const void *b)
{
	return slice_compare(((const struct tuf_target *)a)->path,
			     ((const struct tuf_target *)b)->path);
}

int targets_sorted(const struct tuf_targets *file, struct tuf_target **list, size_t *count,
		   struct error *err)
{
	struct json_iter it;

	*list = NULL;
	*count = 0;
	if (file == NULL)
		return 0;
	*list = xcalloc(json_count(file->targets), sizeof(**list));
	for (it = json_iter(file->targets); json_next(&it);) {
		if (tuf_target_parse(&(*list)[(*count)++], it.key, it.value, err) < 0)
			return -1;
	}
	if (*count > 0)
		qsort(*list, *count, sizeof(**list), targets_order);
	return 0;
}

const struct repo_role *artifact_role(const struct repo *r, struct slice path)
{
	struct tuf_delegation_iter it = tuf_delegation_iter(r->state.targets, path);
	struct tuf_delegation d;

	return tuf_delegation_next(&it, &d) ? repo_role_find(r, slice_str(d.name)) : NULL;
}

struct json_value repo_role_slices(const struct repo *r, unsigned i)
{
	struct tuf_delegation_iter it;
	struct tuf_delegation d;
	unsigned n = 0;

	for (it = tuf_delegation_iter(r->state.targets, SLICE_EMPTY); tuf_delegation_next(&it, &d);
	     n++) {
		if (n == i)
			return json_get(d.entry, "paths");
	}
	return (struct json_value){NULL, 0};
}

int artifact_find(const struct repo *r, struct slice path, struct artifact *out, struct error *err)
{
	const struct tuf_targets *file;
	char shown[96];

	if (target_path_check(path, err) < 0 || repo_adopted(r, err) < 0)
		return -1;
	out->role = artifact_role(r, path);
	if (out->role != NULL && out->role->file != NULL) {
		file = repo_file_of_path(r, out->role, path)->file;
		if (file != NULL && tuf_targets_find(file, path, &out->target, err) == 0)
			return 0;
	}
	error_set(err, ERR_NOT_FOUND, "'%s' is not published",
		  printable(shown, sizeof(shown), path));
	return error_hint(err, "meshanics artifact list shows what is");
}

typedef int artifact_visit(void *arg, const struct artifact *a, struct error *err);

/* Those of one file of a publisher: his own, or (bin != UINT_MAX) a bin of his. */
static int each_of_file(const struct repo *r, const struct repo_role *publisher, unsigned bin,
			const struct tuf_targets *file, artifact_visit *each, void *arg,
			struct error *err)
{
	struct artifact a = {.role = publisher};
	struct tuf_target *list;
	size_t count, i;
	int ret;

	ret = targets_sorted(file, &list, &count, err);
	for (i = 0; ret == 0 && i < count; i++) {
		a.target = list[i];
		/* What lies outside the role's slice is not published, whatever its file says. */
		if (artifact_role(r, a.target.path) == publisher &&
		    (bin == UINT_MAX || repo_bin_of(publisher, a.target.path) == bin))
			ret = each(arg, &a, err);
	}
	free(list);
	return ret;
}

static int each_of_bins(const struct repo *r, const struct repo_role *publisher,
			artifact_visit *each, void *arg, struct error *err)
{
	unsigned i;
	int ret = 0;

	for (i = 0; ret == 0 && i < 1u << publisher->bin_bits; i++) {
		struct repo_role bin;

		repo_bin_read(r, publisher, i, &bin);
		ret = each_of_file(r, publisher, i, bin.file, each, arg, err);
		repo_role_release(&bin);
	}
	return ret;
}

int artifact_each(const struct repo *r,
		  int (*each)(void *arg, const struct artifact *a, struct error *err), void *arg,
		  struct error *err)
{
	unsigned i;

	for (i = 0; i < r->state.role_count; i++) {
		const struct repo_role *role = &r->state.roles[i];

		if ((role->bin_bits > 0
			     ? each_of_bins(r, role, each, arg, err)
			     : each_of_file(r, role, UINT_MAX, role->file, each, arg, err)) < 0)
			return -1;
	}
	return 0;
}

int64_t publish_release_floor(const struct repo *r)
{
	return r->state.snapshot == NULL ? 0 : r->state.snapshot->head.version;
}

int artifact_signer(const struct repo *r, const uint8_t sha256[static SHA256_LEN],
		    struct slice armored, const struct repo_role **role, const struct tuf_key **key,
		    struct error *err)
{
	unsigned i, k;

	if (repo_adopted(r, err) < 0)
		return -1;
	for (i = 0; i < r->state.role_count; i++) {
		const struct tuf_keys *keys = &r->state.roles[i].role.keys;

		for (k = 0; k < keys->count; k++) {
			*role = &r->state.roles[i];
			*key = &keys->list[k];
			if (sshsig_verify_sha256(&keys->list[k].pub, PUBLISH_NAMESPACE, sha256,
						 armored, err) == 0)
				return 0;
			if (err->kind == ERR_MALFORMED)
				return -1;
		}
	}
	error_set(err, ERR_REFUSED,
		  "the signature is not by a publisher of site '%s' over this file", repo_site(r));
	return error_hint(err, "the file or its signature has changed, or it comes from elsewhere");
}
