/* The directory `meshanics` of a stick: what is in it, reading with a look at the sums, writing so that it survives. */
#include "bundle/media.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_TEXT_MAX (MEDIA_NAME_MAX + 16)

struct media {
	int dirfd;	/* of `meshanics` */
	bool write;
};

static const struct {
	const char *dir;
	const char *endings[4];
	mode_t mode;
} kinds[MEDIA_KINDS] = {
	[MEDIA_BUNDLES] = {"bundles", {".bundle"}, 0644},
	[MEDIA_RECEIPTS] = {"receipts", {".receipt"}, 0644},
	[MEDIA_ENROLL] = {"enroll", {".request", ".answer", ".identity"}, 0644},
};

/* ---- names ---- */

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
			return error_set(err, ERR_MALFORMED, "file name '%s' has a byte (0x%02x) that is not allowed at position %zu",
					 quoted, c, i + 1);
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

static int check_name(enum media_kind kind, const char *name, struct error *err)
{
	if (media_name_check(slice_str(name), err) < 0)
		return -1;
	if (!media_name_is(kind, slice_str(name)))
		return error_set(err, ERR_MALFORMED, "'%s' is no name for '%s'", name, kinds[kind].dir);
	return 0;
}

static const char *path_of(char out[static PATH_TEXT_MAX], enum media_kind kind, const char *name)
{
	snprintf(out, PATH_TEXT_MAX, "%s/%.*s", kinds[kind].dir, MEDIA_NAME_MAX, name);
	return out;
}

/* ---- open, close ---- */

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
		if ((fd = make_dir(m->dirfd, kinds[k].dir, err)) < 0)
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

/* The directory of a kind, or -1 with ERR_NOT_FOUND. */
static int open_kind(const struct media *m, enum media_kind kind, struct error *err)
{
	return file_open_beneath(m->dirfd, kinds[kind].dir, O_RDONLY | O_DIRECTORY, err);
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
		error_set(err, ERR_REFUSED, "two names in '%s' differ from '%s' in nothing but case", kinds[kind].dir, at->name);
		return error_hint(err, "remove the one that should not be there");
	}
	if (media_name_check(slice_str(at->name), err) < 0)
		return error_wrap(err, "%s", kinds[kind].dir);
	if (fstatat(dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "cannot look at '%s/%s'", kinds[kind].dir, at->name);
	if (!S_ISREG(st.st_mode)) {
		error_set(err, ERR_REFUSED, "'%s/%s' is %s, not a regular file", kinds[kind].dir, at->name,
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
	int fd = open_kind(m, kind, err), r = 0;
	unsigned i;

	*list = (struct media_list){.count = 0};
	if (fd < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		return 0;
	}
	if (fd < 0)
		return -1;
	r = entries_read(&e, fd, kinds[kind].dir, err);
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
	char path[PATH_TEXT_MAX];
	struct media_sums sums;
	bool listed;
	int r;

	if (read_sums(m, &sums, err) < 0)
		return -1;
	r = compare(&sums, path_of(path, kind, name), sha256, &listed, err);
	media_sums_release(&sums);
	return r;
}

/* ---- reading ---- */

int media_open_file(const struct media *m, enum media_kind kind, const char *name, struct error *err)
{
	char path[PATH_TEXT_MAX];

	if (check_name(kind, name, err) < 0)
		return -1;
	return file_open_beneath(m->dirfd, path_of(path, kind, name), O_RDONLY, err);
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
	char path[PATH_TEXT_MAX];
	uint8_t sha256[SHA256_LEN];
	int fd, r = -1;
	uint64_t len;
	bool listed;

	path_of(path, kind, name);
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

static bool holds(const struct media_list *l, const char *name)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		if (strcmp(l->files[i].name, name) == 0)
			return true;
	return false;
}

/* What is listed and ours must be there. */
static int check_absent(const struct check *c, enum media_kind kind, const struct media_list *l, struct error *err)
{
	size_t prefix = strlen(kinds[kind].dir);
	unsigned i;

	for (i = 0; i < c->sums.count; i++) {
		const char *path = c->sums.list[i].path;

		if (strncmp(path, kinds[kind].dir, prefix) != 0 || path[prefix] != '/' ||
		    !media_name_is(kind, slice_str(path + prefix + 1)) || holds(l, path + prefix + 1))
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

static mode_t mode_of(enum media_kind kind, const char *name)
{
	return slice_ends(slice_str(name), SLICE_LIT(".identity")) ? 0600 : kinds[kind].mode;
}

int media_begin(struct media *m, enum media_kind kind, const char *name, struct newfile *f, struct error *err)
{
	char path[PATH_TEXT_MAX];
	int fd, r;

	*f = NEWFILE_INIT;
	if (!m->write)
		return error_set(err, ERR_FAILED, "the stick was opened for reading");
	if (check_name(kind, name, err) < 0 || check_place(m, path_of(path, kind, name), err) < 0 ||
	    (fd = open_kind(m, kind, err)) < 0)
		return -1;
	r = newfile_open_lenient(f, fd, name, mode_of(kind, name), err);
	file_close(&fd);
	return r;
}

int media_commit(struct media *m, enum media_kind kind, const char *name, struct newfile *f,
		 const uint8_t sha256[static SHA256_LEN], struct error *err)
{
	struct media_sums sums;
	const struct media_sum *former;
	char path[PATH_TEXT_MAX];
	bool same;

	path_of(path, kind, name);
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
	char path[PATH_TEXT_MAX];
	int fd, r = -1;

	sha256_of(content, sha256);
	fd = media_open_file(m, kind, name, &ignored);
	if (m->write && fd >= 0 && file_read_fd(fd, &now, name, &ignored) == 0 && slice_equal(buf_slice(&now), content))
		r = change_sum(m, path_of(path, kind, name), sha256, err);
	else if (media_begin(m, kind, name, &f, err) == 0 && newfile_write(&f, content, err) == 0)
		r = media_commit(m, kind, name, &f, sha256, err);
	newfile_abort(&f);
	file_close(&fd);
	buf_release(&now);
	return r;
}

int media_remove(struct media *m, enum media_kind kind, const char *name, struct error *err)
{
	char path[PATH_TEXT_MAX];
	int fd, r;

	if (check_name(kind, name, err) < 0 || change_sum(m, path_of(path, kind, name), NULL, err) < 0 ||
	    (fd = open_kind(m, kind, err)) < 0)
		return -1;
	r = file_unlink(fd, name, err);
	if (r == 0)
		r = file_sync(fd, kinds[kind].dir, err);
	file_close(&fd);
	return r;
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
		if (media_bundle_name(name, site, split, *volumes + 1, err) < 0 || !holds(&l, name))
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
