/*
 * A TUN interface: whole IP packets to and from the kernel, each behind a virtio_net_hdr, so that checksums may be left
 * open and a buffer may hold many segments of one flow (up to 64 KiB).
 */
#ifndef MESHANICS_SYS_TUN_H
#define MESHANICS_SYS_TUN_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "base/error.h"

#define TUN_NAME_LEN 16		/* with NUL */
#define TUN_HEADER_LEN sizeof(struct virtio_net_hdr)	/* 10, before each packet, in both directions */
#define TUN_PACKET_MAX 65535

/* What the kernel accepted. Each is about packets that it hands to us; to it we may always hand all of these where `gso`. */
enum tun_offload {
	TUN_CHECKSUM = 1,	/* TCP and UDP checksums may be left open, both ways */
	TUN_TSO = 2,		/* TCP over IPv4 and IPv6 comes in large buffers */
	TUN_USO = 4,		/* UDP too (Linux 6.2) */
};

struct tun {
	int fd;				/* -1: closed; not blocking */
	char name[TUN_NAME_LEN];
	uint32_t ifindex;
	unsigned offloads;		/* of enum tun_offload */
};

/*
 * Create (or take over, when it is persistent and free) the interface `name`; "mesh%d" lets the kernel choose the number.
 * want: offloads to ask for; those which this kernel lacks are left out. Needs CAP_NET_ADMIN.
 * -1: ERR_NOT_FOUND where there is no /dev/net/tun, ERR_CONFLICT where the name is taken, ERR_DENIED without the capability.
 */
WARN_UNUSED int tun_open(struct tun *t, const char *name, unsigned want, struct error *err);
void tun_close(struct tun *t);	/* the interface goes with it; safe on a closed one */

/* Bytes read into room, header first, or 0 when there is nothing, or -1 when the interface is gone. */
ssize_t tun_read(struct tun *t, void *room, size_t size);
/* Write one packet, header first. Any thread. false: the kernel did not take it (interface down, malformed). */
bool tun_write(struct tun *t, const struct iovec *iov, int n);

#endif
