/* `verify`: a file against its detached signature, without any network. */
#include <fcntl.h>
#include <inttypes.h>

#include "base/encode.h"
#include "commands/ceremony.h"
#include "crypto/sshsig.h"
#include "sys/file.h"
#include "tuf/publish.h"

static const struct option verify_options[] = {
	{ .name = "signature", .type = OPT_STRING, .value = "FILE",
	  .help = "the detached signature; the file's name and .sig when not given" },
	{ .name = "key", .type = OPT_STRING, .value = "PUB", .help = "accept a signature by this public key alone" },
	{ .name = "repo", .type = OPT_FLAG,
	  .help = "accept the publishers of this home's repository (as without --key)" },
	{ .name = NULL },
};

/* What was found out. */
struct verdict {
	uint8_t sha256[SHA256_LEN];
	uint64_t bytes;
	char keyid[KEY_FINGERPRINT_LEN];
	char publisher[NAME_LEN_MAX + 1];	/* "": by --key */
	char artifact[TARGET_PATH_MAX + 1];	/* "": not published */
};

static void show_progress(void *arg, uint64_t done)
{
	cmd_progress(arg, "hashing", done, 0);
}

static int hash_file(struct cmd *cmd, const char *path, struct verdict *v, struct error *err)
{
	int fd = file_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, err);
	int r;

	if (fd < 0)
		return -1;
	r = sha256_file(fd, v->sha256, &v->bytes, show_progress, cmd, err);
	cmd_progress_end(cmd);
	file_close(&fd);
	return r < 0 ? error_wrap(err, "'%s'", path) : 0;
}

static int by_key(struct cmd *cmd, struct slice armored, struct verdict *v, struct error *err)
{
	struct ceremony_signer signer;

	if (signer_read(cmd_string(cmd, "key", ""), &signer, err) < 0 ||
	    sshsig_verify_sha256(&signer.key, PUBLISH_NAMESPACE, v->sha256, armored, err) < 0)
		return -1;
	key_id(v->keyid, &signer.key);
	return 0;
}

struct search {
	struct verdict *v;
	const struct repo_role *role;
};

static int match(void *arg, const struct artifact *a, struct error *err)
{
	struct search *s = arg;

	(void)err;
	if (a->role == s->role && a->target.hashes.has_sha256 &&
	    memcmp(a->target.hashes.sha256, s->v->sha256, SHA256_LEN) == 0)
		snprintf(s->v->artifact, sizeof(s->v->artifact), "%.*s", SLICE_ARG(a->target.path));
	return 0;
}

static int by_repository(struct cmd *cmd, struct slice armored, struct verdict *v, struct error *err)
{
	struct repo *repo = repo_open_readonly(cmd_home(cmd), err);
	struct search s = {.v = v};
	const struct tuf_key *key;
	int r = -1;

	if (repo == NULL && err->kind == ERR_NOT_FOUND) {
		error_set(err, ERR_NOT_FOUND, "there is no repository in '%s' to name a publisher", cmd_home(cmd));
		return error_hint(err, "name the publisher's public key: --key PUB");
	}
	if (repo == NULL)
		return -1;
	if (artifact_signer(repo, v->sha256, armored, &s.role, &key, err) == 0) {
		snprintf(v->keyid, sizeof(v->keyid), "%s", key->id);
		snprintf(v->publisher, sizeof(v->publisher), "%s", s.role->name);
		r = artifact_each(repo, match, &s, err);
	}
	repo_free(repo);
	return r;
}

static void report(struct cmd *cmd, const struct verdict *v)
{
	struct buf out = BUF_INIT(1u << 16);
	struct json_writer w = JSON_WRITER(&out);

	json_open_object(&w, NULL);
	json_put_bool(&w, "ok", true);
	json_put_int(&w, "bytes", (int64_t)v->bytes);
	json_put_hex(&w, "sha256", v->sha256, SHA256_LEN);
	json_put_string(&w, "keyid", v->keyid);
	if (v->publisher[0] != '\0')
		json_put_string(&w, "publisher", v->publisher);
	if (v->artifact[0] != '\0')
		json_put_string(&w, "artifact", v->artifact);
	json_close(&w);
	if (cmd_json(cmd)) {
		cmd_write_json(cmd, &out);
	} else {
		cmd_printf(cmd, "good signature by key %.16s...%s%s\n", v->keyid,
			   v->publisher[0] == '\0' ? "" : ", publisher ", v->publisher);
		if (v->artifact[0] != '\0')
			cmd_printf(cmd, "published as %s\n", v->artifact);
	}
	buf_release(&out);
}

static int verify_run(struct cmd *cmd, struct error *err)
{
	struct buf armored = BUF_INIT(SSHSIG_SIZE_MAX);
	struct verdict v = {.bytes = 0};
	char path[4096] = "";
	const char *signature = cmd_string(cmd, "signature", path);
	int r = -1;

	if (snprintf(path, sizeof(path), "%s.sig", cmd_operand(cmd, 0)) >= (int)sizeof(path))
		return error_set(err, ERR_USAGE, "the file's name is too long");
	if (cmd_has(cmd, "key") && cmd_flag(cmd, "repo"))
		return error_set(err, ERR_USAGE, "--key and --repo exclude each other");
	if (file_read(AT_FDCWD, signature, &armored, err) == 0 && hash_file(cmd, cmd_operand(cmd, 0), &v, err) == 0)
		r = cmd_has(cmd, "key") ? by_key(cmd, buf_slice(&armored), &v, err)
					: by_repository(cmd, buf_slice(&armored), &v, err);
	if (r == 0)
		report(cmd, &v);
	else if (err->kind == ERR_REFUSED || err->kind == ERR_MALFORMED)
		error_wrap(err, "cannot verify '%s' by '%s'", cmd_operand(cmd, 0), signature);
	buf_release(&armored);
	return r;
}

const struct command cmd_verify = {
	.name = "verify",
	.usage = "FILE",
	.summary = "check a file against its detached signature",
	.options = verify_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = verify_run,
};
