/* The proof that the sandbox holds: by trying what it forbids, not by believing what was set. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sandbox.h"

static int open_still(struct error *err, const char *what)
{
	return error_set(err, ERR_REFUSED, "the sandbox does not hold: %s", what);
}

static int check_flags(const struct sandbox *s, struct error *err)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return open_still(err, "no_new_privs is not set");
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return open_still(err, "the process can be dumped and traced");
	if (s->profile != SANDBOX_NO_SECCOMP && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
		return open_still(err, "no system call filter is on");
	return 0;
}

/* Calls that do nothing even where they are allowed: without the filter they fail in another way. */
static int check_filter(const struct sandbox *s, struct error *err)
{
	int fd;

	if (s->profile == SANDBOX_NO_SECCOMP)
		return 0;
	if (syscall(SYS_execve, NULL, NULL, NULL) != -1 || errno != EPERM)
		return open_still(err, "programs can be executed");
	if (syscall(SYS_ptrace, ~0L, 0, 0, 0) != -1 || errno != EPERM)
		return open_still(err, "processes can be traced");
	if (syscall(SYS_kill, getpid(), 0) != -1 || errno != EPERM)
		return open_still(err, "processes can be signalled");
	fd = socket(s->profile >= SANDBOX_CLIENT ? AF_PACKET : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || errno != EPERM)
		return open_still(err, "sockets can be made");
	return 0;
}

static bool names_root(const char *const *paths)
{
	for (; paths != NULL && *paths != NULL; paths++) {
		if (strcmp(*paths, "/") == 0)
			return true;
	}
	return false;
}

/* "/" can be listed by anyone, unless landlock says no. */
static int check_files(const struct sandbox *s, unsigned landlock_abi, struct error *err)
{
	int fd;

	if ((landlock_abi == 0 && s->profile != SANDBOX_PARSER) || names_root(s->read_paths) ||
	    names_root(s->write_paths))
		return 0;
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return 0;
	if (fd >= 0)
		close(fd);
	return open_still(err, "files outside the allowed paths can be opened");
}

static int check_ids(const struct sandbox *s, struct error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (s->switch_user && (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0 || ru != s->uid ||
			       eu != s->uid || su != s->uid || rg != s->gid || eg != s->gid || sg != s->gid))
		return open_still(err, "user or group is not the one that was asked for");
	if (syscall(SYS_capget, &head, caps) != 0)
		return open_still(err, "the capabilities cannot be told");
	if ((caps[0].effective | caps[0].permitted | caps[0].inheritable | caps[1].effective | caps[1].permitted |
	     caps[1].inheritable) != 0)
		return open_still(err, "capabilities are left");
	return 0;
}

int sandbox_check(const struct sandbox *s, unsigned landlock_abi, struct error *err)
{
	if (check_flags(s, err) < 0 || check_ids(s, err) < 0 || check_filter(s, err) < 0)
		return -1;
	return check_files(s, landlock_abi, err);
}
