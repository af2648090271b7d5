/* Bundles: what their reader takes, and what it refuses. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bundle/reader.h"
#include "bundle/receipt.h"
#include "tests/unit/bundle_fixture.h"
#include "tests/unit/tap.h"

#define BUNDLE_MAX (8u << 20)

/* Two roots, targets, a publisher and his bin, artifacts of odd and even sizes. */
static void small_bundle(struct fixture *f)
{
	struct error err = ERROR_INIT;

	fixture_init(f, BUNDLE_SITE);
	fixture_add(f, "metadata/1.root.json", SLICE_LIT("{\"root\":1}"));
	fixture_add(f, "metadata/2.root.json", SLICE_LIT("{\"root\":2}"));
	fixture_add(f, "metadata/7.targets.json", SLICE_LIT("{\"targets\":7}"));
	fixture_add(f, "metadata/4.acme.json", SLICE_LIT("{\"acme\":4}"));
	fixture_add(f, "metadata/9.acme-bin-0.json", SLICE_LIT("{\"bin\":9}"));
	fixture_add_artifact(f, 1, 0);
	fixture_add_artifact(f, 2, 1);
	fixture_add_artifact(f, 3, 512);
	fixture_add_artifact(f, 4, 70001);
	fixture_add_artifact(f, 5, 600000);
	f->m.versions.root = 2;
	f->m.versions.targets = 7;
	REQUIRE(fixture_manifest(f, &err) == 0);
}

/* Read all members in pieces of n bytes, or without a copy (0), and hold them against the fixture. */
static int read_members(struct bundle_reader *r, const struct fixture *f, unsigned first, size_t n, struct error *err)
{
	uint8_t *room = malloc(n + 1);
	struct slice piece;
	struct member m;
	unsigned i;
	int more = 0;

	for (i = first; (more = bundle_next(r, &m, err)) == 1; i++) {
		uint64_t at = bundle_offset(r);
		bool same = true;
		ssize_t got;

		CHECK(i < f->count);
		CHECK_STR(m.name, f->members[i].member.name);
		do {
			if (n == 0) {
				got = bundle_piece(r, &piece, err) < 0 ? -1 : (ssize_t)piece.len;
			} else {
				got = bundle_read(r, room, n, err);
				piece = slice_of(room, got < 0 ? 0 : (size_t)got);
			}
			same = same && at + piece.len <= m.length &&
			       (got <= 0 || memcmp(piece.ptr, f->members[i].content + at, piece.len) == 0);
			at += piece.len;
		} while (got > 0);
		if (got < 0) {
			more = -1;
			break;
		}
		CHECK(same && (at == m.length || bundle_cut(r)));
	}
	free(room);
	return more;
}

/* The whole of it. 0, or -1. */
static int read_bundle(const int *fds, unsigned count, const struct fixture *f, size_t n, struct error *err)
{
	const char *const names[] = {"a.bundle", "b.bundle", "c.bundle", "d.bundle", "e.bundle", "f.bundle"};
	struct bundle_reader *r = bundle_reader_open_fds(fds, names, count, err);
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	int result = -1;

	if (r != NULL && bundle_read_manifest(r, &m, &signature, err) == 0) {
		/* What the signature would tell. */
		if (!slice_equal(buf_slice(&signature), buf_slice(&f->signature)) ||
		    memcmp(m.id, f->m.id, SHA256_LEN) != 0)
			error_set(err, ERR_REFUSED, "'%s': not what was signed", names[0]);
		else if (read_members(r, f, 0, n, err) == 0)
			result = bundle_end(r, err);
	}
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&signature);
	return result;
}

static int read_bytes(struct slice bytes, const struct fixture *f, size_t n, struct error *err)
{
	int fd = fixture_fd(bytes), r;

	r = read_bundle(&fd, 1, f, n, err);
	close(fd);
	return r;
}

TEST(a_bundle_is_read_in_pieces_of_any_size)
{
	const size_t sizes[] = {0, 1000, 4096, 65536, 300000, 1 << 20};
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;
	size_t i;

	small_bundle(&f);
	fixture_tar(&f, &tar);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		CHECK_INT(read_bytes(buf_slice(&tar), &f, sizes[i], &err), 0);
		CHECK_STR(err.text, "");
	}
	buf_release(&tar);
	fixture_release(&f);
}

