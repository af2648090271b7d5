/* meshanics agent apply: bring a bundle to this device. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/json.h"
#include "base/name.h"
#include "commands/agent_apply.h"
#include "sys/file.h"

#define ANSWER_MAX (64u << 20)
#define POLL_FIRST_MS 50
#define POLL_MAX_MS 500

static const struct option options[] = {
	{ .name = "dry-run", .type = OPT_FLAG, .help = "verify the bundle and say what would be applied" },
	{ .name = "no-wait", .type = OPT_FLAG, .help = "do not wait until the agent is done with it" },
	{ .name = "media", .type = OPT_STRING, .value = "DIR",
	  .help = "take the newest bundle on the medium mounted at DIR, if device policy allows it" },
	{ .name = "label", .type = OPT_STRING, .value = "NAME",
	  .help = "the medium's label, where udev does not know it" },
	{ .name = "allow", .type = OPT_STRING, .value = "FILE", .config = "agent.allow",
	  .help = "device policy (default " AGENT_ALLOW_PATH ")" },
	{ .name = "worker-user", .type = OPT_STRING, .value = "USER", .config = "agent.worker_user",
	  .help = "whom the worker becomes when run by root (default meshanics-agent, else nobody)" },
	{ .name = NULL },
};

/* ---- watching ---- */

struct watching {
	struct cmd *cmd;
	struct agent_hand *hand;
	bool quiet;		/* nothing is told on the way */
	size_t steps;		/* told so far */
	bool told_bundle;
	struct buf text;	/* the last answer */
	struct json doc;	/* over it */
};

static const char *text_of(char *out, size_t size, struct json_value v, const char *name)
{
	return printable(out, size, json_string(json_get(v, name)));
}

static void tell_bundle(struct watching *w, struct json_value root)
{
	struct json_value b = json_get(root, "bundle"), list = json_get(root, "skipped");
	char site[128], created[64], path[512], why[512];
	struct json_iter it;

	if (w->told_bundle || json_type(b) != JSON_OBJECT)
		return;
	w->told_bundle = true;
	cmd_printf(w->cmd, "bundle %lld of site '%s', made %s\n", (long long)json_int(json_get(b, "sequence")),
		   text_of(site, sizeof(site), b, "site"), text_of(created, sizeof(created), b, "created"));
	for (it = json_iter(list); json_next(&it);)
		cmd_printf(w->cmd, "%s: left as it is: %s\n", text_of(path, sizeof(path), it.value, "artifact"),
			   text_of(why, sizeof(why), it.value, "why"));
}

static void tell_steps(struct watching *w, struct json_value root)
{
	struct json_iter it = json_iter(json_get(root, "steps"));
	char path[512], state[32], reason[2048];
	size_t n = 0;

	while (json_next(&it)) {
		if (n++ < w->steps)
			continue;
		cmd_progress_end(w->cmd);
		cmd_printf(w->cmd, "%s: %s: %s\n", text_of(path, sizeof(path), it.value, "artifact"),
			   text_of(state, sizeof(state), it.value, "state"),
			   text_of(reason, sizeof(reason), it.value, "reason"));
	}
	w->steps = n;
}

static void tell(struct watching *w, struct json_value root, struct slice stage)
{
	struct json_value p = json_get(root, "progress");
	uint64_t done = (uint64_t)json_int(json_get(p, "done")), total = (uint64_t)json_int(json_get(p, "total"));

	if (w->quiet || cmd_json(w->cmd))
		return;
	tell_bundle(w, root);
	tell_steps(w, root);
	if (total > 0 && done < total && !slice_equal_str(stage, "done"))
		cmd_progress(w->cmd, slice_equal_str(stage, "checking") ? "checking" : "copying", done, total);
}

static void watching_release(struct watching *w)
{
	cmd_progress_end(w->cmd);
	json_release(&w->doc);
	buf_release(&w->text);
}

static int look(struct watching *w, struct slice *stage, struct error *err)
{
	json_release(&w->doc);
	buf_clear(&w->text);
	if (agent_hand_poll(w->hand, &w->text, err) < 0 ||
	    json_parse(&w->doc, buf_slice(&w->text), JSON_STRICT, err) < 0 ||
	    json_need_string(json_root(&w->doc), "stage", stage, err) < 0)
		return -1;
	tell(w, json_root(&w->doc), *stage);
	return cmd_flush(w->cmd, err);
}

/* Until it is done, or (patient: false) known to hold. */
static int watch(struct watching *w, bool patient, struct error *err)
{
	unsigned pause_ms = POLL_FIRST_MS;
	struct slice stage;

	for (;;) {
		if (look(w, &stage, err) < 0)
			return -1;
		if (slice_equal_str(stage, "done") || (!patient && slice_equal_str(stage, "applying")))
			return 0;
		usleep(pause_ms * 1000);
		if (pause_ms < POLL_MAX_MS)
			pause_ms += POLL_FIRST_MS;
	}
}

