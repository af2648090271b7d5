/*
 * A fleet that reports while its server is stopped and killed.
 *
 *	reporter DIR TOKEN-FILE ROOT.json COUNT LOG
 *
 * Enrols COUNT devices below DIR, then lets each report transitions (POST /device/status, of an update that no rollout
 * asked for) one after the other, as fast as they are answered. What was answered 200 is a line of LOG, "INSTANCE SEQ";
 * what was not is reported again until it is, and now and then what was, for a repetition must be taken as well.
 * Until SIGTERM; then one line of JSON counts the answers, the attempts that failed and the repetitions.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/home.h"
#include "base/encode.h"
#include "crypto/key.h"
#include "net/client.h"
#include "sys/clock.h"
#include "sys/rng.h"

#define ANSWER_MAX (1u << 20)
#define REPEAT_EVERY 7
#define PAUSE_US 50000		/* after an attempt that failed */

struct reporter {
	struct identity id;
	char instance[17];
	pthread_t thread;
};

static atomic_bool over;
static atomic_uint answered, failed, repeated, refused;
static int log_fd;

static void stop(int signal_number)
{
	(void)signal_number;
	over = true;
}

static struct client *client_of(const struct identity *id)
{
	struct slice chain[1] = {buf_slice(&id->certificate)}, ca = buf_slice(&id->server_ca);
	struct tls_client_params t = {.identity = {chain, 1, id->key}, .cas = &ca, .ca_count = 1};
	struct client_params p = CLIENT_PARAMS_INIT;
	struct error err = ERROR_INIT;
	struct client *c = NULL;
	struct url url;

	if (url_parse(&url, slice_str(id->device_url), URL_HTTPS, &err) == 0 &&
	    (p.tls = tls_config_client(&t, &err)) != NULL) {
		p.url = &url;
		c = client_new(&p, &err);
	}
	tls_config_free(p.tls);
	if (c == NULL) {
		fprintf(stderr, "reporter: %s\n", err.text);
		exit(1);
	}
	return c;
}

/* One attempt: was it answered 200? */
static bool report(const struct reporter *p, struct client *c, unsigned seq)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct buf body = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	bool taken;

	buf_printf(&body, "{\"instance\":\"%s\",\"assignment\":0,\"seq\":%u,\"path\":\"plant/plc/1\",\"state\":\"%s\","
			  "\"reason\":\"\",\"at\":\"2026-11-20T00:00:00Z\"}",
		   p->instance, seq, seq % 2 ? "downloading" : "healthy");
	q.method = "POST";
	q.target = "/device/status";
	q.now_s = clock_now_s();
	q.content_type = "application/json";
	q.body = buf_slice(&body);
	q.body_max = ANSWER_MAX;
	taken = client_do(c, &q, &r, &err) == 0 && r.status == 200;
	/* What time heals is the test's subject: no connection, or a 503. Anything else is a bug. */
	if (!taken && (err.kind == ERR_NONE ? r.status != 503 : err.kind != ERR_RETRY) && refused++ == 0)
		fprintf(stderr, "reporter: %d %s %s\n", r.status, err.text, buf_cstr(&r.body));
	buf_release(&body);
	client_response_release(&r);
	return taken;
}

static void *main_of(void *arg)
{
	struct reporter *p = arg;
	struct client *c = client_of(&p->id);
	unsigned seq = 1;

	while (!over) {
		char line[80];
		int n;

		if (!report(p, c, seq)) {
			failed++;
			usleep(PAUSE_US);
			continue;
		}
		n = snprintf(line, sizeof(line), "%s %u\n", p->instance, seq);
		if (write(log_fd, line, (size_t)n) != n)
			abort();
		answered++;
		if (seq % REPEAT_EVERY == 0 && report(p, c, seq - 1))
			repeated++;
		seq++;
	}
	client_free(c);
	return NULL;
}

/* The text of a file without its newline. */
static void slurp(char *out, size_t size, const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL || fgets(out, (int)size, f) == NULL) {
		fprintf(stderr, "reporter: cannot read '%s'\n", path);
		exit(1);
	}
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

static void enrol(struct reporter *p, const char *dir, unsigned i, const char *token, const char *root)
{
	struct agent_enroll_options o = {.token = token, .root_path = root, .now_s = clock_now_s()};
	struct buf said = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	char home[4096];
	uint8_t random[8];
	int fd;

	snprintf(home, sizeof(home), "%s/%u", dir, i);
	o.home = home;
	identity_init(&p->id);
	if ((mkdir(home, 0700) < 0) || agent_enroll(&o, &said, &err) < 0 || (fd = agent_home_open(home, &err)) < 0 ||
	    identity_load(&p->id, fd, &err) < 0) {
		fprintf(stderr, "reporter: '%s': %s\n", home, err.text);
		exit(1);
	}
	close(fd);
	buf_release(&said);
	rng_bytes(random, sizeof(random));
	hex_encode(p->instance, random, sizeof(random));
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct reporter *all;
	char token[1024];
	unsigned count, i;

	if (argc != 6) {
		fprintf(stderr, "usage: reporter DIR TOKEN-FILE ROOT.json COUNT LOG\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	count = (unsigned)atoi(argv[4]);
	all = calloc(count, sizeof(*all));
	slurp(token, sizeof(token), argv[2]);
	log_fd = open(argv[5], O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (all == NULL || log_fd < 0 || crypto_start(&err) < 0 || (mkdir(argv[1], 0700) < 0))
		return 1;
	for (i = 0; i < count; i++)
		enrol(&all[i], argv[1], i, token, argv[3]);
	printf("{\"ready\":true}\n");
	fflush(stdout);
	for (i = 0; i < count; i++)
		if (pthread_create(&all[i].thread, NULL, main_of, &all[i]) != 0)
			return 1;
	for (i = 0; i < count; i++) {
		pthread_join(all[i].thread, NULL);
		identity_release(&all[i].id);
	}
	free(all);
	printf("{\"answered\":%u,\"failed\":%u,\"repeated\":%u,\"refused\":%u}\n", answered, failed, repeated, refused);
	return refused > 0;
}
