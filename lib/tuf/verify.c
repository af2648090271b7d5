/*
 * The checks of the client workflow: signatures, versions, expiry. Section 5 of the specification,
 * in its order.
 */
#include "tuf/verify.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"

/* ---- signatures ---- */

const char *tuf_sig_state_name(enum tuf_sig_state s)
{
	static const char *const names[] = {
		[TUF_SIG_MISSING] = "missing",	 [TUF_SIG_GOOD] = "good",
		[TUF_SIG_REPEATED] = "repeated", [TUF_SIG_BAD] = "bad",
		[TUF_SIG_UNUSABLE] = "unusable",
	};

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : "bad";
}

/* The text under this key id, or an empty slice. Ids are distinct: the parser has seen to it. */
static struct slice signature_find(const struct tuf_head *file, const char *keyid)
{
	struct json_iter it = json_iter(file->signatures);

	while (json_next(&it))
		if (slice_equal_str(json_string(json_get(it.value, "keyid")), keyid))
			return json_string(json_get(it.value, "sig"));
	return SLICE_EMPTY;
}

/* Whether this public key has already been counted under an earlier id of the role. */
static bool counted_before(const struct tuf_role *role, unsigned i, const struct tuf_tally *tally)
{
	unsigned k;

	for (k = 0; k < i; k++)
		if (tally->state[k] == TUF_SIG_GOOD &&
		    pubkey_equal(&role->keys.list[k].pub, &role->keys.list[i].pub))
			return true;
	return false;
}

static enum tuf_sig_state signature_state(const struct tuf_key *key, const struct tuf_head *file,
					  struct slice payload)
{
	struct slice text = signature_find(file, key->id);
	struct error ignored = ERROR_INIT;
	uint8_t sig[SIGNATURE_LEN_MAX];

	if (text.len == 0)
		return TUF_SIG_MISSING;
	if (key->pub.scheme == KEY_NONE)
		return TUF_SIG_UNUSABLE;
	if (text.len % 2 != 0 || text.len / 2 > sizeof(sig) ||
	    hex_decode(sig, text.len / 2, text, &ignored) < 0)
		return TUF_SIG_BAD;
	if (pubkey_verify(&key->pub, payload, slice_of(sig, text.len / 2), &ignored) != 0)
		return TUF_SIG_BAD;
	return TUF_SIG_GOOD;
}

static void tally_fill(struct tuf_tally *tally, const struct tuf_role *role,
		       const struct tuf_head *file, struct slice payload, bool stop_early)
{
	unsigned i;

	for (i = 0; i < role->keys.count; i++) {
		enum tuf_sig_state s = signature_state(&role->keys.list[i], file, payload);

		if (s == TUF_SIG_GOOD && counted_before(role, i, tally))
			s = TUF_SIG_REPEATED;
		tally->state[i] = s;
		tally->good += s == TUF_SIG_GOOD;
		if (stop_early && tally->good >= tally->threshold)
			return;
	}
}

int tuf_verify_role(const struct tuf_role *role, const struct tuf_head *file,
		    struct tuf_tally *tally, const char *what, const char *clause,
		    struct error *err)
{
	struct buf made = BUF_INIT(json_raw(file->body).len); /* the canonical form is never longer */
	struct tuf_tally own, *t = tally != NULL ? tally : &own;
	struct slice payload;
	int r = -1;

	*t = (struct tuf_tally){.threshold = role->threshold};
	if (role->threshold < 1) {
		error_set(err, ERR_REFUSED, "%s: role has no threshold (%s)", what, clause);
		goto out;
	}
	if (json_canonical_slice(&payload, &made, file->body, err) < 0)
		goto out;
	tally_fill(t, role, file, payload, tally == NULL);
	if (t->good < t->threshold) {
		error_set(err, ERR_REFUSED, "%s: signed by %u of the %u keys needed (%s)", what,
			  t->good, t->threshold, clause);
		goto out;
	}
	r = 0;
out:
	buf_release(&made);
	return r;
}

/* ---- expiry ---- */

int tuf_verify_expiry(const struct tuf_head *file, int64_t now_s, const char *what,
		      const char *clause, struct error *err)
{
	char expires[TIME_TEXT_LEN], now[TIME_TEXT_LEN];

	if (file->expires_s > now_s)
		return 0;
	error_set(err, ERR_REFUSED, "%s version %lld expired at %s, and it is %s (%s)", what,
		  (long long)file->version, time_text(expires, file->expires_s),
		  time_text(now, now_s), clause);
	return error_hint(
		err,
		"if that time is wrong, set the clock; if not, the repository has to be refreshed");
}

