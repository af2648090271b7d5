/* Bundles to other sites, and their receipts: one row a destination. Hashes are those of manifests and receipts. */
#ifndef MESHANICS_STORE_BUNDLES_H
#define MESHANICS_STORE_BUNDLES_H

#include "base/name.h"
#include "crypto/hash.h"
#include "db/db.h"

struct bundle_site {
	char site[NAME_LEN_MAX + 1];
	int64_t sequence;			/* the last number given out; 0: none */
	char bundle[SHA256_HEX_LEN];		/* exported last, or "" */
	int64_t bundle_sequence, bundle_s;	/* its number, and when */
	char receipt[SHA256_HEX_LEN];		/* accepted last, or "" */
	char receipt_bundle[SHA256_HEX_LEN];	/* that the site had imported last then, or "" */
	int64_t receipt_seq;			/* head of the site's audit trail in it */
	char receipt_hash[SHA256_HEX_LEN];
	int64_t receipt_root;			/* the site's root version in it */
	int64_t receipt_created_s, receipt_s;	/* by the site's clock; accepted here */
};

/* 1 with the row, 0 when there is none (site is filled, the rest zero), -1. */
WARN_UNUSED int bundle_site_find(struct db *db, const char *site, struct bundle_site *out, struct error *err);
/* The next number of the site, which is then given out. */
WARN_UNUSED int bundle_site_next(struct db *db, const char *site, int64_t *sequence, struct error *err);
/*
 * The bundle of this number has been made. ERR_CONFLICT: the number was not given out, or one as high has been used
 * already.
 */
WARN_UNUSED int bundle_site_exported(struct db *db, const char *site, int64_t sequence, const char *bundle,
				     int64_t now_s, struct error *err);
/* Sets the receipt_ members of the site's row, which is made where there is none. */
WARN_UNUSED int bundle_site_received(struct db *db, const struct bundle_site *row, struct error *err);

#endif
