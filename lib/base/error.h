/*
 * Errors: what failed, on what, why, and what to do. A function that can fail returns 0 or -1
 * (or a pointer or NULL) and takes `struct error *err` last; err is never NULL, lives on the
 * caller's stack and never allocates. Only cli/ prints one, and turns its kind into the exit status.
 */
#ifndef MESHANICS_BASE_ERROR_H
#define MESHANICS_BASE_ERROR_H

#include "base/compiler.h"
#include "base/slice.h"

enum error_kind {
	ERR_NONE = 0,
	ERR_FAILED,	/* the system or our own machine said no: exit 1 */
	ERR_USAGE,	/* the operator's words are off: exit 2 */
	ERR_REFUSED,	/* trust or policy said no: exit 3 */
	ERR_MALFORMED,	/* bytes from outside break their format: exit 3 */
	ERR_LIMIT,	/* bytes from outside are more than the cap: exit 3 */
	ERR_DENIED,	/* the caller lacks a permission: exit 3 */
	ERR_NOT_FOUND,	/* the thing named is not there: exit 1 */
	ERR_CONFLICT,	/* exists already, or changed since it was read: exit 1 */
	ERR_RETRY,	/* network, lock or clock: the same call may work later: exit 4 */
};

struct error {
	enum error_kind kind;
	int sys_errno;	/* of the system call that failed, or 0 */
	char text[512]; /* always printable UTF-8, NUL-terminated */
	char hint[256]; /* what to do, or empty */
};

#define ERROR_INIT ((struct error){.kind = ERR_NONE})

/* All of these return -1, so that `return error_set(...)` reads well. Text that does not fit is cut. */

/* Replace whatever err holds. Bytes that are not printable UTF-8 come out as \xNN. */
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* ERR_FAILED (ERR_RETRY for ENOLCK/EAGAIN) with ": " and the text of errno_value appended. */
int error_errno(struct error *err, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put "what: " in front; kind and hint stay. */
int error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Set the hint; a hint that is already there (set closer to the cause) stays. */
int error_hint(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The exit status for a kind: 0 done, 1 failed, 2 usage, 3 refused, 4 try again. */
int error_exit_status(enum error_kind kind);
/* A stable lower-case word for a kind ("refused"), for --json and the API. */
const char *error_kind_name(enum error_kind kind);

/*
 * Copies `s` into out (size bytes, at least 8), cut to fit and always terminated; control bytes, DEL,
 * bad UTF-8 and the C1 range become \xNN, so that nothing from outside can steer a terminal or a log.
 * Returns out.
 */
char *printable(char *out, size_t size, struct slice s);

#endif
