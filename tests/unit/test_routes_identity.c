/* The requests of identity as the router runs them: bodies, answers, permissions, and what the audit trail keeps. */
#include "tap.h"

#include "base/encode.h"
#include "bundle/enrolment.h"
#include "control/api.h"
#include "control/control.h"
#include "crypto/pem.h"
#include "fleet/enroll.h"
#include "repo_fixture.h"
#include "store/audit.h"
#include "store/writer.h"

static struct fixture f;
static struct control *c;
static struct error err;
static char token_text[TOKEN_TEXT_MAX + 1];

/* The answer to the last request. */
static struct buf reply = BUF_INIT(1 << 20);
static int64_t ask_now_s = FIX_NOW;
static struct json doc;
static unsigned status;

struct ask {
	enum api_class class;
	const char *method, *path;
	struct slice body;
	struct api_actor actor;
};

/* What the listeners do: the handler in a savepoint, its refusal audited in the same commit. */
static int job(struct db *db, void *arg, struct error *e)
{
	struct ask *q = arg;
	struct buf decoded = BUF_INIT(2 * API_PATH_MAX);
	struct json body = JSON_INIT;
	struct error why = ERROR_INIT;
	struct slice path = slice_str(q->path);
	size_t question = slice_find(path, '?', 0);
	struct api_call call;

	api_call_init(&call);
	call.actor = &q->actor;
	call.control = c;
	call.now_s = ask_now_s;
	call.db = db;
	if (question != SIZE_MAX)
		call.query = slice_sub(path, question + 1, SIZE_MAX);
	if (q->body.len > 0) {
		REQUIRE(json_parse(&body, q->body, JSON_FRACTIONS, e) == 0);
		call.body = json_root(&body);
	}
	call.route = api_route_find(q->class, slice_str(q->method), slice_sub(path, 0, question), &decoded, call.params, e);
	REQUIRE(call.route != NULL);
	REQUIRE(db_savepoint(db, e) == 0);
	if (api_run(&call, &why) == 0) {
		REQUIRE(db_savepoint_keep(db, e) == 0);
	} else {
		db_savepoint_undo(db);
		if (call.route->mutates && !call.route->own_audit)
			REQUIRE(api_audit_refusal(db, &call, &why, e) == 0);
	}
	status = call.status;
	buf_clear(&reply);
	buf_put_slice(&reply, buf_slice(&call.reply));
	api_call_release(&call);
	json_release(&body);
	buf_release(&decoded);
	return 0;
}

static unsigned run(struct ask *q)
{
	json_release(&doc);
	MUST(db_transact(c->db, job, q, &err));
	MUST(json_parse(&doc, buf_slice(&reply), JSON_FRACTIONS, &err));
	return status;
}

static unsigned ask_as(enum role role, const char *method, const char *path, const char *body)
{
	struct ask q = {API_OPERATOR, method, path, slice_str(body), {.kind = ACTOR_OPERATOR, .role = role}};

	snprintf(q.actor.name, sizeof(q.actor.name), "operator:%s", role_name(role));
	return run(&q);
}

static unsigned ask(const char *method, const char *path, const char *body)
{
	return ask_as(ROLE_ADMIN, method, path, body);
}

static struct slice text_at(struct json_value v, const char *name)
{
	struct json_value m = json_get(v, name);

	return json_type(m) == JSON_STRING ? json_string(m) : SLICE_LIT("(none)");
}

static void answers(unsigned got, unsigned want, const char *word)
{
	CHECK_INT(got, want);
	if (strstr(buf_cstr(&reply), word) == NULL)
		CHECK_STR(buf_cstr(&reply), word);
}

