/*
 * What the parts of the mesh process share. Everything here belongs to the thread of the loop; the threads of planes and
 * proxies are spoken to by their own headers.
 *
 *	run.c		the process: networks come and go with the store, signals, time
 *	lan.c		one network: its life
 *	lanplane.c	its data plane
 *	follow.c	what it says, lets in and forwards, as the store has it
 *	act.c		what the engine wants done
 *	event.c		what the plane has heard
 *	asked.c		what members ask of our rules
 *	keep.c		what is kept on disk for the next start
 *	underlay.c	interfaces and addresses of this machine
 *	beacons.c	who else is on their networks
 *	peers.c		peers that the operator named
 *	addrguard.c	own addresses are reached by the network's interface alone
 *	reach.c		services and devices behind this node
 *	nameserver.c	names answered, and systemd-resolved told
 *	door.c		control socket; status.c, explain.c, ping.c: what it answers
 */
#ifndef MESHANICS_MESHLAN_INTERNAL_H
#define MESHANICS_MESHLAN_INTERNAL_H

#include "mesh/engine.h"
#include "mesh/filter.h"
#include "mesh/gate.h"
#include "mesh/names.h"
#include "mesh/plane.h"
#include "mesh/store.h"
#include "meshlan/meshlan.h"
#include "net/daemon.h"
#include "sys/addrguard.h"
#include "sys/netlink.h"

#include <sys/socket.h>

struct proxy;
struct door;
struct resolved;
struct resolver;
struct server;

#define WARNING_TEXT_LEN 512
#define CHANGES_KEPT 16
#define GUARD_PLACES_MAX (2 + FORWARDS_MAX)	/* the node's own address twice, while it moves */
#define LAN_AGAIN_MS 30000	/* until an interface or sockets that could not be had are tried again */

/* What status warns of until it is over. */
enum warning_kind {
	WARN_INTERFACE,		/* no TUN */
	WARN_SOCKET,		/* no UDP socket */
	WARN_KEY,		/* the network's key has expired, or does soon */
	WARN_CLOCK,		/* the clock is before the network's creation */
	WARN_ADDRESS,		/* no block is free, or the interface does not take the address */
	WARN_RULES,		/* the files of the network cannot be read; the former rules hold */
	WARN_WAITING,		/* rules about forwards that are not there */
	WARN_OWN_RECORD,	/* somebody else is this node */
	WARN_DISK,		/* what should be kept cannot be written */
	WARN_DNS,
	WARN_FORWARD,
	WARN_REACH,		/* what the proxy cannot do here */
	WARN_GUARD,		/* own addresses are reached by other interfaces as well */
	WARN_RECORD,		/* the own record has no room for all endpoints */
	WARN_KINDS,
};

struct warning {
	int64_t since_s;	/* 0: none */
	char text[WARNING_TEXT_LEN];
};

/* What is wrong with forwards, one after the other in one warning. */
struct forwards_told {
	char text[WARNING_TEXT_LEN - 32];
	size_t more;		/* that had no room */
};

/* Something that changed hands, for people. */
struct change {
	int64_t at_s;		/* 0: none */
	char text[WARNING_TEXT_LEN];
};

/* What the interface has. */
struct lan_address {
	bool set, v6;		/* v6: the IPv6 one as well */
	uint32_t block;
};

/* Subkeys whose masks are tried. Former ones are kept until the network stops: rotations are rare, readers are not. */
struct generations {
	struct subkeys k[1 + ENGINE_FORMER_MAX];
	size_t n;
	struct generations *before;
};

struct meshlan;

