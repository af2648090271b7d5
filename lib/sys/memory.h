/* Advice to the kernel about memory. It changes costs, never what a program sees. */
#ifndef MESHANICS_SYS_MEMORY_H
#define MESHANICS_SYS_MEMORY_H

#include "base/buf.h"

/*
 * The free room of b, which is about to be filled, may be given in huge pages: a fault for 2 MiB in place of 512. Does
 * nothing below some megabytes, or where the kernel has none.
 */
void memory_expect(const struct buf *b);

#endif
