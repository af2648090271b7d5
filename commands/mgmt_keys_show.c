/* `mgmt-keys show`: a network's key, for another node. */
#include <unistd.h>

#include "base/qr.h"
#include "commands/mgmt_keys.h"
#include "sys/clock.h"

#define DRAWING_MAX (256u << 10)

static const struct option mgmt_keys_show_options[] = {
	{ .name = "qr", .type = OPT_FLAG, .help = "as a QR code, for a camera" },
	{ .name = NULL },
};

static int print_qr(struct cmd *cmd, struct slice text, struct error *err)
{
	const char *term = cmd_env(cmd, "TERM");
	struct buf drawing = BUF_SECRET(DRAWING_MAX);
	struct qr q;

	if (qr_encode(&q, text, err) < 0)
		return -1;
	qr_draw(&drawing, &q, isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0);
	cmd_write(cmd, buf_slice(&drawing));
	qr_wipe(&q);
	buf_release(&drawing);
	return 0;
}

static int print_key(struct cmd *cmd, const struct network *n, struct error *err)
{
	struct buf text = BUF_SECRET(NETKEY_TEXT_MAX + 1), b = BUF_SECRET(1u << 20);
	struct json_writer w = JSON_WRITER(&b);
	int r = 0;

	netkey_put(&text, &n->key);
	if (cmd_json(cmd)) {
		json_open_object(&w, NULL);
		mgmt_keys_put_json(&w, n, clock_now_s(), true);
		json_close(&w);
		cmd_write_json(cmd, &b);
	} else if (cmd_flag(cmd, "qr")) {
		r = print_qr(cmd, buf_slice(&text), err);
	} else {
		buf_put_u8(&text, '\n');
		cmd_write(cmd, buf_slice(&text));
	}
	buf_release(&b);
	buf_release(&text);
	return r;
}

static int mgmt_keys_show_run(struct cmd *cmd, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	struct network n;
	int64_t now_s = clock_now_s();
	int r = -1;

	if (cmd_json(cmd) && cmd_flag(cmd, "qr"))
		return error_set(err, ERR_USAGE, "--qr and --json exclude each other");
	if (netstore_open(&s, cmd_home(cmd), err) < 0 || mgmt_keys_read(&s, cmd_operand(cmd, 0), &n, err) < 0)
		goto out;
	if (n.key.expires_s != 0 && n.key.expires_s <= now_s)
		cmd_warn(cmd, "this key has expired: nobody can join with it");
	if ((r = print_key(cmd, &n, err)) == 0)
		cmd_note(cmd, "whoever has this key is a member of network '%s'; give it to nobody else", n.key.name);
	network_wipe(&n);
out:
	netstore_close(&s);
	return r;
}

const struct command cmd_mgmt_keys_show = {
	.name = "mgmt-keys show",
	.usage = "NETWORK",
	.summary = "print the key of a network, which lets whoever has it in",
	.options = mgmt_keys_show_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = mgmt_keys_show_run,
};
