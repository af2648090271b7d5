/* Named files packed one after the other. */
#include "agent/blobs.h"

#define HEAD_LEN 6
#define NAME_MAX_LEN 255

void blobs_put(struct buf *out, struct slice name, struct slice bytes)
{
	if (name.len == 0 || name.len > NAME_MAX_LEN || bytes.len > UINT32_MAX) {
		out->failed = true;
		return;
	}
	buf_put_u16be(out, (uint16_t)name.len);
	buf_put_u32be(out, (uint32_t)bytes.len);
	buf_put_slice(out, name);
	buf_put_slice(out, bytes);
}

int blobs_read(struct tuf_blob *list, unsigned *count, struct slice packed, struct error *err)
{
	*count = 0;
	while (packed.len > 0) {
		const uint8_t *p = packed.ptr;
		size_t name_len, len;

		if (*count == BLOBS_MAX)
			return error_set(err, ERR_LIMIT, "more than %d files in one answer", BLOBS_MAX);
		if (packed.len < HEAD_LEN)
			return error_set(err, ERR_MALFORMED, "packed files are cut short");
		name_len = (size_t)p[0] << 8 | p[1];
		len = (size_t)p[2] << 24 | (size_t)p[3] << 16 | (size_t)p[4] << 8 | p[5];
		packed = slice_sub(packed, HEAD_LEN, SIZE_MAX);
		if (name_len == 0 || name_len > NAME_MAX_LEN || packed.len < name_len || packed.len - name_len < len)
			return error_set(err, ERR_MALFORMED, "packed files are cut short");
		list[*count].path = slice_sub(packed, 0, name_len);
		list[*count].bytes = slice_sub(packed, name_len, len);
		packed = slice_sub(packed, name_len + len, SIZE_MAX);
		(*count)++;
	}
	return 0;
}

struct slice blobs_find(const struct tuf_blob *list, unsigned count, struct slice name)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (slice_equal(list[i].path, name))
			return list[i].bytes;
	return SLICE_EMPTY;
}

int blobs_feed_stored(struct tuf_client *c, const struct tuf_blob *list, unsigned count, struct error *err)
{
	struct buf name = BUF_INIT(256), bytes = BUF_INIT(SIZE_MAX / 2);
	struct slice found;
	int r;

	trusted_filename(&name, tuf_client_want(c)->role);
	found = blobs_find(list, count, buf_slice(&name));
	if (found.ptr == NULL) {
		r = tuf_client_absent(c, err);
	} else {
		buf_put_slice(&bytes, found);
		r = tuf_client_feed(c, &bytes, err);
	}
	buf_release(&name);
	buf_release(&bytes);
	return r;
}
