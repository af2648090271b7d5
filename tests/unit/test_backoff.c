/*
 * A thousand agents on one virtual clock, each with the agent's own pace (agent/backoff.h), lose their server and find
 * it again: how many ask it in any one second? And the byte budget, whose clocks are played here, too.
 */
#include "tap.h"

#include "agent/backoff.h"
#include "agent/budget.h"
#include "agent/state.h"
#include "agent/supervisor.h"
#include "sys/rng.h"

/* ---- delays ---- */

TEST(delays_grow_to_their_cap_and_are_spread_over_all_of_it)
{
	unsigned n, i;

	for (n = 0; n < 100; n++) {
		int64_t most = n > 8 ? 300000 : INT64_C(1000) << n, low = INT64_MAX, high = 0;

		for (i = 0; i < 2000; i++) {
			int64_t ms = backoff_ms(n, 300000);

			low = ms < low ? ms : low;
			high = ms > high ? ms : high;
		}
		CHECK(low >= BACKOFF_MIN_MS && high <= most);
		CHECK(low < BACKOFF_MIN_MS + most / 20 && high > most - most / 20);
	}
	CHECK(backoff_ms(UINT32_MAX, 300000) <= 300000);
}

TEST(a_server_that_asks_for_patience_gets_it_up_to_an_hour)
{
	int64_t low = INT64_MAX, high = 0;
	unsigned i;

	for (i = 0; i < 2000; i++) {
		int64_t ms = backoff_asked_ms(0, 300000, 120);

		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
	}
	CHECK(low >= 120000 && low < 125000 && high > 175000 && high <= 180000);
	for (i = 0; i < 200; i++) {
		int64_t ms = backoff_asked_ms(0, 300000, 86400);

		CHECK(ms >= 3600000 && ms <= 5400000);
		CHECK(backoff_asked_ms(0, 300000, 0) >= BACKOFF_MIN_MS);
		CHECK(backoff_asked_ms(20, 300000, -1) <= 300000);
	}
}

TEST(statuses_are_final_or_not)
{
	CHECK(status_is_final(302) && status_is_final(400) && status_is_final(401) && status_is_final(404) &&
	      status_is_final(410) && status_is_final(422) && status_is_final(451));
	CHECK(!status_is_final(0) && !status_is_final(200) && !status_is_final(408) && !status_is_final(425) &&
	      !status_is_final(429) && !status_is_final(500) && !status_is_final(503));
	CHECK(status_is_global(0) && status_is_global(401) && status_is_global(403) && status_is_global(429) &&
	      status_is_global(502) && status_is_global(503));
	CHECK(!status_is_global(200) && !status_is_global(400) && !status_is_global(404) && !status_is_global(422) &&
	      !status_is_global(500));
}

/* ---- a fleet ---- */

#define AGENTS 1000
#define TICK_MS 100
#define HOURS(n) ((n) * INT64_C(3600000))

struct fleet {
	struct pace pace[AGENTS];
	int64_t now_ms, interval_s;
	unsigned window[10];	/* attempts in each of the last ten ticks */
	unsigned last_second;
	unsigned peak;		/* attempts in any second since fleet_mark */
	uint64_t attempts, answers;	/* since fleet_mark */
	int64_t least_gap_ms;	/* between two attempts of one agent */
	int64_t tried_ms[AGENTS];
};

static void fleet_mark(struct fleet *f)
{
	f->peak = 0;
	f->attempts = f->answers = 0;
	f->least_gap_ms = INT64_MAX;
}

static void tick(struct fleet *f, bool up)
{
	unsigned slot = (unsigned)(f->now_ms / TICK_MS % 10), i;

	f->last_second -= f->window[slot];
	f->window[slot] = 0;
	for (i = 0; i < AGENTS; i++) {
		struct pace *p = &f->pace[i];

		if (f->now_ms < pace_due_ms(p))
			continue;
		f->window[slot]++;
		f->attempts++;
		if (f->tried_ms[i] != 0 && f->now_ms - f->tried_ms[i] < f->least_gap_ms)
			f->least_gap_ms = f->now_ms - f->tried_ms[i];
		f->tried_ms[i] = f->now_ms;
		if (!up) {
			pace_failed(p, f->now_ms, -1);
			continue;
		}
		f->answers++;
		pace_heard(p);
		/* The server's own jitter: a tenth of the interval. */
		pace_beat(p, f->now_ms, f->interval_s - (int64_t)rng_below((uint32_t)f->interval_s / 10 + 1));
	}
	f->last_second += f->window[slot];
	if (f->last_second > f->peak)
		f->peak = f->last_second;
	f->now_ms += TICK_MS;
}

