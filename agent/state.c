/* The supervisor's memory across restarts. */
#include "agent/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "sys/file.h"
#include "sys/rng.h"

static const char *const version_1[] = {
	/*
	 * assignment is the control plane's number, or below 0; rows of ended ones stay, so that none is applied twice.
	 */
	"CREATE TABLE updates ("
	" assignment INTEGER PRIMARY KEY, path TEXT NOT NULL, state INTEGER NOT NULL,"
	" since_s INTEGER NOT NULL, reason TEXT NOT NULL, length INTEGER, sha256 BLOB, url TEXT, descriptor TEXT"
	") STRICT;"
	"CREATE TABLE installed ("
	" artifact TEXT PRIMARY KEY, version TEXT NOT NULL, previous TEXT NOT NULL, release INTEGER NOT NULL,"
	" previous_release INTEGER NOT NULL, mark INTEGER NOT NULL, since_s INTEGER NOT NULL,"
	" older TEXT NOT NULL, older_release INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE reports ("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT, assignment INTEGER NOT NULL, path TEXT NOT NULL,"
	" state INTEGER NOT NULL, reason TEXT NOT NULL, at_s INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
	NULL,
};

static const char *const *const migrations[] = {version_1};

static const struct db_schema schema = {
	.what = "agent state",
	.damaged_hint = "move agent/state.db away and enrol the device again by name",
	.application_id = 0x6d736167,	/* "msag" */
	.migrations = migrations,
	.version = ARRAY_SIZE(migrations),
	.wal_pages = 64,	/* 256 KiB: on a full disk there must be little to ask for */
};

struct db *state_open(const char *home, struct error *err)
{
	char path[4096];

	path_join(path, home, "state.db");
	return db_open(path, DB_CREATE, &schema, err);
}

/* ---- states ---- */

static const struct {
	const char *name;
	int64_t limit_s;	/* 0: final */
} states[UPDATE_STATES] = {
	[UPDATE_NONE] = {"none", 0},
	[UPDATE_DOWNLOADING] = {"downloading", 86400},
	[UPDATE_VERIFYING] = {"verifying", 4 * 3600},
	[UPDATE_APPLYING] = {"applying", 3600},
	[UPDATE_PROBING] = {"probing", 2 * 86400},	/* the probes' own limits end it far earlier */
	[UPDATE_HEALTHY] = {"healthy", 0},
	[UPDATE_ROLLED_BACK] = {"rolled_back", 0},
	[UPDATE_FAILED] = {"failed", 0},
};

const char *update_state_name(enum update_state s)
{
	return (unsigned)s < UPDATE_STATES ? states[s].name : "none";
}

bool update_state_final(enum update_state s)
{
	return s == UPDATE_HEALTHY || s == UPDATE_ROLLED_BACK || s == UPDATE_FAILED;
}

int64_t update_state_limit_s(enum update_state s)
{
	return states[s].limit_s;
}

/* The arrows of the picture in the header. */
static bool step_is_drawn(enum update_state from, enum update_state to)
{
	if (to == UPDATE_ROLLED_BACK)
		return from != UPDATE_ROLLED_BACK && from != UPDATE_FAILED;
	switch (from) {
	case UPDATE_NONE:
		return to == UPDATE_DOWNLOADING;
	case UPDATE_DOWNLOADING:
		return to == UPDATE_VERIFYING || to == UPDATE_FAILED;
	case UPDATE_VERIFYING:
		return to == UPDATE_APPLYING || to == UPDATE_DOWNLOADING || to == UPDATE_FAILED;
	case UPDATE_APPLYING:
		return to == UPDATE_PROBING || to == UPDATE_FAILED;
	case UPDATE_PROBING:
		return to == UPDATE_HEALTHY;
	case UPDATE_HEALTHY:
	case UPDATE_ROLLED_BACK:
	case UPDATE_FAILED:
	case UPDATE_STATES:
		break;
	}
	return false;
}

void update_init(struct update *u)
{
	*u = (struct update){.descriptor = BUF_INIT(UPDATE_DESCRIPTOR_MAX)};
}

void update_release(struct update *u)
{
	buf_release(&u->descriptor);
	update_init(u);
}

int update_set_path(struct update *u, struct slice path, struct error *err)
{
	const char *slash;

	if (target_path_check(path, err) < 0)
		return -1;
	snprintf(u->path, sizeof(u->path), "%.*s", SLICE_ARG(path));
	slash = strrchr(u->path, '/');
	snprintf(u->artifact, sizeof(u->artifact), "%.*s", (int)(slash - u->path), u->path);
	snprintf(u->version, sizeof(u->version), "%s", slash + 1);
	return 0;
}

