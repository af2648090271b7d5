/* agent/control.sock: POST /apply takes a bundle in, GET /apply tells what became of it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/local_internal.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "control/api.h"
#include "sys/rng.h"

/* ---- taking in ---- */

/* A file that stays and can be read from its beginning again, by somebody who must not write it. */
static int check_file(int fd, const char *name, struct error *err)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		error_set(err, ERR_REFUSED, "'%s' is not a file", name);
		return error_hint(err, "a bundle comes as a file, or as volumes; save what comes by a pipe first");
	}
	return (flags & O_ACCMODE) == O_RDONLY ? 0 : error_set(err, ERR_REFUSED, "'%s' is open for writing", name);
}

static int take_files(struct exchange *x, struct local *l, struct json_value names, struct error *err)
{
	struct json_iter it = json_iter(names);
	unsigned i;

	while (json_next(&it)) {
		i = l->volume_count;
		if (json_type(it.value) != JSON_STRING || i == UNPACK_VOLUMES_MAX || x->fds[i] < 0)
			return error_set(err, ERR_MALFORMED, "each of 'files' has a descriptor, %d at most",
					 UNPACK_VOLUMES_MAX);
		printable(l->volumes[i].name, UNPACK_NAME_MAX, json_string(it.value));
		l->volumes[i].fd = x->fds[i];
		x->fds[i] = -1;
		l->volume_count++;
		if (check_file(l->volumes[i].fd, l->volumes[i].name, err) < 0)
			return -1;
	}
	return l->volume_count > 0 ? 0 : error_set(err, ERR_MALFORMED, "no file of a bundle came along");
}

static int take_names(struct local *l, struct json_value names, struct error *err)
{
	struct json_iter it = json_iter(names);

	l->named = BUF_INIT(UNPACK_PLAN_MAX * (TARGET_PATH_MAX + 1));
	while (json_next(&it)) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "'artifacts' is a list of NAMESPACE/NAME/VERSION");
		if (target_path_check(json_string(it.value), err) < 0)
			return -1;
		buf_put_slice(&l->named, json_string(it.value));
		buf_put_u8(&l->named, '\n');
	}
	return l->named.failed ? error_set(err, ERR_LIMIT, "more than %d artifacts at once", UNPACK_PLAN_MAX) : 0;
}

static int take_request(struct exchange *x, struct local *l, struct error *err)
{
	static const char *const known[] = {"files", "artifacts", "dry_run", "look", NULL};
	struct json_value files, artifacts = {.doc = NULL};
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, x->body, JSON_STRICT, err) == 0 && json_only(json_root(&doc), known, err) == 0 &&
	    json_need_array(json_root(&doc), "files", &files, err) == 0 &&
	    json_opt_array(json_root(&doc), "artifacts", &artifacts, err) == 0 &&
	    json_opt_bool(json_root(&doc), "dry_run", &l->dry_run, err) == 0 &&
	    json_opt_bool(json_root(&doc), "look", &l->look, err) == 0 && take_files(x, l, files, err) == 0 &&
	    take_names(l, artifacts, err) == 0)
		r = 0;
	json_release(&doc);
	return r;
}

/* One after the other; whoever is sent away may come again. */
static int check_free(const struct agent *a, struct error *err)
{
	if (local_busy(a))
		return error_set(err, ERR_RETRY, "another bundle is being applied");
	if (a->update.assignment != 0 && (update_is_local(&a->update) || a->update.state != UPDATE_DOWNLOADING)) {
		error_set(err, ERR_RETRY, "an update is under way: '%s' is %s", a->update.path,
			  update_state_name(a->update.state));
		return error_hint(err, "see 'meshanics agent status'");
	}
	return 0;
}

static int begin(struct agent *a, struct exchange *x, struct error *err)
{
	struct local *l, *before = a->local;
	uint32_t number;
	unsigned i;

	if (check_free(a, err) < 0)
		return -1;
	l = xcalloc(1, sizeof(*l));
	for (i = 0; i < UNPACK_VOLUMES_MAX; i++)
		l->volumes[i].fd = -1;
	l->manifest = MANIFEST_INIT;
	a->local = l;
	if (take_request(x, l, err) < 0) {
		local_free(a);
		a->local = before;
		return -1;
	}
	a->local = before;
	local_free(a);
	a->local = l;
	/* By chance: who asks after a restart must not take another's for his own. */
	rng_bytes(&number, sizeof(number));
	l->id = (int64_t)number + 1;
	log_info("agent.bundle", "file=\"%s\" files=%u dry_run=%s", l->volumes[0].name, l->volume_count,
		 l->dry_run ? "true" : "false");
	/* What is asked of a network may take as long as one that is not there. */
	if (a->transfer.asked_ms != 0)
		worker_replace(a);
	loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop));
	return 0;
}

