/* Routes of the audit trail. */
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "control/control.h"
#include "control/routes_fleet.h"
#include "crypto/keyfile.h"
#include "crypto/sshsig.h"
#include "fleet/audit.h"
#include "store/schema.h"
#include "sys/file.h"
#include "tuf/repo.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000
#define EXPORT_PAGE_MAX 5000		/* records */
#define EXPORT_PAGE_BYTES (16u << 20)	/* the page ends with the record that passes this */

/* ---- listing ---- */

/* A filter with the texts it borrows. */
struct asked {
	struct audit_filter filter;
	struct buf actor, action, object, since, until;
};

static void asked_release(struct asked *a)
{
	buf_release(&a->actor);
	buf_release(&a->action);
	buf_release(&a->object);
	buf_release(&a->since);
	buf_release(&a->until);
}

static int ask_text(const struct api_call *call, const char *name, struct buf *b, const char **out, struct error *err)
{
	bool given;

	*b = BUF_INIT(AUDIT_TEXT_MAX);
	if (fleet_query_text(call, name, b, &given, err) < 0)
		return -1;
	*out = given ? buf_cstr(b) : NULL;
	return 0;
}

static int ask_time(const struct api_call *call, const char *name, struct buf *b, int64_t *out, struct error *err)
{
	bool given;

	*b = BUF_INIT(TIME_TEXT_LEN);
	if (fleet_query_text(call, name, b, &given, err) < 0)
		return -1;
	if (given && time_parse(out, buf_slice(b), err) < 0)
		return error_wrap(err, "query parameter '%s'", name);
	return 0;
}

static int ask(const struct api_call *call, struct asked *a, unsigned fallback, unsigned max, struct error *err)
{
	int64_t limit = fallback;

	*a = (struct asked){.filter.limit = 0};
	if (ask_text(call, "actor", &a->actor, &a->filter.actor, err) < 0 ||
	    ask_text(call, "action", &a->action, &a->filter.action, err) < 0 ||
	    ask_text(call, "object", &a->object, &a->filter.object, err) < 0 ||
	    ask_time(call, "since", &a->since, &a->filter.since_s, err) < 0 ||
	    ask_time(call, "until", &a->until, &a->filter.until_s, err) < 0 ||
	    fleet_query_int(call, "from", 1, INT64_MAX / 10, &a->filter.from_seq, err) < 0 ||
	    fleet_query_int(call, "to", 1, INT64_MAX / 10, &a->filter.to_seq, err) < 0 ||
	    fleet_query_int(call, "limit", 1, max, &limit, err) < 0)
		return -1;
	a->filter.limit = (unsigned)limit;
	return 0;
}

int fleet_get_audit(struct api_call *call, struct error *err)
{
	struct buf line = BUF_INIT(AUDIT_RECORD_MAX);
	struct audit_walk w;
	struct asked a;
	int r = ask(call, &a, LIST_DEFAULT, LIST_MAX, err);

	if (r == 0) {
		a.filter.newest_first = true;
		json_open_object(&call->out, NULL);
		json_open_array(&call->out, "records");
		audit_walk_open(&w, call->db, &a.filter);
		while ((r = audit_walk_next(&w, err)) > 0) {
			buf_clear(&line);
			audit_record_put(&line, &w.record);
			json_put_raw(&call->out, NULL, buf_slice(&line));
		}
		audit_walk_close(&w);
		json_close(&call->out);
		json_close(&call->out);
	}
	buf_release(&line);
	asked_release(&a);
	return r;
}

int fleet_export_audit(struct api_call *call, struct error *err)
{
	struct audit_walk w;
	struct asked a;
	int r = ask(call, &a, EXPORT_PAGE_MAX, EXPORT_PAGE_MAX, err);

	if (r == 0) {
		call->content_type = "application/x-ndjson";
		audit_walk_open(&w, call->db, &a.filter);
		while (call->reply.len < EXPORT_PAGE_BYTES && (r = audit_walk_next(&w, err)) > 0) {
			audit_record_put(&call->reply, &w.record);
			buf_put_u8(&call->reply, '\n');
		}
		audit_walk_close(&w);
	}
	asked_release(&a);
	return r < 0 ? -1 : 0;
}

/* ---- checking the whole trail ---- */

/* How far a walk outside the writer came; a fault is carried on, not returned. */
struct checked {
	struct audit_chain chain;
	struct error fault;	/* ERR_NONE: intact so far */
};

