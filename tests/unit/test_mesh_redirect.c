/* Redirected flows: which begin, where their packets go, and that every checksum is right afterwards. */
#include "mesh/redirect.h"

#include "inner_kit.h"
#include "mesh/plane_packet.h"
#include "tap.h"

#define NODE 1		/* hosts of inner_kit.h */
#define PRINTER 2
#define CALLER 9
#define PROXY 50000	/* its port; UDP's is one more */
#define LAN4 {4, {192, 168, 1, 7}}
#define LAN6 {6, {0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
#define LO4 {4, {127, 0, 0, 1}}
#define LO6 {6, {[15] = 1}}

static struct redirect *r;
static int64_t now = 1000000;

/* ---- who listens ---- */

static struct redirect_listener listening[REDIRECT_LISTENERS_MAX];
static size_t listening_n;
static uint16_t listening_port;		/* 0: on all */
static bool taken, ports_told;
static unsigned asked_taken, asked_listening, asked_ports;

static bool ask_taken(void *arg, uint8_t protocol, const struct redirect_address *local, uint16_t local_port,
		      const struct redirect_address *remote, uint16_t remote_port)
{
	(void)arg;
	(void)protocol;
	(void)remote_port;
	(void)local_port;
	CHECK(local->version == remote->version);
	asked_taken++;
	return taken;
}

static size_t ask_listening(void *arg, uint8_t protocol, uint16_t port, struct redirect_listener *out, size_t max)
{
	(void)arg;
	(void)protocol;
	asked_listening++;
	if (listening_port != 0 && port != listening_port)
		return 0;
	memcpy(out, listening, (listening_n < max ? listening_n : max) * sizeof(*out));
	return listening_n < max ? listening_n : max;
}

static bool ask_ports(void *arg, uint8_t protocol, uint8_t bits[static REDIRECT_PORTS_BYTES])
{
	(void)arg;
	(void)protocol;
	asked_ports++;
	memset(bits, listening_port == 0 && listening_n > 0 ? 0xff : 0, REDIRECT_PORTS_BYTES);
	bits[listening_port / 8] |= (uint8_t)(1 << listening_port % 8);
	return ports_told;
}

static void listen_at(struct redirect_address a)
{
	listening[listening_n++] = (struct redirect_listener){.address = a};
}

static struct redirect_address host(int ver, unsigned n)
{
	struct redirect_address a = {.version = (uint8_t)ver};

	pkt_address(a.bytes, ver, n);
	return a;
}

static struct redirect_own own_now(void)
{
	struct redirect_own own = {.node4 = host(4, NODE), .node6 = host(6, NODE), .tcp4 = PROXY, .tcp6 = PROXY,
				   .udp4 = PROXY + 1, .udp6 = PROXY + 1, .forwards_n = 2, .forward_of = {7, 7}};

	own.forwards[0] = host(4, PRINTER);
	own.forwards[1] = host(6, PRINTER);
	return own;
}

static void start(void)
{
	struct redirect_options o = {NULL, ask_taken, ask_listening, ask_ports};
	struct redirect_own own = own_now();

	r = redirect_new();
	redirect_set_options(r, &o);
	redirect_set(r, &own);
	listening_n = listening_port = 0;
	taken = false;
	ports_told = true;
}

static void end(void)
{
	redirect_free(r);
	redirect_free(NULL);
}

/* ---- packets ---- */

static void sum_header(struct pkt *p)
{
	uint16_t sum;

	if (p->b[0] >> 4 != 4)
		return;
	memset(p->b + 10, 0, 2);
	sum = (uint16_t)~plane_sum_fold(plane_sum(p->b, p->l4, 0));
	memcpy(p->b + 10, &sum, 2);
}

static struct plane_packet parsed(struct pkt *p)
{
	struct plane_packet out;

	REQUIRE(plane_packet_parse(p->b, p->len, &out));
	out.bytes = p->b;
	out.now_ms = now;
	return out;
}

static void sum_icmp(struct pkt *p)
{
	struct plane_packet k = parsed(p);
	size_t n = p->len - p->l4;
	uint16_t sum;

	memset(p->b + p->l4 + 2, 0, 2);
	sum = (uint16_t)~plane_sum_fold(plane_sum(p->b + p->l4, n, k.version == 4 ? 0 : plane_sum_pseudo(&k, n)));
	memcpy(p->b + p->l4 + 2, &sum, 2);
}

static void sum_all(struct pkt *p)
{
	struct plane_packet k;

	sum_header(p);
	k = parsed(p);
	if (k.protocol == IPPROTO_ICMP || k.protocol == IPPROTO_ICMPV6)
		sum_icmp(p);
	else
		plane_checksum_fill(&k, p->b);
}

static bool sums_good(struct pkt *p)
{
	struct plane_packet k = parsed(p);
	size_t n = p->len - p->l4;

	if (k.version == 4 && plane_sum_fold(plane_sum(p->b, p->l4, 0)) != 0xffff)
		return false;
	if (k.protocol == IPPROTO_ICMP || k.protocol == IPPROTO_ICMPV6)
		return plane_sum_fold(plane_sum(p->b + p->l4, n, k.version == 4 ? 0 : plane_sum_pseudo(&k, n))) == 0xffff;
	return plane_checksum_good(&k);
}

static void tcp(struct pkt *p, int ver, unsigned from, unsigned from_port, unsigned to, unsigned to_port, uint8_t flags)
{
	pkt_tcp(p, ver, from, from_port, to, to_port, flags);
	sum_all(p);
}

static void udp(struct pkt *p, int ver, unsigned from, unsigned from_port, unsigned to, unsigned to_port)
{
	pkt_udp(p, ver, from, from_port, to, to_port);
	memcpy(p->b + p->l4 + 8, "sixteen bytes ok", 16);
	sum_all(p);
}

static enum redirect_verdict admit(struct pkt *p)
{
	struct plane_packet k = parsed(p);

	return redirect_admit(r, 3, &k);
}

static void in(struct pkt *p)
{
	struct plane_packet k = parsed(p);

	redirect_in(r, &k);
}

static void out(struct pkt *p)
{
	struct plane_packet k = parsed(p);

	redirect_out(r, &k);
}

