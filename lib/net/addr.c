/* Socket addresses in and out of text. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "net/url.h"

/* The IPv4 address inside an IPv6 one, or NULL. */
static const uint8_t *v4_of(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *in6 = (const void *)a;

	if (a->ss_family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
	if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return in6->sin6_addr.s6_addr + 12;
	return NULL;
}

void addr_text(char out[static ADDR_TEXT_LEN], const struct sockaddr_storage *a)
{
	char host[INET6_ADDRSTRLEN];
	const struct sockaddr_in6 *in6 = (const void *)a;
	const struct sockaddr_in *in4 = (const void *)a;
	const uint8_t *v4 = v4_of(a);

	if (v4 != NULL) {
		inet_ntop(AF_INET, v4, host, sizeof(host));
		snprintf(out, ADDR_TEXT_LEN, "%s:%u", host,
			 ntohs(a->ss_family == AF_INET ? in4->sin_port : in6->sin6_port));
	} else if (a->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(out, ADDR_TEXT_LEN, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		snprintf(out, ADDR_TEXT_LEN, "unix");
	}
}

static int any_address(struct sockaddr_storage *out, socklen_t *len, uint16_t port)
{
	struct sockaddr_in6 a = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons(port)};

	memcpy(out, &a, sizeof(a));
	*len = sizeof(a);
	return 0;
}

static int literal_address(struct sockaddr_storage *out, socklen_t *len, const char *host,
			   enum host_kind kind, uint16_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (kind == HOST_IPV4) {
		inet_pton(AF_INET, host, &a4.sin_addr);
		memcpy(out, &a4, sizeof(a4));
		*len = sizeof(a4);
	} else {
		inet_pton(AF_INET6, host, &a6.sin6_addr);
		memcpy(out, &a6, sizeof(a6));
		*len = sizeof(a6);
	}
	return 0;
}

int addr_parse(struct sockaddr_storage *out, socklen_t *len, struct slice text, struct error *err)
{
	const uint8_t *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);
	struct slice host, digits;
	char name[HOST_LEN_MAX + 1];
	enum host_kind kind;
	unsigned port = 0;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (colon == NULL)
		return error_set(err, ERR_USAGE, "address '%.*s' has no ':port'", SLICE_ARG(text));
	host = slice_of(text.ptr, (size_t)(colon - text.ptr));
	digits = slice_of(colon + 1, text.len - host.len - 1);
	for (i = 0; i < digits.len && i < 6 && digits.ptr[i] >= '0' && digits.ptr[i] <= '9'; i++)
		port = port * 10 + (unsigned)(digits.ptr[i] - '0');
	if (digits.len == 0 || i < digits.len || port > UINT16_MAX)
		return error_set(err, ERR_USAGE, "address '%.*s' does not end with a port",
				 SLICE_ARG(text));
	if (host.len == 0)
		return any_address(out, len, (uint16_t)port);
	if (host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_of(host.ptr + 1, host.len - 2);
	else if (memchr(host.ptr, ':', host.len) != NULL)
		return error_set(err, ERR_USAGE,
				 "address '%.*s' needs brackets around its IPv6 part",
				 SLICE_ARG(text));
	if (host_parse(name, host, &kind, err) < 0)
		return error_wrap(err, "address '%.*s'", SLICE_ARG(text));
	if (kind == HOST_NAME) {
		error_set(err, ERR_USAGE, "address '%.*s' is a name", SLICE_ARG(text));
		return error_hint(err,
				  "give an address, such as 127.0.0.1:%u, or :%u for all of them",
				  port, port);
	}
	return literal_address(out, len, name, kind, (uint16_t)port);
}

bool addr_is_local(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *in6 = (const void *)a;
	const uint8_t *v4 = v4_of(a);

	if (v4 != NULL)
		return v4[0] == 127;
	return a->ss_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

uint64_t addr_source(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *in6 = (const void *)a;
	const uint8_t *v4 = v4_of(a);
	const uint8_t *p = v4 != NULL ? v4 : in6->sin6_addr.s6_addr;
	uint64_t v = 0;
	int i, n = v4 != NULL ? 4 : 8;

	if (v4 == NULL && a->ss_family != AF_INET6)
		return 0;
	for (i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v4 != NULL ? v | UINT64_C(1) << 63 | UINT64_C(1) << 40 : v;
}
