/* Reading a bundle into a site's home: everything that may be long, and nothing that is in force afterwards. */
#include "bundle/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/import_internal.h"
#include "sys/file.h"
#include "sys/space.h"
#include "tuf/publish.h"

struct reading {
	struct bundle_import *b;
	struct bundle_reader *r;
	struct repo *repo;
	int repo_dirfd;		/* of repo; borrowed */
	struct import_wants wants;
	struct import_store store;
};

void bundle_import_release(struct bundle_import *b)
{
	bundle_check_release(&b->check);
	manifest_release(&b->saved);
	if (b->locked)
		file_close(&b->lock_fd);
	b->locked = false;
}

const struct manifest *bundle_import_manifest(const struct bundle_import *b)
{
	if (b->check.manifest.members > 0)
		return &b->check.manifest;
	return b->saved.members > 0 ? &b->saved : NULL;
}

/* ---- what the new state lists ---- */

void import_wants_release(struct import_wants *w)
{
	free(w->list);
	buf_release(&w->paths);
	*w = IMPORT_WANTS_INIT;
}

void import_wants_add(struct import_wants *w, const struct repo_import_artifact *a)
{
	if (w->count == w->room) {
		w->room = w->room == 0 ? 64 : 2 * w->room;
		w->list = xreallocarray(w->list, w->room, sizeof(w->list[0]));
	}
	w->list[w->count] = (struct import_want){.length = a->length, .path = w->paths.len, .held = a->held};
	memcpy(w->list[w->count++].sha256, a->sha256, SHA256_LEN);
	buf_put_slice(&w->paths, a->path);
	buf_put_u8(&w->paths, 0);
}

static int want_order(const void *a, const void *b)
{
	return memcmp(((const struct import_want *)a)->sha256, ((const struct import_want *)b)->sha256, SHA256_LEN);
}

/* Of several paths with the same bytes one stands for all, and one that has them if any does. */
void import_wants_ready(struct import_wants *w)
{
	size_t i, n = 0;

	if (w->count == 0)
		return;
	qsort(w->list, w->count, sizeof(w->list[0]), want_order);
	for (i = 1; i < w->count; i++) {
		if (want_order(&w->list[n], &w->list[i]) != 0)
			w->list[++n] = w->list[i];
		else if (w->list[i].held)
			w->list[n] = w->list[i];
	}
	w->count = n + 1;
}

struct import_want *import_wants_find(const struct import_wants *w, const uint8_t sha256[static SHA256_LEN])
{
	struct import_want key;

	memcpy(key.sha256, sha256, SHA256_LEN);
	return w->count == 0 ? NULL : bsearch(&key, w->list, w->count, sizeof(w->list[0]), want_order);
}

const char *import_wants_path(const struct import_wants *w, const struct import_want *want)
{
	return (const char *)w->paths.ptr + want->path;
}

static int see_artifact(void *arg, const struct repo_import_artifact *a, struct error *err)
{
	struct reading *x = arg;

	(void)err;
	import_wants_add(&x->wants, a);
	return 0;
}

/* ---- before the first artifact ---- */

/* What the site took last, said beside a refusal of something older. */
static void tell_last(const struct reading *x, struct error *err)
{
	struct error ignored = ERROR_INIT, was = *err;
	struct bundle_last last;
	char when[TIME_TEXT_LEN];

	if (bundle_last_read(x->repo_dirfd, &last, &ignored) <= 0)
		return;
	error_set(err, was.kind, "%s (from bundle %" PRId64 " of '%s', made at %s)", was.text, last.sequence, last.origin,
		  time_text(when, last.created_s));
	error_hint(err, "%s", was.hint);
}

static int check_state(struct reading *x, const struct tuf_blob *files, unsigned count, struct error *err)
{
	struct repo_import *m = &x->b->state;

	*m = (struct repo_import){
		.files = files,
		.file_count = count,
		.complete = bundle_import_manifest(x->b)->complete,
		.now_s = x->b->now_s,
		.flags = x->b->flags,
		.artifact = see_artifact,
		.arg = x,
	};
	if (repo_import_check(x->repo, m, err) < 0) {
		if (m->older)
			tell_last(x, err);
		return -1;
	}
	import_wants_ready(&x->wants);
	return 0;
}

