/* Nodes of a network as an operator names them: by the name or the id in the records that this node keeps. */
#ifndef MESHANICS_COMMANDS_MEMBERS_H
#define MESHANICS_COMMANDS_MEMBERS_H

#include "mesh/store.h"

#define MEMBER_PREFIX_MIN 4	/* digits of an id, as a word */

struct member {
	uint8_t id[NODE_ID_LEN];
	char name[MESH_NAME_MAX + 1];
};

struct members {
	struct member *all;	/* owned; neither this node nor an evicted one */
	size_t count;
	size_t left_out;	/* records that cannot be read */
	struct member self;	/* its name is empty where its own record is not kept */
};

/* Released by members_release, also after an error. */
WARN_UNUSED int members_read(const struct netstore *s, const struct network *n, struct members *m, struct error *err);
void members_release(struct members *m);

/* Does the word mean it: its name, its id, or the beginning of its id? */
bool member_is(const struct member *m, const char *word);
/* ERR_NOT_FOUND, ERR_CONFLICT when the word may mean several, ERR_REFUSED for this node; network: its name. */
WARN_UNUSED int members_find(const struct members *m, const char *network, const char *word, size_t *index,
			     struct error *err);
/* What the node of this id is called now; NULL when that is not known. */
const char *members_name(const struct members *m, const uint8_t id[static NODE_ID_LEN]);

#endif
