/* `ceremony verify`: afterwards, do request, answers, results and transcripts fit each other? */
#include <fcntl.h>
#include <stdlib.h>

#include "commands/ceremony.h"
#include "sys/file.h"

static const struct option ceremony_verify_options[] = {
	{ .name = "root", .type = OPT_STRING, .value = "FILE",
	  .help = "your own copy of the root that was in force before: the one of the request must be the same" },
	{ .name = "like", .type = OPT_STRING, .value = "FILE",
	  .help = "the same for the root of the site whose targets this one takes" },
	{ .name = "transcript", .type = OPT_LIST, .value = "FILE",
	  .help = "a copy of a signer's transcript, beside this home's own; repeat" },
	{ .name = "strict", .type = OPT_FLAG, .help = "refuse also what is unproven" },
	{ .name = NULL },
};

/* The evidence and the memory under it. */
struct evidence {
	struct ceremony_evidence e;
	struct file_list names;
	struct ceremony_file *files;	/* answers and results */
	struct buf *texts;		/* of files and transcripts */
	unsigned text_count;
	struct ceremony_file *transcripts;
};

static void evidence_release(struct evidence *v)
{
	unsigned i;

	for (i = 0; i < v->text_count; i++)
		buf_release(&v->texts[i]);
	free(v->texts);
	free(v->files);
	free(v->transcripts);
	files_release(&v->names);
}

static int read_file(struct evidence *v, const char *name, size_t max, struct ceremony_file *out, struct error *err)
{
	struct buf *text = &v->texts[v->text_count++];

	*text = BUF_INIT(max);
	if (file_read(AT_FDCWD, name, text, err) < 0)
		return -1;
	*out = (struct ceremony_file){.name = name, .text = buf_slice(text)};
	return 0;
}

/* This home's transcript, if it has begun one; its chain is checked with the others. */
static int read_own(struct cmd *cmd, struct evidence *v, char path[static 4096], struct error *err)
{
	struct ceremony_file *f = &v->transcripts[v->e.transcript_count];

	path_join(path, cmd_home(cmd), "ceremony/transcript");
	if (!file_exists(AT_FDCWD, path))
		return 0;
	if (read_file(v, path, TRANSCRIPT_SIZE_MAX, f, err) < 0)
		return -1;
	f->own = true;
	v->e.transcript_count++;
	return 0;
}

static int gather(struct cmd *cmd, struct evidence *v, char own[static 4096], struct error *err)
{
	unsigned n = cmd_list_count(cmd, "transcript"), i;

	if (n > CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_USAGE, "--transcript is given %u times, at most %d are allowed", n,
				 CEREMONY_SIGNERS_MAX);
	if (files_gather(cmd, 1, &v->names, err) < 0)
		return -1;
	v->files = xcalloc(v->names.count, sizeof(*v->files));
	v->transcripts = xcalloc((size_t)n + 1, sizeof(*v->transcripts));
	v->texts = xcalloc((size_t)v->names.count + n + 4, sizeof(*v->texts));
	if (read_file(v, cmd_operand(cmd, 0), CEREMONY_REQUEST_MAX, &v->e.request, err) < 0)
		return -1;
	if (cmd_has(cmd, "root") &&
	    read_file(v, cmd_string(cmd, "root", ""), CEREMONY_REQUEST_MAX, &v->e.root, err) < 0)
		return -1;
	if (cmd_has(cmd, "like") &&
	    read_file(v, cmd_string(cmd, "like", ""), CEREMONY_REQUEST_MAX, &v->e.like, err) < 0)
		return -1;
	for (i = 0; i < v->names.count; i++) {
		if (read_file(v, v->names.list[i].path, CEREMONY_REQUEST_MAX, &v->files[i], err) < 0)
			return -1;
	}
	for (i = 0; i < n; i++, v->e.transcript_count++) {
		if (read_file(v, cmd_list(cmd, "transcript", i), TRANSCRIPT_SIZE_MAX, &v->transcripts[i], err) < 0)
			return -1;
	}
	v->e.files = v->files;
	v->e.file_count = v->names.count;
	v->e.transcripts = v->transcripts;
	v->e.strict = cmd_flag(cmd, "strict");
	return read_own(cmd, v, own, err);
}

struct report {
	struct cmd *cmd;
	struct json_writer *w;	/* NULL: for people */
	unsigned unproven;
};

static void on_finding(void *arg, const struct ceremony_finding *f)
{
	static const char *const words[] = {
		[CEREMONY_HOLDS] = "holds", [CEREMONY_UNPROVEN] = "unproven", [CEREMONY_BROKEN] = "BROKEN"};
	static const char *const verdicts[] = {
		[CEREMONY_HOLDS] = "holds", [CEREMONY_UNPROVEN] = "unproven", [CEREMONY_BROKEN] = "broken"};
	struct report *r = arg;

	r->unproven += f->verdict == CEREMONY_UNPROVEN;
	if (r->w == NULL) {
		cmd_printf(r->cmd, "%-8s  %s: %s\n", words[f->verdict], f->file, f->text);
		return;
	}
	json_open_object(r->w, NULL);
	json_put_string(r->w, "file", f->file);
	json_put_string(r->w, "verdict", verdicts[f->verdict]);
	json_put_string(r->w, "text", f->text);
	json_close(r->w);
}

static int verify(struct cmd *cmd, struct evidence *v, struct error *err)
{
	struct buf out = BUF_INIT(4u << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct report report = {.cmd = cmd, .w = cmd_json(cmd) ? &w : NULL};
	int r;

	v->e.tell = on_finding;
	v->e.arg = &report;
	json_open_object(&w, NULL);
	json_open_array(&w, "checks");
	r = ceremony_verify(&v->e, err);
	json_close(&w);
	json_put_bool(&w, "holds", r == 0);
	json_close(&w);
	if (cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else if (r == 0 && report.unproven == 0)
		cmd_printf(cmd, "all of it holds\n");
	else if (r == 0)
		cmd_printf(cmd, "nothing speaks against it, %u unproven\n", report.unproven);
	buf_release(&out);
	return r;
}

static int ceremony_verify_run(struct cmd *cmd, struct error *err)
{
	struct evidence v = {.text_count = 0};
	char own[4096];
	int r = -1;

	if (gather(cmd, &v, own, err) == 0)
		r = verify(cmd, &v, err);
	evidence_release(&v);
	return r;
}

const struct command cmd_ceremony_verify = {
	.name = "ceremony verify",
	.usage = "REQUEST FILE...",
	.summary = "check afterwards that request, answers, results and transcripts fit",
	.options = ceremony_verify_options,
	.needs = NEEDS_HOME,
	.operands_min = 2,
	.operands_max = 1 + CEREMONY_ANSWERS_MAX,
	.run = ceremony_verify_run,
};
