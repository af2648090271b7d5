/*
 * The link between supervisor and worker: a SOCK_SEQPACKET pair on which the supervisor asks and the worker
 * answers, one request at a time. The supervisor believes nothing that comes back: bytes are copied out of
 * the descriptors it gets before they are looked at.
 *
 *	supervisor                                              worker (one thread each)
 *	   |-- control link:  POST path, body ----------------->|  device API
 *	   |<- DONE answer | FAILED error ----------------------|
 *	   |-- transfer link: UPDATE target path -------------->|  metadata, as blobs
 *	   |<- DONE blobs | FAILED -----------------------------|
 *	   |-- transfer link: FETCH url path, length, sha256 -->|  the payload, staged and resumed
 *	   |<- PROGRESS bytes so far (at most one a second) ----|
 *	   |<- DONE staged file | FAILED -----------------------|
 *
 * A message is 8 bytes of header, a body of JSON of at most LINK_BODY_MAX bytes, and at most one descriptor, for
 * whatever is larger. Limits: LINK_BLOB_MAX bytes read from a descriptor that stands for a document.
 */
#ifndef MESHANICS_AGENT_LINK_H
#define MESHANICS_AGENT_LINK_H

#include "base/buf.h"
#include "base/error.h"

#define LINK_BODY_MAX 16384
#define LINK_BLOB_MAX (160u << 20)

enum link_type {
	LINK_NONE = 0,
	LINK_POST,	/* {"path","now_s"}, fd: the JSON body */
	LINK_UPDATE,	/* {"target","now_s","floor_s"}; target may be empty: no target is looked up */
	LINK_FETCH,	/* {"path","length","sha256","now_s"} */
	LINK_PROGRESS,	/* {"bytes"} */
	LINK_DONE,	/* fd: answer, blobs or the staged file */
	LINK_FAILED,	/* {"kind","text","hint","status"} */
	LINK_TYPES,
};

struct link_msg {
	enum link_type type;
	struct buf body;	/* JSON text */
	int fd;			/* owned; -1: none */
};
#define LINK_MSG_INIT ((struct link_msg){.body = BUF_INIT(LINK_BODY_MAX), .fd = -1})
void link_msg_release(struct link_msg *m);

/* Send type and body with fd (borrowed; -1: none). ERR_RETRY when the other side is gone. */
WARN_UNUSED int link_send(int sock, enum link_type type, struct slice body, int fd, struct error *err);
/* Receive one message into m (released first). 1, 0 at the end of the other side, -1 with err. */
WARN_UNUSED int link_recv(int sock, struct link_msg *m, struct error *err);
/* An error as LINK_FAILED; status: HTTP status behind it, or 0. */
WARN_UNUSED int link_send_error(int sock, const struct error *why, unsigned status, struct error *err);
/* The reverse: fills why from m's body (a malformed one is ERR_FAILED). */
void link_read_error(const struct link_msg *m, struct error *why, unsigned *status);

/* Bytes in an anonymous file, sealed against change: the descriptor, or -1. */
WARN_UNUSED int link_blob(struct slice bytes, struct error *err);
/* Append all of an open file, at most out's ceiling. */
WARN_UNUSED int link_blob_read(int fd, struct buf *out, struct error *err);

#endif
