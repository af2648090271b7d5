/* The export itself: everything in the order that repo_export.h proves. */
#include "tuf/repo_export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "sys/file.h"
#include "sys/space.h"
#include "tuf/repo_export_internal.h"

/* One attempt. */
struct job {
	struct repo_export *e;
	struct export_source s;
	struct export_dest d;
	uint64_t done;		/* bytes of artifacts */
	uint64_t need;		/* bytes that DIR does not have */
	bool source_failed;	/* the error is about HOME/repo, which may have moved on meanwhile */
};

static int report(struct job *j, const char *path, uint64_t length, const uint8_t sha256[static SHA256_LEN], bool written,
		  struct error *err)
{
	struct repo_export_file f = {.path = path, .length = length, .written = written};

	memcpy(f.sha256, sha256, SHA256_LEN);
	f.immutable = strcmp(path, "metadata/timestamp.json") != 0;
	j->e->files++;
	j->e->bytes += length;
	j->e->written += written;
	j->e->bytes_written += written ? length : 0;
	return j->e->file == NULL ? 0 : j->e->file(j->e->arg, &f, err);
}

static int source_failed(struct job *j)
{
	j->source_failed = true;
	return -1;
}

/* ---- artifacts ---- */

static void report_progress(void *arg, uint64_t done)
{
	const struct job *j = arg;

	if (j->e->progress != NULL)
		j->e->progress(j->e->arg, j->done + done, j->s.artifact_bytes);
}

