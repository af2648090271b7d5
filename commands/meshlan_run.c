/* meshanics meshlan run: the process of the mesh. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "commands/command.h"
#include "meshlan/meshlan.h"
#include "sys/notify.h"

static const char *const forward_members[] = {"name", "target", "network", NULL};

/* ---- what may be ---- */

static int check_name(const char *const *items, unsigned count, struct error *err)
{
	return meshlan_check_name(items[count - 1], err);
}

static int check_listen(const char *const *items, unsigned count, struct error *err)
{
	return meshlan_check_listen(items[count - 1], err);
}

static int check_peer(const char *const *items, unsigned count, struct error *err)
{
	if (count > MESHLAN_PEERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d peers", MESHLAN_PEERS_MAX);
	return meshlan_check_peer(items[count - 1], err);
}

static int check_suffix(const char *const *items, unsigned count, struct error *err)
{
	return meshlan_check_suffix(items[count - 1], err);
}

static int check_upstream(const char *const *items, unsigned count, struct error *err)
{
	if (count > MESHLAN_UPSTREAMS_MAX)
		return error_set(err, ERR_USAGE, "more than %d resolvers for other names", MESHLAN_UPSTREAMS_MAX);
	return meshlan_check_upstream(items[count - 1], err);
}

/* NAME=TARGET[=NETWORK] in parts; an absent network is empty. */
static void split_forward(const char *item, struct slice parts[static 3])
{
	struct slice rest = slice_str(item);
	unsigned i;

	for (i = 0; i < 3; i++) {
		size_t end = i < 2 ? slice_find(rest, '=', 0) : SIZE_MAX;

		parts[i] = slice_sub(rest, 0, end);
		rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(rest, end + 1, SIZE_MAX);
	}
}

static int check_forward(const char *const *items, unsigned count, struct error *err)
{
	struct slice last[3], other[3];
	unsigned i;

	split_forward(items[count - 1], last);
	if (count > MESHLAN_FORWARDS_MAX)
		return error_set(err, ERR_USAGE, "more than %d forwards", MESHLAN_FORWARDS_MAX);
	if (meshlan_check_forward(last[0], last[1], err) < 0)
		return -1;
	for (i = 0; i + 1 < count; i++) {
		split_forward(items[i], other);
		if (!meshlan_same_name(last[0], other[0]) ||
		    (last[2].len > 0 && other[2].len > 0 && !slice_equal(last[2], other[2])))
			continue;
		error_set(err, ERR_USAGE, "forward '%.*s' is there twice", SLICE_ARG(last[0]));
		return error_hint(err, "the first one counts: give the other device another name");
	}
	return 0;
}

static const struct option options[] = {
	{ .name = "enabled", .type = OPT_FLAG, .config = "meshlan.enabled",
	  .help = "the mesh is wanted (the default); --no-enabled ends at once" },
	{ .name = "name", .type = OPT_STRING, .value = "NAME", .config = "meshlan.name", .check = check_name,
	  .help = "what this node is called in its networks (default: as the host)" },
	{ .name = "listen", .type = OPT_STRING, .value = "ADDR:PORT", .config = "meshlan.listen", .check = check_listen,
	  .help = "UDP address of the network joined first (default :7784); the others take free ports" },
	{ .name = "peer", .type = OPT_LIST, .value = "HOST:PORT", .config = "meshlan.peers", .check = check_peer,
	  .help = "where another member is, to begin with" },
	{ .name = "discovery", .type = OPT_FLAG, .config = "meshlan.discovery",
	  .help = "look for members on the local network (the default); --no-discovery does not" },
	{ .name = "dns", .type = OPT_FLAG, .config = "meshlan.dns",
	  .help = "answer names of the mesh (the default); --no-dns leaves them to hosts(5)" },
	{ .name = "dns-suffix", .type = OPT_STRING, .value = "NAME", .config = "meshlan.dns_suffix",
	  .check = check_suffix, .help = "what names of the mesh end with (default mesh)" },
	{ .name = "dns-upstream", .type = OPT_LIST, .value = "ADDR[:PORT]", .config = "meshlan.dns_upstream",
	  .check = check_upstream, .help = "who is asked for other names (default: they are refused)" },
	{ .name = "resolvectl", .type = OPT_STRING, .value = "FILE", .config = "meshlan.resolvectl",
	  .help = "the program that speaks to systemd-resolved (default /usr/bin/resolvectl)" },
	{ .name = "forward", .type = OPT_LIST, .value = "NAME=TARGET[=NETWORK]", .config = "meshlan.forwards",
	  .members = forward_members, .needed = 2, .check = check_forward, .tolerated = true,
	  .help = "a device beside this node that gets a name and an address in the mesh" },
	{ .name = "mtu", .type = OPT_INT, .value = "BYTES", .config = "meshlan.mtu", .min = 1280, .max = 9000,
	  .help = "of the interfaces (default 1420)" },
	{ .name = NULL },
};

/* A flag that is on unless it is switched off. */
static bool unless_off(const struct cmd *cmd, const char *option)
{
	return !cmd_has(cmd, option) || cmd_flag(cmd, option);
}

/* The items of a list as an array, whose texts live as long as cmd. */
static const char **list_of(const struct cmd *cmd, const char *option, size_t *count)
{
	unsigned n = cmd_list_count(cmd, option), i;
	const char **items = xcalloc(n == 0 ? 1 : n, sizeof(*items));

	for (i = 0; i < n; i++)
		items[i] = cmd_list(cmd, option, i);
	*count = n;
	return items;
}

static struct meshlan_forward *forwards_of(struct cmd *cmd, size_t *count)
{
	unsigned n = cmd_list_count(cmd, "forward"), i;
	struct meshlan_forward *f = xcalloc(n == 0 ? 1 : n, sizeof(*f));

	for (i = 0; i < n; i++) {
		f[i].name = cmd_part(cmd, "forward", i, 0);
		f[i].target = cmd_part(cmd, "forward", i, 1);
		f[i].network = cmd_part(cmd, "forward", i, 2);
	}
	*count = n;
	return f;
}

/* Not wanted here: a unit that is started all the same ends well, and stays so. */
static int not_enabled(const struct cmd *cmd, struct error *err)
{
	struct notify n = NOTIFY_INIT;

	log_info("meshlan.disabled", "meshlan.enabled=false");
	if (notify_open(&n, cmd_env(cmd, "NOTIFY_SOCKET"), err) < 0)
		return -1;
	notify_send(&n, "READY=1\nSTATUS=not enabled");
	notify_release(&n);
	return 0;
}

static int meshlan_run_command(struct cmd *cmd, struct error *err)
{
	struct meshlan_options o = {
		.home = cmd_home(cmd),
		.name = cmd_string(cmd, "name", NULL),
		.listen = cmd_string(cmd, "listen", NULL),
		.dns_suffix = cmd_string(cmd, "dns-suffix", NULL),
		.no_dns = !unless_off(cmd, "dns"),
		.no_discovery = !unless_off(cmd, "discovery"),
		.mtu = (uint16_t)cmd_int(cmd, "mtu", 0),
		.resolvectl = cmd_string(cmd, "resolvectl", NULL),
		.notify_socket = cmd_env(cmd, "NOTIFY_SOCKET"),
		.watchdog_ms = notify_watchdog_ms(cmd_env(cmd, "WATCHDOG_USEC"), cmd_env(cmd, "WATCHDOG_PID")),
	};
	const char **peers, **upstream;
	struct meshlan_forward *forwards;
	int r;

	log_start(STDERR_FILENO, cmd_env(cmd, "JOURNAL_STREAM") != NULL,
		  cmd_verbose(cmd) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (!unless_off(cmd, "enabled"))
		return not_enabled(cmd, err);
	o.peers = peers = list_of(cmd, "peer", &o.peers_count);
	o.dns_upstream = upstream = list_of(cmd, "dns-upstream", &o.dns_upstream_count);
	o.forwards = forwards = forwards_of(cmd, &o.forwards_count);
	r = meshlan_run(&o, err);
	free(peers);
	free(upstream);
	free(forwards);
	return r;
}

const struct command cmd_meshlan_run = {
	.name = "meshlan run",
	.usage = "",
	.summary = "run the mesh: every network of this node, until told to stop",
	.options = options,
	.needs = NEEDS_HOME | NEEDS_CONFIG,
	.run = meshlan_run_command,
};
