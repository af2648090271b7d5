/* Sockets to services on loopback, with the caller's own address, and to devices, with ours. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "mesh/bytes.h"
#include "meshlan/proxy_internal.h"

/* Programs that manage the network throw away rules that they do not know: it is looked at again before it is needed. */
#define POLICY_EVERY_MS 1000

void proxy_policy(struct proxy *p)
{
	const struct addressing *a = &p->o.addressing;
	struct netlink_prefix r4 = {.family = AF_INET, .len = a->range.prefix}, r6 = {.family = AF_INET6, .len = 48};
	struct error err = ERROR_INIT;
	int64_t now_ms = loop_now_ms(p->loop);
	bool failed;

	if (p->netlink.fd < 0 || (p->policy_ms != 0 && now_ms - p->policy_ms < POLICY_EVERY_MS))
		return;
	p->policy_ms = now_ms;
	put_be32(r4.addr, a->range.v4);
	memcpy(r6.addr, a->v6_prefix, sizeof(a->v6_prefix));
	failed = policyroute_add(&p->netlink, &r4, &err) < 0;
	/* A machine without IPv6 is fine. */
	if (!failed && policyroute_add_route(&p->netlink, &r6, &err) < 0)
		failed = err.sys_errno != EAFNOSUPPORT && err.sys_errno != EOPNOTSUPP && err.sys_errno != ENETDOWN;
	if (failed && (proxy_troubles(p) & PROXY_NO_POLICY) == 0)
		log_failure(LOG_LEVEL_WARN, "mesh.proxy", &err);
	proxy_trouble(p, PROXY_NO_POLICY, failed);
}

/* The caller's address of the family in which the service listens: a block has both. */
static bool caller_in(const struct proxy *p, const struct redirect_flow *f, unsigned version, union udp_addr *out)
{
	struct redirect_address a = {.version = (uint8_t)version};
	uint32_t block;
	unsigned slot;

	if (f->caller.version == version) {
		a = f->caller;
	} else if (version == 4) {
		if (!block_of_v6(&p->o.addressing, f->caller.bytes, &block, &slot))
			return false;
		put_be32(a.bytes, block_v4(&p->o.addressing, block, slot));
	} else {
		if (!block_of_v4(&p->o.addressing, get_be32(f->caller.bytes), &block, &slot))
			return false;
		block_v6(&p->o.addressing, block, slot, a.bytes);
	}
	*out = proxy_sockaddr(&a, f->caller_port);
	return true;
}

/*
 * Whether another socket may have this one's address and port, as calls of one port to several services need it. Of
 * datagrams the kernel lets the other have all four numbers, and with them the answers: so not of IPv6, where anybody
 * may have it, nor where a call of IPv6 becomes one of IPv4, which a call of IPv4 may be already.
 */
static bool may_share(const struct redirect_flow *f, int type, bool any_port)
{
	return type == SOCK_STREAM || (f->caller.version == 4 && f->service.version == 4 && !any_port);
}

static int set_transparent(struct proxy *p, int fd, bool v6, bool again)
{
	int on = 1;
	int r = setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof(on));

	proxy_trouble(p, PROXY_NO_TRANSPARENT, r < 0);
	if (again)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return r;
}

static int make_socket(struct proxy *p, int family, int type, int *error)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*error = fd < 0 ? errno : 0;
	if (fd >= p->fd_max) {
		close(fd);
		fd = -1;
		*error = EMFILE;
	}
	if (*error == EMFILE || *error == ENFILE)
		proxy_trouble(p, PROXY_NO_ROOM, true);
	return fd;
}

static int try_connect(int fd, const union udp_addr *to, int *error)
{
	if (connect(fd, &to->sa, proxy_sockaddr_len(to)) == 0 || errno == EINPROGRESS)
		return fd;
	*error = errno;
	close(fd);
	return -1;
}

/* For one more rule of this member. */
static bool make_place(struct proxy *p, uint32_t peer)
{
	const struct proxy_rule *victim;

	if (p->rules.n < PROXY_RULES_MAX)
		return true;
	victim = proxy_rules_victim(&p->rules, peer);
	if (victim == NULL)
		return false;
	if (victim->protocol == IPPROTO_TCP)
		proxy_tcp_give_way(p, victim->slot);
	else
		proxy_udp_give_way(p, victim->slot);
	return true;
}

