/*
 * The canonical form is a fixed point: read again (when it has no control characters), it comes out the same, and the
 * parser has seen that it is canonical. Where a text is taken as it stands, building it anew gives the same bytes.
 */
#include <stdlib.h>

#include "base/json_tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Forget what the parser saw, so that every container is built from its members. */
static void forget(struct json *doc)
{
	uint32_t i;

	for (i = 0; i < doc->count; i++)
		if (doc->nodes[i].type == JSON_ARRAY || doc->nodes[i].type == JSON_OBJECT)
			doc->nodes[i].canonical = 0;
}

static int canonical(struct buf *out, struct slice text)
{
	struct buf made = BUF_INIT(text.len);
	struct slice quick;
	struct json doc;
	struct error err;

	if (json_parse(&doc, text, JSON_STRICT, &err) < 0)
		return -1;
	if (json_canonical_slice(&quick, &made, json_root(&doc), &err) < 0)
		abort();
	forget(&doc);
	if (json_canonical(out, json_root(&doc), &err) < 0 || !slice_equal(quick, buf_slice(out)))
		abort();
	json_release(&doc);
	buf_release(&made);
	return 0;
}

/* A canonical array or object has been recognised as one. */
static void check_seen(struct slice text)
{
	struct buf made = BUF_INIT(text.len);
	struct slice quick;
	struct json doc;
	struct error err;

	if (json_parse(&doc, text, JSON_STRICT, &err) < 0 ||
	    json_canonical_slice(&quick, &made, json_root(&doc), &err) < 0)
		abort();
	if (json_type(json_root(&doc)) >= JSON_ARRAY && made.len > 0)
		abort();
	json_release(&doc);
	buf_release(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = BUF_INIT(size), twice = BUF_INIT(size);
	size_t i;

	if (canonical(&once, slice_of(data, size)) < 0)
		goto out;
	for (i = 0; i < once.len; i++) {
		if (once.ptr[i] < 0x20)
			goto out;
	}
	if (canonical(&twice, buf_slice(&once)) < 0 || !slice_equal(buf_slice(&once), buf_slice(&twice)))
		abort();
	check_seen(buf_slice(&once));
out:
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
