/* What an export takes away: leftovers of one that was cut short, and, if asked, what nobody needs any more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/repo_export_internal.h"

#define NAME_HASH_LEN 16

/* ---- names that are needed: a set of cut hashes, since there may be a million of them ---- */

struct names {
	uint8_t (*slots)[NAME_HASH_LEN];	/* owned; all zero: free */
	size_t size, count;	/* size is a power of two, or 0 */
};

static void name_hash(uint8_t out[static NAME_HASH_LEN], const char *path)
{
	uint8_t full[SHA256_LEN];

	sha256_of(slice_str(path), full);
	full[0] |= 1;	/* never all zero */
	memcpy(out, full, NAME_HASH_LEN);
}

/* The slot that has the hash, or the free one where it belongs. */
static uint8_t *names_slot(const struct names *n, const uint8_t hash[static NAME_HASH_LEN])
{
	static const uint8_t none[NAME_HASH_LEN];
	size_t at;

	memcpy(&at, hash + 1, sizeof(at));
	for (at &= n->size - 1;; at = (at + 1) & (n->size - 1)) {
		if (memcmp(n->slots[at], hash, NAME_HASH_LEN) == 0 || memcmp(n->slots[at], none, NAME_HASH_LEN) == 0)
			return n->slots[at];
	}
}

static void names_grow(struct names *n)
{
	struct names next = {.size = n->size == 0 ? 1024 : 2 * n->size, .count = n->count};
	size_t i;

	next.slots = xcalloc(next.size, NAME_HASH_LEN);
	for (i = 0; i < n->size; i++) {
		if (n->slots[i][0] != 0)
			memcpy(names_slot(&next, n->slots[i]), n->slots[i], NAME_HASH_LEN);
	}
	free(n->slots);
	*n = next;
}

static bool names_have(const struct names *n, const char *path)
{
	uint8_t hash[NAME_HASH_LEN];

	name_hash(hash, path);
	return n->size > 0 && names_slot(n, hash)[0] != 0;
}

/* True when it is new. */
static bool names_add(struct names *n, const char *path)
{
	uint8_t hash[NAME_HASH_LEN], *slot;

	if (2 * n->count >= n->size)
		names_grow(n);
	name_hash(hash, path);
	slot = names_slot(n, hash);
	if (slot[0] != 0)
		return false;
	memcpy(slot, hash, NAME_HASH_LEN);
	n->count++;
	return true;
}

/* ---- what is needed ---- */

struct prune {
	struct export_dest *d;
	const struct export_source *s;
	struct names needed;	/* "metadata/..." and "targets/..." */
	unsigned removed;
};

/* An artifact of the state that is exported. */
static int need_artifact(void *arg, const char *path, const struct tuf_target *t, struct error *err)
{
	struct prune *p = arg;

	(void)t;
	(void)err;
	names_add(&p->needed, path);
	return 0;
}

/* One of an earlier state stays as long as the repository itself has not let go of its bytes. */
static int need_old_artifact(void *arg, const char *path, const struct tuf_target *t, struct error *err)
{
	const struct prune *p = arg;

	return file_exists(p->s->dirfd, path) ? need_artifact(arg, path, t, err) : 0;
}

static int need_entry(struct prune *p, const struct export_entry *entry, struct error *err)
{
	struct tuf_targets *file = NULL;
	char path[META_NAME_MAX + 16];
	struct buf text = BUF_INIT(0);
	int r = -1;

	snprintf(path, sizeof(path), "metadata/%s", entry->name);
	names_add(&p->needed, path);
	if (!entry->artifacts)
		return 0;
	if (export_source_read(p->s, entry, &text, err) == 0 && (file = tuf_targets_parse(buf_slice(&text), err)) != NULL)
		r = export_each_artifact(file, need_artifact, p, err);
	tuf_targets_free(file);
	buf_release(&text);
	return r;
}

/* A file that an earlier snapshot names. What cannot be read there is of no use to a client either. */
static void need_old_file(struct prune *p, const char *name)
{
	struct buf text = BUF_INIT(TUF_SIGNED_MAX);
	struct error ignored = ERROR_INIT;
	struct tuf_targets *file = NULL;
	char path[META_NAME_MAX + 16];

	snprintf(path, sizeof(path), "metadata/%s", name);
	if (!names_add(&p->needed, path) || file_read(p->d->metadata_fd, name, &text, &ignored) < 0 ||
	    (file = tuf_targets_parse(buf_slice(&text), &ignored)) == NULL ||
	    export_each_artifact(file, need_old_artifact, p, &ignored) < 0)
		goto out;
out:
	tuf_targets_free(file);
	buf_release(&text);
}

