/* Reading of names, keys, algorithms and extensions. Every reader stops at the first thing that is odd. */
#include "crypto/x509_parts.h"

/* AttributeTypeAndValue: the value of a common name goes to cn, all others are only walked over. */
static int read_attribute(struct der *rdn, char cn[static X509_CN_MAX + 1], bool *seen, const char *what,
			  struct error *err)
{
	struct slice oid, text;
	struct der pair;

	if (der_enter(rdn, DER_SEQUENCE, &pair, what, err) < 0 || der_oid(&pair, &oid, what, err) < 0)
		return -1;
	if (!slice_equal(oid, OID_COMMON_NAME))
		return der_any(&pair, NULL, NULL, NULL, what, err) < 0 ? -1 : der_end(&pair, what, err);
	if (*seen)
		return error_set(err, ERR_MALFORMED, "%s has more than one common name", what);
	*seen = true;
	if (der_text(&pair, &text, "common name", err) < 0)
		return -1;
	if (text.len == 0 || text.len > X509_CN_MAX)
		return error_set(err, ERR_MALFORMED, "common name has %zu bytes, not 1 to %d", text.len,
				 X509_CN_MAX);
	printable(cn, X509_CN_MAX + 1, text);
	return der_end(&pair, what, err);
}

int x509_read_name(struct der *d, struct slice *whole, char cn[static X509_CN_MAX + 1], const char *what,
		   struct error *err)
{
	struct der outer, rdns, rdn;
	bool seen = false;

	cn[0] = '\0';
	if (der_get_whole(d, DER_SEQUENCE, whole, what, err) < 0)
		return -1;
	outer = der_of(*whole);
	if (der_enter(&outer, DER_SEQUENCE, &rdns, what, err) < 0)
		return -1;
	while (!der_done(&rdns)) {
		if (der_enter(&rdns, DER_SET, &rdn, what, err) < 0)
			return -1;
		if (der_done(&rdn))
			return error_set(err, ERR_MALFORMED, "%s has an empty part", what);
		while (!der_done(&rdn))
			if (read_attribute(&rdn, cn, &seen, what, err) < 0)
				return -1;
	}
	return 0;
}

int x509_read_key(struct der *d, struct pubkey *key, struct error *err)
{
	struct slice spki;

	if (der_get_whole(d, DER_SEQUENCE, &spki, "public key", err) < 0 ||
	    pubkey_from_spki(key, spki, err) < 0)
		return -1;
	if (key->scheme != KEY_ECDSA_P256)
		return error_set(err, ERR_REFUSED, "public key is %s, not ECDSA P-256",
				 key_scheme_name(key->scheme));
	return pubkey_check(key, err);
}

int x509_read_algorithm(struct der *d, struct error *err)
{
	struct slice oid;
	struct der inner;

	if (der_enter(d, DER_SEQUENCE, &inner, "signature algorithm", err) < 0 ||
	    der_oid(&inner, &oid, "signature algorithm", err) < 0)
		return -1;
	if (!slice_equal(oid, OID_ECDSA_SHA256))
		return error_set(err, ERR_REFUSED, "signature algorithm is not ecdsa-with-SHA256");
	return der_end(&inner, "signature algorithm", err);	/* RFC 5758 3.2: no parameters */
}

static int read_basic_constraints(struct der *d, struct x509 *c, struct error *err)
{
	static const char what[] = "basic constraints";
	struct der inner;
	int64_t n;

	c->path_len = -1;
	if (der_enter(d, DER_SEQUENCE, &inner, what, err) < 0)
		return -1;
	if (der_peek(&inner) == DER_BOOLEAN) {
		if (der_bool(&inner, &c->is_ca, what, err) < 0)
			return -1;
		if (!c->is_ca)
			return error_set(err, ERR_MALFORMED, "%s spell out a default value", what);
	}
	if (der_peek(&inner) == DER_INTEGER) {
		if (der_int(&inner, 0, 255, &n, "path length", err) < 0)
			return -1;
		if (!c->is_ca)
			return error_set(err, ERR_MALFORMED, "%s limit the path of a certificate that is no CA",
					 what);
		c->path_len = (int)n;
	}
	return der_end(&inner, what, err);
}

static int read_key_usage(struct der *d, struct x509 *c, struct error *err)
{
	uint32_t flags;

	if (der_flags(d, &flags, "key usage", err) < 0)
		return -1;
	if (flags == 0)
		return error_set(err, ERR_MALFORMED, "key usage is empty");
	c->has_key_usage = true;
	c->key_usage = flags;
	return 0;
}

static int read_ext_key_usage(struct der *d, struct x509 *c, struct error *err)
{
	static const char what[] = "extended key usage";
	struct slice oid;
	struct der inner;

	if (der_enter(d, DER_SEQUENCE, &inner, what, err) < 0)
		return -1;
	do {
		if (der_oid(&inner, &oid, what, err) < 0)
			return -1;
		if (slice_equal(oid, OID_SERVER_AUTH))
			c->eku |= X509_EKU_SERVER;
		else if (slice_equal(oid, OID_CLIENT_AUTH))
			c->eku |= X509_EKU_CLIENT;
		else
			c->eku |= X509_EKU_OTHER;
	} while (!der_done(&inner));
	c->has_eku = true;
	return 0;
}