/* The answers' way back to a socket that is bound. */
static int make_way(struct proxy *p, int fd, const struct redirect_flow *f, struct policyroute_flow *rule)
{
	struct error err = ERROR_INIT;
	union udp_addr from;
	socklen_t len = sizeof(from);
	struct redirect_address caller;

	if (f->service.version == 4)
		return 0;
	if (!make_place(p, f->peer)) {
		proxy_trouble(p, PROXY_NO_ROOM, true);
		return ENOBUFS;
	}
	if (getsockname(fd, &from.sa, &len) < 0)
		return errno;
	proxy_from_sockaddr(&from, &caller, &rule->caller_port);
	memcpy(rule->caller, caller.bytes, sizeof(rule->caller));
	rule->service_port = f->called_port;
	rule->protocol = f->protocol;
	if (p->netlink.fd < 0 || policyroute_flow_add(&p->netlink, rule, &err) < 0) {
		rule->protocol = 0;
		proxy_trouble(p, PROXY_NO_POLICY, true);
		return EHOSTUNREACH;
	}
	proxy_rules_take(&p->rules, rule, f->peer, f->protocol, proxy_slot(f));
	return 0;
}

void proxy_hung_up(struct proxy *p, struct policyroute_flow *rule)
{
	struct error err = ERROR_INIT;

	if (rule->protocol == 0)
		return;
	if (policyroute_flow_remove(&p->netlink, rule, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "mesh.proxy", &err);
	proxy_rules_give_back(&p->rules, rule);
	rule->protocol = 0;
}

/* port: the caller's own, or 0 for any of its address, where another connection has that one still. */
static int dial_service(struct proxy *p, const struct redirect_flow *f, int type, bool any_port,
			struct policyroute_flow *rule, int *error)
{
	union udp_addr to = proxy_sockaddr(&f->service, f->called_port), from;
	int fd;

	if (!caller_in(p, f, f->service.version, &from)) {
		*error = EADDRNOTAVAIL;
		return -1;
	}
	if (any_port && from.sa.sa_family == AF_INET6)
		from.in6.sin6_port = 0;
	else if (any_port)
		from.in.sin_port = 0;
	fd = make_socket(p, to.sa.sa_family, type, error);
	if (fd < 0)
		return -1;
	*error = set_transparent(p, fd, to.sa.sa_family == AF_INET6, may_share(f, type, any_port)) < 0 ||
		 bind(fd, &from.sa, proxy_sockaddr_len(&from)) < 0 ? errno : make_way(p, fd, f, rule);
	if (*error != 0) {
		close(fd);
		return -1;
	}
	fd = try_connect(fd, &to, error);
	if (fd < 0)
		proxy_hung_up(p, rule);
	return fd;
}

static int dial_device(struct proxy *p, const struct redirect_flow *f, int type, int *error)
{
	const struct proxy_forward *forward = proxy_forward_of(p, f->forward);
	union udp_addr to;
	int fd;

	*error = EHOSTUNREACH;
	if (forward == NULL)
		return -1;
	to = forward->target;
	fd = make_socket(p, to.sa.sa_family, type, error);
	if (fd < 0)
		return -1;
	if (to.sa.sa_family == AF_INET6)
		to.in6.sin6_port = htons(f->called_port);
	else
		to.in.sin_port = htons(f->called_port);
	return try_connect(fd, &to, error);
}

int proxy_dial(struct proxy *p, const struct redirect_flow *f, int type, struct policyroute_flow *rule, int *error)
{
	int fd;

	*rule = (struct policyroute_flow){.protocol = 0};
	if (f->kind == REDIRECT_FORWARD)
		return dial_device(p, f, type, error);
	proxy_policy(p);
	fd = dial_service(p, f, type, false, rule, error);
	if (fd < 0 && (*error == EADDRINUSE || *error == EADDRNOTAVAIL))
		fd = dial_service(p, f, type, true, rule, error);
	return fd;
}
