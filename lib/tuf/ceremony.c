/* Reading a request: its form, the metadata in it, and what it is asked about. */
#include "tuf/ceremony_internal.h"

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
			  targets = json_get(top, "targets_in_force"), like = json_get(top, "like");

	if (root.doc != NULL && ((c->root_in_force = tuf_root_parse(json_raw(root), err)) == NULL ||
				 tuf_root_check_self(c->root_in_force, err) < 0))
		return error_wrap(err, "root in force");
	if (like.doc != NULL && ((c->like = tuf_root_parse(json_raw(like), err)) == NULL ||
				 tuf_root_check_self(c->like, err) < 0))
		return error_wrap(err, "the root that it is made like");
	if (targets.doc != NULL &&
	    (c->targets_in_force = tuf_targets_parse(json_raw(targets), err)) == NULL)
		return error_wrap(err, "targets in force");
	return 0;
}

const struct tuf_root *ceremony_signing_root(const struct ceremony *c)
{
	return c->root != NULL ? c->root : c->root_in_force;
}

/* ---- the request itself ---- */

static int compare_labels(const void *a, const void *b)
{
	const struct ceremony_name *x = a, *y = b;

	return strcmp(x->label, y->label);
}

/* A label is all that most people read of a key: two keys of one name would pass for each other. */
static int check_labels_differ(const struct ceremony *c, struct error *err)
{
	struct ceremony_name *list;
	unsigned count = ceremony_names(c, &list), i;
	int r = 0;

	if (count > 0)
		qsort(list, count, sizeof(*list), compare_labels);
	for (i = 1; r == 0 && i < count; i++) {
		if (strcmp(list[i - 1].label, list[i].label) != 0)
			continue;
		r = error_set(err, ERR_REFUSED,
			      "'labels' calls two keys '%s', %.16s... and %.16s...", list[i].label,
			      list[i - 1].keyid, list[i].keyid);
		error_hint(err, "a label is the name of the key's file: whoever makes the request "
				"renames one of them");
	}
	free(list);
	return r;
}

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
	return check_labels_differ(c, err);
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
		"like",	  NULL};
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
	    read_in_force(c, top, err) < 0 || ceremony_check_content(c, purpose, err) < 0 ||
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
	tuf_root_free(c->like);
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

const char *ceremony_like(const struct ceremony *c)
{
	return c->like == NULL ? NULL : c->like->site;
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

unsigned ceremony_names(const struct ceremony *c, struct ceremony_name **list)
{
	unsigned count = 0;
	struct json_iter it;

	*list = xcalloc(json_count(c->labels), sizeof(**list));
	for (it = json_iter(c->labels); json_next(&it); count++) {
		snprintf((*list)[count].keyid, sizeof((*list)[count].keyid), "%.*s",
			 SLICE_ARG(it.key));
		snprintf((*list)[count].label, sizeof((*list)[count].label), "%.*s",
			 SLICE_ARG(json_string(it.value)));
	}
	return count;
}

int64_t ceremony_expires_s(const struct ceremony *c)
{
	int64_t first = c->documents[0].expires_s;
	unsigned i;

	for (i = 1; i < c->document_count; i++) {
		if (c->documents[i].expires_s < first)
			first = c->documents[i].expires_s;
	}
	return first;
}

enum ceremony_kind ceremony_kind(struct slice text)
{
	enum ceremony_kind kind = CEREMONY_OTHER;
	struct error ignored = ERROR_INIT;
	struct json doc = JSON_INIT;
	struct slice format;

	if (json_parse(&doc, text, JSON_STRICT, &ignored) < 0)
		return kind;
	format = json_string(json_get(json_root(&doc), "format"));
	if (slice_equal_str(format, CEREMONY_REQUEST_FORMAT))
		kind = CEREMONY_REQUEST;
	else if (slice_equal_str(format, CEREMONY_ANSWER_FORMAT))
		kind = CEREMONY_ANSWER;
	else if (json_type(json_get(json_root(&doc), "signed")) == JSON_OBJECT)
		kind = CEREMONY_METADATA;
	json_release(&doc);
	return kind;
}
