/* The server and the client against each other and against raw bytes, without TLS. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "net/addr.h"
#include "net/client.h"
#include "net/server.h"
#include "sys/clock.h"

/* ---- a server in a thread of its own ---- */

static struct loop *loop;
static struct server *server;
static pthread_t thread;
static int listen_fd = -1;
static atomic_int ended, begun;
static atomic_bool drain;

static int64_t fixed_now(void)
{
	return 1800000000;
}

static void say(struct exchange *x, int status, const char *text)
{
	struct reply r = REPLY_INIT(status);

	reply_text(&r, "text/plain", text);
	exchange_reply(x, &r);
}

static int count_sink(struct exchange *x, struct slice part)
{
	uint64_t *n = x->user;

	*n += part.len;
	if (*n > 3000000) {
		say(x, 507, "full");
		return -1;
	}
	return 0;
}

static void begin(struct exchange *x)
{
	begun++;
	if (slice_equal_str(x->head.path, "/vouch"))
		exchange_vouch(x);
	if (slice_equal_str(x->head.path, "/early"))
		say(x, 403, "no");
	else if (slice_equal_str(x->head.path, "/sink")) {
		x->user = calloc(1, sizeof(uint64_t));
		exchange_sink_body(x, UINT64_MAX, count_sink);
	} else if (slice_equal_str(x->head.path, "/nobody"))
		;
	else
		exchange_take_body(x, 1000);
}

static void *answer_later(void *arg)
{
	struct exchange_token *t = arg;
	struct reply r = REPLY_INIT(200);

	usleep(50000);
	reply_text(&r, "text/plain", "later");
	reply_post(*t, &r);
	free(t);
	return NULL;
}

static void big_file(struct exchange *x)
{
	char path[] = "/tmp/meshanics-test.XXXXXX";
	struct reply r = REPLY_INIT(200);
	char block[4096];
	int i, fd = mkstemp(path);

	unlink(path);
	for (i = 0; i < 1000; i++) {
		memset(block, 'a' + i % 26, sizeof(block));
		if (write(fd, block, sizeof(block)) < 0)
			abort();
	}
	r.fd = fd;
	r.fd_offset = 4096;
	r.fd_len = 999 * 4096;
	exchange_reply(x, &r);
}

static void ready(struct exchange *x)
{
	char text[200];
	pthread_t t;

	if (slice_equal_str(x->head.path, "/echo")) {
		struct reply r = REPLY_INIT(200);

		buf_put_slice(&r.body, x->body);
		exchange_reply(x, &r);
	} else if (slice_equal_str(x->head.path, "/sink")) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)*(uint64_t *)x->user);
		say(x, 200, text);
	} else if (slice_equal_str(x->head.path, "/later")) {
		struct exchange_token *kept = malloc(sizeof(*kept));

		*kept = exchange_token(x);
		if (pthread_create(&t, NULL, answer_later, kept) == 0)
			pthread_detach(t);
	} else if (slice_equal_str(x->head.path, "/file")) {
		big_file(x);
	} else if (slice_equal_str(x->head.path, "/who")) {
		snprintf(text, sizeof(text), "%d %u %s", x->peer->is_unix, (unsigned)x->peer->uid, x->peer->address);
		say(x, 200, text);
	} else if (slice_equal_str(x->head.path, "/fd")) {
		ssize_t n = x->fds[0] < 0 ? -1 : pread(x->fds[0], text, sizeof(text) - 1, 0);

		text[n < 0 ? 0 : n] = '\0';
		say(x, 200, text);
	} else if (slice_equal_str(x->head.path, "/busy")) {
		say(x, 503, "later");
	} else {
		say(x, 404, "none");
	}
}

static void end(struct exchange *x)
{
	ended++;
	free(x->user);
}

static const struct handler handler = {begin, ready, end};

