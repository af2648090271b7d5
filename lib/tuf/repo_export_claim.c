/* Whether a directory may take an export: where it lies, whose it is, and which state it shows already. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/encode.h"
#include "sys/file.h"
#include "tuf/repo_export_internal.h"
#include "tuf/verify.h"

#define MARK_MAX 256
#define ABOVE_MAX 4096	/* directories above DIR that are looked at */

/* ---- not inside HOME/repo ---- */

/* Is `what` the open directory, or one above it? The descriptor is taken. */
static int lies_below(int fd, const struct stat *what, bool *below, struct error *err)
{
	struct stat here, last = {.st_ino = 0};
	unsigned i;
	int up;

	*below = false;
	for (i = 0; fd >= 0 && i < ABOVE_MAX; i++) {
		if (fstat(fd, &here) < 0) {
			close(fd);
			return error_errno(err, errno, "cannot look above it");
		}
		*below = here.st_dev == what->st_dev && here.st_ino == what->st_ino;
		if (*below || (here.st_dev == last.st_dev && here.st_ino == last.st_ino))
			break;
		last = here;
		up = file_open(fd, "..", O_PATH | O_DIRECTORY, 0, err);
		close(fd);
		fd = up;
	}
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* The directory, or the first above it that is there. */
static int open_existing(const char *dir, struct error *err)
{
	char path[4096];
	size_t len = strlen(dir);
	int fd;

	if (len == 0 || len >= sizeof(path))
		return error_set(err, ERR_USAGE, "a path of %zu bytes cannot be a directory", len);
	memcpy(path, dir, len + 1);
	for (;;) {
		fd = file_open(AT_FDCWD, len > 0 ? path : dir[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY, 0, err);
		if (fd >= 0 || err->kind != ERR_NOT_FOUND || len == 0)
			return fd;
		while (len > 0 && path[len - 1] == '/')
			len--;
		if (len >= 2 && memcmp(path + len - 2, "..", 2) == 0 && (len == 2 || path[len - 3] == '/'))
			return error_set(err, ERR_USAGE, "'..' behind a directory that is not there");
		while (len > 0 && path[len - 1] != '/')
			len--;
		path[len] = '\0';
	}
}

int export_claim_place(const char *dir, const struct export_source *s, struct error *err)
{
	struct stat repo;
	bool below;
	int fd;

	if (fstat(s->dirfd, &repo) < 0)
		return error_errno(err, errno, "cannot look at the repository");
	if ((fd = open_existing(dir, err)) < 0 || lies_below(fd, &repo, &below, err) < 0)
		return -1;
	if (!below)
		return 0;
	error_set(err, ERR_REFUSED, "it lies in the repository itself");
	return error_hint(err, "a web server may read repo/metadata and repo/targets as they are; export elsewhere");
}

/* ---- whose it is ---- */

/* What .meshanics-export says: "meshanics export of site main, first root SHA256". */
static void mark_text(char out[static MARK_MAX], const struct export_source *s)
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, s->roots.list[0].sha256, SHA256_LEN);
	snprintf(out, MARK_MAX, "meshanics export of site %s, first root %s\n", tuf_client_root(s->client)->site, hex);
}

/* One that is cut short is ours as well: it is the first file of an export. */
static int check_mark(const struct export_dest *d, const struct export_source *s, bool *whole, struct error *err)
{
	struct buf found = BUF_INIT(MARK_MAX);
	char mark[MARK_MAX], shown[MARK_MAX];
	struct slice ours;
	int r = 0;

	mark_text(mark, s);
	ours = slice_str(mark);
	*whole = false;
	if (file_read(d->dirfd, EXPORT_MARK, &found, err) < 0) {
		r = err->kind == ERR_NOT_FOUND ? 0 : -1;
	} else if (slice_starts(ours, buf_slice(&found))) {
		*whole = found.len == ours.len;
	} else {
		printable(shown, sizeof(shown), slice_sub(buf_slice(&found), 0, slice_find(buf_slice(&found), '\n', 0)));
		r = error_set(err, ERR_REFUSED, "it is another repository's: '%s'", shown);
		error_hint(err, "name another directory, or empty this one");
	}
	buf_release(&found);
	return r;
}

