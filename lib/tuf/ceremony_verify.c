/*
 * Afterwards: do request, answers, results and transcripts fit each other? Every check is told with
 * its verdict, and none is skipped because another failed, so that one run shows all there is to
 * see.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "tuf/ceremony_internal.h"
#include "tuf/verify.h"

enum kind { KIND_REQUEST, KIND_ANSWER, KIND_RESULT };

/* One of the files, and what the transcripts said of it. */
struct item {
	const struct ceremony_file *file;
	enum kind kind;
	bool good;			 /* it passed its own checks */
	char hash[TRANSCRIPT_HEAD_LEN];	 /* SHA-256 of its bytes, hex */
	char head[TRANSCRIPT_HEAD_LEN];	 /* of the transcript before it was made; "" when it carries
					    none */
	int64_t made_s;			 /* -1: it does not say */
	char keyid[KEY_FINGERPRINT_LEN]; /* of an answer's signer */
	bool proven;			 /* a transcript has the step that made it */
};

struct verification {
	const struct ceremony_evidence *e;
	struct ceremony *c;
	struct item *items; /* the request, then the files in the order given */
	unsigned count;
	struct error first;
};

/* ---- telling ---- */

static void tell(struct verification *v, enum ceremony_verdict verdict, const char *file,
		 const char *text)
{
	const struct ceremony_finding f = {.verdict = verdict, .file = file, .text = text};

	if (v->first.kind == ERR_NONE &&
	    (verdict == CEREMONY_BROKEN || (verdict == CEREMONY_UNPROVEN && v->e->strict)))
		error_set(&v->first, ERR_REFUSED, "'%s': %s", file, text);
	if (v->e->tell != NULL)
		v->e->tell(v->e->arg, &f);
}

static void tell_about(struct verification *v, enum ceremony_verdict verdict, const char *file,
		       const char *fmt, ...) PRINTF_LIKE(4, 5);

static void tell_about(struct verification *v, enum ceremony_verdict verdict, const char *file,
		       const char *fmt, ...)
{
	char text[512], safe[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell(v, verdict, file, printable(safe, sizeof(safe), slice_str(text)));
}

static const char *base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash == NULL ? name : slash + 1;
}

static struct item *add_item(struct verification *v, const struct ceremony_file *file,
			     enum kind kind)
{
	struct item *item = &v->items[v->count++];
	uint8_t hash[SHA256_LEN];

	*item = (struct item){.file = file, .kind = kind, .made_s = -1};
	sha256_of(file->text, hash);
	hex_encode(item->hash, hash, sizeof(hash));
	return item;
}

/* ---- the request ---- */

static int check_request(struct verification *v, struct error *err)
{
	struct item *item = add_item(v, &v->e->request, KIND_REQUEST);
	struct error why = ERROR_INIT;
	struct json_value top;

	if ((v->c = ceremony_parse(v->e->request.text, &why)) == NULL) {
		tell(v, CEREMONY_BROKEN, item->file->name, why.text);
		*err = why; /* nothing can be said about the rest */
		return error_wrap(err, "'%s'", item->file->name);
	}
	top = json_root(&v->c->doc);
	item->good = true;
	snprintf(item->head, sizeof(item->head), "%.*s",
		 SLICE_ARG(json_string(json_get(top, "transcript"))));
	if (time_parse(&item->made_s, json_string(json_get(top, "created")), &why) < 0)
		item->made_s = -1;
	tell_about(v, CEREMONY_HOLDS, item->file->name, "a request for site '%s'%s, fingerprint %s",
		   v->c->site, v->c->rehearsal ? ", a rehearsal" : "", v->c->fingerprint);
	return 0;
}

/* The same of the root whose keys the site is to believe. */
static void check_made_like(struct verification *v)
{
	const struct ceremony_file *own = &v->e->like;
	struct error why = ERROR_INIT;

	if (own->name == NULL) {
		if (ceremony_unconfirmed(v->c, CEREMONY_LIKE))
			tell(v, CEREMONY_UNPROVEN, v->e->request.name,
			     "the root that it is made like is the request's own word");
		return;
	}
	if (ceremony_confirm(v->c, CEREMONY_LIKE, own->text, &why) < 0)
		tell(v, CEREMONY_BROKEN, own->name, why.text);
	else
		tell(v, CEREMONY_HOLDS, own->name, "the root that the request is made like");
}

