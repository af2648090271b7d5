/* Between the files of the supervisor: one struct agent on one loop. */
#ifndef MESHANICS_AGENT_SUPERVISOR_H
#define MESHANICS_AGENT_SUPERVISOR_H

#include <sys/types.h>

#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/budget.h"
#include "agent/home.h"
#include "agent/link.h"
#include "agent/probe.h"
#include "agent/state.h"
#include "net/daemon.h"
#include "net/server.h"
#include "sys/space.h"
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
		       const struct link_reply *reply);
};

/* What the control link carries, in this order of urgency. */
enum talk { TALK_NONE, TALK_REGISTER, TALK_STATUS, TALK_RENEW, TALK_HEARTBEAT, TALK_KINDS };
enum transfer {
	TRANSFER_NONE, TRANSFER_UPDATE, TRANSFER_FETCH, TRANSFER_ROOTS,
	TRANSFER_OPEN, TRANSFER_CHECK, TRANSFER_UNPACK,	/* of a bundle: local.c */
};

/* Copying a staged payload into root's storage, a piece a turn, so that the loop stays awake. */
struct intake {
	int from_fd, to_fd;	/* -1: none */
	uint64_t at;
	struct sha256 hash;
};

/* A step that found no room on the disk to be written down: nothing is done before it is. */
struct held_step {
	enum update_state next;		/* UPDATE_NONE: there is none */
	bool has_installed;
	struct installed installed;
	char reason[UPDATE_REASON_MAX];
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
	struct daemon daemon;
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
	bool doubted;			/* we are refused: our certificate may have ended, and our clock may not know */
	struct pace pace;
	/* What the server refuses waits by itself, and does not hold up the rest. Heartbeats have their pace. */
	struct {
		unsigned failures;
		int64_t wait_ms;	/* not asked before */
	} talk[TALK_KINDS];
	bool beat_next;			/* the next word is a heartbeat */
	int64_t talked_s;		/* last good answer */
	int64_t report_sent;		/* seq of the report on its way */
	struct seckey *renew_key;	/* of the renewal on its way */
	char talk_error[512];		/* why the last one failed, or "" */
	enum talk talk_error_of;	/* what it was about */

	/* update.c */
	struct update update;
	struct descriptor descriptor;	/* of update, when signed_known */
	bool refreshed;			/* metadata was verified since the update (or the agent) started */
	int64_t refreshed_ms;		/* when, on the loop's clock */
	struct timer step_timer;
	struct timer limit_timer;	/* the last way out of every state */
	struct timer stay_timer;	/* when to note stay_s again */
	int64_t stay_s, stay_from_ms;	/* in this state: so long until stay_from_ms, and on from there */
	unsigned transfer_failures;
	unsigned metadata_refusals, payload_refusals;	/* in a row; of the payload: in all */
	struct error back;		/* why going back was decided, while it has not been done */
	uint64_t downloaded;
	uint64_t furthest;		/* what of the payload was here when we last spoke of progress */
	struct budget budget;
	char boot[BUDGET_BOOT_LEN];
	bool budget_told;		/* this window's end has been told */
	struct intake intake;
	struct probe_attempt attempt;
	struct watch probe_watch;
	unsigned probe_index;
	int64_t probe_attempt;
	bool probe_waited;		/* its delay is over */
	struct held_step held;

	struct local *local;		/* the bundle that is being applied, or was last; NULL: none (agent/local.h) */

	/* room.c */
	struct spare spare;
	struct timer room_timer;	/* while the spare is not whole */
	bool room_waiting;		/* the update waits for room, and has told so */
	unsigned room_failures;

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
void talk_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why,
		 const struct link_reply *reply);
void talk_start(struct agent *a);	/* when the first word is due */
void talk_pump(struct agent *a);	/* say what is due, or arm the timer for it */
void talk_soon(struct agent *a);	/* a heartbeat at the next chance */
void talk_now(struct agent *a);		/* somebody at the device asks for one */
void talk_fire(struct timer *t);

/* update.c: the state machine of agent/state.h. */
WARN_UNUSED int update_resume(struct agent *a, struct error *err);	/* at start */
void update_offer(struct agent *a, int64_t assignment, struct slice path);
void update_revert(struct agent *a, int64_t assignment, struct slice path);
void transfer_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why,
		     const struct link_reply *reply);
void update_progress(struct agent *a, uint64_t bytes);	/* so much of the payload is here */
void update_step(struct agent *a);
void update_step_fire(struct timer *t);
/*
 * installed: what is on record from then on, or NULL. False when the step could not be written: then it is not done,
 * and either the agent stops, or (no room on the disk) the step is held, and update_step makes it later.
 */
