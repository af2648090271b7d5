/*
 * A bad network for tests, between a real agent and a real serve. One process a connection; RULE is read anew for each
 * connection (server: each request), so that a test changes the weather by writing a file.
 *
 *	badnet middle PORTFILE RULE LOG PORT	a relay of TCP to 127.0.0.1:PORT
 *	badnet proxy PORTFILE RULE LOG		an HTTP proxy that knows CONNECT
 *	badnet server PORTFILE RULE LOG HQ_HOME DEVICE_HOME API_PORT REPOSITORY_PORT
 *		a server with a good certificate of HQ_HOME's CA, that asks the real one with the device's identity and
 *		tells what it heard, or something else
 *
 * PORTFILE gets the port; when it is there already, it says which. The rules:
 *	middle	MODE [N]: pass; after N bytes from the server: cut, reset, stall, flip (that byte), repeat (what came last);
 *		upcut: cut after N bytes from the client; slow: N bytes a second;
 *		crawl: 20 bytes a second after the first N; hole: say nothing; rst; garbage; alert
 *	proxy	as middle, after CONNECT; and auth USER:PASSWORD, status CODE, hang, close, noise, endless: instead
 *	server	lines of PATH-PREFIX MODE [ARG]; the first that fits. See the table `acts`.
 * A change of RULE (by rename) ends the connections of middle and proxy that stand.
 * LOG gets a line for each connection (MODE N up=BYTES down=BYTES at=SECONDS, when it ends) or request (MODE METHOD TARGET RANGE).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/home.h"
#include "base/encode.h"
#include "fleet/ca.h"
#include "net/client.h"
#include "net/server.h"
#include "net/stream.h"
#include "sys/clock.h"
#include "sys/file.h"

#define PIECE 16384
#define ANSWER_MAX (64u << 20)

static const char *rule_path, *log_path;

static NORETURN void die(const char *what, const struct error *err)
{
	fprintf(stderr, "badnet: %s: %s\n", what, err != NULL ? err->text : strerror(errno));
	exit(1);
}

/* One write, so that the lines of several processes stay whole. */
static void note(const char *line)
{
	FILE *f = fopen(log_path, "a");

	if (f == NULL)
		die(log_path, NULL);
	fprintf(f, "%s\n", line);
	fclose(f);
}

/* The first line of RULE whose prefix begins path (NULL: the first line); what follows the prefix. */
static bool rule(const char *path, char out[static 512])
{
	FILE *f = fopen(rule_path, "r");
	char line[512];
	bool found = false;

	snprintf(out, 512, "pass");
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		char *words = line;

		line[strcspn(line, "\n")] = '\0';
		if (path != NULL) {
			size_t n = strcspn(line, " ");

			if (n == 0 || strncmp(path, line, n) != 0)
				continue;
			words = line + n + strspn(line + n, " ");
		}
		found = *words != '\0';
		if (found)
			snprintf(out, 512, "%s", words);
	}
	if (f != NULL)
		fclose(f);
	return found;
}

static ino_t rule_inode(void)
{
	struct stat st;

	return stat(rule_path, &st) == 0 ? st.st_ino : 0;
}

/* ---- sockets ---- */

static int dial(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool put(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		p = (const char *)p + r;
		n -= (size_t)r;
	}
	return true;
}

static void reset(int fd)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

/* Take what comes and say nothing, until the other side has had enough. */
static void swallow(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ino_t inode = rule_inode();
	char c[PIECE];
	int n;

	while ((n = poll(&p, 1, 50)) >= 0 && rule_inode() == inode)
		if (n > 0 && recv(fd, c, sizeof(c), 0) <= 0)
			return;
}

/* ---- the relay ---- */

struct relay {
	int client, server;
	char mode[32];
	unsigned long n;
	unsigned long up, down;
	bool done;	/* the trouble has happened */
	ino_t rule;	/* the file that was read */
	int64_t began_s;
};

static void rule_of_relay(struct relay *r)
{
	char text[512];

	r->began_s = clock_now_s();
	r->rule = rule_inode();
	(void)rule(NULL, text);
	r->n = 0;
	if (sscanf(text, "%31s %lu", r->mode, &r->n) < 1)
		snprintf(r->mode, sizeof(r->mode), "pass");
}

