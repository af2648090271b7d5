/* Answers to queries for names and addresses of the mesh, and refusals of the others. */
#include "mesh/dns_wire.h"

#include <string.h>

#include "mesh/bytes.h"

#define POINTER(to) ((uint16_t)(0xc000 | (to)))
#define DNS_SUFFIX_LABELS 4
#define ARPA_V4_LABELS 4
#define ARPA_V6_LABELS 32
#define ARPA_V6_NET_LABELS 12	/* a network's /48 */

/* What a query's name turned out to be. */
struct found {
	bool ours;
	bool exists;	/* else NXDOMAIN */
	bool has_entry, reverse;
	bool apex;
	bool qualified;	/* the name means this entry only behind its network's label */
	struct names_entry entry;
	size_t zone;	/* where in the question's name the zone begins, for the SOA */
};

struct reply {
	const struct dns_zone *z;
	const struct dns_query *q;
	struct buf *out;
	uint16_t answers, authority;
};

uint16_t dns_id(struct slice message)
{
	return get_be16(message.ptr);
}

void dns_set_id(uint8_t *message, uint16_t id)
{
	put_be16(message, id);
}

int dns_suffix_check(struct slice suffix, struct error *err)
{
	static const char *const taken[] = {"arpa", "local", "localhost", "invalid"};
	struct slice last = SLICE_EMPTY;
	struct error why = ERROR_INIT;
	unsigned labels = 0;
	size_t i, from = 0;

	if (suffix.len > DNS_SUFFIX_MAX)
		return error_set(err, ERR_USAGE, "the suffix of names is longer than %d characters", DNS_SUFFIX_MAX);
	for (;;) {
		size_t dot = slice_find(suffix, '.', from);

		last = slice_sub(suffix, from, dot == SIZE_MAX ? SIZE_MAX : dot - from);
		if (++labels > DNS_SUFFIX_LABELS || mesh_name_check(last, "part of the suffix", &why) < 0) {
			error_set(err, ERR_USAGE, "'%.*s' is no suffix for names", SLICE_ARG(suffix));
			return error_hint(err, "one to four parts of a-z, 0-9 and hyphens, as 'mesh' or 'mesh.example.net'");
		}
		if (dot == SIZE_MAX)
			break;
		from = dot + 1;
	}
	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (slice_equal_str(last, taken[i])) {
			error_set(err, ERR_USAGE, "names under '%s' have a meaning of their own", taken[i]);
			return error_hint(err, "choose another suffix, as 'mesh'");
		}
	}
	return 0;
}

/* Header and question; the counts follow when the reply is whole. */
static void reply_begin(struct reply *r, struct slice query, uint16_t flags)
{
	const struct dns_query *q = r->q;

	buf_clear(r->out);
	buf_put_u16be(r->out, q->id);
	buf_put_u16be(r->out, (uint16_t)(DNS_QR | flags | (q->flags & (DNS_OPCODE | DNS_RD | DNS_CD)) |
					 (r->z->recursion ? DNS_RA : 0)));
	buf_put_u16be(r->out, q->question_len > 0 ? 1 : 0);
	buf_put_u16be(r->out, 0);
	buf_put_u32be(r->out, 0);
	buf_put(r->out, query.ptr + DNS_HEADER_LEN, q->question_len);
}

static void reply_end(struct reply *r, unsigned extended)
{
	if (r->q->edns) {
		buf_put_u8(r->out, 0);
		buf_put_u16be(r->out, DNS_OPT);
		buf_put_u16be(r->out, DNS_UDP_OURS);
		buf_put_u8(r->out, (uint8_t)extended);
		buf_put_u8(r->out, 0);
		buf_put_u16be(r->out, r->q->do_bit ? 0x8000 : 0);
		buf_put_u16be(r->out, 0);
	}
	put_be16(r->out->ptr + 6, r->answers);
	put_be16(r->out->ptr + 8, r->authority);
	put_be16(r->out->ptr + 10, r->q->edns ? 1 : 0);
}

static void plain_reply(const struct dns_zone *z, const struct dns_query *q, struct slice query, unsigned rcode,
			struct buf *out)
{
	struct reply r = {.z = z, .q = q, .out = out};

