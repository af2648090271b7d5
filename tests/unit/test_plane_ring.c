/* The queue between the threads of the data plane: order, wrapping, refusals, and two threads at once. */
#include "mesh/plane_ring.h"

#include <pthread.h>

#include "tap.h"

#define SIZE 4096
#define MANY 200000

static void put(struct plane_ring *r, uint32_t n, size_t len)
{
	uint8_t *room = plane_ring_reserve(r, len);

	CHECK(room != NULL);
	if (room == NULL)
		return;
	memset(room, (int)(n & 0xff), len);
	plane_ring_commit(r);
}

TEST(what_is_put_is_taken_in_order)
{
	struct plane_ring r;
	size_t len = 0;

	plane_ring_init(&r, SIZE);
	CHECK(plane_ring_empty(&r) && plane_ring_take(&r, &len) == NULL);
	/* Lengths that end at every place of the room. */
	for (uint32_t i = 0; i < 3000; i++) {
		put(&r, i, 1 + i % 700);
		put(&r, i + 1, 3);
		for (uint32_t k = 0; k < 2; k++) {
			uint8_t *p = plane_ring_take(&r, &len);

			CHECK(p != NULL && len == (k == 0 ? 1 + i % 700 : 3));
			CHECK(p[0] == ((i + k) & 0xff) && p[len - 1] == ((i + k) & 0xff));
		}
		CHECK(plane_ring_take(&r, &len) == NULL && plane_ring_empty(&r));
	}
	plane_ring_release(&r);
}

TEST(a_full_ring_refuses_and_recovers)
{
	struct plane_ring r;
	size_t len, n = 0;

	plane_ring_init(&r, SIZE);
	CHECK(!plane_ring_crowded(&r));
	CHECK(plane_ring_reserve(&r, SIZE) == NULL);
	CHECK(plane_ring_reserve(&r, SIZE / 2) == NULL);
	while (plane_ring_reserve(&r, 100) != NULL) {
		plane_ring_commit(&r);
		n++;
	}
	CHECK(n == SIZE / 112 && plane_ring_crowded(&r));
	CHECK(plane_ring_scarce(&r));
	/* What was taken is still being looked at: its room is not given away yet. */
	CHECK(plane_ring_take(&r, &len) != NULL && len == 100);
	CHECK(plane_ring_reserve(&r, 100) == NULL);
	CHECK(plane_ring_take(&r, &len) != NULL);
	CHECK(plane_ring_reserve(&r, 50) != NULL);
	while (plane_ring_scarce(&r))
		CHECK(plane_ring_take(&r, &len) != NULL);
	CHECK(plane_ring_crowded(&r));
	while (plane_ring_crowded(&r))
		CHECK(plane_ring_take(&r, &len) != NULL);
	CHECK(!plane_ring_empty(&r) && !plane_ring_scarce(&r));
	plane_ring_release(&r);
}

static void *putter(void *arg)
{
	struct plane_ring *r = arg;

	for (uint32_t i = 0; i < MANY;) {
		uint32_t *room = plane_ring_reserve(r, 4 + i % 90);

		if (room == NULL)
			continue;
		*room = i++;
		plane_ring_commit(r);
	}
	return NULL;
}

TEST(two_threads_agree)
{
	struct plane_ring r;
	pthread_t t;
	size_t len;
	bool right = true;

	plane_ring_init(&r, SIZE);
	CHECK(pthread_create(&t, NULL, putter, &r) == 0);
	for (uint32_t i = 0; i < MANY;) {
		uint32_t *p = plane_ring_take(&r, &len);

		if (p == NULL)
			continue;
		right = right && *p == i && len == 4 + i % 90;
		i++;
	}
	pthread_join(t, NULL);
	CHECK(right && plane_ring_empty(&r));
	plane_ring_release(&r);
}
