/*
 * The engine's first half: time and its floor, the root chain, timestamp and snapshot. Each
 * function takes the answer to one want and opens the next.
 */
#include "tuf/engine_internal.h"

/* ---- time ---- */

static int64_t max_s(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void tuf_time_reckon(struct tuf_client *c)
{
	c->time_s = max_s(c->opt.clock_s, c->opt.build_s);
	if (!c->opt.no_floor)
		c->time_s = max_s(c->time_s, c->floor_s);
}

/*
 * Only signed time raises the floor, and never past the root's own end: no one key can lock a
 * device for ever.
 */
static void floor_raise(struct tuf_client *c)
{
	int64_t at = c->timestamp->signed_at_s;

	if (at > c->root->head.expires_s)
		at = c->root->head.expires_s;
	if (at > c->floor_s && !c->opt.no_floor) {
		c->floor_s = at;
		tuf_time_reckon(c);
	}
}

int tuf_fresh(const struct tuf_client *c, const struct tuf_head *file, const char *what,
	      const char *clause, struct error *err)
{
	int64_t known_s = max_s(c->opt.build_s, c->opt.no_floor ? 0 : c->floor_s);

	if (tuf_verify_expiry(file, c->time_s, what, clause, err) == 0)
		return 0;
	if (file->expires_s > known_s)
		err->kind = ERR_RETRY;
	return -1;
}

/* ---- root ---- */

/* What a change of root undoes. Runs before that root's expiry is looked at. */
static void root_rotation(struct tuf_client *c, const struct tuf_root *from,
			  const struct tuf_root *to)
{
	if (tuf_root_rotates_timestamp(from, to)) {
		c->floor_s = 0;
		tuf_time_reckon(c);
	}
	if (tuf_root_rotates_online(from, to)) {
		c->online_dropped = c->opt.mode == TUF_MODE_CLIENT;
		c->online_rotated = true;
	}
	if (!tuf_keys_same(&from->roles[TUF_TARGETS].keys, &to->roles[TUF_TARGETS].keys))
		c->targets_rotated = true;
}

/* root becomes the trusted one; takes bytes and root. */
static void root_adopt(struct tuf_client *c, struct buf *bytes, struct tuf_root *root, bool dirty)
{
	tuf_root_free(c->root);
	buf_release(&c->root_bytes);
	c->root = root;
	c->root_bytes = *bytes;
	c->root_dirty = dirty;
	*bytes = BUF_INIT(bytes->max);
}

static void chain_append(struct tuf_client *c, struct slice bytes)
{
	c->chain = xreallocarray(c->chain, c->chain_count + 1, sizeof(*c->chain));
	c->chain_list = xreallocarray(c->chain_list, c->chain_count + 1, sizeof(*c->chain_list));
	c->chain[c->chain_count] = BUF_INIT(bytes.len);
	buf_put_slice(&c->chain[c->chain_count], bytes);
	c->chain_list[c->chain_count] = buf_slice(&c->chain[c->chain_count]);
	c->chain_count++;
}

/* The server's timestamp, unless it has come already. */
static int timestamp_fetch(struct tuf_client *c, struct error *err)
{
	if (!c->ahead.has_timestamp) {
		tuf_want_fetch(c, STAGE_TIMESTAMP, "timestamp", 0);
		return 0;
	}
	c->ahead.has_timestamp = false;
	return tuf_timestamp_fetched(c, &c->ahead.timestamp, err) < 0 ? error_wrap(err, "timestamp.json") : 0;
}

static int timestamp_begin(struct tuf_client *c, struct error *err)
{
	if (c->online_dropped)
		return timestamp_fetch(c, err);
	tuf_want_stored(c, STAGE_TIMESTAMP_STORED, "timestamp");
	return 0;
}

/* 5.3.10: only the newest root must be fresh; those on the way may have ended long ago. */
static int chain_end(struct tuf_client *c, struct error *err)
{
	if (tuf_fresh(c, &c->root->head, "root", "5.3.10", err) < 0)
		return -1;
	return c->opt.mode == TUF_MODE_IMPORT ? tuf_roles_begin(c, err) : timestamp_begin(c, err);
}

/* The next root has come already, or is known to be absent. */
static int chain_ahead(struct tuf_client *c, struct error *err)
{
	struct fetched_ahead *a = &c->ahead;
	int64_t version = a->root_version;

	a->root_version = 0;
	if (tuf_root_fetched(c, a->root_absent ? NULL : &a->root, err) == 0)
		return 0;
	return a->root_absent ? -1 : error_wrap(err, "%lld.root.json", (long long)version);
}

static int chain_next(struct tuf_client *c, struct error *err)
{
	if (c->chain_count == TUF_ROOTS_MAX || c->root->head.version == TUF_VERSION_MAX)
		return chain_end(c, err);
	if (c->root->head.version + 1 == c->ahead.root_version)
		return chain_ahead(c, err);
	tuf_want_fetch(c, STAGE_ROOT_CHAIN, "root", c->root->head.version + 1);
	c->want.may_be_absent = true;
	return 0;
}

/*
 * The stored root stands if it is sound, of our site, and newer than the anchor. An anchor newer
 * than it (a device whose program or anchor was replaced) takes its place as a successor would. A
 * damaged one heals from the anchor.
 */
int tuf_root_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_root *root = bytes == NULL ? NULL : tuf_root_parse_after(buf_slice(bytes), c->root, &ignored);

	if (root != NULL && tuf_root_check_self(root, &ignored) == 0 &&
	    strcmp(root->site, c->root->site) == 0) {
		if (root->head.version > c->root->head.version) {
			root_adopt(c, bytes, root, false);
			root = NULL;
		} else if (slice_equal(root->head.text, c->root->head.text)) {
			c->root_dirty = false;
		} else {
			root_rotation(c, root, c->root);
		}
	}
	tuf_root_free(root);
	if (c->opt.mode == TUF_MODE_CLIENT)
		return chain_next(c, err);
	tuf_want_stored(c, STAGE_OWN, "snapshot");
	return 0;
}

