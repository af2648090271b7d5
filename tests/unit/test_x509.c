/* Certificates and requests: what is written is read, by us and by openssl; what is odd is refused by name. */
#include "tap.h"

#include "corpus.h"
#include "crypto/der.h"
#include "crypto/der_write.h"
#include "crypto/pem.h"
#include "crypto/x509.h"

#define NOW INT64_C(1780000000)	/* 2026-05-28 */
#define DAY INT64_C(86400)

static struct seckey *new_key(void)
{
	struct error err = ERROR_INIT;
	struct seckey *k;

	REQUIRE(crypto_start(&err) == 0);
	k = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(k != NULL);
	return k;
}

/* A certificate with its bytes and key. */
struct party {
	struct buf der;
	struct x509 c;
	struct seckey *key;
};

static void party_release(struct party *p)
{
	buf_release(&p->der);
	seckey_free(p->key);
}

static struct party make_ca(const char *cn)
{
	struct party p = {.der = BUF_INIT(X509_SIZE_MAX), .key = new_key()};
	struct error err = ERROR_INIT;

	REQUIRE(x509_issue(&p.der, &(struct x509_spec){.org = "main", .cn = cn, .key = seckey_public(p.key),
			   .not_before_s = NOW - DAY, .not_after_s = NOW + 3650 * DAY, .is_ca = true},
			   NULL, p.key, &err) == 0);
	REQUIRE(x509_read(&p.c, buf_slice(&p.der), &err) == 0);
	return p;
}

static struct party make_leaf(const struct party *ca, unsigned eku, const struct x509_san *san, size_t n)
{
	struct party p = {.der = BUF_INIT(X509_SIZE_MAX), .key = new_key()};
	struct error err = ERROR_INIT;

	REQUIRE(x509_issue(&p.der, &(struct x509_spec){.org = "main", .cn = "press-3", .key = seckey_public(p.key),
			   .not_before_s = NOW, .not_after_s = NOW + 90 * DAY, .eku = eku, .san = san, .san_count = n},
			   &ca->c, ca->key, &err) == 0);
	REQUIRE(x509_read(&p.c, buf_slice(&p.der), &err) == 0);
	return p;
}

static const struct x509_san device_name[] = {
	{X509_SAN_URI, {(const uint8_t *)"urn:meshanics:main:device:press-3", 33}}};

TEST(der_writer_writes_shortest_forms)
{
	static const uint8_t want[] = {0x30, 0x1f, 0x02, 0x01, 0x00, 0x02, 0x01, 0x7f, 0x02, 0x02, 0x00, 0x80,
				       0x02, 0x02, 0x01, 0x00, 0x17, 0x0d, '7', '0', '0', '1', '0', '1', '0', '0',
				       '0', '0', '0', '0', 'Z', 0x05, 0x00};
	struct der_writer w;
	size_t end;

	der_writer_init(&w);
	end = der_mark(&w);
	der_put(&w, DER_NULL, SLICE_EMPTY);
	der_put_time(&w, -5);
	der_put_u32(&w, 256);
	der_put_u32(&w, 128);
	der_put_u32(&w, 127);
	der_put_uint(&w, SLICE_LIT("\0\0\0"));
	der_wrap(&w, DER_SEQUENCE, end);
	CHECK(slice_equal(der_written(&w), slice_of(want, sizeof(want))));
}

TEST(der_writer_reads_back_at_every_length_boundary)
{
	static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 4000, 8187, 8188};
	static uint8_t zeros[DER_WRITE_MAX];
	struct error err = ERROR_INIT;
	struct der_writer w;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct slice got;
		struct der d;

		der_writer_init(&w);
		der_put(&w, DER_OCTET_STRING, slice_of(zeros, lengths[i]));
		d = der_of(der_written(&w));
		CHECK(der_get(&d, DER_OCTET_STRING, &got, "zeros", &err) == 0);
		CHECK_INT(got.len, lengths[i]);
	}
	der_writer_init(&w);
	der_put(&w, DER_OCTET_STRING, slice_of(zeros, 8189));
	CHECK(w.failed);
	CHECK_INT(der_written(&w).len, 0);
}

