/* bundle.json, written and read line by line; and volume.json. */
#include "bundle/manifest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "bundle/fields.h"
#include "tuf/metadata.h"

#define HEAD_BEGIN "{\"bundle\":"
#define HEAD_END ","
#define MEMBERS_BEGIN "\"members\":["
#define MEMBERS_END "]}"

void manifest_release(struct manifest *m)
{
	struct buf text = m->text;

	buf_release(&text);
	*m = MANIFEST_INIT;
}

/* ---- names of members ---- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* N of "N.ROLE", without a leading zero; at is behind it afterwards. -1: no such number. */
static int take_version(struct slice s, size_t *at, int64_t *version)
{
	int64_t v = 0;
	size_t i = 0;

	while (i < s.len && i < 17 && is_digit(s.ptr[i]))
		v = v * 10 + (s.ptr[i++] - '0');
	if (i == 0 || s.ptr[0] == '0' || v > TUF_VERSION_MAX)
		return -1;
	*version = v;
	*at = i;
	return 0;
}

static enum member_kind kind_of_role(const char *role)
{
	if (strcmp(role, "root") == 0)
		return MEMBER_ROOT;
	if (strcmp(role, "snapshot") == 0)
		return MEMBER_SNAPSHOT;
	return strcmp(role, "targets") == 0 ? MEMBER_TARGETS : MEMBER_ROLE;
}

/* rest: what stands between "metadata/" and ".json". */
static int classify_metadata(struct member *m, struct slice rest, struct error *err)
{
	struct slice role = rest;
	size_t at = 0;

	m->version = 0;
	if (slice_equal_str(rest, "timestamp")) {
		m->kind = MEMBER_TIMESTAMP;
		snprintf(m->role, sizeof(m->role), "timestamp");
		return 0;
	}
	if (take_version(rest, &at, &m->version) < 0 || at == rest.len || rest.ptr[at] != '.')
		return error_set(err, ERR_MALFORMED, "'%s' has no version in its name", m->name);
	role = slice_sub(rest, at + 1, rest.len);
	if (name_check(role, "role", err) < 0)
		return -1;
	memcpy(m->role, role.ptr, role.len);
	m->role[role.len] = '\0';
	m->kind = kind_of_role(m->role);
	if (strcmp(m->role, "timestamp") == 0)
		return error_set(err, ERR_MALFORMED, "'%s': the timestamp has no version in its name", m->name);
	return 0;
}

int member_classify(struct member *m, struct error *err)
{
	struct slice name = slice_str(m->name), head = SLICE_LIT("metadata/"), tail = SLICE_LIT(".json");
	uint8_t hash[SHA256_LEN];

	if (slice_starts(name, SLICE_LIT("targets/"))) {
		if (hash_parse(hash, slice_sub(name, strlen("targets/"), name.len), err) < 0)
			return error_wrap(err, "'%s'", m->name);
		m->kind = MEMBER_ARTIFACT;
		m->role[0] = '\0';
		m->version = 0;
		return 0;
	}
	if (name.len > head.len + tail.len && slice_starts(name, head) && slice_ends(name, tail))
		return classify_metadata(m, slice_sub(name, head.len, name.len - head.len - tail.len), err);
	return error_set(err, ERR_MALFORMED, "'%s' has no place in a bundle", m->name);
}

/* ---- one line of a member ---- */

static bool take_literal(struct slice *s, struct slice want)
{
	if (!slice_starts(*s, want))
		return false;
	*s = slice_sub(*s, want.len, s->len);
	return true;
}

/* A number without a leading zero, of at most 16 digits. */
static bool take_number(struct slice *s, uint64_t *out)
{
	size_t i = 0;

	for (*out = 0; i < s->len && i < 17 && is_digit(s->ptr[i]); i++)
		*out = *out * 10 + (uint64_t)(s->ptr[i] - '0');
	if (i == 0 || i == 17 || (i > 1 && s->ptr[0] == '0'))
		return false;
	*s = slice_sub(*s, i, s->len);
	return true;
}