static void put_addresses(struct pkt *p, struct redirect_address from, struct redirect_address to)
{
	size_t at = from.version == 4 ? 12 : 8, n = from.version == 4 ? 4 : 16;

	memcpy(p->b + at, from.bytes, n);
	memcpy(p->b + at + n, to.bytes, n);
}

/* What the kernel answers to a packet, as it has seen it. */
static void turn(struct pkt *p, uint8_t flags)
{
	size_t at = p->b[0] >> 4 == 4 ? 12 : 8, n = at == 12 ? 4 : 16;
	uint8_t a[16], ports[4];

	memcpy(a, p->b + at, n);
	memcpy(p->b + at, p->b + at + n, n);
	memcpy(p->b + at + n, a, n);
	memcpy(ports, p->b + p->l4, 4);
	memcpy(p->b + p->l4, ports + 2, 2);
	memcpy(p->b + p->l4 + 2, ports, 2);
	if (p->b[at == 12 ? 9 : 6] == IPPROTO_TCP)
		p->b[p->l4 + 13] = flags;
	sum_all(p);
}

static bool is(const struct pkt *p, struct redirect_address from, unsigned from_port, struct redirect_address to,
	       unsigned to_port)
{
	size_t at = from.version == 4 ? 12 : 8, n = from.version == 4 ? 4 : 16;

	return memcmp(p->b + at, from.bytes, n) == 0 && memcmp(p->b + at + n, to.bytes, n) == 0 &&
	       get_be16(p->b + p->l4) == from_port && get_be16(p->b + p->l4 + 2) == to_port;
}

/* ---- where flows go ---- */

TEST(what_the_kernel_takes_goes_its_way)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct pkt p, before;

		start();
		taken = true;
		listen_at((struct redirect_address)LO4);
		tcp(&p, ver, CALLER, 40000, NODE, 22, PKT_SYN);
		before = p;
		CHECK_INT(admit(&p), REDIRECT_PASS);
		in(&p);
		CHECK(memcmp(&p, &before, sizeof(p)) == 0);
		turn(&p, PKT_SYNACK);
		before = p;
		out(&p);
		CHECK(memcmp(&p, &before, sizeof(p)) == 0);
		CHECK_INT(asked_listening, 0);
		end();
	}
}

static void through_the_proxy(int ver, struct redirect_address service)
{
	struct redirect_flow f, again;
	struct pkt p, syn;

	start();
	listen_at(service);
	tcp(&syn, ver, CALLER, 40000, NODE, 22, PKT_SYN);
	CHECK_INT(admit(&syn), REDIRECT_TAKE);
	REQUIRE(redirect_of_packet(r, syn.b, syn.len, &f));
	CHECK(f.kind == REDIRECT_LOOPBACK && f.peer == 3 && f.caller_port == 40000 && f.called_port == 22 && f.alias_port == 40000);
	CHECK(memcmp(&f.service, &service, sizeof(service)) == 0);
	/* Said again, it is the same one. */
	CHECK_INT(admit(&syn), REDIRECT_TAKE);
	CHECK(redirect_of_packet(r, syn.b, syn.len, &again) && again.id == f.id);
	/* Nothing else passes before the service has answered. */
	CHECK(redirect_ready(r, f.id, syn.b, syn.len));
	CHECK(is(&syn, host(ver, CALLER), 40000, host(ver, NODE), PROXY) && sums_good(&syn));
	CHECK(redirect_of_alias(r, IPPROTO_TCP, &f.alias, f.alias_port, &again) && again.id == f.id);
	turn(&syn, PKT_SYNACK);
	out(&syn);
	CHECK(is(&syn, host(ver, NODE), 22, host(ver, CALLER), 40000) && sums_good(&syn));
	tcp(&p, ver, CALLER, 40000, NODE, 22, PKT_ACK);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	in(&p);
	CHECK(is(&p, host(ver, CALLER), 40000, host(ver, NODE), PROXY) && sums_good(&p));
	end();
}

TEST(a_service_on_loopback_is_the_proxys)
{
	through_the_proxy(4, (struct redirect_address)LO4);
	through_the_proxy(4, (struct redirect_address){4, {127, 0, 0, 53}});
	through_the_proxy(6, (struct redirect_address)LO6);
}

TEST(a_service_on_loopback_of_the_other_family_is_the_proxys)
{
	through_the_proxy(4, (struct redirect_address)LO6);
	through_the_proxy(6, (struct redirect_address)LO4);
}

TEST(a_service_on_one_address_gets_the_packets_themselves)
{
	struct redirect_address lan[2] = {LAN4, LAN6};

	for (int i = 0; i < 2; i++) {
		int ver = i == 0 ? 4 : 6;
		struct redirect_flow f;
		struct pkt p;

		start();
		listen_at(lan[i]);
		listen_at((struct redirect_address)LO4);
		tcp(&p, ver, CALLER, 40000, NODE, 22, PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_PASS);
		CHECK(redirect_of_packet(r, p.b, p.len, &f) && f.kind == REDIRECT_ADDRESS);
		in(&p);
		CHECK(is(&p, host(ver, CALLER), 40000, lan[i], 22) && sums_good(&p));
		turn(&p, PKT_SYNACK);
		out(&p);
		CHECK(is(&p, host(ver, NODE), 22, host(ver, CALLER), 40000) && sums_good(&p));
		end();
	}
}

