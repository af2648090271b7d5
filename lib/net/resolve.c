/*
 * Names to addresses with a deadline.
 *
 *	caller                                     thread
 *	------                                     ------
 *	resolve_job, 2 references  --- start --->  getaddrinfo
 *	poll(done_fd, cancel_fd)   <-- eventfd --  result, drop its reference
 *	join, or detach if that is too late; drop its reference: who is last frees the job
 *
 * Joined, since what the C library keeps for a thread goes only when the thread has ended.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/dial.h"

struct resolve_job {
	atomic_uint refs;
	pthread_t thread;
	int done_fd;
	char host[HOST_LEN_MAX + 1], service[8];
	int code; /* of getaddrinfo */
	int sys_errno;
	struct addrinfo *result;
};

/* Threads that are inside getaddrinfo now. A name server that never answers must not eat all our memory. */
static atomic_uint lookups;

static void job_drop(struct resolve_job *j)
{
	if (atomic_fetch_sub(&j->refs, 1) != 1)
		return;
	if (j->result != NULL)
		freeaddrinfo(j->result);
	close(j->done_fd);
	free(j);
}

static void *job_main(void *arg)
{
	struct resolve_job *j = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	uint64_t one = 1;
	ssize_t n;

	j->code = getaddrinfo(j->host, j->service, &hints, &j->result);
	j->sys_errno = errno;
	atomic_fetch_sub(&lookups, 1);
	n = write(j->done_fd, &one, sizeof(one));
	(void)n;
	job_drop(j);
	return NULL;
}

/* Signals stay with the threads that expect them. */
static int job_start(struct resolve_job *j)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 * 1024);
	r = pthread_create(&j->thread, &attr, job_main, j);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int lookup_error(const struct resolve_job *j, struct error *err)
{
	if (j->code == EAI_SYSTEM)
		error_errno(err, j->sys_errno, "cannot look up '%s'", j->host);
	else
		error_set(err, ERR_RETRY, "cannot look up '%s': %s", j->host,
			  gai_strerror(j->code));
	err->kind = ERR_RETRY;
	return error_hint(err, "check the spelling, the network and the name server");
}

static int lookup(const struct dial *d, struct resolve_job *j, struct sockaddr_storage *out,
		  size_t *count, struct error *err)
{
	const struct addrinfo *a;
	uint64_t one;

	atomic_store(&j->refs, 2);
	if (atomic_fetch_add(&lookups, 1) >= DIAL_LOOKUPS_MAX) {
		atomic_fetch_sub(&lookups, 1);
		atomic_store(&j->refs, 1);
		error_set(err, ERR_RETRY, "cannot look up '%s': %d earlier look-ups have not ended", j->host,
			  DIAL_LOOKUPS_MAX);
		return error_hint(err, "the name server does not answer");
	}
	if (job_start(j) != 0) {
		atomic_fetch_sub(&lookups, 1);
		atomic_store(&j->refs, 1);
		return error_set(err, ERR_RETRY, "cannot start a thread to look up '%s'", j->host);
	}
	if (dial_wait(d, j->done_fd, POLLIN, err) < 0 || read(j->done_fd, &one, sizeof(one)) < 0) {
		pthread_detach(j->thread);
		return error_wrap(err, "cannot look up '%s'", j->host);
	}
	pthread_join(j->thread, NULL);
	if (j->code != 0)
		return lookup_error(j, err);
	for (a = j->result; a != NULL && *count < DIAL_ADDRESSES_MAX; a = a->ai_next)
		if (a->ai_addrlen <= sizeof(*out) &&
		    (a->ai_family == AF_INET || a->ai_family == AF_INET6))
			memcpy(&out[(*count)++], a->ai_addr, a->ai_addrlen);
	return *count > 0 ? 0 : error_set(err, ERR_RETRY, "'%s' has no address", j->host);
}

static void literal(const char *host, enum host_kind kind, uint16_t port,
		    struct sockaddr_storage *out)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (kind == HOST_IPV4) {
		inet_pton(AF_INET, host, &a4.sin_addr);
		memcpy(out, &a4, sizeof(a4));
	} else {
		inet_pton(AF_INET6, host, &a6.sin6_addr);
		memcpy(out, &a6, sizeof(a6));
	}
}

int dial_resolve(const struct dial *d, const char *host, enum host_kind kind, uint16_t port,
		 struct sockaddr_storage *out, size_t *count, struct error *err)
{
	struct resolve_job *j;
	int r;

	memset(out, 0, DIAL_ADDRESSES_MAX * sizeof(*out));
	*count = 0;
	if (kind != HOST_NAME) {
		literal(host, kind, port, out);
		*count = 1;
		return 0;
	}
	j = xcalloc(1, sizeof(*j));
	snprintf(j->host, sizeof(j->host), "%s", host);
	snprintf(j->service, sizeof(j->service), "%u", port);
	j->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->done_fd < 0) {
		free(j);
		return error_errno(err, errno, "cannot look up '%s'", host);
	}
	r = lookup(d, j, out, count, err);
	job_drop(j);
	return r;
}
