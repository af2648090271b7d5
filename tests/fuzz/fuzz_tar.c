/* Tar headers, block by block: what is read is a safe name, and is written back as it was read. */
#include <assert.h>
#include <string.h>

#include "base/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_member(const struct tar_entry *e)
{
	struct tar_reader t = {.in_pax = false};
	struct buf out = BUF_INIT(4 * TAR_BLOCK);
	struct error err = ERROR_INIT;
	struct tar_entry again;
	int kind = TAR_MORE;
	size_t at;

	assert(tar_name_check(slice_str(e->name), &err) == 0 && e->size <= TAR_SIZE_MAX);
	assert(tar_put(&out, e, &err) == 0);
	for (at = 0; kind == TAR_MORE; at += TAR_BLOCK)
		kind = tar_get(&t, out.ptr + at, &again, &err);
	assert(kind == TAR_MEMBER && strcmp(again.name, e->name) == 0 && again.size == e->size);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tar_reader t = {.in_pax = false};
	struct error err = ERROR_INIT;
	struct tar_entry e;
	size_t at;

	for (at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		int kind = tar_get(&t, data + at, &e, &err);

		if (kind < 0 || kind == TAR_END)
			break;
		if (kind == TAR_MEMBER)
			check_member(&e);
	}
	return 0;
}
