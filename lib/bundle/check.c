/* Checking a bundle up to its first artifact: whose it is, who signed it, and its metadata, byte by byte. */
#include "bundle/check.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "tuf/verify.h"

#define METADATA_DIR "metadata/"

/* One check under way. */
struct work {
	struct bundle_check *c;
	struct bundle_reader *r;
	const struct bundle_check_options *o;
	int64_t anchor_version;	/* 0: no anchor */
	uint64_t held;		/* bytes of metadata in memory */
	uint32_t seen;		/* members read */
};

void bundle_check_release(struct bundle_check *c)
{
	unsigned i;

	tuf_root_free(c->root);
	for (i = 0; i < c->file_count; i++)
		buf_release(&c->files[i].bytes);
	free(c->files);
	free(c->blobs);
	buf_release(&c->root_text);
	buf_release(&c->signature);
	manifest_release(&c->manifest);
	*c = BUNDLE_CHECK_INIT;
}

/* ---- what the manifest says ---- */

static const char *kind_name(enum bundle_kind kind)
{
	return kind == BUNDLE_SITE ? "the repository of a site" : "devices";
}

static int check_kind(const struct work *w, struct error *err)
{
	const struct manifest *m = &w->c->manifest;

	if (w->o->any_kind || m->kind == w->o->kind)
		return 0;
	error_set(err, ERR_REFUSED, "this bundle is for %s of '%s'", kind_name(m->kind), m->site);
	return error_hint(err, m->kind == BUNDLE_SITE ? "a site takes it with: meshanics bundle import"
						      : "a device takes it with: meshanics agent apply");
}

/* The site that the bundle is for is the site of the root that is trusted here. */
static int check_site(const struct work *w, struct error *err)
{
	const struct manifest *m = &w->c->manifest;
	const struct tuf_root *root = w->c->root;

	if (root == NULL || strcmp(root->site, m->site) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "this bundle is for site '%s', and the root here is that of '%s'", m->site, root->site);
	return error_hint(err, "ask for one that is made for '%s'", root->site);
}

/* The last root that can be had is the one that the bundle was made under, or a later one. */
static int check_root_version(const struct work *w, struct error *err)
{
	const struct manifest *m = &w->c->manifest;
	int64_t have = w->c->root == NULL ? 0 : w->c->root->head.version;

	if (w->c->root == NULL || m->versions.root <= have)
		return 0;
	error_set(err, ERR_REFUSED,
		  "the bundle was made under root version %lld; the newest here and in it is version %lld (5.3)",
		  (long long)m->versions.root, (long long)have);
	return error_hint(err, "ask for a bundle that is made without --since, which carries all roots");
}

static int check_time(const struct work *w, struct error *err)
{
	const struct manifest *m = &w->c->manifest;
	char then[TIME_TEXT_LEN], now[TIME_TEXT_LEN];

	if (w->o->look)
		return 0;
	if (m->created_s > w->o->now_s + BUNDLE_CLOCK_AHEAD_S) {
		error_set(err, ERR_RETRY, "the bundle was made at %s, and the clock here says %s",
			  time_text(then, m->created_s), time_text(now, w->o->now_s));
		return error_hint(err, "set the clock right, here or where bundles are made");
	}
	if (m->valid_until_s > w->o->now_s)
		return 0;
	error_set(err, ERR_REFUSED, "the bundle was valid until %s", time_text(then, m->valid_until_s));
	return error_hint(err, "ask for a new one; by the clock here it is %s", time_text(now, w->o->now_s));
}

/* ---- the manifest's signature ---- */