static void need_old_state(struct prune *p, int64_t version)
{
	struct buf text = BUF_INIT(TUF_SIGNED_MAX);
	char name[META_NAME_MAX], role[NAME_LEN_MAX + 1], path[META_NAME_MAX + 16];
	struct error ignored = ERROR_INIT;
	struct tuf_snapshot *snapshot = NULL;
	struct tuf_metafile meta;
	struct json_iter it;

	metadata_name(name, "snapshot", version);
	snprintf(path, sizeof(path), "metadata/%s", name);
	names_add(&p->needed, path);
	if (file_read(p->d->metadata_fd, name, &text, &ignored) < 0 ||
	    (snapshot = tuf_snapshot_parse(buf_slice(&text), &ignored)) == NULL)
		goto out;
	for (it = json_iter(snapshot->meta); json_next(&it);) {
		if (!slice_ends(it.key, SLICE_LIT(".json")) || it.key.len > NAME_LEN_MAX + strlen(".json") ||
		    tuf_metafile_parse(&meta, it.value, &ignored) < 0)
			continue;
		snprintf(role, sizeof(role), "%.*s", (int)(it.key.len - strlen(".json")), (const char *)it.key.ptr);
		if (name_check(slice_str(role), "role", &ignored) < 0)
			continue;
		metadata_name(name, role, meta.version);
		need_old_file(p, name);
	}
out:
	tuf_snapshot_free(snapshot);
	buf_release(&text);
}

/* ---- the files in DIR ---- */

