/* Numbers that change with what the store says of a device. */
#include "store/versions.h"

#include <stdatomic.h>
#include <stdlib.h>

#define NOTED_MAX 4096	/* devices of one commit told one by one; with more, all change */

struct versions {
	_Atomic uint64_t epoch;	/* grows with each publication that has anything to tell */
	_Atomic uint64_t all;	/* part of every device's number */
	_Atomic uint64_t places[VERSIONS_PLACES];
	/* the writer's: since the last publication */
	unsigned noted_count;
	bool noted_all;
	uint32_t noted[NOTED_MAX];
};

struct versions *versions_new(void)
{
	return xcalloc(1, sizeof(struct versions));
}

void versions_free(struct versions *v)
{
	free(v);
}

static uint32_t place_of(int64_t device_id)
{
	return (uint32_t)((uint64_t)device_id & (VERSIONS_PLACES - 1));
}

uint64_t versions_epoch(const struct versions *v)
{
	return v->epoch;
}

/* Both parts only grow, so that their sum stays exactly when both do. */
uint64_t versions_of(const struct versions *v, int64_t device_id)
{
	return v->places[place_of(device_id)] + v->all;
}

/* device_id 0: of no one device. */
static void note(void *arg, int64_t device_id)
{
	struct versions *v = arg;
	uint32_t place = place_of(device_id);

	if (device_id == 0 || v->noted_count == NOTED_MAX)
		v->noted_all = true;
	else if (v->noted_count == 0 || v->noted[v->noted_count - 1] != place)
		v->noted[v->noted_count++] = place;
}

int versions_watch(struct versions *v, struct db *db, struct error *err)
{
	/* Not last_seen_s, report and profile, which change all the time and change no answer. */
	static const char *const of_device[] = {"name", "state", NULL};
	static const char *const of_rollout[] = {"state", NULL};
	static const struct db_watched watched[] = {
		{ .table = "devices", .key = "id", .columns = of_device },
		{ .table = "certificates", .key = "device_id" },
		{ .table = "assignments", .key = "device_id" },
		{ .table = "orders", .key = "device_id" },
		{ .table = "rollouts", .columns = of_rollout },
		{ .table = NULL },
	};

	return db_watch(db, watched, note, v, err);
}

void versions_publish(struct versions *v)
{
	unsigned i;

	if (v == NULL || (v->noted_count == 0 && !v->noted_all))
		return;
	v->epoch++;
	v->all += v->noted_all;
	for (i = 0; i < v->noted_count; i++)
		v->places[v->noted[i]]++;
	v->noted_count = 0;
	v->noted_all = false;
}
