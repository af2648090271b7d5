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

enum role_state { ROLE_OK, ROLE_EXPIRING, ROLE_OVERDUE, ROLE_EXPIRED, ROLE_STATES };
static const char *const state_names[ROLE_STATES] = {"ok", "expiring", "overdue", "expired"};

/* A role with what follows from its dates. */
struct judged {
	struct json_value role;		/* of the answer */
	char name[TUF_ROLE_NAME_MAX + 32];
	int64_t expires_s, renew_by_s;	/* renew_by_s: when this box, or people, ought to have signed it anew */
	enum { BY_CEREMONY, BY_PUBLISHER, BY_BOX } by;
	enum role_state state;
};
static const char *const by_names[] = {
	[BY_CEREMONY] = "ceremony", [BY_PUBLISHER] = "publisher", [BY_BOX] = "box"};
static const char *const by_texts[] = {
	[BY_CEREMONY] = "by ceremony", [BY_PUBLISHER] = "by its publisher", [BY_BOX] = "by this box"};
static const char *const remedies[] = {
	[BY_CEREMONY] = "hold a ceremony: meshanics ceremony rotate (root) or delegate (targets alone), then repo adopt",
	[BY_PUBLISHER] = "its publisher has to publish again: meshanics sign",
	[BY_BOX] = "meshanics repo refresh; serve does it by itself while it runs",
};

struct status {
	struct judged *roles;	/* owned, the first to expire first */
	unsigned count;
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
	if (json_bool(json_get(role, "online")))
		j->by = BY_BOX;
	else if (strcmp(j->name, "root") != 0 && strcmp(j->name, "targets") != 0)
		j->by = BY_PUBLISHER;
	j->renew_by_s = j->expires_s - s->within_s;
	if (j->by == BY_BOX && (json_type(due) != JSON_STRING || time_parse(&j->renew_by_s, json_string(due), &ignored) < 0))
		j->renew_by_s = 0;
	j->state = judge(j, s->now_s);
	s->worst = j->state > s->worst ? j->state : s->worst;
	s->expired += j->state == ROLE_EXPIRED;
	s->soon += j->state == ROLE_EXPIRING || j->state == ROLE_OVERDUE;
}

static void judge_all(struct status *s, struct json_value roles)
{
	struct json_iter it;

	s->roles = xcalloc(json_count(roles) + 1, sizeof(s->roles[0]));
	for (it = json_iter(roles); json_next(&it);)
		add_role(s, it.value);
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

	snprintf(version, sizeof(version), "%lld", (long long)json_int(json_get(j->role, "version")));
	time_text(expires, j->expires_s);
	time_text(renew, j->renew_by_s);
	duration_text(left, j->expires_s - s->now_s);
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
	cmd_printf(cmd, "site %.*s\n", SLICE_ARG(json_string(json_get(answer, "site"))));
	table_print(cmd, t);
	if (json_bool(json_get(answer, "staged_keys")))
		cmd_printf(cmd, "new online keys wait for a root that names them\n");
	for (j = next_step(s, NULL); j != NULL; j = next_step(s, j)) {
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

/* The server's answer, each role with what we make of it, and the verdict. */
static void print_json(struct cmd *cmd, const struct status *s, struct json_value answer)
{
	struct buf out = BUF_INIT(64u << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct json_iter it;
	unsigned i;

	json_open_object(&w, NULL);
	for (it = json_iter(answer); json_next(&it);) {
		if (!slice_equal_str(it.key, "roles")) {
			json_put_value_key(&w, it.key, it.value);
			continue;
		}
		json_open_array(&w, "roles");
		for (i = 0; i < s->count; i++)
			put_role(&w, &s->roles[i]);
		json_close(&w);
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
	judge_all(&s, json_get(answer_root(&a), "roles"));
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
