/*
 * The blocking client on networks that are bad in every way that a script can play: cut, still, slow, garbled at every
 * byte; names that do not resolve, addresses that do not answer. After each of them the same client must work again.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "net/addr.h"
#include "net/client.h"
#include "net/dial.h"
#include "net/server.h"
#include "sys/clock.h"
#include "tls_fixture.h"

/* ---- a name server of our own: this getaddrinfo takes the place of the C library's ---- */

static struct {
	atomic_int code;	/* what look-ups end with */
	_Atomic(const char *) list[4];	/* addresses, NULL at the end */
	atomic_int slow_ms;
	atomic_int calls;
} names;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	struct addrinfo **at = out;
	size_t i;

	(void)host;
	(void)hints;
	atomic_fetch_add(&names.calls, 1);
	if (names.slow_ms > 0)
		usleep((useconds_t)names.slow_ms * 1000);
	*out = NULL;
	for (i = 0; names.code == 0 && names.list[i] != NULL; i++) {
		const char *address = names.list[i];
		bool six = strchr(address, ':') != NULL;
		struct sockaddr_storage *a = calloc(1, sizeof(*a));
		struct sockaddr_in *a4 = (struct sockaddr_in *)a;
		struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)a;

		a->ss_family = six ? AF_INET6 : AF_INET;
		a4->sin_port = htons((uint16_t)atoi(service));	/* at the same place in both */
		inet_pton(a->ss_family, address, six ? (void *)&a6->sin6_addr : (void *)&a4->sin_addr);
		*at = calloc(1, sizeof(**at));
		(*at)->ai_family = a->ss_family;
		(*at)->ai_addr = (struct sockaddr *)a;
		(*at)->ai_addrlen = six ? sizeof(*a6) : sizeof(*a4);
		at = &(*at)->ai_next;
	}
	return names.code;
}

void freeaddrinfo(struct addrinfo *a)
{
	while (a != NULL) {
		struct addrinfo *next = a->ai_next;

		free(a->ai_addr);
		free(a);
		a = next;
	}
}

/* ---- a scripted server: one thread, one connection at a time ---- */

enum trouble { PLAY, CUT, RESET, STALL, FLIP, REPEAT, TRICKLE, PAUSE, FLOOD };

static struct {
	int fd;
	const char *bytes;
	size_t len;
	atomic_int trouble;	/* enum trouble */
	atomic_size_t at;	/* from which byte of the answer on */
	atomic_bool stop;
	atomic_int served;
	pthread_t thread;
} script;

/* A request's head, or as much of a TLS greeting as is there at first. */
static void drain_request(int fd)
{
	char c[4096];
	size_t n = 0;
	ssize_t r;

	while (n < sizeof(c) - 1 && (r = recv(fd, c + n, sizeof(c) - 1 - n, 0)) > 0) {
		n += (size_t)r;
		c[n] = '\0';
		if (c[0] == 0x16 || strstr(c, "\r\n\r\n") != NULL)
			break;
	}
}

static void put(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r <= 0)
			return;
		p = (const char *)p + r;
		n -= (size_t)r;
	}
}

static bool peer_gone(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

	return poll(&p, 1, ms) > 0;
}

static void play(int fd)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	size_t at = script.at;
	char c;

	switch ((enum trouble)script.trouble) {
	case PLAY:
		put(fd, script.bytes, script.len);
		break;
	case CUT:
		put(fd, script.bytes, at);
		break;
	case RESET:
		put(fd, script.bytes, at);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		break;
	case STALL:
		put(fd, script.bytes, at);
		while (!script.stop && !peer_gone(fd, 10))
			;
		break;
	case FLIP:
		put(fd, script.bytes, at);
		c = (char)(script.bytes[at] ^ 0x80);
		put(fd, &c, 1);
		put(fd, script.bytes + at + 1, script.len - at - 1);
		break;
	case REPEAT:
		put(fd, script.bytes, at);
		put(fd, script.bytes, script.len);
		break;
	case TRICKLE:
		put(fd, script.bytes, at);
		for (; at < script.len && !script.stop && !peer_gone(fd, 50); at++)
			put(fd, script.bytes + at, 1);
		break;
	case PAUSE:
		put(fd, script.bytes, at);
		usleep(1200000);
		put(fd, script.bytes + at, script.len - at);
		break;
	case FLOOD:
		while (!script.stop && !peer_gone(fd, 0))
			put(fd, script.bytes, script.len);
		break;
	}
}

