/*
 * What may pass of another resolver's reply. A reply that is fine goes on as it came, byte by byte; only one from which
 * something is left out is written anew, since names in it may point into what is left out.
 */
#include "mesh/dns_wire.h"

#include <string.h>

#include "mesh/bytes.h"

#define SVCB_IPV4HINT 4
#define SVCB_IPV6HINT 6

/* Types whose data has names that may be compressed: bytes before, names, bytes behind (RFC 3597, 4). */
static const struct layout {
	uint16_t type;
	uint8_t before, names, behind;
} layouts[] = {
	{DNS_NS, 0, 1, 0}, {3, 0, 1, 0}, {4, 0, 1, 0}, {DNS_CNAME, 0, 1, 0}, {DNS_SOA, 0, 2, 20}, {7, 0, 1, 0},
	{8, 0, 1, 0}, {9, 0, 1, 0}, {DNS_PTR, 0, 1, 0}, {14, 0, 2, 0}, {DNS_MX, 2, 1, 0}, {DNS_RP, 0, 2, 0},
	{DNS_AFSDB, 2, 1, 0}, {DNS_RT, 2, 1, 0}, {DNS_PX, 2, 2, 0}, {DNS_SRV, 6, 1, 0}, {DNS_KX, 2, 1, 0},
	{DNS_DNAME, 0, 1, 0},
};

enum fate { PASS, STRIP, BAD };

struct filter {
	const struct dns_zone *z;
	struct slice reply;
	struct buf *out;
	const struct dns_name *question;
	unsigned stripped, opts;
	bool rewrite;
};

static const struct layout *layout_of(uint16_t type)
{
	size_t i;

	for (i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (layouts[i].type == type)
			return &layouts[i];
	}
	return NULL;
}

static bool bad_v4(const struct dns_zone *z, const uint8_t *p)
{
	uint32_t v4 = get_be32(p);

	return v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 16 == 0xa9fe || names_covers_v4(z->names, v4);
}

static bool bad_v6(const struct dns_zone *z, const uint8_t *p)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

	if (get_be64(p) == 0)	/* ::, ::1, and all ways to put IPv4 behind zeros */
		return true;
	if (memcmp(p, nat64, 12) == 0 && bad_v4(z, p + 12))
		return true;
	return (p[0] == 0xfe && (p[1] & 0xc0) == 0x80) || names_covers_v6(z->names, p);
}

/* Whether the suffix lies below the name, so that an alias of everything below the name leads there. */
static bool above_suffix(const struct dns_name *n, const char *suffix)
{
	for (;;) {
		if (dns_name_under(n, 0, suffix))
			return true;
		suffix = strchr(suffix, '.');
		if (suffix == NULL)
			return n->labels == 0;
		suffix++;
	}
}

static bool in_suffix(const struct filter *f, const struct dns_name *n)
{
	unsigned before;

	return dns_name_in_suffix(n, f->z->suffix, &before);
}

/* Service records: the target, and the addresses that a browser may take instead of asking (RFC 9460). */
static enum fate judge_service(const struct filter *f, const struct dns_record *r)
{
	struct slice until = slice_of(f->reply.ptr, r->data + r->data_len);
	size_t at = r->data + 2, i;
	struct dns_name target;
	struct reader in;

	if (r->data_len < 3 || dns_name_read(&target, until, &at, true) < 0 || in_suffix(f, &target))
		return STRIP;
	in = reader_of(slice_sub(until, at, SIZE_MAX));
	while (in.left > 0 && !in.failed) {
		uint16_t key = read_be16(&in), len = read_be16(&in);
		const uint8_t *p = read_bytes(&in, len);
		size_t step = key == SVCB_IPV4HINT ? 4 : key == SVCB_IPV6HINT ? 16 : 0;

		if (p == NULL || (step != 0 && (len == 0 || len % step != 0)))
			return STRIP;
		for (i = 0; step != 0 && i < len; i += step) {
			if (step == 4 ? bad_v4(f->z, p + i) : bad_v6(f->z, p + i))
				return STRIP;
		}
	}
	return in.failed ? STRIP : PASS;
}

static enum fate judge_names(const struct filter *f, const struct dns_record *r, const struct layout *l)
{
	struct slice until = slice_of(f->reply.ptr, r->data + r->data_len);
	size_t at = r->data + l->before;
	enum fate fate = PASS;
	struct dns_name n;
	unsigned i;

	for (i = 0; i < l->names; i++) {
		if (dns_name_read(&n, until, &at, false) < 0)
			return BAD;
		if (in_suffix(f, &n) || (r->type == DNS_DNAME && above_suffix(&n, f->z->suffix)))
			fate = STRIP;
	}
	return at + l->behind == until.len ? fate : BAD;
}

static enum fate judge(const struct filter *f, const struct dns_record *r)
{
	const struct layout *l = layout_of(r->type);
	const uint8_t *data = f->reply.ptr + r->data;
	enum fate fate = PASS;

	if (r->type == DNS_OPT)
		return r->name.labels == 0 ? PASS : BAD;
	if (l != NULL)
		fate = judge_names(f, r, l);
	else if (r->type == DNS_A)
		fate = r->data_len != 4 ? BAD : bad_v4(f->z, data) ? STRIP : PASS;
	else if (r->type == DNS_AAAA)
		fate = r->data_len != 16 ? BAD : bad_v6(f->z, data) ? STRIP : PASS;
	else if (r->type == DNS_A6)
		fate = STRIP;	/* nobody uses it any more, but as a way around AAAA */
	else if (r->type == DNS_SVCB || r->type == DNS_HTTPS)
		fate = judge_service(f, r);
	return fate == PASS && in_suffix(f, &r->name) ? STRIP : fate;
}

