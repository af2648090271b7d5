/* The labelled hash of the mesh, plain and keyed. */
#include "mesh/bytes.h"

#include <sodium.h>

static void hash(uint8_t *out, const uint8_t *key, size_t key_len, const char *label, const struct slice *parts, size_t n)
{
	static const char context[] = "meshanics-mesh-1 ";
	crypto_generichash_blake2b_state state;
	size_t i;

	crypto_generichash_blake2b_init(&state, key, key_len, MESH_HASH_LEN);
	crypto_generichash_blake2b_update(&state, (const uint8_t *)context, sizeof(context) - 1);
	crypto_generichash_blake2b_update(&state, (const uint8_t *)label, strlen(label) + 1);
	for (i = 0; i < n; i++) {
		if (parts[i].len > 0)
			crypto_generichash_blake2b_update(&state, parts[i].ptr, parts[i].len);
	}
	crypto_generichash_blake2b_final(&state, out, MESH_HASH_LEN);
	sodium_memzero(&state, sizeof(state));
}

void mesh_hash(uint8_t out[static MESH_HASH_LEN], const char *label, const struct slice *parts, size_t n)
{
	hash(out, NULL, 0, label, parts, n);
}

void mesh_keyed_hash(uint8_t out[static MESH_HASH_LEN], const uint8_t key[static 32], const char *label,
		     const struct slice *parts, size_t n)
{
	hash(out, key, 32, label, parts, n);
}
