/*
 * The TUF client workflow (specification 1.0.34, section 5) as an engine that does no I/O and reads no clock: it says
 * which file it wants, is fed the bytes (or told that there are none), and says what next.
 *
 *	c = tuf_client_new(anchor, &options, err);
 *	while ((w = tuf_client_want(c)) != NULL)
 *		... get w, then tuf_client_feed, _absent or _fail; stop at -1 ...
 *	tuf_client_lookup(c, "plant/plc/1.2.0", err); the same loop again; tuf_client_result(c, &result, err)
 *
 * Stages (a failure is final for this client, but for one during SEARCH, which ends only that search):
 *
 *	client mode:  ROOT ---------> TIMESTAMP -> SNAPSHOT -> TARGETS -> READY <-> SEARCH
 *	import mode:  ROOT with OWN ------------------------> TARGETS -> WALK -> READY
 *	with facts:   QUICK -> READY, or, when anything is new, expired or searched, -> ROOT as above
 *
 * QUICK: facts say what an earlier update has verified. Only what must come from the server is fetched, (N+1).root.json
 *	and the timestamp; when there is no such root, the timestamp is the same to the byte and nothing has expired, then
 *	all of it still holds and no file is read or parsed. Else the stages above run, with what has been fetched.
 * ROOT: the stored root, then (N+1).root.json until there is none, at most TUF_ROOTS_MAX of them (5.3).
 * OWN: the site's own stored snapshot. An import may not go below the versions that it lists; for the targets role
 *	that bound falls when the new roots change both the targets keys and the online keys (recovery, as in 5.3.11).
 * TIMESTAMP, SNAPSHOT, TARGETS: the stored file first, the server's where that is not good enough (5.4 to 5.6).
 * WALK: every delegated role, signed as each of its delegators asks; one that the import lacks stays as it is stored, or,
 *	where its delegator has given it other keys, has published nothing until these do.
 * SEARCH: delegations in pre-order, depth first, at most TUF_SEARCH_MAX roles (5.6.7).
 *
 * Every file is checked completely before it becomes part of the trusted state; tuf_client_changes then lists what to
 * store. That list is good also after a failure: what came before the failure has been verified (5.3.8, 5.4.5, 5.5.7).
 *
 * Time used = max(system clock, floor, build time). A timestamp's signed x-meshanics-signed-at raises the floor, never
 * above the trusted root's expiry; a root that changes the timestamp keys drops it, before that root's own expiry check.
 * What has expired by the system clock alone is ERR_RETRY (a right clock, or a refreshed repository, heals it); what has
 * expired by signed time or build time as well is ERR_REFUSED, as is every other broken check.
 */
#ifndef MESHANICS_TUF_ENGINE_H
#define MESHANICS_TUF_ENGINE_H

#include "tuf/metadata.h"

#define TUF_ROOTS_MAX 256	/* root files accepted in one update */
#define TUF_SEARCH_MAX 32	/* delegated roles visited for one target */
#define TUF_WALK_MAX 65536	/* delegated roles in one import */
#define TUF_URL_PATH_MAX 4096	/* bytes of a wanted path, with NUL */

enum tuf_mode {
	TUF_MODE_CLIENT,	/* a device or a checker against a repository */
	TUF_MODE_IMPORT,	/* a site's repository takes root, targets and delegations; snapshot and timestamp are its own */
};

/* What an update has verified, to be kept beside the files by the caller (facts.h), and believed as much as these. */
struct tuf_facts {
	uint8_t anchor[SHA256_LEN];	/* SHA-256 of the anchor */
	uint8_t timestamp[SHA256_LEN];	/* and of the timestamp as received */
	bool consistent_snapshot;
	struct {
		int64_t version, expires_s;
	} roles[TUF_TYPES];
};

struct tuf_options {
	enum tuf_mode mode;
	int64_t clock_s;	/* the system clock at the start of the update */
	int64_t floor_s;	/* the stored time floor; 0: none */
	int64_t build_s;	/* build time of the program; 0 where it must not count */
	bool no_floor;		/* signed-at neither raises the time of this update nor the floor (tuf-client) */
	const struct tuf_facts *facts;	/* of the last update in client mode, copied; NULL: everything is verified anew */
};

/* One file that the engine wants. Valid until the next call on the client. */
struct tuf_want {
	bool stored;			/* from the local trusted store, by role; absence is always fine */
	bool may_be_absent;		/* 403 or 404 is an answer (tuf_client_absent), not a failure */
	char role[TUF_ROLE_NAME_MAX + 1];
	int64_t version;		/* in the path, or 0 */
	char path[TUF_URL_PATH_MAX];	/* below the metadata URL, percent-encoded: "3.root.json" */
	uint64_t max_len;		/* more bytes than this are refused; the ceiling for the reader's buffer */
	int64_t length;			/* exact length if signed, else -1 */
	struct tuf_hashes hashes;	/* if signed */
};

