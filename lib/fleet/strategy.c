/* Strategies: reading, and the judgement of what is known of a rollout. */
#include "fleet/strategy.h"

#include <stdio.h>

#include "base/compiler.h"

#define SAMPLE_MAX 1000000
#define WINDOW_MAX_S (366 * INT64_C(86400))

static int parse_wave(struct json_value v, unsigned before, struct strategy_wave *out, struct error *err)
{
	static const char *const members[] = {"percent", "approval", NULL};
	struct slice approval = SLICE_LIT("auto");
	int64_t percent;

	if (json_type(v) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "it is %s, not an object", json_type_name(json_type(v)));
	if (json_only(v, members, err) < 0 || json_need_int(v, "percent", 1, 100, &percent, err) < 0 ||
	    json_opt_string(v, "approval", &approval, err) < 0)
		return -1;
	if (percent <= before)
		return error_set(err, ERR_USAGE, "%lld percent does not rise above %u", (long long)percent, before);
	out->percent = (unsigned)percent;
	out->manual = slice_equal_str(approval, "manual");
	if (!out->manual && !slice_equal_str(approval, "auto"))
		return error_set(err, ERR_USAGE, "approval is 'auto' or 'manual', not '%.*s'", SLICE_ARG(approval));
	return 0;
}

static int parse_waves(struct strategy *s, struct json_value list, struct error *err)
{
	struct json_iter it = json_iter(list);
	unsigned before = 0;

	if (json_count(list) == 0 || json_count(list) > STRATEGY_WAVES_MAX)
		return error_set(err, ERR_USAGE, "a strategy has 1 to %d waves", STRATEGY_WAVES_MAX);
	while (json_next(&it)) {
		if (parse_wave(it.value, before, &s->waves[s->wave_count], err) < 0)
			return error_wrap(err, "wave %u", s->wave_count + 1);
		before = s->waves[s->wave_count++].percent;
	}
	if (before != 100)
		return error_set(err, ERR_USAGE, "the last wave has %u percent, not 100", before);
	return 0;
}

static int parse_rate(struct strategy *s, struct json_value v, struct error *err)
{
	double rate;

	if (json_type(v) == JSON_NONE)
		return 0;
	if (json_type(v) != JSON_INT && json_type(v) != JSON_REAL)
		return error_set(err, ERR_MALFORMED, "'max_failure_rate' is %s, not a number",
				 json_type_name(json_type(v)));
	rate = json_real(v);
	if (!(rate >= 0 && rate <= 1))
		return error_set(err, ERR_USAGE, "'max_failure_rate' is between 0 and 1");
	s->max_failure_rate = (int64_t)(rate * STRATEGY_RATE_ONE + 0.5);
	return 0;
}

int strategy_parse(struct strategy *s, struct json_value v, struct error *err)
{
	static const char *const members[] = {"waves", "max_failure_rate", "min_sample", "window", NULL};
	struct json_value waves;

	*s = (struct strategy){.min_sample = 1};
	if (json_type(v) != JSON_OBJECT)
		error_set(err, ERR_MALFORMED, "it is %s, not an object", json_type_name(json_type(v)));
	else if (json_only(v, members, err) == 0 && json_need_array(v, "waves", &waves, err) == 0 &&
		 parse_waves(s, waves, err) == 0 && parse_rate(s, json_get(v, "max_failure_rate"), err) == 0 &&
		 json_opt_int(v, "min_sample", 1, SAMPLE_MAX, &s->min_sample, err) == 0 &&
		 json_opt_int(v, "window", 0, WINDOW_MAX_S, &s->window_s, err) == 0)
		return 0;
	return error_wrap(err, "strategy");
}

int strategy_parse_text(struct strategy *s, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (text.len > STRATEGY_TEXT_MAX)
		error_set(err, ERR_LIMIT, "a strategy has at most %d bytes", STRATEGY_TEXT_MAX);
	else if (json_parse(&doc, text, JSON_FRACTIONS, err) == 0)
		r = strategy_parse(s, json_root(&doc), err);
	json_release(&doc);
	return r;
}

/* Up to three digits; the rest of the word, or NULL. */
static const char *take_percent(const char *word, unsigned *out)
{
	unsigned digits = 0;

	*out = 0;
	while (*word >= '0' && *word <= '9' && digits++ < 3)
		*out = *out * 10 + (unsigned)(*word++ - '0');
	return digits == 0 || digits > 3 ? NULL : word;
}

