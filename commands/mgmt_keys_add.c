/* `mgmt-keys add`: make a network, join one, or take its next generation. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "commands/mgmt_keys.h"
#include "mesh/taken.h"
#include "sys/clock.h"
#include "sys/file.h"

#define KEY_INPUT_MAX 4096

static int check_ipv4_range(const char *const *items, unsigned count, struct error *err)
{
	struct range range;

	return range_parse(&range, slice_str(items[count - 1]), err);
}

static const struct option mgmt_keys_add_options[] = {
	{ .name = "name", .type = OPT_STRING, .value = "NAME",
	  .help = "what the network is called here; where one is joined, its key has a name" },
	{ .name = "caps", .type = OPT_LIST, .value = "CAP", .help = "what the key is for: mesh-route (the default)" },
	{ .name = "key-file", .type = OPT_STRING, .value = "FILE", .help = "join with the key in FILE, or - for standard input" },
	{ .name = "key", .type = OPT_STRING, .value = "SECRET",
	  .help = "join with this key; other users can see it, so --key-file is better" },
	EXPIRY_OPTIONS,
	{ .name = "ipv4-range", .type = OPT_STRING, .value = "CIDR", .config = "meshlan.ipv4_range",
	  .check = check_ipv4_range, .help = "addresses of a new network (default: a free /19 of 198.18.0.0/15)" },
	{ .name = "allow", .type = OPT_LIST, .value = "PROTO:PORT",
	  .help = "let this in from the network: tcp:22, udp:5000-5010 (default: nothing)" },
	{ .name = NULL },
};

/* What was asked for. */
struct add {
	struct cmd *cmd;
	struct netstore store;
	struct netkey key;
	struct ownerkey owner;		/* of a new network */
	struct allow_list allow;
	int64_t now_s;
	char hex[NETWORK_ID_HEX_LEN];
};

/* ---- options ---- */

static int check_caps(const struct cmd *cmd, struct error *err)
{
	unsigned i;

	for (i = 0; i < cmd_list_count(cmd, "caps"); i++) {
		if (strcmp(cmd_list(cmd, "caps", i), "mesh-route") == 0)
			continue;
		error_set(err, ERR_USAGE, "no key is for '%s'", cmd_list(cmd, "caps", i));
		return error_hint(err, "give mesh-route: to be in the network and to carry packets in it");
	}
	return 0;
}

static int read_allow(struct add *a, struct error *err)
{
	struct allow rule;
	unsigned i;

	for (i = 0; i < cmd_list_count(a->cmd, "allow"); i++) {
		if (allow_parse(&rule, slice_str(cmd_list(a->cmd, "allow", i)), err) < 0 ||
		    allow_list_add(&a->allow, &rule, err) < 0)
			return error_wrap(err, "--allow");
	}
	return 0;
}

/* The name that was given, into the key; by way of its form, which says what a name may be. */
static int set_name(struct add *a, struct error *err)
{
	struct buf bytes = BUF_SECRET(NETKEY_BYTES_MAX);
	const char *name = cmd_string(a->cmd, "name", "");
	int r;

	if (name[0] == '\0' || strlen(name) > NETKEY_NAME_MAX)
		return error_set(err, ERR_USAGE, "the name of a network has %zu bytes, not 1 to %d", strlen(name),
				 NETKEY_NAME_MAX);
	snprintf(a->key.name, sizeof(a->key.name), "%s", name);
	netkey_encode(&bytes, &a->key);
	r = netkey_decode(&a->key, buf_slice(&bytes), err);
	if (r < 0)
		err->kind = ERR_USAGE;
	buf_release(&bytes);
	return r;
}

/* ---- what is in the way ---- */

/* Other networks: their ranges into l, and that none has the name. */
static int check_networks(struct add *a, struct taken_list *l, struct error *err)
{
	char what[TAKEN_WHAT_LEN];
	struct network_ids ids;
	struct network n;
	bool same;
	size_t i;

	if (netstore_ids(&a->store, &ids, err) < 0)
		return -1;
	for (i = 0; i < ids.count; i++) {
		if (network_read(&a->store, ids.hex[i], &n, err) < 0)
			return -1;
		snprintf(what, sizeof(what), "network '%s'", n.key.name);
		taken_add(l, &n.key.range, what);
		same = strcmp(n.key.name, a->key.name) == 0;
		network_wipe(&n);
		if (!same)
			continue;
		error_set(err, ERR_CONFLICT, "another network here, %.12s, is called '%s' as well", ids.hex[i],
			  a->key.name);
		return error_hint(err, "call this one something else here, by --name");
	}
	return taken_read(l, err);
}

