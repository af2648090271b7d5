/*
 * Telling systemd-resolved: for each interface what is wanted, and one child at a time that makes it so.
 *
 *	           set               all commands ended with 0
 *	   NONE ---------> SETTING ----------------------------> SET
 *	     ^               |  ^  set to something else          |
 *	     |        failed |  +---------------------------------+
 *	     |               v                                    | clear
 *	     +---------- CLEARING <-------------------------------+
 *	      "revert"       |
 *	      has ended      +--> FAILED --> SETTING, when its time has come
 *
 * A link in SETTING or CLEARING has its turn when no child runs. One that was set anew while its child ran begins again
 * with the first command, when that child has ended. FAILED comes by way of CLEARING: half of it must not stay.
 */
#include "meshlan/resolved.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "mesh/hosts.h"
#include "sys/clock.h"
#include "sys/process.h"

#define SERVER_MAX 46	/* an address as text, and NUL */

enum link_state { LINK_SETTING, LINK_SET, LINK_CLEARING, LINK_FAILED };	/* NONE: there is no link */

struct link {
	struct link *next;
	char interface[IF_NAMESIZE];
	struct resolvectl up[RESOLVECTL_UP], down;
	enum link_state state;
	bool wanted;		/* false: it goes when CLEARING has ended */
	bool again;		/* set anew while its child ran */
	unsigned step;		/* of SETTING: the command that is next, or runs */
	int64_t wait_ms;	/* the last pause after a failure; 0: none yet */
	int64_t retry_ms;	/* of FAILED */
	char why[512];		/* the last failure, said once; "" when it works */
};

struct resolved {
	struct loop *loop;
	char *program;			/* NULL: of those below the first that is there */
	struct link *links;
	size_t count;
	struct link *running;		/* whose child it is */
	bool reverting;			/* what the child does */
	struct process process;
	int errors;			/* the reading end of the child's standard error; -1 */
	struct watch watch;		/* of the child's pidfd */
	struct timer timer;		/* the next one that FAILED and is to be tried again */
	void (*changed)(void *arg);	/* or NULL */
	void *changed_arg;
};

static const char *const programs[] = {"/usr/bin/resolvectl", "/bin/resolvectl"};

static void turn(struct resolved *r);

static struct link *find(const struct resolved *r, const char *interface)
{
	struct link *l;

	for (l = r->links; l != NULL; l = l->next) {
		if (strcmp(l->interface, interface) == 0)
			return l;
	}
	return NULL;
}

static void forget(struct resolved *r, struct link *gone)
{
	struct link **at;

	for (at = &r->links; *at != gone; at = &(*at)->next)
		;
	*at = gone->next;
	r->count--;
	free(gone);
}

/* ---- commands ---- */

/* Where there is none, the first place is named: it is the one that the manual names. */
static const char *program(const struct resolved *r)
{
	size_t i;

	if (r->program != NULL)
		return r->program;
	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (access(programs[i], X_OK) == 0)
			return programs[i];
	}
	return programs[0];
}

/* The command as the kernel wants it: by the program's path. */
static void command_argv(const char *argv[static RESOLVECTL_ARGS_MAX], const struct resolved *r,
			 const struct resolvectl *c)
{
	memcpy(argv, c->argv, sizeof(c->argv));
	argv[0] = program(r);
}

/* What it said on its standard error, as far as it is there: one line of it. */
static void read_errors(int fd, char *out, size_t size)
{
	char text[200];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	size_t len = n > 0 ? (size_t)n : 0, i;

	for (i = 0; i < len && text[i] != '\n'; i++)
		;
	printable(out, size, slice_of(text, i));
}

static int start(struct resolved *r, const struct resolvectl *c, struct error *err)
{
	const char *argv[RESOLVECTL_ARGS_MAX];
	struct process_spec spec = PROCESS_SPEC(argv);
	int pipes[2], result;

	command_argv(argv, r, c);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	spec.stderr_fd = pipes[1];
	result = process_start(&r->process, &spec, err);
	close(pipes[1]);
	if (result < 0 || fcntl(pipes[0], F_SETFL, O_NONBLOCK) < 0) {
		close(pipes[0]);
		return -1;
	}
	r->errors = pipes[0];
	r->watch.fd = r->process.pidfd;
	r->watch.events = EPOLLIN;
	if (loop_watch(r->loop, &r->watch, err) < 0)
		return -1;
	loop_watch_deadline(&r->watch, loop_now_ms(r->loop) + RESOLVED_COMMAND_MS);
	return 0;
}

static void child_release(struct resolved *r)
{
	loop_unwatch(&r->watch);
	process_release(&r->process);
	if (r->errors >= 0)
		close(r->errors);
	r->errors = -1;
	r->running = NULL;
}

