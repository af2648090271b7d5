/* What the parser of expressions and the matcher of selectors share. */
#ifndef MESHANICS_FLEET_SELECTOR_INTERNAL_H
#define MESHANICS_FLEET_SELECTOR_INTERNAL_H

#include "fleet/selector.h"

enum node_type { NODE_AND, NODE_OR, NODE_NOT, NODE_TEST };
enum operator_type { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

/* KEY_NAME and KEY_TAG come from the row, the rest from the hardware profile. */
enum key_type { KEY_NAME, KEY_TAG, KEY_TEXT, KEY_LIST, KEY_NUMBER };
struct key {
	const char *word, *member;	/* in the expression, in the profile */
	enum key_type type;
};

struct node {
	enum node_type type;
	unsigned a, b;		/* children: indexes below this node's own */
	const struct key *key;	/* of a test */
	enum operator_type op;
	struct slice value;	/* within the selector's own copy of the text */
	int64_t number;
};

struct selector {
	bool all;
	char **devices;		/* sorted */
	unsigned device_count;
	char *tags[SELECTOR_TAGS_MAX];
	unsigned tag_count;
	char *where;		/* NULL: none */
	struct node nodes[SELECTOR_NODES_MAX];
	unsigned node_count;	/* the root is the last */
};

/* Copy text into s->where and its tests and words into s->nodes. ERR_USAGE with the place. */
WARN_UNUSED int selector_parse_where(struct selector *s, struct slice text, struct error *err);

#endif
