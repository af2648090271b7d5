/* Backups: made, verified, restored; and every refusal. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "crypto/key.h"
#include "fleet/audit.h"
#include "fleet/backup.h"
#include "fleet/backup_internal.h"
#include "store/devices.h"
#include "store/schema.h"
#include "sys/file.h"

#define NOW 1795203000

static const struct sealed_cost cheap = {.passes = 1, .memory_kib = 8};
static char dir[] = "/tmp/test_backup.XXXXXX", home[64], other[64], file[64];
static struct error err;

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static void must(int r)
{
	if (r < 0)
		printf("# %s\n", err.text);
	REQUIRE(r >= 0);
}

static void put(const char *name, const char *text, mode_t mode)
{
	char path[4096], parent[4096];

	path_join(path, home, name);
	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	must(file_mkdirs(AT_FDCWD, parent, 0700, &err));
	must(file_replace(AT_FDCWD, path, mode, slice_str(text), &err));
}

static const char *get(const char *base, const char *name)
{
	static struct buf b;
	char path[4096];

	b.max = 1 << 20;
	buf_clear(&b);
	path_join(path, base, name);
	if (file_read(AT_FDCWD, path, &b, &err) < 0)
		return "(none)";
	return buf_cstr(&b);
}

/* A small control plane, with a target whose name no ustar field holds. */
#define LONG_TARGET \
	"repo/targets/plant/plc/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855." \
	"1.0.0-with-a-version-that-is-quite-long-indeed"

static void begin(void)
{
	struct audit_entry e = {.time_s = NOW, .actor = "local:0", .action = "test.made", .object = "", .verdict = "ok"};
	char path[4096];
	struct db *db;
	int64_t id;

	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	REQUIRE(crypto_start(&err) == 0);
	snprintf(home, sizeof(home), "%s/home", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	snprintf(file, sizeof(file), "%s/backup", dir);
	put("control/ca/device.key", "secret", 0600);
	put("control/ca/device.pem", "public", 0644);
	put("repo/metadata/timestamp.json", "{}", 0644);
	put("repo/metadata/1.root.json", "root", 0644);
	put("repo/metadata/2.root.json.tmp.00000000", "half", 0644);
	put("repo/staging/abc.part", "not this", 0600);
	put("repo/keys/snapshot.key", "key", 0600);
	put(LONG_TARGET, "payload", 0644);
	path_join(path, home, "control/meshanics.db");
	db = db_open(path, DB_CREATE, &control_schema, &err);
	REQUIRE(db != NULL);
	must(device_add(db, SLICE_LIT("press-1"), NOW, &id, &err));
	must(meta_set(db, META_SITE, SLICE_LIT("main"), &err));
	must(audit_append(db, &e, &err));
	db_close(db);
}

static int create(const char *passphrase, struct backup_info *info)
{
	int r, fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0);
	err = ERROR_INIT;
	r = backup_create(home, fd, slice_str(passphrase), cheap, NOW, NULL, info, &err);
	close(fd);
	return r;
}

static int verify(const char *passphrase, struct backup_info *info)
{
	int r, fd = open(file, O_RDONLY);

	REQUIRE(fd >= 0);
	err = ERROR_INIT;
	r = backup_verify(fd, slice_str(passphrase), NULL, info, &err);
	close(fd);
	return r;
}

static int restore(const char *to, const char *passphrase, struct backup_info *info)
{
	int r, fd = open(file, O_RDONLY);

	REQUIRE(fd >= 0);
	err = ERROR_INIT;
	if (mkdir(to, 0700) < 0 && !file_exists(AT_FDCWD, to))
		REQUIRE(false);
	r = backup_restore(to, fd, slice_str(passphrase), "local:0", NOW + 10, NULL, info, &err);
	close(fd);
	return r;
}

static int stands(const char *base, const char *name)
{
	char path[4096];

	return file_exists(AT_FDCWD, path_join(path, base, name));
}

