/*
 * Parsing of the four kinds of TUF metadata. What each member must be stands in specification
 * 1.0.34, section 4.
 */
#include "tuf/metadata.h"

#include <stdlib.h>

#include "base/timefmt.h"
#include "tuf/delegation.h"
#include "tuf/metadata_parts.h"

#define SITE_KEYS_MAX 64 /* record keys of one kind */

/* ---- what all files share ---- */

static int signature_check(struct json_value v, struct slice *keyid, struct error *err)
{
	struct slice sig;

	if (json_type(v) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "signature is %s, not an object",
				 json_type_name(json_type(v)));
	if (json_need_string(v, "keyid", keyid, err) < 0)
		return -1;
	return json_need_string(v, "sig", &sig, err);
}

/* 4.2.1 by way of 5: two signatures under one key id spoil the whole file. */
static int signatures_check(struct json_value signatures, struct error *err)
{
	struct json_iter it = json_iter(signatures);
	size_t n = json_count(signatures), count = 0, i;
	struct slice *ids;
	int r = -1;

	if (n > TUF_SIGNATURES_MAX)
		return error_set(err, ERR_LIMIT, "%zu signatures are more than %d", n,
				 TUF_SIGNATURES_MAX);
	ids = xcalloc(n, sizeof(*ids));
	while (json_next(&it)) {
		if (signature_check(it.value, &ids[count], err) < 0)
			goto out;
		for (i = 0; i < count; i++)
			if (slice_equal(ids[i], ids[count])) {
				error_set(err, ERR_MALFORMED, "two signatures under key id '%.*s'",
					  SLICE_ARG(slice_sub(ids[count], 0, 80)));
				goto out;
			}
		count++;
	}
	r = 0;
out:
	free(ids);
	return r;
}

/* 4.3: "1", "1.0" or "1.0.34"; another major version is another language. */
static int spec_version_check(struct slice s, struct error *err)
{
	size_t i, dots = 0;

	for (i = 0; i < s.len; i++) {
		bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';

		if (s.ptr[i] == '.' && i > 0 && s.ptr[i - 1] != '.' && i + 1 < s.len)
			dots++;
		else if (!digit)
			break;
	}
	if (s.len == 0 || i < s.len || dots > 2)
		return error_set(err, ERR_MALFORMED, "spec_version '%.*s' is no version",
				 SLICE_ARG(slice_sub(s, 0, 40)));
	if (s.ptr[0] != '1' || (s.len > 1 && s.ptr[1] != '.'))
		return error_set(err, ERR_MALFORMED, "spec_version '%.*s' is not 1.x",
				 SLICE_ARG(slice_sub(s, 0, 40)));
	return 0;
}

static int type_check(enum tuf_type type, struct slice found, struct error *err)
{
	if (!slice_equal_str(found, tuf_type_name(type)))
		return error_set(err, ERR_MALFORMED, "_type is '%.*s', not '%s'",
				 SLICE_ARG(slice_sub(found, 0, 40)), tuf_type_name(type));
	return 0;
}

static void head_release(struct tuf_head *h)
{
	json_release(&h->doc);
}

/* On failure the caller releases h. h must stay where it is: values point into h->doc. */
static int head_parse(struct tuf_head *h, enum tuf_type type, struct slice text, const struct json_fold *fold,
		      struct error *err)
{
	struct slice type_name, spec_version, expires;
	struct json_value top;

	h->type = type;
	h->text = text;
	if ((fold != NULL ? json_parse_folded(&h->doc, text, fold, err)
			  : json_parse(&h->doc, text, JSON_STRICT, err)) < 0)
		return -1;
	top = json_root(&h->doc);
	if (json_type(top) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "metadata is %s, not an object",
				 json_type_name(json_type(top)));
	if (json_need_object(top, "signed", &h->body, err) < 0 ||
	    json_need_array(top, "signatures", &h->signatures, err) < 0 ||
	    signatures_check(h->signatures, err) < 0 ||
	    json_need_string(h->body, "_type", &type_name, err) < 0 ||
	    type_check(type, type_name, err) < 0 ||
	    json_need_string(h->body, "spec_version", &spec_version, err) < 0 ||
	    spec_version_check(spec_version, err) < 0 ||
	    json_need_int(h->body, "version", 1, TUF_VERSION_MAX, &h->version, err) < 0 ||
	    json_need_string(h->body, "expires", &expires, err) < 0)
		return -1;
	if (time_parse(&h->expires_s, expires, err) < 0)
		return error_wrap(err, "expires");
	return 0;
}

/* ---- root ---- */

