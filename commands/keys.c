/* Finding, opening and describing the keys that an operator names. */
#include "commands/keys.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/name.h"
#include "base/timefmt.h"
#include "sys/file.h"

int keys_path(const struct cmd *cmd, const char *word, char path[static KEYS_PATH_MAX], struct error *err)
{
	int n;

	if (strchr(word, '/') != NULL) {
		n = snprintf(path, KEYS_PATH_MAX, "%s", word);
	} else {
		if (name_check(slice_str(word), "key name", err) < 0) {
			err->kind = ERR_USAGE;
			return error_hint(err, "give the name of a key in keys/, or a path with a slash");
		}
		n = snprintf(path, KEYS_PATH_MAX, "%s/keys/%s.key", cmd_home(cmd), word);
	}
	if (n < 0 || n >= KEYS_PATH_MAX)
		return error_set(err, ERR_USAGE, "path of a key is too long");
	return 0;
}

int keys_read(const struct cmd *cmd, const char *word, char path[static KEYS_PATH_MAX], struct keyfile *out,
	      struct error *err)
{
	if (keys_path(cmd, word, path, err) < 0)
		return -1;
	if (keyfile_read(AT_FDCWD, path, out, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND && slice_ends(slice_str(path), SLICE_LIT(".pub"))) {
		error_set(err, ERR_USAGE, "'%s' is the public part of a key", path);
		error_hint(err, "name the key file itself, which ends in .key");
	} else if (err->kind == ERR_NOT_FOUND) {
		error_set(err, ERR_NOT_FOUND, "no key '%s': '%s' does not exist", word, path);
		error_hint(err, "see 'meshanics key list'; --home or MESHANICS_HOME names another home");
	}
	return -1;
}

/* What a person has to give: the passphrase, or the PIN of the token. */
static int ask(struct cmd *cmd, const struct keyfile *k, struct buf *out, struct error *err)
{
	char which[128];

	snprintf(which, sizeof(which), keyfile_is_token(k) ? "%s (PIN of its token)" : "%s", k->name);
	return cmd_passphrase(cmd, which, "", false, out, err);
}

struct seckey *keys_open(struct cmd *cmd, const char *word, struct error *err)
{
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	char path[KEYS_PATH_MAX];
	struct seckey *k = NULL;
	struct keyfile info;

	if (keys_read(cmd, word, path, &info, err) < 0)
		return NULL;
	if (!info.sealed || ask(cmd, &info, &passphrase, err) == 0)
		k = keyfile_open(AT_FDCWD, path, buf_slice(&passphrase), err);
	buf_release(&passphrase);
	return k;
}

/* ---- new keys ---- */

int keys_directory(const struct cmd *cmd, struct error *err)
{
	char dir[KEYS_PATH_MAX];

	path_join(dir, cmd_home(cmd), "keys");
	if (file_mkdirs(AT_FDCWD, dir, 0700, err) < 0)
		return -1;
	return file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err);
}

int keys_check_new(int keys_fd, const char *name, struct error *err)
{
	char file[NAME_LEN_MAX + 5];

	if (name_check(slice_str(name), "key name", err) < 0) {
		err->kind = ERR_USAGE;
		return -1;
	}
	if (slice_ends(slice_str(name), SLICE_LIT(".key")) || slice_ends(slice_str(name), SLICE_LIT(".pub"))) {
		error_set(err, ERR_USAGE, "key name '%s' looks like a file", name);
		return error_hint(err, "give the name alone: the files get their endings by themselves");
	}
	snprintf(file, sizeof(file), "%s.key", name);
	if (file_exists(keys_fd, file)) {
		error_set(err, ERR_CONFLICT, "key '%s' exists already", name);
		return error_hint(err, "keys are never overwritten; choose another name");
	}
	return 0;
}

int keys_token(struct cmd *cmd, const char *name, struct pkcs11_uri *u, struct buf *pin, struct error *err)
{
	char which[128];

	if (pkcs11_uri_parse(u, slice_str(cmd_string(cmd, "pkcs11", "")), err) < 0) {
		err->kind = ERR_USAGE;
		return error_wrap(err, "--pkcs11");
	}
	snprintf(which, sizeof(which), "%s (PIN of token '%s')", name, u->token[0] != '\0' ? u->token : u->serial);
	if (u->pin_file[0] == '\0')
		return cmd_passphrase(cmd, which, "", false, pin, err);
	if (cmd_given(cmd, "passphrase-file") || cmd_given(cmd, "passphrase-fd"))
		return error_set(err, ERR_USAGE, "pin-source in the URI and a passphrase exclude each other");
	return 0;
}

void keys_warn_open(struct cmd *cmd, const struct keyfile *k, const char *path)
{
	if (k->sealed)
		return;
	if (keyfile_is_token(k))
		cmd_warn(cmd, "whoever reads the file of pin-source and reaches the token signs with key '%s'", k->name);
	else
		cmd_warn(cmd, "whoever reads '%s' holds this key", path);
}

int keys_report(struct cmd *cmd, const char *name, struct error *err)
{
	struct buf b = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&b);
	char path[KEYS_PATH_MAX];
	struct keyfile info;

	if (keys_read(cmd, name, path, &info, err) < 0)
		return -1;
	if (cmd_json(cmd)) {
		keys_put_json(&w, NULL, &info, path);
		cmd_write_json(cmd, &b);
	} else {
		keys_print(cmd, &info, path);
	}
	buf_release(&b);
	keys_warn_open(cmd, &info, path);
	return 0;
}

/* ---- what is said of them ---- */

void keys_put_json(struct json_writer *w, const char *name, const struct keyfile *k, const char *path)
{
	char created[TIME_TEXT_LEN];

	json_open_object(w, name);
	json_put_string(w, "name", k->name);
	json_put_string(w, "keyid", k->keyid);
	json_put_string(w, "scheme", key_scheme_name(k->pub.scheme));
	json_put_string(w, "kind", keyfile_is_token(k) ? "token" : "file");
	json_put_bool(w, "sealed", k->sealed);
	if (keyfile_is_token(k))
		json_put_string(w, "uri", k->uri);
	json_put_string(w, "created", time_text(created, k->created_s));
	json_put_string(w, "comment", k->comment);
	json_put_string(w, "file", path);
	pubkey_put_tuf(w, "key", &k->pub);
	json_close(w);
}

void keys_print(struct cmd *cmd, const struct keyfile *k, const char *path)
{
	char created[TIME_TEXT_LEN];

	cmd_printf(cmd, "name     %s\n", k->name);
	cmd_printf(cmd, "key id   %s\n", k->keyid);
	cmd_printf(cmd, "scheme   %s\n", key_scheme_name(k->pub.scheme));
	if (keyfile_is_token(k))
		cmd_printf(cmd, "secret   in a token, %s\n", k->sealed ? "opened by its PIN" : "its PIN in a file");
	else
		cmd_printf(cmd, "secret   %s\n", k->sealed ? "sealed with a passphrase" : "unsealed");
	cmd_printf(cmd, "created  %s\n", time_text(created, k->created_s));
	if (k->comment[0] != '\0')
		cmd_printf(cmd, "comment  %s\n", k->comment);
	if (keyfile_is_token(k))
		cmd_printf(cmd, "token    %s\n", k->uri);
	cmd_printf(cmd, "file     %s\n", path);
}