TEST(a_bundle_is_read_from_volumes_in_any_order)
{
	struct fixture_volume *v = calloc(6, sizeof(*v));
	struct error err = ERROR_INIT;
	struct fixture f;
	int fds[6], swapped[6];
	unsigned n, i;

	small_bundle(&f);
	n = fixture_volumes(&f, 130000, v, 6);
	CHECK_INT(n, 6);
	for (i = 0; i < n; i++) {
		fds[i] = fixture_fd(buf_slice(&v[i].text));
		swapped[n - 1 - i] = fds[i];
	}
	CHECK_INT(read_bundle(fds, n, &f, 0, &err), 0);
	CHECK_INT(read_bundle(swapped, n, &f, 50000, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_INT(read_bundle(fds, n - 1, &f, 50000, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK_STR(err.text, "volume 6 of 6 is not here");
	for (i = 0; i < n; i++) {
		buf_release(&v[i].text);
		close(fds[i]);
	}
	free(v);
	fixture_release(&f);
}

/* Where the member of this length lies in the tar. */
static uint8_t *find_content(const struct buf *tar, const struct fixture *f, uint64_t length)
{
	unsigned i = 0;

	while (f->members[i].member.length != length)
		i++;
	return memmem(tar->ptr, tar->len, f->members[i].content, (size_t)length);
}

/* Pass over all members but the last, after `begin` bytes of each; the last is read. What bundle_reader_at says, or -1. */
static int64_t skip_to_last(const int *fds, unsigned count, const struct fixture *f, size_t begin, struct error *err)
{
	const char *const names[] = {"a.bundle", "b.bundle", "c.bundle", "d.bundle", "e.bundle", "f.bundle"};
	struct bundle_reader *r = bundle_reader_open_fds(fds, names, count, err);
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX), content = BUF_INIT(BUNDLE_MAX);
	struct manifest m = MANIFEST_INIT;
	uint8_t room[1000];
	struct member last;
	int64_t at = -1;
	unsigned i;

	REQUIRE(r != NULL && bundle_read_manifest(r, &m, &signature, err) == 0);
	for (i = 0; i < f->count; i++) {
		if (bundle_next(r, &last, err) != 1 || (i + 1 < f->count && begin > 0 && bundle_read(r, room, begin, err) < 0) ||
		    (i + 1 < f->count && bundle_skip(r, err) < 0))
			goto out;
	}
	if (bundle_read_all(r, &content, err) == 0 && bundle_end(r, err) == 0)
		at = (int64_t)bundle_reader_at(r);
	CHECK(at < 0 || slice_equal(buf_slice(&content), slice_of(f->members[i - 1].content, content.len)));
out:
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&content);
	buf_release(&signature);
	return at;
}

TEST(what_is_passed_over_is_not_judged)
{
	struct fixture_volume *v = calloc(6, sizeof(*v));
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;
	uint8_t *wrong;
	int fds[6], p[2];
	unsigned n, i;

	small_bundle(&f);
	fixture_tar(&f, &tar);
	fds[0] = fixture_fd(buf_slice(&tar));
	CHECK_INT(skip_to_last(fds, 1, &f, 0, &err), tar.len);
	CHECK_INT(skip_to_last(fds, 1, &f, 700, &err), tar.len);
	close(fds[0]);
	/* A wrong byte in what is passed over is nobody's concern, in what is read it is; half a bundle is cut short. */
	wrong = find_content(&tar, &f, 600000);
	*wrong ^= 1;
	fds[0] = fixture_fd(buf_slice(&tar));
	CHECK_INT(skip_to_last(fds, 1, &f, 0, &err), f.members[f.count - 1].member.length == 600000 ? -1 : (int64_t)tar.len);
	close(fds[0]);
	fds[0] = fixture_fd(slice_sub(buf_slice(&tar), 0, tar.len / 2));
	CHECK_INT(skip_to_last(fds, 1, &f, 0, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	close(fds[0]);
	err = ERROR_INIT;
	/* By a pipe, which is read all the same; over volumes, and members that are cut between them. */
	*wrong ^= 1;
	REQUIRE(pipe(p) == 0);
	if (fork() == 0)
		_exit(write(p[1], tar.ptr, tar.len) == (ssize_t)tar.len ? 0 : 1);
	close(p[1]);
	CHECK_INT(skip_to_last(p, 1, &f, 0, &err), tar.len);
	close(p[0]);
	(void)wait(NULL);
	n = fixture_volumes(&f, 130000, v, 6);
	for (i = 0; i < n; i++)
		fds[i] = fixture_fd(buf_slice(&v[i].text));
	CHECK(skip_to_last(fds, n, &f, 0, &err) > 0);
	CHECK(skip_to_last(fds, n, &f, 900, &err) > 0);
	CHECK_STR(err.text, "");
	for (i = 0; i < n; i++) {
		buf_release(&v[i].text);
		close(fds[i]);
	}
	free(v);
	buf_release(&tar);
	fixture_release(&f);
}

TEST(a_changed_byte_is_refused)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;

	small_bundle(&f);
	fixture_tar(&f, &tar);
	find_content(&tar, &f, 600000)[599999] ^= 1;
	CHECK_INT(read_bytes(buf_slice(&tar), &f, 0, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "SHA-256") != NULL);
	buf_release(&tar);
	fixture_release(&f);
}

TEST(a_receipt_is_read_as_it_was_written)
{
	struct receipt_version versions[] = {{"root", 2}, {"targets", 7}, {"acme", 4}};
	struct receipt r = {.site = "depot-7", .created_s = 1795843200, .has_bundle = true, .sequence = 3,
			    .versions = versions, .version_count = 3, .held_count = 3}, again;
	uint8_t list[3][SHA256_LEN] = {{1}, {2}, {3}};
	struct held held = {list, 3}, found;
	struct buf text = BUF_INIT(RECEIPT_MAX), lines = BUF_INIT(1000), got = BUF_INIT(RECEIPT_MAX);
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct error err = ERROR_INIT;
	char hex[SHA256_HEX_LEN];
	int fd = fixture_fd(SLICE_EMPTY), i;

	for (i = 0; i < 3; i++) {
		hex_encode(hex, list[i], SHA256_LEN);
		buf_printf(&lines, "%s\n", hex);
	}
	sha256_of(buf_slice(&lines), r.held_sha256);
	r.audit.seq = 5;
	memset(r.audit.hash, 0xcd, SHA256_LEN);
	receipt_put(&text, &r);
	REQUIRE(receipt_write(fd, buf_slice(&text), SLICE_LIT("signature"), &held, r.created_s, &err) == 0);
	lseek(fd, 0, SEEK_SET);
	REQUIRE(receipt_read(fd, &got, &signature, &again, &found, &err) == 0);
	CHECK(slice_equal(buf_slice(&got), buf_slice(&text)));
	CHECK_STR(buf_cstr(&signature), "signature");
	CHECK_INT(again.version_count, 3);
	CHECK_INT(receipt_version(&again, "acme"), 4);
	CHECK_INT(receipt_version(&again, "other"), 0);
	CHECK(held_find(&found, list[1]));
	list[1][5] = 1;
	CHECK(!held_find(&found, list[1]));
	held_release(&found);
	receipt_release(&again);
	buf_release(&text);
	buf_release(&lines);
	buf_release(&got);
	buf_release(&signature);
	close(fd);
}

/* ---- damage to the bytes ---- */

/* A bundle small enough to be read a thousand times: two members before the list, six on it. */
#define TINY_PIECES 8
static void tiny_bundle(struct fixture *f)
{
	struct error err = ERROR_INIT;

	fixture_init(f, BUNDLE_SITE);
	fixture_add(f, "metadata/1.root.json", SLICE_LIT("{\"root\":1}"));
	fixture_add(f, "metadata/1.targets.json", SLICE_LIT("{\"targets\":1}"));
	fixture_add(f, "metadata/1.acme.json", SLICE_LIT("{\"acme\":1}"));
	fixture_add_artifact(f, 6, 700);
	fixture_add_artifact(f, 7, 9000);
	fixture_add_artifact(f, 8, 1024);
	REQUIRE(fixture_manifest(f, &err) == 0);
}

static bool is_refusal(const struct error *err)
{
	return err->kind == ERR_MALFORMED || err->kind == ERR_REFUSED || err->kind == ERR_RETRY || err->kind == ERR_LIMIT;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Through a pipe, a child writes. */
static int read_piped(struct slice bytes, const struct fixture *f, size_t n, struct error *err)
{
	int ends[2], status, r;
	pid_t pid;

	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		size_t at = 0;
		ssize_t wrote = 1;

		signal(SIGPIPE, SIG_IGN);
		while (at < bytes.len && wrote > 0) {
			wrote = write(ends[1], bytes.ptr + at, bytes.len - at < 7001 ? bytes.len - at : 7001);
			at += wrote > 0 ? (size_t)wrote : 0;
		}
		_exit(0);
	}
	close(ends[1]);
	r = read_bundle(ends, 1, f, n, err);
	close(ends[0]);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return r;
}

TEST(a_bundle_is_read_from_a_pipe)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;

	small_bundle(&f);
	fixture_tar(&f, &tar);
	CHECK_INT(read_piped(buf_slice(&tar), &f, 300000, &err), 0);
	CHECK_INT(read_piped(buf_slice(&tar), &f, 0, &err), 0);
	/* As GNU tar pads to whole records. */
	put_zeros(&tar, 10240 - tar.len % 10240);
	CHECK_INT(read_piped(buf_slice(&tar), &f, 0, &err), 0);
	CHECK_INT(read_bytes(buf_slice(&tar), &f, 0, &err), 0);
	CHECK_INT(read_piped(slice_sub(buf_slice(&tar), 0, 500000), &f, 300000, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	buf_release(&tar);
	fixture_release(&f);
}

static void check_cut(const struct buf *tar, const struct fixture *f, size_t len)
{
	struct error err = ERROR_INIT;

	CHECK_INT(read_bytes(slice_of(tar->ptr, len), f, 0, &err), -1);
	if (err.kind == ERR_RETRY && strstr(err.text, "cut short") != NULL && err.hint[0] != '\0')
		return;
	printf("# cut at %zu: %d %s\n", len, err.kind, err.text);
	tap_failures++;
}

TEST(a_bundle_cut_short_is_to_be_fetched_again)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	uint32_t seed = 20261128;
	struct fixture f;
	size_t at;
	int i;

	small_bundle(&f);
	fixture_tar(&f, &tar);
	for (at = 0; at < tar.len; at += 4096)
		check_cut(&tar, &f, at);
	for (i = 0; i < 200; i++)
		check_cut(&tar, &f, next_random(&seed) % tar.len);
	for (at = 1; at <= 1024; at++)
		check_cut(&tar, &f, tar.len - at);
	buf_release(&tar);
	fixture_release(&f);
}

static void check_refused(const struct buf *tar, const struct fixture *f, const char *what, size_t at)
{
	struct error err = ERROR_INIT;

	if (read_bytes(buf_slice(tar), f, 0, &err) < 0 && is_refusal(&err) && strstr(err.text, "'a.bundle': ") == err.text)
		return;
	printf("# %s at block %zu: %d %s\n", what, at, err.kind, err.text);
	tap_failures++;
}

TEST(a_block_dropped_doubled_swapped_or_emptied_is_noticed)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX), bad = BUF_INIT(BUNDLE_MAX);
	uint8_t zeros[TAR_BLOCK] = {0};
	struct fixture f;
	size_t at, next, rest;

	tiny_bundle(&f);
	fixture_tar(&f, &tar);
	for (at = 0; at < tar.len; at += TAR_BLOCK) {
		next = at + TAR_BLOCK;
		rest = tar.len - next;
		buf_clear(&bad);
		buf_put(&bad, tar.ptr, at);
		buf_put(&bad, tar.ptr + next, rest);
		check_refused(&bad, &f, "dropped", at / TAR_BLOCK);
		buf_clear(&bad);
		buf_put(&bad, tar.ptr, next);
		buf_put(&bad, tar.ptr + at, rest + TAR_BLOCK);
		if (memcmp(tar.ptr + at, zeros, TAR_BLOCK) != 0)
			check_refused(&bad, &f, "doubled", at / TAR_BLOCK);
		if (memcmp(tar.ptr + at, zeros, TAR_BLOCK) == 0)
			continue;
		buf_clear(&bad);
		buf_put_slice(&bad, buf_slice(&tar));
		memset(bad.ptr + at, 0, TAR_BLOCK);
		check_refused(&bad, &f, "emptied", at / TAR_BLOCK);
		for (next = at + TAR_BLOCK; next < tar.len; next += TAR_BLOCK) {
			memcpy(bad.ptr, tar.ptr, tar.len);
			memcpy(bad.ptr + at, tar.ptr + next, TAR_BLOCK);
			memcpy(bad.ptr + next, tar.ptr + at, TAR_BLOCK);
			if (memcmp(tar.ptr + at, tar.ptr + next, TAR_BLOCK) != 0)
				check_refused(&bad, &f, "swapped", at / TAR_BLOCK);
		}
	}
	buf_release(&tar);
	buf_release(&bad);
	fixture_release(&f);
}

/* The last byte of a checksum's field says nothing. */
TEST(a_byte_changed_anywhere_is_noticed)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	struct fixture f;
	size_t at;

	tiny_bundle(&f);
	fixture_tar(&f, &tar);
	for (at = 0; at < tar.len; at++) {
		bool is_header = memcmp(tar.ptr + at / TAR_BLOCK * TAR_BLOCK + 257, "ustar", 5) == 0;

		if (is_header && at % TAR_BLOCK == 155)
			continue;
		tar.ptr[at] ^= (uint8_t)(1u << at % 8);
		check_refused(&tar, &f, "changed", at / TAR_BLOCK);
		tar.ptr[at] ^= (uint8_t)(1u << at % 8);
	}
	buf_release(&tar);
	fixture_release(&f);
}

