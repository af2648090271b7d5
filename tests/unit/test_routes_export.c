/* The requests of who makes bundles: numbers, the trail, receipts; and databases from before there were any. */
#include "tap.h"

#include "base/encode.h"
#include "bundle/receipt.h"
#include "control/api.h"
#include "control/control.h"
#include "control/door_internal.h"
#include "crypto/sshsig.h"
#include "site_fixture.h"
#include "store/audit.h"
#include "store/bundles.h"
#include "store/schema.h"

static struct sites s;
static struct control *c;
static struct buf reply = BUF_INIT(1u << 20);
static struct json doc;
static struct error err;

static void begin(void)
{
	struct control_settings settings;

	sites_start(&s, 0);
	repo_free(s.r);
	s.r = NULL;
	control_settings_default(&settings);
	c = control_open(s.hq.home, &settings, &err);
	if (c == NULL)
		printf("# %s\n", err.text);
	REQUIRE(c != NULL);
}

static void end(void)
{
	json_release(&doc);
	buf_release(&reply);
	control_free(c);
	sites_end(&s);
}

static int ask_at(int64_t now_s, const char *method, const char *path, struct slice body, struct error *e)
{
	json_release(&doc);
	buf_clear(&reply);
	if (door_local_call(c, method, path, body, -1, now_s, &reply, e) < 0)
		return -1;
	return json_parse(&doc, buf_slice(&reply), JSON_STRICT, e);
}

static int ask(const char *method, const char *path, const char *body)
{
	return ask_at(FIX_NOW, method, path, slice_str(body), &err);
}

static struct json_value at(const char *a, const char *b)
{
	struct json_value v = json_get(json_root(&doc), a);

	return b == NULL ? v : json_get(v, b);
}

static void check_text(struct json_value v, const char *want)
{
	char text[256];

	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(json_string(v)));
	CHECK_STR(text, want);
}

/* ---- numbers and the trail ---- */

#define FOR_DEPOT "{\"site\":\"depot-7\",\"kind\":\"site\"}"
#define ID "1111111111111111111111111111111111111111111111111111111111111111"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static const char *exported(const char *site, const char *kind, int sequence, int64_t seq, const char *hash)
{
	static char body[1024];

	snprintf(body, sizeof(body),
		 "{\"site\":\"%s\",\"kind\":\"%s\",\"sequence\":%d,\"members\":3,\"bytes\":99,\"since\":null,"
		 "\"audit\":{\"seq\":%lld,\"hash\":\"%s\"}}",
		 site, kind, sequence, (long long)seq, hash);
	return body;
}

TEST(numbers_count_by_site_and_are_not_given_twice)
{
	begin();
	MUST(ask("POST", "/api/v1/bundles", FOR_DEPOT));
	CHECK_INT(json_int(at("sequence", NULL)), 1);
	check_text(at("origin", NULL), "main");
	CHECK_INT(json_int(at("audit", "seq")), 0);
	check_text(at("audit", "hash"), ZEROS);
	MUST(ask("POST", "/api/v1/bundles", FOR_DEPOT));
	CHECK_INT(json_int(at("sequence", NULL)), 2);
	MUST(ask("POST", "/api/v1/bundles", "{\"site\":\"main\",\"kind\":\"device\"}"));
	CHECK_INT(json_int(at("sequence", NULL)), 1);
	REFUSED(ask("POST", "/api/v1/bundles", "{\"site\":\"main\",\"kind\":\"site\"}"), ERR_REFUSED, "is this site");
	REFUSED(ask("POST", "/api/v1/bundles", "{\"site\":\"depot-7\",\"kind\":\"device\"}"), ERR_REFUSED, "from that site alone");
	REFUSED(ask("POST", "/api/v1/bundles", "{\"site\":\"depot-7\",\"kind\":\"moon\"}"), ERR_USAGE, "'site' or 'device'");
	REFUSED(ask("POST", "/api/v1/bundles", "{\"site\":\"../x\",\"kind\":\"site\"}"), ERR_MALFORMED, "site");
	REFUSED(ask("POST", "/api/v1/bundles", "{\"kind\":\"site\"}"), ERR_MALFORMED, "site");
	end();
}