int tuf_root_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_root *root;

	if (bytes == NULL)
		return chain_end(c, err);
	if ((root = tuf_root_parse_after(buf_slice(bytes), c->root, err)) == NULL)
		return -1;
	if (tuf_root_check(c->root, root, err) < 0) {
		tuf_root_free(root);
		return -1;
	}
	chain_append(c, buf_slice(bytes));
	root_rotation(c, c->root, root);
	root_adopt(c, bytes, root, true);
	return chain_next(c, err);
}

/* ---- import: our own snapshot ---- */

/* A damaged one is no reason to forget what it said: the operator has to look. */
int tuf_own_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_snapshot *own;

	if (bytes == NULL)
		return chain_next(c, err);
	if ((own = tuf_snapshot_parse(buf_slice(bytes), err)) == NULL)
		goto damaged;
	if (tuf_verify_role(&c->root->roles[TUF_SNAPSHOT], &own->head, NULL, "snapshot", "5.5.3",
			    err) < 0) {
		tuf_snapshot_free(own);
		goto damaged;
	}
	c->reference = own;
	c->reference_bytes = *bytes;
	*bytes = BUF_INIT(bytes->max);
	return chain_next(c, err);
damaged:
	error_wrap(err, "our own snapshot does not hold");
	return error_hint(err, "without it nothing says which versions may not be gone below");
}

/* ---- timestamp ---- */

static void timestamp_adopt(struct tuf_client *c, struct buf *bytes, struct tuf_timestamp *t,
			    bool dirty)
{
	tuf_timestamp_free(c->timestamp);
	buf_release(&c->timestamp_bytes);
	c->timestamp = t;
	c->timestamp_bytes = *bytes;
	c->timestamp_dirty = dirty;
	*bytes = BUF_INIT(bytes->max);
}