	reply_begin(&r, query, rcode & DNS_RCODE);
	reply_end(&r, rcode >> 4);
}

static void put_record(struct reply *r, size_t owner, uint16_t type, uint32_t ttl, struct slice data)
{
	buf_put_u16be(r->out, POINTER(owner));
	buf_put_u16be(r->out, type);
	buf_put_u16be(r->out, DNS_CLASS_IN);
	buf_put_u32be(r->out, ttl);
	buf_put_u16be(r->out, (uint16_t)data.len);
	buf_put_slice(r->out, data);
}

static void put_soa(struct reply *r, size_t zone)
{
	struct buf data = BUF_INIT(64);

	buf_put_u16be(&data, POINTER(zone));
	dns_put_text(&data, "nobody.invalid");
	buf_put_u32be(&data, 1);	/* serial: nothing is ever transferred */
	buf_put_u32be(&data, 3600);
	buf_put_u32be(&data, 1200);
	buf_put_u32be(&data, 604800);
	buf_put_u32be(&data, DNS_NEGATIVE_TTL_S);
	put_record(r, zone, DNS_SOA, DNS_NEGATIVE_TTL_S, buf_slice(&data));
	buf_release(&data);
}

static void put_label(struct buf *out, const char *label)
{
	buf_put_u8(out, (uint8_t)strlen(label));
	buf_put_str(out, label);
}

static void put_ptr(struct reply *r, const struct found *f)
{
	struct buf data = BUF_INIT(DNS_NAME_MAX);

	put_label(&data, f->entry.name);
	if (f->qualified)
		put_label(&data, names_network_label(f->entry.network));
	dns_put_text(&data, r->z->suffix);
	put_record(r, DNS_HEADER_LEN, DNS_PTR, DNS_TTL_S, buf_slice(&data));
	buf_release(&data);
	r->answers++;
}

/* The answers that a name has for the type asked; none is NODATA. */
static void put_answers(struct reply *r, const struct found *f)
{
	uint16_t type = r->q->type;
	uint8_t v4[4];

	if (f->apex && (type == DNS_SOA || type == DNS_ANY)) {
		put_soa(r, f->zone);
		r->answers++;
	}
	if (!f->has_entry)
		return;
	if (f->reverse) {
		if (type == DNS_PTR || type == DNS_ANY)
			put_ptr(r, f);
		return;
	}
	if (!f->entry.has_address)
		return;
	if (type == DNS_A || type == DNS_ANY) {
		put_be32(v4, f->entry.v4);
		put_record(r, DNS_HEADER_LEN, DNS_A, DNS_TTL_S, slice_of(v4, sizeof(v4)));
		r->answers++;
	}
	if (type == DNS_AAAA || type == DNS_ANY) {
		put_record(r, DNS_HEADER_LEN, DNS_AAAA, DNS_TTL_S, slice_of(f->entry.v6, sizeof(f->entry.v6)));
		r->answers++;
	}
}

/* A name below the suffix: one label is a name, two are a name and its network's label. */
static void find_forward(const struct dns_zone *z, const struct dns_name *n, unsigned before, struct found *f)
{
	char text[2 * DNS_LABEL_MAX + 2];
	size_t len = 0;
	unsigned i;

	f->ours = true;
	f->zone = DNS_HEADER_LEN + (before < n->labels ? n->label[before] : 0u);
	f->apex = f->exists = before == 0;
	if (before == 0 || before > 2)
		return;
	for (i = 0; i < before; i++) {
		struct slice label = dns_label(n, i);

		if (slice_find(label, '.', 0) != SIZE_MAX)
			return;
		if (i > 0)
			text[len++] = '.';
		memcpy(text + len, label.ptr, label.len);
		len += label.len;
	}
	f->has_entry = names_find(z->names, slice_of(text, len), &f->entry);
	f->exists = f->has_entry || (before == 1 && names_label_known(z->names, slice_of(text, len)));
}

/* "0" to "255" without zeros in front. */
static bool octet(struct slice label, uint32_t *out)
{
	size_t i;

	*out = 0;
	if (label.len == 0 || label.len > 3 || (label.len > 1 && label.ptr[0] == '0'))
		return false;
	for (i = 0; i < label.len; i++) {
		if (label.ptr[i] < '0' || label.ptr[i] > '9')
			return false;
		*out = *out * 10 + (uint32_t)(label.ptr[i] - '0');
	}
	return *out <= 255;
}

