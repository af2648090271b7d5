/* Giving up rights, each step in the place where the steps before it still allow it. */
#include "sys/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sandbox_internal.h"
#include "sys/user.h"

#ifdef MESHANICS_TEST
/* LeakSanitizer's hook: its check at exit forks and traces, which a sandboxed process rightly cannot. */
int __lsan_is_turned_off(void);
static int inside;

int __lsan_is_turned_off(void)
{
	return inside;
}
#define NOTE_INSIDE() (inside = 1)
#else
#define NOTE_INSIDE() ((void)0)
#endif

static int limit(int what, uint64_t max, const char *name, struct error *err)
{
	struct rlimit rl, now;

	if (max == 0)
		return 0;
	rl.rlim_cur = rl.rlim_max = (rlim_t)max;
	/* Without privileges the hard limit can only go down: what is lower already is good enough. */
	if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max < rl.rlim_max)
		rl.rlim_cur = rl.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)what, &rl) < 0)
		return error_errno(err, errno, "cannot limit %s", name);
	return 0;
}

static int apply_limits(const struct sandbox *s, struct error *err)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return error_errno(err, errno, "cannot switch core dumps off");
	if (limit(RLIMIT_NOFILE, s->files_max, "open files", err) < 0 ||
	    limit(RLIMIT_AS, s->memory_max, "memory", err) < 0 ||
	    limit(RLIMIT_FSIZE, s->file_size_max, "the size of files", err) < 0)
		return -1;
	return 0;
}

/* Nothing executed later may get them back; for lack of CAP_SETPCAP there is nothing to get. */
static int drop_bounding(struct error *err)
{
	unsigned long cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return error_errno(err, errno, "cannot drop capability %lu", cap);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return error_errno(err, errno, "cannot clear the ambient capabilities");
	return 0;
}

static int drop_capabilities(struct error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	if (syscall(SYS_capset, &head, none) != 0)
		return error_errno(err, errno, "cannot drop the capabilities");
	return 0;
}

static int enter(const struct sandbox *s, int ruleset, struct error *err)
{
	if (apply_limits(s, err) < 0 || drop_bounding(err) < 0)
		return -1;
	if (s->switch_user && user_become(s->uid, s->gid, err) < 0)
		return -1;
	if (drop_capabilities(err) < 0)
		return -1;
	/* After the change of user, which resets it. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, errno, "cannot become undumpable");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, errno, "cannot set no_new_privs");
	if (ruleset >= 0 && landlock_apply(ruleset, err) < 0)
		return -1;
	return seccomp_apply(s->profile, err);
}

int sandbox_enter(const struct sandbox *s, unsigned *landlock_abi, struct error *err)
{
	int ruleset = -1, r;

	*landlock_abi = sandbox_landlock();
	if (*landlock_abi == 0 && s->require_landlock) {
		error_set(err, ERR_REFUSED, "this kernel has no landlock");
		return error_hint(err, "boot with lsm=landlock,... or a kernel from 5.13 on that has it");
	}
	if (*landlock_abi > 0 && (ruleset = landlock_prepare(s, *landlock_abi, err)) < 0)
		return error_wrap(err, "sandbox");
	NOTE_INSIDE();
	r = enter(s, ruleset, err);
	if (ruleset >= 0)
		close(ruleset);
	return r < 0 ? error_wrap(err, "sandbox") : 0;
}
