/* Being somebody else: a verb run by root becomes the owner of what it works on before it touches it. */
#ifndef MESHANICS_SYS_USER_H
#define MESHANICS_SYS_USER_H

#include <sys/types.h>

#include "base/error.h"

/* The ids of a user by name (getpwnam); ERR_NOT_FOUND with a hint when there is none. */
WARN_UNUSED int user_find(const char *name, uid_t *uid, gid_t *gid, struct error *err);
/*
 * Become uid and gid for good: supplementary groups dropped, real, effective and saved ids set, and checked that
 * there is no way back. No-op when already so. ERR_DENIED when not root.
 */
WARN_UNUSED int user_become(uid_t uid, gid_t gid, struct error *err);
/*
 * When run by root: become the owner (and group) of directory `path`. When not root: check that we are the owner,
 * else ERR_DENIED with a hint. A directory that root owns leaves us as we are.
 */
WARN_UNUSED int user_become_owner(int dirfd, const char *path, struct error *err);

#endif
