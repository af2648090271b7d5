/* The entries of a snapshot in order: with hash bins there are tens of thousands, and many are
 * looked up. */
#include <stdlib.h>

#include "tuf/repo_internal.h"

static int by_file(const void *a, const void *b)
{
	return slice_compare(((const struct repo_index_entry *)a)->file,
			     ((const struct repo_index_entry *)b)->file);
}

void repo_index_make(struct repo_index *x, struct json_value meta)
{
	struct json_iter it;
	bool sorted = true;

	*x = (struct repo_index){.list = xcalloc(json_count(meta), sizeof(x->list[0]))};
	for (it = json_iter(meta); json_next(&it); x->count++) {
		x->list[x->count] = (struct repo_index_entry){it.key, it.value};
		sorted = sorted &&
			 (x->count == 0 || slice_compare(x->list[x->count - 1].file, it.key) < 0);
	}
	/* As we sign it, it is in order. */
	if (!sorted)
		qsort(x->list, x->count, sizeof(x->list[0]), by_file);
}

void repo_index_release(struct repo_index *x)
{
	free(x->list);
	*x = (struct repo_index){.list = NULL};
}

bool repo_index_find(const struct repo_index *x, const char *role, struct tuf_metafile *out)
{
	struct repo_index_entry wanted = {.entry.doc = NULL}, *hit = NULL;
	struct error ignored = ERROR_INIT;
	char file[TUF_ROLE_NAME_MAX + 6];

	snprintf(file, sizeof(file), "%.*s.json", TUF_ROLE_NAME_MAX, role);
	wanted.file = slice_str(file);
	if (x->count > 0)
		hit = bsearch(&wanted, x->list, x->count, sizeof(x->list[0]), by_file);
	/* Parsed once already, with the snapshot: an entry that is there is well-formed. */
	return hit != NULL && tuf_metafile_parse(out, hit->entry, &ignored) == 0;
}
