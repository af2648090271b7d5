/* `artifact withdraw`: an artifact is published no more. */
#include <inttypes.h>

#include "base/encode.h"
#include "commands/publisher_key.h"
#include "commands/request.h"
#include "control/publication.h"
#include "sys/clock.h"

static const struct option artifact_withdraw_options[] = {
	{ .name = "remove-bytes", .type = OPT_FLAG, .help = "delete the stored bytes as well" },
	PUBLISHER_KEY_OPTIONS,
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void report(struct cmd *cmd, const struct publication *p)
{
	struct buf out = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&out);

	json_open_object(&w, NULL);
	json_put_string(&w, "artifact", p->path);
	json_put_string(&w, "publisher", p->role);
	json_put_string(&w, "file", p->file);
	json_put_int(&w, "version", p->version);
	json_put_hex(&w, "sha256", p->sha256, SHA256_LEN);
	json_put_bool(&w, "bytes_removed", cmd_flag(cmd, "remove-bytes"));
	json_close(&w);
	if (cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else
		cmd_printf(cmd, "withdrawn  %s (publisher %s, version %" PRId64 ")\n", p->path, p->role, p->version);
	buf_release(&out);
}

static int artifact_withdraw_run(struct cmd *cmd, struct error *err)
{
	struct publication p = {.path = cmd_operand(cmd, 0),
				.publisher = cmd_string(cmd, "publisher", NULL),
				.key = publisher_key_get,
				.now_s = clock_now_s(),
				.fd = -1};
	struct publisher_key key;
	int r = -1;

	p.key_arg = &key;
	if (publisher_key_begin(&key, cmd, err) == 0 && (p.door = request_door(cmd, err)) != NULL) {
		publisher_key_terms(&key, &p);
		if ((r = publication_withdraw(&p, cmd_flag(cmd, "remove-bytes"), err)) == 0)
			report(cmd, &p);
	}
	door_close(p.door);
	publisher_key_release(&key);
	return r;
}

const struct command cmd_artifact_withdraw = {
	.name = "artifact withdraw",
	.usage = "NAMESPACE/NAME/VERSION",
	.summary = "stop publishing an artifact",
	.options = artifact_withdraw_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = artifact_withdraw_run,
};
