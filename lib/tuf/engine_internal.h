/* The inside of the engine, shared by its parts: engine.c is the frame, engine_*.c are the stages. */
#ifndef MESHANICS_TUF_ENGINE_INTERNAL_H
#define MESHANICS_TUF_ENGINE_INTERNAL_H

#include "tuf/delegation.h"
#include "tuf/engine.h"
#include "tuf/verify.h"

/*
 * What the open want is for; STAGE_ROLE* load one targets role (c->load), for the update, a search or a walk.
 *
 *	ROOT_STORED -> [OWN ->] ROOT_CHAIN -> TIMESTAMP_STORED -> TIMESTAMP -> SNAPSHOT_STORED -> SNAPSHOT
 *	   -> ROLE_STORED -> ROLE -> READY;   READY -> ROLE_STORED in a search or walk;   any -> FAILED
 *	QUICK_ROOT -> QUICK_TIMESTAMP -> READY;   either, and READY before a search, -> ROOT_STORED
 */
enum tuf_stage {
	STAGE_QUICK_ROOT,
	STAGE_QUICK_TIMESTAMP,
	STAGE_ROOT_STORED,
	STAGE_OWN,
	STAGE_ROOT_CHAIN,
	STAGE_TIMESTAMP_STORED,
	STAGE_TIMESTAMP,
	STAGE_SNAPSHOT_STORED,
	STAGE_SNAPSHOT,
	STAGE_ROLE_STORED,
	STAGE_ROLE,
	STAGE_READY,
	STAGE_FAILED,
};

/* A targets file that has been verified. Lives as long as the client, unless trimmed between searches. */
struct role_slot {
	char name[TUF_ROLE_NAME_MAX + 1];
	struct buf bytes;
	struct tuf_targets *file;	/* borrows bytes */
	const struct role_slot *by;	/* the delegator against whose keys it last verified; NULL: the root */
	bool dirty;			/* not yet stored */
	bool superseded;		/* another slot has taken its name */
};

struct role_load {
	char name[TUF_ROLE_NAME_MAX + 1];
	const struct role_slot *by;	/* as in role_slot */
	const struct tuf_role *role;	/* its keys as that delegator (or the root) lists them */
	struct tuf_role delegated;	/* what role points to unless that is the root's; owned */
	struct tuf_metafile meta;	/* what the snapshot says; import: only version, the least allowed (0: any) */
	struct role_slot *stored;	/* import: the stored file, good but perhaps to be replaced; owned */
	bool disowned;			/* import: the stored file is whole, but by keys that the delegator names no more */
};

/* A role to visit, and who sent us there. */
struct role_step {
	const struct role_slot *by;
	struct tuf_delegation delegation;
};

struct role_search {
	bool running, failed;
	bool waiting;			/* for the update: the search begins when that is through */
	char path[TUF_PATH_MAX + 1];
	size_t path_len;
	struct role_step *stack;	/* owned; the top is visited next */
	unsigned depth, room;
	const struct role_slot *visited[TUF_SEARCH_MAX];
	unsigned visited_count;
	const struct role_slot *found;	/* NULL while (or if) there is none */
	struct tuf_target target;
	bool recalled;			/* the result is this, of an earlier search */
	struct tuf_result result;	/* path and custom in result_bytes */
	struct buf result_bytes;
};

/* What the facts have made us fetch before the stages that use it. */
struct fetched_ahead {
	int64_t root_version;		/* 0: no root was asked for, or it has been used */
	bool root_absent;
	struct buf root;
	bool has_timestamp;
	struct buf timestamp;
};

/* Delegators whose roles are being walked, the innermost on top. */
struct role_walk {
	struct {
		const struct role_slot *slot;
		struct tuf_delegation_iter it;
	} *stack;			/* owned */
	unsigned depth, room;
	unsigned count;			/* roles visited */
};

struct tuf_client {
	struct tuf_options opt;
	enum tuf_stage stage;
	bool wanting;
	struct tuf_want want;
	int64_t time_s, floor_s;

	uint8_t anchor_hash[SHA256_LEN];
	struct tuf_facts facts;
	bool quick;			/* the facts stand for the files, none of which has been read */
	struct fetched_ahead ahead;

	struct buf root_bytes, timestamp_bytes, snapshot_bytes, reference_bytes;
	struct tuf_root *root;		/* NULL while quick; root_bytes is the anchor then */
	struct tuf_timestamp *timestamp;
	struct tuf_snapshot *snapshot;
	/* The stored snapshot, good or not for this update: nothing it lists may vanish or go back. */
	struct tuf_snapshot *reference;
	bool root_dirty, timestamp_dirty, snapshot_dirty;
	bool online_dropped;		/* stored timestamp and snapshot do not count (5.3.11) and are to be removed */
	bool targets_rotated, online_rotated;

