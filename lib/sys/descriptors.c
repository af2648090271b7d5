/* The limit of open descriptors, by setrlimit(2). */
#include "sys/descriptors.h"

#include <sys/resource.h>

/* Where the system does not tell, what POSIX promises at least would help nobody: assume what every system gives. */
#define DESCRIPTORS_ASSUMED 1024

uint64_t descriptors_raise(void)
{
	struct rlimit now, most;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return DESCRIPTORS_ASSUMED;
	most = now;
	most.rlim_cur = now.rlim_max;
	/* A unit's filter may forbid it: then what there is has to do. */
	return setrlimit(RLIMIT_NOFILE, &most) == 0 ? most.rlim_cur : now.rlim_cur;
}
