/* madvise(2), which may say no: nobody cares. */
#include "sys/memory.h"

#include <sys/mman.h>

#define HUGE_PAGE ((uintptr_t)2 << 20)

void memory_expect(const struct buf *b)
{
	uintptr_t from = (uintptr_t)b->ptr + b->len, to = (uintptr_t)b->ptr + b->cap;

	/* Whole pages only: what lies around belongs to others. */
	from = (from + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	to &= ~(HUGE_PAGE - 1);
	if (b->ptr != NULL && from < to && to - from >= HUGE_PAGE)
		(void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}