/* Nothing in it but what every file system or we ourselves put there. */
static int is_empty(const struct export_dest *d, bool *empty, struct error *err)
{
	static const char *const fine[] = {".", "..", EXPORT_MARK, "lost+found"};
	int fd = file_open(d->dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	struct dirent *e;
	unsigned i;
	DIR *list;

	*empty = true;
	if (fd < 0)
		return -1;
	if ((list = fdopendir(fd)) == NULL) {
		close(fd);
		return error_errno(err, errno, "cannot list it");
	}
	while (*empty && (e = readdir(list)) != NULL) {
		for (i = 0; i < ARRAY_SIZE(fine) && strcmp(e->d_name, fine[i]) != 0; i++)
			;
		*empty = i < ARRAY_SIZE(fine);
	}
	closedir(list);
	return 0;
}

/* A root in DIR that is not ours: damage, or the sign of another repository? */
static int judge_other_root(const char *name, struct slice text, const struct export_source *s, struct error *err)
{
	struct error damage = ERROR_INIT;
	struct tuf_root *root = tuf_root_parse(text, &damage);
	int r = 0;

	if (root != NULL && tuf_root_check_self(root, &damage) == 0) {
		if (strcmp(root->site, tuf_client_root(s->client)->site) != 0)
			error_set(err, ERR_REFUSED, "metadata/%s is of site '%s', this repository of '%s'", name,
				  root->site, tuf_client_root(s->client)->site);
		else
			error_set(err, ERR_REFUSED, "metadata/%s is of another chain of roots", name);
		r = error_hint(err, "name another directory, or empty this one");
	}
	tuf_root_free(root);
	return r;
}

/* The roots in DIR against ours; d->root_version is the newest that both have. */
static int check_roots(struct export_dest *d, const struct export_source *s, struct error *err)
{
	char name[META_NAME_MAX + 16];
	uint8_t hash[SHA256_LEN];
	size_t i;

	d->root_version = 0;
	for (i = 0; i < s->roots.count; i++) {
		const struct export_entry *root = &s->roots.list[i];
		struct buf text = BUF_INIT(TUF_ROOT_MAX);
		struct error ignored = ERROR_INIT;
		int r = 0;

		snprintf(name, sizeof(name), "metadata/%s", root->name);
		if (file_read(d->dirfd, name, &text, &ignored) == 0) {
			sha256_of(buf_slice(&text), hash);
			if (memcmp(hash, root->sha256, sizeof(hash)) == 0)
				d->root_version = s->oldest_root + (int64_t)i;
			else
				r = judge_other_root(root->name, buf_slice(&text), s, err);
		}
		buf_release(&text);
		if (r < 0)
			return -1;
	}
	snprintf(name, sizeof(name), "metadata/%" PRId64 ".root.json", s->newest_root + 1);
	if (!file_exists(d->dirfd, name))
		return 0;
	error_set(err, ERR_REFUSED, "%s is newer than the newest root here", name);
	return error_hint(err, "is this an older copy of the repository? If not, remove that file");
}

int export_claim_owner(struct export_dest *d, const struct export_source *s, struct error *err)
{
	bool marked, empty;

	if (check_roots(d, s, err) < 0 || check_mark(d, s, &marked, err) < 0 || is_empty(d, &empty, err) < 0)
		return -1;
	if (marked || empty || d->root_version > 0)
		return 0;
	error_set(err, ERR_REFUSED, "it is not empty, and no export of this repository");
	return error_hint(err, "name a directory that is empty or not there yet");
}

int export_claim_mark(const struct export_dest *d, const struct export_source *s, struct error *err)
{
	char mark[MARK_MAX];
	bool whole;

	mark_text(mark, s);
	if (check_mark(d, s, &whole, err) < 0 || whole)
		return whole ? 0 : -1;
	if (file_pwrite_all(d->lock_fd, slice_str(mark), 0, EXPORT_MARK, err) < 0 ||
	    file_sync(d->lock_fd, EXPORT_MARK, err) < 0)
		return -1;
	return file_sync_dir(d->dirfd, ".", err);
}

/* ---- which state it has ---- */

/* What DIR shows to clients now, as far as it goes. */
struct shown {
	struct buf timestamp_text, snapshot_text, targets_text;
	struct tuf_timestamp *timestamp;
	struct tuf_snapshot *snapshot;
	struct tuf_targets *targets;
};

static int shown_read(const struct export_dest *d, const char *role, int64_t version, struct buf *out)
{
	struct error ignored = ERROR_INIT;
	char name[META_NAME_MAX];

	metadata_name(name, role, version);
	return file_read(d->metadata_fd, name, out, &ignored);
}

/* Do snapshot and targets in DIR hold under this root, as the timestamp does? */
static bool shown_holds(struct shown *w, const struct export_dest *d, const struct tuf_root *root)
{
	struct error why = ERROR_INIT;
	struct tuf_metafile meta;

	return tuf_timestamp_check(root, NULL, w->timestamp, -1, &why) == 0 &&
	       shown_read(d, "snapshot", w->timestamp->snapshot.version, &w->snapshot_text) == 0 &&
	       (w->snapshot = tuf_snapshot_parse(buf_slice(&w->snapshot_text), &why)) != NULL &&
	       tuf_snapshot_check(root, w->timestamp, NULL, w->snapshot, -1, &why) == 0 &&
	       tuf_snapshot_find(w->snapshot, SLICE_LIT("targets"), &meta, &why) == 0 &&
	       shown_read(d, "targets", meta.version, &w->targets_text) == 0 &&
	       (w->targets = tuf_targets_parse(buf_slice(&w->targets_text), &why)) != NULL &&
	       tuf_targets_check(&root->roles[TUF_TARGETS], "targets", &meta, w->targets, -1, &why) == 0;
}

/* Is the timestamp good under the newest root that DIR has? Then somebody may be relying on it. */
static bool shown_lives(const struct shown *w, const struct export_dest *d)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	struct error why = ERROR_INIT;
	struct tuf_root *root = NULL;
	bool lives;

	lives = shown_read(d, "root", d->root_version, &text) == 0 &&
		(root = tuf_root_parse(buf_slice(&text), &why)) != NULL &&
		tuf_timestamp_check(root, NULL, w->timestamp, -1, &why) == 0;
	tuf_root_free(root);
	buf_release(&text);
	return lives;
}

