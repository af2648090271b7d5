/* Counts over the control plane's tables, in Prometheus' text format. */
#ifndef MESHANICS_STORE_METRICS_H
#define MESHANICS_STORE_METRICS_H

#include "db/db.h"

/* Devices by state, assignments and rollouts by state, the audit trail's length. On a read connection. */
WARN_UNUSED int metrics_put(struct db *db, struct buf *out, struct error *err);

#endif
