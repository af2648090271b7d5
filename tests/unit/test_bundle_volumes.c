/* Bundles in volumes: from descriptors and from files beside each other, with any of them missing, doubled or foreign. */
#include <fcntl.h>
#include <sys/stat.h>

#include "bundle/reader.h"
#include "sys/file.h"
#include "tests/unit/bundle_fixture.h"
#include "tests/unit/tap.h"

#define VOLUMES 6
#define ROOM 130048	/* bytes of members in a volume */

struct split {
	struct fixture f;
	struct fixture_volume v[VOLUMES];
};

static void split_init(struct split *s, uint32_t seed)
{
	struct error err = ERROR_INIT;
	unsigned i;

	memset(s, 0, sizeof(*s));
	fixture_init(&s->f, BUNDLE_SITE);
	s->f.m.sequence = seed + 1;
	fixture_add(&s->f, "metadata/1.root.json", SLICE_LIT("{\"root\":1}"));
	fixture_add(&s->f, "metadata/1.targets.json", SLICE_LIT("{\"targets\":1}"));
	for (i = 0; i < 4; i++)
		fixture_add_artifact(&s->f, seed + i, 1000 + i);
	fixture_add_artifact(&s->f, seed + 10, 130000);
	fixture_add_artifact(&s->f, seed + 11, 560000);
	REQUIRE(fixture_manifest(&s->f, &err) == 0);
	REQUIRE(fixture_volumes(&s->f, ROOM, s->v, VOLUMES) == VOLUMES);
}

static void split_release(struct split *s)
{
	unsigned i;

	for (i = 0; i < VOLUMES; i++)
		buf_release(&s->v[i].text);
	fixture_release(&s->f);
}

/* ---- reading ---- */

/* What came of reading the members: how many were whole, and whether the last was cut. */
struct outcome {
	unsigned whole, missing, volumes;
	bool cut;
	uint64_t offset;	/* of the first member */
	char first[TAR_NAME_MAX + 1];
};

static int read_rest(struct bundle_reader *r, const struct fixture *f, struct outcome *o, struct error *err)
{
	struct member m;
	struct slice piece;
	int more;

	while ((more = bundle_next(r, &m, err)) == 1) {
		unsigned i = 0;
		uint64_t at = bundle_offset(r);
		bool same = true;

		if (o->first[0] == '\0') {
			snprintf(o->first, sizeof(o->first), "%s", m.name);
			o->offset = at;
		}
		while (strcmp(f->members[i].member.name, m.name) != 0)
			i++;
		do {
			if (bundle_piece(r, &piece, err) < 0)
				return -1;
			CHECK(at + piece.len <= m.length);
			same = same && (piece.len == 0 || memcmp(f->members[i].content + at, piece.ptr, piece.len) == 0);
			at += piece.len;
		} while (piece.len > 0);
		CHECK(same && (at == m.length) != bundle_cut(r));
		o->whole += at == m.length;
	}
	o->cut = bundle_cut(r);
	o->missing = bundle_missing(r, &o->volumes);
	return more < 0 ? -1 : bundle_end(r, err);
}

/* which: indexes of volumes, in the order in which they are given; resumes where volume 1 is not among them. */
static int read_volumes(const struct fixture *f, const struct fixture_volume *const *which, unsigned count,
			struct outcome *o, struct error *err)
{
	static const char *const names[] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"};
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	struct bundle_reader *r;
	int fds[8] = {0}, result = -1;
	unsigned i;

	*o = (struct outcome){.whole = 0};
	*err = ERROR_INIT;
	for (i = 0; i < count; i++)
		fds[i] = fixture_fd(buf_slice(&which[i]->text));
	r = bundle_reader_open_fds(fds, names, count, err);
	if (r != NULL && bundle_reader_volume(r) > 1) {
		CHECK(memcmp(bundle_reader_belongs(r), which[0]->v.bundle, SHA256_LEN) == 0);
		if (bundle_resume(r, &f->m, err) == 0)
			result = read_rest(r, f, o, err);
	} else if (r != NULL && bundle_read_manifest(r, &m, &signature, err) == 0) {
		result = read_rest(r, f, o, err);
	}
	for (i = 0; i < count; i++) {
		CHECK_INT(lseek(fds[i], 0, SEEK_CUR), 0);
		close(fds[i]);
	}
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&signature);
	return result;
}

