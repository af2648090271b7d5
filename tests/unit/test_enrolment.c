/* Requests, answers and identities of enrolment by media: what is read back, and every way to be refused. */
#include "tap.h"

#include "base/encode.h"
#include "bundle/enrolment.h"
#include "crypto/keyfile.h"
#include "crypto/sshsig.h"

#define NOW INT64_C(1780000000)

static struct error err;
static struct seckey *key, *present, *record;
static struct buf root = BUF_INIT(1 << 20);

static void refuses(int r, enum error_kind kind, const char *says)
{
	CHECK_INT(r, -1);
	if (err.kind != kind)
		printf("# %s\n", err.text);
	CHECK_INT(err.kind, kind);
	if (strstr(err.text, says) == NULL)
		CHECK_STR(err.text, says);
	err = ERROR_INIT;
}

static struct seckey *new_key(enum key_scheme scheme)
{
	struct seckey *k = seckey_generate(scheme, &err);

	REQUIRE(k != NULL);
	return k;
}

/* A root that is well-formed, names `record`, and is signed by nobody: what pins it is its hash. */
static void make_root(const char *site, const struct seckey *site_key)
{
	struct json_writer w = JSON_WRITER(&root);
	char id[KEY_FINGERPRINT_LEN];
	static const char *const roles[] = {"root", "snapshot", "targets", "timestamp"};
	size_t i;

	buf_clear(&root);
	key_id(id, seckey_public(record));
	json_open_object(&w, NULL);
	json_open_array(&w, "signatures");
	json_close(&w);
	json_open_object(&w, "signed");
	json_put_string(&w, "_type", "root");
	json_put_bool(&w, "consistent_snapshot", true);
	json_put_string(&w, "expires", "2099-01-01T00:00:00Z");
	json_open_object(&w, "keys");
	pubkey_put_tuf(&w, id, seckey_public(record));
	json_close(&w);
	json_open_object(&w, "roles");
	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		json_open_object(&w, roles[i]);
		json_open_array(&w, "keyids");
		json_put_string(&w, NULL, id);
		json_close(&w);
		json_put_int(&w, "threshold", 1);
		json_close(&w);
	}
	json_close(&w);
	json_put_string(&w, "spec_version", "1.0.31");
	json_put_int(&w, "version", 3);
	json_open_object(&w, "x-meshanics");
	json_open_object(&w, "record_keys");
	json_open_array(&w, "export");
	json_close(&w);
	json_open_array(&w, "site");
	pubkey_put_tuf(&w, NULL, seckey_public(site_key));
	json_close(&w);
	json_close(&w);
	json_put_string(&w, "site", site);
	json_close(&w);
	json_close(&w);
	json_close(&w);
}

static void begin(void)
{
	REQUIRE(crypto_start(&err) == 0);
	key = new_key(KEY_ECDSA_P256);
	present = new_key(KEY_ECDSA_P256);
	record = new_key(KEY_ED25519);
	make_root("main", record);
}

static void end(void)
{
	seckey_free(key);
	seckey_free(present);
	seckey_free(record);
	buf_release(&root);
}

/* ---- requests ---- */

static struct buf request_text(bool renew, const struct seckey *with)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text = BUF_INIT(ENROLMENT_REQUEST_MAX + 1);

	q.renew = renew;
	q.created_s = NOW;
	q.root_version = renew ? 3 : 0;
	snprintf(q.file, sizeof(q.file), "press-3");
	snprintf(q.hostname, sizeof(q.hostname), "Press 3 \xc3\xbc\"\\");
	snprintf(q.device, sizeof(q.device), "press-3");
	snprintf(q.site, sizeof(q.site), "main");
	memset(q.certificate, 0xce, sizeof(q.certificate));
	memset(q.root_sha256, 0x77, sizeof(q.root_sha256));
	buf_put_str(&q.profile, "{\"arch\":\"amd64\"}");
	enrolment_nonce(&q);
	REQUIRE(enrolment_request_put(&text, &q, with, present, &err) == 0);
	enrolment_request_release(&q);
	return text;
}

