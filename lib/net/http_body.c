/*
 * Bodies, byte by byte where they are framed and run by run where they are payload.
 *
 *	LENGTH ---------------------------------------------------> DONE
 *	CHUNK_SIZE -> CHUNK -> CHUNK_END -> CHUNK_SIZE ...            ^
 *	    | size 0                                                  |
 *	    +-------------------> TRAILERS -- blank line -------------+
 */
#include "net/http.h"

#include "net/http_chars.h"

#define TRAILERS_MAX 4096
#define SIZE_DIGITS_MAX 16

int http_body_start(struct http_body *b, const struct http_head *h, struct error *err)
{
	*b = (struct http_body){.state = HTTP_BODY_LENGTH};
	if (h->no_body) {
		b->state = HTTP_BODY_DONE;
	} else if (h->chunked) {
		b->state = HTTP_BODY_CHUNK_SIZE;
	} else if (h->content_length != HTTP_LENGTH_NONE) {
		b->left = (uint64_t)h->content_length;
	} else if (h->status != 0) {
		return error_set(err, ERR_MALFORMED,
				 "answer says neither how long it is nor that it is chunked");
	}
	if (b->state == HTTP_BODY_LENGTH && b->left == 0)
		b->state = HTTP_BODY_DONE;
	return 0;
}

/* One byte of "1a2f CR LF" (RFC 9112 7.1); extensions are refused. */
static int chunk_size_byte(struct http_body *b, uint8_t c, struct error *err)
{
	int digit = http_hex(c);

	if (b->cr) {
		if (c != '\n')
			return error_set(err, ERR_MALFORMED, "CR without LF in a chunk size");
		b->state = b->left == 0 ? HTTP_BODY_TRAILERS : HTTP_BODY_CHUNK;
		b->line_len = 0;
		b->cr = false;
		return 0;
	}
	if (c == '\r' && b->line_len > 0) {
		b->cr = true;
		return 0;
	}
	if (digit < 0 || ++b->line_len > SIZE_DIGITS_MAX)
		return error_set(err, ERR_MALFORMED, "chunk size is not 1 to %d hex digits",
				 SIZE_DIGITS_MAX);
	b->left = b->left << 4 | (unsigned)digit;
	if (b->left > (uint64_t)HTTP_LENGTH_MAX)
		return error_set(err, ERR_MALFORMED, "chunk size is out of range");
	return 0;
}

static int chunk_end_byte(struct http_body *b, uint8_t c, struct error *err)
{
	if (c != (b->cr ? '\n' : '\r'))
		return error_set(err, ERR_MALFORMED, "chunk does not end with CRLF");
	if (b->cr)
		b->state = HTTP_BODY_CHUNK_SIZE;
	b->cr = !b->cr;
	return 0;
}

static int trailer_byte(struct http_body *b, uint8_t c, struct error *err)
{
	if (++b->trailer_len > TRAILERS_MAX)
		return error_set(err, ERR_LIMIT, "trailers are longer than %d bytes", TRAILERS_MAX);
	if (b->cr) {
		if (c != '\n')
			return error_set(err, ERR_MALFORMED, "CR without LF in a trailer");
		if (b->line_len == 0)
			b->state = HTTP_BODY_DONE;
		b->line_len = 0;
		b->cr = false;
		return 0;
	}
	if (c == '\r') {
		b->cr = true;
		return 0;
	}
	if ((b->line_len == 0 && !http_is_token_char(c)) || !http_value_ok(slice_of(&c, 1)))
		return error_set(err, ERR_MALFORMED, "trailer is not a header line");
	b->line_len++;
	return 0;
}

/* As much payload as the state has left and *in holds. */
static struct slice payload(struct http_body *b, struct slice *in)
{
	size_t n = in->len < b->left ? in->len : (size_t)b->left;
	struct slice part = slice_of(in->ptr, n);

	*in = slice_of(in->ptr + n, in->len - n);
	b->left -= n;
	b->seen += n;
	if (b->left == 0)
		b->state = b->state == HTTP_BODY_CHUNK ? HTTP_BODY_CHUNK_END : HTTP_BODY_DONE;
	return part;
}

int http_body_next(struct http_body *b, struct slice *in, struct slice *part, struct error *err)
{
	int r = 0;

	*part = SLICE_EMPTY;
	while (in->len > 0 && b->state != HTTP_BODY_DONE) {
		uint8_t c = in->ptr[0];

		if (b->state == HTTP_BODY_LENGTH || b->state == HTTP_BODY_CHUNK) {
			*part = payload(b, in);
			return 0;
		}
		*in = slice_of(in->ptr + 1, in->len - 1);
		if (b->state == HTTP_BODY_CHUNK_SIZE)
			r = chunk_size_byte(b, c, err);
		else if (b->state == HTTP_BODY_CHUNK_END)
			r = chunk_end_byte(b, c, err);
		else
			r = trailer_byte(b, c, err);
		if (r < 0)
			return -1;
	}
	return 0;
}
