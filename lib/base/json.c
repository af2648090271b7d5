/*
 * The JSON parser: one pass over the text, one node a value. Recursion is bounded by JSON_DEPTH_MAX.
 * Everything two readers could understand differently is an error: a signature covers one meaning.
 */
#include "base/json.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>

#include "base/json_tape.h"
#include "base/utf8.h"

/* The keys of an object up to this size are sorted without an allocation. */
#define FEW_KEYS 16
/* A fraction longer than this carries no more than a double does. */
#define REAL_LEN_MAX 64

struct parser {
	struct json *doc;
	struct error *err;
	const uint8_t *ptr;	/* doc->text */
	size_t len, at;
	uint32_t room;		/* nodes allocated */
	unsigned flags, depth;
	uint32_t odd;		/* places so far where the text is not canonical */
	const struct json_fold *fold;
	unsigned fold_len;	/* of fold->path */
	unsigned on_path;	/* containers around us that lie on fold->path, from the top on */
};

static int parse_value(struct parser *p);

/* Complain about the byte at `at`, counting lines only now. */
static int fail(struct parser *p, enum error_kind kind, size_t at, const char *what)
{
	size_t line = 1, column = 1, i;

	for (i = 0; i < at; i++) {
		column++;
		if (p->ptr[i] == '\n') {
			line++;
			column = 1;
		}
	}
	return error_set(p->err, kind, "line %zu, column %zu: %s", line, column, what);
}

static int malformed(struct parser *p, const char *what)
{
	return fail(p, ERR_MALFORMED, p->at, p->at < p->len ? what : "the text ends too early");
}

static void skip_space(struct parser *p)
{
	size_t start = p->at;

	/* Canonical text has none, and every byte that begins something else lies above it. */
	if (start < p->len && p->ptr[start] > ' ')
		return;
	while (p->at < p->len) {
		uint8_t c = p->ptr[p->at];

		if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
			break;
		p->at++;
	}
	p->odd += p->at != start;
}

/* The next byte after white space, or 0 at the end (NUL is never valid outside a string). */
static uint8_t peek(struct parser *p)
{
	skip_space(p);
	return p->at < p->len ? p->ptr[p->at] : 0;
}

/* A new node whose text starts here; its index in *at. Nodes move: hold indices, not pointers. */
static int node_new(struct parser *p, enum json_type type, uint32_t *at)
{
	struct json *doc = p->doc;

	if (doc->count == p->room) {
		if (p->room == JSON_NODES_MAX)
			return fail(p, ERR_LIMIT, p->at, "too many values");
		p->room = p->room > JSON_NODES_MAX / 2 ? JSON_NODES_MAX : p->room * 2;
		doc->nodes = xreallocarray(doc->nodes, p->room, sizeof(doc->nodes[0]));
	}
	*at = doc->count++;
	doc->nodes[*at] = (struct json_node){.start = (uint32_t)p->at, .type = type};
	return 0;
}

/* The value of the node ends here. */
static struct json_node *node_end(struct parser *p, uint32_t at)
{
	struct json_node *n = &p->doc->nodes[at];

	n->raw_len = (uint32_t)(p->at - n->start) & 0xfffffff;
	return n;
}

/* Four hex digits at p->at, which moves past them. */
static int parse_hex4(struct parser *p, uint32_t *v)
{
	size_t i;

	*v = 0;
	for (i = 0; i < 4; i++) {
		uint8_t c = p->at < p->len ? p->ptr[p->at] : 0;
		uint8_t low = c | 0x20;

		if (c >= '0' && c <= '9')
			*v = *v << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			*v = *v << 4 | (uint32_t)(low - 'a' + 10);
		else
			return malformed(p, "\\u wants four hex digits");
		p->at++;
	}
	return 0;
}

