/* Step two of publishing: the next file of a publisher's role, from the one in force and a list of
 * changes. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "tuf/publish.h"
#include "tuf/repo_internal.h"

/* A target of the file to be: kept from the current one, or new. */
struct entry {
	struct slice path;
	struct json_value kept;
	const struct publish_change *added;
	bool withdrawn;
};

/*
 * The file in the making. Marks are the highest releases that names have had when their newest
 * version was withdrawn (x-meshanics.releases), so that no later version is made which devices
 * would refuse as older.
 */
struct build {
	struct json doc;
	struct json_value body; /* `signed` of the current file; JSON_NONE for the first */
	struct entry *entries;
	size_t count;
	bool changed;
};

static int build_open(struct build *b, struct slice current, struct error *err)
{
	*b = (struct build){.doc = JSON_INIT};
	if (current.len == 0)
		return 0;
	if (json_parse(&b->doc, current, JSON_STRICT, err) < 0 ||
	    json_need_object(json_root(&b->doc), "signed", &b->body, err) < 0)
		return error_wrap(err, "the publisher's file in force");
	return 0;
}

static void build_release(struct build *b)
{
	free(b->entries);
	json_release(&b->doc);
}

/* "NAMESPACE/NAME" of a path. */
static struct slice name_of(struct slice path)
{
	size_t first = slice_find(path, '/', 0);
	size_t second = first == SIZE_MAX ? SIZE_MAX : slice_find(path, '/', first + 1);

	return slice_sub(path, 0, second);
}

static int64_t release_of(struct json_value target)
{
	return json_int(json_get(json_get(json_get(target, "custom"), "meshanics"), "release"));
}

static struct json_value marks_of(const struct build *b)
{
	return json_get(json_get(b->body, "x-meshanics"), "releases");
}

/* The highest release of a name: listed, or marked when it was withdrawn. */
static int64_t highest_release(const struct build *b, struct slice name)
{
	int64_t highest = json_int(json_get_slice(marks_of(b), name));
	struct json_iter it;

	for (it = json_iter(json_get(b->body, "targets")); json_next(&it);) {
		if (slice_equal(name_of(it.key), name) && release_of(it.value) > highest)
			highest = release_of(it.value);
	}
	return highest;
}

int publish_next_release(struct slice current, const char *path, int64_t above, int64_t *release,
			 struct error *err)
{
	int64_t highest;
	struct json_value target;
	struct build b;
	int r = -1;

	if (build_open(&b, current, err) == 0) {
		target = json_get(json_get(b.body, "targets"), path);
		highest = target.doc != NULL ? 0 : highest_release(&b, name_of(slice_str(path)));
		/* Publishing the same again is no new release. */
		*release = target.doc != NULL ? release_of(target)
					      : (highest > above ? highest : above) + 1;
		r = 0;
	}
	build_release(&b);
	return r;
}

/* ---- entries ---- */

static void put_descriptor(struct json_writer *w, const struct descriptor *d)
{
	json_open_object(w, "custom");
	descriptor_put(w, "meshanics", d);
	json_close(w);
}

static int canonical_text(struct buf *out, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = json_parse(&doc, text, JSON_STRICT, err);

	if (r == 0)
		r = json_canonical(out, json_root(&doc), err);
	json_release(&doc);
	return r;
}

/* 0 with *same set: does the published target say what the change says? */
static int same_target(struct json_value target, const struct publish_change *c, bool *same,
		       struct error *err)
{
	struct buf made = BUF_INIT(DESCRIPTOR_SIZE_MAX), a = BUF_INIT(DESCRIPTOR_SIZE_MAX),
		   b = BUF_INIT(DESCRIPTOR_SIZE_MAX);
	struct json_writer w = JSON_WRITER(&made);
	struct tuf_target t;
	int r = -1;

