/* Writing JSON: the writer for our own documents, and the canonical form that signatures cover. */
#include "base/json_tape.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/utf8.h"

static uint64_t level_bit(const struct json_writer *w)
{
	return UINT64_C(1) << (w->depth - 1);
}

static void new_line(struct json_writer *w)
{
	unsigned i;

	if (w->indent == 0)
		return;
	buf_put_u8(w->out, '\n');
	for (i = 0; i < w->depth * w->indent; i++)
		buf_put_u8(w->out, ' ');
}

static void put_escaped(struct buf *out, uint8_t c)
{
	static const char plain[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
	const char *hit = c == 0 ? NULL : strchr(plain, c);

	if (hit == NULL) {
		buf_printf(out, "\\u%04x", c);
		return;
	}
	buf_put_u8(out, '\\');
	buf_put_u8(out, (uint8_t)names[hit - plain]);
}

static void put_text(struct buf *out, struct slice s)
{
	size_t run = 0, i = 0, n;
	uint32_t cp;

	buf_put_u8(out, '"');
	while (i < s.len) {
		uint8_t c = s.ptr[i];

		n = c < 0x80 ? 1 : utf8_decode(slice_sub(s, i, 4), &cp);
		if (n > 0 && c >= 0x20 && c != '"' && c != '\\') {
			i += n;
			continue;
		}
		buf_put_slice(out, slice_sub(s, run, i - run));
		if (n == 0)
			buf_put_str(out, "\xef\xbf\xbd");
		else
			put_escaped(out, c);
		run = ++i;
	}
	buf_put_slice(out, slice_sub(s, run, s.len - run));
	buf_put_u8(out, '"');
}

/* Comma, line and key: all that comes before a value. */
static void begin(struct json_writer *w, bool keyed, struct slice key)
{
	if (w->depth == 0) {
		assert(!keyed);
		return;
	}
	assert(keyed == !(w->is_array & level_bit(w)));
	if (w->has_member & level_bit(w))
		buf_put_u8(w->out, ',');
	w->has_member |= level_bit(w);
	new_line(w);
	if (!keyed)
		return;
	put_text(w->out, key);
	buf_put_str(w->out, w->indent == 0 ? ":" : ": ");
}

static void begin_named(struct json_writer *w, const char *name)
{
	begin(w, name != NULL, slice_str(name));
}

static void open_level(struct json_writer *w, bool array)
{
	assert(w->depth < JSON_DEPTH_MAX);
	buf_put_u8(w->out, array ? '[' : '{');
	w->depth++;
	w->has_member &= ~level_bit(w);
	w->is_array = array ? w->is_array | level_bit(w) : w->is_array & ~level_bit(w);
}

void json_open_object(struct json_writer *w, const char *name)
{
	begin_named(w, name);
	open_level(w, false);
}

void json_open_array(struct json_writer *w, const char *name)
{
	begin_named(w, name);
	open_level(w, true);
}

void json_open_object_key(struct json_writer *w, struct slice key)
{
	begin(w, true, key);
	open_level(w, false);
}

void json_open_array_key(struct json_writer *w, struct slice key)
{
	begin(w, true, key);
	open_level(w, true);
}

void json_close(struct json_writer *w)
{
	bool array, filled;

	assert(w->depth > 0);
	array = w->is_array & level_bit(w);
	filled = w->has_member & level_bit(w);
	w->depth--;
	if (filled)
		new_line(w);
	buf_put_u8(w->out, array ? ']' : '}');
}

void json_put_slice(struct json_writer *w, const char *name, struct slice value)
{
	begin_named(w, name);
	put_text(w->out, value);
}

void json_put_string(struct json_writer *w, const char *name, const char *value)
{
	if (value == NULL)
		json_put_null(w, name);
	else
		json_put_slice(w, name, slice_str(value));
}

void json_put_int(struct json_writer *w, const char *name, int64_t value)
{
	begin_named(w, name);
	buf_printf(w->out, "%" PRId64, value);
}

void json_put_real(struct json_writer *w, const char *name, double value)
{
	char text[40];
	int digits;

	assert(isfinite(value));
	if (value == 0)
		value = 0;	/* minus zero is for nobody */
	for (digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	begin_named(w, name);
	buf_put_str(w->out, text);
}

void json_put_bool(struct json_writer *w, const char *name, bool value)
{
	begin_named(w, name);
	buf_put_str(w->out, value ? "true" : "false");
}

void json_put_null(struct json_writer *w, const char *name)
{
	begin_named(w, name);
	buf_put_str(w->out, "null");
}

void json_put_hex(struct json_writer *w, const char *name, const uint8_t *p, size_t n)
{
	begin_named(w, name);
	buf_put_u8(w->out, '"');
	if (buf_reserve(w->out, 2 * n)) {
		hex_encode((char *)w->out->ptr + w->out->len, p, n);
		w->out->len += 2 * n;
	}
	buf_put_u8(w->out, '"');
}

void json_put_raw(struct json_writer *w, const char *name, struct slice json_text)
{
	begin_named(w, name);
	buf_put_slice(w->out, json_text);
}

/* An absent value is written as null. */
static struct slice value_text(struct json_value value)
{
	return value.doc == NULL ? SLICE_LIT("null") : json_raw(value);
}

void json_put_value(struct json_writer *w, const char *name, struct json_value value)
{
	json_put_raw(w, name, value_text(value));
}

void json_put_slice_key(struct json_writer *w, struct slice key, struct slice value)
{
	begin(w, true, key);
	put_text(w->out, value);
}

void json_put_value_key(struct json_writer *w, struct slice key, struct json_value value)
{
	begin(w, true, key);
	buf_put_slice(w->out, value_text(value));
}

/* ---- the canonical form ---- */

static int canonical_at(struct buf *out, const struct json *doc, uint32_t at, struct error *err);

static void canonical_string(struct buf *out, struct slice s)
{
	size_t run = 0, i;

	buf_put_u8(out, '"');
	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] != '"' && s.ptr[i] != '\\')
			continue;
		buf_put_slice(out, slice_sub(s, run, i - run));
		buf_put_u8(out, '\\');
		run = i;
	}
	buf_put_slice(out, slice_sub(s, run, s.len - run));
	buf_put_u8(out, '"');
}

