/*
 * Keys as an operator names them, for every verb that lists, shows or uses one: NAME is HOME/keys/NAME.key, and
 * a word with a slash is the path of a key file anywhere. The verbs need NEEDS_HOME.
 */
#ifndef MESHANICS_COMMANDS_KEYS_H
#define MESHANICS_COMMANDS_KEYS_H

#include "base/json.h"
#include "commands/command.h"
#include "crypto/keyfile.h"

#define KEYS_PATH_MAX 4096

/* The file that a word means. ERR_USAGE when it is neither a name nor a path. */
WARN_UNUSED int keys_path(const struct cmd *cmd, const char *word, char path[static KEYS_PATH_MAX],
			  struct error *err);
/* The public part of a key; path as above, filled as well. ERR_NOT_FOUND says where it was looked for. */
WARN_UNUSED int keys_read(const struct cmd *cmd, const char *word, char path[static KEYS_PATH_MAX],
			  struct keyfile *out, struct error *err);
/*
 * The secret part, to be freed with seckey_free. Asks for the passphrase when the file is sealed, as
 * cmd_passphrase says (the verb lists PASSPHRASE_OPTIONS); an unsealed file needs none. NULL with err.
 */
WARN_UNUSED struct seckey *keys_open(struct cmd *cmd, const char *word, struct error *err);
/* HOME/keys, made if absent; the descriptor, or -1. */
WARN_UNUSED int keys_directory(const struct cmd *cmd, struct error *err);
/* The name of a new key is good and free: to be asked before anybody thinks of a passphrase. */
WARN_UNUSED int keys_check_new(int keys_fd, const char *name, struct error *err);
/*
 * --pkcs11 into u, and the PIN of its token into pin (BUF_SECRET, PASSPHRASE_MAX), asked for as a passphrase is. pin stays
 * empty when the URI has a pin-source. ERR_USAGE for a URI that is wrong.
 */
#define PKCS11_OPTION                                                                        \
	{ .name = "pkcs11", .type = OPT_STRING, .value = "URI",                              \
	  .help = "pkcs11:token=LABEL?module-path=FILE: the token that holds the key" }
WARN_UNUSED int keys_token(struct cmd *cmd, const char *name, struct pkcs11_uri *u, struct buf *pin, struct error *err);
/* Report the key of this name as it stands on the disk, with a warning when no person guards it. */
WARN_UNUSED int keys_report(struct cmd *cmd, const char *name, struct error *err);
/* That whoever reads some file holds the key, where it is so. */
void keys_warn_open(struct cmd *cmd, const struct keyfile *k, const char *path);
/* What every verb says of a key in --json; name as in json.h. */
void keys_put_json(struct json_writer *w, const char *name, const struct keyfile *k, const char *path);
/* The same for people, one fact a line. */
void keys_print(struct cmd *cmd, const struct keyfile *k, const char *path);

#endif
