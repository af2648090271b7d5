/* A bundle from its first byte to its last: the workflow over its metadata, then its artifacts. */
#include "bundle/verify.h"

#include <stdlib.h>

#include "base/encode.h"
#include "tuf/verify.h"

/* ---- the workflow ---- */

static int drive(struct bundle_check *c, struct slice anchor, enum tuf_mode mode, int64_t now_s, struct error *err)
{
	const struct tuf_options options = {.mode = mode, .clock_s = now_s, .no_floor = true};
	const struct tuf_source source = {bundle_check_get, c};
	struct tuf_client *client = tuf_client_new(anchor, &options, err);
	int r = client == NULL ? -1 : tuf_drive(client, NULL, &source, err);

	tuf_client_free(client);
	return r;
}

static const struct bundle_file *find(const struct bundle_check *c, enum member_kind kind)
{
	unsigned i;

	for (i = 0; i < c->file_count; i++) {
		if (c->files[i].member.kind == kind)
			return &c->files[i];
	}
	return NULL;
}

/* What a device asks for one path at a time: that snapshot names each publisher's file, just as it is. */
static int check_listed(const struct bundle_check *c, struct error *err)
{
	const struct bundle_file *f = find(c, MEMBER_SNAPSHOT);
	struct tuf_snapshot *snapshot;
	struct tuf_metafile meta;
	unsigned i;
	int r = 0;

	if (f == NULL)
		return error_set(err, ERR_REFUSED, "there is no snapshot in it (5.5)");
	if ((snapshot = tuf_snapshot_parse(buf_slice(&f->bytes), err)) == NULL)
		return error_wrap(err, "%s", f->member.name);
	for (i = 0; r == 0 && i < c->file_count; i++) {
		f = &c->files[i];
		if (f->member.kind != MEMBER_ROLE)
			continue;
		r = tuf_snapshot_find(snapshot, slice_str(f->member.role), &meta, err);
		if (r < 0 || meta.version != f->member.version)
			r = error_set(err, ERR_REFUSED, "%s: snapshot does not name this version (5.6.4)", f->member.name);
		else
			r = tuf_hashes_check(&meta.hashes, buf_slice(&f->bytes), f->member.name, err);
	}
	tuf_snapshot_free(snapshot);
	return r;
}

/* An import's walk sees every role; a device's way begins at the timestamp. */
static int check_workflow(struct bundle_check *c, const struct bundle_verify *v, struct error *err)
{
	struct slice anchor = buf_slice(&c->root_text);

	if (c->manifest.kind == BUNDLE_DEVICE &&
	    (drive(c, anchor, TUF_MODE_CLIENT, v->check.now_s, err) < 0 || check_listed(c, err) < 0))
		return -1;
	return drive(c, anchor, TUF_MODE_IMPORT, v->check.now_s, err) < 0 ? -1 : bundle_check_used(c, err);
}

/* ---- bytes ---- */

static int read_through(struct bundle_reader *r, const struct bundle_verify *v, struct error *err)
{
	struct slice piece;

	do {
		if (bundle_piece(r, &piece, err) < 0)
			return -1;
		if (v->progress != NULL)
			v->progress(v->arg, bundle_reader_at(r), bundle_reader_total(r));
	} while (piece.len > 0);
	return 0;
}

static int check_artifacts(struct bundle_check *c, struct bundle_reader *r, struct bundle_verify *v,
			   const struct bundle_wants *wants, struct error *err)
{
	struct member m = c->next;
	int more = c->has_next ? 1 : 0;

	while (more > 0) {
		if (bundle_wants_take(wants, &m, err) < 0 || read_through(r, v, err) < 0)
			return -1;
		v->artifacts++;
		v->artifact_bytes += m.length;
		more = bundle_next(r, &m, err);
	}
	return more < 0 ? -1 : bundle_end(r, err);
}

static int check_complete(const struct bundle_check *c, struct bundle_verify *v, const struct bundle_wants *wants,
			  struct error *err)
{
	const struct bundle_want *lacking = bundle_wants_lacking(wants);
	char hex[SHA256_HEX_LEN];
	uint32_t i;

	for (i = 0; i < wants->count; i++)
		v->lacking += !wants->list[i].have;
	if (lacking == NULL || !c->manifest.complete || c->manifest.has_since)
		return 0;
	hex_encode(hex, lacking->sha256, SHA256_LEN);
	return error_set(err, ERR_REFUSED,
			 "artifact %s is listed and not inside, although the bundle says that it is complete", hex);
}

int bundle_verify(struct bundle_check *c, struct bundle_reader *r, struct bundle_verify *v, struct error *err)
{
	struct bundle_wants wants = {.list = NULL};
	int ret = -1;

	if (bundle_check(c, r, &v->check, err) == 0 && check_workflow(c, v, err) == 0 &&
	    bundle_wants_add_all(&wants, c, err) == 0 && bundle_wants_ready(&wants, err) == 0 &&
	    check_artifacts(c, r, v, &wants, err) == 0)
		ret = check_complete(c, v, &wants, err);
	bundle_wants_release(&wants);
	return ret;
}
