/* The node's addresses in a network, its own and those of its forwards, are reached by the network's interface alone. */
#include <string.h>

#include "base/log.h"
#include "meshlan/internal.h"

#define TRY_SOON_MS 50
#define PATIENCE_MS 3000	/* with a table that a process which was killed has left: the kernel takes it away soon */
#define TRY_AGAIN_MS 10000	/* also what is there: a plain table goes with `nft flush ruleset` */

_Static_assert(GUARD_PLACES_MAX <= ADDRGUARD_MAX, "a table has room for all own addresses");

void lan_guard_begin(void)
{
	struct error err = ERROR_INIT;

	if (addrguard_reset("mesh", &err) < 0)
		log_debug("mesh.guard", "error=\"%s\"", err.text);
}

static void put_place(struct addrguard_place *p, uint32_t v4, const uint8_t v6[static 16])
{
	v4 = htonl(v4);
	memcpy(p->v4, &v4, sizeof(p->v4));
	memcpy(p->v6, v6, sizeof(p->v6));
}

static void put_node(const struct lan *l, struct addrguard_place *p, uint32_t block)
{
	uint8_t v6[16];

	block_v6(&l->addressing, block, SLOT_NODE, v6);
	put_place(p, block_v4(&l->addressing, block, SLOT_NODE), v6);
}

/* What the interface has, and what it gets: the own record knows before it does. */
static size_t places(const struct lan *l, struct addrguard_place out[static GUARD_PLACES_MAX])
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	uint32_t v4, block;
	uint8_t v6[16];
	size_t n = 0, i;

	memset(out, 0, GUARD_PLACES_MAX * sizeof(*out));
	if (l->address.set)
		put_node(l, &out[n++], l->address.block);
	if (own->claims_count > 0 && own->claims[0].ordinal == 0) {
		block = block_index(&l->addressing, own->id, 0, own->claims[0].attempt);
		if (!l->address.set || block != l->address.block)
			put_node(l, &out[n++], block);
	}
	for (i = 0; i < l->net.forwards.count; i++)
		if (reach_place(l, own, &l->net.forwards.all[i], &v4, v6))
			put_place(&out[n++], v4, v6);
	return n;
}

static void again(struct lan *l, int64_t ms)
{
	loop_timer_set(l->m->loop, &l->guard_again, loop_now_ms(l->m->loop) + ms);
}

static void refused(struct lan *l, const struct error *err)
{
	int64_t now_ms = loop_now_ms(l->m->loop);

	if (l->guard_refused_ms == 0)
		l->guard_refused_ms = now_ms;
	l->guarded_count = 0;
	if (err->kind == ERR_RETRY && now_ms - l->guard_refused_ms < PATIENCE_MS) {
		again(l, TRY_SOON_MS);
		return;
	}
	lan_warn(l, WARN_GUARD, "machines beside this node reach its mesh addresses past all rules: %s; %s, "
		 "or a packet filter of your own: meshanics-mesh(7)", err->text, err->hint);
	again(l, TRY_AGAIN_MS);
}

void lan_guard(struct lan *l)
{
	struct addrguard_place own[GUARD_PLACES_MAX];
	struct error err = ERROR_INIT;
	const struct tun *tun;
	bool news = !l->guard.set;
	size_t n;

	if (l->plane == NULL || l->no_interface || (n = places(l, own)) == 0)
		return;
	if (n == l->guarded_count && memcmp(own, l->guarded, n * sizeof(*own)) == 0)
		return;
	tun = plane_tun(l->plane);
	if (addrguard_set(&l->guard, tun->name, tun->ifindex, own, n, &err) < 0) {
		refused(l, &err);
		return;
	}
	memcpy(l->guarded, own, sizeof(own));
	l->guarded_count = n;
	l->guard_refused_ms = 0;
	lan_warn_clear(l, WARN_GUARD);
	if (news)
		log_info("mesh.guard", "network=\"%s\" table=%s owned=%s sources=%s", l->net.key.name, l->guard.table,
			 l->guard.plain ? "false" : "true", l->guard.no_sources ? "false" : "true");
	if (l->guard.plain)
		again(l, TRY_AGAIN_MS);
	else
		loop_timer_cancel(l->m->loop, &l->guard_again);
}

void lan_guard_fire(struct timer *t)
{
	struct lan *l = container_of(t, struct lan, guard_again);

	l->guarded_count = 0;
	lan_guard(l);
}

void lan_unguard(struct lan *l)
{
	loop_timer_cancel(l->m->loop, &l->guard_again);
	addrguard_drop(&l->guard);
	lan_warn_clear(l, WARN_GUARD);
	l->guarded_count = 0;
	l->guard_refused_ms = 0;
}
