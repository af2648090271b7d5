/* Verified facts in SQLite. Every failure here costs the next update some milliseconds, and nothing else. */
#include "tuf/facts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "db/db.h"
#include "sys/file.h"

#define FACTS_NAME "facts"
#define FILES_LEN_MAX 512 /* of the text that tells the files apart */

static const char *const schema_1[] = {
	"CREATE TABLE facts (id INTEGER PRIMARY KEY CHECK (id = 1), files TEXT NOT NULL, anchor BLOB NOT NULL,"
	" timestamp BLOB NOT NULL, consistent INTEGER NOT NULL,"
	" root_version INTEGER NOT NULL, root_expires_s INTEGER NOT NULL,"
	" timestamp_version INTEGER NOT NULL, timestamp_expires_s INTEGER NOT NULL,"
	" snapshot_version INTEGER NOT NULL, snapshot_expires_s INTEGER NOT NULL,"
	" targets_version INTEGER NOT NULL, targets_expires_s INTEGER NOT NULL) STRICT",
	"CREATE TABLE found (path BLOB PRIMARY KEY, role TEXT NOT NULL, length INTEGER NOT NULL, sha256 BLOB,"
	" sha512 BLOB, custom BLOB NOT NULL, expires_s INTEGER NOT NULL) STRICT, WITHOUT ROWID",
	NULL,
};
static const char *const *const migrations[] = {schema_1};
static const struct db_schema facts_schema = {
	.what = "verified facts",
	.damaged_hint = "it is a cache: remove it",
	.application_id = 0x6d736674, /* "msft": meshanics facts of trust */
	.migrations = migrations,
	.version = 1,
	.cache_kib = 256,
	.rollback_journal = true,
};

struct facts {
	const struct trusted *store;
	struct db *db;
	bool valid;		/* the row is there and fits the files */
	struct buf custom;	/* of the last facts_recall */
	char path[TUF_PATH_MAX + 1];
};

/* ---- opening ---- */

struct facts *facts_open(const struct trusted *store, const char *dir, struct error *err)
{
	struct facts *f = xcalloc(1, sizeof(*f));
	char path[4096];

	f->store = store;
	f->custom = BUF_INIT(FACTS_CUSTOM_MAX);
	path_join(path, dir, FACTS_NAME);
	if ((f->db = db_open(path, DB_CREATE, &facts_schema, err)) == NULL) {
		if (err->kind == ERR_RETRY || file_unlink(store->dirfd, FACTS_NAME, err) < 0 ||
		    file_unlink(store->dirfd, FACTS_NAME "-journal", err) < 0 ||
		    (f->db = db_open(path, DB_CREATE, &facts_schema, err)) == NULL) {
			facts_close(f);
			return NULL;
		}
	}
	return f;
}

void facts_close(struct facts *f)
{
	struct error ignored = ERROR_INIT;

	if (f == NULL)
		return;
	if (f->db != NULL && db_in_transaction(f->db) && db_commit(f->db, &ignored) < 0)
		db_rollback(f->db);
	db_close(f->db);
	buf_release(&f->custom);
	free(f);
}

/* ---- the files they were made of ---- */

