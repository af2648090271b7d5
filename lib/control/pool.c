/* Threads that may block, behind one capped queue. */
#include "control/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

struct pool_job {
	void (*run)(void *arg);
	void *arg;
};

struct pool {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	pthread_t threads[POOL_THREADS];
	unsigned thread_count;
	bool stopping;
	unsigned first, count;	/* of a ring */
	struct pool_job ring[POOL_QUEUE_MAX];
};

/* The next job, waiting for one; false when the pool stops and nothing is left. */
static bool pool_take(struct pool *p, struct pool_job *job)
{
	bool got;

	pthread_mutex_lock(&p->mutex);
	while (p->count == 0 && !p->stopping)
		pthread_cond_wait(&p->more, &p->mutex);
	got = p->count > 0;
	if (got) {
		*job = p->ring[p->first];
		p->first = (p->first + 1) % POOL_QUEUE_MAX;
		p->count--;
	}
	pthread_mutex_unlock(&p->mutex);
	return got;
}

static void *pool_main(void *arg)
{
	struct pool *p = arg;
	struct pool_job job;

	while (pool_take(p, &job))
		job.run(job.arg);
	return NULL;
}

struct pool *pool_start(struct error *err)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	int e;

	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->more, NULL);
	while (p->thread_count < POOL_THREADS) {
		e = pthread_create(&p->threads[p->thread_count], NULL, pool_main, p);
		if (e != 0) {
			error_errno(err, e, "cannot start a thread");
			pool_stop(p);
			return NULL;
		}
		p->thread_count++;
	}
	return p;
}

void pool_stop(struct pool *p)
{
	unsigned i;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->mutex);
	p->stopping = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->mutex);
	for (i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

int pool_post(struct pool *p, void (*run)(void *arg), void *arg, struct error *err)
{
	bool full;

	pthread_mutex_lock(&p->mutex);
	full = p->stopping || p->count == POOL_QUEUE_MAX;
	if (!full) {
		p->ring[(p->first + p->count) % POOL_QUEUE_MAX] = (struct pool_job){run, arg};
		p->count++;
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->mutex);
	if (full)
		return error_set(err, ERR_RETRY, "%u uploads are waiting already", POOL_QUEUE_MAX);
	return 0;
}
