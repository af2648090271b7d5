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
 *	   |-- transfer link: VOLUME, for each file of a bundle |  kept; has no answer
 *	   |-- transfer link: OPEN ---------------------------->|  manifest, signature, metadata, as blobs
 *	   |<- DONE blobs | FAILED -----------------------------|
 *	   |-- transfer link: CHECK payloads ------------------>|  read to the end, and their SHA-256 is right
 *	   |<- PROGRESS | DONE | FAILED ------------------------|
 *	   |-- transfer link: UNPACK length, sha256 ----------->|  the payload, staged
 *	   |<- PROGRESS | DONE staged file | FAILED ------------|
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
	LINK_FETCH,	/* {"path","length","sha256","now_s","content" (optional): bytes that may be asked for} */
	LINK_VOLUME,	/* {"name","first"}, fd: a file of a bundle, or none; "first" drops those of before */
	LINK_OPEN,	/* {"now_s","floor_s"}, fd: blobs, the stored metadata and perhaps UNPACK_TARGETS */
	LINK_CHECK,	/* {}, fd: the payloads, raw SHA-256s one after the other in the order of the bundle */
	LINK_UNPACK,	/* {"length","sha256"} */
	LINK_PROGRESS,	/* {"bytes","received"}: of the payload here (FETCH), on the wire */
	LINK_DONE,	/* {"received"}, fd: answer, blobs or the staged file */
	LINK_FAILED,	/* {"kind","text","hint","status","retry_after_s","received"} */
	LINK_TYPES,
};

/* What came along with an answer, or with a failure. */
struct link_reply {
	unsigned status;	/* HTTP status of the refusal, or 0 */
	int64_t retry_after_s;	/* what the server asked for with it; -1: nothing */
	uint64_t received;	/* bytes of the wire that the request took */
};
#define LINK_REPLY_INIT ((struct link_reply){.retry_after_s = -1})

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
/* An error as LINK_FAILED. */
WARN_UNUSED int link_send_error(int sock, const struct error *why, const struct link_reply *reply, struct error *err);
/* The reverse: fills why and reply from m's body (a malformed one is ERR_FAILED). */
void link_read_error(const struct link_msg *m, struct error *why, struct link_reply *reply);
/* LINK_DONE, with fd as in link_send; and what it says of the bytes received (0 when malformed). */
WARN_UNUSED int link_send_done(int sock, uint64_t received, int fd, struct error *err);
uint64_t link_read_received(const struct link_msg *m);

/* Bytes in an anonymous file, sealed against change: the descriptor, or -1. */
WARN_UNUSED int link_blob(struct slice bytes, struct error *err);
/* Append all of an open file, at most out's ceiling. */
WARN_UNUSED int link_blob_read(int fd, struct buf *out, struct error *err);

#endif