TEST(a_request_reads_back)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text;

	begin();
	text = request_text(false, key);
	CHECK_INT(enrolment_request_parse(&q, buf_slice(&text), &err), 0);
	CHECK(!q.renew && q.root_version == 0 && q.created_s == NOW);
	CHECK_STR(q.file, "press-3");
	CHECK_STR(q.hostname, "Press 3 \xc3\xbc\"\\");
	CHECK_STR(buf_cstr(&q.profile), "{\"arch\":\"amd64\"}");
	CHECK(pubkey_equal(&q.key, seckey_public(key)));
	refuses(enrolment_request_check(&q, seckey_public(key), &err), ERR_REFUSED, "not one to renew");
	buf_release(&text);

	text = request_text(true, key);
	CHECK_INT(enrolment_request_parse(&q, buf_slice(&text), &err), 0);
	CHECK(q.renew && q.root_version == 3 && q.root_sha256[5] == 0x77 && q.certificate[5] == 0xce);
	CHECK_STR(q.device, "press-3");
	CHECK_INT(enrolment_request_check(&q, seckey_public(present), &err), 0);
	refuses(enrolment_request_check(&q, seckey_public(key), &err), ERR_REFUSED, "not by the device");
	buf_release(&text);
	enrolment_request_release(&q);
	end();
}

/* Every bit of the line, and every end: nothing of it can be changed. The signatures' own spelling is checked as text. */
TEST(a_request_cannot_be_changed_anywhere)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text;
	size_t i, line;

	begin();
	text = request_text(true, key);
	line = slice_find(buf_slice(&text), '\n', 0);
	for (i = 0; i < text.len; i++) {
		text.ptr[i] ^= 1;
		if (i <= line || text.ptr[i] != '-')	/* the dashes of PEM are looked for, not signed */
			CHECK(enrolment_request_parse(&q, buf_slice(&text), &err) < 0 ||
			      enrolment_request_check(&q, seckey_public(present), &err) < 0);
		text.ptr[i] ^= 1;
		CHECK(enrolment_request_parse(&q, slice_sub(buf_slice(&text), 0, i), &err) < 0);
	}
	CHECK_INT(enrolment_request_parse(&q, buf_slice(&text), &err), 0);
	buf_put_u8(&text, '\n');
	err = ERROR_INIT;
	refuses(enrolment_request_parse(&q, buf_slice(&text), &err), ERR_MALFORMED, "follow the last");
	buf_release(&text);
	enrolment_request_release(&q);
	end();
}

/* A line of our making, properly signed by the key whose CSR it carries: only its content is wrong. */
static void line_refused(const char *fmt, enum error_kind kind, const char *says)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text = BUF_INIT(ENROLMENT_REQUEST_MAX + 4096), csr = BUF_INIT(4096), b64 = BUF_INIT(8192);
	uint8_t hash[SHA256_LEN];

	REQUIRE(csr_issue(&csr, "device", key, &err) == 0);
	base64_put(&b64, buf_slice(&csr));
	buf_printf(&text, "{\"csr\":\"%s\",%s}\n", buf_cstr(&b64), fmt);
	sha256_of(buf_slice(&text), hash);
	REQUIRE(sshsig_sign_sha256(key, "meshanics-enroll-request", hash, &text, &err) == 0);
	if (says == NULL)
		CHECK_INT(enrolment_request_parse(&q, buf_slice(&text), &err), 0);
	else
		refuses(enrolment_request_parse(&q, buf_slice(&text), &err), kind, says);
	enrolment_request_release(&q);
	buf_release(&text);
	buf_release(&csr);
	buf_release(&b64);
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FORMAT "\"format\":\"meshanics-enroll-request-1\","
#define KIND "\"kind\":\"enroll\","
#define FILE_ "\"file\":\"press-3\","
#define CREATED "\"created\":\"2026-11-28T09:30:00Z\","
#define NONCE "\"nonce\":\"" HEX64 "\","
#define HOST "\"hostname\":\"x\","
#define TAIL "\"profile\":null,\"root\":null,\"renew\":null"

