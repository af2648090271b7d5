/*
 * The configuration reader: libyaml's events, walked by recursion of at most YAML_DEPTH_MAX, each key
 * looked up as soon as it is seen, so that nothing unknown is ever stored.
 */
#include "base/yaml.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/name.h"
#include "base/timefmt.h"

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;	/* the current one; freed by next() */
	struct slice text;
	const char *file;
	const struct yaml_key *keys;
	struct yaml *doc;
	struct error *err;
	char path[YAML_KEY_MAX + 1];	/* of the key whose value is being read */
	char **sections;		/* paths of the mappings seen, to find a second one */
	unsigned section_count;
};

enum fit {
	FIT_NONE,
	FIT_SECTION,	/* the key is the way to the pattern */
	FIT_VALUE,
};

/* Compare part by part; a part "*" of the pattern takes any name. */
static enum fit fit(const char *pattern, const char *key)
{
	for (;;) {
		size_t pn = strcspn(pattern, "."), kn = strcspn(key, ".");
		bool any = pn == 1 && pattern[0] == '*';

		if (!any && (pn != kn || memcmp(pattern, key, kn) != 0))
			return FIT_NONE;
		pattern += pn;
		key += kn;
		if (*key == '\0')
			return *pattern == '\0' ? FIT_VALUE : FIT_SECTION;
		if (*pattern == '\0')
			return FIT_NONE;
		pattern++;
		key++;
	}
}

/* The best fit of r->path among the known keys; *known is the row of a FIT_VALUE. */
static enum fit look_up(const struct reader *r, const struct yaml_key **known)
{
	const struct yaml_key *k;
	enum fit best = FIT_NONE;

	*known = NULL;
	for (k = r->keys; k->key != NULL; k++) {
		enum fit f = fit(k->key, r->path);

		if (f == FIT_VALUE) {
			*known = k;
			return f;
		}
		if (f > best)
			best = f;
	}
	return best;
}

/* "config.yaml:3:5: " before the text; line and column count from 0 here. */
static int fail_at(struct reader *r, enum error_kind kind, size_t line, size_t column, const char *fmt, ...)
	PRINTF_LIKE(5, 6);

static int fail_at(struct reader *r, enum error_kind kind, size_t line, size_t column, const char *fmt, ...)
{
	struct buf text = BUF_INIT(1024);
	char what[sizeof(r->err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	buf_printf(&text, "%s:%zu:%zu: %s", r->file, line + 1, column + 1, what);
	error_set(r->err, kind, "%s", buf_cstr(&text));
	buf_release(&text);
	return -1;
}

#define FAIL(r, kind, ...)                                                                          \
	fail_at(r, kind, (r)->event.start_mark.line, (r)->event.start_mark.column, __VA_ARGS__)

/* What libyaml complains about; for bad bytes it knows only an offset. */
static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line, column = p->problem_mark.column, i;
	const char *why = p->problem == NULL ? "not YAML" : p->problem;

	if (p->error == YAML_READER_ERROR) {
		line = column = 0;
		for (i = 0; i < p->problem_offset && i < r->text.len; i++) {
			column++;
			if (r->text.ptr[i] == '\n')
				line++, column = 0;
		}
	}
	return fail_at(r, ERR_MALFORMED, line, column, "%s", why);
}

/* The next event; what no configuration needs is refused here, wherever it stands. */
static int next(struct reader *r)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return syntax_error(r);
	switch (r->event.type) {
	case YAML_ALIAS_EVENT:
		return FAIL(r, ERR_MALFORMED, "aliases are not allowed");
	case YAML_SCALAR_EVENT:
		anchor = r->event.data.scalar.anchor;
		tag = r->event.data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = r->event.data.sequence_start.anchor;
		tag = r->event.data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = r->event.data.mapping_start.anchor;
		tag = r->event.data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor != NULL)
		return FAIL(r, ERR_MALFORMED, "anchors are not allowed");
	if (tag != NULL)
		return FAIL(r, ERR_MALFORMED, "tags are not allowed");
	return 0;
}

static struct slice scalar(const struct reader *r)
{
	return slice_of(r->event.data.scalar.value, r->event.data.scalar.length);
}

static bool is_plain(const struct reader *r)
{
	return r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const struct reader *r)
{
	struct slice s = scalar(r);

	return is_plain(r) && (s.len == 0 || slice_equal_str(s, "~") || slice_equal_str(s, "null"));
}