/* A whole control plane: repository in force, CAs, one public name. */
static void begin(void)
{
	struct control_settings s;

	repo_free(fix_repo(&f));
	control_settings_default(&s);
	s.public_name_count = 3;
	snprintf(s.public_names[0], 256, "fleet.example");
	snprintf(s.public_names[1], 256, "fd12::1");
	snprintf(s.public_names[2], 256, "127.0.0.1");
	c = control_open(f.home, &s, &err);
	if (c == NULL)
		printf("# %s\n", err.text);
	REQUIRE(c != NULL);
	answers(ask("POST", "/api/v1/ca", "{}"), 200, "\"site\":\"main\"");
}

static void finish(void)
{
	json_release(&doc);
	buf_release(&reply);
	control_free(c);
	fix_end(&f);
}

static const char *token_body(const char *more)
{
	static char body[2048];
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	sha256_of(buf_slice(&f.root_file), hash);
	hex_encode(hex, hash, sizeof(hash));
	snprintf(body, sizeof(body), "{\"root_version\":1,\"root_sha256\":\"%s\"%s}", hex, more);
	return body;
}

static void make_token(const char *more)
{
	answers(ask("POST", "/api/v1/tokens", token_body(more)), 200, "\"token\":\"mtk1");
	snprintf(token_text, sizeof(token_text), "%.*s", SLICE_ARG(text_at(json_root(&doc), "token")));
}

static void put_csr(struct buf *body, const struct seckey *k)
{
	struct buf der = BUF_INIT(X509_SIZE_MAX);

	MUST(csr_issue(&der, "x", k, &err));
	base64_put(body, buf_slice(&der));
	buf_release(&der);
}

static unsigned enroll(const char *token, const struct seckey *k, const char *more)
{
	struct buf body = BUF_INIT(16384);
	struct ask q = {API_ENROLL, "POST", "/enroll", {0}, {.name = "newcomer:192.0.2.7"}};
	unsigned got;

	buf_printf(&body, "{\"token\":\"%s\",\"csr\":\"", token);
	put_csr(&body, k);
	buf_printf(&body, "\"%s}", more);
	q.body = buf_slice(&body);
	got = run(&q);
	buf_release(&body);
	return got;
}

static unsigned renew(const uint8_t fingerprint[static SHA256_LEN], const struct seckey *k)
{
	struct buf body = BUF_INIT(16384);
	struct ask q = {API_DEVICE, "POST", "/device/renew", {0}, {.kind = ACTOR_DEVICE, .name = "device:press"}};
	unsigned got;

	snprintf(q.actor.device, sizeof(q.actor.device), "press");
	memcpy(q.actor.cert_sha256, fingerprint, SHA256_LEN);
	buf_put_str(&body, "{\"csr\":\"");
	put_csr(&body, k);
	buf_put_str(&body, "\"}");
	q.body = buf_slice(&body);
	got = run(&q);
	buf_release(&body);
	return got;
}

/* The newest row: "actor action object verdict" and the detail. */
static void last_row(char row[static 512], char detail[static 1024])
{
	struct audit_filter filter = {.limit = 1, .newest_first = true};
	struct audit_walk w;

	audit_walk_open(&w, c->db, &filter);
	REQUIRE(audit_walk_next(&w, &err) == 1);
	snprintf(row, 512, "%.*s %.*s %.*s %.*s", SLICE_ARG(w.record.actor), SLICE_ARG(w.record.action),
		 SLICE_ARG(w.record.object), SLICE_ARG(w.record.verdict));
	snprintf(detail, 1024, "%.*s", SLICE_ARG(w.record.detail));
	audit_walk_close(&w);
}

static void audited(const char *want, const char *word)
{
	char row[512], detail[1024];

	last_row(row, detail);
	if (strstr(row, want) == NULL)
		CHECK_STR(row, want);
	if (strstr(detail, word) == NULL)
		CHECK_STR(detail, word);
}

static void fingerprint_of(struct json_value answer, uint8_t out[static SHA256_LEN])
{
	struct buf der = BUF_INIT(X509_SIZE_MAX);

	MUST(base64_decode(&der, text_at(answer, "certificate"), &err));
	x509_fingerprint(out, buf_slice(&der));
	buf_release(&der);
}

