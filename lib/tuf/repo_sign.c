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
		err, "if the clock is right: meshanics repo refresh --accept-clock --force; else set it");
}

int repo_next_version(int64_t last, int64_t now_s, int64_t *next, struct error *err)
{
	*next = last + 1 > now_s ? last + 1 : now_s;
	if (*next > now_s + REPO_VERSION_AHEAD_S) {
		error_set(err, ERR_RETRY,
			  "version %" PRId64 " would be more than a day ahead of the clock", *next);
		return error_hint(err, "the clock is behind the one that signed version %" PRId64
				       "; if that one was wrong: meshanics repo keys rotate, and a ceremony", last);
	}
	return 0;
}

/* ---- signing ---- */

struct seckey *repo_online_key(const struct repo *r, const char *name, struct error *err)
{
	char file[NAME_LEN_MAX + 8];
	struct seckey *k;

	snprintf(file, sizeof(file), "%s.key", name);
	if ((k = keyfile_open(r->keys_fd, file, SLICE_EMPTY, err)) == NULL)
		error_wrap(err, "cannot sign with repo/keys/%s", file);
	return k;
}

/* Sign a `signed` value with the online key of its role and put the file into the change. */
static int sign_into(struct repo *r, struct repo_change *change, const char *role, int64_t version,
		     const struct buf *body, struct error *err)
{
	struct buf file = BUF_INIT(TUF_SIGNED_MAX);
	struct tuf_signer signer;
	struct seckey *key;
	int ret = -1;

	if ((key = repo_online_key(r, role, err)) == NULL)
		return -1;
	tuf_signer_init(&signer, key);
	if (body->failed) {
		error_set(err, ERR_LIMIT, "%s would be larger than %zu bytes", role, body->max);
	} else if (tuf_sign_canonical(&file, buf_slice(body), &signer, 1, err) == 0) {
		repo_change_add(change, role, version, &file);
		ret = 0;
	}
	seckey_free(key);
	buf_release(&file);
	return ret;
}

static void put_head(struct json_writer *w, const char *type, int64_t version, int64_t expires_s)
{
	char text[TIME_TEXT_LEN];

	json_open_object(w, NULL);
	json_put_string(w, "_type", type);
	json_put_string(w, "expires", time_text(text, expires_s));
	json_put_string(w, "spec_version", SPEC_VERSION);
	json_put_int(w, "version", version);
}

static void put_meta(struct json_writer *w, const char *role, int64_t version, uint64_t len,
		     const uint8_t sha256[static SHA256_LEN])
{
	char name[META_NAME_MAX];

	snprintf(name, sizeof(name), "%s.json", role);
	json_open_object(w, name);
	json_open_object(w, "hashes");
	json_put_hex(w, "sha256", sha256, SHA256_LEN);
	json_close(w);
	json_put_int(w, "length", (int64_t)len);
	json_put_int(w, "version", version);
	json_close(w);
}

/* The order of "ROLE.json", which is that of the snapshot: "a-b" comes before "a" there. */
static int by_file_name(const void *a, const void *b)
{
	const struct repo_newfile *x = *(const struct repo_newfile *const *)a;
	const struct repo_newfile *y = *(const struct repo_newfile *const *)b;
	char nx[META_NAME_MAX], ny[META_NAME_MAX];

	snprintf(nx, sizeof(nx), "%s.json", x->role);
	snprintf(ny, sizeof(ny), "%s.json", y->role);
	return strcmp(nx, ny);
}

/* Those that the snapshot is to name, in order; a role is there once, or nobody knows which file
 * holds. */
static int listed_files(const struct repo_change *change, const struct repo_newfile ***out,
			unsigned *count, struct error *err)
{
	const struct repo_newfile **list =
		xcalloc(change->count, sizeof(const struct repo_newfile *));
	unsigned i;

	*out = list;
	*count = 0;
	for (i = 0; i < change->count; i++) {
		if (strcmp(change->files[i].role, "root") != 0)
			list[(*count)++] = &change->files[i];
	}
	if (*count > 0)
		qsort(list, *count, sizeof(list[0]), by_file_name);
	for (i = 1; i < *count; i++) {
		if (strcmp(list[i - 1]->role, list[i]->role) == 0)
			return error_set(err, ERR_USAGE, "'%s' is there twice in one change",
					 list[i]->role);
	}
	return 0;
}

