/* The statement: what a signature will mean, in plain words, computed from the metadata that is
 * signed. */
#include <inttypes.h>

#include "base/timefmt.h"
#include "tuf/ceremony_internal.h"

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

	duration_text(life, head->expires_s - now_s);
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

/* What differs from the root in force; silence is no difference. */
static void put_root_changes(struct buf *out, const struct ceremony *c)
{
	static const char *const names[TUF_TYPES] = {[TUF_ROOT] = "root",
						     [TUF_TIMESTAMP] = "timestamp",
						     [TUF_SNAPSHOT] = "snapshot",
						     [TUF_TARGETS] = "targets"};
	const struct tuf_root *old = c->root_in_force;
	unsigned changes = 0, i;

	if (old == NULL)
		return;
	buf_printf(out, "  Against root version %" PRId64 ", which is in force:\n",
		   old->head.version);
	for (i = 0; i < TUF_TYPES; i++) {
		const struct tuf_role *a = &old->roles[i], *b = &c->root->roles[i];

		if (!tuf_keys_same(&a->keys, &b->keys) || a->threshold != b->threshold) {
			buf_printf(
				out, "    the keys of %s change: %u of %u before, %u of %u after\n",
				names[i], a->threshold, a->keys.count, b->threshold, b->keys.count);
			changes++;
		}
	}
	if (!tuf_keys_same(&old->site_keys, &c->root->site_keys) ||
	    !tuf_keys_same(&old->export_keys, &c->root->export_keys)) {
		buf_put_str(out, "    the record keys change\n");
		changes++;
	}
	if (changes == 0)
		buf_put_str(out, "    no key changes; the date does\n");
}

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
	put_root_changes(out, c);
	if (c->root->roles[TUF_ROOT].threshold == 1)
		buf_put_str(out, "  NOTE: one key alone can replace this root.\n");
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

static const struct repo_publisher *by_name(const struct repo_publisher *list, unsigned count,
					    const char *name)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

static bool has_key(const struct repo_publisher *p, const struct pubkey *k)
{
	unsigned i;

	for (i = 0; i < p->key_count; i++) {
		if (pubkey_equal(&p->keys[i], k))
			return true;
	}
	return false;
}

static bool same_keys(const struct repo_publisher *a, const struct repo_publisher *b)
{
	unsigned i;

	for (i = 0; i < a->key_count; i++) {
		if (!has_key(b, &a->keys[i]))
			return false;
	}
	return a->key_count == b->key_count;
}

static bool same_slices(const struct repo_publisher *a, const struct repo_publisher *b)
{
	unsigned i;

	for (i = 0; i < a->slices.count && i < b->slices.count; i++) {
		if (strcmp(a->slices.items[i], b->slices.items[i]) != 0)
			return false;
	}
	return a->slices.count == b->slices.count;
}

static unsigned put_publisher_change(struct buf *out, const struct repo_publisher *old,
				     const struct repo_publisher *next)
{
	if (old == NULL) {
		buf_printf(out, "    publisher '%s' is new\n", next->name);
		return 1;
	}
	if (!same_keys(old, next))
		buf_printf(out, "    publisher '%s' has other keys\n", next->name);
	if (!same_slices(old, next))
		buf_printf(out, "    publisher '%s' has another slice\n", next->name);
	return !same_keys(old, next) + !same_slices(old, next);
}

static void put_targets_changes(struct buf *out, const struct ceremony *c,
				const struct repo_publisher *next, unsigned next_count)
{
	struct error ignored = ERROR_INIT;
	struct repo_publisher *old = NULL;
	unsigned old_count = 0, changes = 0, i;

	if (c->targets_in_force == NULL)
		return;
	buf_printf(out, "  Against targets version %" PRId64 ", which is in force:\n",
		   c->targets_in_force->head.version);
	if (publishers_of_targets(c->targets_in_force, &old, &old_count, &ignored) < 0) {
		buf_printf(out, "    cannot be compared: %s\n", ignored.text);
		publishers_free(old, old_count);
		return;
	}
	for (i = 0; i < next_count; i++)
		changes +=
			put_publisher_change(out, by_name(old, old_count, next[i].name), &next[i]);
	for (i = 0; i < old_count; i++) {
		if (by_name(next, next_count, old[i].name) == NULL) {
			buf_printf(out, "    publisher '%s' may publish NOTHING any more\n",
				   old[i].name);
			changes++;
		}
	}
	if (changes == 0)
		buf_put_str(out, "    no publisher changes; the date does\n");
	publishers_free(old, old_count);
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
		put_targets_changes(out, c, list, count);
	}
	publishers_free(list, count);
}

void ceremony_statement(struct buf *out, const struct ceremony *c, int64_t now_s)
{
	if (c->rehearsal)
		buf_put_str(out, "REHEARSAL. What comes of it is refused by every repository.\n");
	if (c->root != NULL)
		put_root(out, c, now_s);
	if (c->targets != NULL)
		put_targets(out, c, now_s);
}
