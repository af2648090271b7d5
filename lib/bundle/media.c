/* The directory `meshanics` of a stick: opening it, and what is in it. */
#include "bundle/media_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int make_dir(int dirfd, const char *name, struct error *err)
{
	int fd;

	if (file_exists(dirfd, name))	/* a link is refused, not followed */
		fd = file_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, err);
	else if (file_mkdir_lenient(dirfd, name, 0755, err) < 0)
		return -1;
	else
		fd = file_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, err);
	return fd;
}

/* Everything that a writer needs: the directories, and no left-overs in them. */
static int prepare(struct media *m, struct error *err)
{
	int k, fd, r;

	if (file_lock_dir(m->dirfd, MEDIA_DIR, err) < 0 || newfile_sweep(m->dirfd, ".", err) < 0)
		return -1;
	for (k = 0; k < MEDIA_KINDS; k++) {
		if ((fd = make_dir(m->dirfd, media_dir((enum media_kind)k), err)) < 0)
			return -1;
		r = newfile_sweep(fd, ".", err);
		file_close(&fd);
		if (r < 0)
			return -1;
	}
	return 0;
}

struct media *media_open(const char *dir, bool write, struct error *err)
{
	struct media *m = xcalloc(1, sizeof(*m));
	int fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err);

	m->write = write;
	m->dirfd = -1;
	if (fd >= 0)
		m->dirfd = write ? make_dir(fd, MEDIA_DIR, err)
				 : file_open_beneath(fd, MEDIA_DIR, O_RDONLY | O_DIRECTORY, err);
	if (fd >= 0 && m->dirfd < 0 && err->kind == ERR_NOT_FOUND)
		error_hint(err, "give the directory at which the stick is mounted");
	file_close(&fd);
	if (m->dirfd < 0 || (write && prepare(m, err) < 0)) {
		media_close(m);
		error_wrap(err, "'%s'", dir);
		return NULL;
	}
	return m;
}

void media_close(struct media *m)
{
	if (m == NULL)
		return;
	file_close(&m->dirfd);
	free(m);
}

int media_open_dir(const struct media *m, enum media_kind kind, struct error *err)
{
	return file_open_beneath(m->dirfd, media_dir(kind), O_RDONLY | O_DIRECTORY, err);
}

/* ---- lists ---- */

void media_list_release(struct media_list *l)
{
	free(l->files);
	*l = (struct media_list){.count = 0};
}

/* One entry of a directory, as it is named there; folded for the comparison. */
struct entry {
	char *name, *folded;
};
struct entries {
	struct entry *list;
	unsigned count;
};

static void entries_release(struct entries *e)
{
	unsigned i;

	for (i = 0; i < e->count; i++) {
		free(e->list[i].name);
		free(e->list[i].folded);
	}
	free(e->list);
	*e = (struct entries){.count = 0};
}

static int by_folded(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strcmp(x->folded, y->folded);

	return r != 0 ? r : strcmp(x->name, y->name);
}

static void entries_add(struct entries *e, const char *name)
{
	struct entry *new;
	char *c;

	if ((e->count & (e->count - 1)) == 0)
		e->list = xreallocarray(e->list, e->count == 0 ? 1 : 2 * (size_t)e->count, sizeof(*e->list));
	new = &e->list[e->count++];
	new->name = xstrdup(name);
	new->folded = xstrdup(name);
	for (c = new->folded; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
}

/* All names in the directory, sorted. */
static int entries_read(struct entries *e, int dirfd, const char *what, struct error *err)
{
	int fd = file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	*e = (struct entries){.count = 0};
	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (errno = 0, de = readdir(d)) != NULL) {
		if (e->count == MEDIA_FILES_MAX)
			r = error_set(err, ERR_LIMIT, "'%s' holds more than %d files", what, MEDIA_FILES_MAX);
		else
			entries_add(e, de->d_name);
	}
	if (r == 0 && errno != 0)
		r = error_errno(err, errno, "cannot list '%s'", what);
	closedir(d);
	if (e->count > 0)
		qsort(e->list, e->count, sizeof(*e->list), by_folded);
	return r;
}

/* One that is ours by its end: it must be a plain file with a good name, the only one that some systems see by it. */
static int take_entry(struct media_list *l, const struct entries *e, unsigned i, enum media_kind kind, int dirfd,
		      struct error *err)
{
	const struct entry *at = &e->list[i];
	struct media_file *f;
	struct stat st;

	if ((i > 0 && strcmp(e->list[i - 1].folded, at->folded) == 0) ||
	    (i + 1 < e->count && strcmp(e->list[i + 1].folded, at->folded) == 0)) {
		error_set(err, ERR_REFUSED, "another name in '%s' differs from '%s' in nothing but case",
			  media_dir(kind), at->name);
		return error_hint(err, "remove the one that should not be there");
	}
	if (media_name_check(slice_str(at->name), err) < 0)
		return error_wrap(err, "%s", media_dir(kind));
	if (fstatat(dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "cannot look at '%s/%s'", media_dir(kind), at->name);
	if (!S_ISREG(st.st_mode)) {
		error_set(err, ERR_REFUSED, "'%s/%s' is %s, not a regular file", media_dir(kind), at->name,
			  S_ISLNK(st.st_mode)	? "a symbolic link"
			  : S_ISDIR(st.st_mode) ? "a directory"
			  : S_ISFIFO(st.st_mode) ? "a FIFO"
						: "a device or socket");
		return error_hint(err, "nothing that meshanics writes is; ask where the stick has been");
	}
	f = &l->files[l->count++];
	snprintf(f->name, sizeof(f->name), "%.*s", MEDIA_NAME_MAX, at->name);
	f->size = (uint64_t)st.st_size;
	return 0;
}

int media_list(const struct media *m, enum media_kind kind, struct media_list *list, struct error *err)
{
	struct entries e = {.count = 0};
	int fd = media_open_dir(m, kind, err), r = 0;
	unsigned i;

	*list = (struct media_list){.count = 0};
	if (fd < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		return 0;
	}
	if (fd < 0)
		return -1;
	r = entries_read(&e, fd, media_dir(kind), err);
	list->files = xcalloc(e.count > 0 ? e.count : 1, sizeof(*list->files));
	for (i = 0; r == 0 && i < e.count; i++)
		if (media_name_is(kind, slice_str(e.list[i].name)))
			r = take_entry(list, &e, i, kind, fd, err);
	entries_release(&e);
	file_close(&fd);
	if (r < 0)
		media_list_release(list);
	return r;
}

bool media_holds(const struct media_list *l, const char *name)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		if (strcmp(l->files[i].name, name) == 0)
			return true;
	return false;
}