static int check_range(const struct taken_list *l, const struct range *range, bool joining, struct error *err)
{
	const struct taken *t = taken_find(l, range);
	char text[RANGE_TEXT_LEN], other[RANGE_TEXT_LEN];

	if (t == NULL)
		return 0;
	error_set(err, ERR_REFUSED, "range %s is in use here: %s has %s", range_text(text, range), t->what,
		  range_text(other, &t->range));
	return error_hint(err, joining ? "addresses are part of the key: free the range here, or have the network made anew "
					 "with --ipv4-range" :
					 "leave --ipv4-range out, and a free one is taken");
}

/* ---- making ---- */

static int make_key(struct add *a, const struct taken_list *l, const struct range *asked, struct error *err)
{
	struct range range = *asked;
	int64_t expires_s;
	bool said;

	if (mgmt_keys_expiry(a->cmd, a->now_s, &expires_s, &said, err) < 0)
		return -1;
	if (range.prefix != 0 ? check_range(l, &range, false, err) < 0 : taken_choose(l, &range, err) < 0)
		return -1;
	return netkey_generate(&a->key, &a->owner, slice_str(cmd_string(a->cmd, "name", "")), &range, a->now_s,
			       expires_s, err);
}

static int make(struct add *a, struct error *err)
{
	const char *name = cmd_string(a->cmd, "name", ""), *text = cmd_string(a->cmd, "ipv4-range", NULL);
	struct taken_list taken = TAKEN_INIT;
	struct range range = {.prefix = 0};
	int r = -1;

	if (name[0] == '\0') {
		error_set(err, ERR_USAGE, "a new network wants a name");
		return error_hint(err, "give --name NAME; to join one that there is, give --key-file FILE");
	}
	if (text != NULL && range_parse(&range, slice_str(text), err) < 0)
		return -1;
	snprintf(a->key.name, sizeof(a->key.name), "%s", name);
	if (netstore_open_locked(&a->store, cmd_home(a->cmd), err) == 0 && check_networks(a, &taken, err) == 0 &&
	    make_key(a, &taken, &range, err) == 0)
		r = netstore_add(&a->store, &a->key, &a->owner, &a->allow, err);
	taken_release(&taken);
	if (r == 0)
		cmd_note(a->cmd, "another node joins with what 'meshanics mgmt-keys show' prints");
	return r;
}

/* ---- joining ---- */

static int read_key(struct add *a, struct error *err)
{
	struct buf text = BUF_SECRET(KEY_INPUT_MAX);
	const char *file = cmd_string(a->cmd, "key-file", NULL);
	int r;

	if (file == NULL) {
		cmd_warn(a->cmd, "other users of this machine can see what stands behind --key; --key-file hides it");
		return netkey_parse(&a->key, slice_str(cmd_string(a->cmd, "key", "")), err);
	}
	if (strcmp(file, "-") == 0)
		r = file_read_fd(STDIN_FILENO, &text, "standard input", err);
	else
		r = file_read_private(AT_FDCWD, file, &text, err);
	if (r == 0 && (r = netkey_parse(&a->key, buf_slice(&text), err)) < 0)
		error_wrap(err, "'%s'", file);
	buf_release(&text);
	return r;
}

static int check_join_options(const struct cmd *cmd, struct error *err)
{
	static const char *const fixed[] = {"expires-in", "never-expires", "ipv4-range"};
	size_t i;

	if (cmd_has(cmd, "key") && cmd_has(cmd, "key-file"))
		return error_set(err, ERR_USAGE, "--key and --key-file exclude each other");
	for (i = 0; i < ARRAY_SIZE(fixed); i++) {
		if (!cmd_given(cmd, fixed[i]))
			continue;
		error_set(err, ERR_USAGE, "--%s is for new networks: a key brings its own", fixed[i]);
		return error_hint(err, "leave it out, or leave the key out to make a network");
	}
	return 0;
}

static int check_time(struct add *a, struct error *err)
{
	char text[TIME_TEXT_LEN];

	if (a->key.expires_s != 0 && a->key.expires_s <= a->now_s) {
		error_set(err, ERR_REFUSED, "the key of network '%s' expired at %s", a->key.name,
			  time_text(text, a->key.expires_s));
		return error_hint(err, "ask for the next one, or set the clock of this machine if it is wrong");
	}
	if (a->key.created_s > a->now_s)
		cmd_warn(a->cmd, "by the clock of this machine the network is made in the future, at %s",
			 time_text(text, a->key.created_s));
	return 0;
}

