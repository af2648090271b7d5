/* Cutting a large buffer into packets, and joining packets into one: what a network card does for its kernel. */
#include "mesh/plane_packet.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_ECE 0x40
#define TCP_CWR 0x80

/* IPv4 without "do not fragment" must count its ids; with it they say nothing (RFC 6864). */
#define IP4_DF 0x40

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* Bytes up to the payload of TCP or UDP, or 0 where the headers are not whole. */
static size_t headers_of(const struct plane_packet *p)
{
	size_t room = p->len - p->l4, len = 8;

	if (plane_checksum_at(p) == 0)
		return 0;
	if (p->protocol == IPPROTO_TCP)
		len = (size_t)(p->ip[p->l4 + 12] >> 4) * 4;
	else if (get_be16(p->ip + p->l4 + 4) != room)
		return 0;
	return len >= 8 && len <= room && (p->protocol == IPPROTO_UDP || len >= 20) ? p->l4 + len : 0;
}

/* Does the kind of segmentation belong to this packet? */
static bool kind_fits(const struct plane_packet *p, uint8_t kind)
{
	switch (kind) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return p->version == 4 && p->protocol == IPPROTO_TCP;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return p->version == 6 && p->protocol == IPPROTO_TCP;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return p->protocol == IPPROTO_UDP;
	default:
		return false;
	}
}

/*
 * UDP's own length field: of a buffer it is that of all, except that kernels differ for buffers of many datagrams. Ours to
 * set again in each, so only the single datagram must be right.
 */
static bool buffer_headers(struct plane_buffer *b, const struct virtio_net_hdr *h)
{
	struct plane_packet *p = &b->packet;
	size_t len = p->protocol == IPPROTO_TCP && plane_checksum_at(p) != 0 ? (size_t)(p->ip[p->l4 + 12] >> 4) * 4 : 8;

	if (plane_checksum_at(p) == 0 || h->gso_size == 0 || (p->protocol == IPPROTO_TCP && len < 20) ||
	    len > p->len - p->l4 || p->l4 + len > PLANE_HEADERS_MAX)
		return false;
	b->headers = p->l4 + len;
	/* One that is not longer than a segment is a packet as any other. */
	p->segment = p->len - b->headers > h->gso_size ? h->gso_size : 0;
	return true;
}

/* The checksum of [start, len) as it was asked for, wherever it goes. */
static bool complete(uint8_t *ip, size_t len, size_t start, size_t at)
{
	uint16_t sum;

	if (start >= len || at + 2 > len - start)
		return false;
	sum = (uint16_t)~plane_sum_fold(plane_sum(ip + start, len - start, 0));
	if (sum == 0)
		sum = 0xffff;
	memcpy(ip + start + at, &sum, 2);
	return true;
}

