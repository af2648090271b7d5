/* Inner packets: their headers and their checksums. */
#include "mesh/plane_packet.h"

#include <netinet/in.h>
#include <string.h>

#include "mesh/bytes.h"
#include "mesh/inner.h"

bool plane_packet_parse(const uint8_t *ip, size_t len, struct plane_packet *out)
{
	struct inner p;

	if (len > TUN_PACKET_MAX || inner_parse(&p, ip, len) != INNER_OK)
		return false;
	*out = (struct plane_packet){.ip = ip, .len = p.length, .version = p.version, .protocol = p.protocol,
				     .fragment = p.fragmented, .l4 = (uint16_t)p.transport};
	return true;
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
