/*
 * X.509 certificates and PKCS#10 requests (RFC 5280, RFC 2986): a strict reader and a writer for the
 * profile of meshanics, ECDSA P-256 with SHA-256 and no other algorithm. TLS (BearSSL) validates chains in
 * handshakes; what it leaves out (extended key usage, IP names, who exactly it is) is checked here.
 * A device is known by the SHA-256 of its certificate; the names inside are for people.
 *
 * Limits: X509_SIZE_MAX bytes of DER, serial numbers to 20 bytes, X509_SANS_MAX alternative names, one
 * extension of a kind; an unknown critical extension is refused.
 */
#ifndef MESHANICS_CRYPTO_X509_H
#define MESHANICS_CRYPTO_X509_H

#include "crypto/hash.h"
#include "crypto/key.h"

#define X509_SIZE_MAX 4096	/* DER of one certificate or request */
#define X509_PEM_MAX 6144	/* the same as PEM */
#define X509_SANS_MAX 32
#define X509_CN_MAX 64		/* ub-common-name */
#define X509_SAN_VALUE_MAX 255
#define X509_BACKDATE_S 3600	/* issued certificates begin this much earlier, for clocks that lag */

/* KeyUsage: bit n of RFC 5280 4.2.1.3 is 1 << n. */
enum x509_key_usage {
	X509_KU_DIGITAL_SIGNATURE = 1 << 0,
	X509_KU_CERT_SIGN = 1 << 5,
	X509_KU_CRL_SIGN = 1 << 6,
};

/* ExtendedKeyUsage (4.2.1.12), as a set. */
enum x509_eku {
	X509_EKU_SERVER = 1 << 0,	/* id-kp-serverAuth */
	X509_EKU_CLIENT = 1 << 1,	/* id-kp-clientAuth */
	X509_EKU_OTHER = 1 << 2,	/* any other, anyExtendedKeyUsage included: never enough by itself */
};

enum x509_san_type { X509_SAN_DNS, X509_SAN_IP, X509_SAN_URI };

struct x509_san {
	enum x509_san_type type;
	struct slice value;	/* DNS, URI: printable ASCII; IP: 4 or 16 bytes, network order */
};

/* A certificate, read. All slices borrow from `der`, which the caller keeps. */
struct x509 {
	struct slice der;
	struct slice tbs;		/* what the signature covers */
	struct slice signature;		/* DER ECDSA-Sig-Value */
	struct slice serial;		/* content octets of the INTEGER, positive */
	struct slice issuer, subject;	/* whole Name, with its header: compare as bytes */
	char cn[X509_CN_MAX + 1];	/* the subject's common name, printable, or "" */
	int64_t not_before_s, not_after_s;
	struct pubkey key;		/* P-256, on the curve */
	bool is_ca;
	int path_len;			/* -1: no limit given */
	bool has_key_usage, has_eku;
	unsigned key_usage, eku;	/* enum x509_key_usage, enum x509_eku */
	struct slice ski, aki;		/* key identifiers, or empty */
	struct x509_san san[X509_SANS_MAX];
	size_t san_count;
};

/* A request, read; its signature by its own key (proof of possession) has been verified. Borrows as above. */
struct csr {
	struct slice der, subject;
	char cn[X509_CN_MAX + 1];
	struct pubkey key;
	struct x509_san san[X509_SANS_MAX];	/* what it asks for; the issuer decides */
	size_t san_count;
	bool wants_ca;			/* it asks to become a CA */
};

/*
 * Read one certificate, the whole of `der`. -1: ERR_MALFORMED (the field and what is wrong with it),
 * ERR_LIMIT (size), ERR_REFUSED (an algorithm or critical extension that is not ours). Nothing about
 * trust or time is said: that is x509_chain_check.
 */
WARN_UNUSED int x509_read(struct x509 *c, struct slice der, struct error *err);
/* Read a request and verify its signature: ERR_MALFORMED, ERR_LIMIT, ERR_REFUSED as above. */
WARN_UNUSED int csr_read(struct csr *r, struct slice der, struct error *err);

/* Labels for crypto/pem.h. */
#define X509_PEM_LABEL "CERTIFICATE"
#define CSR_PEM_LABEL "CERTIFICATE REQUEST"

/* SHA-256 of the DER: how certificates are named, pinned and looked up. */
static inline void x509_fingerprint(uint8_t out[static SHA256_LEN], struct slice der)
{
	sha256_of(der, out);
}

/*
 * The only yes is 0: `leaf` is an end-entity certificate signed by `ca`, meant for `eku` (X509_EKU_SERVER or
 * _CLIENT), both within their validity at now_s; the leaf alone may be over by up to expired_grace_s (0 in
 * all cases but renewal). -1 with ERR_REFUSED and the failing check; a hint where the clock may be to blame.
 */
WARN_UNUSED int x509_chain_check(const struct x509 *leaf, const struct x509 *ca, unsigned eku, int64_t now_s,
				 int64_t expired_grace_s, struct error *err);
/* Self-signed, CA, may sign certificates, within its validity: fit to be pinned. ERR_REFUSED otherwise. */
WARN_UNUSED int x509_ca_check(const struct x509 *ca, int64_t now_s, struct error *err);
/*
 * 0 when the certificate names this host: a dNSName (whole, ASCII case ignored; no wildcards) or, for an IPv4
 * or IPv6 literal (without brackets), an iPAddress. The common name never counts. ERR_REFUSED, listing
 * what it does name.
 */
WARN_UNUSED int x509_host_check(const struct x509 *c, const char *host, struct error *err);
/*
 * 0 when text is a host that a certificate can carry: a DNS name in ASCII or an IP literal. Sets san (an IP's
 * bytes go to ip_storage; a DNS name borrows text). ERR_MALFORMED.
 */
WARN_UNUSED int x509_san_of_host(struct x509_san *san, uint8_t ip_storage[static 16], const char *text,
				 struct error *err);

/* ---- writing ---- */

/* What a certificate is to say. The serial number (16 random bytes, positive) is made by x509_issue. */
struct x509_spec {
	const char *org;		/* the subject's organization (O), or NULL; as cn */
	const char *cn;			/* common name: 1..64 bytes of printable ASCII (asserted) */
	const struct pubkey *key;	/* P-256 */
	int64_t not_before_s, not_after_s;
	bool is_ca;			/* BasicConstraints CA, pathlen 0; KeyUsage certSign and cRLSign */
	unsigned eku;			/* not critical (BearSSL refuses a critical one); 0 for none */
	const struct x509_san *san;
	size_t san_count;
};

/*
 * Append the DER of a certificate signed by issuer_key. issuer NULL: self-signed (issuer_key is spec's key's
 * other half). Key identifiers are the first 20 bytes of the SHA-256 of the public point (RFC 7093 method 1).
 * -1: ERR_LIMIT (too many or too long names), ERR_FAILED (signing).
 */
WARN_UNUSED int x509_issue(struct buf *der_out, const struct x509_spec *spec, const struct x509 *issuer,
			   const struct seckey *issuer_key, struct error *err);
/* Append the DER of a request: subject CN and nothing else, signed by k (P-256). */
WARN_UNUSED int csr_issue(struct buf *der_out, const char *cn, const struct seckey *k, struct error *err);

#endif
