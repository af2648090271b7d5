/*
 * New online keys. They wait beside those in use, complete, until a root that names them is
 *adopted:
 *
 *	keys-next/		every key that keys/ is to hold then
 *	online-keys-next.json	their public part, written last: without it nothing is staged
 *
 * The box signs with keys/ until then. Adoption commits metadata signed by the staged keys; with
 *that commit they are the ones in force, and repo_keys_settle moves them into keys/, now or (after
 *a crash) when the repository is opened.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "crypto/keyfile.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"

#define NEXT_DIR "keys-next"
#define NEXT_PUBLIC "online-keys-next.json"

bool repo_keys_staged(const struct repo *r)
{
	return file_exists(r->dirfd, NEXT_PUBLIC);
}

static int read_staged(const struct repo *r, struct online_keys *k, struct error *err)
{
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	int ret = -1;

	if (file_read(r->dirfd, NEXT_PUBLIC, &text, err) == 0)
		ret = online_keys_parse(k, buf_slice(&text), err);
	buf_release(&text);
	return ret < 0 ? error_wrap(err, NEXT_PUBLIC) : 0;
}

/* ---- staging ---- */

/* One file of keys/, if it is there, as it is. */
static int copy_file(const struct repo *r, int next_fd, const char *name, mode_t mode,
		     struct error *err)
{
	struct buf text = BUF_SECRET(KEYFILE_SIZE_MAX);
	int ret = 0;

	if (file_exists(r->keys_fd, name)) {
		ret = file_read(r->keys_fd, name, &text, err);
		if (ret == 0)
			ret = file_replace(next_fd, name, mode, buf_slice(&text), err);
	}
	buf_release(&text);
	return ret;
}

static bool slices_meet(const struct repo_publisher *a, const struct repo_publisher *b)
{
	unsigned i, j;

	for (i = 0; i < a->slices.count; i++) {
		for (j = 0; j < b->slices.count; j++) {
			if (slice_patterns_overlap(a->slices.items[i], b->slices.items[j]))
				return true;
		}
	}
	return false;
}

/* A new publisher takes the place of those whose slices it asks for. */
static bool is_displaced(const struct repo_publisher *old, const struct online_keys *k,
			 unsigned fresh)
{
	unsigned i;

	for (i = 0; i < fresh; i++) {
		if (slices_meet(old, &k->publishers[i]))
			return true;
	}
	return false;
}

/* The publishers that stay, with their keys, behind the new ones in k. */
static int keep_publishers(const struct repo *r, int next_fd, struct online_keys *k,
			   struct error *err)
{
	unsigned fresh = k->publisher_count, i;
	char key[NAME_LEN_MAX + 8], pub[NAME_LEN_MAX + 8];

	k->publishers = xreallocarray(k->publishers, (size_t)fresh + r->online.publisher_count,
				      sizeof(k->publishers[0]));
	for (i = 0; i < r->online.publisher_count; i++) {
		const struct repo_publisher *p = &r->online.publishers[i];

		if (is_displaced(p, k, fresh))
			continue;
		snprintf(key, sizeof(key), "%s.key", p->name);
		snprintf(pub, sizeof(pub), "%s.pub", p->name);
		if (copy_file(r, next_fd, key, 0600, err) < 0 ||
		    copy_file(r, next_fd, pub, 0644, err) < 0)
			return -1;
		publisher_copy(&k->publishers[k->publisher_count++], p, p);
	}
	return 0;
}

static int check_fresh(const struct repo *r, const struct repo_rotate_options *o, struct error *err)
{
	char key[NAME_LEN_MAX + 8];
	unsigned i;

	for (i = 0; i < o->publisher_count; i++) {
		snprintf(key, sizeof(key), "%s.key", o->publishers[i].name);
		if (publisher_find(r->online.publishers, r->online.publisher_count,
				   o->publishers[i].name) == NULL &&
		    !file_exists(r->keys_fd, key))
			continue;
		error_set(err, ERR_CONFLICT, "publisher '%s' has a key here already",
			  o->publishers[i].name);
		return error_hint(
			err,
			"what a stolen key has signed stays bound to its name: take a fresh one");
	}
	return 0;
}

/* keys-next/ is filled; what an earlier attempt left there is gone first. */
static int stage(struct repo *r, const struct repo_init_options *o, struct buf *out,
		 struct error *err)
{
	struct online_keys k = {.publishers = NULL};
	size_t from = out->len;
	int next_fd = -1, ret = -1;

	if (file_remove_tree(r->dirfd, NEXT_DIR, err) < 0 ||
	    file_mkdirs(r->dirfd, NEXT_DIR, 0700, err) < 0 ||
	    (next_fd = file_open(r->dirfd, NEXT_DIR, O_RDONLY | O_DIRECTORY, 0, err)) < 0 ||
	    repo_make_keys(next_fd, o, &k, err) < 0 || keep_publishers(r, next_fd, &k, err) < 0)
		goto out;
	if (k.publisher_count > ONLINE_PUBLISHERS_MAX) {
		error_set(err, ERR_USAGE, "more than %d publishers", ONLINE_PUBLISHERS_MAX);
		goto out;
	}
	online_keys_put(out, &k);
	if (out->failed) {
		error_set(err, ERR_LIMIT, "too many publishers for one repository");
		goto out;
	}
	ret = file_replace(r->dirfd, NEXT_PUBLIC, 0644, slice_sub(buf_slice(out), from, SIZE_MAX),
			   err);
out:
	file_close(&next_fd);
	online_keys_release(&k);
	return ret;
}

