/* The files of a change in the making: the few in memory, hash bins in pending/ as they come. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"

/* ---- names ---- */

void metadata_name(char out[static META_NAME_MAX], const char *role, int64_t version)
{
	if (strcmp(role, "timestamp") == 0)
		snprintf(out, META_NAME_MAX, "timestamp.json");
	else
		snprintf(out, META_NAME_MAX, "%" PRId64 ".%s.json", version, role);
}

bool metadata_name_parse(const char *name, char role[static NAME_LEN_MAX + 1], int64_t *version)
{
	const char *p = name, *suffix = strlen(name) > 5 ? name + strlen(name) - 5 : name;
	struct error ignored = ERROR_INIT;
	char again[META_NAME_MAX];

	*version = 0;
	while (*p >= '0' && *p <= '9' && p - name < 17)
		*version = *version * 10 + (*p++ - '0');
	if (p != name && *p == '.')
		p++;
	if (strcmp(suffix, ".json") != 0 || suffix <= p || suffix - p > NAME_LEN_MAX ||
	    name_check(slice_of(p, (size_t)(suffix - p)), "role", &ignored) < 0)
		return false;
	memcpy(role, p, (size_t)(suffix - p));
	role[suffix - p] = '\0';
	metadata_name(again, role, *version);
	return strcmp(again, name) == 0;
}

/* No name has '=' in it. */
void site_root_name(char out[static META_NAME_MAX], const char *site, int64_t version)
{
	snprintf(out, META_NAME_MAX, "%s=%" PRId64 ".root.json", site, version);
}

bool site_root_name_parse(const char *name, char site[static NAME_LEN_MAX + 1], int64_t *version)
{
	const char *equals = strchr(name, '=');
	struct error ignored = ERROR_INIT;
	char role[NAME_LEN_MAX + 1];

	if (equals == NULL ||
	    name_check(slice_of(name, (size_t)(equals - name)), "site", &ignored) < 0 ||
	    !metadata_name_parse(equals + 1, role, version) || strcmp(role, "root") != 0)
		return false;
	snprintf(site, NAME_LEN_MAX + 1, "%.*s", (int)(equals - name), name);
	return true;
}

/* ---- changes ---- */

static struct repo_newfile *add(struct repo_change *c, const char *role, int64_t version,
				struct slice text)
{
	struct repo_newfile *f;

	if (c->count == c->room) {
		c->room = c->room == 0 ? 8 : 2 * c->room;
		c->files = xreallocarray(c->files, c->room, sizeof(c->files[0]));
	}
	f = &c->files[c->count++];
	*f = (struct repo_newfile){.version = version, .len = text.len};
	snprintf(f->role, sizeof(f->role), "%s", role);
	metadata_name(f->name, role, version);
	sha256_of(text, f->sha256);
	return f;
}

void repo_change_add(struct repo_change *c, const char *role, int64_t version, struct buf *text)
{
	struct repo_newfile *f = add(c, role, version, buf_slice(text));

	f->text = *text;
	*text = BUF_INIT(text->max);
}

void repo_change_add_site(struct repo_change *c, const char *site, int64_t version, struct buf *text)
{
	struct repo_newfile *f;

	repo_change_add(c, "root", version, text);
	f = &c->files[c->count - 1];
	snprintf(f->site, sizeof(f->site), "%s", site);
	site_root_name(f->name, site, version);
}

int repo_pending_clear(int repo_dirfd, struct error *err)
{
	struct dirent *e;
	DIR *d;
	int fd = file_open(repo_dirfd, "pending", O_RDONLY | O_DIRECTORY, 0, err), ret = 0;

	if (fd < 0)
		return err->kind == ERR_NOT_FOUND ? 0 : -1;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return error_set(err, ERR_FAILED, "cannot list pending/");
	}
	while (ret == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			ret = file_unlink(fd, e->d_name, err);
	}
	closedir(d);
	return ret;
}

/* pending/, empty: what lies there belongs to no change that holds. */
static int open_pending(struct repo_change *c, const struct repo *r, struct error *err)
{
	if (repo_pending_clear(r->dirfd, err) < 0 ||
	    file_mkdirs(r->dirfd, "pending", 0700, err) < 0)
		return -1;
	c->pending_fd = file_open(r->dirfd, "pending", O_RDONLY | O_DIRECTORY, 0, err);
	if (c->pending_fd < 0)
		return -1;
	c->r = r;
	return 0;
}

int repo_change_put(struct repo_change *c, const char *name, struct slice text, struct error *err)
{
	int fd = file_open(c->pending_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644, err);
	int ret;

	if (fd < 0)
		return -1;
	ret = file_write_all(fd, text, name, err);
	file_close(&fd);
	return ret;
}

int repo_change_begin(struct repo_change *c, const struct repo *r, struct error *err)
{
	return c->r != NULL ? 0 : open_pending(c, r, err);
}

int repo_change_write(struct repo_change *c, const struct repo *r, const char *role,
		      int64_t version, struct slice text, struct error *err)
{
	char name[META_NAME_MAX];

	metadata_name(name, role, version);
	/* In the list only once it is whole: what is listed is published. */
	if (repo_change_begin(c, r, err) < 0 || repo_change_put(c, name, text, err) < 0)
		return -1;
	add(c, role, version, text)->written = true;
	return 0;
}

const struct repo_newfile *repo_change_find(const struct repo_change *c, const char *name)
{
	unsigned i;

	for (i = 0; c != NULL && i < c->count; i++) {
		if (!c->files[i].written && strcmp(c->files[i].name, name) == 0)
			return &c->files[i];
	}
	return NULL;
}

void repo_change_release(struct repo_change *c)
{
	struct error ignored = ERROR_INIT;
	unsigned i;

	for (i = 0; i < c->count; i++)
		buf_release(&c->files[i].text);
	free(c->files);
	if (c->r != NULL) {
		file_close(&c->pending_fd);
		/* What stays is emptied by the next change, or when the repository is opened. */
		if (!c->holds && repo_pending_clear(c->r->dirfd, &ignored) < 0)
			ignored = ERROR_INIT;
	}
	*c = (struct repo_change){.files = NULL};
}
