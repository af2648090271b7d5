/* Answers to the local kernel: their form, their checksums, and when there is none. */
#include "mesh/reject.h"

#include "inner_kit.h"
#include "tap.h"

/* The plain sum of RFC 1071 over big-endian words: 0xffff where a checksum in it is right. */
static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (s > 0xffff)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void check_sums(const uint8_t *a, size_t n)
{
	bool v4 = a[0] >> 4 == 4;
	size_t at = v4 ? 20 : 40;
	uint8_t protocol = v4 ? a[9] : a[6];
	uint32_t s = 0;

	if (v4)
		CHECK_INT(sum(a, 20, 0), 0xffff);
	if (!v4 || protocol == IPPROTO_TCP)
		s = sum(v4 ? a + 12 : a + 8, v4 ? 8 : 32, (uint32_t)(n - at) + protocol);
	CHECK_INT(sum(a + at, n - at, s), 0xffff);
}

static size_t make(uint8_t *out, const struct pkt *p, enum reject_kind kind, uint32_t value)
{
	uint8_t *exact = malloc(p->len);
	size_t n;

	memcpy(exact, p->b, p->len);
	n = reject_make(out, exact, p->len, kind, value);
	free(exact);
	if (n > 0)
		check_sums(out, n);
	return n;
}

TEST(icmp_errors_are_whole)
{
	static const struct { enum reject_kind kind; uint8_t type4, code4, type6, code6; } is[] = {
		{REJECT_UNREACHABLE, 3, 1, 1, 3}, {REJECT_PORT, 3, 3, 1, 4}, {REJECT_PROHIBITED, 3, 13, 1, 1}, {REJECT_TOO_BIG, 3, 4, 2, 0},
	};
	uint8_t out[REJECT_MAX];
	struct inner in, q;
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		for (size_t i = 0; i < ARRAY_SIZE(is); i++) {
			size_t n, at = ver == 4 ? 20 : 40;

			pkt_udp(&p, ver, 1, 40000, 9, 53);
			n = make(out, &p, is[i].kind, 1400);
			REQUIRE(n == at + 8 + p.len);
			CHECK(out[at] == (ver == 4 ? is[i].type4 : is[i].type6) && out[at + 1] == (ver == 4 ? is[i].code4 : is[i].code6));
			/* Our own parser finds what it is about. */
			CHECK_INT(inner_parse(&in, out, n), INNER_OK);
			CHECK_INT(inner_parse_quoted(&q, &in, out), INNER_OK);
			CHECK(q.source_port == 40000 && q.target_port == 53);
			CHECK(memcmp(in.source, ver == 4 ? p.b + 16 : p.b + 24, in.address_len) == 0);
		}
	}
}

TEST(too_big_says_the_mtu)
{
	uint8_t out[REJECT_MAX];
	struct pkt p;

	pkt_udp(&p, 4, 1, 1, 9, 53);
	CHECK(make(out, &p, REJECT_TOO_BIG, 1372) > 0);
	CHECK_INT(get_be16(out + 26), 1372);
	CHECK(make(out, &p, REJECT_TOO_BIG, 3) > 0);
	CHECK_INT(get_be16(out + 26), 68);
	CHECK(make(out, &p, REJECT_TOO_BIG, 100000) > 0);
	CHECK_INT(get_be16(out + 26), 65535);
	pkt_udp(&p, 6, 1, 1, 9, 53);
	CHECK(make(out, &p, REJECT_TOO_BIG, 1372) > 0);
	CHECK_INT(get_be32(out + 44), 1372);
	CHECK(make(out, &p, REJECT_TOO_BIG, 600) > 0);
	CHECK_INT(get_be32(out + 44), 1280);
}

TEST(answers_stay_small)
{
	uint8_t out[REJECT_MAX];
	struct pkt p;

	pkt_udp(&p, 4, 1, 1, 9, 53);
	p.len = 3001;
	put_be16(p.b + 2, 3001);
	memset(p.b + 28, 0xa7, 2973);
	CHECK_INT(make(out, &p, REJECT_UNREACHABLE, 0), 576);
	pkt_udp(&p, 6, 1, 1, 9, 53);
	p.len = 3001;
	put_be16(p.b + 4, 2961);
	memset(p.b + 48, 0xa7, 2953);
	CHECK_INT(make(out, &p, REJECT_UNREACHABLE, 0), REJECT_MAX);
	/* Of odd length. */
	pkt_icmp(&p, 6, 1, 9, 128, 0, 5);
	CHECK_INT(make(out, &p, REJECT_UNREACHABLE, 0), 48 + 53);
}