/* How the child ended: 0, or -1 with why. */
static int child_judge(struct resolved *r, bool late, struct error *err)
{
	char text[256];
	int status = 0;

	if (late)
		return error_set(err, ERR_RETRY, "resolvectl has not ended within %d s", RESOLVED_COMMAND_MS / 1000);
	if (process_wait(&r->process, 0, &status, err) < 0)
		return -1;
	if (status == 0)
		return 0;
	read_errors(r->errors, text, sizeof(text));
	return error_set(err, ERR_FAILED, "resolvectl ended with %d: %s", status, text[0] != '\0' ? text : "no word why");
}

/* ---- links ---- */

static void tell_changed(const struct resolved *r)
{
	if (r->changed != NULL)
		r->changed(r->changed_arg);
}

/* Half of it may hold: that is taken back, before it is tried again. */
static void link_failed(const struct resolved *r, struct link *l, struct error *err)
{
	if (strcmp(l->why, err->text) != 0) {
		snprintf(l->why, sizeof(l->why), "%s", err->text);
		error_wrap(err, "systemd-resolved does not know of the names on '%s'", l->interface);
		error_hint(err, "where there is none, 'meshanics meshlan names --hosts' makes lines for a hosts file");
		log_failure(LOG_LEVEL_WARN, "dns.resolved", err);
		tell_changed(r);
	}
	l->wait_ms = l->wait_ms == 0 ? RESOLVED_RETRY_MS : 2 * l->wait_ms;
	l->wait_ms = l->wait_ms > RESOLVED_RETRY_MAX_MS ? RESOLVED_RETRY_MAX_MS : l->wait_ms;
	l->state = LINK_CLEARING;
}

static void link_set(const struct resolved *r, struct link *l)
{
	log_info("dns.resolved", "interface=%s server=%s domain=%s", l->interface, l->up[RESOLVECTL_UP - 1].value,
		 l->up[RESOLVECTL_UP - 2].value);
	l->state = LINK_SET;
	l->wait_ms = 0;
	l->why[0] = '\0';
	tell_changed(r);
}

/* "revert" has ended, one way or the other: an interface that is gone needs none. */
static void link_cleared(struct resolved *r, struct link *l)
{
	if (!l->wanted) {
		forget(r, l);
	} else if (l->why[0] != '\0' && !l->again) {
		l->state = LINK_FAILED;
		l->retry_ms = loop_now_ms(r->loop) + l->wait_ms;
	} else {
		l->state = LINK_SETTING;
		l->step = 0;
	}
}

/* The command of the link has ended, or could not be started. */
static void link_step(struct resolved *r, struct link *l, int result, struct error *err)
{
	if (l->state == LINK_CLEARING) {
		if (r->reverting)	/* else it was set, and cleared meanwhile */
			link_cleared(r, l);
	} else if (l->again) {
		l->step = 0;
	} else if (result < 0) {
		link_failed(r, l, err);
	} else if (++l->step == RESOLVECTL_UP) {
		link_set(r, l);
	}
}

static void child_ended(struct watch *w, uint32_t revents)
{
	struct resolved *r = container_of(w, struct resolved, watch);
	struct error err = ERROR_INIT;
	struct link *l = r->running;
	int result = child_judge(r, revents == 0, &err);

	child_release(r);
	link_step(r, l, result, &err);
	turn(r);
}

/* The next one that has something to do; *at_ms gets when the first of those that wait is to be tried again. */
static struct link *next_link(struct resolved *r, int64_t *at_ms)
{
	struct link *l;

	*at_ms = LOOP_NEVER;
	for (l = r->links; l != NULL; l = l->next) {
		if (l->state == LINK_FAILED && l->retry_ms <= loop_now_ms(r->loop)) {
			l->state = LINK_SETTING;
			l->step = 0;
		}
		if (l->state == LINK_SETTING || l->state == LINK_CLEARING)
			return l;
		if (l->state == LINK_FAILED && l->retry_ms < *at_ms)
			*at_ms = l->retry_ms;
	}
	return NULL;
}

/* Start what is to be done next, unless something runs. */
static void turn(struct resolved *r)
{
	int64_t at_ms = LOOP_NEVER;
	struct link *l;

	loop_timer_cancel(r->loop, &r->timer);
	while (r->running == NULL && (l = next_link(r, &at_ms)) != NULL) {
		struct error err = ERROR_INIT;

		r->running = l;
		r->reverting = l->state == LINK_CLEARING;
		l->again = false;
		if (start(r, r->reverting ? &l->down : &l->up[l->step], &err) == 0)
			return;
		child_release(r);
		link_step(r, l, -1, &err);
	}
	if (at_ms != LOOP_NEVER)
		loop_timer_set(r->loop, &r->timer, at_ms);
}

