/* Rules of what is let in: their text, and the file of them. */
#include "mesh/allow.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

#define LINE_HEAD "allow "
#define NO_ECHO "deny icmp\n"
#define ID_SHOWN 12	/* digits of an id that people are shown */

int allow_parse(struct allow *a, struct slice text, struct error *err)
{
	char again[SCOPE_RULE_TEXT_LEN], shown[64];
	struct scope_rule r;

	memset(a, 0, sizeof(*a));
	if (scope_rule_parse(&r, text, err) < 0)
		return -1;
	a->proto = r.proto;
	a->first = r.port_first;
	a->last = r.port_last;
	if (r.proto == SCOPE_ECHO || slice_equal_str(text, scope_rule_text(again, &r)))
		return 0;
	error_set(err, ERR_USAGE, "'%s' is no rule", printable(shown, sizeof(shown), text));
	return error_hint(err, "a range of one port is written as that port: %s", scope_rule_text(again, &r));
}

const char *allow_ports_text(char out[static SCOPE_RULE_TEXT_LEN], const struct allow *a)
{
	const struct scope_rule r = {.proto = a->proto, .port_first = a->first, .port_last = a->last};

	return scope_rule_text(out, &r);
}

const char *allow_text(char out[static ALLOW_TEXT_LEN], const struct allow *a)
{
	char ports[SCOPE_RULE_TEXT_LEN], id[NODE_ID_HEX_LEN];
	const char *to = strcmp(a->to, ALLOW_TO_NODE) == 0 ? "this node" : a->to;
	const char *from = a->from_name[0] == '\0' ? id : a->from_name;

	hex_encode(id, a->from, NODE_ID_LEN);
	id[ID_SHOWN] = '\0';
	snprintf(out, ALLOW_TEXT_LEN, "%s%s%s%s%s", allow_ports_text(ports, a), a->bound ? " from " : "",
		 a->bound ? from : "", to[0] == '\0' ? "" : " to ", to);
	return out;
}

bool allow_covers(const struct allow *a, const struct allow *b)
{
	return a->proto == b->proto && a->first <= b->first && a->last >= b->last &&
	       (a->to[0] == '\0' || strcmp(a->to, b->to) == 0) &&
	       (!a->bound || (b->bound && memcmp(a->from, b->from, NODE_ID_LEN) == 0));
}

static int compare(const struct allow *a, const struct allow *b)
{
	int c;

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->last != b->last)
		return a->last < b->last ? -1 : 1;
	if ((c = strcmp(a->to, b->to)) != 0)
		return c;
	if (a->bound != b->bound)
		return a->bound ? 1 : -1;
	return a->bound ? memcmp(a->from, b->from, NODE_ID_LEN) : 0;
}

int allow_list_add(struct allow_list *l, const struct allow *a, struct error *err)
{
	size_t at = 0;

	while (at < l->count && compare(&l->rules[at], a) < 0)
		at++;
	if (at == l->count || compare(&l->rules[at], a) != 0) {
		if (l->count == ALLOW_MAX)
			return error_set(err, ERR_LIMIT, "a network has room for %d rules", ALLOW_MAX);
		memmove(&l->rules[at + 1], &l->rules[at], (l->count - at) * sizeof(*a));
		l->count++;
	}
	l->rules[at] = *a;
	l->no_echo = l->no_echo && a->proto != SCOPE_ECHO;
	return 0;
}

void allow_list_drop(struct allow_list *l, size_t i)
{
	bool echo = l->rules[i].proto == SCOPE_ECHO;

	l->count--;
	memmove(&l->rules[i], &l->rules[i + 1], (l->count - i) * sizeof(l->rules[i]));
	/* Rules about echo stand last. */
	if (echo)
		l->no_echo = l->count == 0 || l->rules[l->count - 1].proto != SCOPE_ECHO;
}

/* ---- the file ---- */

