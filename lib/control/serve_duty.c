/* What serve does by itself: sign what is due, keep its own certificate fresh, flush last-seen. */
#include "control/serve_internal.h"

#include "base/log.h"
#include "base/timefmt.h"
#include "fleet/backup.h"
#include "store/audit.h"
#include "store/lastseen.h"
#include "tuf/repo.h"

#define SIGN_LOOK_S 10
#define CLOCK_STEP_S 5		/* between two looks, a second apart */
#define IDENTITY_AGAIN_S 60

/* Of one kind of trouble, a line when it begins and a line when it ends; not one a second. */
struct trouble {
	const char *event;
	bool now;
};

static void trouble_set(struct trouble *t, int result, const struct error *err)
{
	if (result < 0 && !t->now)
		log_failure(LOG_LEVEL_ERROR, t->event, err);
	else if (result == 0 && t->now)
		log_info(t->event, "over=true");
	t->now = result < 0;
}

struct sign_job {
	struct control *control;
	int64_t now_s;
	int64_t due_s;	/* of the next signature */
	struct repo_resigned done;
};

/* On the writer, which owns the repository. */
static int sign_run(struct db *db, void *arg, struct error *err)
{
	struct sign_job *j = arg;
	struct audit_entry e = {.time_s = j->now_s, .actor = "serve", .action = "repository.sign", .object = "snapshot",
				.verdict = "ok"};
	bool moved;

	if (restored_rebase(db, j->now_s, &moved, err) < 0)
		return -1;
	if (moved)
		return 0;	/* to be committed; due_s is 0: the next look is at once */
	if (restored_check(db, j->control->repo, j->now_s, err) < 0 ||
	    repo_resign(j->control->repo, j->now_s, REPO_SOME, 0, &j->done, err) < 0)
		return -1;
	j->due_s = repo_due(j->control->repo);
	/* A timestamp every few hours is routine; a new snapshot or publisher file is worth a row. */
	return j->done.snapshot || j->done.publishers + j->done.bins > 0 ? audit_append(db, &e, err) : 0;
}

/*
 * Looks often: a new root may have shortened the lives, a failure (a jumped clock) may be over. The pause between looks
 * is not reckoned by the wall clock: one that was years ahead and came back must not keep us from signing for years.
 */
static void duty_sign(struct serve *s, int64_t now_s, int64_t now_ms)
{
	static struct trouble trouble = {.event = "serve.sign"};
	struct sign_job j = {.control = s->control, .now_s = now_s};
	struct error err = ERROR_INIT;
	int64_t wait_s = SIGN_LOOK_S;
	int r;

	if (now_ms < s->sign_look_ms)
		return;
	do {
		r = writer_call(s->writer, sign_run, &j, &err);
	} while (r < 0 && serve_disk_again(s, &err));
	trouble_set(&trouble, r, &err);
	if (r == 0 && (j.done.snapshot || j.done.timestamp || j.done.publishers + j.done.bins > 0))
		log_info("serve.signed", "snapshot=%d timestamp=%d publishers=%u bins=%u", j.done.snapshot,
			 j.done.timestamp, j.done.publishers, j.done.bins);
	s->sign_trouble = r < 0;
	if (r == 0 && j.due_s < now_s + SIGN_LOOK_S)
		wait_s = j.due_s > now_s ? j.due_s - now_s : 0;
	s->sign_look_ms = now_ms + wait_s * 1000;
}

/* Also when the clock is now well before what it was then: that certificate is from a day that has not come. */
static void duty_identity(struct serve *s, int64_t now_s, int64_t now_ms)
{
	static struct trouble trouble = {.event = "serve.certificate"};
	struct error err = ERROR_INIT;
	unsigned i;
	int r;

	if (now_s < s->identity_renew_s && now_s >= s->identity_made_s - REPO_CLOCK_BACK_S) {
		trouble_set(&trouble, 0, NULL);
		return;
	}
	if (now_ms < s->identity_look_ms)
		return;
	r = serve_make_tls(s, now_s, &err);
	trouble_set(&trouble, r, &err);
	if (r < 0) {
		s->identity_look_ms = now_ms + IDENTITY_AGAIN_S * 1000;
		return;
	}
	for (i = 0; i < s->loop_count; i++)
		serve_loop_retls(&s->loops[i]);
	log_info("serve.certificate", "renewed=true");
}

static void duty_lastseen(struct serve *s)
{
	static struct trouble trouble = {.event = "serve.lastseen"};
	struct error err = ERROR_INIT;

	int r;

	do {
		r = lastseen_flush(s->control->lastseen, s->writer, &err);
	} while (r < 0 && serve_disk_again(s, &err));
	trouble_set(&trouble, r, &err);
}

/* The wall clock against the one that never steps: who sets it finds it in the log, and all is looked at anew at once. */
static void watch_clock(struct serve *s, int64_t now_s, int64_t now_ms)
{
	int64_t ahead_s = now_s - now_ms / 1000, step_s = ahead_s - s->clock_ahead_s;
	char now[TIME_TEXT_LEN];

	s->clock_ahead_s = ahead_s;
	if (step_s >= -CLOCK_STEP_S && step_s <= CLOCK_STEP_S)
		return;
	log_warn("serve.clock", "stepped_s=%lld now=%s", (long long)step_s, time_text(now, now_s));
	s->identity_look_ms = s->sign_look_ms = 0;
}

void serve_duties(struct serve *s, int64_t now_s, int64_t now_ms)
{
	serve_disk_duty(s);
	watch_clock(s, now_s, now_ms);
	duty_identity(s, now_s, now_ms);
	duty_sign(s, now_s, now_ms);
	duty_lastseen(s);
}
