/* What an import must be: the engine's checks against our own state, then the rules of this repository on top. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_import_internal.h"
#include "tuf/verify.h"

/* ---- the files that were brought ---- */

static int file_order(const void *a, const void *b)
{
	const struct import_file *x = a, *y = b;
	int order = strcmp(x->role, y->role);

	return order != 0 ? order : (x->version > y->version) - (x->version < y->version);
}

/* The first of the role at this version or above. */
static unsigned file_at(const struct importing *x, const char *role, int64_t version)
{
	unsigned low = 0, high = x->file_count;
	struct import_file key = {.version = version};

	snprintf(key.role, sizeof(key.role), "%s", role);
	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (file_order(&x->files[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Of the role, in this version; 0: in whichever. */
struct import_file *import_file(const struct importing *x, const char *role, int64_t version)
{
	unsigned i = file_at(x, role, version);

	if (i == x->file_count || strcmp(x->files[i].role, role) != 0 ||
	    (version != 0 && x->files[i].version != version))
		return NULL;
	return &x->files[i];
}

static int sort_files(struct importing *x, struct error *err)
{
	char name[META_NAME_MAX], shown[META_NAME_MAX];
	unsigned i;

	x->files = xcalloc(x->m->file_count, sizeof(*x->files));
	for (i = 0; i < x->m->file_count; i++) {
		struct import_file *f = &x->files[x->file_count];
		struct slice path = x->m->files[i].path;

		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(path));
		if (path.len >= sizeof(name) || !metadata_name_parse(name, f->role, &f->version))
			return error_set(err, ERR_MALFORMED, "'%s' is no name of a metadata file",
					 printable(shown, sizeof(shown), path));
		if (strcmp(f->role, "snapshot") == 0 || strcmp(f->role, "timestamp") == 0)
			return error_set(err, ERR_REFUSED, "%s is signed by each site itself", name);
		f->bytes = x->m->files[i].bytes;
		x->file_count++;
	}
	if (x->file_count > 0)
		qsort(x->files, x->file_count, sizeof(x->files[0]), file_order);
	for (i = 1; i < x->file_count; i++) {
		if (strcmp(x->files[i].role, x->files[i - 1].role) == 0 &&
		    (strcmp(x->files[i].role, "root") != 0 || x->files[i].version == x->files[i - 1].version))
			return error_set(err, ERR_MALFORMED, "'%s' is there twice", x->files[i].role);
	}
	return 0;
}

/* Roots and targets apart, which say more themselves. */
static int check_used(const struct importing *x, struct error *err)
{
	unsigned i;

	for (i = 0; i < x->file_count; i++) {
		const struct import_file *f = &x->files[i];

		if (!f->used && strcmp(f->role, "root") != 0)
			return error_set(err, ERR_REFUSED, "%" PRId64 ".%s.json: nothing delegates to '%s'", f->version,
					 f->role, f->role);
	}
	return 0;
}

/* ---- what is in force here ---- */

int import_stored(const struct repo *r, const char *role, struct tuf_metafile *meta, struct buf *out, struct error *err)
{
	char name[META_NAME_MAX];

	if (strlen(role) > NAME_LEN_MAX || !repo_index_find(&r->state.index, role, meta))
		return error_set(err, ERR_NOT_FOUND, "'%.64s' has never been published", role);
	metadata_name(name, role, meta->version);
	return file_read(r->metadata_fd, name, out, err) < 0 ? -1
							      : tuf_hashes_check(&meta->hashes, buf_slice(out), role, err);
}

/*
 * Older than what is in force: said with both versions, before anything else is. Targets may come down under new roots
 * (recovery); the engine knows when.
 */
static int check_older(struct importing *x, struct error *err)
{
	unsigned i = file_at(x, "root", x->r->state.root->head.version + 1);
	bool new_roots = i < x->file_count && strcmp(x->files[i].role, "root") == 0;
	struct tuf_metafile meta;

	for (i = 0; i < x->file_count; i++) {
		const struct import_file *f = &x->files[i];

		if (strcmp(f->role, "root") == 0 || (new_roots && strcmp(f->role, "targets") == 0) ||
		    !repo_index_find(&x->r->state.index, f->role, &meta) || f->version >= meta.version)
			continue;
		x->m->older = true;
		error_set(err, ERR_REFUSED, "%s version %" PRId64 " is older than version %" PRId64 ", which this site holds",
			  f->role, f->version, meta.version);
		return error_hint(err, "nothing has changed; nothing needs to be done");
	}
	return 0;
}

/* Another file under a version that is in force: whoever signed both has broken his word. */
static int check_same_version(const struct importing *x, const struct import_file *f, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	struct tuf_metafile meta;

	if (!repo_index_find(&x->r->state.index, f->role, &meta) || meta.version != f->version)
		return 0;
	sha256_of(f->bytes, hash);
	if (meta.hashes.has_sha256 && memcmp(hash, meta.hashes.sha256, SHA256_LEN) == 0)
		return 0;
	return error_set(err, ERR_REFUSED, "another file of '%s' with version %" PRId64 " is in force already", f->role,
			 f->version);
}

/* ---- the engine ---- */

static int answer_stored(struct importing *x, const struct tuf_want *w, struct buf *out, struct error *err)
{
	const struct repo_state *s = &x->r->state;
	struct tuf_metafile meta;

	if (strcmp(w->role, "root") == 0)
		buf_put_slice(out, buf_slice(&s->root_text));
	else if (strcmp(w->role, "snapshot") == 0)
		buf_put_slice(out, buf_slice(&s->snapshot_text));
	else
		return import_stored(x->r, w->role, &meta, out, err);
	return 0;
}

static int answer_brought(struct importing *x, const struct tuf_want *w, struct buf *out, struct error *err)
{
	struct import_file *f = strlen(w->role) > NAME_LEN_MAX ? NULL : import_file(x, w->role, w->version);

	if (f == NULL)
		return error_set(err, ERR_NOT_FOUND, "'%s' was not brought", w->path);
	f->used = true;
	buf_put_slice(out, f->bytes);
	return strcmp(f->role, "root") == 0 ? 0 : check_same_version(x, f, err);
}

static int drive(struct importing *x, struct error *err)
{
	const struct tuf_want *w;

	while ((w = tuf_client_want(x->client)) != NULL) {
		struct buf bytes = BUF_INIT(w->max_len);
		struct error why = ERROR_INIT;
		int r = w->stored ? answer_stored(x, w, &bytes, &why) : answer_brought(x, w, &bytes, &why);

		if (r == 0)
			r = tuf_client_feed(x->client, &bytes, err);
		else if (w->stored || why.kind == ERR_NOT_FOUND)
			r = tuf_client_absent(x->client, err);
		else
			*err = why;
		buf_release(&bytes);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int change_order(const void *a, const void *b)
{
	return strcmp(((const struct tuf_change *)a)->role, ((const struct tuf_change *)b)->role);
}

static int run_engine(struct importing *x, struct error *err)
{
	const struct tuf_options o = {.mode = TUF_MODE_IMPORT, .clock_s = x->m->now_s, .build_s = MESHANICS_BUILD_TIME};
	struct tuf_change *sorted;

	if ((x->client = tuf_client_new(buf_slice(&x->r->state.root_text), &o, err)) == NULL || drive(x, err) < 0)
		return -1;
	x->change_count = tuf_client_changes(x->client, &x->changes);
	/* The list is the client's, but ours to order until its next call. */
	sorted = xcalloc(x->change_count, sizeof(*sorted));
	if (x->change_count > 0) {
		memcpy(sorted, x->changes, x->change_count * sizeof(*sorted));
		qsort(sorted, x->change_count, sizeof(*sorted), change_order);
	}
	x->changes = sorted;
	return 0;
}

const struct tuf_change *import_change(const struct importing *x, const char *role)
{
	const struct tuf_change key = {.role = role};

	return x->change_count == 0 ? NULL
				    : bsearch(&key, x->changes, x->change_count, sizeof(*x->changes), change_order);
}

/* ---- root and targets ---- */

/* Roots that were in force before: the same files, or those who signed them have broken their word. */
static int check_former_roots(const struct importing *x, struct error *err)
{
	unsigned i = file_at(x, "root", 0);
	int ret = 0;

	for (; ret == 0 && i < x->file_count && strcmp(x->files[i].role, "root") == 0 &&
	       x->files[i].version <= x->r->state.root->head.version;
	     i++) {
		struct buf text = BUF_INIT(TUF_ROOT_MAX);
		struct error ignored = ERROR_INIT;
		char name[META_NAME_MAX];

		metadata_name(name, "root", x->files[i].version);
		/* Those from before this repository's first root are nothing to it. */
		if (file_read(x->r->metadata_fd, name, &text, &ignored) == 0 &&
		    !slice_equal(buf_slice(&text), x->files[i].bytes))
			ret = error_set(err, ERR_REFUSED, "another root of version %" PRId64 " is in force already",
					x->files[i].version);
		buf_release(&text);
	}
	return ret;
}

static int take_targets(struct importing *x, struct error *err)
{
	struct slice text = tuf_client_targets(x->client)->head.text;

	if ((x->targets = tuf_targets_parse(text, err)) == NULL ||
	    repo_refuse_rehearsal(&x->targets->head, "targets file", err) < 0)
		return -1;
	x->m->targets_version = x->targets->head.version;
	if (import_change(x, "targets") != NULL)
		x->m->roles++;
	return repo_delegations_check(x->targets, err);
}

static int take_root(struct importing *x, struct error *err)
{
	const struct tuf_root *root = tuf_client_root(x->client);

	x->m->root_version = root->head.version;
	if (repo_refuse_rehearsal(&root->head, "root", err) < 0 ||
	    repo_staged_enter(x->r, root, &x->former, err) < 0)
		return -1;
	return repo_root_check_ours(x->r, root, x->m->now_s, err);
}

/* ---- what publishers list ---- */

static void add_blob(struct import_blob **list, size_t *count, size_t *room, const struct tuf_target *t)
{
	struct import_blob *b;

	if (*count == *room) {
		*room = *room == 0 ? 64 : 2 * *room;
		*list = xreallocarray(*list, *room, sizeof((*list)[0]));
	}
	b = &(*list)[(*count)++];
	*b = (struct import_blob){.path = xstrndup_slice(t->path), .length = t->length};
	memcpy(b->sha256, t->hashes.sha256, SHA256_LEN);
}

static int see_target(void *arg, const struct tuf_target *t, struct error *err)
{
	struct importing *x = arg;
	char staged_name[BLOB_NAME_MAX], placed_name[BLOB_NAME_MAX];
	struct repo_import_artifact a = {.path = t->path, .length = t->length, .sha256 = t->hashes.sha256};
	bool staged, placed;

	blob_staged_name(staged_name, t->hashes.sha256);
	blob_placed_name(placed_name, t->path, t->hashes.sha256);
	staged = blob_has_size(x->r->dirfd, staged_name, t->length);
	placed = blob_has_size(x->r->dirfd, placed_name, t->length);
	a.held = staged || placed;
	x->m->artifacts++;
	if (staged)
		add_blob(&x->blobs, &x->blob_count, &x->blob_room, t);
	else if (!placed)
		add_blob(&x->lacking, &x->lacking_count, &x->lacking_room, t);
	return x->m->artifact == NULL ? 0 : x->m->artifact(x->m->arg, &a, err);
}

static int blob_order(const void *a, const void *b)
{
	return memcmp(((const struct import_blob *)a)->sha256, ((const struct import_blob *)b)->sha256, SHA256_LEN);
}

/* The same bytes may be in their place under another path. */
static int see_source(void *arg, const struct tuf_target *t, struct error *err)
{
	struct importing *x = arg;
	struct import_blob key, *b, *end = x->lacking + x->lacking_count;
	char placed_name[BLOB_NAME_MAX];

	(void)err;
	memcpy(key.sha256, t->hashes.sha256, SHA256_LEN);
	b = bsearch(&key, x->lacking, x->lacking_count, sizeof(*b), blob_order);
	if (b == NULL)
		return 0;
	blob_placed_name(placed_name, t->path, t->hashes.sha256);
	if (!blob_has_size(x->r->dirfd, placed_name, t->length))
		return 0;
	while (b > x->lacking && blob_order(b - 1, &key) == 0)
		b--;
	for (; b < end && blob_order(b, &key) == 0; b++) {
		if (b->source == NULL && b->length == t->length)
			b->source = xstrndup_slice(t->path);
	}
	return 0;
}

/* A file of the new state: new or stored. text is owned; file is NULL when there is none by these keys. */
struct listed {
	struct buf text;
	struct tuf_targets *file;
	bool is_new;
};

static void listed_release(struct listed *l)
{
	tuf_targets_free(l->file);
	buf_release(&l->text);
}

/* What is stored of the role, if it is whole and signed by these keys. */
static void listed_stored(const struct importing *x, const char *name, const struct tuf_role *keys, struct listed *out)
{
	struct error ignored = ERROR_INIT;
	struct tuf_metafile meta;

	*out = (struct listed){.text = BUF_INIT(TUF_SIGNED_MAX)};
	if (import_stored(x->r, name, &meta, &out->text, &ignored) < 0 ||
	    (out->file = tuf_targets_parse(buf_slice(&out->text), &ignored)) == NULL)
		return;
	meta.length = -1;
	if (tuf_targets_check(keys, name, &meta, out->file, -1, &ignored) == 0)
		return;
	tuf_targets_free(out->file);
	out->file = NULL;
}

static int listed_next(const struct importing *x, const char *name, const struct tuf_role *keys, struct listed *out,
		       struct error *err)
{
	const struct tuf_change *c = import_change(x, name);
	struct tuf_metafile meta;

	if (c == NULL) {
		listed_stored(x, name, keys, out);
		return 0;
	}
	*out = (struct listed){.text = BUF_INIT(TUF_SIGNED_MAX)};
	/* Of the version that is in force it only puts right what was damaged. */
	out->is_new = !repo_index_find(&x->r->state.index, name, &meta) || meta.version != c->version;
	buf_put_slice(&out->text, c->bytes);
	out->file = tuf_targets_parse(buf_slice(&out->text), err);
	return out->file == NULL ? error_wrap(err, "%s", name) : 0;
}

/* Every target of one file, against what the same keys have published under its name before. */
static int see_file(struct importing *x, const struct repo_role *publisher, const char *name, int bin,
		    const struct listed *next, const struct listed *old, struct error *err)
{
	struct repo_role role = {.file = old->file};
	struct publish_file f = {
		.r = x->r,
		.publisher = publisher,
		.role = &role,
		.is_bin = bin >= 0,
		.bin = bin >= 0 ? (unsigned)bin : 0,
		.top = x->targets,
		.next = next->file,
		.now_s = x->m->now_s,
		.each = x->again ? see_source : see_target,
		.each_arg = x,
	};
	int ret;

	snprintf(role.name, sizeof(role.name), "%s", name);
	if (next->is_new && !x->again)
		*(bin >= 0 ? &x->m->bins : &x->m->roles) += 1;
	ret = publish_check_targets(&f, err);
	free(f.added);
	/* A conflict in what an operator publishes; here trust says no. */
	if (ret < 0 && err->kind == ERR_CONFLICT)
		err->kind = ERR_REFUSED;
	return ret < 0 ? error_wrap(err, "%s version %" PRId64, name, next->file->head.version) : 0;
}

static int see_bin(struct importing *x, const struct repo_role *publisher, unsigned bin, const struct tuf_role *keys,
		   struct error *err)
{
	char name[NAME_LEN_MAX + 1];
	struct listed next, old = {.file = NULL};
	int ret = -1;

	repo_bin_name(publisher->name, publisher->bin_bits, bin, name);
	if (listed_next(x, name, keys, &next, err) < 0)
		goto out;
	if (next.file == NULL) {
		error_set(err, ERR_REFUSED, "hash bin '%s' is missing, so clients that are sent there would fail", name);
		goto out;
	}
	if (next.file->delegations.doc != NULL) {
		error_set(err, ERR_REFUSED, "hash bin '%s' may not delegate", name);
		goto out;
	}
	listed_stored(x, name, keys, &old);
	ret = see_file(x, publisher, name, (int)bin, &next, &old, err);
out:
	listed_release(&next);
	listed_release(&old);
	return ret;
}

static int see_bins(struct importing *x, const struct repo_role *publisher, struct error *err)
{
	struct tuf_role keys;
	unsigned i;
	int ret;

	if (publisher->bin_bits == 0)
		return 0;
	if (repo_bins_role(publisher->file, &keys, err) < 0)
		return -1;
	for (i = 0, ret = 0; ret == 0 && i < 1u << publisher->bin_bits; i++)
		ret = see_bin(x, publisher, i, &keys, err);
	tuf_role_release(&keys);
	return ret;
}

/* Bins stay as they are, as long as the publisher's keys do. */
static int check_bits(struct repo_role *publisher, const struct listed *next, const struct listed *old,
		      struct error *err)
{
	struct error ignored = ERROR_INIT;
	unsigned bits;

	if (repo_bins_check(publisher, next->file, &publisher->bin_bits, err) < 0)
		return -1;
	if (old->file == NULL || repo_bins_check(publisher, old->file, &bits, &ignored) < 0 ||
	    bits == publisher->bin_bits)
		return 0;
	return error_set(err, ERR_REFUSED, "publisher '%s' publishes in %u hash bins, and these stay", publisher->name,
			 1u << bits);
}

static int see_publisher(struct importing *x, struct repo_role *publisher, struct error *err)
{
	struct listed next, old = {.file = NULL};
	int ret = -1;

	if (listed_next(x, publisher->name, &publisher->role, &next, err) < 0)
		goto out;
	if (next.file == NULL) {
		ret = 0; /* nothing by these keys yet */
		goto out;
	}
	listed_stored(x, publisher->name, &publisher->role, &old);
	publisher->file = next.file;
	if (check_bits(publisher, &next, &old, err) == 0 &&
	    see_file(x, publisher, publisher->name, -1, &next, &old, err) == 0)
		ret = see_bins(x, publisher, err);
out:
	listed_release(&next);
	listed_release(&old);
	return ret;
}

static int see_publishers(struct importing *x, struct error *err)
{
	struct tuf_delegation_iter it;
	struct tuf_delegation d;
	int ret = 0;

	for (it = tuf_delegation_iter(x->targets, SLICE_EMPTY); ret == 0 && tuf_delegation_next(&it, &d);) {
		struct repo_role publisher = {.file = NULL};

		snprintf(publisher.name, sizeof(publisher.name), "%.*s", NAME_LEN_MAX, d.name);
		ret = tuf_delegation_role(x->targets, &d, &publisher.role, err);
		if (ret == 0)
			ret = see_publisher(x, &publisher, err);
		tuf_role_release(&publisher.role);
	}
	return ret;
}

/* Of what is lacking, those whose bytes are here under another path go over to the others. */
static int find_sources(struct importing *x, struct error *err)
{
	size_t i, left = 0;

	if (x->lacking_count == 0)
		return 0;
	qsort(x->lacking, x->lacking_count, sizeof(x->lacking[0]), blob_order);
	x->again = true;
	if (see_publishers(x, err) < 0)
		return -1;
	for (i = 0; i < x->lacking_count; i++) {
		if (x->lacking[i].source == NULL) {
			x->lacking[left++] = x->lacking[i];
			continue;
		}
		x->blobs = xreallocarray(x->blobs, x->blob_count + 1, sizeof(x->blobs[0]));
		x->blobs[x->blob_count++] = x->lacking[i];
	}
	x->lacking_count = left;
	return 0;
}

/* ---- all of it ---- */

static const char clock_hint[] = "if the clock is right: meshanics bundle import --accept-clock; else set it";

int import_examine(struct importing *x, struct error *err)
{
	struct repo_import *m = x->m;

	m->root_version = m->targets_version = 0;
	m->roots = m->roles = m->bins = m->healed = m->artifacts = m->placed = m->lacking = 0;
	m->older = false;
	if (repo_adopted(x->r, err) < 0 ||
	    repo_check_clock_with(x->r, m->now_s, m->flags, clock_hint, err) < 0 || sort_files(x, err) < 0 ||
	    check_older(x, err) < 0 || check_former_roots(x, err) < 0 || run_engine(x, err) < 0 ||
	    check_used(x, err) < 0 || take_root(x, err) < 0 || take_targets(x, err) < 0)
		return -1;
	if (m->root != NULL && m->root(m->arg, tuf_client_root(x->client), err) < 0)
		return -1;
	if (see_publishers(x, err) < 0 || find_sources(x, err) < 0)
		return -1;
	m->lacking = (unsigned)x->lacking_count;
	return 0;
}

static void release_blobs(struct import_blob *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		free(list[i].path);
		free(list[i].source);
	}
	free(list);
}

void import_release(struct importing *x)
{
	repo_staged_leave(x->r, &x->former);
	release_blobs(x->blobs, x->blob_count);
	release_blobs(x->lacking, x->lacking_count);
	free((void *)(uintptr_t)x->changes);
	tuf_targets_free(x->targets);
	tuf_client_free(x->client);
	free(x->files);
}

int repo_import_check(struct repo *r, struct repo_import *m, struct error *err)
{
	struct importing x = {.r = r, .m = m};
	int ret = import_examine(&x, err);

	import_release(&x);
	return ret;
}
