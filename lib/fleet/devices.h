/*
 * The device API's rules: register, heartbeat, status. JSON in, JSON out; the identity was checked by its
 * certificate. In requests, members that are not named here are ignored, so that a newer agent can talk to an
 * older control plane; those named are checked and capped.
 *
 * POST /device/register
 *	{"instance": "<16 hex digits>", "profile": {"hostname", "model", "soc", "arch", "os", "os_version", "kernel",
 *	 "agent_version": text up to 128 bytes; "memory_mb", "cores": integers; "accelerators": up to 16 texts}}
 *   -> {"device": "press-3", "site": "main", "interval_s": 57}
 *   Idempotent. `instance` is random, made with the agent's state: a device that lost its state begins its
 *   numbers anew under another one.
 *
 * POST /device/heartbeat
 *	{"agent_version": "0.1.0", "metadata": {"<role>": <version>, ... up to 64},
 *	 "artifacts": [{"path": "<namespace>/<name>/<version>", "release": 7, "state": "healthy"}, ... up to 256]}
 *   -> {"interval_s": 57,
 *	 "desired": [{"assignment": 12, "action": "install" | "revert", "path": ..., "kind": "file"}],
 *	 "orders": [{"id": 3, "order": "wipe" | "renew", "device": "press-3", "certificate": "<hex SHA-256>"}]}
 *   desired is complete: what is not in it is not wanted by this control plane, which is a reason to stop fetching
 *   it, and none to remove it. `revert`: leave this version for the one kept before, and report `rolled_back` (also
 *   when it was never applied). Nothing is written but the time and what was reported.
 *
 * POST /device/status
 *	{"instance", "assignment": 12, "seq": N, "path", "state": "downloading" | "verifying" | "applying" |
 *	 "probing" | "healthy" | "rolled_back" | "failed", "reason": up to 500 bytes, "at": time}
 *   -> {}
 *   assignment 0: of none (an update that came by media). Durable before it is answered. A (instance, assignment,
 *   seq) that is known already changes nothing and is answered as if it were new. An assignment of another device is
 *   ERR_REFUSED.
 */
#ifndef MESHANICS_FLEET_DEVICES_H
#define MESHANICS_FLEET_DEVICES_H

#include "base/json.h"
#include "store/devices.h"
#include "store/lastseen.h"

#define DEVICE_OFFLINE_INTERVALS 3	/* silent for so many: offline */

/* Write the answer into w as an object. In a transaction on the writer. */
WARN_UNUSED int device_register(struct db *db, int64_t device_id, struct json_value body, const char *site,
				int64_t interval_s, int64_t now_s, struct json_writer *w, struct error *err);
/*
 * On a read connection. report gets the JSON to hand to lastseen_touch (capped at DEVICE_REPORT_MAX by its ceiling).
 * fingerprint: of the certificate shown, hex: only orders that name it are given out.
 */
WARN_UNUSED int device_heartbeat(struct db *db, int64_t device_id, const char *fingerprint, struct json_value body,
				 int64_t interval_s, struct buf *report, struct json_writer *w, struct error *err);
/* In a transaction on the writer; with the audit record when it is new. */
WARN_UNUSED int device_status(struct db *db, int64_t device_id, struct json_value body, int64_t now_s,
			      struct error *err);
/* The members of a hardware profile that are known, checked and capped, as JSON. Others are dropped. */
WARN_UNUSED int device_profile_normalize(struct json_value profile, struct buf *out, struct error *err);

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

/* The interval with jitter: up to a tenth shorter by the dice (any number), so that devices spread. At least 1. */
int64_t heartbeat_interval(int64_t interval_s, uint32_t dice);
/* "online", "offline", or "never" when it was not heard of. */
const char *device_presence(int64_t seen_s, int64_t interval_s, int64_t now_s);

/*
 * ---- reading ----
 * seen: what was heard and is not yet written, or will not be as long as the disk is full; NULL: the database alone.
 */

/* One device with profile, report, tags and assignments, as an object. */
WARN_UNUSED int device_put(struct db *db, const struct device *d, struct lastseen *seen, int64_t interval_s,
			   int64_t now_s, struct json_writer *w, struct error *err);
/* A page of devices by name: {"devices": [...], "next": "name" or null}. tag, state: NULL for any. */
WARN_UNUSED int devices_put(struct db *db, const char *tag, const char *state, struct slice after, unsigned limit,
			    struct lastseen *seen, int64_t interval_s, int64_t now_s, struct json_writer *w,
			    struct error *err);

#endif
