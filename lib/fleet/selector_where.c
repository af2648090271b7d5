/* The small strict parser of expressions over hardware profiles (grammar: selector.h). */
#include "fleet/selector_internal.h"

#include "base/compiler.h"

static const struct key keys[] = {
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

int selector_parse_where(struct selector *s, struct slice text, struct error *err)
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
