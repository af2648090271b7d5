/* Exports across changes of root: what a client sees when the keys of targets change, at every step of the way. */
#include "tap.h"

#include "base/encode.h"
#include "repo_fixture.h"
#include "sys/fault.h"
#include "tuf/engine_drive.h"
#include "tuf/repo_export.h"

/* ---- a file system that lacks something: these stand in for the C library's ---- */

static int link_errno, exchange_errno;	/* 0: it works */

int linkat(int from_dirfd, const char *from, int to_dirfd, const char *to, int flags)
{
	if (link_errno != 0) {
		errno = link_errno;
		return -1;
	}
	return (int)syscall(SYS_linkat, from_dirfd, from, to_dirfd, to, flags);
}

int renameat2(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	if (exchange_errno != 0 && (flags & RENAME_EXCHANGE)) {
		errno = exchange_errno;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
}

/* ---- the next root and targets, as a ceremony would make them ---- */

/* Replace the one occurrence of `old` in a file's signed part and sign it again. */
static void resign(struct buf *file, const char *old, const char *new, const struct seckey *const *keys, unsigned count)
{
	struct buf body = BUF_INIT(FIX_FILE_MAX), next = BUF_INIT(FIX_FILE_MAX);
	struct tuf_signer signers[4];
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	const char *text, *at;
	unsigned i;

	MUST(json_parse(&doc, buf_slice(file), JSON_STRICT, &err));
	buf_put_slice(&body, json_raw(json_get(json_root(&doc), "signed")));
	text = buf_cstr(&body);
	at = strstr(text, old);
	REQUIRE(at != NULL && strstr(at + 1, old) == NULL);
	for (i = 0; i < count; i++)
		tuf_signer_init(&signers[i], keys[i]);
	json_release(&doc);
	buf_clear(file);
	buf_put(&next, text, (size_t)(at - text));
	buf_put_str(&next, new);
	buf_put_str(&next, at + strlen(old));
	MUST(tuf_sign_envelope(file, buf_slice(&next), signers, count, &err));
	buf_release(&next);
	buf_release(&body);
}

static void raise_version(struct buf *file, int version, const struct seckey *const *keys, unsigned count)
{
	char old[32], new[32];

	snprintf(old, sizeof(old), "\"version\": %d,", version - 1);
	snprintf(new, sizeof(new), "\"version\": %d,", version);
	resign(file, old, new, keys, count);
}

/* The next root, under the same root keys. */
static void next_root(struct fixture *f, int version)
{
	const struct seckey *keys[] = {f->root[0], f->root[2]};

	raise_version(&f->root_file, version, keys, 2);
}

/* Root without the key that has signed targets so far, and the next targets, signed by the other. */
static void rotate_targets(struct fixture *f, int version)
{
	const struct seckey *root_keys[] = {f->root[0], f->root[2]}, *targets_keys[] = {f->targets[0]};
	char id[KEY_FINGERPRINT_LEN], one[KEY_FINGERPRINT_LEN], old[400], new[400];

	key_id(one, seckey_public(f->targets[0]));
	key_id(id, seckey_public(f->targets[1]));
	snprintf(new, sizeof(new), "[\n          \"%s\"\n        ]", one);
	snprintf(old, sizeof(old), "[\n          \"%s\",\n          \"%s\"\n        ]", one, id);
	if (strstr(buf_cstr(&f->root_file), old) == NULL)
		snprintf(old, sizeof(old), "[\n          \"%s\",\n          \"%s\"\n        ]", id, one);
	resign(&f->root_file, old, new, root_keys, 2);
	next_root(f, version);
	raise_version(&f->targets_file, 2, targets_keys, 1);
}

static void adopt(struct fixture *f, struct repo *r, int64_t now_s)
{
	struct error err = ERROR_INIT;

	MUST(fix_adopt(f, r, now_s, &err));
}

/* ---- clients ---- */

static int tree_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/metadata/%.64s", (const char *)arg, w->path);
	return file_read(AT_FDCWD, path, out, err);
}

