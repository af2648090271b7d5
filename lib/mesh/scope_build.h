/* The scope of a node in one network, out of what the operator wrote (allow.h, forwards.h) and the blocks it claims. */
#ifndef MESHANICS_MESH_SCOPE_BUILD_H
#define MESHANICS_MESH_SCOPE_BUILD_H

#include "mesh/allow.h"
#include "mesh/forwards.h"

struct scope_parts {
	const struct allow_list *allow;
	const struct forward_list *forwards;
	const struct addressing *addressing;
	const uint8_t *node;		/* NODE_ID_LEN */
	const char *node_name;		/* for people */
	const struct claim *claims;	/* the node's own, as its record has them */
	size_t claims_count;
};

/*
 * Targets: the node, then its forwards whose block is claimed; without a claim of ordinal 0 there is none. Rules: in
 * the order of the list, callers of one and the same rule together; those to a forward that is not there wait
 * outside, their number goes to *waiting (which may be NULL). The caller frees it, or gives it to filter_set_scope.
 */
struct scope *scope_build(const struct scope_parts *p, size_t *waiting);

#endif