static uint64_t length_max(enum member_kind kind)
{
	switch (kind) {
	case MEMBER_ROOT:
		return TUF_ROOT_MAX;
	case MEMBER_TIMESTAMP:
		return TUF_TIMESTAMP_MAX;
	case MEMBER_SNAPSHOT:
	case MEMBER_TARGETS:
	case MEMBER_ROLE:
		return TUF_SIGNED_MAX;
	case MEMBER_ARTIFACT:
		break;
	}
	return BUNDLE_ARTIFACT_MAX;
}

static bool take_name(struct slice *s, struct member *out)
{
	size_t quote = slice_find(*s, '"', 0);

	if (quote == SIZE_MAX || quote == 0 || quote > TAR_NAME_MAX || memchr(s->ptr, '\0', quote) != NULL)
		return false;
	memcpy(out->name, s->ptr, quote);
	out->name[quote] = '\0';
	*s = slice_sub(*s, quote, s->len);
	return true;
}

/* line: without the comma and the newline that follow it. */
static int parse_member(struct slice line, struct member *out, struct error *err)
{
	struct slice s = line;

	if (!take_literal(&s, SLICE_LIT("{\"length\":")) || !take_number(&s, &out->length) ||
	    !take_literal(&s, SLICE_LIT(",\"name\":\"")) || !take_name(&s, out) ||
	    !take_literal(&s, SLICE_LIT("\",\"sha256\":\"")) || s.len != 2 * SHA256_LEN + 2 ||
	    hash_parse(out->sha256, slice_sub(s, 0, 2 * SHA256_LEN), err) < 0 ||
	    memcmp(s.ptr + 2 * SHA256_LEN, "\"}", 2) != 0)
		return error_set(err, ERR_MALFORMED, "not of the form {\"length\":N,\"name\":\"...\",\"sha256\":\"...\"}");
	if (member_classify(out, err) < 0)
		return -1;
	if (out->length > length_max(out->kind))
		return error_set(err, ERR_LIMIT, "'%s' is listed with %" PRIu64 " bytes, more than %" PRIu64, out->name,
				 out->length, length_max(out->kind));
	if (out->kind == MEMBER_ARTIFACT && memcmp(out->name + strlen("targets/"), s.ptr, 2 * SHA256_LEN) != 0)
		return error_set(err, ERR_MALFORMED, "'%s' is listed with another SHA-256 than its name", out->name);
	return 0;
}

/*
 * Cut the next line off rest, without its newline. A line longer than max is an error, and so is a last one without
 * a newline.
 */
static int take_line(struct slice *rest, size_t max, struct slice *line, struct error *err)
{
	size_t end = slice_find(slice_sub(*rest, 0, max), '\n', 0);

	if (end == SIZE_MAX && rest->len >= max)
		return error_set(err, ERR_LIMIT, "longer than %zu bytes", max);
	if (end == SIZE_MAX)
		return error_set(err, ERR_MALFORMED, "the manifest ends where a line should");
	*line = slice_sub(*rest, 0, end);
	*rest = slice_sub(*rest, end + 1, rest->len);
	return 0;
}

/* ---- the order of members ---- */

/* What has been seen of the members so far. */
struct walk {
	uint32_t count;
	uint64_t bytes;
	unsigned seen;			/* a bit for each enum member_kind */
	struct member last;
	int64_t root, snapshot, targets;
};

static int check_kind(const struct manifest *m, const struct walk *w, const struct member *now, struct error *err)
{
	bool once = now->kind == MEMBER_TIMESTAMP || now->kind == MEMBER_SNAPSHOT || now->kind == MEMBER_TARGETS;

	if (m->kind == BUNDLE_SITE && (now->kind == MEMBER_TIMESTAMP || now->kind == MEMBER_SNAPSHOT))
		return error_set(err, ERR_MALFORMED, "'%s' has no place in a bundle of kind site", now->name);
	if (w->count > 0 && (now->kind < w->last.kind || (once && now->kind == w->last.kind)))
		return error_set(err, ERR_MALFORMED, "'%s' is out of order after '%s'", now->name, w->last.name);
	return 0;
}

