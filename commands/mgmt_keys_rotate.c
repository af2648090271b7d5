/* `mgmt-keys rotate`: the next generation of a network, and who does not get it. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/called.h"
#include "commands/mgmt_keys.h"
#include "sys/clock.h"

#define DOCUMENT_MAX (4u << 20)

static const struct option mgmt_keys_rotate_options[] = {
	{ .name = "evict", .type = OPT_LIST, .value = "NODE",
	  .help = "all known nodes get the new key but this one (name or id)" },
	{ .name = "grace", .type = OPT_DURATION, .value = "TIME", .min = 0, .max = GRACE_MAX_S,
	  .help = "how long the former key holds beside it (default 24h)" },
	EXPIRY_OPTIONS,
	{ .name = NULL },
};

struct rotation {
	struct cmd *cmd;
	struct netstore store;
	struct network network;
	struct ownerkey owner;
	struct netkey next;
	struct members members;
	bool *evicted;		/* owned; of each member, whether this rotation evicts it */
	int64_t now_s;
};

/* ---- whom is known ---- */

static int evict(struct rotation *r, const char *word, struct error *err)
{
	size_t at;

	if (called_member(r->cmd, &r->store, &r->network, &r->members, word, &at, err) == 0) {
		r->evicted[at] = true;
		return 0;
	}
	if (err->kind == ERR_REFUSED)
		return error_hint(err, "rotate it out from here by 'meshanics mgmt-keys rm'");
	if (r->members.count > 0)
		return -1;
	error_set(err, ERR_REFUSED, "no other node of network '%s' is known here, so nobody can be told to stay",
		  r->network.key.name);
	return error_hint(err, "rotate without --evict, and give the new key to those that stay");
}

