/* Counts for /metrics. */
#include "store/metrics.h"

static const struct {
	const char *name, *help, *sql;
} gauges[] = {
	{"meshanics_devices", "Devices by state.", "SELECT state, count(*) FROM devices GROUP BY state"},
	{"meshanics_rollouts", "Rollouts by state.", "SELECT state, count(*) FROM rollouts GROUP BY state"},
	{"meshanics_assignments", "Artifacts assigned to devices, by state.",
	 "SELECT state, sum(n) FROM assignment_counts GROUP BY state"},
};

int metrics_put(struct db *db, struct buf *out, struct error *err)
{
	int64_t records;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gauges); i++) {
		struct query q = query_open(db, gauges[i].sql);
		char state[32];
		int r;

		buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", gauges[i].name, gauges[i].help, gauges[i].name);
		while ((r = query_next(&q, err)) > 0)
			buf_printf(out, "%s{state=\"%s\"} %lld\n", gauges[i].name,
				   query_col_str(&q, 0, state, sizeof(state)), (long long)query_col_int(&q, 1));
		query_close(&q);
		if (r < 0)
			return -1;
	}
	if (db_get_int(db, "SELECT count(*) FROM audit", &records, err) < 0)
		return -1;
	buf_printf(out, "# HELP meshanics_audit_records_total Records of the audit trail.\n"
			"# TYPE meshanics_audit_records_total counter\nmeshanics_audit_records_total %lld\n",
		   (long long)records);
	return 0;
}