/* Members of one kind: roots without a gap, the others ascending. */
static int check_order(const struct manifest *m, const struct walk *w, const struct member *now, struct error *err)
{
	if (check_kind(m, w, now, err) < 0)
		return -1;
	if (w->count == 0 || now->kind != w->last.kind)
		return 0;
	if (now->kind == MEMBER_ROOT && now->version != w->last.version + 1)
		return error_set(err, ERR_MALFORMED, "'%s' is not the root after '%s'", now->name, w->last.name);
	if ((now->kind == MEMBER_ROLE && strcmp(now->role, w->last.role) <= 0) ||
	    (now->kind == MEMBER_ARTIFACT && strcmp(now->name, w->last.name) <= 0))
		return error_set(err, ERR_MALFORMED, "'%s' is out of order or doubled after '%s'", now->name,
				 w->last.name);
	return 0;
}

static int walk_member(const struct manifest *m, struct walk *w, const struct member *now, struct error *err)
{
	if (check_order(m, w, now, err) < 0)
		return -1;
	if (w->count == m->members)
		return error_set(err, ERR_MALFORMED, "more members than the %u of the first line", m->members);
	if (now->length > m->bytes - w->bytes)
		return error_set(err, ERR_MALFORMED, "more bytes than the %" PRIu64 " of the first line", m->bytes);
	w->count++;
	w->bytes += now->length;
	w->seen |= 1u << now->kind;
	if (now->kind == MEMBER_ROOT)
		w->root = now->version;
	else if (now->kind == MEMBER_SNAPSHOT)
		w->snapshot = now->version;
	else if (now->kind == MEMBER_TARGETS)
		w->targets = now->version;
	w->last = *now;
	return 0;
}

static int version_differs(const char *role, int64_t member, int64_t head, struct error *err)
{
	return error_set(err, ERR_MALFORMED, "the newest %s listed is %" PRId64 ", and not %" PRId64
			 " as the first line says", role, member, head);
}

static int check_walked(const struct manifest *m, const struct walk *w, struct error *err)
{
	unsigned need = m->kind == BUNDLE_SITE
				? 1u << MEMBER_TARGETS
				: 1u << MEMBER_TARGETS | 1u << MEMBER_SNAPSHOT | 1u << MEMBER_TIMESTAMP;

	if ((w->seen & need) != need)
		return error_set(err, ERR_MALFORMED, "%s not listed", m->kind == BUNDLE_SITE
				 ? "targets are" : "timestamp, snapshot or targets are");
	if (w->root != 0 && w->root != m->versions.root)
		return version_differs("root", w->root, m->versions.root, err);
	if (w->targets != m->versions.targets)
		return version_differs("targets", w->targets, m->versions.targets, err);
	if (w->snapshot != m->versions.snapshot)
		return version_differs("snapshot", w->snapshot, m->versions.snapshot, err);
	if (w->count != m->members || w->bytes != m->bytes)
		return error_set(err, ERR_MALFORMED, "%u members of %" PRIu64 " bytes are listed, and not %u of %" PRIu64
				 " as the first line says", w->count, w->bytes, m->members, m->bytes);
	return 0;
}

/* All lines after the first two. */
static int check_members(const struct manifest *m, struct slice rest, struct error *err)
{
	struct walk w = {.count = 0};
	struct slice line;
	struct member now;
	bool comma = true;

	for (;;) {
		unsigned number = w.count + 3;

		if (take_line(&rest, MANIFEST_LINE_MAX, &line, err) < 0)
			return error_wrap(err, "line %u", number);
		if (slice_equal_str(line, MEMBERS_END))
			break;
		if (!comma)
			return error_set(err, ERR_MALFORMED, "line %u: no comma stands before it", number);
		comma = slice_ends(line, SLICE_LIT(","));
		if (parse_member(slice_sub(line, 0, line.len - comma), &now, err) < 0 ||
		    walk_member(m, &w, &now, err) < 0)
			return error_wrap(err, "line %u", number);
	}
	if (rest.len > 0)
		return error_set(err, ERR_MALFORMED, "something stands behind the last line");
	if (comma)
		return error_set(err, ERR_MALFORMED, "a comma stands behind the last member, or there is none");
	return check_walked(m, &w, err);
}

/* ---- the first line ---- */

static const char *const kind_names[] = {[BUNDLE_SITE] = "site", [BUNDLE_DEVICE] = "device"};

