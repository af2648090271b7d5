/*
 * Who does what of the data plane: one thread does all of it as long as it is little, or nearly all in one direction,
 * which spares the answer to what came in a thread that must wake up; with much to do in both, another one helps with
 * what comes from the interface.
 */
#include "mesh/plane_internal.h"

#include <poll.h>
#include <unistd.h>

/* Rounds without sleep, and packets each way in them, after which the helper is called. */
#define BUSY_ROUNDS 8
#define BUSY_PACKETS 32
/*
 * After a span with fewer packets than this in one direction the helper goes: 10,000 a second, such as the
 * acknowledgements of a stream of some Gbit/s, for which one thread has time.
 */
#define HELP_SPAN_MS 5
#define HELP_PACKETS 50

/* How much there was to do, counted from some moment on. */
struct work {
	uint64_t out, in;
};

static struct work work_now(const struct plane *p)
{
	return (struct work){.out = counted(&p->tx.tun_packets), .in = counted(&p->rx.received)};
}

static bool both_ways(const struct plane *p, const struct work *since, uint64_t packets)
{
	struct work now = work_now(p);

	return now.out - since->out >= packets && now.in - since->in >= packets;
}

/* ---- the one that helps ---- */

/* It has tx until it gives it back. */
static void help(struct plane *p)
{
	struct pollfd wait[2] = {{.fd = p->tun.fd, .events = POLLIN}, {.fd = p->tx.wake, .events = POLLIN}};
	struct work since = work_now(p);
	int64_t since_ms = p->tx.now_ms;

	while (!atomic_load_explicit(&p->stop, memory_order_relaxed) && !p->tx.gone) {
		bool more = plane_tx_round(p);

		if (p->tx.now_ms - since_ms >= HELP_SPAN_MS) {
			if (!both_ways(p, &since, HELP_PACKETS))
				break;
			since_ms = p->tx.now_ms;
			since = work_now(p);
		}
		if (more)
			continue;
		if (poll(wait, 2, HELP_SPAN_MS) == 0)
			break;
		if (wait[1].revents != 0)
			plane_wake_clear(p->tx.wake);
	}
	atomic_store_explicit(&p->tx.by_helper, false, memory_order_release);
	plane_wake(p->rx.wake);
}

void *plane_help_run(void *arg)
{
	struct plane *p = arg;
	struct pollfd wait = {.fd = p->tx.call, .events = POLLIN};

	while (!atomic_load(&p->stop)) {
		(void)poll(&wait, 1, -1);
		plane_wake_clear(p->tx.call);
		if (atomic_load_explicit(&p->tx.by_helper, memory_order_acquire))
			help(p);
	}
	return NULL;
}

static void call_helper(struct plane *p)
{
	atomic_store_explicit(&p->tx.by_helper, true, memory_order_release);
	plane_wake(p->tx.call);
}

/* ---- the one that is always there ---- */

/* Sleep until something has come; what is worth a look. */
static unsigned wait_for_more(struct plane *p, bool tx)
{
	struct pollfd wait[5] = {{.fd = p->rx.wake, .events = POLLIN}, {.fd = p->udp4.fd, .events = POLLIN},
				 {.fd = p->udp6.fd, .events = POLLIN}, {.fd = p->tx.wake, .events = POLLIN},
				 {.fd = tx && !p->tx.gone ? p->tun.fd : -1, .events = POLLIN}};

	(void)poll(wait, tx ? 5 : 3, -1);
	if (wait[0].revents != 0)
		plane_wake_clear(p->rx.wake);
	if (wait[3].revents != 0)
		plane_wake_clear(p->tx.wake);
	return (wait[1].revents != 0 ? READY_V4 : 0u) | (wait[2].revents != 0 ? READY_V6 : 0u);
}

void *plane_run(void *arg)
{
	struct plane *p = arg;
	bool may_help = sysconf(_SC_NPROCESSORS_ONLN) > 1 && !p->o.no_interface;
	unsigned ready = READY_V4 | READY_V6, busy = 0;
	struct work since = work_now(p);

	while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
		bool tx = !atomic_load_explicit(&p->tx.by_helper, memory_order_acquire), more;

		ready = plane_rx_round(p, ready);
		/* Also when nothing was said of the interface: the kernel answers at once to what was just written. */
		more = tx && plane_tx_round(p);
		if (ready == 0 && !more) {
			ready = wait_for_more(p, tx);
			busy = 0;
		} else if (tx && ++busy < BUSY_ROUNDS) {
			continue;
		} else if (tx && may_help && both_ways(p, &since, BUSY_PACKETS)) {
			call_helper(p);
		}
		busy = 0;
		since = work_now(p);
	}
	return NULL;
}
