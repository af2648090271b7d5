/*
 * Delegations of a targets file: which roles it trusts for which paths, in the order of the file, and by which keys.
 * Three forms: `paths` (patterns in which * and ? never cross a slash), `path_hash_prefixes` (hex SHA-256 of the
 * path) and `succinct_roles` (TAP 15: hash bins, always terminating). Read from the tape at each use.
 */
#ifndef MESHANICS_TUF_DELEGATION_H
#define MESHANICS_TUF_DELEGATION_H

#include "tuf/metadata.h"

/* One delegated role as its delegator lists it. */
struct tuf_delegation {
	char name[TUF_ROLE_NAME_MAX + 1];
	bool terminating;
	struct json_value entry;	/* keyids and threshold: the role's, or succinct_roles */
};

/* The delegations are well-formed (called by tuf_targets_parse): key ids fit, names valid and distinct, one form each. */
WARN_UNUSED int tuf_delegations_check(struct json_value delegations, struct error *err);

/* Walks the roles that may say something about `path`, in order: for (it = ...; tuf_delegation_next(&it, &d); ) */
struct tuf_delegation_iter {
	const struct tuf_targets *delegator;
	struct slice path;	/* borrowed; with a NULL ptr every role is walked (bins too) */
	struct json_iter roles;
	uint64_t bin, bins;
	uint8_t hash[SHA256_LEN];
};
struct tuf_delegation_iter tuf_delegation_iter(const struct tuf_targets *delegator, struct slice path);
bool tuf_delegation_next(struct tuf_delegation_iter *it, struct tuf_delegation *out);

/*
 * Of the name of a hash bin as repositories of ours have it, PUBLISHER-bin-HEX, the part PUBLISHER-bin; empty for any
 * other name.
 */
struct slice tuf_bin_prefix(struct slice role);

/* The keys and threshold of a delegation, from the tape of its delegator. Release with tuf_role_release. */
WARN_UNUSED int tuf_delegation_role(const struct tuf_targets *delegator, const struct tuf_delegation *d,
				    struct tuf_role *out, struct error *err);

/* The pattern covers the path: part by part between slashes; `*` any run, `?` one character, the rest literally. */
bool tuf_pattern_match(struct slice pattern, struct slice path);

#endif
