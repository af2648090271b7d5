/* Reading a request. Whatever a signer relies on is checked here, before anything is shown to him.
 */
#include "tuf/ceremony_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

/* ---- the metadata in the request ---- */

/* The unsigned file around a `signed` value, so that the ordinary parsers read it. */
static int wrap_unsigned(struct buf *text, struct json_value body, struct error *err)
{
	*text = BUF_INIT(CEREMONY_REQUEST_MAX);
	return tuf_sign_envelope(text, json_raw(body), NULL, 0, err);
}

static int read_documents(struct ceremony *c, struct json_value top, struct error *err)
{
	struct json_value root = json_get(top, "root"), targets = json_get(top, "targets");

	if (root.doc != NULL && (wrap_unsigned(&c->root_text, root, err) < 0 ||
				 (c->root = tuf_root_parse(buf_slice(&c->root_text), err)) == NULL))
		return error_wrap(err, "root");
	if (targets.doc != NULL &&
	    (wrap_unsigned(&c->targets_text, targets, err) < 0 ||
	     (c->targets = tuf_targets_parse(buf_slice(&c->targets_text), err)) == NULL))
		return error_wrap(err, "targets");
	if (root.doc == NULL && targets.doc == NULL)
		return error_set(err, ERR_MALFORMED, "neither 'root' nor 'targets'");
	return 0;
}

static int read_in_force(struct ceremony *c, struct json_value top, struct error *err)
{
	struct json_value root = json_get(top, "root_in_force"),
			  targets = json_get(top, "targets_in_force");

	if (root.doc != NULL && ((c->root_in_force = tuf_root_parse(json_raw(root), err)) == NULL ||
				 tuf_root_check_self(c->root_in_force, err) < 0))
		return error_wrap(err, "root in force");
	if (targets.doc != NULL &&
	    (c->targets_in_force = tuf_targets_parse(json_raw(targets), err)) == NULL)
		return error_wrap(err, "targets in force");
	return 0;
}

static int check_role_keys(const struct tuf_root *root, enum tuf_type type, struct error *err)
{
	const struct tuf_role *role = &root->roles[type];
	unsigned i, j;

	if (role->keys.count > CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_LIMIT, "%s has more than %d keys", tuf_type_name(type),
				 CEREMONY_SIGNERS_MAX);
	if (role->threshold > role->keys.count)
		return error_set(err, ERR_REFUSED, "%s wants %u signatures of %u keys",
				 tuf_type_name(type), role->threshold, role->keys.count);
	for (i = 0; i < role->keys.count; i++) {
		if (role->keys.list[i].pub.scheme == KEY_NONE)
			return error_set(err, ERR_REFUSED, "%s key %.16s... cannot be used here",
					 tuf_type_name(type), role->keys.list[i].id);
		for (j = 0; j < i; j++) {
			if (pubkey_equal(&role->keys.list[i].pub, &role->keys.list[j].pub))
				return error_set(err, ERR_REFUSED, "%s lists one key twice",
						 tuf_type_name(type));
		}
	}
	return 0;
}

static int check_root(const struct ceremony *c, struct error *err)
{
	const struct tuf_root *old = c->root_in_force;
	int64_t wanted = old == NULL ? 1 : old->head.version + 1;
	struct repo_lives lives;
	enum tuf_type type;

	if (c->root == NULL)
		return 0;
	if (strcmp(c->root->site, c->site) != 0)
		return error_set(err, ERR_REFUSED, "root is for site '%s', the request says '%s'",
				 c->root->site, c->site);
	if (c->root->head.version != wanted)
		return error_set(err, ERR_REFUSED,
				 "root has version %" PRId64 " instead of %" PRId64,
				 c->root->head.version, wanted);
	if (repo_is_rehearsal(&c->root->head) != c->rehearsal)
		return error_set(err, ERR_REFUSED,
				 "root and request disagree on whether this is a rehearsal");
	if (!c->root->consistent_snapshot)
		return error_set(err, ERR_REFUSED, "root does not ask for consistent snapshots");
	for (type = TUF_ROOT; type < TUF_TYPES; type++) {
		if (check_role_keys(c->root, type, err) < 0)
			return -1;
	}
	return repo_lives_of_root(c->root, &lives, err);
}

const struct tuf_root *ceremony_signing_root(const struct ceremony *c)
{
	return c->root != NULL ? c->root : c->root_in_force;
}