static void put_versions(struct json_writer *w, const struct manifest *m)
{
	json_open_object(w, "versions");
	json_put_int(w, "root", m->versions.root);
	if (m->kind == BUNDLE_DEVICE)
		json_put_int(w, "snapshot", m->versions.snapshot);
	json_put_int(w, "targets", m->versions.targets);
	if (m->kind == BUNDLE_DEVICE)
		json_put_int(w, "timestamp", m->versions.timestamp);
	json_close(w);
}

/* The object of the first line; names ascend. */
static void put_head(struct buf *out, const struct manifest *m)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	field_put_audit(&w, &m->audit);
	json_put_int(&w, "bytes", (int64_t)m->bytes);
	json_put_bool(&w, "complete", m->complete);
	field_put_time(&w, "created", m->created_s);
	json_put_string(&w, "format", BUNDLE_FORMAT);
	json_put_string(&w, "kind", kind_names[m->kind]);
	json_put_int(&w, "members", m->members);
	json_put_string(&w, "origin", m->origin);
	json_put_int(&w, "sequence", m->sequence);
	field_put_hash(&w, "since", m->has_since, m->since);
	json_put_string(&w, "site", m->site);
	field_put_time(&w, "valid_until", m->valid_until_s);
	put_versions(&w, m);
	json_close(&w);
}

static int parse_versions(struct manifest *m, struct json_value head, struct error *err)
{
	static const char *const of_site[] = {"root", "targets", NULL};
	static const char *const of_device[] = {"root", "snapshot", "targets", "timestamp", NULL};
	struct json_value v;

	if (json_need_object(head, "versions", &v, err) < 0)
		return -1;
	if (json_only(v, m->kind == BUNDLE_SITE ? of_site : of_device, err) < 0 ||
	    json_need_int(v, "root", 1, TUF_VERSION_MAX, &m->versions.root, err) < 0 ||
	    json_need_int(v, "targets", 1, TUF_VERSION_MAX, &m->versions.targets, err) < 0)
		return error_wrap(err, "member 'versions'");
	if (m->kind == BUNDLE_DEVICE &&
	    (json_need_int(v, "snapshot", 1, TUF_VERSION_MAX, &m->versions.snapshot, err) < 0 ||
	     json_need_int(v, "timestamp", 1, TUF_VERSION_MAX, &m->versions.timestamp, err) < 0))
		return error_wrap(err, "member 'versions'");
	return 0;
}

static int parse_kind(struct manifest *m, struct json_value head, struct error *err)
{
	struct slice kind;

	if (json_need_string(head, "kind", &kind, err) < 0)
		return -1;
	m->kind = slice_equal_str(kind, kind_names[BUNDLE_DEVICE]) ? BUNDLE_DEVICE : BUNDLE_SITE;
	if (!slice_equal_str(kind, kind_names[m->kind]))
		return error_set(err, ERR_MALFORMED, "member 'kind' is '%.*s', neither 'site' nor 'device'",
				 SLICE_ARG(slice_sub(kind, 0, 40)));
	return 0;
}

static int parse_fields(struct manifest *m, struct json_value head, struct error *err)
{
	static const char *const names[] = {"audit", "bytes", "complete", "created", "format", "kind", "members",
		"origin", "sequence", "since", "site", "valid_until", "versions", NULL};
	int64_t members, bytes;

	if (field_format(head, BUNDLE_FORMAT, err) < 0 || json_only(head, names, err) < 0 ||
	    parse_kind(m, head, err) < 0 || field_name(head, "site", m->site, err) < 0 ||
	    field_name(head, "origin", m->origin, err) < 0 ||
	    json_need_int(head, "sequence", 1, FIELD_NUMBER_MAX, &m->sequence, err) < 0 ||
	    field_time(head, "created", &m->created_s, err) < 0 ||
	    field_time(head, "valid_until", &m->valid_until_s, err) < 0 ||
	    json_need_bool(head, "complete", &m->complete, err) < 0 ||
	    field_hash_or_null(head, "since", &m->has_since, m->since, err) < 0 ||
	    field_audit(head, &m->audit, err) < 0 || parse_versions(m, head, err) < 0 ||
	    json_need_int(head, "members", 1, BUNDLE_MEMBERS_MAX, &members, err) < 0 ||
	    json_need_int(head, "bytes", 0, INT64_MAX, &bytes, err) < 0)
		return -1;
	m->members = (uint32_t)members;
	m->bytes = (uint64_t)bytes;
	return 0;
}