/* -1, 0, 1: an entry of the snapshot in force against a new file, in the order of the snapshot. */
static int entry_order(const struct repo_index_entry *old, const struct repo_newfile *f)
{
	char name[META_NAME_MAX];

	snprintf(name, sizeof(name), "%s.json", f->role);
	return slice_compare(old->file, slice_str(name));
}

/* Entries of the snapshot in force stay, also of roles that are delegated no more (5.5.5), unless
 * replaced. Both lists are in order, and so is what is written. */
static int put_snapshot_meta(struct json_writer *w, const struct repo *r,
			     const struct repo_change *change, struct error *err)
{
	const struct repo_index *old = &r->state.index;
	const struct repo_newfile **new;
	unsigned count, i = 0;
	size_t k = 0;
	int ret;

	ret = listed_files(change, &new, &count, err);
	json_open_object(w, "meta");
	while (ret == 0 && (i < count || k < old->count)) {
		int order = i == count	      ? -1
			    : k == old->count ? 1
					      : entry_order(&old->list[k], new[i]);

		if (order < 0) {
			json_put_value_key(w, old->list[k].file, old->list[k].entry);
			k++;
			continue;
		}
		put_meta(w, new[i]->role, new[i]->version, new[i]->len, new[i]->sha256);
		k += order == 0;
		i++;
	}
	json_close(w);
	free(new);
	return ret;
}

/*
 * Versions that ran ahead of the clock, since the operator once vouched for a wrong one, end with the keys that signed
 * them: where clients forget them, so do we.
 */
static int64_t version_before(const struct tuf_head *last, const struct seal_options *o)
{
	return last == NULL || (o->anew && last->version > o->now_s) ? 0 : last->version;
}

static int seal_snapshot(struct repo *r, struct repo_change *change, const struct seal_options *o,
			 struct error *err)
{
	const struct tuf_snapshot *last = r->state.snapshot;
	struct buf body = BUF_INIT(TUF_UNSIGNED_MAX);
	struct json_writer w = JSON_WRITER(&body);
	int64_t version;
	int ret = -1;

	if (repo_next_version(version_before(last == NULL ? NULL : &last->head, o), o->now_s, &version, err) < 0)
		return error_wrap(err, "cannot sign snapshot");
	put_head(&w, "snapshot", version, o->now_s + o->lives->snapshot_s);
	if (put_snapshot_meta(&w, r, change, err) == 0) {
		json_close(&w);
		ret = sign_into(r, change, "snapshot", version, &body, err);
	}
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
	uint8_t hash[SHA256_LEN];
	struct buf body = BUF_INIT(TIMESTAMP_BUF);
	struct json_writer w = JSON_WRITER(&body);
	char text[TIME_TEXT_LEN];
	struct slice snapshot;
	int ret;

	if (o->timestamp_life_s > 0 && o->timestamp_life_s < life)
		life = o->timestamp_life_s;
	if (repo_next_version(version_before(last == NULL ? NULL : &last->head, o), o->now_s, &version, err) < 0)
		return error_wrap(err, "cannot sign timestamp");
	sealed_snapshot(r, change, &snapshot_version, &snapshot);
	sha256_of(snapshot, hash);
	put_head(&w, "timestamp", version, o->now_s + life);
	json_put_string(&w, "x-meshanics-signed-at", time_text(text, o->now_s));
	json_open_object(&w, "meta");
	put_meta(&w, "snapshot", snapshot_version, snapshot.len, hash);
	json_close(&w);
	json_close(&w);
	ret = sign_into(r, change, "timestamp", version, &body, err);
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
