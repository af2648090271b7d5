/*
 * JSON (RFC 8259), strictly: UTF-8 only, no duplicate keys, no BOM, no trailing bytes but white space,
 * depth and node count capped. A document is parsed once into a tape of 16-byte nodes; strings without
 * escapes are borrowed from the text. Integers are 64-bit; fractions exist only where asked for.
 *
 * Limits: depth 64; text by the caller's cap (it hands in bytes it has already capped) and JSON_TEXT_MAX;
 * values: at most one per 2 bytes of text, and JSON_NODES_MAX. Integers fit int64_t, or the text is refused.
 */
#ifndef MESHANICS_BASE_JSON_H
#define MESHANICS_BASE_JSON_H

#include "base/buf.h"
#include "base/error.h"

#define JSON_DEPTH_MAX 64
#define JSON_NODES_MAX (32u << 20)
#define JSON_TEXT_MAX ((256u << 20) - 1)	/* bytes */

enum json_type {
	JSON_NONE = 0,	/* no such member */
	JSON_NULL,
	JSON_BOOL,
	JSON_INT,
	JSON_REAL,	/* only with JSON_FRACTIONS */
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

enum json_flags {
	JSON_STRICT = 0,
	JSON_FRACTIONS = 1 << 0,	/* 0.05 and 1e3 are JSON_REAL instead of errors */
};

struct json_node;	/* in json_tape.h */
struct json {
	struct slice text;	/* borrowed: must outlive the document */
	struct json_node *nodes;
	uint32_t count;
	struct buf unescaped;	/* strings that had escapes */
};

/* One value of a document; small, passed by value. doc == NULL: no such member (JSON_NONE). */
struct json_value {
	const struct json *doc;
	uint32_t at;
};

#define JSON_INIT ((struct json){.count = 0})

/* Parse text, which is borrowed. -1: ERR_MALFORMED or ERR_LIMIT with line, column and cause. */
WARN_UNUSED int json_parse(struct json *doc, struct slice text, unsigned flags, struct error *err);

/*
 * Parsing of texts in which one object has very many members: each is parsed in full and handed to `check`, and then
 * its content leaves the tape. What stays is the key and a folded value of two nodes in all, whose text json_raw gives.
 * A folded value has a type and a count; its members are read from a document of its own (json_unfold).
 */
struct json_fold {
	const char *const *path;	/* NULL-terminated: from the top down to the object whose members are folded */
	/* -1 with err ends the parsing. value is good during the call only. */
	int (*check)(struct slice key, struct json_value value, struct error *err);
};
WARN_UNUSED int json_parse_folded(struct json *doc, struct slice text, const struct json_fold *fold, struct error *err);
bool json_is_folded(struct json_value v);
/* The folded value's own document; out borrows the text that v's document borrows. Release it with json_release. */
WARN_UNUSED int json_unfold(struct json *out, struct json_value v, struct error *err);
void json_release(struct json *doc);	/* safe on a zeroed or released document */

struct json_value json_root(const struct json *doc);
enum json_type json_type(struct json_value v);
const char *json_type_name(enum json_type type);	/* "an object", "a string", ... */
/* The bytes of the value in the text as received, without surrounding white space. */
struct slice json_raw(struct json_value v);

/* Members of an object, elements of an array, bytes of a string; 0 for the rest. */
size_t json_count(struct json_value v);
/* A member by name; JSON_NONE when absent or when v is no object. Linear in the number of members. */
struct json_value json_get(struct json_value v, const char *name);
struct json_value json_get_slice(struct json_value v, struct slice name);

/*
 * for (it = json_iter(v); json_next(&it); ) { it.key (objects; unescaped), it.value }
 * In document order. Over anything but an array or object: no turns.
 */
struct json_iter {
	struct slice key;
	struct json_value value;
	uint32_t next, end;	/* private */
	bool keyed;
};
struct json_iter json_iter(struct json_value v);
bool json_next(struct json_iter *it);

/* Values by themselves; the caller has checked json_type. A string is unescaped, may hold NUL. */
struct slice json_string(struct json_value v);
int64_t json_int(struct json_value v);
double json_real(struct json_value v);	/* of JSON_REAL or JSON_INT */
bool json_bool(struct json_value v);

/*
 * Checked members: `obj.name` must be there with that type, or -1 with ERR_MALFORMED naming the member,
 * what was found and what was wanted. The _opt forms: an absent member (null counts as present and wrong)
 * leaves *out as it is and returns 0.
 */
WARN_UNUSED int json_need_object(struct json_value obj, const char *name, struct json_value *out, struct error *err);
WARN_UNUSED int json_need_array(struct json_value obj, const char *name, struct json_value *out, struct error *err);
WARN_UNUSED int json_need_string(struct json_value obj, const char *name, struct slice *out, struct error *err);
WARN_UNUSED int json_need_int(struct json_value obj, const char *name, int64_t min, int64_t max, int64_t *out, struct error *err);
WARN_UNUSED int json_need_bool(struct json_value obj, const char *name, bool *out, struct error *err);
WARN_UNUSED int json_opt_object(struct json_value obj, const char *name, struct json_value *out, struct error *err);
WARN_UNUSED int json_opt_array(struct json_value obj, const char *name, struct json_value *out, struct error *err);
WARN_UNUSED int json_opt_string(struct json_value obj, const char *name, struct slice *out, struct error *err);
WARN_UNUSED int json_opt_int(struct json_value obj, const char *name, int64_t min, int64_t max, int64_t *out, struct error *err);
WARN_UNUSED int json_opt_bool(struct json_value obj, const char *name, bool *out, struct error *err);
/* Only the names listed (NULL-terminated) may occur in obj: -1 with the unknown name otherwise. */
WARN_UNUSED int json_only(struct json_value obj, const char *const *names, struct error *err);

/*
 * OLPC canonical JSON of a value, appended to out: keys sorted by bytes of their UTF-8 (code points), no
 * white space, only `"` and `\` escaped, other characters literal, integers only. Control characters come
 * out literal too, so the result is JSON again only for text that has none.
 * -1: ERR_LIMIT (out's ceiling), ERR_MALFORMED (a fraction).
 */
WARN_UNUSED int json_canonical(struct buf *out, struct json_value v, struct error *err);
/*
 * The canonical form, without a copy where the text of v is canonical as it stands (the parser has seen whether it is):
 * *out is that text, or borrows from `made`, which is filled otherwise.
 */
WARN_UNUSED int json_canonical_slice(struct slice *out, struct buf *made, struct json_value v, struct error *err);

/* ---- writing ---- */

/*
 * A writer appends to a buf (whose failed flag it shares) and puts commas, colons and escapes by itself.
 * Compact by default; with .indent = 2 it breaks lines for people. Depth at most 64 (asserted: ours).
 *	struct json_writer w = JSON_WRITER(&buf);
 *	json_open_object(&w); json_put_string(&w, "name", name); json_close(&w);
 * `name` is the member's key inside an object, NULL inside an array and at the top.
 */
struct json_writer {
	struct buf *out;
	unsigned indent;
	unsigned depth;
	uint64_t is_array, has_member;	/* one bit a level */
};
#define JSON_WRITER(b) ((struct json_writer){.out = (b)})

void json_open_object(struct json_writer *w, const char *name);
void json_open_array(struct json_writer *w, const char *name);
void json_close(struct json_writer *w);
/* Bad UTF-8 in a value is written as U+FFFD: what we write is always valid JSON. */
void json_put_slice(struct json_writer *w, const char *name, struct slice value);
void json_put_string(struct json_writer *w, const char *name, const char *value);	/* NULL writes null */
void json_put_int(struct json_writer *w, const char *name, int64_t value);
void json_put_real(struct json_writer *w, const char *name, double value);	/* shortest form, finite */
void json_put_bool(struct json_writer *w, const char *name, bool value);
void json_put_null(struct json_writer *w, const char *name);
void json_put_hex(struct json_writer *w, const char *name, const uint8_t *p, size_t n);
/* A value of another document (null when absent), or JSON text known to be valid, as it stands. */
void json_put_value(struct json_writer *w, const char *name, struct json_value value);
void json_put_raw(struct json_writer *w, const char *name, struct slice json_text);
/* As the above, for keys that come from outside. */
void json_open_object_key(struct json_writer *w, struct slice key);
void json_open_array_key(struct json_writer *w, struct slice key);
void json_put_slice_key(struct json_writer *w, struct slice key, struct slice value);
void json_put_value_key(struct json_writer *w, struct slice key, struct json_value value);

#endif
