/* What is reached behind this node in one network: services by the local proxy, devices by forwards (proxy.h). */
#include <string.h>

#include "base/log.h"
#include "meshlan/internal.h"
#include "meshlan/proxy.h"
#include "sys/policyroute.h"

void reach_begin(void)
{
	struct error err = ERROR_INIT;
	struct netlink n;

	if (netlink_open(&n, &err) < 0)
		return;
	if (policyroute_reset(&n, &err) < 0)
		log_debug("mesh.reach", "error=\"%s\"", err.text);
	netlink_close(&n);
}

void reach_start(struct lan *l)
{
	struct proxy_options o = {.redirect = l->redirect, .plane = l->plane, .addressing = l->addressing};
	struct error err = ERROR_INIT;

	if (l->plane == NULL || l->no_interface)
		return;
	o.ifindex = plane_tun(l->plane)->ifindex;
	l->proxy = proxy_new(&o, &err);
	if (l->proxy == NULL)
		lan_warn(l, WARN_REACH, "services on loopback and forwards are not reached: %s", err.text);
	l->gate.redirect = l->redirect;
}

void reach_stop(struct lan *l)
{
	proxy_free(l->proxy);
	l->proxy = NULL;
}

bool reach_place(const struct lan *l, const struct mesh_record *own, const struct forward *f, uint32_t *v4,
		 uint8_t v6[static 16])
{
	uint32_t block;
	size_t i;

	for (i = 0; i < own->claims_count && own->claims[i].ordinal != f->ordinal; i++)
		;
	if (i == own->claims_count)
		return false;
	block = block_index(&l->addressing, own->id, f->ordinal, own->claims[i].attempt);
	*v4 = block_v4(&l->addressing, block, f->slot);
	block_v6(&l->addressing, block, f->slot, v6);
	return true;
}

static bool place(const struct lan *l, const struct mesh_record *own, const struct forward *f, struct proxy_forward *out)
{
	struct endpoint target = f->target;

	target.port = 1;
	if (!reach_place(l, own, f, &out->v4, out->v6))
		return false;
	out->target = udp_addr_of(&target);
	return true;
}

void reach_watch(struct lan *l)
{
	unsigned troubles = l->proxy != NULL ? proxy_troubles(l->proxy) : 0, bit;

	if (l->proxy == NULL)
		return;
	for (bit = 1; bit <= troubles; bit <<= 1) {
		if ((troubles & bit) != 0) {
			lan_warn(l, WARN_REACH, "%s", proxy_trouble_text((enum proxy_trouble)bit));
			return;
		}
	}
	lan_warn_clear(l, WARN_REACH);
}

void reach_follow(struct lan *l)
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	struct proxy_forward forwards[FORWARDS_MAX];
	struct error err = ERROR_INIT;
	uint8_t v6[16] = {0};
	uint32_t v4 = 0;
	size_t n = 0, i;

	if (l->proxy == NULL)
		return;
	memset(forwards, 0, sizeof(forwards));
	for (i = 0; i < l->net.forwards.count; i++)
		n += place(l, own, &l->net.forwards.all[i], &forwards[n]);
	if (l->address.set)
		v4 = block_v4(&l->addressing, l->address.block, SLOT_NODE);
	if (l->address.set && l->address.v6)
		block_v6(&l->addressing, l->address.block, SLOT_NODE, v6);
	if (proxy_set(l->proxy, v4, v6, forwards, n, &err) < 0)
		lan_warn(l, WARN_REACH, "services on loopback and forwards are not reached: %s", err.text);
	else
		reach_watch(l);
}
