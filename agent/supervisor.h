/* Between the files of the supervisor: one struct agent on one loop. */
#ifndef MESHANICS_AGENT_SUPERVISOR_H
#define MESHANICS_AGENT_SUPERVISOR_H

#include <sys/types.h>

#include "agent/agent.h"
#include "agent/home.h"
#include "agent/link.h"
#include "agent/probe.h"
#include "agent/state.h"
#include "net/loop.h"
#include "net/server.h"
#include "sys/notify.h"
#include "tuf/descriptor.h"
#include "tuf/trusted.h"

/* One link to the worker: at most one request is on its way. */
struct agent_link {
	struct agent *agent;
	struct watch watch;	/* its fd is our end; -1 when there is no worker */
	int64_t asked_ms;	/* when, 0: nothing is asked */
	unsigned asked;		/* enum talk or enum transfer */
	/* The answer, or why there is none (why.kind ERR_RETRY when the worker died); m is NULL on failure. */
	void (*answer)(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why,
		       unsigned status);
};

/* What the control link carries, in this order of urgency. */
enum talk { TALK_NONE, TALK_REGISTER, TALK_STATUS, TALK_RENEW, TALK_HEARTBEAT };
enum transfer { TRANSFER_NONE, TRANSFER_UPDATE, TRANSFER_FETCH };

/* Copying a staged payload into root's storage, a piece a turn, so that the loop stays awake. */
struct intake {
	int from_fd, to_fd;	/* -1: none */
	uint64_t at;
	struct sha256 hash;
};

struct agent {
	const struct agent_options *options;
	char home[4096];	/* HOME/agent */
	int home_fd, artifacts_fd, lock_fd;
	struct identity identity;
	char instance[INSTANCE_LEN];
	struct db *db;
	struct trusted trusted;
	struct loop *loop;
	struct notify notify;
	struct watch signals;
	struct timer watchdog;
	bool wiped;
	struct error fatal;	/* why the loop was stopped, when it was by a failure; the next start goes on */

	/* worker.c's other side */
	pid_t worker_pid;
	struct agent_link control, transfer;
	struct timer worker_again;
	unsigned worker_failures;

	/* talk.c */
	struct timer talk_timer;
	bool registered, renew_asked;
	int64_t heartbeat_at_ms;	/* when the next one is due */
	int64_t interval_s;		/* as the server said last */
	int64_t renew_wait_ms;		/* no renewal before */
	unsigned talk_failures;
	int64_t talked_s;		/* last good answer */
	int64_t report_sent;		/* seq of the report on its way */
	struct seckey *renew_key;	/* of the renewal on its way */
	char talk_error[512];		/* why the last one failed, or "" */

	/* update.c */
	struct update update;
	struct descriptor descriptor;	/* of update, when signed_known */
	bool refreshed;			/* metadata was verified since the update (or the agent) started */
	struct timer step_timer;
	struct timer limit_timer;	/* the last way out of every state */
	unsigned transfer_failures;
	unsigned metadata_refusals, payload_refusals;	/* in a row; of the payload: in all */
	struct error back;		/* why going back was decided, while it has not been done */
	uint64_t downloaded;
	struct intake intake;
	struct probe_attempt attempt;
	struct watch probe_watch;
	unsigned probe_index;
	int64_t probe_attempt;
	bool probe_waited;		/* its delay is over */

	/* status.c */
	struct server *server;
	int status_fd;
};

/* worker side, supervisor.c */
WARN_UNUSED int worker_spawn(struct agent *a, struct error *err);
/* End the worker, at once; what was asked of it fails, and another starts after a while. */
void worker_down(struct agent *a, const char *why);
/* End the worker, at once, and start another: it has the identity of its fork. */
void worker_replace(struct agent *a);
/* Ask the worker; fd borrowed. ERR_RETRY when there is none. */
WARN_UNUSED int link_ask(struct agent_link *l, unsigned asked, enum link_type type, struct slice body, int fd,
			 struct error *err);
static inline bool link_busy(const struct agent_link *l)
{
	return l->asked_ms != 0 || l->watch.fd < 0;
}

/* talk.c: everything that is said to the device API. */
void talk_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why, unsigned status);
void talk_pump(struct agent *a);	/* say what is due, or arm the timer for it */
void talk_soon(struct agent *a);	/* a heartbeat at the next chance */
void talk_fire(struct timer *t);

/* update.c: the state machine of agent/state.h. */
WARN_UNUSED int update_resume(struct agent *a, struct error *err);	/* at start */
void update_offer(struct agent *a, int64_t assignment, struct slice path);
void update_revert(struct agent *a, int64_t assignment, struct slice path);
void transfer_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why,
		     unsigned status);
void update_step(struct agent *a);
void update_step_fire(struct timer *t);
/* installed: what is on record from then on, or NULL. */
void update_enter(struct agent *a, enum update_state next, const struct installed *installed, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void update_limit_fire(struct timer *t);
void update_fail(struct agent *a, const struct error *why);	/* FAILED, or rolled back when it was in place */
void update_end(struct agent *a);	/* after a final state */

/* apply.c: the steps that touch artifacts/. */
void intake_start(struct agent *a, int staged_fd);	/* takes staged_fd */
void intake_step(struct agent *a);
void intake_release(struct intake *in);
void apply_step(struct agent *a);
void probe_step(struct agent *a);
void unapply(struct agent *a);	/* before APPLYING fails: what it may have put beside the version that runs */
void rollback(struct agent *a, const struct error *why);

/* verify.c: what the worker fetched, judged by the same engine against the anchor, the floor and the marks. */
WARN_UNUSED int verify_fetched(struct agent *a, int blobs_fd, struct error *err);
WARN_UNUSED int verify_pack_stored(struct agent *a, struct buf *out, struct error *err);
WARN_UNUSED int verify_descriptor(struct agent *a, struct error *err);	/* into a->descriptor, and may we run it? */
int64_t agent_time_s(const struct agent *a);	/* max(system clock, floor, build time) */

/* status.c */
WARN_UNUSED int status_start(struct agent *a, struct error *err);
void status_stop(struct agent *a);

/* profile.c: what this machine is. */
void profile_put(struct json_writer *w, const char *name);
struct machine {
	char arch[32], os[64], os_version[64], model[128], kernel[128], hostname[256];
	int64_t memory;	/* bytes */
	int64_t cores;
};
void machine_read(struct machine *m);

/* tidy.c: at start, after update_resume */
void agent_tidy(struct agent *a);

/* wipe.c */
void agent_wipe(struct agent *a);	/* leaves nothing of HOME/agent (or sets a->fatal), and stops the loop */
/* Did a wipe end too early? Then it is done now: 1. 0 when there was none; -1 when it still cannot be done. */
WARN_UNUSED int agent_wipe_resume(int home_fd, struct error *err);

/* The delay before attempt n (from 0), ms: 1 s doubling to cap_ms, minus up to half of it by chance. */
int64_t backoff_ms(unsigned n, int64_t cap_ms);

#endif
