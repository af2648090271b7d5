/* Sticks: names, sums, what is refused, and that an interruption at every call leaves old or new. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bundle/media.h"
#include "sys/fault.h"
#include "sys/file.h"

static char dir[64];
static struct error err;

static void leave(void)
{
	struct error ignored = ERROR_INIT;

	(void)!file_remove_tree(AT_FDCWD, dir, &ignored);
}

static void begin(void)
{
	NEEDS_OPENAT2();
	snprintf(dir, sizeof(dir), "/tmp/meshanics-test.XXXXXX");
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
}

/* A path below the stick's `meshanics`; good until the fourth call after it. */
static const char *at(const char *path)
{
	static char out[4][256];
	static unsigned n;

	snprintf(out[++n % 4], sizeof(out[0]), "%s/" MEDIA_DIR "/%s", dir, path);
	return out[n % 4];
}

static struct media *stick(bool write)
{
	struct media *m;

	err = ERROR_INIT;
	m = media_open(dir, write, &err);
	if (m == NULL)
		CHECK_STR(err.text, "an open stick");
	REQUIRE(m != NULL);
	return m;
}

static void put(const char *path, const char *text)
{
	REQUIRE(file_replace(AT_FDCWD, at(path), 0644, slice_str(text), &err) == 0);
}

static void holds(struct media *m, const char *name, const char *text)
{
	struct buf b = BUF_INIT(4096);

	err = ERROR_INIT;
	CHECK_INT(media_read(m, MEDIA_ENROLL, name, &b, &err), 0);
	CHECK_STR(buf_cstr(&b), text);
	buf_release(&b);
}

static void refuses(int r, enum error_kind kind, const char *says)
{
	CHECK_INT(r, -1);
	CHECK_INT(err.kind, kind);
	if (strstr(err.text, says) == NULL)
		CHECK_STR(err.text, says);
	err = ERROR_INIT;
}

/* ---- names ---- */

