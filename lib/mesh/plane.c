/* The data plane as control sees it: peers, endpoints, sessions, and what became of the retired ones. */
#include "mesh/plane.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "mesh/address.h"
#include "mesh/bytes.h"
#include "mesh/plane_internal.h"
#include "sys/netlink.h"
#include "sys/rng.h"

/* What comes while others have the processor for some ms; it costs the streams less to wait than to be sent again. */
#define RECEIVE_BUFFER (4 << 20)
#define SEND_BUFFER (1 << 20)
#define TCP4_HEADERS 52	/* with timestamps; IPv6 has 20 more, and still room for as many segments and no more */
#define TCP_ROOM 440

void plane_wake(int fd)
{
	while (eventfd_write(fd, 1) < 0 && errno == EINTR)
		;
}

void plane_wake_clear(int fd)
{
	eventfd_t n;

	while (eventfd_read(fd, &n) < 0 && errno == EINTR)
		;
}

struct udp *plane_udp(struct plane *p, int family)
{
	struct udp *u = family == AF_INET6 ? &p->udp6 : &p->udp4;

	return u->fd >= 0 ? u : NULL;
}

const struct udp *plane_socket(const struct plane *p, int family)
{
	const struct udp *u = family == AF_INET6 ? &p->udp6 : &p->udp4;

	return u->fd >= 0 ? u : NULL;
}

const struct tun *plane_tun(const struct plane *p)
{
	return &p->tun;
}

int plane_event_fd(const struct plane *p)
{
	return p->event_fd;
}

static int open_socket(struct udp *u, const union udp_addr *a, const struct plane_options *o, struct error *err)
{
	struct udp_options options = {
		.no_offload = o->udp_no_offload,
		.receive_buffer = o->socket_buffer > 0 ? o->socket_buffer : RECEIVE_BUFFER,
		.send_buffer = o->socket_buffer > 0 ? o->socket_buffer : SEND_BUFFER,
	};

	return a->sa.sa_family == AF_UNSPEC ? 0 : udp_open(u, a, &options, err);
}

static int open_sockets(struct plane *p, struct error *err)
{
	struct error ignored = ERROR_INIT;

	if (open_socket(&p->udp4, &p->o.listen4, &p->o, err) < 0)
		return -1;
	if (open_socket(&p->udp6, &p->o.listen6, &p->o, &ignored) == 0)
		return 0;
	if (p->o.listen6_may_fail && p->udp4.fd >= 0 && ignored.kind != ERR_CONFLICT)
		return 0;
	*err = ignored;
	return -1;
}

/*
 * As many segments of TCP as leave in one burst: of a buffer of 64 KiB a tail would go by itself, at nearly the price of
 * all the others. By bytes, since the datagrams of a UDP buffer are smaller, and the kernel cuts one that has more segments
 * than it may. TCP leaves room for headers (MAX_TCP_HEADER and one byte) before it counts how many segments fit. A kernel
 * that will not have it only has more work.
 */
static void limit_large(const struct plane *p, struct netlink *n)
{
	uint32_t segments = UDP_BURST_BYTES / (p->o.mtu + (unsigned)PLANE_OVERHEAD);
	struct error ignored = ERROR_INIT;

	if (segments > UDP_BURST_SEGMENTS)
		segments = UDP_BURST_SEGMENTS;
	if (netlink_link_large(n, p->tun.ifindex, segments * (p->o.mtu - TCP4_HEADERS) + TCP_ROOM, &ignored) < 0)
		return;
}

static int set_up_link(struct plane *p, struct error *err)
{
	struct netlink n;
	int r = -1;

	if (netlink_open(&n, err) < 0)
		return -1;
	if (netlink_link_mtu(&n, p->tun.ifindex, p->o.mtu, err) < 0 ||
	    (p->o.queue != 0 && netlink_link_queue(&n, p->tun.ifindex, p->o.queue, err) < 0) ||
	    netlink_link_no_ll(&n, p->tun.ifindex, err) < 0 ||
	    netlink_link_up(&n, p->tun.ifindex, true, err) < 0)
		goto out;
	if (p->tun.offloads & (TUN_TSO | TUN_USO))
		limit_large(p, &n);
	r = 0;
out:
	netlink_close(&n);
	return r;
}

