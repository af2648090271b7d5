/*
 * The tables of the control plane, as migrations that only go forward. Every table is STRICT. Times are
 * seconds since the epoch, UTC; hashes and fingerprints are lower-case hex; JSON columns hold text that our
 * own writers made. Rows of `audit` and `transitions` are never changed: triggers here and the connection's
 * authorizer (db.h) refuse it.
 */
#include "store/schema.h"

#include "base/compiler.h"

static const char devices_sql[] =
	/* state: enrolled (has a certificate, never spoke), active, revoked, decommissioned. */
	"CREATE TABLE devices ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL UNIQUE,"
	" state TEXT NOT NULL CHECK (state IN ('enrolled','active','revoked','decommissioned')),"
	" profile TEXT NOT NULL DEFAULT '{}',"	/* hardware, as the device registered it */
	" report TEXT NOT NULL DEFAULT '{}',"	/* what it last said it runs and trusts */
	" created_s INTEGER NOT NULL,"
	" registered_s INTEGER,"		/* the newest registration */
	" last_seen_s INTEGER"
	") STRICT;"
	"CREATE TABLE device_tags ("
	" device_id INTEGER NOT NULL REFERENCES devices(id),"
	" tag TEXT NOT NULL,"
	" PRIMARY KEY (device_id, tag)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX device_tags_tag ON device_tags(tag, device_id);"
	/* What a device must do besides its desired state. A wipe names the certificate it is meant for. */
	"CREATE TABLE orders ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" device_id INTEGER NOT NULL REFERENCES devices(id),"
	" kind TEXT NOT NULL CHECK (kind IN ('wipe','renew')),"
	" fingerprint TEXT NOT NULL,"
	" created_s INTEGER NOT NULL,"
	" done_s INTEGER"
	") STRICT;"
	"CREATE INDEX orders_device ON orders(device_id) WHERE done_s IS NULL;";

static const char identity_sql[] =
	/* kind: device, operator, server. subject: the device's or server's name. */
	"CREATE TABLE certificates ("
	" fingerprint TEXT PRIMARY KEY,"	/* SHA-256 of the DER */
	" kind TEXT NOT NULL CHECK (kind IN ('device','server','operator')),"
	" subject TEXT NOT NULL,"
	" device_id INTEGER REFERENCES devices(id),"
	" serial TEXT NOT NULL,"
	" key_hash TEXT NOT NULL,"		/* SHA-256 of the public point: the same key asking again */
	" token_id TEXT,"			/* the token it was enrolled with; NULL for renewals */
	" not_before_s INTEGER NOT NULL,"
	" not_after_s INTEGER NOT NULL,"
	" issued_s INTEGER NOT NULL,"
	" superseded_s INTEGER,"		/* from then on the renewed one stands in its place */
	" revoked_s INTEGER,"
	" revoke_reason TEXT,"
	" der BLOB NOT NULL"
	") STRICT;"
	"CREATE INDEX certificates_device ON certificates(device_id);"
	"CREATE INDEX certificates_token ON certificates(token_id, key_hash) WHERE token_id IS NOT NULL;"
	/*
	 * secret_hash: SHA-256 of the token's secret part. device: the one name it may take; name_prefix: of
	 * the names it gives; tags: given to each device it enrols, joined by commas.
	 */
	"CREATE TABLE tokens ("
	" id TEXT PRIMARY KEY,"
	" secret_hash TEXT NOT NULL UNIQUE,"
	" device TEXT,"
	" name_prefix TEXT,"
	" tags TEXT NOT NULL DEFAULT '',"
	" note TEXT NOT NULL DEFAULT '',"
	" uses_max INTEGER NOT NULL CHECK (uses_max >= 1),"
	" uses_left INTEGER NOT NULL CHECK (uses_left BETWEEN 0 AND uses_max),"
	" created_by TEXT NOT NULL,"
	" created_s INTEGER NOT NULL,"
	" expires_s INTEGER NOT NULL,"
	" revoked_s INTEGER"
	") STRICT;"
	/* token_id is the public half of the operator's token, secret_hash the SHA-256 of the other. */
	"CREATE TABLE operators ("
	" name TEXT PRIMARY KEY,"
	" role TEXT NOT NULL CHECK (role IN ('viewer','operator','approver','admin')),"
	" token_id TEXT NOT NULL UNIQUE,"
	" secret_hash TEXT NOT NULL UNIQUE,"
	" created_by TEXT NOT NULL,"
	" created_s INTEGER NOT NULL,"
	" expires_s INTEGER,"
	" revoked_s INTEGER"
	") STRICT;";

