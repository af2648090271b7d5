/* DNS: answers as the C library's own parser reads them, and what is refused. */
#include "tap.h"

#include <arpa/nameser.h>

#include "mesh/bytes.h"
#include "mesh_names_fixture.h"

struct dns_test {
	struct named n;
	struct dns_zone z;
	struct mesh_record nas, box;
	struct buf out;
};

static int test_init(struct dns_test *t)
{
	memset(t, 0, sizeof(*t));
	t->out = BUF_INIT(DNS_TCP_MAX);
	t->nas = record_of(1, "nas", 60, true);
	t->box = record_of(2, "box", 60, false);
	if (named_init(&t->n) < 0 || node_add(&t->n.home, &t->nas) < 0 || node_add(&t->n.work, &t->box) < 0)
		return -1;
	t->z = (struct dns_zone){.names = t->n.names, .suffix = "mesh"};
	return 0;
}

static void test_release(struct dns_test *t)
{
	buf_release(&t->out);
	named_release(&t->n);
}

/* A query of that name as text, with EDNS of that size unless 0. */
static struct slice query_of(const char *name, uint16_t type, uint16_t edns)
{
	static uint8_t q[512];
	size_t len = 12;

	memset(q, 0, 12);
	put_be16(q, 0x1234);
	put_be16(q + 2, 0x0100);
	put_be16(q + 4, 1);
	while (*name != '\0') {
		size_t n = strcspn(name, ".");

		q[len++] = (uint8_t)n;
		memcpy(q + len, name, n);
		len += n;
		name += n + (name[n] == '.');
	}
	q[len++] = 0;
	put_be16(q + len, type);
	put_be16(q + len + 2, 1);
	len += 4;
	if (edns != 0) {
		q[11] = 1;
		q[len++] = 0;
		put_be16(q + len, 41);
		put_be16(q + len + 2, edns);
		put_be32(q + len + 4, 0x8000);
		put_be16(q + len + 8, 0);
		len += 10;
	}
	return slice_of(q, len);
}

/* The i-th record of a section of the reply, as text "owner type ttl length"; "" when the judge says no. */
static const char *record_text(struct slice reply, ns_sect section, int i, const uint8_t **data)
{
	static char text[1200];
	ns_msg m;
	ns_rr rr;

	if (ns_initparse(reply.ptr, (int)reply.len, &m) < 0 || ns_parserr(&m, section, i, &rr) < 0)
		return "";
	snprintf(text, sizeof(text), "%s %d %u %d", ns_rr_name(rr), (int)ns_rr_type(rr), (unsigned)ns_rr_ttl(rr),
		 (int)ns_rr_rdlen(rr));
	if (data != NULL)
		*data = ns_rr_rdata(rr);
	return text;
}

static int count_of(struct slice reply, ns_sect section)
{
	ns_msg m;

	return ns_initparse(reply.ptr, (int)reply.len, &m) < 0 ? -1 : (int)ns_msg_count(m, section);
}

/* rcode of the reply to the question; -1 when it is foreign, -2 dropped. */
static int ask(struct dns_test *t, const char *name, uint16_t type)
{
	switch (dns_answer(&t->z, query_of(name, type, 0), false, &t->out)) {
	case DNS_ANSWERED:
		break;
	case DNS_FOREIGN:
		return -1;
	default:
		return -2;
	}
	CHECK_INT(dns_id(buf_slice(&t->out)), 0x1234);
	CHECK_INT(get_be16(t->out.ptr + 2) & 0x8100, 0x8100);
	CHECK_INT(count_of(buf_slice(&t->out), ns_s_qd), 1);
	return t->out.ptr[3] & 15;
}

TEST(addresses_are_answered_with_the_case_of_the_question)
{
	struct dns_test t;
	const uint8_t *data = NULL;

	REQUIRE(test_init(&t) == 0);
	CHECK_INT(ask(&t, "NaS.mEsH", 1), 0);
	CHECK_STR(record_text(buf_slice(&t.out), ns_s_an, 0, &data), "NaS.mEsH 1 60 4");
	CHECK_INT(get_be32(data), address_of(&t.n.home, &t.nas, 1));
	CHECK_INT(t.out.ptr[2] & 4, 4);		/* AA */
	CHECK_INT(t.out.ptr[3] & 0x80, 0);	/* RA */
	CHECK_INT(ask(&t, "nas-cam.home.mesh", 28), 0);
	CHECK_STR(record_text(buf_slice(&t.out), ns_s_an, 0, &data), "nas-cam.home.mesh 28 60 16");
	CHECK_INT(data[15], 3);
	CHECK_INT(ask(&t, "nas.mesh", 255), 0);
	CHECK_INT(count_of(buf_slice(&t.out), ns_s_an), 2);
	t.z.recursion = true;
	CHECK_INT(ask(&t, "box.mesh", 1), 0);
	CHECK_INT(t.out.ptr[3] & 0x80, 0x80);
	t.z.suffix = "lan.example.net";
	CHECK_INT(ask(&t, "nas.lan.EXAMPLE.net", 1), 0);
	CHECK_INT(ask(&t, "nas.mesh", 1), -1);
	test_release(&t);
}

