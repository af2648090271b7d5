/*
 * Inner packets of the data plane: cutting and joining undo each other, checksums hold, and what contradicts
 * itself is refused.
 */
#include "mesh/plane_packet.h"

#include <endian.h>
#include <netinet/in.h>

#include "mesh/bytes.h"
#include "tap.h"

#define ROUNDS 4000

static uint32_t seed = 12345;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)seed * n) >> 32);
}

/* A buffer as the interface hands it over, and where its parts are. */
struct made {
	uint8_t b[TUN_HEADER_LEN + TUN_PACKET_MAX];
	size_t len;		/* with virtio_net_hdr */
	size_t l4, headers;	/* of the IP packet */
	bool six, udp;
};

static uint8_t *ip_of(struct made *m)
{
	return m->b + TUN_HEADER_LEN;
}

static void make_ip(struct made *m, size_t total)
{
	uint8_t *ip = ip_of(m);
	uint16_t sum;

	if (m->six) {
		ip[0] = 0x60;
		put_be16(ip + 4, (uint16_t)(total - 40));
		ip[6] = m->udp ? IPPROTO_UDP : IPPROTO_TCP;
		ip[7] = 64;
		for (int i = 8; i < 40; i++)
			ip[i] = (uint8_t)(i * 7);
		return;
	}
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)total);
	put_be16(ip + 4, (uint16_t)rnd(65536));
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = m->udp ? IPPROTO_UDP : IPPROTO_TCP;
	put_be32(ip + 12, 0xc6120009);
	put_be32(ip + 16, 0xc6120011);
	sum = (uint16_t)~plane_sum_fold(plane_sum(ip, 20, 0));
	memcpy(ip + 10, &sum, 2);
}

/* A buffer with so much payload, to be cut into `segment` (0: a single packet), its checksum open. */
static void make(struct made *m, bool six, bool udp, size_t payload, uint16_t segment)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_size = htole16(segment)};
	size_t options = udp ? 0 : rnd(2) * 12;
	uint8_t *l4;

	memset(m, 0, sizeof(*m));
	m->six = six;
	m->udp = udp;
	m->l4 = six ? 40 : 20;
	m->headers = m->l4 + (udp ? 8 : 20 + options);
	make_ip(m, m->headers + payload);
	m->len = TUN_HEADER_LEN + m->headers + payload;
	l4 = ip_of(m) + m->l4;
	put_be16(l4, 40000);
	put_be16(l4 + 2, 445);
	if (udp) {
		put_be16(l4 + 4, (uint16_t)(8 + payload));
	} else {
		put_be32(l4 + 4, 0xffffff00 + rnd(512));
		put_be32(l4 + 8, rnd(UINT32_MAX));
		l4[12] = (uint8_t)((20 + options) / 4 << 4);
		l4[13] = (uint8_t)(0x10 | (rnd(2) != 0 ? 8 : 0) | (rnd(4) == 0 ? 1 : 0) | (rnd(8) == 0 ? 0x80 : 0));
		put_be16(l4 + 14, 501);
		memset(l4 + 20, 1, options);
	}
	for (size_t i = 0; i < payload; i++)
		ip_of(m)[m->headers + i] = (uint8_t)(i * 31 + (i >> 8));
	if (segment != 0)
		h.gso_type = udp ? 5 : six ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	h.csum_start = htole16((uint16_t)m->l4);
	h.csum_offset = htole16(udp ? 6 : 16);
	memcpy(m->b, &h, sizeof(h));
}

static size_t gather(const struct iovec *iov, int n, uint8_t *out)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

/* Cut it, join the packets, and see whether what would be written says what was read. */
static void there_and_back(struct made *m, size_t size)
{
	static uint8_t packets[200000], back[TUN_HEADER_LEN + TUN_PACKET_MAX];
	struct plane_buffer b;
	struct plane_cut c;
	struct plane_join j = {.count = 0};
	struct virtio_net_hdr h;
	size_t n, used = 0, count = 0, len, payload = m->len - TUN_HEADER_LEN - m->headers;
	bool joined = true;

	CHECK(plane_buffer_parse(m->b, m->len, &b));
	CHECK(b.open && b.headers == m->headers);
	plane_cut_start(&c, &b, size);
	while ((n = plane_cut_next_len(&c)) > 0) {
		struct plane_packet p;
		uint8_t *at = packets + used;

		plane_cut_next(&c, at);
		CHECK(plane_packet_parse(at, n, &p) && p.len == n);
		CHECK(m->six || plane_sum_fold(plane_sum(at, 20, 0)) == 0xffff);
		/* A first one that nothing may follow (it says FIN or PSH alone) is the only one. */
		if (count == 0)
			CHECK(plane_join_start(&j, &p, at, true, true));
		else
			joined &= plane_join_add(&j, &p, true);
		used += n;
		count++;
	}
	CHECK(count == (payload + size - 1) / size);
	CHECK(joined && j.count == count);
	len = gather(j.iov, plane_join_finish(&j), back);
	CHECK(len == m->len);
	memcpy(&h, back, sizeof(h));
	CHECK(h.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM && le16toh(h.csum_start) == m->l4);
	CHECK(count == 1 || (le16toh(h.gso_size) == size && le16toh(h.hdr_len) == m->headers));
	/* All but the transport checksum, which begins anew, is as it was. */
	memset(back + TUN_HEADER_LEN + m->l4 + (m->udp ? 6 : 16), 0, 2);
	CHECK(memcmp(back + TUN_HEADER_LEN, ip_of(m), m->len - TUN_HEADER_LEN) == 0);
}

