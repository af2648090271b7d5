/* `repo status`: what expires when, who has to do what by then, with an exit status for monitoring. */
#include <stdlib.h>

#include "base/timefmt.h"
#include "commands/clock.h"
#include "commands/request.h"
#include "sys/clock.h"
#include "tuf/metadata.h"

#define WITHIN_S (INT64_C(7) * 24 * 3600)

static const struct option repo_status_options[] = {
	{ .name = "within", .type = OPT_DURATION, .value = "TIME", .min = 0, .max = INT64_C(20) * 365 * 24 * 3600,
	  .help = "fail when a ceremony's or a publisher's file expires within TIME; 7d when not given" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* ROLE_BEHIND: the root that is kept of another site does not let it take what is published here. */
enum role_state { ROLE_OK, ROLE_EXPIRING, ROLE_OVERDUE, ROLE_BEHIND, ROLE_EXPIRED, ROLE_STATES };
static const char *const state_names[ROLE_STATES] = {"ok", "expiring", "overdue", "behind", "expired"};

/*
 * Who makes the next one. Where bundles come in, a ceremony makes the root and bundles bring all that this box does not
 * sign; where they are made, the roots of other sites are kept.
 */
enum maker { BY_CEREMONY, BY_PUBLISHER, BY_BOX, BY_BUNDLE, BY_CEREMONY_AND_BUNDLE, BY_OTHER_SITE };

/* A role with what follows from its dates. */
struct judged {
	struct json_value role;		/* of the answer */
	char name[TUF_ROLE_NAME_MAX + 32];
	int64_t expires_s, renew_by_s;	/* renew_by_s: when this box, or people, ought to have signed it anew */
	enum maker by;
	enum role_state state;
	bool is_site;
	const char *fault;	/* of a site that is behind */
	unsigned place;		/* in the answer */
};
static const char *const by_names[] = {
	[BY_CEREMONY] = "ceremony", [BY_PUBLISHER] = "publisher", [BY_BOX] = "box", [BY_BUNDLE] = "bundle",
	[BY_CEREMONY_AND_BUNDLE] = "ceremony", [BY_OTHER_SITE] = "ceremony"};
static const char *const by_texts[] = {
	[BY_CEREMONY] = "by ceremony", [BY_PUBLISHER] = "by its publisher", [BY_BOX] = "by this box",
	[BY_BUNDLE] = "elsewhere", [BY_CEREMONY_AND_BUNDLE] = "by ceremony", [BY_OTHER_SITE] = "by ceremony"};
static const char *const remedies[] = {
	[BY_CEREMONY] = "hold a ceremony: meshanics ceremony rotate (root) or delegate (targets alone), then repo adopt",
	[BY_PUBLISHER] = "its publisher has to publish again: meshanics sign",
	[BY_BOX] = "meshanics repo refresh; serve does it by itself while it runs",
	[BY_BUNDLE] = "a bundle must bring it: meshanics bundle import",
	[BY_CEREMONY_AND_BUNDLE] =
		"hold a ceremony for this site, adopt its root where the bundles are made: a bundle must bring it",
	[BY_OTHER_SITE] = "hold a ceremony for it: meshanics ceremony rotate --like ROOT, then repo adopt here and a bundle",
};

struct status {
	struct judged *roles;	/* owned, the first to expire first */
	unsigned count;
	bool takes_bundles;
	int64_t now_s, within_s;
	enum role_state worst;
	unsigned expired, soon;
};

/*
 * What this box signs by itself is fine until its time has come and gone unsigned; what people have to sign must
 * be asked for in time.
 */
static enum role_state judge(const struct judged *j, int64_t now_s)
{
	if (j->expires_s <= now_s)
		return ROLE_EXPIRED;
	if (j->by == BY_BOX)
		return now_s >= j->renew_by_s + (j->expires_s - j->renew_by_s) / 2 ? ROLE_OVERDUE : ROLE_OK;
	return now_s >= j->renew_by_s ? ROLE_EXPIRING : ROLE_OK;
}

static void count_state(struct status *s, const struct judged *j)
{
	s->worst = j->state > s->worst ? j->state : s->worst;
	s->expired += j->state == ROLE_EXPIRED;
	s->soon += j->state == ROLE_EXPIRING || j->state == ROLE_OVERDUE;
}

/* Who makes the next one of what this box does not sign. */
static enum maker who_else(const struct status *s, const char *role)
{
	if (strcmp(role, "root") == 0)
		return s->takes_bundles ? BY_CEREMONY_AND_BUNDLE : BY_CEREMONY;
	if (s->takes_bundles)
		return BY_BUNDLE;
	return strcmp(role, "targets") == 0 ? BY_CEREMONY : BY_PUBLISHER;
}

static void add_role(struct status *s, struct json_value role)
{
	struct judged *j = &s->roles[s->count++];
	struct error ignored = ERROR_INIT;
	struct json_value due = json_get(role, "due");
	int64_t bins = json_int(json_get(role, "bins"));

	*j = (struct judged){.role = role, .expires_s = json_int(json_get(role, "expires_s"))};
	snprintf(j->name, sizeof(j->name), "%.*s", SLICE_ARG(json_string(json_get(role, "role"))));
	if (bins > 0)
		snprintf(j->name, sizeof(j->name), "%.*s, first of %lld", SLICE_ARG(json_string(json_get(role, "role"))),
			 (long long)bins);
	j->by = json_bool(json_get(role, "online")) ? BY_BOX : who_else(s, j->name);
	j->renew_by_s = j->expires_s - s->within_s;
	if (j->by == BY_BOX && (json_type(due) != JSON_STRING || time_parse(&j->renew_by_s, json_string(due), &ignored) < 0))
		j->renew_by_s = 0;
	j->state = judge(j, s->now_s);
	count_state(s, j);
}

/* What keeps a site from taking the next bundle; NULL: nothing. */
static const char *site_fault(struct json_value site)
{
	if (json_get(site, "fault").doc != NULL)
		return "the root kept of it is damaged: meshanics repo verify";
	if (!json_bool(json_get(site, "takes_bundles")))
		return "its root names no export key of this repository";
	if (!json_bool(json_get(site, "takes_targets")))
		return "the targets in force here do not verify under its root";
	return NULL;
}

static void add_site(struct status *s, struct json_value site)
{
	struct judged *j = &s->roles[s->count++];

	*j = (struct judged){.role = site,
			     .expires_s = json_int(json_get(site, "expires_s")),
			     .by = BY_OTHER_SITE,
			     .is_site = true,
			     .fault = site_fault(site)};
	snprintf(j->name, sizeof(j->name), "root of %.*s", SLICE_ARG(json_string(json_get(site, "site"))));
	j->renew_by_s = j->expires_s - s->within_s;
	j->state = judge(j, s->now_s);
	if (j->fault != NULL && (j->state != ROLE_EXPIRED || j->expires_s == 0))
		j->state = ROLE_BEHIND;
	if (j->state == ROLE_BEHIND)
		j->renew_by_s = s->now_s;
	count_state(s, j);
}

static int by_expiry(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	if (x->expires_s != y->expires_s)
		return x->expires_s < y->expires_s ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static void judge_all(struct status *s, struct json_value answer)
{
	struct json_value roles = json_get(answer, "roles"), sites = json_get(answer, "sites");
	struct json_iter it;
	unsigned i;

	s->takes_bundles = json_bool(json_get(answer, "takes_bundles"));
	s->roles = xcalloc(json_count(roles) + json_count(sites) + 1, sizeof(s->roles[0]));
	for (it = json_iter(roles); json_next(&it);)
		add_role(s, it.value);
	for (it = json_iter(sites); json_next(&it);)
		add_site(s, it.value);
	for (i = 0; i < s->count; i++)
		s->roles[i].place = i;
	if (s->count > 0)
		qsort(s->roles, s->count, sizeof(s->roles[0]), by_expiry);
}

/* The next role after `after` (NULL: the first) about which somebody has to do something; NULL: no more. */
static const struct judged *next_step(const struct status *s, const struct judged *after)
{
	const struct judged *j, *end = s->roles + s->count;

	for (j = after == NULL ? s->roles : after + 1; j < end; j++) {
		if (s->worst == ROLE_OK ? after == NULL && j->by != BY_BOX : j->state != ROLE_OK)
			return j;
	}
	return NULL;
}

/* ---- for people ---- */

static void add_row(struct table *t, const struct status *s, const struct judged *j)
{
	char version[24], expires[TIME_TEXT_LEN], renew[TIME_TEXT_LEN], left[32];
	const char *cells[] = {j->name, version, expires, left, by_texts[j->by], renew, state_names[j->state]};

	snprintf(version, sizeof(version), "%lld",
		 (long long)json_int(json_get(j->role, j->is_site ? "root_version" : "version")));
	time_text(expires, j->expires_s);
	time_text(renew, j->renew_by_s);
	duration_text(left, j->expires_s - s->now_s);
	/* Of a root that cannot be read nothing is known. */
	if (j->expires_s == 0) {
		snprintf(version, sizeof(version), "-");
		snprintf(expires, sizeof(expires), "-");
		snprintf(left, sizeof(left), "-");
	}
	table_row(t, cells);
}

static void print_text(struct cmd *cmd, const struct status *s, struct json_value answer)
{
	static const char *const columns[] = {"ROLE", "VERSION", "EXPIRES", "IN", "SIGNED", "RENEW BY", "STATE"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const struct judged *j;
	char by[TIME_TEXT_LEN];
	unsigned i;

	for (i = 0; i < s->count; i++)
		add_row(t, s, &s->roles[i]);
	cmd_printf(cmd, "site %.*s%s\n", SLICE_ARG(json_string(json_get(answer, "site"))),
		   s->takes_bundles ? ", which takes bundles" : "");
	table_print(cmd, t);
	if (json_bool(json_get(answer, "staged_keys")))
		cmd_printf(cmd, "new online keys wait for a root that names them\n");
	for (j = next_step(s, NULL); j != NULL; j = next_step(s, j)) {
		if (j->state == ROLE_BEHIND)
			cmd_printf(cmd, "      %s: %s\n", j->name, j->fault);
		if (j->renew_by_s > s->now_s)
			cmd_printf(cmd, "next  %s, by %.10s: %s\n", j->name, time_text(by, j->renew_by_s), remedies[j->by]);
		else
			cmd_printf(cmd, "next  %s, now: %s\n", j->name, remedies[j->by]);
	}
	table_free(t);
}

/* ---- for scripts ---- */

static void put_role(struct json_writer *w, const struct judged *j)
{
	struct json_iter it;
	char text[TIME_TEXT_LEN];

	json_open_object(w, NULL);
	for (it = json_iter(j->role); json_next(&it);)
		json_put_value_key(w, it.key, it.value);
	json_put_string(w, "signed_by", by_names[j->by]);
	json_put_string(w, "renew_by", time_text(text, j->renew_by_s));
	json_put_string(w, "state", state_names[j->state]);
	json_close(w);
}

static void put_next(struct json_writer *w, const struct status *s)
{
	const struct judged *j;
	char text[TIME_TEXT_LEN];

	json_open_array(w, "next");
	for (j = next_step(s, NULL); j != NULL; j = next_step(s, j)) {
		json_open_object(w, NULL);
		json_put_string(w, "role", j->name);
		json_put_string(w, "by", time_text(text, j->renew_by_s));
		json_put_string(w, "what", remedies[j->by]);
		json_close(w);
	}
	json_close(w);
}

static void put_judged(struct json_writer *w, const char *name, const struct status *s, bool sites)
{
	unsigned i;

	json_open_array(w, name);
	for (i = 0; i < s->count; i++) {
		if (s->roles[i].is_site == sites)
			put_role(w, &s->roles[i]);
	}
	json_close(w);
}

/* The server's answer, each role with what we make of it, and the verdict. */
static void print_json(struct cmd *cmd, const struct status *s, struct json_value answer)
{
	struct buf out = BUF_INIT(64u << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct json_iter it;

	json_open_object(&w, NULL);
	for (it = json_iter(answer); json_next(&it);) {
		if (slice_equal_str(it.key, "roles"))
			put_judged(&w, "roles", s, false);
		else if (slice_equal_str(it.key, "sites"))
			put_judged(&w, "sites", s, true);
		else
			json_put_value_key(&w, it.key, it.value);
	}
	json_put_int(&w, "within_s", s->within_s);
	json_put_string(&w, "verdict", json_bool(json_get(answer, "adopted")) ? state_names[s->worst] : "not_adopted");
	put_next(&w, s);
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static int verdict(const struct status *s, struct error *err)
{
	const struct judged *j = next_step(s, NULL);
	char left[32];

	if (s->worst == ROLE_OK)
		return 0;
	if (j->state == ROLE_BEHIND) {
		error_set(err, ERR_FAILED, "%s: %s", j->name, j->fault);
		return error_hint(err, "%s", remedies[j->by]);
	}
	duration_text(left, j->expires_s > s->now_s ? j->expires_s - s->now_s : s->now_s - j->expires_s);
	error_set(err, ERR_FAILED, "%u of the roles expired, %u soon: %s %s %s%s", s->expired, s->soon, j->name,
		  j->expires_s > s->now_s ? "expires in" : "expired", left, j->expires_s > s->now_s ? "" : " ago");
	return error_hint(err, "%s", remedies[j->by]);
}

static int repo_status_run(struct cmd *cmd, struct error *err)
{
	struct status s = {.now_s = clock_now_s(), .within_s = cmd_int(cmd, "within", WITHIN_S)};
	struct answer a = ANSWER_INIT;
	int r = -1;

	if (request(cmd, "GET", "/api/v1/repository", SLICE_EMPTY, &a, NULL, err) < 0)
		goto out;
	judge_all(&s, answer_root(&a));
	if (cmd_json(cmd))
		print_json(cmd, &s, answer_root(&a));
	if (!json_bool(json_get(answer_root(&a), "adopted"))) {
		error_set(err, ERR_FAILED, "the repository has no root yet");
		error_hint(err, "take online-keys.json to the ceremony, then: meshanics repo adopt root.json targets.json");
		goto out;
	}
	if (!cmd_json(cmd))
		print_text(cmd, &s, answer_root(&a));
	r = verdict(&s, err);
	if (r == 0)
		r = clock_can_judge(s.now_s, err);
out:
	free(s.roles);
	answer_release(&a);
	return r;
}

const struct command cmd_repo_status = {
	.name = "repo status",
	.usage = "",
	.summary = "say what expires when; fail when something soon does",
	.options = repo_status_options,
	.needs = NEEDS_HOME,
	.run = repo_status_run,
};
