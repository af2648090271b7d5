/* What a network says of itself, lets in and forwards: follows its files, the configuration, and the blocks that it holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mesh/scope_build.h"
#include "meshlan/internal.h"
#include "sys/clock.h"

/* ---- addresses and scope ---- */

/* Whether the IPv6 address is there as well. */
static bool address(struct lan *l, struct netlink *n, uint32_t block, bool add)
{
	struct netlink_prefix p4 = {.family = AF_INET, .len = l->addressing.range.prefix}, p6 = {.family = AF_INET6, .len = 48};
	uint32_t ifindex = plane_tun(l->plane)->ifindex, v4 = htonl(block_v4(&l->addressing, block, SLOT_NODE));
	struct error err = ERROR_INIT;

	memcpy(p4.addr, &v4, sizeof(v4));
	block_v6(&l->addressing, block, SLOT_NODE, p6.addr);
	if (!add) {
		(void)!netlink_address_remove(n, ifindex, &p4, &err);
		(void)!netlink_address_remove(n, ifindex, &p6, &err);
		return false;
	}
	if (netlink_address_add(n, ifindex, &p4, &err) < 0)
		lan_warn(l, WARN_ADDRESS, "the interface does not take this node's address: %s", err.text);
	else
		lan_warn_clear(l, WARN_ADDRESS);
	/* A machine without IPv6 has that one address. */
	err = ERROR_INIT;
	if (netlink_address_add(n, ifindex, &p6, &err) == 0)
		return true;
	log_debug("mesh.address", "network=%s %s", l->net.hex, err.text);
	return false;
}

void lan_addresses(struct lan *l)
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	struct netlink n = {.fd = -1};
	struct error err = ERROR_INIT;
	uint32_t block;

	if (l->plane == NULL || l->no_interface || own->claims_count == 0 || own->claims[0].ordinal != 0)
		return;
	block = block_index(&l->addressing, own->id, 0, own->claims[0].attempt);
	if (l->address.set && l->address.block == block)
		return;
	lan_guard(l);
	if (netlink_open(&n, &err) < 0) {
		lan_warn(l, WARN_ADDRESS, "%s", err.text);
		return;
	}
	if (l->address.set)
		(void)address(l, &n, l->address.block, false);
	l->address = (struct lan_address){.set = true, .v6 = address(l, &n, block, true), .block = block};
	netlink_close(&n);
	loop_timer_set(l->m->loop, &l->m->follow, loop_now_ms(l->m->loop));
}

void lan_scope(struct lan *l)
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	struct scope_parts p = {.allow = &l->net.allow, .forwards = &l->net.forwards, .addressing = &l->addressing,
				.node = own->id, .node_name = own->name, .claims = own->claims, .claims_count = own->claims_count};
	size_t waiting = 0;

	filter_set_scope(l->filter, scope_build(&p, &waiting));
	if (waiting > 0)
		lan_warn(l, WARN_WAITING, "%zu rules are about forwards that are not there", waiting);
	else
		lan_warn_clear(l, WARN_WAITING);
	lan_guard(l);
	reach_follow(l);
}

/* ---- forwards ---- */

static void forward_told(void *arg, const char *name, const char *what)
{
	struct forwards_told *t = &((struct lan *)arg)->forwards_told;
	size_t len = strlen(t->text), room = sizeof(t->text) - len;
	int n = snprintf(t->text + len, room, "%sforward '%s' of the configuration: %s", len > 0 ? "; " : "", name, what);

	if ((size_t)n < room || len == 0)
		return;
	t->text[len] = '\0';
	t->more++;
}

/* also: what is wrong besides, or "". */
static void warn_of_forwards(struct lan *l, const char *also)
{
	const struct forwards_told *t = &l->forwards_told;
	char more[32] = "";

	if (t->more > 0)
		snprintf(more, sizeof(more), "; and %zu more", t->more);
	if (t->text[0] == '\0' && also[0] == '\0')
		lan_warn_clear(l, WARN_FORWARD);
	else
		lan_warn(l, WARN_FORWARD, "%s%s%s%s", also, also[0] != '\0' && t->text[0] != '\0' ? "; " : "", t->text,
			 more);
}