/* Every set of volumes: what is there up to the first gap is read, and the gap is named. */
TEST(any_set_of_volumes_is_read_up_to_the_first_gap)
{
	const struct fixture_volume *which[VOLUMES];
	struct error err;
	struct outcome o;
	struct split s;
	unsigned set, i, count, first, gap;

	split_init(&s, 100);
	for (set = 1; set < 1u << VOLUMES; set++) {
		for (count = 0, i = 0; i < VOLUMES; i++)
			if ((set >> (set % 2 ? VOLUMES - 1 - i : i) & 1) != 0)
				which[count++] = &s.v[set % 2 ? VOLUMES - 1 - i : i];
		for (first = 0; (set >> first & 1) == 0; first++)
			;
		for (gap = first; gap < VOLUMES && (set >> gap & 1) != 0; gap++)
			;
		CHECK_INT(read_volumes(&s.f, which, count, &o, &err), gap == VOLUMES ? 0 : -1);
		CHECK_INT(o.missing, gap == VOLUMES ? 0 : gap + 1);
		CHECK_INT(o.volumes, VOLUMES);
		CHECK_INT(gap == VOLUMES ? ERR_RETRY : err.kind, ERR_RETRY);
		CHECK(o.cut == (gap < VOLUMES && s.v[gap].v.offset > 0));
		CHECK_STR(o.first, s.f.members[s.v[first].v.member].member.name);
		CHECK_INT(o.offset, s.v[first].v.offset);
		CHECK_INT(o.whole, (gap == VOLUMES ? s.f.count : s.v[gap].v.member) - s.v[first].v.member);
	}
	split_release(&s);
}

