/* URLs are taken apart here once, so that no other part of the program guesses at their shape. */
#include "net/url.h"

#include <arpa/inet.h>
#include "net/http_chars.h"

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static uint8_t to_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* RFC 1123 2.1: labels of letters, digits and inner hyphens. */
static int name_labels_check(struct slice s, struct error *err)
{
	size_t i, start = 0;

	for (i = 0; i <= s.len; i++) {
		if (i < s.len && s.ptr[i] != '.') {
			if (!http_is_alnum(s.ptr[i]) && s.ptr[i] != '-')
				return error_set(
					err, ERR_USAGE,
					"host '%.*s': a name has letters, digits, hyphens and dots",
					SLICE_ARG(s));
			continue;
		}
		if (i == start || i - start > 63 || s.ptr[start] == '-' || s.ptr[i - 1] == '-')
			return error_set(
				err, ERR_USAGE,
				"host '%.*s': a part is empty, too long or edged by a hyphen",
				SLICE_ARG(s));
		start = i + 1;
	}
	return 0;
}

/* WHATWG URL 3.5: others read a name whose last label is a number, 0x7f included, as an address. */
static bool ends_in_number(struct slice s)
{
	size_t i = s.len;
	bool hex = false;

	while (i > 0 && s.ptr[i - 1] != '.')
		i--;
	if (s.len - i > 2 && s.ptr[i] == '0' && to_lower(s.ptr[i + 1]) == 'x') {
		hex = true;
		i += 2;
	}
	if (i == s.len)
		return false;
	while (i < s.len && (is_digit(s.ptr[i]) || (hex && http_hex(s.ptr[i]) >= 0)))
		i++;
	return i == s.len;
}

int host_parse(char out[static HOST_LEN_MAX + 1], struct slice text, enum host_kind *kind,
	       struct error *err)
{
	uint8_t address[16];
	size_t i;

	if (text.len == 0 || text.len > HOST_LEN_MAX)
		return error_set(err, ERR_USAGE, "host has %zu bytes, not 1 to %d", text.len,
				 HOST_LEN_MAX);
	for (i = 0; i < text.len; i++)
		out[i] = (char)to_lower(text.ptr[i]);
	out[text.len] = '\0';
	if (memchr(text.ptr, '\0', text.len) != NULL)
		return error_set(err, ERR_USAGE, "host contains a NUL byte");
	if (strchr(out, ':') != NULL) {
		*kind = HOST_IPV6;
		if (inet_pton(AF_INET6, out, address) != 1)
			return error_set(err, ERR_USAGE, "host '%s' is not an IPv6 address", out);
		inet_ntop(AF_INET6, address, out, HOST_LEN_MAX + 1);
		return 0;
	}
	if (ends_in_number(text)) {
		*kind = HOST_IPV4;
		if (inet_pton(AF_INET, out, address) != 1)
			return error_set(err, ERR_USAGE,
					 "host '%s' is not an IPv4 address in four decimal parts",
					 out);
		return 0;
	}
	*kind = HOST_NAME;
	return name_labels_check(text, err);
}

static int port_parse(uint16_t *port, struct slice s, struct error *err)
{
	unsigned value = 0;
	size_t i;

	for (i = 0; i < s.len && i < 6 && is_digit(s.ptr[i]); i++)
		value = value * 10 + (unsigned)(s.ptr[i] - '0');
	if (s.len == 0 || i != s.len || s.ptr[0] == '0' || value > UINT16_MAX)
		return error_set(err, ERR_USAGE, "port '%.*s' is not a number from 1 to 65535",
				 SLICE_ARG(s));
	*port = (uint16_t)value;
	return 0;
}

