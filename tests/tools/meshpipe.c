/*
 * Two or more data planes joined by fixed sessions, without the daemon: for tests and measurements of the plane alone.
 *
 *	meshpipe [option]... BLOCK IP:PORT [BLOCK IP:PORT]...
 *
 * Holds block --self of the range, and each BLOCK is that of a node at IP:PORT. Says "ready INTERFACE" when the first of them
 * has answered, "path BLOCK ADDRESS" when one moves, and with --stats one line of counters at its end (SIGTERM, SIGINT).
 * Peers find each other by a greeting without any secrecy, from which both make the session's keys: this is no VPN.
 *
 *	--self N		(1)
 *	--name IF		interface (mesh%d)
 *	--range A.B.C.D/N	(198.18.0.0/19)
 *	--listen IP:PORT	(0.0.0.0:7783); twice for both families
 *	--cipher aes|chacha|none
 *	--mtu N			of the interface (1420)
 *	--queue N		of the interface
 *	--buffer N		of the sockets, bytes
 *	--no-tun-offload --no-uso --no-udp-offload --no-merge
 *	--way-control		sealed datagrams go by way of control, and come back by it
 *	--deny-port N		scope: TCP and UDP to this port are rejected outwards
 *	--stats
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "crypto/key.h"
#include "mesh/bytes.h"
#include "mesh/plane.h"
#include "mesh/record.h"
#include "mesh/session.h"
#include "net/addr.h"
#include "sys/clock.h"
#include "sys/netlink.h"
#include "sys/rng.h"

#define PEERS_MAX 64
#define NONCE_LEN 16
#define HELLO_EVERY_MS 200
#define GIVE_UP_MS 3000

struct hello {
	uint8_t magic[4];
	uint8_t block[4];
	uint8_t index[4];
	uint8_t nonce[NONCE_LEN];	/* of the sender */
	uint8_t yours[NONCE_LEN];	/* the receiver's, as the sender knows it; zeros: not yet */
};

struct node {
	uint32_t block;
	uint32_t peer;
	uint32_t index;		/* ours */
	struct udp_path path;
	uint8_t nonce[NONCE_LEN], theirs[NONCE_LEN];
	bool joined;
	int64_t wanted_ms;	/* since when packets wait; 0: none do */
};

static struct error err;
static struct plane *plane;
static struct node nodes[PEERS_MAX];
static size_t nodes_n;
static uint32_t self = 1, range = 0xc6120000;
static uint8_t range_len = 19;
static uint8_t cipher = CIPHER_AES256_GCM;
static bool plain, way_control, want_stats, said_ready;
static uint16_t deny_port;
static struct subkeys subkeys;

static void fail(const char *what)
{
	fprintf(stderr, "meshpipe: %s: %s\n", what, err.text);
	exit(1);
}

/* ---- no cipher at all: what the rest costs ---- */

struct plain_session {
	uint32_t remote;
	_Atomic uint64_t counter;
};

static bool plain_seal(struct session *s, uint8_t *dgram, size_t n, uint8_t type, uint8_t flags)
{
	struct plain_session *p = (struct plain_session *)(void *)s;
	struct packet_header h = {.receiver = p->remote, .type = type, .flags = flags};

	h.counter = atomic_fetch_add_explicit(&p->counter, 1, memory_order_relaxed);
	packet_header_put(dgram, &h);
	memset(dgram + PACKET_HEADER_LEN + n, 0, PACKET_TAG_LEN);
	return true;
}

static bool plain_peek(const void *masks, const uint8_t *dgram, size_t len, bool (*known)(void *arg, uint32_t index),
		       void *arg, struct plane_head *head)
{
	(void)masks;
	(void)len;
	*head = (struct plane_head){.index = get_be32(dgram), .type = dgram[4], .flags = dgram[5],
				    .counter = get_be64(dgram + 8)};
	return known(arg, head->index);
}

static bool plain_open(struct session *s, const struct plane_head *head, uint8_t *dgram, size_t len)
{
	(void)s;
	(void)head;
	(void)dgram;
	(void)len;
	return true;
}

static void plain_free(struct session *s)
{
	free(s);
}

static const struct plane_crypto plain_crypto = {
	.type_data = PACKET_DATA,
	.seal = plain_seal,
	.peek = plain_peek,
	.open = plain_open,
	.session_free = plain_free,
	.masks_free = free,
};

/* ---- sessions ---- */

static void derive(uint8_t out[static 32], const struct node *n, bool from_lower)
{
	bool lower = self < n->block;
	struct slice parts[] = {slice_of(lower ? n->nonce : n->theirs, NONCE_LEN), slice_of(lower ? n->theirs : n->nonce, NONCE_LEN),
				slice_of((const uint8_t *)(from_lower ? "1" : "2"), 1)};

	mesh_hash(out, "meshpipe", parts, ARRAY_SIZE(parts));
}