void allow_list_put(struct buf *out, const struct allow_list *l)
{
	char ports[SCOPE_RULE_TEXT_LEN], id[NODE_ID_HEX_LEN];
	size_t i;

	if (l->no_echo)
		buf_put_str(out, NO_ECHO);
	for (i = 0; i < l->count; i++) {
		const struct allow *a = &l->rules[i];

		buf_printf(out, LINE_HEAD "%s", allow_ports_text(ports, a));
		if (a->to[0] != '\0')
			buf_printf(out, " to %s", a->to);
		hex_encode(id, a->from, NODE_ID_LEN);
		if (a->bound)
			buf_printf(out, " from %s", id);
		if (a->bound && a->from_name[0] != '\0')
			buf_printf(out, " %s", a->from_name);
		buf_put_str(out, "\n");
	}
}

static struct slice next_word(struct slice *rest)
{
	size_t end = slice_find(*rest, ' ', 0);
	struct slice word = slice_sub(*rest, 0, end);

	*rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(*rest, end + 1, SIZE_MAX);
	return word;
}

static int get_name(char out[static MESH_NAME_MAX + 1], struct slice name, const char *what, struct error *err)
{
	if (mesh_name_check(name, what, err) < 0)
		return -1;
	memcpy(out, name.ptr, name.len);
	out[name.len] = '\0';
	return 0;
}

/* What stands behind protocol and ports. Nothing there is as good as a word that is missing: put tells. */
static int get_ends(struct allow *a, struct slice rest, struct error *err)
{
	struct slice word = next_word(&rest), to;

	if (slice_equal_str(word, "to")) {
		to = next_word(&rest);
		if (slice_equal_str(to, ALLOW_TO_NODE))
			snprintf(a->to, sizeof(a->to), "%s", ALLOW_TO_NODE);
		else if (get_name(a->to, to, "a forward", err) < 0)
			return -1;
		word = next_word(&rest);
	}
	if (slice_equal_str(word, "from")) {
		a->bound = true;
		if (hex_decode(a->from, NODE_ID_LEN, next_word(&rest), err) < 0)
			return -1;
		return rest.len == 0 ? 0 : get_name(a->from_name, rest, "a node", err);
	}
	return word.len == 0 && rest.len == 0 ? 0 : error_set(err, ERR_MALFORMED, "has words that belong nowhere");
}

static int parse_line(struct allow_list *l, struct slice line, struct error *err)
{
	struct slice rest = line;
	struct allow a;

	if (!slice_starts(line, SLICE_LIT(LINE_HEAD)))
		return error_set(err, ERR_MALFORMED, "does not begin with '" LINE_HEAD "'");
	rest = slice_sub(line, sizeof(LINE_HEAD) - 1, SIZE_MAX);
	if (allow_parse(&a, next_word(&rest), err) < 0 || get_ends(&a, rest, err) < 0)
		return -1;
	if (l->no_echo && a.proto == SCOPE_ECHO)
		return error_set(err, ERR_MALFORMED, "allows what the first line denies");
	if (l->count > 0 && compare(&l->rules[l->count - 1], &a) >= 0)
		return error_set(err, ERR_MALFORMED, "is out of order, or there twice");
	return allow_list_add(l, &a, err);
}

/* One text for one meaning. */
static int check_form(const struct allow_list *l, struct slice text, struct error *err)
{
	struct buf again = BUF_INIT(ALLOW_FILE_MAX);
	int r = 0;

	allow_list_put(&again, l);
	if (!slice_equal(buf_slice(&again), text))
		r = error_set(err, ERR_MALFORMED, "is not in the form in which rules are written");
	buf_release(&again);
	return r;
}

int allow_list_parse(struct allow_list *l, struct slice text, struct error *err)
{
	struct slice rest = text;
	size_t line = 1, end;

	l->count = 0;
	l->no_echo = slice_starts(text, SLICE_LIT(NO_ECHO));
	if (l->no_echo) {
		rest = slice_sub(text, sizeof(NO_ECHO) - 1, SIZE_MAX);
		line++;
	}
	for (; rest.len > 0; line++) {
		end = slice_find(rest, '\n', 0);
		if (end == SIZE_MAX)
			return error_set(err, ERR_MALFORMED, "line %zu has no end", line);
		if (parse_line(l, slice_sub(rest, 0, end), err) < 0) {
			err->kind = err->kind == ERR_LIMIT ? ERR_LIMIT : ERR_MALFORMED;
			return error_wrap(err, "line %zu", line);
		}
		rest = slice_sub(rest, end + 1, SIZE_MAX);
	}
	return check_form(l, text, err);
}