TEST(which_listener_is_chosen)
{
	static const struct {
		int ver;
		struct redirect_listener l[3];
		size_t n;
		enum redirect_verdict v;
		struct redirect_address service;
	} t[] = {
		/* The lower of equals, whatever their order. */
		{4, {{.address = {4, {192, 168, 1, 9}}}, {.address = LAN4}}, 2, REDIRECT_PASS, LAN4},
		{4, {{.address = LAN4}, {.address = {4, {192, 168, 1, 9}}}}, 2, REDIRECT_PASS, LAN4},
		/* One address before loopback, loopback of this family before the other. */
		{4, {{.address = LO4}, {.address = LAN4}}, 2, REDIRECT_PASS, LAN4},
		{6, {{.address = LO4}, {.address = LO6}}, 2, REDIRECT_TAKE, LO6},
		{4, {{.address = LO6}, {.address = LO4}}, 2, REDIRECT_TAKE, LO4},
		/* ::ffff:127.0.0.1 */
		{4, {{.address = {6, {[10] = 0xff, 0xff, 127, 0, 0, 1}}}}, 1, REDIRECT_TAKE, LO4},
		/* Any address of the other family; of both, but on the loopback interface alone. */
		{6, {{.address = {4, {0}}}}, 1, REDIRECT_TAKE, LO4},
		{4, {{.address = {6, {0}}}}, 1, REDIRECT_TAKE, LO6},
		{4, {{.address = {6, {0}}, .both = true, .local = true}}, 1, REDIRECT_TAKE, LO4},
		{6, {{.address = {6, {0}}, .both = true, .local = true}}, 1, REDIRECT_TAKE, LO6},
		{4, {{.address = {4, {0}}, .local = true}}, 1, REDIRECT_TAKE, LO4},
		/* Nobody; an address of one link; one of the other family; somebody who is bound to another interface. */
		{4, {{.address = {4, {0}}}}, 0, REDIRECT_PASS, {0}},
		{6, {{.address = {6, {0xfe, 0x80, [15] = 1}}}}, 1, REDIRECT_PASS, {0}},
		{4, {{.address = LAN6}}, 1, REDIRECT_PASS, {0}},
		{4, {{.address = {4, {224, 0, 0, 251}}}}, 1, REDIRECT_PASS, {0}},
		{4, {{.address = {4, {198, 18, 0, NODE}}}}, 1, REDIRECT_PASS, {0}},
		{4, {{.address = {4, {0}}}}, 1, REDIRECT_PASS, {0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct redirect_flow f = {0};
		struct pkt p;

		start();
		memcpy(listening, t[i].l, sizeof(t[i].l));
		listening_n = t[i].n;
		tcp(&p, t[i].ver, CALLER, 40000, NODE, 22, PKT_SYN);
		CHECK_INT(admit(&p), t[i].v);
		CHECK(redirect_of_packet(r, p.b, p.len, &f) == (t[i].service.version != 0));
		if (memcmp(&f.service, &t[i].service, sizeof(f.service)) != 0)
			printf("# row %zu\n", i);
		CHECK(memcmp(&f.service, &t[i].service, sizeof(f.service)) == 0);
		end();
	}
}

TEST(what_is_for_nobody_is_known_from_what_is_for_us)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct plane_packet k;
		struct pkt p;

		start();
		tcp(&p, ver, CALLER, 50000, PRINTER + 1, 22, PKT_SYN);
		k = parsed(&p);
		CHECK(!redirect_holds(r, &k));
		tcp(&p, ver, CALLER, 50000, PRINTER, 22, PKT_SYN);
		k = parsed(&p);
		CHECK(redirect_holds(r, &k));
		tcp(&p, ver, CALLER, 50000, NODE, 22, PKT_SYN);
		k = parsed(&p);
		CHECK(redirect_holds(r, &k));
		end();
	}
}

/* Its answers would not come from where the proxy waits for them. */
TEST(a_datagram_to_all_addresses_of_the_other_family_goes_its_way)
{
	struct redirect_flow f;
	struct pkt p;

	start();
	listen_at((struct redirect_address){4, {0}});
	udp(&p, 6, CALLER, 5353, NODE, 53);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK(!redirect_of_packet(r, p.b, p.len, &f));
	end();
}

TEST(datagrams_need_no_handshake)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct redirect_flow f;
		struct pkt p;

		start();
		listen_at((struct redirect_address)LO6);
		udp(&p, ver, CALLER, 5353, NODE, 53);
		CHECK_INT(admit(&p), REDIRECT_PASS);
		in(&p);
		CHECK(is(&p, host(ver, CALLER), 5353, host(ver, NODE), PROXY + 1) && sums_good(&p));
		CHECK(redirect_of_alias(r, IPPROTO_UDP, &(struct redirect_address){host(ver, CALLER).version, {0}}, 5353, &f) == false);
		CHECK(redirect_of_alias(r, IPPROTO_UDP, (struct redirect_address[]){host(ver, CALLER)}, 5353, &f));
		turn(&p, 0);
		out(&p);
		CHECK(is(&p, host(ver, NODE), 53, host(ver, CALLER), 5353) && sums_good(&p));
		end();
	}
}

TEST(a_datagram_without_checksum_keeps_none)
{
	struct pkt p;

	start();
	listen_at((struct redirect_address)LO4);
	udp(&p, 4, CALLER, 5353, NODE, 53);
	memset(p.b + p.l4 + 6, 0, 2);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	in(&p);
	CHECK(is(&p, host(4, CALLER), 5353, host(4, NODE), PROXY + 1) && get_be16(p.b + p.l4 + 6) == 0);
	end();
}

/* The data plane computes it afterwards. */
TEST(a_checksum_that_is_not_computed_stays_so)
{
	struct plane_packet k;
	struct pkt p, before;

	start();
	listen_at((struct redirect_address)LAN4);
	tcp(&p, 4, CALLER, 40000, NODE, 22, PKT_SYN);
	put_be16(p.b + p.l4 + 16, 0x1234);
	before = p;
	CHECK_INT(admit(&p), REDIRECT_PASS);
	k = parsed(&p);
	k.partial = true;
	k.segment = 1000;
	redirect_in(r, &k);
	CHECK(is(&p, host(4, CALLER), 40000, (struct redirect_address)LAN4, 22));
	CHECK(memcmp(p.b + p.l4 + 4, before.b + p.l4 + 4, 16) == 0);
	CHECK(plane_sum_fold(plane_sum(p.b, p.l4, 0)) == 0xffff);
	end();
}

