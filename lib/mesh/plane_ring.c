/* A bounded queue between two threads. */
#include "mesh/plane_ring.h"

#include <stdlib.h>

#include "base/buf.h"

/*
 * Before each entry: the bytes it takes with this word, and how many of them are asked for. len SKIP: nothing
 * here, go on at the start.
 */
struct mark {
	uint32_t span;
	uint32_t len;
};

#define SKIP UINT32_MAX

void plane_ring_init(struct plane_ring *r, size_t size)
{
	*r = (struct plane_ring){.room = xmalloc(size), .size = size};
}

void plane_ring_release(struct plane_ring *r)
{
	free(r->room);
	r->room = NULL;
}

static struct mark *at(struct plane_ring *r, size_t position)
{
	return (struct mark *)(void *)(r->room + (position & (r->size - 1)));
}

void *plane_ring_reserve(struct plane_ring *r, size_t len)
{
	size_t span = (sizeof(struct mark) + len + 7) & ~(size_t)7;
	size_t put = atomic_load_explicit(&r->put, memory_order_relaxed);
	size_t taken = atomic_load_explicit(&r->taken, memory_order_acquire);
	size_t to_end = r->size - (put & (r->size - 1));
	size_t need = span > to_end ? to_end + span : span;

	if (span >= r->size / 2 || need > r->size - (put - taken))
		return NULL;
	if (span > to_end) {
		*at(r, put) = (struct mark){(uint32_t)to_end, SKIP};
		put += to_end;
		atomic_store_explicit(&r->put, put, memory_order_release);
	}
	*at(r, put) = (struct mark){(uint32_t)span, (uint32_t)len};
	return at(r, put) + 1;
}

void plane_ring_commit(struct plane_ring *r)
{
	size_t put = atomic_load_explicit(&r->put, memory_order_relaxed);

	atomic_store_explicit(&r->put, put + at(r, put)->span, memory_order_release);
}

bool plane_ring_crowded(const struct plane_ring *r)
{
	return atomic_load_explicit(&r->put, memory_order_relaxed) -
		       atomic_load_explicit(&r->taken, memory_order_relaxed) > r->size / 2;
}

bool plane_ring_scarce(const struct plane_ring *r)
{
	return atomic_load_explicit(&r->put, memory_order_relaxed) -
		       atomic_load_explicit(&r->taken, memory_order_relaxed) > r->size / 4 * 3;
}

size_t plane_ring_place(const struct plane_ring *r)
{
	return atomic_load_explicit(&r->put, memory_order_relaxed);
}

bool plane_ring_passed(const struct plane_ring *r, size_t place)
{
	return (ptrdiff_t)(atomic_load_explicit(&r->taken, memory_order_relaxed) - place) >= 0;
}

void *plane_ring_take(struct plane_ring *r, size_t *len)
{
	size_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed) + r->held;

	r->held = 0;
	atomic_store_explicit(&r->taken, taken, memory_order_release);
	while (taken != atomic_load_explicit(&r->put, memory_order_acquire)) {
		struct mark *m = at(r, taken);

		if (m->len == SKIP) {
			taken += m->span;
			atomic_store_explicit(&r->taken, taken, memory_order_release);
			continue;
		}
		r->held = m->span;
		*len = m->len;
		return m + 1;
	}
	return NULL;
}

bool plane_ring_empty(const struct plane_ring *r)
{
	return atomic_load_explicit(&r->taken, memory_order_relaxed) + r->held ==
	       atomic_load_explicit(&r->put, memory_order_acquire);
}