/* Why a key of a network that is here is not its next generation. */
static int check_newer(const struct add *a, const struct network *n, struct error *err)
{
	if (!netkey_same_network(&a->key, &n->key) || a->key.generation > n->key.generation)
		return 0;	/* network_renew tells the one from the other */
	if (a->key.generation < n->key.generation) {
		error_set(err, ERR_REFUSED, "this key is of generation %" PRIu32 " of network '%s', and %" PRIu32 " is here",
			  a->key.generation, n->key.name, n->key.generation);
		return error_hint(err, "nothing is to be done: the key here is the newer one");
	}
	if (memcmp(a->key.secret, n->key.secret, sizeof(a->key.secret)) == 0 && a->key.expires_s == n->key.expires_s) {
		error_set(err, ERR_CONFLICT, "this node has joined network '%s' already, with this key", n->key.name);
		return error_hint(err, "its rules and name stay as they are; see 'meshanics mgmt-keys list'");
	}
	error_set(err, ERR_REFUSED, "generation %" PRIu32 " of network '%s' is here with another secret", a->key.generation,
		  n->key.name);
	return error_hint(err, "its owner's key is in two places; rotate once more, in one of them");
}

/* The next generation of a network that is here. */
static int take_next(struct add *a, struct error *err)
{
	struct network n;
	int r = -1;

	if (network_read(&a->store, a->hex, &n, err) < 0)
		return -1;
	if (check_newer(a, &n, err) < 0)
		goto out;
	if (a->allow.count > 0 || (cmd_has(a->cmd, "name") && strcmp(cmd_string(a->cmd, "name", ""), n.key.name) != 0)) {
		error_set(err, ERR_USAGE, "network '%s' is here already, with its name and rules", n.key.name);
		error_hint(err, "leave --name and --allow out, and the newer key is taken");
		goto out;
	}
	r = network_renew(&a->store, a->hex, &a->key, SLICE_EMPTY, NULL, a->now_s + GRACE_DEFAULT_S, err);
	if (r == 0)
		cmd_note(a->cmd, "generation %" PRIu32 " of network '%s' is in force; the one before holds for 24 hours more",
			 a->key.generation, n.key.name);
out:
	network_wipe(&n);
	return r;
}

static int join(struct add *a, struct error *err)
{
	struct taken_list taken = TAKEN_INIT;
	int r = -1;

	if (check_join_options(a->cmd, err) < 0 || read_key(a, err) < 0 || check_time(a, err) < 0 ||
	    netstore_open_locked(&a->store, cmd_home(a->cmd), err) < 0)
		return -1;
	hex_encode(a->hex, a->key.id, NETWORK_ID_LEN);
	if (file_exists(a->store.networks_fd, a->hex))
		return take_next(a, err);
	if ((!cmd_has(a->cmd, "name") || set_name(a, err) == 0) && check_networks(a, &taken, err) == 0 &&
	    check_range(&taken, &a->key.range, true, err) == 0)
		r = netstore_add(&a->store, &a->key, NULL, &a->allow, err);
	taken_release(&taken);
	return r;
}

static int mgmt_keys_add_run(struct cmd *cmd, struct error *err)
{
	struct add a = {.cmd = cmd, .store = NETSTORE_INIT, .now_s = clock_now_s()};
	bool joining = cmd_has(cmd, "key") || cmd_has(cmd, "key-file");
	struct network n;
	int r = -1;

	if (check_caps(cmd, err) == 0 && read_allow(&a, err) == 0)
		r = joining ? join(&a, err) : make(&a, err);
	if (r == 0) {
		hex_encode(a.hex, a.key.id, NETWORK_ID_LEN);
		if ((r = network_read(&a.store, a.hex, &n, err)) == 0)
			mgmt_keys_report(cmd, &n, a.now_s);	/* what stands on the disk */
		mgmt_keys_note_home(cmd);
		network_wipe(&n);
	}
	netstore_close(&a.store);
	netkey_wipe(&a.key);
	ownerkey_wipe(&a.owner);
	return r;
}

const struct command cmd_mgmt_keys_add = {
	.name = "mgmt-keys add",
	.usage = "",
	.summary = "make a network, or join one by its key",
	.options = mgmt_keys_add_options,
	.needs = NEEDS_HOME,
	.run = mgmt_keys_add_run,
};