/* The timestamp that a client which knows the first root ends with; 0 and err when it fails. */
static int64_t client_sees(const char *dir, struct slice anchor, struct error *err)
{
	const struct tuf_options o = {.mode = TUF_MODE_CLIENT, .clock_s = FIX_NOW + 100};
	const struct tuf_source source = {tree_get, (void *)(uintptr_t)dir};
	struct tuf_client *c = tuf_client_new(anchor, &o, err);
	int64_t version = 0;

	if (c != NULL && tuf_drive(c, NULL, &source, err) == 0 &&
	    tuf_client_lookup(c, SLICE_LIT("plant/plc/1"), err) == 0 && tuf_drive(c, NULL, &source, err) == 0)
		version = tuf_client_timestamp(c)->head.version;
	tuf_client_free(c);
	return version;
}

struct scene {
	struct fixture f;
	struct repo *r;
	struct buf anchor;
	char base[128];
};

static void scene_start(struct scene *s)
{
	struct error err = ERROR_INIT;

	s->r = fix_repo(&s->f);
	s->anchor = BUF_INIT(FIX_FILE_MAX);
	buf_put_slice(&s->anchor, buf_slice(&s->f.root_file));
	snprintf(s->base, sizeof(s->base), "%s/export", s->f.home);
	MUST(fix_publish(&s->f, s->r, "plant/plc/1", "one", 1, FIX_NOW + 1, &err));
}

static void scene_end(struct scene *s)
{
	buf_release(&s->anchor);
	repo_free(s->r);
	fix_end(&s->f);
}

static const char *scene_dir(const struct scene *s, unsigned n, char out[static 160])
{
	snprintf(out, 160, "%s%u", s->base, n);
	return out;
}

static int export_to(const struct scene *s, const char *dir, struct repo_export *out, struct error *err)
{
	*out = (struct repo_export){.now_s = FIX_NOW + 50};
	return repo_export(s->f.home, dir, out, err);
}

/* ---- what is exported ---- */

struct order {
	char paths[32][128];
	unsigned count;
};

static int note_order(void *arg, const struct repo_export_file *file, struct error *err)
{
	struct order *o = arg;

	(void)err;
	REQUIRE(o->count < ARRAY_SIZE(o->paths));
	snprintf(o->paths[o->count++], sizeof(o->paths[0]), "%s", file->path);
	return 0;
}

TEST(new_roots_appear_newest_first_and_timestamp_last)
{
	struct repo_export e = {.now_s = FIX_NOW + 50, .file = note_order};
	struct order o = {.count = 0};
	struct error err = ERROR_INIT;
	struct scene s;
	char dir[160];

	scene_start(&s);
	next_root(&s.f, 2);
	adopt(&s.f, s.r, FIX_NOW + 2);
	next_root(&s.f, 3);
	adopt(&s.f, s.r, FIX_NOW + 3);
	e.arg = &o;
	MUST(repo_export(s.f.home, scene_dir(&s, 0, dir), &e, &err));
	CHECK_INT(o.count, 8);
	CHECK(strncmp(o.paths[0], "targets/plant/plc/", 18) == 0);
	CHECK(strstr(o.paths[1], ".releases.json") != NULL);
	CHECK_STR(o.paths[2], "metadata/1.targets.json");
	CHECK(strstr(o.paths[3], ".snapshot.json") != NULL);
	CHECK_STR(o.paths[4], "metadata/3.root.json");
	CHECK_STR(o.paths[5], "metadata/2.root.json");
	CHECK_STR(o.paths[6], "metadata/1.root.json");
	CHECK_STR(o.paths[7], "metadata/timestamp.json");
	CHECK_INT(client_sees(dir, buf_slice(&s.anchor), &err), e.timestamp_version);
	CHECK_INT(e.root_version, 3);
	scene_end(&s);
}

