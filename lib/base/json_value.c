/* Reading a parsed document: values, members, and members that must be there with a type. */
#include "base/json_tape.h"

#include <assert.h>
#include <inttypes.h>

static const struct json_value no_value = {NULL, 0};

static const struct json_node *node_of(struct json_value v)
{
	return v.doc == NULL ? NULL : &v.doc->nodes[v.at];
}

struct json_value json_root(const struct json *doc)
{
	return doc->count == 0 ? no_value : (struct json_value){doc, 0};
}

enum json_type json_type(struct json_value v)
{
	const struct json_node *n = node_of(v);

	return n == NULL ? JSON_NONE : (enum json_type)n->type;
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_NONE] = "nothing",      [JSON_NULL] = "null",
		[JSON_BOOL] = "a boolean",    [JSON_INT] = "an integer",
		[JSON_REAL] = "a fraction",   [JSON_STRING] = "a string",
		[JSON_ARRAY] = "an array",    [JSON_OBJECT] = "an object",
	};

	return (size_t)type < ARRAY_SIZE(names) ? names[type] : "nothing";
}

struct slice json_raw(struct json_value v)
{
	const struct json_node *n = node_of(v);

	return n == NULL ? SLICE_EMPTY : slice_of(v.doc->text.ptr + n->start, n->raw_len);
}

bool json_is_folded(struct json_value v)
{
	enum json_type type = json_type(v);

	return (type == JSON_ARRAY || type == JSON_OBJECT) && node_of(v)->folded;
}

int json_unfold(struct json *out, struct json_value v, struct error *err)
{
	return json_parse(out, json_raw(v), JSON_STRICT, err);
}

size_t json_count(struct json_value v)
{
	switch (json_type(v)) {
	case JSON_ARRAY:
	case JSON_OBJECT:
		return node_of(v)->count;
	case JSON_STRING:
		return node_of(v)->len;
	default:
		return 0;
	}
}

struct json_value json_get(struct json_value v, const char *name)
{
	return json_get_slice(v, slice_str(name));
}

struct json_value json_get_slice(struct json_value v, struct slice name)
{
	struct json_iter it;

	if (json_type(v) != JSON_OBJECT)
		return no_value;
	for (it = json_iter(v); json_next(&it);) {
		if (slice_equal(it.key, name))
			return it.value;
	}
	return no_value;
}

struct json_iter json_iter(struct json_value v)
{
	enum json_type type = json_type(v);
	struct json_iter it = {.key = SLICE_EMPTY, .value = v};

	if (type != JSON_ARRAY && type != JSON_OBJECT)
		return it;
	assert(!json_is_folded(v)); /* its members are not here */
	it.next = v.at + 1;
	it.end = node_of(v)->next;
	it.keyed = type == JSON_OBJECT;
	return it;
}

bool json_next(struct json_iter *it)
{
	const struct json *doc = it->value.doc;

	if (it->next >= it->end)
		return false;
	if (it->keyed)
		it->key = json_text_at(doc, it->next++);
	it->value.at = it->next;
	it->next = json_after(doc, it->next);
	return true;
}

struct slice json_string(struct json_value v)
{
	return json_type(v) == JSON_STRING ? json_text_at(v.doc, v.at) : SLICE_EMPTY;
}

int64_t json_int(struct json_value v)
{
	return json_type(v) == JSON_INT ? node_of(v)->integer : 0;
}

double json_real(struct json_value v)
{
	switch (json_type(v)) {
	case JSON_REAL:
		return node_of(v)->real;
	case JSON_INT:
		return (double)node_of(v)->integer;
	default:
		return 0;
	}
}

bool json_bool(struct json_value v)
{
	return json_type(v) == JSON_BOOL && node_of(v)->truth;
}

