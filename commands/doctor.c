/* `doctor`: what is wrong here, and what to do about it. */
#include "commands/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "sys/clock.h"

#define WITHIN_DEFAULT_S (14 * INT64_C(86400))

static const char *const level_names[] = {
	[FINDING_OK] = "ok",
	[FINDING_WARNING] = "warning",
	[FINDING_PROBLEM] = "problem",
};

void doctor_say(struct doctor *d, enum finding_level level, const char *area, const char *hint, const char *fmt, ...)
{
	struct finding *f;
	char raw[sizeof(f->text)];
	va_list ap;

	d->findings = xreallocarray(d->findings, d->count + 1, sizeof(*d->findings));
	f = &d->findings[d->count++];
	f->level = level;
	f->area = area;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	printable(f->text, sizeof(f->text), slice_str(raw));
	printable(f->hint, sizeof(f->hint), slice_str(hint));
}

void doctor_error(struct doctor *d, enum finding_level level, const char *area, const struct error *err)
{
	doctor_say(d, level, area, err->hint, "%s", err->text);
}

void doctor_expiry(struct doctor *d, const char *area, const char *what, int64_t expires_s, const char *hint)
{
	int64_t left_s = expires_s - d->now_s;
	char date[TIME_TEXT_LEN], left[32];

	time_text(date, expires_s);
	if (left_s <= 0)
		doctor_say(d, FINDING_PROBLEM, area, hint, "%s expired at %s (%s)", what, date,
			   duration_text(left, left_s));
	else if (left_s < d->within_s)
		doctor_say(d, FINDING_PROBLEM, area, hint, "%s expires at %s (in %s)", what, date,
			   duration_text(left, left_s));
	else
		doctor_say(d, FINDING_OK, area, "", "%s expires at %s (in %s)", what, date,
			   duration_text(left, left_s));
}

static unsigned count_of(const struct doctor *d, enum finding_level level)
{
	unsigned i, n = 0;

	for (i = 0; i < d->count; i++)
		n += d->findings[i].level == level;
	return n;
}

static void print_json(struct doctor *d)
{
	struct buf b = BUF_INIT(16u << 20);
	struct json_writer w = JSON_WRITER(&b);
	unsigned i;

	json_open_object(&w, NULL);
	json_put_int(&w, "problems", count_of(d, FINDING_PROBLEM));
	json_put_int(&w, "warnings", count_of(d, FINDING_WARNING));
	json_open_array(&w, "findings");
	for (i = 0; i < d->count; i++) {
		json_open_object(&w, NULL);
		json_put_string(&w, "level", level_names[d->findings[i].level]);
		json_put_string(&w, "area", d->findings[i].area);
		json_put_string(&w, "text", d->findings[i].text);
		if (d->findings[i].hint[0] != '\0')
			json_put_string(&w, "hint", d->findings[i].hint);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	cmd_write_json(d->cmd, &b);
	buf_release(&b);
}

static void print_text(struct doctor *d)
{
	unsigned i;

	for (i = 0; i < d->count; i++) {
		const struct finding *f = &d->findings[i];

		if (f->level == FINDING_OK && cmd_quiet(d->cmd))
			continue;
		cmd_printf(d->cmd, "%-8s %-8s %s\n", level_names[f->level], f->area, f->text);
		if (f->hint[0] != '\0')
			cmd_printf(d->cmd, "%18s%s\n", "-> ", f->hint);
	}
}

static int doctor_run(struct cmd *cmd, struct error *err)
{
	struct doctor d = {
		.cmd = cmd,
		.home = cmd_home(cmd),
		.now_s = clock_now_s(),
		.within_s = cmd_int(cmd, "within", WITHIN_DEFAULT_S),
	};
	unsigned bad;
	int r = 0;

	doctor_system(&d);
	doctor_config(&d);
	doctor_home(&d);
	doctor_key_directory(&d, "keys");
	doctor_agent(&d);
	doctor_control(&d);
	if (cmd_json(cmd))
		print_json(&d);
	else
		print_text(&d);
	bad = count_of(&d, FINDING_PROBLEM) + (cmd_flag(cmd, "strict") ? count_of(&d, FINDING_WARNING) : 0);
	if (bad > 0)
		r = error_set(err, ERR_FAILED, "%u of %u findings need attention", bad, d.count);
	free(d.findings);
	return r;
}

static const struct option doctor_options[] = {
	{ .name = "within", .type = OPT_DURATION, .value = "TIME",
	  .help = "what a person must renew and expires within TIME is a problem (default 14d)" },
	{ .name = "strict", .type = OPT_FLAG, .help = "count warnings as problems" },
	{ .name = NULL },
};

const struct command cmd_doctor = {
	.name = "doctor",
	.usage = "",
	.summary = "say what is wrong on this machine, and what to do about it",
	.options = doctor_options,
	.run = doctor_run,
};
