/* Landlock by its system calls: newer kernels know more rights than Debian 12's header, so the bits stand here. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sandbox_internal.h"

/* From linux/landlock.h, by the version (ABI) that brought them. */
enum {
	LL_EXECUTE = 1 << 0, LL_WRITE_FILE = 1 << 1, LL_READ_FILE = 1 << 2, LL_READ_DIR = 1 << 3,
	LL_REMOVE_DIR = 1 << 4, LL_REMOVE_FILE = 1 << 5, LL_MAKE_CHAR = 1 << 6, LL_MAKE_DIR = 1 << 7,
	LL_MAKE_REG = 1 << 8, LL_MAKE_SOCK = 1 << 9, LL_MAKE_FIFO = 1 << 10, LL_MAKE_BLOCK = 1 << 11,
	LL_MAKE_SYM = 1 << 12,
	LL_REFER = 1 << 13,	/* 2: rename between directories */
	LL_TRUNCATE = 1 << 14,	/* 3 */
	LL_IOCTL_DEV = 1 << 15,	/* 5 */
};
#define LL_VERSION_1 ((1u << 13) - 1)
#define LL_NET_BIND_TCP (1u << 0)	/* 4 */
#define LL_NET_CONNECT_TCP (1u << 1)
#define LL_SCOPE_ABSTRACT_UNIX (1u << 0)	/* 6: no abstract sockets and no signals to outside */
#define LL_SCOPE_SIGNAL (1u << 1)
#define LL_CREATE_VERSION 1u
#define LL_RULE_PATH 1

/* Rights that mean something for a file that is no directory. */
#define LL_ON_FILES (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

unsigned sandbox_landlock(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_CREATE_VERSION);

	return v < 0 ? 0 : (unsigned)v;
}

/* All rights over files that a version knows. */
static uint64_t known_rights(unsigned version)
{
	uint64_t r = LL_VERSION_1;

	if (version >= 2)
		r |= LL_REFER;
	if (version >= 3)
		r |= LL_TRUNCATE;
	if (version >= 5)
		r |= LL_IOCTL_DEV;
	return r;
}

static int create(const struct sandbox *s, unsigned version, struct error *err)
{
	struct ruleset_attr attr = {.fs = known_rights(version)};
	size_t size = sizeof(attr.fs);
	long fd;

	if (version >= 4) {
		attr.net = s->network ? 0 : LL_NET_BIND_TCP | LL_NET_CONNECT_TCP;
		size = offsetof(struct ruleset_attr, scoped);
	}
	if (version >= 6) {
		attr.scoped = LL_SCOPE_ABSTRACT_UNIX | LL_SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		return error_errno(err, errno, "cannot make a landlock ruleset");
	return (int)fd;
}

/* One path with what lies below it; absence is fine. */
static int add_path(int ruleset, const char *path, uint64_t rights, struct error *err)
{
	struct path_attr rule = {.allowed = rights};
	struct stat st;
	int r = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0 && errno == ENOENT)
		return 0;
	if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st) < 0) {
		r = error_errno(err, errno, "cannot open '%s' for the sandbox", path);
	} else {
		if (!S_ISDIR(st.st_mode))
			rule.allowed &= LL_ON_FILES;
		if (syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH, &rule, 0) != 0)
			r = error_errno(err, errno, "cannot allow '%s' in the sandbox", path);
	}
	if (rule.parent_fd >= 0)
		close(rule.parent_fd);
	return r;
}

static int add_paths(int ruleset, const char *const *paths, uint64_t rights, struct error *err)
{
	for (; paths != NULL && *paths != NULL; paths++) {
		if (add_path(ruleset, *paths, rights, err) < 0)
			return -1;
	}
	return 0;
}

int landlock_prepare(const struct sandbox *s, unsigned version, struct error *err)
{
	uint64_t read = LL_READ_FILE | LL_READ_DIR;
	uint64_t write = read | LL_WRITE_FILE | LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG |
			 LL_MAKE_SYM | LL_REFER | LL_TRUNCATE;
	int fd = create(s, version, err);

	if (fd < 0)
		return -1;
	if (s->profile == SANDBOX_SERVER)
		write |= LL_MAKE_SOCK;
	write &= known_rights(version);
	if (add_paths(fd, s->read_paths, read, err) == 0 && add_paths(fd, s->write_paths, write, err) == 0)
		return fd;
	close(fd);
	return -1;
}

int landlock_apply(int ruleset, struct error *err)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		return error_errno(err, errno, "cannot enter the landlock ruleset");
	return 0;
}
