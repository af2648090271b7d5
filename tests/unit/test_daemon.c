/* A process that runs for long: its signals come by the loop, and systemd hears that it turns. */
#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/daemon.h"

static unsigned heard[8];
static size_t heard_n;

static void signalled(struct daemon *d, unsigned signo)
{
	CHECK(!loop_stopping(d->loop));
	if (heard_n < ARRAY_SIZE(heard))
		heard[heard_n++] = signo;
}

/* A socket as systemd has it; its name without the 0 in front. */
static int listening(char *name, size_t size)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), n;

	n = snprintf(name, size, "@test_daemon.%d", (int)getpid());
	memcpy(at.sun_path, name, (size_t)n);
	at.sun_path[0] = '\0';
	REQUIRE(fd >= 0 &&
		bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)) == 0);
	return fd;
}

TEST(signals_come_by_the_loop_and_it_is_said_that_it_turns)
{
	struct daemon d = DAEMON_INIT(signalled);
	struct error err = ERROR_INIT;
	struct loop *l = loop_new(&err);
	char name[64], said[32] = "";
	int fd = listening(name, sizeof(name)), i;

	REQUIRE(l != NULL && daemon_start(&d, l, name, 10, &err) == 0);
	CHECK_INT(kill(getpid(), SIGHUP), 0);
	for (i = 0; i < 200 && recv(fd, said, sizeof(said) - 1, 0) < 0; i++)
		CHECK(loop_turn(l, 20, &err) == 0);
	CHECK(strcmp(said, "WATCHDOG=1") == 0);
	CHECK(heard_n == 1 && heard[0] == SIGHUP && !loop_stopping(l));
	/* And again. */
	memset(said, 0, sizeof(said));
	for (i = 0; i < 200 && recv(fd, said, sizeof(said) - 1, 0) < 0; i++)
		CHECK(loop_turn(l, 20, &err) == 0);
	CHECK(strcmp(said, "WATCHDOG=1") == 0);
	CHECK(kill(getpid(), SIGPIPE) == 0 && kill(getpid(), SIGTERM) == 0);
	CHECK(loop_run(l, &err) == 0);
	CHECK(heard_n == 2 && heard[1] == SIGTERM);
	daemon_stop(&d);
	daemon_stop(&d);
	loop_free(l);
	close(fd);
}

TEST(nobody_is_told_where_nobody_listens)
{
	struct daemon d = DAEMON_INIT(signalled), none = DAEMON_INIT(signalled);
	struct error err = ERROR_INIT;
	struct loop *l = loop_new(&err);

	REQUIRE(l != NULL);
	daemon_stop(&none);
	CHECK(daemon_start(&d, l, NULL, 0, &err) == 0);
	daemon_say(&d, "READY=1");
	CHECK(d.watchdog.slot == 0);
	heard_n = 0;
	CHECK(kill(getpid(), SIGINT) == 0 && loop_run(l, &err) == 0 && heard_n == 1 && heard[0] == SIGINT);
	daemon_stop(&d);
	CHECK(daemon_start(&none, l, "relative", 0, &err) < 0);
	daemon_stop(&none);
	loop_free(l);
}
