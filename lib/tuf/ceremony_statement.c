/* The statement: what a signature will mean, in plain words, computed from the metadata that is
 * signed. */
#include <inttypes.h>

#include "base/timefmt.h"
#include "tuf/ceremony_internal.h"

#define DAY_S (INT64_C(24) * 3600)
#define LONG_LIFE_S (10 * DAY_S) /* from here on a life is told in whole days */

void ceremony_put_who(struct buf *out, const struct ceremony *c, const char *keyid)
{
	struct slice label = ceremony_label(c, keyid);

	if (label.len > 0)
		buf_printf(out, "'%.*s' ", SLICE_ARG(label));
	buf_printf(out, label.len > 0 ? "(%.16s...)" : "key %.16s...", keyid);
}

static void put_key(struct buf *out, const struct ceremony *c, const char *keyid)
{
	struct slice label = ceremony_label(c, keyid);

	buf_printf(out, "      %.16s...", keyid);
	if (label.len > 0)
		buf_printf(out, "  called '%.*s' in the request", SLICE_ARG(label));
	buf_put_u8(out, '\n');
}

static void put_tuf_keys(struct buf *out, const struct ceremony *c, const struct tuf_keys *keys)
{
	unsigned i;

	for (i = 0; i < keys->count; i++)
		put_key(out, c, keys->list[i].id);
}

/* "any 2 of these 3 keys", "this 1 key". */
static void put_quorum(struct buf *out, unsigned threshold, unsigned count)
{
	if (count == 1)
		buf_put_str(out, "this 1 key alone");
	else if (threshold == count)
		buf_printf(out, "all of these %u keys together", count);
	else
		buf_printf(out, "any %u of these %u keys", threshold, count);
}

static void put_life(struct buf *out, const struct tuf_head *head, int64_t now_s)
{
	char text[TIME_TEXT_LEN], life[32];

	int64_t left_s = head->expires_s - now_s;

	/* A year stays "365d" on its way from table to table. */
	if (left_s >= LONG_LIFE_S)
		left_s += DAY_S / 2;
	duration_text(life, left_s);
	buf_printf(out, "version %" PRId64 ", valid until %s (%s%s)\n", head->version,
		   time_text(text, head->expires_s), head->expires_s > now_s ? "for " : "EXPIRED ",
		   life);
}

static void put_root_role(struct buf *out, const struct ceremony *c, enum tuf_type type,
			  const char *power)
{
	const struct tuf_role *role = &c->root->roles[type];

	buf_put_str(out, "    ");
	put_quorum(out, role->threshold, role->keys.count);
	buf_printf(out, " may %s:\n", power);
	put_tuf_keys(out, c, &role->keys);
}

static void put_record_keys(struct buf *out, const struct ceremony *c, const struct tuf_keys *keys,
			    const char *power)
{
	if (keys->count == 0)
		return;
	buf_printf(out, "    %s (no authority to install anything):\n", power);
	put_tuf_keys(out, c, keys);
}

static void put_lives(struct buf *out, const struct ceremony *c)
{
	struct error ignored = ERROR_INIT;
	char timestamp[32], snapshot[32], publisher[32];
	struct repo_lives lives;

	if (repo_lives_of_root(c->root, &lives, &ignored) < 0)
		return; /* a request with such a root is not parsed */
	buf_printf(out,
		   "    The online box signs timestamps for %s, snapshots for %s, publishers' "
		   "files for %s.\n",
		   duration_text(timestamp, lives.timestamp_s),
		   duration_text(snapshot, lives.snapshot_s),
		   duration_text(publisher, lives.publisher_s));
}

/* ---- what this program does not know is signed as well: nobody shall sign it unseen ---- */

static void put_unknown(struct buf *out, struct json_value object, const char *where,
			const char *const *known)
{
	char shown[128];
	struct json_iter it;
	unsigned i;

	for (it = json_iter(object); json_next(&it);) {
		for (i = 0; known[i] != NULL && !slice_equal_str(it.key, known[i]);)
			i++;
		if (known[i] == NULL)
			buf_printf(
				out,
				"  NOTE: it also holds '%s'%s, which this program does not know.\n",
				printable(shown, sizeof(shown), it.key), where);
	}
}

/* Key objects, in an object by their ids or in an array. */
static void put_unknown_of_keys(struct buf *out, struct json_value keys, const char *where)
{
	static const char *const members[] = {"keytype", "scheme", "keyval", NULL};
	static const char *const values[] = {"public", NULL};
	struct json_iter it;

	for (it = json_iter(keys); json_next(&it);) {
		put_unknown(out, it.value, where, members);
		put_unknown(out, json_get(it.value, "keyval"), where, values);
	}
}

