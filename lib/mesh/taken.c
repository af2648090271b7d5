/* Ranges in use on this machine, as rtnetlink tells them, and the choice of one that is not. */
#include "mesh/taken.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/bytes.h"
#include "sys/netlink.h"
#include "sys/rng.h"

#define TABLE_LOCAL 255	/* addresses of our own, once more */

void taken_release(struct taken_list *l)
{
	free(l->items);
	*l = TAKEN_INIT;
}

void taken_add(struct taken_list *l, const struct range *range, const char *what)
{
	struct taken *t;

	if (l->count == TAKEN_MAX)
		return;
	if (l->count == l->room) {
		l->room = l->room == 0 ? 16 : l->room * 2;
		l->items = xreallocarray(l->items, l->room, sizeof(*l->items));
	}
	t = &l->items[l->count++];
	t->range = *range;
	snprintf(t->what, sizeof(t->what), "%s", what);
}

/* kind: "interface", "a route by". */
static void add_prefix(struct taken_list *l, const struct netlink_prefix *p, uint32_t ifindex, const char *kind)
{
	uint32_t mask = p->len == 0 ? 0 : UINT32_MAX << (32 - p->len);
	struct range range = {.v4 = get_be32(p->addr) & mask, .prefix = p->len};
	char name[IF_NAMESIZE] = "", what[TAKEN_WHAT_LEN];

	if (ifindex == 0 || if_indextoname(ifindex, name) == NULL)
		snprintf(what, sizeof(what), "%s", "a route");
	else
		snprintf(what, sizeof(what), "%s '%s'", kind, name);
	taken_add(l, &range, what);
}

static bool each_address(void *arg, const struct netlink_address *a)
{
	if (a->prefix.family == AF_INET && a->prefix.len <= 32)
		add_prefix(arg, &a->prefix, a->ifindex, "interface");
	return true;
}

static bool each_route(void *arg, const struct netlink_route *r)
{
	if (r->to.family == AF_INET && r->to.len >= TAKEN_PREFIX_MIN && r->to.len <= 32 && r->table != TABLE_LOCAL)
		add_prefix(arg, &r->to, r->ifindex, "a route by");
	return true;
}

int taken_read(struct taken_list *l, struct error *err)
{
	struct netlink n = {.fd = -1};
	int r = -1;

	if (netlink_open(&n, err) == 0 && netlink_addresses(&n, each_address, l, err) == 0 &&
	    netlink_routes(&n, each_route, l, err) == 0)
		r = 0;
	netlink_close(&n);
	return r < 0 ? error_wrap(err, "cannot tell which addresses this machine uses") : 0;
}

const struct taken *taken_find(const struct taken_list *l, const struct range *range)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (range_overlaps(&l->items[i].range, range))
			return &l->items[i];
	}
	return NULL;
}

int taken_choose(const struct taken_list *l, struct range *out, struct error *err)
{
	struct range free_ones[RANGE_DEFAULTS];
	unsigned count = 0, i;

	for (i = 0; i < RANGE_DEFAULTS; i++) {
		free_ones[count] = range_default(i);
		count += taken_find(l, &free_ones[count]) == NULL;
	}
	if (count == 0) {
		error_set(err, ERR_REFUSED, "this machine uses all of 198.18.0.0/15 already");
		return error_hint(err, "give a range that is free here and on the other nodes: --ipv4-range 10.77.0.0/19");
	}
	*out = free_ones[rng_below(count)];
	return 0;
}