/* "user:password" into u. */
static int user_parse(struct url *u, struct slice s, struct error *err)
{
	const uint8_t *colon = s.len == 0 ? NULL : memchr(s.ptr, ':', s.len);
	struct slice user = s, password = SLICE_EMPTY;
	struct buf b = BUF_SECRET(sizeof(u->user) - 1);
	int r = -1;

	if (colon != NULL) {
		user.len = (size_t)(colon - s.ptr);
		password = slice_of(colon + 1, s.len - user.len - 1);
	}
	if (percent_decode(&b, user, err) < 0 || b.len == 0 || memchr(b.ptr, ':', b.len) != NULL) {
		error_set(err, ERR_USAGE, "user name is empty, too long or not percent-encoded");
		goto out;
	}
	memcpy(u->user, b.ptr, b.len);
	buf_clear(&b);
	if (percent_decode(&b, password, err) < 0) {
		error_set(err, ERR_USAGE, "password is too long or not percent-encoded");
		goto out;
	}
	if (b.len > 0)
		memcpy(u->password, b.ptr, b.len);
	r = 0;
out:
	buf_release(&b);
	return r;
}

/* "host", "host:port" or "[v6]:port" into u; the port stays as it is when none is named. */
static int authority_parse(struct url *u, struct slice s, struct error *err)
{
	bool bracket = s.len > 0 && s.ptr[0] == '[';
	const uint8_t *end = s.len == 0 ? NULL : memchr(s.ptr, bracket ? ']' : ':', s.len);
	struct slice host = s, rest = SLICE_EMPTY;

	if (bracket) {
		if (end == NULL)
			return error_set(err, ERR_USAGE, "'[' without ']'");
		host = slice_of(s.ptr + 1, (size_t)(end - s.ptr) - 1);
		end++;
	}
	if (end != NULL) {
		if (!bracket)
			host.len = (size_t)(end - s.ptr);
		rest = slice_of(end, s.len - (size_t)(end - s.ptr));
	}
	if (host_parse(u->host, host, &u->host_kind, err) < 0)
		return -1;
	if (bracket != (u->host_kind == HOST_IPV6))
		return error_set(err, ERR_USAGE,
				 "brackets belong around an IPv6 address and nothing else");
	if (rest.len == 0)
		return 0;
	if (rest.ptr[0] != ':')
		return error_set(err, ERR_USAGE, "only ':port' may follow ']'");
	return port_parse(&u->port, slice_of(rest.ptr + 1, rest.len - 1), err);
}

/* Other parties resolve "." and ".." before they look, so they cannot mean what they say. */
static bool has_dot_segment(struct slice path)
{
	size_t i, start = 0;

	for (i = 0; i <= path.len; i++) {
		if (i < path.len && path.ptr[i] != '/')
			continue;
		if ((i - start == 1 && path.ptr[start] == '.') ||
		    (i - start == 2 && path.ptr[start] == '.' && path.ptr[start + 1] == '.'))
			return true;
		start = i + 1;
	}
	return false;
}

static int target_parse(struct url *u, struct slice s, unsigned allow, struct error *err)
{
	struct slice path = s;
	const uint8_t *question = s.len == 0 ? NULL : memchr(s.ptr, '?', s.len);
	size_t i, room = 0;

	for (i = 0; i < s.len; i++)
		if (!http_is_target_char(s, i))
			return error_set(err, ERR_USAGE, "byte 0x%02x does not belong in a path",
					 s.ptr[i]);
	if (question != NULL)
		path.len = (size_t)(question - s.ptr);
	if (has_dot_segment(path))
		return error_set(err, ERR_USAGE, "path has a '.' or '..' part");
	if (allow & URL_BASE) {
		if (question != NULL)
			return error_set(err, ERR_USAGE, "a query ('?') does not belong here");
		while (s.len > 0 && s.ptr[s.len - 1] == '/')
			s.len--;
	} else if (path.len == 0) {
		u->target[room++] = '/';
	}
	if (s.len > 0)
		memcpy(u->target + room, s.ptr, s.len);
	return 0;
}

