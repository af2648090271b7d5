/* Inner packets: what is read from their headers, and what is refused. */
#include "inner_kit.h"
#include "tap.h"

/* From a copy of exactly its length, so that a read past the end is seen. */
static enum inner_fault parse_exact(struct inner *out, const struct pkt *p)
{
	uint8_t *exact = malloc(p->len == 0 ? 1 : p->len);
	enum inner_fault f;

	memcpy(exact, p->b, p->len);
	f = inner_parse(out, exact, p->len);
	free(exact);
	return f;
}

#define CHECK_FAULT(p, want) CHECK_INT(parse_exact(&in, (p)), (want))

TEST(tcp_udp_and_echo_are_read)
{
	struct inner in;
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_tcp(&p, ver, 9, 40000, 1, 22, PKT_SYN);
		CHECK_INT(inner_parse(&in, p.b, p.len), INNER_OK);
		CHECK(in.kind == INNER_TCP && in.version == ver && in.source_port == 40000 && in.target_port == 22);
		CHECK(in.tcp_flags == PKT_SYN && !in.fragmented && in.length == p.len && in.transport == p.l4);
		CHECK(in.source == p.b + (ver == 4 ? 12 : 8) && in.target == in.source + in.address_len);
		pkt_udp(&p, ver, 9, 5353, 1, 53);
		CHECK_INT(inner_parse(&in, p.b, p.len), INNER_OK);
		CHECK(in.kind == INNER_UDP && in.source_port == 5353 && in.target_port == 53);
		pkt_echo(&p, ver, 9, 1, false, 77);
		CHECK_INT(inner_parse(&in, p.b, p.len), INNER_OK);
		CHECK(in.kind == INNER_ECHO_REQUEST && in.echo_id == 77);
		pkt_echo(&p, ver, 9, 1, true, 77);
		CHECK_INT(inner_parse(&in, p.b, p.len), INNER_OK);
		CHECK(in.kind == INNER_ECHO_REPLY && in.echo_id == 77);
	}
}

TEST(a_buffer_of_many_segments_is_read_by_its_headers)
{
	static uint8_t big[65535];
	struct inner in;
	struct pkt p;

	pkt_tcp(&p, 4, 9, 40000, 1, 22, PKT_ACK);
	memcpy(big, p.b, p.len);
	put_be16(big + 2, 65535);
	CHECK_INT(inner_parse(&in, big, sizeof(big)), INNER_OK);
	CHECK(in.kind == INNER_TCP && in.length == 65535);
	CHECK_INT(inner_parse(&in, big, sizeof(big) - 1), INNER_SHORT);
	pkt_udp(&p, 6, 9, 1, 1, 2);
	memcpy(big, p.b, p.len);
	put_be16(big + 4, 60000);
	CHECK_INT(inner_parse(&in, big, 60040), INNER_OK);
	CHECK(in.kind == INNER_UDP && in.length == 60040);
}

TEST(every_cut_of_a_packet_is_refused)
{
	struct pkt p, cut;
	struct inner in;

	for (int ver = 4; ver <= 6; ver += 2) {
		for (int kind = 0; kind < 3; kind++) {
			if (kind == 0)
				pkt_tcp(&p, ver, 9, 1, 1, 2, PKT_ACK);
			else if (kind == 1)
				pkt_udp(&p, ver, 9, 1, 1, 2);
			else
				pkt_echo(&p, ver, 9, 1, false, 3);
			for (size_t n = 0; n < p.len; n++) {
				cut = p;
				cut.len = n;
				CHECK(parse_exact(&in, &cut) != INNER_OK);
			}
		}
		/* The same where the header admits it. */
		pkt_tcp(&p, ver, 9, 1, 1, 2, PKT_ACK);
		for (size_t n = p.l4; n < p.len; n++) {
			cut = p;
			cut.len = n;
			put_be16(cut.b + (ver == 4 ? 2 : 4), (uint16_t)(ver == 4 ? n : n - 40));
			CHECK_FAULT(&cut, INNER_SHORT);
		}
	}
}

