/* What resolvectl is told, by a stand-in that writes down its arguments; and that nothing waits for it. */
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "meshlan/resolved.h"
#include "sys/clock.h"

#define SOON_MS 8000	/* for what takes no time, on a machine that has none */

/* Beside it: "log" gets its arguments; "fail" and "hang" name the verb that does. No two run at a time. */
static const char stand_in[] =
	"#!/bin/sh\n"
	"cd \"${0%/*}\" || exit 9\n"
	"mkdir lock 2>/dev/null || echo 'two at a time' >>log\n"
	"echo \"$*\" >>log\n"
	"if test \"$1\" = \"$(cat hang 2>/dev/null)\"; then echo $$ >pid; rmdir lock; exec sleep 60; fi\n"
	"rmdir lock\n"
	"if test \"$1\" = \"$(cat fail 2>/dev/null)\"; then printf 'Failed to do it: \\033[31mno\\nmore\\n' >&2; exit 3; fi\n";

struct kit {
	struct loop *loop;
	struct resolved *r;
	char dir[64], program[128], text[8192];
	int64_t longest_ms;	/* turn of the loop */
};

static const char *path(const struct kit *k, const char *name)
{
	static char out[128];

	snprintf(out, sizeof(out), "%s/%s", k->dir, name);
	return out;
}