/* ---- damage to the members ---- */

static void expect_pieces(const struct pieces *p, const struct fixture *f, enum error_kind kind, const char *says)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX);
	struct error err = ERROR_INIT;

	pieces_put(&tar, p);
	CHECK_INT(read_bytes(buf_slice(&tar), f, 0, &err), -1);
	if (err.kind != kind || strstr(err.text, says) == NULL) {
		printf("# wanted %d \"%s\", got %d \"%s\"\n", kind, says, err.kind, err.text);
		tap_failures++;
	}
	buf_release(&tar);
}

TEST(members_out_of_order_doubled_or_missing_are_refused)
{
	struct fixture f;
	struct pieces p;
	unsigned i, j;

	tiny_bundle(&f);
	for (i = 0; i < TINY_PIECES; i++) {
		for (j = 0; j < TINY_PIECES; j++) {
			if (i == j)
				continue;
			fixture_pieces(&f, &p);
			pieces_move(&p, i, j);
			expect_pieces(&p, &f, ERR_MALFORMED, i == 0 || j == 0 ? "'bundle.json'"
							: i == 1 || j == 1 ? "'bundle.json.sig'"
									   : "stands in its place");
		}
		fixture_pieces(&f, &p);
		pieces_drop(&p, i);
		expect_pieces(&p, &f, ERR_MALFORMED, i == 0 ? "'bundle.json'"
						     : i == 1 ? "'bundle.json.sig'"
						     : i + 1 < TINY_PIECES ? "stands in its place"
								 : "it is missing");
		fixture_pieces(&f, &p);
		p.list[p.count++] = p.list[i];
		pieces_move(&p, p.count - 1, i);
		expect_pieces(&p, &f, ERR_MALFORMED, i == 0 ? "'bundle.json.sig'"
						     : i + 1 < TINY_PIECES ? "stands in its place"
								 : "behind the last member");
	}
	CHECK_INT(p.count, TINY_PIECES + 1);
	fixture_release(&f);
}

