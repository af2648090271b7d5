/* The resolver at work: it listens on the own address of every network, and systemd-resolved is told of each. */
#include <arpa/inet.h>
#include <string.h>

#include "meshlan/internal.h"
#include "meshlan/resolved.h"
#include "meshlan/resolver.h"
#include "net/addr.h"

/* "ADDRESS", IPv6 with or without brackets, or "ADDRESS:PORT". */
_Static_assert(MESHLAN_UPSTREAMS_MAX == RESOLVER_UPSTREAMS_MAX, "the check of the configuration lets in what the resolver takes");

static int parse_upstream(struct sockaddr_storage *out, const char *text, struct error *err)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	socklen_t len;

	if (meshlan_check_upstream(text, err) < 0)
		return -1;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &a4.sin_addr) == 1)
		memcpy(out, &a4, sizeof(a4));
	else if (inet_pton(AF_INET6, text, &a6.sin6_addr) == 1)
		memcpy(out, &a6, sizeof(a6));
	else
		return addr_parse(out, &len, slice_str(text), err);
	return 0;
}

/* What status says of it is looked at soon, and not here: this may come from the middle of nameserver_follow. */
static void resolved_changed(void *arg)
{
	struct meshlan *m = arg;

	loop_timer_set(m->loop, &m->follow, loop_now_ms(m->loop));
}

int nameserver_start(struct meshlan *m, struct error *err)
{
	struct sockaddr_storage upstreams[RESOLVER_UPSTREAMS_MAX];
	struct resolver_options o = {.loop = m->loop, .names = m->names, .suffix = m->suffix, .upstreams = upstreams};
	size_t i;

	if (m->options->no_dns)
		return 0;
	if (m->options->dns_upstream_count > RESOLVER_UPSTREAMS_MAX)
		return error_set(err, ERR_USAGE, "more than %d resolvers for other names", RESOLVER_UPSTREAMS_MAX);
	for (i = 0; i < m->options->dns_upstream_count; i++)
		if (parse_upstream(&upstreams[i], m->options->dns_upstream[i], err) < 0)
			return -1;
	o.upstream_count = i;
	if ((m->resolver = resolver_new(&o, err)) == NULL)
		return -1;
	m->resolved = resolved_new(m->loop, m->options->resolvectl);
	resolved_on_change(m->resolved, resolved_changed, m);
	return 0;
}

void nameserver_stop(struct meshlan *m)
{
	resolved_free(m->resolved);
	resolver_free(m->resolver);
	m->resolved = NULL;
	m->resolver = NULL;
}

static struct sockaddr_storage address4(const struct lan *l)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(RESOLVER_PORT),
				.sin_addr.s_addr = htonl(block_v4(&l->addressing, l->address.block, SLOT_NODE))};
	struct sockaddr_storage ss;

	memset(&ss, 0, sizeof(ss));
	memcpy(&ss, &a, sizeof(a));
	return ss;
}

static struct sockaddr_storage address6(const struct lan *l)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(RESOLVER_PORT)};
	struct sockaddr_storage ss;

	block_v6(&l->addressing, l->address.block, SLOT_NODE, a.sin6_addr.s6_addr);
	memset(&ss, 0, sizeof(ss));
	memcpy(&ss, &a, sizeof(a));
	return ss;
}

/* Whether programs of this machine will ask us, as far as is known now; else err says why not. */
static int tell_resolved(struct lan *l, struct error *err)
{
	struct in_addr a = {htonl(block_v4(&l->addressing, l->address.block, SLOT_NODE))};
	const char *interface = plane_tun(l->plane)->name, *why;
	char server[INET_ADDRSTRLEN];

	if (inet_ntop(AF_INET, &a, server, sizeof(server)) == NULL)
		return 0;
	if (resolved_set(l->m->resolved, interface, server, l->m->suffix, err) < 0)
		return -1;
	if (resolved_look(l->m->resolved, interface, &why) != RESOLVED_FAILED)
		return 0;
	return error_set(err, ERR_FAILED, "%s", why);
}

/* listening: NULL, or why we do not on all our addresses. */
static void follow(struct lan *l, const struct error *listening)
{
	struct error err = ERROR_INIT;
	int told = tell_resolved(l, &err);

	if (listening != NULL)
		lan_warn(l, WARN_DNS, "names are not answered everywhere: %s", listening->text);
	else if (told < 0)
		lan_warn(l, WARN_DNS, "programs of this machine do not find names of the mesh, as in 'ssh nas.%.30s': %.90s; "
			 "install systemd-resolved, or use 'meshanics meshlan names --hosts'", l->m->suffix, err.text);
	else
		lan_warn_clear(l, WARN_DNS);
}

void nameserver_follow(struct meshlan *m)
{
	struct sockaddr_storage list[2 * NETSTORE_NETWORKS_MAX];
	struct error err = ERROR_INIT;
	size_t n = 0, i;
	bool all;

	if (m->resolver == NULL)
		return;
	for (i = 0; i < m->lans_count; i++) {
		const struct lan *l = m->lans[i];

		if (!l->address.set)
			continue;
		list[n++] = address4(l);
		if (l->address.v6)
			list[n++] = address6(l);
	}
	all = resolver_listen(m->resolver, list, n, &err) == 0;
	for (i = 0; i < m->lans_count; i++) {
		if (m->lans[i]->address.set)
			follow(m->lans[i], all ? NULL : &err);
		else
			lan_warn_clear(m->lans[i], WARN_DNS);
	}
}