/* Tells the four files apart from whatever else may come under their names; false when one is missing. */
static bool files_text(const struct facts *f, char out[static FILES_LEN_MAX])
{
	struct buf b = BUF_INIT(FILES_LEN_MAX - 1), name = BUF_INIT(64);
	struct stat st;
	unsigned type;

	for (type = 0; type < TUF_TYPES; type++) {
		buf_clear(&name);
		trusted_filename(&name, tuf_type_name((enum tuf_type)type));
		if (fstatat(f->store->dirfd, buf_cstr(&name), &st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		buf_printf(&b, "%ju %jd %jd.%09ld %jd.%09ld\n", (uintmax_t)st.st_ino, (intmax_t)st.st_size,
			   (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
			   st.st_ctim.tv_nsec);
	}
	snprintf(out, FILES_LEN_MAX, "%s", buf_cstr(&b));
	buf_release(&b);
	buf_release(&name);
	return type == TUF_TYPES;
}

/* ---- reading ---- */

static bool blob_into(struct query *q, int col, uint8_t *out, size_t len)
{
	struct slice s = query_col_slice(q, col);

	if (s.len != len)
		return false;
	memcpy(out, s.ptr, len);
	return true;
}

static bool read_row(struct query *q, const char *files, struct tuf_facts *out)
{
	/* In the order of the columns. */
	static const enum tuf_type types[] = {TUF_ROOT, TUF_TIMESTAMP, TUF_SNAPSHOT, TUF_TARGETS};
	unsigned i;

	if (!slice_equal_str(query_col_slice(q, 0), files) || !blob_into(q, 1, out->anchor, SHA256_LEN) ||
	    !blob_into(q, 2, out->timestamp, SHA256_LEN))
		return false;
	out->consistent_snapshot = query_col_int(q, 3) != 0;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		out->roles[types[i]].version = query_col_int(q, 4 + 2 * (int)i);
		out->roles[types[i]].expires_s = query_col_int(q, 5 + 2 * (int)i);
	}
	return true;
}

bool facts_read(struct facts *f, struct tuf_facts *out)
{
	struct error ignored = ERROR_INIT;
	char files[FILES_LEN_MAX];
	struct query q;

	*out = (struct tuf_facts){.consistent_snapshot = false};
	f->valid = false;
	if (!files_text(f, files))
		return false;
	q = query_open(f->db, "SELECT files, anchor, timestamp, consistent, root_version, root_expires_s,"
			      " timestamp_version, timestamp_expires_s, snapshot_version, snapshot_expires_s,"
			      " targets_version, targets_expires_s FROM facts");
	if (query_next(&q, &ignored) > 0)
		f->valid = read_row(&q, files, out);
	query_close(&q);
	return f->valid;
}

static bool read_found(struct facts *f, struct query *q, struct slice path, struct tuf_found *out)
{
	struct tuf_hashes *h = &out->target.hashes;
	int64_t length = query_col_int(q, 1);

	*out = (struct tuf_found){.expires_s = query_col_int(q, 5)};
	query_col_str(q, 0, out->target.role, sizeof(out->target.role));
	h->has_sha256 = blob_into(q, 2, h->sha256, SHA256_LEN);
	h->has_sha512 = blob_into(q, 3, h->sha512, SHA512_LEN);
	buf_clear(&f->custom);
	buf_put_slice(&f->custom, query_col_slice(q, 4));
	memcpy(f->path, path.ptr, path.len);
	out->target.path = slice_of(f->path, path.len);
	out->target.length = (uint64_t)length;
	out->target.custom = buf_slice(&f->custom);
	return length >= 0 && !f->custom.failed && (h->has_sha256 || h->has_sha512);
}

bool facts_recall(struct facts *f, struct slice path, struct tuf_found *out)
{
	struct error ignored = ERROR_INIT;
	bool known = false;
	struct query q;

	if (!f->valid || path.len == 0 || path.len > TUF_PATH_MAX)
		return false;
	q = query_open(f->db, "SELECT role, length, sha256, sha512, custom, expires_s FROM found WHERE path = ?1");
	query_blob(&q, 1, path);
	if (query_next(&q, &ignored) > 0)
		known = read_found(f, &q, path, out);
	query_close(&q);
	return known;
}

/* ---- keeping ---- */

/* The one transaction of this process begins with the first thing to keep. */
static int begin(struct facts *f, struct error *err)
{
	return db_in_transaction(f->db) ? 0 : db_begin(f->db, err);
}

static int write_facts(struct facts *f, const struct tuf_facts *facts, const char *files, struct error *err)
{
	static const enum tuf_type types[] = {TUF_ROOT, TUF_TIMESTAMP, TUF_SNAPSHOT, TUF_TARGETS};
	struct query q;
	unsigned i;

	if (begin(f, err) < 0 || db_exec(f->db, "DELETE FROM found; DELETE FROM facts", err) < 0)
		return -1;
	q = query_open(f->db, "INSERT INTO facts VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
	query_str(&q, 1, files);
	query_blob(&q, 2, slice_of(facts->anchor, SHA256_LEN));
	query_blob(&q, 3, slice_of(facts->timestamp, SHA256_LEN));
	query_int(&q, 4, facts->consistent_snapshot);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		query_int(&q, 5 + 2 * (int)i, facts->roles[types[i]].version);
		query_int(&q, 6 + 2 * (int)i, facts->roles[types[i]].expires_s);
	}
	return query_run(&q, err);
}

static bool same(const struct tuf_facts *a, const struct tuf_facts *b)
{
	return memcmp(a->anchor, b->anchor, sizeof(a->anchor)) == 0 &&
	       memcmp(a->timestamp, b->timestamp, sizeof(a->timestamp)) == 0 &&
	       a->consistent_snapshot == b->consistent_snapshot &&
	       memcmp(a->roles, b->roles, sizeof(a->roles)) == 0;
}

void facts_keep(struct facts *f, const struct tuf_client *c)
{
	struct error ignored = ERROR_INIT;
	struct tuf_facts facts, held;
	char files[FILES_LEN_MAX];

	if (!tuf_client_facts(c, &facts) || !files_text(f, files))
		return;
	if (facts_read(f, &held) && same(&held, &facts))
		return;
	f->valid = write_facts(f, &facts, files, &ignored) == 0;
	if (!f->valid)
		db_rollback(f->db);
}

static int write_found(struct facts *f, const struct tuf_found *found, struct error *err)
{
	const struct tuf_result *t = &found->target;
	int64_t count;
	struct query q;

	if (begin(f, err) < 0 || db_get_int(f->db, "SELECT count(*) FROM found", &count, err) < 0 ||
	    (count >= FACTS_FOUND_MAX && db_exec(f->db, "DELETE FROM found", err) < 0))
		return -1;
	q = query_open(f->db, "INSERT OR REPLACE INTO found VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
	query_blob(&q, 1, t->path);
	query_str(&q, 2, t->role);
	query_int(&q, 3, (int64_t)t->length);
	if (t->hashes.has_sha256)
		query_blob(&q, 4, slice_of(t->hashes.sha256, SHA256_LEN));
	else
		query_null(&q, 4);
	if (t->hashes.has_sha512)
		query_blob(&q, 5, slice_of(t->hashes.sha512, SHA512_LEN));
	else
		query_null(&q, 5);
	query_blob(&q, 6, t->custom);
	query_int(&q, 7, found->expires_s);
	return query_run(&q, err);
}

void facts_keep_found(struct facts *f, const struct tuf_client *c)
{
	struct error ignored = ERROR_INIT;
	struct tuf_found found;

	if (!f->valid || !tuf_client_found(c, &found) || found.target.custom.len > FACTS_CUSTOM_MAX)
		return;
	if (write_found(f, &found, &ignored) < 0)
		db_rollback(f->db);
}