	descriptor_put(&w, NULL, c->descriptor);
	if (tuf_target_parse(&t, slice_str(c->path), target, err) < 0 ||
	    canonical_text(&a, buf_slice(&made), err) < 0)
		goto out;
	if (json_get(t.custom, "meshanics").doc != NULL &&
	    json_canonical(&b, json_get(t.custom, "meshanics"), err) < 0)
		goto out;
	*same = t.length == c->length && t.hashes.has_sha256 &&
		memcmp(t.hashes.sha256, c->sha256, SHA256_LEN) == 0 &&
		slice_equal(buf_slice(&a), buf_slice(&b));
	r = 0;
out:
	buf_release(&made);
	buf_release(&a);
	buf_release(&b);
	return r;
}

static int by_path(const void *a, const void *b)
{
	return slice_compare(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* Among the first `count` entries, which are in order. */
static struct entry *find_entry(struct build *b, size_t count, const char *path)
{
	struct entry wanted = {.path = slice_str(path)};

	return count == 0 ? NULL : bsearch(&wanted, b->entries, count, sizeof(wanted), by_path);
}

static int apply_add(struct build *b, size_t kept, const struct publish_change *c,
		     struct error *err)
{
	struct entry *e = find_entry(b, kept, c->path);
	bool same = false;

	if (descriptor_check(c->descriptor, err) < 0)
		return error_wrap(err, "'%s': descriptor", c->path);
	if (e == NULL || e->withdrawn) {
		b->entries[b->count++] = (struct entry){.path = slice_str(c->path), .added = c};
		b->changed = true;
		return 0;
	}
	if (same_target(e->kept, c, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	error_set(err, ERR_CONFLICT,
		  "'%s' is published already, with other content or another descriptor", c->path);
	return error_hint(err, "a published version never changes; publish a new one");
}

static int apply_withdraw(struct build *b, size_t kept, const struct publish_change *c,
			  struct error *err)
{
	struct entry *e = find_entry(b, kept, c->path);

	if (e == NULL || e->withdrawn)
		return error_set(err, ERR_NOT_FOUND, "'%s' is not published", c->path);
	e->withdrawn = true;
	b->changed = true;
	return 0;
}

/* In order, and each path once: a list of changes may name one twice. */
static int check_twice(const struct build *b, struct error *err)
{
	size_t i;

	for (i = 1; i < b->count; i++) {
		if (slice_equal(b->entries[i - 1].path, b->entries[i].path) &&
		    !b->entries[i - 1].withdrawn && !b->entries[i].withdrawn)
			return error_set(err, ERR_USAGE, "'%.*s' is to be published twice",
					 SLICE_ARG(b->entries[i].path));
	}
	return 0;
}

static int build_entries(struct build *b, const struct publish_change *changes, unsigned count,
			 struct error *err)
{
	struct json_value targets = json_get(b->body, "targets");
	size_t kept = json_count(targets);
	struct json_iter it;
	unsigned i;

	b->entries = xcalloc(kept + count, sizeof(b->entries[0]));
	for (it = json_iter(targets); json_next(&it);)
		b->entries[b->count++] = (struct entry){.path = it.key, .kept = it.value};
	if (kept > 0)
		qsort(b->entries, kept, sizeof(b->entries[0]), by_path);
	for (i = 0; i < count; i++) {
		if ((changes[i].withdraw ? apply_withdraw : apply_add)(b, kept, &changes[i], err) <
		    0)
			return -1;
	}
	if (b->count > 0)
		qsort(b->entries, b->count, sizeof(b->entries[0]), by_path);
	return check_twice(b, err);
}

/* ---- writing ---- */

static void put_entry(struct json_writer *w, const struct entry *e)
{
	if (e->added == NULL) {
		json_put_value_key(w, e->path, e->kept);
		return;
	}
	json_open_object_key(w, e->path);
	put_descriptor(w, e->added->descriptor);
	json_open_object(w, "hashes");
	json_put_hex(w, "sha256", e->added->sha256, SHA256_LEN);
	json_close(w);
	json_put_int(w, "length", (int64_t)e->added->length);
	json_close(w);
}

/* A name of which a version goes, with the highest release that it has had. */
struct mark {
	struct slice name;
	int64_t release;
};

static int by_name(const void *a, const void *b)
{
	return slice_compare(((const struct mark *)a)->name, ((const struct mark *)b)->name);
}

static struct mark *find_mark(struct mark *marks, size_t count, struct slice name)
{
	struct mark wanted = {.name = name};

	return count == 0 ? NULL : bsearch(&wanted, marks, count, sizeof(wanted), by_name);
}

/* One mark a name, in order. Owned by the caller. */
static struct mark *withdrawn_names(const struct publish_change *changes, unsigned count,
				    size_t *out)
{
	struct mark *marks = xcalloc(count, sizeof(*marks));
	size_t n = 0, i, k = 0;

	for (i = 0; i < count; i++) {
		if (changes[i].withdraw)
			marks[n++].name = name_of(slice_str(changes[i].path));
	}
	if (n > 0)
		qsort(marks, n, sizeof(*marks), by_name);
	for (i = 0; i < n; i++) {
		if (k == 0 || !slice_equal(marks[k - 1].name, marks[i].name))
			marks[k++] = marks[i];
	}
	*out = k;
	return marks;
}

static void raise_mark(struct mark *m, int64_t release)
{
	if (m != NULL && release > m->release)
		m->release = release;
}

/* Marks that were there, and one for each name of which a version goes. */
static void put_marks(struct json_writer *w, const struct build *b,
		      const struct publish_change *changes, unsigned count)
{
	struct json_iter it;
	struct mark *marks;
	size_t n, i;

	marks = withdrawn_names(changes, count, &n);
	for (it = json_iter(json_get(b->body, "targets")); n > 0 && json_next(&it);)
		raise_mark(find_mark(marks, n, name_of(it.key)), release_of(it.value));
	json_open_object(w, "x-meshanics");
	json_open_object(w, "releases");
	for (it = json_iter(marks_of(b)); json_next(&it);) {
		struct mark *m = find_mark(marks, n, it.key);

		raise_mark(m, json_int(it.value));
		if (m == NULL)
			json_put_value_key(w, it.key, it.value);
	}
	for (i = 0; i < n; i++) {
		char key[TARGET_PATH_MAX + 1];

		snprintf(key, sizeof(key), "%.*s", SLICE_ARG(marks[i].name));
		json_put_int(w, key, marks[i].release);
	}
	json_close(w);
	json_close(w);
	free(marks);
}

static void put_body(struct json_writer *w, const struct build *b,
		     const struct publish_change *changes, unsigned count, int64_t version,
		     int64_t expires_s)
{
	char text[TIME_TEXT_LEN];
	size_t i;

	json_open_object(w, NULL);
	json_put_string(w, "_type", "targets");
	json_put_string(w, "expires", time_text(text, expires_s));
	json_put_string(w, "spec_version", SPEC_VERSION);
	json_open_object(w, "targets");
	for (i = 0; i < b->count; i++) {
		if (!b->entries[i].withdrawn)
			put_entry(w, &b->entries[i]);
	}
	json_close(w);
	json_put_int(w, "version", version);
	put_marks(w, b, changes, count);
	json_close(w);
}

int publish_build(struct buf *out, struct slice current, const struct publish_change *changes,
		  unsigned count, const struct publish_terms *terms, bool *unchanged,
		  struct error *err)
{
	struct buf body = BUF_INIT(PUBLISH_FILE_MAX);
	struct json_writer w = JSON_WRITER(&body);
	struct build b;
	int64_t version;
	int r = -1;

	if (build_open(&b, current, err) < 0 || build_entries(&b, changes, count, err) < 0)
		goto out;
	if (unchanged != NULL)
		*unchanged = !b.changed;
	if (!b.changed && unchanged != NULL) {
		r = 0;
		goto out;
	}
	if (repo_next_version(terms->last_version, terms->now_s, &version, err) < 0)
		goto out;
	put_body(&w, &b, changes, count, version, terms->now_s + terms->life_s);
	if (body.failed) {
		error_set(err, ERR_LIMIT, "the publisher's file would be larger than %zu bytes",
			  body.max);
		goto out;
	}
	r = tuf_sign_canonical(out, buf_slice(&body), terms->signers, terms->signer_count, err);
out:
	build_release(&b);
	buf_release(&body);
	return r;
}
