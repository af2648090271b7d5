/* The audit trail: what is written, and that every way of changing it is found and named. */
#include "tap.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "base/encode.h"
#include "fleet/audit.h"
#include "store/schema.h"

static char dir[] = "/tmp/test_audit.XXXXXX", path[64];

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static struct db *begin(void)
{
	struct error err = ERROR_INIT;
	struct db *db;

	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/c.db", dir);
	db = db_open(path, DB_CREATE, &control_schema, &err);
	if (db == NULL)
		printf("# %s\n", err.text);
	REQUIRE(db != NULL);
	return db;
}

static void append(struct db *db, const char *object, const char *detail)
{
	struct error err = ERROR_INIT;
	struct audit_entry e = {.time_s = 1795203000, .actor = "local:0", .action = "test.append",
		.object = object, .verdict = "ok", .detail = slice_str(detail)};
	int r = audit_append(db, &e, &err);

	if (r < 0)
		printf("# %s\n", err.text);
	REQUIRE(r == 0);
}

static struct db *begin_with(unsigned n)
{
	struct db *db = begin();
	char object[32];
	unsigned i;

	for (i = 1; i <= n; i++) {
		snprintf(object, sizeof(object), "thing:%u", i);
		append(db, object, "{\"n\":1}");
	}
	return db;
}

/* What somebody with the file and a shell can do. */
static void tamper(const char *sql)
{
	sqlite3 *h = NULL;
	char *why = NULL;

	REQUIRE(sqlite3_open(path, &h) == SQLITE_OK);
	REQUIRE(sqlite3_exec(h, "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;"
				"DROP TRIGGER audit_in_order", NULL, NULL, &why) == SQLITE_OK);
	if (sqlite3_exec(h, sql, NULL, NULL, &why) != SQLITE_OK)
		printf("# %s\n", why);
	sqlite3_close(h);
}

static const char *fault(struct db *db, struct audit_chain *c)
{
	static struct error err;

	err = ERROR_INIT;
	if (audit_verify_db(db, c, &err) == 0)
		return "";
	CHECK_INT(err.kind == ERR_REFUSED || err.kind == ERR_MALFORMED, 1);
	return err.text;
}

TEST(a_record_is_canonical_and_its_hash_can_be_checked_by_others)
{
	struct error err = ERROR_INIT;
	struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
	struct db *db = begin();
	struct audit_walk w;
	char hex[SHA256_HEX_LEN];
	uint8_t hash[SHA256_LEN];
	struct audit_chain c = {.first = 0};

	append(db, "a\"b\\c\n\x1b[2J", "{ \"z\": \"tab\\tq\\\"\", \"a\": [1, {\"y\":true,\"b\":null}] }");
	append(db, "", "");
	audit_walk_open(&w, db, &(struct audit_filter){.limit = 0});
	REQUIRE(audit_walk_next(&w, &err) == 1);
	audit_record_put(&line, &w.record);
	hex_encode(hex, w.record.hash, SHA256_LEN);
	audit_walk_close(&w);
	CHECK(strstr(buf_cstr(&line), "{\"action\":\"test.append\",\"actor\":\"local:0\",\"detail\":"
		"{\"a\":[1,{\"b\":null,\"y\":true}],\"z\":\"tab\\\\x09q\\\"\"},\"hash\":\"") == buf_cstr(&line));
	CHECK(strstr(buf_cstr(&line), "\"object\":\"a\\\"b\\\\c\\\\x0a\\\\x1b[2J\",\"prev\":\"0000000000") != NULL);
	CHECK(strstr(buf_cstr(&line), "\"seq\":1,\"time\":\"2026-11-20T19:30:00Z\",\"verdict\":\"ok\"}") != NULL);
	/* Cut the hash out of the line: what remains is what was hashed. */
	{
		char *text = xstrndup_slice(buf_slice(&line)), *at = strstr(text, "\"hash\":\"");

		REQUIRE(at != NULL);
		memmove(at, at + 8 + 64 + 2, strlen(at + 8 + 64 + 2) + 1);
		sha256_of(slice_str(text), hash);
		free(text);
	}
	{
		char again[SHA256_HEX_LEN];

		hex_encode(again, hash, SHA256_LEN);
		CHECK_STR(again, hex);
	}
	CHECK_STR(fault(db, &c), "");
	CHECK_INT(c.last.seq, 2);
	buf_release(&line);
	db_close(db);
}

