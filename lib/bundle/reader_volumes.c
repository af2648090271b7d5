/* Which file holds which volume of a bundle. */
#include "bundle/reader_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "sys/file.h"

#define KEPT_OPEN_MAX 256	/* files that stay open until they are read; descriptors are few */

int source_wrap(const struct source *s, struct error *err)
{
	return err->sys_errno != 0 && s->path != NULL && strstr(err->text, s->path) != NULL
		       ? -1
		       : error_wrap(err, "'%s'", s->name);
}

void sources_release(struct sources *s)
{
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (s->list[i].own_fd)
			file_close(&s->list[i].fd);
		free(s->list[i].path);
		free(s->list[i].name);
	}
	free(s->list);
	*s = (struct sources){.count = 0};
}

static struct source *add(struct sources *s, const char *path, const char *name, int fd)
{
	struct source *new;

	s->list = xreallocarray(s->list, s->count + 1, sizeof(s->list[0]));
	new = &s->list[s->count++];
	*new = (struct source){.path = path == NULL ? NULL : xstrdup(path), .name = xstrdup(name), .fd = fd};
	return new;
}

int source_open(struct source *s, struct tarfile *a, struct error *err)
{
	if (s->fd < 0) {	/* beyond KEPT_OPEN_MAX, or the only one */
		s->fd = file_open(AT_FDCWD, s->path, O_RDONLY, 0, err);
		if (s->fd < 0)
			return -1;
		s->own_fd = true;
	}
	tarfile_open(a, s->fd);
	s->size = a->size;
	return 0;
}

void source_close(struct source *s, struct tarfile *a)
{
	tarfile_release(a);
	if (s->own_fd)
		file_close(&s->fd);
	s->own_fd = false;
}

/* ---- what a file begins with ---- */

int volume_read(struct tarfile *a, struct volume *out, struct error *err)
{
	struct buf text = BUF_INIT(VOLUME_MAX);
	int r = tarfile_read_all(a, &text, err);

	if (r < 0)
		error_wrap(err, "member '" BUNDLE_VOLUME "'");
	else
		r = volume_parse(out, buf_slice(&text), err);
	buf_release(&text);
	return r;
}

int source_begin(struct tarfile *a, struct tar_entry *e, bool *is_later, struct volume *v, struct error *err)
{
	int kind = tarfile_header(a, e, err);

	if (kind < 0)
		return -1;
	if (kind == 0)
		return error_set(err, ERR_MALFORMED, "the archive is empty");
	*is_later = strcmp(e->name, BUNDLE_VOLUME) == 0;
	if (!*is_later && strcmp(e->name, BUNDLE_MANIFEST) != 0) {
		error_set(err, ERR_MALFORMED, "this is no bundle: it begins with '%s', not with '" BUNDLE_MANIFEST "'",
			  e->name);
		if (strcmp(e->name, "receipt.json") == 0)
			error_hint(err, "this is a receipt: it goes to the site that makes the bundles");
		return -1;
	}
	if (!*is_later)
		return 0;
	if (volume_read(a, v, err) < 0)
		return -1;
	return v->volume > 1 ? 0 : error_set(err, ERR_MALFORMED, "volume 1 begins without '" BUNDLE_MANIFEST "'");
}

/* ---- several files ---- */

static int by_volume(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return (x->volume > y->volume) - (x->volume < y->volume);
}