struct tuf_client;

/*
 * anchor: the pinned root file, copied. -1 when it is malformed or not signed by itself (5.2): before any want.
 */
WARN_UNUSED struct tuf_client *tuf_client_new(struct slice anchor, const struct tuf_options *options, struct error *err);
void tuf_client_free(struct tuf_client *c);	/* NULL is fine */

/* What is wanted now; NULL when the update or the search is through, or has failed. */
const struct tuf_want *tuf_client_want(const struct tuf_client *c);
/* The wanted bytes. Takes the content of bytes, which is empty afterwards (also on failure). -1: the update failed. */
WARN_UNUSED int tuf_client_feed(struct tuf_client *c, struct buf *bytes, struct error *err);
/* There is no such file (403, 404, not in the store). -1 when that fails the update. */
WARN_UNUSED int tuf_client_absent(struct tuf_client *c, struct error *err);
/* It could not be had: `why` (the cause, kept in kind and text) ends the update. Always -1, with err set. */
int tuf_client_fail(struct tuf_client *c, const struct error *why, struct error *err);

/* The trusted state is up to date: no want of the update is open, and it has not failed. */
bool tuf_client_ready(const struct tuf_client *c);

/* ---- targets (client mode, when ready) ---- */

/*
 * Begin to search a target; then serve the wants. ERR_USAGE when the path is none (tuf_path_check); a client may
 * search many targets, one after the other.
 */
WARN_UNUSED int tuf_client_lookup(struct tuf_client *c, struct slice path, struct error *err);

struct tuf_result {
	char role[TUF_ROLE_NAME_MAX + 1];	/* that lists it */
	struct slice path;			/* borrowed from the client, until the next lookup */
	uint64_t length;
	struct tuf_hashes hashes;
	struct slice custom;			/* raw JSON object as signed, or empty; as path */
	bool prefixed;				/* the file name in the URL carries its hash (consistent snapshot) */
};
/* The target found. ERR_NOT_FOUND: no role that may speak for the path lists it. */
WARN_UNUSED int tuf_client_result(const struct tuf_client *c, struct tuf_result *out, struct error *err);
/*
 * A search that has ended well and the time until which its result stands for as long as the facts do: no role that
 * was visited has expired by then. false: nothing was searched and found, or it was recalled.
 */
struct tuf_found {
	struct tuf_result target;
	int64_t expires_s;
};
bool tuf_client_found(const struct tuf_client *c, struct tuf_found *out);
/*
 * In place of a lookup: take the result of an earlier search for f->target.path, made when the facts were the same.
 * Copies it. false: it cannot be used now (something is new, or has expired), and the path is to be looked up.
 */
bool tuf_client_recall(struct tuf_client *c, const struct tuf_found *f);

/*
 * Append the URL path below the targets URL: DIR/HASH.FILE or DIR/FILE, percent-encoded but for slashes. SHA-256 is
 * taken where known, else SHA-512.
 */
void tuf_result_put_path(struct buf *out, const struct tuf_result *r);

/*
 * ---- what is trusted now; borrowed, NULL while there is none ----
 * The files are not at hand when facts alone have answered; versions always are, 0 while there is none.
 */
int64_t tuf_client_version(const struct tuf_client *c, enum tuf_type type);
const struct tuf_root *tuf_client_root(const struct tuf_client *c);
const struct tuf_timestamp *tuf_client_timestamp(const struct tuf_client *c);
const struct tuf_snapshot *tuf_client_snapshot(const struct tuf_client *c);
const struct tuf_targets *tuf_client_targets(const struct tuf_client *c);
int64_t tuf_client_time(const struct tuf_client *c);	/* the time used, seconds */
int64_t tuf_client_floor(const struct tuf_client *c);	/* the floor to store; 0: none; -1 with no_floor: leave it */

/* ---- what to store ---- */

struct tuf_change {
	const char *role;	/* "root", "timestamp", "publisher"... */
	struct slice bytes;	/* as received; ptr NULL: remove it */
	int64_t version;	/* 0 when removed */
};
/*
 * Changes against the store since the last tuf_client_stored: root first. Returns the count; *list is borrowed until
 * the next call on the client. Of several new roots only the last is listed; those who publish them all take them
 * from tuf_client_chain.
 */
unsigned tuf_client_changes(struct tuf_client *c, const struct tuf_change **list);
/* The caller has stored the changes. */
void tuf_client_stored(struct tuf_client *c);
/* What to keep for the next update. false: the update is not through, or what is kept already still holds. */
bool tuf_client_facts(const struct tuf_client *c, struct tuf_facts *out);
/* The roots accepted in this update, oldest first, as received. Returns the count. */
unsigned tuf_client_chain(const struct tuf_client *c, const struct slice **list);

#endif