	struct buf *chain;		/* roots accepted in this update; owned, with copies */
	struct slice *chain_list;	/* over them, for tuf_client_chain */
	unsigned chain_count;

	struct role_slot **slots;	/* owned; slots[0] is targets once that is there */
	unsigned slot_count, slot_room;
	unsigned *index;		/* hash table of slot numbers + 1, by name; superseded ones are not in it */
	unsigned index_size;		/* a power of two */
	struct role_load load;
	struct role_search search;
	struct role_walk walk;

	struct tuf_change *changes;	/* owned; for tuf_client_changes */
};

/* Open a want for a stored or a fetched file. version 0: none in the path. */
void tuf_want_stored(struct tuf_client *c, enum tuf_stage stage, const char *role);
void tuf_want_fetch(struct tuf_client *c, enum tuf_stage stage, const char *role, int64_t version);
/* Bind the open want to what is signed; ERR_LIMIT when that is more than TUF_SIGNED_MAX. */
WARN_UNUSED int tuf_want_bind(struct tuf_client *c, const struct tuf_metafile *meta, struct error *err);

/*
 * Each takes the answer to a want of its stage and opens the next. bytes NULL: there is no such file (never for
 * timestamp and snapshot, which must be there). They take the content of bytes when they keep it.
 */
/* engine_top.c */
void tuf_time_reckon(struct tuf_client *c);
/*
 * tuf_verify_expiry at the time of the update. Where signed time or the build time say so too, it is ERR_REFUSED; where
 * only the system clock does, ERR_RETRY: a clock of 2040 has to be told from an old repository by trying again.
 */
WARN_UNUSED int tuf_fresh(const struct tuf_client *c, const struct tuf_head *file, const char *what, const char *clause,
			  struct error *err);
WARN_UNUSED int tuf_root_stored(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_own_stored(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_root_fetched(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_timestamp_stored(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_timestamp_fetched(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_snapshot_stored(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_snapshot_fetched(struct tuf_client *c, struct buf *bytes, struct error *err);
/* engine_facts.c */
bool tuf_quick_begin(struct tuf_client *c);	/* false: there are no facts to begin with */
WARN_UNUSED int tuf_quick_root(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_quick_timestamp(struct tuf_client *c, struct buf *bytes, struct error *err);
/* The facts do not do: on with the stages that read the files. */
WARN_UNUSED int tuf_quick_end(struct tuf_client *c, struct error *err);
/* engine.c: the anchor becomes the trusted root. */
WARN_UNUSED int tuf_anchor_adopt(struct tuf_client *c, struct error *err);
/* engine_roles.c; begin: the update has come to the targets role. */
WARN_UNUSED int tuf_roles_begin(struct tuf_client *c, struct error *err);
WARN_UNUSED int tuf_roles_stored(struct tuf_client *c, struct buf *bytes, struct error *err);
WARN_UNUSED int tuf_roles_fetched(struct tuf_client *c, struct buf *bytes, struct error *err);
void tuf_roles_release(struct tuf_client *c);
/* Begin to load a role for a delegator (NULL: the root's targets). *ready is set when no want is needed. */
WARN_UNUSED int tuf_load_begin(struct tuf_client *c, const struct role_slot *by, const struct tuf_delegation *d,
			       struct role_slot **ready, struct error *err);

/* engine_slots.c: verified targets files by name. */
struct role_slot *tuf_slot_find(const struct tuf_client *c, const char *name);	/* or NULL */
/* Takes bytes and file. */
struct role_slot *tuf_slot_new(const char *name, struct buf *bytes, struct tuf_targets *file,
			       const struct role_slot *by);
void tuf_slot_free(struct role_slot *s);
/* The client takes the slot. One of the same name stays for those who point to it, but is found no more. */
void tuf_slot_add(struct tuf_client *c, struct role_slot *s);
/* Between searches nothing points into delegated slots: let go of them when they are many and all stored. */
void tuf_slots_trim(struct tuf_client *c);

/* engine_search.c: a role on the way has been loaded; go on from there. */
WARN_UNUSED int tuf_search_visit(struct tuf_client *c, const struct role_slot *slot, struct error *err);
/* Visit what is at hand, until a file is needed or the search is through. */
WARN_UNUSED int tuf_search_run(struct tuf_client *c, struct error *err);
/* The update is through: begin the search that has waited for it, if there is one. */
WARN_UNUSED int tuf_search_start(struct tuf_client *c, struct error *err);
/* After a failure: a running search ends and leaves the client ready. Returns whether there was one. */
bool tuf_search_fail(struct tuf_client *c);

/* engine_walk.c: over all that targets delegates, until a file is needed or the walk is through. */
WARN_UNUSED int tuf_walk_begin(struct tuf_client *c, const struct role_slot *targets, struct error *err);
WARN_UNUSED int tuf_walk_run(struct tuf_client *c, struct error *err);

#endif
