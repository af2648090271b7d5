/* bundle.json and volume.json: what is written is read back, and whatever differs from it by a little is refused. */
#include "tests/unit/bundle_fixture.h"
#include "tests/unit/tap.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define UPPER_A "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define UPPER_B "Bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define UPPER_C "Cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define MEMBER(length, name, sha256) "{\"length\":" #length ",\"name\":\"" name "\",\"sha256\":\"" sha256 "\"}"

#define SITE_HEAD                                                                                                     \
	"{\"bundle\":{\"audit\":{\"hash\":\"" HEX_C "\",\"seq\":41},\"bytes\":60,\"complete\":true,"                  \
	"\"created\":\"2026-11-28T09:30:00Z\",\"format\":\"meshanics-bundle-1\",\"kind\":\"site\",\"members\":7,"      \
	"\"origin\":\"main\",\"sequence\":3,\"since\":null,\"site\":\"depot-7\","                                     \
	"\"valid_until\":\"2026-12-28T09:30:00Z\",\"versions\":{\"root\":3,\"targets\":7}},\n"                         \
	"\"members\":[\n"
#define R2 MEMBER(1, "metadata/2.root.json", HEX_A)
#define R3 MEMBER(2, "metadata/3.root.json", HEX_A)
#define T7 MEMBER(5, "metadata/7.targets.json", HEX_A)
#define ACME MEMBER(7, "metadata/4.acme.json", HEX_A)
#define BIN MEMBER(9, "metadata/12.acme-bin-0.json", HEX_A)
#define A_A MEMBER(36, "targets/" HEX_A, HEX_A)
#define A_B MEMBER(0, "targets/" HEX_B, HEX_B)
#define SITE SITE_HEAD R2 ",\n" R3 ",\n" T7 ",\n" ACME ",\n" BIN ",\n" A_A ",\n" A_B "\n]}\n"

#define DEVICE                                                                                                        \
	"{\"bundle\":{\"audit\":{\"hash\":\"" ZEROS "\",\"seq\":0},\"bytes\":12,\"complete\":false,"                  \
	"\"created\":\"2026-11-28T09:30:00Z\",\"format\":\"meshanics-bundle-1\",\"kind\":\"device\",\"members\":3,"    \
	"\"origin\":\"depot-7\",\"sequence\":1,\"since\":\"" HEX_B "\",\"site\":\"depot-7\","                         \
	"\"valid_until\":\"2026-12-28T09:30:00Z\",\"versions\":{\"root\":3,\"snapshot\":1795843200,\"targets\":7,"     \
	"\"timestamp\":1795843201}},\n\"members\":[\n" MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n"              \
	MEMBER(4, "metadata/1795843200.snapshot.json", HEX_A) ",\n" T7 "\n]}\n"

static int parse(struct manifest *m, struct slice text, struct error *err)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	int r;

	*err = ERROR_INIT;
	buf_put_slice(&b, text);
	r = manifest_parse(m, &b, err);
	CHECK(b.ptr == NULL && b.len == 0);
	return r;
}

/* text with the first `from` in it replaced, or cut off there when `to` is NULL. */
static struct slice edit(struct buf *out, const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	buf_clear(out);
	REQUIRE(at != NULL);
	buf_put(out, text, (size_t)(at - text));
	if (to != NULL) {
		buf_put_str(out, to);
		buf_put_str(out, at + strlen(from));
	}
	return buf_slice(out);
}