TEST(two_services_of_one_caller_port_stay_apart)
{
	struct redirect_flow a, b;
	struct pkt p, q;

	start();
	listen_at((struct redirect_address)LO4);
	udp(&p, 4, CALLER, 5353, NODE, 53);
	udp(&q, 4, CALLER, 5353, NODE, 123);
	CHECK(admit(&p) == REDIRECT_PASS && admit(&q) == REDIRECT_PASS);
	CHECK(redirect_of_packet(r, p.b, p.len, &a) && redirect_of_packet(r, q.b, q.len, &b));
	CHECK(a.alias_port == 5353 && b.alias_port != 5353 && b.alias_port >= 1024);
	in(&q);
	CHECK(is(&q, host(4, CALLER), b.alias_port, host(4, NODE), PROXY + 1) && sums_good(&q));
	turn(&q, 0);
	out(&q);
	CHECK(is(&q, host(4, NODE), 123, host(4, CALLER), 5353) && sums_good(&q));
	in(&p);
	turn(&p, 0);
	out(&p);
	CHECK(is(&p, host(4, NODE), 53, host(4, CALLER), 5353) && sums_good(&p));
	end();
}

TEST(what_is_sent_to_the_proxys_own_port_is_dropped)
{
	struct pkt p;

	start();
	taken = true;
	tcp(&p, 4, CALLER, 40000, NODE, PROXY, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	tcp(&p, 6, CALLER, 40000, NODE, PROXY, PKT_ACK);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	udp(&p, 4, CALLER, 40000, NODE, PROXY + 1);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	tcp(&p, 4, CALLER, 40000, NODE, PROXY + 1, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	end();
}

/* ---- forwards ---- */

TEST(a_forward_is_the_proxys_whoever_listens_here)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct redirect_flow f;
		struct pkt p;

		start();
		taken = true;
		tcp(&p, ver, CALLER, 40000, PRINTER, 9100, PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_TAKE);
		CHECK(redirect_of_packet(r, p.b, p.len, &f) && f.kind == REDIRECT_FORWARD && f.forward == 7);
		CHECK_INT(asked_taken, 0);
		CHECK(redirect_ready(r, f.id, p.b, p.len));
		CHECK(is(&p, host(ver, CALLER), 40000, host(ver, NODE), PROXY) && sums_good(&p));
		turn(&p, PKT_SYNACK);
		out(&p);
		CHECK(is(&p, host(ver, PRINTER), 9100, host(ver, CALLER), 40000) && sums_good(&p));
		udp(&p, ver, CALLER, 40000, PRINTER, 161);
		CHECK_INT(admit(&p), REDIRECT_PASS);
		in(&p);
		CHECK(is(&p, host(ver, CALLER), 40000, host(ver, NODE), PROXY + 1) && sums_good(&p));
		end();
	}
}

TEST(what_no_flow_of_a_forward_is_does_not_reach_the_kernel)
{
	struct redirect_flow f;
	struct pkt p, q;

	start();
	/* Of a connection of a former run: the proxy resets it. */
	tcp(&p, 4, CALLER, 40000, PRINTER, 9100, PKT_ACK);
	CHECK_INT(admit(&p), REDIRECT_TAKE);
	CHECK(!redirect_of_packet(r, p.b, p.len, &f));
	tcp(&p, 4, CALLER, 40000, PRINTER, 9100, PKT_RST);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	/* Before the device has answered. */
	tcp(&p, 4, CALLER, 40000, PRINTER, 9100, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_TAKE);
	tcp(&p, 4, CALLER, 40000, PRINTER, 9100, PKT_ACK);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	pkt_ip(&p, 4, CALLER, PRINTER, 47, 20);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	pkt_echo(&p, 4, CALLER, PRINTER, true, 1);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	pkt_tcp(&q, 4, PRINTER, 9100, CALLER, 40000, PKT_ACK);
	pkt_error(&p, 4, CALLER, PRINTER, &q, 28);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	end();
}

/* ---- this host's own ---- */

static struct pkt injected[8];
static unsigned injected_n;

static void inject(void *arg, const void *ip, size_t len)
{
	struct pkt *p = &injected[injected_n++];

	(void)arg;
	memset(p, 0, sizeof(*p));
	memcpy(p->b, ip, len);
	p->len = len;
	p->l4 = p->b[0] >> 4 == 4 ? 20 : 40;
}

static enum redirect_verdict own(struct pkt *p, uint16_t segment)
{
	struct plane_packet k = parsed(p);

	k.bytes = NULL;
	k.segment = segment;
	injected_n = 0;
	return redirect_own(r, &k, inject, NULL);
}

TEST(the_node_reaches_its_own_forwards)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct redirect_flow f;
		struct pkt p;

		start();
		tcp(&p, ver, NODE, 40000, PRINTER, 9100, PKT_SYN);
		CHECK_INT(own(&p, 0), REDIRECT_TAKE);
		REQUIRE(redirect_of_packet(r, p.b, p.len, &f));
		CHECK(f.peer == PLANE_SELF && f.kind == REDIRECT_FORWARD);
		/* The kernel would take no packet from its own address: it sees the forward's. */
		CHECK(redirect_ready(r, f.id, p.b, p.len));
		CHECK(is(&p, host(ver, PRINTER), 40000, host(ver, NODE), PROXY) && sums_good(&p));
		turn(&p, PKT_SYNACK);
		/* Not by way of redirect_out, which sees it first. */
		out(&p);
		CHECK(is(&p, host(ver, NODE), PROXY, host(ver, PRINTER), 40000));
		memset(p.b + p.l4 + 16, 0, 2);
		CHECK(own(&p, 0) == REDIRECT_PASS && injected_n == 1);
		CHECK(is(&injected[0], host(ver, PRINTER), 9100, host(ver, NODE), 40000) && sums_good(&injected[0]));
		tcp(&p, ver, NODE, 40000, PRINTER, 9100, PKT_ACK);
		CHECK(own(&p, 1000) == REDIRECT_PASS && injected_n == 1);
		CHECK(is(&injected[0], host(ver, PRINTER), 40000, host(ver, NODE), PROXY) && sums_good(&injected[0]));
		end();
	}
}

TEST(many_datagrams_of_the_node_arrive_one_by_one)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct pkt p;

		start();
		udp(&p, ver, NODE, 40000, PRINTER, 161);
		CHECK(own(&p, 6) == REDIRECT_PASS && injected_n == 3);
		for (unsigned i = 0; i < 3; i++) {
			CHECK(is(&injected[i], host(ver, PRINTER), 40000, host(ver, NODE), PROXY + 1) && sums_good(&injected[i]));
			CHECK_INT(injected[i].len, p.l4 + 8 + (i < 2 ? 6 : 4));
			CHECK(memcmp(injected[i].b + p.l4 + 8, &"sixteen bytes ok"[i * 6], i < 2 ? 6 : 4) == 0);
		}
		end();
	}
}

