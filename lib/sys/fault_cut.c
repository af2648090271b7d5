/*
 * In test builds: what a power cut takes. Until it is synced, a file's new bytes and mode and a directory's new names
 * are only in memory; FAULT_CUT, FAULT_CUTZERO and FAULT_CUTDIR differ in how much of that the disk got by luck.
 *
 * Of a file we keep a descriptor, the length and mode that are safe, and the safe bytes that were written over. Of a
 * directory we keep what each changed name stood for when the directory was last synced: nothing, a link's target,
 * or an open file or directory. A file that lost its last name lives on in its descriptor, and is written anew.
 */
#include "sys/fault_internal.h"

#ifdef MESHANICS_TEST

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sys/file.h"

/* Safe bytes that were written over. */
struct range {
	struct range *next;	/* the one saved before */
	off_t at;
	size_t len;
	uint8_t bytes[];
};

struct touched {
	int fd;
	dev_t dev;
	ino_t ino;
	off_t synced;	/* length that is safe */
	mode_t mode;
	struct range *ranges;
};

enum was { WAS_ABSENT, WAS_FILE, WAS_LINK, WAS_DIR };

struct entry {
	int dirfd;	/* O_PATH */
	dev_t dev;	/* of the directory */
	ino_t ino;
	char *name;
	enum was was;
	int fd;		/* of the file or directory */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	char *target;	/* of the link */
};

static enum fault_mode cut_mode;
static struct touched *files;
static struct entry *entries;
static unsigned file_count, entry_count;

/* The model itself is wrong, or the disk is: no result may come of that. */
static NORETURN void broken(int line)
{
	dprintf(STDERR_FILENO, "fault_cut.c:%d: %s\n", line, strerror(errno));
	abort();
}

