/* A request and, each after a line with "---", answers to it: read, told in words, counted, never finished by chance. */
#include <stdlib.h>

#include "tuf/ceremony.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is before the next line with "---"; the rest stays. */
static struct slice next_part(struct slice *rest)
{
	const uint8_t *cut = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, "\n---\n", 5);
	size_t at = cut == NULL ? rest->len : (size_t)(cut - rest->ptr);
	struct slice part = slice_sub(*rest, 0, at);

	*rest = cut == NULL ? SLICE_EMPTY : slice_sub(*rest, at + 5, SIZE_MAX);
	return part;
}

static void use(struct ceremony *c, struct slice answers)
{
	struct buf out = BUF_INIT(1u << 24);
	struct error err = ERROR_INIT;
	unsigned i;

	ceremony_statement(&out, c, 1800000000);
	while (answers.len > 0) {
		struct slice answer = next_part(&answers);

		if (ceremony_add_answer(c, answer, NULL, &err) == 0 &&
		    ceremony_add_answer(c, answer, NULL, &err) == 0)
			abort();	/* one key, counted twice */
	}
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
	struct slice rest = slice_of(data, size);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	if (crypto_start(&err) < 0)
		abort();
	if ((c = ceremony_parse(next_part(&rest), &err)) != NULL)
		use(c, rest);
	ceremony_free(c);
	return 0;
}
