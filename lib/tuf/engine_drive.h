/*
 * Drivers of the engine for callers that may block: one that asks a function for each file, and one that answers
 * from blobs at hand, with which a supervisor repeats the whole verification over raw bytes that somebody it does not
 * believe has fetched.
 */
#ifndef MESHANICS_TUF_ENGINE_DRIVE_H
#define MESHANICS_TUF_ENGINE_DRIVE_H

#include "tuf/engine.h"
#include "tuf/trusted.h"

/* Where wanted files come from: append to out, whose ceiling is w->max_len. ERR_NOT_FOUND: there is none. */
struct tuf_source {
	int (*get)(void *arg, const struct tuf_want *w, struct buf *out, struct error *err);
	void *arg;
};
/*
 * Serve wants until the engine wants nothing more. Stored files come from store (may be NULL: nothing is stored),
 * the rest from source. What the store cannot read counts as absent.
 */
WARN_UNUSED int tuf_drive(struct tuf_client *c, struct trusted *store, const struct tuf_source *source,
			  struct error *err);

/* A fetched file by its path below the metadata URL ("7.snapshot.json"). */
struct tuf_blob {
	struct slice path;
	struct slice bytes;
};
struct tuf_blobs {
	const struct tuf_blob *list;
	unsigned count;
};
/* A source over a struct tuf_blobs; use with .arg = &blobs. */
int tuf_blobs_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err);

/*
 * The whole workflow over blobs, against anchor and store, and the lookup of `path` unless that is empty: 0 when all
 * of it holds. The store is read, never written. *out is the client, for the caller to take the result from, to commit
 * with trusted_commit_client (after a failure too: it lists only what has been verified) and to free; NULL when the
 * anchor itself is refused. A want that no blob answers counts as absent: a withheld file fails as a server's 404.
 */
WARN_UNUSED int tuf_verify_offline(struct slice anchor, const struct tuf_options *options, struct trusted *store,
				   const struct tuf_blob *blobs, unsigned count, struct slice path,
				   struct tuf_client **out, struct error *err);

#endif