TEST(what_a_manifest_says_is_read)
{
	struct error err = ERROR_INIT;
	struct manifest_iter it;
	struct member member;
	struct manifest m;
	uint8_t id[SHA256_LEN];
	unsigned n = 0;

	REQUIRE(parse(&m, SLICE_LIT(SITE), &err) == 0);
	CHECK_INT(m.kind, BUNDLE_SITE);
	CHECK_STR(m.site, "depot-7");
	CHECK_STR(m.origin, "main");
	CHECK_INT(m.sequence, 3);
	CHECK_INT(m.valid_until_s - m.created_s, 30 * 86400);
	CHECK(m.complete && !m.has_since);
	CHECK_INT(m.audit.seq, 41);
	CHECK_INT(m.versions.root, 3);
	CHECK_INT(m.versions.targets, 7);
	CHECK_INT(m.versions.snapshot, 0);
	CHECK_INT(m.members, 7);
	CHECK_INT(m.bytes, 60);
	sha256_of(SLICE_LIT(SITE), id);
	CHECK(memcmp(id, m.id, SHA256_LEN) == 0);
	for (it = manifest_iter(&m); manifest_next(&it, &member); n++) {
		if (n == 1)
			CHECK(member.kind == MEMBER_ROOT && member.version == 3 && member.length == 2);
		if (n == 4)
			CHECK(member.kind == MEMBER_ROLE && member.version == 12 &&
			      strcmp(member.role, "acme-bin-0") == 0);
		if (n == 6)
			CHECK(member.kind == MEMBER_ARTIFACT && member.sha256[31] == 0xbb && member.role[0] == '\0');
	}
	CHECK_INT(n, 7);
	CHECK_INT(it.index, 7);
	manifest_release(&m);
	REQUIRE(parse(&m, SLICE_LIT(DEVICE), &err) == 0);
	CHECK(m.kind == BUNDLE_DEVICE && !m.complete && m.has_since && m.since[0] == 0xbb);
	CHECK_INT(m.versions.timestamp, 1795843201);
	manifest_release(&m);
	manifest_release(&m);
}

TEST(a_manifest_is_written_as_it_was_read)
{
	const char *const texts[] = {SITE, DEVICE};
	struct error err = ERROR_INIT;
	struct manifest_iter it;
	struct manifest m, again;
	struct member member;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		REQUIRE(parse(&m, slice_str(texts[i]), &err) == 0);
		again = m;
		again.text = BUF_INIT(MANIFEST_MAX);
		memset(again.id, 0, SHA256_LEN);
		CHECK_INT(manifest_begin(&again, &err), 0);
		for (it = manifest_iter(&m); manifest_next(&it, &member);)
			manifest_add(&again, &member);
		CHECK_INT(manifest_end(&again, &err), 0);
		CHECK_STR(buf_cstr(&again.text), texts[i]);
		CHECK(memcmp(again.id, m.id, SHA256_LEN) == 0);
		manifest_release(&m);
		manifest_release(&again);
	}
}

struct edit {
	const char *from, *to;
	const char *says;	/* in the error */
};

static void refuse_all(const char *text, const struct edit *edits, size_t count)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	struct error err;
	struct manifest m;
	size_t i;

	for (i = 0; i < count; i++) {
		struct slice s = edit(&b, text, edits[i].from, edits[i].to);

		if (parse(&m, s, &err) == 0) {
			printf("# taken: %s -> %s\n", edits[i].from, edits[i].to == NULL ? "(cut)" : edits[i].to);
			tap_failures++;
			manifest_release(&m);
			continue;
		}
		CHECK(m.text.ptr == NULL);
		CHECK_INT(error_exit_status(err.kind), 3);
		if (strstr(err.text, edits[i].says) == NULL) {
			printf("# %s -> %s: \"%s\" lacks \"%s\"\n", edits[i].from,
			       edits[i].to == NULL ? "(cut)" : edits[i].to, err.text, edits[i].says);
			tap_failures++;
		}
	}
	buf_release(&b);
}

