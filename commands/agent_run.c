/* meshanics agent run: the device process. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "commands/command.h"
#include "sys/notify.h"

static const struct option options[] = {
	{ .name = "proxy", .type = OPT_STRING, .value = "URL", .config = "agent.proxy",
	  .help = "HTTP proxy to reach the control plane by, http://[user:password@]host:port" },
	{ .name = "worker-user", .type = OPT_STRING, .value = "USER", .config = "agent.worker_user",
	  .help = "whom the worker becomes when run by root (default meshanics-agent, else nobody)" },
	{ .name = NULL },
};

static int agent_run_command(struct cmd *cmd, struct error *err)
{
	struct agent_options o = {
		.home = cmd_home(cmd),
		.proxy = cmd_string(cmd, "proxy", NULL),
		.worker_user = cmd_string(cmd, "worker-user", NULL),
		.notify_socket = cmd_env(cmd, "NOTIFY_SOCKET"),
		.watchdog_ms = notify_watchdog_ms(cmd_env(cmd, "WATCHDOG_USEC"), cmd_env(cmd, "WATCHDOG_PID")),
	};
	bool wiped = false;

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
