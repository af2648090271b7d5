/*
 * Applying a bundle that was brought to the device, by the same states, probes and ways back as any update
 * (agent/state.h). One bundle at a time, one artifact of it after the other:
 *
 *	          POST /apply               manifest, metadata hold          payloads hold             no artifact is left
 *	(none) ----------------> OPENING -------------------------> CHECKING ----------------> APPLYING ---------------> DONE
 *	   ^                        | anything does not hold, or cannot be read  |                                        |
 *	   |                        '--------------------------------------------'---- (nothing was changed) ----------> DONE
 *	   '---- the next POST /apply, or the end of the agent
 *
 * OPENING: the worker reads the bundle and answers manifest, signature and raw metadata; all of it is verified here.
 * CHECKING: the worker reads the payloads that will be applied to their ends, so that a bundle with one wrong byte in
 *	them changes nothing. Here too nothing that it says is believed later.
 * APPLYING: what the metadata says is kept (tuf/trusted.h), then each artifact takes its turn in the one update.
 * DONE: what became of it is told until the next bundle comes.
 *
 * An update that the control plane has asked for may be DOWNLOADING meanwhile, from a network that is no more. It rests
 * while a bundle is looked at; when the bundle holds it, it goes on from there, as the first, and else the bundle is sent
 * away.
 *
 * The bundle is gone with the agent: an update from it goes on after a restart from VERIFYING on; a DOWNLOADING one only
 * if its payload is in work/ already, else it ends as failed.
 */
#ifndef MESHANICS_AGENT_LOCAL_H
#define MESHANICS_AGENT_LOCAL_H

#include "agent/supervisor.h"

#define LOCAL_BODY_MAX (64u << 10)

/* A bundle is being read or applied: nobody else begins an update. */
bool local_busy(const struct agent *a);
/* The payload of a->update, which is DOWNLOADING, comes from a bundle, or came from one that is gone. */
bool local_supplies(const struct agent *a);
/* Go on, when the worker is free and no update is under way. */
void local_step(struct agent *a);
/* The worker's answer to TRANSFER_OPEN or TRANSFER_CHECK; m NULL: why. */
void local_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why);
/* Ask the worker for the payload of a->update, which is from a bundle. */
WARN_UNUSED int local_ask_payload(struct agent *a, struct error *err);
/* A worker has started, which has no bundle. */
void local_new_worker(struct agent *a);
/* So many bytes have been read of what is checked. */
void local_progress(struct agent *a, uint64_t bytes);
/* a->update is in its state for this reason: told, if it is of the bundle. */
void local_said(struct agent *a, const char *reason);
/* The bundle cannot be read any more: no further artifact of it is begun. */
void local_give_up(struct agent *a, const struct error *why);
void local_free(struct agent *a);

/* The door: POST /apply and GET /apply; in begin and ready of a handler whose arg is the agent. */
void local_begin(struct exchange *x);
void local_ready(struct exchange *x);

#endif
