/*
 * Removing superseded files of metadata/. Clients in the middle of an update still ask for the
 * newest few of each role; the rest goes. Failing to is no failure of the change: the next sweep
 * sees the same files.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_internal.h"

#define SWEEP_MAX (1u << 20) /* files of metadata/ looked at in one sweep */

struct old_file {
	char role[NAME_LEN_MAX + 1];
	int64_t version;
};

/* The files of a change, by role: the only ones that have superseded something. */
static int by_role(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_role_newest_first(const void *a, const void *b)
{
	const struct old_file *x = a, *y = b;
	int r = strcmp(x->role, y->role);

	return r != 0 ? r : (y->version > x->version) - (y->version < x->version);
}

/* ROLE of "VERSION.ROLE.json", cheaply: most names of a large directory are of no interest. */
static bool role_of_name(const char *name, char role[static NAME_LEN_MAX + 1])
{
	size_t digits = strspn(name, "0123456789"), len = strlen(name);

	if (digits == 0 || name[digits] != '.' || len < digits + 7 ||
	    len - digits - 6 > NAME_LEN_MAX)
		return false;
	memcpy(role, name + digits + 1, len - digits - 6);
	role[len - digits - 6] = '\0';
	return true;
}

static bool wanted(const char *name, const char *const *roles, size_t count, struct old_file *out)
{
	char role[NAME_LEN_MAX + 1];
	const char *key = role;

	if (!role_of_name(name, role) || strcmp(role, "root") == 0)
		return false;
	if (roles != NULL && bsearch(&key, roles, count, sizeof(*roles), by_role) == NULL)
		return false;
	return metadata_name_parse(name, out->role, &out->version);
}

/* Files of metadata/ that carry a version, roots apart: roots stay for ever. */
static unsigned list_versioned(int metadata_fd, const char *const *roles, size_t role_count,
			       struct old_file **list)
{
	struct error ignored = ERROR_INIT;
	unsigned count = 0;
	struct dirent *e;
	DIR *d;
	int fd = file_open(metadata_fd, ".", O_RDONLY | O_DIRECTORY, 0, &ignored);

	*list = NULL;
	if (fd < 0)
		return 0;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return 0;
	}
	while (count < SWEEP_MAX && (e = readdir(d)) != NULL) {
		struct old_file f;

		if (!wanted(e->d_name, roles, role_count, &f))
			continue;
		if ((count & (count - 1)) == 0)
			*list = xreallocarray(*list, count == 0 ? 1 : 2 * (size_t)count, sizeof(f));
		(*list)[count++] = f;
	}
	closedir(d);
	return count;
}

static int64_t version_in_force(const struct repo_state *s, const char *role)
{
	struct tuf_metafile meta;

	if (s->snapshot == NULL)
		return 0;
	if (strcmp(role, "snapshot") == 0)
		return s->snapshot->head.version;
	return repo_index_find(&s->index, role, &meta) ? meta.version : 0;
}

/*
 * Hash bins are many, and all are signed anew at a time: their old files go sooner. Versions are
 * Unix seconds, so that of the file which took its place says since when nobody is sent to this
 * one.
 */
static bool long_superseded(const struct repo_state *s, const struct old_file *successor)
{
	return tuf_bin_prefix(slice_str(successor->role)).len > 0 &&
	       successor->version < s->snapshot->head.version - REPO_OLD_BIN_LIFE_S;
}

static void remove_old(const struct repo *r, const struct old_file *list, unsigned count)
{
	struct error ignored = ERROR_INIT;
	char name[META_NAME_MAX];
	unsigned i, old = 0;
	int64_t current = 0;

	for (i = 0; i < count; i++) {
		bool first = i == 0 || strcmp(list[i].role, list[i - 1].role) != 0;

		if (first) {
			old = 0;
			current = version_in_force(&r->state, list[i].role);
		}
		/* A role that no snapshot names is left alone: it is not ours to judge. */
		if (current == 0 || list[i].version >= current)
			continue;
		if (++old <= REPO_KEEP_OLD && (first || !long_superseded(&r->state, &list[i - 1])))
			continue;
		metadata_name(name, list[i].role, list[i].version);
		if (file_unlink(r->metadata_fd, name, &ignored) < 0)
			return;
	}
}

void repo_sweep(const struct repo *r, const struct repo_change *change)
{
	const char **roles = NULL;
	struct old_file *list;
	unsigned count, i;

	if (change != NULL) {
		roles = xcalloc(change->count, sizeof(*roles));
		for (i = 0; i < change->count; i++)
			roles[i] = change->files[i].role;
		qsort(roles, change->count, sizeof(*roles), by_role);
	}
	count = list_versioned(r->metadata_fd, roles, change == NULL ? 0 : change->count, &list);
	if (count > 0)
		qsort(list, count, sizeof(*list), by_role_newest_first);
	remove_old(r, list, count);
	free(list);
	free(roles);
}
