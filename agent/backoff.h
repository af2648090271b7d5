/*
 * When the agent speaks, so that a thousand agents that lose and find their server do not speak as one. No I/O and no
 * clock of its own: callers bring the time, on any clock that does not step, in milliseconds.
 *
 * Every delay is drawn anew from the kernel's random numbers over its whole range ("full jitter"), so that agents which
 * failed in the same instant are apart at the next attempt. The cap is 5 minutes; a server that asks for more patience
 * (Retry-After) gets up to an hour.
 */
#ifndef MESHANICS_AGENT_BACKOFF_H
#define MESHANICS_AGENT_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_MIN_MS 500
#define BACKOFF_CAP_MS 300000
#define RETRY_AFTER_MAX_S 3600
#define PACE_START_MAX_MS 60000		/* the longest that a start is put off to spread them */
#define PACE_INTERVAL_S 60		/* between heartbeats, while no server has said */

/* The delay before attempt n (from 0): anything from half a second to 1 s doubled n times, or cap_ms. */
int64_t backoff_ms(unsigned n, int64_t cap_ms);
/*
 * The same, and no less than the server asked for (Retry-After in seconds, -1: nothing), which is obeyed up to
 * RETRY_AFTER_MAX_S and spread by half of it: it asked everybody for the same.
 */
int64_t backoff_asked_ms(unsigned n, int64_t cap_ms, int64_t retry_after_s);

/* What a status means for the next attempt: the same request will be answered so again (3xx, 4xx but for a few). */
bool status_is_final(unsigned status);
/* The server as a whole cannot answer now, or not to us; and not: this one request of ours is wrong. 0: no answer. */
bool status_is_global(unsigned status);

/* The agent's conversation with the control plane. Zero-initialise. */
struct pace {
	int64_t hold_ms;	/* nothing is said before */
	int64_t beat_ms;	/* when the next heartbeat is due */
	int64_t interval_s;	/* between heartbeats, as the server said last */
	unsigned failures;	/* in a row */
};
/*
 * The process starts. interval_s: as the server said in an earlier life; 0 when it has never been heard: then it is
 * spoken to at once, because somebody is installing this device and waits. Else starts are spread over the interval: it
 * may be the power that came back, to all of them.
 */
void pace_start(struct pace *p, int64_t now_ms, int64_t interval_s);
/* Nothing, or nothing of use, was answered. retry_after_s: -1 when nothing was asked. */
void pace_failed(struct pace *p, int64_t now_ms, int64_t retry_after_s);
void pace_heard(struct pace *p);			/* a good answer */
void pace_beat(struct pace *p, int64_t now_ms, int64_t interval_s);	/* a heartbeat was answered */
void pace_soon(struct pace *p);				/* a heartbeat at the next chance */
void pace_now(struct pace *p);				/* somebody at the device asks for one: whatever was before */
static inline bool pace_holds(const struct pace *p, int64_t now_ms)
{
	return now_ms < p->hold_ms;
}
/* When a heartbeat may be sent. */
static inline int64_t pace_due_ms(const struct pace *p)
{
	return p->hold_ms > p->beat_ms ? p->hold_ms : p->beat_ms;
}

#endif
