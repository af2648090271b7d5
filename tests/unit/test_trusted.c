/* The trusted state on disk: names, commits, and a power cut at every system call. */
#include "tap.h"

#include <fcntl.h>

#include "sys/fault.h"
#include "tufkit.h"

static struct kit_store store;

static struct tuf_change put(const char *role, const char *text)
{
	return (struct tuf_change){role, slice_str(text), 1};
}

static struct tuf_change drop(const char *role)
{
	return (struct tuf_change){role, SLICE_EMPTY, 0};
}

/* The stored text of a role, or "-". */
static const char *get(const struct trusted *t, const char *role)
{
	static char text[2][256];
	static unsigned turn;
	struct buf b = BUF_INIT(200);
	struct error err = ERROR_INIT;
	char *out = text[turn++ % 2];

	snprintf(out, sizeof(text[0]), "%s", trusted_read(t, role, &b, &err) == 0 ? buf_cstr(&b) : "-");
	buf_release(&b);
	return out;
}

TEST(files_are_stored_and_removed)
{
	const struct tuf_change first[] = {put("root", "r1"), put("timestamp", "t1"), put("a/b", "x")};
	const struct tuf_change second[] = {put("root", "r2"), drop("timestamp"), drop("never-there")};
	struct error err = ERROR_INIT;
	int64_t floor_s = -1;

	kit_store_open(&store);
	CHECK_STR(get(&store.t, "root"), "-");
	CHECK_INT(trusted_floor(&store.t, &floor_s, &err), 0);
	CHECK_INT(floor_s, 0);
	CHECK_INT(trusted_commit(&store.t, first, 3, 1800000000, &err), 0);
	CHECK_STR(get(&store.t, "root"), "r1");
	CHECK_STR(get(&store.t, "a/b"), "x");
	CHECK(file_exists(store.t.dirfd, "a%2Fb.json"));
	CHECK_INT(trusted_commit(&store.t, second, 3, -1, &err), 0);
	CHECK_STR(get(&store.t, "root"), "r2");
	CHECK_STR(get(&store.t, "timestamp"), "-");
	CHECK_INT(trusted_floor(&store.t, &floor_s, &err), 0);
	CHECK_INT(floor_s, 1800000000);
	CHECK(!file_exists(store.t.dirfd, "commit"));
	kit_store_close(&store);
}

TEST(names_of_roles_become_names_of_files)
{
	static const char *const list[][2] = {
		{"root", "root.json"}, {"..", "...json"}, {"-", "-.json"}, {"a b", "a%20b.json"}, {"%", "%25.json"},
	};
	char longest[TUF_ROLE_NAME_MAX + 1], other[TUF_ROLE_NAME_MAX + 1];
	struct buf a = BUF_INIT(256), b = BUF_INIT(256);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(list); i++) {
		buf_clear(&a);
		trusted_filename(&a, list[i][0]);
		CHECK_STR(buf_cstr(&a), list[i][1]);
	}
	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(other, longest, sizeof(other));
	other[200] = 'x';
	buf_clear(&a);
	trusted_filename(&a, longest);
	trusted_filename(&b, other);
	CHECK_INT(a.len, strlen("%sha256-.json") + 64);
	CHECK(!slice_equal(buf_slice(&a), buf_slice(&b)));
	buf_release(&a);
	buf_release(&b);
}

TEST(one_process_at_a_time)
{
	struct error err = ERROR_INIT;
	struct trusted second = TRUSTED_INIT;

	kit_store_open(&store);
	CHECK_INT(trusted_open(&second, AT_FDCWD, store.dir, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	trusted_close(&store.t);
	CHECK_INT(trusted_open(&second, AT_FDCWD, store.dir, &err), 0);
	trusted_close(&second);
	trusted_close(&second);
	kit_store_close(&store);
}

TEST(a_damaged_floor_is_none)
{
	static const char *const texts[] = {"", "x\n", "12", "-5\n", "1 2\n", "99999999999999999999999\n", "\n"};
	struct error err = ERROR_INIT;
	int64_t floor_s;
	size_t i;

	kit_store_open(&store);
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		REQUIRE(file_replace(store.t.dirfd, "floor", 0600, slice_str(texts[i]), &err) == 0);
		CHECK_INT(trusted_floor(&store.t, &floor_s, &err), 0);
		CHECK_INT(floor_s, 0);
	}
	kit_store_close(&store);
}

static void reopen(void)
{
	struct error err = ERROR_INIT;

	trusted_close(&store.t);
	if (trusted_open(&store.t, AT_FDCWD, store.dir, &err) < 0) {
		printf("# %s\n", err.text);
		REQUIRE(false);
	}
}

/* A rotten list neither blocks the opening nor reaches out of the directory. */
TEST(a_damaged_commit_is_survived)
{
	static const char *const texts[] = {
		"", "x", "meshanics-commit 1\n", "meshanics-commit 1\n+root.json",
		"meshanics-commit 1\n-../outside\n+../../etc/passwd\n+\n\n-next/x\n",
	};
	const struct tuf_change change = put("root", "r1");
	struct error err = ERROR_INIT;
	size_t i;

	kit_store_open(&store);
	CHECK_INT(trusted_commit(&store.t, &change, 1, -1, &err), 0);
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		REQUIRE(file_replace(store.t.dirfd, "commit", 0600, slice_str(texts[i]), &err) == 0);
		reopen();
		CHECK_STR(get(&store.t, "root"), "r1");
		CHECK(!file_exists(store.t.dirfd, "commit"));
	}
	kit_store_close(&store);
}

