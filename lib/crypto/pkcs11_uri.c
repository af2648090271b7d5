/* PKCS#11 URIs: percent-coding undone, every attribute known, every field within its cap. */
#include "crypto/pkcs11_uri.h"

#include <stddef.h>

#include "base/utf8.h"

/* What both parts may hold besides letters, digits and percent-coding: RFC 7512 2.3, pk11-res-avail and unreserved. */
#define ANYWHERE "-._~:[]@!$'()*+,="

enum value { TEXT, ID, TYPE, MODULE, PIN };

static const struct attribute {
	const char *name;
	bool query;	/* after the '?' */
	enum value value;
	size_t offset, size;	/* of TEXT, with its NUL */
} attributes[] = {
#define FIELD(name_, query_, value_, member) \
	{name_, query_, value_, offsetof(struct pkcs11_uri, member), sizeof(((struct pkcs11_uri *)0)->member)}
	FIELD("token", false, TEXT, token),
	FIELD("manufacturer", false, TEXT, manufacturer),
	FIELD("serial", false, TEXT, serial),
	FIELD("model", false, TEXT, model),
	FIELD("object", false, TEXT, object),
	FIELD("id", false, ID, id),
	{"type", false, TYPE, 0, 0},
	FIELD("module-path", true, MODULE, module_path),
	FIELD("pin-source", true, PIN, pin_file),
#undef FIELD
};

static bool is_plain(uint8_t c, const char *also)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr(also, c) != NULL);
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo percent-coding, appending to out, whose ceiling is the cap of the field. */
static int decode(struct buf *out, const struct attribute *a, struct slice s, struct error *err)
{
	const char *also = a->query ? ANYWHERE "/?|" : ANYWHERE "&";
	size_t i;

	for (i = 0; i < s.len; i++) {
		int high = 0, low = 0;

		if (s.ptr[i] != '%') {
			if (!is_plain(s.ptr[i], also))
				return error_set(err, ERR_MALFORMED, "'%s' of the URI holds byte 0x%02x, which wants percent-coding",
						 a->name, s.ptr[i]);
			buf_put_u8(out, s.ptr[i]);
			continue;
		}
		if (s.len - i < 3 || (high = hex_value(s.ptr[i + 1])) < 0 || (low = hex_value(s.ptr[i + 2])) < 0)
			return error_set(err, ERR_MALFORMED, "'%s' of the URI has a '%%' without two hex digits", a->name);
		buf_put_u8(out, (uint8_t)(high << 4 | low));
		i += 2;
	}
	if (out->failed)
		return error_set(err, ERR_LIMIT, "'%s' of the URI is longer than %zu bytes", a->name, out->max);
	if (out->len == 0)
		return error_set(err, ERR_MALFORMED, "'%s' of the URI is empty", a->name);
	return 0;
}

static int check_text(const char *name, struct slice s, struct error *err)
{
	size_t at = 0, n;
	uint32_t cp;

	for (; at < s.len; at += n) {
		n = utf8_decode(slice_sub(s, at, s.len), &cp);
		if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return error_set(err, ERR_MALFORMED, "'%s' of the URI is not printable text", name);
	}
	return 0;
}

/* The path of pin-source: "file:/x" and "file:///x" mean the same; no host, and no commands. */
static int pin_path(struct slice *s, struct error *err)
{
	if (slice_starts(*s, SLICE_LIT("file:///")))
		*s = slice_sub(*s, 7, s->len);
	else if (slice_starts(*s, SLICE_LIT("file:/")) && !slice_starts(*s, SLICE_LIT("file://")))
		*s = slice_sub(*s, 5, s->len);
	else
		return error_set(err, ERR_MALFORMED, "'pin-source' of the URI is not file:/absolute/path");
	return 0;
}

static int store(struct pkcs11_uri *u, const struct attribute *a, struct slice s, struct error *err)
{
	char *field = (char *)u + a->offset;

	if (a->value == ID) {
		memcpy(u->id, s.ptr, s.len);
		u->id_len = s.len;
		return 0;
	}
	if (check_text(a->name, s, err) < 0 || (a->value == PIN && pin_path(&s, err) < 0))
		return -1;
	if (a->value == TYPE)
		return slice_equal_str(s, "private") ? 0 : error_set(err, ERR_MALFORMED, "'type' of the URI is not 'private'");
	if (a->value == MODULE && s.ptr[0] != '/')
		return error_set(err, ERR_MALFORMED, "'module-path' of the URI is not an absolute path");
	memcpy(field, s.ptr, s.len);
	field[s.len] = '\0';
	return 0;
}