TEST(a_later_volume_alone_does_not_give_the_manifest)
{
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	const char *const names[] = {"depot.003"};
	struct error err = ERROR_INIT;
	struct bundle_reader *r;
	struct split s, other;
	int fd;

	split_init(&s, 100);
	split_init(&other, 200);
	fd = fixture_fd(buf_slice(&s.v[2].text));
	r = bundle_reader_open_fds(&fd, names, 1, &err);
	REQUIRE(r != NULL);
	CHECK_INT(bundle_reader_volume(r), 3);
	CHECK_INT(bundle_read_manifest(r, &m, &signature, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK_STR(err.text, "'depot.003': this is volume 3 of 6: volume 1 is needed first");
	bundle_reader_free(r);
	r = bundle_reader_open_fds(&fd, names, 1, &err);
	REQUIRE(r != NULL);
	CHECK_INT(bundle_resume(r, &other.f.m, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_STR(err.text, "'depot.003': this is a volume of another bundle");
	bundle_reader_free(r);
	close(fd);
	fd = fixture_fd(buf_slice(&s.v[0].text));
	r = bundle_reader_open_fds(&fd, names, 1, &err);
	REQUIRE(r != NULL);
	CHECK_INT(bundle_resume(r, &s.f.m, &err), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	bundle_reader_free(r);
	close(fd);
	split_release(&s);
	split_release(&other);
}

static void expect(const struct fixture *f, const struct fixture_volume *const *which, unsigned count,
		   enum error_kind kind, const char *says)
{
	struct outcome o;
	struct error err;

	CHECK_INT(read_volumes(f, which, count, &o, &err), -1);
	if (err.kind == kind && strstr(err.text, says) != NULL)
		return;
	printf("# wanted %d \"%s\", got %d \"%s\"\n", kind, says, err.kind, err.text);
	tap_failures++;
}

TEST(doubled_and_foreign_volumes_are_refused)
{
	struct split s, other;
	unsigned i;

	split_init(&s, 100);
	split_init(&other, 200);
	for (i = 0; i < VOLUMES; i++) {
		const struct fixture_volume *twice[] = {&s.v[i], &s.v[(i + 1) % VOLUMES], &s.v[i]};
		const struct fixture_volume *one_foreign[VOLUMES];
		unsigned k;

		expect(&s.f, twice, 3, ERR_MALFORMED, "are both volume");
		for (k = 0; k < VOLUMES; k++)
			one_foreign[k] = k == i ? &other.v[k] : &s.v[k];
		expect(i == 0 ? &other.f : &s.f, one_foreign, VOLUMES, ERR_REFUSED,
		       i == 0 ? "of another bundle" : "of two bundles");
	}
	split_release(&s);
	split_release(&other);
}

/* All volumes as they are now. */
static void expect_all(struct split *s, enum error_kind kind, const char *says)
{
	const struct fixture_volume *all[VOLUMES];
	unsigned i;

	for (i = 0; i < VOLUMES; i++) {
		fixture_volume_text(&s->f, &s->v[i]);
		all[i] = &s->v[i];
	}
	expect(&s->f, all, VOLUMES, kind, says);
}

TEST(a_volume_that_lies_about_its_place_is_refused)
{
	struct split s;
	struct volume kept;
	unsigned i;

	split_init(&s, 100);
	for (i = 1; i < VOLUMES; i++) {
		kept = s.v[i].v;
		s.v[i].v.member = kept.member + 1;
		expect_all(&s, ERR_MALFORMED, "does not go on where");
		s.v[i].v = kept;
		s.v[i].v.offset = kept.offset + 1;
		expect_all(&s, ERR_MALFORMED, "does not go on where");
		s.v[i].v = kept;
		s.v[i].v.volumes = VOLUMES + 1;
		s.v[i].v.last = false;
		expect_all(&s, ERR_MALFORMED, i == 5 ? "" : "and not");
		s.v[i].v = kept;
		s.v[i].v.bundle[31] ^= 1;
		expect_all(&s, ERR_REFUSED, "");
		s.v[i].v = kept;
	}
	kept = s.v[0].v;
	s.v[0].v.bundle[0] ^= 1;
	expect_all(&s, ERR_REFUSED, "another bundle");
	s.v[0].v = kept;
	s.v[0].v.volumes = VOLUMES - 1;
	expect_all(&s, ERR_MALFORMED, "is volume 6 of a bundle, and this one has 5");
	s.v[0].v = kept;
	s.v[0].v.volumes = VOLUMES + 1;
	expect_all(&s, ERR_MALFORMED, "this is volume 2 of 6, and not 2 of 7");
	split_release(&s);
}

TEST(a_volume_to_go_on_at_that_lies_is_refused)
{
	const struct fixture_volume *third;
	struct split s;
	struct volume kept;

	split_init(&s, 100);
	third = &s.v[2];
	kept = s.v[2].v;
	s.v[2].v.member = s.f.count;
	fixture_volume_text(&s.f, &s.v[2]);
	expect(&s.f, &third, 1, ERR_MALFORMED, "volume.json: there is no member 8");
	s.v[2].v = kept;
	s.v[2].v.offset = s.f.members[kept.member].member.length;
	fixture_volume_text(&s.f, &s.v[2]);
	expect(&s.f, &third, 1, ERR_MALFORMED, "begins behind the end of this member");
	s.v[2].v = kept;
	s.v[2].v.offset = kept.offset + 512;
	fixture_volume_text(&s.f, &s.v[2]);
	expect(&s.f, &third, 1, ERR_MALFORMED, "stands in its place");
	split_release(&s);
}

TEST(a_last_volume_that_promises_more_is_refused)
{
	struct split s;
	unsigned i;

	split_init(&s, 100);
	for (i = 0; i < VOLUMES; i++) {
		s.v[i].v.volumes = VOLUMES + 1;
		s.v[i].v.last = false;
	}
	expect_all(&s, ERR_MALFORMED, "all members are there, and yet this is volume 6 of 7");
	split_release(&s);
}

/* The last piece of volume i, which is cut there. */
static struct piece *last_piece(struct split *s, unsigned i)
{
	return &s->v[i].p.list[s->v[i].p.count - 1];
}

TEST(pieces_that_do_not_fit_are_refused)
{
	struct split s;
	struct piece *p, kept, *q;
	unsigned i;

	split_init(&s, 100);
	for (i = 0; i < VOLUMES && s.v[i + 1].v.offset == 0; i++)
		;
	REQUIRE(i + 1 < VOLUMES);
	p = last_piece(&s, i);
	kept = *p;
	CHECK(strstr(p->name, ".part-") != NULL);
	p->size = 0, p->content = SLICE_EMPTY;
	expect_all(&s, ERR_MALFORMED, "its piece at");
	*p = kept;
	p->size += 1;
	p->content.len += 1;
	expect_all(&s, ERR_MALFORMED, "does not go on where");
	*p = kept;
	p->size -= 512;
	p->content.len -= 512;
	expect_all(&s, ERR_MALFORMED, "does not go on where");
	*p = kept;
	p->size = UINT64_C(1) << 40;
	expect_all(&s, ERR_MALFORMED, "its piece at");
	*p = kept;
	snprintf(strstr(p->name, ".part-"), 20, ".part-1");
	expect_all(&s, ERR_MALFORMED, "stands in its place");
	*p = kept;
	snprintf(strstr(p->name, ".part-"), 20, ".part-00");
	expect_all(&s, ERR_MALFORMED, "stands in its place");
	*p = kept;
	*strstr(p->name, ".part-") = '\0';
	expect_all(&s, ERR_MALFORMED, "are listed");
	*p = kept;
	/* A whole member in the clothes of a piece. */
	q = &s.v[0].p.list[0];
	kept = *q;
	snprintf(q->name, sizeof(q->name), "%.200s.part-0", s.f.members[0].member.name);
	expect_all(&s, ERR_MALFORMED, "its piece at 0");
	*q = kept;
	/* Two pieces in one volume; the rest of the first volume after a piece. */
	kept = *p;
	p->size = p->content.len = 512;
	q = pieces_add(&s.v[i].p, kept.name, slice_sub(kept.content, 512, kept.content.len));
	snprintf(strstr(q->name, ".part-"), 20, ".part-512");
	expect_all(&s, ERR_MALFORMED, "follows before its end");
	split_release(&s);
}

TEST(pieces_are_refused_where_nothing_was_split)
{
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX), tar = BUF_INIT(4 << 20);
	struct manifest m = MANIFEST_INIT;
	const char *const names[] = {"a"};
	struct error err = ERROR_INIT;
	struct bundle_reader *r;
	struct outcome o = {.whole = 0};
	struct pieces p;
	struct split s;
	int fd;

	split_init(&s, 100);
	fixture_pieces(&s.f, &p);
	snprintf(p.list[3].name + strlen(p.list[3].name), 20, ".part-0");
	p.list[3].content.len = p.list[3].size = 5;
	pieces_put(&tar, &p);
	fd = fixture_fd(buf_slice(&tar));
	r = bundle_reader_open_fds(&fd, names, 1, &err);
	REQUIRE(r != NULL && bundle_read_manifest(r, &m, &signature, &err) == 0);
	CHECK_INT(read_rest(r, &s.f, &o, &err), -1);
	CHECK(strstr(err.text, "stands in its place") != NULL);
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&tar);
	buf_release(&signature);
	close(fd);
	split_release(&s);
}

TEST(volumes_with_too_little_or_too_much_are_refused)
{
	const struct fixture_volume *first[3];
	struct split s;
	struct pieces kept;
	unsigned i;

	split_init(&s, 100);
	kept = s.v[2].p;
	s.v[2].p.count = 0;
	expect_all(&s, ERR_MALFORMED, "volume 3 is empty");
	s.v[2].p = kept;
	pieces_add(&s.v[2].p, "targets/more", SLICE_LIT("x"));
	expect_all(&s, ERR_MALFORMED, "");
	s.v[2].p = kept;
	pieces_add(&s.v[2].p, BUNDLE_VOLUME, SLICE_LIT("x"));
	expect_all(&s, ERR_MALFORMED, "");
	s.v[2].p = kept;
	/* The last one. */
	kept = s.v[5].p;
	pieces_add(&s.v[5].p, "targets/more", SLICE_LIT("x"));
	expect_all(&s, ERR_MALFORMED, "behind the last member");
	s.v[5].p = kept;
	s.v[5].p.count--;
	expect_all(&s, ERR_MALFORMED, "");
	s.v[5].p = kept;
	/* A middle one that says it is the last. */
	for (i = 0; i < 3; i++) {
		s.v[i].v.volumes = 3;
		s.v[i].v.last = i == 2;
		fixture_volume_text(&s.f, &s.v[i]);
		first[i] = &s.v[i];
	}
	expect(&s.f, first, 3, ERR_MALFORMED, "it is missing, wholly or in part");
	split_release(&s);
}

TEST(a_changed_byte_in_any_volume_is_noticed)
{
	const struct fixture_volume *all[VOLUMES];
	struct split s;
	unsigned i;

	split_init(&s, 100);
	for (i = 0; i < VOLUMES; i++)
		all[i] = &s.v[i];
	for (i = 0; i < VOLUMES; i++) {
		uint8_t *byte = s.v[i].text.ptr + s.v[i].text.len - 1024 - 1000;

		*byte ^= 0x10;
		expect(&s.f, all, VOLUMES, ERR_REFUSED, "SHA-256");
		*byte ^= 0x10;
	}
	split_release(&s);
}

/* ---- files beside each other ---- */

static char directory[] = "/tmp/test-bundle-XXXXXX";

static const char *path_of(char out[256], const char *name)
{
	snprintf(out, 256, "%s/%s", directory, name);
	return out;
}

static void put_file(const char *name, struct slice content)
{
	struct error err = ERROR_INIT;
	char path[256];

	REQUIRE(file_replace(AT_FDCWD, path_of(path, name), 0644, content, &err) == 0);
}

static void put_volumes(const struct split *s, const char *stem)
{
	char name[64];
	unsigned i;

	for (i = 0; i < VOLUMES; i++) {
		snprintf(name, sizeof(name), "%s.%03u", stem, i + 1);
		put_file(name, buf_slice(&s->v[i].text));
	}
}

/* Paths are names in the directory. */
static int read_paths(const struct split *s, const char *const *names, unsigned count, struct outcome *o,
		      struct error *err)
{
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	const char *paths[8];
	char room[8][256];
	struct bundle_reader *r;
	int result = -1;
	unsigned i;

	*o = (struct outcome){.whole = 0};
	*err = ERROR_INIT;
	for (i = 0; i < count; i++)
		paths[i] = path_of(room[i], names[i]);
	r = bundle_reader_open(paths, count, err);
	if (r != NULL && bundle_reader_volume(r) > 1) {
		if (bundle_resume(r, &s->f.m, err) == 0)
			result = read_rest(r, &s->f, o, err);
	} else if (r != NULL && bundle_read_manifest(r, &m, &signature, err) == 0) {
		result = read_rest(r, &s->f, o, err);
		if (result == 0)
			CHECK_INT(bundle_reader_at(r), bundle_reader_total(r));
	}
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&signature);
	return result;
}

static int open_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(volumes_beside_the_one_given_are_found)
{
	const char *const first[] = {"depot.001"}, *const third[] = {"depot.003"}, *const odd[] = {"first"};
	const char *const gap[] = {"depot.005", "depot.001"};
	int before = open_descriptors();
	char path[256], to[256];
	struct error err;
	struct outcome o;
	struct split s, other;

	REQUIRE(mkdtemp(directory) != NULL);
	split_init(&s, 100);
	split_init(&other, 200);
	put_volumes(&s, "depot");
	CHECK_INT(read_paths(&s, first, 1, &o, &err), 0);
	CHECK_INT(o.whole, s.f.count);
	CHECK_INT(read_paths(&s, third, 1, &o, &err), 0);
	CHECK_INT(o.whole, s.f.count - s.v[2].v.member);
	CHECK_INT(read_paths(&s, gap, 2, &o, &err), 0);
	/* Under another name it stands alone. */
	REQUIRE(rename(path_of(path, "depot.001"), path_of(to, "first")) == 0);
	CHECK_INT(read_paths(&s, odd, 1, &o, &err), -1);
	CHECK_INT(o.missing, 2);
	CHECK_INT(err.kind, ERR_RETRY);
	REQUIRE(rename(path_of(path, "first"), path_of(to, "depot.001")) == 0);
	/* A gap ends it. */
	REQUIRE(rename(path_of(path, "depot.004"), path_of(to, "depot.4")) == 0);
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK_INT(o.missing, 4);
	REQUIRE(symlink("nowhere", path_of(path, "depot.004")) == 0);
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK_INT(o.missing, 4);
	/* What lies there belongs to another bundle, is another volume, is cut short, or is no volume at all. */
	put_file("depot.004", buf_slice(&other.v[3].text));
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "depot.004': ") != NULL && strstr(err.text, "another bundle") != NULL);
	put_file("depot.004", buf_slice(&s.v[4].text));
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK(strstr(err.text, "this is volume 5 of 6, and not 4 of 6") != NULL);
	put_file("depot.004", slice_sub(buf_slice(&s.v[3].text), 0, 40000));
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(strstr(err.text, "depot.004': ") != NULL && strstr(err.text, "cut short") != NULL);
	put_file("depot.004", buf_slice(&s.v[0].text));
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	put_file("depot.004", SLICE_LIT("hello"));
	CHECK_INT(read_paths(&s, first, 1, &o, &err), -1);
	CHECK_INT(open_descriptors(), before);
	REQUIRE(file_remove_tree(AT_FDCWD, directory, &err) == 0);
	split_release(&s);
	split_release(&other);
}

