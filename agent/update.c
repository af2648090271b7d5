/* The update state machine: what is asked of the worker, and which state follows from the answer. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/local.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/log.h"
#include "sys/clock.h"
#include "sys/file.h"

#define REFRESH_MS 3600000	/* metadata older than that is asked for again before the payload is */
#define PROGRESS_WORTH 65536	/* bytes of a payload that count as progress */
#define TROUBLE_TOLD 5		/* failures in a row that the control plane hears of */
#define REFUSALS_MAX 4		/* a repository that fails verification so often in a row is an alarm, not a hiccup */
#define ROOM_CAP_MS 60000	/* how long to look away from a full disk */
#define UNPACK_TRIES 4		/* before a bundle that cannot be read has failed */
#define ROOM_WAITING "waits for room on the disk"

static const struct link_reply none = {.retry_after_s = -1};	/* of what fails here, not there */

/* ---- the writer of states ---- */

void update_progress(struct agent *a, uint64_t bytes)
{
	a->downloaded = bytes;
	if (a->update.state != UPDATE_DOWNLOADING || bytes > a->update.length || bytes < a->furthest + PROGRESS_WORTH)
		return;
	a->furthest = bytes;
	a->transfer_failures = 0;
	stay_anew(a, 0);
}

void update_limit_fire(struct timer *t)
{
	struct agent *a = container_of(t, struct agent, limit_timer);
	struct error why = ERROR_INIT;

	if (a->update.assignment == 0)
		return;
	error_set(&why, ERR_FAILED, "%s took too long: %s", update_state_name(a->update.state), a->update.reason);
	stay_begin(a, a->update.state);	/* should going back fail */
	update_fail(a, &why);
}

static void step_later(struct agent *a, int64_t ms)
{
	loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop) + ms);
}

/* 0, or -1 when it cannot be written, even with what the spare can give. */
static int write_step(struct agent *a, enum update_state next, const struct installed *installed, const char *reason,
		      struct error *err)
{
	enum update_state from = a->update.state;

	while (state_enter(a->db, &a->update, next, installed, reason, clock_now_s(), err) < 0) {
		if (!room_again(a, err))
			return -1;
	}
	a->held.next = UPDATE_NONE;
	a->room_waiting = false;	/* this report says that it goes on */
	log_info("agent.update", "state=%s assignment=%lld artifact=%s why=\"%s\"", update_state_name(next),
		 (long long)a->update.assignment, a->update.path, reason);
	local_said(a, reason);
	if (update_state_final(next))
		update_end(a);
	else
		stay_begin(a, from);
	return 0;
}

/* Nothing may be done that is not written down. A full disk is waited for, since who would start us again meets it, too. */
static void hold_step(struct agent *a, enum update_state next, const struct installed *installed, const char *reason,
		      const struct error *why)
{
	struct held_step *h = &a->held;

	log_failure(LOG_LEVEL_ERROR, "agent.state", why);
	if (!space_is_error(why)) {
		a->fatal = *why;
		loop_stop(a->loop);	/* the service manager starts us again */
		return;
	}
	h->next = next;
	h->has_installed = installed != NULL;
	if (installed != NULL && installed != &h->installed)
		h->installed = *installed;
	if (reason != h->reason)
		snprintf(h->reason, sizeof(h->reason), "%s", reason);
	snprintf(a->update.reason, sizeof(a->update.reason), ROOM_WAITING ", to write down that it is %s: %.300s",
		 update_state_name(next), why->text);
	step_later(a, backoff_ms(a->room_failures++, ROOM_CAP_MS));
}

bool update_enter(struct agent *a, enum update_state next, const struct installed *installed, const char *fmt, ...)
{
	char reason[UPDATE_REASON_MAX];
	struct error err = ERROR_INIT;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (write_step(a, next, installed, reason, &err) == 0)
		return true;
	hold_step(a, next, installed, reason, &err);
	return false;
}

/* The held step, again. True when there is none any more. */
static bool release_step(struct agent *a)
{
	struct held_step *h = &a->held;
	struct error err = ERROR_INIT;

	if (h->next == UPDATE_NONE)
		return true;
	if (write_step(a, h->next, h->has_installed ? &h->installed : NULL, h->reason, &err) < 0) {
		hold_step(a, h->next, h->has_installed ? &h->installed : NULL, h->reason, &err);
		return false;
	}
	a->room_failures = 0;
	return true;
}