static void init_tables(struct plane *p)
{
	p->blocks_n = (uint32_t)1 << (29 - p->o.range4_len);
	p->blocks = xcalloc(p->blocks_n, sizeof(*p->blocks));
	for (uint32_t i = 0; i < p->blocks_n; i++)
		atomic_init(&p->blocks[i], PLANE_NOBODY);
	p->peers = xcalloc(PLANE_PEERS_MAX, sizeof(*p->peers));
	p->slots = xcalloc(PLANE_SESSIONS_MAX, sizeof(*p->slots));
	p->out = xmalloc(sizeof(((struct plane_endpoint *)0)->prefix) + PLANE_OVERHEAD + PLANE_CONTENT_MAX);
	p->retired_last = &p->retired;
	p->next_slot = rng_below(PLANE_SESSIONS_MAX);
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->give_lock, NULL);
	plane_tx_init(p);
	plane_rx_init(p);
}

struct plane *plane_new(const struct plane_options *o, const struct plane_crypto *crypto, const struct plane_scope *scope,
			struct error *err)
{
	struct plane *p = xcalloc(1, sizeof(*p));

	p->o = *o;
	p->crypto = crypto;
	p->scope = scope;
	p->tun.fd = p->udp4.fd = p->udp6.fd = p->event_fd = p->tx.wake = p->tx.call = p->rx.wake = -1;
	if (p->o.mtu == 0)
		p->o.mtu = PLANE_MTU;
	init_tables(p);
	if (p->o.mtu < 1280 || p->o.mtu > PLANE_CONTENT_MAX) {
		error_set(err, ERR_USAGE, "%u is no MTU of the mesh's interface: 1280 to %d", p->o.mtu, PLANE_CONTENT_MAX);
		goto fail;
	}
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->tx.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->tx.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->rx.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0 || p->tx.wake < 0 || p->tx.call < 0 || p->rx.wake < 0) {
		error_errno(err, errno, "cannot make an event descriptor");
		goto fail;
	}
	if (!o->no_interface && tun_open(&p->tun, o->interface, o->tun_offloads, err) < 0)
		goto fail;
	if (open_sockets(p, err) < 0 || (!o->no_interface && set_up_link(p, err) < 0))
		goto fail;
	p->tx.gone = o->no_interface;
	p->rx.udp_may_join = (p->tun.offloads & TUN_USO) != 0;
	return p;
fail:
	plane_free(p);
	return NULL;
}

/* Signals are for control. */
static int start_thread(pthread_t *t, void *(*run)(void *), struct plane *p, const char *name, struct error *err)
{
	sigset_t all, before;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(t, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e != 0)
		return error_errno(err, e, "cannot start a thread");
	pthread_setname_np(*t, name);
	return 0;
}

static void stop_thread(pthread_t t, int wake)
{
	plane_wake(wake);
	pthread_join(t, NULL);
}

int plane_start(struct plane *p, struct error *err)
{
	if (start_thread(&p->helper, plane_help_run, p, "mesh-helper", err) < 0)
		return -1;
	if (start_thread(&p->thread, plane_run, p, "mesh", err) < 0) {
		atomic_store(&p->stop, true);
		stop_thread(p->helper, p->tx.call);
		return -1;
	}
	p->started = true;
	return 0;
}

