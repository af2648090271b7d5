/* Headers of the packets inside the mesh: IPv4, IPv6, and of TCP, UDP and ICMP what says whom they are for. */
#include "mesh/inner.h"

#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"

#define IPV4_HEADER 20
#define IPV6_HEADER 40
/* An error quotes at least these bytes of the transport header (RFC 792). */
#define QUOTED_MIN 8

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137 };

/* Source routes would take an answer past whoever judged the packet; the rest is the hosts' own. */
static enum inner_fault options4(const uint8_t *o, size_t len)
{
	size_t at = 0;

	while (at < len && o[at] != OPTION_END) {
		if (o[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (o[at] == OPTION_LSRR || o[at] == OPTION_SSRR)
			return INNER_OPTION;
		if (len - at < 2 || o[at + 1] < 2 || o[at + 1] > len - at)
			return INNER_OPTION;
		at += o[at + 1];
	}
	return INNER_OK;
}

static enum inner_fault addresses4(const struct inner *p)
{
	/* "This network", loopback, multicast and what lies above it, broadcast with it. */
	if (p->source[0] == 0 || p->source[0] == 127 || p->source[0] >= 224)
		return INNER_ADDRESS;
	return p->target[0] == 0 || p->target[0] == 127 || p->target[0] >= 224 ? INNER_ADDRESS : INNER_OK;
}

/* Unspecified, loopback, IPv4-mapped and its kin (::/64), and multicast. */
static bool no_host6(const uint8_t a[static 16])
{
	static const uint8_t zeros[8];

	return a[0] == 0xff || memcmp(a, zeros, sizeof(zeros)) == 0;
}

/* offset in bytes; the part has `room` bytes behind the headers of IP. */
static enum inner_fault fragment(struct inner *p, uint32_t id, size_t offset, bool more, size_t room)
{
	if (offset == 0 && !more)
		return INNER_OK;
	p->fragmented = true;
	p->fragment_id = id;
	p->fragment_offset = (uint16_t)offset;
	if (offset == 0)
		return INNER_OK;
	if (offset < INNER_FRAGMENT_MIN || room == 0 || offset + room > UINT16_MAX)
		return INNER_FRAGMENT;
	p->kind = INNER_LATER_FRAGMENT;
	return INNER_OK;
}

/* have: bytes that are there, which for a quoted packet may be fewer than its length. */
static enum inner_fault parse4(struct inner *p, const uint8_t *ip, size_t have, bool quoted)
{
	size_t header = (size_t)(ip[0] & 15) * 4;
	unsigned bits = get_be16(ip + 6);
	enum inner_fault f;

	p->version = 4;
	p->address_len = 4;
	p->length = get_be16(ip + 2);
	p->protocol = ip[9];
	p->source = ip + 12;
	p->target = ip + 16;
	p->transport = header;
	if (header < IPV4_HEADER || p->length < header)
		return INNER_LENGTH;
	if (header > have || (!quoted && p->length > have))
		return INNER_SHORT;
	if ((f = options4(ip + IPV4_HEADER, header - IPV4_HEADER)) != INNER_OK || (f = addresses4(p)) != INNER_OK)
		return f;
	return fragment(p, get_be16(ip + 4), (size_t)(bits & 0x1fff) * 8, (bits & 0x2000) != 0, p->length - header);
}

/* One extension header at p->transport; *next becomes what follows it. */
static enum inner_fault extension(struct inner *p, const uint8_t *ip, size_t end, uint8_t *next)
{
	const uint8_t *h = ip + p->transport;
	uint8_t kind = *next;
	size_t len = 8;

	if (end - p->transport < 8)
		return INNER_SHORT;
	/* RFC 8200 4.1: only directly behind the header. */
	if (kind == IPPROTO_HOPOPTS && p->transport != IPV6_HEADER)
		return INNER_EXTENSION;
	/* RFC 5095, and the newer ones alike: the packet is not for whom it says. */
	if (kind == IPPROTO_ROUTING)
		return INNER_EXTENSION;
	/* A second fragment header could hide a later fragment in a first one. */
	if (kind == IPPROTO_FRAGMENT && p->fragmented)
		return INNER_EXTENSION;
	if (kind != IPPROTO_FRAGMENT)
		len += (size_t)h[1] * 8;
	if (len > end - p->transport)
		return INNER_SHORT;
	p->transport += len;
	*next = h[0];
	if (p->transport - IPV6_HEADER > INNER_EXTENSIONS_LEN_MAX)
		return INNER_EXTENSION;
	if (kind != IPPROTO_FRAGMENT)
		return INNER_OK;
	return fragment(p, get_be32(h + 4), get_be16(h + 2) & 0xfff8, (h[3] & 1) != 0, p->length - p->transport);
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT;
}

static enum inner_fault parse6(struct inner *p, const uint8_t *ip, size_t have, bool quoted)
{
	uint8_t next = ip[6];
	enum inner_fault f;
	size_t end;

	p->version = 6;
	p->address_len = 16;
	p->length = IPV6_HEADER + (size_t)get_be16(ip + 4);
	p->source = ip + 8;
	p->target = ip + 24;
	p->transport = IPV6_HEADER;
	if (!quoted && p->length > have)
		return INNER_SHORT;
	if (no_host6(p->source) || no_host6(p->target))
		return INNER_ADDRESS;
	end = p->length < have ? p->length : have;
	for (unsigned n = 0; is_extension(next) && p->kind != INNER_LATER_FRAGMENT; n++) {
		if (n == INNER_EXTENSIONS_MAX)
			return INNER_EXTENSION;
		if ((f = extension(p, ip, end, &next)) != INNER_OK)
			return f;
	}
	p->protocol = next;
	return INNER_OK;
}

static enum inner_fault tcp(struct inner *p, const uint8_t *t, size_t room, bool quoted)
{
	size_t header;

	if (room < (quoted ? QUOTED_MIN : 20))
		return p->fragmented ? INNER_FRAGMENT : INNER_SHORT;
	p->kind = INNER_TCP;
	p->source_port = get_be16(t);
	p->target_port = get_be16(t + 2);
	if (quoted)
		return INNER_OK;
	header = (size_t)(t[12] >> 4) * 4;
	p->tcp_flags = t[13];
	if (header < 20)
		return INNER_LENGTH;
	if (header > room)
		return p->fragmented ? INNER_FRAGMENT : INNER_LENGTH;
	if ((t[13] & (INNER_SYN | INNER_RST | INNER_ACK)) == 0)
		return INNER_FLAGS;
	return (t[13] & INNER_SYN) != 0 && (t[13] & (INNER_FIN | INNER_RST)) != 0 ? INNER_FLAGS : INNER_OK;
}

static enum inner_fault udp(struct inner *p, const uint8_t *t, size_t room)
{
	if (room < 8)
		return p->fragmented ? INNER_FRAGMENT : INNER_SHORT;
	p->kind = INNER_UDP;
	p->source_port = get_be16(t);
	p->target_port = get_be16(t + 2);
	return INNER_OK;
}

/* RFC 792, RFC 4443: redirects and quenches, which steer the host, are neither echo nor error here. */
static enum inner_kind icmp_kind(uint8_t version, uint8_t type)
{
	if (version == 4) {
		switch (type) {
		case 0: return INNER_ECHO_REPLY;
		case 8: return INNER_ECHO_REQUEST;
		case 3: case 11: case 12: return INNER_ERROR;
		default: return INNER_OTHER;
		}
	}
	switch (type) {
	case 1: case 2: case 3: case 4: return INNER_ERROR;
	case 128: return INNER_ECHO_REQUEST;
	case 129: return INNER_ECHO_REPLY;
	default: return INNER_OTHER;
	}
}

static enum inner_fault icmp(struct inner *p, const uint8_t *t, size_t room)
{
	if (room < 8)
		return p->fragmented ? INNER_FRAGMENT : INNER_SHORT;
	p->icmp_type = t[0];
	p->icmp_code = t[1];
	p->kind = icmp_kind(p->version, t[0]);
	if (p->kind == INNER_ECHO_REQUEST || p->kind == INNER_ECHO_REPLY)
		p->echo_id = get_be16(t + 4);
	/* RFC 1122 and RFC 4443 keep errors small: one in parts has something to hide. */
	return p->kind == INNER_ERROR && p->fragmented ? INNER_FRAGMENT : INNER_OK;
}

static enum inner_fault parse(struct inner *p, const uint8_t *ip, size_t have, bool quoted)
{
	enum inner_fault f;
	const uint8_t *t;
	size_t room;

	*p = (struct inner){.kind = INNER_OTHER};
	if (have < 1)
		return INNER_SHORT;
	if (ip[0] >> 4 != 4 && ip[0] >> 4 != 6)
		return INNER_VERSION;
	if (have < (ip[0] >> 4 == 4 ? IPV4_HEADER : IPV6_HEADER))
		return INNER_SHORT;
	f = ip[0] >> 4 == 4 ? parse4(p, ip, have, quoted) : parse6(p, ip, have, quoted);
	if (f != INNER_OK)
		return f;
	if (p->kind == INNER_LATER_FRAGMENT) {
		p->transport = p->length;
		return INNER_OK;
	}
	room = p->length < have ? p->length : have;
	room = room > p->transport ? room - p->transport : 0;
	t = ip + p->transport;
	if (p->protocol == IPPROTO_TCP)
		return tcp(p, t, room, quoted);
	if (p->protocol == IPPROTO_UDP)
		return udp(p, t, room);
	if (p->protocol == (p->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return icmp(p, t, room);
	return INNER_OK;
}

enum inner_fault inner_parse(struct inner *out, const uint8_t *ip, size_t len)
{
	return parse(out, ip, len, false);
}

enum inner_fault inner_parse_quoted(struct inner *out, const struct inner *error, const uint8_t *ip)
{
	size_t at = error->transport + 8;
	enum inner_fault f;

	if (error->kind != INNER_ERROR || at >= error->length)
		return INNER_QUOTE;
	f = parse(out, ip + at, error->length - at, true);
	if (f != INNER_OK)
		return f;
	if (out->version != error->version || memcmp(out->source, error->target, error->address_len) != 0)
		return INNER_QUOTE;
	switch (out->kind) {
	case INNER_TCP: case INNER_UDP: case INNER_ECHO_REQUEST: case INNER_ECHO_REPLY:
		return INNER_OK;
	default:
		return INNER_QUOTE;
	}
}

const char *inner_fault_text(enum inner_fault f)
{
	static const char *const texts[] = {
		[INNER_OK] = "nothing is wrong with it",
		[INNER_SHORT] = "a header is cut off",
		[INNER_VERSION] = "it is neither IPv4 nor IPv6",
		[INNER_LENGTH] = "its lengths contradict each other",
		[INNER_OPTION] = "an option is malformed, or a source route",
		[INNER_EXTENSION] = "its extension headers are too many, misplaced, or a route",
		[INNER_FRAGMENT] = "a fragment cuts headers or replaces them",
		[INNER_FLAGS] = "no TCP sends such flags",
		[INNER_ADDRESS] = "an address in it is not that of one host",
		[INNER_QUOTE] = "an ICMP error quotes nothing that was sent from here",
	};

	return (size_t)f < ARRAY_SIZE(texts) ? texts[f] : "unknown";
}