/* Whoever opens a bundle may have given up the right to do so by the time that a later volume is read. */
TEST(volumes_beside_it_are_opened_with_it)
{
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	const char *paths[2] = {NULL, NULL};
	int before = open_descriptors();
	struct manifest m = MANIFEST_INIT;
	struct bundle_reader *r;
	char room[2][256], path[256], to[256];
	struct error err = ERROR_INIT;
	struct outcome o;
	struct split s;
	unsigned given;

	snprintf(directory, sizeof(directory), "/tmp/test-bundle-XXXXXX");
	REQUIRE(mkdtemp(directory) != NULL);
	split_init(&s, 100);
	for (given = 1; given <= 2; given++) {
		put_volumes(&s, "depot");
		/* Left from a bundle that had more of them. */
		put_file("depot.007", buf_slice(&s.v[3].text));
		paths[0] = path_of(room[0], "depot.001");
		paths[1] = path_of(room[1], "depot.003");
		REQUIRE((r = bundle_reader_open(paths, given, &err)) != NULL);
		snprintf(to, sizeof(to), "%s-away", directory);
		REQUIRE(rename(directory, to) == 0);
		o = (struct outcome){.whole = 0};
		CHECK_INT(bundle_read_manifest(r, &m, &signature, &err), 0);
		CHECK_INT(read_rest(r, &s.f, &o, &err), 0);
		CHECK_INT(o.whole, s.f.count);
		CHECK_INT(bundle_reader_at(r), bundle_reader_total(r));
		bundle_reader_free(r);
		manifest_release(&m);
		REQUIRE(rename(to, directory) == 0);
	}
	/* A FIFO in the place of one that follows keeps nobody waiting. */
	REQUIRE(unlink(path_of(path, "depot.002")) == 0 && mkfifo(path, 0600) == 0);
	CHECK_INT(read_paths(&s, (const char *const[]){"depot.001"}, 1, &o, &err), -1);
	CHECK_INT(o.missing, 2);
	CHECK_INT(open_descriptors(), before);
	REQUIRE(file_remove_tree(AT_FDCWD, directory, &err) == 0);
	buf_release(&signature);
	split_release(&s);
}

