/* Asking the mesh that runs, and words for what it answers. */
#include "commands/meshlans.h"

#include <stdio.h>

#include "meshlan/meshlan.h"

int meshlans_ask(struct cmd *cmd, const char *method, const char *target, struct slice body, int64_t timeout_ms,
		 struct answer *a, struct error *err)
{
	*a = (struct answer){.text = BUF_INIT(MESHLAN_ANSWER_MAX), .doc = JSON_INIT};
	if (meshlan_ask(cmd_home(cmd), method, target, body, timeout_ms, &a->text, err) < 0)
		return -1;
	return json_parse(&a->doc, buf_slice(&a->text), JSON_STRICT, err);
}

void meshlans_release(struct answer *a)
{
	json_release(&a->doc);
	buf_release(&a->text);
}

const char *meshlans_text(char *out, size_t size, struct json_value v, const char *name, const char *otherwise)
{
	struct json_value m = json_get(v, name);

	if (json_type(m) != JSON_STRING || json_string(m).len == 0)
		return otherwise;
	return printable(out, size, json_string(m));
}

const char *meshlans_us(char out[static MESHLANS_TIME_LEN], int64_t us)
{
	if (us < 10000)
		snprintf(out, MESHLANS_TIME_LEN, "%.2f ms", (double)us / 1000);
	else if (us < 1000000)
		snprintf(out, MESHLANS_TIME_LEN, "%lld ms", (long long)us / 1000);
	else
		snprintf(out, MESHLANS_TIME_LEN, "%.1f s", (double)us / 1000000);
	return out;
}

const char *meshlans_path(char out[static MESHLANS_PATH_LEN], struct json_value v)
{
	char path[16], at[64], via[80];
	const char *p = meshlans_text(path, sizeof(path), v, "path", "none");
	const char *e = meshlans_text(at, sizeof(at), v, "endpoint", "");

	if (strcmp(p, "direct") == 0)
		snprintf(out, MESHLANS_PATH_LEN, "direct %s", e);
	else if (strcmp(p, "lan") == 0)
		snprintf(out, MESHLANS_PATH_LEN, "LAN %s", e);
	else if (strcmp(p, "peer") == 0)
		snprintf(out, MESHLANS_PATH_LEN, "via %s", meshlans_text(via, sizeof(via), v, "via", "another node"));
	else
		snprintf(out, MESHLANS_PATH_LEN, "%s", strcmp(p, "self") == 0 ? "this node" : "not reached");
	return out;
}