TEST(the_node_pings_its_own_forwards_by_the_proxy)
{
	struct pkt p;

	start();
	pkt_echo(&p, 4, NODE, PRINTER, false, 5);
	CHECK(own(&p, 0) == REDIRECT_TAKE && injected_n == 0);
	pkt_echo(&p, 6, NODE, PRINTER, false, 5);
	CHECK(own(&p, 0) == REDIRECT_TAKE && injected_n == 0);
	/* An address of the block that is no forward. */
	pkt_echo(&p, 4, NODE, PRINTER + 1, false, 5);
	CHECK_INT(own(&p, 0), REDIRECT_DROP);
	tcp(&p, 6, NODE, 1, PRINTER + 1, 2, PKT_SYN);
	CHECK_INT(own(&p, 0), REDIRECT_DROP);
	end();
}

/* ---- errors and fragments ---- */

TEST(errors_name_what_their_reader_knows)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct redirect_address lan = ver == 4 ? (struct redirect_address)LAN4 : (struct redirect_address)LAN6;
		struct pkt p, e, quoted;

		start();
		listen_at(lan);
		udp(&p, ver, CALLER, 5353, NODE, 53);
		CHECK_INT(admit(&p), REDIRECT_PASS);
		in(&p);
		/* The kernel here says that the port is closed, about the packet that it has got. */
		pkt_error(&e, ver, 0, 0, &p, p.l4 + 8);
		put_addresses(&e, lan, host(ver, CALLER));
		sum_all(&e);
		out(&e);
		CHECK(sums_good(&e));
		quoted = e;
		quoted.l4 = e.l4;
		put_addresses(&p, host(ver, NODE), host(ver, CALLER));
		CHECK(memcmp(e.b + (ver == 4 ? 12 : 8), p.b + (ver == 4 ? 12 : 8), ver == 4 ? 8 : 32) == 0);
		memmove(quoted.b, e.b + e.l4 + 8, e.len - e.l4 - 8);
		CHECK(is(&quoted, host(ver, CALLER), 5353, host(ver, NODE), 53));
		/* The caller says it about an answer. */
		pkt_udp(&p, ver, NODE, 53, CALLER, 5353);
		pkt_error(&e, ver, CALLER, NODE, &p, p.l4 + 8);
		sum_all(&e);
		in(&e);
		CHECK(sums_good(&e));
		memmove(quoted.b, e.b + e.l4 + 8, e.len - e.l4 - 8);
		CHECK(is(&quoted, lan, 53, host(ver, CALLER), 5353));
		put_addresses(&p, host(ver, CALLER), lan);
		CHECK(memcmp(e.b + (ver == 4 ? 12 : 8), p.b + (ver == 4 ? 12 : 8), ver == 4 ? 8 : 32) == 0);
		end();
	}
}

TEST(an_error_about_nothing_is_left_alone)
{
	struct pkt p, e, before;

	start();
	listen_at((struct redirect_address)LAN4);
	udp(&p, 4, CALLER, 5353, NODE, 53);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	pkt_udp(&p, 4, NODE, 54, CALLER, 5353);
	pkt_error(&e, 4, CALLER, NODE, &p, 28);
	sum_all(&e);
	/* Also one that quotes too little, or nothing. */
	for (size_t cut = 0; cut <= 28; cut++) {
		struct pkt c = e;

		c.len -= cut;
		put_be16(c.b + 2, (uint16_t)c.len);
		before = c;
		in(&c);
		out(&c);
		CHECK(memcmp(&c, &before, sizeof(c)) == 0);
	}
	end();
}

TEST(fragments_follow_their_first)
{
	for (int ver = 4; ver <= 6; ver += 2) {
		struct redirect_address lan = ver == 4 ? (struct redirect_address)LAN4 : (struct redirect_address)LAN6;
		struct pkt first, later, stray, before;
		size_t at = ver == 4 ? 12 : 8, n = ver == 4 ? 8 : 32;

		start();
		listen_at(lan);
		pkt_udp(&first, ver, CALLER, 5353, NODE, 53);
		put_be16(first.b + first.l4 + 4, 2000);
		put_be16(first.b + first.l4 + 6, 0x5678);
		pkt_fragment(&first, 99, 0, true);
		sum_header(&first);
		pkt_ip(&later, ver, CALLER, NODE, IPPROTO_UDP, 64);
		pkt_fragment(&later, 99, 24, false);
		stray = later;
		if (ver == 4)
			put_be16(stray.b + 4, 98);
		else
			put_be32(stray.b + 44, 98);
		sum_header(&later);
		sum_header(&stray);
		before = later;
		in(&later);
		CHECK(memcmp(&before, &later, sizeof(later)) == 0);
		CHECK_INT(admit(&first), REDIRECT_PASS);
		in(&first);
		in(&later);
		CHECK(memcmp(first.b + at, later.b + at, n) == 0 && memcmp(later.b + at + n / 2, lan.bytes, n / 2) == 0);
		CHECK(ver == 6 || plane_sum_fold(plane_sum(later.b, 20, 0)) == 0xffff);
		CHECK(get_be16(first.b + first.l4 + 6) != 0x5678);
		before = stray;
		in(&stray);
		CHECK(memcmp(&before, &stray, sizeof(stray)) == 0);
		/* After ten seconds it may be another datagram's. */
		later = before;
		now += 11000;
		in(&later);
		CHECK(memcmp(&before, &later, sizeof(later)) == 0);
		end();
	}
}

/* ---- time and room ---- */

static bool has_flow(const struct pkt *p)
{
	struct redirect_flow f;

	return redirect_of_packet(r, p->b, p->len, &f);
}

static uint32_t flows(void)
{
	struct redirect_counts c;

	redirect_count(r, &c);
	return c.flows;
}

