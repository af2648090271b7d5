/* `ceremony status`: who has signed a request and who is missing; without one, the transcript of this machine. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "commands/ceremony.h"
#include "sys/file.h"

/* ---- the transcript ---- */

static int print_transcript(struct cmd *cmd, struct slice text, struct error *err)
{
	struct transcript_reader t;
	char when[TIME_TEXT_LEN];
	int r;

	transcript_start(&t, text);
	while ((r = transcript_next(&t, err)) > 0)
		cmd_printf(cmd, "%s  %-8.*s  %.*s  %.*s\n", time_text(when, t.time_s), SLICE_ARG(t.step),
			   SLICE_ARG(slice_sub(t.request, 0, 16)), SLICE_ARG(t.detail));
	transcript_stop(&t);
	return r;
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

struct status {
	struct step *s;
	struct ceremony *c;
	struct file_list files;
	struct json_writer *w;	/* NULL: for people */
	unsigned refused;
};

static void put_answer(struct status *st, const struct ceremony_answer_info *info)
{
	struct json_writer *w = st->w;
	struct slice label = ceremony_label(st->c, info->keyid);
	char when[TIME_TEXT_LEN];
	unsigned i;

	json_put_string(w, "keyid", info->keyid);
	if (label.len > 0)
		json_put_slice(w, "label", label);
	json_put_string(w, "signed_at", time_text(when, info->signed_s));
	json_open_array(w, "documents");
	for (i = 0; i < ceremony_document_count(st->c); i++) {
		if (info->documents[i])
			json_put_string(w, NULL, ceremony_document_at(st->c, i)->role);
	}
	json_close(w);
	if (info->transcript[0] != '\0')
		json_put_string(w, "transcript", info->transcript);
	json_put_hex(w, "sha256", info->sha256, SHA256_LEN);
}

/* What the signer had before him: the request by its fingerprint, which documents, when, and where in his transcript. */
static void print_answer(struct status *st, const char *path, const struct ceremony_answer_info *info)
{
	const struct ceremony *c = st->c;
	struct buf who = BUF_INIT(256);
	char when[TIME_TEXT_LEN];
	unsigned i;

	cmd_printf(st->s->cmd, "%s: %s has seen %.16s... and signed", path, who_text(&who, c, info->keyid),
		   ceremony_fingerprint(c));
	for (i = 0; i < ceremony_document_count(c); i++) {
		if (info->documents[i])
			cmd_printf(st->s->cmd, " %s", ceremony_document_at(c, i)->role);
	}
	cmd_printf(st->s->cmd, " at %s", time_text(when, info->signed_s));
	if (info->transcript[0] != '\0')
		cmd_printf(st->s->cmd, ", transcript %.16s...", info->transcript);
	cmd_printf(st->s->cmd, "\n");
	buf_release(&who);
}

/*
 * A bad answer is reported, and the others still count. One for another ceremony that only lay in a directory does not
 * make the status a failure.
 */
static void take_answer(struct status *st, const struct file_operand *f)
{
	const char *path = f->path;
	struct buf text = BUF_INIT(CEREMONY_ANSWER_MAX);
	struct ceremony_answer_info info;
	struct error why = ERROR_INIT;
	int r;

	if ((r = file_read(AT_FDCWD, path, &text, &why)) == 0)
		r = ceremony_add_answer(st->c, buf_slice(&text), &info, &why);
	st->refused += r < 0 && !(f->found && !ceremony_is_answered_by(st->c, buf_slice(&text)));
	buf_release(&text);
	if (st->w != NULL) {
		json_open_object(st->w, NULL);
		json_put_string(st->w, "file", path);
		json_put_bool(st->w, "accepted", r == 0);
		if (r == 0)
			put_answer(st, &info);
		else
			json_put_string(st->w, "why", why.text);
		json_close(st->w);
	} else if (r == 0) {
		print_answer(st, path, &info);
	} else {
		cmd_printf(st->s->cmd, "%s: NOT COUNTED: %s\n", path, why.text);
	}
}

static void print_ways(struct status *st, const struct ceremony_way *ways, unsigned count)
{
	struct buf who = BUF_INIT(256);
	unsigned i, k;

	cmd_printf(st->s->cmd, "enough would be%s\n", count == CEREMONY_WAYS_MAX ? ", among others" : "");
	for (i = 0; i < count; i++) {
		cmd_printf(st->s->cmd, "  ");
		for (k = 0; k < ways[i].count; k++)
			cmd_printf(st->s->cmd, "%s%s", k == 0 ? "" : " and ",
				   who_text(&who, st->c, ways[i].keys[k]->id));
		cmd_printf(st->s->cmd, "\n");
	}
	buf_release(&who);
}

static void put_ways(struct status *st, const struct ceremony_way *ways, unsigned count)
{
	unsigned i, k;

	json_open_array(st->w, "enough");
	for (i = 0; i < count; i++) {
		json_open_array(st->w, NULL);
		for (k = 0; k < ways[i].count; k++)
			json_put_string(st->w, NULL, ways[i].keys[k]->id);
		json_close(st->w);
	}
	json_close(st->w);
}

static const char *next_step(bool complete, bool expired)
{
	if (expired)
		return "this request has expired: begin a new ceremony";
	if (complete)
		return "complete: meshanics ceremony finish, with this request and these answers";
	return "not complete: carry the request to those who are missing, meshanics ceremony sign";
}

static void judge(struct status *st)
{
	int64_t expires_s = ceremony_expires_s(st->c), left_s = expires_s - st->s->now_s;
	struct ceremony_way ways[CEREMONY_WAYS_MAX];
	unsigned count = ceremony_ways(st->c, ways);
	char when[TIME_TEXT_LEN], life[32];
	struct error missing = ERROR_INIT;
	bool complete = ceremony_complete(st->c, &missing) == 0;

	if (st->w != NULL) {
		tally_put(st->w, st->c);
		put_ways(st, ways, count);
		json_put_bool(st->w, "complete", complete);
		json_put_string(st->w, "expires", time_text(when, expires_s));
		json_put_bool(st->w, "expired", left_s <= 0);
		json_put_string(st->w, "next", next_step(complete, left_s <= 0));
		return;
	}
	tally_print(st->s->cmd, st->c);
	if (count > 0)
		print_ways(st, ways, count);
	cmd_printf(st->s->cmd, "to be signed and finished before %s (%s%s)\n", time_text(when, expires_s),
		   left_s > 0 ? "in " : "", duration_text(life, left_s));
	cmd_printf(st->s->cmd, "%s\n", next_step(complete, left_s <= 0));
}

static void request_status(struct status *st)
{
	const struct ceremony *c = st->c;
	unsigned i;

	if (st->w != NULL) {
		json_open_object(st->w, NULL);
		json_put_string(st->w, "request", ceremony_fingerprint(c));
		json_put_string(st->w, "site", ceremony_site(c));
		json_put_bool(st->w, "rehearsal", ceremony_rehearsal(c));
		json_open_array(st->w, "answers");
	} else {
		cmd_printf(st->s->cmd, "request %s of site '%s'%s\n", ceremony_fingerprint(c), ceremony_site(c),
			   ceremony_rehearsal(c) ? ", a rehearsal" : "");
	}
	for (i = 0; i < st->files.count; i++)
		take_answer(st, &st->files.list[i]);
	if (st->w != NULL)
		json_close(st->w);
	judge(st);
	if (st->w != NULL)
		json_close(st->w);
}

static int status_run(struct cmd *cmd, struct step *s, struct error *err)
{
	struct buf out = BUF_INIT(4u << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct status st = {.s = s, .w = cmd_json(cmd) ? &w : NULL};
	int r = -1;

	if ((st.c = ceremony_read(s, cmd_operand(cmd, 0), err)) != NULL && files_gather(cmd, 1, &st.files, err) == 0) {
		request_status(&st);
		if (st.w != NULL)
			cmd_write_json(cmd, &out);
		r = st.refused == 0
			    ? 0
			    : error_set(err, ERR_REFUSED, "%u of the answers do not count", st.refused);
	}
	ceremony_free(st.c);
	files_release(&st.files);
	buf_release(&out);
	return r;
}

static int ceremony_status_run(struct cmd *cmd, struct error *err)
{
	struct step *s;
	int r = -1;

	if (cmd_operand_count(cmd) == 0)
		return transcript_status(cmd, err);
	if ((s = step_begin(cmd, err)) != NULL)
		r = status_run(cmd, s, err);
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