TEST(names_that_every_system_can_keep)
{
	static const char *const good[] = {"a", "0.bundle", "press-1.request", "depot-7-000001.bundle.001", "com0.x", "console",
					   "x.con", "lpt10.x", "a..b"};
	static const char *const bad[] = {"", ".", "..", ".hidden", "-x", "_x", "A", "press-1.Request", "a/b", "a\\b", "a b", "a:b",
					  "x.", "con", "con.request", "nul.answer", "com1.bundle", "lpt9", "aux.x.y", "prn",
					  "\xc3\xa4.request", "a\n", "x~1"};
	char longest[MEDIA_NAME_MAX + 2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_INT(media_name_check(slice_str(good[i]), &err), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		refuses(media_name_check(slice_str(bad[i]), &err), ERR_MALFORMED, "file name");
	memset(longest, 'x', sizeof(longest));
	CHECK_INT(media_name_check(slice_of(longest, MEDIA_NAME_MAX), &err), 0);
	refuses(media_name_check(slice_of(longest, MEDIA_NAME_MAX + 1), &err), ERR_MALFORMED, "bytes");
}

TEST(kinds_by_their_endings)
{
	CHECK(media_name_is(MEDIA_BUNDLES, SLICE_LIT("x.bundle")) && media_name_is(MEDIA_BUNDLES, SLICE_LIT("x.bundle.999")));
	CHECK(!media_name_is(MEDIA_BUNDLES, SLICE_LIT("x.bundle.1")) && !media_name_is(MEDIA_BUNDLES, SLICE_LIT("x.bundle.0001")));
	CHECK(!media_name_is(MEDIA_BUNDLES, SLICE_LIT("x.receipt")) && media_name_is(MEDIA_RECEIPTS, SLICE_LIT("x.receipt")));
	CHECK(media_name_is(MEDIA_ENROLL, SLICE_LIT("x.request")) && media_name_is(MEDIA_ENROLL, SLICE_LIT("x.identity")));
	CHECK(!media_name_is(MEDIA_ENROLL, SLICE_LIT("x.request.tmp.00112233")));
}

/* ---- sums ---- */

#define H "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(sums_read_back_in_order)
{
	struct buf out = BUF_INIT(4096);
	struct media_sums s;

	REQUIRE(media_sums_parse(&s, SLICE_LIT(H "  b/y.x\n" H " *a/x\n" H "  Notes of mine.txt\n"), &err) == 0);
	CHECK_INT(s.count, 3);
	CHECK(media_sums_find(&s, "a/x") != NULL && media_sums_find(&s, "a") == NULL);
	media_sums_put(&out, &s);
	CHECK_STR(buf_cstr(&out), H "  Notes of mine.txt\n" H "  a/x\n" H "  b/y.x\n");
	CHECK_INT(media_sums_set(&s, "a/x", NULL, &err), 0);
	CHECK_INT(media_sums_set(&s, "a/x", NULL, &err), 0);
	CHECK(media_sums_find(&s, "a/x") == NULL && media_sums_find(&s, "b/y.x") != NULL);
	media_sums_release(&s);
	buf_release(&out);
	REQUIRE(media_sums_parse(&s, SLICE_EMPTY, &err) == 0);
	CHECK_INT(s.count, 0);
	media_sums_release(&s);
}

TEST(sums_that_are_none_are_refused)
{
	static const char *const bad[] = {
		"\n", "x\n", H "\n", H "  \n", H "  a", H " a/b\n", H "   \\a\n", "\\" H "  a\\nb\n", H "  /a\n", H "  ../a\n",
		H "  a/../b\n", H "  a//b\n", H "  ./a\n", H "  a/\n", H "  a\tb\n", H "  a\r\n", "0123  a\n",
		"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef  a\n", H "0  a\n", H "  a\n\n", H "  a\n" H "  a\n",
		"g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  a\n",
	};
	struct media_sums s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (media_sums_parse(&s, slice_str(bad[i]), &err) == 0)
			CHECK_STR("accepted", bad[i]);
		refuses(-1, ERR_MALFORMED, MEDIA_SUMS);
		CHECK(s.list == NULL && s.count == 0);
	}
}

TEST(sums_have_a_ceiling)
{
	struct buf text = BUF_INIT(2 * MEDIA_SUMS_MAX);
	struct media_sums s;
	unsigned i;

	for (i = 0; i < MEDIA_FILES_MAX; i++)
		buf_printf(&text, H "  %u\n", i);
	REQUIRE(media_sums_parse(&s, buf_slice(&text), &err) == 0);
	CHECK_INT(s.count, MEDIA_FILES_MAX);
	refuses(media_sums_set(&s, "more", (const uint8_t *)H, &err), ERR_LIMIT, "files");
	media_sums_release(&s);
	buf_printf(&text, H "  more\n");
	refuses(media_sums_parse(&s, buf_slice(&text), &err), ERR_LIMIT, "files");
	while (text.len <= MEDIA_SUMS_MAX)
		buf_printf(&text, H "  more\n");
	refuses(media_sums_parse(&s, buf_slice(&text), &err), ERR_LIMIT, "larger");
	buf_release(&text);
}

/* ---- files ---- */

struct told {
	unsigned files, listed;
};

static void tell(void *arg, enum media_kind kind, const char *name, bool listed)
{
	struct told *t = arg;

	CHECK(media_name_is(kind, slice_str(name)));
	t->files++;
	t->listed += listed;
}

TEST(what_is_written_is_there_with_its_sum)
{
	struct told t = {0};
	struct media *m;
	struct stat st;

	begin();
	m = stick(true);
	CHECK_INT(media_write(m, MEDIA_ENROLL, "b.request", SLICE_LIT("one"), &err), 0);
	CHECK_INT(media_write(m, MEDIA_ENROLL, "a.identity", SLICE_LIT("key"), &err), 0);
	CHECK_INT(media_write(m, MEDIA_BUNDLES, "main-000001.bundle.001", SLICE_LIT("tar"), &err), 0);
	holds(m, "b.request", "one");
	CHECK_INT(media_write(m, MEDIA_ENROLL, "b.request", SLICE_LIT("two"), &err), 0);
	holds(m, "b.request", "two");
	REQUIRE(stat(at("enroll/a.identity"), &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	REQUIRE(stat(at("enroll/b.request"), &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0644);
	CHECK_INT(media_check(m, tell, &t, &err), 0);
	CHECK_INT(t.files, 3);
	CHECK_INT(t.listed, 3);
	CHECK_INT(media_remove(m, MEDIA_ENROLL, "b.request", &err), 0);
	CHECK_INT(media_remove(m, MEDIA_ENROLL, "b.request", &err), 0);
	CHECK_INT(media_check(m, NULL, NULL, &err), 0);
	refuses(media_write(m, MEDIA_ENROLL, "x.bundle", SLICE_LIT("x"), &err), ERR_MALFORMED, "no name for");
	refuses(media_write(m, MEDIA_ENROLL, "../x.request", SLICE_LIT("x"), &err), ERR_MALFORMED, "file name");
	media_close(m);
}

TEST(a_large_file_goes_by_parts)
{
	struct newfile f = NEWFILE_INIT;
	uint8_t sha[SHA256_LEN];
	struct media *m;

	begin();
	m = stick(true);
	sha256_of(SLICE_LIT("halfhalf"), sha);
	REQUIRE(media_begin(m, MEDIA_ENROLL, "x.answer", &f, &err) == 0);
	CHECK(newfile_write(&f, SLICE_LIT("half"), &err) == 0 && newfile_write(&f, SLICE_LIT("half"), &err) == 0);
	CHECK_INT(media_commit(m, MEDIA_ENROLL, "x.answer", &f, sha, &err), 0);
	newfile_abort(&f);
	holds(m, "x.answer", "halfhalf");
	CHECK_INT(media_sum_check(m, MEDIA_ENROLL, "x.answer", sha, &err), 0);
	sha[0] ^= 1;
	refuses(media_sum_check(m, MEDIA_ENROLL, "x.answer", sha, &err), ERR_REFUSED, "enroll/x.answer");
	CHECK_INT(media_sum_check(m, MEDIA_ENROLL, "y.answer", sha, &err), 0);
	media_close(m);
}

TEST(a_reader_needs_a_stick_and_writes_nothing)
{
	struct media *m;

	begin();
	CHECK(media_open(dir, false, &err) == NULL);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(err.hint[0] != '\0');
	media_close(stick(true));
	m = stick(false);
	refuses(media_write(m, MEDIA_ENROLL, "x.answer", SLICE_LIT("x"), &err), ERR_FAILED, "reading");
	media_close(m);
}

TEST(one_writer_at_a_time_and_readers_beside_him)
{
	struct media *m, *r;

	begin();
	m = stick(true);
	CHECK(media_open(dir, true, &err) == NULL);
	CHECK_INT(err.kind, ERR_RETRY);
	r = stick(false);
	media_close(r);
	media_close(m);
	media_close(stick(true));
}

/* Before the list and before one file: what is refused there. */
static void list_refuses(enum error_kind kind, const char *says)
{
	struct media *m = stick(false);
	struct media_list l;

	refuses(media_list(m, MEDIA_ENROLL, &l, &err), kind, says);
	CHECK(l.files == NULL && l.count == 0);
	media_close(m);
}

static void read_refuses(const char *name, enum error_kind kind, const char *says)
{
	struct buf b = BUF_INIT(4096);
	struct media *m = stick(false);

	refuses(media_read(m, MEDIA_ENROLL, name, &b, &err), kind, says);
	media_close(m);
	buf_release(&b);
}

TEST(links_and_devices_are_refused)
{
	begin();
	media_close(stick(true));
	put("secret", "x");
	REQUIRE(file_symlink("../secret", AT_FDCWD, at("enroll/x.request"), &err) == 0);
	list_refuses(ERR_REFUSED, "'enroll/x.request' is a symbolic link");
	read_refuses("x.request", ERR_REFUSED, "symbolic link");
	REQUIRE(file_unlink(AT_FDCWD, at("enroll/x.request"), &err) == 0);
	REQUIRE(mkfifo(at("enroll/x.request"), 0644) == 0);
	list_refuses(ERR_REFUSED, "a FIFO");
	read_refuses("x.request", ERR_REFUSED, "not a regular file");
	REQUIRE(file_unlink(AT_FDCWD, at("enroll/x.request"), &err) == 0);
	REQUIRE(mkdir(at("enroll/x.request"), 0755) == 0);
	list_refuses(ERR_REFUSED, "a directory");
	read_refuses("x.request", ERR_REFUSED, "not a regular file");
}

TEST(a_link_in_place_of_a_directory_is_refused)
{
	char elsewhere[96], whole[96];

	begin();
	media_close(stick(true));
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", dir);
	snprintf(whole, sizeof(whole), "%s/" MEDIA_DIR, dir);
	REQUIRE(mkdir(elsewhere, 0755) == 0);
	REQUIRE(file_remove_tree(AT_FDCWD, at("enroll"), &err) == 0);
	REQUIRE(file_symlink("../elsewhere", AT_FDCWD, at("enroll"), &err) == 0);
	list_refuses(ERR_REFUSED, "symbolic link");
	CHECK(media_open(dir, true, &err) == NULL);
	CHECK_INT(err.kind, ERR_REFUSED);
	REQUIRE(file_remove_tree(AT_FDCWD, whole, &err) == 0);
	REQUIRE(file_symlink("elsewhere", AT_FDCWD, whole, &err) == 0);
	CHECK(media_open(dir, false, &err) == NULL);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(media_open(dir, true, &err) == NULL);
	CHECK_INT(err.kind, ERR_REFUSED);
}

TEST(nothing_is_written_over_a_link)
{
	struct media *m;

	begin();
	m = stick(true);
	put("target", "x");
	REQUIRE(file_symlink("../target", AT_FDCWD, at("enroll/x.answer"), &err) == 0);
	refuses(media_write(m, MEDIA_ENROLL, "x.answer", SLICE_LIT("evil"), &err), ERR_REFUSED, "symbolic link");
	media_close(m);
}

TEST(names_that_differ_in_case_are_refused_and_others_ignored)
{
	struct media_list l;
	struct media *m;

	begin();
	media_close(stick(true));
	put("enroll/x.request", "1");
	put("enroll/README.TXT", "2");
	put("enroll/x.request.bak", "3");
	put("enroll/.hidden", "4");
	put("enroll/UPPER.ANSWER", "5");
	REQUIRE(file_symlink("/etc/passwd", AT_FDCWD, at("enroll/link"), &err) == 0);
	m = stick(false);
	REQUIRE(media_list(m, MEDIA_ENROLL, &l, &err) == 0);
	CHECK_INT(l.count, 1);
	CHECK_STR(l.files[0].name, "x.request");
	CHECK_INT(l.files[0].size, 1);
	media_list_release(&l);
	media_close(m);
	put("enroll/X.request", "6");
	list_refuses(ERR_REFUSED, "case");
	REQUIRE(file_unlink(AT_FDCWD, at("enroll/X.request"), &err) == 0);
	put("enroll/X.REQUEST", "7");
	list_refuses(ERR_REFUSED, "case");
	REQUIRE(file_unlink(AT_FDCWD, at("enroll/X.REQUEST"), &err) == 0);
	put("enroll/a b.request", "8");
	list_refuses(ERR_MALFORMED, "not allowed");
}

TEST(a_damaged_file_is_named_and_an_unlisted_one_read)
{
	struct told t = {0};
	struct media *m;

	begin();
	m = stick(true);
	REQUIRE(media_write(m, MEDIA_ENROLL, "x.answer", SLICE_LIT("good"), &err) == 0);
	put("enroll/y.answer", "by hand");
	holds(m, "y.answer", "by hand");
	CHECK_INT(media_check(m, tell, &t, &err), 0);
	CHECK_INT(t.files, 2);
	CHECK_INT(t.listed, 1);
	put("enroll/x.answer", "goof");
	read_refuses("x.answer", ERR_REFUSED, "'enroll/x.answer' is damaged");
	refuses(media_check(m, NULL, NULL, &err), ERR_REFUSED, "'enroll/x.answer' is damaged");
	CHECK_INT(media_write(m, MEDIA_ENROLL, "x.answer", SLICE_LIT("good"), &err), 0);
	CHECK_INT(media_check(m, NULL, NULL, &err), 0);
	REQUIRE(file_unlink(AT_FDCWD, at("enroll/x.answer"), &err) == 0);
	refuses(media_check(m, NULL, NULL, &err), ERR_REFUSED, "not there");
	media_close(m);
}

TEST(too_many_files_are_refused)
{
	char path[64];
	unsigned i;

	begin();
	media_close(stick(true));
	for (i = 0; i <= MEDIA_FILES_MAX; i++) {
		int fd;

		snprintf(path, sizeof(path), "enroll/%u", i);
		fd = open(at(path), O_CREAT | O_WRONLY, 0644);
		REQUIRE(fd >= 0);
		close(fd);
	}
	list_refuses(ERR_LIMIT, "more than");
}

TEST(the_newest_bundle_by_site_and_number)
{
	int64_t sequence;
	unsigned volumes;
	struct media *m;

	begin();
	m = stick(true);
	CHECK_INT(media_newest_bundle(m, "main", &sequence, &volumes, &err), 0);
	put("bundles/main-000007.bundle", "");
	put("bundles/main-000009.bundle.001", "");
	put("bundles/main-000009.bundle.002", "");
	put("bundles/main-000009.bundle.004", "");
	put("bundles/main-99.bundle", "");
	put("bundles/main-0000010.bundle", "");
	put("bundles/main-depot-000099.bundle", "");
	put("receipts/main-000003.receipt", "");
	CHECK_INT(media_newest_bundle(m, "main", &sequence, &volumes, &err), 1);
	CHECK_INT(sequence, 9);
	CHECK_INT(volumes, 2);
	CHECK_INT(media_newest_bundle(m, "main-depot", &sequence, &volumes, &err), 1);
	CHECK_INT(sequence, 99);
	CHECK_INT(volumes, 0);
	put("bundles/main-1000000.bundle", "");
	CHECK_INT(media_newest_bundle(m, "main", &sequence, &volumes, &err), 1);
	CHECK_INT(sequence, 1000000);
	CHECK_INT(volumes, 0);
	CHECK_INT(media_newest_receipt(m, "main", &sequence, &err), 1);
	CHECK_INT(sequence, 3);
	CHECK_INT(media_newest_receipt(m, "depot", &sequence, &err), 0);
	media_close(m);
}

TEST(names_of_the_longest_site_fit)
{
	char site[NAME_LEN_MAX + 1], name[MEDIA_NAME_MAX + 1];

	memset(site, 's', NAME_LEN_MAX);
	site[NAME_LEN_MAX] = '\0';
	CHECK_INT(media_bundle_name(name, site, 999999, 999, &err), 0);
	CHECK(slice_ends(slice_str(name), SLICE_LIT("-999999.bundle.999")));
	CHECK_INT(media_receipt_name(name, site, 12, &err), 0);
	CHECK(slice_ends(slice_str(name), SLICE_LIT("-000012.receipt")));
	refuses(media_bundle_name(name, "con.x", 1, 0, &err), ERR_MALFORMED, "device");
}

#ifdef MESHANICS_TEST
/* The file is old or new, and its sum is right or not there. */
static void check_whole(const char *old, const char *new)
{
	struct buf b = BUF_INIT(4096);
	struct media *m = stick(false);

	CHECK_INT(media_check(m, NULL, NULL, &err), 0);
	CHECK_INT(media_read(m, MEDIA_ENROLL, "x.answer", &b, &err), 0);
	CHECK(strcmp(buf_cstr(&b), old) == 0 || strcmp(buf_cstr(&b), new) == 0);
	media_close(m);
	buf_release(&b);
}

static void walk(enum fault_mode mode)
{
	unsigned n;
	bool done = false;

	for (n = 1; !done && n < 100; n++) {
		struct media *m = stick(true);
		struct error why = ERROR_INIT;
		struct media *broken;

		REQUIRE(media_write(m, MEDIA_ENROLL, "x.answer", SLICE_LIT("old"), &err) == 0);
		media_close(m);
		fault_arm(n, mode);
		broken = media_open(dir, true, &why);
		done = broken != NULL && media_write(broken, MEDIA_ENROLL, "x.answer", SLICE_LIT("new"), &why) == 0 &&
		       fault_count() < n;
		fault_arm(0, FAULT_NONE);
		media_close(broken);
		check_whole("old", "new");
	}
	CHECK(done && n > 8);
}

TEST(an_error_at_every_call_leaves_old_or_new)
{
	begin();
	walk(FAULT_ERROR);
	walk(FAULT_TORN);
}

TEST(a_full_or_failing_stick_leaves_old_or_new)
{
	begin();
	walk(FAULT_FULL);
	walk(FAULT_ROFS);
}
#endif