TEST(a_signed_request_with_the_wrong_content_is_refused)
{
	begin();
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST TAIL, ERR_NONE, NULL);
	line_refused("\"format\":\"meshanics-enroll-request-2\"," KIND FILE_ CREATED NONCE HOST TAIL, ERR_MALFORMED, "format");
	line_refused(KIND FILE_ CREATED NONCE HOST TAIL, ERR_MALFORMED, "format");
	line_refused(FORMAT "\"kind\":\"revoke\"," FILE_ CREATED NONCE HOST TAIL, ERR_MALFORMED, "kind");
	line_refused(FORMAT KIND "\"file\":\"../x\"," CREATED NONCE HOST TAIL, ERR_MALFORMED, "file");
	line_refused(FORMAT KIND "\"file\":\"con\"," CREATED NONCE HOST TAIL, ERR_MALFORMED, "file");
	line_refused(FORMAT KIND FILE_ "\"created\":\"yesterday\"," NONCE HOST TAIL, ERR_MALFORMED, "created");
	line_refused(FORMAT KIND FILE_ CREATED "\"nonce\":\"0123\"," HOST TAIL, ERR_MALFORMED, "nonce");
	line_refused(FORMAT KIND FILE_ CREATED
		     "\"nonce\":\"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"," HOST TAIL,
		     ERR_MALFORMED, "upper case");
	line_refused(FORMAT KIND FILE_ CREATED NONCE "\"hostname\":\"a\\u0000b\"," TAIL, ERR_MALFORMED, "hostname");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST "\"profile\":[],\"root\":null,\"renew\":null", ERR_MALFORMED, "profile");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST "\"profile\":null,\"root\":{},\"renew\":null", ERR_MALFORMED, "root");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST
		     "\"profile\":null,\"root\":{\"version\":0,\"sha256\":\"" HEX64 "\"},\"renew\":null", ERR_MALFORMED, "root");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST
		     "\"profile\":null,\"root\":{\"version\":1,\"sha256\":\"" HEX64 "\",\"x\":1},\"renew\":null", ERR_MALFORMED, "root");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST "\"profile\":null,\"root\":null,\"renew\":{}", ERR_MALFORMED, "renew");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST "\"profile\":null,\"root\":null", ERR_MALFORMED, "renew");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST TAIL ",\"more\":1", ERR_MALFORMED, "more");
	line_refused(FORMAT KIND FILE_ CREATED NONCE HOST TAIL ",\"kind\":\"enroll\"", ERR_MALFORMED, "kind");
	line_refused(FORMAT "\"kind\":\"renew\"," FILE_ CREATED NONCE HOST TAIL, ERR_MALFORMED, "renew");
	line_refused(FORMAT "\"kind\":\"renew\"," FILE_ CREATED NONCE HOST
		     "\"profile\":null,\"root\":null,\"renew\":{\"device\":\"x\",\"site\":\"main\",\"certificate\":\"" HEX64 "\"}",
		     ERR_MALFORMED, "names no root");
	line_refused(FORMAT "\"kind\":\"renew\"," FILE_ CREATED NONCE HOST
		     "\"profile\":null,\"root\":{\"version\":1,\"sha256\":\"" HEX64
		     "\"},\"renew\":{\"device\":\"X\",\"site\":\"main\",\"certificate\":\"" HEX64 "\"}",
		     ERR_MALFORMED, "device");
	end();
}

TEST(a_request_has_a_ceiling)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text = BUF_INIT(1 << 20);

	begin();
	while (text.len <= ENROLMENT_REQUEST_MAX)
		buf_put_u8(&text, ' ');
	refuses(enrolment_request_parse(&q, buf_slice(&text), &err), ERR_LIMIT, "larger");
	buf_release(&text);
	enrolment_request_release(&q);
	end();
}

TEST(the_fingerprint_is_that_of_the_public_key_alone)
{
	char a[SHA256_HEX_LEN], b[SHA256_HEX_LEN];

	begin();
	enrolment_fingerprint(a, seckey_public(key));
	enrolment_fingerprint(b, seckey_public(present));
	CHECK_INT(strlen(a), 64);
	CHECK(strcmp(a, b) != 0);
	end();
}

