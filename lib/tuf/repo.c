/* Opening and closing a repository, and what it says about itself. */
#include "tuf/repo.h"

#include <fcntl.h>
#include <stdlib.h>

#include "sys/file.h"
#include "tuf/repo_internal.h"

int repo_lock(const char *home, struct error *err)
{
	char dir[4096], path[4096];

	if (file_mkdirs(AT_FDCWD, path_join(dir, home, "control"), 0700, err) < 0)
		return -1;
	return file_lock(AT_FDCWD, path_join(path, dir, "lock"), err);
}

static int open_dirs(struct repo *r, const char *home, struct error *err)
{
	char path[4096], keys[4096];

	path_join(path, home, "repo");
	if (!file_exists(AT_FDCWD, path_join(keys, path, "online-keys.json"))) {
		error_set(err, ERR_NOT_FOUND, "there is no repository in '%s'", home);
		return error_hint(err, "name its home with --home or MESHANICS_HOME, or make one: meshanics repo init");
	}
	if ((r->dirfd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err)) < 0 ||
	    (r->metadata_fd = file_open(r->dirfd, "metadata", O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	/* A reader may lack the right to look at the keys, and needs none. */
	r->keys_fd = file_open(r->dirfd, "keys", O_RDONLY | O_DIRECTORY, 0, err);
	return r->keys_fd < 0 && !r->readonly ? -1 : 0;
}

static int read_online_keys(struct repo *r, struct error *err)
{
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	int ret = -1;

	if (file_read(r->dirfd, "online-keys.json", &text, err) == 0)
		ret = online_keys_parse(&r->online, buf_slice(&text), err);
	buf_release(&text);
	return ret;
}

static struct repo *open_any(const char *home, bool readonly, struct error *err)
{
	struct repo *r = xcalloc(1, sizeof(*r));

	*r = (struct repo){.dirfd = -1, .metadata_fd = -1, .keys_fd = -1, .readonly = readonly};
	r->bin = xcalloc(1, sizeof(*r->bin));
	if (open_dirs(r, home, err) < 0 || read_online_keys(r, err) < 0)
		goto fail;
	if (!readonly) {
		publish_stage_sweep(r->dirfd, true, INT64_MIN);
		if (newfile_sweep(r->dirfd, ".", err) < 0 || repo_recover(r, err) < 0)
			goto fail;
	}
	if (r->state.root == NULL && repo_state_load(&r->state, r, NULL, NULL, -1, err) < 0)
		goto fail;
	if (!readonly && repo_keys_settle(r, err) < 0)
		goto fail;
	return r;
fail:
	error_wrap(err, "repository");
	repo_free(r);
	return NULL;
}

struct repo *repo_open(const char *home, struct error *err)
{
	return open_any(home, false, err);
}

struct repo *repo_open_readonly(const char *home, struct error *err)
{
	return open_any(home, true, err);
}

void repo_free(struct repo *r)
{
	if (r == NULL)
		return;
	repo_state_release(&r->state);
	repo_role_release(r->bin);
	free(r->bin);
	online_keys_release(&r->online);
	free(r->expiries);
	file_close(&r->dirfd);
	file_close(&r->metadata_fd);
	file_close(&r->keys_fd);
	free(r);
}

int repo_writable(struct repo *r, struct error *err)
{
	if (r->readonly)
		return error_set(err, ERR_FAILED, "the repository is open for reading only");
	if (r->unfinished && repo_recover(r, err) < 0)
		return -1;
	return repo_keys_settle(r, err);
}

int repo_adopted(const struct repo *r, struct error *err)
{
	if (r->state.root != NULL)
		return 0;
	error_set(err, ERR_NOT_FOUND, "the repository has no root yet");
	return error_hint(err, "take online-keys.json to the ceremony, then: meshanics repo adopt "
			       "root.json targets.json");
}

int repo_dirfd(const struct repo *r)
{
	return r->dirfd;
}

const char *repo_site(const struct repo *r)
{
	return r->online.site;
}

bool repo_exports(const struct repo *r)
{
	return r->online.record_export_count > 0;
}

bool repo_takes_bundles(const struct repo *r)
{
	return !repo_exports(r) && r->state.root != NULL && r->state.root->export_keys.count > 0;
}

const struct online_keys *repo_online_keys(const struct repo *r)
{
	return &r->online;
}

const struct tuf_root *repo_root(const struct repo *r)
{
	return r->state.root;
}

const struct tuf_targets *repo_targets(const struct repo *r)
{
	return r->state.targets;
}

const struct tuf_snapshot *repo_snapshot(const struct repo *r)
{
	return r->state.snapshot;
}

const struct tuf_timestamp *repo_timestamp(const struct repo *r)
{
	return r->state.timestamp;
}

struct repo_lives repo_lives(const struct repo *r)
{
	return r->state.lives;
}

unsigned repo_role_count(const struct repo *r)
{
	return r->state.role_count;
}

const struct repo_role *repo_role_at(const struct repo *r, unsigned i)
{
	return i < r->state.role_count ? &r->state.roles[i] : NULL;
}

const struct repo_role *repo_role_find(const struct repo *r, struct slice name)
{
	return repo_state_role(&r->state, name);
}
