/* The readers of certificates and of requests: shape first, meaning never (that is x509_check.c). */
#include "crypto/x509.h"

#include "crypto/x509_parts.h"

static int check_size(struct slice der, const char *what, struct error *err)
{
	if (der.len > X509_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "%s has %zu bytes, more than %d", what, der.len, X509_SIZE_MAX);
	return 0;
}

/*
 * SEQUENCE { to be signed, algorithm, signature }, the whole of der: RFC 5280 4.1, RFC 2986 4.2.
 * *body is the signed part with its header.
 */
static int read_signed(struct slice der, struct slice *body, struct slice *signature, const char *what,
		       struct error *err)
{
	struct der all = der_of(der), outer;

	if (check_size(der, what, err) < 0 || der_enter(&all, DER_SEQUENCE, &outer, what, err) < 0 ||
	    der_end(&all, what, err) < 0 || der_get_whole(&outer, DER_SEQUENCE, body, what, err) < 0 ||
	    x509_read_algorithm(&outer, err) < 0 || der_bits(&outer, signature, "signature", err) < 0)
		return -1;
	return der_end(&outer, "signature", err);
}

/* Only version 3 has extensions, without which nothing could be told about a certificate's purpose. */
static int read_version(struct der *d, struct error *err)
{
	struct der inner;
	int64_t version;

	if (der_peek(d) != DER_CONTEXT_CONS(0))
		return error_set(err, ERR_REFUSED, "certificate is of version 1, not 3");
	if (der_enter(d, DER_CONTEXT_CONS(0), &inner, "version", err) < 0 ||
	    der_int(&inner, 0, 255, &version, "version", err) < 0 || der_end(&inner, "version", err) < 0)
		return -1;
	if (version != 2)
		return error_set(err, ERR_REFUSED, "certificate is of version %d, not 3", (int)version + 1);
	return 0;
}

/* RFC 5280 4.1.2.2: positive, at most 20 octets. */
static int read_serial(struct der *d, struct slice *serial, struct error *err)
{
	if (der_integer(d, serial, "serial number", err) < 0)
		return -1;
	if (serial->len > 20 || serial->ptr[0] >= 0x80 || (serial->len == 1 && serial->ptr[0] == 0))
		return error_set(err, ERR_MALFORMED, "serial number is not positive with at most 20 bytes");
	return 0;
}

static int read_validity(struct der *d, struct x509 *c, struct error *err)
{
	struct der inner;

	if (der_enter(d, DER_SEQUENCE, &inner, "validity", err) < 0 ||
	    der_time(&inner, &c->not_before_s, "notBefore", err) < 0 ||
	    der_time(&inner, &c->not_after_s, "notAfter", err) < 0 || der_end(&inner, "validity", err) < 0)
		return -1;
	if (c->not_before_s > c->not_after_s)
		return error_set(err, ERR_MALFORMED, "validity ends before it begins");
	return 0;
}

static int read_tbs(struct der *d, struct x509 *c, struct error *err)
{
	char issuer_cn[X509_CN_MAX + 1];
	struct der inner;

	if (read_version(d, err) < 0 || read_serial(d, &c->serial, err) < 0 ||
	    x509_read_algorithm(d, err) < 0 || x509_read_name(d, &c->issuer, issuer_cn, "issuer", err) < 0 ||
	    read_validity(d, c, err) < 0 || x509_read_name(d, &c->subject, c->cn, "subject", err) < 0 ||
	    x509_read_key(d, &c->key, err) < 0)
		return -1;
	if (der_peek(d) == DER_CONTEXT_CONS(3) &&
	    (der_enter(d, DER_CONTEXT_CONS(3), &inner, "extensions", err) < 0 ||
	     x509_read_extensions(&inner, c, err) < 0 || der_end(&inner, "extensions", err) < 0))
		return -1;
	return der_end(d, "certificate body", err);	/* unique identifiers [1] and [2] are refused here */
}

int x509_read(struct x509 *c, struct slice der, struct error *err)
{
	struct der tbs, inner;

	*c = (struct x509){.der = der, .path_len = -1};
	if (read_signed(der, &c->tbs, &c->signature, "certificate", err) < 0)
		return -1;
	tbs = der_of(c->tbs);
	if (der_enter(&tbs, DER_SEQUENCE, &inner, "certificate body", err) < 0)
		return -1;
	return read_tbs(&inner, c, err);
}

/* extensionRequest (RFC 2985 5.4.2): a SET of exactly one Extensions. */
static int read_requested(struct der *values, struct csr *r, struct error *err)
{
	struct x509 asked = {.path_len = -1};

	if (x509_read_extensions(values, &asked, err) < 0 || der_end(values, "requested extensions", err) < 0)
		return -1;
	memcpy(r->san, asked.san, sizeof(r->san));
	r->san_count = asked.san_count;
	r->wants_ca = asked.is_ca || (asked.key_usage & (X509_KU_CERT_SIGN | X509_KU_CRL_SIGN)) != 0;
	return 0;
}

/* Attributes [0] IMPLICIT SET OF: requested extensions are read, others (challengePassword) walked over. */
static int read_attributes(struct der *info, struct csr *r, struct error *err)
{
	struct der list, pair, values;
	bool seen = false;
	struct slice oid;

	if (der_enter(info, DER_CONTEXT_CONS(0), &list, "attributes", err) < 0)
		return -1;
	while (!der_done(&list)) {
		if (der_enter(&list, DER_SEQUENCE, &pair, "attribute", err) < 0 ||
		    der_oid(&pair, &oid, "attribute", err) < 0 ||
		    der_enter(&pair, DER_SET, &values, "attribute", err) < 0 ||
		    der_end(&pair, "attribute", err) < 0)
			return -1;
		if (!slice_equal(oid, OID_EXTENSION_REQUEST))
			continue;
		if (seen)
			return error_set(err, ERR_MALFORMED, "extensions are requested twice");
		seen = true;
		if (read_requested(&values, r, err) < 0)
			return -1;
	}
	return 0;
}

int csr_read(struct csr *r, struct slice der, struct error *err)
{
	struct slice body, signature;
	struct der outer, info;
	int64_t version;

	*r = (struct csr){.der = der};
	if (read_signed(der, &body, &signature, "certificate request", err) < 0)
		return -1;
	outer = der_of(body);
	if (der_enter(&outer, DER_SEQUENCE, &info, "request body", err) < 0 ||
	    der_int(&info, 0, 0, &version, "request version", err) < 0 ||
	    x509_read_name(&info, &r->subject, r->cn, "subject", err) < 0 ||
	    x509_read_key(&info, &r->key, err) < 0 || read_attributes(&info, r, err) < 0 ||
	    der_end(&info, "request body", err) < 0)
		return -1;
	if (pubkey_verify(&r->key, body, signature, err) < 0)
		return error_wrap(err, "certificate request is not signed by the key it carries");
	return 0;
}
