/* Shared by the verbs of identity. */
#include "commands/identity.h"

#include <fcntl.h>

#include "crypto/hash.h"
#include "sys/file.h"
#include "tuf/metadata.h"

#define PATH_TEXT_MAX 1024

int identity_check_out(struct cmd *cmd, struct error *err)
{
	const char *path = cmd_string(cmd, "out", NULL);

	if (path != NULL && file_exists(AT_FDCWD, path))
		return error_set(err, ERR_CONFLICT, "'%s' exists already", path);
	return 0;
}

/* The answer as it is, or without its token. */
static void print_json(struct cmd *cmd, struct json_value answer, bool with_token)
{
	struct buf text = BUF_SECRET(1 << 20);
	struct json_writer w = JSON_WRITER(&text);
	struct json_iter it;

	json_open_object(&w, NULL);
	for (it = json_iter(answer); json_next(&it);)
		if (with_token || !slice_equal_str(it.key, "token"))
			json_put_value_key(&w, it.key, it.value);
	json_close(&w);
	cmd_write_json(cmd, &text);
	buf_release(&text);
}

int identity_put_token(struct cmd *cmd, struct json_value answer, struct error *err)
{
	const char *path = cmd_string(cmd, "out", NULL);
	struct buf line = BUF_SECRET(4096);
	struct slice token;
	int r = -1;

	if (json_need_string(answer, "token", &token, err) < 0)
		goto out;
	buf_put_slice(&line, token);
	buf_put_u8(&line, '\n');
	if (path != NULL && file_create(AT_FDCWD, path, 0600, buf_slice(&line), err) < 0)
		goto out;
	if (cmd_json(cmd))
		print_json(cmd, answer, path == NULL);
	else if (path == NULL)
		cmd_write(cmd, buf_slice(&line));
	r = 0;
out:
	buf_release(&line);
	return r;
}

int identity_put_root(struct cmd *cmd, struct json_writer *w, struct error *err)
{
	const char *path = cmd_string(cmd, "root", NULL);
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	struct tuf_root *root = NULL;
	uint8_t hash[SHA256_LEN];
	int r = -1;

	if (file_read(AT_FDCWD, path, &text, err) < 0)
		goto out;
	if ((root = tuf_root_parse(buf_slice(&text), err)) == NULL) {
		error_wrap(err, "'%s' is no root metadata", path);
		goto out;
	}
	sha256_of(buf_slice(&text), hash);
	json_put_int(w, "root_version", root->head.version);
	json_put_hex(w, "root_sha256", hash, sizeof(hash));
	r = 0;
out:
	tuf_root_free(root);
	buf_release(&text);
	return r;
}

void identity_put_list(struct cmd *cmd, struct json_writer *w, const char *option, const char *member)
{
	unsigned i;

	if (cmd_list_count(cmd, option) == 0)
		return;
	json_open_array(w, member);
	for (i = 0; i < cmd_list_count(cmd, option); i++)
		json_put_string(w, NULL, cmd_list(cmd, option, i));
	json_close(w);
}

char *identity_text(struct json_value object, const char *name, char *out, size_t size)
{
	struct json_value v = json_get(object, name);

	return printable(out, size, json_type(v) == JSON_STRING ? json_string(v) : SLICE_LIT("-"));
}

int identity_revoke_each(struct cmd *cmd, const char *prefix, const char *what, struct error *err)
{
	struct buf path = BUF_INIT(PATH_TEXT_MAX), json = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&json);
	struct answer a = ANSWER_INIT;
	struct door *d = request_door(cmd, err);
	int r = d == NULL ? -1 : 0;
	unsigned i;

	json_open_object(&w, NULL);
	json_open_array(&w, "revoked");
	for (i = 0; r == 0 && i < cmd_operand_count(cmd); i++) {
		const char *name = cmd_operand(cmd, i);

		r = request_through(d, "DELETE", request_path(&path, prefix, name, NULL), SLICE_EMPTY, &a, err);
		if (r < 0)
			break;
		json_put_string(&w, NULL, name);
		if (!cmd_json(cmd))
			cmd_printf(cmd, "%s '%s' is revoked\n", what, name);
	}
	json_close(&w);
	json_close(&w);
	if (cmd_json(cmd) && (r == 0 || i > 0))
		cmd_write_json(cmd, &json);
	door_close(d);
	answer_release(&a);
	buf_release(&path);
	buf_release(&json);
	return r;
}
