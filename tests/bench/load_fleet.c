/*
 * A fleet: every device has its turn once an interval, over at most --connections at a time; who has the turn and no
 * connection gets one (by resumption, if it was connected before), and the connection that rested longest is closed.
 *
 *	arrive    each device for the first time: full handshake, register, heartbeat, as fast as it goes
 *	steady    heartbeats at their rate, open loop
 *	storm     all connections gone; --storm devices come back at once: until each has been answered
 *	rollout   heartbeats go on; a command begins a rollout; each device reports five steps; until all are done
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/load.h"

#define AGAIN_MS 100

static const char *const steps[] = {"downloading", "verifying", "applying", "probing", "healthy"};

struct fleet {
	struct load *load;
	struct timer tick;
	struct timer again;		/* after a connection was lost */
	uint64_t lost;
	struct dev *first, **last;	/* who waits for a connection */
	size_t turn;			/* heartbeats that became due */
	int64_t begin_ns;		/* of the rate */
	size_t under_way;		/* connections that are busy */
	size_t said, done;		/* devices answered at least once; through with the rollout */
	size_t wanted;			/* of whichever of the two is waited for */
	bool reached, rolling;
	uint64_t dropped;		/* turns that came while the device was still busy */
};

static int64_t seconds_from_now(int64_t s)
{
	return now_ns() + s * 1000000000;
}

/* ---- what a device says ---- */

static void say_register(struct link *l)
{
	struct load *load = l->load;
	struct buf body = BUF_INIT(1024), out = BUF_INIT(2048);

	buf_printf(&body, "{\"instance\":\"%016zx\",\"profile\":{\"hostname\":\"load\",\"model\":\"bench\",\"arch\":\"x86_64\","
			  "\"os\":\"debian\",\"os_version\":\"12\",\"kernel\":\"6.1.0\",\"agent_version\":\"0.1.0\","
			  "\"memory_mb\":2048,\"cores\":2}}", (size_t)(l->device - load->ids.list));
	load_request(&out, load, "POST", "/device/register", buf_slice(&body));
	link_ask(l, buf_slice(&out), l->device->start_ns);
	buf_release(&body);
	buf_release(&out);
}

static void say_status(struct link *l)
{
	struct dev *d = l->device;
	struct buf body = BUF_INIT(1024), out = BUF_INIT(2048);

	buf_printf(&body, "{\"instance\":\"%016zx\",\"assignment\":%lld,\"seq\":%u,\"path\":\"%s\",\"state\":\"%s\","
			  "\"reason\":\"as asked\",\"at\":\"2026-11-28T06:00:00Z\"}",
		   (size_t)(d - l->load->ids.list), (long long)d->assignment, d->step + 1, d->path, steps[d->step]);
	load_request(&out, l->load, "POST", "/device/status", buf_slice(&body));
	link_ask(l, buf_slice(&out), now_ns());
	buf_release(&body);
	buf_release(&out);
}

static void say_next(struct link *l)
{
	struct dev *d = l->device;

	if (!d->registered)
		say_register(l);
	else if (d->assignment != d->done)
		say_status(l);
	else
		link_ask(l, buf_slice(&l->load->request), d->start_ns);
}

/* The newest assignment in a heartbeat's answer, 0 without one; its path. Answers are our own server's: no parser. */
static int64_t read_assignment(struct slice body, char path[static 96])
{
	char text[1024];
	const char *a, *p;

	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(body));
	a = strstr(text, "\"assignment\":");
	p = a == NULL ? NULL : strstr(a, "\"path\":\"");
	if (p == NULL || sscanf(p, "\"path\":\"%95[^\"]", path) != 1)
		return 0;
	return strtoll(a + strlen("\"assignment\":"), NULL, 10);
}

/* ---- connections ---- */

static void queue_up(struct fleet *f, struct dev *d)
{
	d->queued = true;
	d->next = NULL;
	*f->last = d;
	f->last = &d->next;
}

