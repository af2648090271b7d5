/* Finding and describing the networks that an operator names. */
#include "commands/mgmt_keys.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "meshlan/meshlan.h"

#define DOCUMENT_MAX (1u << 20)

int mgmt_keys_read(const struct netstore *s, const char *word, struct network *n, struct error *err)
{
	char hex[NETWORK_ID_HEX_LEN];

	if (netstore_find(s, slice_str(word), hex, err) < 0)
		return -1;
	return network_read(s, hex, n, err);
}

/* The only network; ERR_USAGE when there are several. */
static int only_network(const struct netstore *s, struct network *n, struct error *err)
{
	struct network_ids ids;

	if (netstore_ids(s, &ids, err) < 0)
		return -1;
	if (ids.count == 1)
		return network_read(s, ids.hex[0], n, err);
	if (ids.count == 0) {
		error_set(err, ERR_NOT_FOUND, "this node is in no network");
		return error_hint(err, "'meshanics mgmt-keys add' makes or joins one");
	}
	error_set(err, ERR_USAGE, "this node is in %zu networks", ids.count);
	return error_hint(err, "say which one by --network; 'meshanics mgmt-keys list' shows them");
}

int mgmt_keys_network(const struct cmd *cmd, const struct netstore *s, struct network *n, struct error *err)
{
	if (cmd_has(cmd, "network"))
		return mgmt_keys_read(s, cmd_string(cmd, "network", ""), n, err);
	return only_network(s, n, err);
}

void mgmt_keys_note_home(struct cmd *cmd)
{
	if (geteuid() != 0 && !cmd_has(cmd, "home"))
		cmd_note(cmd, "kept in '%s'; the service of this machine reads '/var/lib/meshanics': "
			 "run this as root for that one", cmd_home(cmd));
}

int mgmt_keys_ids(const struct netstore *s, struct network_ids *ids, struct error *err)
{
	if (netstore_ids(s, ids, err) < 0)
		return -1;
	meshlan_sort_by_joining(s, ids);
	return 0;
}

int mgmt_keys_each(const struct cmd *cmd, int (*each)(void *arg, const struct netstore *s, const struct network *n,
						      struct error *err), void *arg, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	struct network_ids ids = {.count = 1};
	struct network n;
	size_t i;
	int r = netstore_open(&s, cmd_home(cmd), err);

	if (r == 0 && cmd_has(cmd, "network"))
		r = netstore_find(&s, slice_str(cmd_string(cmd, "network", "")), ids.hex[0], err);
	else if (r == 0)
		r = mgmt_keys_ids(&s, &ids, err);
	for (i = 0; r == 0 && i < ids.count; i++) {
		if ((r = network_read(&s, ids.hex[i], &n, err)) == 0)
			r = each(arg, &s, &n, err);
		network_wipe(&n);
	}
	netstore_close(&s);
	return r;
}

int mgmt_keys_expiry(const struct cmd *cmd, int64_t now_s, int64_t *expires_s, bool *said, struct error *err)
{
	bool in = cmd_has(cmd, "expires-in"), never = cmd_flag(cmd, "never-expires");

	*said = in || never;
	*expires_s = 0;
	if (in && never)
		return error_set(err, ERR_USAGE, "--expires-in and --never-expires exclude each other");
	if (in)
		*expires_s = now_s + cmd_int(cmd, "expires-in", 0);
	return 0;
}

const char *mgmt_keys_expiry_text(char out[static EXPIRY_TEXT_LEN], const struct netkey *k, int64_t now_s)
{
	char time[TIME_TEXT_LEN];

	if (k->expires_s == 0)
		snprintf(out, EXPIRY_TEXT_LEN, "never");
	else
		snprintf(out, EXPIRY_TEXT_LEN, "%s%s", time_text(time, k->expires_s),
			 k->expires_s <= now_s ? " (expired)" : "");
	return out;
}

void mgmt_keys_put_allow(struct buf *out, const struct allow_list *l)
{
	char text[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < l->count; i++)
		buf_printf(out, "%s%s", i == 0 ? "" : ", ", allow_text(text, &l->rules[i]));
	if (l->count == 0)
		buf_put_str(out, "nothing");
}

bool mgmt_keys_place(const struct network *n, unsigned ordinal, unsigned slot, char v4[static ADDRESS_TEXT_LEN],
		     char v6[static ADDRESS_TEXT_LEN])
{
	const struct claim *c = n->claims, *end = c + n->claims_count;
	struct addressing a;
	uint8_t six[16];
	uint32_t block;
	struct in_addr four;

	addressing_init(&a, n->key.id, &n->key.range, n->key.created_s);
	while (c < end && c->ordinal != ordinal)
		c++;
	if (c == end || !claim_valid(&a, c))
		return false;
	block = block_index(&a, n->node.id, c->ordinal, c->attempt);
	four.s_addr = htonl(block_v4(&a, block, slot));
	block_v6(&a, block, slot, six);
	return inet_ntop(AF_INET, &four, v4, ADDRESS_TEXT_LEN) != NULL &&
	       inet_ntop(AF_INET6, six, v6, ADDRESS_TEXT_LEN) != NULL;
}

