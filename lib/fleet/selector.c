/* Selectors: their JSON, and matching. */
#include "fleet/selector_internal.h"

#include <stdlib.h>

#include "base/name.h"

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
		return selector_parse_where(s, where, err);
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
