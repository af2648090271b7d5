/*
 * The short way of an update: facts of the last one, and from the server only what could change them. It never
 * decides that something is wrong: where the facts do not do, the ordinary stages run and judge.
 */
#include "tuf/engine_internal.h"

/* Nothing is kept across a change of the anchor: whoever replaces it wants it to be heard. */
bool tuf_quick_begin(struct tuf_client *c)
{
	const struct tuf_facts *f = c->opt.facts;

	if (f == NULL || c->opt.mode != TUF_MODE_CLIENT || f->roles[TUF_ROOT].version < 1 ||
	    f->roles[TUF_ROOT].version >= TUF_VERSION_MAX ||
	    memcmp(c->anchor_hash, f->anchor, sizeof(f->anchor)) != 0)
		return false;
	c->facts = *f;
	c->quick = true;
	tuf_want_fetch(c, STAGE_QUICK_ROOT, "root", f->roles[TUF_ROOT].version + 1);
	c->want.may_be_absent = true;
	return true;
}

int tuf_quick_end(struct tuf_client *c, struct error *err)
{
	c->quick = false;
	if (tuf_anchor_adopt(c, err) < 0)
		return -1;
	tuf_want_stored(c, STAGE_ROOT_STORED, "root");
	return 0;
}

static bool still_fresh(const struct tuf_client *c, enum tuf_type type)
{
	return c->facts.roles[type].expires_s > c->time_s;
}

static void take(struct buf *to, struct buf *bytes)
{
	*to = *bytes;
	*bytes = BUF_INIT(bytes->max);
}

int tuf_quick_root(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	c->ahead.root_version = c->facts.roles[TUF_ROOT].version + 1;
	c->ahead.root_absent = bytes == NULL;
	if (bytes != NULL)
		take(&c->ahead.root, bytes);
	if (bytes != NULL || !still_fresh(c, TUF_ROOT))
		return tuf_quick_end(c, err);
	tuf_want_fetch(c, STAGE_QUICK_TIMESTAMP, "timestamp", 0);
	return 0;
}

int tuf_quick_timestamp(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(buf_slice(bytes), hash);
	take(&c->ahead.timestamp, bytes);
	c->ahead.has_timestamp = true;
	if (memcmp(hash, c->facts.timestamp, sizeof(hash)) != 0 || !still_fresh(c, TUF_TIMESTAMP) ||
	    !still_fresh(c, TUF_SNAPSHOT) || !still_fresh(c, TUF_TARGETS))
		return tuf_quick_end(c, err);
	c->stage = STAGE_READY;
	return 0;
}

/* ---- what to keep ---- */

static void fact_set(struct tuf_facts *f, enum tuf_type type, const struct tuf_head *head)
{
	f->roles[type].version = head->version;
	f->roles[type].expires_s = head->expires_s;
}

bool tuf_client_facts(const struct tuf_client *c, struct tuf_facts *out)
{
	if (c->opt.mode != TUF_MODE_CLIENT || c->quick || !tuf_client_ready(c))
		return false;
	*out = (struct tuf_facts){.consistent_snapshot = c->root->consistent_snapshot};
	memcpy(out->anchor, c->anchor_hash, sizeof(out->anchor));
	sha256_of(c->timestamp->head.text, out->timestamp);
	fact_set(out, TUF_ROOT, &c->root->head);
	fact_set(out, TUF_TIMESTAMP, &c->timestamp->head);
	fact_set(out, TUF_SNAPSHOT, &c->snapshot->head);
	fact_set(out, TUF_TARGETS, &c->slots[0]->file->head);
	return true;
}

int64_t tuf_client_version(const struct tuf_client *c, enum tuf_type type)
{
	const struct tuf_targets *targets = tuf_client_targets(c);

	if (c->quick)
		return c->facts.roles[type].version;
	switch (type) {
	case TUF_ROOT:
		return c->root == NULL ? 0 : c->root->head.version;
	case TUF_TIMESTAMP:
		return c->timestamp == NULL ? 0 : c->timestamp->head.version;
	case TUF_SNAPSHOT:
		return c->snapshot == NULL ? 0 : c->snapshot->head.version;
	case TUF_TARGETS:
		return targets == NULL ? 0 : targets->head.version;
	case TUF_TYPES:
		break;
	}
	return 0;
}
