/* Tables of nf_tables that keep packets for own addresses, and those of its peers, to one interface, by nfnetlink. */
#include "sys/addrguard.h"

#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "sys/netlink_internal.h"

#define LOOPBACK_IFINDEX 1	/* of every network namespace */
#define TABLE_OWNER 2		/* NFT_TABLE_F_OWNER, which headers before 5.12 do not have */
#define PRIORITY_RAW (-300)	/* behind the joining of fragments, before everything that changes addresses */
#define CHAIN "stray"
#define TYPE_IPV4 7		/* how nft(8) shows the elements of a set */
#define TYPE_IPV6 8
#define BATCH_MAX 16384
#define ANSWER_MAX 8192		/* an error quotes the message it is about */
#define FOUND_MAX 32		/* plain tables of former runs */

/* Messages that hold all together, or none. */
struct batch {
	struct buf bytes;
	const char *table;
	size_t message;		/* where the one under construction begins */
	uint32_t first, seq;	/* of the batch's beginning, of its latest message */
};

/* ---- messages and attributes ---- */

static void open_message(struct batch *t, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
	struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = ++t->seq};
	struct nfgenmsg g = {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};

	t->message = t->bytes.len;
	buf_put(&t->bytes, &h, sizeof(h));
	buf_put(&t->bytes, &g, sizeof(g));
}

static void close_message(struct batch *t)
{
	uint32_t len = (uint32_t)(t->bytes.len - t->message);

	if (!t->bytes.failed)
		memcpy(t->bytes.ptr + t->message + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
}

static void put(struct batch *t, uint16_t type, const void *value, size_t len)
{
	static const uint8_t zeros[NLA_ALIGNTO];
	struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + len), .nla_type = type};

	buf_put(&t->bytes, &a, sizeof(a));
	buf_put(&t->bytes, value, len);
	buf_put(&t->bytes, zeros, -len % NLA_ALIGNTO);
}

static void put_number(struct batch *t, uint16_t type, uint32_t value)
{
	uint32_t be = htonl(value);

	put(t, type, &be, sizeof(be));
}

static void put_text(struct batch *t, uint16_t type, const char *value)
{
	put(t, type, value, strlen(value) + 1);
}

static size_t open_nest(struct batch *t, uint16_t type)
{
	size_t at = t->bytes.len;

	put(t, (uint16_t)(type | NLA_F_NESTED), "", 0);
	return at;
}