static void *serve(void *arg)
{
	struct error err = ERROR_INIT;

	(void)arg;
	while (!loop_stopping(loop)) {
		if (loop_turn(loop, 10, &err) < 0)
			abort();
		if (drain)
			server_drain(server);
	}
	return NULL;
}

/* unix_fd: a second listener, or -1. */
static void start_with(const char *address, const struct server_limits *limits, int unix_fd)
{
	struct error err = ERROR_INIT;

	loop = loop_new(&err);
	server = server_new(loop, limits, fixed_now, &err);
	listen_fd = listen_open(address, &err);
	if (listen_fd < 0)
		printf("# %s\n", err.text);
	REQUIRE(listen_fd >= 0);
	REQUIRE(server_add(server, listen_fd, NULL, &handler, NULL, &err) != NULL);
	REQUIRE(unix_fd < 0 || server_add(server, unix_fd, NULL, &handler, NULL, &err) != NULL);
	REQUIRE(pthread_create(&thread, NULL, serve, NULL) == 0);
}

static void start(const char *address, const struct server_limits *limits)
{
	start_with(address, limits, -1);
}

static void stop(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	server_free(server);
	loop_free(loop);
	close(listen_fd);
	CHECK_INT(ended, begun);
}

/* ---- raw bytes ---- */

static int dial_from(const char *source)
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

static int dial_raw(void)
{
	return dial_from("127.0.0.1");
}

static void send_text(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Send text, then read until the server closes or 2 s pass without a byte. */
static const char *raw(const char *text)
{
	static char answer[65536];
	size_t n = 0;
	ssize_t r;
	int fd = dial_raw();
	struct pollfd p = {.fd = fd, .events = POLLIN};

	send_text(fd, text);
	while (n < sizeof(answer) - 1 && poll(&p, 1, 2000) > 0 && (r = recv(fd, answer + n, sizeof(answer) - 1 - n, 0)) > 0)
		n += (size_t)r;
	answer[n] = '\0';
	close(fd);
	return answer;
}

static bool begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) == 0)
		return true;
	printf("# got: %.200s\n", text);
	return false;
}

#define HOST "Host: x\r\n"
#define CLOSE "Connection: close\r\n"

