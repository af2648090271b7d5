/*
 * What a client has verified, in an SQLite file beside its trusted files (`facts`), so that the next update need not
 * read, parse and verify them again: the versions and expiries of the four top-level roles, and the targets that were
 * found. A cache: it may be missing, damaged or thrown away at any time, and then everything is verified from the files.
 *
 * Facts hold for the files they were made of. Each is bound to inode, size and both times of root.json, timestamp.json,
 * snapshot.json and targets.json; when any of these differs (a torn write, a restored copy, an edit) there are no facts.
 * Whoever can write here could write the files as well: the facts are believed exactly as much as these.
 *
 * Limits: FACTS_FOUND_MAX targets, FACTS_CUSTOM_MAX bytes of custom data each; a target beyond that is not remembered.
 */
#ifndef MESHANICS_TUF_FACTS_H
#define MESHANICS_TUF_FACTS_H

#include "tuf/engine.h"
#include "tuf/trusted.h"

#define FACTS_FOUND_MAX 4096
#define FACTS_CUSTOM_MAX (64u << 10)

struct facts;

/*
 * dir: the path that store was opened with; store is borrowed and locked. A file that cannot be used is replaced. NULL with
 * err when that fails, too (disk full): go on without.
 */
WARN_UNUSED struct facts *facts_open(const struct trusted *store, const char *dir, struct error *err);
/* Ends with one commit of what was kept; a failure of it loses facts, no more. NULL is fine. */
void facts_close(struct facts *f);

/* The facts, or false when there are none for the files as they are. */
bool facts_read(struct facts *f, struct tuf_facts *out);
/* The target as found earlier; out borrows from f until the next call. False when it is not remembered. */
bool facts_recall(struct facts *f, struct slice path, struct tuf_found *out);
/* Keep what the client has verified, once the files are in place (trusted_commit_client). Forgets targets when it is new. */
void facts_keep(struct facts *f, const struct tuf_client *c);
/* Keep the result of the search that has ended. */
void facts_keep_found(struct facts *f, const struct tuf_client *c);

#endif
