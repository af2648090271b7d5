/* Pieces that several kinds of metadata share: key tables, role entries, hashes. For the parsers of lib/tuf alone. */
#ifndef MESHANICS_TUF_METADATA_PARTS_H
#define MESHANICS_TUF_METADATA_PARTS_H

#include "tuf/metadata.h"

/* `keys`: every entry is a key object whose id is its name. ERR_MALFORMED otherwise, ERR_LIMIT for too many. */
WARN_UNUSED int tuf_key_table_check(struct json_value keys, struct error *err);
/* The shape of {keyids: [...], threshold: n}, without looking at each id. */
WARN_UNUSED int tuf_role_check(struct json_value entry, struct error *err);
/*
 * Roles read before, out of tables checked as well. The id of a key is the hash of its object, so a key that is found
 * here by its id need not be read and checked again, which for an Ed25519 key costs as much as a signature.
 */
struct tuf_known_keys {
	const struct tuf_role *list[2 * TUF_TYPES];
	unsigned count;
};
/*
 * Such an entry with its keys out of a checked table. Ids are 64 hex digits and distinct; one that the table does
 * not have stays in the role as an unusable key. known: NULL for none. Release out with tuf_role_release.
 */
WARN_UNUSED int tuf_role_parse(struct tuf_role *out, struct json_value entry, struct json_value keys,
			       const struct tuf_known_keys *known, struct error *err);
/* A `hashes` object: not empty, strings, well-formed where the kind is known. */
WARN_UNUSED int tuf_hashes_parse(struct tuf_hashes *out, struct json_value hashes, struct error *err);
/* What every name must be: 1..max bytes without control characters. what: the word for the error. */
WARN_UNUSED int tuf_name_bytes_check(struct slice name, size_t max, const char *what, struct error *err);

#endif
