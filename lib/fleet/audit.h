/*
 * Checking the audit trail (man/meshanics-audit.5): in the database, or in an export on another machine with the
 * public record key only; against a head witnessed earlier; and signed heads.
 *
 * A fault is ERR_REFUSED and names the record by its number.
 */
#ifndef MESHANICS_FLEET_AUDIT_H
#define MESHANICS_FLEET_AUDIT_H

#include "crypto/key.h"
#include "store/audit.h"

#define AUDIT_NAMESPACE "meshanics-audit"
#define AUDIT_HEAD_TEXT_MAX 1024	/* bytes of the signed text of a head */

/* A chain that is being checked, record by record; no I/O. Zeroed: nothing seen yet. */
struct audit_chain {
	int64_t first;			/* number of the first record seen; 0: none yet */
	struct audit_head last;		/* the newest that held */
	struct audit_head witness;	/* must be on the way; seq 0: none was given */
	bool witnessed;			/* and it was */
};

/* The next record. -1: it does not follow, does not fit its hash, or differs from the witness. */
WARN_UNUSED int audit_chain_add(struct audit_chain *c, const struct audit_record *r, struct error *err);
/*
 * No more records. head: what the trail claims to end with, or NULL. -1: records are missing at the end, or the
 * witnessed head was never reached.
 */
WARN_UNUSED int audit_chain_end(const struct audit_chain *c, const struct audit_head *head, struct error *err);

/*
 * The whole trail of a database, on from where c stands: c holds the witness (or is zeroed), or how far the trail was
 * good before, and afterwards how far it is good.
 */
WARN_UNUSED int audit_verify_db(struct db *db, struct audit_chain *c, struct error *err);

/* ---- heads ---- */

struct audit_signed_head {
	struct audit_head head;
	char site[64];
	int64_t time_s;
	char verdict[256];	/* "intact", or the fault that the control plane found itself */
};

/* Append the text that is signed; verdict NULL: "intact". */
void audit_head_put(struct buf *out, const struct audit_head *head, const char *site, int64_t time_s,
		    const char *verdict);
WARN_UNUSED int audit_head_parse(struct slice text, struct audit_signed_head *out, struct error *err);
/* Append the last line of an export, without the line's end. signature: armored, or empty for null. */
void audit_trailer_put(struct buf *out, struct slice head_text, struct slice signature);
/* Append the armored signature of a head's text. */
WARN_UNUSED int audit_head_sign(const struct seckey *record_key, struct slice head_text, struct buf *armored,
				struct error *err);
/*
 * A head witnessed earlier: "SEQ:HASH" in hex, or a file's bytes, which are an export (its last line counts),
 * or the text of a head alone. ERR_MALFORMED when it is none of these.
 */
WARN_UNUSED int audit_witness_parse(struct slice text, struct audit_head *out, struct error *err);

/* ---- an export, in a file ---- */

struct audit_export_report {
	struct audit_chain chain;
	struct audit_signed_head head;	/* of the last line */
	bool has_signature;
	/* Optional, set before the call: each record once it has held, borrowed for the call; -1 ends the walk. */
	int (*each)(void *arg, const struct audit_record *r, struct error *err);
	void *arg;
};
/*
 * Check the export in open file fd, from its beginning, streaming. keys: the site's record keys; the head must
 * be signed by one of them, unless count is 0 (then only the chain is checked; the caller says so). The report
 * holds the witness before the call, and how far the trail is good after it. -1: ERR_REFUSED for a fault of
 * the trail or its signature, ERR_MALFORMED for a line that is no record, with its number.
 */
WARN_UNUSED int audit_verify_export(int fd, const struct pubkey *keys, unsigned count,
				    struct audit_export_report *report, struct error *err);

#endif
