/* Looking at the tree as a client does, and at every byte of every target. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/engine_drive.h"
#include "tuf/publish.h"
#include "tuf/repo_import.h"
#include "tuf/repo_internal.h"
#include "tuf/repo_sites.h"
#include "tuf/verify.h"

struct checker {
	struct repo_check *check;
	int dirfd, metadata_fd;
	struct tuf_client *client;
	struct repo_index index; /* of the client's snapshot */
	unsigned *bits;		 /* of the hash bins of each publisher, as the first way down has found */
	bool hashing;		 /* the second way down: targets, not metadata */
	uint64_t total, before; /* bytes of all targets, and of those that are done */
	uint8_t (*selected)[SHA256_LEN]; /* what an import has left out */
	size_t selected_count;
	struct error first;
};

static void found(struct checker *k, const char *file, const struct error *why)
{
	struct repo_finding f = {.why = *why};

	snprintf(f.file, sizeof(f.file), "%s", file);
	if (k->check->findings++ == 0) {
		k->first = *why;
		error_wrap(&k->first, "%s", file);
	}
	if (k->check->finding != NULL)
		k->check->finding(k->check->arg, &f);
}

/* ---- the client workflow ---- */

static int source_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	const struct checker *k = arg;

	if (filename_check(slice_str(w->path), err) < 0)
		return -1;
	return file_read(k->metadata_fd, w->path, out, err);
}

static int drive(struct checker *k, struct error *err)
{
	struct tuf_source source = {source_get, k};

	return tuf_drive(k->client, NULL, &source, err);
}

/* From the first root in the tree up to targets. */
static int run_client(struct checker *k, struct error *err)
{
	struct tuf_options o = {.mode = TUF_MODE_CLIENT, .clock_s = k->check->now_s};
	struct buf anchor = BUF_INIT(TUF_ROOT_MAX);
	int64_t newest, oldest;
	char name[META_NAME_MAX];
	int r = -1;

	if (repo_newest(k->metadata_fd, "root", &newest, &oldest, err) < 0)
		goto out;
	if (newest == 0) {
		error_set(err, ERR_NOT_FOUND, "the repository has no root yet");
		goto out;
	}
	metadata_name(name, "root", oldest);
	if (file_read(k->metadata_fd, name, &anchor, err) < 0 ||
	    (k->client = tuf_client_new(buf_slice(&anchor), &o, err)) == NULL || drive(k, err) < 0)
		goto out;
	k->check->roots = (unsigned)(tuf_client_root(k->client)->head.version - oldest + 1);
	if (tuf_client_root(k->client)->head.version < newest) {
		error_set(err, ERR_REFUSED,
			  "clients stop at root %" PRId64 ", the tree holds root %" PRId64,
			  tuf_client_root(k->client)->head.version, newest);
		goto out;
	}
	r = 0;
out:
	buf_release(&anchor);
	return r;
}

/* ---- one publisher ---- */

static void report_progress(void *arg, uint64_t done)
{
	const struct checker *k = arg;

	if (k->check->progress != NULL)
		k->check->progress(k->check->arg, k->before + done, k->total);
}

static int check_blob(struct checker *k, const char *file, const struct tuf_target *t,
		      struct error *err)
{
	uint8_t hash[SHA256_LEN];
	uint64_t len;
	int fd, r = -1;

	if ((fd = file_open(k->dirfd, file, O_RDONLY, 0, err)) < 0)
		return -1;
	if (sha256_file(fd, hash, &len, report_progress, k, err) == 0) {
		if (len != t->length)
			error_set(err, ERR_REFUSED,
				  "%" PRIu64 " bytes instead of the signed %" PRIu64, len,
				  t->length);
		else if (memcmp(hash, t->hashes.sha256, sizeof(hash)) != 0)
			error_set(err, ERR_REFUSED, "its SHA-256 is not the signed one");
		else
			r = 0;
	}
	file_close(&fd);
	return r;
}

