/*
 * The device API's rules: register, heartbeat, status. JSON in, JSON out; the identity was checked by its
 * certificate. In requests, members that are not named here are ignored, so that a newer agent can talk to an
 * older control plane; those named are checked and capped.
 *
 * POST /device/register
 *	{"instance": "<16 hex digits>", "agent": "0.1.0", "profile": {"model", "soc", "arch", "os", "os_version",
 *	 "kernel": text up to 128 bytes; "memory_mb", "cores": integers; "accelerators": up to 16 texts}}
 *   -> {"device": "press-3", "site": "main", "interval_s": 57, "time_s": N}
 *   Idempotent. `instance` is random, made with the agent's state.
 *
 * POST /device/heartbeat
 *	{"instance", "agent", "uptime_s": N, "metadata": {"<role>": <version>, ... up to 64},
 *	 "running": [{"name": "<namespace>/<name>", "version": "1.2", "release": 3}, ... up to 256]}
 *   -> {"interval_s": 57, "time_s": N,
 *	 "desired": [{"assignment": 7, "action": "install" | "revert", "artifact": "<namespace>/<name>/<version>",
 *	  "name": "<namespace>/<name>", "version": "1.2", "kind": "file"}],
 *	 "orders": [{"id": 3, "order": "wipe" | "renew", "device": "press-3", "certificate": "<hex SHA-256>"}]}
 *   desired is complete: what is not in it is not wanted by this control plane, which is no reason to remove
 *   it. `revert`: leave this version for the one kept before; answered by `rolled_back` (also when it was never
 *   applied). Nothing is written but the time and what was reported.
 *
 * POST /device/status
 *	{"instance", "reports": [{"seq": N, "assignment": 7 or 0, "artifact", "state": "downloading" | "verifying" |
 *	 "applying" | "probing" | "healthy" | "rolled_back" | "failed", "reason": up to 500 bytes, "time_s": N}, ...]}
 *   -> {"accepted": N, "repeated": N, "seq": highest}
 *   1 to 64 reports, seq rising. Durable before it is answered; a report with a known (instance, seq) counts as
 *   repeated and changes nothing. An assignment of another device is ERR_REFUSED.
 */
#ifndef MESHANICS_FLEET_DEVICES_H
#define MESHANICS_FLEET_DEVICES_H

#include "base/json.h"
#include "store/devices.h"

#define DEVICE_REPORTS_MAX 64
#define DEVICE_OFFLINE_INTERVALS 3	/* silent for so many: offline */

/* Write the answer into w as an object. In a transaction on the writer. */
WARN_UNUSED int device_register(struct db *db, int64_t device_id, struct json_value body, const char *site,
				int64_t interval_s, int64_t now_s, struct json_writer *w, struct error *err);
/*
 * On a read connection. report gets the JSON to hand to lastseen_touch. fingerprint: of the certificate shown, hex:
 * only orders that name it are given out.
 */
WARN_UNUSED int device_heartbeat(struct db *db, int64_t device_id, const char *fingerprint, struct json_value body,
				 int64_t interval_s, int64_t now_s, struct buf *report, struct json_writer *w,
				 struct error *err);
/* In a transaction on the writer, with the audit records of what is new. */
WARN_UNUSED int device_status(struct db *db, int64_t device_id, struct json_value body, int64_t now_s,
			      struct json_writer *w, struct error *err);

/*
 * The orders for the bearer of this certificate as an array, member `name` of w. Also for the answer to a
 * decommissioned device, which is refused everything else.
 */
WARN_UNUSED int device_orders_put(struct db *db, int64_t device_id, const char *fingerprint, const char *name,
				  struct json_writer *w, struct error *err);
/*
 * A device leaves: its state is set, nothing waits for it. DEVICE_DECOMMISSIONED also orders the bearer of
 * `fingerprint` to wipe itself.
 */
WARN_UNUSED int device_retire(struct db *db, const struct device *d, enum device_state state, const char *fingerprint,
			      const char *reason, int64_t now_s, struct error *err);

/* Tags to add and to remove, each a name; then the device joins what it matches now. ERR_LIMIT above DEVICE_TAGS_MAX. */
WARN_UNUSED int device_change_tags(struct db *db, const struct device *d, struct json_value add,
				   struct json_value remove, int64_t now_s, struct error *err);

/* The interval with jitter: up to a tenth shorter, so that devices spread. At least 1. */
int64_t heartbeat_interval(int64_t interval_s);
/* "online", "offline", or "never" when it was not heard of. */
const char *device_presence(const struct device *d, int64_t interval_s, int64_t now_s);

/* ---- reading ---- */
/* One device with profile, report, tags and assignments, as an object. */
WARN_UNUSED int device_put(struct db *db, const struct device *d, int64_t interval_s, int64_t now_s,
			   struct json_writer *w, struct error *err);
/* A page of devices by name: {"devices": [...], "next": "name" or null}. tag, state: NULL for any. */
WARN_UNUSED int devices_put(struct db *db, const char *tag, const char *state, struct slice after, unsigned limit,
			    int64_t interval_s, int64_t now_s, struct json_writer *w, struct error *err);

#endif
