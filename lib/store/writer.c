/* The writer thread: takes jobs in order, groups them into commits, and tells each its end. */
#include "store/writer.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "store/versions.h"
#include "sys/clock.h"

struct entry {
	writer_job *run;
	writer_done *done;
	void *arg;
};

/* An entry that is being worked on, and what became of it. */
struct job {
	struct entry entry;
	int result;
	struct error err;
};

struct writer {
	struct db *db;		/* the thread's, while it runs */
	struct versions *versions;
	pthread_t thread;
	pthread_mutex_t lock;	/* over everything below */
	pthread_cond_t wake;	/* the queue is not empty, or the writer is to stop */
	struct entry *queue;	/* a ring of WRITER_QUEUE_MAX */
	unsigned first, count;
	bool stopping;
	struct writer_stats stats;
};

/* ---- the thread ---- */

/* The next entry. Without one: false at once, or (wait) when the writer is to stop. */
static bool take(struct writer *w, struct entry *out, bool wait)
{
	bool got;

	pthread_mutex_lock(&w->lock);
	while (wait && w->count == 0 && !w->stopping)
		pthread_cond_wait(&w->wake, &w->lock);
	got = w->count > 0;
	if (got) {
		*out = w->queue[w->first];
		w->first = (w->first + 1) % WRITER_QUEUE_MAX;
		w->count--;
	}
	pthread_mutex_unlock(&w->lock);
	return got;
}

/*
 * One job in its savepoint. -1 when the whole transaction is lost: SQLite rolls everything back by itself on
 * a full disk or an I/O error.
 */
static int run_job(struct db *db, struct job *j)
{
	j->err = ERROR_INIT;
	j->result = db_savepoint(db, &j->err);
	if (j->result == 0) {
		j->result = j->entry.run(db, j->entry.arg, &j->err);
		if (j->result == 0)
			j->result = db_savepoint_keep(db, &j->err);
		if (j->result < 0)
			db_savepoint_undo(db);
	}
	return db_in_transaction(db) ? 0 : -1;
}

/* Nothing of these jobs was kept, for this reason; those that failed by themselves keep their own. */
static void fail_all(struct job *jobs, unsigned n, const struct error *err)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (jobs[i].result == 0) {
			jobs[i].result = -1;
			jobs[i].err = *err;
		}
}

/* jobs[0] is taken. Take what else is queued, up to the limits, and run all. -1: the transaction is lost. */
static int run_jobs(struct writer *w, struct job *jobs, unsigned *n, struct error *err)
{
	int64_t end_ms = clock_mono_ms() + WRITER_GROUP_MS;

	for (;;) {
		struct job *j = &jobs[*n - 1];

		if (run_job(w->db, j) < 0) {
			*err = j->err;
			db_rollback(w->db);
			return -1;
		}
		if (*n == WRITER_GROUP_MAX || clock_mono_ms() >= end_ms || !take(w, &jobs[*n].entry, false))
			return 0;
		++*n;
	}
}

/* One transaction that begins with jobs[0]. The number of jobs that were taken in all. *begun: there was a transaction. */
static unsigned run_group(struct writer *w, struct job *jobs, bool *begun, bool *committed)
{
	struct error err = ERROR_INIT;
	unsigned n = 1;

	*committed = false;
	*begun = db_begin(w->db, &err) == 0;
	if (!*begun)
		jobs[0].result = 0;
	else if (run_jobs(w, jobs, &n, &err) == 0)
		*committed = db_commit(w->db, &err) == 0;
	if (!*committed)
		fail_all(jobs, n, &err);
	return n;
}

static void count_group(struct writer *w, const struct job *jobs, unsigned n, bool committed)
{
	unsigned i;

	pthread_mutex_lock(&w->lock);
	w->stats.jobs += n;
	for (i = 0; i < n; i++)
		w->stats.failed_jobs += jobs[i].result < 0;
	if (committed)
		w->stats.commits++;
	else
		w->stats.failed_commits++;
	pthread_mutex_unlock(&w->lock);
}

static void tell(const struct job *j)
{
	if (j->entry.done != NULL)
		j->entry.done(j->entry.arg, j->result, &j->err);
}

/*
 * The lock was waited for already: once is enough for all who queued up meanwhile. In groups they would wait for it
 * once each, the last of a long queue for minutes, and with it the main thread, which the watchdog waits for.
 */
