/*
 * Large files that appear together in one directory, written in the course of work in which this process may become
 * another user: a verb that root runs, writing to a stick, on a home that belongs to the service's user. A child keeps
 * who we were, makes the files, and puts all of them in their place at the end; or removes them, as soon as this
 * process ends in whatever way without having said so:
 *
 *	we ------- outfiles_add ------ user_become ---- write to fd ---- outfiles_commit
 *	  \          | name   ^ fd                                         | socket pair
 *	   child --- NAME.meshanics-part                                   renames, or, at our end, removes
 *
 * Only when both are killed in one moment (a power cut) parts stay; the next outfiles_open in that directory removes
 * those that nobody holds.
 *
 * To be opened while the process has one thread. Limits: OUTFILES_MAX files, names of OUTFILES_NAME_MAX bytes.
 */
#ifndef MESHANICS_SYS_OUTFILES_H
#define MESHANICS_SYS_OUTFILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define OUTFILES_MAX 999
#define OUTFILES_NAME_MAX 239
#define OUTFILES_PART ".meshanics-part"

struct outfiles {
	int dirfd;	/* owned: of the directory; for asking after room */
	int sock;	/* owned: to the child; -1: not open */
	pid_t pid;
};
#define OUTFILES_INIT ((struct outfiles){.dirfd = -1, .sock = -1})

/*
 * Files in directory dir, which is there. replace: files of these names may be there and are replaced; else that is
 * ERR_CONFLICT, when a file is added and again at the commit.
 */
WARN_UNUSED int outfiles_open(struct outfiles *o, const char *dir, bool replace, struct error *err);
/* A new file, empty, mode 0644. name is without a slash. The descriptor, the caller's to sync and close; or -1. */
WARN_UNUSED int outfiles_add(struct outfiles *o, const char *name, struct error *err);
/*
 * A file that does not belong beside the new ones: at the commit it is removed, with replace; without, it is
 * ERR_CONFLICT now. *there: whether there is one.
 */
WARN_UNUSED int outfiles_drop(struct outfiles *o, const char *name, bool *there, struct error *err);
/* All files, synced by the caller, get their names, and the directory is synced. Once; then outfiles_close. */
WARN_UNUSED int outfiles_commit(struct outfiles *o, struct error *err);
/* Without a commit, removes what was begun. Safe on OUTFILES_INIT and closed. */
void outfiles_close(struct outfiles *o);

#endif