TEST(lengths_and_versions_that_lie_are_refused)
{
	struct inner in;
	struct pkt p;

	pkt_tcp(&p, 4, 9, 1, 1, 2, PKT_ACK);
	p.b[0] = 0x44;
	CHECK_FAULT(&p, INNER_LENGTH);
	p.b[0] = 0x4f;
	CHECK_FAULT(&p, INNER_LENGTH);
	p.b[0] = 0x55;
	CHECK_FAULT(&p, INNER_VERSION);
	pkt_tcp(&p, 4, 9, 1, 1, 2, PKT_ACK);
	put_be16(p.b + 2, 19);
	CHECK_FAULT(&p, INNER_LENGTH);
	pkt_tcp(&p, 6, 9, 1, 1, 2, PKT_ACK);
	p.b[p.l4 + 12] = 0x40;
	CHECK_FAULT(&p, INNER_LENGTH);
	p.b[p.l4 + 12] = 0x60;
	CHECK_FAULT(&p, INNER_LENGTH);
}

TEST(flags_that_no_tcp_sends_are_refused)
{
	static const uint8_t wrong[] = {0, INNER_FIN, INNER_SYN | INNER_FIN, INNER_SYN | INNER_RST, 0x28, 0xff};
	static const uint8_t right[] = {PKT_SYN, PKT_SYNACK, PKT_ACK, PKT_FINACK, PKT_RST, PKT_RST | PKT_ACK, 0x18, PKT_SYN | 0xc0};
	struct inner in;
	struct pkt p;

	for (size_t i = 0; i < sizeof(wrong); i++) {
		pkt_tcp(&p, 4, 9, 1, 1, 2, wrong[i]);
		CHECK_FAULT(&p, INNER_FLAGS);
	}
	for (size_t i = 0; i < sizeof(right); i++) {
		pkt_tcp(&p, 6, 9, 1, 1, 2, right[i]);
		CHECK_FAULT(&p, INNER_OK);
	}
}

/* A TCP packet with 4 bytes of options of IP. */
static void with_options(struct pkt *p, const uint8_t o[4])
{
	pkt_tcp(p, 4, 9, 1, 1, 22, PKT_SYN);
	memmove(p->b + 24, p->b + 20, 20);
	memcpy(p->b + 20, o, 4);
	p->b[0] = 0x46;
	p->len = 44;
	put_be16(p->b + 2, 44);
}

TEST(options_of_ipv4)
{
	static const uint8_t right[][4] = {{1, 1, 1, 0}, {148, 4, 0, 0}, {0, 0xff, 0xff, 0xff}, {1, 7, 3, 4}};
	static const uint8_t wrong[][4] = {{131, 3, 4, 0}, {137, 3, 4, 0}, {7, 0, 0, 0}, {7, 1, 0, 0}, {7, 5, 0, 0}, {1, 1, 1, 7}};
	struct inner in;
	struct pkt p;

	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		with_options(&p, right[i]);
		CHECK_FAULT(&p, INNER_OK);
		CHECK(in.target_port == 22);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		with_options(&p, wrong[i]);
		CHECK_FAULT(&p, INNER_OPTION);
	}
}

TEST(extension_headers_of_ipv6)
{
	struct inner in;
	struct pkt p;

	pkt_tcp(&p, 6, 9, 1, 1, 22, PKT_SYN);
	pkt_extend(&p, IPPROTO_DSTOPTS, 16);
	pkt_extend(&p, IPPROTO_HOPOPTS, 8);
	CHECK_FAULT(&p, INNER_OK);
	CHECK(in.kind == INNER_TCP && in.target_port == 22 && in.transport == 64);
	pkt_extend(&p, IPPROTO_HOPOPTS, 8);
	CHECK_FAULT(&p, INNER_EXTENSION);

	pkt_tcp(&p, 6, 9, 1, 1, 22, PKT_SYN);
	pkt_extend(&p, IPPROTO_ROUTING, 8);
	CHECK_FAULT(&p, INNER_EXTENSION);

	pkt_tcp(&p, 6, 9, 1, 1, 22, PKT_SYN);
	for (int i = 0; i < INNER_EXTENSIONS_MAX; i++)
		pkt_extend(&p, IPPROTO_DSTOPTS, 8);
	CHECK_FAULT(&p, INNER_OK);
	pkt_extend(&p, IPPROTO_DSTOPTS, 8);
	CHECK_FAULT(&p, INNER_EXTENSION);

	pkt_tcp(&p, 6, 9, 1, 1, 22, PKT_SYN);
	pkt_extend(&p, IPPROTO_DSTOPTS, INNER_EXTENSIONS_LEN_MAX);
	CHECK_FAULT(&p, INNER_OK);
	pkt_extend(&p, IPPROTO_DSTOPTS, 8);
	CHECK_FAULT(&p, INNER_EXTENSION);

	/* One that says it is longer than the packet. */
	pkt_tcp(&p, 6, 9, 1, 1, 22, PKT_SYN);
	pkt_extend(&p, IPPROTO_DSTOPTS, 8);
	p.b[41] = 9;
	CHECK_FAULT(&p, INNER_SHORT);
}

