/*
 * The trusted state of a client as its files say it, verified from the anchor on, with no server and no change: what an
 * operator asks when a device has been cut off. Expiry is reported, not judged.
 */
#ifndef MESHANICS_TUF_OFFLINE_H
#define MESHANICS_TUF_OFFLINE_H

#include "tuf/trusted.h"
#include "tuf/metadata.h"

enum offline_role_state {
	OFFLINE_MISSING = 0,	/* no file, or one of another chain: what it hangs from does not hold */
	OFFLINE_DAMAGED,	/* it does not verify; an update would begin from the anchor again */
	OFFLINE_EXPIRED,
	OFFLINE_GOOD,
};
const char *offline_state_name(enum offline_role_state s);	/* "missing", ... */

struct offline_role {
	enum offline_role_state state;
	int64_t version, expires_s;	/* 0 unless expired or good */
};
struct offline_state {
	struct offline_role roles[TUF_TYPES];
	int64_t refreshed_s;	/* when an update last ended well, by the clock of then; 0: never */
	int64_t signed_at_s;	/* what the timestamp says of itself; 0: nothing */
	bool usable;		/* all four are good: a target could be found without a server */
};
/* anchor: the pinned root. -1 only when that does not hold. */
WARN_UNUSED int offline_read(struct offline_state *out, struct slice anchor, const struct trusted *store, int64_t now_s,
			     struct error *err);
/*
 * Write it as an object: a member for each role with `state` and, where known, `version` and `expires`; `refreshed` and
 * `signed_at` where known. name as in json.h.
 */
void offline_put(struct json_writer *w, const char *name, const struct offline_state *o);

#endif