/* 4.3 knows these roles and, optionally, mirrors, which nothing here uses. */
static int root_role_names_check(struct json_value roles, struct error *err)
{
	struct json_iter it = json_iter(roles);
	unsigned i;

	while (json_next(&it)) {
		for (i = 0; i < TUF_TYPES; i++)
			if (slice_equal_str(it.key, tuf_type_name((enum tuf_type)i)))
				break;
		if (i == TUF_TYPES && !slice_equal_str(it.key, "mirrors"))
			return error_set(err, ERR_MALFORMED, "unknown role '%.*s' (4.3)",
					 SLICE_ARG(slice_sub(it.key, 0, 80)));
	}
	return 0;
}

static int root_roles_parse(struct tuf_root *r, const struct tuf_root *before, struct error *err)
{
	struct tuf_known_keys known = {.count = 0};
	struct json_value keys, roles, entry;
	unsigned i;

	for (i = 0; before != NULL && i < TUF_TYPES; i++)
		known.list[known.count++] = &before->roles[i];

	if (json_need_object(r->head.body, "keys", &keys, err) < 0 ||
	    tuf_key_table_check(keys, err) < 0 ||
	    json_need_object(r->head.body, "roles", &roles, err) < 0 ||
	    root_role_names_check(roles, err) < 0)
		return -1;
	for (i = 0; i < TUF_TYPES; i++) {
		const char *name = tuf_type_name((enum tuf_type)i);

		if (json_need_object(roles, name, &entry, err) < 0)
			return -1;
		if (tuf_role_parse(&r->roles[i], entry, keys, &known, err) < 0)
			return error_wrap(err, "role '%s'", name);
		known.list[known.count++] = &r->roles[i];
	}
	return 0;
}

/* A list of key objects by which records are checked. */
static int record_keys_parse(struct tuf_keys *out, struct json_value holder, const char *name,
			     struct error *err)
{
	struct json_value array = {NULL, 0};
	struct json_iter it;

	if (json_opt_array(holder, name, &array, err) < 0)
		return -1;
	if (json_count(array) > SITE_KEYS_MAX)
		return error_set(err, ERR_LIMIT, "%s: more than %d keys", name, SITE_KEYS_MAX);
	out->list = xcalloc(json_count(array), sizeof(*out->list));
	for (it = json_iter(array); json_next(&it); out->count++) {
		struct tuf_key *key = &out->list[out->count];

		if (tuf_key_parse(key, it.value, err) < 0)
			return error_wrap(err, "%s", name);
		if (key->pub.scheme == KEY_NONE)
			return error_set(err, ERR_MALFORMED, "%s: key %s is not usable here", name,
					 key->id);
	}
	return 0;
}

/* Our own extension says what it says or the root is refused: a site misread is a site crossed. */
static int root_site_parse(struct tuf_root *r, struct error *err)
{
	struct json_value x = {NULL, 0}, record = {NULL, 0};
	struct slice site;

	if (json_opt_object(r->head.body, "x-meshanics", &x, err) < 0)
		return -1;
	if (json_type(x) == JSON_NONE)
		return 0;
	if (json_need_string(x, "site", &site, err) < 0 || name_check(site, "site name", err) < 0 ||
	    json_opt_object(x, "record_keys", &record, err) < 0)
		return error_wrap(err, "x-meshanics");
	memcpy(r->site, site.ptr, site.len);
	r->site[site.len] = '\0';
	if (json_type(record) == JSON_NONE)
		return 0;
	if (record_keys_parse(&r->export_keys, record, "export", err) < 0 ||
	    record_keys_parse(&r->site_keys, record, "site", err) < 0)
		return error_wrap(err, "x-meshanics record_keys");
	return 0;
}

struct tuf_root *tuf_root_parse(struct slice text, struct error *err)
{
	return tuf_root_parse_after(text, NULL, err);
}

struct tuf_root *tuf_root_parse_after(struct slice text, const struct tuf_root *before, struct error *err)
{
	struct tuf_root *r = xcalloc(1, sizeof(*r));

	if (head_parse(&r->head, TUF_ROOT, text, NULL, err) < 0 ||
	    json_opt_bool(r->head.body, "consistent_snapshot", &r->consistent_snapshot, err) < 0 ||
	    root_roles_parse(r, before, err) < 0 || root_site_parse(r, err) < 0) {
		tuf_root_free(r);
		return NULL;
	}
	return r;
}

void tuf_root_free(struct tuf_root *r)
{
	unsigned i;

	if (r == NULL)
		return;
	for (i = 0; i < TUF_TYPES; i++)
		tuf_role_release(&r->roles[i]);
	tuf_keys_release(&r->export_keys);
	tuf_keys_release(&r->site_keys);
	head_release(&r->head);
	free(r);
}

/* ---- timestamp ---- */

