/* Key files: what parses and opens is written again and gives the same key. Dear passphrases are not worked on. */
#include <stdlib.h>

#include "crypto/keyfile_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct keyfile_parts *p, const struct seckey *k)
{
	struct buf text = BUF_SECRET(KEYFILE_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct keyfile_parts again;

	/* The most that fits a file is more than the most that we write: its layout is ours, with white space. */
	if (keyfile_put(&text, &p->info, k, SLICE_EMPTY, p->cost, &err) == 0) {
		if (keyfile_parse(&again, buf_slice(&text), &err) < 0 ||
		    !pubkey_equal(&again.info.pub, &p->info.pub) || strcmp(again.info.comment, p->info.comment) != 0)
			abort();
		keyfile_parts_release(&again);
	} else if (err.kind != ERR_LIMIT) {
		abort();
	}
	buf_release(&text);
}

/* A key in a token: no module is loaded for a fuzzer. */
static void write_token_again(const struct keyfile_parts *p)
{
	struct buf text = BUF_INIT(KEYFILE_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct keyfile_parts again;

	if (keyfile_put_token(&text, &p->info, &err) == 0) {
		if (keyfile_parse(&again, buf_slice(&text), &err) < 0 || strcmp(again.info.uri, p->info.uri) != 0 ||
		    again.info.sealed != p->info.sealed)
			abort();
		keyfile_parts_release(&again);
	} else if (err.kind != ERR_LIMIT) {
		abort();
	}
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct keyfile_parts p;
	struct seckey *k;

	if (size > KEYFILE_SIZE_MAX || crypto_start(&err) < 0 || keyfile_parse(&p, slice_of(data, size), &err) < 0)
		return 0;
	if (keyfile_is_token(&p.info)) {
		write_token_again(&p);
	} else if (!p.info.sealed || (p.cost.ops == 1 && p.cost.mem <= 65536)) {
		k = keyfile_unseal(&p, SLICE_LIT("fuzz"), &err);
		if (k != NULL)
			write_again(&p, k);
		seckey_free(k);
	}
	keyfile_parts_release(&p);
	return 0;
}
