/* Routes of the site that makes bundles: numbers, the trail of what was exported, receipts that came back. */
#include <stdio.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/receipt.h"
#include "control/control.h"
#include "control/routes_repository.h"
#include "crypto/sshsig.h"
#include "store/audit.h"
#include "store/bundles.h"
#include "tuf/repo.h"
#include "tuf/repo_sites.h"

static void put_head(struct json_writer *w, const char *name, int64_t seq, const uint8_t hash[static SHA256_LEN])
{
	json_open_object(w, name);
	json_put_int(w, "seq", seq);
	json_put_hex(w, "hash", hash, SHA256_LEN);
	json_close(w);
}

static int need_hash(struct json_value v, const char *name, uint8_t out[static SHA256_LEN], struct error *err)
{
	struct slice hex;

	if (json_need_string(v, name, &hex, err) < 0)
		return -1;
	return hex_decode(out, SHA256_LEN, hex, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

/* ---- whom a bundle is for ---- */

struct destination {
	struct repo *repo;
	char site[NAME_LEN_MAX + 1];
	enum bundle_kind kind;
};

/* The own site gets bundles for its devices, every other one for its repository. */
static int read_destination(const struct api_call *call, struct destination *d, struct error *err)
{
	struct slice site, kind;

	if (repository_need(call, &d->repo, err) < 0 || repo_adopted(d->repo, err) < 0 ||
	    json_need_string(call->body, "site", &site, err) < 0 || name_check(site, "site", err) < 0 ||
	    json_need_string(call->body, "kind", &kind, err) < 0)
		return -1;
	snprintf(d->site, sizeof(d->site), "%.*s", SLICE_ARG(site));
	d->kind = strcmp(d->site, repo_site(d->repo)) == 0 ? BUNDLE_DEVICE : BUNDLE_SITE;
	if (slice_equal_str(kind, d->kind == BUNDLE_SITE ? "site" : "device"))
		return 0;
	if (!slice_equal_str(kind, "site") && !slice_equal_str(kind, "device"))
		return error_set(err, ERR_USAGE, "kind is 'site' or 'device'");
	return error_set(err, ERR_REFUSED, d->kind == BUNDLE_SITE ? "devices of site '%s' take bundles from that site alone"
								  : "'%s' is this site; what it has is in its repository",
			 d->site);
}

static void audit_site(struct api_call *call, const char *site)
{
	snprintf(call->audit_object, sizeof(call->audit_object), "site:%s", site);
}

/* ---- the next number ---- */

static int begin_bundle(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"site", "kind", NULL};
	struct audit_head head;
	struct destination d;
	int64_t sequence;

	if (json_only(call->body, names, err) < 0 || read_destination(call, &d, err) < 0 ||
	    bundle_site_next(call->db, d.site, &sequence, err) < 0 || audit_head(call->db, &head, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "sequence", sequence);
	put_head(&call->out, "audit", head.seq, head.hash);
	json_put_string(&call->out, "origin", repo_site(d.repo));
	json_close(&call->out);
	return 0;
}

/* ---- a bundle has been made ---- */

/* The record that the manifest names is in the trail: by its hash, the trail before it is as it was then. */
static int check_head(struct db *db, const struct bundle_witness *head, struct error *err)
{
	static const uint8_t zeros[SHA256_LEN];
	struct audit_filter f = {.from_seq = head->seq, .to_seq = head->seq};
	struct audit_walk w;
	int r;

	if (head->seq == 0 && memcmp(head->hash, zeros, SHA256_LEN) == 0)
		return 0;
	audit_walk_open(&w, db, &f);
	r = head->seq == 0 ? 0 : audit_walk_next(&w, err);
	if (r > 0 && memcmp(w.record.hash, head->hash, SHA256_LEN) != 0)
		r = 0;
	audit_walk_close(&w);
	if (r != 0)
		return r < 0 ? -1 : 0;
	return error_set(err, ERR_CONFLICT, "the audit trail has no record %lld with the hash that the bundle names",
			 (long long)head->seq);
}

struct exported {
	int64_t sequence, members, bytes;
	struct bundle_witness head;
	bool has_since;
	uint8_t since[SHA256_LEN];
};

static int read_exported(const struct api_call *call, struct exported *x, struct error *err)
{
	static const char *const names[] = {"site", "kind", "sequence", "members", "bytes", "since", "audit", NULL};
	struct json_value head;

	if (json_only(call->body, names, err) < 0 ||
	    json_need_int(call->body, "sequence", 1, INT64_MAX, &x->sequence, err) < 0 ||
	    json_need_int(call->body, "members", 1, BUNDLE_MEMBERS_MAX, &x->members, err) < 0 ||
	    json_need_int(call->body, "bytes", 1, INT64_MAX, &x->bytes, err) < 0 ||
	    json_need_object(call->body, "audit", &head, err) < 0 ||
	    json_need_int(head, "seq", 0, INT64_MAX, &x->head.seq, err) < 0 || need_hash(head, "hash", x->head.hash, err) < 0)
		return -1;
	x->has_since = json_type(json_get(call->body, "since")) != JSON_NULL;
	return x->has_since ? need_hash(call->body, "since", x->since, err) : 0;
}

static void put_exported(struct buf *out, const char *id, const struct exported *x)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	json_put_string(&w, "bundle", id);
	json_put_int(&w, "sequence", x->sequence);
	json_put_int(&w, "members", x->members);
	json_put_int(&w, "bytes", x->bytes);
	if (x->has_since)
		json_put_hex(&w, "since", x->since, SHA256_LEN);
	else
		json_put_null(&w, "since");
	put_head(&w, "head", x->head.seq, x->head.hash);
	json_close(&w);
}

static int bundle_exported(struct api_call *call, struct error *err)
{
	struct exported x = {.sequence = 0};
	uint8_t id[SHA256_LEN];
	char hex[SHA256_HEX_LEN];
	struct destination d;

	if (hex_decode(id, SHA256_LEN, call->params[0], err) < 0)
		return error_wrap(err, "bundle name");
	hex_encode(hex, id, SHA256_LEN);
	if (read_destination(call, &d, err) < 0)
		return -1;
	audit_site(call, d.site);
	if (read_exported(call, &x, err) < 0 || check_head(call->db, &x.head, err) < 0 ||
	    bundle_site_exported(call->db, d.site, x.sequence, hex, call->now_s, err) < 0)
		return -1;
	put_exported(&call->audit_detail, hex, &x);
	return 0;
}

/* ---- receipts ---- */

/*
 * The root that names the keys by which the site may sign now: the one that it said it has, which cannot be older than
 * the one it had at its last receipt, nor newer than the newest here.
 */
static int receipt_root(const struct repo *repo, const struct receipt *r, const struct bundle_site *known,
			struct buf *text, struct tuf_root **root, struct error *err)
{
	int64_t newest, version = receipt_version(r, "root");

	if (repo_site_newest(repo_dirfd(repo), r->site, &newest, err) < 0)
		return -1;
	if (newest == 0) {
		error_set(err, ERR_REFUSED, "no root of site '%s' is kept here, so nobody can tell whose receipt this is",
			  r->site);
		return error_hint(err, "bring its roots, from the first on: meshanics repo adopt N.root.json...");
	}
	if (version > newest) {
		error_set(err, ERR_REFUSED, "the receipt of '%s' is made under root version %lld, and the newest here is %lld",
			  r->site, (long long)version, (long long)newest);
		return error_hint(err, "bring the newer root: meshanics repo adopt N.root.json...");
	}
	if (version < known->receipt_root) {
		error_set(err, ERR_REFUSED, "site '%s' had root version %lld already, and the receipt says %lld", r->site,
			  (long long)known->receipt_root, (long long)version);
		return error_hint(err, "this is an old receipt: take the site's newest, or export without --since");
	}
	if (repo_site_root_read(repo_dirfd(repo), r->site, version == 0 ? newest : version, text, err) < 0)
		return -1;
	*root = tuf_root_parse(buf_slice(text), err);
	return *root == NULL ? -1 : 0;
}

static int check_receipt_signature(const struct tuf_root *root, const struct receipt *r, struct slice signature,
				   struct error *err)
{
	unsigned i;

	for (i = 0; i < root->site_keys.count; i++) {
		const struct pubkey *k = &root->site_keys.list[i].pub;

		if (k->scheme == KEY_NONE)
			continue;
		if (sshsig_verify_sha256(k, RECEIPT_NAMESPACE, r->id, signature, err) == 0)
			return 0;
		if (err->kind == ERR_MALFORMED)
			return -1;
	}
	return error_set(err, ERR_REFUSED,
			 "the receipt is not signed by a site record key that root version %lld of '%s' names",
			 (long long)root->head.version, r->site);
}

/* Does the root name a site record key that the one before named, too? When that one cannot be read: yes. */
static bool shares_site_key(const struct repo *repo, const char *site, int64_t former, const struct tuf_root *root)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	struct error ignored = ERROR_INIT;
	struct tuf_root *before = NULL;
	bool shares = true;
	unsigned i, j;

	if (repo_site_root_read(repo_dirfd(repo), site, former, &text, &ignored) == 0 &&
	    (before = tuf_root_parse(buf_slice(&text), &ignored)) != NULL) {
		shares = false;
		for (i = 0; i < before->site_keys.count; i++)
			for (j = 0; j < root->site_keys.count; j++)
				shares |= pubkey_equal(&before->site_keys.list[i].pub, &root->site_keys.list[j].pub);
	}
	tuf_root_free(before);
	buf_release(&text);
	return shares;
}

