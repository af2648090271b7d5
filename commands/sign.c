/* `sign`: a file becomes a signed, published artifact, and gets a detached signature beside it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/publisher_key.h"
#include "commands/request.h"
#include "control/publication.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/latefile.h"

static const struct option sign_options[] = {
	{ .name = "namespace", .type = OPT_STRING, .value = "NS", .required = true, .help = "namespace of the artifact" },
	{ .name = "name", .type = OPT_STRING, .value = "NAME", .required = true, .help = "name of the artifact" },
	{ .name = "version", .type = OPT_STRING, .value = "VERSION", .required = true,
	  .help = "version of the artifact, for people" },
	{ .name = "kind", .type = OPT_STRING, .value = "KIND", .help = "file (the default) or model" },
	{ .name = "release", .type = OPT_INT, .value = "N", .min = 1, .max = DESCRIPTOR_RELEASE_MAX,
	  .help = "what devices compare; the next number when not given" },
	{ .name = "downgrade-from", .type = OPT_INT, .value = "N", .min = 2, .max = DESCRIPTOR_RELEASE_MAX,
	  .help = "let devices whose highest release is N go back to this one" },
	{ .name = "note", .type = OPT_STRING, .value = "TEXT", .help = "words for people, signed as well" },
	{ .name = "arch", .type = OPT_LIST, .value = "ARCH", .help = "only for this architecture; repeat" },
	{ .name = "os", .type = OPT_LIST, .value = "OS", .help = "only for this system (debian, debian-12); repeat" },
	{ .name = "model", .type = OPT_LIST, .value = "MODEL", .help = "only for this hardware model; repeat" },
	{ .name = "accelerator", .type = OPT_LIST, .value = "NAME",
	  .help = "only for devices with this accelerator; repeat" },
	{ .name = "memory-min", .type = OPT_SIZE, .value = "BYTES", .min = 1, .max = INT64_MAX,
	  .help = "only for devices with so much memory" },
	{ .name = "agent-min", .type = OPT_STRING, .value = "VERSION", .help = "only for this agent version and later" },
	{ .name = "filename", .type = OPT_STRING, .value = "NAME",
	  .help = "name of the file on the device; the artifact's when not given" },
	{ .name = "mode", .type = OPT_STRING, .value = "MODE", .help = "permission bits, four octal digits; 0644" },
	{ .name = "probe-http", .type = OPT_LIST, .value = "URL", .help = "healthy when URL answers 2xx; repeat" },
	{ .name = "probe-tcp", .type = OPT_LIST, .value = "HOST:PORT", .help = "healthy when it accepts; repeat" },
	{ .name = "probe-file", .type = OPT_LIST, .value = "PATH", .help = "healthy when PATH is not empty; repeat" },
	{ .name = "probe-timeout", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = PROBE_TIMEOUT_MAX_S,
	  .help = "of one attempt; 10s" },
	{ .name = "probe-attempts", .type = OPT_INT, .value = "N", .min = 1, .max = PROBE_ATTEMPTS_MAX,
	  .help = "before the device rolls back; 3" },
	{ .name = "probe-delay", .type = OPT_DURATION, .value = "TIME", .min = 0, .max = PROBE_DELAY_MAX_S,
	  .help = "before each attempt; 2s" },
	{ .name = "descriptor", .type = OPT_STRING, .value = "FILE",
	  .help = "take all of the above from a descriptor in JSON" },
	{ .name = "signature", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write the detached signature to FILE; the file's name and .sig when not given" },
	PUBLISHER_KEY_OPTIONS,
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* Options that --descriptor replaces. */
static const char *const descriptive[] = {
	"kind",	      "release",  "downgrade-from", "note",	   "arch",	  "os",		    "model",
	"accelerator", "memory-min", "agent-min",   "filename",	   "mode",	  "probe-http",	    "probe-tcp",
	"probe-file", "probe-timeout", "probe-attempts", "probe-delay"};

/* ---- the descriptor ---- */

static int read_descriptor(struct cmd *cmd, const char *path, struct descriptor *d, struct error *err)
{
	struct buf text = BUF_INIT(DESCRIPTOR_SIZE_MAX);
	unsigned i;
	int r = -1;

	for (i = 0; i < ARRAY_SIZE(descriptive); i++) {
		if (cmd_has(cmd, descriptive[i]))
			return error_set(err, ERR_USAGE, "--descriptor and --%s exclude each other", descriptive[i]);
	}
	if (file_read(AT_FDCWD, path, &text, err) == 0)
		r = descriptor_parse_text(d, buf_slice(&text), err) < 0 ? error_wrap(err, "'%s'", path) : 0;
	buf_release(&text);
	return r;
}

