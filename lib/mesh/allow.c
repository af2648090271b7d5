/* Rules of what is let in: their one text form, and the file of them. */
#include "mesh/allow.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define LINE_HEAD "allow "

/* A port without signs and leading zeros: what is left of text after it goes to *rest. */
static int get_port(uint16_t *port, struct slice text, struct slice *rest)
{
	unsigned value = 0;
	size_t n = 0;

	while (n < text.len && n < 5 && text.ptr[n] >= '0' && text.ptr[n] <= '9')
		value = value * 10 + (unsigned)(text.ptr[n++] - '0');
	if (n == 0 || text.ptr[0] == '0' || value > UINT16_MAX)
		return -1;
	*port = (uint16_t)value;
	*rest = slice_sub(text, n, SIZE_MAX);
	return 0;
}

static int get_ports(struct allow *a, struct slice text)
{
	if (get_port(&a->first, text, &text) < 0)
		return -1;
	a->last = a->first;
	if (text.len == 0)
		return 0;
	if (text.ptr[0] != '-' || get_port(&a->last, slice_sub(text, 1, SIZE_MAX), &text) < 0 || text.len > 0)
		return -1;
	return a->last > a->first ? 0 : -1;
}

int allow_parse(struct allow *a, struct slice text, struct error *err)
{
	char shown[64];

	memset(a, 0, sizeof(*a));
	if (slice_starts(text, SLICE_LIT("tcp:")))
		a->proto = IPPROTO_TCP;
	else if (slice_starts(text, SLICE_LIT("udp:")))
		a->proto = IPPROTO_UDP;
	if (a->proto != 0 && get_ports(a, slice_sub(text, 4, SIZE_MAX)) == 0)
		return 0;
	error_set(err, ERR_USAGE, "'%s' is no rule", printable(shown, sizeof(shown), text));
	return error_hint(err, "tcp or udp, a colon, and a port from 1 to 65535 or a range: tcp:22, udp:5000-5010");
}

const char *allow_text(char out[static ALLOW_TEXT_LEN], const struct allow *a)
{
	const char *proto = a->proto == IPPROTO_TCP ? "tcp" : "udp";

	if (a->first == a->last)
		snprintf(out, ALLOW_TEXT_LEN, "%s:%u", proto, (unsigned)a->first);
	else
		snprintf(out, ALLOW_TEXT_LEN, "%s:%u-%u", proto, (unsigned)a->first, (unsigned)a->last);
	return out;
}

static int compare(const struct allow *a, const struct allow *b)
{
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return (a->last > b->last) - (a->last < b->last);
}

int allow_list_add(struct allow_list *l, const struct allow *a, struct error *err)
{
	size_t at = 0;

	while (at < l->count && compare(&l->rules[at], a) < 0)
		at++;
	if (at < l->count && compare(&l->rules[at], a) == 0)
		return 0;
	if (l->count == ALLOW_MAX)
		return error_set(err, ERR_LIMIT, "a network has room for %d rules", ALLOW_MAX);
	memmove(&l->rules[at + 1], &l->rules[at], (l->count - at) * sizeof(*a));
	l->rules[at] = *a;
	l->count++;
	return 0;
}

void allow_list_put(struct buf *out, const struct allow_list *l)
{
	char text[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < l->count; i++)
		buf_printf(out, LINE_HEAD "%s\n", allow_text(text, &l->rules[i]));
}

static int parse_line(struct allow_list *l, struct slice line, struct error *err)
{
	struct allow a;

	if (!slice_starts(line, SLICE_LIT(LINE_HEAD)))
		return error_set(err, ERR_MALFORMED, "does not begin with '" LINE_HEAD "'");
	if (allow_parse(&a, slice_sub(line, sizeof(LINE_HEAD) - 1, SIZE_MAX), err) < 0)
		return -1;
	if (l->count > 0 && compare(&l->rules[l->count - 1], &a) >= 0)
		return error_set(err, ERR_MALFORMED, "is out of order, or there twice");
	return allow_list_add(l, &a, err);
}

int allow_list_parse(struct allow_list *l, struct slice text, struct error *err)
{
	size_t line = 1, end;

	l->count = 0;
	for (; text.len > 0; line++) {
		end = slice_find(text, '\n', 0);
		if (end == SIZE_MAX)
			return error_set(err, ERR_MALFORMED, "line %zu has no end", line);
		if (parse_line(l, slice_sub(text, 0, end), err) < 0) {
			err->kind = err->kind == ERR_LIMIT ? ERR_LIMIT : ERR_MALFORMED;
			return error_wrap(err, "line %zu", line);
		}
		text = slice_sub(text, end + 1, SIZE_MAX);
	}
	return 0;
}
