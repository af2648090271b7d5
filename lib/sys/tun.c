/* A TUN interface with checksum and segmentation offload. */
#include "sys/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* What the kernel takes of `want`, the best first: USO came last, TSO without checksums makes no sense. */
static unsigned negotiate(int fd, unsigned want)
{
	static const unsigned ladder[] = {TUN_CHECKSUM | TUN_TSO | TUN_USO, TUN_CHECKSUM | TUN_TSO, TUN_CHECKSUM};

	for (size_t i = 0; i < ARRAY_SIZE(ladder); i++) {
		unsigned long flags = TUN_F_CSUM;

		if ((ladder[i] & ~want) != 0)
			continue;
		if (ladder[i] & TUN_TSO)
			flags |= TUN_F_TSO4 | TUN_F_TSO6;
		if (ladder[i] & TUN_USO)
			flags |= TUN_F_USO4 | TUN_F_USO6;
		if (ioctl(fd, TUNSETOFFLOAD, flags) == 0)
			return ladder[i];
	}
	(void)ioctl(fd, TUNSETOFFLOAD, 0UL);
	return 0;
}

static int find_index(struct tun *t, struct error *err)
{
	struct ifreq r = {0};
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int e;

	if (s < 0)
		return error_errno(err, errno, "cannot ask about interfaces");
	memcpy(r.ifr_name, t->name, sizeof(r.ifr_name));
	e = ioctl(s, SIOCGIFINDEX, &r) < 0 ? errno : 0;
	close(s);
	if (e != 0)
		return error_errno(err, e, "cannot ask about interface '%s'", t->name);
	t->ifindex = (uint32_t)r.ifr_ifindex;
	return 0;
}

/* Why there is no interface, in the words that help. */
static int refused(int e, const char *name, struct error *err)
{
	error_errno(err, e, "cannot make interface '%s'", name);
	if (e == EBUSY || e == EEXIST || e == EINVAL) {
		err->kind = ERR_CONFLICT;
		return error_hint(err, "another program has it, or it is no TUN interface");
	}
	if (e == EPERM || e == EACCES) {
		err->kind = ERR_DENIED;
		return error_hint(err, "run it as root, or with CAP_NET_ADMIN");
	}
	return -1;
}

static int no_device(int e, struct error *err)
{
	error_errno(err, e, "cannot open '/dev/net/tun'");
	if (e == EPERM || e == EACCES) {
		err->kind = ERR_DENIED;
		return error_hint(err, "run it as root; a container must be given that device and CAP_NET_ADMIN");
	}
	if (e == ENOENT || e == ENXIO || e == ENODEV)
		err->kind = ERR_NOT_FOUND;
	return error_hint(err, "'modprobe tun' makes it; a container must be given it, "
			  "as by 'docker run --device /dev/net/tun'");
}

int tun_open(struct tun *t, const char *name, unsigned want, struct error *err)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int header = (int)TUN_HEADER_LEN, little = 1;

	*t = (struct tun){.fd = -1};
	if (strlen(name) >= sizeof(r.ifr_name))
		return error_set(err, ERR_USAGE, "'%s' is too long for the name of an interface", name);
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0)
		return no_device(errno, err);
	memcpy(r.ifr_name, name, strlen(name));
	if (ioctl(t->fd, TUNSETIFF, &r) < 0) {
		(void)refused(errno, name, err);
		goto fail;
	}
	memcpy(t->name, r.ifr_name, sizeof(t->name));
	t->name[sizeof(t->name) - 1] = '\0';
	/*
	 * Both are the default on all we know, but said once more: a persistent interface may have been left
	 * otherwise.
	 */
	if (ioctl(t->fd, TUNSETVNETHDRSZ, &header) < 0) {
		error_errno(err, errno, "cannot set up interface '%s'", t->name);
		goto fail;
	}
	if (ioctl(t->fd, TUNSETVNETLE, &little) < 0) {
		error_errno(err, errno, "cannot set up interface '%s'", t->name);
		goto fail;
	}
	t->offloads = negotiate(t->fd, want);
	if (find_index(t, err) < 0)
		goto fail;
	return 0;
fail:
	tun_close(t);
	return -1;
}

void tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

ssize_t tun_read(struct tun *t, void *room, size_t size)
{
	ssize_t n;

	do {
		n = read(t->fd, room, size);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN ? 0 : -1;
}

bool tun_write(struct tun *t, const struct iovec *iov, int n)
{
	ssize_t done;

	do {
		done = n == 1 ? write(t->fd, iov[0].iov_base, iov[0].iov_len) : writev(t->fd, iov, n);
	} while (done < 0 && errno == EINTR);
	return done >= 0;
}