static void run(struct fleet *f, bool up, int64_t for_ms)
{
	int64_t end_ms = f->now_ms + for_ms;

	while (f->now_ms < end_ms)
		tick(f, up);
}

static struct fleet *fleet_new(int64_t interval_s)
{
	struct fleet *f = calloc(1, sizeof(*f));
	unsigned i;

	f->now_ms = 1000000;
	f->interval_s = interval_s;
	for (i = 0; i < AGENTS; i++)
		pace_start(&f->pace[i], f->now_ms, interval_s);
	return f;
}

/* The power comes back, to all of them in the same instant. */
TEST(starts_are_spread)
{
	struct fleet *f = fleet_new(60);

	run(f, true, 60000);
	printf("# start: %u attempts in the busiest second\n", f->peak);
	CHECK(f->peak <= 45);	/* 16.7 on average */
	CHECK(f->answers >= AGENTS);
	free(f);
}

TEST(a_device_that_was_never_heard_speaks_at_once)
{
	struct pace p;

	pace_start(&p, 5000, 0);
	CHECK(pace_due_ms(&p) <= 5000);
	CHECK_INT(p.interval_s, PACE_INTERVAL_S);
}

TEST(somebody_at_the_device_need_not_wait)
{
	struct pace p = {.interval_s = 60};

	pace_failed(&p, 1000, 3600);
	pace_soon(&p);
	CHECK(pace_due_ms(&p) > 1000);
	pace_now(&p);
	CHECK(pace_due_ms(&p) <= 1000);
}

static void outage(int64_t away_ms, unsigned peak_away, unsigned peak_back)
{
	struct fleet *f = fleet_new(60);
	unsigned i;

	run(f, true, HOURS(1));
	fleet_mark(f);
	run(f, false, away_ms);
	printf("# away %lld s: %llu attempts, %u in the busiest second, %lld ms between two of one agent\n",
	       (long long)(away_ms / 1000), (unsigned long long)f->attempts, f->peak, (long long)f->least_gap_ms);
	CHECK(f->peak <= peak_away);
	CHECK(f->least_gap_ms >= BACKOFF_MIN_MS);
	/* No more than the fleet asks on an ordinary day, but for the first minutes. */
	CHECK(f->attempts <= AGENTS * (uint64_t)(12 + away_ms / 100000));
	fleet_mark(f);
	run(f, true, 310000);
	printf("# back: %u in the busiest second\n", f->peak);
	CHECK(f->peak <= peak_back);
	for (i = 0; i < AGENTS; i++)
		CHECK(f->pace[i].failures == 0);	/* all are back, within the cap */
	/* And no wave goes on through the fleet. */
	fleet_mark(f);
	run(f, true, HOURS(1));
	CHECK(f->peak <= 60);
	CHECK(f->answers >= AGENTS * 55);
	free(f);
}

TEST(a_server_that_is_away_for_a_minute)
{
	outage(60000, 150, 120);
}

TEST(a_server_that_is_away_for_an_hour)
{
	outage(HOURS(1), 150, 60);
}

TEST(a_server_that_is_away_for_ten_hours)
{
	outage(HOURS(10), 150, 60);
}

/* The worst: all of them lose it in one instant, as when they all were in the middle of a request. */
TEST(agents_that_fail_in_one_instant_are_apart_at_the_next_attempts)
{
	struct fleet *f = fleet_new(60);
	unsigned i;

	run(f, true, HOURS(1));
	for (i = 0; i < AGENTS; i++)
		pace_failed(&f->pace[i], f->now_ms, -1);
	run(f, false, 20000);
	fleet_mark(f);
	run(f, false, HOURS(1));
	printf("# twenty seconds after a common failure: %u in the busiest second\n", f->peak);
	CHECK(f->peak <= 150);
	fleet_mark(f);
	run(f, true, 310000);
	CHECK(f->peak <= 60);
	free(f);
}