TEST(cas_are_made_once_and_for_the_site_of_the_repository)
{
	begin();
	audited("operator:admin ca.init site:main ok", "\"server\":");
	answers(ask("POST", "/api/v1/ca", "{}"), 409, "exist already");
	answers(ask("POST", "/api/v1/ca", "{\"site\":\"other\"}"), 422, "of site 'main', not 'other'");
	answers(ask("POST", "/api/v1/ca", "{\"x\":1}"), 400, "unknown member 'x'");
	answers(ask_as(ROLE_OPERATOR, "POST", "/api/v1/ca", "{}"), 403, "ca.write");
	answers(ask_as(ROLE_VIEWER, "GET", "/api/v1/ca", ""), 200, "BEGIN CERTIFICATE");
	CHECK_INT(json_count(json_get(json_root(&doc), "cas")), 3);
	finish();
}

TEST(a_token_carries_what_the_operator_gave)
{
	struct enroll_token t;

	begin();
	make_token(",\"name_prefix\":\"cell\",\"uses\":3,\"tags\":[\"line-1\"],\"note\":\"for \\u001b[2J\"");
	MUST(enroll_token_parse(&t, slice_str(token_text), &err));
	CHECK_STR(t.site, "main");
	CHECK_INT(t.root_version, 1);
	CHECK_INT(t.url_count, 2);
	CHECK_STR(t.urls[0], "https://fleet.example:9446");
	CHECK_STR(t.urls[1], "https://[fd12::1]:9446");
	enroll_token_wipe(&t);
	audited("operator:admin token.create token:", "\"uses\":3");
	audited(" ok", "for \\\\x1b[2J");
	answers(ask_as(ROLE_VIEWER, "GET", "/api/v1/tokens", ""), 200, "\"tags\":[\"line-1\"]");
	CHECK(strstr(buf_cstr(&reply), "mtk1") == NULL);
	make_token(",\"urls\":[\"https://10.0.0.1\"]");
	MUST(enroll_token_parse(&t, slice_str(token_text), &err));
	CHECK_STR(t.urls[0], "https://10.0.0.1");
	enroll_token_wipe(&t);
	finish();
}

TEST(token_requests_are_checked)
{
	static const struct {
		const char *more, *word;
		unsigned status;
	} cases[] = {
		{",\"uses\":0", "uses", 400},
		{",\"uses\":1.5", "uses", 400},
		{",\"life_s\":59", "life_s", 400},
		{",\"device\":\"../x\"", "device name", 400},
		{",\"device\":7", "device", 400},
		{",\"device\":\"a\",\"name_prefix\":\"b\"", "not both", 400},
		{",\"device\":\"a\",\"uses\":2", "one use", 400},
		{",\"urls\":[\"http://x\"]", "https://HOST", 400},
		{",\"urls\":[7]", "instead of a string", 400},
		{",\"urls\":[\"https://a\",\"https://a\",\"https://a\",\"https://a\",\"https://a\"]", "more than 4", 413},
		{",\"tags\":[\"a b\"]", "tag", 400},
		{",\"tags\":\"a\"", "tags", 400},
		{",\"secret\":\"x\"", "unknown member 'secret'", 400},
	};
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		answers(ask("POST", "/api/v1/tokens", token_body(cases[i].more)), cases[i].status, cases[i].word);
	answers(ask("POST", "/api/v1/tokens", "{}"), 400, "root_version");
	answers(ask("POST", "/api/v1/tokens",
		    "{\"root_version\":1,\"root_sha256\":"
		    "\"0000000000000000000000000000000000000000000000000000000000000000\"}"),
		422, "is another file");
	answers(ask("POST", "/api/v1/tokens",
		    "{\"root_version\":2,\"root_sha256\":"
		    "\"0000000000000000000000000000000000000000000000000000000000000000\"}"),
		404, "does not serve root version 2");
	audited("operator:admin token.create  failed", "root version 2");
	answers(ask_as(ROLE_VIEWER, "POST", "/api/v1/tokens", token_body("")), 403, "token.write");
	answers(ask_as(ROLE_APPROVER, "POST", "/api/v1/tokens", token_body("")), 403, "token.write");
	c->settings.public_name_count = 0;
	answers(ask("POST", "/api/v1/tokens", token_body("")), 400, "give --url");
	snprintf(c->settings.public_names[0], 256, "localhost");
	c->settings.public_name_count = 1;
	make_token("");
	finish();
}

