/* `key generate`: make a key and write its files. */
#include "commands/keys.h"
#include "sys/clock.h"
#include "sys/file.h"

static const struct option key_generate_options[] = {
	{ .name = "scheme", .type = OPT_STRING, .value = "SCHEME",
	  .help = "ed25519 (the default) or ecdsa-sha2-nistp256" },
	{ .name = "comment", .type = OPT_STRING, .value = "TEXT",
	  .help = "words for people, kept in the key file" },
	{ .name = "unsealed", .type = OPT_FLAG,
	  .help = "keep the secret without a passphrase, for a program's use" },
	PKCS11_OPTION,
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

static int read_scheme(const struct cmd *cmd, enum key_scheme *scheme, struct error *err)
{
	const char *name = cmd_string(cmd, "scheme", "ed25519");

	*scheme = key_scheme_by_name(slice_str(name));
	if (*scheme == KEY_ED25519 || *scheme == KEY_ECDSA_P256)
		return 0;
	error_set(err, ERR_USAGE, "cannot make keys of scheme '%s'", name);
	return error_hint(err, "give ed25519 or ecdsa-sha2-nistp256");
}

static int check_options(const struct cmd *cmd, struct error *err)
{
	if (cmd_flag(cmd, "unsealed") && (cmd_given(cmd, "passphrase-file") || cmd_given(cmd, "passphrase-fd")))
		return error_set(err, ERR_USAGE, "--unsealed and a passphrase exclude each other");
	if (!cmd_flag(cmd, "unsealed") || !cmd_has(cmd, "pkcs11"))
		return 0;
	error_set(err, ERR_USAGE, "--unsealed and --pkcs11 exclude each other");
	return error_hint(err, "a program finds the PIN of a token by ...&pin-source=file:/path in its URI");
}

static int generate_file(struct cmd *cmd, const char *name, int keys_fd, enum key_scheme scheme, struct error *err)
{
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	struct seckey *k = NULL;
	int r = -1;

	if (cmd_flag(cmd, "unsealed") || cmd_passphrase(cmd, name, "", true, &passphrase, err) == 0)
		k = seckey_generate(scheme, err);
	if (k != NULL)
		r = keyfile_write(keys_fd, name, k, buf_slice(&passphrase), cmd_string(cmd, "comment", ""),
				  clock_now_s(), err);
	seckey_free(k);
	buf_release(&passphrase);
	return r;
}

static int generate_token(struct cmd *cmd, const char *name, int keys_fd, enum key_scheme scheme, struct error *err)
{
	struct buf pin = BUF_SECRET(PASSPHRASE_MAX);
	struct pkcs11_uri u;
	int r = -1;

	if (keys_token(cmd, name, &u, &pin, err) == 0)
		r = keyfile_generate_token(keys_fd, name, &u, scheme, buf_slice(&pin), cmd_string(cmd, "comment", ""),
					   clock_now_s(), NULL, err);
	buf_release(&pin);
	return r;
}

static int key_generate_run(struct cmd *cmd, struct error *err)
{
	const char *name = cmd_operand(cmd, 0);
	enum key_scheme scheme;
	int keys_fd, r = -1;

	if ((keys_fd = keys_directory(cmd, err)) < 0)
		return -1;
	if (read_scheme(cmd, &scheme, err) == 0 && check_options(cmd, err) == 0 &&
	    keys_check_new(keys_fd, name, err) == 0 &&
	    (cmd_has(cmd, "pkcs11") ? generate_token : generate_file)(cmd, name, keys_fd, scheme, err) == 0)
		r = keys_report(cmd, name, err);	/* what stands on the disk */
	file_close(&keys_fd);
	return r;
}

const struct command cmd_key_generate = {
	.name = "key generate",
	.usage = "NAME",
	.summary = "make a key, sealed with a passphrase",
	.options = key_generate_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = key_generate_run,
};