TEST(answers_and_closes)
{
	start("127.0.0.1:0", NULL);
	CHECK_STR(raw("POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 5\r\n\r\nhello"),
		  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
	CHECK_STR(raw("HEAD /busy HTTP/1.1\r\n" HOST CLOSE "\r\n"),
		  "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
	stop();
}

TEST(pipelined_requests_are_answered_in_order)
{
	static const char two[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
	char text[40000] = "", want[20000] = "";
	int i;

	start("127.0.0.1:0", NULL);
	for (i = 0; i < 200; i++) {
		size_t n = strlen(text), w = strlen(want);

		snprintf(text + n, sizeof(text) - n, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n%d", i % 10);
		snprintf(want + w, sizeof(want) - w, "%s%d", two, i % 10);
	}
	strcat(text, "GET /x HTTP/1.1\r\n" HOST CLOSE "\r\n");
	CHECK(begins(raw(text), want));
	stop();
	CHECK_INT(begun, 201);
}

TEST(refusals_speak_json_and_close)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 "},
		{"GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", "HTTP/1.1 400 "},
		{"GET / HTTP/1.0\r\n" HOST "\r\n", "HTTP/1.1 505 "},
		{"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 411 "},
		{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
		{"POST /nobody HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", "HTTP/1.1 413 "},
		{"POST /early HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nx", "HTTP/1.1 403 "},
		{"\x16\x03\x01\n", "HTTP/1.1 400 "},
	};
	size_t i;

	start("127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *answer = raw(cases[i].text);

		CHECK(begins(answer, cases[i].want));
		CHECK(strstr(answer, "\r\nConnection: close\r\n") != NULL);
		if (i < 6)
			CHECK(strstr(answer, "\r\n\r\n{\"error\":{\"code\":\"") != NULL);
	}
	stop();
}

TEST(oversize_heads_are_refused)
{
	char text[40000];

	start("127.0.0.1:0", NULL);
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	text[sizeof(text) - 1] = '\0';
	CHECK(begins(raw(text), "HTTP/1.1 431 "));
	stop();
}

TEST(slow_heads_and_bodies_run_out_of_time)
{
	struct server_limits limits = {.head_ms = 150, .stall_ms = 150, .idle_ms = 300};
	struct server_stats stats;
	int64_t start_ms = clock_mono_ms();

	start("127.0.0.1:0", &limits);
	CHECK(begins(raw("GET / HTTP/1.1\r\nHos"), "HTTP/1.1 408 "));
	CHECK(begins(raw("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel"), "HTTP/1.1 408 "));
	CHECK_STR(raw(""), "");
	CHECK(clock_mono_ms() - start_ms < 1900);
	server_stats(server, &stats);
	CHECK_INT(stats.timeouts, 2);
	stop();
}

TEST(a_body_below_the_minimum_rate_runs_out_of_time)
{
	struct server_limits limits = {.stall_ms = 200, .min_rate = 1000};
	char c[16];
	int i, fd, n = 0;

	start("127.0.0.1:0", &limits);
	fd = dial_raw();
	send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\n");
	for (i = 0; i < 20 && n == 0; i++) {	/* a byte every 50 ms never stalls, and is slow */
		CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == 1);
		usleep(50000);
		n = (int)recv(fd, c, 12, MSG_DONTWAIT);
		n = n < 0 ? 0 : n;
	}
	CHECK(n == 12 && memcmp(c, "HTTP/1.1 408", 12) == 0);
	CHECK(i < 15);
	close(fd);
	stop();
}

/* ---- one port, two loops ---- */

static void *serve_other(void *arg)
{
	struct error err = ERROR_INIT;

	if (loop_run(arg, &err) < 0)
		abort();
	return NULL;
}

TEST(two_loops_share_a_listener)
{
	struct error err = ERROR_INIT;
	struct loop *other_loop = loop_new(&err);
	struct server *other = server_new(other_loop, NULL, fixed_now, &err);
	struct server_stats a, b;
	pthread_t t;
	int i, fds[40];
	char c;

	start("127.0.0.1:0", NULL);
	REQUIRE(server_add(other, listen_fd, NULL, &handler, NULL, &err) != NULL);
	REQUIRE(pthread_create(&t, NULL, serve_other, other_loop) == 0);
	for (i = 0; i < 40; i++) {
		fds[i] = dial_raw();
		send_text(fds[i], "GET /x HTTP/1.1\r\n" HOST "\r\n");
	}
	for (i = 0; i < 40; i++) {
		CHECK(recv(fds[i], &c, 1, 0) == 1);
		close(fds[i]);
	}
	loop_stop(other_loop);
	pthread_join(t, NULL);
	server_stats(server, &a);
	server_stats(other, &b);
	CHECK_INT(a.accepted + b.accepted, 40);
	server_free(other);
	loop_free(other_loop);
	stop();
}

TEST(expect_continue)
{
	int fd;
	char c[200] = "";

	start("127.0.0.1:0", NULL);
	fd = dial_raw();
	send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	CHECK(recv(fd, c, 25, MSG_WAITALL) == 25);
	CHECK_STR(c, "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK(write(fd, "ab", 2) == 2);
	CHECK(recv(fd, c, 15, MSG_WAITALL) == 15 && memcmp(c, "HTTP/1.1 200 OK", 15) == 0);
	close(fd);
	stop();
}

/* ---- room: the rule of server.h ---- */

/* Does this end of an answer come within 5 s? */
static bool receives(int fd, const char *end)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c[4096] = "";
	size_t n = 0;
	ssize_t r;

	while (strstr(c, end) == NULL) {
		if (poll(&p, 1, 5000) != 1 || (r = recv(fd, c + n, sizeof(c) - 1 - n, 0)) <= 0)
			return false;
		n += (size_t)r;
		c[n] = '\0';
	}
	return true;
}

/* Is text answered, as ready does what it does not know? */
static bool answered(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) && receives(fd, "\r\n\r\nnone");
}

static bool closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&p, 1, 5000) == 1 && recv(fd, &c, 1, 0) <= 0;
}

