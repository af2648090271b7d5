/*
 * Plays the clients that a server on this machine must survive; speaks to 127.0.0.1 alone.
 *
 *	flood MODE PORT COUNT SECONDS CA-DIR
 *
 * Keeps COUNT connections in the state that MODE names for SECONDS, from eight addresses of 127/8. One that the
 * server closes is opened anew, and with a mode in capitals the oldest one is closed for the next as fast as that goes.
 * CA-DIR is HOME/control/ca of the server: its CAs make the certificates. In the end one line of JSON counts what
 * was opened, what had got where it was to go, and what the server closed.
 *
 *	silent		TCP and nothing else
 *	hello		a ClientHello
 *	half		a ClientHello, the server's answer to it, then garbage
 *	foreign		a whole handshake with a certificate of another CA
 *	idle		a certificate of the CA, one request and its answer
 *	crowd		the same certificate again and again, else as idle
 *	head		without a certificate; a head, byte by byte
 *	body		without a certificate; a body, byte by byte
 *	read		a certificate; many requests, of whose answers a byte is read now and then
 *	vanish		leaves at every stage: by reset, by an end, by an end of one direction
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet/ca.h"
#include "net/stream.h"
#include "sys/clock.h"
#include "sys/descriptors.h"

#define TICK_MS 50		/* between two bytes of a slow one */
#define PATIENCE_MS 5000	/* for one step of the server */
#define SOURCES 8
#define GET "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"

struct peer {
	struct stream s;
	bool there;		/* it got where its mode wants it */
};

struct mode {
	const char *name;
	bool (*open)(struct peer *p);		/* after TCP; true: it got there */
	void (*tick)(struct peer *p);		/* now and then; NULL: nothing */
};

static struct error err;
static struct ca server_ca, device_ca;
static struct seckey *key;
static unsigned port, serial;
static struct tls_config *bare;	/* without a certificate */
static volatile sig_atomic_t over;

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, err.text);
	exit(1);
}

/* ---- certificates ---- */

/* issuer NULL: a CA of our own that has the name of the real one. */
static struct tls_config *config_with(const struct ca *issuer, const char *name)
{
	struct x509_spec spec = {.cn = name, .key = seckey_public(key), .eku = X509_EKU_CLIENT,
				 .not_before_s = clock_now_s() - 3600, .not_after_s = clock_now_s() + 86400};
	struct buf der = BUF_INIT(8192);
	struct slice ca = buf_slice(&server_ca.der), leaf;
	struct tls_client_params p = {.cas = &ca, .ca_count = 1};
	struct tls_config *c;

	if (x509_issue(&der, &spec, issuer == NULL ? &device_ca.cert : &issuer->cert, issuer == NULL ? key : issuer->key,
		       &err) < 0)
		die("certificate");
	leaf = buf_slice(&der);
	p.identity = (struct tls_identity){.chain = &leaf, .chain_count = 1, .key = key};
	if ((c = tls_config_client(&p, &err)) == NULL)
		die("TLS");
	buf_release(&der);
	return c;
}

static void load(const char *ca_dir)
{
	int fd = open(ca_dir, O_RDONLY | O_DIRECTORY);
	struct tls_client_params p = {.ca_count = 1};
	struct slice ca;

	if (fd < 0 || crypto_start(&err) < 0 || ca_open(&server_ca, fd, CA_SERVER, false, &err) < 0 ||
	    ca_open(&device_ca, fd, CA_DEVICE, true, &err) < 0 || (key = seckey_generate(KEY_ECDSA_P256, &err)) == NULL)
		die(ca_dir);
	close(fd);
	ca = buf_slice(&server_ca.der);
	p.cas = &ca;
	if ((bare = tls_config_client(&p, &err)) == NULL)
		die("TLS");
}

/* ---- one connection ---- */

static bool wait_for(struct peer *p, short events)
{
	struct pollfd f = {.fd = p->s.fd, .events = events};

	return poll(&f, 1, PATIENCE_MS) > 0;
}

static int dial(unsigned source)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source % SOURCES);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* A port for each pair of addresses, not one for each connection of this machine. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		exit(1);
	return fd;
}