/* ---- root ---- */

int tuf_root_check_self(const struct tuf_root *root, struct error *err)
{
	return tuf_verify_role(&root->roles[TUF_ROOT], &root->head, NULL, "root by its own keys",
			       "5.3.4", err);
}

/* A root of another site under the same offline keys is a stranger, however well it is signed. */
static int root_site_check(const struct tuf_root *trusted, const struct tuf_root *next,
			   struct error *err)
{
	if (strcmp(trusted->site, next->site) == 0)
		return 0;
	return error_set(
		err, ERR_REFUSED, "root version %lld is for %s%s%s, the trusted root for %s%s%s",
		(long long)next->head.version, next->site[0] ? "site '" : "no site", next->site,
		next->site[0] ? "'" : "", trusted->site[0] ? "site '" : "no site", trusted->site,
		trusted->site[0] ? "'" : "");
}

int tuf_root_check(const struct tuf_root *trusted, const struct tuf_root *next, struct error *err)
{
	if (next->head.version != trusted->head.version + 1)
		return error_set(
			err, ERR_REFUSED, "root has version %lld where %lld must follow (5.3.5)",
			(long long)next->head.version, (long long)trusted->head.version + 1);
	if (tuf_verify_role(&trusted->roles[TUF_ROOT], &next->head, NULL,
			    "root by the trusted root's keys", "5.3.4", err) < 0 ||
	    tuf_root_check_self(next, err) < 0)
		return -1;
	return root_site_check(trusted, next, err);
}

bool tuf_root_rotates_timestamp(const struct tuf_root *trusted, const struct tuf_root *next)
{
	return !tuf_keys_same(&trusted->roles[TUF_TIMESTAMP].keys,
			      &next->roles[TUF_TIMESTAMP].keys);
}

bool tuf_root_rotates_online(const struct tuf_root *trusted, const struct tuf_root *next)
{
	return tuf_root_rotates_timestamp(trusted, next) ||
	       !tuf_keys_same(&trusted->roles[TUF_SNAPSHOT].keys, &next->roles[TUF_SNAPSHOT].keys);
}

/* ---- timestamp ---- */

int tuf_timestamp_check(const struct tuf_root *root, const struct tuf_timestamp *trusted,
			const struct tuf_timestamp *next, int64_t now_s, struct error *err)
{
	if (tuf_verify_role(&root->roles[TUF_TIMESTAMP], &next->head, NULL, "timestamp", "5.4.2",
			    err) < 0)
		return -1;
	if (trusted != NULL && next->head.version < trusted->head.version)
		return error_set(
			err, ERR_REFUSED,
			"timestamp version %lld is older than trusted version %lld (5.4.3.1)",
			(long long)next->head.version, (long long)trusted->head.version);
	if (trusted != NULL && next->head.version == trusted->head.version)
		return 0;
	if (trusted != NULL && next->snapshot.version < trusted->snapshot.version)
		return error_set(err, ERR_REFUSED,
				 "timestamp names snapshot version %lld, older than trusted "
				 "version %lld (5.4.3.2)",
				 (long long)next->snapshot.version,
				 (long long)trusted->snapshot.version);
	return now_s < 0 ? 0 : tuf_verify_expiry(&next->head, now_s, "timestamp", "5.4.4", err);
}

/* ---- what the parent file says about a file ---- */

/* Length and hashes where they are signed (5.5.2, 5.6.2). */
static int bytes_check(const struct tuf_metafile *meta, struct slice text, const char *what,
		       const char *clause, struct error *err)
{
	if (meta->length >= 0 && text.len != (uint64_t)meta->length)
		return error_set(err, ERR_REFUSED, "%s has %zu bytes where %lld are signed (%s)",
				 what, text.len, (long long)meta->length, clause);
	if (tuf_hashes_check(&meta->hashes, text, what, err) < 0) {
		error_wrap(err, "against the signed hashes (%s)", clause);
		return -1;
	}
	return 0;
}

static int version_equal(const struct tuf_metafile *meta, const struct tuf_head *file,
			 const char *what, const char *clause, struct error *err)
{
	if (file->version == meta->version)
		return 0;
	return error_set(err, ERR_REFUSED, "%s has version %lld where %lld is signed (%s)", what,
			 (long long)file->version, (long long)meta->version, clause);
}

