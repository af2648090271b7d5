/* bundle.json: its first line, reading it as a whole, and writing it. */
#include "bundle/manifest.h"

#include <inttypes.h>

#include "base/encode.h"
#include "base/json.h"
#include "bundle/fields.h"
#include "bundle/manifest_internal.h"
#include "tuf/metadata.h"

#define HEAD_BEGIN "{\"bundle\":"
#define HEAD_END ","
#define MEMBERS_BEGIN "\"members\":["

void manifest_release(struct manifest *m)
{
	struct buf text = m->text;

	buf_release(&text);
	*m = MANIFEST_INIT;
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
	if (manifest_take_line(&rest, MANIFEST_HEAD_MAX, &line, err) < 0)
		return error_wrap(err, "line 1");
	if (line.len <= begin.len + end.len || !slice_starts(line, begin) || !slice_ends(line, end))
		return error_set(err, ERR_MALFORMED, "line 1: not of the form " HEAD_BEGIN "{...}" HEAD_END);
	if (parse_head(m, slice_sub(line, begin.len, line.len - begin.len - end.len), err) < 0 ||
	    manifest_take_line(&rest, MANIFEST_LINE_MAX, &line, err) < 0)
		return error_wrap(err, "line 1");
	if (m->kind == BUNDLE_DEVICE && m->text.len > MANIFEST_DEVICE_MAX) {
		error_set(err, ERR_LIMIT, "larger than the %u bytes that devices take", MANIFEST_DEVICE_MAX);
		return error_hint(err, "make bundles of fewer artifacts each: meshanics bundle export --artifact");
	}
	if (!slice_equal_str(line, MEMBERS_BEGIN))
		return error_set(err, ERR_MALFORMED, "line 2: is not " MEMBERS_BEGIN);
	return manifest_check_members(m, rest, err);
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

	if (manifest_take_line(&it->rest, MANIFEST_LINE_MAX, &line, &ignored) < 0)
		return false;
	if (slice_ends(line, SLICE_LIT(",")))
		line.len--;
	if (manifest_parse_line(line, out, &ignored) < 0) {
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

	buf_put_str(&m->text, MANIFEST_MEMBERS_END "\n");
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