TEST(what_is_cut_is_joined_again)
{
	static struct made m;

	for (int i = 0; i < ROUNDS; i++) {
		bool udp = rnd(2) != 0, six = rnd(2) != 0;
		uint16_t size = (uint16_t)(500 + rnd(900));
		size_t most = 64u * size < 65000 ? 64u * size : 65000;

		make(&m, six, udp, size + 1 + rnd((uint32_t)(most - size - 1)), size);
		there_and_back(&m, size);
		if (tap_failures > 0)
			return;
	}
}

TEST(a_narrow_path_gets_smaller_segments)
{
	static struct made m;

	for (int i = 0; i < 100; i++) {
		make(&m, i % 2 != 0, false, 20000, 1368);
		there_and_back(&m, 900);
	}
}

TEST(sums_are_those_of_the_rfc)
{
	/* RFC 1071, 3: the sum of these is ddf2. */
	static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t folded[2];
	uint16_t sum = plane_sum_fold(plane_sum(bytes, sizeof(bytes), 0));

	memcpy(folded, &sum, 2);
	CHECK(folded[0] == 0xdd && folded[1] == 0xf2);
}

/* Word by word, as the RFC says it, against the wide one. */
TEST(wide_sums_equal_narrow_ones)
{
	uint8_t bytes[300];

	for (int i = 0; i < 2000; i++) {
		size_t n = rnd(sizeof(bytes));
		uint32_t sum = 0;
		uint8_t folded[2];
		uint16_t got;

		for (size_t k = 0; k < n; k++)
			bytes[k] = rnd(4) == 0 ? 0xff : (uint8_t)rnd(256);
		for (size_t k = 0; k + 1 < n; k += 2)
			sum += get_be16(bytes + k);
		if (n % 2 != 0)
			sum += (uint32_t)bytes[n - 1] << 8;
		while (sum >> 16 != 0)
			sum = (sum & 0xffff) + (sum >> 16);
		got = plane_sum_fold(plane_sum(bytes, n, 0));
		memcpy(folded, &got, 2);
		CHECK(get_be16(folded) == sum);
	}
}

TEST(checksums_are_filled_and_verified)
{
	static struct made m;
	struct plane_packet p;

	for (int i = 0; i < 400; i++) {
		size_t at;

		make(&m, rnd(2) != 0, rnd(2) != 0, 1 + rnd(1400), 0);
		CHECK(plane_packet_parse(ip_of(&m), m.len - TUN_HEADER_LEN, &p));
		plane_checksum_fill(&p, ip_of(&m));
		CHECK(plane_checksum_good(&p));
		at = p.l4 + rnd((uint32_t)(p.len - p.l4));
		ip_of(&m)[at] ^= (uint8_t)(1 + rnd(255));
		CHECK(!plane_checksum_good(&p));
	}
}

/* Each breaks one thing of a good buffer. */
TEST(buffers_that_contradict_themselves_are_refused)
{
	static struct made m;
	struct virtio_net_hdr *h = (void *)m.b;
	struct plane_buffer b;

	for (int defect = 0; defect < 12; defect++) {
		make(&m, false, false, 5000, 1000);
		CHECK(plane_buffer_parse(m.b, m.len, &b));
		switch (defect) {
		case 0: m.len = 9; break;
		case 1: m.len = TUN_HEADER_LEN + 19; break;
		case 2: m.len -= 1; break;	/* less than the header says */
		case 3: h->gso_size = 0; break;
		case 4: h->gso_type = VIRTIO_NET_HDR_GSO_TCPV6; break;
		case 5: h->gso_type = 5; break;
		case 6: h->gso_type = 77; break;
		case 7: h->flags = 0; break;		/* large, and yet not open */
		case 8: ip_of(&m)[0] = 0x55; break;
		case 9: ip_of(&m)[0] = 0x41; break;	/* an IP header of 4 bytes */
		case 10: ip_of(&m)[20 + 12] = 0x10; break;	/* a TCP header of 4 bytes */
		case 11: ip_of(&m)[6] = 0x20; break;	/* a fragment */
		}
		CHECK(!plane_buffer_parse(m.b, m.len, &b));
	}
	make(&m, false, false, 5, 1000);
	ip_of(&m)[20 + 12] = 0xf0;	/* a TCP header beyond the end */
	CHECK(!plane_buffer_parse(m.b, m.len, &b));
	make(&m, false, true, 100, 0);
	h->csum_start = htole16(126);
	h->csum_offset = htole16(1);
	CHECK(!plane_buffer_parse(m.b, m.len, &b));
}

