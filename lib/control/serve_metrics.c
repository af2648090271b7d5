/* What serve counts, for /metrics, in Prometheus' text format. */
#include "control/serve_internal.h"

#include "sys/clock.h"

static const char *const class_words[] = {"operator", "device", "enroll"};

static void put_counter(struct buf *out, const char *name, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
}

static void put_requests(struct buf *out, struct front_counters *c)
{
	unsigned i;

	put_counter(out, "meshanics_requests_total", "API requests by listener and outcome.");
	for (i = 0; i < ARRAY_SIZE(class_words); i++) {
		uint64_t all = c->requests[i], refused = c->refused[i], failed = c->failed[i];

		buf_printf(out, "meshanics_requests_total{listener=\"%s\",outcome=\"done\"} %llu\n", class_words[i],
			   (unsigned long long)(all - refused - failed));
		buf_printf(out, "meshanics_requests_total{listener=\"%s\",outcome=\"refused\"} %llu\n", class_words[i],
			   (unsigned long long)refused);
		buf_printf(out, "meshanics_requests_total{listener=\"%s\",outcome=\"failed\"} %llu\n", class_words[i],
			   (unsigned long long)failed);
	}
	put_counter(out, "meshanics_repository_files_total", "Files sent by the repository listener.");
	buf_printf(out, "meshanics_repository_files_total %llu\n", (unsigned long long)c->files);
	put_counter(out, "meshanics_repository_bytes_total", "Bytes of those files.");
	buf_printf(out, "meshanics_repository_bytes_total %llu\n", (unsigned long long)c->file_bytes);
}

static void put_writer(struct buf *out, struct writer *w)
{
	struct writer_stats stats;

	writer_stats(w, &stats);
	put_counter(out, "meshanics_store_jobs_total", "Changes handed to the store.");
	buf_printf(out, "meshanics_store_jobs_total %llu\n", (unsigned long long)stats.jobs);
	put_counter(out, "meshanics_store_commits_total", "Commits that carried them.");
	buf_printf(out, "meshanics_store_commits_total %llu\n", (unsigned long long)stats.commits);
	put_counter(out, "meshanics_store_failed_commits_total", "Commits that failed.");
	buf_printf(out, "meshanics_store_failed_commits_total %llu\n", (unsigned long long)stats.failed_commits);
	buf_printf(out, "# HELP meshanics_store_queued Changes that wait.\n# TYPE meshanics_store_queued gauge\n"
			"meshanics_store_queued %u\n", stats.queued);
}

/* Of all loops together; each counts in its own thread. */
static void put_connections(struct buf *out, const struct serve *s)
{
	struct server_stats all = {0}, one;
	unsigned i;

	for (i = 0; atomic_load(&s->serving) && i < s->loop_count; i++) {
		server_stats(s->loops[i].server, &one);
		all.accepted += one.accepted;
		all.refused_source += one.refused_source;
		all.displaced += one.displaced;
		all.handshakes_failed += one.handshakes_failed;
		all.timeouts += one.timeouts;
		all.connections += one.connections;
	}
	buf_printf(out, "# HELP meshanics_connections Open now.\n# TYPE meshanics_connections gauge\n"
			"meshanics_connections %u\n", all.connections);
	put_counter(out, "meshanics_connections_total", "Connections by what became of them, as far as it tells of trouble.");
	buf_printf(out, "meshanics_connections_total{outcome=\"accepted\"} %llu\n", (unsigned long long)all.accepted);
	buf_printf(out, "meshanics_connections_total{outcome=\"refused_source\"} %llu\n",
		   (unsigned long long)all.refused_source);
	buf_printf(out, "meshanics_connections_total{outcome=\"displaced\"} %llu\n", (unsigned long long)all.displaced);
	buf_printf(out, "meshanics_connections_total{outcome=\"handshake_failed\"} %llu\n",
		   (unsigned long long)all.handshakes_failed);
	buf_printf(out, "meshanics_connections_total{outcome=\"timeout\"} %llu\n", (unsigned long long)all.timeouts);
}

void serve_put_metrics(void *arg, struct buf *out)
{
	struct serve *s = arg;

	buf_printf(out, "# HELP meshanics_build_info The running version.\n# TYPE meshanics_build_info gauge\n"
			"meshanics_build_info{version=\"%s\"} 1\n", MESHANICS_VERSION);
	buf_printf(out, "# HELP meshanics_uptime_seconds Since serve started.\n# TYPE meshanics_uptime_seconds gauge\n"
			"meshanics_uptime_seconds %lld\n", (long long)(clock_now_s() - s->started_s));
	put_connections(out, s);
	put_requests(out, &s->counters);
	put_writer(out, s->writer);
}