/* After \u: a code point, from one escape or from the two of a surrogate pair. */
static int parse_unicode(struct parser *p, uint32_t *cp)
{
	size_t start = p->at - 2;
	uint32_t low;

	if (parse_hex4(p, cp) < 0)
		return -1;
	if (*cp < 0xd800 || *cp > 0xdfff)
		return 0;
	if (*cp > 0xdbff || p->len - p->at < 6 || p->ptr[p->at] != '\\' || p->ptr[p->at + 1] != 'u')
		return fail(p, ERR_MALFORMED, start, "half of a surrogate pair");
	p->at += 2;
	if (parse_hex4(p, &low) < 0)
		return -1;
	if (low < 0xdc00 || low > 0xdfff)
		return fail(p, ERR_MALFORMED, start, "half of a surrogate pair");
	*cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
	return 0;
}

/* At a backslash: append what it stands for. */
static int parse_escape(struct parser *p)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	struct buf *out = &p->doc->unescaped;
	uint8_t utf8[4], c;
	const char *hit;
	uint32_t cp;

	p->at++;
	if (p->at == p->len)
		return malformed(p, "");
	c = p->ptr[p->at];
	p->odd += c != '"' && c != '\\';
	if (c == 'u') {
		p->at++;
		if (parse_unicode(p, &cp) < 0)
			return -1;
		buf_put(out, utf8, utf8_encode(utf8, cp));
		return 0;
	}
	hit = c == 0 ? NULL : strchr(names, c);
	if (hit == NULL)
		return malformed(p, "unknown escape");
	p->at++;
	buf_put_u8(out, (uint8_t)values[hit - names]);
	return 0;
}

/*
 * How many of the bytes from p->at on are ASCII that stands for itself, eight at a time; near the end of the text some
 * are left to the caller. A byte has its high bit set in `stop` when it is a quote, a backslash, a control character or
 * no ASCII. A borrow may set that of bytes behind such a one as well, so the first is always right.
 */
static size_t plain_run(const struct parser *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	size_t at = p->at;
	uint64_t w, stop;

	for (; p->len - at >= sizeof(w); at += sizeof(w)) {
		memcpy(&w, p->ptr + at, sizeof(w));
		w = le64toh(w);
		stop = (w | ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones) | (w - ones * 0x20)) & high;
		if (stop != 0)
			return at - p->at + (unsigned)__builtin_ctzll(stop) / 8;
	}
	return at - p->at;
}

/* Move over bytes that stand for themselves, up to a quote or a backslash. */
static int parse_plain(struct parser *p)
{
	uint32_t cp;
	size_t n;

	p->at += plain_run(p);
	while (p->at < p->len) {
		uint8_t c = p->ptr[p->at];

		if (c == '"' || c == '\\')
			return 0;
		if (c < 0x20)
			return malformed(p, "control character in a string");
		if (c < 0x80) {
			p->at++;
			continue;
		}
		n = utf8_decode(slice_of(p->ptr + p->at, p->len - p->at), &cp);
		if (n == 0)
			return malformed(p, "not UTF-8");
		p->at += n;
	}
	return malformed(p, "");
}

/* The rest of a string from its first backslash on: a decoded copy. */
static int parse_escaped(struct parser *p, uint32_t at, size_t start)
{
	struct buf *out = &p->doc->unescaped;
	size_t from = out->len;

	for (;;) {
		buf_put(out, p->ptr + start, p->at - start);
		if (p->ptr[p->at] == '"')
			break;
		if (parse_escape(p) < 0)
			return -1;
		start = p->at;
		if (parse_plain(p) < 0)
			return -1;
	}
	p->doc->nodes[at].offset = (uint32_t)from;
	p->doc->nodes[at].len = (uint32_t)(out->len - from);
	return 0;
}

static int parse_string(struct parser *p)
{
	struct json_node *n;
	uint32_t at;
	size_t start;

	if (node_new(p, JSON_STRING, &at) < 0)
		return -1;
	start = ++p->at;
	if (parse_plain(p) < 0)
		return -1;
	n = &p->doc->nodes[at];
	n->offset = JSON_BORROWED;
	n->len = (uint32_t)(p->at - start);
	if (p->ptr[p->at] == '\\' && parse_escaped(p, at, start) < 0)
		return -1;
	p->at++;
	node_end(p, at);
	return 0;
}

