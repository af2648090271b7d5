/*
 * Files that survive the power cut. What matters is written beside the old file, synced, renamed, and the
 * directory is synced: a reader sees the old or the new. All changes to file systems that meshanics makes go
 * through this room, where test builds can make the n-th one fail (fault.h).
 *
 * dirfd: an open directory or AT_FDCWD. Paths are C strings; names from outside have passed base/name.h.
 * mode is exact, whatever the umask. Limits: a path has at most PATH_MAX - 1 bytes, a name 242.
 *
 * Errors, unless a line says otherwise: ERR_NOT_FOUND (ENOENT), ERR_CONFLICT (EEXIST), else ERR_FAILED; each names
 * the path, and err->sys_errno tells the rest apart.
 */
#ifndef MESHANICS_SYS_FILE_H
#define MESHANICS_SYS_FILE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* ---- whole files ---- */

/*
 * Append the file's content to out; more than out's ceiling is ERR_LIMIT, absence is ERR_NOT_FOUND. Regular files
 * only, and no symlink is followed in the last component (ERR_REFUSED).
 */
WARN_UNUSED int file_read(int dirfd, const char *path, struct buf *out, struct error *err);
/*
 * As file_read, and refuses (ERR_REFUSED, with chmod as hint) a file that group or world can read or write, or that
 * another user (not root) owns.
 */
WARN_UNUSED int file_read_private(int dirfd, const char *path, struct buf *out, struct error *err);
/* Replace path by content atomically and durably (newfile below in one call). */
WARN_UNUSED int file_replace(int dirfd, const char *path, mode_t mode, struct slice content,
			     struct error *err);
/* Create path with content; ERR_CONFLICT when it exists. Atomic and durable as well. */
WARN_UNUSED int file_create(int dirfd, const char *path, mode_t mode, struct slice content,
			    struct error *err);

/* ---- a new file in the making: *.tmp.XXXXXXXX beside the final name ---- */

struct newfile {
	int fd;		/* -1 when not open; readable and writable */
	int dirfd;	/* of the final directory, owned */
	char name[256], tmp[256];
};
#define NEWFILE_INIT ((struct newfile){.fd = -1, .dirfd = -1})

WARN_UNUSED int newfile_open(struct newfile *f, int dirfd, const char *path, mode_t mode, struct error *err);
/*
 * For removable media: a file system without owners and modes (FAT), or mounted for another user, refuses to set the mode.
 * The file then has the mode that the mount gives it.
 */
WARN_UNUSED int newfile_open_lenient(struct newfile *f, int dirfd, const char *path, mode_t mode, struct error *err);
WARN_UNUSED int newfile_write(struct newfile *f, struct slice part, struct error *err);
/* fsync the file, rename it over the old one, fsync the directory. After an error: newfile_abort. */
WARN_UNUSED int newfile_commit(struct newfile *f, struct error *err);
/* As newfile_commit, but ERR_CONFLICT when the final name exists; after any failure we have not made it. */
WARN_UNUSED int newfile_commit_new(struct newfile *f, struct error *err);
/* Removes what was begun. Does nothing after a commit, on NEWFILE_INIT or when aborted already. */
void newfile_abort(struct newfile *f);
/* Remove the *.tmp.XXXXXXXX files that a crash left in directory path. Only while no other process writes there. */
WARN_UNUSED int newfile_sweep(int dirfd, const char *path, struct error *err);

/* ---- single calls, checked ---- */

/* The descriptor (always O_CLOEXEC) or -1. */
WARN_UNUSED int file_open(int dirfd, const char *path, int flags, mode_t mode, struct error *err);
/* The directory that holds path's last component, open; *base points at that component inside path. */
WARN_UNUSED int file_open_parent(int dirfd, const char *path, const char **base, struct error *err);
/*
 * Open a path out of which nothing leads: no symlink in any component, no `..`, no other file system, and no file but a
 * regular one or, with O_DIRECTORY, a directory (ERR_REFUSED). Reads do not wait for a FIFO. No O_CREAT.
 */
