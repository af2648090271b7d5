/* Records: the input is a body that this program signs, so that what is behind the signature is reached; and bare input. */
#include <sodium.h>
#include <stdlib.h>

#include "crypto/key.h"
#include "mesh/claims.h"
#include "mesh/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read and is written by another node says the same. */
static void again(const struct mesh_record *r, const struct addressing *a)
{
	struct buf out = BUF_INIT(RECORD_LEN_MAX);
	struct error err = ERROR_INIT;
	struct mesh_record back;
	struct nodekey key;

	nodekey_generate(&key);
	if (record_put(&out, r, &key, a, &err) < 0 || record_parse(&back, buf_slice(&out), a, &err) < 0)
		abort();
	if (back.sequence != r->sequence || back.claims_count != r->claims_count ||
	    back.endpoints_count != r->endpoints_count || back.forwards_count != r->forwards_count ||
	    memcmp(back.claims, r->claims, sizeof(r->claims)) != 0 ||
	    memcmp(back.forwards, r->forwards, sizeof(r->forwards)) != 0 || strcmp(back.name, r->name) != 0)
		abort();
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t network[NETWORK_ID_LEN] = {7}, seed[32] = {9};
	struct range range = {.v4 = 0xc6122000, .prefix = 19};
	uint8_t whole[2048], public[32], secret[64], record[RECORD_LEN_MAX], id[NODE_ID_LEN];
	struct error err = ERROR_INIT;
	struct addressing a;
	struct mesh_record r;
	struct claims *c;
	uint64_t sequence;
	uint32_t epoch;

	if (crypto_start(&err) < 0 || size < 33)
		return 0;
	addressing_init(&a, network, &range, 1795843200);
	if (record_parse(&r, slice_of(data, size), &a, &err) == 0)
		abort();	/* nobody forges a signature here */
	(void)!record_peek(slice_of(data, size), id, &sequence, &epoch);
	if (size + 64 > RECORD_LEN_MAX)
		return 0;
	crypto_sign_seed_keypair(public, secret, seed);
	memcpy(record, data, size);
	memcpy(record + 1, public, 32);
	memcpy(whole, "meshanics-mesh-1 record", 24);
	memcpy(whole + 24, network, 16);
	memcpy(whole + 40, record, size);
	crypto_sign_detached(record + size, NULL, whole, 40 + size, secret);
	if (record_parse(&r, slice_of(record, size + 64), &a, &err) < 0)
		return 0;
	if (record_peek(slice_of(record, size + 64), id, &sequence, &epoch) < 0 || memcmp(id, r.id, sizeof(id)) != 0 ||
	    sequence != r.sequence || epoch != r.boot_epoch)
		abort();
	c = claims_new(&a);
	if (claims_set(c, r.id, r.claims, r.claims_count, &err) < 0)
		abort();
	claims_free(c);
	again(&r, &a);
	return 0;
}
