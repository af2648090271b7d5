/* The byte budget of downloads (agent/budget.h) on the agent's clocks, in its state.db, and in its words. */
#include <stdio.h>
#include <unistd.h>

#include "agent/supervisor.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "sys/clock.h"
#include "sys/file.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static struct budget_clock clock_read(const struct agent *a)
{
	struct budget_clock now = {.mono_ms = clock_mono_ms(), .wall_s = agent_time_s(a)};

	memcpy(now.boot, a->boot, sizeof(now.boot));
	return now;
}

/* What is not on record is received all the same: the budget holds until the next start, and the log says so. */
static void keep(struct agent *a)
{
	struct budget_clock now = clock_read(a);
	struct buf text = BUF_INIT(512);
	struct error err = ERROR_INIT;

	budget_write(&a->budget, &now, &text);
	if (state_set_fact(a->db, "budget", buf_slice(&text), &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.budget", &err);
	buf_release(&text);
}

void meter_start(struct agent *a)
{
	struct buf boot = BUF_INIT(BUDGET_BOOT_LEN), text = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	struct budget_clock now;

	if (file_read(AT_FDCWD, BOOT_ID, &boot, &err) == 0)
		snprintf(a->boot, sizeof(a->boot), "%.*s", (int)strcspn(buf_cstr(&boot), "\n"), buf_cstr(&boot));
	budget_init(&a->budget, a->options->download_budget, a->options->download_window_s);
	now = clock_read(a);
	if (state_get_fact(a->db, "budget", &text, &err) > 0 &&
	    budget_read(&a->budget, buf_slice(&text), &now, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.budget", &err);
	buf_release(&boot);
	buf_release(&text);
}

bool meter_waits(struct agent *a)
{
	int64_t now_ms = clock_mono_ms(), wait_ms;
	char text[UPDATE_REASON_MAX], when[TIME_TEXT_LEN], window[32];

	if (budget_left(&a->budget, now_ms) > 0) {
		a->budget_told = false;
		return false;
	}
	wait_ms = a->budget.ends_ms - now_ms;
	loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop) + wait_ms + 1);
	if (a->budget_told)
		return true;
	a->budget_told = true;
	/* To wait is no failure: the day that an update may go without progress begins when it may go on. */
	stay_anew(a, wait_ms / 1000 + 1);
	snprintf(text, sizeof(text), "budget of %llu bytes per %s used up; goes on at %s",
		 (unsigned long long)a->budget.limit, duration_text(window, a->budget.window_ms / 1000),
		 time_text(when, clock_now_s() + wait_ms / 1000 + 1));
	update_say(a, text);
	return true;
}

uint64_t meter_content(struct agent *a)
{
	return budget_content(budget_left(&a->budget, clock_mono_ms()));
}

void meter_flight(struct agent *a, uint64_t received)
{
	if (budget_flight(&a->budget, received, clock_mono_ms()))
		keep(a);
}

void meter_landed(struct agent *a, uint64_t received)
{
	if (budget_landed(&a->budget, received, clock_mono_ms()))
		keep(a);
}
