/*
 * The statement against what is in force: who gains power and who loses it, key by key, computed
 * from the two files. Silence is no difference.
 */
#include <inttypes.h>

#include "base/timefmt.h"
#include "tuf/ceremony_internal.h"

/* ---- root: what a key may do ---- */

enum power {
	POWER_ROOT,
	POWER_TARGETS,
	POWER_SNAPSHOT,
	POWER_TIMESTAMP,
	POWER_SITE,
	POWER_EXPORT,
	POWERS,
};

static const char *const power_words[POWERS] = {
	[POWER_ROOT] = "replace this root",
	[POWER_TARGETS] = "say who publishes what",
	[POWER_SNAPSHOT] = "say which versions belong together",
	[POWER_TIMESTAMP] = "say what is newest",
	[POWER_SITE] = "sign receipts and audit heads",
	[POWER_EXPORT] = "sign bundles",
};

static const struct tuf_keys *power_keys(const struct tuf_root *root, unsigned power)
{
	const struct tuf_keys *const keys[POWERS] = {
		[POWER_ROOT] = &root->roles[TUF_ROOT].keys,
		[POWER_TARGETS] = &root->roles[TUF_TARGETS].keys,
		[POWER_SNAPSHOT] = &root->roles[TUF_SNAPSHOT].keys,
		[POWER_TIMESTAMP] = &root->roles[TUF_TIMESTAMP].keys,
		[POWER_SITE] = &root->site_keys,
		[POWER_EXPORT] = &root->export_keys,
	};

	return keys[power];
}

/* The same public key, or, where it is of a kind unknown here, the same id. */
static bool same_key(const struct tuf_key *a, const struct tuf_key *b)
{
	if (a->pub.scheme == KEY_NONE || b->pub.scheme == KEY_NONE)
		return strcmp(a->id, b->id) == 0;
	return pubkey_equal(&a->pub, &b->pub);
}

static bool has_key(const struct tuf_keys *keys, const struct tuf_key *k)
{
	unsigned i;

	for (i = 0; i < keys->count; i++) {
		if (same_key(&keys->list[i], k))
			return true;
	}
	return false;
}

/* One bit a power. */
static unsigned powers_of(const struct tuf_root *root, const struct tuf_key *k)
{
	unsigned set = 0, i;

	for (i = 0; i < POWERS; i++) {
		if (has_key(power_keys(root, i), k))
			set |= 1u << i;
	}
	return set;
}

/* Is this the first place at which the root lists the key? Then it is told here. */
static bool is_first(const struct tuf_root *root, unsigned power, unsigned at)
{
	const struct tuf_keys *keys = power_keys(root, power);
	unsigned i;

	for (i = 0; i < at; i++) {
		if (same_key(&keys->list[i], &keys->list[at]))
			return false;
	}
	return (powers_of(root, &keys->list[at]) & ((1u << power) - 1)) == 0;
}

/* Where one signature is enough the key does not help: it does. */
static void put_powers(struct buf *out, const struct tuf_root *root, unsigned set)
{
	const unsigned thresholds[POWERS] = {
		[POWER_ROOT] = root->roles[TUF_ROOT].threshold,
		[POWER_TARGETS] = root->roles[TUF_TARGETS].threshold,
		[POWER_SNAPSHOT] = root->roles[TUF_SNAPSHOT].threshold,
		[POWER_TIMESTAMP] = root->roles[TUF_TIMESTAMP].threshold,
	};
	const char *between = "";
	unsigned i;

	for (i = 0; i < POWERS; i++) {
		if (!(set & (1u << i)))
			continue;
		buf_printf(out, "%s%s%s%s", between, thresholds[i] > 1 ? "help to " : "",
			   power_words[i], thresholds[i] == 1 ? " by itself" : "");
		between = ", ";
	}
	buf_put_u8(out, '\n');
}

/* What one key wins or loses; what it keeps is worth a word where it loses something. 1 when there
 * was anything. */
