/* The changing half of the store: each change is one rename, prepared before and tidied up after it. */
#include "mesh/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/encode.h"
#include "mesh/store_internal.h"
#include "sys/file.h"
#include "sys/rng.h"

#define LOCK_TRIES 100
#define LOCK_PAUSE_NS 20000000
#define WIPE_MAX (16u << 20)	/* bytes of one file that are overwritten */
#define NEW "new."
#define GONE "gone."

/* ---- wiping ---- */

/* Overwrite a file where that goes. What the file system or the flash keeps besides is out of reach. */
static void overwrite(int dir, const char *name)
{
	static const uint8_t zeros[4096];
	struct error ignored = ERROR_INIT;
	int fd = file_open(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0, &ignored);
	struct stat st;
	uint64_t at;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= WIPE_MAX) {
		for (at = 0; at < (uint64_t)st.st_size; at += sizeof(zeros)) {
			size_t n = (uint64_t)st.st_size - at < sizeof(zeros) ? (size_t)((uint64_t)st.st_size - at) : sizeof(zeros);

			if (file_pwrite_all(fd, slice_of(zeros, n), at, name, &ignored) < 0)
				break;
		}
		(void)!file_sync(fd, name, &ignored);
	}
	file_close(&fd);
}

static int wipe_each(void *arg, const char *name, struct error *err)
{
	(void)err;
	overwrite(*(const int *)arg, name);
	return 0;
}

/* A directory that is no network any more, or not yet: with all that is in it. */
static int wipe_tree(int networks_fd, const char *name, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int dir = file_open(networks_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &ignored);

	if (dir >= 0) {
		(void)!store_walk(dir, wipe_each, &dir, &ignored);
		file_close(&dir);
	}
	if (file_remove_tree(networks_fd, name, err) < 0)
		return -1;
	return file_sync_dir(networks_fd, ".", err);
}

static int wipe_file(int dir, const char *name, struct error *err)
{
	overwrite(dir, name);
	return file_unlink(dir, name, err);
}

/* ---- opening for changes ---- */

static int sweep_each(void *arg, const char *name, struct error *err)
{
	struct netstore *s = arg;

	if (strncmp(name, NEW, strlen(NEW)) == 0 || strncmp(name, GONE, strlen(GONE)) == 0)
		return wipe_tree(s->networks_fd, name, err);
	return 0;
}