TEST(an_export_is_in_the_trail_with_its_head)
{
	struct audit_head head;
	char hex[SHA256_HEX_LEN];
	struct bundle_site row;

	begin();
	MUST(ask("POST", "/api/v1/bundles", FOR_DEPOT));
	REFUSED(ask("POST", "/api/v1/bundles/" ID "/exported", exported("depot-7", "site", 2, 0, ZEROS)), ERR_CONFLICT, "was not given out");
	MUST(audit_head(c->db, &head, &err));
	CHECK_INT(head.seq, 1);	/* the refusal */
	hex_encode(hex, head.hash, SHA256_LEN);
	REFUSED(ask("POST", "/api/v1/bundles/" ID "/exported", exported("depot-7", "site", 1, head.seq, ID)), ERR_CONFLICT,
		"the audit trail has no record 1 with the hash");
	REFUSED(ask("POST", "/api/v1/bundles/" ID "/exported", exported("depot-7", "site", 1, 99, hex)), ERR_CONFLICT, "no record 99");
	REFUSED(ask("POST", "/api/v1/bundles/" ID "/exported", exported("depot-7", "site", 1, 0, hex)), ERR_CONFLICT, "no record 0");
	MUST(ask("POST", "/api/v1/bundles/" ID "/exported", exported("depot-7", "site", 1, head.seq, hex)));
	REFUSED(ask("POST", "/api/v1/bundles/" ID "/exported", exported("depot-7", "site", 1, head.seq, hex)), ERR_CONFLICT, "is used");
	REFUSED(ask("POST", "/api/v1/bundles/zz/exported", exported("depot-7", "site", 1, head.seq, hex)), ERR_MALFORMED, "bundle name");
	CHECK_INT(bundle_site_find(c->db, "depot-7", &row, &err), 1);
	CHECK_STR(row.bundle, ID);
	CHECK_INT(row.bundle_sequence, 1);
	MUST(ask("GET", "/api/v1/audit?action=bundle.export&limit=100", ""));
	CHECK(strstr(buf_cstr(&reply), "\"object\":\"site:depot-7\"") != NULL);
	CHECK(strstr(buf_cstr(&reply), "\"detail\":{\"bundle\":\"" ID "\",\"bytes\":99,\"head\":{\"hash\":\"") != NULL);
	end();
}

/* ---- receipts ---- */

struct made_receipt {
	struct buf text, armored, body;
};

static void make_receipt(struct made_receipt *m, const struct seckey *key, int64_t seq, int64_t root, uint8_t salt)
{
	struct receipt_version versions[2] = {{"root", root}, {"targets", 1}};
	struct receipt r = {.site = SITE_NAME, .created_s = FIX_NOW, .has_bundle = true, .sequence = 1, .versions = versions,
			    .version_count = 2};
	struct json_writer w = JSON_WRITER(&m->body);
	uint8_t hash[SHA256_LEN];

	r.audit.seq = seq;
	memset(r.audit.hash, salt, SHA256_LEN);
	memset(r.bundle, 5, SHA256_LEN);
	sha256_of(SLICE_EMPTY, r.held_sha256);
	m->text = BUF_INIT(RECEIPT_MAX);
	m->armored = BUF_INIT(SSHSIG_SIZE_MAX);
	m->body = BUF_INIT(API_BODY_MAX);
	receipt_put(&m->text, &r);
	sha256_of(buf_slice(&m->text), hash);
	MUST(sshsig_sign_sha256(key, RECEIPT_NAMESPACE, hash, &m->armored, &err));
	json_open_object(&w, NULL);
	json_put_slice(&w, "receipt", buf_slice(&m->text));
	json_put_slice(&w, "signature", buf_slice(&m->armored));
	json_close(&w);
}

static int accept(const struct seckey *key, int64_t seq, int64_t root, uint8_t salt)
{
	struct made_receipt m;
	int r;

	make_receipt(&m, key, seq, root, salt);
	r = ask_at(FIX_NOW, "POST", "/api/v1/receipts/accepted", buf_slice(&m.body), &err);
	buf_release(&m.text);
	buf_release(&m.armored);
	buf_release(&m.body);
	return r;
}

static struct seckey *depot_key(void)
{
	struct seckey *k;
	char path[128];

	snprintf(path, sizeof(path), "%s/repo/keys/record-site.key", s.depot.home);
	k = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err);
	REQUIRE(k != NULL);
	return k;
}

