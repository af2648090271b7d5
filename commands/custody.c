/* The chain of custody, a bundle a line: who handed what to whom, by which records. */
#include "commands/custody.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/timefmt.h"

#define REPORT_MAX (256u << 20)	/* bytes of the JSON document */

struct report {
	struct cmd *cmd;
	const struct custody *c;
	struct json_writer *w;	/* NULL: for people */
	unsigned counts[CUSTODY_ACKNOWLEDGED + 1];
};

static const char *const state_names[] = {
	[CUSTODY_UNDER_WAY] = "under_way",
	[CUSTODY_REFUSED] = "refused",
	[CUSTODY_IMPORTED] = "imported",
	[CUSTODY_ACKNOWLEDGED] = "acknowledged",
};

static const char *const state_words[] = {
	[CUSTODY_UNDER_WAY] = "under way",
	[CUSTODY_REFUSED] = "refused",
	[CUSTODY_IMPORTED] = "imported",
	[CUSTODY_ACKNOWLEDGED] = "acknowledged",
};

static const struct custody_event *any_event(const struct custody_link *l)
{
	if (l->exported != NULL)
		return l->exported;
	return l->imported != NULL ? l->imported : l->refused;
}

/* ---- for people ---- */

static void print_step(struct report *r, const char *what, unsigned side, const struct custody_event *e)
{
	char record[NAME_LEN_MAX + 24], when[TIME_TEXT_LEN];

	if (e == NULL)
		return;
	snprintf(record, sizeof(record), "%s#%lld", custody_site(r->c, side), (long long)e->seq);
	cmd_printf(r->cmd, "  %-8s  %-20s  %s%s%s\n", what, record, time_text(when, e->time_s), e->why[0] == '\0' ? "" : "  ",
		   e->why);
}

/* What is not there, and would come next or first. */
static void print_lack(struct report *r, const char *fmt, const char *site)
{
	cmd_printf(r->cmd, "  %-8s  ", "-");
	cmd_printf(r->cmd, fmt, site);
	cmd_printf(r->cmd, "\n");
}

/* A refusal may come before the import or long after it. */
static void print_arrival(struct report *r, const struct custody_link *l, unsigned to)
{
	bool first = l->refused != NULL && (l->imported == NULL || l->refused->seq < l->imported->seq);

	if (first)
		print_step(r, "refused", to, l->refused);
	print_step(r, "imported", to, l->imported);
	if (!first)
		print_step(r, "refused", to, l->refused);
}

static void print_link(struct report *r, const struct custody_link *l)
{
	const struct custody_event *e = any_event(l);
	char hex[SHA256_HEX_LEN];
	unsigned to = 1 - l->from;

	hex_encode(hex, e->bundle, SHA256_LEN);
	cmd_printf(r->cmd, "bundle %lld %.12s, %s\n", (long long)e->sequence, hex, state_words[l->state]);
	if (l->exported == NULL && l->imported != NULL)
		print_lack(r, "exported before the records of %s given here", custody_site(r->c, l->from));
	else if (l->exported == NULL)
		print_lack(r, "no record of %s that it made this for the other site", custody_site(r->c, l->from));
	print_step(r, "exported", l->from, l->exported);
	print_arrival(r, l, to);
	print_step(r, "receipt", to, l->receipt);
	print_step(r, "accepted", l->from, l->accepted);
	if (l->state == CUSTODY_IMPORTED)
		print_lack(r, l->receipt == NULL ? "no receipt made by %s" : "receipt not brought back from %s",
			   custody_site(r->c, to));
}

static void print_trail(struct report *r, unsigned side, const struct audit_export_report *t, bool is_signed)
{
	char when[TIME_TEXT_LEN];

	cmd_printf(r->cmd, "site %s: records %lld to %lld, %s %s\n", custody_site(r->c, side), (long long)t->chain.first,
		   (long long)t->chain.last.seq, is_signed ? "signed" : "not checked for a signature, of",
		   time_text(when, t->head.time_s));
}

/* ---- for scripts ---- */

static void put_step(struct report *r, const char *name, const struct custody_event *e)
{
	char when[TIME_TEXT_LEN];

	if (e == NULL) {
		json_put_null(r->w, name);
		return;
	}
	json_open_object(r->w, name);
	json_put_int(r->w, "seq", e->seq);
	json_put_string(r->w, "time", time_text(when, e->time_s));
	if (e->action >= CUSTODY_MAKE)
		json_put_hex(r->w, "receipt", e->receipt, SHA256_LEN);
	if (e->refused)
		json_put_string(r->w, "why", e->why);
	json_close(r->w);
}

