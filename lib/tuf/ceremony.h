/*
 * Ceremonies: root and targets metadata made by people whose machines share nothing but a stick
 * (man/meshanics-ceremony.5 has the formats, man/meshanics-ceremonies.7 the story).
 *
 *	new, rotate, delegate ---> REQUEST ---sign---> ANSWER (one a signer)
 *	                              |                   |
 *	                              +------ finish <----+----> root.json, targets.json
 *	                                         verify, at any time afterwards
 *
 * A request holds complete unsigned metadata, the metadata it replaces, and nothing secret. It never changes:
 * its fingerprint is the SHA-256 of its canonical form, and an answer is good for that fingerprint only. What a
 * signer reads (ceremony_statement) is computed from the metadata that he signs. No function here reads a clock
 * or a terminal.
 *
 * Limits: CEREMONY_REQUEST_MAX and CEREMONY_ANSWER_MAX bytes, CEREMONY_SIGNERS_MAX signers,
 * CEREMONY_ANSWERS_MAX answers.
 */
#ifndef MESHANICS_TUF_CEREMONY_H
#define MESHANICS_TUF_CEREMONY_H

#include "crypto/keyfile.h"
#include "tuf/repo_keys.h"

#define CEREMONY_REQUEST_MAX (8u << 20)
#define CEREMONY_ANSWER_MAX (64u << 10)
#define CEREMONY_SIGNERS_MAX 64
#define CEREMONY_ANSWERS_MAX 256
#define CEREMONY_KEYID_MIN 8	/* digits of a key id that choose among the keys of a root; nothing is confirmed by them */
#define CEREMONY_REHEARSAL_COMMENT "rehearsal"	/* the comment of a throwaway key file begins so */

/* A public key that takes part, with what people call it. The label is not signed; the key id is. */
struct ceremony_signer {
	char label[NAME_LEN_MAX + 1];
	struct pubkey key;
};

/* What people call a key that a request knows by its id only. Not signed either. */
struct ceremony_name {
	char keyid[KEY_FINGERPRINT_LEN];
	char label[NAME_LEN_MAX + 1];
};

/* ---- new: the request for the first root and targets ---- */
struct ceremony_plan {
	const struct online_keys *online;
	const struct ceremony_signer *root_signers, *targets_signers;
	unsigned root_count, targets_count;
	unsigned root_threshold, targets_threshold;
	int64_t root_life_s, targets_life_s;
	/* In place of those in online, when publisher_count > 0: keys by name from there unless they bring keys. */
	const struct repo_publisher *publishers;
	unsigned publisher_count;
	const struct pubkey *export_keys;	/* record keys of HQ, beside those in online */
	unsigned export_count;
	/*
	 * The newest root of the site whose targets this one takes as they are, or empty. Root keys, targets keys and
	 * thresholds are its own then, and export keys where none are given; the request holds no targets. No signers,
	 * thresholds and publishers are given; names are.
	 */
	struct slice like;
	const struct ceremony_name *names;
	unsigned name_count;
	bool rehearsal;
	int64_t now_s;
	const uint8_t *nonce;			/* 16 random bytes */
	const char *transcript_head;		/* hex, of the machine that makes it; or NULL */
};
/* Append the request. ERR_USAGE (thresholds, counts), ERR_REFUSED (slices overlap, one key twice in a role, ...). */
WARN_UNUSED int ceremony_new(struct buf *out, const struct ceremony_plan *plan, struct error *err);

/* ---- delegate: the request for the next targets under an existing root ---- */
struct ceremony_delegation {
	struct slice root, targets;	/* files in force */
	const struct repo_publisher *publishers;	/* added, or replacing the one of that name */
	unsigned publisher_count;
	const char *const *removed;	/* names of publishers that lose their slice */
	unsigned removed_count;
	int64_t life_s;
	const struct ceremony_name *names;
	unsigned name_count;
	int64_t now_s;
	const uint8_t *nonce;
	const char *transcript_head;
};
/* With nothing added or removed: a renewal of targets as they are. */
WARN_UNUSED int ceremony_delegate(struct buf *out, const struct ceremony_delegation *d, struct error *err);