/* ---- updates ---- */

static int read_update(struct query *q, struct update *u, struct error *err)
{
	struct slice hash;

	if (update_set_path(u, query_col_slice(q, 1), err) < 0)
		return error_wrap(err, "agent state");
	u->assignment = query_col_int(q, 0);
	u->state = (enum update_state)query_col_int(q, 2);
	u->since_s = query_col_int(q, 3);
	query_col_str(q, 4, u->reason, sizeof(u->reason));
	hash = query_col_slice(q, 6);
	u->signed_known = hash.len == SHA256_LEN;
	if (!u->signed_known)
		return 1;
	u->length = (uint64_t)query_col_int(q, 5);
	memcpy(u->sha256, hash.ptr, SHA256_LEN);
	query_col_str(q, 7, u->url, sizeof(u->url));
	buf_put_slice(&u->descriptor, query_col_slice(q, 8));
	return 1;
}

int state_load_update(struct db *db, struct update *u, struct error *err)
{
	struct query q = query_open(db, "SELECT assignment, path, state, since_s, reason, length, sha256, url,"
					" descriptor FROM updates WHERE state BETWEEN 1 AND 4"
					" ORDER BY assignment DESC LIMIT 1");
	int r;

	update_release(u);
	r = query_next(&q, err);
	if (r > 0)
		r = read_update(&q, u, err);
	query_close(&q);
	return r < 0 ? -1 : 0;
}

int state_of(struct db *db, int64_t assignment, struct error *err)
{
	struct query q = query_open(db, "SELECT state FROM updates WHERE assignment = ?1");
	int r;

	query_int(&q, 1, assignment);
	r = query_next(&q, err);
	if (r > 0)
		r = (int)query_col_int(&q, 0);
	query_close(&q);
	return r;
}

int state_local_number(struct db *db, int64_t *assignment, struct error *err)
{
	int64_t lowest = 0;

	if (db_get_int(db, "SELECT coalesce(min(assignment), 0) FROM updates", &lowest, err) < 0)
		return -1;
	*assignment = (lowest < 0 ? lowest : 0) - 1;
	return 0;
}

int state_payload_over(struct db *db, const uint8_t sha256[static SHA256_LEN], struct error *err)
{
	struct query q = query_open(db, "SELECT min(state) FROM updates WHERE sha256 = ?1 GROUP BY sha256");
	int r;

	query_blob(&q, 1, slice_of(sha256, SHA256_LEN));
	r = query_next(&q, err);
	if (r > 0)
		r = update_state_final((enum update_state)query_col_int(&q, 0));
	query_close(&q);
	return r;
}

static int put_update(struct db *db, const struct update *u, enum update_state next, const char *reason, int64_t now_s,
		      struct error *err)
{
	struct query q = query_open(db, "INSERT INTO updates (assignment, path, state, since_s, reason)"
					" VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (assignment) DO UPDATE SET"
					" state = ?3, since_s = ?4, reason = ?5");

	query_int(&q, 1, u->assignment);
	query_str(&q, 2, u->path);
	query_int(&q, 3, (int64_t)next);
	query_int(&q, 4, now_s);
	query_str(&q, 5, reason);
	return query_run(&q, err);
}

static int put_report(struct db *db, const struct update *u, enum update_state next, const char *reason, int64_t now_s,
		      struct error *err)
{
	struct query q = query_open(db, "INSERT INTO reports (assignment, path, state, reason, at_s)"
					" VALUES (?1, ?2, ?3, ?4, ?5)");

	query_int(&q, 1, u->assignment);
	query_str(&q, 2, u->path);
	query_int(&q, 3, (int64_t)next);
	query_str(&q, 4, reason);
	query_int(&q, 5, now_s);
	return query_run(&q, err);
}

/* Reports that wait, or -1. */
static int64_t waiting_reports(struct db *db, struct error *err)
{
	struct query q = query_open(db, "SELECT count(*) FROM reports");
	int64_t n = query_next(&q, err) > 0 ? query_col_int(&q, 0) : -1;

	query_close(&q);
	return n;
}

#define INSTALLED_COLUMNS "artifact, version, previous, release, previous_release, mark, since_s, older, older_release"

static int put_installed(struct db *db, const struct installed *i, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO installed (" INSTALLED_COLUMNS ")"
					" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
					" ON CONFLICT (artifact) DO UPDATE SET version = ?2, previous = ?3, release = ?4,"
					" previous_release = ?5, mark = ?6, since_s = ?7, older = ?8, older_release = ?9");

	query_str(&q, 1, i->artifact);
	query_str(&q, 2, i->version);
	query_str(&q, 3, i->previous);
	query_int(&q, 4, i->release);
	query_int(&q, 5, i->previous_release);
	query_int(&q, 6, i->mark);
	query_int(&q, 7, i->since_s);
	query_str(&q, 8, i->older);
	query_int(&q, 9, i->older_release);
	return query_run(&q, err);
}