/* 503 with one and the same Retry-After for all. */
TEST(a_common_retry_after_makes_no_wave)
{
	struct fleet *f = fleet_new(60);
	unsigned i;

	run(f, true, HOURS(1));
	for (i = 0; i < AGENTS; i++)
		pace_failed(&f->pace[i], f->now_ms, 120);
	fleet_mark(f);
	run(f, true, 119000);
	CHECK_INT(f->attempts, 0);
	run(f, true, 70000);
	printf("# after a common Retry-After: %u in the busiest second\n", f->peak);
	CHECK(f->peak <= 50 && f->answers >= AGENTS);
	free(f);
}

/* ---- the budget ---- */

#define MIB (UINT64_C(1) << 20)

static struct budget_clock at(int64_t mono_ms, int64_t wall_s, const char *boot)
{
	struct budget_clock c = {.mono_ms = mono_ms, .wall_s = wall_s};

	snprintf(c.boot, sizeof(c.boot), "%s", boot);
	return c;
}

TEST(a_budget_ends_and_begins_anew)
{
	struct budget b;

	budget_init(&b, 10 * MIB, 3600);
	CHECK(budget_left(&b, 1000) == 10 * MIB);
	CHECK(budget_content(10 * MIB) < 10 * MIB && budget_content(10 * MIB) > 99 * MIB / 10);
	CHECK(budget_flight(&b, 1000, 5000));	/* the first byte is written down */
	CHECK(!budget_flight(&b, 2000, 6000));
	CHECK(budget_landed(&b, 4 * MIB, 7000));
	CHECK(budget_left(&b, 7000) == 6 * MIB);
	(void)budget_landed(&b, 6 * MIB - 1000, 8000);
	CHECK_INT(budget_left(&b, 8000), 0);	/* what is left is not worth a request */
	CHECK_INT(budget_left(&b, 5000 + 3600 * 1000 - 1), 0);
	CHECK(budget_left(&b, 5000 + 3600 * 1000) == 10 * MIB);
}

TEST(without_a_budget_nothing_is_counted)
{
	struct budget b;

	budget_init(&b, 0, 0);
	CHECK(budget_left(&b, 1000) == UINT64_MAX);
	CHECK(budget_content(UINT64_MAX) == UINT64_MAX);
	CHECK(!budget_flight(&b, 1 << 30, 2000) && !budget_landed(&b, 1 << 30, 2000));
}

TEST(what_was_overdrawn_is_taken_off_the_next_window)
{
	struct budget b;

	budget_init(&b, 4 * MIB, 100);
	(void)budget_landed(&b, 11 * MIB, 1000);
	CHECK_INT(budget_left(&b, 1000), 0);
	CHECK_INT(budget_left(&b, 101000), 0);	/* 7 MiB too many */
	CHECK(budget_left(&b, 201000) == MIB);	/* 3 MiB too many */
	CHECK(budget_left(&b, 301000) == 4 * MIB);
}

/* Written by one life of the agent, read by the next. */
static void restart(struct budget *b, const struct budget_clock *then, const struct budget_clock *now)
{
	struct buf text = BUF_INIT(512);
	struct error err = ERROR_INIT;
	uint64_t limit = b->limit;
	int64_t window_ms = b->window_ms;

	budget_write(b, then, &text);
	budget_init(b, limit, window_ms / 1000);
	CHECK(budget_read(b, buf_slice(&text), now, &err) == 0);
	buf_release(&text);
}

TEST(a_restart_forgets_nothing_and_a_crash_counts_a_step_more)
{
	struct budget_clock then = at(50000, 1800000000, "a"), now = at(90000, 1800000040, "a");
	struct budget b;

	budget_init(&b, 64 * MIB, 3600);
	(void)budget_landed(&b, 30 * MIB, 50000);
	restart(&b, &then, &now);
	CHECK(budget_left(&b, 90000) == 34 * MIB);
	CHECK(budget_left(&b, 50000 + 3600000 - 1) == 34 * MIB);
	CHECK(budget_left(&b, 50000 + 3600000) == 64 * MIB);

	budget_init(&b, 64 * MIB, 3600);
	CHECK(budget_flight(&b, 10 * MIB, 50000));
	restart(&b, &then, &now);	/* in the middle of a request */
	CHECK(budget_left(&b, 90000) == 52 * MIB);
}

TEST(a_clock_that_jumps_unlocks_nothing_while_the_machine_runs)
{
	struct budget_clock then = at(50000, 1800000000, "a");
	static const int64_t walls[] = {0, 1000000000, 1800000001, 2208988800, INT64_C(1) << 40};
	struct budget b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(walls); i++) {
		struct budget_clock now = at(60000, walls[i], "a");

		budget_init(&b, 10 * MIB, 3600);
		(void)budget_landed(&b, 10 * MIB, 50000);
		restart(&b, &then, &now);
		CHECK_INT(budget_left(&b, 60000), 0);
		CHECK(budget_left(&b, 50000 + 3600000) == 10 * MIB);
	}
}