TEST(a_flow_ends_with_its_time)
{
	struct pkt p, back;

	start();
	listen_at((struct redirect_address)LAN4);
	udp(&p, 4, CALLER, 5353, NODE, 53);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	now += REDIRECT_UDP_MS;
	back = p;
	in(&back);
	CHECK(!is(&back, host(4, CALLER), 5353, host(4, NODE), 53));
	now += REDIRECT_UDP_MS + 1;
	back = p;
	in(&back);
	CHECK(is(&back, host(4, CALLER), 5353, host(4, NODE), 53));
	CHECK_INT(flows(), 0);
	end();
}

TEST(a_connection_that_was_answered_lasts_and_its_end_does_not)
{
	struct pkt syn, p;

	start();
	listen_at((struct redirect_address)LAN4);
	tcp(&syn, 4, CALLER, 40000, NODE, 22, PKT_SYN);
	CHECK_INT(admit(&syn), REDIRECT_PASS);
	p = syn;
	in(&p);
	turn(&p, PKT_SYNACK);
	out(&p);
	now += REDIRECT_TCP_OPEN_MS;
	tcp(&p, 4, CALLER, 40000, NODE, 22, PKT_FINACK);
	in(&p);
	CHECK(is(&p, host(4, CALLER), 40000, (struct redirect_address)LAN4, 22));
	turn(&p, PKT_FINACK);
	out(&p);
	CHECK(is(&p, host(4, NODE), 22, host(4, CALLER), 40000));
	/* The last acknowledgements pass, and keep nothing alive. */
	now += REDIRECT_CLOSED_MS;
	tcp(&p, 4, CALLER, 40000, NODE, 22, PKT_ACK);
	in(&p);
	CHECK(is(&p, host(4, CALLER), 40000, (struct redirect_address)LAN4, 22));
	now += 1;
	tcp(&p, 4, CALLER, 40000, NODE, 22, PKT_ACK);
	in(&p);
	CHECK(is(&p, host(4, CALLER), 40000, host(4, NODE), 22));
	end();
}

TEST(the_same_port_may_call_again)
{
	struct redirect_flow a, b;
	struct pkt syn, p;

	start();
	tcp(&syn, 4, CALLER, 40000, PRINTER, 9100, PKT_SYN);
	CHECK_INT(admit(&syn), REDIRECT_TAKE);
	CHECK(redirect_of_packet(r, syn.b, syn.len, &a));
	p = syn;
	CHECK(redirect_ready(r, a.id, p.b, p.len));
	/* While it is alive, the same one, and the kernel's business. */
	CHECK_INT(admit(&syn), REDIRECT_PASS);
	redirect_end(r, a.id, false);
	CHECK(has_flow(&syn));
	CHECK_INT(admit(&syn), REDIRECT_TAKE);
	CHECK(redirect_of_packet(r, syn.b, syn.len, &b) && b.id != a.id);
	/* One that is gone does nothing to the next. */
	redirect_end(r, a.id, true);
	CHECK(has_flow(&syn));
	CHECK(!redirect_ready(r, a.id, p.b, p.len));
	redirect_end(r, b.id, true);
	CHECK(!has_flow(&syn));
	end();
}

TEST(one_member_cannot_take_all_the_room)
{
	struct redirect_flow first, last;
	struct pkt p, other;
	struct plane_packet k;

	start();
	for (unsigned i = 0; i < 2 * REDIRECT_PEER_MAX; i++) {
		udp(&p, 4, CALLER, 1024 + i, PRINTER, 161);
		CHECK_INT(admit(&p), REDIRECT_PASS);
		CHECK(redirect_of_packet(r, p.b, p.len, i == 0 ? &first : &last));
		now++;
	}
	/* What still comes for the one would be led to whoever has its port since. */
	CHECK(!redirect_lives(r, first.id) && redirect_lives(r, last.id));
	CHECK_INT(flows(), REDIRECT_PEER_MAX);
	/* The last ones are there, the first have given way. */
	CHECK(has_flow(&p));
	udp(&p, 4, CALLER, 1024, PRINTER, 161);
	CHECK(!has_flow(&p));
	udp(&other, 4, CALLER + 1, 1024, PRINTER, 161);
	k = parsed(&other);
	CHECK_INT(redirect_admit(r, 4, &k), REDIRECT_PASS);
	CHECK_INT(flows(), REDIRECT_PEER_MAX + 1);
	end();
}

TEST(flows_that_are_open_do_not_give_way)
{
	struct pkt p;

	start();
	for (unsigned i = 0; i < REDIRECT_PEER_MAX; i++) {
		udp(&p, 4, CALLER, 1024 + i, PRINTER, 161);
		CHECK_INT(admit(&p), REDIRECT_PASS);
		in(&p);
		turn(&p, 0);
		out(&p);
	}
	udp(&p, 4, CALLER, 60000, PRINTER, 161);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	/* Until their time has come. */
	now += REDIRECT_UDP_MS + 1;
	CHECK_INT(admit(&p), REDIRECT_PASS);
	end();
}

static enum redirect_verdict admit_of(uint32_t peer, struct pkt *p)
{
	struct plane_packet k = parsed(p);

	return redirect_admit(r, peer, &k);
}

/* Asks the printer, and is answered. */
static enum redirect_verdict open_udp(uint32_t peer, unsigned from, unsigned port)
{
	enum redirect_verdict v;
	struct pkt p;

	udp(&p, 4, from, port, PRINTER, 161);
	v = admit_of(peer, &p);
	if (v != REDIRECT_PASS)
		return v;
	in(&p);
	turn(&p, 0);
	out(&p);
	return v;
}

/* A connection to the printer that has been answered; *syn: what began it. */
static enum redirect_verdict open_tcp(uint32_t peer, unsigned from, unsigned port, struct pkt *syn)
{
	struct redirect_flow f;
	struct pkt p;
	enum redirect_verdict v;

	tcp(syn, 4, from, port, PRINTER, 22, PKT_SYN);
	v = admit_of(peer, syn);
	if (v != REDIRECT_TAKE)
		return v;
	REQUIRE(redirect_of_packet(r, syn->b, syn->len, &f));
	p = *syn;
	CHECK(redirect_ready(r, f.id, p.b, p.len));
	turn(&p, PKT_SYNACK);
	out(&p);
	return v;
}

#define FLOODERS 20	/* the first of them, as a member and as a host */