int state_enter(struct db *db, struct update *u, enum update_state next, const struct installed *installed,
		const char *reason, int64_t now_s, struct error *err)
{
	assert(step_is_drawn(u->state, next));
	if (db_begin(db, err) < 0)
		return -1;
	if (put_update(db, u, next, reason, now_s, err) < 0 || put_report(db, u, next, reason, now_s, err) < 0 ||
	    (installed != NULL && put_installed(db, installed, err) < 0) || db_commit(db, err) < 0) {
		db_rollback(db);
		return -1;
	}
	u->state = next;
	u->since_s = now_s;
	snprintf(u->reason, sizeof(u->reason), "%s", reason);
	return 0;
}

int state_say(struct db *db, struct update *u, const char *reason, int64_t now_s, struct error *err)
{
	int64_t waiting;

	assert(u->assignment != 0 && !update_state_final(u->state));
	if (db_begin(db, err) < 0)
		return -1;
	if ((waiting = waiting_reports(db, err)) < 0 ||
	    put_update(db, u, u->state, reason, u->since_s, err) < 0 ||
	    (waiting < REPORTS_WAITING_MAX && put_report(db, u, u->state, reason, now_s, err) < 0) ||
	    db_commit(db, err) < 0) {
		db_rollback(db);
		return -1;
	}
	snprintf(u->reason, sizeof(u->reason), "%s", reason);
	return 0;
}

int state_keep_signed(struct db *db, const struct update *u, struct error *err)
{
	struct query q = query_open(db, "UPDATE updates SET length = ?2, sha256 = ?3, url = ?4, descriptor = ?5"
					" WHERE assignment = ?1");

	query_int(&q, 1, u->assignment);
	query_int(&q, 2, (int64_t)u->length);
	query_blob(&q, 3, slice_of(u->sha256, SHA256_LEN));
	query_str(&q, 4, u->url);
	query_text(&q, 5, buf_slice(&u->descriptor));
	return query_run(&q, err);
}

/* ---- installed ---- */

static void read_installed(struct query *q, struct installed *out)
{
	query_col_str(q, 0, out->artifact, sizeof(out->artifact));
	query_col_str(q, 1, out->version, sizeof(out->version));
	query_col_str(q, 2, out->previous, sizeof(out->previous));
	out->release = query_col_int(q, 3);
	out->previous_release = query_col_int(q, 4);
	out->mark = query_col_int(q, 5);
	out->since_s = query_col_int(q, 6);
	query_col_str(q, 7, out->older, sizeof(out->older));
	out->older_release = query_col_int(q, 8);
}

int state_installed(struct db *db, const char *artifact, struct installed *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " INSTALLED_COLUMNS " FROM installed WHERE artifact = ?1");
	int r;

	*out = (struct installed){.mark = 0};
	snprintf(out->artifact, sizeof(out->artifact), "%s", artifact);
	query_str(&q, 1, artifact);
	r = query_next(&q, err);
	if (r > 0)
		read_installed(&q, out);
	query_close(&q);
	return r < 0 ? -1 : 0;
}

int state_each_installed(struct db *db, int (*each)(void *arg, const struct installed *i, struct error *err), void *arg,
			 struct error *err)
{
	struct query q = query_open(db, "SELECT " INSTALLED_COLUMNS " FROM installed ORDER BY artifact");
	int r;

	while ((r = query_next(&q, err)) > 0) {
		struct installed i;

		read_installed(&q, &i);
		if ((r = each(arg, &i, err)) < 0)
			break;
	}
	query_close(&q);
	return r;
}

void installed_try(struct installed *i, const char *version, int64_t release, int64_t now_s)
{
	memcpy(i->older, i->previous, sizeof(i->older));
	i->older_release = i->previous_release;
	memcpy(i->previous, i->version, sizeof(i->previous));
	i->previous_release = i->release;
	snprintf(i->version, sizeof(i->version), "%s", version);
	i->release = release;
	i->since_s = now_s;
}

/* Forget older; previous takes its place when the same version was put in once more. */
void installed_confirm(struct installed *i)
{
	if (strcmp(i->previous, i->version) == 0) {
		memcpy(i->previous, i->older, sizeof(i->previous));
		i->previous_release = i->older_release;
	}
	i->older[0] = '\0';
	i->older_release = 0;
}