/* ---- rotate: the request for the next root and, where targets are given, the next targets under it ---- */
enum ceremony_roles {
	CEREMONY_ROOT = 1 << 0,
	CEREMONY_TARGETS = 1 << 1,
	CEREMONY_LIKE = 1 << 2,		/* the root of the site whose targets are taken; of what a request calls in force */
};
/* A key that loses its part: the one given, or the only one whose id begins with these digits. */
struct ceremony_removal {
	const struct pubkey *key;	/* NULL: by id */
	const char *keyid;		/* CEREMONY_KEYID_MIN to 64 digits */
	const char *said;		/* the operator's word for it */
	unsigned roles;			/* ERR_NOT_FOUND when it is in none of them */
};
struct ceremony_rotation {
	/*
	 * Root in force, targets in force (empty: they stay as they are), what happens to publishers, and the life of
	 * targets. A publisher without keys gets those that online has for its name.
	 */
	struct ceremony_delegation next;
	const struct ceremony_signer *root_added, *targets_added;
	unsigned root_added_count, targets_added_count;
	const struct ceremony_removal *removed;
	unsigned removed_count;
	unsigned root_threshold, targets_threshold;	/* 0: as in force */
	const struct online_keys *online;		/* NULL: the online keys stay */
	const struct pubkey *export_keys;		/* in place of those in force; none: these stay */
	unsigned export_count;
	int64_t root_life_s;
	/*
	 * The newest root of the site whose targets this one takes, or empty: as in ceremony_plan. Nothing else is said of
	 * root and targets keys then, and no targets are given.
	 */
	struct slice like;
};
/*
 * With nothing added, removed or set: a renewal. ERR_USAGE, ERR_REFUSED, ERR_NOT_FOUND: what makes no sense (a
 * threshold above the keys, a key that is there already, an online key as root key, ...).
 */
WARN_UNUSED int ceremony_rotate(struct buf *out, const struct ceremony_rotation *r, struct error *err);

/*
 * Keys for a rehearsal: `count` signers, whose unsealed key files rehearsal-1.key, ... are written to dirfd, and
 * online keys that exist in public only. online is overwritten and then owned by the caller.
 */
WARN_UNUSED int ceremony_rehearsal_keys(int dirfd, const char *site, unsigned count, int64_t now_s,
					struct ceremony_signer *signers, struct online_keys *online,
					struct error *err);

/* What a file says it is, for those who are handed many; nothing is checked by this. */
enum ceremony_kind { CEREMONY_OTHER, CEREMONY_REQUEST, CEREMONY_ANSWER, CEREMONY_METADATA };
enum ceremony_kind ceremony_kind(struct slice text);

/* ---- a request as read ---- */
struct ceremony;

/* Parse and check everything that needs no signature; text is copied. NULL: ERR_MALFORMED, ERR_LIMIT, ERR_REFUSED. */
WARN_UNUSED struct ceremony *ceremony_parse(struct slice text, struct error *err);
void ceremony_free(struct ceremony *c);	/* NULL is fine */
const char *ceremony_fingerprint(const struct ceremony *c);	/* 64 hex digits */
const char *ceremony_site(const struct ceremony *c);
bool ceremony_rehearsal(const struct ceremony *c);
const char *ceremony_like(const struct ceremony *c);	/* the site whose targets this one takes; NULL: it has its own */
/*
 * A request brings along what it calls in force, and only the reader can know whether that is so. own is his copy of
 * that file: the same one byte for byte (white space around it aside), and from then on the statement relies on it.
 * ERR_REFUSED when it is another one, ERR_USAGE when the request has none of this role.
 */
WARN_UNUSED int ceremony_confirm(struct ceremony *c, enum ceremony_roles role, struct slice own, struct error *err);
/* The request calls a file of this role in force, and nobody has confirmed it. */
bool ceremony_unconfirmed(const struct ceremony *c, enum ceremony_roles role);
/*
 * In plain words, from the metadata itself: what will be trusted, what changes against what is in force, and whether
 * that has been confirmed.
 */
void ceremony_statement(struct buf *out, const struct ceremony *c, int64_t now_s);

