/*
 * How a rollout proceeds: the waves, and when to stop. No I/O, no clock, no database.
 *
 *	{"waves": [{"percent": 1}, {"percent": 10, "approval": "manual"}, {"percent": 100}],
 *	 "max_failure_rate": 0.05, "min_sample": 1, "window": 86400}
 *
 * waves: 1 to STRATEGY_WAVES_MAX; percent is cumulative, strictly rising, the last 100; a wave with "manual"
 * opens only when somebody approves it. max_failure_rate: 0 to 1, default 0. min_sample: outcomes before the
 * rate is judged, default 1. window: outcomes older than this many seconds are not judged, default 0: all count.
 */
#ifndef MESHANICS_FLEET_STRATEGY_H
#define MESHANICS_FLEET_STRATEGY_H

#include "base/json.h"

#define STRATEGY_TEXT_MAX 8192
#define STRATEGY_WAVES_MAX 32
#define STRATEGY_RATE_ONE 1000000	/* a rate of 1 */

struct strategy_wave {
	unsigned percent;
	bool manual;
};

struct strategy {
	unsigned wave_count;
	struct strategy_wave waves[STRATEGY_WAVES_MAX];
	int64_t max_failure_rate;	/* in millionths */
	int64_t min_sample;
	int64_t window_s;		/* 0: none */
};

/* ERR_USAGE or ERR_MALFORMED naming the member. The document was parsed with JSON_FRACTIONS. */
WARN_UNUSED int strategy_parse(struct strategy *s, struct json_value v, struct error *err);
WARN_UNUSED int strategy_parse_text(struct strategy *s, struct slice text, struct error *err);
/*
 * The same in words, for command lines: waves "1,10m,100" (m: manual approval), rate "0.05" or "5%". min_sample and
 * window_s as above. ERR_USAGE.
 */
WARN_UNUSED int strategy_from_words(struct strategy *s, const char *waves, const char *rate, int64_t min_sample,
				    int64_t window_s, struct error *err);
void strategy_put(struct json_writer *w, const char *name, const struct strategy *s);
/* How many of `total` devices are in waves 0 to `wave`: rounded up, so that a wave of a few is never empty. */
int64_t strategy_wave_size(const struct strategy *s, unsigned wave, int64_t total);

/* What is known of a rollout when it is judged. */
struct tally {
	int64_t size;		/* devices in the open waves, without those cancelled or superseded */
	int64_t healthy;
	int64_t bad;		/* failed or rolled back */
	int64_t acknowledged_bad;	/* of these, seen by the operator who resumed */
	int64_t sample, sample_bad;	/* outcomes and bad ones that are judged: not acknowledged, inside the window */
	bool last;		/* the open wave is the last one */
};

enum verdict {
	VERDICT_WAIT,	/* outcomes are missing */
	VERDICT_NEXT,	/* the wave is complete: the next may open */
	VERDICT_DONE,	/* the last wave is complete */
	VERDICT_HALT,	/* too many went bad */
};

/*
 * HALT when bad outcomes among the sample exceed the rate (and the sample is large enough), or when every
 * outcome is in and too few are healthy. NEXT when the healthy share of the open waves, leaving out what was
 * acknowledged, reaches 1 - max_failure_rate. DONE when every outcome of the last wave is in. why: for people.
 */
enum verdict strategy_judge(const struct strategy *s, const struct tally *t, char why[static 160]);

#endif
