/* Queries for names of the mesh: the first byte says over what, the rest is the message. */
#include <sodium.h>
#include <stdlib.h>

#include "crypto/key.h"
#include "mesh/bytes.h"
#include "mesh/dns_wire.h"

#include "tests/unit/mesh_names_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct named named;
static struct buf out, refused;

static int start(void)
{
	struct mesh_record nas = record_of(1, "nas", 60, true), box = record_of(2, "box", 60, true);

	if (named.names != NULL)
		return 0;
	out = BUF_INIT(DNS_UDP_MAX);
	refused = BUF_INIT(DNS_UDP_MAX);
	return named_init(&named) == 0 && node_add(&named.home, &nas) == 0 && node_add(&named.work, &box) == 0 ? 0 : -1;
}

/* A reply is well formed, for that query, and no longer than may be. */
static void check(struct slice query, struct slice reply, bool tcp)
{
	size_t at = DNS_HEADER_LEN;
	struct dns_record r;
	struct dns_name n;
	unsigned i, count = 0;

	if (reply.len < DNS_HEADER_LEN || memcmp(query.ptr, reply.ptr, 2) != 0 || (reply.ptr[2] & 0x80) == 0 ||
	    reply.len > dns_reply_max(query, tcp))
		abort();
	for (i = 0; i < get_be16(reply.ptr + 4); i++, at += 4) {
		if (dns_name_read(&n, reply, &at, true) < 0)
			abort();
	}
	if (at > reply.len || memcmp(query.ptr + DNS_HEADER_LEN, reply.ptr + DNS_HEADER_LEN, at - DNS_HEADER_LEN) != 0)
		abort();	/* the question comes back as it was, with its case */
	for (i = 6; i < DNS_HEADER_LEN; i += 2)
		count += get_be16(reply.ptr + i);
	for (; count > 0; count--) {
		if (dns_record_read(&r, reply, &at) < 0)
			abort();
	}
	if (at != reply.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_zone z = {.names = NULL, .suffix = "mesh"};
	struct slice query, message;
	size_t used;
	bool tcp;

	if (size < 1 || start() < 0)
		return 0;
	tcp = data[0] & 1;
	z.recursion = data[0] & 2;
	z.names = named.names;
	query = slice_of(data + 1, size - 1);
	if (dns_tcp_next(query, &message, &used) == 1 && (used > query.len || message.len + 2 != used))
		abort();
	switch (dns_answer(&z, query, tcp, &out)) {
	case DNS_ANSWERED:
		check(query, buf_slice(&out), tcp);
		break;
	case DNS_FOREIGN:
		dns_refuse(&z, query, &refused);
		check(query, buf_slice(&refused), tcp);
		break;
	case DNS_DROP:
		break;
	}
	return 0;
}
