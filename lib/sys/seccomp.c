/* The filter of system calls: an allow-list per profile, in the classic BPF that the kernel runs. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/sandbox_internal.h"
#include "sys/seccomp_absent.h"

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define FILTER_ARCH AUDIT_ARCH_ARM
#else
#error "no system call filter for this machine: add its AUDIT_ARCH here and check seccomp_calls.def"
#endif

#define X32_BIT 0x40000000u	/* x32 calls on x86-64: another table under the same AUDIT_ARCH */
#define INSTRUCTIONS_MAX 1024

#define FICLONE_CALL 0x40049409u	/* FICLONE of linux/fs.h, whose header quarrels with others */

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

struct filter {
	struct sock_filter code[INSTRUCTIONS_MAX];
	unsigned short len;
	bool full;
};

static void put(struct filter *f, unsigned code, uint32_t k, unsigned jt, unsigned jf)
{
	if (f->len == INSTRUCTIONS_MAX) {
		f->full = true;
		return;
	}
	f->code[f->len++] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, k};
}

/* The accumulator becomes a 32-bit word of struct seccomp_data. */
static void put_load(struct filter *f, size_t offset)
{
	put(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void put_return(struct filter *f, uint32_t what)
{
	put(f, BPF_RET | BPF_K, what, 0, 0);
}

/* Where an argument's halves lie; all our machines are little-endian. */
static size_t arg_low(unsigned arg)
{
	return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);
}

/* The call number is in the accumulator at the beginning and the end of each of these. */

static void allow(struct filter *f, long nr)
{
	if (nr < 0)
		return;
	put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1);
	put_return(f, SECCOMP_RET_ALLOW);
}

/* nr when the low half of an argument is one of the values; otherwise EPERM. */
static void allow_values(struct filter *f, long nr, unsigned arg, const uint32_t *values, unsigned count)
{
	unsigned i;

	if (nr < 0)
		return;
	put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 2 + 2 * count);
	put_load(f, arg_low(arg));
	for (i = 0; i < count; i++) {
		put(f, BPF_JMP | BPF_JEQ | BPF_K, values[i], 0, 1);
		put_return(f, SECCOMP_RET_ALLOW);
	}
	put_return(f, SECCOMP_RET_ERRNO | EPERM);
}

/* nr when (low half & mask) == value; otherwise EPERM. */
static void allow_masked(struct filter *f, long nr, unsigned arg, uint32_t mask, uint32_t value)
{
	if (nr < 0)
		return;
	put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 5);
	put_load(f, arg_low(arg));
	put(f, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	put(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	put_return(f, SECCOMP_RET_ALLOW);
	put_return(f, SECCOMP_RET_ERRNO | EPERM);
}

/* nr when an argument is a null pointer; otherwise EPERM. */
static void allow_null(struct filter *f, long nr, unsigned arg)
{
	if (nr < 0)
		return;
	put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 6);
	put_load(f, arg_low(arg));
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	put_load(f, arg_low(arg) + 4);
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	put_return(f, SECCOMP_RET_ALLOW);
	put_return(f, SECCOMP_RET_ERRNO | EPERM);
}

/* A filter for another machine's table of calls would be no filter: those end the process. */
static void put_head(struct filter *f)
{
	put_load(f, offsetof(struct seccomp_data, arch));
	put(f, BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0);
	put_return(f, SECCOMP_RET_KILL_PROCESS);
	put_load(f, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	put(f, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	put_return(f, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* Calls that are harmless only with some arguments. */
static void put_parser(struct filter *f, enum sandbox_profile profile)
{
	static const uint32_t prctls[] = {
		PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS, PR_GET_DUMPABLE, PR_CAPBSET_READ,
		PR_SET_VMA, PR_SET_PDEATHSIG,
	};
	/* FICLONE, which changes a file, comes last and not to the parser. */
	static const uint32_t ioctls[] = {FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ, FICLONE_CALL};
	unsigned ioctl_count = ARRAY_SIZE(ioctls) - (profile < SANDBOX_FILES);

	/* No new code: what is executable was so before. */
	allow_masked(f, SYS_mmap, 2, PROT_EXEC, 0);
	allow_masked(f, SYS_mmap2, 2, PROT_EXEC, 0);
	allow_masked(f, SYS_mprotect, 2, PROT_EXEC, 0);
	allow_values(f, SYS_prctl, 0, prctls, ARRAY_SIZE(prctls));
	allow_values(f, SYS_ioctl, 1, ioctls, ioctl_count);
	/* abort(3) and our own threads; nobody else's. */
	allow_values(f, SYS_tgkill, 0, &(const uint32_t){(uint32_t)getpid()}, 1);
	/* getrlimit, not setrlimit. */
	allow_null(f, SYS_prlimit64, 2);
}

static void put_files(struct filter *f)
{
	/* Threads, not processes. The C library asks for clone3 first, whose flags a filter cannot see. */
	allow_masked(f, SYS_clone, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
	if (SYS_clone3 >= 0) {
		put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)SYS_clone3, 0, 1);
		put_return(f, SECCOMP_RET_ERRNO | ENOSYS);
	}
}

/* Netlink because the resolver of the C library looks at the interfaces; no packet sockets. */
static void put_client(struct filter *f)
{
	static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

	allow_values(f, SYS_socket, 0, families, ARRAY_SIZE(families));
	allow_values(f, SYS_socketpair, 0, families, 1);
}

static void put_calls(struct filter *f, enum sandbox_profile profile)
{
#define CALL(first, name)                            \
	if (profile >= SANDBOX_##first)              \
		allow(f, SYS_##name);
#include "sys/seccomp_calls.def"
#undef CALL
}

int seccomp_apply(enum sandbox_profile profile, struct error *err)
{
	struct filter *f;
	struct sock_fprog program;
	int r = 0;

	if (profile == SANDBOX_NO_SECCOMP)
		return 0;
	f = xcalloc(1, sizeof(*f));
	put_head(f);
	put_calls(f, profile);
	if (profile >= SANDBOX_FILES)
		put_files(f);
	if (profile >= SANDBOX_CLIENT)
		put_client(f);
	put_parser(f, profile);
	put_return(f, SECCOMP_RET_ERRNO | EPERM);
	program = (struct sock_fprog){.len = f->len, .filter = f->code};
	if (f->full)
		r = error_set(err, ERR_FAILED, "the system call filter has more than %d instructions", INSTRUCTIONS_MAX);
	else if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		r = error_errno(err, errno, "cannot put on the system call filter");
	free(f);
	return r;
}
