/*
 * The repository of one site, HOME/repo:
 *
 *	metadata/   N.root.json  N.targets.json  N.PUBLISHER.json  N.snapshot.json  timestamp.json
 *		    N.PUBLISHER-bin-HEX.json of a publisher with hash bins
 *	targets/    NAMESPACE/NAME/SHA256.VERSION	as clients ask for it (consistent snapshot)
 *	staging/    SHA256 (complete blobs)  SHA256.part (on their way)	see publish.h
 *	selected    SHA-256 of artifacts that an import of selected ones has left out	see repo_import.h
 *	pending/    metadata files of a change in the making;  commit: their names, once the change holds
 *	keys/       timestamp.key snapshot.key record-site.key ... PUBLISHER.key	0600, unsealed or naming a token
 *	sites/SITE/	N.root.json of other sites, where bundles for them are made	see repo_sites.h
 *	online-keys.json	the public part of keys/, for the ceremony
 *	keys-next/  online-keys-next.json	new online keys that wait for their root
 *
 * metadata/ and targets/ are a static tree which any web server can carry. Every change goes from what nobody
 * names yet to what names it: blob, publisher file, snapshot, and last, by one rename, timestamp.json. The files
 * of one change are complete in pending/ before `commit` appears, and from there it is finished by the next
 * repo_open: a reader and a power cut see the old state or the new one.
 *
 * Versions of what is signed here are max(last + 1, Unix seconds), at most now + 1 day.
 *
 * One process at a time changes a repository: repo_lock, or the control plane that holds the same lock. A
 * struct repo belongs to one thread. No clock is read here: now_s is UTC seconds.
 */
#ifndef MESHANICS_TUF_REPO_H
#define MESHANICS_TUF_REPO_H

#include "tuf/metadata.h"
#include "tuf/repo_keys.h"

#define REPO_SOME_BINS 1024
#define REPO_VERSION_AHEAD_S (24 * 3600)	/* versions may run this far ahead of the clock */
#define REPO_CLOCK_BACK_S 600			/* a clock this much behind the last signature is still believed */
#define REPO_CLOCK_AHEAD_S (30 * 24 * 3600)	/* or this much ahead of it (at least two timestamp lives) */
#define REPO_STAGING_LIFE_S (7 * 24 * 3600)	/* blobs that nobody published by then are swept */
#define REPO_OLD_BIN_LIFE_S (7 * 24 * 3600)	/* superseded hash bins go after this time, if not before */
#define REPO_KEEP_OLD 8				/* superseded files of a role that stay for clients under way */

struct repo;

/* HOME/control/lock, made if absent. The descriptor (close it to let go), or -1: ERR_RETRY when held. */
WARN_UNUSED int repo_lock(const char *home, struct error *err);

struct pkcs11_uri;	/* crypto/pkcs11_uri.h */

struct repo_init_options {
	const char *site;
	struct repo_lives lives;
	const struct repo_publisher *publishers;	/* a key is made for each that brings none */
	unsigned publisher_count;
	int64_t bins;	/* hash bins of each publisher whose key is held here, a power of two; 0: none */
	enum key_scheme scheme;	/* of the keys; KEY_NONE: Ed25519 */
	const struct pkcs11_uri *token;	/* make them there, with the PIN of its pin-source; NULL: in unsealed files */
	int64_t now_s;
};
/*
 * Make HOME/repo where it is missing; root gives it to the owner of HOME/control (made as well). To be called before a
 * process run by root becomes that owner, who cannot write to HOME itself.
 */
WARN_UNUSED int repo_make_room(const char *home, struct error *err);
/*
 * Make HOME/repo with fresh online keys and online-keys.json, which is also appended to out. An export record
 * key is made where site is "main". ERR_CONFLICT when there is a repository already; a crash half way leaves
 * none, but may leave keys in the token. The lock is held.
 */
WARN_UNUSED int repo_init(const char *home, const struct repo_init_options *options, struct buf *out,
			  struct error *err);

/*
 * Open HOME/repo: ERR_NOT_FOUND before repo_init. Finishes an interrupted change; reads and checks the newest
 * root and all that timestamp names (not whether it has expired). The lock is held.
 */
WARN_UNUSED struct repo *repo_open(const char *home, struct error *err);
/* The same for reading only: no lock, nothing is finished or changed. */
WARN_UNUSED struct repo *repo_open_readonly(const char *home, struct error *err);
void repo_free(struct repo *r);	/* NULL is fine */
int repo_dirfd(const struct repo *r);	/* of HOME/repo; borrowed */
const char *repo_site(const struct repo *r);
const struct online_keys *repo_online_keys(const struct repo *r);

/* ERR_NOT_FOUND, with what to do, before the first repo_adopt. */
WARN_UNUSED int repo_adopted(const struct repo *r, struct error *err);