/* ---- telling ---- */

static const char *const stages[] = {"opening", "checking", "applying", "done"};

static void put_bundle(struct json_writer *w, const struct local *l)
{
	char text[TIME_TEXT_LEN];

	if (!l->verified) {
		json_put_null(w, "bundle");
		return;
	}
	json_open_object(w, "bundle");
	json_put_hex(w, "sha256", l->manifest.id, SHA256_LEN);
	json_put_string(w, "site", l->manifest.site);
	json_put_int(w, "sequence", l->manifest.sequence);
	json_put_string(w, "created", time_text(text, l->manifest.created_s));
	json_put_string(w, "valid_until", time_text(text, l->manifest.valid_until_s));
	json_close(w);
}

static void put_item(struct json_writer *w, const struct local_item *i)
{
	json_open_object(w, NULL);
	json_put_string(w, "artifact", i->update.path);
	json_put_int(w, "release", i->release);
	json_put_int(w, "bytes", (int64_t)i->update.length);
	json_put_string(w, "state", update_state_name(i->state));
	json_put_string(w, "reason", i->reason);
	json_close(w);
}

static void put_error(struct json_writer *w, const struct error *e)
{
	if (e->kind == ERR_NONE) {
		json_put_null(w, "error");
		return;
	}
	json_open_object(w, "error");
	json_put_string(w, "kind", error_kind_name(e->kind));
	json_put_string(w, "text", e->text);
	json_put_string(w, "hint", e->hint);
	json_close(w);
}

/* Steps so far, all of them, in order: who asks again passes over what he has seen. */
static void put_events(struct json_writer *w, const struct local *l)
{
	unsigned i;

	json_open_array(w, "steps");
	for (i = 0; i < l->event_count; i++) {
		const struct local_event *e = &l->events[i];

		json_open_object(w, NULL);
		json_put_string(w, "artifact", l->items[e->item].update.path);
		json_put_string(w, "state", update_state_name(e->state));
		json_put_string(w, "reason", e->reason);
		json_close(w);
	}
	json_close(w);
}

static void put(struct json_writer *w, const struct agent *a, const struct local *l)
{
	unsigned i;

	json_open_object(w, NULL);
	json_put_int(w, "apply", l->id);
	json_put_string(w, "stage", stages[l->stage]);
	json_put_bool(w, "dry_run", l->dry_run);
	put_bundle(w, l);
	json_open_array(w, "artifacts");
	for (i = 0; i < l->item_count; i++)
		put_item(w, &l->items[i]);
	json_close(w);
	json_open_array(w, "skipped");
	for (i = 0; i < l->skip_count; i++) {
		json_open_object(w, NULL);
		json_put_string(w, "artifact", l->skips[i].path);
		json_put_string(w, "why", l->skips[i].why);
		json_close(w);
	}
	json_close(w);
	put_events(w, l);
	json_open_object(w, "progress");
	json_put_int(w, "done", (int64_t)(l->stage == LOCAL_APPLYING ? a->downloaded : l->checked));
	json_put_int(w, "total", (int64_t)(l->stage == LOCAL_APPLYING ? a->update.length : l->check_bytes));
	json_close(w);
	put_error(w, &l->error);
	json_close(w);
}

/* ---- the door ---- */

static void answer(struct exchange *x, const struct error *why)
{
	struct agent *a = x->arg;
	struct reply r = REPLY_INIT(200);
	struct json_writer w = JSON_WRITER(&r.body);
	struct error none;

	r.content_type = "application/json";
	if (why == NULL && a->local == NULL) {
		none = ERROR_INIT;
		error_set(&none, ERR_NOT_FOUND, "no bundle has been applied since the agent started");
		why = &none;
	}
	if (why != NULL) {
		r.status = (int)api_status_of(why->kind);
		api_put_error(&r.body, why);
	} else {
		put(&w, a, a->local);
	}
	exchange_reply(x, &r);
}

void local_begin(struct exchange *x)
{
	if (slice_equal_str(x->head.method, "POST"))
		exchange_take_body(x, LOCAL_BODY_MAX);
	else
		answer(x, NULL);
}

void local_ready(struct exchange *x)
{
	struct error err = ERROR_INIT;

	answer(x, begin(x->arg, x, &err) < 0 ? &err : NULL);
}
