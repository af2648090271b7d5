/*
 * What an upstream answers: the input is length (2), query, reply. Whatever passes holds no address that must not be
 * told, and passes again unchanged.
 */
#include <stdlib.h>

#include "mesh/bytes.h"
#include "mesh/dns_wire.h"
#include "tests/unit/mesh_names_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct named named;
static struct buf out, again, cut;

static int start(void)
{
	struct mesh_record nas = record_of(1, "nas", 60, true);

	if (named.names != NULL)
		return 0;
	out = BUF_INIT(DNS_TCP_MAX);
	again = BUF_INIT(DNS_TCP_MAX);
	cut = BUF_INIT(DNS_TCP_MAX);
	return named_init(&named) == 0 && node_add(&named.home, &nas) == 0 ? 0 : -1;
}

static bool forbidden(struct slice message, const struct dns_record *r)
{
	const uint8_t *p = message.ptr + r->data;
	unsigned before;

	if (r->type != DNS_OPT && dns_name_in_suffix(&r->name, "mesh", &before))
		return true;
	if (r->type == DNS_A)
		return r->data_len != 4 || p[0] == 0 || p[0] == 127 || (p[0] == 169 && p[1] == 254) ||
		       (p[0] == 198 && p[1] == 18 && (p[2] & 0xe0) == 0x20);
	return r->type == DNS_AAAA && (r->data_len != 16 || get_be64(p) == 0 || get_be16(p) == 0xfe80);
}

static void check(struct slice message)
{
	size_t at = DNS_HEADER_LEN;
	unsigned i, count = 0;
	struct dns_record r;
	struct dns_name n;

	if (dns_name_read(&n, message, &at, true) < 0)
		abort();
	at += 4;
	for (i = 6; i < DNS_HEADER_LEN; i += 2)
		count += get_be16(message.ptr + i);
	for (; count > 0; count--) {
		if (dns_record_read(&r, message, &at) < 0 || forbidden(message, &r))
			abort();
	}
	if (at != message.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_zone z = {.names = NULL, .suffix = "mesh"};
	struct slice query, reply;
	enum dns_filtered r;
	unsigned stripped;
	size_t len;

	if (size < 2 || start() < 0 || (len = get_be16(data)) > size - 2)
		return 0;
	z.names = named.names;
	query = slice_of(data + 2, len);
	reply = slice_of(data + 2 + len, size - 2 - len);
	r = dns_filter_upstream(&z, query, reply, &out, &stripped);
	if (r == DNS_BAD)
		return 0;
	if ((r == DNS_PASSED) != (stripped == 0) || (r == DNS_PASSED && !slice_equal(buf_slice(&out), reply)))
		abort();
	check(buf_slice(&out));
	if (dns_filter_upstream(&z, query, buf_slice(&out), &again, NULL) != DNS_PASSED)
		abort();
	buf_clear(&cut);
	buf_put_slice(&cut, buf_slice(&out));
	dns_truncate(&cut, dns_reply_max(query, false));
	check(buf_slice(&cut));
	return 0;
}
