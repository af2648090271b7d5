/* meshanics agent run: the device process. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "commands/command.h"
#include "net/url.h"
#include "sys/notify.h"

static int check_proxy(const char *const *items, unsigned count, struct error *err)
{
	struct url url;

	if (url_parse(&url, slice_str(items[count - 1]), URL_HTTP | URL_USER | URL_BASE, err) == 0)
		return 0;
	return error_hint(err, "http://[user:password@]host:port, as in http://proxy.example.org:3128");
}

static const struct option options[] = {
	{ .name = "proxy", .type = OPT_STRING, .value = "URL", .config = "agent.proxy", .check = check_proxy,
	  .help = "HTTP proxy to reach the control plane by, http://[user:password@]host:port" },
	{ .name = "worker-user", .type = OPT_STRING, .value = "USER", .config = "agent.worker_user",
	  .help = "whom the worker becomes when run by root (default meshanics-agent, else nobody)" },
	{ .name = "download-budget", .type = OPT_SIZE, .value = "SIZE", .config = "agent.download_budget",
	  .min = BUDGET_MIN, .max = INT64_MAX / 128,
	  .help = "bytes that downloads may take in a window (default no limit)" },
	{ .name = "download-window", .type = OPT_DURATION, .value = "TIME", .config = "agent.download_window",
	  .min = BUDGET_WINDOW_MIN_S, .max = BUDGET_WINDOW_MAX_S,
	  .help = "how long a window of the budget is (default 24h)" },
	{ .name = "download-rate", .type = OPT_SIZE, .value = "SIZE", .config = "agent.download_rate",
	  .min = 1024, .max = INT64_MAX / 128,
	  .help = "bytes per second that a payload may take (default no limit)" },
	{ .name = NULL },
};

static int agent_run_command(struct cmd *cmd, struct error *err)
{
	struct agent_options o = {
		.home = cmd_home(cmd),
		.proxy = cmd_string(cmd, "proxy", NULL),
		.worker_user = cmd_string(cmd, "worker-user", NULL),
		.download_budget = (uint64_t)cmd_int(cmd, "download-budget", 0),
		.download_window_s = cmd_int(cmd, "download-window", BUDGET_WINDOW_S),
		.download_rate = (uint64_t)cmd_int(cmd, "download-rate", 0),
		.notify_socket = cmd_env(cmd, "NOTIFY_SOCKET"),
		.watchdog_ms = notify_watchdog_ms(cmd_env(cmd, "WATCHDOG_USEC"), cmd_env(cmd, "WATCHDOG_PID")),
	};
	bool wiped = false;

	if (cmd_has(cmd, "download-window") && o.download_budget == 0)
		return error_set(err, ERR_USAGE, "--download-window without --download-budget limits nothing");
	log_start(STDERR_FILENO, cmd_env(cmd, "JOURNAL_STREAM") != NULL,
		  cmd_verbose(cmd) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (agent_run(&o, &wiped, err) < 0)
		return -1;
	if (wiped)	/* a status of its own, which the unit treats as final */
		exit(AGENT_EXIT_WIPED);
	return 0;
}

const struct command cmd_agent_run = {
	.name = "agent run",
	.usage = "",
	.summary = "keep this device up to date, until told to stop",
	.options = options,
	.needs = NEEDS_HOME | NEEDS_CONFIG,
	.run = agent_run_command,
};
