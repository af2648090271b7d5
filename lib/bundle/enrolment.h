/*
 * Enrolment without a network: request, answer and identity as they lie on a stick (man/meshanics-media.5). Here is what can
 * be told from the bytes alone; who gets which name is said in fleet/, what a device keeps in agent/.
 *
 * Limits: ENROLMENT_REQUEST_MAX, _ANSWER_MAX and _IDENTITY_MAX bytes.
 */
#ifndef MESHANICS_BUNDLE_ENROLMENT_H
#define MESHANICS_BUNDLE_ENROLMENT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/name.h"
#include "bundle/media.h"
#include "crypto/sealed.h"
#include "crypto/x509.h"

#define ENROLMENT_REQUEST_MAX 16384
#define ENROLMENT_ANSWER_MAX (1u << 20)
#define ENROLMENT_IDENTITY_MAX (2u << 20)
#define ENROLMENT_NONCE_LEN 32
#define ENROLMENT_HOSTNAME_MAX 255
#define ENROLMENT_FILE_MAX (MEDIA_NAME_MAX - 9)	/* of NAME, before ".identity" */

/* ---- request ---- */

/* Zero-initialise by ENROLMENT_REQUEST_INIT; release in every case. */
struct enrolment_request {
	bool renew;
	char file[ENROLMENT_FILE_MAX + 1];
	char hostname[ENROLMENT_HOSTNAME_MAX + 1];	/* as it came, without NUL */
	int64_t created_s;
	uint8_t nonce[ENROLMENT_NONCE_LEN];
	struct buf csr;			/* DER; read by enrolment_request_parse, its signature holds */
	struct pubkey key;		/* of csr */
	struct buf profile;		/* JSON text; empty: null */
	int64_t root_version;		/* 0: trusts none yet */
	uint8_t root_sha256[SHA256_LEN];
	/* with renew */
	char device[NAME_LEN_MAX + 1], site[NAME_LEN_MAX + 1];
	uint8_t certificate[SHA256_LEN];	/* SHA-256 of the present one */

	uint8_t id[SHA256_LEN];		/* SHA-256 of the whole text */
	struct buf line, present;	/* the signed line; with renew: the armored signature by the present key */
};
#define ENROLMENT_REQUEST_INIT                                                                        \
	((struct enrolment_request){.csr = BUF_INIT(X509_SIZE_MAX),                                   \
				    .profile = BUF_INIT(ENROLMENT_REQUEST_MAX),                       \
				    .line = BUF_INIT(ENROLMENT_REQUEST_MAX),                          \
				    .present = BUF_INIT(ENROLMENT_REQUEST_MAX)})
void enrolment_request_release(struct enrolment_request *q);

/* Can NAME be the name of a request on a stick? ERR_USAGE with a hint. */
WARN_UNUSED int enrolment_file_check(struct slice name, struct error *err);
/* 32 random bytes. */
void enrolment_nonce(struct enrolment_request *q);
/*
 * Append the text of q: file, hostname, created, nonce, profile, root and with renew the rest are as the caller has set
 * them; the certificate request is made of `key`. present: with renew the key of the present certificate, else NULL.
 */
WARN_UNUSED int enrolment_request_put(struct buf *out, const struct enrolment_request *q, const struct seckey *key,
				      const struct seckey *present, struct error *err);
/*
 * Read a whole request and check its signature by its own key; that of the present key is for enrolment_request_check.
 * q is overwritten. ERR_MALFORMED, ERR_LIMIT, ERR_REFUSED (a signature does not hold).
 */
WARN_UNUSED int enrolment_request_parse(struct enrolment_request *q, struct slice text, struct error *err);
/* 0 is the only yes: the request to renew is signed by this key, which is that of the certificate it names. */
WARN_UNUSED int enrolment_request_check(const struct enrolment_request *q, const struct pubkey *present,
					struct error *err);
/* What people compare: hex SHA-256 of the key (SubjectPublicKeyInfo, DER). */
void enrolment_fingerprint(char out[static SHA256_HEX_LEN], const struct pubkey *key);

/* ---- answer ---- */

struct enrolment_answer {
	uint8_t request[SHA256_LEN];
	uint8_t nonce[ENROLMENT_NONCE_LEN];
	char device[NAME_LEN_MAX + 1], site[NAME_LEN_MAX + 1];
	int64_t root_version;
	uint8_t root_sha256[SHA256_LEN];
	struct buf root;
	struct slice line;		/* borrows from the text: what identity_from_answer reads */
	struct slice signature;		/* armored */
};
#define ENROLMENT_ANSWER_INIT ((struct enrolment_answer){.root = BUF_INIT(ENROLMENT_ANSWER_MAX)})
void enrolment_answer_release(struct enrolment_answer *a);

/*
 * Begin the line of an answer, an open object in w; the caller puts the rest of its members, root included, and then
 * calls enrolment_answer_end, which closes it and appends line and signature to out.
 */
void enrolment_answer_begin(struct json_writer *w, const struct enrolment_request *q, int64_t now_s);
WARN_UNUSED int enrolment_answer_end(struct buf *out, struct json_writer *w, const struct seckey *record_key,
				     struct error *err);
/*
 * Read a whole answer; text is borrowed. The root inside has the version and hash that are said of it, and is of the
 * site; nothing says yet that it is to be trusted, nor who has signed. ERR_MALFORMED, ERR_LIMIT, ERR_REFUSED.
 */
WARN_UNUSED int enrolment_answer_parse(struct enrolment_answer *a, struct slice text, struct error *err);
/* 0 is the only yes: it answers exactly this request, and was signed by a site record key of the root inside. */
WARN_UNUSED int enrolment_answer_check(const struct enrolment_answer *a, const struct enrolment_request *q,
				       struct error *err);

/* ---- identity ---- */

struct enrolment_identity {
	struct seckey *key;		/* owned */
	struct buf request, answer;	/* their texts */
};
#define ENROLMENT_IDENTITY_INIT                                                                       \
	((struct enrolment_identity){.request = BUF_INIT(ENROLMENT_REQUEST_MAX), .answer = BUF_INIT(ENROLMENT_ANSWER_MAX)})
void enrolment_identity_release(struct enrolment_identity *i);

/* Append the line. secret_out: BUF_SECRET. */
WARN_UNUSED int enrolment_identity_put(struct buf *secret_out, const struct seckey *key, struct slice request,
				       struct slice answer, struct error *err);
WARN_UNUSED int enrolment_identity_parse(struct enrolment_identity *i, struct slice text, struct error *err);

/* Seal a line, and open it. Is this text sealed at all? */
bool enrolment_is_sealed(struct slice text);
WARN_UNUSED int enrolment_seal(struct buf *out, struct slice line, struct slice passphrase, struct error *err);
/* ERR_REFUSED: a wrong passphrase, or bytes that were changed. */
WARN_UNUSED int enrolment_unseal(struct buf *secret_out, struct slice sealed, struct slice passphrase, struct error *err);

#endif
