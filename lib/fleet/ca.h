/*
 * The three certificate authorities of a control plane, P-256, one for each kind of party, so that a
 * certificate of one kind can never pass for another: device, server, operator. They live in HOME/control/ca/
 * as NAME.key (unsealed key file, 0600: serve signs with it unattended) and NAME.pem. A CA is pinned by the
 * SHA-256 of its certificate.
 */
#ifndef MESHANICS_FLEET_CA_H
#define MESHANICS_FLEET_CA_H

#include "crypto/x509.h"

enum ca_kind { CA_DEVICE, CA_SERVER, CA_OPERATOR, CA_COUNT };

#define CA_LIFE_DEFAULT_S (3650 * INT64_C(86400))
#define CA_LIFE_MIN_S (30 * INT64_C(86400))
#define CA_LIFE_MAX_S (7300 * INT64_C(86400))	/* 20 years */
#define SERVER_CERT_LIFE_S (14 * INT64_C(86400))	/* re-issued by serve at half of it */

/* One CA, loaded. Zero-initialise; ca_release is safe on a zeroed or released one. */
struct ca {
	enum ca_kind kind;
	struct buf der;
	struct x509 cert;		/* over der */
	uint8_t fingerprint[SHA256_LEN];
	struct seckey *key;		/* NULL when opened without it */
};

const char *ca_kind_name(enum ca_kind kind);	/* "device", "server", "operator" */
/*
 * Make all three in dirfd (HOME/control/ca). The subjects are "meshanics SITE KIND CA". ERR_CONFLICT when one
 * exists (nothing is written), ERR_USAGE for a life out of range. A cut-short init is completed by repeating it:
 * files count as one CA only when both are there.
 */
WARN_UNUSED int ca_init(int dirfd, const char *site, int64_t now_s, int64_t life_s, struct error *err);
/* Read one; with_key also its secret key, which must fit the certificate. ERR_NOT_FOUND with "ca init" as hint. */
WARN_UNUSED int ca_open(struct ca *ca, int dirfd, enum ca_kind kind, bool with_key, struct error *err);
void ca_release(struct ca *ca);

/* All three with their keys, by enum ca_kind. On failure none is left open. */
WARN_UNUSED int ca_open_all(struct ca ca[static CA_COUNT], int dirfd, struct error *err);
void ca_release_all(struct ca ca[static CA_COUNT]);

/*
 * Append the DER of a leaf under this CA: lives from now_s (less X509_BACKDATE_S) for life_s, at most to the end of
 * the CA. -1: ERR_REFUSED when the CA itself is not valid at now_s (clock at 1970, CA over), ERR_LIMIT.
 */
WARN_UNUSED int ca_issue(const struct ca *ca, struct buf *der_out, struct x509_spec spec, int64_t now_s,
			 int64_t life_s, struct error *err);

/* What serve shows its clients: a fresh key and a short-lived certificate for its public names. */
struct server_identity {
	struct seckey *key;
	struct buf der;		/* the leaf; the chain is leaf and CA */
	int64_t renew_at_s, not_after_s;
};
/* names: DNS names and IP literals, 1 to X509_SANS_MAX. ERR_USAGE for a name no certificate can carry. */
WARN_UNUSED int server_identity_make(struct server_identity *id, const struct ca *server_ca, const char *const *names,
				     size_t count, int64_t now_s, struct error *err);
void server_identity_release(struct server_identity *id);

#endif