/* What has to hold between fields. */
static int check_fields(const struct manifest *m, struct error *err)
{
	if ((strcmp(m->site, m->origin) == 0) != (m->kind == BUNDLE_DEVICE))
		return error_set(err, ERR_MALFORMED, m->kind == BUNDLE_DEVICE
				 ? "a bundle for devices is not of their own site: site '%s', origin '%s'"
				 : "a bundle for another site is for the one that made it: site '%s', origin '%s'",
				 m->site, m->origin);
	if (m->valid_until_s <= m->created_s)
		return error_set(err, ERR_MALFORMED, "member 'valid_until' is not after 'created'");
	return 0;
}

/* text: the object. One meaning has one form, so that what is signed cannot be read in two ways. */
static int parse_head(struct manifest *m, struct slice text, struct error *err)
{
	struct buf again = BUF_INIT(MANIFEST_HEAD_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, text, JSON_STRICT, err) < 0 || parse_fields(m, json_root(&doc), err) < 0 ||
	    check_fields(m, err) < 0)
		goto out;
	put_head(&again, m);
	if (!slice_equal(buf_slice(&again), text)) {
		error_set(err, ERR_MALFORMED, "its members are not in order, or there is white space between them");
		goto out;
	}
	r = 0;
out:
	buf_release(&again);
	json_release(&doc);
	return r;
}

static int parse_text(struct manifest *m, struct error *err)
{
	struct slice rest = buf_slice(&m->text), line;
	struct slice begin = SLICE_LIT(HEAD_BEGIN), end = SLICE_LIT(HEAD_END);

	if (rest.len > MANIFEST_MAX)
		return error_set(err, ERR_LIMIT, "larger than %u bytes", MANIFEST_MAX);
	if (take_line(&rest, MANIFEST_HEAD_MAX, &line, err) < 0)
		return error_wrap(err, "line 1");
	if (line.len <= begin.len + end.len || !slice_starts(line, begin) || !slice_ends(line, end))
		return error_set(err, ERR_MALFORMED, "line 1: not of the form " HEAD_BEGIN "{...}" HEAD_END);
	if (parse_head(m, slice_sub(line, begin.len, line.len - begin.len - end.len), err) < 0 ||
	    take_line(&rest, MANIFEST_LINE_MAX, &line, err) < 0)
		return error_wrap(err, "line 1");
	if (!slice_equal_str(line, MEMBERS_BEGIN))
		return error_set(err, ERR_MALFORMED, "line 2: is not " MEMBERS_BEGIN);
	return check_members(m, rest, err);
}

int manifest_parse(struct manifest *m, struct buf *text, struct error *err)
{
	*m = MANIFEST_INIT;
	m->text = *text;
	*text = BUF_INIT(text->max);
	if (parse_text(m, err) < 0) {
		manifest_release(m);
		return error_wrap(err, BUNDLE_MANIFEST);
	}
	sha256_of(buf_slice(&m->text), m->id);
	return 0;
}

/* ---- walking ---- */

struct manifest_iter manifest_iter(const struct manifest *m)
{
	struct slice text = buf_slice(&m->text);
	size_t first = slice_find(text, '\n', 0), second = first == SIZE_MAX ? first : slice_find(text, '\n', first + 1);

	return (struct manifest_iter){.rest = second == SIZE_MAX ? SLICE_EMPTY : slice_sub(text, second + 1, text.len)};
}

bool manifest_next(struct manifest_iter *it, struct member *out)
{
	struct error ignored = ERROR_INIT;
	struct slice line;

	if (take_line(&it->rest, MANIFEST_LINE_MAX, &line, &ignored) < 0)
		return false;
	if (slice_ends(line, SLICE_LIT(",")))
		line.len--;
	if (parse_member(line, out, &ignored) < 0) {
		it->rest = SLICE_EMPTY;
		return false;
	}
	it->index++;
	return true;
}

/* ---- writing ---- */