TEST(what_a_name_has_not_is_nodata_and_what_is_no_name_is_nxdomain)
{
	static const struct {
		const char *name;
		uint16_t type;
		int rcode;
		const char *soa;
	} cases[] = {
		{"nas.mesh", 15, 0, "mesh 6 10 38"}, {"nas.mesh", 65, 0, "mesh 6 10 38"}, {"nas.mesh", 12, 0, "mesh 6 10 38"},
		{"mesh", 1, 0, "mesh 6 10 38"}, {"MESH", 2, 0, "MESH 6 10 38"}, {"home.mesh", 1, 0, "mesh 6 10 38"},
		{"no.mesh", 1, 3, "mesh 6 10 38"}, {"a.nas.mesh", 1, 3, "mesh 6 10 38"}, {"nas.work.mesh", 1, 3, "mesh 6 10 38"},
		{"nas.home.home.mesh", 1, 3, "mesh 6 10 38"}, {"box.home.mesh", 28, 3, "mesh 6 10 38"},
		{"33.18.198.in-addr.arpa", 12, 0, "33.18.198.in-addr.arpa 6 10 38"},
		{"1.33.18.198.in-addr.arpa", 12, 3, "33.18.198.in-addr.arpa 6 10 38"},
		{"01.33.18.198.in-addr.arpa", 12, 3, "33.18.198.in-addr.arpa 6 10 38"},
		{"1.1.33.18.198.in-addr.arpa", 12, 3, "33.18.198.in-addr.arpa 6 10 38"},
		{"64.2.1.10.in-addr.arpa", 12, 0, "64.2.1.10.in-addr.arpa 6 10 38"},
	};
	struct dns_test t;
	size_t i;

	REQUIRE(test_init(&t) == 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(ask(&t, cases[i].name, cases[i].type), cases[i].rcode);
		CHECK_INT(count_of(buf_slice(&t.out), ns_s_an), 0);
		CHECK_STR(record_text(buf_slice(&t.out), ns_s_ns, 0, NULL), cases[i].soa);
	}
	CHECK_INT(ask(&t, "mesh", 6), 0);
	CHECK_STR(record_text(buf_slice(&t.out), ns_s_an, 0, NULL), "mesh 6 10 38");
	test_release(&t);
}

TEST(addresses_have_names)
{
	uint8_t v6[16];
	char name[160], target[256];
	uint32_t v4;
	const uint8_t *data = NULL;
	struct dns_test t;
	int i, len = 0;

	REQUIRE(test_init(&t) == 0);
	v4 = address_of(&t.n.home, &t.nas, 3);
	snprintf(name, sizeof(name), "%u.%u.%u.%u.in-addr.arpa", v4 & 255, v4 >> 8 & 255, v4 >> 16 & 255, v4 >> 24);
	CHECK_INT(ask(&t, name, 12), 0);
	CHECK(record_text(buf_slice(&t.out), ns_s_an, 0, &data)[0] != '\0');
	CHECK(ns_name_uncompress(t.out.ptr, t.out.ptr + t.out.len, data, target, sizeof(target)) > 0);
	CHECK_STR(target, "nas-cam.mesh");
	CHECK_INT(ask(&t, name, 1), 0);
	CHECK_INT(count_of(buf_slice(&t.out), ns_s_an), 0);
	block_v6(&t.n.home.addressing, (v4 - t.n.home.addressing.range.v4) / 8, 1, v6);
	for (i = 31; i >= 0; i--)
		len += snprintf(name + len, sizeof(name) - (size_t)len, "%X.", i % 2 == 0 ? v6[i / 2] >> 4 : v6[i / 2] & 15);
	snprintf(name + len, sizeof(name) - (size_t)len, "ip6.arpa");
	CHECK_INT(ask(&t, name, 12), 0);
	CHECK(record_text(buf_slice(&t.out), ns_s_an, 0, &data)[0] != '\0');
	CHECK(ns_name_uncompress(t.out.ptr, t.out.ptr + t.out.len, data, target, sizeof(target)) > 0);
	CHECK_STR(target, "nas.mesh");
	CHECK_INT(ask(&t, name + 2, 12), 0);	/* part of an address: there is something below */
	CHECK_INT(count_of(buf_slice(&t.out), ns_s_an), 0);
	CHECK_INT(ask(&t, name + 40, 12), 0);
	CHECK_INT(ask(&t, name + 42, 12), -1);	/* above the network */
	name[0] = 'g';
	CHECK_INT(ask(&t, name, 12), 3);
	test_release(&t);
}

