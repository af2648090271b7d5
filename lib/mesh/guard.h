/* Limits against those who send too much: buckets of tokens, by source and for whole kinds of work. */
#ifndef MESHANICS_MESH_GUARD_H
#define MESHANICS_MESH_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/endpoint.h"

#define GUARD_SOURCES 8192
#define GUARD_PER_S 20
#define GUARD_BURST 5
#define GUARD_LOAD 64		/* askers in GUARD_LOAD_MS, from which on cookies are asked for */
#define GUARD_LOAD_MS 100
#define GUARD_HINTS 1024	/* places where the last hint to a source is remembered */

/* Tokens in thousandths; a zeroed one is full at its first use. */
struct bucket {
	int64_t at_ms;
	int64_t milli;
	bool used;
};

/* Take one token of a bucket that gets per_s each second and holds burst. */
bool bucket_take(struct bucket *b, uint32_t per_s, uint32_t burst, int64_t now_ms);
/* How many could be taken now. */
uint32_t bucket_left(struct bucket *b, uint32_t per_s, uint32_t burst, int64_t now_ms);

/* By IPv4 address or IPv6 /64, which share a place where their hashes do. Fixed in size. */
struct guard {
	uint8_t key[16];
	struct bucket source[GUARD_SOURCES];
	int64_t hinted_ms[GUARD_HINTS];
	int64_t asked_ms[GUARD_LOAD];	/* a ring of the last ones */
	unsigned asked;
};

/* key: random. */
void guard_init(struct guard *g, const uint8_t key[static 16]);
bool guard_source(struct guard *g, const struct endpoint *from, int64_t now_ms);
/* At most one hint a second to one source. */
bool guard_hint(struct guard *g, const struct endpoint *from, int64_t now_ms);
/* Count an initiation or who; whether there have been GUARD_LOAD in GUARD_LOAD_MS with it. */
bool guard_loaded(struct guard *g, int64_t now_ms);

#endif