bool plane_buffer_parse(uint8_t *buffer, size_t len, struct plane_buffer *out)
{
	uint8_t *ip = buffer + TUN_HEADER_LEN;
	struct virtio_net_hdr h;
	uint8_t kind;

	if (len < TUN_HEADER_LEN)
		return false;
	memcpy(&h, buffer, sizeof(h));
	h.gso_size = le16toh(h.gso_size);
	h.csum_start = le16toh(h.csum_start);
	h.csum_offset = le16toh(h.csum_offset);
	kind = (uint8_t)(h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN);
	*out = (struct plane_buffer){.open = (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0};
	if (!plane_packet_parse(ip, len - TUN_HEADER_LEN, &out->packet))
		return false;
	if (kind != VIRTIO_NET_HDR_GSO_NONE &&
	    (!kind_fits(&out->packet, kind) || !out->open || !buffer_headers(out, &h)))
		return false;
	if (!out->open)
		return true;
	if (h.csum_start == out->packet.l4 && h.csum_offset == plane_checksum_at(&out->packet) && h.csum_offset != 0)
		return true;
	out->open = false;
	return kind == VIRTIO_NET_HDR_GSO_NONE && complete(ip, out->packet.len, h.csum_start, h.csum_offset);
}

void plane_cut_start(struct plane_cut *c, const struct plane_buffer *b, size_t size)
{
	const uint8_t *ip = b->packet.ip, *l4 = ip + b->packet.l4;

	*c = (struct plane_cut){.from = b, .size = size, .payload = b->packet.len - b->headers};
	if (b->packet.protocol == IPPROTO_TCP) {
		c->seq = get_be32(l4 + 4);
		c->flags = l4[13];
	}
	if (b->packet.version == 4) {
		c->id = get_be16(ip + 4);
		/* All but total length (2), id (4) and checksum (10). */
		c->sum = plane_sum_fold(plane_sum(ip, 2, 0) + plane_sum(ip + 6, 4, 0) +
					plane_sum(ip + 12, b->packet.l4 - 12u, 0));
	}
}

size_t plane_cut_next_len(const struct plane_cut *c)
{
	size_t left = c->payload - c->at;

	if (left == 0)
		return 0;
	return c->from->headers + (left < c->size ? left : c->size);
}

void plane_cut_next(struct plane_cut *c, uint8_t *out)
{
	const struct plane_packet *p = &c->from->packet;
	size_t headers = c->from->headers, left = c->payload - c->at, n = left < c->size ? left : c->size;
	uint8_t *l4 = out + p->l4;

	memcpy(out, p->ip, headers);
	memcpy(out + headers, p->ip + headers + c->at, n);
	if (p->version == 4) {
		uint16_t sum;

		put_be16(out + 2, (uint16_t)(headers + n));
		put_be16(out + 4, c->id++);
		sum = (uint16_t)~plane_sum_fold(plane_sum(out + 2, 4, c->sum));
		memcpy(out + 10, &sum, 2);
	} else {
		put_be16(out + 4, (uint16_t)(headers + n - 40));
	}
	if (p->protocol == IPPROTO_TCP) {
		put_be32(l4 + 4, c->seq + (uint32_t)c->at);
		/* What ends the flow or wants to be read belongs to the last, the answer to congestion to the first. */
		l4[13] = (uint8_t)(c->flags & ~((n < left ? TCP_FIN | TCP_PSH : 0) | (c->at > 0 ? TCP_CWR : 0)));
		memset(l4 + 16, 0, 2);
	} else {
		put_be16(l4 + 4, (uint16_t)(headers + n - p->l4));
		memset(l4 + 6, 0, 2);
	}
	c->at += n;
}

/* May this packet be part of a large buffer at all? */
static bool may_join(const struct plane_packet *p, size_t headers, bool udp)
{
	if (headers == 0 || p->len == headers || p->l4 != (p->version == 4 ? 20 : 40))
		return false;
	if (p->protocol == IPPROTO_UDP)
		return udp;
	return (p->ip[p->l4 + 13] & ~(TCP_FIN | TCP_PSH | TCP_ECE | TCP_CWR)) == TCP_ACK;
}

bool plane_join_start(struct plane_join *j, const struct plane_packet *p, uint8_t *ip, bool open, bool udp)
{
	size_t headers = headers_of(p);

	if (open && headers == 0)
		return false;
	j->first = *p;
	j->ip = ip;
	j->count = 1;
	j->headers = headers;
	j->size = j->payload = p->len - headers;
	j->open = open;
	j->flags = p->protocol == IPPROTO_TCP && headers != 0 ? ip[p->l4 + 13] : 0;
	j->iov[1] = (struct iovec){ip, p->len};
	/* The sum of one that came computed is dropped when it is joined, so it must be known to be right. */
	j->joinable = may_join(p, headers, udp) && (j->flags & (TCP_FIN | TCP_PSH)) == 0 &&
		      (open || plane_checksum_good(p));
	return true;
}

static bool same_ip(const struct plane_join *j, const struct plane_packet *p)
{
	const uint8_t *a = j->ip, *b = p->ip;

	if (p->version == 4) {
		/* Version and class; flags, TTL and protocol; both addresses. */
		if (memcmp(a, b, 2) != 0 || memcmp(a + 6, b + 6, 4) != 0 || memcmp(a + 12, b + 12, 8) != 0)
			return false;
		return (a[6] & IP4_DF) != 0 || get_be16(b + 4) == (uint16_t)(get_be16(a + 4) + j->count);
	}
	return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 34) == 0;
}

