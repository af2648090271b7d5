/* meshanics enroll sign: answer the requests that devices have written to a stick. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bundle/enrolment.h"
#include "commands/enrolments.h"

#define BODY_MAX (64u << 10)
#define ANSWER_TEXT_MAX (ENROLMENT_ANSWER_MAX + 1)

static const struct option options[] = {
	{ .name = "media", .type = OPT_STRING, .value = "DIR", .required = true,
	  .help = "the stick mounted at DIR; or one file NAME.request" },
	{ .name = "root", .type = OPT_STRING, .value = "FILE", .required = true,
	  .help = "newest root metadata of the site, which devices will keep as their anchor" },
	{ .name = "request", .type = OPT_STRING, .value = "NAME", .help = "this one of several on the stick" },
	{ .name = "all", .type = OPT_FLAG, .help = "every request on the stick that has no answer yet" },
	{ .name = "device", .type = OPT_STRING, .value = "NAME",
	  .help = "the name to give; revokes the former certificates of that name" },
	{ .name = "name-prefix", .type = OPT_STRING, .value = "NAME", .help = "names become NAME-0001 and so on" },
	{ .name = "tag", .type = OPT_LIST, .value = "TAG", .help = "give this tag to new devices" },
	ENROLMENT_HOST_OPTION,
	{ .name = "dry-run", .type = OPT_FLAG, .help = "show what would be answered, and answer nothing" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* One request, and what has become of it. */
struct item {
	char name[MEDIA_NAME_MAX + 1];	/* without ".request" */
	struct buf text;
	bool renew, answered;		/* there is an answer to exactly this request */
	struct error why;		/* it was not answered */
};

struct signing {
	struct cmd *cmd;
	struct enrolments to;
	char dir[4096];			/* of one file */
	struct item *items;		/* owned */
	unsigned count;
	struct door *door;
	struct buf json;
	struct json_writer w;
	unsigned failed;
};

/* ---- which ---- */

/* Is the answer beside it one to this request, and still readable? What is not is written anew. */
static bool has_answer(const struct media *m, const char *name, const struct enrolment_request *q)
{
	struct enrolment_answer a = ENROLMENT_ANSWER_INIT;
	struct buf text = BUF_INIT(ENROLMENT_ANSWER_MAX);
	struct error ignored = ERROR_INIT;
	char file[MEDIA_NAME_MAX + 1];
	bool has;

	snprintf(file, sizeof(file), "%.*s.answer", ENROLMENT_FILE_MAX, name);
	has = media_read(m, MEDIA_ENROLL, file, &text, &ignored) == 0 &&
	      enrolment_answer_parse(&a, buf_slice(&text), &ignored) == 0 &&
	      enrolment_answer_check(&a, q, &ignored) == 0;
	enrolment_answer_release(&a);
	buf_release(&text);
	return has;
}

/* A request that cannot be read is reported as every other that is refused. */
static void look_at(struct item *i, const struct media *m)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;

	if (enrolment_request_parse(&q, buf_slice(&i->text), &i->why) == 0) {
		i->renew = q.renew;
		i->answered = m != NULL && has_answer(m, i->name, &q);
	}
	enrolment_request_release(&q);
}

static struct item *add_item(struct signing *s, struct slice name)
{
	struct item *i;

	s->items = xreallocarray(s->items, s->count + 1, sizeof(*s->items));
	i = &s->items[s->count++];
	*i = (struct item){.text = BUF_INIT(ENROLMENT_REQUEST_MAX)};
	snprintf(i->name, sizeof(i->name), "%.*s", name.len > MEDIA_NAME_MAX ? MEDIA_NAME_MAX : (int)name.len,
		 (const char *)name.ptr);
	return i;
}

static int check_choice(struct signing *s, struct error *err)
{
	const char *one = cmd_string(s->cmd, "request", NULL);
	struct buf names = BUF_INIT(256);
	unsigned i;

	if (s->count == 1 || (s->count > 0 && cmd_flag(s->cmd, "all")))
		return 0;
	if (s->count == 0 && one != NULL)
		return error_set(err, ERR_NOT_FOUND, "no request '%s' is on the stick", one);
	if (s->count == 0)
		return error_set(err, ERR_NOT_FOUND, "no request is on the stick");
	for (i = 0; i < s->count && i < 4; i++)
		buf_printf(&names, "%s'%.32s'%s", i > 0 ? ", " : "", s->items[i].name,
			   s->items[i].answered ? " (answered)" : "");
	error_set(err, ERR_USAGE, "the stick holds %u requests: %s%s", s->count, buf_cstr(&names), s->count > 4 ? "..." : "");
	buf_release(&names);
	return error_hint(err, "choose one with --request NAME, or answer all that have no answer yet with --all");
}