/* Walk on from where c stands; a fault of the trail goes into it, -1 is trouble of our own. */
static int check_on(struct db *db, struct checked *c, struct error *err)
{
	if (c->fault.kind != ERR_NONE || audit_verify_db(db, &c->chain, &c->fault) == 0)
		return 0;
	if (c->fault.kind == ERR_REFUSED || c->fault.kind == ERR_MALFORMED)
		return 0;
	*err = c->fault;
	return -1;
}

/* On a connection of its own, so that neither the writer nor a loop waits for a long trail. */
static int check_beside(struct api_call *call, const struct audit_head *witness, struct error *err)
{
	struct checked *c = xcalloc(1, sizeof(*c));
	char path[4096];
	struct db *db;
	int r = -1;

	if (witness != NULL)
		c->chain.witness = *witness;
	call->prepared = c;
	call->prepared_free = free;
	path_join(path, call->control->home, "control/" CONTROL_DB_NAME);
	db = db_open(path, DB_READ, &control_schema, err);
	if (db == NULL)
		return -1;
	if (db_begin_read(db, err) == 0)
		r = check_on(db, c, err);
	db_close(db);
	return r;
}

int fleet_prepare_verify(struct api_call *call, struct error *err)
{
	struct buf text = BUF_INIT(128);
	struct audit_head witness;
	bool given;
	int r = -1;

	if (fleet_query_text(call, "witness", &text, &given, err) == 0 &&
	    (!given || audit_witness_parse(buf_slice(&text), &witness, err) == 0))
		r = check_beside(call, given ? &witness : NULL, err);
	buf_release(&text);
	return r;
}

int fleet_get_verify(struct api_call *call, struct error *err)
{
	const struct checked *c = call->prepared;

	if (c->fault.kind != ERR_NONE) {
		*err = c->fault;
		err->kind = ERR_REFUSED;
		return -1;
	}
	json_open_object(&call->out, NULL);
	json_put_bool(&call->out, "intact", true);
	json_put_int(&call->out, "records", c->chain.last.seq);
	json_put_hex(&call->out, "hash", c->chain.last.hash, SHA256_LEN);
	json_put_bool(&call->out, "witnessed", c->chain.witnessed);
	json_close(&call->out);
	return 0;
}

/* ---- the signed head ---- */

int fleet_prepare_head(struct api_call *call, struct error *err)
{
	return check_beside(call, NULL, err);
}

/* The site's record key, where `repo init` has made one. *key NULL: there is none. */
static int open_record_key(const struct control *c, struct seckey **key, struct error *err)
{
	*key = NULL;
	if (c->repo == NULL)
		return 0;
	*key = keyfile_open(repo_dirfd(c->repo), "keys/record-site.key", SLICE_EMPTY, err);
	if (*key != NULL)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return error_wrap(err, "cannot sign the head of the audit trail");
	*err = ERROR_INIT;
	return 0;
}

static int site_name(const struct api_call *call, struct buf *out, struct error *err)
{
	if (call->control->repo != NULL) {
		buf_put_str(out, repo_site(call->control->repo));
		return 0;
	}
	return meta_get(call->db, META_SITE, out, err) < 0 ? -1 : 0;
}

static int put_signed_head(struct api_call *call, const struct checked *c, struct error *err)
{
	struct buf text = BUF_INIT(AUDIT_HEAD_TEXT_MAX), armored = BUF_INIT(SSHSIG_SIZE_MAX), site = BUF_INIT(64);
	struct seckey *key = NULL;
	struct audit_head head;
	int r = -1;

	if (site_name(call, &site, err) < 0 || audit_head(call->db, &head, err) < 0 ||
	    open_record_key(call->control, &key, err) < 0)
		goto out;
	audit_head_put(&text, &head, buf_cstr(&site), call->now_s,
		       c->fault.kind == ERR_NONE ? NULL : c->fault.text);
	if (key != NULL && audit_head_sign(key, buf_slice(&text), &armored, err) < 0)
		goto out;
	audit_trailer_put(&call->reply, buf_slice(&text), buf_slice(&armored));
	r = 0;
out:
	seckey_free(key);
	buf_release(&text);
	buf_release(&armored);
	buf_release(&site);
	return r;
}

int fleet_get_head(struct api_call *call, struct error *err)
{
	struct checked *c = call->prepared;

	/* What was appended meanwhile. */
	if (check_on(call->db, c, err) < 0)
		return -1;
	return put_signed_head(call, c, err);
}