int repo_keys_rotate(struct repo *r, const struct repo_rotate_options *options, struct buf *out,
		     struct error *err)
{
	const struct repo_init_options o = {.site = r->online.site,
					    .lives = r->online.lives,
					    .publishers = options->publishers,
					    .publisher_count = options->publisher_count,
					    .bins = r->online.bins,
					    .scheme = options->scheme,
					    .token = options->token,
					    .now_s = options->now_s};

	if (repo_writable(r, err) < 0 || repo_init_check(&o, err) < 0 ||
	    check_fresh(r, options, err) < 0)
		return -1;
	if (repo_keys_staged(r)) {
		if (!options->replace) {
			error_set(err, ERR_CONFLICT, "new online keys wait for their root already");
			return error_hint(err, "take repo/" NEXT_PUBLIC
					       " to the ceremony; or make others with --replace");
		}
		/* From here on nothing is staged, whatever happens to the keys. */
		if (file_unlink(r->dirfd, NEXT_PUBLIC, err) < 0 ||
		    file_sync_dir(r->dirfd, ".", err) < 0)
			return -1;
	}
	return stage(r, &o, out, err);
}

/* ---- coming into force ---- */

static bool names_key(const struct tuf_root *root, enum tuf_type type, const struct pubkey *key)
{
	char id[KEY_FINGERPRINT_LEN];

	key_id(id, key);
	return tuf_keys_find(&root->roles[type].keys, slice_str(id)) != NULL;
}

/* 1: keys are staged, and this root names them; k is then the caller's. 0: it does not, or none
 * are. */
static int staged_for(const struct repo *r, const struct tuf_root *root, struct online_keys *k,
		      struct error *err)
{
	*k = (struct online_keys){.publishers = NULL};
	if (root == NULL || !repo_keys_staged(r))
		return 0;
	if (read_staged(r, k, err) < 0)
		return -1;
	if (names_key(root, TUF_SNAPSHOT, &k->snapshot) &&
	    names_key(root, TUF_TIMESTAMP, &k->timestamp))
		return 1;
	online_keys_release(k);
	return 0;
}

int repo_staged_enter(struct repo *r, const struct tuf_root *root, struct repo_keyring *former,
		      struct error *err)
{
	struct online_keys k;
	int fd, found = staged_for(r, root, &k, err);

	*former = (struct repo_keyring){.keys_fd = -1};
	if (found <= 0)
		return found;
	if ((fd = file_open(r->dirfd, NEXT_DIR, O_RDONLY | O_DIRECTORY, 0, err)) < 0) {
		online_keys_release(&k);
		return -1;
	}
	*former = (struct repo_keyring){.used = true, .keys_fd = r->keys_fd, .online = r->online};
	r->keys_fd = fd;
	r->online = k;
	return 0;
}

void repo_staged_leave(struct repo *r, struct repo_keyring *former)
{
	if (!former->used)
		return;
	file_close(&r->keys_fd);
	online_keys_release(&r->online);
	r->keys_fd = former->keys_fd;
	r->online = former->online;
	*former = (struct repo_keyring){.keys_fd = -1};
}

/* Each file that is still in keys-next/ over its namesake; what an earlier attempt has moved is
 * there already. */
static int move_keys(const struct repo *r, const struct online_keys *k, struct error *err)
{
	static const char *const fixed[] = {"snapshot", "timestamp", "record-site",
					    "record-export"};
	static const char *const endings[] = {"key", "pub"};
	unsigned n = ARRAY_SIZE(fixed) + k->publisher_count, i, e;
	char name[NAME_LEN_MAX + 8];
	int fd, ret = 0;

	if (!file_exists(r->dirfd, NEXT_DIR))
		return 0;
	if ((fd = file_open(r->dirfd, NEXT_DIR, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	for (i = 0; ret == 0 && i < n; i++) {
		const char *key = i < ARRAY_SIZE(fixed) ? fixed[i]
							: k->publishers[i - ARRAY_SIZE(fixed)].name;

		for (e = 0; ret == 0 && e < ARRAY_SIZE(endings); e++) {
			snprintf(name, sizeof(name), "%s.%s", key, endings[e]);
			if (file_exists(fd, name))
				ret = file_rename(fd, name, r->keys_fd, name, err);
		}
	}
	file_close(&fd);
	return ret;
}

int repo_keys_settle(struct repo *r, struct error *err)
{
	struct repo_state next;
	struct online_keys k;
	int found = staged_for(r, r->state.root, &k, err);

	if (found <= 0)
		return found;
	if (move_keys(r, &k, err) < 0 ||
	    file_rename(r->dirfd, NEXT_PUBLIC, r->dirfd, "online-keys.json", err) < 0 ||
	    file_remove_tree(r->dirfd, NEXT_DIR, err) < 0) {
		online_keys_release(&k);
		error_wrap(err, "the new online keys are in force, but not in their place yet");
		return error_hint(err,
				  "it will be finished by the next command, once the disk works");
	}
	online_keys_release(&r->online);
	r->online = k;
	/* Which publishers are held follows from keys/. */
	if (repo_state_load(&next, r, NULL, NULL, -1, err) < 0)
		return -1;
	repo_state_replace(r, &next);
	return 0;
}
