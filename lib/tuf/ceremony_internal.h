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
	struct tuf_root *root, *root_in_force, *like;
	struct tuf_targets *targets, *targets_in_force;
	unsigned confirmed; /* enum ceremony_roles: what is in force by the reader's own copy, too */
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
/* "%.16s..." of an id, with the label in front where the request has one. */
void ceremony_put_who(struct buf *out, const struct ceremony *c, const char *keyid);
/* ---- ceremony_in_force.c ---- */
/*
 * "Against root version 1, " and how that comes to be in force; the caller ends the line. ceremony_put_doubt is the
 * line after it, where there is doubt.
 */
void ceremony_put_against(struct buf *out, const struct ceremony *c, enum ceremony_roles role);
void ceremony_put_doubt(struct buf *out, const struct ceremony *c, enum ceremony_roles role);
/* Whose targets the site takes, where it has none of its own. */
void ceremony_put_like(struct buf *out, const struct ceremony *c);
/* ---- ceremony_changes.c: what the statement says of root and of targets against those in force ---- */
void ceremony_put_root_changes(struct buf *out, const struct ceremony *c, int64_t now_s);
void ceremony_put_targets_changes(struct buf *out, const struct ceremony *c, const struct repo_publisher *next,
				  unsigned next_count);
/* The id under which a demand of the document lists the key, that of the new role first; or NULL. */
const char *ceremony_listed_id(const struct ceremony_document *d, const struct pubkey *key);
/* The root whose targets role signs the request's targets. */
const struct tuf_root *ceremony_signing_root(const struct ceremony *c);

/* ---- ceremony_check.c ---- */
/* The documents and what is in force, as read, make a request of this purpose that may be signed. */
WARN_UNUSED int ceremony_check_content(const struct ceremony *c, struct slice purpose, struct error *err);

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
/* An online role of root: this one key. */
void ceremony_put_online_role(struct json_writer *w, const char *name, const struct pubkey *k);
/* _type, spec_version, version and expires of a `signed` value. */
void ceremony_put_head(struct json_writer *w, const char *type, int64_t version, int64_t expires_s);
/* The member "delegations" of targets. */
void ceremony_put_delegations(struct json_writer *w, const struct repo_publisher *list, unsigned count);
void ceremony_put_request_head(struct json_writer *w, const char *purpose, const char *site, bool rehearsal,
			       int64_t now_s, const uint8_t *nonce, const char *transcript_head);
/* Member "labels" for the keys with a name, each once. */
void ceremony_put_labels(struct json_writer *w, const struct ceremony_name *names, unsigned count);
/* ---- ceremony_delegate.c: the next targets ---- */
/* The publishers in force without the removed, each replaced or followed by the given. Free with publishers_free. */
WARN_UNUSED int ceremony_next_publishers(const struct ceremony_delegation *d, const struct tuf_targets *old,
					 struct repo_publisher **list, unsigned *count, struct error *err);
/* Member "targets": what is in force, one version on, with these publishers. */
void ceremony_put_next_targets(struct json_writer *w, const struct ceremony_delegation *d,
			       const struct tuf_targets *old, const struct repo_publisher *list, unsigned count);
WARN_UNUSED int ceremony_check_delegation(const struct ceremony_delegation *d, struct error *err);

/* What was written must be readable as a request: our own mistakes are found here, not at a
 * signer's table. */
WARN_UNUSED int ceremony_check_written(const struct buf *out, size_t from, struct error *err);
/* ---- ceremony_rotate.c plans, ceremony_rotate_write.c writes ---- */
/* One key of the next root: from the one in force as it stands there, or new. */
struct rotation_key {
	char id[KEY_FINGERPRINT_LEN];
	const struct pubkey *key;
	struct json_value object; /* JSON_NONE: write it from key */
};

/* The keys of an offline role to be. */
struct rotation_role {
	struct rotation_key list[CEREMONY_SIGNERS_MAX];
	unsigned count, threshold;
};

struct rotation {
	const struct ceremony_rotation *r;
	struct tuf_root *old;		 /* NULL: the root to be is the first of its site */
	struct tuf_root *like;		 /* whose root and targets keys it has; NULL: those of old */
	struct tuf_targets *old_targets; /* NULL: targets stay as they are */
	struct rotation_role root, targets;
	struct repo_publisher *publishers; /* of the next targets */
	unsigned publisher_count;
	struct ceremony_name *names;
	unsigned name_count;
};
/* The request for the first root of a site that takes the targets of another: r has no root in force, but online keys. */
WARN_UNUSED int ceremony_first_like(struct buf *out, const struct ceremony_rotation *r, struct error *err);
/* Append the request. */
WARN_UNUSED int rotation_write(struct buf *out, const struct rotation *t, struct error *err);

#endif
