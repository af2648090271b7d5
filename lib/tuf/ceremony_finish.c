/* Counting who has signed, and making the finished files. */
#include <inttypes.h>
#include <stdlib.h>

#include "tuf/ceremony_internal.h"
#include "tuf/verify.h"

static bool has_answered(const struct ceremony *c, unsigned document, const struct pubkey *key)
{
	unsigned i;

	for (i = 0; i < c->answer_count; i++) {
		if (c->answers[i].sigs[document].len > 0 && pubkey_equal(&c->answers[i].key, key))
			return true;
	}
	return false;
}

void ceremony_tally(const struct ceremony *c, unsigned document, unsigned demand,
		    struct ceremony_tally *out)
{
	const struct tuf_role *role = c->documents[document].demands[demand].role;
	unsigned i, k;

	*out = (struct ceremony_tally){.threshold = role->threshold};
	for (i = 0; i < role->keys.count; i++) {
		out->has_signed[i] = has_answered(c, document, &role->keys.list[i].pub);
		/* One public key under two ids is one signer (a root in force may list it so). */
		for (k = 0;
		     k < i && !pubkey_equal(&role->keys.list[k].pub, &role->keys.list[i].pub);)
			k++;
		out->signed_count += out->has_signed[i] && k == i;
	}
}

static int short_of(const struct ceremony *c, unsigned document, unsigned demand,
		    const struct ceremony_tally *t, struct error *err)
{
	const struct ceremony_document *d = &c->documents[document];
	const struct tuf_role *role = d->demands[demand].role;
	struct buf missing = BUF_INIT(400);
	unsigned i;

	for (i = 0; i < role->keys.count; i++) {
		struct slice label = ceremony_label(c, role->keys.list[i].id);

		if (t->has_signed[i])
			continue;
		buf_printf(&missing, "%s%.16s...", missing.len > 0 ? ", " : "",
			   role->keys.list[i].id);
		if (label.len > 0)
			buf_printf(&missing, " (%.*s)", SLICE_ARG(label));
	}
	missing.failed = false; /* a long list is cut, it is for people */
	error_set(err, ERR_REFUSED, "%s has %u of the %u signatures that %s asks for; missing: %s",
		  d->role, t->signed_count, t->threshold, d->demands[demand].why,
		  buf_cstr(&missing));
	buf_release(&missing);
	return error_hint(err, "any of these may sign: meshanics ceremony sign");
}

int ceremony_complete(const struct ceremony *c, struct error *err)
{
	struct ceremony_tally t;
	unsigned i, k;

	for (i = 0; i < c->document_count; i++) {
		for (k = 0; k < c->documents[i].demand_count; k++) {
			ceremony_tally(c, i, k, &t);
			if (t.signed_count < t.threshold)
				return short_of(c, i, k, &t, err);
		}
	}
	return 0;
}

const char *ceremony_listed_id(const struct ceremony_document *d, const struct pubkey *key)
{
	unsigned k, n;

	for (k = 0; k < d->demand_count; k++) {
		for (n = 0; n < d->demands[k].role->keys.count; n++) {
			if (pubkey_equal(&d->demands[k].role->keys.list[n].pub, key))
				return d->demands[k].role->keys.list[n].id;
		}
	}
	return NULL;
}

int ceremony_assemble(const struct ceremony *c, unsigned document, struct buf *out,
		      struct error *err)
{
	const struct ceremony_document *d = &c->documents[document];
	struct buf file = BUF_INIT(CEREMONY_REQUEST_MAX), next = BUF_INIT(CEREMONY_REQUEST_MAX);
	unsigned i;
	int r = -1;

	if (tuf_sign_envelope(&file, d->signed_json, NULL, 0, err) < 0)
		goto out;
	for (i = 0; i < c->answer_count; i++) {
		const char *id = ceremony_listed_id(d, &c->answers[i].key);
		struct buf swap = file;

		if (id == NULL || c->answers[i].sigs[document].len == 0)
			continue;
		buf_clear(&next);
		if (tuf_sign_attach(&next, buf_slice(&file), id,
				    buf_slice(&c->answers[i].sigs[document]), err) < 0)
			goto out;
		file = next;
		next = swap;
	}
	buf_put_slice(out, buf_slice(&file));
	r = out->failed
		    ? error_set(err, ERR_LIMIT, "%s is larger than %zu bytes", d->role, out->max)
		    : 0;
out:
	buf_release(&file);
	buf_release(&next);
	return r;
}

static int check_root(const struct ceremony *c, struct slice text, int64_t now_s, struct error *err)
{
	struct tuf_root *root = tuf_root_parse(text, err);
	int r = -1;

	if (root == NULL)
		return -1;
	if ((c->root_in_force == NULL ? tuf_root_check_self(root, err)
				      : tuf_root_check(c->root_in_force, root, err)) == 0)
		r = tuf_verify_expiry(&root->head, now_s, "root", "5.3.10", err);
	tuf_root_free(root);
	return r;
}

static int check_targets(const struct ceremony *c, struct slice text, int64_t now_s,
			 struct error *err)
{
	struct tuf_metafile meta = {.version = c->targets->head.version, .length = -1};
	struct tuf_targets *targets = tuf_targets_parse(text, err);
	int r = -1;

	if (targets == NULL)
		return -1;
	r = tuf_targets_check(&ceremony_signing_root(c)->roles[TUF_TARGETS], "targets", &meta,
			      targets, now_s, err);
	tuf_targets_free(targets);
	return r;
}

int ceremony_finish(const struct ceremony *c, unsigned document, int64_t now_s, struct buf *out,
		    struct error *err)
{
	size_t from = out->len;
	struct slice text;

	if (ceremony_complete(c, err) < 0 || ceremony_assemble(c, document, out, err) < 0)
		return -1;
	text = slice_sub(buf_slice(out), from, SIZE_MAX);
	return strcmp(c->documents[document].role, "root") == 0
		       ? check_root(c, text, now_s, err)
		       : check_targets(c, text, now_s, err);
}