static bool is(const struct relay *r, const char *mode)
{
	return strcmp(r->mode, mode) == 0;
}

/* What the server says, up to the trouble and beyond it. false: it is over. */
static bool carry_down(struct relay *r, char *c, size_t len)
{
	bool here = !r->done && r->down + len > r->n;
	size_t before = here ? r->n - r->down : len;

	if (here && (is(r, "cut") || is(r, "reset") || is(r, "stall"))) {
		put(r->client, c, before);
		r->down += before;
		if (is(r, "stall"))
			swallow(r->client);
		else if (is(r, "reset"))
			reset(r->client);
		return false;
	} else if (here && is(r, "flip")) {
		c[before] = (char)(c[before] ^ 0x55);
		r->done = true;
	} else if (here && is(r, "repeat")) {
		r->done = true;
		r->down += len;
		if (!put(r->client, c, len))
			return false;
	}
	r->down += len;
	return put(r->client, c, len);
}

static bool carry_up(struct relay *r, const char *c, size_t len)
{
	if (is(r, "upcut") && r->up + len > r->n) {
		put(r->server, c, r->n - r->up);
		r->up = r->n;
		return false;
	}
	r->up += len;
	return put(r->server, c, len);
}

/* What may come down in a tenth of a second; PIECE: whatever comes. */
static size_t a_tenth(const struct relay *r)
{
	if (is(r, "crawl") && r->down >= r->n)
		return 2;
	return is(r, "slow") && r->n < 10 * PIECE ? r->n / 10 + 1 : PIECE;
}

static void relay_run(struct relay *r)
{
	struct pollfd p[2] = {{r->client, POLLIN, 0}, {r->server, POLLIN, 0}};
	char c[PIECE];

	while (poll(p, 2, 50) >= 0 && rule_inode() == r->rule) {
		ssize_t n = p[0].revents ? recv(r->client, c, sizeof(c), 0) : -1;

		if (p[0].revents && (n <= 0 || !carry_up(r, c, (size_t)n)))
			return;
		if (p[1].revents && a_tenth(r) < PIECE)
			usleep(100000);
		n = p[1].revents ? recv(r->server, c, a_tenth(r), 0) : -1;
		if (p[1].revents && (n <= 0 || !carry_down(r, c, (size_t)n)))
			return;
	}
}

/* What needs no server. true: that was it. */
static bool relay_alone(struct relay *r)
{
	static const char alert[] = {0x15, 3, 3, 0, 2, 2, 40};
	char noise[4096], c[PIECE];
	size_t i;

	if (is(r, "hole")) {
		swallow(r->client);
	} else if (is(r, "rst")) {
		reset(r->client);
	} else if (is(r, "alert") && recv(r->client, c, sizeof(c), 0) > 0) {
		put(r->client, alert, sizeof(alert));
	} else if (is(r, "garbage") && recv(r->client, c, sizeof(c), 0) > 0) {
		for (i = 0; i < sizeof(noise); i++)
			noise[i] = (char)(rand() >> 7);
		put(r->client, noise, sizeof(noise));
	} else {
		return false;
	}
	return true;
}

static void relay_end(const struct relay *r)
{
	char line[128];

	snprintf(line, sizeof(line), "%s %lu up=%lu down=%lu at=%lld", r->mode, r->n, r->up, r->down,
		 (long long)r->began_s);
	note(line);
}

static void middle(int client, unsigned port)
{
	struct relay r = {.client = client, .server = -1};

	rule_of_relay(&r);
	if (!relay_alone(&r)) {
		r.server = dial(port);
		if (r.server >= 0)
			relay_run(&r);
	}
	relay_end(&r);
}

/* ---- the proxy ---- */

static bool read_connect(int client, char head[static PIECE])
{
	size_t n = 0;

	while (n < PIECE - 1 && recv(client, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0)
			return strncmp(head, "CONNECT ", 8) == 0;
	}
	return false;
}

static void say_status(int client, unsigned code)
{
	char text[128];

	snprintf(text, sizeof(text), "HTTP/1.1 %u Whatever\r\n%sContent-Length: 2\r\n\r\nno", code,
		 code == 407 ? "Proxy-Authenticate: Basic realm=\"x\"\r\n" : "");
	put(client, text, strlen(text));
}

