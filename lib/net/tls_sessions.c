/*
 * Sessions of a server for resumption, in memory that is kept out of core dumps and, where the limits
 * allow it, out of swap. One mutex guards all; what happens under it takes a microsecond, but for
 * tls_sessions_evict, which walks the table and runs only when an operator revokes.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "net/tls_internal.h"

#define NONE UINT32_MAX

struct slot {
	struct tls_session_entry e;
	bool used;
	uint32_t chain_next;   /* in the same bucket */
	uint32_t newer, older; /* in order of use */
};

struct tls_sessions {
	pthread_mutex_t lock;
	uint32_t max, count;
	uint32_t mask; /* buckets - 1 */
	uint32_t newest, oldest, free_first;
	size_t mapped; /* bytes of the mapping that holds the two below */
	struct slot *slots;
	uint32_t *buckets; /* 1 + index, so that untouched pages mean empty */
	uint32_t fresh;	   /* slots from here on were never used */
};

/* Session ids are random and made by us, so any four bytes of them are a good hash. */
static uint32_t *bucket_of(const struct tls_sessions *s, const uint8_t id[static 32])
{
	uint32_t h;

	memcpy(&h, id, sizeof(h));
	return &s->buckets[h & s->mask];
}

struct tls_sessions *tls_sessions_new(unsigned max)
{
	struct tls_sessions *s = xcalloc(1, sizeof(*s));
	uint32_t buckets = 1;
	size_t slots_len = sizeof(struct slot) * max;
	void *p;

	while (buckets < max && buckets < 1u << 24)
		buckets *= 2;
	s->mapped = slots_len + sizeof(uint32_t) * buckets;
	p = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) { /* resumption saves time, no more: go without */
		free(s);
		return NULL;
	}
	madvise(p, s->mapped, MADV_DONTDUMP);
	if (mlock2(p, s->mapped, MLOCK_ONFAULT) < 0) {
		/* Beyond RLIMIT_MEMLOCK: they stay swappable, like the heap around them. */
	}
	s->slots = p;
	s->buckets = (uint32_t *)(void *)((char *)p + slots_len);
	s->mask = buckets - 1;
	s->max = max;
	s->newest = s->oldest = s->free_first = NONE;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void tls_sessions_free(struct tls_sessions *s)
{
	if (s == NULL)
		return;
	explicit_bzero(s->slots, s->fresh * sizeof(struct slot));
	munmap(s->slots, s->mapped);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void unlink_use(struct tls_sessions *s, uint32_t i)
{
	struct slot *t = &s->slots[i];

	if (t->newer != NONE)
		s->slots[t->newer].older = t->older;
	else
		s->newest = t->older;
	if (t->older != NONE)
		s->slots[t->older].newer = t->newer;
	else
		s->oldest = t->newer;
}

static void link_newest(struct tls_sessions *s, uint32_t i)
{
	struct slot *t = &s->slots[i];

	t->newer = NONE;
	t->older = s->newest;
	if (s->newest != NONE)
		s->slots[s->newest].newer = i;
	else
		s->oldest = i;
	s->newest = i;
}

static uint32_t find(const struct tls_sessions *s, const uint8_t id[static 32])
{
	uint32_t i = *bucket_of(s, id);

	while (i != 0 && memcmp(s->slots[i - 1].e.id, id, 32) != 0)
		i = s->slots[i - 1].chain_next;
	return i == 0 ? NONE : i - 1;
}

static void drop(struct tls_sessions *s, uint32_t i)
{
	uint32_t *p = bucket_of(s, s->slots[i].e.id);

	while (*p != i + 1)
		p = &s->slots[*p - 1].chain_next;
	*p = s->slots[i].chain_next;
	unlink_use(s, i);
	explicit_bzero(&s->slots[i].e, sizeof(s->slots[i].e));
	s->slots[i].used = false;
	s->slots[i].older = s->free_first;
	s->free_first = i;
	s->count--;
}

void tls_sessions_put(struct tls_sessions *s, const struct tls_session_entry *e)
{
	uint32_t i, *bucket;

	pthread_mutex_lock(&s->lock);
	if ((i = find(s, e->id)) != NONE)
		drop(s, i);
	if (s->count == s->max)
		drop(s, s->oldest);
	if (s->free_first != NONE) {
		i = s->free_first;
		s->free_first = s->slots[i].older;
	} else {
		i = s->fresh++;
	}
	bucket = bucket_of(s, e->id);
	s->slots[i].e = *e;
	s->slots[i].used = true;
	s->slots[i].chain_next = *bucket;
	*bucket = i + 1;
	link_newest(s, i);
	s->count++;
	pthread_mutex_unlock(&s->lock);
}

bool tls_sessions_get(struct tls_sessions *s, const uint8_t id[static 32],
		      struct tls_session_entry *out)
{
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	if ((i = find(s, id)) != NONE) {
		*out = s->slots[i].e;
		unlink_use(s, i);
		link_newest(s, i);
	}
	pthread_mutex_unlock(&s->lock);
	return i != NONE;
}

void tls_sessions_drop(struct tls_sessions *s, const uint8_t id[static 32])
{
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	if ((i = find(s, id)) != NONE)
		drop(s, i);
	pthread_mutex_unlock(&s->lock);
}

void tls_sessions_evict(struct tls_sessions *s, const uint8_t fingerprint[static 32])
{
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->fresh; i++) {
		const struct slot *t = &s->slots[i];

		if (t->used && t->e.has_peer && memcmp(t->e.fingerprint, fingerprint, 32) == 0)
			drop(s, i);
	}
	pthread_mutex_unlock(&s->lock);
}

unsigned tls_sessions_count(struct tls_sessions *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}
