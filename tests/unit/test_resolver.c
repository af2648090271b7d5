/* The resolver by real sockets on loopback: askers, upstreams that help, and upstreams that do not. */
#include "tap.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/log.h"
#include "mesh/bytes.h"
#include "mesh/dns_wire.h"
#include "mesh_names_fixture.h"
#include "meshlan/resolver.h"
#include "sys/clock.h"

#define HERE "127.0.0.1"
#define STRANGER "127.0.0.2"
#define FOREIGN "www.example.com"
#define SOON_MS 5000	/* for what takes no time, on a machine that has none */

struct upstream_kit {
	int udp, tcp, fd;	/* fd: an accepted connection */
	struct sockaddr_storage address;
	struct sockaddr_storage from;	/* whose query was taken last */
	struct buf query;
};

struct kit {
	struct loop *loop;
	struct named n;
	struct resolver *r;
	struct sockaddr_storage here;
	struct upstream_kit up[2];
	struct buf query, reply;
};

static struct sockaddr_storage address(const char *text, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_storage out = {0};

	REQUIRE(inet_pton(AF_INET, text, &a.sin_addr) == 1);
	memcpy(&out, &a, sizeof(a));
	return out;
}

static uint16_t port_of(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port);
}

/* -1: that port is taken. */
static int open_if_free(const char *text, uint16_t port, int type)
{
	struct sockaddr_storage a = address(text, port);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	REQUIRE(fd >= 0 && (type == SOCK_DGRAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0));
	if (bind(fd, (struct sockaddr *)&a, sizeof(struct sockaddr_in)) == 0)
		return fd;
	REQUIRE(errno == EADDRINUSE);
	close(fd);
	return -1;
}

static int open_at(const char *text, uint16_t port, int type)
{
	int fd = open_if_free(text, port, type);

	REQUIRE(fd >= 0);
	return fd;
}

static struct sockaddr_storage bound(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return a;
}

static void upstream_open(struct upstream_kit *u)
{
	/* Others run beside us: what is free for UDP need not be for TCP. */
	do {
		u->udp = open_at(HERE, 0, SOCK_DGRAM);
		u->address = bound(u->udp);
		u->tcp = open_if_free(HERE, port_of(&u->address), SOCK_STREAM);
		if (u->tcp < 0)
			close(u->udp);
	} while (u->tcp < 0);
	u->fd = -1;
	REQUIRE(listen(u->tcp, 16) == 0);
	u->query = BUF_INIT(DNS_TCP_MAX + 2);
}

static void kit_init(struct kit *k, size_t upstreams)
{
	struct sockaddr_storage up[2], any = address(HERE, 0);
	struct mesh_record nas = record_of(1, "nas", 60, true);
	struct error err = ERROR_INIT;
	struct resolver_options o;
	size_t i;

	memset(k, 0, sizeof(*k));
	log_start(STDERR_FILENO, false, LOG_LEVEL_ERROR);
	k->query = BUF_INIT(1 << 17);
	k->reply = BUF_INIT(1 << 17);
	k->loop = loop_new(&err);
	REQUIRE(k->loop != NULL && named_init(&k->n) == 0 && node_add(&k->n.home, &nas) == 0);
	for (i = 0; i < 2; i++) {
		upstream_open(&k->up[i]);
		up[i] = k->up[i].address;
	}
	o = (struct resolver_options){.loop = k->loop, .names = k->n.names, .suffix = "mesh", .upstreams = up,
				      .upstream_count = upstreams};
	k->r = resolver_new(&o, &err);
	REQUIRE(k->r != NULL && resolver_listen(k->r, &any, 1, &err) == 0);
	REQUIRE(resolver_listening(k->r, &k->here, 1) == 1);
}

static void kit_release(struct kit *k)
{
	size_t i;

	resolver_free(k->r);
	for (i = 0; i < 2; i++) {
		close(k->up[i].udp);
		close(k->up[i].tcp);
		if (k->up[i].fd >= 0)
			close(k->up[i].fd);
		buf_release(&k->up[i].query);
	}
	loop_free(k->loop);
	named_release(&k->n);
	buf_release(&k->query);
	buf_release(&k->reply);
}

static void turn(struct kit *k)
{
	struct error err = ERROR_INIT;

	REQUIRE(loop_turn(k->loop, 2, &err) == 0);
}

static void turn_for(struct kit *k, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	do {
		turn(k);
	} while (clock_mono_ms() < until);
}

/* Turns until something has come; its length, -1 when nothing came in time. */
static ssize_t take(struct kit *k, int fd, void *out, size_t size, struct sockaddr_storage *from, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	socklen_t len = sizeof(*from);
	ssize_t n;

	do {
		turn(k);
		n = recvfrom(fd, out, size, 0, (struct sockaddr *)from, from == NULL ? NULL : &len);
	} while (n < 0 && errno == EAGAIN && clock_mono_ms() < until);
	return n;
}

/* ---- askers ---- */

static void query_build(struct kit *k, uint16_t id, const char *name, uint16_t type, unsigned payload)
{
	buf_clear(&k->query);
	buf_put_u16be(&k->query, id);
	buf_put_u16be(&k->query, DNS_RD);
	buf_put_u16be(&k->query, 1);
	buf_put_u32be(&k->query, 0);
	buf_put_u16be(&k->query, payload > 0 ? 1 : 0);
	dns_put_text(&k->query, name);
	buf_put_u16be(&k->query, type);
	buf_put_u16be(&k->query, DNS_CLASS_IN);
	if (payload > 0) {
		buf_put_slice(&k->query, SLICE_LIT("\0\0\x29"));
		buf_put_u16be(&k->query, (uint16_t)payload);
		buf_put_u32be(&k->query, 0);
		buf_put_u16be(&k->query, 8);	/* a client subnet, which is nobody's business */
		buf_put_slice(&k->query, SLICE_LIT("\0\x08\0\x04\0\x01\0\0"));
	}
}

