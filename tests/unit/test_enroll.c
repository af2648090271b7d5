/* Enrolment, renewal, revocation and operators, on a real database: every refusal has its test. */
#include "tap.h"

#include "base/encode.h"
#include "bundle/enrolment.h"
#include "fleet/enroll.h"
#include "fleet/operators.h"
#include "store/certificates.h"
#include "store/devices.h"
#include "store/schema.h"
#include "store/tokens.h"

#define NOW INT64_C(1780000000)
#define DAY INT64_C(86400)
#define YEAR_2040 INT64_C(2208988800)

static char dir[] = "/tmp/test_enroll.XXXXXX";
static struct db *db;
static struct ca ca[CA_COUNT];
static struct enroll_server server = {
	.site = "main", .ca = ca, .certificate_life_s = 90 * DAY, .renew_grace_s = 30 * DAY};
static struct error err;

static void leave(void)
{
	char cmd[64];

	db_close(db);
	ca_release_all(ca);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static void make_ca(struct ca *c, enum ca_kind kind)
{
	*c = (struct ca){.kind = kind, .der = BUF_INIT(X509_SIZE_MAX)};
	c->key = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(c->key != NULL);
	REQUIRE(x509_issue(&c->der, &(struct x509_spec){.org = "main", .cn = ca_kind_name(kind),
			   .key = seckey_public(c->key), .not_before_s = NOW - DAY, .not_after_s = NOW + 3650 * DAY,
			   .is_ca = true}, NULL, c->key, &err) == 0);
	REQUIRE(x509_read(&c->cert, buf_slice(&c->der), &err) == 0);
	x509_fingerprint(c->fingerprint, buf_slice(&c->der));
}

static void begin(void)
{
	char path[64];
	unsigned kind;

	REQUIRE(crypto_start(&err) == 0);
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/x.db", dir);
	db = db_open(path, DB_CREATE, &control_schema, &err);
	REQUIRE(db != NULL);
	for (kind = 0; kind < CA_COUNT; kind++)
		make_ca(&ca[kind], (enum ca_kind)kind);
	REQUIRE(db_begin(db, &err) == 0);
}

static const char *const urls[] = {"https://fleet.example:9446"};

/* The text of a new token; a change of `spec` beforehand is kept. */
static struct enroll_token_spec spec = {.uses = 1, .root_version = 1, .urls = urls, .url_count = 1};
static const char *new_token(struct enroll_token *t)
{
	static char out[TOKEN_TEXT_MAX + 1];
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);

	if (enroll_token_create(db, &server, &spec, "local:0", NOW, t, &err) < 0)
		CHECK_STR(err.text, "a token");
	enroll_token_put(&text, t);
	snprintf(out, sizeof(out), "%s", buf_cstr(&text));
	buf_release(&text);
	return out;
}

/* A request by a new key (or `key`). */
static struct buf new_csr(const struct seckey *key)
{
	struct buf der = BUF_INIT(X509_SIZE_MAX);
	struct seckey *own = key == NULL ? seckey_generate(KEY_ECDSA_P256, &err) : NULL;

	REQUIRE(csr_issue(&der, "whatever", key == NULL ? own : key, &err) == 0);
	seckey_free(own);
	return der;
}

/* What the device at `host` gets for this token at now_s: 0 a certificate, 1 a recorded refusal, -1 refused. */
static int enroll_at(const char *token, const char *host, struct slice csr, int64_t now_s, struct enroll_grant *g)
{
	struct enroll_request q = {.token = slice_str(token), .csr = csr, .hostname = slice_str(host)};
	bool refused;
	int r;

	enroll_grant_init(g);
	r = enroll_device(db, &server, &q, now_s, g, &refused, &err);
	CHECK(r == 0 || !refused);
	CHECK((r == 0 && !refused) == (g->der.len > 0));
	return r < 0 ? -1 : refused;
}

static int enroll(const char *token, const char *host, struct enroll_grant *g)
{
	struct buf csr = new_csr(NULL);
	int r = enroll_at(token, host, buf_slice(&csr), NOW, g);

	buf_release(&csr);
	return r;
}

static enum cert_status status_of(const struct enroll_grant *g, int64_t now_s)
{
	struct cert_identity id;

	REQUIRE(cert_lookup(db, g->fingerprint, now_s, &id, &err) == 0);
	return id.status;
}

static int64_t uses_left(const struct enroll_token *t)
{
	struct token_row row;

	REQUIRE(token_find(db, t->id, &row, &err) == 1);
	return row.uses_left;
}

static void says(const char *word)
{
	if (strstr(err.text, word) == NULL)
		CHECK_STR(err.text, word);
}

/* ---- enrolment ---- */