static struct session *make_session(struct node *n, uint32_t remote)
{
	struct session_params p = {.subkeys = &subkeys, .generation = 1, .local_index = n->index, .remote_index = remote,
				   .cipher = cipher, .initiator = self < n->block, .now_ms = clock_mono_ms()};
	struct plain_session *s;

	if (!plain) {
		derive(p.send_key, n, self < n->block);
		derive(p.receive_key, n, self > n->block);
		return session_new(&p);
	}
	s = calloc(1, sizeof(*s));
	s->remote = remote;
	return (struct session *)(void *)s;
}

static void greet(struct node *n)
{
	struct hello h = {.magic = "hell"};

	put_be32(h.block, self);
	put_be32(h.index, n->index);
	memcpy(h.nonce, n->nonce, NONCE_LEN);
	memcpy(h.yours, n->theirs, NONCE_LEN);
	(void)plane_send_raw(plane, &n->path, &h, sizeof(h));
}

static void new_index(struct node *n)
{
	rng_bytes(n->nonce, NONCE_LEN);
	if (plane_index_take(plane, &n->index, &err) < 0)
		fail("index");
}

/* What fits: the path's MTU less IP, UDP and what surrounds the content. */
static void set_endpoint(struct node *n)
{
	struct plane_endpoint e = {.way = way_control ? PLANE_WAY_CONTROL : PLANE_WAY_UDP, .path = n->path};
	size_t mtu = 1500, around = PLANE_OVERHEAD + 8 + (n->path.remote.sa.sa_family == AF_INET6 ? 40u : 20u);

	if (udp_path_mtu(&n->path, &mtu, &err) < 0 || mtu < 576)
		mtu = 1500;
	e.mtu = (uint16_t)(mtu - around > PLANE_CONTENT_MAX ? PLANE_CONTENT_MAX : mtu - around);
	plane_endpoint_set(plane, n->peer, &e);
}

static void on_hello(const struct plane_event *e)
{
	struct node *n = NULL;
	struct hello h;

	if (e->data.len != sizeof(h) || memcmp(e->data.ptr, "hell", 4) != 0)
		return;
	memcpy(&h, e->data.ptr, sizeof(h));
	for (size_t i = 0; i < nodes_n; i++)
		if (nodes[i].block == get_be32(h.block))
			n = &nodes[i];
	if (n == NULL)
		return;
	if (n->joined && memcmp(h.nonce, n->theirs, NONCE_LEN) != 0) {
		/* It was started again: so must the session be. */
		plane_session_retire(plane, n->index);
		new_index(n);
		n->joined = false;
	}
	memcpy(n->theirs, h.nonce, NONCE_LEN);
	if (!n->joined && memcmp(h.yours, n->nonce, NONCE_LEN) == 0) {
		plane_session_publish(plane, n->index, n->peer, make_session(n, get_be32(h.index)),
				      self < n->block ? PLANE_USE_NOW : PLANE_USE_CONFIRMED);
		set_endpoint(n);
		n->joined = true;
		n->wanted_ms = 0;
		if (!said_ready) {
			printf("ready %s\n", plane_tun(plane)->name);
			fflush(stdout);
		}
		said_ready = true;
		greet(n);
		if (self < n->block)
			(void)plane_send(plane, n->peer, PLANE_NOBODY, way_control ? &n->path : NULL, PACKET_DATA, "", 0);
	} else if (memcmp(h.yours, n->nonce, NONCE_LEN) != 0) {
		greet(n);
	}
}

static struct node *node_of(uint32_t peer)
{
	for (size_t i = 0; i < nodes_n; i++)
		if (nodes[i].peer == peer)
			return &nodes[i];
	return NULL;
}

static void on_event(const struct plane_event *e)
{
	struct node *n = node_of(e->peer);
	char text[ADDR_TEXT_LEN];
	struct sockaddr_storage ss;

	switch (e->kind) {
	case PLANE_EVENT_STRANGER:
		if (way_control && e->data.len != sizeof(struct hello) && plane_feed(plane, &e->path, e->data.ptr, e->data.len))
			break;
		on_hello(e);
		break;
	case PLANE_EVENT_ROAMED:
		if (n == NULL || way_control)
			break;
		n->path = e->path;
		set_endpoint(n);
		memset(&ss, 0, sizeof(ss));
		memcpy(&ss, &n->path.remote, sizeof(n->path.remote));
		addr_text(text, &ss);
		printf("path %u %s\n", n->block, text);
		fflush(stdout);
		break;
	case PLANE_EVENT_TOO_BIG:
		if (n != NULL)
			set_endpoint(n);
		break;
	case PLANE_EVENT_WANTED:
		if (n != NULL && !n->joined)
			n->wanted_ms = clock_mono_ms();
		break;
	case PLANE_EVENT_OUT:
		if (n != NULL)
			(void)plane_send_raw(plane, &n->path, e->data.ptr, e->data.len);
		break;
	case PLANE_EVENT_GONE:
		fprintf(stderr, "meshpipe: the interface is gone\n");
		exit(1);
	default:
		break;
	}
}