static int asker_udp(const struct kit *k, const char *from)
{
	int fd = open_at(from, 0, SOCK_DGRAM);

	REQUIRE(connect(fd, (const struct sockaddr *)&k->here, sizeof(struct sockaddr_in)) == 0);
	return fd;
}

static int asker_tcp(const struct kit *k, const char *from)
{
	int fd = open_at(from, 0, SOCK_STREAM);

	REQUIRE(connect(fd, (const struct sockaddr *)&k->here, sizeof(struct sockaddr_in)) == 0 || errno == EINPROGRESS);
	return fd;
}

static void ask(struct kit *k, int fd)
{
	REQUIRE(send(fd, k->query.ptr, k->query.len, 0) == (ssize_t)k->query.len);
}

/* The reply by UDP; its rcode, or -1. */
static int reply_udp(struct kit *k, int fd, int64_t ms)
{
	ssize_t n;

	buf_clear(&k->reply);
	buf_reserve(&k->reply, 65536);
	n = take(k, fd, k->reply.ptr, 65536, NULL, ms);
	if (n < DNS_HEADER_LEN)
		return -1;
	k->reply.len = (size_t)n;
	return get_be16(k->reply.ptr + 2) & DNS_RCODE;
}

/* The next reply by TCP; its rcode, or -1. What is behind it stays in the kernel. */
static int reply_tcp(struct kit *k, int fd, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	size_t want = 2;

	buf_clear(&k->reply);
	buf_reserve(&k->reply, 65538);
	while (k->reply.len < want) {
		ssize_t n = take(k, fd, k->reply.ptr + k->reply.len, want - k->reply.len, NULL, until - clock_mono_ms());

		if (n <= 0)
			return -1;
		k->reply.len += (size_t)n;
		if (k->reply.len == 2)
			want = 2u + get_be16(k->reply.ptr);
	}
	buf_consume(&k->reply, 2);
	return get_be16(k->reply.ptr + 2) & DNS_RCODE;
}