static bool authorized(const char *head, const char *want)
{
	struct buf line = BUF_INIT(1024);
	bool ok;

	buf_put_str(&line, "\r\nProxy-Authorization: Basic ");
	base64_put(&line, slice_str(want));
	buf_put_str(&line, "\r\n");
	ok = strstr(head, buf_cstr(&line)) != NULL;
	buf_release(&line);
	return ok;
}

/* true: the tunnel stands. */
static bool proxy_answer(struct relay *r, const char *head)
{
	char text[512], word[256] = "";
	unsigned port = 0;

	(void)rule(NULL, text);
	(void)!sscanf(text, "%*s %255s", word);
	if (is(r, "auth") && !authorized(head, word)) {
		say_status(r->client, 407);
	} else if (is(r, "status")) {
		say_status(r->client, (unsigned)r->n);
	} else if (is(r, "hang")) {
		swallow(r->client);
	} else if (is(r, "noise")) {
		put(r->client, "\1\2\3 I am no proxy\r\n\r\n", 21);
	} else if (is(r, "endless")) {
		while (put(r->client, "HTTP/1.1 200 OK\r\nX-And: so on\r\n", 31))
			;
	} else if (!is(r, "close") && sscanf(head, "CONNECT 127.0.0.1:%u ", &port) == 1) {
		r->server = dial(port);
		if (r->server < 0)
			say_status(r->client, 502);
		else
			put(r->client, "HTTP/1.1 200 Connection established\r\n\r\n", 39);
	}
	return r->server >= 0;
}

static void proxy(int client)
{
	struct relay r = {.client = client, .server = -1};
	char head[PIECE];

	rule_of_relay(&r);
	if (!relay_alone(&r) && read_connect(client, head) && proxy_answer(&r, head))
		relay_run(&r);
	relay_end(&r);
}

/* ---- the server ---- */

struct origin {
	struct tls_config *tls;		/* as which we answer */
	struct client *api, *repository;
};

struct request {
	struct stream *s;
	struct http_head head;
	char target[2048], method[16];
	struct slice body, range;	/* range: its header's value, or empty */
	struct client_response real;	/* what the real server says, when it was asked */
	char arg[512];
	int status;			/* as it was answered, for the log */
	bool over;			/* the connection is */
};

static bool push(struct request *q, const void *p, size_t n)
{
	struct error err = ERROR_INIT;
	struct slice s = slice_of(p, n);

	while (s.len > 0) {
		ssize_t r = stream_write(q->s, s, &err);

		if (r == -1)
			return false;
		if (r >= 0)
			s = slice_of(s.ptr + r, s.len - (size_t)r);
		while ((r = stream_flush(q->s, &err)) == STREAM_BLOCKED) {
			struct pollfd w = {.fd = q->s->fd, .events = (short)q->s->wait};

			poll(&w, 1, -1);
		}
		if (r < 0)
			return false;
	}
	return true;
}

static bool push_text(struct request *q, const char *text)
{
	return push(q, text, strlen(text));
}

/* A whole answer with this length in its head, whatever the body's is. */
static void say(struct request *q, int status, const char *more, size_t length, struct slice body)
{
	struct buf out = BUF_INIT(HTTP_HEAD_MAX);

	q->status = status;
	buf_printf(&out, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n", status, more,
		   length);
	if (!push(q, out.ptr, out.len) || !push(q, body.ptr, body.len) || length != body.len)
		q->over = true;
	buf_release(&out);
}

static bool ask(struct origin *o, struct request *q, bool with_range)
{
	struct http_header range = {SLICE_LIT("Range"), q->range};
	struct client_request c = CLIENT_REQUEST_INIT;
	struct error err = ERROR_INIT;

	c.method = q->method;
	c.target = q->target;
	c.now_s = clock_now_s();
	c.body = q->body;
	c.body_max = ANSWER_MAX;
	c.content_type = q->body.len > 0 ? "application/json" : NULL;
	c.headers = &range;
	c.header_count = with_range && q->range.len > 0;
	if (client_do(strncmp(q->target, "/device/", 8) == 0 ? o->api : o->repository, &c, &q->real, &err) == 0)
		return true;
	q->over = true;
	return false;
}