TEST(fields_of_the_first_line_are_refused_when_missing)
{
	static const struct edit edits[] = {
		{"\"audit\":{\"hash\":\"" HEX_C "\",\"seq\":41},", "", "audit"},
		{"\"hash\":\"" HEX_C "\",", "", "hash"},
		{",\"seq\":41", "", "seq"},
		{"\"bytes\":60,", "", "bytes"},
		{"\"complete\":true,", "", "complete"},
		{"\"created\":\"2026-11-28T09:30:00Z\",", "", "created"},
		{"\"format\":\"meshanics-bundle-1\",", "", "format"},
		{"\"kind\":\"site\",", "", "kind"},
		{"\"members\":7,", "", "members"},
		{"\"origin\":\"main\",", "", "origin"},
		{"\"sequence\":3,", "", "sequence"},
		{"\"since\":null,", "", "since"},
		{"\"site\":\"depot-7\",", "", "site"},
		{"\"valid_until\":\"2026-12-28T09:30:00Z\",", "", "valid_until"},
		{",\"versions\":{\"root\":3,\"targets\":7}", "", "versions"},
		{"\"root\":3,", "", "root"},
		{",\"targets\":7", "", "targets"},
	};

	refuse_all(SITE, edits, ARRAY_SIZE(edits));
}

TEST(fields_of_the_first_line_are_refused_when_wrong)
{
	static const struct edit edits[] = {
		{"\"seq\":41", "\"seq\":-1", "seq"},
		{"\"seq\":41", "\"seq\":0", "go together"},
		{"\"seq\":41", "\"seq\":9007199254740992", "seq"},
		{"\"seq\":41", "\"seq\":41,\"x\":1", "x"},
		{"\"hash\":\"" HEX_C, "\"hash\":\"" ZEROS, "go together"},
		{"\"hash\":\"" HEX_C, "\"hash\":\"c" HEX_C, "hex"},
		{"\"hash\":\"" HEX_C, "\"hash\":\"" UPPER_C, "lower case"},
		{"\"audit\":{\"hash\":\"" HEX_C "\",\"seq\":41}", "\"audit\":null", "audit"},
		{"\"bytes\":60", "\"bytes\":-1", "bytes"},
		{"\"bytes\":60", "\"bytes\":\"60\"", "bytes"},
		{"\"bytes\":60", "\"bytes\":60.0", ""},
		{"\"bytes\":60", "\"bytes\":6e1", ""},
		{"\"bytes\":60", "\"bytes\":060", ""},
		{"\"bytes\":60", "\"bytes\":9223372036854775808", ""},
		{"\"complete\":true", "\"complete\":1", "complete"},
		{"\"complete\":true", "\"complete\":null", "complete"},
		{"\"created\":\"2026-11-28T09:30:00Z\"", "\"created\":\"2026-11-31T09:30:00Z\"", "created"},
		{"\"created\":\"2026-11-28T09:30:00Z\"", "\"created\":\"2026-11-28T09:30:00\"", "created"},
		{"\"created\":\"2026-11-28T09:30:00Z\"", "\"created\":1795843200", "created"},
		{"\"created\":\"2026-11-28T09:30:00Z\"", "\"created\":\"2026-12-28T09:30:00Z\"", "valid_until"},
		{"\"format\":\"meshanics-bundle-1\"", "\"format\":\"meshanics-bundle-2\"", "meshanics-bundle-2"},
		{"\"format\":\"meshanics-bundle-1\"", "\"format\":1", "format"},
		{"\"kind\":\"site\"", "\"kind\":\"Site\"", "kind"},
		{"\"kind\":\"site\"", "\"kind\":\"device\"", ""},
		{"\"kind\":\"site\"", "\"kind\":0", "kind"},
		{"\"members\":7", "\"members\":0", "members"},
		{"\"members\":7", "\"members\":1000001", "members"},
		{"\"members\":7", "\"members\":6", "more members than the 6"},
		{"\"members\":7", "\"members\":8", "7 members"},
		{"\"bytes\":60", "\"bytes\":59", "more bytes than the 59"},
		{"\"bytes\":60", "\"bytes\":61", "60 bytes"},
		{"\"origin\":\"main\"", "\"origin\":\"../main\"", "origin"},
		{"\"origin\":\"main\"", "\"origin\":\"\"", "origin"},
		{"\"origin\":\"main\"", "\"origin\":\"depot-7\"", "made it"},
		{"\"origin\":\"main\"", "\"origin\":\"ma\\u0000in\"", "origin"},
		{"\"origin\":\"main\"", "\"origin\":\"m\\u0061in\"", "in order"},
		{"\"site\":\"depot-7\"", "\"site\":\"Depot\"", "site"},
		{"\"site\":\"depot-7\"", "\"site\":[\"depot-7\"]", "site"},
		{"\"site\":\"depot-7\"", "\"site\":\"" HEX_A "\"", "site"},
		{"\"sequence\":3", "\"sequence\":0", "sequence"},
		{"\"sequence\":3", "\"sequence\":9007199254740992", "sequence"},
		{"\"since\":null", "\"since\":\"\"", "since"},
		{"\"since\":null", "\"since\":false", "since"},
		{"\"since\":null", "\"since\":\"" HEX_A "0\"", "since"},
		{"\"valid_until\":\"2026", "\"valid_until\":\"2025", "valid_until"},
		{"\"root\":3", "\"root\":0", "root"},
		{"\"root\":3", "\"root\":2", "the newest root listed is 3, and not 2"},
		{"\"root\":3", "\"root\":4", "the newest root listed is 3, and not 4"},
		{"\"root\":3", "\"root\":9007199254740992", "root"},
		{"\"targets\":7", "\"targets\":8", "the newest targets listed is 7, and not 8"},
		{"\"root\":3", "\"root\":3,\"snapshot\":1", "snapshot"},
		{"\"versions\":{", "\"versions\":[{", ""},
		/* Members that nobody knows, doubled ones, another order, white space. */
		{"\"site\":\"depot-7\",", "\"site\":\"depot-7\",\"sites\":1,", "sites"},
		{"\"site\":\"depot-7\",", "\"site\":\"depot-7\",\"site\":\"depot-7\",", ""},
		{"\"sequence\":3,\"since\":null", "\"since\":null,\"sequence\":3", "in order"},
		{"\"root\":3,\"targets\":7", "\"targets\":7,\"root\":3", "in order"},
		{"\"bytes\":60", "\"bytes\": 60", "white space"},
		{"}},\n", "}} ,\n", "white space"},
	};

	refuse_all(SITE, edits, ARRAY_SIZE(edits));
}

