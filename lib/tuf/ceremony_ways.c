/* What is still missing: the smallest sets of signers whose answers would complete a request. */
#include "tuf/ceremony_internal.h"

/* The signers that have not answered, and for each demand which of them count and how many it still
 * wants. */
struct search {
	const struct tuf_key *missing[CEREMONY_WAY_KEYS_MAX];
	unsigned count;
	struct {
		uint32_t who;
		unsigned wanted;
	} demands[4];
	unsigned demand_count;
};

/* Its bit; 0 when there are too many. */
static uint32_t bit_of(struct search *s, const struct tuf_key *k)
{
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (pubkey_equal(&s->missing[i]->pub, &k->pub))
			return UINT32_C(1) << i;
	}
	if (s->count == CEREMONY_WAY_KEYS_MAX)
		return 0;
	s->missing[s->count++] = k;
	return UINT32_C(1) << (s->count - 1);
}

static int add_demand(struct search *s, const struct ceremony *c, unsigned document,
		      unsigned demand)
{
	const struct tuf_role *role = c->documents[document].demands[demand].role;
	struct ceremony_tally t;
	uint32_t who = 0, bit;
	unsigned i;

	ceremony_tally(c, document, demand, &t);
	for (i = 0; i < role->keys.count; i++) {
		if (t.has_signed[i] || role->keys.list[i].pub.scheme == KEY_NONE)
			continue;
		if ((bit = bit_of(s, &role->keys.list[i])) == 0)
			return -1;
		who |= bit;
	}
	s->demands[s->demand_count].who = who;
	s->demands[s->demand_count++].wanted =
		t.signed_count < t.threshold ? t.threshold - t.signed_count : 0;
	return 0;
}

static bool is_enough(const struct search *s, uint32_t set)
{
	unsigned i;

	for (i = 0; i < s->demand_count; i++) {
		if ((unsigned)__builtin_popcount(set & s->demands[i].who) < s->demands[i].wanted)
			return false;
	}
	return true;
}

static unsigned sets_of_size(const struct search *s, unsigned size, struct ceremony_way *list)
{
	unsigned found = 0, i;
	uint32_t set;

	for (set = 1; set < UINT32_C(1) << s->count && found < CEREMONY_WAYS_MAX; set++) {
		if ((unsigned)__builtin_popcount(set) != size || !is_enough(s, set))
			continue;
		list[found] = (struct ceremony_way){.count = 0};
		for (i = 0; i < s->count; i++) {
			if (set & UINT32_C(1) << i)
				list[found].keys[list[found].count++] = s->missing[i];
		}
		found++;
	}
	return found;
}

unsigned ceremony_ways(const struct ceremony *c, struct ceremony_way list[static CEREMONY_WAYS_MAX])
{
	struct search s = {.count = 0};
	unsigned i, k, size, found = 0;

	for (i = 0; i < c->document_count; i++) {
		for (k = 0; k < c->documents[i].demand_count; k++) {
			if (add_demand(&s, c, i, k) < 0)
				return 0;
		}
	}
	if (is_enough(&s, 0))
		return 0;
	for (size = 1; size <= s.count && found == 0; size++)
		found = sets_of_size(&s, size, list);
	return found;
}