int manifest_begin(struct manifest *m, struct error *err)
{
	if (m->members > BUNDLE_MEMBERS_MAX)
		return error_set(err, ERR_LIMIT, "a bundle of %u members is larger than %d", m->members,
				 BUNDLE_MEMBERS_MAX);
	buf_clear(&m->text);
	buf_put_str(&m->text, HEAD_BEGIN);
	put_head(&m->text, m);
	buf_put_str(&m->text, HEAD_END "\n" MEMBERS_BEGIN "\n");
	return m->text.failed ? error_set(err, ERR_LIMIT, BUNDLE_MANIFEST " is larger than %zu bytes", m->text.max) : 0;
}

void manifest_add(struct manifest *m, const struct member *member)
{
	char hex[SHA256_HEX_LEN];

	if (m->text.failed)
		return;
	if (m->text.ptr[m->text.len - 2] == '}') {
		m->text.ptr[m->text.len - 1] = ',';
		buf_put_u8(&m->text, '\n');
	}
	hex_encode(hex, member->sha256, SHA256_LEN);
	buf_printf(&m->text, "{\"length\":%" PRIu64 ",\"name\":\"%s\",\"sha256\":\"%s\"}\n", member->length,
		   member->name, hex);
}

int manifest_end(struct manifest *m, struct error *err)
{
	struct manifest again;
	struct buf text;

	buf_put_str(&m->text, MEMBERS_END "\n");
	if (m->text.failed)
		return error_set(err, ERR_LIMIT, BUNDLE_MANIFEST " is larger than %zu bytes", m->text.max);
	/* What would be refused by its reader is not written. The text moves there and back. */
	text = m->text;
	m->text = BUF_INIT(text.max);
	if (manifest_parse(&again, &text, err) < 0)
		return -1;
	m->text = again.text;
	memcpy(m->id, again.id, SHA256_LEN);
	return 0;
}

/* ---- volume.json ---- */

void volume_put(struct buf *out, const struct volume *v)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	json_put_hex(&w, "bundle", v->bundle, SHA256_LEN);
	json_put_bool(&w, "last", v->last);
	json_put_int(&w, "member", v->member);
	json_put_int(&w, "offset", (int64_t)v->offset);
	json_put_int(&w, "volume", v->volume);
	json_put_int(&w, "volumes", v->volumes);
	json_close(&w);
	buf_put_str(out, "\n");
}

static int parse_volume(struct volume *v, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"bundle", "last", "member", "offset", "volume", "volumes", NULL};
	int64_t member, offset, volume, volumes;

	if (json_only(obj, names, err) < 0 || field_hash(obj, "bundle", v->bundle, err) < 0 ||
	    json_need_bool(obj, "last", &v->last, err) < 0 ||
	    json_need_int(obj, "member", 0, BUNDLE_MEMBERS_MAX - 1, &member, err) < 0 ||
	    json_need_int(obj, "offset", 0, BUNDLE_ARTIFACT_MAX - 1, &offset, err) < 0 ||
	    json_need_int(obj, "volumes", 1, BUNDLE_VOLUMES_MAX, &volumes, err) < 0 ||
	    json_need_int(obj, "volume", 1, volumes, &volume, err) < 0)
		return -1;
	v->member = (uint32_t)member;
	v->offset = (uint64_t)offset;
	v->volume = (unsigned)volume;
	v->volumes = (unsigned)volumes;
	if (v->last != (volume == volumes))
		return error_set(err, ERR_MALFORMED, "member 'last' is wrong for volume %u of %u", v->volume, v->volumes);
	if (volume == 1 && (member != 0 || offset != 0))
		return error_set(err, ERR_MALFORMED, "volume 1 does not begin with the first member");
	return 0;
}

int volume_parse(struct volume *v, struct slice text, struct error *err)
{
	struct buf again = BUF_INIT(VOLUME_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	*v = (struct volume){.volume = 0};
	if (text.len > VOLUME_MAX) {
		error_set(err, ERR_LIMIT, "larger than %d bytes", VOLUME_MAX);
		goto out;
	}
	if (json_parse(&doc, text, JSON_STRICT, err) < 0 || parse_volume(v, json_root(&doc), err) < 0)
		goto out;
	volume_put(&again, v);
	if (!slice_equal(buf_slice(&again), text)) {
		error_set(err, ERR_MALFORMED, "its members are not in order, or it is not one line");
		goto out;
	}
	r = 0;
out:
	buf_release(&again);
	json_release(&doc);
	return r < 0 ? error_wrap(err, BUNDLE_VOLUME) : 0;
}