static void fail_queued(struct writer *w, const struct error *err)
{
	struct job j = {.result = -1, .err = *err};
	struct writer_stats now;

	for (writer_stats(w, &now); now.queued > 0 && take(w, &j.entry, false); now.queued--) {
		pthread_mutex_lock(&w->lock);
		w->stats.jobs++;
		w->stats.failed_jobs++;
		pthread_mutex_unlock(&w->lock);
		tell(&j);
	}
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct job *jobs = xcalloc(WRITER_GROUP_MAX, sizeof(*jobs));
	bool begun, committed;
	unsigned i, n;

	while (take(w, &jobs[0].entry, true)) {
		n = run_group(w, jobs, &begun, &committed);
		/* Whether or not it came to a commit: too often is harmless. */
		versions_publish(w->versions);
		count_group(w, jobs, n, committed);
		for (i = 0; i < n; i++)
			tell(&jobs[i]);
		if (!begun)
			fail_queued(w, &jobs[0].err);
	}
	free(jobs);
	return NULL;
}

/* ---- its life ---- */

static void writer_free(struct writer *w)
{
	db_close(w->db);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w->queue);
	free(w);
}

struct writer *writer_start(struct db *db, struct versions *versions, struct error *err)
{
	struct writer *w = xcalloc(1, sizeof(*w));
	sigset_t all, before;
	int code;

	w->db = db;
	w->versions = versions;
	w->queue = xcalloc(WRITER_QUEUE_MAX, sizeof(*w->queue));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (versions != NULL && versions_watch(versions, db, err) < 0) {
		writer_free(w);
		return NULL;
	}
	/* Signals are for the loop that reads them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&w->thread, NULL, writer_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0) {
		writer_free(w);
		error_errno(err, code, "cannot start the writer thread");
		return NULL;
	}
	return w;
}

void writer_stop(struct writer *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	writer_free(w);
}

/* ---- its callers ---- */

int writer_post(struct writer *w, writer_job *job, writer_done *done, void *arg, struct error *err)
{
	int r = 0;

	pthread_mutex_lock(&w->lock);
	if (w->stopping) {
		r = error_set(err, ERR_RETRY, "the control plane is stopping");
	} else if (w->count == WRITER_QUEUE_MAX) {
		r = error_set(err, ERR_RETRY, "the control plane is busy: %u changes wait to be written", w->count);
	} else {
		w->queue[(w->first + w->count) % WRITER_QUEUE_MAX] =
			(struct entry){.run = job, .done = done, .arg = arg};
		w->count++;
		pthread_cond_signal(&w->wake);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* A caller that waits; lives on its stack. */
struct waiting {
	writer_job *job;
	void *arg;
	int result;
	struct error err;
	bool over;
	pthread_mutex_t lock;
	pthread_cond_t end;
};

static int waiting_job(struct db *db, void *arg, struct error *err)
{
	struct waiting *c = arg;

	return c->job(db, c->arg, err);
}

static void waiting_done(void *arg, int result, const struct error *err)
{
	struct waiting *c = arg;

	pthread_mutex_lock(&c->lock);
	c->result = result;
	c->err = *err;
	c->over = true;
	pthread_cond_signal(&c->end);
	pthread_mutex_unlock(&c->lock);
}

int writer_call(struct writer *w, writer_job *job, void *arg, struct error *err)
{
	struct waiting c = {.job = job, .arg = arg, .err = ERROR_INIT};
	int r;

	assert(!pthread_equal(pthread_self(), w->thread));
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.end, NULL);
	r = writer_post(w, waiting_job, waiting_done, &c, err);
	if (r == 0) {
		pthread_mutex_lock(&c.lock);
		while (!c.over)
			pthread_cond_wait(&c.end, &c.lock);
		pthread_mutex_unlock(&c.lock);
		r = c.result;
		if (r < 0)
			*err = c.err;
	}
	pthread_cond_destroy(&c.end);
	pthread_mutex_destroy(&c.lock);
	return r;
}

void writer_stats(struct writer *w, struct writer_stats *out)
{
	pthread_mutex_lock(&w->lock);
	*out = w->stats;
	out->queued = w->count;
	pthread_mutex_unlock(&w->lock);
}

int db_transact(struct db *db, writer_job *job, void *arg, struct error *err)
{
	if (db_begin(db, err) < 0)
		return -1;
	if (job(db, arg, err) < 0) {
		db_rollback(db);
		return -1;
	}
	return db_commit(db, err);
}