/* Call each for every name in the directory open as fd, but "." and ".."; stops at -1. */
typedef int each_name_fn(void *arg, int fd, const char *name, struct error *err);
static int each_name(int fd, each_name_fn *each, void *arg, struct error *err)
{
	int own = file_open(fd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	struct dirent *e;
	DIR *list;
	int r = 0;

	if (own < 0)
		return -1;
	if ((list = fdopendir(own)) == NULL) {
		close(own);
		return error_errno(err, errno, "cannot list a directory");
	}
	while (r == 0 && (e = readdir(list)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = each(arg, own, e->d_name, err);
	}
	closedir(list);
	return r;
}

/* A directory of ours in fd by the name, or -1 without an error when it is something else. */
static int open_named(int fd, const char *name)
{
	struct error ignored = ERROR_INIT;

	if (name_check(slice_str(name), "name", &ignored) < 0)
		return -1;
	return file_open(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &ignored);
}

/* targets/NAMESPACE/NAME: each of these directories. */
struct leaves {
	char path[2 * NAME_LEN_MAX + 32];	/* of the one at hand, below DIR */
	size_t part;				/* its length without what is below */
	int (*leaf)(struct leaves *l, int fd, struct error *err);
	void *arg;
};

static int visit_name(void *arg, int fd, const char *name, struct error *err)
{
	int leaf = open_named(fd, name), r;
	struct leaves *l = arg;

	if (leaf < 0)
		return 0;
	snprintf(l->path + l->part, sizeof(l->path) - l->part, "/%s", name);
	r = l->leaf(l, leaf, err);
	close(leaf);
	l->path[l->part] = '\0';
	return r;
}

static int visit_namespace(void *arg, int fd, const char *name, struct error *err)
{
	int space = open_named(fd, name), r;
	struct leaves *l = arg;

	if (space < 0)
		return 0;
	l->part = (size_t)snprintf(l->path, sizeof(l->path), "targets/%s", name);
	r = each_name(space, visit_name, l, err);
	close(space);
	return r;
}

static int each_leaf(const struct export_dest *d, struct leaves *l, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int fd = file_open(d->dirfd, "targets", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &ignored), r;

	if (fd < 0)
		return 0;	/* no artifact so far */
	r = each_name(fd, visit_namespace, l, err);
	close(fd);
	return r;
}

static int sweep_leaf(struct leaves *l, int fd, struct error *err)
{
	(void)l;
	return newfile_sweep(fd, ".", err);
}

int export_sweep(const struct export_dest *d, struct error *err)
{
	struct leaves l = {.leaf = sweep_leaf};

	return newfile_sweep(d->metadata_fd, ".", err) < 0 ? -1 : each_leaf(d, &l, err);
}

/* ---- pruning ---- */

/* Snapshots in DIR before the one in force, the newest first. */
struct snapshots {
	int64_t before, newest[REPO_KEEP_OLD];
	unsigned count;
};

static int note_snapshot(void *arg, int fd, const char *name, struct error *err)
{
	struct snapshots *s = arg;
	char role[NAME_LEN_MAX + 1];
	int64_t version;
	unsigned i;

	(void)fd;
	(void)err;
	if (!metadata_name_parse(name, role, &version) || strcmp(role, "snapshot") != 0 || version >= s->before)
		return 0;
	for (i = s->count < REPO_KEEP_OLD ? s->count++ : REPO_KEEP_OLD; i > 0 && s->newest[i - 1] < version; i--) {
		if (i < REPO_KEEP_OLD)
			s->newest[i] = s->newest[i - 1];
	}
	if (i < REPO_KEEP_OLD)
		s->newest[i] = version;
	return 0;
}

static int need_all(struct prune *p, struct error *err)
{
	struct snapshots old = {.before = tuf_client_snapshot(p->s->client)->head.version};
	size_t i;

	for (i = 0; i < p->s->files.count; i++) {
		if (need_entry(p, &p->s->files.list[i], err) < 0)
			return -1;
	}
	if (each_name(p->d->metadata_fd, note_snapshot, &old, err) < 0)
		return -1;
	for (i = 0; i < old.count; i++)
		need_old_state(p, old.newest[i]);
	return 0;
}

static int prune_metadata(void *arg, int fd, const char *name, struct error *err)
{
	char role[NAME_LEN_MAX + 1], path[META_NAME_MAX + 16];
	struct prune *p = arg;
	int64_t version;

	/* Roots stay for ever: the way of a device that was away. What has no version is timestamp.json or not ours. */
	if (!metadata_name_parse(name, role, &version) || version == 0 || strcmp(role, "root") == 0)
		return 0;
	snprintf(path, sizeof(path), "metadata/%s", name);
	if (names_have(&p->needed, path))
		return 0;
	p->removed++;
	return file_unlink(fd, name, err);
}

/* SHA256.VERSION, as an artifact's bytes are called. */
static bool is_artifact(const char *name)
{
	struct error ignored = ERROR_INIT;

	return strspn(name, "0123456789abcdef") == 2 * SHA256_LEN && name[2 * SHA256_LEN] == '.' &&
	       version_check(slice_str(name + 2 * SHA256_LEN + 1), &ignored) == 0;
}

static int prune_artifact(void *arg, int fd, const char *name, struct error *err)
{
	const struct leaves *l = arg;
	struct prune *p = l->arg;
	char path[512];

	if (!is_artifact(name))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", l->path, name);
	if (names_have(&p->needed, path))
		return 0;
	p->removed++;
	return file_unlink(fd, name, err);
}

/* The artifacts, then the directories themselves unless something is left in them. */
static int prune_leaf(struct leaves *l, int fd, struct error *err)
{
	struct prune *p = l->arg;
	struct error ignored = ERROR_INIT;
	unsigned before = p->removed;
	char parent[sizeof(l->path)];

	if (each_name(fd, prune_artifact, l, err) < 0)
		return -1;
	if (p->removed == before)
		return 0;
	if (file_rmdir(p->d->dirfd, l->path, &ignored) < 0)
		return file_sync(fd, l->path, err);
	snprintf(parent, sizeof(parent), "%.*s", (int)l->part, l->path);
	if (file_rmdir(p->d->dirfd, parent, &ignored) < 0)
		return file_sync_dir(p->d->dirfd, parent, err);
	return file_sync_dir(p->d->dirfd, "targets", err);
}

int export_prune(struct export_dest *d, const struct export_source *s, unsigned *removed, struct error *err)
{
	struct prune p = {.d = d, .s = s};
	struct leaves l = {.leaf = prune_leaf, .arg = &p};
	int r = -1;

	if (need_all(&p, err) == 0 && each_name(d->metadata_fd, prune_metadata, &p, err) == 0 &&
	    file_sync(d->metadata_fd, "metadata", err) == 0 && each_leaf(d, &l, err) == 0)
		r = 0;
	*removed = p.removed;
	free(p.needed.slots);
	return r;
}