static void close_nest(struct batch *t, size_t at)
{
	uint16_t len = (uint16_t)(t->bytes.len - at);

	if (!t->bytes.failed)
		memcpy(t->bytes.ptr + at + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

/* ---- expressions of a rule ---- */

struct expression {
	size_t element, data;
};

static struct expression open_expression(struct batch *t, const char *name)
{
	struct expression e;

	e.element = open_nest(t, NFTA_LIST_ELEM);
	put_text(t, NFTA_EXPR_NAME, name);
	e.data = open_nest(t, NFTA_EXPR_DATA);
	return e;
}

static void close_expression(struct batch *t, struct expression e)
{
	close_nest(t, e.data);
	close_nest(t, e.element);
}

/* What the expression before it found is this value. */
static void put_equal(struct batch *t, const void *value, size_t len)
{
	struct expression e = open_expression(t, "cmp");
	size_t data;

	put_number(t, NFTA_CMP_SREG, NFT_REG_1);
	put_number(t, NFTA_CMP_OP, NFT_CMP_EQ);
	data = open_nest(t, NFTA_CMP_DATA);
	put(t, NFTA_DATA_VALUE, value, len);
	close_nest(t, data);
	close_expression(t, e);
}

/* The packet's property `key` is this value. */
static void put_is(struct batch *t, uint32_t key, const void *value, size_t len)
{
	struct expression e = open_expression(t, "meta");

	put_number(t, NFTA_META_KEY, key);
	put_number(t, NFTA_META_DREG, NFT_REG_1);
	close_expression(t, e);
	put_equal(t, value, len);
}

/* A packet to its source would leave by this interface. */
static void put_source_behind(struct batch *t, uint32_t ifindex)
{
	struct expression e = open_expression(t, "fib");

	put_number(t, NFTA_FIB_DREG, NFT_REG_1);
	put_number(t, NFTA_FIB_RESULT, NFT_FIB_RESULT_OIF);
	put_number(t, NFTA_FIB_FLAGS, NFTA_FIB_F_SADDR);
	close_expression(t, e);
	put_equal(t, &ifindex, sizeof(ifindex));
}

/* The bytes at this place of its header are in the set. */
static void put_among(struct batch *t, uint32_t offset, uint32_t len, const char *set)
{
	struct expression e = open_expression(t, "payload");

	put_number(t, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_number(t, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put_number(t, NFTA_PAYLOAD_OFFSET, offset);
	put_number(t, NFTA_PAYLOAD_LEN, len);
	close_expression(t, e);
	e = open_expression(t, "lookup");
	put_text(t, NFTA_LOOKUP_SET, set);
	put_number(t, NFTA_LOOKUP_SREG, NFT_REG_1);
	close_expression(t, e);
}

static void put_counter(struct batch *t)
{
	close_expression(t, open_expression(t, "counter"));
}

static void put_verdict(struct batch *t, uint32_t code)
{
	struct expression e = open_expression(t, "immediate");
	size_t data, verdict;

	put_number(t, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = open_nest(t, NFTA_IMMEDIATE_DATA);
	verdict = open_nest(t, NFTA_DATA_VERDICT);
	put_number(t, NFTA_VERDICT_CODE, code);
	close_nest(t, verdict);
	close_nest(t, data);
	close_expression(t, e);
}

/* ---- the table ---- */

static void open_change(struct batch *t, uint8_t what, uint16_t flags)
{
	open_message(t, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what), flags, NFPROTO_INET, 0);
}

static void put_table(struct batch *t, uint8_t what, uint32_t flags, uint16_t ack)
{
	open_change(t, what, (uint16_t)(what == NFT_MSG_NEWTABLE ? NLM_F_CREATE | ack : ack));
	put_text(t, NFTA_TABLE_NAME, t->table);
	if (what == NFT_MSG_NEWTABLE)
		put_number(t, NFTA_TABLE_FLAGS, flags);
	close_message(t);
}

static void put_chain(struct batch *t)
{
	size_t hook;

	open_change(t, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_text(t, NFTA_CHAIN_TABLE, t->table);
	put_text(t, NFTA_CHAIN_NAME, CHAIN);
	hook = open_nest(t, NFTA_CHAIN_HOOK);
	put_number(t, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
	put_number(t, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY_RAW);
	close_nest(t, hook);
	put_number(t, NFTA_CHAIN_POLICY, NF_ACCEPT);
	put_text(t, NFTA_CHAIN_TYPE, "filter");
	close_message(t);
}

/* Of the own addresses, those of one family. */
static void put_set(struct batch *t, const char *name, bool six, const struct addrguard_place *own, size_t n)
{
	size_t len = six ? sizeof(own->v6) : sizeof(own->v4), list, element, key;

	open_change(t, NFT_MSG_NEWSET, NLM_F_CREATE);
	put_text(t, NFTA_SET_TABLE, t->table);
	put_text(t, NFTA_SET_NAME, name);
	put_number(t, NFTA_SET_FLAGS, 0);
	put_number(t, NFTA_SET_KEY_TYPE, six ? TYPE_IPV6 : TYPE_IPV4);
	put_number(t, NFTA_SET_KEY_LEN, (uint32_t)len);
	put_number(t, NFTA_SET_ID, six ? 2 : 1);
	close_message(t);

	open_change(t, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	put_text(t, NFTA_SET_ELEM_LIST_TABLE, t->table);
	put_text(t, NFTA_SET_ELEM_LIST_SET, name);
	list = open_nest(t, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < n; i++) {
		element = open_nest(t, NFTA_LIST_ELEM);
		key = open_nest(t, NFTA_SET_ELEM_KEY);
		put(t, NFTA_DATA_VALUE, six ? own[i].v6 : own[i].v4, len);
		close_nest(t, key);
		close_nest(t, element);
	}
	close_nest(t, list);
	close_message(t);
}

static size_t open_rule(struct batch *t)
{
	open_change(t, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	put_text(t, NFTA_RULE_TABLE, t->table);
	put_text(t, NFTA_RULE_CHAIN, CHAIN);
	return open_nest(t, NFTA_RULE_EXPRESSIONS);
}

static void close_rule(struct batch *t, size_t expressions)
{
	close_nest(t, expressions);
	close_message(t);
}

static void put_accept(struct batch *t, uint32_t ifindex)
{
	size_t at = open_rule(t);

	put_is(t, NFT_META_IIF, &ifindex, sizeof(ifindex));
	put_verdict(t, NF_ACCEPT);
	close_rule(t, at);
}

static void put_drop(struct batch *t, bool six, const char *set)
{
	uint8_t protocol = six ? NFPROTO_IPV6 : NFPROTO_IPV4;
	size_t at = open_rule(t);

	put_is(t, NFT_META_NFPROTO, &protocol, sizeof(protocol));
	put_among(t, six ? 24 : 16, six ? 16 : 4, set);
	put_counter(t);
	put_verdict(t, NF_DROP);
	close_rule(t, at);
}

static void put_drop_sources(struct batch *t, uint32_t ifindex)
{
	size_t at = open_rule(t);

	put_source_behind(t, ifindex);
	put_counter(t);
	put_verdict(t, NF_DROP);
	close_rule(t, at);
}

/* ---- asking the kernel ---- */

static void open_batch(struct batch *t, struct netlink *n, const char *table)
{
	*t = (struct batch){.bytes = BUF_INIT(BATCH_MAX), .table = table, .first = n->seq + 1, .seq = n->seq};
	open_message(t, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	close_message(t);
}

/*
 * What became of it: 0, or the first errno, and whether that was about the batch as such. nfnetlink has done everything,
 * and queued all answers, before sendto comes back, so that nothing is waited for.
 */
static int read_answers(const struct netlink *n, const struct batch *t, bool *as_such)
{
	_Alignas(struct nlmsghdr) uint8_t room[ANSWER_MAX];
	int first = EPROTO;	/* nothing was said */
	bool said = false;
	ssize_t got;

	while ((got = recv(n->fd, room, sizeof(room), MSG_DONTWAIT)) > 0) {
		size_t left = (size_t)got;

		for (struct nlmsghdr *h = (void *)room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			int status = netlink_status(h);

			if (status < 0 || h->nlmsg_seq - t->first > t->seq - t->first || (said && first != 0))
				continue;
			first = status;
			said = true;
			*as_such = h->nlmsg_seq == t->first;
		}
	}
	return first;
}

/* 0, or an errno. Ends the batch, and lets go of it. */
static int run(struct netlink *n, struct batch *t, bool *as_such)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int r;

	open_message(t, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	close_message(t);
	n->seq = t->seq;
	assert(!t->bytes.failed);
	*as_such = false;
	r = sendto(n->fd, t->bytes.ptr, t->bytes.len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0 ? errno
													  : read_answers(n, t, as_such);
	buf_release(&t->bytes);
	return r;
}

/*
 * All at once: what stands there goes, of whomever it is, and the new one comes. A table cannot change its flags, so that
 * the first message names those that ours has, and of all others none.
 */
static int replace(struct addrguard *g, uint32_t ifindex, const struct addrguard_place *own, size_t n, bool *as_such)
{
	uint32_t flags = g->plain ? 0 : TABLE_OWNER;
	struct batch t;

	open_batch(&t, &g->netlink, g->table);
	put_table(&t, NFT_MSG_NEWTABLE, g->set ? flags : 0, 0);
	put_table(&t, NFT_MSG_DELTABLE, 0, 0);
	put_table(&t, NFT_MSG_NEWTABLE, flags, NLM_F_ACK);
	put_chain(&t);
	put_set(&t, "own4", false, own, n);
	put_set(&t, "own6", true, own, n);
	put_accept(&t, ifindex);
	put_accept(&t, LOOPBACK_IFINDEX);
	put_drop(&t, false, "own4");
	put_drop(&t, true, "own6");
	if (!g->no_sources)
		put_drop_sources(&t, ifindex);
	return run(&g->netlink, &t, as_such);
}

static int explain(const struct addrguard *g, int e, bool as_such, struct error *err)
{
	error_errno(err, e, "cannot set the table '%s' of nf_tables", g->table);
	if (e == EPERM && as_such) {
		err->kind = ERR_DENIED;
		return error_hint(err, "run it as root, or with CAP_NET_ADMIN");
	}
	if (e == EPERM || e == EEXIST || e == EBUSY) {
		err->kind = ERR_RETRY;
		return error_hint(err, "another process has it");
	}
	return error_hint(err, "the kernel needs nf_tables");
}

/* What this kernel does not know, if e says so: owners of tables, then the looking up of sources; or it has no tables at all. */
static bool go_without(struct addrguard *g, int e)
{
	bool *lacks = e == EINVAL || e == EOPNOTSUPP ? &g->plain : e == ENOENT ? &g->no_sources : NULL;

	if (lacks == NULL || *lacks)
		return false;
	*lacks = true;
	return true;
}

int addrguard_set(struct addrguard *g, const char *interface, uint32_t ifindex, const struct addrguard_place *own, size_t n,
		  struct error *err)
{
	bool as_such;
	int e;

	assert(n > 0 && n <= ADDRGUARD_MAX);
	if (g->netlink.fd < 0 && netlink_open_protocol(&g->netlink, NETLINK_NETFILTER, err) < 0)
		return error_hint(err, "the kernel needs nf_tables");
	if (!g->set)
		snprintf(g->table, sizeof(g->table), ADDRGUARD_PREFIX "%s", interface);
	while ((e = replace(g, ifindex, own, n, &as_such)) != 0 && !g->set && go_without(g, e))
		;
	if (e == 0) {
		g->set = true;
		return 0;
	}
	if (!g->set) {
		netlink_close(&g->netlink);
		g->plain = g->no_sources = false;
	}
	return explain(g, e, as_such, err);
}

static int remove_plain(struct netlink *n, const char *table)
{
	struct batch t;
	bool as_such;

	open_batch(&t, n, table);
	put_table(&t, NFT_MSG_DELTABLE, 0, NLM_F_ACK);
	return run(n, &t, &as_such);
}

void addrguard_drop(struct addrguard *g)
{
	if (g->set && g->plain)
		(void)remove_plain(&g->netlink, g->table);
	netlink_close(&g->netlink);
	g->set = false;
}

/* ---- what a former run has left ---- */

struct found {
	const char *interfaces;
	char tables[FOUND_MAX][ADDRGUARD_NAME_LEN];
	size_t n;
};

/* Whatever else is called so is somebody's own. */
static bool is_ours(const char *table, const char *interfaces)
{
	size_t prefix = strlen(ADDRGUARD_PREFIX), len = strlen(interfaces);

	if (strncmp(table, ADDRGUARD_PREFIX, prefix) != 0 || strncmp(table + prefix, interfaces, len) != 0)
		return false;
	table += prefix + len;
	return table[0] != '\0' && table[strspn(table, "0123456789")] == '\0';
}

static bool take_table(const struct netlink_dump *d, const struct nlmsghdr *h)
{
	const struct rtattr *a[NFTA_TABLE_FLAGS + 1];
	struct found *f = d->arg;
	char *name = f->tables[f->n];
	uint32_t flags = 0;

	netlink_attributes(h, sizeof(struct nfgenmsg), a, ARRAY_SIZE(a));
	(void)netlink_copy(&flags, sizeof(flags), a[NFTA_TABLE_FLAGS]);
	if ((ntohl(flags) & TABLE_OWNER) != 0 || a[NFTA_TABLE_NAME] == NULL || RTA_PAYLOAD(a[NFTA_TABLE_NAME]) > sizeof(f->tables[0]))
		return true;
	snprintf(name, sizeof(f->tables[0]), "%s", (const char *)RTA_DATA(a[NFTA_TABLE_NAME]));
	f->n += is_ours(name, f->interfaces);
	return f->n < FOUND_MAX;
}

int addrguard_reset(const char *interfaces, struct error *err)
{
	struct found f = {.interfaces = interfaces};
	struct netlink_dump d = {NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, sizeof(struct nfgenmsg), take_table, &f, {NULL}};
	struct netlink n;
	int r = -1, e;

	if (netlink_open_protocol(&n, NETLINK_NETFILTER, err) < 0)
		return -1;
	if (netlink_run_dump(&n, &d, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NFPROTO_INET, err) < 0)
		goto out;
	for (size_t i = 0; i < f.n; i++) {
		e = remove_plain(&n, f.tables[i]);
		if (e != 0 && e != ENOENT) {
			error_errno(err, e, "cannot remove the table '%s' of nf_tables", f.tables[i]);
			goto out;
		}
	}
	r = 0;
out:
	netlink_close(&n);
	return r;
}
