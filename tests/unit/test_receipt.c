/* Receipts: what is written is read back, no field tells of devices, and whatever is off is refused. */
#include "bundle/receipt.h"
#include "tests/unit/bundle_fixture.h"
#include "tests/unit/tap.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define UPPER_C "Cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define HELD HEX_A "\n" HEX_B "\n"
#define HELD_SHA256 "913f9338fb6c17253f3a14816fc08d52522454bfc19a8c99538a197cfb23fb41"

#define BEGIN                                                                                                         \
	"{\"audit\":{\"hash\":\"" HEX_C "\",\"seq\":12},\"bundle\":\"" HEX_A "\",\"created\":\"2026-12-01T08:00:00Z\"," \
	"\"format\":\"meshanics-receipt-1\",\"held\":{\"count\":2,\"sha256\":\""
#define END                                                                                                           \
	"\"},\"sequence\":3,\"site\":\"depot-7\",\"versions\":{\"root\":2,\"targets\":7,\"acme\":4,\"acme-bin-0\":9}}\n"
#define RECEIPT BEGIN HELD_SHA256 END

struct archive_text {
	struct pieces p;
	struct buf json, tar;
};

/* A receipt whose `held` is this text, in pieces. */
static void make(struct archive_text *t, const char *held, int64_t count)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN], number[32];
	char *at;

	memset(t, 0, sizeof(*t));
	t->json = BUF_INIT(RECEIPT_MAX);
	t->tar = BUF_INIT(1 << 20);
	sha256_of(slice_str(held), hash);
	hex_encode(hex, hash, SHA256_LEN);
	buf_printf(&t->json, "%s%s%s", BEGIN, hex, END);
	snprintf(number, sizeof(number), "\"count\":%d,", (int)count);
	at = strstr((char *)t->json.ptr, "\"count\":2,");
	REQUIRE(strlen(number) == 10 && t->json.len < TAR_BLOCK);
	memcpy(at, number, 10);
	pieces_add(&t->p, "receipt.json", buf_slice(&t->json));
	pieces_add(&t->p, "receipt.json.sig", SLICE_LIT("signature"));
	pieces_add(&t->p, "held", slice_str(held));
}

