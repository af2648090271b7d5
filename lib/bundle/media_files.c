/* The files of a stick: reading with a look at SHA256SUMS, and writing so that an interruption leaves old or new. */
#include "bundle/media_internal.h"

#include <stdio.h>

/* ---- sums ---- */

static int read_sums(const struct media *m, struct media_sums *sums, struct error *err)
{
	struct buf text = BUF_INIT(MEDIA_SUMS_MAX);
	int fd = file_open_beneath(m->dirfd, MEDIA_SUMS, O_RDONLY, err), r = -1;

	*sums = (struct media_sums){.count = 0};
	if (fd < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		return 0;
	}
	if (fd >= 0 && file_read_fd(fd, &text, MEDIA_SUMS, err) == 0)
		r = media_sums_parse(sums, buf_slice(&text), err);
	file_close(&fd);
	buf_release(&text);
	if (r < 0)
		error_hint(err, "when the files are good, remove it and let 'sha256sum' write it anew");
	return r;
}

/* A new file of a stick in one go. */
static int replace(int dirfd, const char *name, mode_t mode, struct slice content, struct error *err)
{
	struct newfile f = NEWFILE_INIT;
	int r = -1;

	if (newfile_open_lenient(&f, dirfd, name, mode, err) == 0 && newfile_write(&f, content, err) == 0 &&
	    newfile_commit(&f, err) == 0)
		r = 0;
	newfile_abort(&f);
	return r;
}

/* Enter a file's sum, or take its line out (sha256 NULL). Nothing is written when nothing changes. */
static int change_sum(struct media *m, const char *path, const uint8_t *sha256, struct error *err)
{
	struct buf text = BUF_INIT(MEDIA_SUMS_MAX);
	const struct media_sum *now;
	struct media_sums sums;
	int r = -1;

	if (read_sums(m, &sums, err) < 0)
		return -1;
	now = media_sums_find(&sums, path);
	if (now == NULL ? sha256 == NULL : sha256 != NULL && memcmp(now->sha256, sha256, SHA256_LEN) == 0) {
		r = 0;
		goto out;
	}
	if (media_sums_set(&sums, path, sha256, err) < 0)
		goto out;
	media_sums_put(&text, &sums);
	if (text.failed)
		error_set(err, ERR_LIMIT, MEDIA_SUMS " would be larger than %u bytes", MEDIA_SUMS_MAX);
	else
		r = replace(m->dirfd, MEDIA_SUMS, 0644, buf_slice(&text), err);
out:
	media_sums_release(&sums);
	buf_release(&text);
	return r;
}

static int compare(const struct media_sums *sums, const char *path, const uint8_t sha256[static SHA256_LEN],
		   bool *listed, struct error *err)
{
	const struct media_sum *s = media_sums_find(sums, path);

	*listed = s != NULL;
	if (s == NULL || memcmp(s->sha256, sha256, SHA256_LEN) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "'%s' is damaged: " MEDIA_SUMS " says another SHA-256", path);
	return error_hint(err, "have it written to the stick once more");
}

int media_sum_check(const struct media *m, enum media_kind kind, const char *name,
		    const uint8_t sha256[static SHA256_LEN], struct error *err)
{
	char path[MEDIA_PATH_TEXT];
	struct media_sums sums;
	bool listed;
	int r;

	if (read_sums(m, &sums, err) < 0)
		return -1;
	r = compare(&sums, media_path(path, kind, name), sha256, &listed, err);
	media_sums_release(&sums);
	return r;
}

/* ---- reading ---- */

int media_open_file(const struct media *m, enum media_kind kind, const char *name, struct error *err)
{
	char path[MEDIA_PATH_TEXT];

	if (media_check_name(kind, name, err) < 0)
		return -1;
	return file_open_beneath(m->dirfd, media_path(path, kind, name), O_RDONLY, err);
}

int media_read(const struct media *m, enum media_kind kind, const char *name, struct buf *out, struct error *err)
{
	int fd = media_open_file(m, kind, name, err), r = -1;
	uint8_t sha256[SHA256_LEN];
	size_t from = out->len;

	if (fd >= 0 && file_read_fd(fd, out, name, err) == 0) {
		sha256_of(slice_sub(buf_slice(out), from, SIZE_MAX), sha256);
		r = media_sum_check(m, kind, name, sha256, err);
	}
	file_close(&fd);
	return r;
}

struct check {
	const struct media *m;
	struct media_sums sums;
	void (*each)(void *arg, enum media_kind kind, const char *name, bool listed);
	void *arg;
};

static int check_one(struct check *c, enum media_kind kind, const char *name, struct error *err)
{
	char path[MEDIA_PATH_TEXT];
	uint8_t sha256[SHA256_LEN];
	int fd, r = -1;
	uint64_t len;
	bool listed;

	media_path(path, kind, name);
	if ((fd = media_open_file(c->m, kind, name, err)) < 0)
		return -1;
	if (sha256_file(fd, sha256, &len, NULL, NULL, err) < 0)
		error_wrap(err, "'%s'", path);
	else
		r = compare(&c->sums, path, sha256, &listed, err);
	file_close(&fd);
	if (r == 0 && c->each != NULL)
		c->each(c->arg, kind, name, listed);
	return r;
}