static void start_tls(struct peer *p, struct tls_config *c)
{
	p->s.tls = tls_connect(c, "127.0.0.1", clock_now_s(), NULL, &err);
	if (p->s.tls == NULL)
		die("TLS");
}

static bool handshake(struct peer *p, struct tls_config *c)
{
	int r;

	start_tls(p, c);
	while ((r = stream_handshake(&p->s, &err)) == STREAM_BLOCKED)
		if (!wait_for(p, (short)p->s.wait))
			return false;
	return r == 1;
}

static bool put(struct peer *p, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = stream_write(&p->s, bytes, &err);

		if (n == STREAM_BLOCKED ? !wait_for(p, (short)p->s.wait) : n < 0)
			return false;
		if (n > 0)
			bytes = slice_sub(bytes, (size_t)n, SIZE_MAX);
	}
	return stream_flush(&p->s, &err) == 1;
}

static bool put_text(struct peer *p, const char *text)
{
	return put(p, slice_str(text));
}

/* An answer's first bytes. */
static bool answer(struct peer *p)
{
	struct buf in = BUF_INIT(65536);
	ssize_t n;

	while ((n = stream_read(&p->s, &in, 65536, &err)) == STREAM_BLOCKED && wait_for(p, (short)p->s.wait))
		;
	buf_release(&in);
	return n > 0;
}

/* ---- modes ---- */

static bool open_silent(struct peer *p)
{
	(void)p;
	return true;
}

static bool open_hello(struct peer *p)
{
	struct slice hello;

	start_tls(p, bare);
	hello = tls_output(p->s.tls);
	return send(p->s.fd, hello.ptr, hello.len, MSG_NOSIGNAL) == (ssize_t)hello.len;
}

static bool open_half(struct peer *p)
{
	static const uint8_t garbage[300] = {22, 3, 3, 1, 0};
	uint8_t in[4096];

	return open_hello(p) && wait_for(p, POLLIN) && recv(p->s.fd, in, sizeof(in), 0) > 0 &&
	       send(p->s.fd, garbage, sizeof(garbage), MSG_NOSIGNAL) > 0;
}

static bool with_name(struct peer *p, const struct ca *issuer, const char *name)
{
	struct tls_config *c = config_with(issuer, name);
	bool ok = handshake(p, c);

	tls_config_free(c);
	return ok;
}

/* The server says nothing: the connection ends. So what counts as there is that it did. */
static bool open_foreign(struct peer *p)
{
	return !with_name(p, NULL, "foreigner") || !put_text(p, GET) || !answer(p);
}

static bool open_idle(struct peer *p)
{
	char name[32];

	snprintf(name, sizeof(name), "flood-%u", ++serial);
	return with_name(p, &device_ca, name) && put_text(p, GET) && answer(p);
}

static bool open_crowd(struct peer *p)
{
	static struct tls_config *one;

	if (one == NULL)
		one = config_with(&device_ca, "crowd");
	return handshake(p, one) && put_text(p, GET) && answer(p);
}

static bool open_head(struct peer *p)
{
	return handshake(p, bare) && put_text(p, "GET /nothing HTTP/1.1\r\nHost: x\r\nX: ");
}

static bool open_body(struct peer *p)
{
	return handshake(p, bare) && put_text(p, "POST /enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n");
}

static void tick_byte(struct peer *p)
{
	(void)!put_text(p, "x");
}

