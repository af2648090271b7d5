/*
 * Giving up, for good, what a process does not need: file system (landlock), system calls (seccomp), ids,
 * capabilities, resources. One way only; inherited by children. A process says what it keeps, not what it loses.
 *
 * What the kernel must have: seccomp filters and no_new_privs, else -1. Landlock (Linux 5.13, may be switched
 * off at boot) is used as far as the kernel has it; sandbox_enter tells in *landlock_abi, 0 meaning none, so
 * that the caller can warn, and with require_landlock refuses to go on.
 */
#ifndef MESHANICS_SYS_SANDBOX_H
#define MESHANICS_SYS_SANDBOX_H

#include <sys/types.h>

#include "base/error.h"

enum sandbox_profile {
	SANDBOX_NO_SECCOMP = 0,	/* only for a process that must exec foreign programs */
	SANDBOX_PARSER,		/* read, write, memory, time: bytes in, bytes out; no file is opened, no socket made */
	SANDBOX_FILES,		/* PARSER, threads, a loop, and files where landlock allows them; no sockets but those handed in */
	SANDBOX_CLIENT,		/* FILES and outgoing connections, UDP, epoll: the agent's worker, the mesh */
	SANDBOX_SERVER,		/* CLIENT and listen, accept: serve, relay */
};

struct sandbox {
	const char *const *read_paths;	/* files or trees, end with NULL; absent ones are passed over */
	const char *const *write_paths;	/* as above: read, write, create, remove, rename inside */
	bool switch_user;		/* become uid and gid (user_become) first */
	uid_t uid;
	gid_t gid;
	bool network;			/* false: landlock denies TCP bind and connect where the kernel can (ABI 4) */
	bool require_landlock;
	enum sandbox_profile profile;
	unsigned files_max;		/* RLIMIT_NOFILE; 0: as it is */
	uint64_t memory_max;		/* RLIMIT_AS in bytes; 0: as it is */
	uint64_t file_size_max;		/* RLIMIT_FSIZE in bytes; 0: as it is */
};

/* The kernel's landlock version; 0: it has none, or it is switched off. */
unsigned sandbox_landlock(void);

/*
 * In this order: core dumps off, limits, ids, all capabilities (also bounding and ambient), not dumpable, no_new_privs,
 * landlock, seccomp. Call it while the process has one thread: capabilities and landlock bind the caller and what it starts.
 * After -1 the process must end: it may be half inside.
 */
WARN_UNUSED int sandbox_enter(const struct sandbox *s, unsigned *landlock_abi, struct error *err);
/*
 * Prove that it holds, by trying: what the profile forbids fails with EPERM, a file outside the paths fails with
 * EACCES, the ids and capabilities are what was asked, the kernel reports filter and no_new_privs. Call it right
 * after sandbox_enter; -1 with ERR_REFUSED names the first thing that was still possible.
 */
WARN_UNUSED int sandbox_check(const struct sandbox *s, unsigned landlock_abi, struct error *err);

#endif