static void release_all(struct plane *p)
{
	void *masks = atomic_load(&p->masks);

	for (uint32_t i = 0; i < PLANE_PEERS_MAX; i++)
		if (atomic_load_explicit(&p->peers[i].taken, memory_order_relaxed))
			plane_peer_remove(p, i);
	for (uint32_t i = 0; i < PLANE_SESSIONS_MAX; i++)
		if (p->slots[i].taken && atomic_load(&p->slots[i].session) != NULL)
			plane_session_retire(p, atomic_load(&p->slots[i].index));
	/* Nobody runs any more: whoever had staged packets has none. */
	for (uint32_t i = 0; i < PLANE_PEERS_MAX; i++)
		if (atomic_load_explicit(&p->peers[i].staged_listed, memory_order_relaxed))
			atomic_store(&p->peers[i].staged_listed, false);
	(void)plane_reap(p);
	if (masks != NULL)
		p->crypto->masks_free(masks);
}

void plane_free(struct plane *p)
{
	if (p == NULL)
		return;
	atomic_store(&p->stop, true);
	if (p->started) {
		plane_wake(p->tx.wake);
		stop_thread(p->helper, p->tx.call);
		stop_thread(p->thread, p->rx.wake);
	}
	release_all(p);
	tun_close(&p->tun);
	udp_close(&p->udp4);
	udp_close(&p->udp6);
	if (p->event_fd >= 0)
		close(p->event_fd);
	if (p->tx.wake >= 0)
		close(p->tx.wake);
	if (p->tx.call >= 0)
		close(p->tx.call);
	if (p->rx.wake >= 0)
		close(p->rx.wake);
	plane_tx_release(p);
	plane_rx_release(p);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->give_lock);
	free((void *)p->blocks);
	free(p->peers);
	free(p->slots);
	free(p->out);
	free(p);
}

void plane_listening(const struct plane *p, union udp_addr *v4, union udp_addr *v6)
{
	struct error ignored = ERROR_INIT;

	memset(v4, 0, sizeof(*v4));
	memset(v6, 0, sizeof(*v6));
	if (p->udp4.fd >= 0 && udp_local(&p->udp4, v4, &ignored) < 0)
		memset(v4, 0, sizeof(*v4));
	if (p->udp6.fd >= 0 && udp_local(&p->udp6, v6, &ignored) < 0)
		memset(v6, 0, sizeof(*v6));
}

/* ---- what was retired ---- */

static void retire(struct plane *p, enum retired_kind kind, void *what, uint32_t number)
{
	struct retired *r = xcalloc(1, sizeof(*r));

	/* Before the numbers are read, so that a thread which begins later cannot see it. */
	atomic_thread_fence(memory_order_seq_cst);
	r->kind = kind;
	r->what = what;
	r->number = number;
	r->tx = atomic_load(&p->tx.pass.number);
	r->rx = atomic_load(&p->rx.pass.number);
	*p->retired_last = r;
	p->retired_last = &r->next;
}

static bool passed(const struct pass *p, unsigned then)
{
	return (then & 1) == 0 || atomic_load(&p->number) != then;
}

static bool unseen(const struct plane *p, const struct retired *r)
{
	if (!passed(&p->tx.pass, r->tx) || !passed(&p->rx.pass, r->rx))
		return false;
	/* tx must also have let go of its packets. */
	return r->kind != RETIRED_PEER || !atomic_load(&p->peers[r->number].staged_listed);
}

static void dispose(struct plane *p, struct retired *r)
{
	struct peer *peer;

	switch (r->kind) {
	case RETIRED_SESSION:
		p->crypto->session_free(r->what);
		p->slots[r->number].taken = false;
		break;
	case RETIRED_ENDPOINT:
		free(r->what);
		break;
	case RETIRED_MASKS:
		p->crypto->masks_free(r->what);
		break;
	case RETIRED_PEER:
		peer = &p->peers[r->number];
		memset(peer, 0, sizeof(*peer));
		break;
	}
	free(r);
}

size_t plane_reap(struct plane *p)
{
	struct retired **at = &p->retired;
	size_t left = 0;

	while (*at != NULL) {
		struct retired *r = *at;

		if (unseen(p, r)) {
			*at = r->next;
			dispose(p, r);
		} else {
			at = &r->next;
			left++;
		}
	}
	p->retired_last = at;
	return left;
}