/* A document of the request: the metadata of one role, waiting for signatures. */
struct ceremony_document {
	const char *role;		/* "root" or "targets" */
	int64_t version, expires_s;
	struct slice signed_json;
	unsigned demand_count;		/* who must sign: the new role's keys, for root also the old one's */
	struct {
		const struct tuf_role *role;
		const char *why;	/* "root", "root in force", "targets" */
	} demands[2];
};
unsigned ceremony_document_count(const struct ceremony *c);
const struct ceremony_document *ceremony_document_at(const struct ceremony *c, unsigned i);
/* What the request calls this key id; empty when it has no label. Borrowed. */
struct slice ceremony_label(const struct ceremony *c, const char *keyid);
/* All it calls by name: *list is to be freed. The count. */
unsigned ceremony_names(const struct ceremony *c, struct ceremony_name **list);

/* ---- sign ---- */
/*
 * prefix: what the signer typed of the fingerprint; spaces are dropped, case does not matter.
 * ERR_USAGE when shorter than FINGERPRINT_DIGITS_MIN or not hex, ERR_REFUSED when it differs.
 */
WARN_UNUSED int ceremony_check_prefix(const struct ceremony *c, const char *prefix, struct error *err);
/* May this key file sign this request? Named in it, and throwaway exactly when it is a rehearsal. ERR_REFUSED. */
WARN_UNUSED int ceremony_check_key(const struct ceremony *c, const struct keyfile *key, struct error *err);
/* The request may still be signed at now_s: nothing in it has expired. ERR_REFUSED. */
WARN_UNUSED int ceremony_check_time(const struct ceremony *c, int64_t now_s, struct error *err);
/* Append the answer: signatures for every document whose demands name the key, and a proof over the answer itself. */
WARN_UNUSED int ceremony_sign(struct buf *out, const struct ceremony *c, const struct seckey *key, int64_t now_s,
			      const char *transcript_head, struct error *err);

/* ---- status and finish ---- */
struct ceremony_answer_info {
	char keyid[KEY_FINGERPRINT_LEN];
	int64_t signed_s;
	uint8_t sha256[SHA256_LEN];	/* of the answer file */
	bool documents[2];		/* what it signs, by document */
	char transcript[KEY_FINGERPRINT_LEN];	/* head of the signer's transcript before; "" when not said */
};
/*
 * Take an answer into c: ERR_REFUSED for another request, a key that is not asked, a bad signature or proof;
 * ERR_CONFLICT when that key has answered already; ERR_MALFORMED, ERR_LIMIT. out may be NULL.
 */
WARN_UNUSED int ceremony_add_answer(struct ceremony *c, struct slice text, struct ceremony_answer_info *out,
				    struct error *err);
/* Does the text claim to answer this request? Only for sorting what lies about: nothing is checked by this. */
bool ceremony_is_answered_by(const struct ceremony *c, struct slice text);
/* Who has signed for document i, demand d: keyids of role->keys in order, true where signed. */
struct ceremony_tally {
	unsigned signed_count, threshold;
	bool has_signed[TUF_ROLE_KEYS_MAX];
};
void ceremony_tally(const struct ceremony *c, unsigned document, unsigned demand, struct ceremony_tally *out);
/*
 * The smallest sets of missing signers whose answers would complete the request, at most CEREMONY_WAYS_MAX of them.
 * The count; 0 when it is complete, or when more than CEREMONY_WAY_KEYS_MAX signers are missing.
 */
#define CEREMONY_WAYS_MAX 8
#define CEREMONY_WAY_KEYS_MAX 16
struct ceremony_way {
	const struct tuf_key *keys[CEREMONY_WAY_KEYS_MAX];	/* borrowed from c */
	unsigned count;
};
unsigned ceremony_ways(const struct ceremony *c, struct ceremony_way list[static CEREMONY_WAYS_MAX]);
/* When the first document of the request expires: until then it can be signed and finished. */
int64_t ceremony_expires_s(const struct ceremony *c);
/* Every threshold is met. ERR_REFUSED naming the role and who is missing. */
WARN_UNUSED int ceremony_complete(const struct ceremony *c, struct error *err);
/*
 * Append the finished file of document i, after ceremony_complete, verified as a client verifies it (root by
 * itself and, where there is one, by the root in force; targets by root).
 */
