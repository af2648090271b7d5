/*
 * Packets for tests of the filter. Hosts are small numbers: 198.18.0.N and fd12:3456:789a:N::1. ver is 4 or 6.
 * Checksums of TCP and UDP stay zero, as they do in packets from an interface that computes them.
 */
#ifndef MESHANICS_TESTS_INNER_KIT_H
#define MESHANICS_TESTS_INNER_KIT_H

#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"
#include "mesh/inner.h"

#define PKT_ACK INNER_ACK
#define PKT_SYN INNER_SYN
#define PKT_SYNACK (INNER_SYN | INNER_ACK)
#define PKT_FINACK (INNER_FIN | INNER_ACK)
#define PKT_RST INNER_RST

struct pkt {
	uint8_t b[4096];
	size_t len;
	size_t l4;
};

static inline void pkt_address(uint8_t *out, int ver, unsigned host)
{
	static const uint8_t prefix[6] = {0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a};

	if (ver == 4) {
		put_be32(out, 0xc6120000 + host);
		return;
	}
	memset(out, 0, 16);
	memcpy(out, prefix, 6);
	put_be16(out + 6, (uint16_t)host);
	out[15] = 1;
}

/* Headers of IP for `content` bytes of transport, which are zero. */
static inline void pkt_ip(struct pkt *p, int ver, unsigned from, unsigned to, uint8_t protocol, size_t content)
{
	memset(p, 0, sizeof(*p));
	p->l4 = ver == 4 ? 20 : 40;
	p->len = p->l4 + content;
	if (ver == 4) {
		p->b[0] = 0x45;
		put_be16(p->b + 2, (uint16_t)p->len);
		p->b[8] = 64;
		p->b[9] = protocol;
		pkt_address(p->b + 12, 4, from);
		pkt_address(p->b + 16, 4, to);
	} else {
		p->b[0] = 0x60;
		put_be16(p->b + 4, (uint16_t)content);
		p->b[6] = protocol;
		p->b[7] = 64;
		pkt_address(p->b + 8, 6, from);
		pkt_address(p->b + 24, 6, to);
	}
}

static inline void pkt_tcp(struct pkt *p, int ver, unsigned from, unsigned from_port, unsigned to, unsigned to_port, uint8_t flags)
{
	pkt_ip(p, ver, from, to, IPPROTO_TCP, 20);
	put_be16(p->b + p->l4, (uint16_t)from_port);
	put_be16(p->b + p->l4 + 2, (uint16_t)to_port);
	put_be32(p->b + p->l4 + 4, 0x01020304);
	put_be32(p->b + p->l4 + 8, 0x0a0b0c0d);
	p->b[p->l4 + 12] = 0x50;
	p->b[p->l4 + 13] = flags;
}

static inline void pkt_udp(struct pkt *p, int ver, unsigned from, unsigned from_port, unsigned to, unsigned to_port)
{
	pkt_ip(p, ver, from, to, IPPROTO_UDP, 24);
	put_be16(p->b + p->l4, (uint16_t)from_port);
	put_be16(p->b + p->l4 + 2, (uint16_t)to_port);
	put_be16(p->b + p->l4 + 4, 24);
}

static inline void pkt_icmp(struct pkt *p, int ver, unsigned from, unsigned to, uint8_t type, uint8_t code, size_t content)
{
	pkt_ip(p, ver, from, to, ver == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 8 + content);
	p->b[p->l4] = type;
	p->b[p->l4 + 1] = code;
}

static inline void pkt_echo(struct pkt *p, int ver, unsigned from, unsigned to, bool reply, unsigned id)
{
	pkt_icmp(p, ver, from, to, ver == 4 ? (reply ? 0 : 8) : reply ? 129 : 128, 0, 16);
	put_be16(p->b + p->l4 + 4, (uint16_t)id);
}

/* "Port unreachable" about the first `quoted` bytes of `about`. */
static inline void pkt_error(struct pkt *p, int ver, unsigned from, unsigned to, const struct pkt *about, size_t quoted)
{
	pkt_icmp(p, ver, from, to, ver == 4 ? 3 : 1, ver == 4 ? 3 : 4, quoted);
	memcpy(p->b + p->l4 + 8, about->b, quoted);
}

/* Put an extension header of IPv6 in front of the transport. len: a multiple of 8. */
static inline void pkt_extend(struct pkt *p, uint8_t kind, size_t len)
{
	memmove(p->b + 40 + len, p->b + 40, p->len - 40);
	memset(p->b + 40, 0, len);
	p->b[40] = p->b[6];
	p->b[41] = (uint8_t)(kind == IPPROTO_FRAGMENT ? 0 : len / 8 - 1);
	p->b[6] = kind;
	p->len += len;
	p->l4 += len;
	put_be16(p->b + 4, (uint16_t)(p->len - 40));
}

/* Make it a fragment; offset in bytes. */
static inline void pkt_fragment(struct pkt *p, unsigned id, size_t offset, bool more)
{
	if (p->b[0] >> 4 == 4) {
		put_be16(p->b + 4, (uint16_t)id);
		put_be16(p->b + 6, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
		return;
	}
	pkt_extend(p, IPPROTO_FRAGMENT, 8);
	put_be16(p->b + 42, (uint16_t)(offset | (more ? 1 : 0)));
	put_be32(p->b + 44, id);
}

#endif