/* Digits from p->at on; how many. */
static size_t skip_digits(struct parser *p)
{
	size_t start = p->at;

	while (p->at < p->len && p->ptr[p->at] >= '0' && p->ptr[p->at] <= '9')
		p->at++;
	return p->at - start;
}

/* The fraction and exponent of a number, if it has any. */
static int skip_fraction(struct parser *p)
{
	if (p->at < p->len && p->ptr[p->at] == '.') {
		p->at++;
		if (skip_digits(p) == 0)
			return malformed(p, "a digit must follow the point");
	}
	if (p->at < p->len && (p->ptr[p->at] | 0x20) == 'e') {
		p->at++;
		if (p->at < p->len && (p->ptr[p->at] == '+' || p->ptr[p->at] == '-'))
			p->at++;
		if (skip_digits(p) == 0)
			return malformed(p, "the exponent has no digits");
	}
	return 0;
}

static int convert_real(struct parser *p, uint32_t at)
{
	struct json_node *n = &p->doc->nodes[at];
	char text[REAL_LEN_MAX + 1];

	if (n->raw_len > REAL_LEN_MAX)
		return fail(p, ERR_LIMIT, n->start, "number is too long");
	memcpy(text, p->ptr + n->start, n->raw_len);
	text[n->raw_len] = '\0';
	n->type = JSON_REAL;
	n->real = strtod(text, NULL);
	if (!isfinite(n->real))
		return fail(p, ERR_LIMIT, n->start, "number is out of range");
	return 0;
}

/* Digits are known to be digits. Negative values are summed downwards: INT64_MIN has no positive twin. */
static int convert_int(struct parser *p, uint32_t at)
{
	struct json_node *n = &p->doc->nodes[at];
	const uint8_t *s = p->ptr + n->start;
	bool negative = s[0] == '-';
	int64_t v = 0;
	uint32_t i;

	for (i = negative; i < n->raw_len; i++) {
		int digit = s[i] - '0';

		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, negative ? -digit : digit, &v))
			return fail(p, ERR_LIMIT, n->start, "integer does not fit 64 bits");
	}
	if (negative && v == 0)
		return fail(p, ERR_MALFORMED, n->start, "minus zero");
	n->integer = v;
	return 0;
}

static int parse_number(struct parser *p)
{
	size_t int_end, digits, first;
	uint32_t at;

	if (node_new(p, JSON_INT, &at) < 0)
		return -1;
	if (p->ptr[p->at] == '-')
		p->at++;
	first = p->at;
	digits = skip_digits(p);
	if (digits == 0)
		return malformed(p, "a digit must follow the minus");
	if (digits > 1 && p->ptr[first] == '0')
		return fail(p, ERR_MALFORMED, first, "number with a leading zero");
	int_end = p->at;
	if (skip_fraction(p) < 0)
		return -1;
	node_end(p, at);
	if (p->at == int_end)
		return convert_int(p, at);
	if (!(p->flags & JSON_FRACTIONS))
		return fail(p, ERR_MALFORMED, int_end, "only whole numbers are allowed here");
	p->odd++;
	return convert_real(p, at);
}

static int parse_word(struct parser *p, const char *word, enum json_type type, bool truth)
{
	size_t len = strlen(word);
	uint32_t at;

	if (!slice_starts(slice_of(p->ptr + p->at, p->len - p->at), slice_str(word)))
		return fail(p, ERR_MALFORMED, p->at, "not a JSON value");
	if (node_new(p, type, &at) < 0)
		return -1;
	p->at += len;
	node_end(p, at)->truth = truth;
	return 0;
}

/* Give the container its extent; p->at is on its closing bracket. odd: what p->odd was when it was opened. */
static int close_container(struct parser *p, uint32_t at, uint32_t count, uint32_t odd)
{
	struct json_node *n;

	p->at++;
	p->depth--;
	n = node_end(p, at);
	n->next = p->doc->count;
	n->count = count & 0x3fffffff;
	n->canonical = p->odd == odd;
	return 0;
}

