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
