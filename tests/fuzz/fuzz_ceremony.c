/*
 * A request and, each after a line with "---", answers to it, results and transcripts: read, told in words, counted,
 * verified, never finished by chance.
 */
#include <stdlib.h>

#include "tuf/ceremony.h"

#define PARTS_MAX 16

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

	struct ceremony_way ways[CEREMONY_WAYS_MAX];
	struct ceremony_name *names;

	ceremony_statement(&out, c, 1800000000);
	if (ceremony_names(c, &names) > 65536)
		abort();
	free(names);
	while (answers.len > 0) {
		struct slice answer = next_part(&answers);

		if (ceremony_add_answer(c, answer, NULL, &err) == 0 &&
		    ceremony_add_answer(c, answer, NULL, &err) == 0)
			abort();	/* one key, counted twice */
	}
	/* Whoever is missing, somebody would be enough, unless there are too many to say or too few to be. */
	if (ceremony_ways(c, ways) > 0 && ceremony_complete(c, &err) == 0)
		abort();
	for (i = 0; ceremony_complete(c, &err) == 0 && i < ceremony_document_count(c); i++) {
		buf_clear(&out);
		/* What is complete verifies, unless it has expired. */
		if (ceremony_finish(c, i, 0, &out, &err) < 0)
			abort();
	}
	buf_release(&out);
}

static void count(void *arg, const struct ceremony_finding *f)
{
	unsigned *broken = arg;

	*broken += f->verdict == CEREMONY_BROKEN;
}

/* Every part is taken for an answer or a result, and for a transcript as well. */
static void verify(struct slice request, struct slice rest)
{
	struct ceremony_file files[PARTS_MAX];
	unsigned n = 0, broken = 0;
	struct ceremony_evidence e = {.request = {.name = "request.json", .text = request}, .files = files,
				      .transcripts = files, .tell = count, .arg = &broken};
	struct error err = ERROR_INIT;
	struct transcript_reader t;

	for (; rest.len > 0 && n < PARTS_MAX; n++)
		files[n] = (struct ceremony_file){.name = "dir/root.json", .text = next_part(&rest)};
	e.file_count = e.transcript_count = n;
	if ((ceremony_verify(&e, &err) == 0) != (broken == 0))
		abort();
	/* The first part is the root in force as well, which the others may be judged by. */
	if (n > 0) {
		e.root = files[0];
		broken = 0;
		if ((ceremony_verify(&e, &err) == 0) != (broken == 0))
			abort();
	}
	/* As a whole past: transcripts begin with the last part. */
	if (n > 1) {
		e.file_count = n - 1;
		e.transcripts = &files[n - 1];
		e.transcript_count = 1;
		broken = 0;
		if ((ceremony_verify(&e, &err) == 0) != (broken == 0))
			abort();
		transcript_start(&t, files[n - 1].text);
		while (transcript_next(&t, &err) > 0)
			;
		transcript_stop(&t);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), request = next_part(&rest);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	if (crypto_start(&err) < 0)
		abort();
	if ((c = ceremony_parse(request, &err)) != NULL)
		use(c, rest);
	verify(request, rest);
	ceremony_free(c);
	return 0;
}