/* Nothing has come for this one, its end neither. */
static bool open_still(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void close_all(const int *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		close(fds[i]);
}

#define GET_VOUCH "GET /vouch HTTP/1.1\r\n" HOST "\r\n"
#define GET_X "GET /x HTTP/1.1\r\n" HOST "\r\n"

TEST(the_longest_idle_makes_room)
{
	struct server_limits limits = {.connections = 4, .grace_ms = 1};
	struct server_stats stats;
	int fds[6], i;

	start("127.0.0.1:0", &limits);
	for (i = 0; i < 6; i++) {
		fds[i] = dial_raw();
		CHECK(answered(fds[i], GET_VOUCH));
	}
	CHECK(closed(fds[0]) && closed(fds[1]));
	for (i = 2; i < 6; i++)
		CHECK(answered(fds[i], GET_X));
	server_stats(server, &stats);
	CHECK_INT(stats.connections, 4);
	CHECK_INT(stats.displaced, 2);
	close_all(fds, 6);
	stop();
}

/* They never say a whole head, and hold every place: the honest come in all the same, long before head_ms is over. */
TEST(strangers_that_get_nowhere_make_room)
{
	struct server_limits limits = {.connections = 8, .per_source = 8, .grace_ms = 50, .head_ms = 600000};
	int fds[40], honest, i;

	start("127.0.0.1:0", &limits);
	for (i = 0; i < 40; i++) {
		fds[i] = dial_raw();
		send_text(fds[i], "GET / HT");
	}
	honest = dial_raw();
	CHECK(answered(honest, GET_X));
	close(honest);
	close_all(fds, 40);
	stop();
}

TEST(strangers_take_a_quarter_from_the_known_and_no_more)
{
	struct server_limits limits = {.connections = 16, .per_source = 16, .grace_ms = 600000};
	int known[16], fds[100], i;

	start("127.0.0.1:0", &limits);
	for (i = 0; i < 16; i++) {
		known[i] = dial_raw();
		CHECK(answered(known[i], GET_VOUCH));
	}
	for (i = 0; i < 100; i++)
		fds[i] = dial_raw();
	for (i = 0; i < 4; i++)
		CHECK(closed(known[i]) && answered(fds[i], GET_X));
	for (; i < 16; i++)
		CHECK(answered(known[i], GET_X));
	close_all(known, 16);
	close_all(fds, 100);
	stop();
}

/* Those who have just come have their grace, also before a crowd that comes after them. */
TEST(a_stranger_has_its_grace)
{
	struct server_limits limits = {.connections = 4, .grace_ms = 600000};
	struct server_stats stats;
	int fds[10], i;

	start("127.0.0.1:0", &limits);
	for (i = 0; i < 10; i++)
		fds[i] = dial_raw();
	for (i = 0; i < 4; i++)
		CHECK(answered(fds[i], GET_X));
	server_stats(server, &stats);
	CHECK_INT(stats.accepted, 4);
	CHECK_INT(stats.displaced, 0);
	/* One goes by itself: the next comes in at once. */
	close(fds[0]);
	CHECK(answered(fds[4], GET_X));
	close_all(fds + 1, 9);
	stop();
}

TEST(the_greediest_address_makes_room_first)
{
	struct server_limits limits = {.connections = 8, .grace_ms = 20};
	int fds[60], slow, i;

	start("127.0.0.1:0", &limits);
	slow = dial_from("127.0.0.3");
	send_text(slow, "GET /x HT");
	for (i = 0; i < 60; i++) {
		fds[i] = dial_from("127.0.0.2");
		usleep(2000);
	}
	CHECK(answered(fds[59], GET_X));
	CHECK(closed(fds[0]));
	CHECK(open_still(slow));
	CHECK(answered(slow, "TP/1.1\r\n" HOST "\r\n"));
	close(slow);
	close_all(fds, 60);
	stop();
}

/* All are busy when the newcomer knocks; accepting begins again when they are not, though none of them left. */
TEST(whoever_becomes_idle_makes_room)
{
	struct server_limits limits = {.connections = 2, .grace_ms = 1};
	struct server_stats stats;
	int fds[2], late, i;

	start("127.0.0.1:0", &limits);
	for (i = 0; i < 2; i++) {
		fds[i] = dial_raw();
		send_text(fds[i], "GET /later HTTP/1.1\r\n" HOST "\r\n");
		usleep(10000);
	}
	late = dial_raw();
	CHECK(receives(fds[0], "later") && receives(fds[1], "later"));
	CHECK(answered(late, GET_X));
	server_stats(server, &stats);
	CHECK_INT(stats.connections, 2);
	close(late);
	close_all(fds, 2);
	stop();
}

/* Every place is taken by those who are known and busy: the local door is open all the same. */
static struct client *client_to(const char *url_text);
static int get(struct client *c, const char *target, struct client_response *r, struct error *err);

TEST(a_crowd_does_not_shut_the_local_door)
{
	struct server_limits limits = {.connections = 4, .grace_ms = 600000};
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	char dir[] = "/tmp/meshanics-test.XXXXXX", address[80];
	struct client *local[6];
	int fds[20], unix_fd, i;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(address, sizeof(address), "unix:%s/sock", dir);
	unix_fd = listen_open(address, &err);
	REQUIRE(unix_fd >= 0);
	start_with("127.0.0.1:0", &limits, unix_fd);
	for (i = 0; i < 20; i++) {
		fds[i] = dial_raw();
		send_text(fds[i], "GET / HT");
	}
	/* More of them than the cap: the local one that is idle for longest goes. */
	for (i = 0; i < 6; i++) {
		local[i] = client_to(address);
		CHECK(get(local[i], "/x", &r, &err) == 0);
		CHECK_INT(r.status, 404);
	}
	for (i = 0; i < 6; i++)
		client_free(local[i]);
	close_all(fds, 20);
	client_response_release(&r);
	stop();
	close(unix_fd);
	unlink(address + 5);
	rmdir(dir);
}

TEST(a_vanished_client_is_safe)
{
	int fd, i;

	start("127.0.0.1:0", NULL);
	for (i = 0; i < 5; i++) {
		struct linger hard = {1, 0};

		fd = dial_raw();
		send_text(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
		usleep(10000);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
	}
	usleep(120000);
	CHECK_INT(ended, 5);
	stop();
}

TEST(drain_answers_what_is_in_progress)
{
	struct server_stats stats;
	int fd, idle;
	char c[300] = "";

	start("127.0.0.1:0", NULL);
	idle = dial_raw();
	fd = dial_raw();
	send_text(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	usleep(20000);
	drain = true;
	CHECK(recv(idle, c, 1, 0) == 0);
	CHECK(recv(fd, c, sizeof(c) - 1, MSG_WAITALL) > 0);
	CHECK(strstr(c, "Connection: close") != NULL && strstr(c, "later") != NULL);
	close(fd);
	close(idle);
	usleep(30000);
	server_stats(server, &stats);
	CHECK_INT(stats.connections, 0);
	stop();
}

/* ---- with our client ---- */

static struct client *client_to(const char *url_text)
{
	struct client_params p = CLIENT_PARAMS_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct url u;
	char text[300];

	if (strncmp(url_text, "unix:", 5) == 0) {
		p.unix_path = url_text + 5;
	} else {
		snprintf(text, sizeof(text), url_text, listen_port(listen_fd));
		REQUIRE(url_parse(&u, slice_str(text), URL_HTTP, &err) == 0);
		p.url = &u;
	}
	p.stall_ms = 1000;
	c = client_new(&p, &err);
	REQUIRE(c != NULL);
	return c;
}

static int get(struct client *c, const char *target, struct client_response *r, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;

	q.method = "GET";
	q.target = target;
	q.body_max = 10000;
	return client_do(c, &q, r, err);
}

TEST(client_keeps_its_connection)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct server_stats stats;
	struct client *c;
	int i;

	start("127.0.0.1:0", NULL);
	c = client_to("http://127.0.0.1:%u/");
	for (i = 0; i < 5; i++) {
		CHECK(get(c, i % 2 ? "/later" : "/x", &r, &err) == 0);
		CHECK_INT(r.status, i % 2 ? 200 : 404);
		CHECK_STR(buf_cstr(&r.body), i % 2 ? "later" : "none");
	}
	server_stats(server, &stats);
	CHECK_INT(stats.accepted, 1);
	client_response_release(&r);
	client_free(c);
	stop();
}

TEST(client_resolves_names)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	start("127.0.0.1:0", NULL);
	c = client_to("http://localhost:%u/");
	CHECK(get(c, "/x", &r, &err) == 0);
	CHECK_INT(r.status, 404);
	client_free(c);
	c = client_to("http://no-such-host.invalid:%u/");
	CHECK(get(c, "/x", &r, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK_INT(client_phase(c), CLIENT_RESOLVE);
	CHECK(strstr(err.text, "no-such-host.invalid") != NULL);
	client_free(c);
	client_response_release(&r);
	stop();
}

TEST(client_says_what_failed)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	start("127.0.0.1:0", NULL);
	c = client_to("http://127.0.0.1:%u/");
	stop();
	CHECK(get(c, "/x", &r, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(strstr(err.text, "connection: cannot connect to 127.0.0.1:") != NULL);
	CHECK(strstr(err.text, "Connection refused") != NULL);
	CHECK_INT(client_phase(c), CLIENT_CONNECT);
	client_free(c);
	client_response_release(&r);
}

TEST(client_sends_once_more_when_a_kept_connection_closed)
{
	struct server_limits limits = {.idle_ms = 50};
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	start("127.0.0.1:0", &limits);
	c = client_to("http://127.0.0.1:%u/");
	CHECK(get(c, "/x", &r, &err) == 0);
	usleep(200000);
	CHECK(get(c, "/x", &r, &err) == 0);
	CHECK_INT(r.status, 404);
	client_response_release(&r);
	client_free(c);
	stop();
}

static uint64_t sunk;
static bool sink_ok;

static int sink(void *arg, const struct http_head *head, struct slice part, struct error *err)
{
	size_t i;

	(void)arg;
	(void)head;
	for (i = 0; i < part.len; i++)
		if (part.ptr[i] != 'a' + (int)((sunk + i + 4096) / 4096 % 26))
			sink_ok = false;
	sunk += part.len;
	return arg != NULL && sunk > 10000 ? error_set(err, ERR_FAILED, "disk full") : 0;
}

TEST(client_streams_bodies_both_ways)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	char path[] = "/tmp/meshanics-test.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	CHECK(ftruncate(fd, 5000000) == 0);
	start("127.0.0.1:0", NULL);
	c = client_to("http://127.0.0.1:%u/");
	q.method = "GET";
	q.target = "/file";
	q.body_max = 999 * 4096;
	q.sink = sink;
	sink_ok = true;
	CHECK(client_do(c, &q, &r, &err) == 0);
	CHECK(sink_ok && sunk == 999 * 4096 && r.body_len == sunk);
	q.body_max = 999 * 4096 - 1;
	CHECK(client_do(c, &q, &r, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	q.body_max = 999 * 4096;
	q.sink_arg = c;
	CHECK(client_do(c, &q, &r, &err) < 0);
	CHECK_STR(err.text, "disk full");
	q = CLIENT_REQUEST_INIT;
	q.method = "PUT";
	q.target = "/sink";
	q.body_fd = fd;
	q.body_fd_offset = 2500000;
	q.body_fd_len = 2500000;
	q.body_max = 100;
	CHECK(client_do(c, &q, &r, &err) == 0);
	CHECK_STR(buf_cstr(&r.body), "2500000");
	q.body_fd_offset = 0;
	q.body_fd_len = 5000000;
	CHECK(client_do(c, &q, &r, &err) == 0);	/* answered in the middle of the body */
	CHECK_INT(r.status, 507);
		q.target = "/x";
	CHECK(client_do(c, &q, &r, &err) == 0);
	CHECK_INT(r.status, 413);
	client_response_release(&r);
	client_free(c);
	close(fd);
	stop();
}

TEST(client_gives_up_when_told_or_when_nothing_moves)
{
	struct client_params p = CLIENT_PARAMS_INIT;
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct url u;
	char text[64];
	int64_t start_ms;
	int quiet = listen_open("127.0.0.1:0", &err), cancel[2];

	REQUIRE(pipe(cancel) == 0);
	snprintf(text, sizeof(text), "http://127.0.0.1:%u", listen_port(quiet));
	REQUIRE(url_parse(&u, slice_str(text), URL_HTTP, &err) == 0);
	p.url = &u;
	p.stall_ms = 100;
	p.cancel_fd = cancel[0];
	c = client_new(&p, &err);
	q.method = "GET";
	q.target = "/";
	start_ms = clock_mono_ms();
	CHECK(client_do(c, &q, &r, &err) < 0 && err.kind == ERR_RETRY);
	CHECK(strstr(err.text, "answer: nothing moved for") != NULL);
	CHECK(clock_mono_ms() - start_ms < 1000);
	q.timeout_ms = 50;
	CHECK(client_do(c, &q, &r, &err) < 0 && strstr(err.text, "longer than it may") != NULL);
	CHECK(write(cancel[1], "x", 1) == 1);
	CHECK(client_do(c, &q, &r, &err) < 0 && err.kind == ERR_RETRY && strstr(err.text, "cancelled") != NULL);
	client_response_release(&r);
	client_free(c);
	close(quiet);
	close(cancel[0]);
	close(cancel[1]);
}

/* ---- answers that no server of ours gives ---- */

static int script_fd;

static void *script_main(void *arg)
{
	char c[4096];
	int fd;

	while ((fd = accept(script_fd, NULL, NULL)) < 0 && errno == EAGAIN)
		usleep(1000);
	if (read(fd, c, sizeof(c)) < 0 || write(fd, arg, strlen(arg)) < 0)
		abort();
	close(fd);
	return NULL;
}

/* What client_do makes of these bytes: its status, or minus the error's kind. */
static int answer_of(const char *bytes, const char *body)
{
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	pthread_t t;
	int result;

	listen_fd = script_fd = listen_open("127.0.0.1:0", &err);
	REQUIRE(pthread_create(&t, NULL, script_main, (void *)(uintptr_t)bytes) == 0);
	c = client_to("http://127.0.0.1:%u/");
	result = get(c, "/", &r, &err) == 0 ? r.status : -(int)err.kind;
	if (result > 0)
		CHECK_STR(buf_cstr(&r.body), body);
	pthread_join(t, NULL);
	client_response_release(&r);
	client_free(c);
	close(script_fd);
	return result;
}

TEST(client_reads_strange_answers)
{
	char big[12000], page[200000];

	CHECK_INT(answer_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi"), 200);
	CHECK_INT(answer_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "hi"), 200);
	CHECK_INT(answer_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n", ""), 204);
	CHECK_INT(answer_of("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi"), 200);
	CHECK_INT(answer_of("HTTP/1.1 200 OK\r\n\r\nhi", ""), -ERR_MALFORMED);
	CHECK_INT(answer_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", ""), -ERR_RETRY);
	CHECK_INT(answer_of("HTTP/1.1 101 Switching\r\n\r\n", ""), -ERR_MALFORMED);
	CHECK_INT(answer_of("SSH-2.0-x\r\n\r\n", ""), -ERR_MALFORMED);
	CHECK_INT(answer_of("", ""), -ERR_RETRY);
	CHECK_INT(answer_of("HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n", ""), -ERR_LIMIT);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	snprintf(page, sizeof(page), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2edf\r\n%s\r\n0\r\n\r\n", big);
	CHECK_INT(answer_of(page, ""), -ERR_LIMIT);
	/* An error page may be longer than the answer that was hoped for. */
	snprintf(page, sizeof(page), "HTTP/1.1 500 Oh\r\nContent-Length: %zu\r\n\r\n%s", sizeof(big) - 1, big);
	CHECK_INT(answer_of(page, big), 500);
	memset(page, 'x', sizeof(page) - 1);
	memcpy(page, "HTTP/1.1 500 Oh\r\nContent-Length: 500000\r\n\r\n", 43);
	page[sizeof(page) - 1] = '\0';
	{
		char *want = strndup(page + 43, 65536);

		CHECK_INT(answer_of(page, want), 500);
		free(want);
	}
	memset(page, 'x', sizeof(page) - 1);
	memcpy(page, "HTTP/1.1 200 OK\r\nX: ", 20);
	CHECK_INT(answer_of(page, ""), -ERR_LIMIT);
}

TEST(client_refuses_bad_targets_and_headers)
{
	struct http_header bad = {SLICE_LIT("X"), SLICE_LIT("a\r\nY: b")};
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;

	start("127.0.0.1:0", NULL);
	c = client_to("http://127.0.0.1:%u/");
	CHECK(get(c, "/a b", &r, &err) < 0 && err.kind == ERR_USAGE);
	CHECK(get(c, "x", &r, &err) < 0 && err.kind == ERR_USAGE);
	q.method = "GET";
	q.target = "/x";
	q.headers = &bad;
	q.header_count = 1;
	CHECK(client_do(c, &q, &r, &err) < 0 && err.kind == ERR_USAGE);
	client_response_release(&r);
	client_free(c);
	stop();
}

TEST(unix_sockets_know_their_peer_and_carry_descriptors)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct stat st;
	char dir[] = "/tmp/meshanics-test.XXXXXX", path[64], address[80], want[64];
	int fd;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(address, sizeof(address), "unix:%s", path);
	c = client_to(address);
	CHECK(get(c, "/who", &r, &err) < 0 && err.kind == ERR_RETRY && err.sys_errno == ENOENT);
	start(address, NULL);
	CHECK(listen_open(address, &err) < 0 && err.kind == ERR_CONFLICT);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(get(c, "/who", &r, &err) == 0);
	snprintf(want, sizeof(want), "1 %u unix", (unsigned)getuid());
	CHECK_STR(buf_cstr(&r.body), want);
	fd = memfd_create("x", 0);
	CHECK(write(fd, "inside", 6) == 6);
	q.method = "POST";
	q.target = "/fd";
	q.pass_fds = &fd;
	q.pass_fd_count = 1;
	q.body_max = 100;
	CHECK(client_do(c, &q, &r, &err) == 0);
	CHECK_STR(buf_cstr(&r.body), "inside");
	close(fd);
	client_response_release(&r);
	client_free(c);
	stop();
	/* What a crash leaves behind is no obstacle; a file that is no socket is. */
	fd = listen_open(address, &err);
	CHECK(fd >= 0);
	close(fd);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CHECK(listen_open(address, &err) < 0 && err.kind == ERR_CONFLICT);
	unlink(path);
	rmdir(dir);
}