static void ask_tcp(struct kit *k, int fd)
{
	struct buf out = BUF_INIT(1 << 17);

	dns_tcp_put(&out, buf_slice(&k->query));
	turn(k);
	REQUIRE(send(fd, out.ptr, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
	buf_release(&out);
}

static unsigned answers(const struct kit *k)
{
	return k->reply.len < DNS_HEADER_LEN ? 999 : get_be16(k->reply.ptr + 6);
}

/* Whether the reply has the asker's id and question, letter by letter. */
static bool echoes(const struct kit *k)
{
	size_t name = 0;

	while (k->query.ptr[DNS_HEADER_LEN + name] != 0)
		name += k->query.ptr[DNS_HEADER_LEN + name] + 1u;
	return k->reply.len >= DNS_HEADER_LEN + name + 5 && memcmp(k->reply.ptr, k->query.ptr, 2) == 0 &&
	       memcmp(k->reply.ptr + DNS_HEADER_LEN, k->query.ptr + DNS_HEADER_LEN, name + 5) == 0;
}

/* ---- upstreams ---- */

static bool upstream_take(struct kit *k, struct upstream_kit *u, int64_t ms)
{
	ssize_t n;

	buf_clear(&u->query);
	buf_reserve(&u->query, 4096);
	n = take(k, u->udp, u->query.ptr, 4096, &u->from, ms);
	u->query.len = n > 0 ? (size_t)n : 0;
	return n >= DNS_HEADER_LEN;
}

static bool upstream_accept(struct kit *k, struct upstream_kit *u, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	size_t want = 2;

	if (u->fd >= 0)
		close(u->fd);
	do {
		turn(k);
		u->fd = accept4(u->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (u->fd < 0 && clock_mono_ms() < until);
	buf_clear(&u->query);
	buf_reserve(&u->query, 4096);
	while (u->fd >= 0 && u->query.len < want) {
		ssize_t n = take(k, u->fd, u->query.ptr + u->query.len, want - u->query.len, NULL, ms);

		if (n <= 0)
			return false;
		u->query.len += (size_t)n;
		if (u->query.len == 2)
			want = 2u + get_be16(u->query.ptr);
	}
	if (u->fd >= 0)
		buf_consume(&u->query, 2);
	return u->fd >= 0;
}

/* Header and question of the query that was taken, with flags. */
static void answer_begin(struct kit *k, const struct upstream_kit *u, uint16_t flags)
{
	struct dns_query q;

	REQUIRE(dns_query_read(&q, buf_slice(&u->query)) == 0);
	buf_clear(&k->reply);
	buf_put(&k->reply, u->query.ptr, DNS_HEADER_LEN + q.question_len);
	put_be16(k->reply.ptr + 2, (uint16_t)(DNS_QR | DNS_RA | flags));
	put_be16(k->reply.ptr + 10, 0);
}

static void answer_add(struct kit *k, uint16_t type, struct slice data)
{
	put_be16(k->reply.ptr + 6, (uint16_t)(get_be16(k->reply.ptr + 6) + 1));
	buf_put_u16be(&k->reply, 0xc00c);
	buf_put_u16be(&k->reply, type);
	buf_put_u16be(&k->reply, DNS_CLASS_IN);
	buf_put_u32be(&k->reply, 60);
	buf_put_u16be(&k->reply, (uint16_t)data.len);
	buf_put_slice(&k->reply, data);
}

static void answer_a(struct kit *k, const struct upstream_kit *u)
{
	answer_begin(k, u, 0);
	answer_add(k, DNS_A, SLICE_LIT("\x5d\xb8\xd8\x22"));
}

static void send_udp(const struct kit *k, int fd, const struct sockaddr_storage *to)
{
	REQUIRE(sendto(fd, k->reply.ptr, k->reply.len, 0, (const struct sockaddr *)to, sizeof(struct sockaddr_in)) ==
		(ssize_t)k->reply.len);
}

static void upstream_reply(const struct kit *k, const struct upstream_kit *u)
{
	send_udp(k, u->udp, &u->from);
}

static void upstream_reply_tcp(const struct kit *k, const struct upstream_kit *u)
{
	struct buf out = BUF_INIT(1 << 17);

	dns_tcp_put(&out, buf_slice(&k->reply));
	REQUIRE(send(u->fd, out.ptr, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
	buf_release(&out);
}

/* A look-up that has reached the first upstream. */
static int begin(struct kit *k, unsigned payload)
{
	int fd = asker_udp(k, HERE);

	query_build(k, 0x1234, FOREIGN, DNS_A, payload);
	ask(k, fd);
	REQUIRE(upstream_take(k, &k->up[0], SOON_MS));
	return fd;
}

/* ---- tests ---- */

TEST(names_of_the_mesh_by_udp)
{
	struct kit k;
	int fd;

	kit_init(&k, 0);
	fd = asker_udp(&k, HERE);
	query_build(&k, 7, "NAS.mesh", DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 1);
	query_build(&k, 8, "nobody.mesh", DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NXDOMAIN);
	query_build(&k, 9, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_REFUSED);
	CHECK(echoes(&k) && (get_be16(k.reply.ptr + 2) & DNS_RA) == 0);
	CHECK_INT(resolver_counts(k.r)->answered, 2);
	CHECK_INT(resolver_counts(k.r)->refused, 1);
	close(fd);
	kit_release(&k);
}

TEST(names_of_the_mesh_by_tcp_byte_by_byte_and_many_at_once)
{
	struct buf out = BUF_INIT(1 << 16);
	struct kit k;
	unsigned i;
	size_t at;
	int fd;

	kit_init(&k, 0);
	fd = asker_tcp(&k, HERE);
	query_build(&k, 7, "nas.mesh", DNS_AAAA, 0);
	dns_tcp_put(&out, buf_slice(&k.query));
	turn(&k);
	for (at = 0; at < out.len; at++) {
		REQUIRE(send(fd, out.ptr + at, 1, 0) == 1);
		turn(&k);
	}
	CHECK_INT(reply_tcp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 1);
	for (i = 1; i < 100; i++)
		dns_tcp_put(&out, buf_slice(&k.query));
	REQUIRE(send(fd, out.ptr, out.len, 0) == (ssize_t)out.len && shutdown(fd, SHUT_WR) == 0);
	for (i = 0; i < 100; i++)
		CHECK_INT(reply_tcp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(take(&k, fd, out.ptr, 1, NULL, SOON_MS) == 0);
	close(fd);
	buf_release(&out);
	kit_release(&k);
}

TEST(what_is_no_query_gets_no_reply)
{
	struct kit k;
	int fd, tcp;

	kit_init(&k, 1);
	fd = asker_udp(&k, HERE);
	query_build(&k, 7, "nas.mesh", DNS_A, 0);
	k.query.ptr[2] |= 0x80;	/* a reply */
	ask(&k, fd);
	k.query.len = 11;
	ask(&k, fd);
	k.query.len = 0;
	ask(&k, fd);
	query_build(&k, 8, "nas.mesh", DNS_A, 0);
	buf_reserve(&k.query, 8192);
	memset(k.query.ptr + k.query.len, 0, 8192);
	k.query.len += 8192;
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, 200), -1);
	CHECK_INT(resolver_counts(k.r)->dropped, 4);
	/* By TCP the connection goes. */
	tcp = asker_tcp(&k, HERE);
	turn(&k);
	REQUIRE(send(tcp, "\0\1x", 3, 0) == 3);
	CHECK_INT(reply_tcp(&k, tcp, SOON_MS), -1);
	CHECK(recv(tcp, k.reply.ptr, 1, 0) == 0 || errno == ECONNRESET);
	close(tcp);
	tcp = asker_tcp(&k, HERE);
	ask_tcp(&k, tcp);
	CHECK_INT(reply_tcp(&k, tcp, SOON_MS), -1);
	CHECK(recv(tcp, k.reply.ptr, 1, 0) == 0 || errno == ECONNRESET);
	close(tcp);
	close(fd);
	kit_release(&k);
}

TEST(what_is_not_of_the_mesh_is_asked_of_the_upstream)
{
	struct slice options = SLICE_LIT("\0\x08\0\x04");
	struct dns_query q;
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 4096);
	REQUIRE(dns_query_read(&q, buf_slice(&k.up[0].query)) == 0);
	CHECK(q.edns && q.payload == DNS_UDP_OURS && q.type == DNS_A && (q.flags & DNS_RD) != 0);
	CHECK(memmem(k.up[0].query.ptr, k.up[0].query.len, options.ptr, options.len) == NULL);
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 1);
	close(fd);
	fd = begin(&k, 0);
	REQUIRE(dns_query_read(&q, buf_slice(&k.up[0].query)) == 0);
	CHECK(!q.edns);
	answer_begin(&k, &k.up[0], DNS_NXDOMAIN);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NXDOMAIN);
	CHECK(echoes(&k) && answers(&k) == 0 && resolver_silent(k.r) == NULL);
	CHECK_INT(resolver_counts(k.r)->lookups, 2);
	close(fd);
	kit_release(&k);
}

TEST(ids_ports_and_letters_are_new_for_every_question)
{
	unsigned i, ids = 0, ports = 0, letters = 0;
	struct buf before = BUF_INIT(4096);
	uint16_t port = 0;
	struct kit k;
	int fd;

	kit_init(&k, 1);
	for (i = 0; i < 16; i++) {
		fd = begin(&k, 0);
		ids += before.len == 0 || memcmp(before.ptr, k.up[0].query.ptr, 2) != 0;
		letters += before.len == 0 || memcmp(before.ptr + 12, k.up[0].query.ptr + 12, 17) != 0;
		ports += port != port_of(&k.up[0].from);
		port = port_of(&k.up[0].from);
		buf_clear(&before);
		buf_put_slice(&before, buf_slice(&k.up[0].query));
		answer_a(&k, &k.up[0]);
		upstream_reply(&k, &k.up[0]);
		CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
		close(fd);
	}
	/* Of 65,536, some 28,000 and 8,192 each: one repetition may happen, more than that must not. */
	CHECK(ids >= 15 && ports >= 15 && letters >= 14);
	buf_release(&before);
	kit_release(&k);
}

TEST(strangers_are_answered_of_the_mesh_alone)
{
	struct kit k;
	int fd, tcp;

	kit_init(&k, 1);
	fd = asker_udp(&k, STRANGER);
	query_build(&k, 7, "nas.mesh", DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	query_build(&k, 8, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_REFUSED);
	CHECK((get_be16(k.reply.ptr + 2) & DNS_RA) == 0);
	tcp = asker_tcp(&k, STRANGER);
	ask_tcp(&k, tcp);
	CHECK_INT(reply_tcp(&k, tcp, SOON_MS), DNS_REFUSED);
	CHECK(!upstream_take(&k, &k.up[0], 50) && resolver_counts(k.r)->lookups == 0);
	close(tcp);
	close(fd);
	kit_release(&k);
}

TEST(strangers_have_a_rate_and_we_do_not)
{
	int fd, here, i, n = 0;
	struct kit k;

	kit_init(&k, 0);
	fd = asker_udp(&k, STRANGER);
	here = asker_udp(&k, HERE);
	query_build(&k, 7, "nas.mesh", DNS_A, 0);
	for (i = 0; i < 2 * RESOLVER_STRANGER_BURST; i++) {
		ask(&k, fd);
		turn(&k);
		n += recv(fd, k.reply.ptr, 0, 0) >= 0;
	}
	CHECK(n >= RESOLVER_STRANGER_BURST && resolver_counts(k.r)->dropped > 0);
	for (i = 0; i < 2 * RESOLVER_STRANGER_BURST; i++) {
		ask(&k, here);
		CHECK(reply_udp(&k, here, SOON_MS) == DNS_NOERROR);
	}
	close(fd);
	close(here);
	kit_release(&k);
}

TEST(a_wrong_id_is_passed_over)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	answer_a(&k, &k.up[0]);
	k.reply.ptr[1] ^= 1;
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, 100), -1);
	CHECK_INT(resolver_counts(k.r)->bad, 1);
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	close(fd);
	kit_release(&k);
}

