/*
 * A bounded queue of variable-size entries between one thread that puts and one that takes, without locks. Entries are
 * contiguous; what does not fit is refused.
 */
#ifndef MESHANICS_MESH_PLANE_RING_H
#define MESHANICS_MESH_PLANE_RING_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/compiler.h"

struct plane_ring {
	uint8_t *room;
	size_t size;		/* a power of two */
	size_t held;		/* the taker's: bytes of the entry taken last, not given back yet */
	_Alignas(64) _Atomic size_t put;	/* bytes ever put; the putter's */
	_Alignas(64) _Atomic size_t taken;	/* bytes ever given back; the taker's */
};

void plane_ring_init(struct plane_ring *r, size_t size);
void plane_ring_release(struct plane_ring *r);
/* Room for an entry of a fixed head and a body, or NULL: full. Seen by the taker after plane_ring_commit. */
void *plane_ring_reserve(struct plane_ring *r, size_t len);
void plane_ring_commit(struct plane_ring *r);
/* Is it more than half full, or three quarters? The putter's questions, for what must leave room for better things. */
bool plane_ring_crowded(const struct plane_ring *r);
bool plane_ring_scarce(const struct plane_ring *r);
/* The putter's place: what is put next comes behind it. Has all before such a place been given back? */
size_t plane_ring_place(const struct plane_ring *r);
bool plane_ring_passed(const struct plane_ring *r, size_t place);
/* The oldest entry, or NULL: empty. It is the taker's until the next call. Aligned to 8 bytes. */
void *plane_ring_take(struct plane_ring *r, size_t *len);
bool plane_ring_empty(const struct plane_ring *r);	/* the taker's question */

#endif