/* Signatures over what was left out, and types that may have compressed names where a layout is too simple. */
static bool lost_in_rewriting(uint16_t type)
{
	return type == DNS_RRSIG || type == DNS_SIG || type == DNS_NXT || type == DNS_NAPTR;
}

static void write_name(struct filter *f, const struct dns_name *n)
{
	if (n->labels > 0 && dns_name_equal(n, f->question))
		buf_put_u16be(f->out, 0xc000 | DNS_HEADER_LEN);
	else
		buf_put(f->out, n->wire, n->len);
}

static void write_record(struct filter *f, const struct dns_record *r)
{
	const struct layout *l = layout_of(r->type);
	size_t len_at, at = r->data;
	struct dns_name n;
	unsigned i;

	write_name(f, &r->name);
	buf_put_u16be(f->out, r->type);
	buf_put_u16be(f->out, r->class);
	buf_put_u32be(f->out, r->ttl);
	len_at = f->out->len;
	buf_put_u16be(f->out, 0);
	if (l != NULL) {
		buf_put(f->out, f->reply.ptr + at, l->before);
		at += l->before;
		for (i = 0; i < l->names; i++) {
			/* It was read before, in judge_names. */
			if (dns_name_read(&n, f->reply, &at, false) == 0)
				buf_put(f->out, n.wire, n.len);
		}
	}
	buf_put(f->out, f->reply.ptr + at, r->data + r->data_len - at);
	if (!f->out->failed)
		put_be16(f->out->ptr + len_at, (uint16_t)(f->out->len - len_at - 2));
}

/* All records of the reply, counted or written; counts gets how many are left of each section. -1: malformed. */
static int walk(struct filter *f, size_t at, uint16_t counts[static 3])
{
	struct dns_record r;
	unsigned section, i;

	f->stripped = f->opts = 0;
	for (section = 0; section < 3; section++) {
		unsigned count = get_be16(f->reply.ptr + 6 + 2 * section);

		counts[section] = 0;
		for (i = 0; i < count; i++) {
			enum fate fate;

			if (dns_record_read(&r, f->reply, &at) < 0 || (fate = judge(f, &r)) == BAD)
				return -1;
			if (r.type == DNS_OPT && (section != 2 || ++f->opts > 1))
				return -1;
			f->stripped += fate == STRIP;
			if (fate == STRIP || (f->rewrite && lost_in_rewriting(r.type)))
				continue;
			counts[section]++;
			if (f->rewrite)
				write_record(f, &r);
		}
	}
	return at == f->reply.len ? 0 : -1;
}

/* The end of the reply's question, or 0 when the reply is none to the query. */
static size_t match(struct slice query, struct slice reply, struct dns_name *question)
{
	size_t at = DNS_HEADER_LEN;
	struct dns_query q;
	unsigned flags;

	if (query.len < DNS_HEADER_LEN || reply.len < DNS_HEADER_LEN || reply.len > DNS_TCP_MAX ||
	    dns_query_read(&q, query) != 0)
		return 0;
	flags = get_be16(reply.ptr + 2);
	if (dns_id(reply) != q.id || (flags & DNS_QR) == 0 || (flags & DNS_OPCODE) != 0 || get_be16(reply.ptr + 4) != 1)
		return 0;
	if (dns_name_read(question, reply, &at, true) < 0 || reply.len - at < 4 || !dns_name_equal(question, &q.name) ||
	    get_be16(reply.ptr + at) != q.type || get_be16(reply.ptr + at + 2) != q.class)
		return 0;
	if ((unsigned)get_be16(reply.ptr + 6) + get_be16(reply.ptr + 8) + get_be16(reply.ptr + 10) > DNS_RECORDS_MAX)
		return 0;
	return at + 4;
}

enum dns_filtered dns_filter_upstream(const struct dns_zone *z, struct slice query, struct slice reply, struct buf *out,
				      unsigned *stripped)
{
	struct filter f = {.z = z, .reply = reply, .out = out};
	struct dns_name question;
	uint16_t counts[3];
	size_t end = match(query, reply, &question);
	unsigned i;

	buf_clear(out);
	if (stripped != NULL)
		*stripped = 0;
	f.question = &question;
	if (end == 0 || walk(&f, end, counts) < 0)
		return DNS_BAD;
	if (stripped != NULL)
		*stripped = f.stripped;
	if (f.stripped == 0) {
		buf_put_slice(out, reply);
		return out->failed ? DNS_BAD : DNS_PASSED;
	}
	buf_put(out, reply.ptr, end);
	f.rewrite = true;
	if (walk(&f, end, counts) < 0 || out->failed) {
		dns_fail(z, query, out);	/* longer without compression than any message */
		return DNS_STRIPPED;
	}
	put_be16(out->ptr + 2, (uint16_t)(get_be16(out->ptr + 2) & ~DNS_AD));
	for (i = 0; i < 3; i++)
		put_be16(out->ptr + 6 + 2 * i, counts[i]);
	return DNS_STRIPPED;
}