/* ---- unknown keys ---- */

/* The first `parts` parts of a dotted key. */
static void first_parts(char out[static YAML_KEY_MAX + 1], const char *key, size_t parts)
{
	size_t n = 0;

	for (; key[n] != '\0' && n < YAML_KEY_MAX; n++) {
		if (key[n] == '.' && --parts == 0)
			break;
		out[n] = key[n];
	}
	out[n] = '\0';
}

static const char *last_part(const char *key)
{
	const char *dot = strrchr(key, '.');

	return dot == NULL ? key : dot + 1;
}

/* A known key within a few slips of the unknown one, or the one that ends as it does, is worth a hint. */
static int unknown_key(struct reader *r)
{
	char candidate[YAML_KEY_MAX + 1], best[YAML_KEY_MAX + 1] = "";
	unsigned least = 1 + (unsigned)strlen(r->path) / 4, d;
	const struct yaml_key *k;
	size_t parts = 1, i;

	for (i = 0; r->path[i] != '\0'; i++)
		parts += r->path[i] == '.';
	for (k = r->keys; k->key != NULL; k++) {
		first_parts(candidate, k->key, parts);
		d = name_distance(r->path, candidate);
		if (d < least || (d == least && best[0] == '\0')) {
			least = d;
			first_parts(best, candidate, parts);
		}
	}
	for (k = r->keys; k->key != NULL && best[0] == '\0'; k++) {
		if (strcmp(last_part(k->key), last_part(r->path)) == 0)
			first_parts(best, k->key, SIZE_MAX);
	}
	FAIL(r, ERR_MALFORMED, "unknown key '%s'", r->path);
	if (best[0] != '\0')
		error_hint(r->err, "did you mean '%s'?", best);
	return -1;
}

/* ---- paths ---- */

static bool is_key_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* The current event is a key: put it at the end of r->path. */
static int push_key(struct reader *r)
{
	size_t len = strlen(r->path), i;
	struct slice s;
	char quoted[64];

	if (r->event.type != YAML_SCALAR_EVENT)
		return FAIL(r, ERR_MALFORMED, "a key must be one word");
	s = scalar(r);
	for (i = 0; i < s.len && is_key_byte(s.ptr[i]); i++)
		;
	if (s.len == 0 || i < s.len)
		return FAIL(r, ERR_MALFORMED, "key '%s' is not one word of letters, digits, _ and -",
			    printable(quoted, sizeof(quoted), s));
	if (len + 1 + s.len > YAML_KEY_MAX)
		return FAIL(r, ERR_LIMIT, "key is longer than %d bytes", YAML_KEY_MAX);
	if (len > 0)
		r->path[len++] = '.';
	memcpy(r->path + len, s.ptr, s.len);
	r->path[len + s.len] = '\0';
	return 0;
}

/* Neither a value nor a section may come twice. */
static int check_twice(struct reader *r)
{
	bool twice = yaml_find(r->doc, r->path) != NULL;
	unsigned i;

	for (i = 0; i < r->section_count && !twice; i++)
		twice = strcmp(r->sections[i], r->path) == 0;
	if (twice)
		return FAIL(r, ERR_MALFORMED, "key '%s' occurs twice", r->path);
	return 0;
}

/* ---- values ---- */

static int bad_value(struct reader *r, const char *wanted)
{
	char quoted[64];

	return FAIL(r, ERR_MALFORMED, "'%s' is '%s', not %s", r->path, printable(quoted, sizeof(quoted), scalar(r)),
		    wanted);
}

/* Decimal only: 0644 and 0x10 mean different numbers to different readers. */
static int to_int(int64_t *out, struct slice s)
{
	bool negative = s.len > 0 && s.ptr[0] == '-';
	size_t i = negative;

	*out = 0;
	if (i == s.len || (s.ptr[i] == '0' && s.len > 1))
		return -1;
	for (; i < s.len; i++) {
		int digit = s.ptr[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, negative ? -digit : digit, out))
			return -1;
	}
	return 0;
}