static void *script_main(void *arg)
{
	(void)arg;
	while (!script.stop) {
		struct pollfd p = {.fd = script.fd, .events = POLLIN};
		int fd = poll(&p, 1, 20) > 0 ? accept(script.fd, NULL, NULL) : -1;

		if (fd < 0)
			continue;
		script.served++;
		drain_request(fd);
		play(fd);
		close(fd);
	}
	return NULL;
}

/* address NULL: script.fd listens already. */
static void script_start(const char *address, const char *bytes, size_t len)
{
	struct error err = ERROR_INIT;

	if (address != NULL)
		script.fd = listen_open(address, &err);
	REQUIRE(script.fd >= 0);
	script.bytes = bytes;
	script.len = len;
	script.stop = false;
	REQUIRE(pthread_create(&script.thread, NULL, script_main, NULL) == 0);
}

static void script_stop(void)
{
	script.stop = true;
	pthread_join(script.thread, NULL);
	close(script.fd);
}

static struct client *client_to(const char *host, unsigned port, int64_t connect_ms, int64_t stall_ms)
{
	struct client_params p = CLIENT_PARAMS_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct url u;
	char text[100];

	snprintf(text, sizeof(text), "http://%s:%u/", host, port);
	REQUIRE(url_parse(&u, slice_str(text), URL_HTTP, &err) == 0);
	p.url = &u;
	p.connect_ms = connect_ms;
	p.stall_ms = stall_ms;
	c = client_new(&p, &err);
	REQUIRE(c != NULL);
	return c;
}

static int get(struct client *c, struct client_response *r, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;

	*err = ERROR_INIT;
	q.method = "GET";
	q.target = "/";
	q.body_max = 1 << 20;
	q.now_s = T0;
	return client_do(c, &q, r, err);
}

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\nabcdefghijklmnopqrst"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nf\r\nfghijklmnopqrst\r\n0\r\nX: y\r\n\r\n"

/* It works again, without being told that anything happened. */
static bool heals(struct client *c, struct client_response *r)
{
	struct error err = ERROR_INIT;

	script.trouble = PLAY;
	if (get(c, r, &err) == 0 && r->status == 200 && slice_equal_str(buf_slice(&r->body), "abcdefghijklmnopqrst"))
		return true;
	printf("# after trouble at %zu: %s\n", script.at, err.text);
	return false;
}

static void ends_at_every_byte(const char *answer, enum trouble trouble, const char *words)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	script_start("127.0.0.1:0", answer, strlen(answer));
	c = client_to("127.0.0.1", listen_port(script.fd), 5000, trouble == STALL ? 30 : 5000);
	for (script.at = 0; script.at < script.len; script.at += trouble == STALL ? 5 : 1) {
		script.trouble = (int)trouble;
		CHECK(get(c, &r, &err) < 0);
		CHECK_INT(err.kind, ERR_RETRY);
		if (strstr(err.text, "answer: ") == NULL || (words != NULL && strstr(err.text, words) == NULL)) {
			printf("# at %zu: %s\n", script.at, err.text);
			CHECK(false);
		}
		CHECK(heals(c, &r));
	}
	client_response_release(&r);
	client_free(c);
	script_stop();
}

TEST(a_cut_at_every_byte_is_told_from_the_end)
{
	ends_at_every_byte(ANSWER, CUT, NULL);
	ends_at_every_byte(CHUNKED, CUT, NULL);
}

TEST(a_reset_at_every_byte_is_tried_again_later)
{
	ends_at_every_byte(ANSWER, RESET, NULL);
}