TEST(other_ports_and_addresses_are_not_heard)
{
	struct kit k;
	int fd, port, host;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	port = open_at(HERE, 0, SOCK_DGRAM);
	host = open_at("127.0.0.3", port_of(&k.up[0].address), SOCK_DGRAM);
	answer_a(&k, &k.up[0]);
	send_udp(&k, port, &k.up[0].from);
	send_udp(&k, host, &k.up[0].from);
	CHECK_INT(reply_udp(&k, fd, 200), -1);
	CHECK_INT(resolver_counts(k.r)->bad, 0);
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	close(port);
	close(host);
	close(fd);
	kit_release(&k);
}

TEST(forgeries_without_an_end_lead_to_tcp)
{
	struct kit k;
	int fd, i;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	answer_a(&k, &k.up[0]);
	for (i = 1; i <= 9; i++) {
		put_be16(k.reply.ptr, (uint16_t)(get_be16(k.up[0].query.ptr) + i));
		upstream_reply(&k, &k.up[0]);
	}
	REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
	CHECK_INT(resolver_counts(k.r)->bad, 9);
	answer_a(&k, &k.up[0]);
	upstream_reply_tcp(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 1);
	close(fd);
	kit_release(&k);
}

TEST(letters_that_are_not_repeated_lead_to_tcp)
{
	struct kit k;
	size_t i;
	int fd;

	kit_init(&k, 1);
	do {	/* of 8,192 questions one has no upper-case letter */
		bool upper = false;

		fd = begin(&k, 0);
		answer_a(&k, &k.up[0]);
		for (i = 12; i < 29; i++) {
			upper = upper || (k.reply.ptr[i] >= 'A' && k.reply.ptr[i] <= 'Z');
			k.reply.ptr[i] |= k.reply.ptr[i] >= 'A' ? 0x20 : 0;
		}
		if (upper)
			break;
		close(fd);
	} while (true);
	upstream_reply(&k, &k.up[0]);
	REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
	answer_a(&k, &k.up[0]);
	upstream_reply_tcp(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 1);
	close(fd);
	kit_release(&k);
}

static void answer_long(struct kit *k, const struct upstream_kit *u, unsigned records)
{
	answer_begin(k, u, 0);
	while (records-- > 0)
		answer_add(k, DNS_A, SLICE_LIT("\x5d\xb8\xd8\x22"));
}

