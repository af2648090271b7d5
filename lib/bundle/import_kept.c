/* What an import keeps beside the repository: the metadata of a bundle under way, and which was taken last. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/fields.h"
#include "bundle/import_internal.h"
#include "sys/file.h"

#define LAST_NAME "last-import"
#define LAST_MAX 4096
#define METADATA "metadata/"

void import_dir(char out[static IMPORT_DIR_MAX], const uint8_t id[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, id, SHA256_LEN);
	snprintf(out, IMPORT_DIR_MAX, BUNDLE_IMPORT_DIR "/%s", hex);
}

/* ---- keeping ---- */

static int keep_file(int dirfd, const char *name, struct slice content, struct error *err)
{
	int fd = file_open(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644, err), ret;

	if (fd < 0)
		return -1;
	ret = file_write_all(fd, content, name, err);
	file_close(&fd);
	return ret;
}

/* Not synced: what a power cut leaves is held against the manifest before it counts, and the manifest against its name. */
int import_keep(int repo_dirfd, const struct bundle_check *c, struct error *err)
{
	char dir[IMPORT_DIR_MAX], metadata[IMPORT_DIR_MAX + 16];
	unsigned i;
	int dirfd, ret = -1;

	import_dir(dir, c->manifest.id);
	snprintf(metadata, sizeof(metadata), "%s/metadata", dir);
	if (file_remove_tree(repo_dirfd, dir, err) < 0 || file_mkdirs(repo_dirfd, metadata, 0700, err) < 0 ||
	    (dirfd = file_open(repo_dirfd, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	if (keep_file(dirfd, BUNDLE_MANIFEST, buf_slice(&c->manifest.text), err) < 0 ||
	    keep_file(dirfd, BUNDLE_SIGNATURE, buf_slice(&c->signature), err) < 0)
		goto out;
	for (i = 0; i < c->file_count; i++) {
		if (keep_file(dirfd, c->files[i].member.name, buf_slice(&c->files[i].bytes), err) < 0)
			goto out;
	}
	ret = 0;
out:
	file_close(&dirfd);
	return ret;
}

/* ---- reading it again ---- */

void bundle_kept_release(struct bundle_kept *k)
{
	unsigned i;

	for (i = 0; i < k->count; i++)
		buf_release(&k->texts[i]);
	free(k->texts);
	free(k->files);
	free(k->names);
	buf_release(&k->signature);
	manifest_release(&k->manifest);
	*k = (struct bundle_kept){.count = 0};
}

static int lost(struct error *err)
{
	error_wrap(err, "what was kept of the bundle is gone or damaged");
	err->kind = ERR_RETRY;
	return error_hint(err, "import it again, from its first volume on");
}

int import_load_manifest(int repo_dirfd, const uint8_t id[static SHA256_LEN], struct manifest *m, struct error *err)
{
	char name[IMPORT_DIR_MAX + 32], dir[IMPORT_DIR_MAX];
	struct buf text = BUF_INIT(MANIFEST_MAX);

	*m = MANIFEST_INIT;
	import_dir(dir, id);
	snprintf(name, sizeof(name), "%s/" BUNDLE_MANIFEST, dir);
	if (file_read(repo_dirfd, name, &text, err) < 0) {
		buf_release(&text);
		return -1;
	}
	if (manifest_parse(m, &text, err) < 0)
		return -1;
	if (memcmp(m->id, id, SHA256_LEN) == 0)
		return 0;
	manifest_release(m);
	return error_set(err, ERR_FAILED, "its manifest is another one");
}

static int load_file(struct bundle_kept *k, int dirfd, const struct member *m, struct error *err)
{
	struct buf *text = &k->texts[k->count];
	struct error why = ERROR_INIT;
	uint8_t hash[SHA256_LEN];

	if (m->length > TUF_SIGNED_MAX)
		return error_set(err, ERR_LIMIT, "%s is too large", m->name);
	*text = BUF_INIT(m->length);
	if (file_read(dirfd, m->name, text, &why) < 0) {
		buf_release(text);
		/* Roots that were in force already were not kept. */
		if (m->kind == MEMBER_ROOT && why.kind == ERR_NOT_FOUND)
			return 0;
		*err = why;
		return -1;
	}
	k->count++;
	sha256_of(buf_slice(text), hash);
	if (text->len != m->length || memcmp(hash, m->sha256, SHA256_LEN) != 0)
		return error_set(err, ERR_FAILED, "%s is not what the manifest lists", m->name);
	snprintf(k->names[k->count - 1], sizeof(k->names[0]), "%s", m->name + strlen(METADATA));
	k->files[k->count - 1] = (struct tuf_blob){slice_str(k->names[k->count - 1]), buf_slice(text)};
	return 0;
}

static int load_files(struct bundle_kept *k, int dirfd, struct error *err)
{
	struct manifest_iter it = manifest_iter(&k->manifest);
	struct member m;
	unsigned n = 0;

	while (manifest_next(&it, &m) && m.kind != MEMBER_ARTIFACT)
		n++;
	k->texts = xcalloc(n, sizeof(*k->texts));
	k->files = xcalloc(n, sizeof(*k->files));
	k->names = xcalloc(n, sizeof(*k->names));
	for (it = manifest_iter(&k->manifest); manifest_next(&it, &m) && m.kind != MEMBER_ARTIFACT;) {
		if (load_file(k, dirfd, &m, err) < 0)
			return -1;
	}
	return 0;
}

int bundle_import_load(int repo_dirfd, const uint8_t id[static SHA256_LEN], struct bundle_kept *k, struct error *err)
{
	char dir[IMPORT_DIR_MAX];
	int dirfd, ret = -1;

	*k = (struct bundle_kept){.manifest = MANIFEST_INIT, .signature = BUF_INIT(SSHSIG_SIZE_MAX)};
	import_dir(dir, id);
	if ((dirfd = file_open(repo_dirfd, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return lost(err);
	if (import_load_manifest(repo_dirfd, id, &k->manifest, err) == 0 &&
	    file_read(dirfd, BUNDLE_SIGNATURE, &k->signature, err) == 0)
		ret = load_files(k, dirfd, err);
	file_close(&dirfd);
	return ret < 0 ? lost(err) : 0;
}

void bundle_import_sweep(int repo_dirfd, int64_t since_s)
{
	struct error ignored = ERROR_INIT;
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd = file_open(repo_dirfd, BUNDLE_IMPORT_DIR, O_RDONLY | O_DIRECTORY, 0, &ignored);

	if (fd < 0)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
		    (since_s > 0 && st.st_mtime >= since_s))
			continue;
		if (file_remove_tree(fd, e->d_name, &ignored) < 0)
			break;
	}
	closedir(d);
}

/* ---- what was taken last ---- */

int bundle_last_write(int repo_dirfd, const struct bundle_last *last, struct error *err)
{
	struct buf text = BUF_INIT(LAST_MAX);
	struct json_writer w = JSON_WRITER(&text);
	char when[TIME_TEXT_LEN];
	int ret;

	json_open_object(&w, NULL);
	json_put_hex(&w, "bundle", last->bundle, SHA256_LEN);
	json_put_string(&w, "created", time_text(when, last->created_s));
	json_put_string(&w, "imported", time_text(when, last->imported_s));
	json_put_string(&w, "origin", last->origin);
	json_put_int(&w, "sequence", last->sequence);
	json_put_string(&w, "valid_until", time_text(when, last->valid_until_s));
	json_close(&w);
	buf_put_str(&text, "\n");
	ret = file_replace(repo_dirfd, LAST_NAME, 0644, buf_slice(&text), err);
	buf_release(&text);
	return ret;
}

static int parse_last(struct json_value v, struct bundle_last *last, struct error *err)
{
	static const char *const names[] = {"bundle", "created", "imported", "origin", "sequence", "valid_until", NULL};

	if (json_only(v, names, err) < 0 || field_hash(v, "bundle", last->bundle, err) < 0 ||
	    field_time(v, "created", &last->created_s, err) < 0 || field_time(v, "imported", &last->imported_s, err) < 0 ||
	    field_name(v, "origin", last->origin, err) < 0 ||
	    json_need_int(v, "sequence", 1, INT64_MAX, &last->sequence, err) < 0)
		return -1;
	return field_time(v, "valid_until", &last->valid_until_s, err);
}

int bundle_last_read(int repo_dirfd, struct bundle_last *last, struct error *err)
{
	struct buf text = BUF_INIT(LAST_MAX);
	struct error why = ERROR_INIT;
	struct json doc = JSON_INIT;
	int ret = -1;

	*last = (struct bundle_last){.sequence = 0};
	if (file_read(repo_dirfd, LAST_NAME, &text, &why) < 0) {
		*err = why;
		ret = why.kind == ERR_NOT_FOUND ? 0 : -1;
	} else if (json_parse(&doc, buf_slice(&text), JSON_STRICT, err) == 0 && parse_last(json_root(&doc), last, err) == 0) {
		ret = 1;
	}
	json_release(&doc);
	buf_release(&text);
	return ret < 0 ? error_wrap(err, "repo/" LAST_NAME) : ret;
}
