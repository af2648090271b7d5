/*
 * The engine's second half: targets roles. One path loads and checks them all, the top-level one and every delegated
 * one; on top of it stand the search for one target (client) and the walk over all delegations (import).
 */
#include <stdlib.h>

#include "tuf/engine_internal.h"

#define SLOTS_KEPT 64	/* roles that stay in memory between two searches */
/* Children of one role that can matter: more than this many would exceed TUF_SEARCH_MAX even if 32 are known. */
#define SEARCH_PUSH_MAX (2 * TUF_SEARCH_MAX + 1)

/* ---- slots ---- */

static uint32_t name_hash(const char *name)
{
	uint32_t h = 2166136261u;	/* FNV-1a; names come from signed files */

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

/* The index entry of name, or the empty one where it belongs. */
static unsigned *index_at(const struct tuf_client *c, const char *name)
{
	unsigned i = name_hash(name) & (c->index_size - 1);

	while (c->index[i] != 0 && strcmp(c->slots[c->index[i] - 1]->name, name) != 0)
		i = (i + 1) & (c->index_size - 1);
	return &c->index[i];
}

static struct role_slot *slot_find(const struct tuf_client *c, const char *name)
{
	unsigned at = c->index_size == 0 ? 0 : *index_at(c, name);

	return at == 0 ? NULL : c->slots[at - 1];
}

/* Half empty at least, so that probing stays short. */
static void index_build(struct tuf_client *c)
{
	unsigned i;

	c->index_size = 64;
	while (c->index_size < 4 * c->slot_count)
		c->index_size *= 2;
	free(c->index);
	c->index = xcalloc(c->index_size, sizeof(*c->index));
	for (i = 0; i < c->slot_count; i++)
		if (!c->slots[i]->superseded)
			*index_at(c, c->slots[i]->name) = i + 1;
}

static struct role_slot *slot_new(const char *name, struct buf *bytes, struct tuf_targets *file,
				  const struct role_slot *by)
{
	struct role_slot *s = xcalloc(1, sizeof(*s));

	memcpy(s->name, name, strlen(name) + 1);
	s->bytes = *bytes;
	s->file = file;
	s->by = by;
	*bytes = BUF_INIT(bytes->max);
	return s;
}

static void slot_free(struct role_slot *s)
{
	if (s == NULL)
		return;
	tuf_targets_free(s->file);
	buf_release(&s->bytes);
	free(s);
}

/* The client takes the slot; one of the same name stays for those who point to it, but is found no more. */
static void slot_add(struct tuf_client *c, struct role_slot *s)
{
	struct role_slot *old = slot_find(c, s->name);

	if (old != NULL)
		old->superseded = true;
	if (c->slot_count == c->slot_room) {
		c->slot_room = c->slot_room == 0 ? 8 : 2 * c->slot_room;
		c->slots = xreallocarray(c->slots, c->slot_room, sizeof(struct role_slot *));
	}
	c->slots[c->slot_count++] = s;
	if (c->index_size < 2 * c->slot_count)
		index_build(c);
	else
		*index_at(c, s->name) = c->slot_count;
}

/* Between searches nothing points into delegated slots; what is stored can be loaded again. */
static void slots_trim(struct tuf_client *c)
{
	unsigned i;

	if (c->slot_count <= SLOTS_KEPT)
		return;
	for (i = 0; i < c->slot_count; i++)
		if (c->slots[i]->dirty)
			return;
	for (i = 1; i < c->slot_count; i++)
		slot_free(c->slots[i]);
	c->slot_count = 1;
	index_build(c);
}

static void load_release(struct role_load *l)
{
	tuf_role_release(&l->delegated);
	slot_free(l->stored);
	*l = (struct role_load){.by = NULL};
}

void tuf_roles_release(struct tuf_client *c)
{
	unsigned i;

	load_release(&c->load);
	for (i = 0; i < c->slot_count; i++)
		slot_free(c->slots[i]);
	free(c->slots);
	free(c->index);
	free(c->search.stack);
	free(c->walk.stack);
}

bool tuf_roles_end_search(struct tuf_client *c)
{
	if (!c->search.running)
		return false;
	c->search.running = false;
	c->search.failed = true;
	c->search.found = NULL;
	c->stage = STAGE_READY;
	return true;
}

/* ---- loading one role ---- */

/* Import: the version below which a role may not go; 0 when there is none. */
static int64_t own_version(const struct tuf_client *c, const char *name)
{
	struct error ignored = ERROR_INIT;
	struct tuf_metafile meta;

	if (c->reference == NULL || tuf_snapshot_find(c->reference, slice_str(name), &meta, &ignored) < 0)
		return 0;
	if (strcmp(name, "targets") == 0 && c->targets_rotated && c->online_rotated)
		return 0;
	return meta.version;
}

/* What the role's file must be. */
static int load_meta(struct tuf_client *c, struct error *err)
{
	struct role_load *l = &c->load;

	if (c->opt.mode == TUF_MODE_IMPORT) {
		l->meta = (struct tuf_metafile){.version = own_version(c, l->name), .length = -1};
		return 0;
	}
	if (tuf_snapshot_find(c->snapshot, slice_str(l->name), &l->meta, err) == 0)
		return 0;
	if (err->kind == ERR_NOT_FOUND)
		error_set(err, ERR_REFUSED, "snapshot does not list role '%s' (5.6.1)", l->name);
	return -1;
}

static int load_fetch(struct tuf_client *c, struct error *err)
{
	const struct role_load *l = &c->load;

	if (c->opt.mode == TUF_MODE_IMPORT) {
		tuf_want_fetch(c, STAGE_ROLE, l->name, 0);
		c->want.may_be_absent = true;
		return 0;
	}
	tuf_want_fetch(c, STAGE_ROLE, l->name, c->root->consistent_snapshot ? l->meta.version : 0);
	return tuf_want_bind(c, &l->meta, err);
}

/*
 * The role is in memory, verified against some delegator's keys; now another one vouches for it, perhaps by other
 * keys. A client may still find a file that these sign; for an import every delegator must agree.
 */
static int load_again(struct tuf_client *c, struct role_slot *s, struct role_slot **ready, struct error *err)
{
	const struct role_load *l = &c->load;
	struct error own = ERROR_INIT;

	if (s->by == l->by || tuf_verify_role(l->role, &s->file->head, NULL, l->name, "5.6.3", &own) == 0) {
		s->by = l->by;
		*ready = s;
		return 0;
	}
	if (c->opt.mode == TUF_MODE_CLIENT)
		return load_fetch(c, err);
	*err = own;
	return error_wrap(err, "as delegated by '%s'", l->by == NULL ? "root" : l->by->name);
}

/* Begin to load a role for a delegator (NULL: the root's targets). *ready is set when no want is needed. */
static int load_begin(struct tuf_client *c, const struct role_slot *by, const struct tuf_delegation *d,
		      struct role_slot **ready, struct error *err)
{
	const char *name = d == NULL ? "targets" : d->name;
	struct role_load *l = &c->load;
	struct role_slot *known;

	*ready = NULL;
	load_release(l);
	memcpy(l->name, name, strlen(name) + 1);
	l->by = by;
	l->role = d == NULL ? &c->root->roles[TUF_TARGETS] : &l->delegated;
	if (d != NULL && tuf_delegation_role(by->file, d, &l->delegated, err) < 0)
		return -1;
	if (load_meta(c, err) < 0)
		return -1;
	if ((known = slot_find(c, name)) != NULL)
		return load_again(c, known, ready, err);
	tuf_want_stored(c, STAGE_ROLE_STORED, name);
	return 0;
}

/* Parse and check a file for the load at hand; NULL with err. Takes bytes on success. */
static struct role_slot *load_accept(struct tuf_client *c, struct buf *bytes, int64_t now_s, struct error *err)
{
	struct tuf_targets *file = tuf_targets_parse(buf_slice(bytes), err);
	const struct role_load *l = &c->load;
	struct tuf_metafile meta = l->meta;

	if (file == NULL)
		return NULL;
	if (c->opt.mode == TUF_MODE_IMPORT) {
		meta.version = file->head.version;
		if (meta.version < l->meta.version) {
			error_set(err, ERR_REFUSED, "%s has version %lld, older than version %lld held here (5.5.5)",
				  l->name, (long long)meta.version, (long long)l->meta.version);
			goto fail;
		}
	}
	if (tuf_targets_check(l->role, l->name, &meta, file, now_s, err) < 0)
		goto fail;
	return slot_new(l->name, bytes, file, l->by);
fail:
	tuf_targets_free(file);
	return NULL;
}

/* ---- the search for one target ---- */

static bool search_visited(const struct role_search *s, const char *name)
{
	unsigned i;

	for (i = 0; i < s->visited_count; i++)
		if (strcmp(s->visited[i]->name, name) == 0)
			return true;
	return false;
}

static void search_push(struct role_search *s, const struct role_slot *by, const struct tuf_delegation *d)
{
	if (s->depth == s->room) {
		s->room = s->room == 0 ? 16 : 2 * s->room;
		s->stack = xreallocarray(s->stack, s->room, sizeof(*s->stack));
	}
	s->stack[s->depth++] = (struct role_step){by, *d};
}

/* The first pushed must be the first popped. */
static void search_reverse(struct role_step *list, unsigned n)
{
	unsigned i;

	for (i = 0; i < n / 2; i++) {
		struct role_step tmp = list[i];

		list[i] = list[n - 1 - i];
		list[n - 1 - i] = tmp;
	}
}

/* 5.6.7.2: the roles this one trusts for the path come before all that wait; a terminating one is the last of all. */
static void search_descend(struct tuf_client *c, const struct role_slot *slot)
{
	struct role_search *s = &c->search;
	struct tuf_delegation_iter it = tuf_delegation_iter(slot->file, slice_of(s->path, s->path_len));
	unsigned from = s->depth, pushed = 0;
	struct tuf_delegation d;

	while (pushed < SEARCH_PUSH_MAX && tuf_delegation_next(&it, &d)) {
		search_push(s, slot, &d);
		pushed++;
		if (!d.terminating)
			continue;
		memmove(s->stack, s->stack + from, pushed * sizeof(*s->stack));
		s->depth = pushed;
		from = 0;
		break;
	}
	search_reverse(s->stack + from, pushed);
}

static void search_end(struct tuf_client *c)
{
	c->search.running = false;
	c->stage = STAGE_READY;
}

static int search_visit(struct tuf_client *c, const struct role_slot *slot, struct error *err)
{
	struct role_search *s = &c->search;

	if (slot != c->slots[0])
		s->visited[s->visited_count++] = slot;
	if (tuf_targets_find(slot->file, slice_of(s->path, s->path_len), &s->target, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		search_descend(c, slot);
		return 0;
	}
	if (s->target.hashes.only_unknown)
		return error_set(err, ERR_REFUSED, "target '%s': none of its hashes is of a kind known here", s->path);
	s->found = slot;
	search_end(c);
	return 0;
}

/* Visit what is at hand, until a file is needed or the search is through. */
static int search_run(struct tuf_client *c, struct error *err)
{
	struct role_search *s = &c->search;
	struct role_slot *slot;

	while (s->running) {
		struct role_step step;

		if (s->depth == 0) {
			search_end(c);
			return 0;
		}
		step = s->stack[--s->depth];
		if (search_visited(s, step.delegation.name))
			continue;
		if (s->visited_count == TUF_SEARCH_MAX)
			return error_set(err, ERR_LIMIT, "target '%s' is not in the first %d roles that may list it (5.6.7.1)",
					 s->path, TUF_SEARCH_MAX);
		if (load_begin(c, step.by, &step.delegation, &slot, err) < 0)
			return -1;
		if (slot == NULL)
			return 0;
		if (search_visit(c, slot, err) < 0)
			return -1;
	}
	return 0;
}

int tuf_client_lookup(struct tuf_client *c, struct slice path, struct error *err)
{
	struct role_search *s = &c->search;

	if (c->stage != STAGE_READY || c->opt.mode != TUF_MODE_CLIENT)
		return error_set(err, ERR_FAILED, "targets can be searched only after an update");
	if (tuf_path_check(path, err) < 0) {
		err->kind = ERR_USAGE;
		return -1;
	}
	slots_trim(c);
	s->running = true;
	s->failed = false;
	s->found = NULL;
	s->depth = s->visited_count = 0;
	memcpy(s->path, path.ptr, path.len);
	s->path[path.len] = '\0';
	s->path_len = path.len;
	if (search_visit(c, c->slots[0], err) < 0 || search_run(c, err) < 0) {
		tuf_roles_end_search(c);
		return -1;
	}
	return 0;
}

int tuf_client_result(const struct tuf_client *c, struct tuf_result *out, struct error *err)
{
	const struct role_search *s = &c->search;

	if (s->running || s->failed)
		return error_set(err, ERR_FAILED, "the search for '%s' did not come to an end", s->path);
	if (s->found == NULL)
		return error_set(err, ERR_NOT_FOUND, "no role that may speak for target '%s' lists it", s->path);
	*out = (struct tuf_result){
		.path = s->target.path,
		.length = s->target.length,
		.hashes = s->target.hashes,
		.prefixed = c->root->consistent_snapshot,
	};
	memcpy(out->role, s->found->name, sizeof(out->role));
	if (json_type(s->target.custom) != JSON_NONE)
		out->custom = json_raw(s->target.custom);
	return 0;
}

void tuf_result_put_path(struct buf *out, const struct tuf_result *r)
{
	size_t slash = r->path.len;

	while (slash > 0 && r->path.ptr[slash - 1] != '/')
		slash--;
	tuf_percent_put(out, slice_sub(r->path, 0, slash), true);
	if (r->prefixed) {
		const uint8_t *hash = r->hashes.has_sha256 ? r->hashes.sha256 : r->hashes.sha512;
		size_t len = r->hashes.has_sha256 ? SHA256_LEN : SHA512_LEN, i;

		for (i = 0; i < len; i++)
			buf_printf(out, "%02x", hash[i]);
		buf_put_u8(out, '.');
	}
	tuf_percent_put(out, slice_sub(r->path, slash, r->path.len), true);
}

/* ---- the walk over all delegations (import) ---- */

static void walk_push(struct role_walk *w, const struct role_slot *slot)
{
	if (w->depth == w->room) {
		w->room = w->room == 0 ? 8 : 2 * w->room;
		w->stack = xreallocarray(w->stack, w->room, sizeof(*w->stack));
	}
	w->stack[w->depth].slot = slot;
	w->stack[w->depth++].it = tuf_delegation_iter(slot->file, SLICE_EMPTY);
}

static int walk_run(struct tuf_client *c, struct error *err)
{
	struct role_walk *w = &c->walk;
	struct tuf_delegation d;
	struct role_slot *slot;

	while (w->depth > 0) {
		if (!tuf_delegation_next(&w->stack[w->depth - 1].it, &d)) {
			w->depth--;
			continue;
		}
		if (++w->count > TUF_WALK_MAX)
			return error_set(err, ERR_LIMIT, "more than %d delegations", TUF_WALK_MAX);
		if (load_begin(c, w->stack[w->depth - 1].slot, &d, &slot, err) < 0)
			return -1;
		if (slot == NULL)
			return 0;
		/* Known, hence walked already or being walked; the new delegator's keys have been checked. */
	}
	w->running = false;
	c->stage = STAGE_READY;
	return 0;
}

/* ---- answers ---- */

/* A role has come in: on with whatever it was for. */
static int role_loaded(struct tuf_client *c, struct role_slot *slot, struct error *err)
{
	slot_add(c, slot);
	if (c->search.running)
		return search_visit(c, slot, err) < 0 ? -1 : search_run(c, err);
	if (c->opt.mode == TUF_MODE_CLIENT) {
		c->stage = STAGE_READY;
		return 0;
	}
	c->walk.running = true;
	walk_push(&c->walk, slot);
	return walk_run(c, err);
}

int tuf_roles_begin(struct tuf_client *c, struct error *err)
{
	struct role_slot *none;

	return load_begin(c, NULL, NULL, &none, err);
}

int tuf_roles_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	bool import = c->opt.mode == TUF_MODE_IMPORT;
	struct role_slot *slot;

	if (bytes == NULL || (slot = load_accept(c, bytes, import ? -1 : c->time_s, &ignored)) == NULL)
		return load_fetch(c, err);
	if (!import)
		return role_loaded(c, slot, err);
	c->load.stored = slot;
	return load_fetch(c, err);
}

/* Import, and the bundle has nothing newer: the stored file goes on, if it may. */
static int keep_stored(struct tuf_client *c, struct error *err)
{
	struct role_load *l = &c->load;
	struct role_slot *slot = l->stored;

	if (slot != NULL) {
		if (tuf_verify_expiry(&slot->file->head, c->time_s, l->name, "5.6.5", err) < 0)
			return error_hint(err, "ask for a bundle that carries a newer one");
		l->stored = NULL;
		return role_loaded(c, slot, err);
	}
	if (l->meta.version > 0 || l->by == NULL)
		return error_set(err, ERR_REFUSED, "role '%s' is missing, and no file held here is good for it", l->name);
	/* Delegated, but nothing has been published under it yet. */
	return walk_run(c, err);
}

int tuf_roles_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct role_slot *slot;

	if (bytes == NULL)
		return keep_stored(c, err);
	if ((slot = load_accept(c, bytes, c->time_s, err)) == NULL)
		return -1;
	if (c->load.stored != NULL && slot->file->head.version <= c->load.stored->file->head.version) {
		bool older = slot->file->head.version < c->load.stored->file->head.version;

		slot_free(slot);
		if (!older)
			return keep_stored(c, err);
		return error_set(err, ERR_REFUSED, "%s is older than version %lld held here (5.5.5)", c->load.name,
				 (long long)c->load.stored->file->head.version);
	}
	slot->dirty = true;
	return role_loaded(c, slot, err);
}