static unsigned put_key_change(struct buf *out, const struct ceremony *c, const struct tuf_key *k)
{
	unsigned before = powers_of(c->root_in_force, k), after = powers_of(c->root, k);

	if (before == after)
		return 0;
	if (after & ~before) {
		buf_put_str(out, "    ");
		ceremony_put_who(out, c, k->id);
		buf_put_str(out, " may now ");
		put_powers(out, c->root, after & ~before);
	}
	if (before & ~after) {
		buf_put_str(out, "    ");
		ceremony_put_who(out, c, k->id);
		buf_put_str(out, " may NO LONGER ");
		put_powers(out, c->root_in_force, before & ~after);
		if (before & after) {
			buf_put_str(out, "      but it may still ");
			put_powers(out, c->root, before & after);
		}
	}
	return 1;
}

static unsigned put_key_changes(struct buf *out, const struct ceremony *c)
{
	unsigned changes = 0, power, i;

	for (power = 0; power < POWERS; power++) {
		const struct tuf_keys *keys = power_keys(c->root_in_force, power);

		for (i = 0; i < keys->count; i++) {
			if (is_first(c->root_in_force, power, i))
				changes += put_key_change(out, c, &keys->list[i]);
		}
	}
	for (power = 0; power < POWERS; power++) {
		const struct tuf_keys *keys = power_keys(c->root, power);

		for (i = 0; i < keys->count; i++) {
			if (is_first(c->root, power, i) &&
			    powers_of(c->root_in_force, &keys->list[i]) == 0)
				changes += put_key_change(out, c, &keys->list[i]);
		}
	}
	return changes;
}

static unsigned put_threshold_change(struct buf *out, const struct ceremony *c, enum tuf_type type,
				     unsigned power)
{
	const struct tuf_role *a = &c->root_in_force->roles[type], *b = &c->root->roles[type];

	if (a->threshold == b->threshold && a->keys.count == b->keys.count)
		return 0;
	buf_printf(out, "    it takes %u of %u keys to %s; before, it took %u of %u\n",
		   b->threshold, b->keys.count, power_words[power], a->threshold, a->keys.count);
	return 1;
}

static unsigned put_lives_change(struct buf *out, const struct ceremony *c)
{
	struct error ignored = ERROR_INIT;
	struct repo_lives a, b;
	char before[3][32];

	if (repo_lives_of_root(c->root_in_force, &a, &ignored) < 0 ||
	    repo_lives_of_root(c->root, &b, &ignored) < 0 ||
	    (a.timestamp_s == b.timestamp_s && a.snapshot_s == b.snapshot_s &&
	     a.publisher_s == b.publisher_s))
		return 0;
	buf_printf(out,
		   "    the lives of what the box signs change; before: timestamps %s, snapshots "
		   "%s, publishers' files %s\n",
		   duration_text(before[0], a.timestamp_s), duration_text(before[1], a.snapshot_s),
		   duration_text(before[2], a.publisher_s));
	return 1;
}

/* What a client forgets with the online keys, and why that matters after a theft (5.3.11). */
static void put_online_change(struct buf *out, const struct ceremony *c)
{
	const struct tuf_root *a = c->root_in_force, *b = c->root;

	if (tuf_keys_same(&a->roles[TUF_SNAPSHOT].keys, &b->roles[TUF_SNAPSHOT].keys) &&
	    tuf_keys_same(&a->roles[TUF_TIMESTAMP].keys, &b->roles[TUF_TIMESTAMP].keys))
		return;
	buf_put_str(out,
		    "    devices forget what the former online keys called newest (TUF 5.3.11)\n");
}

void ceremony_put_root_changes(struct buf *out, const struct ceremony *c, int64_t now_s)
{
	const struct tuf_root *old = c->root_in_force;
	char text[TIME_TEXT_LEN];
	unsigned changes;

	if (old == NULL)
		return;
	ceremony_put_against(out, c, CEREMONY_ROOT);
	if (old->head.expires_s <= now_s)
		buf_printf(out, " though it expired at %s (devices still take its successor)",
			   time_text(text, old->head.expires_s));
	buf_put_str(out, ":\n");
	ceremony_put_doubt(out, c, CEREMONY_ROOT);
	changes = put_key_changes(out, c);
	changes += put_threshold_change(out, c, TUF_ROOT, POWER_ROOT);
	changes += put_threshold_change(out, c, TUF_TARGETS, POWER_TARGETS);
	changes += put_threshold_change(out, c, TUF_SNAPSHOT, POWER_SNAPSHOT);
	changes += put_threshold_change(out, c, TUF_TIMESTAMP, POWER_TIMESTAMP);
	changes += put_lives_change(out, c);
	put_online_change(out, c);
	if (changes == 0)
		buf_put_str(out, ceremony_unconfirmed(c, CEREMONY_ROOT)
					 ? "    the keys are those of that root; the date changes\n"
					 : "    no key changes; the date does\n");
}