TEST(tokens_are_revoked_by_id_and_leave_the_list)
{
	char path[64];
	struct enroll_token t;
	struct seckey *k;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	make_token("");
	MUST(enroll_token_parse(&t, slice_str(token_text), &err));
	snprintf(path, sizeof(path), "/api/v1/tokens/%s", t.id);
	answers(ask_as(ROLE_OPERATOR, "DELETE", path, ""), 200, "{}");
	audited(t.id, "{}");
	answers(ask("DELETE", "/api/v1/tokens/0000000000000000", ""), 404, "no token");
	answers(ask("DELETE", "/api/v1/tokens/xyz", ""), 400, "token id");
	answers(ask("GET", "/api/v1/tokens", ""), 200, "\"tokens\":[]");
	answers(ask("GET", "/api/v1/tokens?all=1", ""), 200, "\"state\":\"revoked\"");
	answers(enroll(token_text, k, ""), 422, "was revoked at");
	audited("newcomer:192.0.2.7 device.enroll token:", "was revoked");
	enroll_token_wipe(&t);
	seckey_free(k);
	finish();
}

TEST(enrolment_answers_with_identity_addresses_and_anchor)
{
	struct buf root = BUF_INIT(TUF_ROOT_MAX), der = BUF_INIT(X509_SIZE_MAX);
	struct seckey *k;
	struct json_value a;
	struct x509 leaf;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	make_token("");
	answers(enroll(token_text, k, ",\"hostname\":\"Press\",\"later\":true"), 200, "\"device\":\"press\"");
	a = json_root(&doc);
	CHECK(slice_equal_str(text_at(a, "site"), "main"));
	CHECK(slice_equal_str(text_at(a, "device_url"), "https://fleet.example:9445"));
	CHECK(slice_equal_str(text_at(a, "repository_url"), "https://fleet.example:9444"));
	MUST(base64_decode(&root, text_at(a, "root"), &err));
	CHECK(slice_equal(buf_slice(&root), buf_slice(&f.root_file)));
	MUST(base64_decode(&der, text_at(a, "certificate"), &err));
	MUST(x509_read(&leaf, buf_slice(&der), &err));
	MUST(x509_chain_check(&leaf, &c->ca[CA_DEVICE].cert, X509_EKU_CLIENT, FIX_NOW, 0, &err));
	audited("newcomer:192.0.2.7 device.enroll device:press ok", "\"again\":false");
	answers(enroll(token_text, k, ",\"host\":\"fd12::1\""), 200, "\"device_url\":\"https://[fd12::1]:9445\"");
	audited("device.enroll device:press ok", "\"again\":true");
	answers(enroll(token_text, k, ",\"host\":\"evil.example\""), 200, "\"device_url\":\"https://fleet.example:9445\"");
	buf_release(&root);
	buf_release(&der);
	seckey_free(k);
	finish();
}

