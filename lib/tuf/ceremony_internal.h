/* The inside of a ceremony request as read, shared by the ceremony*.c files only. */
#ifndef MESHANICS_TUF_CEREMONY_INTERNAL_H
#define MESHANICS_TUF_CEREMONY_INTERNAL_H

#include "tuf/ceremony.h"
#include "tuf/metadata_sign.h"

#define CEREMONY_REQUEST_FORMAT "meshanics ceremony request 1"
#define CEREMONY_ANSWER_FORMAT "meshanics ceremony answer 1"
#define CEREMONY_PROOF_NAMESPACE "meshanics-ceremony"
#define CEREMONY_SPEC_VERSION "1.0.34"
#define CEREMONY_NONCE_LEN 16

/* One answer that has been verified: the key and what it signed. */
struct ceremony_answer {
	struct pubkey key;
	char keyid[KEY_FINGERPRINT_LEN];
	struct buf sigs[2];	/* by document; empty where the key is not asked */
};

struct ceremony {
	struct buf text;
	struct json doc;
	char fingerprint[KEY_FINGERPRINT_LEN];
	char site[NAME_LEN_MAX + 1];
	bool rehearsal;
	struct json_value labels;
	/* Unsigned files around the `signed` values of the request, and those in force; NULL where absent. */
	struct buf root_text, targets_text;
	struct tuf_root *root, *root_in_force;
	struct tuf_targets *targets, *targets_in_force;
	struct ceremony_document documents[2];
	unsigned document_count;
	struct ceremony_answer *answers;
	unsigned answer_count;
};

/* The publishers that a targets file delegates to, as read from it; free with publishers_free. ERR_REFUSED, ERR_MALFORMED. */
WARN_UNUSED int publishers_of_targets(const struct tuf_targets *targets, struct repo_publisher **list,
				      unsigned *count, struct error *err);
void publishers_free(struct repo_publisher *list, unsigned count);
/* The file of document i with the signatures of the answers, appended to out. */
WARN_UNUSED int ceremony_assemble(const struct ceremony *c, unsigned document, struct buf *out, struct error *err);
/* The root whose targets role signs the request's targets. */
const struct tuf_root *ceremony_signing_root(const struct ceremony *c);

/* ---- ceremony_parts.c: what requests are made of ---- */
/* Keys of one file, each once, in order of arrival. */
struct key_set {
	const struct pubkey
		*list[4 * CEREMONY_SIGNERS_MAX + ONLINE_PUBLISHERS_MAX * ONLINE_RECORD_KEYS_MAX];
	unsigned count;
};
void key_set_add(struct key_set *s, const struct pubkey *k);
/* Members "keyid": key object of the object that is open. */
void key_set_put(struct json_writer *w, const struct key_set *s);
void ceremony_put_keyid(struct json_writer *w, const struct pubkey *k);
/* _type, spec_version, version and expires of a `signed` value. */
void ceremony_put_head(struct json_writer *w, const char *type, int64_t version, int64_t expires_s);
/* The member "delegations" of targets. */
void ceremony_put_delegations(struct json_writer *w, const struct repo_publisher *list, unsigned count);
void ceremony_put_request_head(struct json_writer *w, const char *purpose, const char *site, bool rehearsal,
			       int64_t now_s, const uint8_t *nonce, const char *transcript_head);
/* What was written must be readable as a request: our own mistakes are found here, not at a
 * signer's table. */
WARN_UNUSED int ceremony_check_written(const struct buf *out, size_t from, struct error *err);
/* By name, or NULL. */
const struct repo_publisher *publisher_find(const struct repo_publisher *list, unsigned count, const char *name);
/* A copy with the keys of one and the name and slices of the other. */
void publisher_copy(struct repo_publisher *to, const struct repo_publisher *keys, const struct repo_publisher *slices);

#endif