TEST(a_server_that_falls_silent_is_given_up)
{
	ends_at_every_byte(ANSWER, STALL, "nothing moved");
}

/* Wrong bytes may make any answer but a long wait, and the next request is not hurt by them. */
static void garbled(const char *answer, enum trouble trouble)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	script_start("127.0.0.1:0", answer, strlen(answer));
	c = client_to("127.0.0.1", listen_port(script.fd), 5000, 5000);
	for (script.at = 0; script.at < script.len; script.at++) {
		script.trouble = (int)trouble;
		if (get(c, &r, &err) < 0)
			CHECK(err.kind == ERR_RETRY || err.kind == ERR_MALFORMED || err.kind == ERR_LIMIT);
		CHECK(heals(c, &r));
	}
	client_response_release(&r);
	client_free(c);
	script_stop();
}

TEST(a_flipped_byte_anywhere_is_no_wedge)
{
	garbled(ANSWER, FLIP);
	garbled(CHUNKED, FLIP);
}

TEST(bytes_sent_twice_are_no_wedge)
{
	garbled(ANSWER, REPEAT);
}

/* ---- rates ---- */

static char big[400000];

TEST(a_fast_start_buys_no_crawl)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	int head = snprintf(big, sizeof(big), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 300000);

	memset(big + head, 'x', 300000);
	script_start("127.0.0.1:0", big, (size_t)head + 300000);
	script.trouble = TRICKLE;
	script.at = 200000;	/* at 64 bytes a second these would be worth an hour */
	c = client_to("127.0.0.1", listen_port(script.fd), 5000, 1000);
	CHECK(get(c, &r, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(strstr(err.text, "answer: slower than 64 bytes per second") != NULL);
	CHECK(client_received(c) >= 200000);
	client_response_release(&r);
	client_free(c);
	script_stop();
}

static int slow_sink(void *arg, const struct http_head *head, struct slice part, struct error *err)
{
	(void)head;
	(void)err;
	*(uint64_t *)arg += part.len;
	usleep(1100000);
	return 0;
}

TEST(a_slow_disk_is_not_the_servers_fault)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	uint64_t sunk = 0;

	script_start("127.0.0.1:0", ANSWER, strlen(ANSWER));
	script.trouble = PAUSE;
	script.at = strlen(ANSWER) - 10;
	c = client_to("127.0.0.1", listen_port(script.fd), 5000, 1000);	/* less than one turn of the sink */
	q.method = "GET";
	q.target = "/";
	q.body_max = 20;
	q.sink = slow_sink;
	q.sink_arg = &sunk;
	CHECK(client_do(c, &q, &r, &err) == 0);
	CHECK_INT(sunk, 20);
	client_response_release(&r);
	client_free(c);
	script_stop();
}

/* ---- names and addresses ---- */

TEST(a_name_that_does_not_resolve_is_tried_again_later)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c = client_to("control.example", 9, 5000, 1000);
	static const int codes[] = {EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_SYSTEM};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		names.code = codes[i];
		CHECK(get(c, &r, &err) < 0);
		CHECK_INT(err.kind, ERR_RETRY);
		CHECK(strstr(err.text, "name: cannot look up 'control.example'") != NULL);
		CHECK_INT(client_phase(c), CLIENT_RESOLVE);
		CHECK(err.hint[0] != '\0');
	}
	client_response_release(&r);
	client_free(c);
}