TEST(a_receipt_is_accepted_once_and_never_an_older_one)
{
	struct bundle_site row;
	struct seckey *key;

	begin();
	key = depot_key();
	MUST(accept(key, 10, 1, 1));
	CHECK_INT(json_int(at("site_head", "seq")), 10);
	MUST(accept(key, 10, 1, 1));	/* the same again */
	REFUSED(accept(key, 10, 1, 2), ERR_REFUSED, "ends with record 10 of its audit trail");
	REFUSED(accept(key, 9, 1, 1), ERR_REFUSED, "ends with record 9 of its audit trail, and one with record 10 was accepted");
	MUST(accept(key, 11, 1, 3));
	REFUSED(accept(key, 10, 1, 1), ERR_REFUSED, "record 11 was accepted");
	CHECK_INT(bundle_site_find(c->db, SITE_NAME, &row, &err), 1);
	CHECK_INT(row.receipt_seq, 11);
	CHECK_INT(row.sequence, 0);
	MUST(ask("GET", "/api/v1/sites", ""));
	CHECK(strstr(buf_cstr(&reply), "\"site\":\"depot-7\",\"root_version\":1") != NULL);
	CHECK(strstr(buf_cstr(&reply), "\"exported\":null") != NULL);
	CHECK(strstr(buf_cstr(&reply), "\"site_head\":{\"seq\":11") != NULL);
	MUST(ask("GET", "/api/v1/audit?action=receipt.accept&limit=100", ""));
	CHECK(strstr(buf_cstr(&reply), "\"verdict\":\"refused\"") != NULL);
	seckey_free(key);
	end();
}

TEST(a_receipt_is_by_the_key_of_the_root_that_it_names)
{
	struct seckey *key, *other;
	char path[128];

	begin();
	key = depot_key();
	snprintf(path, sizeof(path), "%s/repo/keys/record-site.key", s.hq.home);
	other = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err);
	REQUIRE(other != NULL);
	REFUSED(accept(other, 10, 1, 1), ERR_REFUSED, "not signed by a site record key that root version 1 of 'depot-7' names");
	REFUSED(accept(key, 10, 2, 1), ERR_REFUSED, "made under root version 2, and the newest here is 1");
	/* A newer root is here, and has not reached the site yet. */
	control_free(c);
	s.r = fix_open(&s.hq);
	sites_rotate(&s, 400 * FIX_DAY);
	repo_free(s.r);
	s.r = NULL;
	{
		struct control_settings settings;

		control_settings_default(&settings);
		REQUIRE((c = control_open(s.hq.home, &settings, &err)) != NULL);
	}
	MUST(accept(key, 10, 1, 1));
	MUST(accept(key, 11, 2, 1));
	REFUSED(accept(key, 12, 1, 1), ERR_REFUSED, "had root version 2 already, and the receipt says 1");
	CHECK_STR(err.hint, "this is an old receipt: take the site's newest, or export without --since");
	seckey_free(key);
	seckey_free(other);
	end();
}

static void reopen(void)
{
	struct control_settings settings;

	control_settings_default(&settings);
	REQUIRE((c = control_open(s.hq.home, &settings, &err)) != NULL);
}

/* Who has stolen the depot's record key says that its trail is as long as can be: a new key gets its word back. */
TEST(a_stolen_record_key_does_not_shut_its_site_out)
{
	static const uint8_t nonce[16] = {7};
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct seckey *stolen, *fresh;
	struct fixture anew;
	char path[128];

	begin();
	stolen = depot_key();
	MUST(accept(stolen, 10, 1, 1));
	MUST(accept(stolen, (INT64_C(1) << 53) - 1, 1, 2));
	REFUSED(accept(stolen, 11, 1, 3), ERR_REFUSED, "ends with record 11 of its audit trail");
	/* A renewal names the same key, and changes nothing about it. */
	control_free(c);
	s.r = fix_open(&s.hq);
	sites_rotate(&s, 400 * FIX_DAY);
	reopen();
	REFUSED(accept(stolen, 11, 2, 3), ERR_REFUSED, "ends with record 11 of its audit trail");
	control_free(c);
	fix_start(&anew, SITE_NAME);
	{
		const struct ceremony_rotation rotation = {
			.next = {.root = buf_slice(&s.depot.root_file), .life_s = FIX_DAY, .now_s = FIX_NOW, .nonce = nonce},
			.online = &anew.online, .root_life_s = 400 * FIX_DAY};

		MUST(ceremony_rotate(&request, &rotation, &err));
	}
	sites_sign(&s, buf_slice(&request), &s.depot.root_file);
	sites_adopt(&s);
	repo_free(s.r);
	s.r = NULL;
	reopen();
	snprintf(path, sizeof(path), "%s/repo/keys/record-site.key", anew.home);
	REQUIRE((fresh = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err)) != NULL);
	REFUSED(accept(stolen, 11, 3, 3), ERR_REFUSED, "not signed by a site record key");
	MUST(accept(fresh, 11, 3, 3));
	REFUSED(accept(fresh, 9, 3, 4), ERR_REFUSED, "ends with record 9 of its audit trail");
	REFUSED(accept(stolen, (INT64_C(1) << 53) - 1, 1, 2), ERR_REFUSED, "had root version 3 already");
	seckey_free(stolen);
	seckey_free(fresh);
	buf_release(&request);
	fix_end(&anew);
	end();
}

