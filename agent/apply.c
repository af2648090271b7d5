/* The steps that touch artifacts/: taking a payload in, putting it in place, asking for its health, going back. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/place.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/log.h"
#include "sys/clock.h"
#include "sys/file.h"

#define PIECE (256u << 10)
#define PIECES_A_TURN 32
#define GO_BACK_AGAIN_MS 10000

/* ---- VERIFYING ---- */

/* In artifacts/, so that a rename takes it to its place. */
static void incoming_name(char out[static 256], const struct update *u)
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, u->sha256, SHA256_LEN);
	snprintf(out, 256, ".incoming-%s", hex);
}

void intake_release(struct intake *in)
{
	file_close(&in->from_fd);
	file_close(&in->to_fd);
}

void intake_start(struct agent *a, int staged_fd)
{
	struct error err = ERROR_INIT;
	char name[256];

	intake_release(&a->intake);
	if (a->update.state != UPDATE_VERIFYING) {	/* the state could not be written */
		close(staged_fd);
		return;
	}
	a->intake.from_fd = staged_fd;
	a->intake.at = 0;
	sha256_init(&a->intake.hash);
	incoming_name(name, &a->update);
	a->intake.to_fd = file_open(a->artifacts_fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600, &err);
	if (a->intake.to_fd < 0)
		update_fail(a, &err);
	else
		update_step(a);
}

/* One piece: read once, hash what was read, write the same bytes. 1 at the end, 0 for more, -1. */
static int intake_piece(struct agent *a, struct error *err)
{
	static uint8_t piece[PIECE];
	struct intake *in = &a->intake;
	ssize_t n = file_pread(in->from_fd, piece, sizeof(piece), in->at, "payload", err);

	if (n < 0)
		return -1;
	if (n == 0)
		return 1;
	if ((uint64_t)n > a->update.length - in->at)
		return error_set(err, ERR_REFUSED, "the payload is longer than the signed %llu bytes",
				 (unsigned long long)a->update.length);
	sha256_update(&in->hash, piece, (size_t)n);
	if (file_pwrite_all(in->to_fd, slice_of(piece, (size_t)n), in->at, "payload", err) < 0)
		return -1;
	in->at += (uint64_t)n;
	return 0;
}

static int intake_end(struct agent *a, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_final(&a->intake.hash, hash);
	if (a->intake.at != a->update.length || memcmp(hash, a->update.sha256, sizeof(hash)) != 0)
		return error_set(err, ERR_REFUSED, "the payload's bytes do not match the signed SHA-256");
	if (file_sync(a->intake.to_fd, "payload", err) < 0)
		return -1;
	/* And its name: what APPLYING finds missing it cannot fetch again. */
	return file_sync_dir(a->artifacts_fd, ".", err);
}

void intake_step(struct agent *a)
{
	struct error err = ERROR_INIT;
	unsigned i;
	int r = 0;

	if (a->intake.from_fd < 0)
		return;
	for (i = 0; r == 0 && i < PIECES_A_TURN; i++)
		r = intake_piece(a, &err);
	if (r == 0) {
		loop_timer_set(a->loop, &a->step_timer, 0);
		return;
	}
	if (r > 0)
		r = intake_end(a, &err);
	intake_release(&a->intake);
	if (r < 0) {
		log_error("agent.alarm", "assignment=%lld artifact=%s why=\"%s\"", (long long)a->update.assignment,
			  a->update.path, err.text);
		update_fail(a, &err);
		return;
	}
	update_enter(a, UPDATE_APPLYING, NULL, "SHA-256 fits");
	update_step(a);
}

/* ---- APPLYING ---- */

/* The artifact's own name, after its namespace: what the file is called unless the descriptor says otherwise. */
static const char *payload_filename(const struct agent *a)
{
	if (a->descriptor.placement.filename != NULL)
		return a->descriptor.placement.filename;
	return strrchr(a->update.artifact, '/') + 1;
}

void apply_step(struct agent *a)
{
	struct update *u = &a->update;
	struct error err = ERROR_INIT;
	struct installed i;
	char incoming[256];

	incoming_name(incoming, u);
	if (filename_check(slice_str(payload_filename(a)), &err) < 0 ||
	    place_file(a->artifacts_fd, incoming, u, payload_filename(a), (mode_t)a->descriptor.placement.mode, &err) < 0 ||
	    state_installed(a->db, u->artifact, &i, &err) < 0) {
		update_fail(a, &err);
		return;
	}
	installed_try(&i, u->version, a->descriptor.release, clock_now_s());
	update_enter(a, UPDATE_PROBING, &i, "in place");
	update_step(a);
}

void unapply(struct agent *a)
{
	struct error err = ERROR_INIT;
	struct installed i;

	if (state_installed(a->db, a->update.artifact, &i, &err) == 0 && file_exists(a->artifacts_fd, i.artifact) &&
	    place_prune(a->artifacts_fd, i.artifact, i.version, i.previous, &err) == 0)
		return;
	if (err.kind != ERR_NONE)
		log_failure(LOG_LEVEL_WARN, "agent.prune", &err);
}

/* ---- PROBING ---- */