static int open_container(struct parser *p, enum json_type type, uint32_t *at)
{
	if (p->depth == JSON_DEPTH_MAX)
		return fail(p, ERR_LIMIT, p->at, "nested too deeply");
	p->depth++;
	if (node_new(p, type, at) < 0)
		return -1;
	p->at++;
	return 0;
}

static int parse_array(struct parser *p)
{
	uint32_t at, count = 0, odd = p->odd;

	if (open_container(p, JSON_ARRAY, &at) < 0)
		return -1;
	if (peek(p) == ']')
		return close_container(p, at, 0, odd);
	for (;;) {
		if (parse_value(p) < 0)
			return -1;
		count++;
		switch (peek(p)) {
		case ']':
			return close_container(p, at, count, odd);
		case ',':
			p->at++;
			break;
		default:
			return malformed(p, "expected ',' or ']'");
		}
	}
}

static int duplicate(struct parser *p, uint32_t key)
{
	char name[100], what[128];

	printable(name, sizeof(name), json_text_at(p->doc, key));
	snprintf(what, sizeof(what), "duplicate key '%s'", name);
	return fail(p, ERR_MALFORMED, p->doc->nodes[key].start, what);
}

/* Keys that did not come in ascending order: look for equal ones among the `count` of the open object at `at`. */
static int check_keys(struct parser *p, uint32_t at, uint32_t count)
{
	uint32_t few[FEW_KEYS], *keys = few, i, twin = 0;

	p->doc->nodes[at].next = p->doc->count;
	p->doc->nodes[at].count = count & 0x3fffffff;
	if (count > FEW_KEYS)
		keys = xreallocarray(NULL, count, sizeof(keys[0]));
	json_sorted_keys(p->doc, at, keys);
	for (i = 1; i < count && twin == 0; i++) {
		if (slice_equal(json_text_at(p->doc, keys[i - 1]), json_text_at(p->doc, keys[i])))
			twin = keys[i] > keys[i - 1] ? keys[i] : keys[i - 1];
	}
	if (keys != few)
		free(keys);
	return twin == 0 ? 0 : duplicate(p, twin);
}

/* The value of this key, which has been parsed: hand it to the fold's check, then drop its content. */
static int fold_value(struct parser *p, uint32_t key, size_t unescaped_len)
{
	struct json *doc = p->doc;
	struct json_node *n = &doc->nodes[key + 1];

	if (p->fold->check(json_text_at(doc, key), (struct json_value){doc, key + 1}, p->err) < 0)
		return -1;
	if (n->type != JSON_OBJECT && n->type != JSON_ARRAY)
		return 0;
	n->folded = 1;
	n->next = doc->count = key + 2;
	doc->unescaped.len = unescaped_len;
	return 0;
}

/* The value of a member; on the way to the members that are folded, or one of these itself. */
static int parse_member_value(struct parser *p, uint32_t key)
{
	size_t unescaped_len = p->doc->unescaped.len;
	bool on_path = p->fold != NULL && p->on_path + 1 == p->depth;
	int r;

	if (!on_path)
		return parse_value(p);
	if (p->on_path == p->fold_len)
		return parse_value(p) < 0 ? -1 : fold_value(p, key, unescaped_len);
	if (!slice_equal_str(json_text_at(p->doc, key), p->fold->path[p->on_path]))
		return parse_value(p);
	p->on_path++;
	r = parse_value(p);
	p->on_path--;
	return r;
}

/* Key, colon, value; *order is how the key stands to the one before it (`before`, 0 for none). */
static int parse_member(struct parser *p, uint32_t before, int *order)
{
	uint32_t key = p->doc->count;

	if (peek(p) != '"')
		return malformed(p, "expected a key in quotes");
	if (parse_string(p) < 0)
		return -1;
	*order = before == 0 ? 1 : slice_compare(json_text_at(p->doc, key), json_text_at(p->doc, before));
	if (*order == 0)
		return duplicate(p, key);
	p->odd += *order < 0;
	if (peek(p) != ':')
		return malformed(p, "expected ':'");
	p->at++;
	return parse_member_value(p, key);
}

