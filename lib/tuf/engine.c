/* The engine's first half: wants, the root chain, timestamp and snapshot, time, and the list of what to store. */
#include "tuf/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "tuf/engine_internal.h"

/* ---- wants ---- */

static void want_open(struct tuf_client *c, enum tuf_stage stage, const char *role)
{
	c->stage = stage;
	c->wanting = true;
	c->want = (struct tuf_want){.length = -1, .max_len = TUF_UNSIGNED_MAX};
	memcpy(c->want.role, role, strlen(role) + 1);
}

void tuf_want_stored(struct tuf_client *c, enum tuf_stage stage, const char *role)
{
	want_open(c, stage, role);
	c->want.stored = true;
	c->want.may_be_absent = true;
	if (stage == STAGE_ROLE_STORED || stage == STAGE_SNAPSHOT_STORED || stage == STAGE_OWN)
		c->want.max_len = TUF_SIGNED_MAX;
	else
		c->want.max_len = stage == STAGE_ROOT_STORED ? TUF_ROOT_MAX : TUF_TIMESTAMP_MAX;
}

void tuf_want_fetch(struct tuf_client *c, enum tuf_stage stage, const char *role, int64_t version)
{
	struct buf path = BUF_INIT(TUF_URL_PATH_MAX - 1);

	want_open(c, stage, role);
	c->want.version = version;
	if (stage == STAGE_ROOT_CHAIN)
		c->want.max_len = TUF_ROOT_MAX;
	else if (stage == STAGE_TIMESTAMP)
		c->want.max_len = TUF_TIMESTAMP_MAX;
	if (version > 0)
		buf_printf(&path, "%lld.", (long long)version);
	tuf_percent_put(&path, slice_str(role), false);
	buf_put_str(&path, ".json");
	/* A role name has at most 255 bytes: it always fits. */
	memcpy(c->want.path, buf_cstr(&path), path.len + 1);
	buf_release(&path);
}

int tuf_want_bind(struct tuf_client *c, const struct tuf_metafile *meta, struct error *err)
{
	c->want.length = meta->length;
	c->want.hashes = meta->hashes;
	if (meta->length < 0)
		return 0;
	if ((uint64_t)meta->length > TUF_SIGNED_MAX)
		return error_set(err, ERR_LIMIT, "%s is signed with %lld bytes, more than %llu", c->want.path,
				 (long long)meta->length, (unsigned long long)TUF_SIGNED_MAX);
	c->want.max_len = (uint64_t)meta->length;
	return 0;
}

const struct tuf_want *tuf_client_want(const struct tuf_client *c)
{
	return c->wanting ? &c->want : NULL;
}

/* ---- time ---- */