/* Is the file in DIR what is signed? The length tells what was cut short, the hash (if asked for) tells all. */
static bool is_there(struct job *j, int leaf, const char *base, const struct tuf_target *t)
{
	struct error ignored = ERROR_INIT;
	uint8_t hash[SHA256_LEN];
	struct stat st;
	uint64_t len;
	bool same;
	int fd;

	if (fstatat(leaf, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != t->length)
		return false;
	if (!(j->e->flags & REPO_EXPORT_CHECK))
		return true;
	if ((fd = file_open(leaf, base, O_RDONLY | O_NOFOLLOW, 0, &ignored)) < 0)
		return false;
	same = sha256_file(fd, hash, &len, report_progress, j, &ignored) == 0 && len == t->length &&
	       memcmp(hash, t->hashes.sha256, sizeof(hash)) == 0;
	file_close(&fd);
	return same;
}

/* An artifact in HOME/repo that is not what is signed. */
static int refuse_artifact(struct job *j, const char *path, const char *what, struct error *err)
{
	error_set(err, ERR_REFUSED, "%s %s", path, what);
	error_hint(err, "sign the same bytes again, or take it out: meshanics artifact withdraw");
	return source_failed(j);
}

static int copy_bytes(struct job *j, const char *path, int from, int to, const struct tuf_target *t, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	const char *how;
	struct stat st;
	uint64_t len;

	if (fstat(from, &st) < 0)
		return error_errno(err, errno, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != t->length)
		return refuse_artifact(j, path, "has not the signed length", err);
	if (file_copy(from, to, t->length, &how, err) < 0 || sha256_file(to, hash, &len, report_progress, j, err) < 0)
		return -1;
	if (len != t->length || memcmp(hash, t->hashes.sha256, sizeof(hash)) != 0)
		return refuse_artifact(j, path, "has not the signed SHA-256", err);
	return 0;
}

/* The copy is hashed, not the original: what was read is what is kept. */
static int copy_artifact(struct job *j, const char *path, int leaf, const char *base, const struct tuf_target *t,
			 struct error *err)
{
	struct newfile f = NEWFILE_INIT;
	int from, r = -1;

	if ((from = file_open(j->s.dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err)) < 0)
		return err->kind == ERR_NOT_FOUND ? refuse_artifact(j, path, "is missing", err) : source_failed(j);
	if (newfile_open(&f, leaf, base, 0644, err) == 0 && copy_bytes(j, path, from, f.fd, t, err) == 0 &&
	    newfile_commit(&f, err) == 0)
		r = 0;
	newfile_abort(&f);
	file_close(&from);
	return r;
}

static int place_artifact(void *arg, const char *path, const struct tuf_target *t, struct error *err)
{
	const char *base = strrchr(path, '/') + 1;
	struct job *j = arg;
	char dir[512];
	bool there;
	int leaf;

	snprintf(dir, sizeof(dir), "%.*s", (int)(base - 1 - path), path);
	if ((leaf = export_dest_leaf(&j->d, dir, err)) < 0)
		return -1;
	there = is_there(j, leaf, base, t);
	if (!there && copy_artifact(j, path, leaf, base, t, err) < 0)
		return -1;
	j->done += t->length;
	report_progress(j, 0);
	return report(j, path, t->length, t->hashes.sha256, !there, err);
}

/* What one verified file lists; read again, since a million artifacts are not kept in memory. */
static int each_artifact_of(struct job *j, const struct export_entry *entry, export_artifact_fn *each, struct error *err)
{
	struct tuf_targets *file = NULL;
	struct buf text = BUF_INIT(0);
	int r = -1;

	if (export_source_read(&j->s, entry, &text, err) < 0 || (file = tuf_targets_parse(buf_slice(&text), err)) == NULL)
		source_failed(j);
	else
		r = export_each_artifact(file, each, j, err);
	tuf_targets_free(file);
	buf_release(&text);
	return r;
}

static int each_artifact(struct job *j, export_artifact_fn *each, struct error *err)
{
	size_t i;

	for (i = 0; i < j->s.files.count; i++) {
		if (j->s.files.list[i].artifacts && each_artifact_of(j, &j->s.files.list[i], each, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- metadata ---- */

static int report_entry(struct job *j, const struct export_entry *entry, bool written, struct error *err)
{
	char path[META_NAME_MAX + 16];

	snprintf(path, sizeof(path), "metadata/%s", entry->name);
	return report(j, path, entry->len, entry->sha256, written, err);
}

/* Into the directory open as metadata_fd. */
static int place_entry(struct job *j, int metadata_fd, const struct export_entry *entry, bool *written, struct error *err)
{
	struct buf text = BUF_INIT(0);
	int r;

	if (export_source_read(&j->s, entry, &text, err) < 0)
		r = source_failed(j);
	else
		r = export_dest_put(metadata_fd, entry->name, buf_slice(&text), written, err);
	buf_release(&text);
	return r;
}

static int place_files(struct job *j, struct error *err)
{
	bool written;
	size_t i;

	for (i = 0; i < j->s.files.count; i++) {
		if (place_entry(j, j->d.metadata_fd, &j->s.files.list[i], &written, err) < 0 ||
		    report_entry(j, &j->s.files.list[i], written, err) < 0)
			return -1;
	}
	return 0;
}

static int report_timestamp(struct job *j, bool written, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(buf_slice(&j->s.timestamp), hash);
	return report(j, "metadata/timestamp.json", j->s.timestamp.len, hash, written, err);
}

/* Roots, the newest first, then the timestamp: file by file. */
static int place_in_turn(struct job *j, struct error *err)
{
	bool written;
	size_t i;

	for (i = j->s.roots.count; i-- > 0;) {
		if (place_entry(j, j->d.metadata_fd, &j->s.roots.list[i], &written, err) < 0 ||
		    report_entry(j, &j->s.roots.list[i], written, err) < 0)
			return -1;
	}
	if (export_dest_put(j->d.metadata_fd, "timestamp.json", buf_slice(&j->s.timestamp), &written, err) < 0)
		return -1;
	return report_timestamp(j, written, err);
}

/* Roots and timestamp into the second directory, which then takes the place of the first. */
static int exchange(struct job *j, struct error *err)
{
	int fd = export_dest_second(&j->d, err), r = -1;
	bool written;
	size_t i;

	if (fd < 0)
		return -1;
	for (i = j->s.roots.count; i-- > 0;) {
		if (place_entry(j, fd, &j->s.roots.list[i], &written, err) < 0)
			goto out;
	}
	if (export_dest_put(fd, "timestamp.json", buf_slice(&j->s.timestamp), &written, err) < 0 ||
	    export_dest_exchange(&j->d, err) < 0)
		goto out;
	r = 0;
out:
	file_close(&fd);
	return r;
}

static int place_together(struct job *j, struct error *err)
{
	size_t i;

	if (exchange(j, err) < 0) {
		/* No hard links or no exchange of names here: see repo_export.h. */
		if (err->sys_errno != EPERM && err->sys_errno != EMLINK && err->sys_errno != EINVAL &&
		    err->sys_errno != ENOSYS && err->sys_errno != EOPNOTSUPP)
			return -1;
		j->e->two_steps = true;
		return export_dest_drop_second(&j->d, err) < 0 ? -1 : place_in_turn(j, err);
	}
	for (i = j->s.roots.count; i-- > 0;) {
		if (report_entry(j, &j->s.roots.list[i], j->s.oldest_root + (int64_t)i > j->d.root_version, err) < 0)
			return -1;
	}
	return report_timestamp(j, true, err);
}

/* ---- room for it ---- */

/* By its length alone, or the hashing would be done twice. */
static int count_missing(void *arg, const char *path, const struct tuf_target *t, struct error *err)
{
	struct job *j = arg;
	struct stat st;

	(void)err;
	if (fstatat(j->d.dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != t->length)
		j->need += t->length;
	return 0;
}

/* Before the first byte. Only where not all of it would fit is it looked at what is there already. */
static int check_room(struct job *j, struct error *err)
{
	struct error ignored = ERROR_INIT;
	size_t i;

	j->need = j->s.timestamp.len;
	for (i = 0; i < j->s.files.count; i++)
		j->need += j->s.files.list[i].len;
	if (space_need(j->d.dirfd, j->d.dir, j->need + j->s.artifact_bytes, 0, &ignored) == 0)
		return 0;
	if (each_artifact(j, count_missing, err) < 0)
		return -1;
	return space_need(j->d.dirfd, j->d.dir, j->need, 0, err);
}

/* ---- all of it ---- */

static int load(struct job *j, struct error *err)
{
	if (export_source_load(&j->s, j->e, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND || j->s.newest_root > 0) {
		err->kind = ERR_REFUSED;	/* whatever the cause, a client would not take it */
		error_wrap(err, "clients would refuse this repository");
		err->hint[0] = '\0';	/* what a client may do is not what we can */
		error_hint(err, "'meshanics repo verify' names what is wrong, 'repo refresh' signs what has expired");
	}
	return source_failed(j);
}

static int attempt(struct job *j, const char *dir, struct error *err)
{
	if (load(j, err) < 0 || export_dest_open(&j->d, dir, &j->s, err) < 0 || export_sweep(&j->d, err) < 0 ||
	    check_room(j, err) < 0 || each_artifact(j, place_artifact, err) < 0 || place_files(j, err) < 0 ||
	    (j->d.together ? place_together(j, err) : place_in_turn(j, err)) < 0)
		return -1;
	if ((j->e->flags & REPO_EXPORT_PRUNE) && export_prune(&j->d, &j->s, &j->e->removed, err) < 0)
		return error_wrap(err, "the new state is in its place, but not all old files are removed");
	return 0;
}

static void reset_counts(struct repo_export *e)
{
	e->files = e->written = e->removed = e->faults = 0;
	e->bytes = e->bytes_written = 0;
	e->two_steps = false;
}

/* The words for a failure that lies in HOME/repo. */
static int source_error(struct job *j, bool moved, struct error *err)
{
	if (moved) {
		error_set(err, ERR_RETRY, "the repository changes faster than it can be exported");
		return error_hint(err, "try again when less is published");
	}
	if (file_exists(j->s.dirfd, "commit")) {
		error_set(err, ERR_RETRY, "a change of the repository is half way");
		return error_hint(err, "try again; if this stays, 'meshanics repo refresh' finishes it");
	}
	return -1;
}

int repo_export(const char *home, const char *dir, struct repo_export *e, struct error *err)
{
	struct job j = {.e = e, .s = EXPORT_SOURCE_INIT, .d = EXPORT_DEST_INIT};
	unsigned tries = 0;
	bool moved;
	int r = -1;

	if (export_source_open(&j.s, home, err) < 0)
		goto out;
	do {
		export_dest_release(&j.d);
		j.d = EXPORT_DEST_INIT;
		j.source_failed = false;
		j.done = 0;
		reset_counts(e);
		r = attempt(&j, dir, err);
		moved = r < 0 && j.source_failed && export_source_moved(&j.s);
	} while (moved && ++tries < REPO_EXPORT_TRIES);
	if (r < 0 && j.source_failed)
		r = source_error(&j, moved, err);
out:
	export_dest_release(&j.d);
	export_source_release(&j.s);
	return r;
}
