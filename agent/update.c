/* The update state machine: what is asked of the worker, and which state follows from the answer. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/log.h"
#include "sys/clock.h"
#include "sys/file.h"

#define STEP_CAP_MS 300000
#define REFUSALS_MAX 4		/* a repository that fails verification so often in a row is an alarm, not a hiccup */
#define LENGTH_MAX (UINT64_MAX / 8)
#define DISK_RESERVE (UINT64_C(16) << 20)	/* bytes that stay free for the agent's own state */

/* ---- the writer of states ---- */

/* Counted by the clock that nobody sets. */
static void arm_limit(struct agent *a, int64_t left_s)
{
	loop_timer_set(a->loop, &a->limit_timer, loop_now_ms(a->loop) + left_s * 1000);
}

void update_limit_fire(struct timer *t)
{
	struct agent *a = container_of(t, struct agent, limit_timer);
	struct error why = ERROR_INIT;

	if (a->update.assignment == 0)
		return;
	error_set(&why, ERR_FAILED, "%s took too long: %s", update_state_name(a->update.state), a->update.reason);
	arm_limit(a, update_state_limit_s(a->update.state));	/* should going back fail */
	update_fail(a, &why);
}

void update_enter(struct agent *a, enum update_state next, const struct installed *installed, const char *fmt, ...)
{
	char reason[UPDATE_REASON_MAX];
	struct error err = ERROR_INIT;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (state_enter(a->db, &a->update, next, installed, reason, clock_now_s(), &err) < 0) {
		/* Nothing may be done that is not written down. Stop; the service manager starts us again. */
		log_failure(LOG_LEVEL_ERROR, "agent.state", &err);
		a->fatal = err;
		loop_stop(a->loop);
		return;
	}
	log_info("agent.update", "state=%s assignment=%lld artifact=%s why=\"%s\"", update_state_name(next),
		 (long long)a->update.assignment, a->update.path, reason);
	if (update_state_final(next))
		update_end(a);
	else
		arm_limit(a, update_state_limit_s(next));
}

