/* The root chains of other sites, as they lie in HOME/repo/sites. */
#include "tuf/repo_sites.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

int repo_site_newest(int repo_dirfd, const char *site, int64_t *newest, struct error *err)
{
	char path[sizeof(REPO_SITES_DIR) + NAME_LEN_MAX + 2];
	int fd, r;

	*newest = 0;
	if (name_check(slice_str(site), "site", err) < 0)
		return -1;
	snprintf(path, sizeof(path), REPO_SITES_DIR "/%s", site);
	if ((fd = file_open(repo_dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err)) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		*err = ERROR_INIT;
		return 0;
	}
	r = repo_newest(fd, "root", newest, NULL, err);
	file_close(&fd);
	return r < 0 ? error_wrap(err, "%s", path) : 0;
}

int repo_site_root_read(int repo_dirfd, const char *site, int64_t version, struct buf *out, struct error *err)
{
	char path[sizeof(REPO_SITES_DIR) + NAME_LEN_MAX + META_NAME_MAX + 2];

	if (name_check(slice_str(site), "site", err) < 0)
		return -1;
	snprintf(path, sizeof(path), REPO_SITES_DIR "/%s/%" PRId64 ".root.json", site, version);
	if (file_read(repo_dirfd, path, out, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	error_set(err, ERR_NOT_FOUND, "root %" PRId64 " of site '%s' is not kept here", version, site);
	return error_hint(err, "bring the site's roots, from the first on: meshanics repo adopt N.root.json...");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is there by a site's name; other names are nobody's. */
static int list_sites(DIR *d, char ***list, size_t *count, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct dirent *e;

	while ((errno = 0, e = readdir(d)) != NULL) {
		if (name_check(slice_str(e->d_name), "site", &ignored) < 0)
			continue;
		if (*count == REPO_SITES_MAX)
			return error_set(err, ERR_LIMIT, "more than %d sites in " REPO_SITES_DIR "/", REPO_SITES_MAX);
		*list = xreallocarray(*list, *count + 1, sizeof(**list));
		(*list)[(*count)++] = xstrdup(e->d_name);
	}
	if (errno != 0)
		return error_errno(err, errno, "cannot list " REPO_SITES_DIR "/");
	if (*count > 0)
		qsort(*list, *count, sizeof(**list), by_name);
	return 0;
}

int repo_sites_each(int repo_dirfd, int (*each)(void *arg, const char *site, struct error *err), void *arg,
		    struct error *err)
{
	int fd = file_open(repo_dirfd, REPO_SITES_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err), r;
	char **list = NULL;
	size_t count = 0, i;
	int64_t newest;
	DIR *d;

	if (fd < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		*err = ERROR_INIT;
		return 0;
	}
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return error_set(err, ERR_FAILED, "cannot list " REPO_SITES_DIR "/");
	}
	r = list_sites(d, &list, &count, err);
	closedir(d);
	for (i = 0; r == 0 && i < count; i++) {
		/* A power cut before its first root came to its place leaves an empty directory. */
		r = repo_site_newest(repo_dirfd, list[i], &newest, err);
		if (r == 0 && newest > 0)
			r = each(arg, list[i], err);
	}
	for (i = 0; i < count; i++)
		free(list[i]);
	free(list);
	return r;
}

/* ---- what they say ---- */

bool repo_site_export_key(const struct repo *r, const struct tuf_root *root)
{
	unsigned i, k;

	for (i = 0; i < r->online.record_export_count; i++) {
		for (k = 0; k < root->export_keys.count; k++) {
			if (pubkey_equal(&r->online.record_export[i], &root->export_keys.list[k].pub))
				return true;
		}
	}
	return false;
}

/* The root of this version into text and *root, its site checked. */
static int read_root(int repo_dirfd, const char *site, int64_t version, struct buf *text, struct tuf_root **root,
		     struct error *err)
{
	*text = BUF_INIT(TUF_ROOT_MAX);
	*root = NULL;
	if (repo_site_root_read(repo_dirfd, site, version, text, err) < 0 ||
	    (*root = tuf_root_parse(buf_slice(text), err)) == NULL)
		return -1;
	if (strcmp((*root)->site, site) != 0)
		return error_set(err, ERR_REFUSED, "it is for site '%s'", (*root)->site);
	if ((*root)->head.version != version)
		return error_set(err, ERR_REFUSED, "it has version %" PRId64, (*root)->head.version);
	return 0;
}

int repo_site_look(const struct repo *r, const char *site, struct repo_site_info *out, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct buf text = BUF_INIT(0);
	struct tuf_root *root = NULL;
	int64_t newest;
	int ret = -1;

	*out = (struct repo_site_info){.root_version = 0};
	if (repo_site_newest(r->dirfd, site, &newest, err) < 0)
		return -1;
	if (newest == 0) {
		error_set(err, ERR_NOT_FOUND, "no root of site '%s' is kept here", site);
		return error_hint(err, "bring the site's roots, from the first on: meshanics repo adopt N.root.json...");
	}
	if (read_root(r->dirfd, site, newest, &text, &root, err) < 0) {
		error_wrap(err, "root %" PRId64 " of site '%s'", newest, site);
		goto out;
	}
	out->root_version = newest;
	out->expires_s = root->head.expires_s;
	out->takes_bundles = repo_site_export_key(r, root);
	out->takes_targets = r->state.targets != NULL &&
			     tuf_verify_role(&root->roles[TUF_TARGETS], &r->state.targets->head, NULL, "targets", "5.6.3",
					     &ignored) == 0;
	ret = 0;
out:
	tuf_root_free(root);
	buf_release(&text);
	return ret;
}

/* ---- are they whole? ---- */

static int oldest_root(int repo_dirfd, const char *site, int64_t *newest, int64_t *oldest, struct error *err)
{
	char path[sizeof(REPO_SITES_DIR) + NAME_LEN_MAX + 2];
	int fd, r;

	snprintf(path, sizeof(path), REPO_SITES_DIR "/%s", site);
	if ((fd = file_open(repo_dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err)) < 0)
		return -1;
	r = repo_newest(fd, "root", newest, oldest, err);
	file_close(&fd);
	return r;
}

static int check_first(const struct tuf_root *root, struct tuf_root *const *own, unsigned own_count, struct error *err)
{
	struct error ignored = ERROR_INIT;
	unsigned i;

	if (tuf_root_check_self(root, err) < 0)
		return -1;
	for (i = own_count; i-- > 0;) {
		if (tuf_verify_role(&own[i]->roles[TUF_ROOT], &root->head, NULL, "", "", &ignored) == 0)
			return 0;
	}
	return error_set(err, ERR_REFUSED, "the root keys of none of this repository's %u roots have signed it", own_count);
}

int repo_site_verify(int repo_dirfd, const char *site, struct tuf_root *const *own, unsigned own_count,
		     unsigned *roots, int64_t *bad, struct error *err)
{
	struct tuf_root *last = NULL, *next = NULL;
	struct buf last_text = BUF_INIT(0), text = BUF_INIT(0);
	int64_t newest, version;
	int r = -1;

	*roots = 0;
	*bad = 0;
	if (name_check(slice_str(site), "site", err) < 0 || oldest_root(repo_dirfd, site, &newest, &version, err) < 0)
		return -1;
	for (r = 0; r == 0 && version <= newest; version++) {
		*bad = version;
		r = read_root(repo_dirfd, site, version, &text, &next, err);
		if (r == 0)
			r = last == NULL ? check_first(next, own, own_count, err) : tuf_root_check(last, next, err);
		*roots += r == 0;
		tuf_root_free(last);
		buf_release(&last_text);
		last = next;
		last_text = text;
		next = NULL;
		text = BUF_INIT(0);
	}
	tuf_root_free(last);
	buf_release(&last_text);
	return r;
}
