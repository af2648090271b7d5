/* A file written at the end, by whoever we were at the beginning. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "sys/file.h"
#include "sys/latefile.h"
#include "sys/user.h"

static char dir[64];

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/meshanics-test.XXXXXX");
	REQUIRE(mkdtemp(dir) != NULL);
}

static void remove_dir(void)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, dir, &err), 0);
}

static void check_content(const char *path, const char *want)
{
	struct buf b = BUF_INIT(1000);
	struct error err = ERROR_INIT;

	CHECK_INT(file_read(AT_FDCWD, path, &b, &err), 0);
	CHECK_STR(buf_cstr(&b), want);
	buf_release(&b);
}

TEST(latefile_writes_at_commit_and_not_before)
{
	struct latefile f = LATEFILE_INIT;
	struct error err = ERROR_INIT;
	char path[96];

	make_dir();
	snprintf(path, sizeof(path), "%s/x", dir);
	REQUIRE(latefile_open(&f, path, 0640, &err) == 0);
	CHECK(!file_exists(AT_FDCWD, path));
	CHECK_INT(latefile_commit(&f, SLICE_LIT("hello"), &err), 0);
	check_content(path, "hello");
	/* Again over the old one; aborted, it leaves it; committed twice is once. */
	REQUIRE(latefile_open(&f, path, 0640, &err) == 0);
	latefile_abort(&f);
	latefile_abort(&f);
	check_content(path, "hello");
	CHECK_INT(latefile_commit(&f, SLICE_LIT("late"), &err), 0);
	check_content(path, "hello");
	REQUIRE(latefile_open(&f, NULL, 0640, &err) == 0);
	CHECK_INT(latefile_commit(&f, SLICE_LIT("nowhere"), &err), 0);
	remove_dir();
}

TEST(latefile_tells_what_went_wrong)
{
	struct latefile f = LATEFILE_INIT;
	struct error err = ERROR_INIT;
	char path[96];
	struct buf large = BUF_INIT(LATEFILE_SIZE_MAX + 1);

	make_dir();
	snprintf(path, sizeof(path), "%s/none/x", dir);
	REQUIRE(latefile_open(&f, path, 0640, &err) == 0);
	CHECK_INT(latefile_commit(&f, SLICE_LIT("hello"), &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	buf_reserve(&large, LATEFILE_SIZE_MAX + 1);
	large.len = LATEFILE_SIZE_MAX + 1;
	memset(large.ptr, 0, large.len);
	snprintf(path, sizeof(path), "%s/x", dir);
	REQUIRE(latefile_open(&f, path, 0640, &err) == 0);
	CHECK_INT(latefile_commit(&f, buf_slice(&large), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK(!file_exists(AT_FDCWD, path));
	buf_release(&large);
	remove_dir();
}

TEST(latefile_keeps_the_right_of_root)
{
	struct latefile f = LATEFILE_INIT;
	struct error err = ERROR_INIT;
	char path[96];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;	/* only root can become somebody else */
	make_dir();
	snprintf(path, sizeof(path), "%s/x", dir);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (latefile_open(&f, path, 0600, &err) < 0 || user_become(65534, 65534, &err) < 0)
			_exit(1);
		if (file_replace(AT_FDCWD, path, 0600, SLICE_LIT("mine"), &err) == 0)
			_exit(2);	/* the directory is root's alone */
		_exit(latefile_commit(&f, SLICE_LIT("root's"), &err) < 0 ? 3 : 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	check_content(path, "root's");
	remove_dir();
}
