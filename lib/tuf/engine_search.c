/* The search for one target through the delegations, and what it has found. */
#include "tuf/engine_internal.h"

/*
 * Children of one role that can matter: more than this many would exceed TUF_SEARCH_MAX even if 32
 * are known.
 */
#define SEARCH_PUSH_MAX (2 * TUF_SEARCH_MAX + 1)

bool tuf_search_fail(struct tuf_client *c)
{
	if (!c->search.running)
		return false;
	c->search.running = false;
	c->search.failed = true;
	c->search.found = NULL;
	c->stage = STAGE_READY;
	return true;
}

static bool search_visited(const struct role_search *s, const char *name)
{
	unsigned i;

	for (i = 0; i < s->visited_count; i++)
		if (strcmp(s->visited[i]->name, name) == 0)
			return true;
	return false;
}

static void search_push(struct role_search *s, const struct role_slot *by,
			const struct tuf_delegation *d)
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

/*
 * 5.6.7.2: the roles this one trusts for the path come before all that wait; a terminating one is
 * the last of all.
 */
static void search_descend(struct tuf_client *c, const struct role_slot *slot)
{
	struct role_search *s = &c->search;
	struct tuf_delegation_iter it =
		tuf_delegation_iter(slot->file, slice_of(s->path, s->path_len));
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
	if (pushed > 0)
		search_reverse(s->stack + from, pushed);
}

static void search_end(struct tuf_client *c)
{
	c->search.running = false;
	c->stage = STAGE_READY;
}

int tuf_search_visit(struct tuf_client *c, const struct role_slot *slot, struct error *err)
{
	struct role_search *s = &c->search;
	struct error why = ERROR_INIT;

	if (slot != c->slots[0])
		s->visited[s->visited_count++] = slot;
	if (tuf_targets_find(slot->file, slice_of(s->path, s->path_len), &s->target, &why) < 0) {
		if (why.kind == ERR_NOT_FOUND) {
			search_descend(c, slot);
			return 0;
		}
		*err = why;
		return -1;
	}
	if (s->target.hashes.only_unknown)
		return error_set(err, ERR_REFUSED,
				 "target '%s': none of its hashes is of a kind known here",
				 s->path);
	s->found = slot;
	search_end(c);
	return 0;
}

int tuf_search_run(struct tuf_client *c, struct error *err)
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
			return error_set(err, ERR_LIMIT,
					 "target '%s' is not in the first %d roles that may list "
					 "it (5.6.7.1)",
					 s->path, TUF_SEARCH_MAX);
		if (tuf_load_begin(c, step.by, &step.delegation, &slot, err) < 0)
			return -1;
		if (slot == NULL)
			return 0;
		if (tuf_search_visit(c, slot, err) < 0)
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
	s->recalled = false;
	s->failed = true;	/* until it has ended */
	s->waiting = true;
	memcpy(s->path, path.ptr, path.len);
	s->path[path.len] = '\0';
	s->path_len = path.len;
	if (c->quick) {
		if (tuf_quick_end(c, err) == 0)
			return 0;
		c->stage = STAGE_FAILED;
		return -1;
	}
	if (tuf_search_start(c, err) == 0)
		return 0;
	tuf_search_fail(c);
	return -1;
}

int tuf_search_start(struct tuf_client *c, struct error *err)
{
	struct role_search *s = &c->search;

	if (!s->waiting)
		return 0;
	tuf_slots_trim(c);
	s->waiting = s->failed = false;
	s->running = true;
	s->found = NULL;
	s->depth = s->visited_count = 0;
	return tuf_search_visit(c, c->slots[0], err) < 0 ? -1 : tuf_search_run(c, err);
}

int tuf_client_result(const struct tuf_client *c, struct tuf_result *out, struct error *err)
{
	const struct role_search *s = &c->search;

	if (s->recalled) {
		*out = s->result;
		return 0;
	}
	if (s->running || s->failed)
		return error_set(err, ERR_FAILED, "the search for '%s' did not come to an end",
				 s->path);
	if (s->path_len == 0)
		return error_set(err, ERR_FAILED, "no target has been searched");
	if (s->found == NULL)
		return error_set(err, ERR_NOT_FOUND,
				 "no role that may speak for target '%s' lists it", s->path);
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

bool tuf_client_found(const struct tuf_client *c, struct tuf_found *out)
{
	const struct role_search *s = &c->search;
	struct error ignored = ERROR_INIT;
	unsigned i;

	if (c->opt.mode != TUF_MODE_CLIENT || c->quick || s->recalled ||
	    tuf_client_result(c, &out->target, &ignored) < 0)
		return false;
	out->expires_s = c->slots[0]->file->head.expires_s;
	for (i = 0; i < s->visited_count; i++)
		if (s->visited[i]->file->head.expires_s < out->expires_s)
			out->expires_s = s->visited[i]->file->head.expires_s;
	return true;
}

bool tuf_client_recall(struct tuf_client *c, const struct tuf_found *f)
{
	struct role_search *s = &c->search;
	struct buf *b = &s->result_bytes;

	if (c->stage != STAGE_READY || !c->quick || f->expires_s <= c->time_s)
		return false;
	buf_release(b);
	*b = BUF_INIT(f->target.path.len + f->target.custom.len);
	buf_put_slice(b, f->target.path);
	buf_put_slice(b, f->target.custom);
	s->result = f->target;
	s->result.path = slice_sub(buf_slice(b), 0, f->target.path.len);
	s->result.custom = slice_sub(buf_slice(b), f->target.path.len, SIZE_MAX);
	s->result.prefixed = c->facts.consistent_snapshot;
	s->recalled = true;
	return true;
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
