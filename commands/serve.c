/* meshanics serve: run the control plane until told to stop. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "commands/command.h"
#include "control/serve.h"
#include "net/addr.h"
#include "sys/notify.h"

/* As listen_open takes it. */
static int check_listen(const char *const *items, unsigned count, struct error *err)
{
	struct sockaddr_storage ss;
	socklen_t len;

	if (strncmp(items[count - 1], "unix:", 5) == 0 || addr_parse(&ss, &len, slice_str(items[count - 1]), err) == 0)
		return 0;
	return error_hint(err, ":PORT or ADDRESS:PORT, as in :9443, 192.0.2.7:9443 or [2001:db8::7]:9443");
}

static const struct option options[] = {
	{ .name = "api-listen", .type = OPT_STRING, .value = "ADDR:PORT", .config = "serve.api_listen",
	  .check = check_listen, .help = "operators and dashboard (default [::]:9443)" },
	{ .name = "repository-listen", .type = OPT_STRING, .value = "ADDR:PORT", .config = "serve.repository_listen",
	  .check = check_listen, .help = "metadata and artifacts (default [::]:9444)" },
	{ .name = "device-listen", .type = OPT_STRING, .value = "ADDR:PORT", .config = "serve.device_listen",
	  .check = check_listen, .help = "devices (default [::]:9445)" },
	{ .name = "enroll-listen", .type = OPT_STRING, .value = "ADDR:PORT", .config = "serve.enroll_listen",
	  .check = check_listen, .help = "newcomers with a token (default [::]:9446)" },
	{ .name = "public-name", .type = OPT_LIST, .value = "NAME", .config = "serve.public_names",
	  .help = "DNS name or address in the server's certificate; the first is what devices dial" },
	{ .name = "heartbeat", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = 86400,
	  .config = "serve.heartbeat", .help = "interval that devices are told (default 60s)" },
	{ .name = "certificate-life", .type = OPT_DURATION, .value = "TIME", .min = 3600, .max = 31536000,
	  .config = "serve.certificate_life", .help = "life of device certificates (default 90d)" },
	{ .name = "renew-grace", .type = OPT_DURATION, .value = "TIME", .min = 0, .max = 31536000,
	  .config = "serve.renew_grace", .help = "how long an expired certificate may still renew (default 30d)" },
	{ .name = "loops", .type = OPT_INT, .value = "N", .min = 1, .max = SERVE_LOOPS_MAX, .config = "serve.loops",
	  .help = "threads that serve connections (default: one a processor, at most 4)" },
	{ .name = "connections", .type = OPT_INT, .value = "N", .min = 16, .max = 1000000,
	  .config = "serve.connections", .help = "connections of each of them (default 4096)" },
	{ .name = "ready-file", .type = OPT_STRING, .value = "FILE",
	  .help = "write ports and pid to FILE once serving" },
	{ .name = NULL },
};

/* The names in the certificate: as configured, else this machine's own and the loopback's. */
static int set_names(struct cmd *cmd, struct control_settings *s, struct error *err)
{
	static const char *const fallback[] = {"localhost", "127.0.0.1", "::1"};
	unsigned n = cmd_list_count(cmd, "public-name"), i;
	char host[sizeof(s->public_names[0])] = "";

	if (n > PUBLIC_NAMES_MAX)
		return error_set(err, ERR_USAGE, "more than %d public names", PUBLIC_NAMES_MAX);
	for (i = 0; i < n; i++) {
		const char *name = cmd_list(cmd, "public-name", i);

		if (strlen(name) >= sizeof(s->public_names[0]))
			return error_set(err, ERR_USAGE, "public name '%s' is too long", name);
		snprintf(s->public_names[s->public_name_count++], sizeof(s->public_names[0]), "%s", name);
	}
	if (n > 0)
		return 0;
	if (gethostname(host, sizeof(host) - 1) == 0 && host[0] != '\0' && strcmp(host, "localhost") != 0)
		snprintf(s->public_names[s->public_name_count++], sizeof(s->public_names[0]), "%s", host);
	for (i = 0; i < ARRAY_SIZE(fallback); i++)
		snprintf(s->public_names[s->public_name_count++], sizeof(s->public_names[0]), "%s", fallback[i]);
	return 0;
}

static int serve_command(struct cmd *cmd, struct error *err)
{
	struct serve_options o = {
		.home = cmd_home(cmd),
		.api_listen = cmd_string(cmd, "api-listen", "[::]:9443"),
		.repository_listen = cmd_string(cmd, "repository-listen", "[::]:9444"),
		.device_listen = cmd_string(cmd, "device-listen", "[::]:9445"),
		.enroll_listen = cmd_string(cmd, "enroll-listen", "[::]:9446"),
		.loops = (unsigned)cmd_int(cmd, "loops", 0),
		.connections_max = (unsigned)cmd_int(cmd, "connections", 0),
		.notify_socket = cmd_env(cmd, "NOTIFY_SOCKET"),
		.watchdog_ms = notify_watchdog_ms(cmd_env(cmd, "WATCHDOG_USEC"), cmd_env(cmd, "WATCHDOG_PID")),
		.ready_file = cmd_string(cmd, "ready-file", NULL),
	};

	control_settings_default(&o.settings);
	o.settings.heartbeat_interval_s = cmd_int(cmd, "heartbeat", o.settings.heartbeat_interval_s);
	o.settings.certificate_life_s = cmd_int(cmd, "certificate-life", o.settings.certificate_life_s);
	o.settings.renew_grace_s = cmd_int(cmd, "renew-grace", o.settings.renew_grace_s);
	if (set_names(cmd, &o.settings, err) < 0)
		return -1;
	log_start(STDERR_FILENO, cmd_env(cmd, "JOURNAL_STREAM") != NULL,
		  cmd_verbose(cmd) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	return serve_run(&o, err);
}

const struct command cmd_serve = {
	.name = "serve",
	.usage = "",
	.summary = "run the control plane",
	.options = options,
	.needs = NEEDS_HOME | NEEDS_CONFIG,
	.run = serve_command,
};