/* The next one of the same TCP flow, alike in all that a cut buffer has alike: ports, acknowledgement, window, options. */
static bool same_tcp(const struct plane_join *j, const struct plane_packet *p)
{
	const uint8_t *a = j->ip + p->l4, *b = p->ip + p->l4;

	return memcmp(a, b, 4) == 0 && get_be32(b + 4) == get_be32(a + 4) + (uint32_t)j->payload && memcmp(a + 8, b + 8, 5) == 0 &&
	       (((a[13] & ~TCP_CWR) ^ b[13]) & ~(TCP_FIN | TCP_PSH)) == 0 && memcmp(a + 14, b + 14, 2) == 0 &&
	       memcmp(a + 18, b + 18, j->headers - p->l4 - 18) == 0;
}

bool plane_join_add(struct plane_join *j, const struct plane_packet *p, bool open)
{
	size_t n = p->len - j->headers;

	if (j->count == 0 || !j->joinable || j->count == PLANE_JOIN_MAX || p->len <= j->headers || n > j->size ||
	    p->protocol != j->first.protocol || p->version != j->first.version || p->l4 != j->first.l4 || p->fragment ||
	    p->len + j->payload > TUN_PACKET_MAX || headers_of(p) != j->headers || !same_ip(j, p))
		return false;
	if (p->protocol == IPPROTO_TCP ? !same_tcp(j, p) : memcmp(j->ip + p->l4, p->ip + p->l4, 4) != 0)
		return false;
	if (!open && !plane_checksum_good(p))
		return false;
	j->iov[1 + j->count++] = (struct iovec){(uint8_t *)(uintptr_t)(p->ip + j->headers), n};
	j->payload += n;
	if (p->protocol == IPPROTO_TCP)
		j->flags |= p->ip[p->l4 + 13];
	j->joinable = n == j->size && (j->flags & (TCP_FIN | TCP_PSH)) == 0;
	return true;
}

/* Lengths, flags and the header's checksum of one buffer out of many packets. */
static void set_lengths(struct plane_join *j)
{
	uint8_t *ip = j->ip, *l4 = ip + j->first.l4;
	size_t total = j->headers + j->payload;

	if (j->first.version == 4) {
		uint16_t sum;

		put_be16(ip + 2, (uint16_t)total);
		memset(ip + 10, 0, 2);
		sum = (uint16_t)~plane_sum_fold(plane_sum(ip, 20, 0));
		memcpy(ip + 10, &sum, 2);
	} else {
		put_be16(ip + 4, (uint16_t)(total - 40));
	}
	if (j->first.protocol == IPPROTO_TCP)
		l4[13] = j->flags;
	else
		put_be16(l4 + 4, (uint16_t)(total - j->first.l4));
}

static void set_segments(struct plane_join *j)
{
	j->head.gso_size = htole16((uint16_t)j->size);
	j->head.hdr_len = htole16((uint16_t)j->headers);
	if (j->first.protocol == IPPROTO_UDP)
		j->head.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	else
		j->head.gso_type = j->first.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	if (j->flags & TCP_CWR)
		j->head.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
}

int plane_join_finish(struct plane_join *j)
{
	int n = 1 + (int)j->count;

	memset(&j->head, 0, sizeof(j->head));
	j->iov[0] = (struct iovec){&j->head, sizeof(j->head)};
	if (j->count > 1) {
		set_lengths(j);
		set_segments(j);
	}
	if (j->open || j->count > 1) {
		size_t at = j->first.protocol == IPPROTO_TCP ? 16 : 6;
		/* What an open checksum begins with; the kernel, or its card, adds the rest. */
		uint16_t sum = plane_sum_fold(plane_sum_pseudo(&j->first, j->headers + j->payload - j->first.l4));

		memcpy(j->ip + j->first.l4 + at, &sum, 2);
		j->head.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		j->head.csum_start = htole16(j->first.l4);
		j->head.csum_offset = htole16((uint16_t)at);
	}
	j->count = 0;
	return n;
}