static int not_supported(struct slice name, bool query, struct error *err)
{
	char shown[80];

	printable(shown, sizeof(shown), slice_sub(name, 0, 40));
	error_set(err, ERR_MALFORMED, "attribute '%s' of the URI is not supported", shown);
	if (slice_equal_str(name, "pin-value"))
		return error_hint(err, "a PIN in a URI is seen by everybody: use pin-source=file:/path");
	if (query)
		return error_hint(err, "after the '?' there may be module-path and pin-source");
	return error_hint(err, "before the '?' there may be token, serial, manufacturer, model, object, id and type=private");
}

static int parse_attribute(struct pkcs11_uri *u, struct slice s, bool query, unsigned *seen, struct error *err)
{
	struct buf value = BUF_INIT(0);
	size_t equals = slice_find(s, '=', 0), i;
	struct slice name = slice_sub(s, 0, equals);
	const struct attribute *a = NULL;
	int r = -1;

	if (equals == SIZE_MAX || equals == 0)
		return error_set(err, ERR_MALFORMED, "the URI has a part that is not 'name=value'");
	for (i = 0; i < ARRAY_SIZE(attributes) && a == NULL; i++)
		if (attributes[i].query == query && slice_equal_str(name, attributes[i].name))
			a = &attributes[i];
	if (a == NULL)
		return not_supported(name, query, err);
	if ((*seen & 1u << (a - attributes)) != 0)
		return error_set(err, ERR_MALFORMED, "'%s' stands twice in the URI", a->name);
	*seen |= 1u << (a - attributes);
	value.max = a->value == TYPE ? 16 : a->value == ID ? PKCS11_ID_MAX : a->size - 1;
	if (decode(&value, a, slice_sub(s, equals + 1, s.len), err) == 0)
		r = store(u, a, buf_slice(&value), err);
	buf_release(&value);
	return r;
}

/* The attributes of one part, between separators. */
static int parse_part(struct pkcs11_uri *u, struct slice s, bool query, unsigned *seen, struct error *err)
{
	size_t from = 0, to;

	while (from <= s.len) {
		to = slice_find(s, query ? '&' : ';', from);
		if (to == SIZE_MAX)
			to = s.len;
		if (parse_attribute(u, slice_sub(s, from, to - from), query, seen, err) < 0)
			return -1;
		from = to + 1;
	}
	return 0;
}

static int check_complete(const struct pkcs11_uri *u, struct error *err)
{
	if (u->token[0] == '\0' && u->serial[0] == '\0') {
		error_set(err, ERR_MALFORMED, "the URI names no token");
		return error_hint(err, "give token=LABEL or serial=NUMBER");
	}
	if (u->module_path[0] == '\0') {
		error_set(err, ERR_MALFORMED, "the URI names no module");
		return error_hint(err, "end it with ?module-path=/usr/lib/.../module.so");
	}
	return 0;
}

int pkcs11_uri_parse(struct pkcs11_uri *u, struct slice text, struct error *err)
{
	size_t question;
	unsigned seen = 0;

	*u = (struct pkcs11_uri){.id_len = 0};
	if (text.len > PKCS11_URI_MAX)
		return error_set(err, ERR_LIMIT, "the URI has %zu bytes; %d is the most", text.len, PKCS11_URI_MAX);
	if (!slice_starts(text, SLICE_LIT("pkcs11:"))) {
		error_set(err, ERR_MALFORMED, "the URI does not begin with 'pkcs11:'");
		return error_hint(err, "as in 'pkcs11:token=ops?module-path=/usr/lib/softhsm/libsofthsm2.so'");
	}
	text = slice_sub(text, 7, text.len);
	question = slice_find(text, '?', 0);
	if (parse_part(u, slice_sub(text, 0, question), false, &seen, err) < 0 ||
	    (question != SIZE_MAX && parse_part(u, slice_sub(text, question + 1, text.len), true, &seen, err) < 0))
		return -1;
	return check_complete(u, err);
}

static void put_coded(struct buf *out, struct slice s, const char *also)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (is_plain(s.ptr[i], also))
			buf_put_u8(out, s.ptr[i]);
		else
			buf_printf(out, "%%%02X", s.ptr[i]);
	}
}

void pkcs11_uri_put(struct buf *out, const struct pkcs11_uri *u)
{
	const char *separator = "";
	bool query = false;
	size_t i, n;

	buf_put_str(out, "pkcs11:");
	for (i = 0; i < ARRAY_SIZE(attributes); i++) {
		const struct attribute *a = &attributes[i];
		const char *field = (const char *)u + a->offset;

		if (a->value == TYPE || (a->value == ID ? u->id_len == 0 : field[0] == '\0'))
			continue;
		if (a->query && !query)
			separator = "?";
		query = a->query;
		buf_printf(out, "%s%s=%s", separator, a->name, a->value == PIN ? "file:" : "");
		for (n = 0; a->value == ID && n < u->id_len; n++)
			buf_printf(out, "%%%02X", u->id[n]);
		if (a->value != ID)
			put_coded(out, slice_str(field), a->query ? "-._~/" : "-._~");
		separator = query ? "&" : ";";
	}
}
