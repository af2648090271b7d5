/* What another resolver may say: its replies as they came, or without what leads into the mesh or to this machine. */
#include "tap.h"

#include <arpa/nameser.h>
#include <arpa/inet.h>

#include "mesh/bytes.h"
#include "mesh_names_fixture.h"

#define POINTER SLICE_LIT("\xc0\x0c")
#define EXAMPLE SLICE_LIT("\xc0\x10")

struct filter_test {
	struct named n;
	struct dns_zone z;
	struct buf query, reply, out;
	unsigned stripped;
};

static void header(struct buf *b, uint16_t flags)
{
	buf_clear(b);
	buf_put_u16be(b, 0x1234);
	buf_put_u16be(b, flags);
	buf_put_u16be(b, 1);
	buf_put_u16be(b, 0);
	buf_put_u32be(b, 0);
	buf_put_slice(b, SLICE_LIT("\3www\7example\3com\0\0\1\0\1"));
}

static int filter_init(struct filter_test *t)
{
	memset(t, 0, sizeof(*t));
	t->query = BUF_INIT(512);
	t->reply = BUF_INIT(1 << 17);
	t->out = BUF_INIT(DNS_TCP_MAX);
	header(&t->query, 0x0100);
	header(&t->reply, 0x81a0);
	t->z.suffix = "mesh";
	if (named_init(&t->n) < 0)
		return -1;
	t->z.names = t->n.names;
	return 0;
}

static void filter_release(struct filter_test *t)
{
	buf_release(&t->query);
	buf_release(&t->reply);
	buf_release(&t->out);
	named_release(&t->n);
}

/* A record more in a section, 0 to 2. */
static void add(struct filter_test *t, unsigned section, struct slice owner, uint16_t type, struct slice data)
{
	uint8_t *count = t->reply.ptr + 6 + 2 * section;

	put_be16(count, (uint16_t)(get_be16(count) + 1));
	buf_put_slice(&t->reply, owner);
	buf_put_u16be(&t->reply, type);
	buf_put_u16be(&t->reply, 1);
	buf_put_u32be(&t->reply, 300);
	buf_put_u16be(&t->reply, (uint16_t)data.len);
	buf_put_slice(&t->reply, data);
}

static void add_address(struct filter_test *t, struct slice owner, const char *text)
{
	bool v6 = strchr(text, ':') != NULL;
	uint8_t address[16];

	CHECK(inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1);
	add(t, 0, owner, v6 ? 28 : 1, slice_of(address, v6 ? 16 : 4));
}

static enum dns_filtered filter(struct filter_test *t)
{
	return dns_filter_upstream(&t->z, buf_slice(&t->query), buf_slice(&t->reply), &t->out, &t->stripped);
}

/* The records of a section as the C library reads them: "owner type data" with addresses and names as text. */
static const char *section_text(const struct filter_test *t, ns_sect section)
{
	static char text[8000];
	size_t len = 0;
	ns_msg m;
	int i;

	text[0] = '\0';
	if (ns_initparse(t->out.ptr, (int)t->out.len, &m) < 0)
		return "malformed";
	for (i = 0; i < (int)ns_msg_count(m, section); i++) {
		char data[1200] = "";
		ns_rr rr;

		if (ns_parserr(&m, section, i, &rr) < 0)
			return "malformed record";
		if (ns_rr_type(rr) == ns_t_a)
			inet_ntop(AF_INET, ns_rr_rdata(rr), data, sizeof(data));
		else if (ns_rr_type(rr) == ns_t_aaaa)
			inet_ntop(AF_INET6, ns_rr_rdata(rr), data, sizeof(data));
		else if (ns_rr_type(rr) == ns_t_cname || ns_rr_type(rr) == ns_t_ns || ns_rr_type(rr) == ns_t_mx)
			CHECK(ns_name_uncompress(t->out.ptr, t->out.ptr + t->out.len,
						 ns_rr_rdata(rr) + (ns_rr_type(rr) == ns_t_mx ? 2 : 0), data,
						 sizeof(data)) > 0);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %d %s", len > 0 ? "; " : "", ns_rr_name(rr),
					(int)ns_rr_type(rr), data);
	}
	return text;
}

