/*
 * TLS over sockets: our server with our client, with curl and with openssl s_client; proxies. The foreign
 * programs are left out where they are not installed.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/encode.h"
#include "crypto/pem.h"
#include "net/addr.h"
#include "net/client.h"
#include "net/server.h"
#include "net/stream.h"
#include "sys/sandbox.h"
#include "tls_fixture.h"

static struct fixture f;
static struct loop *loop;
static struct server *server;
static struct listener *listener;
static struct tls_config *server_tls;
static pthread_t thread;
static int listen_fd;
static char dir[] = "/tmp/meshanics-test.XXXXXX";

static int64_t fixed_now(void)
{
	return T0;
}

/* ---- a handler that says who asks ---- */

static void begin(struct exchange *x)
{
	struct reply r = REPLY_INIT(403);

	if (slice_equal_str(x->head.path, "/early"))
		exchange_reply(x, &r);
	else
		exchange_take_body(x, 8 << 20);
}

static void ready(struct exchange *x)
{
	struct reply r = REPLY_INIT(200);
	char hex[65];

	if (slice_equal_str(x->head.path, "/big")) {
		size_t i;

		for (i = 0; i < 3000000; i++)
			buf_put_u8(&r.body, (uint8_t)('a' + i % 26));
	} else {
		hex_encode(hex, x->peer->tls.fingerprint, 32);
		buf_printf(&r.body, "%d %d %.8s %zu\n", x->peer->tls.present, x->peer->tls.resumed, hex, x->body.len);
	}
	exchange_reply(x, &r);
}

static const struct handler handler = {begin, ready, NULL};

static void *serve(void *arg)
{
	struct error err = ERROR_INIT;

	(void)arg;
	if (loop_run(loop, &err) < 0)
		abort();
	return NULL;
}

static struct server_limits limits;	/* all 0: the defaults */

static void start_on(int fd, enum tls_client_auth auth)
{
	struct error err = ERROR_INIT;

	REQUIRE(fd >= 0);
	listen_fd = fd;
	loop = loop_new(&err);
	server = server_new(loop, &limits, fixed_now, &err);
	server_tls = server_config(&f.server, &f.server_ca, auth, &f.device_ca, false, 100);
	listener = server_add(server, listen_fd, server_tls, &handler, NULL, &err);
	REQUIRE(listener != NULL);
	REQUIRE(pthread_create(&thread, NULL, serve, NULL) == 0);
}

static void start(enum tls_client_auth auth)
{
	struct error err = ERROR_INIT;

	start_on(listen_open("127.0.0.1:0", &err), auth);
}

static void stop(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	server_free(server);
	loop_free(loop);
	tls_config_free(server_tls);
	close(listen_fd);
}

/* The fixture with a server that answers to 127.0.0.1. */
static void make_certs(void)
{
	f = fixture_make();
	cert_free(&f.server);
	f.server = cert_make("control", &f.server_ca, X509_EKU_SERVER, "127.0.0.1", T0 - DAY, T0 + 90 * DAY);
}

static const char *short_print(const struct cert *c)
{
	static char hex[65];
	uint8_t hash[32];

	x509_fingerprint(hash, buf_slice(&c->der));
	hex_encode(hex, hash, 32);
	hex[8] = '\0';
	return hex;
}

