/* What the online keys sign, with which versions, and which clock they believe. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"

#define TIMESTAMP_BUF (16u << 10)

/* ---- clock and versions ---- */

int repo_clock_check_build(int64_t now_s, struct error *err)
{
	char now[TIME_TEXT_LEN], build[TIME_TEXT_LEN];

	if (now_s >= MESHANICS_BUILD_TIME)
		return 0;
	error_set(err, ERR_RETRY, "the clock says %s, which is before this program was built (%s)",
		  time_text(now, now_s), time_text(build, MESHANICS_BUILD_TIME));
	return error_hint(err,
			  "set the clock; what is signed now would carry a wrong date for ever");
}

int repo_check_clock(const struct repo *r, int64_t now_s, struct error *err)
{
	char now[TIME_TEXT_LEN], last[TIME_TEXT_LEN], gap[32];
	int64_t signed_s, ahead = REPO_CLOCK_AHEAD_S;

	if (repo_clock_check_build(now_s, err) < 0)
		return -1;
	if (r->state.timestamp == NULL || (signed_s = r->state.timestamp->signed_at_s) < 0)
		return 0;
	if (2 * r->state.lives.timestamp_s > ahead)
		ahead = 2 * r->state.lives.timestamp_s;
	if (now_s >= signed_s - REPO_CLOCK_BACK_S && now_s <= signed_s + ahead)
		return 0;
	duration_text(gap, now_s < signed_s ? signed_s - now_s : now_s - signed_s);
	error_set(err, ERR_RETRY, "the clock says %s, which is %s %s the last signature (%s)",
		  time_text(now, now_s), gap, now_s < signed_s ? "before" : "after",
		  time_text(last, signed_s));
	return error_hint(
		err, "if the clock is right: meshanics repo refresh --accept-clock; else set it");
}

int repo_next_version(int64_t last, int64_t now_s, int64_t *next, struct error *err)
{
	*next = last + 1 > now_s ? last + 1 : now_s;
	if (*next > now_s + REPO_VERSION_AHEAD_S) {
		error_set(err, ERR_RETRY,
			  "version %" PRId64 " would be more than a day ahead of the clock", *next);
		return error_hint(err, "the clock is behind the one that signed version %" PRId64,
				  last);
	}
	return 0;
}

/* ---- signing ---- */

/* A key of keys/ by file name without ".key", or NULL. */
static struct seckey *online_key(const struct repo *r, const char *name, struct error *err)
{
	char file[NAME_LEN_MAX + 8];
	struct seckey *k;

	snprintf(file, sizeof(file), "%s.key", name);
	if ((k = keyfile_open(r->keys_fd, file, SLICE_EMPTY, err)) == NULL)
		error_wrap(err, "cannot sign with repo/keys/%s", file);
	return k;
}

/* Sign a `signed` value with one online key and put the file into the change. */
static int sign_into(struct repo *r, struct repo_change *change, const char *key_name,
		     const char *role, int64_t version, const struct buf *body, struct error *err)
{
	struct buf file = BUF_INIT(TUF_SIGNED_MAX);
	struct tuf_signer signer;
	struct seckey *key;
	int ret = -1;

	if ((key = online_key(r, key_name, err)) == NULL)
		return -1;
	tuf_signer_init(&signer, key);
	if (body->failed) {
		error_set(err, ERR_LIMIT, "%s would be larger than %zu bytes", role, body->max);
		goto out;
	}
	if (tuf_sign_envelope(&file, buf_slice(body), &signer, 1, err) < 0)
		goto out;
	repo_change_add(change, role, version, &file);
	ret = 0;
out:
	seckey_free(key);
	buf_release(&file);
	return ret;
}

static void put_head(struct json_writer *w, const char *type, int64_t version, int64_t expires_s)
{
	char text[TIME_TEXT_LEN];

	json_open_object(w, NULL);
	json_put_string(w, "_type", type);
	json_put_string(w, "spec_version", SPEC_VERSION);
	json_put_int(w, "version", version);
	json_put_string(w, "expires", time_text(text, expires_s));
}

static void put_meta(struct json_writer *w, const char *role, int64_t version, struct slice text)
{
	char name[META_NAME_MAX];
	uint8_t hash[SHA256_LEN];

	snprintf(name, sizeof(name), "%s.json", role);
	sha256_of(text, hash);
	json_open_object(w, name);
	json_put_int(w, "version", version);
	json_put_int(w, "length", (int64_t)text.len);
	json_open_object(w, "hashes");
	json_put_hex(w, "sha256", hash, sizeof(hash));
	json_close(w);
	json_close(w);
}

static bool change_has_role(const struct repo_change *c, struct slice file_name)
{
	char name[META_NAME_MAX];
	unsigned i;

	for (i = 0; i < c->count; i++) {
		snprintf(name, sizeof(name), "%s.json", c->files[i].role);
		if (slice_equal_str(file_name, name))
			return true;
	}
	return false;
}

