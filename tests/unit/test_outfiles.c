/* Large files that appear together, made by a child that outlives us just long enough. */
#include "tap.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sys/file.h"
#include "sys/outfiles.h"
#include "sys/user.h"

static char dir[64];

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/meshanics-test.XXXXXX");
	REQUIRE(mkdtemp(dir) != NULL);
}

static void end(void)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, dir, &err), 0);
}

static char *path_of(const char *name)
{
	static char path[4096];

	return path_join(path, dir, name);
}

static void put(struct outfiles *o, const char *name, const char *text)
{
	struct error err = ERROR_INIT;
	int fd = outfiles_add(o, name, &err);

	REQUIRE(fd >= 0);
	CHECK_INT(file_write_all(fd, slice_str(text), name, &err), 0);
	CHECK_INT(file_sync(fd, name, &err), 0);
	close(fd);
}

static void check_content(const char *name, const char *want)
{
	struct buf b = BUF_INIT(1000);
	struct error err = ERROR_INIT;

	CHECK_INT(file_read(AT_FDCWD, path_of(name), &b, &err), 0);
	CHECK_STR(buf_cstr(&b), want);
	buf_release(&b);
}

static bool there(const char *name)
{
	return file_exists(AT_FDCWD, path_of(name));
}

TEST(outfiles_appear_together_at_the_commit)
{
	struct outfiles o = OUTFILES_INIT;
	struct error err = ERROR_INIT;
	struct stat st;

	begin();
	CHECK_INT(outfiles_open(&o, dir, false, &err), 0);
	put(&o, "a", "one");
	put(&o, "b", "two");
	CHECK(!there("a") && !there("b") && there("a" OUTFILES_PART));
	CHECK_INT(outfiles_commit(&o, &err), 0);
	outfiles_close(&o);
	outfiles_close(&o);
	check_content("a", "one");
	check_content("b", "two");
	CHECK(!there("a" OUTFILES_PART));
	CHECK(stat(path_of("a"), &st) == 0 && (st.st_mode & 07777) == 0644);
	end();
}