TEST(der_times_change_form_in_2050)
{
	static const int64_t times[] = {0, INT64_C(2524607999), INT64_C(2524608000), INT64_C(253402300799)};
	struct error err = ERROR_INIT;
	struct der_writer w;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t got;
		struct der d;

		der_writer_init(&w);
		der_put_time(&w, times[i]);
		d = der_of(der_written(&w));
		CHECK_INT(der_peek(&d), i < 2 ? DER_UTC_TIME : DER_GENERALIZED_TIME);
		CHECK(der_time(&d, &got, "time", &err) == 0);
		CHECK_INT(got, times[i]);
	}
}

TEST(x509_reads_back_a_ca)
{
	struct party ca = make_ca("device CA");
	struct error err = ERROR_INIT;

	CHECK(ca.c.is_ca && ca.c.path_len == 0);
	CHECK_INT(ca.c.key_usage, X509_KU_CERT_SIGN | X509_KU_CRL_SIGN);
	CHECK(!ca.c.has_eku && ca.c.san_count == 0);
	CHECK_STR(ca.c.cn, "device CA");
	CHECK(slice_equal(ca.c.issuer, ca.c.subject) && slice_equal(ca.c.ski, ca.c.aki));
	CHECK_INT(ca.c.ski.len, 20);
	CHECK_INT(ca.c.serial.len, 16);
	CHECK_INT(ca.c.not_before_s, NOW - DAY);
	CHECK_INT(ca.c.not_after_s, NOW + 3650 * DAY);
	CHECK(x509_ca_check(&ca.c, NOW, &err) == 0);
	party_release(&ca);
}

TEST(x509_reads_back_a_leaf)
{
	struct party ca = make_ca("device CA"), leaf = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1);
	struct error err = ERROR_INIT;

	CHECK(!leaf.c.is_ca && leaf.c.path_len == -1);
	CHECK_INT(leaf.c.key_usage, X509_KU_DIGITAL_SIGNATURE);
	CHECK_INT(leaf.c.eku, X509_EKU_CLIENT);
	CHECK_INT(leaf.c.san_count, 1);
	CHECK(slice_equal(leaf.c.san[0].value, device_name[0].value));
	CHECK(slice_equal(leaf.c.aki, ca.c.ski) && !slice_equal(leaf.c.ski, ca.c.ski));
	CHECK(pubkey_equal(&leaf.c.key, seckey_public(leaf.key)));
	CHECK(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, NOW, 0, &err) == 0);
	party_release(&leaf);
	party_release(&ca);
}

TEST(serial_numbers_differ)
{
	struct party ca = make_ca("device CA"), a = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1),
		     b = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1);

	CHECK(!slice_equal(a.c.serial, b.c.serial));
	party_release(&a);
	party_release(&b);
	party_release(&ca);
}

static void refused(int r, const struct error *err, const char *word)
{
	CHECK_INT(r, -1);
	CHECK_INT(err->kind, ERR_REFUSED);
	if (strstr(err->text, word) == NULL)
		CHECK_STR(err->text, word);
}

