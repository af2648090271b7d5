/* lib/sys: files that survive the power cut, at every call that could fail. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>

#include "sys/fault.h"
#include "sys/file.h"

static char scratch[] = "/tmp/test_file.XXXXXX";

/* Each test runs in its own process: an open directory of its own, removed by leave(). */
static int enter(void)
{
	int fd;

	umask(077);
	REQUIRE(mkdtemp(scratch) != NULL);
	fd = open(scratch, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	return fd;
}

static void leave(int fd)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, scratch, &err), 0);
	CHECK(!file_exists(AT_FDCWD, scratch));
	close(fd);
}

/* The content of a file as text, "<kind>" when it cannot be read. */
static const char *content(int dir, const char *path)
{
	static char text[256];
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(200);

	if (file_read(dir, path, &b, &err) < 0)
		snprintf(text, sizeof(text), "<%s>", error_kind_name(err.kind));
	else
		snprintf(text, sizeof(text), "%s", buf_cstr(&b));
	buf_release(&b);
	return text;
}

static int mode_of(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, 0) < 0 ? -1 : (int)(st.st_mode & 07777);
}

TEST(file_replace_and_create)
{
	struct error err = ERROR_INIT;
	int d = enter();

	CHECK_INT(file_replace(d, "a", 0644, SLICE_LIT("one"), &err), 0);
	CHECK_STR(content(d, "a"), "one");
	CHECK_INT(mode_of(d, "a"), 0644);
	CHECK_INT(file_replace(d, "a", 0600, SLICE_LIT("two"), &err), 0);
	CHECK_STR(content(d, "a"), "two");
	CHECK_INT(mode_of(d, "a"), 0600);
	CHECK_INT(file_create(d, "a", 0600, SLICE_LIT("three"), &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_STR(err.text, "cannot create 'a': File exists");
	CHECK_STR(content(d, "a"), "two");
	CHECK_INT(file_create(d, "b", 0600, SLICE_LIT(""), &err), 0);
	CHECK_STR(content(d, "b"), "");
	CHECK_INT(file_replace(d, "no/such/place", 0600, SLICE_LIT("x"), &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_INT(file_replace(d, "dir/", 0600, SLICE_LIT("x"), &err), -1);
	leave(d);
}

TEST(file_name_too_long_is_refused)
{
	struct error err = ERROR_INIT;
	char name[300];
	int d = enter();

	memset(name, 'n', sizeof(name));
	name[242] = '\0';
	CHECK_INT(file_replace(d, name, 0600, SLICE_LIT("x"), &err), 0);
	name[242] = 'n';
	name[243] = '\0';
	CHECK_INT(file_replace(d, name, 0600, SLICE_LIT("x"), &err), -1);
	CHECK_INT(err.kind, ERR_FAILED);
	leave(d);
}

TEST(file_read_refuses)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(4);
	int d = enter();

	CHECK_INT(file_replace(d, "four", 0600, SLICE_LIT("1234"), &err), 0);
	CHECK_INT(file_replace(d, "five", 0600, SLICE_LIT("12345"), &err), 0);
	CHECK_INT(file_read(d, "four", &b, &err), 0);
	CHECK_STR(buf_cstr(&b), "1234");
	buf_clear(&b);
	CHECK_INT(file_read(d, "five", &b, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_INT(b.len, 4);
	buf_release(&b);
	CHECK_STR(content(d, "none"), "<not_found>");
	REQUIRE(symlinkat("four", d, "link") == 0 && mkfifoat(d, "fifo", 0600) == 0);
	CHECK_STR(content(d, "link"), "<refused>");
	CHECK_STR(content(d, "fifo"), "<refused>");
	CHECK_STR(content(d, "."), "<refused>");
	leave(d);
}

TEST(file_read_private_wants_the_owner_alone)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_SECRET(100);
	int d = enter();

	CHECK_INT(file_replace(d, "key", 0600, SLICE_LIT("s3cret"), &err), 0);
	CHECK_INT(file_read_private(d, "key", &b, &err), 0);
	CHECK_STR(buf_cstr(&b), "s3cret");
	buf_clear(&b);
	REQUIRE(fchmodat(d, "key", 0640, 0) == 0);
	CHECK_INT(file_read_private(d, "key", &b, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_STR(err.text, "'key' is open to group or others (mode 0640)");
	CHECK(strstr(err.hint, "chmod 600 'key'") != NULL);
	REQUIRE(fchmodat(d, "key", 0602, 0) == 0);
	CHECK_INT(file_read_private(d, "key", &b, &err), -1);
	if (geteuid() == 0) {
		REQUIRE(fchmodat(d, "key", 0600, 0) == 0 && fchownat(d, "key", 12345, 0, 0) == 0);
		err = ERROR_INIT;
		CHECK_INT(file_read_private(d, "key", &b, &err), -1);
		CHECK_INT(err.kind, ERR_REFUSED);
		CHECK(strstr(err.text, "belongs to user 12345") != NULL);
	}
	buf_release(&b);
	leave(d);
}

TEST(file_mkdirs_and_remove_tree)
{
	struct error err = ERROR_INIT;
	int d = enter();

	CHECK_INT(file_mkdirs(d, "a/b//c/", 0755, &err), 0);
	CHECK_INT(mode_of(d, "a/b/c"), 0755);
	CHECK_INT(file_mkdirs(d, "a/b/c", 0700, &err), 0);
	CHECK_INT(mode_of(d, "a/b/c"), 0755);
	CHECK_INT(file_replace(d, "a/f", 0600, SLICE_LIT("x"), &err), 0);
	CHECK_INT(file_mkdirs(d, "a/f/g", 0700, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	REQUIRE(mkdirat(d, "keep", 0700) == 0 && symlinkat("../keep", d, "a/link") == 0);
	CHECK_INT(file_replace(d, "keep/me", 0600, SLICE_LIT("x"), &err), 0);
	CHECK_INT(file_remove_tree(d, "a", &err), 0);
	CHECK(!file_exists(d, "a"));
	CHECK(file_exists(d, "keep/me"));
	CHECK_INT(file_remove_tree(d, "a", &err), 0);
	leave(d);
}

TEST(file_rename_and_unlink)
{
	struct error err = ERROR_INIT;
	int d = enter();

	CHECK_INT(file_mkdirs(d, "x", 0700, &err), 0);
	CHECK_INT(file_replace(d, "old", 0600, SLICE_LIT("1"), &err), 0);
	CHECK_INT(file_rename(d, "old", d, "x/new", &err), 0);
	CHECK_STR(content(d, "x/new"), "1");
	CHECK_INT(file_rename(d, "old", d, "x/new", &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_INT(file_unlink(d, "x/new", &err), 0);
	CHECK_INT(file_unlink(d, "x/new", &err), 0);
	CHECK_INT(file_unlink(d, "x", &err), -1);
	leave(d);
}

TEST(file_lock_is_exclusive)
{
	struct error err = ERROR_INIT;
	int d = enter();
	int a = file_lock(d, "lock", &err);
	int b;

	REQUIRE(a >= 0);
	CHECK_INT(file_lock(d, "lock", &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	file_close(&a);
	CHECK_INT(a, -1);
	b = file_lock(d, "lock", &err);
	CHECK(b >= 0);
	file_close(&b);
	leave(d);
}

TEST(file_copy_copies)
{
	static uint8_t big[300000], back[sizeof(big) + 1];
	struct error err = ERROR_INIT;
	const char *how = NULL;
	int d = enter(), from, to;
	size_t i;

	for (i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 256);
	CHECK_INT(file_replace(d, "big", 0600, slice_of(big, sizeof(big)), &err), 0);
	from = file_open(d, "big", O_RDONLY, 0, &err);
	to = file_open(d, "copy", O_RDWR | O_CREAT | O_EXCL, 0600, &err);
	REQUIRE(from >= 0 && to >= 0);
	CHECK_INT(file_copy(from, to, sizeof(big), &how, &err), 0);
	CHECK(how != NULL);
	CHECK_INT(file_pread(to, back, sizeof(back), 0, "copy", &err), sizeof(big));
	CHECK(memcmp(big, back, sizeof(big)) == 0);
	REQUIRE(ftruncate(to, 0) == 0);
	CHECK_INT(file_copy(from, to, 1000, &how, &err), 0);
	CHECK_INT(file_pread(to, back, sizeof(back), 0, "copy", &err), 1000);
	CHECK_INT(file_copy(from, to, sizeof(big) + 1, &how, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	file_close(&from);
	file_close(&to);
	leave(d);
}

TEST(newfile_sweep_removes_only_leftovers)
{
	struct newfile f = NEWFILE_INIT;
	struct error err = ERROR_INIT;
	int d = enter();

	newfile_abort(&f);
	CHECK_INT(newfile_open(&f, d, "root.json", 0644, &err), 0);
	CHECK_INT(file_replace(d, "x.tmp.0123456", 0600, SLICE_LIT(""), &err), 0);
	CHECK_INT(file_replace(d, ".tmp.01234567", 0600, SLICE_LIT(""), &err), 0);
	CHECK(file_exists(d, f.tmp));
	CHECK_INT(newfile_sweep(d, ".", &err), 0);
	CHECK(!file_exists(d, f.tmp));
	CHECK(file_exists(d, "x.tmp.0123456"));
	CHECK(file_exists(d, ".tmp.01234567"));
	newfile_abort(&f);
	newfile_abort(&f);
	leave(d);
}

TEST(names_are_exchanged_linked_and_directories_removed)
{
	struct error err = ERROR_INIT;
	int d = enter();

	CHECK_INT(file_mkdirs(d, "old/deep", 0755, &err), 0);
	CHECK_INT(file_replace(d, "new", 0644, SLICE_LIT("n"), &err), 0);
	CHECK_INT(file_exchange(d, "old", "new", &err), 0);
	CHECK_STR(content(d, "old"), "n");
	CHECK(file_exists(d, "new/deep"));
	CHECK_INT(file_exchange(d, "old", "absent", &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(content(d, "old"), "n");
	CHECK_INT(file_link(d, "old", d, "new/too", &err), 0);
	CHECK_STR(content(d, "new/too"), "n");
	CHECK_INT(file_link(d, "old", d, "new/too", &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_INT(file_rmdir(d, "new", &err), -1);
	CHECK_INT(file_rmdir(d, "new/deep", &err), 0);
	CHECK_INT(file_rmdir(d, "old", &err), -1);
	CHECK(file_exists(d, "new") && file_exists(d, "old"));
	leave(d);
}

TEST(free_bytes_and_path_join)
{
	struct error err = ERROR_INIT;
	char path[4096];
	uint64_t n = 0;

	CHECK_INT(file_free_bytes(AT_FDCWD, &n, &err), 0);
	CHECK(n > 0);
	CHECK_STR(path_join(path, "/a", "b"), "/a/b");
}

#ifdef MESHANICS_TEST

/* How many names lie in the scratch directory, "." and ".." apart. */
static int leftovers(void)
{
	DIR *dir = opendir(scratch);
	int n = 0;

	REQUIRE(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

/* One replacement that goes wrong at call n; what it answered. */
static int replace_with_fault(int d, unsigned n, enum fault_mode mode)
{
	struct error err = ERROR_INIT;
	int r;

	fault_arm(n, mode);
	r = file_replace(d, "f", 0600, SLICE_LIT("the new content"), &err);
	fault_arm(0, FAULT_NONE);
	return r;
}

TEST(replace_fails_whole_at_every_call)
{
	static const enum fault_mode modes[] = {FAULT_ERROR, FAULT_FULL, FAULT_TORN};
	struct error err = ERROR_INIT;
	int d = enter();
	unsigned calls, n, m;

	fault_arm(0, FAULT_NONE);
	REQUIRE(file_replace(d, "f", 0600, SLICE_LIT("x"), &err) == 0);
	calls = fault_count();
	CHECK_INT(calls, 6);	/* create, set the mode, write, sync, rename, sync the directory */
	for (m = 0; m < 3; m++) {
		for (n = 1; n <= calls; n++) {
			REQUIRE(file_replace(d, "f", 0600, SLICE_LIT("the old content"), &err) == 0);
			CHECK_INT(replace_with_fault(d, n, modes[m]), -1);
			/* Only after the rename, when the directory's sync fails, is the new one there. */
			CHECK_STR(content(d, "f"), n < calls ? "the old content" : "the new content");
			CHECK_INT(leftovers(), 1);
		}
	}
	leave(d);
}

TEST(replace_survives_a_power_cut_at_every_call)
{
	struct error err = ERROR_INIT;
	int d = enter(), status;
	unsigned n;
	pid_t pid;

	for (n = 1; n <= 7; n++) {
		REQUIRE(file_replace(d, "f", 0600, SLICE_LIT("the old content"), &err) == 0);
		pid = fork();
		REQUIRE(pid >= 0);
		if (pid == 0)
			_exit(replace_with_fault(d, n, FAULT_CUT) == 0 ? 0 : 1);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		CHECK_INT(WEXITSTATUS(status), n <= 6 ? FAULT_CUT_STATUS : 0);
		CHECK_STR(content(d, "f"), n <= 5 ? "the old content" : "the new content");
		CHECK_INT(newfile_sweep(d, ".", &err), 0);
		CHECK_INT(leftovers(), 1);
	}
	leave(d);
}

/* Do `work` in a child that a power cut of this mode ends at its n-th call. */
static void until_cut(int d, void (*work)(int d), unsigned n, enum fault_mode mode)
{
	pid_t pid = fork();
	int status;

	REQUIRE(pid >= 0);
	if (pid == 0) {
		fault_arm(n, mode);
		work(d);
		_exit(1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), FAULT_CUT_STATUS);
}

#define DO(call)                  \
	do {                      \
		if ((call) < 0)   \
			_exit(2); \
	} while (0)

static void write_sync_write_rename(int d)
{
	struct error err = ERROR_INIT;
	int fd = file_open(d, "f", O_WRONLY | O_CREAT | O_EXCL, 0600, &err);	/* 1, 2 */

	DO(file_write_all(fd, SLICE_LIT("safe "), "f", &err));		/* 3 */
	DO(file_sync(fd, "f", &err));					/* 4 */
	DO(file_write_all(fd, SLICE_LIT("lost"), "f", &err));		/* 5 */
	DO(file_rename(d, "f", d, "g", &err));				/* 6, then 7 and 8 sync the directory */
}

TEST(a_cut_takes_what_was_not_synced)
{
	struct error err = ERROR_INIT;
	int d = enter();

	until_cut(d, write_sync_write_rename, 7, FAULT_CUT);
	CHECK_STR(content(d, "g"), "safe lo");
	REQUIRE(file_unlink(d, "g", &err) == 0);
	until_cut(d, write_sync_write_rename, 7, FAULT_CUTZERO);
	CHECK_STR(content(d, "g"), "safe ");
	REQUIRE(file_unlink(d, "g", &err) == 0);
	until_cut(d, write_sync_write_rename, 7, FAULT_CUTDIR);
	CHECK(!file_exists(d, "f") && !file_exists(d, "g"));
	until_cut(d, write_sync_write_rename, 8, FAULT_CUTDIR);
	CHECK(!file_exists(d, "f"));
	CHECK_STR(content(d, "g"), "safe ");
	leave(d);
}

static void overwrite(int d)
{
	struct error err = ERROR_INIT;
	int fd = file_open(d, "f", O_WRONLY, 0, &err);

	DO(file_pwrite_all(fd, SLICE_LIT("WXYZ"), 2, "f", &err));
	DO(file_pwrite_all(fd, SLICE_LIT("!!"), 0, "f", &err));
	DO(file_truncate(fd, 3, "f", &err));
	DO(file_chmod(fd, 0640, "f", &err));
	DO(file_pwrite_all(fd, SLICE_LIT("and more"), 8, "f", &err));
	DO(file_rename(d, "f", d, "g", &err));	/* cut at the sync of the directory */
}

TEST(a_cut_brings_back_what_was_written_over)
{
	struct error err = ERROR_INIT;
	struct stat st;
	int d = enter();

	REQUIRE(file_replace(d, "f", 0600, SLICE_LIT("0123456"), &err) == 0);
	until_cut(d, overwrite, 7, FAULT_CUTZERO);
	CHECK_STR(content(d, "g"), "0123456");
	REQUIRE(fstatat(d, "g", &st, 0) == 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	leave(d);
}

/* Every kind of name, changed and not synced. */
static void change_names(int d)
{
	struct error err = ERROR_INIT;
	int fd;

	DO(file_unlink(d, "removed", &err));
	DO(sys_rename(d, "moved", d, "replaced", 0));
	DO(sys_rename(d, "a", d, "b", RENAME_EXCHANGE));
	DO(file_remove_tree(d, "tree", &err));
	DO(sys_rename(d, "dir", d, "dir2", 0));
	DO(file_unlink(d, "link", &err));
	DO(file_symlink("new", d, "link", &err));
	DO(sys_mkdir(d, "fresh", 0700));
	DO((fd = file_open(d, "fresh/file", O_WRONLY | O_CREAT, 0600, &err)));
	DO(file_write_all(fd, SLICE_LIT("x"), "fresh", &err));
	DO(file_sync(fd, "fresh", &err));	/* of the file, not of its name */
	DO(file_link(d, "fresh/file", d, "last", &err));
}

static void make_names(int d)
{
	struct error err = ERROR_INIT;

	REQUIRE(file_replace(d, "removed", 0640, SLICE_LIT("removed"), &err) == 0);
	REQUIRE(file_replace(d, "moved", 0600, SLICE_LIT("moved"), &err) == 0);
	REQUIRE(file_replace(d, "replaced", 0600, SLICE_LIT("replaced"), &err) == 0);
	REQUIRE(file_replace(d, "a", 0600, SLICE_LIT("a"), &err) == 0);
	REQUIRE(file_replace(d, "b", 0600, SLICE_LIT("b"), &err) == 0);
	REQUIRE(file_mkdirs(d, "tree/deep", 0750, &err) == 0 && file_mkdirs(d, "dir", 0700, &err) == 0);
	REQUIRE(file_replace(d, "tree/deep/leaf", 0600, SLICE_LIT("leaf"), &err) == 0);
	REQUIRE(file_replace(d, "dir/leaf", 0600, SLICE_LIT("dir"), &err) == 0);
	REQUIRE(file_symlink("old", d, "link", &err) == 0 && file_sync_dir(d, ".", &err) == 0);
}

static unsigned count_calls(int d, void (*work)(int d))
{
	unsigned *calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int status;

	REQUIRE(calls != MAP_FAILED && pid >= 0);
	if (pid == 0) {
		fault_arm(0, FAULT_NONE);
		work(d);
		*calls = fault_count();
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	return *calls;
}

TEST(a_cut_of_names_brings_back_the_directory_as_it_was_synced)
{
	struct error err = ERROR_INIT;
	char target[8] = "";
	struct stat st;
	int d = enter();
	unsigned calls;

	make_names(d);
	calls = count_calls(d, change_names);
	REQUIRE(file_remove_tree(AT_FDCWD, scratch, &err) == 0 && mkdir(scratch, 0700) == 0);
	close(d);
	d = open(scratch, O_RDONLY | O_DIRECTORY);
	REQUIRE(d >= 0);
	make_names(d);
	until_cut(d, change_names, calls, FAULT_CUTDIR);
	CHECK_STR(content(d, "removed"), "removed");
	REQUIRE(fstatat(d, "removed", &st, 0) == 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	CHECK_STR(content(d, "moved"), "moved");
	CHECK_STR(content(d, "replaced"), "replaced");
	CHECK_STR(content(d, "a"), "a");
	CHECK_STR(content(d, "b"), "b");
	CHECK_STR(content(d, "tree/deep/leaf"), "leaf");
	CHECK_STR(content(d, "dir/leaf"), "dir");
	CHECK(readlinkat(d, "link", target, sizeof(target)) == 3 && strcmp(target, "old") == 0);
	CHECK(!file_exists(d, "dir2") && !file_exists(d, "fresh") && !file_exists(d, "last"));
	CHECK_INT(leftovers(), 8);

	/* With the directory synced all of it stays. */
	change_names(d);
	CHECK(file_sync_dir(d, ".", &err) == 0);
	CHECK_STR(content(d, "replaced"), "moved");
	CHECK_STR(content(d, "fresh/file"), "x");
	leave(d);
}

TEST(a_disk_that_is_given_up_stays_read_only)
{
	struct error err = ERROR_INIT;
	int d = enter();

	REQUIRE(file_replace(d, "f", 0600, SLICE_LIT("old"), &err) == 0);
	fault_arm(3, FAULT_ROFS);
	CHECK_INT(file_replace(d, "f", 0600, SLICE_LIT("new"), &err), -1);
	CHECK_INT(err.sys_errno, EROFS);
	CHECK(strstr(err.hint, "read-only") != NULL);
	CHECK_INT(file_unlink(d, "f", &err), -1);
	CHECK_INT(file_open(d, "f", O_RDWR, 0, &err), -1);
	CHECK_INT(err.sys_errno, EROFS);
	CHECK_STR(content(d, "f"), "old");
	fault_arm(0, FAULT_NONE);
	leave(d);
}

TEST(calls_on_no_file_are_not_counted)
{
	struct error err = ERROR_INIT;
	int pipe_fds[2], memory = memfd_create("test", MFD_CLOEXEC), d = enter();

	REQUIRE(memory >= 0 && pipe(pipe_fds) == 0);
	fault_arm(1, FAULT_ROFS);
	CHECK_INT(file_pwrite_all(memory, SLICE_LIT("x"), 0, "memory", &err), 0);
	CHECK_INT(file_write_all(pipe_fds[1], SLICE_LIT("x"), "pipe", &err), 0);
	CHECK_INT(fault_count(), 0);
	fault_arm(0, FAULT_NONE);
	leave(d);
}

TEST(create_fails_whole_at_every_call)
{
	struct error err = ERROR_INIT;
	int d = enter();
	unsigned n;

	for (n = 1; n <= 6; n++) {
		fault_arm(n, FAULT_ERROR);
		CHECK_INT(file_create(d, "f", 0600, SLICE_LIT("x"), &err), -1);
		fault_arm(0, FAULT_NONE);
		CHECK_INT(leftovers(), 0);
	}
	leave(d);
}

TEST(fault_text_is_strict)
{
	CHECK_INT(fault_arm_text("3:cut"), 0);
	CHECK_INT(fault_arm_text("1:error"), 0);
	CHECK_INT(fault_arm_text("1:rofs"), 0);
	CHECK_INT(fault_arm_text("1:cutzero"), 0);
	CHECK_INT(fault_arm_text("1:cutdir"), 0);
	CHECK_INT(fault_arm_worker_text("1:cut"), 0);
	CHECK_INT(fault_arm_worker_text("1:"), -1);
	CHECK_INT(fault_arm_text("0:error"), -1);
	CHECK_INT(fault_arm_text("3"), -1);
	CHECK_INT(fault_arm_text("3:"), -1);
	CHECK_INT(fault_arm_text(":cut"), -1);
	CHECK_INT(fault_arm_text("3:boom"), -1);
}

#endif
