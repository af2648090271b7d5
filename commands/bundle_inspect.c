/* `bundle inspect`: what is in a bundle, for whom, and how long it will do. */
#include <inttypes.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/bundles.h"
#include "sys/clock.h"

static const struct option bundle_inspect_options[] = {
	BUNDLE_ROOT_OPTION,
	{ .name = "members", .type = OPT_FLAG, .help = "list every member: bytes, SHA-256, name" },
	{ .name = NULL },
};

/* Members of a sort. */
struct tally {
	const char *what;
	uint32_t count;
	uint64_t bytes;
};
enum { ROOTS, ONLINE, TARGETS, PUBLISHERS, ARTIFACTS, SORTS };

struct summary {
	struct tally sorts[SORTS];
	char first[NAME_LEN_MAX + 1];	/* the role that expires first; "": no metadata inside */
	int64_t first_expires_s;
};

static int sort_of(enum member_kind kind)
{
	static const int sorts[] = {
		[MEMBER_ROOT] = ROOTS, [MEMBER_TIMESTAMP] = ONLINE, [MEMBER_SNAPSHOT] = ONLINE,
		[MEMBER_TARGETS] = TARGETS, [MEMBER_ROLE] = PUBLISHERS, [MEMBER_ARTIFACT] = ARTIFACTS,
	};

	return sorts[kind];
}

static void count(struct summary *s, const struct manifest *m)
{
	static const char *const words[SORTS] = {"roots", "online metadata", "targets", "publishers", "artifacts"};
	struct manifest_iter it = manifest_iter(m);
	struct member member;
	int i;

	for (i = 0; i < SORTS; i++)
		s->sorts[i].what = words[i];
	while (manifest_next(&it, &member)) {
		s->sorts[sort_of(member.kind)].count++;
		s->sorts[sort_of(member.kind)].bytes += member.length;
	}
}

static void note(struct summary *s, const char *role, int64_t expires_s)
{
	if (s->first[0] != '\0' && s->first_expires_s <= expires_s)
		return;
	snprintf(s->first, sizeof(s->first), "%s", role);
	s->first_expires_s = expires_s;
}

/* When a file that is well-formed expires; what is not, is for `bundle verify` to tell. */
static void note_file(struct summary *s, const struct bundle_file *f)
{
	struct error ignored = ERROR_INIT;
	struct tuf_timestamp *timestamp = NULL;
	struct tuf_snapshot *snapshot = NULL;
	struct tuf_targets *targets = NULL;
	struct slice text = buf_slice(&f->bytes);

	if (f->member.kind == MEMBER_TIMESTAMP && (timestamp = tuf_timestamp_parse(text, &ignored)) != NULL)
		note(s, "timestamp", timestamp->head.expires_s);
	else if (f->member.kind == MEMBER_SNAPSHOT && (snapshot = tuf_snapshot_parse(text, &ignored)) != NULL)
		note(s, "snapshot", snapshot->head.expires_s);
	else if ((f->member.kind == MEMBER_TARGETS || f->member.kind == MEMBER_ROLE) &&
		 (targets = tuf_targets_parse_folded(text, &ignored)) != NULL)
		note(s, f->member.role, targets->head.expires_s);
	tuf_timestamp_free(timestamp);
	tuf_snapshot_free(snapshot);
	tuf_targets_free(targets);
}

static void summarize(struct summary *s, const struct bundle_check *c)
{
	unsigned i;

	count(s, &c->manifest);
	if (c->root != NULL)
		note(s, "root", c->root->head.expires_s);
	for (i = 0; i < c->file_count; i++)
		note_file(s, &c->files[i]);
}

/* ---- telling ---- */

static void put_members(struct json_writer *w, const struct manifest *m)
{
	struct manifest_iter it = manifest_iter(m);
	struct member member;

	json_open_array(w, "list");
	while (manifest_next(&it, &member)) {
		json_open_object(w, NULL);
		json_put_string(w, "name", member.name);
		json_put_int(w, "length", (int64_t)member.length);
		json_put_hex(w, "sha256", member.sha256, SHA256_LEN);
		json_close(w);
	}
	json_close(w);
}