TEST(members_longer_or_shorter_than_listed_are_refused)
{
	static const int64_t off[] = {-1, 1, 512, -512, 1 << 20, INT64_C(1) << 40, INT64_C(1) << 61};
	struct fixture f;
	struct pieces p;
	unsigned i, k;

	tiny_bundle(&f);
	for (i = 2; i < TINY_PIECES; i++) {
		for (k = 0; k < ARRAY_SIZE(off); k++) {
			fixture_pieces(&f, &p);
			p.list[i].size += (uint64_t)off[k];
			if ((int64_t)p.list[i].size >= 0)
				expect_pieces(&p, &f, ERR_MALFORMED, "are listed");
		}
	}
	/* What is read before there is a list. */
	fixture_pieces(&f, &p);
	p.list[0].size = (UINT64_C(256) << 20) + 1;
	expect_pieces(&p, &f, ERR_LIMIT, "more than 268435456");
	p.list[0].size = INT64_C(1) << 61;
	expect_pieces(&p, &f, ERR_LIMIT, "more than 268435456");
	p.list[0].size = 0;
	p.list[0].content = SLICE_EMPTY;
	expect_pieces(&p, &f, ERR_MALFORMED, "bundle.json: line 1");
	fixture_pieces(&f, &p);
	p.list[0].size = UINT64_C(256) << 20;
	expect_pieces(&p, &f, ERR_RETRY, "cut short");
	fixture_pieces(&f, &p);
	p.list[1].size = 4097;
	expect_pieces(&p, &f, ERR_LIMIT, "4097 bytes are more than 4096");
	fixture_release(&f);
}

