/* Selectors: a small strict parser of expressions, and matching. */
#include "fleet/selector.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/name.h"

enum node_type { NODE_AND, NODE_OR, NODE_NOT, NODE_TEST };
enum operator_type { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

/* KEY_NAME and KEY_TAG come from the row, the rest from the hardware profile. */
enum key_type { KEY_NAME, KEY_TAG, KEY_TEXT, KEY_LIST, KEY_NUMBER };
static const struct key {
	const char *word, *member;	/* in the expression, in the profile */
	enum key_type type;
} keys[] = {
	{"name", NULL, KEY_NAME},
	{"tag", NULL, KEY_TAG},
	{"agent", "agent_version", KEY_TEXT},
	{"hostname", "hostname", KEY_TEXT},
	{"model", "model", KEY_TEXT},
	{"soc", "soc", KEY_TEXT},
	{"arch", "arch", KEY_TEXT},
	{"os", "os", KEY_TEXT},
	{"os_version", "os_version", KEY_TEXT},
	{"kernel", "kernel", KEY_TEXT},
	{"accelerator", "accelerators", KEY_LIST},
	{"memory_mb", "memory_mb", KEY_NUMBER},
	{"cores", "cores", KEY_NUMBER},
};

struct node {
	enum node_type type;
	unsigned a, b;		/* children: indexes below this node's own */
	const struct key *key;	/* of a test */
	enum operator_type op;
	struct slice value;	/* within the selector's own copy of the text */
	int64_t number;
};

struct selector {
	bool all;
	char **devices;		/* sorted */
	unsigned device_count;
	char *tags[SELECTOR_TAGS_MAX];
	unsigned tag_count;
	char *where;		/* NULL: none */
	struct node nodes[SELECTOR_NODES_MAX];
	unsigned node_count;	/* the root is the last */
};

/* ---- the parser of expressions ---- */

enum token_type { TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_OPERATOR, TOKEN_WORD, TOKEN_QUOTED };

struct parser {
	struct selector *s;
	struct slice text;
	size_t at;		/* behind the token at hand */
	size_t start;		/* of the token at hand */
	enum token_type type;
	struct slice word;	/* of a word, or within the quotes */
	enum operator_type op;
	struct error *err;
};

static bool is_word_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._+:/-", c) != NULL);
}

static int complain(struct parser *p, const char *what)
{
	error_set(p->err, ERR_USAGE, "expression '%.*s': %s at character %zu", SLICE_ARG(p->text), what, p->start + 1);
	return error_hint(p->err, "for example: arch=arm64 and (memory_mb>=512 or tag=lab)");
}

static bool take_operator(struct parser *p)
{
	static const struct {
		const char *text;
		enum operator_type op;
	} operators[] = {{"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"<", OP_LT}, {">", OP_GT}, {"=", OP_EQ}};
	struct slice rest = slice_sub(p->text, p->at, p->text.len);
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(operators); i++)
		if (slice_starts(rest, slice_str(operators[i].text))) {
			p->at += strlen(operators[i].text);
			p->type = TOKEN_OPERATOR;
			p->op = operators[i].op;
			return true;
		}
	return false;
}

static int take_quoted(struct parser *p)
{
	size_t end = slice_find(p->text, '"', p->at + 1);

	if (end == SIZE_MAX)
		return complain(p, "a quotation mark is not closed");
	p->word = slice_sub(p->text, p->at + 1, end - p->at - 1);
	p->at = end + 1;
	p->type = TOKEN_QUOTED;
	return 0;
}

/* Put the next token at hand. */
static int advance(struct parser *p)
{
	uint8_t c;

	while (p->at < p->text.len && p->text.ptr[p->at] == ' ')
		p->at++;
	p->start = p->at;
	p->type = TOKEN_END;
	if (p->at == p->text.len)
		return 0;
	c = p->text.ptr[p->at];
	if (c == '(' || c == ')') {
		p->at++;
		p->type = c == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
		return 0;
	}
	if (c == '"')
		return take_quoted(p);
	if (take_operator(p))
		return 0;
	if (!is_word_byte(c))
		return complain(p, "this character has no meaning");
	while (p->at < p->text.len && is_word_byte(p->text.ptr[p->at]))
		p->at++;
	p->word = slice_sub(p->text, p->start, p->at - p->start);
	p->type = TOKEN_WORD;
	return 0;
}

static bool at_word(const struct parser *p, const char *word)
{
	return p->type == TOKEN_WORD && slice_equal_str(p->word, word);
}

/* The index of a new node, or -1 with err. */
static int add_node(struct parser *p, struct node n)
{
	if (p->s->node_count == SELECTOR_NODES_MAX)
		return complain(p, "the expression is too long");
	p->s->nodes[p->s->node_count] = n;
	return (int)p->s->node_count++;
}

static const struct key *find_key(struct slice word)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (slice_equal_str(word, keys[i].word))
			return &keys[i];
	return NULL;
}

