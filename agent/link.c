/* Messages between supervisor and worker. */
#include "agent/link.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/json.h"
#include "sys/file.h"

#define LINK_MAGIC 0x6d6c6b31u	/* "mlk1" */

struct link_header {
	uint32_t magic, type;
};

void link_msg_release(struct link_msg *m)
{
	file_close(&m->fd);
	buf_release(&m->body);
	m->type = LINK_NONE;
}

int link_send(int sock, enum link_type type, struct slice body, int fd, struct error *err)
{
	struct link_header head = {LINK_MAGIC, (uint32_t)type};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body.ptr, body.len}};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (body.len > LINK_BODY_MAX)
		return error_set(err, ERR_LIMIT, "a message of %zu bytes does not fit the link", body.len);
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return error_set(err, ERR_RETRY, "the other half of the agent is gone");
	if (n < 0)
		return error_errno(err, errno, "cannot send on the link");
	return 0;
}

/* The one descriptor that came along, others are closed; -1 for none. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c;
	int fd = -1;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t count, i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (fd < 0)
				fd = got;
			else
				close(got);
		}
	}
	return fd;
}

int link_recv(int sock, struct link_msg *m, struct error *err)
{
	struct link_header head = {0, 0};
	uint8_t body[LINK_BODY_MAX];
	struct iovec iov[2] = {{&head, sizeof(head)}, {body, sizeof(body)}};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control.room),
	};
	ssize_t n;

	link_msg_release(m);
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0)
		return error_errno(err, errno, "cannot receive on the link");
	m->fd = take_fd(&msg);
	if ((size_t)n < sizeof(head) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    head.magic != LINK_MAGIC || head.type == LINK_NONE || head.type >= LINK_TYPES) {
		link_msg_release(m);
		return error_set(err, ERR_MALFORMED, "a message on the link breaks its format");
	}
	m->type = (enum link_type)head.type;
	buf_put(&m->body, body, (size_t)n - sizeof(head));
	return 1;
}

int link_send_error(int sock, const struct error *why, const struct link_reply *reply, struct error *err)
{
	struct buf body = BUF_INIT(LINK_BODY_MAX);
	struct json_writer w = JSON_WRITER(&body);
	int r;

	json_open_object(&w, NULL);
	json_put_int(&w, "kind", (int64_t)why->kind);
	json_put_string(&w, "text", why->text);
	json_put_string(&w, "hint", why->hint);
	json_put_int(&w, "status", reply->status);
	json_put_int(&w, "retry_after_s", reply->retry_after_s);
	json_put_int(&w, "received", (int64_t)reply->received);
	json_close(&w);
	r = link_send(sock, LINK_FAILED, buf_slice(&body), -1, err);
	buf_release(&body);
	return r;
}

void link_read_error(const struct link_msg *m, struct error *why, struct link_reply *reply)
{
	struct error bad = ERROR_INIT;
	struct slice text = SLICE_EMPTY, hint = SLICE_EMPTY;
	struct json doc = JSON_INIT;
	struct json_value root;
	int64_t kind, code, after_s, received;

	*reply = LINK_REPLY_INIT;
	if (json_parse(&doc, buf_slice(&m->body), JSON_STRICT, &bad) == 0 &&
	    (root = json_root(&doc), true) && json_need_int(root, "kind", ERR_FAILED, ERR_RETRY, &kind, &bad) == 0 &&
	    json_need_int(root, "status", 0, 599, &code, &bad) == 0 &&
	    json_need_int(root, "retry_after_s", -1, INT32_MAX, &after_s, &bad) == 0 &&
	    json_need_int(root, "received", 0, INT64_MAX, &received, &bad) == 0 &&
	    json_need_string(root, "text", &text, &bad) == 0 && json_need_string(root, "hint", &hint, &bad) == 0) {
		error_set(why, (enum error_kind)kind, "%.*s", SLICE_ARG(text));
		if (hint.len > 0)
			error_hint(why, "%.*s", SLICE_ARG(hint));
		*reply = (struct link_reply){(unsigned)code, after_s, (uint64_t)received};
	} else {
		error_set(why, ERR_FAILED, "the worker failed without saying why");
	}
	json_release(&doc);
}

int link_send_done(int sock, uint64_t received, int fd, struct error *err)
{
	char text[48];

	snprintf(text, sizeof(text), "{\"received\":%llu}", (unsigned long long)received);
	return link_send(sock, LINK_DONE, slice_str(text), fd, err);
}

uint64_t link_read_received(const struct link_msg *m)
{
	struct error bad = ERROR_INIT;
	struct json doc = JSON_INIT;
	int64_t received = 0;

	if (json_parse(&doc, buf_slice(&m->body), JSON_STRICT, &bad) < 0 ||
	    json_need_int(json_root(&doc), "received", 0, INT64_MAX, &received, &bad) < 0)
		received = 0;
	json_release(&doc);
	return (uint64_t)received;
}

int link_blob(struct slice bytes, struct error *err)
{
	int fd = memfd_create("meshanics-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return error_errno(err, errno, "cannot make an anonymous file");
	if (file_pwrite_all(fd, bytes, 0, "anonymous file", err) < 0) {
		close(fd);
		return -1;
	}
	(void)!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

int link_blob_read(int fd, struct buf *out, struct error *err)
{
	uint64_t offset = 0;

	for (;;) {
		uint8_t part[65536];
		ssize_t n = file_pread(fd, part, sizeof(part), offset, "document from the worker", err);

		if (n < 0)
			return -1;
		if (n == 0)
			return 0;
		buf_put(out, part, (size_t)n);
		if (out->failed)
			return error_set(err, ERR_LIMIT, "the worker's document is larger than %zu bytes", out->max);
		offset += (uint64_t)n;
	}
}