TEST(a_reply_without_harm_passes_as_it_came)
{
	struct filter_test t;

	REQUIRE(filter_init(&t) == 0);
	add(&t, 0, POINTER, 5, SLICE_LIT("\3cdn\xc0\x10"));
	add_address(&t, SLICE_LIT("\xc0\x2d"), "93.184.216.34");
	add_address(&t, SLICE_LIT("\xc0\x2d"), "192.168.1.1");	/* private ranges have their uses */
	add_address(&t, SLICE_LIT("\xc0\x2d"), "2001:db8::1");
	add_address(&t, SLICE_LIT("\xc0\x2d"), "64:ff9b::9.9.9.9");
	add_address(&t, SLICE_LIT("\xc0\x2d"), "fd00::1");
	add_address(&t, SLICE_LIT("\xc0\x2d"), "198.18.31.255");	/* beside the range */
	add_address(&t, SLICE_LIT("\xc0\x2d"), "198.18.64.0");
	add_address(&t, SLICE_LIT("\xc0\x2d"), "169.253.255.255");
	add(&t, 1, EXAMPLE, 2, SLICE_LIT("\2ns\xc0\x10"));
	add(&t, 1, EXAMPLE, 6, SLICE_LIT("\2ns\xc0\x10\4mail\xc0\x10" "12345678901234567890"));
	add(&t, 0, POINTER, 12345, SLICE_LIT("opaque"));
	put_be16(t.reply.ptr + 6, 9);
	put_be16(t.reply.ptr + 8, 3);	/* the last one is in the authority section as it stands */
	add(&t, 2, SLICE_LIT("\0"), 41, SLICE_EMPTY);
	CHECK_INT(filter(&t), DNS_PASSED);
	CHECK(slice_equal(buf_slice(&t.out), buf_slice(&t.reply)));
	CHECK_INT(t.stripped, 0);
	filter_release(&t);
}

TEST(addresses_that_lead_here_are_left_out)
{
	static const char *const bad[] = {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "169.254.0.1", "198.18.32.0",
		"198.18.63.255", "10.1.2.64", "10.1.2.127", "::", "::1", "::7f00:1", "::ffff:8.8.8.8", "::ffff:127.0.0.1",
		"::ffff:0:127.0.0.1", "fe80::1", "febf::1", "64:ff9b::127.0.0.1", "64:ff9b::198.18.33.1"};
	struct filter_test t;
	uint8_t v6[16];
	size_t i;

	REQUIRE(filter_init(&t) == 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		header(&t.reply, 0x81a0);
		add_address(&t, POINTER, "9.9.9.9");
		add_address(&t, POINTER, bad[i]);
		add_address(&t, POINTER, "2001:db8::1");
		CHECK_INT(filter(&t), DNS_STRIPPED);
		CHECK_INT(t.stripped, 1);
		CHECK_STR(section_text(&t, ns_s_an), "www.example.com 1 9.9.9.9; www.example.com 28 2001:db8::1");
		CHECK_INT(t.out.ptr[3], 0x80);	/* no AD any more */
		header(&t.reply, 0x8180);
		add_address(&t, POINTER, bad[i]);
		CHECK_INT(filter(&t), DNS_STRIPPED);
		CHECK_STR(section_text(&t, ns_s_an), "");
		CHECK_INT(t.out.len, t.query.len);
	}
	block_v6(&t.n.home.addressing, 5, 1, v6);
	header(&t.reply, 0x8180);
	add(&t, 2, POINTER, 28, slice_of(v6, 16));
	CHECK_INT(filter(&t), DNS_STRIPPED);
	CHECK_STR(section_text(&t, ns_s_ar), "");
	filter_release(&t);
}

TEST(names_that_point_into_what_is_left_out_stay_whole)
{
	struct filter_test t;

	REQUIRE(filter_init(&t) == 0);
	/* The second record's owner and the third's data are known only from the first, which goes. */
	add_address(&t, SLICE_LIT("\5other\xc0\x10"), "127.0.0.1");
	add_address(&t, SLICE_LIT("\xc0\x21"), "9.9.9.9");
	add(&t, 1, EXAMPLE, 15, SLICE_LIT("\0\1\2mx\xc0\x21"));
	add(&t, 1, EXAMPLE, 46, SLICE_LIT("123456789012345678\0signature"));
	add(&t, 2, SLICE_LIT("\0"), 41, SLICE_EMPTY);
	CHECK_INT(filter(&t), DNS_STRIPPED);
	CHECK_STR(section_text(&t, ns_s_an), "other.example.com 1 9.9.9.9");
	CHECK_STR(section_text(&t, ns_s_ns), "example.com 15 mx.other.example.com");
	CHECK_STR(section_text(&t, ns_s_ar), ". 41 ");
	filter_release(&t);
}