/* keep: it stays open; who reads may have become somebody else by then. */
static int look_inside(struct source *s, bool keep, struct error *err)
{
	struct tarfile a = TARFILE_INIT;
	struct tar_entry e;
	struct volume v = {.volume = 1};
	struct stat st;
	int r;

	/* A pipe cannot be looked into and then read, nor may it hang us. */
	if (s->path != NULL && (stat(s->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return error_set(err, ERR_USAGE, "'%s' is no plain file: of several volumes each has to be one", s->path);
	if (source_open(s, &a, err) < 0)
		return -1;
	r = a.seekable ? source_begin(&a, &e, &s->has_bundle, &v, err)
		       : error_set(err, ERR_USAGE, "this is a pipe: of several volumes each has to be a plain file");
	if (keep)
		tarfile_release(&a);
	else
		source_close(s, &a);
	s->volume = v.volume;
	memcpy(s->bundle, v.bundle, SHA256_LEN);
	return r < 0 ? source_wrap(s, err) : 0;
}

/* s: ascending by volume. */
static int check_neighbours(const struct source *a, const struct source *b, struct error *err)
{
	if (a->volume == b->volume) {
		error_set(err, ERR_MALFORMED, "'%s' and '%s' are both volume %u", a->name, b->name, a->volume);
		return error_hint(err, "give each volume of one bundle once");
	}
	if (a->has_bundle && memcmp(a->bundle, b->bundle, SHA256_LEN) != 0)
		return error_set(err, ERR_REFUSED, "'%s' and '%s' are volumes of two bundles", a->name, b->name);
	return 0;
}

static int put_in_order(struct sources *s, struct error *err)
{
	unsigned i;

	if (s->count < 2)
		return 0;
	for (i = 0; i < s->count; i++)
		if (look_inside(&s->list[i], i < KEPT_OPEN_MAX, err) < 0)
			return -1;
	qsort(s->list, s->count, sizeof(s->list[0]), by_volume);
	for (i = 1; i < s->count; i++)
		if (check_neighbours(&s->list[i - 1], &s->list[i], err) < 0)
			return -1;
	return 0;
}

static int check_count(unsigned count, struct error *err)
{
	if (count == 0)
		return error_set(err, ERR_USAGE, "no bundle is named");
	if (count > BUNDLE_VOLUMES_MAX)
		return error_set(err, ERR_LIMIT, "%u files are more than %d volumes", count, BUNDLE_VOLUMES_MAX);
	return 0;
}

int sources_of_paths(struct sources *s, const char *const *paths, unsigned count, struct error *err)
{
	unsigned i;

	*s = (struct sources){.count = 0};
	if (check_count(count, err) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (strcmp(paths[i], "-") != 0) {
			add(s, paths[i], paths[i], -1);
		} else if (count == 1) {
			add(s, NULL, "standard input", 0);
		} else {
			error_set(err, ERR_USAGE, "'-' stands for the whole bundle, so it stands alone");
			goto failed;
		}
	}
	if (put_in_order(s, err) == 0)
		return 0;
failed:
	sources_release(s);
	return -1;
}

int sources_of_fds(struct sources *s, const int *fds, const char *const *names, unsigned count, struct error *err)
{
	unsigned i;

	*s = (struct sources){.count = 0};
	if (check_count(count, err) < 0)
		return -1;
	for (i = 0; i < count; i++)
		add(s, NULL, names[i], fds[i]);
	if (put_in_order(s, err) == 0)
		return 0;
	sources_release(s);
	return -1;
}

struct source *sources_find(const struct sources *s, unsigned volume)
{
	unsigned i;

	for (i = 0; i < s->count; i++)
		if (s->list[i].volume == volume)
			return &s->list[i];
	return NULL;
}

/* ---- siblings ---- */

/* The path of the volume after the one in s, NAME.002 after NAME.001, to be freed; NULL for other names. */
static char *next_path(const struct source *s)
{
	char suffix[16];
	size_t len, cut = 4;
	char *path;

	if (s->path == NULL || strlen(s->path) <= cut)
		return NULL;
	snprintf(suffix, sizeof(suffix), ".%03u", s->volume);
	len = strlen(s->path);
	if (strcmp(s->path + len - cut, suffix) != 0)
		return NULL;
	path = xstrdup(s->path);
	snprintf(path + len - cut, cut + 1, ".%03u", (s->volume + 1) % 1000);
	return path;
}

/* As whoever looks now: the same file, and still a plain one. What cannot be opened is missed when it is needed. */
static void hold(struct source *s)
{
	struct error ignored = ERROR_INIT;
	struct stat st;

	s->fd = file_open(AT_FDCWD, s->path, O_RDONLY | O_NONBLOCK, 0, &ignored);
	s->own_fd = s->fd >= 0;
	if (s->fd >= 0 && (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		file_close(&s->fd);
		s->own_fd = false;
	}
}

void sources_find_siblings(struct sources *s, const struct volume *v)
{
	unsigned n;

	for (n = v->volume + 1; n <= v->volumes; n++) {
		struct source *before = sources_find(s, n - 1), *new;
		struct stat st;
		char *path = before == NULL || sources_find(s, n) != NULL ? NULL : next_path(before);

		if (path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			new = add(s, path, path, -1);
			new->volume = n;
			new->size = (uint64_t)st.st_size;
			new->found = true;
			if (s->count <= KEPT_OPEN_MAX)
				hold(new);
		}
		free(path);
	}
}

void sources_drop_found(struct sources *s, unsigned volumes)
{
	unsigned i, n = 0;

	for (i = 0; i < s->count; i++) {
		struct source *at = &s->list[i];

		if (!at->found || at->volume <= volumes) {
			s->list[n++] = *at;
			continue;
		}
		if (at->own_fd)
			file_close(&at->fd);
		free(at->path);
		free(at->name);
	}
	s->count = n;
}
