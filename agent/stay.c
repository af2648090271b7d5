/*
 * How long the update has been in its state. The wall clock has no say: a device without a battery boots in 1970, or at
 * the time when it was last shut down, and is set right in the middle of an update; neither may end the update, nor keep
 * it for years. What counts is the time that the agent ran, by the clock that never steps. It is noted every few minutes
 * and taken up after a restart, and each restart counts for a minute at least, so that a device that restarts all the
 * time comes to an end too. Time spent switched off counts for nothing. A download that gets on begins at 0 again, and one
 * that waits for its byte budget when it may go on.
 */
#include "agent/supervisor.h"
#include "base/log.h"

#define NOTE_S 300
#define RESTART_S 60

static void note(struct agent *a)
{
	struct error err = ERROR_INIT;

	if (state_note_stay(a->db, &a->update, a->stay_s, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.state", &err);
}

/* What an earlier stay in this state, or this one before the restart, has taken; with the restart itself. */
static int64_t noted(struct agent *a)
{
	struct error err = ERROR_INIT;
	int64_t stay_s = 0;

	if (state_stay(a->db, &a->update, &stay_s, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.state", &err);
	return stay_s + RESTART_S;
}

static void count_from(struct agent *a, int64_t stay_s)
{
	int64_t limit_s = update_state_limit_s(a->update.state), now_ms = loop_now_ms(a->loop);

	a->stay_s = stay_s;
	a->stay_from_ms = now_ms;
	loop_timer_set(a->loop, &a->limit_timer, now_ms + (stay_s < limit_s ? limit_s - stay_s : 0) * 1000);
}

static void count_on(struct agent *a, int64_t stay_s)
{
	count_from(a, stay_s);
	loop_timer_set(a->loop, &a->stay_timer, loop_now_ms(a->loop) + NOTE_S * 1000);
}

void stay_begin(struct agent *a, enum update_state from)
{
	/* Back from a copy that was cut short: the same download, or a device that dies while it copies would try for ever. */
	bool again = from == UPDATE_VERIFYING && a->update.state == UPDATE_DOWNLOADING;

	count_on(a, again ? noted(a) : 0);
	if (again)
		note(a);
}

void stay_resume(struct agent *a)
{
	count_on(a, noted(a));
	note(a);
}

/* Progress comes every second: the timer that runs notes it, with what is counted from here. */
void stay_anew(struct agent *a, int64_t wait_s)
{
	count_from(a, -wait_s);
	if (wait_s > 0)
		note(a);
}

void stay_end(struct agent *a)
{
	loop_timer_cancel(a->loop, &a->limit_timer);
	loop_timer_cancel(a->loop, &a->stay_timer);
}

void stay_note_fire(struct timer *t)
{
	struct agent *a = container_of(t, struct agent, stay_timer);
	int64_t now_ms = loop_now_ms(a->loop);

	a->stay_s += (now_ms - a->stay_from_ms) / 1000;
	a->stay_from_ms = now_ms;
	loop_timer_set(a->loop, t, now_ms + NOTE_S * 1000);
	note(a);
}
