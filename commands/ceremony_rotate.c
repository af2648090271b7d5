/* `ceremony rotate`: the request for the next root, and on the same visit to each signer the next targets. */
#include <stdlib.h>

#include "commands/ceremony.h"
#include "sys/rng.h"

#define ROOT_LIFE_S (INT64_C(365) * 24 * 3600)
#define TARGETS_LIFE_S (INT64_C(180) * 24 * 3600)

static const struct option ceremony_rotate_options[] = {
	{ .name = "root", .type = OPT_STRING, .value = "FILE", .required = true, .help = "the root in force" },
	{ .name = "targets", .type = OPT_STRING, .value = "FILE",
	  .help = "the targets in force, to be signed anew with it" },
	{ .name = "like", .type = OPT_STRING, .value = "ROOT",
	  .help = "the site takes another one's targets: root and targets keys as this, its newest root, has them" },
	{ .name = "add-root-key", .type = OPT_LIST, .value = "PUB", .help = "a new root signer's public key; repeat" },
	{ .name = "remove-root-key", .type = OPT_LIST, .value = "KEY",
	  .help = "a key that may no longer sign root; repeat" },
	{ .name = "root-threshold", .type = OPT_INT, .value = "M", .min = 1, .max = CEREMONY_SIGNERS_MAX,
	  .help = "signers a root needs; as before when not given" },
	{ .name = "add-targets-key", .type = OPT_LIST, .value = "PUB",
	  .help = "a new targets signer's public key; repeat" },
	{ .name = "remove-targets-key", .type = OPT_LIST, .value = "KEY",
	  .help = "a key that may no longer sign targets; repeat" },
	{ .name = "targets-threshold", .type = OPT_INT, .value = "M", .min = 1, .max = CEREMONY_SIGNERS_MAX,
	  .help = "signers targets needs; as before when not given" },
	{ .name = "remove-key", .type = OPT_LIST, .value = "KEY",
	  .help = "a lost or stolen key: out of root and targets, wherever it is; repeat" },
	{ .name = "online-keys", .type = OPT_STRING, .value = "FILE", .help = "the box's new online keys" },
	{ .name = "export-key", .type = OPT_LIST, .value = "PUB",
	  .help = "record key that signs bundles, instead of those in force; repeat" },
	{ .name = "publisher", .type = OPT_LIST, .value = "NAME[:SLICE,...]",
	  .help = "add a publisher, or give the one of that name another slice or key; repeat" },
	{ .name = "key", .type = OPT_LIST, .value = "PUB",
	  .help = "public key of the one publisher that is named; repeat for several" },
	{ .name = "remove-publisher", .type = OPT_LIST, .value = "NAME",
	  .help = "take a publisher's slice away; repeat" },
	{ .name = "root-expires", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = REPO_LIFE_MAX_S,
	  .help = "life of the new root; 365d when not given" },
	{ .name = "targets-expires", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = REPO_LIFE_MAX_S,
	  .help = "life of the new targets; 180d when not given" },
	NAMES_OPTION,
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write the request to FILE; request.json when not given" },
	{ .name = NULL },
};

/* Everything that a rotation borrows. */
struct ingredients {
	struct buf root, targets, like;
	struct online_keys online;
	struct ceremony_signer *root_added, *targets_added, *export;
	unsigned root_added_count, targets_added_count, export_count;
	struct pubkey export_keys[ONLINE_RECORD_KEYS_MAX];
	struct repo_publisher *publishers;
	unsigned publisher_count;
	const char **removed_publishers;
	struct ceremony_removal *removed;
	struct ceremony_signer *removed_keys;	/* what removed and names point into, one a removal */
	unsigned removed_count;
	struct ceremony_name *names;
	unsigned name_count;
	uint8_t nonce[16];
};

static void ingredients_release(struct ingredients *g)
{
	buf_release(&g->root);
	buf_release(&g->targets);
	buf_release(&g->like);
	online_keys_release(&g->online);
	free(g->root_added);
	free(g->targets_added);
	free(g->export);
	publishers_drop(g->publishers, g->publisher_count);
	free(g->removed_publishers);
	free(g->removed);
	free(g->removed_keys);
	free(g->names);
}

/* ---- which key is meant ---- */