int bundle_check_signed(const struct manifest *m, struct slice signature, const struct tuf_root *root,
			char keyid[static KEY_FINGERPRINT_LEN], struct error *err)
{
	bool site = m->kind == BUNDLE_SITE;
	const struct tuf_keys *keys = site ? &root->export_keys : &root->site_keys;
	unsigned i;

	for (i = 0; i < keys->count; i++) {
		if (keys->list[i].pub.scheme == KEY_NONE)
			continue;
		if (sshsig_verify_sha256(&keys->list[i].pub, BUNDLE_NAMESPACE, m->id, signature, err) == 0) {
			snprintf(keyid, KEY_FINGERPRINT_LEN, "%s", keys->list[i].id);
			return 0;
		}
		if (err->kind == ERR_MALFORMED)
			return error_wrap(err, "%s", BUNDLE_SIGNATURE);
	}
	error_set(err, ERR_REFUSED, "%s is not by a record key (%s) that root version %lld of '%s' names",
		  BUNDLE_SIGNATURE, site ? "export" : "site", (long long)root->head.version, root->site);
	return error_hint(err, site ? "it was changed on its way, or made with a key that no ceremony has put into the site's root (--export-key)"
				    : "it was changed on its way, or was not made by this site");
}

static int check_signature(struct work *w, struct error *err)
{
	struct bundle_check *c = w->c;

	if (w->anchor_version == 0)
		return 0;
	if (bundle_check_signed(&c->manifest, buf_slice(&c->signature), c->root, c->keyid, err) < 0)
		return -1;
	c->verified = true;
	return 0;
}

/* ---- roots ---- */

/* The bytes become the newest root; takes them. */
static int take_root(struct work *w, struct buf *text, struct error *err)
{
	struct bundle_check *c = w->c;
	struct tuf_root *root = c->root == NULL ? tuf_root_parse(buf_slice(text), err)
						: tuf_root_parse_after(buf_slice(text), c->root, err);

	if (root == NULL)
		return -1;
	/* A first root without an anchor is only looked at. */
	if (c->root != NULL && w->anchor_version > 0 && tuf_root_check(c->root, root, err) < 0) {
		tuf_root_free(root);
		return -1;
	}
	tuf_root_free(c->root);
	buf_release(&c->root_text);
	c->root = root;
	c->root_text = *text;
	*text = BUF_INIT(0);
	return 0;
}

static int take_anchor(struct work *w, struct error *err)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	int r = -1;

	buf_put_slice(&text, w->o->anchor);
	if (text.len == 0 && w->o->find != NULL && w->o->find(w->o->arg, &w->c->manifest, &text, err) < 0) {
		buf_release(&text);
		return -1;
	}
	if (text.len == 0 && !text.failed && w->o->look)
		return 0;
	if (text.len == 0 && !text.failed) {
		error_set(err, ERR_REFUSED, "there is no root of site '%s' here to check the bundle against",
			  w->c->manifest.site);
	} else if (text.failed) {
		error_set(err, ERR_LIMIT, "the root here is larger than %llu bytes", (unsigned long long)TUF_ROOT_MAX);
	} else if (take_root(w, &text, err) == 0 && tuf_root_check_self(w->c->root, err) == 0) {
		w->anchor_version = w->c->root->head.version;
		r = 0;
	}
	buf_release(&text);
	return r;
}

/* ---- metadata members ---- */

static uint64_t metadata_max(const struct member *m)
{
	switch (m->kind) {
	case MEMBER_ROOT:
		return TUF_ROOT_MAX;
	case MEMBER_TIMESTAMP:
		return TUF_TIMESTAMP_MAX;
	default:
		return TUF_SIGNED_MAX;
	}
}

static int keep_file(struct work *w, const struct member *m, struct buf *bytes, struct error *err)
{
	struct bundle_check *c = w->c;

	w->held += bytes->len;
	if (w->held > BUNDLE_METADATA_MAX)
		return error_set(err, ERR_LIMIT, "its metadata is larger than %llu bytes together",
				 (unsigned long long)BUNDLE_METADATA_MAX);
	if ((c->file_count & (c->file_count - 1)) == 0)
		c->files = xreallocarray(c->files, c->file_count == 0 ? 16 : 2 * (size_t)c->file_count, sizeof(*c->files));
	c->files[c->file_count++] = (struct bundle_file){.member = *m, .bytes = *bytes};
	*bytes = BUF_INIT(0);
	return 0;
}

