/*
 * Two trails side by side. A record that one side has witnessed of the other orders the two trails: whatever the
 * witness did came after it. A bundle is imported after it was exported, and a receipt accepted after it was made; a
 * side that had already seen the other's end of the journey before its own began has had its records rewritten.
 */
#include "fleet/custody.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "fleet/custody_internal.h"

#define SHORT_ID 13	/* digits of a bundle's or receipt's name that people see, with NUL */

/* ---- contradictions ---- */

static void contradict(struct custody *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void contradict(struct custody *c, const char *fmt, ...)
{
	va_list ap;

	if (c->total < CUSTODY_CONTRADICTIONS_MAX) {
		va_start(ap, fmt);
		vsnprintf(c->contradictions[c->total], CUSTODY_TEXT_MAX, fmt, ap);
		va_end(ap);
	}
	c->total++;
}

static const char *short_id(char out[static SHORT_ID], const uint8_t id[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, id, SHA256_LEN);
	snprintf(out, SHORT_ID, "%.12s", hex);
	return out;
}

/* ---- the events of one side, by name ---- */

/* What one side did with the other, of one kind, ordered by the bundle's or receipt's name and then by the trail. */
struct index {
	const struct custody_event **list;
	unsigned count;
};

static const uint8_t *event_id(const struct custody_event *e)
{
	return e->action >= CUSTODY_MAKE ? e->receipt : e->bundle;
}

static int by_id(const void *a, const void *b)
{
	const struct custody_event *x = *(const struct custody_event *const *)a,
				   *y = *(const struct custody_event *const *)b;
	int order = memcmp(event_id(x), event_id(y), SHA256_LEN);

	return order != 0 ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

static bool concerns(const struct custody *c, unsigned side, const struct custody_event *e)
{
	/* A receipt is made of the own site, for whoever reads it. */
	return strcmp(e->site, c->trails[e->action == CUSTODY_MAKE ? side : 1 - side].site) == 0;
}

static void index_make(struct index *x, const struct custody *c, unsigned side, enum custody_action action)
{
	const struct custody_trail *t = &c->trails[side];
	unsigned i;

	*x = (struct index){.list = xcalloc((size_t)t->count + 1, sizeof(*x->list))};
	for (i = 0; i < t->count; i++) {
		if (t->events[i].action == action && concerns(c, side, &t->events[i]))
			x->list[x->count++] = &t->events[i];
	}
	if (x->count > 0)
		qsort(x->list, x->count, sizeof(*x->list), by_id);
}

/* The first of this name; those after it with the same name follow. x->count: none. */
static unsigned index_find(const struct index *x, const uint8_t id[static SHA256_LEN])
{
	unsigned low = 0, high = x->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (memcmp(event_id(x->list[mid]), id, SHA256_LEN) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < x->count && memcmp(event_id(x->list[low]), id, SHA256_LEN) == 0 ? low : x->count;
}

/* ---- one direction: from the exporter to the importer, and receipts back ---- */

/* reach: the newest record of the importer's trail that this one or one before it covers; so it never falls. */
struct receipts {
	const struct custody_event **list;
	int64_t *reach;
	unsigned count;
};

struct way {
	struct custody *c;
	unsigned from, to;
	const char *origin, *site;
	struct index exports, imports, makes, accepts;
	/* Receipts in the order of their trails, for what came next. */
	struct receipts made, accepted;
};

/* How far each side has seen the other before each of its records. */
static void mark_knowledge(struct custody *c, unsigned side)
{
	struct custody_trail *t = &c->trails[side];
	int64_t known = 0;
	unsigned i;

	for (i = 0; i < t->count; i++) {
		struct custody_event *e = &t->events[i];
		bool witnesses = !e->refused && (e->action == CUSTODY_IMPORT || e->action == CUSTODY_ACCEPT);

		e->knows = known;
		if (witnesses && concerns(c, side, e) && e->head.seq > known)
			known = e->head.seq;
	}
}

static int by_seq(const void *a, const void *b)
{
	const struct custody_event *x = *(const struct custody_event *const *)a,
				   *y = *(const struct custody_event *const *)b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static const struct custody_event **in_order(const struct index *x)
{
	const struct custody_event **list = xcalloc((size_t)x->count + 1, sizeof(*list));

	if (x->count > 0) {
		memcpy(list, x->list, x->count * sizeof(*list));
		qsort(list, x->count, sizeof(*list), by_seq);
	}
	return list;
}

static void receipts_make(struct receipts *r, const struct index *x)
{
	unsigned i;

	r->list = in_order(x);
	r->count = x->count;
	r->reach = xcalloc((size_t)x->count + 1, sizeof(*r->reach));
	for (i = 0; i < x->count; i++) {
		int64_t before = i == 0 ? 0 : r->reach[i - 1];

		r->reach[i] = r->list[i]->head.seq > before ? r->list[i]->head.seq : before;
	}
}

static void way_open(struct way *w, struct custody *c, unsigned from)
{
	*w = (struct way){.c = c, .from = from, .to = 1 - from};
	w->origin = c->trails[w->from].site;
	w->site = c->trails[w->to].site;
	index_make(&w->exports, c, w->from, CUSTODY_EXPORT);
	index_make(&w->imports, c, w->to, CUSTODY_IMPORT);
	index_make(&w->makes, c, w->to, CUSTODY_MAKE);
	index_make(&w->accepts, c, w->from, CUSTODY_ACCEPT);
	receipts_make(&w->made, &w->makes);
	receipts_make(&w->accepted, &w->accepts);
}

static void way_close(struct way *w)
{
	free(w->exports.list);
	free(w->imports.list);
	free(w->makes.list);
	free(w->accepts.list);
	free(w->made.list);
	free(w->made.reach);
	free(w->accepted.list);
	free(w->accepted.reach);
}

static bool same_head(const struct audit_head *a, const struct audit_head *b)
{
	return a->seq == b->seq && memcmp(a->hash, b->hash, SHA256_LEN) == 0;
}

/* An import whose bundle was exported: both tell of the same manifest, in this order. */
static void check_import(const struct way *w, const struct custody_event *exported, const struct custody_event *e)
{
	char id[SHORT_ID];

	short_id(id, e->bundle);
	if (!same_head(&e->head, &exported->head) && !(e->refused && e->head.seq == 0))
		contradict(w->c,
			   "bundle %s: record %" PRId64 " of '%s' exported it with head %" PRId64 ", record %" PRId64
			   " of '%s' imported it with %s %" PRId64,
			   id, exported->seq, w->origin, exported->head.seq, e->seq, w->site,
			   e->head.seq == exported->head.seq ? "another head" : "head", e->head.seq);
	if (e->sequence != exported->sequence && !(e->refused && e->sequence == 0))
		contradict(w->c,
			   "bundle %s: record %" PRId64 " of '%s' exported it as number %" PRId64 ", record %" PRId64
			   " of '%s' imported it as number %" PRId64,
			   id, exported->seq, w->origin, exported->sequence, e->seq, w->site, e->sequence);
	if (exported->knows >= e->seq)
		contradict(w->c,
			   "bundle %s: imported by record %" PRId64 " of '%s' before it was exported: '%s' had accepted "
			   "that site's head %" PRId64 " before its record %" PRId64,
			   id, e->seq, w->site, w->origin, exported->knows, exported->seq);
}

/* The record that follows this head may be one of those before the first that was given. */
static bool before_first(const struct way *w, unsigned side, const struct audit_head *h)
{
	return h->seq + 1 < w->c->trails[side].end.first;
}

static void check_imports(const struct way *w)
{
	char id[SHORT_ID];
	unsigned i, at;

	for (i = 0; i < w->imports.count; i++) {
		const struct custody_event *e = w->imports.list[i];

		at = index_find(&w->exports, e->bundle);
		if (at < w->exports.count)
			check_import(w, w->exports.list[at], e);
		else if (!e->refused && !before_first(w, w->from, &e->head))
			contradict(w->c,
				   "bundle %s: record %" PRId64 " of '%s' imported it, and no record of '%s' exported it",
				   short_id(id, e->bundle), e->seq, w->site, w->origin);
	}
}

static void check_accept(const struct way *w, const struct custody_event *made, const struct custody_event *e)
{
	char id[SHORT_ID];

	short_id(id, e->receipt);
	if (!same_head(&e->head, &made->head) || e->has_bundle != made->has_bundle ||
	    memcmp(e->bundle, made->bundle, SHA256_LEN) != 0)
		contradict(w->c,
			   "receipt %s: record %" PRId64 " of '%s' made it with head %" PRId64 ", record %" PRId64
			   " of '%s' accepted it with %s %" PRId64,
			   id, made->seq, w->site, made->head.seq, e->seq, w->origin,
			   e->head.seq != made->head.seq ? "head" : "another head or bundle, at head", e->head.seq);
	if (made->knows >= e->seq)
		contradict(w->c,
			   "receipt %s: accepted by record %" PRId64 " of '%s' before it was made: '%s' had imported that "
			   "site's head %" PRId64 " before its record %" PRId64,
			   id, e->seq, w->origin, w->site, made->knows, made->seq);
}

static void check_accepts(const struct way *w)
{
	char id[SHORT_ID];
	unsigned i, at;

	for (i = 0; i < w->accepts.count; i++) {
		const struct custody_event *e = w->accepts.list[i];

		at = index_find(&w->makes, e->receipt);
		if (at < w->makes.count)
			check_accept(w, w->makes.list[at], e);
		else if (!before_first(w, w->to, &e->head))
			contradict(w->c,
				   "receipt %s: record %" PRId64 " of '%s' accepted it, and no record of '%s' made it",
				   short_id(id, e->receipt), e->seq, w->origin, w->site);
	}
}

/* ---- what became of each bundle ---- */

/* The first whose head of the importer's trail covers its record seq, or NULL. */
static const struct custody_event *first_covering(const struct receipts *r, int64_t seq)
{
	unsigned low = 0, high = r->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (r->reach[mid] < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->count ? r->list[low] : NULL;
}

static void find_arrivals(const struct way *w, const uint8_t id[static SHA256_LEN], struct custody_link *link)
{
	unsigned at;

	for (at = index_find(&w->imports, id);
	     at < w->imports.count && memcmp(w->imports.list[at]->bundle, id, SHA256_LEN) == 0; at++) {
		const struct custody_event *e = w->imports.list[at];

		if (e->refused && link->refused == NULL)
			link->refused = e;
		else if (!e->refused && link->imported == NULL)
			link->imported = e;
	}
}

static void judge_link(const struct way *w, struct custody_link *link)
{
	link->state = link->refused != NULL ? CUSTODY_REFUSED : CUSTODY_UNDER_WAY;
	if (link->imported == NULL)
		return;
	link->receipt = first_covering(&w->made, link->imported->seq);
	link->accepted = first_covering(&w->accepted, link->imported->seq);
	link->state = link->accepted != NULL ? CUSTODY_ACKNOWLEDGED : CUSTODY_IMPORTED;
}

static void add_link(const struct way *w, const struct custody_event *exported, const uint8_t id[static SHA256_LEN])
{
	struct custody_link *link = &w->c->links[w->c->link_count++];

	*link = (struct custody_link){.from = w->from, .exported = exported};
	find_arrivals(w, id, link);
	judge_link(w, link);
}

static void make_links(const struct way *w)
{
	const struct custody_event **exports = in_order(&w->exports), **imports = in_order(&w->imports);
	unsigned i;

	w->c->links = xreallocarray(w->c->links, (size_t)w->c->link_count + w->exports.count + w->imports.count + 1,
				    sizeof(*w->c->links));
	for (i = 0; i < w->exports.count; i++) {
		/* One export is told once, however often it was. */
		if (w->exports.list[index_find(&w->exports, exports[i]->bundle)] == exports[i])
			add_link(w, exports[i], exports[i]->bundle);
	}
	for (i = 0; i < w->imports.count; i++) {
		if (index_find(&w->exports, imports[i]->bundle) == w->exports.count &&
		    w->imports.list[index_find(&w->imports, imports[i]->bundle)] == imports[i])
			add_link(w, NULL, imports[i]->bundle);
	}
	free(exports);
	free(imports);
}

static void judge_way(struct custody *c, unsigned from)
{
	struct way w;

	way_open(&w, c, from);
	check_imports(&w);
	check_accepts(&w);
	make_links(&w);
	way_close(&w);
}

/* ---- records that were witnessed ---- */

/* One of them, and who says so. */
struct wanted {
	struct audit_head head;
	unsigned side;
	const struct custody_event *by;
};
struct search {
	struct custody *c;
	unsigned side;	/* whose trail is walked */
	struct wanted *list;
	unsigned count, at;
	bool begun;
};

static int by_head(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->head.seq > y->head.seq) - (x->head.seq < y->head.seq);
}

/* EXPORT and MAKE speak of the own trail, as their manifest or receipt does; the others of the other one. */
static void want_all(struct search *s)
{
	const struct custody *c = s->c;
	unsigned side, i;

	s->list = xcalloc((size_t)c->trails[0].count + c->trails[1].count + 1, sizeof(*s->list));
	for (side = 0; side < 2; side++) {
		for (i = 0; i < c->trails[side].count; i++) {
			const struct custody_event *e = &c->trails[side].events[i];
			bool own = e->action == CUSTODY_EXPORT || e->action == CUSTODY_MAKE;

			if (e->refused || e->head.seq == 0 || (own ? side : 1 - side) != s->side ||
			    (!own && !concerns(c, side, e)))
				continue;
			s->list[s->count++] = (struct wanted){e->head, side, e};
		}
	}
	if (s->count > 0)
		qsort(s->list, s->count, sizeof(*s->list), by_head);
}

static void not_there(const struct search *s, const struct wanted *x, const char *what)
{
	static const char *const did[] = {[CUSTODY_EXPORT] = "exported", [CUSTODY_IMPORT] = "imported",
					  [CUSTODY_MAKE] = "made", [CUSTODY_ACCEPT] = "accepted"};
	char id[SHORT_ID];

	contradict(s->c, "%s %s: record %" PRId64 " of '%s' %s it with head %" PRId64 ", %s '%s'",
		   x->by->action >= CUSTODY_MAKE ? "receipt" : "bundle", short_id(id, event_id(x->by)), x->by->seq,
		   s->c->trails[x->side].site, did[x->by->action], x->head.seq, what, s->c->trails[s->side].site);
}

/* What lies before the first record given is known by that one's word for the record before it, or not at all. */
static void begin_search(struct search *s, const struct audit_record *r)
{
	s->begun = true;
	for (; s->at < s->count && s->list[s->at].head.seq < r->seq; s->at++) {
		const struct wanted *x = &s->list[s->at];

		if (x->head.seq < r->seq - 1)
			s->c->unseen++;
		else if (memcmp(x->head.hash, r->prev, SHA256_LEN) != 0)
			not_there(s, x, "which is not the record of this number in the trail of");
	}
}

static int look_for(void *arg, const struct audit_record *r, struct error *err)
{
	struct search *s = arg;

	(void)err;
	if (!s->begun)
		begin_search(s, r);
	for (; s->at < s->count && s->list[s->at].head.seq == r->seq; s->at++) {
		const struct wanted *x = &s->list[s->at];

		if (memcmp(x->head.hash, r->hash, SHA256_LEN) != 0)
			not_there(s, x, "which is not the record of this number in the trail of");
		else if (x->side == s->side && x->by->seq <= r->seq)
			not_there(s, x, "which is not before it in the trail of");
	}
	return 0;
}

static int search_trail(struct custody *c, unsigned side, struct error *err)
{
	struct search s = {.c = c, .side = side};
	struct custody_trail *t = &c->trails[side];
	struct audit_export_report again = {.chain = t->start, .each = look_for, .arg = &s};
	int r;

	want_all(&s);
	r = audit_verify_export(t->fd, NULL, 0, &again, err);
	if (r == 0 && (again.chain.last.seq != t->end.last.seq ||
		       memcmp(again.chain.last.hash, t->end.last.hash, SHA256_LEN) != 0))
		r = error_set(err, ERR_RETRY, "the trail of '%s' changed while it was read", t->site);
	for (; r == 0 && s.at < s.count; s.at++)
		not_there(&s, &s.list[s.at], "and that is beyond the end of the trail of");
	free(s.list);
	return r;
}

/* ---- all of it ---- */

int custody_judge(struct custody *c, struct error *err)
{
	if (strcmp(c->trails[0].site, c->trails[1].site) == 0)
		return error_set(err, ERR_USAGE, "both trails are of site '%s'", c->trails[0].site);
	c->total = c->link_count = c->unseen = 0;
	mark_knowledge(c, 0);
	mark_knowledge(c, 1);
	judge_way(c, 0);
	judge_way(c, 1);
	if (search_trail(c, 0, err) < 0 || search_trail(c, 1, err) < 0)
		return -1;
	if (c->total == 0)
		return 0;
	error_set(err, ERR_REFUSED, "%s", c->contradictions[0]);
	return error_hint(err, "where an export is old, export that trail anew; else one of the trails was rewritten, "
			       "or its records are not of this journey");
}