static int check_targets(const struct ceremony *c, struct error *err)
{
	const struct tuf_targets *old = c->targets_in_force;
	struct repo_publisher *list = NULL;
	unsigned count = 0;
	int r;

	if (c->targets == NULL)
		return 0;
	if (old == NULL ? c->targets->head.version != 1
			: c->targets->head.version <= old->head.version)
		return error_set(err, ERR_REFUSED,
				 "targets has version %" PRId64 ", which does not follow %" PRId64,
				 c->targets->head.version, old == NULL ? 0 : old->head.version);
	if (repo_is_rehearsal(&c->targets->head) != c->rehearsal)
		return error_set(err, ERR_REFUSED,
				 "targets and request disagree on whether this is a rehearsal");
	if (json_count(c->targets->targets) > 0 && old == NULL)
		return error_set(err, ERR_REFUSED,
				 "targets names artifacts itself; that is for publishers");
	if (check_role_keys(ceremony_signing_root(c), TUF_TARGETS, err) < 0)
		return -1;
	r = publishers_of_targets(c->targets, &list, &count, err);
	publishers_free(list, count);
	return r;
}

/* What is called "in force" must be that for a client which trusts the root in force. */
static int check_in_force(const struct ceremony *c, struct error *err)
{
	struct tuf_metafile meta = {.length = -1};

	if (c->root_in_force == NULL)
		return 0;
	if (strcmp(c->root_in_force->site, c->site) != 0)
		return error_set(err, ERR_REFUSED,
				 "root in force is of site '%s', the request says '%s'",
				 c->root_in_force->site, c->site);
	if (c->targets_in_force == NULL)
		return 0;
	meta.version = c->targets_in_force->head.version;
	return tuf_targets_check(&c->root_in_force->roles[TUF_TARGETS], "targets in force", &meta,
				 c->targets_in_force, -1, err);
}

/* Each purpose has its documents, no others. */
static int check_purpose(const struct ceremony *c, struct slice purpose, struct error *err)
{
	bool root = c->root != NULL, targets = c->targets != NULL,
	     old_root = c->root_in_force != NULL, old_targets = c->targets_in_force != NULL;
	char shown[64];

	if (slice_equal_str(purpose, "create") && root && targets && !old_root && !old_targets)
		return 0;
	if (slice_equal_str(purpose, "rotate") && root && old_root && (!targets || old_targets))
		return 0;
	if (slice_equal_str(purpose, "delegate") && !root && targets && old_root && old_targets)
		return 0;
	return error_set(err, ERR_MALFORMED, "'purpose' '%s' does not fit what the request holds",
			 printable(shown, sizeof(shown), purpose));
}

/* ---- the request itself ---- */

static int check_labels(const struct ceremony *c, struct error *err)
{
	struct json_iter it;
	uint8_t id[SHA256_LEN];

	for (it = json_iter(c->labels); json_next(&it);) {
		if (hex_decode(id, sizeof(id), it.key, err) < 0 ||
		    json_type(it.value) != JSON_STRING ||
		    name_check(json_string(it.value), "label", err) < 0)
			return error_set(err, ERR_MALFORMED,
					 "'labels' is not an object from key ids to names");
	}
	return 0;
}

static int check_hex(struct json_value top, const char *name, size_t digits, bool optional,
		     struct error *err)
{
	uint8_t bytes[SHA256_LEN];
	struct slice s = SLICE_EMPTY;