/* ---- scope ---- */

static enum plane_verdict scope_out(void *arg, uint32_t peer, const struct plane_packet *p)
{
	(void)arg;
	(void)peer;
	if (deny_port == 0 || p->len < p->l4 + 4u || (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		return PLANE_PASS;
	return get_be16(p->ip + p->l4 + 2) == deny_port ? PLANE_REJECT : PLANE_PASS;
}

static const struct plane_scope scope = {.out = scope_out};

/* ---- start and end ---- */

static union udp_addr parse_addr(const char *text)
{
	struct sockaddr_storage ss;
	union udp_addr a;
	socklen_t len;

	if (addr_parse(&ss, &len, slice_of((const uint8_t *)text, strlen(text)), &err) < 0)
		fail(text);
	memset(&a, 0, sizeof(a));
	memcpy(&a, &ss, len <= sizeof(a) ? len : sizeof(a));
	return a;
}

static void parse_range(const char *text)
{
	char copy[32];
	struct in_addr a;
	char *slash;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash == NULL)
		exit(2);
	*slash = '\0';
	range_len = (uint8_t)strtoul(slash + 1, NULL, 10);
	if (inet_pton(AF_INET, copy, &a) != 1 || range_len < 13 || range_len > 26)
		exit(2);
	range = ntohl(a.s_addr);
}

static void add_addresses(const struct plane_options *o)
{
	struct netlink_prefix p = {.family = AF_INET, .len = range_len};
	struct netlink n;

	if (netlink_open(&n, &err) < 0)
		fail("netlink");
	put_be32(p.addr, range + self * 8 + 1);
	if (netlink_address_add(&n, plane_tun(plane)->ifindex, &p, &err) < 0)
		fail("address");
	p = (struct netlink_prefix){.family = AF_INET6, .len = 48};
	memcpy(p.addr, o->range6, 6);
	put_be16(p.addr + 6, (uint16_t)self);
	p.addr[15] = 1;
	/* A machine without IPv6 is fine. */
	if (netlink_address_add(&n, plane_tun(plane)->ifindex, &p, &err) < 0)
		fprintf(stderr, "meshpipe: %s\n", err.text);
	netlink_close(&n);
}

static void print_stats(void)
{
	struct plane_stats s;
	struct rusage u;

	plane_stats(plane, &s);
	getrusage(RUSAGE_SELF, &u);
	printf("stats tun_reads %llu tun_packets %llu udp_sends %llu udp_sent %llu udp_receives %llu udp_received %llu "
	       "tun_writes %llu tun_written %llu tun_refused %llu dropped %llu unsent %llu unauthentic %llu malformed %llu "
	       "too_big %llu gso %d gro %d offloads %u cpu_ms %lld rss_kib %ld\n",
	       (unsigned long long)s.tun_reads, (unsigned long long)s.tun_packets, (unsigned long long)s.udp_sends,
	       (unsigned long long)s.udp_sent, (unsigned long long)s.udp_receives, (unsigned long long)s.udp_received,
	       (unsigned long long)s.tun_writes, (unsigned long long)s.tun_written, (unsigned long long)s.tun_refused,
	       (unsigned long long)(s.out_dropped + s.in_dropped), (unsigned long long)s.out_unsent,
	       (unsigned long long)s.in_unauthentic, (unsigned long long)(s.in_malformed + s.out_malformed),
	       (unsigned long long)s.out_too_big, s.gso, s.gro, plane_tun(plane)->offloads,
	       (long long)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000,
	       u.ru_maxrss);
	fflush(stdout);
}

static void run(void)
{
	struct plane_event e;
	struct pollfd wait[2] = {{.fd = plane_event_fd(plane), .events = POLLIN}};
	int64_t next_ms = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	wait[1] = (struct pollfd){.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN};
	while (wait[1].revents == 0) {
		int64_t now_ms = clock_mono_ms();
		bool waiting = false;

		for (size_t i = 0; i < nodes_n; i++) {
			struct node *n = &nodes[i];

			if (!n->joined && now_ms >= next_ms)
				greet(n);
			waiting |= !n->joined;
			if (n->wanted_ms != 0 && now_ms - n->wanted_ms > GIVE_UP_MS) {
				plane_staged_drop(plane, n->peer, true);
				n->wanted_ms = 0;
			}
		}
		if (now_ms >= next_ms)
			next_ms = now_ms + HELLO_EVERY_MS;
		(void)poll(wait, 2, waiting ? HELLO_EVERY_MS : 1000);
		while (plane_next(plane, &e))
			on_event(&e);
		(void)plane_reap(plane);
	}
}

enum { OPT_SELF = 256, OPT_NAME, OPT_RANGE, OPT_LISTEN, OPT_CIPHER, OPT_MTU, OPT_QUEUE, OPT_BUFFER, OPT_NO_TUN, OPT_NO_USO,
       OPT_NO_UDP, OPT_NO_MERGE, OPT_WAY, OPT_DENY, OPT_STATS };

static const struct option options[] = {
	{"self", required_argument, NULL, OPT_SELF},
	{"name", required_argument, NULL, OPT_NAME},
	{"range", required_argument, NULL, OPT_RANGE},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"cipher", required_argument, NULL, OPT_CIPHER},
	{"mtu", required_argument, NULL, OPT_MTU},
	{"queue", required_argument, NULL, OPT_QUEUE},
	{"buffer", required_argument, NULL, OPT_BUFFER},
	{"no-tun-offload", no_argument, NULL, OPT_NO_TUN},
	{"no-uso", no_argument, NULL, OPT_NO_USO},
	{"no-udp-offload", no_argument, NULL, OPT_NO_UDP},
	{"no-merge", no_argument, NULL, OPT_NO_MERGE},
	{"way-control", no_argument, NULL, OPT_WAY},
	{"deny-port", required_argument, NULL, OPT_DENY},
	{"stats", no_argument, NULL, OPT_STATS},
	{NULL, 0, NULL, 0},
};

