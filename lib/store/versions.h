/*
 * Of what the store says of each device, a number that changes with every commit that changes it: certificate, state,
 * assignments, orders, and whether its rollouts go on. Who has read these and kept the result may go on using it for as
 * long as the number stays, and so sees a revocation at the same request as one who reads again.
 *
 *	keeper (any thread)                         writer thread
 *	-------------------                         -------------
 *	e = versions_epoch                          job changes rows: versions_watch notes which devices
 *	read the rows                               COMMIT: readers see it from here on
 *	v = versions_of(device)                     versions_publish: epoch, then numbers
 *	keep with v, if versions_epoch == e still   done: the change is answered
 *	...
 *	use, if versions_of(device) == v still
 *
 * A number that moved while the rows were read may be of the commit that the reader missed, so nothing is kept then;
 * since the epoch moves first, whoever sees the new number sees the new epoch as well. A change that was answered was
 * published, so a request that comes after that answer never uses what was kept before it. What the clock changes
 * (certificates that end) is the keeper's own business.
 *
 * Devices share VERSIONS_PLACES numbers by their id: sharing one costs a needless look, nothing else.
 */
#ifndef MESHANICS_STORE_VERSIONS_H
#define MESHANICS_STORE_VERSIONS_H

#include "db/db.h"

#define VERSIONS_PLACES 16384	/* a power of two; 8 bytes each */

struct versions;

struct versions *versions_new(void);
void versions_free(struct versions *v);	/* after the writer was stopped; NULL is fine */

/* ---- any thread ---- */
uint64_t versions_epoch(const struct versions *v);
uint64_t versions_of(const struct versions *v, int64_t device_id);

/* ---- the writer ---- */
/* Watch this connection, the only one that writes. */
WARN_UNUSED int versions_watch(struct versions *v, struct db *db, struct error *err);
/* After a commit, before anybody is told of it: what was noted since the last call shows. NULL is fine. */
void versions_publish(struct versions *v);

#endif