/* Results are checked by this root: what it is not, they are not. */
static void check_in_force(struct verification *v)
{
	const struct ceremony_file *own = &v->e->root;
	struct error why = ERROR_INIT;

	if (own->name == NULL) {
		if (ceremony_unconfirmed(v->c, CEREMONY_ROOT))
			tell(v, CEREMONY_UNPROVEN, v->e->request.name,
			     "the root in force is the request's own word");
		return;
	}
	if (ceremony_confirm(v->c, CEREMONY_ROOT, own->text, &why) < 0)
		tell(v, CEREMONY_BROKEN, own->name, why.text);
	else
		tell(v, CEREMONY_HOLDS, own->name, "the root that the request calls in force");
}

/* ---- answers and results ---- */

/* "root", "targets" or "root and targets". */
static const char *documents_words(const struct ceremony *c, const bool documents[2])
{
	if (documents[0] && documents[1])
		return "root and targets";
	return c->documents[documents[0] ? 0 : 1].role;
}

static void check_answer(struct verification *v, struct item *item)
{
	struct buf who = BUF_INIT(256);
	struct ceremony_answer_info info;
	struct error why = ERROR_INIT;
	char when[TIME_TEXT_LEN];

	if (ceremony_add_answer(v->c, item->file->text, &info, &why) < 0 &&
	    why.kind != ERR_CONFLICT) {
		tell(v, CEREMONY_BROKEN, item->file->name, why.text);
		return;
	}
	item->good = true;
	item->made_s = info.signed_s;
	snprintf(item->keyid, sizeof(item->keyid), "%s", info.keyid);
	snprintf(item->head, sizeof(item->head), "%s", info.transcript);
	ceremony_put_who(&who, v->c, info.keyid);
	if (why.kind == ERR_CONFLICT)
		tell_about(v, CEREMONY_HOLDS, item->file->name,
			   "one more answer of %s, which counts once", buf_cstr(&who));
	else
		tell_about(v, CEREMONY_HOLDS, item->file->name,
			   "%s signed %s at %s, and the proof holds", buf_cstr(&who),
			   documents_words(v->c, info.documents), time_text(when, info.signed_s));
	buf_release(&who);
}

/* The answer whose signature of the document stands in the result under this id, or NULL. */
static const struct ceremony_answer *answer_of(const struct ceremony *c, unsigned document,
					       struct slice keyid, struct slice sig)
{
	uint8_t raw[SIGNATURE_LEN_MAX];
	struct error ignored = ERROR_INIT;
	unsigned i;

	if (sig.len / 2 > sizeof(raw) || hex_decode(raw, sig.len / 2, sig, &ignored) < 0)
		return NULL;
	for (i = 0; i < c->answer_count; i++) {
		const char *id = ceremony_listed_id(&c->documents[document], &c->answers[i].key);

		if (id != NULL && slice_equal_str(keyid, id) &&
		    slice_equal(buf_slice(&c->answers[i].sigs[document]),
				slice_of(raw, sig.len / 2)))
			return &c->answers[i];
	}
	return NULL;
}

/* Signatures of the answers, all of them from answers that were given. */
static int check_result_signatures(const struct ceremony *c, unsigned document,
				   const struct tuf_head *head, struct error *err)
{
	struct json_iter it;
	char shown[32];

	for (it = json_iter(head->signatures); json_next(&it);) {
		struct slice keyid = json_string(json_get(it.value, "keyid"));

		if (answer_of(c, document, keyid, json_string(json_get(it.value, "sig"))) == NULL)
			return error_set(err, ERR_REFUSED,
					 "its signature of %s... is in none of the answers",
					 printable(shown, sizeof(shown), slice_sub(keyid, 0, 16)));
	}
	return 0;
}

static int check_same_document(const struct ceremony_document *d, const struct tuf_head *head,
			       struct error *err)
{
	struct buf a = BUF_INIT(CEREMONY_REQUEST_MAX), b = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, d->signed_json, JSON_STRICT, err) == 0 &&
	    json_canonical(&a, json_root(&doc), err) == 0 &&
	    json_canonical(&b, head->body, err) == 0)
		r = slice_equal(buf_slice(&a), buf_slice(&b))
			    ? 0
			    : error_set(err, ERR_REFUSED, "it is not the %s of the request",
					d->role);
	json_release(&doc);
	buf_release(&a);
	buf_release(&b);
	return r;
}

static int check_head(const struct ceremony *c, const char *role, const struct tuf_head *head,
		      struct error *err)
{
	unsigned i;

	for (i = 0; i < c->document_count; i++) {
		if (strcmp(c->documents[i].role, role) == 0)
			return check_same_document(&c->documents[i], head, err) < 0 ||
					       check_result_signatures(c, i, head, err) < 0
				       ? -1
				       : 0;
	}
	return error_set(err, ERR_REFUSED, "the request is about no %s", role);
}

