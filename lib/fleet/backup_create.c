/* Making a backup: the database copied and checked, then everything into one sealed tar. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "fleet/audit.h"
#include "fleet/backup_internal.h"
#include "store/schema.h"
#include "sys/file.h"
#include "sys/space.h"
#include "tuf/publish.h"

#define READ_SIZE (128u << 10)
#define DEPTH_MAX 16
#define ROOM_EXTRA 65536	/* headers */
#define LOCK_NAME "control/backup.lock"
#define COPY_NAME "control/.backup.db"

/* Where the archive goes. */
struct out {
	int fd;
	uint64_t at;
	bool measuring;		/* nothing is read or written: `at` counts */
	struct sealer *sealer;
	struct buf sealed;	/* not written yet */
	int home;		/* directory */
	const struct backup_progress *progress;
	struct backup_info *info;
};

/* ---- the archive ---- */

static int flush(struct out *o, struct error *err)
{
	if (o->sealed.failed)
		return error_set(err, ERR_LIMIT, "a sealed chunk is too large");
	if (file_pwrite_all(o->fd, buf_slice(&o->sealed), o->at, "the backup", err) < 0)
		return -1;
	o->at += o->sealed.len;
	buf_clear(&o->sealed);
	return 0;
}

static int put(struct out *o, struct slice part, struct error *err)
{
	if (o->measuring) {
		o->at += part.len;
		return 0;
	}
	sealer_put(o->sealer, part, &o->sealed);
	return o->sealed.len >= SEALED_CHUNK ? flush(o, err) : 0;
}

static int put_zeros(struct out *o, size_t n, struct error *err)
{
	static const uint8_t zeros[2 * TAR_BLOCK];

	return put(o, slice_of(zeros, n), err);
}

static int put_header(struct out *o, const struct tar_entry *e, struct error *err)
{
	struct buf header = BUF_INIT(4 * TAR_BLOCK);
	int r = tar_put(&header, e, err);

	if (r == 0 && ++o->info->files > BACKUP_FILES_MAX)
		r = error_set(err, ERR_LIMIT, "more than %d files", BACKUP_FILES_MAX);
	if (r == 0)
		r = put(o, buf_slice(&header), err);
	buf_release(&header);
	return r;
}

static int put_content(struct out *o, int fd, const char *name, uint64_t size, struct error *err)
{
	uint8_t *part;
	uint64_t done = 0;
	ssize_t n = 0;
	int r = 0;

	if (o->measuring) {
		o->at += size + tar_padding(size);
		return 0;
	}
	part = xmalloc(READ_SIZE);
	while (r == 0 && done < size) {
		n = file_pread(fd, part, size - done < READ_SIZE ? (size_t)(size - done) : READ_SIZE, done, name, err);
		if (n == 0)
			error_set(err, ERR_RETRY, "'%s' became shorter while it was copied", name);
		if (n <= 0)
			break;
		r = put(o, slice_of(part, (size_t)n), err);
		done += (uint64_t)n;
		o->info->bytes += (uint64_t)n;
		if (o->progress != NULL && o->progress->tell != NULL)
			o->progress->tell(o->progress->arg, "backup", o->info->bytes, 0);
	}
	free(part);
	return r < 0 || done < size ? -1 : put_zeros(o, tar_padding(size), err);
}

/* One file under this name. ERR_NOT_FOUND when it is gone. */
static int put_file(struct out *o, int dirfd, const char *path, const char *name, struct error *err)
{
	struct tar_entry e = {.mode = 0600};
	struct stat st;
	int r = -1, fd = file_open(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		error_errno(err, errno, "cannot look at '%s'", name);
	} else if (!S_ISREG(st.st_mode)) {
		error_set(err, ERR_REFUSED, "'%s' is not a regular file", name);
	} else {
		snprintf(e.name, sizeof(e.name), "%s", name);
		e.mode = st.st_mode & 0777;
		e.size = (uint64_t)st.st_size;
		e.mtime_s = st.st_mtime;
		if (put_header(o, &e, err) == 0)
			r = put_content(o, fd, name, e.size, err);
	}
	file_close(&fd);
	return r;
}

static int put_text(struct out *o, const char *name, struct slice text, struct error *err)
{
	struct tar_entry e = {.mode = 0600, .size = text.len, .mtime_s = o->info->created_s};

	snprintf(e.name, sizeof(e.name), "%s", name);
	if (put_header(o, &e, err) < 0 || put(o, text, err) < 0)
		return -1;
	return put_zeros(o, tar_padding(text.len), err);
}

/* ---- directories ---- */

struct names {
	char **list;
	size_t count, room;
};

static void names_release(struct names *n)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What a crash or a writer at work leaves about is not part of a backup. */
static bool is_temporary(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strstr(name, ".tmp.") != NULL;
}

