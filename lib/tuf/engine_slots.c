/* The targets files that a client has verified, found by role name. */
#include <stdlib.h>

#include "tuf/engine_internal.h"

#define SLOTS_KEPT 64 /* roles that stay in memory between two searches */

static uint32_t name_hash(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a; names come from signed files */

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

/* The index entry of name, or the empty one where it belongs. */
static unsigned *index_at(const struct tuf_client *c, const char *name)
{
	unsigned i = name_hash(name) & (c->index_size - 1);

	while (c->index[i] != 0 && strcmp(c->slots[c->index[i] - 1]->name, name) != 0)
		i = (i + 1) & (c->index_size - 1);
	return &c->index[i];
}

struct role_slot *tuf_slot_find(const struct tuf_client *c, const char *name)
{
	unsigned at = c->index_size == 0 ? 0 : *index_at(c, name);

	return at == 0 ? NULL : c->slots[at - 1];
}

/* Half empty at least, so that probing stays short. */
static void index_build(struct tuf_client *c)
{
	unsigned i;

	c->index_size = 64;
	while (c->index_size < 4 * c->slot_count)
		c->index_size *= 2;
	free(c->index);
	c->index = xcalloc(c->index_size, sizeof(*c->index));
	for (i = 0; i < c->slot_count; i++)
		if (!c->slots[i]->superseded)
			*index_at(c, c->slots[i]->name) = i + 1;
}

struct role_slot *tuf_slot_new(const char *name, struct buf *bytes, struct tuf_targets *file,
			       const struct role_slot *by)
{
	struct role_slot *s = xcalloc(1, sizeof(*s));

	memcpy(s->name, name, strlen(name) + 1);
	s->bytes = *bytes;
	s->file = file;
	s->by = by;
	*bytes = BUF_INIT(bytes->max);
	return s;
}

void tuf_slot_free(struct role_slot *s)
{
	if (s == NULL)
		return;
	tuf_targets_free(s->file);
	buf_release(&s->bytes);
	free(s);
}

void tuf_slot_add(struct tuf_client *c, struct role_slot *s)
{
	struct role_slot *old = tuf_slot_find(c, s->name);

	if (old != NULL)
		old->superseded = true;
	if (c->slot_count == c->slot_room) {
		c->slot_room = c->slot_room == 0 ? 8 : 2 * c->slot_room;
		c->slots = xreallocarray(c->slots, c->slot_room, sizeof(struct role_slot *));
	}
	c->slots[c->slot_count++] = s;
	if (c->index_size < 2 * c->slot_count)
		index_build(c);
	else
		*index_at(c, s->name) = c->slot_count;
}

void tuf_slots_trim(struct tuf_client *c)
{
	unsigned i;

	if (c->slot_count <= SLOTS_KEPT)
		return;
	for (i = 0; i < c->slot_count; i++)
		if (c->slots[i]->dirty)
			return;
	for (i = 1; i < c->slot_count; i++)
		tuf_slot_free(c->slots[i]);
	c->slot_count = 1;
	index_build(c);
}
