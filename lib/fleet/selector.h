/*
 * Which devices a rollout is for. A selector is a JSON object with at least one of
 *
 *	"all": true
 *	"devices": ["press-3", ...]	one of these names, at most SELECTOR_DEVICES_MAX
 *	"tags": ["line-2", "canary"]	has every one of these tags, at most 32
 *	"where": "EXPRESSION"		holds for the device's hardware profile, at most 1024 bytes
 *
 * "all" stands alone; the others narrow each other: all that are given must hold. Expressions:
 *
 *	expression = and { "or" and }
 *	and        = not { "and" not }
 *	not        = [ "not" ] ( "(" expression ")" | test )
 *	test       = KEY OPERATOR VALUE
 *	KEY        = name | tag | agent | hostname | model | soc | arch | os | os_version | kernel |
 *		     accelerator | memory_mb | cores
 *	OPERATOR   = "=" | "!=" and, for memory_mb and cores, also "<" | "<=" | ">" | ">="
 *	VALUE      = letters, digits and ._+:/- , or any printable text in double quotes
 *
 * A test of something that the device did not say is false, with "!=" as well: what is not known is not
 * selected. tag and accelerator test whether the device has such a one. At most SELECTOR_NODES_MAX tests and words.
 */
#ifndef MESHANICS_FLEET_SELECTOR_H
#define MESHANICS_FLEET_SELECTOR_H

#include "base/json.h"

#define SELECTOR_TEXT_MAX 65536
#define SELECTOR_DEVICES_MAX 1000
#define SELECTOR_TAGS_MAX 32
#define SELECTOR_WHERE_MAX 1024
#define SELECTOR_NODES_MAX 64

struct selector;

/* A device, as a selector sees it; all borrowed. */
struct selector_subject {
	struct slice name;
	struct slice tags;		/* joined by commas */
	struct json_value profile;	/* as devices.h stores it; JSON_NONE: unknown */
};

/* From the JSON above; copies what it keeps. NULL with ERR_USAGE or ERR_MALFORMED: what is wrong, and where. */
WARN_UNUSED struct selector *selector_parse(struct json_value v, struct error *err);
WARN_UNUSED struct selector *selector_parse_text(struct slice text, struct error *err);
void selector_free(struct selector *s);	/* NULL is fine */
/* The i-th device it names, or NULL after the last. */
const char *selector_device(const struct selector *s, unsigned i);
bool selector_matches(const struct selector *s, const struct selector_subject *d);

#endif
