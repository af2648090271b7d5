/* QR codes: the same modules as another encoder's, in every version, and their drawing. */
#include "tap.h"

#include "base/encode.h"
#include "base/qr.h"
#include "crypto/hash.h"

/* The first n bytes of a sentence, again and again. */
static struct slice text_of(uint8_t out[QR_BYTES_MAX + 1], size_t n)
{
	static const char sentence[] = "meshanics carries packets, 0123456789. ";
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = (uint8_t)sentence[i % (sizeof(sentence) - 1)];
	return slice_of(out, n);
}

TEST(modules_are_those_of_qrencode)
{
	/* SHA-256 of all modules as 1 and 0, row by row, of: qrencode -8 -l M -m 0 (4.1.1), the longest text of each version. */
	static const struct {
		unsigned version, bytes, mask;
		const char *hash;
	} known[] = {
		{1, 14, 2, "c1452836104f5259fad3dcdeed10f2a3c819a40fd6b90c9d776445298559cc2e"},
		{2, 26, 2, "adeb33bb5e425b529e58a90bbf06077568cf14554ba90735336ccb0dfb3d1c85"},
		{3, 40, 2, "7560799bd222f778a729b6b1a79dc8019abb27795fe506a097d058cc2de163b3"},
		{4, 62, 3, "91126bf00fd597582a99040dcf4847b464f4d2050e13a9a9171edd6042bc2ef3"},
		{5, 84, 2, "8d353b2e26f09d9d3e28adf8ff35afd085fc2f6b34601baa939c6bfe5f600394"},
		{6, 106, 2, "cc5c90cf4354ddd0fafaffb9cacdb266b38d93668df3a25f623ac6e33426ac86"},
		{7, 122, 2, "7adbc240d081566aebca7ca629d86a632af37cbf0d7379a9717baabdd717fcb3"},
		{8, 152, 2, "9dc2bc1be0acd151b830ad34a12dd8a5924aa0777ad644b5ef0b7f1240dfd70a"},
		{9, 180, 2, "1a7cd08446eb731b87553244b4f3266aff7b2e882c7be6d7e24f0090e86b1d49"},
		{10, 213, 2, "d49a66172b012f7756aca8c03bd2630d589a35ce8ed7fed18b1c2887e790472d"},
		{11, 251, 6, "ea0cf899a12874b3cf383167f097db3cf6e8b1fc911a40c196dd6ca92658d357"},
		{12, 287, 2, "f5a53c3a132420c8be8ca4d2b616ca73b51b99d1638d93d68d344747e2c1b3a2"},
		{13, 331, 2, "21906469037972fbab8da03810c7c35a76859fa380d5b89fa2dcb316716e91bd"},
	};
	static uint8_t room[QR_BYTES_MAX + 1];
	static struct qr q;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		struct buf bits = BUF_INIT(QR_SIZE_MAX * QR_SIZE_MAX);
		struct error err = ERROR_INIT;
		uint8_t hash[SHA256_LEN];
		char hex[SHA256_LEN * 2 + 1];
		unsigned y, x;

		REQUIRE(qr_encode(&q, text_of(room, known[i].bytes), &err) == 0);
		CHECK_INT(q.version, known[i].version);
		CHECK_INT(q.size, 17 + 4 * known[i].version);
		CHECK_INT(q.mask, known[i].mask);
		for (y = 0; y < q.size; y++) {
			for (x = 0; x < q.size; x++)
				buf_put_u8(&bits, q.dark[y][x] ? '1' : '0');
		}
		sha256_of(buf_slice(&bits), hash);
		hex_encode(hex, hash, sizeof(hash));
		CHECK_STR(hex, known[i].hash);
		buf_release(&bits);
	}
}

TEST(one_byte_more_takes_the_next_version_and_then_there_is_none)
{
	static const unsigned last[] = {14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331};
	static uint8_t room[QR_BYTES_MAX + 2];
	static struct qr q;
	struct error err = ERROR_INIT;
	size_t i;

	REQUIRE(qr_encode(&q, SLICE_EMPTY, &err) == 0);
	CHECK_INT(q.version, 1);
	for (i = 0; i < ARRAY_SIZE(last); i++) {
		REQUIRE(qr_encode(&q, text_of(room, last[i]), &err) == 0);
		CHECK_INT(q.version, i + 1);
		if (last[i] == QR_BYTES_MAX)
			break;
		REQUIRE(qr_encode(&q, text_of(room, last[i] + 1), &err) == 0);
		CHECK_INT(q.version, i + 2);
	}
	CHECK(qr_encode(&q, slice_of(room, QR_BYTES_MAX + 1), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
}

TEST(finders_are_in_three_corners)
{
	static const char *const finder[] = {"1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"};
	static struct qr q;
	struct error err = ERROR_INIT;
	unsigned y, x;

	REQUIRE(qr_encode(&q, SLICE_LIT("mesh"), &err) == 0);
	for (y = 0; y < 7; y++) {
		for (x = 0; x < 7; x++) {
			CHECK_INT(q.dark[y][x], finder[y][x] - '0');
			CHECK_INT(q.dark[y][q.size - 7 + x], finder[y][x] - '0');
			CHECK_INT(q.dark[q.size - 7 + y][x], finder[y][x] - '0');
		}
	}
	CHECK_INT(q.dark[q.size - 8][8], 1);
}

TEST(a_drawing_has_a_quiet_zone_and_two_rows_a_line)
{
	struct buf out = BUF_INIT(65536);
	struct error err = ERROR_INIT;
	static struct qr q;
	size_t lines = 0, i;

	REQUIRE(qr_encode(&q, SLICE_LIT("mesh"), &err) == 0);
	qr_draw(&out, &q, false);
	for (i = 0; i < out.len; i++)
		lines += out.ptr[i] == '\n';
	CHECK_INT(lines, (q.size + 2 * QR_QUIET + 1) / 2);
	/* Light on dark: the zone is drawn, in full blocks. */
	for (i = 0; i < q.size + 2 * QR_QUIET; i++)
		CHECK(memcmp(out.ptr + 3 * i, "\xe2\x96\x88", 3) == 0);
	CHECK(memchr(out.ptr, 033, out.len) == NULL);
	buf_clear(&out);
	qr_draw(&out, &q, true);
	/* Black on white: the zone is left out. */
	CHECK(slice_starts(buf_slice(&out), SLICE_LIT("\033[30;107m        ")));
	CHECK(slice_ends(buf_slice(&out), SLICE_LIT("\033[0m\n")));
	qr_wipe(&q);
	CHECK_INT(q.size, 0);
	buf_release(&out);
}