TEST(what_is_not_known_is_not_guessed)
{
	static const uint8_t others[] = {51 /* AH */, 50 /* ESP */, 59 /* none */, 135 /* mobility */, 139, 140, 253, 132 /* SCTP */, 4, 41};
	struct inner in;
	struct pkt p;

	for (size_t i = 0; i < sizeof(others); i++) {
		pkt_tcp(&p, 6, 9, 1, 1, 22, PKT_SYN);
		p.b[6] = others[i];
		CHECK_FAULT(&p, INNER_OK);
		CHECK(in.kind == INNER_OTHER && in.target_port == 0);
		pkt_tcp(&p, 4, 9, 1, 1, 22, PKT_SYN);
		p.b[9] = others[i];
		CHECK_FAULT(&p, INNER_OK);
		CHECK(in.kind == INNER_OTHER);
	}
	/* ICMP of the other version, and messages that steer a host. */
	pkt_echo(&p, 6, 9, 1, false, 1);
	p.b[6] = IPPROTO_ICMP;
	CHECK_FAULT(&p, INNER_OK);
	CHECK(in.kind == INNER_OTHER);
	pkt_icmp(&p, 4, 9, 1, 5, 0, 28);
	CHECK_FAULT(&p, INNER_OK);
	CHECK(in.kind == INNER_OTHER);
	pkt_icmp(&p, 6, 9, 1, 134, 0, 28);
	CHECK_FAULT(&p, INNER_OK);
	CHECK(in.kind == INNER_OTHER);
}

TEST(fragments)
{
	struct inner in;
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_udp(&p, ver, 9, 1, 1, 53);
		pkt_fragment(&p, 0x1234, 0, true);
		CHECK_FAULT(&p, INNER_OK);
		CHECK(in.kind == INNER_UDP && in.fragmented && in.fragment_id == 0x1234 && in.target_port == 53);
		pkt_udp(&p, ver, 9, 1, 1, 53);
		pkt_fragment(&p, 0x1234, 1400, false);
		CHECK_FAULT(&p, INNER_OK);
		CHECK(in.kind == INNER_LATER_FRAGMENT && in.fragment_id == 0x1234 && in.target_port == 0);
		CHECK(in.protocol == IPPROTO_UDP && in.transport == in.length);
		/* One that could replace a header that was judged. */
		pkt_udp(&p, ver, 9, 1, 1, 53);
		pkt_fragment(&p, 1, 8, true);
		CHECK_FAULT(&p, INNER_FRAGMENT);
		pkt_udp(&p, ver, 9, 1, 1, 53);
		pkt_fragment(&p, 1, 16, true);
		CHECK_FAULT(&p, INNER_FRAGMENT);
		/* One that ends behind 65,535. */
		pkt_udp(&p, ver, 9, 1, 1, 53);
		pkt_fragment(&p, 1, 65528, false);
		CHECK_FAULT(&p, INNER_FRAGMENT);
		/* A first one without all of its header. */
		pkt_ip(&p, ver, 9, 1, IPPROTO_TCP, 16);
		pkt_fragment(&p, 1, 0, true);
		CHECK_FAULT(&p, INNER_FRAGMENT);
		pkt_ip(&p, ver, 9, 1, IPPROTO_UDP, 4);
		pkt_fragment(&p, 1, 0, true);
		CHECK_FAULT(&p, INNER_FRAGMENT);
	}
	/* Atomic (RFC 6946): whole. */
	pkt_udp(&p, 6, 9, 1, 1, 53);
	pkt_fragment(&p, 1, 0, false);
	CHECK_FAULT(&p, INNER_OK);
	CHECK(in.kind == INNER_UDP && !in.fragmented);
	/* Two fragment headers. */
	pkt_udp(&p, 6, 9, 1, 1, 53);
	pkt_fragment(&p, 1, 1400, false);
	pkt_fragment(&p, 1, 0, true);
	CHECK_FAULT(&p, INNER_EXTENSION);
}

