/* `meshlan status`: what runs, who is there, and how each is reached. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "commands/meshlans.h"
#include "sys/clock.h"

#define ASK_MS 10000
#define ID_SHORT 12
#define CELL 64

static const struct option options[] = {
	{ .name = "watch", .type = OPT_FLAG, .help = "print it again and again, until interrupted" },
	{ .name = "interval", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = 3600,
	  .help = "how often --watch does (default 2s)" },
	{ .name = NULL },
};

/* ---- peers ---- */

static const char *age(char out[static CELL], struct json_value v, const char *name)
{
	char text[32];

	if (json_type(json_get(v, name)) != JSON_INT)
		return NULL;
	snprintf(out, CELL, "%s", duration_text(text, json_int(json_get(v, name)) / 1000));
	return out;
}

static const char *bytes(char out[static CELL], struct json_value v, const char *name)
{
	char text[32];
	int64_t n = json_type(json_get(v, name)) == JSON_INT ? json_int(json_get(v, name)) : 0;

	if (n == 0)
		return NULL;
	snprintf(out, CELL, "%s", size_text(text, (uint64_t)n));
	return out;
}

static const char *rtt(char out[static CELL], struct json_value v)
{
	char text[MESHLANS_TIME_LEN];

	if (json_type(json_get(v, "rtt_us")) != JSON_INT)
		return NULL;
	snprintf(out, CELL, "%s", meshlans_us(text, json_int(json_get(v, "rtt_us"))));
	return out;
}

static int64_t number(struct json_value v, const char *name)
{
	return json_type(json_get(v, name)) == JSON_INT ? json_int(json_get(v, name)) : 0;
}

/* "direct ...", or what it is without a session: "calling", "evicted", "has an older key", "-". */
static const char *way(char out[static MESHLANS_PATH_LEN], struct json_value v, int64_t generation)
{
	char state[16];
	const char *s = meshlans_text(state, sizeof(state), v, "state", "");
	int64_t has = number(v, "generation");

	if (strcmp(s, "connected") == 0)
		return meshlans_path(out, v);
	if (strcmp(s, "evicted") != 0 && has > 0 && has < generation)
		return "has an older key";
	if (strcmp(s, "idle") == 0)
		return NULL;
	snprintf(out, MESHLANS_PATH_LEN, "%s", s);
	return out;
}

/* The generation of the key that it has, as far as is known. */
static const char *has(char out[static CELL], struct json_value v)
{
	if (number(v, "generation") == 0)
		return NULL;
	snprintf(out, CELL, "%lld", (long long)number(v, "generation"));
	return out;
}

static void add_forwards(struct table *t, struct json_value peer, bool all)
{
	struct json_iter it;

	for (it = json_iter(json_get(peer, "forwards")); json_next(&it);) {
		char name[CELL + 4], label[CELL], four[CELL], six[CELL];

		snprintf(name, sizeof(name), "  %s", meshlans_text(label, sizeof(label), it.value, "name", "?"));
		table_row(t, (const char *const[]){name, meshlans_text(four, sizeof(four), it.value, "ipv4", NULL), "", "", "", "",
						   "", "", all ? meshlans_text(six, sizeof(six), it.value, "ipv6", NULL) : "", ""});
	}
}

static void add_peer(struct table *t, struct json_value p, int64_t generation, bool all)
{
	char name[2 * CELL], label[CELL], four[CELL], six[CELL], path[MESHLANS_PATH_LEN], r[CELL], shake[CELL], in[CELL];
	char out[CELL], node[CELL], key[CELL];
	const char *id = meshlans_text(node, sizeof(node), p, "node", "");

	if (!all && strlen(id) > ID_SHORT)
		node[ID_SHORT] = '\0';
	/* One that lost its name is told apart from who has it. */
	snprintf(name, sizeof(name), json_type(json_get(p, "name_held_by")) == JSON_STRING ? "%s (%.4s)" : "%s",
		 meshlans_text(label, sizeof(label), p, "name", "-"), id);
	table_row(t, (const char *const[]){name,
					   meshlans_text(four, sizeof(four), p, "ipv4", NULL), way(path, p, generation), rtt(r, p),
					   age(shake, p, "handshake_ms_ago"), bytes(in, p, "received_bytes"),
					   bytes(out, p, "sent_bytes"), id, meshlans_text(six, sizeof(six), p, "ipv6", NULL),
					   has(key, p)});
	add_forwards(t, p, all);
}

