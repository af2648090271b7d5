/*
 * Which artifacts of a bundle are looked up: those that were named, or of every name the highest release that this device
 * can run. A role may list what it has no say in; so a choice counts only when the search through the delegations ends at
 * the very role that lists it, else the next lower release has its turn.
 */
#include "agent/unpack_choose.h"

#include <stdlib.h>
#include <string.h>

#include "bundle/receipt.h"
#include "tuf/engine.h"

#define ROLE_FILE_MAX (256u << 20)

/* ---- named ---- */

static int look_up(struct unpack_walk *w, struct slice path, struct tuf_result *out, struct error *err)
{
	if (tuf_client_lookup(w->client, path, err) < 0 || unpack_walk(w, err) < 0)
		return -1;
	return tuf_client_result(w->client, out, err);
}

static int put_choice(struct buf *chosen, struct slice path, unsigned *count, struct error *err)
{
	if (++*count > UNPACK_PLAN_MAX) {
		error_set(err, ERR_LIMIT, "more than %d artifacts of the bundle fit this device", UNPACK_PLAN_MAX);
		return error_hint(err, "name those that are to be applied");
	}
	buf_put_slice(chosen, path);
	buf_put_u8(chosen, '\n');
	return 0;
}

/* In the words of who typed it, not of the search. */
static int not_published(struct slice path, struct error *err)
{
	*err = ERROR_INIT;
	error_set(err, ERR_NOT_FOUND, "the metadata of this bundle lists no artifact '%.*s'", SLICE_ARG(path));
	return error_hint(err, "nothing was changed; --dry-run without an ARTIFACT says what would be applied");
}

