/* The table of last-heard times: open addressing by device id, flushed as one job of the writer. */
#include "store/lastseen.h"

#include <pthread.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "store/devices.h"

#define FIRST_SIZE 1024		/* of the table; a power of two */
#define FLUSH_MAX 4096		/* devices in one job: bounds how long the writer is held */

struct entry {
	int64_t device_id;	/* 0: free */
	int64_t seen_s;
	bool dirty;
	uint64_t digest;	/* of the newest report */
	uint8_t *report;	/* not yet handed to the writer; NULL: none */
	size_t report_len;
};

/* What one job carries; filled under the lock, then the writer's until it is done. */
struct batch {
	struct lastseen *owner;
	struct entry *entries;
	unsigned count;
};

struct lastseen {
	pthread_mutex_t lock;
	struct entry *table;
	size_t size, used;
	size_t dirty;
	size_t next;		/* where the next batch begins to look, so that each has its turn */
	bool flushing;		/* batch is on its way */
	struct error failure;	/* of the last batch that came back; ERR_NONE: it was written */
	struct batch batch;
};

struct lastseen *lastseen_new(void)
{
	struct lastseen *l = xcalloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->size = FIRST_SIZE;
	l->table = xcalloc(l->size, sizeof(*l->table));
	l->batch.owner = l;
	l->batch.entries = xcalloc(FLUSH_MAX, sizeof(*l->batch.entries));
	return l;
}

void lastseen_free(struct lastseen *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->size; i++)
		free(l->table[i].report);
	for (i = 0; i < l->batch.count; i++)
		free(l->batch.entries[i].report);
	free(l->batch.entries);
	free(l->table);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* Fibonacci hashing; ids are dense, so neighbours spread well. */
static size_t place_of(int64_t device_id, size_t size)
{
	return (size_t)((uint64_t)device_id * UINT64_C(0x9e3779b97f4a7c15) >> 16) & (size - 1);
}

static struct entry *find(struct entry *table, size_t size, int64_t device_id)
{
	size_t i = place_of(device_id, size);

	while (table[i].device_id != 0 && table[i].device_id != device_id)
		i = (i + 1) & (size - 1);
	return &table[i];
}

static void grow(struct lastseen *l)
{
	size_t size = l->size * 2, i;
	struct entry *table = xcalloc(size, sizeof(*table));

	for (i = 0; i < l->size; i++)
		if (l->table[i].device_id != 0)
			*find(table, size, l->table[i].device_id) = l->table[i];
	free(l->table);
	l->table = table;
	l->size = size;
}

/* The entry of a device, made if there is none. */
static struct entry *take(struct lastseen *l, int64_t device_id)
{
	struct entry *e = find(l->table, l->size, device_id);

	if (e->device_id != 0)
		return e;
	if (l->used + 1 > l->size / 2) {
		grow(l);
		e = find(l->table, l->size, device_id);
	}
	l->used++;
	e->device_id = device_id;
	return e;
}

static void mark(struct lastseen *l, struct entry *e)
{
	l->dirty += !e->dirty;
	e->dirty = true;
}

uint64_t lastseen_digest(struct slice report)
{
	uint8_t hash[SHA256_LEN];
	uint64_t d;

	sha256_of(report, hash);
	memcpy(&d, hash, sizeof(d));
	return d;
}

void lastseen_touch(struct lastseen *l, int64_t device_id, int64_t now_s, struct slice report)
{
	uint64_t digest = report.len == 0 ? 0 : lastseen_digest(report);
	struct entry *e;

	pthread_mutex_lock(&l->lock);
	e = take(l, device_id);
	if (now_s > e->seen_s || e->seen_s > now_s + DEVICE_SEEN_AHEAD_S)
		e->seen_s = now_s;
	mark(l, e);
	if (report.len > 0 && report.len <= DEVICE_REPORT_MAX && digest != e->digest) {
		free(e->report);
		e->report = xmalloc(report.len);
		memcpy(e->report, report.ptr, report.len);
		e->report_len = report.len;
		e->digest = digest;
	}
	pthread_mutex_unlock(&l->lock);
}

bool lastseen_again(struct lastseen *l, int64_t device_id, int64_t now_s, uint64_t digest)
{
	struct entry *e;
	bool same;

	pthread_mutex_lock(&l->lock);
	e = find(l->table, l->size, device_id);
	same = e->device_id != 0 && e->digest == digest;
	if (same) {
		if (now_s > e->seen_s)
			e->seen_s = now_s;
		mark(l, e);
	}
	pthread_mutex_unlock(&l->lock);
	return same;
}

int64_t lastseen_get(struct lastseen *l, int64_t device_id)
{
	const struct entry *e;
	int64_t seen_s;

	pthread_mutex_lock(&l->lock);
	e = find(l->table, l->size, device_id);
	seen_s = e->device_id == 0 ? 0 : e->seen_s;
	pthread_mutex_unlock(&l->lock);
	return seen_s;
}

/* ---- handing over ---- */

static int flush_job(struct db *db, void *arg, struct error *err)
{
	const struct batch *b = arg;
	unsigned i;

	for (i = 0; i < b->count; i++) {
		const struct entry *e = &b->entries[i];

		if (device_set_seen(db, e->device_id, e->seen_s, slice_of(e->report, e->report_len), err) < 0)
			return -1;
	}
	return 0;
}

/* Put back what was not written, unless something newer came in meanwhile. */
static void put_back(struct lastseen *l, struct entry *taken)
{
	struct entry *e = take(l, taken->device_id);

	mark(l, e);
	if (e->report == NULL && taken->report != NULL) {
		e->report = taken->report;
		e->report_len = taken->report_len;
		taken->report = NULL;
	}
}

/* failure: NULL when it was written. */
static void end_batch(struct lastseen *l, const struct error *failure)
{
	bool written = failure == NULL;
	unsigned i;

	pthread_mutex_lock(&l->lock);
	l->failure = written ? ERROR_INIT : *failure;
	for (i = 0; i < l->batch.count; i++) {
		if (!written)
			put_back(l, &l->batch.entries[i]);
		free(l->batch.entries[i].report);
		l->batch.entries[i].report = NULL;
	}
	l->batch.count = 0;
	l->flushing = false;
	pthread_mutex_unlock(&l->lock);
}

static void flush_done(void *arg, int result, const struct error *err)
{
	struct batch *b = arg;

	end_batch(b->owner, result == 0 ? NULL : err);
}

/* Move up to FLUSH_MAX changed entries into the batch. */
static void fill_batch(struct lastseen *l)
{
	size_t i;

	for (i = 0; i < l->size && l->dirty > 0 && l->batch.count < FLUSH_MAX; i++) {
		struct entry *e = &l->table[l->next];

		l->next = (l->next + 1) & (l->size - 1);
		if (!e->dirty)
			continue;
		l->batch.entries[l->batch.count++] = *e;
		e->report = NULL;
		e->report_len = 0;
		e->dirty = false;
		l->dirty--;
	}
}

int lastseen_flush(struct lastseen *l, struct writer *w, struct error *err)
{
	bool any;
	int r;

	pthread_mutex_lock(&l->lock);
	*err = l->failure;
	r = l->failure.kind == ERR_NONE ? 0 : -1;
	any = !l->flushing && l->dirty > 0;
	if (any) {
		fill_batch(l);
		l->flushing = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (any && writer_post(w, flush_job, flush_done, &l->batch, err) < 0) {
		end_batch(l, err);
		return -1;
	}
	return r;
}