TEST(what_is_cut_is_asked_by_tcp)
{
	static const struct { unsigned payload; bool tcp, cut; } askers[] = {{4096, false, false}, {0, false, true},
									     {0, true, false}};
	struct kit k;
	size_t i;
	int fd;

	kit_init(&k, 1);
	for (i = 0; i < 3; i++) {
		if (askers[i].tcp) {
			fd = asker_tcp(&k, HERE);
			query_build(&k, 0x4321, FOREIGN, DNS_A, 0);
			ask_tcp(&k, fd);
			REQUIRE(upstream_take(&k, &k.up[0], SOON_MS));
		} else {
			fd = begin(&k, askers[i].payload);
		}
		answer_begin(&k, &k.up[0], DNS_TC);
		put_be16(k.reply.ptr + 6, 5);	/* cut where it stood: no whole message */
		buf_put_u8(&k.reply, 0xc0);
		upstream_reply(&k, &k.up[0]);
		REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
		answer_long(&k, &k.up[0], 200);
		upstream_reply_tcp(&k, &k.up[0]);
		CHECK_INT(askers[i].tcp ? reply_tcp(&k, fd, SOON_MS) : reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
		CHECK(echoes(&k));
		CHECK_INT(answers(&k), askers[i].cut ? 0 : 200);
		CHECK_INT((get_be16(k.reply.ptr + 2) & DNS_TC) != 0, askers[i].cut);
		close(fd);
	}
	CHECK_INT(resolver_counts(k.r)->bad, 0);
	kit_release(&k);
}

TEST(what_is_too_long_is_passed_over)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 4096);
	answer_long(&k, &k.up[0], 300);	/* 4,833 bytes */
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, 100), -1);
	answer_long(&k, &k.up[0], 1);
	buf_put_u8(&k.reply, 0);	/* a byte behind the last record */
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, 100), -1);
	CHECK_INT(resolver_counts(k.r)->bad, 2);
	answer_long(&k, &k.up[0], 200);	/* longer than asked for, which a datagram may be */
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(answers(&k) == 200);
	close(fd);
	kit_release(&k);
}

TEST(addresses_of_ours_are_stripped)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	answer_a(&k, &k.up[0]);
	answer_add(&k, DNS_A, SLICE_LIT("\x7f\0\0\1"));
	answer_add(&k, DNS_A, SLICE_LIT("\xc6\x12\x21\x09"));	/* within the mesh */
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 1);
	CHECK_INT(resolver_counts(k.r)->stripped, 2);
	close(fd);
	/* By TCP, too. */
	fd = begin(&k, 0);
	answer_begin(&k, &k.up[0], DNS_TC);
	upstream_reply(&k, &k.up[0]);
	REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
	answer_begin(&k, &k.up[0], 0);
	answer_add(&k, DNS_A, SLICE_LIT("\x7f\0\0\1"));
	upstream_reply_tcp(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k) && answers(&k) == 0);
	close(fd);
	kit_release(&k);
}

TEST(a_late_reply_is_a_reply_until_the_end)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	answer_a(&k, &k.up[0]);
	REQUIRE(upstream_take(&k, &k.up[0], RESOLVER_TRY_MS + SOON_MS));	/* the same again */
	CHECK(memcmp(k.reply.ptr, k.up[0].query.ptr, 2) == 0);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	close(fd);
	fd = begin(&k, 0);
	CHECK_INT(reply_udp(&k, fd, RESOLVER_LOOKUP_MS + SOON_MS), DNS_SERVFAIL);
	CHECK(echoes(&k) && resolver_counts(k.r)->failed == 1);
	REQUIRE(resolver_silent(k.r) != NULL);
	CHECK_INT(port_of(resolver_silent(k.r)), port_of(&k.up[0].address));
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, 200), -1);
	close(fd);
	while (upstream_take(&k, &k.up[0], 20))
		;
	fd = begin(&k, 0);
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(resolver_silent(k.r) == NULL);
	close(fd);
	kit_release(&k);
}

