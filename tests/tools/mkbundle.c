/*
 * Bundles as no repository would make them.
 *
 *	mkbundle REPO KEY-FILE KIND SITE ORIGIN CREATED VALID-UNTIL OUT [VOLUME-BYTES]
 *
 * All of HOME/repo (REPO) as a bundle of this KIND (device or site), signed by the key in KEY-FILE, whoever that is; times
 * are seconds of Unix. A small repository: at most 64 members, no hash bins.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/bundle_fixture.h"
#include "base/name.h"
#include "crypto/keyfile.h"
#include "sys/file.h"

#define FILE_MAX (64u << 20)

static NORETURN void give_up(const char *what)
{
	fprintf(stderr, "mkbundle: %s\n", what);
	exit(1);
}

static void add_file(struct fixture *f, const char *path, const char *name)
{
	struct buf bytes = BUF_INIT(FILE_MAX);
	struct error err = ERROR_INIT;

	if (f->count == FIXTURE_MEMBERS_MAX || file_read(AT_FDCWD, path, &bytes, &err) < 0)
		give_up(f->count == FIXTURE_MEMBERS_MAX ? "too many members" : err.text);
	fixture_add(f, name, buf_slice(&bytes));
	buf_release(&bytes);
}

/* Each name in a directory. */
static void each(const char *dir, void (*call)(struct fixture *f, const char *dir, const char *name), struct fixture *f)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, NULL, alphasort), i;

	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			call(f, dir, list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

/* The newest version of a role whose files stand in dir; 0: none. */
static long newest(const char *dir, const char *role)
{
	char path[4096 + 128];
	long last = 0, v;
	struct dirent *e;
	DIR *d = opendir(dir);
	char *rest;

	while (d != NULL && (e = readdir(d)) != NULL) {
		v = strtol(e->d_name, &rest, 10);
		snprintf(path, sizeof(path), ".%s.json", role);
		if (strcmp(rest, path) == 0 && v > last)
			last = v;
	}
	if (d != NULL)
		closedir(d);
	return last;
}

static void add_metadata(struct fixture *f, const char *dir, const char *file)
{
	char path[4096], name[TAR_NAME_MAX + 1];

	path_join(path, dir, file);
	snprintf(name, sizeof(name), "metadata/%.80s", file);
	add_file(f, path, name);
}

static void add_version(struct fixture *f, const char *dir, const char *role, long version)
{
	char file[96];

	if (version == 0)
		return;
	snprintf(file, sizeof(file), "%ld.%.63s.json", version, role);
	add_metadata(f, dir, file);
}

/* Of a publisher's files the newest, once. */
static void add_publisher(struct fixture *f, const char *dir, const char *file)
{
	static const char *const top[] = {"root", "snapshot", "targets"};
	char role[64], *rest;
	long v = strtol(file, &rest, 10);
	size_t i;

	if (v == 0 || *rest != '.' || strlen(rest) < 7 || strlen(rest) > 60)
		return;
	snprintf(role, sizeof(role), "%.*s", (int)strlen(rest) - 6, rest + 1);
	for (i = 0; i < 3; i++)
		if (strcmp(role, top[i]) == 0)
			return;
	if (v == newest(dir, role))
		add_version(f, dir, role, v);
}

static void add_artifact(struct fixture *f, const char *dir, const char *file)
{
	char path[4096];
	unsigned i;

	add_file(f, path_join(path, dir, file), NULL);
	for (i = 0; i + 1 < f->count; i++)	/* the same bytes by another name */
		if (strcmp(f->members[i].member.name, f->members[f->count - 1].member.name) == 0) {
			free(f->members[--f->count].content);
			break;
		}
}

static void add_name(struct fixture *f, const char *dir, const char *name)
{
	char path[4096];

	each(path_join(path, dir, name), add_artifact, f);
}

static void add_namespace(struct fixture *f, const char *dir, const char *name)
{
	char path[4096];

	each(path_join(path, dir, name), add_name, f);
}

static void gather(struct fixture *f, const char *repo)
{
	char dir[4096], targets[4096];
	long root;

	path_join(dir, repo, "metadata");
	f->m.versions.root = newest(dir, "root");
	f->m.versions.targets = newest(dir, "targets");
	for (root = 1; root <= f->m.versions.root; root++)
		add_version(f, dir, "root", root);
	if (f->m.kind == BUNDLE_DEVICE) {
		f->m.versions.snapshot = newest(dir, "snapshot");
		f->m.versions.timestamp = f->m.versions.snapshot;
		add_metadata(f, dir, "timestamp.json");
		add_version(f, dir, "snapshot", f->m.versions.snapshot);
	}
	add_version(f, dir, "targets", f->m.versions.targets);
	each(dir, add_publisher, f);
	each(path_join(targets, repo, "targets"), add_namespace, f);
}

static void put(const char *path, struct slice bytes)
{
	struct error err = ERROR_INIT;

	if (file_replace(AT_FDCWD, path, 0644, bytes, &err) < 0)
		give_up(err.text);
}

static void write_volumes(const struct fixture *f, uint64_t room, const char *out)
{
	static struct fixture_volume volumes[32];
	unsigned n = fixture_volumes(f, room, volumes, 32), i;
	char path[4096 + 8];

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s.%03u", out, i + 1);
		put(path, buf_slice(&volumes[i].text));
		buf_release(&volumes[i].text);
	}
}

int main(int argc, char **argv)
{
	static struct fixture f;
	struct buf tar = BUF_INIT(SIZE_MAX / 2);
	struct error err = ERROR_INIT;
	struct seckey *key;

	if (argc < 9 || argc > 10)
		give_up("usage: mkbundle REPO KEY-FILE KIND SITE ORIGIN CREATED VALID-UNTIL OUT [VOLUME-BYTES]");
	fixture_init(&f, strcmp(argv[3], "site") == 0 ? BUNDLE_SITE : BUNDLE_DEVICE);
	snprintf(f.m.site, sizeof(f.m.site), "%s", argv[4]);
	snprintf(f.m.origin, sizeof(f.m.origin), "%s", argv[5]);
	f.m.created_s = strtoll(argv[6], NULL, 10);
	f.m.valid_until_s = strtoll(argv[7], NULL, 10);
	gather(&f, argv[1]);
	if (crypto_start(&err) < 0 || (key = keyfile_open(AT_FDCWD, argv[2], SLICE_EMPTY, &err)) == NULL)
		give_up(err.text);
	f.key = key;
	if (fixture_manifest(&f, &err) < 0)
		give_up(err.text);
	if (argc == 10) {
		write_volumes(&f, strtoull(argv[9], NULL, 10), argv[8]);
	} else {
		fixture_tar(&f, &tar);
		put(argv[8], buf_slice(&tar));
	}
	buf_release(&tar);
	seckey_free(key);
	fixture_release(&f);
	return 0;
}
