/* Planning a bundle: what of the repository goes in, and until when it will be good. */
#include "bundle/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/export_internal.h"
#include "crypto/sshsig.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/publish.h"
#include "tuf/repo_sites.h"
#include "tuf/verify.h"

/* A plan in the making. */
struct work {
	struct bundle_plan *p;
	const struct bundle_export *e;
	struct tuf_root *root;		/* the newest of the destination */
	struct buf root_text;
	bool *matched;			/* by selector */
	/* By publisher and bin: the file lists something that goes in, so that it goes in as well. */
	bool **needed;
};

void bundle_plan_release(struct bundle_plan *p)
{
	repo_free(p->repo);
	free(p->files);
	free(p->artifacts);
	buf_release(&p->timestamp);
	buf_release(&p->paths);
	*p = BUNDLE_PLAN_INIT;
}

const char *bundle_plan_name(const struct bundle_plan *p, const struct plan_artifact *a)
{
	return (const char *)p->paths.ptr + a->path;
}

/* ---- metadata ---- */

/* The first of what is inside to expire decides how long the bundle may be good. */
static void note_expiry(struct bundle_plan *p, const char *role, int64_t expires_s)
{
	if (p->first[0] != '\0' && p->first_expires_s <= expires_s)
		return;
	snprintf(p->first, sizeof(p->first), "%s", role);
	p->first_expires_s = expires_s;
}

/* version 0: the timestamp, which has none in its name. */
static int add_file(struct bundle_plan *p, const char *role, int64_t version, struct slice text, struct error *err)
{
	struct member m = {.length = text.len};

	if (version == 0)
		snprintf(m.name, sizeof(m.name), "metadata/%s.json", role);
	else
		snprintf(m.name, sizeof(m.name), "metadata/%" PRId64 ".%s.json", version, role);
	if (member_classify(&m, err) < 0)
		return -1;
	sha256_of(text, m.sha256);
	if (p->file_count == p->file_room) {
		p->file_room = p->file_room == 0 ? 16 : 2 * p->file_room;
		p->files = xreallocarray(p->files, p->file_room, sizeof(*p->files));
	}
	p->files[p->file_count++] = m;
	return 0;
}

int bundle_plan_read(const struct bundle_plan *p, const struct member *m, struct buf *out, struct error *err)
{
	if (m->kind == MEMBER_TIMESTAMP) {
		buf_put_slice(out, buf_slice(&p->timestamp));
		return 0;
	}
	if (m->kind == MEMBER_ROOT && p->kind == BUNDLE_SITE)
		return repo_site_root_read(repo_dirfd(p->repo), p->site, m->version, out, err);
	/* Members are called as the files below HOME/repo are. */
	return file_read(repo_dirfd(p->repo), m->name, out, err);
}

static int read_root(const struct bundle_plan *p, int64_t version, struct buf *out, struct error *err)
{
	struct member m = {.kind = MEMBER_ROOT, .version = version};

	snprintf(m.name, sizeof(m.name), "metadata/%" PRId64 ".root.json", version);
	buf_clear(out);
	return bundle_plan_read(p, &m, out, err);
}

/* The destination's newest root, into w. */
static int load_root(struct work *w, struct error *err)
{
	struct bundle_plan *p = w->p;
	int64_t newest = 0;

	if (p->kind == BUNDLE_DEVICE) {
		newest = repo_root(p->repo)->head.version;
	} else if (repo_site_newest(repo_dirfd(p->repo), p->site, &newest, err) < 0) {
		return -1;
	} else if (newest == 0) {
		error_set(err, ERR_REFUSED, "no root of site '%s' is kept here", p->site);
		return error_hint(err, "bring its roots, from the first on: meshanics repo adopt N.root.json...");
	}
	w->root_text = BUF_INIT(TUF_ROOT_MAX);
	if (read_root(p, newest, &w->root_text, err) < 0 ||
	    (w->root = tuf_root_parse(buf_slice(&w->root_text), err)) == NULL)
		return error_wrap(err, "root %" PRId64 " of '%s'", newest, p->site);
	if (strcmp(w->root->site, p->site) != 0)
		return error_set(err, ERR_REFUSED, "root %" PRId64 " kept of site '%s' is that of '%s'", newest, p->site,
				 w->root->site);
	p->versions.root = newest;
	note_expiry(p, "root", w->root->head.expires_s);
	return 0;
}

