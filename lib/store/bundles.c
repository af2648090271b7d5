/* Rows of the sites to which bundles go. */
#include "store/bundles.h"

#include <stdio.h>

#define COLUMNS                                                                                  \
	"site, sequence, bundle, bundle_sequence, bundle_s, receipt, receipt_bundle, receipt_seq, " \
	"receipt_hash, receipt_root, receipt_created_s, receipt_s FROM bundle_sites"

static const char *or_null(const char *s)
{
	return s[0] == '\0' ? NULL : s;
}

static void read_row(struct query *q, struct bundle_site *out)
{
	query_col_str(q, 0, out->site, sizeof(out->site));
	out->sequence = query_col_int(q, 1);
	query_col_str(q, 2, out->bundle, sizeof(out->bundle));
	out->bundle_sequence = query_col_int(q, 3);
	out->bundle_s = query_col_int(q, 4);
	query_col_str(q, 5, out->receipt, sizeof(out->receipt));
	query_col_str(q, 6, out->receipt_bundle, sizeof(out->receipt_bundle));
	out->receipt_seq = query_col_int(q, 7);
	query_col_str(q, 8, out->receipt_hash, sizeof(out->receipt_hash));
	out->receipt_root = query_col_int(q, 9);
	out->receipt_created_s = query_col_int(q, 10);
	out->receipt_s = query_col_int(q, 11);
}

int bundle_site_find(struct db *db, const char *site, struct bundle_site *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE site = ?1");
	int r;

	*out = (struct bundle_site){.sequence = 0};
	snprintf(out->site, sizeof(out->site), "%s", site);
	query_str(&q, 1, site);
	r = query_next(&q, err);
	if (r > 0)
		read_row(&q, out);
	query_close(&q);
	return r;
}

int bundle_site_next(struct db *db, const char *site, int64_t *sequence, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO bundle_sites (site, sequence) VALUES (?1, 1)"
					" ON CONFLICT (site) DO UPDATE SET sequence = sequence + 1");
	struct bundle_site row;

	query_str(&q, 1, site);
	if (query_run(&q, err) < 0 || bundle_site_find(db, site, &row, err) < 0)
		return -1;
	*sequence = row.sequence;
	return 0;
}

int bundle_site_exported(struct db *db, const char *site, int64_t sequence, const char *bundle, int64_t now_s,
			 struct error *err)
{
	struct query q = query_open(db, "UPDATE bundle_sites SET bundle = ?3, bundle_sequence = ?2, bundle_s = ?4"
					" WHERE site = ?1 AND sequence >= ?2 AND COALESCE(bundle_sequence, 0) < ?2");

	query_str(&q, 1, site);
	query_int(&q, 2, sequence);
	query_str(&q, 3, bundle);
	query_int(&q, 4, now_s);
	if (query_run(&q, err) < 0)
		return -1;
	if (db_changes(db) == 1)
		return 0;
	error_set(err, ERR_CONFLICT, "number %lld of site '%s' was not given out, or is used", (long long)sequence, site);
	return error_hint(err, "another export may have come first: export again");
}

int bundle_site_received(struct db *db, const struct bundle_site *row, struct error *err)
{
	struct query q = query_open(
		db, "INSERT INTO bundle_sites (site, sequence, receipt, receipt_bundle, receipt_seq, receipt_hash, receipt_root,"
		    " receipt_created_s, receipt_s) VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
		    " ON CONFLICT (site) DO UPDATE SET receipt = excluded.receipt, receipt_bundle = excluded.receipt_bundle,"
		    " receipt_seq = excluded.receipt_seq, receipt_hash = excluded.receipt_hash,"
		    " receipt_root = excluded.receipt_root, receipt_created_s = excluded.receipt_created_s,"
		    " receipt_s = excluded.receipt_s");

	query_str(&q, 1, row->site);
	query_str(&q, 2, row->receipt);
	query_str(&q, 3, or_null(row->receipt_bundle));
	query_int(&q, 4, row->receipt_seq);
	query_str(&q, 5, row->receipt_hash);
	query_int(&q, 6, row->receipt_root);
	query_int(&q, 7, row->receipt_created_s);
	query_int(&q, 8, row->receipt_s);
	return query_run(&q, err);
}