TEST(addresses_that_are_no_hosts_are_refused)
{
	static const uint32_t wrong[] = {0, 0x7f000001, 0xe0000001, 0xffffffff, 0xf0000000};
	struct inner in;
	struct pkt p;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		pkt_udp(&p, 4, 9, 1, 1, 2);
		put_be32(p.b + 12, wrong[i]);
		CHECK_FAULT(&p, INNER_ADDRESS);
		pkt_udp(&p, 4, 9, 1, 1, 2);
		put_be32(p.b + 16, wrong[i]);
		CHECK_FAULT(&p, INNER_ADDRESS);
	}
	for (size_t at = 8; at <= 24; at += 16) {
		pkt_udp(&p, 6, 9, 1, 1, 2);
		p.b[at] = 0xff;
		CHECK_FAULT(&p, INNER_ADDRESS);
		memset(p.b + at, 0, 16);
		CHECK_FAULT(&p, INNER_ADDRESS);
		p.b[at + 15] = 1;
		CHECK_FAULT(&p, INNER_ADDRESS);
		p.b[at + 10] = p.b[at + 11] = 0xff;	/* ::ffff:0.0.0.1 */
		CHECK_FAULT(&p, INNER_ADDRESS);
	}
}

static enum inner_fault quoted(struct inner *q, const struct pkt *error)
{
	uint8_t *exact = malloc(error->len);
	enum inner_fault f;
	struct inner in;

	memcpy(exact, error->b, error->len);
	f = inner_parse(&in, exact, error->len);
	CHECK_INT(f, INNER_OK);
	if (f == INNER_OK)
		f = inner_parse_quoted(q, &in, exact);
	free(exact);
	return f;
}

TEST(errors_say_what_they_are_about)
{
	struct pkt sent, error;
	struct inner q;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_tcp(&sent, ver, 1, 40000, 9, 22, PKT_SYN);
		for (size_t n = sent.l4 + 8; n <= sent.len; n++) {
			pkt_error(&error, ver, 9, 1, &sent, n);
			CHECK_INT(quoted(&q, &error), INNER_OK);
			CHECK(q.kind == INNER_TCP && q.source_port == 40000 && q.target_port == 22);
		}
		pkt_echo(&sent, ver, 1, 9, false, 7);
		pkt_error(&error, ver, 9, 1, &sent, sent.len);
		CHECK_INT(quoted(&q, &error), INNER_OK);
		CHECK(q.kind == INNER_ECHO_REQUEST && q.echo_id == 7);
	}
}

TEST(errors_about_nothing_of_ours_are_refused)
{
	struct pkt sent, error, second;
	struct inner q;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_udp(&sent, ver, 1, 40000, 9, 53);
		for (size_t n = 0; n < sent.l4 + 8; n++) {
			pkt_error(&error, ver, 9, 1, &sent, n);
			CHECK(quoted(&q, &error) != INNER_OK);
		}
		/* Sent by somebody else. */
		pkt_udp(&sent, ver, 2, 40000, 9, 53);
		pkt_error(&error, ver, 9, 1, &sent, sent.len);
		CHECK_INT(quoted(&q, &error), INNER_QUOTE);
		/* An error about an error, a later fragment, another protocol, another version. */
		pkt_udp(&sent, ver, 1, 40000, 9, 53);
		pkt_error(&second, ver, 1, 9, &sent, sent.len);
		pkt_error(&error, ver, 9, 1, &second, second.len);
		CHECK_INT(quoted(&q, &error), INNER_QUOTE);
		pkt_fragment(&sent, 5, 1400, false);
		pkt_error(&error, ver, 9, 1, &sent, sent.len);
		CHECK_INT(quoted(&q, &error), INNER_QUOTE);
		pkt_ip(&sent, ver, 1, 9, 132, 20);
		pkt_error(&error, ver, 9, 1, &sent, sent.len);
		CHECK_INT(quoted(&q, &error), INNER_QUOTE);
		pkt_udp(&sent, 10 - ver, 1, 40000, 9, 53);
		pkt_error(&error, ver, 9, 1, &sent, sent.len);
		CHECK_INT(quoted(&q, &error), INNER_QUOTE);
		/* In parts. */
		pkt_udp(&sent, ver, 1, 40000, 9, 53);
		pkt_error(&error, ver, 9, 1, &sent, sent.len);
		pkt_fragment(&error, 5, 0, true);
		CHECK_INT(parse_exact(&q, &error), INNER_FRAGMENT);
	}
}