static void write_file(const struct kit *k, const char *name, const char *text)
{
	int fd = open(path(k, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static const char *read_file(struct kit *k, const char *name)
{
	int fd = open(path(k, name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, k->text, sizeof(k->text) - 1);

	k->text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return k->text;
}

static void kit_init(struct kit *k)
{
	struct error err = ERROR_INIT;

	memset(k, 0, sizeof(*k));
	snprintf(k->dir, sizeof(k->dir), "/tmp/test-resolved-XXXXXX");
	REQUIRE(mkdtemp(k->dir) != NULL);
	snprintf(k->program, sizeof(k->program), "%s", path(k, "resolvectl"));
	write_file(k, "resolvectl", stand_in);
	log_start(open(path(k, "said"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), false, LOG_LEVEL_WARN);
	k->loop = loop_new(&err);
	REQUIRE(k->loop != NULL);
	k->r = resolved_new(k->loop, k->program);
}

static void kit_release(struct kit *k)
{
	static const char *const names[] = {"resolvectl", "said", "log", "fail", "hang", "pid"};
	size_t i;

	resolved_free(k->r);
	loop_free(k->loop);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path(k, names[i]));
	CHECK(rmdir(k->dir) == 0);
}

static void turn(struct kit *k)
{
	int64_t from_ms = clock_mono_ms();
	struct error err = ERROR_INIT;

	REQUIRE(loop_turn(k->loop, 5, &err) == 0);
	if (clock_mono_ms() - from_ms > k->longest_ms)
		k->longest_ms = clock_mono_ms() - from_ms;
}

/* Turns until all is done; false when that takes too long. */
static bool settle(struct kit *k, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!resolved_idle(k->r) && clock_mono_ms() < until)
		turn(k);
	return resolved_idle(k->r);
}

static void turn_until(struct kit *k, const char *interface, enum resolved_state state, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (resolved_look(k->r, interface, NULL) != state && clock_mono_ms() < until)
		turn(k);
	CHECK_INT(resolved_look(k->r, interface, NULL), state);
}

/* Until the stand-in has written down a line that begins so. */
static void turn_until_run(struct kit *k, const char *line)
{
	int64_t until = clock_mono_ms() + SOON_MS;

	while (strstr(read_file(k, "log"), line) == NULL && clock_mono_ms() < until)
		turn(k);
	REQUIRE(strstr(k->text, line) != NULL);
}

static int set(struct kit *k, const char *interface, const char *server)
{
	struct error err = ERROR_INIT;

	return resolved_set(k->r, interface, server, "mesh", &err);
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

#define UP(interface, server)                                                                               \
	"default-route " interface " false\nllmnr " interface " no\nmdns " interface " no\ndnssec " interface \
	" no\ndnsovertls " interface " no\ndomain " interface " ~mesh\ndns " interface " " server "\n"

TEST(set_changed_and_taken_back)
{
	const char *why;
	struct kit k;

	kit_init(&k);
	CHECK_INT(resolved_look(k.r, "mesh0", &why), RESOLVED_NONE);
	CHECK_STR(why, "");
	CHECK(resolved_idle(k.r) && set(&k, "mesh0", "198.18.58.9") == 0);
	CHECK(!resolved_idle(k.r) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_SETTING);
	CHECK(settle(&k, SOON_MS) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_SET);
	CHECK_STR(read_file(&k, "log"), UP("mesh0", "198.18.58.9"));
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0 && resolved_idle(k.r));	/* nothing new */
	CHECK(set(&k, "mesh0", "fd12::1") == 0 && settle(&k, SOON_MS));
	CHECK_STR(read_file(&k, "log"), UP("mesh0", "198.18.58.9") UP("mesh0", "fd12::1"));
	resolved_clear(k.r, "mesh1");
	resolved_clear(k.r, "mesh0");
	CHECK(settle(&k, SOON_MS) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_NONE);
	CHECK_STR(read_file(&k, "log"), UP("mesh0", "198.18.58.9") UP("mesh0", "fd12::1") "revert mesh0\n");
	kit_release(&k);
}

TEST(several_interfaces_one_command_at_a_time)
{
	struct kit k;

	kit_init(&k);
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0 && set(&k, "mesh1", "10.1.2.65") == 0 && settle(&k, SOON_MS));
	CHECK(resolved_look(k.r, "mesh0", NULL) == RESOLVED_SET && resolved_look(k.r, "mesh1", NULL) == RESOLVED_SET);
	CHECK_STR(read_file(&k, "log"), UP("mesh0", "198.18.58.9") UP("mesh1", "10.1.2.65"));
	resolved_free(k.r);
	k.r = NULL;
	CHECK_STR(read_file(&k, "log"),
		  UP("mesh0", "198.18.58.9") UP("mesh1", "10.1.2.65") "revert mesh0\nrevert mesh1\n");
	kit_release(&k);
}

TEST(changes_while_a_command_runs)
{
	struct kit k;

	kit_init(&k);
	/* Set to something else: from the beginning. */
	CHECK(set(&k, "mesh0", "1.1.1.1") == 0 && set(&k, "mesh0", "198.18.58.9") == 0 && settle(&k, SOON_MS));
	CHECK_STR(read_file(&k, "log"), "default-route mesh0 false\n" UP("mesh0", "198.18.58.9"));
	/* Cleared. */
	unlink(path(&k, "log"));
	CHECK(set(&k, "mesh0", "1.1.1.1") == 0);
	resolved_clear(k.r, "mesh0");
	CHECK(settle(&k, SOON_MS) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_NONE);
	CHECK_STR(read_file(&k, "log"), "default-route mesh0 false\nrevert mesh0\n");
	/* Cleared and set again. */
	unlink(path(&k, "log"));
	CHECK(set(&k, "mesh0", "1.1.1.1") == 0);
	resolved_clear(k.r, "mesh0");
	CHECK(set(&k, "mesh0", "1.1.1.1") == 0 && settle(&k, SOON_MS));
	CHECK_STR(read_file(&k, "log"), "default-route mesh0 false\nrevert mesh0\n" UP("mesh0", "1.1.1.1"));
	/* Set and cleared while it is taken back. */
	unlink(path(&k, "log"));
	resolved_clear(k.r, "mesh0");
	CHECK(set(&k, "mesh0", "2.2.2.2") == 0);
	resolved_clear(k.r, "mesh0");
	CHECK(settle(&k, SOON_MS) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_NONE);
	CHECK_STR(read_file(&k, "log"), "revert mesh0\n");
	kit_release(&k);
}

TEST(a_command_that_fails_is_said_once_undone_and_tried_again)
{
	const char *why;
	struct kit k;

	kit_init(&k);
	write_file(&k, "fail", "mdns");
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0 && settle(&k, SOON_MS));
	CHECK_INT(resolved_look(k.r, "mesh0", &why), RESOLVED_FAILED);
	CHECK_STR(why, "resolvectl ended with 3: Failed to do it: \\x1b[31mno");
	CHECK_STR(read_file(&k, "log"), "default-route mesh0 false\nllmnr mesh0 no\nmdns mesh0 no\nrevert mesh0\n");
	turn_until_run(&k, "revert mesh0\ndefault-route");
	CHECK(settle(&k, SOON_MS) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_FAILED);
	CHECK_INT(lines(read_file(&k, "said")), 1);
	/* Set anew it is tried at once, and works. */
	unlink(path(&k, "fail"));
	unlink(path(&k, "log"));
	CHECK(set(&k, "mesh0", "198.18.58.10") == 0 && settle(&k, SOON_MS));
	CHECK_INT(resolved_look(k.r, "mesh0", &why), RESOLVED_SET);
	CHECK_STR(why, "");
	CHECK_STR(read_file(&k, "log"), UP("mesh0", "198.18.58.10"));
	kit_release(&k);
}

TEST(it_works_when_tried_again)
{
	struct kit k;

	kit_init(&k);
	write_file(&k, "fail", "dns");
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0 && settle(&k, SOON_MS));
	CHECK_INT(resolved_look(k.r, "mesh0", NULL), RESOLVED_FAILED);
	unlink(path(&k, "fail"));
	turn_until(&k, "mesh0", RESOLVED_SET, RESOLVED_RETRY_MS + SOON_MS);
	kit_release(&k);
}