TEST(a_reboot_counts_the_time_that_the_device_was_off_and_never_locks_it)
{
	struct budget_clock then = at(5000000, 1800000000, "a");
	struct budget_clock half = at(1000, 1800001800, "b"), back = at(1000, 0, "b"), far = at(1000, 2208988800, "b");
	struct budget b;

	budget_init(&b, 10 * MIB, 3600);
	(void)budget_landed(&b, 10 * MIB, 5000000);
	restart(&b, &then, &half);
	CHECK_INT(budget_left(&b, 1000 + 1799000), 0);
	CHECK(budget_left(&b, 1000 + 1800000) == 10 * MIB);

	/* No clock, or one that went back: as if it had not been off. */
	budget_init(&b, 10 * MIB, 3600);
	(void)budget_landed(&b, 10 * MIB, 5000000);
	restart(&b, &then, &back);
	CHECK_INT(budget_left(&b, 1000 + 3599000), 0);
	CHECK(budget_left(&b, 1000 + 3600000) == 10 * MIB);

	/* One that jumped ahead ends this window, and the next one counts as ever. */
	budget_init(&b, 10 * MIB, 3600);
	(void)budget_landed(&b, 10 * MIB, 5000000);
	restart(&b, &then, &far);
	CHECK(budget_left(&b, 1000) == 10 * MIB);
	(void)budget_landed(&b, 10 * MIB, 2000);
	CHECK_INT(budget_left(&b, 3000), 0);
	restart(&b, &far, &back);
	CHECK_INT(budget_left(&b, 3000), 0);
}

TEST(a_budget_that_was_changed_holds_at_once)
{
	struct budget_clock then = at(50000, 1800000000, "a"), now = at(60000, 1800000010, "a");
	struct buf text = BUF_INIT(512);
	struct error err = ERROR_INIT;
	struct budget b;

	budget_init(&b, 100 * MIB, 30 * 86400);
	(void)budget_landed(&b, 50 * MIB, 50000);
	budget_write(&b, &then, &text);
	budget_init(&b, 60 * MIB, 3600);
	CHECK(budget_read(&b, buf_slice(&text), &now, &err) == 0);
	CHECK(budget_left(&b, 60000) == 10 * MIB);
	CHECK(budget_left(&b, 60000 + 3600000) == 60 * MIB);	/* not after 30 days */
	budget_init(&b, 0, 3600);
	CHECK(budget_read(&b, buf_slice(&text), &now, &err) == 0 && budget_left(&b, 60000) == UINT64_MAX);
	buf_release(&text);
}

TEST(a_damaged_record_locks_nobody)
{
	static const char *const bad[] = {
		"", "{}", "[1]", "{\"boot\":\"a\",\"mono_ms\":-1,\"wall_s\":1,\"left_ms\":1,\"used\":1}",
		"{\"boot\":1,\"mono_ms\":1,\"wall_s\":1,\"left_ms\":1,\"used\":1}",
		"{\"boot\":\"a\",\"mono_ms\":1,\"wall_s\":1,\"left_ms\":99999999999999,\"used\":1}",
		"{\"boot\":\"a\",\"mono_ms\":1,\"wall_s\":1,\"left_ms\":1,\"used\":9223372036854775807}",
	};
	struct budget_clock now = at(60000, 1800000010, "a");
	struct error err = ERROR_INIT;
	struct budget b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		budget_init(&b, 2 * MIB, 3600);
		CHECK(budget_read(&b, slice_str(bad[i]), &now, &err) < 0);
		CHECK(budget_left(&b, 60000) == 2 * MIB);
	}
	budget_init(&b, 2 * MIB, 3600);
	CHECK(budget_read(&b, SLICE_LIT("{\"boot\":\"a\",\"mono_ms\":60000,\"wall_s\":1,\"left_ms\":3600000,"
					"\"used\":4611686018427387903}"), &now, &err) == 0);
	CHECK_INT(budget_left(&b, 60000), 0);
	CHECK(budget_left(&b, 60000 + 65 * INT64_C(3600000)) == 2 * MIB);	/* as overdrawn as is believed */
}
