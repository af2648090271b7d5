/* lib/sys/space: room that is asked for, taken, and given back. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>

#include "sys/fault.h"
#include "sys/file.h"
#include "sys/space.h"

#define KIB UINT64_C(1024)

static char scratch[] = "/tmp/test_space.XXXXXX";

static int enter(void)
{
	int fd;

	REQUIRE(mkdtemp(scratch) != NULL);
	fd = open(scratch, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	return fd;
}

static void leave(int fd)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, scratch, &err), 0);
	close(fd);
}

static struct spare spare_in(int d)
{
	return (struct spare){.dirfd = d, .name = "spare", .size = 256 * KIB, .step = 64 * KIB, .keep = KIB};
}

TEST(need_counts_what_stays_free)
{
	struct error err = ERROR_INIT;
	uint64_t free_bytes;
	char want[64];
	int d = enter();

	REQUIRE(file_free_bytes(d, &free_bytes, &err) == 0);
	CHECK_INT(space_need(d, "here", 1, KIB, &err), 0);
	CHECK_INT(space_need(d, "here", free_bytes + (UINT64_C(1) << 40), 5, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(space_is_error(&err));
	snprintf(want, sizeof(want), "needs %llu bytes in 'here' and 5 that stay free",
		 (unsigned long long)(free_bytes + (UINT64_C(1) << 40)));
	CHECK(strstr(err.text, want) != NULL);
	CHECK(strstr(err.text, " are free") != NULL);
	err = ERROR_INIT;
	CHECK_INT(space_need(d, "here", 0, free_bytes + (UINT64_C(1) << 40), &err), -1);
	err = ERROR_INIT;
	CHECK_INT(space_need(d, "here", UINT64_MAX, UINT64_MAX, &err), -1);
	leave(d);
}

TEST(take_holds_blocks_and_leaves_the_file)
{
	struct error err = ERROR_INIT;
	struct stat st;
	int d = enter(), fd = file_open(d, "f", O_RDWR | O_CREAT, 0600, &err);

	REQUIRE(fd >= 0 && file_write_all(fd, SLICE_LIT("abc"), "f", &err) == 0);
	CHECK_INT(space_take(fd, 0, "f", &err), 0);
	CHECK_INT(space_take(fd, 512 * KIB, "f", &err), 0);
	REQUIRE(fstat(fd, &st) == 0);
	CHECK_INT(st.st_size, 3);
	CHECK(space_taken(d, "f") >= 512 * KIB);
	CHECK_INT((int64_t)space_taken(d, "absent"), 0);
	CHECK_INT((int64_t)space_taken(d, "."), 0);
	close(fd);
	leave(d);
}

TEST(a_spare_gives_piece_by_piece_and_comes_back)
{
	struct error full = {.kind = ERR_FAILED, .sys_errno = ENOSPC}, other = {.kind = ERR_FAILED, .sys_errno = EIO};
	int d = enter(), pieces = 0;
	struct spare s = spare_in(d);

	spare_open(&s);
	CHECK(spare_whole(&s));
	CHECK(space_taken(d, "spare") >= 256 * KIB);
	CHECK(!spare_again(&s, &other));
	while (spare_again(&s, &full)) {
		pieces++;
		CHECK_INT((int64_t)space_taken(d, "spare"), (int64_t)s.held);
	}
	CHECK_INT(pieces, 4);
	CHECK_INT((int64_t)s.held, 0);
	CHECK_INT((int64_t)space_taken(d, "spare"), 0);
	spare_refill(&s);
	CHECK(spare_whole(&s));
	s = spare_in(d);
	CHECK(spare_give(&s) == false);	/* not opened: nothing is known to be held */
	spare_open(&s);
	CHECK(spare_give(&s));
	s = spare_in(d);
	s.keep = UINT64_C(1) << 62;	/* no room for that: it stays as it is */
	spare_open(&s);
	CHECK_INT((int64_t)s.held, 192 * (int64_t)KIB);
	leave(d);
}

#ifdef MESHANICS_TEST

TEST(take_on_a_full_disk_leaves_nothing)
{
	struct error err = ERROR_INIT;
	int d = enter(), fd = file_open(d, "f", O_RDWR | O_CREAT, 0600, &err);

	REQUIRE(fd >= 0);
	fault_arm(1, FAULT_FULL);
	CHECK_INT(space_take(fd, 512 * KIB, "f", &err), -1);
	CHECK_INT(fault_count(), 2);	/* fallocate, and the truncation */
	fault_arm(0, FAULT_NONE);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(space_is_error(&err));
	CHECK_INT((int64_t)space_taken(d, "f"), 0);
	close(fd);
	leave(d);
}

TEST(a_spare_on_a_full_disk_is_not_whole)
{
	int d = enter();
	struct spare s = spare_in(d);

	fault_arm(1, FAULT_FULL);
	spare_open(&s);
	fault_arm(0, FAULT_NONE);
	CHECK(!spare_whole(&s));
	CHECK(!spare_give(&s));
	spare_refill(&s);
	CHECK(spare_whole(&s));
	leave(d);
}

#endif