static int choose_evicted(struct rotation *r, struct error *err)
{
	size_t left_out;
	unsigned i;

	if (members_read(&r->store, &r->network, &r->members, err) < 0)
		return -1;
	r->evicted = xcalloc(r->members.count + 1, sizeof(*r->evicted));
	left_out = r->members.left_out;
	if (left_out > 0)
		cmd_warn(r->cmd, "%zu record%s of nodes cannot be read; whoever they are of does not stay", left_out,
			 left_out == 1 ? "" : "s");
	for (i = 0; i < cmd_list_count(r->cmd, "evict"); i++) {
		if (evict(r, cmd_list(r->cmd, "evict", i), err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the rotation ---- */

static int next_key(struct rotation *r, struct error *err)
{
	int64_t expires_s;
	bool said;

	if (mgmt_keys_expiry(r->cmd, r->now_s, &expires_s, &said, err) < 0)
		return -1;
	if (!said && r->network.key.expires_s != 0) {
		error_set(err, ERR_USAGE, "the key of network '%s' expires, so say until when the next one holds",
			  r->network.key.name);
		return error_hint(err, "give --expires-in TIME or --never-expires");
	}
	return netkey_next(&r->next, &r->network.key, expires_s, err);
}

/* The list of who stays, this node among them; and whom it leaves out. */
static int put_stay(struct rotation *r, struct buf *list, struct node_ids *evicted, struct error *err)
{
	uint8_t(*stay)[NODE_ID_LEN] = xcalloc(r->members.count + 1, NODE_ID_LEN);
	size_t count = 0, i;
	int e;

	evicted->ids = xcalloc(r->members.count + 1, NODE_ID_LEN);
	memcpy(stay[count++], r->network.node.id, NODE_ID_LEN);
	for (i = 0; i < r->members.count; i++) {
		if (r->evicted[i])
			memcpy(evicted->ids[evicted->count++], r->members.all[i].id, NODE_ID_LEN);
		else
			memcpy(stay[count++], r->members.all[i].id, NODE_ID_LEN);
	}
	e = staylist_put(list, &r->next, &r->owner, (const uint8_t(*)[NODE_ID_LEN])stay, count, r->now_s, err);
	free(stay);
	return e;
}

static int commit(struct rotation *r, struct error *err)
{
	struct buf list = BUF_INIT(STAY_LEN_MAX);
	struct node_ids evicted = {NULL, 0};
	int64_t until_s = r->now_s + cmd_int(r->cmd, "grace", GRACE_DEFAULT_S);
	int e = -1;

	if (cmd_list_count(r->cmd, "evict") == 0 || put_stay(r, &list, &evicted, err) == 0)
		e = network_renew(&r->store, r->network.hex, &r->next, buf_slice(&list), &evicted, until_s, err);
	node_ids_release(&evicted);
	buf_release(&list);
	return e;
}

/* ---- what is said of it ---- */

static void put_nodes(const struct rotation *r, struct json_writer *w, const char *name, bool evicted)
{
	size_t i;

	json_open_array(w, name);
	for (i = 0; i < r->members.count; i++) {
		if (r->evicted[i] != evicted)
			continue;
		json_open_object(w, NULL);
		json_put_string(w, "name", r->members.all[i].name);
		json_put_hex(w, "id", r->members.all[i].id, NODE_ID_LEN);
		json_close(w);
	}
	json_close(w);
}

static void report_json(struct rotation *r, const struct network *n)
{
	struct buf b = BUF_INIT(DOCUMENT_MAX);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	mgmt_keys_put_json(&w, n, r->now_s, false);
	if (cmd_list_count(r->cmd, "evict") > 0) {
		put_nodes(r, &w, "stay", false);
		put_nodes(r, &w, "evicted", true);
	}
	json_close(&w);
	cmd_write_json(r->cmd, &b);
	buf_release(&b);
}

static void report_text(struct rotation *r, const struct network *n)
{
	char hex[NODE_ID_HEX_LEN];
	size_t i;

	mgmt_keys_print(r->cmd, n, r->now_s);
	if (cmd_list_count(r->cmd, "evict") == 0)
		return;
	for (i = 0; i < r->members.count; i++) {
		hex_encode(hex, r->members.all[i].id, NODE_ID_LEN);
		cmd_printf(r->cmd, "%s     %s  %s\n", r->evicted[i] ? "evicted" : "stays  ", hex, r->members.all[i].name);
	}
}

static int report(struct rotation *r, struct error *err)
{
	char until[TIME_TEXT_LEN];
	struct network n;

	if (network_read(&r->store, r->network.hex, &n, err) < 0)
		return -1;
	if (cmd_json(r->cmd))
		report_json(r, &n);
	else
		report_text(r, &n);
	cmd_note(r->cmd, "generation %" PRIu32 " is in force here, the former one holds until %s", n.key.generation,
		 time_text(until, n.former[0].grace_until_s));
	if (n.former_count > 1 && n.former[1].grace_until_s > r->now_s)
		cmd_note(r->cmd, "generation %" PRIu32 ", which was to hold until %s, holds no more: who has not taken %" PRIu32 " is out",
			 n.former[1].key.generation, time_text(until, n.former[1].grace_until_s), n.former[0].key.generation);
	if (cmd_list_count(r->cmd, "evict") == 0)
		cmd_note(r->cmd, "give the new key to each node that stays: meshanics mgmt-keys show, and add --key-file there");
	network_wipe(&n);
	return 0;
}

static int prepare(struct rotation *r, struct error *err)
{
	if (mgmt_keys_read(&r->store, cmd_operand(r->cmd, 0), &r->network, err) < 0)
		return -1;
	if (!r->network.owned) {
		error_set(err, ERR_REFUSED, "only its owner rotates network '%s', and the owner's key is not here",
			  r->network.key.name);
		return error_hint(err, "do it on the machine where the network was made");
	}
	if (network_owner(&r->store, r->network.hex, &r->owner, err) < 0 || next_key(r, err) < 0)
		return -1;
	return cmd_list_count(r->cmd, "evict") == 0 ? 0 : choose_evicted(r, err);
}

static int mgmt_keys_rotate_run(struct cmd *cmd, struct error *err)
{
	struct rotation r = {.cmd = cmd, .store = NETSTORE_INIT, .now_s = clock_now_s()};
	int e = -1;

	if (netstore_open_locked(&r.store, cmd_home(cmd), err) == 0 && prepare(&r, err) == 0 && commit(&r, err) == 0)
		e = report(&r, err);
	netstore_close(&r.store);
	network_wipe(&r.network);
	netkey_wipe(&r.next);
	ownerkey_wipe(&r.owner);
	members_release(&r.members);
	free(r.evicted);
	return e;
}

const struct command cmd_mgmt_keys_rotate = {
	.name = "mgmt-keys rotate",
	.usage = "NETWORK",
	.summary = "make the next key of a network, so that others are out",
	.options = mgmt_keys_rotate_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = mgmt_keys_rotate_run,
};
