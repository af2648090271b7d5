/*
 * Work that is done later with the rights of now, in the course of which this process may become another user: a verb
 * that root runs, on his own files and on a home that belongs to the service's user. Only root forks:
 *
 *	root ----- user_become ------- work as meshanics --- latework_call(message) ...
 *	  \                                                        | socketpair
 *	   child, stays root, does nothing but wait ----------> work(arg, message) -> its error value
 *
 * For anybody else `work` is called at once. To be opened while the process has one thread.
 */
#ifndef MESHANICS_SYS_LATEWORK_H
#define MESHANICS_SYS_LATEWORK_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

#define LATEWORK_MESSAGE_MAX (4u << 20)

struct latework {
	int (*work)(void *arg, struct slice message, struct error *err);	/* NULL: nothing is open */
	void *arg;	/* borrowed; the child has its copy of what it points to, as of latework_open */
	int fd;		/* to the child, or -1 */
	pid_t pid;
};
#define LATEWORK_INIT ((struct latework){.fd = -1})

WARN_UNUSED int latework_open(struct latework *l, int (*work)(void *arg, struct slice message, struct error *err), void *arg,
			      struct error *err);
/* As often as needed. message: at most LATEWORK_MESSAGE_MAX bytes. */
WARN_UNUSED int latework_call(struct latework *l, struct slice message, struct error *err);
void latework_close(struct latework *l);	/* safe on LATEWORK_INIT and closed */

#endif