TEST(chain_check_refuses_what_does_not_hold)
{
	struct party ca = make_ca("device CA"), other = make_ca("device CA"), named = make_ca("server CA"),
		     leaf = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1),
		     plain = make_leaf(&ca, 0, device_name, 1);
	struct x509 forged = leaf.c;
	struct error err = ERROR_INIT;

	refused(x509_chain_check(&leaf.c, &ca.c, X509_EKU_SERVER, NOW, 0, &err), &err, "not meant for a server");
	refused(x509_chain_check(&plain.c, &ca.c, X509_EKU_CLIENT, NOW, 0, &err), &err, "not meant for a client");
	refused(x509_chain_check(&leaf.c, &other.c, X509_EKU_CLIENT, NOW, 0, &err), &err, "by another CA");
	refused(x509_chain_check(&leaf.c, &named.c, X509_EKU_CLIENT, NOW, 0, &err), &err, "by another CA");
	forged.aki = SLICE_EMPTY;	/* then only the signature tells the two CAs of one name apart */
	refused(x509_chain_check(&forged, &other.c, X509_EKU_CLIENT, NOW, 0, &err), &err, "not signed by CA");
	refused(x509_chain_check(&ca.c, &ca.c, X509_EKU_CLIENT, NOW, 0, &err), &err, "is a CA");
	refused(x509_chain_check(&leaf.c, &leaf.c, X509_EKU_CLIENT, NOW, 0, &err), &err, "is no CA");
	refused(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, 0, 0, &err), &err, "begins at");
	CHECK_STR(err.hint, "set the clock of this machine");
	refused(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, NOW - 1, 0, &err), &err, "the certificate begins");
	refused(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, INT64_C(2208988800), 0, &err), &err,
		"ended at");	/* 2040 */
	party_release(&plain);
	party_release(&leaf);
	party_release(&named);
	party_release(&other);
	party_release(&ca);
}

TEST(expiry_is_to_the_second_and_grace_is_for_the_leaf)
{
	struct party ca = make_ca("device CA"), leaf = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1);
	int64_t end = leaf.c.not_after_s;
	struct error err = ERROR_INIT;

	CHECK(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, end, 0, &err) == 0);
	CHECK(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, end + 1, 0, &err) < 0);
	CHECK(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, end + DAY, DAY, &err) == 0);
	CHECK(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, end + DAY + 1, DAY, &err) < 0);
	refused(x509_chain_check(&leaf.c, &ca.c, X509_EKU_CLIENT, ca.c.not_after_s + 1, 9999 * DAY, &err), &err,
		"CA certificate ended");
	party_release(&leaf);
	party_release(&ca);
}

TEST(every_byte_of_a_certificate_counts)
{
	struct party ca = make_ca("device CA"), leaf = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < leaf.der.len; i++) {
		struct x509 c;

		leaf.der.ptr[i] ^= 0x01;
		if (x509_read(&c, buf_slice(&leaf.der), &err) == 0 &&
		    x509_chain_check(&c, &ca.c, X509_EKU_CLIENT, NOW, 0, &err) == 0) {
			printf("# byte %zu\n", i);
			CHECK(false);
		}
		leaf.der.ptr[i] ^= 0x01;
	}
	party_release(&leaf);
	party_release(&ca);
}