/* Whether the address found has a name that means this address and no other one; *f learns in which form. */
static bool has_name(const struct dns_zone *z, struct found *f)
{
	struct names_entry other;

	if (!f->entry.holds)
		return false;
	f->qualified = !names_find(z->names, slice_str(f->entry.name), &other) || other.network != f->entry.network;
	return !f->qualified || names_network_label(f->entry.network)[0] != '\0';
}

/*
 * An address backwards under in-addr.arpa. Parts of one, as 44.18.198, are ours if all below them is the mesh's; the
 * zone is the shortest of those.
 */
static void find_v4(const struct dns_zone *z, const struct dns_name *n, struct found *f)
{
	unsigned parts = n->labels - 2, used = parts < ARPA_V4_LABELS ? parts : ARPA_V4_LABELS, i, zone = 0;
	uint32_t v4 = 0, value;

	for (i = 0; i < used; i++) {
		if (!octet(dns_label(n, parts - 1 - i), &value))
			break;
		v4 |= value << (24 - 8 * i);
		if (zone == 0 && names_covers_v4_part(z->names, v4, 8 * (i + 1)))
			zone = i + 1;
	}
	if (zone == 0)
		return;
	f->ours = f->reverse = true;
	f->zone = DNS_HEADER_LEN + n->label[parts - zone];
	f->apex = parts == zone;	/* of a small range even a whole address, which then exists, named or not */
	f->exists = f->apex || (i == parts && parts < ARPA_V4_LABELS);
	if (i == ARPA_V4_LABELS && parts == ARPA_V4_LABELS)
		f->has_entry = names_of_v4(z->names, v4, &f->entry) && has_name(z, f);
	f->exists = f->exists || f->has_entry;
}

static void find_v6(const struct dns_zone *z, const struct dns_name *n, struct found *f)
{
	unsigned parts = n->labels - 2, used = parts < ARPA_V6_LABELS ? parts : ARPA_V6_LABELS, i;
	static const char digits[] = "0123456789abcdefABCDEF";
	uint8_t v6[16] = {0};

	if (parts < ARPA_V6_NET_LABELS)
		return;
	for (i = 0; i < used; i++) {
		struct slice label = dns_label(n, parts - 1 - i);
		const char *at = label.len == 1 && label.ptr[0] != 0 ? strchr(digits, label.ptr[0]) : NULL;
		unsigned value;

		if (at == NULL)
			break;
		value = (unsigned)(at - digits);
		value = value > 15 ? value - 6 : value;
		v6[i / 2] |= (uint8_t)(i % 2 == 0 ? value << 4 : value);
	}
	if (i < ARPA_V6_NET_LABELS || !names_covers_v6(z->names, v6))
		return;
	f->ours = f->reverse = true;
	f->zone = DNS_HEADER_LEN + n->label[parts - ARPA_V6_NET_LABELS];
	f->apex = parts == ARPA_V6_NET_LABELS;
	f->exists = i == parts && parts < ARPA_V6_LABELS;
	if (i == ARPA_V6_LABELS && parts == ARPA_V6_LABELS)
		f->has_entry = names_of_v6(z->names, v6, &f->entry) && has_name(z, f);
	f->exists = f->exists || f->has_entry;
}

static void find(const struct dns_zone *z, const struct dns_name *n, struct found *f)
{
	unsigned before;

	memset(f, 0, sizeof(*f));
	if (dns_name_in_suffix(n, z->suffix, &before))
		find_forward(z, n, before, f);
	else if (n->labels > 2 && dns_name_under(n, n->labels - 2, "in-addr.arpa"))
		find_v4(z, n, f);
	else if (n->labels > 2 && dns_name_under(n, n->labels - 2, "ip6.arpa"))
		find_v6(z, n, f);
}

enum dns_verdict dns_answer(const struct dns_zone *z, struct slice query, bool tcp, struct buf *out)
{
	struct dns_query q;
	struct reply r = {.z = z, .q = &q, .out = out};
	struct found f;
	int rcode;

