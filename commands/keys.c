/* Finding, opening and describing the keys that an operator names. */
#include "commands/keys.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/name.h"
#include "base/timefmt.h"

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

struct seckey *keys_open(struct cmd *cmd, const char *word, struct error *err)
{
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	char path[KEYS_PATH_MAX];
	struct seckey *k = NULL;
	struct keyfile info;

	if (keys_read(cmd, word, path, &info, err) < 0)
		return NULL;
	if (!info.sealed || cmd_passphrase(cmd, info.name, "", false, &passphrase, err) == 0)
		k = keyfile_open(AT_FDCWD, path, buf_slice(&passphrase), err);
	buf_release(&passphrase);
	return k;
}

void keys_put_json(struct json_writer *w, const char *name, const struct keyfile *k, const char *path)
{
	char created[TIME_TEXT_LEN];

	json_open_object(w, name);
	json_put_string(w, "name", k->name);
	json_put_string(w, "keyid", k->keyid);
	json_put_string(w, "scheme", key_scheme_name(k->pub.scheme));
	json_put_bool(w, "sealed", k->sealed);
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
	cmd_printf(cmd, "secret   %s\n", k->sealed ? "sealed with a passphrase" : "unsealed");
	cmd_printf(cmd, "created  %s\n", time_text(created, k->created_s));
	if (k->comment[0] != '\0')
		cmd_printf(cmd, "comment  %s\n", k->comment);
	cmd_printf(cmd, "file     %s\n", path);
}