static void add_list(struct cmd *cmd, const char *option, struct text_list *out)
{
	unsigned i;

	for (i = 0; i < cmd_list_count(cmd, option); i++)
		text_list_add(out, cmd_list(cmd, option, i));
}

static char *text_or_null(struct cmd *cmd, const char *option)
{
	const char *text = cmd_string(cmd, option, NULL);

	return text == NULL ? NULL : xstrdup(text);
}

static void add_probes(struct cmd *cmd, struct descriptor *d, const char *option, enum probe_type type)
{
	unsigned i, n = cmd_list_count(cmd, option);

	d->probes = xreallocarray(d->probes, (size_t)d->probe_count + n, sizeof(d->probes[0]));
	for (i = 0; i < n; i++)
		d->probes[d->probe_count++] = (struct probe){
			.type = type,
			.target = xstrdup(cmd_list(cmd, option, i)),
			.timeout_s = cmd_int(cmd, "probe-timeout", 10),
			.attempts = cmd_int(cmd, "probe-attempts", 3),
			.delay_s = cmd_int(cmd, "probe-delay", 2),
		};
}

static int parse_mode(struct cmd *cmd, uint32_t *mode, struct error *err)
{
	const char *text = cmd_string(cmd, "mode", "0644");
	size_t i;

	*mode = 0;
	for (i = 0; text[i] >= '0' && text[i] <= '7' && i < 4; i++)
		*mode = *mode << 3 | (uint32_t)(text[i] - '0');
	if (i != 4 || text[4] != '\0' || *mode > 0777)
		return error_set(err, ERR_USAGE, "--mode '%s' is not four octal digits up to 0777", text);
	return 0;
}

/* release stays 0 when it is not given: the next one is found when the published file is at hand. */
static int make_descriptor(struct cmd *cmd, struct descriptor *d, struct error *err)
{
	const char *kind = cmd_string(cmd, "kind", "file"), *path = cmd_string(cmd, "descriptor", NULL);
	struct descriptor probe;

	*d = (struct descriptor){.kind = payload_kind_by_name(slice_str(kind))};
	if (path != NULL)
		return read_descriptor(cmd, path, d, err);
	if (d->kind != PAYLOAD_FILE && d->kind != PAYLOAD_MODEL) {
		error_set(err, ERR_USAGE, "--kind '%s' is not file or model", kind);
		return error_hint(err, "other kinds are described in a file: --descriptor");
	}
	d->release = cmd_int(cmd, "release", 0);
	d->downgrade_from = cmd_int(cmd, "downgrade-from", 0);
	d->note = text_or_null(cmd, "note");
	add_list(cmd, "arch", &d->compat.arch);
	add_list(cmd, "os", &d->compat.os);
	add_list(cmd, "model", &d->compat.model);
	add_list(cmd, "accelerator", &d->compat.accelerator);
	d->compat.memory_min = cmd_int(cmd, "memory-min", 0);
	d->compat.agent_min = text_or_null(cmd, "agent-min");
	d->placement.filename = text_or_null(cmd, "filename");
	add_probes(cmd, d, "probe-http", PROBE_HTTP);
	add_probes(cmd, d, "probe-tcp", PROBE_TCP);
	add_probes(cmd, d, "probe-file", PROBE_FILE);
	if (parse_mode(cmd, &d->placement.mode, err) < 0)
		return -1;
	if (d->downgrade_from > 0 && d->release == 0) {
		error_set(err, ERR_USAGE, "--downgrade-from needs --release, the lower number to go back to");
		return -1;
	}
	probe = *d;	/* with some release, to find what is wrong before a long copy */
	probe.release = d->release == 0 ? 1 : d->release;
	if (descriptor_check(&probe, err) < 0) {
		err->kind = ERR_USAGE;
		return -1;
	}
	return 0;
}

/* ---- the work ---- */

static void show_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	cmd_progress(arg, what, done, total);
}