/* A key by the name that the request of --names has for it: 1 found, 0 not; ERR_REFUSED when two have it. */
static int by_name(const struct ingredients *g, const char *word, const char **keyid, struct error *err)
{
	unsigned i;

	*keyid = NULL;
	for (i = 0; i < g->name_count; i++) {
		if (strcmp(g->names[i].label, word) != 0)
			continue;
		if (*keyid != NULL) {
			error_set(err, ERR_REFUSED, "two keys are called '%s': %.16s... and %.16s...", word, *keyid,
				  g->names[i].keyid);
			return error_hint(err, "give the first digits of the key id");
		}
		*keyid = g->names[i].keyid;
	}
	return *keyid != NULL;
}

static bool is_file(const char *word)
{
	struct slice s = slice_str(word);

	return strchr(word, '/') != NULL || slice_ends(s, SLICE_LIT(".pub")) || slice_ends(s, SLICE_LIT(".pem"));
}

/* A word for a key: its file, the name that --names has for it, or the first digits of its id. */
static int resolve(struct ingredients *g, const char *word, unsigned roles, struct error *err)
{
	struct ceremony_removal *removal = &g->removed[g->removed_count];
	struct ceremony_signer *signer = &g->removed_keys[g->removed_count];
	int r;

	*removal = (struct ceremony_removal){.said = word, .roles = roles};
	if (is_file(word)) {
		if (signer_read(word, signer, err) < 0)
			return -1;
		removal->key = &signer->key;
	} else if ((r = by_name(g, word, &removal->keyid, err)) < 0) {
		return -1;
	} else if (r == 0) {
		if (word[0] == '\0' || word[strspn(word, "0123456789abcdef")] != '\0') {
			error_set(err, ERR_USAGE, "'%s' is no known key", word);
			return error_hint(err, "give its NAME.pub, the first %d digits of its id, or its name and "
					       "--names with an earlier request", CEREMONY_KEYID_MIN);
		}
		removal->keyid = word;
	}
	g->removed_count++;
	return 0;
}