/*
 * A trail only grows: who shows less of it shows an old receipt, or another trail. But what a key has said that a newer
 * root of the site names no more was perhaps a thief's word, and must not shut the site out for ever.
 */
static int check_receipt_newer(const struct repo *repo, const struct bundle_site *known, const struct receipt *r,
			       const struct tuf_root *root, struct error *err)
{
	char id[SHA256_HEX_LEN], when[TIME_TEXT_LEN];

	hex_encode(id, r->id, SHA256_LEN);
	if (r->audit.seq > known->receipt_seq || strcmp(id, known->receipt) == 0)
		return 0;
	if (known->receipt_root > 0 && receipt_version(r, "root") > known->receipt_root &&
	    !shares_site_key(repo, r->site, known->receipt_root, root))
		return 0;
	error_set(err, ERR_REFUSED,
		  "the receipt of '%s' ends with record %lld of its audit trail, and one with record %lld was accepted", r->site,
		  (long long)r->audit.seq, (long long)known->receipt_seq);
	return error_hint(err, "bring the newest one; the accepted one was made at %s",
			  time_text(when, known->receipt_created_s));
}

static int keep_receipt(struct api_call *call, const struct receipt *r, struct error *err)
{
	struct bundle_site row = {.receipt_seq = r->audit.seq, .receipt_root = receipt_version(r, "root"),
				  .receipt_created_s = r->created_s, .receipt_s = call->now_s};
	struct json_writer w = JSON_WRITER(&call->audit_detail);

	snprintf(row.site, sizeof(row.site), "%s", r->site);
	hex_encode(row.receipt, r->id, SHA256_LEN);
	hex_encode(row.receipt_hash, r->audit.hash, SHA256_LEN);
	if (r->has_bundle)
		hex_encode(row.receipt_bundle, r->bundle, SHA256_LEN);
	if (bundle_site_received(call->db, &row, err) < 0)
		return -1;
	json_open_object(&w, NULL);
	json_put_string(&w, "receipt", row.receipt);
	json_put_string(&w, "bundle", r->has_bundle ? row.receipt_bundle : NULL);
	put_head(&w, "site_head", r->audit.seq, r->audit.hash);
	json_close(&w);
	json_put_raw(&call->out, NULL, buf_slice(&call->audit_detail));
	return 0;
}

