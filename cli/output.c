/* Results to standard output, everything else to standard error; whether the former arrived is checked. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cmd.h"

#define LINE_MAX_LEN 4096

void output_start(struct cmd *cmd)
{
	cmd->out = stdout;
}

bool output_can_draw(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

bool output_can_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return (no == NULL || no[0] == '\0') && isatty(fd) && term != NULL && strcmp(term, "dumb") != 0;
}

static void remember(struct cmd *cmd, int e)
{
	if (cmd->out_errno == 0)
		cmd->out_errno = e == 0 ? EIO : e;
}

void cmd_write(struct cmd *cmd, struct slice bytes)
{
	if (bytes.len > 0 && fwrite(bytes.ptr, 1, bytes.len, cmd->out) != bytes.len)
		remember(cmd, errno);
}

void cmd_write_json(struct cmd *cmd, const struct buf *document)
{
	assert(!document->failed);
	cmd_write(cmd, buf_slice(document));
	cmd_write(cmd, SLICE_LIT("\n"));
}

/* The length of the run that needs no thought: up to a newline or a tab. */
static size_t run_length(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len && s.ptr[i] != '\n' && s.ptr[i] != '\t'; i++)
		;
	return i;
}

void cmd_printf(struct cmd *cmd, const char *fmt, ...)
{
	struct buf raw = BUF_INIT(16u << 20);
	struct slice rest;
	va_list ap;
	char *line;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !buf_reserve(&raw, (size_t)n))
		goto out;
	va_start(ap, fmt);
	vsnprintf((char *)raw.ptr, (size_t)n + 1, fmt, ap);
	va_end(ap);
	raw.len = (size_t)n;
	line = xmalloc(raw.len * 4 + 8);
	for (rest = buf_slice(&raw); rest.len > 0;) {
		size_t run = run_length(rest);

		printable(line, raw.len * 4 + 8, slice_sub(rest, 0, run));
		cmd_write(cmd, slice_str(line));
		cmd_write(cmd, slice_sub(rest, run, 1));
		rest = slice_sub(rest, run + 1, rest.len);
	}
	free(line);
out:
	buf_release(&raw);
}

/*
 * The reader of our output left (`| head`): end as any filter does, so that a shell sees the usual status.
 */
static void reader_left(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

static int output_failed(struct cmd *cmd, struct error *err)
{
	if (cmd->out_errno == EPIPE)
		reader_left();
	return error_errno(err, cmd->out_errno, "cannot write standard output");
}

int cmd_flush(struct cmd *cmd, struct error *err)
{
	if (fflush(cmd->out) != 0)
		remember(cmd, errno);
	return cmd->out_errno == 0 ? 0 : output_failed(cmd, err);
}

int output_finish(struct cmd *cmd, struct error *err)
{
	if (cmd->out == NULL)
		return 0;
	if (ferror(cmd->out) != 0 || fflush(cmd->out) != 0)
		remember(cmd, errno);
	/* close(2) is where a network file system tells; a stdout that was closed all along is fine if unused. */
	if (fclose(cmd->out) != 0 && errno != EBADF)
		remember(cmd, errno);
	cmd->out = NULL;
	return cmd->out_errno == 0 ? 0 : output_failed(cmd, err);
}

/* One line to standard error, in one write where possible; foreign bytes are printable already. */
static void to_stderr(const char *text)
{
	fputs(text, stderr);
	fflush(stderr);
}

/* {"<name>": text} or the whole error, on one line of standard error. */
static void json_to_stderr(const struct buf *b)
{
	fwrite(b->ptr, 1, b->len, stderr);
	fputc('\n', stderr);
	fflush(stderr);
}

static void error_as_json(const struct error *err, int status)
{
	struct buf b = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	json_open_object(&w, "error");
	json_put_string(&w, "kind", error_kind_name(err->kind));
	json_put_string(&w, "message", err->text);
	if (err->hint[0] != '\0')
		json_put_string(&w, "hint", err->hint);
	json_put_int(&w, "status", status);
	json_close(&w);
	json_close(&w);
	json_to_stderr(&b);
	buf_release(&b);
}

void output_error(struct cmd *cmd, const struct error *err, int status)
{
	bool colour = output_can_colour(STDERR_FILENO);
	char line[LINE_MAX_LEN];

	cmd_progress_end(cmd);
	if (cmd->json) {
		error_as_json(err, status);
		return;
	}
	snprintf(line, sizeof(line), "%smeshanics:%s %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "",
		 err->text);
	to_stderr(line);
	if (err->hint[0] == '\0')
		return;
	snprintf(line, sizeof(line), "%shint:%s %s\n", colour ? "\033[1m" : "", colour ? "\033[0m" : "", err->hint);
	to_stderr(line);
}

/* Format, and make printable what the arguments brought along. */
static void format_line(char out[static LINE_MAX_LEN], const char *prefix, const char *fmt, va_list ap)
{
	char raw[1024], text[LINE_MAX_LEN - 64];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);

	if (n < 0)
		n = 0;
	printable(text, sizeof(text), slice_of(raw, (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1));
	snprintf(out, LINE_MAX_LEN, "%s%s", prefix, text);
}

void cmd_note(struct cmd *cmd, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;

	if (cmd->quiet || cmd->json)
		return;
	cmd_progress_end(cmd);
	va_start(ap, fmt);
	format_line(line, "meshanics: ", fmt, ap);
	va_end(ap);
	to_stderr(line);
	to_stderr("\n");
}

void cmd_warn(struct cmd *cmd, const char *fmt, ...)
{
	struct buf b = BUF_INIT(4 * LINE_MAX_LEN);
	struct json_writer w = JSON_WRITER(&b);
	char line[LINE_MAX_LEN];
	va_list ap;

	cmd_progress_end(cmd);
	va_start(ap, fmt);
	format_line(line, cmd->json ? "" : "warning: ", fmt, ap);
	va_end(ap);
	if (cmd->json) {
		json_open_object(&w, NULL);
		json_put_string(&w, "warning", line);
		json_close(&w);
		json_to_stderr(&b);
	} else {
		to_stderr(line);
		to_stderr("\n");
	}
	buf_release(&b);
}