/* What the agent found wrong with the bundle itself: -1 with it; 0: nothing. */
static int bundle_error(struct json_value root, struct error *err)
{
	struct json_value e = json_get(root, "error");
	struct slice hint = json_string(json_get(e, "hint"));
	int k;

	if (json_type(e) != JSON_OBJECT)
		return 0;
	error_set(err, ERR_FAILED, "%.*s", SLICE_ARG(json_string(json_get(e, "text"))));
	for (k = ERR_FAILED; k <= ERR_RETRY; k++)
		if (slice_equal_str(json_string(json_get(e, "kind")), error_kind_name((enum error_kind)k)))
			err->kind = (enum error_kind)k;
	if (hint.len > 0)
		error_hint(err, "%.*s", SLICE_ARG(hint));
	return -1;
}

/* All that were applied are healthy? -1 names the first that is not. */
static int judge_artifacts(struct json_value root, struct error *err)
{
	struct json_iter it = json_iter(json_get(root, "artifacts"));

	while (json_next(&it)) {
		struct slice state = json_string(json_get(it.value, "state"));

		if (slice_equal_str(state, "rolled_back") || slice_equal_str(state, "failed"))
			return error_set(err, ERR_FAILED, "'%.*s' %s: %.*s",
					 SLICE_ARG(json_string(json_get(it.value, "artifact"))),
					 slice_equal_str(state, "failed") ? "failed" : "was rolled back",
					 SLICE_ARG(json_string(json_get(it.value, "reason"))));
	}
	return 0;
}

static void tell_plan(struct cmd *cmd, struct json_value root, bool dry_run)
{
	struct json_value list = json_get(root, "artifacts");
	struct json_iter it;
	char path[512];

	if (json_count(list) == 0)
		cmd_printf(cmd, "nothing to apply\n");
	for (it = json_iter(list); dry_run && json_next(&it);)
		cmd_printf(cmd, "%s: would be applied: release %lld, %lld bytes\n",
			   text_of(path, sizeof(path), it.value, "artifact"),
			   (long long)json_int(json_get(it.value, "release")),
			   (long long)json_int(json_get(it.value, "bytes")));
}

int bundle_apply(struct cmd *cmd, const struct agent_hand_options *o, bool *held, char *created, struct error *err)
{
	struct watching w = {.cmd = cmd, .text = BUF_INIT(ANSWER_MAX), .quiet = o->look};
	struct json_value root;
	int r = -1;

	*held = false;
	if ((w.hand = agent_hand_open(o, err)) == NULL)
		return -1;
	if (watch(&w, !cmd_flag(cmd, "no-wait") || agent_hand_is_alone(w.hand), err) < 0)
		goto out;
	root = json_root(&w.doc);
	if (bundle_error(root, err) < 0)
		goto out;
	*held = true;
	if (created != NULL)
		text_of(created, CREATED_LEN, json_get(root, "bundle"), "created");
	if (!o->look && cmd_json(cmd))
		cmd_write_json(cmd, &w.text);
	else if (!o->look)
		tell_plan(cmd, root, o->dry_run);
	r = judge_artifacts(root, err);
out:
	watching_release(&w);
	agent_hand_close(w.hand);
	return r;
}

/* ---- bundles by name ---- */

/* Files first, then artifacts; what is no file that exists has to look like an artifact. */
static int sort_operands(struct cmd *cmd, struct agent_hand_options *o, const char **list, struct error *err)
{
	unsigned i, n = cmd_operand_count(cmd);
	struct error ignored = ERROR_INIT;

	o->paths = list;
	for (i = 0; i < n; i++) {
		const char *word = cmd_operand(cmd, i);
		bool file = file_exists(AT_FDCWD, word);

		list[i] = word;
		if (file && o->artifact_count > 0)
			return error_set(err, ERR_USAGE, "'%s': files come before artifacts", word);
		if (!file && target_path_check(slice_str(word), &ignored) < 0) {
			error_set(err, ERR_NOT_FOUND, "'%s' is neither a file nor NAMESPACE/NAME/VERSION", word);
			return error_hint(err, "name a bundle that was exported for devices");
		}
		if (file)
			o->path_count++;
		else
			o->artifact_count++;
	}
	o->artifacts = list + o->path_count;
	return 0;
}

static int agent_apply_command(struct cmd *cmd, struct error *err)
{
	struct agent_hand_options o = {
		.home = cmd_home(cmd),
		.worker_user = cmd_string(cmd, "worker-user", NULL),
		.dry_run = cmd_flag(cmd, "dry-run"),
	};
	const char *media = cmd_string(cmd, "media", NULL);
	const char **list = xcalloc(cmd_operand_count(cmd) + 1, sizeof(*list));
	bool held;
	int r = -1;

	if (sort_operands(cmd, &o, list, err) < 0)
		goto out;
	if (media != NULL)
		r = bundle_apply_media(cmd, &o, media, err);
	else if (cmd_has(cmd, "label"))
		error_set(err, ERR_USAGE, "--label is of a medium: give --media");
	else if (o.path_count == 0)
		error_set(err, ERR_USAGE, "no bundle is named");
	else
		r = bundle_apply(cmd, &o, &held, NULL, err);
out:
	free(list);
	return r;
}

const struct command cmd_agent_apply = {
	.name = "agent apply",
	.usage = "BUNDLE... [ARTIFACT...] | [ARTIFACT...]",
	.summary = "apply a bundle that was brought to this device",
	.options = options,
	.needs = NEEDS_HOME | NEEDS_CONFIG,
	.operands_max = 1024,
	.run = agent_apply_command,
};