/* Which artifacts come, what room they need, and whether anything is in neither place. */
static int check_wants(struct reading *x, struct error *err)
{
	const struct manifest *man = bundle_import_manifest(x->b);
	struct manifest_iter it = manifest_iter(man);
	struct import_want *want;
	struct member m;
	uint64_t room = 0, part;
	size_t i;

	while (manifest_next(&it, &m)) {
		if (m.kind != MEMBER_ARTIFACT)
			continue;
		want = import_wants_find(&x->wants, m.sha256);
		if (want == NULL)
			return error_set(err, ERR_REFUSED, "%s: the metadata lists no such artifact (5.7)", m.name);
		if (want->length != m.length)
			return error_set(err, ERR_REFUSED, "%s: %" PRIu64 " bytes, where the metadata says %" PRIu64 " (5.7)",
					 m.name, m.length, want->length);
		want->brought = true;
		part = import_store_part(x->repo_dirfd, m.sha256);
		if (!want->held && part < m.length)
			room += m.length - part;
	}
	for (i = 0; i < x->wants.count; i++) {
		want = &x->wants.list[i];
		if (want->held || want->brought)
			continue;
		x->b->left_out++;
		if (!man->complete)
			continue;
		error_set(err, ERR_REFUSED, "artifact '%s' is neither in the bundle nor held here",
			  import_wants_path(&x->wants, want));
		return error_hint(err, "ask for a bundle made without --since");
	}
	return room == 0 ? 0 : space_need(x->repo_dirfd, "repo", room, PUBLISH_KEEP, err);
}

static int lock_import(struct reading *x, struct error *err)
{
	if (x->b->dry_run)
		return 0;
	if (file_mkdirs(x->repo_dirfd, BUNDLE_IMPORT_DIR, 0700, err) < 0)
		return -1;
	x->b->lock_fd = file_lock(x->repo_dirfd, BUNDLE_IMPORT_DIR "/lock", err);
	if (x->b->lock_fd >= 0) {
		x->b->locked = true;
		bundle_import_sweep(x->repo_dirfd, x->b->now_s - REPO_STAGING_LIFE_S);
		return 0;
	}
	if (err->kind == ERR_RETRY) {
		error_set(err, ERR_RETRY, "another import into '%s' is under way", x->b->home);
		error_hint(err, "wait for it to end");
	}
	return -1;
}

static int begin_first(struct reading *x, struct error *err)
{
	const struct bundle_check_options o = {.anchor = repo_root(x->repo)->head.text, .kind = BUNDLE_SITE, .now_s = x->b->now_s};
	struct bundle_check *c = &x->b->check;

	if (bundle_check(c, x->r, &o, err) < 0 || check_state(x, c->blobs, c->file_count, err) < 0 || check_wants(x, err) < 0)
		return -1;
	return x->b->dry_run ? 0 : import_keep(x->repo_dirfd, c, err);
}

/* Nothing is kept of it: it was never begun, or is done with. */
static void not_begun(struct reading *x, const uint8_t *id, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct bundle_last last;

	error_set(err, ERR_RETRY, "volume 1 of this bundle has not been read yet");
	if (bundle_last_read(x->repo_dirfd, &last, &ignored) == 1 && memcmp(last.bundle, id, SHA256_LEN) == 0)
		error_hint(err, "all of it was imported before, and nothing needs to be done; to read it again begin with .001");
	else
		error_hint(err, "begin with the volume that ends in .001");
}

/* A later volume by itself: its bundle was begun here before. */
static int begin_later(struct reading *x, struct error *err)
{
	const uint8_t *id = bundle_reader_belongs(x->r);
	struct bundle_kept kept;
	int ret = -1;

	if (x->b->dry_run) {
		error_set(err, ERR_USAGE, "a dry run begins with volume 1");
		return error_hint(err, "give all volumes in one command");
	}
	if (bundle_import_load(x->repo_dirfd, id, &kept, err) < 0) {
		not_begun(x, id, err);
		goto out;
	}
	x->b->saved = kept.manifest;
	kept.manifest = MANIFEST_INIT;
	/* Its signature held when it was kept, and is checked again before it comes into force. */
	if (check_state(x, kept.files, kept.count, err) == 0 && check_wants(x, err) == 0)
		ret = bundle_resume(x->r, &x->b->saved, err);
out:
	bundle_kept_release(&kept);
	return ret;
}

