/* Endpoints: forms, and which of them a node may be asked to send to. */
#include "mesh/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "mesh/bytes.h"

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

bool endpoint_within(const struct endpoint *e, const struct endpoint *net, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return e->family == net->family && bits <= (e->family == ENDPOINT_V4 ? 32u : 128u) &&
	       memcmp(e->addr, net->addr, whole) == 0 &&
	       (rest == 0 || (e->addr[whole] ^ net->addr[whole]) >> (8 - rest) == 0);
}

static bool usable_v4(const uint8_t *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	/* 0/8 is this network, 127/8 this host, 224/4 multicast. */
	return a[0] != 0 && a[0] != 127 && (a[0] & 0xf0) != 224 && memcmp(a, broadcast, 4) != 0;
}

static bool usable_v6(const uint8_t *a)
{
	static const uint8_t zero[12], mapped[12] = {[10] = 0xff, [11] = 0xff};

	/* ::/96 holds the unspecified and the loopback address as well. */
	if (memcmp(a, zero, 12) == 0 || memcmp(a, mapped, 12) == 0)
		return false;
	return a[0] != 0xff && !(a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

bool endpoint_usable(const struct endpoint *e)
{
	if (e->port == 0)
		return false;
	if (e->family == ENDPOINT_V4)
		return usable_v4(e->addr);
	return e->family == ENDPOINT_V6 && usable_v6(e->addr);
}

void endpoint_put(uint8_t out[static ENDPOINT_WIRE_LEN], const struct endpoint *e)
{
	out[0] = e->family;
	memcpy(out + 1, e->addr, 16);
	put_be16(out + 17, e->port);
}

int endpoint_get(struct endpoint *e, const uint8_t in[static ENDPOINT_WIRE_LEN])
{
	static const uint8_t zero[16];

	memset(e, 0, sizeof(*e));
	e->family = in[0];
	memcpy(e->addr, in + 1, 16);
	e->port = get_be16(in + 17);
	switch (in[0]) {
	case ENDPOINT_NONE:
		return e->port == 0 && memcmp(e->addr, zero, 16) == 0 ? 0 : -1;
	case ENDPOINT_V4:
		return memcmp(e->addr + 4, zero, 12) == 0 ? 0 : -1;
	case ENDPOINT_V6:
		return 0;
	default:
		return -1;
	}
}

int endpoint_from_sockaddr(struct endpoint *e, const struct sockaddr *sa)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(e, 0, sizeof(*e));
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		e->family = ENDPOINT_V4;
		memcpy(e->addr, &in.sin_addr, 4);
		e->port = ntohs(in.sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		e->port = ntohs(in6.sin6_port);
		if (memcmp(&in6.sin6_addr, mapped, 12) == 0) {
			e->family = ENDPOINT_V4;
			memcpy(e->addr, (const uint8_t *)&in6.sin6_addr + 12, 4);
			return 0;
		}
		e->family = ENDPOINT_V6;
		memcpy(e->addr, &in6.sin6_addr, 16);
		return 0;
	}
	return -1;
}

unsigned endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa)
{
	memset(sa, 0, sizeof(*sa));
	if (e->family == ENDPOINT_V4) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port)};

		memcpy(&in.sin_addr, e->addr, 4);
		memcpy(sa, &in, sizeof(in));
		return sizeof(in);
	} else {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};

		memcpy(&in6.sin6_addr, e->addr, 16);
		memcpy(sa, &in6, sizeof(in6));
		return sizeof(in6);
	}
}

const char *endpoint_text(char out[static ENDPOINT_TEXT_LEN], const struct endpoint *e)
{
	char addr[INET6_ADDRSTRLEN] = "";

	if (e->family == ENDPOINT_V4) {
		inet_ntop(AF_INET, e->addr, addr, sizeof(addr));
		snprintf(out, ENDPOINT_TEXT_LEN, "%s:%u", addr, e->port);
	} else if (e->family == ENDPOINT_V6) {
		inet_ntop(AF_INET6, e->addr, addr, sizeof(addr));
		snprintf(out, ENDPOINT_TEXT_LEN, "[%s]:%u", addr, e->port);
	} else {
		snprintf(out, ENDPOINT_TEXT_LEN, "-");
	}
	return out;
}
