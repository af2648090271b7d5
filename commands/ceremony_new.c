/* `ceremony new`: the request for the first root and targets of a site, or for the first root of one more site. */
#include <fcntl.h>
#include <stdlib.h>

#include "commands/ceremony.h"
#include "sys/file.h"
#include "sys/rng.h"

#define ROOT_LIFE_S (INT64_C(365) * 24 * 3600)
#define TARGETS_LIFE_S (INT64_C(180) * 24 * 3600)
#define REHEARSAL_SIGNERS 3

static const struct option ceremony_new_options[] = {
	{ .name = "online-keys", .type = OPT_STRING, .value = "FILE",
	  .help = "online-keys.json of the box that 'repo init' was run on" },
	{ .name = "like", .type = OPT_STRING, .value = "ROOT",
	  .help = "a root alone, for a site that takes the targets of the one whose newest root this is" },
	{ .name = "root-key", .type = OPT_LIST, .value = "PUB", .help = "public key of a root signer; repeat" },
	{ .name = "root-threshold", .type = OPT_INT, .value = "M", .min = 1, .max = CEREMONY_SIGNERS_MAX,
	  .help = "signers a root needs; more than half when not given" },
	{ .name = "targets-key", .type = OPT_LIST, .value = "PUB",
	  .help = "public key of a targets signer; repeat" },
	{ .name = "targets-threshold", .type = OPT_INT, .value = "M", .min = 1, .max = CEREMONY_SIGNERS_MAX,
	  .help = "signers targets needs; 1 when not given" },
	{ .name = "site", .type = OPT_STRING, .value = "SITE",
	  .help = "refuse online keys of another site than SITE" },
	{ .name = "root-expires", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = REPO_LIFE_MAX_S,
	  .help = "life of root; 365d when not given" },
	{ .name = "targets-expires", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = REPO_LIFE_MAX_S,
	  .help = "life of targets; 180d when not given" },
	{ .name = "publisher", .type = OPT_LIST, .value = "NAME[:SLICE,...]",
	  .help = "who publishes what, instead of what the box asks for; repeat" },
	{ .name = "export-key", .type = OPT_LIST, .value = "PUB",
	  .help = "record key that signs bundles for this site; with --like, instead of its; repeat" },
	NAMES_OPTION,
	{ .name = "rehearsal", .type = OPT_FLAG,
	  .help = "practise with throwaway keys, made beside the request" },
	{ .name = "signers", .type = OPT_INT, .value = "N", .min = 1, .max = CEREMONY_SIGNERS_MAX,
	  .help = "signers of a rehearsal; 3 when not given" },
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write the request to FILE; request.json when not given" },
	{ .name = NULL },
};

/* Everything that a plan borrows. */
struct ingredients {
	struct online_keys online;
	struct ceremony_signer *root, *targets, *export;
	unsigned root_count, targets_count, export_count;
	struct repo_publisher *publishers;
	unsigned publisher_count;
	struct pubkey export_keys[ONLINE_RECORD_KEYS_MAX];
	struct buf like;
	struct ceremony_name *names;
	unsigned name_count;
	uint8_t nonce[16];
};

static void ingredients_release(struct ingredients *g)
{
	online_keys_release(&g->online);
	if (g->root != g->targets)
		free(g->targets);
	free(g->root);
	free(g->export);
	publishers_drop(g->publishers, g->publisher_count);
	buf_release(&g->like);
	free(g->names);
}

/* What the site has from the other one is not given beside it. */
static int gather_like(struct step *s, struct ingredients *g, struct error *err)
{
	static const char *const theirs[] = {"root-key",	 "root-threshold",  "targets-key",
					     "targets-threshold", "targets-expires", "publisher"};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(theirs); i++) {
		if (!cmd_has(s->cmd, theirs[i]))
			continue;
		error_set(err, ERR_USAGE, "--%s does not go with --like", theirs[i]);
		return error_hint(err, "keys, thresholds and publishers are those of the site that it is made like");
	}
	if (names_read(s->cmd, &g->names, &g->name_count, err) < 0)
		return -1;
	return step_read(s, cmd_string(s->cmd, "like", ""), &g->like, err);
}