static int64_t max_s(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void time_reckon(struct tuf_client *c)
{
	c->time_s = max_s(c->opt.clock_s, c->opt.build_s);
	if (!c->opt.no_floor)
		c->time_s = max_s(c->time_s, c->floor_s);
}

/* Only signed time raises the floor, and never past the root's own end: no one key can lock a device for ever. */
static void floor_raise(struct tuf_client *c)
{
	int64_t at = c->timestamp->signed_at_s;

	if (at > c->root->head.expires_s)
		at = c->root->head.expires_s;
	if (at > c->floor_s && !c->opt.no_floor) {
		c->floor_s = at;
		time_reckon(c);
	}
}

/* ---- root ---- */

/* What a change of root undoes. Runs before that root's expiry is looked at. */
static void root_rotation(struct tuf_client *c, const struct tuf_root *from, const struct tuf_root *to)
{
	if (tuf_root_rotates_timestamp(from, to)) {
		c->floor_s = 0;
		time_reckon(c);
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

static int timestamp_begin(struct tuf_client *c)
{
	if (c->online_dropped)
		tuf_want_fetch(c, STAGE_TIMESTAMP, "timestamp", 0);
	else
		tuf_want_stored(c, STAGE_TIMESTAMP_STORED, "timestamp");
	return 0;
}

/* 5.3.10: only the newest root must be fresh; those on the way may have ended long ago. */
static int chain_end(struct tuf_client *c, struct error *err)
{
	if (tuf_verify_expiry(&c->root->head, c->time_s, "root", "5.3.10", err) < 0)
		return -1;
	return c->opt.mode == TUF_MODE_IMPORT ? tuf_roles_begin(c, err) : timestamp_begin(c);
}

static int chain_next(struct tuf_client *c, struct error *err)
{
	if (c->chain_count == TUF_ROOTS_MAX || c->root->head.version == TUF_VERSION_MAX)
		return chain_end(c, err);
	tuf_want_fetch(c, STAGE_ROOT_CHAIN, "root", c->root->head.version + 1);
	c->want.may_be_absent = true;
	return 0;
}

/*
 * The stored root stands if it is sound, of our site, and newer than the anchor. An anchor newer than it (a device
 * whose program or anchor was replaced) takes its place as a successor would. A damaged one heals from the anchor.
 */
static int root_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_root *root = bytes == NULL ? NULL : tuf_root_parse(buf_slice(bytes), &ignored);

	if (root != NULL && tuf_root_check_self(root, &ignored) == 0 && strcmp(root->site, c->root->site) == 0) {
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

static int root_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_root *root;

	if (bytes == NULL)
		return chain_end(c, err);
	if ((root = tuf_root_parse(buf_slice(bytes), err)) == NULL)
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
static int own_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_snapshot *own;

	if (bytes == NULL)
		return chain_next(c, err);
	if ((own = tuf_snapshot_parse(buf_slice(bytes), err)) == NULL)
		goto damaged;
	if (tuf_verify_role(&c->root->roles[TUF_SNAPSHOT], &own->head, NULL, "snapshot", "5.5.3", err) < 0) {
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

static void timestamp_adopt(struct tuf_client *c, struct buf *bytes, struct tuf_timestamp *t, bool dirty)
{
	tuf_timestamp_free(c->timestamp);
	buf_release(&c->timestamp_bytes);
	c->timestamp = t;
	c->timestamp_bytes = *bytes;
	c->timestamp_dirty = dirty;
	*bytes = BUF_INIT(bytes->max);
}

static int timestamp_stored(struct tuf_client *c, struct buf *bytes)
{
	struct error ignored = ERROR_INIT;
	struct tuf_timestamp *t = bytes == NULL ? NULL : tuf_timestamp_parse(buf_slice(bytes), &ignored);

	if (t != NULL && tuf_timestamp_check(c->root, NULL, t, -1, &ignored) == 0) {
		timestamp_adopt(c, bytes, t, false);
		t = NULL;
	}
	tuf_timestamp_free(t);
	tuf_want_fetch(c, STAGE_TIMESTAMP, "timestamp", 0);
	return 0;
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

static int timestamp_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_timestamp *t = tuf_timestamp_parse(buf_slice(bytes), err);

	if (t == NULL)
		return -1;
	if (tuf_timestamp_check(c->root, c->timestamp, t, c->time_s, err) < 0) {
		tuf_timestamp_free(t);
		return -1;
	}
	if (c->timestamp == NULL || t->head.version > c->timestamp->head.version) {
		timestamp_adopt(c, bytes, t, true);
		return snapshot_begin(c, err);
	}
	/* 5.4.3.1: the same version says nothing new. The one we have must still be fresh. */
	tuf_timestamp_free(t);
	if (tuf_verify_expiry(&c->timestamp->head, c->time_s, "timestamp", "5.4.4", err) < 0)
		return -1;
	return snapshot_begin(c, err);
}

/* ---- snapshot ---- */

static void snapshot_adopt(struct tuf_client *c, struct buf *bytes, struct tuf_snapshot *s, bool dirty)
{
	c->snapshot = s;
	c->snapshot_bytes = *bytes;
	c->snapshot_dirty = dirty;
	*bytes = BUF_INIT(bytes->max);
}

/* A stored snapshot that is signed holds us to what it lists, even when it is too old to be used itself. */
static int snapshot_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_snapshot *s = bytes == NULL ? NULL : tuf_snapshot_parse(buf_slice(bytes), &ignored);

	if (s == NULL)
		return snapshot_fetch(c, err);
	if (tuf_snapshot_check(c->root, c->timestamp, NULL, s, c->time_s, &ignored) == 0) {
		snapshot_adopt(c, bytes, s, false);
		return tuf_roles_begin(c, err);
	}
	if (tuf_verify_role(&c->root->roles[TUF_SNAPSHOT], &s->head, NULL, "snapshot", "5.5.3", &ignored) == 0) {
		c->reference = s;
		c->reference_bytes = *bytes;
		*bytes = BUF_INIT(bytes->max);
	} else {
		tuf_snapshot_free(s);
	}
	return snapshot_fetch(c, err);
}

static int snapshot_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct tuf_snapshot *s = tuf_snapshot_parse(buf_slice(bytes), err);

	if (s == NULL)
		return -1;
	if (tuf_snapshot_check(c->root, c->timestamp, c->reference, s, c->time_s, err) < 0) {
		tuf_snapshot_free(s);
		return -1;
	}
	snapshot_adopt(c, bytes, s, true);
	return tuf_roles_begin(c, err);
}

/* ---- life ---- */

struct tuf_client *tuf_client_new(struct slice anchor, const struct tuf_options *options, struct error *err)
{
	struct tuf_client *c = xcalloc(1, sizeof(*c));

	c->opt = *options;
	c->floor_s = options->no_floor ? 0 : options->floor_s;
	time_reckon(c);
	c->root_bytes = BUF_INIT(TUF_ROOT_MAX);
	buf_put_slice(&c->root_bytes, anchor);
	if (c->root_bytes.failed) {
		error_set(err, ERR_LIMIT, "trusted root is larger than %llu bytes", (unsigned long long)TUF_ROOT_MAX);
		goto fail;
	}
	if ((c->root = tuf_root_parse(buf_slice(&c->root_bytes), err)) == NULL ||
	    tuf_root_check_self(c->root, err) < 0) {
		error_wrap(err, "trusted root");
		goto fail;
	}
	c->root_dirty = true;
	tuf_want_stored(c, STAGE_ROOT_STORED, "root");
	return c;
fail:
	tuf_client_free(c);
	return NULL;
}

void tuf_client_free(struct tuf_client *c)
{
	unsigned i;

	if (c == NULL)
		return;
	tuf_roles_release(c);
	tuf_root_free(c->root);
	tuf_timestamp_free(c->timestamp);
	tuf_snapshot_free(c->snapshot);
	tuf_snapshot_free(c->reference);
	buf_release(&c->root_bytes);
	buf_release(&c->timestamp_bytes);
	buf_release(&c->snapshot_bytes);
	buf_release(&c->reference_bytes);
	for (i = 0; i < c->chain_count; i++)
		buf_release(&c->chain[i]);
	free(c->chain);
	free(c->chain_list);
	free(c->changes);
	free(c);
}

/* One answer, handed to the stage that asked. bytes NULL: there is no such file. */
static int answer(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	switch (c->stage) {
	case STAGE_ROOT_STORED:
		return root_stored(c, bytes, err);
	case STAGE_OWN:
		return own_stored(c, bytes, err);
	case STAGE_ROOT_CHAIN:
		return root_fetched(c, bytes, err);
	case STAGE_TIMESTAMP_STORED:
		return timestamp_stored(c, bytes);
	case STAGE_TIMESTAMP:
		return timestamp_fetched(c, bytes, err);
	case STAGE_SNAPSHOT_STORED:
		return snapshot_stored(c, bytes, err);
	case STAGE_SNAPSHOT:
		return snapshot_fetched(c, bytes, err);
	case STAGE_ROLE_STORED:
		return tuf_roles_stored(c, bytes, err);
	case STAGE_ROLE:
		return tuf_roles_fetched(c, bytes, err);
	case STAGE_READY:
	case STAGE_FAILED:
		break;
	}
	return error_set(err, ERR_FAILED, "the client had not asked for a file");
}

static int end_in_failure(struct tuf_client *c)
{
	c->wanting = false;
	if (!tuf_roles_end_search(c))
		c->stage = STAGE_FAILED;
	return -1;
}

static int not_asked(struct error *err)
{
	return error_set(err, ERR_FAILED, "the client had not asked for a file");
}

int tuf_client_feed(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	char what[sizeof(c->want.path)];
	int r;

	if (!c->wanting) {
		buf_release(bytes);
		return not_asked(err);
	}
	c->wanting = false;
	memcpy(what, c->want.path, sizeof(what));
	if (c->want.stored)
		r = answer(c, bytes->failed || bytes->len > c->want.max_len ? NULL : bytes, err);
	else if (bytes->failed || bytes->len > c->want.max_len)
		r = error_set(err, ERR_LIMIT, "more than the %llu bytes allowed",
			      (unsigned long long)c->want.max_len);
	else
		r = answer(c, bytes, err);
	buf_release(bytes);
	if (r == 0)
		return 0;
	if (what[0] != '\0')
		error_wrap(err, "%s", what);
	return end_in_failure(c);
}

int tuf_client_absent(struct tuf_client *c, struct error *err)
{
	int r;

	if (!c->wanting)
		return not_asked(err);
	c->wanting = false;
	if (c->want.may_be_absent)
		r = answer(c, NULL, err);
	else
		r = error_set(err, ERR_NOT_FOUND, "the repository does not have %s", c->want.path);
	return r == 0 ? 0 : end_in_failure(c);
}

int tuf_client_fail(struct tuf_client *c, const struct error *why, struct error *err)
{
	char path[sizeof(c->want.path)];

	if (!c->wanting)
		return not_asked(err);
	memcpy(path, c->want.path, sizeof(path));
	if (err != why)
		*err = *why;
	error_wrap(err, "cannot get %s", path[0] != '\0' ? path : c->want.role);
	return end_in_failure(c);
}

bool tuf_client_ready(const struct tuf_client *c)
{
	return c->stage == STAGE_READY || c->search.running;
}

/* ---- what is trusted ---- */

const struct tuf_root *tuf_client_root(const struct tuf_client *c)
{
	return c->root;
}

const struct tuf_timestamp *tuf_client_timestamp(const struct tuf_client *c)
{
	return c->timestamp;
}

const struct tuf_snapshot *tuf_client_snapshot(const struct tuf_client *c)
{
	return c->snapshot;
}

const struct tuf_targets *tuf_client_targets(const struct tuf_client *c)
{
	return c->slot_count > 0 ? c->slots[0]->file : NULL;
}

int64_t tuf_client_time(const struct tuf_client *c)
{
	return c->time_s;
}

int64_t tuf_client_floor(const struct tuf_client *c)
{
	return c->floor_s;
}

unsigned tuf_client_chain(const struct tuf_client *c, const struct slice **list)
{
	*list = c->chain_list;
	return c->chain_count;
}

/* ---- what to store ---- */

unsigned tuf_client_changes(struct tuf_client *c, const struct tuf_change **list)
{
	unsigned n = 0, i;

	c->changes = xreallocarray(c->changes, 3 + c->slot_count, sizeof(*c->changes));
	if (c->root_dirty)
		c->changes[n++] = (struct tuf_change){"root", c->root->head.text, c->root->head.version};
	if (c->timestamp_dirty)
		c->changes[n++] = (struct tuf_change){"timestamp", c->timestamp->head.text, c->timestamp->head.version};
	else if (c->online_dropped && c->timestamp == NULL)
		c->changes[n++] = (struct tuf_change){"timestamp", SLICE_EMPTY, 0};
	if (c->snapshot_dirty)
		c->changes[n++] = (struct tuf_change){"snapshot", c->snapshot->head.text, c->snapshot->head.version};
	else if (c->online_dropped && c->snapshot == NULL)
		c->changes[n++] = (struct tuf_change){"snapshot", SLICE_EMPTY, 0};
	for (i = 0; i < c->slot_count; i++) {
		const struct role_slot *s = c->slots[i];

		if (s->dirty && !s->superseded)
			c->changes[n++] = (struct tuf_change){s->name, s->file->head.text, s->file->head.version};
	}
	*list = c->changes;
	return n;
}

void tuf_client_stored(struct tuf_client *c)
{
	unsigned i;

	c->root_dirty = c->timestamp_dirty = c->snapshot_dirty = false;
	for (i = 0; i < c->slot_count; i++)
		c->slots[i]->dirty = false;
}
