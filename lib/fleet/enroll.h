/*
 * Enrolment and renewal: how a device gets its identity. All functions run in a transaction on the store's
 * writer; a certificate leaves the server only after the commit that also records it and counts the token's use.
 *
 *	token presented -> signature and site fit -> use is counted -> request is read -> name -> certificate
 *	                                             \________ kept even when a later step refuses ________/
 */
#ifndef MESHANICS_FLEET_ENROLL_H
#define MESHANICS_FLEET_ENROLL_H

#include "fleet/ca.h"
#include "fleet/certs.h"
#include "fleet/tokens.h"

#define ENROLL_TOKEN_LIFE_DEFAULT_S INT64_C(86400)
#define ENROLL_TOKEN_LIFE_MIN_S 60
#define ENROLL_TOKEN_LIFE_MAX_S (90 * INT64_C(86400))
#define ENROLL_TOKEN_USES_MAX 100000
#define ENROLL_PREFIX_MAX 53		/* leaves room for a hyphen and the number */
#define ENROLL_CERTS_LIVE_MAX 8		/* unexpired certificates of one device: bounds renewal in a loop */

/* What an enrolment rests on; borrowed. */
struct enroll_server {
	const char *site;
	const struct ca *ca;		/* CA_COUNT of them */
	int64_t certificate_life_s;	/* of devices; 90 days */
	int64_t renew_grace_s;		/* expired certificates renew this long; 30 days */
};

/* ---- tokens ---- */

struct enroll_token_spec {
	int64_t life_s;			/* 0: ENROLL_TOKEN_LIFE_DEFAULT_S */
	int64_t uses;			/* 0: 1 */
	struct slice device;		/* the one name it may take, existing or not; empty: server assigns */
	struct slice name_prefix;	/* names are PREFIX-0001 and on; empty: after the device's host name */
	const struct slice *tags;	/* names, given to each device it enrols */
	size_t tag_count;		/* at most DEVICE_TAGS_MAX */
	struct slice note;		/* for people, at most 200 bytes */
	int64_t root_version;
	uint8_t root_sha256[SHA256_LEN];
	const char *const *urls;	/* of the enrolment listener */
	size_t url_count;
};

/*
 * Make a token; `out` is filled (with its secret: wipe it) and its hash is stored. actor: who, for the list.
 * -1: ERR_USAGE (a value out of range; --device with uses above 1 or with a prefix).
 */
WARN_UNUSED int enroll_token_create(struct db *db, const struct enroll_server *server,
				    const struct enroll_token_spec *spec, const char *actor, int64_t now_s,
				    struct enroll_token *out, struct error *err);
/* Idempotent. ERR_NOT_FOUND. id: 16 hex digits. */
WARN_UNUSED int enroll_token_revoke(struct db *db, struct slice id, int64_t now_s, struct error *err);

/* ---- enrolment ---- */

struct enroll_request {
	struct slice token;	/* the string */
	struct slice csr;	/* DER */
	struct slice hostname;	/* a suggestion, from outside; may be empty, may hold anything */
};

/* What a device gets. Zero-initialise (enroll_grant_init); release in every case. */
struct enroll_grant {
	struct buf der;			/* its certificate */
	uint8_t fingerprint[SHA256_LEN];
	char device[NAME_LEN_MAX + 1];
	int64_t device_id;
	int64_t not_after_s, renew_at_s;	/* renewal is due after two thirds of its life */
	char token_id[TOKEN_ID_TEXT];	/* that was used; "" for renewals and until one was recognised */
	bool again;			/* the same key with the same token, or renewed again: the same certificate once more */
	unsigned revoked;		/* former certificates of this name that ended with this enrolment */
};
void enroll_grant_init(struct enroll_grant *g);
void enroll_grant_release(struct enroll_grant *g);

/*
 * First contact, or taking an existing name with a token made for it. Three outcomes:
 *	0 and *refused == false: grant holds the certificate; audit and commit.
 *	0 and *refused == true: the token is real, so the attempt is worth an audit row (grant->token_id, and
 *	   grant->device where it came so far) and what it used up stays used; err says why nothing was issued.
 *	   Audit and commit all the same, and answer with err.
 *	-1: nothing was changed and nobody we know has asked: ERR_MALFORMED, ERR_REFUSED (unknown or foreign
 *	   token), or the database said no.
 * A device that lost the answer asks again with the same token and key, and gets the same certificate
 * without a further use.
 */
WARN_UNUSED int enroll_device(struct db *db, const struct enroll_server *server,
			      const struct enroll_request *request, int64_t now_s, struct enroll_grant *grant,
			      bool *refused, struct error *err);

/*
 * A new certificate for the device that shows `fingerprint` (verified by TLS). Expired passes within the grace;
 * revoked and unknown never do. The former certificates end after CERT_OVERLAP_S. Asked again for the same key, it
 * is the same certificate; for that alone a superseded one passes, too: the device had lost the answer.
 * -1: ERR_DENIED, ERR_REFUSED (request), ERR_RETRY (too many live certificates; clock).
 */
WARN_UNUSED int enroll_renew(struct db *db, const struct enroll_server *server,
			     const uint8_t fingerprint[static SHA256_LEN], struct slice csr, int64_t now_s,
			     struct enroll_grant *grant, struct error *err);

/* ---- without a network ---- */

struct enrolment_request;	/* bundle/enrolment.h */

/* What the operator says of a request that lies on a stick; all may be empty. */
struct enroll_terms {
	struct slice device;		/* exactly this name; revokes the former certificates of it */
	struct slice name_prefix;
	const struct slice *tags;
	size_t tag_count;		/* at most DEVICE_TAGS_MAX */
};
/*
 * Answer a request that an operator vouches for: a new device, or the renewal of one that is known, which must have signed
 * with the key of its present certificate. The same key gets the same certificate again, whatever the terms say of tags.
 * -1: ERR_REFUSED (another site; a key whose certificate is revoked, over or replaced), ERR_DENIED (a certificate that may
 * not renew), ERR_CONFLICT (the key has a certificate under another name than the terms say), ERR_USAGE, ERR_RETRY.
 */
WARN_UNUSED int enroll_sign(struct db *db, const struct enroll_server *server, const struct enrolment_request *request,
			    const struct enroll_terms *terms, int64_t now_s, struct enroll_grant *grant, struct error *err);
/* What enroll_sign would do now, without doing it. */
struct enroll_plan {
	char device[NAME_LEN_MAX + 1];
	bool known;		/* the device is there already: takes its name over, or renews */
	bool again;		/* this key has its certificate */
	int64_t revokes;	/* certificates that would end */
};
WARN_UNUSED int enroll_plan(struct db *db, const struct enroll_server *server, const struct enrolment_request *request,
			    const struct enroll_terms *terms, int64_t now_s, struct enroll_plan *plan, struct error *err);

/* "urn:meshanics:SITE:device:NAME" into out. Returns out. */
#define DEVICE_URN_MAX 160
char *device_urn(char out[static DEVICE_URN_MAX], const char *site, const char *device);

#endif
