/*
 * Keys of the mesh: a network's key with the subkeys of its generation, the owner's key, and a node's own
 * (meshanics-mesh-protocol(7), "Keys"). Text forms are a prefix, base64url, and a checksum against typing errors.
 */
#ifndef MESHANICS_MESH_KEY_H
#define MESHANICS_MESH_KEY_H

#include "base/buf.h"
#include "base/error.h"
#include "mesh/address.h"

#define NETKEY_SECRET_LEN 32
#define NETKEY_NAME_MAX 48	/* bytes of UTF-8 */
#define NETKEY_FIXED_LEN 106	/* with the length of the name */
#define NETKEY_BYTES_MAX (NETKEY_FIXED_LEN + NETKEY_NAME_MAX)
#define NETKEY_TEXT_MAX 215	/* without NUL */
#define KEY_TEXT_MAX 100	/* of the owner's and a node's key, without NUL */
#define MESH_TIME_MAX 253402300799	/* seconds: the end of the year 9999 */

struct netkey {
	uint8_t id[NETWORK_ID_LEN];
	uint32_t generation;	/* from 1 */
	int64_t created_s;	/* of the network, the same in all generations */
	int64_t expires_s;	/* of this generation; 0: never */
	struct range range;
	uint8_t secret[NETKEY_SECRET_LEN];
	uint8_t owner[32];	/* Ed25519 */
	char name[NETKEY_NAME_MAX + 1];
};

/* What one generation's secret is split into: each has one use. */
struct subkeys {
	uint8_t psk[32];	/* Noise */
	uint8_t outer[32];	/* seals all datagrams but those of sessions */
	uint8_t mask[16];	/* masks headers */
	uint8_t rv[32];		/* tags at relays */
};

/* The pair that signs stay lists and thereby decides who stays. */
struct ownerkey {
	uint8_t network_id[NETWORK_ID_LEN];
	uint8_t seed[32];
	uint8_t public[32];
};

/* A node in one network. */
struct nodekey {
	uint8_t sign_seed[32];
	uint8_t sign_public[32];	/* Ed25519: its records */
	uint8_t static_secret[32];
	uint8_t static_public[32];	/* X25519: its handshakes */
	uint8_t id[NODE_ID_LEN];
};

/*
 * A new network, generation 1: random id and secret, a new owner. name: 1 to NETKEY_NAME_MAX bytes of printable UTF-8.
 * ERR_USAGE for a bad name or an expiry that is not after created_s; what range_check says.
 */
WARN_UNUSED int netkey_generate(struct netkey *k, struct ownerkey *owner, struct slice name, const struct range *range,
				int64_t created_s, int64_t expires_s, struct error *err);
/* The generation after `now`, with a new secret. ERR_LIMIT when there is none. */
WARN_UNUSED int netkey_next(struct netkey *next, const struct netkey *now, int64_t expires_s, struct error *err);
/* "mrk1...", white space around it allowed. ERR_MALFORMED for everything that netkey_put would not write. */
WARN_UNUSED int netkey_parse(struct netkey *k, struct slice text, struct error *err);
void netkey_put(struct buf *secret_out, const struct netkey *k);
/* The bytes inside, without the checksum: what a rotation carries. decode takes exactly what encode makes. */
void netkey_encode(struct buf *secret_out, const struct netkey *k);
WARN_UNUSED int netkey_decode(struct netkey *k, struct slice bytes, struct error *err);
/* Whether both are of one network: id, creation, range and owner. Two keys with one id that are not are a trap. */
bool netkey_same_network(const struct netkey *a, const struct netkey *b);
void netkey_subkeys(struct subkeys *out, const struct netkey *k);
/* What stays public of a generation: H("generation", key bytes with the secret). A stay list names it. */
void netkey_commitment(uint8_t out[static 32], const struct netkey *k);

/* "mro1...": the file owner.key. */
WARN_UNUSED int ownerkey_parse(struct ownerkey *k, struct slice text, struct error *err);
void ownerkey_put(struct buf *secret_out, const struct ownerkey *k);

void nodekey_generate(struct nodekey *k);
/* "mrn1...": the file node.key. */
WARN_UNUSED int nodekey_parse(struct nodekey *k, struct slice text, struct error *err);
void nodekey_put(struct buf *secret_out, const struct nodekey *k);
/* H("node", both public keys), the first 16 bytes. */
void node_id_of(uint8_t id[static NODE_ID_LEN], const uint8_t sign_public[static 32],
		const uint8_t static_public[static 32]);

/* All of these wipe what is secret. */
void netkey_wipe(struct netkey *k);
void subkeys_wipe(struct subkeys *k);
void ownerkey_wipe(struct ownerkey *k);
void nodekey_wipe(struct nodekey *k);

#endif