static bool is_out(struct json_value peer)
{
	return slice_equal_str(json_string(json_get(peer, "state")), "evicted");
}

static void put_peers(struct cmd *cmd, struct json_value n)
{
	static const char *const columns[] = {"PEER", "ADDRESS", "PATH", "RTT", "HANDSHAKE", "IN", "OUT",
					      "NODE", "IPV6", "KEY"};
	struct json_value list = json_get(n, "peers");
	bool all = cmd_verbose(cmd);
	size_t out = 0;
	struct json_iter it;
	struct table *t;

	for (it = json_iter(list); json_next(&it);)
		out += is_out(it.value);
	if (json_count(list) == (all ? 0 : out)) {
		cmd_printf(cmd, "\nno other member is known%s\n", out > 0 ? " that was not evicted" : " yet");
		return;
	}
	t = table_new(columns, ARRAY_SIZE(columns) - (all ? 0 : 2));
	for (it = json_iter(list); json_next(&it);) {
		if (is_out(it.value) && !all)
			continue;
		add_peer(t, it.value, number(n, "generation"), all);
	}
	cmd_printf(cmd, "\n");
	table_print(cmd, t);
	table_free(t);
	if (out > 0 && !all)
		cmd_printf(cmd, "and %zu that %s evicted: see --verbose\n", out, out == 1 ? "was" : "were");
}

/* ---- the rest of a network ---- */

static void put_own_forwards(struct cmd *cmd, struct json_value list)
{
	static const char *const columns[] = {"FORWARD", "ADDRESS", "TARGET", "ADDED BY", "IPV6"};
	struct json_iter it;
	struct table *t;

	if (json_count(list) == 0)
		return;
	t = table_new(columns, ARRAY_SIZE(columns));
	for (it = json_iter(list); json_next(&it);) {
		char name[CELL], four[CELL], six[CELL], target[CELL], badge[CELL];

		table_row(t, (const char *const[]){meshlans_text(name, sizeof(name), it.value, "name", NULL),
						   meshlans_text(four, sizeof(four), it.value, "ipv4", NULL),
						   meshlans_text(target, sizeof(target), it.value, "target", NULL),
						   meshlans_text(badge, sizeof(badge), it.value, "badge", "hand"),
						   meshlans_text(six, sizeof(six), it.value, "ipv6", NULL)});
	}
	cmd_printf(cmd, "\n");
	table_print(cmd, t);
	table_free(t);
}

static void put_list(struct cmd *cmd, const char *label, struct json_value list, const char *none)
{
	struct json_iter it;
	bool first = true;

	cmd_printf(cmd, "%-12s", label);
	for (it = json_iter(list); json_next(&it); first = false)
		cmd_printf(cmd, "%s%.*s", first ? "" : ", ", SLICE_ARG(json_string(it.value)));
	cmd_printf(cmd, "%s\n", first ? none : "");
}

static void put_self(struct cmd *cmd, struct json_value n)
{
	struct json_value self = json_get(n, "self"), port = json_get(n, "port_ipv4");
	char name[CELL], four[CELL], six[CELL], node[CELL], interface[CELL], range[CELL], expires[CELL];
	const char *until = meshlans_text(expires, sizeof(expires), n, "expires", NULL);

	cmd_printf(cmd, "%-12sgeneration %lld, %s%s\n", "key", (long long)number(n, "generation"),
		   until == NULL ? "never expires" : "expires ", until == NULL ? "" : until);
	cmd_printf(cmd, "%-12s%s, range %s\n", "interface",
		   meshlans_text(interface, sizeof(interface), n, "interface", "none"),
		   meshlans_text(range, sizeof(range), n, "ipv4_range", "?"));
	if (json_type(self) == JSON_OBJECT) {
		cmd_printf(cmd, "%-12s%s  %s  %s\n", "this node", meshlans_text(name, sizeof(name), self, "name", "-"),
			   meshlans_text(four, sizeof(four), self, "ipv4", "no address"),
			   meshlans_text(six, sizeof(six), self, "ipv6", ""));
		cmd_printf(cmd, "%-12s%s\n", "node id", meshlans_text(node, sizeof(node), self, "node", "?"));
	}
	if (json_type(port) == JSON_INT && json_int(port) == 0)
		port = json_get(n, "port_ipv6");
	if (json_type(port) == JSON_INT && json_int(port) > 0)
		cmd_printf(cmd, "%-12sUDP port %lld\n", "listens", (long long)json_int(port));
	put_list(cmd, "lets in", json_get(n, "rules"),
		 json_bool(json_get(n, "echo")) ? "nothing but ping" : "nothing, not even ping");
}