WARN_UNUSED int file_open_beneath(int dirfd, const char *path, int flags, struct error *err);
WARN_UNUSED int file_write_all(int fd, struct slice s, const char *what, struct error *err);
WARN_UNUSED int file_pwrite_all(int fd, struct slice s, uint64_t offset, const char *what, struct error *err);
/* Up to n bytes at offset; the count (less than n only at the end), or -1. */
WARN_UNUSED ssize_t file_pread(int fd, void *p, size_t n, uint64_t offset, const char *what, struct error *err);
/* Append what is left to read from fd (a pipe, a regular file) to out; ERR_LIMIT past out's ceiling. */
WARN_UNUSED int file_read_fd(int fd, struct buf *out, const char *what, struct error *err);
WARN_UNUSED int file_truncate(int fd, uint64_t len, const char *what, struct error *err);
WARN_UNUSED int file_chmod(int fd, mode_t mode, const char *what, struct error *err);
WARN_UNUSED int file_chown(int fd, uid_t uid, gid_t gid, const char *what, struct error *err);
WARN_UNUSED int file_set_time(int fd, int64_t t_s, const char *what, struct error *err);
WARN_UNUSED int file_sync(int fd, const char *what, struct error *err);
WARN_UNUSED int file_sync_dir(int dirfd, const char *path, struct error *err);
/*
 * All that was written to the file system of fd, by whomever: for very many files at once. What others write there
 * makes it slower, so for a few files file_sync is better.
 */
WARN_UNUSED int file_sync_fs(int fd, const char *what, struct error *err);
/* Over what may be there already; then both directories are synced. */
WARN_UNUSED int file_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, struct error *err);
/* Make path a symbolic link to target, which need not exist. Not synced: rename it into place. */
WARN_UNUSED int file_symlink(const char *target, int dirfd, const char *path, struct error *err);
/* Let the two names, both there, change places in one step; the directory is synced. EINVAL: not on this file system. */
WARN_UNUSED int file_exchange(int dirfd, const char *a, const char *b, struct error *err);
/* A second name for a file; ERR_CONFLICT when it is taken. EPERM, EMLINK...: not on this file system. Not synced. */
WARN_UNUSED int file_link(int from_dirfd, const char *from, int to_dirfd, const char *to, struct error *err);
WARN_UNUSED int file_unlink(int dirfd, const char *path, struct error *err);	/* absence is fine; not synced */
WARN_UNUSED int file_rmdir(int dirfd, const char *path, struct error *err);	/* an empty directory; not synced */
/* Also the parents that are missing, each with `mode`; an existing directory is fine and keeps its mode. Durable. */
WARN_UNUSED int file_mkdirs(int dirfd, const char *path, mode_t mode, struct error *err);
/* Not durable, for very many before one file_sync_fs. */
WARN_UNUSED int file_mkdirs_unsynced(int dirfd, const char *path, mode_t mode, struct error *err);
/* One directory for removable media: an existing one is fine, a mode that cannot be set as well. Durable. */
WARN_UNUSED int file_mkdir_lenient(int dirfd, const char *path, mode_t mode, struct error *err);
/* A file or a directory with all it holds (64 levels); no symlink is followed; absence is fine. Not synced. */
WARN_UNUSED int file_remove_tree(int dirfd, const char *path, struct error *err);
bool file_exists(int dirfd, const char *path);	/* a dangling symlink exists too */
/*
 * Make the empty file `to` hold the first len bytes of open `from`: reflink, else copy_file_range, else a loop.
 * *how names which ("reflink", "copy_file_range", "read and write"). ERR_CONFLICT when `from` is shorter. Not synced.
 */
WARN_UNUSED int file_copy(int from_fd, int to_fd, uint64_t len, const char **how, struct error *err);
/* The first of these ways alone, which takes no room on the disk: 0, or -1 where it does not go. */
WARN_UNUSED int file_reflink(int from_fd, int to_fd, uint64_t len);
/*
 * For writers of much to slow media, each time another `window` bytes are written and `at` is the end of them: let these
 * go to the disk, and wait for the window before. So that progress is true, and no long sync is left for the end.
 */
void file_write_behind(int fd, uint64_t at, uint64_t window);
/* Bytes that an unprivileged process can still write on the file system of dirfd; INT64_MAX where that is not told. */
WARN_UNUSED int file_free_bytes(int dirfd, uint64_t *bytes, struct error *err);
/*
 * An exclusive lock (OFD: dies with the last process that holds the descriptor) on path, made 0600 if absent.
 * The descriptor to close, or -1 with ERR_RETRY when another holds it.
 */
WARN_UNUSED int file_lock(int dirfd, const char *path, struct error *err);
/* An exclusive lock on an open directory, for as long as the descriptor is open. ERR_RETRY when another holds it. */
WARN_UNUSED int file_lock_dir(int dirfd, const char *what, struct error *err);
void file_close(int *fd);	/* closes if >= 0, sets -1 */
/* "dir/name" into out; asserts that it fits PATH_MAX. Returns out. */
char *path_join(char out[static 4096], const char *dir, const char *name);

#endif
