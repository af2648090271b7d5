/* Who is at the other end of a Unix socket. */
#include "sys/peer.h"

#include <errno.h>
#include <sys/socket.h>

int peer_of(int fd, struct peer *out, struct error *err)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return error_errno(err, errno, "cannot tell who is at the other end of the socket");
	/* A TCP socket answers too, with nobody's ids. */
	if (len != sizeof(cred) || cred.uid == (uid_t)-1)
		return error_set(err, ERR_FAILED, "the socket does not say who is at its other end");
	*out = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	return 0;
}