/* A file that says another version than its name would be found by the one and believed by the other. */
static int check_version(const struct member *m, int64_t version, struct error *err)
{
	if (m->version == version)
		return 0;
	return error_set(err, ERR_REFUSED, "it holds version %lld", (long long)version);
}

static int read_root(struct work *w, const struct member *m, struct buf *bytes, struct error *err)
{
	struct buf copy = BUF_INIT(TUF_ROOT_MAX);
	int r;

	if (m->version <= w->anchor_version)
		return 0;
	if (w->anchor_version > 0 && m->version != w->c->root->head.version + 1) {
		error_set(err, ERR_REFUSED, "the newest root before it is version %lld (5.3.3)",
			  (long long)w->c->root->head.version);
		return error_hint(err, "ask for a bundle that is made without --since, which carries all roots");
	}
	buf_put_slice(&copy, buf_slice(bytes));
	r = take_root(w, &copy, err);
	buf_release(&copy);
	return r < 0 || check_version(m, w->c->root->head.version, err) < 0 ? -1 : keep_file(w, m, bytes, err);
}

static int read_targets(struct work *w, const struct member *m, struct buf *bytes, struct error *err)
{
	struct tuf_targets *t = tuf_targets_parse_folded(buf_slice(bytes), err);
	int r = t == NULL ? -1 : check_version(m, t->head.version, err);

	tuf_targets_free(t);
	return r < 0 ? -1 : keep_file(w, m, bytes, err);
}

static int lacks_volume(const struct work *w, struct error *err)
{
	unsigned volumes, volume = bundle_missing(w->r, &volumes);

	error_set(err, ERR_RETRY, "the metadata goes on in volume %u of %u, which is not here", volume, volumes);
	return error_hint(err, "give that volume as well");
}

static int read_file(struct work *w, const struct member *m, struct error *err)
{
	struct buf bytes = BUF_INIT(metadata_max(m));
	int r;

	/* The manifest's own length, when the whole file comes into memory at once. */
	if (m->length > bytes.max)
		return error_set(err, ERR_LIMIT, "%s is larger than %zu bytes", m->name, bytes.max);
	if ((r = bundle_read_all(w->r, &bytes, err)) == 0) {
		if (bundle_cut(w->r)) {
			r = lacks_volume(w, err);
		} else {
			r = m->kind == MEMBER_ROOT ? read_root(w, m, &bytes, err)
			    : m->kind == MEMBER_TARGETS || m->kind == MEMBER_ROLE ? read_targets(w, m, &bytes, err)
										  : keep_file(w, m, &bytes, err);
		}
		if (r < 0)
			error_wrap(err, "%s", m->name);
	}
	buf_release(&bytes);
	return r;
}

/* All roots are there: from here on the manifest must be signed. */
static int roots_done(struct work *w, struct error *err)
{
	return check_site(w, err) < 0 || check_root_version(w, err) < 0 || check_signature(w, err) < 0 ||
			       check_time(w, err) < 0
		       ? -1
		       : 0;
}

/* How many members come before the first artifact. */
static uint32_t metadata_count(const struct manifest *m)
{
	struct manifest_iter it = manifest_iter(m);
	struct member member;
	uint32_t n = 0;

	while (manifest_next(&it, &member) && member.kind != MEMBER_ARTIFACT)
		n++;
	return n;
}