TEST(a_refused_enrolment_is_kept_and_an_unknown_one_leaves_no_trace)
{
	struct seckey *k, *other;
	char row[512], before[512], detail[1024];
	struct enroll_token t;
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	other = seckey_generate(KEY_ECDSA_P256, &err);
	make_token("");
	answers(enroll(token_text, k, ""), 200, "certificate");
	answers(enroll(token_text, other, ""), 422, "is used up");
	audited("newcomer:192.0.2.7 device.enroll token:", "is used up");
	audited(" refused", "is used up");
	last_row(before, detail);
	MUST(enroll_token_parse(&t, slice_str(token_text), &err));
	t.secret[0] ^= 1;
	enroll_token_put(&text, &t);
	answers(enroll(buf_cstr(&text), other, ""), 422, "not known here");
	answers(enroll("mtk1", other, ""), 400, "enrolment token");
	last_row(row, detail);
	CHECK_STR(row, before);
	/* A request that cannot be read costs the use, and the answer says so. */
	make_token("");
	{
		struct ask q = {API_ENROLL, "POST", "/enroll", {0}, {.name = "newcomer:192.0.2.7"}};
		struct buf body = BUF_INIT(4096);

		buf_printf(&body, "{\"token\":\"%s\",\"csr\":\"MAAA\"}", token_text);
		q.body = buf_slice(&body);
		answers(run(&q), 400, "certificate request");
		answers(enroll(token_text, k, ""), 422, "is used up");
		buf_clear(&body);
		buf_printf(&body, "{\"token\":\"%s\",\"csr\":\"not base64!\"}", token_text);
		q.body = buf_slice(&body);
		answers(run(&q), 400, "csr");
		buf_release(&body);
	}
	enroll_token_wipe(&t);
	buf_release(&text);
	seckey_free(k);
	seckey_free(other);
	finish();
}

TEST(renewal_and_revocation_are_requests)
{
	uint8_t first[SHA256_LEN], second[SHA256_LEN];
	struct seckey *k, *next;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	next = seckey_generate(KEY_ECDSA_P256, &err);
	make_token(",\"device\":\"press\"");
	answers(enroll(token_text, k, ""), 200, "\"device\":\"press\"");
	fingerprint_of(json_root(&doc), first);
	answers(renew(first, next), 200, "\"renew_at\":");
	CHECK(json_type(json_get(json_root(&doc), "root")) == JSON_NONE);
	fingerprint_of(json_root(&doc), second);
	CHECK(memcmp(first, second, SHA256_LEN) != 0);
	audited("device:press device.renew device:press ok", "\"former\"");
	answers(ask_as(ROLE_VIEWER, "GET", "/api/v1/devices/press/certificates", ""), 200, "\"state\":\"active\"");
	CHECK_INT(json_count(json_get(json_root(&doc), "certificates")), 2);
	answers(ask_as(ROLE_VIEWER, "POST", "/api/v1/devices/press/revoke", "{}"), 403,
		"the role 'viewer' lacks the permission 'device.revoke'");
	audited("operator:viewer device.revoke press refused", "lacks the permission");
	answers(ask("POST", "/api/v1/devices/nobody/revoke", "{}"), 404, "nobody");
	answers(ask("POST", "/api/v1/devices/press/revoke", "{\"reason\":\"stolen\"}"), 200, "\"revoked\":2");
	audited("operator:admin device.revoke device:press ok", "stolen");
	answers(renew(second, next), 403, "is revoked: stolen");
	audited("device:press device.renew device:press refused", "stolen");
	answers(ask("POST", "/api/v1/devices/press/revoke", ""), 200, "\"revoked\":0");
	seckey_free(k);
	seckey_free(next);
	finish();
}

