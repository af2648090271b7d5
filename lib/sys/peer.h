/* Who is at the other end of a Unix socket. */
#ifndef MESHANICS_SYS_PEER_H
#define MESHANICS_SYS_PEER_H

#include <sys/types.h>

#include "base/error.h"

struct peer {
	pid_t pid;	/* 0 when it lives in another pid namespace; for words only, never for decisions */
	uid_t uid;
	gid_t gid;
};

/* The credentials of the process that connected (SO_PEERCRED): fixed at connect(2), whatever it does later. */
WARN_UNUSED int peer_of(int fd, struct peer *out, struct error *err);

#endif
