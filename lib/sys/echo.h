/*
 * Echo requests of ICMP and ICMPv6 ("ping") from this host to any address, and what comes back: answers, and errors
 * about them. One socket a family serves many targets at once, told apart by address and sequence. A ping socket
 * where the system lets us have one (net.ipv4.ping_group_range), else a raw one (CAP_NET_RAW). Nothing blocks: the
 * descriptor is for a loop (EPOLLIN; EPOLLERR says the same). No clock but for the stamps.
 */
#ifndef MESHANICS_SYS_ECHO_H
#define MESHANICS_SYS_ECHO_H

#include "base/error.h"
#include "sys/udp.h"

#define ECHO_PAYLOAD_MAX 9000

struct echo {
	int fd;			/* -1: closed */
	int family;		/* AF_INET or AF_INET6 */
	bool raw;
	uint16_t id;		/* that ours carry: the kernel's choice, or of a raw socket a random one */
};

struct echo_event {
	int error;		/* 0: an answer; else why there is none: EHOSTUNREACH, ENETUNREACH, EACCES, EMSGSIZE, ... */
	union udp_addr target;	/* that was asked; no port */
	uint16_t sequence;
	int64_t at_us;		/* when it reached this host, on clock_mono_us */
	struct slice payload;	/* of an answer, in the caller's room, as much as fits */
};

/* -1: ERR_DENIED where the system lets us have neither kind of socket. */
WARN_UNUSED int echo_open(struct echo *e, int family, struct error *err);
void echo_close(struct echo *e);	/* safe on a closed one */
/*
 * Ask once. The port of `to` is not used; its scope is, for link-local. Returns 0 or an errno (ENETUNREACH, EMSGSIZE,
 * EAGAIN, ...).
 */
int echo_send(struct echo *e, const union udp_addr *to, uint16_t sequence, const void *payload, size_t len);
/* What has come, one by one; false: nothing more for now. */
bool echo_receive(struct echo *e, struct echo_event *out, uint8_t *room, size_t size);

#endif
