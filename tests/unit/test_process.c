/* lib/sys: other programs, the service manager, peers and users. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sys/clock.h"
#include "sys/notify.h"
#include "sys/peer.h"
#include "sys/process.h"
#include "sys/user.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static int run(const char *const *argv, const char *input, struct buf *out, int timeout_ms, int *status,
	       struct error *err)
{
	struct process_spec spec = PROCESS_SPEC(argv);

	signal(SIGPIPE, SIG_IGN);
	return process_run(&spec, slice_str(input), out, NULL, timeout_ms, status, err);
}

TEST(process_run_feeds_and_collects)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(100);
	int status = -1;

	CHECK_INT(run(ARGV("/bin/cat"), "hello", &out, 10000, &status, &err), 0);
	CHECK_INT(status, 0);
	CHECK_STR(buf_cstr(&out), "hello");
	buf_release(&out);
}

TEST(process_run_knows_no_shell_and_no_environment)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1000);
	int status = -1;

	setenv("SECRET", "x", 1);
	CHECK_INT(run(ARGV("/bin/echo", "$HOME", ";", "`id`"), "", &out, 10000, &status, &err), 0);
	CHECK_STR(buf_cstr(&out), "$HOME ; `id`\n");
	buf_clear(&out);
	CHECK_INT(run(ARGV("/usr/bin/env"), "", &out, 10000, &status, &err), 0);
	CHECK(strstr(buf_cstr(&out), "PATH=") != NULL);
	CHECK(strstr(buf_cstr(&out), "SECRET") == NULL);
	buf_release(&out);
}

TEST(process_run_tells_how_it_ended)
{
	struct error err = ERROR_INIT;
	int status = -1;

	CHECK_INT(run(ARGV("/bin/sh", "-c", "exit 7"), "", NULL, 10000, &status, &err), 0);
	CHECK_INT(status, 7);
	CHECK_INT(run(ARGV("/bin/sh", "-c", "kill -9 $$"), "", NULL, 10000, &status, &err), 0);
	CHECK_INT(status, 128 + 9);
	/* What we ignore is not ignored in the child. */
	CHECK_INT(run(ARGV("/bin/sh", "-c", "kill -PIPE $$"), "", NULL, 10000, &status, &err), 0);
	CHECK_INT(status, 128 + SIGPIPE);
}