TEST(a_name_server_that_does_not_answer_costs_time_not_threads)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c = client_to("control.example", 9, 20, 1000);
	int i;

	names.slow_ms = 3000;
	names.code = EAI_AGAIN;
	for (i = 0; i < 3 * DIAL_LOOKUPS_MAX; i++) {
		CHECK(get(c, &r, &err) < 0);
		CHECK_INT(err.kind, ERR_RETRY);
	}
	CHECK(strstr(err.text, "earlier look-ups have not ended") != NULL);
	CHECK(names.calls <= DIAL_LOOKUPS_MAX);
	/* And when it comes back, so do we. */
	script_start("127.0.0.1:0", ANSWER, strlen(ANSWER));
	client_free(c);
	c = client_to("control.example", listen_port(script.fd), 5000, 1000);
	names.slow_ms = 0;
	names.code = 0;
	names.list[0] = "127.0.0.1";
	for (i = 0; i < 500 && get(c, &r, &err) < 0; i++)
		usleep(20000);
	CHECK(heals(c, &r));
	client_response_release(&r);
	client_free(c);
	script_stop();
}

/* A listener whose queue is full swallows connections as a black hole does. */
static int hole_fd, full[2];

static unsigned black_hole(const char *address, int family)
{
	struct sockaddr_storage a;
	struct error err = ERROR_INIT;
	socklen_t len;
	int fd = socket(family, SOCK_STREAM, 0), one = 1, i;

	REQUIRE(addr_parse(&a, &len, slice_str(address), &err) == 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0)
		SKIP("no IPv6 on loopback");
	REQUIRE(listen(fd, 0) == 0);
	REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	for (i = 0; i < 2; i++) {
		full[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(full[i], (struct sockaddr *)&a, len);
	}
	usleep(20000);
	hole_fd = fd;
	return listen_port(fd);
}

/* A hole and, at another address, a listener on the same port, which may be taken there by somebody else. */
static unsigned hole_and_listener(const char *hole, int family, const char *good)
{
	struct error err = ERROR_INIT;
	char address[64];
	unsigned port;
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(address, sizeof(address), family == AF_INET6 ? "[%s]:0" : "%s:0", hole);
		port = black_hole(address, family);
		snprintf(address, sizeof(address), "%s:%u", good, port);
		script.fd = listen_open(address, &err);
		if (script.fd >= 0)
			return port;
		close(hole_fd);
		close(full[0]);
		close(full[1]);
	}
	REQUIRE(false);
	return 0;
}

static void falls_back(const char *hole, int family, const char *good)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	unsigned port = hole_and_listener(hole, family, good);

	script_start(NULL, ANSWER, strlen(ANSWER));
	names.list[0] = hole;
	names.list[1] = good;
	c = client_to("control.example", port, 60000, 1000);
	CHECK(heals(c, &r));
	client_response_release(&r);
	client_free(c);
	/* The hole alone: out of time, and the address is named. */
	names.list[1] = NULL;
	c = client_to("control.example", port, 300, 1000);
	CHECK(get(c, &r, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(strstr(err.text, "connection: cannot connect to") != NULL && strstr(err.text, hole) != NULL);
	client_response_release(&r);
	client_free(c);
	script_stop();
}

TEST(a_swallowed_ipv6_falls_back_to_ipv4)
{
	falls_back("::1", AF_INET6, "127.0.0.1");
}

TEST(a_swallowed_address_falls_back_to_the_next)
{
	falls_back("127.0.0.2", AF_INET, "127.0.0.1");
}

TEST(a_refused_address_falls_back_to_the_next)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	script_start("127.0.0.1:0", ANSWER, strlen(ANSWER));
	names.list[0] = "127.0.0.3";
	names.list[1] = "127.0.0.4";
	names.list[2] = "127.0.0.1";
	c = client_to("control.example", listen_port(script.fd), 5000, 1000);
	CHECK(heals(c, &r));
	client_free(c);
	names.list[2] = NULL;
	c = client_to("control.example", listen_port(script.fd), 5000, 1000);
	CHECK(get(c, &r, &err) < 0);
	CHECK(strstr(err.text, "cannot connect to 127.0.0.4:") != NULL && strstr(err.text, "refused") != NULL);
	client_response_release(&r);
	client_free(c);
	script_stop();
}

/* ---- TLS, with a middle that cuts what the server says ---- */

