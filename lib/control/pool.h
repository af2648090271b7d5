/*
 * A few threads for work that blocks: hashing a staged blob, copying a backup. Jobs run in order of arrival,
 * at most POOL_THREADS at once; the queue is capped, so that a flood is refused instead of remembered.
 */
#ifndef MESHANICS_CONTROL_POOL_H
#define MESHANICS_CONTROL_POOL_H

#include "base/error.h"

#define POOL_THREADS 2
#define POOL_QUEUE_MAX 64

struct pool;
WARN_UNUSED struct pool *pool_start(struct error *err);
/* Finishes what is queued and joins the threads. NULL is fine. */
void pool_stop(struct pool *p);
/* run(arg) on some thread of the pool. -1 with ERR_RETRY when the queue is full or stopping. */
WARN_UNUSED int pool_post(struct pool *p, void (*run)(void *arg), void *arg, struct error *err);

#endif