TEST(words_of_the_operator_are_checked)
{
	static const char *const stdin_and_more[] = {"-", "x"}, *const none[] = {"/nonexistent/x"};
	static const char *const device[] = {"/dev/null", "/dev/zero"};
	struct error err = ERROR_INIT;

	CHECK(bundle_reader_open(stdin_and_more, 2, &err) == NULL);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(bundle_reader_open(none, 0, &err) == NULL);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(bundle_reader_open(none, 1, &err) == NULL);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(bundle_reader_open(device, 2, &err) == NULL);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(bundle_reader_open(device, 1, &err) == NULL);
	CHECK_INT(err.kind, ERR_RETRY);
}

/* ---- large ones ---- */

/* Sparse: the tar of a bundle whose one artifact is `n` zeros, or what is left of it from `offset` on in volume 2. */
static int large_fd(struct fixture *f, uint64_t n, uint64_t offset, const char *sha256)
{
	struct buf head = BUF_INIT(1 << 20), json = BUF_INIT(VOLUME_MAX);
	struct tar_entry e = {.mode = 0644, .size = n - offset};
	struct volume v = {.member = 1, .offset = offset, .volume = 2, .volumes = 2, .last = true};
	struct error err = ERROR_INIT;
	struct piece p = {.type = '0'};
	struct member *m;
	int fd = fixture_fd(SLICE_EMPTY);

	fixture_init(f, BUNDLE_SITE);
	fixture_add(f, "metadata/1.targets.json", SLICE_LIT("{}"));
	m = fixture_add(f, NULL, SLICE_EMPTY);
	m->length = n;
	REQUIRE(hex_decode(m->sha256, SHA256_LEN, slice_str(sha256), &err) == 0);
	snprintf(m->name, sizeof(m->name), "targets/%s", sha256);
	REQUIRE(fixture_manifest(f, &err) == 0);
	if (offset == 0) {
		struct pieces all;

		fixture_pieces(f, &all);
		all.count--;
		pieces_put(&head, &all);
		head.len -= 2 * TAR_BLOCK;
		memcpy(e.name, m->name, sizeof(e.name));
	} else {
		memcpy(v.bundle, f->m.id, SHA256_LEN);
		volume_put(&json, &v);
		memcpy(p.name, BUNDLE_VOLUME, sizeof(BUNDLE_VOLUME));
		p.size = json.len;
		p.content = buf_slice(&json);
		piece_put(&head, &p);
		snprintf(e.name, sizeof(e.name), "targets/%s.part-%llu", sha256, (unsigned long long)offset);
	}
	REQUIRE(tar_put(&head, &e, &err) == 0);
	REQUIRE(write(fd, head.ptr, head.len) == (ssize_t)head.len);
	REQUIRE(ftruncate(fd, (off_t)(head.len + e.size + tar_padding(e.size) + 2 * TAR_BLOCK)) == 0);
	REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
	buf_release(&head);
	buf_release(&json);
	return fd;
}

