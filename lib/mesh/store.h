/*
 * The networks of this node on its disk: HOME/mesh/networks/NETWORKID/, the id in 32 hex digits.
 *
 *	key		the key of the generation in force, as text
 *	node.key	this node's own pairs, made when it joined
 *	owner.key	only where the network was made
 *	scope		what is let in (allow.h)
 *	forwards	forwards, those of config.yaml too, and their places (forwards.h)
 *	former.N	the key of generation N, then a line "until TIME": the end of its grace
 *	stay.N		the owner's signed list of who stays in generation N (stay.h), where there is one
 *	evicted		a line "NODEID N" for each node that was evicted with generation N
 *	claims		blocks that this node claims: a line "ORDINAL ATTEMPT TIME" each, TIME in seconds or "unknown"
 *	records		of nodes: length (2 bytes) and bytes (record.h), one after the other
 *	ages		how long nodes were silent: node id (16) and seconds of this node's running time (4), one after the other
 *	paths		where nodes were reached last: node id (16 bytes) and endpoint (19), one after the other
 *	pins		who had a name or a block when it was last looked at: "name nas NODEID", "block 833 NODEID"
 *	epoch		the boot epoch of the last start
 *
 * Directories are 0700 and files 0600, of the reader or of root; anything looser, and symbolic links, are refused.
 *
 * Whoever changes something holds HOME/mesh/lock. Every change is one rename: of new.* to NETWORKID (joined), of
 * NETWORKID to gone.* (left), of a file over its former self (rotated when it is `key`). So a process that is killed
 * leaves the old or the new, and a running daemon, told by inotify of IN_MOVED_TO and IN_MOVED_FROM in networks/ and
 * in each directory there, or by comparing netstore_stamp, reads again. What belongs to a generation is there before
 * `key` is; files of a generation that `key` has not come to are leftovers, and count for nothing.
 */
#ifndef MESHANICS_MESH_STORE_H
#define MESHANICS_MESH_STORE_H

#include "mesh/allow.h"
#include "mesh/forwards.h"
#include "mesh/names.h"
#include "mesh/record.h"
#include "mesh/stay.h"

#define NETWORK_ID_HEX_LEN 33	/* with NUL */
#define NETSTORE_NETWORKS_MAX 64
#define FORMER_MAX 4		/* generations before the one in force */
#define GRACE_DEFAULT_S 86400
#define GRACE_MAX_S (365 * 86400)
#define EVICTED_MAX 8192
#define RECORDS_FILE_MAX (8192 * (2 + RECORD_LEN_MAX))
#define AGE_LEN (NODE_ID_LEN + 4)
#define AGES_FILE_MAX (8192 * AGE_LEN)
#define PATHS_MAX 16384		/* two of each node */
#define PATH_LEN (NODE_ID_LEN + ENDPOINT_WIRE_LEN)
#define PINS_FILE_MAX (NAMES_PINS_MAX * (sizeof("name  \n") + MESH_NAME_MAX + NODE_ID_HEX_LEN))

struct netstore {
	int mesh_fd, networks_fd;	/* -1 where there is no such directory yet: no networks */
	int lock_fd;			/* -1: for reading only */
};
#define NETSTORE_INIT ((struct netstore){-1, -1, -1})

/* Open for reading; a home without a mesh is empty. ERR_REFUSED for symbolic links and loose modes. */
WARN_UNUSED int netstore_open(struct netstore *s, const char *home, struct error *err);
/*
 * Open for changes: directories are made, the lock is taken (waited for up to 2 s, then ERR_RETRY), and what a killed
 * process has left is removed. Hold it briefly.
 */
WARN_UNUSED int netstore_open_locked(struct netstore *s, const char *home, struct error *err);
void netstore_close(struct netstore *s);	/* safe on NETSTORE_INIT and a closed one */

struct network_ids {
	char hex[NETSTORE_NETWORKS_MAX][NETWORK_ID_HEX_LEN];	/* ascending */
	size_t count;
};
WARN_UNUSED int netstore_ids(const struct netstore *s, struct network_ids *ids, struct error *err);
/*
 * Changes when a network comes, goes, rotates, or has other rules, forwards or evicted nodes; not with what a daemon
 * writes, but for places of forwards that it gives.
 */
WARN_UNUSED int netstore_stamp(const struct netstore *s, uint64_t *stamp, struct error *err);

struct former {
	struct netkey key;
	int64_t grace_until_s;
};

struct network {
	char hex[NETWORK_ID_HEX_LEN];
	struct netkey key;
	struct nodekey node;
	bool owned;			/* owner.key is here, and is this network's */
	struct allow_list allow;
	struct forward_list forwards;
	struct former former[FORMER_MAX];	/* newest first */
	size_t former_count;
	struct claim claims[CLAIMS_MAX];
	size_t claims_count;
};

/* Read one network, whole. ERR_NOT_FOUND, ERR_REFUSED, ERR_MALFORMED; the text names network and file. */
WARN_UNUSED int network_read(const struct netstore *s, const char *hex, struct network *n, struct error *err);
void network_wipe(struct network *n);
/*
 * The network that a word means: its whole id, its name, or the beginning of its id (4 digits or more). ERR_CONFLICT
 * when it means several (each is named), ERR_NOT_FOUND.
 */
WARN_UNUSED int netstore_find(const struct netstore *s, struct slice word, char hex[static NETWORK_ID_HEX_LEN],
			      struct error *err);
/* The owner's key; ERR_NOT_FOUND where it is not. */
WARN_UNUSED int network_owner(const struct netstore *s, const char *hex, struct ownerkey *k, struct error *err);

/* ---- changes; the store is open for them ---- */

