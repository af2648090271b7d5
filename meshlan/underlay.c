/* What the mesh goes over: the addresses of this machine, which are its endpoints, told anew at each change. */
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/log.h"
#include "meshlan/internal.h"
#include "sys/file.h"

#define LOOK_MS 5		/* after a change: several come at once */
#define OF_ONE_INTERFACE 4

/* ---- addresses ---- */

struct looking {
	struct meshlan *m;
	uint32_t usable[UNDERLAY_MAX];	/* interfaces */
	size_t usable_count;
	struct underlay_address found[UNDERLAY_MAX];
	size_t found_count;
};

static bool is_ours(const struct meshlan *m, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < m->lans_count; i++)
		if (m->lans[i]->plane != NULL && !m->lans[i]->no_interface && plane_tun(m->lans[i]->plane)->ifindex == ifindex)
			return true;
	return false;
}

static bool link_each(void *arg, const struct netlink_link *k)
{
	struct looking *x = arg;

	if ((k->flags & IFF_UP) != 0 && (k->flags & IFF_RUNNING) != 0 && (k->flags & IFF_LOOPBACK) == 0 &&
	    !is_ours(x->m, k->ifindex) && x->usable_count < UNDERLAY_MAX)
		x->usable[x->usable_count++] = k->ifindex;
	return true;
}

static bool inside_mesh(const struct meshlan *m, const struct endpoint *e)
{
	uint32_t v4 = (uint32_t)e->addr[0] << 24 | (uint32_t)e->addr[1] << 16 | (uint32_t)e->addr[2] << 8 | e->addr[3];
	size_t i;

	for (i = 0; i < m->lans_count; i++) {
		const struct addressing *a = &m->lans[i]->addressing;

		if (e->family == ENDPOINT_V4 ? addressing_has_v4(a, v4) : addressing_has_v6(a, e->addr))
			return true;
	}
	return false;
}

static bool address_each(void *arg, const struct netlink_address *a)
{
	struct underlay_address u = {.prefix = a->prefix.len, .ifindex = a->ifindex};
	struct looking *x = arg;
	size_t i, same = 0;
	bool usable = false;

	u.at.family = a->prefix.family == AF_INET ? ENDPOINT_V4 : ENDPOINT_V6;
	memcpy(u.at.addr, a->prefix.addr, u.at.family == ENDPOINT_V4 ? 4 : 16);
	u.at.port = 1;
	for (i = 0; i < x->usable_count; i++)
		usable |= x->usable[i] == a->ifindex;
	for (i = 0; i < x->found_count; i++)
		same += x->found[i].ifindex == a->ifindex && x->found[i].at.family == u.at.family;
	if (!usable || !a->usable || !endpoint_usable(&u.at) || inside_mesh(x->m, &u.at) || same == OF_ONE_INTERFACE ||
	    x->found_count == UNDERLAY_MAX)
		return true;
	u.at.port = 0;
	x->found[x->found_count++] = u;
	return true;
}

void underlay_tell(struct meshlan *m, struct lan *l)
{
	struct record_endpoint ends[ENGINE_ENDPOINTS_MAX];
	int64_t now_ms = loop_now_ms(m->loop);
	size_t n = 0, i;

	if (l == NULL) {
		for (i = 0; i < m->lans_count; i++)
			underlay_tell(m, m->lans[i]);
		return;
	}
	if (l->engine == NULL)
		return;
	for (i = 0; i < m->underlay_count && n < ENGINE_ENDPOINTS_MAX; i++) {
		uint16_t port = m->underlay[i].at.family == ENDPOINT_V4 ? l->port4 : l->port6;

		if (port == 0)
			continue;
		ends[n] = (struct record_endpoint){ENDPOINT_OWN, m->underlay[i].at};
		ends[n++].at.port = port;
	}
	mesh_engine_endpoints(l->engine, ends, n, now_ms);
	if (m->peers_count > 0)
		mesh_engine_configured(l->engine, m->peers, m->peers_count, now_ms);
	lan_pump(l);
}

/* ---- changes ---- */

static void look(struct meshlan *m)
{
	struct looking *x = xcalloc(1, sizeof(*x));
	struct netlink n = {.fd = -1};
	struct error err = ERROR_INIT;
	size_t i;

	x->m = m;
	if (netlink_open(&n, &err) < 0 || netlink_links(&n, link_each, x, &err) < 0 ||
	    netlink_addresses(&n, address_each, x, &err) < 0) {
		log_failure(LOG_LEVEL_WARN, "mesh.interfaces", &err);
	} else if (x->found_count != m->underlay_count ||
		   memcmp(x->found, m->underlay, x->found_count * sizeof(x->found[0])) != 0) {
		memcpy(m->underlay, x->found, sizeof(m->underlay));
		m->underlay_count = x->found_count;
		for (i = 0; i < m->underlay_count; i++)
			beacons_join(m, m->underlay[i].ifindex);
		log_debug("mesh.interfaces", "addresses=%zu", m->underlay_count);
		underlay_tell(m, NULL);
	}
	netlink_close(&n);
	free(x);
}

static void look_fire(struct timer *t)
{
	look(container_of(t, struct meshlan, look));
}

static void links_ready(struct watch *w, uint32_t revents)
{
	struct meshlan *m = container_of(w, struct meshlan, links);

	(void)revents;
	if (netlink_changes(w->fd, 0) != 0 && m->look.slot == 0)
		loop_timer_set(m->loop, &m->look, loop_now_ms(m->loop) + LOOK_MS);
}

int underlay_start(struct meshlan *m, struct error *err)
{
	int fd;

	if (peers_start(m, err) < 0)
		return -1;
	if (netlink_watch(&fd, err) < 0)
		return -1;
	m->links = (struct watch){.fd = fd, .events = EPOLLIN, .ready = links_ready};
	m->look.fire = look_fire;
	if (loop_watch(m->loop, &m->links, err) < 0)
		return -1;
	if (!m->options->no_discovery)
		beacons_start(m);
	look(m);
	return 0;
}

void underlay_stop(struct meshlan *m)
{
	peers_stop(m);
	loop_timer_cancel(m->loop, &m->look);
	loop_unwatch(&m->links);
	file_close(&m->links.fd);
	beacons_stop(m);
}
