/*
 * A file that is written at the end of work in the course of which this process may become another user
 * (sys/latework.h): a verb that root runs in his own directory, on a home that belongs to the service's user. For anybody
 * else it is file_replace at latefile_commit.
 */
#ifndef MESHANICS_SYS_LATEFILE_H
#define MESHANICS_SYS_LATEFILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "sys/latework.h"

#define LATEFILE_SIZE_MAX LATEWORK_MESSAGE_MAX

struct latefile {
	const char *path;	/* borrowed; NULL: nothing is open */
	mode_t mode;
	struct latework work;
};
#define LATEFILE_INIT ((struct latefile){.work = LATEWORK_INIT})

/* path NULL opens nothing, and committing it then does nothing. f stays where it is until the commit. */
WARN_UNUSED int latefile_open(struct latefile *f, const char *path, mode_t mode, struct error *err);
/* Replace the file by content, at most LATEFILE_SIZE_MAX bytes, durably. */
WARN_UNUSED int latefile_commit(struct latefile *f, struct slice content, struct error *err);
/* Writes nothing. After a commit, on LATEFILE_INIT or an aborted one: no-op. */
void latefile_abort(struct latefile *f);

#endif