	if (optional && json_get(top, name).doc == NULL)
		return 0;
	if (json_need_string(top, name, &s, err) < 0)
		return -1;
	return hex_decode(bytes, digits / 2, s, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

static int read_head(struct ceremony *c, struct json_value top, struct slice *purpose,
		     struct error *err)
{
	static const char *const names[] = {
		"format", "purpose", "site",	"rehearsal",	 "created",	     "nonce",
		"labels", "root",    "targets", "root_in_force", "targets_in_force", "transcript",
		NULL};
	struct slice format = SLICE_EMPTY, site = SLICE_EMPTY, created = SLICE_EMPTY;
	int64_t created_s;

	if (json_need_string(top, "format", &format, err) < 0)
		return -1;
	if (!slice_equal_str(format, CEREMONY_REQUEST_FORMAT))
		return error_set(err, ERR_MALFORMED, "'format' is not '%s'",
				 CEREMONY_REQUEST_FORMAT);
	if (json_only(top, names, err) < 0 || json_need_string(top, "purpose", purpose, err) < 0 ||
	    json_need_string(top, "site", &site, err) < 0 || name_check(site, "site", err) < 0 ||
	    json_opt_bool(top, "rehearsal", &c->rehearsal, err) < 0 ||
	    json_need_string(top, "created", &created, err) < 0 ||
	    time_parse(&created_s, created, err) < 0 ||
	    check_hex(top, "nonce", 2 * CEREMONY_NONCE_LEN, false, err) < 0 ||
	    check_hex(top, "transcript", 64, true, err) < 0 ||
	    json_need_object(top, "labels", &c->labels, err) < 0)
		return -1;
	memcpy(c->site, site.ptr, site.len);
	return check_labels(c, err);
}

static int set_fingerprint(struct ceremony *c, struct json_value top, struct error *err)
{
	struct buf canonical = BUF_INIT(CEREMONY_REQUEST_MAX);
	uint8_t hash[SHA256_LEN];
	int r = json_canonical(&canonical, top, err);

	sha256_of(buf_slice(&canonical), hash);
	hex_encode(c->fingerprint, hash, sizeof(hash));
	buf_release(&canonical);
	return r;
}

static void add_document(struct ceremony *c, const char *role, const struct tuf_head *head)
{
	c->documents[c->document_count++] = (struct ceremony_document){
		.role = role,
		.version = head->version,
		.expires_s = head->expires_s,
		.signed_json = json_raw(head->body),
	};
}

static void add_demand(struct ceremony_document *d, const struct tuf_role *role, const char *why)
{
	d->demands[d->demand_count].role = role;
	d->demands[d->demand_count++].why = why;
}

static void set_documents(struct ceremony *c)
{
	if (c->root != NULL) {
		add_document(c, "root", &c->root->head);
		add_demand(&c->documents[0], &c->root->roles[TUF_ROOT], "root");
		if (c->root_in_force != NULL)
			add_demand(&c->documents[0], &c->root_in_force->roles[TUF_ROOT],
				   "the root in force");
	}
	if (c->targets != NULL) {
		add_document(c, "targets", &c->targets->head);
		add_demand(&c->documents[c->document_count - 1],
			   &ceremony_signing_root(c)->roles[TUF_TARGETS], "targets");
	}
}

static int parse(struct ceremony *c, struct error *err)
{
	struct slice purpose = SLICE_EMPTY;
	struct json_value top;

	if (json_parse(&c->doc, buf_slice(&c->text), JSON_STRICT, err) < 0)
		return -1;
	top = json_root(&c->doc);
	if (read_head(c, top, &purpose, err) < 0 || read_documents(c, top, err) < 0 ||
	    read_in_force(c, top, err) < 0 || check_purpose(c, purpose, err) < 0 ||
	    check_in_force(c, err) < 0 || check_root(c, err) < 0 || check_targets(c, err) < 0 ||
	    set_fingerprint(c, top, err) < 0)
		return -1;
	set_documents(c);
	return 0;
}

struct ceremony *ceremony_parse(struct slice text, struct error *err)
{
	struct ceremony *c = xcalloc(1, sizeof(*c));

	c->text = BUF_INIT(CEREMONY_REQUEST_MAX);
	buf_put_slice(&c->text, text);
	if (c->text.failed)
		error_set(err, ERR_LIMIT, "larger than %u bytes", CEREMONY_REQUEST_MAX);
	else if (parse(c, err) == 0)
		return c;
	ceremony_free(c);
	error_wrap(err, "ceremony request");
	return NULL;
}

void ceremony_free(struct ceremony *c)
{
	unsigned i;

	if (c == NULL)
		return;
	for (i = 0; i < c->answer_count; i++) {
		buf_release(&c->answers[i].sigs[0]);
		buf_release(&c->answers[i].sigs[1]);
	}
	free(c->answers);
	tuf_root_free(c->root);
	tuf_root_free(c->root_in_force);
	tuf_targets_free(c->targets);
	tuf_targets_free(c->targets_in_force);
	buf_release(&c->root_text);
	buf_release(&c->targets_text);
	json_release(&c->doc);
	buf_release(&c->text);
	free(c);
}

const char *ceremony_fingerprint(const struct ceremony *c)
{
	return c->fingerprint;
}

const char *ceremony_site(const struct ceremony *c)
{
	return c->site;
}

bool ceremony_rehearsal(const struct ceremony *c)
{
	return c->rehearsal;
}

unsigned ceremony_document_count(const struct ceremony *c)
{
	return c->document_count;
}

const struct ceremony_document *ceremony_document_at(const struct ceremony *c, unsigned i)
{
	return i < c->document_count ? &c->documents[i] : NULL;
}

struct slice ceremony_label(const struct ceremony *c, const char *keyid)
{
	return json_string(json_get(c->labels, keyid));
}