TEST(fields_of_a_bundle_for_devices_are_refused_when_wrong)
{
	static const struct edit edits[] = {
		{"\"snapshot\":1795843200,", "", "snapshot"},
		{",\"timestamp\":1795843201", "", "timestamp"},
		{"\"timestamp\":1795843201", "\"timestamp\":0", "timestamp"},
		{"\"snapshot\":1795843200", "\"snapshot\":1795843199", "the newest snapshot"},
		{"\"origin\":\"depot-7\"", "\"origin\":\"main\"", "their own site"},
		{"\"seq\":0", "\"seq\":1", "go together"},
		{"\"since\":\"" HEX_B, "\"since\":\"" UPPER_B, "lower case"},
		{"metadata/timestamp.json", "metadata/1.timestamp.json", "no version"},
		{"metadata/1795843200.snapshot.json", "metadata/snapshot.json", "no version in its name"},
		{MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n", "", "not listed"},
		{MEMBER(4, "metadata/1795843200.snapshot.json", HEX_A) ",\n", "", "not listed"},
		{",\n" T7, "", "not listed"},
		{MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n",
		 MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n" MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n",
		 "out of order"},
		{MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n", MEMBER(16385, "metadata/timestamp.json", HEX_A) ",\n",
		 "16385"},
	};

	refuse_all(DEVICE, edits, ARRAY_SIZE(edits));
}

TEST(lines_of_members_are_refused)
{
	static const struct edit edits[] = {
		{"\"members\":[\n", "\"members\": [\n", "line 2"},
		{"\"members\":[\n", "\"members\":[", ""},
		{"\"members\":[\n", "\"members\":[\n\n", "line 3"},
		{"\"members\":[\n", "\"members\":[\n,\n", "line 3"},
		{"{\"length\":1,", "{\"length\":01,", "line 3"},
		{"{\"length\":1,", "{\"length\":-1,", "line 3"},
		{"{\"length\":1,", "{\"length\":,", "line 3"},
		{"{\"length\":1,", "{\"length\":1.0,", "line 3"},
		{"{\"length\":1,", "{\"length\":\"1\",", "line 3"},
		{"{\"length\":1,", " {\"length\":1,", "line 3"},
		{"{\"length\":1,", "{\"length\": 1,", "line 3"},
		{"{\"length\":1,", "{\"size\":1,", "line 3"},
		{"{\"length\":1,", "{\"length\":524289,", "524289"},
		{"{\"length\":1,", "{\"length\":99999999999999999,", "line 3"},
		{"{\"length\":36,", "{\"length\":9007199254740993,", "9007199254740993"},
		{"\"sha256\":\"" HEX_A "\"}", "\"sha256\":\"" HEX_A "\",\"x\":1}", "line 3"},
		{"\"sha256\":\"" HEX_A "\"}", "\"sha256\":\"" HEX_A "\"} ", "line 3"},
		{"\"sha256\":\"" HEX_A "\"}", "\"sha256\":\"" HEX_A "a\"}", "line 3"},
		{"\"sha256\":\"" HEX_A "\"}", "\"sha256\":\"" UPPER_A "\"}", "line 3"},
		{"metadata/2.root.json", "metadata/../2.root.json", "version"},
		{"metadata/2.root.json", "/metadata/2.root.json", "no place"},
		{"metadata/2.root.json", "./metadata/2.root.json", "no place"},
		{"metadata/2.root.json", "metadata//2.root.json", "version"},
		{"metadata/2.root.json", "metadata/2.root.json/", "no place"},
		{"metadata/2.root.json", "metadata/2.root.JSON", "no place"},
		{"metadata/2.root.json", "metadata/02.root.json", "version"},
		{"metadata/2.root.json", "metadata/0.root.json", "version"},
		{"metadata/2.root.json", "metadata/9007199254740992.root.json", "version"},
		{"metadata/2.root.json", "metadata/2root.json", "version"},
		{"metadata/2.root.json", "metadata/2..json", "role"},
		{"metadata/2.root.json", "metadata/2.json", "version"},
		{"metadata/2.root.json", "metadata/.json", ""},
		{"metadata/2.root.json", "metadata/root.json", "version"},
		{"metadata/2.root.json", "metadata/2.Root.json", "role"},
		{"metadata/2.root.json", "metadata/2.ro/ot.json", "role"},
		{"metadata/2.root.json", "metadata/2.ro\\u006ft.json", "role"},
		{"metadata/2.root.json", "metadata/2.a" HEX_A ".json", "role"},
		{"metadata/2.root.json", "", "line 3"},
		{"metadata/2.root.json", "bundle.json", "no place"},
		{"metadata/2.root.json", "volume.json", "no place"},
		{"metadata/2.root.json", "targets/", "targets/"},
		{"metadata/2.root.json", "targets/x", "targets/x"},
		{"targets/" HEX_A, "targets/" HEX_A "a", "hex"},
		{"targets/" HEX_A, "targets/" UPPER_A, ""},
		{"targets/" HEX_A, "targets/" HEX_C, "another SHA-256 than its name"},
		/* The order. */
		{R2 ",\n", "", "6 members"},
		{R3 ",\n", "", "newest root"},
		{R2, MEMBER(1, "metadata/1.root.json", HEX_A), "is not the root after"},
		{R2 ",\n" R3, R3 ",\n" R2, "is not the root after"},
		{R3, R2, "is not the root after"},
		{R3 ",\n" T7, T7 ",\n" R3, "out of order"},
		{T7, T7 ",\n" T7, "out of order"},
		{T7 ",\n", "", "not listed"},
		{T7, MEMBER(3, "metadata/timestamp.json", HEX_A) ",\n" T7, "no place in a bundle of kind site"},
		{T7, MEMBER(3, "metadata/4.snapshot.json", HEX_A) ",\n" T7, "no place in a bundle of kind site"},
		{T7 ",\n" ACME, ACME ",\n" T7, "out of order"},
		{ACME ",\n" BIN, BIN ",\n" ACME, "out of order"},
		{BIN, ACME, "doubled"},
		{BIN, MEMBER(9, "metadata/5.acme.json", HEX_A), "doubled"},
		{A_A ",\n" A_B, A_B ",\n" A_A, "out of order"},
		{A_B, A_A, "doubled"},
		{BIN ",\n" A_A, A_A ",\n" BIN, "out of order"},
		/* Commas and the end. */
		{R2 ",\n", R2 "\n", "comma"},
		{R2 ",\n", R2 ",,\n", "line 3"},
		{A_B "\n", A_B ",\n", "comma"},
		{"\n]}\n", "]}\n", ""},
		{"\n]}\n", "\n]}", "ends where a line should"},
		{"\n]}\n", "\n] }\n", ""},
		{"\n]}\n", "\n]}\n\n", "behind the last line"},
		{"\n]}\n", "\n]}\n]}\n", "behind the last line"},
		{"\n]}\n", "\n]}\nx", "behind the last line"},
		{"]}\n", NULL, "ends where a line should"},
		{A_B, NULL, "ends where a line should"},
		{R2, NULL, "ends where a line should"},
		{"\"members\":[", NULL, "ends where a line should"},
		{"{\"bundle\":", "{\"Bundle\":", "line 1"},
		{"{\"bundle\":", "\xef\xbb\xbf{\"bundle\":", "line 1"},
		{"{\"bundle\":{", "{\"bundle\":[{", ""},
		{"{\"bundle\":", NULL, "ends where a line should"},
	};

	refuse_all(SITE, edits, ARRAY_SIZE(edits));
}

TEST(a_manifest_with_other_line_ends_is_refused)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	struct error err;
	struct manifest m;
	const char *p;

	for (p = SITE; *p != '\0'; p++) {
		if (*p == '\n')
			buf_put_u8(&b, '\r');
		buf_put_u8(&b, (uint8_t)*p);
	}
	CHECK_INT(parse(&m, buf_slice(&b), &err), -1);
	CHECK_STR(err.text, "bundle.json: line 1: not of the form {\"bundle\":{...},");
	buf_release(&b);
}