/* Its lives are read strictly. */
static void put_unknown_of_root(struct buf *out, struct json_value body)
{
	static const char *const members[] = {
		"_type",       "spec_version",	      "version", "expires", "keys", "roles",
		"x-meshanics", "consistent_snapshot", NULL};
	static const char *const roles[] = {"root", "targets", "snapshot", "timestamp", NULL};
	static const char *const role[] = {"keyids", "threshold", NULL};
	static const char *const ours[] = {"site", "rehearsal", "record_keys", "lives", NULL};
	static const char *const records[] = {"site", "export", NULL};
	struct json_value x = json_get(body, "x-meshanics"), record = json_get(x, "record_keys");
	struct json_iter it;

	put_unknown(out, body, "", members);
	put_unknown_of_keys(out, json_get(body, "keys"), " in one of its keys");
	put_unknown(out, json_get(body, "roles"), " in its roles", roles);
	for (it = json_iter(json_get(body, "roles")); json_next(&it);)
		put_unknown(out, it.value, " in one of its roles", role);
	put_unknown(out, x, " in x-meshanics", ours);
	put_unknown(out, record, " in its record keys", records);
	for (it = json_iter(record); json_next(&it);)
		put_unknown_of_keys(out, it.value, " in one of its record keys");
}

static void put_unknown_of_targets(struct buf *out, struct json_value body)
{
	static const char *const members[] = {"_type",	 "spec_version", "version",	"expires",
					      "targets", "delegations",	 "x-meshanics", NULL};
	static const char *const ours[] = {"rehearsal", NULL};
	static const char *const delegations[] = {"keys", "roles", NULL};
	static const char *const role[] = {"name",	  "keyids", "threshold",
					   "terminating", "paths",  NULL};
	struct json_value d = json_get(body, "delegations");
	struct json_iter it;

	put_unknown(out, body, "", members);
	put_unknown(out, json_get(body, "x-meshanics"), " in x-meshanics", ours);
	put_unknown(out, d, " in its delegations", delegations);
	put_unknown_of_keys(out, json_get(d, "keys"), " in one of the publishers' keys");
	for (it = json_iter(json_get(d, "roles")); json_next(&it);)
		put_unknown(out, it.value, " in what it says of a publisher", role);
}

/* ---- root ---- */

static void put_root(struct buf *out, const struct ceremony *c, int64_t now_s)
{
	buf_printf(out, "\nROOT of site '%s', ", c->site);
	put_life(out, &c->root->head, now_s);
	buf_put_str(out, "  Whoever believes this root lets\n");
	put_root_role(out, c, TUF_ROOT, "replace this root");
	put_root_role(out, c, TUF_TARGETS, "say who publishes what");
	put_root_role(out, c, TUF_SNAPSHOT, "say which versions belong together");
	put_root_role(out, c, TUF_TIMESTAMP, "say what is newest");
	put_record_keys(out, c, &c->root->site_keys, "Receipts and audit heads are signed by");
	put_record_keys(out, c, &c->root->export_keys, "Bundles are signed by");
	put_lives(out, c);
	ceremony_put_root_changes(out, c, now_s);
	put_unknown_of_root(out, c->root->head.body);
	if (c->root->roles[TUF_ROOT].threshold == 1)
		buf_put_str(out, "  NOTE: one key alone can replace this root.\n");
	if (c->root->roles[TUF_ROOT].threshold == c->root->roles[TUF_ROOT].keys.count)
		buf_put_str(
			out,
			"  NOTE: when one of the root keys is lost, nobody can replace this root "
			"any more.\n");
}

/* ---- targets ---- */

static void put_publisher(struct buf *out, const struct ceremony *c, const struct repo_publisher *p)
{
	char id[KEY_FINGERPRINT_LEN];
	unsigned i;

	buf_printf(out, "    publisher '%s' may publish what matches\n", p->name);
	for (i = 0; i < p->slices.count; i++)
		buf_printf(out, "      %s\n", p->slices.items[i]);
	buf_printf(out, "    signed by %s\n",
		   p->key_count == 1 ? "the key" : "any one of the keys");
	for (i = 0; i < p->key_count; i++) {
		key_id(id, &p->keys[i]);
		put_key(out, c, id);
	}
}

static void put_targets(struct buf *out, const struct ceremony *c, int64_t now_s)
{
	struct error ignored = ERROR_INIT;
	struct repo_publisher *list = NULL;
	unsigned count = 0, i;

	buf_printf(out, "\nTARGETS of site '%s', ", c->site);
	put_life(out, &c->targets->head, now_s);
	if (publishers_of_targets(c->targets, &list, &count, &ignored) == 0) {
		buf_printf(out, "  It names %u publisher%s:\n", count, count == 1 ? "" : "s");
		for (i = 0; i < count; i++)
			put_publisher(out, c, &list[i]);
		buf_put_str(out, "  Nobody may publish anything else.\n");
		if (json_count(c->targets->targets) > 0)
			buf_printf(out, "  It names %zu artifacts itself, %s.\n",
				   json_count(c->targets->targets),
				   ceremony_unconfirmed(c, CEREMONY_TARGETS)
					   ? "like the targets that the request calls in force"
					   : "as before");
		ceremony_put_targets_changes(out, c, list, count);
	}
	put_unknown_of_targets(out, c->targets->head.body);
	publishers_free(list, count);
}

void ceremony_statement(struct buf *out, const struct ceremony *c, int64_t now_s)
{
	if (c->rehearsal)
		buf_put_str(out, "REHEARSAL. What comes of it is refused by every repository.\n");
	if (c->root != NULL)
		put_root(out, c, now_s);
	ceremony_put_like(out, c);
	if (c->targets != NULL)
		put_targets(out, c, now_s);
}