void installed_back(struct installed *i, int64_t now_s)
{
	memcpy(i->version, i->previous, sizeof(i->version));
	i->release = i->previous_release;
	memcpy(i->previous, i->older, sizeof(i->previous));
	i->previous_release = i->older_release;
	i->older[0] = '\0';
	i->older_release = 0;
	i->since_s = now_s;
}

/* ---- reports ---- */

int state_next_report(struct db *db, struct report *out, struct error *err)
{
	struct query q = query_open(db, "SELECT seq, assignment, path, state, reason, at_s FROM reports"
					" ORDER BY seq LIMIT 1");
	int r = query_next(&q, err);

	if (r > 0) {
		out->seq = query_col_int(&q, 0);
		out->assignment = query_col_int(&q, 1);
		query_col_str(&q, 2, out->path, sizeof(out->path));
		out->state = (enum update_state)query_col_int(&q, 3);
		query_col_str(&q, 4, out->reason, sizeof(out->reason));
		out->at_s = query_col_int(&q, 5);
	}
	query_close(&q);
	return r;
}

int state_report_done(struct db *db, int64_t seq, struct error *err)
{
	struct query q = query_open(db, "DELETE FROM reports WHERE seq = ?1");

	query_int(&q, 1, seq);
	return query_run(&q, err);
}

/* ---- facts ---- */

int state_set_fact(struct db *db, const char *key, struct slice value, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO facts (key, value) VALUES (?1, ?2)"
					" ON CONFLICT (key) DO UPDATE SET value = ?2");

	query_str(&q, 1, key);
	query_text(&q, 2, value);
	return query_run(&q, err);
}

int state_get_fact(struct db *db, const char *key, struct buf *value, struct error *err)
{
	struct query q = query_open(db, "SELECT value FROM facts WHERE key = ?1");
	int r;

	query_str(&q, 1, key);
	r = query_next(&q, err);
	if (r > 0)
		buf_put_slice(value, query_col_slice(&q, 0));
	query_close(&q);
	return r;
}

int state_set_number(struct db *db, const char *key, int64_t value, struct error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return state_set_fact(db, key, slice_str(text), err);
}

int state_get_number(struct db *db, const char *key, int64_t *value, struct error *err)
{
	struct buf text = BUF_INIT(24);
	int r = state_get_fact(db, key, &text, err);

	*value = r > 0 && !text.failed ? strtoll(buf_cstr(&text), NULL, 10) : 0;
	buf_release(&text);
	return r < 0 ? -1 : 0;
}

int state_set_metadata(struct db *db, struct slice json, struct error *err)
{
	return state_set_fact(db, "metadata", json, err);
}

int state_get_metadata(struct db *db, struct buf *json, struct error *err)
{
	int r = state_get_fact(db, "metadata", json, err);

	if (r == 0)
		buf_put_str(json, "{}");
	return r < 0 ? -1 : 0;
}

int state_note_stay(struct db *db, const struct update *u, int64_t stay_s, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO facts (key, value) VALUES ('stay-' || ?2,"
					" json_object('assignment', ?1, 'stay_s', ?3))"
					" ON CONFLICT (key) DO UPDATE SET value = excluded.value");

	query_int(&q, 1, u->assignment);
	query_str(&q, 2, update_state_name(u->state));
	query_int(&q, 3, stay_s);
	return query_run(&q, err);
}

int state_stay(struct db *db, const struct update *u, int64_t *stay_s, struct error *err)
{
	struct query q = query_open(db, "SELECT value ->> 'stay_s' FROM facts WHERE key = 'stay-' || ?2"
					" AND value ->> 'assignment' = ?1");
	int r;

	query_int(&q, 1, u->assignment);
	query_str(&q, 2, update_state_name(u->state));
	r = query_next(&q, err);
	*stay_s = r > 0 ? query_col_int(&q, 0) : 0;
	query_close(&q);
	return r < 0 ? -1 : 0;
}

int state_instance(struct db *db, char out[static INSTANCE_LEN], struct error *err)
{
	struct query q = query_open(db, "INSERT INTO facts (key, value) VALUES ('instance', ?1)"
					" ON CONFLICT (key) DO UPDATE SET value = value RETURNING value");
	uint8_t fresh[8];
	char text[INSTANCE_LEN];
	int r;

	rng_bytes(fresh, sizeof(fresh));
	hex_encode(text, fresh, sizeof(fresh));
	query_str(&q, 1, text);
	r = query_need(&q, "instance", err);
	if (r == 0)
		query_col_str(&q, 0, out, INSTANCE_LEN);
	query_close(&q);
	return r;
}