/* The root names the key that will sign here, or the destination could not tell the bundle from anybody's. */
static int check_key(const struct work *w, struct error *err)
{
	bool site = w->p->kind == BUNDLE_SITE;
	const struct tuf_keys *keys = site ? &w->root->export_keys : &w->root->site_keys;
	const char *file = bundle_key_file(w->p->kind);
	struct keyfile k;
	unsigned i;

	if (keyfile_read(repo_dirfd(w->p->repo), file, &k, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		error_set(err, ERR_NOT_FOUND, "there is no %s in the repository of '%s'", file, w->p->origin);
		return error_hint(err, "only the site that was made as 'main' exports to other sites");
	}
	for (i = 0; i < keys->count; i++) {
		if (pubkey_equal(&keys->list[i].pub, &k.pub))
			return 0;
	}
	error_set(err, ERR_REFUSED, "root version %lld of '%s', the newest, does not name the record key %.16s... of this box",
		  (long long)w->p->versions.root, w->p->site, k.keyid);
	return error_hint(err, site ? "a ceremony for that site adds it: --export-key repo/keys/record-export.pub"
				    : "take online-keys.json to the ceremony for its next root");
}

/* Targets are shared: what was signed for this repository must be signed for the destination's root as well. */
static int check_targets(const struct work *w, struct error *err)
{
	const struct tuf_targets *targets = repo_targets(w->p->repo);

	if (tuf_verify_role(&w->root->roles[TUF_TARGETS], &targets->head, NULL, "targets", "5.6.3", err) == 0)
		return 0;
	error_wrap(err, "for root version %lld of '%s'", (long long)w->p->versions.root, w->p->site);
	return error_hint(err, "that root must be made with the targets keys of the root here");
}

/* From the first root, or the one after the receipt's, to the newest. */
static int add_roots(struct work *w, struct error *err)
{
	struct bundle_plan *p = w->p;
	int64_t have = w->e->since == NULL ? 0 : receipt_version(w->e->since, "root"), first = p->versions.root, v;
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	int r = 0;

	while (first > have + 1 && (r = read_root(p, first - 1, &text, err)) == 0)
		first--;
	if (r < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		r = 0;
	}
	for (v = first > have ? first : have + 1; r == 0 && v <= p->versions.root; v++) {
		r = read_root(p, v, &text, err);
		if (r == 0)
			r = add_file(p, "root", v, buf_slice(&text), err);
	}
	buf_release(&text);
	return r;
}

static bool site_has(const struct work *w, const char *role, int64_t version)
{
	return w->e->since != NULL && receipt_version(w->e->since, role) == version;
}

/* A publisher's file or a bin. */
static int add_role(struct work *w, const struct repo_role *role, bool needed, struct error *err)
{
	if (role->fault == ROLE_DAMAGED) {
		*err = role->why;
		error_wrap(err, "publisher file '%s'", role->name);
		return error_hint(err, "look with 'meshanics repo verify'");
	}
	if (role->file == NULL) {
		if (role->fault != ROLE_FINE && w->e->warn != NULL)
			w->e->warn(w->e->arg, role->name, &role->why);
		return 0;
	}
	note_expiry(w->p, role->name, role->file->head.expires_s);
	return !needed && site_has(w, role->name, role->version)
		       ? 0
		       : add_file(w->p, role->name, role->version, buf_slice(&role->text), err);
}

/* The publisher's own file stands before his bins, and goes in when one of these does: it leads to them. */
static int add_publisher(struct work *w, unsigned i, struct error *err)
{
	struct bundle_plan *p = w->p;
	const struct repo_role *role = repo_role_at(p->repo, i);
	uint32_t at = p->file_count;
	unsigned bin, bins = role->file != NULL && role->bin_bits > 0 ? 1u << role->bin_bits : 0;
	struct member own;

	if (bins == 0)
		return add_role(w, role, w->needed[i][0], err);
	if (add_role(w, role, true, err) < 0)
		return -1;
	own = p->files[at];
	for (bin = 0; bin < bins; bin++) {
		struct repo_role out;
		int r;

		repo_bin_read(p->repo, role, bin, &out);
		r = add_role(w, &out, w->needed[i][bin], err);
		repo_role_release(&out);
		if (r < 0)
			return -1;
	}
	if (p->file_count == at + 1 && site_has(w, own.role, own.version))
		p->file_count = at;
	return 0;
}

static int add_metadata(struct work *w, struct error *err)
{
	struct bundle_plan *p = w->p;
	const struct tuf_targets *targets = repo_targets(p->repo);
	unsigned i;

	if (add_roots(w, err) < 0)
		return -1;
	if (p->kind == BUNDLE_DEVICE) {
		const struct tuf_timestamp *timestamp = repo_timestamp(p->repo);
		const struct tuf_snapshot *snapshot = repo_snapshot(p->repo);

		p->versions.timestamp = timestamp->head.version;
		p->versions.snapshot = snapshot->head.version;
		buf_put_slice(&p->timestamp, timestamp->head.text);
		note_expiry(p, "timestamp", timestamp->head.expires_s);
		note_expiry(p, "snapshot", snapshot->head.expires_s);
		if (add_file(p, "timestamp", 0, timestamp->head.text, err) < 0 ||
		    add_file(p, "snapshot", snapshot->head.version, snapshot->head.text, err) < 0)
			return -1;
	}
	p->versions.targets = targets->head.version;
	note_expiry(p, "targets", targets->head.expires_s);
	if (add_file(p, "targets", targets->head.version, targets->head.text, err) < 0)
		return -1;
	for (i = 0; i < repo_role_count(p->repo); i++) {
		if (add_publisher(w, i, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- artifacts ---- */

/* Does a selector cover the path? NAMESPACE/NAME stands for all versions. */
static bool selected(const struct work *w, struct slice path)
{
	bool any = w->e->selector_count == 0;
	char pattern[TARGET_PATH_MAX + 3];
	unsigned i;

	for (i = 0; i < w->e->selector_count; i++) {
		bundle_selector_pattern(w->e->selectors[i], pattern);
		if (tuf_pattern_match(slice_str(pattern), path))
			any = w->matched[i] = true;
	}
	return any;
}

static int add_artifact(void *arg, const struct artifact *a, struct error *err)
{
	struct work *w = arg;
	struct bundle_plan *p = w->p;
	struct plan_artifact *out;
	unsigned i;

	if (!a->target.hashes.has_sha256)
		return error_set(err, ERR_REFUSED, "artifact '%.*s' has no SHA-256", SLICE_ARG(a->target.path));
	if (p->artifact_count == p->artifact_room) {
		p->artifact_room = p->artifact_room == 0 ? 64 : 2 * p->artifact_room;
		p->artifacts = xreallocarray(p->artifacts, p->artifact_room, sizeof(*p->artifacts));
	}
	out = &p->artifacts[p->artifact_count++];
	*out = (struct plan_artifact){.length = a->target.length, .path = p->paths.len};
	out->selected = selected(w, a->target.path);
	for (i = 0; repo_role_at(p->repo, i) != a->role; i++)
		;
	out->publisher = i;
	out->bin = a->role->bin_bits > 0 ? repo_bin_of(a->role, a->target.path) : 0;
	memcpy(out->sha256, a->target.hashes.sha256, SHA256_LEN);
	buf_put_slice(&p->paths, a->target.path);
	buf_put_u8(&p->paths, 0);
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	const struct plan_artifact *x = a, *y = b;
	int r = memcmp(x->sha256, y->sha256, SHA256_LEN);

	return r != 0 ? r : (x->path > y->path) - (x->path < y->path);
}

/* Each content once, selected when one of its names is. */
static void merge(struct bundle_plan *p)
{
	uint32_t i, n = 0;

	if (p->artifact_count == 0)
		return;
	qsort(p->artifacts, p->artifact_count, sizeof(*p->artifacts), by_hash);
	for (i = 1; i < p->artifact_count; i++) {
		if (memcmp(p->artifacts[n].sha256, p->artifacts[i].sha256, SHA256_LEN) == 0)
			p->artifacts[n].selected |= p->artifacts[i].selected;
		else
			p->artifacts[++n] = p->artifacts[i];
	}
	p->artifact_count = n + 1;
}

/* Only what is to be carried stays. */
static void choose(struct work *w)
{
	struct bundle_plan *p = w->p;
	uint32_t i, n = 0;

	p->complete = true;
	for (i = 0; i < p->artifact_count; i++) {
		const struct plan_artifact *a = &p->artifacts[i];

		if (w->e->held != NULL && held_find(w->e->held, a->sha256)) {
			p->saved++;
			p->saved_bytes += a->length;
		} else if (a->selected) {
			w->needed[a->publisher][a->bin] = true;
			p->artifacts[n++] = *a;
		} else {
			p->complete = false;
		}
	}
	p->artifact_count = n;
}

/* Better now than after an hour of writing. */
static int check_blobs(const struct bundle_plan *p, struct error *err)
{
	struct buf path = BUF_INIT(TARGET_PATH_MAX + 128);
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < p->artifact_count; i++) {
		const struct plan_artifact *a = &p->artifacts[i];
		struct stat st;

		buf_clear(&path);
		artifact_put_file(&path, slice_str(bundle_plan_name(p, a)), a->sha256);
		if (fstatat(repo_dirfd(p->repo), buf_cstr(&path), &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = bundle_blob_bad(p, a, errno == ENOENT ? "is missing" : "cannot be read", err);
		else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != a->length)
			r = bundle_blob_bad(p, a, "has another length than was signed", err);
	}
	buf_release(&path);
	return r;
}

int bundle_blob_bad(const struct bundle_plan *p, const struct plan_artifact *a, const char *what, struct error *err)
{
	error_set(err, ERR_REFUSED, "artifact '%s' %s", bundle_plan_name(p, a), what);
	return error_hint(err, "'meshanics repo verify' lists what is damaged; signing the same file again heals it");
}

static int add_artifacts(struct work *w, struct error *err)
{
	unsigned i;

	if (artifact_each(w->p->repo, add_artifact, w, err) < 0)
		return -1;
	for (i = 0; i < w->e->selector_count; i++) {
		if (!w->matched[i]) {
			error_set(err, ERR_NOT_FOUND, "no artifact is called '%s'", w->e->selectors[i]);
			return error_hint(err, "meshanics artifact list shows what is published");
		}
	}
	merge(w->p);
	choose(w);
	return 0;
}

/* ---- how long it is good ---- */

/* A time as --valid-for takes it, not more than s. */
static void duration_word(char out[static 32], int64_t s)
{
	if (s >= 86400)
		snprintf(out, 32, "%" PRId64 "d", s / 86400);
	else if (s >= 3600)
		snprintf(out, 32, "%" PRId64 "h", s / 3600);
	else
		snprintf(out, 32, "%" PRId64 "s", s);
}

static const char *renewal(const struct bundle_plan *p)
{
	if (strcmp(p->first, "root") == 0 || strcmp(p->first, "targets") == 0)
		return "a ceremony makes the next one";
	return "'meshanics repo refresh --force' signs what this box signs; a publisher elsewhere signs his own";
}

static int set_validity(struct work *w, struct error *err)
{
	struct bundle_plan *p = w->p;
	int64_t life_s = w->e->valid_for_s > 0 ? w->e->valid_for_s : BUNDLE_VALID_DEFAULT_S;
	int64_t left_s = p->first_expires_s - p->now_s;
	char when[TIME_TEXT_LEN], word[32];

	p->valid_until_s = p->now_s + life_s;
	if (p->first_expires_s >= p->valid_until_s)
		return 0;
	time_text(when, p->first_expires_s);
	if (left_s <= 0) {
		error_set(err, ERR_REFUSED, "%s of '%s' expired at %s", p->first, p->site, when);
		return error_hint(err, "%s", renewal(p));
	}
	if (p->kind == BUNDLE_DEVICE && w->e->valid_for_s == 0) {
		p->valid_until_s = p->first_expires_s;
		p->shortened = true;
		return 0;
	}
	duration_word(word, life_s);
	error_set(err, ERR_REFUSED, "%s of '%s' expires at %s, before a bundle that is valid for %s", p->first, p->site, when,
		  word);
	duration_word(word, left_s);
	return error_hint(err, "give --valid-for %s or less, or renew it first: %s", word, renewal(p));
}

/* ---- the whole ---- */

static void work_release(struct work *w)
{
	unsigned i;

	for (i = 0; w->needed != NULL && i < repo_role_count(w->p->repo); i++)
		free(w->needed[i]);
	free(w->needed);
	free(w->matched);
	tuf_root_free(w->root);
	buf_release(&w->root_text);
}

static int check_receipt(const struct work *w, struct error *err)
{
	const struct receipt *r = w->e->since;

	if (r == NULL)
		return 0;
	if (w->p->kind == BUNDLE_DEVICE)
		return error_set(err, ERR_USAGE, "a receipt tells what another site holds; a bundle for devices takes none");
	if (strcmp(r->site, w->p->site) != 0) {
		error_set(err, ERR_USAGE, "the receipt is of site '%s', and the bundle for '%s'", r->site, w->p->site);
		return error_hint(err, "give a receipt that '%s' has written, or export without --since", w->p->site);
	}
	if (receipt_version(r, "root") > w->p->versions.root)
		return error_set(err, ERR_REFUSED,
				 "site '%s' has root version %lld, and version %lld is the newest kept here", r->site, (long long)receipt_version(r, "root"), (long long)w->p->versions.root);
	return 0;
}

static int check_selectors(const struct bundle_export *e, struct error *err)
{
	char pattern[TARGET_PATH_MAX + 3];
	unsigned i;

	for (i = 0; i < e->selector_count; i++) {
		if (strlen(e->selectors[i]) > TARGET_PATH_MAX)
			return error_set(err, ERR_USAGE, "--artifact: '%.64s...' is too long", e->selectors[i]);
		bundle_selector_pattern(e->selectors[i], pattern);
		if (slice_pattern_check(slice_str(pattern), err) < 0) {
			*err = ERROR_INIT;
			error_set(err, ERR_USAGE, "--artifact '%s' is no name of artifacts", e->selectors[i]);
			return error_hint(err, "write NAMESPACE/NAME or NAMESPACE/NAME/VERSION, with * and ? where they help");
		}
	}
	return 0;
}

static void count(struct bundle_plan *p)
{
	uint32_t i;

	p->members = p->file_count + p->artifact_count;
	for (i = 0; i < p->file_count; i++)
		p->bytes += p->files[i].length;
	for (i = 0; i < p->artifact_count; i++)
		p->bytes += p->artifacts[i].length;
}

static int open_repo(struct work *w, struct error *err)
{
	struct bundle_plan *p = w->p;
	unsigned i;

	if ((p->repo = repo_open_readonly(w->e->home, err)) == NULL || repo_adopted(p->repo, err) < 0)
		return -1;
	p->now_s = w->e->now_s;
	snprintf(p->origin, sizeof(p->origin), "%s", repo_site(p->repo));
	snprintf(p->site, sizeof(p->site), "%s", w->e->site == NULL ? p->origin : w->e->site);
	p->kind = strcmp(p->site, p->origin) == 0 ? BUNDLE_DEVICE : BUNDLE_SITE;
	if (w->e->since != NULL) {
		p->has_since = true;
		memcpy(p->since, w->e->since->id, SHA256_LEN);
	}
	w->needed = xcalloc(repo_role_count(p->repo) + 1u, sizeof(*w->needed));
	for (i = 0; i < repo_role_count(p->repo); i++)
		w->needed[i] = xcalloc((size_t)1 << repo_role_at(p->repo, i)->bin_bits, sizeof(bool));
	return 0;
}

int bundle_plan_make(struct bundle_plan *p, const struct bundle_export *e, struct error *err)
{
	struct work w = {.p = p, .e = e, .matched = xcalloc(e->selector_count + 1u, sizeof(bool))};
	int r = -1;

	if (check_selectors(e, err) < 0 || open_repo(&w, err) < 0 || load_root(&w, err) < 0 ||
	    check_receipt(&w, err) < 0 || check_key(&w, err) < 0 || check_targets(&w, err) < 0 || add_artifacts(&w, err) < 0 ||
	    add_metadata(&w, err) < 0 || set_validity(&w, err) < 0 || check_blobs(p, err) < 0)
		goto out;
	count(p);
	r = 0;
out:
	work_release(&w);
	return r;
}

/* ---- the manifest ---- */

const char *bundle_key_file(enum bundle_kind kind)
{
	return kind == BUNDLE_SITE ? "keys/record-export.key" : "keys/record-site.key";
}

void bundle_selector_pattern(const char *selector, char out[static TARGET_PATH_MAX + 3])
{
	unsigned slashes = 0;
	const char *at;

	for (at = selector; *at != '\0'; at++)
		slashes += *at == '/';
	snprintf(out, TARGET_PATH_MAX + 3, "%s%s", selector, slashes == 1 ? "/*" : "");
}

int bundle_plan_manifest(const struct bundle_plan *p, int64_t sequence, const struct bundle_witness *audit,
			 struct manifest *m, struct error *err)
{
	char hex[SHA256_HEX_LEN];
	uint32_t i;

	m->kind = p->kind;
	memcpy(m->site, p->site, sizeof(m->site));
	memcpy(m->origin, p->origin, sizeof(m->origin));
	m->sequence = sequence;
	m->created_s = p->now_s;
	m->valid_until_s = p->valid_until_s;
	m->complete = p->complete;
	m->has_since = p->has_since;
	memcpy(m->since, p->since, SHA256_LEN);
	m->audit = *audit;
	m->versions.root = p->versions.root;
	m->versions.targets = p->versions.targets;
	m->versions.snapshot = p->versions.snapshot;
	m->versions.timestamp = p->versions.timestamp;
	m->members = p->members;
	m->bytes = p->bytes;
	if (manifest_begin(m, err) < 0)
		return -1;
	for (i = 0; i < p->file_count; i++)
		manifest_add(m, &p->files[i]);
	for (i = 0; i < p->artifact_count; i++) {
		struct member member = {.length = p->artifacts[i].length};

		memcpy(member.sha256, p->artifacts[i].sha256, SHA256_LEN);
		hex_encode(hex, member.sha256, SHA256_LEN);
		snprintf(member.name, sizeof(member.name), "targets/%s", hex);
		manifest_add(m, &member);
	}
	return manifest_end(m, err);
}

int bundle_plan_sign(const struct bundle_plan *p, const struct manifest *m, struct buf *armored, struct error *err)
{
	struct seckey *k = keyfile_open(repo_dirfd(p->repo), bundle_key_file(p->kind), SLICE_EMPTY, err);
	int r = k == NULL ? -1 : sshsig_sign_sha256(k, BUNDLE_NAMESPACE, m->id, armored, err);

	seckey_free(k);
	return r < 0 ? error_wrap(err, "cannot sign the bundle") : 0;
}
