/*
 * The audit trail (man/meshanics-audit.5): append-only rows, each carrying the hash of the one before.
 * A record's hash is SHA-256 over the OLPC canonical JSON of its members but `hash`.
 *
 * Limits: AUDIT_TEXT_MAX bytes for actor, action and object each, AUDIT_DETAIL_MAX for the detail.
 */
#ifndef MESHANICS_STORE_AUDIT_H
#define MESHANICS_STORE_AUDIT_H

#include "crypto/hash.h"
#include "db/db.h"

#define AUDIT_TEXT_MAX 320
#define AUDIT_DETAIL_MAX 16384
#define AUDIT_RECORD_MAX 32768	/* bytes of one exported line */

/* What the caller says; borrowed for the call. */
struct audit_entry {
	int64_t time_s;
	const char *actor;	/* "operator:alice", "local:0", "device:press-3", "serve" */
	const char *action;	/* "rollout.create": noun.verb, our own literal */
	const char *object;	/* "rollout:7", "device:press-3", or "" */
	const char *verdict;	/* "ok", "refused", "failed" or "noted" */
	struct slice detail;	/* JSON object, or empty for {} */
};

/* A stored record, filled by a walk; slices borrowed until the next step. */
struct audit_record {
	int64_t seq, time_s;
	struct slice actor, action, object, verdict, detail;
	uint8_t prev[SHA256_LEN], hash[SHA256_LEN];
};

/* The newest record's number and hash; seq 0 and zeros before the first. */
struct audit_head {
	int64_t seq;
	uint8_t hash[SHA256_LEN];
};

/*
 * Append one record. Control bytes in texts and in detail's strings are recorded as \xNN; texts are cut to
 * their limit. -1: detail is no JSON object or too large, or the database said no.
 */
WARN_UNUSED int audit_append(struct db *db, const struct audit_entry *e, struct error *err);
WARN_UNUSED int audit_head(struct db *db, struct audit_head *out, struct error *err);

/* What a listing asks for. Zero or NULL members ask for nothing. */
struct audit_filter {
	int64_t from_seq, to_seq;	/* inclusive */
	int64_t since_s, until_s;
	const char *actor, *action, *object;	/* exact; an action ending in '.' is a prefix */
	unsigned limit;		/* at most so many; 0: all */
	bool newest_first;
};
struct audit_walk {
	struct query q;
	struct audit_record record;
};
/* for (audit_walk_open(...); (r = audit_walk_next(&w, err)) > 0; ) { w.record }; audit_walk_close(&w); */
void audit_walk_open(struct audit_walk *w, struct db *db, const struct audit_filter *f);
WARN_UNUSED int audit_walk_next(struct audit_walk *w, struct error *err);
void audit_walk_close(struct audit_walk *w);

/* Append r as one line of an export, without the line's end. */
void audit_record_put(struct buf *out, const struct audit_record *r);
/* The hash that r ought to have, from its other members. -1 when detail is not canonical JSON. */
WARN_UNUSED int audit_record_hash(const struct audit_record *r, uint8_t out[static SHA256_LEN], struct error *err);

#endif