TEST(what_targets_itself_lists_is_exported)
{
	const struct seckey *keys[1];
	struct repo_export e = {.now_s = FIX_NOW + 50, .file = note_order};
	char dir[160], path[300], hex[SHA256_HEX_LEN], entry[300];
	struct order o = {.count = 0};
	struct error err = ERROR_INIT;
	uint8_t hash[SHA256_LEN];
	struct scene s;

	scene_start(&s);
	sha256_of(SLICE_LIT("top"), hash);
	hex_encode(hex, hash, sizeof(hash));
	snprintf(path, sizeof(path), "%s/repo/targets/other/top", s.f.home);
	MUST(file_mkdirs(AT_FDCWD, path, 0755, &err));
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s.1", hex);
	MUST(file_replace(AT_FDCWD, path, 0644, SLICE_LIT("top"), &err));
	snprintf(entry, sizeof(entry), "\"targets\": {\"other/top/1\": {\"hashes\": {\"sha256\": \"%s\"}, \"length\": 3}}", hex);
	keys[0] = s.f.targets[0];
	resign(&s.f.targets_file, "\"targets\": {}", entry, keys, 1);
	raise_version(&s.f.targets_file, 2, keys, 1);
	adopt(&s.f, s.r, FIX_NOW + 2);
	e.arg = &o;
	MUST(repo_export(s.f.home, scene_dir(&s, 0, dir), &e, &err));
	CHECK_INT(o.count, 7);
	CHECK(strncmp(o.paths[1], "targets/other/top/", 18) == 0);
	snprintf(path, sizeof(path), "%s/targets/other/top/%s.1", dir, hex);
	CHECK(file_exists(AT_FDCWD, path));
	/* Only where its bytes are right. */
	MUST(file_replace(AT_FDCWD, path, 0644, SLICE_LIT("t0p"), &err));
	snprintf(path, sizeof(path), "%s/repo/targets/other/top/%s.1", s.f.home, hex);
	MUST(file_replace(AT_FDCWD, path, 0644, SLICE_LIT("t0p"), &err));
	REFUSED(export_to(&s, scene_dir(&s, 1, dir), &e, &err), ERR_REFUSED, "SHA-256");
	scene_end(&s);
}

TEST(a_broken_chain_of_roots_is_refused)
{
	struct error err = ERROR_INIT;
	struct repo_export e;
	struct scene s;
	char dir[160], path[160];

	scene_start(&s);
	next_root(&s.f, 2);
	adopt(&s.f, s.r, FIX_NOW + 2);
	next_root(&s.f, 3);
	adopt(&s.f, s.r, FIX_NOW + 3);
	snprintf(path, sizeof(path), "%s/repo/metadata/2.root.json", s.f.home);
	MUST(file_replace(AT_FDCWD, path, 0644, buf_slice(&s.anchor), &err));
	REFUSED(export_to(&s, scene_dir(&s, 0, dir), &e, &err), ERR_REFUSED, "2.root.json");
	CHECK(!file_exists(AT_FDCWD, dir));
	MUST(file_unlink(AT_FDCWD, path, &err));
	REFUSED(export_to(&s, dir, &e, &err), ERR_REFUSED, "2.root.json");
	scene_end(&s);
}

TEST(the_time_is_the_callers)
{
	struct repo_export e = {.now_s = FIX_NOW + 2 * FIX_DAY};
	struct error err = ERROR_INIT;
	struct scene s;
	char dir[160];

	scene_start(&s);
	REFUSED(repo_export(s.f.home, scene_dir(&s, 0, dir), &e, &err), ERR_REFUSED, "expired");
	CHECK(strstr(err.hint, "repo refresh") != NULL);
	CHECK(!file_exists(AT_FDCWD, dir));
	scene_end(&s);
}

TEST(where_nothing_can_be_exchanged_root_goes_first)
{
	static const int lacks[][2] = {{EPERM, 0}, {EMLINK, 0}, {EOPNOTSUPP, 0}, {0, EINVAL}, {0, ENOSYS}};
	struct error err = ERROR_INIT;
	struct repo_export e;
	char dir[160], second[200];
	struct scene s;
	unsigned i;

	scene_start(&s);
	for (i = 0; i < ARRAY_SIZE(lacks); i++)
		MUST(export_to(&s, scene_dir(&s, i, dir), &e, &err));
	MUST(export_to(&s, scene_dir(&s, i, dir), &e, &err));
	rotate_targets(&s.f, 2);
	adopt(&s.f, s.r, FIX_NOW + 10);
	for (i = 0; i < ARRAY_SIZE(lacks); i++) {
		link_errno = lacks[i][0];
		exchange_errno = lacks[i][1];
		MUST(export_to(&s, scene_dir(&s, i, dir), &e, &err));
		CHECK(e.two_steps);
		snprintf(second, sizeof(second), "%s/.metadata.new", dir);
		CHECK(!file_exists(AT_FDCWD, second));
		CHECK_INT(e.written, 4);	/* root, targets, snapshot, timestamp */
		CHECK_INT(client_sees(dir, buf_slice(&s.anchor), &err), e.timestamp_version);
		MUST(export_to(&s, dir, &e, &err));
		CHECK(!e.two_steps);
	}
	/* A disk that fails is another matter. */
	link_errno = 0;
	exchange_errno = EIO;
	REFUSED(export_to(&s, scene_dir(&s, i, dir), &e, &err), ERR_FAILED, "exchange");
	scene_end(&s);
}