/* All that `ids` members can get: datagrams that are answered, connections that are, or neither. */
static void flood(unsigned ids, unsigned each, char how)
{
	struct pkt p;

	for (unsigned i = 0; i < ids * each; i++) {
		unsigned who = FLOODERS + i % ids, port = 1024 + i / ids;

		if (how == 'u') {
			(void)open_udp(who, who, port);
		} else if (how == 't') {
			(void)open_tcp(who, who, port, &p);
		} else {
			tcp(&p, 4, who, port, PRINTER, 9100, PKT_SYN);
			(void)admit_of(who, &p);
		}
		now++;
	}
}

/* By few members or by many, by flows that are answered or not, with or without room left for each of them. */
TEST(a_table_full_of_others_has_room_for_whoever_has_few)
{
	static const struct {
		unsigned ids, each;
		char how;
	} t[] = {{4, 1024, 'u'}, {4, 1024, 't'}, {8, 1024, 'u'}, {5, 2000, 's'}, {200, 22, 'u'}, {200, 22, 't'},
		 {200, 30, 's'}};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct pkt session, p;

		start();
		CHECK_INT(open_tcp(3, CALLER, 1000, &session), REDIRECT_TAKE);
		flood(t[i].ids, t[i].each, t[i].how);
		CHECK_INT(flows(), REDIRECT_FLOWS_MAX);
		/* What it had stays, more comes in, and stays while the others go on. */
		CHECK(has_flow(&session));
		for (unsigned n = 1; n < 8; n++) {
			CHECK_INT(open_tcp(3, CALLER, 1000 + n, &p), REDIRECT_TAKE);
			CHECK_INT(open_udp(4, CALLER + 1, 1000 + n), REDIRECT_PASS);
		}
		/* One that the service has not answered yet, too. */
		tcp(&p, 4, CALLER, 2000, PRINTER, 22, PKT_SYN);
		CHECK_INT(admit_of(3, &p), REDIRECT_TAKE);
		flood(t[i].ids, 3 * t[i].each, t[i].how);
		flood(t[i].ids, 100, 's');
		CHECK(has_flow(&session) && has_flow(&p));
		CHECK_INT(flows(), REDIRECT_FLOWS_MAX);
		end();
	}
}

/* As long as others have more than their share that nobody has answered, whoever has many keeps what is open. */
TEST(what_nobody_answers_gives_way_before_what_is_open)
{
	struct pkt all[600], p;

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		CHECK_INT(open_tcp(3, CALLER, 1024 + i, &all[i]), REDIRECT_TAKE);
	flood(10, 1000, 's');
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		CHECK(has_flow(&all[i]));
	CHECK_INT(open_tcp(3, CALLER, 3000, &p), REDIRECT_TAKE);
	end();
}

/* Of the member with the most: what nobody answered, then datagrams, then connections, each the quietest first. */
TEST(what_gives_way_first)
{
	struct pkt p[5];

	start();
	CHECK_INT(open_tcp(3, CALLER, 1, &p[0]), REDIRECT_TAKE);
	now += 2000;
	CHECK_INT(open_tcp(3, CALLER, 2, &p[1]), REDIRECT_TAKE);
	now += 2000;
	for (unsigned i = 2; i < 4; i++) {
		CHECK_INT(open_udp(3, CALLER, i), REDIRECT_PASS);
		udp(&p[i], 4, CALLER, i, PRINTER, 161);
		now += 2000;
	}
	for (unsigned i = 0; i < 4; i += 2) {
		struct pkt again = p[i];

		if (i == 0)
			tcp(&again, 4, CALLER, 1, PRINTER, 22, PKT_ACK);
		in(&again);
		now += 2000;
	}
	udp(&p[4], 4, CALLER, 4, PRINTER, 161);
	CHECK_INT(admit_of(3, &p[4]), REDIRECT_PASS);
	for (unsigned i = 0; flows() < REDIRECT_FLOWS_MAX; i++)
		CHECK_INT(open_udp(FLOODERS + i, FLOODERS + i, 1024), REDIRECT_PASS);
	for (unsigned i = 4; i > 0; i--) {
		CHECK(has_flow(&p[i]));
		CHECK_INT(open_udp(5000 + i, 5000 + i, 1024), REDIRECT_PASS);
		CHECK(!has_flow(&p[i]));
	}
	/* The last one of each is taken by nobody who has one already. */
	CHECK_INT(open_udp(5000, 5000, 1024), REDIRECT_PASS);
	CHECK_INT(open_udp(5000, 5000, 1025), REDIRECT_DROP);
	CHECK(has_flow(&p[0]));
	end();
}

TEST(all_room_is_bounded)
{
	struct pkt p;

	start();
	for (unsigned i = 0; i < REDIRECT_FLOWS_MAX + 100; i++) {
		struct plane_packet k;

		udp(&p, 4, CALLER + i / 1000, 1024 + i % 1000, PRINTER, 161);
		k = parsed(&p);
		CHECK_INT(redirect_admit(r, 10 + i / 1000, &k), REDIRECT_PASS);
	}
	CHECK_INT(flows(), REDIRECT_FLOWS_MAX);
	CHECK(has_flow(&p));
	end();
}

TEST(what_we_are_no_longer_is_forgotten)
{
	struct redirect_own other = own_now();
	struct pkt p, q;

	start();
	listen_at((struct redirect_address)LAN4);
	tcp(&p, 4, CALLER, 40000, PRINTER, 9100, PKT_SYN);
	tcp(&q, 4, CALLER, 40000, NODE, 22, PKT_SYN);
	CHECK(admit(&p) == REDIRECT_TAKE && admit(&q) == REDIRECT_PASS);
	redirect_set(r, &other);
	CHECK(has_flow(&p) && has_flow(&q));
	other.forward_of[0] = 8;
	redirect_set(r, &other);
	CHECK(!has_flow(&p) && has_flow(&q));
	CHECK_INT(admit(&p), REDIRECT_TAKE);
	other.forwards_n = 0;
	other.node4 = host(4, 5);
	redirect_set(r, &other);
	CHECK(!has_flow(&p) && !has_flow(&q));
	CHECK_INT(admit(&p), REDIRECT_PASS);
	end();
}