TEST(names_that_lead_elsewhere_are_refused)
{
	static const char *const names[] = {"../1.targets.json", "metadata/../1.targets.json", "/metadata/1.targets.json",
		"./metadata/1.targets.json", "metadata//1.targets.json", "metadata/1.targets.json/", "",
		"metadata/1.targets.json ", "metadata\\1.targets.json", "metadata/1.t\xc3\xa4rgets.json",
		"metadata/1.targets.json\n", "METADATA/1.targets.json", "metadata/1.targets.json.part-0", "..", "/", "."};
	struct fixture f;
	struct pieces p;
	size_t i;

	tiny_bundle(&f);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		fixture_pieces(&f, &p);
		snprintf(p.list[3].name, sizeof(p.list[3].name), "%s", names[i]);
		expect_pieces(&p, &f, ERR_MALFORMED, "member 'metadata/1.targets.json'");
		fixture_pieces(&f, &p);
		snprintf(p.list[0].name, sizeof(p.list[0].name), "%s", names[i]);
		expect_pieces(&p, &f, ERR_MALFORMED, "'a.bundle': ");
		fixture_pieces(&f, &p);
		snprintf(pieces_add(&p, "x", SLICE_EMPTY)->name, 100, "%s", names[i]);
		expect_pieces(&p, &f, ERR_MALFORMED, "'a.bundle': ");
	}
	fixture_release(&f);
}

