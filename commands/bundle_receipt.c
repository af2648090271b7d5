/* `bundle receipt`: what a site holds, told to where the bundles are made; and there, taking it. */
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/receipt.h"
#include "commands/bundles.h"
#include "control/bundles.h"
#include "control/taking.h"
#include "sys/clock.h"
#include "sys/file.h"

#define COPY_SIZE ((size_t)64 << 10)

static const struct option bundle_receipt_options[] = {
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write the receipt to FILE, or - for standard output" },
	{ .name = NULL },
};

/* ---- where a receipt goes ---- */

int receipt_out_open(struct receipt_out *o, const char *path, struct error *err)
{
	const char *slash = path == NULL ? NULL : strrchr(path, '/');
	char dir[4096] = ".";

	o->path = path;
	if (path == NULL)
		return 0;
	if (strcmp(path, "-") == 0) {
		o->to_stdout = true;
		if (!isatty(STDOUT_FILENO))
			return 0;
		error_set(err, ERR_USAGE, "a receipt is not written to a terminal");
		return error_hint(err, "send it into a file or a program, or give -o FILE");
	}
	if (slash != NULL)
		snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (strlen(path) >= sizeof(dir) || strlen(slash == NULL ? path : slash + 1) > OUTFILES_NAME_MAX)
		return error_set(err, ERR_USAGE, "the name of the receipt is too long");
	snprintf(o->name, sizeof(o->name), "%s", slash == NULL ? path : slash + 1);
	if (o->name[0] == '\0')
		return error_set(err, ERR_USAGE, "'%s' names no file", path);
	return outfiles_open(&o->files, dir, true, err);
}

static int copy_to_stdout(struct cmd *cmd, int from, struct error *err)
{
	uint8_t room[COPY_SIZE];
	uint64_t at = 0;
	ssize_t got;

	while ((got = file_pread(from, room, sizeof(room), at, "the receipt", err)) > 0) {
		cmd_write(cmd, slice_of(room, (size_t)got));
		at += (uint64_t)got;
	}
	return got < 0 ? -1 : cmd_flush(cmd, err);
}

static int copy_to_file(struct receipt_out *o, int from, struct error *err)
{
	const char *how;
	struct stat st;
	int to, r = -1;

	if (fstat(from, &st) < 0)
		return error_set(err, ERR_FAILED, "cannot look at the receipt");
	if ((to = outfiles_add(&o->files, o->name, err)) < 0)
		return -1;
	if (file_copy(from, to, (uint64_t)st.st_size, &how, err) == 0 && file_sync(to, o->path, err) == 0)
		r = outfiles_commit(&o->files, err);
	file_close(&to);
	return r;
}

int receipt_out_write(struct receipt_out *o, struct cmd *cmd, struct error *err)
{
	char path[4096];
	int from, r;

	if (o->path == NULL)
		return 0;
	if ((from = file_open(AT_FDCWD, path_join(path, cmd_home(cmd), "repo/receipt"), O_RDONLY, 0, err)) < 0)
		return -1;
	r = o->to_stdout ? copy_to_stdout(cmd, from, err) : copy_to_file(o, from, err);
	file_close(&from);
	return r;
}

void receipt_out_close(struct receipt_out *o)
{
	outfiles_close(&o->files);
}

/* ---- at the site ---- */

static int report_made(struct cmd *cmd, const struct receipt_out *o, const struct buf *answer, struct error *err)
{
	struct json doc = JSON_INIT;
	struct json_value v;

	if (json_parse(&doc, buf_slice(answer), JSON_STRICT, err) < 0)
		return -1;
	v = json_root(&doc);
	if (o->to_stdout) {
		cmd_note(cmd, "receipt of site '%.*s', %" PRId64 " artifacts held", SLICE_ARG(json_string(json_get(v, "site"))),
			 json_int(json_get(v, "held")));
	} else if (cmd_json(cmd)) {
		cmd_write_json(cmd, answer);
	} else {
		cmd_printf(cmd, "file     %s\n", o->path);
		cmd_printf(cmd, "receipt  %.*s\n", SLICE_ARG(json_string(json_get(v, "receipt"))));
		cmd_printf(cmd, "from     site '%.*s', with bundle number %" PRId64 "\n",
			   SLICE_ARG(json_string(json_get(v, "site"))), json_int(json_get(v, "sequence")));
		cmd_printf(cmd, "held     %" PRId64 " artifacts\n", json_int(json_get(v, "held")));
	}
	json_release(&doc);
	return 0;
}

