/* Policy rules and local routes for answers from loopback, by rtnetlink. */
#include "sys/policyroute.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/netlink_internal.h"

#define LOOPBACK_IFINDEX 1	/* of every network namespace */
#define FOUND_MAX 128		/* of one family, removed in one go */

static size_t addr_size(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

static void rule_request(struct netlink_request *q, uint16_t type, uint16_t flags, const struct netlink_prefix *to)
{
	static const uint8_t from4[4] = {127}, from6[16] = {[15] = 1};
	struct fib_rule_hdr *r = netlink_start(q, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*r));
	uint32_t priority = POLICYROUTE_PRIORITY, table = POLICYROUTE_TABLE;
	uint8_t by = POLICYROUTE_PROTOCOL;

	r->family = (uint8_t)to->family;
	r->src_len = to->family == AF_INET6 ? 128 : 8;
	r->dst_len = to->len;
	r->action = FR_ACT_TO_TBL;
	netlink_put(q, FRA_SRC, to->family == AF_INET6 ? from6 : from4, addr_size(to->family));
	netlink_put(q, FRA_DST, to->addr, addr_size(to->family));
	netlink_put(q, FRA_IIFNAME, "lo", sizeof("lo"));
	netlink_put(q, FRA_PRIORITY, &priority, sizeof(priority));
	netlink_put(q, FRA_TABLE, &table, sizeof(table));
	netlink_put(q, FRA_PROTOCOL, &by, sizeof(by));
}

static void route_request(struct netlink_request *q, uint16_t type, uint16_t flags, const struct netlink_prefix *to)
{
	struct rtmsg *r = netlink_start(q, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*r));
	uint32_t table = POLICYROUTE_TABLE, out = LOOPBACK_IFINDEX;

	r->rtm_family = (uint8_t)to->family;
	r->rtm_dst_len = to->len;
	r->rtm_protocol = POLICYROUTE_PROTOCOL;
	r->rtm_scope = to->family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	r->rtm_type = RTN_LOCAL;
	netlink_put(q, RTA_DST, to->addr, addr_size(to->family));
	netlink_put(q, RTA_TABLE, &table, sizeof(table));
	netlink_put(q, RTA_OIF, &out, sizeof(out));
}

static void flow_request(struct netlink_request *q, uint16_t type, uint16_t flags, const struct policyroute_flow *f)
{
	struct fib_rule_port_range service = {f->service_port, f->service_port}, caller = {f->caller_port, f->caller_port};
	struct netlink_prefix to = {.family = AF_INET6, .len = 128};

	memcpy(to.addr, f->caller, sizeof(f->caller));
	rule_request(q, type, flags, &to);
	netlink_put(q, FRA_IP_PROTO, &f->protocol, sizeof(f->protocol));
	netlink_put(q, FRA_SPORT_RANGE, &service, sizeof(service));
	netlink_put(q, FRA_DPORT_RANGE, &caller, sizeof(caller));
}

int policyroute_flow_add(struct netlink *n, const struct policyroute_flow *f, struct error *err)
{
	struct netlink_request q;

	flow_request(&q, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, f);
	return netlink_change(n, &q, EEXIST, "add a policy rule", err);
}

int policyroute_flow_remove(struct netlink *n, const struct policyroute_flow *f, struct error *err)
{
	struct netlink_request q;

	flow_request(&q, RTM_DELRULE, 0, f);
	return netlink_change(n, &q, ENOENT, "remove a policy rule", err);
}

int policyroute_add_route(struct netlink *n, const struct netlink_prefix *range, struct error *err)
{
	struct netlink_request q;

	route_request(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, range);
	return netlink_change(n, &q, EEXIST, "add a local route", err);
}

int policyroute_add(struct netlink *n, const struct netlink_prefix *range, struct error *err)
{
	struct netlink_request q;

	if (policyroute_add_route(n, range, err) < 0)
		return -1;
	rule_request(&q, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, range);
	return netlink_change(n, &q, EEXIST, "add a policy rule", err);
}

int policyroute_remove(struct netlink *n, const struct netlink_prefix *range, struct error *err)
{
	struct netlink_request q;

	rule_request(&q, RTM_DELRULE, 0, range);
	if (netlink_change(n, &q, ENOENT, "remove a policy rule", err) < 0)
		return -1;
	route_request(&q, RTM_DELROUTE, 0, range);
	return netlink_change(n, &q, ESRCH, "remove a local route", err);
}

/* ---- what a former run has left ---- */

struct found {
	struct netlink_prefix ranges[FOUND_MAX];
	size_t n;
};

static void keep(struct found *f, int family, uint8_t len, const struct rtattr *dst)
{
	struct netlink_prefix p = {.family = family, .len = len};

	if (f->n < FOUND_MAX && netlink_copy(p.addr, addr_size(family), dst))
		f->ranges[f->n++] = p;
}

static bool take_rule(const struct netlink_dump *d, const struct nlmsghdr *h)
{
	const struct fib_rule_hdr *r = NLMSG_DATA(h);
	const struct rtattr *a[FRA_PROTOCOL + 1];
	uint32_t table = r->table;
	uint8_t by = 0;

	netlink_attributes(h, sizeof(*r), a, ARRAY_SIZE(a));
	(void)netlink_copy(&table, sizeof(table), a[FRA_TABLE]);
	if (netlink_copy(&by, sizeof(by), a[FRA_PROTOCOL]) && by == POLICYROUTE_PROTOCOL && table == POLICYROUTE_TABLE)
		keep(d->arg, r->family, r->dst_len, a[FRA_DST]);
	return true;
}

static bool take_route(const struct netlink_dump *d, const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	const struct rtattr *a[RTA_TABLE + 1];
	uint32_t table = r->rtm_table;

	netlink_attributes(h, sizeof(*r), a, ARRAY_SIZE(a));
	(void)netlink_copy(&table, sizeof(table), a[RTA_TABLE]);
	if (r->rtm_protocol == POLICYROUTE_PROTOCOL && table == POLICYROUTE_TABLE && r->rtm_type == RTN_LOCAL)
		keep(d->arg, r->rtm_family, r->rtm_dst_len, a[RTA_DST]);
	return true;
}

/* The number of those that were found and removed, FOUND_MAX at most. */
static int reset_some(struct netlink *n, uint8_t family, struct error *err)
{
	struct found f = {.n = 0};
	struct netlink_dump rules = {RTM_NEWRULE, sizeof(struct fib_rule_hdr), take_rule, &f, {NULL}};
	struct netlink_dump routes = {RTM_NEWROUTE, sizeof(struct rtmsg), take_route, &f, {NULL}};

	if (netlink_run_dump(n, &rules, RTM_GETRULE, family, err) < 0 || netlink_run_dump(n, &routes, RTM_GETROUTE, family, err) < 0)
		/* A kernel without this family, or without policy rules, has none of ours. */
		return err->sys_errno == EAFNOSUPPORT || err->sys_errno == EOPNOTSUPP ? 0 : -1;
	for (size_t i = 0; i < f.n; i++)
		if (policyroute_remove(n, &f.ranges[i], err) < 0)
			return -1;
	return (int)f.n;
}

static int reset_family(struct netlink *n, uint8_t family, struct error *err)
{
	int r;

	do
		r = reset_some(n, family, err);
	while (r == FOUND_MAX);
	return r < 0 ? -1 : 0;
}

int policyroute_reset(struct netlink *n, struct error *err)
{
	return reset_family(n, AF_INET, err) < 0 || reset_family(n, AF_INET6, err) < 0 ? -1 : 0;
}