static void check_target(struct checker *k, const struct tuf_target *t)
{
	struct buf file = BUF_INIT(4096);
	struct error err = ERROR_INIT;

	k->check->targets++;
	if (target_path_check(t->path, &err) < 0 || !t->hashes.has_sha256) {
		error_set(&err, ERR_REFUSED, "a target that this repository cannot hold");
		found(k, "metadata", &err);
		goto out;
	}
	artifact_put_file(&file, t->path, t->hashes.sha256);
	if (check_blob(k, buf_cstr(&file), t, &err) == 0)
		k->check->bytes += t->length;
	else if (err.kind == ERR_NOT_FOUND && repo_selected_find(k->selected, k->selected_count, t->hashes.sha256))
		k->check->absent++;
	else
		found(k, buf_cstr(&file), &err);
	k->before += t->length;
out:
	buf_release(&file);
}

/* The engine itself finds the first target of the role, by its own way through the delegations. */
static int engine_finds(struct checker *k, struct slice path, struct error *err)
{
	struct tuf_result result;

	if (tuf_client_lookup(k->client, path, err) < 0 || drive(k, err) < 0)
		return -1;
	return tuf_client_result(k->client, &result, err);
}

/* ---- publishers and their bins ---- */

/* A file on the way down from targets. */
struct checked_file {
	char name[META_NAME_MAX + 16]; /* below HOME/repo */
	struct buf text;
	struct tuf_targets *targets;
	struct tuf_target *list; /* in order of path */
	size_t count;
	const struct tuf_targets *by; /* who delegates to it, and as which of his bins */
	int bin;		      /* -1: none */
	unsigned bits;		      /* of bins below this one */
};

static void close_file(struct checked_file *f)
{
	free(f->list);
	tuf_targets_free(f->targets);
	buf_release(&f->text);
}

static int read_file(struct checker *k, const struct tuf_metafile *meta, struct checked_file *f, struct error *err)
{
	f->text = BUF_INIT(TUF_SIGNED_MAX);
	if (file_read(k->metadata_fd, f->name + strlen("metadata/"), &f->text, err) < 0 ||
	    tuf_hashes_check(&meta->hashes, buf_slice(&f->text), f->name, err) < 0 ||
	    (f->targets = tuf_targets_parse(buf_slice(&f->text), err)) == NULL)
		return -1;
	return targets_sorted(f->targets, &f->list, &f->count, err);
}

static int check_bin(const struct checked_file *f, struct error *err)
{
	char shown[96];
	size_t i;

	for (i = 0; f->bin >= 0 && i < f->count; i++) {
		if (tuf_delegation_iter(f->by, f->list[i].path).bin != (uint64_t)f->bin)
			return error_set(err, ERR_REFUSED, "'%s' does not belong to this hash bin",
					 printable(shown, sizeof(shown), f->list[i].path));
	}
	return 0;
}

/* Bins that are as the repository keeps them; a client would follow others as well. */
static int check_own_bins(struct checked_file *f, const struct tuf_delegation *d, const struct tuf_role *role,
			  struct error *err)
{
	struct repo_role publisher = {.role = *role};

	if (f->bin >= 0)
		return f->targets->delegations.doc == NULL ? 0
							   : error_set(err, ERR_REFUSED, "a hash bin delegates further");
	snprintf(publisher.name, sizeof(publisher.name), "%.*s", NAME_LEN_MAX, d->name);
	return repo_bins_check(&publisher, f->targets, &f->bits, err);
}

/* As a client takes the file (5.6). */
static int check_file(struct checker *k, const struct tuf_delegation *d, const struct tuf_metafile *meta,
		      struct checked_file *f, struct error *err)
{
	struct tuf_role role;
	int r = -1;