static int parse_number(struct parser *p, struct node *n)
{
	size_t i;

	if (n->value.len == 0 || n->value.len > 15)
		return complain(p, "a whole number is wanted");
	for (i = 0; i < n->value.len; i++) {
		if (n->value.ptr[i] < '0' || n->value.ptr[i] > '9')
			return complain(p, "a whole number is wanted");
		n->number = n->number * 10 + (n->value.ptr[i] - '0');
	}
	return 0;
}

static int parse_test(struct parser *p)
{
	struct node n = {.type = NODE_TEST};

	if (p->type != TOKEN_WORD)
		return complain(p, "a word such as arch or tag is wanted");
	n.key = find_key(p->word);
	if (n.key == NULL)
		return complain(p, "there is no such word; known are name tag agent hostname model soc arch os os_version"
				   " kernel accelerator memory_mb cores");
	if (advance(p) < 0)
		return -1;
	if (p->type != TOKEN_OPERATOR)
		return complain(p, "= or != is wanted");
	n.op = p->op;
	if (n.key->type != KEY_NUMBER && n.op != OP_EQ && n.op != OP_NE)
		return complain(p, "only memory_mb and cores can be larger or smaller");
	if (advance(p) < 0)
		return -1;
	if (p->type != TOKEN_WORD && p->type != TOKEN_QUOTED)
		return complain(p, "a value is wanted");
	n.value = p->word;
	if (n.key->type == KEY_NUMBER && parse_number(p, &n) < 0)
		return -1;
	if (advance(p) < 0)
		return -1;
	return add_node(p, n);
}

static int parse_or(struct parser *p, unsigned depth);

static int parse_not(struct parser *p, unsigned depth)
{
	int inner;
	bool negate = at_word(p, "not");

	if (negate && advance(p) < 0)
		return -1;
	if (p->type == TOKEN_OPEN) {
		if (depth == 0)
			return complain(p, "too many levels");
		if (advance(p) < 0 || (inner = parse_or(p, depth - 1)) < 0)
			return -1;
		if (p->type != TOKEN_CLOSE)
			return complain(p, "a closing parenthesis is wanted");
		if (advance(p) < 0)
			return -1;
	} else if ((inner = parse_test(p)) < 0) {
		return -1;
	}
	return negate ? add_node(p, (struct node){.type = NODE_NOT, .a = (unsigned)inner}) : inner;
}

static int parse_and(struct parser *p, unsigned depth)
{
	int left = parse_not(p, depth), right;

	while (left >= 0 && at_word(p, "and")) {
		if (advance(p) < 0 || (right = parse_not(p, depth)) < 0)
			return -1;
		left = add_node(p, (struct node){.type = NODE_AND, .a = (unsigned)left, .b = (unsigned)right});
	}
	return left;
}

static int parse_or(struct parser *p, unsigned depth)
{
	int left = parse_and(p, depth), right;

	while (left >= 0 && at_word(p, "or")) {
		if (advance(p) < 0 || (right = parse_and(p, depth)) < 0)
			return -1;
		left = add_node(p, (struct node){.type = NODE_OR, .a = (unsigned)left, .b = (unsigned)right});
	}
	return left;
}

static int parse_where(struct selector *s, struct slice text, struct error *err)
{
	struct parser p = {.s = s, .err = err};
	size_t i;

	if (text.len == 0 || text.len > SELECTOR_WHERE_MAX)
		return error_set(err, ERR_USAGE, "an expression has 1 to %d characters", SELECTOR_WHERE_MAX);
	for (i = 0; i < text.len; i++)
		if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return error_set(err, ERR_USAGE, "an expression holds no control characters");
	s->where = xstrndup_slice(text);
	p.text = slice_str(s->where);
	if (advance(&p) < 0 || parse_or(&p, 16) < 0)
		return -1;
	return p.type == TOKEN_END ? 0 : complain(&p, "'and', 'or' or the end is wanted");
}

