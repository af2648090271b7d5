/* Restoring a backup into an empty home, and what must be true before it signs again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "fleet/backup_internal.h"
#include "store/audit.h"
#include "store/devices.h"
#include "store/schema.h"
#include "sys/file.h"
#include "tuf/repo.h"

#define STAGE "control/.restore"	/* in home; the archive's own tree below it */

/* ---- the home must be empty ---- */

/* The first entry of a directory that is none of `allowed`; false when there is none. */
static bool first_entry(int home, const char *path, const char *const *allowed, char name[static 256])
{
	struct error ignored = ERROR_INIT;
	int fd = file_open(home, path, O_RDONLY | O_DIRECTORY, 0, &ignored);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;
	struct dirent *d;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL) {
		const char *const *a = allowed;

		while (*a != NULL && strcmp(*a, d->d_name) != 0)
			a++;
		found = *a == NULL;
		if (found)
			snprintf(name, 256, "%s", d->d_name);
	}
	closedir(dir);
	return found;
}

static int check_empty(int home, const char *home_path, struct error *err)
{
	static const char *const in_control[] = {".", "..", "lock", NULL};
	static const char *const in_repo[] = {".", "..", NULL};
	const char *dir = "control";
	char name[256];

	if (!first_entry(home, "control", in_control, name)) {
		dir = "repo";
		if (!first_entry(home, "repo", in_repo, name))
			return 0;
	}
	error_set(err, ERR_CONFLICT, "'%s' is not empty: there is '%s/%s'", home_path, dir, name);
	if (strcmp(name, ".restore") == 0)
		return error_hint(err, "an earlier restore was cut short: remove '%s/control' and '%s/repo'", home_path,
				  home_path);
	return error_hint(err, "restore into a home of its own, or move 'control' and 'repo' aside");
}

/* ---- unpacking ---- */

struct unpack {
	int stage;		/* directory */
	int fd;			/* of the file at hand */
	char name[TAR_NAME_MAX + 1];
};

static int unpack_parents(struct unpack *u, const char *name, struct error *err)
{
	char parent[TAR_NAME_MAX + 1];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", name);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		return 0;
	*slash = '\0';
	return file_mkdirs(u->stage, parent, 0700, err);
}

static int unpack_begin(void *arg, const struct tar_entry *e, struct error *err)
{
	struct unpack *u = arg;

	if (e->is_dir)
		return file_mkdirs(u->stage, e->name, 0700, err);
	if (unpack_parents(u, e->name, err) < 0)
		return -1;
	snprintf(u->name, sizeof(u->name), "%s", e->name);
	u->fd = file_open(u->stage, e->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, (mode_t)e->mode & 0755, err);
	return u->fd < 0 ? -1 : 0;
}

static int unpack_data(void *arg, struct slice part, struct error *err)
{
	struct unpack *u = arg;

	return file_write_all(u->fd, part, u->name, err);
}

static int unpack_end(void *arg, struct error *err)
{
	struct unpack *u = arg;
	int r = file_sync(u->fd, u->name, err);

	file_close(&u->fd);
	return r;
}

/* ---- the database, before it moves into place ---- */

/*
 * Numbers that this control plane gave out after the backup are lost; devices still hold some. Begin far above
 * them, so that no old number means something new.
 */
static int skip_numbers(struct db *db, struct error *err)
{
	return db_exec(db, "INSERT INTO sqlite_sequence (name, seq) SELECT column1, 0 FROM"
			   " (VALUES ('devices'), ('orders'), ('rollouts'), ('assignments'))"
			   " WHERE column1 NOT IN (SELECT name FROM sqlite_sequence);"
			   "UPDATE sqlite_sequence SET seq = seq + 1000000", err);
}

static int note_restore(struct db *db, const struct backup_info *info, const char *actor, int64_t now_s,
			struct error *err)
{
	struct buf detail = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&detail);
	char when[TIME_TEXT_LEN], number[24];
	struct audit_entry e = {.time_s = now_s, .actor = actor, .action = "backup.restore", .object = "", .verdict = "ok"};
	int r = -1;

	json_open_object(&w, NULL);
	json_put_string(&w, "created", time_text(when, info->created_s));
	json_put_string(&w, "version", info->version);
	json_close(&w);
	e.detail = buf_slice(&detail);
	snprintf(number, sizeof(number), "%lld", (long long)now_s);
	if (skip_numbers(db, err) == 0 && meta_set(db, META_RESTORED, slice_str(number), err) == 0)
		r = audit_append(db, &e, err);
	buf_release(&detail);
	return r;
}

static int adjust_database(const char *path, const struct backup_info *info, const char *actor, int64_t now_s,
			   struct error *err)
{
	struct db *db = db_open(path, DB_WRITE, &control_schema, err);
	int r = -1;

	if (db == NULL)
		return -1;
	if (db_check(db, err) == 0 && db_begin(db, err) == 0) {
		if (note_restore(db, info, actor, now_s, err) == 0)
			r = db_commit(db, err);
		else
			db_rollback(db);
	}
	db_close(db);
	return r;
}

/* ---- moving into place ---- */