/* The last signature is of FIX_NOW: who asks under a clock that serve would not sign by gets nothing that carries its date. */
TEST(nothing_is_issued_under_a_clock_that_jumped)
{
	static const int64_t wrong[] = {0, FIX_NOW - 3600, FIX_NOW + 31 * 86400, INT64_C(2208988800)};
	uint8_t first[SHA256_LEN];
	struct seckey *k, *next;
	unsigned i;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	next = seckey_generate(KEY_ECDSA_P256, &err);
	make_token(",\"uses\":2");
	answers(enroll(token_text, k, ""), 200, "\"device\":");
	fingerprint_of(json_root(&doc), first);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ask_now_s = wrong[i];
		answers(enroll(token_text, next, ""), 503, "nothing is issued under this clock: the clock says");
		answers(renew(first, next), 503, "nothing is issued under this clock");
		answers(ask("POST", "/api/v1/tokens", "{}"), 503, "nothing is issued under this clock");
		answers(ask("POST", "/api/v1/operators", "{\"name\":\"eve\",\"role\":\"viewer\",\"life_s\":600}"), 503,
			"nothing is issued under this clock");
	}
	ask_now_s = FIX_NOW + 29 * 86400;
	answers(renew(first, next), 200, "\"renew_at\":");
	ask_now_s = FIX_NOW;
	answers(enroll(token_text, next, ""), 200, "\"device\":");	/* no use was lost */
	seckey_free(k);
	seckey_free(next);
	finish();
}

TEST(operators_are_added_listed_and_revoked)
{
	begin();
	answers(ask("POST", "/api/v1/operators", "{\"name\":\"alice\",\"role\":\"viewer\",\"life_s\":3600}"), 200, "mop1");
	audited("operator:admin operator.add operator:alice ok", "\"role\":\"viewer\"");
	answers(ask("POST", "/api/v1/operators", "{\"name\":\"alice\",\"role\":\"viewer\"}"), 409, "exists already");
	answers(ask("POST", "/api/v1/operators", "{\"name\":\"bob\",\"role\":\"none\"}"), 400, "is no role");
	answers(ask("POST", "/api/v1/operators", "{\"name\":\"bob\"}"), 400, "role");
	answers(ask_as(ROLE_OPERATOR, "POST", "/api/v1/operators", "{\"name\":\"bob\",\"role\":\"admin\"}"), 403,
		"operator.write");
	answers(ask_as(ROLE_VIEWER, "GET", "/api/v1/operators", ""), 200, "\"name\":\"alice\"");
	CHECK(strstr(buf_cstr(&reply), "mop1") == NULL);
	answers(ask_as(ROLE_OPERATOR, "DELETE", "/api/v1/operators/alice", ""), 403, "operator.write");
	answers(ask("DELETE", "/api/v1/operators/alice", ""), 200, "{}");
	answers(ask("DELETE", "/api/v1/operators/bob", ""), 404, "bob");
	answers(ask("GET", "/api/v1/operators", ""), 200, "\"operators\":[]");
	finish();
}

TEST(every_route_asks_for_a_permission_that_exists)
{
	const struct api_route *r;
	unsigned n;

	for (n = 0; (r = api_route_at(n)) != NULL; n++) {
		if (r->class != API_OPERATOR) {
			CHECK(r->permission == NULL);
		} else if (r->permission == NULL) {
			CHECK_STR(r->pattern, "/healthz");
		} else if (permission_check(ROLE_ADMIN, r->permission, &err) < 0) {
			CHECK_STR(r->pattern, err.text);
		}
		CHECK(!r->mutates || permission_check(ROLE_VIEWER, r->permission == NULL ? "-" : r->permission, &err) < 0);
	}
	CHECK(n > 20);
}

/* ---- by media ---- */

/* The body of enroll/sign for a new request of k; pin: the request names this root. */
static void media_body(struct buf *body, const struct seckey *k, const uint8_t *pin, const char *more)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text = BUF_INIT(ENROLMENT_REQUEST_MAX);
	struct json_writer w = JSON_WRITER(body);

	q.created_s = FIX_NOW;
	snprintf(q.file, sizeof(q.file), "press");
	snprintf(q.hostname, sizeof(q.hostname), "press");
	if (pin != NULL) {
		q.root_version = 1;
		memcpy(q.root_sha256, pin, SHA256_LEN);
	}
	enrolment_nonce(&q);
	MUST(enrolment_request_put(&text, &q, k, NULL, &err));
	buf_clear(body);
	json_put_slice(&w, NULL, buf_slice(&text));
	buf_clear(&text);
	buf_printf(&text, "{\"request\":%s,%s", buf_cstr(body), token_body(more) + 1);
	buf_clear(body);
	buf_put_slice(body, buf_slice(&text));
	enrolment_request_release(&q);
	buf_release(&text);
}

