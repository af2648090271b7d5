/* What the two halves of custody share: reading trails, and judging them. */
#ifndef MESHANICS_FLEET_CUSTODY_INTERNAL_H
#define MESHANICS_FLEET_CUSTODY_INTERNAL_H

#include "fleet/custody.h"

struct custody_trail {
	int fd;				/* borrowed */
	char site[NAME_LEN_MAX + 1];
	struct audit_chain start, end;	/* before and after the walk */
	struct custody_event *events;	/* in the order of the trail */
	unsigned count;
};

struct custody {
	struct custody_trail trails[2];
	struct custody_link *links;
	unsigned link_count, unseen;
	char contradictions[CUSTODY_CONTRADICTIONS_MAX][CUSTODY_TEXT_MAX];
	unsigned total;			/* of contradictions */
};

/* A record about a bundle or a receipt into out: 1; 0: it is about something else. ERR_MALFORMED. */
WARN_UNUSED int custody_event_read(const struct audit_record *r, struct custody_event *out, struct error *err);

#endif