struct lan {
	struct meshlan *m;
	struct network net;		/* as it stands on disk */
	struct addressing addressing;
	struct names_network *names;
	struct mesh_engine *engine;	/* NULL: the key has expired, or has not begun: nothing of this network runs */
	struct engine_ops ops;
	struct filter *filter;
	struct gate gate;
	struct redirect *redirect;
	struct proxy *proxy;		/* NULL: no interface, or it cannot be had */
	struct plane *plane;		/* NULL: no interface or no sockets; tried again now and then */
	struct watch events;		/* of the plane */
	struct timer due;		/* of the engine */
	struct timer again;		/* for the plane */
	struct timer keep;		/* records, endpoints and pins to the disk */
	struct timer sweep;		/* flows, sessions */
	_Atomic(struct generations *) generations;	/* what datagrams of strangers may be of; rx reads it */
	uint32_t *slot_of;		/* engine's peer -> plane's; PLANE_NOBODY */
	uint32_t *peer_of;		/* plane's -> engine's; ENGINE_NOBODY */
	struct lan_address address;	/* the node's own, on the interface */
	struct addrguard guard;
	struct addrguard_place guarded[GUARD_PLACES_MAX];	/* what it was set to; none: it is to be tried, or not wanted */
	size_t guarded_count;
	int64_t guard_refused_ms;	/* since when the kernel says no; 0: it does not */
	struct timer guard_again;
	struct buf own_bytes;		/* the own record */
	uint16_t port4, port6;		/* of the sockets; 0: none */
	struct node_ids evicted;	/* told by the engine, for the rotation that follows */
	struct buf unkept_rotation;	/* in force, and not on the disk: tried again */
	struct node_ids unkept_evicted;	/* with it */
	bool unkept;			/* something waits for `keep` */
	int64_t kept_ms;		/* when it was kept last */
	bool review;			/* names are to be reviewed at the end of this round */
	bool first;			/* joined before the others: meshlan.listen is its */
	bool no_interface;		/* the plane has sockets alone */
	struct warning warnings[WARN_KINDS];
	struct forwards_told forwards_told;	/* of the configuration, at its last merge */
	struct change changes[CHANGES_KEPT];	/* a ring */
	size_t changes_next;
	int64_t started_ms;
};

/* One interface of this machine that the mesh goes over. */
#define UNDERLAY_MAX 32
struct underlay_address {
	struct endpoint at;		/* port 0 */
	uint8_t prefix;
	uint32_t ifindex;
};

struct meshlan {
	const struct meshlan_options *options;
	char home[4096], name[MESH_NAME_MAX + 1], suffix[128];
	struct loop *loop;
	struct lan *lans[NETSTORE_NETWORKS_MAX];	/* in the order in which they were joined */
	size_t lans_count;
	struct names *names;
	struct sockaddr_storage listen;	/* of the network joined first, if listen_set */
	bool listen_set, listen_any;	/* any: both families */
	uint16_t listen_port;
	uint64_t stamp;			/* netstore_stamp of what is in force */
	bool unread;			/* not all of it could be read: tried again */
	int lock_fd;			/* HOME/mesh/running */
	struct watch store;		/* inotify */
	struct timer reload;
	struct daemon daemon;
	/* underlay.c */
	struct watch links;		/* netlink */
	struct timer look;		/* at interfaces, after a change */
	struct underlay_address underlay[UNDERLAY_MAX];
	size_t underlay_count;
	/* beacons.c */
	struct watch beacon4, beacon6;
	/* peers.c */
	struct timer resolve;
	struct endpoint peers[ENGINE_CONFIGURED_MAX];
	size_t peers_count, peers_literal;
	int lookup_cancel;		/* eventfd */
	struct peers_lookup *lookup;	/* running in a thread, or NULL */
	char peers_unknown[WARNING_TEXT_LEN];	/* names without an address, and why; "" when all have one */
	/* nameserver.c */
	struct resolver *resolver;	/* NULL: no_dns */
	struct resolved *resolved;
	struct timer follow;		/* soon, when addresses have changed */
	/* door.c */
	struct server *server;
	int door_fd;
	struct door *door;		/* its own */
	int64_t started_s;
	struct error fatal;
};

/* ---- run.c ---- */
struct lan *meshlan_find(struct meshlan *m, struct slice word);	/* by id, name or label; NULL */
/* Look at the store now: networks come and go, rules change. */
void meshlan_reload(struct meshlan *m);

