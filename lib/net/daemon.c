/* Signals and the watchdog of a process with one loop. */
#include "net/daemon.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/file.h"

static void signal_ready(struct watch *w, uint32_t revents)
{
	struct daemon *d = container_of(w, struct daemon, signals);
	struct signalfd_siginfo info;

	(void)revents;
	while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		d->signalled(d, info.ssi_signo);
		if (info.ssi_signo != SIGHUP)
			loop_stop(d->loop);
	}
}

int daemon_signals(int flags, struct error *err)
{
	sigset_t set;
	int fd, e;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if ((e = pthread_sigmask(SIG_BLOCK, &set, NULL)) != 0)
		return error_errno(err, e, "cannot block signals");
	if ((fd = signalfd(-1, &set, SFD_CLOEXEC | flags)) < 0)
		return error_errno(err, errno, "cannot take signals");
	return fd;
}

static int watch_signals(struct daemon *d, struct error *err)
{
	d->signals = (struct watch){.fd = daemon_signals(SFD_NONBLOCK, err), .events = EPOLLIN, .ready = signal_ready};
	if (d->signals.fd < 0)
		return -1;
	return loop_watch(d->loop, &d->signals, err);
}

static void watchdog_fire(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, watchdog);

	notify_send(&d->notify, "WATCHDOG=1");
	loop_timer_set(d->loop, t, loop_now_ms(d->loop) + d->watchdog_ms);
}

int daemon_start(struct daemon *d, struct loop *loop, const char *notify_socket, int64_t watchdog_ms, struct error *err)
{
	d->loop = loop;
	d->watchdog.fire = watchdog_fire;
	d->watchdog_ms = watchdog_ms;
	if (watch_signals(d, err) < 0 || notify_open(&d->notify, notify_socket, err) < 0)
		return -1;
	if (watchdog_ms > 0)
		loop_timer_set(loop, &d->watchdog, loop_now_ms(loop) + watchdog_ms);
	return 0;
}

void daemon_say(const struct daemon *d, const char *state)
{
	notify_send(&d->notify, state);
}

void daemon_stop(struct daemon *d)
{
	if (d->loop != NULL)
		loop_timer_cancel(d->loop, &d->watchdog);
	loop_unwatch(&d->signals);
	file_close(&d->signals.fd);
	notify_release(&d->notify);
}
