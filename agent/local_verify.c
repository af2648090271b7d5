/*
 * What the worker has read of a bundle, judged: the metadata by the same engine as what comes over a network, the
 * manifest by its signature, its site and its time, then each artifact by its descriptor and the marks. Nothing is kept
 * here: a bundle that is refused leaves no trace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/blobs.h"
#include "agent/local_internal.h"
#include "base/timefmt.h"
#include "crypto/sshsig.h"
#include "sys/clock.h"
#include "tuf/engine_drive.h"

struct judging {
	struct agent *agent;
	struct local *local;
	struct tuf_blob *list;
	unsigned count;
	struct tuf_options options;
};

/* ---- the manifest ---- */

static int read_manifest(struct judging *j, struct manifest *m, struct slice *signature, struct error *err)
{
	struct slice text = blobs_find(j->list, j->count, SLICE_LIT(BUNDLE_MANIFEST));
	struct buf copy = BUF_INIT(MANIFEST_DEVICE_MAX);
	int r;

	*signature = blobs_find(j->list, j->count, SLICE_LIT(BUNDLE_SIGNATURE));
	buf_put_slice(&copy, text);
	if (text.ptr == NULL || signature->ptr == NULL)
		r = error_set(err, ERR_MALFORMED, "the worker handed over no manifest");
	else if (copy.failed)
		r = error_set(err, ERR_LIMIT, "the manifest is larger than %zu bytes", copy.max);
	else
		r = manifest_parse(m, &copy, err);
	buf_release(&copy);
	return r;
}

static int check_addressee(const struct agent *a, const struct manifest *m, struct error *err)
{
	const char *site = a->identity.site;

	if (m->kind != BUNDLE_DEVICE)
		return error_set(err, ERR_REFUSED, "this bundle is not for a device");
	if (strcmp(m->site, site) != 0)
		return error_set(err, ERR_REFUSED, "this bundle is for site '%s', this device is of site '%s'", m->site, site);
	return 0;
}

/* The keys are in the newest root, which the bundle itself may have brought, with the chain that leads to it. */
static int check_signature(const struct tuf_root *root, const struct manifest *m, struct slice signature,
			   struct error *err)
{
	struct error why = ERROR_INIT;
	unsigned i;

	for (i = 0; i < root->site_keys.count; i++) {
		const struct pubkey *k = &root->site_keys.list[i].pub;

		if (k->scheme != KEY_NONE && sshsig_verify_sha256(k, BUNDLE_NAMESPACE, m->id, signature, &why) == 0)
			return 0;
	}
	return error_set(err, ERR_REFUSED,
			 "'%s': not signed by a record key of site '%s' (%u in root version %lld)%s%.200s", BUNDLE_SIGNATURE,
			 m->site, root->site_keys.count, (long long)root->head.version, why.kind != ERR_NONE ? ": " : "",
			 why.text);
}

/*
 * Past its time by what is signed or built in, it is refused; by the system clock alone, which may be wrong, another try
 * with another clock may do.
 */
static int check_validity(const struct judging *j, const struct tuf_client *c, const struct manifest *m,
			  struct error *err)
{
	int64_t signed_s = tuf_client_floor(c);
	char text[TIME_TEXT_LEN];
	bool sure;

	if (signed_s < j->options.build_s)
		signed_s = j->options.build_s;
	sure = m->valid_until_s <= signed_s;
	if (!sure && m->valid_until_s > j->options.clock_s)
		return 0;
	error_set(err, sure ? ERR_REFUSED : ERR_RETRY, "the bundle was valid until %s%s", time_text(text, m->valid_until_s),
		  sure ? "" : ", which is past by this machine's clock");
	return error_hint(err, sure ? "ask for a new one" : "set the clock, or ask for a new bundle");
}

/* ---- artifacts ---- */

static int look_up(const struct judging *j, struct tuf_client *c, const char *path, struct error *err)
{
	struct tuf_blobs all = {j->list, j->count};
	const struct tuf_source source = {tuf_blobs_get, &all};

	if (tuf_client_lookup(c, slice_str(path), err) < 0)
		return -1;
	return tuf_drive(c, &j->agent->trusted, &source, err);
}

static void skip(struct local *l, const char *path, const char *why)
{
	struct local_skip *s;

	l->skips = xreallocarray(l->skips, l->skip_count + 1, sizeof(*l->skips));
	s = &l->skips[l->skip_count++];
	snprintf(s->path, sizeof(s->path), "%s", path);
	snprintf(s->why, sizeof(s->why), "%.255s", why);
}

/* Is it in place already? Named by the operator, it is put in once more all the same. */
static int in_place(struct agent *a, const struct update *u, int64_t release, bool *out, struct error *err)
{
	struct installed i;

	if (state_installed(a->db, u->artifact, &i, err) < 0)
		return -1;
	*out = strcmp(i.version, u->version) == 0 && i.release == release;
	return 0;
}

