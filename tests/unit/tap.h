/*
 * Unit tests: each test_*.c is a program that prints TAP. Each TEST runs in a child of its own, so a
 * crash is one failure, not the end. Registration is by constructor:
 *
 *	TEST(buf_stops_at_its_ceiling)
 *	{
 *		CHECK(b.failed);
 *		CHECK_STR(err.text, "...");
 *	}
 */
#ifndef MESHANICS_TESTS_TAP_H
#define MESHANICS_TESTS_TAP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct tap_test {
	const char *name;
	void (*run)(void);
	struct tap_test *next;
};

static struct tap_test *tap_first, **tap_last = &tap_first;
static int tap_failures;

#define TAP_REASON_LEN 200
static char *tap_reason;	/* shared with the child: why it left early, or "" */

#define TEST(name_)                                                                 \
	static void test_##name_(void);                                             \
	static struct tap_test tap_##name_ = {#name_, test_##name_, NULL};          \
	__attribute__((constructor)) static void tap_add_##name_(void)              \
	{                                                                           \
		*tap_last = &tap_##name_;                                           \
		tap_last = &tap_##name_.next;                                       \
	}                                                                           \
	static void test_##name_(void)

#define CHECK(cond)                                                                 \
	do {                                                                        \
		if (!(cond)) {                                                      \
			printf("# %s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			tap_failures++;                                             \
		}                                                                   \
	} while (0)

#define CHECK_STR(got, want)                                                        \
	do {                                                                        \
		const char *tap_g = (got), *tap_w = (want);                         \
		if (strcmp(tap_g, tap_w) != 0) {                                    \
			printf("# %s:%d: got \"%s\"\n#   wanted \"%s\"\n", __FILE__, \
			       __LINE__, tap_g, tap_w);                             \
			tap_failures++;                                             \
		}                                                                   \
	} while (0)

#define CHECK_INT(got, want)                                                        \
	do {                                                                        \
		long long tap_g = (long long)(got), tap_w = (long long)(want);      \
		if (tap_g != tap_w) {                                               \
			printf("# %s:%d: %s is %lld, wanted %lld\n", __FILE__,      \
			       __LINE__, #got, tap_g, tap_w);                       \
			tap_failures++;                                             \
		}                                                                   \
	} while (0)

/* Stop this test now: later checks would make no sense. */
#define REQUIRE(cond)                                                               \
	do {                                                                        \
		if (!(cond)) {                                                      \
			printf("# %s:%d: required: %s\n", __FILE__, __LINE__, #cond); \
			fflush(stdout);                                             \
			exit(1);                                                    \
		}                                                                   \
	} while (0)

/* Leave this test: what it needs is not there. The reason is one that tests/skips can list. */
#define SKIP(reason)                                                                \
	do {                                                                        \
		snprintf(tap_reason, TAP_REASON_LEN, "%s", (reason));               \
		fflush(stdout);                                                     \
		exit(tap_failures == 0 ? 0 : 1);                                    \
	} while (0)

/* SECCOMP_GET_ACTION_AVAIL with nothing to ask about is EFAULT, unless an emulator stands between. */
#define NEEDS_SECCOMP()                                                             \
	do {                                                                        \
		if (syscall(SYS_seccomp, 2, 0, NULL) < 0 && errno == ENOSYS)        \
			SKIP("no seccomp under qemu-user");                         \
	} while (0)

/* The call with nothing is EINVAL, unless an emulator stands between. */
#define NEEDS_OPENAT2()                                                             \
	do {                                                                        \
		if (syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && errno == ENOSYS) \
			SKIP("no openat2 under qemu-user");                         \
	} while (0)

/* Also for leaks: the child leaves through exit(), so LeakSanitizer sees each test alone. */
static int tap_run(const struct tap_test *t)
{
	int status;
	pid_t pid;

	fflush(stdout);
	tap_reason[0] = '\0';
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		alarm(120);
		t->run();
		fflush(stdout);
		exit(tap_failures == 0 ? 0 : 1);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int main(void)
{
	const struct tap_test *t;
	int n = 0, failed = 0;

	for (t = tap_first; t != NULL; t = t->next)
		n++;
	tap_reason = mmap(NULL, TAP_REASON_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tap_reason == MAP_FAILED)
		return 1;
	printf("1..%d\n", n);
	n = 0;
	for (t = tap_first; t != NULL; t = t->next) {
		int r = tap_run(t);

		printf("%sok %d - %s%s%s\n", r == 0 ? "" : "not ", ++n, t->name, tap_reason[0] ? " # SKIP " : "",
		       tap_reason);
		failed += r != 0;
	}
	return failed != 0;
}

#endif