static bool open_read(struct peer *p)
{
	int few = 4096, i;
	bool ok = true;

	setsockopt(p->s.fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
	if (!with_name(p, &device_ca, "reader"))
		return false;
	for (i = 0; ok && i < 100; i++)
		ok = stream_write(&p->s, SLICE_LIT(GET), &err) > 0 && stream_flush(&p->s, &err) == 1;
	return true;
}

static void tick_read(struct peer *p)
{
	uint8_t c;

	(void)!recv(p->s.fd, &c, 1, 0);
}

/* How far a vanishing one goes before it does; it is asked of the answer to none of it. */
static bool go_stage(struct peer *p, unsigned stage)
{
	switch (stage) {
	case 0:
		return true;
	case 1:
		return open_hello(p);
	case 2:
		return handshake(p, bare);
	case 3:
		return handshake(p, bare) && put_text(p, "POST /en");
	case 4:
		return open_body(p);
	case 5:
		return open_body(p) && put_text(p, "{\"token\":");
	case 6:	/* the answer is prepared meanwhile */
		return handshake(p, bare) && put_text(p, "POST /enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
	default:
		return handshake(p, bare) && put_text(p, GET GET GET GET);
	}
}

static bool open_vanish(struct peer *p)
{
	struct linger hard = {1, 0};
	unsigned how = serial % 3, stage = serial / 3 % 8;
	bool ok;

	serial++;
	ok = go_stage(p, stage);
	if (how == 0)
		setsockopt(p->s.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (how == 2)
		shutdown(p->s.fd, SHUT_WR);
	else
		stream_close(&p->s);
	return ok;
}

static const struct mode modes[] = {
	{"silent", open_silent, NULL}, {"hello", open_hello, NULL}, {"half", open_half, NULL},
	{"foreign", open_foreign, NULL}, {"idle", open_idle, NULL}, {"crowd", open_crowd, NULL},
	{"head", open_head, tick_byte}, {"body", open_body, tick_byte}, {"read", open_read, tick_read},
	{"vanish", open_vanish, NULL},
};

/* ---- the flood ---- */

static struct peer *peers;
static unsigned count, opened, there, closed;

static void reopen(const struct mode *m, struct peer *p, unsigned i)
{
	int fd;

	stream_close(&p->s);
	p->there = false;
	fd = dial(i);
	if (fd < 0)
		return;
	stream_open(&p->s, fd, NULL);
	opened++;
	p->there = m->open(p);
	there += p->there;
}

static bool is_closed(const struct peer *p)
{
	uint8_t c;
	ssize_t n;

	if (p->s.fd < 0)
		return true;
	n = recv(p->s.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Open anew those that are gone, let the others do what they do. */
static void look_after(const struct mode *m, int64_t end_ms)
{
	unsigned i;

	for (i = 0; i < count && !over && clock_mono_ms() < end_ms; i++) {
		if (is_closed(&peers[i])) {
			closed += peers[i].s.fd >= 0;
			reopen(m, &peers[i], i);
		} else if (m->tick != NULL) {
			m->tick(&peers[i]);
		}
	}
}

static void run(const struct mode *m, bool churn, int64_t end_ms)
{
	unsigned i;

	for (i = 0; i < count && !over && (i == 0 || clock_mono_ms() < end_ms); i++)
		reopen(m, &peers[i], i);
	printf("{\"ready\":true,\"there\":%u}\n", there);
	fflush(stdout);
	for (i = 0; !over && clock_mono_ms() < end_ms; i++) {
		if (churn)
			reopen(m, &peers[i % count], i);
		else if (usleep(TICK_MS * 1000) == 0)
			look_after(m, end_ms);
	}
	for (i = 0; i < count; i++)
		closed += peers[i].s.fd >= 0 && is_closed(&peers[i]);
}

static void stop(int signal_number)
{
	(void)signal_number;
	over = 1;
}

int main(int argc, char **argv)
{
	const struct mode *m = modes;
	char name[16] = "";
	unsigned i;

	for (i = 0; argc == 6 && i < sizeof(name) - 1 && argv[1][i] != '\0'; i++)
		name[i] = (char)(argv[1][i] | 0x20);
	while (m < modes + ARRAY_SIZE(modes) && strcmp(m->name, name) != 0)
		m++;
	if (m == modes + ARRAY_SIZE(modes)) {
		fprintf(stderr, "usage: flood MODE PORT COUNT SECONDS CA-DIR\n");
		return 2;
	}
	port = (unsigned)atoi(argv[2]);
	count = (unsigned)atoi(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	descriptors_raise();
	load(argv[5]);
	peers = xcalloc(count, sizeof(*peers));
	for (i = 0; i < count; i++)
		peers[i].s = STREAM_INIT;
	run(m, argv[1][0] < 'a', clock_mono_ms() + 1000 * (int64_t)atoi(argv[4]));
	printf("{\"opened\":%u,\"there\":%u,\"closed\":%u}\n", opened, there, closed);
	for (i = 0; i < count; i++)
		stream_close(&peers[i].s);
	free(peers);
	tls_config_free(bare);
	seckey_free(key);
	ca_release(&server_ca);
	ca_release(&device_ca);
	return 0;
}