const struct meshlan_forward *forwards_homeless(struct meshlan *m, size_t *at)
{
	size_t i;

	while (*at < m->options->forwards_count) {
		const struct meshlan_forward *f = &m->options->forwards[(*at)++];

		if (f->network == NULL)
			continue;
		for (i = 0; i < m->lans_count && !lan_is_called(m->lans[i], slice_str(f->network)); i++)
			;
		if (i == m->lans_count)
			return f;
	}
	return NULL;
}

/* Those of the configuration that are meant for this network. */
static size_t configured_forwards(struct lan *l, struct forward *out)
{
	const struct meshlan_options *o = l->m->options;
	struct error err = ERROR_INIT;
	size_t n = 0, i;

	for (i = 0; i < o->forwards_count && n < FORWARDS_MAX; i++) {
		const struct meshlan_forward *f = &o->forwards[i];

		if (f->network != NULL && !lan_is_called(l, slice_str(f->network)))
			continue;
		memset(&out[n], 0, sizeof(out[n]));
		if (forward_name_parse(out[n].name, slice_str(f->name), &err) < 0 ||
		    forward_target_parse(&out[n].target, slice_str(f->target), &err) < 0)
			forward_told(l, f->name, err.text);
		else
			n++;
	}
	return n;
}

/* The list on disk follows the configuration. */
void lan_merge_forwards(struct lan *l)
{
	struct forward *config = xcalloc(FORWARDS_MAX, sizeof(*config));
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	size_t n;

	l->forwards_told = (struct forwards_told){.more = 0};
	n = configured_forwards(l, config);
	if (forwards_merge(&l->net.forwards, config, n, &l->addressing,
			   forwards_named_s(l->addressing.created_s, clock_now_s()), forward_told, l) &&
	    (netstore_open_locked(&s, l->m->home, &err) < 0 ||
	     network_set_forwards(&s, l->net.hex, &l->net.forwards, &err) < 0))
		lan_warn(l, WARN_DISK, "the addresses of forwards cannot be kept: %s", err.text);
	netstore_close(&s);
	free(config);
}

static void forwards_to(struct lan *l, struct mesh_record *own)
{
	char also[WARNING_TEXT_LEN] = "";
	const struct forward *clash;

	own->forwards_count = forwards_to_record(&l->net.forwards, own->name, own->forwards, &clash);
	if (clash != NULL)
		snprintf(also, sizeof(also), "forward '%s' has the name of this node, and is left out", clash->name);
	warn_of_forwards(l, also);
}

/* ---- own ---- */

/* What the node says of itself; a name keeps its date as long as it is the same. */
void lan_own(struct lan *l, const struct mesh_record *before, struct mesh_record *own)
{
	memset(own, 0, sizeof(*own));
	if (l->m->name[0] != '\0')
		snprintf(own->name, sizeof(own->name), "%s", l->m->name);
	else
		snprintf(own->name, sizeof(own->name), "node-%02x%02x%02x%02x", l->net.node.id[0], l->net.node.id[1],
			 l->net.node.id[2], l->net.node.id[3]);
	own->named_s = forwards_named_s(l->addressing.created_s, clock_now_s());
	if (before->sequence > 0 && strcmp(before->name, own->name) == 0 && before->named_s != RECORD_NAMED_UNKNOWN)
		own->named_s = before->named_s;
	own->flags = RECORD_RELAYS;
	memcpy(own->claims, l->net.claims, sizeof(own->claims));
	own->claims_count = l->net.claims_count;
	forwards_to(l, own);
}

/* Rules and forwards on disk are others now. */
void lan_renew_own(struct lan *l)
{
	struct mesh_record *own = xmalloc(sizeof(*own));
	struct error err = ERROR_INIT;

	*own = *mesh_engine_record(l->engine);
	forwards_to(l, own);
	if (mesh_engine_own(l->engine, own, loop_now_ms(l->m->loop), &err) < 0)
		warn_of_forwards(l, err.text);
	free(own);
	lan_pump(l);
}