/* ---- answers ---- */

struct made {
	struct enrolment_request q;
	struct buf answer;
};

static struct made answer_to(struct buf *request, const struct seckey *by, const char *site, int64_t version)
{
	struct made m = {.q = ENROLMENT_REQUEST_INIT, .answer = BUF_INIT(ENROLMENT_ANSWER_MAX + 1)};
	struct buf line = BUF_INIT(ENROLMENT_ANSWER_MAX), b64 = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&line);
	uint8_t hash[SHA256_LEN];

	REQUIRE(enrolment_request_parse(&m.q, buf_slice(request), &err) == 0);
	sha256_of(buf_slice(&root), hash);
	base64_put(&b64, buf_slice(&root));
	enrolment_answer_begin(&w, &m.q, NOW);
	json_put_string(&w, "device", "press-3");
	json_put_string(&w, "site", site);
	json_put_int(&w, "root_version", version);
	json_put_hex(&w, "root_sha256", hash, sizeof(hash));
	json_put_slice(&w, "root", buf_slice(&b64));
	REQUIRE(enrolment_answer_end(&m.answer, &w, by, &err) == 0);
	buf_release(&line);
	buf_release(&b64);
	return m;
}

static void made_release(struct made *m)
{
	enrolment_request_release(&m->q);
	buf_release(&m->answer);
}

TEST(an_answer_is_to_one_request_and_by_the_site)
{
	struct enrolment_answer a = ENROLMENT_ANSWER_INIT;
	struct buf text, other;
	struct made m, n;

	begin();
	text = request_text(false, key);
	other = request_text(false, key);
	m = answer_to(&text, record, "main", 3);
	CHECK_INT(enrolment_answer_parse(&a, buf_slice(&m.answer), &err), 0);
	CHECK_INT(a.root_version, 3);
	CHECK_STR(a.device, "press-3");
	CHECK_INT(enrolment_answer_check(&a, &m.q, &err), 0);

	n = answer_to(&other, record, "main", 3);	/* the same key, asked again: another nonce */
	refuses(enrolment_answer_check(&a, &n.q, &err), ERR_REFUSED, "another request");
	made_release(&n);

	n = answer_to(&text, present, "main", 3);	/* a key that the root does not name */
	CHECK_INT(enrolment_answer_parse(&a, buf_slice(&n.answer), &err), 0);
	refuses(enrolment_answer_check(&a, &n.q, &err), ERR_REFUSED, "no site record key");
	made_release(&n);

	n = answer_to(&text, record, "depot", 3);
	refuses(enrolment_answer_parse(&a, buf_slice(&n.answer), &err), ERR_REFUSED, "of site 'main'");
	made_release(&n);
	n = answer_to(&text, record, "main", 4);
	refuses(enrolment_answer_parse(&a, buf_slice(&n.answer), &err), ERR_REFUSED, "version 3");
	made_release(&n);

	enrolment_answer_release(&a);
	made_release(&m);
	buf_release(&text);
	buf_release(&other);
	end();
}

TEST(an_answer_cannot_be_changed_in_its_line)
{
	struct enrolment_answer a = ENROLMENT_ANSWER_INIT;
	struct buf text;
	struct made m;
	size_t i, line;

	begin();
	text = request_text(false, key);
	m = answer_to(&text, record, "main", 3);
	line = slice_find(buf_slice(&m.answer), '\n', 0);
	for (i = 0; i <= line; i += 3) {
		m.answer.ptr[i] ^= 1;
		CHECK(enrolment_answer_parse(&a, buf_slice(&m.answer), &err) < 0 || enrolment_answer_check(&a, &m.q, &err) < 0);
		m.answer.ptr[i] ^= 1;
	}
	for (i = 0; i < m.answer.len; i += 7)
		CHECK(enrolment_answer_parse(&a, slice_sub(buf_slice(&m.answer), 0, i), &err) < 0);
	CHECK_INT(enrolment_answer_parse(&a, buf_slice(&m.answer), &err), 0);
	CHECK_INT(enrolment_answer_check(&a, &m.q, &err), 0);
	enrolment_answer_release(&a);
	made_release(&m);
	buf_release(&text);
	end();
}

