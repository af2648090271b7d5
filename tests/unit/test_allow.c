/* Device policy: what it allows, what is wrong in it, and what udev says of a medium. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/allow.h"
#include "sys/file.h"

static char dir[] = "/tmp/meshanics-allow-XXXXXX";
static char path[64];

static void begin(void)
{
	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/allow.yaml", dir);
}

static void end(void)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, dir, &err), 0);
	snprintf(dir, sizeof(dir), "/tmp/meshanics-allow-XXXXXX");
}

static void write_policy(const char *text)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_replace(AT_FDCWD, path, 0644, slice_str(text), &err), 0);
}

/* Read, and asked about the label. */
static int allows(const char *text, const char *label, struct error *err)
{
	struct allow a;

	*err = ERROR_INIT;
	write_policy(text);
	return allow_read(&a, path, err) < 0 ? -1 : allow_media(&a, label, path, err);
}

TEST(only_what_is_written_is_allowed)
{
	static const char *const denied[] = {
		"", "# nothing\n", "media:\n  apply: false\n  labels: [A]\n", "media:\n  apply: true\n",
		"media:\n  labels: [A]\n", "media:\n  apply: true\n  labels: [B, a, AA]\n", "media:\n  apply: true\n  labels: []\n",
	};
	struct error err;
	struct allow a;
	size_t i;

	begin();
	err = ERROR_INIT;
	CHECK_INT(allow_read(&a, path, &err), 0);	/* no file */
	CHECK_INT(allow_media(&a, "A", path, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	for (i = 0; i < ARRAY_SIZE(denied); i++) {
		CHECK_INT(allows(denied[i], "A", &err), -1);
		CHECK_INT(err.kind, ERR_REFUSED);
	}
	CHECK_INT(allows("media:\n  apply: true\n  labels: [B, A]\n", "A", &err), 0);
	CHECK_INT(allows("media:\n  labels: A\n  apply: true\n", "A", &err), 0);
	CHECK_INT(allows("media:\n  labels: A\n  apply: true\n", "", &err), -1);
	end();
}

TEST(what_is_wrong_in_it_denies_and_is_named)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{"media:\n  aply: true\n", ":2:3: unknown key 'media.aply'"},
		{"medai:\n  apply: true\n", ":1:1: unknown key 'medai"},
		{"media:\n  apply: yes\n", ":2:10: 'media.apply' is 'yes'"},
		{"media:\n  apply: true\n  apply: false\n", ":3:3"},
		{"media:\n  labels: ['A/B']\n", ":2:11: 'A/B' is no label"},
		{"media:\n  labels: ['']\n", ":2:11: '' is no label"},
		{"media: [\n", "allow.yaml:"},
	};
	struct error err;
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK_INT(allows(wrong[i].text, "A", &err), -1);
		CHECK_INT(err.kind, ERR_USAGE);
		if (strstr(err.text, wrong[i].says) == NULL)
			CHECK_STR(err.text, wrong[i].says);
	}
	end();
}

TEST(a_policy_that_others_can_write_is_none)
{
	static const mode_t modes[] = {0664, 0646, 0666};
	struct error err = ERROR_INIT;
	struct allow a;
	size_t i;

	begin();
	write_policy("media:\n  apply: true\n  labels: [A]\n");
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		CHECK_INT(chmod(path, modes[i]), 0);
		CHECK_INT(allow_read(&a, path, &err), -1);
		CHECK_INT(err.kind, ERR_REFUSED);
	}
	CHECK_INT(chmod(path, 0644), 0);
	CHECK_INT(allow_read(&a, path, &err), 0);
	CHECK(a.media_apply && a.label_count == 1);
	end();
}

/* What udev would have of the device that `fd` is on. */
static int label_of(int fd, const char *entry, char out[static ALLOW_LABEL_MAX], struct error *err)
{
	char name[128];
	struct stat st;

	REQUIRE(fstat(fd, &st) == 0);
	snprintf(name, sizeof(name), "%s/b%u:%u", dir, major(st.st_dev), minor(st.st_dev));
	CHECK_INT(file_replace(AT_FDCWD, name, 0644, slice_str(entry), err), 0);
	return media_label(fd, dir, out, err);
}

TEST(a_label_is_what_udev_has_found)
{
	static const char *const none[] = {
		"", "E:ID_FS_LABEL=\n", "S:disk/by-label/A\nE:ID_FS_LABEL_ENC=A\n", "E:ID_FS_LABEL=A B\n", "XE:ID_FS_LABEL=A\n",
		"E:ID_FS_LABEL=0123456789012345678901234567890123456789012345678901234567890123\n",
	};
	char label[ALLOW_LABEL_MAX];
	struct error err = ERROR_INIT;
	size_t i;
	int fd;

	begin();
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK_INT(media_label(fd, dir, label, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_INT(label_of(fd, "I:1\nE:ID_FS_TYPE=vfat\nE:ID_FS_LABEL=MESHANICS\nE:ID_FS_USAGE=filesystem\n", label, &err), 0);
	CHECK_STR(label, "MESHANICS");
	for (i = 0; i < ARRAY_SIZE(none); i++)
		CHECK_INT(label_of(fd, none[i], label, &err), -1);
	close(fd);
	end();
}
