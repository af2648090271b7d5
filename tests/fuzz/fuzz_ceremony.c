/* A request and, after a line with "---", an answer to it: read, told in words, counted, never finished by chance. */
#include <stdlib.h>

#include "tuf/ceremony.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct ceremony *c, struct slice answer)
{
	struct buf out = BUF_INIT(1u << 24);
	struct error err = ERROR_INIT;
	unsigned i;

	ceremony_statement(&out, c, 1800000000);
	if (ceremony_add_answer(c, answer, NULL, &err) == 0 &&
	    ceremony_add_answer(c, answer, NULL, &err) == 0)
		abort();	/* one key, counted twice */
	for (i = 0; ceremony_complete(c, &err) == 0 && i < ceremony_document_count(c); i++) {
		buf_clear(&out);
		/* What is complete verifies, unless it has expired. */
		if (ceremony_finish(c, i, 0, &out, &err) < 0)
			abort();
	}
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_of(data, size);
	const uint8_t *cut = size == 0 ? NULL : memmem(data, size, "\n---\n", 5);
	size_t at = cut == NULL ? size : (size_t)(cut - data);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	if (crypto_start(&err) < 0)
		abort();
	if ((c = ceremony_parse(slice_sub(all, 0, at), &err)) != NULL)
		use(c, slice_sub(all, at + 5, SIZE_MAX));
	ceremony_free(c);
	return 0;
}