/* Every entry of stage/from to home/to, which is made if it is not there. */
static int move_entries(int home, const char *from, const char *to, struct error *err)
{
	static const char *const none[] = {".", "..", NULL};
	char name[256], source[4096], target[4096];

	if (!file_exists(home, from))
		return 0;
	if (file_mkdirs(home, to, 0700, err) < 0)
		return -1;
	while (first_entry(home, from, none, name)) {
		path_join(source, from, name);
		path_join(target, to, name);
		if (file_rename(home, source, home, target, err) < 0)
			return -1;
	}
	return 0;
}

/* The database last: a home with it is whole. */
static int move_all(int home, struct error *err)
{
	if (move_entries(home, STAGE "/repo", "repo", err) < 0 ||
	    move_entries(home, STAGE "/control/ca", "control/ca", err) < 0 ||
	    file_rename(home, STAGE "/" BACKUP_DB_NAME, home, BACKUP_DB_NAME, err) < 0)
		return -1;
	return file_remove_tree(home, STAGE, err);
}

static int restore_staged(int home, const char *home_path, int fd, struct slice passphrase, const char *actor,
			  int64_t now_s, const struct backup_progress *progress, struct backup_info *info,
			  struct error *err)
{
	struct unpack u = {.stage = -1, .fd = -1};
	const struct archive_handler handler = {
		.begin = unpack_begin,
		.data = unpack_data,
		.end = unpack_end,
		.arg = &u,
	};
	char database[4096];
	int r = -1;

	if (file_mkdirs(home, STAGE, 0700, err) < 0)
		return -1;
	u.stage = file_open(home, STAGE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (u.stage < 0)
		return -1;
	path_join(database, home_path, STAGE "/" BACKUP_DB_NAME);
	if (archive_read(fd, passphrase, &handler, progress, info, err) == 0 &&
	    adjust_database(database, info, actor, now_s, err) == 0)
		r = move_all(home, err);
	file_close(&u.fd);
	file_close(&u.stage);
	return r;
}

int backup_restore(const char *home, int fd, struct slice passphrase, const char *actor, int64_t now_s,
		   const struct backup_progress *progress, struct backup_info *info, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int r, dirfd = file_open(AT_FDCWD, home, O_RDONLY | O_DIRECTORY, 0, err);

	*info = (struct backup_info){.files = 0};
	if (dirfd < 0)
		return -1;
	r = check_empty(dirfd, home, err);
	if (r == 0) {
		r = restore_staged(dirfd, home, fd, passphrase, actor, now_s, progress, info, err);
		if (r < 0 && file_remove_tree(dirfd, STAGE, &ignored) < 0)
			error_hint(err, "remove '%s/" STAGE "'", home);
	}
	file_close(&dirfd);
	return r;
}

/* ---- afterwards ---- */

/* No device has seen more of this role than there is here. */
static int check_seen(struct db *db, const char *role, int64_t here, const char *publisher, struct error *err)
{
	int64_t seen;

	if (devices_highest_version(db, slice_str(role), &seen, err) < 0)
		return -1;
	if (seen <= here)
		return 0;
	error_set(err, ERR_RETRY, "restored from a backup: '%s' stands at version %lld here, devices have seen %lld",
		  role, (long long)here, (long long)seen);
	return error_hint(err, "publish what '%s' has published since the backup", publisher);
}

/* Of hash bins devices tell the highest version only: versions are times, so a later change of any bin shows. */
static int check_role(struct db *db, const struct repo *repo, const struct repo_role *role, struct error *err)
{
	char bins[NAME_LEN_MAX + 8];

	if (check_seen(db, role->name, role->file == NULL ? 0 : role->file->head.version, role->name, err) < 0)
		return -1;
	if (role->bin_bits == 0)
		return 0;
	snprintf(bins, sizeof(bins), "%s-bin", role->name);
	return check_seen(db, bins, repo_bins_newest(repo, role), role->name, err);
}

static int note_settled(struct db *db, int64_t now_s, struct error *err)
{
	const struct audit_entry e = {.time_s = now_s, .actor = "serve", .action = "backup.settled", .object = "",
				      .verdict = "noted"};

	return meta_delete(db, META_RESTORED, err) < 0 ? -1 : audit_append(db, &e, err);
}

int restored_check(struct db *db, const struct repo *repo, int64_t now_s, struct error *err)
{
	struct buf text = BUF_INIT(32);
	int64_t restored_s;
	unsigned i;
	int r = meta_get(db, META_RESTORED, &text, err);

	restored_s = r > 0 ? strtoll(buf_cstr(&text), NULL, 10) : 0;
	buf_release(&text);
	if (r <= 0)
		return r;
	if (now_s < restored_s + RESTORED_WAIT_S) {
		error_set(err, ERR_RETRY, "restored from a backup: waiting for devices to say what they have seen");
		return error_hint(err, "signing goes on by itself within %d seconds", RESTORED_WAIT_S);
	}
	for (i = 0; i < repo_role_count(repo); i++)
		if (check_role(db, repo, repo_role_at(repo, i), err) < 0)
			return -1;
	return note_settled(db, now_s, err);
}
