/* `ceremony delegate`: the request for the next targets: publishers come, change, go, or only the date moves. */
#include <stdlib.h>

#include "commands/ceremony.h"
#include "sys/rng.h"

#define TARGETS_LIFE_S (INT64_C(180) * 24 * 3600)

static const struct option ceremony_delegate_options[] = {
	{ .name = "root", .type = OPT_STRING, .value = "FILE", .required = true, .help = "the root in force" },
	{ .name = "targets", .type = OPT_STRING, .value = "FILE", .required = true,
	  .help = "the targets in force" },
	{ .name = "publisher", .type = OPT_LIST, .value = "NAME[:SLICE,...]",
	  .help = "add a publisher, or give the one of that name another slice or key; repeat" },
	{ .name = "key", .type = OPT_LIST, .value = "PUB",
	  .help = "public key of the one publisher that is named; repeat for several" },
	{ .name = "remove", .type = OPT_LIST, .value = "NAME",
	  .help = "take a publisher's slice away; repeat" },
	{ .name = "expires", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = REPO_LIFE_MAX_S,
	  .help = "life of the new targets; 180d when not given" },
	NAMES_OPTION,
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write the request to FILE; request.json when not given" },
	{ .name = NULL },
};

struct ingredients {
	struct buf root, targets;
	struct repo_publisher *publishers;
	unsigned publisher_count;
	const char **removed;
	unsigned removed_count;
	struct ceremony_name *names;
	unsigned name_count;
	uint8_t nonce[16];
};

static void ingredients_release(struct ingredients *g)
{
	buf_release(&g->root);
	buf_release(&g->targets);
	publishers_drop(g->publishers, g->publisher_count);
	free(g->removed);
	free(g->names);
}

static int gather(struct step *s, struct ingredients *g, struct error *err)
{
	unsigned i;

	if (step_read(s, cmd_string(s->cmd, "root", ""), &g->root, err) < 0 ||
	    step_read(s, cmd_string(s->cmd, "targets", ""), &g->targets, err) < 0 ||
	    publishers_read(s->cmd, &g->publishers, &g->publisher_count, err) < 0 || publisher_keys_read(s->cmd, g->publishers, g->publisher_count, err) < 0 ||
	    names_read(s->cmd, &g->names, &g->name_count, err) < 0)
		return -1;
	g->removed_count = cmd_list_count(s->cmd, "remove");
	g->removed = xcalloc(g->removed_count, sizeof(*g->removed));
	for (i = 0; i < g->removed_count; i++)
		g->removed[i] = cmd_list(s->cmd, "remove", i);
	rng_bytes(g->nonce, sizeof(g->nonce));
	return 0;
}

static int make_request(struct step *s, struct ingredients *g, struct buf *out, struct error *err)
{
	struct ceremony_delegation d = {
		.life_s = cmd_int(s->cmd, "expires", TARGETS_LIFE_S),
		.now_s = s->now_s,
		.nonce = g->nonce,
		.transcript_head = s->head,
	};

	if (gather(s, g, err) < 0)
		return -1;
	d.root = buf_slice(&g->root);
	d.targets = buf_slice(&g->targets);
	d.publishers = g->publishers;
	d.publisher_count = g->publisher_count;
	d.removed = g->removed;
	d.removed_count = g->removed_count;
	d.names = g->names;
	d.name_count = g->name_count;
	return ceremony_delegate(out, &d, err);
}

static int delegate_run(struct cmd *cmd, struct step *s, struct error *err)
{
	const char *output = cmd_string(cmd, "output", "request.json");
	struct ingredients g = {.root = BUF_INIT(TUF_ROOT_MAX), .targets = BUF_INIT(CEREMONY_REQUEST_MAX)};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony *c = NULL;
	int r = -1;

	if (ceremony_check_absent(output, err) < 0 || make_request(s, &g, &text, err) < 0 || (c = ceremony_parse(buf_slice(&text), err)) == NULL ||
	    /* What the operator gave as in force went into the request as it is. */
	    ceremony_confirm(c, CEREMONY_ROOT, buf_slice(&g.root), err) < 0 ||
	    ceremony_confirm(c, CEREMONY_TARGETS, buf_slice(&g.targets), err) < 0 ||
	    request_write(s, c, buf_slice(&text), output, "delegate", "request for the next targets", err) < 0)
		goto out;
	r = 0;
out:
	ceremony_free(c);
	buf_release(&text);
	ingredients_release(&g);
	return r;
}

static int ceremony_delegate_run(struct cmd *cmd, struct error *err)
{
	struct step *s = step_begin(cmd, err);
	int r = s == NULL ? -1 : delegate_run(cmd, s, err);

	free(s);
	return r;
}

const struct command cmd_ceremony_delegate = {
	.name = "ceremony delegate",
	.usage = "",
	.summary = "write the request for the next targets",
	.options = ceremony_delegate_options,
	.needs = NEEDS_HOME,
	.run = ceremony_delegate_run,
};