static void put_link(struct report *r, const struct custody_link *l)
{
	const struct custody_event *e = any_event(l);

	json_open_object(r->w, NULL);
	json_put_hex(r->w, "bundle", e->bundle, SHA256_LEN);
	json_put_int(r->w, "sequence", e->sequence);
	json_put_string(r->w, "from", custody_site(r->c, l->from));
	json_put_string(r->w, "to", custody_site(r->c, 1 - l->from));
	json_put_string(r->w, "state", state_names[l->state]);
	put_step(r, "exported", l->exported);
	put_step(r, "refused", l->refused);
	put_step(r, "imported", l->imported);
	put_step(r, "receipt", l->receipt);
	put_step(r, "accepted", l->accepted);
	json_close(r->w);
}

static void put_trail(struct report *r, unsigned side, const struct audit_export_report *t, bool is_signed)
{
	char when[TIME_TEXT_LEN];

	json_open_object(r->w, NULL);
	json_put_string(r->w, "site", custody_site(r->c, side));
	json_put_int(r->w, "first", t->chain.first);
	json_put_int(r->w, "records", t->chain.last.seq);
	json_put_hex(r->w, "hash", t->chain.last.hash, SHA256_LEN);
	json_put_bool(r->w, "witnessed", t->chain.witnessed);
	json_put_bool(r->w, "signed", is_signed);
	json_put_string(r->w, "time", time_text(when, t->head.time_s));
	json_close(r->w);
}

/* ---- all of it ---- */

static void tell_links(struct report *r)
{
	const struct custody_link *list;
	unsigned count = custody_links(r->c, &list), i;

	for (i = 0; i < count; i++) {
		r->counts[list[i].state]++;
		if (r->w != NULL)
			put_link(r, &list[i]);
		else
			print_link(r, &list[i]);
	}
}

static void tell_contradictions(struct report *r)
{
	const char (*list)[CUSTODY_TEXT_MAX];
	unsigned total, count = custody_contradictions(r->c, &list, &total), i;

	for (i = 0; i < count; i++) {
		if (r->w != NULL)
			json_put_string(r->w, NULL, list[i]);
		else
			cmd_printf(r->cmd, "CONTRADICTION: %s\n", list[i]);
	}
	if (r->w == NULL && total > count)
		cmd_printf(r->cmd, "CONTRADICTION: %u more\n", total - count);
}

static void sum_up(struct report *r)
{
	const unsigned *n = r->counts;
	unsigned open = n[CUSTODY_UNDER_WAY] + n[CUSTODY_REFUSED] + n[CUSTODY_IMPORTED];

	cmd_printf(r->cmd, "%u bundles acknowledged, %u open: %u under way, %u refused, %u without a receipt here\n",
		   n[CUSTODY_ACKNOWLEDGED], open, n[CUSTODY_UNDER_WAY], n[CUSTODY_REFUSED], n[CUSTODY_IMPORTED]);
	if (custody_unseen(r->c) > 0)
		cmd_printf(r->cmd, "%u of the records witnessed lie before the first one given\n", custody_unseen(r->c));
}

static void report_json(struct report *r, const struct audit_export_report *a, const struct audit_export_report *b,
			bool is_signed)
{
	const char (*list)[CUSTODY_TEXT_MAX];
	struct buf out = BUF_INIT(REPORT_MAX);
	struct json_writer w = JSON_WRITER(&out);
	unsigned total;

	r->w = &w;
	json_open_object(&w, NULL);
	json_open_array(&w, "trails");
	put_trail(r, 0, a, is_signed);
	put_trail(r, 1, b, is_signed);
	json_close(&w);
	json_open_array(&w, "bundles");
	tell_links(r);
	json_close(&w);
	json_open_array(&w, "contradictions");
	tell_contradictions(r);
	json_close(&w);
	(void)custody_contradictions(r->c, &list, &total);
	json_put_bool(&w, "holds", total == 0);
	json_put_int(&w, "unseen", custody_unseen(r->c));
	json_close(&w);
	cmd_write_json(r->cmd, &out);
	buf_release(&out);
}

void custody_report(struct cmd *cmd, const struct custody *c, const struct audit_export_report *a,
		    const struct audit_export_report *b, bool is_signed)
{
	struct report r = {.cmd = cmd, .c = c};

	if (cmd_json(cmd)) {
		report_json(&r, a, b, is_signed);
		return;
	}
	print_trail(&r, 0, a, is_signed);
	print_trail(&r, 1, b, is_signed);
	tell_links(&r);
	tell_contradictions(&r);
	sum_up(&r);
}