	if (tuf_delegation_role(f->by, d, &role, err) < 0)
		return -1;
	if (read_file(k, meta, f, err) == 0 &&
	    tuf_targets_check(&role, d->name, meta, f->targets, k->check->now_s, err) == 0 &&
	    check_own_bins(f, d, &role, err) == 0 && check_bin(f, err) == 0 && (f->count == 0 || engine_finds(k, f->list[0].path, err) == 0))
		r = 0;
	tuf_role_release(&role);
	return r;
}

/*
 * First every file is checked, so that progress knows its end before the first byte of a target is hashed; then the
 * targets are. Files are read again for that, since with hash bins they are more than memory should hold.
 */
static int visit_file(struct checker *k, const struct tuf_delegation *d, struct checked_file *f)
{
	struct error err = ERROR_INIT;
	struct tuf_metafile meta;
	size_t i;

	if (!repo_index_find(&k->index, d->name, &meta))
		return -1; /* delegated, and has never published */
	snprintf(f->name, sizeof(f->name), "metadata/%" PRId64 ".%.*s.json", meta.version, NAME_LEN_MAX, d->name);
	if (k->hashing) {
		if (read_file(k, &meta, f, &err) == 0)
			for (i = 0; i < f->count; i++)
				check_target(k, &f->list[i]);
		return 0;
	}
	*(f->bin < 0 ? &k->check->roles : &k->check->bins) += 1;
	if (check_file(k, d, &meta, f, &err) < 0)
		found(k, f->name, &err);
	for (i = 0; i < f->count; i++)
		k->total += f->list[i].length;
	return 0;
}

static void visit_bins(struct checker *k, const struct checked_file *publisher)
{
	struct tuf_delegation_iter it;
	struct tuf_delegation d;
	int bin = 0;

	for (it = tuf_delegation_iter(publisher->targets, SLICE_EMPTY); tuf_delegation_next(&it, &d); bin++) {
		struct checked_file f = {.by = publisher->targets, .bin = bin};
		struct error err = ERROR_INIT;

		if (visit_file(k, &d, &f) < 0 && !k->hashing) {
			error_set(&err, ERR_NOT_FOUND, "snapshot does not list it, so clients that are sent there fail");
			found(k, d.name, &err);
		}
		close_file(&f);
	}
}

static void visit_publishers(struct checker *k)
{
	const struct tuf_targets *targets = tuf_client_targets(k->client);
	struct tuf_delegation_iter it;
	struct tuf_delegation d;
	unsigned i = 0;

	for (it = tuf_delegation_iter(targets, SLICE_EMPTY); tuf_delegation_next(&it, &d); i++) {
		struct checked_file f = {.by = targets, .bin = -1};

		if (visit_file(k, &d, &f) == 0) {
			if (k->hashing)
				f.bits = k->bits[i];
			else
				k->bits[i] = f.bits;
			if (f.bits > 0 && f.targets != NULL)
				visit_bins(k, &f);
		}
		close_file(&f);
	}
}

/* What targets itself lists; the client has folded it away. */
static void check_top_targets(struct checker *k)
{
	struct error err = ERROR_INIT;
	struct tuf_targets *whole = tuf_targets_parse(tuf_client_targets(k->client)->head.text, &err);
	struct json_iter it;
	struct tuf_target t;

	if (whole == NULL) {
		found(k, "targets", &err);
		return;
	}
	for (it = json_iter(whole->targets); json_next(&it);)
		if (tuf_target_parse(&t, it.key, it.value, &err) == 0)
			check_target(k, &t);
	tuf_targets_free(whole);
}

static void check_roles(struct checker *k)
{
	const struct tuf_targets *targets = tuf_client_targets(k->client);
	struct error bad = ERROR_INIT;

	if (repo_delegations_check(targets, &bad) < 0) {
		found(k, "metadata", &bad);
		return;
	}
	k->bits = xcalloc(json_count(json_get(targets->delegations, "roles")), sizeof(*k->bits));
	repo_index_make(&k->index, tuf_client_snapshot(k->client)->meta);
	visit_publishers(k);
	k->hashing = true;
	visit_publishers(k);
	check_top_targets(k);
	repo_index_release(&k->index);
	free(k->bits);
}

