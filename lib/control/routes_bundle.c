/* Routes of a site that takes bundles: putting one in force, saying that one was refused, and what is held. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/import.h"
#include "bundle/receipt.h"
#include "control/control.h"
#include "control/routes_repository.h"
#include "store/audit.h"
#include "sys/file.h"
#include "tuf/publish.h"

#define RECEIPT_NAME "receipt"	/* HOME/repo/receipt */
#define TEXT_SHOWN 512

static void put_head(struct json_writer *w, const char *name, int64_t seq, const uint8_t hash[static SHA256_LEN])
{
	json_open_object(w, name);
	json_put_int(w, "seq", seq);
	json_put_hex(w, "hash", hash, SHA256_LEN);
	json_close(w);
}

static int bundle_id(const struct api_call *call, uint8_t id[static SHA256_LEN], struct error *err)
{
	return hex_decode(id, SHA256_LEN, call->params[0], err) < 0 ? error_wrap(err, "bundle name") : 0;
}

static void audit_site(struct api_call *call, const char *site)
{
	snprintf(call->audit_object, sizeof(call->audit_object), "site:%s", site);
}

/* ---- a bundle comes into force ---- */

struct prepared {
	struct bundle_kept kept;
};

static void prepared_free(void *arg)
{
	struct prepared *p = arg;

	bundle_kept_release(&p->kept);
	free(p);
}

