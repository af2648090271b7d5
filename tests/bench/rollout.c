/*
 * What a rollout costs the store as the fleet grows, without network and certificates: processor time of one thread for
 * making N devices, creating a rollout over them, opening its waves by their reports (five a device, 64 in a commit as
 * the writer groups them), and for devices that come late.
 *
 *	rollout [N...]		(1000 10000 100000); TMPDIR chooses the file system
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crypto/key.h"
#include "fleet/devices.h"
#include "fleet/rollout.h"
#include "store/schema.h"
#include "store/writer.h"
#include "sys/clock.h"

#define LATE 200
#define GROUP 64

static struct error err;

static void must(int r)
{
	if (r == 0)
		return;
	fprintf(stderr, "rollout: %s\n", err.text);
	exit(1);
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void add_devices(struct db *db, const char *prefix, int64_t from, int64_t count)
{
	char name[64];
	int64_t i, id;

	must(db_begin(db, &err));
	for (i = from; i < from + count; i++) {
		snprintf(name, sizeof(name), "%s-%06lld", prefix, (long long)i);
		must(device_add(db, slice_str(name), clock_now_s(), &id, &err));
	}
	must(db_commit(db, &err));
}

static void create(struct db *db)
{
	const struct rollout_spec spec = {
		.artifact = SLICE_LIT("plant/plc/1"),
		.kind = SLICE_LIT("file"),
		.selector = SLICE_LIT("{\"all\":true}"),
		.strategy = SLICE_LIT("{\"waves\":[{\"percent\":10},{\"percent\":100}]}"),
	};
	const struct rollout_actor who = {.name = "bench", .now_s = clock_now_s()};
	int64_t id;

	must(db_begin(db, &err));
	must(rollout_create(db, &spec, &who, &id, &err));
	must(db_commit(db, &err));
}

static void say(struct db *db, int64_t device, int64_t assignment, unsigned seq, const char *state)
{
	struct buf body = BUF_INIT(1024);
	struct json doc = JSON_INIT;

	buf_printf(&body, "{\"instance\":\"0123456789abcdef\",\"assignment\":%lld,\"seq\":%u,\"path\":\"plant/plc/1\","
			  "\"state\":\"%s\",\"reason\":\"as asked\",\"at\":\"2026-11-28T06:00:00Z\"}",
		   (long long)assignment, seq, state);
	must(json_parse(&doc, buf_slice(&body), JSON_STRICT, &err));
	must(device_status(db, device, json_root(&doc), clock_now_s(), &err));
	json_release(&doc);
	buf_release(&body);
}

/* All devices in the order of the cohort, so that the first wave is done before the second opens. */
static void report(struct db *db, int64_t count)
{
	static const char *const steps[] = {"downloading", "verifying", "applying", "probing", "healthy"};
	int64_t *device = xcalloc((size_t)count, sizeof(*device)), *assignment = xcalloc((size_t)count, sizeof(*device));
	struct query q = query_open(db, "SELECT device_id, id FROM assignments ORDER BY position");
	int64_t i, n = 0, done = 0;
	unsigned step;

	while (n < count && query_next(&q, &err) > 0) {
		device[n] = query_col_int(&q, 0);
		assignment[n++] = query_col_int(&q, 1);
	}
	query_close(&q);
	must(db_begin(db, &err));
	for (i = 0; i < n; i++)
		for (step = 0; step < ARRAY_SIZE(steps); step++) {
			say(db, device[i], assignment[i], step + 1, steps[step]);
			if (++done % GROUP == 0) {
				must(db_commit(db, &err));
				must(db_begin(db, &err));
			}
		}
	must(db_commit(db, &err));
	free(device);
	free(assignment);
}

static void come_late(struct db *db)
{
	int64_t i, first;

	add_devices(db, "late", 0, LATE);
	must(db_get_int(db, "SELECT max(id) FROM devices", &first, &err));
	first -= LATE - 1;
	must(db_begin(db, &err));
	for (i = 0; i < LATE; i++)
		must(rollouts_adopt(db, first + i, clock_now_s(), &err));
	must(db_commit(db, &err));
}

static void measure(const char *dir, int64_t count)
{
	char path[4096];
	double t[6];
	int64_t size, state;
	struct db *db;

	snprintf(path, sizeof(path), "%s/%lld.db", dir, (long long)count);
	db = db_open(path, DB_CREATE, &control_schema, &err);
	must(db == NULL ? -1 : 0);
	t[0] = cpu_ms();
	add_devices(db, "load", 0, count);
	t[1] = cpu_ms();
	create(db);
	t[2] = cpu_ms();
	report(db, count);
	t[3] = cpu_ms();
	come_late(db);
	t[4] = cpu_ms();
	must(db_get_int(db, "PRAGMA page_count", &size, &err));
	must(db_get_int(db, "SELECT count(*) FROM rollouts WHERE state = 'completed'", &state, &err));
	printf("| %lld | %.1f | %.2f | %.1f | %.1f | %.1f |%s\n", (long long)count, (t[1] - t[0]) * 1e3 / (double)count,
	       (t[2] - t[1]) / 1e3, (t[3] - t[2]) * 1e3 / (double)count / 5, (t[4] - t[3]) * 1e3 / LATE,
	       (double)size * 4096 / 1048576, state == 1 ? "" : " NOT COMPLETED");
	fflush(stdout);
	db_close(db);
}

int main(int argc, char **argv)
{
	static const char *const fleets[] = {"1000", "10000", "100000"};
	const char *tmp = getenv("TMPDIR");
	char dir[256], command[300];
	int i;

	must(crypto_start(&err));
	snprintf(dir, sizeof(dir), "%s/rollout.XXXXXX", tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(dir) == NULL)
		return 1;
	printf("| devices | microseconds to add one | seconds to create | microseconds a report | microseconds for a late one |"
	       " database MiB |\n|---|---|---|---|---|---|\n");
	for (i = 0; i < (argc > 1 ? argc - 1 : (int)ARRAY_SIZE(fleets)); i++)
		measure(dir, strtoll(argc > 1 ? argv[i + 1] : fleets[i], NULL, 10));
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) == 0 ? 0 : 1;
}
