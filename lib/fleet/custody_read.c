/* Custody: what the records of a trail say about bundles and receipts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/json.h"
#include "fleet/custody_internal.h"

/* ---- one record ---- */

static int read_head(struct json_value detail, const char *name, struct audit_head *out, struct error *err)
{
	struct json_value v;
	struct slice hash = SLICE_EMPTY;

	if (json_need_object(detail, name, &v, err) < 0 || json_need_int(v, "seq", 0, INT64_MAX, &out->seq, err) < 0 ||
	    json_need_string(v, "hash", &hash, err) < 0)
		return -1;
	return hex_decode(out->hash, SHA256_LEN, hash, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

static int read_id(struct json_value detail, const char *name, uint8_t out[static SHA256_LEN], struct error *err)
{
	struct slice hex = SLICE_EMPTY;

	if (json_need_string(detail, name, &hex, err) < 0)
		return -1;
	return hex_decode(out, SHA256_LEN, hex, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

/* A receipt of before the first import names no bundle. */
static int read_bundle(struct json_value detail, struct custody_event *e, struct error *err)
{
	if (e->action >= CUSTODY_MAKE && json_type(json_get(detail, "bundle")) == JSON_NULL)
		return 0;
	e->has_bundle = true;
	return read_id(detail, "bundle", e->bundle, err);
}

static int read_done(struct json_value detail, struct custody_event *e, struct error *err)
{
	static const char *const heads[] = {[CUSTODY_EXPORT] = "head", [CUSTODY_IMPORT] = "origin_head",
					    [CUSTODY_MAKE] = "head", [CUSTODY_ACCEPT] = "site_head"};

	if (read_bundle(detail, e, err) < 0 || read_head(detail, heads[e->action], &e->head, err) < 0)
		return -1;
	if (e->action <= CUSTODY_IMPORT)
		return json_need_int(detail, "sequence", 1, INT64_MAX, &e->sequence, err);
	return read_id(detail, "receipt", e->receipt, err);
}

/* Of what was refused, that much is said as was known; without a bundle's name there is nothing to compare. */
static int read_refused(struct json_value detail, struct custody_event *e)
{
	struct error ignored = ERROR_INIT;
	struct json_value text = json_get(detail, "text"), sequence = json_get(detail, "sequence");

	e->refused = true;
	if (read_id(detail, "bundle", e->bundle, &ignored) < 0)
		return 0;
	e->has_bundle = true;
	if (json_type(sequence) == JSON_INT)
		e->sequence = json_int(sequence);
	if (read_head(detail, "origin_head", &e->head, &ignored) < 0)
		e->head = (struct audit_head){.seq = 0};
	printable(e->why, sizeof(e->why), json_string(text));
	return 1;
}

static bool action_of(const struct audit_record *r, enum custody_action *out)
{
	static const char *const names[] = {[CUSTODY_EXPORT] = "bundle.export", [CUSTODY_IMPORT] = "bundle.import",
					    [CUSTODY_MAKE] = "receipt.make", [CUSTODY_ACCEPT] = "receipt.accept"};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (slice_equal_str(r->action, names[i])) {
			*out = (enum custody_action)i;
			return true;
		}
	}
	return false;
}

static int read_site(const struct audit_record *r, struct custody_event *e, struct error *err)
{
	struct slice name = r->object;

	if (!slice_starts(name, SLICE_LIT("site:")))
		return error_set(err, ERR_MALFORMED, "its object names no site");
	name = slice_sub(name, strlen("site:"), SIZE_MAX);
	if (name_check(name, "site", err) < 0)
		return -1;
	snprintf(e->site, sizeof(e->site), "%.*s", SLICE_ARG(name));
	return 0;
}

int custody_event_read(const struct audit_record *r, struct custody_event *out, struct error *err)
{
	bool done = slice_equal_str(r->verdict, "ok");
	struct error ignored = ERROR_INIT;
	struct json doc = JSON_INIT;
	int ret = 0;

	*out = (struct custody_event){.seq = r->seq, .time_s = r->time_s};
	if (!action_of(r, &out->action) || (!done && out->action != CUSTODY_IMPORT))
		return 0;
	/* What was refused may not even say whom it came from. */
	if (read_site(r, out, done ? err : &ignored) < 0)
		ret = done ? -1 : 0;
	else if (json_parse(&doc, r->detail, JSON_STRICT, err) < 0)
		ret = -1;
	else if (done)
		ret = read_done(json_root(&doc), out, err) < 0 ? -1 : 1;
	else
		ret = read_refused(json_root(&doc), out);
	json_release(&doc);
	return ret < 0 ? error_wrap(err, "audit record %" PRId64 ", %.*s", r->seq, SLICE_ARG(r->action)) : ret;
}

/* ---- a trail ---- */

static int collect(void *arg, const struct audit_record *r, struct error *err)
{
	struct custody_trail *t = arg;
	struct custody_event e;
	int found = custody_event_read(r, &e, err);

	if (found <= 0)
		return found;
	if (t->count == CUSTODY_EVENTS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d records about bundles", CUSTODY_EVENTS_MAX);
	if ((t->count & (t->count - 1)) == 0)
		t->events = xreallocarray(t->events, t->count == 0 ? 1 : 2 * (size_t)t->count, sizeof(e));
	t->events[t->count++] = e;
	return 0;
}

struct custody *custody_new(void)
{
	return xcalloc(1, sizeof(struct custody));
}

void custody_free(struct custody *c)
{
	if (c == NULL)
		return;
	free(c->trails[0].events);
	free(c->trails[1].events);
	free(c->links);
	free(c);
}

int custody_read(struct custody *c, unsigned side, int fd, const struct pubkey *keys, unsigned count,
		 struct audit_export_report *report, struct error *err)
{
	struct custody_trail *t = &c->trails[side];

	free(t->events);
	*t = (struct custody_trail){.fd = fd, .start = report->chain};
	report->each = collect;
	report->arg = t;
	if (audit_verify_export(fd, keys, count, report, err) < 0)
		return -1;
	t->end = report->chain;
	if (name_check(slice_str(report->head.site), "site", err) < 0)
		return -1;
	snprintf(t->site, sizeof(t->site), "%s", report->head.site);
	return 0;
}

const char *custody_site(const struct custody *c, unsigned side)
{
	return c->trails[side].site;
}

unsigned custody_links(const struct custody *c, const struct custody_link **list)
{
	*list = c->links;
	return c->link_count;
}

unsigned custody_unseen(const struct custody *c)
{
	return c->unseen;
}

unsigned custody_contradictions(const struct custody *c, const char (**list)[CUSTODY_TEXT_MAX], unsigned *total)
{
	*list = c->contradictions;
	*total = c->total;
	return c->total < CUSTODY_CONTRADICTIONS_MAX ? c->total : CUSTODY_CONTRADICTIONS_MAX;
}
