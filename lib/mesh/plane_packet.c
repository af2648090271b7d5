/* Inner packets: their headers, their checksums, and ICMP's answers. */
#include "mesh/plane_packet.h"

#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"

#define EXTENSIONS_MAX 8

static bool parse4(const uint8_t *ip, size_t len, struct plane_packet *out)
{
	size_t header = (size_t)(ip[0] & 15) * 4, total = get_be16(ip + 2);
	unsigned fragment = get_be16(ip + 6) & 0x3fff;

	if (header < 20 || total < header || total > len)
		return false;
	*out = (struct plane_packet){.ip = ip, .len = total, .version = 4, .protocol = ip[9], .fragment = fragment != 0};
	/* The offset, without "more fragments": a later one has no transport header. */
	out->l4 = (uint16_t)((fragment & 0x1fff) != 0 ? total : header);
	return true;
}

/* Past the extension headers that say how long they are; anything else is the protocol. */
static bool parse6(const uint8_t *ip, size_t len, struct plane_packet *out)
{
	size_t total = 40 + (size_t)get_be16(ip + 4), at = 40;
	uint8_t next = ip[6];

	if (total > len)
		return false;
	*out = (struct plane_packet){.ip = ip, .len = total, .version = 6};
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (next == IPPROTO_FRAGMENT) {
			if (at + 8 > total)
				return false;
			out->fragment = true;
			next = ip[at];
			if ((get_be16(ip + at + 2) & 0xfff8) != 0) {
				out->protocol = next;
				out->l4 = (uint16_t)total;
				return true;
			}
			at += 8;
		} else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
			if (at + 8 > total || at + 8 + (size_t)ip[at + 1] * 8 > total)
				return false;
			next = ip[at];
			at += 8 + (size_t)ip[at + 1] * 8;
		} else {
			break;
		}
	}
	out->protocol = next;
	out->l4 = (uint16_t)at;
	return true;
}

bool plane_packet_parse(const uint8_t *ip, size_t len, struct plane_packet *out)
{
	if (len > TUN_PACKET_MAX)
		return false;
	if (len >= 20 && ip[0] >> 4 == 4)
		return parse4(ip, len, out);
	if (len >= 40 && ip[0] >> 4 == 6)
		return parse6(ip, len, out);
	return false;
}

uint64_t plane_sum(const uint8_t *p, size_t n, uint64_t sum)
{
	uint64_t a = 0, b = 0;

	/* Two chains of 32-bit words, which cannot overflow below 2^32 words. */
	for (; n >= 16; n -= 16, p += 16) {
		uint64_t x, y;

		memcpy(&x, p, 8);
		memcpy(&y, p + 8, 8);
		a += (x & 0xffffffff) + (x >> 32);
		b += (y & 0xffffffff) + (y >> 32);
	}
	/* Folded, so that what the caller adds later has room. */
	sum += (a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32);
	for (; n >= 2; n -= 2, p += 2) {
		uint16_t w;

		memcpy(&w, p, 2);
		sum += w;
	}
	if (n == 1) {
		uint8_t last[2] = {p[0], 0};
		uint16_t w;

		memcpy(&w, last, 2);
		sum += w;
	}
	return sum;
}

uint16_t plane_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t plane_sum_pseudo(const struct plane_packet *p, size_t l4_len)
{
	uint8_t tail[8] = {(uint8_t)(l4_len >> 24), (uint8_t)(l4_len >> 16), (uint8_t)(l4_len >> 8), (uint8_t)l4_len,
			   0, 0, 0, p->protocol};
	uint64_t sum = p->version == 4 ? plane_sum(p->ip + 12, 8, 0) : plane_sum(p->ip + 8, 32, 0);

	return plane_sum(tail, sizeof(tail), sum);
}

size_t plane_checksum_at(const struct plane_packet *p)
{
	size_t room = p->len - p->l4;

	if (p->fragment)
		return 0;
	if (p->protocol == IPPROTO_TCP && room >= 20)
		return 16;
	return p->protocol == IPPROTO_UDP && room >= 8 ? 6 : 0;
}

/* The sum over pseudo header and transport, which is 0xffff where the checksum is right. */
static uint16_t whole_sum(const struct plane_packet *p)
{
	size_t room = p->len - p->l4;

	return plane_sum_fold(plane_sum(p->ip + p->l4, room, plane_sum_pseudo(p, room)));
}

void plane_checksum_fill(const struct plane_packet *p, uint8_t *ip)
{
	size_t at = plane_checksum_at(p);
	uint16_t sum;

	if (at == 0)
		return;
	memset(ip + p->l4 + at, 0, 2);
	sum = (uint16_t)~whole_sum(p);
	/* To UDP, zero means that there is none. */
	if (sum == 0 && p->protocol == IPPROTO_UDP)
		sum = 0xffff;
	memcpy(ip + p->l4 + at, &sum, 2);
}

bool plane_checksum_good(const struct plane_packet *p)
{
	size_t at = plane_checksum_at(p);

	if (at == 0 || (p->protocol == IPPROTO_UDP && get_be16(p->ip + p->l4 + at) == 0))
		return false;
	return whole_sum(p) == 0xffff;
}

