/* Bundles: what their reader takes, and what it refuses. */
#include <fcntl.h>
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
		CHECK(slice_equal(buf_slice(&signature), buf_slice(&f->signature)));
		CHECK(memcmp(m.id, f->m.id, SHA256_LEN) == 0);
		if (read_members(r, f, 0, n, err) == 0)
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