void update_incoming(char out[static 128], const struct update *u)
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, u->sha256, SHA256_LEN);
	snprintf(out, 128, ".incoming-%s", hex);
}

/* What an update that is over leaves behind: the worker's download and our copy, wherever it stopped. */
static void remove_leftovers(struct agent *a)
{
	struct error err = ERROR_INIT;
	char hex[SHA256_HEX_LEN], name[128];

	if (!a->update.signed_known)
		return;
	hex_encode(hex, a->update.sha256, SHA256_LEN);
	snprintf(name, sizeof(name), "work/%s.part", hex);
	if (file_unlink(a->home_fd, name, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.update", &err);
	update_incoming(name, &a->update);
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
	stay_end(a);
	descriptor_release(&a->descriptor);
	update_release(&a->update);
	a->refreshed = false;
	a->transfer_failures = a->metadata_refusals = a->payload_refusals = 0;
	a->back = ERROR_INIT;
	a->downloaded = a->furthest = 0;
	a->budget_told = false;
	a->probe_index = 0;
	a->probe_attempt = 0;
	a->probe_waited = false;
	a->room_waiting = false;
	a->room_failures = 0;
	/* Nobody wants that download any more, and its late answer must not be taken for one to the next update. */
	if (fetching)
		worker_down(a, "its download is not wanted any more");
	if (local_busy(a))
		step_later(a, 0);
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

void update_step_fire(struct timer *t)
{
	update_step(container_of(t, struct agent, step_timer));
}

/* ---- offers ---- */

void update_offer(struct agent *a, int64_t assignment, struct slice path)
{
	struct error err = ERROR_INIT;
	int known;

	if (a->update.assignment != 0 || local_busy(a))
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

int update_ask_metadata(struct agent *a, enum transfer asked, const char *target, struct error *err)
{
	struct buf stored = BUF_INIT(LINK_BLOB_MAX), q = BUF_INIT(LINK_BODY_MAX);
	struct json_writer w = JSON_WRITER(&q);
	int64_t floor_s = 0;
	int fd = -1, r = -1;

	if (verify_pack_stored(a, &stored, err) < 0 || trusted_floor(&a->trusted, &floor_s, err) < 0 ||
	    (fd = link_blob(buf_slice(&stored), err)) < 0)
		goto out;
	json_open_object(&w, NULL);
	json_put_string(&w, "target", target);
	json_put_int(&w, "now_s", clock_now_s());
	json_put_int(&w, "floor_s", floor_s);
	json_close(&w);
	r = link_ask(&a->transfer, asked, LINK_UPDATE, buf_slice(&q), fd, err);
out:
	file_close(&fd);
	buf_release(&q);
	buf_release(&stored);
	return r;
}

static void ask_metadata(struct agent *a)
{
	struct error err = ERROR_INIT;

	if (update_ask_metadata(a, TRANSFER_UPDATE, a->update.path, &err) < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.update", &err);
		step_later(a, BACKOFF_CAP_MS);
	}
}

static void ask_payload(struct agent *a)
{
	struct buf q = BUF_INIT(LINK_BODY_MAX);
	struct json_writer w = JSON_WRITER(&q);
	uint64_t content = meter_content(a);
	struct error err = ERROR_INIT;

	json_open_object(&w, NULL);
	json_put_string(&w, "path", a->update.url);
	json_put_int(&w, "length", (int64_t)a->update.length);
	json_put_hex(&w, "sha256", a->update.sha256, SHA256_LEN);
	json_put_int(&w, "now_s", clock_now_s());	/* not the floor: see agent/roots.c */
	if (content < a->update.length)
		json_put_int(&w, "content", (int64_t)content);
	json_close(&w);
	if ((local_supplies(a)
	     ? local_ask_payload(a, &err)
	     : link_ask(&a->transfer, TRANSFER_FETCH, LINK_FETCH, buf_slice(&q), -1, &err)) < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.update", &err);
		step_later(a, BACKOFF_CAP_MS);
	}
	buf_release(&q);
}

/* Tell the control plane why it takes longer; when even that cannot be written, agent status still says so. */
void update_say(struct agent *a, const char *reason)
{
	char text[UPDATE_REASON_MAX];
	struct error err = ERROR_INIT;

	snprintf(text, sizeof(text), "%.479s", reason);
	log_info("agent.update", "state=%s assignment=%lld artifact=%s why=\"%s\"", update_state_name(a->update.state),
		 (long long)a->update.assignment, a->update.path, text);
	while (state_say(a->db, &a->update, text, clock_now_s(), &err) < 0) {
		if (room_again(a, &err))
			continue;
		log_failure(LOG_LEVEL_ERROR, "agent.state", &err);
		snprintf(a->update.reason, sizeof(a->update.reason), "%s", text);
		break;
	}
	local_said(a, text);
	talk_pump(a);
}

/* The same of a bundle: a stick does not heal, but a worker may have died over it. */
static void unpack_failed(struct agent *a, const struct error *why)
{
	log_warn("agent.bundle", "kind=%s why=\"%s\"", error_kind_name(why->kind), why->text);
	if (error_exit_status(why->kind) == 3)
		log_error("agent.alarm", "assignment=%lld artifact=%s why=\"%s\"", (long long)a->update.assignment,
			  a->update.path, why->text);
	else if (why->kind != ERR_NOT_FOUND && ++a->transfer_failures < UNPACK_TRIES) {
		snprintf(a->update.reason, sizeof(a->update.reason), "%.479s", why->text);
		step_later(a, backoff_ms(a->transfer_failures, ROOM_CAP_MS));
		return;
	}
	if (update_is_local(&a->update))
		update_fail(a, why);
	else
		local_give_up(a, why);	/* it is the control plane's, and goes on from there */
}

/*
 * Something on the way failed. What time may heal is tried again, as long as the state lasts; what trust or the server
 * refuses is tried a few times, for a repository may be caught between two states, then it is an alarm. The network
 * alone is no reason to ask for the metadata again.
 */
static void transfer_failed(struct agent *a, unsigned asked, const struct error *why, const struct link_reply *reply)
{
	unsigned *refusals = asked == TRANSFER_FETCH ? &a->payload_refusals : &a->metadata_refusals;
	/* A status of the server's counts, whatever it calls the error; 401 and 403 speak of us, not of the payload. */
	bool refused = reply->status == 0 ? error_exit_status(why->kind) == 3
					  : status_is_final(reply->status) && !status_is_global(reply->status);
	int64_t wait_ms;

	if (local_supplies(a)) {
		unpack_failed(a, why);
		return;
	}
	log_warn("agent.transfer", "kind=%s status=%u why=\"%s\"", error_kind_name(why->kind), reply->status, why->text);
	snprintf(a->update.reason, sizeof(a->update.reason), "%.479s", why->text);
	if (refused && ++*refusals >= REFUSALS_MAX) {
		log_error("agent.alarm", "assignment=%lld artifact=%s why=\"%s\"", (long long)a->update.assignment,
			  a->update.path, why->text);
		update_fail(a, why);
		return;
	}
	if (asked != TRANSFER_FETCH || refused || why->kind != ERR_RETRY)
		a->refreshed = false;
	if (meter_waits(a))
		return;
	wait_ms = backoff_asked_ms(a->transfer_failures++, BACKOFF_CAP_MS, reply->retry_after_s);
	step_later(a, wait_ms);
	/* Once, when it is more than a hiccup: the control plane cannot see a repository that we do not reach. */
	if (a->transfer_failures == TROUBLE_TOLD)
		update_say(a, a->update.reason);
}

/* Verified metadata: what it demands of this device is final, but for disk space. */
static void metadata_known(struct agent *a)
{
	struct error err = ERROR_INIT;

	a->refreshed = true;
	a->refreshed_ms = loop_now_ms(a->loop);
	a->metadata_refusals = 0;
	if (verify_descriptor(a, &a->update, &a->descriptor, &err) < 0) {
		update_fail(a, &err);
		return;
	}
	while (state_keep_signed(a->db, &a->update, &err) < 0) {
		if (room_again(a, &err))
			continue;
		transfer_failed(a, TRANSFER_UPDATE, &err, &none);
		return;
	}
	update_step(a);
}

/*
 * A full disk is no failure of the update: it waits, and asks nobody while it does. Told when it begins and when it is
 * over; the numbers in between are for agent status.
 */
void update_wait_room(struct agent *a, const struct error *why)
{
	char reason[UPDATE_REASON_MAX];

	snprintf(reason, sizeof(reason), ROOM_WAITING ": %.400s", why->text);
	if (a->room_waiting)
		snprintf(a->update.reason, sizeof(a->update.reason), "%s", reason);
	else
		update_say(a, reason);
	a->room_waiting = true;
	step_later(a, backoff_ms(a->room_failures++, ROOM_CAP_MS));
}

/* Metadata is here: now the payload, if there is room for it. */
static void fetch_step(struct agent *a)
{
	struct error err = ERROR_INIT;

	if (room_for_update(a, &err) < 0) {
		if (space_is_error(&err))
			update_wait_room(a, &err);
		else
			transfer_failed(a, TRANSFER_UPDATE, &err, &none);
		return;
	}
	a->room_failures = 0;
	if (a->room_waiting) {
		a->room_waiting = false;
		update_say(a, "there is room on the disk again");
	}
	ask_payload(a);
}

/* An update from a bundle: its metadata was verified before it began (agent/local.c). */
static void unpack_step(struct agent *a)
{
	struct error err = ERROR_INIT;

	if (!a->update.signed_known) {
		error_set(&err, ERR_NOT_FOUND, "the bundle is gone");
		update_fail(a, &err);
		return;
	}
	/* The artifact before it may have changed what may follow. */
	if (!a->refreshed && verify_descriptor(a, &a->update, &a->descriptor, &err) < 0) {
		update_fail(a, &err);
		return;
	}
	while (!a->refreshed && state_keep_signed(a->db, &a->update, &err) < 0) {
		if (room_again(a, &err))
			continue;
		update_wait_room(a, &err);
		return;
	}
	a->refreshed = true;
	fetch_step(a);
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

void transfer_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why,
		     const struct link_reply *reply)
{
	struct error err = ERROR_INIT;
	int fd;

	if (asked == TRANSFER_ROOTS) {
		roots_answer(a, m, why);
		return;
	}
	if (asked == TRANSFER_OPEN || asked == TRANSFER_CHECK) {
		local_answer(a, asked, m, why);
		return;
	}
	if (a->update.state != UPDATE_DOWNLOADING)
		return;	/* it was reverted meanwhile */
	if (m == NULL) {
		transfer_failed(a, asked, why, reply);
	} else if (asked == TRANSFER_UPDATE) {
		if (verify_fetched(a, m->fd, a->update.path, &err) < 0)
			transfer_failed(a, asked, &err, reply);
		else
			metadata_known(a);
	} else if ((fd = take_payload(m, &err)) < 0) {
		transfer_failed(a, asked, &err, reply);
	} else if (update_enter(a, UPDATE_VERIFYING, NULL, "%llu bytes are here", (unsigned long long)a->update.length)) {
		intake_start(a, fd);
	} else {
		close(fd);
		a->held.next = UPDATE_NONE;	/* the worker still has the payload, and hands it over again */
	}
}

/* ---- steps ---- */

/* What comes by the network rests while a bundle is looked at. */
static void download_step(struct agent *a)
{
	if (local_supplies(a)) {
		if (!link_busy(&a->transfer))
			unpack_step(a);
		return;
	}
	if (local_busy(a)) {
		local_step(a);
		return;
	}
	if (a->options->alone || link_busy(&a->transfer) || meter_waits(a))
		return;
	if (!a->refreshed || loop_now_ms(a->loop) - a->refreshed_ms > REFRESH_MS)
		ask_metadata(a);
	else
		fetch_step(a);
}

void update_step(struct agent *a)
{
	if (loop_stopping(a->loop) || !release_step(a))
		return;
	if (a->update.assignment == 0) {
		local_step(a);
		return;
	}
	switch (a->update.state) {
	case UPDATE_DOWNLOADING:
		download_step(a);
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

int update_resume(struct agent *a, struct error *err)
{
	struct error why = ERROR_INIT;

	if (state_load_update(a->db, &a->update, err) < 0)
		return -1;
	if (a->update.assignment == 0)
		return 0;
	a->room_waiting = slice_starts(slice_str(a->update.reason), SLICE_LIT(ROOM_WAITING));
	log_info("agent.resume", "state=%s assignment=%lld artifact=%s", update_state_name(a->update.state),
		 (long long)a->update.assignment, a->update.path);
	if (a->update.state != UPDATE_VERIFYING)
		stay_resume(a);
	if (a->update.signed_known && descriptor_parse_text(&a->descriptor, buf_slice(&a->update.descriptor), &why) < 0)
		update_fail(a, &why);
	else if (a->update.state == UPDATE_VERIFYING)
		update_enter(a, UPDATE_DOWNLOADING, NULL, "the copy was cut short");
	return 0;
}
