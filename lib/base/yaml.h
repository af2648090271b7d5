/*
 * Configuration from YAML, strictly. A file is read once into a flat list of dotted keys, checked
 * against a table of the keys that may occur. What could surprise is refused: anchors, aliases, tags,
 * more than one document, duplicate keys, unknown keys (with the nearest known one), values of the
 * wrong type. Errors begin with file:line:column.
 *
 *	serve:
 *	  listen:
 *	    api: "127.0.0.1:9443"	key "serve.listen.api", a scalar
 *	  public_names: [a, b]		key "serve.public_names", a list
 *	meshlan:
 *	  forwards:			key "meshlan.forwards", a list of maps
 *	    - {name: a, target: b}
 *
 * Limits: 64 KiB a file, depth 16, 1024 keys, 1024 values a list, 8 members a map.
 */
#ifndef MESHANICS_BASE_YAML_H
#define MESHANICS_BASE_YAML_H

#include "base/buf.h"
#include "base/error.h"

#define YAML_FILE_MAX (64u << 10)	/* bytes */
#define YAML_DEPTH_MAX 16
#define YAML_LIST_MAX 1024
#define YAML_ENTRIES_MAX 1024
#define YAML_KEY_MAX 255		/* bytes of a dotted key */
#define YAML_MEMBERS_MAX 8		/* of a map in a list */

enum yaml_type {
	YAML_STRING,	/* any scalar but null, as it stands */
	YAML_INT,	/* decimal without leading zeros, not quoted, in min..max (both 0: any int64_t) */
	YAML_BOOL,	/* true or false, and nothing else that YAML 1.1 took for one */
	YAML_LIST,	/* of scalars; a single scalar counts as a list of one */
	YAML_MAPS,	/* a list of maps, whose members are scalars: see yaml_key.members */
	YAML_DURATION,	/* "90d", as duration_parse in base/timefmt.h */
	YAML_SIZE,	/* "512K", as size_parse */
};

/* A key that may occur. The table ends with key == NULL. */
struct yaml_key {
	const char *key;	/* "serve.listen.api"; a part "*" takes any one name: "relay.upstream.*" */
	enum yaml_type type;
	int64_t min, max;	/* YAML_INT, YAML_DURATION, YAML_SIZE; both 0: any */
	/*
	 * YAML_MAPS: what each map may hold, ends with NULL; the first `needed` of them it must. Its value is their values
	 * in this order with '=' between, "a=b"; those that are absent at the end are left out, others are empty. What is
	 * there is not empty, and none but the last may have '=' in it.
	 */
	const char *const *members;
	unsigned needed;
};

/* A place in the file, from 1. */
struct yaml_mark {
	unsigned line, column;
};

/* A value that did occur, in the order of the file. All text is owned by the document and terminated. */
struct yaml_entry {
	const char *key;		/* dotted, as written */
	const struct yaml_key *known;	/* its row in the table */
	const char *const *values;	/* `count` of them; one for everything but a list */
	unsigned count;
	const struct yaml_mark *marks;	/* where each of them is */
	int64_t number;			/* YAML_INT, YAML_DURATION (seconds), YAML_SIZE (bytes), YAML_BOOL (0, 1) */
	unsigned line, column;		/* of the value, from 1 */
};

struct yaml {
	struct yaml_entry *entries;
	unsigned count;
};

#define YAML_INIT ((struct yaml){NULL, 0})

/*
 * Parse text against the table. file: the word for it in errors. An empty text, or one of comments alone,
 * has no entries. keys must outlive the document. -1: ERR_MALFORMED or ERR_LIMIT,
 * "config.yaml:3:5: unknown key 'serve.listn'", hint "did you mean 'serve.listen'?".
 */
WARN_UNUSED int yaml_parse(struct yaml *doc, struct slice text, const char *file, const struct yaml_key *keys,
			   struct error *err);
void yaml_release(struct yaml *doc);	/* safe on a zeroed or released document */

/* The entry of a dotted key, or NULL when the file does not have it. */
const struct yaml_entry *yaml_find(const struct yaml *doc, const char *key);

#endif