/* What is listed and ours must be there. */
static int check_absent(const struct check *c, enum media_kind kind, const struct media_list *l, struct error *err)
{
	size_t prefix = strlen(media_dir(kind));
	unsigned i;

	for (i = 0; i < c->sums.count; i++) {
		const char *path = c->sums.list[i].path;

		if (strncmp(path, media_dir(kind), prefix) != 0 || path[prefix] != '/' ||
		    !media_name_is(kind, slice_str(path + prefix + 1)) || media_holds(l, path + prefix + 1))
			continue;
		error_set(err, ERR_REFUSED, "'%s' is listed in " MEDIA_SUMS " and not there", path);
		return error_hint(err, "have it written to the stick once more");
	}
	return 0;
}

int media_check(const struct media *m, void (*each)(void *arg, enum media_kind kind, const char *name, bool listed), void *arg,
		struct error *err)
{
	struct check c = {.m = m, .each = each, .arg = arg};
	struct media_list l;
	int k, r = 0;
	unsigned i;

	if (read_sums(m, &c.sums, err) < 0)
		return -1;
	for (k = 0; r == 0 && k < MEDIA_KINDS; k++) {
		if ((r = media_list(m, (enum media_kind)k, &l, err)) < 0)
			break;
		for (i = 0; r == 0 && i < l.count; i++)
			r = check_one(&c, (enum media_kind)k, l.files[i].name, err);
		if (r == 0)
			r = check_absent(&c, (enum media_kind)k, &l, err);
		media_list_release(&l);
	}
	media_sums_release(&c.sums);
	return r;
}

/* ---- writing ---- */

/* Over a link or the like that somebody put there nothing is written. */
static int check_place(const struct media *m, const char *path, struct error *err)
{
	int fd = file_open_beneath(m->dirfd, path, O_RDONLY, err);

	if (fd >= 0) {
		file_close(&fd);
		return 0;
	}
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	*err = ERROR_INIT;
	return 0;
}

static mode_t mode_of(const char *name)
{
	return slice_ends(slice_str(name), SLICE_LIT(".identity")) ? 0600 : 0644;
}

int media_begin(struct media *m, enum media_kind kind, const char *name, struct newfile *f, struct error *err)
{
	char path[MEDIA_PATH_TEXT];
	int fd, r;

	*f = NEWFILE_INIT;
	if (!m->write)
		return error_set(err, ERR_FAILED, "the stick was opened for reading");
	if (media_check_name(kind, name, err) < 0 || check_place(m, media_path(path, kind, name), err) < 0 ||
	    (fd = media_open_dir(m, kind, err)) < 0)
		return -1;
	r = newfile_open_lenient(f, fd, name, mode_of(name), err);
	file_close(&fd);
	return r;
}

int media_commit(struct media *m, enum media_kind kind, const char *name, struct newfile *f,
		 const uint8_t sha256[static SHA256_LEN], struct error *err)
{
	struct media_sums sums;
	const struct media_sum *former;
	char path[MEDIA_PATH_TEXT];
	bool same;

	media_path(path, kind, name);
	if (read_sums(m, &sums, err) < 0)
		return -1;
	former = media_sums_find(&sums, path);
	same = former != NULL && memcmp(former->sha256, sha256, SHA256_LEN) == 0;
	media_sums_release(&sums);
	/* No wrong sum at any moment: for a little while there is none. */
	if (!same && change_sum(m, path, NULL, err) < 0)
		return -1;
	if (newfile_commit(f, err) < 0)
		return -1;
	return change_sum(m, path, sha256, err);
}

int media_write(struct media *m, enum media_kind kind, const char *name, struct slice content, struct error *err)
{
	struct buf now = BUF_INIT(content.len + 1);
	struct error ignored = ERROR_INIT;
	struct newfile f = NEWFILE_INIT;
	uint8_t sha256[SHA256_LEN];
	char path[MEDIA_PATH_TEXT];
	int fd, r = -1;

	sha256_of(content, sha256);
	fd = media_open_file(m, kind, name, &ignored);
	if (m->write && fd >= 0 && file_read_fd(fd, &now, name, &ignored) == 0 && slice_equal(buf_slice(&now), content))
		r = change_sum(m, media_path(path, kind, name), sha256, err);
	else if (media_begin(m, kind, name, &f, err) == 0 && newfile_write(&f, content, err) == 0)
		r = media_commit(m, kind, name, &f, sha256, err);
	newfile_abort(&f);
	file_close(&fd);
	buf_release(&now);
	return r;
}

int media_remove(struct media *m, enum media_kind kind, const char *name, struct error *err)
{
	char path[MEDIA_PATH_TEXT];
	int fd, r;

	if (media_check_name(kind, name, err) < 0 || change_sum(m, media_path(path, kind, name), NULL, err) < 0 ||
	    (fd = media_open_dir(m, kind, err)) < 0)
		return -1;
	r = file_unlink(fd, name, err);
	if (r == 0)
		r = file_sync(fd, media_dir(kind), err);
	file_close(&fd);
	return r;
}