bool update_enter(struct agent *a, enum update_state next, const struct installed *installed, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void update_incoming(char out[static 128], const struct update *u);	/* our copy of its payload, in artifacts/ */
void update_limit_fire(struct timer *t);
void update_fail(struct agent *a, const struct error *why);	/* FAILED, or rolled back when it was in place */
void update_say(struct agent *a, const char *reason);	/* why it stays in its state, to the control plane, too */
void update_wait_room(struct agent *a, const struct error *why);	/* the step, again after a while */
void update_end(struct agent *a);	/* after a final state */
/* Ask the worker for metadata, and for what it says of target unless that is empty; asked: whose answer it will be. */
WARN_UNUSED int update_ask_metadata(struct agent *a, enum transfer asked, const char *target, struct error *err);

/* stay.c: the limit of time of a state */
void stay_begin(struct agent *a, enum update_state from);	/* a->update.state was entered just now */
void stay_resume(struct agent *a);				/* it was entered before the agent started */
void stay_anew(struct agent *a, int64_t wait_s);		/* got somewhere: it counts from 0 again, in wait_s */
void stay_end(struct agent *a);
void stay_note_fire(struct timer *t);

/* roots.c */
void roots_look(struct agent *a);	/* no server answers: is it our floor? Does nothing while an update is under way */
void roots_answer(struct agent *a, const struct link_msg *m, const struct error *why);

/* apply.c: the steps that touch artifacts/. */
void intake_start(struct agent *a, int staged_fd);	/* takes staged_fd */
void intake_step(struct agent *a);
void intake_release(struct intake *in);
void apply_step(struct agent *a);
void probe_step(struct agent *a);
void unapply(struct agent *a);	/* before APPLYING fails: what it may have put beside the version that runs */
void rollback(struct agent *a, const struct error *why);

/* meter.c: the byte budget. */
void meter_start(struct agent *a);
bool meter_waits(struct agent *a);	/* nothing may be asked for now: the step timer is set for when it may */
uint64_t meter_content(struct agent *a);	/* bytes of payload that may be asked for; UINT64_MAX: all */
void meter_flight(struct agent *a, uint64_t received);	/* by the transfer under way, so far */
void meter_landed(struct agent *a, uint64_t received);	/* by the transfer that has ended */

/*
 * room.c: room on the disk. The agent's own state has a spare (sys/space.h) that is given back when one of its writes
 * finds none; an update begins only when there is room for all of it, and takes that room first.
 */
#define ROOM_SPARE (UINT64_C(4) << 20)		/* HOME/agent/reserve */
#define ROOM_SPARE_STEP (UINT64_C(256) << 10)
#define ROOM_MARGIN (UINT64_C(8) << 20)		/* stays free beside an update */
struct spare room_spare(int home_fd);		/* as it is before spare_open; home_fd borrowed */
void room_open(struct agent *a);		/* needs home_fd alone */
void room_watch(struct agent *a);		/* needs the loop: from now on the spare is refilled when it can be */
/* A write of our own found no room (why), and got some from the spare: try it again. */
bool room_again(struct agent *a, const struct error *why);
bool room_for_state(const struct agent *a);	/* can small files still be replaced? */
/* Take what the update will need before it is fetched: 0; ERR_RETRY says how much it is, and what is free. */
WARN_UNUSED int room_for_update(struct agent *a, struct error *err);
void room_put(const struct agent *a, struct json_writer *w, const char *name);

/* verify.c: what the worker fetched, judged by the same engine against the anchor, the floor and the marks. */
WARN_UNUSED int verify_fetched(struct agent *a, int blobs_fd, const char *target, struct error *err);
WARN_UNUSED int verify_pack_stored(struct agent *a, struct buf *out, struct error *err);
/* The descriptor of u into d, which is released first; and may we run it? */
WARN_UNUSED int verify_descriptor(struct agent *a, const struct update *u, struct descriptor *d, struct error *err);
/* What the client has found for u->path goes into u. */
WARN_UNUSED int verify_take_result(struct update *u, const struct tuf_client *c, struct error *err);
/* All that the client has verified is what we believe from now on. */
WARN_UNUSED int verify_keep(struct agent *a, struct tuf_client *c, struct error *err);
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
struct device_profile machine_profile(const struct machine *m);	/* borrows from m */

/* tidy.c: at start, after update_resume */
void agent_tidy(struct agent *a);

/* wipe.c */
void agent_wipe(struct agent *a);	/* leaves nothing of HOME/agent (or sets a->fatal), and stops the loop */
/* Did a wipe end too early? Then it is done now: 1. 0 when there was none; -1 when it still cannot be done. */
WARN_UNUSED int agent_wipe_resume(int home_fd, struct error *err);

#endif
