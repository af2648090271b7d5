/*
 * Leaf certificates whose signature by one of our CAs has been verified, by fingerprint: a device that comes again with
 * a full handshake is spared that verification, which is a third of the handshake's work. Only what never changes is
 * remembered. Validity, usage and names are checked each time, and whether a fingerprint is revoked is the business of
 * those who know it.
 *
 * One table of fixed size; who comes to a place that is taken takes it. Only certificates that verified come in, so
 * strangers can neither fill it nor find anything. One mutex; what happens under it takes a fraction of a microsecond.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "net/tls_internal.h"

struct place {
	uint8_t fingerprint[32];
	uint32_t ca;	/* 1 + index of the CA; 0: empty */
	uint32_t usages;
};

struct tls_known {
	pthread_mutex_t lock;
	uint32_t mask;
	unsigned count;
	struct place *places;	/* untouched pages cost nothing */
};

struct tls_known *tls_known_new(unsigned max)
{
	struct tls_known *k = xcalloc(1, sizeof(*k));
	uint32_t n = 1;

	while (n < max && n < 1u << 24)
		n *= 2;
	k->places = mmap(NULL, n * sizeof(k->places[0]), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->places == MAP_FAILED) { /* it saves time, no more */
		free(k);
		return NULL;
	}
	k->mask = n - 1;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void tls_known_free(struct tls_known *k)
{
	if (k == NULL)
		return;
	munmap(k->places, ((size_t)k->mask + 1) * sizeof(k->places[0]));
	pthread_mutex_destroy(&k->lock);
	free(k);
}

/* A fingerprint is a hash already. */
static struct place *place_of(const struct tls_known *k, const uint8_t fingerprint[static 32])
{
	uint32_t h;

	memcpy(&h, fingerprint, sizeof(h));
	return &k->places[h & k->mask];
}

bool tls_known_get(struct tls_known *k, const uint8_t fingerprint[static 32], uint32_t *ca, unsigned *usages)
{
	struct place *p = place_of(k, fingerprint);
	bool found;

	pthread_mutex_lock(&k->lock);
	found = p->ca != 0 && memcmp(p->fingerprint, fingerprint, 32) == 0;
	if (found) {
		*ca = p->ca - 1;
		*usages = p->usages;
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

void tls_known_put(struct tls_known *k, const uint8_t fingerprint[static 32], uint32_t ca, unsigned usages)
{
	struct place *p = place_of(k, fingerprint);

	pthread_mutex_lock(&k->lock);
	k->count += p->ca == 0;
	memcpy(p->fingerprint, fingerprint, 32);
	p->ca = ca + 1;
	p->usages = usages;
	pthread_mutex_unlock(&k->lock);
}

unsigned tls_known_count(struct tls_known *k)
{
	unsigned n;

	pthread_mutex_lock(&k->lock);
	n = k->count;
	pthread_mutex_unlock(&k->lock);
	return n;
}
