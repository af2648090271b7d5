/* One request to the API, by whichever door the options choose. */
#include "commands/request.h"

#include <stdarg.h>

#include "net/url.h"
#include "sys/clock.h"
#include "sys/file.h"

#define TOKEN_FILE_MAX 4096

/* The token from its file, which others must not be able to read. */
static int read_token(struct cmd *cmd, struct buf *token, struct error *err)
{
	const char *path = cmd_string(cmd, "token-file", NULL);

	if (path == NULL) {
		error_set(err, ERR_USAGE, "--server needs an operator token");
		return error_hint(err, "give --token-file FILE, or set MESHANICS_TOKEN_FILE");
	}
	if (file_read_private(AT_FDCWD, path, token, err) < 0)
		return -1;
	while (token->len > 0 && (token->ptr[token->len - 1] == '\n' || token->ptr[token->len - 1] == '\r'))
		token->len--;
	return 0;
}

struct door *request_door(struct cmd *cmd, struct error *err)
{
	struct buf token = BUF_SECRET(TOKEN_FILE_MAX);
	struct door_options o = {
		.home = cmd_home(cmd),
		.server = cmd_string(cmd, "server", NULL),
		.proxy = cmd_string(cmd, "proxy", NULL),
		.now_s = clock_now_s(),
	};
	struct door *d = NULL;

	if (o.server == NULL || read_token(cmd, &token, err) == 0) {
		o.token = o.server == NULL ? NULL : buf_cstr(&token);
		d = door_open(&o, err);
	}
	buf_release(&token);
	return d;
}

void answer_release(struct answer *a)
{
	json_release(&a->doc);
	buf_release(&a->text);
}

struct json_value answer_root(const struct answer *a)
{
	return json_root(&a->doc);
}

/* The buffers of paths and bodies end where no good word does, and what did not fit is not there. */
static int check_whole(const char *path, struct slice body, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = path[0] == '/' && (body.len == 0 || json_parse(&doc, body, JSON_FRACTIONS, err) == 0) ? 0 : -1;

	json_release(&doc);
	return r == 0 ? 0 : error_set(err, ERR_USAGE, "a name or value in the line is longer than any can be");
}

int request_through(struct door *d, const char *method, const char *path, struct slice body, struct answer *a,
		    struct error *err)
{
	json_release(&a->doc);
	buf_clear(&a->text);
	if (check_whole(path, body, err) < 0)
		return -1;
	if (door_call(d, method, path, body, &a->text, err) < 0)
		return -1;
	if (json_parse(&a->doc, buf_slice(&a->text), JSON_FRACTIONS, err) < 0)
		return error_wrap(err, "the answer to %s %s", method, path);
	return 0;
}

int request(struct cmd *cmd, const char *method, const char *path, struct slice body, struct answer *a, bool *done,
	    struct error *err)
{
	struct door *d = request_door(cmd, err);
	int r = d == NULL ? -1 : request_through(d, method, path, body, a, err);

	door_close(d);
	if (done != NULL)
		*done = false;
	if (r == 0 && done != NULL && cmd_json(cmd)) {
		cmd_write_json(cmd, &a->text);
		*done = true;
	}
	return r;
}

const char *request_path(struct buf *out, const char *literal, ...)
{
	const char *part;
	bool given = true;
	va_list ap;

	buf_clear(out);
	buf_put_str(out, literal);
	va_start(ap, literal);
	while ((part = va_arg(ap, const char *)) != NULL) {
		if (given)
			percent_encode(out, slice_str(part));
		else
			buf_put_str(out, part);
		given = !given;
	}
	va_end(ap);
	return buf_cstr(out);
}