static const char rollouts_sql[] =
	/* wave: index of the last opened wave, -1 before the first. artifact_name: <namespace>/<name>. */
	"CREATE TABLE rollouts ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" artifact TEXT NOT NULL,"
	" artifact_name TEXT NOT NULL,"
	" kind TEXT NOT NULL,"
	" selector TEXT NOT NULL,"
	" strategy TEXT NOT NULL,"
	" state TEXT NOT NULL CHECK (state IN ('running','paused','halted','completed','aborted')),"
	" wave INTEGER NOT NULL DEFAULT -1,"
	" reason TEXT NOT NULL,"
	" created_by TEXT NOT NULL,"
	" created_s INTEGER NOT NULL,"
	" updated_s INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX rollouts_name ON rollouts(artifact_name, id);"
	"CREATE TABLE waves ("
	" rollout_id INTEGER NOT NULL REFERENCES rollouts(id),"
	" wave INTEGER NOT NULL,"		/* from 0 */
	" percent INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 100),"
	" approval TEXT NOT NULL CHECK (approval IN ('auto','manual')),"
	" state TEXT NOT NULL CHECK (state IN ('planned','waiting','open','complete')),"
	" approved_by TEXT,"
	" opened_s INTEGER,"
	" completed_s INTEGER,"
	" PRIMARY KEY (rollout_id, wave)"
	") STRICT, WITHOUT ROWID;"
	/*
	 * One device's part in one rollout. current: this row is what the device shall have of artifact_name;
	 * at most one row per device and name is. previous_id: what was current when this row became it, and
	 * becomes it again when this one fails. acknowledged: seen by the operator who resumed.
	 */
	"CREATE TABLE assignments ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" rollout_id INTEGER NOT NULL REFERENCES rollouts(id),"
	" device_id INTEGER NOT NULL REFERENCES devices(id),"
	" artifact TEXT NOT NULL,"
	" artifact_name TEXT NOT NULL,"
	" kind TEXT NOT NULL,"
	" position INTEGER NOT NULL,"
	" wave INTEGER NOT NULL,"
	" action TEXT NOT NULL DEFAULT 'install' CHECK (action IN ('install','revert')),"
	" state TEXT NOT NULL CHECK (state IN ('planned','assigned','downloading','verifying','applying',"
	"  'probing','healthy','rolled_back','failed','cancelled','superseded')),"
	" current INTEGER NOT NULL DEFAULT 0 CHECK (current IN (0, 1)),"
	" acknowledged INTEGER NOT NULL DEFAULT 0 CHECK (acknowledged IN (0, 1)),"
	" previous_id INTEGER REFERENCES assignments(id),"
	" reason TEXT NOT NULL DEFAULT '',"
	" assigned_s INTEGER,"
	" updated_s INTEGER NOT NULL,"
	" settled_s INTEGER,"
	" UNIQUE (rollout_id, device_id)"
	") STRICT;"
	"CREATE UNIQUE INDEX assignments_current ON assignments(device_id, artifact_name) WHERE current = 1;"
	"CREATE INDEX assignments_rollout ON assignments(rollout_id, settled_s);"
	"CREATE INDEX assignments_device ON assignments(device_id, artifact_name, rollout_id);"
	"CREATE INDEX assignments_planned ON assignments(device_id, artifact_name) WHERE state = 'planned';"
	/* How many rows are in each state, kept by the triggers: a rollout is judged at every report. */
	"CREATE TABLE assignment_counts ("
	" rollout_id INTEGER NOT NULL,"
	" wave INTEGER NOT NULL,"
	" state TEXT NOT NULL,"
	" acknowledged INTEGER NOT NULL,"
	" n INTEGER NOT NULL,"
	" PRIMARY KEY (rollout_id, wave, state, acknowledged)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TRIGGER assignments_count_new AFTER INSERT ON assignments BEGIN"
	" INSERT INTO assignment_counts VALUES (NEW.rollout_id, NEW.wave, NEW.state, NEW.acknowledged, 1)"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	" END;"
	"CREATE TRIGGER assignments_count_change AFTER UPDATE OF wave, state, acknowledged ON assignments"
	" WHEN OLD.wave <> NEW.wave OR OLD.state <> NEW.state OR OLD.acknowledged <> NEW.acknowledged BEGIN"
	" UPDATE assignment_counts SET n = n - 1 WHERE rollout_id = OLD.rollout_id AND wave = OLD.wave"
	"  AND state = OLD.state AND acknowledged = OLD.acknowledged;"
	" INSERT INTO assignment_counts VALUES (NEW.rollout_id, NEW.wave, NEW.state, NEW.acknowledged, 1)"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	" END;"
	/*
	 * What devices reported. instance: random, made with the agent's state, so that a device that lost its
	 * state starts new numbers instead of repeating old ones. assignment_id 0: of none.
	 */
	"CREATE TABLE transitions ("
	" device_id INTEGER NOT NULL REFERENCES devices(id),"
	" instance TEXT NOT NULL,"
	" assignment_id INTEGER NOT NULL,"
	" seq INTEGER NOT NULL,"
	" artifact TEXT NOT NULL,"
	" state TEXT NOT NULL,"
	" reason TEXT NOT NULL,"
	" device_s INTEGER NOT NULL,"		/* by the device's clock */
	" received_s INTEGER NOT NULL,"
	" PRIMARY KEY (device_id, instance, assignment_id, seq)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX transitions_assignment ON transitions(assignment_id);"
	"CREATE TRIGGER transitions_no_update BEFORE UPDATE ON transitions BEGIN"
	" SELECT RAISE(ABORT, 'transitions are append-only'); END;"
	"CREATE TRIGGER transitions_no_delete BEFORE DELETE ON transitions BEGIN"
	" SELECT RAISE(ABORT, 'transitions are append-only'); END;";