/* A TCP connection from that address of this machine, which says nothing by itself. */
static int dial_silent(const char *source)
{
	struct error err = ERROR_INIT;
	struct sockaddr_storage a;
	char text[64];
	socklen_t len;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	snprintf(text, sizeof(text), "%s:0", source);
	REQUIRE(addr_parse(&a, &len, slice_str(text), &err) == 0);
	REQUIRE(bind(fd, (struct sockaddr *)&a, len) == 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", listen_port(listen_fd));
	REQUIRE(addr_parse(&a, &len, slice_str(text), &err) == 0);
	REQUIRE(connect(fd, (struct sockaddr *)&a, len) == 0);
	return fd;
}

/* ---- our client ---- */

static struct client *client_with(struct tls_config *tls, const char *host, const struct url *proxy)
{
	struct client_params p = CLIENT_PARAMS_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct url u;
	char text[300];

	snprintf(text, sizeof(text), "https://%s:%u", host, listen_port(listen_fd));
	REQUIRE(url_parse(&u, slice_str(text), URL_HTTPS, &err) == 0);
	p.url = &u;
	p.tls = tls;
	p.proxy = proxy;
	p.stall_ms = 3000;
	c = client_new(&p, &err);
	REQUIRE(c != NULL);
	return c;
}

static int request(struct client *c, const char *method, const char *target, struct slice body, struct client_response *r,
		   struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;

	q.method = method;
	q.target = target;
	q.body = body;
	q.now_s = T0;
	q.body_max = 4 << 20;
	return client_do(c, &q, r, err);
}

TEST(identity_reaches_the_handler_also_on_resumption)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls;
	struct client *c;
	char want[100];
	uint8_t hash[32];
	int i;

	make_certs();
	start(TLS_CLIENT_REQUIRED);
	tls = client_config(&f.device, &f.server_ca);
	c = client_with(tls, "127.0.0.1", NULL);
	for (i = 0; i < 2; i++) {
		CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
		snprintf(want, sizeof(want), "1 0 %s 0\n", short_print(&f.device));
		CHECK_STR(buf_cstr(&r.body), want);
	}
	/* The connection ends, the session stays. */
	x509_fingerprint(hash, buf_slice(&f.device.der));
	{
		struct client_request q = CLIENT_REQUEST_INIT;

		q.method = "GET";
		q.target = "/";
		q.now_s = T0;
		q.head_only = true;
		CHECK(client_do(c, &q, &r, &err) == 0);
	}
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	snprintf(want, sizeof(want), "1 1 %s 0\n", short_print(&f.device));
	CHECK_STR(buf_cstr(&r.body), want);
	/* Evicted: the next connection is a full handshake. */
	tls_config_evict(server_tls, hash);
	client_reset(c);
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	CHECK(strncmp(buf_cstr(&r.body), "1 0 ", 4) == 0);
	client_response_release(&r);
	client_free(c);
	tls_config_free(tls);
	stop();
	fixture_free(&f);
}

/* ---- room, with certificates ---- */

