/* `meshlan ping`: is a node or device reached, by which way, how fast, and if not, why. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "commands/meshlans.h"
#include "sys/clock.h"
#include "sys/rng.h"

#define CALLED_IN_VAIN "no answer from the node"	/* what `why` begins with then */
#define GRACE_MS 5000	/* for the answer, beyond the ping's own time */

static const struct option options[] = {
	{ .name = "count", .type = OPT_INT, .value = "N", .min = 1, .max = 1000000, .help = "how often (default 3)" },
	{ .name = "interval", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = 3600, .help = "between them (default 1s)" },
	{ .name = "timeout", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = 60,
	  .help = "how long each is waited for (default 3s)" },
	{ .name = "ipv6", .type = OPT_FLAG, .help = "its IPv6 address in place of the IPv4 one" },
	{ .name = NULL },
};

struct pinging {
	struct cmd *cmd;
	const char *target;
	int family;
	int64_t timeout_ms;
	uint16_t sequence;
	unsigned sent, answered;
	int64_t least_us, most_us, sum_us;
	char why[400];			/* of the last one that was not answered */
	struct buf all;			/* --json */
	struct json_writer w;
};

static void put_line(struct pinging *p, struct json_value a)
{
	char name[64], address[64], rtt[MESHLANS_TIME_LEN], path[MESHLANS_PATH_LEN];

	cmd_printf(p->cmd, "%s (%s): ", meshlans_text(name, sizeof(name), a, "target", p->target),
		   meshlans_text(address, sizeof(address), a, "address", "?"));
	if (!json_bool(json_get(a, "answered"))) {
		cmd_printf(p->cmd, "no answer: %s\n", p->why);
		return;
	}
	cmd_printf(p->cmd, "%s, %s", meshlans_us(rtt, json_int(json_get(a, "rtt_us"))), meshlans_path(path, a));
	if (json_type(json_get(a, "mtu")) == JSON_INT)
		cmd_printf(p->cmd, ", MTU %lld", (long long)json_int(json_get(a, "mtu")));
	cmd_printf(p->cmd, "\n");
}

static void count(struct pinging *p, struct json_value a)
{
	int64_t us = json_int(json_get(a, "rtt_us"));

	p->sent++;
	if (!json_bool(json_get(a, "answered"))) {
		meshlans_text(p->why, sizeof(p->why), a, "why", "");
		return;
	}
	if (p->answered == 0 || us < p->least_us)
		p->least_us = us;
	if (us > p->most_us)
		p->most_us = us;
	p->sum_us += us;
	p->answered++;
}

static int ping_once(struct pinging *p, struct error *err)
{
	struct buf question = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&question);
	struct answer a;
	int r;

	json_open_object(&w, NULL);
	json_put_string(&w, "target", p->target);
	json_put_int(&w, "family", p->family);
	json_put_int(&w, "sequence", p->sequence++);
	json_put_int(&w, "timeout_ms", p->timeout_ms);
	json_close(&w);
	if (question.failed) {
		buf_release(&question);
		return error_set(err, ERR_USAGE, "no name is as long as that");
	}
	r = meshlans_ask(p->cmd, "POST", "/ping", buf_slice(&question), p->timeout_ms + GRACE_MS, &a, err);
	if (r == 0) {
		count(p, json_root(&a.doc));
		if (cmd_json(p->cmd))
			json_put_value(&p->w, NULL, json_root(&a.doc));
		else
			put_line(p, json_root(&a.doc));
		r = cmd_flush(p->cmd, err);
	}
	meshlans_release(&a);
	buf_release(&question);
	return r;
}

static int ping_all(struct pinging *p, unsigned count, int64_t interval_ms, struct error *err)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		int64_t began_ms = clock_mono_ms(), left_ms;

		if (ping_once(p, err) < 0)
			return -1;
		left_ms = interval_ms - (clock_mono_ms() - began_ms);
		if (i + 1 < count && left_ms > 0) {
			const struct timespec pause = {left_ms / 1000, left_ms % 1000 * 1000000};

			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

static void put_sum(struct pinging *p)
{
	char least[MESHLANS_TIME_LEN], mean[MESHLANS_TIME_LEN], most[MESHLANS_TIME_LEN];

	if (cmd_json(p->cmd)) {
		json_close(&p->w);
		json_put_int(&p->w, "sent", p->sent);
		json_put_int(&p->w, "answered", p->answered);
		json_close(&p->w);
		cmd_write_json(p->cmd, &p->all);
	} else if (p->sent > 1 && p->answered > 0) {
		cmd_printf(p->cmd, "%u of %u answered; least %s, mean %s, most %s\n", p->answered, p->sent,
			   meshlans_us(least, p->least_us), meshlans_us(mean, p->sum_us / p->answered),
			   meshlans_us(most, p->most_us));
	}
}

static int meshlan_ping_run(struct cmd *cmd, struct error *err)
{
	struct pinging p = {.cmd = cmd, .target = cmd_operand(cmd, 0), .family = cmd_flag(cmd, "ipv6") ? 6 : 4,
			    .timeout_ms = 1000 * cmd_int(cmd, "timeout", 3), .all = BUF_INIT(64u << 20)};
	int r;

	rng_bytes(&p.sequence, sizeof(p.sequence));
	p.w = JSON_WRITER(&p.all);
	json_open_object(&p.w, NULL);
	json_open_array(&p.w, "pings");
	r = ping_all(&p, (unsigned)cmd_int(cmd, "count", 3), 1000 * cmd_int(cmd, "interval", 1), err);
	if (r == 0)
		put_sum(&p);
	if (r == 0 && p.answered == 0) {
		r = error_set(err, ERR_FAILED, "no answer from '%s': %s", p.target, p.why);
		if (strncmp(p.why, CALLED_IN_VAIN, strlen(CALLED_IN_VAIN)) == 0)
			error_hint(err, "is it on and online? if so, it may have an older key: "
				   "compare 'meshanics mgmt-keys list' on both");
	}
	buf_release(&p.all);
	return r;
}

const struct command cmd_meshlan_ping = {
	.name = "meshlan ping",
	.usage = "NODE",
	.summary = "say whether a node or device is reached, by which way, and why if not",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = meshlan_ping_run,
};