void plane_masks_set(struct plane *p, void *masks)
{
	void *old = atomic_exchange(&p->masks, masks);

	if (old != NULL)
		retire(p, RETIRED_MASKS, old, 0);
}

/* ---- peers ---- */

int plane_peer_add(struct plane *p, uint32_t *peer, struct error *err)
{
	(void)plane_reap(p);
	for (uint32_t i = 0; i < PLANE_PEERS_MAX; i++) {
		uint32_t n = (p->next_peer + i) % PLANE_PEERS_MAX;

		if (atomic_load_explicit(&p->peers[n].taken, memory_order_relaxed))
			continue;
		p->peers[n].staged_first = p->peers[n].staged_last = NONE;
		atomic_store(&p->peers[n].taken, true);
		p->next_peer = n + 1;
		*peer = n;
		return 0;
	}
	return error_set(err, ERR_LIMIT, "there are more than %d members of the network here", PLANE_PEERS_MAX);
}

static void set_endpoint(struct plane *p, struct peer *peer, struct plane_endpoint *e)
{
	struct plane_endpoint *old = atomic_exchange(&peer->endpoint, e);

	if (old != NULL)
		retire(p, RETIRED_ENDPOINT, old, 0);
}

/* tx looks at what it has staged. */
static void call_tx(struct plane *p)
{
	atomic_store(&p->tx.attention, true);
	plane_wake(p->tx.wake);
}

void plane_peer_remove(struct plane *p, uint32_t number)
{
	struct peer *peer = &p->peers[number];

	for (uint32_t i = 0; i < p->blocks_n; i++)
		if (atomic_load_explicit(&p->blocks[i], memory_order_relaxed) == number)
			atomic_store(&p->blocks[i], PLANE_NOBODY);
	for (uint32_t i = 0; i < PLANE_SESSIONS_MAX; i++) {
		struct slot *s = &p->slots[i];

		if (s->taken && atomic_load(&s->session) != NULL && atomic_load(&s->peer) == number)
			plane_session_retire(p, atomic_load(&s->index));
	}
	set_endpoint(p, peer, NULL);
	atomic_store(&peer->dying, true);
	call_tx(p);
	retire(p, RETIRED_PEER, NULL, number);
}

void plane_block_set(struct plane *p, uint32_t index, uint32_t peer)
{
	if (index < p->blocks_n)
		atomic_store(&p->blocks[index], peer);
}

bool plane_owner(const struct plane *p, const struct plane_packet *packet, bool source, uint32_t *owner)
{
	uint64_t slot;
	uint32_t block;

	if (packet->version == 4) {
		uint32_t a = get_be32(packet->ip + (source ? 12 : 16)) - p->o.range4;

		block = a / BLOCK_SIZE;
		slot = a % BLOCK_SIZE;
	} else {
		const uint8_t *a = packet->ip + (source ? 8 : 24);

		if (memcmp(a, p->o.range6, sizeof(p->o.range6)) != 0)
			return false;
		block = get_be16(a + 6);
		slot = get_be64(a + 8);
	}
	if (block >= p->blocks_n)
		return false;
	/* Nobody ever has it. */
	if (slot < SLOT_NODE || slot > SLOT_FORWARD_MAX) {
		*owner = PLANE_NOBODY;
		return true;
	}
	/* Acquire: what control set up of the peer before it gave it the block. */
	*owner = atomic_load_explicit(&p->blocks[block], memory_order_acquire);
	return true;
}

void plane_endpoint_set(struct plane *p, uint32_t peer, const struct plane_endpoint *e)
{
	struct plane_endpoint *copy = xmalloc(sizeof(*copy));

	*copy = *e;
	if (copy->mtu < 576)
		copy->mtu = 576;
	if (copy->prefix_len > sizeof(copy->prefix))
		copy->prefix_len = sizeof(copy->prefix);
	set_endpoint(p, &p->peers[peer], copy);
	atomic_store(&p->peers[peer].wanted, false);
	if (atomic_load(&p->peers[peer].staged) != 0)
		call_tx(p);
}