bool mgmt_keys_addresses(const struct network *n, char v4[static ADDRESS_TEXT_LEN], char v6[static ADDRESS_TEXT_LEN])
{
	return mgmt_keys_place(n, 0, SLOT_NODE, v4, v6);
}

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, name, t_s == 0 ? NULL : time_text(text, t_s));
}

static void put_secret(struct json_writer *w, const struct netkey *k)
{
	struct buf text = BUF_SECRET(NETKEY_TEXT_MAX + 1);

	netkey_put(&text, k);
	json_put_slice(w, "key", buf_slice(&text));
	buf_release(&text);
}

static void put_former(struct json_writer *w, const struct network *n, int64_t now_s)
{
	size_t i;

	json_open_array(w, "former");
	for (i = 0; i < n->former_count; i++) {
		json_open_object(w, NULL);
		json_put_int(w, "generation", n->former[i].key.generation);
		put_time(w, "grace_until", n->former[i].grace_until_s);
		/* The next rotation ends it. */
		json_put_bool(w, "in_grace", i == 0 && n->former[i].grace_until_s > now_s);
		json_close(w);
	}
	json_close(w);
}

void mgmt_keys_put_json(struct json_writer *w, const struct network *n, int64_t now_s, bool secret)
{
	char range[RANGE_TEXT_LEN], rule[ALLOW_TEXT_LEN], v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN];
	bool known = mgmt_keys_addresses(n, v4, v6);
	size_t i;

	json_put_string(w, "name", n->key.name);
	json_put_string(w, "id", n->hex);
	json_put_int(w, "generation", n->key.generation);
	put_time(w, "created", n->key.created_s);
	put_time(w, "expires", n->key.expires_s);
	json_put_bool(w, "expired", n->key.expires_s != 0 && n->key.expires_s <= now_s);
	json_put_string(w, "range", range_text(range, &n->key.range));
	json_put_bool(w, "owner", n->owned);
	json_put_hex(w, "node", n->node.id, NODE_ID_LEN);
	json_put_string(w, "ipv4", known ? v4 : NULL);
	json_put_string(w, "ipv6", known ? v6 : NULL);
	json_open_array(w, "allow");
	for (i = 0; i < n->allow.count; i++)
		json_put_string(w, NULL, allow_text(rule, &n->allow.rules[i]));
	json_close(w);
	put_former(w, n, now_s);
	if (secret)
		put_secret(w, &n->key);
}

void mgmt_keys_print(struct cmd *cmd, const struct network *n, int64_t now_s)
{
	char range[RANGE_TEXT_LEN], expires[EXPIRY_TEXT_LEN], v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN];
	char node[NODE_ID_HEX_LEN];
	struct buf allow = BUF_INIT(ALLOW_FILE_MAX);

	hex_encode(node, n->node.id, NODE_ID_LEN);
	mgmt_keys_put_allow(&allow, &n->allow);
	cmd_printf(cmd, "name        %s\n", n->key.name);
	cmd_printf(cmd, "id          %s\n", n->hex);
	cmd_printf(cmd, "generation  %" PRIu32 "\n", n->key.generation);
	cmd_printf(cmd, "expires     %s\n", mgmt_keys_expiry_text(expires, &n->key, now_s));
	cmd_printf(cmd, "range       %s\n", range_text(range, &n->key.range));
	cmd_printf(cmd, "node        %s\n", node);
	if (mgmt_keys_addresses(n, v4, v6))
		cmd_printf(cmd, "address     %s\naddress     %s\n", v4, v6);
	cmd_printf(cmd, "owner       %s\n", n->owned ? "here" : "elsewhere");
	cmd_printf(cmd, "allows      %s\n", buf_cstr(&allow));
	buf_release(&allow);
}

void mgmt_keys_report(struct cmd *cmd, const struct network *n, int64_t now_s)
{
	struct buf b = BUF_INIT(DOCUMENT_MAX);
	struct json_writer w = JSON_WRITER(&b);

	if (!cmd_json(cmd)) {
		mgmt_keys_print(cmd, n, now_s);
		return;
	}
	json_open_object(&w, NULL);
	mgmt_keys_put_json(&w, n, now_s, false);
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
}
