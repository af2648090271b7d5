/* `ceremony finish`: request and answers become root.json and targets.json. */
#include <fcntl.h>
#include <stdlib.h>

#include "commands/ceremony.h"
#include "sys/file.h"

static const struct option ceremony_finish_options[] = {
	{ .name = "output", .type = OPT_STRING, .value = "DIR", .letter = 'o',
	  .help = "write the files into DIR; here when not given" },
	{ .name = NULL },
};

/*
 * The same answer twice is no harm and counts once, and in a directory answers of other ceremonies may lie about; any
 * other bad one ends it.
 */
static int take_answer(struct step *s, struct ceremony *c, const struct file_operand *f, struct error *err)
{
	struct buf text = BUF_INIT(CEREMONY_ANSWER_MAX);
	int r = file_read(AT_FDCWD, f->path, &text, err);

	if (r == 0 && (r = ceremony_add_answer(c, buf_slice(&text), NULL, err)) < 0) {
		if (err->kind == ERR_CONFLICT ||
		    (f->found && !ceremony_is_answered_by(c, buf_slice(&text)))) {
			cmd_warn(s->cmd, "'%s' is not counted: %s", f->path, err->text);
			*err = ERROR_INIT;
			r = 0;
		} else {
			error_wrap(err, "'%s'", f->path);
		}
	} else if (r == 0) {
		r = step_note(s, f->path, buf_slice(&text), err);
	}
	buf_release(&text);
	return r;
}

static int take_answers(struct step *s, struct ceremony *c, struct error *err)
{
	struct file_list files;
	unsigned i;
	int r = files_gather(s->cmd, 1, &files, err);

	for (i = 0; r == 0 && i < files.count; i++)
		r = take_answer(s, c, &files.list[i], err);
	files_release(&files);
	return r;
}

struct outputs {
	struct buf files[2];
	char paths[2][4096];
};

static int make_files(struct step *s, const struct ceremony *c, struct outputs *o, struct error *err)
{
	const char *dir = cmd_string(s->cmd, "output", ".");
	unsigned i;
	int n;

	for (i = 0; i < ceremony_document_count(c); i++) {
		n = snprintf(o->paths[i], sizeof(o->paths[i]), "%s/%s.json", dir, ceremony_document_at(c, i)->role);
		if (n < 0 || (size_t)n >= sizeof(o->paths[i]))
			return error_set(err, ERR_USAGE, "the name of --output is too long");
		if (file_exists(AT_FDCWD, o->paths[i])) {
			error_set(err, ERR_CONFLICT, "'%s' exists already", o->paths[i]);
			return error_hint(err, "nothing is overwritten: move it away, or choose another --output");
		}
		if (ceremony_finish(c, i, s->now_s, &o->files[i], err) < 0 ||
		    step_note(s, o->paths[i], buf_slice(&o->files[i]), err) < 0)
			return -1;
	}
	return 0;
}

/* Where the files go. A root of a site that takes another one's targets has two ways to go. */
static void say_next(struct cmd *cmd, const struct ceremony *c)
{
	const char *like = ceremony_like(c), *site = ceremony_site(c);

	if (like == NULL) {
		cmd_note(cmd, "carry %s to the online box: meshanics repo adopt",
			 ceremony_document_count(c) == 1 ? "it" : "them");
		return;
	}
	cmd_note(cmd, "carry it to the box of site '%s': meshanics repo adopt root.json", like);
	if (ceremony_document_at(c, 0)->version > 1)
		cmd_note(cmd, "the next bundle brings it to site '%s'; or adopt it there yourself", site);
	else
		cmd_note(cmd, "and to that of site '%s', with the newest repo/metadata/N.targets.json of '%s': "
			      "meshanics repo adopt root.json N.targets.json", site, like);
}

static void report(struct cmd *cmd, const struct ceremony *c, const struct outputs *o)
{
	struct buf out = BUF_INIT(1u << 16);
	struct json_writer w = JSON_WRITER(&out);
	unsigned i;

	json_open_object(&w, NULL);
	json_put_string(&w, "site", ceremony_site(c));
	json_put_bool(&w, "rehearsal", ceremony_rehearsal(c));
	if (ceremony_like(c) != NULL)
		json_put_string(&w, "like", ceremony_like(c));
	json_open_array(&w, "files");
	for (i = 0; i < ceremony_document_count(c); i++) {
		json_open_object(&w, NULL);
		json_put_string(&w, "role", ceremony_document_at(c, i)->role);
		json_put_int(&w, "version", ceremony_document_at(c, i)->version);
		json_put_string(&w, "file", o->paths[i]);
		json_close(&w);
		if (!cmd_json(cmd))
			cmd_printf(cmd, "%s version %lld: %s\n", ceremony_document_at(c, i)->role,
				   (long long)ceremony_document_at(c, i)->version, o->paths[i]);
	}
	json_close(&w);
	json_close(&w);
	if (cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else if (!ceremony_rehearsal(c))
		say_next(cmd, c);
	buf_release(&out);
}

static int finish_run(struct cmd *cmd, struct step *s, struct error *err)
{
	struct outputs *o = xcalloc(1, sizeof(*o));
	struct ceremony *c = ceremony_read(s, cmd_operand(cmd, 0), err);
	unsigned i;
	int r = -1;

	o->files[0] = o->files[1] = BUF_INIT(CEREMONY_REQUEST_MAX);
	if (c == NULL || take_answers(s, c, err) < 0 || ceremony_complete(c, err) < 0 ||
	    make_files(s, c, o, err) < 0 ||
	    step_end(s, "finish", ceremony_fingerprint(c), "every threshold is met", err) < 0)
		goto out;
	for (i = 0; i < ceremony_document_count(c); i++) {
		if (ceremony_write(o->paths[i], buf_slice(&o->files[i]), err) < 0)
			goto out;
	}
	report(cmd, c, o);
	r = 0;
out:
	ceremony_free(c);
	buf_release(&o->files[0]);
	buf_release(&o->files[1]);
	free(o);
	return r;
}

static int ceremony_finish_run(struct cmd *cmd, struct error *err)
{
	struct step *s = step_begin(cmd, err);
	int r = s == NULL ? -1 : finish_run(cmd, s, err);

	free(s);
	return r;
}

const struct command cmd_ceremony_finish = {
	.name = "ceremony finish",
	.usage = "REQUEST ANSWER...",
	.summary = "make root and targets of a request and its answers",
	.options = ceremony_finish_options,
	.needs = NEEDS_HOME,
	.operands_min = 2,
	.operands_max = 1 + CEREMONY_ANSWERS_MAX,
	.run = ceremony_finish_run,
};