static int judge_shown(struct shown *w, struct export_dest *d, const struct export_source *s, struct error *err)
{
	const struct tuf_root *newest = tuf_client_root(s->client);
	struct error why = ERROR_INIT;

	if (shown_read(d, "timestamp", 0, &w->timestamp_text) < 0 ||
	    (w->timestamp = tuf_timestamp_parse(buf_slice(&w->timestamp_text), &why)) == NULL)
		return 0;	/* nothing, or damage that no client believes */
	if (tuf_timestamp_check(newest, NULL, w->timestamp, -1, &why) == 0 &&
	    tuf_timestamp_check(newest, w->timestamp, tuf_client_timestamp(s->client), -1, err) < 0) {
		error_wrap(err, "it has a newer state");
		return error_hint(err, "is this an older copy of the repository? If it is right, empty the directory");
	}
	d->together = d->root_version < s->newest_root && shown_lives(w, d) && !shown_holds(w, d, newest);
	return 0;
}

int export_claim_state(struct export_dest *d, const struct export_source *s, struct error *err)
{
	struct shown w = {.timestamp_text = BUF_INIT(TUF_TIMESTAMP_MAX),
			  .snapshot_text = BUF_INIT(TUF_SIGNED_MAX),
			  .targets_text = BUF_INIT(TUF_SIGNED_MAX)};
	int r = judge_shown(&w, d, s, err);

	tuf_timestamp_free(w.timestamp);
	tuf_snapshot_free(w.snapshot);
	tuf_targets_free(w.targets);
	buf_release(&w.timestamp_text);
	buf_release(&w.snapshot_text);
	buf_release(&w.targets_text);
	return r;
}