/* What the flag cannot say is computed: here of ICMP, as nobody asks for it in earnest. */
TEST(an_open_checksum_elsewhere_is_completed)
{
	static struct made m;
	struct virtio_net_hdr *h = (void *)m.b;
	struct plane_buffer b;

	make(&m, false, true, 64, 0);
	ip_of(&m)[9] = IPPROTO_ICMP;
	h->csum_offset = htole16(2);
	memset(ip_of(&m) + 22, 0, 2);
	CHECK(plane_buffer_parse(m.b, m.len, &b) && !b.open);
	CHECK(plane_sum_fold(plane_sum(ip_of(&m) + 20, 72, 0)) == 0xffff);
}

/* The i-th segment of a flow, in its own room, with a computed checksum where it is not open. */
static void segment(struct made *m, struct plane_packet *p, bool udp, uint32_t i, size_t payload)
{
	seed = 99;
	make(m, false, udp, payload, 0);
	put_be16(ip_of(m) + 4, 7);
	if (!udp) {
		put_be32(ip_of(m) + 24, 1000 + i * 1000);
		ip_of(m)[33] = 0x10;
	}
	CHECK(plane_packet_parse(ip_of(m), m->len - TUN_HEADER_LEN, p));
}

TEST(only_the_next_of_the_same_flow_joins)
{
	static struct made a, b;
	struct plane_packet p, q;
	struct plane_join j;

	for (int defect = 0; defect < 16; defect++) {
		uint8_t *ip = ip_of(&b);
		bool udp = defect >= 12;

		segment(&a, &p, udp, 0, 1000);
		segment(&b, &q, udp, 1, 1000);
		CHECK(plane_join_start(&j, &p, ip_of(&a), true, true));
		switch (defect) {
		case 1: ip[20]++; break;			/* port */
		case 2: put_be32(ip + 24, 2001); break;		/* sequence */
		case 3: ip[31]++; break;			/* acknowledgement */
		case 4: ip[35]++; break;			/* window */
		case 5: ip[33] |= 2; break;			/* SYN */
		case 6: ip[33] |= 0x20; break;			/* URG */
		case 7: ip[33] |= 0x40; break;			/* ECE */
		case 8: ip[8]--; break;				/* TTL */
		case 9: ip[1] = 3; break;			/* class */
		case 10: ip[15]++; break;			/* source */
		case 11: ip[6] = 0; break;			/* DF */
		case 13: ip[23]++; break;			/* port, UDP */
		case 14: ip[25]++; break;			/* its length */
		case 15: ip[9] = IPPROTO_TCP; break;
		}
		CHECK((plane_packet_parse(ip, b.len - TUN_HEADER_LEN, &q) && plane_join_add(&j, &q, true)) ==
		      (defect == 0 || defect == 12));
	}
}

TEST(sizes_end_a_join)
{
	static struct made a, b;
	struct plane_packet p, q;
	struct plane_join j;

	segment(&a, &p, false, 0, 1000);
	segment(&b, &q, false, 1, 1001);
	CHECK(plane_join_start(&j, &p, ip_of(&a), true, true));
	CHECK(!plane_join_add(&j, &q, true));
	segment(&b, &q, false, 1, 999);
	CHECK(plane_join_add(&j, &q, true));
	put_be32(ip_of(&b) + 24, 1000 + 1999);
	CHECK(!plane_join_add(&j, &q, true));
	/* UDP only where the kernel takes it. */
	segment(&a, &p, true, 0, 1000);
	CHECK(plane_join_start(&j, &p, ip_of(&a), true, false));
	CHECK(!plane_join_add(&j, &p, true));
	CHECK(plane_join_start(&j, &p, ip_of(&a), true, true));
	for (int i = 1; i < 64; i++)
		CHECK(plane_join_add(&j, &p, true));
	CHECK(!plane_join_add(&j, &p, true));
}