/* ---- artifacts ---- */

static void show_progress(void *arg)
{
	const struct reading *x = arg;

	if (x->b->progress != NULL)
		x->b->progress(x->b->arg, bundle_reader_at(x->r), bundle_reader_total(x->r));
}

/* All of it is read and hashed, for the reader checks it at its end. */
static int pass_over(struct reading *x, struct error *err)
{
	struct slice piece;

	do {
		if (bundle_piece(x->r, &piece, err) < 0)
			return -1;
		show_progress(x);
	} while (piece.len > 0);
	return bundle_cut(x->r) ? STORED_CUT : STORED_KEPT;
}

static int read_artifact(struct reading *x, const struct member *m, struct error *err)
{
	const struct import_want *want = import_wants_find(&x->wants, m->sha256);
	struct bundle_import *b = x->b;
	int how;

	if (m->kind != MEMBER_ARTIFACT || want == NULL)
		return error_set(err, ERR_REFUSED, "%s: the metadata lists no such artifact (5.7)", m->name);
	how = b->dry_run ? pass_over(x, err)
			 : import_store(&x->store, x->r, m, want, import_wants_path(&x->wants, want), show_progress, x, err);
	if (how < 0)
		return -1;
	if (how == STORED_CUT)
		return 0;
	b->artifacts++;
	if (how == STORED_FRESH || (b->dry_run && !want->held)) {
		b->fresh++;
		b->fresh_bytes += m->length;
	} else {
		*(how == STORED_HEALED ? &b->healed : &b->kept) += 1;
	}
	return 0;
}

static int read_artifacts(struct reading *x, struct error *err)
{
	struct member m = x->b->check.next;
	int more = x->b->check.has_next ? 1 : bundle_next(x->r, &m, err);

	while (more > 0) {
		if (read_artifact(x, &m, err) < 0)
			return -1;
		more = bundle_next(x->r, &m, err);
	}
	return more;
}

/* ---- all of it ---- */

static int need_volume(struct reading *x, struct error *err)
{
	x->b->next_volume = bundle_missing(x->r, &x->b->volumes);
	if (x->b->next_volume == 0)
		return 0;
	if (x->b->dry_run)
		return error_set(err, ERR_RETRY, "volume %u of %u is not here", x->b->next_volume, x->b->volumes);
	error_set(err, ERR_RETRY, "volume %u of %u is not here; what was read is kept", x->b->next_volume, x->b->volumes);
	return error_hint(err, "insert it and run the same command with it");
}

static int begin(struct reading *x, struct error *err)
{
	if ((x->repo = repo_open_readonly(x->b->home, err)) == NULL || repo_adopted(x->repo, err) < 0)
		return -1;
	x->repo_dirfd = repo_dirfd(x->repo);
	if (lock_import(x, err) < 0)
		return -1;
	return bundle_reader_volume(x->r) == 1 ? begin_first(x, err) : begin_later(x, err);
}

int bundle_import_read(struct bundle_import *b, struct bundle_reader *r, struct error *err)
{
	struct reading x = {.b = b, .r = r, .repo_dirfd = -1, .wants = IMPORT_WANTS_INIT};
	struct error second = ERROR_INIT;
	int ret = -1;

	b->check = BUNDLE_CHECK_INIT;
	b->saved = MANIFEST_INIT;
	if (begin(&x, err) < 0)
		goto out;
	import_store_open(&x.store, x.repo_dirfd);
	ret = read_artifacts(&x, err);
	/* Whatever happened: what is whole is kept as such. */
	if (import_store_flush(&x.store, ret < 0 ? &second : err) < 0 && ret == 0)
		ret = -1;
	if (ret == 0 && (need_volume(&x, err) < 0 || bundle_end(r, err) < 0))
		ret = -1;
out:
	import_store_release(&x.store);
	import_wants_release(&x.wants);
	repo_free(x.repo);
	return ret;
}
