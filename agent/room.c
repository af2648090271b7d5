/* Room on the disk: for what the agent must always be able to write, and for an update before its first byte. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/log.h"
#include "sys/file.h"

#define REFILL_MS 10000
#define LENGTH_MAX (UINT64_MAX / 8)
#define SPARE_NAME "reserve"

/* ---- our own ---- */

struct spare room_spare(int home_fd)
{
	return (struct spare){
		.dirfd = home_fd, .name = SPARE_NAME, .size = ROOM_SPARE, .step = ROOM_SPARE_STEP, .keep = ROOM_MARGIN,
	};
}

void room_open(struct agent *a)
{
	a->spare = room_spare(a->home_fd);
	spare_open(&a->spare);
}

static void refill_later(struct agent *a)
{
	if (a->loop != NULL && !spare_whole(&a->spare))
		loop_timer_set(a->loop, &a->room_timer, loop_now_ms(a->loop) + REFILL_MS);
}

static void refill_fire(struct timer *t)
{
	struct agent *a = container_of(t, struct agent, room_timer);

	spare_refill(&a->spare);
	if (spare_whole(&a->spare))
		log_info("agent.disk", "reserve=%llu whole=true", (unsigned long long)a->spare.held);
	refill_later(a);
}

void room_watch(struct agent *a)
{
	a->room_timer.fire = refill_fire;
	if (!spare_whole(&a->spare))
		log_warn("agent.disk", "reserve=%llu whole=false why=\"the disk is full\" hint=\"make room in '%s'\"",
			 (unsigned long long)a->spare.held, a->home);
	refill_later(a);
}

bool room_again(struct agent *a, const struct error *why)
{
	bool whole = spare_whole(&a->spare);

	if (!spare_again(&a->spare, why))
		return false;
	if (whole)
		log_warn("agent.disk", "reserve=%llu whole=false why=\"%s\" hint=\"make room in '%s'\"",
			 (unsigned long long)a->spare.held, why->text, a->home);
	refill_later(a);
	return true;
}

bool room_for_state(const struct agent *a)
{
	struct error ignored = ERROR_INIT;
	uint64_t free_bytes = 0;

	return a->spare.held > 0 ||
	       (file_free_bytes(a->home_fd, &free_bytes, &ignored) == 0 && free_bytes >= ROOM_SPARE_STEP);
}

void room_put(const struct agent *a, struct json_writer *w, const char *name)
{
	struct error ignored = ERROR_INIT;
	uint64_t free_bytes = 0;

	(void)!file_free_bytes(a->home_fd, &free_bytes, &ignored);
	json_open_object(w, name);
	json_put_int(w, "free", (int64_t)free_bytes);
	json_put_int(w, "reserve", (int64_t)a->spare.held);
	json_put_bool(w, "low", !spare_whole(&a->spare) || free_bytes < ROOM_MARGIN);
	json_close(w);
}

/* ---- an update's ---- */

/* How much of len the file has yet to take. Of the worker's file only blocks count, and not past the end. */
static uint64_t missing(int dirfd, const char *name, uint64_t len)
{
	uint64_t taken = space_taken(dirfd, name);

	return taken < len ? len - taken : 0;
}

static bool one_file_system(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev;
}

/* The download is in work/, our copy in artifacts/; the version that runs and the one before it stay where they are. */
static int check(const struct agent *a, const char *incoming, struct error *err)
{
	char hex[SHA256_HEX_LEN], part[SHA256_HEX_LEN + 8], where[4096];
	uint64_t staged, copy;
	int work, r = -1;

	hex_encode(hex, a->update.sha256, SHA256_LEN);
	snprintf(part, sizeof(part), "%s.part", hex);
	if ((work = file_open(a->home_fd, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err)) < 0)
		return -1;
	staged = missing(work, part, a->update.length);
	copy = missing(a->artifacts_fd, incoming, a->update.length);
	if (one_file_system(work, a->artifacts_fd)) {
		r = staged + copy == 0 ? 0 : space_need(work, a->home, staged + copy, ROOM_MARGIN, err);
	} else if (staged == 0 || space_need(work, path_join(where, a->home, "work"), staged, ROOM_MARGIN, err) == 0) {
		r = copy == 0 ? 0 : space_need(a->artifacts_fd, path_join(where, a->home, "artifacts"), copy, ROOM_MARGIN, err);
	}
	file_close(&work);
	return r;
}

/* The worker takes its own, since the file is its own. */
static int take(const struct agent *a, const char *incoming, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int fd = file_open(a->artifacts_fd, incoming, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, err);
	int r;

	if (fd < 0)
		return -1;
	r = space_take(fd, a->update.length, a->update.path, err);
	file_close(&fd);
	if (r < 0)
		(void)!file_unlink(a->artifacts_fd, incoming, &ignored);
	return r;
}

int room_for_update(struct agent *a, struct error *err)
{
	char incoming[128];

	if (a->update.length > LENGTH_MAX)
		return error_set(err, ERR_LIMIT, "'%s' is larger than any disk", a->update.path);
	update_incoming(incoming, &a->update);
	if (check(a, incoming, err) < 0)
		return -1;
	while (take(a, incoming, err) < 0) {
		/* An entry in a directory is of our own; the payload's blocks are not. */
		if (err->kind == ERR_RETRY || !room_again(a, err))
			return -1;
	}
	return 0;
}