/* The member, which may be absent only when `optional`; present, it must have the type. */
static int member(struct json_value obj, const char *name, enum json_type type, bool optional,
		  struct json_value *out, struct error *err)
{
	if (json_type(obj) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "%s instead of an object with '%s'",
				 json_type_name(json_type(obj)), name);
	*out = json_get(obj, name);
	if (out->doc == NULL && optional)
		return 0;
	if (out->doc == NULL)
		return error_set(err, ERR_MALFORMED, "'%s' is missing", name);
	if (json_type(*out) != type)
		return error_set(err, ERR_MALFORMED, "'%s' is %s, not %s", name,
				 json_type_name(json_type(*out)), json_type_name(type));
	return 0;
}

static int member_value(struct json_value obj, const char *name, enum json_type type, bool optional,
			struct json_value *out, struct error *err)
{
	struct json_value v;

	if (member(obj, name, type, optional, &v, err) < 0)
		return -1;
	if (v.doc != NULL)
		*out = v;
	return 0;
}

static int member_string(struct json_value obj, const char *name, bool optional, struct slice *out,
			 struct error *err)
{
	struct json_value v;

	if (member(obj, name, JSON_STRING, optional, &v, err) < 0)
		return -1;
	if (v.doc != NULL)
		*out = json_string(v);
	return 0;
}

static int member_int(struct json_value obj, const char *name, bool optional, int64_t min, int64_t max,
		      int64_t *out, struct error *err)
{
	struct json_value v;

	if (member(obj, name, JSON_INT, optional, &v, err) < 0)
		return -1;
	if (v.doc == NULL)
		return 0;
	if (json_int(v) < min || json_int(v) > max)
		return error_set(err, ERR_MALFORMED, "'%s' is %" PRId64 ", not %" PRId64 " to %" PRId64, name,
				 json_int(v), min, max);
	*out = json_int(v);
	return 0;
}

static int member_bool(struct json_value obj, const char *name, bool optional, bool *out, struct error *err)
{
	struct json_value v;

	if (member(obj, name, JSON_BOOL, optional, &v, err) < 0)
		return -1;
	if (v.doc != NULL)
		*out = json_bool(v);
	return 0;
}

int json_need_object(struct json_value obj, const char *name, struct json_value *out, struct error *err)
{
	return member_value(obj, name, JSON_OBJECT, false, out, err);
}

int json_need_array(struct json_value obj, const char *name, struct json_value *out, struct error *err)
{
	return member_value(obj, name, JSON_ARRAY, false, out, err);
}

int json_need_string(struct json_value obj, const char *name, struct slice *out, struct error *err)
{
	return member_string(obj, name, false, out, err);
}

int json_need_int(struct json_value obj, const char *name, int64_t min, int64_t max, int64_t *out,
		  struct error *err)
{
	return member_int(obj, name, false, min, max, out, err);
}

int json_need_bool(struct json_value obj, const char *name, bool *out, struct error *err)
{
	return member_bool(obj, name, false, out, err);
}

int json_opt_object(struct json_value obj, const char *name, struct json_value *out, struct error *err)
{
	return member_value(obj, name, JSON_OBJECT, true, out, err);
}

int json_opt_array(struct json_value obj, const char *name, struct json_value *out, struct error *err)
{
	return member_value(obj, name, JSON_ARRAY, true, out, err);
}

int json_opt_string(struct json_value obj, const char *name, struct slice *out, struct error *err)
{
	return member_string(obj, name, true, out, err);
}

int json_opt_int(struct json_value obj, const char *name, int64_t min, int64_t max, int64_t *out,
		 struct error *err)
{
	return member_int(obj, name, true, min, max, out, err);
}

int json_opt_bool(struct json_value obj, const char *name, bool *out, struct error *err)
{
	return member_bool(obj, name, true, out, err);
}

int json_only(struct json_value obj, const char *const *names, struct error *err)
{
	struct json_iter it;
	const char *const *n;
	char key[100];

	for (it = json_iter(obj); json_next(&it);) {
		for (n = names; *n != NULL && !slice_equal_str(it.key, *n); n++)
			;
		if (*n == NULL)
			return error_set(err, ERR_MALFORMED, "unknown member '%s'",
					 printable(key, sizeof(key), it.key));
	}
	return 0;
}