/* The real answer, with its range moved or its size changed, and this length. */
static void retell(struct request *q, long first, long size, long length)
{
	struct http_range range;
	struct error err = ERROR_INIT;
	struct slice value, body = buf_slice(&q->real.body);
	char more[128] = "";
	uint64_t total;
	size_t len = (size_t)((long)body.len + length);

	if (http_find(&q->real.head, "Content-Range", &value) && http_content_range_parse(value, &range, &total, &err) == 0)
		snprintf(more, sizeof(more), "Content-Range: bytes %llu-%llu/%llu\r\n",
			 (unsigned long long)range.first + (unsigned long long)first,
			 (unsigned long long)range.last + (unsigned long long)first,
			 (unsigned long long)total + (unsigned long long)size);
	say(q, q->real.status, more, len, len < body.len ? slice_of(body.ptr, len) : body);
}

static void act_pass(struct origin *o, struct request *q)
{
	if (ask(o, q, true))
		retell(q, 0, 0, 0);
}

static void act_whole(struct origin *o, struct request *q)
{
	if (ask(o, q, false))
		retell(q, 0, 0, 0);
}

static void act_total(struct origin *o, struct request *q)
{
	if (ask(o, q, true))
		retell(q, 0, 1, 0);
}

static void act_first(struct origin *o, struct request *q)
{
	if (ask(o, q, true))
		retell(q, 1, 1, 0);
}

/* ARG bytes more than there are, or fewer. */
static void act_length(struct origin *o, struct request *q)
{
	if (ask(o, q, true))
		retell(q, 0, 0, atol(q->arg));
}

/* The body ends after ARG bytes, in good order. */
static void act_short(struct origin *o, struct request *q)
{
	size_t n = (size_t)atol(q->arg);

	if (!ask(o, q, true))
		return;
	if (n < q->real.body.len)
		say(q, q->real.status, "", q->real.body.len, slice_of(q->real.body.ptr, n));
	else
		retell(q, 0, 0, 0);
}

static void act_flip(struct origin *o, struct request *q)
{
	if (!ask(o, q, true))
		return;
	if (q->real.body.len > 0)
		q->real.body.ptr[q->real.body.len - 1] ^= 1;
	retell(q, 0, 0, 0);
}

/* CODE [RETRY-AFTER] */
static void act_status(struct origin *o, struct request *q)
{
	unsigned code = 500;
	char more[64] = "";
	int after = -1;

	(void)o;
	if (sscanf(q->arg, "%u %d", &code, &after) == 2)
		snprintf(more, sizeof(more), "Retry-After: %d\r\n", after);
	say(q, (int)code, more, 2, SLICE_LIT("{}"));
}

static void act_redirect(struct origin *o, struct request *q)
{
	(void)o;
	say(q, 302, "Location: https://127.0.0.1:1/\r\n", 2, SLICE_LIT("{}"));
}

static void act_json(struct origin *o, struct request *q)
{
	(void)o;
	say(q, 200, "", strlen(q->arg), slice_str(q->arg));
}

static void act_huge(struct origin *o, struct request *q)
{
	struct buf body = BUF_INIT(8u << 20);

	(void)o;
	while (body.len < 4u << 20)
		buf_put_str(&body, body.len == 0 ? "[[]" : ",[]");
	buf_put_str(&body, "]");
	say(q, 200, "", body.len, buf_slice(&body));
	buf_release(&body);
}

static void act_garbage(struct origin *o, struct request *q)
{
	(void)o;
	q->over = true;
	push_text(q, "220 smtp.example ready\r\n\r\n");
}

