/* Listening descriptors: TCP and unix. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/server.h"
#include "sys/fault.h"
#include "sys/file.h"

#define BACKLOG 1024

static int listen_fail(int fd, int error_number, const char *address, struct error *err)
{
	error_errno(err, error_number, "cannot listen on '%s'", address);
	if (error_number == EADDRINUSE) {
		err->kind = ERR_CONFLICT;
		error_hint(err, "another process listens there; 'ss -ltnp' names it");
	} else if (error_number == EACCES) {
		error_hint(err, "ports below 1024 need CAP_NET_BIND_SERVICE");
	} else if (error_number == EADDRNOTAVAIL) {
		error_hint(err, "no interface of this machine has that address");
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A socket file whose owner is gone refuses connections; one that answers is in use. */
static int unix_clear(const struct sockaddr_un *a, struct error *err)
{
	struct stat st;
	int fd, r, e;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : error_errno(err, errno, "cannot look at '%s'", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ERR_CONFLICT, "'%s' exists and is not a socket", a->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	r = connect(fd, (const struct sockaddr *)a, sizeof(*a));
	e = errno;
	close(fd);
	if (r == 0 || e != ECONNREFUSED)
		return error_set(err, ERR_CONFLICT, "another process listens on '%s'", a->sun_path);
	return file_unlink(AT_FDCWD, a->sun_path, err) < 0 ? error_wrap(err, "a stale socket") : 0;
}

static int listen_unix(const char *path, struct error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(a.sun_path))
		return error_set(err, ERR_USAGE, "socket path '%s' has %zu bytes, not 1 to %zu",
				 path, len, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, len + 1);
	if (unix_clear(&a, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* On Linux the socket's mode becomes the file's, so that at no moment others may connect. */
	if (fd < 0 || sys_fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    sys_chmod(AT_FDCWD, path, 0600) < 0 || listen(fd, BACKLOG) < 0)
		return listen_fail(fd, errno, path, err);
	return fd;
}

int listen_open(const char *address, struct error *err)
{
	struct sockaddr_storage a;
	int fd, on = 1, off = 0;
	socklen_t len;

	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(address + 5, err);
	if (addr_parse(&a, &len, slice_str(address), err) < 0)
		return -1;
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && errno == EAFNOSUPPORT &&
	    address[0] == ':') { /* no IPv6 here: all addresses are IPv4 */
		struct sockaddr_in a4 = {.sin_family = AF_INET,
					 .sin_port =
						 ((struct sockaddr_in6 *)(void *)&a)->sin6_port};

		memcpy(&a, &a4, sizeof(a4));
		len = sizeof(a4);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (a.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
	    bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, BACKLOG) < 0)
		return listen_fail(fd, errno, address, err);
	return fd;
}

uint16_t listen_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	if (a.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)(void *)&a)->sin_port);
	return a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&a)->sin6_port) : 0;
}
