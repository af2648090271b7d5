/* Files of a network: what is read, written again, is the same text. The first byte says which file. */
#include <stdlib.h>

#include "mesh/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be(struct buf *out, struct slice text)
{
	if (out->failed || !slice_equal(buf_slice(out), text))
		abort();
}

static void rules(struct slice text, struct buf *out)
{
	static struct allow_list list;
	struct error err = ERROR_INIT;

	if (allow_list_parse(&list, text, &err) == 0) {
		allow_list_put(out, &list);
		must_be(out, text);
	}
}

static void claims(struct slice text, struct buf *out)
{
	struct claim list[CLAIMS_MAX];
	struct error err = ERROR_INIT;
	size_t count;

	if (claims_file_parse(list, &count, text, &err) == 0) {
		claims_file_put(out, list, count);
		must_be(out, text);
	}
}

/* White space around the key is allowed, so that only the meaning comes back. */
static void former(struct slice text, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct former f, again;

	if (former_parse(&f, text, &err) == 0) {
		former_put(out, &f);
		if (out->failed || former_parse(&again, buf_slice(out), &err) < 0 ||
		    again.grace_until_s != f.grace_until_s || again.key.generation != f.key.generation)
			abort();
	}
}

static void evicted(struct slice text)
{
	struct error err = ERROR_INIT;
	struct node_ids all, none;

	if (evicted_parse(&all, UINT32_MAX, text, &err) < 0)
		return;
	if (evicted_parse(&none, 0, text, &err) < 0 || none.count > all.count)
		abort();
	node_ids_release(&all);
	node_ids_release(&none);
}

static void devices(struct slice text, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct forward_list list;

	if (forwards_parse(&list, text, &err) == 0) {
		forwards_put(out, &list);
		must_be(out, text);
	}
}

static void paths(struct slice bytes, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct path_list list;

	if (paths_parse(&list, bytes, &err) == 0) {
		paths_put(out, list.all, list.count);
		must_be(out, bytes);
	}
	path_list_release(&list);
}

static int put_pin(void *arg, const struct names_change *pin, struct error *err)
{
	(void)err;
	pins_put(arg, pin);
	return 0;
}

static void pins(struct slice text, struct buf *out)
{
	struct error err = ERROR_INIT;

	if (pins_parse(put_pin, out, text, &err) == 0)
		must_be(out, text);
}

static void records(struct slice text, struct buf *out)
{
	struct slice rest = text, record;
	bool bad;

	while (records_next(&rest, &record, &bad))
		records_put(out, record);
	if (!bad)
		must_be(out, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_sub(slice_of(data, size), 1, SIZE_MAX);
	struct buf out = BUF_SECRET(RECORDS_FILE_MAX);
	struct error err = ERROR_INIT;
	uint32_t epoch;

	switch (size == 0 ? 0 : data[0]) {
	case 'a':
		rules(text, &out);
		break;
	case 'c':
		claims(text, &out);
		break;
	case 'd':
		devices(text, &out);
		break;
	case 'e':
		(void)!epoch_parse(&epoch, text, &err);
		break;
	case 'f':
		former(text, &out);
		break;
	case 'o':
		evicted(text);
		break;
	case 'p':
		paths(text, &out);
		break;
	case 'n':
		pins(text, &out);
		break;
	case 'r':
		records(text, &out);
		break;
	default:
		break;
	}
	buf_release(&out);
	return 0;
}