static void act_endless(struct origin *o, struct request *q)
{
	static char chunk[4096 + 8];

	(void)o;
	q->over = true;
	memcpy(chunk, "1000\r\n", 6);
	memset(chunk + 6, 'x', 4096);
	memcpy(chunk + 4102, "\r\n", 2);
	push_text(q, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (push(q, chunk, 4104))
		;
}

static void act_endless_head(struct origin *o, struct request *q)
{
	(void)o;
	q->over = true;
	push_text(q, "HTTP/1.1 200 OK\r\n");
	while (push_text(q, "X-And: so on, and on, and on, and on, and on, and on, and on\r\n"))
		;
}

static void act_chunked(struct origin *o, struct request *q)
{
	(void)o;
	q->over = true;
	push_text(q, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n-1\r\n");
}

static void act_close(struct origin *o, struct request *q)
{
	(void)o;
	q->over = true;
}

static void act_hang(struct origin *o, struct request *q)
{
	(void)o;
	q->over = true;
	swallow(q->s->fd);
}

static const struct {
	const char *mode;
	void (*act)(struct origin *o, struct request *q);
} acts[] = {
	{"pass", act_pass}, {"whole", act_whole}, {"total", act_total}, {"first", act_first}, {"length", act_length},
	{"short", act_short}, {"flip", act_flip}, {"status", act_status}, {"redirect", act_redirect},
	{"json", act_json}, {"huge", act_huge}, {"garbage", act_garbage}, {"endless", act_endless},
	{"endless-head", act_endless_head}, {"chunked", act_chunked}, {"close", act_close}, {"hang", act_hang},
};

static void answer(struct origin *o, struct request *q)
{
	char text[512], mode[32] = "pass", line[2700];
	size_t i, n;

	(void)rule(q->target, text);
	(void)!sscanf(text, "%31s", mode);
	n = strlen(mode);
	snprintf(q->arg, sizeof(q->arg), "%s", text + n + strspn(text + n, " "));
	for (i = 0; i < ARRAY_SIZE(acts); i++)
		if (strcmp(acts[i].mode, mode) == 0)
			break;
	if (i == ARRAY_SIZE(acts)) {
		fprintf(stderr, "badnet: there is no mode '%s'\n", mode);
		exit(1);
	}
	/* Before the answer: a test that has seen the answer finds the line. */
	snprintf(line, sizeof(line), "%s %s %s %.*s", mode, q->method, q->target, SLICE_ARG(q->range));
	note(line);
	acts[i].act(o, q);
}

/* One more byte at least; false at the end. */
static bool more(struct stream *s, struct buf *in)
{
	struct error err = ERROR_INIT;
	ssize_t n;

	while ((n = stream_read(s, in, PIECE, &err)) == STREAM_BLOCKED) {
		struct pollfd p = {.fd = s->fd, .events = (short)s->wait};

		poll(&p, 1, -1);
	}
	return n > 0;
}

static bool serve_one(struct origin *o, struct stream *s, struct buf *in)
{
	struct request q = {.s = s, .real = CLIENT_RESPONSE_INIT};
	struct error err = ERROR_INIT;
	size_t scanned = 0, head_len, whole;
	int status;

	while ((head_len = http_head_length(buf_slice(in), &scanned)) == 0)
		if (in->len > HTTP_HEAD_MAX || !more(s, in))
			return false;
	/* The parsed head borrows; the buffer may move until all is here. */
	if (http_request_parse(&q.head, slice_of(in->ptr, head_len), &status, &err) < 0)
		return false;
	whole = head_len + (q.head.content_length > 0 ? (size_t)q.head.content_length : 0);
	while (in->len < whole)
		if (!more(s, in))
			return false;
	if (http_request_parse(&q.head, slice_of(in->ptr, head_len), &status, &err) < 0)
		return false;
	snprintf(q.target, sizeof(q.target), "%.*s", SLICE_ARG(q.head.target));
	snprintf(q.method, sizeof(q.method), "%.*s", SLICE_ARG(q.head.method));
	q.body = slice_of(in->ptr + head_len, whole - head_len);
	if (!http_find(&q.head, "Range", &q.range))
		q.range = SLICE_EMPTY;
	answer(o, &q);
	client_response_release(&q.real);
	buf_consume(in, whole);
	return !q.over;
}

static void serve(struct origin *o, int fd)
{
	struct buf in = BUF_INIT(4u << 20);
	struct error err = ERROR_INIT;
	struct stream s = STREAM_INIT;
	int r;

	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl", NULL);
	stream_open(&s, fd, tls_accept(o->tls, clock_now_s(), NULL));
	while ((r = stream_handshake(&s, &err)) == STREAM_BLOCKED) {
		struct pollfd p = {.fd = fd, .events = (short)s.wait};

		poll(&p, 1, -1);
	}
	while (r == 1 && serve_one(o, &s, &in))
		;
	stream_shutdown(&s);
	stream_close(&s);
	buf_release(&in);
}

static struct client *client_as_device(struct tls_config *tls, const char *port)
{
	struct client_params p = CLIENT_PARAMS_INIT;
	struct error err = ERROR_INIT;
	struct client *c;
	struct url u;
	char text[64];

	snprintf(text, sizeof(text), "https://127.0.0.1:%s", port);
	if (url_parse(&u, slice_str(text), URL_HTTPS, &err) < 0)
		die(text, &err);
	p.url = &u;
	p.tls = tls;
	if ((c = client_new(&p, &err)) == NULL)
		die(text, &err);
	return c;
}

static void origin_open(struct origin *o, char **argv)
{
	static const char *const names[] = {"127.0.0.1"};
	struct error err = ERROR_INIT;
	struct server_identity self = {.der = BUF_INIT(X509_SIZE_MAX)};
	struct identity id;
	struct ca ca = {.kind = CA_SERVER};
	char path[4096];
	int dir;

	path_join(path, argv[0], "control/ca");
	if ((dir = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &err)) < 0 ||
	    ca_open(&ca, dir, CA_SERVER, true, &err) < 0 ||
	    server_identity_make(&self, &ca, names, 1, clock_now_s(), &err) < 0)
		die(path, &err);
	{
		struct slice chain[] = {buf_slice(&self.der), buf_slice(&ca.der)};
		struct tls_server_params p = {.identity = {chain, 2, self.key}, .client_auth = TLS_CLIENT_NONE};

		if ((o->tls = tls_config_server(&p, &err)) == NULL)
			die("TLS", &err);
	}
	close(dir);
	identity_init(&id);
	path_join(path, argv[1], "agent");
	if ((dir = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &err)) < 0 || identity_load(&id, dir, &err) < 0)
		die(path, &err);
	{
		struct slice leaf = buf_slice(&id.certificate), anchor = buf_slice(&id.server_ca);
		struct tls_client_params p = {.identity = {&leaf, 1, id.key}, .cas = &anchor, .ca_count = 1};
		struct tls_config *tls = tls_config_client(&p, &err);

		if (tls == NULL)
			die("TLS", &err);
		o->api = client_as_device(tls, argv[2]);
		o->repository = client_as_device(tls, argv[3]);
	}
	close(dir);
}

