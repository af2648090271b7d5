/* Addresses and ports of packets, read and changed, with the checksums that cover them. */
#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"
#include "mesh/plane_packet.h"
#include "mesh/redirect_internal.h"

#define EXTENSIONS_MAX 8
#define ICMP_HEADER 8

/* ---- reading ---- */

static size_t address_len(unsigned version)
{
	return version == 4 ? 4 : 16;
}

static size_t source_at(unsigned version)
{
	return version == 4 ? 12 : 8;
}

static struct redirect_address read_address(const uint8_t *ip, unsigned version, size_t at)
{
	struct redirect_address a = {.version = (uint8_t)version};

	memcpy(a.bytes, ip + at, address_len(version));
	return a;
}

struct redirect_address redirect_source(const struct plane_packet *p)
{
	return read_address(p->ip, p->version, source_at(p->version));
}

struct redirect_address redirect_target(const struct plane_packet *p)
{
	return read_address(p->ip, p->version, source_at(p->version) + address_len(p->version));
}

bool redirect_same(const struct redirect_address *a, const struct redirect_address *b)
{
	return a->version == b->version && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void redirect_turn(const struct ends *e, struct ends *out)
{
	*out = (struct ends){.from = e->to, .to = e->from, .from_port = e->to_port, .to_port = e->from_port,
			     .protocol = e->protocol};
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

bool redirect_ends(const struct plane_packet *p, struct ends *out)
{
	if (!has_ports(p->protocol) || p->len < p->l4 + (p->protocol == IPPROTO_TCP ? 20u : 8u))
		return false;
	*out = (struct ends){.from = redirect_source(p), .to = redirect_target(p), .from_port = get_be16(p->ip + p->l4),
			     .to_port = get_be16(p->ip + p->l4 + 2), .protocol = p->protocol};
	return true;
}

/* Where the fragment header of IPv6 is; 0: there is none. */
static size_t fragment_header(const struct plane_packet *p)
{
	size_t at = 40;
	uint8_t next = p->ip[6];

	for (int i = 0; i < EXTENSIONS_MAX && at + 8 <= p->len; i++) {
		if (next == IPPROTO_FRAGMENT)
			return at;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return 0;
		next = p->ip[at];
		at += 8 + (size_t)p->ip[at + 1] * 8;
	}
	return 0;
}

uint32_t redirect_fragment_id(const struct plane_packet *p)
{
	size_t at;

	if (p->version == 4)
		return get_be16(p->ip + 4);
	at = fragment_header(p);
	return at == 0 ? 0 : get_be32(p->ip + at + 4);
}

bool redirect_is_later_fragment(const struct plane_packet *p)
{
	size_t at;

	if (!p->fragment)
		return false;
	if (p->version == 4)
		return (get_be16(p->ip + 6) & 0x1fff) != 0;
	at = fragment_header(p);
	return at != 0 && (get_be16(p->ip + at + 2) & 0xfff8) != 0;
}

/* ---- checksums ---- */

/* The checksum at `field` after n bytes that it covers have become others (RFC 1624). n is even. */
static void replace(uint8_t *field, const uint8_t *old, const uint8_t *new, size_t n)
{
	uint16_t sum, gone = plane_sum_fold(plane_sum(old, n, 0));

	memcpy(&sum, field, 2);
	sum = (uint16_t)~plane_sum_fold(plane_sum(new, n, (uint64_t)(uint16_t)~sum + (uint16_t)~gone));
	memcpy(field, &sum, 2);
}

/* The checksum of the transport, in a packet that has it: also of first fragments, which plane_checksum_at leaves out. */
static uint8_t *transport_sum(const struct plane_packet *p, uint8_t *ip)
{
	if (p->partial || p->l4 >= p->len)
		return NULL;
	if (p->protocol == IPPROTO_TCP)
		return p->len >= p->l4 + 20u ? ip + p->l4 + 16 : NULL;
	/* To UDP over IPv4, zero means that there is none. */
	if (p->protocol != IPPROTO_UDP || p->len < p->l4 + 8u || get_be16(ip + p->l4 + 6) == 0)
		return NULL;
	return ip + p->l4 + 6;
}

static void never_zero(const struct plane_packet *p, uint8_t *sum)
{
	if (p->protocol == IPPROTO_UDP && get_be16(sum) == 0)
		put_be16(sum, 0xffff);
}

static void write_address(struct plane_packet *p, size_t at, const struct redirect_address *a, uint8_t *sum)
{
	size_t n = address_len(p->version);

	if (p->version == 4)
		replace(p->bytes + 10, p->bytes + at, a->bytes, n);
	if (sum != NULL)
		replace(sum, p->bytes + at, a->bytes, n);
	memcpy(p->bytes + at, a->bytes, n);
}

void redirect_write(struct plane_packet *p, const struct ends *to)
{
	uint8_t *sum = transport_sum(p, p->bytes), ports[4];
	size_t at = source_at(p->version);

	write_address(p, at, &to->from, sum);
	write_address(p, at + address_len(p->version), &to->to, sum);
	put_be16(ports, to->from_port);
	put_be16(ports + 2, to->to_port);
	if (sum != NULL)
		replace(sum, p->bytes + p->l4, ports, 4);
	memcpy(p->bytes + p->l4, ports, 4);
	if (sum != NULL)
		never_zero(p, sum);
}

void redirect_write_addresses(struct plane_packet *p, const struct redirect_address *from, const struct redirect_address *to)
{
	size_t at = source_at(p->version);

	write_address(p, at, from, NULL);
	write_address(p, at + address_len(p->version), to, NULL);
}

/* ---- errors of ICMP ---- */

static bool is_error(const struct plane_packet *p)
{
	uint8_t type = p->len > p->l4 ? p->ip[p->l4] : 0;

	if (p->fragment || p->len < p->l4 + ICMP_HEADER + 20u)
		return false;
	if (p->version == 4)
		return p->protocol == IPPROTO_ICMP && (type == 3 || type == 11 || type == 12);
	return p->protocol == IPPROTO_ICMPV6 && type >= 1 && type <= 4;
}

/* The packet that an error quotes, cut off anywhere behind its ports. */
static bool parse_quoted(const struct plane_packet *p, struct plane_packet *out)
{
	const uint8_t *ip = p->ip + p->l4 + ICMP_HEADER;
	size_t len = p->len - p->l4 - ICMP_HEADER, header = p->version == 4 ? (size_t)(ip[0] & 15) * 4 : 40;

	if (ip[0] >> 4 != p->version || header < 20 || len < header + 8)
		return false;
	*out = (struct plane_packet){.ip = ip, .len = len, .version = p->version, .l4 = (uint16_t)header,
				     .protocol = p->version == 4 ? ip[9] : ip[6]};
	/* A later fragment has no ports. */
	return has_ports(out->protocol) && (p->version == 6 || (get_be16(ip + 6) & 0x1fff) == 0);
}

bool redirect_quoted(const struct plane_packet *p, struct ends *out)
{
	struct plane_packet q;

	if (!is_error(p) || !parse_quoted(p, &q))
		return false;
	*out = (struct ends){.from = redirect_source(&q), .to = redirect_target(&q), .from_port = get_be16(q.ip + q.l4),
			     .to_port = get_be16(q.ip + q.l4 + 2), .protocol = q.protocol};
	return true;
}

/* An error is small and rare: its whole sum costs nothing that would be felt. */
static void sum_icmp(struct plane_packet *p)
{
	uint8_t *field = p->bytes + p->l4 + 2;
	size_t n = p->len - p->l4;
	uint16_t sum;

	memset(field, 0, 2);
	sum = (uint16_t)~plane_sum_fold(plane_sum(p->bytes + p->l4, n, p->version == 4 ? 0 : plane_sum_pseudo(p, n)));
	memcpy(field, &sum, 2);
}

void redirect_write_error(struct plane_packet *p, const struct ends *to, const struct redirect_address *outer_from,
			  const struct redirect_address *outer_to)
{
	struct plane_packet q;

	if (!parse_quoted(p, &q))
		return;
	q.bytes = p->bytes + (q.ip - p->ip);
	redirect_write(&q, to);
	redirect_write_addresses(p, outer_from, outer_to);
	sum_icmp(p);
}
