/*
 * Probes: asking whether the new version is well. One attempt runs in a child of its own, sandboxed, that ends by
 * itself within the probe's timeout; the supervisor watches its pipe.
 *	http   GET answers 200..299 (plain http:// to anywhere, no redirect is followed)
 *	tcp    a connection is accepted
 *	file   the file exists and is not empty
 */
#ifndef MESHANICS_AGENT_PROBE_H
#define MESHANICS_AGENT_PROBE_H

#include <sys/types.h>

#include "tuf/descriptor.h"

#define PROBE_REASON_MAX 256

/* An attempt under way. */
struct probe_attempt {
	pid_t pid;	/* 0: none */
	int fd;		/* readable when the child has something to say: one line of reason, or nothing and end */
};
#define PROBE_ATTEMPT_INIT ((struct probe_attempt){.fd = -1})

/* Start one attempt of p. ERR_REFUSED for a kind this device does not allow (exec, without a policy). */
WARN_UNUSED int probe_start(struct probe_attempt *a, const struct probe *p, struct error *err);
/* The child has ended (its pipe is at its end): 0 when the probe passed, -1 with the reason in err. */
WARN_UNUSED int probe_finish(struct probe_attempt *a, struct error *err);
/* End it now. Safe on PROBE_ATTEMPT_INIT. */
void probe_kill(struct probe_attempt *a);
/* The attempt itself, blocking; for the child and for tests. */
WARN_UNUSED int probe_run(const struct probe *p, struct error *err);

#endif
