/*
 * Who stays: the list that the owner signs for a new generation, and the rotation that carries it together with the new
 * key to a member (meshanics-mesh-protocol(7), "Rotation").
 */
#ifndef MESHANICS_MESH_STAY_H
#define MESHANICS_MESH_STAY_H

#include "mesh/key.h"

#define STAY_IDS_MAX 8192
#define STAY_FIXED_LEN 65	/* before the ids */
#define STAY_LEN_MAX (STAY_FIXED_LEN + STAY_IDS_MAX * NODE_ID_LEN + 64)
#define ROTATION_LEN_MAX (2 + NETKEY_BYTES_MAX + STAY_LEN_MAX)

/* A list that has been read; ids is borrowed from the bytes. */
struct staylist {
	uint8_t network_id[NETWORK_ID_LEN];
	uint32_t generation;	/* the new one */
	int64_t made_at_s;
	uint8_t commitment[32];	/* netkey_commitment of the new key */
	const uint8_t *ids;	/* count of NODE_ID_LEN bytes, ascending, no two alike */
	size_t count;
};

/*
 * Append the signed list for `next` to out. ids: count of them, in any order, doubles allowed; not kept. ERR_LIMIT for
 * more than STAY_IDS_MAX; ERR_REFUSED when `owner` is not the owner of `next`.
 */
WARN_UNUSED int staylist_put(struct buf *out, const struct netkey *next, const struct ownerkey *owner,
			     const uint8_t (*ids)[NODE_ID_LEN], size_t count, int64_t made_at_s, struct error *err);
/*
 * Read and verify a list under the key of any generation of the network. ERR_MALFORMED for its form; ERR_REFUSED when it
 * is of another network, or its signature is not the owner's.
 */
WARN_UNUSED int staylist_parse(struct staylist *s, struct slice bytes, const struct netkey *have, struct error *err);
bool staylist_has(const struct staylist *s, const uint8_t node[static NODE_ID_LEN]);

/* The new key, then the list; secret. */
void rotation_put(struct buf *secret_out, const struct netkey *next, struct slice staylist);
/*
 * What a member makes of a rotation: next gets the new key, list (borrowed from bytes) who stays. ERR_REFUSED: another
 * network, not newer than `have`, not signed by the owner, a key that the list does not name, or `self` is not on
 * the list. ERR_MALFORMED for its form.
 */
WARN_UNUSED int rotation_parse(struct netkey *next, struct staylist *list, struct slice bytes,
			       const struct netkey *have, const uint8_t self[static NODE_ID_LEN], struct error *err);

#endif
