/*
 * The one thread that writes to the control database. Everybody else hands it jobs:
 *
 *   loop 1 --.                        .--> BEGIN IMMEDIATE
 *   loop 2 --+--> queue (in order) ---+    SAVEPOINT, job 1, RELEASE (or ROLLBACK TO: only job 1 is undone)
 *   timer  --'    at most 4096 jobs   |    ... as long as the queue has more: up to 64 jobs or 20 ms
 *                                     '--> COMMIT (synchronous=FULL), then job 1's done, job 2's done, ...
 *
 * A lone job is committed at once; jobs that pile up while the disk syncs share the next commit. `done`
 * runs on the writer thread after the COMMIT that made the job durable (or after it failed), exactly once
 * for each job that was accepted, in order; it must not block and must not touch the database: it posts the
 * answer to the loop that waits for it. When the COMMIT fails (disk full), or SQLite gives the whole
 * transaction up, every job of the group gets that error. When another process keeps the lock of the database for longer
 * than DB_BUSY_TIMEOUT_MS, all that is queued by then gets ERR_RETRY.
 *
 * The queue and the counters are the only things shared, under one mutex. The connection belongs to the
 * thread from writer_start to writer_stop.
 */
#ifndef MESHANICS_STORE_WRITER_H
#define MESHANICS_STORE_WRITER_H

#include "db/db.h"

struct versions;	/* store/versions.h */

#define WRITER_QUEUE_MAX 4096
#define WRITER_GROUP_MAX 64
#define WRITER_GROUP_MS 20

struct writer;

/* Does the work, inside its own savepoint. 0, or -1 with err: what it did is undone. */
typedef int writer_job(struct db *db, void *arg, struct error *err);
/* result: 0 (durable) or -1 (nothing of the job remains; err says why, borrowed for the call). */
typedef void writer_done(void *arg, int result, const struct error *err);

struct writer_stats {
	uint64_t jobs, failed_jobs;	/* since the start */
	uint64_t commits, failed_commits;
	unsigned queued;	/* now */
};

/*
 * Takes db, also on failure. versions: told of what each commit changed, before anybody hears of the commit; borrowed,
 * or NULL. NULL with err when the thread cannot be made.
 */
WARN_UNUSED struct writer *writer_start(struct db *db, struct versions *versions, struct error *err);
/* Accepts no more, finishes what is queued, joins the thread, closes the connection, frees. NULL is fine. */
void writer_stop(struct writer *w);

/*
 * Queue a job. done may be NULL. From any thread. -1 with ERR_RETRY when the queue is full or the writer is
 * stopping; then neither function is called and arg is still the caller's.
 */
WARN_UNUSED int writer_post(struct writer *w, writer_job *job, writer_done *done, void *arg, struct error *err);
/* As writer_post, and wait for the end: the job's result and error. Never from the writer thread itself. */
WARN_UNUSED int writer_call(struct writer *w, writer_job *job, void *arg, struct error *err);
void writer_stats(struct writer *w, struct writer_stats *out);

/*
 * The same transaction without a thread, for a process that owns the database alone: BEGIN, job, COMMIT.
 */
WARN_UNUSED int db_transact(struct db *db, writer_job *job, void *arg, struct error *err);

#endif