static void serve_queue(struct fleet *f)
{
	struct load *load = f->load;

	while (f->first != NULL && f->under_way < (size_t)load->o->parallel) {
		struct dev *d = f->first;

		if (load->links >= (size_t)load->o->connections) {
			if (load->oldest->state != LINK_IDLE)
				return;
			link_close(load->oldest);
		}
		f->first = d->next;
		if (f->first == NULL)
			f->last = &f->first;
		d->queued = false;
		f->under_way++;
		(void)link_open(load, d, true);
	}
}

/* It is d's turn. */
static void turn(struct fleet *f, struct dev *d, int64_t due_ns)
{
	if (d->queued || (d->link != NULL && d->link->state != LINK_IDLE)) {
		f->dropped++;
		return;
	}
	d->start_ns = due_ns;
	if (d->link == NULL) {
		queue_up(f, d);
		return;
	}
	f->under_way++;
	say_next(d->link);
}

static void fleet_answered(struct link *l, int status, struct slice body)
{
	struct fleet *f = l->load->user;
	struct dev *d = l->device;
	int64_t assignment;

	if (status == 200 && !d->registered) {
		d->registered = true;
		d->start_ns = now_ns();
		say_next(l);
		return;
	}
	if (status == 200 && d->assignment != d->done) {
		if (++d->step == ARRAY_SIZE(steps)) {
			d->done = d->assignment;
			f->done++;
		}
	} else if (status == 200) {
		f->said += !d->said;
		d->said = true;
		assignment = f->rolling ? read_assignment(body, d->path) : 0;
		if (assignment != 0 && assignment != d->done) {
			d->assignment = assignment;
			d->step = 0;
		}
	}
	if (status == 200 && d->assignment != d->done) {
		say_next(l);
		return;
	}
	f->under_way--;
	f->reached = (f->rolling ? f->done : f->said) >= f->wanted;
	serve_queue(f);
}

/* A device whose connection is lost with something to say comes again in a moment; its latency counts from the start. */
static void fleet_down(struct link *l, const struct error *why)
{
	struct fleet *f = l->load->user;

	if (l->state == LINK_IDLE)
		return;
	f->under_way--;
	f->lost++;
	if (f->lost < 5)
		fprintf(stderr, "lost: %s\n", why->text);
	queue_up(f, l->device);
	if (f->again.slot == 0)
		loop_timer_set(f->load->loop, &f->again, loop_now_ms(f->load->loop) + AGAIN_MS);
}

static void fleet_again(struct timer *t)
{
	serve_queue(container_of(t, struct fleet, again));
}

static void fleet_tick(struct timer *t)
{
	struct fleet *f = container_of(t, struct fleet, tick);
	struct load *load = f->load;
	int64_t gap_ns = load->o->interval * 1000000000 / (int64_t)load->ids.count;
	int64_t due_ns;

	while ((due_ns = f->begin_ns + (int64_t)f->turn * gap_ns) <= now_ns())
		turn(f, &load->ids.list[f->turn++ % load->ids.count], due_ns);
	serve_queue(f);
	loop_timer_set(load->loop, t, loop_now_ms(load->loop) + 1);
}

/* ---- phases ---- */

static void arrive(struct fleet *f)
{
	struct load *load = f->load;
	size_t i;

	f->wanted = load->ids.count;
	load_count_from_now(load);
	for (i = 0; i < load->ids.count; i++) {
		load->ids.list[i].registered = load->o->register_ == 0;
		load->ids.list[i].start_ns = now_ns();
		queue_up(f, &load->ids.list[i]);
	}
	serve_queue(f);
	load_run_until(load, seconds_from_now(load->o->timeout), &f->reached);
	load_tell(load, "arrive", f->reached ? ",\"complete\":true" : ",\"complete\":false");
	if (!f->reached)
		load_die("the fleet did not arrive in time", NULL);
}