/* What killed processes have left: everybody who writes here holds the lock, so whatever is unfinished is dead. */
static int sweep(struct netstore *s, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct network_ids ids;
	size_t i;

	if (store_walk(s->networks_fd, sweep_each, s, err) < 0 || netstore_ids(s, &ids, err) < 0)
		return -1;
	for (i = 0; i < ids.count; i++) {
		/* A directory that is refused is told of when it is used. */
		int dir = store_open_network(s, ids.hex[i], &ignored), r;

		if (dir < 0)
			continue;
		r = newfile_sweep(dir, ".", err);
		file_close(&dir);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int make_dir(int dirfd, const char *name, struct error *err)
{
	/* A dangling link would be made into a directory somewhere else; store_open_dir refuses every link. */
	if (!file_exists(dirfd, name) && file_mkdirs(dirfd, name, 0700, err) < 0)
		return -1;
	return store_open_dir(dirfd, name, err);
}

static int take_lock(int mesh_fd, struct error *err)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	int fd = -1, i;

	for (i = 0; i < LOCK_TRIES; i++) {
		*err = ERROR_INIT;
		fd = file_lock(mesh_fd, "lock", err);
		if (fd >= 0 || err->kind != ERR_RETRY)
			return fd;
		(void)nanosleep(&pause, NULL);
	}
	error_set(err, ERR_RETRY, "another process is changing the networks");
	return error_hint(err, "try again when it is done");
}

int netstore_open_locked(struct netstore *s, const char *home, struct error *err)
{
	int home_fd, r = -1;

	*s = NETSTORE_INIT;
	if ((home_fd = file_open(AT_FDCWD, home, O_RDONLY | O_DIRECTORY, 0, err)) >= 0 &&
	    (s->mesh_fd = make_dir(home_fd, "mesh", err)) >= 0 &&
	    (s->networks_fd = make_dir(s->mesh_fd, "networks", err)) >= 0 &&
	    (s->lock_fd = take_lock(s->mesh_fd, err)) >= 0)
		r = sweep(s, err);
	file_close(&home_fd);
	if (r < 0) {
		netstore_close(s);
		error_wrap(err, "cannot change the networks below '%s'", home);
	}
	return r;
}

/* ---- joining and leaving ---- */

static void temporary_name(char out[static STORE_FILE_MAX], const char *prefix)
{
	uint8_t r[8];
	char hex[17];

	rng_bytes(r, sizeof(r));
	hex_encode(hex, r, sizeof(r));
	snprintf(out, STORE_FILE_MAX, "%s%s", prefix, hex);
}

static int put_file(int dir, const char *name, struct buf *text, struct error *err)
{
	buf_put_u8(text, '\n');
	return file_create(dir, name, 0600, buf_slice(text), err);
}

static int fill(int dir, const struct netkey *k, const struct ownerkey *owner, const struct allow_list *allow,
		struct error *err)
{
	struct buf text = BUF_SECRET(STORE_TEXT_MAX), rules = BUF_INIT(ALLOW_FILE_MAX);
	struct nodekey node;
	int r = -1;

	nodekey_generate(&node);
	nodekey_put(&text, &node);
	if (put_file(dir, "node.key", &text, err) < 0)
		goto out;
	if (owner != NULL) {
		buf_clear(&text);
		ownerkey_put(&text, owner);
		if (put_file(dir, "owner.key", &text, err) < 0)
			goto out;
	}
	allow_list_put(&rules, allow);
	if (file_create(dir, "scope", 0600, buf_slice(&rules), err) < 0)
		goto out;
	buf_clear(&text);
	netkey_put(&text, k);
	r = put_file(dir, "key", &text, err);
out:
	nodekey_wipe(&node);
	buf_release(&text);
	buf_release(&rules);
	return r;
}

int netstore_add(struct netstore *s, const struct netkey *k, const struct ownerkey *owner, const struct allow_list *allow,
		 struct error *err)
{
	char tmp[STORE_FILE_MAX], hex[NETWORK_ID_HEX_LEN];
	struct error ignored = ERROR_INIT;
	struct network_ids ids;
	int dir = -1, r = -1;

	hex_encode(hex, k->id, NETWORK_ID_LEN);
	if (file_exists(s->networks_fd, hex))
		return error_set(err, ERR_CONFLICT, "network '%s' is here already", k->name);
	if (netstore_ids(s, &ids, err) < 0)
		return -1;
	if (ids.count == NETSTORE_NETWORKS_MAX)
		return error_set(err, ERR_LIMIT, "a node has room for %d networks", NETSTORE_NETWORKS_MAX);
	temporary_name(tmp, NEW);
	if (file_mkdirs(s->networks_fd, tmp, 0700, err) == 0 &&
	    (dir = store_open_dir(s->networks_fd, tmp, err)) >= 0 && fill(dir, k, owner, allow, err) == 0)
		r = file_rename(s->networks_fd, tmp, s->networks_fd, hex, err);
	file_close(&dir);
	if (r < 0)
		(void)!wipe_tree(s->networks_fd, tmp, &ignored);
	return r;
}

int network_remove(struct netstore *s, const char *hex, struct error *err)
{
	char tmp[STORE_FILE_MAX];
	struct stat st;

	/* Not opened first: one that is refused or damaged can be removed as well. */
	if (!store_id_valid(hex) || fstatat(s->networks_fd, hex, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, ERR_NOT_FOUND, "no network '%.64s' is here", hex);
	temporary_name(tmp, GONE);
	if (file_rename(s->networks_fd, hex, s->networks_fd, tmp, err) < 0)
		return -1;
	return wipe_tree(s->networks_fd, tmp, err);
}

/* ---- rotation ---- */

static int check_next(const struct network *n, const struct netkey *next, struct error *err)
{
	if (!netkey_same_network(&n->key, next)) {
		error_set(err, ERR_REFUSED, "this key has the id of network '%s' and another owner, range or date",
			  n->key.name);
		return error_hint(err, "it was made to deceive; ask whoever gave it to you");
	}
	if (next->generation > n->key.generation)
		return 0;
	error_set(err, ERR_REFUSED, "network '%s' has generation %" PRIu32 " here, which is not older than %" PRIu32,
		  n->key.name, n->key.generation, next->generation);
	return error_hint(err, "ask for the newest key of the network");
}

/* Of the lines that hold, so many as are too many beside the new ones: the oldest, whose secret is the longest gone. */
static size_t too_many(struct slice lines, uint32_t generation, size_t fresh)
{
	size_t kept = 0, end;

	for (; lines.len > 0; lines = slice_sub(lines, end + 1, SIZE_MAX)) {
		end = slice_find(lines, '\n', 0);
		kept += strtoul((const char *)lines.ptr + NODE_ID_HEX_LEN, NULL, 10) <= generation;
	}
	return kept + fresh > EVICTED_MAX ? kept + fresh - EVICTED_MAX : 0;
}

/* Whom former rotations have evicted, and this one. Without the leftovers of one that never came into force. */
static int write_evicted(struct netstore *s, int dir, const struct network *n, uint32_t generation,
			 const struct node_ids *evicted, struct error *err)
{
	struct buf old = BUF_INIT(EVICTED_MAX * 48), text = BUF_INIT(EVICTED_MAX * 48);
	char hex[NODE_ID_HEX_LEN];
	struct slice rest, line;
	struct node_ids known;
	bool there;
	size_t fresh = evicted == NULL ? 0 : evicted->count < EVICTED_MAX ? evicted->count : EVICTED_MAX, skip, i, end;
	int r = -1;

	/* Read once for its form, once more for its lines. */
	if (network_evicted(s, n, &known, err) < 0)
		return -1;
	node_ids_release(&known);
	if (store_read_file(dir, n->hex, "evicted", &old, &there, err) < 0)
		goto out;
	skip = too_many(buf_slice(&old), n->key.generation, fresh);
	for (rest = buf_slice(&old); rest.len > 0; rest = slice_sub(rest, end + 1, SIZE_MAX)) {
		end = slice_find(rest, '\n', 0);
		line = slice_sub(rest, 0, end);
		if (strtoul((const char *)line.ptr + NODE_ID_HEX_LEN, NULL, 10) > n->key.generation)
			continue;
		if (skip > 0)
			skip--;
		else
			buf_put_slice(&text, slice_sub(rest, 0, end + 1));
	}
	for (i = 0; i < fresh; i++) {
		hex_encode(hex, evicted->ids[i], NODE_ID_LEN);
		buf_printf(&text, "%s %" PRIu32 "\n", hex, generation);
	}
	r = 0;
	if (text.failed)
		r = error_set(err, ERR_LIMIT, "more than %d nodes were evicted", EVICTED_MAX);
	else if (!slice_equal(buf_slice(&text), buf_slice(&old)))
		r = file_replace(dir, "evicted", 0600, buf_slice(&text), err);
out:
	buf_release(&old);
	buf_release(&text);
	return r;
}

/* All that has to be there when the new key comes into force. */
static int prepare_renewal(struct netstore *s, int dir, const struct network *n, const struct netkey *next,
			   struct slice staylist, const struct node_ids *evicted, int64_t grace_until_s,
			   struct error *err)
{
	struct buf text = BUF_SECRET(STORE_TEXT_MAX);
	struct former f = {.key = n->key, .grace_until_s = grace_until_s};
	char file[STORE_FILE_MAX];
	int r;

	store_generation_name(file, "stay.", next->generation);
	r = staylist.len > 0 ? file_replace(dir, file, 0600, staylist, err) : file_unlink(dir, file, err);
	if (r == 0)
		r = write_evicted(s, dir, n, next->generation, evicted, err);
	if (r == 0) {
		former_put(&text, &f);
		r = file_replace(dir, store_generation_name(file, "former.", n->key.generation), 0600, buf_slice(&text),
				 err);
	}
	netkey_wipe(&f.key);
	buf_release(&text);
	return r;
}

/* What a rotation leaves behind: older stay lists, and generations before the ones that are kept. */
struct prune {
	int dir;
	uint32_t generation;	/* in force */
	uint32_t oldest;	/* of the former ones that stay */
};

static int prune_each(void *arg, const char *name, struct error *err)
{
	const struct prune *p = arg;
	uint32_t former = store_generation(name, "former."), stay = store_generation(name, "stay.");

	if ((former != 0 && (former < p->oldest || former >= p->generation)) || (stay != 0 && stay != p->generation))
		return wipe_file(p->dir, name, err);
	return 0;
}

static void prune(struct netstore *s, int dir, const char *hex)
{
	struct error ignored = ERROR_INIT;
	struct network n;
	struct prune p = {.dir = dir};

	if (network_read(s, hex, &n, &ignored) < 0)
		return;
	p.generation = n.key.generation;
	p.oldest = n.former_count == 0 ? 0 : n.former[n.former_count - 1].key.generation;
	network_wipe(&n);
	(void)!store_walk(dir, prune_each, &p, &ignored);
}

int network_renew(struct netstore *s, const char *hex, const struct netkey *next, struct slice staylist,
		  const struct node_ids *evicted, int64_t grace_until_s, struct error *err)
{
	struct buf text = BUF_SECRET(STORE_TEXT_MAX);
	struct netkey named = *next;
	struct network n;
	int dir = -1, r = -1;

	if (network_read(s, hex, &n, err) < 0)
		goto out;
	memcpy(named.name, n.key.name, sizeof(named.name));
	if (check_next(&n, next, err) < 0 || (dir = store_open_network(s, hex, err)) < 0 ||
	    prepare_renewal(s, dir, &n, &named, staylist, evicted, grace_until_s, err) < 0)
		goto out;
	netkey_put(&text, &named);
	buf_put_u8(&text, '\n');
	if (file_replace(dir, "key", 0600, buf_slice(&text), err) < 0)
		goto out;
	r = 0;
	prune(s, dir, hex);
out:
	file_close(&dir);
	netkey_wipe(&named);
	network_wipe(&n);
	buf_release(&text);
	return r;
}

/* ---- other files ---- */

static int replace(struct netstore *s, const char *hex, const char *file, struct slice content, struct error *err)
{
	int dir = store_open_network(s, hex, err), r;

	if (dir < 0)
		return -1;
	r = file_replace(dir, file, 0600, content, err);
	file_close(&dir);
	return r;
}

int network_set_allow(struct netstore *s, const char *hex, const struct allow_list *allow, struct error *err)
{
	struct buf text = BUF_INIT(ALLOW_FILE_MAX);
	int r;

	allow_list_put(&text, allow);
	r = replace(s, hex, "scope", buf_slice(&text), err);
	buf_release(&text);
	return r;
}

int network_set_forwards(struct netstore *s, const char *hex, const struct forward_list *forwards,
			 struct error *err)
{
	struct buf text = BUF_INIT(FORWARDS_FILE_MAX);
	int r;

	forwards_put(&text, forwards);
	r = replace(s, hex, "forwards", buf_slice(&text), err);
	buf_release(&text);
	return r;
}

int network_set_claims(struct netstore *s, const char *hex, const struct claim *claims, size_t count, struct error *err)
{
	struct buf text = BUF_INIT(STORE_TEXT_MAX);
	int r;

	claims_file_put(&text, claims, count);
	r = replace(s, hex, "claims", buf_slice(&text), err);
	buf_release(&text);
	return r;
}

int network_set_records(struct netstore *s, const char *hex, struct slice records, struct error *err)
{
	return replace(s, hex, "records", records, err);
}

int network_set_ages(struct netstore *s, const char *hex, struct slice ages, struct error *err)
{
	return replace(s, hex, "ages", ages, err);
}

int network_set_paths(struct netstore *s, const char *hex, const struct last_path *paths, size_t count,
		      struct error *err)
{
	struct buf bytes = BUF_INIT((size_t)PATHS_MAX * PATH_LEN);
	int r;

	/* They are hints: what is too much is left out. */
	paths_put(&bytes, paths, count < PATHS_MAX ? count : PATHS_MAX);
	r = replace(s, hex, "paths", buf_slice(&bytes), err);
	buf_release(&bytes);
	return r;
}

int network_set_pins(struct netstore *s, const char *hex, struct slice pins, struct error *err)
{
	return replace(s, hex, "pins", pins, err);
}

int network_next_epoch(struct netstore *s, const char *hex, uint32_t above, uint32_t *epoch, struct error *err)
{
	struct buf text = BUF_INIT(STORE_TEXT_MAX);
	uint32_t last = 0;
	bool there;
	int dir = store_open_network(s, hex, err), r;

	if (dir < 0)
		return -1;
	r = store_read_file(dir, hex, "epoch", &text, &there, err);
	if (r == 0 && there && (r = epoch_parse(&last, buf_slice(&text), err)) < 0) {
		error_wrap(err, "network %.12s: file 'epoch'", hex);
		error_hint(err, "write a number there that is surely above the last one, such as 1000000");
	}
	if (last < above)
		last = above;
	if (r == 0 && last == UINT32_MAX)
		r = error_set(err, ERR_LIMIT, "network %.12s: no boot epoch is left", hex);
	if (r == 0) {
		buf_clear(&text);
		buf_printf(&text, "%" PRIu32 "\n", last + 1);
		r = file_replace(dir, "epoch", 0600, buf_slice(&text), err);
	}
	if (r == 0)
		*epoch = last + 1;
	file_close(&dir);
	buf_release(&text);
	return r;
}
