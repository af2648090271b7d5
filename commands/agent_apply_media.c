/* meshanics agent apply --media: which bundle of a stick, and whether at all. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "bundle/media.h"
#include "commands/agent_apply.h"
#include "sys/file.h"

#define VOLUMES_MAX 16

/* One on the medium, by its first file. */
struct found {
	const char *name;	/* borrowed from the list */
	char created[CREATED_LEN];	/* as the agent has verified it, in an order that strcmp knows; "": it is none for us */
};

struct medium {
	struct media *media;
	struct media_list list;
	struct found *found;	/* owned */
	unsigned count;
};

static void medium_release(struct medium *m)
{
	free(m->found);
	media_list_release(&m->list);
	media_close(m->media);
}

static int read_medium(struct medium *m, const char *dir, struct error *err)
{
	unsigned i;

	if ((m->media = media_open(dir, false, err)) == NULL ||
	    media_list(m->media, MEDIA_BUNDLES, &m->list, err) < 0)
		return -1;
	m->found = xcalloc(m->list.count + 1, sizeof(*m->found));
	for (i = 0; i < m->list.count; i++) {
		struct slice name = slice_str(m->list.files[i].name);

		if (slice_ends(name, SLICE_LIT(".bundle")) || slice_ends(name, SLICE_LIT(".001")))
			m->found[m->count++].name = m->list.files[i].name;
	}
	return m->count > 0 ? 0 : error_set(err, ERR_NOT_FOUND, "there is no bundle on the medium '%s'", dir);
}

struct opened {
	int fds[VOLUMES_MAX];
	char names[VOLUMES_MAX][MEDIA_NAME_MAX + 1];
	const char *paths[VOLUMES_MAX];
	unsigned count;
};

static void close_opened(struct opened *o)
{
	while (o->count > 0)
		file_close(&o->fds[--o->count]);
}

/* The file, and the volumes that follow it as far as they are there. No link on the medium leads anywhere else. */
static int open_found(const struct medium *m, const char *name, struct opened *o, struct error *err)
{
	size_t len = strlen(name);
	struct error why = ERROR_INIT;

	o->count = 0;
	while (o->count < VOLUMES_MAX) {
		unsigned n = o->count;

		snprintf(o->names[n], sizeof(o->names[n]), "%s", name);
		if (n > 0)
			snprintf(o->names[n] + len - 3, 4, "%03u", n + 1);
		o->fds[n] = media_open_file(m->media, MEDIA_BUNDLES, o->names[n], &why);
		if (o->fds[n] < 0)
			break;
		o->paths[n] = o->names[n];
		o->count++;
		if (!slice_ends(slice_str(name), SLICE_LIT(".001")))
			return 0;
	}
	if (o->count > 0 && (why.kind == ERR_NONE || why.kind == ERR_NOT_FOUND))
		return 0;
	*err = why;
	close_opened(o);
	return -1;
}

static int apply_found(struct cmd *cmd, const struct medium *m, struct found *f, struct agent_hand_options o, bool *held,
		       struct error *err)
{
	struct opened opened;
	int r;

	if (open_found(m, f->name, &opened, err) < 0)
		return -1;
	o.paths = opened.paths;
	o.fds = opened.fds;
	o.path_count = opened.count;
	r = bundle_apply(cmd, &o, held, f->created, err);
	close_opened(&opened);
	return r;
}

static int compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(y->created, x->created);
}

/* The newest that holds. When none does, why the last one did not. */
static int apply_newest(struct cmd *cmd, const struct agent_hand_options *o, struct medium *m, struct error *err)
{
	struct agent_hand_options look = *o;
	bool held = false;
	unsigned i;
	int r = -1;

	look.look = true;
	for (i = 0; i < m->count; i++) {
		*err = ERROR_INIT;
		if (apply_found(cmd, m, &m->found[i], look, &held, err) < 0)
			cmd_warn(cmd, "'%s': %s", m->found[i].name, err->text);
		if (!held)
			m->found[i].created[0] = '\0';
	}
	qsort(m->found, m->count, sizeof(*m->found), compare_found);
	for (held = false, i = 0; !held && i < m->count && m->found[i].created[0] != '\0'; i++) {
		*err = ERROR_INIT;
		r = apply_found(cmd, m, &m->found[i], *o, &held, err);
		if (r < 0)
			error_wrap(err, "'%s'", m->found[i].name);
	}
	return r;
}

int bundle_apply_media(struct cmd *cmd, const struct agent_hand_options *o, const char *dir, struct error *err)
{
	struct medium m = {.count = 0};
	int r = -1;

	if (o->path_count > 0)
		return error_set(err, ERR_USAGE, "--media finds the bundle; name artifacts only");
	if (agent_allows_media(cmd_string(cmd, "allow", AGENT_ALLOW_PATH), dir, cmd_string(cmd, "label", NULL), err) < 0)
		return -1;
	if (read_medium(&m, dir, err) == 0)
		r = apply_newest(cmd, o, &m, err);
	medium_release(&m);
	return r;
}