/* What an update that is over leaves behind: the worker's download and our copy, wherever it stopped. */
static void remove_leftovers(struct agent *a)
{
	struct error err = ERROR_INIT;
	char hex[SHA256_HEX_LEN], name[SHA256_HEX_LEN + 32];

	if (!a->update.signed_known)
		return;
	hex_encode(hex, a->update.sha256, SHA256_LEN);
	snprintf(name, sizeof(name), "work/%s.part", hex);
	if (file_unlink(a->home_fd, name, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.update", &err);
	snprintf(name, sizeof(name), ".incoming-%s", hex);
	if (file_unlink(a->artifacts_fd, name, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.update", &err);
}

void update_end(struct agent *a)
{
	bool fetching = a->transfer.asked_ms != 0;

	remove_leftovers(a);
	loop_unwatch(&a->probe_watch);
	probe_kill(&a->attempt);
	intake_release(&a->intake);
	loop_timer_cancel(a->loop, &a->step_timer);
	loop_timer_cancel(a->loop, &a->limit_timer);
	descriptor_release(&a->descriptor);
	update_release(&a->update);
	a->refreshed = false;
	a->transfer_failures = a->metadata_refusals = a->payload_refusals = 0;
	a->back = ERROR_INIT;
	a->downloaded = 0;
	a->probe_index = 0;
	a->probe_attempt = 0;
	a->probe_waited = false;
	/* Nobody wants that download any more, and its late answer must not be taken for one to the next update. */
	if (fetching)
		worker_down(a, "its download is not wanted any more");
	talk_soon(a);
}

void update_fail(struct agent *a, const struct error *why)
{
	if (a->update.state == UPDATE_PROBING) {
		rollback(a, why);
		return;
	}
	if (a->update.state == UPDATE_APPLYING)
		unapply(a);
	update_enter(a, UPDATE_FAILED, NULL, "%s", why->text);
}

static void step_later(struct agent *a, int64_t ms)
{
	loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop) + ms);
}

void update_step_fire(struct timer *t)
{
	update_step(container_of(t, struct agent, step_timer));
}

/* ---- offers ---- */

void update_offer(struct agent *a, int64_t assignment, struct slice path)
{
	struct error err = ERROR_INIT;
	int known;

	if (a->update.assignment != 0)
		return;	/* one at a time; the next heartbeat offers again */
	known = state_of(a->db, assignment, &err);
	if (known < 0)
		log_failure(LOG_LEVEL_ERROR, "agent.state", &err);
	if (known != UPDATE_NONE || update_set_path(&a->update, path, &err) < 0)
		return;
	a->update.assignment = assignment;
	update_enter(a, UPDATE_DOWNLOADING, NULL, "offered");
	update_step(a);
}

/* Leave the version of an assignment that is not under way: it was healthy, or never came here. */
static void revert_other(struct agent *a, int64_t assignment, struct slice path)
{
	struct error err = ERROR_INIT;
	struct update *u = &a->update;
	int known = state_of(a->db, assignment, &err);

	if (known < 0 || known == UPDATE_ROLLED_BACK || known == UPDATE_FAILED || update_set_path(u, path, &err) < 0)
		return;
	u->assignment = assignment;
	u->state = (enum update_state)known;
	if (known == UPDATE_HEALTHY) {
		error_set(&err, ERR_FAILED, "reverted by order");
		rollback(a, &err);
	} else {
		update_enter(a, UPDATE_ROLLED_BACK, NULL, "never applied here");
	}
}

void update_revert(struct agent *a, int64_t assignment, struct slice path)
{
	struct error why = ERROR_INIT;

	if (a->update.assignment == 0) {
		revert_other(a, assignment, path);
	} else if (a->update.assignment == assignment && a->update.state == UPDATE_PROBING) {
		error_set(&why, ERR_FAILED, "reverted by order");
		rollback(a, &why);
	} else if (a->update.assignment == assignment && a->update.state != UPDATE_APPLYING) {
		update_enter(a, UPDATE_ROLLED_BACK, NULL, "reverted by order before it was applied");
	}
}

/* ---- downloading ---- */

static void ask_metadata(struct agent *a)
{
	struct buf stored = BUF_INIT(LINK_BLOB_MAX), q = BUF_INIT(LINK_BODY_MAX);
	struct json_writer w = JSON_WRITER(&q);
	struct error err = ERROR_INIT;
	int64_t floor_s = 0;
	int fd = -1, r = -1;

	if (verify_pack_stored(a, &stored, &err) < 0 || trusted_floor(&a->trusted, &floor_s, &err) < 0 ||
	    (fd = link_blob(buf_slice(&stored), &err)) < 0)
		goto out;
	json_open_object(&w, NULL);
	json_put_string(&w, "target", a->update.path);
	json_put_int(&w, "now_s", clock_now_s());
	json_put_int(&w, "floor_s", floor_s);
	json_close(&w);
	r = link_ask(&a->transfer, TRANSFER_UPDATE, LINK_UPDATE, buf_slice(&q), fd, &err);
out:
	if (r < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.update", &err);
		step_later(a, STEP_CAP_MS);
	}
	file_close(&fd);
	buf_release(&q);
	buf_release(&stored);
}

static void ask_payload(struct agent *a)
{
	struct buf q = BUF_INIT(LINK_BODY_MAX);
	struct json_writer w = JSON_WRITER(&q);
	struct error err = ERROR_INIT;

	json_open_object(&w, NULL);
	json_put_string(&w, "path", a->update.url);
	json_put_int(&w, "length", (int64_t)a->update.length);
	json_put_hex(&w, "sha256", a->update.sha256, SHA256_LEN);
	json_put_int(&w, "now_s", agent_time_s(a));
	json_close(&w);
	if (link_ask(&a->transfer, TRANSFER_FETCH, LINK_FETCH, buf_slice(&q), -1, &err) < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.update", &err);
		step_later(a, STEP_CAP_MS);
	}
	buf_release(&q);
}

/* What of the payload takes its room already. The file is the worker's: only its blocks count, and not past the end. */
static uint64_t bytes_here(const struct agent *a)
{
	char hex[SHA256_HEX_LEN], name[SHA256_HEX_LEN + 32];
	struct stat st;
	uint64_t bytes;

	hex_encode(hex, a->update.sha256, SHA256_LEN);
	snprintf(name, sizeof(name), "work/%s.part", hex);
	if (fstatat(a->home_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	bytes = (uint64_t)st.st_blocks * 512;
	return bytes < a->update.length ? bytes : a->update.length;
}

/* Room for the download and for our own copy, beside what the agent itself needs. */
static int check_disk(struct agent *a, struct error *err)
{
	uint64_t free_bytes, need;

	if (a->update.length > LENGTH_MAX)
		return error_set(err, ERR_LIMIT, "'%s' is larger than any disk", a->update.path);
	need = 2 * a->update.length + DISK_RESERVE;
	if (file_free_bytes(a->home_fd, &free_bytes, err) < 0)
		return -1;
	if (free_bytes + bytes_here(a) < need)
		return error_set(err, ERR_RETRY, "'%s' needs %llu bytes of disk, %llu are free", a->update.path,
				 (unsigned long long)need, (unsigned long long)free_bytes);
	return 0;
}

/*
 * Something on the way failed. What time may heal is tried again, as long as the state lasts; what trust refuses
 * is tried a few times, for a repository may be caught between two states, then it is an alarm.
 */
static void transfer_failed(struct agent *a, unsigned *refusals, const struct error *why)
{
	bool refused = error_exit_status(why->kind) == 3;

	log_warn("agent.transfer", "kind=%s why=\"%s\"", error_kind_name(why->kind), why->text);
	snprintf(a->update.reason, sizeof(a->update.reason), "%.479s", why->text);
	if (refused && ++*refusals >= REFUSALS_MAX) {
		log_error("agent.alarm", "assignment=%lld artifact=%s why=\"%s\"", (long long)a->update.assignment,
			  a->update.path, why->text);
		update_fail(a, why);
		return;
	}
	a->refreshed = false;
	step_later(a, backoff_ms(a->transfer_failures++, STEP_CAP_MS));
}

/* Verified metadata: what it demands of this device is final, but for disk space. */
static void metadata_known(struct agent *a)
{
	struct error err = ERROR_INIT;

	a->refreshed = true;
	if (verify_descriptor(a, &err) < 0) {
		update_fail(a, &err);
		return;
	}
	if (state_keep_signed(a->db, &a->update, &err) < 0 || check_disk(a, &err) < 0) {
		transfer_failed(a, &a->metadata_refusals, &err);
		return;
	}
	update_step(a);
}

/* A descriptor of a regular file, ours from now on; -1 for anything that could make us wait. */
static int take_payload(const struct link_msg *m, struct error *err)
{
	struct stat st;
	int fd = -1;

	if (m->fd < 0 || fstat(m->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, ERR_MALFORMED, "the worker handed over no payload");
	fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? error_errno(err, errno, "cannot keep the payload") : fd;
}

void transfer_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why, unsigned status)
{
	unsigned *refusals = asked == TRANSFER_FETCH ? &a->payload_refusals : &a->metadata_refusals;
	struct error err = ERROR_INIT;
	int fd;

	(void)status;
	if (a->update.state != UPDATE_DOWNLOADING)
		return;	/* it was reverted meanwhile */
	if (m == NULL) {
		transfer_failed(a, refusals, why);
	} else if (asked == TRANSFER_UPDATE) {
		if (verify_fetched(a, m->fd, &err) < 0)
			transfer_failed(a, refusals, &err);
		else
			metadata_known(a);
	} else if ((fd = take_payload(m, &err)) < 0) {
		transfer_failed(a, refusals, &err);
	} else {
		update_enter(a, UPDATE_VERIFYING, NULL, "%llu bytes are here", (unsigned long long)a->update.length);
		intake_start(a, fd);
	}
}

/* ---- steps ---- */

void update_step(struct agent *a)
{
	if (loop_stopping(a->loop) || a->update.assignment == 0)
		return;
	switch (a->update.state) {
	case UPDATE_DOWNLOADING:
		if (link_busy(&a->transfer))
			return;
		if (!a->refreshed)
			ask_metadata(a);
		else
			ask_payload(a);
		break;
	case UPDATE_VERIFYING:
		intake_step(a);
		break;
	case UPDATE_APPLYING:
		apply_step(a);
		break;
	case UPDATE_PROBING:
		probe_step(a);
		break;
	case UPDATE_NONE:
	case UPDATE_HEALTHY:
	case UPDATE_ROLLED_BACK:
	case UPDATE_FAILED:
	case UPDATE_STATES:
		break;
	}
}

/* How long the state may still last. A clock that was set by years is not patience: then it counts from now on. */
static int64_t time_left_s(const struct agent *a)
{
	int64_t limit_s = update_state_limit_s(a->update.state), stayed_s = clock_now_s() - a->update.since_s;

	if (stayed_s < 0 || stayed_s > 10 * limit_s)
		return limit_s;
	return stayed_s < limit_s ? limit_s - stayed_s : 0;
}

int update_resume(struct agent *a, struct error *err)
{
	struct error why = ERROR_INIT;

	if (state_load_update(a->db, &a->update, err) < 0)
		return -1;
	if (a->update.assignment == 0)
		return 0;
	log_info("agent.resume", "state=%s assignment=%lld artifact=%s", update_state_name(a->update.state),
		 (long long)a->update.assignment, a->update.path);
	if (a->update.signed_known && descriptor_parse_text(&a->descriptor, buf_slice(&a->update.descriptor), &why) < 0)
		update_fail(a, &why);
	else if (a->update.state == UPDATE_VERIFYING)
		update_enter(a, UPDATE_DOWNLOADING, NULL, "the copy was cut short");
	if (a->update.assignment != 0)
		arm_limit(a, time_left_s(a));
	return 0;
}