/* ---- the JSON object ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int take_names(struct json_value list, const char *what, char **out, unsigned max, unsigned *count,
		      struct error *err)
{
	struct json_iter it = json_iter(list);

	if (json_count(list) == 0 || json_count(list) > max)
		return error_set(err, ERR_USAGE, "a selector has 1 to %u %ss", max, what);
	while (json_next(&it)) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "a %s in the selector is %s", what,
					 json_type_name(json_type(it.value)));
		if (name_check(json_string(it.value), what, err) < 0)
			return -1;
		out[(*count)++] = xstrndup_slice(json_string(it.value));
	}
	return 0;
}

static int take_members(struct selector *s, struct json_value v, struct error *err)
{
	static const char *const members[] = {"all", "devices", "tags", "where", NULL};
	struct json_value devices = {.doc = NULL}, tags = {.doc = NULL};
	struct slice where = SLICE_EMPTY;

	if (json_type(v) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "a selector is an object, not %s", json_type_name(json_type(v)));
	if (json_only(v, members, err) < 0 || json_opt_bool(v, "all", &s->all, err) < 0 ||
	    json_opt_array(v, "devices", &devices, err) < 0 || json_opt_array(v, "tags", &tags, err) < 0 ||
	    json_opt_string(v, "where", &where, err) < 0)
		return -1;
	if (s->all ? json_count(v) != 1 : json_count(v) == (json_type(json_get(v, "all")) != JSON_NONE))
		return error_set(err, ERR_USAGE, s->all ? "'all' stands alone in a selector" : "a selector names nothing");
	if (json_type(devices) == JSON_ARRAY) {
		s->devices = xcalloc(SELECTOR_DEVICES_MAX, sizeof(*s->devices));
		if (take_names(devices, "device", s->devices, SELECTOR_DEVICES_MAX, &s->device_count, err) < 0)
			return -1;
		qsort(s->devices, s->device_count, sizeof(*s->devices), compare_names);
	}
	if (json_type(tags) == JSON_ARRAY &&
	    take_names(tags, "tag", s->tags, SELECTOR_TAGS_MAX, &s->tag_count, err) < 0)
		return -1;
	if (json_type(json_get(v, "where")) != JSON_NONE)
		return parse_where(s, where, err);
	return 0;
}

struct selector *selector_parse(struct json_value v, struct error *err)
{
	struct selector *s = xcalloc(1, sizeof(*s));

	if (take_members(s, v, err) < 0) {
		selector_free(s);
		return NULL;
	}
	return s;
}

struct selector *selector_parse_text(struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	struct selector *s = NULL;

	if (text.len > SELECTOR_TEXT_MAX)
		error_set(err, ERR_LIMIT, "a selector has at most %d bytes", SELECTOR_TEXT_MAX);
	else if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		s = selector_parse(json_root(&doc), err);
	json_release(&doc);
	return s;
}

void selector_free(struct selector *s)
{
	unsigned i;

	if (s == NULL)
		return;
	for (i = 0; i < s->device_count; i++)
		free(s->devices[i]);
	for (i = 0; i < s->tag_count; i++)
		free(s->tags[i]);
	free(s->devices);
	free(s->where);
	free(s);
}

const char *selector_device(const struct selector *s, unsigned i)
{
	return i < s->device_count ? s->devices[i] : NULL;
}

/* ---- matching ---- */

/* Is `word` one of the words in a list joined by commas? */
static bool list_has(struct slice list, struct slice word)
{
	size_t at = 0;

	while (at < list.len) {
		size_t comma = slice_find(list, ',', at), end = comma == SIZE_MAX ? list.len : comma;

		if (slice_equal(slice_sub(list, at, end - at), word))
			return true;
		at = end + 1;
	}
	return false;
}

static bool compare_number(int64_t have, enum operator_type op, int64_t want)
{
	switch (op) {
	case OP_EQ:
		return have == want;
	case OP_NE:
		return have != want;
	case OP_LT:
		return have < want;
	case OP_LE:
		return have <= want;
	case OP_GT:
		return have > want;
	case OP_GE:
		break;
	}
	return have >= want;
}

static bool array_has(struct json_value array, struct slice word)
{
	struct json_iter it = json_iter(array);

	while (json_next(&it))
		if (json_type(it.value) == JSON_STRING && slice_equal(json_string(it.value), word))
			return true;
	return false;
}

static bool test_holds(const struct node *n, const struct selector_subject *d)
{
	struct json_value v = n->key->member == NULL ? (struct json_value){.doc = NULL}
						     : json_get(d->profile, n->key->member);
	bool equal;

	switch (n->key->type) {
	case KEY_NAME:
		equal = slice_equal(d->name, n->value);
		break;
	case KEY_TAG:
		equal = list_has(d->tags, n->value);
		break;
	case KEY_NUMBER:
		return json_type(v) == JSON_INT && compare_number(json_int(v), n->op, n->number);
	case KEY_LIST:
		if (json_type(v) != JSON_ARRAY)
			return false;
		equal = array_has(v, n->value);
		break;
	default:
		if (json_type(v) != JSON_STRING)
			return false;
		equal = slice_equal(json_string(v), n->value);
		break;
	}
	return equal == (n->op == OP_EQ);
}

/* Children stand before their parents, so one pass over the list computes them all. */
static bool where_holds(const struct selector *s, const struct selector_subject *d)
{
	bool value[SELECTOR_NODES_MAX];
	unsigned i;

	for (i = 0; i < s->node_count; i++) {
		const struct node *n = &s->nodes[i];

		switch (n->type) {
		case NODE_AND:
			value[i] = value[n->a] && value[n->b];
			break;
		case NODE_OR:
			value[i] = value[n->a] || value[n->b];
			break;
		case NODE_NOT:
			value[i] = !value[n->a];
			break;
		case NODE_TEST:
			value[i] = test_holds(n, d);
			break;
		}
	}
	return value[s->node_count - 1];
}

static int compare_key(const void *key, const void *member)
{
	const struct slice *name = key;

	return slice_compare(*name, slice_str(*(char *const *)member));
}

bool selector_matches(const struct selector *s, const struct selector_subject *d)
{
	unsigned i;

	if (s->all)
		return true;
	if (s->device_count > 0 &&
	    bsearch(&d->name, s->devices, s->device_count, sizeof(*s->devices), compare_key) == NULL)
		return false;
	for (i = 0; i < s->tag_count; i++)
		if (!list_has(d->tags, slice_str(s->tags[i])))
			return false;
	return s->where == NULL || where_holds(s, d);
}
