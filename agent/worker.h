/*
 * The worker: the half of the agent that talks to the network and parses what comes from there. It runs without
 * privileges in a sandbox, with two threads, one for each link (agent/link.h), so that a long download never
 * holds up a heartbeat. It keeps nothing but payloads on their way.
 */
#ifndef MESHANICS_AGENT_WORKER_H
#define MESHANICS_AGENT_WORKER_H

#include <sys/types.h>

#include "agent/home.h"
#include "tuf/descriptor.h"

struct worker_options {
	const struct identity *identity;	/* borrowed; its key came with the fork */
	const struct device_profile *profile;	/* what this machine is: its sandbox does not let it look */
	const char *proxy;		/* HTTP CONNECT proxy URL, or NULL */
	uint64_t rate;			/* bytes per second that a payload may take; 0: as fast as it goes */
	const char *home;		/* HOME/agent */
	int control_fd, transfer_fd;	/* the worker's ends of the links */
	bool switch_user;		/* become uid and gid */
	uid_t uid;
	gid_t gid;
};

/*
 * The life of the worker, after fork: sandbox, two threads, until the supervisor's ends close. Never returns;
 * exits 0 then, 1 when the sandbox does not hold.
 */
NORETURN void worker_main(const struct worker_options *options);

#endif