static int accept_parsed(struct api_call *call, struct repo *repo, const struct receipt *r, struct slice signature,
			 struct error *err)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	struct bundle_site known;
	struct tuf_root *root = NULL;
	int ret = -1;

	audit_site(call, r->site);
	if (bundle_site_find(call->db, r->site, &known, err) >= 0 &&
	    receipt_root(repo, r, &known, &text, &root, err) == 0 && check_receipt_signature(root, r, signature, err) == 0 &&
	    check_receipt_newer(repo, &known, r, root, err) == 0)
		ret = keep_receipt(call, r, err);
	tuf_root_free(root);
	buf_release(&text);
	return ret;
}

static int accept_receipt(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"receipt", "signature", NULL};
	struct slice text, signature;
	struct receipt r = {.site = ""};
	struct repo *repo;
	int ret;

	if (repository_need(call, &repo, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_need_string(call->body, "receipt", &text, err) < 0 ||
	    json_need_string(call->body, "signature", &signature, err) < 0)
		return -1;
	if (signature.len > SSHSIG_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "a signature has at most %d bytes", SSHSIG_SIZE_MAX);
	if (receipt_parse(&r, text, err) < 0)
		return error_wrap(err, "receipt.json");
	ret = accept_parsed(call, repo, &r, signature, err);
	receipt_release(&r);
	return ret;
}