/* As a client takes it, with the clock left out: what has expired since was good once. */
static int check_root_result(const struct ceremony *c, struct slice text, struct error *err)
{
	struct tuf_root *root = tuf_root_parse(text, err);
	int r = -1;

	if (root != NULL && check_head(c, "root", &root->head, err) == 0)
		r = c->root_in_force == NULL ? tuf_root_check_self(root, err)
					     : tuf_root_check(c->root_in_force, root, err);
	tuf_root_free(root);
	return r;
}

static int check_targets_result(const struct ceremony *c, struct slice text, struct error *err)
{
	struct tuf_targets *targets = tuf_targets_parse(text, err);
	struct tuf_metafile meta = {.length = -1};
	int r = -1;

	if (targets != NULL && check_head(c, "targets", &targets->head, err) == 0) {
		meta.version = targets->head.version;
		r = tuf_targets_check(&ceremony_signing_root(c)->roles[TUF_TARGETS], "targets",
				      &meta, targets, -1, err);
	}
	tuf_targets_free(targets);
	return r;
}

static void check_result(struct verification *v, struct item *item)
{
	struct error why = ERROR_INIT;
	struct json doc = JSON_INIT;
	const char *role = "root";
	int r = json_parse(&doc, item->file->text, JSON_STRICT, &why);

	if (r == 0 &&
	    !slice_equal_str(json_string(json_get(json_get(json_root(&doc), "signed"), "_type")),
			     "root"))
		role = "targets";
	json_release(&doc);
	if (r == 0)
		r = strcmp(role, "root") == 0 ? check_root_result(v->c, item->file->text, &why)
					      : check_targets_result(v->c, item->file->text, &why);
	item->good = r == 0;
	if (r < 0)
		tell(v, CEREMONY_BROKEN, item->file->name, why.text);
	else
		tell_about(v, CEREMONY_HOLDS, item->file->name,
			   "the %s of the request, signed as %s, by answers given here", role,
			   ceremony_unconfirmed(v->c, CEREMONY_ROOT)
				   ? "the root wants it that the request calls in force"
				   : "a device wants it");
}

static void check_files(struct verification *v)
{
	const struct ceremony_evidence *e = v->e;
	struct error missing = ERROR_INIT;
	unsigned i, results = 0;

	/* What is no metadata has to be an answer, and is refused as one. */
	for (i = 0; i < e->file_count; i++)
		add_item(v, &e->files[i],
			 ceremony_kind(e->files[i].text) == CEREMONY_METADATA ? KIND_RESULT
									      : KIND_ANSWER);
	for (i = 1; i < v->count; i++) {
		if (v->items[i].kind == KIND_ANSWER)
			check_answer(v, &v->items[i]);
	}
	for (i = 1; i < v->count; i++) {
		if (v->items[i].kind != KIND_RESULT)
			continue;
		check_result(v, &v->items[i]);
		results++;
	}
	if (ceremony_complete(v->c, &missing) == 0)
		tell(v, CEREMONY_HOLDS, e->request.name, "every threshold is met by the answers");
	else
		tell(v, results > 0 ? CEREMONY_BROKEN : CEREMONY_UNPROVEN, e->request.name,
		     missing.text);
}

/* ---- transcripts ---- */

/* One transcript under inspection; spoken and named are by item. */
struct reading {
	const struct ceremony_file *file;
	struct transcript_reader t;
	int64_t *spoken; /* the line that speaks of it by name or key; 0: none */
	bool *named;	 /* a line has its hash */
	unsigned lines;	 /* of this ceremony */
};

static bool step_makes(struct slice step, enum kind kind)
{
	if (kind == KIND_ANSWER)
		return slice_equal_str(step, "sign");
	if (kind == KIND_RESULT)
		return slice_equal_str(step, "finish");
	return slice_equal_str(step, "new") || slice_equal_str(step, "rotate") ||
	       slice_equal_str(step, "delegate");
}

/* The line that made the item must stand where the item says, and at its time. */
static void check_place(struct verification *v, struct reading *r, struct item *item)
{
	const char *name = r->file->name;

	if (item->head[0] != '\0' && !slice_equal_str(r->t.prev, item->head))
		tell_about(v, CEREMONY_BROKEN, item->file->name,
			   "it names other lines before it than stand in '%s' before line %" PRId64,
			   name, r->t.n);
	else if (item->made_s >= 0 && item->made_s != r->t.time_s)
		tell_about(v, CEREMONY_BROKEN, item->file->name,
			   "it bears another time than line %" PRId64 " of '%s'", r->t.n, name);
	else
		tell_about(v, CEREMONY_HOLDS, item->file->name, "made by line %" PRId64 " of '%s'",
			   r->t.n, name);
	item->proven = true;
}

