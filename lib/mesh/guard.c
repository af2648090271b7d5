/* Buckets of tokens. */
#include "mesh/guard.h"

#include <sodium.h>
#include <string.h>

static void refill(struct bucket *b, uint32_t per_s, uint32_t burst, int64_t now_ms)
{
	int64_t full = (int64_t)burst * 1000, ms = now_ms - b->at_ms;

	if (!b->used)
		b->milli = full;
	else if (ms > 0)
		b->milli = ms >= full ? full : b->milli + ms * per_s;
	if (b->milli > full)
		b->milli = full;
	if (!b->used || ms > 0)
		b->at_ms = now_ms;
	b->used = true;
}

bool bucket_take(struct bucket *b, uint32_t per_s, uint32_t burst, int64_t now_ms)
{
	refill(b, per_s, burst, now_ms);
	if (b->milli < 1000)
		return false;
	b->milli -= 1000;
	return true;
}

uint32_t bucket_left(struct bucket *b, uint32_t per_s, uint32_t burst, int64_t now_ms)
{
	refill(b, per_s, burst, now_ms);
	return (uint32_t)(b->milli / 1000);
}

void guard_init(struct guard *g, const uint8_t key[static 16])
{
	size_t i;

	memset(g, 0, sizeof(*g));
	memcpy(g->key, key, 16);
	for (i = 0; i < GUARD_HINTS; i++)
		g->hinted_ms[i] = INT64_MIN / 4;
	for (i = 0; i < GUARD_LOAD; i++)
		g->asked_ms[i] = INT64_MIN / 4;
}

static uint64_t place(const struct guard *g, const struct endpoint *from)
{
	uint8_t in[9] = {from->family}, hash[crypto_shorthash_BYTES];
	uint64_t h;

	memcpy(in + 1, from->addr, from->family == ENDPOINT_V4 ? 4 : 8);
	crypto_shorthash(hash, in, sizeof(in), g->key);
	memcpy(&h, hash, sizeof(h));
	return h;
}

bool guard_source(struct guard *g, const struct endpoint *from, int64_t now_ms)
{
	return bucket_take(&g->source[place(g, from) % GUARD_SOURCES], GUARD_PER_S, GUARD_BURST, now_ms);
}

bool guard_hint(struct guard *g, const struct endpoint *from, int64_t now_ms)
{
	int64_t *last = &g->hinted_ms[place(g, from) / GUARD_SOURCES % GUARD_HINTS];

	if (now_ms - *last < 1000)
		return false;
	*last = now_ms;
	return true;
}

bool guard_loaded(struct guard *g, int64_t now_ms)
{
	int64_t *oldest = &g->asked_ms[g->asked++ % GUARD_LOAD];
	bool loaded = now_ms - *oldest < GUARD_LOAD_MS;

	*oldest = now_ms;
	return loaded;
}