static int make(struct cmd *cmd, struct error *err)
{
	const struct door_options options = {.home = cmd_home(cmd), .now_s = clock_now_s()};
	struct buf answer = BUF_INIT(64u << 10);
	struct receipt_out o = RECEIPT_OUT_INIT;
	struct door *d = NULL;
	int r = -1;

	if (cmd_json(cmd) && strcmp(cmd_string(cmd, "output", "-"), "-") == 0)
		return error_set(err, ERR_USAGE, "-o - and --json exclude each other");
	if (receipt_out_open(&o, cmd_string(cmd, "output", "-"), err) == 0 && (d = door_open(&options, err)) != NULL &&
	    taking_receipt(d, &answer, err) == 0 && receipt_out_write(&o, cmd, err) == 0)
		r = report_made(cmd, &o, &answer, err);
	door_close(d);
	receipt_out_close(&o);
	buf_release(&answer);
	return r;
}

/* ---- where bundles are made ---- */

int receipt_in_open(const char *path, struct error *err)
{
	if (strcmp(path, "-") != 0)
		return file_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, err);
	if (!isatty(STDIN_FILENO))
		return STDIN_FILENO;
	error_set(err, ERR_USAGE, "a receipt is not read from a terminal");
	return error_hint(err, "send it from a file or a program");
}

static void print_receipt(struct cmd *cmd, const struct receipt *r)
{
	char hex[SHA256_HEX_LEN], when[TIME_TEXT_LEN];

	hex_encode(hex, r->id, SHA256_LEN);
	cmd_printf(cmd, "receipt  %s\n", hex);
	cmd_printf(cmd, "from     site '%s', made at %s\n", r->site, time_text(when, r->created_s));
	if (r->has_bundle) {
		hex_encode(hex, r->bundle, SHA256_LEN);
		cmd_printf(cmd, "bundle   number %" PRId64 ", %s\n", r->sequence, hex);
	} else {
		cmd_printf(cmd, "bundle   none was imported yet\n");
	}
	cmd_printf(cmd, "has      root %" PRId64 ", targets %" PRId64 ", %" PRIu32 " artifacts\n",
		   receipt_version(r, "root"), receipt_version(r, "targets"), r->held_count);
	cmd_printf(cmd, "trail    record %" PRId64 "\n", r->audit.seq);
}

static int accept(struct cmd *cmd, int fd, struct error *err)
{
	const struct door_options options = {.home = cmd_home(cmd), .now_s = clock_now_s()};
	struct buf text = BUF_INIT(RECEIPT_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX), answer = BUF_INIT(64u << 10);
	struct receipt receipt = {.site = ""};
	struct held held = {.list = NULL};
	struct door *d = NULL;
	int r = -1;

	if (receipt_read(fd, &text, &signature, &receipt, &held, err) == 0 && (d = door_open(&options, err)) != NULL &&
	    bundle_receipt_accept(d, buf_slice(&text), buf_slice(&signature), &answer, err) == 0) {
		if (cmd_json(cmd)) {
			cmd_write_json(cmd, &answer);
		} else {
			print_receipt(cmd, &receipt);
			cmd_printf(cmd, "accepted: it is signed by the site, and the newest\n");
		}
		r = 0;
	}
	door_close(d);
	receipt_release(&receipt);
	held_release(&held);
	buf_release(&text);
	buf_release(&signature);
	buf_release(&answer);
	return r < 0 ? error_wrap(err, "receipt '%s'", cmd_operand(cmd, 0)) : 0;
}

static int bundle_receipt_run(struct cmd *cmd, struct error *err)
{
	int fd, r;

	if (cmd_operand_count(cmd) == 0)
		return make(cmd, err);
	if (cmd_has(cmd, "output"))
		return error_set(err, ERR_USAGE, "give either FILE, to accept a receipt, or -o FILE, to make one");
	if ((fd = receipt_in_open(cmd_operand(cmd, 0), err)) < 0)
		return -1;
	r = accept(cmd, fd, err);
	file_close(&fd);
	return r;
}

const struct command cmd_bundle_receipt = {
	.name = "bundle receipt",
	.usage = "[FILE]",
	.summary = "write what this site holds, or accept what another says it holds",
	.options = bundle_receipt_options,
	.needs = NEEDS_HOME,
	.operands_max = 1,
	.run = bundle_receipt_run,
};
