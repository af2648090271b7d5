/*
 * How many bytes may be downloaded in a window of time. No I/O: the caller brings the time and keeps the record.
 *
 * A window opens with the first byte and lasts window_s. It is counted on the clock that nobody sets (CLOCK_BOOTTIME),
 * so that a clock which is set ends no window early or late. Over a reboot, where that clock starts anew, the wall clock
 * says how long the device was off, if it did not go back: a jump can end one window, never lock a device out, and what
 * was left of the window is the longest it can last.
 *
 * The record runs ahead of what was received by up to a step, so that a crash forgets nothing.
 * What a window was overdrawn by (metadata is not cut in the middle) is taken off the next.
 */
#ifndef MESHANICS_AGENT_BUDGET_H
#define MESHANICS_AGENT_BUDGET_H

#include "agent/agent.h"
#include "base/buf.h"
#include "base/error.h"

#define BUDGET_BOOT_LEN 40

struct budget {
	uint64_t limit;		/* bytes in a window; 0: no budget */
	int64_t window_ms;
	uint64_t used;		/* in this window, by requests that have ended */
	uint64_t flight;	/* by the one on its way */
	uint64_t recorded;	/* what the record says, at least used + flight */
	bool open;		/* a window is */
	int64_t ends_ms;	/* and ends then, monotonic */
};

struct budget_clock {
	int64_t mono_ms;	/* CLOCK_BOOTTIME */
	int64_t wall_s;
	char boot[BUDGET_BOOT_LEN];	/* names the boot in which mono_ms counts */
};

void budget_init(struct budget *b, uint64_t limit, int64_t window_s);
/* Go on from a record. ERR_MALFORMED: it is none; b is as after budget_init then. */
WARN_UNUSED int budget_read(struct budget *b, struct slice record, const struct budget_clock *now, struct error *err);
void budget_write(const struct budget *b, const struct budget_clock *now, struct buf *record);

/*
 * Bytes that may still be received; UINT64_MAX without a budget, 0 when what is left is not worth a request. Ends a
 * window whose time is over.
 */
uint64_t budget_left(struct budget *b, int64_t mono_ms);
/* What of it may be asked for as content: a part is kept back for headers and TLS. */
uint64_t budget_content(uint64_t left);
/* The request on its way has received so many bytes in all. true: write the record before going on. */
bool budget_flight(struct budget *b, uint64_t received, int64_t mono_ms);
/* It has ended. true as above. */
bool budget_landed(struct budget *b, uint64_t received, int64_t mono_ms);

#endif