TEST(what_was_backed_up_is_restored)
{
	struct audit_chain c = {.first = 0};
	struct backup_info info;
	struct stat st;
	char path[4096];
	struct db *db;
	bool moved;
	int64_t n;

	begin();
	must(create("passphrase", &info));
	CHECK_STR(info.site, "main");
	CHECK_INT(info.audit_seq, 1);
	CHECK_STR(info.audit_fault, "");
	CHECK(!stands(home, "control/.backup.db"));
	must(verify("passphrase", &info));
	CHECK_STR(info.site, "main");
	CHECK_INT(info.created_s, NOW);
	CHECK(info.bytes > 10000);
	must(restore(other, "passphrase", &info));
	CHECK_STR(get(other, "control/ca/device.key"), "secret");
	CHECK_STR(get(other, "repo/metadata/timestamp.json"), "{}");
	CHECK_STR(get(other, "repo/metadata/1.root.json"), "root");
	CHECK_STR(get(other, "repo/keys/snapshot.key"), "key");
	CHECK_STR(get(other, LONG_TARGET), "payload");
	CHECK(!stands(other, "repo/metadata/2.root.json.tmp.00000000"));
	CHECK(stands(other, "repo/staging") && !stands(other, "repo/staging/abc.part"));
	CHECK(!stands(other, "control/.restore"));
	path_join(path, other, "repo/keys/snapshot.key");
	REQUIRE(stat(path, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	path_join(path, other, "control/meshanics.db");
	db = db_open(path, DB_WRITE, &control_schema, &err);
	REQUIRE(db != NULL);
	must(audit_verify_db(db, &c, &err));
	CHECK_INT(c.last.seq, 2);
	must(db_get_int(db, "SELECT count(*) FROM audit WHERE action = 'backup.restore'", &n, &err));
	CHECK_INT(n, 1);
	/* Numbers go on far above those that were given out. */
	must(device_add(db, SLICE_LIT("press-2"), NOW, &n, &err));
	CHECK_INT(n, 1000002);
	must(db_get_int(db, "SELECT min(seq) FROM sqlite_sequence", &n, &err));
	CHECK_INT(n, 1000000);
	/* It does not sign yet. */
	CHECK_INT(restored_check(db, NULL, NOW + 20, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	/* Nor would it until 2040, had the clock been there; as it is not, it counts from now. */
	must(meta_set(db, META_RESTORED, SLICE_LIT("2208988800"), &err));
	must(restored_rebase(db, NOW + 20, &moved, &err));
	CHECK(moved);
	must(restored_rebase(db, NOW + 20, &moved, &err));
	CHECK(!moved);
	CHECK_INT(restored_check(db, NULL, NOW + 30, &err), -1);
	must(meta_delete(db, META_RESTORED, &err));
	must(restored_check(db, NULL, NOW + 20, &err));
	db_close(db);
}

TEST(a_backup_is_made_while_a_writer_works)
{
	struct backup_info info;
	char path[4096];
	struct db *db;
	int64_t id;

	begin();
	path_join(path, home, "control/meshanics.db");
	db = db_open(path, DB_WRITE, &control_schema, &err);
	REQUIRE(db != NULL && db_begin(db, &err) == 0);
	must(device_add(db, SLICE_LIT("not-yet"), NOW, &id, &err));
	must(create("passphrase", &info));
	must(db_commit(db, &err));
	db_close(db);
	must(restore(other, "passphrase", &info));
	path_join(path, other, "control/meshanics.db");
	db = db_open(path, DB_READ, &control_schema, &err);
	REQUIRE(db != NULL);
	must(db_get_int(db, "SELECT count(*) FROM devices", &id, &err));
	CHECK_INT(id, 1);
	db_close(db);
}

TEST(backups_are_refused_where_they_must_be)
{
	struct backup_info info;
	struct buf bytes = BUF_INIT(1 << 20);
	size_t at;

	begin();
	CHECK_INT(create("short", &info), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	must(create("passphrase", &info));
	CHECK_INT(verify("other passphrase", &info), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(restore(other, "other passphrase", &info), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(!stands(other, "control/.restore"));
	CHECK(!stands(other, "repo"));
	must(file_read(AT_FDCWD, file, &bytes, &err));
	for (at = 0; at < bytes.len; at += bytes.len / 23) {
		bytes.ptr[at] ^= 0x20;
		must(file_replace(AT_FDCWD, file, 0600, buf_slice(&bytes), &err));
		CHECK_INT(restore(other, "passphrase", &info), -1);
		CHECK(!stands(other, "control/meshanics.db") && !stands(other, "repo"));
		bytes.ptr[at] ^= 0x20;
		must(file_replace(AT_FDCWD, file, 0600, slice_sub(buf_slice(&bytes), 0, at), &err));
		CHECK_INT(verify("passphrase", &info), -1);
	}
	must(file_replace(AT_FDCWD, file, 0600, buf_slice(&bytes), &err));
	/* Never over something that is there. */
	CHECK_INT(restore(home, "passphrase", &info), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(strstr(err.text, "is not empty") != NULL);
	must(restore(other, "passphrase", &info));
	CHECK_INT(restore(other, "passphrase", &info), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	buf_release(&bytes);
}

TEST(there_must_be_a_control_plane)
{
	struct backup_info info;
	char cmd[128];

	begin();
	snprintf(cmd, sizeof(cmd), "rm -rf %s/control", home);
	REQUIRE(system(cmd) == 0);
	CHECK_INT(create("passphrase", &info), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
}

/* What somebody with the passphrase might put into one. */
static void forge(const char *const *names, const char *info_text)
{
	struct buf out = BUF_INIT(1 << 20), header = BUF_INIT(4096);
	struct tar_entry e = {.mode = 0600};
	uint8_t zeros[2 * TAR_BLOCK] = {0};
	struct sealer *s = sealer_new(SLICE_LIT("passphrase"), cheap, &out, &err);

	REQUIRE(s != NULL);
	if (info_text != NULL) {
		e.size = strlen(info_text);
		strcpy(e.name, "backup.json");
		must(tar_put(&header, &e, &err));
		buf_put_str(&header, info_text);
		buf_put(&header, zeros, tar_padding(e.size));
	}
	e.size = 0;
	for (; *names != NULL; names++) {
		strcpy(e.name, *names);
		must(tar_put(&header, &e, &err));
	}
	buf_put(&header, zeros, sizeof(zeros));
	sealer_put(s, buf_slice(&header), &out);
	sealer_end(s, &out);
	sealer_free(s);
	must(file_replace(AT_FDCWD, file, 0600, buf_slice(&out), &err));
	buf_release(&out);
	buf_release(&header);
}

#define GOOD_INFO                                                                                                \
	"{\"format\":\"meshanics-backup-1\",\"created\":\"2026-11-20T19:30:00Z\",\"site\":\"main\",\"version\":\"0\"," \
	"\"audit_seq\":0,\"audit_fault\":\"\"}"

TEST(forged_archives_are_refused)
{
	static const struct {
		const char *names[4], *info, *want;
	} cases[] = {
		{{"control/meshanics.db", NULL}, GOOD_INFO, ""},
		{{"control/meshanics.db", "control/lock", NULL}, GOOD_INFO, "has no place in a backup"},
		{{"control/meshanics.db", "agent/state.db", NULL}, GOOD_INFO, "has no place in a backup"},
		{{"control/meshanics.db", "control/meshanics.db", NULL}, GOOD_INFO, "twice"},
		{{"control/meshanics.db", "backup.json", NULL}, GOOD_INFO, "does not stand first"},
		{{"control/meshanics.db", NULL}, NULL, "does not stand first"},
		{{"repo/x", NULL}, GOOD_INFO, "no database"},
		{{"control/meshanics.db", NULL}, "{}", "backup.json"},
		{{"control/meshanics.db", NULL}, "{\"format\":\"meshanics-backup-2\",\"created\":\"2026-11-20T19:30:00Z\","
			"\"site\":\"main\",\"version\":\"0\",\"audit_seq\":0,\"audit_fault\":\"\"}", "meshanics-backup-2"},
		{{"repo", "control/meshanics.db", NULL}, GOOD_INFO, "not a directory"},
	};
	struct backup_info info;
	unsigned i;

	begin();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		forge(cases[i].names, cases[i].info);
		CHECK_INT(verify("passphrase", &info), cases[i].want[0] == '\0' ? 0 : -1);
		if (strstr(err.text, cases[i].want) == NULL)
			printf("# %u: %s\n", i, err.text);
		CHECK(strstr(err.text, cases[i].want) != NULL);
		CHECK_INT(restore(other, "passphrase", &info), -1);
		CHECK(!stands(other, "control/meshanics.db"));
	}
}