/* The name of an address, or "" when it has none. */
static const char *name_of(struct dns_test *t, uint32_t v4)
{
	static char target[256];
	const uint8_t *data = NULL;
	char name[64];

	snprintf(name, sizeof(name), "%u.%u.%u.%u.in-addr.arpa", v4 & 255, v4 >> 8 & 255, v4 >> 16 & 255, v4 >> 24);
	target[0] = '\0';
	CHECK(ask(t, name, 12) >= 0);
	if (record_text(buf_slice(&t->out), ns_s_an, 0, &data)[0] != '\0')
		CHECK(ns_name_uncompress(t->out.ptr, t->out.ptr + t->out.len, data, target, sizeof(target)) > 0);
	return target;
}

TEST(an_address_has_no_name_that_means_another_one)
{
	struct mesh_record loser = record_of(3, "nas", 70, false), work = record_of(4, "nas", 10, false);
	struct mesh_record home = record_of(5, "box", 70, false);
	struct dns_test t;

	REQUIRE(test_init(&t) == 0 && node_add(&t.n.home, &loser) == 0);
	while (address_of(&t.n.work, &work, 1) == address_of(&t.n.work, &t.box, 1))
		work.claims[0].attempt++;	/* there are only eight blocks */
	REQUIRE(node_add(&t.n.work, &work) == 0);
	CHECK_STR(name_of(&t, address_of(&t.n.home, &t.nas, 1)), "nas.mesh");
	CHECK_STR(name_of(&t, address_of(&t.n.home, &loser, 1)), "");
	CHECK_STR(name_of(&t, address_of(&t.n.work, &work, 1)), "");
	CHECK_STR(name_of(&t, address_of(&t.n.work, &t.box, 1)), "box.mesh");
	REQUIRE(node_add(&t.n.home, &home) == 0);	/* of the network that goes before */
	CHECK_STR(name_of(&t, address_of(&t.n.work, &t.box, 1)), "");
	CHECK_STR(name_of(&t, address_of(&t.n.home, &home, 1)), "box.mesh");
	test_release(&t);
}

TEST(an_address_is_named_behind_its_network_s_label_if_need_be)
{
	struct mesh_record other = record_of(3, "nas", 70, false);
	struct error err = ERROR_INIT;
	struct named_net third;
	struct dns_test t;

	REQUIRE(test_init(&t) == 0 && net_add(&t.n, &third, 9, 0xac100000, 24, "third") == 0);
	REQUIRE(claims_set(third.claims, other.id, other.claims, 1, &err) == 1 && names_set(third.net, &other, &err) == 0);
	CHECK_STR(name_of(&t, address_of(&third, &other, 1)), "nas.third.mesh");
	CHECK_INT(ask(&t, "nas.third.mesh", 1), 0);
	CHECK_INT(get_be32(t.out.ptr + t.out.len - 4), address_of(&third, &other, 1));
	names_network_remove(t.n.names, third.net);
	claims_free(third.claims);
	test_release(&t);
}

