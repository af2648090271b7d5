/* Text armor around DER, to RFC 7468. */
#include "crypto/pem.h"

#include <stdio.h>

#include "base/encode.h"

#define PEM_LINE 64

void pem_put(struct buf *out, const char *label, struct slice der)
{
	struct buf text = {.max = SIZE_MAX / 2, .secret = out->secret};
	struct slice rest;

	base64_put(&text, der);
	buf_printf(out, "-----BEGIN %s-----\n", label);
	for (rest = buf_slice(&text); rest.len > 0; rest = slice_sub(rest, PEM_LINE, SIZE_MAX)) {
		buf_put_slice(out, slice_sub(rest, 0, PEM_LINE));
		buf_put_u8(out, '\n');
	}
	buf_printf(out, "-----END %s-----\n", label);
	buf_release(&text);
}

static void skip_space(struct slice *text)
{
	while (text->len > 0 && memchr(" \t\r\n", text->ptr[0], 4) != NULL)
		*text = slice_sub(*text, 1, SIZE_MAX);
}

/* The next line without its LF or CRLF, taken off the front. */
static struct slice take_line(struct slice *text)
{
	size_t end = slice_find(*text, '\n', 0);
	struct slice line = slice_sub(*text, 0, end);

	*text = slice_sub(*text, line.len + 1, SIZE_MAX);
	return slice_ends(line, SLICE_LIT("\r")) ? slice_sub(line, 0, line.len - 1) : line;
}

static bool is_boundary(struct slice line, const char *word, const char *label)
{
	char want[96];

	snprintf(want, sizeof(want), "-----%s %s-----", word, label);
	return slice_equal_str(line, want);
}

int pem_next(struct slice *text, const char *label, struct buf *der, struct error *err)
{
	struct buf body = {.max = text->len, .secret = der->secret};
	struct slice rest = *text, line;
	int r = -1;

	skip_space(&rest);
	if (!is_boundary(take_line(&rest), "BEGIN", label))
		return error_set(err, ERR_MALFORMED, "no '-----BEGIN %s-----' where it is expected", label);
	for (;;) {
		if (rest.len == 0) {
			error_set(err, ERR_MALFORMED, "no '-----END %s-----' after its beginning", label);
			goto out;
		}
		line = take_line(&rest);
		if (slice_starts(line, SLICE_LIT("-----")))
			break;
		buf_put_slice(&body, line);
	}
	if (!is_boundary(line, "END", label)) {
		error_set(err, ERR_MALFORMED, "another boundary where '-----END %s-----' is expected", label);
		goto out;
	}
	if (base64_decode(der, buf_slice(&body), err) < 0) {
		error_wrap(err, "bad PEM block '%s'", label);
		goto out;
	}
	skip_space(&rest);
	*text = rest;
	r = 0;
out:
	buf_release(&body);
	return r;
}

int pem_get(struct slice text, const char *label, struct buf *der, struct error *err)
{
	if (pem_next(&text, label, der, err) < 0)
		return -1;
	if (text.len > 0)
		return error_set(err, ERR_MALFORMED, "%zu stray bytes after the PEM block", text.len);
	return 0;
}