/* Entries of the snapshot in force stay, also of roles that are delegated no more (5.5.5), unless
 * replaced. */
static void put_snapshot_meta(struct json_writer *w, const struct repo *r,
			      const struct repo_change *change)
{
	struct json_iter it;
	unsigned i;

	json_open_object(w, "meta");
	if (r->state.snapshot != NULL) {
		for (it = json_iter(r->state.snapshot->meta); json_next(&it);) {
			if (!change_has_role(change, it.key))
				json_put_value_key(w, it.key, it.value);
		}
	}
	for (i = 0; i < change->count; i++) {
		const struct repo_newfile *f = &change->files[i];

		if (strcmp(f->role, "root") != 0)
			put_meta(w, f->role, f->version, buf_slice(&f->text));
	}
	json_close(w);
}

static int seal_snapshot(struct repo *r, struct repo_change *change, const struct seal_options *o,
			 struct error *err)
{
	const struct tuf_snapshot *last = r->state.snapshot;
	struct buf body = BUF_INIT(TUF_UNSIGNED_MAX);
	struct json_writer w = JSON_WRITER(&body);
	int64_t version;
	int ret = -1;

	if (repo_next_version(last == NULL ? 0 : last->head.version, o->now_s, &version, err) < 0)
		return error_wrap(err, "cannot sign snapshot");
	put_head(&w, "snapshot", version, o->now_s + o->lives->snapshot_s);
	put_snapshot_meta(&w, r, change);
	json_close(&w);
	ret = sign_into(r, change, "snapshot", "snapshot", version, &body, err);
	buf_release(&body);
	return ret;
}

/* The snapshot that the timestamp is to name: of the change, else the one in force. */
static void sealed_snapshot(const struct repo *r, const struct repo_change *change,
			    int64_t *version, struct slice *text)
{
	unsigned i;

	for (i = 0; i < change->count; i++) {
		if (strcmp(change->files[i].role, "snapshot") == 0) {
			*version = change->files[i].version;
			*text = buf_slice(&change->files[i].text);
			return;
		}
	}
	*version = r->state.snapshot->head.version;
	*text = buf_slice(&r->state.snapshot_text);
}

static int seal_timestamp(struct repo *r, struct repo_change *change, const struct seal_options *o,
			  struct error *err)
{
	const struct tuf_timestamp *last = r->state.timestamp;
	int64_t life = o->lives->timestamp_s, version, snapshot_version;
	struct buf body = BUF_INIT(TIMESTAMP_BUF);
	struct json_writer w = JSON_WRITER(&body);
	char text[TIME_TEXT_LEN];
	struct slice snapshot;
	int ret;

	if (o->timestamp_life_s > 0 && o->timestamp_life_s < life)
		life = o->timestamp_life_s;
	if (repo_next_version(last == NULL ? 0 : last->head.version, o->now_s, &version, err) < 0)
		return error_wrap(err, "cannot sign timestamp");
	sealed_snapshot(r, change, &snapshot_version, &snapshot);
	put_head(&w, "timestamp", version, o->now_s + life);
	json_put_string(&w, "x-meshanics-signed-at", time_text(text, o->now_s));
	json_open_object(&w, "meta");
	put_meta(&w, "snapshot", snapshot_version, snapshot);
	json_close(&w);
	json_close(&w);
	ret = sign_into(r, change, "timestamp", "timestamp", version, &body, err);
	buf_release(&body);
	return ret;
}

int repo_seal(struct repo *r, struct repo_change *change, const struct seal_options *o,
	      struct error *err)
{
	bool snapshot = o->snapshot || r->state.snapshot == NULL;
	unsigned i;

	for (i = 0; i < change->count; i++)
		snapshot |= strcmp(change->files[i].role, "root") != 0;
	if (snapshot && seal_snapshot(r, change, o, err) < 0)
		return -1;
	return seal_timestamp(r, change, o, err);
}

int repo_sign_role(struct repo *r, const struct repo_role *role, const struct tuf_targets *from,
		   int64_t life_s, int64_t now_s, struct repo_change *change, struct error *err)
{
	struct buf body = BUF_INIT(TUF_UNSIGNED_MAX);
	struct json_writer w = JSON_WRITER(&body);
	struct json_value kept;
	int64_t version;
	int ret = -1;

	if (repo_next_version(role->version, now_s, &version, err) < 0) {
		error_wrap(err, "cannot sign %s", role->name);
		goto out;
	}
	put_head(&w, "targets", version, now_s + life_s);
	if (from == NULL) {
		json_open_object(&w, "targets");
		json_close(&w);
	} else {
		json_put_value(&w, "targets", from->targets);
		if ((kept = json_get(from->head.body, "x-meshanics")).doc != NULL)
			json_put_value(&w, "x-meshanics", kept);
	}
	json_close(&w);
	ret = sign_into(r, change, role->name, role->name, version, &body, err);
out:
	buf_release(&body);
	return ret;
}