/* ---- lan.c ---- */
WARN_UNUSED struct lan *lan_start(struct meshlan *m, const struct network *net, bool first, struct error *err);
/* why: what peers are told. */
void lan_stop(struct lan *l, enum goodbye why);
/* Stop what runs of it and start it again: with another interface, other sockets, another life of its key. */
void lan_restart(struct lan *l, enum goodbye why);
/* Stop it when its key has expired, start it when it has not any more. */
void lan_expiry(struct lan *l);
/* The network on disk is another now. */
void lan_update(struct lan *l, const struct network *net);
/* What the engine wants, then its next time; after every call of mesh_engine_*. */
void lan_pump(struct lan *l);
/* Set or change a warning: logged when it is new. */
void lan_warn(struct lan *l, enum warning_kind k, const char *fmt, ...) PRINTF_LIKE(3, 4);
void lan_warn_clear(struct lan *l, enum warning_kind k);
void lan_changed(struct lan *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool lan_is_called(const struct lan *l, struct slice word);	/* by its id, name or label */
const char *lan_label(const struct lan *l);	/* of its names, for people; its name if it has none */

/* ---- lanplane.c ---- */
/* Sockets and interface, or sockets alone, or a warning; then its threads. */
void lan_open_plane(struct lan *l);
WARN_UNUSED int lan_run_plane(struct lan *l, struct error *err);
void lan_ops(struct lan *l);		/* what the engine asks */
/* Masks follow the generations that hold. */
void lan_generations(struct lan *l);
void lan_free_generations(struct lan *l);

/* ---- follow.c ---- */
/* The scope follows from rules, forwards and own blocks. */
void lan_scope(struct lan *l);
/* Addresses of the interface follow the own record. */
void lan_addresses(struct lan *l);
/* The list of forwards on disk follows the configuration. */
void lan_merge_forwards(struct lan *l);
/* The next one from *at on that is configured for a network that is not here, or NULL; *at is behind it then. */
const struct meshlan_forward *forwards_homeless(struct meshlan *m, size_t *at);
/* What the node says of itself at its start; before: what it said last. */
void lan_own(struct lan *l, const struct mesh_record *before, struct mesh_record *own);
/* Forwards are others now. */
void lan_renew_own(struct lan *l);

/* ---- act.c ---- */
void lan_act(struct lan *l, const struct mesh_act *a);
union udp_addr udp_addr_of(const struct endpoint *e);

/* ---- explain.c ---- */
void explain_answered(struct lan *l, const struct mesh_act *a);	/* MESH_ACT_ANSWER */

/* ---- asked.c ---- */
void asked(struct lan *l, const struct mesh_act *a);

/* ---- event.c ---- */
void lan_events_ready(struct watch *w, uint32_t revents);

/* ---- keep.c ---- */
WARN_UNUSED int keep_epoch(struct lan *l, uint32_t above, uint32_t *epoch, struct error *err);
/* What the last run has left: read before there is an engine, given to it when it is there. */
struct kept {
	struct buf records;		/* in the form of the file */
	struct mesh_record own;		/* sequence 0: there was none */
};
void keep_read(struct lan *l, struct kept *k);
void keep_load(struct lan *l, const struct kept *k);
void keep_claims(struct lan *l);
/* A rotation that came over the wire, before the next one can. */
void keep_rotation(struct lan *l, struct slice rotation);
void keep_rotation_drop(struct lan *l);
void keep_soon(struct lan *l);
void keep_records_soon(struct lan *l);	/* sooner */
void keep_now(struct lan *l);
void keep_fire(struct timer *t);

/* ---- underlay.c ---- */
WARN_UNUSED int underlay_start(struct meshlan *m, struct error *err);
void underlay_stop(struct meshlan *m);
/* Tell a network (or, NULL, all) which endpoints it has here, and which peers are configured. */
void underlay_tell(struct meshlan *m, struct lan *l);

/* ---- beacons.c ---- */
void beacons_start(struct meshlan *m);
void beacons_stop(struct meshlan *m);
/* Hear those of the network at this interface. */
void beacons_join(struct meshlan *m, uint32_t ifindex);
/* To each interface, once for each family. */
void beacons_send(struct lan *l, struct slice bytes);

/* ---- peers.c: of the configuration ---- */
WARN_UNUSED int peers_start(struct meshlan *m, struct error *err);
void peers_stop(struct meshlan *m);

/* ---- addrguard.c ---- */
/* Before any network runs: what a process that was killed has left in the kernel goes. */
void lan_guard_begin(void);
/* After own addresses or forwards have changed, and before the interface has them. */
void lan_guard(struct lan *l);
void lan_guard_fire(struct timer *t);
void lan_unguard(struct lan *l);	/* after the interface has gone */

/* ---- reach.c ---- */
/* Before any network runs: what a process that was killed has left in the kernel goes. */
void reach_begin(void);
void reach_start(struct lan *l);
void reach_stop(struct lan *l);
/* A forward's addresses, IPv4 in host order; false: the block it lives in is not claimed. */
bool reach_place(const struct lan *l, const struct mesh_record *own, const struct forward *f, uint32_t *v4,
		 uint8_t v6[static 16]);
/* After own addresses or forwards have changed. */
void reach_follow(struct lan *l);
/* Now and then: what does not work becomes a warning, and what works again none. */
void reach_watch(struct lan *l);

/* ---- nameserver.c ---- */
WARN_UNUSED int nameserver_start(struct meshlan *m, struct error *err);
void nameserver_stop(struct meshlan *m);
/* After networks, or their own addresses, have changed. */
void nameserver_follow(struct meshlan *m);

/* ---- door.c ---- */
WARN_UNUSED int door_start(struct meshlan *m, struct error *err);
void door_stop(struct meshlan *m);

#endif
