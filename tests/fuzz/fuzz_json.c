/* JSON text, with and without fractions: every value is reached, and what is written again reads the same. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Touch every byte that the document hands out; returns a sum that the compiler cannot drop. */
static size_t walk(struct json_value v)
{
	struct json_iter it;
	struct slice s = json_string(v);
	size_t sum = json_raw(v).len + json_count(v), i;

	for (i = 0; i < s.len; i++)
		sum += s.ptr[i];
	for (it = json_iter(v); json_next(&it);)
		sum += it.key.len + walk(it.value);
	return sum;
}

static void copy(struct json_writer *w, const char *name, struct json_value v)
{
	struct json_iter it;

	switch (json_type(v)) {
	case JSON_ARRAY:
		json_open_array(w, name);
		for (it = json_iter(v); json_next(&it);)
			copy(w, NULL, it.value);
		json_close(w);
		return;
	case JSON_OBJECT:
		json_open_object(w, name);
		for (it = json_iter(v); json_next(&it);)
			json_put_value_key(w, it.key, it.value);
		json_close(w);
		return;
	case JSON_STRING:
		json_put_slice(w, name, json_string(v));
		return;
	case JSON_REAL:
		json_put_real(w, name, json_real(v));
		return;
	default:
		json_put_value(w, name, v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned flags = size > 0 && data[0] == '#' ? JSON_FRACTIONS : JSON_STRICT;
	struct slice text = slice_sub(slice_of(data, size), flags == JSON_FRACTIONS, size);
	struct buf once = BUF_INIT(16 << 20), twice = BUF_INIT(16 << 20);
	struct json_writer w = JSON_WRITER(&once), again = JSON_WRITER(&twice);
	struct json doc;
	struct error err;

	if (json_parse(&doc, text, flags, &err) < 0)
		return 0;
	walk(json_root(&doc));
	copy(&w, NULL, json_root(&doc));
	json_release(&doc);
	if (json_parse(&doc, buf_slice(&once), flags, &err) < 0)
		abort();
	copy(&again, NULL, json_root(&doc));
	if (!slice_equal(buf_slice(&once), buf_slice(&twice)))
		abort();
	json_release(&doc);
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