TEST(members_of_other_kinds_are_refused)
{
	/* Links, devices, directories, FIFOs, contiguous; GNU's sparse, long names, multi-volume; old tar; pax. */
	static const char types[] = {'1', '2', '3', '4', '5', '6', '7', 'S', 'L', 'K', 'M', 'D', 'V', 'N', 'A', '\0', 'x',
		'g', 'X'};
	struct fixture f;
	struct pieces p;
	unsigned i, k;

	tiny_bundle(&f);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		for (k = 0; k < TINY_PIECES; k++) {
			fixture_pieces(&f, &p);
			p.list[k].type = types[i];
			expect_pieces(&p, &f, ERR_MALFORMED, "'a.bundle': ");
			/* With no content at all, before the member, or behind the last. */
			fixture_pieces(&f, &p);
			pieces_add(&p, p.list[k].name, SLICE_EMPTY)->type = types[i];
			expect_pieces(&p, &f, ERR_MALFORMED, "'a.bundle': ");
			pieces_move(&p, p.count - 1, k);
			expect_pieces(&p, &f, ERR_MALFORMED, "'a.bundle': ");
		}
	}
	fixture_release(&f);
}

TEST(extended_headers_are_refused_whatever_they_say)
{
	static const char *const records[] = {"37 path=metadata/1.targets.json\n", "33 path=metadata/1.targets.json\n",
		"11 size=13\n", "12 size=999\n", "30 mtime=1795843200.000000000\n", "22 GNU.sparse.major=1\n",
		"20 comment=0123456789\n", ""};
	struct fixture f;
	struct pieces p;
	unsigned i, k;

	tiny_bundle(&f);
	for (i = 0; i < ARRAY_SIZE(records); i++) {
		for (k = 0; k <= TINY_PIECES; k++) {
			fixture_pieces(&f, &p);
			pieces_add(&p, "PaxHeaders/x", slice_str(records[i]))->type = 'x';
			pieces_move(&p, p.count - 1, k);
			expect_pieces(&p, &f, ERR_MALFORMED, records[i][0] == '\0' ? "" : "header");
			p.list[k].type = 'g';
			expect_pieces(&p, &f, ERR_MALFORMED, "neither a file nor a directory");
		}
	}
	fixture_release(&f);
}

/* One header's field, with the checksum as it has to be then. */
static int read_with_field(const struct fixture *f, unsigned piece, size_t at, const void *bytes, size_t n,
			   struct error *err)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX), head = BUF_INIT(BUNDLE_MAX);
	struct pieces p;
	unsigned i;
	int r;

	fixture_pieces(f, &p);
	for (i = 0; i < piece; i++)
		piece_put(&head, &p.list[i]);
	pieces_put(&tar, &p);
	header_set(tar.ptr + head.len, at, bytes, n);
	*err = ERROR_INIT;
	r = read_bytes(buf_slice(&tar), f, 0, err);
	buf_release(&tar);
	buf_release(&head);
	return r;
}