TEST(hosts_are_matched_by_kind)
{
	static const char *const good[] = {"a.example", "A.EXAMPLE", "127.0.0.1", "::1", "0:0::0:1"};
	static const char *const bad[] = {"b.example", "x.a.example", "a.example.", "127.0.0.2", "::2", "10.0.0.1",
					  "", "*.example", "a.example:443", "[::1]", "1.2.3", "-a.example", "press-3",
					  "w.example"};
	struct x509_san san[5] = {{X509_SAN_DNS, SLICE_LIT("a.example")}, {X509_SAN_DNS, SLICE_LIT("10.0.0.1")},
				  {X509_SAN_IP, SLICE_LIT("\x7f\0\0\1")},
				  {X509_SAN_IP, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1")},
				  {X509_SAN_DNS, SLICE_LIT("*.example")}};
	struct party ca = make_ca("server CA"), leaf = make_leaf(&ca, X509_EKU_SERVER, san, 5);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (x509_host_check(&leaf.c, good[i], &err) < 0)
			CHECK_STR(good[i], err.text);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (x509_host_check(&leaf.c, bad[i], &err) == 0)
			CHECK_STR(bad[i], "accepted");
	(void)!x509_host_check(&leaf.c, "b.example", &err);
	CHECK_STR(err.text, "the server's certificate is not for 'b.example' but for a.example, 10.0.0.1, 127.0.0.1, "
			    "::1, *.example");
	party_release(&leaf);
	party_release(&ca);
}

TEST(too_many_or_too_long_names_are_refused_when_issuing)
{
	static char longest[254];
	struct x509_san san[X509_SANS_MAX + 1];
	struct party ca = make_ca("server CA");
	struct buf out = BUF_INIT(X509_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct x509_spec spec = {.cn = "x", .key = seckey_public(ca.key), .not_after_s = NOW, .san = san,
				 .san_count = X509_SANS_MAX + 1};
	size_t i;

	memset(longest, 'a', 253);
	for (i = 0; i <= X509_SANS_MAX; i++)
		san[i] = (struct x509_san){X509_SAN_DNS, slice_str(longest)};
	CHECK(x509_issue(&out, &spec, &ca.c, ca.key, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_clear(&out);
	spec.san_count = 16;
	CHECK(x509_issue(&out, &spec, &ca.c, ca.key, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&out);
	party_release(&ca);
}

TEST(csr_reads_back_and_proves_possession)
{
	struct seckey *k = new_key();
	struct buf der = BUF_INIT(X509_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct csr r;
	size_t i;

	CHECK(csr_issue(&der, "press-3", k, &err) == 0);
	CHECK(csr_read(&r, buf_slice(&der), &err) == 0);
	CHECK_STR(r.cn, "press-3");
	CHECK_INT(r.san_count, 0);
	CHECK(!r.wants_ca && pubkey_equal(&r.key, seckey_public(k)));
	for (i = 0; i < der.len; i++) {
		der.ptr[i] ^= 0x10;
		CHECK(csr_read(&r, buf_slice(&der), &err) < 0);
		der.ptr[i] ^= 0x10;
	}
	buf_release(&der);
	seckey_free(k);
}

/* ---- files named after what they are ---- */

/* What a refusal has to say, by name of the file; those not named here only have to be refused. */
static const struct {
	const char *name, *word;
} words[] = {
	{"bad-p384-key", "not ECDSA P-256"},
	{"bad-rsa-key", "not ECDSA P-256"},
	{"bad-signature-sha512", "not ecdsa-with-SHA256"},
	{"bad-signature-algorithms-differ", "not ecdsa-with-SHA256"},
	{"bad-version-1", "version"},
	{"bad-serial-negative", "serial number is not positive"},
	{"bad-serial-zero", "serial number is not positive"},
	{"bad-serial-21-bytes", "serial number is not positive"},
	{"bad-validity-reversed", "ends before it begins"},
	{"bad-time-generalized-before-2050", "RFC 5280 4.1.2.5"},
	{"bad-extension-unknown-critical", "unknown extension is marked critical"},
	{"bad-extension-name-constraints", "unknown extension is marked critical"},
	{"bad-extension-twice", "occur twice"},
	{"bad-extension-default-spelled", "default value"},
	{"bad-basic-constraints-path-without-ca", "no CA"},
	{"bad-key-usage-empty", "key usage"},
	{"bad-san-email", "tag 0x81"},
	{"bad-san-dns-with-nul", "printable ASCII"},
	{"bad-san-ip-5-bytes", "5 bytes"},
	{"bad-san-33-names", "more than 32"},
	{"bad-cn-with-nul", "common name"},
	{"bad-cn-twice", "more than one common name"},
	{"bad-cn-65-bytes", "65 bytes"},
	{"bad-unique-identifier", "certificate body"},
	{"bad-trailing-byte", "1 stray bytes"},
	{"bad-larger-than-4096", "more than 4096"},
	{"bad-signature-tampered", "not signed by the key it carries"},
	{"bad-subject-tampered", "not signed by the key it carries"},
	{"bad-signed-by-another-key", "not signed by the key it carries"},
	{"bad-extensions-twice", "twice"},
	{"bad-attributes-missing", "attributes"},
};

static void judge(const char *name, int r, const struct error *err)
{
	size_t i;

	if ((r == 0) != (strncmp(name, "good-", 5) == 0))
		CHECK_STR(name, r == 0 ? "accepted" : err->text);
	if (r < 0 && error_exit_status(err->kind) != 3)
		CHECK_STR(name, err->text);
	for (i = 0; r < 0 && i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, name) == 0 && strstr(err->text, words[i].word) == NULL)
			CHECK_STR(err->text, words[i].word);
}

static void visit_certificate(const char *name, struct slice content)
{
	struct error err = ERROR_INIT;
	struct x509 c;

	judge(name, x509_read(&c, content, &err), &err);
}

static void visit_csr(const char *name, struct slice content)
{
	struct error err = ERROR_INIT;
	struct csr r;

	judge(name, csr_read(&r, content, &err), &err);
}

TEST(certificates_named_good_are_read_and_bad_ones_refused)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	CHECK(corpus_each("tests/fuzz/corpus/certificate", visit_certificate) > 60);
}

TEST(requests_named_good_are_read_and_bad_ones_refused)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	CHECK(corpus_each("tests/fuzz/corpus/csr", visit_csr) > 20);
}

/* ---- openssl as the second opinion ---- */

static char dir[] = "/tmp/test_x509.XXXXXX";

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static void put_file(const char *name, const char *label, const struct buf *der)
{
	struct buf pem = BUF_INIT(X509_PEM_MAX);
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	pem_put(&pem, label, buf_slice(der));
	f = fopen(path, "wb");
	REQUIRE(f != NULL);
	fwrite(pem.ptr, 1, pem.len, f);
	fclose(f);
	buf_release(&pem);
}

static void openssl(const char *args)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "cd %s && openssl %s >out 2>&1 || { sed 's/^/# /' out; false; }", dir, args);
	if (system(cmd) != 0)
		CHECK_STR(args, "success");
}

TEST(openssl_agrees_under_its_strictest_rules)
{
	struct party ca, leaf, server;
	struct x509_san hosts[2] = {{X509_SAN_DNS, SLICE_LIT("a.example")}, {X509_SAN_IP, SLICE_LIT("\x7f\0\0\1")}};
	struct buf csr = BUF_INIT(X509_SIZE_MAX);
	struct error err = ERROR_INIT;

	if (system("openssl version >/dev/null 2>&1") != 0)
		SKIP("openssl is not installed");
	ca = make_ca("device CA");
	leaf = make_leaf(&ca, X509_EKU_CLIENT, device_name, 1);
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	server = make_leaf(&ca, X509_EKU_SERVER, hosts, 2);
	REQUIRE(csr_issue(&csr, "press-3", leaf.key, &err) == 0);
	put_file("ca.pem", X509_PEM_LABEL, &ca.der);
	put_file("leaf.pem", X509_PEM_LABEL, &leaf.der);
	put_file("server.pem", X509_PEM_LABEL, &server.der);
	put_file("csr.pem", CSR_PEM_LABEL, &csr);
	openssl("verify -attime 1780000001 -x509_strict -purpose sslclient -CAfile ca.pem leaf.pem");
	openssl("verify -attime 1780000001 -x509_strict -purpose sslserver -verify_hostname a.example -CAfile ca.pem "
		"server.pem");
	openssl("verify -attime 1780000001 -x509_strict -purpose sslserver -verify_ip 127.0.0.1 -CAfile ca.pem "
		"server.pem");
	openssl("verify -attime 1780000001 -x509_strict -check_ss_sig -CAfile ca.pem ca.pem");
	openssl("req -in csr.pem -verify -noout");
	openssl("x509 -in leaf.pem -noout -text");
	buf_release(&csr);
	party_release(&server);
	party_release(&leaf);
	party_release(&ca);
}