static int read_subject_key_id(struct der *d, struct x509 *c, struct error *err)
{
	return der_get(d, DER_OCTET_STRING, &c->ski, "subject key identifier", err);
}

/* keyIdentifier is kept; issuer and serial number, which some tools add, are walked over. */
static int read_authority_key_id(struct der *d, struct x509 *c, struct error *err)
{
	static const char what[] = "authority key identifier";
	struct der inner;

	if (der_enter(d, DER_SEQUENCE, &inner, what, err) < 0)
		return -1;
	if (der_peek(&inner) == DER_CONTEXT(0) && der_get(&inner, DER_CONTEXT(0), &c->aki, what, err) < 0)
		return -1;
	if (der_peek(&inner) == DER_CONTEXT_CONS(1) &&
	    der_get(&inner, DER_CONTEXT_CONS(1), &(struct slice){0}, what, err) < 0)
		return -1;
	if (der_peek(&inner) == DER_CONTEXT(2) &&
	    der_get(&inner, DER_CONTEXT(2), &(struct slice){0}, what, err) < 0)
		return -1;
	return der_end(&inner, what, err);
}

static bool is_printable_ascii(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7f)
			return false;
	return true;
}

static int read_general_name(struct der *d, struct x509_san *san, struct error *err)
{
	static const char what[] = "alternative name";
	uint8_t tag;

	if (der_any(d, &tag, &san->value, NULL, what, err) < 0)
		return -1;
	switch (tag) {
	case TAG_SAN_DNS:
		san->type = X509_SAN_DNS;
		break;
	case TAG_SAN_URI:
		san->type = X509_SAN_URI;
		break;
	case TAG_SAN_IP:
		san->type = X509_SAN_IP;
		if (san->value.len != 4 && san->value.len != 16)
			return error_set(err, ERR_MALFORMED, "%s is an address of %zu bytes", what,
					 san->value.len);
		return 0;
	default:
		return error_set(err, ERR_REFUSED, "%s is of a kind (tag 0x%02x) that is not used here", what,
				 tag);
	}
	if (san->value.len == 0 || san->value.len > X509_SAN_VALUE_MAX || !is_printable_ascii(san->value))
		return error_set(err, ERR_MALFORMED, "%s is not 1 to %d bytes of printable ASCII", what,
				 X509_SAN_VALUE_MAX);
	return 0;
}

static int read_alt_names(struct der *d, struct x509 *c, struct error *err)
{
	struct der inner;

	if (der_enter(d, DER_SEQUENCE, &inner, "alternative names", err) < 0)
		return -1;
	do {
		if (c->san_count == X509_SANS_MAX)
			return error_set(err, ERR_LIMIT, "more than %d alternative names", X509_SANS_MAX);
		if (read_general_name(&inner, &c->san[c->san_count], err) < 0)
			return -1;
		c->san_count++;
	} while (!der_done(&inner));
	return 0;
}

static const struct extension {
	uint8_t arc;	/* n of id-ce n (2.5.29.n) */
	const char *what;
	int (*read)(struct der *d, struct x509 *c, struct error *err);
} extensions[] = {
	{19, "basic constraints", read_basic_constraints},
	{15, "key usage", read_key_usage},
	{37, "extended key usage", read_ext_key_usage},
	{14, "subject key identifier", read_subject_key_id},
	{35, "authority key identifier", read_authority_key_id},
	{17, "alternative names", read_alt_names},
};

/* One Extension. seen: a bit for each row of the table that was met. */
static int read_extension(struct der *list, struct x509 *c, unsigned *seen, struct error *err)
{
	struct der inner, value;
	bool critical = false;
	struct slice oid;
	size_t i;

	if (der_enter(list, DER_SEQUENCE, &inner, "extension", err) < 0 ||
	    der_oid(&inner, &oid, "extension", err) < 0)
		return -1;
	if (der_peek(&inner) == DER_BOOLEAN) {
		if (der_bool(&inner, &critical, "extension", err) < 0)
			return -1;
		if (!critical)
			return error_set(err, ERR_MALFORMED, "extension spells out a default value");
	}
	if (der_enter(&inner, DER_OCTET_STRING, &value, "extension", err) < 0 ||
	    der_end(&inner, "extension", err) < 0)
		return -1;
	for (i = 0; i < ARRAY_SIZE(extensions); i++) {
		const uint8_t known[] = {0x55, 0x1d, extensions[i].arc};

		if (!slice_equal(oid, slice_of(known, sizeof(known))))
			continue;
		if (*seen & 1u << i)
			return error_set(err, ERR_MALFORMED, "%s occur twice (RFC 5280 4.2)",
					 extensions[i].what);
		*seen |= 1u << i;
		return extensions[i].read(&value, c, err) < 0 ? -1 : der_end(&value, extensions[i].what, err);
	}
	if (critical)
		return error_set(err, ERR_REFUSED, "an unknown extension is marked critical (RFC 5280 4.2)");
	return 0;
}

int x509_read_extensions(struct der *d, struct x509 *c, struct error *err)
{
	unsigned seen = 0;
	struct der list;

	if (der_enter(d, DER_SEQUENCE, &list, "extensions", err) < 0)
		return -1;
	do {
		if (read_extension(&list, c, &seen, err) < 0)
			return -1;
	} while (!der_done(&list));
	return 0;
}
