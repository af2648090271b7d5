/* `repo status`: what expires when, with an exit status for monitoring. */
#include "base/timefmt.h"
#include "commands/request.h"
#include "sys/clock.h"

#define WITHIN_S (INT64_C(7) * 24 * 3600)

static const struct option repo_status_options[] = {
	{ .name = "within", .type = OPT_DURATION, .value = "TIME", .min = 0, .max = INT64_C(20) * 365 * 24 * 3600,
	  .help = "fail when a ceremony's or a publisher's file expires within TIME; 7d when not given" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

struct verdict {
	unsigned expired, expiring;
	char first[320];	/* which role, and when */
};

/*
 * What this box signs by itself is fine until its time has come and gone unsigned; what people have to sign must
 * be asked for in time.
 */
static const char *judge(struct verdict *v, struct json_value role, int64_t now_s, int64_t within_s)
{
	int64_t expires = json_int(json_get(role, "expires_s"));
	bool online = json_bool(json_get(role, "online"));
	int64_t due = 0;
	struct error ignored = ERROR_INIT;
	char left[32];

	if (json_type(json_get(role, "due")) == JSON_STRING &&
	    time_parse(&due, json_string(json_get(role, "due")), &ignored) < 0)
		due = 0;
	if (expires > now_s && (online ? due > now_s - (expires - due) / 2 : expires > now_s + within_s))
		return "ok";
	if (v->expired + v->expiring == 0) {
		duration_text(left, expires > now_s ? expires - now_s : now_s - expires);
		snprintf(v->first, sizeof(v->first), "%.*s %s %s%s", SLICE_ARG(json_string(json_get(role, "role"))),
			 expires > now_s ? "expires in" : "expired", left, expires > now_s ? "" : " ago");
	}
	if (expires <= now_s) {
		v->expired++;
		return "expired";
	}
	v->expiring++;
	return online ? "overdue" : "expiring";
}

static void add_row(struct table *t, struct verdict *v, struct json_value role, int64_t now_s, int64_t within_s)
{
	char name[300], version[24], expires[TIME_TEXT_LEN], left[32];
	const char *cells[] = {name, version, expires, left, "by ceremony", judge(v, role, now_s, within_s)};
	int64_t expires_s = json_int(json_get(role, "expires_s")), bins = json_int(json_get(role, "bins"));

	snprintf(name, sizeof(name), "%.*s", SLICE_ARG(json_string(json_get(role, "role"))));
	if (bins > 0)
		snprintf(name, sizeof(name), "%.*s, first of %lld", SLICE_ARG(json_string(json_get(role, "role"))),
			 (long long)bins);
	snprintf(version, sizeof(version), "%lld", (long long)json_int(json_get(role, "version")));
	time_text(expires, expires_s);
	duration_text(left, expires_s - now_s);
	if (json_bool(json_get(role, "online")))
		cells[4] = "by this box";
	else if (strcmp(name, "root") != 0 && strcmp(name, "targets") != 0)
		cells[4] = "by its publisher";
	table_row(t, cells);
}

static void judge_all(struct cmd *cmd, const struct answer *a, struct verdict *v)
{
	static const char *const columns[] = {"ROLE", "VERSION", "EXPIRES", "IN", "SIGNED", "STATE"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	int64_t now_s = clock_now_s(), within_s = cmd_int(cmd, "within", WITHIN_S);
	struct json_iter it;

	for (it = json_iter(json_get(answer_root(a), "roles")); json_next(&it);)
		add_row(t, v, it.value, now_s, within_s);
	if (!cmd_json(cmd)) {
		cmd_printf(cmd, "site %.*s\n", SLICE_ARG(json_string(json_get(answer_root(a), "site"))));
		table_print(cmd, t);
		if (json_bool(json_get(answer_root(a), "staged_keys")))
			cmd_printf(cmd, "new online keys wait for a root that names them\n");
	}
	table_free(t);
}

static int repo_status_run(struct cmd *cmd, struct error *err)
{
	struct answer a = ANSWER_INIT;
	struct verdict v = {.expired = 0};
	int r = -1;

	if (request(cmd, "GET", "/api/v1/repository", SLICE_EMPTY, &a, NULL, err) < 0)
		goto out;
	if (cmd_json(cmd))
		cmd_write_json(cmd, &a.text);
	if (!json_bool(json_get(answer_root(&a), "adopted"))) {
		error_set(err, ERR_FAILED, "the repository has no root yet");
		error_hint(err, "take online-keys.json to the ceremony, then: meshanics repo adopt root.json targets.json");
		goto out;
	}
	judge_all(cmd, &a, &v);
	if (v.expired + v.expiring == 0)
		r = 0;
	else
		error_set(err, ERR_FAILED, "%u of the roles expired, %u soon: %s", v.expired, v.expiring, v.first);
out:
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
