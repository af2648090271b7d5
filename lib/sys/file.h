/*
 * Files that survive the power cut. What matters is written beside the old file, synced, renamed, and the
 * directory is synced: a reader sees the old or the new. All file system calls of meshanics go through this
 * room, where test builds can make the n-th one fail (MESHANICS_FAULT, see fault.h).
 *
 * dirfd: an open directory or AT_FDCWD. Paths are C strings; names from outside have passed base/name.h.
 */
#ifndef MESHANICS_SYS_FILE_H
#define MESHANICS_SYS_FILE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* ---- whole files ---- */

/* Append the file's content to out; more than out's ceiling is ERR_LIMIT, absence is ERR_NOT_FOUND. Follows no symlink in the last component. */
WARN_UNUSED int file_read(int dirfd, const char *path, struct buf *out, struct error *err);
/* As file_read, and refuses (ERR_REFUSED, with chmod as hint) a file that group or world can read or that another user (not root) owns. */
WARN_UNUSED int file_read_private(int dirfd, const char *path, struct buf *out, struct error *err);
/* Replace path by content atomically and durably (newfile below in one call). */
WARN_UNUSED int file_replace(int dirfd, const char *path, mode_t mode, struct slice content, struct error *err);
/* Create path with content; ERR_CONFLICT when it exists. Durable. */
WARN_UNUSED int file_create(int dirfd, const char *path, mode_t mode, struct slice content, struct error *err);

/* ---- a new file in the making: *.tmp.XXXXXXXX beside the final name ---- */
struct newfile {
	int fd;		/* -1 when not open */
	int dirfd;	/* of the final directory, owned */
	char name[256], tmp[256];
};
#define NEWFILE_INIT ((struct newfile){.fd = -1, .dirfd = -1})
WARN_UNUSED int newfile_open(struct newfile *f, int dirfd, const char *path, mode_t mode, struct error *err);
WARN_UNUSED int newfile_write(struct newfile *f, struct slice part, struct error *err);
WARN_UNUSED int newfile_commit(struct newfile *f, struct error *err);	/* fsync file, rename, fsync directory */
void newfile_abort(struct newfile *f);	/* nothing after a commit, on a zeroed... NEWFILE_INIT or an aborted one */

/* ---- single calls, checked ---- */
WARN_UNUSED int file_open(int dirfd, const char *path, int flags, mode_t mode, struct error *err);	/* the descriptor (O_CLOEXEC) or -1 */
WARN_UNUSED int file_write_all(int fd, struct slice s, const char *what, struct error *err);
WARN_UNUSED int file_pwrite_all(int fd, struct slice s, uint64_t offset, const char *what, struct error *err);
/* Up to n bytes at offset; the count (0 at the end), or -1. */
WARN_UNUSED ssize_t file_pread(int fd, void *p, size_t n, uint64_t offset, const char *what, struct error *err);
WARN_UNUSED int file_sync(int fd, const char *what, struct error *err);
WARN_UNUSED int file_sync_dir(int dirfd, const char *path, struct error *err);
WARN_UNUSED int file_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, struct error *err);	/* then both directories are synced */
WARN_UNUSED int file_unlink(int dirfd, const char *path, struct error *err);	/* absence is fine */
WARN_UNUSED int file_mkdirs(int dirfd, const char *path, mode_t mode, struct error *err);	/* also parents; existing is fine */
WARN_UNUSED int file_remove_tree(int dirfd, const char *path, struct error *err);	/* no symlink is followed; absence is fine */
bool file_exists(int dirfd, const char *path);
/* Make `to` hold the bytes of open `from`: reflink, else copy_file_range, else a loop; *how names which. Not synced. */
WARN_UNUSED int file_copy(int from_fd, int to_fd, uint64_t len, const char **how, struct error *err);
/* Bytes that an unprivileged process can still write on the file system of dirfd. */
WARN_UNUSED int file_free_bytes(int dirfd, uint64_t *bytes, struct error *err);
/* An exclusive lock (OFD, dies with the process) on path, made if absent; the descriptor to close, or -1 with ERR_RETRY when held. */
WARN_UNUSED int file_lock(int dirfd, const char *path, struct error *err);
void file_close(int *fd);	/* closes if >= 0, sets -1 */
/* "dir/name" into out; asserts that it fits PATH_MAX. Returns out. */
char *path_join(char out[static 4096], const char *dir, const char *name);

#endif