TEST(a_device_gets_name_certificate_and_row)
{
	struct enroll_token t;
	struct enroll_grant g;
	struct cert_identity id;
	struct x509 c;

	begin();
	CHECK_INT(enroll(new_token(&t), "Press 3.plant.example", &g), 0);
	CHECK_STR(g.device, "press-3");
	CHECK_INT(g.not_after_s, NOW + 90 * DAY);
	CHECK_INT(g.renew_at_s, NOW + 60 * DAY);
	CHECK(!g.again && g.revoked == 0);
	CHECK_STR(g.token_id, t.id);
	REQUIRE(x509_read(&c, buf_slice(&g.der), &err) == 0);
	CHECK(x509_chain_check(&c, &ca[CA_DEVICE].cert, X509_EKU_CLIENT, NOW, 0, &err) == 0);
	CHECK_STR(c.cn, "press-3");
	CHECK_INT(c.san_count, 1);
	CHECK(slice_equal_str(c.san[0].value, "urn:meshanics:main:device:press-3"));
	CHECK_INT(c.not_before_s, NOW - X509_BACKDATE_S);
	CHECK(cert_lookup(db, g.fingerprint, NOW, &id, &err) == 0);
	CHECK_INT(id.status, CERT_ACTIVE);
	CHECK_STR(id.device, "press-3");
	CHECK_INT(id.device_id, g.device_id);
	CHECK(cert_check(&id, CERT_USE_ANY, 0, NOW, &err) == 0);
	CHECK_INT(uses_left(&t), 0);
	enroll_grant_release(&g);
}

TEST(names_are_the_servers_decision)
{
	static const struct {
		const char *prefix, *host, *want;
	} cases[] = {
		{NULL, "press", "press"},	{NULL, "press", "press-2"},
		{NULL, "PRESS", "press-3"},	{NULL, "", "device-0001"},
		{NULL, "localhost", "device-0002"}, {NULL, "../../etc", "device-0003"},
		{NULL, "a\xff\x1b[2J", "a-2j"},	{NULL, "--x--", "x"},
		{"cell-7", "press", "cell-7-0001"}, {"cell-7", "", "cell-7-0002"},
		{"cell", "", "cell-0008"},
	};
	struct enroll_token t;
	struct enroll_grant g;
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		spec.name_prefix = slice_str(cases[i].prefix);
		if (i == ARRAY_SIZE(cases) - 1) {	/* numbers already used by hand count as well */
			int64_t ignored;

			CHECK(device_add(db, SLICE_LIT("cell-0007"), NOW, &ignored, &err) == 0);
			CHECK(device_add(db, SLICE_LIT("cell-x"), NOW, &ignored, &err) == 0);
		}
		CHECK_INT(enroll(new_token(&t), cases[i].host, &g), 0);
		CHECK_STR(g.device, cases[i].want);
		enroll_grant_release(&g);
	}
}

TEST(tags_of_the_token_become_the_devices)
{
	const struct slice tags[] = {SLICE_LIT("line-1"), SLICE_LIT("canary")};
	struct buf got = BUF_INIT(100);
	struct enroll_token t;
	struct enroll_grant g;

	begin();
	spec.tags = tags;
	spec.tag_count = 2;
	CHECK_INT(enroll(new_token(&t), "press", &g), 0);
	CHECK(device_tags(db, g.device_id, &got, &err) == 0);
	CHECK_STR(buf_cstr(&got), "canary,line-1");
	buf_release(&got);
	enroll_grant_release(&g);
}

TEST(a_lost_answer_is_given_again_without_a_use)
{
	struct seckey *k;
	struct enroll_token t;
	struct enroll_grant first, again, later;
	const char *token;
	struct buf csr;

	begin();
	token = new_token(&t);
	k = seckey_generate(KEY_ECDSA_P256, &err);
	csr = new_csr(k);
	CHECK_INT(enroll_at(token, "press", buf_slice(&csr), NOW, &first), 0);
	CHECK_INT(enroll_at(token, "press", buf_slice(&csr), NOW + 60, &again), 0);
	CHECK(again.again);
	CHECK(slice_equal(buf_slice(&first.der), buf_slice(&again.der)));
	CHECK_STR(again.device, "press");
	CHECK_INT(again.renew_at_s, first.renew_at_s);
	/* Not for another key, not when the token is over, not when the certificate was revoked. */
	CHECK_INT(enroll(token, "press", &later), 1);
	says("is used up (1 of 1)");
	enroll_grant_release(&later);
	CHECK_INT(enroll_at(token, "press", buf_slice(&csr), NOW + 2 * DAY, &later), 1);
	says("ended at");
	enroll_grant_release(&later);
	CHECK(device_revoke(db, SLICE_LIT("press"), "lost", NOW, &(unsigned){0}, &err) == 0);
	CHECK_INT(enroll_at(token, "press", buf_slice(&csr), NOW, &later), 1);
	says("is used up");
	enroll_grant_release(&later);
	enroll_grant_release(&first);
	enroll_grant_release(&again);
	buf_release(&csr);
	seckey_free(k);
}

