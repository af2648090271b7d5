/* Issuing: certificates and requests of our own profile, put together back to front. */
#include <assert.h>

#include "crypto/der_write.h"
#include "crypto/x509_parts.h"
#include "sys/rng.h"

#define SERIAL_LEN 16
#define KEY_ID_LEN 20

/* AlgorithmIdentifier ecdsa-with-SHA256. */
static void put_algorithm(struct der_writer *w)
{
	size_t end = der_mark(w);

	der_put(w, DER_OID, OID_ECDSA_SHA256);
	der_wrap(w, DER_SEQUENCE, end);
}

/* One RelativeDistinguishedName of one attribute, as UTF8String. */
static void put_rdn(struct der_writer *w, struct slice oid, const char *text)
{
	size_t end = der_mark(w);

	assert(text[0] != '\0' && strlen(text) <= X509_CN_MAX);
	der_put(w, DER_UTF8_STRING, slice_str(text));
	der_put(w, DER_OID, oid);
	der_wrap(w, DER_SEQUENCE, end);
	der_wrap(w, DER_SET, end);
}

static void put_name(struct der_writer *w, const char *org, const char *cn)
{
	size_t end = der_mark(w);

	put_rdn(w, OID_COMMON_NAME, cn);
	if (org != NULL)
		put_rdn(w, OID_ORGANIZATION, org);
	der_wrap(w, DER_SEQUENCE, end);
}

static void put_key(struct der_writer *w, const struct pubkey *key)
{
	struct buf spki = BUF_INIT(PUBKEY_LEN_MAX + 64);

	pubkey_put_spki(&spki, key);
	der_put_raw(w, buf_slice(&spki));
	w->failed = w->failed || spki.failed;
	buf_release(&spki);
}

/* RFC 7093 section 2, method 1: the leftmost 160 bits of the SHA-256 of the public point. */
static void key_identifier(uint8_t out[static KEY_ID_LEN], const struct pubkey *key)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(slice_of(key->data, key->len), hash);
	memcpy(out, hash, KEY_ID_LEN);
}

/* Put oid, criticality and the octet string around the value written since `end`. */
static void wrap_extension(struct der_writer *w, struct slice oid, bool critical, size_t end)
{
	der_wrap(w, DER_OCTET_STRING, end);
	if (critical)
		der_put_true(w);
	der_put(w, DER_OID, oid);
	der_wrap(w, DER_SEQUENCE, end);
}

static void put_alt_names(struct der_writer *w, const struct x509_spec *spec)
{
	static const uint8_t tags[] = {
		[X509_SAN_DNS] = TAG_SAN_DNS, [X509_SAN_IP] = TAG_SAN_IP, [X509_SAN_URI] = TAG_SAN_URI};
	size_t end = der_mark(w), i;

	if (spec->san_count == 0)
		return;
	for (i = spec->san_count; i-- > 0;)
		der_put(w, tags[spec->san[i].type], spec->san[i].value);
	der_wrap(w, DER_SEQUENCE, end);
	wrap_extension(w, OID_SUBJECT_ALT_NAME, false, end);
}

static void put_key_identifiers(struct der_writer *w, const struct pubkey *key, struct slice authority)
{
	uint8_t own[KEY_ID_LEN];
	size_t end = der_mark(w);

	key_identifier(own, key);
	der_put(w, DER_CONTEXT(0), authority.len > 0 ? authority : slice_of(own, sizeof(own)));
	der_wrap(w, DER_SEQUENCE, end);
	wrap_extension(w, OID_AUTHORITY_KEY_ID, false, end);
	end = der_mark(w);
	der_put(w, DER_OCTET_STRING, slice_of(own, sizeof(own)));
	wrap_extension(w, OID_SUBJECT_KEY_ID, false, end);
}

/* Not critical: BearSSL refuses a certificate whose extended key usage is (its error 57). */
static void put_ext_key_usage(struct der_writer *w, unsigned eku)
{
	size_t end = der_mark(w);

	if (eku == 0)
		return;
	if (eku & X509_EKU_CLIENT)
		der_put(w, DER_OID, OID_CLIENT_AUTH);
	if (eku & X509_EKU_SERVER)
		der_put(w, DER_OID, OID_SERVER_AUTH);
	der_wrap(w, DER_SEQUENCE, end);
	wrap_extension(w, OID_EXT_KEY_USAGE, false, end);
}

