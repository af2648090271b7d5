/* bundle.json: a text that is taken is written again from what was read of it, byte for byte. */
#include <assert.h>
#include <string.h>

#include "bundle/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct manifest *m)
{
	struct manifest again = *m;
	struct error err = ERROR_INIT;
	struct manifest_iter it;
	struct member member;
	uint64_t bytes = 0;

	again.text = BUF_INIT(MANIFEST_MAX);
	memset(again.id, 0, sizeof(again.id));
	assert(manifest_begin(&again, &err) == 0);
	for (it = manifest_iter(m); manifest_next(&it, &member);) {
		assert(tar_name_check(slice_str(member.name), &err) == 0);
		assert(member.length <= BUNDLE_ARTIFACT_MAX && strlen(member.role) <= NAME_LEN_MAX);
		bytes += member.length;
		manifest_add(&again, &member);
	}
	assert(it.index == m->members && bytes == m->bytes);
	assert(manifest_end(&again, &err) == 0);
	assert(slice_equal(buf_slice(&again.text), buf_slice(&m->text)));
	assert(memcmp(again.id, m->id, sizeof(again.id)) == 0);
	manifest_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(MANIFEST_MAX);
	struct error err = ERROR_INIT;
	struct manifest m;

	buf_put(&text, data, size);
	if (manifest_parse(&m, &text, &err) == 0)
		write_again(&m);
	else
		assert(err.kind != ERR_NONE && err.text[0] != '\0' && m.text.ptr == NULL);
	assert(text.ptr == NULL);
	manifest_release(&m);
	return 0;
}