TEST(the_kernel_is_asked_once_for_a_while)
{
	struct pkt p;

	start();
	taken = true;
	for (unsigned i = 0; i < 50; i++) {
		tcp(&p, 4, CALLER, 40000 + i, NODE, 22, PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_PASS);
	}
	CHECK_INT(asked_taken, 1);
	now += 1001;
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK_INT(asked_taken, 2);
	/* Of another port, protocol or family nothing is known. */
	tcp(&p, 4, CALLER, 40000, NODE, 23, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	udp(&p, 4, CALLER, 40000, NODE, 22);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	tcp(&p, 6, CALLER, 40000, NODE, 22, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK_INT(asked_taken, 5);
	end();
}

/* Calls to many ports do not keep the kernel, and the thread, busy with questions. */
TEST(the_kernel_is_not_asked_without_end)
{
	struct pkt p;

	start();
	for (unsigned i = 0; i < 30000; i++) {
		tcp(&p, 4, CALLER, 40000, NODE, 1 + i, PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_PASS);
	}
	CHECK(asked_taken <= 20000 && asked_listening == 20 && asked_ports == 1);
	for (unsigned i = 0; i < 1000; i++) {
		tcp(&p, 4, CALLER, 40000, NODE, 1 + i, PKT_SYN);
		CHECK_INT(admit_of(FLOODERS + i, &p), REDIRECT_PASS);
	}
	CHECK(asked_taken <= 20000 && asked_listening <= 200 && asked_ports == 1);
	now += 1000;
	asked_listening = 0;
	tcp(&p, 4, CALLER, 40000, NODE, 40000, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK(asked_taken <= 20001 && asked_listening == 1);
	end();
}

/* Calls of closed ports by `ids` members, one second's; `step` apart. */
static void knock(unsigned ids, unsigned step)
{
	struct pkt p;

	for (unsigned i = 0; i < 1000; i++) {
		tcp(&p, 4, FLOODERS + i % ids, 40000, NODE, 22 + step * (1 + i % 200), PKT_SYN);
		CHECK_INT(admit_of(FLOODERS + i % ids, &p), REDIRECT_PASS);
	}
}

/* Nor does it matter how many others there are, or whether their ports share a place with the service's. */
TEST(calls_of_closed_ports_do_not_hide_a_service)
{
	static const struct {
		unsigned ids, step;
	} t[] = {{1, 1}, {1, 256}, {40, 1}, {40, 256}, {1000, 1}, {1000, 256}};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct pkt p;

		start();
		listen_at((struct redirect_address)LO4);
		listening_port = 22;
		for (unsigned round = 0; round < 45; round++) {
			now += 1000;
			asked_listening = 0;
			knock(t[i].ids, t[i].step);
			tcp(&p, 4, CALLER, 3000 + round, NODE, 22, PKT_SYN);
			CHECK_INT(admit(&p), REDIRECT_TAKE);
			CHECK(asked_listening <= 200);
		}
		end();
	}
}

/* Where nobody tells of all ports, a call is not refused since others were asked about: it comes again. */
TEST(a_service_that_cannot_be_asked_about_is_not_refused)
{
	struct pkt p;

	start();
	ports_told = false;
	listen_at((struct redirect_address)LO4);
	listening_port = 22;
	for (unsigned i = 0; i < 1000; i++) {
		tcp(&p, 4, FLOODERS + i % 40, 40000, NODE, 1000 + i, PKT_SYN);
		CHECK_INT(admit_of(FLOODERS + i % 40, &p), i < 200 ? REDIRECT_PASS : REDIRECT_DROP);
	}
	tcp(&p, 4, CALLER, 3000, NODE, 22, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_DROP);
	now += 1000;
	CHECK_INT(admit(&p), REDIRECT_TAKE);
	/* From then on it is known, whoever asks about what. */
	for (unsigned round = 0; round < 10; round++) {
		now += 1000;
		for (unsigned i = 0; i < 1000; i++) {
			tcp(&p, 4, FLOODERS + i % 40, 40000, NODE, 1000 + 37 * i, PKT_SYN);
			(void)admit_of(FLOODERS + i % 40, &p);
		}
		tcp(&p, 4, CALLER, 4000 + round, NODE, 22, PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_TAKE);
	}
	end();
}

TEST(services_whose_ports_share_a_place_are_remembered_beside_each_other)
{
	struct pkt p;

	start();
	listen_at((struct redirect_address)LO4);
	for (unsigned i = 0; i < 100; i++) {
		tcp(&p, 4, CALLER, 3000 + i, NODE, 22 + 256 * (i % 4), PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_TAKE);
	}
	CHECK_INT(asked_listening, 4);
	end();
}

/* Many calls of one service are no reason to look for it again and again, nor to miss it. */
TEST(many_calls_of_one_service_are_all_led_to_it)
{
	struct pkt p;

	start();
	listen_at((struct redirect_address)LO4);
	for (unsigned i = 0; i < REDIRECT_PEER_MAX; i++) {
		tcp(&p, 4, CALLER, 1024 + i, NODE, 22, PKT_SYN);
		CHECK_INT(admit(&p), REDIRECT_TAKE);
	}
	CHECK_INT(asked_listening, 1);
	end();
}

/* An answer to what a socket here has asked is not led to the service that has the same port on loopback. */
TEST(answers_to_this_host_go_their_way)
{
	struct pkt p;

	start();
	listen_at((struct redirect_address)LO4);
	udp(&p, 4, CALLER, 1000, NODE, 5353);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK(has_flow(&p));
	taken = true;
	udp(&p, 4, CALLER, 53, NODE, 5353);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK(!has_flow(&p));
	end();
}

TEST(nothing_is_asked_where_nobody_tells)
{
	struct pkt p;

	start();
	redirect_set_options(r, NULL);
	listen_at((struct redirect_address)LO4);
	tcp(&p, 4, CALLER, 40000, NODE, 22, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_PASS);
	CHECK(!has_flow(&p) && asked_taken == 0);
	tcp(&p, 4, CALLER, 40000, PRINTER, 22, PKT_SYN);
	CHECK_INT(admit(&p), REDIRECT_TAKE);
	end();
}