static int canonical_object(struct buf *out, const struct json *doc, uint32_t at, struct error *err)
{
	uint32_t count = doc->nodes[at].count, i;
	uint32_t *keys = xreallocarray(NULL, count, sizeof(keys[0]));
	int r = 0;

	json_sorted_keys(doc, at, keys);
	buf_put_u8(out, '{');
	for (i = 0; i < count && r == 0; i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		canonical_string(out, json_text_at(doc, keys[i]));
		buf_put_u8(out, ':');
		r = canonical_at(out, doc, keys[i] + 1, err);
	}
	buf_put_u8(out, '}');
	free(keys);
	return r;
}

static int canonical_array(struct buf *out, const struct json *doc, uint32_t at, struct error *err)
{
	uint32_t i;

	buf_put_u8(out, '[');
	for (i = at + 1; i < doc->nodes[at].next; i = json_after(doc, i)) {
		if (i > at + 1)
			buf_put_u8(out, ',');
		if (canonical_at(out, doc, i, err) < 0)
			return -1;
	}
	buf_put_u8(out, ']');
	return 0;
}

static int canonical_folded(struct buf *out, struct json_value v, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = json_unfold(&doc, v, err);

	if (r == 0)
		r = canonical_at(out, &doc, 0, err);
	json_release(&doc);
	return r;
}

static int canonical_container(struct buf *out, const struct json *doc, uint32_t at, struct error *err)
{
	const struct json_node *n = &doc->nodes[at];

	if (n->canonical)
		buf_put_slice(out, json_raw((struct json_value){doc, at}));
	else if (n->folded)
		return canonical_folded(out, (struct json_value){doc, at}, err);
	else
		return n->type == JSON_OBJECT ? canonical_object(out, doc, at, err)
					      : canonical_array(out, doc, at, err);
	return 0;
}

static int canonical_at(struct buf *out, const struct json *doc, uint32_t at, struct error *err)
{
	switch (doc->nodes[at].type) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return canonical_container(out, doc, at, err);
	case JSON_STRING:
		canonical_string(out, json_text_at(doc, at));
		return 0;
	case JSON_REAL:
		return error_set(err, ERR_MALFORMED, "a fraction has no canonical form");
	default:	/* the parser accepts one spelling only of integers and words */
		buf_put_slice(out, json_raw((struct json_value){doc, at}));
		return 0;
	}
}

int json_canonical(struct buf *out, struct json_value v, struct error *err)
{
	if (v.doc == NULL)
		return error_set(err, ERR_MALFORMED, "nothing has no canonical form");
	if (canonical_at(out, v.doc, v.at, err) < 0)
		return -1;
	if (out->failed)
		return error_set(err, ERR_LIMIT, "canonical JSON is larger than %zu bytes", out->max);
	return 0;
}

int json_canonical_slice(struct slice *out, struct buf *made, struct json_value v, struct error *err)
{
	enum json_type type = json_type(v);

	if ((type == JSON_OBJECT || type == JSON_ARRAY) && v.doc->nodes[v.at].canonical) {
		*out = json_raw(v);
		return 0;
	}
	if (json_canonical(made, v, err) < 0)
		return -1;
	*out = buf_slice(made);
	return 0;
}