/* e->number from the current scalar, whose text is e->values[0]. */
static int convert(struct reader *r, struct yaml_entry *e)
{
	const struct yaml_key *k = e->known;
	struct error why = ERROR_INIT;

	switch (k->type) {
	case YAML_STRING:
	case YAML_LIST:
	case YAML_MAPS:
		return 0;
	case YAML_BOOL:
		e->number = slice_equal_str(scalar(r), "true");
		if (!is_plain(r) || (!e->number && !slice_equal_str(scalar(r), "false")))
			return bad_value(r, "true or false");
		return 0;
	case YAML_INT:
		if (!is_plain(r) || to_int(&e->number, scalar(r)) < 0)
			return bad_value(r, "an integer");
		break;
	case YAML_DURATION:
		if (duration_parse(&e->number, e->values[0], &why) < 0)
			return bad_value(r, "a duration like 90s, 15m, 12h or 30d");
		break;
	case YAML_SIZE:
		if (size_parse(&e->number, e->values[0], &why) < 0)
			return bad_value(r, "a size like 4096, 512K or 2G");
		break;
	}
	if ((k->min != 0 || k->max != 0) && (e->number < k->min || e->number > k->max))
		return FAIL(r, ERR_MALFORMED, "'%s' is %" PRId64 ", not %" PRId64 " to %" PRId64, r->path, e->number,
			    k->min, k->max);
	return 0;
}

/* The current event is a scalar that says something. */
static int check_scalar(struct reader *r)
{
	struct slice s = scalar(r);

	if (is_null(r))
		return FAIL(r, ERR_MALFORMED, "'%s' has no value", r->path);
	if (memchr(s.ptr, 0, s.len) != NULL)
		return FAIL(r, ERR_MALFORMED, "'%s' has a NUL byte in it", r->path);
	return 0;
}

/* Append a text to the entry, which takes it. */
static void append(struct yaml_entry *e, char *text, yaml_mark_t at)
{
	char **values = xreallocarray((void *)(uintptr_t)e->values, e->count + 1, sizeof(values[0]));
	struct yaml_mark *marks = xreallocarray((void *)(uintptr_t)e->marks, e->count + 1, sizeof(marks[0]));

	marks[e->count] = (struct yaml_mark){(unsigned)at.line + 1, (unsigned)at.column + 1};
	values[e->count++] = text;
	e->values = (const char *const *)values;
	e->marks = marks;
}

static int check_room(struct reader *r, const struct yaml_entry *e)
{
	if (e->count == YAML_LIST_MAX)
		return FAIL(r, ERR_LIMIT, "'%s' has more than %d values", r->path, YAML_LIST_MAX);
	return 0;
}

/* Append the current scalar to the entry. */
static int add_value(struct reader *r, struct yaml_entry *e)
{
	if (check_scalar(r) < 0 || check_room(r, e) < 0)
		return -1;
	append(e, xstrndup_slice(scalar(r)), r->event.start_mark);
	return 0;
}

/* ---- maps in lists ---- */

static unsigned member_count(const struct yaml_key *k)
{
	unsigned n = 0;

	while (k->members[n] != NULL)
		n++;
	return n;
}

/* The current event is a key in a map: which member it is. */
static int find_member(struct reader *r, const struct yaml_key *k, char *const *values, unsigned *at)
{
	const char *near = NULL;
	unsigned least = 3, d;

	for (*at = 0; k->members[*at] != NULL; ++*at) {
		const char *name = last_part(r->path);

		if (strcmp(k->members[*at], name) == 0)
			break;
		if ((d = name_distance(name, k->members[*at])) < least) {
			least = d;
			near = k->members[*at];
		}
	}
	if (k->members[*at] == NULL) {
		FAIL(r, ERR_MALFORMED, "unknown key '%s'", r->path);
		if (near != NULL)
			error_hint(r->err, "did you mean '%s'?", near);
		return -1;
	}
	if (values[*at] != NULL)
		return FAIL(r, ERR_MALFORMED, "key '%s' occurs twice", r->path);
	return 0;
}

