/*
 * Members that are not there: writes N records of new nodes, each signed and with a block of its own, in the form of a
 * network's file `records`, to standard output.
 *
 *	meshrecords KEY-FILE N >HOME/mesh/networks/ID/records
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/key.h"
#include "mesh/claims.h"
#include "mesh/record.h"
#include "mesh/store.h"

static struct error err;

static void fail(const char *what)
{
	fprintf(stderr, "meshrecords: %s: %s\n", what, err.text);
	exit(1);
}

static void make(struct buf *out, struct claims *claims, const struct addressing *a, unsigned number)
{
	struct mesh_record r = {.sequence = 1, .boot_epoch = 1, .ciphers = CIPHER_CHACHA20_POLY1305, .claims_count = 1,
				.endpoints_count = 1, .made_at_s = time(NULL)};
	struct buf bytes = BUF_INIT(RECORD_LEN_MAX);
	struct nodekey key;

	nodekey_generate(&key);
	snprintf(r.name, sizeof(r.name), "member-%u", number);
	r.endpoints[0] = (struct record_endpoint){ENDPOINT_OWN, {ENDPOINT_V4, {192, 0, 2, (uint8_t)(number % 250 + 1)}, 7784}};
	if (claims_choose(claims, key.id, 0, time(NULL), &r.claims[0], &err) < 0 ||
	    claims_set(claims, key.id, r.claims, 1, &err) < 0 || record_put(&bytes, &r, &key, a, &err) < 0)
		fail("a record");
	records_put(out, buf_slice(&bytes));
	buf_release(&bytes);
}

int main(int argc, char **argv)
{
	struct buf out = BUF_INIT(RECORDS_FILE_MAX);
	struct addressing a;
	struct claims *claims;
	struct netkey k;
	char text[512];
	size_t n;
	FILE *f;

	if (argc != 3 || (f = fopen(argv[1], "r")) == NULL)
		return 2;
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (crypto_start(&err) < 0 || netkey_parse(&k, slice_of((const uint8_t *)text, n), &err) < 0)
		fail(argv[1]);
	addressing_init(&a, k.id, &k.range, k.created_s);
	claims = claims_new(&a);
	for (unsigned i = 0; i < strtoul(argv[2], NULL, 10); i++)
		make(&out, claims, &a, i);
	fwrite(out.ptr, 1, out.len, stdout);
	claims_free(claims);
	buf_release(&out);
	return 0;
}
