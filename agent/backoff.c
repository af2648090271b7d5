/* Delays with jitter, and the rhythm of heartbeats. */
#include "agent/backoff.h"

#include "sys/rng.h"

/* The first retry comes within 4 s: sooner, and a server that is merely slow gets nine times what made it slow. */
#define PACE_SLOWER 2

/* Anything from `from` to `to`, both included. */
static int64_t between(int64_t from, int64_t to)
{
	return to <= from ? from : from + (int64_t)rng_below((uint32_t)(to - from) + 1);
}

int64_t backoff_ms(unsigned n, int64_t cap_ms)
{
	int64_t ms = n > 20 ? cap_ms : INT64_C(1000) << n;

	return between(BACKOFF_MIN_MS, ms < cap_ms ? ms : cap_ms);
}

int64_t backoff_asked_ms(unsigned n, int64_t cap_ms, int64_t retry_after_s)
{
	int64_t ms = backoff_ms(n, cap_ms), asked_ms;

	if (retry_after_s < 0)
		return ms;
	asked_ms = (retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S) * 1000;
	asked_ms = between(asked_ms, asked_ms + asked_ms / 2);
	return ms > asked_ms ? ms : asked_ms;
}

bool status_is_final(unsigned status)
{
	return status >= 300 && status < 500 && status != 408 && status != 421 && status != 425 && status != 429;
}

bool status_is_global(unsigned status)
{
	return status == 0 || status == 401 || status == 403 || status == 408 || status == 429 ||
	       (status > 500 && status < 600);
}

void pace_start(struct pace *p, int64_t now_ms, int64_t interval_s)
{
	int64_t most_ms = interval_s * 1000;

	*p = (struct pace){.interval_s = interval_s > 0 ? interval_s : PACE_INTERVAL_S};
	if (interval_s > 0)
		p->hold_ms = now_ms + between(0, most_ms < PACE_START_MAX_MS ? most_ms : PACE_START_MAX_MS);
}

void pace_failed(struct pace *p, int64_t now_ms, int64_t retry_after_s)
{
	p->hold_ms = now_ms + backoff_asked_ms(p->failures + PACE_SLOWER, BACKOFF_CAP_MS, retry_after_s);
	if (p->failures < UINT16_MAX)
		p->failures++;
}

void pace_heard(struct pace *p)
{
	p->failures = 0;
	p->hold_ms = 0;
}

void pace_beat(struct pace *p, int64_t now_ms, int64_t interval_s)
{
	p->interval_s = interval_s;
	p->beat_ms = now_ms + interval_s * 1000;
}

void pace_soon(struct pace *p)
{
	p->beat_ms = 0;
}

void pace_now(struct pace *p)
{
	p->beat_ms = 0;
	p->hold_ms = 0;
}