/* Key and value up to the end of the map that has just begun, each into its place in values. */
static int read_members(struct reader *r, const struct yaml_key *k, char **values)
{
	size_t len = strlen(r->path);
	unsigned at, last = member_count(k) - 1;

	for (;;) {
		if (next(r) < 0)
			return -1;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return 0;
		if (push_key(r) < 0 || find_member(r, k, values, &at) < 0 || next(r) < 0)
			return -1;
		if (r->event.type != YAML_SCALAR_EVENT)
			return FAIL(r, ERR_MALFORMED, "'%s' takes one value", r->path);
		if (check_scalar(r) < 0)
			return -1;
		if (scalar(r).len == 0)
			return FAIL(r, ERR_MALFORMED, "'%s' is empty", r->path);
		if (at < last && slice_find(scalar(r), '=', 0) != SIZE_MAX)
			return FAIL(r, ERR_MALFORMED, "'%s' has a '=' in it", r->path);
		values[at] = xstrndup_slice(scalar(r));
		r->path[len] = '\0';
	}
}

/* The members of a map, joined; those at the end that are not there are left out. */
static char *join_members(char *const *values, unsigned n)
{
	struct buf text = BUF_INIT(YAML_FILE_MAX + YAML_MEMBERS_MAX);
	char *joined;
	unsigned i;

	while (n > 0 && values[n - 1] == NULL)
		n--;
	for (i = 0; i < n; i++)
		buf_printf(&text, "%s%s", i == 0 ? "" : "=", values[i] == NULL ? "" : values[i]);
	joined = xstrdup(buf_cstr(&text));
	buf_release(&text);
	return joined;
}

/* The map that has just begun, appended to the entry. */
static int read_map(struct reader *r, struct yaml_entry *e)
{
	const struct yaml_key *k = e->known;
	char *values[YAML_MEMBERS_MAX] = {NULL};
	yaml_mark_t begin = r->event.start_mark;
	int result = -1;
	unsigned i;

	if (check_room(r, e) < 0 || read_members(r, k, values) < 0)
		goto out;
	for (i = 0; i < k->needed; i++) {
		if (values[i] == NULL) {
			fail_at(r, ERR_MALFORMED, begin.line, begin.column, "this one of '%s' has no '%s'", r->path,
				k->members[i]);
			goto out;
		}
	}
	append(e, join_members(values, member_count(k)), begin);
	result = 0;
out:
	for (i = 0; i < YAML_MEMBERS_MAX; i++)
		free(values[i]);
	return result;
}

static const char *wanted(const struct yaml_key *k)
{
	switch (k->type) {
	case YAML_LIST:
		return "a list";
	case YAML_MAPS:
		return "a list of sections";
	default:
		return "one value";
	}
}

/* Item by item up to the end of the list that has just begun. */
static int read_list(struct reader *r, struct yaml_entry *e)
{
	bool maps = e->known->type == YAML_MAPS;

	for (;;) {
		if (next(r) < 0)
			return -1;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		if (r->event.type != (maps ? YAML_MAPPING_START_EVENT : YAML_SCALAR_EVENT))
			return FAIL(r, ERR_MALFORMED, "'%s' takes a list of %s", r->path, maps ? "sections" : "plain values");
		if ((maps ? read_map(r, e) : add_value(r, e)) < 0)
			return -1;
	}
}

/* The current event is a value for the known key at r->path. */
static int read_value(struct reader *r, const struct yaml_key *known)
{
	struct yaml *doc = r->doc;
	struct yaml_entry *e;

	if (doc->count == YAML_ENTRIES_MAX)
		return FAIL(r, ERR_LIMIT, "more than %d keys", YAML_ENTRIES_MAX);
	doc->entries = xreallocarray(doc->entries, doc->count + 1, sizeof(*e));
	e = &doc->entries[doc->count++];
	*e = (struct yaml_entry){.key = xstrdup(r->path),
				 .known = known,
				 .line = (unsigned)r->event.start_mark.line + 1,
				 .column = (unsigned)r->event.start_mark.column + 1};
	if (r->event.type == YAML_SCALAR_EVENT && known->type != YAML_MAPS)
		return add_value(r, e) < 0 ? -1 : convert(r, e);
	if (r->event.type != YAML_SEQUENCE_START_EVENT)
		return FAIL(r, ERR_MALFORMED, "'%s' takes %s, not %s", r->path, wanted(known),
			    r->event.type == YAML_SCALAR_EVENT ? "one value" : "a section");
	if (known->type != YAML_LIST && known->type != YAML_MAPS)
		return FAIL(r, ERR_MALFORMED, "'%s' takes one value, not a list", r->path);
	return read_list(r, e);
}

/* ---- structure ---- */

static int read_section(struct reader *r, unsigned depth);