/* ---- other sites ---- */

struct own_roots {
	struct checker *k;
	struct tuf_root **list; /* from the first that is there */
	struct buf *texts;
	unsigned count;
};

static void release_own(struct own_roots *o)
{
	unsigned i;

	for (i = 0; i < o->count; i++) {
		tuf_root_free(o->list[i]);
		buf_release(&o->texts[i]);
	}
	free(o->list);
	free(o->texts);
}

/* What the client has followed stands in the tree. */
static int read_own(struct own_roots *o, struct error *err)
{
	int64_t newest, version;
	char name[META_NAME_MAX];

	if (repo_newest(o->k->metadata_fd, "root", &newest, &version, err) < 0)
		return -1;
	o->list = xcalloc(o->k->check->roots, sizeof(*o->list));
	o->texts = xcalloc(o->k->check->roots, sizeof(*o->texts));
	for (; o->count < o->k->check->roots; version++) {
		struct buf *text = &o->texts[o->count];

		*text = BUF_INIT(TUF_ROOT_MAX);
		metadata_name(name, "root", version);
		if (file_read(o->k->metadata_fd, name, text, err) < 0 ||
		    (o->list[o->count] = tuf_root_parse(buf_slice(text), err)) == NULL) {
			buf_release(text);
			return -1;
		}
		o->count++;
	}
	return 0;
}

static int check_site(void *arg, const char *site, struct error *err)
{
	struct own_roots *o = arg;
	struct error why = ERROR_INIT;
	char file[sizeof(REPO_SITES_DIR) + NAME_LEN_MAX + META_NAME_MAX];
	unsigned roots;
	int64_t bad;

	(void)err;
	o->k->check->sites++;
	if (repo_site_verify(o->k->dirfd, site, o->list, o->count, &roots, &bad, &why) < 0) {
		snprintf(file, sizeof(file), REPO_SITES_DIR "/%s/%" PRId64 ".root.json", site, bad);
		found(o->k, file, &why);
	}
	o->k->check->site_roots += roots;
	return 0;
}

static void check_sites(struct checker *k)
{
	struct own_roots o = {.k = k};
	struct error err = ERROR_INIT;

	if (read_own(&o, &err) < 0 || repo_sites_each(k->dirfd, check_site, &o, &err) < 0)
		found(k, REPO_SITES_DIR, &err);
	release_own(&o);
}

int repo_verify(const char *home, struct repo_check *check, struct error *err)
{
	struct checker k = {.check = check, .dirfd = -1, .metadata_fd = -1};
	struct error why = ERROR_INIT;
	char path[4096];
	int r = -1;

	check->roots = check->roles = check->bins = check->targets = check->findings = 0;
	check->absent = 0;
	check->sites = check->site_roots = 0;
	check->bytes = 0;
	if ((k.dirfd = file_open(AT_FDCWD, path_join(path, home, "repo"), O_RDONLY | O_DIRECTORY, 0,
				 err)) < 0) {
		error_hint(err, "make a repository with: meshanics repo init");
		goto out;
	}
	if ((k.metadata_fd = file_open(k.dirfd, "metadata", O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		goto out;
	if (repo_selected_read(k.dirfd, &k.selected, &k.selected_count, &why) < 0)
		found(&k, REPO_SELECTED, &why);
	if (run_client(&k, &why) < 0) {
		found(&k, "metadata", &why);
	} else {
		check_sites(&k);
		check_roles(&k);
	}
	if (check->findings == 0) {
		r = 0;
		goto out;
	}
	*err = k.first;
	err->kind = ERR_REFUSED; /* whatever the cause, a client would not take it */
out:
	tuf_client_free(k.client);
	free(k.selected);
	file_close(&k.metadata_fd);
	file_close(&k.dirfd);
	return r;
}
