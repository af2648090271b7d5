/*
 * A connected descriptor, nonblocking, with or without TLS on it: one way to read and write for servers on
 * a loop and clients that poll. When a call would block, `wait` says for what.
 */
#ifndef MESHANICS_NET_STREAM_H
#define MESHANICS_NET_STREAM_H

#include <sys/types.h>

#include "base/buf.h"
#include "net/tls.h"

#define STREAM_BLOCKED (-2)
#define STREAM_FDS_MAX 16

struct stream {
	int fd;			/* owned; -1 when closed */
	struct tls *tls;	/* owned; NULL: plain */
	uint32_t wait;		/* what the last blocked call needs: EPOLLIN or EPOLLOUT (as POLLIN, POLLOUT) */
	uint64_t received;	/* bytes of the wire, those of TLS included */
	struct buf ahead;	/* plain bytes taken out of TLS to make room for writing */
	struct buf wire;	/* bytes from the wire for which TLS has no room yet */
	struct buf flight;	/* records of the handshake that go out together */
	bool take_fds;		/* receive descriptors (unix sockets) */
	bool sent;		/* something went out through TLS; whoever wonders clears it first */
	int fds[STREAM_FDS_MAX];	/* received, -1 where none; more than fit are closed */
};
#define STREAM_NO_FDS {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
#define STREAM_INIT ((struct stream){.fd = -1, .fds = STREAM_NO_FDS})

/* Takes fd and tls. On a server tls may come later (s->tls), before anything is read or written. */
void stream_open(struct stream *s, int fd, struct tls *tls);
/* Closes descriptors and frees tls, without close_notify. Safe on STREAM_INIT and when closed. */
void stream_close(struct stream *s);

/* 1 when data may flow (always, when plain), STREAM_BLOCKED, or -1. */
WARN_UNUSED int stream_handshake(struct stream *s, struct error *err);
/*
 * Append at most `most` bytes to `in`, whose ceiling must allow them. The count; 0 at the orderly end;
 * STREAM_BLOCKED; -1 (a TLS stream that ends without close_notify is a cut: ERR_RETRY).
 */
WARN_UNUSED ssize_t stream_read(struct stream *s, struct buf *in, size_t most, struct error *err);
/* Something to read is here already, whatever epoll says of the descriptor: read before waiting. */
bool stream_pending(const struct stream *s);
/* Take some of the bytes: the count, STREAM_BLOCKED when none, -1. With TLS they may wait for stream_flush. */
WARN_UNUSED ssize_t stream_write(struct stream *s, struct slice bytes, struct error *err);
/* 1 when everything written has gone to the kernel, STREAM_BLOCKED, -1. */
WARN_UNUSED int stream_flush(struct stream *s, struct error *err);
/* As stream_write, from a file at offset; at most `most` bytes. 0 when the file is shorter than was thought. */
WARN_UNUSED ssize_t stream_write_file(struct stream *s, int file_fd, uint64_t offset, uint64_t most,
				      struct error *err);
/* As stream_write on a unix socket, with descriptors (at most STREAM_FDS_MAX) passed along with the first byte. */
WARN_UNUSED ssize_t stream_send_fds(struct stream *s, struct slice bytes, const int *fds, size_t count,
				    struct error *err);
/* Nothing is expected for a while: hold no memory for it. */
void stream_rest(struct stream *s);
/* Say goodbye: close_notify and the end of our direction, as far as that goes without waiting. */
void stream_shutdown(struct stream *s);

#endif
