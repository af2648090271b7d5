/*
 * The engine's second half: targets roles. One path loads and checks them all, the top-level one
 * and every delegated one, for the update, for a search (engine_search.c) and for an import's walk
 * (engine_walk.c).
 */
#include <stdlib.h>

#include "tuf/engine_internal.h"

static void load_release(struct role_load *l)
{
	tuf_role_release(&l->delegated);
	tuf_slot_free(l->stored);
	*l = (struct role_load){.by = NULL};
}

void tuf_roles_release(struct tuf_client *c)
{
	unsigned i;

	load_release(&c->load);
	for (i = 0; i < c->slot_count; i++)
		tuf_slot_free(c->slots[i]);
	free(c->slots);
	free(c->index);
	free(c->search.stack);
	free(c->walk.stack);
}

/* ---- loading one role ---- */

/* Import: the version below which a role may not go; 0 when there is none. */
static int64_t own_version(const struct tuf_client *c, const char *name)
{
	struct error ignored = ERROR_INIT;
	struct tuf_metafile meta;

	if (c->reference == NULL ||
	    tuf_snapshot_find(c->reference, slice_str(name), &meta, &ignored) < 0)
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
 * The role is in memory, verified against some delegator's keys; now another one vouches for it,
 * perhaps by other keys. A client may still find a file that these sign; for an import every
 * delegator must agree.
 */
static int load_again(struct tuf_client *c, struct role_slot *s, struct role_slot **ready,
		      struct error *err)
{
	const struct role_load *l = &c->load;
	struct error own = ERROR_INIT;

	if (s->by == l->by ||
	    tuf_verify_role(l->role, &s->file->head, NULL, l->name, "5.6.3", &own) == 0) {
		s->by = l->by;
		*ready = s;
		return 0;
	}
	if (c->opt.mode == TUF_MODE_CLIENT)
		return load_fetch(c, err);
	*err = own;
	return error_wrap(err, "as delegated by '%s'", l->by == NULL ? "root" : l->by->name);
}

int tuf_load_begin(struct tuf_client *c, const struct role_slot *by, const struct tuf_delegation *d,
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
	if ((known = tuf_slot_find(c, name)) != NULL)
		return load_again(c, known, ready, err);
	tuf_want_stored(c, STAGE_ROLE_STORED, name);
	return 0;
}

/*
 * Parse and check a file for the load at hand; NULL with err. Takes bytes on success. fresh: its
 * expiry counts already.
 */
static struct role_slot *load_accept(struct tuf_client *c, struct buf *bytes, bool fresh,
				     struct error *err)
{
	struct tuf_targets *file = tuf_targets_parse_folded(buf_slice(bytes), err);
	const struct role_load *l = &c->load;
	struct tuf_metafile meta = l->meta;

	if (file == NULL)
		return NULL;
	if (c->opt.mode == TUF_MODE_IMPORT) {
		meta.version = file->head.version;
		if (meta.version < l->meta.version) {
			error_set(err, ERR_REFUSED,
				  "%s has version %lld, older than version %lld held here (5.5.5)",
				  l->name, (long long)meta.version, (long long)l->meta.version);
			goto fail;
		}
	}
	if (tuf_targets_check(l->role, l->name, &meta, file, -1, err) < 0 ||
	    (fresh && tuf_fresh(c, &file->head, l->name, "5.6.5", err) < 0))
		goto fail;
	return tuf_slot_new(l->name, bytes, file, l->by);
fail:
	tuf_targets_free(file);
	return NULL;
}

/* ---- answers ---- */

/* A role has come in: on with whatever it was for. */
static int role_loaded(struct tuf_client *c, struct role_slot *slot, struct error *err)
{
	tuf_slot_add(c, slot);
	if (c->search.running)
		return tuf_search_visit(c, slot, err) < 0 ? -1 : tuf_search_run(c, err);
	if (c->opt.mode == TUF_MODE_CLIENT) {
		c->stage = STAGE_READY;
		return tuf_search_start(c, err);
	}
	return tuf_walk_begin(c, slot, err);
}

int tuf_roles_begin(struct tuf_client *c, struct error *err)
{
	struct role_slot *none;

	return tuf_load_begin(c, NULL, NULL, &none, err);
}

/* A file of ours that the role's keys of today have not signed: new keys mean that the old are not believed. */
static bool is_disowned(const struct tuf_client *c, struct slice bytes)
{
	const struct role_load *l = &c->load;
	struct error why = ERROR_INIT;
	struct tuf_targets *file = tuf_targets_parse_folded(bytes, &why);
	bool disowned = file != NULL && file->head.version == l->meta.version &&
			tuf_verify_role(l->role, &file->head, NULL, l->name, "5.6.3", &why) < 0;

	tuf_targets_free(file);
	return disowned;
}

int tuf_roles_stored(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct error ignored = ERROR_INIT;
	bool import = c->opt.mode == TUF_MODE_IMPORT;
	struct role_slot *slot;

	if (bytes == NULL)
		return load_fetch(c, err);
	if ((slot = load_accept(c, bytes, !import, &ignored)) == NULL) {
		c->load.disowned = import && is_disowned(c, buf_slice(bytes));
		return load_fetch(c, err);
	}
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
		if (tuf_fresh(c, &slot->file->head, l->name, "5.6.5", err) < 0)
			return -1;
		l->stored = NULL;
		return role_loaded(c, slot, err);
	}
	if ((l->meta.version > 0 && !l->disowned) || l->by == NULL)
		return error_set(err, ERR_REFUSED,
				 "role '%s' is missing, and no file held here is good for it",
				 l->name);
	/* Delegated, but nothing has been published under it yet, or nothing by the keys that it has now. */
	return tuf_walk_run(c, err);
}

int tuf_roles_fetched(struct tuf_client *c, struct buf *bytes, struct error *err)
{
	struct role_slot *slot;

	if (bytes == NULL)
		return keep_stored(c, err);
	if ((slot = load_accept(c, bytes, true, err)) == NULL)
		return -1;
	if (c->load.stored != NULL &&
	    slot->file->head.version <= c->load.stored->file->head.version) {
		bool older = slot->file->head.version < c->load.stored->file->head.version;

		tuf_slot_free(slot);
		if (!older)
			return keep_stored(c, err);
		return error_set(err, ERR_REFUSED,
				 "%s is older than version %lld held here (5.5.5)", c->load.name,
				 (long long)c->load.stored->file->head.version);
	}
	slot->dirty = true;
	return role_loaded(c, slot, err);
}
