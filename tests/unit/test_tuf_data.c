/* The files in tests/data/tuf, made by other programs: those named good-* are accepted and verify, all others are refused. */
#include "tap.h"

#include <dirent.h>

#include "tufkit.h"

static struct tuf_root *good_root;

/* Parse and verify as the folder's type with the one key of the good root. */
static int judge(enum tuf_type type, struct slice text, struct error *err)
{
	struct tuf_root *root = type == TUF_ROOT ? tuf_root_parse(text, err) : NULL;
	struct tuf_timestamp *timestamp = type == TUF_TIMESTAMP ? tuf_timestamp_parse(text, err) : NULL;
	struct tuf_snapshot *snapshot = type == TUF_SNAPSHOT ? tuf_snapshot_parse(text, err) : NULL;
	struct tuf_targets *targets = type == TUF_TARGETS ? tuf_targets_parse(text, err) : NULL;
	const struct tuf_head *head = root != NULL ? &root->head : timestamp != NULL ? &timestamp->head :
		snapshot != NULL ? &snapshot->head : targets != NULL ? &targets->head : NULL;
	int r = head == NULL ? -1 :
		tuf_verify_role(&good_root->roles[type], head, NULL, tuf_type_name(type), "5", err);

	tuf_root_free(root);
	tuf_timestamp_free(timestamp);
	tuf_snapshot_free(snapshot);
	tuf_targets_free(targets);
	return r;
}

static unsigned judge_all(enum tuf_type type)
{
	char dir[64], path[400];
	struct dirent *entry;
	unsigned count = 0;
	DIR *d;

	snprintf(dir, sizeof(dir), "tests/data/tuf/%s", tuf_type_name(type));
	REQUIRE((d = opendir(dir)) != NULL);
	while ((entry = readdir(d)) != NULL) {
		struct buf text = BUF_INIT(KIT_TEXT_MAX);
		struct error err = ERROR_INIT;
		int want, r;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		REQUIRE(file_read(AT_FDCWD, path, &text, &err) == 0);
		want = strncmp(entry->d_name, "good", 4) == 0 ? 0 : -1;
		r = judge(type, buf_slice(&text), &err);
		if (r != want || (r < 0 && error_exit_status(err.kind) != 3)) {
			printf("# %s: %s\n", path, r == 0 ? "accepted" : err.text);
			tap_failures++;
		}
		buf_release(&text);
		count++;
	}
	closedir(d);
	return count;
}

TEST(files_of_other_programs_are_judged_rightly)
{
	struct buf text = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	REQUIRE(file_read(AT_FDCWD, "tests/data/tuf/root/good.json", &text, &err) == 0);
	REQUIRE((good_root = tuf_root_parse(buf_slice(&text), &err)) != NULL);
	CHECK(judge_all(TUF_ROOT) > 30);
	CHECK(judge_all(TUF_TIMESTAMP) > 5);
	CHECK(judge_all(TUF_SNAPSHOT) > 3);
	CHECK(judge_all(TUF_TARGETS) > 15);
	tuf_root_free(good_root);
	buf_release(&text);
}
