/*
 * Room on a file system: asked for before the first byte, taken before it is needed, and held back for what must be
 * written even when somebody has filled the disk.
 *
 * A spare is a file of our own that holds blocks and no content. When one of the writes that must succeed finds no
 * room, a piece of the spare is given back and the write is made again:
 *
 *	while (state_enter(...) < 0) {
 *		if (!spare_again(&spare, &err))
 *			return -1;
 *	}
 *
 * Piece by piece, since whoever fills the disk takes what is given back, too. spare_refill takes it again when there
 * is room. On file systems that copy on write, or compress, all of this is best effort.
 */
#ifndef MESHANICS_SYS_SPACE_H
#define MESHANICS_SYS_SPACE_H

#include "base/error.h"

/* What failed for err is that the disk, or our share of it, is full. */
bool space_is_error(const struct error *err);

/*
 * Is there room for `bytes` more below dirfd, with `keep` left for others of ours? `where` is how the operator calls
 * that place. 0, or ERR_RETRY (sys_errno ENOSPC) with both numbers.
 */
WARN_UNUSED int space_need(int dirfd, const char *where, uint64_t bytes, uint64_t keep, struct error *err);
/*
 * Take the blocks for the first len bytes of the file; its size and content stay. 0 also where the file system cannot
 * do that; ERR_RETRY (sys_errno ENOSPC or EDQUOT) when there is no room, and then the file holds no more than before.
 */
WARN_UNUSED int space_take(int fd, uint64_t len, const char *what, struct error *err);
/* What the file takes of its disk; 0 when there is none, or when it is no regular file. */
uint64_t space_taken(int dirfd, const char *name);

struct spare {
	int dirfd;		/* borrowed */
	const char *name;	/* of the file, borrowed */
	uint64_t size, step;	/* bytes when whole, and of a piece */
	uint64_t keep;		/* refilled only where so much stays free beside it */
	uint64_t held;		/* bytes it holds now */
};
/* The other members are set: see what is there, and fill it if there is room. Never fails: held tells. */
void spare_open(struct spare *s);
void spare_look(struct spare *s);	/* the first half of that */
static inline bool spare_whole(const struct spare *s)
{
	return s->held >= s->size;
}
/* Give a piece back; false when there is none. */
bool spare_give(struct spare *s);
/* err is for want of room, and a piece was given back: try again. */
bool spare_again(struct spare *s, const struct error *err);
/* Make it whole if there is room for that. */
void spare_refill(struct spare *s);

#endif