TEST(aliases_into_the_suffix_are_left_out)
{
	static const struct {
		uint16_t type;
		struct slice data;
		bool passes;
	} cases[] = {
		{5, SLICE_LIT("\3nas\4MESH\0"), false}, {5, SLICE_LIT("\4mesh\0"), false}, {5, SLICE_LIT("\4mesh\3com\0"), true},
		{5, SLICE_LIT("\5xmesh\0"), true}, {5, SLICE_LIT("\0"), true}, {39, SLICE_LIT("\0"), false},
		{39, SLICE_LIT("\4mesh\0"), false}, {39, SLICE_LIT("\3net\0"), true}, {12, SLICE_LIT("\3nas\4mesh\0"), false},
		{15, SLICE_LIT("\0\1\3nas\4mesh\0"), false}, {33, SLICE_LIT("\0\0\0\0\0\0\3nas\4mesh\0"), false},
		{65, SLICE_LIT("\0\0\3nas\4mesh\0"), false}, {64, SLICE_LIT("\0\0\3nas\3net\0"), true},
		{65, SLICE_LIT("\0\1\0\0\4\0\4\x7f\0\0\1"), false}, {65, SLICE_LIT("\0\1\0\0\4\0\4\x09\x09\x09\x09"), true},
		{65, SLICE_LIT("\0\1\0\0\4\0\x08\x09\x09\x09\x09\x0a\1\2\x41"), false}, {65, SLICE_LIT("\0\1\0\0\4\0\3\x09\x09\x09"), false},
		{65, SLICE_LIT("\0\1\0\0\4\0\0"), false}, {65, SLICE_LIT("\0\1\0\0\1\0\3\2h2"), true},
		{65, SLICE_LIT("\0\1\0\0\6\0\x10\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), false}, {65, SLICE_LIT("\0\1\0\0\1\0"), false},
		{65, SLICE_LIT("\0\1"), false}, {65, SLICE_LIT("\0\1\xc0\x0c"), false}, {38, SLICE_LIT("\0anything"), false},
	};
	struct filter_test t;
	size_t i;

	REQUIRE(filter_init(&t) == 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		header(&t.reply, 0x8180);
		add(&t, 0, POINTER, cases[i].type, cases[i].data);
		CHECK_INT(filter(&t), cases[i].passes ? DNS_PASSED : DNS_STRIPPED);
	}
	header(&t.reply, 0x8180);
	add_address(&t, SLICE_LIT("\3nas\4mesh\0"), "9.9.9.9");	/* and nobody else speaks for it */
	CHECK_INT(filter(&t), DNS_STRIPPED);
	t.z.suffix = "mesh.example.net";
	header(&t.reply, 0x8180);
	add(&t, 0, POINTER, 39, SLICE_LIT("\7example\3net\0"));
	CHECK_INT(filter(&t), DNS_STRIPPED);
	filter_release(&t);
}

/* The verdict on a good reply with one byte changed. */
static enum dns_filtered changed(struct filter_test *t, size_t at, uint8_t value)
{
	header(&t->reply, 0x8180);
	add_address(t, POINTER, "9.9.9.9");
	t->reply.ptr[at] = value;
	return filter(t);
}

TEST(what_is_no_reply_to_the_query_is_bad)
{
	struct filter_test t;
	size_t i, whole;

	REQUIRE(filter_init(&t) == 0);
	CHECK_INT(changed(&t, 0, 0x12), DNS_PASSED);
	whole = t.reply.len;
	for (i = 0; i < whole; i++) {
		t.reply.len = i;
		CHECK_INT(filter(&t), DNS_BAD);
	}
	t.reply.len = whole;
	buf_put_u8(&t.reply, 0);
	CHECK_INT(filter(&t), DNS_BAD);
	CHECK_INT(changed(&t, 0, 0x13), DNS_BAD);
	CHECK_INT(changed(&t, 2, 0x01), DNS_BAD);	/* a query */
	CHECK_INT(changed(&t, 2, 0xa9), DNS_BAD);	/* opcode */
	CHECK_INT(changed(&t, 5, 0), DNS_BAD);
	CHECK_INT(changed(&t, 5, 2), DNS_BAD);
	CHECK_INT(changed(&t, 7, 2), DNS_BAD);
	CHECK_INT(changed(&t, 6, 5), DNS_BAD);
	CHECK_INT(changed(&t, 13, 'x'), DNS_BAD);	/* another name */
	CHECK_INT(changed(&t, 13, 'W'), DNS_PASSED);
	CHECK_INT(changed(&t, 30, 28), DNS_BAD);	/* another type */
	CHECK_INT(changed(&t, 32, 3), DNS_BAD);
	CHECK_INT(changed(&t, 34, 0x21), DNS_BAD);	/* the owner points at itself */
	CHECK_INT(changed(&t, 34, 0x30), DNS_BAD);	/* and ahead */
	CHECK_INT(changed(&t, 34, 0x0b), DNS_BAD);	/* and into the header */
	CHECK_INT(changed(&t, 33, 0x80), DNS_BAD);
	CHECK_INT(changed(&t, 44, 5), DNS_BAD);
	header(&t.reply, 0x8180);
	add(&t, 0, POINTER, 1, SLICE_LIT("12345"));
	CHECK_INT(filter(&t), DNS_BAD);
	header(&t.reply, 0x8180);
	add(&t, 0, POINTER, 28, SLICE_LIT("1234"));
	CHECK_INT(filter(&t), DNS_BAD);
	header(&t.reply, 0x8180);
	add(&t, 0, POINTER, 5, SLICE_LIT("\3abc\0x"));
	CHECK_INT(filter(&t), DNS_BAD);
	header(&t.reply, 0x8180);
	add(&t, 0, POINTER, 5, SLICE_LIT("\3ab"));
	CHECK_INT(filter(&t), DNS_BAD);
	header(&t.reply, 0x8180);
	add(&t, 0, SLICE_LIT("\0"), 41, SLICE_EMPTY);	/* in the answer section */
	CHECK_INT(filter(&t), DNS_BAD);
	header(&t.reply, 0x8180);
	add(&t, 2, SLICE_LIT("\0"), 41, SLICE_EMPTY);
	add(&t, 2, SLICE_LIT("\0"), 41, SLICE_EMPTY);
	CHECK_INT(filter(&t), DNS_BAD);
	filter_release(&t);
}

TEST(numbers_and_lengths_are_bounded)
{
	struct filter_test t;
	struct buf label = BUF_INIT(DNS_NAME_MAX);
	unsigned i;

	REQUIRE(filter_init(&t) == 0);
	for (i = 0; i < DNS_RECORDS_MAX; i++)
		add_address(&t, POINTER, "9.9.9.9");
	CHECK_INT(filter(&t), DNS_PASSED);
	add_address(&t, POINTER, "9.9.9.9");
	CHECK_INT(filter(&t), DNS_BAD);
	/* Names that are short here and long when they are written out: no reply is better than a large one. */
	header(&t.reply, 0x8180);
	for (i = 0; i < 3; i++) {
		buf_put_u8(&label, 63);
		while (label.len % 64 != 0)
			buf_put_u8(&label, 'a');
	}
	buf_put_u8(&label, 0);
	add_address(&t, buf_slice(&label), "127.0.0.1");
	for (i = 0; i < 600; i++)
		add_address(&t, SLICE_LIT("\xc0\x21"), "9.9.9.9");
	CHECK_INT(filter(&t), DNS_STRIPPED);
	CHECK_INT(t.out.ptr[3] & 15, 2);
	CHECK_STR(section_text(&t, ns_s_an), "");
	/* Longer than any message. */
	header(&t.reply, 0x8180);
	for (i = 0; i < 70; i++)
		add(&t, 0, POINTER, 16, slice_of(t.out.ptr, 0));
	while (t.reply.len <= DNS_TCP_MAX)
		buf_put_u8(&t.reply, 0);
	CHECK_INT(filter(&t), DNS_BAD);
	buf_release(&label);
	filter_release(&t);
}
