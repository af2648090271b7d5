/* meshanics audit verify: is the trail whole, here or in an export? */
#include <fcntl.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/custody.h"
#include "commands/request.h"
#include "fleet/audit.h"
#include "sys/file.h"

#define KEYS_MAX 16
#define KEY_FILE_MAX 16384

static const struct option options[] = {
	{ .name = "head", .type = OPT_STRING, .value = "OLD",
	  .help = "the trail must extend this head: SEQ:HASH, or an earlier export" },
	{ .name = "key", .type = OPT_LIST, .value = "FILE", .help = "record key of the site (PEM) that signed the export" },
	{ .name = "with", .type = OPT_STRING, .value = "OTHER",
	  .help = "another site's export: show the chain of custody of what went between them" },
	{ .name = "with-key", .type = OPT_LIST, .value = "FILE", .help = "record key of the other site that signed OTHER" },
	{ .name = "chain-only", .type = OPT_FLAG, .help = "do not ask for a signature of the export" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* The end of a large file is enough: the head stands in the last line. */
static int read_tail(const char *path, struct buf *out, struct error *err)
{
	uint8_t *tail = xmalloc(AUDIT_RECORD_MAX);
	struct stat st;
	uint64_t from;
	ssize_t n = -1;
	int fd = file_open(AT_FDCWD, path, O_RDONLY, 0, err);

	if (fd >= 0 && fstat(fd, &st) == 0) {
		from = st.st_size > AUDIT_RECORD_MAX ? (uint64_t)st.st_size - AUDIT_RECORD_MAX : 0;
		n = file_pread(fd, tail, AUDIT_RECORD_MAX, from, path, err);
		if (n > 0)
			buf_put(out, tail, (size_t)n);
	}
	file_close(&fd);
	free(tail);
	return n < 0 ? -1 : 0;
}

/* OLD is SEQ:HASH, or names a file. seq 0: none was given. */
static int read_witness(struct cmd *cmd, struct audit_head *out, struct error *err)
{
	const char *old = cmd_string(cmd, "head", NULL);
	struct buf text = BUF_INIT(AUDIT_RECORD_MAX);
	int r = -1;

	*out = (struct audit_head){.seq = 0};
	if (old == NULL)
		return 0;
	if (audit_witness_parse(slice_str(old), out, err) == 0)
		return 0;
	if (read_tail(old, &text, err) == 0)
		r = audit_witness_parse(buf_slice(&text), out, err);
	buf_release(&text);
	return r < 0 ? error_wrap(err, "--head '%s'", old) : 0;
}

static int read_key(const char *path, struct pubkey *out, struct error *err)
{
	struct buf pem = BUF_INIT(KEY_FILE_MAX);
	int r = file_read(AT_FDCWD, path, &pem, err);

	if (r == 0)
		r = pubkey_from_pem(out, buf_slice(&pem), err);
	buf_release(&pem);
	return r < 0 ? error_wrap(err, "record key '%s'", path) : 0;
}

static int read_given(struct cmd *cmd, const char *option, struct pubkey *keys, unsigned *count, struct error *err)
{
	unsigned given = cmd_list_count(cmd, option);

	if (given > KEYS_MAX)
		return error_set(err, ERR_USAGE, "more than %d keys", KEYS_MAX);
	for (*count = 0; *count < given; ++*count)
		if (read_key(cmd_list(cmd, option, *count), &keys[*count], err) < 0)
			return -1;
	return 0;
}

/* Those given; else the one of this home. */
static int read_keys(struct cmd *cmd, struct pubkey *keys, unsigned *count, struct error *err)
{
	unsigned given = cmd_list_count(cmd, "key");
	char path[4096] = "";

	*count = 0;
	if (cmd_flag(cmd, "chain-only"))
		return given == 0 ? 0 : error_set(err, ERR_USAGE, "--chain-only and --key contradict each other");
	if (given > 0)
		return read_given(cmd, "key", keys, count, err);
	if (cmd_home(cmd) != NULL)
		path_join(path, cmd_home(cmd), "repo/keys/record-site.pub");
	if (path[0] == '\0' || !file_exists(AT_FDCWD, path)) {
		error_set(err, ERR_USAGE, "whose signature is to be believed?");
		return error_hint(err, "give the site's record key with --key FILE, or --chain-only");
	}
	if (read_key(path, &keys[0], err) < 0)
		return -1;
	*count = 1;
	return 0;
}

static void report(struct cmd *cmd, const struct audit_chain *c, const struct audit_signed_head *head, bool is_signed)
{
	char hex[SHA256_HEX_LEN], when[TIME_TEXT_LEN];
	struct buf out = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&out);

	hex_encode(hex, c->last.hash, SHA256_LEN);
	json_open_object(&w, NULL);
	json_put_bool(&w, "intact", true);
	json_put_int(&w, "first", c->first);
	json_put_int(&w, "records", c->last.seq);
	json_put_string(&w, "hash", hex);
	json_put_bool(&w, "witnessed", c->witnessed);
	json_put_bool(&w, "signed", is_signed);
	if (head != NULL) {
		json_put_string(&w, "site", head->site);
		json_put_string(&w, "time", time_text(when, head->time_s));
	}
	json_close(&w);
	if (cmd_json(cmd)) {
		cmd_write_json(cmd, &out);
	} else {
		cmd_printf(cmd, "intact: records %lld to %lld%s\n", (long long)c->first, (long long)c->last.seq,
			   c->witnessed ? ", extending the head given" : "");
		if (head != NULL)
			cmd_printf(cmd, "%s: site '%s', %s\n", is_signed ? "signed" : "not checked for a signature",
				   head->site, time_text(when, head->time_s));
		cmd_printf(cmd, "head: %lld:%s\n", (long long)c->last.seq, hex);
	}
	buf_release(&out);
}

static int verify_file(struct cmd *cmd, const char *path, const struct audit_head *witness, struct error *err)
{
	struct audit_export_report r = {.chain.witness = *witness};
	struct pubkey keys[KEYS_MAX];
	unsigned count;
	int fd, result;

	if (read_keys(cmd, keys, &count, err) < 0 || (fd = file_open(AT_FDCWD, path, O_RDONLY, 0, err)) < 0)
		return -1;
	result = audit_verify_export(fd, keys, count, &r, err);
	file_close(&fd);
	if (result < 0)
		return error_wrap(err, "'%s'", path);
	report(cmd, &r.chain, &r.head, count > 0);
	return 0;
}

static int read_other_keys(struct cmd *cmd, struct pubkey *keys, unsigned *count, struct error *err)
{
	*count = 0;
	if (cmd_flag(cmd, "chain-only"))
		return cmd_has(cmd, "with-key")
			       ? error_set(err, ERR_USAGE, "--chain-only and --with-key contradict each other")
			       : 0;
	if (cmd_has(cmd, "with-key"))
		return read_given(cmd, "with-key", keys, count, err);
	error_set(err, ERR_USAGE, "whose signature is to be believed under the other site's trail?");
	return error_hint(err, "give that site's record key with --with-key FILE, or --chain-only");
}

struct side {
	const char *path;
	int fd;
	struct pubkey keys[KEYS_MAX];
	unsigned count;
	struct audit_export_report report;
};

static int read_side(struct custody *c, unsigned which, struct side *s, struct error *err)
{
	if ((s->fd = file_open(AT_FDCWD, s->path, O_RDONLY, 0, err)) < 0)
		return -1;
	return custody_read(c, which, s->fd, s->keys, s->count, &s->report, err) < 0 ? error_wrap(err, "'%s'", s->path)
										      : 0;
}

/* Two trails, each by itself, and then against each other: a contradiction does not hide what else there is to see. */
static int verify_pair(struct cmd *cmd, const struct audit_head *witness, struct error *err)
{
	struct side *s = xcalloc(2, sizeof(*s));
	struct custody *c = custody_new();
	int r = -1;

	s[0].path = cmd_operand(cmd, 0);
	s[1].path = cmd_string(cmd, "with", "");
	s[0].report.chain.witness = *witness;
	s[0].fd = s[1].fd = -1;
	if (read_keys(cmd, s[0].keys, &s[0].count, err) < 0 || read_other_keys(cmd, s[1].keys, &s[1].count, err) < 0 ||
	    read_side(c, 0, &s[0], err) < 0 || read_side(c, 1, &s[1], err) < 0)
		goto out;
	r = custody_judge(c, err);
	if (r == 0 || err->kind == ERR_REFUSED)
		custody_report(cmd, c, &s[0].report, &s[1].report, s[0].count > 0);
out:
	custody_free(c);
	file_close(&s[0].fd);
	file_close(&s[1].fd);
	free(s);
	return r;
}

/* The trail of the control plane itself. */
static int verify_here(struct cmd *cmd, const struct audit_head *witness, struct error *err)
{
	struct audit_chain c = {.first = 1};
	struct buf path = BUF_INIT(512);
	struct answer a = ANSWER_INIT;
	struct slice hash;
	char hex[SHA256_HEX_LEN];
	int r = -1;

	buf_put_str(&path, "/api/v1/audit/verify");
	if (witness->seq > 0) {
		hex_encode(hex, witness->hash, SHA256_LEN);
		buf_printf(&path, "?witness=%lld:%s", (long long)witness->seq, hex);
	}
	if (request(cmd, "GET", buf_cstr(&path), SLICE_EMPTY, &a, NULL, err) == 0 &&
	    json_need_int(answer_root(&a), "records", 0, INT64_MAX, &c.last.seq, err) == 0 &&
	    json_need_bool(answer_root(&a), "witnessed", &c.witnessed, err) == 0 &&
	    json_need_string(answer_root(&a), "hash", &hash, err) == 0 &&
	    hex_decode(c.last.hash, SHA256_LEN, hash, err) == 0) {
		report(cmd, &c, NULL, false);
		r = 0;
	}
	answer_release(&a);
	buf_release(&path);
	return r;
}

static int audit_verify_run(struct cmd *cmd, struct error *err)
{
	struct audit_head witness;

	if (read_witness(cmd, &witness, err) < 0)
		return -1;
	if (cmd_has(cmd, "with-key") && !cmd_has(cmd, "with"))
		return error_set(err, ERR_USAGE, "--with-key is for --with");
	if (cmd_has(cmd, "with") && cmd_operand_count(cmd) == 1)
		return verify_pair(cmd, &witness, err);
	if (cmd_operand_count(cmd) == 1)
		return verify_file(cmd, cmd_operand(cmd, 0), &witness, err);
	if (cmd_has(cmd, "key") || cmd_flag(cmd, "chain-only") || cmd_has(cmd, "with"))
		return error_set(err, ERR_USAGE, "--key, --chain-only and --with are for an exported file");
	if (cmd_home(cmd) == NULL && !cmd_has(cmd, "server"))
		return error_set(err, ERR_USAGE, "give --home, --server or an exported file");
	return verify_here(cmd, &witness, err);
}

const struct command cmd_audit_verify = {
	.name = "audit verify",
	.usage = "[FILE]",
	.summary = "check that the audit trail, or an export of it, is whole",
	.options = options,
	.operands_max = 1,
	.run = audit_verify_run,
};