static int read_tar(struct archive_text *t, struct error *err)
{
	struct buf text = BUF_INIT(RECEIPT_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct receipt r;
	struct held held;
	int fd = fixture_fd(buf_slice(&t->tar)), result;

	*err = ERROR_INIT;
	result = receipt_read(fd, &text, &signature, &r, &held, err);
	if (result == 0) {
		CHECK(slice_equal(buf_slice(&text), buf_slice(&t->json)));
		CHECK_INT(held.count, r.held_count);
	} else {
		CHECK(held.list == NULL && r.versions == NULL);
	}
	receipt_release(&r);
	held_release(&held);
	buf_release(&text);
	buf_release(&signature);
	close(fd);
	return result;
}

static int read_pieces(struct archive_text *t, struct error *err)
{
	buf_clear(&t->tar);
	pieces_put(&t->tar, &t->p);
	return read_tar(t, err);
}

static void release(struct archive_text *t)
{
	buf_release(&t->json);
	buf_release(&t->tar);
}

/* ---- receipt.json ---- */

TEST(what_a_receipt_says_is_read)
{
	struct buf b = BUF_INIT(RECEIPT_MAX);
	struct error err = ERROR_INIT;
	uint8_t id[SHA256_LEN];
	struct receipt r;

	REQUIRE(receipt_parse(&r, SLICE_LIT(RECEIPT), &err) == 0);
	CHECK_STR(r.site, "depot-7");
	CHECK(r.has_bundle && r.bundle[0] == 0xaa && r.sequence == 3 && r.audit.seq == 12 && r.audit.hash[0] == 0xcc);
	CHECK_INT(r.version_count, 4);
	CHECK_INT(receipt_version(&r, "root"), 2);
	CHECK_INT(receipt_version(&r, "acme-bin-0"), 9);
	CHECK_INT(receipt_version(&r, "acme-bin"), 0);
	CHECK_INT(r.held_count, 2);
	sha256_of(SLICE_LIT(RECEIPT), id);
	CHECK(memcmp(id, r.id, SHA256_LEN) == 0);
	receipt_put(&b, &r);
	CHECK_STR(buf_cstr(&b), RECEIPT);
	receipt_release(&r);
	receipt_release(&r);
	buf_release(&b);
}

/* All that leaves a site by way of a receipt. A name more here wants a reason, and none may be one of devices. */
TEST(a_receipt_has_these_fields_and_no_others)
{
	struct receipt_version versions[] = {{"root", 1}, {"targets", 1}};
	struct receipt r = {.site = "depot-7", .versions = versions, .version_count = 2};
	struct buf b = BUF_INIT(RECEIPT_MAX);

	receipt_put(&b, &r);
	CHECK_STR(buf_cstr(&b),
		  "{\"audit\":{\"hash\":\"" ZEROS "\",\"seq\":0},\"bundle\":null,\"created\":\"1970-01-01T00:00:00Z\","
		  "\"format\":\"meshanics-receipt-1\",\"held\":{\"count\":0,\"sha256\":\"" ZEROS "\"},"
		  "\"sequence\":0,\"site\":\"depot-7\",\"versions\":{\"root\":1,\"targets\":1}}\n");
	buf_release(&b);
}

TEST(fields_of_a_receipt_are_refused_when_wrong)
{
	static const struct {
		const char *from, *to, *says;
	} edits[] = {
		{"\"audit\":{\"hash\":\"" HEX_C "\",\"seq\":12},", "", "audit"},
		{"\"seq\":12", "\"seq\":0", "go together"},
		{"\"seq\":12", "\"seq\":-12", "seq"},
		{"\"hash\":\"" HEX_C, "\"hash\":\"" UPPER_C, "lower case"},
		{"\"hash\":\"" HEX_C, "\"hash\":\"" ZEROS, "go together"},
		{"\"bundle\":\"" HEX_A "\",", "", "bundle"},
		{"\"bundle\":\"" HEX_A "\"", "\"bundle\":null", "go together"},
		{"\"bundle\":\"" HEX_A "\"", "\"bundle\":\"\"", "bundle"},
		{"\"sequence\":3", "\"sequence\":0", "go together"},
		{"\"sequence\":3", "\"sequence\":-1", "sequence"},
		{"\"sequence\":3", "\"sequence\":9007199254740992", "sequence"},
		{"\"sequence\":3,", "", "sequence"},
		{"\"created\":\"2026-12-01T08:00:00Z\",", "", "created"},
		{"\"created\":\"2026-12-01T08:00:00Z\"", "\"created\":\"2026-12-01\"", "created"},
		{"\"format\":\"meshanics-receipt-1\",", "", "format"},
		{"\"site\":\"depot-7\",", "", "site"},
		{"\"site\":\"depot-7\"", "\"site\":\"depot/7\"", "site"},
		{"\"site\":\"depot-7\"", "\"site\":\"depot-7\",\"devices\":3", "devices"},
		{"\"count\":2,", "", "count"},
		{"\"count\":2", "\"count\":1000001", "count"},
		{"\"count\":2", "\"count\":2,\"x\":1", "x"},
		{"\"held\":{", "\"held\":1,\"x\":{", ""},
		{"\"root\":2,", "", "out of order"},
		{"\"root\":2,\"targets\":7", "\"targets\":7,\"root\":2", "out of order"},
		{"\"root\":2,\"targets\":7,\"acme\":4", "\"root\":2,\"acme\":4,\"targets\":7", "out of order"},
		{"\"acme\":4,\"acme-bin-0\":9", "\"acme-bin-0\":9,\"acme\":4", "out of order"},
		{"\"acme\":4,\"acme-bin-0\":9", "\"acme\":4,\"acme\":4", ""},
		{"\"acme\":4", "\"snapshot\":4", "no place"},
		{"\"acme\":4", "\"timestamp\":4", "no place"},
		{"\"acme\":4", "\"Acme\":4", "role"},
		{"\"acme\":4", "\"\":4", "role"},
		{"\"acme\":4", "\"a" HEX_A "\":4", "role"},
		{"\"acme\":4", "\"acme\":0", "no version"},
		{"\"acme\":4", "\"acme\":\"4\"", "no version"},
		{"\"acme\":4", "\"acme\":9007199254740992", "no version"},
		{"{\"root\":2,\"targets\":7,\"acme\":4,\"acme-bin-0\":9}", "{}", "empty"},
		{"{\"root\":2,\"targets\":7,\"acme\":4,\"acme-bin-0\":9}", "[]", "versions"},
		{"\"sequence\":3", "\"sequence\": 3", "not one line"},
		{"}\n", "}", "not one line"},
		{"}\n", "}\r\n", "not one line"},
		{"}\n", "}\n\n", "not one line"},
		{"{\"audit\"", " {\"audit\"", "not one line"},
		{"{\"audit\"", "[{\"audit\"", ""},
	};
	struct buf b = BUF_INIT(RECEIPT_MAX);
	struct error err;
	struct receipt r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edits); i++) {
		const char *at = strstr(RECEIPT, edits[i].from);

		REQUIRE(at != NULL);
		buf_clear(&b);
		buf_printf(&b, "%.*s%s%s", (int)(at - RECEIPT), RECEIPT, edits[i].to, at + strlen(edits[i].from));
		err = ERROR_INIT;
		CHECK_INT(receipt_parse(&r, buf_slice(&b), &err), -1);
		CHECK(r.versions == NULL);
		if (err.kind == ERR_MALFORMED && strstr(err.text, edits[i].says) != NULL)
			continue;
		printf("# %s -> %s: %d \"%s\" lacks \"%s\"\n", edits[i].from, edits[i].to, err.kind, err.text, edits[i].says);
		tap_failures++;
	}
	buf_release(&b);
}

