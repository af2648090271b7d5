/*
 * When devices were last heard of, and what they reported, in memory between the connection loops and the
 * database. A bare heartbeat costs a look into a table here; once a second the changes go to the writer as one
 * job. What is lost in a crash is less than two seconds of it, and every device says it again.
 *
 * Shared by all threads, under one mutex that is never held across I/O.
 */
#ifndef MESHANICS_STORE_LASTSEEN_H
#define MESHANICS_STORE_LASTSEEN_H

#include "store/writer.h"

struct lastseen;

struct lastseen *lastseen_new(void);
/* After the writer was stopped: a job that is queued still refers to it. NULL is fine. */
void lastseen_free(struct lastseen *l);

/* The device was heard of at now_s. report: JSON as stored (DEVICE_REPORT_MAX), or empty: nothing new. Copied if new. */
void lastseen_touch(struct lastseen *l, int64_t device_id, int64_t now_s, struct slice report);
uint64_t lastseen_digest(struct slice report);	/* names a report in lastseen_again; never 0 in practice */
/*
 * The device was heard of at now_s, and its report is the one with this digest still. False, and nothing is noted, when
 * the newest report is another: then it has to be told with lastseen_touch.
 */
WARN_UNUSED bool lastseen_again(struct lastseen *l, int64_t device_id, int64_t now_s, uint64_t digest);
/* When it was last heard of, by memory alone; 0 when it was not since the start. */
int64_t lastseen_get(struct lastseen *l, int64_t device_id);
/*
 * Hand what changed since the last call to the writer; nothing when nothing did, or while the last hand-over
 * is still under way. If the write fails, the same is handed over again next time. -1 with ERR_RETRY when the queue is full,
 * or with the reason why the last one that came back was not written; what changed is handed over all the same.
 */
WARN_UNUSED int lastseen_flush(struct lastseen *l, struct writer *w, struct error *err);

#endif
