/* A fresh repository: online keys, empty rooms, and last online-keys.json, with which it exists. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/keyfile.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"

/* One token may serve several sites: the label says whose key it is. */
static int make_token_key(int keys_fd, const char *name, const struct repo_init_options *o, enum key_scheme scheme,
			  const char *comment, struct pubkey *out, struct error *err)
{
	struct pkcs11_uri u = *o->token;

	snprintf(u.object, sizeof(u.object), "%.63s %.63s", o->site, name);
	return keyfile_generate_token(keys_fd, name, &u, scheme, SLICE_EMPTY, comment, o->now_s, out, err);
}

/* Make keys/NAME.key and say which public key it is. */
static int make_key(int keys_fd, const char *name, const struct repo_init_options *o,
		    struct pubkey *out, struct error *err)
{
	enum key_scheme scheme = o->scheme == KEY_NONE ? KEY_ED25519 : o->scheme;
	char comment[128];
	struct seckey *k;
	int ret = -1;

	snprintf(comment, sizeof(comment), "online %s of site %.63s", name, o->site);
	if (o->token != NULL)
		return make_token_key(keys_fd, name, o, scheme, comment, out, err);
	if ((k = seckey_generate(scheme, err)) == NULL)
		return -1;
	if (keyfile_write(keys_fd, name, k, SLICE_EMPTY, comment, o->now_s, err) == 0) {
		*out = *seckey_public(k);
		ret = 0;
	}
	seckey_free(k);
	return ret;
}

static int make_record_key(int keys_fd, const char *name, const struct repo_init_options *o,
			   struct pubkey **list, unsigned *count, struct error *err)
{
	*list = xcalloc(1, sizeof(**list));
	*count = 1;
	return make_key(keys_fd, name, o, *list, err);
}

static int add_publisher(int keys_fd, const struct repo_init_options *o,
			 const struct repo_publisher *wanted, struct online_keys *k,
			 struct error *err)
{
	struct repo_publisher *p = &k->publishers[k->publisher_count++];
	unsigned i;

	snprintf(p->name, sizeof(p->name), "%s", wanted->name);
	for (i = 0; i < wanted->slices.count; i++)
		text_list_add(&p->slices, wanted->slices.items[i]);
	p->key_count = wanted->key_count == 0 ? 1 : wanted->key_count;
	p->keys = xcalloc(p->key_count, sizeof(p->keys[0]));
	if (wanted->key_count == 0)
		return make_key(keys_fd, p->name, o, p->keys, err);
	memcpy(p->keys, wanted->keys, wanted->key_count * sizeof(p->keys[0]));
	return 0;
}

int repo_make_keys(int keys_fd, const struct repo_init_options *o, struct online_keys *k,
		   struct error *err)
{
	unsigned i;

	*k = (struct online_keys){.lives = o->lives, .bins = (unsigned)o->bins};
	snprintf(k->site, sizeof(k->site), "%s", o->site);
	if (make_key(keys_fd, "snapshot", o, &k->snapshot, err) < 0 ||
	    make_key(keys_fd, "timestamp", o, &k->timestamp, err) < 0 ||
	    make_record_key(keys_fd, "record-site", o, &k->record_site, &k->record_site_count,
			    err) < 0)
		return -1;
	/* Only HQ exports; at a site the ceremony names HQ's export key. */
	if (strcmp(o->site, "main") == 0 &&
	    make_record_key(keys_fd, "record-export", o, &k->record_export, &k->record_export_count,
			    err) < 0)
		return -1;
	k->publishers = xcalloc(o->publisher_count, sizeof(k->publishers[0]));
	for (i = 0; i < o->publisher_count; i++) {
		if (add_publisher(keys_fd, o, &o->publishers[i], k, err) < 0)
			return -1;
	}
	return 0;
}

/* Everything below HOME/repo; `out` gets online-keys.json. Keys of an attempt that was cut short
 * are made anew. */
