/* How forwards are told. */
#include "commands/forwarding.h"

void forwarding_put(struct json_writer *w, const char *name, const struct network *n, const struct forward *f)
{
	char target[FORWARD_TARGET_TEXT_LEN], v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN];
	bool known = mgmt_keys_place(n, f->ordinal, f->slot, v4, v6);

	json_open_object(w, name);
	json_put_string(w, "name", f->name);
	json_put_string(w, "target", forward_target_text(target, &f->target));
	json_put_string(w, "source", f->config ? "config" : "live");
	json_put_string(w, "ipv4", known ? v4 : NULL);
	json_put_string(w, "ipv6", known ? v6 : NULL);
	json_close(w);
}

void forwarding_print(struct cmd *cmd, const struct network *n, const struct forward *f)
{
	char target[FORWARD_TARGET_TEXT_LEN], v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN];

	cmd_printf(cmd, "name        %s\n", f->name);
	cmd_printf(cmd, "network     %s\n", n->key.name);
	cmd_printf(cmd, "target      %s\n", forward_target_text(target, &f->target));
	if (mgmt_keys_place(n, f->ordinal, f->slot, v4, v6))
		cmd_printf(cmd, "address     %s\naddress     %s\n", v4, v6);
}
