/*
 * Other programs, always by argument vector: there is no shell anywhere in meshanics.
 * A child gets an environment of our making, standard descriptors that we name and no other descriptor,
 * default signal dispositions, an empty signal mask, its own process group, and dies (PDEATHSIG) with the
 * thread that started it. The caller's process ignores SIGPIPE and does not ignore SIGCHLD.
 */
#ifndef MESHANICS_SYS_PROCESS_H
#define MESHANICS_SYS_PROCESS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

struct process_spec {
	const char *const *argv;	/* ends with NULL; argv[0] is an absolute path: no search in PATH */
	const char *const *env;		/* "NAME=value", ends with NULL; NULL: PATH and LC_ALL=C.UTF-8 only */
	const char *dir;		/* working directory; NULL: "/" */
	int stdin_fd, stdout_fd, stderr_fd;	/* borrowed; -1: /dev/null */
	uid_t uid;			/* with switch_user: run as these, supplementary groups dropped */
	gid_t gid;
	bool switch_user;
};
#define PROCESS_SPEC(argv_) ((struct process_spec){.argv = (argv_), .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1})

struct process {
	pid_t pid;	/* 0: none */
	int pidfd;	/* readable (EPOLLIN) when the child has ended; for a loop's watch */
};
#define PROCESS_INIT ((struct process){.pidfd = -1})

/*
 * Start a child. -1 when it cannot be started, also when exec itself fails (ERR_NOT_FOUND: no such program).
 * Ends with process_wait, or process_release, which kills.
 */
WARN_UNUSED int process_start(struct process *p, const struct process_spec *spec, struct error *err);
/* Send a signal to the child's whole process group. */
WARN_UNUSED int process_signal(const struct process *p, int signo, struct error *err);
/*
 * Wait up to timeout_ms (-1: for ever; 0: only look) and reap. *status: 0..255, or 128 + N for signal N.
 * ERR_RETRY when the time is over and the child still runs. After success p is as PROCESS_INIT.
 */
WARN_UNUSED int process_wait(struct process *p, int timeout_ms, int *status, struct error *err);
/* Kills the group if it still runs, reaps, closes. Safe on PROCESS_INIT and when ended already. */
void process_release(struct process *p);

/*
 * Start, feed `input` to its standard input, collect its standard output and error into out (may be the same
 * buf; NULL: discarded), wait. What passes a ceiling is read and dropped (the buf's failed flag tells); a
 * child that outlives timeout_ms (-1: no limit) is killed with its group: ERR_RETRY. Ends with the child, even when
 * something that it left behind keeps its output open. The three descriptors in spec are not used.
 */
WARN_UNUSED int process_run(const struct process_spec *spec, struct slice input, struct buf *out, struct buf *errors,
			    int timeout_ms, int *status, struct error *err);

#endif
