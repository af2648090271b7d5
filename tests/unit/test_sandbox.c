/* lib/sys: the sandbox, from inside. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sys/file.h"
#include "sys/sandbox.h"

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Enter and check; the landlock version. Each test is a process of its own, so nothing comes back. */
static unsigned enter(const struct sandbox *s)
{
	struct error err = ERROR_INIT;
	unsigned abi = 0;

	NEEDS_SECCOMP();
	if (sandbox_enter(s, &abi, &err) < 0 || sandbox_check(s, abi, &err) < 0) {
		printf("# %s\n", err.text);
		REQUIRE(0 && "the sandbox holds");
	}
	return abi;
}

static void *thread(void *arg)
{
	*(int *)arg = 7;
	return NULL;
}

static int start_thread(void)
{
	pthread_t t;
	int value = 0;

	if (pthread_create(&t, NULL, thread, &value) != 0)
		return -1;
	pthread_join(t, NULL);
	return value;
}

/* errno of a call that must fail; 0 when it did not. */
#define FAILS(call) ((call) < 0 ? errno : 0)

TEST(parser_may_compute_and_talk_and_nothing_else)
{
	struct sandbox s = {.profile = SANDBOX_PARSER};
	char c = 'x';
	void *p;
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	enter(&s);
	p = malloc(1 << 20);
	CHECK(p != NULL);
	free(p);
	CHECK_INT(write(fds[0], &c, 1), 1);
	CHECK_INT(read(fds[1], &c, 1), 1);
	CHECK_INT(FAILS(open("/etc/passwd", O_RDONLY)), EPERM);
	CHECK_INT(FAILS(socket(AF_UNIX, SOCK_STREAM, 0)), EPERM);
	CHECK_INT(FAILS(fork()), EPERM);
	CHECK_INT(FAILS(execl("/bin/true", "true", (char *)NULL)), EPERM);
	CHECK_INT(FAILS(kill(getppid(), 0)), EPERM);
	CHECK_INT(FAILS(unlink("/tmp/x")), EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK_INT(start_thread(), -1);
}

/* What the next test does inside, with a directory to write in and one to read. */
static void use_files(const char *dir, const char *inside, const char *outside)
{
	struct sandbox s = {
		.read_paths = PATHS("/etc/passwd", outside, "/no/such/path"),
		.write_paths = PATHS(inside, "/dev/null"),
		.profile = SANDBOX_FILES,
	};
	int in = open(inside, O_RDONLY | O_DIRECTORY), out = open(outside, O_RDONLY | O_DIRECTORY);
	unsigned abi = enter(&s);
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(100000);

	CHECK_INT(file_read(AT_FDCWD, "/etc/passwd", &b, &err), 0);
	CHECK_INT(file_replace(in, "a", 0600, SLICE_LIT("x"), &err), 0);
	CHECK_INT(file_mkdirs(in, "a/b", 0700, &err), -1);
	CHECK_INT(file_unlink(in, "a", &err), 0);
	CHECK_INT(start_thread(), 7);
	CHECK_INT(FAILS(socket(AF_INET, SOCK_STREAM, 0)), EPERM);
	CHECK_INT(FAILS(fork()), EPERM);
	if (abi > 0) {
		CHECK_INT(FAILS(open("/etc/group", O_RDONLY)), EACCES);
		CHECK_INT(FAILS(open(dir, O_RDONLY)), EACCES);
		CHECK_INT(file_replace(out, "b", 0600, SLICE_LIT("x"), &err), -1);
		CHECK_INT(err.sys_errno, EACCES);
	}
	buf_release(&b);
}

TEST(files_only_where_allowed)
{
	char dir[] = "/tmp/test_sandbox.XXXXXX", inside[64], outside[64];
	struct error err = ERROR_INIT;
	int status = -1;
	pid_t pid;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(inside, sizeof(inside), "%s/rw", dir);
	snprintf(outside, sizeof(outside), "%s/ro", dir);
	REQUIRE(mkdir(inside, 0700) == 0 && mkdir(outside, 0700) == 0);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		use_files(dir, inside, outside);
		exit(tap_failures == 0 ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(file_remove_tree(AT_FDCWD, dir, &err), 0);
	CHECK_INT(status, 0);
}

TEST(client_connects_and_server_listens)
{
	struct sandbox s = {.profile = SANDBOX_CLIENT, .network = true};
	int fd;

	enter(&s);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK_INT(FAILS(listen(fd, 1)), EPERM);
	CHECK_INT(FAILS(socket(AF_PACKET, SOCK_RAW, 0)), EPERM);
	close(fd);
}

TEST(server_listens)
{
	struct sandbox s = {.profile = SANDBOX_SERVER, .network = true, .files_max = 64};
	struct rlimit rl;
	int fd;

	enter(&s);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK_INT(listen(fd, 1), 0);
	close(fd);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &rl), 0);
	CHECK_INT(rl.rlim_max, 64);
	rl.rlim_cur = 1;
	CHECK_INT(FAILS(setrlimit(RLIMIT_NOFILE, &rl)), EPERM);
}

TEST(without_network_no_tcp)
{
	struct sandbox s = {.profile = SANDBOX_CLIENT, .network = false};
	unsigned abi = enter(&s);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr addr = {.sa_family = AF_INET};

	if (abi >= 4)
		CHECK_INT(FAILS(bind(fd, &addr, sizeof(addr))), EACCES);
	close(fd);
}

TEST(ids_and_capabilities_are_gone)
{
	struct sandbox s = {.profile = SANDBOX_FILES, .switch_user = true, .uid = 65534, .gid = 65534};

	if (geteuid() != 0)
		return;
	enter(&s);
	CHECK_INT(getuid(), 65534);
	CHECK_INT(FAILS(setuid(0)), EPERM);
}

TEST(root_without_capabilities_is_nobody)
{
	struct sandbox s = {.profile = SANDBOX_NO_SECCOMP, .read_paths = PATHS("/")};

	if (geteuid() != 0)
		return;
	enter(&s);
	CHECK(FAILS(chroot("/")) == EPERM);
	CHECK(FAILS(open("/tmp/test_sandbox.root", O_WRONLY | O_CREAT, 0600)) != 0);
}

TEST(check_finds_a_sandbox_that_is_not_on)
{
	struct sandbox s = {.profile = SANDBOX_CLIENT};
	struct error err = ERROR_INIT;

	CHECK_INT(sandbox_check(&s, 0, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_STR(err.text, "the sandbox does not hold: no_new_privs is not set");
}

TEST(abort_works_inside)
{
	struct sandbox s = {.profile = SANDBOX_PARSER};
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	fflush(stdout);
	if (pid == 0) {
		enter(&s);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK(tap_reason[0] != '\0' || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
}