/* What is published now; all borrowed until the next change of r, NULL before the first repo_adopt. */
const struct tuf_root *repo_root(const struct repo *r);
const struct tuf_targets *repo_targets(const struct repo *r);
const struct tuf_snapshot *repo_snapshot(const struct repo *r);
const struct tuf_timestamp *repo_timestamp(const struct repo *r);
struct repo_lives repo_lives(const struct repo *r);	/* of the root, or those asked for before adoption */

/* ---- publishers, in the order of the delegations; none before adoption ---- */
enum role_fault {
	ROLE_FINE = 0,
	ROLE_OTHER_KEYS,	/* delegated to other keys since it was published; file is NULL until they publish */
	ROLE_DAMAGED,		/* its file is missing or not what snapshot says; file is NULL, nothing can be added */
};
struct repo_role {
	char name[NAME_LEN_MAX + 1];
	struct tuf_role role;		/* its keys and threshold, as targets delegates it */
	int64_t version;		/* that snapshot names; 0: never published */
	struct tuf_targets *file;	/* what is published; NULL: nothing yet, or fault */
	enum role_fault fault;
	struct error why;		/* of a fault */
	bool held;			/* keys/NAME.key is one of its keys and alone meets the threshold */
	struct buf text;		/* of file */
	unsigned bin_bits;		/* his artifacts are in 2^bin_bits hash bins; 0: in his file */
	bool carried;			/* (private) file, text and bins belong to the state before this one */
	struct repo_bins *bins;		/* what is known of these (repo_bins.c); NULL without bins, and in a bin */
};
void repo_role_release(struct repo_role *role);	/* of one that is owned: repo_bin_read */
unsigned repo_role_count(const struct repo *r);
const struct repo_role *repo_role_at(const struct repo *r, unsigned i);
const struct repo_role *repo_role_find(const struct repo *r, struct slice name);	/* NULL: no such delegation */

/*
 * Hash bins (TAP 15): the file of a publisher with bins lists no targets and delegates each path to one of 2^bin_bits
 * roles NAME-bin-HEX, by the first bits of the path's SHA-256, signed by his own keys. Publishing touches one bin. All
 * of them exist, empty, from the publisher's first file on; how many there are never changes. Bins are read one at a
 * time, when they are asked for, and checked as his file is.
 */
/* The bin that lists the path. publisher->bin_bits > 0. */
unsigned repo_bin_of(const struct repo_role *publisher, struct slice path);
/* Read a bin into out, as a role of its own; with out->fault, out->file is NULL. To be released. */
void repo_bin_read(const struct repo *r, const struct repo_role *publisher, unsigned bin, struct repo_role *out);
/* The same, borrowed from r until another bin is read. Publisher and bin by name, or by path; NULL: no such role. */
const struct repo_role *repo_file_find(const struct repo *r, struct slice name);
const struct repo_role *repo_file_of_path(const struct repo *r, const struct repo_role *publisher, struct slice path);
struct repo_bins_sum {
	unsigned count, damaged;
	uint64_t artifacts;
	char first[NAME_LEN_MAX + 1];	/* the bin that expires first */
	int64_t version, expires_s;	/* of it */
};
/* All bins of a publisher: reads those that it has not looked at since they were published. */
void repo_bins_sum(const struct repo *r, const struct repo_role *publisher, struct repo_bins_sum *out);

/* The version of a bin that snapshot names, and the bin's name; 0: none. */
int64_t repo_bin_version(const struct repo *r, const struct repo_role *publisher, unsigned bin,
			 char name[static NAME_LEN_MAX + 1]);
/* The highest version of his bins. */
int64_t repo_bins_newest(const struct repo *r, const struct repo_role *publisher);

/* Its slices, an array of patterns as targets lists them. */
struct json_value repo_role_slices(const struct repo *r, unsigned i);

/* ---- new online keys: made here, named by a ceremony, in force with the root that names them ---- */
struct repo_rotate_options {
	const struct repo_publisher *publishers;	/* new ones, in place of those whose slices they ask for */
	unsigned publisher_count;
	bool replace;		/* keys that wait for their root already are thrown away */
	enum key_scheme scheme;	/* and token: as in repo_init_options */
	const struct pkcs11_uri *token;
	int64_t now_s;
};
/*
 * Stage fresh snapshot, timestamp and record keys, and a key for each new publisher, beside those in use, which go on
 * signing until repo_adopt takes a root that names the new ones. Their public part is appended to out. ERR_CONFLICT
 * when some wait already, or a new publisher has a key here.
 */
WARN_UNUSED int repo_keys_rotate(struct repo *r, const struct repo_rotate_options *options, struct buf *out,
				 struct error *err);
bool repo_keys_staged(const struct repo *r);	/* some wait for their root */

