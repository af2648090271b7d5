/*
 * The chain of custody (man/meshanics-audit.5): the trails of two sites side by side. What one site exported the other
 * imported, what this one acknowledged the first accepted, and every record of the other's trail that either of them
 * has witnessed on the way stands in that trail.
 *
 *	custody_new -> custody_read twice -> custody_judge -> custody_links, custody_contradictions
 *
 * Limits: CUSTODY_EVENTS_MAX records about bundles and receipts in one trail; the others are looked at and let go.
 */
#ifndef MESHANICS_FLEET_CUSTODY_H
#define MESHANICS_FLEET_CUSTODY_H

#include "base/name.h"
#include "fleet/audit.h"

#define CUSTODY_EVENTS_MAX 65536
#define CUSTODY_CONTRADICTIONS_MAX 64	/* told; more are counted */
#define CUSTODY_TEXT_MAX 320

enum custody_action { CUSTODY_EXPORT, CUSTODY_IMPORT, CUSTODY_MAKE, CUSTODY_ACCEPT };

/* A record about a bundle or a receipt. */
struct custody_event {
	enum custody_action action;
	bool refused;			/* an import; of the others, only those that were done are kept */
	int64_t seq, time_s;		/* of the record */
	char site[NAME_LEN_MAX + 1];	/* of its object: destination, origin, the maker's own, whose receipt */
	bool has_bundle;
	uint8_t bundle[SHA256_LEN];
	uint8_t receipt[SHA256_LEN];	/* of MAKE and ACCEPT */
	int64_t sequence;		/* of the bundle; 0: not said */
	struct audit_head head;		/* witnessed: the own one in EXPORT and MAKE, the other's in IMPORT and ACCEPT */
	char why[200];			/* of a refusal, printable, perhaps cut */
	int64_t knows;			/* (private) the newest record of the other trail witnessed before this one */
};

enum custody_state {
	CUSTODY_UNDER_WAY,	/* exported, and not arrived so far */
	CUSTODY_REFUSED,	/* arrived, and refused each time */
	CUSTODY_IMPORTED,	/* and no receipt that covers it has come back */
	CUSTODY_ACKNOWLEDGED,
};
/* What became of one bundle; all borrowed. */
struct custody_link {
	unsigned from;				/* side of the exporter, 0 or 1 */
	const struct custody_event *exported;	/* NULL: refused there and made by nobody here, or before the first record */
	const struct custody_event *imported;	/* the first time; NULL: not */
	const struct custody_event *refused;	/* the first time; NULL: never */
	const struct custody_event *receipt;	/* the first receipt after the import, and ... */
	const struct custody_event *accepted;	/* ... the first accepted one that covers it */
	enum custody_state state;
};

struct custody;
struct custody *custody_new(void);
void custody_free(struct custody *c);	/* NULL is fine */

/*
 * Check the export in open file fd, as audit_verify_export does with keys, count and the report, and keep what is about
 * bundles. side: 0, then 1. fd stays open until custody_judge is over. ERR_MALFORMED naming the record, ERR_LIMIT.
 */
WARN_UNUSED int custody_read(struct custody *c, unsigned side, int fd, const struct pubkey *keys, unsigned count,
			     struct audit_export_report *report, struct error *err);
/*
 * Hold the trails against each other, reading both once more. -1 with ERR_REFUSED where they contradict each other; the
 * first contradiction is the error, and links and contradictions can be asked for. ERR_USAGE: two trails of one site.
 */
WARN_UNUSED int custody_judge(struct custody *c, struct error *err);

const char *custody_site(const struct custody *c, unsigned side);
/* One for each bundle, those of side 0 first, in the order of their export; and the records witnessed that lie before
 * the first one given. */
unsigned custody_links(const struct custody *c, const struct custody_link **list);
unsigned custody_unseen(const struct custody *c);
/* The texts that are kept, borrowed; *total: how many contradictions there are. */
unsigned custody_contradictions(const struct custody *c, const char (**list)[CUSTODY_TEXT_MAX], unsigned *total);

#endif