/* BasicConstraints and KeyUsage: what RFC 5280 wants critical. A CA of ours signs leaves only (path length 0). */
static void put_constraints(struct der_writer *w, bool is_ca)
{
	size_t end = der_mark(w);

	if (is_ca)
		der_put_bits(w, SLICE_LIT("\x06"), 1);	/* keyCertSign, cRLSign */
	else
		der_put_bits(w, SLICE_LIT("\x80"), 7);	/* digitalSignature */
	wrap_extension(w, OID_KEY_USAGE, true, end);
	end = der_mark(w);
	if (is_ca) {
		der_put_u32(w, 0);
		der_put_true(w);
	}
	der_wrap(w, DER_SEQUENCE, end);
	wrap_extension(w, OID_BASIC_CONSTRAINTS, true, end);
}

static void put_extensions(struct der_writer *w, const struct x509_spec *spec, const struct x509 *issuer)
{
	size_t end = der_mark(w);

	put_alt_names(w, spec);
	put_key_identifiers(w, spec->key, issuer != NULL ? issuer->ski : SLICE_EMPTY);
	put_ext_key_usage(w, spec->eku);
	put_constraints(w, spec->is_ca);
	der_wrap(w, DER_SEQUENCE, end);
	der_wrap(w, DER_CONTEXT_CONS(3), end);
}

/* 126 random bits; the top bit is clear and the next one set, so that the length never varies. */
static void put_serial(struct der_writer *w)
{
	uint8_t serial[SERIAL_LEN];

	rng_bytes(serial, sizeof(serial));
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	der_put_uint(w, slice_of(serial, sizeof(serial)));
}

static void put_tbs(struct der_writer *w, const struct x509_spec *spec, const struct x509 *issuer)
{
	size_t end = der_mark(w), mark;

	put_extensions(w, spec, issuer);
	put_key(w, spec->key);
	put_name(w, spec->org, spec->cn);
	mark = der_mark(w);
	der_put_time(w, spec->not_after_s);
	der_put_time(w, spec->not_before_s);
	der_wrap(w, DER_SEQUENCE, mark);
	if (issuer != NULL)
		der_put_raw(w, issuer->subject);
	else
		put_name(w, spec->org, spec->cn);
	put_algorithm(w);
	put_serial(w);
	mark = der_mark(w);
	der_put_u32(w, 2);	/* version 3 */
	der_wrap(w, DER_CONTEXT_CONS(0), mark);
	der_wrap(w, DER_SEQUENCE, end);
}

/* Sign body, and append body, algorithm and signature as one SEQUENCE. */
static int put_signed(struct buf *der_out, struct slice body, const struct seckey *k, const char *what,
		      struct error *err)
{
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	struct der_writer w;
	size_t end;
	int r = -1;

	if (body.len == 0) {
		error_set(err, ERR_LIMIT, "%s is larger than %d bytes", what, X509_SIZE_MAX);
		goto out;
	}
	if (seckey_sign(k, body, &sig, err) < 0)
		goto out;
	der_writer_init(&w);
	end = der_mark(&w);
	der_put_bits(&w, buf_slice(&sig), 0);
	put_algorithm(&w);
	der_put_raw(&w, body);
	der_wrap(&w, DER_SEQUENCE, end);
	buf_put_slice(der_out, der_written(&w));
	if (w.failed || der_out->failed || der_written(&w).len > X509_SIZE_MAX) {
		error_set(err, ERR_LIMIT, "%s is larger than %d bytes", what, X509_SIZE_MAX);
		goto out;
	}
	r = 0;
out:
	buf_release(&sig);
	return r;
}

int x509_issue(struct buf *der_out, const struct x509_spec *spec, const struct x509 *issuer,
	       const struct seckey *issuer_key, struct error *err)
{
	struct der_writer w;

	assert(spec->key->scheme == KEY_ECDSA_P256);
	if (spec->san_count > X509_SANS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d alternative names", X509_SANS_MAX);
	der_writer_init(&w);
	put_tbs(&w, spec, issuer);
	return put_signed(der_out, der_written(&w), issuer_key, "certificate", err);
}

int csr_issue(struct buf *der_out, const char *cn, const struct seckey *k, struct error *err)
{
	struct der_writer w;
	size_t end;

	der_writer_init(&w);
	end = der_mark(&w);
	der_put(&w, DER_CONTEXT_CONS(0), SLICE_EMPTY);	/* no attributes: the server decides */
	put_key(&w, seckey_public(k));
	put_name(&w, NULL, cn);
	der_put_u32(&w, 0);	/* version 1 */
	der_wrap(&w, DER_SEQUENCE, end);
	return put_signed(der_out, der_written(&w), k, "certificate request", err);
}
