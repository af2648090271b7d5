/*
 * Who a device certificate speaks for. The answer is asked for at every request of a connection, so that a
 * revoked or decommissioned identity is refused at the next request, by HTTP status after a good handshake.
 * Known means: issued by us and recorded, by SHA-256 of the certificate; the names inside decide nothing.
 */
#ifndef MESHANICS_FLEET_CERTS_H
#define MESHANICS_FLEET_CERTS_H

#include "base/error.h"
#include "base/name.h"
#include "crypto/hash.h"

struct certificate_row;	/* store/certificates.h */
struct db;

/*
 *	          overlap over                       not_after reached
 *	ACTIVE -----------------> SUPERSEDED     ACTIVE -----------------> EXPIRED
 *	   | device revoke, enrolment of the same name with a --device token
 *	   v
 *	REVOKED                                  UNKNOWN: never issued here (or a restored backup forgot it)
 */
enum cert_status {
	CERT_UNKNOWN,
	CERT_ACTIVE,
	CERT_EXPIRED,		/* over, but not revoked: may renew within renew_grace */
	CERT_SUPERSEDED,	/* a renewal replaced it longer than CERT_OVERLAP_S ago */
	CERT_REVOKED,
	CERT_DECOMMISSIONED,	/* the device was told to leave */
};

/*
 * After a renewal the old certificate still works this long; afterwards it gets the new one once more, for the
 * new one's key, and nothing else. So a lost answer does no harm.
 */
#define CERT_OVERLAP_S INT64_C(86400)

struct cert_identity {
	enum cert_status status;
	int64_t device_id;		/* 0 when unknown */
	char device[NAME_LEN_MAX + 1];	/* "" when unknown */
	int64_t not_after_s;
	int64_t until_s;		/* the last second for which status holds, if nothing but time passes (ACTIVE) */
	char reason[201];		/* of the revocation, or "" */
};

const char *cert_status_name(enum cert_status status);	/* "active", "unknown", ... */
enum cert_status cert_row_status(const struct certificate_row *row, int64_t now_s);
/* Fills id with what the store knows of this certificate at now_s. -1 only when the database fails. */
WARN_UNUSED int cert_lookup(struct db *db, const uint8_t fingerprint[static SHA256_LEN], int64_t now_s,
			    struct cert_identity *id, struct error *err);

enum cert_use {
	CERT_USE_ANY,		/* every device route */
	CERT_USE_RENEW,		/* an expired one passes, within grace_s of its end; a superseded one for enroll_renew to judge */
};
/*
 * The only yes is 0: this identity may be used so at now_s. ERR_DENIED otherwise, naming the status and what to
 * do about it (the text travels to the device and to its operator).
 */
WARN_UNUSED int cert_check(const struct cert_identity *id, enum cert_use use, int64_t grace_s, int64_t now_s,
			   struct error *err);
/* Says so; always -1. */
int cert_refuse_superseded(const struct cert_identity *id, struct error *err);

/*
 * Revoke all certificates of a device, now; nothing waits for it in rollouts any more. Idempotent. reason: printable, for people. *count: how many were
 * live. ERR_NOT_FOUND when there is no such device.
 */
WARN_UNUSED int device_revoke(struct db *db, struct slice device, const char *reason, int64_t now_s,
			      unsigned *count, struct error *err);

#endif
