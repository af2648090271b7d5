/*
 * Load for a control plane, or for another HTTPS server with the same certificates.
 *
 *	load make --home HOME --devices FILE --count N	devices in the database (serve stopped), their identities in FILE
 *			--web FILE: also FILE.pem and FILE.key, for another server at 127.0.0.1 under the same CA
 *	load MODE --server ADDR:PORT --ca FILE --devices FILE [--pid PID] ...
 *
 *	keepalive	--connections C --seconds S [--rate R]	requests on open connections; closed loop, or R a second
 *	resume, full	--connections C --seconds S [--count N]	connect, one request, close
 *	idle		--connections C --seconds S		open, one request each, then silence
 *	fleet		--connections C --seconds S --interval I [--storm N] [--rollout COMMAND] [--register 1]
 *
 * Also: --count N (devices of FILE to use), --parallel P (connections under way while opening), --name HOST (in the
 * server's certificate), --get PATH (a GET instead of heartbeats), --body JSON (of the heartbeat), --timeout S.
 * Writes one line of JSON for each thing measured.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/key.h"
#include "crypto/pem.h"
#include "crypto/x509.h"
#include "sys/file.h"
#include "tests/bench/load.h"

#define HEARTBEAT "{\"agent_version\":\"0.1.0\",\"metadata\":{\"root\":1,\"snapshot\":3,\"targets\":1," \
		  "\"timestamp\":1795203000},\"artifacts\":[]}"

void load_die(const char *what, const struct error *why)
{
	fprintf(stderr, "load: %s%s%s\n", what, why == NULL ? "" : ": ", why == NULL ? "" : why->text);
	exit(1);
}

/* ---- options ---- */

static void take_option(struct options *o, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **text;
		int64_t *number;
	} known[] = {
		{"--server", &o->server, NULL},	   {"--ca", &o->ca, NULL},
		{"--name", &o->name, NULL},	   {"--devices", &o->devices, NULL},
		{"--get", &o->get, NULL},	   {"--body", &o->body, NULL},
		{"--home", &o->home, NULL},	   {"--rollout", &o->rollout, NULL},
		{"--web", &o->web, NULL},
		{"--pid", NULL, &o->pid},	   {"--connections", NULL, &o->connections},
		{"--seconds", NULL, &o->seconds},  {"--rate", NULL, &o->rate},
		{"--count", NULL, &o->count},	   {"--interval", NULL, &o->interval},
		{"--parallel", NULL, &o->parallel}, {"--storm", NULL, &o->storm},
		{"--timeout", NULL, &o->timeout},  {"--register", NULL, &o->register_},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (known[i].text != NULL)
			*known[i].text = value;
		else
			*known[i].number = strtoll(value, NULL, 10);
		return;
	}
	load_die(name, NULL);
}

static void read_options(struct options *o, int argc, char **argv)
{
	int i;

	*o = (struct options){.name = "127.0.0.1", .body = HEARTBEAT, .connections = 64, .seconds = 10, .interval = 60,
			      .parallel = 64, .timeout = 600};
	for (i = 2; i + 1 < argc; i += 2)
		take_option(o, argv[i], argv[i + 1]);
	if (i < argc)
		load_die("an option without its value", NULL);
}

/* ---- the load ---- */

void load_request(struct buf *out, const struct load *load, const char *method, const char *target, struct slice body)
{
	http_put_request(out, method, target, load->o->server);
	if (body.len > 0)
		http_put_header_u64(out, "Content-Length", body.len);
	http_put_end(out);
	buf_put_slice(out, body);
}

static void read_address(struct load *load)
{
	const char *colon = strrchr(load->o->server, ':');
	char host[64];

	snprintf(host, sizeof(host), "%.*s", colon == NULL ? 0 : (int)(colon - load->o->server), load->o->server);
	load->address.sin_family = AF_INET;
	if (colon == NULL || inet_pton(AF_INET, host, &load->address.sin_addr) != 1)
		load_die("--server is an IPv4 address and a port", NULL);
	load->address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
}

static void read_ca(struct load *load)
{
	struct buf text = BUF_INIT(65536);
	struct error err = ERROR_INIT;
	struct slice ca;
	struct tls_client_params params = {.cas = &ca, .ca_count = 1};

	load->ca = BUF_INIT(X509_SIZE_MAX);
	if (file_read(AT_FDCWD, load->o->ca, &text, &err) < 0 ||
	    pem_get(buf_slice(&text), X509_PEM_LABEL, &load->ca, &err) < 0)
		load_die("cannot read the CA", &err);
	ca = buf_slice(&load->ca);
	load->anonymous = tls_config_client(&params, &err);
	if (load->anonymous == NULL)
		load_die("cannot use the CA", &err);
	buf_release(&text);
}

static void begin(struct load *load, const struct options *o)
{
	struct error err = ERROR_INIT;

	*load = (struct load){.o = o, .request = BUF_INIT(65536)};
	if (o->server == NULL || o->ca == NULL || o->devices == NULL)
		load_die("--server, --ca and --devices are needed", NULL);
	signal(SIGPIPE, SIG_IGN);
	read_address(load);
	read_ca(load);
	ids_open(&load->ids, o->devices, (size_t)o->count);
	if (o->get != NULL)
		load_request(&load->request, load, "GET", o->get, SLICE_EMPTY);
	else
		load_request(&load->request, load, "POST", "/device/heartbeat", slice_str(o->body));
	if ((load->loop = loop_new(&err)) == NULL)
		load_die("no loop", &err);
}

static void end(struct load *load)
{
	loop_free(load->loop);
	ids_close(&load->ids);
	tls_config_free(load->anonymous);
	buf_release(&load->ca);
	buf_release(&load->request);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct error err = ERROR_INIT;
	struct options o;
	struct load load;

	if (crypto_start(&err) < 0)
		load_die("no cryptography", &err);
	read_options(&o, argc, argv);
	if (strcmp(mode, "make") == 0) {
		if (o.home == NULL || o.devices == NULL || o.count == 0)
			load_die("make wants --home, --devices and --count", NULL);
		ids_make(o.home, o.devices, (size_t)o.count, "load", o.web);
		return 0;
	}
	begin(&load, &o);
	if (strcmp(mode, "keepalive") == 0)
		mode_keepalive(&load);
	else if (strcmp(mode, "resume") == 0 || strcmp(mode, "full") == 0)
		mode_handshakes(&load, mode[0] == 'r');
	else if (strcmp(mode, "idle") == 0)
		mode_idle(&load);
	else if (strcmp(mode, "fleet") == 0)
		mode_fleet(&load);
	else
		load_die("the modes are make, keepalive, resume, full, idle and fleet", NULL);
	end(&load);
	return 0;
}
