/* Answers to the local kernel: ICMP's errors, TCP's reset, and how many of them. */
#include "mesh/reject.h"

#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"
#include "mesh/inner.h"

#define TTL 64
/* RFC 1812 4.3.2.3: IPv4's answers stay within this. */
#define ANSWER4_MAX 576

/* The one's complement sum of big-endian words, not folded; n is even, or these are the last bytes. */
static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (; n >= 2; n -= 2, p += 2)
		s += get_be16(p);
	return n == 1 ? s + (uint32_t)p[0] * 256 : s;
}

static uint16_t fold(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Of the transport at out + at, len bytes long, under the addresses that stand in the header already. */
static uint16_t transport_sum(const uint8_t *out, size_t at, size_t len, uint8_t protocol)
{
	uint32_t s = (uint32_t)len + protocol;

	s = out[0] >> 4 == 4 ? sum(out + 12, 8, s) : sum(out + 8, 32, s);
	return fold(sum(out + at, len, s));
}

/* The header of IP, back to where p came from. Returns its length. */
static size_t put_ip(uint8_t *out, const struct inner *p, uint8_t protocol, size_t content)
{
	if (p->version == 4) {
		memset(out, 0, 20);
		out[0] = 0x45;
		put_be16(out + 2, (uint16_t)(20 + content));
		out[6] = 0x40;
		out[8] = TTL;
		out[9] = protocol;
		memcpy(out + 12, p->target, 4);
		memcpy(out + 16, p->source, 4);
		put_be16(out + 10, fold(sum(out, 20, 0)));
		return 20;
	}
	memset(out, 0, 8);
	out[0] = 0x60;
	put_be16(out + 4, (uint16_t)content);
	out[6] = protocol;
	out[7] = TTL;
	memcpy(out + 8, p->target, 16);
	memcpy(out + 24, p->source, 16);
	return 40;
}

/* RFC 9293 3.10.7.1: a reset takes its sequence number from what it answers, or else acknowledges all of it. */
static size_t reset(uint8_t *out, const struct inner *p, const uint8_t *ip)
{
	const uint8_t *t = ip + p->transport;
	size_t payload = p->length - p->transport - (size_t)(t[12] >> 4) * 4;
	size_t at = put_ip(out, p, IPPROTO_TCP, 20);
	uint8_t *r = out + at;

	memset(r, 0, 20);
	put_be16(r, p->target_port);
	put_be16(r + 2, p->source_port);
	r[12] = 5 << 4;
	r[13] = INNER_RST;
	if (p->tcp_flags & INNER_ACK) {
		memcpy(r + 4, t + 8, 4);
	} else {
		uint32_t seq = get_be32(t + 4) + (uint32_t)payload;

		seq += (p->tcp_flags & INNER_SYN) != 0 ? 1u : 0u;
		seq += (p->tcp_flags & INNER_FIN) != 0 ? 1u : 0u;
		put_be32(r + 8, seq);
		r[13] |= INNER_ACK;
	}
	put_be16(r + 16, transport_sum(out, at, 20, IPPROTO_TCP));
	return at + 20;
}

static void type_and_code(uint8_t version, enum reject_kind kind, uint8_t *type, uint8_t *code)
{
	static const uint8_t codes4[] = {[REJECT_UNREACHABLE] = 1, [REJECT_PORT] = 3, [REJECT_PROHIBITED] = 13, [REJECT_TOO_BIG] = 4};
	static const uint8_t codes6[] = {[REJECT_UNREACHABLE] = 3, [REJECT_PORT] = 4, [REJECT_PROHIBITED] = 1, [REJECT_TOO_BIG] = 0};

	*type = version == 4 ? 3 : kind == REJECT_TOO_BIG ? 2 : 1;
	*code = version == 4 ? codes4[kind] : codes6[kind];
}

static size_t icmp(uint8_t *out, const struct inner *p, const uint8_t *ip, enum reject_kind kind, uint32_t mtu)
{
	size_t room = p->version == 4 ? ANSWER4_MAX - 28 : REJECT_MAX - 48;
	size_t quoted = p->length < room ? p->length : room;
	uint8_t protocol = p->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	size_t at = put_ip(out, p, protocol, 8 + quoted);
	uint8_t *m = out + at;

	memset(m, 0, 8);
	type_and_code(p->version, kind, &m[0], &m[1]);
	if (kind == REJECT_TOO_BIG && p->version == 4)
		put_be16(m + 6, (uint16_t)(mtu < 68 ? 68 : mtu > UINT16_MAX ? UINT16_MAX : mtu));
	else if (kind == REJECT_TOO_BIG)
		put_be32(m + 4, mtu < 1280 ? 1280 : mtu);
	memcpy(m + 8, ip, quoted);
	put_be16(m + 2, p->version == 4 ? fold(sum(m, 8 + quoted, 0)) : transport_sum(out, at, 8 + quoted, protocol));
	return at + 8 + quoted;
}

static bool answer_due(const struct inner *p)
{
	switch (p->kind) {
	case INNER_ERROR:
	case INNER_LATER_FRAGMENT:
		return false;
	case INNER_OTHER:
		/* Redirects and the like; but other protocols hear of it. */
		return p->protocol != (p->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	case INNER_TCP:
		return !(p->tcp_flags & INNER_RST);
	default:
		return true;
	}
}

size_t reject_make(uint8_t out[static REJECT_MAX], const uint8_t *ip, size_t len, enum reject_kind kind, uint32_t value)
{
	struct inner p;

	if (inner_parse(&p, ip, len) != INNER_OK || !answer_due(&p))
		return 0;
	if (p.kind == INNER_TCP && !p.fragmented && (kind == REJECT_PORT || kind == REJECT_PROHIBITED))
		return reset(out, &p, ip);
	return icmp(out, &p, ip, kind, value);
}

/* ---- how many ---- */

/* Earns back what the time since then is worth; whether one may be spent. */
static bool has(struct reject_bucket *b, uint32_t per_s, int64_t now_ms)
{
	int64_t passed = now_ms - b->last_ms, earned = passed >= 1000 ? per_s : passed * per_s / 1000;

	/* Nothing is earned twice, nor lost because it is less than one. */
	if (earned > 0) {
		b->spent -= earned < b->spent ? (uint32_t)earned : b->spent;
		b->last_ms = now_ms;
	}
	return b->spent < per_s;
}

/* Addresses differ in their last bytes. */
static size_t bucket_of(const struct inner *p)
{
	const uint8_t *a = p->target;
	uint32_t h = p->version;

	for (size_t i = 0; i < p->address_len; i++)
		h = h * 31 + a[i];
	return (h ^ h >> 8 ^ h >> 16) % REJECT_TARGETS;
}

bool reject_allowed(struct reject_limit *l, const uint8_t *ip, size_t len, int64_t now_ms)
{
	struct reject_bucket *target;
	struct inner p;

	if (inner_parse(&p, ip, len) != INNER_OK)
		return false;
	target = &l->targets[bucket_of(&p)];
	if (!has(&l->all, REJECT_PER_S, now_ms) || !has(target, REJECT_TARGET_PER_S, now_ms)) {
		l->withheld++;
		return false;
	}
	l->all.spent++;
	target->spent++;
	return true;
}