/* The current event is the value of the key at r->path. */
static int read_member(struct reader *r, unsigned depth)
{
	const struct yaml_key *known;

	switch (look_up(r, &known)) {
	case FIT_VALUE:
		return read_value(r, known);
	case FIT_SECTION:
		r->sections = xreallocarray(r->sections, r->section_count + 1, sizeof(r->sections[0]));
		r->sections[r->section_count++] = xstrdup(r->path);
		/* All keys of a section may be commented out. */
		if (r->event.type == YAML_SCALAR_EVENT && is_null(r))
			return 0;
		if (r->event.type != YAML_MAPPING_START_EVENT)
			return FAIL(r, ERR_MALFORMED, "'%s' is a section, it takes keys below it", r->path);
		return read_section(r, depth + 1);
	case FIT_NONE:
		break;
	}
	return unknown_key(r);
}

/* Keys and values up to the end of the mapping that has just begun. */
static int read_section(struct reader *r, unsigned depth)
{
	size_t len = strlen(r->path);
	const struct yaml_key *known;

	if (depth > YAML_DEPTH_MAX)
		return FAIL(r, ERR_LIMIT, "nested more than %d deep", YAML_DEPTH_MAX);
	for (;;) {
		if (next(r) < 0)
			return -1;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return 0;
		if (push_key(r) < 0)
			return -1;
		/* While the key is the current event, so that the error stands where the key does. */
		if (look_up(r, &known) == FIT_NONE)
			return unknown_key(r);
		if (check_twice(r) < 0 || next(r) < 0 || read_member(r, depth) < 0)
			return -1;
		r->path[len] = '\0';
	}
}

/* One document or none; its top is a mapping, or empty. */
static int read_document(struct reader *r)
{
	if (next(r) < 0 || next(r) < 0)	/* start of stream; document or end */
		return -1;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return 0;
	if (r->event.data.document_start.version_directive != NULL ||
	    r->event.data.document_start.tag_directives.start != r->event.data.document_start.tag_directives.end)
		return FAIL(r, ERR_MALFORMED, "directives are not allowed");
	if (next(r) < 0)
		return -1;
	if (r->event.type == YAML_MAPPING_START_EVENT) {
		if (read_section(r, 1) < 0)
			return -1;
	} else if (r->event.type != YAML_SCALAR_EVENT || !is_null(r)) {
		return FAIL(r, ERR_MALFORMED, "the top of the file must be keys and values");
	}
	if (next(r) < 0 || next(r) < 0)	/* end of document; end of stream, or another document */
		return -1;
	if (r->event.type != YAML_STREAM_END_EVENT)
		return FAIL(r, ERR_MALFORMED, "a second document begins");
	return 0;
}

int yaml_parse(struct yaml *doc, struct slice text, const char *file, const struct yaml_key *keys,
	       struct error *err)
{
	struct reader r = {.text = text, .file = file, .keys = keys, .doc = doc, .err = err};
	int result;

	*doc = YAML_INIT;
	if (text.len > YAML_FILE_MAX)
		return error_set(err, ERR_LIMIT, "%s: %zu bytes, more than %u", file, text.len, YAML_FILE_MAX);
	if (!yaml_parser_initialize(&r.parser))
		return error_set(err, ERR_FAILED, "%s: no memory to read it", file);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text.len == 0 ? (const uint8_t *)"" : text.ptr, text.len);
	result = read_document(&r);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	while (r.section_count > 0)
		free(r.sections[--r.section_count]);
	free(r.sections);
	if (result < 0)
		yaml_release(doc);
	return result;
}

void yaml_release(struct yaml *doc)
{
	unsigned i, v;

	for (i = 0; i < doc->count; i++) {
		struct yaml_entry *e = &doc->entries[i];

		for (v = 0; v < e->count; v++)
			free((void *)(uintptr_t)e->values[v]);
		free((void *)(uintptr_t)e->values);
		free((void *)(uintptr_t)e->marks);
		free((void *)(uintptr_t)e->key);
	}
	free(doc->entries);
	*doc = YAML_INIT;
}

const struct yaml_entry *yaml_find(const struct yaml *doc, const char *key)
{
	unsigned i;

	for (i = 0; i < doc->count; i++) {
		if (strcmp(doc->entries[i].key, key) == 0)
			return &doc->entries[i];
	}
	return NULL;
}
