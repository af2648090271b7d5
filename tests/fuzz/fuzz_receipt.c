/*
 * Receipts: receipt.json by itself, or the archive, in which the first byte tells that checksums are to be mended. What
 * is taken is written again as it was.
 */
#include "bundle/receipt.h"
#include "crypto/sshsig.h"
#include "tests/fuzz/archive_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct slice text)
{
	struct buf again = BUF_INIT(RECEIPT_MAX);
	struct error err = ERROR_INIT;
	struct receipt r;

	if (receipt_parse(&r, text, &err) == 0) {
		assert(receipt_version(&r, "root") > 0);
		receipt_put(&again, &r);
		assert(slice_equal(buf_slice(&again), text));
	} else {
		assert(err.kind != ERR_NONE && r.versions == NULL);
	}
	receipt_release(&r);
	buf_release(&again);
}

static void write_again(const struct receipt *r, struct slice text, struct slice signature, const struct held *held)
{
	int fd = memfd_create("again", MFD_CLOEXEC);
	struct buf text2 = BUF_INIT(RECEIPT_MAX), signature2 = BUF_INIT(SSHSIG_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct receipt r2;
	struct held held2;

	assert(receipt_write(fd, text, signature, held, r->created_s, &err) == 0);
	assert(lseek(fd, 0, SEEK_SET) == 0);
	assert(receipt_read(fd, &text2, &signature2, &r2, &held2, &err) == 0);
	assert(slice_equal(buf_slice(&text2), text) && slice_equal(buf_slice(&signature2), signature));
	assert(held2.count == held->count);
	assert(held->count == 0 || memcmp(held2.list, held->list, (size_t)held->count * SHA256_LEN) == 0);
	close(fd);
	receipt_release(&r2);
	held_release(&held2);
	buf_release(&text2);
	buf_release(&signature2);
}

static void check_archive(const uint8_t *bytes, size_t size)
{
	struct buf text = BUF_INIT(RECEIPT_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	int fd = input_fd(bytes, size);
	struct error err = ERROR_INIT;
	struct receipt r;
	struct held held;
	uint32_t i;

	if (receipt_read(fd, &text, &signature, &r, &held, &err) == 0) {
		for (i = 0; i < held.count; i++)
			assert(held_find(&held, held.list[i]));
		write_again(&r, buf_slice(&text), buf_slice(&signature), &held);
	} else {
		assert(err.kind != ERR_NONE && held.list == NULL);
	}
	receipt_release(&r);
	held_release(&held);
	buf_release(&text);
	buf_release(&signature);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes;

	if (size == 0 || data[0] == '{') {
		check_text(slice_of(data, size));
		return 0;
	}
	bytes = malloc(size);
	assert(bytes != NULL);
	memcpy(bytes, data, size);
	if (data[0] & 1)
		mend_checksums(bytes + 1, size - 1);
	check_archive(bytes + 1, size - 1);
	free(bytes);
	return 0;
}
