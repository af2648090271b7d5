/* What the ways to enrol share: the home that must be free, the room that must be there, and what is said at the end. */
#ifndef MESHANICS_AGENT_ENROLL_H
#define MESHANICS_AGENT_ENROLL_H

#include "agent/home.h"
#include "bundle/enrolment.h"
#include "sys/space.h"

#define ROOT_FILE_MAX (512u << 10)

/* The agent that runs must not lose its identity under its feet. ERR_RETRY; close *lock_fd in every case. */
WARN_UNUSED int enroll_lock(int dirfd, int *lock_fd, struct error *err);
/* A file of an earlier identity is not thrown away lightly. ERR_CONFLICT. */
WARN_UNUSED int enroll_check_free(int dirfd, struct error *err);
/* Before anything is shown to anybody: with the agent's spare taken, what follows has its room. */
WARN_UNUSED int enroll_room(int dirfd, const char *home, struct spare *spare, struct error *err);
/* {"device","site","not_after",...} */
void enroll_put_result(struct buf *out, const struct identity *id);

/* ---- by a stick (attempt.c) ---- */

/* The two kinds of attempt: by which files they are kept in the home. */
struct attempt {
	const char *key, *key_file, *request_file;
};
extern const struct attempt attempt_to_enroll, attempt_to_renew;
/* What was asked last by this kind of attempt, and its text: 1, 0 when nothing readable is kept, -1. */
WARN_UNUSED int attempt_read(const struct attempt *a, int dirfd, struct enrolment_request *q, struct buf *text,
			     struct error *err);
/* Version and SHA-256 of a root file; site: whose it must be, or NULL. ERR_MALFORMED, ERR_REFUSED. */
WARN_UNUSED int attempt_pin(struct slice root_text, int64_t *version, uint8_t sha256[static SHA256_LEN], const char *site,
			    struct error *err);
WARN_UNUSED int attempt_pin_file(const char *path, int64_t *version, uint8_t sha256[static SHA256_LEN], struct error *err);

#endif
