/* Sealed streams and tar headers: round trips, and every way of breaking them. */
#include "tap.h"

#include "base/tar.h"
#include "crypto/key.h"
#include "crypto/sealed.h"

static const struct sealed_cost cheap = {.passes = 1, .memory_kib = 8};

static void seal(struct slice content, size_t piece, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct sealer *s;
	size_t at;

	REQUIRE(crypto_start(&err) == 0);
	s = sealer_new(SLICE_LIT("passphrase"), cheap, out, &err);
	REQUIRE(s != NULL);
	for (at = 0; at < content.len; at += piece)
		sealer_put(s, slice_sub(content, at, piece), out);
	sealer_end(s, out);
	sealer_free(s);
	REQUIRE(!out->failed);
}

static int unseal(struct slice sealed, const char *passphrase, size_t piece, struct buf *out, struct error *err)
{
	struct unsealer *u;
	size_t at;
	int r = 0;

	*err = ERROR_INIT;
	u = unsealer_new(slice_sub(sealed, 0, SEALED_HEADER_LEN), slice_str(passphrase), err);
	if (u == NULL)
		return -1;
	for (at = SEALED_HEADER_LEN; r == 0 && at < sealed.len; at += piece)
		r = unsealer_put(u, slice_sub(sealed, at, piece), out, err);
	if (r == 0)
		r = unsealer_end(u, out, err);
	unsealer_free(u);
	return r;
}

TEST(what_was_sealed_comes_back)
{
	static const size_t sizes[] = {0, 1, SEALED_CHUNK - 1, SEALED_CHUNK, SEALED_CHUNK + 1, 3 * SEALED_CHUNK, 200000};
	struct buf content = BUF_INIT(1 << 20), sealed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct error err;
	size_t i, k;

	for (k = 0; k < 200000; k++)
		buf_put_u8(&content, (uint8_t)(k * 7 + (k >> 8)));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct slice part = slice_sub(buf_slice(&content), 0, sizes[i]);

		buf_clear(&sealed);
		buf_clear(&out);
		seal(part, 1000, &sealed);
		CHECK_INT(unseal(buf_slice(&sealed), "passphrase", 777, &out, &err), 0);
		CHECK(slice_equal(buf_slice(&out), part));
	}
	buf_release(&content);
	buf_release(&sealed);
	buf_release(&out);
}

TEST(what_was_changed_is_refused)
{
	struct buf content = BUF_INIT(1 << 20), sealed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct error err;
	size_t k, cut;

	for (k = 0; k < 3 * SEALED_CHUNK; k++)
		buf_put_u8(&content, (uint8_t)k);
	seal(buf_slice(&content), 5000, &sealed);
	CHECK_INT(unseal(buf_slice(&sealed), "Passphrase", 4096, &out, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(out.len, 0);
	for (k = 0; k < sealed.len; k += 9973) {
		sealed.ptr[k] ^= 1;
		buf_clear(&out);
		CHECK_INT(unseal(buf_slice(&sealed), "passphrase", 4096, &out, &err), -1);
		CHECK(err.kind == ERR_REFUSED || err.kind == ERR_MALFORMED || err.kind == ERR_LIMIT);
		CHECK(out.len == 0 || memcmp(out.ptr, content.ptr, out.len) == 0);
		sealed.ptr[k] ^= 1;
	}
	/* Cut at every place of interest, also exactly between two chunks. */
	for (cut = SEALED_HEADER_LEN; cut < sealed.len; cut += SEALED_CHUNK_MAX / 2) {
		buf_clear(&out);
		CHECK_INT(unseal(slice_sub(buf_slice(&sealed), 0, cut), "passphrase", 4096, &out, &err), -1);
		CHECK_INT(err.kind, ERR_REFUSED);
	}
	buf_clear(&out);
	CHECK_INT(unseal(slice_sub(buf_slice(&sealed), 0, SEALED_HEADER_LEN + SEALED_CHUNK_MAX), "passphrase", 4096, &out,
			 &err), -1);
	CHECK_STR(err.text, "the sealed file is cut short");
	/* Something behind the end; two chunks that changed places. */
	buf_put_str(&sealed, "more");
	buf_clear(&out);
	CHECK_INT(unseal(buf_slice(&sealed), "passphrase", 4096, &out, &err), -1);
	sealed.len -= 4;
	for (k = 0; k < SEALED_CHUNK_MAX; k++) {
		uint8_t *a = sealed.ptr + SEALED_HEADER_LEN + k, *b = a + SEALED_CHUNK_MAX, c = *a;

		*a = *b;
		*b = c;
	}
	buf_clear(&out);
	CHECK_INT(unseal(buf_slice(&sealed), "passphrase", 4096, &out, &err), -1);
	CHECK_INT(out.len, 0);
	buf_release(&content);
	buf_release(&sealed);
	buf_release(&out);
}

TEST(a_costly_header_is_refused_before_memory_is_taken)
{
	struct buf sealed = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;

	seal(SLICE_LIT("x"), 1, &sealed);
	sealed.ptr[8] = 0xff;
	CHECK(unsealer_new(slice_sub(buf_slice(&sealed), 0, SEALED_HEADER_LEN), SLICE_LIT("p"), &err) == NULL);
	CHECK_INT(err.kind, ERR_LIMIT);
	sealed.ptr[0] = 'X';
	CHECK(unsealer_new(slice_sub(buf_slice(&sealed), 0, SEALED_HEADER_LEN), SLICE_LIT("p"), &err) == NULL);
	CHECK_INT(err.kind, ERR_MALFORMED);
	CHECK(unsealer_new(SLICE_LIT("short"), SLICE_LIT("p"), &err) == NULL);
	CHECK_INT(err.kind, ERR_MALFORMED);
	buf_release(&sealed);
}

/* ---- tar ---- */

/* Through a header and back; TAR_MEMBER when it worked. */
static int round_trip(const struct tar_entry *e, struct tar_entry *got, unsigned *blocks)
{
	struct tar_reader t = {.in_pax = false};
	struct buf out = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	int kind = -1;

	*blocks = 0;
	if (tar_put(&out, e, &err) == 0)
		do {
			kind = tar_get(&t, out.ptr + (*blocks)++ * TAR_BLOCK, got, &err);
		} while (kind == TAR_MORE);
	CHECK(kind < 0 || *blocks * TAR_BLOCK == out.len);
	if (kind < 0)
		printf("# %s\n", err.text);
	buf_release(&out);
	return kind;
}

static void repeat(char *out, char c, unsigned n)
{
	memset(out, c, n);
	out[n] = '\0';
}

TEST(tar_headers_come_back)
{
	static const uint64_t sizes[] = {0, 1, 8589934591, 8589934592, UINT64_C(1) << 40};
	static const unsigned lengths[] = {1, 99, 100, 101, 155, 200, 244, 255};
	struct tar_entry e = {.mode = 0640, .mtime_s = 1795203000, .name = "a/b"}, got;
	unsigned i, blocks;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		e.size = sizes[i];
		CHECK_INT(round_trip(&e, &got, &blocks), TAR_MEMBER);
		CHECK(!got.is_dir && got.size == e.size && got.mode == 0640 && got.mtime_s == e.mtime_s);
		CHECK_STR(got.name, e.name);
	}
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		repeat(e.name, 'n', lengths[i]);
		CHECK_INT(round_trip(&e, &got, &blocks), TAR_MEMBER);
		CHECK_INT(blocks, lengths[i] <= 100 ? 1 : 3);
		CHECK_STR(got.name, e.name);
	}
	repeat(e.name, 'd', 150);
	e.name[150] = '/';
	repeat(e.name + 151, 'f', 100);
	CHECK_INT(round_trip(&e, &got, &blocks), TAR_MEMBER);
	CHECK_INT(blocks, 1);
	CHECK_STR(got.name, e.name);
	e = (struct tar_entry){.name = "repo", .is_dir = true, .mode = 0700};
	CHECK_INT(round_trip(&e, &got, &blocks), TAR_MEMBER);
	CHECK(got.is_dir && got.size == 0);
	{
		struct tar_reader t = {.in_pax = false};
		uint8_t zeros[TAR_BLOCK] = {0};
		struct error err;

		CHECK_INT(tar_get(&t, zeros, &got, &err), TAR_END);
	}
	CHECK_INT(tar_padding(0), 0);
	CHECK_INT(tar_padding(1), 511);
	CHECK_INT(tar_padding(512), 0);
}