static int fill(int dirfd, const struct repo_init_options *o, struct buf *out, struct error *err)
{
	struct online_keys k = {.publishers = NULL};
	size_t from = out->len;
	int keys_fd = -1, ret = -1;

	if (file_remove_tree(dirfd, "keys", err) < 0 ||
	    file_mkdirs(dirfd, "metadata", 0755, err) < 0 ||
	    file_mkdirs(dirfd, "targets", 0755, err) < 0 ||
	    file_mkdirs(dirfd, "staging", 0700, err) < 0 ||
	    file_mkdirs(dirfd, "keys", 0700, err) < 0 ||
	    (keys_fd = file_open(dirfd, "keys", O_RDONLY | O_DIRECTORY, 0, err)) < 0 ||
	    repo_make_keys(keys_fd, o, &k, err) < 0)
		goto out;
	online_keys_put(out, &k);
	if (out->failed) {
		error_set(err, ERR_LIMIT, "too many publishers for one repository");
		goto out;
	}
	ret = file_create(dirfd, "online-keys.json", 0644,
			  slice_sub(buf_slice(out), from, SIZE_MAX), err);
out:
	file_close(&keys_fd);
	online_keys_release(&k);
	return ret;
}

/* The keys of a repository get their names here, and nobody is there to give a PIN. */
static int check_token(const struct pkcs11_uri *u, struct error *err)
{
	if (u->object[0] != '\0' || u->id_len > 0)
		return error_set(err, ERR_USAGE, "the URI of a repository's token names a key by object or id");
	if (u->pin_file[0] != '\0')
		return 0;
	error_set(err, ERR_USAGE, "the URI of a repository's token has no pin-source");
	return error_hint(err, "write the PIN to a file of mode 0600 and add &pin-source=file:/path to the URI");
}

int repo_init_check(const struct repo_init_options *o, struct error *err)
{
	const int64_t lives[] = {o->lives.timestamp_s, o->lives.snapshot_s, o->lives.publisher_s};
	unsigned i;

	if (name_check(slice_str(o->site), "site", err) < 0 || (o->token != NULL && check_token(o->token, err) < 0))
		return -1;
	for (i = 0; i < ARRAY_SIZE(lives); i++) {
		if (lives[i] < REPO_LIFE_MIN_S || lives[i] > REPO_LIFE_MAX_S)
			return error_set(err, ERR_USAGE,
					 "a life of %lld seconds is not 1 second to 10 years",
					 (long long)lives[i]);
	}
	if (o->bins != 0 && repo_bins_check_count(o->bins, NULL, err) < 0)
		return -1;
	if (o->publisher_count > ONLINE_PUBLISHERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d publishers", ONLINE_PUBLISHERS_MAX);
	for (i = 0; i < o->publisher_count; i++) {
		if (o->publishers[i].slices.count == 0)
			return error_set(err, ERR_USAGE, "publisher '%s' has no slice",
					 o->publishers[i].name);
		if (strncmp(o->publishers[i].name, "record-", 7) == 0)
			return error_set(err, ERR_USAGE,
					 "publisher '%s': names that begin with 'record-' are "
					 "those of record keys",
					 o->publishers[i].name);
		if (o->bins != 0 && repo_bins_check_count(o->bins, o->publishers[i].name, err) < 0)
			return -1;
	}
	if (o->bins * o->publisher_count > REPO_ALL_BINS_MAX)
		return error_set(err, ERR_USAGE, "%u publishers with %lld hash bins each: more than %d in all",
				 o->publisher_count, (long long)o->bins, REPO_ALL_BINS_MAX);
	return publishers_check_disjoint(o->publishers, o->publisher_count, err);
}

int repo_make_room(const char *home, struct error *err)
{
	char control[4096], repo[4096];
	struct stat st;
	int fd, r = -1;

	if (file_mkdirs(AT_FDCWD, path_join(control, home, "control"), 0700, err) < 0 ||
	    file_mkdirs(AT_FDCWD, path_join(repo, home, "repo"), 0700, err) < 0)
		return -1;
	if (geteuid() != 0)
		return 0;
	if (stat(control, &st) < 0)
		return error_errno(err, errno, "cannot tell the owner of '%s'", control);
	fd = file_open(AT_FDCWD, repo, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd >= 0)
		r = file_chown(fd, st.st_uid, st.st_gid, repo, err);
	file_close(&fd);
	return r;
}

int repo_init(const char *home, const struct repo_init_options *options, struct buf *out,
	      struct error *err)
{
	char path[4096];
	int dirfd, ret = -1;

	path_join(path, home, "repo");
	if (repo_init_check(options, err) < 0 || file_mkdirs(AT_FDCWD, path, 0700, err) < 0 ||
	    (dirfd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	if (file_exists(dirfd, "online-keys.json")) {
		error_set(err, ERR_CONFLICT, "there is a repository in '%s' already", home);
		error_hint(err, "its keys are in %s/keys; another site wants another home", path);
	} else {
		ret = fill(dirfd, options, out, err);
	}
	file_close(&dirfd);
	return ret;
}