static void timer_fired(struct timer *t)
{
	turn(container_of(t, struct resolved, timer));
}

/* ---- what others see ---- */

struct resolved *resolved_new(struct loop *loop, const char *resolvectl)
{
	struct resolved *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->program = resolvectl != NULL ? xstrdup(resolvectl) : NULL;
	r->process = PROCESS_INIT;
	r->errors = -1;
	r->watch.ready = child_ended;
	r->timer.fire = timer_fired;
	return r;
}

void resolved_on_change(struct resolved *r, void (*changed)(void *arg), void *arg)
{
	r->changed = changed;
	r->changed_arg = arg;
}

/* In the order of the links, as long as there is time; what cannot be taken back goes with the interface. */
static void revert_now(const struct resolved *r, const struct link *l, int64_t ends_ms)
{
	const char *argv[RESOLVECTL_ARGS_MAX];
	struct process_spec spec = PROCESS_SPEC(argv);
	int64_t left_ms = ends_ms - clock_mono_ms();
	struct error err = ERROR_INIT;
	int status;

	command_argv(argv, r, &l->down);
	if (left_ms > 0)
		(void)!process_run(&spec, SLICE_EMPTY, NULL, NULL, (int)left_ms, &status, &err);
}

void resolved_free(struct resolved *r)
{
	int64_t ends_ms = clock_mono_ms() + RESOLVED_FREE_MS;
	struct link *l;

	if (r == NULL)
		return;
	child_release(r);
	loop_timer_cancel(r->loop, &r->timer);
	while ((l = r->links) != NULL) {
		if (l->state != LINK_FAILED)
			revert_now(r, l, ends_ms);
		forget(r, l);
	}
	free(r->program);
	free(r);
}

/* Whether both say the same, word by word. */
static bool same_commands(const struct resolvectl *a, const struct resolvectl *b)
{
	size_t i;

	for (i = 0; i < RESOLVECTL_UP; i++) {
		if (strcmp(a[i].value, b[i].value) != 0)
			return false;
	}
	return true;
}

static struct link *link_new(struct resolved *r, const char *interface)
{
	struct link *l = xcalloc(1, sizeof(*l)), **at;

	snprintf(l->interface, sizeof(l->interface), "%s", interface);
	for (at = &r->links; *at != NULL; at = &(*at)->next)
		;
	*at = l;
	r->count++;
	return l;
}

int resolved_set(struct resolved *r, const char *interface, const char *server, const char *suffix, struct error *err)
{
	struct resolvectl up[RESOLVECTL_UP], down;
	struct link *l;

	/* The first are to see whether it can be said at all; a struct resolvectl cannot be moved. */
	if (resolvectl_up(up, interface, server, suffix, err) < 0 || resolvectl_down(&down, interface, err) < 0)
		return -1;
	l = find(r, interface);
	if (l == NULL && r->count >= RESOLVED_LINKS_MAX)
		return error_set(err, ERR_LIMIT, "systemd-resolved is told of %d interfaces already", RESOLVED_LINKS_MAX);
	if (l != NULL && l->wanted && same_commands(l->up, up))
		return 0;
	if (l == NULL)
		l = link_new(r, interface);
	if (resolvectl_up(l->up, interface, server, suffix, err) < 0 || resolvectl_down(&l->down, interface, err) < 0)
		return -1;
	l->wanted = true;
	l->again = r->running == l;
	l->wait_ms = 0;
	if (r->running != l || l->state != LINK_CLEARING) {
		l->state = LINK_SETTING;
		l->step = 0;
	}
	turn(r);
	return 0;
}

void resolved_clear(struct resolved *r, const char *interface)
{
	struct link *l = find(r, interface);

	if (l == NULL || !l->wanted)
		return;
	l->wanted = false;
	l->state = LINK_CLEARING;
	turn(r);
}

enum resolved_state resolved_look(const struct resolved *r, const char *interface, const char **why)
{
	const struct link *l = find(r, interface);

	if (why != NULL)
		*why = l != NULL ? l->why : "";
	if (l == NULL)
		return RESOLVED_NONE;
	if (l->wanted && l->why[0] != '\0')
		return RESOLVED_FAILED;
	return l->state == LINK_SET ? RESOLVED_SET : RESOLVED_SETTING;
}

bool resolved_idle(const struct resolved *r)
{
	const struct link *l;

	for (l = r->links; l != NULL; l = l->next) {
		if (l->state == LINK_SETTING || l->state == LINK_CLEARING)
			return false;
	}
	return true;
}