/* The bytes of the option in a SYN that say the MSS, or NULL. */
static uint8_t *find_mss(const struct plane_packet *p, uint8_t *ip)
{
	uint8_t *tcp = ip + p->l4;
	size_t end = (size_t)(tcp[12] >> 4) * 4, at = 20;

	if (end > p->len - p->l4)
		return NULL;
	while (at + 1 < end && tcp[at] != 0) {
		size_t len = tcp[at + 1];

		if (tcp[at] == 1) {
			at++;
			continue;
		}
		if (len < 2 || at + len > end)
			return NULL;
		if (tcp[at] == 2 && len == 4)
			return tcp + at + 2;
		at += len;
	}
	return NULL;
}

void plane_clamp_mss(const struct plane_packet *p, uint8_t *ip, size_t mtu, bool open)
{
	size_t limit = mtu - (p->version == 4 ? 40 : 60);
	uint8_t *mss, *sum;

	if (p->protocol != IPPROTO_TCP || plane_checksum_at(p) == 0 || (ip[p->l4 + 13] & 2) == 0)
		return;
	mss = find_mss(p, ip);
	if (mss == NULL || get_be16(mss) <= limit)
		return;
	put_be16(mss, (uint16_t)limit);
	if (open)
		return;
	sum = ip + p->l4 + 16;
	/* A SYN is small and rare: the whole sum costs nothing that would be felt. */
	memset(sum, 0, 2);
	plane_checksum_fill(p, ip);
}

static bool is_multicast(const struct plane_packet *p, size_t at4, size_t at6)
{
	return p->version == 4 ? p->ip[at4] >= 224 : p->ip[at6] == 0xff;
}

/* RFC 1122 3.2.2 and RFC 4443 2.4(e): about these nobody is told. */
static bool no_answer_due(const struct plane_packet *p)
{
	uint8_t type = p->len > p->l4 ? p->ip[p->l4] : 0;

	if (p->l4 >= p->len || is_multicast(p, 16, 24) || is_multicast(p, 12, 8))
		return true;
	if (p->version == 4)
		return p->protocol == IPPROTO_ICMP && type != 8 && type != 0 && type != 13 && type != 14;
	return p->protocol == IPPROTO_ICMPV6 && type < 128;
}

static size_t answer4(uint8_t *out, const struct plane_packet *p, enum plane_answer what, uint32_t value)
{
	/* RFC 1812 4.3.2.3: as much as fits into 576. */
	size_t quoted = p->len < 576 - 28 ? p->len : 576 - 28, total = 28 + quoted;
	uint16_t sum;

	memset(out, 0, 28);
	out[0] = 0x45;
	out[1] = 0xc0;
	put_be16(out + 2, (uint16_t)total);
	out[6] = 0x40;
	out[8] = 64;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, p->ip + 16, 4);
	memcpy(out + 16, p->ip + 12, 4);
	sum = (uint16_t)~plane_sum_fold(plane_sum(out, 20, 0));
	memcpy(out + 10, &sum, 2);
	out[20] = 3;
	out[21] = what == PLANE_ANSWER_TOO_BIG ? 4 : what == PLANE_ANSWER_UNREACHABLE ? 1 : 13;
	if (what == PLANE_ANSWER_TOO_BIG)
		put_be16(out + 26, (uint16_t)value);
	memcpy(out + 28, p->ip, quoted);
	sum = (uint16_t)~plane_sum_fold(plane_sum(out + 20, total - 20, 0));
	memcpy(out + 22, &sum, 2);
	return total;
}

static size_t answer6(uint8_t *out, const struct plane_packet *p, enum plane_answer what, uint32_t value)
{
	size_t quoted = p->len < PLANE_ICMP_MAX - 48 ? p->len : PLANE_ICMP_MAX - 48;
	struct plane_packet us = {.ip = out, .len = 48 + quoted, .version = 6, .protocol = IPPROTO_ICMPV6, .l4 = 40};
	uint16_t sum;

	memset(out, 0, 48);
	out[0] = 0x60;
	put_be16(out + 4, (uint16_t)(8 + quoted));
	out[6] = IPPROTO_ICMPV6;
	out[7] = 64;
	memcpy(out + 8, p->ip + 24, 16);
	memcpy(out + 24, p->ip + 8, 16);
	out[40] = what == PLANE_ANSWER_TOO_BIG ? 2 : 1;
	out[41] = what == PLANE_ANSWER_TOO_BIG ? 0 : what == PLANE_ANSWER_UNREACHABLE ? 3 : 1;
	if (what == PLANE_ANSWER_TOO_BIG)
		put_be32(out + 44, value);
	memcpy(out + 48, p->ip, quoted);
	sum = (uint16_t)~whole_sum(&us);
	memcpy(out + 42, &sum, 2);
	return us.len;
}

size_t plane_answer(uint8_t out[static PLANE_ICMP_MAX], const struct plane_packet *p, enum plane_answer what, uint32_t value)
{
	if (no_answer_due(p))
		return 0;
	return p->version == 4 ? answer4(out, p, what, value) : answer6(out, p, what, value);
}
