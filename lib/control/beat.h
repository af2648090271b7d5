/*
 * The last heartbeat of a connection and its answer, kept with the connection: a device that says the same again, and of
 * which the store says the same still, is answered from here without JSON and without the database. It is never older
 * than what a fresh look would give: store/versions.h says why, and until_s bounds what time alone changes.
 *
 * Limits: BEAT_BODY_MAX and BEAT_ANSWER_MAX bytes; what is larger is not kept. One for each connection of a device, about
 * 80 bytes and the two texts.
 */
#ifndef MESHANICS_CONTROL_BEAT_H
#define MESHANICS_CONTROL_BEAT_H

#include "control/api.h"

#define BEAT_BODY_MAX 2048
#define BEAT_ANSWER_MAX 4096

struct beat;
struct lastseen;	/* store/lastseen.h */
struct versions;	/* store/versions.h */

/*
 * After call was answered 200: its body and its answer, if they may be kept. epoch: of the store's versions before the
 * certificate was looked up. NULL when the store has changed since, or the texts are too long.
 */
struct beat *beat_new(const struct versions *versions, uint64_t epoch, const struct api_call *call, struct slice body);
void beat_free(void *beat);	/* NULL is fine */

/* Is this a request for which b was kept, as far as its head goes? */
bool beat_is_of(const struct beat *b, struct slice method, struct slice path, struct slice query);
/*
 * The answer to this body at now_s, appended to out, and the device is noted as heard of. False, and nothing is done,
 * when a fresh look is needed. interval_s: between heartbeats, before jitter.
 */
WARN_UNUSED bool beat_answer(struct beat *b, const struct versions *versions, struct lastseen *lastseen,
			     struct slice body, int64_t interval_s, int64_t now_s, struct buf *out);

#endif