/* ---- at every step of the way ---- */

#ifdef MESHANICS_TEST

#define WALK_MAX 160

/*
 * One export with the n-th call gone wrong, in a child since a power cut ends it. Returns whether it went through:
 * then there are fewer calls than n, or one of several ways to copy has failed.
 */
static bool export_with_fault(const struct scene *s, const char *dir, unsigned n, enum fault_mode mode)
{
	struct error err = ERROR_INIT;
	struct repo_export e;
	int status;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		fault_arm(n, mode);
		_exit(export_to(s, dir, &e, &err) == 0 ? 0 : 1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) <= 1 || WEXITSTATUS(status) == FAULT_CUT_STATUS);
	return WEXITSTATUS(status) == 0;
}

/* Trees with the old state, one for each turn; then the new state, whose export is stopped at call 1, 2, 3... */
static void walk(enum fault_mode mode, void (*change)(struct fixture *f))
{
	unsigned n, calm = 0, old = 0, new = 0;
	struct error err = ERROR_INIT;
	int64_t was, is, seen;
	struct repo_export e;
	struct scene s;
	char dir[160];

	scene_start(&s);
	was = repo_timestamp(s.r)->head.version;
	for (n = 1; n < WALK_MAX; n++)
		MUST(export_to(&s, scene_dir(&s, n, dir), &e, &err));
	change(&s.f);
	adopt(&s.f, s.r, FIX_NOW + 10);
	is = repo_timestamp(s.r)->head.version;
	for (n = 1; calm < 3; n++) {
		REQUIRE(n < WALK_MAX);
		calm = export_with_fault(&s, scene_dir(&s, n, dir), n, mode) ? calm + 1 : 0;
		seen = client_sees(dir, buf_slice(&s.anchor), &err);
		if (seen != was && seen != is)
			printf("# call %u: %s\n", n, err.text);
		CHECK(seen == was || seen == is);
		old += seen == was;
		new += seen == is;
		MUST(export_to(&s, dir, &e, &err));
		CHECK_INT(client_sees(dir, buf_slice(&s.anchor), &err), is);
		CHECK(!e.two_steps);
		snprintf(dir + strlen(dir), sizeof(dir) - strlen(dir), "/.metadata.new");
		CHECK(!file_exists(AT_FDCWD, dir));
	}
	printf("# %u calls: %u old, %u new\n", n - 1, old, new);
	CHECK(old > 10 && new >= 3);
	scene_end(&s);
}

static void change_targets_keys(struct fixture *f)
{
	rotate_targets(f, 2);
}

static void change_nothing_but_root(struct fixture *f)
{
	next_root(f, 2);
}

TEST(new_targets_keys_a_power_cut_at_every_call)
{
	walk(FAULT_CUT, change_targets_keys);
}

TEST(new_targets_keys_a_power_cut_that_loses_names_too)
{
	walk(FAULT_CUTDIR, change_targets_keys);
}

TEST(new_targets_keys_an_error_at_every_call)
{
	walk(FAULT_ERROR, change_targets_keys);
}

TEST(new_targets_keys_a_full_disk_at_every_call)
{
	walk(FAULT_FULL, change_targets_keys);
}

TEST(a_new_root_a_power_cut_at_every_call)
{
	walk(FAULT_CUT, change_nothing_but_root);
}

#endif