static int list_names(int fd, struct names *n, const char *what, struct error *err)
{
	struct dirent *d;
	DIR *dir = fdopendir(dup(fd));

	if (dir == NULL)
		return error_errno(err, errno, "cannot list '%s'", what);
	rewinddir(dir);
	while ((d = readdir(dir)) != NULL) {
		if (is_temporary(d->d_name))
			continue;
		if (n->count == n->room) {
			n->room = n->room == 0 ? 32 : n->room * 2;
			n->list = xreallocarray(n->list, n->room, sizeof(*n->list));
		}
		n->list[n->count++] = xstrdup(d->d_name);
	}
	closedir(dir);
	if (n->count > 0)
		qsort(n->list, n->count, sizeof(*n->list), compare_names);
	return 0;
}

static int put_tree(struct out *o, int parent, const char *path, const char *name, unsigned depth, struct error *err);

static int put_one(struct out *o, int dirfd, const char *dir, const char *base, unsigned depth, struct error *err)
{
	char name[TAR_NAME_MAX + 1];
	struct stat st;
	int r;

	if ((size_t)snprintf(name, sizeof(name), "%s/%s", dir, base) >= sizeof(name))
		return error_set(err, ERR_LIMIT, "the name of '%s/%s' is too long", dir, base);
	if (fstatat(dirfd, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_errno(err, errno, "cannot look at '%s'", name);
	if (S_ISDIR(st.st_mode))
		return put_tree(o, dirfd, base, name, depth + 1, err);
	r = put_file(o, dirfd, base, name, err);
	/* Superseded or withdrawn since it was listed: nothing that is in force names it. */
	if (r < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		r = 0;
	}
	return r;
}

/* A directory with all it holds; the timestamp of the repository is there already, what is on its way stays out. */
static int put_tree(struct out *o, int parent, const char *path, const char *name, unsigned depth, struct error *err)
{
	struct tar_entry e = {.is_dir = true, .mode = 0700, .mtime_s = o->info->created_s};
	struct names names = {.count = 0};
	int fd, r = -1;
	size_t i;

	if (depth > DEPTH_MAX)
		return error_set(err, ERR_LIMIT, "'%s' is too deep", name);
	fd = file_open(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return -1;
	snprintf(e.name, sizeof(e.name), "%s", name);
	if (list_names(fd, &names, name, err) == 0 && put_header(o, &e, err) == 0)
		r = 0;
	for (i = 0; r == 0 && i < names.count; i++) {
		if (strcmp(name, "repo/staging") == 0 || strcmp(name, "repo/import") == 0)
			break;
		if (strcmp(name, "repo/metadata") == 0 && strcmp(names.list[i], "timestamp.json") == 0)
			continue;
		r = put_one(o, fd, name, names.list[i], depth, err);
	}
	names_release(&names);
	file_close(&fd);
	return r;
}

static int put_if_there(struct out *o, const char *path, struct error *err)
{
	return file_exists(o->home, path) ? put_tree(o, o->home, path, path, 0, err) : 0;
}

/* ---- the database ---- */

/* What the copy says of itself; a broken audit trail is told, and does not stop the backup that may save it. */
static int look_at_copy(const char *path, struct backup_info *info, struct error *err)
{
	struct audit_chain chain = {.first = 0};
	struct buf site = BUF_INIT(sizeof(info->site) - 1);
	struct error fault = ERROR_INIT;
	struct db *db = db_open(path, DB_READ, &control_schema, err);
	int r = -1;

	if (db == NULL)
		return -1;
	if (db_check(db, err) == 0 && meta_get(db, META_SITE, &site, err) >= 0)
		r = 0;
	if (r == 0 && audit_verify_db(db, &chain, &fault) < 0)
		snprintf(info->audit_fault, sizeof(info->audit_fault), "%.255s", fault.text);
	info->audit_seq = chain.last.seq;
	snprintf(info->site, sizeof(info->site), "%s", buf_cstr(&site));
	db_close(db);
	buf_release(&site);
	return r;
}

/* Copy the live database beside itself and look at the copy, which is at `copy`. */
static int copy_database(const char *home, const char *copy, struct backup_info *info, struct error *err)
{
	char live[4096];
	struct db *db;
	int r;

	path_join(live, home, BACKUP_DB_NAME);
	db = db_open(live, DB_READ, &control_schema, err);
	if (db == NULL)
		return -1;
	r = file_unlink(AT_FDCWD, copy, err);	/* of a backup that was cut short */
	if (r == 0)
		r = db_copy(db, copy, err);
	db_close(db);
	return r < 0 ? -1 : look_at_copy(copy, info, err);
}

/* ---- all of it ---- */

static int put_all(struct out *o, const char *copy, struct error *err)
{
	struct buf text = BUF_INIT(BACKUP_INFO_MAX);
	int r = -1;

	backup_info_put(&text, o->info);
	if (put_text(o, BACKUP_INFO_NAME, buf_slice(&text), err) < 0 ||
	    put_file(o, AT_FDCWD, copy, BACKUP_DB_NAME, err) < 0 || put_if_there(o, "control/ca", err) < 0)
		goto out;
	if (file_exists(o->home, "repo/metadata/timestamp.json") &&
	    put_file(o, o->home, "repo/metadata/timestamp.json", "repo/metadata/timestamp.json", err) < 0)
		goto out;
	if (put_if_there(o, "repo", err) < 0 || put_zeros(o, 2 * (size_t)TAR_BLOCK, err) < 0)
		goto out;
	sealer_end(o->sealer, &o->sealed);
	if (flush(o, err) == 0)
		r = file_sync(o->fd, "the backup", err);
out:
	buf_release(&text);
	return r;
}

/* ---- room for it ---- */

static uint64_t file_bytes(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static bool one_file_system(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev;
}

/* The copy of the database beside itself, the archive, and what the control plane needs meanwhile. */
static int check_room(const struct out *to, const char *home, struct error *err)
{
	struct backup_info info = {.created_s = 0};
	struct out o = {.fd = -1, .home = to->home, .info = &info, .measuring = true};
	uint64_t db = file_bytes(o.home, BACKUP_DB_NAME) + file_bytes(o.home, BACKUP_DB_NAME "-wal"), all;

	if (put_if_there(&o, "control/ca", err) < 0 || put_if_there(&o, "repo", err) < 0)
		return -1;
	all = db + o.at;
	all += all / SEALED_CHUNK * 64 + ROOM_EXTRA;	/* of each chunk, its frame */
	if (one_file_system(to->home, to->fd))
		return space_need(to->home, home, db + all, PUBLISH_KEEP, err);
	if (space_need(to->home, home, db, PUBLISH_KEEP, err) < 0)
		return -1;
	return space_need(to->fd, "the backup's directory", all, 0, err);
}

/* ---- from the outside ---- */

static int check_passphrase(struct slice passphrase, struct error *err)
{
	if (passphrase.len < BACKUP_PASSPHRASE_MIN)
		return error_set(err, ERR_USAGE, "the passphrase of a backup has at least %d bytes",
				 BACKUP_PASSPHRASE_MIN);
	return 0;
}

/* With the lock of backups held: one at a time has the copy. */
static int create_locked(struct out *o, const char *home, struct slice passphrase, struct sealed_cost cost,
			 struct error *err)
{
	struct error ignored = ERROR_INIT;
	char copy[4096];
	int r = -1;

	if (check_room(o, home, err) < 0)
		return -1;
	path_join(copy, home, COPY_NAME);
	if (copy_database(home, copy, o->info, err) == 0) {
		o->sealer = sealer_new(passphrase, cost, &o->sealed, err);
		if (o->sealer != NULL)
			r = put_all(o, copy, err);
	}
	if (file_unlink(AT_FDCWD, copy, &ignored) < 0)
		error_hint(err, "remove '%s': it holds a copy of the database", copy);
	return r;
}

/* One backup at a time. Root leaves the lock to the owner of the control plane, who will want it next. */
static int take_lock(int home, struct error *err)
{
	struct stat st;
	int lock = file_lock(home, LOCK_NAME, err);

	if (lock < 0) {
		error_wrap(err, "another backup is under way");
		return -1;
	}
	if (geteuid() != 0)
		return lock;
	if (fstatat(home, "control", &st, 0) < 0)
		error_errno(err, errno, "cannot tell the owner of 'control'");
	else if (file_chown(lock, st.st_uid, st.st_gid, LOCK_NAME, err) == 0)
		return lock;
	file_close(&lock);
	return -1;
}

int backup_create(const char *home, int fd, struct slice passphrase, struct sealed_cost cost, int64_t now_s,
		  const struct backup_progress *progress, struct backup_info *info, struct error *err)
{
	struct out o = {.fd = fd, .home = -1, .sealed = BUF_INIT(4 * SEALED_CHUNK_MAX + 2 * READ_SIZE),
			.progress = progress, .info = info};
	int r = -1, lock = -1;

	*info = (struct backup_info){.created_s = now_s};
	snprintf(info->version, sizeof(info->version), "%s", MESHANICS_VERSION);
	if (check_passphrase(passphrase, err) < 0)
		return -1;
	o.home = file_open(AT_FDCWD, home, O_RDONLY | O_DIRECTORY, 0, err);
	if (o.home < 0)
		goto out;
	if (!file_exists(o.home, BACKUP_DB_NAME)) {
		error_set(err, ERR_NOT_FOUND, "there is no control plane in '%s'", home);
		goto out;
	}
	lock = take_lock(o.home, err);
	if (lock >= 0)
		r = create_locked(&o, home, passphrase, cost, err);
out:
	file_close(&lock);
	sealer_free(o.sealer);
	buf_release(&o.sealed);
	file_close(&o.home);
	return r;
}