static struct {
	int from_fd;		/* where the client connects */
	unsigned to_port;
	atomic_long limit;	/* bytes from the server; -1: all */
	atomic_long passed;
	atomic_bool stop;
	bool flip;		/* invert the last byte instead of cutting after it */
	bool slow;		/* a hundred bytes each 25 ms */
	pthread_t thread;
} middle;

static int connect_to(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void carry(int client, int server)
{
	struct pollfd p[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
	long left = middle.limit;
	char c[4096];

	middle.passed = 0;
	while (!middle.stop && poll(p, 2, 100) >= 0) {
		ssize_t n = p[0].revents ? recv(client, c, sizeof(c), 0) : -1;

		if (p[0].revents && n <= 0)
			return;
		if (n > 0)
			put(server, c, (size_t)n);
		if (middle.slow && p[1].revents)
			usleep(25000);
		n = p[1].revents ? recv(server, c, middle.slow ? 100 : sizeof(c), 0) : -1;
		if (p[1].revents && n <= 0)
			return;
		if (n <= 0)
			continue;
		if (left >= 0 && n >= left && !middle.flip) {
			put(client, c, (size_t)left);
			return;
		}
		if (left > 0 && n >= left)
			c[left - 1] ^= 0x40;
		put(client, c, (size_t)n);
		middle.passed += n;
		if (left >= 0)
			left = n >= left ? -1 : left - n;
	}
}

static void *middle_main(void *arg)
{
	(void)arg;
	while (!middle.stop) {
		struct pollfd p = {.fd = middle.from_fd, .events = POLLIN};
		int client = poll(&p, 1, 20) > 0 ? accept(middle.from_fd, NULL, NULL) : -1;
		int server = client < 0 ? -1 : connect_to(middle.to_port);

		if (server >= 0) {
			carry(client, server);
			close(server);
		}
		if (client >= 0)
			close(client);
	}
	return NULL;
}

static struct fixture f;
static struct loop *loop;

static int64_t fixed_now(void)
{
	return T0;
}

static void answer(struct exchange *x)
{
	struct reply r = REPLY_INIT(200);

	buf_put_str(&r.body, "abcdefghijklmnopqrst");
	while (slice_equal_str(x->head.path, "/record") && r.body.len < 10000)
		buf_put_str(&r.body, "abcdefghijklmnopqrst");
	exchange_reply(x, &r);
}

static void *serve(void *arg)
{
	struct error err = ERROR_INIT;

	(void)arg;
	if (loop_run(loop, &err) < 0)
		abort();
	return NULL;
}

static struct tls_config *server_tls, *client_tls;
static struct server *server;
static int server_fd;
static pthread_t server_thread;

/* A client, the middle, a server. stall_ms: of the client, in all its phases. */
static struct client *tls_begin(int64_t stall_ms)
{
	static const struct handler handler = {.begin = answer};
	struct client_params p = CLIENT_PARAMS_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct url u;
	char text[64];

	server_fd = listen_open("127.0.0.1:0", &err);
	f = fixture_make();
	cert_free(&f.server);
	f.server = cert_make("control", &f.server_ca, X509_EKU_SERVER, "127.0.0.1", T0 - DAY, T0 + 90 * DAY);
	REQUIRE(server_fd >= 0 && (loop = loop_new(&err)) != NULL);
	server = server_new(loop, NULL, fixed_now, &err);
	server_tls = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 100);
	REQUIRE(server_add(server, server_fd, server_tls, &handler, NULL, &err) != NULL);
	REQUIRE(pthread_create(&server_thread, NULL, serve, NULL) == 0);
	middle.to_port = listen_port(server_fd);
	middle.from_fd = listen_open("127.0.0.1:0", &err);
	middle.limit = -1;
	REQUIRE(pthread_create(&middle.thread, NULL, middle_main, NULL) == 0);

	client_tls = client_config(&f.device, &f.server_ca);
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/", listen_port(middle.from_fd));
	REQUIRE(url_parse(&u, slice_str(text), URL_HTTPS, &err) == 0);
	p.url = &u;
	p.tls = client_tls;
	p.stall_ms = stall_ms;
	p.connect_ms = stall_ms;
	c = client_new(&p, &err);
	REQUIRE(c != NULL);
	return c;
}

static void tls_end(struct client *c)
{
	client_free(c);
	middle.stop = true;
	pthread_join(middle.thread, NULL);
	loop_stop(loop);
	pthread_join(server_thread, NULL);
	server_free(server);
	loop_free(loop);
	tls_config_free(server_tls);
	tls_config_free(client_tls);
	fixture_free(&f);
	close(middle.from_fd);
	close(server_fd);
}

/* On a busy machine a whole handshake may take longer than the patience of this client. */
static bool comes_back(struct client *c, struct client_response *r)
{
	struct error err = ERROR_INIT;
	int i;

	for (i = 0; i < 50; i++)
		if (get(c, r, &err) == 0)
			return slice_equal_str(buf_slice(&r->body), "abcdefghijklmnopqrst");
	return false;
}

/* Trouble after every `step` bytes of what the server sends, from the first of the handshake to the last of the body. */
static void tls_trouble(bool flip, long step)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c = tls_begin(500);	/* a length that was changed makes both sides wait */
	long whole, at;

	middle.flip = flip;
	CHECK(comes_back(c, &r));
	whole = middle.passed - 4;	/* signatures differ in length by that much */
	for (at = 1; at < whole; at += step) {
		client_reset(c);	/* a whole handshake every time */
		middle.limit = at;
		CHECK(get(c, &r, &err) < 0);
		if (err.kind != ERR_RETRY &&
		    !(flip && (err.kind == ERR_MALFORMED || err.kind == ERR_REFUSED || err.kind == ERR_LIMIT))) {
			printf("# at %ld: kind %d: %s\n", at, (int)err.kind, err.text);
			CHECK(false);
		}
		CHECK(strstr(err.text, "https://127.0.0.1:") != NULL);
	}
	middle.limit = -1;
	CHECK(comes_back(c, &r));
	client_response_release(&r);
	tls_end(c);
}