/* ---- the whole ---- */

static void write_port(const char *path, int fd)
{
	char name[4096];
	FILE *f;

	snprintf(name, sizeof(name), "%s.new", path);
	if ((f = fopen(name, "w")) == NULL || fprintf(f, "%u\n", listen_port(fd)) < 0 || fclose(f) != 0 ||
	    rename(name, path) < 0)
		die(path, NULL);
}

static unsigned read_port(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned port = 0;

	if (f != NULL) {
		(void)!fscanf(f, "%u", &port);
		fclose(f);
	}
	return port;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct origin o = {.tls = NULL};
	char kind, address[32];
	int listener;

	if (!((argc == 6 && strcmp(argv[1], "middle") == 0) || (argc == 5 && strcmp(argv[1], "proxy") == 0) ||
	      (argc == 9 && strcmp(argv[1], "server") == 0))) {
		fputs("usage: see the head of tests/tools/badnet.c\n", stderr);
		return 2;
	}
	kind = argv[1][0];
	rule_path = argv[3];
	log_path = argv[4];
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (crypto_start(&err) < 0)
		die("crypto", &err);
	if (kind == 's')
		origin_open(&o, argv + 5);
	/* On the port of an earlier life, so that a connection is refused for a while only. */
	snprintf(address, sizeof(address), "127.0.0.1:%u", read_port(argv[2]));
	if ((listener = listen_open(address, &err)) < 0)
		die(address, &err);
	write_port(argv[2], listener);
	for (;;) {
		struct pollfd p = {.fd = listener, .events = POLLIN};
		int fd = poll(&p, 1, -1) > 0 ? accept(listener, NULL, NULL) : -1;

		if (fd < 0)
			continue;
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			if (kind == 'm')
				middle(fd, (unsigned)atoi(argv[5]));
			else if (kind == 'p')
				proxy(fd);
			else
				serve(&o, fd);
			_exit(0);
		}
		close(fd);
	}
}
