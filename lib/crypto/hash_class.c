/* The methods of BearSSL's hash classes around hash.h. */
#include "crypto/hash_class.h"

#include <string.h>

#include "crypto/hash.h"

struct context {
	const br_hash_class *vtable;	/* first: BearSSL finds us by it */
	struct sha256 h;
};
/* BearSSL reserves room for its own contexts. */
_Static_assert(sizeof(struct context) <= sizeof(br_sha256_context), "the context of our SHA-256 is too large");

static void class_init(const br_hash_class **ctx)
{
	struct context *c = (struct context *)(void *)ctx;

	c->vtable = &sha256_class;
	sha256_init(&c->h);
}

static void class_update(const br_hash_class **ctx, const void *data, size_t len)
{
	sha256_update(&((struct context *)(void *)ctx)->h, data, len);
}

/* The context goes on after it. */
static void class_out(const br_hash_class *const *ctx, void *dst)
{
	struct sha256 copy = ((const struct context *)(const void *)ctx)->h;

	sha256_final(&copy, dst);
}

static uint64_t class_state(const br_hash_class *const *ctx, void *dst)
{
	const struct sha256 *h = &((const struct context *)(const void *)ctx)->h;
	uint8_t *out = dst;
	unsigned i;

	for (i = 0; i < SHA256_LEN; i++)
		out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
	return h->total;
}

/* count is a multiple of the block's length: no bytes wait for the rest of their block. */
static void class_set_state(const br_hash_class **ctx, const void *stb, uint64_t count)
{
	struct sha256 *h = &((struct context *)(void *)ctx)->h;
	const uint8_t *in = stb;
	unsigned i;

	for (i = 0; i < SHA256_LEN; i++)
		h->state[i / 4] = h->state[i / 4] << 8 | in[i];
	h->total = count;
}

const br_hash_class sha256_class = {
	.context_size = sizeof(struct context),
	.desc = BR_HASHDESC_ID(br_sha256_ID) | BR_HASHDESC_OUT(SHA256_LEN) | BR_HASHDESC_STATE(SHA256_LEN) |
		BR_HASHDESC_LBLEN(6) | BR_HASHDESC_MD_PADDING | BR_HASHDESC_MD_PADDING_BE,
	.init = class_init,
	.update = class_update,
	.out = class_out,
	.state = class_state,
	.set_state = class_set_state,
};