TEST(the_next_upstream_is_asked_when_one_is_silent)
{
	struct kit k;
	int fd;

	kit_init(&k, 2);
	fd = begin(&k, 0);
	REQUIRE(upstream_take(&k, &k.up[1], RESOLVER_TRY_MS + SOON_MS));
	answer_a(&k, &k.up[1]);
	upstream_reply(&k, &k.up[1]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	REQUIRE(resolver_silent(k.r) != NULL);
	CHECK_INT(port_of(resolver_silent(k.r)), port_of(&k.up[0].address));
	/* And first from then on. */
	query_build(&k, 0x1235, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	REQUIRE(upstream_take(&k, &k.up[1], SOON_MS));
	answer_a(&k, &k.up[1]);
	upstream_reply(&k, &k.up[1]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k));
	close(fd);
	kit_release(&k);
}

TEST(the_next_upstream_is_asked_at_once_when_one_is_not_there_or_cannot)
{
	int64_t from_ms = clock_mono_ms();
	struct kit k;
	int fd;

	kit_init(&k, 2);
	fd = begin(&k, 0);
	answer_begin(&k, &k.up[0], DNS_SERVFAIL);
	upstream_reply(&k, &k.up[0]);
	REQUIRE(upstream_take(&k, &k.up[1], SOON_MS));
	answer_begin(&k, &k.up[1], DNS_REFUSED);
	upstream_reply(&k, &k.up[1]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_SERVFAIL);	/* the first one's word */
	CHECK(echoes(&k) && resolver_silent(k.r) == NULL);
	close(k.up[0].udp);
	k.up[0].udp = open_at(HERE, 0, SOCK_DGRAM);
	query_build(&k, 0x1235, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	REQUIRE(upstream_take(&k, &k.up[1], SOON_MS));
	answer_a(&k, &k.up[1]);
	upstream_reply(&k, &k.up[1]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(clock_mono_ms() - from_ms < RESOLVER_TRY_MS || resolver_silent(k.r) != NULL);
	close(fd);
	kit_release(&k);
}

TEST(an_upstream_that_breaks_tcp_ends_in_servfail)
{
	enum { SHORT, CLOSED, WRONG_ID, GARBAGE, NO_LISTENER, KINDS } kind;
	struct kit k;
	int fd;

	kit_init(&k, 1);
	for (kind = SHORT; kind < KINDS; kind++) {
		int64_t from_ms = clock_mono_ms();

		fd = begin(&k, 0);
		if (kind == NO_LISTENER)
			close(k.up[0].tcp);
		answer_begin(&k, &k.up[0], DNS_TC);
		upstream_reply(&k, &k.up[0]);
		if (kind != NO_LISTENER) {
			REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
			answer_a(&k, &k.up[0]);
		}
		if (kind == SHORT) {
			REQUIRE(send(k.up[0].fd, "\0\5abcde", 7, 0) == 7);
		} else if (kind == CLOSED) {
			REQUIRE(send(k.up[0].fd, "\0\50abcde", 7, 0) == 7 && shutdown(k.up[0].fd, SHUT_WR) == 0);
		} else if (kind == WRONG_ID || kind == GARBAGE) {
			k.reply.ptr[kind == WRONG_ID ? 0 : 30] ^= 0xff;
			upstream_reply_tcp(&k, &k.up[0]);
		}
		CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_SERVFAIL);
		CHECK(echoes(&k));
		CHECK(clock_mono_ms() - from_ms < RESOLVER_LOOKUP_MS);
		close(fd);
	}
	k.up[0].tcp = open_at(HERE, 0, SOCK_STREAM);
	kit_release(&k);
}

TEST(an_upstream_that_stalls_within_tcp_has_an_end)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	answer_begin(&k, &k.up[0], DNS_TC);
	upstream_reply(&k, &k.up[0]);
	REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
	REQUIRE(send(k.up[0].fd, "\1\0", 2, 0) == 2);
	CHECK_INT(reply_udp(&k, fd, RESOLVER_LOOKUP_MS + SOON_MS), DNS_SERVFAIL);
	CHECK(resolver_silent(k.r) == NULL);	/* it has said something */
	close(fd);
	kit_release(&k);
}

TEST(the_same_query_again_is_one_look_up)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	ask(&k, fd);
	ask(&k, fd);
	turn_for(&k, 50);
	CHECK_INT(resolver_counts(k.r)->lookups, 1);
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK_INT(reply_udp(&k, fd, 50), -1);
	close(fd);
	kit_release(&k);
}

TEST(look_ups_have_a_limit)
{
	struct kit k;
	int fd, i;

	kit_init(&k, 1);
	fd = asker_udp(&k, HERE);
	for (i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
		query_build(&k, (uint16_t)i, FOREIGN, DNS_A, 0);
		ask(&k, fd);
		turn(&k);
	}
	turn_for(&k, 20);
	CHECK_INT(resolver_counts(k.r)->lookups, RESOLVER_LOOKUPS_MAX);
	query_build(&k, 0xffff, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, 500), DNS_SERVFAIL);
	CHECK(echoes(&k));
	/* One is answered, and there is room. */
	REQUIRE(upstream_take(&k, &k.up[0], SOON_MS));
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	query_build(&k, 0xfffe, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	turn_for(&k, 20);
	CHECK_INT(resolver_counts(k.r)->lookups, RESOLVER_LOOKUPS_MAX + 1);
	/* All the others have their end. */
	for (i = 0; i < RESOLVER_LOOKUPS_MAX; i++)
		CHECK_INT(reply_udp(&k, fd, RESOLVER_LOOKUP_MS + SOON_MS), DNS_SERVFAIL);
	close(fd);
	kit_release(&k);
}

TEST(a_connection_has_its_share_of_look_ups)
{
	unsigned i, n = RESOLVER_PIPELINE_MAX + 4, got = 0;
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = asker_tcp(&k, HERE);
	for (i = 0; i < n; i++) {
		query_build(&k, (uint16_t)i, FOREIGN, DNS_A, 0);
		ask_tcp(&k, fd);
	}
	turn_for(&k, 50);
	CHECK_INT(resolver_counts(k.r)->lookups, RESOLVER_PIPELINE_MAX);
	while (got < n && upstream_take(&k, &k.up[0], SOON_MS)) {
		answer_a(&k, &k.up[0]);
		upstream_reply(&k, &k.up[0]);
		got++;
	}
	CHECK_INT(got, n);
	for (i = 0; i < n; i++)
		CHECK_INT(reply_tcp(&k, fd, SOON_MS), DNS_NOERROR);
	close(fd);
	kit_release(&k);
}

TEST(connections_have_a_limit)
{
	int fds[RESOLVER_CONNECTIONS_MAX + 1], strangers[RESOLVER_STRANGER_MAX + 1], i;
	struct kit k;

	kit_init(&k, 0);
	query_build(&k, 7, "nas.mesh", DNS_A, 0);
	for (i = 0; i <= RESOLVER_STRANGER_MAX; i++) {
		strangers[i] = asker_tcp(&k, STRANGER);
		turn_for(&k, 10);
	}
	CHECK_INT(reply_tcp(&k, strangers[RESOLVER_STRANGER_MAX], SOON_MS), -1);	/* closed at once */
	CHECK(recv(strangers[RESOLVER_STRANGER_MAX], k.reply.ptr, 1, 0) == 0);
	ask_tcp(&k, strangers[0]);
	CHECK_INT(reply_tcp(&k, strangers[0], SOON_MS), DNS_NOERROR);
	for (i = 0; i <= RESOLVER_STRANGER_MAX; i++)
		close(strangers[i]);
	turn_for(&k, 50);
	for (i = 0; i <= RESOLVER_CONNECTIONS_MAX; i++) {
		fds[i] = asker_tcp(&k, HERE);
		turn(&k);
	}
	turn_for(&k, 50);
	ask_tcp(&k, fds[RESOLVER_CONNECTIONS_MAX]);
	CHECK_INT(reply_tcp(&k, fds[RESOLVER_CONNECTIONS_MAX], 400), -1);
	CHECK(errno == EAGAIN);	/* it waits */
	close(fds[0]);
	CHECK_INT(reply_tcp(&k, fds[RESOLVER_CONNECTIONS_MAX], SOON_MS), DNS_NOERROR);
	for (i = 1; i <= RESOLVER_CONNECTIONS_MAX; i++)
		close(fds[i]);
	kit_release(&k);
}