TEST(details_that_are_no_objects_are_refused)
{
	struct error err = ERROR_INIT;
	struct db *db = begin();
	struct audit_entry e = {.actor = "x", .action = "y", .object = "", .verdict = "ok", .detail = SLICE_LIT("[1]")};

	CHECK_INT(audit_append(db, &e, &err), -1);
	e.detail = SLICE_LIT("{\"a\":1,\"a\":2}");
	CHECK_INT(audit_append(db, &e, &err), -1);
	e.detail = SLICE_LIT("{}");
	e.verdict = "maybe";
	CHECK_INT(audit_append(db, &e, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	e.verdict = "ok";
	CHECK_INT(audit_append(db, &e, &err), 0);
	db_close(db);
}

TEST(every_change_is_found_and_named)
{
	static const struct {
		const char *sql, *want;
	} cases[] = {
		{"UPDATE audit SET object = 'thing:x' WHERE seq = 5", "audit record 5 was changed: its hash does not fit"},
		{"UPDATE audit SET time_s = time_s + 1 WHERE seq = 1", "audit record 1 was changed"},
		{"UPDATE audit SET detail = '{\"n\":2}' WHERE seq = 7", "audit record 7 was changed"},
		{"UPDATE audit SET detail = '{ \"n\":1}' WHERE seq = 7", "audit record 7 was changed: detail is not"},
		{"UPDATE audit SET detail = 'junk' WHERE seq = 7", "audit record 7 was changed"},
		{"UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 2) WHERE seq = 3", "audit record 3 was"},
		{"UPDATE audit SET hash = printf('%064d', 5), seq = 3 WHERE seq = 3", "audit record 3 was changed"},
		{"UPDATE audit SET prev = printf('%064d', 5) WHERE seq = 1", "audit record 1 was not the first"},
		{"UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 4", "audit record 4"},
		{"DELETE FROM audit WHERE seq = 4", "audit record 4 is missing"},
		{"DELETE FROM audit WHERE seq BETWEEN 4 AND 6", "audit records 4 to 6 are missing"},
		{"DELETE FROM audit WHERE seq = 1", "audit records 1 to 1 are missing"},
		{"DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4", "audit record 4 does not"},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct audit_chain c = {.first = 0};
		struct error err = ERROR_INIT;
		struct db *db;
		const char *got;
		char cmd[64];

		strcpy(dir, "/tmp/test_audit.XXXXXX");
		db = begin_with(10);
		CHECK_STR(fault(db, &c), "");
		CHECK_INT(c.last.seq, 10);
		c = (struct audit_chain){.first = 0};
		db_close(db);
		tamper(cases[i].sql);
		db = db_open(path, DB_READ, &control_schema, &err);
		REQUIRE(db != NULL);
		got = fault(db, &c);
		if (strstr(got, cases[i].want) == NULL)
			printf("# %s: got %s\n", cases[i].sql, got);
		CHECK(strstr(got, cases[i].want) != NULL);
		db_close(db);
		snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
		CHECK(system(cmd) == 0);
	}
}

TEST(a_cut_tail_and_a_rewritten_trail_show_against_a_witness)
{
	struct error err = ERROR_INIT;
	struct audit_chain c = {.first = 0};
	struct db *db = begin_with(10);
	struct audit_head old;

	REQUIRE(audit_head(db, &old, &err) == 0);
	CHECK_INT(old.seq, 10);
	append(db, "later", "");
	c.witness = old;
	CHECK_STR(fault(db, &c), "");
	CHECK(c.witnessed);
	db_close(db);
	tamper("DELETE FROM audit WHERE seq > 8");
	db = db_open(path, DB_WRITE, &control_schema, &err);
	REQUIRE(db != NULL);
	c = (struct audit_chain){.first = 0};
	CHECK_STR(fault(db, &c), "");
	c = (struct audit_chain){.witness = old};
	CHECK_STR(fault(db, &c), "the trail ends at record 8, but record 10 was witnessed: the end is missing");
	append(db, "thing:9", "");
	append(db, "thing:10", "");
	append(db, "thing:11", "");
	c = (struct audit_chain){.witness = old};
	CHECK(strstr(fault(db, &c), "audit record 10 is not the one that was witnessed") != NULL);
	db_close(db);
}

TEST(listings_filter)
{
	struct error err = ERROR_INIT;
	struct db *db = begin_with(10);
	struct audit_walk w;
	unsigned n = 0;

	audit_walk_open(&w, db, &(struct audit_filter){.from_seq = 3, .to_seq = 6, .newest_first = true, .limit = 2});
	while (audit_walk_next(&w, &err) > 0)
		CHECK_INT(w.record.seq, 6 - n++);
	audit_walk_close(&w);
	CHECK_INT(n, 2);
	n = 0;
	audit_walk_open(&w, db, &(struct audit_filter){.object = "thing:4", .action = "test."});
	while (audit_walk_next(&w, &err) > 0)
		n++;
	audit_walk_close(&w);
	CHECK_INT(n, 1);
	audit_walk_open(&w, db, &(struct audit_filter){.action = "tes."});
	CHECK_INT(audit_walk_next(&w, &err), 0);
	audit_walk_close(&w);
	audit_walk_open(&w, db, &(struct audit_filter){.until_s = 5});
	CHECK_INT(audit_walk_next(&w, &err), 0);
	audit_walk_close(&w);
	db_close(db);
}

/* ---- exports ---- */

static struct seckey *record_key;

static void write_export(struct db *db, const struct audit_filter *f, const struct seckey *key, const char *verdict,
			 struct buf *out)
{
	struct error err = ERROR_INIT;
	struct buf head = BUF_INIT(AUDIT_HEAD_TEXT_MAX), sig = BUF_INIT(4096);
	struct audit_walk w;
	struct audit_head h;

	audit_walk_open(&w, db, f);
	while (audit_walk_next(&w, &err) > 0) {
		audit_record_put(out, &w.record);
		buf_put_u8(out, '\n');
	}
	audit_walk_close(&w);
	REQUIRE(audit_head(db, &h, &err) == 0);
	audit_head_put(&head, &h, "main", 1795203000, verdict);
	if (key != NULL)
		REQUIRE(audit_head_sign(key, buf_slice(&head), &sig, &err) == 0);
	audit_trailer_put(out, buf_slice(&head), buf_slice(&sig));
	buf_put_u8(out, '\n');
	buf_release(&head);
	buf_release(&sig);
}

static int verify_bytes(struct slice bytes, const struct pubkey *keys, unsigned n, struct audit_export_report *report,
			struct error *err)
{
	char file[80];
	int fd, r;

	snprintf(file, sizeof(file), "%s/export", dir);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	REQUIRE(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
	*err = ERROR_INIT;
	r = audit_verify_export(fd, keys, n, report, err);
	close(fd);
	return r;
}

TEST(an_export_is_checked_with_the_public_key_only)
{
	struct error err = ERROR_INIT;
	struct audit_export_report report = {.has_signature = false};
	struct buf x = BUF_INIT(1 << 20), y = BUF_INIT(1 << 20);
	struct audit_head old = {.seq = 0}, now;
	struct seckey *other;
	struct pubkey keys[2];
	struct db *db;
	char *text;

	REQUIRE(crypto_start(&err) == 0);
	record_key = seckey_generate(KEY_ED25519, &err);
	other = seckey_generate(KEY_ED25519, &err);
	REQUIRE(record_key != NULL && other != NULL);
	keys[0] = *seckey_public(other);
	keys[1] = *seckey_public(record_key);
	db = begin_with(100);
	write_export(db, &(struct audit_filter){.limit = 0}, record_key, NULL, &x);
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), 0);
	CHECK_INT(report.chain.last.seq, 100);
	CHECK_STR(report.head.site, "main");
	CHECK_INT(audit_witness_parse(buf_slice(&x), &old, &err), 0);
	CHECK_INT(old.seq, 100);

	/* The wrong key, no signature, a cut file, a changed line, something behind the head. */
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 1, &report, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	write_export(db, &(struct audit_filter){.limit = 0}, NULL, NULL, &y);
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&y), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "is not signed") != NULL);
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&y), NULL, 0, &report, &err), 0);
	CHECK(!report.has_signature);
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(slice_sub(buf_slice(&x), 0, slice_find(buf_slice(&x), '\n', 2000) + 1), keys, 2, &report,
			       &err), -1);
	CHECK_STR(err.text, "the export ends without a head: it was cut short");
	text = xstrndup_slice(buf_slice(&x));
	*strstr(text, "thing:50") = 'T';
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(slice_str(text), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "line 50: audit record 50 was changed") != NULL);
	free(text);
	buf_put_str(&x, "{}\n");
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "something follows the head") != NULL);

	/* An increment on a witnessed head; and one without it. */
	append(db, "next", "");
	append(db, "last", "");
	buf_clear(&x);
	write_export(db, &(struct audit_filter){.from_seq = 101}, record_key, NULL, &x);
	report = (struct audit_export_report){.chain.witness = old};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), 0);
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "begins at record 101") != NULL);
	old.hash[0] ^= 1;
	report = (struct audit_export_report){.chain.witness = old};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "does not continue the witnessed head") != NULL);

	/* A head that names more than is there, and one of a trail that its owner knew to be broken. */
	buf_clear(&x);
	write_export(db, &(struct audit_filter){.to_seq = 101}, record_key, NULL, &x);
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "the end is missing") != NULL);
	buf_clear(&x);
	write_export(db, &(struct audit_filter){.limit = 0}, record_key, "audit record 7 was changed", &x);
	report = (struct audit_export_report){.has_signature = false};
	CHECK_INT(verify_bytes(buf_slice(&x), keys, 2, &report, &err), -1);
	CHECK(strstr(err.text, "audit record 7 was changed") != NULL);

	CHECK_INT(audit_head(db, &now, &err), 0);
	db_close(db);
	buf_release(&x);
	buf_release(&y);
	seckey_free(record_key);
	seckey_free(other);
}

TEST(witnessed_heads_have_three_forms)
{
	static const char *const bad[] = {"", "12", ":", "12:zz", "x:00", "{\"head\":5}", "{}", "{\"head\":\"{}\"}",
		"99999999999999999999:0000000000000000000000000000000000000000000000000000000000000000"};
	struct error err = ERROR_INIT;
	struct audit_head h;
	unsigned i;

	CHECK_INT(audit_witness_parse(SLICE_LIT("12:00000000000000000000000000000000000000000000000000000000000000ff\n"),
				      &h, &err), 0);
	CHECK_INT(h.seq, 12);
	CHECK_INT(h.hash[31], 0xff);
	CHECK_INT(audit_witness_parse(SLICE_LIT("{\"format\":\"meshanics-audit-head-1\",\"hash\":"
		"\"00000000000000000000000000000000000000000000000000000000000000ff\",\"seq\":3,\"site\":\"main\","
		"\"time\":\"2026-11-20T19:30:00Z\",\"verdict\":\"intact\"}"), &h, &err), 0);
	CHECK_INT(h.seq, 3);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(audit_witness_parse(slice_str(bad[i]), &h, &err), -1);
}