/* Those on the stick that the options choose. */
static int read_stick(struct signing *s, struct error *err)
{
	const struct slice ending = SLICE_LIT(".request");
	const char *one = cmd_string(s->cmd, "request", NULL);
	struct media *m = s->to.media;
	struct media_list l;
	unsigned i;

	if (media_list(m, MEDIA_ENROLL, &l, err) < 0)
		return -1;
	for (i = 0; i < l.count; i++) {
		struct slice file = slice_str(l.files[i].name), name;
		struct item *it;

		if (!slice_ends(file, ending))
			continue;
		name = slice_sub(file, 0, file.len - ending.len);
		if (one != NULL && !slice_equal_str(name, one))
			continue;
		it = add_item(s, name);
		if (media_read(m, MEDIA_ENROLL, l.files[i].name, &it->text, &it->why) == 0)
			look_at(it, m);
	}
	media_list_release(&l);
	return check_choice(s, err);
}

/* A file that somebody has copied: its answer goes beside it. */
static int read_file(struct signing *s, const char *path, struct error *err)
{
	const struct slice ending = SLICE_LIT(".request");
	const char *slash = strrchr(path, '/');
	struct slice base = slice_str(slash == NULL ? path : slash + 1);
	struct item *it;

	if (cmd_flag(s->cmd, "all") || cmd_has(s->cmd, "request"))
		return error_set(err, ERR_USAGE, "--all and --request choose from a stick, and '%s' is a file", path);
	if (!slice_ends(base, ending) || media_name_check(base, err) < 0) {
		error_set(err, ERR_USAGE, "'%s' is no NAME.request", path);
		return error_hint(err, "give the directory at which the stick is mounted, or one request");
	}
	snprintf(s->dir, sizeof(s->dir), "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1, slash == NULL ? "." : path);
	s->to.dir = s->dir;
	s->to.mode = 0644;
	it = add_item(s, slice_sub(base, 0, base.len - ending.len));
	if (file_read(AT_FDCWD, path, &it->text, err) < 0)
		return -1;
	look_at(it, NULL);
	return 0;
}

static int read_requests(struct signing *s, struct error *err)
{
	const char *path = cmd_string(s->cmd, "media", NULL);
	struct stat st;

	if (cmd_flag(s->cmd, "all") && (cmd_has(s->cmd, "device") || cmd_has(s->cmd, "request")))
		return error_set(err, ERR_USAGE, "--all and --%s exclude each other",
				 cmd_has(s->cmd, "device") ? "device" : "request");
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		return read_file(s, path, err);
	s->to.media = media_open(path, !cmd_flag(s->cmd, "dry-run"), err);
	return s->to.media == NULL ? -1 : read_stick(s, err);
}

/* ---- what ---- */

static int ask(struct signing *s, const struct item *i, const char *path, struct answer *a, struct error *err)
{
	struct buf body = BUF_INIT(BODY_MAX);
	int r = enrolments_body(s->cmd, &body, buf_slice(&i->text), cmd_string(s->cmd, "device", NULL),
				cmd_string(s->cmd, "name-prefix", NULL), false, err);

	if (r == 0)
		r = request_through(s->door, "POST", path, buf_slice(&body), a, err);
	buf_release(&body);
	return r;
}

static const char *plan_words(struct json_value plan, bool renew, char out[static 96])
{
	int64_t revokes = 0;

	if (json_type(json_get(plan, "revokes")) == JSON_INT)
		revokes = json_int(json_get(plan, "revokes"));
	if (json_type(json_get(plan, "again")) == JSON_BOOL && json_bool(json_get(plan, "again")))
		snprintf(out, 96, "the same certificate again");
	else if (renew)
		snprintf(out, 96, "renews its certificate");
	else if (revokes > 0)
		snprintf(out, 96, "takes the name over: %lld certificate%s will be revoked", (long long)revokes,
			 revokes == 1 ? "" : "s");
	else
		snprintf(out, 96, "new");
	return out;
}

static void fail(struct signing *s, struct item *i, const struct error *why)
{
	i->why = *why;
	s->failed++;
}

static void show_plan(struct signing *s, struct item *i, struct json_value plan)
{
	char device[80], key[80], words[96];

	identity_text(plan, "device", device, sizeof(device));
	identity_text(plan, "key", key, sizeof(key));
	cmd_note(s->cmd, "%s: device '%s', %s", i->name, device, plan_words(plan, i->renew, words));
	cmd_note(s->cmd, "    key %s", key);
	if (cmd_json(s->cmd) && cmd_flag(s->cmd, "dry-run")) {
		json_open_object(&s->w, NULL);
		json_put_string(&s->w, "request", i->name);
		json_put_value(&s->w, "plan", plan);
		json_close(&s->w);
	}
}

/* What each would get; one that is refused does not hold up the others. */
static int preview(struct signing *s, struct error *err)
{
	unsigned i, todo = 0;

	for (i = 0; i < s->count; i++) {
		struct item *it = &s->items[i];
		struct answer a = ANSWER_INIT;
		struct error why = ERROR_INIT;

		if (it->why.kind != ERR_NONE) {
			s->failed++;
		} else if (it->answered && cmd_flag(s->cmd, "all")) {
			cmd_note(s->cmd, "%s: answered already", it->name);
		} else if (ask(s, it, "/api/v1/enroll/preview", &a, &why) < 0) {
			fail(s, it, &why);
		} else {
			todo++;
			show_plan(s, it, answer_root(&a));
		}
		answer_release(&a);
		if (why.kind == ERR_RETRY || (it->why.kind != ERR_NONE && s->count == 1)) {
			*err = it->why;
			return error_wrap(err, "'%s'", it->name);
		}
		if (it->why.kind != ERR_NONE)
			cmd_warn(s->cmd, "%s: %s", it->name, it->why.text);
	}
	return (int)todo;
}

/* ---- doing it ---- */

static int answer_one(struct signing *s, struct item *i, struct error *err)
{
	char file[MEDIA_NAME_MAX + 16], device[80], until[32];
	struct answer a = ANSWER_INIT;
	struct json_iter it;
	struct slice text;
	int r = -1;

	snprintf(file, sizeof(file), "%s.answer", i->name);
	if (ask(s, i, "/api/v1/enroll/sign", &a, err) < 0 ||
	    json_need_string(answer_root(&a), "answer", &text, err) < 0 || enrolments_write(&s->to, file, text, err) < 0)
		goto out;
	json_open_object(&s->w, NULL);
	json_put_string(&s->w, "request", i->name);
	for (it = json_iter(answer_root(&a)); json_next(&it);)
		if (!slice_equal_str(it.key, "answer"))
			json_put_value_key(&s->w, it.key, it.value);
	json_close(&s->w);
	if (!cmd_json(s->cmd))
		cmd_printf(s->cmd, "%s: device '%s' until %s\n", file,
			   identity_text(answer_root(&a), "device", device, sizeof(device)),
			   identity_text(answer_root(&a), "not_after", until, sizeof(until)));
	r = 0;
out:
	answer_release(&a);
	return r;
}

static int answer_all(struct signing *s, struct error *err)
{
	unsigned i;

	for (i = 0; i < s->count; i++) {
		struct item *it = &s->items[i];
		struct error why = ERROR_INIT;

		if (it->why.kind != ERR_NONE || (it->answered && cmd_flag(s->cmd, "all")))
			continue;
		if (answer_one(s, it, &why) == 0)
			continue;
		if (s->count == 1 || why.kind == ERR_RETRY || why.sys_errno != 0) {
			*err = why;
			return error_wrap(err, "'%s'", it->name);
		}
		fail(s, it, &why);
		cmd_warn(s->cmd, "%s: %s", it->name, why.text);
	}
	return 0;
}

static int check_failed(const struct signing *s, struct error *err)
{
	unsigned i;

	for (i = 0; s->failed > 0 && i < s->count; i++) {
		if (s->items[i].why.kind == ERR_NONE)
			continue;
		error_set(err, s->items[i].why.kind, "%u of %u requests %s not answered", s->failed, s->count,
			  s->failed == 1 ? "was" : "were");
		return error_hint(err, "%s", s->items[i].why.hint);
	}
	return 0;
}

static int run(struct signing *s, struct error *err)
{
	char question[96];
	int todo;

	if (read_requests(s, err) < 0 || enrolments_open(&s->to, err) < 0 || (s->door = request_door(s->cmd, err)) == NULL)
		return -1;
	json_open_object(&s->w, NULL);
	json_open_array(&s->w, "requests");
	if ((todo = preview(s, err)) < 0)
		return -1;
	snprintf(question, sizeof(question), "Answer %d request%s?", todo, todo == 1 ? "" : "s");
	if (todo > 0 && !cmd_flag(s->cmd, "dry-run")) {
		if (cmd_flag(s->cmd, "all") && cmd_confirm(s->cmd, question, err) < 0)
			return -1;
		if (answer_all(s, err) < 0)
			return -1;
	}
	json_close(&s->w);
	json_close(&s->w);
	if (cmd_json(s->cmd))
		cmd_write_json(s->cmd, &s->json);
	return check_failed(s, err);
}

static int enroll_sign_command(struct cmd *cmd, struct error *err)
{
	struct signing s = {.cmd = cmd, .to = ENROLMENTS_INIT, .json = BUF_INIT(64u << 20)};
	unsigned i;
	int r;

	s.w = JSON_WRITER(&s.json);
	r = run(&s, err);
	door_close(s.door);
	enrolments_close(&s.to);
	for (i = 0; i < s.count; i++)
		buf_release(&s.items[i].text);
	free(s.items);
	buf_release(&s.json);
	return r;
}

const struct command cmd_enroll_sign = {
	.name = "enroll sign",
	.usage = "",
	.summary = "answer what devices ask by a stick",
	.options = options,
	.needs = NEEDS_HOME,
	.run = enroll_sign_command,
};