TEST(tcp_is_reset)
{
	uint8_t out[REJECT_MAX];
	struct inner in;
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		size_t at = ver == 4 ? 20 : 40;

		for (enum reject_kind k = REJECT_PORT; k <= REJECT_PROHIBITED; k++) {
			pkt_tcp(&p, ver, 1, 40000, 9, 22, PKT_SYN);
			REQUIRE(make(out, &p, k, 0) == at + 20);
			CHECK_INT(inner_parse(&in, out, at + 20), INNER_OK);
			CHECK(in.kind == INNER_TCP && in.tcp_flags == (INNER_RST | INNER_ACK));
			CHECK(in.source_port == 22 && in.target_port == 40000);
			CHECK_INT(get_be32(out + at + 4), 0);
			CHECK_INT(get_be32(out + at + 8), 0x01020305);
		}
		pkt_tcp(&p, ver, 1, 40000, 9, 22, PKT_ACK);
		REQUIRE(make(out, &p, REJECT_PROHIBITED, 0) == at + 20);
		CHECK_INT(out[at + 13], INNER_RST);
		CHECK_INT(get_be32(out + at + 4), 0x0a0b0c0d);
		/* What is unreachable is not reset. */
		pkt_tcp(&p, ver, 1, 40000, 9, 22, PKT_SYN);
		CHECK_INT(make(out, &p, REJECT_UNREACHABLE, 0), at + 8 + p.len);
	}
}

TEST(no_answer_to_what_must_not_have_one)
{
	struct pkt p, about;
	uint8_t out[REJECT_MAX];

	for (int ver = 4; ver <= 6; ver += 2) {
		for (enum reject_kind k = REJECT_UNREACHABLE; k <= REJECT_TOO_BIG; k++) {
			pkt_udp(&about, ver, 9, 1, 1, 2);
			pkt_error(&p, ver, 1, 9, &about, about.len);
			CHECK_INT(make(out, &p, k, 1400), 0);
			pkt_udp(&p, ver, 1, 1, 9, 2);
			pkt_fragment(&p, 7, 1400, false);
			CHECK_INT(make(out, &p, k, 1400), 0);
			pkt_udp(&p, ver, 1, 1, 9, 2);
			p.b[ver == 4 ? 16 : 24] = ver == 4 ? 239 : 0xff;
			CHECK_INT(make(out, &p, k, 1400), 0);
			pkt_udp(&p, ver, 1, 1, 9, 2);
			p.b[ver == 4 ? 12 : 8] = ver == 4 ? 239 : 0xff;
			CHECK_INT(make(out, &p, k, 1400), 0);
			pkt_tcp(&p, ver, 1, 1, 9, 2, PKT_RST | PKT_ACK);
			CHECK_INT(make(out, &p, k, 1400), 0);
			pkt_icmp(&p, ver, 1, 9, ver == 4 ? 5 : 137, 0, 40);
			CHECK_INT(make(out, &p, k, 1400), 0);
			pkt_udp(&p, ver, 1, 1, 9, 2);
			p.len -= 1;
			CHECK_INT(make(out, &p, k, 1400), 0);
		}
		/* But to a first fragment, to an echo, and to a protocol without ports. */
		pkt_udp(&p, ver, 1, 1, 9, 2);
		pkt_fragment(&p, 7, 0, true);
		CHECK(make(out, &p, REJECT_TOO_BIG, 1400) > 0);
		pkt_echo(&p, ver, 1, 9, false, 1);
		CHECK(make(out, &p, REJECT_UNREACHABLE, 0) > 0);
		pkt_ip(&p, ver, 1, 9, 132, 20);
		CHECK(make(out, &p, REJECT_PROHIBITED, 0) > 0);
	}
}

static unsigned allowed(struct reject_limit *l, unsigned host, unsigned n, int64_t now_ms)
{
	unsigned got = 0;
	struct pkt p;

	pkt_udp(&p, 4, 1, 1, host, 2);
	while (n-- > 0)
		got += reject_allowed(l, p.b, p.len, now_ms);
	return got;
}

TEST(answers_are_limited)
{
	static struct reject_limit l;
	unsigned total = 0;
	int64_t now = 5000;

	CHECK_INT(allowed(&l, 9, 100, now), REJECT_TARGET_PER_S);
	/* Others are not its victims. */
	CHECK_INT(allowed(&l, 10, 100, now), REJECT_TARGET_PER_S);
	CHECK_INT(l.withheld, 200 - 2 * REJECT_TARGET_PER_S);
	CHECK_INT(allowed(&l, 9, 100, now + 49), 0);
	CHECK_INT(allowed(&l, 9, 100, now + 50), 1);
	/* Asked too often, a bucket still fills. */
	for (int64_t t = now + 51; t <= now + 1050; t++)
		total += allowed(&l, 9, 1, t);
	CHECK_INT(total, REJECT_TARGET_PER_S);
	total = 0;
	for (unsigned host = 0; host < 400; host++)
		total += allowed(&l, 100 + host, 20, now + 5000);
	CHECK(total <= REJECT_PER_S && total > REJECT_PER_S * 9 / 10);
	/* A clock that another thread read a little earlier takes nothing away. */
	CHECK_INT(allowed(&l, 9, 100, now - 1), 0);
}