#ifdef MESHANICS_TEST

static const char *const olds[] = {"root", "timestamp", "snapshot", "targets"};

static void first_state(void)
{
	const struct tuf_change changes[] = {put("root", "1"), put("timestamp", "1"), put("snapshot", "1"),
					     put("targets", "1")};
	struct error err = ERROR_INIT;

	REQUIRE(trusted_commit(&store.t, changes, 4, 1000, &err) == 0);
}

static int second_state(void)
{
	const struct tuf_change changes[] = {put("root", "2"), drop("timestamp"), put("snapshot", "2"),
					     put("targets", "2")};
	struct error err = ERROR_INIT;

	return trusted_commit(&store.t, changes, 4, 2000, &err);
}

/* 1 or 2 when all of the state is that of the first or the second commit, else 0. */
static int which_state(void)
{
	struct error err = ERROR_INIT;
	const char *root = get(&store.t, "root");
	int state = strcmp(root, "1") == 0 ? 1 : strcmp(root, "2") == 0 ? 2 : 0;
	const char *want = state == 1 ? "1" : "2";
	int64_t floor_s;
	size_t i;

	if (trusted_floor(&store.t, &floor_s, &err) < 0 || floor_s != state * 1000)
		return 0;
	for (i = 0; i < ARRAY_SIZE(olds); i++) {
		const char *role_want = i == 1 && state == 2 ? "-" : want;

		if (strcmp(get(&store.t, olds[i]), role_want) != 0)
			return 0;
	}
	return state;
}

/* The commit with the n-th call going wrong, in a child where the mode ends the process. */
static int commit_with_fault(unsigned n, enum fault_mode mode, int *r)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		fault_arm(n, mode);
		_exit(second_state() == 0 ? 0 : 1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	*r = WEXITSTATUS(status);
	return 0;
}

TEST(a_commit_is_all_or_nothing_at_every_system_call)
{
	static const enum fault_mode modes[] = {FAULT_ERROR, FAULT_FULL, FAULT_ROFS, FAULT_TORN,
						FAULT_CUT,   FAULT_CUTZERO, FAULT_CUTDIR};
	unsigned n, calls;
	size_t m;
	int r;

	kit_store_open(&store);
	first_state();
	fault_arm(0, FAULT_NONE);
	REQUIRE(second_state() == 0);
	calls = fault_count();
	CHECK(calls > 10);
	kit_store_close(&store);
	for (m = 0; m < ARRAY_SIZE(modes); m++)
		for (n = 1; n <= calls; n++) {
			int state;

			kit_store_open(&store);
			first_state();
			commit_with_fault(n, modes[m], &r);
			reopen();
			state = which_state();
			if (state == 0 || (r == 0 && state != 2)) {
				printf("# call %u, mode %d: status %d, state %d\n", n, (int)modes[m], r, state);
				tap_failures++;
			}
			/* And the store goes on working. */
			CHECK_INT(second_state(), 0);
			CHECK_INT(which_state(), 2);
			kit_store_close(&store);
		}
}

/* The power fails again while the opening finishes the commit. */
TEST(an_opening_is_all_or_nothing_too)
{
	unsigned n, k;
	int r;

	for (k = 1; k < 60; k++) {
		bool ended = false;

		for (n = 1; n < 40 && !ended; n++) {
			struct error err = ERROR_INIT;
			struct trusted t;
			int status;
			pid_t pid;

			kit_store_open(&store);
			first_state();
			commit_with_fault(k, FAULT_CUT, &r);
			trusted_close(&store.t);
			if (r != FAULT_CUT_STATUS) {
				n = 40;
				k = 60;
			}
			fflush(stdout);
			pid = fork();
			REQUIRE(pid >= 0);
			if (pid == 0) {
				fault_arm(n, FAULT_CUT);
				_exit(trusted_open(&t, AT_FDCWD, store.dir, &err) == 0 ? 0 : 1);
			}
			REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
			ended = WEXITSTATUS(status) != FAULT_CUT_STATUS;
			reopen();
			CHECK(which_state() != 0);
			kit_store_close(&store);
		}
	}
}

#endif