/* ---- targets: publishers ---- */

static bool publisher_has(const struct repo_publisher *p, const struct pubkey *k)
{
	unsigned i;

	for (i = 0; i < p->key_count; i++) {
		if (pubkey_equal(&p->keys[i], k))
			return true;
	}
	return false;
}

/* The keys of a that b does not have. */
static unsigned put_keys_beyond(struct buf *out, const struct ceremony *c,
				const struct repo_publisher *a, const struct repo_publisher *b,
				const char *words)
{
	char id[KEY_FINGERPRINT_LEN];
	unsigned count = 0, i;

	for (i = 0; i < a->key_count; i++) {
		if (publisher_has(b, &a->keys[i]))
			continue;
		key_id(id, &a->keys[i]);
		buf_put_str(out, "    ");
		ceremony_put_who(out, c, id);
		buf_printf(out, " %s sign for publisher '%s'\n", words, a->name);
		count++;
	}
	return count;
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

static void put_slices(struct buf *out, const struct repo_publisher *p)
{
	unsigned i;

	for (i = 0; i < p->slices.count; i++)
		buf_printf(out, "%s%s", i == 0 ? " " : ", ", p->slices.items[i]);
}

static unsigned put_publisher_change(struct buf *out, const struct ceremony *c,
				     const struct repo_publisher *old,
				     const struct repo_publisher *next)
{
	unsigned changes = 0;

	if (old == NULL) {
		buf_printf(out, "    publisher '%s' is new\n", next->name);
		return 1;
	}
	changes += put_keys_beyond(out, c, next, old, "may now");
	changes += put_keys_beyond(out, c, old, next, "may NO LONGER");
	if (!same_slices(old, next)) {
		buf_printf(out, "    publisher '%s' has another slice; before:", next->name);
		put_slices(out, old);
		buf_put_u8(out, '\n');
		changes++;
	}
	return changes;
}

static void put_publishers(struct buf *out, const struct ceremony *c,
			   const struct repo_publisher *old, unsigned old_count,
			   const struct repo_publisher *next, unsigned next_count)
{
	unsigned changes = 0, i;

	for (i = 0; i < next_count; i++)
		changes += put_publisher_change(
			out, c, publisher_find(old, old_count, next[i].name), &next[i]);
	for (i = 0; i < old_count; i++) {
		if (publisher_find(next, next_count, old[i].name) != NULL)
			continue;
		buf_printf(out,
			   "    publisher '%s' may publish NOTHING any more; before:", old[i].name);
		put_slices(out, &old[i]);
		buf_put_u8(out, '\n');
		changes++;
	}
	if (changes == 0)
		buf_put_str(
			out,
			ceremony_unconfirmed(c, CEREMONY_TARGETS)
				? "    the publishers are those of that targets; the date changes\n"
				: "    no publisher changes; the date does\n");
}

void ceremony_put_targets_changes(struct buf *out, const struct ceremony *c,
				  const struct repo_publisher *next, unsigned next_count)
{
	struct error why = ERROR_INIT;
	struct repo_publisher *old = NULL;
	unsigned old_count = 0;

	if (c->targets_in_force == NULL)
		return;
	ceremony_put_against(out, c, CEREMONY_TARGETS);
	buf_put_str(out, ":\n");
	ceremony_put_doubt(out, c, CEREMONY_TARGETS);
	if (publishers_of_targets(c->targets_in_force, &old, &old_count, &why) < 0)
		buf_printf(out, "    cannot be compared: %s\n", why.text);
	else
		put_publishers(out, c, old, old_count, next, next_count);
	publishers_free(old, old_count);
}