int tuf_timestamp_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_timestamp *t =
		bytes == NULL ? NULL : tuf_timestamp_parse(buf_slice(bytes), &ignored);

	if (t != NULL && tuf_timestamp_check(c->root, NULL, t, -1, &ignored) == 0) {
		timestamp_adopt(c, bytes, t, false);
		t = NULL;
	}
	tuf_timestamp_free(t);
	return timestamp_fetch(c, err);
}

static int snapshot_fetch(struct tuf_client *c, struct error *err)
{
	tuf_want_fetch(c, STAGE_SNAPSHOT, "snapshot",
		       c->root->consistent_snapshot ? c->timestamp->snapshot.version : 0);
	return tuf_want_bind(c, &c->timestamp->snapshot, err);
}

static int snapshot_begin(struct tuf_client *c, struct error *err)
{
	floor_raise(c);
	if (c->online_dropped)
		return snapshot_fetch(c, err);
	tuf_want_stored(c, STAGE_SNAPSHOT_STORED, "snapshot");
	return 0;
}

int tuf_timestamp_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_timestamp *t = tuf_timestamp_parse(buf_slice(bytes), err);

	if (t == NULL)
		return -1;
	if (tuf_timestamp_check(c->root, c->timestamp, t, -1, err) < 0)
		goto fail;
	if (c->timestamp != NULL && t->head.version == c->timestamp->head.version) {
		/* 5.4.3.1: it says nothing new. The one that we have must still be fresh. */
		if (tuf_fresh(c, &c->timestamp->head, "timestamp", "5.4.4", err) < 0)
			goto fail;
		tuf_timestamp_free(t);
		return snapshot_begin(c, err);
	}
	if (tuf_fresh(c, &t->head, "timestamp", "5.4.4", err) < 0)
		goto fail;
	timestamp_adopt(c, bytes, t, true);
	return snapshot_begin(c, err);
fail:
	tuf_timestamp_free(t);
	return -1;
}

/* ---- snapshot ---- */

static void snapshot_adopt(struct tuf_client *c, struct buf *bytes, struct tuf_snapshot *s,
			   bool dirty)
{
	c->snapshot = s;
	c->snapshot_bytes = *bytes;
	c->snapshot_dirty = dirty;
	*bytes = BUF_INIT(bytes->max);
}

/*
 * A stored snapshot that is signed holds us to what it lists, even when it is too old to be used
 * itself.
 */
int tuf_snapshot_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_snapshot *s =
		bytes == NULL ? NULL : tuf_snapshot_parse(buf_slice(bytes), &ignored);

	if (s == NULL)
		return snapshot_fetch(c, err);
	if (tuf_snapshot_check(c->root, c->timestamp, NULL, s, c->time_s, &ignored) == 0) {
		snapshot_adopt(c, bytes, s, false);
		return tuf_roles_begin(c, err);
	}
	if (tuf_verify_role(&c->root->roles[TUF_SNAPSHOT], &s->head, NULL, "snapshot", "5.5.3",
			    &ignored) == 0) {
		c->reference = s;
		c->reference_bytes = *bytes;
		*bytes = BUF_INIT(bytes->max);
	} else {
		tuf_snapshot_free(s);
	}
	return snapshot_fetch(c, err);
}

int tuf_snapshot_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_snapshot *s = tuf_snapshot_parse(buf_slice(bytes), err);

	if (s == NULL)
		return -1;
	if (tuf_snapshot_check(c->root, c->timestamp, c->reference, s, -1, err) < 0 ||
	    tuf_fresh(c, &s->head, "snapshot", "5.5.6", err) < 0) {
		tuf_snapshot_free(s);
		return -1;
	}
	snapshot_adopt(c, bytes, s, true);
	return tuf_roles_begin(c, err);
}