TEST(a_record_that_takes_longer_than_patience_is_progress)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c = tls_begin(1500);

	q.method = "GET";
	q.target = "/record";
	q.body_max = 20000;
	q.now_s = T0;
	CHECK(heals(c, &r));
	middle.slow = true;	/* 10000 bytes take 2.5 s, in one record */
	if (client_do(c, &q, &r, &err) < 0)
		printf("# %s\n", err.text);
	CHECK_INT(r.body_len, 10000);
	client_response_release(&r);
	tls_end(c);
}

TEST(a_cut_in_the_handshake_head_or_body_is_tried_again_later)
{
	tls_trouble(false, 9);
}

TEST(a_changed_byte_under_tls_is_never_taken)
{
	tls_trouble(true, 31);
}

/* HelloRequest before the handshake is over is to be ignored (RFC 5246 7.4.1.1): as often as somebody likes? */
TEST(a_flood_of_records_that_say_nothing_runs_out_of_time)
{
	static const char record[] = "\x16\x03\x03\x00\x04\x00\x00\x00\x00";
	struct client_params p = CLIENT_PARAMS_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls;
	struct client *c;
	struct url u;
	char text[64];
	size_t i;

	f = fixture_make();
	tls = client_config(&f.device, &f.server_ca);
	for (i = 0; i + sizeof(record) - 1 <= sizeof(big); i += sizeof(record) - 1)
		memcpy(big + i, record, sizeof(record) - 1);
	script_start("127.0.0.1:0", big, i);
	script.trouble = FLOOD;
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/", listen_port(script.fd));
	REQUIRE(url_parse(&u, slice_str(text), URL_HTTPS, &err) == 0);
	p.url = &u;
	p.tls = tls;
	p.connect_ms = 500;
	c = client_new(&p, &err);
	CHECK(get(c, &r, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(strstr(err.text, "TLS: out of time") != NULL);
	client_response_release(&r);
	client_free(c);
	script_stop();
	tls_config_free(tls);
	fixture_free(&f);
}
