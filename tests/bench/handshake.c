/*
 * What a TLS handshake with client certificate costs either end, in microseconds of processor time: two engines in memory,
 * without sockets, so without the kernel's share.
 *
 *	make build/tests/bench/handshake && build/tests/bench/handshake [HANDSHAKES]
 *
 * "new": the server sees the client's certificate for the first time and verifies its CA's signature; "known": it remembers it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUIRE(cond)                                                                   \
	do {                                                                            \
		if (!(cond)) {                                                          \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

#include "../unit/tls_fixture.h"

struct cost {
	double server, client;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Whether anything moved; what the receiving end made of it goes to *cost. */
static bool carry(struct tls *from, struct tls *to, double *cost)
{
	struct slice out = tls_output(from);
	double start = now_us();
	size_t room, n;
	uint8_t *in = tls_input(to, &room);

	n = out.len < room ? out.len : room;
	if (in == NULL || n == 0)
		return false;
	memcpy(in, out.ptr, n);
	tls_received(to, n);
	*cost += now_us() - start;
	tls_sent(from, n);
	return true;
}

static struct cost handshake(struct tls_config *sc, struct tls_config *cc, struct tls_session *session, bool resume)
{
	struct error err = ERROR_INIT;
	struct cost c = {0, 0};
	struct tls *server, *client;
	double start = now_us();

	server = tls_accept(sc, T0, NULL);
	c.server += now_us() - start;
	start = now_us();
	client = tls_connect(cc, "control.example", T0, resume ? session : NULL, &err);
	REQUIRE(client != NULL);
	c.client += now_us() - start;
	while (carry(client, server, &c.server) || carry(server, client, &c.client))
		;
	REQUIRE(tls_established(server) && tls_established(client) && tls_peer(server)->resumed == resume);
	REQUIRE(tls_peer(server)->present);
	if (!resume)
		tls_session_get(client, session);
	start = now_us();
	tls_free(server);
	c.server += now_us() - start;
	tls_free(client);
	return c;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *name, struct cost *costs, unsigned n)
{
	double *v = malloc(n * sizeof(*v));
	unsigned i, end;

	REQUIRE(v != NULL);
	printf("%-10s", name);
	for (end = 0; end < 2; end++) {
		for (i = 0; i < n; i++)
			v[i] = end == 0 ? costs[i].server : costs[i].client;
		qsort(v, n, sizeof(*v), by_size);
		printf("   %s: least %6.1f, median %6.1f", end == 0 ? "server" : "client", v[0], v[n / 2]);
	}
	printf("\n");
	free(v);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000, i;
	struct cost *costs = malloc((n + 1) * sizeof(*costs));
	struct tls_session session = {0};
	struct fixture f = fixture_make();
	struct tls_config *sc, *cc = client_config(&f.device, &f.server_ca);

	REQUIRE(n > 0 && costs != NULL);
	for (i = 0; i < n; i++) {
		sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 1000);
		costs[i] = handshake(sc, cc, &session, false);
		tls_config_free(sc);
	}
	report("new", costs, n);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 1000);
	for (i = 0; i < n; i++)
		costs[i] = handshake(sc, cc, &session, false);
	handshake(sc, cc, &session, false);
	report("known", costs, n);
	for (i = 0; i < n; i++)
		costs[i] = handshake(sc, cc, &session, true);
	report("resumed", costs, n);
	tls_config_free(sc);
	tls_config_free(cc);
	fixture_free(&f);
	free(costs);
	return 0;
}
