/*
 * The resolver of the mesh alone, with two names, for tests by dig and by systemd-resolved:
 * meshdns ADDRESS:PORT [--upstream ADDRESS:PORT]... [--tun NAME [--resolvectl PROGRAM]]
 * --tun makes an interface that has the IPv4 address, and --resolvectl tells of it. The names are nas.mesh and
 * nas-cam.mesh. Prints "ready" when it listens. Until SIGTERM.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "meshlan/resolved.h"
#include "meshlan/resolver.h"
#include "net/addr.h"
#include "sys/netlink.h"
#include "sys/tun.h"
#include "tests/unit/mesh_names_fixture.h"

static struct loop *loop;

static void stop(int signo)
{
	(void)signo;
	loop_stop(loop);
}

struct tool {
	struct sockaddr_storage listen, upstreams[RESOLVER_UPSTREAMS_MAX];
	size_t upstream_count;
	const char *resolvectl, *interface;
	struct tun tun;
};

static int read_arguments(struct tool *t, int argc, char **argv, struct error *err)
{
	socklen_t len;
	int i;

	if (argc < 2)
		return error_set(err, ERR_USAGE, "no address");
	if (addr_parse(&t->listen, &len, slice_str(argv[1]), err) < 0)
		return -1;
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--upstream") == 0 && i + 1 < argc && t->upstream_count < RESOLVER_UPSTREAMS_MAX) {
			if (addr_parse(&t->upstreams[t->upstream_count++], &len, slice_str(argv[++i]), err) < 0)
				return -1;
		} else if (strcmp(argv[i], "--tun") == 0 && i + 1 < argc) {
			t->interface = argv[++i];
		} else if (strcmp(argv[i], "--resolvectl") == 0 && i + 1 < argc && t->interface != NULL) {
			t->resolvectl = argv[++i];
		} else {
			return error_set(err, ERR_USAGE, "'%s' is no option", argv[i]);
		}
	}
	return 0;
}

static int make_interface(struct tool *t, struct error *err)
{
	struct netlink_prefix p = {.family = AF_INET, .len = 19};
	struct netlink n;
	int r = -1;

	if (tun_open(&t->tun, t->interface, 0, err) < 0 || netlink_open(&n, err) < 0)
		return -1;
	memcpy(p.addr, &((const struct sockaddr_in *)(const void *)&t->listen)->sin_addr, 4);
	if (netlink_address_add(&n, t->tun.ifindex, &p, err) == 0 && netlink_link_up(&n, t->tun.ifindex, true, err) == 0)
		r = 0;
	netlink_close(&n);
	return r;
}

static int serve(const struct tool *t, const struct names *names, struct error *err)
{
	struct resolver_options o = {.loop = loop, .names = names, .suffix = "mesh", .upstreams = t->upstreams,
				     .upstream_count = t->upstream_count};
	struct resolver *r = resolver_new(&o, err);
	struct resolved *d = resolved_new(loop, t->resolvectl);
	char server[ADDR_TEXT_LEN];
	int result = -1;

	addr_text(server, &t->listen);
	if (strrchr(server, ':') != NULL)
		*strrchr(server, ':') = '\0';
	if (r != NULL && resolver_listen(r, &t->listen, 1, err) == 0 &&
	    (t->resolvectl == NULL || resolved_set(d, t->interface, server, "mesh", err) == 0)) {
		puts("ready");
		fflush(stdout);
		result = loop_run(loop, err);
	}
	resolved_free(d);
	resolver_free(r);
	return result;
}

int main(int argc, char **argv)
{
	struct mesh_record nas = record_of(1, "nas", 60, true);
	struct error err = ERROR_INIT;
	struct tool t = {.tun.fd = -1};
	struct named n;
	int r = -1;

	log_start(STDERR_FILENO, false, LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (read_arguments(&t, argc, argv, &err) == 0 && (t.interface == NULL || make_interface(&t, &err) == 0) &&
	    named_init(&n) == 0 && node_add(&n.home, &nas) == 0 &&
	    (loop = loop_new(&err)) != NULL) {
		signal(SIGTERM, stop);
		r = serve(&t, n.names, &err);
		loop_free(loop);
		named_release(&n);
	}
	tun_close(&t.tun);
	if (r < 0)
		fprintf(stderr, "meshdns: %s\n", err.text);
	return r < 0;
}