/* ---- snapshot ---- */

struct meta_entry {
	struct slice name;
	int64_t version;
};

static int compare_entries(const void *a, const void *b)
{
	return slice_compare(((const struct meta_entry *)a)->name,
			     ((const struct meta_entry *)b)->name);
}

/*
 * The entries sorted by name, so that two snapshots of many roles compare in one pass. Owned by the
 * caller.
 */
static struct meta_entry *entries_sorted(struct json_value meta, size_t *count)
{
	struct meta_entry *list = xcalloc(json_count(meta), sizeof(*list));
	struct json_iter it = json_iter(meta);
	bool sorted = true;
	size_t n = 0;

	while (json_next(&it)) {
		list[n].name = it.key;
		list[n].version = json_int(json_get(it.value, "version"));
		sorted = sorted && (n == 0 || compare_entries(&list[n - 1], &list[n]) < 0);
		n++;
	}
	if (!sorted) /* as most repositories write them, they are */
		qsort(list, n, sizeof(*list), compare_entries);
	*count = n;
	return list;
}

/* 5.5.5: nothing that was listed is gone, nothing goes back. */
static int snapshot_rollback_check(const struct tuf_snapshot *trusted,
				   const struct tuf_snapshot *next, struct error *err)
{
	size_t n_old, n_new, i, k = 0;
	struct meta_entry *old = entries_sorted(trusted->meta, &n_old);
	struct meta_entry *new = entries_sorted(next->meta, &n_new);
	int r = -1;

	for (i = 0; i < n_old; i++) {
		while (k < n_new && slice_compare(new[k].name, old[i].name) < 0)
			k++;
		if (k == n_new || !slice_equal(new[k].name, old[i].name)) {
			error_set(err, ERR_REFUSED, "snapshot no longer lists '%.*s' (5.5.5)",
				  SLICE_ARG(slice_sub(old[i].name, 0, 80)));
			goto out;
		}
		if (new[k].version < old[i].version) {
			error_set(err, ERR_REFUSED,
				  "snapshot lists '%.*s' at version %lld, older than trusted "
				  "version %lld (5.5.5)",
				  SLICE_ARG(slice_sub(old[i].name, 0, 80)),
				  (long long)new[k].version, (long long)old[i].version);
			goto out;
		}
	}
	r = 0;
out:
	free(old);
	free(new);
	return r;
}

int tuf_snapshot_check(const struct tuf_root *root, const struct tuf_timestamp *timestamp,
		       const struct tuf_snapshot *trusted, const struct tuf_snapshot *next,
		       int64_t now_s, struct error *err)
{
	if (bytes_check(&timestamp->snapshot, next->head.text, "snapshot", "5.5.2", err) < 0 ||
	    tuf_verify_role(&root->roles[TUF_SNAPSHOT], &next->head, NULL, "snapshot", "5.5.3",
			    err) < 0 ||
	    version_equal(&timestamp->snapshot, &next->head, "snapshot", "5.5.4", err) < 0)
		return -1;
	/* The trusted timestamp may have been lost; the snapshot that it named then says what it would have said. */
	if (trusted != NULL && next->head.version < trusted->head.version)
		return error_set(err, ERR_REFUSED, "snapshot version %lld is older than trusted version %lld (5.4.3.2)",
				 (long long)next->head.version, (long long)trusted->head.version);
	if (trusted != NULL && snapshot_rollback_check(trusted, next, err) < 0)
		return -1;
	return now_s < 0 ? 0 : tuf_verify_expiry(&next->head, now_s, "snapshot", "5.5.6", err);
}

/* ---- targets, top-level and delegated ---- */

int tuf_targets_check(const struct tuf_role *role, const char *role_name,
		      const struct tuf_metafile *meta, const struct tuf_targets *next,
		      int64_t now_s, struct error *err)
{
	if (bytes_check(meta, next->head.text, role_name, "5.6.2", err) < 0 ||
	    tuf_verify_role(role, &next->head, NULL, role_name, "5.6.3", err) < 0 ||
	    version_equal(meta, &next->head, role_name, "5.6.4", err) < 0)
		return -1;
	return now_s < 0 ? 0 : tuf_verify_expiry(&next->head, now_s, role_name, "5.6.5", err);
}
