/* What the verbs of meshlan share: a question to the process that runs, and how people read the answer. */
#ifndef MESHANICS_COMMANDS_MESHLANS_H
#define MESHANICS_COMMANDS_MESHLANS_H

#include "base/json.h"
#include "commands/command.h"

/* An answer, and the document over it. */
struct answer {
	struct buf text;
	struct json doc;
};
/* Ask; body is empty for GET. ERR_RETRY when no mesh runs. Release it either way. */
WARN_UNUSED int meshlans_ask(struct cmd *cmd, const char *method, const char *target, struct slice body,
			     int64_t timeout_ms, struct answer *a, struct error *err);
void meshlans_release(struct answer *a);

/* A string member as text for people; otherwise where it is absent, null or empty. Returns out or otherwise. */
const char *meshlans_text(char *out, size_t size, struct json_value v, const char *name, const char *otherwise);
/* "0.31 ms", "12 ms", "1.3 s". */
#define MESHLANS_TIME_LEN 32
const char *meshlans_us(char out[static MESHLANS_TIME_LEN], int64_t us);
/* How a node is reached: "direct 192.0.2.7:7784", "LAN 192.168.1.7:7784", "via nas", "this node"; "not reached". */
#define MESHLANS_PATH_LEN 160
const char *meshlans_path(char out[static MESHLANS_PATH_LEN], struct json_value v);

#endif