static void take_entry(struct verification *v, struct reading *r, struct item *item,
		       struct json_value entry)
{
	bool makes = step_makes(r->t.step, item->kind);

	if (slice_equal_str(json_string(json_get(entry, "sha256")), item->hash)) {
		if (makes && item->good && !item->proven)
			check_place(v, r, item);
		r->named[item - v->items] = true;
	} else if (item->kind != KIND_ANSWER && (item->kind == KIND_REQUEST || makes) &&
		   slice_equal_str(json_string(json_get(entry, "name")),
				   base_name(item->file->name))) {
		r->spoken[item - v->items] = r->t.n;
	}
}

static void take_line(struct verification *v, struct reading *r)
{
	struct json_iter it;
	unsigned i;

	for (i = 0; i < v->count; i++) {
		struct item *item = &v->items[i];

		/* The line that follows the head which the item names is the one that made it, or
		 * was put in its place. */
		if (item->kind == KIND_ANSWER && item->good && slice_equal_str(r->t.step, "sign") &&
		    slice_equal_str(r->t.request, v->c->fingerprint) &&
		    slice_ends(r->t.detail, slice_str(item->keyid)))
			r->spoken[i] = r->t.n;
		else if (item->good && strspn(item->head, "0") < 64 &&
			 slice_equal_str(r->t.prev, item->head))
			r->spoken[i] = r->t.n;
	}
	if (!slice_equal_str(r->t.request, v->c->fingerprint))
		return;
	r->lines++;
	for (it = json_iter(r->t.files); json_next(&it);) {
		for (i = 0; i < v->count; i++)
			take_entry(v, r, &v->items[i], it.value);
	}
}

static void judge_transcript(struct verification *v, struct reading *r)
{
	const char *name = r->file->name;
	unsigned i;

	for (i = 0; i < v->count; i++) {
		const struct item *item = &v->items[i];

		if (r->named[i])
			continue;
		if (r->spoken[i] > 0)
			tell_about(v, CEREMONY_BROKEN, item->file->name,
				   "line %" PRId64 " of '%s' speaks of another file than this",
				   r->spoken[i], name);
		else if (item->good && r->t.n > 0 && strcmp(r->t.head, item->head) == 0)
			tell_about(v, CEREMONY_BROKEN, item->file->name,
				   "'%s' ends where the line that made this file should follow",
				   name);
	}
	if (r->lines == 0 && !r->file->own)
		tell(v, CEREMONY_BROKEN, name, "it has no line of this ceremony");
	else
		tell_about(v, CEREMONY_HOLDS, name,
			   "a chain of %" PRId64 " lines, %u of this ceremony, head %s", r->t.n,
			   r->lines, r->t.head);
}

static void check_transcript(struct verification *v, const struct ceremony_file *file)
{
	struct reading r = {.file = file};
	struct error why = ERROR_INIT;
	int more;

	r.spoken = xcalloc(v->count, sizeof(*r.spoken));
	r.named = xcalloc(v->count, sizeof(*r.named));
	transcript_start(&r.t, file->text);
	while ((more = transcript_next(&r.t, &why)) > 0)
		take_line(v, &r);
	if (more < 0)
		tell(v, CEREMONY_BROKEN, file->name, why.text);
	else
		judge_transcript(v, &r);
	transcript_stop(&r.t);
	free(r.spoken);
	free(r.named);
}

static void check_transcripts(struct verification *v)
{
	unsigned i;

	for (i = 0; i < v->e->transcript_count; i++)
		check_transcript(v, &v->e->transcripts[i]);
	for (i = 0; i < v->count; i++) {
		if (v->items[i].good && !v->items[i].proven)
			tell(v, CEREMONY_UNPROVEN, v->items[i].file->name,
			     "no transcript given here has the line that made it");
	}
}

int ceremony_verify(const struct ceremony_evidence *e, struct error *err)
{
	struct verification v = {.e = e, .first = ERROR_INIT};
	int r = -1;

	v.items = xcalloc((size_t)e->file_count + 1, sizeof(*v.items));
	if (check_request(&v, err) == 0) {
		check_in_force(&v);
		check_made_like(&v);
		check_files(&v);
		check_transcripts(&v);
		r = v.first.kind == ERR_NONE ? 0 : -1;
		if (r < 0)
			*err = v.first;
	}
	ceremony_free(v.c);
	free(v.items);
	return r;
}