static int waves_from_words(struct strategy *s, const char *words, struct error *err)
{
	const char *at = words;
	unsigned before = 0;

	for (;;) {
		struct strategy_wave *w = &s->waves[s->wave_count];

		if (s->wave_count == STRATEGY_WAVES_MAX)
			return error_set(err, ERR_USAGE, "waves '%s': more than %d", words, STRATEGY_WAVES_MAX);
		at = take_percent(at, &w->percent);
		if (at == NULL || w->percent > 100 || w->percent <= before)
			return error_set(err, ERR_USAGE, "waves '%s': percentages rise from 1 to 100, as in 1,10,100", words);
		w->manual = *at == 'm';
		at += w->manual;
		before = w->percent;
		s->wave_count++;
		if (*at == '\0')
			break;
		if (*at++ != ',')
			return error_set(err, ERR_USAGE, "waves '%s': percentages are separated by commas", words);
	}
	if (before != 100)
		return error_set(err, ERR_USAGE, "waves '%s': the last one is 100", words);
	return 0;
}

/* "0.05", "1", "5%": at most six digits behind the point, which is all that a rate holds. */
static int rate_from_words(int64_t *out, const char *words, struct error *err)
{
	int64_t whole = 0, part = 0, unit = STRATEGY_RATE_ONE;
	const char *at = words;
	unsigned digits = 0;

	while (*at >= '0' && *at <= '9' && digits++ < 3)
		whole = whole * 10 + (*at++ - '0');
	if (*at == '.')
		for (at++; *at >= '0' && *at <= '9' && unit > 1; at++, digits++) {
			unit /= 10;
			part += (*at - '0') * unit;
		}
	*out = whole * STRATEGY_RATE_ONE + part;
	if (*at == '%') {
		*out /= 100;
		at++;
	}
	if (digits == 0 || *at != '\0' || *out > STRATEGY_RATE_ONE)
		return error_set(err, ERR_USAGE, "rate '%s' is not between 0 and 1 (or 0%% and 100%%)", words);
	return 0;
}

int strategy_from_words(struct strategy *s, const char *waves, const char *rate, int64_t min_sample, int64_t window_s,
			struct error *err)
{
	*s = (struct strategy){.min_sample = min_sample, .window_s = window_s};
	if (min_sample < 1 || min_sample > SAMPLE_MAX)
		return error_set(err, ERR_USAGE, "a sample is between 1 and %d", SAMPLE_MAX);
	if (window_s < 0 || window_s > WINDOW_MAX_S)
		return error_set(err, ERR_USAGE, "a window is at most %lld days", (long long)(WINDOW_MAX_S / 86400));
	if (waves_from_words(s, waves, err) < 0)
		return -1;
	return rate_from_words(&s->max_failure_rate, rate, err);
}

void strategy_put(struct json_writer *w, const char *name, const struct strategy *s)
{
	unsigned i;

	json_open_object(w, name);
	json_open_array(w, "waves");
	for (i = 0; i < s->wave_count; i++) {
		json_open_object(w, NULL);
		json_put_int(w, "percent", s->waves[i].percent);
		json_put_string(w, "approval", s->waves[i].manual ? "manual" : "auto");
		json_close(w);
	}
	json_close(w);
	json_put_real(w, "max_failure_rate", (double)s->max_failure_rate / STRATEGY_RATE_ONE);
	json_put_int(w, "min_sample", s->min_sample);
	json_put_int(w, "window", s->window_s);
	json_close(w);
}

int64_t strategy_wave_size(const struct strategy *s, unsigned wave, int64_t total)
{
	return (total * s->waves[wave].percent + 99) / 100;
}

static double percent_of(int64_t part, int64_t whole)
{
	return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

enum verdict strategy_judge(const struct strategy *s, const struct tally *t, char why[static 160])
{
	int64_t unsettled = t->size - t->healthy - t->bad;
	int64_t base = t->size - t->acknowledged_bad;
	double limit = 100.0 * (double)s->max_failure_rate / STRATEGY_RATE_ONE;
	bool enough = t->healthy * STRATEGY_RATE_ONE >= (STRATEGY_RATE_ONE - s->max_failure_rate) * base;

	if (t->sample >= s->min_sample && t->sample_bad * STRATEGY_RATE_ONE > s->max_failure_rate * t->sample) {
		snprintf(why, 160, "%lld of %lld reported went bad (%.1f %%, allowed %.1f %%)",
			 (long long)t->sample_bad, (long long)t->sample, percent_of(t->sample_bad, t->sample), limit);
		return VERDICT_HALT;
	}
	if (unsettled == 0 && !enough) {
		snprintf(why, 160, "every device has reported and %lld of %lld are healthy (allowed to fail: %.1f %%)",
			 (long long)t->healthy, (long long)base, limit);
		return VERDICT_HALT;
	}
	snprintf(why, 160, "%lld of %lld healthy, %lld to report", (long long)t->healthy, (long long)t->size,
		 (long long)unsettled);
	if (t->last)
		return unsettled == 0 ? VERDICT_DONE : VERDICT_WAIT;
	return enough ? VERDICT_NEXT : VERDICT_WAIT;
}