static void report(struct cmd *cmd, const struct publication *p, const char *signature)
{
	struct buf out = BUF_INIT(1u << 20);
	struct json_writer w = JSON_WRITER(&out);
	char hex[SHA256_HEX_LEN], size[32];

	hex_encode(hex, p->sha256, SHA256_LEN);
	json_open_object(&w, NULL);
	json_put_string(&w, "artifact", p->path);
	json_put_string(&w, "publisher", p->role);
	json_put_string(&w, "file", p->file);
	json_put_int(&w, "version", p->version);
	json_put_bool(&w, "unchanged", p->unchanged);
	json_put_int(&w, "bytes", (int64_t)p->bytes);
	json_put_string(&w, "sha256", hex);
	descriptor_put(&w, "descriptor", p->descriptor);
	json_put_string(&w, "signature", signature);
	json_put_int(&w, "copy_ms", p->copy_ms);
	json_put_int(&w, "hash_ms", p->hash_ms);
	json_put_int(&w, "sync_ms", p->sync_ms);
	json_put_string(&w, "copied_by", p->copied_by);
	json_close(&w);
	if (cmd_json(cmd)) {
		cmd_write_json(cmd, &out);
	} else {
		cmd_printf(cmd, "artifact   %s%s\n", p->path, p->unchanged ? ", published so already" : "");
		cmd_printf(cmd, "publisher  %s, version %" PRId64 "%s%s\n", p->role, p->version,
			   strcmp(p->file, p->role) == 0 ? "" : " of ", strcmp(p->file, p->role) == 0 ? "" : p->file);
		cmd_printf(cmd, "release    %" PRId64 "\n", p->descriptor->release);
		cmd_printf(cmd, "size       %s\n", size_text(size, p->bytes));
		cmd_printf(cmd, "sha256     %s\n", hex);
		cmd_printf(cmd, "signature  %s\n", signature);
		if (cmd_verbose(cmd))
			cmd_note(cmd, "copied in %" PRId64 " ms (%s), hashed in %" PRId64 " ms, synced in %" PRId64 " ms",
				 p->copy_ms, p->copied_by, p->hash_ms, p->sync_ms);
	}
	buf_release(&out);
}

static int publish(struct cmd *cmd, struct publication *p, struct publisher_key *key, struct latefile *signature,
		   struct error *err)
{
	p->key = publisher_key_get;
	p->key_arg = key;
	p->progress = show_progress;
	p->progress_arg = cmd;
	p->now_s = clock_now_s();
	p->publisher = cmd_string(cmd, "publisher", NULL);
	if ((p->door = request_door(cmd, err)) == NULL)
		return -1;
	/* A key from elsewhere signs what we have hashed ourselves, not what another process says. */
	publisher_key_terms(key, p);
	p->believe_door = !p->wary;
	if (publication_publish(p, err) < 0)
		return -1;
	cmd_progress_end(cmd);
	return latefile_commit(signature, buf_slice(&p->signature), err);
}

static int sign_run(struct cmd *cmd, struct error *err)
{
	struct publication p = {.fd = -1, .signature = BUF_INIT(0)};
	struct publisher_key key = {.cmd = cmd};
	struct latefile late = LATEFILE_INIT;
	struct descriptor d = {.kind = 0};
	char signature[4096] = "", path[TARGET_PATH_MAX + 1];
	const char *file = cmd_operand(cmd, 0), *output = cmd_string(cmd, "signature", signature);
	int r = -1;

	p.descriptor = &d;
	p.path = path;
	snprintf(path, sizeof(path), "%s/%s/%s", cmd_string(cmd, "namespace", ""), cmd_string(cmd, "name", ""),
		 cmd_string(cmd, "version", ""));
	if (snprintf(signature, sizeof(signature), "%s.sig", file) >= (int)sizeof(signature)) {
		error_set(err, ERR_USAGE, "the file's name is too long");
		goto out;
	}
	if (target_path_check(slice_str(path), err) < 0) {
		err->kind = ERR_USAGE;
		goto out;
	}
	if (make_descriptor(cmd, &d, err) < 0 ||
	    (p.fd = file_open(AT_FDCWD, file, O_RDONLY | O_NONBLOCK, 0, err)) < 0 ||
	    publisher_key_begin(&key, cmd, err) < 0 || latefile_open(&late, output, 0644, err) < 0 ||
	    publish(cmd, &p, &key, &late, err) < 0) {
		if (err->kind == ERR_USAGE && p.fd >= 0)
			error_wrap(err, "cannot sign '%s'", file);
		goto out;
	}
	report(cmd, &p, output);
	r = 0;
out:
	cmd_progress_end(cmd);
	latefile_abort(&late);
	door_close(p.door);
	publisher_key_release(&key);
	descriptor_release(&d);
	buf_release(&p.signature);
	file_close(&p.fd);
	return r;
}

const struct command cmd_sign = {
	.name = "sign",
	.usage = "FILE",
	.summary = "sign a file as an artifact and publish it",
	.options = sign_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = sign_run,
};
