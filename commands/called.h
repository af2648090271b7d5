/* Nodes and forwards of a network as an operator writes their names: as they are shown, with the suffix, or as people do. */
#ifndef MESHANICS_COMMANDS_CALLED_H
#define MESHANICS_COMMANDS_CALLED_H

#include "commands/members.h"
#include "commands/mgmt_keys.h"

/*
 * The name that the word means in the network: "laptop" of "laptop.mesh" (meshlan_name_parse). ERR_USAGE for an address,
 * with the name behind it in the hint where it is known.
 */
WARN_UNUSED int called_name(struct cmd *cmd, const struct netstore *s, const struct network *n, const char *word,
			    char out[static MESH_NAME_MAX + 1], struct error *err);
/* The node that the word means, as members_find. */
WARN_UNUSED int called_member(struct cmd *cmd, const struct netstore *s, const struct network *n, const struct members *m,
			      const char *word, size_t *index, struct error *err);
/* A forward of this node that comes near to the name, or NULL. */
const char *called_nearest_forward(const struct network *n, const char *name);

#endif
