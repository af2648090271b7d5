/* `mgmt-keys rotate`: the next generation of a network, and who does not get it. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/mgmt_keys.h"
#include "sys/clock.h"

#define PREFIX_LEN_MIN 4	/* digits of a node's id */
#define NODES_MAX 8192
#define DOCUMENT_MAX (4u << 20)

static const struct option mgmt_keys_rotate_options[] = {
	{ .name = "evict", .type = OPT_LIST, .value = "NODE",
	  .help = "all known nodes get the new key but this one (name or id)" },
	{ .name = "grace", .type = OPT_DURATION, .value = "TIME", .min = 0, .max = GRACE_MAX_S,
	  .help = "how long the former key holds beside it (default 24h)" },
	EXPIRY_OPTIONS,
	{ .name = NULL },
};

struct node {
	uint8_t id[NODE_ID_LEN];
	char name[MESH_NAME_MAX + 1];
	bool evicted;	/* by this rotation */
};

struct rotation {
	struct cmd *cmd;
	struct netstore store;
	struct network network;
	struct ownerkey owner;
	struct netkey next;
	struct node *nodes;	/* owned; not this one */
	size_t nodes_count;
	struct node_ids gone;	/* who was evicted before */
	int64_t now_s;
};

/* ---- whom is known ---- */

static int take_record(void *arg, const struct mesh_record *record, struct slice bytes, struct error *err)
{
	struct rotation *r = arg;
	struct node *n;
	size_t i;

	(void)bytes;
	if (memcmp(record->id, r->network.node.id, NODE_ID_LEN) == 0)
		return 0;
	for (i = 0; i < r->gone.count; i++) {
		if (memcmp(record->id, r->gone.ids[i], NODE_ID_LEN) == 0)
			return 0;
	}
	if (r->nodes_count == NODES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d nodes are known", NODES_MAX);
	n = &r->nodes[r->nodes_count++];
	memcpy(n->id, record->id, NODE_ID_LEN);
	memcpy(n->name, record->name, sizeof(n->name));
	n->evicted = false;
	return 0;
}

static bool node_is(const struct node *n, const char *word)
{
	char hex[NODE_ID_HEX_LEN];
	size_t len = strlen(word);

	hex_encode(hex, n->id, NODE_ID_LEN);
	return strcmp(word, n->name) == 0 || (len >= PREFIX_LEN_MIN && strncmp(word, hex, len) == 0);
}

static int not_found(const struct rotation *r, const char *word, struct error *err)
{
	struct node self;

	memcpy(self.id, r->network.node.id, NODE_ID_LEN);
	self.name[0] = '\0';
	if (node_is(&self, word)) {
		error_set(err, ERR_REFUSED, "'%s' is this node itself", word);
		return error_hint(err, "rotate it out from here by 'meshanics mgmt-keys rm'");
	}
	if (r->nodes_count == 0) {
		error_set(err, ERR_REFUSED, "no other node of network '%s' is known here, so nobody can be told to stay",
			  r->network.key.name);
		return error_hint(err, "rotate without --evict, and give the new key to those that stay");
	}
	error_set(err, ERR_NOT_FOUND, "no node '%s' is known in network '%s'", word, r->network.key.name);
	return error_hint(err, "give its name, or the beginning of its id, %d digits or more", PREFIX_LEN_MIN);
}

static int evict(struct rotation *r, const char *word, struct error *err)
{
	struct node *hit = NULL;
	size_t i;

	for (i = 0; i < r->nodes_count; i++) {
		if (!node_is(&r->nodes[i], word))
			continue;
		if (hit != NULL) {
			error_set(err, ERR_CONFLICT, "'%s' may mean several nodes", word);
			return error_hint(err, "give the whole id of the one that goes");
		}
		hit = &r->nodes[i];
	}
	if (hit == NULL)
		return not_found(r, word, err);
	hit->evicted = true;
	return 0;
}

static int choose_evicted(struct rotation *r, struct error *err)
{
	size_t left_out;
	unsigned i;

	if (network_evicted(&r->store, &r->network, &r->gone, err) < 0)
		return -1;
	r->nodes = xcalloc(NODES_MAX, sizeof(*r->nodes));
	if (network_records(&r->store, &r->network, take_record, r, &left_out, err) < 0)
		return -1;
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
	uint8_t(*stay)[NODE_ID_LEN] = xcalloc(r->nodes_count + 1, NODE_ID_LEN);
	size_t count = 0, i;
	int e;

	evicted->ids = xcalloc(r->nodes_count + 1, NODE_ID_LEN);
	memcpy(stay[count++], r->network.node.id, NODE_ID_LEN);
	for (i = 0; i < r->nodes_count; i++) {
		if (r->nodes[i].evicted)
			memcpy(evicted->ids[evicted->count++], r->nodes[i].id, NODE_ID_LEN);
		else
			memcpy(stay[count++], r->nodes[i].id, NODE_ID_LEN);
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
	for (i = 0; i < r->nodes_count; i++) {
		if (r->nodes[i].evicted != evicted)
			continue;
		json_open_object(w, NULL);
		json_put_string(w, "name", r->nodes[i].name);
		json_put_hex(w, "id", r->nodes[i].id, NODE_ID_LEN);
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
	for (i = 0; i < r->nodes_count; i++) {
		hex_encode(hex, r->nodes[i].id, NODE_ID_LEN);
		cmd_printf(r->cmd, "%s     %s  %s\n", r->nodes[i].evicted ? "evicted" : "stays  ", hex, r->nodes[i].name);
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
	node_ids_release(&r.gone);
	free(r.nodes);
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