int unpack_look_up(struct unpack_walk *w, struct slice named, struct buf *chosen, struct error *err)
{
	unsigned count = 0;

	while (named.len > 0) {
		size_t end = slice_find(named, '\n', 0);
		struct slice path = slice_sub(named, 0, end);
		struct tuf_result ignored;

		named = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(named, end + 1, SIZE_MAX);
		if (look_up(w, path, &ignored, err) < 0)
			return err->kind == ERR_NOT_FOUND ? not_published(path, err) : -1;
		if (put_choice(chosen, path, &count, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- all that fit ---- */

struct candidate {
	char *path, *role;	/* owned */
	size_t artifact_len;	/* of path, without its version */
	int64_t release;
};

struct choice {
	struct unpack_walk *walk;
	const struct device_profile *profile;
	struct held payloads;	/* that are in the bundle */
	struct candidate *list;	/* owned */
	unsigned count, room;
};

/* The payloads stand last in a manifest, in ascending order. */
static void read_payloads(struct choice *c)
{
	const struct manifest *m = unpack_manifest(c->walk->unpack);
	struct manifest_iter it = manifest_iter(m);
	struct member member;

	c->payloads.list = xcalloc(m->members > 0 ? m->members : 1, SHA256_LEN);
	while (manifest_next(&it, &member))
		if (member.kind == MEMBER_ARTIFACT)
			memcpy(c->payloads.list[c->payloads.count++], member.sha256, SHA256_LEN);
}

static int add_candidate(struct choice *c, const char *role, struct slice path, int64_t release, struct error *err)
{
	struct candidate *n;

	if (c->count == UNPACK_CANDIDATES_MAX) {
		error_set(err, ERR_LIMIT, "more than %d artifacts in the bundle", UNPACK_CANDIDATES_MAX);
		return error_hint(err, "name those that are to be applied");
	}
	if (c->count == c->room) {
		c->room = c->room == 0 ? 64 : 2 * c->room;
		c->list = xreallocarray(c->list, c->room, sizeof(*c->list));
	}
	n = &c->list[c->count++];
	*n = (struct candidate){.path = xstrndup_slice(path), .role = xstrdup(role), .release = release};
	n->artifact_len = (size_t)(strrchr(n->path, '/') - n->path);
	return 0;
}

/* What no device of ours can read, or not this one, is passed over: it is for others. */
static int consider(struct choice *c, const char *role, struct slice path, struct json_value entry, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_target target;
	struct descriptor d;
	int r = 0;

	if (target_path_check(path, &ignored) < 0 || tuf_target_parse(&target, path, entry, &ignored) < 0 ||
	    !target.hashes.has_sha256 || !held_find(&c->payloads, target.hashes.sha256) ||
	    descriptor_of_target(&d, entry, &ignored) < 0)
		return 0;
	if ((d.kind == PAYLOAD_FILE || d.kind == PAYLOAD_MODEL) &&
	    descriptor_check_device(&d, c->profile, &ignored) == 0)
		r = add_candidate(c, role, path, d.release, err);
	descriptor_release(&d);
	return r;
}

static int read_role(struct choice *c, const struct member *m, struct error *err)
{
	struct buf text = BUF_INIT(ROLE_FILE_MAX);
	struct tuf_targets *file = NULL;
	struct json_iter it;
	int r = -1;

	if (unpack_read(c->walk->unpack, m->name, &text, err) < 0 ||
	    (file = tuf_targets_parse(buf_slice(&text), err)) == NULL) {
		error_wrap(err, "'%s'", m->name);
		goto out;
	}
	r = 0;
	for (it = json_iter(file->targets); r == 0 && json_next(&it);)
		r = consider(c, m->role, it.key, it.value, err);
out:
	tuf_targets_free(file);
	buf_release(&text);
	return r;
}

static int read_roles(struct choice *c, struct error *err)
{
	/* A walk over the text of the manifest, which a rewind would change under it. */
	const struct manifest *m = unpack_manifest(c->walk->unpack);
	struct member *roles = NULL;
	unsigned count = 0, i;
	struct manifest_iter it = manifest_iter(m);
	struct member member;
	int r = 0;

	while (manifest_next(&it, &member)) {
		if (member.kind != MEMBER_TARGETS && member.kind != MEMBER_ROLE)
			continue;
		roles = xreallocarray(roles, count + 1, sizeof(*roles));
		roles[count++] = member;
	}
	for (i = 0; r == 0 && i < count; i++)
		r = read_role(c, &roles[i], err);
	free(roles);
	return r;
}

static bool same_artifact(const struct candidate *x, const struct candidate *y)
{
	return x->artifact_len == y->artifact_len && memcmp(x->path, y->path, x->artifact_len) == 0;
}

/* By artifact, the highest release of each first. */
static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int r = slice_compare(slice_of(x->path, x->artifact_len), slice_of(y->path, y->artifact_len));

	if (r != 0)
		return r;
	if (x->release != y->release)
		return x->release > y->release ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* Does the search end at the role that lists it? */
static bool holds(struct choice *c, const struct candidate *n)
{
	struct error ignored = ERROR_INIT;
	struct tuf_result result;

	return look_up(c->walk, slice_str(n->path), &result, &ignored) == 0 && strcmp(result.role, n->role) == 0;
}

static int choose(struct choice *c, struct buf *chosen, struct error *err)
{
	const struct candidate *done = NULL;
	unsigned i, count = 0;

	if (c->count > 0)
		qsort(c->list, c->count, sizeof(*c->list), compare);
	for (i = 0; i < c->count; i++) {
		const struct candidate *n = &c->list[i];

		if ((done != NULL && same_artifact(done, n)) || !holds(c, n))
			continue;
		done = n;
		if (put_choice(chosen, slice_str(n->path), &count, err) < 0)
			return -1;
	}
	return 0;
}

int unpack_choose(struct unpack_walk *w, const struct device_profile *profile, struct buf *chosen, struct error *err)
{
	struct choice c = {.walk = w, .profile = profile};
	int r = -1;

	read_payloads(&c);
	if (read_roles(&c, err) == 0)
		r = choose(&c, chosen, err);
	while (c.count > 0) {
		free(c.list[--c.count].path);
		free(c.list[c.count].role);
	}
	free(c.list);
	held_release(&c.payloads);
	return r;
}