/* Join, with a new node key. owner: NULL but where the network is made. ERR_CONFLICT when it is here. */
WARN_UNUSED int netstore_add(struct netstore *s, const struct netkey *k, const struct ownerkey *owner,
			     const struct allow_list *allow, struct error *err);

struct node_ids {
	uint8_t (*ids)[NODE_ID_LEN];	/* owned */
	size_t count;
};
void node_ids_release(struct node_ids *ids);

/*
 * Put a newer generation in force; the former one has grace until then. The name stays what it is here. staylist:
 * signed bytes, or empty. evicted: whom this rotation evicts, or NULL. ERR_REFUSED: another network under this id, or
 * not newer.
 */
WARN_UNUSED int network_renew(struct netstore *s, const char *hex, const struct netkey *next, struct slice staylist,
			      const struct node_ids *evicted, int64_t grace_until_s, struct error *err);
WARN_UNUSED int network_set_allow(struct netstore *s, const char *hex, const struct allow_list *allow,
				  struct error *err);
WARN_UNUSED int network_set_forwards(struct netstore *s, const char *hex, const struct forward_list *forwards,
				     struct error *err);
/* Leave: it is gone at once, its files are overwritten and removed. ERR_NOT_FOUND. */
WARN_UNUSED int network_remove(struct netstore *s, const char *hex, struct error *err);

/* ---- what a running node keeps; written by the holder of the lock ---- */

/* The next boot epoch, above `above` and all before; on the disk when this returns. ERR_LIMIT when there is none. */
WARN_UNUSED int network_next_epoch(struct netstore *s, const char *hex, uint32_t above, uint32_t *epoch,
				   struct error *err);
WARN_UNUSED int network_set_claims(struct netstore *s, const char *hex, const struct claim *claims, size_t count,
				   struct error *err);
/* The stay list of the generation in force, appended; nothing when there is none. Not verified: staylist_parse. */
WARN_UNUSED int network_staylist(const struct netstore *s, const struct network *n, struct buf *out, struct error *err);
/* Who was evicted with the generation in force or before. Released by node_ids_release. */
WARN_UNUSED int network_evicted(const struct netstore *s, const struct network *n, struct node_ids *out,
				struct error *err);
/* Records: verified ones are handed over, others left out and counted. An `each` that returns -1 ends it. */
WARN_UNUSED int network_records(const struct netstore *s, const struct network *n,
				int (*each)(void *arg, const struct mesh_record *r, struct slice bytes, struct error *err),
				void *arg, size_t *left_out, struct error *err);
/* Append one record in the form of the file, which network_set_records writes. */
void records_put(struct buf *out, struct slice record);
WARN_UNUSED int network_set_records(struct netstore *s, const char *hex, struct slice records, struct error *err);

/* Append an age; network_set_ages writes them. Time that this machine is off does not count, nor does its clock. */
void ages_put(struct buf *out, const uint8_t node[static NODE_ID_LEN], int64_t age_s);
/*
 * What the file says of a node, -1: nothing, as one does that was cut short. *at, from 0, is where it is looked for first:
 * behind the last one that was found.
 */
int64_t ages_find(struct slice ages, const uint8_t node[static NODE_ID_LEN], size_t *at);
/* Append them; nothing where there is no file. */
WARN_UNUSED int network_ages(const struct netstore *s, const struct network *n, struct buf *out, struct error *err);
WARN_UNUSED int network_set_ages(struct netstore *s, const char *hex, struct slice ages, struct error *err);

/* Where a node was reached. */
struct last_path {
	uint8_t node[NODE_ID_LEN];
	struct endpoint at;
};
struct path_list {
	struct last_path *all;	/* owned */
	size_t count;
};
void path_list_release(struct path_list *l);
/* In the order in which they were set; empty where there is no file. ERR_MALFORMED: they are hints, go on without. */
WARN_UNUSED int network_paths(const struct netstore *s, const struct network *n, struct path_list *out,
			      struct error *err);
WARN_UNUSED int network_set_paths(struct netstore *s, const char *hex, const struct last_path *paths, size_t count,
				  struct error *err);
/* Each pin of the file, for names_pin; pin->network and pin->now are not set. An `each` that returns -1 ends it. */
WARN_UNUSED int network_pins(const struct netstore *s, const struct network *n,
			     int (*each)(void *arg, const struct names_change *pin, struct error *err), void *arg,
			     struct error *err);
/* Append one pin, as names_pins_each hands it out, in the form of the file, which network_set_pins writes. */
void pins_put(struct buf *out, const struct names_change *pin);
WARN_UNUSED int network_set_pins(struct netstore *s, const char *hex, struct slice pins, struct error *err);

/* ---- the forms of the files, for tests ---- */
WARN_UNUSED int former_parse(struct former *f, struct slice text, struct error *err);
void former_put(struct buf *secret_out, const struct former *f);
WARN_UNUSED int claims_file_parse(struct claim *claims, size_t *count, struct slice text, struct error *err);
void claims_file_put(struct buf *out, const struct claim *claims, size_t count);
WARN_UNUSED int evicted_parse(struct node_ids *out, uint32_t generation, struct slice text, struct error *err);
WARN_UNUSED int epoch_parse(uint32_t *epoch, struct slice text, struct error *err);
/* *out is released by path_list_release, also after an error. */
WARN_UNUSED int paths_parse(struct path_list *out, struct slice bytes, struct error *err);
void paths_put(struct buf *out, const struct last_path *paths, size_t count);
WARN_UNUSED int pins_parse(int (*each)(void *arg, const struct names_change *pin, struct error *err), void *arg,
			   struct slice text, struct error *err);
/* The next record of the file, borrowed; false at the end or, with *bad, at what is none. */
bool records_next(struct slice *rest, struct slice *record, bool *bad);

#endif