static void report_json(struct cmd *cmd, const struct bundle_check *c, const struct summary *s)
{
	static const char *const names[SORTS] = {"roots", "online", "targets", "publishers", "artifacts"};
	struct buf out = BUF_INIT(SIZE_MAX / 2);
	struct json_writer w = JSON_WRITER(&out);
	char text[TIME_TEXT_LEN];
	int i;

	json_open_object(&w, NULL);
	bundle_put_manifest(&w, &c->manifest);
	json_open_object(&w, "inside");
	for (i = 0; i < SORTS; i++) {
		json_open_object(&w, names[i]);
		json_put_int(&w, "members", s->sorts[i].count);
		json_put_int(&w, "bytes", (int64_t)s->sorts[i].bytes);
		json_close(&w);
	}
	json_close(&w);
	json_put_string(&w, "good_until", s->first[0] == '\0' ? NULL : time_text(text, s->first_expires_s));
	json_put_string(&w, "first_to_expire", s->first[0] == '\0' ? NULL : s->first);
	json_put_string(&w, "signature", c->verified ? "good" : "not checked");
	json_put_string(&w, "keyid", c->verified ? c->keyid : NULL);
	if (cmd_flag(cmd, "members"))
		put_members(&w, &c->manifest);
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

static void report_people(struct cmd *cmd, const struct bundle_check *c, const struct summary *s)
{
	const struct manifest *m = &c->manifest;
	struct manifest_iter it = manifest_iter(m);
	struct member member;
	char text[TIME_TEXT_LEN], size[32];
	int i;

	bundle_print_manifest(cmd, m);
	if (s->first[0] != '\0')
		cmd_printf(cmd, "good until   %s, when %s expires\n", time_text(text, s->first_expires_s), s->first);
	if (c->verified)
		cmd_printf(cmd, "signature    good, by record key %.16s...\n", c->keyid);
	else
		cmd_printf(cmd, "signature    not checked\n");
	cmd_printf(cmd, "versions     root %" PRId64 ", targets %" PRId64 "\n", m->versions.root, m->versions.targets);
	if (m->kind == BUNDLE_DEVICE)
		cmd_printf(cmd, "             snapshot %" PRId64 ", timestamp %" PRId64 "\n", m->versions.snapshot,
			   m->versions.timestamp);
	for (i = 0; i < SORTS; i++)
		cmd_printf(cmd, "%-12s %6" PRIu32 "  %10s  %s\n", i == 0 ? "inside" : "", s->sorts[i].count,
			   size_text(size, s->sorts[i].bytes), s->sorts[i].what);
	while (cmd_flag(cmd, "members") && manifest_next(&it, &member)) {
		char hex[SHA256_HEX_LEN];

		hex_encode(hex, member.sha256, SHA256_LEN);
		cmd_printf(cmd, "%12" PRIu64 "  %s  %s\n", member.length, hex, member.name);
	}
}

static int bundle_inspect_run(struct cmd *cmd, struct error *err)
{
	const struct bundle_check_options o = {
		.find = bundle_find_root, .arg = cmd, .look = true, .any_kind = true, .now_s = clock_now_s()};
	struct bundle_check c = BUNDLE_CHECK_INIT;
	struct summary s = {.first = ""};
	struct bundle_reader *r = bundle_of_operands(cmd, err);
	int ret = -1;

	if (r != NULL && bundle_check(&c, r, &o, err) == 0) {
		summarize(&s, &c);
		if (cmd_json(cmd))
			report_json(cmd, &c, &s);
		else
			report_people(cmd, &c, &s);
		if (!c.verified)
			cmd_note(cmd, "to check who made it, name a root of the site with --root");
		ret = 0;
	}
	bundle_reader_free(r);
	bundle_check_release(&c);
	return ret;
}

const struct command cmd_bundle_inspect = {
	.name = "bundle inspect",
	.usage = "FILE...",
	.summary = "show what is in a bundle, for whom, and how long it will do",
	.options = bundle_inspect_options,
	.operands_min = 1,
	.operands_max = BUNDLE_VOLUMES_MAX,
	.run = bundle_inspect_run,
};