/* ---- root and targets from the ceremony ---- */
struct repo_adopted_site {
	char site[NAME_LEN_MAX + 1];
	int64_t root_version;	/* the newest that is kept now */
	unsigned roots;		/* files that were new */
};
struct repo_adoption {
	int64_t root_version, targets_version;	/* now in force */
	unsigned roots, targets;		/* files that were new */
	bool own;				/* some of the files were for this repository itself */
	struct repo_adopted_site *sites;	/* whose roots were among the files; owned */
	unsigned site_count;
};
void repo_adoption_release(struct repo_adoption *a);	/* safe on a zeroed or released one, or after a failure */
/* This repository makes bundles: it holds an export record key, and keeps the roots of other sites. */
bool repo_exports(const struct repo *r);
/* The root in force names export keys, all of them held elsewhere: what is not signed here comes in bundles. */
bool repo_takes_bundles(const struct repo *r);
/*
 * Verify and install root and targets files, in any order, and publish: root chain from the newest one here
 * (the first is taken as it is: self-signed, of this site), thresholds, versions, expiry; the root must name
 * this box's own snapshot and timestamp keys; targets must be signed for it. Files that are in force already
 * are fine. ERR_REFUSED (a rehearsal, another site, too few signatures, older), ERR_MALFORMED; nothing is
 * changed then.
 *
 * Where bundles are made, roots of other sites may be among the files, or be all of them: they go to sites/ with the
 * same commit. The first of a site must be signed by a threshold of this repository's root keys, too, have its targets
 * keys as targets keys and name its export key; the following ones follow the chain.
 */
WARN_UNUSED int repo_adopt(struct repo *r, const struct slice *files, unsigned count, int64_t now_s,
			   struct repo_adoption *out, struct error *err);
/*
 * The same with flags: REPO_ACCEPT_CLOCK, as for repo_resign, when a box comes back that could not sign for long, since
 * its root had expired.
 */
WARN_UNUSED int repo_adopt_with(struct repo *r, const struct slice *files, unsigned count, int64_t now_s,
				unsigned flags, struct repo_adoption *out, struct error *err);

/* ---- signing on schedule ---- */
enum repo_resign_flags {
	REPO_FORCE = 1 << 0,		/* also what is not due */
	REPO_ACCEPT_CLOCK = 1 << 1,	/* the operator vouches for the clock after a jump */
	REPO_SOME = 1 << 2,		/* at most REPO_SOME_BINS hash bins; the others stay due */
};
struct repo_resigned {
	unsigned publishers;	/* re-signed */
	unsigned bins;		/* hash bins, re-signed */
	bool snapshot, timestamp;
};
/* When repo_resign has something to do next: the half-life of what expires first; INT64_MAX before adoption. */
int64_t repo_due(const struct repo *r);
/*
 * Sign anew what has lived half its life (publishers that are held, snapshot, timestamp) and publish.
 * life_s: of the timestamp, if shorter than the root's word; 0: as the root says. ERR_RETRY with a hint when
 * the clock has jumped since the last signature; ERR_REFUSED when root has expired.
 */
WARN_UNUSED int repo_resign(struct repo *r, int64_t now_s, unsigned flags, int64_t life_s,
			    struct repo_resigned *out, struct error *err);
/*
 * May this box sign at now_s? ERR_RETRY with a hint when the clock is before the program's build, before the last
 * signature, or far ahead of it.
 */
WARN_UNUSED int repo_clock_check_build(int64_t now_s, struct error *err);
WARN_UNUSED int repo_check_clock(const struct repo *r, int64_t now_s, struct error *err);

/* ---- what expires when ---- */
struct repo_expiry {
	char role[TUF_ROLE_NAME_MAX + 1];
	unsigned bins;		/* role is the first to expire of so many hash bins; 0: it is a role by itself */
	int64_t version;
	int64_t expires_s;
	int64_t due_s;		/* of the next signature here; INT64_MAX where a ceremony must make it */
	bool online;		/* signed by this box on schedule */
};
/* Every role that is published, the first to expire first. Returns the count; *list is borrowed from r. */
unsigned repo_expiries(struct repo *r, const struct repo_expiry **list);

/* ---- the tree as a client sees it ---- */
struct repo_finding {
	char file[4096];	/* below HOME/repo */
	struct error why;
};
struct repo_check {
	int64_t now_s;
	/* Optional: each file that is wrong, and how far the bytes are. */
	void (*finding)(void *arg, const struct repo_finding *f);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	/* filled in */
	unsigned roots, roles, bins, targets, findings;	/* roles: publishers; bins: all their hash bins */
	unsigned absent;	/* of the targets, those that an import was told to leave out: no fault */
	unsigned sites, site_roots;	/* other sites, whose chains of roots are kept here, and how many roots that is */
	uint64_t bytes;		/* of the targets that are sound */
};
/*
 * The client workflow from the first root in the tree to every delegated role, and the bytes of every target
 * against length and SHA-256, and the chains of other sites' roots; blobs that no role names are findings of no weight and not counted. 0 when
 * nothing is wrong, else -1 with ERR_REFUSED and the first finding. Reads only; needs no lock and no keys.
 */
WARN_UNUSED int repo_verify(const char *home, struct repo_check *check, struct error *err);

#endif