/* The sum of a packet that came with one is dropped when it joins, so a wrong one must stay alone. */
TEST(a_wrong_checksum_does_not_join)
{
	static struct made a, b;
	struct plane_packet p, q;
	struct plane_join j;

	segment(&a, &p, false, 0, 1000);
	segment(&b, &q, false, 1, 1000);
	plane_checksum_fill(&p, ip_of(&a));
	CHECK(plane_join_start(&j, &p, ip_of(&a), false, true) && j.joinable);
	CHECK(!plane_join_add(&j, &q, false));
	plane_checksum_fill(&q, ip_of(&b));
	CHECK(plane_join_add(&j, &q, false));
	ip_of(&a)[100] ^= 1;
	CHECK(plane_join_start(&j, &p, ip_of(&a), false, true) && !j.joinable);
	CHECK(plane_join_finish(&j) == 2 && j.head.flags == 0);
	/* "Not computed" of what has none. */
	ip_of(&a)[9] = IPPROTO_ICMP;
	CHECK(plane_packet_parse(ip_of(&a), p.len, &p));
	CHECK(!plane_join_start(&j, &p, ip_of(&a), true, true));
}

TEST(headers_of_ipv6_are_walked)
{
	uint8_t ip[120] = {0x60, [5] = 80, [6] = 0, [7] = 64};
	struct plane_packet p;

	ip[8] = ip[24] = 0xfd;
	ip[40] = IPPROTO_DSTOPTS;	/* hop-by-hop, 8 bytes */
	ip[48] = IPPROTO_FRAGMENT;	/* for the destination, 16 bytes */
	ip[49] = 1;
	ip[64] = IPPROTO_UDP;		/* first fragment, more follow */
	ip[67] = 1;
	CHECK(plane_packet_parse(ip, sizeof(ip), &p));
	CHECK(p.l4 == 72 && p.protocol == IPPROTO_UDP && p.fragment);
	put_be16(ip + 66, 32);
	CHECK(plane_packet_parse(ip, sizeof(ip), &p) && p.l4 == 120);
	ip[49] = 200;			/* beyond the end */
	CHECK(!plane_packet_parse(ip, sizeof(ip), &p));
	ip[49] = 1;
	CHECK(!plane_packet_parse(ip, 119, &p));
	CHECK(!plane_packet_parse(ip, 39, &p));
}

TEST(a_syn_is_clamped)
{
	static struct made m;
	struct plane_packet p;
	uint8_t *tcp;

	make(&m, false, false, 0, 0);
	tcp = ip_of(&m) + 20;
	/* Rebuilt with an option: 24 bytes of TCP. */
	make_ip(&m, 44);
	tcp[12] = 0x60;
	tcp[13] = 2;
	tcp[20] = 2;
	tcp[21] = 4;
	put_be16(tcp + 22, 1460);
	CHECK(plane_packet_parse(ip_of(&m), 44, &p));
	plane_checksum_fill(&p, ip_of(&m));
	plane_clamp_mss(&p, ip_of(&m), 1280, false);
	CHECK(get_be16(tcp + 22) == 1240 && plane_checksum_good(&p));
	plane_clamp_mss(&p, ip_of(&m), 1500, false);
	CHECK(get_be16(tcp + 22) == 1240);
	/* An option that runs past the header changes nothing. */
	tcp[21] = 40;
	put_be16(tcp + 22, 1460);
	plane_clamp_mss(&p, ip_of(&m), 1280, true);
	CHECK(get_be16(tcp + 22) == 1460);
}

/*
 * Bytes without any sense, and good buffers with a few bytes changed: read, cut and joined, nothing of it goes
 * astray.
 */
TEST(garbage_goes_nowhere)
{
	static struct made m;
	static uint8_t out[TUN_PACKET_MAX + PLANE_HEADERS_MAX];

	for (int i = 0; i < 20000; i++) {
		struct plane_buffer b;
		struct plane_join j;
		struct plane_cut c;
		size_t n, payload = 0;

		make(&m, rnd(2) != 0, rnd(2) != 0, 1 + rnd(6000), (uint16_t)rnd(1500));
		for (uint32_t k = rnd(6); k > 0; k--)
			m.b[rnd(90)] = (uint8_t)rnd(256);
		if (rnd(4) == 0)
			m.len = rnd((uint32_t)m.len);
		if (!plane_buffer_parse(m.b, m.len, &b))
			continue;
		CHECK(b.packet.len <= m.len - TUN_HEADER_LEN && b.packet.l4 <= b.packet.len);
		if (b.packet.segment == 0) {
			if (plane_join_start(&j, &b.packet, ip_of(&m), b.open, true))
				CHECK(plane_join_finish(&j) == 2);
			continue;
		}
		plane_cut_start(&c, &b, b.packet.segment);
		while ((n = plane_cut_next_len(&c)) > 0) {
			plane_cut_next(&c, out);
			payload += n - b.headers;
		}
		CHECK(payload == b.packet.len - b.headers);
	}
}

