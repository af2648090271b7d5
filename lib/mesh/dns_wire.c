/* Names, questions and records of DNS messages. */
#include "mesh/dns_wire.h"

#include <string.h>

#include "mesh/bytes.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool same(struct slice a, struct slice b)
{
	size_t i;

	if (a.len != b.len)
		return false;
	for (i = 0; i < a.len; i++) {
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	}
	return true;
}

/* One label with its length; -1 when the name would be too long. */
static int label_put(struct dns_name *n, const uint8_t *p, size_t len)
{
	if (n->labels == DNS_LABELS_MAX || n->len + 1 + len + 1 > DNS_NAME_MAX)
		return -1;
	n->label[n->labels++] = (uint8_t)n->len;
	n->wire[n->len++] = (uint8_t)len;
	memcpy(n->wire + n->len, p, len);
	n->len += len;
	return 0;
}

int dns_name_read(struct dns_name *n, struct slice message, size_t *at, bool plain)
{
	size_t pos = *at, floor = *at;
	bool jumped = false;

	n->len = 0;
	n->labels = 0;
	for (;;) {
		uint8_t c;

		if (pos >= message.len)
			return -1;
		c = message.ptr[pos];
		if (c >= 0xc0) {
			size_t to;

			if (plain || message.len - pos < 2)
				return -1;
			to = (size_t)(get_be16(message.ptr + pos) & 0x3fff);
			if (to >= floor || to < DNS_HEADER_LEN)
				return -1;
			if (!jumped)
				*at = pos + 2;
			jumped = true;
			pos = floor = to;
			continue;
		}
		if (c > DNS_LABEL_MAX)
			return -1;
		if (c == 0)
			break;
		if (message.len - pos - 1 < c || label_put(n, message.ptr + pos + 1, c) < 0)
			return -1;
		pos += 1u + c;
	}
	n->wire[n->len++] = 0;
	if (!jumped)
		*at = pos + 1;
	return 0;
}

struct slice dns_label(const struct dns_name *n, unsigned i)
{
	return slice_of(n->wire + n->label[i] + 1, n->wire[n->label[i]]);
}

bool dns_name_under(const struct dns_name *n, unsigned from, const char *text)
{
	struct slice rest = slice_str(text);
	unsigned i;

	for (i = from; i < n->labels; i++) {
		size_t dot = slice_find(rest, '.', 0);

		if (rest.len == 0 || !same(dns_label(n, i), slice_sub(rest, 0, dot)))
			return false;
		rest = dot == SIZE_MAX ? SLICE_EMPTY : slice_sub(rest, dot + 1, SIZE_MAX);
	}
	return rest.len == 0;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	/* Lengths are below 'A', so that lower() leaves them alone. */
	return same(slice_of(a->wire, a->len), slice_of(b->wire, b->len));
}

bool dns_name_in_suffix(const struct dns_name *n, const char *suffix, unsigned *before)
{
	const char *p;
	unsigned labels = 1;

	for (p = suffix; *p != '\0'; p++)
		labels += *p == '.';
	if (n->labels < labels)
		return false;
	*before = n->labels - labels;
	return dns_name_under(n, *before, suffix);
}

void dns_put_text(struct buf *out, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, ".");

		buf_put_u8(out, (uint8_t)len);
		buf_put(out, text, len);
		text += len + (text[len] == '.');
	}
	buf_put_u8(out, 0);
}

int dns_record_read(struct dns_record *r, struct slice message, size_t *at)
{
	const uint8_t *p;

	if (dns_name_read(&r->name, message, at, false) < 0 || message.len - *at < 10)
		return -1;
	p = message.ptr + *at;
	r->type = get_be16(p);
	r->class = get_be16(p + 2);
	r->ttl = get_be32(p + 4);
	r->data_len = get_be16(p + 8);
	r->data = *at + 10;
	if (message.len - r->data < r->data_len)
		return -1;
	*at = r->data + r->data_len;
	return 0;
}

/* What is behind the question of a query: at most one OPT, of the root; others, as signatures, are passed over. */
static int additional_read(struct dns_query *q, struct slice message, size_t at, unsigned count)
{
	struct dns_record r;

	if (count > DNS_ADDITIONAL_MAX)
		return DNS_FORMERR;
	for (; count > 0; count--) {
		if (dns_record_read(&r, message, &at) < 0)
			return DNS_FORMERR;
		if (r.type != DNS_OPT)
			continue;
		if (q->edns || r.name.labels != 0)
			return DNS_FORMERR;
		q->edns = true;
		q->payload = r.class;
		q->edns_version = (uint8_t)(r.ttl >> 16);
		q->do_bit = (r.ttl & 0x8000) != 0;
	}
	return at == message.len ? 0 : DNS_FORMERR;
}

int dns_query_read(struct dns_query *q, struct slice message)
{
	const uint8_t *p = message.ptr;
	size_t at = DNS_HEADER_LEN;
	int rcode;

	memset(q, 0, sizeof(*q));
	q->payload = DNS_UDP_MIN;
	q->id = get_be16(p);
	q->flags = get_be16(p + 2);
	if ((q->flags & DNS_OPCODE) != 0)
		return DNS_NOTIMP;
	if (get_be16(p + 4) != 1 || dns_name_read(&q->name, message, &at, true) < 0 || message.len - at < 4)
		return DNS_FORMERR;
	q->type = get_be16(p + at);
	q->class = get_be16(p + at + 2);
	at += 4;
	q->question_len = at - DNS_HEADER_LEN;
	if ((q->flags & DNS_TC) != 0 || get_be16(p + 6) != 0 || get_be16(p + 8) != 0)
		return DNS_FORMERR;
	rcode = additional_read(q, message, at, get_be16(p + 10));
	if (q->payload < DNS_UDP_MIN)
		q->payload = DNS_UDP_MIN;
	if (q->payload > DNS_UDP_MAX)
		q->payload = DNS_UDP_MAX;
	return rcode;
}