/* ---- the sites ---- */

struct listing {
	struct api_call *call;
	struct repo *repo;
};

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, name, time_text(text, t_s));
}

static void put_traffic(struct json_writer *w, const struct bundle_site *row)
{
	json_put_int(w, "sequence", row->sequence);
	if (row->bundle[0] == '\0') {
		json_put_null(w, "exported");
	} else {
		json_open_object(w, "exported");
		json_put_string(w, "bundle", row->bundle);
		json_put_int(w, "sequence", row->bundle_sequence);
		put_time(w, "time", row->bundle_s);
		json_close(w);
	}
	if (row->receipt[0] == '\0') {
		json_put_null(w, "receipt");
		return;
	}
	json_open_object(w, "receipt");
	json_put_string(w, "receipt", row->receipt);
	json_put_string(w, "bundle", row->receipt_bundle[0] == '\0' ? NULL : row->receipt_bundle);
	json_put_int(w, "root_version", row->receipt_root);
	put_time(w, "created", row->receipt_created_s);
	put_time(w, "accepted", row->receipt_s);
	json_open_object(w, "site_head");
	json_put_int(w, "seq", row->receipt_seq);
	json_put_string(w, "hash", row->receipt_hash);
	json_close(w);
	json_close(w);
}

static int put_site(void *arg, const char *site, struct error *err)
{
	struct listing *l = arg;
	struct json_writer *w = &l->call->out;
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	struct tuf_root *root = NULL;
	struct bundle_site row;
	int64_t newest;
	int r = -1;

	if (bundle_site_find(l->call->db, site, &row, err) >= 0 &&
	    repo_site_newest(repo_dirfd(l->repo), site, &newest, err) == 0 && newest > 0 &&
	    repo_site_root_read(repo_dirfd(l->repo), site, newest, &text, err) == 0 &&
	    (root = tuf_root_parse(buf_slice(&text), err)) != NULL) {
		json_open_object(w, NULL);
		json_put_string(w, "site", site);
		json_put_int(w, "root_version", newest);
		put_time(w, "root_expires", root->head.expires_s);
		put_traffic(w, &row);
		json_close(w);
		r = 0;
	}
	tuf_root_free(root);
	buf_release(&text);
	return r;
}

static int get_sites(struct api_call *call, struct error *err)
{
	struct listing l = {.call = call};

	if (repository_need(call, &l.repo, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_open_array(&call->out, "sites");
	if (repo_sites_each(repo_dirfd(l.repo), put_site, &l, err) < 0)
		return -1;
	json_close(&call->out);
	json_close(&call->out);
	return 0;
}

const struct api_route routes_export[] = {
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/sites", .action = "site.list",
	  .permission = "bundle.read", .exclusive = true,
	  .summary = "sites to which bundles go: newest root, last bundle, last receipt", .handle = get_sites },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/bundles", .action = "bundle.begin",
	  .permission = "bundle.write", .mutates = true, .own_audit = true,
	  .summary = "the number of the next bundle for a site, and the head of the audit trail", .handle = begin_bundle },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/bundles/{sha256}/exported",
	  .action = "bundle.export", .permission = "bundle.write", .mutates = true,
	  .summary = "a bundle is about to be written", .handle = bundle_exported },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/receipts/accepted", .action = "receipt.accept",
	  .permission = "bundle.write", .mutates = true, .summary = "verify the receipt of a site and remember it",
	  .handle = accept_receipt },
	{ .method = NULL },
};