static void put_warnings(struct cmd *cmd, struct json_value n)
{
	struct json_iter it;
	bool any = false;

	for (it = json_iter(json_get(n, "warnings")); json_next(&it); any = true)
		cmd_printf(cmd, "%swarning: %.*s\n", any ? "" : "\n", SLICE_ARG(json_string(json_get(it.value, "text"))));
	for (it = json_iter(json_get(n, "changes")); json_next(&it); any = true)
		cmd_printf(cmd, "%schanged %.*s: %.*s\n", any ? "" : "\n", SLICE_ARG(json_string(json_get(it.value, "at"))),
			   SLICE_ARG(json_string(json_get(it.value, "text"))));
}

static void put_network(struct cmd *cmd, struct json_value n)
{
	bool running = json_bool(json_get(n, "running"));

	cmd_printf(cmd, "\n%.*s%s\n", SLICE_ARG(json_string(json_get(n, "network"))), running ? "" : " (does not run)");
	put_self(cmd, n);
	if (running)
		put_peers(cmd, n);
	put_own_forwards(cmd, json_get(n, "forwards"));
	put_warnings(cmd, n);
}

static void put_people(struct cmd *cmd, struct json_value s)
{
	struct error ignored = ERROR_INIT;
	char name[CELL], suffix[130], since[32];
	struct json_iter it;
	int64_t started_s;

	cmd_printf(cmd, "%s runs", meshlans_text(name, sizeof(name), s, "name", "the mesh"));
	if (time_parse(&started_s, json_string(json_get(s, "started")), &ignored) == 0)
		cmd_printf(cmd, " since %s", duration_text(since, clock_now_s() - started_s));
	cmd_printf(cmd, "; names end with .%s\n", meshlans_text(suffix, sizeof(suffix), s, "suffix", "mesh"));
	if (json_count(json_get(s, "networks")) == 0)
		cmd_printf(cmd, "\nno networks are here; 'meshanics mgmt-keys add' makes or joins one\n");
	for (it = json_iter(json_get(s, "networks")); json_next(&it);)
		put_network(cmd, it.value);
}

static int show(struct cmd *cmd, struct error *err)
{
	struct answer a;
	int r = meshlans_ask(cmd, "GET", "/status", SLICE_EMPTY, ASK_MS, &a, err);

	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &a.text);
	else if (r == 0)
		put_people(cmd, json_root(&a.doc));
	meshlans_release(&a);
	return r;
}

/* On a terminal each in place of the one before; elsewhere one after the other. */
static int watch(struct cmd *cmd, struct error *err)
{
	const char *term = cmd_env(cmd, "TERM");
	bool drawn = !cmd_json(cmd) && isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
	const struct timespec pause = {.tv_sec = cmd_int(cmd, "interval", 2)};
	struct error own;

	for (;;) {
		if (drawn)
			cmd_write(cmd, SLICE_LIT("\033[H\033[2J"));
		own = ERROR_INIT;
		/* A mesh that starts again is worth the wait. */
		if (show(cmd, &own) < 0) {
			if (own.kind != ERR_RETRY) {
				*err = own;
				return -1;
			}
			cmd_warn(cmd, "%s", own.text);
		}
		if (!drawn && !cmd_json(cmd))
			cmd_printf(cmd, "\n");
		if (cmd_flush(cmd, err) < 0)
			return -1;
		nanosleep(&pause, NULL);
	}
}

static int meshlan_status_run(struct cmd *cmd, struct error *err)
{
	if (cmd_has(cmd, "interval") && !cmd_flag(cmd, "watch"))
		return error_set(err, ERR_USAGE, "--interval without --watch");
	return cmd_flag(cmd, "watch") ? watch(cmd, err) : show(cmd, err);
}

const struct command cmd_meshlan_status = {
	.name = "meshlan status",
	.usage = "",
	.summary = "what runs, who is there, and how each is reached",
	.options = options,
	.needs = NEEDS_HOME,
	.run = meshlan_status_run,
};