TEST(a_request_by_media_is_answered_and_audited)
{
	struct enrolment_answer a = ENROLMENT_ANSWER_INIT;
	struct buf body = BUF_INIT(1 << 16), text = BUF_INIT(1 << 20);
	uint8_t sha[SHA256_LEN];
	struct seckey *k;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	sha256_of(buf_slice(&f.root_file), sha);
	media_body(&body, k, sha, ",\"tags\":[\"line-1\"]");
	answers(ask_as(ROLE_VIEWER, "POST", "/api/v1/enroll/preview", buf_cstr(&body)), 200, "\"device\":\"press\"");
	CHECK(json_bool(json_get(json_root(&doc), "known")) == false);
	answers(ask_as(ROLE_VIEWER, "POST", "/api/v1/enroll/sign", buf_cstr(&body)), 403, "token.write");
	answers(ask_as(ROLE_OPERATOR, "POST", "/api/v1/enroll/sign", buf_cstr(&body)), 200, "\"device\":\"press\"");
	audited("operator:operator enroll.sign device:press ok", "\"form\":\"request\"");
	buf_put_slice(&text, text_at(json_root(&doc), "answer"));
	MUST(enrolment_answer_parse(&a, buf_slice(&text), &err));
	CHECK_STR(a.device, "press");
	CHECK(slice_equal(buf_slice(&a.root), buf_slice(&f.root_file)));
	CHECK(memmem(a.line.ptr, a.line.len, "https://fleet.example:9445", 26) != NULL);
	answers(ask("POST", "/api/v1/enroll/sign", buf_cstr(&body)), 200, "\"again\":true");
	enrolment_answer_release(&a);
	buf_release(&body);
	buf_release(&text);
	seckey_free(k);
	finish();
}

TEST(requests_by_media_are_checked)
{
	static const struct {
		const char *more, *word;
		unsigned status;
	} cases[] = {
		{",\"x\":1", "unknown member 'x'", 400},
		{",\"device\":\"../x\"", "device name", 400},
		{",\"device\":\"a\",\"name_prefix\":\"b\"", "not both", 400},
		{",\"tags\":[7]", "instead of a string", 400},
		{",\"tags\":[\"a b\"]", "tag", 400},
		{",\"host\":\"a/b\"", "host", 400},
		{",\"prepared\":1", "prepared", 400},
	};
	struct buf body = BUF_INIT(1 << 16);
	uint8_t other[SHA256_LEN] = {1};
	struct seckey *k;
	size_t i;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		media_body(&body, k, NULL, cases[i].more);
		answers(ask("POST", "/api/v1/enroll/sign", buf_cstr(&body)), cases[i].status, cases[i].word);
	}
	media_body(&body, k, other, "");
	answers(ask("POST", "/api/v1/enroll/sign", buf_cstr(&body)), 422, "the device trusts root version 1 of another SHA-256");
	audited("operator:admin enroll.sign  refused", "trusts root");
	answers(ask("POST", "/api/v1/enroll/sign", token_body("")), 400, "request");
	answers(ask("POST", "/api/v1/enroll/sign", token_body(",\"request\":\"{}\"")), 400, "enrolment request");
	c->settings.public_name_count = 0;
	media_body(&body, k, NULL, "");
	answers(ask("POST", "/api/v1/enroll/sign", buf_cstr(&body)), 400, "give --host");
	media_body(&body, k, NULL, ",\"host\":\"fd12::2\",\"prepared\":true");
	answers(ask("POST", "/api/v1/enroll/sign", buf_cstr(&body)), 200, "https://[fd12::2]:9444");
	audited("device:press ok", "\"form\":\"identity\"");
	buf_release(&body);
	seckey_free(k);
	finish();
}
