/*
 * HOME/agent: where a device keeps what it is and what it has.
 *
 *	identity.json	names, addresses, certificates and the anchor, written at enrolment and renewal	(0600)
 *	device-HEX.key	the private key of the certificate, an unsealed key file that identity.json names	(0600)
 *	device-enrolling.key	the key of an enrolment that has not been answered yet		(0600)
 *	device-renewing.key	the same of a renewal: asked again with it, the server gives the same answer	(0600)
 *	device-enrolling.request, device-renewing.request	what was written to a stick last, until it is answered	(0600)
 *	wiping		is there while the order to leave is carried out: the next start ends it
 *	state.db	assignments, marks, reports (agent/state.h)						root only
 *	trusted/	the supervisor's verified TUF state (tuf/trusted.h)					root only
 *	artifacts/	NAMESPACE/NAME/VERSION/FILE and NAMESPACE/NAME/current -> VERSION			readable
 *	work/		the worker's: metadata as fetched, payloads on their way, never believed
 *	reserve		room that is given back when our own writes find none (agent/room.c)	0600
 *	control.sock	the door for agent status								0600
 *	lock		held by the running agent
 */
#ifndef MESHANICS_AGENT_HOME_H
#define MESHANICS_AGENT_HOME_H

#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"
#include "crypto/hash.h"
#include "crypto/key.h"

#define IDENTITY_SIZE_MAX (1u << 20)
#define IDENTITY_URL_MAX 512

/* Who this device is. Zero-initialise with identity_init; release in every case. */
struct identity {
	char device[NAME_LEN_MAX + 1], site[NAME_LEN_MAX + 1];
	char device_url[IDENTITY_URL_MAX], repository_url[IDENTITY_URL_MAX];
	struct buf certificate, device_ca, server_ca;	/* DER */
	struct buf root;				/* the anchor: a root file, byte for byte */
	int64_t not_after_s, renew_at_s;
	struct seckey *key;				/* P-256 */
};
void identity_init(struct identity *id);
void identity_release(struct identity *id);

/* The directory HOME/agent, made (0755) if absent: its descriptor, or -1. */
WARN_UNUSED int agent_home_open(const char *home, struct error *err);
/* ERR_NOT_FOUND with `agent enroll` as hint when the device has no identity. */
WARN_UNUSED int identity_load(struct identity *id, int dirfd, struct error *err);
/*
 * The key file first, under a name of its own, then identity.json by rename, then former key files go (those that
 * cannot stay for identity_tidy): a power cut leaves the old identity or the new one.
 */
WARN_UNUSED int identity_store(const struct identity *id, int dirfd, int64_t now_s, struct error *err);
/* Remove the keys that are not id's: of former certificates, of an attempt to enrol. That of a renewal under way stays. */
WARN_UNUSED int identity_tidy(const struct identity *id, int dirfd, struct error *err);
/* Has a renewal been asked for, and its answer not been stored? */
bool identity_renewing(const struct identity *id, int dirfd);
#define ENROLLING_KEY "device-enrolling"
#define RENEWING_KEY "device-renewing"
/* An attempt that went by a stick; goes with its key. */
#define ENROLLING_REQUEST ENROLLING_KEY ".request"
#define RENEWING_REQUEST RENEWING_KEY ".request"
/*
 * The key of an attempt to enrol or to renew, by one of these names: that of the last attempt when it was not answered,
 * else a new one, on disk before it is used. identity_store removes it.
 */
WARN_UNUSED struct seckey *identity_attempt_key(int dirfd, const char *name, int64_t now_s, struct error *err);
/* SHA-256 of the certificate, which is how orders name it. */
void identity_fingerprint(const struct identity *id, uint8_t out[static SHA256_LEN]);
/*
 * Fill id from the answer to enrolment or renewal (man/meshanics-api.5). need_root: the answer must carry the
 * root. Checks that the certificate is for id->key. ERR_MALFORMED, ERR_REFUSED.
 */
WARN_UNUSED int identity_from_answer(struct identity *id, struct slice json_text, bool need_root, struct error *err);
/*
 * May next, an answer to renewal that came by the worker, replace old? It must come from the CA that this device knows,
 * for this device, and keep the anchors. Its times are for the server to judge, and for the next renewal.
 * 0 or ERR_REFUSED.
 */
WARN_UNUSED int identity_check_renewed(const struct identity *next, const struct identity *old, struct error *err);

#endif