TEST(other_names_are_foreign)
{
	static const char *const foreign[] = {"", "com", "meshx", "xmesh", "mesh.com", "nas.mesh.com", "nasmesh", "in-addr.arpa",
		"arpa", "ip6.arpa", "8.8.8.8.in-addr.arpa", "18.198.in-addr.arpa", "198.in-addr.arpa", "1.2.1.10.in-addr.arpa",
		"256.33.18.198.in-addr.arpa.com", "33.18.256.in-addr.arpa", "1.0.0.127.in-addr.arpa", "d.f.ip6.arpa"};
	struct dns_test t;
	size_t i;

	REQUIRE(test_init(&t) == 0);
	for (i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		CHECK_INT(ask(&t, foreign[i], 1), -1);
	dns_refuse(&t.z, query_of("example.com", 1, 1232), &t.out);
	CHECK_INT(t.out.ptr[3] & 15, 5);
	CHECK_INT(count_of(buf_slice(&t.out), ns_s_ar), 1);
	dns_fail(&t.z, query_of("example.com", 1, 0), &t.out);
	CHECK_INT(t.out.ptr[3] & 15, 2);
	CHECK_INT(t.out.len, query_of("example.com", 1, 0).len);
	test_release(&t);
}

/* The rcode for the query with one byte changed. */
static int changed(struct dns_test *t, size_t at, uint8_t value)
{
	uint8_t copy[512];
	struct slice q = query_of("nas.mesh", 1, 1232);

	memcpy(copy, q.ptr, q.len);
	copy[at] = value;
	if (dns_answer(&t->z, slice_of(copy, q.len), false, &t->out) != DNS_ANSWERED)
		return -1;
	return t->out.ptr[3] & 15;
}

TEST(queries_that_break_the_form_are_refused)
{
	struct dns_test t;
	struct slice q;
	uint8_t large[DNS_UDP_MAX + 1] = {0};
	size_t i;

	REQUIRE(test_init(&t) == 0);
	q = query_of("nas.mesh", 1, 1232);
	for (i = 0; i < q.len; i++) {
		enum dns_verdict v = dns_answer(&t.z, slice_of(q.ptr, i), false, &t.out);

		CHECK(i < 12 ? v == DNS_DROP : v == DNS_ANSWERED && (t.out.ptr[3] & 15) == 1);
	}
	memcpy(large, q.ptr, q.len);
	CHECK(dns_answer(&t.z, slice_of(large, sizeof(large)), false, &t.out) == DNS_DROP);
	CHECK(dns_answer(&t.z, slice_of(large, sizeof(large)), true, &t.out) == DNS_ANSWERED && t.out.ptr[3] == 1);
	CHECK(dns_answer(&t.z, slice_of(large, q.len + 1), false, &t.out) == DNS_ANSWERED && t.out.ptr[3] == 1);
	CHECK_INT(changed(&t, 2, 0x81), -1);	/* an answer */
	CHECK_INT(changed(&t, 2, 0x21), 4);	/* NOTIFY */
	CHECK_INT(changed(&t, 2, 0x03), 1);	/* TC */
	CHECK_INT(changed(&t, 5, 0), 1);	/* no question */
	CHECK_INT(changed(&t, 5, 2), 1);
	CHECK_INT(changed(&t, 7, 1), 1);	/* an answer inside */
	CHECK_INT(changed(&t, 9, 1), 1);
	CHECK_INT(changed(&t, 11, 0), 1);	/* bytes left over */
	CHECK_INT(changed(&t, 11, 2), 1);
	CHECK_INT(changed(&t, 10, 1), 1);	/* 257 records */
	CHECK_INT(changed(&t, 12, 0xc0), 1);	/* a pointer in the question */
	CHECK_INT(changed(&t, 12, 0x40), 1);
	CHECK_INT(changed(&t, 12, 63), 1);
	CHECK_INT(changed(&t, 25, 3), 5);	/* class CH */
	CHECK_INT(changed(&t, 23, 252), 5);	/* AXFR */
	CHECK_INT(changed(&t, 23, 41), 5);
	CHECK_INT(changed(&t, 32, 1), 0);	/* EDNS 1: BADVERS is 16, the upper bits are in OPT */
	CHECK_INT(t.out.ptr[t.out.len - 6], 1);
	CHECK_INT(changed(&t, 25, 255), 0);
	test_release(&t);
}

TEST(names_as_long_as_they_may_be_and_longer)
{
	char name[300];
	struct dns_test t;
	uint8_t q[400] = {0x12, 0x34, 1, 0, 0, 1};
	size_t i;

	REQUIRE(test_init(&t) == 0);
	memset(name, 'a', sizeof(name));
	for (i = 63; i < 200; i += 64)
		name[i] = '.';
	memcpy(name + 248, ".mesh", 6);		/* 253 characters are 255 bytes */
	name[191] = '.';
	CHECK_INT(ask(&t, name, 1), 3);
	CHECK(count_of(buf_slice(&t.out), ns_s_ns) == 1 && t.out.len <= DNS_UDP_MIN);
	memcpy(name + 249, ".mesh", 6);
	name[248] = 'a';
	CHECK(dns_answer(&t.z, query_of(name, 1, 0), false, &t.out) == DNS_ANSWERED && (t.out.ptr[3] & 15) == 1);
	CHECK_INT(t.out.len, DNS_HEADER_LEN);	/* there is no question to repeat */
	/* 127 labels of one byte, and 128. */
	for (i = 0; i < 127; i++) {
		q[12 + 2 * i] = 1;
		q[13 + 2 * i] = 'a';
	}
	put_be16(q + 12 + 255, 1);
	put_be16(q + 12 + 257, 1);
	CHECK(dns_answer(&t.z, slice_of(q, 12 + 259), false, &t.out) == DNS_FOREIGN);
	q[12 + 254] = 1;
	q[12 + 255] = 'a';
	q[12 + 256] = 0;
	CHECK(dns_answer(&t.z, slice_of(q, 12 + 261), false, &t.out) == DNS_ANSWERED && (t.out.ptr[3] & 15) == 1);
	/* A dot inside a label is no dot. */
	memcpy(q + 12, "\010nas.home\4mesh\0\0\1\0\1", 19);
	CHECK(dns_answer(&t.z, slice_of(q, 31), false, &t.out) == DNS_ANSWERED && (t.out.ptr[3] & 15) == 3);
	test_release(&t);
}

TEST(edns_is_answered_and_sizes_are_kept_to)
{
	struct dns_test t;
	struct slice q;

	REQUIRE(test_init(&t) == 0);
	q = query_of("nas.mesh", 1, 4096);
	CHECK(dns_answer(&t.z, q, false, &t.out) == DNS_ANSWERED);
	CHECK_STR(record_text(buf_slice(&t.out), ns_s_ar, 0, NULL), ". 41 32768 0");
	CHECK_INT(dns_reply_max(query_of("a", 1, 0), false), 512);
	CHECK_INT(dns_reply_max(query_of("a", 1, 100), false), 512);
	CHECK_INT(dns_reply_max(query_of("a", 1, 1400), false), 1400);
	CHECK_INT(dns_reply_max(query_of("a", 1, 65535), false), 4096);
	CHECK_INT(dns_reply_max(query_of("a", 1, 0), true), 65535);
	q = query_of("nas.mesh", 1, 4096);
	CHECK(dns_answer(&t.z, q, false, &t.out) == DNS_ANSWERED);
	dns_truncate(&t.out, t.out.len);
	CHECK_INT(t.out.ptr[2] & 2, 0);
	dns_truncate(&t.out, t.out.len - 1);
	CHECK_INT(t.out.ptr[2] & 2, 2);
	CHECK_INT(count_of(buf_slice(&t.out), ns_s_an), 0);
	CHECK_STR(record_text(buf_slice(&t.out), ns_s_ar, 0, NULL), ". 41 32768 0");
	CHECK_INT(t.out.len, q.len);
	dns_truncate(&t.out, 30);
	CHECK_INT(count_of(buf_slice(&t.out), ns_s_ar), 0);
	CHECK_INT(t.out.len, 26);
	test_release(&t);
}

TEST(tcp_messages_are_cut_out_of_the_stream)
{
	uint8_t stream[64] = {0, 12, [14] = 0, 11};
	struct buf out = BUF_INIT(100);
	struct slice m;
	size_t used = 0, i;

	for (i = 0; i < 14; i++)
		CHECK_INT(dns_tcp_next(slice_of(stream, i), &m, &used), 0);
	CHECK_INT(dns_tcp_next(slice_of(stream, sizeof(stream)), &m, &used), 1);
	CHECK(m.len == 12 && m.ptr == stream + 2 && used == 14);
	CHECK_INT(dns_tcp_next(slice_of(stream + 14, 2), &m, &used), -1);
	CHECK_INT(dns_tcp_next(slice_of("\0\0", 2), &m, &used), -1);
	dns_tcp_put(&out, SLICE_LIT("abcdefghijklmnop"));
	CHECK_INT(out.len, 18);
	CHECK_INT(dns_tcp_next(buf_slice(&out), &m, &used), 1);
	CHECK(slice_equal_str(m, "abcdefghijklmnop"));
	buf_release(&out);
}

TEST(suffixes_that_mean_something_else_are_refused)
{
	static const char *const good[] = {"mesh", "home-mesh", "mesh.example.net", "a.b.c.d"};
	static const char *const bad[] = {"", ".", "mesh.", ".mesh", "Mesh", "a..b", "a.b.c.d.e", "a.b.c.d.", "me sh", "-mesh",
					  "~mesh", "local", "x.local", "localhost", "arpa", "in-addr.arpa", "invalid", "mesh\n"};
	struct error err = ERROR_INIT;
	char longest[130];
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(dns_suffix_check(slice_str(good[i]), &err) == 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(dns_suffix_check(slice_str(bad[i]), &err) < 0);
		CHECK_INT(err.kind, ERR_USAGE);
	}
	memset(longest, 'a', sizeof(longest));
	longest[60] = '.';
	CHECK(dns_suffix_check(slice_of(longest, 100), &err) == 0);
	CHECK(dns_suffix_check(slice_of(longest, 101), &err) < 0);
}
