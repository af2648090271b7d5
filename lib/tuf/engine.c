/* The engine's frame: wants, answers, and the list of what to store. */
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
	if (stage == STAGE_ROOT_CHAIN || stage == STAGE_QUICK_ROOT)
		c->want.max_len = TUF_ROOT_MAX;
	else if (stage == STAGE_TIMESTAMP || stage == STAGE_QUICK_TIMESTAMP)
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
		return error_set(err, ERR_LIMIT, "%s is signed with %lld bytes, more than %llu",
				 c->want.path, (long long)meta->length,
				 (unsigned long long)TUF_SIGNED_MAX);
	c->want.max_len = (uint64_t)meta->length;
	return 0;
}

const struct tuf_want *tuf_client_want(const struct tuf_client *c)
{
	return c->wanting ? &c->want : NULL;
}

/* ---- life ---- */

struct tuf_client *tuf_client_new(struct slice anchor, const struct tuf_options *options,
				  struct error *err)
{
	struct tuf_client *c = xcalloc(1, sizeof(*c));

	c->opt = *options;
	c->floor_s = options->no_floor ? 0 : options->floor_s;
	tuf_time_reckon(c);
	c->root_bytes = BUF_INIT(TUF_ROOT_MAX);
	buf_put_slice(&c->root_bytes, anchor);
	if (c->root_bytes.failed) {
		error_set(err, ERR_LIMIT, "trusted root is larger than %llu bytes",
			  (unsigned long long)TUF_ROOT_MAX);
		goto fail;
	}
	sha256_of(anchor, c->anchor_hash);
	if (tuf_quick_begin(c))
		return c;
	if (tuf_anchor_adopt(c, err) < 0)
		goto fail;
	tuf_want_stored(c, STAGE_ROOT_STORED, "root");
	return c;
fail:
	tuf_client_free(c);
	return NULL;
}

int tuf_anchor_adopt(struct tuf_client *c, struct error *err)
{
	if ((c->root = tuf_root_parse(buf_slice(&c->root_bytes), err)) == NULL ||
	    tuf_root_check_self(c->root, err) < 0)
		return error_wrap(err, "trusted root");
	c->root_dirty = true;
	return 0;
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
	buf_release(&c->ahead.root);
	buf_release(&c->ahead.timestamp);
	buf_release(&c->search.result_bytes);
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
	case STAGE_QUICK_ROOT:
		return tuf_quick_root(c, bytes, err);
	case STAGE_QUICK_TIMESTAMP:
		return tuf_quick_timestamp(c, bytes, err);
	case STAGE_ROOT_STORED:
		return tuf_root_stored(c, bytes, err);
	case STAGE_OWN:
		return tuf_own_stored(c, bytes, err);
	case STAGE_ROOT_CHAIN:
		return tuf_root_fetched(c, bytes, err);
	case STAGE_TIMESTAMP_STORED:
		return tuf_timestamp_stored(c, bytes, err);
	case STAGE_TIMESTAMP:
		return tuf_timestamp_fetched(c, bytes, err);
	case STAGE_SNAPSHOT_STORED:
		return tuf_snapshot_stored(c, bytes, err);
	case STAGE_SNAPSHOT:
		return tuf_snapshot_fetched(c, bytes, err);
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
	if (!tuf_search_fail(c))
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
	return c->opt.no_floor ? -1 : c->floor_s;
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
		c->changes[n++] =
			(struct tuf_change){"root", c->root->head.text, c->root->head.version};
	if (c->timestamp_dirty)
		c->changes[n++] = (struct tuf_change){"timestamp", c->timestamp->head.text,
						      c->timestamp->head.version};
	else if (c->online_dropped && c->timestamp == NULL)
		c->changes[n++] = (struct tuf_change){"timestamp", SLICE_EMPTY, 0};
	if (c->snapshot_dirty)
		c->changes[n++] = (struct tuf_change){"snapshot", c->snapshot->head.text,
						      c->snapshot->head.version};
	else if (c->online_dropped && c->snapshot == NULL)
		c->changes[n++] = (struct tuf_change){"snapshot", SLICE_EMPTY, 0};
	for (i = 0; i < c->slot_count; i++) {
		const struct role_slot *s = c->slots[i];

		if (s->dirty && !s->superseded)
			c->changes[n++] = (struct tuf_change){s->name, s->file->head.text,
							      s->file->head.version};
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