	buf_clear(out);
	if (query.len < DNS_HEADER_LEN || (get_be16(query.ptr + 2) & DNS_QR) != 0 ||
	    query.len > (tcp ? DNS_TCP_MAX : DNS_UDP_MAX))
		return DNS_DROP;
	rcode = dns_query_read(&q, query);
	if (rcode == 0 && q.edns_version != 0)
		rcode = DNS_BADVERS;
	if (rcode == 0 && ((q.class != DNS_CLASS_IN && q.class != DNS_CLASS_ANY) || q.type == DNS_OPT ||
			   q.type == DNS_AXFR || q.type == DNS_IXFR))
		rcode = DNS_REFUSED;
	if (rcode != 0) {
		plain_reply(z, &q, query, (unsigned)rcode, out);
		return DNS_ANSWERED;
	}
	find(z, &q.name, &f);
	if (!f.ours)
		return DNS_FOREIGN;
	reply_begin(&r, query, (uint16_t)(DNS_AA | (f.exists ? DNS_NOERROR : DNS_NXDOMAIN)));
	put_answers(&r, &f);
	if (r.answers == 0) {
		put_soa(&r, f.zone);
		r.authority = 1;
	}
	reply_end(&r, 0);
	dns_truncate(out, tcp ? DNS_TCP_MAX : q.payload);
	return DNS_ANSWERED;
}

void dns_refuse(const struct dns_zone *z, struct slice query, struct buf *out)
{
	struct dns_query q;

	(void)!dns_query_read(&q, query);
	plain_reply(z, &q, query, DNS_REFUSED, out);
}

void dns_fail(const struct dns_zone *z, struct slice query, struct buf *out)
{
	struct dns_query q;

	(void)!dns_query_read(&q, query);
	plain_reply(z, &q, query, DNS_SERVFAIL, out);
}

size_t dns_reply_max(struct slice query, bool tcp)
{
	struct dns_query q;

	if (tcp)
		return DNS_TCP_MAX;
	(void)!dns_query_read(&q, query);
	return q.payload;
}

/* The OPT of a reply: where it is and how long; 0 when there is none or it is long itself. */
static size_t find_opt(struct slice message, size_t at, size_t *len)
{
	unsigned count = 0, i;
	struct dns_record r;

	for (i = 6; i < DNS_HEADER_LEN; i += 2)
		count += get_be16(message.ptr + i);
	for (; count > 0; count--) {
		size_t begin = at;

		if (dns_record_read(&r, message, &at) < 0)
			return 0;
		*len = at - begin;
		if (r.type == DNS_OPT && r.name.labels == 0 && *len <= 64)
			return begin;
	}
	return 0;
}

void dns_truncate(struct buf *reply, size_t max)
{
	size_t at = DNS_HEADER_LEN, opt, len = 0;
	struct dns_name n;

	if (reply->len <= max)
		return;
	if (get_be16(reply->ptr + 4) != 1 || dns_name_read(&n, buf_slice(reply), &at, true) < 0 ||
	    reply->len - at < 4) {
		put_be16(reply->ptr + 4, 0);
		at = DNS_HEADER_LEN;
	} else {
		at += 4;
	}
	opt = get_be16(reply->ptr + 4) == 1 ? find_opt(buf_slice(reply), at, &len) : 0;
	put_be16(reply->ptr + 2, get_be16(reply->ptr + 2) | DNS_TC);
	memset(reply->ptr + 6, 0, 6);
	if (opt != 0 && at + len <= max) {
		memmove(reply->ptr + at, reply->ptr + opt, len);
		at += len;
		put_be16(reply->ptr + 10, 1);
	}
	reply->len = at;
}

int dns_tcp_next(struct slice stream, struct slice *message, size_t *used)
{
	size_t len;

	if (stream.len < 2)
		return 0;
	len = get_be16(stream.ptr);
	if (len < DNS_HEADER_LEN)
		return -1;
	if (stream.len - 2 < len)
		return 0;
	*message = slice_sub(stream, 2, len);
	*used = 2 + len;
	return 1;
}

void dns_tcp_put(struct buf *out, struct slice message)
{
	buf_put_u16be(out, (uint16_t)message.len);
	buf_put_slice(out, message);
}