static int gather(struct step *s, struct ingredients *g, struct error *err)
{
	const char *online = cmd_string(s->cmd, "online-keys", NULL), *site = cmd_string(s->cmd, "site", NULL);
	unsigned i;

	if (cmd_has(s->cmd, "like") && online != NULL) {
		if (gather_like(s, g, err) < 0)
			return -1;
	} else if (online == NULL || !cmd_has(s->cmd, "root-key") || !cmd_has(s->cmd, "targets-key")) {
		error_set(err, ERR_USAGE, "--online-keys, --root-key and --targets-key are needed");
		return error_hint(err, "for one more site: --online-keys and --like ROOT; to practise: --rehearsal");
	} else if (cmd_has(s->cmd, "names")) {
		return error_set(err, ERR_USAGE, "--names belongs to --like: keys that are given have their files' names");
	}
	if (cmd_has(s->cmd, "signers"))
		return error_set(err, ERR_USAGE, "--signers belongs to --rehearsal");
	if (online_keys_read(s, online, &g->online, err) < 0 ||
	    signers_read(s->cmd, "root-key", CEREMONY_SIGNERS_MAX, &g->root, &g->root_count, err) < 0 ||
	    signers_read(s->cmd, "targets-key", CEREMONY_SIGNERS_MAX, &g->targets, &g->targets_count, err) < 0 ||
	    signers_read(s->cmd, "export-key", ONLINE_RECORD_KEYS_MAX, &g->export, &g->export_count, err) < 0)
		return -1;
	if (g->like.len > 0 && g->online.publisher_count > 0)
		cmd_warn(s->cmd, "the box of site '%s' asks for publishers: it gets none, and takes those of the other site",
			 g->online.site);
	for (i = 0; i < g->export_count; i++)
		g->export_keys[i] = g->export[i].key;
	if (site != NULL && strcmp(site, g->online.site) != 0)
		return error_set(err, ERR_REFUSED, "'%s' is of site '%s', not '%s'", online, g->online.site, site);
	return 0;
}

/* A rehearsal makes its keys beside the request, and takes no others. */
static int gather_rehearsal(struct step *s, struct ingredients *g, const char *output, struct error *err)
{
	static const char *const real[] = {"online-keys", "root-key", "targets-key", "export-key", "like", "names"};
	unsigned n = (unsigned)cmd_int(s->cmd, "signers", REHEARSAL_SIGNERS), i;
	char dir[4096];
	int dirfd, r;

	for (i = 0; i < ARRAY_SIZE(real); i++) {
		if (cmd_has(s->cmd, real[i]))
			return error_set(err, ERR_REFUSED, "a rehearsal takes no real keys: drop --%s", real[i]);
	}
	snprintf(dir, sizeof(dir), "%s", strchr(output, '/') == NULL ? "./" : output);
	strrchr(dir, '/')[1] = '\0';
	if ((dirfd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	g->root = g->targets = xcalloc(n, sizeof(*g->root));
	g->root_count = g->targets_count = n;
	r = ceremony_rehearsal_keys(dirfd, cmd_string(s->cmd, "site", "rehearsal"), n, s->now_s, g->root, &g->online,
				    err);
	file_close(&dirfd);
	return r;
}

static int make_request(struct step *s, struct ingredients *g, struct buf *out, struct error *err)
{
	struct ceremony_plan plan = {
		.online = &g->online,
		.root_signers = g->root,
		.targets_signers = g->targets,
		.root_count = g->root_count,
		.targets_count = g->targets_count,
		.like = buf_slice(&g->like),
		.names = g->names,
		.name_count = g->name_count,
		.root_threshold = (unsigned)cmd_int(s->cmd, "root-threshold", g->root_count / 2 + 1),
		.targets_threshold = (unsigned)cmd_int(s->cmd, "targets-threshold", 1),
		.root_life_s = cmd_int(s->cmd, "root-expires", ROOT_LIFE_S),
		.targets_life_s = cmd_int(s->cmd, "targets-expires", TARGETS_LIFE_S),
		.publishers = g->publishers,
		.publisher_count = g->publisher_count,
		.export_keys = g->export_keys,
		.export_count = g->export_count,
		.rehearsal = cmd_flag(s->cmd, "rehearsal"),
		.now_s = s->now_s,
		.nonce = g->nonce,
		.transcript_head = s->head,
	};

	rng_bytes(g->nonce, sizeof(g->nonce));
	return ceremony_new(out, &plan, err);
}

static int new_run(struct cmd *cmd, struct step *s, struct error *err)
{
	const char *output = cmd_string(cmd, "output", "request.json");
	struct ingredients g = {.like = BUF_INIT(TUF_ROOT_MAX)};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony *c = NULL;
	int r = -1;

	if (ceremony_check_absent(output, err) < 0)
		goto out;
	if ((cmd_flag(cmd, "rehearsal") ? gather_rehearsal(s, &g, output, err) : gather(s, &g, err)) < 0 ||
	    publishers_read(cmd, &g.publishers, &g.publisher_count, err) < 0 || make_request(s, &g, &text, err) < 0 ||
	    (c = ceremony_parse(buf_slice(&text), err)) == NULL ||
	    (g.like.len > 0 && ceremony_confirm(c, CEREMONY_LIKE, buf_slice(&g.like), err) < 0) ||
	    request_write(s, c, buf_slice(&text), output, "new",
			  g.like.len > 0 ? "request for the first root of one more site"
					 : "request for the first root and targets", err) < 0)
		goto out;
	r = 0;
out:
	ceremony_free(c);
	buf_release(&text);
	ingredients_release(&g);
	return r;
}

static int ceremony_new_run(struct cmd *cmd, struct error *err)
{
	struct step *s = step_begin(cmd, err);
	int r = s == NULL ? -1 : new_run(cmd, s, err);

	free(s);
	return r;
}

const struct command cmd_ceremony_new = {
	.name = "ceremony new",
	.usage = "",
	.summary = "write the request for the first root and targets",
	.options = ceremony_new_options,
	.needs = NEEDS_HOME,
	.run = ceremony_new_run,
};
