/* `ceremony status`: who has signed a request and who is missing; without one, the transcript of this machine. */
#include <stdlib.h>

#include "base/timefmt.h"
#include "commands/ceremony.h"
#include "sys/clock.h"

/* ---- the transcript ---- */

static void print_line(struct cmd *cmd, struct json_value line)
{
	struct slice time = json_string(json_get(line, "time")), step = json_string(json_get(line, "step")),
		     request = json_string(json_get(line, "request")), detail = json_string(json_get(line, "detail"));

	cmd_printf(cmd, "%.*s  %-8.*s  %.16s  %.*s\n", SLICE_ARG(time), SLICE_ARG(step),
		   request.len < 16 ? "" : (const char *)request.ptr, SLICE_ARG(detail));
}

static int print_transcript(struct cmd *cmd, struct slice text, struct error *err)
{
	size_t at = 0;

	while (at < text.len) {
		size_t end = slice_find(text, '\n', at);
		struct json doc = JSON_INIT;
		int r = json_parse(&doc, slice_sub(text, at, end - at), JSON_STRICT, err);

		if (r == 0)
			print_line(cmd, json_root(&doc));
		json_release(&doc);
		if (r < 0)
			return -1;
		at = end + 1;
	}
	return 0;
}

static int transcript_status(struct cmd *cmd, struct error *err)
{
	struct buf text = BUF_INIT(TRANSCRIPT_SIZE_MAX);
	char head[TRANSCRIPT_HEAD_LEN];
	int r = transcript_read(cmd_home(cmd), &text, head, err);

	if (r == 0 && cmd_json(cmd))
		cmd_write(cmd, buf_slice(&text));
	else if (r == 0)
		r = print_transcript(cmd, buf_slice(&text), err);
	if (r == 0 && !cmd_json(cmd))
		cmd_printf(cmd, "head %s\n", head);
	buf_release(&text);
	return r;
}

/* ---- one request ---- */

struct answers {
	struct json_writer *w;	/* NULL: for people */
	unsigned refused;
};

/* A bad answer is reported, and the others still count. */
static int take_answer(struct step *s, struct ceremony *c, const char *path, struct answers *a, struct error *err)
{
	struct buf text = BUF_INIT(CEREMONY_ANSWER_MAX);
	struct ceremony_answer_info info;
	char when[TIME_TEXT_LEN];
	int r;

	if ((r = step_read(s, path, &text, err)) == 0)
		r = ceremony_add_answer(c, buf_slice(&text), &info, err);
	buf_release(&text);
	a->refused += r < 0;
	if (a->w != NULL) {
		json_open_object(a->w, NULL);
		json_put_string(a->w, "file", path);
		json_put_bool(a->w, "accepted", r == 0);
		if (r == 0)
			json_put_string(a->w, "keyid", info.keyid);
		else
			json_put_string(a->w, "why", err->text);
		json_close(a->w);
	} else if (r == 0) {
		cmd_printf(s->cmd, "%s: signed by %.16s... at %s\n", path, info.keyid, time_text(when, info.signed_s));
	} else {
		cmd_printf(s->cmd, "%s: NOT COUNTED: %s\n", path, err->text);
	}
	return 0;
}

static int take_answers(struct step *s, struct ceremony *c, struct answers *a, struct error *err)
{
	unsigned i;

	if (a->w != NULL)
		json_open_array(a->w, "answers");
	for (i = 1; i < cmd_operand_count(s->cmd); i++) {
		if (take_answer(s, c, cmd_operand(s->cmd, i), a, err) < 0)
			return -1;
	}
	if (a->w != NULL)
		json_close(a->w);
	return 0;
}

static int request_status(struct step *s, struct ceremony *c, struct error *err)
{
	struct buf out = BUF_INIT(4u << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct answers a = {.w = cmd_json(s->cmd) ? &w : NULL};
	struct error missing = ERROR_INIT;
	bool complete;

	json_open_object(&w, NULL);
	json_put_string(&w, "request", ceremony_fingerprint(c));
	json_put_string(&w, "site", ceremony_site(c));
	json_put_bool(&w, "rehearsal", ceremony_rehearsal(c));
	if (take_answers(s, c, &a, err) < 0)
		return -1;
	complete = ceremony_complete(c, &missing) == 0;
	if (cmd_json(s->cmd)) {
		tally_put(&w, c);
		json_put_bool(&w, "complete", complete);
		json_close(&w);
		cmd_write_json(s->cmd, &out);
	} else {
		cmd_printf(s->cmd, "request %s of site '%s'%s\n", ceremony_fingerprint(c), ceremony_site(c),
			   ceremony_rehearsal(c) ? ", a rehearsal" : "");
		tally_print(s->cmd, c);
		cmd_printf(s->cmd, "%s\n", complete ? "complete: meshanics ceremony finish" : "not complete");
	}
	buf_release(&out);
	return a.refused == 0 ? 0 : error_set(err, ERR_REFUSED, "%u of the answers do not count", a.refused);
}

static int ceremony_status_run(struct cmd *cmd, struct error *err)
{
	struct ceremony *c = NULL;
	struct step *s;
	int r = -1;

	if (cmd_operand_count(cmd) == 0)
		return transcript_status(cmd, err);
	if ((s = step_begin(cmd, err)) == NULL)
		return -1;
	if ((c = ceremony_read(s, cmd_operand(cmd, 0), err)) != NULL)
		r = request_status(s, c, err);
	ceremony_free(c);
	free(s);
	return r;
}

const struct command cmd_ceremony_status = {
	.name = "ceremony status",
	.usage = "[REQUEST [ANSWER...]]",
	.summary = "say who has signed a request, or show the transcript",
	.needs = NEEDS_HOME,
	.operands_max = 1 + CEREMONY_ANSWERS_MAX,
	.run = ceremony_status_run,
};
