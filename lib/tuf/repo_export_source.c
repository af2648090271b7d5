/* Where an export comes from: one state of HOME/repo, verified as a client does from the first root to every role. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/engine_drive.h"
#include "tuf/publish.h"
#include "tuf/repo_export_internal.h"
#include "tuf/verify.h"

#define WALK_DEPTH_MAX 8	/* of delegations below targets; publishers and their bins are two */

/* One load. */
struct load {
	struct export_source *s;
	struct repo_export *e;
	struct role_ref *refs;	/* what the snapshot names, by name */
	size_t ref_count;
};
struct role_ref {
	struct slice name;	/* borrowed from the snapshot */
	struct tuf_metafile meta;
	bool seen;
};

int export_source_open(struct export_source *s, const char *home, struct error *err)
{
	char path[4096];

	if ((s->dirfd = file_open(AT_FDCWD, path_join(path, home, "repo"), O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return error_hint(err, "make a repository with: meshanics repo init");
	s->metadata_fd = file_open(s->dirfd, "metadata", O_RDONLY | O_DIRECTORY, 0, err);
	return s->metadata_fd < 0 ? -1 : 0;
}

static void forget_state(struct export_source *s)
{
	tuf_client_free(s->client);
	s->client = NULL;
	free(s->roots.list);
	free(s->files.list);
	s->roots = s->files = (struct export_list){.list = NULL};
	buf_clear(&s->timestamp);
	s->artifacts = 0;
	s->artifact_bytes = 0;
}

void export_source_release(struct export_source *s)
{
	forget_state(s);
	buf_release(&s->timestamp);
	file_close(&s->metadata_fd);
	file_close(&s->dirfd);
}

bool export_source_moved(const struct export_source *s)
{
	struct buf now = BUF_INIT(TUF_TIMESTAMP_MAX);
	struct error ignored = ERROR_INIT;
	int64_t newest;
	bool same;

	/* One that cannot be read is like none, as it was when the state was taken. */
	if (file_read(s->metadata_fd, "timestamp.json", &now, &ignored) < 0)
		buf_clear(&now);
	same = slice_equal(buf_slice(&now), buf_slice(&s->timestamp)) &&
	       repo_newest(s->metadata_fd, "root", &newest, NULL, &ignored) == 0 && newest == s->newest_root;
	buf_release(&now);
	return !same;
}

static struct export_entry *add_entry(struct export_list *l, const char *role, int64_t version, struct slice text)
{
	struct export_entry *entry;

	if ((l->count & (l->count - 1)) == 0)
		l->list = xreallocarray(l->list, l->count == 0 ? 1 : 2 * l->count, sizeof(l->list[0]));
	entry = &l->list[l->count++];
	*entry = (struct export_entry){.len = text.len};
	metadata_name(entry->name, role, version);
	sha256_of(text, entry->sha256);
	return entry;
}

int export_source_read(const struct export_source *s, const struct export_entry *entry, struct buf *out,
		       struct error *err)
{
	uint8_t hash[SHA256_LEN];

	*out = BUF_INIT(entry->len);
	if (file_read(s->metadata_fd, entry->name, out, err) < 0)
		return -1;
	sha256_of(buf_slice(out), hash);
	if (out->len == entry->len && memcmp(hash, entry->sha256, sizeof(hash)) == 0)
		return 0;
	return error_set(err, ERR_REFUSED, "metadata/%s has changed since it was verified", entry->name);
}

/* ---- roots ---- */

/* The next root of the chain; *last and its text are replaced. */
static int load_root(struct export_source *s, int64_t version, struct tuf_root **last, struct buf *last_text,
		     struct error *err)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	struct tuf_root *root = NULL;
	char name[META_NAME_MAX];

	metadata_name(name, "root", version);
	if (file_read(s->metadata_fd, name, &text, err) < 0 || (root = tuf_root_parse(buf_slice(&text), err)) == NULL)
		goto fail;
	if ((*last == NULL ? tuf_root_check_self(root, err) : tuf_root_check(*last, root, err)) < 0)
		goto fail;
	if (root->head.version != version) {
		error_set(err, ERR_REFUSED, "it says that it is version %" PRId64, root->head.version);
		goto fail;
	}
	add_entry(&s->roots, "root", version, buf_slice(&text));
	tuf_root_free(*last);
	buf_release(last_text);
	*last = root;
	*last_text = text;
	return 0;
fail:
	tuf_root_free(root);
	buf_release(&text);
	return error_wrap(err, "metadata/%s", name);
}

/* The whole chain, also where it is longer than what one update of a client follows; the newest root's text to out. */
static int load_roots(struct export_source *s, struct buf *out, struct error *err)
{
	struct tuf_root *last = NULL;
	int64_t v;
	int r = -1;

	if (repo_newest(s->metadata_fd, "root", &s->newest_root, &s->oldest_root, err) < 0)
		return -1;
	if (s->newest_root == 0) {
		error_set(err, ERR_NOT_FOUND, "the repository has no root yet");
		return error_hint(err, "take online-keys.json to the ceremony, then: meshanics repo adopt "
				       "root.json targets.json");
	}
	for (v = s->oldest_root; v <= s->newest_root; v++) {
		if (load_root(s, v, &last, out, err) < 0)
			goto out;
	}
	if (!last->consistent_snapshot) {
		error_set(err, ERR_REFUSED, "root %" PRId64 " does not ask for consistent snapshots", s->newest_root);
		goto out;
	}
	r = 0;
out:
	tuf_root_free(last);
	return r;
}

/* ---- timestamp, snapshot, targets: by the client workflow itself ---- */

static int source_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	const struct export_source *s = arg;

	if (strcmp(w->role, "root") == 0)
		return error_set(err, ERR_NOT_FOUND, "the chain is known");
	if (strcmp(w->role, "timestamp") == 0) {
		buf_put_slice(out, buf_slice(&s->timestamp));
		return out->failed ? error_set(err, ERR_LIMIT, "the timestamp is too large") : 0;
	}
	if (filename_check(slice_str(w->path), err) < 0)
		return -1;
	return file_read(s->metadata_fd, w->path, out, err);
}

static int run_client(struct load *l, struct slice root, struct error *err)
{
	const struct tuf_options o = {.mode = TUF_MODE_CLIENT, .clock_s = l->e->now_s};
	const struct tuf_source source = {source_get, l->s};

	if ((l->s->client = tuf_client_new(root, &o, err)) == NULL)
		return -1;
	return tuf_drive(l->s->client, NULL, &source, err);
}

/* ---- delegated roles ---- */

static int by_name(const void *a, const void *b)
{
	const struct role_ref *x = a, *y = b;

	return slice_compare(x->name, y->name);
}

/* The snapshot lists thousands of bins, and each has to be found. */
static int index_snapshot(struct load *l, struct error *err)
{
	const struct tuf_snapshot *snapshot = tuf_client_snapshot(l->s->client);
	struct json_iter it;

	l->refs = xcalloc(json_count(snapshot->meta), sizeof(l->refs[0]));
	for (it = json_iter(snapshot->meta); json_next(&it);) {
		struct role_ref *ref = &l->refs[l->ref_count];

		if (!slice_ends(it.key, SLICE_LIT(".json")))
			continue;
		if (tuf_metafile_parse(&ref->meta, it.value, err) < 0)
			return -1;
		ref->name = slice_sub(it.key, 0, it.key.len - strlen(".json"));
		l->ref_count++;
	}
	if (l->ref_count > 0)
		qsort(l->refs, l->ref_count, sizeof(l->refs[0]), by_name);
	return 0;
}

static struct role_ref *find_ref(const struct load *l, const char *role)
{
	struct role_ref key = {.name = slice_str(role)};

	return l->ref_count == 0 ? NULL : bsearch(&key, l->refs, l->ref_count, sizeof(key), by_name);
}

static void note_fault(struct load *l, const char *role, const struct error *why)
{
	l->e->faults++;
	if (l->e->fault != NULL)
		l->e->fault(l->e->arg, role, why);
}

static int count_artifact(void *arg, const char *path, const struct tuf_target *t, struct error *err)
{
	struct export_source *s = arg;

	(void)path;
	(void)err;
	s->artifacts++;
	s->artifact_bytes += t->length;
	return 0;
}

int export_each_artifact(const struct tuf_targets *file, export_artifact_fn *each, void *arg, struct error *err)
{
	struct buf path = BUF_INIT(4096);
	struct tuf_target t;
	struct json_iter it;
	int r = 0;

	for (it = json_iter(file->targets); r == 0 && json_next(&it);) {
		buf_clear(&path);
		if (tuf_target_parse(&t, it.key, it.value, err) < 0 || target_path_check(t.path, err) < 0) {
			r = -1;
		} else if (!t.hashes.has_sha256) {
			r = error_set(err, ERR_REFUSED, "a target without SHA-256 has no place in this repository");
		} else {
			artifact_put_file(&path, t.path, t.hashes.sha256);
			r = each(arg, buf_cstr(&path), &t, err);
		}
	}
	buf_release(&path);
	return r;
}

static int walk(struct load *l, const struct tuf_targets *delegator, unsigned depth, struct error *err);

/*
 * Do clients believe the file, by its signatures? Damage has been an error before; what only the role's
 * own people can mend is a fault of the role.
 */
static bool judge_role(struct load *l, const struct tuf_delegation *d, const struct role_ref *ref,
		       const struct tuf_role *role, const struct tuf_targets *file)
{
	struct error why = ERROR_INIT;
	bool signed_well = tuf_targets_check(role, d->name, &ref->meta, file, -1, &why) == 0;

	if (!signed_well || tuf_verify_expiry(&file->head, l->e->now_s, d->name, "5.6.5", &why) < 0)
		note_fault(l, d->name, &why);
	return signed_well;
}

/* One delegated file, after those to which it delegates in turn. */
static int walk_role(struct load *l, const struct tuf_targets *delegator, const struct tuf_delegation *d,
		     const struct role_ref *ref, unsigned depth, struct error *err)
{
	struct buf text = BUF_INIT(ref->meta.length >= 0 && ref->meta.length <= (int64_t)TUF_SIGNED_MAX
					   ? (size_t)ref->meta.length
					   : TUF_UNSIGNED_MAX);
	struct tuf_targets *file = NULL;
	struct tuf_role role = {.threshold = 0};
	char name[META_NAME_MAX];
	bool believed = false;
	int r = -1;

	metadata_name(name, d->name, ref->meta.version);
	if (file_read(l->s->metadata_fd, name, &text, err) < 0 ||
	    tuf_hashes_check(&ref->meta.hashes, buf_slice(&text), d->name, err) < 0 ||
	    (file = tuf_targets_parse(buf_slice(&text), err)) == NULL ||
	    tuf_delegation_role(delegator, d, &role, err) < 0)
		goto out;
	believed = judge_role(l, d, ref, &role, file);
	if (believed && (walk(l, file, depth + 1, err) < 0 || export_each_artifact(file, count_artifact, l->s, err) < 0))
		goto out;
	add_entry(&l->s->files, d->name, ref->meta.version, buf_slice(&text))->artifacts = believed;
	r = 0;
out:
	if (r < 0)
		error_wrap(err, "metadata/%s", name);
	tuf_role_release(&role);
	tuf_targets_free(file);
	buf_release(&text);
	return r;
}

static int walk(struct load *l, const struct tuf_targets *delegator, unsigned depth, struct error *err)
{
	struct tuf_delegation_iter it;
	struct tuf_delegation d;

	for (it = tuf_delegation_iter(delegator, SLICE_EMPTY); tuf_delegation_next(&it, &d);) {
		struct role_ref *ref = find_ref(l, d.name);

		if (ref == NULL || ref->seen)
			continue;	/* never published, or reached by another delegator */
		if (depth > WALK_DEPTH_MAX)
			return error_set(err, ERR_LIMIT, "delegations lie deeper than %d", WALK_DEPTH_MAX);
		if (name_check(slice_str(d.name), "role", err) < 0)
			return -1;
		ref->seen = true;
		if (walk_role(l, delegator, &d, ref, depth, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- all of it ---- */

static int64_t good_until(const struct tuf_client *c)
{
	const int64_t all[] = {tuf_client_root(c)->head.expires_s, tuf_client_timestamp(c)->head.expires_s,
			       tuf_client_snapshot(c)->head.expires_s, tuf_client_targets(c)->head.expires_s};
	int64_t first = all[0];
	unsigned i;

	for (i = 1; i < ARRAY_SIZE(all); i++)
		first = all[i] < first ? all[i] : first;
	return first;
}

/* What targets itself lists. The client keeps it folded, so that it is parsed again. */
static int count_top(struct load *l, struct error *err)
{
	struct tuf_targets *whole = tuf_targets_parse(tuf_client_targets(l->s->client)->head.text, err);
	int r = whole == NULL ? -1 : export_each_artifact(whole, count_artifact, l->s, err);

	tuf_targets_free(whole);
	return r;
}

static int load_roles(struct load *l, struct error *err)
{
	const struct tuf_targets *targets = tuf_client_targets(l->s->client);
	const struct tuf_snapshot *snapshot = tuf_client_snapshot(l->s->client);

	if (index_snapshot(l, err) < 0 || walk(l, targets, 1, err) < 0 || count_top(l, err) < 0)
		return -1;
	add_entry(&l->s->files, "targets", targets->head.version, targets->head.text)->artifacts = true;
	add_entry(&l->s->files, "snapshot", snapshot->head.version, snapshot->head.text);
	return 0;
}

int export_source_load(struct export_source *s, struct repo_export *e, struct error *err)
{
	struct load l = {.s = s, .e = e};
	struct buf root = BUF_INIT(TUF_ROOT_MAX);
	int r = -1;

	forget_state(s);
	e->faults = 0;
	/* First the timestamp: root may run ahead of it, as the repository itself places them. */
	if (file_read(s->metadata_fd, "timestamp.json", &s->timestamp, err) < 0 && err->kind != ERR_NOT_FOUND)
		return -1;
	if (load_roots(s, &root, err) < 0 || run_client(&l, buf_slice(&root), err) < 0 || load_roles(&l, err) < 0)
		goto out;
	e->root_version = s->newest_root;
	e->timestamp_version = tuf_client_timestamp(s->client)->head.version;
	e->good_until_s = good_until(s->client);
	r = 0;
out:
	free(l.refs);
	buf_release(&root);
	return r;
}