static int gather_removals(struct cmd *cmd, struct ingredients *g, struct error *err)
{
	static const struct {
		const char *option;
		unsigned roles;
	} kinds[] = {
		{"remove-root-key", CEREMONY_ROOT},
		{"remove-targets-key", CEREMONY_TARGETS},
		{"remove-key", CEREMONY_ROOT | CEREMONY_TARGETS},
	};
	unsigned total = 0, i, k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++)
		total += cmd_list_count(cmd, kinds[k].option);
	if (total > 2 * CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_USAGE, "%u keys to remove, more than there can be", total);
	g->names = xreallocarray(g->names, (size_t)g->name_count + total, sizeof(*g->names));
	g->removed = xcalloc(total, sizeof(*g->removed));
	g->removed_keys = xcalloc(total, sizeof(*g->removed_keys));
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < cmd_list_count(cmd, kinds[k].option); i++) {
			if (resolve(g, cmd_list(cmd, kinds[k].option, i), kinds[k].roles, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* Whoever goes by his file is called by its name in the statement. There is room, made by gather_removals. */
static void name_removed(struct ingredients *g)
{
	unsigned i;

	for (i = 0; i < g->removed_count; i++) {
		struct ceremony_name *n = &g->names[g->name_count];

		if (g->removed[i].key == NULL)
			continue;
		key_id(n->keyid, g->removed[i].key);
		snprintf(n->label, sizeof(n->label), "%s", g->removed_keys[i].label);
		g->name_count++;
	}
}

/* ---- the request ---- */

static int gather_files(struct step *s, struct ingredients *g, struct error *err)
{
	const char *targets = cmd_string(s->cmd, "targets", NULL), *online = cmd_string(s->cmd, "online-keys", NULL),
		   *like = cmd_string(s->cmd, "like", NULL);

	if (step_read(s, cmd_string(s->cmd, "root", ""), &g->root, err) < 0 ||
	    (targets != NULL && step_read(s, targets, &g->targets, err) < 0) ||
	    (like != NULL && step_read(s, like, &g->like, err) < 0) ||
	    (online != NULL && online_keys_read(s, online, &g->online, err) < 0))
		return -1;
	return 0;
}

static int gather(struct step *s, struct ingredients *g, struct error *err)
{
	struct cmd *cmd = s->cmd;
	unsigned i;

	if (gather_files(s, g, err) < 0 || names_read(cmd, &g->names, &g->name_count, err) < 0 ||
	    signers_read(cmd, "add-root-key", CEREMONY_SIGNERS_MAX, &g->root_added, &g->root_added_count, err) < 0 ||
	    signers_read(cmd, "add-targets-key", CEREMONY_SIGNERS_MAX, &g->targets_added, &g->targets_added_count,
			 err) < 0 ||
	    signers_read(cmd, "export-key", ONLINE_RECORD_KEYS_MAX, &g->export, &g->export_count, err) < 0 ||
	    publishers_read(cmd, &g->publishers, &g->publisher_count, err) < 0 ||
	    publisher_keys_read(cmd, g->publishers, g->publisher_count, err) < 0 || gather_removals(cmd, g, err) < 0)
		return -1;
	for (i = 0; i < g->export_count; i++)
		g->export_keys[i] = g->export[i].key;
	g->removed_publishers = xcalloc(cmd_list_count(cmd, "remove-publisher"), sizeof(*g->removed_publishers));
	for (i = 0; i < cmd_list_count(cmd, "remove-publisher"); i++)
		g->removed_publishers[i] = cmd_list(cmd, "remove-publisher", i);
	rng_bytes(g->nonce, sizeof(g->nonce));
	return 0;
}

static int make_request(struct step *s, struct ingredients *g, struct buf *out, struct error *err)
{
	struct ceremony_rotation r = {
		.root_threshold = (unsigned)cmd_int(s->cmd, "root-threshold", 0),
		.targets_threshold = (unsigned)cmd_int(s->cmd, "targets-threshold", 0),
		.online = cmd_has(s->cmd, "online-keys") ? &g->online : NULL,
		.export_keys = g->export_keys,
		.root_life_s = cmd_int(s->cmd, "root-expires", ROOT_LIFE_S),
		.next = {
			.life_s = cmd_int(s->cmd, "targets-expires", TARGETS_LIFE_S),
			.removed_count = cmd_list_count(s->cmd, "remove-publisher"),
			.now_s = s->now_s,
			.nonce = g->nonce,
			.transcript_head = s->head,
		},
	};

	if (gather(s, g, err) < 0)
		return -1;
	name_removed(g);
	r.next.root = buf_slice(&g->root);
	r.next.targets = buf_slice(&g->targets);
	r.like = buf_slice(&g->like);
	r.next.publishers = g->publishers;
	r.next.publisher_count = g->publisher_count;
	r.next.removed = g->removed_publishers;
	r.next.names = g->names;
	r.next.name_count = g->name_count;
	r.root_added = g->root_added;
	r.root_added_count = g->root_added_count;
	r.targets_added = g->targets_added;
	r.targets_added_count = g->targets_added_count;
	r.removed = g->removed;
	r.removed_count = g->removed_count;
	r.export_count = g->export_count;
	return ceremony_rotate(out, &r, err);
}

/* What the operator gave as in force went into the request as it is. */
static int confirm_own(struct ceremony *c, const struct ingredients *g, struct error *err)
{
	if (ceremony_confirm(c, CEREMONY_ROOT, buf_slice(&g->root), err) < 0 ||
	    (g->like.len > 0 && ceremony_confirm(c, CEREMONY_LIKE, buf_slice(&g->like), err) < 0))
		return -1;
	return g->targets.len == 0 ? 0 : ceremony_confirm(c, CEREMONY_TARGETS, buf_slice(&g->targets), err);
}

static int rotate_run(struct cmd *cmd, struct step *s, struct error *err)
{
	const char *output = cmd_string(cmd, "output", "request.json");
	struct ingredients g = {.root = BUF_INIT(TUF_ROOT_MAX), .targets = BUF_INIT(CEREMONY_REQUEST_MAX),
				.like = BUF_INIT(TUF_ROOT_MAX)};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony *c = NULL;
	int r = -1;

	if (ceremony_check_absent(output, err) < 0 || make_request(s, &g, &text, err) < 0 ||
	    (c = ceremony_parse(buf_slice(&text), err)) == NULL || confirm_own(c, &g, err) < 0 ||
	    request_write(s, c, buf_slice(&text), output, "rotate", "request for the next root", err) < 0)
		goto out;
	r = 0;
out:
	ceremony_free(c);
	buf_release(&text);
	ingredients_release(&g);
	return r;
}

static int ceremony_rotate_run(struct cmd *cmd, struct error *err)
{
	struct step *s = step_begin(cmd, err);
	int r = s == NULL ? -1 : rotate_run(cmd, s, err);

	free(s);
	return r;
}

const struct command cmd_ceremony_rotate = {
	.name = "ceremony rotate",
	.usage = "",
	.summary = "write the request for the next root: keys, thresholds, online box, date",
	.options = ceremony_rotate_options,
	.needs = NEEDS_HOME,
	.run = ceremony_rotate_run,
};