TEST(used_expired_and_revoked_tokens_are_refused_and_recorded)
{
	struct enroll_token t;
	struct enroll_grant g;
	struct buf csr;
	const char *token;

	begin();
	spec.uses = 2;
	token = new_token(&t);
	CHECK_INT(enroll(token, "a", &g), 0);
	enroll_grant_release(&g);
	CHECK_INT(enroll(token, "b", &g), 0);
	enroll_grant_release(&g);
	CHECK_INT(enroll(token, "c", &g), 1);
	CHECK_INT(err.kind, ERR_REFUSED);
	says("is used up (2 of 2)");
	CHECK_STR(g.token_id, t.id);

	spec.uses = 1;
	token = new_token(&t);
	csr = new_csr(NULL);
	CHECK_INT(enroll_at(token, "c", buf_slice(&csr), NOW + ENROLL_TOKEN_LIFE_DEFAULT_S + 1, &g), 1);
	says("ended at 2026-05-29");
	CHECK_INT(enroll_at(token, "c", buf_slice(&csr), YEAR_2040, &g), 1);
	says("ended at");
	CHECK_INT(enroll_at(token, "c", buf_slice(&csr), 5, &g), 1);	/* 1970 */
	CHECK_INT(err.kind, ERR_RETRY);
	says("the server's clock says 1970-01-01T00:00:05Z");
	CHECK_INT(uses_left(&t), 1);
	CHECK(enroll_token_revoke(db, slice_str(t.id), NOW + 5, &err) == 0);
	CHECK(enroll_token_revoke(db, slice_str(t.id), NOW + 9, &err) == 0);
	CHECK_INT(enroll_at(token, "c", buf_slice(&csr), NOW + 10, &g), 1);
	says("was revoked at 2026-05-28T20:26:45Z");
	CHECK_INT(uses_left(&t), 1);
	CHECK(enroll_token_revoke(db, SLICE_LIT("0000000000000000"), NOW, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(enroll_token_revoke(db, SLICE_LIT("' OR 1=1 --"), NOW, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	buf_release(&csr);
}

static int enroll_changed(struct enroll_token t)
{
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);
	struct enroll_grant g;
	int r;

	enroll_token_put(&text, &t);
	r = enroll(buf_cstr(&text), "a", &g);
	enroll_grant_release(&g);
	buf_release(&text);
	return r;
}

TEST(foreign_and_forged_tokens_change_nothing)
{
	struct enroll_token t, changed;
	struct enroll_grant g;

	begin();
	new_token(&t);
	changed = t;
	snprintf(changed.site, sizeof(changed.site), "depot-7");
	CHECK_INT(enroll_changed(changed), -1);
	says("for site 'depot-7', this is site 'main'");
	changed = t;
	memcpy(changed.server_ca, ca[CA_DEVICE].fingerprint, 32);
	CHECK_INT(enroll_changed(changed), -1);
	says("under another server CA");
	changed = t;
	changed.secret[31] ^= 1;
	CHECK_INT(enroll_changed(changed), -1);
	says("the token is not known here");
	changed = t;
	snprintf(changed.id, sizeof(changed.id), "00000000ffffffff");
	CHECK_INT(enroll_changed(changed), -1);
	says("the token is not known here");
	CHECK_INT(enroll("mtk1nonsense", "a", &g), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	CHECK_INT(uses_left(&t), 1);
	CHECK_INT(enroll_changed(t), 0);
}

/* A request from the fuzzer's corpus, signed by openssl. */
static struct slice read_csr(const char *name)
{
	static uint8_t bytes[4096];
	char path[128];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "tests/fuzz/corpus/csr/%s", name);
	f = fopen(path, "rb");
	REQUIRE(f != NULL);
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	return slice_of(bytes, n);
}

TEST(a_bad_request_costs_the_use_and_leaves_no_device)
{
	static const struct {
		const char *file, *word;
	} cases[] = {
		{"good-san-of-another", "a name other than 'urn:meshanics:main:device:press'"},
		{"good-wants-ca", "asks for a CA certificate"},
		{"bad-signature-tampered", "not signed by the key it carries"},
		{"bad-signed-by-another-key", "not signed by the key it carries"},
		{"bad-secp256k1-key", "key"},
		{"bad-p384-key", "not ECDSA P-256"},
		{"bad-cut-short", "cut short"},
	};
	struct enroll_token t;
	struct enroll_grant g;
	struct device d;
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_INT(enroll_at(new_token(&t), "press", read_csr(cases[i].file), NOW, &g), 1);
		says(cases[i].word);
		CHECK_INT(error_exit_status(err.kind), 3);
		CHECK_INT(uses_left(&t), 0);
		CHECK(device_find(db, SLICE_LIT("press"), &d, &err) < 0);
		enroll_grant_release(&g);
	}
	/* The very name that will be assigned may be asked for; other attributes do no harm. */
	CHECK_INT(enroll_at(new_token(&t), "press", read_csr("good-san-uri"), NOW, &g), 0);
	enroll_grant_release(&g);
	CHECK_INT(enroll_at(new_token(&t), "", read_csr("good-challenge-password"), NOW, &g), 0);
	enroll_grant_release(&g);
}

TEST(a_use_is_kept_when_signing_fails)
{
	struct enroll_token t;
	struct enroll_grant g;
	struct device d;

	begin();
	new_token(&t);
	ca[CA_DEVICE].cert.not_after_s = NOW - 1;
	CHECK_INT(enroll_changed(t), 1);
	says("the device CA cannot issue: CA certificate ended");
	CHECK_INT(uses_left(&t), 0);
	CHECK(device_find(db, SLICE_LIT("a"), &d, &err) < 0);
	(void)g;
}

TEST(a_token_for_a_name_takes_it_and_revokes_the_former)
{
	struct enroll_token t;
	struct enroll_grant old, new;
	struct device d;
	struct cert_identity id;

	begin();
	CHECK_INT(enroll(new_token(&t), "press", &old), 0);
	spec.device = SLICE_LIT("press");
	CHECK_INT(enroll(new_token(&t), "other-host", &new), 0);
	CHECK_STR(new.device, "press");
	CHECK_INT(new.device_id, old.device_id);
	CHECK_INT(new.revoked, 1);
	CHECK_INT(status_of(&new, NOW), CERT_ACTIVE);
	CHECK(cert_lookup(db, old.fingerprint, NOW, &id, &err) == 0);
	CHECK_INT(id.status, CERT_REVOKED);
	CHECK(cert_check(&id, CERT_USE_RENEW, 30 * DAY, NOW, &err) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	says("is revoked: enrolled again with token");
	enroll_grant_release(&new);
	/* Also after the device was revoked as such, and for a name nobody has yet. */
	CHECK(device_revoke(db, SLICE_LIT("press"), "stolen", NOW, &(unsigned){0}, &err) == 0);
	CHECK_INT(enroll(new_token(&t), "x", &new), 0);
	CHECK_INT(status_of(&new, NOW), CERT_ACTIVE);
	CHECK(device_find(db, SLICE_LIT("press"), &d, &err) == 0);
	CHECK_INT(d.state, DEVICE_ENROLLED);
	enroll_grant_release(&new);
	spec.device = SLICE_LIT("brand-new");
	CHECK_INT(enroll(new_token(&t), "x", &new), 0);
	CHECK_STR(new.device, "brand-new");
	CHECK_INT(new.revoked, 0);
	enroll_grant_release(&new);
	enroll_grant_release(&old);
}

TEST(token_specs_are_checked)
{
	static const char *const bad_url[] = {"http://x"};
	const struct slice bad_tag[] = {SLICE_LIT("a,b")};
	struct enroll_token_spec good = spec, bad[] = {spec, spec, spec, spec, spec, spec, spec, spec, spec, spec, spec};
	static char long_note[TOKEN_NOTE_MAX + 2];
	struct enroll_token t;
	size_t i;

	begin();
	memset(long_note, 'n', sizeof(long_note) - 1);
	bad[0].life_s = 59;
	bad[1].life_s = 91 * DAY;
	bad[2].uses = ENROLL_TOKEN_USES_MAX + 1;
	bad[3].uses = -1;
	bad[4].device = SLICE_LIT("../x");
	bad[5].device = SLICE_LIT("a");
	bad[5].uses = 2;
	bad[6].name_prefix = SLICE_LIT("A");
	bad[7].urls = bad_url;
	bad[8].url_count = 0;
	bad[9].tags = bad_tag;
	bad[9].tag_count = 1;
	bad[10].note = slice_str(long_note);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(enroll_token_create(db, &server, &bad[i], "local:0", NOW, &t, &err) < 0);
		CHECK(err.kind == ERR_USAGE || err.kind == ERR_MALFORMED);
	}
	CHECK(enroll_token_create(db, &server, &good, "local:0", NOW, &t, &err) == 0);
}

/* ---- renewal ---- */

static int renew(const struct enroll_grant *g, int64_t now_s, struct enroll_grant *out)
{
	struct buf csr = new_csr(NULL);
	int r;

	enroll_grant_init(out);
	r = enroll_renew(db, &server, g->fingerprint, buf_slice(&csr), now_s, out, &err);
	buf_release(&csr);
	return r;
}

TEST(renewal_gives_a_new_certificate_and_ends_the_old_a_day_later)
{
	struct enroll_token t;
	struct enroll_grant old, new;
	int64_t at = NOW + 60 * DAY;

	begin();
	CHECK_INT(enroll(new_token(&t), "press", &old), 0);
	CHECK_INT(renew(&old, at, &new), 0);
	CHECK_STR(new.device, "press");
	CHECK_INT(new.not_after_s, at + 90 * DAY);
	CHECK_INT(status_of(&new, at), CERT_ACTIVE);
	CHECK_INT(status_of(&old, at), CERT_ACTIVE);
	CHECK_INT(status_of(&old, at + CERT_OVERLAP_S - 1), CERT_ACTIVE);
	CHECK_INT(status_of(&old, at + CERT_OVERLAP_S), CERT_SUPERSEDED);
	CHECK_INT(status_of(&new, at + CERT_OVERLAP_S), CERT_ACTIVE);
	enroll_grant_release(&new);
	CHECK(renew(&old, at + CERT_OVERLAP_S, &new) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	says("was replaced by a newer one");
	enroll_grant_release(&new);
	enroll_grant_release(&old);
}

/* The answer was lost, and the device comes back when its old certificate has long been superseded. */
TEST(a_lost_renewal_is_given_again_to_its_key_alone)
{
	struct enroll_grant old, new, again;
	struct buf csr, csr_of_another;
	struct enroll_token t;
	int64_t at = NOW + 60 * DAY, end;

	begin();
	csr = new_csr(NULL);
	csr_of_another = new_csr(NULL);
	CHECK_INT(enroll(new_token(&t), "press", &old), 0);
	enroll_grant_init(&new);
	CHECK_INT(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr), at, &new, &err), 0);
	CHECK(!new.again);

	/* At once, after the overlap, and when the old one has ended. */
	for (end = at + 1; end < new.not_after_s; end += 29 * DAY) {
		enroll_grant_init(&again);
		CHECK_INT(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr), end, &again, &err), 0);
		CHECK(again.again && slice_equal(buf_slice(&again.der), buf_slice(&new.der)));
		CHECK_INT(again.not_after_s, new.not_after_s);
		CHECK_INT(again.renew_at_s, new.renew_at_s);
		CHECK_STR(again.device, "press");
		enroll_grant_release(&again);
	}
	/* A thief of the old key has not got the new one. */
	enroll_grant_init(&again);
	CHECK(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr_of_another), at + 2 * DAY, &again, &err) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	says("was replaced by a newer one");
	CHECK_INT(again.der.len, 0);

	/* When the lost one has ended as well, another is issued for its key, within the grace. */
	end = new.not_after_s + 1;
	CHECK(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr), end + 30 * DAY, &again, &err) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	CHECK_INT(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr), end, &again, &err), 0);
	CHECK(!again.again && again.not_after_s > new.not_after_s);
	CHECK_INT(status_of(&again, end), CERT_ACTIVE);
	enroll_grant_release(&again);
	enroll_grant_release(&new);
	enroll_grant_release(&old);
	buf_release(&csr);
	buf_release(&csr_of_another);
}

