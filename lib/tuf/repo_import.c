/* An import comes into force: blobs get their places, then one change publishes what names them. */
#include "tuf/repo_import.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_import_internal.h"
#include "tuf/verify.h"

#define SYNC_EACH_MAX 32	/* folders; of more blobs, the file system is synced */
#define SELECTED_MAX (128u << 20)
#define SELECTED_LINE (2 * SHA256_LEN + 1)

/* ---- HOME/repo/selected ---- */

static int sha_order(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

bool repo_selected_find(uint8_t (*list)[SHA256_LEN], size_t count, const uint8_t sha256[static SHA256_LEN])
{
	return count > 0 && bsearch(sha256, list, count, sizeof(list[0]), sha_order) != NULL;
}

int repo_selected_read(int repo_dirfd, uint8_t (**list)[SHA256_LEN], size_t *count, struct error *err)
{
	struct buf text = BUF_INIT(SELECTED_MAX);
	struct error why = ERROR_INIT;
	size_t i;
	int ret = 0;

	*list = NULL;
	*count = 0;
	if (file_read(repo_dirfd, REPO_SELECTED, &text, &why) < 0) {
		buf_release(&text);
		*err = why;
		return why.kind == ERR_NOT_FOUND ? 0 : error_wrap(err, "repo/" REPO_SELECTED);
	}
	*count = text.len / SELECTED_LINE;
	*list = xcalloc(*count, sizeof((*list)[0]));
	for (i = 0; ret == 0 && i < *count; i++)
		ret = hex_decode((*list)[i], SHA256_LEN,
				 slice_sub(buf_slice(&text), i * SELECTED_LINE, SELECTED_LINE - 1), err);
	if (ret == 0 && text.len % SELECTED_LINE != 0)
		ret = error_set(err, ERR_MALFORMED, "it ends within a line");
	buf_release(&text);
	if (ret == 0) {
		if (*count > 0)
			qsort(*list, *count, sizeof((*list)[0]), sha_order);
		return 0;
	}
	free(*list);
	*list = NULL;
	*count = 0;
	error_wrap(err, "repo/" REPO_SELECTED);
	return error_hint(err, "the next 'meshanics bundle import' writes it anew");
}

int repo_selected_write(int repo_dirfd, uint8_t (*list)[SHA256_LEN], size_t count, struct error *err)
{
	struct buf text = BUF_INIT(SELECTED_MAX);
	char hex[SHA256_HEX_LEN];
	size_t i;
	int ret;

	if (count == 0) {
		if (!file_exists(repo_dirfd, REPO_SELECTED))
			return 0;
		return file_unlink(repo_dirfd, REPO_SELECTED, err) < 0 ? -1 : file_sync_dir(repo_dirfd, ".", err);
	}
	qsort(list, count, sizeof(list[0]), sha_order);
	for (i = 0; i < count; i++) {
		if (i > 0 && memcmp(list[i], list[i - 1], SHA256_LEN) == 0)
			continue;
		hex_encode(hex, list[i], SHA256_LEN);
		buf_printf(&text, "%s\n", hex);
	}
	ret = text.failed ? error_set(err, ERR_LIMIT, "repo/" REPO_SELECTED " would be too large")
			  : file_replace(repo_dirfd, REPO_SELECTED, 0644, buf_slice(&text), err);
	buf_release(&text);
	return ret;
}

/* What the new state lacks, after what the list holds already. */
static void add_lacking(const struct importing *x, uint8_t (**list)[SHA256_LEN], size_t *count)
{
	size_t i;

	*list = xreallocarray(*list, *count + x->lacking_count + 1, sizeof((*list)[0]));
	for (i = 0; i < x->lacking_count; i++)
		memcpy((*list)[(*count)++], x->lacking[i].sha256, SHA256_LEN);
}

/* While old and new may be in force, what either lacks is no fault: written before the change, the new list after it. */
static int select_both(const struct importing *x, struct error *err)
{
	uint8_t (*both)[SHA256_LEN];
	struct error ignored = ERROR_INIT;
	size_t count, before;
	int ret = 0;

	/* One that cannot be read says nothing. */
	if (repo_selected_read(x->r->dirfd, &both, &count, &ignored) < 0)
		count = 0;
	before = count;
	add_lacking(x, &both, &count);
	if (count > before)
		ret = repo_selected_write(x->r->dirfd, both, count, err);
	free(both);
	return ret;
}

static int select_new(const struct importing *x, struct error *err)
{
	uint8_t (*list)[SHA256_LEN] = NULL;
	size_t count = 0;
	int ret;

	add_lacking(x, &list, &count);
	ret = repo_selected_write(x->r->dirfd, list, count, err);
	free(list);
	return ret;
}

/* ---- blobs ---- */

static int place_blobs(struct importing *x, struct error *err)
{
	const struct repo *r = x->r;
	bool each = x->blob_count <= SYNC_EACH_MAX;
	size_t i;

	for (i = 0; i < x->blob_count; i++) {
		const struct import_blob *b = &x->blobs[i];
		char placed[BLOB_NAME_MAX], from[BLOB_NAME_MAX];
		bool was;
		int done;

		blob_placed_name(placed, slice_str(b->path), b->sha256);
		if (b->source != NULL)
			blob_placed_name(from, slice_str(b->source), b->sha256);
		else
			blob_staged_name(from, b->sha256);
		was = file_exists(r->dirfd, placed);
		done = blob_place(r->dirfd, from, placed, b->length, BLOB_ANEW | (each ? 0u : BLOB_UNSYNCED), err);
		if (done < 0)
			return error_wrap(err, "cannot store '%s'", b->path);
		*(was ? &x->m->healed : &x->m->placed) += (unsigned)done;
	}
	return each ? 0 : file_sync_fs(r->dirfd, "targets", err);
}

/* The staged names of what has its place. One that stays is swept with its age. */
static void drop_staged(const struct importing *x)
{
	struct error ignored = ERROR_INIT;
	char staged[BLOB_NAME_MAX];
	size_t i;

	for (i = 0; i < x->blob_count; i++) {
		if (x->blobs[i].source != NULL)
			continue;
		blob_staged_name(staged, x->blobs[i].sha256);
		if (file_unlink(x->r->dirfd, staged, &ignored) < 0)
			return;
	}
}

/* ---- metadata ---- */

/* A file that our own snapshot names, and that was not what it says: just these bytes, so nothing is to be signed. */
static int heal_file(struct importing *x, const struct tuf_change *c, struct error *err)
{
	char name[META_NAME_MAX];

	metadata_name(name, c->role, c->version);
	x->m->healed++;
	return file_replace(x->r->metadata_fd, name, 0644, c->bytes, err);
}

static int add_file(struct importing *x, struct repo_change *change, const struct tuf_change *c, struct error *err)
{
	struct tuf_metafile meta;
	struct buf text;
	struct slice bin = tuf_bin_prefix(slice_str(c->role));

	if (repo_index_find(&x->r->state.index, c->role, &meta) && meta.version == c->version)
		return heal_file(x, c, err);
	if (bin.len > 0)
		return repo_change_write(change, x->r, c->role, c->version, c->bytes, err);
	text = BUF_INIT(TUF_SIGNED_MAX);
	buf_put_slice(&text, c->bytes);
	repo_change_add(change, c->role, c->version, &text);
	return 0;
}

static int add_files(struct importing *x, struct repo_change *change, struct error *err)
{
	const struct slice *chain;
	unsigned count = tuf_client_chain(x->client, &chain), i;
	int64_t version = x->r->state.root->head.version;

	for (i = 0; i < count; i++) {
		struct buf text = BUF_INIT(TUF_ROOT_MAX);

		buf_put_slice(&text, chain[i]);
		repo_change_add(change, "root", ++version, &text);
	}
	x->m->roots = count;
	for (i = 0; i < x->change_count; i++) {
		if (strcmp(x->changes[i].role, "root") != 0 && add_file(x, change, &x->changes[i], err) < 0)
			return -1;
	}
	return 0;
}

/* Roots that were in force before and got lost since. */
static int heal_roots(struct importing *x, struct error *err)
{
	int64_t newest, oldest, v;
	char name[META_NAME_MAX];

	if (repo_newest(x->r->metadata_fd, "root", &newest, &oldest, err) < 0)
		return -1;
	for (v = oldest; v < newest; v++) {
		const struct import_file *f = import_file(x, "root", v);

		metadata_name(name, "root", v);
		if (f == NULL || file_exists(x->r->metadata_fd, name))
			continue;
		x->m->healed++;
		if (file_replace(x->r->metadata_fd, name, 0644, f->bytes, err) < 0)
			return -1;
	}
	return 0;
}

static int publish(struct importing *x, struct repo_change *change, struct error *err)
{
	const struct tuf_root *former = x->r->state.root, *root = tuf_client_root(x->client);
	struct seal_options o = {.now_s = x->m->now_s, .snapshot = true};
	struct repo_lives lives;

	if (add_files(x, change, err) < 0 || repo_lives_of_root(root, &lives, err) < 0 ||
	    repo_start_roles(x->r, x->targets, &lives, x->m->now_s, change, err) < 0)
		return -1;
	if (change->count == 0)
		return 0;
	o.lives = &lives;
	o.anew = tuf_root_rotates_online(former, root);
	if (repo_seal(x->r, change, &o, err) < 0)
		return -1;
	return repo_apply(x->r, change, x->m->now_s, err);
}

/* What was damaged is good again, and is read as such. */
static int see_healed(struct repo *r, struct error *err)
{
	struct repo_state next;

	if (repo_state_load(&next, r, NULL, NULL, -1, err) < 0)
		return -1;
	repo_state_replace(r, &next);
	return 0;
}

static int refuse_lacking(const struct importing *x, struct error *err)
{
	if (!x->m->complete || x->lacking_count == 0)
		return 0;
	error_set(err, ERR_REFUSED, "artifact '%s'%s is neither in the bundle nor held here", x->lacking[0].path,
		  x->lacking_count > 1 ? ", and others," : "");
	return error_hint(err, "ask for a bundle made without --since");
}

int repo_import(struct repo *r, struct repo_import *m, struct error *err)
{
	struct importing x = {.r = r, .m = m};
	struct repo_change change = {.files = NULL};
	int ret = -1;

	if (repo_writable(r, err) < 0 || import_examine(&x, err) < 0)
		goto out;
	if (refuse_lacking(&x, err) < 0 || select_both(&x, err) < 0 || place_blobs(&x, err) < 0 ||
	    heal_roots(&x, err) < 0 || publish(&x, &change, err) < 0)
		goto out;
	repo_staged_leave(r, &x.former);
	if (repo_keys_settle(r, err) < 0 || select_new(&x, err) < 0 ||
	    (m->healed > 0 && see_healed(r, err) < 0))
		goto out;
	drop_staged(&x);
	ret = 0;
out:
	repo_change_release(&change);
	import_release(&x);
	return ret;
}