int tuf_metafile_parse(struct tuf_metafile *out, struct json_value entry, struct error *err)
{
	struct json_value hashes = {NULL, 0};

	*out = (struct tuf_metafile){.length = -1};
	if (json_type(entry) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "entry is %s, not an object",
				 json_type_name(json_type(entry)));
	if (json_need_int(entry, "version", 1, TUF_VERSION_MAX, &out->version, err) < 0 ||
	    json_opt_int(entry, "length", 0, INT64_MAX, &out->length, err) < 0 ||
	    json_opt_object(entry, "hashes", &hashes, err) < 0)
		return -1;
	return json_type(hashes) == JSON_NONE ? 0 : tuf_hashes_parse(&out->hashes, hashes, err);
}

/* A signed time after the file's own end is a lie told to push clocks forward. */
static int signed_at_parse(struct tuf_timestamp *t, struct error *err)
{
	struct slice text = SLICE_EMPTY;

	t->signed_at_s = -1;
	if (json_opt_string(t->head.body, "x-meshanics-signed-at", &text, err) < 0)
		return -1;
	if (text.ptr == NULL)
		return 0;
	if (time_parse(&t->signed_at_s, text, err) < 0)
		return error_wrap(err, "x-meshanics-signed-at");
	if (t->signed_at_s > t->head.expires_s)
		return error_set(err, ERR_MALFORMED,
				 "x-meshanics-signed-at %.*s is later than expires",
				 SLICE_ARG(text));
	return 0;
}

struct tuf_timestamp *tuf_timestamp_parse(struct slice text, struct error *err)
{
	struct tuf_timestamp *t = xcalloc(1, sizeof(*t));
	struct json_value meta, entry;

	if (head_parse(&t->head, TUF_TIMESTAMP, text, NULL, err) < 0 ||
	    json_need_object(t->head.body, "meta", &meta, err) < 0 ||
	    json_need_object(meta, "snapshot.json", &entry, err) < 0)
		goto fail;
	if (tuf_metafile_parse(&t->snapshot, entry, err) < 0) {
		error_wrap(err, "meta 'snapshot.json'");
		goto fail;
	}
	if (signed_at_parse(t, err) < 0)
		goto fail;
	return t;
fail:
	tuf_timestamp_free(t);
	return NULL;
}

void tuf_timestamp_free(struct tuf_timestamp *t)
{
	if (t == NULL)
		return;
	head_release(&t->head);
	free(t);
}

/* ---- snapshot ---- */

static int snapshot_entry_check(struct slice name, struct json_value entry, struct error *err)
{
	struct tuf_metafile ignored;

	if (name.len <= 5 || !slice_ends(name, SLICE_LIT(".json")))
		return error_set(err, ERR_MALFORMED, "name does not end in .json");
	if (name.len > TUF_ROLE_NAME_MAX + 5)
		return error_set(err, ERR_LIMIT, "name of %zu bytes is too long", name.len);
	return tuf_metafile_parse(&ignored, entry, err);
}

static int snapshot_meta_check(struct json_value meta, struct error *err)
{
	struct json_iter it = json_iter(meta);

	while (json_next(&it))
		if (snapshot_entry_check(it.key, it.value, err) < 0)
			return error_wrap(err, "meta '%.*s'", SLICE_ARG(slice_sub(it.key, 0, 80)));
	if (json_type(json_get(meta, "targets.json")) == JSON_NONE)
		return error_set(err, ERR_MALFORMED, "meta does not list targets.json (4.4)");
	return 0;
}

struct tuf_snapshot *tuf_snapshot_parse(struct slice text, struct error *err)
{
	struct tuf_snapshot *s = xcalloc(1, sizeof(*s));

	if (head_parse(&s->head, TUF_SNAPSHOT, text, NULL, err) < 0 ||
	    json_need_object(s->head.body, "meta", &s->meta, err) < 0 ||
	    snapshot_meta_check(s->meta, err) < 0) {
		tuf_snapshot_free(s);
		return NULL;
	}
	return s;
}

void tuf_snapshot_free(struct tuf_snapshot *s)
{
	if (s == NULL)
		return;
	head_release(&s->head);
	free(s);
}

int tuf_snapshot_find(const struct tuf_snapshot *s, struct slice role, struct tuf_metafile *out,
		      struct error *err)
{
	struct buf name = BUF_INIT(TUF_ROLE_NAME_MAX + 5);
	struct json_value entry;

	buf_put_slice(&name, role);
	buf_put_str(&name, ".json");
	entry = json_get_slice(s->meta, buf_slice(&name));
	buf_release(&name);
	if (json_type(entry) == JSON_NONE)
		return error_set(err, ERR_NOT_FOUND, "snapshot does not list role '%.*s'",
				 SLICE_ARG(slice_sub(role, 0, 80)));
	return tuf_metafile_parse(out, entry, err);
}

/* ---- targets ---- */