static const char audit_sql[] =
	"CREATE TABLE audit ("
	" seq INTEGER PRIMARY KEY,"
	" time_s INTEGER NOT NULL,"
	" actor TEXT NOT NULL,"
	" action TEXT NOT NULL,"
	" object TEXT NOT NULL,"
	" verdict TEXT NOT NULL CHECK (verdict IN ('ok','refused','failed','noted')),"
	" detail TEXT NOT NULL,"		/* canonical JSON object */
	" prev TEXT NOT NULL CHECK (length(prev) = 64),"
	" hash TEXT NOT NULL CHECK (length(hash) = 64)"
	") STRICT;"
	"CREATE INDEX audit_object ON audit(object, seq);"
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN"
	" SELECT RAISE(ABORT, 'the audit trail is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN"
	" SELECT RAISE(ABORT, 'the audit trail is append-only'); END;"
	"CREATE TRIGGER audit_in_order BEFORE INSERT ON audit"
	" WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM audit) BEGIN"
	" SELECT RAISE(ABORT, 'the audit trail is append-only'); END;";

static const char meta_sql[] =
	"CREATE TABLE meta ("
	" key TEXT PRIMARY KEY,"
	" value TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;";

static const char bundles_sql[] =
	/*
	 * A site to which bundles go (for devices: the own one). sequence: the last number given out, perhaps to an export
	 * that came to nothing. receipt_seq and receipt_hash: the head of the site's audit trail, which only grows.
	 */
	"CREATE TABLE bundle_sites ("
	" site TEXT PRIMARY KEY,"
	" sequence INTEGER NOT NULL CHECK (sequence >= 0),"
	" bundle TEXT CHECK (length(bundle) = 64),"	/* exported last: SHA-256 of its manifest */
	" bundle_sequence INTEGER,"
	" bundle_s INTEGER,"
	" receipt TEXT CHECK (length(receipt) = 64),"	/* accepted last: SHA-256 of receipt.json */
	" receipt_bundle TEXT,"				/* the bundle that the site had imported last then */
	" receipt_seq INTEGER,"
	" receipt_hash TEXT,"
	" receipt_root INTEGER,"			/* version of the site's root then */
	" receipt_created_s INTEGER,"			/* by the site's clock */
	" receipt_s INTEGER"
	") STRICT, WITHOUT ROWID;";

/* Migration i is a list of parts, ended by NULL; a released list never changes. */
static const char *const version_1[] = {meta_sql, devices_sql, identity_sql, rollouts_sql, audit_sql, NULL};
static const char *const version_2[] = {bundles_sql, NULL};
static const char *const *const migrations[] = {version_1, version_2};
static const char *const append_only[] = {"audit", "transitions", NULL};

const struct db_schema control_schema = {
	.what = "control database",
	.damaged_hint = "stop serve, keep the file for inspection, and restore the newest backup with "
			"'meshanics backup restore'",
	.application_id = 0x6d736363,	/* "mscc" */
	.migrations = migrations,
	.version = ARRAY_SIZE(migrations),
	.append_only = append_only,
};

int meta_get(struct db *db, const char *key, struct buf *out, struct error *err)
{
	struct query q = query_open(db, "SELECT value FROM meta WHERE key = ?1");
	int r;

	query_str(&q, 1, key);
	r = query_next(&q, err);
	if (r > 0)
		buf_put_slice(out, query_col_slice(&q, 0));
	query_close(&q);
	if (r > 0 && out->failed)
		return error_set(err, ERR_LIMIT, "meta '%s' is larger than %zu bytes", key, out->max);
	return r;
}

int meta_set(struct db *db, const char *key, struct slice value, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO meta (key, value) VALUES (?1, ?2)"
					" ON CONFLICT (key) DO UPDATE SET value = excluded.value");

	query_str(&q, 1, key);
	query_text(&q, 2, value);
	return query_run(&q, err);
}

int meta_delete(struct db *db, const char *key, struct error *err)
{
	struct query q = query_open(db, "DELETE FROM meta WHERE key = ?1");

	query_str(&q, 1, key);
	return query_run(&q, err);
}