TEST(who_owns_a_member_does_not_matter_and_its_size_does)
{
	static const uint8_t binary[][12] = {
		{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14},	/* one more than listed */
		{0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 13},	/* 2^32 more */
		{0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 13},	/* 2^64 more */
		{0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 13},
		{0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13},
		{0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13},
	};
	static const char *const octal[] = {"00000000016", "77777777777", "-0000000015", "0x0000000d", " 0000000015",
		"00000000o15", "0000000015x", "", "           "};
	static const uint8_t same[12] = {0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13};
	struct fixture f;
	struct error err;
	char field[13];
	size_t i;

	tiny_bundle(&f);
	CHECK_INT(f.members[1].member.length, 13);
	CHECK_INT(read_with_field(&f, 3, 124, same, 12, &err), 0);
	CHECK_INT(read_with_field(&f, 3, 100, "0000755", 8, &err), 0);
	CHECK_INT(read_with_field(&f, 3, 108, "0001750", 8, &err), 0);
	CHECK_INT(read_with_field(&f, 3, 116, "0001750", 8, &err), 0);
	CHECK_INT(read_with_field(&f, 3, 136, "13737373737", 12, &err), 0);
	CHECK_INT(read_with_field(&f, 3, 265, "somebody", 9, &err), 0);
	for (i = 0; i < ARRAY_SIZE(binary); i++) {
		CHECK_INT(read_with_field(&f, 3, 124, binary[i], 12, &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	for (i = 0; i < ARRAY_SIZE(octal); i++) {
		memset(field, 0, sizeof(field));
		snprintf(field, sizeof(field), "%s", octal[i]);
		CHECK_INT(read_with_field(&f, 3, 124, field, 12, &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	CHECK_INT(read_with_field(&f, 3, 257, "\0\0\0\0\0\0\0\0", 8, &err), -1);	/* before POSIX */
	CHECK_INT(read_with_field(&f, 3, 345, "elsewhere", 10, &err), -1);	/* a prefix of the name */
	CHECK(strstr(err.text, "'elsewhere/metadata/1.targets.json' stands in its place") != NULL);
	fixture_release(&f);
}

TEST(what_stands_behind_the_end_is_refused)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX), bad = BUF_INIT(BUNDLE_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;
	size_t at;

	tiny_bundle(&f);
	fixture_tar(&f, &tar);
	buf_put_slice(&bad, buf_slice(&tar));
	put_zeros(&bad, 1 << 20);
	CHECK_INT(read_bytes(buf_slice(&bad), &f, 0, &err), 0);
	for (at = tar.len; at < bad.len; at += 65521) {
		bad.ptr[at] = 1;
		check_refused(&bad, &f, "behind", at);
		bad.ptr[at] = 0;
	}
	bad.ptr[bad.len - 1] = 1;
	check_refused(&bad, &f, "behind", bad.len);
	buf_clear(&bad);
	buf_put_slice(&bad, buf_slice(&tar));
	buf_put_slice(&bad, buf_slice(&tar));
	check_refused(&bad, &f, "a second archive", 0);
	buf_clear(&bad);
	buf_put(&bad, tar.ptr, tar.len - 1024);	/* tar -A, as some do it */
	buf_put_slice(&bad, buf_slice(&tar));
	check_refused(&bad, &f, "a second archive", 0);
	/* One block of zeros, then something. */
	buf_clear(&bad);
	buf_put(&bad, tar.ptr, tar.len - 512);
	buf_put(&bad, tar.ptr, 512);
	check_refused(&bad, &f, "one block of zeros", 0);
	buf_release(&tar);
	buf_release(&bad);
	fixture_release(&f);
}

TEST(what_is_no_bundle_is_told_so)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX), json = BUF_INIT(VOLUME_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;
	struct pieces p;

	tiny_bundle(&f);
	CHECK_INT(read_bytes(SLICE_EMPTY, &f, 0, &err), -1);
	CHECK_STR(err.text, "'a.bundle': the archive is cut short after 0 bytes");
	buf_put_str(&tar, "PK\x03\x04");
	put_zeros(&tar, 1020);
	CHECK_INT(read_bytes(buf_slice(&tar), &f, 0, &err), -1);
	CHECK_STR(err.text, "'a.bundle': a member's header is not in ustar format");
	buf_clear(&tar);
	put_zeros(&tar, 4096);
	CHECK_INT(read_bytes(buf_slice(&tar), &f, 0, &err), -1);
	CHECK_STR(err.text, "'a.bundle': the archive is empty");
	p.count = 0;
	pieces_add(&p, "receipt.json", SLICE_LIT("{}"));
	buf_clear(&tar);
	pieces_put(&tar, &p);
	CHECK_INT(read_bytes(buf_slice(&tar), &f, 0, &err), -1);
	CHECK_STR(err.text, "'a.bundle': this is no bundle: it begins with 'receipt.json', not with 'bundle.json'");
	CHECK_STR(err.hint, "this is a receipt: it goes to the site that makes the bundles");
	/* A first volume without the manifest. */
	volume_put(&json, &(struct volume){.volume = 1, .volumes = 2});
	p.count = 0;
	pieces_add(&p, BUNDLE_VOLUME, buf_slice(&json));
	buf_clear(&tar);
	pieces_put(&tar, &p);
	CHECK_INT(read_bytes(buf_slice(&tar), &f, 0, &err), -1);
	CHECK_STR(err.text, "'a.bundle': volume 1 begins without 'bundle.json'");
	buf_release(&json);
	buf_release(&tar);
	fixture_release(&f);
}

TEST(a_reader_that_has_failed_goes_on_failing)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX), all = BUF_INIT(100);
	struct manifest m = MANIFEST_INIT;
	struct error err = ERROR_INIT, again = ERROR_INIT;
	const char *const names[] = {"a.bundle"};
	struct bundle_reader *r;
	struct fixture f;
	struct member member;
	char byte;
	int fd;

	tiny_bundle(&f);
	fixture_tar(&f, &tar);
	fd = fixture_fd(buf_slice(&tar));
	r = bundle_reader_open_fds(&fd, names, 1, &err);
	REQUIRE(r != NULL && bundle_read_manifest(r, &m, &signature, &err) == 0);
	CHECK_INT(bundle_reader_volume(r), 1);
	CHECK_INT(bundle_reader_total(r), tar.len);
	CHECK_INT(bundle_next(r, &member, &err), 1);
	CHECK_INT(bundle_read_all(r, &all, &err), 0);
	CHECK_STR(buf_cstr(&all), "{\"root\":1}");
	CHECK_INT(bundle_read(r, &byte, 1, &err), 0);
	CHECK_INT(bundle_next(r, &member, &err), 1);
	all.max = 5;
	CHECK_INT(bundle_read_all(r, &all, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_INT(bundle_next(r, &member, &again), -1);
	CHECK_INT(bundle_read(r, &byte, 1, &again), -1);
	CHECK_INT(bundle_end(r, &again), -1);
	CHECK_STR(again.text, err.text);
	bundle_reader_free(r);
	manifest_release(&m);
	buf_release(&tar);
	buf_release(&all);
	buf_release(&signature);
	close(fd);
	fixture_release(&f);
}

TEST(members_that_nobody_reads_are_checked_all_the_same)
{
	struct buf tar = BUF_INIT(BUNDLE_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	struct error err = ERROR_INIT;
	const char *const names[] = {"a.bundle"};
	struct bundle_reader *r;
	struct member member;
	struct fixture f;
	int fd, damaged, more;

	for (damaged = 0; damaged < 2; damaged++) {
		small_bundle(&f);
		buf_clear(&tar);
		fixture_tar(&f, &tar);
		if (damaged)
			find_content(&tar, &f, 70001)[35000] ^= 1;
		fd = fixture_fd(buf_slice(&tar));
		r = bundle_reader_open_fds(&fd, names, 1, &err);
		REQUIRE(r != NULL && bundle_read_manifest(r, &m, &signature, &err) == 0);
		while ((more = bundle_next(r, &member, &err)) == 1)
			;
		CHECK_INT(more, damaged ? -1 : 0);
		CHECK_INT(bundle_end(r, &err), damaged ? -1 : 0);
		CHECK_INT(damaged ? err.kind : ERR_REFUSED, ERR_REFUSED);
		bundle_reader_free(r);
		manifest_release(&m);
		close(fd);
		fixture_release(&f);
	}
	buf_release(&tar);
	buf_release(&signature);
}