TEST(a_connection_that_says_nothing_whole_goes)
{
	int64_t from_ms = clock_mono_ms();
	struct buf out = BUF_INIT(4096);
	int silent, slow;
	struct kit k;
	size_t at = 0;
	char c;

	kit_init(&k, 0);
	silent = asker_tcp(&k, HERE);
	slow = asker_tcp(&k, HERE);
	turn(&k);
	query_build(&k, 7, "nas.mesh", DNS_A, 0);
	dns_tcp_put(&out, buf_slice(&k.query));
	REQUIRE(out.len > 20);
	while (clock_mono_ms() - from_ms < RESOLVER_CONNECTION_MS + SOON_MS && recv(slow, &c, 1, 0) < 0) {
		if (at < 20)
			(void)!send(slow, out.ptr + at++, 1, MSG_NOSIGNAL);
		turn_for(&k, 400);
	}
	CHECK(clock_mono_ms() - from_ms >= RESOLVER_CONNECTION_MS);
	CHECK(clock_mono_ms() - from_ms < RESOLVER_CONNECTION_MS + SOON_MS);
	CHECK(recv(silent, &c, 1, 0) == 0);
	close(silent);
	close(slow);
	buf_release(&out);
	kit_release(&k);
}

TEST(an_asker_that_does_not_read_is_not_read_and_loses_nothing)
{
	int fd = open_at(HERE, 0, SOCK_STREAM), small = 4096, large = 1 << 20, i, stuck = 0;
	size_t sent = 0, queries, got = 0, each;
	struct buf out = BUF_INIT(1 << 16);
	uint8_t chunk[65536];
	struct kit k;
	ssize_t n;

	kit_init(&k, 0);
	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
	REQUIRE(connect(fd, (const struct sockaddr *)&k.here, sizeof(struct sockaddr_in)) == 0 || errno == EINPROGRESS);
	turn(&k);
	query_build(&k, 7, "nas.mesh", DNS_ANY, 0);
	for (i = 0; i < 100; i++)
		dns_tcp_put(&out, buf_slice(&k.query));
	while (stuck < 50) {
		n = send(fd, out.ptr + sent % out.len, out.len - sent % out.len, MSG_NOSIGNAL);
		REQUIRE(n > 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		stuck = n > 0 ? 0 : stuck + 1;
		turn(&k);
	}
	queries = sent / (out.len / 100);
	CHECK(resolver_counts(k.r)->answered < queries);	/* the rest waits in the kernel */
	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large)) == 0);
	CHECK_INT(reply_tcp(&k, fd, SOON_MS), DNS_NOERROR);
	each = 2 + k.reply.len;
	for (got = each; got < queries * each; got += (size_t)n) {
		n = take(&k, fd, chunk, sizeof(chunk), NULL, SOON_MS);
		REQUIRE(n > 0);
	}
	CHECK_INT(got, queries * each);
	CHECK_INT(resolver_counts(k.r)->answered, queries);
	close(fd);
	buf_release(&out);
	kit_release(&k);
}

TEST(an_asker_that_leaves_takes_its_look_ups_along)
{
	struct kit k;
	int fd;

	kit_init(&k, 1);
	fd = asker_tcp(&k, HERE);
	query_build(&k, 7, FOREIGN, DNS_A, 0);
	ask_tcp(&k, fd);
	REQUIRE(upstream_take(&k, &k.up[0], SOON_MS));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(fd);	/* with a reset */
	turn_for(&k, 50);
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	turn_for(&k, 50);
	/* One that only says that it will ask no more is answered. */
	fd = asker_tcp(&k, HERE);
	ask_tcp(&k, fd);
	REQUIRE(shutdown(fd, SHUT_WR) == 0 && upstream_take(&k, &k.up[0], SOON_MS));
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_tcp(&k, fd, SOON_MS), DNS_NOERROR);
	close(fd);
	kit_release(&k);
}

TEST(an_upstream_that_is_ourselves_is_not_asked)
{
	struct sockaddr_storage self, other = address("127.0.0.4", 0), both[2];
	struct error err = ERROR_INIT;
	struct resolver_options o;
	struct resolver *r;
	struct kit k;
	int fd;

	kit_init(&k, 0);
	self = k.here;
	o = (struct resolver_options){.loop = k.loop, .names = k.n.names, .suffix = "mesh", .upstreams = &self,
				      .upstream_count = 1};
	resolver_free(k.r);
	k.r = r = resolver_new(&o, &err);
	both[0] = self;
	both[1] = other;
	REQUIRE(r != NULL && resolver_listen(r, both, 2, &err) == 0);
	fd = asker_udp(&k, HERE);
	query_build(&k, 7, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, 500), DNS_SERVFAIL);
	CHECK_INT(resolver_counts(r)->lookups, 1);
	close(fd);
	kit_release(&k);
}

