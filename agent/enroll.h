/* What the ways to enrol share: the home that must be free, the room that must be there, and what is said at the end. */
#ifndef MESHANICS_AGENT_ENROLL_H
#define MESHANICS_AGENT_ENROLL_H

#include "agent/home.h"
#include "sys/space.h"

/* The agent that runs must not lose its identity under its feet. ERR_RETRY; close *lock_fd in every case. */
WARN_UNUSED int enroll_lock(int dirfd, int *lock_fd, struct error *err);
/* A file of an earlier identity is not thrown away lightly. ERR_CONFLICT. */
WARN_UNUSED int enroll_check_free(int dirfd, struct error *err);
/* Before anything is shown to anybody: with the agent's spare taken, what follows has its room. */
WARN_UNUSED int enroll_room(int dirfd, const char *home, struct spare *spare, struct error *err);
/* {"device","site","not_after",...} */
void enroll_put_result(struct buf *out, const struct identity *id);

#endif