TEST(a_lost_renewal_of_a_revoked_device_is_not_given_again)
{
	struct enroll_grant old, new;
	struct enroll_token t;
	struct buf csr;
	unsigned count;

	begin();
	csr = new_csr(NULL);
	CHECK_INT(enroll(new_token(&t), "press", &old), 0);
	enroll_grant_init(&new);
	CHECK_INT(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr), NOW, &new, &err), 0);
	enroll_grant_release(&new);
	CHECK(device_revoke(db, SLICE_LIT("press"), "stolen", NOW, &count, &err) == 0);
	CHECK(enroll_renew(db, &server, old.fingerprint, buf_slice(&csr), NOW + 2 * DAY, &new, &err) < 0);
	says("is revoked: stolen");
	enroll_grant_release(&old);
	buf_release(&csr);
}

TEST(expired_renews_within_the_grace_only)
{
	struct enroll_token t;
	struct enroll_grant old, new;
	struct cert_identity id;
	int64_t end;

	begin();
	CHECK_INT(enroll(new_token(&t), "press", &old), 0);
	end = old.not_after_s;
	CHECK(cert_lookup(db, old.fingerprint, end, &id, &err) == 0);
	CHECK_INT(id.status, CERT_ACTIVE);
	CHECK(cert_lookup(db, old.fingerprint, end + 1, &id, &err) == 0);
	CHECK_INT(id.status, CERT_EXPIRED);
	CHECK(cert_check(&id, CERT_USE_ANY, 30 * DAY, end + 1, &err) < 0);
	says("ended at");
	CHECK_STR(err.hint, "the device may still renew it for 30d after its end");
	CHECK(cert_check(&id, CERT_USE_RENEW, 30 * DAY, end + 1, &err) == 0);
	CHECK(renew(&old, end + 30 * DAY + 1, &new) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	CHECK_STR(err.hint, "enrol the device again: meshanics enroll token create --device press");
	CHECK(renew(&old, YEAR_2040, &new) < 0);
	CHECK_INT(renew(&old, end + 30 * DAY, &new), 0);
	CHECK_INT(status_of(&new, end + 30 * DAY), CERT_ACTIVE);
	enroll_grant_release(&new);
	enroll_grant_release(&old);
}

TEST(unknown_revoked_and_foreign_requests_do_not_renew)
{
	struct enroll_token t;
	struct enroll_grant old, new, nobody;
	unsigned count;

	begin();
	enroll_grant_init(&nobody);
	CHECK(renew(&nobody, NOW, &new) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	says("not known here");
	CHECK_INT(enroll(new_token(&t), "press", &old), 0);
	enroll_grant_init(&new);
	CHECK(enroll_renew(db, &server, old.fingerprint, read_csr("good-san-of-another"), NOW, &new, &err) < 0);
	says("a name other than");
	CHECK(enroll_renew(db, &server, old.fingerprint, read_csr("bad-signature-tampered"), NOW, &new, &err) < 0);
	CHECK(device_revoke(db, SLICE_LIT("press"), "stolen", NOW, &count, &err) == 0);
	CHECK_INT(count, 1);
	CHECK_INT(status_of(&old, NOW), CERT_REVOKED);
	CHECK_INT(status_of(&old, YEAR_2040), CERT_REVOKED);
	CHECK(renew(&old, NOW, &new) < 0);
	says("is revoked: stolen");
	CHECK(device_revoke(db, SLICE_LIT("press"), "again", NOW, &count, &err) == 0);
	CHECK_INT(count, 0);
	CHECK(device_revoke(db, SLICE_LIT("nobody"), "", NOW, &count, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	enroll_grant_release(&new);
	enroll_grant_release(&old);
}

TEST(renewal_in_a_loop_is_bounded)
{
	struct enroll_token t;
	struct enroll_grant g, next;
	int i, r = 0;

	begin();
	CHECK_INT(enroll(new_token(&t), "press", &g), 0);
	for (i = 0; i < 20 && r == 0; i++) {
		r = renew(&g, NOW + i, &next);
		if (r == 0) {
			enroll_grant_release(&g);
			g = next;
		}
	}
	CHECK_INT(i, ENROLL_CERTS_LIVE_MAX);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK_INT(renew(&g, NOW + 2 * DAY, &next), 0);
	enroll_grant_release(&next);
	enroll_grant_release(&g);
}

TEST(device_certificates_end_with_their_ca)
{
	struct enroll_token t;
	struct enroll_grant g;

	begin();
	ca[CA_DEVICE].cert.not_after_s = NOW + 10 * DAY;
	CHECK_INT(enroll(new_token(&t), "press", &g), 0);
	CHECK_INT(g.not_after_s, NOW + 10 * DAY);
	enroll_grant_release(&g);
}

TEST(server_identity_carries_its_names)
{
	const char *const names[] = {"fleet.example", "10.0.0.1", "::1"}, *const bad[] = {"fleet example"};
	struct server_identity id;
	struct x509 c;

	begin();
	REQUIRE(server_identity_make(&id, &ca[CA_SERVER], names, 3, NOW, &err) == 0);
	REQUIRE(x509_read(&c, buf_slice(&id.der), &err) == 0);
	CHECK(x509_chain_check(&c, &ca[CA_SERVER].cert, X509_EKU_SERVER, NOW, 0, &err) == 0);
	CHECK(x509_chain_check(&c, &ca[CA_SERVER].cert, X509_EKU_CLIENT, NOW, 0, &err) < 0);
	CHECK(x509_chain_check(&c, &ca[CA_DEVICE].cert, X509_EKU_SERVER, NOW, 0, &err) < 0);
	CHECK(x509_host_check(&c, "fleet.example", &err) == 0);
	CHECK(x509_host_check(&c, "10.0.0.1", &err) == 0);
	CHECK(x509_host_check(&c, "::1", &err) == 0);
	CHECK(pubkey_equal(&c.key, seckey_public(id.key)));
	CHECK_INT(id.not_after_s, NOW + SERVER_CERT_LIFE_S);
	CHECK_INT(id.renew_at_s, NOW + SERVER_CERT_LIFE_S / 2);
	server_identity_release(&id);
	CHECK(server_identity_make(&id, &ca[CA_SERVER], bad, 1, NOW, &err) < 0);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(server_identity_make(&id, &ca[CA_SERVER], names, 0, NOW, &err) < 0);
	CHECK(server_identity_make(&id, &ca[CA_SERVER], names, 3, 5, &err) < 0);
	says("the server CA cannot issue: CA certificate begins");
	CHECK(server_identity_make(&id, &ca[CA_SERVER], names, 3, YEAR_2040, &err) < 0);
	says("the server CA cannot issue: CA certificate ended");
}

/* ---- operators ---- */

static const char *new_operator(const char *name, enum role role, int64_t expires_s, struct operator_token *t)
{
	static char out[TOKEN_TEXT_MAX + 1];
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);

	if (operator_add(db, slice_str(name), role, expires_s, ca[CA_SERVER].fingerprint, "local:0", NOW, t, &err) < 0)
		CHECK_STR(err.text, "an operator");
	operator_token_put(&text, t);
	snprintf(out, sizeof(out), "%s", buf_cstr(&text));
	buf_release(&text);
	return out;
}

static int who(const char *token, int64_t now_s, struct operator *o)
{
	return operator_authenticate(db, slice_str(token), ca[CA_SERVER].fingerprint, now_s, o, &err);
}

TEST(an_operator_is_known_by_the_token_until_revoked)
{
	struct operator_token t, changed;
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);
	struct operator o;
	const char *token;

	begin();
	token = new_operator("alice", ROLE_APPROVER, NOW + DAY, &t);
	CHECK(who(token, NOW, &o) == 0);
	CHECK_STR(o.name, "alice");
	CHECK_INT(o.role, ROLE_APPROVER);
	CHECK(who(token, NOW + DAY, &o) == 0);
	CHECK(who(token, NOW + DAY + 1, &o) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	says("ended at");
	changed = t;
	changed.secret[0] ^= 1;
	operator_token_put(&text, &changed);
	CHECK(who(buf_cstr(&text), NOW, &o) < 0);
	says("not known here");
	changed = t;
	changed.server_ca[0] ^= 1;
	buf_clear(&text);
	operator_token_put(&text, &changed);
	CHECK(who(buf_cstr(&text), NOW, &o) < 0);
	says("made for another server");
	CHECK(who("mop1x", NOW, &o) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	CHECK(operator_add(db, SLICE_LIT("alice"), ROLE_ADMIN, 0, ca[CA_SERVER].fingerprint, "x", NOW, &changed, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(operator_revoke(db, SLICE_LIT("alice"), NOW, &err) == 0);
	CHECK(operator_revoke(db, SLICE_LIT("bob"), NOW, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(who(token, NOW, &o) < 0);
	says("was revoked at");
	/* The name may be taken again; the old token stays dead. */
	new_operator("alice", ROLE_VIEWER, 0, &changed);
	buf_clear(&text);
	operator_token_put(&text, &t);
	CHECK(who(buf_cstr(&text), NOW, &o) < 0);
	says("not known here");
	buf_release(&text);
}

TEST(permissions_are_a_table_and_a_refusal_names_them)
{
	unsigned n, roles, role;
	const char *name;

	CHECK(permission_check(ROLE_VIEWER, "device.read", &err) == 0);
	CHECK(permission_check(ROLE_VIEWER, "rollout.create", &err) < 0);
	CHECK_INT(err.kind, ERR_DENIED);
	CHECK_STR(err.text, "the role 'viewer' lacks the permission 'rollout.create'");
	CHECK_STR(err.hint, "it takes the role operator or admin");
	CHECK(permission_check(ROLE_OPERATOR, "rollout.create", &err) == 0);
	CHECK(permission_check(ROLE_OPERATOR, "rollout.approve", &err) < 0);
	CHECK(permission_check(ROLE_APPROVER, "rollout.approve", &err) == 0);
	CHECK(permission_check(ROLE_APPROVER, "rollout.create", &err) < 0);
	CHECK(permission_check(ROLE_OPERATOR, "operator.write", &err) < 0);
	CHECK(permission_check(ROLE_NONE, "device.read", &err) < 0);
	CHECK(permission_check(ROLE_ADMIN, "no.such", &err) < 0);
	for (n = 0; (name = permission_at(n, &roles)) != NULL; n++)
		for (role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
			CHECK_INT(permission_check((enum role)role, name, &err) == 0, (roles & 1u << role) != 0);
	CHECK(n > 10);
	CHECK_INT(role_by_name(SLICE_LIT("approver")), ROLE_APPROVER);
	CHECK_INT(role_by_name(SLICE_LIT("none")), ROLE_NONE);
	CHECK_INT(role_by_name(SLICE_LIT("root")), ROLE_NONE);
}

TEST(the_manual_lists_the_permissions_as_they_are)
{
	static char page[65536];
	char row[160], who[64];
	unsigned n, roles, role;
	const char *name;
	FILE *f = fopen("man/meshanics-operator.1", "r");

	REQUIRE(f != NULL);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	for (n = 0; (name = permission_at(n, &roles)) != NULL; n++) {
		who[0] = '\0';
		for (role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
			if (roles & 1u << role)
				snprintf(who + strlen(who), sizeof(who) - strlen(who), " %s", role_name((enum role)role));
		snprintf(row, sizeof(row), "\n.It Cm %s Ta%s\n", name, who);
		if (strstr(page, row) == NULL)
			CHECK_STR(row, "a row of the manual");
	}
}

/* ---- by media ---- */

/* A request as a device writes it; present: to renew this grant's certificate with that key. */
static struct enrolment_request media_request(const char *host, const struct seckey *k, const struct seckey *present,
					      const struct enroll_grant *former)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT, read = ENROLMENT_REQUEST_INIT;
	struct buf text = BUF_INIT(ENROLMENT_REQUEST_MAX);

	q.renew = present != NULL;
	q.created_s = NOW;
	snprintf(q.file, sizeof(q.file), "x");
	snprintf(q.hostname, sizeof(q.hostname), "%s", host);
	snprintf(q.site, sizeof(q.site), "%s", server.site);
	snprintf(q.device, sizeof(q.device), "%s", host);
	if (q.renew) {
		q.root_version = 1;
		memcpy(q.certificate, former->fingerprint, SHA256_LEN);
	}
	enrolment_nonce(&q);
	REQUIRE(enrolment_request_put(&text, &q, k, present, &err) == 0);
	REQUIRE(enrolment_request_parse(&read, buf_slice(&text), &err) == 0);
	enrolment_request_release(&q);
	buf_release(&text);
	return read;
}

static int sign_at(const struct enrolment_request *q, struct enroll_terms terms, int64_t now_s, struct enroll_grant *g)
{
	int r;

	err = ERROR_INIT;
	enroll_grant_init(g);
	REQUIRE(db_savepoint(db, &err) == 0);
	r = enroll_sign(db, &server, q, &terms, now_s, g, &err);
	if (r < 0)
		db_savepoint_undo(db);
	else
		REQUIRE(db_savepoint_keep(db, &err) == 0);
	CHECK((r == 0) == (g->der.len > 0));
	return r;
}

#define NO_TERMS ((struct enroll_terms){.tag_count = 0})

TEST(a_request_on_a_stick_gets_one_certificate_however_often)
{
	struct enroll_grant first, again, other;
	struct enrolment_request q, r;
	struct enroll_plan plan;
	struct seckey *k;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	q = media_request("Press 3", k, NULL, NULL);
	CHECK_INT(enroll_plan(db, &server, &q, &NO_TERMS, NOW, &plan, &err), 0);
	CHECK_STR(plan.device, "press-3");
	CHECK(!plan.known && !plan.again);
	CHECK_INT(sign_at(&q, NO_TERMS, NOW, &first), 0);
	CHECK_STR(first.device, "press-3");
	CHECK_STR(first.token_id, "");
	CHECK(!first.again);
	CHECK_INT(sign_at(&q, NO_TERMS, NOW + DAY, &again), 0);
	CHECK(again.again && slice_equal(buf_slice(&first.der), buf_slice(&again.der)));
	enroll_grant_release(&again);
	r = media_request("another", k, NULL, NULL);	/* the same key asks anew */
	CHECK_INT(enroll_plan(db, &server, &r, &NO_TERMS, NOW, &plan, &err), 0);
	CHECK(plan.known && plan.again);
	CHECK_INT(sign_at(&r, NO_TERMS, NOW, &again), 0);
	CHECK_STR(again.device, "press-3");
	enroll_grant_release(&again);
	CHECK_INT(sign_at(&r, (struct enroll_terms){.device = SLICE_LIT("press-9")}, NOW, &other), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	says("not 'press-9'");
	CHECK_INT(sign_at(&q, NO_TERMS, NOW + 91 * DAY, &other), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	says("which is expired");
	CHECK(device_revoke(db, SLICE_LIT("press-3"), "lost", NOW, &(unsigned){0}, &err) == 0);
	CHECK_INT(sign_at(&q, NO_TERMS, NOW, &other), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	says("which is revoked");
	enroll_grant_release(&first);
	enrolment_request_release(&q);
	enrolment_request_release(&r);
	seckey_free(k);
}

TEST(the_operator_gives_name_and_tags_to_a_request)
{
	const struct slice tags[] = {SLICE_LIT("line-1"), SLICE_LIT("canary")};
	struct enroll_grant first, second;
	struct seckey *a, *b;
	struct enrolment_request q, r;
	struct buf got = BUF_INIT(100);
	struct enroll_plan plan;

	begin();
	a = seckey_generate(KEY_ECDSA_P256, &err);
	b = seckey_generate(KEY_ECDSA_P256, &err);
	q = media_request("x", a, NULL, NULL);
	r = media_request("y", b, NULL, NULL);
	CHECK_INT(sign_at(&q, (struct enroll_terms){.name_prefix = SLICE_LIT("cell"), .tags = tags, .tag_count = 2}, NOW, &first), 0);
	CHECK_STR(first.device, "cell-0001");
	CHECK(device_tags(db, first.device_id, &got, &err) == 0);
	CHECK_STR(buf_cstr(&got), "canary,line-1");
	CHECK_INT(enroll_plan(db, &server, &r, &(struct enroll_terms){.device = SLICE_LIT("cell-0001")}, NOW, &plan, &err), 0);
	CHECK(plan.known && !plan.again);
	CHECK_INT(plan.revokes, 1);
	CHECK_INT(status_of(&first, NOW), CERT_ACTIVE);
	CHECK_INT(sign_at(&r, (struct enroll_terms){.device = SLICE_LIT("cell-0001")}, NOW, &second), 0);
	CHECK_STR(second.device, "cell-0001");
	CHECK_INT(second.revoked, 1);
	CHECK_INT(status_of(&first, NOW), CERT_REVOKED);
	enroll_grant_release(&first);
	enroll_grant_release(&second);
	CHECK_INT(sign_at(&r, (struct enroll_terms){.device = SLICE_LIT("a"), .name_prefix = SLICE_LIT("b")}, NOW, &first), -1);
	says("not both");
	CHECK_INT(sign_at(&r, (struct enroll_terms){.device = SLICE_LIT("../a")}, NOW, &first), -1);
	CHECK_INT(sign_at(&r, (struct enroll_terms){.tags = &(struct slice){(const uint8_t *)"a,b", 3}, .tag_count = 1}, NOW, &first),
		  -1);
	says("tag");
	enrolment_request_release(&q);
	enrolment_request_release(&r);
	buf_release(&got);
	seckey_free(a);
	seckey_free(b);
}

TEST(a_renewal_by_media_is_judged_as_any_other)
{
	struct enroll_grant first, next, again, other;
	struct seckey *k, *k2, *stranger;
	struct enrolment_request q, renewal, forged;
	struct enroll_plan plan;

	begin();
	k = seckey_generate(KEY_ECDSA_P256, &err);
	k2 = seckey_generate(KEY_ECDSA_P256, &err);
	stranger = seckey_generate(KEY_ECDSA_P256, &err);
	q = media_request("press", k, NULL, NULL);
	CHECK_INT(sign_at(&q, NO_TERMS, NOW, &first), 0);
	forged = media_request("press", k2, stranger, &first);
	CHECK_INT(sign_at(&forged, NO_TERMS, NOW, &other), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	says("not by the device");
	CHECK_INT(enroll_plan(db, &server, &forged, &NO_TERMS, NOW, &plan, &err), -1);
	enrolment_request_release(&forged);

	renewal = media_request("press", k2, k, &first);
	CHECK_INT(enroll_plan(db, &server, &renewal, &NO_TERMS, NOW, &plan, &err), 0);
	CHECK(plan.known && !plan.again);
	CHECK_INT(sign_at(&renewal, (struct enroll_terms){.device = SLICE_LIT("x")}, NOW, &other), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK_INT(sign_at(&renewal, NO_TERMS, NOW + 121 * DAY, &other), -1);	/* over, and the grace as well */
	CHECK_INT(err.kind, ERR_DENIED);
	says("ended at");
	CHECK_INT(sign_at(&renewal, NO_TERMS, NOW + 119 * DAY, &next), 0);	/* over, within the grace */
	CHECK_STR(next.device, "press");
	CHECK_INT(sign_at(&renewal, NO_TERMS, NOW + 119 * DAY, &again), 0);
	CHECK(again.again && slice_equal(buf_slice(&next.der), buf_slice(&again.der)));
	enroll_grant_release(&again);
	CHECK_INT(sign_at(&q, NO_TERMS, NOW + 119 * DAY, &other), -1);	/* the request that began it all is of no use now */

	memset(renewal.certificate, 0, SHA256_LEN);
	CHECK_INT(sign_at(&renewal, NO_TERMS, NOW, &other), -1);
	CHECK_INT(err.kind, ERR_DENIED);
	says("not known here");
	memcpy(renewal.certificate, first.fingerprint, SHA256_LEN);
	snprintf(renewal.site, sizeof(renewal.site), "depot");
	CHECK_INT(sign_at(&renewal, NO_TERMS, NOW, &other), -1);
	says("for site 'depot'");
	snprintf(renewal.site, sizeof(renewal.site), "main");
	CHECK(device_revoke(db, SLICE_LIT("press"), "lost", NOW, &(unsigned){0}, &err) == 0);
	CHECK_INT(sign_at(&renewal, NO_TERMS, NOW + 119 * DAY, &other), -1);
	CHECK_INT(err.kind, ERR_DENIED);
	says("revoked");
	enroll_grant_release(&first);
	enroll_grant_release(&next);
	enrolment_request_release(&q);
	enrolment_request_release(&renewal);
	seckey_free(k);
	seckey_free(k2);
	seckey_free(stranger);
}