TEST(a_manifest_with_a_zero_byte_is_refused_everywhere)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	struct error err;
	struct manifest m;
	size_t i;

	for (i = 0; i < strlen(SITE); i++) {
		buf_clear(&b);
		buf_put_str(&b, SITE);
		b.ptr[i] = '\0';
		CHECK_INT(parse(&m, buf_slice(&b), &err), -1);
	}
	buf_release(&b);
}

/* Every byte with every bit changed, and every length: nothing but the text itself is taken, save another true number. */
TEST(a_manifest_with_one_bit_changed_is_refused_or_says_something_else)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	struct error err;
	struct manifest m;
	size_t i;
	unsigned bit;

	for (i = 0; i < strlen(SITE); i++) {
		CHECK_INT(parse(&m, slice_of(SITE, i), &err), -1);
		for (bit = 0; bit < 8; bit++) {
			buf_clear(&b);
			buf_put_str(&b, SITE);
			b.ptr[i] ^= (uint8_t)(1u << bit);
			if (parse(&m, buf_slice(&b), &err) < 0)
				continue;
			CHECK(strchr("0123456789abcdefghijklmnopqrstuvwxyz.-_", SITE[i]) != NULL);
			CHECK(slice_equal(buf_slice(&m.text), buf_slice(&b)));
			manifest_release(&m);
		}
	}
	buf_release(&b);
}

