/* Members of a manifest: their names, their lines, and the order in which they stand. */
#include <inttypes.h>
#include <stdio.h>

#include "bundle/fields.h"
#include "bundle/manifest_internal.h"
#include "tuf/metadata.h"

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

int manifest_parse_line(struct slice line, struct member *out, struct error *err)
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

int manifest_take_line(struct slice *rest, size_t max, struct slice *line, struct error *err)
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

int manifest_check_members(const struct manifest *m, struct slice rest, struct error *err)
{
	struct walk w = {.count = 0};
	struct slice line;
	struct member now;
	bool comma = true;

	for (;;) {
		unsigned number = w.count + 3;

		if (manifest_take_line(&rest, MANIFEST_LINE_MAX, &line, err) < 0)
			return error_wrap(err, "line %u", number);
		if (slice_equal_str(line, MANIFEST_MEMBERS_END))
			break;
		if (!comma)
			return error_set(err, ERR_MALFORMED, "line %u: no comma stands before it", number);
		comma = slice_ends(line, SLICE_LIT(","));
		if (manifest_parse_line(slice_sub(line, 0, line.len - comma), &now, err) < 0 ||
		    walk_member(m, &w, &now, err) < 0)
			return error_wrap(err, "line %u", number);
	}
	if (rest.len > 0)
		return error_set(err, ERR_MALFORMED, "something stands behind the last line");
	if (comma)
		return error_set(err, ERR_MALFORMED, "a comma stands behind the last member, or there is none");
	return check_walked(m, &w, err);
}
