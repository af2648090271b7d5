/* Device policy: reading it, and asking it. */
#include "agent/allow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/yaml.h"
#include "sys/file.h"

#define UDEV_DATABASE "/run/udev/data"
#define UDEV_ENTRY_MAX (256u << 10)

static const struct yaml_key keys[] = {
	{.key = "media.apply", .type = YAML_BOOL},
	{.key = "media.labels", .type = YAML_LIST},
	{.key = NULL},
};

/* What file systems that sticks carry can have, and nothing that would need quoting anywhere. */
static bool label_is_plain(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-'))
			return false;
	}
	return s.len > 0 && s.len < ALLOW_LABEL_MAX;
}

static int take_labels(struct allow *a, const struct yaml_entry *e, const char *path, struct error *err)
{
	unsigned i;

	if (e->count > ALLOW_LABELS_MAX)
		return error_set(err, ERR_USAGE, "%s:%u:%u: more than %d labels", path, e->line, e->column,
				 ALLOW_LABELS_MAX);
	for (i = 0; i < e->count; i++) {
		if (!label_is_plain(slice_str(e->values[i])))
			return error_set(err, ERR_USAGE, "%s:%u:%u: '%s' is no label: 1 to %d of A-Z a-z 0-9 . _ -", path,
					 e->line, e->column, e->values[i], ALLOW_LABEL_MAX - 1);
		snprintf(a->labels[a->label_count++], ALLOW_LABEL_MAX, "%s", e->values[i]);
	}
	return 0;
}

static int take(struct allow *a, struct slice text, const char *path, struct error *err)
{
	const struct yaml_entry *apply, *labels;
	struct yaml doc = YAML_INIT;
	int r;

	if (yaml_parse(&doc, text, path, keys, err) < 0) {
		err->kind = ERR_USAGE;	/* the operator's words, not a stranger's bytes */
		return -1;
	}
	apply = yaml_find(&doc, "media.apply");
	labels = yaml_find(&doc, "media.labels");
	a->media_apply = apply != NULL && apply->number != 0;
	r = labels != NULL ? take_labels(a, labels, path, err) : 0;
	yaml_release(&doc);
	return r;
}

int allow_read(struct allow *a, const char *path, struct error *err)
{
	struct buf text = BUF_INIT(YAML_FILE_MAX);
	struct stat st;
	int fd, r = -1;

	*a = (struct allow){.media_apply = false};
	/* Not file_read: the operator may well keep it elsewhere, behind a link. */
	fd = file_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, err);
	if (fd < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		return 0;
	}
	if (fd < 0)
		return error_wrap(err, "cannot read the device policy");
	if (fstat(fd, &st) < 0) {
		error_errno(err, errno, "cannot read the device policy");
	} else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0) {
		error_set(err, ERR_REFUSED, "others can write the device policy '%s'", path);
		error_hint(err, "chown root '%s'; chmod 644 '%s'", path, path);
	} else if (file_read_fd(fd, &text, path, err) == 0) {
		r = take(a, buf_slice(&text), path, err);
	}
	file_close(&fd);
	buf_release(&text);
	return r;
}

int allow_media(const struct allow *a, const char *label, const char *path, struct error *err)
{
	unsigned i;

	for (i = 0; a->media_apply && i < a->label_count; i++)
		if (strcmp(a->labels[i], label) == 0)
			return 0;
	if (!a->media_apply)
		error_set(err, ERR_REFUSED, "'%s' does not allow bundles from media (media.apply)", path);
	else
		error_set(err, ERR_REFUSED, "'%s' does not allow media with the label '%.63s' (media.labels)", path, label);
	return error_hint(err, "allow it there, or apply the bundle by hand");
}

/* The line E:ID_FS_LABEL= of an entry of udev's; unsafe characters are '_' there already. */
static bool find_label(struct slice text, char out[static ALLOW_LABEL_MAX])
{
	static const struct slice key = SLICE_LIT("E:ID_FS_LABEL=");

	while (text.len > 0) {
		size_t end = slice_find(text, '\n', 0);
		struct slice line = slice_sub(text, 0, end);

		text = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(text, end + 1, SIZE_MAX);
		if (!slice_starts(line, key) || !label_is_plain(slice_sub(line, key.len, SIZE_MAX)))
			continue;
		line = slice_sub(line, key.len, SIZE_MAX);
		snprintf(out, ALLOW_LABEL_MAX, "%.*s", SLICE_ARG(line));
		return true;
	}
	return false;
}

int media_label(int dirfd, const char *dbdir, char out[static ALLOW_LABEL_MAX], struct error *err)
{
	struct buf text = BUF_INIT(UDEV_ENTRY_MAX);
	struct error why = ERROR_INIT;
	char name[64], path[4096];
	struct stat st;
	bool found;

	if (fstat(dirfd, &st) < 0)
		return error_errno(err, errno, "cannot tell where the medium is");
	snprintf(name, sizeof(name), "b%u:%u", major(st.st_dev), minor(st.st_dev));
	found = file_read(AT_FDCWD, path_join(path, dbdir, name), &text, &why) == 0 && find_label(buf_slice(&text), out);
	buf_release(&text);
	if (found)
		return 0;
	error_set(err, ERR_NOT_FOUND, "udev knows no label of device %u:%u", major(st.st_dev), minor(st.st_dev));
	return error_hint(err, "name it with --label");
}

int agent_allows_media(const char *policy, const char *dir, const char *label, struct error *err)
{
	char found[ALLOW_LABEL_MAX] = "";
	struct allow a;
	int fd, r;

	if (allow_read(&a, policy, err) < 0)
		return -1;
	/* The label is asked for only where one would do. */
	if (!a.media_apply || label != NULL)
		return allow_media(&a, label != NULL ? label : "", policy, err);
	if ((fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	r = media_label(fd, UDEV_DATABASE, found, err);
	file_close(&fd);
	if (r == 0)
		return allow_media(&a, found, policy, err);
	err->kind = ERR_REFUSED;
	return -1;
}