TEST(a_manifest_for_devices_is_small)
{
	struct buf b = BUF_INIT(MANIFEST_MAX);
	struct error err;
	struct manifest m;
	unsigned i;

	for (i = 0; i < 2; i++) {
		buf_clear(&b);
		buf_put_str(&b, i == 0 ? SITE : DEVICE);
		while (b.len <= MANIFEST_DEVICE_MAX)
			buf_put(&b, (const uint8_t[4096]){'x'}, 4096);
		CHECK_INT(parse(&m, buf_slice(&b), &err), -1);
		CHECK_INT(err.kind, i == 0 ? ERR_MALFORMED : ERR_LIMIT);
		CHECK(i == 0 || strcmp(err.text, "bundle.json: larger than the 16777216 bytes that devices take") == 0);
	}
	buf_release(&b);
}

TEST(lines_past_their_limit_are_refused)
{
	struct buf b = BUF_INIT(MANIFEST_MAX), long_name = BUF_INIT(8192);
	struct error err;
	struct manifest m;

	while (long_name.len < MANIFEST_HEAD_MAX)
		buf_put_u8(&long_name, 'a');
	CHECK_INT(parse(&m, edit(&b, SITE, "\"origin\":\"", buf_cstr(&long_name)), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_STR(err.text, "bundle.json: line 1: longer than 4096 bytes");
	CHECK_INT(parse(&m, edit(&b, SITE, "metadata/2", buf_cstr(&long_name)), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_STR(err.text, "bundle.json: line 3: longer than 1024 bytes");
	CHECK_INT(parse(&m, SLICE_EMPTY, &err), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	buf_release(&b);
	buf_release(&long_name);
}

TEST(what_would_not_be_read_is_not_written)
{
	struct error err = ERROR_INIT;
	struct fixture f;

	fixture_init(&f, BUNDLE_SITE);
	CHECK_INT(fixture_manifest(&f, &err), -1);
	fixture_add(&f, "metadata/1.targets.json", SLICE_LIT("t"));
	CHECK_INT(fixture_manifest(&f, &err), 0);
	f.m.valid_until_s = f.m.created_s;
	CHECK_INT(fixture_manifest(&f, &err), -1);
	f.m.valid_until_s++;
	CHECK_INT(fixture_manifest(&f, &err), 0);
	fixture_add(&f, "metadata/1.root.json", SLICE_LIT("r"));
	CHECK_INT(fixture_manifest(&f, &err), -1);
	CHECK(strstr(err.text, "out of order") != NULL);
	f.count--;
	fixture_text(&f, &err);
	f.m.bytes++;
	CHECK_INT(manifest_end(&f.m, &err), 0);	/* the counts that were begun with are what stands */
	CHECK_INT(f.m.bytes, 2);
	f.m.members = BUNDLE_MEMBERS_MAX + 1;
	CHECK_INT(manifest_begin(&f.m, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	free(f.members[1].content);
	fixture_release(&f);
}

TEST(a_manifest_of_a_million_members_is_read_and_one_more_is_not)
{
	struct manifest m = MANIFEST_INIT, again;
	struct fixture f;
	struct error err = ERROR_INIT;
	struct member member = {.length = 1};
	struct buf text;
	char name[TAR_NAME_MAX + 1];
	uint32_t i;

	fixture_init(&f, BUNDLE_SITE);
	m = f.m;
	m.members = BUNDLE_MEMBERS_MAX;
	m.bytes = BUNDLE_MEMBERS_MAX;
	REQUIRE(manifest_begin(&m, &err) == 0);
	snprintf(member.name, sizeof(member.name), "metadata/1.targets.json");
	manifest_add(&m, &member);
	for (i = 1; i < BUNDLE_MEMBERS_MAX; i++) {
		char hex[SHA256_HEX_LEN];

		member.sha256[0] = (uint8_t)(i >> 16);
		member.sha256[1] = (uint8_t)(i >> 8);
		member.sha256[2] = (uint8_t)i;
		hex_encode(hex, member.sha256, SHA256_LEN);
		snprintf(name, sizeof(name), "targets/%s", hex);
		memcpy(member.name, name, sizeof(name));
		manifest_add(&m, &member);
	}
	CHECK_INT(manifest_end(&m, &err), 0);
	CHECK_STR(err.text, "");
	CHECK(m.text.len > 150u << 20);
	/* One line more, whatever the first one says. */
	m.text.len -= strlen("\n]}\n");
	buf_put_str(&m.text, ",\n{\"length\":1,\"name\":\"targets/" HEX_A "\",\"sha256\":\"" HEX_A "\"}\n]}\n");
	text = m.text;
	m.text = BUF_INIT(MANIFEST_MAX);
	CHECK_INT(manifest_parse(&again, &text, &err), -1);
	CHECK(strstr(err.text, "more members than the 1000000") != NULL);
	fixture_release(&f);
}

/* ---- volume.json ---- */

#define VOLUME "{\"bundle\":\"" HEX_A "\",\"last\":false,\"member\":17,\"offset\":4089446400,\"volume\":2,\"volumes\":3}\n"

TEST(a_volume_is_read_as_it_was_written)
{
	struct buf b = BUF_INIT(VOLUME_MAX);
	struct error err = ERROR_INIT;
	struct volume v;

	REQUIRE(volume_parse(&v, SLICE_LIT(VOLUME), &err) == 0);
	CHECK(v.bundle[0] == 0xaa && !v.last && v.member == 17 && v.offset == 4089446400 && v.volume == 2);
	CHECK_INT(v.volumes, 3);
	volume_put(&b, &v);
	CHECK_STR(buf_cstr(&b), VOLUME);
	buf_release(&b);
}

TEST(volumes_are_refused_when_wrong)
{
	static const struct edit edits[] = {
		{"\"last\":false", "\"last\":true", "last"},
		{"\"last\":false", "\"last\":0", "last"},
		{"\"last\":false,", "", "last"},
		{"\"bundle\":\"" HEX_A "\",", "", "bundle"},
		{"\"bundle\":\"" HEX_A, "\"bundle\":\"" UPPER_A, "bundle"},
		{"\"member\":17", "\"member\":-1", "member"},
		{"\"member\":17", "\"member\":1000000", "member"},
		{"\"member\":17,", "", "member"},
		{"\"offset\":4089446400", "\"offset\":-1", "offset"},
		{"\"offset\":4089446400", "\"offset\":9007199254740992", "offset"},
		{"\"offset\":4089446400,", "", "offset"},
		{"\"volume\":2", "\"volume\":0", "volume"},
		{"\"volume\":2", "\"volume\":1", "begin with the first member"},
		{"\"volume\":2", "\"volume\":3", "last"},
		{"\"volume\":2", "\"volume\":4", "volume"},
		{"\"volume\":2,", "", "volume"},
		{"\"volumes\":3", "\"volumes\":1000", "volumes"},
		{"\"volumes\":3", "\"volumes\":1", "volume"},
		{",\"volumes\":3", "", "volumes"},
		{"\"volumes\":3", "\"volumes\":3,\"x\":1", "x"},
		{"\"volumes\":3", "\"volumes\": 3", "in order"},
		{"}\n", "}", "one line"},
		{"}\n", "}\n\n", "one line"},
		{"}\n", "}\n{}\n", ""},
		{"{", "[{", ""},
		{"{", NULL, ""},
	};
	struct buf b = BUF_INIT(VOLUME_MAX), large = BUF_INIT(2 * VOLUME_MAX);
	struct error err = ERROR_INIT;
	struct volume v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edits); i++) {
		err = ERROR_INIT;
		CHECK_INT(volume_parse(&v, edit(&b, VOLUME, edits[i].from, edits[i].to), &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
		if (strstr(err.text, edits[i].says) == NULL) {
			printf("# %s: %s\n", edits[i].from, err.text);
			tap_failures++;
		}
	}
	for (i = 0; i < VOLUME_MAX + 1; i++)
		buf_put_u8(&large, ' ');
	CHECK_INT(volume_parse(&v, buf_slice(&large), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&b);
	buf_release(&large);
}