static void read_large(uint64_t n, uint64_t offset, const char *sha256)
{
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	const char *const names[] = {"large"};
	struct error err = ERROR_INIT;
	struct bundle_reader *r;
	struct fixture f;
	struct member member;
	int fd = large_fd(&f, n, offset, sha256), more;

	r = bundle_reader_open_fds(&fd, names, 1, &err);
	REQUIRE(r != NULL);
	if (offset == 0)
		CHECK_INT(bundle_read_manifest(r, &m, &signature, &err), 0);
	else
		CHECK_INT(bundle_resume(r, &f.m, &err), 0);
	while ((more = bundle_next(r, &member, &err)) == 1)
		;
	CHECK_INT(more, 0);
	CHECK_INT(bundle_end(r, &err), 0);
	CHECK_STR(err.text, "");
	CHECK(bundle_reader_at(r) > n - offset && bundle_reader_at(r) == bundle_reader_total(r));
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&signature);
	f.members[1].member.length = 0;
	fixture_release(&f);
	close(fd);
}

#define G (UINT64_C(1) << 30)
TEST(sizes_around_2_4_and_9_gib_are_read)
{
	static const char any[] = "5c8bcb1e3d8b5c8d1b8f5fd6a3a5f39e1f9a2f5d6b4c7e8f90a1b2c3d4e5f607";

	/* From a later volume on nothing is hashed, and zeros are read at the speed of memory. */
	read_large(2 * G - 1 + 512, 512, any);
	read_large(2 * G + 1 + 512, 512, any);
	read_large(4 * G - 1 + 512, 512, any);
	read_large(4 * G + 1 + 512, 512, any);
	read_large(9 * G + 512, 512, any);
}

/* 3 s with instructions for it; where SHA-256 is slow, as under an emulator, a smaller one has to do. */
TEST(a_large_artifact_is_hashed)
{
	if (strcmp(sha256_implementation(), "sha-ni") == 0)
		read_large(4 * G + 1, 0, "fbb82f7b353676bb562eb82157fcf0ea42c36492ca13ee56dbf82c08b6802c5c");
	else
		read_large(G / 4 + 1, 0, "da6ce8755151acd05195db67ebce3ee0fb5f4012e71e821cc5750f3304eaf41e");
}