TEST(no_resolvectl_is_said_once)
{
	int64_t until;
	const char *why;
	struct kit k;

	kit_init(&k);
	resolved_free(k.r);
	k.r = resolved_new(k.loop, path(&k, "nothing"));
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0 && settle(&k, SOON_MS));
	CHECK_INT(resolved_look(k.r, "mesh0", &why), RESOLVED_FAILED);
	CHECK(strstr(why, "cannot start '") == why && strstr(why, "/nothing': No such file or directory") != NULL);
	until = clock_mono_ms() + RESOLVED_RETRY_MS + 1000;
	while (clock_mono_ms() < until)
		turn(&k);
	CHECK_INT(lines(read_file(&k, "said")), 1);
	CHECK(strstr(k.text, "meshlan names --hosts") != NULL);
	resolved_clear(k.r, "mesh0");
	CHECK(settle(&k, SOON_MS) && resolved_look(k.r, "mesh0", NULL) == RESOLVED_NONE);
	kit_release(&k);
}

TEST(a_command_that_hangs_holds_up_nothing_and_is_killed)
{
	int64_t from_ms = clock_mono_ms();
	const char *why;
	struct kit k;
	pid_t pid;

	kit_init(&k);
	write_file(&k, "hang", "domain");
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0);
	turn_until_run(&k, "domain mesh0");
	turn_until(&k, "mesh0", RESOLVED_FAILED, RESOLVED_COMMAND_MS + SOON_MS);
	CHECK(clock_mono_ms() - from_ms >= RESOLVED_COMMAND_MS);
	CHECK(k.longest_ms < 1000);
	resolved_look(k.r, "mesh0", &why);
	CHECK_STR(why, "resolvectl has not ended within 10 s");
	pid = (pid_t)atoi(read_file(&k, "pid"));
	CHECK(pid > 0 && kill(pid, 0) < 0 && errno == ESRCH);
	CHECK(settle(&k, SOON_MS));
	CHECK(strstr(read_file(&k, "log"), "domain mesh0 ~mesh\nrevert mesh0\n") != NULL);
	kit_release(&k);
}

TEST(the_end_does_not_wait_for_ever)
{
	int64_t from_ms;
	struct kit k;
	pid_t pid;

	kit_init(&k);
	CHECK(set(&k, "mesh0", "198.18.58.9") == 0 && set(&k, "mesh1", "198.18.58.9") == 0 && settle(&k, SOON_MS));
	write_file(&k, "hang", "domain");
	CHECK(set(&k, "mesh2", "198.18.58.9") == 0);
	turn_until_run(&k, "domain mesh2");
	while (read_file(&k, "pid")[0] == '\0')
		turn(&k);
	pid = (pid_t)atoi(k.text);
	write_file(&k, "hang", "revert");
	from_ms = clock_mono_ms();
	resolved_free(k.r);
	k.r = NULL;
	CHECK(clock_mono_ms() - from_ms < RESOLVED_FREE_MS + 1000);
	CHECK(pid > 0 && kill(pid, 0) < 0 && errno == ESRCH);
	pid = (pid_t)atoi(read_file(&k, "pid"));
	CHECK(pid > 0 && kill(pid, 0) < 0 && errno == ESRCH);
	kit_release(&k);
}

TEST(what_could_be_something_else_is_refused)
{
	struct error err = ERROR_INIT;
	char name[16];
	struct kit k;
	int i;

	kit_init(&k);
	CHECK(resolved_set(k.r, "-i", "1.2.3.4", "mesh", &err) < 0 && err.kind == ERR_USAGE);
	CHECK(resolved_set(k.r, "mesh0", "nas", "mesh", &err) < 0 && err.kind == ERR_USAGE);
	CHECK(resolved_set(k.r, "mesh0", "1.2.3.4", ".", &err) < 0 && err.kind == ERR_USAGE);
	CHECK(resolved_idle(k.r) && read_file(&k, "log")[0] == '\0');
	for (i = 0; i < RESOLVED_LINKS_MAX; i++) {
		snprintf(name, sizeof(name), "mesh%d", i);
		CHECK(set(&k, name, "1.2.3.4") == 0);
	}
	CHECK(resolved_set(k.r, "one-more", "1.2.3.4", "mesh", &err) < 0 && err.kind == ERR_LIMIT);
	CHECK(resolved_set(k.r, "mesh1", "1.2.3.5", "mesh", &err) == 0);
	kit_release(&k);
}