static void take_option(int c, struct plane_options *o)
{
	union udp_addr a;

	switch (c) {
	case OPT_SELF: self = (uint32_t)strtoul(optarg, NULL, 10); break;
	case OPT_NAME: o->interface = optarg; break;
	case OPT_RANGE: parse_range(optarg); break;
	case OPT_LISTEN:
		a = parse_addr(optarg);
		*(a.sa.sa_family == AF_INET6 ? &o->listen6 : &o->listen4) = a;
		break;
	case OPT_CIPHER:
		plain = strcmp(optarg, "none") == 0;
		cipher = strcmp(optarg, "chacha") == 0 ? CIPHER_CHACHA20_POLY1305 : CIPHER_AES256_GCM;
		break;
	case OPT_MTU: o->mtu = (uint16_t)strtoul(optarg, NULL, 10); break;
	case OPT_QUEUE: o->queue = (uint32_t)strtoul(optarg, NULL, 10); break;
	case OPT_BUFFER: o->socket_buffer = (int)strtol(optarg, NULL, 10); break;
	case OPT_NO_TUN: o->tun_offloads = 0; break;
	case OPT_NO_USO: o->tun_offloads &= ~(unsigned)TUN_USO; break;
	case OPT_NO_UDP: o->udp_no_offload = true; break;
	case OPT_NO_MERGE: o->no_merge = true; break;
	case OPT_WAY: way_control = true; break;
	case OPT_DENY: deny_port = (uint16_t)strtoul(optarg, NULL, 10); break;
	case OPT_STATS: want_stats = true; break;
	default: exit(2);
	}
}

int main(int argc, char **argv)
{
	struct plane_options o = {.interface = "mesh%d", .tun_offloads = ~0u, .range6 = {0xfd, 0x12, 1, 2, 3, 4}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		take_option(c, &o);
	if (crypto_start(&err) < 0)
		fail("crypto");
	memset(&subkeys, 7, sizeof(subkeys));
	if (o.listen4.sa.sa_family == 0 && o.listen6.sa.sa_family == 0)
		o.listen4 = parse_addr("0.0.0.0:7783");
	o.range4 = range;
	o.range4_len = range_len;
	plane = plane_new(&o, plain ? &plain_crypto : &plane_session_crypto, &scope, &err);
	if (plane == NULL)
		fail("cannot make the plane");
	if (!plain) {
		const struct subkeys *generation = &subkeys;

		plane_masks_set(plane, plane_masks_new(&generation, 1));
	}
	plane_block_set(plane, self, PLANE_SELF);
	for (; optind + 1 < argc && nodes_n < PEERS_MAX; optind += 2) {
		struct node *n = &nodes[nodes_n++];

		n->block = (uint32_t)strtoul(argv[optind], NULL, 10);
		n->path.remote = parse_addr(argv[optind + 1]);
		if (plane_peer_add(plane, &n->peer, &err) < 0)
			fail("peer");
		plane_block_set(plane, n->block, n->peer);
		new_index(n);
	}
	add_addresses(&o);
	if (plane_start(plane, &err) < 0)
		fail("cannot start");
	run();
	if (want_stats)
		print_stats();
	plane_free(plane);
	return 0;
}