/* More silent connections than there is room for, some of which send a byte of a ClientHello now and then. */
TEST(silence_does_not_shut_out_the_honest)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls;
	struct client *c, *late;
	int fds[60], i;

	limits = (struct server_limits){.connections = 8, .grace_ms = 100, .handshake_ms = 600000};
	make_certs();
	start(TLS_CLIENT_REQUIRED);
	tls = client_config(&f.device, &f.server_ca);
	c = client_with(tls, "127.0.0.1", NULL);
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	for (i = 0; i < 60; i++) {
		fds[i] = dial_silent("127.0.0.1");
		if (i % 2)
			CHECK(send(fds[i], "\x16", 1, MSG_NOSIGNAL) == 1);
	}
	for (i = 0; i < 10; i++) {
		usleep(30000);
		send(fds[1], "\x03", 1, MSG_NOSIGNAL);	/* trickles; no step forwards */
	}
	late = client_with(tls, "127.0.0.1", NULL);
	CHECK(request(late, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	CHECK_INT(r.status, 200);
	/* The one that was known before them is still the same connection. */
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	CHECK(strncmp(buf_cstr(&r.body), "1 0 ", 4) == 0);
	{
		struct server_stats stats;

		server_stats(server, &stats);
		CHECK(stats.displaced > 0 && stats.timeouts == 0 && stats.connections <= 8);
	}
	for (i = 0; i < 60; i++)
		close(fds[i]);
	client_free(late);
	client_free(c);
	client_response_release(&r);
	tls_config_free(tls);
	stop();
	fixture_free(&f);
}

/* One certificate opens many connections: it displaces its own, not the one that has been idle for longest. */
TEST(a_certificate_with_many_connections_displaces_its_own)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls, *greedy_tls;
	struct client *quiet, *greedy[12];
	struct cert other;
	struct server_stats stats;
	int i;

	limits = (struct server_limits){.connections = 8, .grace_ms = 50};
	make_certs();
	other = cert_make("cell-2", &f.device_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + DAY);
	start(TLS_CLIENT_REQUIRED);
	tls = client_config(&f.device, &f.server_ca);
	greedy_tls = client_config(&other, &f.server_ca);
	quiet = client_with(tls, "127.0.0.1", NULL);
	CHECK(request(quiet, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	for (i = 0; i < 12; i++) {
		greedy[i] = client_with(greedy_tls, "127.0.0.1", NULL);
		CHECK(request(greedy[i], "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	}
	CHECK(request(quiet, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	server_stats(server, &stats);
	CHECK_INT(stats.accepted, 13);
	CHECK_INT(stats.displaced, 5);
	for (i = 0; i < 12; i++)
		client_free(greedy[i]);
	client_free(quiet);
	client_response_release(&r);
	tls_config_free(tls);
	tls_config_free(greedy_tls);
	cert_free(&other);
	stop();
	fixture_free(&f);
}

/* Twenty of one address have something to say before one of another: that one is answered in the first round. */
TEST(handshakes_take_turns_by_address)
{
	struct error err = ERROR_INIT;
	struct server_stats stats;
	int fds[20], quiet, i;
	char c;

	make_certs();
	listen_fd = listen_open("127.0.0.1:0", &err);
	loop = loop_new(&err);
	server = server_new(loop, NULL, fixed_now, &err);
	server_tls = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 100);
	listener = server_add(server, listen_fd, server_tls, &handler, NULL, &err);
	REQUIRE(listener != NULL);
	for (i = 0; i < 20; i++)
		fds[i] = dial_silent("127.0.0.2");
	quiet = dial_silent("127.0.0.3");
	do {
		CHECK(loop_turn(loop, 0, &err) == 0);
		server_stats(server, &stats);
	} while (stats.accepted < 21);
	for (i = 0; i < 20; i++)
		CHECK(send(fds[i], "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16);
	CHECK(send(quiet, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16);
	CHECK(loop_turn(loop, 0, &err) == 0);
	server_stats(server, &stats);
	CHECK_INT(stats.handshakes_failed, 4);
	CHECK(recv(quiet, &c, 1, MSG_DONTWAIT) == 0);
	for (i = 0; i < 5; i++)
		CHECK(loop_turn(loop, 0, &err) == 0);
	server_stats(server, &stats);
	CHECK_INT(stats.handshakes_failed, 21);
	for (i = 0; i < 20; i++)
		close(fds[i]);
	close(quiet);
	server_free(server);
	loop_free(loop);
	tls_config_free(server_tls);
	close(listen_fd);
	fixture_free(&f);
}

/* ---- what arrives in one receive, or in many ---- */

/* One more record with these bytes, for the wire but not sent. */
static void seal(struct tls *t, struct buf *wire, const char *text)
{
	size_t room;
	uint8_t *p = tls_room(t, &room);

	REQUIRE(p != NULL && room >= strlen(text));
	memcpy(p, text, strlen(text));
	tls_written(t, strlen(text));
	tls_flush(t);
	while (tls_wants(t) & TLS_WRITE) {
		struct slice out = tls_output(t);

		buf_put_slice(wire, out);
		tls_sent(t, out.len);
	}
}

/* All that the server says until it closes. */
static void read_to_end(struct stream *s, struct buf *in)
{
	struct error err = ERROR_INIT;
	ssize_t n;

	while ((n = stream_read(s, in, 4096, &err)) > 0 || n == STREAM_BLOCKED) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};

		if (n == STREAM_BLOCKED)
			REQUIRE(poll(&p, 1, 20000) == 1);
	}
	CHECK_INT(n, 0);
}

static void connect_stream(struct stream *s, struct tls_config *tls)
{
	struct error err = ERROR_INIT;
	int fd = dial_silent("127.0.0.1"), r;

	REQUIRE(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	stream_open(s, fd, tls_connect(tls, "127.0.0.1", T0, NULL, &err));
	while ((r = stream_handshake(s, &err)) == STREAM_BLOCKED) {
		struct pollfd p = {.fd = fd, .events = (short)s->wait};

		REQUIRE(poll(&p, 1, 20000) == 1);
	}
	REQUIRE(r == 1);
}

/* Three requests in five records, cut into segments of so many bytes. */
static void in_segments(struct tls_config *tls, size_t segment)
{
	static const char *const records[] = {
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", "abcPOST /b HT", "TP/1.1\r\nHost: h\r\n"
		"Content-Length: 0\r\n\r\n", "POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
		"Connection: close\r\n\r\n12", "345",
	};
	struct buf wire = BUF_INIT(65536), in = BUF_INIT(65536);
	struct stream s;
	size_t i, n, at;
	const char *answers;

	connect_stream(&s, tls);
	for (i = 0; i < ARRAY_SIZE(records); i++)
		seal(s.tls, &wire, records[i]);
	for (at = 0; at < wire.len; at += n) {
		n = wire.len - at < segment ? wire.len - at : segment;
		REQUIRE(send(s.fd, wire.ptr + at, n, MSG_NOSIGNAL) == (ssize_t)n);
		if (segment < 200)
			usleep(200);
	}
	read_to_end(&s, &in);
	answers = buf_cstr(&in);
	printf("# in segments of %zu bytes: %zu bytes of answers\n", segment, in.len);
	for (i = 0; i < 3; i++) {
		answers = strstr(answers, i == 0 ? " 3\n" : i == 1 ? " 0\n" : " 5\n");
		REQUIRE(answers != NULL);
	}
	stream_close(&s);
	buf_release(&wire);
	buf_release(&in);
}

/* A goodbye in the same segment as the last request: the connection ends by itself. */
static void goodbye_at_once(struct tls_config *tls)
{
	struct buf wire = BUF_INIT(65536);
	struct server_stats stats;
	struct stream s;
	int i;

	connect_stream(&s, tls);
	seal(s.tls, &wire, "GET /bye HTTP/1.1\r\nHost: h\r\n\r\n");
	tls_close(s.tls);
	buf_put_slice(&wire, tls_output(s.tls));
	REQUIRE(send(s.fd, wire.ptr, wire.len, MSG_NOSIGNAL) == (ssize_t)wire.len);
	for (i = 0; i < 1000; i++) {
		server_stats(server, &stats);
		if (stats.connections == 0)
			break;
		usleep(10000);
	}
	CHECK_INT(stats.connections, 0);
	stream_close(&s);
	buf_release(&wire);
}

TEST(records_pass_however_they_are_cut)
{
	static const size_t segments[] = {7, 33, 150, 100000};
	struct tls_config *tls;
	size_t i;

	make_certs();
	start(TLS_CLIENT_REQUIRED);
	tls = client_config(&f.device, &f.server_ca);
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		in_segments(tls, segments[i]);
	goodbye_at_once(tls);
	tls_config_free(tls);
	stop();
	fixture_free(&f);
}

TEST(bodies_of_many_records_pass)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls;
	struct client *c;
	struct buf body = BUF_INIT(5 << 20);
	size_t i;

	make_certs();
	start(TLS_CLIENT_NONE);
	tls = client_config(NULL, &f.server_ca);
	c = client_with(tls, "127.0.0.1", NULL);
	for (i = 0; i < 4000000; i++)
		buf_put_u8(&body, (uint8_t)i);
	CHECK(request(c, "PUT", "/", buf_slice(&body), &r, &err) == 0);
	CHECK_STR(buf_cstr(&r.body), "0 0 00000000 4000000\n");
	/* Answered in the middle of the body, in the middle of a record. */
	CHECK(request(c, "PUT", "/early", buf_slice(&body), &r, &err) == 0);
	CHECK_INT(r.status, 403);
	CHECK(request(c, "GET", "/big", SLICE_EMPTY, &r, &err) == 0);
	CHECK(r.body.len == 3000000 && r.body.ptr[2999999] == 'a' + 2999999 % 26);
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	buf_release(&body);
	client_response_release(&r);
	client_free(c);
	tls_config_free(tls);
	stop();
	fixture_free(&f);
}

static bool refused(struct client *c, enum error_kind kind, enum client_phase phase, const char *words)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	int result = request(c, "GET", "/", SLICE_EMPTY, &r, &err);
	bool ok = result < 0 && err.kind == kind && client_phase(c) == phase && strstr(err.text, words) != NULL;

	if (!ok)
		printf("# %d %s phase %d: %s\n", result, error_kind_name(err.kind), client_phase(c), err.text);
	client_response_release(&r);
	client_free(c);
	return ok;
}

TEST(the_client_names_the_check_that_failed)
{
	struct tls_config *right, *wrong, *bare;

	make_certs();
	start(TLS_CLIENT_REQUIRED);
	right = client_config(&f.device, &f.server_ca);
	wrong = client_config(&f.device, &f.device_ca);
	bare = client_config(NULL, &f.server_ca);
	CHECK(refused(client_with(wrong, "127.0.0.1", NULL), ERR_REFUSED, CLIENT_TLS,
		      "TLS: certificate 'control' of the server: it was not issued by a CA that is trusted here"));
	CHECK(refused(client_with(right, "localhost", NULL), ERR_REFUSED, CLIENT_TLS, "127.0.0.1"));
	CHECK(refused(client_with(bare, "127.0.0.1", NULL), ERR_RETRY, CLIENT_TLS, "closed the connection during the TLS handshake"));
	tls_config_free(right);
	tls_config_free(wrong);
	tls_config_free(bare);
	stop();
	fixture_free(&f);
}

TEST(a_renewed_server_certificate_is_used_at_once)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls, *renewed;
	struct cert second;
	struct client *c;

	make_certs();
	second = cert_make("control-2", &f.device_ca, X509_EKU_SERVER, "127.0.0.1", T0 - DAY, T0 + 90 * DAY);
	renewed = server_config(&second, &f.device_ca, TLS_CLIENT_NONE, NULL, false, 0);
	start(TLS_CLIENT_NONE);
	tls = client_config(NULL, &f.server_ca);
	c = client_with(tls, "127.0.0.1", NULL);
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	listener_set_tls(listener, renewed);
	/* The open connection goes on under the old one. */
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	client_response_release(&r);
	client_free(c);
	CHECK(refused(client_with(tls, "127.0.0.1", NULL), ERR_REFUSED, CLIENT_TLS, "control-2"));
	tls_config_free(tls);
	tls_config_free(renewed);
	cert_free(&second);
	stop();
	fixture_free(&f);
}

/* ---- inside the sandboxes that agent and serve live in ---- */

static void sandbox(enum sandbox_profile profile)
{
	static const char *const read_paths[] = {"/etc", "/lib", "/usr/lib", "/run/systemd/resolve", NULL};
	struct sandbox s = {.read_paths = read_paths, .network = true, .profile = profile};
	struct error err = ERROR_INIT;
	unsigned abi;

	NEEDS_SECCOMP();
	if (sandbox_enter(&s, &abi, &err) < 0)
		printf("# %s\n", err.text);
	REQUIRE(err.kind == ERR_NONE);
}

TEST(client_and_server_work_inside_their_sandboxes)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls;
	struct client *c;
	pid_t pid;
	int alive[2];
	char end;

	make_certs();
	cert_free(&f.server);
	f.server = cert_make("control", &f.server_ca, X509_EKU_SERVER, "localhost", T0 - DAY, T0 + 90 * DAY);
	listen_fd = listen_open("127.0.0.1:0", &err);
	REQUIRE(listen_fd >= 0);
	REQUIRE(pipe(alive) == 0);
	pid = fork();
	if (pid == 0) {		/* lives until the other end of the pipe goes */
		close(alive[1]);
		sandbox(SANDBOX_SERVER);
		start_on(listen_fd, TLS_CLIENT_REQUIRED);
		_exit(read(alive[0], &end, 1) != 0);
	}
	close(alive[0]);
	sandbox(SANDBOX_CLIENT);
	tls = client_config(&f.device, &f.server_ca);
	c = client_with(tls, "localhost", NULL);
	CHECK(request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0);
	if (err.kind != ERR_NONE)
		printf("# %s\n", err.text);
	CHECK(strncmp(buf_cstr(&r.body), "1 0 ", 4) == 0);
	client_response_release(&r);
	client_free(c);
	tls_config_free(tls);
	fixture_free(&f);
}

/* ---- an HTTP CONNECT proxy of a few lines ---- */

static const char *proxy_answer;
static char proxy_saw[2000];
static int proxy_fd;

/* Carry bytes between two sockets until one side closes. */
static void carry(int a, int b)
{
	struct pollfd p[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
	char c[4096];
	int i;

	while (poll(p, 2, 5000) > 0)
		for (i = 0; i < 2; i++) {
			ssize_t n = p[i].revents ? read(p[i].fd, c, sizeof(c)) : -1;

			if (p[i].revents && (n <= 0 || write(p[1 - i].fd, c, (size_t)n) != n))
				return;
		}
}

static void *proxy_main(void *arg)
{
	struct error err = ERROR_INIT;
	struct sockaddr_storage a;
	char text[64];
	socklen_t len;
	int from, to = socket(AF_INET, SOCK_STREAM, 0);
	size_t n = 0;
	ssize_t r;

	(void)arg;
	while ((from = accept(proxy_fd, NULL, NULL)) < 0 && errno == EAGAIN)
		usleep(1000);
	while (strstr(proxy_saw, "\r\n\r\n") == NULL && (r = read(from, proxy_saw + n, sizeof(proxy_saw) - 1 - n)) > 0)
		n += (size_t)r;
	r = write(from, proxy_answer, strlen(proxy_answer));
	snprintf(text, sizeof(text), "127.0.0.1:%u", listen_port(listen_fd));
	if (strstr(proxy_answer, " 200 ") != NULL && addr_parse(&a, &len, slice_str(text), &err) == 0 &&
	    connect(to, (struct sockaddr *)&a, len) == 0)
		carry(from, to);
	close(from);
	close(to);
	return NULL;
}

static bool by_proxy(const char *answer, enum error_kind kind, const char *words)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls = client_config(&f.device, &f.server_ca);
	struct client *c;
	struct url proxy;
	char text[100];
	pthread_t t;
	bool ok;

	proxy_answer = answer;
	memset(proxy_saw, 0, sizeof(proxy_saw));
	proxy_fd = listen_open("127.0.0.1:0", &err);
	snprintf(text, sizeof(text), "http://us%%40er:secret@127.0.0.1:%u", listen_port(proxy_fd));
	REQUIRE(url_parse(&proxy, slice_str(text), URL_HTTP | URL_USER, &err) == 0);
	REQUIRE(pthread_create(&t, NULL, proxy_main, NULL) == 0);
	c = client_with(tls, "127.0.0.1", &proxy);
	if (kind == ERR_NONE) {
		ok = request(c, "GET", "/", SLICE_EMPTY, &r, &err) == 0 && strncmp(buf_cstr(&r.body), words, strlen(words)) == 0;
		if (!ok)
			printf("# %s\n", err.text);
		client_free(c);
	} else {
		ok = refused(c, kind, CLIENT_PROXY, words);
	}
	pthread_join(t, NULL);
	close(proxy_fd);
	client_response_release(&r);
	tls_config_free(tls);
	return ok;
}

TEST(proxies)
{
	char want[100];

	make_certs();
	start(TLS_CLIENT_REQUIRED);
	CHECK(by_proxy("HTTP/1.0 200 Connection established\r\nContent-Length: 7\r\n\r\n", ERR_NONE, "1 0 "));
	snprintf(want, sizeof(want), "CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", listen_port(listen_fd),
		 listen_port(listen_fd));
	CHECK(strncmp(proxy_saw, want, strlen(want)) == 0);
	CHECK(strstr(proxy_saw, "\r\nProxy-Authorization: Basic dXNAZXI6c2VjcmV0\r\n") != NULL);
	CHECK(by_proxy("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", ERR_DENIED, "does not take user 'us@er'"));
	CHECK(by_proxy("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", ERR_REFUSED, "refuses the tunnel: 403"));
	CHECK(by_proxy("HTTP/1.1 502 Bad\r\n\r\n", ERR_RETRY, "refuses the tunnel: 502"));
	CHECK(by_proxy("220 smtp.example\r\n\r\n", ERR_MALFORMED, "not HTTP"));
	CHECK(by_proxy("HTTP/1.1 200", ERR_RETRY, "closed"));
	stop();
	fixture_free(&f);
}

/* ---- foreign programs ---- */

static void save_pem(const char *name, const struct cert *c, bool key)
{
	struct buf pem = BUF_INIT(20000), raw = BUF_SECRET(64);
	char path[100];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	out = fopen(path, "w");
	pem_put(&pem, "CERTIFICATE", buf_slice(&c->der));
	if (key) {
		/* RFC 5915 and its PEM: version 1, the scalar, the curve. */
		static const uint8_t head[] = {0x30, 0x31, 2, 1, 1, 4, 0x20};
		static const uint8_t tail[] = {0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
		struct buf der = BUF_SECRET(100);

		struct error err = ERROR_INIT;

		REQUIRE(seckey_put_raw(c->key, &raw, &err) == 0);
		buf_put(&der, head, sizeof(head));
		buf_put_slice(&der, buf_slice(&raw));
		buf_put(&der, tail, sizeof(tail));
		pem_put(&pem, "EC PRIVATE KEY", buf_slice(&der));
		buf_release(&der);
	}
	fwrite(pem.ptr, 1, pem.len, out);
	fclose(out);
	buf_release(&pem);
	buf_release(&raw);
}

static void need(const char *tool)
{
	char command[100];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", tool);
	if (system(command) != 0) {
		snprintf(command, sizeof(command), "%s is not installed", tool);
		SKIP(command);
	}
}

/* What the command prints, standard error included. @ becomes the port. */
static const char *shell(const char *format)
{
	static char out[100000];
	char command[2000];
	size_t n = 0, i;
	FILE *p;

	n += (size_t)snprintf(command, sizeof(command), "cd %s && { ", dir);
	for (i = 0; format[i] != '\0'; i++)
		n += (size_t)(format[i] == '@' ? snprintf(command + n, sizeof(command) - n, "127.0.0.1:%u", listen_port(listen_fd))
					       : snprintf(command + n, sizeof(command) - n, "%c", format[i]));
	snprintf(command + n, sizeof(command) - n, "; } 2>&1");
	p = popen(command, "r");
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = '\0';
	pclose(p);
	return out;
}

static bool contains(const char *text, const char *words)
{
	if (strstr(text, words) != NULL)
		return true;
	printf("# no '%s' in: %.600s\n", words, text);
	return false;
}

static void foreign_start(enum tls_client_auth auth)
{
	REQUIRE(mkdtemp(dir) != NULL);
	/* These programs read the clock themselves. */
	f = fixture_make();
	cert_free(&f.server);
	cert_free(&f.device);
	cert_free(&f.server_ca);
	cert_free(&f.device_ca);
	f.server_ca = cert_make("server CA", NULL, 0, NULL, 0, 4000 * T0 / 1000);
	f.device_ca = cert_make("device CA", NULL, 0, NULL, 0, 4000 * T0 / 1000);
	f.server = cert_make("control", &f.server_ca, X509_EKU_SERVER, "127.0.0.1", 0, 4000 * T0 / 1000);
	f.device = cert_make("cell-1", &f.device_ca, X509_EKU_CLIENT, NULL, 0, 4000 * T0 / 1000);
	save_pem("ca.pem", &f.server_ca, false);
	save_pem("device.pem", &f.device, true);
	save_pem("other.pem", &f.other_ca, true);
	start(auth);
}

static void foreign_stop(void)
{
	stop();
	fixture_free(&f);
	shell("rm -f *.pem *.sess");
	rmdir(dir);
}

TEST(curl)
{
	char want[100];

	need("curl");
	foreign_start(TLS_CLIENT_REQUIRED);
	snprintf(want, sizeof(want), "1 0 %s 5\n", short_print(&f.device));
	CHECK_STR(shell("curl -sS --noproxy '*' --cacert ca.pem --cert device.pem -d hello https://@/"), want);
	CHECK(contains(shell("curl -sS --noproxy '*' --cacert ca.pem https://@/"), "curl:"));
	CHECK(contains(shell("curl -sS --noproxy '*' --cacert ca.pem --cert other.pem https://@/"), "curl:"));
	CHECK_STR(shell("curl -sS --noproxy '*' --cacert ca.pem --cert device.pem https://@/big | wc -c"), "3000000\n");
	CHECK_STR(shell("head -c 3000000 /dev/zero | curl -sS --noproxy '*' --cacert ca.pem --cert device.pem -T - "
			"-H 'Transfer-Encoding:' -H 'Content-Length: 3000000' https://@/ | cut -d' ' -f 4"), "3000000\n");
	CHECK(contains(shell("echo x | curl -sS --noproxy '*' --cacert ca.pem --cert device.pem -T - https://@/"), "chunked requests"));
	CHECK(contains(shell("curl -sSI --noproxy '*' --cacert ca.pem --cert device.pem https://@/"), "HTTP/1.1 200 OK"));
	foreign_stop();
}

TEST(openssl_s_client)
{
	need("openssl");
	foreign_start(TLS_CLIENT_OPTIONAL);
#define S_CLIENT "openssl s_client -connect @ -CAfile ca.pem -verify_return_error -alpn h2,http/1.1 "
#define GET "printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'; sleep 0.5"
	CHECK(contains(shell("{ " GET "; } | " S_CLIENT "-cert device.pem -key device.pem -ign_eof"), "\n1 0 "));
	CHECK(contains(shell("{ " GET "; } | " S_CLIENT "-ign_eof"), "\n0 0 00000000 0\n"));
	CHECK(contains(shell(S_CLIENT "</dev/null"), "ALPN protocol: http/1.1"));
	CHECK(contains(shell(S_CLIENT "</dev/null"), "Verification: OK"));
	CHECK(contains(shell(S_CLIENT "-alpn h2 </dev/null"), "alert no application protocol"));
	CHECK(contains(shell(S_CLIENT "-tls1_3 </dev/null"), "alert handshake failure"));
	CHECK(contains(shell(S_CLIENT "-cipher ECDHE-RSA-AES128-GCM-SHA256 </dev/null"), "alert handshake failure"));
	CHECK(contains(shell(S_CLIENT "-cipher ECDHE-ECDSA-AES256-GCM-SHA384 </dev/null"), "ECDHE-ECDSA-AES256-GCM-SHA384"));
	CHECK(contains(shell(S_CLIENT "-cipher ECDHE-ECDSA-CHACHA20-POLY1305 </dev/null"), "ECDHE-ECDSA-CHACHA20-POLY1305"));
	CHECK(contains(shell(S_CLIENT "-sess_out a.sess </dev/null; " S_CLIENT "-sess_in a.sess </dev/null"), "Reused, TLSv1.2"));
	/* Renegotiation: the server says no, and does not go on. */
	CHECK(contains(shell("{ sleep 0.3; echo R; sleep 0.5; } | openssl s_client -connect @ -CAfile ca.pem"), "no renegotiation"));
	foreign_stop();
}

/* Our client with a foreign server. */
TEST(openssl_s_server)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct tls_config *tls;
	struct client *c;
	char command[300];
	int i, port;

	need("openssl");
	foreign_start(TLS_CLIENT_NONE);
	save_pem("server.pem", &f.server, true);
	save_pem("device-ca.pem", &f.device_ca, false);
	port = listen_port(listen_fd);
	stop();
	snprintf(command, sizeof(command),
		 "cd %s && timeout 20 openssl s_server -accept 127.0.0.1:%d -cert server.pem -key server.pem -CAfile device-ca.pem "
		 "-Verify 2 -verify_return_error -www -naccept 2 >/dev/null 2>&1 &", dir, port);
	CHECK(system(command) == 0);
	tls = client_config(&f.device, &f.server_ca);
	listen_fd = -1;
	for (i = 0; i < 100; i++) {
		struct client_params p = CLIENT_PARAMS_INIT;
		struct client_request q = CLIENT_REQUEST_INIT;
		struct url u;
		char text[64];

		snprintf(text, sizeof(text), "https://127.0.0.1:%d", port);
		REQUIRE(url_parse(&u, slice_str(text), URL_HTTPS, &err) == 0);
		p.url = &u;
		p.tls = tls;
		c = client_new(&p, &err);
		q.method = "GET";
		q.target = "/";
		q.now_s = T0;
		q.head_only = true;	/* it ends its page by closing */
		if (client_do(c, &q, &r, &err) == 0)
			break;
		client_free(c);
		c = NULL;
		usleep(50000);
	}
	if (c == NULL)
		printf("# %s\n", err.text);
	REQUIRE(c != NULL);
	CHECK_INT(r.status, 200);
	client_free(c);
	client_response_release(&r);
	tls_config_free(tls);
	fixture_free(&f);
	shell("rm -f *.pem *.sess");
	rmdir(dir);
}