/* Of one artifact; an item or a skip. What was named must do. */
static int judge_artifact(struct judging *j, struct tuf_client *c, struct slice path, bool named, struct error *err)
{
	struct local_item *item = &j->local->items[j->local->item_count];
	struct update *u = &item->update;
	struct descriptor d = {.kind = 0};
	bool here = false;
	int r = -1;

	update_init(u);
	if (update_set_path(u, path, err) < 0 || look_up(j, c, u->path, err) < 0 || verify_take_result(u, c, err) < 0)
		goto out;
	if (verify_descriptor(j->agent, u, &d, err) < 0) {
		if (!named && err->kind == ERR_REFUSED) {
			skip(j->local, u->path, err->text);
			*err = ERROR_INIT;
			r = 0;
		} else {
			error_wrap(err, "'%s'", u->path);
		}
		goto out;
	}
	if (in_place(j->agent, u, d.release, &here, err) < 0)
		goto out;
	if (here && !named) {
		skip(j->local, u->path, "in place already");
		r = 0;
		goto out;
	}
	item->release = d.release;
	item->state = UPDATE_NONE;
	j->local->check_bytes += u->length;
	j->local->item_count++;
	u = NULL;
	r = 0;
out:
	descriptor_release(&d);
	if (u != NULL)
		update_release(u);
	return r;
}

static int compare_payloads(const void *a, const void *b)
{
	const struct local_item *x = a, *y = b;

	return memcmp(x->update.sha256, y->update.sha256, SHA256_LEN);
}

/* What was not named is applied in the order of the bundle, which is then read once from end to end. */
static int judge_artifacts(struct judging *j, struct tuf_client *c, struct error *err)
{
	struct local *l = j->local;
	bool named = l->named.len > 0;
	struct slice lines = named ? buf_slice(&l->named) : blobs_find(j->list, j->count, SLICE_LIT(UNPACK_CANDIDATES));
	unsigned count = 0;

	l->items = xcalloc(UNPACK_PLAN_MAX, sizeof(*l->items));
	while (lines.len > 0) {
		size_t end = slice_find(lines, '\n', 0);

		if (count++ == UNPACK_PLAN_MAX)
			return error_set(err, ERR_LIMIT, "more than %d artifacts at once", UNPACK_PLAN_MAX);
		if (judge_artifact(j, c, slice_sub(lines, 0, end), named, err) < 0)
			return -1;
		lines = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(lines, end + 1, SIZE_MAX);
	}
	if (!named)
		qsort(l->items, l->item_count, sizeof(*l->items), compare_payloads);
	return 0;
}

/* Each payload is in the bundle, with the length that is signed. */
static int check_payloads(const struct local *l, struct error *err)
{
	struct manifest_iter it = manifest_iter(&l->manifest);
	bool *found = xcalloc(UNPACK_PLAN_MAX, sizeof(*found));
	struct member m;
	unsigned i;
	int r = 0;

	while (manifest_next(&it, &m))
		for (i = 0; m.kind == MEMBER_ARTIFACT && i < l->item_count; i++)
			if (memcmp(m.sha256, l->items[i].update.sha256, SHA256_LEN) == 0)
				found[i] = m.length == l->items[i].update.length;
	for (i = 0; r == 0 && i < l->item_count; i++) {
		if (found[i])
			continue;
		error_set(err, ERR_NOT_FOUND, "the payload of '%s' is not in the bundle", l->items[i].update.path);
		r = error_hint(err, "ask for a bundle that was exported with it");
	}
	free(found);
	return r;
}

/* ---- all of it ---- */

static int judge(struct judging *j, struct error *err)
{
	struct agent *a = j->agent;
	struct local *l = j->local;
	struct slice signature;

	if (read_manifest(j, &l->manifest, &signature, err) < 0 || check_addressee(a, &l->manifest, err) < 0 ||
	    tuf_verify_offline(buf_slice(&a->identity.root), &j->options, &a->trusted, j->list, j->count, SLICE_EMPTY,
			       &l->client, err) < 0)
		return -1;
	if (check_signature(tuf_client_root(l->client), &l->manifest, signature, err) < 0 ||
	    check_validity(j, l->client, &l->manifest, err) < 0)
		return -1;
	l->verified = true;
	return judge_artifacts(j, l->client, err) < 0 ? -1 : check_payloads(l, err);
}

int local_verify(struct agent *a, struct local *l, int blobs_fd, struct error *err)
{
	struct buf packed = BUF_INIT(LINK_BLOB_MAX);
	struct judging j = {
		.agent = a, .local = l, .list = xcalloc(BLOBS_MAX, sizeof(*j.list)),
		.options = {.mode = TUF_MODE_CLIENT, .clock_s = clock_now_s(), .build_s = MESHANICS_BUILD_TIME},
	};
	int r = -1;

	if (blobs_fd < 0)
		error_set(err, ERR_MALFORMED, "the worker handed over no bundle");
	else if (link_blob_read(blobs_fd, &packed, err) == 0 &&
		 blobs_read(j.list, &j.count, buf_slice(&packed), err) == 0 &&
		 trusted_floor(&a->trusted, &j.options.floor_s, err) == 0)
		r = judge(&j, err);
	buf_release(&l->manifest.text);
	buf_release(&packed);
	free(j.list);
	return r;
}
