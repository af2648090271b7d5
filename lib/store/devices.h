/*
 * Rows of devices, their tags and their orders. No rules: see lib/fleet/devices.h. All within a transaction
 * or on a read connection.
 */
#ifndef MESHANICS_STORE_DEVICES_H
#define MESHANICS_STORE_DEVICES_H

#include "base/name.h"
#include "db/db.h"

#define DEVICE_PROFILE_MAX 4096		/* bytes of JSON, as stored */
#define DEVICE_REPORT_MAX 16384		/* bytes of JSON, as stored */
#define DEVICE_TAGS_MAX 32		/* of one device */
#define DEVICE_SEEN_AHEAD_S 60		/* last heard of so much later than now: the clock was ahead then */

/*
 *	enrolment          register                 decommission
 *	----------> ENROLLED -------> ACTIVE --------------------> DECOMMISSIONED
 *	   ^               | all certificates revoked |  ^
 *	   |               v                          v  | enrolment with a token for this name (to ENROLLED)
 *	   '------------------------ REVOKED <--------'
 *
 * ENROLLED: has a certificate, never registered with it. REVOKED: has none that is valid.
 * DECOMMISSIONED: was told to wipe itself. No row is ever removed: the audit trail names it.
 */
enum device_state { DEVICE_ENROLLED, DEVICE_ACTIVE, DEVICE_REVOKED, DEVICE_DECOMMISSIONED };
const char *device_state_name(enum device_state state);

struct device {
	int64_t id;
	char name[NAME_LEN_MAX + 1];
	enum device_state state;
	int64_t created_s;
	int64_t registered_s;	/* 0: never */
	int64_t last_seen_s;	/* 0: never */
};

/* ERR_CONFLICT when the name is taken; *id gets the new row's. State ENROLLED. */
WARN_UNUSED int device_add(struct db *db, struct slice name, int64_t now_s, int64_t *id, struct error *err);
/* ERR_NOT_FOUND naming it. */
WARN_UNUSED int device_find(struct db *db, struct slice name, struct device *out, struct error *err);
WARN_UNUSED int device_find_id(struct db *db, int64_t id, struct device *out, struct error *err);
/* The highest N among devices named PREFIX-N (decimal, at most 9 digits); 0 when there is none. */
WARN_UNUSED int device_highest_number(struct db *db, struct slice prefix, int64_t *highest, struct error *err);
/* Appended; {} until the device registered. */
WARN_UNUSED int device_profile(struct db *db, int64_t id, struct buf *out, struct error *err);
WARN_UNUSED int device_report(struct db *db, int64_t id, struct buf *out, struct error *err);

WARN_UNUSED int device_set_state(struct db *db, int64_t id, enum device_state state, struct error *err);
WARN_UNUSED int device_set_registered(struct db *db, int64_t id, struct slice profile, int64_t now_s, struct error *err);
/* Heartbeats, from lastseen.h: report empty keeps the stored one; the time goes back only from DEVICE_SEEN_AHEAD_S. */
WARN_UNUSED int device_set_seen(struct db *db, int64_t id, int64_t seen_s, struct slice report, struct error *err);
/* The highest version of metadata role that any device but the revoked ones reported; 0: none did. */
WARN_UNUSED int devices_highest_version(struct db *db, struct slice role, int64_t *out, struct error *err);

/* ---- tags: names (base/name.h), already checked ---- */
WARN_UNUSED int device_tag_add(struct db *db, int64_t id, struct slice tag, struct error *err);	/* idempotent */
WARN_UNUSED int device_tag_remove(struct db *db, int64_t id, struct slice tag, struct error *err); /* idempotent */
WARN_UNUSED int device_tag_count(struct db *db, int64_t id, unsigned *out, struct error *err);
/* Sorted, joined by commas, into out (cleared first). Tags hold no comma. */
WARN_UNUSED int device_tags(struct db *db, int64_t id, struct buf *out, struct error *err);

/* ---- all devices, by name ---- */
struct device_walk {
	struct query q;
	struct device device;
	struct slice profile, report, tags;	/* borrowed until the next step; tags joined by commas */
};
/* tag, state: NULL for any. after: names above this one only (empty: from the start); limit 0: all. */
void device_walk_open(struct device_walk *w, struct db *db, const char *tag, const char *state, struct slice after,
		      unsigned limit);
WARN_UNUSED int device_walk_next(struct device_walk *w, struct error *err);	/* 1, 0 at the end, -1 */
void device_walk_close(struct device_walk *w);

/* ---- orders ---- */
enum order_kind { ORDER_WIPE, ORDER_RENEW };
const char *order_kind_name(enum order_kind kind);
struct order {
	int64_t id;
	enum order_kind kind;
	char fingerprint[65];	/* of the certificate it is meant for */
};
/* Idempotent while one of the same kind and fingerprint is open. */
WARN_UNUSED int order_add(struct db *db, int64_t device_id, enum order_kind kind, const char *fingerprint, int64_t now_s,
			  struct error *err);
/* Open orders of a device, oldest first, at most max; the count, or -1. */
WARN_UNUSED int orders_open(struct db *db, int64_t device_id, struct order *out, unsigned max, struct error *err);
WARN_UNUSED int order_done(struct db *db, int64_t device_id, int64_t id, int64_t now_s, struct error *err);
/* Close all open ones: the device has a new identity, and they named the old one. */
WARN_UNUSED int orders_drop(struct db *db, int64_t device_id, int64_t now_s, struct error *err);

#endif