/* A request is not to be shown for an answer, and the other way round: the namespaces differ. */
TEST(the_signatures_are_for_one_thing_each)
{
	struct buf text, sig = BUF_INIT(SSHSIG_SIZE_MAX);
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	uint8_t hash[SHA256_LEN];
	size_t line;

	begin();
	text = request_text(false, key);
	line = slice_find(buf_slice(&text), '\n', 0) + 1;
	sha256_of(slice_sub(buf_slice(&text), 0, line), hash);
	REQUIRE(sshsig_sign_sha256(key, "meshanics-enroll", hash, &sig, &err) == 0);
	text.len = line;
	buf_put_slice(&text, buf_slice(&sig));
	refuses(enrolment_request_parse(&q, buf_slice(&text), &err), ERR_REFUSED, "namespace");
	enrolment_request_release(&q);
	buf_release(&sig);
	buf_release(&text);
	end();
}

/* ---- identities ---- */

TEST(an_identity_reads_back_sealed_or_not)
{
	struct buf line = BUF_SECRET(1 << 20), sealed = BUF_INIT(1 << 20), opened = BUF_SECRET(1 << 20);
	struct enrolment_identity i = ENROLMENT_IDENTITY_INIT;

	begin();
	REQUIRE(enrolment_identity_put(&line, key, SLICE_LIT("request"), SLICE_LIT("answer"), &err) == 0);
	CHECK(!enrolment_is_sealed(buf_slice(&line)));
	CHECK_INT(enrolment_identity_parse(&i, buf_slice(&line), &err), 0);
	CHECK(pubkey_equal(seckey_public(i.key), seckey_public(key)));
	CHECK_STR(buf_cstr(&i.request), "request");
	enrolment_identity_release(&i);

	REQUIRE(enrolment_seal(&sealed, buf_slice(&line), SLICE_LIT("word"), &err) == 0);
	CHECK(enrolment_is_sealed(buf_slice(&sealed)));
	CHECK_INT(enrolment_unseal(&opened, buf_slice(&sealed), SLICE_LIT("word"), &err), 0);
	CHECK(slice_equal(buf_slice(&opened), buf_slice(&line)));
	buf_clear(&opened);
	refuses(enrolment_unseal(&opened, buf_slice(&sealed), SLICE_LIT("wrong"), &err), ERR_REFUSED, "identity");
	sealed.ptr[sealed.len - 1] ^= 1;
	refuses(enrolment_unseal(&opened, buf_slice(&sealed), SLICE_LIT("word"), &err), ERR_REFUSED, "identity");
	refuses(enrolment_unseal(&opened, slice_sub(buf_slice(&sealed), 0, 20), SLICE_LIT("word"), &err), ERR_MALFORMED, "cut short");
	buf_release(&line);
	buf_release(&sealed);
	buf_release(&opened);
	end();
}

TEST(what_is_no_identity_is_refused)
{
	static const char *const bad[] = {
		"", "\n", "{}", "{}\n", "[]\n", "{}\n{}\n",
		"{\"format\":\"meshanics-identity-2\",\"key\":\"AAAA\",\"request\":\"\",\"answer\":\"\"}\n",
		"{\"format\":\"meshanics-identity-1\",\"key\":\"AAAA\",\"request\":\"\",\"answer\":\"\"}\n",
		/* zero is no scalar */
		"{\"format\":\"meshanics-identity-1\",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"request\":\"\",\"answer\":\"\"}\n",
		"{\"format\":\"meshanics-identity-1\",\"key\":\"AAAA\",\"request\":\"\",\"answer\":\"\",\"x\":1}\n",
	};
	struct enrolment_identity i = ENROLMENT_IDENTITY_INIT;
	size_t n;

	begin();
	for (n = 0; n < ARRAY_SIZE(bad); n++) {
		CHECK_INT(enrolment_identity_parse(&i, slice_str(bad[n]), &err), -1);
		CHECK(strstr(err.text, "identity") != NULL && i.key == NULL);
	}
	enrolment_identity_release(&i);
	end();
}