WARN_UNUSED int ceremony_finish(const struct ceremony *c, unsigned document, int64_t now_s, struct buf *out,
				struct error *err);

/* ---- transcript: HOME/ceremony/transcript, one JSON line a step, chained by SHA-256 ---- */
struct transcript_step {
	const char *step;		/* "new", "rotate", "delegate", "sign", "finish" */
	const char *fingerprint;	/* of the request */
	const char *detail;		/* printable words */
	const char *const *files;	/* names ... */
	const uint8_t (*hashes)[SHA256_LEN];	/* ... and the SHA-256 of each file read or written */
	unsigned file_count;
	int64_t now_s;
	const char *head;	/* when the step began: ERR_RETRY when another came between; NULL: whichever */
};
#define TRANSCRIPT_HEAD_LEN 65
#define TRANSCRIPT_SIZE_MAX (16u << 20)
/*
 * Append a line. The whole chain is checked first: ERR_REFUSED naming the line when it does not hold. head gets
 * the new head (hex).
 */
WARN_UNUSED int transcript_append(const char *home, const struct transcript_step *step,
				  char head[static TRANSCRIPT_HEAD_LEN], struct error *err);
/* Check the chain, append its text to out; an absent transcript is an empty one, whose head is 64 zeros. */
WARN_UNUSED int transcript_read(const char *home, struct buf *out, char head[static TRANSCRIPT_HEAD_LEN],
				struct error *err);

/* Walks the text of a transcript, whoever's it is, and checks each line against the one before. */
struct transcript_reader {
	char head[TRANSCRIPT_HEAD_LEN];	/* of the lines read so far */
	int64_t n;			/* and their count */
	/* The last line read; borrowed until the next call. */
	int64_t time_s;
	struct slice prev, step, request, detail;
	struct json_value files;	/* array of {name, sha256}, checked */
	/* private */
	struct slice text;
	size_t at;
	struct json doc;
};
void transcript_start(struct transcript_reader *t, struct slice text);	/* text is borrowed */
/* 1: a line, 0: the end, -1: ERR_REFUSED, ERR_MALFORMED naming the line. */
WARN_UNUSED int transcript_next(struct transcript_reader *t, struct error *err);
void transcript_stop(struct transcript_reader *t);

/* ---- verify: do request, answers, results and transcripts fit each other? ---- */
enum ceremony_verdict {
	CEREMONY_HOLDS,
	CEREMONY_UNPROVEN,	/* nothing speaks against it, and no transcript for it */
	CEREMONY_BROKEN,
};
struct ceremony_finding {
	enum ceremony_verdict verdict;
	const char *file;	/* as it was named */
	const char *text;	/* printable words */
};
struct ceremony_file {
	const char *name;	/* the transcripts speak of what follows its last slash */
	struct slice text;
	bool own;		/* a transcript of this home: it need not speak of this ceremony */
};
struct ceremony_evidence {
	struct ceremony_file request;
	const struct ceremony_file *files;	/* answers and results, told apart by what they are */
	unsigned file_count;
	const struct ceremony_file *transcripts;
	unsigned transcript_count;
	/* The auditor's own copy of the root in force before, and of the one it is made like; without a name: he has none. */
	struct ceremony_file root, like;
	bool strict;	/* what is unproven does not hold */
	void (*tell)(void *arg, const struct ceremony_finding *f);	/* each check, in order; may be NULL */
	void *arg;
};
/*
 * Checked are: the request by itself; that the root which it calls in force is the auditor's, without whose copy that is
 * unproven; each answer against it; the thresholds; each result (the document of the request,
 * signatures of the answers and no others, the chain as a client checks it; not whether it has expired since); the chain
 * of each transcript; that the heads which request and answers carry stand where they were made, at the same time; that
 * the lines of this ceremony name these files by their hashes. 0: all of it holds. ERR_REFUSED: the first that does not.
 */
WARN_UNUSED int ceremony_verify(const struct ceremony_evidence *e, struct error *err);

#endif