TEST(outfiles_without_a_commit_leave_nothing)
{
	struct outfiles o = OUTFILES_INIT;
	struct error err = ERROR_INIT;

	begin();
	CHECK_INT(outfiles_open(&o, dir, false, &err), 0);
	put(&o, "a", "one");
	outfiles_close(&o);
	CHECK(!there("a") && !there("a" OUTFILES_PART));
	CHECK_INT(outfiles_open(&o, path_of("nowhere"), false, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	outfiles_close(&o);
	end();
}

TEST(outfiles_replace_only_when_told_to)
{
	struct outfiles o = OUTFILES_INIT;
	struct error err = ERROR_INIT;
	bool was;

	begin();
	CHECK_INT(file_create(AT_FDCWD, path_of("a"), 0644, SLICE_LIT("old"), &err), 0);
	CHECK_INT(file_create(AT_FDCWD, path_of("a.old"), 0644, SLICE_LIT("old"), &err), 0);
	CHECK_INT(outfiles_open(&o, dir, false, &err), 0);
	CHECK_INT(outfiles_add(&o, "a", &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_INT(outfiles_drop(&o, "a.old", &was, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_INT(outfiles_drop(&o, "none", &was, &err), 0);
	CHECK(!was);
	/* Somebody is faster: then all of it is taken back. */
	put(&o, "c", "three");
	put(&o, "d", "four");
	CHECK_INT(file_create(AT_FDCWD, path_of("d"), 0644, SLICE_LIT("theirs"), &err), 0);
	CHECK_INT(outfiles_commit(&o, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	outfiles_close(&o);
	check_content("a", "old");
	check_content("d", "theirs");
	CHECK(!there("c") && !there("c" OUTFILES_PART) && !there("d" OUTFILES_PART));
	/* With replace. */
	CHECK_INT(outfiles_open(&o, dir, true, &err), 0);
	put(&o, "a", "new");
	CHECK_INT(outfiles_drop(&o, "a.old", &was, &err), 0);
	CHECK(was && there("a.old"));
	CHECK_INT(outfiles_commit(&o, &err), 0);
	outfiles_close(&o);
	check_content("a", "new");
	CHECK(!there("a.old"));
	end();
}

TEST(outfiles_names_stay_in_their_directory)
{
	struct outfiles o = OUTFILES_INIT;
	struct error err = ERROR_INIT;
	char name[OUTFILES_NAME_MAX + 2];

	begin();
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CHECK_INT(outfiles_open(&o, dir, false, &err), 0);
	CHECK_INT(outfiles_add(&o, "../x", &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK_INT(outfiles_add(&o, "..", &err), -1);
	CHECK_INT(outfiles_add(&o, name, &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	name[OUTFILES_NAME_MAX] = '\0';
	put(&o, name, "long");
	CHECK_INT(outfiles_commit(&o, &err), 0);
	outfiles_close(&o);
	check_content(name, "long");
	end();
}

/* What a power cut has left goes; what another process writes stays. */
/* A process that has given up its rights, and that strangers' bytes have taken over, speaks to the child itself. */
TEST(outfiles_child_does_not_believe_who_asks)
{
	static const char *const bad[] = {"../stolen", "sub/x", "/tmp/stolen", "..", ".", ""};
	struct {
		int kind;	/* 0: add, 1: drop */
		char name[OUTFILES_NAME_MAX + 1];
	} q;
	char answer[sizeof(struct error) + 64];
	struct error err = ERROR_INIT, said;
	struct outfiles o = OUTFILES_INIT;
	size_t i;

	begin();
	REQUIRE(mkdir(path_of("in"), 0700) == 0 && mkdir(path_of("in/sub"), 0700) == 0);
	REQUIRE(outfiles_open(&o, path_of("in"), true, &err) == 0);
	for (i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		q.kind = (int)(i % 2);
		memset(q.name, 0, sizeof(q.name));
		memcpy(q.name, bad[i / 2], strlen(bad[i / 2]));
		REQUIRE(send(o.sock, &q, sizeof(q), 0) == (ssize_t)sizeof(q));
		REQUIRE(recv(o.sock, answer, sizeof(answer), 0) >= (ssize_t)sizeof(said));
		memcpy(&said, answer, sizeof(said));
		CHECK_INT(said.kind, ERR_USAGE);
		CHECK(strstr(said.text, "is no file name") != NULL);
	}
	CHECK(!there("stolen" OUTFILES_PART) && !there("in/sub/x" OUTFILES_PART));
	put(&o, "good", "x");
	CHECK_INT(outfiles_commit(&o, &err), 0);
	CHECK(there("in/good"));
	outfiles_close(&o);
	end();
}

TEST(outfiles_sweep_what_nobody_holds)
{
	struct outfiles a = OUTFILES_INIT, b = OUTFILES_INIT;
	struct error err = ERROR_INIT;

	begin();
	CHECK_INT(file_create(AT_FDCWD, path_of("left" OUTFILES_PART), 0644, SLICE_LIT("x"), &err), 0);
	CHECK_INT(file_create(AT_FDCWD, path_of("mine.part"), 0644, SLICE_LIT("x"), &err), 0);
	CHECK_INT(outfiles_open(&a, dir, false, &err), 0);
	put(&a, "a", "one");
	CHECK_INT(outfiles_open(&b, dir, false, &err), 0);
	put(&b, "b", "two");
	CHECK_INT(outfiles_add(&b, "a", &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(!there("left" OUTFILES_PART) && there("mine.part") && there("a" OUTFILES_PART));
	CHECK_INT(outfiles_commit(&a, &err), 0);
	CHECK_INT(outfiles_commit(&b, &err), 0);
	outfiles_close(&a);
	outfiles_close(&b);
	check_content("a", "one");
	check_content("b", "two");
	end();
}

TEST(outfiles_of_a_process_that_is_killed_go)
{
	struct outfiles o = OUTFILES_INIT;
	struct error err = ERROR_INIT;
	int status, i;
	pid_t pid;

	begin();
	pid = fork();
	if (pid == 0) {
		if (outfiles_open(&o, dir, false, &err) == 0 && outfiles_add(&o, "a", &err) >= 0)
			raise(SIGKILL);
		_exit(1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	for (i = 0; i < 500 && there("a" OUTFILES_PART); i++)
		usleep(10000);
	CHECK(!there("a") && !there("a" OUTFILES_PART));
	end();
}

TEST(outfiles_keep_the_rights_of_who_began)
{
	struct outfiles o = OUTFILES_INIT;
	struct error err = ERROR_INIT;
	struct stat st;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		printf("# not root\n");
		return;
	}
	begin();
	pid = fork();
	if (pid == 0) {
		if (outfiles_open(&o, dir, false, &err) < 0 || user_become(12345, 12345, &err) < 0)
			_exit(1);
		put(&o, "a", "one");
		_exit(outfiles_commit(&o, &err) < 0 ? 2 : tap_failures > 0 ? 3 : 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check_content("a", "one");
	CHECK(stat(path_of("a"), &st) == 0 && st.st_uid == 0);
	end();
}