TEST(unsafe_tar_members_are_refused)
{
	static const char *const names[] = {"/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/.", "", "a b", "a\nb",
					    "a/", "a/\xc3\xa9"};
	struct tar_entry e = {.name = "a", .mode = 0600}, got;
	struct buf good = BUF_INIT(4096), out = BUF_INIT(4096);
	struct tar_reader t;
	uint8_t block[TAR_BLOCK];
	struct error err;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		strcpy(e.name, names[i]);
		CHECK_INT(tar_put(&out, &e, &err), -1);
	}
	strcpy(e.name, "a");
	REQUIRE(tar_put(&good, &e, &err) == 0);
	for (i = 0; i < TAR_BLOCK; i++) {
		/* Any changed byte breaks the checksum, or is a blank written as another blank. */
		memcpy(block, good.ptr, sizeof(block));
		block[i] ^= 4;
		t = (struct tar_reader){.in_pax = false};
		CHECK(tar_get(&t, block, &got, &err) == -1 || (i >= 148 && i < 156));
	}
	memcpy(block, good.ptr, sizeof(block));
	block[156] = '2';	/* a symbolic link, with the checksum that fits */
	block[153] = (uint8_t)(block[153] + 2);
	t = (struct tar_reader){.in_pax = false};
	CHECK_INT(tar_get(&t, block, &got, &err), -1);
	/* A long name that leads elsewhere, and a record that is no path. */
	buf_clear(&good);
	repeat(e.name, 'n', 200);
	REQUIRE(tar_put(&good, &e, &err) == 0);
	memcpy(good.ptr + TAR_BLOCK + 9, "../", 3);
	t = (struct tar_reader){.in_pax = false};
	CHECK_INT(tar_get(&t, good.ptr, &got, &err), TAR_MORE);
	CHECK_INT(tar_get(&t, good.ptr + TAR_BLOCK, &got, &err), TAR_MORE);
	CHECK_INT(tar_get(&t, good.ptr + 2 * TAR_BLOCK, &got, &err), -1);
	memcpy(good.ptr + TAR_BLOCK + 4, "size", 4);
	t = (struct tar_reader){.in_pax = false};
	CHECK_INT(tar_get(&t, good.ptr, &got, &err), TAR_MORE);
	CHECK_INT(tar_get(&t, good.ptr + TAR_BLOCK, &got, &err), -1);
	buf_release(&good);
	buf_release(&out);
}