static int url_parts(struct url *u, struct slice text, unsigned allow, struct error *err)
{
	struct slice s = text, authority;
	const uint8_t *at;
	size_t i;

	if (slice_starts(s, SLICE_LIT("https://")) && (allow & URL_HTTPS)) {
		*u = (struct url){.tls = true, .port = 443};
		s = slice_of(s.ptr + 8, s.len - 8);
	} else if (slice_starts(s, SLICE_LIT("http://")) && (allow & URL_HTTP)) {
		*u = (struct url){.tls = false, .port = 80};
		s = slice_of(s.ptr + 7, s.len - 7);
	} else {
		return error_set(err, ERR_USAGE, "it does not begin with %s",
				 !(allow & URL_HTTP) ? "https://"
				 : allow & URL_HTTPS ? "https:// or http://"
						     : "http://");
	}
	for (i = 0; i < s.len && s.ptr[i] != '/' && s.ptr[i] != '?'; i++)
		;
	authority = slice_of(s.ptr, i);
	s = slice_of(s.ptr + i, s.len - i);
	at = authority.len == 0 ? NULL : memrchr(authority.ptr, '@', authority.len);
	if (at != NULL) {
		if (!(allow & URL_USER))
			return error_set(err, ERR_USAGE, "a user name ('@') does not belong here");
		if (user_parse(u, slice_of(authority.ptr, (size_t)(at - authority.ptr)), err) < 0)
			return -1;
		authority = slice_of(at + 1, authority.len - (size_t)(at - authority.ptr) - 1);
	}
	if (authority_parse(u, authority, err) < 0)
		return -1;
	return target_parse(u, s, allow, err);
}

int url_parse(struct url *u, struct slice text, unsigned allow, struct error *err)
{
	size_t i;

	*u = (struct url){.tls = true};
	if (text.len > URL_LEN_MAX - 1)
		return error_set(err, ERR_USAGE, "URL is longer than %d bytes", URL_LEN_MAX - 1);
	for (i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
			return error_set(err, ERR_USAGE, "URL contains byte 0x%02x", text.ptr[i]);
	if (url_parts(u, text, allow, err) == 0)
		return 0;
	if (allow & URL_USER) /* holds a password, which no message repeats */
		return error_wrap(err, "proxy URL");
	return error_wrap(err, "URL '%.*s'", SLICE_ARG(text));
}

void url_put_authority(struct buf *out, const struct url *u, bool with_port)
{
	bool v6 = u->host_kind == HOST_IPV6;

	buf_printf(out, "%s%s%s", v6 ? "[" : "", u->host, v6 ? "]" : "");
	if (with_port || u->port != (u->tls ? 443 : 80))
		buf_printf(out, ":%u", u->port);
}

void url_put(struct buf *out, const struct url *u)
{
	buf_put_str(out, u->tls ? "https://" : "http://");
	url_put_authority(out, u, false);
	buf_put_str(out, u->target);
}

int percent_decode(struct buf *out, struct slice s, struct error *err)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		int c = s.ptr[i];

		if (c == '%') {
			int high = i + 2 < s.len ? http_hex(s.ptr[i + 1]) : -1;
			int low = i + 2 < s.len ? http_hex(s.ptr[i + 2]) : -1;

			if (high < 0 || low < 0)
				return error_set(err, ERR_MALFORMED,
						 "'%%' is not followed by two hex digits");
			c = high * 16 + low;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return error_set(err, ERR_MALFORMED, "control byte 0x%02x", c);
		buf_put_u8(out, (uint8_t)c);
	}
	if (out->failed)
		return error_set(err, ERR_LIMIT, "longer than %zu bytes", out->max);
	return 0;
}

void percent_encode(struct buf *out, struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (http_is_alnum(s.ptr[i]) ||
		    (s.ptr[i] != '\0' && strchr("-._~", s.ptr[i]) != NULL))
			buf_put_u8(out, s.ptr[i]);
		else
			buf_printf(out, "%%%02X", s.ptr[i]);
	}
}