TEST(process_start_refuses)
{
	struct error err = ERROR_INIT;
	int status = -1;

	CHECK_INT(run(ARGV("/nonexistent/program"), "", NULL, 10000, &status, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(err.text, "cannot start '/nonexistent/program': No such file or directory");
	CHECK_INT(run(ARGV("cat"), "", NULL, 10000, &status, &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK_INT(run(ARGV("/etc/passwd"), "", NULL, 10000, &status, &err), -1);
	CHECK_INT(err.kind, ERR_FAILED);
}

TEST(process_run_caps_output)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1000);
	int status = -1;

	CHECK_INT(run(ARGV("/usr/bin/head", "-c", "500000", "/dev/zero"), "", &out, 10000, &status, &err), 0);
	CHECK_INT(status, 0);
	CHECK_INT(out.len, 1000);
	CHECK(out.failed);
	buf_release(&out);
}

TEST(process_run_survives_a_child_that_does_not_read)
{
	static char big[200000];
	struct error err = ERROR_INIT;
	int status = -1;

	memset(big, 'x', sizeof(big) - 1);
	CHECK_INT(run(ARGV("/bin/true"), big, NULL, 10000, &status, &err), 0);
	CHECK_INT(status, 0);
}

TEST(process_run_kills_what_takes_too_long)
{
	struct error err = ERROR_INIT;
	int64_t begin = clock_mono_ms();
	int status = -1;

	CHECK_INT(run(ARGV("/bin/sh", "-c", "sleep 30; sleep 30"), "", NULL, 200, &status, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(clock_mono_ms() - begin < 10000);
}

TEST(process_run_does_not_wait_for_what_is_left_behind)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(100);
	int64_t begin = clock_mono_ms();
	int status = -1;

	CHECK_INT(run(ARGV("/bin/sh", "-c", "sleep 5 & echo done"), "", &out, 20000, &status, &err), 0);
	CHECK_STR(buf_cstr(&out), "done\n");
	CHECK(clock_mono_ms() - begin < 4000);
	buf_release(&out);
}

TEST(process_children_get_three_descriptors)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1000);
	int status = -1, fd = open("/dev/null", O_RDONLY);	/* without O_CLOEXEC, as a library might */

	CHECK(fd > 2);
	CHECK_INT(run(ARGV("/bin/sh", "-c", "ls /proc/$$/fd"), "", &out, 10000, &status, &err), 0);
	CHECK_STR(buf_cstr(&out), "0\n1\n2\n");
	buf_release(&out);
	close(fd);
}

TEST(process_wait_and_signal)
{
	struct process_spec spec = PROCESS_SPEC(ARGV("/bin/sleep", "30"));
	struct process p = PROCESS_INIT;
	struct error err = ERROR_INIT;
	struct pollfd pfd;
	int status = -1;

	process_release(&p);
	CHECK_INT(process_wait(&p, 0, &status, &err), -1);
	REQUIRE(process_start(&p, &spec, &err) == 0);
	CHECK_INT(process_wait(&p, 0, &status, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK_INT(process_signal(&p, SIGTERM, &err), 0);
	pfd = (struct pollfd){.fd = p.pidfd, .events = POLLIN};
	CHECK_INT(poll(&pfd, 1, 10000), 1);
	CHECK_INT(process_wait(&p, -1, &status, &err), 0);
	CHECK_INT(status, 128 + SIGTERM);
	CHECK_INT(p.pid, 0);
	REQUIRE(process_start(&p, &spec, &err) == 0);
	process_release(&p);
	CHECK_INT(process_signal(&p, SIGTERM, &err), -1);
}

TEST(process_switches_user)
{
	struct process_spec spec = PROCESS_SPEC(ARGV("/usr/bin/id", "-u"));
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(100);
	int status = -1;

	spec.switch_user = true;
	spec.uid = spec.gid = 65534;
	if (geteuid() == 0) {
		CHECK_INT(process_run(&spec, SLICE_EMPTY, &out, NULL, 10000, &status, &err), 0);
		CHECK_STR(buf_cstr(&out), "65534\n");
	} else if (geteuid() != 65534) {
		CHECK_INT(process_run(&spec, SLICE_EMPTY, &out, NULL, 10000, &status, &err), -1);
	}
	buf_release(&out);
}

/* ---- the service manager ---- */

TEST(notify_reaches_the_socket)
{
	char dir[] = "/tmp/test_notify.XXXXXX", got[64] = "";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct notify n = NOTIFY_INIT;
	struct error err = ERROR_INIT;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	REQUIRE(mkdtemp(dir) != NULL && fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	REQUIRE(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	CHECK_INT(notify_open(&n, addr.sun_path, &err), 0);
	notify_send(&n, "READY=1\nSTATUS=here");
	CHECK_INT(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 19);
	CHECK_STR(got, "READY=1\nSTATUS=here");
	notify_release(&n);
	notify_send(&n, "STOPPING=1");
	CHECK_INT(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), -1);
	unlink(addr.sun_path);
	rmdir(dir);
	CHECK_INT(notify_open(&n, addr.sun_path, &err), -1);
	close(fd);
}

TEST(notify_speaks_to_abstract_names_and_to_nobody)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct notify n = NOTIFY_INIT;
	struct error err = ERROR_INIT;
	char name[64], got[16] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), len;

	len = snprintf(name, sizeof(name), "@meshanics-test-%d", (int)getpid());
	memcpy(addr.sun_path + 1, name + 1, (size_t)len - 1);
	REQUIRE(bind(fd, (struct sockaddr *)&addr, (socklen_t)(sizeof(sa_family_t) + (size_t)len)) == 0);
	CHECK_INT(notify_open(&n, name, &err), 0);
	notify_send(&n, "WATCHDOG=1");
	CHECK_INT(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 10);
	notify_release(&n);
	close(fd);
	CHECK_INT(notify_open(&n, NULL, &err), 0);
	CHECK_INT(notify_open(&n, "", &err), 0);
	CHECK_INT(notify_open(&n, "relative", &err), -1);
	CHECK_INT(notify_open(&n, "/", &err), -1);
}

TEST(notify_watchdog_interval)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	CHECK_INT(notify_watchdog_ms("30000000", NULL), 15000);
	CHECK_INT(notify_watchdog_ms("30000000", pid), 15000);
	CHECK_INT(notify_watchdog_ms("1", NULL), 1);
	CHECK_INT(notify_watchdog_ms("30000000", "1"), 0);
	CHECK_INT(notify_watchdog_ms(NULL, NULL), 0);
	CHECK_INT(notify_watchdog_ms("", NULL), 0);
	CHECK_INT(notify_watchdog_ms("-5", NULL), 0);
	CHECK_INT(notify_watchdog_ms("5s", NULL), 0);
	CHECK_INT(notify_watchdog_ms("99999999999999999999", NULL), 0);
}

/* ---- peers and users ---- */

TEST(peer_is_told_by_the_kernel)
{
	struct error err = ERROR_INIT;
	struct peer p = {0};
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	CHECK_INT(peer_of(fds[0], &p, &err), 0);
	CHECK_INT(p.uid, geteuid());
	CHECK_INT(p.gid, getegid());
	CHECK_INT(p.pid, getpid());
	close(fds[0]);
	close(fds[1]);
	CHECK_INT(peer_of(fds[0], &p, &err), -1);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (fds[0] >= 0)
		CHECK_INT(peer_of(fds[0], &p, &err), -1);
	close(fds[0]);
}

TEST(user_find_by_name)
{
	struct error err = ERROR_INIT;
	uid_t uid = 1;
	gid_t gid = 1;

	CHECK_INT(user_find("root", &uid, &gid, &err), 0);
	CHECK_INT(uid, 0);
	CHECK_INT(gid, 0);
	CHECK_INT(user_find("no-such-user-here", &uid, &gid, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
}

TEST(user_become_is_for_good)
{
	struct error err = ERROR_INIT;

	if (geteuid() != 0) {
		CHECK_INT(user_become(geteuid(), getegid(), &err), 0);
		CHECK_INT(user_become(0, 0, &err), -1);
		CHECK_INT(err.kind, ERR_DENIED);
		return;
	}
	CHECK_INT(user_become(1234, 1234, &err), 0);
	CHECK_INT(getuid(), 1234);
	CHECK_INT(getgroups(0, NULL), 0);
	CHECK_INT(setuid(0), -1);
	CHECK_INT(user_become(1234, 1234, &err), 0);
	CHECK_INT(user_become(1235, 1235, &err), -1);
}

TEST(user_become_owner_of_a_directory)
{
	char dir[] = "/tmp/test_user.XXXXXX";
	struct error err = ERROR_INIT;

	REQUIRE(mkdtemp(dir) != NULL);
	CHECK_INT(user_become_owner(AT_FDCWD, "/tmp/no/such/dir", &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_INT(user_become_owner(AT_FDCWD, dir, &err), 0);
	if (geteuid() != 0) {
		CHECK_INT(user_become_owner(AT_FDCWD, "/", &err), -1);
		CHECK_INT(err.kind, ERR_DENIED);
		rmdir(dir);
		return;
	}
	REQUIRE(chown(dir, 4321, 4322) == 0 && chmod(dir, 0777) == 0);
	CHECK_INT(user_become_owner(AT_FDCWD, dir, &err), 0);
	CHECK_INT(geteuid(), 4321);
	CHECK_INT(getegid(), 4322);
	CHECK_INT(user_become_owner(AT_FDCWD, "/", &err), -1);
	CHECK_INT(err.kind, ERR_DENIED);
	rmdir(dir);
}
