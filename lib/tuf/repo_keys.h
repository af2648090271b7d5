/*
 * online-keys.json (man/meshanics-ceremony.5): what the online box tells the ceremony, all of it public: its
 * site, its snapshot, timestamp and record keys, its publishers with the slices they ask for, and the lives
 * of what it will sign. Strict: unknown members are refused.
 *
 * Limits: ONLINE_KEYS_SIZE_MAX bytes, ONLINE_PUBLISHERS_MAX publishers, ONLINE_SLICES_MAX patterns each,
 * ONLINE_RECORD_KEYS_MAX record keys of a kind.
 */
#ifndef MESHANICS_TUF_REPO_KEYS_H
#define MESHANICS_TUF_REPO_KEYS_H

#include "tuf/descriptor.h"
#include "tuf/metadata.h"

#define ONLINE_KEYS_SIZE_MAX (256u << 10)
#define ONLINE_PUBLISHERS_MAX 64
#define ONLINE_SLICES_MAX 64
#define ONLINE_RECORD_KEYS_MAX 8

#define REPO_BINS_MIN 2
#define REPO_BINS_MAX 16384
#define REPO_ALL_BINS_MAX 65536	/* of all publishers: each is an entry of every snapshot */

/* How long what the online keys sign is good for, seconds; also signed in root's x-meshanics. */
struct repo_lives {
	int64_t timestamp_s, snapshot_s, publisher_s;
};
#define REPO_LIVES_DEFAULT ((struct repo_lives){24 * 3600, 7 * 24 * 3600, 90 * 24 * 3600})
#define REPO_LIFE_MIN_S 1
#define REPO_LIFE_MAX_S (INT64_C(10) * 365 * 24 * 3600)

/* A delegated role: who may sign for which part of the namespace. */
struct repo_publisher {
	char name[NAME_LEN_MAX + 1];
	struct pubkey *keys;	/* owned */
	unsigned key_count;
	struct text_list slices;	/* patterns NAMESPACE/NAME/VERSION; * and ? never cross a slash */
};

struct online_keys {
	char site[NAME_LEN_MAX + 1];
	bool rehearsal;		/* throwaway: only a rehearsal may use them */
	struct pubkey snapshot, timestamp;
	struct pubkey *record_site, *record_export;	/* owned */
	unsigned record_site_count, record_export_count;
	struct repo_publisher *publishers;	/* owned */
	unsigned publisher_count;
	unsigned bins;		/* hash bins of each publisher whose key this box holds, a power of two; 0: none */
	struct repo_lives lives;
};

/* Read text into k, which is overwritten and then owned; released on failure. ERR_MALFORMED, ERR_LIMIT. */
WARN_UNUSED int online_keys_parse(struct online_keys *k, struct slice text, struct error *err);
/* Write k as an indented document with a final newline. */
void online_keys_put(struct buf *out, const struct online_keys *k);
void online_keys_release(struct online_keys *k);	/* safe on a zeroed or released one */

/* {"timestamp": N, "snapshot": N, "publisher": N} in seconds, as here and in root's x-meshanics.lives. */
WARN_UNUSED int repo_lives_parse(struct repo_lives *lives, struct json_value v, struct error *err);
void repo_lives_put(struct json_writer *w, const char *name, const struct repo_lives *lives);
/* x-meshanics.lives and .rehearsal of a root; the default lives when it says none. */
WARN_UNUSED int repo_lives_of_root(const struct tuf_root *root, struct repo_lives *lives, struct error *err);
/* The signed part says that it is only a rehearsal ("x-meshanics": {"rehearsal": true}). */
bool repo_is_rehearsal(const struct tuf_head *head);

/*
 * A slice: three parts between slashes, each a name_check/version_check name in which * and ? may stand,
 * and no more than TARGET_PATH_MAX bytes. ERR_MALFORMED.
 */
WARN_UNUSED int slice_pattern_check(struct slice pattern, struct error *err);
/* Is there a target path that both patterns cover? Both have passed slice_pattern_check. */
bool slice_patterns_overlap(const char *a, const char *b);
/*
 * A publisher's name: name_check, none of the top-level roles, and not the name of a hash bin (...-bin-HEX).
 * ERR_MALFORMED.
 */
WARN_UNUSED int publisher_name_check(struct slice name, struct error *err);
/*
 * May `bins` be the number of hash bins of publishers of this name (NULL: of any)? A power of two within the limits, and
 * the bins' names must be role names. ERR_USAGE.
 */
WARN_UNUSED int repo_bins_check_count(int64_t bins, const char *publisher, struct error *err);
/* Add a checked copy of a pattern. ERR_MALFORMED, ERR_LIMIT. */
WARN_UNUSED int publisher_add_slice(struct repo_publisher *p, struct slice pattern, struct error *err);
/* "NAME" or "NAME:SLICE[,SLICE...]" into p (overwritten, owned by the caller; without keys). ERR_USAGE. */
WARN_UNUSED int publisher_parse_word(struct repo_publisher *p, const char *word, struct error *err);
void repo_publisher_release(struct repo_publisher *p);
/* By name, or NULL. */
const struct repo_publisher *publisher_find(const struct repo_publisher *list, unsigned count, const char *name);
/* A copy with the keys of one and the name and slices of the other. */
void publisher_copy(struct repo_publisher *to, const struct repo_publisher *keys, const struct repo_publisher *slices);
/* Names distinct, slices disjoint between any two: a terminating delegation would hide the later one. ERR_REFUSED. */
WARN_UNUSED int publishers_check_disjoint(const struct repo_publisher *list, unsigned count, struct error *err);

#endif
