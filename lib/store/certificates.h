/*
 * Certificates this control plane has issued. A row is never deleted while the certificate could still be
 * shown: what is not here is unknown and refused.
 */
#ifndef MESHANICS_STORE_CERTIFICATES_H
#define MESHANICS_STORE_CERTIFICATES_H

#include "base/name.h"
#include "crypto/hash.h"
#include "db/db.h"

#define CERT_SERIAL_TEXT 41	/* hex of at most 20 bytes, with NUL */
#define CERT_REASON_MAX 200	/* bytes */

struct certificate_row {
	char fingerprint[SHA256_HEX_LEN];	/* SHA-256 of the DER */
	char subject[NAME_LEN_MAX + 1];
	int64_t device_id;			/* 0: of no device */
	char device_state[16];			/* of devices.state, read only; "" without a device */
	char serial[CERT_SERIAL_TEXT];
	char key_hash[SHA256_HEX_LEN];		/* SHA-256 of the public point */
	char token_id[17];			/* "" for renewals */
	int64_t not_before_s, not_after_s, issued_s;
	int64_t superseded_s, revoked_s;	/* 0: not */
	char reason[CERT_REASON_MAX + 1];	/* of the revocation */
};

/* ERR_CONFLICT when the fingerprint is there. kind: "device", "server" or "operator". */
WARN_UNUSED int certificate_insert(struct db *db, const char *kind, const struct certificate_row *c, struct slice der,
				   struct error *err);
/* 1 with the row, 0 when there is none, -1. fingerprint: hex. */
WARN_UNUSED int certificate_find(struct db *db, const char *fingerprint, struct certificate_row *out,
				 struct error *err);
/* The newest one enrolled with this token for this key: 1, 0, -1. */
WARN_UNUSED int certificate_find_enrolled(struct db *db, const char *token_id, const char *key_hash,
					  struct certificate_row *out, struct error *err);
/* The device's newest one for this key: 1, 0, -1. */
WARN_UNUSED int certificate_find_key(struct db *db, int64_t device_id, const char *key_hash,
				     struct certificate_row *out, struct error *err);
/* The newest one of any device for this key: 1, 0, -1. Looks at every row: for an operator's request now and then. */
WARN_UNUSED int certificate_find_any(struct db *db, const char *key_hash, struct certificate_row *out, struct error *err);
/* Append the DER; ERR_NOT_FOUND. */
WARN_UNUSED int certificate_der(struct db *db, const char *fingerprint, struct buf *out, struct error *err);
/* How many certificates of the device are neither over, superseded nor revoked at now_s. */
WARN_UNUSED int certificates_live(struct db *db, int64_t device_id, int64_t now_s, int64_t *count, struct error *err);
/* All of the device's but `except` (hex) end at at_s, unless they do so sooner. */
WARN_UNUSED int certificates_supersede(struct db *db, int64_t device_id, const char *except, int64_t at_s,
				       struct error *err);
/* Revoke all of the device's that are not revoked; *count of them had not been over. */
WARN_UNUSED int certificates_revoke(struct db *db, int64_t device_id, const char *reason, int64_t now_s,
				    int64_t *count, struct error *err);
/* Forget the device's certificates that ended before before_s and were not revoked. */
WARN_UNUSED int certificates_forget(struct db *db, int64_t device_id, int64_t before_s, struct error *err);

/* The certificates of a device, newest first. for (...open(...); (r = ..._next(&w, err)) > 0; ) { w.row }; ..._close(&w); */
struct certificate_walk {
	struct query q;
	struct certificate_row row;
};
void certificate_walk_open(struct certificate_walk *w, struct db *db, int64_t device_id);
WARN_UNUSED int certificate_walk_next(struct certificate_walk *w, struct error *err);
void certificate_walk_close(struct certificate_walk *w);

#endif
