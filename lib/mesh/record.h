/*
 * Records: what a node says of itself, signed, and carried by anybody (meshanics-mesh-protocol(7), "Records").
 * The bytes are kept and passed on as they came; this is what they say.
 */
#ifndef MESHANICS_MESH_RECORD_H
#define MESHANICS_MESH_RECORD_H

#include "mesh/endpoint.h"
#include "mesh/key.h"

#define RECORD_LEN_MAX 1000	/* fits into every handshake */
#define RECORD_LEN_MIN 160
#define MESH_NAME_MAX 63	/* a DNS label */
#define RECORD_ENDPOINTS_MAX 16
#define RECORD_FORWARDS_MAX 64
#define RECORD_COUNTS_S (30 * 86400)	/* so long after its node was last heard of */
#define RECORD_NAMED_UNKNOWN UINT32_MAX

/* Bits of `ciphers`. */
#define CIPHER_CHACHA20_POLY1305 1u	/* always set */
#define CIPHER_AES256_GCM 2u
/* Bits of `flags`; a reader ignores the others. */
#define RECORD_RELAYS 1u	/* passes datagrams on for members */

enum endpoint_kind {
	ENDPOINT_OWN = 1,	/* of an interface */
	ENDPOINT_OBSERVED = 2,	/* peers see the node there */
	ENDPOINT_MAPPED = 3,	/* a router was asked for it */
	ENDPOINT_CONFIGURED = 4,/* an operator wrote it */
	ENDPOINT_RELAY = 5,	/* of a relay at which the node's tag is registered */
};

struct record_endpoint {
	uint8_t kind;		/* enum endpoint_kind; others are kept, and used for nothing */
	struct endpoint at;
};

struct record_forward {
	uint8_t ordinal;	/* of the claim whose block it lives in */
	uint8_t slot;		/* SLOT_FORWARD_MIN to _MAX */
	uint32_t named_s;	/* when it took its name, seconds after the network's creation */
	char name[MESH_NAME_MAX + 1];
};

struct mesh_record {
	uint8_t sign_public[32], static_public[32];
	uint8_t id[NODE_ID_LEN];	/* derived from both */
	uint64_t sequence;	/* from 1; only the node raises it */
	uint32_t boot_epoch;
	int64_t made_at_s;	/* by the node's clock, for people */
	uint8_t ciphers, flags;
	uint32_t named_s;
	char name[MESH_NAME_MAX + 1];
	struct claim claims[CLAIMS_MAX];	/* ordinals ascend */
	size_t claims_count;
	struct record_endpoint endpoints[RECORD_ENDPOINTS_MAX];	/* best first */
	size_t endpoints_count;
	struct record_forward forwards[RECORD_FORWARDS_MAX];
	size_t forwards_count;
};

/* A name in the mesh: 1 to 63 of a-z 0-9 and hyphens, neither first nor last a hyphen. ERR_MALFORMED. */
WARN_UNUSED int mesh_name_check(struct slice name, const char *what, struct error *err);

/*
 * Sign r as the record of `key` and append it to out; keys and id in r are ignored. ERR_LIMIT when it is longer than
 * RECORD_LEN_MAX (the hint says what to leave out); ERR_MALFORMED when record_parse would not take it.
 */
WARN_UNUSED int record_put(struct buf *out, const struct mesh_record *r, const struct nodekey *key,
			   const struct addressing *a, struct error *err);
/* The bytes that r makes, its signature with them: more than RECORD_LEN_MAX are refused. */
size_t record_length(const struct mesh_record *r);
/* What one endpoint takes of it. */
size_t record_endpoint_length(const struct record_endpoint *e);
/*
 * Read a record and verify its signature for the network of `a`. Endpoints are usable, and none lies inside the
 * network; each forward is of a claimed block, and no two share a place or a name. Whether claims are valid or win
 * is claims.h. Keeps nothing of bytes. ERR_MALFORMED, ERR_LIMIT for its form, ERR_REFUSED for the signature.
 */
WARN_UNUSED int record_parse(struct mesh_record *r, struct slice bytes, const struct addressing *a, struct error *err);
/* The same of bytes whose signature has been verified before: it is not again. */
WARN_UNUSED int record_read(struct mesh_record *r, struct slice bytes, const struct addressing *a, struct error *err);
/*
 * A look at a record without its signature: id, sequence and epoch, to tell whether it is worth verifying.
 * -1 when it is too short, too long, or of another version.
 */
WARN_UNUSED int record_peek(struct slice bytes, uint8_t id[static NODE_ID_LEN], uint64_t *sequence, uint32_t *boot_epoch);
/* The 8 bytes that stand for (node, sequence) in a digest; a bucket's digest is their exclusive or. */
uint64_t record_digest(const uint8_t id[static NODE_ID_LEN], uint64_t sequence);

#endif
