/*
 * A file that is written at the end of work in the course of which this process may become another user: a verb
 * that root runs in his own directory, on a home that belongs to the service's user. Only root forks:
 *
 *	root ----- user_become ------- work as meshanics --- latefile_commit(content)
 *	  \                                                        | socketpair
 *	   child, stays root, does nothing but wait ----------> file_replace -> its error value
 *
 * For anybody else it is file_replace at latefile_commit. To be opened while the process has one thread.
 */
#ifndef MESHANICS_SYS_LATEFILE_H
#define MESHANICS_SYS_LATEFILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

#define LATEFILE_SIZE_MAX (4u << 20)

struct latefile {
	const char *path;	/* borrowed; NULL: nothing is open */
	mode_t mode;
	int fd;			/* to the child, or -1 */
	pid_t pid;
};
#define LATEFILE_INIT ((struct latefile){.fd = -1})

/* path NULL opens nothing, and committing it then does nothing. */
WARN_UNUSED int latefile_open(struct latefile *f, const char *path, mode_t mode, struct error *err);
/* Replace the file by content, at most LATEFILE_SIZE_MAX bytes, durably. */
WARN_UNUSED int latefile_commit(struct latefile *f, struct slice content, struct error *err);
/* Writes nothing. After a commit, on LATEFILE_INIT or an aborted one: no-op. */
void latefile_abort(struct latefile *f);

#endif