void plane_staged_drop(struct plane *p, uint32_t peer, bool unreachable)
{
	atomic_store(&p->peers[peer].staged_wish, STAGED_DROP | (unreachable ? STAGED_ANSWER : 0));
	atomic_store(&p->peers[peer].wanted, false);
	call_tx(p);
}

/* ---- sessions ---- */

int plane_index_take(struct plane *p, uint32_t *index, struct error *err)
{
	(void)plane_reap(p);
	for (uint32_t i = 0; i < PLANE_SESSIONS_MAX; i++) {
		uint32_t n = (p->next_slot + i) & SLOT_MASK;
		struct slot *s = &p->slots[n];
		uint32_t high;

		if (s->taken)
			continue;
		do {
			rng_bytes(&high, sizeof(high));
			*index = (high & ~SLOT_MASK) | n;
		} while (*index == 0 || *index == PLANE_NOBODY);
		s->taken = true;
		atomic_store(&s->session, NULL);
		atomic_store(&s->index, *index);
		p->next_slot = n + 1;
		return 0;
	}
	return error_set(err, ERR_LIMIT, "there are more than %d sessions and handshakes", PLANE_SESSIONS_MAX);
}

void plane_index_give(struct plane *p, uint32_t index)
{
	struct slot *s = &p->slots[index & SLOT_MASK];

	if (!s->taken || atomic_load(&s->index) != index || atomic_load(&s->session) != NULL)
		return;
	atomic_store(&s->index, 0);
	s->taken = false;
}

void plane_session_publish(struct plane *p, uint32_t index, uint32_t peer, struct session *session, enum plane_use use)
{
	struct slot *s = &p->slots[index & SLOT_MASK];

	atomic_store(&s->peer, peer);
	atomic_store(&s->confirmed, use == PLANE_USE_CONFIRMED ? CONFIRM_AWAITED : CONFIRM_DONE);
	atomic_store(&s->session, session);
	if (use != PLANE_USE_NOW)
		return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->peers[peer].send, (index & SLOT_MASK) + 1);
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->peers[peer].wanted, false);
	if (atomic_load(&p->peers[peer].staged) != 0)
		call_tx(p);
}

/* The youngest of the peer's other sessions that may be sent with is the caller's to name; none is taken by itself. */
void plane_session_retire(struct plane *p, uint32_t index)
{
	uint32_t n = index & SLOT_MASK;
	struct slot *s = &p->slots[n];
	struct session *session;
	struct peer *peer;

	if (!s->taken || atomic_load(&s->index) != index)
		return;
	peer = &p->peers[atomic_load(&s->peer)];
	pthread_mutex_lock(&p->lock);
	session = atomic_exchange(&s->session, NULL);
	if (session != NULL && atomic_load(&peer->send) == n + 1)
		atomic_store(&peer->send, 0);
	pthread_mutex_unlock(&p->lock);
	if (session == NULL)
		return;
	atomic_store(&s->index, 0);
	retire(p, RETIRED_SESSION, session, n);
}

struct session *plane_sending(const struct plane *p, const struct peer *peer, uint32_t *slot)
{
	uint32_t n = atomic_load_explicit(&peer->send, memory_order_acquire);

	if (n == 0)
		return NULL;
	*slot = n - 1;
	return atomic_load_explicit(&p->slots[n - 1].session, memory_order_acquire);
}

uint32_t plane_session_sending(const struct plane *p, uint32_t peer)
{
	uint32_t slot;

	if (plane_sending(p, &p->peers[peer], &slot) == NULL)
		return PLANE_NOBODY;
	return atomic_load(&p->slots[slot].index);
}