TEST(what_is_no_receipt_is_told)
{
	begin();
	REFUSED(ask("POST", "/api/v1/receipts/accepted", "{}"), ERR_MALFORMED, "receipt");
	REFUSED(ask("POST", "/api/v1/receipts/accepted", "{\"receipt\":\"{}\",\"signature\":\"\"}"), ERR_MALFORMED, "receipt.json");
	REFUSED(ask("POST", "/api/v1/receipts/accepted", "{\"receipt\":\"{}\",\"signature\":\"\",\"x\":1}"), ERR_MALFORMED, "x");
	end();
}

/* ---- permissions ---- */

TEST(viewers_see_sites_and_make_no_bundles)
{
	const struct api_route *r;
	unsigned n, seen = 0;

	for (n = 0; (r = api_route_at(n)) != NULL; n++) {
		if (strstr(r->pattern, "/bundles") == NULL && strstr(r->pattern, "/receipts") == NULL &&
		    strcmp(r->pattern, "/api/v1/sites") != 0)
			continue;
		seen++;
		CHECK_INT(r->class, API_OPERATOR);
		CHECK_INT(permission_check(ROLE_VIEWER, r->permission, &err), r->mutates ? -1 : 0);
		CHECK_INT(permission_check(ROLE_APPROVER, r->permission, &err), r->mutates ? -1 : 0);
		CHECK_INT(permission_check(ROLE_OPERATOR, r->permission, &err), 0);
	}
	CHECK(seen >= 4);
}

/* ---- the database as it was before ---- */

TEST(a_database_of_version_1_goes_on_with_all_it_has)
{
	struct db_schema before = control_schema;
	struct audit_entry e = {.time_s = FIX_NOW, .actor = "local:0", .action = "old", .object = "", .verdict = "ok"};
	char dir[] = "/tmp/meshanics-test.XXXXXX", path[64];
	struct audit_head head, after;
	struct bundle_site row;
	int64_t version, next;
	struct db *db;

	MUST(crypto_start(&err));
	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/control.db", dir);
	before.version = 1;
	db = db_open(path, DB_CREATE, &before, &err);
	REQUIRE(db != NULL);
	MUST(db_begin(db, &err));
	MUST(meta_set(db, META_SITE, SLICE_LIT("main"), &err));
	MUST(audit_append(db, &e, &err));
	MUST(db_commit(db, &err));
	MUST(audit_head(db, &head, &err));
	CHECK_INT(bundle_site_find(db, "x", &row, &err), -1);
	db_close(db);
	/* A reader does not migrate, and says so. */
	CHECK(db_open(path, DB_READ, &control_schema, &err) == NULL);
	CHECK_INT(err.kind, ERR_RETRY);
	db = db_open(path, DB_WRITE, &control_schema, &err);
	REQUIRE(db != NULL);
	MUST(db_get_int(db, "PRAGMA user_version", &version, &err));
	CHECK_INT(version, 2);
	MUST(audit_head(db, &after, &err));
	CHECK(after.seq == head.seq && memcmp(after.hash, head.hash, SHA256_LEN) == 0);
	MUST(db_begin(db, &err));
	MUST(bundle_site_next(db, "depot-7", &next, &err));
	CHECK_INT(next, 1);
	MUST(audit_append(db, &e, &err));
	MUST(db_commit(db, &err));
	MUST(db_check(db, &err));
	db_close(db);
	/* And the old program says that it is too old. */
	CHECK(db_open(path, DB_WRITE, &before, &err) == NULL);
	CHECK(strstr(err.text, "schema version 2") != NULL);
	MUST(file_remove_tree(AT_FDCWD, dir, &err));
}