TEST(a_receipt_of_another_format_is_refused)
{
	struct buf b = BUF_INIT(RECEIPT_MAX);
	struct error err = ERROR_INIT;
	struct receipt r;

	buf_put_str(&b, RECEIPT);
	*(strstr((char *)b.ptr, "receipt-1") + 8) = '2';
	CHECK_INT(receipt_parse(&r, buf_slice(&b), &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_STR(err.text, "receipt.json: the format is 'meshanics-receipt-2', not 'meshanics-receipt-1'");
	buf_clear(&b);
	while (b.len <= 1u << 20)
		buf_put_str(&b, RECEIPT);
	b.max *= 2;
	while (b.len <= RECEIPT_MAX)
		buf_put_str(&b, RECEIPT);
	CHECK_INT(receipt_parse(&r, buf_slice(&b), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&b);
}

/* ---- the archive ---- */

TEST(an_archive_is_taken_as_it_was_made)
{
	struct archive_text t;
	struct error err;

	make(&t, HELD, 2);
	CHECK_INT(read_pieces(&t, &err), 0);
	CHECK_STR(err.text, "");
	release(&t);
	make(&t, "", 0);
	CHECK_INT(read_pieces(&t, &err), 0);
	release(&t);
}

TEST(a_list_that_is_off_is_refused)
{
	static const struct {
		const char *held;
		int count;
		const char *says;
	} lists[] = {
		{HELD, 1, "and not 1 lines"},
		{HELD, 3, "and not 3 lines"},
		{HEX_B "\n" HEX_A "\n", 2, "line 2 is out of order"},
		{HEX_A "\n" HEX_A "\n", 2, "line 2 is out of order or doubled"},
		{HEX_A "\n" UPPER_C "\n", 2, "line 2 is not 64 hex digits"},
		{HEX_A "\r" HEX_B "\n", 2, "line 1 is not 64 hex digits"},
		{HEX_A "\n" HEX_B "\r", 2, "line 2 is not 64 hex digits"},
		{HEX_A "\n" HEX_B, 2, "has 129 bytes"},
		{HEX_A "\n" HEX_B "\n\n", 2, "has 131 bytes"},
		{HEX_A "\n " HEX_B, 2, "line 2 is not 64 hex digits"},
		{"", 1, "has 0 bytes"},
		{HEX_A "\n", 0, "has 65 bytes"},
	};
	struct archive_text t;
	struct error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		make(&t, lists[i].held, lists[i].count);
		CHECK_INT(read_pieces(&t, &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
		if (strstr(err.text, lists[i].says) == NULL) {
			printf("# %s\n", err.text);
			tap_failures++;
		}
		release(&t);
	}
	make(&t, HELD, 2);
	t.p.list[2].content = SLICE_LIT(HEX_A "\n" HEX_C "\n");
	CHECK_INT(read_pieces(&t, &err), -1);
	CHECK_STR(err.text, "'held': its SHA-256 is not the one in receipt.json");
	release(&t);
}

TEST(members_of_a_receipt_stand_where_they_belong)
{
	struct archive_text t;
	struct error err;
	unsigned i, j;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < 3; j++) {
			if (i == j)
				continue;
			make(&t, HELD, 2);
			pieces_move(&t.p, i, j);
			CHECK_INT(read_pieces(&t, &err), -1);
			CHECK_INT(err.kind, ERR_MALFORMED);
			release(&t);
		}
		make(&t, HELD, 2);
		pieces_drop(&t.p, i);
		CHECK_INT(read_pieces(&t, &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
		release(&t);
		make(&t, HELD, 2);
		t.p.list[t.p.count++] = t.p.list[i];
		CHECK_INT(read_pieces(&t, &err), -1);
		CHECK(strstr(err.text, "where the end should be") != NULL);
		t.p.list[3].type = 'x';
		CHECK_INT(read_pieces(&t, &err), -1);
		t.p.count = 3;
		t.p.list[i].type = '2';
		CHECK_INT(read_pieces(&t, &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
		t.p.list[i].type = '0';
		t.p.list[i].size = UINT64_C(1) << 40;
		CHECK_INT(read_pieces(&t, &err), -1);
		CHECK_INT(err.kind, i == 2 ? ERR_MALFORMED : ERR_LIMIT);
		release(&t);
	}
	make(&t, HELD, 2);
	snprintf(t.p.list[0].name, 20, "bundle.json");
	CHECK_INT(read_pieces(&t, &err), -1);
	CHECK_STR(err.hint, "this is a bundle, not a receipt");
	release(&t);
}

TEST(a_receipt_cut_short_or_changed_is_noticed)
{
	struct archive_text t;
	struct error err;
	size_t at, len;

	make(&t, HELD, 2);
	CHECK_INT(read_pieces(&t, &err), 0);
	len = t.tar.len;
	for (at = 0; at < len; at++) {
		t.tar.len = at;
		CHECK_INT(read_tar(&t, &err), -1);
		CHECK_INT(err.kind, ERR_RETRY);
	}
	t.tar.len = len;
	/* But for the signature, in block 3, and the text that it covers, in block 1: who knows the key checks them. */
	for (at = 0; at < len; at++) {
		bool is_header = memcmp(t.tar.ptr + at / TAR_BLOCK * TAR_BLOCK + 257, "ustar", 5) == 0;

		if ((is_header && at % TAR_BLOCK == 155) || (at / TAR_BLOCK == 1 && at % TAR_BLOCK < t.json.len) ||
		    (at / TAR_BLOCK == 3 && at % TAR_BLOCK < strlen("signature")))
			continue;
		t.tar.ptr[at] ^= (uint8_t)(1u << at % 8);
		CHECK_INT(read_tar(&t, &err), -1);
		t.tar.ptr[at] ^= (uint8_t)(1u << at % 8);
	}
	put_zeros(&t.tar, 10000);
	CHECK_INT(read_tar(&t, &err), 0);
	t.tar.ptr[t.tar.len - 1] = 1;
	CHECK_INT(read_tar(&t, &err), -1);
	release(&t);
}

/* More lines than fit into one read or one write. */
TEST(a_long_list_is_written_and_read)
{
	enum { COUNT = 20001 };
	struct receipt_version versions[] = {{"root", 1}};
	struct receipt r = {.site = "depot-7", .versions = versions, .version_count = 1, .held_count = COUNT}, again;
	struct held held = {calloc(COUNT, SHA256_LEN), COUNT}, found;
	struct buf text = BUF_INIT(RECEIPT_MAX), got = BUF_INIT(RECEIPT_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct error err = ERROR_INIT;
	int fd = fixture_fd(SLICE_EMPTY);
	uint8_t other[SHA256_LEN] = {0xff};
	struct sha256 hash;
	unsigned i;

	sha256_init(&hash);
	for (i = 0; i < COUNT; i++) {
		char line[SHA256_HEX_LEN];

		held.list[i][0] = (uint8_t)(i >> 8);
		held.list[i][1] = (uint8_t)i;
		held.list[i][31] = 7;
		hex_encode(line, held.list[i], SHA256_LEN);
		line[64] = '\n';
		sha256_update(&hash, line, 65);
	}
	sha256_final(&hash, r.held_sha256);
	receipt_put(&text, &r);
	REQUIRE(receipt_write(fd, buf_slice(&text), SLICE_LIT("sig"), &held, 1795843200, &err) == 0);
	REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
	REQUIRE(receipt_read(fd, &got, &signature, &again, &found, &err) == 0);
	CHECK_INT(found.count, COUNT);
	CHECK(memcmp(found.list, held.list, (size_t)COUNT * SHA256_LEN) == 0);
	for (i = 0; i < COUNT; i += 997)
		CHECK(held_find(&found, held.list[i]));
	CHECK(!held_find(&found, other));
	receipt_release(&again);
	held_release(&found);
	held_release(&held);
	buf_release(&text);
	buf_release(&got);
	buf_release(&signature);
	close(fd);
}