static bool tracks_data(void)
{
	return cut_mode == FAULT_CUT || cut_mode == FAULT_CUTZERO || cut_mode == FAULT_CUTDIR;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void touched_release(struct touched *t)
{
	while (t->ranges != NULL) {
		struct range *r = t->ranges;

		t->ranges = r->next;
		free(r);
	}
	close_fd(t->fd);
}

static void entry_release(struct entry *e)
{
	close_fd(e->dirfd);
	close_fd(e->fd);
	free(e->name);
	free(e->target);
}

void cut_forget(void)
{
	unsigned i;

	for (i = 0; i < file_count; i++)
		files[i].fd = -1;
	for (i = 0; i < entry_count; i++)
		entries[i].fd = entries[i].dirfd = -1;
	cut_reset(FAULT_NONE);
}

void cut_note_all_synced(void)
{
	while (file_count > 0)
		touched_release(&files[--file_count]);
	while (entry_count > 0)
		entry_release(&entries[--entry_count]);
}

void cut_reset(enum fault_mode mode)
{
	cut_note_all_synced();
	free(files);
	free(entries);
	files = NULL;
	entries = NULL;
	cut_mode = mode;
}

/* ---- files ---- */

/* For reading and writing, however fd was opened; a sandbox may leave us only what fd can do. */
static int reopen(int fd)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	return again >= 0 ? again : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static struct touched *touch(int fd)
{
	struct touched *t;
	struct stat st;
	unsigned i;

	if (!tracks_data() || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	for (i = 0; i < file_count; i++)
		if (files[i].dev == st.st_dev && files[i].ino == st.st_ino)
			return &files[i];
	files = xreallocarray(files, file_count + 1, sizeof(*files));
	t = &files[file_count];
	*t = (struct touched){.fd = reopen(fd), .dev = st.st_dev, .ino = st.st_ino, .synced = st.st_size,
			      .mode = st.st_mode & 07777};
	if (t->fd < 0)
		return NULL;
	file_count++;
	return t;
}

/* Keep the safe bytes at [at, at + n). */
static void save_range(struct touched *t, off_t at, size_t n)
{
	struct range *r;
	ssize_t got;

	if (cut_mode == FAULT_CUT || at >= t->synced || n == 0)
		return;
	if ((off_t)n > t->synced - at)
		n = (size_t)(t->synced - at);
	r = xmalloc(sizeof(*r) + n);
	got = pread(t->fd, r->bytes, n, at);
	if (got <= 0) {
		free(r);
		return;
	}
	r->at = at;
	r->len = (size_t)got;
	r->next = t->ranges;
	t->ranges = r;
}

void cut_note_write(int fd, off_t offset, size_t n)
{
	struct touched *t = touch(fd);
	struct stat st;

	if (t == NULL)
		return;
	if (offset < 0 && (fcntl(fd, F_GETFL) & O_APPEND) != 0)
		offset = fstat(fd, &st) == 0 ? st.st_size : 0;
	else if (offset < 0)
		offset = lseek(fd, 0, SEEK_CUR);
	save_range(t, offset, n);
}

void cut_note_truncate(int fd, off_t len)
{
	struct touched *t = touch(fd);

	if (t != NULL && t->synced > len)
		save_range(t, len, (size_t)(t->synced - len));
}

void cut_note_mode(int fd)
{
	(void)touch(fd);
}

static void lose_bytes(struct touched *t)
{
	off_t keep = t->synced;
	struct range *r;
	struct stat st;

	if (fstat(t->fd, &st) < 0)
		broken(__LINE__);
	if (cut_mode == FAULT_CUT) {
		if (st.st_size > keep)
			keep += (st.st_size - keep) / 2;
		if (st.st_size != keep && ftruncate(t->fd, keep) < 0)
			broken(__LINE__);
		return;
	}
	if (st.st_size != keep && ftruncate(t->fd, keep) < 0)
		broken(__LINE__);
	for (r = t->ranges; r != NULL; r = r->next)	/* the oldest last */
		if (pwrite(t->fd, r->bytes, r->len, r->at) < 0)
			broken(__LINE__);
	if ((st.st_mode & 07777) != t->mode && fchmod(t->fd, t->mode) < 0)
		broken(__LINE__);
}

/* ---- names ---- */

/* The directory of path, as O_PATH, and its last component. */
static int open_dir_of(int dirfd, const char *path, const char **base)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	size_t len;

	*base = slash == NULL ? path : slash + 1;
	if (slash == NULL)
		return openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	len = slash == path ? 1 : (size_t)(slash - path);
	if (len >= sizeof(dir))
		return -1;
	memcpy(dir, path, len);
	dir[len] = '\0';
	return openat(dirfd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* What the name stands for now. False: of no kind that we can bring back. */
static bool entry_remember(struct entry *e)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	e->fd = -1;
	if (fstatat(e->dirfd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		e->was = WAS_ABSENT;
		return errno == ENOENT;
	}
	e->mode = st.st_mode & 07777;
	e->uid = st.st_uid;
	e->gid = st.st_gid;
	if (S_ISLNK(st.st_mode)) {
		e->was = WAS_LINK;
		if ((n = readlinkat(e->dirfd, e->name, target, sizeof(target) - 1)) < 0)
			return false;
		target[n] = '\0';
		e->target = xstrdup(target);
		return true;
	}
	e->was = S_ISDIR(st.st_mode) ? WAS_DIR : WAS_FILE;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return false;
	e->fd = openat(e->dirfd, e->name,
		       (S_ISDIR(st.st_mode) ? O_PATH | O_DIRECTORY : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC);
	return e->fd >= 0;
}

void cut_note_name(int dirfd, const char *path)
{
	struct entry e = {.fd = -1};
	const char *base;
	struct stat st;
	unsigned i;

	if (cut_mode != FAULT_CUTDIR || (e.dirfd = open_dir_of(dirfd, path, &base)) < 0)
		return;
	if (fstat(e.dirfd, &st) < 0 || *base == '\0')
		goto known;
	for (i = 0; i < entry_count; i++)
		if (entries[i].dev == st.st_dev && entries[i].ino == st.st_ino && strcmp(entries[i].name, base) == 0)
			goto known;
	e.dev = st.st_dev;
	e.ino = st.st_ino;
	e.name = xstrdup(base);
	if (!entry_remember(&e))
		goto known;
	entries = xreallocarray(entries, entry_count + 1, sizeof(*entries));
	entries[entry_count++] = e;
	return;
known:
	entry_release(&e);
}

void cut_note_synced(int fd)
{
	unsigned i, kept = 0;
	struct stat st;

	if (!tracks_data() || fstat(fd, &st) < 0)
		return;
	for (i = 0; i < file_count; i++) {
		if (files[i].dev != st.st_dev || files[i].ino != st.st_ino)
			continue;
		touched_release(&files[i]);
		files[i] = files[--file_count];
		break;
	}
	for (i = 0; i < entry_count; i++) {
		if (entries[i].dev == st.st_dev && entries[i].ino == st.st_ino)
			entry_release(&entries[i]);
		else
			entries[kept++] = entries[i];
	}
	entry_count = kept;
}

/* ---- the cut ---- */

static bool same_file(const struct entry *e, int fd)
{
	struct stat here, there;

	return fstatat(e->dirfd, e->name, &here, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &there) == 0 &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* A directory that was removed is made anew, and its former names come back into the new one. */
static void remake_dir(struct entry *e)
{
	struct stat old;
	unsigned i;
	int fd = -1;

	if (fstat(e->fd, &old) < 0 || mkdirat(e->dirfd, e->name, e->mode) < 0 ||
	    fchmodat(e->dirfd, e->name, e->mode, 0) < 0 || fchownat(e->dirfd, e->name, e->uid, e->gid, 0) < 0 ||
	    (fd = openat(e->dirfd, e->name, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 || dup3(fd, e->fd, O_CLOEXEC) < 0)
		broken(__LINE__);
	for (i = 0; i < entry_count; i++)
		if (entries[i].dev == old.st_dev && entries[i].ino == old.st_ino &&
		    dup3(fd, entries[i].dirfd, O_CLOEXEC) < 0)
			broken(__LINE__);
	close(fd);
}

static void restore_dir(struct entry *e)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (same_file(e, e->fd))
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", e->fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || fstat(e->fd, &st) < 0)
		broken(__LINE__);
	path[n] = '\0';
	if (st.st_nlink == 0)
		remake_dir(e);
	else if (renameat2(AT_FDCWD, path, e->dirfd, e->name, RENAME_EXCHANGE) < 0 &&
		 renameat(AT_FDCWD, path, e->dirfd, e->name) < 0)
		broken(__LINE__);
}

/* The file as its descriptor has it, which may be its only trace, under its former name. */
static void restore_file(struct entry *e)
{
	uint8_t part[65536];
	struct stat st;
	off_t at = 0;
	ssize_t n;
	int fd;

	if (same_file(e, e->fd))
		return;
	(void)unlinkat(e->dirfd, e->name, 0);
	fd = openat(e->dirfd, e->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(e->fd, &st) < 0 || fchmod(fd, st.st_mode & 07777) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0)
		broken(__LINE__);
	while ((n = pread(e->fd, part, sizeof(part), at)) > 0) {
		if (write(fd, part, (size_t)n) != n)
			broken(__LINE__);
		at += n;
	}
	close(fd);
}

/* Is the directory that holds the name still there, or there again? */
static bool dir_is_there(const struct entry *e)
{
	struct stat st;

	return fstat(e->dirfd, &st) == 0 && st.st_nlink > 0;
}

/* Parents come back before what they held. */
static void restore_dirs(void)
{
	unsigned i, pass, missing = 1;

	for (pass = 0; missing > 0 && pass <= entry_count; pass++) {
		missing = 0;
		for (i = entry_count; i-- > 0;) {
			if (entries[i].was == WAS_DIR && dir_is_there(&entries[i]))
				restore_dir(&entries[i]);
			else if (entries[i].was == WAS_DIR)
				missing++;
		}
	}
}

static void restore_names(void)
{
	struct error err = ERROR_INIT;
	unsigned i;

	restore_dirs();
	for (i = 0; i < entry_count; i++) {
		struct entry *e = &entries[i];

		if (!dir_is_there(e))
			continue;	/* it goes below, with a directory that was never synced into its place */
		if (e->was == WAS_FILE)
			restore_file(e);
		if (e->was != WAS_LINK)
			continue;
		(void)unlinkat(e->dirfd, e->name, 0);
		if (symlinkat(e->target, e->dirfd, e->name) < 0)
			broken(__LINE__);
	}
	for (i = 0; i < entry_count; i++) {
		struct entry *e = &entries[i];

		if (e->was == WAS_ABSENT && dir_is_there(e) && file_remove_tree(e->dirfd, e->name, &err) < 0) {
			dprintf(STDERR_FILENO, "%s\n", err.text);
			broken(__LINE__);
		}
	}
}

void cut_now(void)
{
	unsigned i;

	for (i = 0; i < file_count; i++)
		lose_bytes(&files[i]);
	if (cut_mode == FAULT_CUTDIR)
		restore_names();
	_exit(FAULT_CUT_STATUS);
}

#endif
