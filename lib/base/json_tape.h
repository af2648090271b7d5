/*
 * The tape of a parsed document, private to json*.c: nodes in document order, a container before its
 * content, a key before its value. Positions are 32-bit, so a text is capped at JSON_TEXT_MAX.
 */
#ifndef MESHANICS_BASE_JSON_TAPE_H
#define MESHANICS_BASE_JSON_TAPE_H

#include "base/json.h"

#define JSON_BORROWED UINT32_MAX

struct json_node {
	uint32_t start;		/* of the value in the text */
	uint32_t type : 4;	/* enum json_type */
	uint32_t raw_len : 28;	/* bytes of the value in the text */
	union {
		struct {
			uint32_t next;	/* arrays, objects: the node after the whole container */
			uint32_t count : 30;	/* elements or members */
			uint32_t canonical : 1;	/* the text of the value is its canonical form */
			uint32_t folded : 1;	/* the content has been checked and dropped from the tape */
		};
		struct {
			uint32_t offset;	/* strings: in doc->unescaped, or JSON_BORROWED */
			uint32_t len;		/* without quotes and escapes */
		};
		int64_t integer;
		double real;
		bool truth;
	};
};
_Static_assert(sizeof(struct json_node) == 16, "a tape of 16-byte nodes");

/* The node after the value at `at`: its next sibling, or the end of its parent. */
static inline uint32_t json_after(const struct json *doc, uint32_t at)
{
	const struct json_node *n = &doc->nodes[at];

	return n->type == JSON_ARRAY || n->type == JSON_OBJECT ? n->next : at + 1;
}

/* The decoded bytes of the string at `at`. */
static inline struct slice json_text_at(const struct json *doc, uint32_t at)
{
	const struct json_node *n = &doc->nodes[at];

	if (n->offset == JSON_BORROWED)
		return slice_of(doc->text.ptr + n->start + 1, n->len);
	return slice_of(doc->unescaped.ptr + n->offset, n->len);
}

/*
 * The key nodes of the object at `at`, in the order of their bytes. keys has room for its members.
 * Never quadratic, whatever the keys are.
 */
void json_sorted_keys(const struct json *doc, uint32_t at, uint32_t *keys);

#endif