/* Reads what `bundle import` has kept: metadata, perhaps much of it. */
static int import_prepare(struct api_call *call, struct error *err)
{
	struct prepared *p = xcalloc(1, sizeof(*p));
	uint8_t id[SHA256_LEN];
	char path[4096];
	int dirfd, r;

	call->prepared = p;
	call->prepared_free = prepared_free;
	if (bundle_id(call, id, err) < 0)
		return -1;
	path_join(path, call->control->home, "repo");
	if ((dirfd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	r = bundle_import_load(dirfd, id, &p->kept, err);
	file_close(&dirfd);
	return r;
}

struct trusting {
	const struct api_call *call;
	const struct bundle_kept *kept;
};

/* Under the newest root that the bundle leads to: it is for us, still good, and signed by who makes bundles. */
static int check_root(void *arg, const struct tuf_root *root, struct error *err)
{
	const struct trusting *t = arg;
	const struct manifest *m = &t->kept->manifest;
	char keyid[KEY_FINGERPRINT_LEN], when[TIME_TEXT_LEN];

	if (m->kind != BUNDLE_SITE || strcmp(m->site, root->site) != 0)
		return error_set(err, ERR_REFUSED, "the bundle is not for the repository of site '%s'", root->site);
	if (m->versions.root > root->head.version)
		return error_set(err, ERR_REFUSED, "the bundle was made under root version %lld, which is not in it",
				 (long long)m->versions.root);
	if (m->valid_until_s <= t->call->now_s) {
		error_set(err, ERR_REFUSED, "the bundle was valid until %s", time_text(when, m->valid_until_s));
		return error_hint(err, "ask for a new one");
	}
	return bundle_check_signed(m, buf_slice(&t->kept->signature), root, keyid, err);
}

/* What the trail says of an import, whatever comes of it. */
static void audit_bundle(struct api_call *call, const struct manifest *m)
{
	struct json_writer w = JSON_WRITER(&call->audit_detail);

	audit_site(call, m->origin);
	json_open_object(&w, NULL);
	json_put_hex(&w, "bundle", m->id, SHA256_LEN);
	json_put_int(&w, "sequence", m->sequence);
	put_head(&w, "origin_head", m->audit.seq, m->audit.hash);
	json_open_object(&w, "versions");
	json_put_int(&w, "root", m->versions.root);
	json_put_int(&w, "targets", m->versions.targets);
	json_close(&w);
	json_put_bool(&w, "complete", m->complete);
	json_close(&w);
}

/* How long the site can live on what it has now: until the first of what it cannot sign itself expires. */
static void put_good_until(struct json_writer *w, struct repo *r)
{
	const struct repo_expiry *list;
	unsigned count = repo_expiries(r, &list), i;
	char text[TIME_TEXT_LEN];

	for (i = 0; i < count && list[i].online; i++)
		;
	if (i == count)
		return;
	json_put_string(w, "good_until", time_text(text, list[i].expires_s));
	json_put_string(w, "expires_first", list[i].role);
}

static void put_imported(struct json_writer *w, const struct manifest *m, const struct repo_import *done, struct repo *r)
{
	char text[TIME_TEXT_LEN];

	json_open_object(w, NULL);
	json_put_hex(w, "bundle", m->id, SHA256_LEN);
	json_put_string(w, "origin", m->origin);
	json_put_int(w, "sequence", m->sequence);
	json_put_string(w, "created", time_text(text, m->created_s));
	json_put_string(w, "valid_until", time_text(text, m->valid_until_s));
	json_put_bool(w, "complete", m->complete);
	json_put_int(w, "root_version", done->root_version);
	json_put_int(w, "targets_version", done->targets_version);
	json_put_int(w, "roots", done->roots);
	json_put_int(w, "roles", done->roles);
	json_put_int(w, "bins", done->bins);
	json_put_int(w, "artifacts", done->artifacts);
	json_put_int(w, "placed", done->placed);
	json_put_int(w, "healed", done->healed);
	json_put_int(w, "not_held", done->lacking);
	json_put_bool(w, "unchanged", done->roots + done->roles + done->bins + done->placed + done->healed == 0);
	put_good_until(w, r);
	json_close(w);
}

static int import(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"accept_clock", NULL};
	struct prepared *p = call->prepared;
	const struct manifest *m = &p->kept.manifest;
	struct trusting trusting = {call, &p->kept};
	struct bundle_last last = {.sequence = m->sequence, .created_s = m->created_s, .valid_until_s = m->valid_until_s,
				   .imported_s = call->now_s};
	struct repo_import done = {.files = p->kept.files, .file_count = p->kept.count, .complete = m->complete,
				   .now_s = call->now_s, .root = check_root, .arg = &trusting};
	bool accept = false;
	struct repo *r;

	audit_bundle(call, m);
	if (repository_need(call, &r, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_opt_bool(call->body, "accept_clock", &accept, err) < 0)
		return -1;
	done.flags = accept ? REPO_ACCEPT_CLOCK : 0u;
	if (repo_import(r, &done, err) < 0)
		return -1;
	memcpy(last.bundle, m->id, SHA256_LEN);
	memcpy(last.origin, m->origin, sizeof(last.origin));
	if (bundle_last_write(repo_dirfd(r), &last, err) < 0)
		return -1;
	bundle_import_sweep(repo_dirfd(r), 0);
	put_imported(&call->out, m, &done, r);
	return 0;
}

/* ---- a bundle was refused ---- */

static int read_head(struct json_value body, struct bundle_witness *out, struct error *err)
{
	struct json_value head = {NULL, 0};
	struct slice hex;

	*out = (struct bundle_witness){.seq = 0};
	if (json_opt_object(body, "audit", &head, err) < 0)
		return -1;
	if (head.doc == NULL)
		return 0;
	if (json_need_int(head, "seq", 0, INT64_MAX, &out->seq, err) < 0 || json_need_string(head, "hash", &hex, err) < 0)
		return -1;
	return hex_decode(out->hash, SHA256_LEN, hex, err) < 0 ? error_wrap(err, "'hash'") : 0;
}

static int refused(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"kind", "text", "site", "origin", "sequence", "audit", NULL};
	struct slice kind, text, site, origin;
	struct json_writer w = JSON_WRITER(&call->audit_detail);
	struct audit_entry e = {.time_s = call->now_s, .actor = call->actor->name, .action = "bundle.import",
				.object = call->audit_object, .verdict = "refused"};
	struct bundle_witness head;
	uint8_t id[SHA256_LEN];
	int64_t sequence;

	if (bundle_id(call, id, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_need_string(call->body, "kind", &kind, err) < 0 || json_need_string(call->body, "text", &text, err) < 0 ||
	    json_need_string(call->body, "site", &site, err) < 0 || name_check(site, "site", err) < 0 ||
	    json_need_string(call->body, "origin", &origin, err) < 0 || name_check(origin, "origin", err) < 0 ||
	    json_need_int(call->body, "sequence", 1, INT64_MAX, &sequence, err) < 0 || read_head(call->body, &head, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "site:%.*s", SLICE_ARG(origin));
	json_open_object(&w, NULL);
	json_put_hex(&w, "bundle", id, SHA256_LEN);
	json_put_int(&w, "sequence", sequence);
	json_put_slice(&w, "for", site);
	put_head(&w, "origin_head", head.seq, head.hash);
	json_put_slice(&w, "kind", slice_sub(kind, 0, 32));
	json_put_slice(&w, "text", slice_sub(text, 0, TEXT_SHOWN));
	json_close(&w);
	e.detail = buf_slice(&call->audit_detail);
	return audit_append(call->db, &e, err);
}

/* ---- receipts ---- */

/* A receipt in the making. */
struct receipting {
	struct receipt r;
	unsigned room;
	struct held held;
	size_t held_room;
	const struct repo *repo;
};

static void add_version(struct receipting *x, const char *role, int64_t version)
{
	if (version == 0)
		return;
	if (x->r.version_count == x->room) {
		x->room = x->room == 0 ? 16 : 2 * x->room;
		x->r.versions = xreallocarray(x->r.versions, x->room, sizeof(x->r.versions[0]));
	}
	snprintf(x->r.versions[x->r.version_count].role, sizeof(x->r.versions[0].role), "%s", role);
	x->r.versions[x->r.version_count++].version = version;
}

static int by_role(const void *a, const void *b)
{
	return strcmp(((const struct receipt_version *)a)->role, ((const struct receipt_version *)b)->role);
}

static void add_versions(struct receipting *x, const struct repo *r)
{
	unsigned i, bin;

	add_version(x, "root", repo_root(r)->head.version);
	add_version(x, "targets", repo_targets(r)->head.version);
	for (i = 0; i < repo_role_count(r); i++) {
		const struct repo_role *role = repo_role_at(r, i);

		if (role->file == NULL)
			continue;
		add_version(x, role->name, role->version);
		for (bin = 0; role->bin_bits > 0 && bin < 1u << role->bin_bits; bin++) {
			char name[NAME_LEN_MAX + 1];

			add_version(x, name, repo_bin_version(r, role, bin, name));
		}
	}
	if (x->r.version_count > 3)
		qsort(x->r.versions + 2, x->r.version_count - 2, sizeof(x->r.versions[0]), by_role);
}

static int add_held(void *arg, const struct artifact *a, struct error *err)
{
	struct receipting *x = arg;

	if (!artifact_held(x->repo, a))
		return 0;
	if (x->held.count == x->held_room) {
		x->held_room = x->held_room == 0 ? 64 : 2 * x->held_room;
		x->held.list = xreallocarray(x->held.list, x->held_room, sizeof(x->held.list[0]));
	}
	if (x->held.count >= 4 * BUNDLE_MEMBERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d artifacts", BUNDLE_MEMBERS_MAX);
	memcpy(x->held.list[x->held.count++], a->target.hashes.sha256, SHA256_LEN);
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

static int sort_held(struct held *h, struct error *err)
{
	uint32_t i, n = 0;

	if (h->count == 0)
		return 0;
	qsort(h->list, h->count, sizeof(h->list[0]), by_hash);
	for (i = 1; i < h->count; i++) {
		if (by_hash(h->list[n], h->list[i]) != 0)
			memcpy(h->list[++n], h->list[i], SHA256_LEN);
	}
	h->count = n + 1;
	return h->count <= BUNDLE_MEMBERS_MAX ? 0 : error_set(err, ERR_LIMIT, "more than %d artifacts", BUNDLE_MEMBERS_MAX);
}

static void hash_held(struct receipting *x)
{
	char hex[SHA256_HEX_LEN + 1];
	struct sha256 hash;
	uint32_t i;

	sha256_init(&hash);
	for (i = 0; i < x->held.count; i++) {
		hex_encode(hex, x->held.list[i], SHA256_LEN);
		hex[2 * SHA256_LEN] = '\n';
		sha256_update(&hash, hex, 2 * SHA256_LEN + 1);
	}
	sha256_final(&hash, x->r.held_sha256);
	x->r.held_count = x->held.count;
}

/* What is to be told, and no more. */
static int gather(struct api_call *call, const struct repo *r, struct receipting *x, struct error *err)
{
	struct bundle_last last;
	struct audit_head head;
	int found;

	snprintf(x->r.site, sizeof(x->r.site), "%s", repo_site(r));
	x->r.created_s = call->now_s;
	if ((found = bundle_last_read(repo_dirfd(r), &last, err)) < 0 || audit_head(call->db, &head, err) < 0)
		return -1;
	x->r.has_bundle = found > 0;
	x->r.sequence = last.sequence;
	memcpy(x->r.bundle, last.bundle, SHA256_LEN);
	x->r.audit.seq = head.seq;
	memcpy(x->r.audit.hash, head.hash, SHA256_LEN);
	add_versions(x, r);
	if (artifact_each(r, add_held, x, err) < 0 || sort_held(&x->held, err) < 0)
		return -1;
	hash_held(x);
	return 0;
}

static int sign_receipt(const struct receipting *x, struct slice text, struct buf *signature, struct error *err)
{
	struct seckey *key = keyfile_open(repo_dirfd(x->repo), "keys/record-site.key", SLICE_EMPTY, err);
	uint8_t hash[SHA256_LEN];
	int r;

	if (key == NULL)
		return error_wrap(err, "cannot sign with repo/keys/record-site.key");
	sha256_of(text, hash);
	r = sshsig_sign_sha256(key, RECEIPT_NAMESPACE, hash, signature, err);
	seckey_free(key);
	return r;
}

static int write_receipt(struct receipting *x, struct error *err)
{
	struct buf text = BUF_INIT(RECEIPT_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct newfile f = NEWFILE_INIT;
	int r = -1;

	receipt_put(&text, &x->r);
	if (text.failed) {
		error_set(err, ERR_LIMIT, "the receipt is larger than %u bytes", RECEIPT_MAX);
		goto out;
	}
	sha256_of(buf_slice(&text), x->r.id);
	if (sign_receipt(x, buf_slice(&text), &signature, err) == 0 &&
	    newfile_open(&f, repo_dirfd(x->repo), RECEIPT_NAME, 0644, err) == 0 &&
	    receipt_write(f.fd, buf_slice(&text), buf_slice(&signature), &x->held, x->r.created_s, err) == 0)
		r = newfile_commit(&f, err);
out:
	newfile_abort(&f);
	buf_release(&text);
	buf_release(&signature);
	return r;
}

static void put_bundle(struct json_writer *w, const struct receipt *r)
{
	json_put_hex(w, "receipt", r->id, SHA256_LEN);
	if (r->has_bundle)
		json_put_hex(w, "bundle", r->bundle, SHA256_LEN);
	else
		json_put_null(w, "bundle");
	put_head(w, "head", r->audit.seq, r->audit.hash);
}

static int make_receipt(struct api_call *call, struct error *err)
{
	static const char *const names[] = {NULL};
	struct receipting x = {.repo = NULL};
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	struct repo *r;
	int ret = -1;

	if (repository_need(call, &r, err) < 0 || repo_adopted(r, err) < 0 || json_only(call->body, names, err) < 0)
		return -1;
	audit_site(call, repo_site(r));
	x.repo = r;
	if (gather(call, r, &x, err) < 0 || write_receipt(&x, err) < 0)
		goto out;
	json_open_object(&detail, NULL);
	put_bundle(&detail, &x.r);
	json_close(&detail);
	json_open_object(&call->out, NULL);
	json_put_string(&call->out, "site", x.r.site);
	put_bundle(&call->out, &x.r);
	json_put_int(&call->out, "sequence", x.r.sequence);
	json_put_int(&call->out, "held", x.r.held_count);
	json_close(&call->out);
	ret = 0;
out:
	receipt_release(&x.r);
	held_release(&x.held);
	return ret;
}

const struct api_route routes_bundle[] = {
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/bundles/{sha256}/import",
	  .action = "bundle.import", .permission = "bundle.write", .mutates = true,
	  .summary = "put a bundle in force that was read into this home", .handle = import, .prepare = import_prepare },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/bundles/{sha256}/refused",
	  .action = "bundle.refuse", .permission = "bundle.write", .mutates = true, .own_audit = true,
	  .summary = "a bundle was refused before it could be put in force", .handle = refused },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/receipts", .action = "receipt.make",
	  .permission = "bundle.write", .mutates = true, .summary = "write a receipt of what this site holds",
	  .handle = make_receipt },
	{ .method = NULL },
};