/* What is wrong with a target's entry. */
static int target_entry_refuse(struct json_value entry, struct error *err)
{
	struct json_value object = {NULL, 0};
	int64_t length;

	if (json_need_int(entry, "length", 0, INT64_MAX, &length, err) < 0 ||
	    json_need_object(entry, "hashes", &object, err) < 0 || json_opt_object(entry, "custom", &object, err) < 0)
		return -1;
	return error_set(err, ERR_MALFORMED, "entry is no target");
}

/* The members of an entry, found in one pass: files list them by the hundred thousand. */
struct target_members {
	struct json_value length, hashes, custom;
};

static struct target_members target_members(struct json_value entry)
{
	struct target_members m = {.length = {NULL, 0}};
	struct json_iter it = json_iter(entry);

	while (json_next(&it)) {
		if (slice_equal(it.key, SLICE_LIT("length")))
			m.length = it.value;
		else if (slice_equal(it.key, SLICE_LIT("hashes")))
			m.hashes = it.value;
		else if (slice_equal(it.key, SLICE_LIT("custom")))
			m.custom = it.value;
	}
	return m;
}

int tuf_target_parse(struct tuf_target *out, struct slice path, struct json_value entry,
		     struct error *err)
{
	struct target_members m;

	*out = (struct tuf_target){.path = path};
	if (tuf_name_bytes_check(path, TUF_PATH_MAX, "target path", err) < 0)
		return -1;
	if (json_type(entry) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "entry is %s, not an object",
				 json_type_name(json_type(entry)));
	m = target_members(entry);
	if (json_type(m.length) != JSON_INT || json_int(m.length) < 0 || json_type(m.hashes) != JSON_OBJECT ||
	    (m.custom.doc != NULL && json_type(m.custom) != JSON_OBJECT))
		return target_entry_refuse(entry, err);
	out->length = (uint64_t)json_int(m.length);
	out->custom = m.custom;
	return tuf_hashes_parse(&out->hashes, m.hashes, err);
}

static int target_entry_check(struct slice path, struct json_value entry, struct error *err)
{
	struct tuf_target ignored;

	if (tuf_target_parse(&ignored, path, entry, err) < 0)
		return error_wrap(err, "target '%.*s'", SLICE_ARG(slice_sub(path, 0, 80)));
	return 0;
}

static int target_entries_check(struct json_value targets, struct error *err)
{
	struct json_iter it = json_iter(targets);

	while (json_next(&it))
		if (target_entry_check(it.key, it.value, err) < 0)
			return -1;
	return 0;
}

/* fold: the entries have been checked on the way. */
static struct tuf_targets *targets_parse(struct slice text, const struct json_fold *fold, struct error *err)
{
	struct tuf_targets *t = xcalloc(1, sizeof(*t));

	if (head_parse(&t->head, TUF_TARGETS, text, fold, err) < 0 ||
	    json_need_object(t->head.body, "targets", &t->targets, err) < 0 ||
	    (fold == NULL && target_entries_check(t->targets, err) < 0) ||
	    json_opt_object(t->head.body, "delegations", &t->delegations, err) < 0)
		goto fail;
	if (json_type(t->delegations) != JSON_NONE &&
	    tuf_delegations_check(t->delegations, err) < 0) {
		error_wrap(err, "delegations");
		goto fail;
	}
	return t;
fail:
	tuf_targets_free(t);
	return NULL;
}

struct tuf_targets *tuf_targets_parse(struct slice text, struct error *err)
{
	return targets_parse(text, NULL, err);
}

struct tuf_targets *tuf_targets_parse_folded(struct slice text, struct error *err)
{
	static const char *const path[] = {"signed", "targets", NULL};
	static const struct json_fold fold = {path, target_entry_check};
	struct tuf_targets *t = targets_parse(text, &fold, err);

	if (t != NULL)
		t->found = xcalloc(1, sizeof(*t->found));
	return t;
}

void tuf_targets_free(struct tuf_targets *t)
{
	if (t == NULL)
		return;
	if (t->found != NULL)
		json_release(t->found);
	free(t->found);
	head_release(&t->head);
	free(t);
}

int tuf_targets_find(const struct tuf_targets *t, struct slice path, struct tuf_target *out,
		     struct error *err)
{
	struct json_value entry = json_get_slice(t->targets, path);

	if (json_type(entry) == JSON_NONE)
		return error_set(err, ERR_NOT_FOUND, "no target '%.*s'",
				 SLICE_ARG(slice_sub(path, 0, 200)));
	if (json_is_folded(entry)) {
		json_release(t->found);
		if (json_unfold(t->found, entry, err) < 0)
			return -1;
		entry = json_root(t->found);
	}
	return tuf_target_parse(out, path, entry, err);
}
