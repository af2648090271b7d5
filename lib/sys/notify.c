/* sd_notify(3) without its library: one datagram socket. */
#include "sys/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_open(struct notify *n, const char *path, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len;

	*n = NOTIFY_INIT;
	if (path == NULL || path[0] == '\0')
		return 0;
	len = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || len < 2 || len > sizeof(addr.sun_path) - 1)
		return error_set(err, ERR_FAILED, "NOTIFY_SOCKET '%s' is no address we can send to", path);
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	else
		len++;	/* a name in the file system ends with its NUL, an abstract one is all bytes */
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	if (connect(n->fd, (const struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
		return 0;
	error_errno(err, errno, "cannot reach NOTIFY_SOCKET '%s'", path);
	notify_release(n);
	return -1;
}

void notify_release(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	*n = NOTIFY_INIT;
}

void notify_send(const struct notify *n, const char *state)
{
	ssize_t r;

	if (n->fd < 0)
		return;
	r = send(n->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)r;	/* the service manager acts on silence, which is what it will hear */
}

/* Decimal digits alone, at most max; -1 otherwise. */
static int64_t parse_number(const char *text, int64_t max)
{
	char *end;
	long long v;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	v = strtoll(text, &end, 10);
	return *end != '\0' || errno != 0 || v > max ? -1 : (int64_t)v;
}

int64_t notify_watchdog_ms(const char *watchdog_usec, const char *watchdog_pid)
{
	int64_t usec = parse_number(watchdog_usec, INT64_MAX);

	if (usec <= 0 || (watchdog_pid != NULL && parse_number(watchdog_pid, INT32_MAX) != getpid()))
		return 0;
	return usec / 2000 > 0 ? usec / 2000 : 1;
}