/* What is not kept goes, when that is on record; a failure costs room alone, and the next start tries again. */
static void prune(struct agent *a, const struct installed *i)
{
	struct error err = ERROR_INIT;

	if (!loop_stopping(a->loop) && place_prune(a->artifacts_fd, i->artifact, i->version, i->previous, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.prune", &err);
}

static void probing_done(struct agent *a)
{
	struct update *u = &a->update;
	struct error err = ERROR_INIT;
	struct installed i;

	if (state_installed(a->db, u->artifact, &i, &err) < 0 ||
	    descriptor_check_release(&a->descriptor, i.mark, &i.mark, &err) < 0) {
		/* The version that was in place already may lie below the mark; the mark stays. */
		if (err.kind != ERR_REFUSED) {
			update_fail(a, &err);
			return;
		}
		err = ERROR_INIT;
	}
	installed_confirm(&i);
	update_enter(a, UPDATE_HEALTHY, &i, a->descriptor.probe_count == 0 ? "in place; no probes" : "all probes passed");
	prune(a, &i);
}

static void probe_failed(struct agent *a, const struct probe *p, struct error *why)
{
	log_warn("agent.probe", "type=%s attempt=%lld of=%lld why=\"%s\"", probe_type_name(p->type),
		 (long long)a->probe_attempt, (long long)p->attempts, why->text);
	if (a->probe_attempt >= p->attempts) {
		error_wrap(why, "%s probe failed %lld times", probe_type_name(p->type), (long long)p->attempts);
		rollback(a, why);
		return;
	}
	loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop) + (p->delay_s > 0 ? p->delay_s : 1) * 1000);
}

static void probe_ready(struct watch *w, uint32_t revents)
{
	struct agent *a = container_of(w, struct agent, probe_watch);
	const struct probe *p = &a->descriptor.probes[a->probe_index];
	struct error why = ERROR_INIT;

	loop_unwatch(w);
	w->fd = -1;
	if (revents == 0) {
		probe_kill(&a->attempt);
		error_set(&why, ERR_FAILED, "no answer in time");
	} else if (probe_finish(&a->attempt, &why) == 0) {
		log_info("agent.probe", "type=%s passed=true", probe_type_name(p->type));
		a->probe_index++;
		a->probe_attempt = 0;
		probe_step(a);
		return;
	}
	probe_failed(a, p, &why);
}

static void probe_start_next(struct agent *a)
{
	const struct probe *p = &a->descriptor.probes[a->probe_index];
	struct error err = ERROR_INIT;

	a->probe_attempt++;
	if (probe_start(&a->attempt, p, &err) < 0) {
		a->probe_attempt = p->attempts;	/* what cannot start will not start the next time */
		probe_failed(a, p, &err);
		return;
	}
	a->probe_watch = (struct watch){.fd = a->attempt.fd, .events = EPOLLIN, .ready = probe_ready};
	if (loop_watch(a->loop, &a->probe_watch, &err) < 0) {
		probe_kill(&a->attempt);
		probe_failed(a, p, &err);
		return;
	}
	loop_watch_deadline(&a->probe_watch, loop_now_ms(a->loop) + (p->timeout_s + 2) * 1000);
}

/* Make sure of the switch (a restart may have come between), then one probe after the other. */
void probe_step(struct agent *a)
{
	struct error err = ERROR_INIT;
	const struct probe *p;

	if (a->attempt.pid > 0)
		return;
	if (a->back.kind != ERR_NONE) {
		err = a->back;
		rollback(a, &err);
		return;
	}
	if (a->probe_index == 0 && a->probe_attempt == 0 &&
	    place_switch(a->artifacts_fd, a->update.artifact, a->update.version, &err) < 0) {
		rollback(a, &err);
		return;
	}
	if (a->probe_index >= a->descriptor.probe_count) {
		probing_done(a);
		return;
	}
	p = &a->descriptor.probes[a->probe_index];
	if (a->probe_attempt == 0 && p->delay_s > 0 && a->step_timer.slot == 0 && !a->probe_waited) {
		a->probe_waited = true;
		loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop) + p->delay_s * 1000);
		return;
	}
	a->probe_waited = false;
	probe_start_next(a);
}

/* ---- going back ---- */

/*
 * The switch first, the record after it: whoever is interrupted in between finds the record as it was, and goes the
 * same way again.
 */
static int go_back(struct agent *a, struct installed *i, struct error *err)
{
	if (state_installed(a->db, a->update.artifact, i, err) < 0)
		return -1;
	if (strcmp(i->version, a->update.version) == 0)
		installed_back(i, clock_now_s());
	return place_switch(a->artifacts_fd, a->update.artifact, i->version, err);
}

void rollback(struct agent *a, const struct error *why)
{
	struct error err = ERROR_INIT;
	struct installed i;

	loop_unwatch(&a->probe_watch);
	probe_kill(&a->attempt);
	if (go_back(a, &i, &err) < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.rollback", &err);
		if (a->update.state == UPDATE_HEALTHY) {	/* the order will be repeated */
			update_release(&a->update);
			return;
		}
		a->back = *why;
		loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop) + GO_BACK_AGAIN_MS);
		return;
	}
	update_enter(a, UPDATE_ROLLED_BACK, &i, "%s", why->text);
	prune(a, &i);
}