static int read_metadata(struct work *w, struct error *err)
{
	struct bundle_check *c = w->c;
	uint32_t due = metadata_count(&c->manifest);
	bool signed_by_now = false;
	int r;

	while ((r = bundle_next(w->r, &c->next, err)) > 0) {
		if (c->next.kind != MEMBER_ROOT && !signed_by_now) {
			if (roots_done(w, err) < 0)
				return -1;
			signed_by_now = true;
		}
		if (c->next.kind == MEMBER_ARTIFACT) {
			c->has_next = true;
			break;
		}
		if (read_file(w, &c->next, err) < 0)
			return -1;
		w->seen++;
	}
	if (r < 0 || (!signed_by_now && roots_done(w, err) < 0))
		return -1;
	return w->seen < due ? lacks_volume(w, err) : 0;
}

/* What the manifest's head says of versions is what its members are. */
static int check_versions(const struct bundle_check *c, struct error *err)
{
	struct manifest_iter it = manifest_iter(&c->manifest);
	struct member m;
	int64_t root = 0;

	while (manifest_next(&it, &m) && m.kind != MEMBER_ARTIFACT) {
		if ((m.kind == MEMBER_TARGETS && m.version != c->manifest.versions.targets) ||
		    (m.kind == MEMBER_SNAPSHOT && m.version != c->manifest.versions.snapshot))
			return error_set(err, ERR_MALFORMED, "%s: the first line of %s says another version", m.name,
					 BUNDLE_MANIFEST);
		if (m.kind == MEMBER_ROOT)
			root = m.version;
	}
	if (root != 0 && root != c->manifest.versions.root)
		return error_set(err, ERR_MALFORMED, "the first line of %s says another root version than its members",
				 BUNDLE_MANIFEST);
	return 0;
}

static void make_blobs(struct bundle_check *c)
{
	unsigned i;

	c->blobs = xcalloc(c->file_count + 1u, sizeof(*c->blobs));
	for (i = 0; i < c->file_count; i++)
		c->blobs[i] = (struct tuf_blob){
			.path = slice_str(c->files[i].member.name + strlen(METADATA_DIR)),
			.bytes = buf_slice(&c->files[i].bytes),
		};
}

int bundle_check(struct bundle_check *c, struct bundle_reader *r, const struct bundle_check_options *o,
		 struct error *err)
{
	struct work w = {.c = c, .r = r, .o = o};

	if (bundle_read_manifest(r, &c->manifest, &c->signature, err) < 0 || check_kind(&w, err) < 0 ||
	    take_anchor(&w, err) < 0 || check_site(&w, err) < 0 || check_versions(c, err) < 0 ||
	    read_metadata(&w, err) < 0)
		return -1;
	make_blobs(c);
	return 0;
}

/* ---- a source for the engine ---- */

static bool answers(const struct bundle_file *f, const struct tuf_blob *blob, const struct tuf_want *w)
{
	if (slice_equal_str(blob->path, w->path))
		return true;
	/* An import asks for targets and roles by name alone. */
	return w->version == 0 && (f->member.kind == MEMBER_TARGETS || f->member.kind == MEMBER_ROLE) &&
	       strcmp(f->member.role, w->role) == 0;
}

int bundle_check_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	struct bundle_check *c = arg;
	unsigned i, n;

	for (n = 0; n < c->file_count; n++) {
		i = (c->hint + n) % c->file_count;
		if (!answers(&c->files[i], &c->blobs[i], w))
			continue;
		c->hint = i;
		c->files[i].used = true;
		buf_put_slice(out, c->blobs[i].bytes);
		if (out->failed)
			return error_set(err, ERR_LIMIT, "%s: more than the %llu bytes allowed", c->files[i].member.name,
					 (unsigned long long)w->max_len);
		return 0;
	}
	return error_set(err, ERR_NOT_FOUND, "'%s' is not in the bundle", w->path);
}

int bundle_check_used(const struct bundle_check *c, struct error *err)
{
	unsigned i;

	for (i = 0; i < c->file_count; i++) {
		if (!c->files[i].used && c->files[i].member.kind != MEMBER_ROOT)
			return error_set(err, ERR_REFUSED, "%s: nobody delegates to '%s' (5.6.7)", c->files[i].member.name,
					 c->files[i].member.role);
	}
	return 0;
}