TEST(addresses_come_and_go)
{
	struct sockaddr_storage a[3] = {address(HERE, 0), address("127.0.0.4", 0), address("127.0.0.5", 0)}, got[4];
	struct error err = ERROR_INIT;
	struct kit k;
	int fd, tcp, taken;

	kit_init(&k, 1);
	fd = begin(&k, 0);
	tcp = asker_tcp(&k, HERE);
	ask_tcp(&k, tcp);
	turn_for(&k, 20);
	CHECK_INT(resolver_listen(k.r, a, 3, &err), 0);
	CHECK_INT(resolver_listening(k.r, got, 4), 3);
	CHECK_INT(port_of(&got[0]), port_of(&k.here));	/* it stays */
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	/* It goes, with those that asked there. */
	CHECK_INT(resolver_listen(k.r, a + 1, 2, &err), 0);
	CHECK_INT(resolver_listening(k.r, got, 4), 2);
	CHECK_INT(reply_tcp(&k, tcp, SOON_MS), -1);
	query_build(&k, 7, "nas.mesh", DNS_A, 0);
	(void)!send(fd, k.query.ptr, k.query.len, 0);
	CHECK_INT(reply_udp(&k, fd, 100), -1);
	/* One that another process has leaves the others. */
	taken = open_at("127.0.0.6", 0, SOCK_DGRAM);
	a[0] = bound(taken);
	CHECK(resolver_listen(k.r, a, 3, &err) < 0 && err.kind == ERR_CONFLICT);
	CHECK(strstr(err.text, "cannot answer queries on 127.0.0.6:") == err.text && err.hint[0] != '\0');
	CHECK_INT(resolver_listening(k.r, got, 4), 2);
	close(taken);
	CHECK_INT(resolver_listen(k.r, a, 3, &err), 0);
	CHECK_INT(resolver_listening(k.r, got, 4), 3);
	close(fd);
	close(tcp);
	kit_release(&k);
}

TEST(addresses_that_are_not_of_one_host_are_refused)
{
	static const char *const bad[] = {"0.0.0.0", "0.1.2.3", "224.0.0.251", "255.255.255.255"};
	static const char *const bad6[] = {"::", "ff02::fb", "::ffff:127.0.0.1"};
	struct sockaddr_storage a[RESOLVER_ADDRESSES_MAX + 1] = {0};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct error err = ERROR_INIT;
	struct resolver_options o;
	struct kit k;
	size_t i;

	kit_init(&k, 0);
	o = (struct resolver_options){.loop = k.loop, .names = k.n.names, .suffix = "mesh", .upstreams = a,
				      .upstream_count = 1};
	for (i = 0; i < 7; i++) {
		if (i < 4) {
			a[0] = address(bad[i], 0);
		} else {
			REQUIRE(inet_pton(AF_INET6, bad6[i - 4], &a6.sin6_addr) == 1);
			memcpy(&a[0], &a6, sizeof(a6));
		}
		CHECK(resolver_listen(k.r, a, 1, &err) < 0 && err.kind == ERR_USAGE);
		CHECK(resolver_new(&o, &err) == NULL && err.kind == ERR_USAGE);
	}
	a[0].ss_family = AF_UNIX;
	CHECK(resolver_listen(k.r, a, 1, &err) < 0 && err.kind == ERR_USAGE);
	CHECK(resolver_listen(k.r, a, RESOLVER_ADDRESSES_MAX + 1, &err) < 0 && err.kind == ERR_LIMIT);
	CHECK_INT(resolver_listening(k.r, NULL, 0), 1);
	o.upstream_count = RESOLVER_UPSTREAMS_MAX + 1;
	CHECK(resolver_new(&o, &err) == NULL && err.kind == ERR_LIMIT);
	kit_release(&k);
}

TEST(over_ipv6)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_storage a = {0}, got;
	struct error err = ERROR_INIT;
	struct kit k;
	int fd;

	kit_init(&k, 1);
	memcpy(&a, &a6, sizeof(a6));
	if (resolver_listen(k.r, &a, 1, &err) < 0)
		SKIP("no IPv6 on loopback here");
	REQUIRE(resolver_listening(k.r, &got, 1) == 1 && got.ss_family == AF_INET6);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	REQUIRE(fd >= 0 && connect(fd, (struct sockaddr *)&got, sizeof(a6)) == 0);
	query_build(&k, 7, "nas.mesh", DNS_AAAA, 0);
	ask(&k, fd);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	query_build(&k, 8, FOREIGN, DNS_A, 0);
	ask(&k, fd);
	REQUIRE(upstream_take(&k, &k.up[0], SOON_MS));
	answer_a(&k, &k.up[0]);
	upstream_reply(&k, &k.up[0]);
	CHECK_INT(reply_udp(&k, fd, SOON_MS), DNS_NOERROR);
	CHECK(echoes(&k));
	close(fd);
	kit_release(&k);
}

/* What LeakSanitizer sees: all that was under way goes with the resolver. */
TEST(an_end_in_the_middle_of_everything)
{
	struct kit k;
	int fd, tcp;

	kit_init(&k, 2);
	fd = begin(&k, 0);
	tcp = asker_tcp(&k, HERE);
	query_build(&k, 8, FOREIGN, DNS_AAAA, 0);
	ask_tcp(&k, tcp);
	ask_tcp(&k, tcp);
	turn_for(&k, 20);
	answer_begin(&k, &k.up[0], DNS_TC);
	upstream_reply(&k, &k.up[0]);
	REQUIRE(upstream_accept(&k, &k.up[0], SOON_MS));
	CHECK_INT(resolver_counts(k.r)->lookups, 3);
	kit_release(&k);
	close(fd);
	close(tcp);
}