static void begin_rate(struct fleet *f)
{
	f->turn = 0;
	f->begin_ns = now_ns();
	loop_timer_set(f->load->loop, &f->tick, 0);
}

static void steady(struct fleet *f)
{
	struct load *load = f->load;
	char extra[64];

	begin_rate(f);
	load_run_until(load, seconds_from_now(load->o->interval / 4 + 1), NULL);
	f->dropped = 0;
	load_count_from_now(load);
	load_run_until(load, seconds_from_now(load->o->seconds), NULL);
	snprintf(extra, sizeof(extra), ",\"dropped\":%llu", (unsigned long long)f->dropped);
	load_tell(load, "steady", extra);
	loop_timer_cancel(load->loop, &f->tick);
}

/* Sockets are still in the server's hands for a moment after we closed ours; the storm begins when it is quiet. */
static void storm(struct fleet *f)
{
	static struct options storm_options;
	struct load *load = f->load;
	const struct options *before = load->o;
	size_t i, n = (size_t)load->o->storm < load->ids.count ? (size_t)load->o->storm : load->ids.count;

	load_run_until(load, seconds_from_now(1), NULL);
	load_close_all(load);
	f->under_way = 0;
	load_run_until(load, seconds_from_now(2), NULL);
	storm_options = *before;
	storm_options.connections = storm_options.parallel = (int64_t)n;
	load->o = &storm_options;
	f->said = 0;
	f->wanted = n;
	f->reached = false;
	load_count_from_now(load);
	for (i = 0; i < n; i++) {
		load->ids.list[i].said = false;
		load->ids.list[i].start_ns = now_ns();
		queue_up(f, &load->ids.list[i]);
	}
	serve_queue(f);
	load_run_until(load, seconds_from_now(load->o->timeout), &f->reached);
	load_tell(load, "storm", f->reached ? ",\"complete\":true" : ",\"complete\":false");
	load_close_all(load);
	f->under_way = 0;
	load->o = before;
}

static pid_t begin_command(const char *command)
{
	pid_t pid = fork();

	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* The command is left to run while heartbeats go on; its wall time is told, and that of all reports. */
static void rollout(struct fleet *f)
{
	struct load *load = f->load;
	int64_t begin_ns, command_ns, end_ns;
	int status = 0;
	char extra[128];
	pid_t pid;

	f->rolling = true;
	f->wanted = load->ids.count;
	f->done = 0;
	f->reached = false;
	begin_rate(f);
	load_run_until(load, seconds_from_now(2), NULL);
	load_count_from_now(load);
	begin_ns = now_ns();
	end_ns = seconds_from_now(load->o->timeout);
	pid = begin_command(load->o->rollout);
	while (waitpid(pid, &status, WNOHANG) == 0)
		load_run_until(load, now_ns() + 2000000, NULL);
	command_ns = now_ns() - begin_ns;
	if (status != 0)
		load_die("the rollout's command failed", NULL);
	load_run_until(load, end_ns, &f->reached);
	snprintf(extra, sizeof(extra), ",\"command_s\":%.3f,\"done\":%zu,\"dropped\":%llu", (double)command_ns / 1e9, f->done,
		 (unsigned long long)f->dropped);
	load_tell(load, "rollout", extra);
	loop_timer_cancel(load->loop, &f->tick);
}

void mode_fleet(struct load *load)
{
	static const struct mode mode = {.up = say_next, .answered = fleet_answered, .down = fleet_down};
	struct fleet f = {.load = load, .tick = {.fire = fleet_tick}, .again = {.fire = fleet_again}};

	f.last = &f.first;
	load->user = &f;
	load->mode = &mode;
	arrive(&f);
	if (load->o->seconds > 0)
		steady(&f);
	if (load->o->storm > 0)
		storm(&f);
	if (load->o->rollout != NULL)
		rollout(&f);
	loop_timer_cancel(load->loop, &f.again);
	load_close_all(load);
}