static int parse_object(struct parser *p)
{
	uint32_t at, count = 0, key = 0, odd = p->odd;
	bool ascending = true;
	int order = 1;

	if (open_container(p, JSON_OBJECT, &at) < 0)
		return -1;
	if (peek(p) == '}')
		return close_container(p, at, 0, odd);
	for (;;) {
		uint32_t before = key;

		key = p->doc->count;
		if (parse_member(p, before, &order) < 0)
			return -1;
		ascending = ascending && order > 0;
		count++;
		switch (peek(p)) {
		case '}':
			/* Canonical text has its keys in order, which proves that no two are equal. */
			if (!ascending && check_keys(p, at, count) < 0)
				return -1;
			return close_container(p, at, count, odd);
		case ',':
			p->at++;
			break;
		default:
			return malformed(p, "expected ',' or '}'");
		}
	}
}

static int parse_value(struct parser *p)
{
	uint8_t c = peek(p);

	switch (c) {
	case '{':
		return parse_object(p);
	case '[':
		return parse_array(p);
	case '"':
		return parse_string(p);
	case 't':
		return parse_word(p, "true", JSON_BOOL, true);
	case 'f':
		return parse_word(p, "false", JSON_BOOL, false);
	case 'n':
		return parse_word(p, "null", JSON_NULL, false);
	default:
		if (c == '-' || (c >= '0' && c <= '9'))
			return parse_number(p);
		return malformed(p, "not a JSON value");
	}
}

static int parse_document(struct parser *p)
{
	if (parse_value(p) < 0)
		return -1;
	skip_space(p);
	if (p->at < p->len)
		return fail(p, ERR_MALFORMED, p->at, "more text after the value");
	return 0;
}

static int parse_text(struct json *doc, struct slice text, unsigned flags, const struct json_fold *fold,
		      struct error *err)
{
	struct parser p = {.doc = doc, .err = err, .ptr = text.ptr, .len = text.len, .flags = flags, .fold = fold};

	while (fold != NULL && fold->path[p.fold_len] != NULL)
		p.fold_len++;
	*doc = JSON_INIT;
	if (text.len > JSON_TEXT_MAX)
		return error_set(err, ERR_LIMIT, "JSON text of %zu bytes is larger than %u", text.len,
				 JSON_TEXT_MAX);
	doc->text = text;
	doc->unescaped = BUF_INIT(text.len);	/* an escape is longer than what it stands for */
	p.room = 16 + (uint32_t)(text.len / 16);
	doc->nodes = xreallocarray(NULL, p.room, sizeof(doc->nodes[0]));
	if (parse_document(&p) < 0) {
		json_release(doc);
		return -1;
	}
	return 0;
}

int json_parse(struct json *doc, struct slice text, unsigned flags, struct error *err)
{
	return parse_text(doc, text, flags, NULL, err);
}

int json_parse_folded(struct json *doc, struct slice text, const struct json_fold *fold, struct error *err)
{
	return parse_text(doc, text, JSON_STRICT, fold, err);
}

void json_release(struct json *doc)
{
	free(doc->nodes);
	buf_release(&doc->unescaped);
	*doc = JSON_INIT;
}

static int compare_keys(const void *a, const void *b, void *doc)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return slice_compare(json_text_at(doc, x), json_text_at(doc, y));
}

void json_sorted_keys(const struct json *doc, uint32_t at, uint32_t *keys)
{
	uint32_t key = at + 1, i;
	bool ascending = true;

	for (i = 0; i < doc->nodes[at].count; i++) {
		keys[i] = key;
		if (i > 0 && slice_compare(json_text_at(doc, keys[i - 1]), json_text_at(doc, key)) > 0)
			ascending = false;
		key = json_after(doc, key + 1);
	}
	if (!ascending)
		qsort_r(keys, i, sizeof(keys[0]), compare_keys, (void *)(uintptr_t)doc);
}
