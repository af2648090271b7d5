/* `key generate`: make a key and write its files. */
#include <fcntl.h>
#include <stdio.h>

#include "base/name.h"
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

/* The line makes sense, and the name is good and free, before anybody thinks of a passphrase. */
static int check_request(const struct cmd *cmd, const char *name, int keys_fd, struct error *err)
{
	char file[NAME_LEN_MAX + 5];

	if (cmd_flag(cmd, "unsealed") && (cmd_given(cmd, "passphrase-file") || cmd_given(cmd, "passphrase-fd")))
		return error_set(err, ERR_USAGE, "--unsealed and a passphrase exclude each other");
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

static void report(struct cmd *cmd, const struct keyfile *info, const char *path)
{
	struct buf b = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&b);

	if (cmd_json(cmd)) {
		keys_put_json(&w, NULL, info, path);
		cmd_write_json(cmd, &b);
	} else {
		keys_print(cmd, info, path);
	}
	buf_release(&b);
	if (!info->sealed)
		cmd_warn(cmd, "whoever reads '%s' holds this key", path);
}

static int generate(struct cmd *cmd, const char *name, int keys_fd, struct error *err)
{
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	char path[KEYS_PATH_MAX];
	struct seckey *k = NULL;
	enum key_scheme scheme;
	struct keyfile info;
	int r = -1;

	if (read_scheme(cmd, &scheme, err) < 0 || check_request(cmd, name, keys_fd, err) < 0)
		goto out;
	if (!cmd_flag(cmd, "unsealed") && cmd_passphrase(cmd, name, "", true, &passphrase, err) < 0)
		goto out;
	k = seckey_generate(scheme, err);
	if (k == NULL ||
	    keyfile_write(keys_fd, name, k, buf_slice(&passphrase), cmd_string(cmd, "comment", ""), clock_now_s(),
			  err) < 0)
		goto out;
	if (keys_read(cmd, name, path, &info, err) < 0)	/* what is reported is what stands on the disk */
		goto out;
	report(cmd, &info, path);
	r = 0;
out:
	seckey_free(k);
	buf_release(&passphrase);
	return r;
}

static int key_generate_run(struct cmd *cmd, struct error *err)
{
	char dir[KEYS_PATH_MAX];
	int keys_fd, r;

	path_join(dir, cmd_home(cmd), "keys");
	if (file_mkdirs(AT_FDCWD, dir, 0700, err) < 0)
		return -1;
	keys_fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err);
	if (keys_fd < 0)
		return -1;
	r = generate(cmd, cmd_operand(cmd, 0), keys_fd, err);
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
